//! Bytes and media type to what a template sees as `body` (contract 2.3). In: a decoded body. Out: JSON indexed in
//! place, a form, or text; of a token, its claims. Never a copy of JSON, and never a fault for a body that is only not
//! what it says.

pub mod redact;
pub mod sample;

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method};

use crate::json::{Document, Fault, FaultKind, Kind, Limits};
pub use crate::request::Body;
use crate::request::{decode, has_body, text};

/// What JSON and forms are sent as.
enum Form {
    UrlEncoded,
    /// A JWT, in its short form.
    Token,
    /// Said to be JSON, or to be anything else: both are tried as JSON, then are text.
    Other,
}

/// The body of a request whose method has one, by its media type.
///
/// # Errors
/// As [`parse`].
pub fn of_request(
    method: &Method,
    headers: &HeaderMap,
    bytes: Bytes,
    limits: Limits,
) -> Result<Body, Fault> {
    if !has_body(method) {
        return Ok(Body::Empty);
    }
    parse(media_type(headers), bytes, limits)
}

fn media_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok())
}

/// Parses a decoded body. Only too much (depth, nodes, form fields) is a fault; a broken JSON body is text.
///
/// # Errors
/// [`Fault`] with `TooDeep` or `TooMany`.
#[allow(clippy::needless_pass_by_value, reason = "a body is handed over; its bytes are shared")]
pub fn parse(media_type: Option<&str>, bytes: Bytes, limits: Limits) -> Result<Body, Fault> {
    if bytes.is_empty() {
        return Ok(Body::Empty);
    }
    match form(media_type) {
        Form::UrlEncoded => read_form(&bytes, limits).map(Body::Form),
        Form::Token => match claims(&bytes, limits) {
            Some(claims) => claims.map(|claims| Body::Json(claims.into())),
            None => parse(None, bytes, limits),
        },
        Form::Other => match Document::parse(bytes.clone(), limits) {
            Ok(document) => Ok(Body::Json(document.into())),
            Err(Fault { what: FaultKind::Expected(_), .. }) => Ok(Body::Text(text(&bytes))),
            Err(fault) => Err(fault),
        },
    }
}

fn form(media_type: Option<&str>) -> Form {
    let essence = media_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        Form::UrlEncoded
    } else if essence.eq_ignore_ascii_case("application/jwt") {
        Form::Token
    } else {
        Form::Other
    }
}

