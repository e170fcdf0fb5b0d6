//! Rendered text to a checked event (contract 1, 2.7). In: text, and a [`Stamp`] of what only the gateway knows.
//! Out: an [`Event`](super::Event), or the rule that was broken with the JSON pointer of the place. Never a clock.

use std::cell::RefCell;
use std::fmt::Write as _;

use bytes::Bytes;

use crate::clock::Time;
use crate::id::Uuid;
use crate::json::{self, Kind, Node, Value};

use super::name;
use super::payload::{self, Payload};
use super::resource;
use super::{DRAFT_MAX_BYTES, Event, close};

/// Bounds of a rendered text: what the downstream server keeps (contract 9.3), and what one thread may hold.
pub(super) const LIMITS: json::Limits = json::Limits { depth_max: 190, nodes_max: 250_000 };
/// Indexes above this many nodes are given back to the allocator.
const SPARE_MAX_NODES: usize = 1 << 15;
/// Longest part of a sender's or an author's text inside an error.
const QUOTE_MAX_BYTES: usize = 128;
/// The earliest moment that can be written: the start of the year 1.
pub(super) const EARLIEST: Time = Time::from_micros(-62_135_596_800_000_000);

thread_local! {
    /// The index of this thread's last draft, to be filled again.
    static SPARE: RefCell<Vec<Node>> = const { RefCell::new(Vec::new()) };
}

/// A rendered text that reads as a JSON object, before the rules of an event.
#[derive(Debug)]
pub struct Draft<'a> {
    pub text: &'a str,
    pub(super) nodes: Vec<Node>,
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

impl Stamp<'static> {
    /// The stamp of a request that is only tried: no id is minted, no event leaves.
    #[must_use]
    pub fn of_trial(received: Time) -> Self {
        let (id, follows) = (Uuid::nil(), Uuid::nil());
        Self { id, received, follows, webhook: "{}", payload: &|| String::from("{}") }
    }
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

impl Reject {
    /// The word in `error_type`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::InvalidEvent => "invalid-event",
            Self::TooLarge => "too-large",
        }
    }
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
    /// Byte of the rendered text where reading had to stop, when it is not JSON.
    pub at: Option<usize>,
}

impl DraftError {
    /// A rule of events that the value at `pointer` breaks.
    pub fn invalid(pointer: impl Into<String>, what: impl Into<String>) -> Self {
        let (pointer, what) = (Some(pointer.into()), what.into());
        Self { reject: Reject::InvalidEvent, what, pointer, line: None, at: None }
    }

    fn too_large(bytes: usize) -> Self {
        let what = format!("the event has {bytes} bytes; at most {DRAFT_MAX_BYTES} are sent on");
        Self::of_size(what)
    }

    /// An event over a bound of bytes.
    pub(super) fn of_size(what: String) -> Self {
        Self { reject: Reject::TooLarge, what, pointer: None, line: None, at: None }
    }

    /// What scanning `text` found.
    pub(super) fn scanning(text: &str, fault: &json::Fault) -> Self {
        let before = &text.as_bytes()[..fault.at.min(text.len())];
        let line = memchr::memchr_iter(b'\n', before).count() + 1;
        let reject = match fault.what {
            json::FaultKind::Expected(_) => Reject::Json,
            json::FaultKind::TooDeep(_) | json::FaultKind::TooMany(_) => Reject::TooLarge,
        };
        let line = u32::try_from(line).ok();
        Self { reject, what: format!("not JSON: {fault}"), pointer: None, line, at: Some(fault.at) }
    }
}

/// A text quoted in an error: its beginning only.
pub(super) fn quote(text: &str) -> &str {
    &text[..text.floor_char_boundary(QUOTE_MAX_BYTES)]
}

/// Appends one step to a JSON pointer.
pub(super) fn step(pointer: &mut String, name: &str) {
    let name = quote(name).replace('~', "~0").replace('/', "~1");
    let _ = write!(pointer, "/{name}");
}

/// What a value is, in an author's words.
pub(super) fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::Null => "null",
        Kind::True | Kind::False => "a boolean",
        Kind::Integer | Kind::Float => "a number",
        Kind::Plain | Kind::Escaped | Kind::Name | Kind::EscapedName => "a string",
        Kind::Array => "an array",
        Kind::Object => "an object",
    }
}

/// The seven members an event knows; of a doubled name the last, of an unknown name nothing.
#[derive(Default)]
pub(super) struct Members<'a> {
    pub(super) occurred: Option<Value<'a>>,
    pub(super) event: Option<Value<'a>>,
    pub(super) resource: Option<Value<'a>>,
    pub(super) related: Option<Value<'a>>,
    pub(super) payload: Option<Value<'a>>,
    pub(super) id: Option<Value<'a>>,
    pub(super) follows: Option<Value<'a>>,
}

impl<'a> Members<'a> {
    pub(super) fn of(root: Value<'a>) -> Self {
        let mut members = Self::default();
        for (name, value) in root.members() {
            let place = match &*name {
                "occurred" => &mut members.occurred,
                "event" => &mut members.event,
                "resource" => &mut members.resource,
                "related" => &mut members.related,
                "payload" => &mut members.payload,
                "id" => &mut members.id,
                "follows" => &mut members.follows,
                _ => continue,
            };
            *place = Some(value);
        }
        members
    }
}

