//! How fast one lane sends: its budgets, where they stood before the last stop, and how much of them the destination
//! stands. In: how many events wait, and what came back. Out: how many may go now, or a wait. The rules are `limit`'s;
//! here are the clock and the lane's own file.
//!
//! A share of a pace is that pace, stretched. Where none is set, or more than the destination ever took, that changes
//! nothing: so the share is one of what goes when each answer is followed by the next request, too.

use std::time::Duration;

use tokio::time::Instant;

use super::ledger::Ledger;
use crate::limit::{Nanos, Pace, Pacing, Pass, Temper};
use crate::telemetry::forward::Outcome;

/// So long at most a lane waits between two requests for no more than a share of what could go.
const REST_MAX: Duration = Duration::from_secs(5);

/// A lane's budgets.
#[derive(Debug)]
pub(super) struct LanePace {
    pace: Pace,
    temper: Temper,
    /// The destination said that it takes nothing before.
    closed_until: Nanos,
    /// Requests that may be on their way at once.
    abreast: f64,
    /// When the newest began, and how long the newest took that was answered.
    began: Option<Nanos>,
    took: Duration,
    /// The share that was told last.
    told: Option<f64>,
    ledger: Option<Ledger>,
    /// A moment of both clocks: no jump of the wall's lets more or less through.
    start: (Instant, Nanos),
}

impl LanePace {
    /// Budgets of which what a ledger says is used, for so many requests at once.
    pub(super) fn new(pacing: Pacing, abreast: usize, ledger: Option<Ledger>) -> Self {
        let (mut pace, temper, now) = match &ledger {
            Some(ledger) => {
                let now = ledger.now();
                let pace = Pace::resume(pacing, ledger.whole_at(), now);
                (pace, Temper::resume(ledger.share()), now)
            }
            None => (Pace::new(pacing), Temper::default(), 0),
        };
        pace.slow_down(1.0 / temper.share());
        let closed_until = ledger.as_ref().map_or(Nanos::MIN, Ledger::closed_until);
        let (abreast, took) = (abreast.max(1) as f64, Duration::ZERO);
        let start = (Instant::now(), now);
        let (began, told) = (None, None);
        Self { pace, temper, closed_until, abreast, began, took, told, ledger, start }
    }

    /// The destination is another one by now: nothing is known of until when it takes nothing.
    pub(super) fn reopen(&mut self) {
        self.closed_until = Nanos::MIN;
        if let Some(ledger) = &mut self.ledger {
            ledger.write_closed(Nanos::MIN);
        }
    }

    /// What was kept was said of another address.
    pub(super) fn is_anothers(&self) -> bool {
        self.ledger.as_ref().is_some_and(Ledger::is_anothers)
    }

