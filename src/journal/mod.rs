//! The file format and its writer: frames in batches, batches in segments, one sync per batch. In: batches of finished
//! frames. Out: their place on stable storage, or the fault that nothing of the batch survives; after a crash, what is
//! intact. Knows nothing of events, readers or retention. Never rewrites a block that holds a durable frame.

mod buffer;
mod disk;
mod frame;
mod quarantine;
mod recovery;
mod segment;
mod shelf;
mod survey;
mod walk;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use buffer::Buffer;
pub use disk::{Disk, DiskFile, Mode, RealDisk, Space, replace};
pub use frame::{FRAME_ALIGN, HEADER_BYTES, Header, write_sequence};
pub use quarantine::{Damage, count_damages, untold};
pub use recovery::{Recovered, Report, Scope, recover, scrub};
pub use segment::{Head, Mark, Segment};
pub use shelf::{Held, Shelf};
pub use survey::survey;
pub use walk::{Found, Step, Walk};

/// Direct writes want it, batches begin at it, and it is the size of a page of the page cache.
pub const BLOCK_BYTES: u64 = 4096;
/// Size of the first segment of a folder; later ones grow.
pub const SEGMENT_MIN_BYTES: u64 = 1 << 20;

/// Why nothing of a batch is kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// No space; the next batch may find some.
    #[error("no space: {0}")]
    Full(String),
    /// A write or a sync failed; its file is never written again.
    #[error("{0}")]
    Failed(String),
}

impl JournalError {
    fn of(doing: &str, path: &Path, fault: &io::Error) -> Self {
        let text = format!("{doing} {}: {fault}", path.display());
        if is_full(fault) { Self::Full(text) } else { Self::Failed(text) }
    }
}

