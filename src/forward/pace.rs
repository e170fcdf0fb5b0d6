//! How fast one lane sends: its budgets, where they stood before the last stop, and how much of them the destination
//! stands. In: how many events wait, and what came back. Out: how many may go now, or a wait. The rules are `limit`'s;
//! here are the clock and the lane's own file.

use std::time::{Duration, Instant};

use super::ledger::Ledger;
use crate::limit::{Nanos, Pace, Pacing, Pass, Temper};
use crate::telemetry::forward::Outcome;

/// A lane's budgets.
#[derive(Debug)]
pub(super) struct LanePace {
    pace: Pace,
    temper: Temper,
    /// The destination said that it takes nothing before.
    closed_until: Nanos,
    ledger: Option<Ledger>,
    /// A moment of both clocks: no jump of the wall's lets more or less through.
    start: (Instant, Nanos),
}

impl LanePace {
    /// Budgets of which what a ledger says is used.
    pub(super) fn new(pacing: Pacing, ledger: Option<Ledger>) -> Self {
        let (mut pace, temper, now) = match &ledger {
            Some(ledger) => {
                let now = ledger.now();
                let pace = Pace::resume(pacing, ledger.whole_at(), now);
                (pace, Temper::resume(ledger.share()), now)
            }
            None => (Pace::new(pacing), Temper::default(), 0),
        };
        pace.slow_down(1.0 / temper.share());
        let closed_until = Nanos::MIN;
        Self { pace, temper, closed_until, ledger, start: (Instant::now(), now) }
    }

    fn now(&self) -> Nanos {
        let passed = self.start.0.elapsed().as_nanos();
        self.start.1.saturating_add(Nanos::try_from(passed).unwrap_or(Nanos::MAX))
    }

    /// Asks for one request of up to `wanted` events, at least one; `bytes` says how large the first so many are. What
    /// is given is charged.
    pub(super) fn ask(&mut self, wanted: usize, bytes: impl Fn(usize) -> u64) -> Pass {
        self.ask_at(self.now(), wanted, bytes)
    }

    /// What would be given for events of about that size; nothing is charged.
    pub(super) fn look(&self, wanted: usize, mean_bytes: usize) -> Pass {
        let now = self.now();
        match self.is_closed(now) {
            Some(wait) => Pass::In(wait),
            None => { self.pace }.ask(now, wanted, |count| (count * mean_bytes) as u64),
        }
    }

    /// How long the destination takes nothing, as it said.
    fn is_closed(&self, now: Nanos) -> Option<Duration> {
        let closed = u64::try_from(self.closed_until.saturating_sub(now)).unwrap_or(0);
        (closed > 0).then(|| Duration::from_nanos(closed))
    }

    fn ask_at(&mut self, now: Nanos, wanted: usize, bytes: impl Fn(usize) -> u64) -> Pass {
        if let Some(wait) = self.is_closed(now) {
            return Pass::In(wait);
        }
        let pass = self.pace.ask(now, wanted, bytes);
        if let (Pass::Now(_), Some(ledger)) = (pass, &mut self.ledger) {
            let ahead = ledger.now().saturating_sub(now);
            ledger.write(self.pace.whole_at().map(|moment| moment.saturating_add(ahead)));
        }
        pass
    }

    /// An answer came, or none, after so long; it may say for how long nothing more is taken. The share of the pace
    /// that goes from now on.
    pub(super) fn answered(
        &mut self,
        outcome: Outcome,
        after: Duration,
        closed: Option<Duration>,
    ) -> f64 {
        self.answered_at(self.now(), outcome, after, closed)
    }

