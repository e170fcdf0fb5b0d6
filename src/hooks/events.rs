//! The gateway's own events of a request (contract 2.8). In: a request without its secrets, and what became of it. Out:
//! JSON, appended to one buffer. Never a slug.

use bytes::Bytes;

use crate::catalogue::{Action, FAILED, RECEIVED};
use crate::clock::Time;
use crate::event::{Event, close, write_json};
use crate::id::Uuid;
use crate::json::write_str;
use crate::render::Diagnostic;
use crate::request::{Body, write_body, write_head};

use super::Submission;
use super::check::Proof;
use super::failure::Failure;
use super::routes::Endpoint;

/// Most bytes of body, template and rendered text each inside a failed event.
const EXCERPT_MAX_BYTES: usize = 64 << 10;
/// Most bytes of an error's message.
const MESSAGE_MAX_BYTES: usize = 4 << 10;

/// Most diagnostics in a failed event, and most bytes of them.
const DIAGNOSTICS_MAX: usize = 10;
const DIAGNOSTICS_MAX_BYTES: usize = 16 << 10;

const CONFIRMED: &str = "hookgate.subscription.confirmed";
const UNCONFIRMED: &str = "hookgate.subscription.failed";

/// What this plane's own events say of a webhook.
pub const ACTIONS: &[Action] = &[
    Action {
        name: "received",
        act: "any method /hooks/{slug}",
        when: "a webhook kept a request, whatever became of it",
    },
    Action {
        name: "failed",
        act: "any method /hooks/{slug}",
        when: "a template made no event of a request",
    },
];

/// What this plane's own events say of subscriptions that a provider wants confirmed.
pub const VISITS: &[Action] = &[
    Action {
        name: "confirmed",
        act: "a provider asked for it at /hooks/{slug}",
        when: "the address that it named took the visit: its events are wanted",
    },
    Action {
        name: "failed",
        act: "a provider asked for it at /hooks/{slug}",
        when: "both visits to the address that it named failed: ask it to ask again",
    },
];

/// What follows a received event.
pub(super) enum Sequel<'a> {
    /// An event of that id, the user's or a failed one.
    Event(Uuid),
    /// Nothing: it was a handshake of that name.
    Handshake(&'a str),
}

/// `prefect-cloud.webhook.received`.
pub(super) fn received(submission: &Submission, id: Uuid, sequel: &Sequel<'_>) -> Event {
    let endpoint = &submission.endpoint;
    let room = endpoint.resource.len() + endpoint.tenant.len() + 96 * submission.headers.len();
    let mut out = Vec::with_capacity(512 + room);
    open(&mut out, submission.received, RECEIVED, endpoint, submission.proof.as_ref());
    write_head(&mut out, &submission.method, &submission.headers);
    write_version(&mut out, endpoint);
    out.extend_from_slice(b",\"content_length\":");
    let mut digits = itoa::Buffer::new();
    out.extend_from_slice(digits.format(submission.content.raw.len()).as_bytes());
    match sequel {
        Sequel::Event(event) => {
            let mut buffer = Uuid::encode_buffer();
            out.extend_from_slice(b",\"event_id\":\"");
            out.extend_from_slice(event.hyphenated().encode_lower(&mut buffer).as_bytes());
            out.extend_from_slice(b"\"}");
        }
        Sequel::Handshake(name) => {
            out.extend_from_slice(b",\"handshake\":");
            write_str(&mut out, name);
            out.push(b'}');
        }
    }
    close(&mut out, id, None);
    Event { id, json: Bytes::from(out) }
}

/// `prefect-cloud.webhook.failed`: everything that helps to mend the template, each part cut to its bound. Without a
/// body it says null there.
pub(super) fn failed(
    submission: &Submission,
    body: Option<&Body>,
    failure: &Failure,
    id: Uuid,
    follows: Uuid,
) -> Event {
    let endpoint = &submission.endpoint;
    let mut out = Vec::with_capacity(4096);
    open(&mut out, submission.received, FAILED, endpoint, submission.proof.as_ref());
    write_head(&mut out, &submission.method, &submission.headers);
    let mut cut: Vec<&str> = Vec::new();
    out.extend_from_slice(b",\"body\":");
    match body {
        Some(body) if !write_excerpt_of_body(&mut out, submission, body) => cut.push("body"),
        Some(_) => {}
        None => out.extend_from_slice(b"null"),
    }
    write_version(&mut out, endpoint);
    out.extend_from_slice(b",\"template\":");
    if !write_excerpt(&mut out, &endpoint.source, EXCERPT_MAX_BYTES) {
        cut.push("template");
    }
    out.extend_from_slice(b",\"rendered\":");
    match &failure.rendered {
        Some(text) if !write_excerpt(&mut out, text, EXCERPT_MAX_BYTES) => cut.push("rendered"),
        Some(_) => {}
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"error\":");
    write_excerpt(&mut out, &failure.message, MESSAGE_MAX_BYTES);
    out.extend_from_slice(b",\"error_type\":");
    write_str(&mut out, failure.kind.name());
    out.extend_from_slice(b",\"line\":");
    match failure.line {
        Some(line) => out.extend_from_slice(itoa::Buffer::new().format(line).as_bytes()),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"pointer\":");
    match &failure.pointer {
        Some(pointer) => {
            write_excerpt(&mut out, pointer, MESSAGE_MAX_BYTES);
        }
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"diagnostics\":");
    write_diagnostics(&mut out, &failure.diagnostics);
    write_cuts(&mut out, &cut);
    close(&mut out, id, Some(follows));
    Event { id, json: Bytes::from(out) }
}

