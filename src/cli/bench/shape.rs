//! What is sent: two bodies of one form, so that one template serves both. In: a server's address and path. Out: the
//! bytes of a whole request, made once. Never made up where a real one is at hand: the push is GitHub's.

use std::fmt::Write as _;
use std::net::SocketAddr;

use bytes::Bytes;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Six expressions and a loop, as `performance.md` and most webhooks in the field have it.
pub(super) const TEMPLATE: &str = include_str!("push.j2");
/// 130 bytes.
const SMALL: &str = include_str!("small.json");
/// A push as GitHub sent it, with its headers.
const PUSH: &str = include_str!("../../../templates/github/cases/push.request.json");

/// One kind of request.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) name: &'static str,
    /// What the gateway must reach of the bare server's requests per second.
    pub(super) floor: f64,
    headers: Vec<(String, String)>,
    pub(super) body: String,
}

/// A case of `templates/`.
#[derive(Deserialize)]
struct Case {
    headers: serde_json::Map<String, serde_json::Value>,
    body_json: Box<RawValue>,
}

impl Shape {
    /// Both shapes, the small one first.
    pub(super) fn all() -> [Self; 2] {
        let json = ("Content-Type".to_owned(), "application/json".to_owned());
        let small = Self {
            name: "small",
            floor: 0.45,
            headers: vec![json],
            body: SMALL.trim_end().to_owned(),
        };
        [small, Self::push()]
    }

    fn push() -> Self {
        let case: Case = serde_json::from_str(PUSH).expect("a case of templates/ is JSON");
        let body: serde_json::Value =
            serde_json::from_str(case.body_json.get()).expect("a part of JSON is JSON");
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let headers = case.headers.iter().map(|(name, value)| (name.clone(), text(value)));
        // GitHub sends it without spaces; the case has them for people.
        Self { name: "push", floor: 0.33, headers: headers.collect(), body: body.to_string() }
    }

    /// Its headers.
    pub(super) fn header_map(&self) -> HeaderMap {
        let pairs = self.headers.iter();
        pairs.filter_map(|(name, value)| Some((name.parse().ok()?, value.parse().ok()?))).collect()
    }

    /// The same with those headers instead of its own.
    pub(super) fn with_headers(self, headers: &HeaderMap) -> Self {
        let text = |value: &http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
        let pairs = headers.iter().map(|(name, value)| (name.to_string(), text(value)));
        Self { headers: pairs.collect(), ..self }
    }

    /// The whole request.
    pub(super) fn request(&self, address: SocketAddr, path: &str) -> Bytes {
        let mut text = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\n");
        for (name, value) in &self.headers {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        let _ = write!(text, "Content-Length: {}\r\n\r\n{}", self.body.len(), self.body);
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bodies_have_the_sizes_the_floor_speaks_of() {
        let [small, push] = Shape::all();
        assert_eq!(small.body.len(), 130);
        assert!((7_500..8_200).contains(&push.body.len()), "{}", push.body.len());
        for shape in [small, push] {
            let body: serde_json::Value = serde_json::from_str(&shape.body).expect("JSON");
            for place in ["/repository/name", "/repository/full_name", "/ref", "/sender/login"] {
                assert!(body.pointer(place).is_some_and(serde_json::Value::is_string), "{place}");
            }
            assert!(body["commits"][0]["id"].is_string());
        }
        assert_eq!(TEMPLATE.matches("{{").count(), 6);
    }

    #[test]
    fn a_request_is_whole() {
        let [_, push] = Shape::all();
        let request = push.request(SocketAddr::from(([127, 0, 0, 1], 80)), "/hooks/x");
        let text = std::str::from_utf8(&request).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("POST /hooks/x HTTP/1.1\r\nHost: 127.0.0.1:80\r\n"), "{head}");
        assert!(head.contains("\r\nX-GitHub-Event: push\r\n"), "{head}");
        assert!(head.ends_with(&format!("\r\nContent-Length: {}", body.len())), "{head}");
        assert_eq!(body, push.body);
    }
}