/// Whether a fault goes by itself once there is room.
#[must_use]
pub fn is_full(fault: &io::Error) -> bool {
    matches!(fault.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The segment being written.
#[derive(Debug)]
struct Active {
    file: Box<dyn DiskFile>,
    segment: Arc<Segment>,
}

/// The writer's side of a journal.
#[derive(Debug)]
pub struct Journal {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    shelf: Arc<Shelf>,
    active: Option<Active>,
    start: Start,
}

/// Where and how a writer begins.
#[derive(Debug)]
pub struct Start {
    /// How files are written.
    pub mode: Mode,
    /// The last durable sequence.
    pub last: u64,
    /// Size of a segment for which no spare is at hand; a larger batch makes a larger one.
    pub first_bytes: u64,
    /// For segment ids.
    pub chance: fastrand::Rng,
}

impl Journal {
    /// A writer behind what recovery found; the first batch begins a new segment.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, folder: &Path, shelf: Arc<Shelf>, start: Start) -> Self {
        Self { disk, folder: folder.to_path_buf(), shelf, active: None, start }
    }

    /// Makes a batch durable: frames `first` to `last`, one behind the other, whose headers get their checksum here.
    /// Returns the segment and the offset where the batch begins. On a fault nothing of the batch counts: the segment
    /// is sealed at its last durable frame, and the next batch begins a new one.
    ///
    /// # Errors
    /// [`JournalError`]
    ///
    /// # Panics
    /// When the batch is not whole frames.
    pub fn write(
        &mut self,
        batch: &mut Buffer,
        first: u64,
        last: u64,
        now: i64,
    ) -> Result<(Arc<Segment>, u64), JournalError> {
        let length = batch.len();
        batch.pad();
        let active = match self.active.take() {
            Some(active) if active.room() >= batch.len() as u64 => active,
            full => {
                if let Some(full) = full {
                    full.segment.seal(now);
                }
                self.begin(first, batch.len() as u64, now)?
            }
        };
        let offset = active.segment.end();
        frame::stamp(&mut batch.as_mut_slice()[..length], active.segment.head.id, offset);
        if let Err(fault) = self.write_durable(&*active.file, batch.as_slice(), offset) {
            let error = JournalError::of("writing", &active.segment.path, &fault);
            self.give_up(&active, &error, now);
            return Err(error);
        }
        let segment = Arc::clone(&active.segment);
        segment.mark(Mark { sequence: first, offset, micros: now });
        segment.extend(last, offset + batch.len() as u64);
        self.start.last = last;
        self.active = Some(active);
        Ok((segment, offset))
    }

    /// Seals the segment at hand.
    pub fn seal(&mut self, now: i64) {
        if let Some(active) = self.active.take() {
            active.segment.seal(now);
        }
    }

    fn write_durable(&self, file: &dyn DiskFile, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_at(bytes, offset)?;
        if self.start.mode == Mode::Direct { Ok(()) } else { file.sync() }
    }

    /// Begins the segment of `base`: first block, name and folder are durable before a frame is written.
    fn begin(&mut self, base: u64, bytes: u64, now: i64) -> Result<Active, JournalError> {
        let need = BLOCK_BYTES + bytes;
        let spare = self.shelf.take_spare(need);
        let (capacity, stale, size) = match &spare {
            Some(spare) => (spare.capacity, spare.stale, spare.capacity),
            None => (need.max(self.start.first_bytes), false, BLOCK_BYTES),
        };
        let id = self.start.chance.u64(..);
        let head = Head { base, after: self.start.last, id, created: now, capacity, stale };
        let name = segment::write_name(base, id);
        let path = self.folder.join(&name);
        let made = self.make(&head, spare.map(|spare| spare.path).as_deref(), &path);
        let file = made.map_err(|fault| JournalError::of("making", &path, &fault))?;
        let segment = Arc::new(Segment::new(path, name, head, size));
        self.shelf.add(Arc::clone(&segment));
        Ok(Active { file, segment })
    }

    fn make(
        &self,
        head: &Head,
        spare: Option<&Path>,
        path: &Path,
    ) -> io::Result<Box<dyn DiskFile>> {
        let from = spare.unwrap_or(path);
        let opened = match spare {
            Some(spare) => self.disk.open(spare, self.start.mode),
            None => self.disk.create(path, self.start.mode),
        };
        let made = opened.and_then(|file| {
            self.write_durable(&*file, head.block().as_slice(), 0)?;
            if from != path {
                self.disk.rename(from, path)?;
            }
            self.disk.sync_folder(&self.folder)?;
            Ok(file)
        });
        if made.is_err() {
            // Whichever name it has by now: it holds nothing.
            let _ = self.disk.remove(from);
            let _ = self.disk.remove(path);
        }
        made
    }

    /// Seals a segment whose last batch failed. The seal itself is the `after` of the segment that follows.
    fn give_up(&self, active: &Active, error: &JournalError, now: i64) {
        let segment = &active.segment;
        segment.seal(now);
        if segment.last() < segment.head.base {
            self.shelf.forget(segment);
            let _ = self.disk.remove(&segment.path);
        } else if matches!(error, JournalError::Full(_))
            && active.file.resize(segment.end()).is_ok()
        {
            segment.shrink(segment.end());
        }
    }
}

impl Active {
    /// Bytes that still fit.
    fn room(&self) -> u64 {
        self.segment.head.capacity.saturating_sub(self.segment.end())
    }
}

/// How this folder's file system takes writes: tries a direct one when `wanted`.
#[must_use]
pub fn probe(disk: &dyn Disk, folder: &Path, wanted: bool) -> Mode {
    if !wanted {
        return Mode::Buffered;
    }
    let path = folder.join("probe.tmp");
    let _ = disk.remove(&path);
    let mut block = Buffer::with_capacity(BLOCK_BYTES as usize);
    block.push(&[0; BLOCK_BYTES as usize]);
    let tried =
        disk.create(&path, Mode::Direct).and_then(|file| file.write_at(block.as_slice(), 0));
    let _ = disk.remove(&path);
    match tried {
        Ok(()) => Mode::Direct,
        // A full disk says nothing about how it takes writes once there is room.
        Err(fault) if is_full(&fault) => Mode::Direct,
        Err(_) => Mode::Buffered,
    }
}

#[cfg(test)]
pub(crate) mod fault;

#[cfg(test)]
mod tests;