/// `hookgate.subscription.confirmed`, or with a fault `….failed`; after so many tries.
pub(super) fn visited(
    endpoint: &Endpoint,
    now: Time,
    id: Uuid,
    fault: Option<&str>,
    tries: usize,
) -> Event {
    let mut out = Vec::with_capacity(1024);
    open(&mut out, now, if fault.is_some() { UNCONFIRMED } else { CONFIRMED }, endpoint, None);
    out.extend_from_slice(b"{\"provider\":");
    write_str(&mut out, endpoint.check.as_ref().map_or("", |check| check.provider()));
    out.extend_from_slice(b",\"tries\":");
    out.extend_from_slice(itoa::Buffer::new().format(tries).as_bytes());
    if let Some(fault) = fault {
        out.extend_from_slice(b",\"fault\":");
        write_excerpt(&mut out, fault, MESSAGE_MAX_BYTES);
    }
    out.push(b'}');
    close(&mut out, id, None);
    Event { id, json: Bytes::from(out) }
}

/// Everything up to the payload's value.
fn open(out: &mut Vec<u8>, occurred: Time, name: &str, endpoint: &Endpoint, proof: Option<&Proof>) {
    out.extend_from_slice(b"{\"occurred\":\"");
    occurred.write(out);
    out.extend_from_slice(b"\",\"event\":\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\",\"resource\":");
    out.extend_from_slice(endpoint.resource.as_bytes());
    if let (Some(proof), Some(check)) = (proof, &endpoint.check) {
        out.pop();
        check.write_labels(out, proof);
        out.push(b'}');
    }
    out.extend_from_slice(b",\"related\":[");
    out.extend_from_slice(endpoint.tenant.as_bytes());
    out.extend_from_slice(b"],\"payload\":");
}

/// Which version of the template it was.
fn write_version(out: &mut Vec<u8>, endpoint: &Endpoint) {
    if endpoint.version > 0 {
        out.extend_from_slice(b",\"template_version\":");
        out.extend_from_slice(itoa::Buffer::new().format(endpoint.version).as_bytes());
    }
}

/// A body inside a failed event: as JSON while it is short and fit for an event, else the start of its text. `false`
/// when it was cut.
fn write_excerpt_of_body(out: &mut Vec<u8>, submission: &Submission, body: &Body) -> bool {
    let decoded = &submission.content.decoded;
    if decoded.len() <= EXCERPT_MAX_BYTES && matches!(body, Body::Json(_) | Body::Form(_)) {
        let mut text = Vec::with_capacity(decoded.len() + 64);
        write_body(&mut text, body);
        let start = out.len();
        let fits = text.len() <= EXCERPT_MAX_BYTES;
        if fits && write_json(out, &String::from_utf8_lossy(&text)).is_ok() {
            return true;
        }
        out.truncate(start);
    }
    match body {
        Body::Empty => write_excerpt(out, "", EXCERPT_MAX_BYTES),
        Body::Text(text) => write_excerpt(out, text, EXCERPT_MAX_BYTES),
        Body::Json(_) | Body::Form(_) => {
            let head = &decoded[..decoded.len().min(EXCERPT_MAX_BYTES + 4)];
            let whole = write_excerpt(out, &String::from_utf8_lossy(head), EXCERPT_MAX_BYTES);
            whole && head.len() == decoded.len()
        }
    }
}

/// The start of a text as a JSON string, without U+0000. `false` when it was cut.
fn write_excerpt(out: &mut Vec<u8>, text: &str, max_bytes: usize) -> bool {
    let end = text.floor_char_boundary(max_bytes);
    let excerpt = &text[..end];
    if memchr::memchr(0, excerpt.as_bytes()).is_some() {
        write_str(out, &excerpt.replace('\0', "\u{FFFD}"));
    } else {
        write_str(out, excerpt);
    }
    end == text.len()
}

/// What an author's tools are told, without U+0000; the last ones are left out when it would be too much.
fn write_diagnostics(out: &mut Vec<u8>, diagnostics: &[Diagnostic]) {
    out.push(b'[');
    let start = out.len();
    for diagnostic in diagnostics.iter().take(DIAGNOSTICS_MAX) {
        let clean = |text: &str| text.replace('\0', "\u{FFFD}");
        let told = Diagnostic {
            message: clean(&diagnostic.message),
            help: diagnostic.help.as_deref().map(clean),
            ..*diagnostic
        };
        let text = serde_json::to_string(&told).unwrap_or_default();
        if out.len() + text.len() - start > DIAGNOSTICS_MAX_BYTES {
            break;
        }
        if out.len() > start {
            out.push(b',');
        }
        out.extend_from_slice(text.as_bytes());
    }
    out.push(b']');
}

/// What was cut, and the end of the payload.
fn write_cuts(out: &mut Vec<u8>, cut: &[&str]) {
    if cut.is_empty() {
        out.extend_from_slice(b",\"truncated\":false}");
        return;
    }
    out.extend_from_slice(b",\"truncated\":true,\"truncated_fields\":[");
    for (place, name) in cut.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write_str(out, name);
    }
    out.extend_from_slice(b"]}");
}
