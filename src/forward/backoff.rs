//! When to try again. In: failures, chance, what an answer asked for. Out: a wait. Full jitter, so that lanes which
//! failed together do not come back together; never longer than its bound, whatever a server demands.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use crate::clock::Time;

/// Bounds of a lane's waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tempo {
    /// Bound of the wait after the first failure; doubled from failure to failure.
    pub(super) first: Duration,
    /// Bound of all of them.
    pub(super) most: Duration,
    /// After what only an operator can mend: this long, a fourth of it by chance.
    pub(super) slow: Duration,
    /// Between two starts while events keep coming, so that they go together.
    pub(super) linger: Duration,
    /// A lane of a record that had nothing to do for so long lets its connections go.
    pub(super) idle: Duration,
    /// What a destination has not taken after so long, while it takes nothing, is parked.
    pub(super) window: Duration,
    /// For one attempt, from connecting to the end of the answer.
    pub(super) deadline: Duration,
    /// Between two questions whether what was acknowledged is kept.
    pub(super) confirm: Duration,
    /// What is not kept after this long is sent again.
    pub(super) patience: Duration,
    /// The same once it was sent again in vain: a server passes over ids that it saw so lately. So long one that does
    /// not say any more what it keeps is waited for, too.
    pub(super) memory: Duration,
    /// For the attempt in flight when the gateway stops.
    pub(super) stop: Duration,
    /// Between two looks of the watch.
    pub(super) watch: Duration,
}

impl Default for Tempo {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(200),
            most: Duration::from_secs(30),
            slow: Duration::from_secs(30),
            linger: Duration::from_millis(10),
            idle: Duration::from_secs(10),
            window: Duration::from_hours(72),
            deadline: Duration::from_secs(30),
            confirm: Duration::from_secs(1),
            patience: Duration::from_secs(30),
            memory: Duration::from_secs(310),
            stop: Duration::from_secs(5),
            watch: Duration::from_secs(1),
        }
    }
}

#[cfg(test)]
impl Tempo {
    /// For simulations: nothing waits long, and nothing on the machine's own clock.
    pub(super) fn simulated() -> Self {
        let [short, long] = [5, 100].map(Duration::from_millis);
        Self {
            first: short,
            most: long,
            slow: long,
            linger: Duration::ZERO,
            idle: long,
            deadline: 3 * long,
            watch: long,
            ..Self::default()
        }
    }
}

/// What `Retry-After` can ask for.
const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// Failures in a row after which a destination counts as down.
const OPEN_AFTER: u32 = 8;

/// Failures in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure; `chance` from 0 to 1.
    pub(super) fn wait(&mut self, tempo: &Tempo, chance: f64) -> Duration {
        let bound = tempo.first.saturating_mul(1 << self.failures.min(20)).min(tempo.most);
        self.failures = self.failures.saturating_add(1);
        bound.mul_f64(chance)
    }

    /// Whether so many failed that only one event goes out at a time, to see whether the destination is back.
    pub(super) fn is_open(&self) -> bool {
        self.failures >= OPEN_AFTER
    }

    /// So many failed before a restart; whether the destination counted as down, for whatever reason.
    pub(super) fn recall(&mut self, failures: u32, is_down: bool) {
        self.failures = if is_down { failures.max(OPEN_AFTER) } else { failures };
    }

    /// How many failed one after the other.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// It went well.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// The wait after what only an operator can mend.
pub(super) fn slow(tempo: &Tempo, chance: f64) -> Duration {
    tempo.slow.mul_f64(0.75 + chance / 4.0)
}

/// Reads `Retry-After`: seconds or an HTTP date, clamped to 1 s and 1 h. `None`: it says nothing that makes sense.
pub(super) fn retry_after(value: &HeaderValue, now: Time) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let wait = if digits {
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
        let micros = date.as_microsecond().saturating_sub(now.micros());
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    };
    Some(wait.clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX))
}

/// Names of a budget's rest and of when it is whole again, in seconds; some say the moment since 1970.
const BUDGETS: [(&str, &str); 2] =
    [("ratelimit-remaining", "ratelimit-reset"), ("x-ratelimit-remaining", "x-ratelimit-reset")];
/// From here on a number of seconds is a moment.
const MOMENT_MIN: u64 = 1_000_000_000;

