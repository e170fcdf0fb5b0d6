//! Batches that a destination has acknowledged and does not keep yet. In: events as they went out, sequences that are
//! done with them. Out: those to ask for, and how far the cursor may move once they are kept. No I/O, bounded by
//! whoever pushes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::forward::sinks::Sent;

/// One batch.
#[derive(Debug)]
struct Entry {
    sent: Vec<Sent>,
    /// Where those of them lie on the shelf that come from there.
    lying: Vec<i64>,
    /// The cursor may move here once this batch and those before it are kept.
    sequence: Option<u64>,
    since: Instant,
}

/// Acknowledged batches, oldest first.
#[derive(Debug, Default)]
pub(super) struct Tail {
    entries: VecDeque<Entry>,
    events: usize,
}

impl Tail {
    /// Events in it.
    pub(super) fn events(&self) -> usize {
        self.events
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// When its oldest batch was acknowledged.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.entries.front().map(|entry| entry.since)
    }

    /// A batch was acknowledged.
    pub(super) fn push(&mut self, sent: Vec<Sent>, lying: Vec<i64>, since: Instant) {
        self.events += sent.len();
        self.entries.push_back(Entry { sent, lying, sequence: None, since });
    }

    /// Everything up to `sequence` was sent or parked; `false`: nothing is waited for, the cursor may move at once.
    pub(super) fn mark(&mut self, sequence: u64) -> bool {
        match self.entries.back_mut() {
            Some(entry) => {
                entry.sequence = entry.sequence.max(Some(sequence));
                true
            }
            None => false,
        }
    }

    /// How many of the oldest batches have together at most `events_max` events (at least one batch), and those.
    pub(super) fn front(&self, events_max: usize) -> (usize, Vec<Sent>) {
        let mut sent: Vec<Sent> = Vec::new();
        let mut count = 0;
        for entry in &self.entries {
            if count > 0 && sent.len() + entry.sent.len() > events_max {
                break;
            }
            sent.extend_from_slice(&entry.sent);
            count += 1;
        }
        (count, sent)
    }

    /// The events of all batches that were acknowledged so long ago.
    pub(super) fn late(&self, patience: Duration) -> Vec<Sent> {
        let late = self.entries.iter().filter(|entry| entry.since.elapsed() >= patience);
        late.flat_map(|entry| entry.sent.iter().copied()).collect()
    }

    /// So many of the oldest batches are kept; how far the cursor may move, and what may leave the shelf.
    pub(super) fn pop(&mut self, count: usize) -> (Option<u64>, Vec<i64>) {
        let (mut last, mut lying) = (None, Vec::new());
        for entry in self.entries.drain(..count.min(self.entries.len())) {
            self.events -= entry.sent.len();
            last = last.max(entry.sequence);
            lying.extend(entry.lying);
        }
        (last, lying)
    }

    /// Forgets all of them: they are sent again.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.events = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Time;
    use crate::id::Uuid;

    fn ids(numbers: std::ops::Range<u128>) -> Vec<Sent> {
        let sent = |id| Sent { id: Uuid::from_u128(id), occurred: Time::default() };
        numbers.map(sent).collect()
    }

    #[test]
    fn the_cursor_follows_what_is_kept() {
        let mut tail = Tail::default();
        assert!(!tail.mark(3), "nothing is waited for");
        let now = Instant::now();
        tail.push(ids(0..4), vec![7], now);
        assert!(tail.mark(7));
        tail.push(ids(4..5), Vec::new(), now);
        tail.push(ids(5..9), vec![8, 9], now);
        assert!(tail.mark(9) && tail.mark(8));
        assert_eq!(tail.front(5), (2, ids(0..5)));
        assert_eq!(tail.front(1), (1, ids(0..4)), "one batch at least");
        assert_eq!((tail.pop(2), tail.events()), ((Some(7), vec![7]), 4));
        assert_eq!(tail.pop(5), (Some(9), vec![8, 9]));
        assert_eq!((tail.is_empty(), tail.events()), (true, 0));
        tail.push(ids(0..2), Vec::new(), now);
        tail.clear();
        assert_eq!((tail.front(9), tail.events()), ((0, Vec::new()), 0));
    }
}
