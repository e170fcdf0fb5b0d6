//! JSON laid out for people, two spaces a level, every number and string as it was written. In: JSON text. Out: the
//! same JSON on several lines. Never a value read and written again: no digit is lost.

use crate::json::{self, Kind, Value};

/// Bounds of what is laid out: those of an event.
const LIMITS: json::Limits = json::Limits { depth_max: 200, nodes_max: 1_000_000 };

/// Lays JSON out; what is none stays as it is.
pub(super) fn lay_out(text: &str) -> String {
    let mut nodes = Vec::new();
    if json::scan(text, LIMITS, &mut nodes).is_err() {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() * 2);
    write(&mut out, Value::root(text, &nodes), 0);
    out
}

fn write(out: &mut String, value: Value<'_>, depth: usize) {
    let (open, close) = match value.kind() {
        Kind::Array => ('[', ']'),
        Kind::Object => ('{', '}'),
        _ => return out.push_str(value.raw()),
    };
    out.push(open);
    let mut is_first = true;
    let mut next = |out: &mut String| {
        out.push_str(if std::mem::take(&mut is_first) { "\n" } else { ",\n" });
        out.extend(std::iter::repeat_n("  ", depth + 1));
    };
    for item in value.items() {
        next(out);
        write(out, item, depth + 1);
    }
    for (name, member) in value.members() {
        next(out);
        let mut quoted = Vec::new();
        json::write_str(&mut quoted, &name);
        out.push_str(&String::from_utf8_lossy(&quoted));
        out.push_str(": ");
        write(out, member, depth + 1);
    }
    if !value.is_empty() {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    }
    out.push(close);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost() {
        let text = r#" {"a":[1.50,{}],"b\u0022":123456789012345678901,"c":[ ]} "#;
        let laid = "{\n  \"a\": [\n    1.50,\n    {}\n  ],\n  \"b\\\"\": 123456789012345678901,\n  \"c\": []\n}";
        assert_eq!(lay_out(text), laid);
        assert_eq!(lay_out("{"), "{");
    }
}
