//! Two JSON values to where they differ. In: what is expected, with placeholders, and what was found. Out: the
//! differences, each with its JSON pointer; of texts, by words. Never more than its bound.

use std::collections::BTreeMap;

use similar::{Algorithm, DiffTag, capture_diff_slices};

use crate::clock::Time;
use crate::id::Uuid;
use crate::json::{Document, Kind, Value, write_str};

/// Most differences that are told.
const DIFFERENCES_MAX: usize = 100;
/// Longest text that is compared by words.
const WORDS_MAX_BYTES: usize = 4 << 10;
/// Longest arrays of different length whose items are laid side by side.
const ALIGNED_MAX_ITEMS: usize = 1000;
/// Longest value that is told whole.
const TOLD_MAX_CHARS: usize = 400;

/// One place where found and expected are not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Difference {
    /// JSON pointer of the place.
    pub(in super::super) pointer: String,
    /// Its byte in the expected text; of what is not expected, that of its container.
    pub(super) at: usize,
    /// JSON of what is expected there, if anything.
    pub(in super::super) expected: Option<String>,
    /// JSON of what is there, if anything.
    pub(in super::super) found: Option<String>,
    /// Both, when they are texts: which words stay, go and come.
    pub(in super::super) words: Vec<Word>,
}

/// A stretch of two texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Word {
    Same(String),
    Gone(String),
    New(String),
}

/// Where the two documents differ.
pub(in super::super) fn differences(expected: &Document, found: &Document) -> Vec<Difference> {
    let mut all = Vec::new();
    compare(&mut all, "", expected.root(), found.root());
    all.truncate(DIFFERENCES_MAX);
    all
}

/// Whether an expected text is a placeholder that takes the value.
pub(in super::super) fn takes(expected: &str, found: Value<'_>) -> bool {
    let text = || found.text();
    match expected {
        "[any]" => true,
        "[uuid]" => text().is_some_and(|text| text.parse::<Uuid>().is_ok()),
        "[timestamp]" => text().is_some_and(|text| Time::parse(&text).is_some()),
        _ => false,
    }
}

