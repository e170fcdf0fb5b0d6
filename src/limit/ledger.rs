//! What was asked of budgets, counted by the minute until somebody writes it down. In: who asked when, how much, and
//! whether it passed. Out: one tally for each budget and minute. Bounded: beyond it, what is new is not counted until
//! the present tallies are taken.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use crate::clock::Time;
use crate::id::Uuid;

/// Most budgets and minutes that wait to be written down.
const OPEN_MAX: usize = 1 << 16;
/// Microseconds of a minute.
const MINUTE: i64 = 60_000_000;

/// Whose budget, within an account; its text is the key that clients know it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    /// Requests to all webhooks.
    Webhooks,
    /// Requests to one webhook.
    Webhook { workspace: Uuid, id: Uuid },
    /// Events that clients publish.
    Events,
}

impl Bucket {
    /// The bucket of a key; those of webhooks only inside their workspace.
    #[must_use]
    pub fn parse(key: &str, workspace: Option<Uuid>) -> Option<Self> {
        match (key, workspace) {
            ("webhooks", None) => Some(Self::Webhooks),
            ("writing-events", None) => Some(Self::Events),
            (key, Some(workspace)) => {
                let id = Uuid::parse_str(key.strip_prefix("webhooks/")?).ok()?;
                Some(Self::Webhook { workspace, id })
            }
            (_, None) => None,
        }
    }

    /// The workspace it belongs to.
    #[must_use]
    pub fn workspace(self) -> Option<Uuid> {
        match self {
            Self::Webhook { workspace, .. } => Some(workspace),
            Self::Webhooks | Self::Events => None,
        }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Webhooks => f.write_str("webhooks"),
            Self::Webhook { id, .. } => write!(f, "webhooks/{id}"),
            Self::Events => f.write_str("writing-events"),
        }
    }
}

/// The minute of a moment, counted from 1970.
#[must_use]
pub fn minute_of(moment: Time) -> i64 {
    moment.micros().div_euclid(MINUTE)
}

/// The moment a minute begins.
#[must_use]
pub fn minute_start(minute: i64) -> Time {
    Time::from_micros(minute.saturating_mul(MINUTE))
}

/// What was asked of one budget in one minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Of which account.
    pub account: Uuid,
    /// Which of its budgets.
    pub bucket: Bucket,
    /// Minutes since 1970.
    pub minute: i64,
    /// What passed.
    pub granted: u64,
    /// What did not.
    pub refused: u64,
}

type Place = (Uuid, Bucket, i64);

/// What was asked of one webhook in one minute, and of its account by way of it.
#[derive(Debug, Default)]
struct Requests {
    account: Uuid,
    workspace: Uuid,
    granted: u64,
    refused: u64,
    /// Of those the webhook's own budget granted.
    refused_by_account: u64,
}

/// What a request to a webhook came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Granted,
    RefusedByWebhook,
    RefusedByAccount,
}

/// Tallies that wait to be written down.
#[derive(Debug, Default)]
pub struct Ledger {
    open: Mutex<HashMap<Place, (u64, u64)>>,
    /// Requests to webhooks: all of them pass here, so each costs one look.
    requests: Mutex<HashMap<(Uuid, i64), Requests>>,
}

impl Ledger {
    /// Counts what was asked of a budget.
    pub fn note(&self, now: Time, account: Uuid, bucket: Bucket, count: u64, is_granted: bool) {
        let (granted, refused) = if is_granted { (count, 0) } else { (0, count) };
        self.add([Tally { account, bucket, minute: minute_of(now), granted, refused }]);
    }

    /// Counts a request to a webhook of an account and workspace.
    pub(super) fn note_request(
        &self,
        now: Time,
        (account, workspace): (Uuid, Uuid),
        webhook: Uuid,
        asked: Asked,
    ) {
        let place = (webhook, minute_of(now));
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.len() >= OPEN_MAX && !requests.contains_key(&place) {
            return;
        }
        let tally = requests.entry(place).or_default();
        (tally.account, tally.workspace) = (account, workspace);
        match asked {
            Asked::Granted => tally.granted += 1,
            Asked::RefusedByWebhook => tally.refused += 1,
            Asked::RefusedByAccount => {
                tally.granted += 1;
                tally.refused_by_account += 1;
            }
        }
    }

    /// Requests as tallies of the webhooks' budgets and of the accounts'.
    fn fold_requests(&self) {
        let requests =
            std::mem::take(&mut *self.requests.lock().unwrap_or_else(PoisonError::into_inner));
        self.add(requests.into_iter().flat_map(|((id, minute), requests)| {
            let Requests { account, workspace, granted, refused, refused_by_account } = requests;
            let bucket = Bucket::Webhook { workspace, id };
            let own = Tally { account, bucket, minute, granted, refused };
            let (granted, refused) = (granted - refused_by_account, refused_by_account);
            [own, Tally { bucket: Bucket::Webhooks, granted, refused, ..own }]
        }));
    }

