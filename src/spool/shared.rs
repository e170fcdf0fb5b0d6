//! What all hands of one spool share. In: frames from senders. Out: the state that writer, keeper and readers meet at.
//! Never waits, never touches a file but to set damage aside.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::Waker;
use std::time::Duration;

use tokio::sync::Notify;

use super::firsts::Firsts;
use super::gate::Gate;
use super::memory::Memory;
use super::once::{KEY_MAX_SECONDS, Keys, Placed};
use super::queue::Queue;
use super::refused::Refusals;
use super::ring::Ring;
use super::seals::Seals;
use super::track::Track;
use super::tracks::Tracks;
use super::watch::Pace;
use super::{Frame, Options, SpoolError, cursor};
use crate::clock::{Clock, Held, Time};
use crate::journal::{
    BLOCK_BYTES, Damage, Disk, DiskFile, Mode, SEGMENT_MIN_BYTES, Segment, Shelf, Space,
};
use crate::telemetry::spool::{Facts, Refused};

/// Smallest share of the disk that stays free, whatever `free_min_bytes` says: a small disk must not be full at once.
const FREE_SHARE: u64 = 20;
/// Segments that the bound of the spool divides into, at least.
const SEGMENTS_MIN: u64 = 8;
/// No segment is smaller, whatever the settings and the disk.
const SEGMENT_LEAST_BYTES: u64 = 16 * BLOCK_BYTES;
/// A spool with less has no room for its segments.
pub const SPOOL_LEAST_BYTES: u64 = SEGMENTS_MIN * SEGMENT_LEAST_BYTES;

/// Settings as they are in force.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    /// Size of a full segment.
    pub(super) segment_bytes: u64,
    /// Size of the first one.
    pub(super) first_bytes: u64,
    /// All files together.
    pub(super) spool_max_bytes: u64,
    /// Durable bytes past which appends are refused: room for the segment at hand and a spare is taken off.
    pub(super) written_max_bytes: u64,
    /// Durable bytes past which segments go before their time: those who send must not meet the bound meanwhile.
    pub(super) written_soft_bytes: u64,
    pub(super) free_min_bytes: u64,
    pub(super) retention_micros: i64,
    pub(super) retention_max_bytes: u64,
    pub(super) queue_max_bytes: usize,
    pub(super) append_time: Duration,
    pub(super) frame_max_bytes: u64,
}

impl Bounds {
    /// The settings on a file system of that space.
    pub(super) fn new(options: &Options, space: Option<Space>) -> Self {
        let (share, free_min_bytes) = match space {
            Some(space) => (
                (space.total / SEGMENTS_MIN).max(SEGMENT_MIN_BYTES),
                options.free_min_bytes.min(space.total / FREE_SHARE),
            ),
            None => (u64::MAX, options.free_min_bytes),
        };
        let wanted = options.segment_bytes.min(options.spool_max_bytes / SEGMENTS_MIN).min(share);
        let segment_bytes = (wanted / BLOCK_BYTES * BLOCK_BYTES).max(SEGMENT_LEAST_BYTES);
        let frame_max_bytes = (segment_bytes - BLOCK_BYTES).min(options.queue_max_bytes as u64);
        let written_max_bytes = options.spool_max_bytes.saturating_sub(2 * segment_bytes);
        let most = written_max_bytes.saturating_sub(2 * segment_bytes);
        Self {
            segment_bytes,
            first_bytes: segment_bytes.min(SEGMENT_MIN_BYTES),
            spool_max_bytes: options.spool_max_bytes,
            written_max_bytes,
            written_soft_bytes: most.min(written_max_bytes / 10 * 9),
            free_min_bytes,
            retention_micros: i64::try_from(options.retention.as_micros()).unwrap_or(i64::MAX),
            retention_max_bytes: options.retention_max_bytes,
            queue_max_bytes: options.queue_max_bytes,
            append_time: options.append_time,
            frame_max_bytes: frame_max_bytes.min(u64::from(u32::MAX)),
        }
    }
}

/// Calls the keeper before its time, or for the last time.
#[derive(Debug, Default)]
pub(super) struct Bell {
    state: Mutex<(bool, bool)>,
    rung: Condvar,
}

impl Bell {
    /// Calls it now.
    pub(super) fn ring(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0 = true;
        self.rung.notify_all();
    }

    /// Sends it home.
    pub(super) fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
        self.rung.notify_all();
    }

    /// Waits for a call, at most `time`. `false`: go home.
    pub(super) fn wait(&self, time: Duration) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let quiet = |state: &mut (bool, bool)| !state.0 && !state.1;
        let waited = self.rung.wait_timeout_while(state, time, quiet);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.0 = false;
        !state.1
    }
}