/// The pointer one step further.
pub(super) fn step(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn compare(all: &mut Vec<Difference>, pointer: &str, expected: Value<'_>, found: Value<'_>) {
    if all.len() >= DIFFERENCES_MAX || is_scalar_match(expected, found) {
        return;
    }
    match (expected.kind(), found.kind()) {
        (Kind::Object, Kind::Object) => compare_objects(all, pointer, expected, found),
        (Kind::Array, Kind::Array) => compare_arrays(all, pointer, expected, found),
        _ => {
            let words = match (expected.text(), found.text()) {
                (Some(old), Some(new)) => words(&old, &new),
                _ => Vec::new(),
            };
            all.push(Difference { words, ..difference(pointer, expected, Some(found)) });
        }
    }
}

fn compare_objects(all: &mut Vec<Difference>, pointer: &str, old: Value<'_>, new: Value<'_>) {
    // Of a doubled name the last counts.
    let members: BTreeMap<_, _> = old.members().collect();
    let others: BTreeMap<_, _> = new.members().collect();
    for (name, value) in old.members() {
        if members[&name].node() != value.node() {
            continue;
        }
        let pointer = step(pointer, &name);
        match others.get(&name) {
            Some(other) => compare(all, &pointer, value, *other),
            None => all.push(difference(&pointer, value, None)),
        }
    }
    for (name, value) in new.members() {
        if !members.contains_key(&name) && others[&name].node() == value.node() {
            all.push(unexpected(&step(pointer, &name), old, value));
        }
    }
}

fn compare_arrays(all: &mut Vec<Difference>, pointer: &str, old: Value<'_>, new: Value<'_>) {
    let olds: Vec<_> = old.items().collect();
    let news: Vec<_> = new.items().collect();
    let pairs = |all: &mut Vec<Difference>, olds: &[Value<'_>], news: &[Value<'_>], at: usize| {
        for place in 0..olds.len().max(news.len()) {
            let pointer = format!("{pointer}/{}", at + place);
            match (olds.get(place), news.get(place)) {
                (Some(one), Some(other)) => compare(all, &pointer, *one, *other),
                (Some(one), None) => all.push(difference(&pointer, *one, None)),
                (None, Some(other)) => all.push(unexpected(&pointer, old, *other)),
                (None, None) => {}
            }
        }
    };
    if olds.len() == news.len() || olds.len().max(news.len()) > ALIGNED_MAX_ITEMS {
        pairs(all, &olds, &news, 0);
        return;
    }
    // Something came or went: items that are the same are laid side by side, so that only the rest is told.
    let (keys, others): (Vec<_>, Vec<_>) =
        (olds.iter().map(canonical).collect(), news.iter().map(canonical).collect());
    for stretch in capture_diff_slices(Algorithm::Myers, &keys, &others) {
        if stretch.tag() != DiffTag::Equal {
            let (one, other) = (stretch.old_range(), stretch.new_range());
            let at = if other.is_empty() { one.start } else { other.start };
            pairs(all, &olds[one], &news[other], at);
        }
    }
}

fn is_scalar_match(expected: Value<'_>, found: Value<'_>) -> bool {
    if let Some(text) = expected.text() {
        return found.text().is_some_and(|other| other == text) || takes(&text, found);
    }
    match (expected.kind(), found.kind()) {
        (Kind::Integer, Kind::Integer) => expected.raw() == found.raw(),
        (Kind::Float, Kind::Float) => {
            let number = |value: Value<'_>| value.raw().parse::<f64>().ok();
            expected.raw() == found.raw() || number(expected) == number(found)
        }
        (Kind::Array | Kind::Object, _) => false,
        (one, other) => one == other,
    }
}

/// The value in one form, however it was written.
fn canonical(value: &Value<'_>) -> String {
    let read: Result<serde_json::Value, _> = serde_json::from_str(value.raw());
    read.map_or_else(
        |_| value.raw().to_owned(),
        |mut value| {
            value.sort_all_objects();
            value.to_string()
        },
    )
}

fn difference(pointer: &str, expected: Value<'_>, found: Option<Value<'_>>) -> Difference {
    Difference {
        pointer: pointer.to_owned(),
        at: expected.start(),
        expected: Some(told(expected)),
        found: found.map(told),
        words: Vec::new(),
    }
}

fn unexpected(pointer: &str, container: Value<'_>, found: Value<'_>) -> Difference {
    Difference {
        pointer: pointer.to_owned(),
        at: container.start(),
        expected: None,
        found: Some(told(found)),
        words: Vec::new(),
    }
}

/// A value as JSON on one line, cut to its bound.
fn told(value: Value<'_>) -> String {
    let mut out = Vec::new();
    write_short(&mut out, value);
    let text = String::from_utf8_lossy(&out);
    match text.char_indices().nth(TOLD_MAX_CHARS) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text.into_owned(),
    }
}

fn write_short(out: &mut Vec<u8>, value: Value<'_>) {
    match value.kind() {
        Kind::Object => {
            out.push(b'{');
            for (place, (name, member)) in value.members().enumerate() {
                if place > 0 {
                    out.extend_from_slice(b", ");
                }
                write_str(out, &name);
                out.extend_from_slice(b": ");
                write_short(out, member);
            }
            out.push(b'}');
        }
        Kind::Array => {
            out.push(b'[');
            for (place, item) in value.items().enumerate() {
                if place > 0 {
                    out.extend_from_slice(b", ");
                }
                write_short(out, item);
            }
            out.push(b']');
        }
        _ => match value.text() {
            Some(text) => write_str(out, &text),
            None => out.extend_from_slice(value.raw().as_bytes()),
        },
    }
}

/// Two texts by words; nothing when they are too long, or have nothing in common.
fn words(old: &str, new: &str) -> Vec<Word> {
    if old.len().max(new.len()) > WORDS_MAX_BYTES {
        return Vec::new();
    }
    let (olds, news) = (split(old), split(new));
    let stretches = capture_diff_slices(Algorithm::Myers, &olds, &news);
    let is_alike = |tag: DiffTag| tag == DiffTag::Equal;
    if !stretches.iter().any(|stretch| is_alike(stretch.tag())) {
        return Vec::new();
    }
    let mut told = Vec::new();
    for stretch in stretches {
        let (one, other) = (stretch.old_range(), stretch.new_range());
        if is_alike(stretch.tag()) {
            told.push(Word::Same(olds[one].concat()));
            continue;
        }
        if !one.is_empty() {
            told.push(Word::Gone(olds[one].concat()));
        }
        if !other.is_empty() {
            told.push(Word::New(news[other].concat()));
        }
    }
    told
}

