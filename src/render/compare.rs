//! Python's comparisons. In: two values. Out: equal or not, an order, or why Python knows none. Never deeper or
//! longer than the budget, however values are nested.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use minijinja::value::DynObject;
use minijinja::{Error, Value};

use super::budget;
use super::lazy::Node;
use super::lookup::{check_key, iterate, key_value};
use super::number::{self, Number, number};
use super::repr::{items, pairs};
use super::sort::sorted_by;
use super::value::{DEPTH_MAX, Kind, Method, Side, fault, index, kind, type_name};

/// A comparison operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
    In,
    NotIn,
}

impl How {
    /// By its spelling.
    pub(super) fn of(sign: &str) -> Option<Self> {
        Some(match sign {
            "==" => Self::Equal,
            "!=" => Self::Unequal,
            "<" => Self::Less,
            "<=" => Self::AtMost,
            ">" => Self::Greater,
            ">=" => Self::AtLeast,
            "in" => Self::In,
            "not in" => Self::NotIn,
            _ => return None,
        })
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::Unequal => "!=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
            Self::In => "in",
            Self::NotIn => "not in",
        }
    }
}

/// Whether `left how right` holds.
pub(super) fn holds(how: How, left: &Value, right: &Value) -> Result<bool, Error> {
    match how {
        How::Equal => equal(left, right),
        How::Unequal => equal(left, right).map(|same| !same),
        How::In => contains(right, left),
        How::NotIn => contains(right, left).map(|found| !found),
        _ => {
            let order = order_at(how, left, right, 0)?;
            Ok(order.is_some_and(|order| match how {
                How::Less => order.is_lt(),
                How::AtMost => order.is_le(),
                How::Greater => order.is_gt(),
                _ => order.is_ge(),
            }))
        }
    }
}

/// `left == right`; never refused.
pub(super) fn equal(left: &Value, right: &Value) -> Result<bool, Error> {
    equal_at(left, right, 0)
}

fn equal_at(left: &Value, right: &Value, depth: usize) -> Result<bool, Error> {
    budget::look(1)?;
    if depth > DEPTH_MAX {
        return Err(fault(format!(
            "values nested deeper than {DEPTH_MAX} levels are not compared"
        )));
    }
    if let (Kind::Str(a), Kind::Str(b)) = (kind(left), kind(right)) {
        budget::spend(a.len().min(b.len()) as u64)?;
        return Ok(a == b);
    }
    if let (Some(a), Some(b)) = (number(left), number(right)) {
        return Ok(number::compare(&a, &b) == Some(Ordering::Equal));
    }
    Ok(match (kind(left), kind(right)) {
        (Kind::Undefined, Kind::Undefined) => left.is_undefined() == right.is_undefined(),
        (Kind::None, Kind::None) => true,
        (Kind::Bytes(a), Kind::Bytes(b)) => a == b,
        (Kind::List(a), Kind::List(b)) => {
            left.len() == right.len() && rows_equal(items(a), items(b), depth)?
        }
        (Kind::Tuple(a), Kind::Tuple(b)) => {
            a.len() == b.len() && rows_equal(a.iter().cloned(), b.iter().cloned(), depth)?
        }
        (Kind::Range(a), Kind::Range(b)) => {
            a.length == b.length
                && (a.length == 0 || a.start == b.start && (a.length == 1 || a.step == b.step))
        }
        (Kind::Dict(a), Kind::Dict(b)) => dicts_equal(a, b, depth)?,
        (Kind::View(a), Kind::View(b)) if a.side != Side::Values && b.side != Side::Values => {
            a.items.len() == b.items.len() && all_among(&a.items, &b.items, depth)?
        }
        (Kind::Method(a), Kind::Method(b)) => a.name == b.name && same_owner(a, b, depth)?,
        _ => is_same(left, right),
    })
}

