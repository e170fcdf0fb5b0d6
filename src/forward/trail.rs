//! Which event a log line of a lane is about. In: an event. Out: its id, and the receipt of the request it was made of,
//! under the names that all log lines have for them.

use std::ops::Range;

use super::load::Load;
use crate::catalogue::RECEIVED;
use crate::event::{self, Event};
use crate::id::Uuid;

/// One event, and its request if it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trail {
    pub(super) event: Uuid,
    pub(super) request: Option<Uuid>,
}

impl Trail {
    pub(super) fn of(event: &Event) -> Self {
        let is_received = event::plain_name(&event.json) == Some(RECEIVED);
        let request = if is_received { Some(event.id) } else { event::read_follows(&event.json) };
        Self { event: event.id, request }
    }

    /// That of a range that holds one event alone.
    pub(super) fn of_one(load: &Load, range: &Range<usize>) -> Option<Self> {
        (range.len() == 1).then(|| Self::of(load.at(range.start).1))
    }

    /// The two as fields.
    pub(super) fn texts(self) -> (String, Option<String>) {
        (self.event.to_string(), self.request.map(|id| id.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Time;

    #[test]
    fn an_event_leads_to_its_request() {
        let (id, before) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let trail = |name: &str, follows| {
            let payload = format!("{{\"follows\":\"{before}\"}}");
            Trail::of(&event::compose(Time::default(), name, &[], &[], &payload, id, follows))
        };
        assert_eq!(trail("a", Some(before)), Trail { event: id, request: Some(before) });
        assert_eq!(trail("a", None), Trail { event: id, request: None });
        assert_eq!(trail(RECEIVED, None), Trail { event: id, request: Some(id) });
    }
}
