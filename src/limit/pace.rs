//! How fast a destination is sent to: budgets of events, of requests and of bytes, all of which must allow a request.
//! In: the moment, how many events wait and how large they are. Out: how many go now in one request, or a wait. The
//! same for lanes and for `simulate`.

use std::num::NonZeroU32;
use std::time::Duration;

use super::bucket::{Bucket, Nanos};
use super::{Rate, read_rate};

/// Once a burst is used up, so much goes together: what comes in in this time.
const STEP: Duration = Duration::from_millis(100);
/// Budgets of one pace.
pub const BUDGETS: usize = 3;

/// The bounds of a pace; what is `None` is not bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pacing {
    /// Events.
    pub events: Option<Rate>,
    /// Requests, or whatever a sink sends at once.
    pub requests: Option<Rate>,
    /// Bytes of events.
    pub bytes: Option<Rate>,
}

/// The bounds of a pace as people write them.
#[derive(Clone, Copy, Debug, Default)]
pub struct PaceTexts<'a> {
    /// Events per time, and at once.
    pub rate: Option<&'a str>,
    pub burst: Option<NonZeroU32>,
    /// Requests per time.
    pub request_rate: Option<&'a str>,
    /// Bytes per time.
    pub byte_rate: Option<&'a str>,
}

impl Pacing {
    /// Reads texts.
    ///
    /// # Errors
    /// Each that is no rate, and why.
    pub fn read(texts: PaceTexts<'_>) -> Result<Self, Vec<(&'static str, String)>> {
        let mut flaws = Vec::new();
        let mut rate = |name, text: Option<&str>, burst| {
            let text = text?;
            let read = read_rate(text).and_then(|(count, per)| Rate::new(count.get(), per, burst));
            if read.is_none() {
                let says = format!("`{text}` is no rate; write one as 100/s, 600/min or 10/h");
                flaws.push((name, says));
            }
            read
        };
        let events = rate("rate", texts.rate, texts.burst);
        let requests = rate("request_rate", texts.request_rate, None);
        let bytes = rate("byte_rate", texts.byte_rate, None);
        if texts.burst.is_some() && texts.rate.is_none() {
            flaws.push(("burst", "is of use only beside rate".to_owned()));
        }
        if flaws.is_empty() { Ok(Self { events, requests, bytes }) } else { Err(flaws) }
    }

    /// Whether nothing is bounded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a pace says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// So many events may go in one request.
    Now(usize),
    /// None before this time has passed.
    In(Duration),
}

/// The budgets of one destination.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    events: Option<Bucket>,
    requests: Option<Bucket>,
    bytes: Option<Bucket>,
    stretch: f64,
}

impl Pace {
    /// Whole budgets.
    #[must_use]
    pub fn new(pacing: Pacing) -> Self {
        Self {
            events: pacing.events.map(Bucket::new),
            requests: pacing.requests.map(Bucket::new),
            bytes: pacing.bytes.map(Bucket::new),
            stretch: 1.0,
        }
    }

    /// Budgets of which is used what [`whole_at`](Self::whole_at) said before.
    #[must_use]
    pub fn resume(pacing: Pacing, whole_at: [Nanos; BUDGETS], now: Nanos) -> Self {
        let [events, requests, bytes] = whole_at;
        let resume = |rate, whole_at| Bucket::resume(rate, whole_at, now);
        Self {
            events: pacing.events.map(|rate| resume(rate, events)),
            requests: pacing.requests.map(|rate| resume(rate, requests)),
            bytes: pacing.bytes.map(|rate| resume(rate, bytes)),
            stretch: 1.0,
        }
    }

    /// When each budget is whole again: events, requests, bytes.
    #[must_use]
    pub fn whole_at(&self) -> [Nanos; BUDGETS] {
        let each = [self.events, self.requests, self.bytes];
        each.map(|bucket| bucket.map_or(Nanos::MIN, |bucket| bucket.whole_at()))
    }