/// Whether two methods are those of one value: containers of a request are told apart by their places.
fn same_owner(a: &Method, b: &Method, depth: usize) -> Result<bool, Error> {
    match (a.of.downcast_object_ref::<Node>(), b.of.downcast_object_ref::<Node>()) {
        (Some(a), Some(b)) => Ok(a.node == b.node && Arc::ptr_eq(&a.document, &b.document)),
        _ => equal_at(&a.of, &b.of, depth + 1),
    }
}

/// Whether both are one object: what has no value of its own is only equal to itself.
pub(super) fn is_same(left: &Value, right: &Value) -> bool {
    match (left.as_object(), right.as_object()) {
        // An object's text holds its address for no kind that comes here, so its identity is asked of the engine:
        // it compares plain objects of one type by identity first.
        (Some(a), Some(b)) => a.type_name() == b.type_name() && left == right,
        _ => false,
    }
}

fn rows_equal(
    left: impl Iterator<Item = Value>,
    right: impl Iterator<Item = Value>,
    depth: usize,
) -> Result<bool, Error> {
    for (a, b) in left.zip(right) {
        if !equal_at(&a, &b, depth + 1)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn dicts_equal(left: &DynObject, right: &DynObject, depth: usize) -> Result<bool, Error> {
    if left.enumerator_len() != right.enumerator_len() {
        return Ok(false);
    }
    for (key, value) in pairs(left) {
        match right.get_value(&key) {
            Some(other) if equal_at(&value, &other, depth + 1)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

fn all_among(left: &[Value], right: &[Value], depth: usize) -> Result<bool, Error> {
    for item in left {
        if !among(right.iter().cloned(), item, depth)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn among(
    mut items: impl Iterator<Item = Value>,
    wanted: &Value,
    depth: usize,
) -> Result<bool, Error> {
    items.try_fold(false, |found, item| Ok(found || equal_at(&item, wanted, depth + 1)?))
}

/// `<`, `<=`, `>`, `>=`: the order of two values, `None` when NaN is among them.
///
/// # Errors
/// Python orders numbers, strings, bytes, and lists and tuples of these; nothing else.
pub(super) fn order(left: &Value, right: &Value) -> Result<Option<Ordering>, Error> {
    order_at(How::Less, left, right, 0)
}

fn order_at(
    how: How,
    left: &Value,
    right: &Value,
    depth: usize,
) -> Result<Option<Ordering>, Error> {
    budget::look(1)?;
    if depth > DEPTH_MAX {
        return Err(fault(format!(
            "values nested deeper than {DEPTH_MAX} levels are not compared"
        )));
    }
    if let (Some(a), Some(b)) = (number(left), number(right)) {
        return Ok(number::compare(&a, &b));
    }
    match (kind(left), kind(right)) {
        (Kind::Str(a), Kind::Str(b)) => {
            budget::spend(a.len().min(b.len()) as u64)?;
            Ok(Some(a.cmp(b)))
        }
        (Kind::Bytes(a), Kind::Bytes(b)) => Ok(Some(a.cmp(b))),
        (Kind::List(a), Kind::List(b)) => {
            rows_order(how, items(a), items(b), depth, left.len().cmp(&right.len()))
        }
        (Kind::Tuple(a), Kind::Tuple(b)) => {
            let lengths = a.len().cmp(&b.len());
            rows_order(how, a.iter().cloned(), b.iter().cloned(), depth, lengths)
        }
        _ => {
            let (a, b, sign) = (type_name(left), type_name(right), how.sign());
            Err(fault(format!("cannot compare {a} and {b} with '{sign}'")))
        }
    }
}

/// The order of the first items that differ, else that of the lengths.
fn rows_order(
    how: How,
    left: impl Iterator<Item = Value>,
    right: impl Iterator<Item = Value>,
    depth: usize,
    lengths: Ordering,
) -> Result<Option<Ordering>, Error> {
    for (a, b) in left.zip(right) {
        if !equal_at(&a, &b, depth + 1)? {
            return order_at(how, &a, &b, depth + 1);
        }
    }
    Ok(Some(lengths))
}

/// Sorts as Python's `sorted` does: stable, and refused when two items have no order.
pub(super) fn sorted<T>(
    mut all: Vec<T>,
    reverse: bool,
    key: impl Fn(&T) -> &Value,
) -> Result<Vec<T>, Error> {
    let less = |a: &T, b: &T| Ok(order(key(a), key(b))? == Some(Ordering::Less));
    if !reverse {
        return sorted_by(all, less);
    }
    // Equal items keep their order in the reversed row, too.
    all.reverse();
    let mut all = sorted_by(all, less)?;
    all.reverse();
    Ok(all)
}

/// `wanted in held`.
pub(super) fn contains(held: &Value, wanted: &Value) -> Result<bool, Error> {
    match kind(held) {
        Kind::Undefined => Ok(false),
        Kind::Str(text) => match kind(wanted) {
            Kind::Str(part) => {
                budget::spend(text.len() as u64)?;
                Ok(text.contains(part))
            }
            _ => Err(fault(format!("only a string can be in a string, not {}", type_name(wanted)))),
        },
        Kind::Bytes(bytes) => match kind(wanted) {
            Kind::Bytes(part) => {
                // Each place may have to be looked at whole.
                budget::spend((bytes.len() as u64).saturating_mul(part.len() as u64 + 1))?;
                Ok(part.is_empty() || bytes.windows(part.len()).any(|window| window == part))
            }
            _ => match u8::try_from(index("a byte", wanted)?) {
                Ok(byte) => Ok(bytes.contains(&byte)),
                Err(_) => Err(fault("a byte is between 0 and 255")),
            },
        },
        Kind::Dict(dict) => {
            check_key(wanted)?;
            Ok(key_value(dict, wanted).is_some())
        }
        Kind::List(list) => among(items(list), wanted, 0),
        Kind::Tuple(tuple) => among(tuple.iter().cloned(), wanted, 0),
        Kind::View(view) => among(view.items.iter().cloned(), wanted, 0),
        Kind::Range(range) => {
            among((0..range.length).map(|place| Value::from(range.item(place))), wanted, 0)
        }
        Kind::Generator => {
            for item in iterate(held)? {
                if equal(&item?, wanted)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        _ => Err(fault(format!("nothing can be in {}", type_name(held)))),
    }
}

/// Values seen so far, each once, as in a set of Python's.
#[derive(Default)]
pub(super) struct Keys {
    buckets: HashMap<u64, Vec<Value>>,
}

impl Keys {
    /// Keeps a value; whether it is new.
    ///
    /// # Errors
    /// A list or dict cannot be in a set.
    pub(super) fn insert(&mut self, value: Value) -> Result<bool, Error> {
        let mut hasher = DefaultHasher::new();
        hash(&value, &mut hasher)?;
        let bucket = self.buckets.entry(hasher.finish()).or_default();
        for held in bucket.iter() {
            if equal(held, &value)? {
                return Ok(false);
            }
        }
        bucket.push(value);
        Ok(true)
    }
}

/// Hashes so that what is equal has one hash, whatever its kind.
fn hash(value: &Value, hasher: &mut DefaultHasher) -> Result<(), Error> {
    budget::look(1)?;
    if let Some(number) = number(value) {
        match &number {
            Number::Int(small) => (*small as f64).to_bits().hash(hasher),
            Number::Big(_) => number.float().unwrap_or(f64::INFINITY).to_bits().hash(hasher),
            Number::Float(float) => (*float + 0.0).to_bits().hash(hasher),
        }
        return Ok(());
    }
    match kind(value) {
        Kind::Str(text) => text.hash(hasher),
        Kind::Bytes(bytes) => bytes.hash(hasher),
        Kind::Tuple(tuple) => tuple.iter().try_for_each(|item| hash(item, hasher))?,
        Kind::View(view) if view.side == Side::Values => {}
        Kind::List(_) | Kind::Dict(_) | Kind::View(_) => {
            return Err(fault(format!("{} cannot be told apart by a hash", type_name(value))));
        }
        _ => {}
    }
    Ok(())
}
