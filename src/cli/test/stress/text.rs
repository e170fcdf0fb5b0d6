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
    fn containers_come_first() {
        let paths = paths(&document(TEXT).expect("JSON"));
        assert_eq!(paths.len(), 9);
        assert_eq!(
            paths[..4],
            [path(&[]), path(&["a"]), path(&["a", "b"]), path(&["a", "b", "0"])]
        );
    }
}