impl<'a> Draft<'a> {
    /// Reads the text as JSON within the limits of an event (depth 190).
    ///
    /// # Errors
    /// The first fault.
    pub fn read(text: &'a str) -> Result<Self, DraftError> {
        let nodes = SPARE.with_borrow_mut(std::mem::take);
        let mut draft = Self { text, nodes };
        json::scan(text, LIMITS, &mut draft.nodes)
            .map_err(|fault| DraftError::scanning(text, &fault))?;
        match Value::root(text, &draft.nodes).kind() {
            Kind::Object => Ok(draft),
            other => {
                let what = format!("an event must be a JSON object, not {}", noun(other));
                Err(DraftError::invalid("", what))
            }
        }
    }

    /// Applies the rules and composes the event; `true` beside it when the template itself gave the id.
    ///
    /// # Errors
    /// The first rule broken.
    pub fn event(&self, stamp: &Stamp<'_>) -> Result<(Event, bool), DraftError> {
        let members = Members::of(Value::root(self.text, &self.nodes));
        // What must be rewritten is rare, and is looked for once in the whole text.
        let has_nul = payload::holds_nul(self.text);
        let name =
            members.event.ok_or_else(|| DraftError::invalid("/event", "event is missing"))?;
        name::check(name, has_nul)?;
        let resource = members.resource;
        let resource =
            resource.ok_or_else(|| DraftError::invalid("/resource", "resource is missing"))?;
        let occurred = read_occurred(members.occurred)?.unwrap_or(stamp.received);
        let own_id = read_uuid("id", members.id)?;
        let id = own_id.unwrap_or(stamp.id);
        let follows = members.follows.filter(|value| value.kind() != Kind::Null);
        let follows = read_uuid("follows", follows)?.unwrap_or(stamp.follows);

        let mut out = Vec::with_capacity(self.text.len() + stamp.webhook.len() + 256);
        out.extend_from_slice(b"{\"occurred\":\"");
        occurred.write(&mut out);
        out.extend_from_slice(b"\",\"event\":");
        payload::write_value(&mut out, name, has_nul);
        out.extend_from_slice(b",\"resource\":");
        resource::write(&mut out, resource, "/resource", has_nul)?;
        out.extend_from_slice(b",\"related\":[");
        resource::write_related(&mut out, members.related, (stamp.webhook, false), has_nul)?;
        out.extend_from_slice(b"],\"payload\":");
        match members.payload {
            Some(value) => {
                let payload = Payload::check(value, &self.nodes)?;
                payload.write(&mut out, has_nul, DRAFT_MAX_BYTES).map_err(DraftError::too_large)?;
            }
            None => write_default(&mut out, &(stamp.payload)())?,
        }
        close(&mut out, id, Some(follows));
        if out.len() > DRAFT_MAX_BYTES {
            return Err(DraftError::too_large(out.len()));
        }
        Ok((Event { id, json: Bytes::from(out) }, own_id.is_some()))
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if self.nodes.capacity() <= SPARE_MAX_NODES {
            let nodes = std::mem::take(&mut self.nodes);
            SPARE.with_borrow_mut(|spare| *spare = nodes);
        }
    }
}

/// Writes the payload of a template that gives none: the same rules hold for it, since it carries the sender's body.
fn write_default(out: &mut Vec<u8>, text: &str) -> Result<(), DraftError> {
    let mut nodes = Vec::new();
    json::scan(text, LIMITS, &mut nodes).map_err(|fault| DraftError::scanning(text, &fault))?;
    let payload = Payload::check(Value::root(text, &nodes), &nodes)?;
    payload.write(out, payload::holds_nul(text), DRAFT_MAX_BYTES).map_err(DraftError::too_large)
}

/// The moment a template gives; one without an offset is UTC.
pub(super) fn read_occurred(value: Option<Value<'_>>) -> Result<Option<Time>, DraftError> {
    let Some(value) = value else { return Ok(None) };
    let fault = |what: String| DraftError::invalid("/occurred", what);
    let text = value.text().ok_or_else(|| {
        fault(format!("occurred must be a string in RFC 3339, not {}", noun(value.kind())))
    })?;
    let moment = (text.len() <= 64)
        .then(|| Time::parse(&text).or_else(|| Time::parse(&format!("{}Z", text.trim()))));
    match moment.flatten().filter(|moment| *moment >= EARLIEST) {
        Some(moment) => Ok(Some(moment)),
        None => Err(fault(format!("occurred is not a moment in RFC 3339: '{}'", quote(&text)))),
    }
}

/// The UUID a template gives, in any letter case, with or without hyphens.
pub(super) fn read_uuid(key: &str, value: Option<Value<'_>>) -> Result<Option<Uuid>, DraftError> {
    let Some(value) = value else { return Ok(None) };
    let fault = |what: String| DraftError::invalid(format!("/{key}"), what);
    let text = value
        .text()
        .ok_or_else(|| fault(format!("{key} must be a UUID, not {}", noun(value.kind()))))?;
    let shaped = text.len() == 32 || text.len() == 36;
    match Uuid::try_parse(&text).ok().filter(|_| shaped) {
        Some(id) => Ok(Some(id)),
        None => Err(fault(format!("{key} is not a UUID: '{}'", quote(&text)))),
    }
}
