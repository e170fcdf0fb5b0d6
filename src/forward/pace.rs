//! How fast: a budget of events for one lane. In: a rate, and how many events are there. Out: how many may go now,
//! after a wait if need be. governor stays inside.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use super::ledger::Ledger;
use crate::limit::Rate;

/// Once the burst is used up, so many events go together: what comes in in this time.
const STEP: Duration = Duration::from_millis(100);

type Governor<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// A budget of events.
#[derive(Debug)]
pub(super) struct Pace<C: Clock = DefaultClock> {
    budget: Option<Budget<C>>,
    ledger: Option<Ledger>,
}

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
    /// A budget of which what a ledger says is used; without a rate there is no bound.
    pub(super) fn new(rate: Option<Rate>, ledger: Option<Ledger>) -> Self {
        let pace = Self::by(rate, DefaultClock::default());
        if let Some((budget, ledger)) = pace.budget.as_ref().zip(ledger.as_ref())
            && let Some(used) = NonZeroU32::new(ledger.used(budget.burst.get()))
        {
            // It is whole, and no more is used than it has.
            let _ = budget.governor.check_n(used);
        }
        Self { ledger, ..pace }
    }
}

impl<C: Clock + Clone> Pace<C> {
    fn by(rate: Option<Rate>, clock: C) -> Self {
        let budget = rate.map(|rate| {
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
        });
        Self { budget, ledger: None }
    }

    /// Asks for up to `wanted` events, at least one; what is given is charged.
    pub(super) fn ask(&mut self, wanted: usize) -> Pass {
        let pass = self.try_pass(wanted);
        if let (Pass::Now(count), Some(ledger)) = (&pass, &mut self.ledger) {
            ledger.spend(*count);
        }
        pass
    }

    fn try_pass(&self, wanted: usize) -> Pass {
        let Some(budget) = &self.budget else { return Pass::Now(wanted) };
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
        let mut pace = Pace::by(rate, clock.clone());
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
    fn a_restart_gives_nothing_anew() {
        let folder = crate::forward::tests::Folder::new();
        let wall = std::sync::Arc::new(crate::clock::Clock::fixed(crate::clock::Time::default()));
        let rate = Rate::new(50, Duration::from_hours(1), None).expect("a rate");
        let open = || {
            let ledger = Ledger::open(folder.path(), "lane", rate, &wall).expect("a ledger");
            Pace::new(Some(rate), Some(ledger))
        };
        assert_eq!(open().ask(500), Pass::Now(50));
        assert!(matches!(open().ask(500), Pass::In(_)));
        wall.advance_seconds(3600);
        assert_eq!(open().ask(500), Pass::Now(50));
    }

    #[test]
    fn slow_rates_go_one_by_one_and_none_is_no_bound() {
        let clock = FakeRelativeClock::default();
        let hourly = Rate::new(1, Duration::from_hours(1), None);
        let mut pace = Pace::by(hourly, clock.clone());
        assert_eq!(pace.ask(500), Pass::Now(1));
        assert_eq!(pace.ask(500), Pass::In(Duration::from_hours(1)));
        assert_eq!(Pace::by(None, clock).ask(7), Pass::Now(7));
    }
}
