//! What was fetched, and what could not be. In: what somebody wants, and the moment. Out: it, or whether it is to be
//! fetched now. Bounded in entries; what was not to be had is asked for less and less often. No I/O.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::FetchFault;
use crate::clock::Time;
use crate::verify::signature::{Form, Kept, Wanted};

/// Most addresses of which anything is remembered.
const ENTRIES_MAX: usize = 512;
/// How long an answer is fresh, whatever its server says, and when it says nothing.
const FRESH_SECONDS: std::ops::RangeInclusive<i64> = 300..=86_400;
const FRESH_UNSAID_SECONDS: i64 = 3600;
/// How long after that it is good enough while no newer one can be had.
const STALE_SECONDS: i64 = 86_400;
/// Newer keys are not asked for before, whatever tokens name.
const NEWER_SECONDS: i64 = 60;
/// After a failure an address is not asked again before this time; it doubles with each one more, up to the second.
const FAILED_SECONDS: i64 = 5;
const FAILED_MAX_SECONDS: i64 = 300;

type Key = (String, Form, Option<[u8; 16]>);

/// All that is remembered.
#[derive(Debug, Default)]
pub(super) struct Keep(HashMap<Key, Entry>);

#[derive(Debug)]
struct Entry {
    kept: Option<Arc<Kept>>,
    /// When that was fetched, and until when it is fresh.
    fetched: Time,
    fresh_until: Time,
    /// Failures since, the last one in words, and until when it is not tried again.
    failures: u32,
    fault: String,
    again: Time,
    used: Time,
    /// Ends when the fetch that runs does.
    flight: Option<watch::Receiver<()>>,
}

/// What is to be done to have something.
pub(super) enum Look {
    /// Nothing: it is at hand.
    Here,
    /// Nothing: it was fetched just now, and nothing newer can be expected.
    Newest,
    /// Nothing: it failed just now.
    Failed(FetchFault),
    /// Wait: somebody fetches it.
    Flying(watch::Receiver<()>),
    /// Fetch it.
    Due,
}

impl Keep {
    fn key(wanted: &Wanted) -> Key {
        (wanted.address.clone(), wanted.form, wanted.asks.as_ref().map(|ask| ask.of))
    }

    /// What is at hand; the second: whether a newer one should be fetched meanwhile.
    pub(super) fn find(&mut self, wanted: &Wanted, now: Time) -> Option<(Arc<Kept>, bool)> {
        let entry = self.0.get_mut(&Self::key(wanted))?;
        let kept = entry.kept.clone()?;
        if now >= entry.fresh_until.plus_seconds(STALE_SECONDS) {
            entry.kept = None;
            return None;
        }
        entry.used = now;
        let is_due = now >= entry.fresh_until && now >= entry.again && entry.flying().is_none();
        Some((kept, is_due))
    }

    /// What is to be done.
    pub(super) fn look(&mut self, wanted: &Wanted, now: Time) -> Look {
        let is_here = self.find(wanted, now).is_some();
        let Some(entry) = self.0.get(&Self::key(wanted)) else { return Look::Due };
        if is_here && !wanted.newer {
            return Look::Here;
        }
        if let Some(flight) = entry.flying() {
            return Look::Flying(flight.clone());
        }
        if is_here && now < entry.fetched.plus_seconds(NEWER_SECONDS) {
            return Look::Newest;
        }
        if now < entry.again {
            let seconds = (entry.again.micros() - now.micros()).div_euclid(1_000_000) + 1;
            let retry_after = u64::try_from(seconds).unwrap_or(1);
            return Look::Failed(FetchFault::Before { why: entry.fault.clone(), retry_after });
        }
        Look::Due
    }

    /// A fetch begins; it ends when the sender of `flight` is gone.
    pub(super) fn fly(&mut self, wanted: &Wanted, flight: watch::Receiver<()>, now: Time) {
        let key = Self::key(wanted);
        if !self.0.contains_key(&key) {
            self.make_room();
        }
        let entry = self.0.entry(key).or_insert_with(|| Entry::new(now));
        entry.flight = Some(flight);
    }

    /// A fetch ended well.
    pub(super) fn land(&mut self, wanted: &Wanted, kept: Kept, age: Option<i64>, now: Time) {
        let Some(entry) = self.0.get_mut(&Self::key(wanted)) else { return };
        let seconds = age.unwrap_or(FRESH_UNSAID_SECONDS);
        let seconds = seconds.clamp(*FRESH_SECONDS.start(), *FRESH_SECONDS.end());
        *entry = Entry { kept: Some(Arc::new(kept)), used: entry.used, ..Entry::new(now) };
        entry.fresh_until = now.plus_seconds(seconds);
    }

    /// A fetch failed.
    pub(super) fn fail(&mut self, wanted: &Wanted, fault: &FetchFault, now: Time) {
        let Some(entry) = self.0.get_mut(&Self::key(wanted)) else { return };
        let pause = FAILED_SECONDS.saturating_mul(1 << entry.failures.min(16));
        entry.again = now.plus_seconds(pause.min(FAILED_MAX_SECONDS));
        entry.failures += 1;
        entry.fault = fault.to_string();
        entry.flight = None;
    }

