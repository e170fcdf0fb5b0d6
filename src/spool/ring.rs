//! The newest batches in memory, so that a reader who keeps up never reads the disk. In: batches as they were written.
//! Out: the one that holds a sequence, shared, never copied. Bounded; buffers go back to the writer when nobody holds
//! them any more.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::journal::{Buffer, Segment};

/// Bytes of memory that all batches together may take.
const RING_MAX_BYTES: usize = 6 << 20;
/// Bytes of all buffers kept for the writer, and the largest worth keeping. A reader lets go of many at once; those
/// not kept would be made anew from their smallest size on, and all those sizes stay resident for a while.
const POOL_MAX_BYTES: usize = 4 << 20;
const POOLED_MAX_BYTES: usize = 2 << 20;
const BUFFER_MIN_BYTES: usize = 64 << 10;

/// Buffers that are used again.
#[derive(Debug, Default)]
pub(super) struct Pool {
    buffers: Mutex<Vec<Buffer>>,
}

impl Pool {
    /// An empty buffer with room for about `bytes`. Never one much larger: the ring counts what a buffer could hold.
    pub(super) fn take(&self, bytes: usize) -> Buffer {
        let wanted = bytes.max(BUFFER_MIN_BYTES).next_power_of_two();
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |buffer: &Buffer| (wanted..=2 * wanted).contains(&buffer.capacity());
        if let Some(at) = buffers.iter().position(fits) {
            return buffers.swap_remove(at);
        }
        // One of another size than is needed now makes room for those that are.
        let gone = buffers.pop();
        drop((buffers, gone));
        Buffer::with_capacity(wanted)
    }

    fn put(&self, mut buffer: Buffer) {
        if buffer.capacity() > POOLED_MAX_BYTES {
            return;
        }
        buffer.clear();
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        let pooled: usize = buffers.iter().map(Buffer::capacity).sum();
        if pooled + buffer.capacity() <= POOL_MAX_BYTES {
            buffers.push(buffer);
        }
    }
}

/// A buffer lent to readers.
struct Lent {
    buffer: Buffer,
    pool: Arc<Pool>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.buffer.as_slice()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.pool.put(std::mem::take(&mut self.buffer));
    }
}

/// A batch that is durable.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    /// The last durable sequence before its first frame.
    pub(super) prior: u64,
    /// Sequence of its last frame.
    pub(super) last: u64,
    /// Frames and padding.
    pub(super) bytes: Bytes,
    /// Bytes of the frames alone.
    pub(super) frame_bytes: usize,
    /// Where it stands.
    pub(super) segment: Arc<Segment>,
    /// Where it begins there.
    pub(super) offset: u64,
}

/// Where a batch was written.
pub(super) struct Written {
    pub(super) prior: u64,
    pub(super) last: u64,
    pub(super) frame_bytes: usize,
    pub(super) segment: Arc<Segment>,
    pub(super) offset: u64,
}

#[derive(Debug, Default)]
struct Slots {
    slots: VecDeque<(Slot, usize)>,
    bytes: usize,
}

/// The newest batches.
#[derive(Debug)]
pub(super) struct Ring {
    slots: Mutex<Slots>,
    pool: Arc<Pool>,
}

impl Ring {
    pub(super) fn new(pool: Arc<Pool>) -> Self {
        Self { slots: Mutex::default(), pool }
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a buffer back that no reader will want.
    pub(super) fn give_back(&self, buffer: Buffer) {
        self.pool.put(buffer);
    }

    /// Keeps a batch for readers; lets go of those that no position of `readers` still needs.
    pub(super) fn push(&self, buffer: Buffer, written: Written, readers: &[u64]) {
        let memory = buffer.capacity();
        let bytes = Bytes::from_owner(Lent { buffer, pool: Arc::clone(&self.pool) });
        let Written { prior, last, frame_bytes, segment, offset } = written;
        let slot = Slot { prior, last, bytes, frame_bytes, segment, offset };
        let mut state = self.lock();
        let mut gone = Vec::new();
        while let Some((front, _)) = state.slots.front() {
            let wanted = readers.iter().any(|next| *next > front.prior && *next <= front.last);
            if wanted && state.bytes + memory <= RING_MAX_BYTES {
                break;
            }
            let (front, freed) = state.slots.pop_front().expect("the front was just seen");
            state.bytes -= freed;
            gone.push(front);
        }
        state.bytes += memory;
        state.slots.push_back((slot, memory));
        drop(state);
        // Freed outside the lock: the last holder gives the buffer back to the pool.
        drop(gone);
    }

    /// The batch that holds `sequence`, or whose first frame is the first behind it.
    pub(super) fn find(&self, sequence: u64) -> Option<Slot> {
        let state = self.lock();
        let at = state.slots.partition_point(|(slot, _)| slot.last < sequence);
        state.slots.get(at).map(|(slot, _)| slot).filter(|slot| slot.prior < sequence).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_used_again_by_batches_of_their_size_and_no_others() {
        let pool = Pool::default();
        let large = pool.take(700 << 10);
        let (address, capacity) = (large.as_slice().as_ptr(), large.capacity());
        pool.put(large);
        let again = pool.take(600 << 10);
        assert_eq!((again.as_slice().as_ptr(), again.capacity()), (address, capacity));
        pool.put(again);
        let small = pool.take(1);
        assert!((BUFFER_MIN_BYTES..=2 * BUFFER_MIN_BYTES).contains(&small.capacity()));
        let pooled = |pool: &Pool| -> usize {
            pool.buffers.lock().expect("a lock").iter().map(Buffer::capacity).sum()
        };
        assert_eq!(pooled(&pool), 0, "the one of another size is gone");
        (0..100).for_each(|_| pool.put(Buffer::with_capacity(256 << 10)));
        assert!(pooled(&pool) <= POOL_MAX_BYTES);
        assert!(pooled(&pool) > POOL_MAX_BYTES / 2);
    }
}
