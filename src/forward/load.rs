//! What a lane has in hand: some events of frames that the spool gave. In: events by their places. Out: batches of them
//! as bytes, copied from text that was made once; and their keys. Never re-encodes.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use super::lines::Mark;
use super::sinks::Sent;
use crate::event::{self, Event, write_received};
use crate::filter::Seen;
use crate::request::hops_told;
use crate::shelf::{Key, Lying};
use crate::spool::Kept;

/// Bytes that a batch has for each event beside its JSON, at most: three keys and a separator.
const ENVELOPE_BYTES: usize = 144;

/// How an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The seven keys, then `received`, `account`, `workspace`.
    Received,
    /// The seven keys.
    Bare,
}

/// How order is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Ordering {
    /// Among the events of one resource.
    #[default]
    Resource,
    /// Not at all: each event has a key of its own.
    Free,
}

impl Ordering {
    /// What stands for an event's turn: of two with the same key the first goes first.
    pub(super) fn key(self, kept: &Kept, event: &Event) -> Key {
        let (account, workspace) = (kept.account, kept.workspace);
        match self {
            Self::Resource => {
                let seen = Seen::read(&event.json);
                let resource = seen.as_ref().map(|seen| seen.resource().id()).unwrap_or_default();
                Key::new(account, workspace, &resource)
            }
            Self::Free => Key::alone(account, workspace, event.id),
        }
    }
}

/// One event among the frames that were read together with its own.
#[derive(Clone, Debug)]
pub(super) struct Item {
    frames: Arc<Vec<Kept>>,
    frame: u32,
    event: u32,
    /// Its number among all that were read.
    number: u64,
    /// Where it lies on the shelf, when it comes from there, and through how many gateways it came.
    lies: Option<i64>,
    hops: u8,
}

impl Item {
    /// The event of a frame, both by their places.
    pub(super) fn new(frames: &Arc<Vec<Kept>>, (frame, event): (u32, u32), number: u64) -> Self {
        Self { frames: Arc::clone(frames), frame, event, number, lies: None, hops: 0 }
    }

    /// Events from the shelf; the first one's number.
    pub(super) fn shelved(lying: Vec<Lying>, first: u64) -> Vec<Self> {
        let places: Vec<_> = lying.iter().map(|lying| (lying.number, lying.aside.hops)).collect();
        let kept = |Lying { aside, .. }: Lying| Kept {
            sequence: 0,
            account: aside.account,
            workspace: aside.workspace,
            received: aside.received,
            events: vec![aside.event],
            capture: None,
        };
        let frames = Arc::new(lying.into_iter().map(kept).collect());
        let item = |(number, (place, hops)): (u64, (i64, u8))| {
            let plain = Self::new(&frames, ((number - first) as u32, 0), number);
            Self { lies: Some(place), hops, ..plain }
        };
        (first..).zip(places).map(item).collect()
    }

    /// Where it lies on the shelf, when it comes from there.
    pub(super) fn lies(&self) -> Option<i64> {
        self.lies
    }

    pub(super) fn kept(&self) -> &Kept {
        &self.frames[self.frame as usize]
    }

    pub(super) fn event(&self) -> &Event {
        &self.kept().events[self.event as usize]
    }

    /// Through how many gateways the request of its frame came.
    pub(super) fn hops(&self) -> u8 {
        if self.lies.is_some() {
            return self.hops;
        }
        let received = self.kept().capture.as_ref().and(self.kept().events.first());
        received.map_or(0, |received| hops_told(&received.json))
    }

    /// Its frame's sequence, and its place there.
    pub(super) fn spot(&self) -> (u64, u32) {
        (self.kept().sequence, self.event)
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Bytes that a batch has for it, at most.
    pub(super) fn bytes(&self) -> usize {
        self.event().json.len() + ENVELOPE_BYTES
    }

    fn is_beside(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.frames, &other.frames) && self.frame == other.frame
    }
}

/// Events in hand.
#[derive(Debug, Default)]
pub(super) struct Load {
    items: Vec<Item>,
    ordering: Ordering,
    /// The keys of all, when they were known before.
    keys: Vec<Key>,
    /// What is sent instead of each event, once it was made; nothing when events are sent.
    texts: OnceLock<Box<[OnceLock<Vec<u8>>]>>,
}

impl Load {
    /// Those events; with the keys of all of them, or none.
    pub(super) fn new(items: Vec<Item>, ordering: Ordering, keys: Vec<Key>) -> Self {
        Self { items, ordering, keys, ..Self::default() }
    }

    /// All events of some frames.
    #[cfg(test)]
    pub(super) fn of(kept: Vec<Kept>) -> Self {
        Self::new(all_of(kept), Ordering::default(), Vec::new())
    }

