//! Bodies of requests. In: events in hand, and a form. Out: bytes copied from texts that were made once, their media
//! type, and the headers a form wants. What a `CloudEvent` says beside its data is read out of the event: the event
//! itself is its data, whole, so no form loses anything.

use std::fmt::Write as _;
use std::ops::Range;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::event::EVENT_MAX_BYTES;
use crate::forward::load::{Form, Load};
use crate::forward::options::Shape;
use crate::json::{self, Node, Value, scan};
use crate::shelf::{Batch, batch_of};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");
const CLOUDEVENTS: HeaderValue = HeaderValue::from_static("application/cloudevents+json");
const CLOUDEVENTS_BATCH: HeaderValue =
    HeaderValue::from_static("application/cloudevents-batch+json");

/// What a header of a `CloudEvent` percent-encodes: all but U+0021 to U+007E, and of those `"` and `%`.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');
/// Bounds of reading an event that was checked when it was made.
const LIMITS: json::Limits = json::Limits { depth_max: 512, nodes_max: 2_000_000 };

/// What is sent.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) media: HeaderValue,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Message {
    /// A JSON text.
    pub(super) fn json(body: impl Into<Bytes>) -> Self {
        Self { media: JSON, headers: HeaderMap::new(), body: body.into() }
    }

    /// Events in a form.
    pub(super) fn write(load: &Load, range: Range<usize>, shape: Shape) -> Self {
        let mut headers = HeaderMap::new();
        let (media, body) = match shape {
            Shape::Array => (JSON, load.array(range, Form::Received)),
            Shape::Single => (JSON, plain(load, range)),
            Shape::Ndjson => (NDJSON, lines(load, range)),
            Shape::CloudEvents => (CLOUDEVENTS, cloudevents(load, range)),
            Shape::CloudEventsBatch => {
                let mut body = vec![b'['];
                body.append(&mut cloudevents(load, range));
                body.push(b']');
                (CLOUDEVENTS_BATCH, body)
            }
            Shape::CloudEventsBinary => {
                for place in range.clone() {
                    attribute_headers(load, place, &mut headers);
                }
                (JSON, plain(load, range))
            }
        };
        Self { media, headers, body: Bytes::from(body) }
    }
}

/// What names a message: one event's place and id, since two tenants may use one id; or a digest of several, which
/// comes with it, so that the same events have the same name again.
pub(super) fn message_id(load: &Load, range: Range<usize>) -> (String, Option<Batch>) {
    let placed = |place: usize| {
        let (kept, event) = load.at(place);
        (kept.workspace.unwrap_or(kept.account), event.id)
    };
    if range.len() == 1 {
        let (place, id) = placed(range.start);
        return (format!("{place}_{id}"), None);
    }
    let batch = batch_of(range.map(placed));
    let mut id = String::from("batch-");
    for byte in batch {
        let _ = write!(id, "{byte:02x}");
    }
    (id, Some(batch))
}

/// Whether an event's name is empty. The name follows the moment.
pub(super) fn is_nameless(json: &[u8]) -> bool {
    let at = memchr::memchr(b',', json).unwrap_or(json.len());
    json[at..].starts_with(b",\"event\":\"\",")
}

fn plain(load: &Load, range: Range<usize>) -> Vec<u8> {
    let mut out = Vec::new();
    for place in range {
        load.write(place, Form::Received, &mut out);
    }
    out
}

fn lines(load: &Load, range: Range<usize>) -> Vec<u8> {
    let mut out = Vec::new();
    for place in range {
        load.write(place, Form::Received, &mut out);
        out.push(b'\n');
    }
    out
}

/// Comma between them.
fn cloudevents(load: &Load, range: Range<usize>) -> Vec<u8> {
    let mut out = Vec::new();
    for place in range.clone() {
        if place > range.start {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"specversion\":\"1.0\"");
        with_attributes(load, place, |name, value, raw| {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            match raw {
                Some(raw) => out.extend_from_slice(raw.as_bytes()),
                None => json::write_str(&mut out, value),
            }
        });
        out.extend_from_slice(b",\"datacontenttype\":\"application/json\",\"data\":");
        load.write(place, Form::Received, &mut out);
        out.push(b'}');
    }
    out
}

fn attribute_headers(load: &Load, place: usize, headers: &mut HeaderMap) {
    headers.insert("ce-specversion", HeaderValue::from_static("1.0"));
    with_attributes(load, place, |name, value, _| {
        let encoded = utf8_percent_encode(value, ENCODED).to_string();
        let name = HeaderName::try_from(format!("ce-{name}"));
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(encoded)) {
            headers.insert(name, value);
        }
    });
}

