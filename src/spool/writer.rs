//! The one thread that writes. In: batches from the queue. Out: batches on stable storage, their frames settled, the
//! readers told. A failed batch fails as a whole; a second failure within a minute ends all writing until a restart.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::SpoolError;
use super::queue::Batch;
use super::ring::Written;
use super::shared::Shared;
use crate::journal::{Journal, JournalError};

/// Failures closer together than this are no accident.
const FAILURE_SPAN: Duration = Duration::from_mins(1);
/// Share of what is kept free that may be written between two looks at the file system: the keeper looks by time alone,
/// and a small disk is filled between two of its looks.
const UNLOOKED_SHARE: u64 = 16;

/// Longest wait for the keeper to let old segments go that may: whoever appends waits a moment, and is not refused.
const ROOM_WAIT: Duration = Duration::from_millis(50);
const ROOM_LOOK: Duration = Duration::from_millis(1);

/// The writer's own state.
pub(super) struct Writer<'a> {
    shared: &'a Shared,
    journal: Journal,
    failed: Option<Instant>,
    given_up: Option<SpoolError>,
    /// Base of the segment that was written last.
    base: u64,
    positions: Vec<u64>,
    /// Bytes written since the last look at the file system.
    unlooked: u64,
}

/// Writes until the queue is closed and empty.
pub(super) fn run(shared: &Shared, journal: Journal) {
    let mut writer = Writer::new(shared, journal);
    while let Some(batch) = shared.queue.take() {
        writer.write(batch);
    }
    writer.journal.seal(shared.clock.now().micros());
}

impl<'a> Writer<'a> {
    pub(super) fn new(shared: &'a Shared, journal: Journal) -> Self {
        let (failed, given_up, positions) = (None, None, Vec::new());
        Self { shared, journal, failed, given_up, base: 0, positions, unlooked: 0 }
    }

    pub(super) fn write(&mut self, mut batch: Batch) {
        let bytes = batch.buffer.len();
        let last = batch.first + batch.frames - 1;
        if let Some(why) = self.given_up.clone() {
            return self.shared.queue.settle(last, bytes, Err(why));
        }
        let began = Instant::now();
        let now = self.shared.clock.now().micros();
        if self.shared.ends.swap(false, Ordering::AcqRel) {
            self.journal.seal(now);
        }
        match self.journal.write(&mut batch.buffer, batch.first, last, now) {
            Ok((segment, offset)) => {
                let facts = (batch.frames, batch.buffer.len() as u64, batch.since);
                if segment.head.base != self.base {
                    self.base = segment.head.base;
                    self.shared.bell.ring();
                }
                let prior = self.shared.durable();
                let written = Written { prior, last, frame_bytes: bytes, segment, offset };
                self.publish(batch, written);
                self.shared.queue.settle(last, bytes, Ok(()));
                self.count(facts, began);
                self.look(facts.1);
            }
            Err(error) => {
                let why = self.fail(&error);
                self.shared.facts.failed();
                self.shared.ring.give_back(batch.buffer);
                self.shared.queue.settle(last, bytes, Err(why));
            }
        }
    }

    /// Shows a durable batch to the readers.
    fn publish(&mut self, batch: Batch, written: Written) {
        let last = written.last;
        self.shared.tracks.positions(&mut self.positions);
        if self.positions.is_empty() {
            self.shared.ring.give_back(batch.buffer);
        } else {
            self.shared.ring.push(batch.buffer, written, &self.positions);
        }
        self.shared.durable.store(last, Ordering::Release);
        self.shared.news.notify_waiters();
    }

    fn count(&self, (frames, bytes, since): (u64, u64, Instant), began: Instant) {
        let shared = self.shared;
        let waited = since.elapsed();
        shared.pace.note(frames, waited);
        shared.facts.kept(frames, bytes, waited, began.elapsed());
        let mut written = shared.written.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let (soft, bound) = (shared.bounds.written_soft_bytes, shared.bounds.written_max_bytes);
        if written > soft && written - bytes <= soft {
            shared.bell.ring();
        }
        if written >= bound {
            shared.bell.ring();
        }
        let began = Instant::now();
        while shared.is_over(written) && shared.may_go() && began.elapsed() < ROOM_WAIT {
            std::thread::sleep(ROOM_LOOK);
            written = shared.written.load(Ordering::Relaxed);
        }
        if shared.is_over(written) && shared.gate.set_spool(Some((written, bound))) {
            tracing::warn!(written, bound, "the spool is full: appends are refused");
        }
    }

    /// Looks what is free once so much was written.
    fn look(&mut self, bytes: u64) {
        self.unlooked += bytes;
        let shared = self.shared;
        let free_min_bytes = shared.bounds.free_min_bytes;
        if free_min_bytes == 0 || self.unlooked < free_min_bytes / UNLOOKED_SHARE {
            return;
        }
        self.unlooked = 0;
        if let Ok(space) = shared.disk.space(&shared.folder)
            && space.free < free_min_bytes
        {
            shared.refuse_for(space);
            shared.bell.ring();
        }
    }

    /// What a fault means for the batch and for those to come.
    fn fail(&mut self, error: &JournalError) -> SpoolError {
        let shared = self.shared;
        match error {
            JournalError::Full(text) => {
                let space = shared.disk.space(&shared.folder).unwrap_or_default();
                let (free_bytes, free_min_bytes) = (space.free, shared.bounds.free_min_bytes);
                if shared.gate.set_disk(Some((free_bytes, free_min_bytes))) {
                    tracing::warn!(
                        fault = text,
                        free = free_bytes,
                        free_min_bytes,
                        "the disk is full: appends are refused"
                    );
                }
                SpoolError::NoRoom { free_bytes, free_min_bytes }
            }
            JournalError::Failed(text) => {
                let why = SpoolError::Failed(text.clone());
                let again = self.failed.is_some_and(|before| before.elapsed() < FAILURE_SPAN);
                self.failed = Some(Instant::now());
                if again {
                    shared.gate.fail(text);
                    self.given_up = Some(why.clone());
                    tracing::error!(fault = text, "writing failed again: no more appends");
                } else {
                    tracing::error!(fault = text, "writing failed: the segment is sealed");
                }
                why
            }
        }
    }
}
