//! What a limit would have done. In: what came when, and a setting. Out: how long it would have waited, or what would
//! have been refused; and the least setting that would have done. Runs the very budgets that the gateway runs, on a
//! clock that follows what came.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::FakeRelativeClock;

use super::bucket::Nanos;
use super::pace::{Pace, Pacing, Pass};
use super::{Keyed, Rate};
use crate::clock::Time;

/// Something that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer<K> {
    /// When.
    pub at: Time,
    /// How large it was.
    pub bytes: u64,
    /// Whose budget it is charged to, where each has one.
    pub key: K,
}

/// Bounds of one request.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// Events.
    pub events: usize,
    /// Bytes.
    pub bytes: u64,
}

/// What a pace would have done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paced {
    /// How long each waited, the shortest first.
    pub waits: Vec<Duration>,
    /// Requests it would have taken.
    pub requests: u64,
    /// Most that waited at once.
    pub backlog: usize,
    /// How long after the last one came everything was sent.
    pub drained: Duration,
}

impl Paced {
    /// How many did not go at once.
    #[must_use]
    pub fn delayed(&self) -> usize {
        self.waits.len() - self.waits.partition_point(Duration::is_zero)
    }

    /// What so many of a hundred waited at most.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Duration {
        let place = (self.waits.len() * percent).div_ceil(100).saturating_sub(1);
        self.waits.get(place).copied().unwrap_or_default()
    }

    /// The longest of them.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.waits.last().copied().unwrap_or_default()
    }
}

/// What a limit would have refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused<K> {
    /// What passed.
    pub granted: u64,
    /// What did not.
    pub refused: u64,
    /// When something was refused for the first and the last time.
    pub span: Option<(Time, Time)>,
    /// Longest wait that was asked of somebody refused, in seconds.
    pub retry_after_seconds: u64,
    /// What was refused of each, the most first.
    pub by_key: Vec<(K, u64)>,
}

fn nanos(at: Time) -> Nanos {
    at.micros().saturating_mul(1000)
}

/// Sends what came, in the order of time, at a pace; a request takes no time.
#[must_use]
pub fn pace<K>(offers: &[Offer<K>], pacing: Pacing, batch: Batch) -> Paced {
    let mut paced = Paced { waits: Vec::with_capacity(offers.len()), ..Paced::default() };
    let mut pace = Pace::new(pacing);
    let sums = sums(offers);
    let (mut next, mut end, mut now) = (0, 0, Nanos::MIN);
    while next < offers.len() {
        now = now.max(nanos(offers[next].at));
        let ready = offers.partition_point(|offer| nanos(offer.at) <= now);
        paced.backlog = paced.backlog.max(ready - next);
        if end <= next {
            end = cut(&sums, next, ready, batch);
        }
        match pace.ask(now, end - next, |count| sums[next + count] - sums[next]) {
            Pass::In(wait) => now = now.saturating_add(wait.as_nanos().try_into().unwrap_or(1)),
            Pass::Now(count) => {
                let waited = |offer: &Offer<K>| {
                    let nanos = now.saturating_sub(nanos(offer.at));
                    Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
                };
                paced.waits.extend(offers[next..next + count].iter().map(waited));
                paced.requests += 1;
                next += count;
            }
        }
    }
    let last = offers.last().map_or(now, |offer| nanos(offer.at));
    paced.drained = Duration::from_nanos(u64::try_from(now.saturating_sub(last)).unwrap_or(0));
    paced.waits.sort_unstable();
    paced
}

/// Bytes of the first so many.
fn sums<K>(offers: &[Offer<K>]) -> Vec<u64> {
    let mut sums = Vec::with_capacity(offers.len() + 1);
    let mut sum = 0_u64;
    sums.push(sum);
    for offer in offers {
        sum = sum.saturating_add(offer.bytes);
        sums.push(sum);
    }
    sums
}

/// Where a request that begins at `start` ends: at least one event.
fn cut(sums: &[u64], start: usize, ready: usize, batch: Batch) -> usize {
    let most = ready.min(start.saturating_add(batch.events.max(1)));
    let bytes = sums[start].saturating_add(batch.bytes);
    let fits = sums[start..=most].partition_point(|sum| *sum <= bytes);
    (start + fits.saturating_sub(1)).max(start + 1)
}