    /// Whether anything is bounded.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        self.events.is_some() || self.requests.is_some() || self.bytes.is_some()
    }

    /// From now on everything takes `stretch` times as long as the rates say; below 1 is 1.
    pub fn slow_down(&mut self, stretch: f64) {
        self.stretch = stretch.max(1.0);
    }

    /// Asks for one request of up to `wanted` events, at least one; `bytes` says how large the first so many of them
    /// are. What is given is charged.
    pub fn ask(&mut self, now: Nanos, wanted: usize, bytes: impl Fn(usize) -> u64) -> Pass {
        let stretch = self.stretch;
        let mut count = wanted.max(1);
        if let Some(events) = &self.events {
            count = count.min(events.rate().burst.get() as usize);
            if !events.wait(now, count as u64, stretch).is_zero() {
                count = count.min(events.step(STEP, stretch) as usize);
            }
        }
        if let Some(budget) = &self.bytes {
            count = most_within(count, u64::from(budget.rate().burst.get()), &bytes);
            if !budget.wait(now, bytes(count), stretch).is_zero() {
                count = most_within(count, budget.step(STEP, stretch), &bytes);
            }
        }
        let size = if self.bytes.is_some() { bytes(count) } else { 0 };
        let charges =
            [(&mut self.events, count as u64), (&mut self.requests, 1), (&mut self.bytes, size)];
        let wait = |(bucket, amount): &(&mut Option<Bucket>, u64)| {
            bucket.as_ref().map_or(Duration::ZERO, |bucket| bucket.wait(now, *amount, stretch))
        };
        let longest = charges.iter().map(wait).max().unwrap_or_default();
        if !longest.is_zero() {
            return Pass::In(longest);
        }
        for (bucket, amount) in charges {
            if let Some(bucket) = bucket {
                bucket.take(now, amount, stretch);
            }
        }
        Pass::Now(count)
    }
}