    /// Where an event lies on the shelf, when it comes from there.
    pub(super) fn lies(&self, place: usize) -> Option<i64> {
        self.items[place].lies
    }

    /// Where those of a range lie on the shelf that come from there.
    pub(super) fn lying(&self, range: Range<usize>) -> Vec<i64> {
        range.filter_map(|place| self.lies(place)).collect()
    }

    /// The key of an event.
    pub(super) fn key(&self, place: usize) -> Key {
        let known = self.keys.get(place).copied();
        known.unwrap_or_else(|| self.key_of(&self.items[place]))
    }

    fn key_of(&self, item: &Item) -> Key {
        self.ordering.key(item.kept(), item.event())
    }

    /// The keys that were known before.
    pub(super) fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Cuts off what is behind the first so many events; what was made of them is made again.
    pub(super) fn split_off(&mut self, count: usize) -> Self {
        let items = self.items.split_off(count.min(self.items.len()));
        let keys = self.keys.split_off(count.min(self.keys.len()));
        Self { items, keys, ordering: self.ordering, ..Self::default() }
    }

    /// Takes events out.
    pub(super) fn take(&mut self, is_taken: impl Fn(&Self, usize) -> bool) -> Vec<Item> {
        let taken: Vec<bool> = (0..self.len()).map(|place| is_taken(self, place)).collect();
        if !taken.contains(&true) {
            return Vec::new();
        }
        let goes = |place: usize| taken.get(place) == Some(&true);
        let (mut out, mut items) = (Vec::new(), Vec::new());
        for (place, item) in std::mem::take(&mut self.items).into_iter().enumerate() {
            if goes(place) { out.push(item) } else { items.push(item) }
        }
        let keys = std::mem::take(&mut self.keys);
        let keys = keys.into_iter().enumerate().filter(|(place, _)| !goes(*place));
        (self.items, self.keys) = (items, keys.map(|(_, key)| key).collect());
        out
    }

    /// Events in hand.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// An event as it was read.
    pub(super) fn item(&self, place: usize) -> &Item {
        &self.items[place]
    }

    /// An event and its frame.
    pub(super) fn at(&self, place: usize) -> (&Kept, &Event) {
        let item = &self.items[place];
        (item.kept(), item.event())
    }

    /// What is asked for to know that it is kept.
    pub(super) fn sent(&self, place: usize) -> Sent {
        let (kept, event) = self.at(place);
        let occurred = event::read_occurred(&event.json).unwrap_or(kept.received);
        Sent { id: event.id, occurred }
    }

    /// Through how many gateways the events of a range came, at most, this one included.
    pub(super) fn hops(&self, range: Range<usize>) -> u8 {
        let items = self.items.get(range).unwrap_or_default();
        items.iter().map(|item| item.hops().saturating_add(1)).max().unwrap_or(1)
    }

    /// Parts of a range that follow each other as they were read, all from the spool or all from the shelf.
    pub(super) fn runs(&self, range: Range<usize>) -> impl Iterator<Item = &[Item]> {
        let items = self.items.get(range).unwrap_or_default();
        items.chunk_by(|one, next| {
            one.number + 1 == next.number && one.lies.is_some() == next.lies.is_some()
        })
    }

    /// The frames whose last event in hand lies in `range`.
    pub(super) fn ending_in(&self, range: Range<usize>) -> impl Iterator<Item = &Kept> {
        range.filter_map(|place| {
            let item = &self.items[place];
            let is_last = self.items.get(place + 1).is_none_or(|next| !next.is_beside(item));
            is_last.then(|| item.kept())
        })
    }

    /// Where a batch that begins at `start` ends: at least one event, at most so many and about so many bytes.
    pub(super) fn cut(&self, start: usize, events_max: usize, bytes_max: usize) -> usize {
        let mut bytes = 0;
        let mut end = start;
        while end < self.len() && end - start < events_max {
            bytes += self.items[end].bytes();
            if end > start && bytes > bytes_max {
                break;
            }
            end += 1;
        }
        end
    }

    fn text(&self, place: usize) -> Option<&[u8]> {
        self.texts.get()?.get(place)?.get().map(Vec::as_slice)
    }

    /// Whether it is made what is sent instead of an event.
    pub(super) fn has_text(&self, place: usize) -> bool {
        self.text(place).is_some()
    }

    /// Sets what is sent instead of an event; no event may be taken out any more.
    pub(super) fn set_text(&self, place: usize, text: Vec<u8>) {
        let texts = self.texts.get_or_init(|| self.items.iter().map(|_| OnceLock::new()).collect());
        if let Some(room) = texts.get(place) {
            let _ = room.set(text);
        }
    }

