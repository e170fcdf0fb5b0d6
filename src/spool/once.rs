//! What was seen before: events that must be appended once, and ids that templates gave. In: events as they come, ids
//! as recovery finds them. Out: known or not, and the new ones appended. Bounded: the oldest is forgotten first.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::append::Append;
use super::shared::Shared;
use super::{Frame, SpoolError};
use crate::clock::Time;
use crate::event::Event;
use crate::id::Uuid;

/// Most ids each memory holds.
const IDS_MAX: usize = 100_000;
/// Between two looks at an event that somebody else brought, and how many there are.
const PAUSE: Duration = Duration::from_millis(2);
const PAUSES_MAX: u32 = 500;

/// An event's account, workspace and id: nobody takes an id away from another tenant by using it first.
pub(super) type Placed = (Uuid, Option<Uuid>, Uuid);

/// The newest ids and a number for each.
#[derive(Debug, Default)]
pub(super) struct Memory {
    known: HashMap<Placed, u64>,
    order: VecDeque<Placed>,
}

impl Memory {
    /// The number of an id.
    pub(super) fn find(&self, id: Placed) -> Option<u64> {
        self.known.get(&id).copied()
    }

    /// Puts an id there, or gives it another number.
    pub(super) fn insert(&mut self, id: Placed, number: u64) {
        if self.known.insert(id, number).is_some() {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > IDS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// Remembers an id with a digest; `false`: it is known with another one.
    pub(super) fn agree(&mut self, id: Placed, digest: u64) -> bool {
        if let Some(known) = self.find(id) {
            return known == digest;
        }
        self.insert(id, digest);
        true
    }
}

/// Appends what is new of `events` as one frame, and waits for what is not. How many were new.
pub(super) async fn append(
    shared: &Arc<Shared>,
    account: Uuid,
    workspace: Option<Uuid>,
    received: Time,
    mut events: Vec<Event>,
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
        let frame = Frame::encode(account, workspace, received, &events, None);
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

fn find(shared: &Shared, seen: &Memory, event: Placed) -> Once {
    let sequence = seen.find(event);
    sequence.map_or(Once::New, |sequence| judge(shared.queue.fate(sequence).as_ref()))
}

/// What to do with an event that must be appended once.
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
        let mut memory = Memory::default();
        let id = |number: u64| (Uuid::nil(), None, Uuid::from_u128(number.into()));
        for number in 0..=IDS_MAX as u64 {
            assert!(memory.agree(id(number), number));
        }
        assert_eq!(memory.find(id(0)), None);
        assert_eq!(memory.find(id(1)), Some(1));
        assert!(memory.agree(id(5), 5));
        assert!(!memory.agree(id(5), 6));
        assert_eq!(memory.known.len(), memory.order.len());
    }
}
