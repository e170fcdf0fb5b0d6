//! A JSON value as the text of an expected file. In: the value, and what was expected before. Out: text, two blanks a
//! level, numbers with the digits they came with; placeholders that still hold stay. Reads and writes no file.

use std::collections::BTreeMap;

use crate::json::{self, Kind, Value, write_str};

use super::test::takes;

/// Bounds of an event that is laid out: those of events.
const LIMITS: json::Limits = json::Limits { depth_max: 200, nodes_max: 250_000 };

/// An event on several lines.
pub(super) fn laid_out(text: &str) -> String {
    let mut nodes = Vec::new();
    match json::scan(text, LIMITS, &mut nodes) {
        Ok(()) => self::text(Value::root(text, &nodes), None),
        Err(_) => text.to_owned(),
    }
}

/// The text, with a line break at its end.
pub(super) fn text(value: Value<'_>, before: Option<Value<'_>>) -> String {
    let mut out = Vec::new();
    write(&mut out, value, before, 0);
    out.push(b'\n');
    String::from_utf8_lossy(&out).into_owned()
}

fn write(out: &mut Vec<u8>, value: Value<'_>, before: Option<Value<'_>>, depth: usize) {
    if let Some(kept) = before.and_then(Value::text).filter(|kept| takes(kept, value)) {
        write_str(out, &kept);
        return;
    }
    match value.kind() {
        Kind::Object => {
            // Of a doubled name the last counts.
            let last: BTreeMap<_, _> = value.members().collect();
            let befores: BTreeMap<_, _> = before.into_iter().flat_map(Value::members).collect();
            out.push(b'{');
            let mut is_empty = true;
            for (name, member) in value.members() {
                if last[&name].node() != member.node() {
                    continue;
                }
                open_line(out, &mut is_empty, depth + 1);
                write_str(out, &name);
                out.extend_from_slice(b": ");
                write(out, member, befores.get(&name).copied(), depth + 1);
            }
            close(out, is_empty, depth, b'}');
        }
        Kind::Array => {
            out.push(b'[');
            let mut befores = before.into_iter().flat_map(Value::items);
            let mut is_empty = true;
            for item in value.items() {
                open_line(out, &mut is_empty, depth + 1);
                write(out, item, befores.next(), depth + 1);
            }
            close(out, is_empty, depth, b']');
        }
        _ => match value.text() {
            Some(text) => write_str(out, &text),
            None => out.extend_from_slice(value.raw().as_bytes()),
        },
    }
}

fn open_line(out: &mut Vec<u8>, is_empty: &mut bool, depth: usize) {
    if !std::mem::replace(is_empty, false) {
        out.push(b',');
    }
    line(out, depth);
}

fn close(out: &mut Vec<u8>, is_empty: bool, depth: usize, end: u8) {
    if !is_empty {
        line(out, depth);
    }
    out.push(end);
}

fn line(out: &mut Vec<u8>, depth: usize) {
    out.push(b'\n');
    out.resize(out.len() + 2 * depth, b' ');
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::json::{Document, Limits};

    fn document(text: &str) -> Document {
        let limits = Limits { depth_max: 20, nodes_max: 1000 };
        Document::parse(Bytes::copy_from_slice(text.as_bytes()), limits).expect(text)
    }

    #[test]
    fn digits_and_placeholders_stay() {
        let found = document(r#"{"a": [1.50, {}], "b": [], "id": "x", "n": {"t": "\u00e9\n"}}"#);
        let before = document(r#"{"a": "[any]", "id": "[uuid]", "b": 5}"#);
        let expected = "{\n  \"a\": [\n    1.50,\n    {}\n  ],\n  \"b\": [],\n  \"id\": \"x\",\n  \
                        \"n\": {\n    \"t\": \"é\\n\"\n  }\n}\n";
        assert_eq!(text(found.root(), None), expected);
        let kept = text(found.root(), Some(before.root()));
        assert!(kept.contains("\"a\": \"[any]\"") && kept.contains("\"id\": \"x\""), "{kept}");
    }
}
