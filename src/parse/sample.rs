//! A captured request as JSON: the one form of test cases, drafts sent to the API, and replays (templates/README.md).
//! In: a text. Out: what a template sees of the request, secret headers taken away as the gateway does it; or the line
//! and key at fault.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::clock::Time;
use crate::json::{self, Document, Kind, Value};
use crate::request::{Body, SECRET_HEADERS};

/// Bounds of a request file: a body at its own bounds fits in.
const LIMITS: json::Limits = json::Limits { depth_max: 200, nodes_max: 1_000_000 };
/// Bounds of a body that stands in a file as JSON, with room for the file around it.
const BODY_LIMITS: json::Limits = json::Limits { depth_max: 199, nodes_max: 990_000 };
/// What a file may hold.
const KEYS: &[&str] =
    &["note", "method", "path", "query", "headers", "body", "body_json", "body_base64", "received"];

/// Why a text is no request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SampleError {
    /// It is no JSON, or too much of it.
    #[error("{line}:{column}: not a request file: {what}")]
    NotJson { line: usize, column: usize, what: String },
    /// One of its members is not what it should be.
    #[error("{line}: {key}: {what}")]
    Key { line: usize, key: String, what: String },
}

impl SampleError {
    /// The line at fault.
    #[must_use]
    pub fn line(&self) -> usize {
        match self {
            Self::NotJson { line, .. } | Self::Key { line, .. } => *line,
        }
    }
}

/// A request as a file holds it. Its secret headers are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    pub method: Method,
    pub path: Option<String>,
    pub query: Option<String>,
    pub headers: HeaderMap,
    /// The body's bytes; of `body_json` the very text that stands in the file.
    pub body: Bytes,
    pub received: Option<Time>,
    pub note: Option<String>,
}

/// A POST with nothing in it.
impl Default for Sample {
    fn default() -> Self {
        Self {
            method: Method::POST,
            path: None,
            query: None,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            received: None,
            note: None,
        }
    }
}

impl Sample {
    /// Reads a text.
    ///
    /// # Errors
    /// The first line and key that are not what they should be.
    pub fn parse(text: &str) -> Result<Self, SampleError> {
        let document =
            Document::parse(Bytes::copy_from_slice(text.as_bytes()), LIMITS).map_err(|fault| {
                let (line, column) = place(text, fault.at);
                let what = fault.what.to_string();
                SampleError::NotJson { line, column, what }
            })?;
        let at = |offset: usize, key: &str, what: String| SampleError::Key {
            line: place(text, offset).0,
            key: key.to_owned(),
            what,
        };
        let root = document.root();
        if root.kind() != Kind::Object {
            let what = "a request is an object like {\"method\": \"POST\", \"body_json\": {}}";
            return Err(at(root.start(), "the file", what.to_owned()));
        }
        let mut request = Self::default();
        let mut body_key: Option<&str> = None;
        for (key, value) in root.members() {
            let fault = |what: String| at(value.start(), &key, what);
            request.take(&key, value).map_err(fault)?;
            let Some(known) = KEYS.iter().find(|known| known.starts_with("body") && **known == key)
            else {
                continue;
            };
            if let Some(earlier) = body_key.replace(known) {
                return Err(fault(format!("there is `{earlier}` already; a request has one body")));
            }
        }
        for secret in SECRET_HEADERS {
            request.headers.remove(secret);
        }
        Ok(request)
    }

    /// One member of the file.
    fn take(&mut self, key: &str, value: Value<'_>) -> Result<(), String> {
        match key {
            "note" => self.note = Some(text_of(value)?),
            "method" => {
                let text = text_of(value)?;
                let method = text.parse().map_err(|_| format!("`{text}` is no method"))?;
                self.method = method;
            }
            "path" => self.path = Some(text_of(value)?),
            "query" => self.query = Some(text_of(value)?),
            "headers" => self.headers = headers_of(value)?,
            "body" => self.body = text_of(value)?.into(),
            "body_json" => self.body = Bytes::copy_from_slice(value.raw().as_bytes()),
            "body_base64" => {
                let bytes = BASE64.decode(text_of(value)?.as_bytes());
                self.body = bytes.map_err(|fault| format!("not base64: {fault}"))?.into();
            }
            "received" => {
                let text = text_of(value)?;
                let moment = Time::parse(&text);
                self.received =
                    Some(moment.ok_or_else(|| format!("`{text}` is no moment of RFC 3339"))?);
            }
            _ => return Err(unknown(key)),
        }
        Ok(())
    }

    /// The text of a file that reads as this request.
    pub fn text(&self) -> String {
        let mut lines = Vec::new();
        let mut add = |key: &str, value: &str| lines.push(format!("  \"{key}\": {value}"));
        let string = |text: &str| serde_json::Value::from(text).to_string();
        for (key, value) in [("note", &self.note), ("path", &self.path), ("query", &self.query)] {
            if let Some(text) = value {
                add(key, &string(text));
            }
        }
        add("method", &string(self.method.as_str()));
        if let Some(moment) = self.received {
            add("received", &string(&moment.to_string()));
        }
        let mut headers = serde_json::Map::new();
        for name in self.headers.keys() {
            let values = self.headers.get_all(name).iter();
            let texts: Vec<_> = values
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
                .collect();
            let value = if let [only] = &texts[..] { only.clone().into() } else { texts.into() };
            headers.insert(name.to_string(), value);
        }
        add("headers", &serde_json::Value::from(headers).to_string());
        match std::str::from_utf8(&self.body) {
            Ok("") => {}
            // Blanks around it belong to what was sent.
            Ok(text)
                if text.trim().len() == text.len()
                    && Document::parse(self.body.clone(), BODY_LIMITS).is_ok() =>
            {
                add("body_json", text);
            }
            Ok(text) => add("body", &string(text)),
            Err(_) => add("body_base64", &string(&BASE64.encode(&self.body))),
        }
        format!("{{\n{}\n}}\n", lines.join(",\n"))
    }

