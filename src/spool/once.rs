//! What was seen before: events that must be appended once, ids that templates gave, keys of requests. In: events and
//! requests as they come, ids and keys as recovery finds them. Out: known or not, and the new ones appended. Bounded:
//! the oldest is forgotten first.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::append::Append;
use super::firsts::Entry;
use super::shared::Shared;
use super::{Frame, Receipt, Spool, SpoolError};
use crate::clock::Time;
use crate::event::Event;
use crate::id::Uuid;

/// A digest of what tells a request from others of its webhook.
pub type Digest = [u8; 16];

/// A webhook and what tells a request from its others.
pub type Key = (Uuid, Digest);

/// How a request is known again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Again {
    /// By what.
    pub key: Key,
    /// From when on it counts.
    pub since: Time,
}

/// The first request of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct First {
    /// Its received event's id.
    pub id: Uuid,
    /// When its head was complete.
    pub received: Time,
    /// The proof that it is kept.
    pub receipt: Receipt,
}

/// What became of a request that is to be taken once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is kept.
    New(Receipt),
    /// It was kept before.
    Known(First),
}

/// Most ids each memory of ids holds.
pub(super) const IDS_MAX: usize = 100_000;
/// Most keys of requests that are remembered, of all webhooks together.
pub(super) const KEYS_MAX: usize = 1_000_000;
/// Longest a key is remembered, whatever is asked.
pub(super) const KEY_MAX_SECONDS: i64 = 604_800;
/// Between two looks at an event that somebody else brought, and how many there are.
const PAUSE: Duration = Duration::from_millis(2);
const PAUSES_MAX: u32 = 500;

/// An event's account, workspace and id: nobody takes an id away from another tenant by using it first.
pub(super) type Placed = (Uuid, Option<Uuid>, Uuid);

/// The newest things and what is known of each.
#[derive(Debug)]
pub(super) struct Memory<K, V = u64> {
    /// With its place in the order.
    known: HashMap<K, (i64, V)>,
    /// The oldest first.
    order: BTreeMap<i64, K>,
    most: usize,
}

impl<K: Copy + Eq + Hash, V: Copy> Memory<K, V> {
    pub(super) fn new(most: usize) -> Self {
        Self { known: HashMap::new(), order: BTreeMap::new(), most }
    }

    /// What is known of it.
    pub(super) fn find(&self, key: &K) -> Option<V> {
        self.known.get(key).map(|(_, value)| *value)
    }

    /// Puts it there as the newest, also when something else was known of it.
    pub(super) fn insert(&mut self, key: K, value: V) {
        let place = self.order.last_key_value().map_or(0, |(last, _)| last + 1);
        if let Some((earlier, _)) = self.known.insert(key, (place, value)) {
            self.order.remove(&earlier);
        }
        self.order.insert(place, key);
        if self.order.len() > self.most
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.known.remove(&oldest);
        }
    }

    /// Forgets the oldest as long as they are over.
    pub(super) fn forget(&mut self, is_over: impl Fn(&V) -> bool) {
        while let Some(oldest) = self.order.first_entry()
            && self.known.get(oldest.get()).is_none_or(|(_, value)| is_over(value))
        {
            self.known.remove(&oldest.remove());
        }
    }
}

impl<K: Copy + Eq + Hash, V: Copy> Memory<K, V> {
    /// Puts it there as the oldest, unless it is known or there is no room; whether it did.
    fn insert_oldest(&mut self, key: K, value: V) -> bool {
        let has_room = self.order.len() < self.most && !self.known.contains_key(&key);
        if has_room {
            let place = self.order.first_key_value().map_or(0, |(first, _)| first - 1);
            self.known.insert(key, (place, value));
            self.order.insert(place, key);
        }
        has_room
    }
}

/// The first request of each key, and which of them are not written down yet.
#[derive(Debug)]
pub(super) struct Keys {
    known: Memory<Key, First>,
    /// In the order of their frames.
    fresh: VecDeque<Entry>,
}

