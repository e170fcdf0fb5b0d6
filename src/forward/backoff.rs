//! When to try again. In: failures, chance, what an answer asked for. Out: a wait. Full jitter, so that lanes which
//! failed together do not come back together; never longer than its bound, whatever a server demands.

use std::time::Duration;

use http::HeaderValue;

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
            stop: Duration::from_secs(5),
            watch: Duration::from_secs(1),
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
