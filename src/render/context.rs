//! What a template sees: `method`, `headers`, `body`. In: a request as it was read. Out: the engine's root value,
//! with only what the template names. Never `Authorization`, never the body as a built tree.

use std::sync::Arc;

use http::HeaderMap;
use minijinja::Value;
use minijinja::value::{Enumerator, Object};

use super::Context;
use super::budget;
use super::fold::{Names, ROOT};
use super::lazy;
use crate::json::{self, Document};
use crate::request::Body;

/// The root of a rendering of a request.
#[derive(Debug)]
struct Request {
    method: Value,
    headers: Value,
    body: Value,
}

impl Object for Request {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match key {
            "body" => Some(self.body.clone()),
            "headers" => Some(self.headers.clone()),
            "method" => Some(self.method.clone()),
            ROOT => Some(Value::from_dyn_object(Arc::clone(self))),
            _ => None,
        }
    }
}

/// The root for a request; what the template does not name is left out.
pub(super) fn request(context: &Context<'_>, names: Names) -> Value {
    let absent = || Value::UNDEFINED;
    let headers = if names.headers { Headers::of(context.headers) } else { absent() };
    let body = if names.body { body(context.body) } else { absent() };
    Value::from_object(Request { method: Value::from(context.method.as_str()), headers, body })
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
        let found = self.0.json().get(key)?;
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

/// A form's fields: a flat dict of text.
#[derive(Debug)]
struct Fields(Vec<(String, String)>);

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
#[derive(Debug)]
pub(super) struct Headers {
    lines: Vec<(String, String)>,
}

impl Headers {
    fn of(map: &HeaderMap) -> Value {
        let mut lines: Vec<(String, String)> = Vec::with_capacity(map.keys_len());
        for name in map.keys().filter(|name| **name != http::header::AUTHORIZATION) {
            let mut values = map.get_all(name).iter();
            let text =
                |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
            let mut joined = values.next().map(text).unwrap_or_default();
            for value in values {
                joined.push_str(", ");
                joined.push_str(&text(value));
            }
            lines.push((name.as_str().to_owned(), joined));
        }
        Value::from_object(Self { lines })
    }

    fn from_lines(given: impl Iterator<Item = (String, String)>) -> Value {
        let mut lines: Vec<(String, String)> = Vec::new();
        for (name, text) in given.filter(|(name, _)| name != "authorization") {
            match lines.iter_mut().find(|(known, _)| *known == name) {
                Some((_, last)) => *last = text,
                None => lines.push((name, text)),
            }
        }
        Value::from_object(Self { lines })
    }

    /// Names and values.
    pub(super) fn lines(&self) -> &[(String, String)] {
        &self.lines
    }

    /// A header's value.
    pub(super) fn find(&self, name: &str) -> Option<&str> {
        let found = self.lines.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| &**value)
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
        Enumerator::Values(self.lines.iter().map(|(name, _)| Value::from(&**name)).collect())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.lines.len())
    }
}
