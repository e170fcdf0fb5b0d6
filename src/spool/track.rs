//! One reader's place. In: what it read, released and is done with, what went from the disk before it. Out: where it
//! stands, what it loses, and whether what was saved of it still holds.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::OnFull;
use super::cursor::Losses;

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
    pub(super) fn ahead_in(&self, (first, last): (u64, u64)) -> u64 {
        let ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let from = ahead.partition_point(|frame| *frame < first);
        (ahead.partition_point(|frame| *frame <= last) - from) as u64
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
    /// Sequences among them that it is done with all the same, or that no frame ever had.
    pub(super) others: u64,
}

impl Lost {
    pub(super) fn frames(self) -> u64 {
        (self.last + 1 - self.first).saturating_sub(self.others)
    }

    /// Adds them to what the reader of that name has lost.
    pub(super) fn add_to(&self, losses: &mut Losses, name: &str) {
        if self.frames() > 0 {
            let loss = losses.entry(name.to_owned()).or_default();
            loss.add(self.first, self.last);
            loss.set_apart(self.others);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::cursor::Places;
    use crate::spool::tracks::Tracks;

    #[test]
    fn what_is_read_while_it_goes_is_saved_as_lost_until_it_is_done_with() {
        let tracks = Tracks::new(Places::new(), Losses::new());
        let track = tracks.open("lossy", OnFull::DropOldest, |_| 0).0;
        tracks.join(&track);
        track.position.store(11, Ordering::Relaxed);
        let saved = || {
            let snapshot = tracks.snapshot()?;
            tracks.settle(&snapshot, true);
            Some(snapshot.lost().get("lossy").map(|loss| (loss.told(), loss.to_string())))
        };
        saved();
        tracks.drop_until(10);
        assert!(!tracks.is_saved_through(10));
        assert_eq!(saved(), Some(Some((10, "10,1-10".into()))));
        assert!(tracks.is_saved_through(10));
        assert_eq!(saved(), None);
        track.release(4);
        // Two of them went out of their order.
        track.set_ahead(vec![2, 6, 9, 13]);
        assert_eq!(saved(), Some(Some((4, "6,0-2,5-10".into()))));
        assert_eq!(tracks.lost_by("lossy"), 0);
        track.release(10);
        assert_eq!((saved(), saved()), (Some(None), None), "all came to its end");
        tracks.drop_until(20);
        assert_eq!(saved(), Some(Some((9, "10,0-1,11-20".into()))));
        assert_eq!(tracks.lost_by("lossy"), 0, "not before it is saved");
        assert_eq!(tracks.settle_drop(), [("lossy".to_owned(), 9)]);
        assert_eq!((tracks.lost_by("lossy"), saved()), (9, None));
    }

    #[test]
    fn what_a_place_says_that_is_no_longer_kept_is_lost() {
        let tracks =
            Tracks::new([("late".to_owned(), 2), ("even".to_owned(), 9)].into(), Losses::new());
        let at =
            |name| tracks.open(name, OnFull::Hold, |saved| saved.unwrap_or(9).max(9)).0.released();
        assert_eq!(["late", "even", "new"].map(at), [9, 9, 9]);
        assert_eq!(["late", "even", "new"].map(|name| tracks.lost_by(name)), [7, 0, 0]);
        let late = Tracks::new([("late".to_owned(), 2)].into(), Losses::new());
        late.drop_until(12);
        // Two of them never were.
        late.note_unused(vec![(1, 3), (12, 13)]);
        late.open("late", OnFull::Hold, |saved| saved.unwrap_or(0));
        late.open("new", OnFull::Hold, |saved| saved.unwrap_or(0));
        assert_eq!(["late", "new"].map(|name| late.lost_by(name)), [8, 0]);
    }
}
