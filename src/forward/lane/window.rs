//! What a lane has read and not sent: as far ahead of its cursor as the window goes. In: frames as the spool gives
//! them. Out: the next events to go together: in the order they came while all are of one webhook, else each webhook
//! in its turn (`turns.rs`); never a later event of a key before an earlier one. What failed goes out again as it was.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;

use super::ahead::{Ahead, Holes};
use super::turns::{Flow, Turns, Weights};
use crate::event::Event;
use crate::forward::load::{Item, Load, Ordering};
use crate::id::Uuid;
use crate::shelf::{Key, Lying};
use crate::spool::{Capture, Kept};

/// So far a lane reads ahead of its cursor: frames, and bytes of their events.
const FRAMES_MAX: usize = 16_384;
const BYTES_MAX: usize = 16 << 20;
/// So many bytes all lanes together hold beyond what each sends next; then none reads ahead.
const ROOM_BYTES: usize = 128 << 20;

/// What all lanes have together.
#[derive(Debug, Default)]
pub(in crate::forward) struct Room {
    /// Bytes that they have read ahead.
    bytes: AtomicUsize,
    /// Of webhooks.
    pub(in crate::forward) weights: Arc<Weights>,
}

/// How a lane's events wait.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rules {
    pub(super) ordering: Ordering,
    /// The destination takes events as they came, and no other way.
    pub(super) is_strict: bool,
    /// Several requests are on their way at once.
    pub(super) is_parallel: bool,
}

#[derive(Debug)]
enum Queue {
    /// As they came, all of one flow.
    Plain(VecDeque<Item>, Option<Flow>),
    Turns(Box<Turns>),
}

impl Queue {
    fn new(rules: Rules, room: &Room) -> Self {
        // Of several on their way the keys must be known.
        if rules.is_parallel {
            Self::Turns(Box::new(Turns::new(&room.weights)))
        } else {
            Self::Plain(VecDeque::new(), None)
        }
    }
}

/// A lane's window.
#[derive(Debug)]
pub(super) struct Window {
    rules: Rules,
    ahead: Ahead,
    queue: Queue,
    /// Events that failed together, by their spots, and those of them that were read again.
    again: Vec<(u64, u32)>,
    held: Vec<Item>,
    /// The number of the next event.
    next: u64,
    room: Arc<Room>,
    /// Bytes of the room that it takes.
    taken: usize,
}

/// What comes from the shelf is of a flow of its own: it has its turn beside each webhook.
fn flow_of(item: &Item) -> Flow {
    let kept = item.kept();
    if item.lies().is_some() {
        return (kept.account, Uuid::max());
    }
    let webhook = kept.capture.as_ref().map(|capture| capture.webhook);
    (kept.account, webhook.or(kept.workspace).unwrap_or_default())
}

/// A frame of its own, which holds no other's memory, and only what is sent of it.
fn compact(mut kept: Kept) -> Kept {
    for Event { json, .. } in &mut kept.events {
        *json = Bytes::copy_from_slice(json);
    }
    let Some(capture) = kept.capture.take() else { return kept };
    let (query, body) = (Bytes::new(), Bytes::new());
    Kept { capture: Some(Capture { query, body, ..capture }), ..kept }
}

impl Window {
    pub(super) fn new(rules: Rules, room: &Arc<Room>) -> Self {
        Self {
            rules,
            ahead: Ahead::default(),
            queue: Queue::new(rules, room),
            again: Vec::new(),
            held: Vec::new(),
            next: 0,
            room: Arc::clone(room),
            taken: 0,
        }
    }

    /// Events that wait.
    pub(super) fn waiting(&self) -> usize {
        let queued = match &self.queue {
            Queue::Plain(items, _) => items.len(),
            Queue::Turns(turns) => turns.waiting(),
        };
        self.held.len() + queued
    }

    /// Bytes of an event, about, as far as that is known.
    pub(super) fn mean_bytes(&self) -> usize {
        self.ahead.bytes() / self.ahead.frames().max(1)
    }

    /// Whether more is to be read ahead of what waits.
    pub(super) fn wants_more(&self) -> bool {
        !self.rules.is_strict
            && self.ahead.frames() < FRAMES_MAX
            && self.ahead.bytes() < BYTES_MAX
            && self.room.bytes.load(Relaxed) < ROOM_BYTES
    }

