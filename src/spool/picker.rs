//! Single frames by their sequences. In: sequences, best in rising order. Out: each frame, unless it is not kept any
//! more; what is sealed of it is opened, or says why it is not. Holds nothing back from retention, has no cursor; reads
//! on where it stands as long as that is nearer.

use std::fmt;
use std::sync::Arc;

use super::reader::{Limits, Place, read_disk};
use super::seals::Seals;
use super::shared::Shared;
use super::{Kept, SpoolError, content};
use crate::seal::Opener;

/// Reads frames out of their order.
pub struct Picker {
    shared: Arc<Shared>,
    /// Where the last one ended.
    place: Option<Place>,
    next: u64,
    opener: Opener,
}

impl fmt::Debug for Picker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Picker").field("next", &self.next).finish_non_exhaustive()
    }
}

impl Picker {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, place: None, next: 0, opener: Opener::default() }
    }

    /// The frame of a sequence; nothing when it is not kept any more, or damaged. Waits for the disk.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn take(&mut self, sequence: u64) -> Result<Option<Kept>, SpoolError> {
        let end = self.shared.durable() + 1;
        if sequence >= end {
            return Ok(None);
        }
        let here =
            self.place.take().filter(|place| self.next <= sequence && place.is_near(sequence));
        let limits = Limits { frames: 1, bytes: usize::MAX, end, wants: None };
        let mut taken = read_disk(&self.shared, sequence, here, &limits)?;
        (self.next, self.place) = (taken.next, taken.place);
        let mut kept = taken.kept.pop().filter(|kept| kept.sequence == sequence);
        if let Some(kept) = &mut kept {
            let ring = self.shared.seals.as_ref().map(Seals::ring);
            content::open(kept, ring.as_deref(), &mut self.opener);
        }
        Ok(kept)
    }
}
