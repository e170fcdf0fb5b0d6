//! How much: rates by peer, webhook and account, and of events. In: who asks. Out: pass, or in how many seconds to ask
//! again; and what was asked, by the minute. Off unless set; bounded in memory whatever strangers send. governor stays
//! inside, with its monotonic clock.

mod bucket;
mod errands;
mod guesses;
mod ledger;
mod left;
mod pace;
mod questions;
mod simulate;
mod temper;

use std::fmt;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{NotUntil, Quota, RateLimiter};

use crate::clock::Time;
use crate::id::Uuid;

pub use bucket::Nanos;
pub use errands::{Asker, Attempts, Errands, Shares};
pub use guesses::Guesses;
use ledger::Asked;
pub use ledger::{Bucket, Ledger, Tally, minute_of, minute_start};
pub use left::{Charged, Left};
pub use pace::{BUDGETS, Pace, PaceTexts, Pacing, Pass};
pub use questions::{OverQuestions, Questions};
pub use simulate::{
    Batch, Offer, Paced, Refused, burst_that_refuses_none, pace, rate_that_keeps_within, refuse,
};
pub use temper::Temper;

/// Most keys with a budget of their own; those that come later share some.
const KEYS_MAX: usize = 100_000;
/// Budgets that late comers share.
const SHARED: u64 = 1 << 16;
/// Most that a budget may be worth.
const CENTURY: Duration = Duration::from_hours(24 * 365 * 100);
/// Every so many questions, keys whose budget is whole again are forgotten.
const SWEEP_EVERY: u64 = 4096;

/// So many in such a time, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: NonZeroU32,
    per: Duration,
    period: Duration,
    burst: NonZeroU32,
}

impl Rate {
    /// `count` in each `per`, of which `burst` may come at once (`count` when none is given); `None` for a rate of
    /// nothing.
    #[must_use]
    pub fn new(count: u32, per: Duration, burst: Option<NonZeroU32>) -> Option<Self> {
        let count = NonZeroU32::new(count)?;
        let period = per.checked_div(count.get()).filter(|period| !period.is_zero())?;
        Some(Self { count, per, period, burst: burst.unwrap_or(count) })
    }

    /// The time between two of them, in the long run.
    #[must_use]
    pub fn period(self) -> Duration {
        self.period
    }

    /// How many may come at once.
    #[must_use]
    pub fn burst(self) -> NonZeroU32 {
        self.burst
    }

    /// The same with another burst.
    #[must_use]
    pub fn with_burst(self, burst: NonZeroU32) -> Self {
        Self { burst, ..self }
    }

    /// How many in a minute, in the long run.
    #[must_use]
    pub fn per_minute(self) -> u64 {
        let count = Duration::from_mins(1).as_nanos() / self.period.as_nanos().max(1);
        u64::try_from(count).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, unit_of(self.per))
    }
}

/// The units of time, longest way to write them first.
const UNITS: [(&str, u64); 4] = [("min", 60), ("s", 1), ("m", 60), ("h", 3600)];

/// Reads a rate as people write it: `100/s`, `600/min`, `10/h`; a bare count is one of a second.
#[must_use]
pub fn read_rate(text: &str) -> Option<(NonZeroU32, Duration)> {
    let (count, unit) = text.split_once('/').unwrap_or((text, "s"));
    let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit.trim())?;
    Some((count.trim().parse().ok()?, Duration::from_secs(*seconds)))
}

/// How a span of time is written behind a rate's count.
#[must_use]
pub fn unit_of(per: Duration) -> &'static str {
    UNITS.iter().find(|(_, seconds)| *seconds == per.as_secs()).map_or("s", |(name, _)| name)
}

/// Over its budget; it may ask again after so many whole seconds, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("over the limit; again in {retry_after_seconds} s")]
pub struct Exceeded {
    /// For `Retry-After`.
    pub retry_after_seconds: u64,
}

/// Whose budget a request is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Over {
    /// The webhook's.
    #[error("the webhook is {0}")]
    Webhook(Exceeded),
    /// The account's.
    #[error("the account is {0}")]
    Account(Exceeded),
}

/// Rates as they are configured; what is `None` is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Requests of one peer address (IPv6: of one /64), before anything is known of them.
    pub peer: Option<Rate>,
    /// Requests to one webhook, charged once verified.
    pub webhook: Option<Rate>,
    /// Requests to all webhooks of one account, charged once verified.
    pub account: Option<Rate>,
    /// Events that clients publish to one account.
    pub event: Option<Rate>,
    /// Requests of one peer to slugs that no webhook answers to; what is right is never charged.
    pub wrong_slugs: Option<Rate>,
    /// Requests of one peer with keys that do not count; what is right is never charged.
    pub wrong_keys: Option<Rate>,
    /// Questions of one peer whether one webhook wants events.
    pub peer_questions: Option<Rate>,
    /// Those of all peers.
    pub webhook_questions: Option<Rate>,
}