    /// Whether a lane that has nothing else to do may wait for more.
    pub(super) fn may_read(&self) -> bool {
        let is_within = self.ahead.frames() < FRAMES_MAX && self.ahead.bytes() < BYTES_MAX;
        self.wants_more() || (is_within && self.waiting() == 0)
    }

    /// Whether what failed together is not all there yet.
    pub(super) fn lacks(&self) -> bool {
        self.held.len() < self.again.len()
            && self.ahead.frames() < FRAMES_MAX
            && self.ahead.bytes() < BYTES_MAX
    }

    /// Frames were read; those of their events that are wanted wait from now on.
    pub(super) fn push(&mut self, kept: Vec<Kept>, wants: impl Fn(&Kept, &Event) -> bool) {
        let is_ahead = self.waiting() > 0;
        let kept = if is_ahead { kept.into_iter().map(compact).collect() } else { kept };
        let frames = Arc::new(kept);
        for (frame, kept) in frames.iter().enumerate() {
            let done = self.ahead.take_done(kept);
            let (mut left, mut bytes) = (0, 0);
            for (event, one) in kept.events.iter().enumerate() {
                bytes += one.json.len();
                let place = (frame as u32, event as u32);
                let is_done = done.as_ref().is_some_and(|done| done.has(place.1));
                if !is_done && wants(kept, one) {
                    left += 1;
                    let item = Item::new(&frames, place, self.next);
                    self.next += 1;
                    self.line_up(item);
                }
            }
            self.ahead.enter(kept, left, bytes, done);
        }
        self.take_room();
    }

    /// Events of the shelf wait from now on, as others do.
    pub(super) fn push_shelved(&mut self, lying: Vec<Lying>) {
        for item in Item::shelved(lying, self.next) {
            self.next += 1;
            self.line_up(item);
        }
    }

    fn line_up(&mut self, item: Item) {
        if item.lies().is_none()
            && !self.again.is_empty()
            && self.again.binary_search(&item.spot()).is_ok()
        {
            self.held.push(item);
            return;
        }
        if self.rules.is_strict {
            if let Queue::Plain(items, _) = &mut self.queue {
                items.push_back(item);
            }
            return;
        }
        let flow = flow_of(&item);
        let ordering = self.rules.ordering;
        if let Queue::Plain(items, of) = &mut self.queue {
            if items.is_empty() || *of == Some(flow) {
                *of = Some(flow);
                items.push_back(item);
                return;
            }
            self.give_turns();
        }
        if let Queue::Turns(turns) = &mut self.queue {
            turns.push(flow, ordering.key(item.kept(), item.event()), item);
        }
    }

    /// Of what waits as it came, each has its turn from now on.
    fn give_turns(&mut self) {
        if let Queue::Plain(items, of) = &mut self.queue {
            let mut turns = Turns::new(&self.room.weights);
            for item in items.drain(..) {
                let flow = of.unwrap_or_else(|| flow_of(&item));
                turns.push(flow, self.rules.ordering.key(item.kept(), item.event()), item);
            }
            self.queue = Queue::Turns(Box::new(turns));
        }
    }

    /// As [`Window::pick`], but one event of each key alone, if the destination takes them so.
    pub(super) fn pick_apart(&mut self, events_max: usize, bytes_max: usize) -> Load {
        let is_apart = !self.rules.is_strict;
        if is_apart && self.held.is_empty() {
            self.give_turns();
        }
        self.pick_some(events_max, bytes_max, is_apart)
    }

    /// The next events to go together: at most so many, at most about so many bytes, at least one unless none may go.
    /// While several are on their way, nothing of their keys goes before [`Window::give_back`].
    pub(super) fn pick(&mut self, events_max: usize, bytes_max: usize) -> Load {
        self.pick_some(events_max, bytes_max, false)
    }