/// Tells each attribute of an event: its name, its text, and its text in JSON where the event has it.
fn with_attributes(load: &Load, place: usize, mut tell: impl FnMut(&str, &str, Option<&str>)) {
    let (kept, event) = load.at(place);
    tell("id", &event.id.to_string(), None);
    let mut source = format!("/accounts/{}", kept.account);
    if let Some(workspace) = kept.workspace {
        let _ = write!(source, "/workspaces/{workspace}");
    }
    tell("source", &source, None);
    let mut nodes: Vec<Node> = Vec::new();
    let Ok(text) = std::str::from_utf8(&event.json) else { return };
    if text.len() > EVENT_MAX_BYTES || scan(text, LIMITS, &mut nodes).is_err() {
        return;
    }
    let root = Value::root(text, &nodes);
    let resource = root.get("resource").and_then(|resource| resource.get("prefect.resource.id"));
    for (name, value) in
        [("type", root.get("event")), ("time", root.get("occurred")), ("subject", resource)]
    {
        let Some(value) = value else { continue };
        // An attribute that is there has a text.
        if let Some(text) = value.text().filter(|text| !text.is_empty()) {
            tell(name, &text, Some(value.raw()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Time;
    use crate::event;
    use crate::id::Uuid;
    use crate::spool::Kept;

    fn load(names: &[&str]) -> Load {
        let kept = |(number, name): (usize, &&str)| {
            let id = Uuid::from_u128(number as u128 + 1);
            let labels = [("prefect.resource.id", "shop \"ü\" %1")];
            Kept {
                sequence: number as u64,
                account: Uuid::from_u128(7),
                workspace: (number == 0).then(|| Uuid::from_u128(8)),
                received: Time::from_micros(2_000_000),
                events: vec![event::compose(Time::default(), name, &labels, &[], "{}", id, None)],
                capture: None,
            }
        };
        Load::of(names.iter().enumerate().map(kept).collect())
    }

    fn values(shape: Shape, names: &[&str]) -> Vec<serde_json::Value> {
        let message = Message::write(&load(names), 0..names.len(), shape);
        match serde_json::from_slice(&message.body).expect("JSON") {
            serde_json::Value::Array(items) => items,
            other => vec![other],
        }
    }

    #[test]
    fn each_form_has_its_media_and_the_whole_event() {
        let whole = values(Shape::Array, &["a.b"]).remove(0);
        assert_eq!(whole.as_object().expect("an object").len(), 10);
        assert_eq!(values(Shape::Single, &["a.b"]), std::slice::from_ref(&whole));
        let lines = Message::write(&load(&["a", "b"]), 0..2, Shape::Ndjson);
        assert_eq!((lines.media, memchr::memchr_iter(b'\n', &lines.body).count()), (NDJSON, 2));
        for shape in [Shape::CloudEvents, Shape::CloudEventsBatch] {
            let event = values(shape, &["a.b"]).remove(0);
            assert_eq!(event["data"], whole);
            assert_eq!((&event["type"], &event["specversion"]), (&"a.b".into(), &"1.0".into()));
            assert_eq!(event["subject"], "shop \"ü\" %1");
            assert_eq!(event["id"], whole["id"]);
            assert_eq!(event["time"], whole["occurred"]);
            let source = event["source"].as_str().expect("a source");
            assert!(source.starts_with("/accounts/0000") && source.contains("/workspaces/0000"));
        }
        assert_eq!(values(Shape::CloudEventsBatch, &["a", "b", "c"]).len(), 3);
    }

    #[test]
    fn headers_of_a_binary_one_are_encoded() {
        let message = Message::write(&load(&["größe \n"]), 0..1, Shape::CloudEventsBinary);
        assert_eq!(message.media, JSON);
        assert_eq!(message.headers["ce-type"], "gr%C3%B6%C3%9Fe%20%0A");
        assert_eq!(message.headers["ce-subject"], "shop%20%22%C3%BC%22%20%251");
        assert_eq!(message.headers["ce-specversion"], "1.0");
        assert_eq!(message.headers.len(), 6);
    }

    #[test]
    fn an_empty_name_is_seen() {
        let event = |name| event::compose(Time::default(), name, &[], &[], "{}", Uuid::nil(), None);
        assert!(is_nameless(&event("").json) && !is_nameless(&event("a").json));
        assert!(!is_nameless(b"{}"));
    }

    #[test]
    fn a_message_is_named_by_what_is_in_it() {
        let load = load(&["a", "b", "c"]);
        let named = |place, id| format!("{}_{}", Uuid::from_u128(place), Uuid::from_u128(id));
        assert_eq!(message_id(&load, 0..1), (named(8, 1), None), "its workspace");
        assert_eq!(message_id(&load, 1..2), (named(7, 2), None), "its account");
        let ((all, batch), (some, _)) = (message_id(&load, 0..3), message_id(&load, 0..2));
        assert!(all != some && all.len() == 38, "{all}");
        let digest = u128::from_str_radix(&all["batch-".len()..], 16).expect("a digest");
        assert_eq!(batch, Some(digest.to_be_bytes()));
        assert_eq!((all, batch), message_id(&load, 0..3));
    }
}
