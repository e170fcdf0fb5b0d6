//! Where readers start. In: a record, or an event. Out: what its reader is called, and the frame to begin with.

use super::{Kept, Spool, SpoolError};
use crate::clock::Time;
use crate::id::Uuid;

/// What the reader of a destination that is a record is called: whoever makes the record gives it its place.
#[must_use]
pub fn track_of(record: Uuid) -> String {
    format!("destination/{record}")
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
