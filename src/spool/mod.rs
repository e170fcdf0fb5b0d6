//! Kept: the one durable thing between the way in and the way out. In: frames (a request and its events, or the
//! control plane's events). Out: a [`Receipt`] once they are on stable storage, and readers with durable cursors.
//! Knows nothing of HTTP. Never answers before the sync; never deletes what a holding reader has not released.

mod append;
mod content;
mod cursor;
mod damage;
mod fault;
mod firsts;
mod gate;
mod keeper;
mod late;
mod lock;
mod losses;
mod memory;
mod once;
mod open;
mod outside;
mod picker;
mod queue;
mod reader;
mod refused;
mod ring;
mod seals;
mod sender;
mod shared;
mod sight;
mod start;
#[cfg(test)]
pub(crate) mod still;
mod track;
mod tracks;
mod watch;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use self::open::{Ground, Running};
use self::seals::Seals;
use self::track::Track;
use crate::clock::{Clock, Time};
use crate::event::Event;
use crate::id::Uuid;
use crate::journal::{Mode, RealDisk, is_full};
use crate::seal::{Keys, SealError};
use crate::telemetry::Telemetry;

pub use self::shared::Lag;
pub use append::Append;
pub use fault::SpoolError;
pub use late::{Late, of_failed};
pub use lock::FolderLock;
pub use losses::Fate;
pub use once::{Again, Digest, First, Key, Taken};
pub use outside::{Lying, has_place, look, may_hold};
pub use picker::Picker;
pub use reader::Reader;
pub use refused::{Refused, Spent};
pub use seals::keys_in_use;
pub use sender::{Marks, Sender};
pub use shared::SPOOL_LEAST_BYTES;
pub use sight::{Interest, Sight};
pub use start::{DISPATCHER, Start, track_of};

/// Settings of the spool.
#[derive(Clone, Debug)]
pub struct Options {
    /// Size of one segment file; recycled when all of it is released and out of retention.
    pub segment_bytes: u64,
    /// Most bytes of all segments together; past it appends answer [`SpoolError::Full`].
    pub spool_max_bytes: u64,
    /// Free bytes of the file system below which appends answer [`SpoolError::NoRoom`].
    pub free_min_bytes: u64,
    /// Released frames are kept this long, as far as `retention_max_bytes` allows.
    pub retention: Duration,
    /// Most bytes of released frames.
    pub retention_max_bytes: u64,
    /// Most bytes waiting for one sync; past it appends answer [`SpoolError::Busy`].
    pub queue_max_bytes: usize,
    /// Longest wait for one sync; past it appends answer [`SpoolError::Slow`].
    pub append_time: Duration,
    /// Direct writes where the file system has them.
    pub direct: bool,
    /// How requests are sealed, and those opened that are.
    pub sealing: Option<Sealing>,
}

/// How requests are sealed.
#[derive(Clone, Debug)]
pub struct Sealing {
    /// What opens those that are sealed.
    pub keys: Keys,
    /// Whether those to come are sealed.
    pub seals: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            spool_max_bytes: 8 << 30,
            free_min_bytes: 256 << 20,
            retention: Duration::from_hours(24),
            retention_max_bytes: 2 << 30,
            queue_max_bytes: 32 << 20,
            append_time: Duration::from_secs(5),
            direct: true,
            sealing: None,
        }
    }
}

/// A request as the spool keeps it beside its events; method and headers stand in its received event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capture {
    /// The webhook that received it.
    pub webhook: Uuid,
    /// What tells it from others, when it is to be taken once.
    pub key: Option<Digest>,
    /// A digest of what was signed of it, when that is to be taken once.
    pub signed: Option<Digest>,
    /// Which version of the template it met; 0: not known.
    pub version: u64,
    /// Who sent it; nobody knows of what earlier releases kept.
    pub sender: Option<Sender>,
    /// What stood behind `?`.
    pub query: Bytes,
    /// The body as it came over the wire.
    pub body: Bytes,
    /// Whether query, sender and body are to be read.
    pub seal: Seal,
}

/// Whether what is sealed of a request is to be read. Readers give it as it is kept, a picker opens it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Seal {
    /// It is, or was never sealed.
    #[default]
    Open,
    /// It is not, and stands where the body does.
    Closed,
    /// Nor can it be.
    Lost(SealError),
}

impl Capture {
    /// Bytes of the body, whether it can be read or not.
    #[must_use]
    pub fn body_bytes(&self) -> u64 {
        match self.seal {
            Seal::Open => self.body.len() as u64,
            Seal::Closed | Seal::Lost(_) => content::sealed_body_bytes(&self.body),
        }
    }
}

/// What lives or dies together: encoded and check-summed before the spool's lock is taken.
#[derive(Debug)]
pub struct Frame {
    bytes: Vec<u8>,
}

impl Frame {
    /// Encodes one frame of a tenant. With a capture it is a request and its events; without, events of our own.
    /// Requests that may have to be sealed are encoded by [`Spool::frame`].
    #[must_use]
    pub fn encode(
        account: Uuid,
        workspace: Option<Uuid>,
        received: Time,
        events: &[Event],
        capture: Option<&Capture>,
    ) -> Self {
        content::encode(account, workspace, received, events, capture, None)
    }
}