/// Reads `RateLimit`, in its old forms and the new one, and `RateLimit-Remaining` with `RateLimit-Reset`: for how long
/// a budget is used up, at most 1 h. `None`: something of it is left, or nothing is said.
pub(super) fn used_up(headers: &HeaderMap, now: Time) -> Option<Duration> {
    let number = |text: &str| text.trim().trim_matches('"').parse::<u64>().ok();
    let field = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let pairs = BUDGETS.iter().map(|(left, reset)| (field(left), field(reset)));
    let plain = pairs.filter_map(|(left, reset)| Some((number(left?)?, number(reset?)?)));
    // `limit=100, remaining=0, reset=5` is one budget; `"a";r=0;t=5, "b";r=3;t=9` are two.
    let structured = field("ratelimit").into_iter().flat_map(|text| {
        let is_old = text.contains("remaining");
        let budgets: Vec<&str> = if is_old { vec![text] } else { text.split(',').collect() };
        budgets.into_iter().filter_map(move |budget| {
            let part = |names: [&str; 2]| {
                budget.split([',', ';']).find_map(|part| {
                    let (name, value) = part.split_once('=')?;
                    if names.contains(&name.trim()) { number(value) } else { None }
                })
            };
            Some((part(["remaining", "r"])?, part(["reset", "t"])?))
        })
    });
    let seconds = u64::try_from(now.micros() / 1_000_000).unwrap_or(0);
    let waits = plain
        .chain(structured)
        .filter(|(left, _)| *left == 0)
        .map(|(_, reset)| if reset >= MOMENT_MIN { reset.saturating_sub(seconds) } else { reset });
    let wait = waits.max().filter(|wait| *wait > 0)?;
    Some(Duration::from_secs(wait).min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_bound_and_begin_anew() {
        let tempo = Tempo::default();
        let mut backoff = Backoff::default();
        let bounds: Vec<_> = (0..10).map(|_| backoff.wait(&tempo, 1.0).as_millis()).collect();
        let seen = [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000];
        assert_eq!(bounds, seen);
        assert!(backoff.is_open());
        backoff.failures = u32::MAX;
        assert_eq!(backoff.wait(&tempo, 0.5), Duration::from_secs(15));
        backoff.reset();
        assert!(!backoff.is_open());
        assert_eq!(backoff.wait(&tempo, 0.0), Duration::ZERO);
        assert_eq!(slow(&tempo, 0.0), Duration::from_millis(22_500));
    }

    #[test]
    fn a_budget_that_is_used_up_is_waited_for() {
        let now = Time::parse("2026-11-28T12:00:00Z").expect("a moment");
        let soon = (now.micros() / 1_000_000 + 90).to_string();
        for (given, seconds) in [
            (vec![("ratelimit-remaining", "0"), ("ratelimit-reset", "30")], Some(30)),
            (vec![("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", soon.as_str())], Some(90)),
            (vec![("ratelimit-remaining", "1"), ("ratelimit-reset", "30")], None),
            (vec![("ratelimit-remaining", "0")], None),
            (vec![("ratelimit", "limit=100, remaining=0, reset=5")], Some(5)),
            (vec![("ratelimit", "limit=100, remaining=7, reset=5")], None),
            (vec![("ratelimit", "\"a\";r=3;t=9, \"b\";r=0;t=50")], Some(50)),
            (vec![("ratelimit", "\"a\";r=0;t=99999999")], Some(3600)),
            (vec![("ratelimit", "\"a\";r=0;t=0")], None),
            (vec![("ratelimit", ";;=,=;r=;t=x, r")], None),
            (vec![], None),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in &given {
                headers.insert(*name, HeaderValue::from_str(value).expect("a value"));
            }
            assert_eq!(used_up(&headers, now), seconds.map(Duration::from_secs), "{given:?}");
        }
    }

    #[test]
    fn a_server_cannot_ask_for_nonsense() {
        let now = Time::parse("2026-11-28T12:00:00Z").expect("a moment");
        for (text, seconds) in [
            ("7", Some(7)),
            (" 120 ", Some(120)),
            ("0", Some(1)),
            ("1000000000000", Some(3600)),
            ("99999999999999999999999999", Some(3600)),
            ("Sat, 28 Nov 2026 12:00:30 GMT", Some(30)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(1)),
            ("Sat, 28 Nov 2099 12:00:30 GMT", Some(3600)),
            ("-5", None),
            ("soon", None),
            ("", None),
        ] {
            let value = HeaderValue::from_str(text).expect("a value");
            assert_eq!(retry_after(&value, now), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
