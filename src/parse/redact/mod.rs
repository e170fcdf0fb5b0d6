//! What is not kept of a request. In: rules that an owner made, and the parts of a request. Out: the parts with
//! [`REDACTED`] where something stood. Bytes are cut and spliced, never written anew: all else stays as it was sent.

mod path;
mod secret;

use std::ops::Range;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};

use super::{Body, is_token, of_request};
use crate::json::{self, Document, Kind, Limits};
use crate::request::decode;
use path::Path;
pub use path::{PATH_MAX_BYTES, PathFault, STEPS_MAX};
pub use secret::Secrets;

/// What stands where something was cut.
pub const REDACTED: &str = "[redacted]";
/// The same in a query or a form.
const REDACTED_ENCODED: &[u8] = b"%5Bredacted%5D";
/// Most names, or paths, of one part.
pub const RULES_MAX: usize = 32;
/// Longest name in a query.
const NAME_MAX_BYTES: usize = 256;
/// Most places that are told of one request.
const PLACES_MAX: usize = 20;

/// Which part of a request a rule is about.
const PARTS: [&str; 3] = ["headers", "body", "query"];

/// Why rules are none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleFault {
    /// It is no object of lists of texts.
    #[error("it is an object of headers, body and query, each a list of texts")]
    Shape,
    /// There are too many of them.
    #[error("{part} has at most {RULES_MAX} entries")]
    TooMany { part: &'static str },
    /// No header is called that.
    #[error("headers: {name:?} is no name of a header")]
    Header { name: String },
    /// Without that header nobody can read the request again.
    #[error("headers: {name} is needed to read the request again")]
    Needed { name: String },
    /// A name is empty or too long.
    #[error("query: {name:?} should have 1 to {NAME_MAX_BYTES} bytes")]
    Name { name: String },
    /// A path is none.
    #[error("body: {path:?}: {fault}")]
    Path { path: String, fault: PathFault },
}

/// What is not kept of the requests of a webhook.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    headers: Vec<HeaderName>,
    body: Vec<Path>,
    query: Vec<Box<str>>,
    /// Nobody knows what they say: then they say all.
    is_strictest: bool,
}

/// What is kept of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keep {
    /// All of it: no rule found anything.
    Same,
    /// This.
    Cut(Bytes),
    /// Nothing: it could not be read, so nobody knows what in it is meant.
    Withheld,
}

impl Rules {
    /// Reads rules as they were sent or kept.
    ///
    /// # Errors
    /// [`RuleFault`], which names the part and the text.
    pub fn read(said: &Value) -> Result<Self, RuleFault> {
        let said = said.as_object().ok_or(RuleFault::Shape)?;
        if said.keys().any(|part| !PARTS.contains(&&**part)) {
            return Err(RuleFault::Shape);
        }
        let [headers, body, query] = PARTS.map(|part| texts(said.get(part), part));
        let header = |name: &str| {
            let read = name.parse::<HeaderName>();
            let name = read.map_err(|_| RuleFault::Header { name: name.to_owned() })?;
            if is_needed(&name) {
                return Err(RuleFault::Needed { name: name.to_string() });
            }
            Ok(name)
        };
        let path = |path: &str| {
            Path::read(path).map_err(|fault| RuleFault::Path { path: path.to_owned(), fault })
        };
        let name = |name: &str| match name.len() {
            1..=NAME_MAX_BYTES => Ok(name.into()),
            _ => Err(RuleFault::Name { name: name.to_owned() }),
        };
        Ok(Self {
            headers: headers?.into_iter().map(header).collect::<Result<_, _>>()?,
            body: body?.into_iter().map(path).collect::<Result<_, _>>()?,
            query: query?.into_iter().map(name).collect::<Result<_, _>>()?,
            is_strictest: false,
        })
    }

    /// Rules by which nothing is kept of a request but its names: in place of some that cannot be read.
    #[must_use]
    pub fn strictest() -> Self {
        Self { is_strictest: true, ..Self::default() }
    }