/// What a token claims that is a whole body: a head, an object and a signature. Whose the signature is, is a matter of
/// how the webhook verifies. Nothing: it is none; a fault: it claims too much.
fn claims(bytes: &[u8], limits: Limits) -> Option<Result<Document, Fault>> {
    let mut parts = bytes.trim_ascii().split(|&byte| byte == b'.');
    let (Some(head), Some(claims), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let read = |part: &[u8]| {
        let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
        Some(Document::parse(bytes.into(), limits))
    };
    let is_object = |document: &Document| document.root().kind() == Kind::Object;
    let is_head = read(head)?.is_ok_and(|head| is_object(&head));
    if !is_head || signature.is_empty() {
        return None;
    }
    match read(claims)? {
        Ok(claims) => is_object(&claims).then_some(Ok(claims)),
        Err(Fault { what: FaultKind::Expected(_), .. }) => None,
        Err(fault) => Some(Err(fault)),
    }
}

/// Whether what templates see of a body are the claims of a token: other bytes than its own.
fn is_token(headers: &HeaderMap, bytes: &[u8], limits: Limits) -> bool {
    matches!(form(media_type(headers)), Form::Token) && claims(bytes, limits).is_some()
}

/// The fields of a form in the order of each name's first appearance, the last value of a repeated name.
fn read_form(bytes: &[u8], limits: Limits) -> Result<Vec<(String, String)>, Fault> {
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut at = 0;
    let mut count = 0;
    for part in bytes.split(|&byte| byte == b'&') {
        let start = at;
        at += part.len() + 1;
        if part.is_empty() {
            continue;
        }
        count += 1;
        if count > limits.nodes_max {
            return Err(Fault { at: start, what: FaultKind::TooMany(limits.nodes_max) });
        }
        let equals = memchr::memchr(b'=', part).unwrap_or(part.len());
        let name = decode(&part[..equals]);
        let value = decode(part.get(equals + 1..).unwrap_or_default());
        match places.entry(name) {
            Entry::Occupied(place) => fields[*place.get()].1 = value,
            Entry::Vacant(place) => {
                fields.push((place.key().clone(), value));
                place.insert(fields.len() - 1);
            }
        }
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { depth_max: 5, nodes_max: 8 };

    fn body(media_type: &str, bytes: &'static [u8]) -> Result<Body, Fault> {
        parse(Some(media_type).filter(|text| !text.is_empty()), Bytes::from_static(bytes), LIMITS)
    }

    #[test]
    fn json_is_indexed_whatever_it_is_called() {
        let types = ["application/json", "Application/JSON; charset=x", "application/x+json"];
        for media_type in types.into_iter().chain(["text/plain", ""]) {
            let read = body(media_type, b" {\"a\": 1} ");
            assert!(matches!(read, Ok(Body::Json(ref json)) if json.root().len() == 1));
        }
    }

    #[test]
    fn what_is_no_json_is_text() {
        let cut = body("application/json", b"{\"a\": NaN");
        assert!(matches!(cut, Ok(Body::Text(text)) if text == "{\"a\": NaN"));
        let bytes = body("application/json", b"\"a\xff\0b\"");
        assert!(matches!(bytes, Ok(Body::Text(text)) if text == "\"a\u{FFFD}\u{FFFD}b\""));
        assert!(matches!(body("", b""), Ok(Body::Empty)));
        assert!(matches!(body("", b"  "), Ok(Body::Text(_))));
    }

    #[test]
    fn too_much_is_a_fault() {
        let deep = body("", b"[[[[[[1]]]]]]").expect_err("too deep");
        assert_eq!(deep.what, FaultKind::TooDeep(5));
        let many = body("", b"[1,2,3,4,5,6,7,8]").expect_err("too many");
        assert_eq!(many.what, FaultKind::TooMany(8));
        let form = "application/x-www-form-urlencoded";
        let many = body(form, b"a&a&a&a&a&a&a&a&a").expect_err("too many fields");
        assert_eq!((many.at, many.what), (16, FaultKind::TooMany(8)));
    }

    #[test]
    fn of_a_token_its_claims_are_seen_and_what_is_none_is_as_ever() {
        let parts = [r#"{"alg":"RS256"}"#, r#" {"type":"user.updated","n":1.50} "#, "tag"]
            .map(|part| URL_SAFE_NO_PAD.encode(part));
        let seen = |media_type: &str, text: &str| {
            let bytes = Bytes::copy_from_slice(text.as_bytes());
            match parse(Some(media_type), bytes, LIMITS) {
                Ok(Body::Json(document)) => document.root().raw().to_owned(),
                Ok(Body::Text(text)) => text,
                other => panic!("{other:?}"),
            }
        };
        let [head, claims, tag] = &parts;
        let token = parts.join(".");
        let said = r#"{"type":"user.updated","n":1.50}"#;
        for good in [&*token, &format!("{token}\n"), &format!(" {token}")] {
            assert_eq!(seen("Application/JWT; charset=utf-8", good), said);
        }
        assert_eq!(seen("text/plain", &token), token, "only what says that it is one");
        let list = URL_SAFE_NO_PAD.encode("[1]");
        for none in [
            format!("{head}.{claims}"),
            format!("{head}.{claims}."),
            format!("{head}.{claims}.{tag}.{tag}.{tag}"),
            format!("{list}.{claims}.{tag}"),
            format!("{head}.{list}.{tag}"),
            format!("{head}.{claims}=.{tag}"),
            "a.b.c".to_owned(),
        ] {
            assert_eq!(seen("application/jwt", &none), none);
        }
        assert_eq!(seen("application/jwt", r#"{"a":1}"#), r#"{"a":1}"#);
        let deep = URL_SAFE_NO_PAD.encode(r#"{"a":[[[[[1]]]]]}"#);
        let deep = Bytes::from(format!("{head}.{deep}.{tag}"));
        let fault = parse(Some("application/jwt"), deep, LIMITS).expect_err("too deep");
        assert_eq!(fault.what, FaultKind::TooDeep(5));
    }

    #[test]
    fn the_last_of_a_name_in_a_form_wins() {
        let form = "application/x-www-form-urlencoded; charset=utf-8";
        let Ok(Body::Form(fields)) = body(form, b"a=1&&b=x+y%2B%c3%a9%zz&a=%00&c&=e") else {
            panic!("a form");
        };
        let expected = [("a", "\u{FFFD}"), ("b", "x y+é%zz"), ("c", ""), ("", "e")];
        let fields: Vec<_> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(fields, expected);
    }
}
