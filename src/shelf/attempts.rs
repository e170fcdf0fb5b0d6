//! What was tried: the newest attempts of all destinations, in one file that goes round. In: an attempt, as soon as
//! it is over. Out: those that were about an event. A convenience: never synced, never read to decide anything.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Time;
use crate::id::Uuid;

/// The file in the data folder.
const FILE_NAME: &str = "attempts.ring";
/// Attempts that are remembered; the file is 8 MiB.
pub const ATTEMPTS_MAX: u64 = 65_536;
const RECORD_BYTES: usize = 128;
/// Where the text begins, and where the checksum does.
const TEXT: usize = 77;
const SUM: usize = 124;
/// Longest text of what was answered, in bytes; the rest is cut.
const WHAT_MAX_BYTES: usize = SUM - TEXT;

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Whose it was.
    pub destination: Uuid,
    /// The frames its events are of, the first and the last; 0 for events that lay on the shelf.
    pub frames: (u64, u64),
    /// Its event, when it was one alone or lay on the shelf.
    pub event: Option<Uuid>,
    /// When it was over.
    pub at: Time,
    /// How long it took.
    pub took: Duration,
    /// How many events went together.
    pub events: u32,
    /// Whether they arrived.
    pub is_taken: bool,
    /// What was answered, in a few words; nothing when they arrived.
    pub what: String,
}

impl Attempt {
    fn is_about(&self, sequence: Option<u64>, event: Uuid) -> bool {
        let (first, last) = self.frames;
        match self.event {
            Some(own) => own == event,
            None => sequence.is_some_and(|sequence| (first..=last).contains(&sequence)),
        }
    }

    fn write(&self, number: u64) -> [u8; RECORD_BYTES] {
        let mut out = [0; RECORD_BYTES];
        let micros = u32::try_from(self.took.as_micros()).unwrap_or(u32::MAX);
        let length = (0..=WHAT_MAX_BYTES.min(self.what.len()))
            .rev()
            .find(|at| self.what.is_char_boundary(*at))
            .unwrap_or(0);
        let event = self.event.unwrap_or_default();
        let parts: [&[u8]; 10] = [
            &number.to_le_bytes(),
            self.destination.as_bytes(),
            &self.frames.0.to_le_bytes(),
            &self.frames.1.to_le_bytes(),
            event.as_bytes(),
            &self.at.micros().to_le_bytes(),
            &micros.to_le_bytes(),
            &self.events.to_le_bytes(),
            &[u8::from(self.is_taken), 0, 0, 0, length as u8],
            &self.what.as_bytes()[..length],
        ];
        let mut at = 0;
        for part in parts {
            out[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        let sum = crc32c::crc32c(&out[..SUM]);
        out[SUM..].copy_from_slice(&sum.to_le_bytes());
        out
    }

    /// One as it was written, and its number; nothing of a place that is empty or torn.
    fn read(record: &[u8]) -> Option<(u64, Self)> {
        let (body, sum) = record.split_at_checked(SUM)?;
        if crc32c::crc32c(body).to_le_bytes() != sum {
            return None;
        }
        let mut rest = body;
        let number = take(&mut rest).map(u64::from_le_bytes).filter(|number| *number > 0)?;
        let destination = take(&mut rest).map(Uuid::from_bytes)?;
        let frames =
            (take(&mut rest).map(u64::from_le_bytes)?, take(&mut rest).map(u64::from_le_bytes)?);
        let event = take(&mut rest).map(Uuid::from_bytes).filter(|id| !id.is_nil());
        let at = take(&mut rest).map(i64::from_le_bytes).map(Time::from_micros)?;
        let took = take(&mut rest).map(u32::from_le_bytes)?;
        let took = Duration::from_micros(u64::from(took));
        let events = take(&mut rest).map(u32::from_le_bytes)?;
        let [taken, _, _, _, length] = take(&mut rest)?;
        let what = std::str::from_utf8(rest.get(..usize::from(length))?).ok()?.to_owned();
        let is_taken = taken == 1;
        Some((number, Self { destination, frames, event, at, took, events, is_taken, what }))
    }
}

/// The next bytes.
fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (part, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*part)
}

/// The file, and the number of the next attempt.
#[derive(Debug)]
pub(super) struct Attempts {
    file: File,
    next: AtomicU64,
}

impl Attempts {
    pub(super) fn open(data: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(data.join(FILE_NAME))?;
        let newest = read_all(&file)?.into_iter().map(|(number, _)| number).max();
        Ok(Self { file, next: AtomicU64::new(newest.unwrap_or(0) + 1) })
    }

