//! What a template sees: `method`, `headers`, `body`. In: a request as it was read. Out: the engine's root value,
//! with only what the template names. Never `Authorization`, never the body as a built tree.

use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use minijinja::Value;
use minijinja::value::{Enumerator, Object};

use super::budget;
use super::fold::{Names, ROOT};
use super::lazy;
use super::{Context, Limits, More};
use crate::json::{self, Document};
use crate::request::{Body, decode};

/// Most fields of a query.
const FIELDS_MAX: usize = 200;
/// The name of the request's body.
pub(super) const BODY: &str = "body";
/// How the name of a part of it begins.
const PATH: &str = "body.";

/// The root of a rendering of a request.
#[derive(Debug)]
struct Request {
    method: Value,
    headers: Value,
    body: Value,
    /// What only extensions show, by name.
    more: Vec<(&'static str, Value)>,
}

impl Object for Request {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match key {
            BODY => Some(self.body.clone()),
            "headers" => Some(self.headers.clone()),
            "method" => Some(self.method.clone()),
            ROOT => Some(Value::from_dyn_object(Arc::clone(self))),
            _ => {
                let more = self.more.iter().find(|(name, _)| *name == key);
                more.map(|(_, value)| value.clone()).or_else(|| part(&self.body, key))
            }
        }
    }
}

/// `body.a.b`, looked up at once: no value is made of what only leads there.
fn part(body: &Value, key: &str) -> Option<Value> {
    let path = key.strip_prefix(PATH)?;
    match body.downcast_object_ref::<lazy::Node>() {
        Some(node) => node.part(path),
        // A form is flat, and text has no parts.
        None => body.as_object()?.get_value_by_str(path),
    }
}

/// The root for a request; what the template does not name is left out.
pub(super) fn request(context: &Context<'_>, names: Names, limits: &Limits) -> Value {
    let absent = || Value::UNDEFINED;
    let headers = if names.headers { Headers::of(context.headers) } else { absent() };
    let body = if names.body { body(context.body) } else { absent() };
    let more = if limits.extensions { extensions(&context.more) } else { Vec::new() };
    let method = Value::from(context.method.as_str());
    Value::from_object(Request { method, headers, body, more })
}

fn extensions(more: &More<'_>) -> Vec<(&'static str, Value)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for part in more.query.split('&').filter(|part| !part.is_empty()).take(FIELDS_MAX) {
        let (name, text) = part.split_once('=').unwrap_or((part, ""));
        let (name, text) = (decode(name.as_bytes()), decode(text.as_bytes()));
        match fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, last)) => *last = text,
            None => fields.push((name, text)),
        }
    }
    let now = more.received.map_or(Value::UNDEFINED, |moment| Value::from(moment.to_string()));
    vec![
        ("query", Value::from_object(Fields(fields))),
        ("path", Value::from(more.path)),
        ("webhook", Value::from_pairs([("name", more.webhook)])),
        ("now", now),
    ]
}

fn body(body: &Body) -> Value {
    match body {
        Body::Empty => Value::from(""),
        Body::Json(document) => lazy::value(document, document.root()),
        Body::Form(fields) => Value::from_object(Fields(fields.clone())),
        Body::Text(text) => Value::from(&**text),
    }
}

/// The root for names given as JSON: `headers` becomes the mapping templates know.
pub(super) fn names(document: &Arc<Document>) -> Value {
    Value::from_object(Given(lazy::Node { document: Arc::clone(document), node: 0 }))
}

/// Names given as a JSON object.
#[derive(Debug)]
struct Given(lazy::Node);

impl Object for Given {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        if key == ROOT {
            return Some(Value::from_dyn_object(Arc::clone(self)));
        }
        let Some(found) = self.0.json().get(key) else {
            let body = self.0.json().get(BODY)?;
            return part(&lazy::value(&self.0.document, body), key);
        };
        if key == "headers" && found.kind() == json::Kind::Object {
            let lines = found.members().map(|(name, value)| {
                let text = value.text().map_or_else(|| value.raw().to_owned(), Into::into);
                (name.to_lowercase(), text)
            });
            return Some(Headers::from_lines(lines));
        }
        Some(lazy::value(&self.0.document, found))
    }
}

