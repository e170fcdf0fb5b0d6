//! JSON as `serde_json` reads it, nothing lost: numbers stay text, doubled names stay. In: text. Out: a tree, or the
//! word that it is not JSON. The second opinion of the targets; slow, and free of hookgate's own code.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tree {
    Null,
    Bool(bool),
    /// As it was written.
    Number(String),
    Text(String),
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl Tree {
    /// Reads a text, if it is JSON (a lone surrogate is none).
    pub fn read(text: &str) -> Option<Self> {
        let whole = text.trim_matches([' ', '\t', '\r', '\n']);
        match whole.bytes().next()? {
            b'{' => {
                let members = serde_json::from_str::<Members>(whole).ok()?.0;
                let members =
                    members.into_iter().map(|(name, raw)| Some((name, Self::read(raw.get())?)));
                members.collect::<Option<_>>().map(Self::Object)
            }
            b'[' => {
                let items = serde_json::from_str::<Items>(whole).ok()?.0;
                items
                    .iter()
                    .map(|raw| Self::read(raw.get()))
                    .collect::<Option<_>>()
                    .map(Self::Array)
            }
            b'"' => serde_json::from_str(whole).ok().map(Self::Text),
            b't' | b'f' => serde_json::from_str(whole).ok().map(Self::Bool),
            b'n' => serde_json::from_str::<()>(whole).ok().map(|()| Self::Null),
            // A raw value is checked against the grammar alone, so that no number is too large.
            _ => serde_json::from_str::<&RawValue>(whole)
                .ok()
                .map(|raw| Self::Number(raw.get().into())),
        }
    }

    /// How deep it is nested, and how many values it has.
    pub fn extent(&self) -> (u32, u32) {
        let sum = |inner: &mut dyn Iterator<Item = &Tree>| {
            inner
                .map(Self::extent)
                .fold((0, 1), |(depth, count), (inner, more)| (inner.max(depth), count + more))
        };
        match self {
            Self::Array(items) => {
                let (depth, count) = sum(&mut items.iter());
                (depth + 1, count)
            }
            Self::Object(members) => {
                let (depth, count) = sum(&mut members.iter().map(|(_, value)| value));
                (depth + 1, count)
            }
            _ => (0, 1),
        }
    }

    /// The member that counts of an object: of a doubled name the last.
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().rfind(|(other, _)| other == name).map(|(_, value)| value)
    }

    /// A string's text.
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

struct Members<'a>(Vec<(String, &'a RawValue)>);
struct Items<'a>(Vec<&'a RawValue>);
struct MembersVisitor;
struct ItemsVisitor;

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor).map(Self)
    }
}

impl<'de> Deserialize<'de> for Items<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ItemsVisitor).map(Self)
    }
}

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}

impl<'de> Visitor<'de> for ItemsVisitor {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(items)
    }
}
