//! All segments in order, and the spare files that wait to become one. In: segments as they are made, sealed and
//! retired. Out: which one holds a sequence, how many bytes there are, files zero-filled ahead. Decides no retention.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::BLOCK_BYTES;
use super::buffer::Buffer;
use super::disk::{Disk, Mode};
use super::segment::{Head, Segment};

/// Endings of spare files: all zero, used before, and not yet filled.
const ZERO: &str = ".zero";
const STALE: &str = ".stale";
const FILLING: &str = ".filling";
/// Bytes written at a time when a file is zero-filled.
const FILL_BYTES: u64 = 512 << 10;

/// A file that may become a segment without waiting.
#[derive(Clone, Debug)]
pub struct Spare {
    /// Where it is.
    pub path: PathBuf,
    /// Its length.
    pub capacity: u64,
    /// Whether it was used before.
    pub stale: bool,
}

/// Bytes of the files of a shelf.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Durable bytes, headers and padding included.
    pub written: u64,
    /// Bytes of all files, the spare ones too.
    pub files: u64,
}

/// Segments, oldest first, and spares.
#[derive(Debug, Default)]
pub struct Shelf {
    segments: Mutex<VecDeque<Arc<Segment>>>,
    spares: Mutex<Vec<Spare>>,
}

impl Shelf {
    /// A shelf of what recovery found.
    #[must_use]
    pub fn new(segments: Vec<Arc<Segment>>, spares: Vec<Spare>) -> Self {
        Self { segments: Mutex::new(segments.into()), spares: Mutex::new(spares) }
    }

    fn segments(&self) -> MutexGuard<'_, VecDeque<Arc<Segment>>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spares(&self) -> MutexGuard<'_, Vec<Spare>> {
        self.spares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a new segment behind all others.
    pub fn add(&self, segment: Arc<Segment>) {
        self.segments().push_back(segment);
    }

    /// Takes a segment out that never held a durable frame.
    pub fn forget(&self, segment: &Arc<Segment>) {
        segment.leave();
        self.segments().retain(|other| !Arc::ptr_eq(other, segment));
    }

    /// The segment that holds `sequence`, or the first one behind it.
    #[must_use]
    pub fn find(&self, sequence: u64) -> Option<Arc<Segment>> {
        let segments = self.segments();
        let at = segments.partition_point(|segment| segment.last() < sequence);
        segments.get(at).cloned()
    }

    /// The oldest segments up to the newest sealed one; the newest of all stays, so that sequences never start again.
    #[must_use]
    pub fn retirable(&self) -> Vec<Arc<Segment>> {
        let segments = self.segments();
        let all = segments.len().saturating_sub(1);
        segments.iter().take(all).filter(|segment| segment.sealed().is_some()).cloned().collect()
    }

    /// The first sequence that is still kept, if any frame is.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        let segments = self.segments();
        let first = segments.iter().find(|segment| segment.last() >= segment.head.base);
        first.map(|segment| segment.head.base)
    }

    /// Ranges of sequences before segments that never were of a frame that anybody was told of.
    #[must_use]
    pub fn unused(&self) -> Vec<(u64, u64)> {
        let unused = |segment: &Arc<Segment>| {
            let Head { base, after, .. } = segment.head;
            (after < base - 1).then(|| (after + 1, base - 1))
        };
        self.segments().iter().filter_map(unused).collect()
    }

    /// The newest segment.
    #[must_use]
    pub fn newest(&self) -> Option<Arc<Segment>> {
        self.segments().back().cloned()
    }

