//! Start-up after any end: reads the segments of a folder. In: a folder. Out: the shelf of segments, the last durable
//! sequence, and a report of what was torn, damaged or missing. With [`Scope::repair`] it cuts the torn tail and copies
//! damaged ranges to `quarantine/`; it deletes no frame, and running it twice finds what running it once found.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::BLOCK_BYTES;
use super::disk::{Disk, DiskFile, Mode};
use super::is_full;
use super::quarantine::Damage;
use super::segment::{Head, Mark, Segment, read_name};
use super::shelf::{Shelf, Spare, is_half_filled, read_spare};
use super::walk::{Found, Step, Walk};

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Intact frames; in segments that were not read, the frames their seals speak of.
    pub frames: u64,
    /// Bytes of a torn tail.
    pub torn_bytes: u64,
    /// Damaged ranges, in order.
    pub damaged: Vec<Damage>,
    /// First and last sequence of frames that were durable once and are not there.
    pub missing: Vec<(u64, u64)>,
}

/// How much is read and changed.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// Whether a torn tail is cut and damage copied aside.
    pub repair: bool,
    /// Bytes of sealed segments that are read, newest first; older ones are trusted until they are read anyway.
    pub read_max_bytes: u64,
    /// Frames from this sequence on are read whatever that makes.
    pub read_from: u64,
}

/// What recovery hands to the writer and the readers.
#[derive(Debug)]
pub struct Recovered {
    /// Segments and spares.
    pub shelf: Shelf,
    /// The last durable sequence.
    pub last: u64,
    /// A sequence that was never handed out.
    pub next: u64,
    /// What was found.
    pub report: Report,
    /// Segments that were not read.
    pub unread: Vec<Arc<Segment>>,
}

/// Recovers `folder`, showing each intact frame that is read to `visit`, in order.
///
/// # Errors
/// What the disk answers when a file cannot be read, cut or copied.
///
/// # Panics
/// Never: the newest segment is read always.
pub fn recover(
    disk: &dyn Disk,
    folder: &Path,
    scope: Scope,
    visit: &mut dyn FnMut(&Found),
) -> io::Result<Recovered> {
    let (files, spares) = list(disk, folder, scope.repair)?;
    let first_read = first_read(&files, scope);
    let mut work = Work { disk, folder, repair: scope.repair, report: Report::default() };
    let (mut segments, mut unread) = (Vec::with_capacity(files.len()), Vec::new());
    let (mut last, mut next) = (0, 1);
    for (at, file) in files.iter().enumerate() {
        let behind = files.get(at + 1);
        let segment = Arc::new(file.segment(folder));
        if at < first_read {
            let behind = behind.expect("the newest segment is read always");
            let trusted = behind.seal().unwrap_or(behind.head.base - 1).max(file.head.base - 1);
            segment.extend(trusted, file.bytes);
            work.report.frames += trusted + 1 - file.head.base;
            unread.push(Arc::clone(&segment));
        } else {
            next = next.max(work.settle(file, behind, &segment, visit)?);
        }
        segment.seal(behind.map_or(file.head.created, |behind| behind.head.created));
        last = last.max(segment.last());
        // A base that was handed out is never handed out again, even if nothing of it survived.
        next = next.max(file.head.base + 1);
        segments.push(segment);
    }
    let shelf = Shelf::new(segments, spares);
    Ok(Recovered { shelf, last, next: next.max(last + 1), report: work.report, unread })
}

/// The seal of a segment whose first block is lost.
const UNKNOWN: u64 = u64::MAX;

/// One segment file before it is read.
struct File {
    name: String,
    bytes: u64,
    head: Head,
    /// Whether the first block is as written.
    whole: bool,
}

impl File {
    fn segment(&self, folder: &Path) -> Segment {
        Segment::new(folder.join(&self.name), self.name.clone(), self.head, self.bytes)
    }

    /// What its first block says of the segment before; a seal that contradicts the base is none.
    fn seal(&self) -> Option<u64> {
        Some(self.head.after).filter(|after| *after < self.head.base)
    }
}

