//! One segment file: its first block, its name, and what is known of it in memory. In: fields. Out: bytes and names.
//! Never writes a file itself.
//!
//! The name carries base sequence and segment id, the first block both twice, so that no single damage loses the id
//! that every frame's checksum needs.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::buffer::Buffer;
use super::{BLOCK_BYTES, HEADER_BYTES};

const MAGIC: &[u8; 8] = b"HKGJ\x01\0\0\0";
/// Where in the first block the fields stand.
const COPIES: [usize; 2] = [0, 2048];
const FIELDS_BYTES: usize = 56;
/// Bytes between two marks, when they are not a second apart.
const MARK_BYTES: u64 = 256 << 10;
const MARK_MICROS: i64 = 1_000_000;

/// What the first block of a segment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Sequence of its first frame.
    pub base: u64,
    /// Last durable sequence of the segments before: the seal of the one before. What that one holds beyond was
    /// never acknowledged.
    pub after: u64,
    /// Random; part of every frame's checksum.
    pub id: u64,
    /// Microseconds since 1970.
    pub created: i64,
    /// Bytes it may take.
    pub capacity: u64,
    /// Whether it was used before, so that what stands behind its frames is not zero.
    pub stale: bool,
}

impl Head {
    /// The first block.
    #[must_use]
    pub fn block(&self) -> Buffer {
        let mut fields = [0; FIELDS_BYTES + 4];
        fields[..8].copy_from_slice(MAGIC);
        fields[8..16].copy_from_slice(&self.base.to_le_bytes());
        fields[16..24].copy_from_slice(&self.after.to_le_bytes());
        fields[24..32].copy_from_slice(&self.id.to_le_bytes());
        fields[32..40].copy_from_slice(&self.created.to_le_bytes());
        fields[40..48].copy_from_slice(&self.capacity.to_le_bytes());
        fields[48..56].copy_from_slice(&u64::from(self.stale).to_le_bytes());
        let crc = crc32c::crc32c(&fields[..FIELDS_BYTES]);
        fields[FIELDS_BYTES..].copy_from_slice(&crc.to_le_bytes());
        let mut block = Buffer::with_capacity(BLOCK_BYTES as usize);
        block.push(&fields);
        block.pad();
        block.as_mut_slice()[COPIES[1]..COPIES[1] + fields.len()].copy_from_slice(&fields);
        block
    }

    /// Reads a first block; `true` beside it when every byte of the block is as written.
    #[must_use]
    pub fn read(block: &[u8]) -> Option<(Self, bool)> {
        let head = COPIES.iter().find_map(|at| Self::read_copy(block.get(*at..)?))?;
        Some((head, head.block().as_slice() == block))
    }

    fn read_copy(bytes: &[u8]) -> Option<Self> {
        let fields = bytes.get(..FIELDS_BYTES + 4)?;
        let number = |at: usize| {
            let mut out = [0; 8];
            out.copy_from_slice(&fields[at..at + 8]);
            u64::from_le_bytes(out)
        };
        let crc = crc32c::crc32c(&fields[..FIELDS_BYTES]).to_le_bytes();
        if &fields[..8] != MAGIC || fields[FIELDS_BYTES..] != crc {
            return None;
        }
        Some(Self {
            base: number(8),
            after: number(16),
            id: number(24),
            created: number(32).cast_signed(),
            capacity: number(40),
            stale: number(48) != 0,
        })
    }
}

/// The file's name.
#[must_use]
pub(super) fn write_name(base: u64, id: u64) -> String {
    format!("{base:020}-{id:016x}.log")
}

/// Base sequence and id of a name.
#[must_use]
pub(super) fn read_name(name: &str) -> Option<(u64, u64)> {
    let (base, id) = name.strip_suffix(".log")?.split_once('-')?;
    if base.len() != 20 || id.len() != 16 {
        return None;
    }
    let base = base.parse().ok().filter(|base| *base != 0 && *base != u64::MAX)?;
    Some((base, u64::from_str_radix(id, 16).ok()?))
}

/// A place inside a segment that a reader may start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The frame that begins there.
    pub sequence: u64,
    /// Where.
    pub offset: u64,
    /// When it was written, microseconds since 1970.
    pub micros: i64,
}

/// A segment as writer, readers and keeper share it.
#[derive(Debug)]
pub struct Segment {
    /// Where the file is.
    pub path: PathBuf,
    /// Its file name.
    pub name: String,
    /// What its first block says.
    pub head: Head,
    /// End of its last durable frame's batch; where the next batch begins while it is written.
    end: AtomicU64,
    /// Its last durable sequence; `base - 1` when it has none.
    last: AtomicU64,
    /// When it was sealed, microseconds since 1970; 0: it is being written.
    sealed: AtomicI64,
    /// Bytes of its file.
    size: AtomicU64,
    /// Its file is no longer this segment.
    gone: AtomicBool,
    marks: Mutex<Vec<Mark>>,
}