    /// How many segments there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.segments().len()
    }

    /// How many spares there are.
    #[must_use]
    pub fn spare_count(&self) -> usize {
        self.spares().len()
    }

    /// Bytes of all files.
    #[must_use]
    pub fn held(&self) -> Held {
        let spare: u64 = self.spares().iter().map(|spare| spare.capacity).sum();
        let mut held = Held { written: 0, files: spare };
        for segment in self.segments().iter() {
            held.written += segment.end();
            held.files += segment.size();
        }
        held
    }

    /// Durable bytes of the segments that hold any frame behind a sequence.
    #[must_use]
    pub fn bytes_behind(&self, sequence: u64) -> u64 {
        let segments = self.segments();
        let behind = segments.iter().filter(|segment| segment.last() > sequence);
        behind.map(|segment| segment.end()).sum()
    }

    /// Takes the largest spare that holds `need` bytes.
    #[must_use]
    pub fn take_spare(&self, need: u64) -> Option<Spare> {
        let mut spares = self.spares();
        let fitting = spares.iter().enumerate().filter(|(_, spare)| spare.capacity >= need);
        let at = fitting.max_by_key(|(_, spare)| spare.capacity).map(|(at, _)| at)?;
        Some(spares.swap_remove(at))
    }

    /// Takes spares away, at most `most`, so that `keep` of them stay.
    pub fn drop_spares(&self, disk: &dyn Disk, keep: usize, most: usize) {
        let mut spares = self.spares();
        let gone = spares.len().saturating_sub(keep).min(most);
        for spare in spares.drain(..gone) {
            let _ = disk.remove(&spare.path);
        }
    }

    /// Makes a spare of `capacity` bytes, zero-filled and durable, named by `id`.
    ///
    /// # Errors
    /// What the disk answers; the half-filled file is gone then.
    pub fn fill_spare(
        &self,
        disk: &dyn Disk,
        folder: &Path,
        capacity: u64,
        mode: Mode,
        id: u64,
    ) -> io::Result<()> {
        let filling = folder.join(format!("{id:016x}{FILLING}"));
        let path = folder.join(format!("{id:016x}{ZERO}"));
        let filled = fill(disk, &filling, capacity, mode).and_then(|()| {
            disk.rename(&filling, &path)?;
            disk.sync_folder(folder)
        });
        if let Err(fault) = filled {
            let _ = disk.remove(&filling);
            return Err(fault);
        }
        self.spares().push(Spare { path, capacity, stale: false });
        Ok(())
    }

    /// Takes the oldest segment away: recycled as a spare when `recycle`, else removed.
    ///
    /// # Errors
    /// What the disk answers; the segment is off the shelf all the same.
    pub fn retire(
        &self,
        disk: &dyn Disk,
        folder: &Path,
        segment: &Arc<Segment>,
        recycle: bool,
    ) -> io::Result<()> {
        self.forget(segment);
        if !recycle {
            return disk.remove(&segment.path);
        }
        let path = folder.join(format!("{:016x}{STALE}", segment.head.id));
        disk.rename(&segment.path, &path)?;
        self.spares().push(Spare { path, capacity: segment.size(), stale: true });
        Ok(())
    }
}

/// Reads a spare's name; half-filled ones are none.
#[must_use]
pub(super) fn read_spare(folder: &Path, name: &str, bytes: u64) -> Option<Spare> {
    let stale = name.ends_with(STALE);
    let spare = (stale || name.ends_with(ZERO)) && bytes > BLOCK_BYTES;
    spare.then(|| Spare { path: folder.join(name), capacity: bytes, stale })
}

/// Whether a name is a file whose filling never ended.
#[must_use]
pub(super) fn is_half_filled(name: &str) -> bool {
    name.ends_with(FILLING)
}

/// Makes a file of zeros. Written, not only reserved: a write into a reserved extent changes metadata with each sync.
fn fill(disk: &dyn Disk, path: &Path, capacity: u64, mode: Mode) -> io::Result<()> {
    let file = disk.create(path, mode)?;
    let mut zeros = Buffer::with_capacity(FILL_BYTES as usize);
    zeros.push(&vec![0; FILL_BYTES as usize]);
    let mut at = 0;
    while at < capacity {
        let count = FILL_BYTES.min(capacity - at);
        file.write_at(&zeros.as_slice()[..count as usize], at)?;
        at += count;
    }
    file.sync()
}
