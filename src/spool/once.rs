//! What was seen before: events that must be appended once, ids that templates gave, keys of requests. In: events and
//! requests as they come, ids and keys as recovery finds them. Out: known or not, and the new ones appended. Bounded:
//! the oldest is forgotten first.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use super::append::Append;
use super::firsts::Entry;
use super::late::{self, Late};
use super::memory::Memory;
use super::shared::Shared;
use super::{Frame, Receipt, Spool, SpoolError, content};
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
    /// It was kept before, and came to no event then, either.
    Failed(First),
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
        self.known.newest().map(|first| first.received)
    }

    /// One of a frame that is read, to be written down unless it is, or a later one.
    pub(super) fn insert_read(&mut self, key: Key, first: First) {
        let is_before = |known: First| known.receipt.sequence() < first.receipt.sequence();
        if self.known.find(&key).is_none_or(is_before) {
            self.insert(key, first);
        }
    }

    /// One whose event came later than it did: a newer one of that key stays.
    pub(super) fn insert_late(&mut self, key: Key, first: First) {
        if self.known.find(&key).is_none_or(|known| known.received <= first.received) {
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
        append(&self.running.shared, (account, workspace), received, events, &Also::default()).await
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
        append_first(&self.running.shared, known, named, frame, false).await
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

/// What goes with events that are appended once.
#[derive(Default)]
pub(super) struct Also<'a> {
    /// What tells how many are new: it stands in front of them.
    pub(super) tell: Option<&'a (dyn Fn(usize) -> Event + Sync)>,
    /// The requests of those that are late, by their events' ids.
    pub(super) late: Option<&'a HashMap<Uuid, Late>>,
}

impl Also<'_> {
    fn late(&self, event: &Event) -> Option<&Late> {
        self.late?.get(&event.id)
    }
}

/// Appends what is new of `events` as one frame, and waits for what is not. How many were new.
pub(super) async fn append(
    shared: &Arc<Shared>,
    place: (Uuid, Option<Uuid>),
    received: Time,
    mut events: Vec<Event>,
    also: &Also<'_>,
) -> Result<usize, SpoolError> {
    let mut here = HashSet::with_capacity(events.len());
    events.retain(|event| here.insert(event.id));
    let mut pauses = 0;
    loop {
        let is_flying = keep_new(shared, place, &mut events, also);
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
        let frame = lay_out(place, received, &events, also);
        let waiting = {
            let mut held = Held::lock(shared, also);
            if events.iter().any(|event| held.find(shared, place, event, also) != Once::New) {
                continue;
            }
            let sequence = shared.push(&frame, None)?;
            for event in &events {
                held.seen.insert((place.0, place.1, event.id), sequence);
                if let Some((keys, late)) = held.keys.as_mut().zip(also.late(event)) {
                    late.firsts(sequence).for_each(|(key, first)| keys.insert_late(key, first));
                }
            }
            Append::waiting(Arc::clone(shared), sequence)
        };
        drop(frame);
        return waiting.await.map(|_| events.len());
    }
}

fn lay_out(
    place: (Uuid, Option<Uuid>),
    received: Time,
    events: &[Event],
    also: &Also<'_>,
) -> Frame {
    let keys = late::print(events.iter().filter_map(|event| also.late(event)));
    let told = also.tell.map(|tell| [&[tell(events.len())], events].concat());
    content::lay_out(place, received, told.as_deref().unwrap_or(events), None, &keys)
}

/// The memories that say whether something is new, held together; keys only where there are any.
struct Held<'a> {
    seen: MutexGuard<'a, Memory<Placed>>,
    keys: Option<MutexGuard<'a, Keys>>,
}

impl<'a> Held<'a> {
    fn lock(shared: &'a Shared, also: &Also<'_>) -> Self {
        let seen = shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = also.late.map(|_| shared.keys.lock().unwrap_or_else(PoisonError::into_inner));
        Self { seen, keys }
    }

    fn find(
        &self,
        shared: &Shared,
        (account, workspace): (Uuid, Option<Uuid>),
        event: &Event,
        also: &Also<'_>,
    ) -> Once {
        let sequence = self.seen.find(&(account, workspace, event.id));
        let own = sequence.map(|sequence| judge(shared.queue.fate(sequence).as_ref()));
        match (own, self.keys.as_ref().zip(also.late(event))) {
            (None | Some(Once::New), Some((keys, late))) => find_late(shared, keys, late),
            (own, _) => own.unwrap_or(Once::New),
        }
    }
}

/// Leaves only what is not kept, of requests of one key the first; whether some of that is on its way.
fn keep_new(
    shared: &Shared,
    place: (Uuid, Option<Uuid>),
    events: &mut Vec<Event>,
    also: &Also<'_>,
) -> bool {
    let held = Held::lock(shared, also);
    let mut is_flying = false;
    let mut here: HashMap<Key, Time> = HashMap::new();
    events.retain(|event| {
        let found = held.find(shared, place, event, also);
        is_flying |= found == Once::Flying;
        let is_new = also.late(event).is_none_or(|late| {
            let is_same = |(key, seconds): &(Key, i64)| {
                here.get(key).is_some_and(|other| late.is_near(*other, *seconds))
            };
            let is_new = !late.keys.iter().any(is_same);
            here.extend(late.keys.iter().map(|(key, _)| (*key, late.received)));
            is_new
        });
        found != Once::Kept && is_new
    });
    is_flying
}

/// Whether a request whose event is late has one by now.
pub(super) fn find_late(shared: &Shared, keys: &Keys, late: &Late) -> Once {
    let mut found = Once::New;
    for (key, seconds) in &late.keys {
        let first = keys.known.find(key).filter(|first| late.is_near(first.received, *seconds));
        match first.map(|first| judge(shared.queue.fate(first.receipt.sequence).as_ref())) {
            Some(Once::Kept) => return Once::Kept,
            Some(Once::Flying) => found = Once::Flying,
            Some(Once::New) | None => {}
        }
    }
    found
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

/// Appends a request unless it is known by any of its keys; then waits for that one instead. One that came to no event
/// is known again as that, until another of its keys comes to one, or it is kept no longer.
pub(super) async fn append_first(
    shared: &Arc<Shared>,
    known: &[Again],
    (id, received): (Uuid, Time),
    frame: Frame,
    is_failed: bool,
) -> Result<Taken, SpoolError> {
    let failed: Vec<_> = known.iter().filter(|_| is_failed).map(Again::of_failed).collect();
    loop {
        if let Some(first) = first(shared, known).await? {
            return Ok(Taken::Known(first));
        }
        let is_kept = |first: &First| first.receipt.sequence >= shared.oldest();
        // Key by key: one whose request is kept no longer does not stand before another's.
        for again in &failed {
            let first = first(shared, std::slice::from_ref(again)).await?;
            if let Some(first) = first.filter(is_kept) {
                return Ok(Taken::Failed(first));
            }
        }
        let waiting = {
            let mut keys = shared.keys.lock().unwrap_or_else(PoisonError::into_inner);
            let is_new = |again: &Again| find_first(shared, &keys, again).0 == Once::New;
            let is_over = |again: &Again| {
                let (fate, first) = find_first(shared, &keys, again);
                fate == Once::New || !first.as_ref().is_some_and(is_kept)
            };
            if !known.iter().all(is_new) || !failed.iter().all(is_over) {
                continue;
            }
            let sequence = shared.push(&frame, None)?;
            let horizon = shared.horizon();
            keys.known.forget(|first| first.received < horizon);
            let first = First { id, received, receipt: Receipt { sequence } };
            for again in if is_failed { &failed } else { known } {
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
pub(super) enum Once {
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
