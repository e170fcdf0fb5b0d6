//! JSON as an index over its bytes: text goes in, a flat list of nodes comes out, and nothing is built or copied.
//! Depth and node count are bounded while scanning. Never a number that lost digits: numbers stay their own text.

use std::borrow::Cow;

use bytes::Bytes;

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

/// What a value is. `Name` is the member name in front of each value of an object.
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
    /// A member name; its value is the next node. `count` is 1 when it has escapes.
    Name,
}

/// Scans the whole text into `nodes` (cleared first): one value, white space around it allowed.
///
/// # Errors
/// The first [`Fault`]: grammar (strict RFC 8259; a lone surrogate escape is a fault), depth or number of values.
pub fn scan(text: &str, limits: Limits, nodes: &mut Vec<Node>) -> Result<(), Fault> {
    let _ = (text, limits, nodes);
    todo!()
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

    /// What it is; never `Name`.
    #[must_use]
    pub fn kind(self) -> Kind {
        self.nodes[self.node as usize].kind
    }

    /// The value's own JSON text, as it was written.
    #[must_use]
    pub fn raw(self) -> &'a str {
        todo!()
    }

    /// The unescaped text of a string; `None` for anything else.
    #[must_use]
    pub fn text(self) -> Option<Cow<'a, str>> {
        todo!()
    }

    /// Number of members or items; 0 for scalars.
    #[must_use]
    pub fn len(self) -> usize {
        self.nodes[self.node as usize].count as usize
    }

    /// Whether it has neither members nor items.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// An object's member of that name; of several the last, as Python keeps it.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Value<'a>> {
        let _ = name;
        todo!()
    }

    /// The members of an object in the order written, doubled names included; empty for anything else.
    pub fn members(self) -> impl Iterator<Item = (Cow<'a, str>, Value<'a>)> {
        std::iter::from_fn(|| todo!())
    }

    /// The items of an array; empty for anything else.
    pub fn items(self) -> impl Iterator<Item = Value<'a>> {
        std::iter::from_fn(|| todo!())
    }
}

/// A text that owns its index: what a template's `body` points into.
#[derive(Clone, Debug)]
pub struct Document {
    text: Bytes,
    nodes: Vec<Node>,
}

impl Document {
    /// Scans `text`; it must be UTF-8.
    ///
    /// # Errors
    /// As [`scan`]; bytes that are not UTF-8 are `Expected("UTF-8")`.
    pub fn parse(text: Bytes, limits: Limits) -> Result<Self, Fault> {
        let _ = (text, limits);
        todo!()
    }

    /// The outermost value.
    #[must_use]
    pub fn root(&self) -> Value<'_> {
        todo!()
    }

    /// The value at a node's index, as [`Value::node`] gave it.
    #[must_use]
    pub fn at(&self, node: u32) -> Value<'_> {
        let _ = (&self.text, &self.nodes, node);
        todo!()
    }
}

/// Appends `text` as a JSON string, quotes included: escapes only what JSON demands, writes the rest as UTF-8.
pub fn write_str(out: &mut Vec<u8>, text: &str) {
    let _ = (out, text);
    todo!()
}