fn list(disk: &dyn Disk, folder: &Path, repair: bool) -> io::Result<(Vec<File>, Vec<Spare>)> {
    let (mut files, mut spares) = (Vec::new(), Vec::new());
    for (name, bytes) in disk.list(folder)? {
        if let Some((base, id)) = read_name(&name) {
            files.push(read_head(disk, folder, name, bytes, base, id)?);
        } else if is_half_filled(&name) && repair {
            disk.remove(&folder.join(&name))?;
        } else if let Some(spare) = read_spare(folder, &name, bytes) {
            spares.push(spare);
        }
    }
    files.sort_by_key(|file| file.head.base);
    Ok((files, spares))
}

fn read_head(
    disk: &dyn Disk,
    folder: &Path,
    name: String,
    bytes: u64,
    base: u64,
    id: u64,
) -> io::Result<File> {
    let mut block = [0; BLOCK_BYTES as usize];
    let got = disk.open(&folder.join(&name), Mode::Read)?.read_at(&mut block, 0)?;
    let lost = Head { base, after: UNKNOWN, id, created: 0, capacity: bytes, stale: true };
    let read = Head::read(&block[..got]).filter(|(head, _)| (head.base, head.id) == (base, id));
    let (head, whole) = read.unwrap_or((lost, false));
    Ok(File { name, bytes, head, whole })
}

/// Index of the oldest segment that is read: the newest always, sealed ones as far as the budget goes, or as they may
/// hold what must be read.
fn first_read(files: &[File], scope: Scope) -> usize {
    let mut budget = scope.read_max_bytes;
    let mut first = files.len().saturating_sub(1);
    while let Some(before) = first.checked_sub(1) {
        let is_needed = files[first].head.base > scope.read_from;
        budget = match budget.checked_sub(files[before].bytes) {
            Some(rest) => rest,
            None if is_needed => 0,
            None => break,
        };
        first = before;
    }
    first
}

/// A recovery under way.
struct Work<'a> {
    disk: &'a dyn Disk,
    folder: &'a Path,
    repair: bool,
    report: Report,
}

impl Work<'_> {
    /// Reads one segment and decides what its end is; returns a sequence that it never used.
    fn settle(
        &mut self,
        file: &File,
        behind: Option<&File>,
        segment: &Segment,
        visit: &mut dyn FnMut(&Found),
    ) -> io::Result<u64> {
        let seal = behind.and_then(File::seal);
        let opened: Arc<dyn DiskFile> = self.disk.open(&segment.path, Mode::Read)?.into();
        let mut reading = read(&opened, segment, seal, visit)?;
        let end = reading.good;
        segment.extend(reading.last, end);
        self.report.frames += reading.frames;
        self.report.missing.append(&mut reading.missing);
        if let Some(seal) = seal.filter(|seal| *seal > reading.last) {
            // The next segment speaks of frames that this one no longer has.
            self.report.missing.push((reading.last + 1, seal));
        }
        if behind.is_none() && !file.whole && reading.frames == 0 {
            // Its making was cut short: it never was one. What it says of the segment before it says again next time.
            let kept = if file.head.after == UNKNOWN { 0 } else { BLOCK_BYTES };
            self.report.torn_bytes += file.bytes.saturating_sub(kept);
            self.cut(segment, kept)?;
            return Ok(reading.unused);
        }
        let is_bare = file.bytes <= BLOCK_BYTES && seal.is_some_and(|seal| seal < file.head.base);
        if !file.whole && is_bare {
            return Ok(reading.unused);
        }
        if !file.whole && file.bytes > 0 {
            let head = Hole { range: 0..BLOCK_BYTES.min(file.bytes), frames: Some(0) };
            self.note(&opened, segment, &head)?;
        }
        for hole in std::mem::take(&mut reading.damaged) {
            self.note(&opened, segment, &hole)?;
        }
        if behind.is_none() {
            self.report.torn_bytes += reading.tail.end - reading.tail.start;
            self.cut(segment, end)?;
        } else if let Some(tail) = reading.lost_tail(seal) {
            self.note(&opened, segment, &tail)?;
        }
        Ok(reading.unused)
    }

    /// Cuts what stands behind the last intact frame of the newest segment.
    fn cut(&self, segment: &Segment, end: u64) -> io::Result<()> {
        if self.repair && segment.size() > end {
            let file = self.disk.open(&segment.path, Mode::Buffered)?;
            file.resize(end)?;
            file.sync()?;
            segment.shrink(end);
        }
        Ok(())
    }

    fn note(&mut self, file: &Arc<dyn DiskFile>, segment: &Segment, hole: &Hole) -> io::Result<()> {
        let damage = Damage::new(segment, &hole.range, hole.frames);
        if self.repair {
            match damage.copy_aside(self.disk, self.folder, &**file) {
                // The range stays where it is: a full disk must not keep anybody from starting.
                Err(fault) if is_full(&fault) => {}
                copied => drop(copied?),
            }
        }
        self.report.damaged.push(damage);
        Ok(())
    }
}

