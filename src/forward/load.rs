//! What a lane has in hand: frames as the spool gave them, their events numbered. In: frames. Out: batches of events
//! as bytes, copied from text that was made once; and how far the cursor may move. Never parses, never re-encodes.

use std::ops::Range;
use std::sync::OnceLock;

use super::lines::Mark;
use crate::event::{Event, write_received};
use crate::filter::Seen;
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

/// Frames in hand.
#[derive(Debug)]
pub(super) struct Load {
    kept: Vec<Kept>,
    /// For each event its frame and its place there.
    places: Vec<(u32, u32)>,
    bytes: usize,
    /// Where the events lie on the shelf, when they come from there.
    numbers: Vec<i64>,
    /// What is sent instead of each event, once it was made; nothing when events are sent.
    texts: OnceLock<Box<[OnceLock<Vec<u8>>]>>,
}

impl Load {
    /// Those events of some frames that are wanted.
    pub(super) fn new(kept: Vec<Kept>, wants: impl Fn(&Kept, &Event) -> bool) -> Self {
        let mut places = Vec::with_capacity(kept.len() * 2);
        let mut bytes = 0;
        for (frame, kept) in kept.iter().enumerate() {
            for (place, event) in kept.events.iter().enumerate() {
                if wants(kept, event) {
                    places.push((frame as u32, place as u32));
                }
            }
            bytes += kept.events.iter().map(|event| event.json.len()).sum::<usize>();
            bytes += kept.capture.as_ref().map_or(0, |capture| capture.body.len());
        }
        Self { kept, places, bytes, numbers: Vec::new(), texts: OnceLock::new() }
    }

    /// Events from the shelf.
    pub(super) fn shelved(lying: Vec<Lying>) -> Self {
        let numbers = lying.iter().map(|lying| lying.number).collect();
        let kept = |Lying { aside, .. }: Lying| Kept {
            sequence: 0,
            account: aside.account,
            workspace: aside.workspace,
            received: aside.received,
            events: vec![aside.event],
            capture: None,
        };
        let kept = lying.into_iter().map(kept).collect();
        Self { numbers, ..Self::new(kept, |_, _| true) }
    }

    /// Whether its events come from the shelf.
    pub(super) fn is_shelved(&self) -> bool {
        !self.numbers.is_empty()
    }

    /// Where its events lie on the shelf.
    pub(super) fn numbers(&self, range: Range<usize>) -> &[i64] {
        self.numbers.get(range).unwrap_or_default()
    }

    /// The key of an event: its place and its resource's id.
    pub(super) fn key(&self, place: usize) -> Key {
        let (kept, event) = self.at(place);
        Self::key_of(kept, event)
    }

    pub(super) fn key_of(kept: &Kept, event: &Event) -> Key {
        let seen = Seen::read(&event.json);
        let resource = seen.as_ref().map(|seen| seen.resource().id()).unwrap_or_default();
        Key::new(kept.account, kept.workspace, &resource)
    }

    /// Takes events out; the cursor moves past them as if they were done.
    pub(super) fn take(&mut self, is_taken: impl Fn(&Self, usize) -> bool) -> Vec<(u32, u32)> {
        let taken: Vec<bool> = (0..self.len()).map(|place| is_taken(self, place)).collect();
        let mut out = Vec::new();
        let mut place = 0;
        self.places.retain(|at| {
            let goes = taken[place];
            place += 1;
            if goes {
                out.push(*at);
            }
            !goes
        });
        out
    }

    /// An event that was taken out, and its frame.
    pub(super) fn taken(&self, (frame, event): (u32, u32)) -> (&Kept, &Event) {
        let kept = &self.kept[frame as usize];
        (kept, &kept.events[event as usize])
    }

    /// Events in hand.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Frames in hand.
    pub(super) fn frames(&self) -> &[Kept] {
        &self.kept
    }

    /// Bytes of all frames, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// An event and its frame.
    pub(super) fn at(&self, place: usize) -> (&Kept, &Event) {
        let (frame, event) = self.places[place];
        let kept = &self.kept[frame as usize];
        (kept, &kept.events[event as usize])
    }

    /// The frames whose last event in hand lies in `range`.
    pub(super) fn ending_in(&self, range: Range<usize>) -> impl Iterator<Item = &Kept> {
        range.filter_map(|place| {
            let (frame, _) = self.places[place];
            let is_last = self.places.get(place + 1).is_none_or(|(next, _)| *next != frame);
            is_last.then(|| &self.kept[frame as usize])
        })
    }

    /// The sequence up to which everything is done once the events before `end` are; `None`: not even the first.
    pub(super) fn done(&self, end: usize) -> Option<u64> {
        match self.places.get(end) {
            None => self.kept.last().map(|kept| kept.sequence),
            // The frame of the next event is not done, the one before it is.
            Some((frame, _)) => {
                let before = (*frame as usize).checked_sub(1)?;
                Some(self.kept[before].sequence)
            }
        }
    }

    /// Where a batch that begins at `start` ends: at least one event, at most so many and about so many bytes.
    pub(super) fn cut(&self, start: usize, events_max: usize, bytes_max: usize) -> usize {
        let mut bytes = 0;
        let mut end = start;
        while end < self.len() && end - start < events_max {
            bytes += self.at(end).1.json.len() + ENVELOPE_BYTES;
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
        let texts =
            self.texts.get_or_init(|| self.places.iter().map(|_| OnceLock::new()).collect());
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
        let texts = range.clone().map(|place| self.at(place).1.json.len() + ENVELOPE_BYTES);
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
        Load::new(events.iter().enumerate().map(kept).collect(), |_, _| true)
    }

    #[test]
    fn the_cursor_moves_by_whole_frames() {
        let load = load(&[2, 0, 1, 0]);
        let done: Vec<_> = (0..=3).map(|end| load.done(end)).collect();
        assert_eq!(done, [None, None, Some(11), Some(13)]);
        assert_eq!(load.ending_in(0..2).count(), 1);
        assert_eq!(load.ending_in(1..3).map(|kept| kept.sequence).collect::<Vec<_>>(), [10, 12]);
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
