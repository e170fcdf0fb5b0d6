//! Events that stand at a destination's end already: it has more than the cursor says after a crash, or after an
//! attempt that failed half way. In: their marks, then each event in its turn. Out: whether it stands there. Never kept
//! for long.

use std::collections::HashSet;

use crate::forward::lines::Mark;

/// So many new events in a row, and the destination's end lies behind the cursor: nothing more is compared.
const UNMET_MAX: usize = 100_000;

/// What is known of a destination's end.
#[derive(Debug, Default)]
pub(super) struct Known {
    marks: HashSet<Mark>,
    was_met: bool,
    unmet: usize,
}

impl Known {
    pub(super) fn new(marks: HashSet<Mark>) -> Self {
        Self { marks, ..Self::default() }
    }

    /// Of a destination that lets its oldest go: an event that does not stand there ends it at once, for it may have
    /// stood there. Written again behind what is newer, it would drive that out.
    pub(super) fn from_the_first(marks: HashSet<Mark>) -> Self {
        Self { was_met: true, ..Self::new(marks) }
    }

    /// Whether an event that comes out of its turn stands there: it says nothing of the others.
    pub(super) fn has(&self, mark: &Mark) -> bool {
        self.marks.contains(mark)
    }

    /// Whether the event stands there. Events come in the destination's order: the first new one behind a known one
    /// ends it.
    pub(super) fn meets(&mut self, mark: Mark) -> bool {
        if self.marks.is_empty() {
            return false;
        }
        let meets = self.marks.contains(&mark);
        self.was_met |= meets;
        self.unmet += usize::from(!meets);
        if !meets && (self.was_met || self.unmet > UNMET_MAX) {
            self.marks = HashSet::new();
        }
        meets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Time;
    use crate::event::{self, Event};
    use crate::id::Uuid;
    use crate::spool::Kept;

    fn mark(account: u128, id: u128) -> Mark {
        let (account, id) = (Uuid::from_u128(account), Uuid::from_u128(id));
        let event = event::compose(Time::default(), "a", &[], &[], "{}", id, None);
        let event = Event { id, json: event.json };
        let kept = Kept {
            sequence: 1,
            account,
            workspace: None,
            received: Time::default(),
            events: Vec::new(),
            capture: None,
        };
        Mark::new(&kept, &event)
    }

    #[test]
    fn known_events_end_at_the_first_new_one() {
        let id = |number| mark(1, number);
        let mut known = Known::new([3, 4, 5].map(id).into());
        let met: Vec<_> = (1..=6).map(|number| known.meets(id(number))).collect();
        assert_eq!(met, [false, false, true, true, true, false]);
        assert!(!known.meets(id(4)), "the same id again is another event's");
        let mut known = Known::from_the_first([3, 4, 5].map(id).into());
        assert!(known.meets(id(3)) && !known.meets(id(2)) && !known.meets(id(4)));
        let mut known = Known::new([mark(1, 4)].into());
        assert!(!known.meets(mark(2, 4)), "and so is the same id of somebody else");
    }
}
