//! How fast one lane sends: its budgets, and where they stood before the last stop. In: how many events wait. Out: how
//! many may go now, or a wait. The rules are `limit`'s; here are the clock and the lane's own file.

use std::time::Instant;

use super::ledger::Ledger;
use crate::limit::{Nanos, Pace, Pacing, Pass};

/// A lane's budgets.
#[derive(Debug)]
pub(super) struct LanePace {
    pace: Pace,
    ledger: Option<Ledger>,
    /// A moment of both clocks: no jump of the wall's lets more or less through.
    start: (Instant, Nanos),
}

impl LanePace {
    /// Budgets of which what a ledger says is used.
    pub(super) fn new(pacing: Pacing, ledger: Option<Ledger>) -> Self {
        let (pace, now) = match &ledger {
            Some(ledger) => {
                let now = ledger.now();
                (Pace::resume(pacing, ledger.whole_at(), now), now)
            }
            None => (Pace::new(pacing), 0),
        };
        Self { pace, ledger, start: (Instant::now(), now) }
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

    fn ask_at(&mut self, now: Nanos, wanted: usize, bytes: impl Fn(usize) -> u64) -> Pass {
        let pass = self.pace.ask(now, wanted, bytes);
        if let (Pass::Now(_), Some(ledger)) = (pass, &mut self.ledger) {
            let ahead = ledger.now().saturating_sub(now);
            ledger.write(self.pace.whole_at().map(|moment| moment.saturating_add(ahead)));
        }
        pass
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

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
