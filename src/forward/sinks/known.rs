//! Events that stand at a destination's end already: it has more than the cursor says after a crash, or after an
//! attempt that failed half way. In: their ids, then each event in its turn. Out: whether it stands there. Never kept
//! for long.

use std::collections::HashSet;

use crate::id::Uuid;

/// So many new events in a row, and the destination's end lies behind the cursor: nothing more is compared.
const UNMET_MAX: usize = 100_000;

/// What is known of a destination's end.
#[derive(Debug, Default)]
pub(super) struct Known {
    ids: HashSet<Uuid>,
    was_met: bool,
    unmet: usize,
}

impl Known {
    pub(super) fn new(ids: HashSet<Uuid>) -> Self {
        Self { ids, ..Self::default() }
    }

    /// Whether the event stands there. Events come in the destination's order: the first new one behind a known one
    /// ends it.
    pub(super) fn meets(&mut self, id: Uuid) -> bool {
        if self.ids.is_empty() {
            return false;
        }
        let meets = self.ids.contains(&id);
        self.was_met |= meets;
        self.unmet += usize::from(!meets);
        if !meets && (self.was_met || self.unmet > UNMET_MAX) {
            self.ids = HashSet::new();
        }
        meets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_events_end_at_the_first_new_one() {
        let id = Uuid::from_u128;
        let mut known = Known::new([3, 4, 5].map(id).into());
        let met: Vec<_> = (1..=6).map(|number| known.meets(id(number))).collect();
        assert_eq!(met, [false, false, true, true, true, false]);
        assert!(!known.meets(id(4)), "the same id again is another event's");
    }
}
