//! A spool as it lies in its folder, seen from outside: beside a process that has it, or without one. In: a data
//! folder. Out: bytes of its files, and how many of them each reader holds. Takes no lock, changes nothing.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::cursor;
use crate::id::Uuid;
use crate::journal::RealDisk;

/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 20;

/// What lies there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lying {
    /// Bytes of all segments.
    pub bytes: u64,
    /// Bytes of the segments that hold what a reader has not released, by its name.
    pub held: HashMap<String, u64>,
}

/// Looks at the spool of a data folder; without one, nothing lies there.
#[must_use]
pub fn look(data: &Path) -> Lying {
    let folder = data.join("spool");
    let Ok(entries) = std::fs::read_dir(&folder) else { return Lying::default() };
    let mut segments: Vec<(u64, u64)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name();
            let (base, _) = name.to_str()?.strip_suffix(".log")?.split_once('-')?;
            Some((base.parse().ok()?, entry.metadata().ok()?.len()))
        })
        .collect();
    segments.sort_unstable();
    let places = cursor::read(&RealDisk, &cursor::folder(&folder)).places;
    let newest = places.values().copied().max().unwrap_or_default();
    let held = |released: u64| {
        // A segment ends where the next one begins, and the last one at the newest place.
        let ends = segments.iter().skip(1).map(|(base, _)| base - 1).chain([newest]);
        let holding = segments.iter().zip(ends).filter(|(_, end)| *end > released);
        holding.map(|((_, bytes), _)| bytes).sum()
    };
    Lying {
        bytes: segments.iter().map(|(_, bytes)| bytes).sum(),
        held: places.iter().map(|(name, released)| (name.clone(), held(*released))).collect(),
    }
}

/// Whether a reader of that name has a place in a data folder.
#[must_use]
pub fn has_place(data: &Path, name: &str) -> bool {
    let folder = cursor::folder(&data.join("spool"));
    cursor::read(&RealDisk, &folder).places.contains_key(name)
}

/// Whether an event may lie in a data folder: `false`, where its id is in none of the files. What is not looked at in
/// that time, or cannot be read, may have it.
#[must_use]
pub fn may_hold(data: &Path, event: Uuid, most: Duration) -> bool {
    let began = Instant::now();
    let Ok(entries) = std::fs::read_dir(data.join("spool")) else { return false };
    let is_segment = |path: &Path| path.extension().is_some_and(|ending| ending == "log");
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.any(|path| is_segment(&path) && file_may_hold(&path, event, began + most))
}

fn file_may_hold(path: &Path, event: Uuid, until: Instant) -> bool {
    let Ok(mut file) = File::open(path) else { return true };
    let wanted = memchr::memmem::Finder::new(event.as_bytes());
    let (mut bytes, mut kept) = (vec![0; READ_BYTES], 0);
    loop {
        let Ok(count) = file.read(&mut bytes[kept..]) else { return true };
        let end = kept + count;
        if wanted.find(&bytes[..end]).is_some() || Instant::now() >= until {
            return true;
        }
        if count == 0 {
            return false;
        }
        // An id may lie across two parts.
        kept = end.min(event.as_bytes().len() - 1);
        bytes.copy_within(end - kept..end, 0);
    }
}