/// Words, and each character between them.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (place, c) in text.char_indices() {
        if c.is_alphanumeric() || c == '_' {
            continue;
        }
        if start < place {
            parts.push(&text[start..place]);
        }
        start = place + c.len_utf8();
        parts.push(&text[place..start]);
    }
    if start < text.len() {
        parts.push(&text[start..]);
    }
    parts
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::json::Limits;

    fn told(expected: &str, found: &str) -> Vec<String> {
        let document = |text: &str| {
            let limits = Limits { depth_max: 20, nodes_max: 1000 };
            Document::parse(Bytes::copy_from_slice(text.as_bytes()), limits).expect(text)
        };
        differences(&document(expected), &document(found))
            .into_iter()
            .map(|difference| {
                let side = |text: Option<String>| text.unwrap_or("nothing".to_owned());
                let (old, new) = (side(difference.expected), side(difference.found));
                format!("{} {old} {new}", difference.pointer)
            })
            .collect()
    }

    #[test]
    fn the_same_is_the_same_however_it_is_written() {
        let nothing: [&str; 0] = [];
        assert_eq!(told(r#"{"a": 1, "b": [1.50]}"#, r#"{"b":[1.5],"a":1}"#), nothing);
        assert_eq!(told(r#"{"a": 1, "a": 2}"#, r#"{"a": 2}"#), nothing);
        assert_eq!(told(r#""\u00e9""#, "\"é\""), nothing);
        let digits = "123456789012345678901234567890";
        assert_eq!(told(digits, digits), nothing);
        assert_eq!(told(digits, "123456789012345678901234567891").len(), 1);
        assert_eq!(told("1", "1.0"), [" 1 1.0"]);
    }

    #[test]
    fn a_difference_says_where() {
        assert_eq!(told(r#"{"a/b": {"c": 1}}"#, r#"{"a/b": {"c": "1"}}"#), ["/a~1b/c 1 \"1\""]);
        assert_eq!(told(r#"{"a": 1}"#, r#"{"b": [ ]}"#), ["/a 1 nothing", "/b nothing []"]);
        assert_eq!(told("[1, 2, 3]", "[1, 3]"), ["/1 2 nothing"]);
        assert_eq!(told("[1, 3]", "[1, 2, 3]"), ["/1 nothing 2"]);
        assert_eq!(told("[{\"a\": 1}, 2]", "[{\"a\": 2}, 2]"), ["/0/a 1 2"]);
    }

    #[test]
    fn placeholders_take_what_they_are_for() {
        let nothing: [&str; 0] = [];
        let uuid = r#""0199f2d8-7c1a-7000-8000-000000000000""#;
        assert_eq!(told(r#""[uuid]""#, uuid), nothing);
        assert_eq!(told(r#""[timestamp]""#, r#""2026-01-02T03:04:05+01:00""#), nothing);
        assert_eq!(told(r#"{"a": "[any]"}"#, r#"{"a": [1]}"#), nothing);
        assert_eq!(told(r#""[uuid]""#, "\"x\"").len(), 1);
        assert_eq!(told(r#""[timestamp]""#, "5").len(), 1);
        assert_eq!(told(r#"{"a": "[any]"}"#, "{}").len(), 1, "nothing is not anything");
    }

    #[test]
    fn texts_are_compared_by_words() {
        let parts = words("Order 1001 of Ada", "Order 1002 of Ada");
        let same = |text: &str| Word::Same(text.to_owned());
        let expected = [
            same("Order "),
            Word::Gone("1001".to_owned()),
            Word::New("1002".to_owned()),
            same(" of Ada"),
        ];
        assert_eq!(parts, expected);
        assert_eq!(words("a", "b"), []);
    }
}