    /// Bytes of what is sent for an event, about.
    pub(super) fn size(&self, place: usize) -> usize {
        self.text(place).map_or_else(|| self.at(place).1.json.len(), <[u8]>::len)
    }

    /// Bytes of what is sent for the events of a range, about.
    pub(super) fn weight(&self, range: Range<usize>) -> u64 {
        range.map(|place| self.size(place) as u64).sum()
    }

    /// What one event is known by at a destination.
    pub(super) fn mark(&self, place: usize) -> Mark {
        let (kept, event) = self.at(place);
        Mark::new(kept, event)
    }

    /// Appends one event.
    pub(super) fn write(&self, place: usize, form: Form, out: &mut Vec<u8>) {
        if let Some(text) = self.text(place) {
            out.extend_from_slice(text);
            return;
        }
        let (kept, event) = self.at(place);
        match form {
            Form::Bare => out.extend_from_slice(&event.json),
            Form::Received => {
                write_received(out, &event.json, kept.received, kept.account, kept.workspace);
            }
        }
    }

    /// The events of `range` as one JSON array.
    pub(super) fn array(&self, range: Range<usize>, form: Form) -> Vec<u8> {
        let texts = range.clone().map(|place| self.items[place].bytes());
        let mut out = Vec::with_capacity(2 + texts.sum::<usize>());
        let mut before = b'[';
        for place in range {
            out.push(before);
            before = b',';
            self.write(place, form, &mut out);
        }
        if before == b'[' {
            out.push(b'[');
        }
        out.push(b']');
        out
    }
}

#[cfg(test)]
fn all_of(kept: Vec<Kept>) -> Vec<Item> {
    let frames = Arc::new(kept);
    let mut items = Vec::with_capacity(frames.len());
    for (frame, kept) in frames.iter().enumerate() {
        for event in 0..kept.events.len() {
            items.push(Item::new(&frames, (frame as u32, event as u32), items.len() as u64));
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::clock::Time;
    use crate::id::Uuid;

    fn load(events: &[usize]) -> Load {
        let kept = |(number, count): (usize, &usize)| Kept {
            sequence: 10 + number as u64,
            account: Uuid::nil(),
            workspace: None,
            received: Time::from_micros(1),
            events: (0..*count)
                .map(|event| Event {
                    id: Uuid::nil(),
                    json: Bytes::from(format!("{{\"n\":\"{number}.{event}\"}}")),
                })
                .collect(),
            capture: None,
        };
        Load::of(events.iter().enumerate().map(kept).collect())
    }

    #[test]
    fn events_go_together_by_their_frames_and_as_they_were_read() {
        let mut load = load(&[2, 0, 1, 1]);
        assert_eq!(load.ending_in(0..2).count(), 1);
        let ending: Vec<_> = load.ending_in(1..3).map(|kept| kept.sequence).collect();
        assert_eq!(ending, [10, 12]);
        let taken = load.take(|_, place| place == 2);
        assert_eq!((taken[0].spot(), load.len()), ((12, 0), 3));
        let runs: Vec<_> = load.runs(0..3).map(<[Item]>::len).collect();
        assert_eq!(runs, [2, 1]);
    }

    #[test]
    fn a_batch_keeps_its_bounds_and_has_at_least_one_event() {
        let load = load(&[1; 10]);
        assert_eq!(load.cut(0, 4, usize::MAX), 4);
        assert_eq!(load.cut(8, 4, usize::MAX), 10);
        assert_eq!(load.cut(3, 500, 1), 4);
        assert_eq!(load.cut(0, 500, 3 * (ENVELOPE_BYTES + 11)), 3);
    }

    #[test]
    fn what_was_made_of_an_event_goes_instead_of_it() {
        let load = load(&[1, 1]);
        assert!(!load.has_text(1));
        load.set_text(1, b"[7]".to_vec());
        assert_eq!((load.has_text(0), load.has_text(1), load.size(1)), (false, true, 3));
        assert_eq!(load.array(0..2, Form::Bare), b"[{\"n\":\"0.0\"},[7]]");
    }

    #[test]
    fn an_array_holds_the_texts_as_they_are() {
        let load = load(&[1, 1]);
        assert_eq!(load.array(0..2, Form::Bare), b"[{\"n\":\"0.0\"},{\"n\":\"1.0\"}]");
        assert_eq!(load.array(0..0, Form::Bare), b"[]");
        let text = String::from_utf8(load.array(0..1, Form::Received)).expect("text");
        let tail = ",\"received\":\"1970-01-01T00:00:00.000001Z\",\"account\":\"00000000-0000-\
                    0000-0000-000000000000\",\"workspace\":null}]";
        assert_eq!(text, format!("[{{\"n\":\"0.0\"{tail}"));
    }
}
