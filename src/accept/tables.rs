//! What the tables of HTTP/2 connections keep alive, of all together. In: a bound of what one's table holds, when it
//! changed. Out: room for it; a connection that goes beyond drains, and is cut when it goes on. The usual table, which
//! is empty once its client heard of our settings, touches nothing shared.

use std::sync::Arc;

use super::budget::Room;
use super::link::Link;
use crate::telemetry::accept::Reason;

/// What each connection may keep alive without asking.
pub(super) const FREE_BYTES: u64 = 32 << 10;
/// Beyond, a connection takes no new streams, whatever room there is: a client that ignores our settings does better
/// with a new one.
const DRAIN_BYTES: u64 = 512 << 10;
/// Beyond, it is cut.
const CUT_BYTES: u64 = 2 * DRAIN_BYTES;
/// Without room, it goes on for so much more, until its streams ended.
const MARGIN_BYTES: u64 = 64 << 10;

/// Of one connection.
#[derive(Debug)]
pub(super) struct Kept {
    room: Room,
    link: Arc<Link>,
    drains: bool,
}

impl Kept {
    /// Nothing yet; what is beyond its own share takes `room`.
    pub(super) fn new(room: Room, link: &Arc<Link>) -> Self {
        Self { room, link: link.clone(), drains: false }
    }

    /// The table may keep so much alive now.
    pub(super) fn note(&mut self, bytes: u64) {
        if bytes <= FREE_BYTES {
            return self.room.leave();
        }
        let is_held = bytes <= CUT_BYTES && self.room.hold(bytes - FREE_BYTES).is_ok();
        if is_held {
            self.room.shrink(bytes - FREE_BYTES);
        } else if bytes > CUT_BYTES || bytes > FREE_BYTES + self.room.bytes() + MARGIN_BYTES {
            return self.link.give_up(Reason::TableCut);
        }
        if (!is_held || bytes > DRAIN_BYTES) && !self.drains {
            self.drains = true;
            self.link.drain_for(Reason::TableDrained);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::super::budget::Budget;
    use super::super::heads::STEP_BYTES;
    use super::super::link::Signal;
    use super::*;

    fn kept(budget: &Arc<Budget>) -> Kept {
        Kept::new(Room::new(budget), &Arc::new(Link::new(Instant::now())))
    }

    fn state(kept: &Kept) -> (Signal, bool) {
        (kept.link.signal(), kept.link.is_given_up())
    }

    #[test]
    fn a_table_that_keeps_much_alive_ends_its_connection_in_two_steps() {
        let budget = Budget::new(4 << 20, STEP_BYTES);
        let mut kept = kept(&budget);
        kept.note(DRAIN_BYTES);
        assert_eq!(state(&kept), (Signal::None, false));
        kept.note(DRAIN_BYTES + 1);
        assert_eq!(state(&kept), (Signal::Drain, false));
        assert_eq!(kept.link.drained_for(), Some(Reason::TableDrained));
        kept.note(CUT_BYTES);
        assert_eq!(state(&kept), (Signal::Drain, false));
        kept.note(CUT_BYTES + 1);
        assert_eq!(state(&kept), (Signal::Drain, true));
    }

    #[test]
    fn without_room_a_margin_is_left_and_what_is_empty_leaves_its_room() {
        let budget = Budget::new(4 * STEP_BYTES, STEP_BYTES);
        let (mut one, mut other) = (kept(&budget), kept(&budget));
        one.note(FREE_BYTES);
        assert_eq!(one.room.bytes(), 0, "its own share");
        one.note(FREE_BYTES + 4 * STEP_BYTES);
        assert_eq!(state(&one), (Signal::None, false));
        other.note(FREE_BYTES + 1);
        assert_eq!(state(&other), (Signal::Drain, false), "no room");
        other.note(FREE_BYTES + MARGIN_BYTES);
        assert_eq!(state(&other), (Signal::Drain, false));
        other.note(FREE_BYTES + MARGIN_BYTES + 1);
        assert_eq!(state(&other), (Signal::Drain, true));
        one.note(0);
        assert_eq!((one.room.bytes(), state(&one)), (0, (Signal::None, false)));
        other.note(FREE_BYTES + 4 * STEP_BYTES);
        assert_eq!(other.room.bytes(), 4 * STEP_BYTES, "it is there again");
    }
}
