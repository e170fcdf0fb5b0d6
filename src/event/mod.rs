//! The way out, as a word: an event is its id and its canonical JSON text (contract 1.2): seven keys in the order
//! occurred, event, resource, related, payload, id, follows. Made once, copied ever after. Never re-serialised.

mod draft;
mod name;
mod payload;
mod publication;
mod resource;

use std::hash::{DefaultHasher, Hasher as _};

use bytes::Bytes;

use crate::clock::Time;
use crate::id::Uuid;
use crate::json;

pub use draft::{Draft, DraftError, Reject, Stamp};
pub use name::{is_reserved, reserved_prefix};
pub use payload::write_json;
pub use publication::publish;

/// Longest compact JSON of one event, in bytes (the downstream server's own limit).
pub const EVENT_MAX_BYTES: usize = 1_500_000;
/// Longest event a template may make: what the downstream server adds must fit beside it.
pub const DRAFT_MAX_BYTES: usize = 1_400_000;
/// How the names of the gateway's own events begin that clients of the original know; no template may use one.
pub const RESERVED_PREFIX: &str = "prefect-cloud.";
/// How those begin that no client of the original knows; no template may use one of these either.
pub const OWN_PREFIX: &str = "hookgate.";
/// Longest `prefect.resource.id`: a longer one cannot be indexed downstream.
pub const RESOURCE_ID_MAX_BYTES: usize = 1024;
/// Longest event name, in characters.
pub const NAME_MAX_CHARS: usize = 1024;
/// Most labels of one resource.
pub const LABELS_MAX: usize = 500;
/// Most related resources of one event.
pub const RELATED_MAX: usize = 100;

/// An event, complete and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its id, minted once; the idempotency key for everybody downstream.
    pub id: Uuid,
    /// Its canonical JSON.
    pub json: Bytes,
}

impl Event {
    /// Its name, when that is written as it is: most are, and one with an escape in it gives nothing.
    #[must_use]
    pub fn plain_name(&self) -> Option<&str> {
        plain_name(&self.json)
    }

    /// A digest of what the event says: name, resource, related, payload. Moment, id and what it follows are left out,
    /// so a request sent twice gives it twice. Can be taken of any kept event; not stable between releases.
    #[must_use]
    pub fn digest(&self) -> u64 {
        // The canonical text opens with the moment and closes with id and follows, all of known shape.
        let json = &self.json[..];
        let start = memchr::memchr(b',', json).unwrap_or(0);
        let tail = if json.ends_with(b"null}") { CLOSE_BYTES - 34 } else { CLOSE_BYTES };
        let end = json.len().saturating_sub(tail).max(start);
        let mut hasher = DefaultHasher::new();
        hasher.write(&json[start..end]);
        hasher.finish()
    }
}

/// The same of a kept event's text.
#[must_use]
pub fn plain_name(json: &[u8]) -> Option<&str> {
    let behind = json.strip_prefix(b"{\"occurred\":\"")?;
    let name = behind[memchr::memchr(b'"', behind)?..].strip_prefix(b"\",\"event\":\"")?;
    let end = memchr::memchr2(b'"', b'\\', name)?;
    if name[end] == b'"' { std::str::from_utf8(&name[..end]).ok() } else { None }
}

/// When a kept event happened, by its text.
#[must_use]
pub fn read_occurred(json: &[u8]) -> Option<Time> {
    let behind = json.strip_prefix(b"{\"occurred\":\"")?;
    let text = &behind[..memchr::memchr(b'"', behind)?];
    std::str::from_utf8(text).ok().and_then(Time::parse)
}

/// What an event follows, by its text as [`close`] ends it.
#[must_use]
pub fn read_follows(json: &[u8]) -> Option<Uuid> {
    let start = json.len().checked_sub(38)?;
    let id = json.strip_suffix(b"\"}")?.get(start..)?;
    json[..start].ends_with(b"\"follows\":\"").then(|| Uuid::try_parse_ascii(id).ok())?
}

