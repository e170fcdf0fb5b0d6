//! One reader's place. In: what it read, released and is done with, what went from the disk before it. Out: where it
//! stands, what it loses, and whether what was saved of it still holds.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::OnFull;
use super::losses::Loss;

/// One reader.
#[derive(Debug)]
pub(super) struct Track {
    /// Its name.
    pub(super) name: String,
    /// What it does when the spool is full.
    holds: AtomicBool,
    /// Everything up to and with this sequence is done with.
    pub(super) released: AtomicU64,
    /// The next sequence it will read.
    pub(super) position: AtomicU64,
    /// What was saved of it.
    pub(super) saved: AtomicU64,
    /// Everything up to and with this sequence was let go by the reader itself.
    pub(super) done: AtomicU64,
    /// What of that was saved.
    pub(super) done_saved: AtomicU64,
    /// Ranges that went from the disk while they were read and not done with: whoever has them may yet be done. Saved
    /// as lost, since a kill would make them so.
    owed: Mutex<Vec<(u64, u64)>>,
    /// Frames that are done with beyond the place, in order, as far as the reader has told.
    ahead: Mutex<Vec<u64>>,
}

impl Track {
    /// A reader that has released everything up to `released`.
    pub(super) fn new(name: &str, on_full: OnFull, released: u64) -> Self {
        Self {
            name: name.to_owned(),
            holds: AtomicBool::new(on_full == OnFull::Hold),
            released: AtomicU64::new(released),
            position: AtomicU64::new(released + 1),
            saved: AtomicU64::new(u64::MAX),
            done: AtomicU64::new(released),
            done_saved: AtomicU64::new(released),
            owed: Mutex::default(),
            ahead: Mutex::default(),
        }
    }

    pub(super) fn owed(&self) -> MutexGuard<'_, Vec<(u64, u64)>> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is owed and not done with by now.
    pub(super) fn owes(&self) -> Vec<(u64, u64)> {
        let done = self.done.load(Ordering::Acquire);
        let mut owed = self.owed();
        owed.retain(|(_, last)| *last > done);
        owed.iter().map(|(first, last)| ((*first).max(done + 1), *last)).collect()
    }

    /// Frames that are done with beyond the place, in order.
    pub(super) fn set_ahead(&self, frames: Vec<u64>) {
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) = frames;
    }

    /// How many frames of a range are done with, though the place is before them.
    fn ahead_in(&self, (first, last): (u64, u64)) -> u64 {
        let ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let from = ahead.partition_point(|frame| *frame < first);
        (ahead.partition_point(|frame| *frame <= last) - from) as u64
    }

    /// What became of a range that this reader will not be given.
    pub(super) fn loss(&self, (first, last): (u64, u64)) -> Lost {
        Lost { first, last, others: self.ahead_in((first, last)) }
    }

    /// Whether what was saved of it is still so.
    pub(super) fn is_saved(&self) -> bool {
        let is_owed_saved =
            || self.done_saved.load(Ordering::Relaxed) == self.done.load(Ordering::Acquire);
        self.saved.load(Ordering::Relaxed) == self.released()
            && (is_owed_saved() || self.owed().is_empty())
    }

    /// Whether what was saved of it is done with everything up to a sequence.
    pub(super) fn is_saved_through(&self, sequence: u64) -> bool {
        let saved = self.saved.load(Ordering::Relaxed);
        saved != u64::MAX && saved >= sequence
    }

    /// Everything up to and with a sequence is done with.
    pub(super) fn release(&self, sequence: u64) {
        self.released.fetch_max(sequence, Ordering::AcqRel);
        self.done.fetch_max(sequence, Ordering::AcqRel);
    }

    /// What it does from now on when the spool is full.
    pub(super) fn set(&self, on_full: OnFull) {
        self.holds.store(on_full == OnFull::Hold, Ordering::Relaxed);
    }

    pub(super) fn holds(&self) -> bool {
        self.holds.load(Ordering::Relaxed)
    }

    /// Everything up to and with this sequence is done with.
    pub(super) fn released(&self) -> u64 {
        self.released.load(Ordering::Acquire)
    }
}

/// Frames that a reader will not be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) first: u64,
    pub(super) last: u64,
    /// Those among them that it is done with all the same.
    pub(super) others: u64,
}

impl Lost {
    pub(super) fn frames(self) -> u64 {
        self.last + 1 - self.first - self.others
    }

    pub(super) fn add_to(self, loss: &mut Loss) {
        loss.add(self.first, self.last);
        loss.set_apart(self.others);
    }
}