/// Proof that a frame is on stable storage. Only the spool makes one, and only a receipt makes a success reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    sequence: u64,
}

impl Receipt {
    /// The frame's place in the spool; rises by one from frame to frame.
    #[must_use]
    pub fn sequence(self) -> u64 {
        self.sequence
    }
}

/// The spool of one data folder. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Spool {
    running: Arc<Running>,
}

/// What start-up found and did, for the log, the metrics and `hookgate spool check`.
#[derive(Clone, Debug, Default)]
pub struct Recovery {
    /// Whole frames found.
    pub frames: u64,
    /// Bytes of a torn tail that were cut.
    pub torn_bytes: u64,
    /// Damaged ranges: segment file, first byte, length; their bytes are copied to `quarantine/`.
    pub damaged: Vec<(String, u64, u64)>,
    /// First and last sequence of frames that were durable once and are not there any more.
    pub missing: Vec<(u64, u64)>,
}

/// What `hookgate spool check` found.
pub type CheckReport = Recovery;

/// Reads every frame of a data folder's spool and changes nothing.
///
/// # Errors
/// [`SpoolError::Locked`] while a process holds the folder, [`SpoolError::Folder`] when it cannot be read.
pub fn check(data: &Path) -> Result<CheckReport, SpoolError> {
    open::check(data)
}

/// Shows every frame of a data folder's spool, the oldest first, and changes nothing.
///
/// # Errors
/// As [`check`].
pub fn each(data: &Path, see: &mut dyn FnMut(&Kept)) -> Result<(), SpoolError> {
    open::each(data, see)
}

/// What readiness and metrics show.
#[derive(Clone, Debug)]
pub struct Status {
    /// `direct` or `buffered`: how writes reach stable storage.
    pub posture: &'static str,
    /// Why appends are refused, when they are.
    pub refusing: Option<SpoolError>,
    /// More than one frame of a hundred waits longer than half a second for the disk.
    pub slow: bool,
    /// Bytes of all segments.
    pub used_bytes: u64,
    /// The highest sequence on stable storage.
    pub durable: u64,
    /// Damaged ranges found since the folder was made.
    pub damaged: usize,
    /// While it refuses for want of room: the reader that keeps most from going, and how many frames it holds.
    pub held_by: Option<(String, u64)>,
}

/// A frame as a reader sees it.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its place.
    pub sequence: u64,
    /// Whose it is.
    pub account: Uuid,
    /// The workspace, unless it belongs to the account itself.
    pub workspace: Option<Uuid>,
    /// When the request's head was complete.
    pub received: Time,
    /// Its events in order.
    pub events: Vec<Event>,
    /// The request, when it was one.
    pub capture: Option<Capture>,
}

/// What a reader does when the spool is full of what it has not released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFull {
    /// Senders wait: appends answer [`SpoolError::Full`].
    Hold,
    /// The reader loses its oldest frames, counted.
    DropOldest,
}

impl Spool {
    /// Opens (or makes) the spool in `data/spool`, takes the folder's lock, recovers, and starts the writer thread.
    ///
    /// # Errors
    /// [`SpoolError::Locked`] or [`SpoolError::Folder`].
    pub fn open(
        data: &Path,
        options: Options,
        clock: &Arc<Clock>,
        telemetry: &Telemetry,
    ) -> Result<(Self, Recovery), SpoolError> {
        let lock = FolderLock::take(data)?;
        Self::open_locked(lock, data, options, clock, telemetry)
    }

    /// As [`Spool::open`], by whoever holds the folder's lock already; the spool keeps it until it is closed.
    ///
    /// # Errors
    /// [`SpoolError::Folder`].
    #[expect(clippy::needless_pass_by_value, reason = "settings are handed over")]
    pub fn open_locked(
        lock: FolderLock,
        data: &Path,
        options: Options,
        clock: &Arc<Clock>,
        telemetry: &Telemetry,
    ) -> Result<(Self, Recovery), SpoolError> {
        let chance = fastrand::Rng::new();
        let ground = Ground::new(Arc::new(RealDisk), Some(lock), chance);
        let (running, recovery) = open::open(ground, data, &options, clock, telemetry)?;
        Ok((Self { running: Arc::new(running) }, recovery))
    }

    /// Whether an append would be refused right now: asked before a body byte is read.
    ///
    /// # Errors
    /// Why it would be.
    pub fn admit(&self) -> Result<(), SpoolError> {
        self.running.shared.admit()
    }

    /// Encodes a request and its events, sealed when that is how requests are kept. Append it soon: its key is kept for
    /// a minute after another one seals.
    #[must_use]
    pub fn frame(
        &self,
        account: Uuid,
        workspace: Option<Uuid>,
        received: Time,
        events: &[Event],
        capture: &Capture,
    ) -> Frame {
        let seals = self.running.shared.seals.as_ref();
        let sealer = seals.and_then(Seals::sealer);
        content::encode(account, workspace, received, events, Some(capture), sealer.as_deref())
    }

