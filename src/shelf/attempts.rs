//! What was tried: the newest attempts of all destinations, in one file that goes round. In: an attempt, as soon as
//! it is over. Out: those that are asked for. A convenience: never synced, never read to decide anything.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};

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

/// The sixteen bytes of an event say which batch it went in.
const BATCH_FOR_EVENT: u8 = 1;
/// Those of the frames do.
const BATCH_FOR_FRAMES: u8 = 2;
/// Bits of the same byte in front of the places.
const PLACES_SHIFT: u32 = 2;

/// Which of its frames' events were in an attempt, by their places; nothing: it is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Places(u8);

impl Places {
    /// Frames seldom have more than two events: the last bit stands for all places from there on.
    const LAST: u32 = 5;

    /// With one more.
    #[must_use]
    pub fn with(self, place: u32) -> Self {
        Self(self.0 | 1 << place.min(Self::LAST))
    }

    /// Whether an event of that place may be meant.
    #[must_use]
    pub fn has(self, place: u32) -> bool {
        self.0 == 0 || self.0 & 1 << place.min(Self::LAST) != 0
    }
}

/// What names a batch where it arrives: a digest of what is in it.
pub type Batch = [u8; 16];

/// What names several events that go together: the same ones in the same order have the same name again. Each is its
/// place, since two tenants may use one id, and its id.
#[must_use]
pub fn batch_of(events: impl Iterator<Item = (Uuid, Uuid)>) -> Batch {
    let mut context = Context::new(&SHA256);
    for (place, id) in events {
        context.update(place.as_bytes());
        context.update(id.as_bytes());
    }
    let mut batch = Batch::default();
    batch.copy_from_slice(&context.finish().as_ref()[..16]);
    batch
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Whose it was.
    pub destination: Uuid,
    /// The frames its events are of, the first and the last; 0 for one event that is named.
    pub frames: (u64, u64),
    /// Which of their events.
    pub places: Places,
    /// Its event, when it was one alone or lay on the shelf.
    pub event: Option<Uuid>,
    /// When it was over.
    pub at: Time,
    /// How long it took.
    pub took: Duration,
    /// How many events went together.
    pub events: u32,
    /// What named them there together, when they were several and were named.
    pub batch: Option<Batch>,
    /// Whether they arrived.
    pub is_taken: bool,
    /// The status of the answer, where answers have one.
    pub status: Option<u16>,
    /// What was answered, in a few words; nothing when they arrived with this attempt.
    pub what: String,
}

impl Attempt {
    /// Whether it was, or may have been, about an event: by its frame and place there, as far as they are known.
    #[must_use]
    pub fn is_about(&self, spot: Option<(u64, Option<u32>)>, event: Uuid) -> bool {
        let (first, last) = self.frames;
        match self.event {
            Some(own) => own == event,
            None => spot.is_some_and(|(sequence, place)| {
                (first..=last).contains(&sequence)
                    && place.is_none_or(|place| self.places.has(place))
            }),
        }
    }