    /// Whether there is no rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The rules in their one form.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let headers: Vec<&str> = self.headers.iter().map(HeaderName::as_str).collect();
        let body: Vec<&str> = self.body.iter().map(Path::text).collect();
        json!({ "headers": headers, "body": body, "query": self.query })
    }

    /// Cuts the values of headers; whether there were any.
    pub fn cut_headers(&self, headers: &mut HeaderMap) -> bool {
        let mut is_cut = false;
        let rest = headers.keys().filter(|name| self.is_strictest && !is_needed(name));
        let rest: Vec<HeaderName> = rest.cloned().collect();
        for name in self.headers.iter().chain(&rest) {
            if headers.contains_key(name) {
                headers.insert(name.clone(), HeaderValue::from_static(REDACTED));
                is_cut = true;
            }
        }
        is_cut
    }

    /// The query without the values of names; nothing when none of them is there.
    #[must_use]
    pub fn cut_query(&self, query: &str) -> Option<String> {
        let is_meant =
            |name: &str| self.is_strictest || self.query.iter().any(|one| **one == *name);
        let cut = cut_fields(query.as_bytes(), is_meant);
        cut.and_then(|cut| String::from_utf8(cut).ok())
    }

    /// What is to be kept of a decoded body.
    #[must_use]
    pub fn cut_body(
        &self,
        method: &Method,
        headers: &HeaderMap,
        body: &Bytes,
        limits: Limits,
    ) -> Keep {
        if body.is_empty() || (self.body.is_empty() && !self.is_strictest) {
            return Keep::Same;
        }
        if self.is_strictest {
            return Keep::Withheld;
        }
        match of_request(method, headers, body.clone(), limits) {
            Ok(Body::Json(document)) => {
                let mut found = Vec::new();
                self.body.iter().for_each(|path| path.find(document.root(), &mut found));
                // What is signed cannot be cut without becoming something else.
                if !found.is_empty() && is_token(headers, body, limits) {
                    return Keep::Withheld;
                }
                splice(body, found).map_or(Keep::Same, Keep::Cut)
            }
            Ok(Body::Form(_)) => {
                let is_meant = |name: &str| self.body.iter().any(|path| path.means_field(name));
                cut_fields(body, is_meant).map_or(Keep::Same, |cut| Keep::Cut(cut.into()))
            }
            Ok(Body::Empty | Body::Text(_)) | Err(_) => Keep::Withheld,
        }
    }
}

/// Whether nobody can read a request again without that header.
fn is_needed(name: &HeaderName) -> bool {
    name == CONTENT_TYPE || name == CONTENT_ENCODING
}

fn texts<'a>(said: Option<&'a Value>, part: &'static str) -> Result<Vec<&'a str>, RuleFault> {
    let listed = match said {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(said) => said.as_array().ok_or(RuleFault::Shape)?,
    };
    if listed.len() > RULES_MAX {
        return Err(RuleFault::TooMany { part });
    }
    listed.iter().map(|text| text.as_str().ok_or(RuleFault::Shape)).collect()
}

/// A text with [`REDACTED`] as a JSON string in place of each range; nothing when there is none.
fn splice(text: &[u8], mut found: Vec<Range<usize>>) -> Option<Bytes> {
    if found.is_empty() {
        return None;
    }
    found.sort_unstable_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    // Values nest and never overlap: one that begins in front of where we are lies in one that was cut.
    for range in found {
        if range.start >= at {
            out.extend_from_slice(&text[at..range.start]);
            json::write_str(&mut out, REDACTED);
            at = range.end;
        }
    }
    out.extend_from_slice(&text[at..]);
    Some(out.into())
}

/// A query or form without the values of those names; nothing when none of them is there.
fn cut_fields(text: &[u8], is_meant: impl Fn(&str) -> bool) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut is_cut = false;
    for (place, part) in text.split(|&byte| byte == b'&').enumerate() {
        if place > 0 {
            out.push(b'&');
        }
        let end = memchr::memchr(b'=', part).unwrap_or(part.len());
        if !part.is_empty() && is_meant(&decode(&part[..end])) {
            is_cut = true;
            out.extend_from_slice(&part[..end]);
            out.push(b'=');
            out.extend_from_slice(REDACTED_ENCODED);
        } else {
            out.extend_from_slice(part);
        }
    }
    is_cut.then_some(out)
}

/// Where [`REDACTED`] stands in what is kept of a request, the first of it.
#[must_use]
pub fn places(headers: &HeaderMap, query: &str, body: &Body) -> Vec<String> {
    let mut places = Vec::new();
    let cut = headers.iter().filter(|(_, value)| value.as_bytes() == REDACTED.as_bytes());
    places.extend(cut.map(|(name, _)| format!("header {name}")));
    let fields = query.as_bytes().split(|&byte| byte == b'&');
    let cut = fields.filter_map(|part| part.strip_suffix(REDACTED_ENCODED)?.strip_suffix(b"="));
    places.extend(cut.map(|name| format!("query {}", decode(name))));
    match body {
        Body::Form(fields) => {
            let cut = fields.iter().filter(|(_, value)| value == REDACTED);
            places.extend(cut.map(|(name, _)| format!("body {name}")));
        }
        Body::Json(document) => find_places(document, &mut places),
        Body::Empty | Body::Text(_) => {}
    }
    places.truncate(PLACES_MAX);
    places
}

