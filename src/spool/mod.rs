//! Kept: the one durable thing between the way in and the way out. In: frames (a request and its events, or the
//! control plane's events). Out: a [`Receipt`] once they are on stable storage, and readers with durable cursors.
//! Knows nothing of HTTP. Never answers before the sync; never deletes what a holding reader has not released.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;

use crate::clock::{Clock, Time};
use crate::event::Event;
use crate::id::Uuid;
use crate::telemetry::Telemetry;

/// Settings of the spool.
#[derive(Clone, Debug)]
pub struct Options {
    /// Size of one segment file; recycled when all of it is released and out of retention.
    pub segment_bytes: u64,
    /// Most bytes of all segments together; past it appends answer [`SpoolError::Full`].
    pub spool_max_bytes: u64,
    /// Free bytes of the file system below which appends answer [`SpoolError::Full`].
    pub free_min_bytes: u64,
    /// Released frames are kept this long, as far as `retention_max_bytes` allows.
    pub retention: Duration,
    /// Most bytes of released frames.
    pub retention_max_bytes: u64,
    /// Most bytes waiting for one sync; past it appends answer [`SpoolError::Busy`].
    pub queue_max_bytes: usize,
    /// Direct writes where the file system has them.
    pub direct: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            spool_max_bytes: 8 << 30,
            free_min_bytes: 256 << 20,
            retention: Duration::from_secs(24 * 3600),
            retention_max_bytes: 2 << 30,
            queue_max_bytes: 32 << 20,
            direct: true,
        }
    }
}

/// Why the spool did not take or give.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpoolError {
    /// The disk or the spool's limit is full; drains by itself once destinations take events or space is back.
    #[error("the spool is full ({used_bytes} of {max_bytes} bytes)")]
    Full { used_bytes: u64, max_bytes: u64 },
    /// Too much waits for the sync right now.
    #[error("the spool is busy")]
    Busy,
    /// A write or sync failed; nothing of its batch counts as kept.
    #[error("the spool failed: {0}")]
    Failed(String),
    /// Another process holds the data folder.
    #[error(
        "{path} is in use by process {pid}: stop it first, or give this one another --data folder"
    )]
    Locked { path: PathBuf, pid: String },
    /// The folder cannot be used.
    #[error("{path}: {why}")]
    Folder { path: PathBuf, why: String },
    /// One frame is larger than a segment takes.
    #[error("a frame of {bytes} bytes is over the limit of {max_bytes}")]
    FrameTooLarge { bytes: u64, max_bytes: u64 },
}

/// A request as the spool keeps it beside its events; method and headers stand in its received event.
#[derive(Clone, Debug)]
pub struct Capture {
    /// The webhook that received it.
    pub webhook: Uuid,
    /// The body as it came over the wire.
    pub body: Bytes,
}

/// What lives or dies together: encoded and check-summed before the spool's lock is taken.
#[derive(Debug)]
pub struct Frame {
    bytes: Vec<u8>,
}

impl Frame {
    /// Encodes one frame of a tenant. With a capture it is a request and its events; without, events of our own.
    #[must_use]
    pub fn encode(
        account: Uuid,
        workspace: Option<Uuid>,
        received: Time,
        events: &[Event],
        capture: Option<&Capture>,
    ) -> Self {
        let _ = (account, workspace, received, events, capture);
        todo!()
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
    shared: Arc<()>,
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
}

/// What readiness and metrics show.
#[derive(Clone, Debug)]
pub struct Status {
    /// `direct` or `buffered`: how writes reach stable storage.
    pub posture: &'static str,
    /// Why appends are refused, when they are.
    pub refusing: Option<SpoolError>,
    /// Bytes of all segments.
    pub used_bytes: u64,
    /// The highest sequence on stable storage.
    pub durable: u64,
    /// Damaged ranges found since the folder was made.
    pub damaged: usize,
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
        let _ = (data, options, clock, telemetry);
        todo!()
    }

    /// Whether an append would be refused right now: asked before a body byte is read.
    ///
    /// # Errors
    /// Why it would be.
    pub fn admit(&self) -> Result<(), SpoolError> {
        let _ = &self.shared;
        todo!()
    }

    /// Hands a frame to the writer at the first poll; ready once the frame is on stable storage.
    pub fn append(&self, frame: Frame) -> Append {
        let _ = frame;
        todo!()
    }

    /// Appends events of the control plane unless an event of that id is in the spool's window already: idempotent.
    ///
    /// # Errors
    /// As [`Spool::append`].
    pub async fn append_once(
        &self,
        account: Uuid,
        workspace: Option<Uuid>,
        occurred: Time,
        event: Event,
    ) -> Result<(), SpoolError> {
        let _ = (account, workspace, occurred, event);
        std::future::pending().await
    }

    /// Remembers an event id that a template supplied, with a digest of its content. `false`: the id is known with
    /// other content. Bounded to the newest 100,000; what the journal still holds is remembered after a restart.
    #[must_use]
    pub fn remember(&self, id: Uuid, digest: u64) -> bool {
        let _ = (id, digest);
        todo!()
    }

    /// Opens the reader of that name with its durable cursor; a new one starts at the oldest kept frame.
    ///
    /// # Errors
    /// When its cursor file cannot be written.
    pub fn reader(&self, name: &str, on_full: OnFull) -> Result<Reader, SpoolError> {
        let _ = (name, on_full);
        todo!()
    }

    /// What readiness and metrics show.
    #[must_use]
    pub fn status(&self) -> Status {
        todo!()
    }

    /// Syncs what waits, stops the writer, saves the cursors. Later appends answer [`SpoolError::Failed`].
    pub fn close(&self) {
        todo!()
    }
}

/// The future of [`Spool::append`].
#[derive(Debug)]
pub struct Append(());

impl Future for Append {
    type Output = Result<Receipt, SpoolError>;
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        todo!()
    }
}

/// Reads frames in order from a durable cursor. A frame is read again until it is released.
#[derive(Debug)]
pub struct Reader(());

impl Reader {
    /// Waits for at least one frame, then gives what is there, at most `frames_max` and about `bytes_max`. Goes on
    /// behind what it gave before; the cursor stays until [`Reader::release`].
    ///
    /// # Errors
    /// When the journal cannot be read or the spool is closed.
    pub async fn next(
        &mut self,
        frames_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Kept>, SpoolError> {
        let _ = (frames_max, bytes_max);
        std::future::pending().await
    }

    /// Everything up to and with `sequence` is done with. Written to the cursor file at most every 100 ms, and at
    /// [`Reader::save`].
    pub fn release(&mut self, sequence: u64) {
        let _ = sequence;
        todo!()
    }

    /// Writes the cursor file now.
    ///
    /// # Errors
    /// When it cannot be written and synced.
    pub fn save(&mut self) -> Result<(), SpoolError> {
        todo!()
    }

    /// Goes back to the first frame not released.
    pub fn rewind(&mut self) {
        todo!()
    }

    /// Frames and seconds between the cursor and the newest frame, and frames lost to `DropOldest`.
    #[must_use]
    pub fn lag(&self) -> Lag {
        todo!()
    }
}

/// How far a reader is behind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lag {
    /// Frames not released.
    pub frames: u64,
    /// Age of the oldest of them.
    pub age: Duration,
    /// Frames dropped unread since the spool was opened.
    pub dropped: u64,
}
