//! Bytes of bodies in memory, of all connections together. In: bytes as they come. Out: room for them, or none. A body
//! that came in one piece is not counted: the connection's own bound holds it. Room is given back with the memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::BodyError;

/// Room is taken in steps of this size.
const STEP_BYTES: u64 = 64 << 10;

/// What all connections share.
#[derive(Debug)]
pub(super) struct Budget {
    used: AtomicU64,
    max_bytes: u64,
}

impl Budget {
    pub(super) fn new(max_bytes: u64) -> Arc<Self> {
        Arc::new(Self { used: AtomicU64::new(0), max_bytes })
    }
}

/// Room that is taken.
#[derive(Debug)]
pub(super) struct Room {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Room {
    /// None yet.
    pub(super) fn new(budget: &Arc<Budget>) -> Self {
        Self { budget: Arc::clone(budget), bytes: 0 }
    }

    /// Takes what is lacking for so many bytes.
    ///
    /// # Errors
    /// [`BodyError::Crowded`]; what was taken before stays.
    pub(super) fn hold(&mut self, bytes: u64) -> Result<(), BodyError> {
        if bytes <= self.bytes {
            return Ok(());
        }
        let more = (bytes - self.bytes).next_multiple_of(STEP_BYTES);
        let max_bytes = self.budget.max_bytes;
        let grow = |used: u64| used.checked_add(more).filter(|used| *used <= max_bytes);
        let grown = self.budget.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow);
        grown.map_err(|_| BodyError::Crowded { max_bytes })?;
        self.bytes += more;
        Ok(())
    }

    /// Gives the room back once nobody holds these bytes any more.
    pub(super) fn keep(self, bytes: Vec<u8>) -> Bytes {
        if self.bytes == 0 { bytes.into() } else { Bytes::from_owner(Kept { bytes, _room: self }) }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Bytes and the room they take.
struct Kept {
    bytes: Vec<u8>,
    _room: Room,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_there_again_once_the_last_who_holds_the_bytes_is_gone() {
        let budget = Budget::new(3 * STEP_BYTES);
        let mut room = Room::new(&budget);
        assert_eq!((room.hold(1), room.hold(STEP_BYTES)), (Ok(()), Ok(())));
        assert_eq!(room.hold(STEP_BYTES + 1), Ok(()));
        let mut other = Room::new(&budget);
        let crowded = Err(BodyError::Crowded { max_bytes: 3 * STEP_BYTES });
        assert_eq!(other.hold(STEP_BYTES + 1), crowded);
        assert_eq!(other.hold(STEP_BYTES), Ok(()), "a refusal takes nothing");
        let bytes = room.keep(b"text".to_vec());
        let part = bytes.slice(1..2);
        drop(bytes);
        assert_eq!((&part[..], other.hold(u64::MAX)), (&b"e"[..], crowded.clone()));
        assert_eq!(other.hold(2 * STEP_BYTES), crowded);
        drop(part);
        assert_eq!(other.hold(3 * STEP_BYTES), Ok(()));
        drop(other);
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
    }
}