impl Segment {
    /// A segment without frames.
    #[must_use]
    pub fn new(path: PathBuf, name: String, head: Head, size: u64) -> Self {
        Self {
            path,
            name,
            head,
            end: AtomicU64::new(BLOCK_BYTES),
            last: AtomicU64::new(head.base - 1),
            sealed: AtomicI64::new(0),
            size: AtomicU64::new(size),
            gone: AtomicBool::new(false),
            marks: Mutex::default(),
        }
    }

    /// Frames up to `last` stand before `end`: published by the writer after the sync, by recovery after the scan.
    pub fn extend(&self, last: u64, end: u64) {
        self.end.store(end, Ordering::Release);
        self.last.store(last, Ordering::Release);
        self.size.fetch_max(end, Ordering::Relaxed);
    }

    /// Remembers a place to start from, when the last one is far enough.
    pub fn mark(&self, mark: Mark) {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let due = marks.last().is_none_or(|last| {
            mark.offset >= last.offset + MARK_BYTES || mark.micros >= last.micros + MARK_MICROS
        });
        if due {
            marks.push(mark);
        }
    }

    /// No more frames will come. Its marks are thinned out: they are for one reader in a while now.
    pub fn seal(&self, micros: i64) {
        self.sealed.store(micros.max(1), Ordering::Relaxed);
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = None;
        marks.retain(|mark| {
            let keep = kept.is_none_or(|offset| mark.offset >= offset + MARK_BYTES);
            if keep {
                kept = Some(mark.offset);
            }
            keep
        });
        marks.shrink_to_fit();
    }

    /// The nearest known place at or before `sequence`.
    #[must_use]
    pub fn place(&self, sequence: u64) -> Mark {
        let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let found = marks.partition_point(|mark| mark.sequence <= sequence);
        let (sequence, micros) = (self.head.base, self.head.created);
        let base = Mark { sequence, offset: BLOCK_BYTES, micros };
        found.checked_sub(1).map_or(base, |at| marks[at])
    }

    /// End of what is durable in it.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Its last durable sequence.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.last.load(Ordering::Acquire)
    }

    /// When it was sealed.
    #[must_use]
    pub fn sealed(&self) -> Option<i64> {
        Some(self.sealed.load(Ordering::Relaxed)).filter(|micros| *micros != 0)
    }

    /// Bytes of its file.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    /// Its file was cut to `bytes`.
    pub fn shrink(&self, bytes: u64) {
        self.size.store(bytes, Ordering::Relaxed);
    }

    /// Its file is about to be removed or recycled.
    pub fn leave(&self) {
        self.gone.store(true, Ordering::Release);
    }

    /// Whether its file is no longer this segment.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Whether not even one more header fits behind its frames.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.end() + HEADER_BYTES as u64 > self.head.capacity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Head =
        Head { base: 7, after: 5, id: u64::MAX, created: -1, capacity: 1 << 20, stale: true };

    #[test]
    fn either_copy_of_the_first_block_is_enough() {
        let block = HEAD.block();
        assert_eq!(Head::read(block.as_slice()), Some((HEAD, true)));
        for at in 0..block.len() {
            let mut bytes = block.as_slice().to_vec();
            bytes[at] ^= 0x80;
            assert_eq!(Head::read(&bytes), Some((HEAD, false)), "byte {at}");
        }
        assert_eq!(Head::read(&[0; 4096]), None);
        assert_eq!(Head::read(&[]), None);
    }

    #[test]
    fn a_name_says_base_and_id() {
        let name = write_name(42, 0xabc);
        assert_eq!(read_name(&name), Some((42, 0xabc)));
        assert_eq!(read_name("00000000000000000042.log"), None);
        assert_eq!(read_name("x-0000000000000abc.log"), None);
    }

    #[test]
    fn places_are_found_and_thinned() {
        let segment = Segment::new(PathBuf::new(), String::new(), HEAD, 0);
        assert_eq!(segment.place(9).offset, BLOCK_BYTES);
        for step in 0..200 {
            segment.mark(Mark {
                sequence: 7 + step,
                offset: BLOCK_BYTES * (1 + step),
                micros: step.cast_signed() * 2_000_000,
            });
        }
        assert_eq!(segment.place(17).sequence, 17);
        segment.seal(5);
        assert_eq!(segment.place(17).sequence, 7);
        assert_eq!(segment.place(7 + 65).sequence, 7 + 64);
        assert_eq!(segment.sealed(), Some(5));
    }
}
