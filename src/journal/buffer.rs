//! Bytes on their way to the disk, at an address that direct writes accept. In: frames. Out: one slice that begins at a
//! multiple of [`BLOCK_BYTES`] and, once padded, ends at one. Never a file.

use super::BLOCK_BYTES;

const BLOCK: usize = BLOCK_BYTES as usize;

/// A growing buffer whose first byte stays aligned; growing moves it, clearing keeps its memory.
#[derive(Debug, Default)]
pub struct Buffer {
    /// Over-allocated by one block; the bytes before `start` are never used.
    bytes: Vec<u8>,
    start: usize,
}

impl Buffer {
    /// Room for `capacity` bytes without growing.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        let mut bytes: Vec<u8> = Vec::with_capacity(capacity.next_multiple_of(BLOCK) + BLOCK);
        let start = bytes.as_ptr().align_offset(BLOCK).min(BLOCK - 1);
        bytes.resize(start, 0);
        Self { bytes, start }
    }

    /// Bytes held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory it takes.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Appends `part`.
    pub fn push(&mut self, part: &[u8]) {
        self.reserve(part.len());
        self.bytes.extend_from_slice(part);
    }

    /// Fills up with zeros to the end of the block.
    pub fn pad(&mut self) {
        let missing = self.len().next_multiple_of(BLOCK) - self.len();
        self.reserve(missing);
        self.bytes.resize(self.bytes.len() + missing, 0);
    }

    /// Forgets what it holds, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.truncate(self.start);
    }

    /// What it holds.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// What it holds, to be stamped.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..]
    }

    /// Makes room; a vector that grew by itself would lose the alignment.
    fn reserve(&mut self, more: usize) {
        if self.bytes.capacity() - self.bytes.len() >= more {
            return;
        }
        let wanted = (self.len() + more).max(self.len() * 2).max(BLOCK);
        let mut larger = Self::with_capacity(wanted);
        larger.bytes.extend_from_slice(self.as_slice());
        *self = larger;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growing_keeps_bytes_and_alignment() {
        let mut buffer = Buffer::default();
        let mut expected = Vec::new();
        for round in 0..200_u32 {
            let part = vec![round as u8; 1 + round as usize * 7];
            buffer.push(&part);
            expected.extend_from_slice(&part);
            assert_eq!(buffer.as_slice().as_ptr().align_offset(BLOCK), 0);
        }
        assert_eq!(buffer.as_slice(), expected);
        buffer.pad();
        assert_eq!(buffer.len() % BLOCK, 0);
        assert!(buffer.as_slice()[expected.len()..].iter().all(|byte| *byte == 0));
        let capacity = buffer.capacity();
        buffer.clear();
        assert!(buffer.is_empty() && buffer.capacity() == capacity);
    }
}
