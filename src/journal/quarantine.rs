//! Damage set aside: ranges of segments that hold no frame any more. In: a range. Out: a copy of its bytes in
//! `quarantine/`, and beside it a mark that stands until somebody was told of it. Never deletes a copy.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::disk::{Disk, DiskFile, Mode, replace};
use super::segment::Segment;

/// Where copies lie, in the folder of the segments.
const FOLDER: &str = "quarantine";
/// How the name of a copy ends, and that of its mark.
const COPY: &str = ".bin";
const MARK: &str = ".untold";
/// Longest text of a mark that is read: digits of a number.
const MARK_MAX_BYTES: usize = 20;

/// A damaged range of one segment file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Damage {
    /// The file's name.
    pub segment: String,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub bytes: u64,
    /// Frames that were lost with it, where what stands behind it says how many.
    pub frames: Option<u64>,
}

impl Damage {
    /// A range of a segment.
    #[must_use]
    pub fn new(segment: &Segment, range: &Range<u64>, frames: Option<u64>) -> Self {
        let (offset, bytes) = (range.start, range.end - range.start);
        Self { segment: segment.name.clone(), offset, bytes, frames }
    }

    /// The path of its copy, from the folder of the segments.
    #[must_use]
    pub fn copy(&self) -> String {
        format!("{FOLDER}/{}{COPY}", self.stem())
    }

    fn stem(&self) -> String {
        format!("{}-{}-{}", self.segment.trim_end_matches(".log"), self.offset, self.bytes)
    }

    /// What the name of a mark tells.
    fn of_mark(name: &str) -> Option<Self> {
        let (rest, bytes) = name.strip_suffix(MARK)?.rsplit_once('-')?;
        let (segment, offset) = rest.rsplit_once('-')?;
        let (offset, bytes) = (offset.parse().ok()?, bytes.parse().ok()?);
        Some(Self { segment: format!("{segment}.log"), offset, bytes, frames: None })
    }

    /// Copies the range to `quarantine/`, with a mark that nobody was told of it. `false`: its copy was there already.
    ///
    /// # Errors
    /// What the disk answers.
    pub fn copy_aside(
        &self,
        disk: &dyn Disk,
        folder: &Path,
        file: &dyn DiskFile,
    ) -> io::Result<bool> {
        let quarantine = folder.join(FOLDER);
        disk.make_folder(&quarantine)?;
        let name = format!("{}{COPY}", self.stem());
        if disk.list(&quarantine)?.iter().any(|(there, _)| *there == name) {
            return Ok(false);
        }
        // The mark first: a copy without one was told of.
        let frames = self.frames.map(|frames| frames.to_string()).unwrap_or_default();
        replace(disk, &quarantine, &format!("{}{MARK}", self.stem()), frames.as_bytes())?;
        let mut bytes = vec![0; self.bytes as usize];
        let got = file.read_at(&mut bytes, self.offset)?;
        let half = quarantine.join("copy.tmp");
        let _ = disk.remove(&half);
        let copy = disk.create(&half, Mode::Buffered)?;
        copy.write_at(&bytes[..got], 0)?;
        copy.sync()?;
        disk.rename(&half, &quarantine.join(&name))?;
        disk.sync_folder(&quarantine)?;
        Ok(true)
    }

    /// Somebody was told of it. If that is forgotten in a crash, it is told again.
    pub fn settle(&self, disk: &dyn Disk, folder: &Path) {
        let _ = disk.remove(&mark(folder, &self.stem()));
    }
}

fn mark(folder: &Path, stem: &str) -> PathBuf {
    folder.join(FOLDER).join(format!("{stem}{MARK}"))
}

/// Damaged ranges that were set aside and nobody was told of, in order, at most so many.
#[must_use]
pub fn untold(disk: &dyn Disk, folder: &Path, most: usize) -> Vec<Damage> {
    let there = disk.list(&folder.join(FOLDER)).unwrap_or_default();
    let has_copy = |stem: &str| there.iter().any(|(name, _)| name.strip_suffix(COPY) == Some(stem));
    let marked = there.iter().filter_map(|(name, _)| Damage::of_mark(name));
    let mut found: Vec<_> = marked.filter(|damage| has_copy(&damage.stem())).collect();
    found.sort();
    found.truncate(most);
    for damage in &mut found {
        damage.frames = read_mark(disk, &mark(folder, &damage.stem()));
    }
    found
}

fn read_mark(disk: &dyn Disk, path: &Path) -> Option<u64> {
    let mut bytes = [0; MARK_MAX_BYTES];
    let got = disk.open(path, Mode::Read).ok()?.read_at(&mut bytes, 0).ok()?;
    std::str::from_utf8(&bytes[..got]).ok()?.parse().ok()
}

/// How many damaged ranges were copied aside since the folder was made.
#[must_use]
pub fn count_damages(disk: &dyn Disk, folder: &Path) -> usize {
    let there = disk.list(&folder.join(FOLDER)).unwrap_or_default();
    there.iter().filter(|(name, _)| name.ends_with(COPY)).count()
}