impl Default for Keys {
    fn default() -> Self {
        Self { known: Memory::new(KEYS_MAX), fresh: VecDeque::new() }
    }
}

impl Keys {
    /// One that is to be written down.
    pub(super) fn insert(&mut self, key: Key, first: First) {
        self.known.insert(key, first);
        self.fresh.push_back((key, first));
        if self.fresh.len() > KEYS_MAX {
            // The memory forgets it, too.
            self.fresh.pop_front();
        }
    }

    /// When the newest came.
    pub(super) fn newest(&self) -> Option<Time> {
        let (_, key) = self.known.order.last_key_value()?;
        self.known.find(key).map(|first| first.received)
    }

    /// One of a frame that is read, to be written down unless it is, or a later one.
    pub(super) fn insert_read(&mut self, key: Key, first: First) {
        let is_before = |known: First| known.receipt.sequence() < first.receipt.sequence();
        if self.known.find(&key).is_none_or(is_before) {
            self.insert(key, first);
        }
    }

    /// One that is written down.
    pub(super) fn insert_written(&mut self, key: Key, first: First) {
        self.known.insert(key, first);
    }

    /// One that is older than all others and not written down; whether it was not known and there is room.
    pub(super) fn insert_oldest(&mut self, key: Key, first: First) -> bool {
        self.known.insert_oldest(key, first)
    }

    /// How many wait to be written down.
    pub(super) fn fresh_count(&self) -> usize {
        self.fresh.len()
    }

    /// At most `most` of those that wait, of frames up to `through`.
    pub(super) fn fresh(&self, through: u64, most: usize) -> Vec<Entry> {
        let of_these = |(_, first): &&Entry| first.receipt.sequence <= through;
        self.fresh.iter().take_while(of_these).take(most).copied().collect()
    }

    /// These wait no more.
    pub(super) fn settle(&mut self, entries: &[Entry]) {
        for entry in entries {
            // At the bound some may have gone meanwhile.
            if self.fresh.front() == Some(entry) {
                self.fresh.pop_front();
            }
        }
    }
}

impl<K: Copy + Eq + Hash> Memory<K, u64> {
    /// Remembers an id with a digest; `false`: it is known with another one.
    pub(super) fn agree(&mut self, id: K, digest: u64) -> bool {
        if let Some(known) = self.find(&id) {
            return known == digest;
        }
        self.insert(id, digest);
        true
    }
}

impl Spool {
    /// Appends an event unless its place has one of that id in the spool's window already: idempotent.
    ///
    /// # Errors
    /// As [`Spool::append`].
    pub async fn append_once(
        &self,
        account: Uuid,
        workspace: Option<Uuid>,
        occurred: Time,
        event: Event,
    ) -> Result<(), SpoolError> {
        self.append_all_once(account, workspace, occurred, vec![event]).await.map(drop)
    }

    /// Appends those of the events whose ids their place does not have in the spool's window yet, as one frame; ready
    /// once all of them are on stable storage, whoever brought them. How many were new.
    ///
    /// # Errors
    /// As [`Spool::append`]; nothing new is kept then.
    pub async fn append_all_once(
        &self,
        account: Uuid,
        workspace: Option<Uuid>,
        received: Time,
        events: Vec<Event>,
    ) -> Result<usize, SpoolError> {
        append(&self.running.shared, (account, workspace), received, events, None).await
    }

    /// The same, with an event in front of the new ones that tells how many they are; none when there are none.
    ///
    /// # Errors
    /// As [`Spool::append_all_once`].
    pub async fn append_all_once_told(
        &self,
        place: (Uuid, Option<Uuid>),
        received: Time,
        events: Vec<Event>,
        tell: &(dyn Fn(usize) -> Event + Sync),
    ) -> Result<usize, SpoolError> {
        append(&self.running.shared, place, received, events, Some(tell)).await
    }

