//! What budgets have left, as it is told of one request later. In: nothing of its own. Out: two small numbers
//! for each budget that it was charged to.

use std::num::NonZeroU32;

/// What a budget had left once a request was charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// So many more could have come at that moment.
    pub count: u32,
    /// So many could come at once if it were whole.
    pub of: NonZeroU32,
}

/// What is left of the budgets that a request was charged to; nothing of one without a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charged {
    /// Of its peer.
    pub peer: Option<Left>,
    /// Of its webhook.
    pub webhook: Option<Left>,
    /// Of its account.
    pub account: Option<Left>,
}

impl Charged {
    /// The names of the budgets, and what is left of each, in the order of their turn.
    #[must_use]
    pub fn all(&self) -> [(&'static str, Option<Left>); 3] {
        [("peer", self.peer), ("webhook", self.webhook), ("account", self.account)]
    }
}
