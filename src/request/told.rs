//! A request told as JSON: what the gateway's own events say of it, and the help that an event without a payload gets
//! (contract 2.7). In: a request without its secrets. Out: members of an object, appended. Never a slug.

use http::{HeaderMap, Method};

use super::Body;
use crate::json::write_str;

/// The payload of an event whose template gives none: method, headers and body as the template saw them.
#[must_use]
pub fn help(method: &Method, headers: &HeaderMap, body: &Body) -> String {
    let mut out = Vec::with_capacity(1024);
    write_head(&mut out, method, headers);
    out.extend_from_slice(b",\"body\":");
    write_body(&mut out, body);
    out.push(b'}');
    String::from_utf8_lossy(&out).into_owned()
}

/// The first two members of each payload; the object stays open.
pub fn write_head(out: &mut Vec<u8>, method: &Method, headers: &HeaderMap) {
    out.extend_from_slice(b"{\"method\":");
    write_str(out, method.as_str());
    out.extend_from_slice(b",\"headers\":");
    write_headers(out, headers);
}

/// Headers as an object: names in lower case, the values of a repeated one joined.
fn write_headers(out: &mut Vec<u8>, headers: &HeaderMap) {
    let mut lines = headers.iter().peekable();
    let mut between = b'{';
    while let Some((name, value)) = lines.next() {
        out.push(between);
        between = b',';
        write_str(out, name.as_str());
        out.push(b':');
        if lines.peek().is_none_or(|(next, _)| *next != name) {
            write_str(out, &String::from_utf8_lossy(value.as_bytes()));
            continue;
        }
        let mut joined = String::from_utf8_lossy(value.as_bytes()).into_owned();
        while let Some((_, value)) = lines.next_if(|(next, _)| *next == name) {
            joined.push_str(", ");
            joined.push_str(&String::from_utf8_lossy(value.as_bytes()));
        }
        write_str(out, &joined);
    }
    if between == b'{' {
        out.push(b'{');
    }
    out.push(b'}');
}

/// A body as JSON: its own text when it is JSON.
pub fn write_body(out: &mut Vec<u8>, body: &Body) {
    match body {
        Body::Empty => out.extend_from_slice(b"\"\""),
        Body::Json(document) => out.extend_from_slice(document.text().as_bytes()),
        Body::Form(fields) => {
            out.push(b'{');
            for (place, (name, value)) in fields.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                write_str(out, name);
                out.push(b':');
                write_str(out, value);
            }
            out.push(b'}');
        }
        Body::Text(text) => write_str(out, text),
    }
}
