//! How often events went out that are not done with. In: what was sent and not taken, and what is done with. Out: a
//! number for each event, whatever else the destination did not take meanwhile. Gone when the lane ends.

use std::collections::HashMap;

use crate::event::Event;
use crate::id::Uuid;
use crate::spool::Kept;

/// Most events that are counted at once.
const EVENTS_MAX: usize = 10_000;

/// Two workspaces may use one id.
type Which = (Uuid, Option<Uuid>, Uuid);

fn which((kept, event): (&Kept, &Event)) -> Which {
    (kept.account, kept.workspace, event.id)
}

/// The events that went out in vain.
#[derive(Debug, Default)]
pub(super) struct Tries(HashMap<Which, Count>);

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    all: u32,
    alone: u32,
}

impl Tries {
    /// An event went out once more, by itself or with others, and was not taken.
    pub(super) fn add(&mut self, event: (&Kept, &Event), is_alone: bool) {
        let which = which(event);
        if self.0.len() < EVENTS_MAX || self.0.contains_key(&which) {
            let count = self.0.entry(which).or_default();
            count.all += 1;
            count.alone += u32::from(is_alone);
        }
    }

    /// How often it did.
    pub(super) fn of(&self, event: (&Kept, &Event)) -> u32 {
        self.count(event).all
    }

    /// How often it did by itself.
    pub(super) fn alone(&self, event: (&Kept, &Event)) -> u32 {
        self.count(event).alone
    }

    fn count(&self, event: (&Kept, &Event)) -> Count {
        self.0.get(&which(event)).copied().unwrap_or_default()
    }

    /// It is done with.
    pub(super) fn forget(&mut self, event: (&Kept, &Event)) {
        if !self.0.is_empty() {
            self.0.remove(&which(event));
        }
    }
}