fn find_places(document: &Document, places: &mut Vec<String>) {
    let mut open = vec![(document.root(), "body $".to_owned())];
    while let Some((value, path)) = open.pop() {
        if places.len() >= PLACES_MAX {
            return;
        }
        match value.kind() {
            Kind::Plain if value.text().is_some_and(|text| text == REDACTED) => places.push(path),
            Kind::Object => {
                let from = open.len();
                let inner = value.members().filter(|(_, value)| value.raw().contains(REDACTED));
                open.extend(inner.map(|(name, value)| (value, format!("{path}.{name}"))));
                open[from..].reverse();
            }
            Kind::Array => {
                let from = open.len();
                let inner = value.items().enumerate();
                let inner = inner.filter(|(_, value)| value.raw().contains(REDACTED));
                open.extend(inner.map(|(at, value)| (value, format!("{path}[{at}]"))));
                open[from..].reverse();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { depth_max: 10, nodes_max: 1000 };
    const FORM: &str = "application/x-www-form-urlencoded";

    fn rules(body: &[&str]) -> Rules {
        Rules::read(&json!({ "body": body })).expect("rules")
    }

    fn kept(paths: &[&str], media_type: &'static str, body: &'static str) -> Keep {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(media_type))]);
        rules(paths).cut_body(&Method::POST, &headers, &Bytes::from_static(body.as_bytes()), LIMITS)
    }

    fn cut(text: &'static str) -> Keep {
        Keep::Cut(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn a_token_is_kept_whole_or_not_at_all() {
        // {"alg":"RS256"}, {"user":{"email":"a@b"}}
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJ1c2VyIjp7ImVtYWlsIjoiYUBiIn19.dGFn";
        assert_eq!(kept(&["$.user.email"], "application/jwt", token), Keep::Withheld);
        assert_eq!(kept(&["$.user.name"], "application/jwt", token), Keep::Same);
        assert_eq!(kept(&["$.user.name"], "text/plain", token), Keep::Withheld);
    }

    #[test]
    fn values_are_cut_and_all_else_stays_as_it_was_sent() {
        let body = concat!(
            r#" {"a": {"b": [ {"c":1,"d":2}, {"c": {"token": "x"}} ]},"#,
            r#""tok\u0065n":[1, 2], "n":1.0e0}"#
        );
        for (paths, wanted) in [
            (
                &["$.a.b[*].c"][..],
                r#" {"a": {"b": [ {"c":"[redacted]","d":2}, {"c": "[redacted]"} ]},"tok\u0065n":[1, 2], "n":1.0e0}"#,
            ),
            (
                &["$..token"],
                concat!(
                    r#" {"a": {"b": [ {"c":1,"d":2}, {"c": {"token": "[redacted]"}} ]},"#,
                    r#""tok\u0065n":"[redacted]", "n":1.0e0}"#
                ),
            ),
            (&["$.a", "$..c", "$.a.b"], r#" {"a": "[redacted]","tok\u0065n":[1, 2], "n":1.0e0}"#),
            (
                &["$['a'].b[0]", "$[\"n\"]"],
                r#" {"a": {"b": [ "[redacted]", {"c": {"token": "x"}} ]},"tok\u0065n":[1, 2], "n":"[redacted]"}"#,
            ),
            (
                &["$.a..[1]"],
                r#" {"a": {"b": [ {"c":1,"d":2}, "[redacted]" ]},"tok\u0065n":[1, 2], "n":1.0e0}"#,
            ),
            (&["$"], r#" "[redacted]""#),
        ] {
            assert_eq!(kept(paths, "application/json", body), cut(wanted), "{paths:?}");
        }
        for paths in [&["$.b"][..], &["$.a.b.c"], &["$.a.b[7]"], &[]] {
            assert_eq!(kept(paths, "application/json", body), Keep::Same, "{paths:?}");
        }
        assert_eq!(
            kept(&["$.a"], "", r#"{"a":1,"a":{"a":2}}"#),
            cut(r#"{"a":"[redacted]","a":"[redacted]"}"#)
        );
    }

    #[test]
    fn many_deep_steps_cost_one_walk() {
        let body = "{\"a\":".repeat(9) + "1" + &"}".repeat(9);
        let path = format!("${}", "..a".repeat(STEPS_MAX));
        let copy =
            rules(&[&path]).cut_body(&Method::POST, &HeaderMap::new(), &Bytes::from(body), LIMITS);
        assert_eq!(copy, Keep::Same);
    }

    #[test]
    fn fields_of_forms_and_queries_go_by_their_names() {
        let body = "tok%65n=a+b&x=1&&token&payload=%7B%7D";
        let wanted = "tok%65n=%5Bredacted%5D&x=1&&token=%5Bredacted%5D&payload=%7B%7D";
        assert_eq!(kept(&["$.token"], FORM, body), cut(wanted));
        let wanted = "tok%65n=a+b&x=1&&token&payload=%5Bredacted%5D";
        assert_eq!(kept(&["$.payload.secret"], FORM, body), cut(wanted));
        assert_eq!(kept(&["$.y", "$[0]"], FORM, body), Keep::Same);
        let rules = Rules::read(&json!({ "query": ["to ken"] })).expect("rules");
        assert_eq!(rules.cut_query("a=1&to+ken=2").as_deref(), Some("a=1&to+ken=%5Bredacted%5D"));
        assert_eq!(rules.cut_query("a=1"), None);
    }

    #[test]
    fn what_cannot_be_read_is_not_kept() {
        for body in ["{\"a\": NaN", "text", "[[[[[[[[[[[1]]]]]]]]]]]"] {
            assert_eq!(kept(&["$.a"], "application/json", body), Keep::Withheld, "{body}");
            assert_eq!(kept(&[], "application/json", body), Keep::Same, "{body}");
        }
        assert_eq!(kept(&["$.a"], "application/json", ""), Keep::Same);
    }

    #[test]
    fn every_value_of_a_header_is_cut() {
        let said = json!({ "headers": ["X-Token", "x-other"] });
        let rules = Rules::read(&said).expect("rules");
        let mut headers = HeaderMap::new();
        for (name, value) in [("x-token", "a"), ("x-token", "b"), ("x-more", "c")] {
            headers.append(name, HeaderValue::from_static(value));
        }
        assert!(rules.cut_headers(&mut headers));
        let values: Vec<_> = headers.get_all("x-token").iter().collect();
        assert_eq!(values, [REDACTED]);
        assert_eq!(headers["x-more"], "c");
        headers.remove("x-token");
        assert!(!rules.cut_headers(&mut headers));
    }

    #[test]
    fn rules_that_cannot_be_read_keep_names_alone() {
        let rules = Rules::strictest();
        assert!(!rules.is_empty());
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(FORM));
        headers.insert("x-token", HeaderValue::from_static("a"));
        let body = Bytes::from_static(b"a=1");
        assert_eq!(rules.cut_body(&Method::POST, &headers, &body, LIMITS), Keep::Withheld);
        assert!(rules.cut_headers(&mut headers));
        assert_eq!(
            (&headers[CONTENT_TYPE], &headers["x-token"]),
            (&FORM.parse().expect("a value"), &REDACTED.parse().expect("a value"))
        );
        let cut = "a=%5Bredacted%5D&b=%5Bredacted%5D";
        assert_eq!(rules.cut_query("a=1&b").as_deref(), Some(cut));
    }

    #[test]
    fn what_was_cut_is_found_again() {
        let body =
            Bytes::from_static(br#"{"a":[1,"[redacted]"],"b":"x [redacted]","c":"[redacted]"}"#);
        let body = of_request(&Method::POST, &HeaderMap::new(), body, LIMITS).expect("a body");
        let headers = HeaderMap::from_iter([(
            HeaderName::from_static("x-token"),
            HeaderValue::from_static(REDACTED),
        )]);
        assert_eq!(
            places(&headers, "k=%5Bredacted%5D&l=1", &body),
            ["header x-token", "query k", "body $.a[1]", "body $.c"]
        );
    }

    #[test]
    fn what_is_no_rule_is_named() {
        for (said, named) in [
            (json!([]), "an object"),
            (json!({ "bodies": [] }), "an object"),
            (json!({ "body": "$.a" }), "an object"),
            (json!({ "body": ["$.a", "$.a["] }), "\"$.a[\": at \"[\""),
            (json!({ "body": ["a"] }), "\"a\": a path begins with $"),
            (json!({ "body": ["$.a[?(@.b)]"] }), "at \"[?(@.b)]\""),
            (json!({ "body": ["$.a[-1]"] }), "at \"[-1]\""),
            (json!({ "body": ["$."] }), "at \".\""),
            (json!({ "body": ["$...a"] }), "at \"...a\""),
            (json!({ "body": [format!("${}", ".a".repeat(STEPS_MAX + 1))] }), "16 steps"),
            (json!({ "body": [format!("$.{}", "a".repeat(PATH_MAX_BYTES))] }), "256 bytes"),
            (json!({ "body": vec!["$.a"; RULES_MAX + 1] }), "body has at most 32"),
            (json!({ "headers": ["a b"] }), "\"a b\" is no name"),
            (json!({ "headers": ["Content-Type"] }), "content-type is needed"),
            (json!({ "query": [""] }), "query: \"\""),
        ] {
            let fault = Rules::read(&said).expect_err("a fault").to_string();
            assert!(fault.contains(named), "{said}: {fault}");
        }
        let said = json!({ "headers": ["X-A"], "body": ["$.a['b c']"], "query": null });
        let form = json!({ "headers": ["x-a"], "body": ["$.a['b c']"], "query": [] });
        assert_eq!(Rules::read(&said).expect("rules").to_value(), form);
    }
}
