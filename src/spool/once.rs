//! What was seen before: events that must be appended once, and ids that templates gave. In: ids as they come and as
//! recovery finds them. Out: known or not. Bounded: the oldest is forgotten first.

use std::collections::{HashMap, VecDeque};

use super::SpoolError;
use crate::id::Uuid;

/// Most ids each memory holds.
const IDS_MAX: usize = 100_000;

/// The newest ids and a number for each.
#[derive(Debug, Default)]
pub(super) struct Memory {
    known: HashMap<Uuid, u64>,
    order: VecDeque<Uuid>,
}

impl Memory {
    /// The number of an id.
    pub(super) fn find(&self, id: Uuid) -> Option<u64> {
        self.known.get(&id).copied()
    }

    /// Puts an id there, or gives it another number.
    pub(super) fn insert(&mut self, id: Uuid, number: u64) {
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
    pub(super) fn agree(&mut self, id: Uuid, digest: u64) -> bool {
        if let Some(known) = self.find(id) {
            return known == digest;
        }
        self.insert(id, digest);
        true
    }
}

/// What to do with an event that must be appended once.
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
pub(super) fn judge(fate: Option<&Result<(), SpoolError>>) -> Once {
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
        for number in 0..=IDS_MAX as u64 {
            assert!(memory.agree(Uuid::from_u128(number.into()), number));
        }
        assert_eq!(memory.find(Uuid::from_u128(0)), None);
        assert_eq!(memory.find(Uuid::from_u128(1)), Some(1));
        assert!(memory.agree(Uuid::from_u128(5), 5));
        assert!(!memory.agree(Uuid::from_u128(5), 6));
        assert_eq!(memory.known.len(), memory.order.len());
    }
}