/// How many of the first `count` have together at most so many bytes; at least one.
fn most_within(count: usize, bytes_max: u64, bytes: impl Fn(usize) -> u64) -> usize {
    let (mut low, mut high) = (1, count);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if bytes(middle) <= bytes_max { low = middle } else { high = middle - 1 }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Nanos = 1_000_000;

    fn rate(count: u32, burst: u32) -> Option<Rate> {
        Rate::new(count, Duration::from_secs(1), NonZeroU32::new(burst))
    }

    fn of_events(rate: Option<Rate>) -> Pace {
        Pace::new(Pacing { events: rate, ..Pacing::default() })
    }

    fn no_bytes(_: usize) -> u64 {
        0
    }

    #[test]
    fn a_burst_goes_at_once_and_then_steps() {
        let mut pace = of_events(rate(100, 50));
        assert_eq!(pace.ask(0, 500, no_bytes), Pass::Now(50));
        assert_eq!(pace.ask(0, 500, no_bytes), Pass::In(Duration::from_millis(100)));
        let mut now = 40 * MILLI;
        assert_eq!(pace.ask(now, 3, no_bytes), Pass::Now(3), "what is there");
        assert_eq!(pace.ask(now, 500, no_bytes), Pass::In(Duration::from_millis(90)));
        now += 90 * MILLI;
        assert_eq!(pace.ask(now, 500, no_bytes), Pass::Now(10));
        let mut sent = 0;
        for _ in 0..1000 {
            now += 10 * MILLI;
            if let Pass::Now(count) = pace.ask(now, 1000, no_bytes) {
                sent += count;
            }
        }
        assert!((990..=1000).contains(&sent), "{sent} in ten seconds");
    }

    #[test]
    fn slow_rates_go_one_by_one_and_none_is_no_bound() {
        let mut pace = of_events(Rate::new(1, Duration::from_hours(1), None));
        assert_eq!(pace.ask(0, 500, no_bytes), Pass::Now(1));
        assert_eq!(pace.ask(0, 500, no_bytes), Pass::In(Duration::from_hours(1)));
        assert_eq!(of_events(None).ask(0, 7, no_bytes), Pass::Now(7));
    }

    #[test]
    fn requests_wait_whole_and_bytes_make_them_smaller() {
        let hundred = |count: usize| 100 * count as u64;
        let requests = Pacing { requests: rate(2, 1), ..Pacing::default() };
        let mut pace = Pace::new(requests);
        assert_eq!(pace.ask(0, 500, hundred), Pass::Now(500));
        assert_eq!(pace.ask(0, 500, hundred), Pass::In(Duration::from_millis(500)));
        assert_eq!(pace.ask(500 * MILLI, 500, hundred), Pass::Now(500));

        let bytes = Pacing { bytes: rate(10_000, 10_000), ..requests };
        let mut pace = Pace::new(bytes);
        assert_eq!(pace.ask(0, 500, hundred), Pass::Now(100));
        assert_eq!(pace.ask(500 * MILLI, 50, hundred), Pass::Now(50));
        assert_eq!(pace.ask(1000 * MILLI, 90, hundred), Pass::Now(10), "what comes in in a step");
        let large = |count: usize| 30_000 * count as u64;
        assert_eq!(pace.ask(9000 * MILLI, 5, large), Pass::Now(1), "it could never pass otherwise");
        assert_eq!(pace.ask(9000 * MILLI, 5, large), Pass::In(Duration::from_secs(3)), "owed");
    }

    #[test]
    fn nothing_is_charged_of_what_waits() {
        let pacing = Pacing { events: rate(100, 100), requests: rate(1, 1), bytes: None };
        let mut pace = Pace::new(pacing);
        assert_eq!(pace.ask(0, 10, no_bytes), Pass::Now(10));
        for _ in 0..20 {
            assert!(matches!(pace.ask(0, 90, no_bytes), Pass::In(_)));
        }
        assert_eq!(pace.ask(1000 * MILLI, 100, no_bytes), Pass::Now(100));
    }

    #[test]
    fn a_slower_pace_is_the_same_stretched() {
        let mut pace = of_events(rate(100, 10));
        pace.slow_down(4.0);
        assert_eq!(pace.ask(0, 500, no_bytes), Pass::Now(10));
        let mut sent = 0;
        for step in 1..=1000 {
            if let Pass::Now(count) = pace.ask(step * 10 * MILLI, 1000, no_bytes) {
                sent += count;
            }
        }
        assert!((245..=250).contains(&sent), "{sent} in ten seconds");
        pace.slow_down(0.0);
        assert_eq!(pace.ask(20_000 * MILLI, 500, no_bytes), Pass::Now(10));
    }

    #[test]
    fn texts_make_a_pace_or_each_is_told() {
        let texts = PaceTexts {
            rate: Some("100/s"),
            burst: NonZeroU32::new(7),
            request_rate: Some("600/min"),
            byte_rate: None,
        };
        let requests = Rate::new(600, Duration::from_mins(1), None);
        let read = Pacing { events: rate(100, 7), requests, bytes: None };
        assert_eq!(Pacing::read(texts), Ok(read));
        let wrong =
            PaceTexts { rate: None, request_rate: Some("0/s"), byte_rate: Some("fast"), ..texts };
        let flaws = Pacing::read(wrong).expect_err("flaws");
        let names: Vec<_> = flaws.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["request_rate", "byte_rate", "burst"]);
    }

    #[test]
    fn a_restart_goes_on_where_it_was() {
        let pacing = Pacing { events: rate(50, 50), requests: rate(5, 5), bytes: rate(1000, 1000) };
        let mut pace = Pace::new(pacing);
        let ten = |count: usize| 10 * count as u64;
        assert_eq!(pace.ask(0, 50, ten), Pass::Now(50));
        let mut again = Pace::resume(pacing, pace.whole_at(), 0);
        for now in [0, 100, 200, 700].map(|milli| milli * MILLI) {
            assert_eq!(again.ask(now, 50, ten), pace.ask(now, 50, ten));
        }
    }
}
