//! JSON as an index over its bytes: text goes in, a flat list of nodes comes out, and nothing is built or copied.
//! Depth and node count are bounded while scanning. Never a number that lost digits: numbers stay their own text.

mod scan;
mod write;

use std::borrow::Cow;

use bytes::Bytes;
use bytestring::ByteString;

pub use scan::scan;
pub use write::{unescape, write_str};

/// Bounds of a scan.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Deepest nesting of arrays and objects.
    pub depth_max: u32,
    /// Most values in all, members' names not counted.
    pub nodes_max: u32,
}

/// Why text is not JSON, or too much of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct Fault {
    /// Byte offset of the fault.
    pub at: usize,
    /// What is wrong.
    pub what: FaultKind,
}

/// The kinds of [`Fault`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    /// The text breaks JSON's grammar; the words say what was expected.
    #[error("expected {0}")]
    Expected(&'static str),
    /// Nested deeper than the limit.
    #[error("nested deeper than {0} levels")]
    TooDeep(u32),
    /// More values than the limit.
    #[error("more than {0} values")]
    TooMany(u32),
}

/// One value in the index. Children follow their parent; `next` skips a whole subtree.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    /// Where the value's text starts.
    pub start: u32,
    /// Where it ends.
    pub end: u32,
    /// Index of the node after this value's subtree.
    pub next: u32,
    /// Object members and array items; 0 for scalars.
    pub count: u32,
    /// What it is.
    pub kind: Kind,
}

impl Node {
    fn range(&self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// What a value is. `Name` and `EscapedName` stand in front of each value of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Null,
    True,
    False,
    /// A number without fraction and exponent.
    Integer,
    /// Any other number.
    Float,
    /// A string without escapes.
    Plain,
    /// A string with escapes.
    Escaped,
    Array,
    Object,
    /// A member name without escapes; its value is the next node.
    Name,
    /// A member name with escapes.
    EscapedName,
}

/// One value of an indexed text.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    text: &'a str,
    nodes: &'a [Node],
    node: u32,
}

impl<'a> Value<'a> {
    /// The root of what [`scan`] indexed.
    #[must_use]
    pub fn root(text: &'a str, nodes: &'a [Node]) -> Self {
        Self { text, nodes, node: 0 }
    }

    /// Its index, for [`Document::at`] and [`Value::at`].
    #[must_use]
    pub fn node(self) -> u32 {
        self.node
    }

    /// The value at an index of the same text.
    #[must_use]
    pub fn at(self, node: u32) -> Self {
        Self { node, ..self }
    }

    /// The index after its subtree: of an array's item, the next item.
    #[must_use]
    pub fn after(self) -> u32 {
        self.own().next
    }

    /// What it is; never a name.
    #[must_use]
    pub fn kind(self) -> Kind {
        self.own().kind
    }

    /// Byte offset of its text.
    #[must_use]
    pub fn start(self) -> usize {
        self.own().start as usize
    }

    /// The value's own JSON text, as it was written; a string with its quotes.
    #[must_use]
    pub fn raw(self) -> &'a str {
        let own = self.own();
        &self.text[own.start as usize..own.end as usize]
    }

    /// The name that stands in front of a member's value; asked of anything else, it means nothing.
    #[must_use]
    pub fn name(self) -> Cow<'a, str> {
        let Some(named) = self.node.checked_sub(1).map(|place| self.nodes[place as usize]) else {
            return Cow::Borrowed("");
        };
        let text = self.text.get(named.start as usize + 1..(named.end as usize).saturating_sub(1));
        match named.kind {
            Kind::Name => Cow::Borrowed(text.unwrap_or_default()),
            Kind::EscapedName => Cow::Owned(unescape(text.unwrap_or_default())),
            _ => Cow::Borrowed(""),
        }
    }

    /// The same with its quotes, as it was written, when it has no escapes.
    #[must_use]
    pub fn raw_name(self) -> Option<&'a str> {
        let named = &self.nodes[self.node.checked_sub(1)? as usize];
        (named.kind == Kind::Name).then(|| &self.text[named.range()])
    }

    /// The unescaped text of a string; `None` for anything else.
    #[must_use]
    pub fn text(self) -> Option<Cow<'a, str>> {
        match self.kind() {
            Kind::Plain => Some(Cow::Borrowed(inner(self.raw()))),
            Kind::Escaped => Some(Cow::Owned(unescape(inner(self.raw())))),
            _ => None,
        }
    }

    /// Number of members or items; 0 for scalars.
    #[must_use]
    pub fn len(self) -> usize {
        self.own().count as usize
    }

    /// Whether it has neither members nor items.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// An object's member of that name; of several the last, as Python keeps it.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Self> {
        if self.kind() != Kind::Object {
            return None;
        }
        let (text, wanted) = (self.text.as_bytes(), name.as_bytes());
        let quoted = wanted.len() + 2;
        let mut found = None;
        let (mut place, end) = (self.node + 1, self.own().next);
        while place < end {
            let Some([named, value]) = self.nodes.get(place as usize..place as usize + 2) else {
                break;
            };
            let same = match named.kind {
                Kind::EscapedName => unescape(inner(&self.text[named.range()])) == name,
                // Bytes between quotes: a text's slice would look for the bounds of characters that are there.
                _ => {
                    (named.end - named.start) as usize == quoted
                        && text[named.start as usize + 1..named.end as usize - 1] == *wanted
                }
            };
            if same {
                found = Some(Value { node: place + 1, ..self });
            }
            place = value.next;
        }
        found
    }

    /// The members of an object in the order written, doubled names included; empty for anything else.
    pub fn members(self) -> impl Iterator<Item = (Cow<'a, str>, Self)> {
        let is_object = self.kind() == Kind::Object;
        let end = if is_object { self.own().next } else { self.node + 1 };
        let mut place = self.node + 1;
        std::iter::from_fn(move || {
            if place >= end {
                return None;
            }
            let named = self.nodes[place as usize];
            let raw = inner(&self.text[named.start as usize..named.end as usize]);
            let name = match named.kind {
                Kind::EscapedName => Cow::Owned(unescape(raw)),
                _ => Cow::Borrowed(raw),
            };
            let value = Value { node: place + 1, ..self };
            place = value.own().next;
            Some((name, value))
        })
    }

    /// The items of an array; empty for anything else.
    pub fn items(self) -> impl Iterator<Item = Self> {
        let is_array = self.kind() == Kind::Array;
        let end = if is_array { self.own().next } else { self.node + 1 };
        let mut place = self.node + 1;
        std::iter::from_fn(move || {
            if place >= end {
                return None;
            }
            let value = Value { node: place, ..self };
            place = value.own().next;
            Some(value)
        })
    }

    fn own(self) -> &'a Node {
        &self.nodes[self.node as usize]
    }
}