/// Charges what came, in the order of time, to a budget for each key.
#[must_use]
pub fn refuse<K: Hash + Eq + Clone>(offers: &[Offer<K>], rate: Rate) -> Refused<K> {
    let clock = FakeRelativeClock::default();
    let keyed: Keyed<K, _> = Keyed::new(rate, clock.clone());
    let mut by_key: HashMap<K, u64> = HashMap::new();
    let (mut granted, mut refused, mut span, mut longest) = (0, 0, None, 0);
    let mut now = offers.first().map(|offer| offer.at).unwrap_or_default();
    for offer in offers {
        let passed = offer.at.micros().saturating_sub(now.micros());
        if let Some(passed) = u64::try_from(passed).ok().filter(|passed| *passed > 0) {
            clock.advance(Duration::from_micros(passed));
            now = offer.at;
        }
        match keyed.charge(offer.key.clone()) {
            Ok(()) => granted += 1,
            Err(over) => {
                refused += 1;
                longest = longest.max(over.retry_after_seconds);
                let (first, _) = span.unwrap_or((offer.at, offer.at));
                span = Some((first, offer.at));
                *by_key.entry(offer.key.clone()).or_default() += 1;
            }
        }
    }
    let mut by_key: Vec<_> = by_key.into_iter().collect();
    by_key.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    Refused { granted, refused, span, retry_after_seconds: longest, by_key }
}

/// The least number up to `most` with which something holds that holds with all above; `None`: with none of them.
fn least(most: u32, holds: impl Fn(NonZeroU32) -> bool) -> Option<NonZeroU32> {
    let fits = |number| NonZeroU32::new(number).is_some_and(&holds);
    if !fits(most) {
        return None;
    }
    let (mut low, mut high) = (1, most);
    while low < high {
        let middle = low + (high - low) / 2;
        if fits(middle) { high = middle } else { low = middle + 1 }
    }
    NonZeroU32::new(low)
}

/// As many as could come at once, which no limit needs to go beyond.
fn most<K>(offers: &[Offer<K>]) -> u32 {
    u32::try_from(offers.len()).unwrap_or(u32::MAX).max(1)
}

/// The least burst with which a rate would have refused nothing.
#[must_use]
pub fn burst_that_refuses_none<K: Hash + Eq + Clone>(
    offers: &[Offer<K>],
    rate: Rate,
) -> Option<NonZeroU32> {
    least(most(offers), |burst| refuse(offers, rate.with_burst(burst)).refused == 0)
}