/// The spool behind its handles.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) folder: PathBuf,
    pub(super) cursors: PathBuf,
    pub(super) mode: Mode,
    pub(super) bounds: Bounds,
    pub(super) clock: Arc<Clock>,
    /// What is old by it is old whatever the clock was set to.
    pub(super) held: Held,
    pub(super) facts: Arc<Facts>,
    pub(super) queue: Queue,
    pub(super) gate: Gate,
    pub(super) ring: Ring,
    pub(super) refusals: Refusals,
    pub(super) shelf: Arc<Shelf>,
    pub(super) tracks: Tracks,
    /// Places were lost at this start.
    pub(super) has_lost_places: bool,
    /// Held while places are saved, with files of earlier versions that are of no use once that is done.
    pub(super) saving: Mutex<Vec<PathBuf>>,
    /// Readers wait here for the next batch.
    pub(super) news: Notify,
    /// The keeper waits here.
    pub(super) bell: Bell,
    /// And whoever looks after those who wait.
    pub(super) watch_bell: Bell,
    pub(super) pace: Pace,
    /// The highest durable sequence.
    pub(super) durable: AtomicU64,
    /// The segment at hand ends with what is in it: the next batch begins another one.
    pub(super) ends: AtomicBool,
    /// Durable bytes of all segments, as far as the keeper has counted, and what the writer added since.
    pub(super) written: AtomicU64,
    pub(super) damaged: AtomicUsize,
    /// Somebody may have to be told of damage.
    pub(super) has_untold: AtomicBool,
    /// Sequence of events that are appended once.
    pub(super) seen: Mutex<Memory<Placed>>,
    /// Digest of events whose id a template gave.
    pub(super) given: Mutex<Memory<Placed>>,
    /// What seals and opens requests, if anything does.
    pub(super) seals: Option<Seals>,
    /// The first request of each key.
    pub(super) keys: Mutex<Keys>,
    /// And on stable storage; the keeper's.
    pub(super) firsts: Mutex<Firsts>,
}

impl Shared {
    /// The highest durable sequence.
    pub(super) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Keys of requests that came before are remembered no more.
    pub(super) fn horizon(&self) -> Time {
        self.held.now(&self.clock).plus_seconds(-KEY_MAX_SECONDS)
    }

    /// The first sequence that may still be kept.
    pub(super) fn oldest(&self) -> u64 {
        self.shelf.oldest().unwrap_or_else(|| self.durable() + 1)
    }

    /// Whether appends are refused right now.
    pub(super) fn admit(&self) -> Result<(), SpoolError> {
        match self.gate.reason() {
            None => Ok(()),
            Some(why) => Err(self.count_refusal(why)),
        }
    }

    /// Hands a frame to the writer; its sequence.
    pub(super) fn push(&self, frame: &Frame, waker: Option<Waker>) -> Result<u64, SpoolError> {
        self.admit()?;
        let bytes = frame.bytes.len() as u64;
        if bytes > self.bounds.frame_max_bytes {
            return Err(SpoolError::FrameTooLarge {
                bytes,
                max_bytes: self.bounds.frame_max_bytes,
            });
        }
        self.queue.push(&frame.bytes, waker).map_err(|why| self.count_refusal(why))
    }

    /// Whoever sent a frame waits no longer.
    pub(super) fn give_up_waiting(&self) -> SpoolError {
        self.count_refusal(SpoolError::Slow)
    }

    /// Whether the disk is slow of late.
    pub(super) fn is_slow(&self) -> bool {
        self.pace.is_slow(self.queue.oldest_wait())
    }

    fn count_refusal(&self, why: SpoolError) -> SpoolError {
        self.facts.refused(match why {
            SpoolError::Full { .. } | SpoolError::NoRoom { .. } => Refused::Full,
            SpoolError::Busy => Refused::Busy,
            SpoolError::Slow => Refused::Slow,
            _ => Refused::Failed,
        });
        why
    }

    /// Sets a damaged range aside that a reader met, and says so once.
    pub(super) fn note_damage(&self, segment: &Segment, range: &Range<u64>, file: &dyn DiskFile) {
        let damage = Damage::new(segment, range, None);
        match damage.copy_aside(&*self.disk, &self.folder, file) {
            Ok(true) => self.count_damage(&damage),
            Ok(false) => {}
            Err(fault) => tracing::warn!(%fault, ?damage, "damage could not be set aside"),
        }
    }