    fn write(&self, number: u64) -> [u8; RECORD_BYTES] {
        let mut out = [0; RECORD_BYTES];
        let micros = u32::try_from(self.took.as_micros()).unwrap_or(u32::MAX);
        let length = (0..=WHAT_MAX_BYTES.min(self.what.len()))
            .rev()
            .find(|at| self.what.is_char_boundary(*at))
            .unwrap_or(0);
        // Of frames and event only one is needed: where both would be empty, a batch has room.
        let mut frames = [0; 16];
        frames[..8].copy_from_slice(&self.frames.0.to_le_bytes());
        frames[8..].copy_from_slice(&self.frames.1.to_le_bytes());
        let mut event = self.event.unwrap_or_default().into_bytes();
        let mut form = self.places.0 << PLACES_SHIFT;
        match (self.batch, self.event) {
            (Some(batch), None) => (event, form) = (batch, form | BATCH_FOR_EVENT),
            (Some(batch), Some(_)) => (frames, form) = (batch, form | BATCH_FOR_FRAMES),
            (None, _) => {}
        }
        let [low, high] = self.status.unwrap_or(0).to_le_bytes();
        let parts: [&[u8]; 9] = [
            &number.to_le_bytes(),
            self.destination.as_bytes(),
            &frames,
            &event,
            &self.at.micros().to_le_bytes(),
            &micros.to_le_bytes(),
            &self.events.to_le_bytes(),
            &[u8::from(self.is_taken), low, high, form, length as u8],
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
        let frames: Batch = take(&mut rest)?;
        let event: Batch = take(&mut rest)?;
        let at = take(&mut rest).map(i64::from_le_bytes).map(Time::from_micros)?;
        let took = take(&mut rest).map(u32::from_le_bytes)?;
        let took = Duration::from_micros(u64::from(took));
        let events = take(&mut rest).map(u32::from_le_bytes)?;
        // What an earlier release wrote has zeroes there.
        let [taken, low, high, form, length] = take(&mut rest)?;
        let what = std::str::from_utf8(rest.get(..usize::from(length))?).ok()?.to_owned();
        let (is_taken, status) = (taken == 1, u16::from_le_bytes([low, high]));
        let status = Some(status).filter(|status| *status > 0);
        let places = Places(form >> PLACES_SHIFT);
        let (batch, frames, event) = match form & (BATCH_FOR_EVENT | BATCH_FOR_FRAMES) {
            BATCH_FOR_EVENT => (Some(event), frames, Batch::default()),
            BATCH_FOR_FRAMES => (Some(frames), Batch::default(), event),
            _ => (None, frames, event),
        };
        let mut frames = &frames[..];
        let frames = (take(&mut frames).map(u64::from_le_bytes)?, take(&mut frames)?);
        let frames = (frames.0, u64::from_le_bytes(frames.1));
        let event = Some(Uuid::from_bytes(event)).filter(|id| !id.is_nil());
        let attempt = Self {
            destination,
            frames,
            places,
            event,
            at,
            took,
            events,
            batch,
            is_taken,
            status,
            what,
        };
        Some((number, attempt))
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

    /// Those that fit, the oldest first.
    pub(super) fn find(&self, fits: impl Fn(&Attempt) -> bool) -> io::Result<Remembered> {
        let mut all = read_all(&self.file)?;
        let is_full = all.len() as u64 >= ATTEMPTS_MAX;
        let oldest = all.iter().min_by_key(|(number, _)| *number);
        let since = oldest.filter(|_| is_full).map(|(_, attempt)| attempt.at);
        all.retain(|(_, attempt)| fits(attempt));
        all.sort_unstable_by_key(|(number, _)| *number);
        Ok(Remembered { found: all.into_iter().map(|(_, attempt)| attempt).collect(), since })
    }
}

/// What is remembered of what was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    /// Those that fit, the oldest first.
    pub found: Vec<Attempt>,
    /// All since then are remembered; nothing: all that ever were.
    pub since: Option<Time>,
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
            places: Places::default(),
            event: None,
            at: Time::from_micros(1_000_000),
            took: Duration::from_micros(1234),
            events: 3,
            batch: None,
            is_taken: what.is_empty(),
            status: None,
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
        let about = |sequence: Option<u64>, id| {
            let spot = sequence.map(|sequence| (sequence, None));
            attempts.find(|attempt| attempt.is_about(spot, id)).expect("read").found
        };
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

    #[test]
    fn batch_status_and_places_stand_where_an_earlier_release_had_nothing() {
        let (batch, event) = ([9; 16], Uuid::from_u128(5));
        let places = Places::default().with(1);
        let run = Attempt { places, batch: Some(batch), status: Some(204), ..attempt(7, "") };
        let shelved = Attempt { event: Some(event), frames: (0, 0), ..run.clone() };
        for one in [&run, &shelved, &attempt(7, "answered 503")] {
            assert_eq!(Attempt::read(&one.write(3)), Some((3, one.clone())));
        }
        let before = attempt(7, "answered 503").write(3);
        assert_eq!(before[72..76], [0; 4], "not taken, and the three that say no more");
        assert!(run.is_about(Some((8, Some(1))), event) && run.is_about(Some((8, None)), event));
        assert!(!run.is_about(Some((8, Some(0))), event), "another event of its frame");
        assert!(!run.is_about(Some((10, Some(1))), event) && !run.is_about(None, event));
        assert!(shelved.is_about(None, event) && !shelved.is_about(None, Uuid::from_u128(6)));
        assert!(attempt(7, "").is_about(Some((7, Some(0))), event), "as was known then");
        let many = Places::default().with(31);
        assert!(many.has(9) && !many.has(4));
    }
}
