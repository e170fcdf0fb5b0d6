//! The request's JSON as values, made one by one when a template asks. In: the index over the request's own bytes.
//! Out: an object per container, a native value per scalar. Never a copy of a tree, never a number that lost digits.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::sync::Arc;

use minijinja::Value;
use minijinja::value::{Enumerator, Object, ObjectRepr};
use num_bigint::BigInt;

use super::budget;
use super::repr::too_many_digits;
use super::value::{DIGITS_MAX, from_big};
use crate::json::{self, Document};

/// Up to this many members a doubled name is looked for by comparing all with all.
const FEW_MEMBERS: usize = 12;

/// An array or object of a document.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) document: Arc<Document>,
    pub(super) node: u32,
}

/// The value at a node: a container stays where it is.
pub(super) fn value(document: &Arc<Document>, json: json::Value<'_>) -> Value {
    match json.kind() {
        json::Kind::Null => Value::from(()),
        json::Kind::True => Value::from(true),
        json::Kind::False => Value::from(false),
        json::Kind::Integer => integer(json.raw()),
        // Out of range is infinite, as in Python.
        json::Kind::Float => Value::from(json.raw().parse::<f64>().unwrap_or(f64::NAN)),
        json::Kind::Array | json::Kind::Object => {
            Value::from_object(Node { document: Arc::clone(document), node: json.node() })
        }
        _ => {
            let text = json.text().unwrap_or_default();
            match budget::take(text.len()) {
                Ok(()) => Value::from(&*text),
                Err(over) => Value::from(over),
            }
        }
    }
}

/// A JSON integer of any size.
fn integer(raw: &str) -> Value {
    if let Ok(small) = raw.parse::<i64>() {
        return Value::from(small);
    }
    if raw.len() > DIGITS_MAX + 1 {
        return Value::from(too_many_digits());
    }
    BigInt::parse_bytes(raw.as_bytes(), 10).map_or(Value::UNDEFINED, from_big)
}

impl Node {
    pub(super) fn json(&self) -> json::Value<'_> {
        self.document.at(self.node)
    }

    fn value(&self, json: json::Value<'_>) -> Value {
        value(&self.document, json)
    }

    pub(super) fn is_array(&self) -> bool {
        self.json().kind() == json::Kind::Array
    }

    /// What is at the end of a path of names, `a.b.c`.
    pub(super) fn part(&self, path: &str) -> Option<Value> {
        let (mut json, mut rest) = (self.json(), path);
        loop {
            if let Some(over) = over(json.len() / 8 + 1) {
                return Some(over);
            }
            // Shorter than what a search would need to begin.
            let Some(dot) = rest.bytes().position(|byte| byte == b'.') else {
                return json.get(rest).map(|found| self.value(found));
            };
            json = json.get(&rest[..dot])?;
            rest = &rest[dot + 1..];
        }
    }

    /// So many items of an array in a row; nothing before them is made.
    pub(super) fn row(&self, places: Range<usize>) -> impl Iterator<Item = Value> {
        self.json().items().skip(places.start).take(places.len()).map(|item| self.value(item))
    }

    /// The members of an object: each name once, where it first stood, with its last value.
    pub(super) fn members(&self) -> Vec<(Cow<'_, str>, json::Value<'_>)> {
        let json = self.json();
        let mut members: Vec<(Cow<'_, str>, json::Value<'_>)> = Vec::with_capacity(json.len());
        if json.len() <= FEW_MEMBERS {
            for (name, value) in json.members() {
                match members.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, last)) => *last = value,
                    None => members.push((name, value)),
                }
            }
            return members;
        }
        let mut places = HashMap::with_capacity(json.len());
        for (name, value) in json.members() {
            match places.entry(name.clone()) {
                Entry::Occupied(place) => {
                    let (_, last): &mut (_, json::Value<'_>) = &mut members[*place.get()];
                    *last = value;
                }
                Entry::Vacant(place) => {
                    place.insert(members.len());
                    members.push((name, value));
                }
            }
        }
        members
    }

    /// Names and values of an object.
    pub(super) fn pairs(&self) -> Vec<(Value, Value)> {
        let members = self.members().into_iter();
        members.map(|(name, value)| (Value::from(&*name), self.value(value))).collect()
    }
}

/// Pays for looking at values; the error, when the budget is used up.
fn over(count: usize) -> Option<Value> {
    budget::look(count).err().map(Value::from)
}

impl Object for Node {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        match self.json().kind() {
            json::Kind::Array => ObjectRepr::Seq,
            _ => ObjectRepr::Map,
        }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let json = self.json();
        if json.kind() == json::Kind::Object {
            // Only text can be a key here; bytes are not text.
            return self.get_value_by_str(key.as_str()?);
        }
        let place = key.as_usize().filter(|place| *place < json.len())?;
        if let Some(over) = over(place / 8 + 1) {
            return Some(over);
        }
        json.items().nth(place).map(|item| self.value(item))
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let json = self.json();
        if json.kind() != json::Kind::Object {
            return None;
        }
        if let Some(over) = over(json.len() / 8 + 1) {
            return Some(over);
        }
        json.get(key).map(|member| self.value(member))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let json = self.json();
        if json.kind() == json::Kind::Array {
            return Enumerator::Iter(Box::new(Items {
                array: Arc::clone(self),
                left: json.len(),
                next: self.node + 1,
            }));
        }
        if let Some(over) = over(json.len()) {
            return Enumerator::Values(vec![over]);
        }
        let names = self.members().into_iter().map(|(name, _)| Value::from(&*name));
        Enumerator::Values(names.collect())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        let json = self.json();
        match json.kind() {
            json::Kind::Object if json.len() > 1 => Some(self.members().len()),
            _ => Some(json.len()),
        }
    }

    fn is_true(self: &Arc<Self>) -> bool {
        !self.json().is_empty()
    }
}

/// The items of an array, walking the index once.
struct Items {
    array: Arc<Node>,
    left: usize,
    next: u32,
}

impl Iterator for Items {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        self.left = self.left.checked_sub(1)?;
        let json = self.array.document.at(self.next);
        self.next = json.after();
        Some(self.array.value(json))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}
