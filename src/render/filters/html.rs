//! Filters that make HTML, or take it away. In: values. Out: text, safe where Python's `markupsafe` says so. Never a
//! character left that HTML would take for its own.

use std::fmt::Write as _;

use minijinja::{Error, Value};

use super::super::args::bind;
use super::super::budget;
use super::super::chars;
use super::super::engine::Scope;
use super::super::ops;
use super::super::repr::{pairs, text};
use super::super::value::{Kind, fault, is_undefined, kind, marked, type_name};
use super::Table;
use super::entities::unescape;
use super::text::demanded;

pub(super) const TABLE: Table = &[
    ("e", |_, value, args| escape("e", value, args)),
    ("escape", |_, value, args| escape("escape", value, args)),
    ("forceescape", force_escape),
    ("safe", safe),
    ("striptags", strip_tags),
    ("urlencode", url_encode),
    ("xmlattr", xml_attributes),
];

/// A value as HTML that shows it; what is safe stays.
pub(in super::super) fn escaped(value: &Value) -> Result<String, Error> {
    let whole = text(value)?;
    if value.is_safe() {
        return Ok(whole);
    }
    let mut out = String::new();
    ops::escape(&mut out, &whole)?;
    Ok(out)
}

fn escape(name: &str, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind(name, [], 0, args)?;
    escaped(value).map(Value::from_safe_string)
}

fn force_escape(_scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("forceescape", [], 0, args)?;
    let mut out = String::new();
    ops::escape(&mut out, &text(value)?)?;
    Ok(Value::from_safe_string(out))
}

fn safe(_scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("safe", [], 0, args)?;
    text(value).map(Value::from_safe_string)
}

fn strip_tags(_scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("striptags", [], 0, args)?;
    let whole = text(value)?;
    budget::take(whole.len())?;
    tags_stripped(&whole).map(Value::from)
}

/// A text without tags and comments, white space collapsed, references resolved.
pub(in super::super) fn tags_stripped(text: &str) -> Result<String, Error> {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        let tag = &rest[start..];
        let length = match tag.strip_prefix("<!--") {
            Some(comment) => comment.find("-->").map(|length| length + 7),
            None => tag.find('>').map(|length| length + 1),
        };
        let Some(length) = length else { break };
        kept.push_str(&rest[..start]);
        rest = &tag[length..];
    }
    kept.push_str(rest);
    let words = kept.split(chars::is_space).filter(|word| !word.is_empty());
    unescape(&words.collect::<Vec<_>>().join(" "))
}

fn xml_attributes(scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [autospace] = bind("xmlattr", ["autospace"], 0, args)?;
    let Kind::Dict(dict) = kind(value) else {
        return Err(fault(format!("xmlattr needs a dict, not {}", type_name(value))));
    };
    let mut out = String::new();
    for (key, value) in pairs(dict) {
        if value.is_none() || is_undefined(&value) {
            continue;
        }
        let name = demanded("xmlattr", &key)?;
        let breaks =
            |c: char| matches!(c, '/' | '>' | '=' | ' ' | '\t' | '\n' | '\r' | '\u{B}' | '\u{C}');
        if name.contains(breaks) {
            return Err(fault(format!("'{name}' cannot be the name of an attribute")));
        }
        if !out.is_empty() {
            out.push(' ');
        }
        let _ = write!(out, "{}=\"{}\"", escaped(&key)?, escaped(&value)?);
    }
    if !out.is_empty() && autospace.is_none_or(|autospace| autospace.is_true()) {
        out.insert(0, ' ');
    }
    Ok(marked(out, scope.escaping))
}

fn url_encode(_scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("urlencode", [], 0, args)?;
    let mut out = String::new();
    let rows = match kind(value) {
        Kind::Dict(dict) => pairs(dict),
        Kind::List(_)
        | Kind::Tuple(_)
        | Kind::View(_)
        | Kind::Generator
        | Kind::Range(_)
        | Kind::Bytes(_)
        | Kind::Undefined => pairs_of(value)?,
        _ => {
            quote(&mut out, &text(value)?, false)?;
            return Ok(Value::from(out));
        }
    };
    for (place, (key, value)) in rows.iter().enumerate() {
        if place > 0 {
            out.push('&');
        }
        quote(&mut out, &text(key)?, true)?;
        out.push('=');
        quote(&mut out, &text(value)?, true)?;
    }
    Ok(Value::from(out))
}

fn pairs_of(value: &Value) -> Result<Vec<(Value, Value)>, Error> {
    let mut rows = Vec::new();
    for row in super::super::lookup::collect(value)? {
        match &super::super::lookup::collect(&row)?[..] {
            [key, value] => rows.push((key.clone(), value.clone())),
            other => {
                return Err(fault(format!("urlencode needs pairs, not rows of {}", other.len())));
            }
        }
    }
    Ok(rows)
}

/// Percent-encodes as Python's `quote`; in a query a slash too, and a space is `+`.
fn quote(out: &mut String, text: &str, in_query: bool) -> Result<(), Error> {
    budget::take(text.len() * 3)?;
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' => {
                out.push(char::from(byte));
            }
            b'/' if !in_query => out.push('/'),
            b' ' if in_query => out.push('+'),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    Ok(())
}