/// The least rate of events with which nothing would have waited longer; as many come at once as before, or as the
/// rate says.
#[must_use]
pub fn rate_that_keeps_within<K>(
    offers: &[Offer<K>],
    pacing: Pacing,
    batch: Batch,
    most_wait: Duration,
) -> Option<Rate> {
    let events = pacing.events?;
    let with = |count: NonZeroU32| {
        let burst = Some(events.burst).filter(|burst| *burst != events.count);
        Rate::new(count.get(), events.per, burst)
    };
    let ceiling = most(offers).max(events.count.get());
    let found = least(ceiling, |count| {
        let pacing = Pacing { events: with(count), ..pacing };
        pacing.events.is_some() && pace(offers, pacing, batch).longest() <= most_wait
    });
    with(found?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: Batch = Batch { events: 500, bytes: 1 << 20 };

    fn rate(count: u32, burst: u32) -> Rate {
        Rate::new(count, Duration::from_secs(1), NonZeroU32::new(burst)).expect("a rate")
    }

    fn offers(every_micros: i64, count: i64) -> Vec<Offer<u32>> {
        let offer =
            |number| Offer { at: Time::from_micros(number * every_micros), bytes: 100, key: 1 };
        (0..count).map(offer).collect()
    }

    fn events(rate: Rate) -> Pacing {
        Pacing { events: Some(rate), ..Pacing::default() }
    }

    #[test]
    fn what_fits_does_not_wait_and_what_does_not_waits_longer_and_longer() {
        let calm = pace(&offers(20_000, 100), events(rate(100, 10)), BATCH);
        assert_eq!((calm.delayed(), calm.backlog, calm.requests), (0, 1, 100));
        // 200 events in a second to 100 a second: the last waits about as long again.
        let hasty = pace(&offers(5_000, 200), events(rate(100, 10)), BATCH);
        assert_eq!(hasty.waits.len(), 200);
        assert!((80..=100).contains(&hasty.backlog), "{}", hasty.backlog);
        assert!((850..=950).contains(&hasty.longest().as_millis()), "{:?}", hasty.longest());
        assert!((850..=950).contains(&hasty.drained.as_millis()), "{:?}", hasty.drained);
        assert!(hasty.percentile(50) < hasty.percentile(99));
        assert!(hasty.percentile(99) <= hasty.longest());
        let none = pace::<u32>(&[], events(rate(1, 1)), BATCH);
        assert_eq!((none.longest(), none.percentile(99), none.backlog), Default::default());
    }

    #[test]
    fn requests_and_bytes_bound_it_too() {
        let at_once = offers(0, 1000);
        let requests = Pacing { requests: Some(rate(1, 1)), ..Pacing::default() };
        assert_eq!(pace(&at_once, requests, BATCH).longest(), Duration::from_secs(1));
        let bytes = Pacing { bytes: Some(rate(10_000, 10_000)), ..Pacing::default() };
        let paced = pace(&at_once, bytes, BATCH);
        assert!((8950..=9050).contains(&paced.longest().as_millis()), "{:?}", paced.longest());
        let small = Batch { events: 1, bytes: 1 };
        assert_eq!(pace(&at_once, Pacing::default(), small).requests, 1000);
    }

    #[test]
    fn refused_is_what_the_gateway_refuses() {
        // The same budget by hand, asked when each came.
        let clock = FakeRelativeClock::default();
        let real: Keyed<u32, _> = Keyed::new(rate(3, 2), clock.clone());
        let mut came = Vec::new();
        let (mut at, mut refused) = (0, 0);
        for number in 0..500_u32 {
            let passed = u64::from(number * 7919 % 400_000);
            clock.advance(Duration::from_micros(passed));
            at += passed.cast_signed();
            let key = number % 3;
            came.push(Offer { at: Time::from_micros(at), bytes: 0, key });
            refused += u64::from(real.charge(key).is_err());
        }
        let told = refuse(&came, rate(3, 2));
        assert!(refused > 0 && refused < 500, "{refused} say nothing");
        assert_eq!((told.refused, told.granted), (refused, 500 - refused));
        assert_eq!(told.by_key.iter().map(|(_, count)| count).sum::<u64>(), refused);
        let (first, last) = told.span.expect("a span");
        assert!(first <= last && told.retry_after_seconds == 1);
    }

    #[test]
    fn the_least_that_would_have_done_does_and_one_less_does_not() {
        let came = offers(5_000, 200);
        let burst = burst_that_refuses_none(&came, rate(100, 1)).expect("a burst");
        let refused = |burst| refuse(&came, rate(100, burst)).refused;
        assert_eq!((refused(burst.get()), refused(burst.get() - 1) > 0), (0, true));

        let within = Duration::from_millis(300);
        let setting = events(rate(100, 10));
        let found = rate_that_keeps_within(&came, setting, BATCH, within).expect("a rate");
        let longest = |count| pace(&came, events(rate(count, 10)), BATCH).longest();
        let count = found.count.get();
        assert!(longest(count) <= within && longest(count - 1) > within, "{count}");
        let stuck = Pacing { requests: Some(rate(1, 1)), ..setting };
        let slow = offers(2_000_000, 3);
        assert!(rate_that_keeps_within(&slow, stuck, BATCH, within).is_some());
        let stuck = Pacing { bytes: Rate::new(1, Duration::from_hours(1), None), ..setting };
        assert_eq!(rate_that_keeps_within(&came, stuck, BATCH, within), None);
    }
}