    fn answered_at(
        &mut self,
        now: Nanos,
        outcome: Outcome,
        after: Duration,
        closed: Option<Duration>,
    ) -> f64 {
        match outcome {
            Outcome::Taken => self.temper.taken(now, after),
            Outcome::Throttled | Outcome::Unavailable | Outcome::Timeout => {
                self.temper.too_much(now);
            }
            _ => {}
        }
        if let Some(closed) = closed {
            let closed = Nanos::try_from(closed.as_nanos()).unwrap_or(Nanos::MAX);
            self.closed_until = self.closed_until.max(now.saturating_add(closed));
        }
        let share = self.temper.share();
        self.pace.slow_down(1.0 / share);
        if let Some(ledger) = &mut self.ledger {
            ledger.write_share(share);
        }
        share
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::{Clock, Time};
    use crate::forward::tests::Folder;
    use crate::limit::{Batch, Offer, Rate, pace};

    #[test]
    fn what_is_simulated_is_what_a_lane_is_let_through() {
        let rate = |count| Rate::new(count, Duration::from_secs(1), None);
        let pacing = Pacing { events: rate(90), requests: rate(20), bytes: rate(9000) };
        let offer = |number: i64| Offer {
            at: Time::from_micros(number * 4000 + number % 7 * 1000),
            bytes: 50 + number.unsigned_abs() * 31 % 100,
            key: (),
        };
        let mut offers: Vec<_> = (0..600).map(offer).collect();
        offers.sort_by_key(|offer| offer.at);
        let batch = Batch { events: 15, bytes: 1000 };
        let told = pace(&offers, pacing, batch);

        // As a lane does it: what is there makes a batch, and each part of it is asked for until it may go.
        let moment = |offer: &Offer<()>| offer.at.micros() * 1000;
        let mut lane = LanePace::new(pacing, None);
        let (mut now, mut next, mut requests, mut waits) = (0, 0, 0, Vec::new());
        while next < offers.len() {
            now = now.max(moment(&offers[next]));
            let mut end = next;
            let mut size = 0;
            while end < offers.len() && moment(&offers[end]) <= now && end - next < batch.events {
                size += offers[end].bytes;
                if end > next && size > batch.bytes {
                    break;
                }
                end += 1;
            }
            while next < end {
                let bytes = |count: usize| {
                    offers[next..next + count].iter().map(|offer| offer.bytes).sum::<u64>()
                };
                match lane.ask_at(now, end - next, bytes) {
                    Pass::In(wait) => now += wait.as_nanos() as i64,
                    Pass::Now(count) => {
                        let sent = offers[next..next + count].iter();
                        waits.extend(sent.map(|offer| (now - moment(offer)) as u64));
                        (next, requests) = (next + count, requests + 1);
                    }
                }
            }
        }
        waits.sort_unstable();
        let simulated: Vec<_> = told.waits.iter().map(|wait| wait.as_nanos() as u64).collect();
        assert_eq!((told.requests, simulated), (requests, waits));
        assert!(told.delayed() > 100 && told.delayed() < 600, "{}", told.delayed());
    }

    #[test]
    fn a_destination_that_has_too_much_gets_less_and_one_that_is_closed_nothing() {
        let pacing = Pacing {
            events: Rate::new(100, Duration::from_secs(1), std::num::NonZeroU32::new(1)),
            ..Pacing::default()
        };
        let mut lane = LanePace::new(pacing, None);
        let nothing = |_: usize| 0;
        let quick = Duration::from_millis(5);
        let sent = |lane: &mut LanePace, from: Nanos| {
            let moments = (0..1000).map(|milli| from + milli * 1_000_000);
            moments.filter(|now| lane.ask_at(*now, 1, nothing) == Pass::Now(1)).count()
        };
        assert_eq!(sent(&mut lane, 0), 100);
        let second = 1_000_000_000;
        for number in 1..=2 {
            lane.answered_at(number * second, Outcome::Throttled, quick, None);
        }
        assert_eq!(sent(&mut lane, 3 * second), 25);
        let share = lane.answered_at(4 * second, Outcome::Refused, quick, None);
        assert!((share - 0.25).abs() < 1e-9, "a refusal says nothing of the pace");
        lane.answered_at(5 * second, Outcome::Taken, quick, Some(Duration::from_secs(2)));
        assert_eq!(lane.ask_at(6 * second, 1, nothing), Pass::In(Duration::from_secs(1)));
        assert_eq!(lane.ask_at(7 * second, 1, nothing), Pass::Now(1));
    }

    #[test]
    fn a_restart_makes_a_destination_that_has_too_much_stand_no_more() {
        let folder = Folder::new();
        let wall = Arc::new(Clock::fixed(Time::from_micros(1_000_000)));
        let events = Rate::new(100, Duration::from_secs(1), std::num::NonZeroU32::new(1));
        let open = || {
            let ledger = Ledger::open(folder.path(), "lane", &wall).expect("a ledger");
            LanePace::new(Pacing { events, ..Pacing::default() }, Some(ledger))
        };
        let mut lane = open();
        let now = lane.now();
        lane.answered_at(now, Outcome::Throttled, Duration::from_millis(5), None);
        wall.advance_seconds(60);
        let mut lane = open();
        let start = lane.now();
        let moments = (0..1000).map(|milli| start + milli * 1_000_000);
        let sent = moments.filter(|now| lane.ask_at(*now, 1, |_| 0) == Pass::Now(1)).count();
        assert_eq!(sent, 50, "half of it, as before");
    }

    #[test]
    fn a_restart_gives_nothing_anew() {
        let folder = Folder::new();
        let wall = Arc::new(Clock::fixed(Time::from_micros(1_000_000)));
        let rate = Rate::new(50, Duration::from_hours(1), None);
        for pacing in [
            Pacing { events: rate, ..Pacing::default() },
            Pacing { requests: rate, ..Pacing::default() },
            Pacing { bytes: rate, ..Pacing::default() },
        ] {
            let open = || {
                let ledger = Ledger::open(folder.path(), "lane", &wall).expect("a ledger");
                LanePace::new(pacing, Some(ledger))
            };
            let size = |count: usize| count as u64;
            let sent = (0..1000).take_while(|_| open().ask(1, size) == Pass::Now(1)).count();
            assert_eq!(sent, 50, "over as many restarts");
            wall.advance_seconds(3600);
            assert_eq!(open().ask(1, size), Pass::Now(1));
            Ledger::remove(folder.path(), "lane").expect("gone");
        }
    }
}
