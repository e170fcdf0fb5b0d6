//! How fast: a budget of events for one lane. In: a rate, and how many events are there. Out: how many may go now,
//! after a wait if need be. governor stays inside.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::limit::Rate;

/// Once the burst is used up, so many events go together: what comes in in this time.
const STEP: Duration = Duration::from_millis(100);

type Governor<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// A budget of events.
#[derive(Debug)]
pub(super) struct Pace<C: Clock = DefaultClock>(Option<Budget<C>>);

#[derive(Debug)]
struct Budget<C: Clock> {
    governor: Governor<C>,
    clock: C,
    burst: NonZeroU32,
    step: NonZeroU32,
}

/// What a budget says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// So many may go.
    Now(usize),
    /// None before this time has passed.
    In(Duration),
}

impl Pace {
    /// A whole budget; without a rate there is no bound.
    pub(super) fn new(rate: Option<Rate>) -> Self {
        Self::by(rate, DefaultClock::default())
    }
}

impl<C: Clock + Clone> Pace<C> {
    fn by(rate: Option<Rate>, clock: C) -> Self {
        Self(rate.map(|rate| {
            let quota = Quota::with_period(rate.period())
                .expect("a rate's period is longer than nothing")
                .allow_burst(rate.burst());
            let step = STEP.as_nanos() / rate.period().as_nanos().max(1);
            let step = u32::try_from(step).unwrap_or(u32::MAX).min(rate.burst().get());
            Budget {
                governor: RateLimiter::direct_with_clock(quota, clock.clone()),
                clock,
                burst: rate.burst(),
                step: NonZeroU32::new(step).unwrap_or(NonZeroU32::MIN),
            }
        }))
    }

    /// Asks for up to `wanted` events, at least one; what is given is charged.
    pub(super) fn ask(&self, wanted: usize) -> Pass {
        let Some(budget) = &self.0 else { return Pass::Now(wanted) };
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
        let wanted = NonZeroU32::new(wanted).unwrap_or(NonZeroU32::MIN).min(budget.burst);
        if let Ok(Ok(())) = budget.governor.check_n(wanted) {
            return Pass::Now(wanted.get() as usize);
        }
        let step = wanted.min(budget.step);
        match budget.governor.check_n(step) {
            Ok(Err(until)) => Pass::In(until.wait_time_from(budget.clock.now())),
            // The step is never above the burst.
            Ok(Ok(())) | Err(_) => Pass::Now(step.get() as usize),
        }
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    #[test]
    fn a_burst_goes_at_once_and_then_steps() {
        let clock = FakeRelativeClock::default();
        let rate = Rate::new(100, Duration::from_secs(1), NonZeroU32::new(50));
        let pace = Pace::by(rate, clock.clone());
        assert_eq!(pace.ask(500), Pass::Now(50));
        assert_eq!(pace.ask(500), Pass::In(Duration::from_millis(100)));
        clock.advance(Duration::from_millis(40));
        assert_eq!(pace.ask(3), Pass::Now(3), "what is there");
        assert_eq!(pace.ask(500), Pass::In(Duration::from_millis(90)));
        clock.advance(Duration::from_millis(90));
        assert_eq!(pace.ask(500), Pass::Now(10));
        let mut sent = 0;
        for _ in 0..1000 {
            clock.advance(Duration::from_millis(10));
            if let Pass::Now(count) = pace.ask(1000) {
                sent += count;
            }
        }
        assert!((990..=1000).contains(&sent), "{sent} in ten seconds");
    }

    #[test]
    fn slow_rates_go_one_by_one_and_none_is_no_bound() {
        let clock = FakeRelativeClock::default();
        let hourly = Rate::new(1, Duration::from_hours(1), None);
        let pace = Pace::by(hourly, clock.clone());
        assert_eq!(pace.ask(500), Pass::Now(1));
        assert_eq!(pace.ask(500), Pass::In(Duration::from_hours(1)));
        assert_eq!(Pace::by(None, clock).ask(7), Pass::Now(7));
    }
}