/// A string's text between its quotes.
fn inner(raw: &str) -> &str {
    &raw[1..raw.len() - 1]
}

/// A text that owns its index: what a template's `body` points into.
#[derive(Clone, Debug)]
pub struct Document {
    text: ByteString,
    nodes: Vec<Node>,
}

impl Document {
    /// Scans `text`; it must be UTF-8. The bytes are shared, not copied.
    ///
    /// # Errors
    /// As [`scan`]; bytes that are not UTF-8 are `Expected("UTF-8")`.
    pub fn parse(text: Bytes, limits: Limits) -> Result<Self, Fault> {
        let text = ByteString::try_from(text)
            .map_err(|_| Fault { at: 0, what: FaultKind::Expected("UTF-8") })?;
        // A guess of one value in ten bytes avoids most growing.
        let mut nodes = Vec::with_capacity((text.len() / 10).clamp(8, 4096));
        scan(&text, limits, &mut nodes)?;
        Ok(Self { text, nodes })
    }

    /// The outermost value.
    #[must_use]
    pub fn root(&self) -> Value<'_> {
        self.at(0)
    }

    /// The value at a node's index, as [`Value::node`] gave it.
    #[must_use]
    pub fn at(&self, node: u32) -> Value<'_> {
        Value { text: &self.text, nodes: &self.nodes, node }
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { depth_max: 100, nodes_max: 100_000 };

    fn document(text: &str) -> Document {
        Document::parse(Bytes::copy_from_slice(text.as_bytes()), LIMITS).expect(text)
    }

    #[test]
    fn walks_what_it_scanned() {
        let text = r#" {"a": [1, -2.5e3, {"b\u0022": "x\ny"}], "a": null, "ü": "\ud83d\ude00"} "#;
        let document = document(text);
        let root = document.root();
        assert_eq!(root.len(), 3);
        assert_eq!(root.get("a").map(Value::kind), Some(Kind::Null), "the last of a name wins");
        let members: Vec<_> = root.members().map(|(name, value)| (name, value.raw())).collect();
        assert_eq!(members[0].1, r#"[1, -2.5e3, {"b\u0022": "x\ny"}]"#);
        assert_eq!(members[2].0, "ü");
        assert_eq!(root.get("ü").map(Value::name).as_deref(), Some("ü"));
        assert_eq!(root.get("ü").and_then(Value::raw_name), Some("\"ü\""));
        assert_eq!((&*root.name(), root.raw_name()), ("", None));
        assert_eq!(root.get("ü").and_then(Value::text).as_deref(), Some("😀"));
        let list = root.members().next().expect("a member").1;
        let kinds: Vec<_> = list.items().map(Value::kind).collect();
        assert_eq!(kinds, [Kind::Integer, Kind::Float, Kind::Object]);
        let inner = list.items().last().expect("an item");
        assert_eq!(inner.get("b\"").and_then(Value::text).as_deref(), Some("x\ny"));
        assert_eq!(document.at(inner.node()).raw(), inner.raw());
        assert!(list.get("a").is_none() && root.items().next().is_none());
    }

    #[test]
    fn bounds_hold_at_the_bound() {
        let limits = Limits { depth_max: 3, nodes_max: 4 };
        let mut nodes = Vec::new();
        assert!(scan("[[[1]]]", limits, &mut nodes).is_ok());
        let deep = scan("[[[[]]]]", limits, &mut nodes).expect_err("too deep");
        assert_eq!(deep.what, FaultKind::TooDeep(3));
        assert!(scan("[1,2,3]", limits, &mut nodes).is_ok());
        let many = scan("[1,2,3,4]", limits, &mut nodes).expect_err("too many");
        assert_eq!(many.what, FaultKind::TooMany(4));
        let bottomless = "[".repeat(100_000);
        assert!(scan(&bottomless, limits, &mut nodes).is_err());
        let not_utf8 = Document::parse(Bytes::from_static(b"\"\xff\""), LIMITS);
        assert_eq!(not_utf8.expect_err("bytes").what, FaultKind::Expected("UTF-8"));
    }
}