/// A range without a frame, and how many stood there, if that is known.
struct Hole {
    range: Range<u64>,
    frames: Option<u64>,
}

/// What a reading of one segment found.
struct Reading {
    frames: u64,
    damaged: Vec<Hole>,
    missing: Vec<(u64, u64)>,
    last: u64,
    /// End of the last intact frame.
    good: u64,
    /// What was written behind it.
    tail: Range<u64>,
    /// A sequence that was never used in it.
    unused: u64,
}

impl Reading {
    /// The tail of a sealed segment, when frames that the seal speaks of stood in it. Else it is what a failed batch
    /// left behind.
    fn lost_tail(&self, seal: Option<u64>) -> Option<Hole> {
        let lost = seal.is_none_or(|seal| seal > self.last) && !self.tail.is_empty();
        lost.then(|| Hole { range: self.tail.clone(), frames: seal.map(|seal| seal - self.last) })
    }
}

fn read(
    file: &Arc<dyn DiskFile>,
    segment: &Segment,
    seal: Option<u64>,
    visit: &mut dyn FnMut(&Found),
) -> io::Result<Reading> {
    let Head { id, stale, base, .. } = segment.head;
    let mut walk = Walk::new(Arc::clone(file), id, stale, BLOCK_BYTES, base, file.size()?);
    let (mut damaged, mut missing, mut frames) = (Vec::new(), Vec::new(), 0);
    let (mut last, mut good, mut hole) = (base - 1, BLOCK_BYTES, None);
    let tail = loop {
        match walk.step()? {
            // Written, but its batch failed: nobody was told of it.
            Step::Frame(found) if seal.is_some_and(|seal| found.header.sequence > seal) => {
                break hole.unwrap_or(good..good);
            }
            Step::Frame(found) => {
                let sequence = found.header.sequence;
                let gap = sequence.checked_sub(last + 1);
                damaged.extend(hole.take().map(|range| Hole { range, frames: gap }));
                if sequence > last + 1 {
                    missing.push((last + 1, sequence - 1));
                }
                let micros = found.header.received;
                segment.mark(Mark { sequence, offset: found.offset, micros });
                frames += 1;
                last = sequence;
                good = walk.good();
                visit(&found);
            }
            Step::Damage(range) => hole = Some(range),
            Step::End => break walk.tail(),
        }
    };
    Ok(Reading { frames, damaged, missing, last, good, tail, unused: walk.expected() })
}

/// Reads one sealed segment, shows its intact frames, and tells its damaged ranges that were not known, each copied
/// aside.
///
/// # Errors
/// What the disk answers.
pub fn scrub(
    disk: &dyn Disk,
    folder: &Path,
    segment: &Segment,
    visit: &mut dyn FnMut(&Found),
) -> io::Result<Vec<Damage>> {
    let file: Arc<dyn DiskFile> = disk.open(&segment.path, Mode::Read)?.into();
    let seal = Some(segment.last());
    let reading = read(&file, segment, seal, visit)?;
    let mut found = Vec::new();
    let tail = reading.lost_tail(seal);
    for hole in reading.damaged.into_iter().chain(tail) {
        let damage = Damage::new(segment, &hole.range, hole.frames);
        if damage.copy_aside(disk, folder, &*file)? {
            found.push(damage);
        }
    }
    Ok(found)
}