    /// A request that one is known by, once it is kept. Bounded to the newest 1,000,000 keys, of which the oldest is
    /// forgotten first: what it was of is new again. Known after a restart, too, whatever became of the frame.
    ///
    /// # Errors
    /// [`SpoolError::Busy`] when it does not become durable.
    pub async fn first(&self, known: &[Again]) -> Result<Option<First>, SpoolError> {
        first(&self.running.shared, known).await
    }

    /// Appends the frame of a request, named by its received event and when it came, unless it is known by any of its
    /// keys. The frame's capture holds them.
    ///
    /// # Errors
    /// As [`Spool::append`].
    pub async fn append_first(
        &self,
        known: &[Again],
        named: (Uuid, Time),
        frame: Frame,
    ) -> Result<Taken, SpoolError> {
        append_first(&self.running.shared, known, named, frame).await
    }

    /// Where the frame of an event lies that was appended once, in the spool's window.
    #[must_use]
    pub fn sequence_of(&self, account: Uuid, workspace: Option<Uuid>, id: Uuid) -> Option<u64> {
        let seen = self.running.shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.find(&(account, workspace, id))
    }

    /// Remembers an event id that a template of a workspace supplied, with a digest of its content. `false`: the id is
    /// known there with other content. Bounded to the newest 100,000; what the journal still holds is remembered after
    /// a restart, as far as start-up reads it.
    #[must_use]
    pub fn remember(&self, account: Uuid, workspace: Option<Uuid>, event: &Event) -> bool {
        let (given, digest) = (&self.running.shared.given, event.digest());
        given
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .agree((account, workspace, event.id), digest)
    }
}

