//! Bytes of one kind in memory, of all connections together: bodies, or heads. In: bytes as they come. Out: room for
//! them, or none. What a connection's own bound holds is not counted. Room is given back with the memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

/// What all connections share.
#[derive(Debug)]
pub(super) struct Budget {
    used: AtomicU64,
    max_bytes: u64,
    step_bytes: u64,
}

/// There is no more room: all together would be over this limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full {
    pub(super) max_bytes: u64,
}

impl Budget {
    /// Of so many bytes, taken in steps of `step_bytes`.
    pub(super) fn new(max_bytes: u64, step_bytes: u64) -> Arc<Self> {
        Arc::new(Self { used: AtomicU64::new(0), max_bytes, step_bytes })
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

    /// Bytes that are taken.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes what is lacking for so many bytes.
    ///
    /// # Errors
    /// [`Full`]; what was taken before stays.
    pub(super) fn hold(&mut self, bytes: u64) -> Result<(), Full> {
        if bytes <= self.bytes {
            return Ok(());
        }
        let more = (bytes - self.bytes).next_multiple_of(self.budget.step_bytes);
        let max_bytes = self.budget.max_bytes;
        let grow = |used: u64| used.checked_add(more).filter(|used| *used <= max_bytes);
        let grown = self.budget.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow);
        grown.map_err(|_| Full { max_bytes })?;
        self.bytes += more;
        Ok(())
    }

    /// Gives back what is beyond so many bytes and a step more: what comes and goes at an edge touches nothing shared.
    pub(super) fn shrink(&mut self, bytes: u64) {
        let step_bytes = self.budget.step_bytes;
        let kept = bytes.next_multiple_of(step_bytes) + step_bytes;
        if kept < self.bytes {
            self.budget.used.fetch_sub(self.bytes - kept, Ordering::Relaxed);
            self.bytes = kept;
        }
    }

    /// Gives back what is taken.
    pub(super) fn leave(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if bytes > 0 {
            self.budget.used.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// Gives the room back once nobody holds these bytes any more.
    pub(super) fn keep(self, bytes: Vec<u8>) -> Bytes {
        if self.bytes == 0 { bytes.into() } else { Bytes::from_owner(Kept { bytes, _room: self }) }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.leave();
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

    const STEP_BYTES: u64 = 64 << 10;

    #[test]
    fn room_is_there_again_once_the_last_who_holds_the_bytes_is_gone() {
        let budget = Budget::new(3 * STEP_BYTES, STEP_BYTES);
        let mut room = Room::new(&budget);
        assert_eq!((room.hold(1), room.hold(STEP_BYTES)), (Ok(()), Ok(())));
        assert_eq!(room.hold(STEP_BYTES + 1), Ok(()));
        let mut other = Room::new(&budget);
        let crowded = Err(Full { max_bytes: 3 * STEP_BYTES });
        assert_eq!(other.hold(STEP_BYTES + 1), crowded);
        assert_eq!(other.hold(STEP_BYTES), Ok(()), "a refusal takes nothing");
        let bytes = room.keep(b"text".to_vec());
        let part = bytes.slice(1..2);
        drop(bytes);
        assert_eq!((&part[..], other.hold(u64::MAX)), (&b"e"[..], crowded));
        assert_eq!(other.hold(2 * STEP_BYTES), crowded);
        drop(part);
        assert_eq!(other.hold(3 * STEP_BYTES), Ok(()));
        drop(other);
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
    }
}