    /// Whether requests are sealed.
    #[must_use]
    pub fn seals(&self) -> bool {
        self.running.shared.seals.as_ref().is_some_and(Seals::seals)
    }

    /// Hands a frame to the writer at the first poll; ready once the frame is on stable storage.
    #[must_use]
    pub fn append(&self, frame: Frame) -> Append {
        Append::new(Arc::clone(&self.running.shared), frame)
    }

    /// Opens the reader of that name with its durable cursor; a new one starts at the oldest kept frame.
    ///
    /// # Errors
    /// When the cursors cannot be written.
    pub fn reader(&self, name: &str, on_full: OnFull) -> Result<Reader, SpoolError> {
        self.reader_from(name, on_full, Start::Oldest)
    }

    /// The same; a new one starts there, and that is durable then.
    ///
    /// # Errors
    /// When the cursors cannot be written.
    pub fn reader_from(
        &self,
        name: &str,
        on_full: OnFull,
        start: Start,
    ) -> Result<Reader, SpoolError> {
        let shared = &self.running.shared;
        let place = |saved| self.start(saved, start);
        let (track, is_new) = shared.tracks.open(name, on_full, place);
        if is_new {
            match shared.save_cursors() {
                // On a full disk the keeper saves it once there is room.
                Err(fault) if !is_full(&fault) => {
                    shared.tracks.forget(name);
                    return Err(shared.refuse_cursor(&fault));
                }
                _ => {}
            }
        }
        Ok(Reader::new(Arc::clone(shared), track))
    }

    /// A reader in passing: from the frames written at or after `since`, as far back as frames are kept; without a
    /// moment, from those to come. It holds nothing, has no cursor, and is gone when it is dropped.
    #[must_use]
    pub fn follow(&self, since: Option<Time>) -> Reader {
        let shared = &self.running.shared;
        let next = match since {
            Some(since) => reader::find(shared, since),
            None => shared.durable() + 1,
        };
        let track = Arc::new(Track::new("", OnFull::DropOldest, next.saturating_sub(1)));
        Reader::new(Arc::clone(shared), track)
    }

    /// Gives single frames by their sequences, as far back as frames are kept.
    #[must_use]
    pub fn picker(&self) -> Picker {
        Picker::new(Arc::clone(&self.running.shared))
    }

    /// The first sequence that may still be kept.
    #[must_use]
    pub fn oldest(&self) -> u64 {
        self.running.shared.oldest()
    }

    /// The first sequence whose frame may have been written at or after a moment, as far back as frames are kept.
    #[must_use]
    pub fn first_since(&self, since: Time) -> u64 {
        reader::find(&self.running.shared, since)
    }

    /// How far the reader of that name is behind, if there is one.
    #[must_use]
    pub fn lag(&self, name: &str) -> Option<Lag> {
        let shared = &self.running.shared;
        let track = shared.tracks.named(name)?;
        Some(shared.lag(track.released(), shared.tracks.lost_by(name)))
    }

    /// The last frame that the reader of that name has released, if there is one.
    #[must_use]
    pub fn released(&self, name: &str) -> Option<u64> {
        self.running.shared.tracks.named(name).map(|track| track.released())
    }

    /// How far each reader is behind, by name.
    #[must_use]
    pub fn lags(&self) -> Vec<(String, Lag)> {
        let shared = &self.running.shared;
        let lost = shared.tracks.lost();
        let lag = |track: &Arc<Track>| {
            let dropped = lost.get(&track.name).map_or(0, losses::Loss::told);
            (track.name.clone(), shared.lag(track.released(), dropped))
        };
        shared.tracks.all().iter().map(lag).collect()
    }

    /// Free bytes of the file system below which nothing is taken, as they are in force: a share of a small one.
    #[must_use]
    pub fn free_min_bytes(&self) -> u64 {
        self.running.shared.bounds.free_min_bytes
    }

    /// Whether appends are refused, or half of what may be kept waits for the reader of that name: it must not dawdle.
    #[must_use]
    pub fn is_urgent(&self, name: &str) -> bool {
        let shared = &self.running.shared;
        let released = shared.tracks.named(name).map_or(u64::MAX, |track| track.released());
        shared.gate.reason().is_some()
            || shared.shelf.bytes_behind(released) >= shared.bounds.written_max_bytes / 2
    }

    /// What readiness and metrics show.
    #[must_use]
    pub fn status(&self) -> Status {
        let shared = &self.running.shared;
        let refusing = shared.gate.reason();
        let is_out = matches!(refusing, Some(SpoolError::Full { .. } | SpoolError::NoRoom { .. }));
        Status {
            held_by: is_out.then(|| shared.tracks.slowest(shared.durable())).flatten(),
            posture: if shared.mode == Mode::Direct { "direct" } else { "buffered" },
            refusing,
            slow: shared.is_slow(),
            used_bytes: shared.shelf.held().files,
            durable: shared.durable(),
            damaged: shared.damaged.load(Ordering::Relaxed),
        }
    }

    /// Syncs what waits, stops the writer, saves the cursors. Later appends answer [`SpoolError::Failed`].
    pub fn close(&self) {
        self.running.close();
    }
}

#[cfg(test)]
mod tests;
