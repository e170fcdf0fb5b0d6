//! Requests that came to no event, and events that they get later than they came. In: what such a request is known by.
//! Out: whether another one of its keys has an event; the keys behind the events of a frame, and back. A request that
//! failed has keys of its own, made of those that it would have had: whoever has one has the other, so that one sent
//! again may still come to the event, and none comes to two.
//!
//! Behind the events of an own frame stands for each key: webhook, digest and received event (16 each), the moment (8).

use std::collections::HashMap;
use std::sync::PoisonError;

use super::content::{self, OWN};
use super::once::{Also, Once, append, append_first, find_late};
use super::{Again, Digest, First, Frame, Key, Receipt, Spool, SpoolError, Taken};
use crate::clock::Time;
use crate::event::Event;
use crate::id::Uuid;
use crate::journal::Header;

/// Bytes of one key.
const KEY_BYTES: usize = 56;

/// The digest that a request is known by that came to no event; of that one, the digest it would have had.
#[must_use]
pub fn of_failed(digest: Digest) -> Digest {
    digest.map(|byte| !byte)
}

impl Again {
    /// The same for those that came to no event.
    #[must_use]
    pub fn of_failed(&self) -> Self {
        let (webhook, digest) = self.key;
        Self { key: (webhook, of_failed(digest)), since: self.since }
    }
}

/// A request that gets its event later than it came.
#[derive(Clone, Debug)]
pub struct Late {
    /// Its received event's id.
    pub id: Uuid,
    /// When its head was complete.
    pub received: Time,
    /// What it is known by, and within how many seconds, before or after, another of that key is the same.
    pub keys: Vec<(Key, i64)>,
}

impl Late {
    /// Whether another one that came then is the same by a key of that many seconds.
    pub(super) fn is_near(&self, other: Time, seconds: i64) -> bool {
        let from = |seconds| self.received.plus_seconds(seconds);
        from(-seconds) <= other && other <= from(seconds)
    }

    /// Its keys, once its event has a frame.
    pub(super) fn firsts(&self, sequence: u64) -> impl Iterator<Item = (Key, First)> {
        let Self { id, received, .. } = *self;
        let first = First { id, received, receipt: Receipt { sequence } };
        self.keys.iter().map(move |(key, _)| (*key, first))
    }
}

/// Their keys as a frame has them.
pub(super) fn print<'a>(all: impl Iterator<Item = &'a Late>) -> Vec<u8> {
    let mut out = Vec::new();
    for late in all {
        for ((webhook, digest), _) in &late.keys {
            out.extend_from_slice(webhook.as_bytes());
            out.extend_from_slice(digest);
            out.extend_from_slice(late.id.as_bytes());
            out.extend_from_slice(&late.received.micros().to_le_bytes());
        }
    }
    out
}

/// The keys that stand behind the events of an own frame.
pub(super) fn read(header: &Header, payload: &[u8]) -> Vec<(Key, First)> {
    let events: usize = content::texts(header, payload).map(<[u8]>::len).sum();
    let events = events + usize::from(header.count) * content::ENTRY_BYTES;
    let rest = payload.get(events..).filter(|_| header.kind == OWN).unwrap_or_default();
    let receipt = Receipt { sequence: header.sequence };
    let entry = |bytes: &[u8; KEY_BYTES]| {
        let digest = |at: usize| -> Digest { std::array::from_fn(|place| bytes[at + place]) };
        let received: [u8; 8] = std::array::from_fn(|place| bytes[48 + place]);
        let received = Time::from_micros(i64::from_le_bytes(received));
        let first = First { id: Uuid::from_bytes(digest(32)), received, receipt };
        ((Uuid::from_bytes(digest(0)), digest(16)), first)
    };
    rest.as_chunks::<KEY_BYTES>().0.iter().map(entry).collect()
}

impl Spool {
    /// As [`Spool::append_first`] for a request that came to no event. It is known again as that one only as long as
    /// it is kept and none of its keys has an event: the next that comes to one is taken, as if this had never been.
    ///
    /// # Errors
    /// As [`Spool::append`].
    pub async fn append_failed(
        &self,
        known: &[Again],
        named: (Uuid, Time),
        frame: Frame,
    ) -> Result<Taken, SpoolError> {
        append_first(&self.running.shared, known, named, frame, true).await
    }

    /// As [`Spool::append_all_once`] for events that are late: none is kept whose request has its event by one of its
    /// keys, in `late` by the event's id; their keys are known from then on, in the same frame. In front of the new
    /// ones stands an event that tells how many they are; none when there are none.
    ///
    /// # Errors
    /// As [`Spool::append_all_once`].
    pub async fn append_late(
        &self,
        place: (Uuid, Option<Uuid>),
        received: Time,
        events: Vec<Event>,
        late: &HashMap<Uuid, Late>,
        tell: &(dyn Fn(usize) -> Event + Sync),
    ) -> Result<usize, SpoolError> {
        let also = Also { tell: Some(tell), late: Some(late) };
        append(&self.running.shared, place, received, events, &also).await
    }

    /// Whether a request has its event by one of its keys.
    #[must_use]
    pub fn has_event(&self, late: &Late) -> bool {
        let shared = &self.running.shared;
        let keys = shared.keys.lock().unwrap_or_else(PoisonError::into_inner);
        find_late(shared, &keys, late) == Once::Kept
    }
}