    /// Remembers one in the place of the oldest.
    pub(super) fn add(&self, attempt: &Attempt) -> io::Result<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let offset = number % ATTEMPTS_MAX * RECORD_BYTES as u64;
        self.file.write_all_at(&attempt.write(number), offset)
    }

    /// Those about an event, the oldest first.
    pub(super) fn about(&self, sequence: Option<u64>, event: Uuid) -> io::Result<Vec<Attempt>> {
        let mut found = read_all(&self.file)?;
        found.retain(|(_, attempt)| attempt.is_about(sequence, event));
        found.sort_unstable_by_key(|(number, _)| *number);
        Ok(found.into_iter().map(|(_, attempt)| attempt).collect())
    }
}

fn read_all(file: &File) -> io::Result<Vec<(u64, Attempt)>> {
    let most = ATTEMPTS_MAX * RECORD_BYTES as u64;
    let mut bytes = vec![0; file.metadata()?.len().min(most) as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes.chunks_exact(RECORD_BYTES).filter_map(Attempt::read).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shelf::tests::Folder;

    fn attempt(sequence: u64, what: &str) -> Attempt {
        Attempt {
            destination: Uuid::from_u128(7),
            frames: (sequence, sequence + 2),
            event: None,
            at: Time::from_micros(1_000_000),
            took: Duration::from_micros(1234),
            events: 3,
            is_taken: what.is_empty(),
            what: what.to_owned(),
        }
    }

    #[test]
    fn the_newest_are_remembered_over_a_restart_and_torn_ones_are_not() {
        let folder = Folder::new();
        let event = Uuid::from_u128(9);
        let attempts = Attempts::open(&folder.0).expect("a file");
        for number in 0..ATTEMPTS_MAX + 10 {
            attempts.add(&attempt(number * 10, "")).expect("written");
        }
        let alone = Attempt { event: Some(event), frames: (0, 0), ..attempt(0, "answered 503") };
        attempts.add(&alone).expect("written");
        let attempts = Attempts::open(&folder.0).expect("a file");
        let newest = (ATTEMPTS_MAX + 9) * 10;
        let about = |sequence, id| attempts.about(sequence, id).expect("read");
        assert_eq!(about(Some(newest + 1), Uuid::nil()), [attempt(newest, "")]);
        assert_eq!(about(Some(newest + 3), Uuid::nil()), []);
        assert_eq!(about(Some(11), Uuid::nil()), [], "the oldest made room");
        assert_eq!(about(None, event), std::slice::from_ref(&alone));
        attempts.add(&attempt(5, "once more")).expect("written");
        assert_eq!(about(Some(6), event), [alone, attempt(5, "once more")]);
        let offset = (ATTEMPTS_MAX + 12) % ATTEMPTS_MAX * RECORD_BYTES as u64;
        attempts.file.write_all_at(b"torn", offset + 30).expect("written");
        assert_eq!(about(Some(6), Uuid::nil()), []);
    }

    #[test]
    fn a_long_answer_is_cut_between_letters() {
        let long = format!("{}{}", "x".repeat(WHAT_MAX_BYTES - 1), "ü".repeat(9));
        let written = attempt(1, &long).write(3);
        let (number, read) = Attempt::read(&written).expect("one");
        assert_eq!((number, read.what.as_str()), (3, &long[..WHAT_MAX_BYTES - 1]));
        assert!((0..SUM).all(|at| {
            let mut spoiled = written;
            spoiled[at] ^= 1;
            Attempt::read(&spoiled).is_none()
        }));
    }
}