/// All budgets but those of tries at passwords, and what was asked of them.
#[derive(Debug, Default)]
pub struct Limits {
    rates: Rates,
    peer: Option<Keyed<IpAddr>>,
    webhook: Option<Keyed<Uuid>>,
    account: Option<Keyed<Uuid>>,
    event: Option<Keyed<Uuid>>,
    guesses: Guesses,
    questions: Questions,
    ledger: Ledger,
}

impl Limits {
    /// Budgets for those rates, all whole.
    #[must_use]
    pub fn new(rates: Rates) -> Self {
        Self {
            rates,
            peer: rates.peer.map(|rate| Keyed::new(rate, DefaultClock::default())),
            webhook: rates.webhook.map(|rate| Keyed::new(rate, DefaultClock::default())),
            account: rates.account.map(|rate| Keyed::new(rate, DefaultClock::default())),
            event: rates.event.map(|rate| Keyed::new(rate, DefaultClock::default())),
            guesses: Guesses::new(&rates),
            questions: Questions::new(&rates),
            ledger: Ledger::default(),
        }
    }

    /// What was asked of budgets since it was taken last, those without a limit too.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The budgets of those who are wrong.
    #[must_use]
    pub fn guesses(&self) -> &Guesses {
        &self.guesses
    }

    /// The budgets of those who ask whether a webhook wants events.
    #[must_use]
    pub fn questions(&self) -> &Questions {
        &self.questions
    }

    /// The rates it was made of.
    #[must_use]
    pub fn rates(&self) -> Rates {
        self.rates
    }

    /// Charges a peer one request; says what is left, if there is a limit.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub fn charge_peer(&self, peer: IpAddr) -> Result<Option<Left>, Exceeded> {
        self.peer.as_ref().map(|limit| limit.draw(network(peer))).transpose()
    }

    /// Charges a webhook of an account and workspace one request, then the account; says what both have left.
    ///
    /// # Errors
    /// [`Over`].
    pub fn charge_request(
        &self,
        place: (Uuid, Uuid),
        webhook: Uuid,
        now: Time,
    ) -> Result<Charged, Over> {
        let own = self.webhook.as_ref().map(|limit| limit.draw(webhook)).transpose();
        let charged = own.map_err(Over::Webhook).and_then(|webhook| {
            let shared = self.account.as_ref().map(|limit| limit.draw(place.0)).transpose();
            let account = shared.map_err(Over::Account)?;
            Ok(Charged { peer: None, webhook, account })
        });
        let asked = match charged {
            Ok(_) => Asked::Granted,
            Err(Over::Webhook(_)) => Asked::RefusedByWebhook,
            Err(Over::Account(_)) => Asked::RefusedByAccount,
        };
        self.ledger.note_request(now, place, webhook, asked);
        charged
    }

    /// Charges an account so many events, all or none. More than may come at once are charged as that many: they
    /// could never pass otherwise. Whoever asked says what came of it, by [`Self::note_events`]: they may wait a little
    /// and ask again.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub fn charge_events(&self, account: Uuid, events: usize) -> Result<(), Exceeded> {
        let count = NonZeroU32::new(u32::try_from(events).unwrap_or(u32::MAX));
        match (&self.event, count) {
            (Some(limit), Some(count)) => limit.charge_many(account, count),
            _ => Ok(()),
        }
    }

    /// Counts events that were let in, or turned away.
    pub fn note_events(&self, account: Uuid, events: usize, is_granted: bool, now: Time) {
        self.ledger.note(now, account, Bucket::Events, events as u64, is_granted);
    }
}

/// Who shares a peer's budget: an IPv4 address alone, of IPv6 the /64 that one subscriber holds.
#[must_use]
pub fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(network.into())
        }
    }
}

/// A budget of one's own, or one that is shared because too many have one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Slot<K> {
    Own(K),
    Shared(u64),
}

type Store<K> = HashMapStateStore<Slot<K>>;
type Governor<K, C> = RateLimiter<Slot<K>, Store<K>, C, StateInformationMiddleware>;

/// One budget for each key.
struct Keyed<K: Hash + Eq + Clone, C: Clock = DefaultClock> {
    governor: Governor<K, C>,
    clock: C,
    burst: NonZeroU32,
    keys_max: usize,
    asked: AtomicU64,
    full: AtomicBool,
    hasher: RandomState,
}

