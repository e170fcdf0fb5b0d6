//! Where readers start, and where they stand while they do not read. In: a record, an event, a place. Out: what a
//! reader is called, and the frame to begin with.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Kept, OnFull, Reader, Spool, SpoolError};
use crate::clock::Time;
use crate::id::Uuid;
use crate::journal::is_full;

/// What the reader is called that looks for those whom an event concerns: where it stands, all stand that have no
/// place of their own.
pub const DISPATCHER: &str = "destinations";
/// What the names of readers of records begin with.
const RECORDS: &str = "destination/";

/// What the reader of a destination that is a record is called: whoever makes the record gives it its place.
#[must_use]
pub fn track_of(record: Uuid) -> String {
    format!("{RECORDS}{record}")
}

/// Where a reader starts that has no cursor yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the oldest frame that is kept.
    Oldest,
    /// Behind the newest.
    Now,
    /// At that frame, or the next one that is kept.
    At(u64),
}

impl Spool {
    /// What a reader has released before it is opened.
    pub(super) fn start(&self, saved: Option<u64>, start: Start) -> u64 {
        let shared = &self.running.shared;
        let before_oldest = shared.shelf.oldest().map_or(shared.durable(), |oldest| oldest - 1);
        match (saved, start) {
            (Some(sequence), _) if sequence >= before_oldest => sequence,
            // What is missing between counts as lost.
            (Some(sequence), _) => {
                let lost = before_oldest - sequence;
                tracing::warn!(lost, "a reader's next frames are no longer kept");
                before_oldest
            }
            (None, Start::Oldest) => before_oldest,
            (None, Start::Now) => shared.durable(),
            (None, Start::At(sequence)) => {
                sequence.saturating_sub(1).clamp(before_oldest, shared.durable())
            }
        }
    }

    /// As [`Spool::reader`], but for a reader that begins again at the oldest frame, wherever it stood: at no moment
    /// does it hold nothing.
    ///
    /// # Errors
    /// When the cursors cannot be written.
    pub fn reader_again(&self, name: &str, on_full: OnFull) -> Result<Reader, SpoolError> {
        let shared = &self.running.shared;
        let track = shared.tracks.restart(name, on_full, self.start(None, Start::Oldest));
        match shared.save_cursors() {
            Err(fault) if !is_full(&fault) => Err(shared.refuse_cursor(&fault)),
            _ => Ok(Reader::new(Arc::clone(shared), track)),
        }
    }

    /// Gives somebody a place in front of a sequence, to be read from later; one that has a place keeps it. It
    /// becomes durable together with the places of all others.
    pub fn stand(&self, name: &str, on_full: OnFull, sequence: u64) {
        let place = |saved: Option<u64>| match saved {
            Some(_) => self.start(saved, Start::Now),
            None => sequence.saturating_sub(1),
        };
        let _ = self.running.shared.tracks.open(name, on_full, place);
    }

    /// Whether somebody has a place.
    #[must_use]
    pub fn stands(&self, name: &str) -> bool {
        self.running.shared.tracks.has(name)
    }

    /// Calls a reader that was not opened yet something else: it keeps its place, and what it lost.
    pub fn rename(&self, from: &str, to: &str) {
        self.running.shared.tracks.rename(from, to);
    }

    /// Lets a reader go for ever: it holds nothing any more, and has no place.
    pub fn forget(&self, name: &str) {
        self.running.shared.tracks.forget(name);
    }

    /// The same; what waited for it up to and with the frame `last` is lost to it: `counted` frames of that, or all
    /// when nobody counted those with something for it.
    pub fn let_go(&self, name: &str, last: u64, counted: Option<u64>) {
        self.running.shared.tracks.let_go(name, last, counted);
    }

    /// Lets go of the places of records that are none of these: nobody else will.
    pub fn forget_records_but(&self, records: impl Iterator<Item = Uuid>) {
        let names: HashSet<String> = records.map(track_of).collect();
        let tracks = &self.running.shared.tracks;
        let all = tracks.unopened();
        let is_gone = |name: &&String| name.starts_with(RECORDS) && !names.contains(*name);
        all.iter().filter(is_gone).for_each(|name| tracks.forget(name));
        let lost = tracks.lost();
        lost.keys().filter(is_gone).for_each(|name| tracks.forget_losses(name));
    }

    /// Frames that somebody is done with beyond its place, in order: they are not lost, should they go.
    pub fn set_ahead(&self, name: &str, frames: Vec<u64>) {
        if let Some(track) = self.running.shared.tracks.named(name) {
            track.set_ahead(frames);
        }
    }

    /// Whether places were lost at this start, because what was saved made no sense.
    #[must_use]
    pub fn has_lost_places(&self) -> bool {
        self.running.shared.has_lost_places
    }

    /// The frame with that event among those written at or after a moment, looked for no longer than `most` frames.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn find(
        &self,
        event: Uuid,
        since: Time,
        most: usize,
    ) -> Result<Option<u64>, SpoolError> {
        const LOOK_BYTES: usize = 1 << 20;
        let mut reader = self.follow(Some(since));
        let (mut looked, end) = (0, self.running.shared.durable());
        while looked < most && reader.position() <= end {
            let frames = reader.next(most - looked, LOOK_BYTES).await?;
            looked += frames.len();
            let holds = |kept: &&Kept| kept.events.iter().any(|one| one.id == event);
            if let Some(found) = frames.iter().find(holds) {
                return Ok(Some(found.sequence));
            }
        }
        Ok(None)
    }
}
