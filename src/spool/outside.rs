//! A spool as it lies in its folder, seen from outside: beside a process that has it, or without one. In: a data
//! folder. Out: bytes of its files, and how many of them each reader holds. Takes no lock, changes nothing.

use std::collections::HashMap;
use std::path::Path;

use super::cursor;
use crate::journal::RealDisk;

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