impl<K: Hash + Eq + Clone, C: Clock> fmt::Debug for Keyed<K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyed").field("keys", &self.governor.len()).finish_non_exhaustive()
    }
}

impl<K: Hash + Eq + Clone, C: Clock + Clone> Keyed<K, C> {
    fn new(rate: Rate, clock: C) -> Self {
        // Governor counts the time that a burst is worth in 64 bits of nanoseconds: that much does for a century.
        let most = CENTURY.as_nanos() / rate.period.as_nanos().max(1);
        let most = NonZeroU32::new(u32::try_from(most).unwrap_or(u32::MAX));
        let burst = rate.burst.min(most.unwrap_or(NonZeroU32::MIN));
        let quota = Quota::with_period(rate.period)
            .expect("a rate's period is longer than nothing")
            .allow_burst(burst);
        Self {
            governor: RateLimiter::hashmap_with_clock(quota, clock.clone()).with_middleware(),
            clock,
            burst,
            keys_max: KEYS_MAX,
            asked: AtomicU64::new(0),
            full: AtomicBool::new(false),
            hasher: RandomState::new(),
        }
    }

    fn charge(&self, key: K) -> Result<(), Exceeded> {
        self.draw(key).map(|_| ())
    }

    /// Charges one, and says what is left.
    fn draw(&self, key: K) -> Result<Left, Exceeded> {
        let slot = self.slot(key);
        let state = self.governor.check_key(&slot).map_err(|until| self.exceeded(&until))?;
        Ok(Left { count: state.remaining_burst_capacity(), of: self.burst })
    }

    fn charge_many(&self, key: K, count: NonZeroU32) -> Result<(), Exceeded> {
        let slot = self.slot(key);
        let count = count.min(self.burst);
        match self.governor.check_key_n(&slot, count) {
            Ok(passed) => passed.map(|_| ()).map_err(|until| self.exceeded(&until)),
            // Only for a count over the burst.
            Err(_) => Ok(()),
        }
    }