    /// Something is kept elsewhere of the destination: of which address it is, stands here.
    pub(super) fn keep_address(&mut self) {
        if let Some(ledger) = &mut self.ledger {
            ledger.keep_address();
        }
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

    /// How long nothing goes, as the destination said, or for the share of what it could be sent.
    fn is_closed(&self, now: Nanos) -> Option<Duration> {
        let next = self.began.map_or(Nanos::MIN, |began| began.saturating_add(self.gap()));
        let closed = u64::try_from(self.closed_until.max(next).saturating_sub(now)).unwrap_or(0);
        (closed > 0).then(|| Duration::from_nanos(closed))
    }

    /// Between the beginnings of two requests; nothing while the whole share goes.
    fn gap(&self) -> Nanos {
        let share = self.temper.share();
        if share >= 1.0 {
            return 0;
        }
        let whole = self.took.div_f64(self.abreast);
        nanos(whole.div_f64(share).min(whole + REST_MAX))
    }

    fn ask_at(&mut self, now: Nanos, wanted: usize, bytes: impl Fn(usize) -> u64) -> Pass {
        if let Some(wait) = self.is_closed(now) {
            return Pass::In(wait);
        }
        let pass = self.pace.ask(now, wanted, bytes);
        if matches!(pass, Pass::Now(_)) {
            self.began = Some(now);
        }
        if self.pace.is_bounded()
            && let (Pass::Now(_), Some(ledger)) = (pass, &mut self.ledger)
        {
            let ahead = ledger.now().saturating_sub(now);
            ledger.write(self.pace.whole_at().map(|moment| moment.saturating_add(ahead)));
        }
        pass
    }

    /// An answer came, or none, after so long; it may say for how long nothing more is taken. The share of the pace
    /// that goes from now on, if that is another one.
    pub(super) fn answered(
        &mut self,
        outcome: Outcome,
        after: Duration,
        closed: Option<Duration>,
    ) -> Option<f64> {
        let share = self.answered_at(self.now(), outcome, after, closed);
        let is_news = self.told.is_none_or(|told| told.to_bits() != share.to_bits());
        self.told = Some(share);
        is_news.then_some(share)
    }

    fn answered_at(
        &mut self,
        now: Nanos,
        outcome: Outcome,
        after: Duration,
        closed: Option<Duration>,
    ) -> f64 {
        match outcome {
            Outcome::Taken => {
                self.took = after;
                self.temper.taken(now, after);
            }
            Outcome::Throttled | Outcome::Unavailable | Outcome::Timeout => {
                self.temper.too_much(now);
            }
            _ => {}
        }
        if let Some(closed) = closed {
            self.closed_until = self.closed_until.max(now.saturating_add(nanos(closed)));
            if let Some(ledger) = &mut self.ledger {
                let ahead = ledger.now().saturating_sub(now);
                ledger.write_closed(self.closed_until.saturating_add(ahead));
            }
        }
        let share = self.temper.share();
        self.pace.slow_down(1.0 / share);
        if let Some(ledger) = &mut self.ledger {
            ledger.write_share(share);
        }
        share
    }
}

fn nanos(time: Duration) -> Nanos {
    Nanos::try_from(time.as_nanos()).unwrap_or(Nanos::MAX)
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
        let mut lane = LanePace::new(pacing, 1, None);
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
        let mut lane = LanePace::new(pacing, 1, None);
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
    fn one_without_a_pace_gets_a_share_of_what_it_takes_and_a_healthy_one_all() {
        let second = 1_000_000_000;
        // Each answer comes after 10 ms, and the next request at once, on each of so many ways.
        let sent = |lane: &mut LanePace, from: Nanos, ways: usize| {
            let mut free = vec![from; ways];
            let mut count = 0;
            for now in (0..1000).map(|milli| from + milli * 1_000_000) {
                while let Some(way) = free.iter_mut().find(|free| **free <= now)
                    && lane.ask_at(now, 500, |_| 0) == Pass::Now(500)
                {
                    *way = now + 10_000_000;
                    count += 1;
                }
            }
            count
        };
        let took = Duration::from_millis(10);
        for ways in [1, 4] {
            let mut lane = LanePace::new(Pacing::default(), ways, None);
            lane.answered_at(0, Outcome::Taken, took, None);
            assert_eq!(sent(&mut lane, 0, ways), 100 * ways, "nothing is lost while all is well");
            for number in 1..=2 {
                lane.answered_at(number * second, Outcome::Throttled, took, None);
            }
            let quarter = sent(&mut lane, 3 * second, ways);
            assert!((24 * ways..=25 * ways + 1).contains(&quarter), "{quarter} on {ways}");
            // Answers that come much later than they used to say the same.
            let mut lane = LanePace::new(Pacing::default(), ways, None);
            lane.answered_at(0, Outcome::Taken, took, None);
            let slow = Duration::from_secs(2);
            assert!((lane.answered_at(second, Outcome::Taken, slow, None) - 0.5).abs() < 1e-9);
            assert_eq!(lane.ask_at(3 * second, 1, |_| 0), Pass::Now(1));
            let rest = Pass::In(Duration::from_secs(4) / ways as u32);
            assert_eq!(lane.ask_at(3 * second, 1, |_| 0), rest);
        }
    }

    #[test]
    fn a_restart_waits_as_the_destination_said_and_a_change_does_not() {
        let folder = Folder::new();
        let wall = Arc::new(Clock::fixed(Time::from_micros(1_000_000)));
        let open = || {
            let ledger = Ledger::open(folder.path(), "lane", &wall).expect("a ledger");
            LanePace::new(Pacing::default(), 1, Some(ledger))
        };
        let mut lane = open();
        assert_eq!(lane.ask(1, |_| 0), Pass::Now(1));
        drop(lane);
        assert!(!folder.path().join("pace").exists(), "nothing is to be kept");
        let mut lane = open();
        let now = lane.now();
        let quick = Duration::from_millis(5);
        lane.answered_at(now, Outcome::Taken, quick, Some(Duration::from_secs(30)));
        wall.advance_seconds(10);
        let Pass::In(wait) = open().ask(1, |_| 0) else { panic!("it takes nothing") };
        assert!(wait > Duration::from_secs(15) && wait <= Duration::from_secs(20), "{wait:?}");
        open().reopen();
        assert_eq!(open().ask(1, |_| 0), Pass::Now(1));
    }

    #[test]
    fn a_restart_makes_a_destination_that_has_too_much_stand_no_more() {
        let folder = Folder::new();
        let wall = Arc::new(Clock::fixed(Time::from_micros(1_000_000)));
        let events = Rate::new(100, Duration::from_secs(1), std::num::NonZeroU32::new(1));
        let open = || {
            let ledger = Ledger::open(folder.path(), "lane", &wall).expect("a ledger");
            LanePace::new(Pacing { events, ..Pacing::default() }, 1, Some(ledger))
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
                LanePace::new(pacing, 1, Some(ledger))
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