    /// The body as a template sees it.
    pub fn body(&self, limits: json::Limits) -> Result<Body, json::Fault> {
        super::of_request(&self.method, &self.headers, self.body.clone(), limits)
    }
}

fn text_of(value: Value<'_>) -> Result<String, String> {
    let text = value.text().ok_or_else(|| format!("must be a string, not {}", value.raw()))?;
    Ok(text.into_owned())
}

/// Headers: each value a string, or an array of strings when the header was sent more than once.
fn headers_of(value: Value<'_>) -> Result<HeaderMap, String> {
    if value.kind() != Kind::Object {
        return Err(format!("must be an object of strings, not {}", value.raw()));
    }
    let mut headers = HeaderMap::with_capacity(value.len().min(1024));
    for (name, value) in value.members() {
        let parsed: HeaderName =
            name.parse().map_err(|_| format!("`{name}` is no name of a header"))?;
        let mut add = |value: Value<'_>| {
            let text = text_of(value).map_err(|what| format!("{name}: {what}"))?;
            let value = HeaderValue::from_str(&text)
                .map_err(|_| format!("{name}: a header's value has no control characters"))?;
            headers
                .try_append(&parsed, value)
                .map(drop)
                .map_err(|_| format!("{name}: too many headers"))
        };
        if value.kind() == Kind::Array {
            value.items().try_for_each(add)?;
        } else {
            add(value)?;
        }
    }
    Ok(headers)
}

fn unknown(key: &str) -> String {
    let near = KEYS.iter().map(|known| (strsim::osa_distance(key, known), known)).min();
    match near {
        Some((distance, known)) if distance <= 2 => {
            format!("no key of a request file; did you mean `{known}`?")
        }
        _ => format!("no key of a request file; those are {}", KEYS.join(", ")),
    }
}

/// Line and column of a byte, from 1; the column in characters.
pub(crate) fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset)];
    let start = before.rfind('\n').map_or(0, |place| place + 1);
    (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        Sample::parse(text).expect_err(text).to_string()
    }

    #[test]
    fn a_request_is_what_a_template_sees() {
        let text = r#"{
            "note": "n", "method": "PUT", "path": "/p", "query": "a=1",
            "received": "2026-01-02T03:04:05Z",
            "headers": {"X-A": ["1", "2"], "Authorization": "Bearer s", "cookie": "c"},
            "body_json": {"n": 123456789012345678901234567890, "n": 1.50}
        }"#;
        let request = Sample::parse(text).expect(text);
        assert_eq!(request.method, Method::PUT);
        assert_eq!(request.headers.get_all("x-a").iter().count(), 2);
        assert_eq!(request.headers.keys_len(), 1, "secret headers are gone");
        let raw = r#"{"n": 123456789012345678901234567890, "n": 1.50}"#;
        assert_eq!(request.body, raw, "every digit and every doubled key stays");
        let body = request.body(LIMITS).expect("a body");
        assert!(matches!(body, Body::Json(_)));
        let again = Sample::parse(&request.text()).expect("a request file");
        assert_eq!(again, request);
        let seen = Sample { method: Method::GET, ..request }.body(LIMITS);
        assert!(matches!(seen, Ok(Body::Empty)), "a GET has no body");
    }

    #[test]
    fn a_body_at_the_bounds_of_a_file_is_read_again() {
        for depth in [198, 199, 200, 201] {
            let body = Bytes::from("[".repeat(depth) + &"]".repeat(depth));
            let request = Sample { body, ..Sample::default() };
            assert_eq!(Sample::parse(&request.text()), Ok(request), "{depth} levels");
        }
    }

    #[test]
    fn bodies_come_as_text_json_or_base64() {
        let body = |text: &str| Sample::parse(text).expect(text).body;
        assert_eq!(body(r#"{"body": "a=1\n"}"#), "a=1\n");
        assert_eq!(body(r#"{"body_json": null}"#), "null");
        assert_eq!(body(r#"{"body_base64": "/wA="}"#), &b"\xff\0"[..]);
        assert_eq!(body("{}"), "");
    }

    #[test]
    fn a_fault_names_file_line_and_key() {
        let cases = [
            ("{\n  \"method\": 5}", "2: method: must be a string, not 5"),
            ("{\"bdy\": 1}", "1: bdy: no key of a request file; did you mean `body`?"),
            (
                "{\n\"body\": \"\",\n\"body_json\": 1}",
                "3: body_json: there is `body` already; a request has one body",
            ),
            ("{\"headers\": {\"a b\": \"\"}}", "1: headers: `a b` is no name of a header"),
            ("{\"headers\": {\"a\": 1}}", "1: headers: a: must be a string, not 1"),
            ("{\"received\": \"now\"}", "1: received: `now` is no moment of RFC 3339"),
            (
                "[]",
                "1: the file: a request is an object like {\"method\": \"POST\", \"body_json\": {}}",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(fault(text), expected);
        }
        assert!(fault("{\n  \"a\": }").starts_with("2:8: not a request file: expected"));
    }
}