    fn slot(&self, key: K) -> Slot<K> {
        if self.asked.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.sweep();
        }
        if self.full.load(Ordering::Relaxed) {
            Slot::Shared(self.hasher.hash_one(&key) % SHARED)
        } else {
            Slot::Own(key)
        }
    }

    fn exceeded(&self, until: &NotUntil<C::Instant>) -> Exceeded {
        let wait = until.wait_time_from(self.clock.now());
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Exceeded { retry_after_seconds: seconds.max(1) }
    }

    /// Forgets whole budgets; says whether there is room for more of them.
    fn sweep(&self) {
        self.governor.retain_recent();
        self.full.store(self.governor.len() >= self.keys_max, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn keyed(rate: Rate) -> (Keyed<u32, FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (Keyed::new(rate, clock.clone()), clock)
    }

    fn per_second(count: u32, burst: u32) -> Rate {
        Rate::new(count, Duration::from_secs(1), NonZeroU32::new(burst)).expect("a rate")
    }

    fn left(count: u32, of: u32) -> Option<Left> {
        NonZeroU32::new(of).map(|of| Left { count, of })
    }

    #[test]
    fn what_is_left_is_told_of_each_that_is_charged() {
        let (limit, clock) = keyed(per_second(2, 3));
        let counts = [(); 4].map(|()| limit.draw(1).ok());
        assert_eq!(counts, [left(2, 3), left(1, 3), left(0, 3), None]);
        clock.advance(Duration::from_secs(1));
        assert_eq!(limit.draw(1).ok(), left(1, 3), "two came in, one went");
        clock.advance(Duration::from_hours(1));
        assert_eq!(limit.draw(1).ok(), left(2, 3), "never more than all");
        let largest = |time| Rate::new(1, time, NonZeroU32::new(u32::MAX)).expect("a rate");
        let (limit, _) = keyed(largest(Duration::from_millis(1)));
        assert_eq!(limit.draw(1).ok(), left(u32::MAX - 1, u32::MAX));
        let (limit, _) = keyed(largest(Duration::from_hours(1)));
        assert_eq!(limit.draw(1).ok(), left(875_999, 876_000), "what comes in in a century");

        let hourly = |count| Rate::new(count, Duration::from_hours(1), None);
        let rates = Rates { webhook: hourly(9), account: hourly(2), ..Rates::default() };
        let limits = Limits::new(rates);
        let charge = |webhook| {
            let place = (Uuid::nil(), Uuid::nil());
            limits.charge_request(place, Uuid::from_u128(webhook), Time::default())
        };
        let charged = |webhook, account| Ok(Charged { peer: None, webhook, account });
        assert_eq!(charge(1), charged(left(8, 9), left(1, 2)));
        assert_eq!(charge(2), charged(left(8, 9), left(0, 2)));
        assert!(matches!(charge(1), Err(Over::Account(_))));
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let (limit, clock) = keyed(per_second(2, 3));
        for _ in 0..3 {
            assert_eq!(limit.charge(1), Ok(()));
        }
        assert_eq!(limit.charge(1), Err(Exceeded { retry_after_seconds: 1 }));
        assert_eq!(limit.charge(2), Ok(()), "another's budget is whole");
        clock.advance(Duration::from_millis(499));
        assert!(limit.charge(1).is_err());
        clock.advance(Duration::from_millis(1));
        assert_eq!(limit.charge(1), Ok(()));
        assert!(limit.charge(1).is_err());
    }

    #[test]
    fn many_at_once_are_all_charged_or_none() {
        let (limit, clock) = keyed(per_second(10, 10));
        let count = |count| NonZeroU32::new(count).expect("some");
        assert_eq!(limit.charge_many(1, count(6)), Ok(()));
        assert!(limit.charge_many(1, count(6)).is_err());
        assert_eq!(limit.charge_many(1, count(4)), Ok(()), "nothing was charged before");
        clock.advance(Duration::from_secs(1));
        assert_eq!(limit.charge_many(1, count(5000)), Ok(()), "all there is");
        assert_eq!(limit.charge(1), Err(Exceeded { retry_after_seconds: 1 }));
        let off = Limits::default();
        assert_eq!(off.charge_events(Uuid::nil(), usize::MAX), Ok(()));
    }

    #[test]
    fn the_wait_is_in_whole_seconds_rounded_up() {
        let hourly = Rate::new(1, Duration::from_hours(1), None).expect("a rate");
        let (limit, clock) = keyed(hourly);
        assert_eq!(limit.charge(1), Ok(()));
        assert_eq!(limit.charge(1), Err(Exceeded { retry_after_seconds: 3600 }));
        clock.advance(Duration::from_millis(1));
        assert_eq!(limit.charge(1), Err(Exceeded { retry_after_seconds: 3600 }));
        clock.advance(Duration::from_millis(3_599_998));
        assert_eq!(limit.charge(1), Err(Exceeded { retry_after_seconds: 1 }));
        assert_eq!(hourly.per_minute(), 0);
        assert_eq!(per_second(2, 1).per_minute(), 120);
        assert_eq!(Rate::new(0, Duration::from_secs(1), None), None);
        assert_eq!(Rate::new(5, Duration::ZERO, None), None);
    }

    #[test]
    fn strangers_cannot_fill_the_memory() {
        let (mut limit, clock) = keyed(per_second(1, 1));
        limit.keys_max = 1000;
        for key in 0..100_000 {
            let _ = limit.charge(key);
        }
        let most = 1000 + SWEEP_EVERY as usize + SHARED as usize;
        assert!(limit.governor.len() <= most, "{} keys", limit.governor.len());
        clock.advance(Duration::from_secs(10));
        limit.sweep();
        assert_eq!(limit.governor.len(), 0);
        assert_eq!(limit.charge(1), Ok(()));
        assert!(limit.charge(1).is_err());
        assert_eq!(limit.charge(2), Ok(()), "each has its own again");
    }

    #[test]
    fn off_unless_set_and_one_budget_for_one_network() {
        let one = |text: &str| text.parse::<IpAddr>().expect("an address");
        let off = Limits::default();
        let (nowhere, now) = ((Uuid::nil(), Uuid::nil()), Time::default());
        for _ in 0..1000 {
            assert_eq!(off.charge_peer(one("192.0.2.1")), Ok(None));
            assert_eq!(off.charge_request(nowhere, Uuid::nil(), now), Ok(Charged::default()));
        }
        let hourly = Rate::new(1, Duration::from_hours(1), None);
        let limits = Limits::new(Rates { peer: hourly, ..Rates::default() });
        assert_eq!(limits.charge_peer(one("2001:db8::1")), Ok(left(0, 1)));
        assert!(limits.charge_peer(one("2001:db8::ffff:2")).is_err(), "the same /64");
        assert!(limits.charge_peer(one("2001:db8:0:1::1")).is_ok());
        assert!(limits.charge_peer(one("192.0.2.1")).is_ok());
        assert!(limits.charge_peer(one("::ffff:192.0.2.1")).is_err(), "the same address");
        assert_eq!(limits.charge_request(nowhere, Uuid::nil(), now), Ok(Charged::default()));
    }
}
