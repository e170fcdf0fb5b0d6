//! A cursor that may have holes: the lowest frame that is not done with, and what is done with beyond it. In: frames as
//! they are read, and events that were taken or parked in any order. Out: how far the cursor may move; and, after going
//! back, which events are not to go out again. No I/O; as long as the window that is read.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::spool::Kept;

/// A frame that was read, from the first on that is not done with.
#[derive(Debug)]
struct Open {
    sequence: u64,
    received: Time,
    bytes: usize,
    /// Events that are to go out yet.
    left: u32,
    /// Those that did, in order, while some are left.
    done: Vec<u32>,
}

/// What of a frame is done with, though its cursor stands before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::forward) struct Done {
    /// When the frame came: another spool's frame of the same sequence is another one.
    received: i64,
    /// The places of events; without them, all.
    events: Option<Vec<u32>>,
}

impl Done {
    /// Whether it is this frame.
    pub(super) fn is_of(&self, kept: &Kept) -> bool {
        self.received == kept.received.micros()
    }

    pub(super) fn has(&self, event: u32) -> bool {
        self.events.as_ref().is_none_or(|events| events.binary_search(&event).is_ok())
    }
}

/// By sequence.
pub(in crate::forward) type Holes = BTreeMap<u64, Done>;

/// Frames of which nothing is left, in order.
pub(super) fn whole(holes: &Holes) -> Vec<u64> {
    let whole = holes.iter().filter(|(_, done)| done.events.is_none());
    whole.map(|(sequence, _)| *sequence).collect()
}

/// A lane's cursor with what is done beyond it.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    open: VecDeque<Open>,
    /// Bytes of their events.
    bytes: usize,
    /// The last frame that was read.
    read: u64,
    /// How far the cursor may move, as it was told last.
    told: u64,
    /// Of frames that are read again.
    done: Holes,
}