/// Appends what is new of `events` as one frame, and waits for what is not. How many were new. What `tell` makes of
/// that number stands in front of them.
pub(super) async fn append(
    shared: &Arc<Shared>,
    (account, workspace): (Uuid, Option<Uuid>),
    received: Time,
    mut events: Vec<Event>,
    tell: Option<&(dyn Fn(usize) -> Event + Sync)>,
) -> Result<usize, SpoolError> {
    let mut here = HashSet::with_capacity(events.len());
    events.retain(|event| here.insert(event.id));
    let mut pauses = 0;
    loop {
        let is_flying = keep_new(shared, (account, workspace), &mut events);
        if is_flying {
            // Somebody else brought one a moment ago: what becomes of it is not known yet.
            pauses += 1;
            if pauses > PAUSES_MAX {
                return Err(SpoolError::Busy);
            }
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        if events.is_empty() {
            return Ok(0);
        }
        // Laid out and check-summed outside the lock, unless somebody brought one of them meanwhile.
        let encode = |events: &[Event]| Frame::encode(account, workspace, received, events, None);
        let frame = match tell {
            None => encode(&events),
            Some(tell) => encode(&[&[tell(events.len())], &events[..]].concat()),
        };
        let waiting = {
            let mut seen = shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let known =
                |event: &Event| find(shared, &seen, (account, workspace, event.id)) != Once::New;
            if events.iter().any(known) {
                continue;
            }
            let sequence = shared.push(&frame, None)?;
            for event in &events {
                seen.insert((account, workspace, event.id), sequence);
            }
            Append::waiting(Arc::clone(shared), sequence)
        };
        drop(frame);
        return waiting.await.map(|_| events.len());
    }
}

/// Leaves only what is not kept; whether some of that is on its way.
fn keep_new(
    shared: &Shared,
    (account, workspace): (Uuid, Option<Uuid>),
    events: &mut Vec<Event>,
) -> bool {
    let seen = shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
    let mut is_flying = false;
    events.retain(|event| match find(shared, &seen, (account, workspace, event.id)) {
        Once::Kept => false,
        Once::Flying => {
            is_flying = true;
            true
        }
        Once::New => true,
    });
    is_flying
}

fn find(shared: &Shared, seen: &Memory<Placed>, event: Placed) -> Once {
    let sequence = seen.find(&event);
    sequence.map_or(Once::New, |sequence| judge(shared.queue.fate(sequence).as_ref()))
}

/// A request that one is known by, once it is kept; nothing when there was none, or when none was kept.
pub(super) async fn first(shared: &Shared, known: &[Again]) -> Result<Option<First>, SpoolError> {
    for _ in 0..PAUSES_MAX {
        let mut is_flying = false;
        for again in known {
            let found = {
                let keys = shared.keys.lock().unwrap_or_else(PoisonError::into_inner);
                find_first(shared, &keys, again)
            };
            match found {
                (Once::Kept, first) => return Ok(first),
                (Once::Flying, _) => is_flying = true,
                (Once::New, _) => {}
            }
        }
        if !is_flying {
            return Ok(None);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(SpoolError::Busy)
}

/// The first request of a key, and what became of it.
fn find_first(shared: &Shared, keys: &Keys, again: &Again) -> (Once, Option<First>) {
    let Some(first) = keys.known.find(&again.key).filter(|first| first.received >= again.since)
    else {
        return (Once::New, None);
    };
    (judge(shared.queue.fate(first.receipt.sequence).as_ref()), Some(first))
}

/// Appends a request unless it is known by any of its keys; then waits for that one instead.
pub(super) async fn append_first(
    shared: &Arc<Shared>,
    known: &[Again],
    (id, received): (Uuid, Time),
    frame: Frame,
) -> Result<Taken, SpoolError> {
    loop {
        if let Some(first) = first(shared, known).await? {
            return Ok(Taken::Known(first));
        }
        let waiting = {
            let mut keys = shared.keys.lock().unwrap_or_else(PoisonError::into_inner);
            if known.iter().any(|again| find_first(shared, &keys, again).0 != Once::New) {
                continue;
            }
            let sequence = shared.push(&frame, None)?;
            let horizon = shared.horizon();
            keys.known.forget(|first| first.received < horizon);
            let first = First { id, received, receipt: Receipt { sequence } };
            for again in known {
                keys.insert(again.key, first);
            }
            Append::waiting(Arc::clone(shared), sequence)
        };
        drop(frame);
        return waiting.await.map(Taken::New);
    }
}

/// What to do with something that must be appended once.
#[derive(Debug, PartialEq, Eq)]
enum Once {
    /// It is kept already.
    Kept,
    /// It is on its way.
    Flying,
    /// It is not there.
    New,
}

/// Judges by the fate of the frame that an id came with.
fn judge(fate: Option<&Result<(), SpoolError>>) -> Once {
    match fate {
        None => Once::Flying,
        Some(Ok(())) => Once::Kept,
        Some(Err(_)) => Once::New,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut memory = Memory::new(IDS_MAX);
        let id = |number: u64| (Uuid::nil(), None::<Uuid>, Uuid::from_u128(number.into()));
        for number in 0..=IDS_MAX as u64 {
            assert!(memory.agree(id(number), number));
        }
        assert_eq!(memory.find(&id(0)), None);
        assert_eq!(memory.find(&id(1)), Some(1));
        assert!(memory.agree(id(5), 5));
        assert!(!memory.agree(id(5), 6));
        assert_eq!(memory.known.len(), memory.order.len());
    }

    #[test]
    fn what_is_over_goes() {
        let mut memory: Memory<u8, u64> = Memory::new(3);
        (1..=4).for_each(|key| memory.insert(key, 10 * u64::from(key)));
        assert_eq!(memory.find(&1), None, "the oldest");
        memory.insert(2, 50);
        assert!(!memory.insert_oldest(5, 5), "there is no room");
        memory.insert(6, 60);
        assert_eq!((memory.find(&2), memory.find(&3)), (Some(50), None), "2 is newer by now");
        memory.forget(|&value| value < 45);
        assert_eq!((memory.find(&4), memory.find(&2)), (None, Some(50)));
        assert!(memory.insert_oldest(5, 55));
        memory.forget(|&value| value < 55);
        assert_eq!(memory.find(&2), Some(50), "behind one that is not over");
        memory.forget(|&value| value < 65);
        assert_eq!((memory.known.len(), memory.order.len()), (0, 0));
    }
}
