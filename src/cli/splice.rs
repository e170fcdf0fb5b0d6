//! Edits of JSON as text, so that digits and doubled names stay what they are. In: a text, a path, and what to do
//! there. Out: the new text. What the path does not lead to changes nothing.

use bytes::Bytes;

use crate::json::{Document, Kind, Limits, Value, write_str};

/// Bounds of a body that is edited: the edits' own deep values fit in.
const LIMITS: Limits = Limits { depth_max: 300, nodes_max: 250_000 };
/// Most places of one body that are edited.
const PATHS_MAX: usize = 4_000;

/// One step from a value to a value in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Name(String),
    Item(usize),
}

/// From the root to a value.
pub(super) type Path = Vec<Step>;

/// What is done to the value that stands at a path.
pub(super) enum Deed<'a> {
    /// It goes, its name with it.
    Drop,
    /// Another text stands there.
    Replace(&'a dyn Fn(Value<'_>) -> String),
    /// Its name comes a second time, with another text.
    Double(&'a str),
}

/// The text as a document, when it is JSON.
pub(super) fn document(text: &[u8]) -> Option<Document> {
    Document::parse(Bytes::copy_from_slice(text), LIMITS).ok()
}

/// Every path of a document, containers before what they hold.
pub(super) fn paths(document: &Document) -> Vec<Path> {
    let mut found = Vec::new();
    collect(&mut found, &mut Vec::new(), document.root());
    found
}

fn collect(found: &mut Vec<Path>, path: &mut Path, value: Value<'_>) {
    if found.len() >= PATHS_MAX {
        return;
    }
    found.push(path.clone());
    for (name, member) in value.members() {
        path.push(Step::Name(name.into_owned()));
        collect(found, path, member);
        path.pop();
    }
    for (place, item) in value.items().enumerate() {
        path.push(Step::Item(place));
        collect(found, path, item);
        path.pop();
    }
}

/// The value at a path.
pub(super) fn find<'a>(document: &'a Document, path: &[Step]) -> Option<Value<'a>> {
    path.iter().try_fold(document.root(), |value, step| match step {
        Step::Name(name) => value.get(name),
        Step::Item(place) => value.items().nth(*place),
    })
}

/// The text with the deed done.
pub(super) fn edit(text: &[u8], path: &[Step], deed: &Deed<'_>) -> Option<Vec<u8>> {
    let document = document(text)?;
    let value = find(&document, path)?;
    let (place, new) = match deed {
        Deed::Replace(new) => (value, new(value).into_bytes()),
        Deed::Drop | Deed::Double(_) => {
            let container = find(&document, &path[..path.len().checked_sub(1)?])?;
            (container, rebuilt(container, value, deed))
        }
    };
    let (start, end) = (place.start(), place.start() + place.raw().len());
    let text = document.text().as_bytes();
    Some([&text[..start], &new, &text[end..]].concat())
}

/// The text with a value at a path, the names on the way made where they are not there; or why it cannot be there.
pub(super) fn set(text: &[u8], path: &[Step], json: &str) -> Result<Vec<u8>, String> {
    let document = document(text).ok_or("it is no JSON")?;
    let mut value = document.root();
    for (place, step) in path.iter().enumerate() {
        let next = match step {
            Step::Name(name) if value.kind() == Kind::Object => value.get(name),
            Step::Item(number) if value.kind() == Kind::Array => value.items().nth(*number),
            Step::Name(name) => return Err(format!("`{name}` is asked of {}", short(value))),
            Step::Item(number) => return Err(format!("[{number}] is asked of {}", short(value))),
        };
        match (next, step) {
            (Some(next), _) => value = next,
            (None, Step::Item(number)) if *number != value.len() => {
                return Err(format!("[{number}] is asked of an array of {} items", value.len()));
            }
            (None, _) => {
                let new = nested(&path[place + 1..], json)?;
                return Ok(grown(&document, value, step, &new));
            }
        }
    }
    let (start, end) = (value.start(), value.start() + value.raw().len());
    let text = document.text().as_bytes();
    Ok([&text[..start], json.as_bytes(), &text[end..]].concat())
}

/// The start of a value's text, for an error.
fn short(value: Value<'_>) -> String {
    let text = value.raw();
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Objects around a value, one for each name.
fn nested(path: &[Step], json: &str) -> Result<String, String> {
    let mut text = json.to_owned();
    for step in path.iter().rev() {
        text = match step {
            Step::Name(name) => format!("{{{}: {text}}}", quoted(name)),
            Step::Item(0) => format!("[{text}]"),
            Step::Item(number) => return Err(format!("[{number}] is asked of an empty array")),
        };
    }
    Ok(text)
}

/// The document with one more member or item at the end of a container.
fn grown(document: &Document, container: Value<'_>, step: &Step, new: &str) -> Vec<u8> {
    let end = container.start() + container.raw().len() - 1;
    let comma = if container.is_empty() { "" } else { ", " };
    let name = match step {
        Step::Name(name) => format!("{}: ", quoted(name)),
        Step::Item(_) => String::new(),
    };
    let text = document.text().as_bytes();
    [&text[..end], comma.as_bytes(), name.as_bytes(), new.as_bytes(), &text[end..]].concat()
}

fn quoted(text: &str) -> String {
    let mut out = Vec::new();
    write_str(&mut out, text);
    String::from_utf8_lossy(&out).into_owned()
}

/// Reads `a.b[0]["c d"]`; what is wrong with it otherwise.
pub(super) fn parse_path(text: &str) -> Result<Path, String> {
    let mut path = Path::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix("[\"") {
            let (name, after) = inner.split_once("\"]").ok_or("a `[\"` is not closed by `\"]`")?;
            path.push(Step::Name(name.to_owned()));
            rest = after;
        } else if let Some(inner) = rest.strip_prefix('[') {
            let (number, after) = inner.split_once(']').ok_or("a `[` is not closed")?;
            let number =
                number.parse().map_err(|_| format!("`[{number}]` is no place of an item"))?;
            path.push(Step::Item(number));
            rest = after;
        } else {
            let own = rest.strip_prefix('.').unwrap_or(rest);
            let end = own.find(['.', '[']).unwrap_or(own.len());
            if end == 0 {
                return Err("a name is missing".to_owned());
            }
            path.push(Step::Name(own[..end].to_owned()));
            rest = &own[end..];
        }
    }
    Ok(path)
}