    /// Forgets what was of no use for the longest time, what failed before what is kept.
    fn make_room(&mut self) {
        if self.0.len() < ENTRIES_MAX {
            return;
        }
        let idle = self.0.iter().filter(|(_, entry)| entry.flying().is_none());
        let oldest = idle.min_by_key(|(_, entry)| (entry.kept.is_some(), entry.used));
        if let Some(key) = oldest.map(|(key, _)| key.clone()) {
            self.0.remove(&key);
        }
    }
}

impl Entry {
    fn new(now: Time) -> Self {
        Self {
            kept: None,
            fetched: now,
            fresh_until: now,
            failures: 0,
            fault: String::new(),
            again: now,
            used: now,
            flight: None,
        }
    }

    /// The fetch that runs.
    fn flying(&self) -> Option<&watch::Receiver<()>> {
        self.flight.as_ref().filter(|flight| flight.has_changed().is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &str = r#"{"keys": [{"kty": "OKP", "crv": "Ed25519",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    fn wanted(address: &str) -> Wanted {
        Wanted { address: address.to_owned(), form: Form::Keys, newer: false, asks: None }
    }

    fn at(seconds: i64) -> Time {
        Time::from_micros(0).plus_seconds(seconds)
    }

    /// One fetch, from its beginning to its end.
    fn fetch(keep: &mut Keep, wanted: &Wanted, now: i64, age: Option<i64>) {
        let (flight, lands) = watch::channel(());
        keep.fly(wanted, lands, at(now));
        keep.land(wanted, wanted.read(KEYS.as_bytes()).expect("keys"), age, at(now));
        drop(flight);
    }

    #[test]
    fn what_was_fetched_is_kept_and_renewed_within_bounds() {
        for (age, fresh) in
            [(None, 3600), (Some(0), 300), (Some(900), 900), (Some(1 << 40), 86_400)]
        {
            let (mut keep, one) = (Keep::default(), wanted("https://a.example/"));
            assert!(matches!(keep.look(&one, at(0)), Look::Due));
            fetch(&mut keep, &one, 0, age);
            let is_due = |keep: &mut Keep, now| keep.find(&one, at(now)).map(|found| found.1);
            assert_eq!(is_due(&mut keep, fresh - 1), Some(false));
            assert_eq!(is_due(&mut keep, fresh), Some(true));
            assert!(matches!(keep.look(&one, at(fresh + STALE_SECONDS - 1)), Look::Here));
            assert_eq!(is_due(&mut keep, fresh + STALE_SECONDS), None);
            assert!(matches!(keep.look(&one, at(fresh + STALE_SECONDS)), Look::Due));
        }
    }

    #[test]
    fn a_name_that_nobody_knows_makes_one_fetch_a_minute() {
        let (mut keep, one) = (Keep::default(), wanted("https://a.example/"));
        fetch(&mut keep, &one, 0, None);
        let newer = Wanted { newer: true, ..one.clone() };
        assert!(matches!(keep.look(&newer, at(59)), Look::Newest));
        assert!(matches!(keep.look(&newer, at(60)), Look::Due));
        fetch(&mut keep, &one, 60, None);
        assert!(matches!(keep.look(&newer, at(119)), Look::Newest));
    }

    #[test]
    fn what_fails_is_asked_for_less_and_less_and_what_was_there_stays() {
        let (mut keep, one) = (Keep::default(), wanted("https://a.example/"));
        let (mut now, mut pauses) = (0, Vec::new());
        for _ in 0..9 {
            let (flight, lands) = watch::channel(());
            keep.fly(&one, lands, at(now));
            keep.fail(&one, &FetchFault::Address, at(now));
            drop(flight);
            let Look::Failed(FetchFault::Before { retry_after, .. }) = keep.look(&one, at(now))
            else {
                panic!("it failed");
            };
            pauses.push(retry_after - 1);
            now += i64::try_from(retry_after).expect("seconds") - 1;
            assert!(matches!(keep.look(&one, at(now - 1)), Look::Failed(_)));
            assert!(matches!(keep.look(&one, at(now)), Look::Due));
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
        fetch(&mut keep, &one, now, None);
        let (_, lands) = watch::channel(());
        keep.fly(&one, lands, at(now + 4000));
        keep.fail(&one, &FetchFault::Address, at(now + 4000));
        assert!(matches!(keep.look(&one, at(now + 4001)), Look::Here), "it is stale, and there");
        let found = keep.find(&one, at(now + 4001));
        assert_eq!(found.map(|found| found.1), Some(false), "and not asked for at once");
    }

    #[test]
    fn a_fetch_that_is_gone_keeps_nobody_waiting() {
        let (mut keep, one) = (Keep::default(), wanted("https://a.example/"));
        let (flight, lands) = watch::channel(());
        keep.fly(&one, lands, at(0));
        assert!(matches!(keep.look(&one, at(0)), Look::Flying(_)));
        drop(flight);
        assert!(matches!(keep.look(&one, at(0)), Look::Due));
    }

    #[test]
    fn thousands_of_addresses_push_out_none_that_is_kept() {
        let (mut keep, good) = (Keep::default(), wanted("https://good.example/"));
        fetch(&mut keep, &good, 0, None);
        for number in 0..5000 {
            let other = wanted(&format!("https://a.example/{number}"));
            let (_, lands) = watch::channel(());
            keep.fly(&other, lands, at(1));
            keep.fail(&other, &FetchFault::Address, at(1));
        }
        assert!(keep.0.len() <= ENTRIES_MAX);
        assert!(matches!(keep.look(&good, at(2)), Look::Here));
    }
}