    /// Hands out all that was counted, and begins anew.
    #[must_use]
    pub fn take(&self) -> Vec<Tally> {
        self.fold_requests();
        let open = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
        let tally = |((account, bucket, minute), (granted, refused))| Tally {
            account,
            bucket,
            minute,
            granted,
            refused,
        };
        open.into_iter().map(tally).collect()
    }

    /// Counts tallies, too; those that could not be written down come back so.
    pub fn add(&self, tallies: impl IntoIterator<Item = Tally>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for tally in tallies {
            let place = (tally.account, tally.bucket, tally.minute);
            if open.len() >= OPEN_MAX && !open.contains_key(&place) {
                continue;
            }
            let (granted, refused) = open.entry(place).or_default();
            *granted = granted.saturating_add(tally.granted);
            *refused = refused.saturating_add(tally.refused);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: Uuid = Uuid::from_bytes([7; 16]);

    #[test]
    fn what_was_asked_is_counted_by_the_minute_and_taken_once() {
        let ledger = Ledger::default();
        let at = |seconds: i64| Time::from_micros(seconds * 1_000_000);
        for (seconds, count, is_granted) in [(59, 1, true), (60, 2, true), (119, 3, false)] {
            ledger.note(at(seconds), ACCOUNT, Bucket::Events, count, is_granted);
        }
        let mut taken = ledger.take();
        taken.sort_by_key(|tally| tally.minute);
        let figures: Vec<_> =
            taken.iter().map(|tally| (tally.minute, tally.granted, tally.refused)).collect();
        assert_eq!(figures, [(0, 1, 0), (1, 2, 3)]);
        assert_eq!(ledger.take(), []);
        ledger.add(taken);
        ledger.note(at(61), ACCOUNT, Bucket::Events, 1, true);
        let granted: u64 = ledger.take().iter().map(|tally| tally.granted).sum();
        assert_eq!(granted, 4);
        assert_eq!(minute_start(minute_of(at(61))), at(60));
    }

    #[test]
    fn a_request_counts_for_its_webhook_and_for_its_account() {
        let (ledger, place) = (Ledger::default(), (ACCOUNT, Uuid::from_bytes([1; 16])));
        let (one, other) = (Uuid::from_bytes([2; 16]), Uuid::from_bytes([3; 16]));
        for (webhook, asked) in [
            (one, Asked::Granted),
            (one, Asked::RefusedByAccount),
            (one, Asked::RefusedByWebhook),
            (other, Asked::Granted),
        ] {
            ledger.note_request(Time::default(), place, webhook, asked);
        }
        let taken = ledger.take();
        let of = |bucket| {
            let found = taken.iter().find(|tally| tally.bucket == bucket).expect("a tally");
            (found.granted, found.refused)
        };
        assert_eq!(of(Bucket::Webhook { workspace: place.1, id: one }), (2, 1));
        assert_eq!(of(Bucket::Webhook { workspace: place.1, id: other }), (1, 0));
        assert_eq!(of(Bucket::Webhooks), (2, 1));
        assert_eq!((taken.len(), ledger.take().len()), (3, 0));
    }

    #[test]
    fn the_memory_is_bounded() {
        let ledger = Ledger::default();
        let bucket =
            |id| Bucket::Webhook { workspace: Uuid::nil(), id: Uuid::from_u128(id as u128) };
        for id in 0..OPEN_MAX + 10 {
            ledger.note(Time::default(), ACCOUNT, bucket(id), 1, true);
        }
        ledger.note(Time::default(), ACCOUNT, bucket(0), 1, true);
        let taken = ledger.take();
        assert_eq!(taken.len(), OPEN_MAX);
        assert!(taken.iter().any(|tally| tally.granted == 2));
    }

    #[test]
    fn keys_are_read_as_they_are_written_and_only_where_they_belong() {
        let (workspace, id) = (Uuid::from_bytes([1; 16]), Uuid::from_bytes([2; 16]));
        for bucket in [Bucket::Webhooks, Bucket::Events, Bucket::Webhook { workspace, id }] {
            let (key, place) = (bucket.to_string(), bucket.workspace());
            assert_eq!(Bucket::parse(&key, place), Some(bucket));
            let elsewhere = place.map_or(Some(workspace), |_| None);
            assert_eq!(Bucket::parse(&key, elsewhere), None);
        }
        assert_eq!(Bucket::parse("runs", None), None);
        assert_eq!(Bucket::parse("webhooks/x", Some(workspace)), None);
    }
}