/// A container's text without the value, or with its name doubled.
fn rebuilt(container: Value<'_>, value: Value<'_>, deed: &Deed<'_>) -> Vec<u8> {
    let is_object = container.kind() == Kind::Object;
    let mut out = vec![if is_object { b'{' } else { b'[' }];
    let separate = |out: &mut Vec<u8>| {
        if out.len() > 1 {
            out.extend_from_slice(b", ");
        }
    };
    let names = container.members().map(|(name, member)| (Some(name), member));
    let items = container.items().map(|item| (None, item));
    for (name, member) in names.chain(items) {
        let is_it = member.node() == value.node();
        if is_it && matches!(deed, Deed::Drop) {
            continue;
        }
        separate(&mut out);
        let write_name = |out: &mut Vec<u8>| {
            if let Some(name) = &name {
                write_str(out, name);
                out.extend_from_slice(b": ");
            }
        };
        write_name(&mut out);
        out.extend_from_slice(member.raw().as_bytes());
        if let (true, Deed::Double(other)) = (is_it, deed) {
            separate(&mut out);
            write_name(&mut out);
            out.extend_from_slice(other.as_bytes());
        }
    }
    out.push(if is_object { b'}' } else { b']' });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] =
        br#"{"a": {"b": [1, 2.50, {"c": null}], "d": "x"}, "a/": 10000000000000000000}"#;

    fn path(steps: &[&str]) -> Path {
        let step = |text: &&str| match text.parse() {
            Ok(place) => Step::Item(place),
            Err(_) => Step::Name((*text).to_owned()),
        };
        steps.iter().map(step).collect()
    }

    fn edited(steps: &[&str], deed: &Deed<'_>) -> Option<String> {
        edit(TEXT, &path(steps), deed).map(|text| String::from_utf8(text).expect("text"))
    }

    #[test]
    fn an_edit_leaves_all_else_as_it_was() {
        let dropped = edited(&["a", "b", "1"], &Deed::Drop).expect("there");
        let expected = r#"{"a": {"b": [1, {"c": null}], "d": "x"}, "a/": 10000000000000000000}"#;
        assert_eq!(dropped, expected);
        let replaced = edited(&["a", "b"], &Deed::Replace(&|value| format!("[{}]", value.len())));
        assert_eq!(
            replaced.expect("there"),
            r#"{"a": {"b": [3], "d": "x"}, "a/": 10000000000000000000}"#
        );
        let doubled = edited(&["a", "d"], &Deed::Double("1")).expect("there");
        assert!(doubled.contains(r#""d": "x", "d": 1}"#), "{doubled}");
        assert_eq!(edited(&[], &Deed::Drop), None, "the root cannot go");
        assert_eq!(edited(&["z"], &Deed::Drop), None);
    }

    #[test]
    fn what_is_set_is_there() {
        let made = |path: &str, json: &str| {
            let path = parse_path(path).expect("a path");
            set(br#"{"a": [{"b": 1}], "e": {}}"#, &path, json)
                .map(|text| String::from_utf8(text).expect("text"))
        };
        let done = |text: &str| Ok(text.to_owned());
        assert_eq!(made("a[0].b", "2"), done(r#"{"a": [{"b": 2}], "e": {}}"#));
        assert_eq!(made("a[1]", "2"), done(r#"{"a": [{"b": 1}, 2], "e": {}}"#));
        let expected = r#"{"a": [{"b": 1}], "e": {"x y": {"z": [true]}}}"#;
        assert_eq!(made(r#"e["x y"].z[0]"#, "true"), done(expected));
        assert_eq!(made("", "5"), done("5"));
        for (path, fault) in [
            ("a[3]", "[3] is asked of an array of 1 items"),
            ("a.b", r#"`b` is asked of [{"b": 1}]"#),
            ("e[0]", "[0] is asked of {}"),
            ("e.x[1]", "[1] is asked of an empty array"),
        ] {
            assert_eq!(made(path, "1"), Err(fault.to_owned()));
        }
        for broken in ["a..b", "a[x]", "a[1", "a[\"b", "."] {
            assert!(parse_path(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn containers_come_first() {
        let paths = paths(&document(TEXT).expect("JSON"));
        assert_eq!(paths.len(), 9);
        assert_eq!(
            paths[..4],
            [path(&[]), path(&["a"]), path(&["a", "b"]), path(&["a", "b", "0"])]
        );
    }
}
