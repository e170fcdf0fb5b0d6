//! A kept request read back. In: a frame of the spool. Out: the request as templates see it and files hold it, and what
//! became of it. A frame that makes no sense is no request, never a panic.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::accept;
use crate::feed::Outcome;
use crate::id::Uuid;
use crate::parse::redact;
use crate::parse::sample::Sample;
use crate::request::{Body, HIDDEN_PATH};
use crate::seal::SealError;
use crate::spool::{Digest, Kept, Late, Marks, Seal, of_failed};

/// No time that is signed counts for longer; where none is, what was signed is known for that long.
const SIGNED_SECONDS: i64 = 86_400;

/// A request and what became of it.
pub(super) struct Captured {
    /// The received event's id.
    pub(super) id: Uuid,
    /// The webhook that received it.
    pub(super) webhook: Uuid,
    /// The request, its body decoded.
    pub(super) sample: Sample,
    /// What is to be told of how it is kept.
    marks: Marks,
    /// Why query, sender and body are not to be read.
    pub(super) lost: Option<SealError>,
    /// The event that followed, the user's or a failed one.
    event_id: Option<Uuid>,
    handshake: Option<String>,
    /// What the failed event says.
    failure: Option<Failure>,
    /// What it would have been known by: by its webhook's rule, and by what was signed.
    keys: [Option<Digest>; 2],
}

/// What a failed event says of the failure.
#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    error: Value,
    #[serde(default)]
    error_type: Value,
    #[serde(default)]
    line: Value,
}

#[derive(Deserialize)]
struct Told<P> {
    payload: P,
}

/// What a received event says.
#[derive(Deserialize)]
struct Received {
    method: String,
    headers: Map<String, Value>,
    event_id: Option<Uuid>,
    handshake: Option<String>,
}

impl Captured {
    /// Reads a frame.
    pub(super) fn of(kept: &Kept, body_max_bytes: u64) -> Option<Self> {
        let (capture, event) = (kept.capture.as_ref()?, kept.events.first()?);
        let received: Told<Received> = serde_json::from_slice(&event.json).ok()?;
        let Received { method, headers, event_id, handshake } = received.payload;
        let headers = read_headers(&headers);
        let method: Method = method.parse().ok()?;
        let marks = capture.sender.map(|sender| sender.marks).unwrap_or_default();
        let lost = match &capture.seal {
            Seal::Open => None,
            Seal::Closed => Some(SealError::Broken),
            Seal::Lost(fault) => Some(fault.clone()),
        };
        // It was decoded when it came: what does not any more is told as it came.
        let as_kept = if lost.is_none() { capture.body.clone() } else { Bytes::new() };
        let decoded = if marks.has(Marks::DECODED) {
            as_kept
        } else {
            accept::decode(&headers, &as_kept, body_max_bytes).unwrap_or(as_kept)
        };
        let query = String::from_utf8_lossy(&capture.query).into_owned();
        let sample = Sample {
            method,
            path: Some(HIDDEN_PATH.to_owned()),
            query: Some(query).filter(|query| !query.is_empty()),
            headers,
            body: decoded,
            received: Some(kept.received),
            note: None,
        };
        let is_failed = Outcome::read(&kept.events) == Outcome::Failed;
        let failed = kept.events.get(1).filter(|_| is_failed);
        let failure = failed.and_then(|event| serde_json::from_slice(&event.json).ok());
        let failure = failure.map(|told: Told<Failure>| told.payload);
        let (id, webhook) = (event.id, capture.webhook);
        let keys =
            [capture.key, capture.signed].map(|key| key.filter(|_| is_failed).map(of_failed));
        Some(Self { id, webhook, sample, marks, lost, event_id, handshake, failure, keys })
    }

    /// The id of the event that its template made of it.
    pub(super) fn born(&self) -> Option<Uuid> {
        self.event_id.filter(|_| self.failure.is_none())
    }

    /// How another one is known that is the same, when it came to no event and is to come to one: within the window of
    /// its webhook's rule, or a day for what was signed.
    pub(super) fn late(&self, window_seconds: i64) -> Option<Late> {
        let windows = [window_seconds, SIGNED_SECONDS];
        let keys = self.keys.into_iter().zip(windows);
        let keys = keys.filter_map(|(key, seconds)| Some(((self.webhook, key?), seconds)));
        let keys: Vec<_> = keys.collect();
        let received = self.sample.received.unwrap_or_default();
        Some(Late { id: self.id, received, keys }).filter(|late| !late.keys.is_empty())
    }

    /// Whether nothing of its body was kept, though it had one.
    pub(super) fn is_withheld(&self) -> bool {
        self.marks.has(Marks::WITHHELD)
    }

    /// Whether it is not kept as it came.
    pub(super) fn is_redacted(&self) -> bool {
        self.marks.has(Marks::REDACTED)
    }

    /// What is not kept of it, by its webhook's rules; nothing when all is.
    pub(super) fn redaction(&self) -> Option<Value> {
        if !self.is_redacted() {
            return None;
        }
        let body = super::again::body(self).unwrap_or(Body::Empty);
        let query = self.sample.query.as_deref().unwrap_or_default();
        let places = redact::places(&self.sample.headers, query, &body);
        Some(json!({ "places": places, "body_withheld": self.is_withheld() }))
    }

    /// Adds what became of it.
    pub(super) fn tell(&self, told: &mut Value) {
        told["event_id"] = self.event_id.map_or(Value::Null, |id| id.to_string().into());
        if let Some(redaction) = self.redaction() {
            told["redacted"] = redaction;
        }
        if let Some(lost) = &self.lost {
            told["sealed"] = super::again::unsealed(lost).into();
        }
        if let Some(handshake) = &self.handshake {
            told["handshake"] = handshake.as_str().into();
        }
        if let Some(failure) = &self.failure {
            told["error"] = failure.error.clone();
            told["error_type"] = failure.error_type.clone();
            told["line"] = failure.line.clone();
        }
    }
}

/// Headers as a received event tells them; the values of a repeated one are joined.
fn read_headers(told: &Map<String, Value>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(told.len());
    for (name, value) in told {
        let name = name.parse::<HeaderName>().ok();
        let value = value.as_str().and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok());
        if let Some((name, value)) = name.zip(value) {
            headers.append(name, value);
        }
    }
    headers
}