/// Length of `,"id":"…","follows":"…"}`; with `null` it is 34 bytes less.
const CLOSE_BYTES: usize = 7 + 36 + 13 + 36 + 2;

/// A resource's labels in the order they are written: `prefect.resource.id` first.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// Composes an event of the gateway's own; the payload is JSON text already.
#[must_use]
pub fn compose(
    occurred: Time,
    name: &str,
    resource: Labels<'_>,
    related: &[Labels<'_>],
    payload: &str,
    id: Uuid,
    follows: Option<Uuid>,
) -> Event {
    let mut out = Vec::with_capacity(512 + payload.len());
    out.extend_from_slice(b"{\"occurred\":\"");
    occurred.write(&mut out);
    out.extend_from_slice(b"\",\"event\":");
    json::write_str(&mut out, name);
    out.extend_from_slice(b",\"resource\":");
    write_labels(&mut out, resource);
    out.extend_from_slice(b",\"related\":[");
    for (place, labels) in related.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write_labels(&mut out, labels);
    }
    out.extend_from_slice(b"],\"payload\":");
    out.extend_from_slice(payload.as_bytes());
    close(&mut out, id, follows);
    Event { id, json: Bytes::from(out) }
}

/// Appends labels as a JSON object.
pub fn write_labels(out: &mut Vec<u8>, labels: Labels<'_>) {
    out.push(b'{');
    for (place, (name, value)) in labels.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        json::write_str(out, name);
        out.push(b':');
        json::write_str(out, value);
    }
    out.push(b'}');
}

/// A webhook as a related resource of its events: a JSON object.
#[must_use]
pub fn webhook_label(id: Uuid, name: &str) -> String {
    let (id, name) = (format!("prefect-cloud.webhook.{id}"), name.replace('\0', "\u{FFFD}"));
    let mut out = Vec::with_capacity(256);
    let labels = [
        ("prefect.resource.id", &*id),
        ("prefect.resource.name", &*name),
        ("prefect.resource.role", "webhook"),
    ];
    write_labels(&mut out, &labels);
    String::from_utf8_lossy(&out).into_owned()
}

/// Appends the last two keys and the closing brace.
pub fn close(out: &mut Vec<u8>, id: Uuid, follows: Option<Uuid>) {
    let mut buffer = Uuid::encode_buffer();
    out.extend_from_slice(b",\"id\":\"");
    out.extend_from_slice(id.hyphenated().encode_lower(&mut buffer).as_bytes());
    match follows {
        Some(earlier) => {
            out.extend_from_slice(b"\",\"follows\":\"");
            out.extend_from_slice(earlier.hyphenated().encode_lower(&mut buffer).as_bytes());
            out.extend_from_slice(b"\"}");
        }
        None => out.extend_from_slice(b"\",\"follows\":null}"),
    }
}

/// Appends the event as a reader outside sees it: the seven keys, then `received`, `account` and `workspace`.
pub fn write_received(
    out: &mut Vec<u8>,
    json: &[u8],
    received: Time,
    account: Uuid,
    workspace: Option<Uuid>,
) {
    let mut buffer = Uuid::encode_buffer();
    out.extend_from_slice(json.strip_suffix(b"}").unwrap_or(json));
    out.extend_from_slice(b",\"received\":\"");
    received.write(out);
    out.extend_from_slice(b"\",\"account\":\"");
    out.extend_from_slice(account.hyphenated().encode_lower(&mut buffer).as_bytes());
    out.extend_from_slice(b"\",\"workspace\":");
    match workspace {
        Some(workspace) => {
            out.push(b'"');
            out.extend_from_slice(workspace.hyphenated().encode_lower(&mut buffer).as_bytes());
            out.extend_from_slice(b"\"}");
        }
        None => out.extend_from_slice(b"null}"),
    }
}

#[cfg(test)]
mod tests;