/// The root that shows an event alone.
pub(super) fn event(document: &Arc<Document>) -> Value {
    Value::from_object(Told(lazy::value(document, document.root())))
}

/// An event under its name.
#[derive(Debug)]
struct Told(Value);

impl Object for Told {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match key {
            "event" => Some(self.0.clone()),
            ROOT => Some(Value::from_dyn_object(Arc::clone(self))),
            _ => None,
        }
    }
}

/// A form's fields: a flat dict of text.
#[derive(Debug)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Names and values, without a search for each.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (Value, Value)> {
        self.0.iter().map(|(name, value)| (Value::from(&**name), Value::from(&**value)))
    }
}

impl Object for Fields {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        if let Err(over) = budget::look(self.0.len() / 8 + 1) {
            return Some(Value::from(over));
        }
        let found = self.0.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| Value::from(&**value))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.iter().map(|(name, _)| Value::from(&**name)).collect())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.0.len())
    }
}

/// Headers: names in lower case and in the order of arrival, found in any case; repeated ones joined by `, `.
pub(super) struct Headers {
    /// Names and values, one behind the other.
    text: String,
    lines: Vec<Line>,
}

/// Where a header's name starts, where it ends and its value starts, where that ends.
#[derive(Clone, Copy)]
struct Line {
    start: u32,
    between: u32,
    end: u32,
}

/// Bytes of a header, as a first guess.
const LINE_BYTES: usize = 48;

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.lines()).finish()
    }
}

impl Headers {
    fn of(map: &HeaderMap) -> Value {
        let text = String::with_capacity(map.len() * LINE_BYTES);
        let mut headers = Self { text, lines: Vec::with_capacity(map.len()) };
        let mut last = None;
        for (name, value) in map.iter().filter(|(name, _)| **name != AUTHORIZATION) {
            let value = String::from_utf8_lossy(value.as_bytes());
            // The values of one name come one after the other.
            if last == Some(name) {
                headers.join(&value);
            } else {
                headers.push(name.as_str(), &value);
            }
            last = Some(name);
        }
        Value::from_object(headers)
    }

    fn from_lines(given: impl Iterator<Item = (String, String)>) -> Value {
        let mut lines: Vec<(String, String)> = Vec::new();
        for (name, text) in given.filter(|(name, _)| name != AUTHORIZATION.as_str()) {
            match lines.iter_mut().find(|(known, _)| *known == name) {
                Some((_, last)) => *last = text,
                None => lines.push((name, text)),
            }
        }
        let mut headers = Self { text: String::new(), lines: Vec::with_capacity(lines.len()) };
        for (name, text) in &lines {
            headers.push(name, text);
        }
        Value::from_object(headers)
    }

    fn push(&mut self, name: &str, value: &str) {
        let start = self.text.len() as u32;
        self.text.push_str(name);
        let between = self.text.len() as u32;
        self.text.push_str(value);
        self.lines.push(Line { start, between, end: self.text.len() as u32 });
    }

    /// One more value for the last name.
    fn join(&mut self, value: &str) {
        self.text.push_str(", ");
        self.text.push_str(value);
        if let Some(line) = self.lines.last_mut() {
            line.end = self.text.len() as u32;
        }
    }

    /// Names and values.
    pub(super) fn lines(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.lines.iter().map(|line| {
            let (start, between, end) =
                (line.start as usize, line.between as usize, line.end as usize);
            (&self.text[start..between], &self.text[between..end])
        })
    }

    /// A header's value.
    pub(super) fn find(&self, name: &str) -> Option<&str> {
        self.lines().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl Object for Headers {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.find(key).map(Value::from)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.lines().map(|(name, _)| Value::from(name)).collect())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.lines.len())
    }
}