impl Ahead {
    /// Frames between the cursor and the last one that was read.
    pub(super) fn frames(&self) -> usize {
        self.open.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What of a frame was done with before, now that it is read again.
    pub(super) fn take_done(&mut self, kept: &Kept) -> Option<Done> {
        if self.done.is_empty() {
            return None;
        }
        let done = self.done.remove(&kept.sequence)?;
        (done.received == kept.received.micros()).then_some(done)
    }

    /// A frame was read of which so many events are to go out.
    pub(super) fn enter(&mut self, kept: &Kept, left: u32, bytes: usize, done: Option<Done>) {
        self.read = kept.sequence;
        if left == 0 && done.is_none() {
            return;
        }
        let done = done.and_then(|done| done.events).unwrap_or_default();
        let (sequence, received) = (kept.sequence, kept.received);
        self.open.push_back(Open { sequence, received, bytes, left, done });
        self.bytes += bytes;
    }

    fn find(&self, sequence: u64) -> Option<usize> {
        let first = self.open.front()?;
        if first.sequence == sequence {
            return Some(0);
        }
        self.open.binary_search_by_key(&sequence, |open| open.sequence).ok()
    }

    /// An event of a frame was taken or parked.
    pub(super) fn mark(&mut self, sequence: u64, event: u32) {
        let Some(open) = self.find(sequence).and_then(|place| self.open.get_mut(place)) else {
            return;
        };
        let Err(place) = open.done.binary_search(&event) else { return };
        match open.left {
            0 => {}
            1 => (open.left, open.done) = (0, Vec::new()),
            _ => {
                open.left -= 1;
                open.done.insert(place, event);
            }
        }
    }

    /// Whether an event is done with that was read.
    pub(super) fn is_done(&self, sequence: u64, event: u32) -> bool {
        let Some(place) = self.find(sequence) else { return true };
        let open = &self.open[place];
        open.left == 0 || open.done.binary_search(&event).is_ok()
    }

    /// How far the cursor may move, if that is farther than before.
    pub(super) fn advance(&mut self) -> Option<u64> {
        while let Some(open) = self.open.front().filter(|open| open.left == 0) {
            self.bytes -= open.bytes;
            self.open.pop_front();
        }
        let cursor = self.open.front().map_or(self.read, |open| open.sequence - 1);
        while self.done.first_key_value().is_some_and(|(sequence, _)| *sequence <= cursor) {
            self.done.pop_first();
        }
        let moved = cursor > self.told;
        self.told = cursor;
        moved.then_some(cursor)
    }

    /// What is done with beyond the cursor.
    pub(super) fn holes(&self) -> Holes {
        let open = self.open.iter().filter(|open| open.left == 0 || !open.done.is_empty());
        let open = open.map(|open| {
            let events = (open.left > 0).then(|| open.done.clone());
            (open.sequence, Done { received: open.received.micros(), events })
        });
        self.done.iter().map(|(sequence, done)| (*sequence, done.clone())).chain(open).collect()
    }

    /// Everything beyond the cursor is read again; what is done with stays so.
    pub(super) fn go_back(&mut self) {
        *self = Self { done: self.holes(), ..Self::default() };
    }

    /// What was done with before a restart.
    pub(super) fn recall(&mut self, done: Holes) {
        self.done = done;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::event::Event;
    use crate::id::Uuid;

    fn frame(sequence: u64, events: usize) -> Kept {
        let event = |_| Event { id: Uuid::nil(), json: Bytes::from_static(b"{}") };
        Kept {
            sequence,
            account: Uuid::nil(),
            workspace: None,
            received: Time::from_micros(sequence.cast_signed() * 10),
            events: (0..events).map(event).collect(),
            capture: None,
        }
    }

    fn read(ahead: &mut Ahead, kept: &Kept) -> Vec<u32> {
        let done = ahead.take_done(kept);
        let all = 0..kept.events.len() as u32;
        let left: Vec<_> =
            all.filter(|event| done.as_ref().is_none_or(|done| !done.has(*event))).collect();
        ahead.enter(kept, left.len() as u32, 10, done);
        left
    }

    #[test]
    fn the_cursor_stops_before_the_first_event_that_is_not_done() {
        let mut ahead = Ahead::default();
        let frames = [frame(3, 1), frame(4, 0), frame(7, 3), frame(8, 1), frame(9, 0)];
        for kept in &frames {
            read(&mut ahead, kept);
        }
        assert_eq!((ahead.frames(), ahead.bytes(), ahead.advance()), (3, 30, Some(2)));
        for (sequence, event, cursor) in [
            (8, 0, None),
            (7, 1, None),
            (7, 1, None),
            (3, 0, Some(6)),
            (3, 0, None),
            (7, 2, None),
            (7, 0, Some(9)),
        ] {
            ahead.mark(sequence, event);
            assert_eq!(ahead.advance(), cursor, "{sequence}.{event}");
            assert!(ahead.is_done(sequence, event));
        }
        assert_eq!((ahead.frames(), ahead.bytes()), (0, 0));
    }

    #[test]
    fn what_is_done_beyond_the_cursor_stays_so_however_often_it_is_read() {
        let frames = [frame(1, 1), frame(2, 3), frame(3, 1)];
        let mut ahead = Ahead::default();
        for round in 0..3 {
            let left: Vec<_> = frames.iter().map(|kept| read(&mut ahead, kept)).collect();
            let expected: [&[u32]; 3] =
                if round == 0 { [&[0], &[0, 1, 2], &[0]] } else { [&[0], &[0, 2], &[]] };
            assert_eq!(left, expected);
            ahead.mark(2, 1);
            ahead.mark(3, 0);
            assert_eq!(ahead.advance(), None);
            let kept = serde_json::to_string(&ahead.holes()).expect("text");
            ahead.go_back();
            assert_eq!(ahead.frames(), 0);
            // The same over a restart.
            ahead = Ahead::default();
            ahead.recall(serde_json::from_str(&kept).expect("holes"));
        }
        let other = Kept { received: Time::from_micros(5), ..frame(3, 1) };
        assert_eq!(read(&mut ahead, &other), [0], "of another spool");
    }
}