    /// Counts a damaged range that was not known.
    pub(super) fn count_damage(&self, damage: &Damage) {
        let Damage { segment, offset, bytes, .. } = damage;
        let ranges = self.damaged.fetch_add(1, Ordering::Relaxed) + 1;
        self.facts.damaged(ranges);
        self.has_untold.store(true, Ordering::Release);
        tracing::error!(
            segment,
            offset,
            bytes,
            "damaged range in the spool, set aside and skipped"
        );
    }

    /// Saves the places of all readers, if one moved; how many bytes that took.
    pub(super) fn save_cursors(&self) -> std::io::Result<usize> {
        // Held while writing: a later look must not be overtaken by an earlier one.
        let mut singles = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(snapshot) = self.tracks.snapshot() else { return Ok(0) };
        let written = cursor::write(&*self.disk, &self.cursors, snapshot.places(), snapshot.lost());
        self.tracks.settle(&snapshot, written.is_ok());
        if written.is_ok() {
            singles.drain(..).for_each(|path| drop(self.disk.remove(&path)));
        }
        written
    }

    /// A cursor file that could not be written.
    pub(super) fn refuse_cursor(&self, fault: &std::io::Error) -> SpoolError {
        SpoolError::Folder { path: self.cursors.clone(), why: fault.to_string() }
    }

    /// Whether so many durable bytes are too many: what may go, and has not yet, refuses nobody as long as it fits
    /// beside the segment at hand.
    pub(super) fn is_over(&self, written: u64) -> bool {
        let bound = self.bounds.written_max_bytes;
        written >= bound && (written >= bound + self.bounds.segment_bytes || !self.may_go())
    }

    /// Whether the oldest segment may go, and has not yet.
    pub(super) fn may_go(&self) -> bool {
        let holding = self.tracks.holds(self.durable()).holding;
        self.shelf.retirable().first().is_some_and(|oldest| oldest.last() <= holding)
    }

    /// The disk has less than it should: appends are refused until there is room.
    pub(super) fn refuse_for(&self, Space { free, total }: Space) {
        let free_min_bytes = self.bounds.free_min_bytes;
        if self.gate.set_disk(Some((free, free_min_bytes))) {
            tracing::warn!(
                free,
                total,
                free_min_bytes,
                "the disk is nearly full: appends are refused"
            );
        }
    }

    /// Frames that a reader will never give.
    pub(super) fn tell_lost(&self, reader: &str, frames: u64) {
        self.facts.dropped(frames);
        tracing::warn!(reader, frames, "the spool is full: a reader lost its oldest frames");
    }

    /// A reader gives up what it read and has not released.
    pub(super) fn forget_read(&self, track: &Arc<Track>) {
        let frames = self.tracks.forget_read(track);
        if frames > 0 {
            self.tell_lost(&track.name, frames);
        }
    }

    /// Frames and seconds between `released` and the newest frame.
    pub(super) fn lag(&self, released: u64, dropped: u64) -> Lag {
        let frames = self.durable().saturating_sub(released);
        let oldest = match frames {
            0 => None,
            _ => self.shelf.find(released + 1).map(|segment| segment.place(released + 1).micros),
        };
        let micros = oldest.map_or(0, |micros| self.clock.now().micros().saturating_sub(micros));
        let age = Duration::from_micros(u64::try_from(micros).unwrap_or(0));
        Lag { frames, age, dropped }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_follow_a_small_disk_and_a_small_spool() {
        let options = Options::default();
        let large = Space { free: 1 << 40, total: 1 << 40 };
        let bounds = Bounds::new(&options, Some(large));
        assert_eq!((bounds.segment_bytes, bounds.free_min_bytes), (64 << 20, 256 << 20));
        let small = Space { free: 64 << 20, total: 64 << 20 };
        let bounds = Bounds::new(&options, Some(small));
        assert_eq!((bounds.segment_bytes, bounds.free_min_bytes), (8 << 20, (64 << 20) / 20));
        let tiny = Options { spool_max_bytes: 4 << 20, ..options };
        let bounds = Bounds::new(&tiny, Some(large));
        assert_eq!((bounds.segment_bytes, bounds.written_max_bytes), (512 << 10, 3 << 20));
    }
}

/// How far a reader is behind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lag {
    /// Frames not released.
    pub frames: u64,
    /// Age of the oldest of them.
    pub age: Duration,
    /// Frames dropped unread, ever.
    pub dropped: u64,
}
