//! Rendered text to a checked event (contract 1, 2.7). In: text, and a [`Stamp`] of what only the gateway knows.
//! Out: an [`Event`](super::Event), or the rule that was broken with the JSON pointer of the place. Never a clock.

use crate::clock::Time;
use crate::id::Uuid;

use super::Event;

/// A rendered text that reads as a JSON object, before the rules of an event.
#[derive(Debug)]
pub struct Draft<'a> {
    pub text: &'a str,
}

/// What only the gateway knows of an event a template made.
pub struct Stamp<'a> {
    /// The id when the template gives none.
    pub id: Uuid,
    /// The moment when the template gives none.
    pub received: Time,
    /// The received event's id.
    pub follows: Uuid,
    /// The webhook as a related resource, as JSON text of an object.
    pub webhook: &'a str,
    /// The payload when the template gives none, as JSON text of an object; made only when needed.
    pub payload: &'a dyn Fn() -> String,
}

/// Which stage of the reading refused, in the words of `error_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    /// The text is not JSON.
    Json,
    /// It is JSON, but not an event.
    InvalidEvent,
    /// It is an event, but too large.
    TooLarge,
}

/// Why a rendered text is no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct DraftError {
    /// Which rule's family.
    pub reject: Reject,
    /// The rule, with its numbers and the value's name.
    pub what: String,
    /// JSON pointer of the fault in the rendered text, when there is one.
    pub pointer: Option<String>,
    /// Line of the rendered text, from 1, when it is not JSON.
    pub line: Option<u32>,
}

impl<'a> Draft<'a> {
    /// Reads the text as JSON within the limits of an event (depth 190).
    ///
    /// # Errors
    /// The first fault.
    pub fn read(text: &'a str) -> Result<Self, DraftError> {
        let _ = text;
        todo!()
    }

    /// Applies the rules and composes the event; `true` beside it when the template itself gave the id.
    ///
    /// # Errors
    /// The first rule broken.
    pub fn event(&self, stamp: &Stamp<'_>) -> Result<(Event, bool), DraftError> {
        let _ = (self.text, stamp);
        todo!()
    }
}