    fn pick_some(&mut self, events_max: usize, bytes_max: usize, is_apart: bool) -> Load {
        let ordering = self.rules.ordering;
        let mut bytes = 0;
        self.again.clear();
        if !self.held.is_empty() {
            let items = std::mem::take(&mut self.held);
            let mut keys = Vec::new();
            if let Queue::Turns(turns) = &mut self.queue
                && self.rules.is_parallel
            {
                keys = items.iter().map(|item| ordering.key(item.kept(), item.event())).collect();
                for key in &keys {
                    turns.hold(*key);
                }
            }
            return Load::new(items, ordering, keys);
        }
        match &mut self.queue {
            Queue::Plain(items, _) => {
                let mut count = 0;
                let lies = items.front().map(|item| item.lies().is_some());
                for item in items.iter().take(events_max) {
                    bytes += item.bytes();
                    // Where the order makes names, what comes from the shelf goes apart.
                    let is_apart = self.rules.is_strict && Some(item.lies().is_some()) != lies;
                    if count > 0 && (bytes > bytes_max || is_apart) {
                        break;
                    }
                    count += 1;
                }
                Load::new(items.drain(..count).collect(), ordering, Vec::new())
            }
            Queue::Turns(turns) => {
                let mut picked = Vec::new();
                while picked.len() < events_max {
                    let is_first = picked.is_empty();
                    let fits = |size| is_first || bytes + size <= bytes_max;
                    let Some((key, item)) = turns.next(fits) else { break };
                    bytes += item.bytes();
                    if is_apart {
                        turns.hold(key);
                    }
                    picked.push((key, item));
                }
                picked.sort_unstable_by_key(|(_, item)| item.number());
                let (keys, items): (Vec<_>, Vec<_>) = picked.into_iter().unzip();
                for key in &keys {
                    if self.rules.is_parallel {
                        turns.hold(*key);
                    } else if is_apart {
                        turns.give_back(*key);
                    }
                }
                if !self.rules.is_parallel && turns.waiting() == 0 {
                    self.queue = Queue::new(self.rules, &self.room);
                }
                Load::new(items, ordering, keys)
            }
        }
    }

    /// Puts events back that were picked and did not go.
    pub(super) fn put_back(&mut self, load: &Load) {
        if let Queue::Turns(turns) = &mut self.queue {
            for (place, key) in load.keys().iter().enumerate().rev() {
                let item = load.item(place);
                turns.put_back(flow_of(item), *key, item.clone());
            }
        }
    }

    /// What was on its way is done with: others of its keys may go.
    pub(super) fn give_back(&mut self, keys: &[Key]) {
        if let Queue::Turns(turns) = &mut self.queue {
            for key in keys {
                turns.give_back(*key);
            }
        }
    }

    /// An event was taken or parked.
    pub(super) fn mark(&mut self, item: &Item) {
        if item.lies().is_none() {
            let (sequence, event) = item.spot();
            self.ahead.mark(sequence, event);
        }
    }

    /// How far the cursor may move, if that is farther than before.
    pub(super) fn advance(&mut self) -> Option<u64> {
        let cursor = self.ahead.advance();
        if cursor.is_some() {
            self.take_room();
        }
        cursor
    }

    /// Everything that is not done with is read again, and what did not go of a load goes together again.
    pub(super) fn go_back(&mut self, load: &Load) {
        let items = (0..load.len()).map(|place| load.item(place));
        let items = items.filter(|item| item.lies().is_none()).map(Item::spot);
        let left = items.filter(|(sequence, event)| !self.ahead.is_done(*sequence, *event));
        self.again = left.collect();
        self.again.sort_unstable();
        self.put_down();
    }

    /// Lets everything go that waits: it is read again later.
    pub(super) fn put_down(&mut self) {
        self.ahead.go_back();
        self.held.clear();
        self.queue = Queue::new(self.rules, &self.room);
        self.take_room();
    }

    /// Everything beyond the cursor is read and sent again, whatever became of it.
    pub(super) fn forget(&mut self) {
        self.again.clear();
        self.put_down();
        self.ahead.recall(Holes::new());
    }

    /// What is done with beyond the cursor, for after a restart.
    pub(super) fn holes(&self) -> Holes {
        self.ahead.holes()
    }

    pub(super) fn recall(&mut self, holes: Holes) {
        self.ahead.recall(holes);
    }

    fn take_room(&mut self) {
        let bytes = self.ahead.bytes();
        if bytes > self.taken {
            self.room.bytes.fetch_add(bytes - self.taken, Relaxed);
        } else {
            self.room.bytes.fetch_sub(self.taken - bytes, Relaxed);
        }
        self.taken = bytes;
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.room.bytes.fetch_sub(self.taken, Relaxed);
    }
}
