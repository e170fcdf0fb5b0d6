//! A frame before it is read. In: its bytes where they stand in memory. Out: whose it is, the names of its events, and
//! all of it for whoever wants it. Most readers want few frames: this costs no allocation and counts no reference.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::Kept;
use super::content::{decode, texts};
use crate::event::plain_name;
use crate::id::Uuid;
use crate::journal::Header;

/// Whether a frame is of interest: others are passed over unread.
pub type Interest = Arc<dyn Fn(&Sight<'_>) -> bool + Send + Sync>;

/// A frame as it stands in memory, before it is read.
pub struct Sight<'a> {
    pub(super) header: &'a Header,
    pub(super) whole: &'a Bytes,
    pub(super) payload: Range<usize>,
}

impl fmt::Debug for Sight<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sight").field("header", &self.header).finish_non_exhaustive()
    }
}

impl<'a> Sight<'a> {
    /// Its sequence.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.header.sequence
    }

    /// Whose it is: the account, and the workspace unless it belongs to the account itself.
    #[must_use]
    pub fn scope(&self) -> (Uuid, Option<Uuid>) {
        let workspace = Some(Uuid::from_bytes(self.header.workspace)).filter(|id| !id.is_nil());
        (Uuid::from_bytes(self.header.account), workspace)
    }

    /// The names of its events; of one that is not written as it is, nothing.
    pub fn names(&self) -> impl Iterator<Item = Option<&'a str>> {
        texts(self.header, &self.whole[self.payload.clone()]).map(plain_name)
    }

    /// All of it, unless it makes no sense.
    #[must_use]
    pub fn kept(&self) -> Option<Kept> {
        decode(self.header, &self.whole.slice(self.payload.clone()))
    }
}
