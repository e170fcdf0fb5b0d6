//! Attributes, items, slices and unpacking, as Python's sandbox does them. In: a value and what is asked of it. Out:
//! what is there, or undefined. Never an attribute whose name starts with an underscore, never a change of a value.

use minijinja::value::{DynObject, Tuple};
use minijinja::{Error, Value};
use num_bigint::Sign;

use super::budget;
use super::lazy::Node;
use super::methods;
use super::number::{Number, number};
use super::repr::{is_loop, pairs, text};
use super::value::{
    Kind, Method, Range, Side, broken, fault, from_int, is_undefined, kind, marked, type_name,
};

/// The attributes of a Python dict that the sandbox hides.
const HIDDEN: &[&str] = &[
    "__class__",
    "__class_getitem__",
    "__contains__",
    "__delattr__",
    "__delitem__",
    "__dir__",
    "__doc__",
    "__eq__",
    "__format__",
    "__ge__",
    "__getattribute__",
    "__getitem__",
    "__getstate__",
    "__gt__",
    "__hash__",
    "__init__",
    "__init_subclass__",
    "__ior__",
    "__iter__",
    "__le__",
    "__len__",
    "__lt__",
    "__ne__",
    "__new__",
    "__or__",
    "__reduce__",
    "__reduce_ex__",
    "__repr__",
    "__reversed__",
    "__ror__",
    "__setattr__",
    "__setitem__",
    "__sizeof__",
    "__str__",
    "__subclasshook__",
];

/// `of.name`: the attribute or method, else the item.
pub(super) fn attribute(of: &Value, name: &str) -> Result<Value, Error> {
    if is_undefined(of) {
        return chained(of);
    }
    if name.starts_with('_') {
        // The sandbox hides attributes, not keys such as `_id`: these are read where no attribute is in their way.
        let is_key = matches!(kind(of), Kind::Dict(_)) && !HIDDEN.contains(&name);
        return if is_key { sound(of.get_attr(name)?) } else { Ok(Value::UNDEFINED) };
    }
    match methods::attribute(of, name) {
        Some(found) => Ok(found),
        None => sound(of.get_attr(name)?),
    }
}

/// `of[key]`: the item, else the attribute or method of that name.
pub(super) fn item(of: &Value, key: &Value) -> Result<Value, Error> {
    budget::look(1)?;
    if let Kind::Undefined = kind(of) {
        return chained(of);
    }
    let place = match kind(key) {
        Kind::Int(_) => Some(key.clone()),
        Kind::Bool(truth) => Some(Value::from(i64::from(truth))),
        _ => None,
    };
    let found = match (kind(of), place) {
        (Kind::Broken, _) => return Err(broken(of)),
        (Kind::Dict(dict), _) if check_key(key).is_ok() => key_value(dict, key),
        (Kind::Str(_), Some(place)) => {
            let c = of.get_item(&place)?;
            Some(if of.is_safe() { marked(text(&c)?, true) } else { c })
        }
        (Kind::List(_) | Kind::Tuple(_) | Kind::Range(_) | Kind::Bytes(_), Some(place)) => {
            Some(of.get_item(&place)?)
        }
        _ => None,
    };
    if let Some(found) = found.filter(|found| !found.is_undefined()) {
        return sound(found);
    }
    match kind(key) {
        Kind::Str(name) => own_attribute(of, name),
        _ => Ok(Value::UNDEFINED),
    }
}

/// An attribute or method that is no item of a dict.
fn own_attribute(of: &Value, name: &str) -> Result<Value, Error> {
    match kind(of) {
        _ if name.starts_with('_') => Ok(Value::UNDEFINED),
        Kind::Dict(_) => Ok(methods::attribute(of, name).unwrap_or_default()),
        _ => attribute(of, name),
    }
}

/// What undefined has of any name: undefined again, but for what an `if` without `else` gave.
fn chained(of: &Value) -> Result<Value, Error> {
    if of.is_undefined() {
        return Ok(Value::UNDEFINED);
    }
    Err(fault("an `if` without `else` that is false gives nothing, and nothing can be read of it"))
}

/// A value that could be made.
fn sound(value: Value) -> Result<Value, Error> {
    if let Kind::Broken = kind(&value) { Err(broken(&value)) } else { Ok(value) }
}

/// The value of a key in a dict: numbers are one key when they are equal, whatever their kind.
pub(super) fn key_value(dict: &DynObject, key: &Value) -> Option<Value> {
    if let Some(found) = dict.get_value(key) {
        return Some(found);
    }
    let small = match number(key)? {
        Number::Int(small) => small,
        Number::Float(float) if float.fract() == 0.0 && float.abs() < 1e15 => float as i128,
        _ => return None,
    };
    let kinds = [
        Some(from_int(small)),
        Some(Value::from(small as f64)),
        (0..=1).contains(&small).then(|| Value::from(small == 1)),
    ];
    kinds.into_iter().flatten().find_map(|key| dict.get_value(&key))
}

/// How many items a value has; `None` when Python's `len` refuses it.
pub(super) fn length(value: &Value) -> Option<usize> {
    match kind(value) {
        Kind::Undefined => Some(0),
        Kind::Other(object) if is_loop(object) => object.get_value_by_str("length")?.as_usize(),
        Kind::Generator | Kind::Other(_) | Kind::Namespace(_) | Kind::Method(_) => None,
        _ => value.len(),
    }
}

/// A slice that Jinja takes when it compiles: there what cannot be sliced is undefined. A step of zero stays refused.
pub(super) fn slice_constant(
    of: &Value,
    start: &Value,
    end: &Value,
    by: &Value,
) -> Result<Value, Error> {
    match slice(of, start, end, by) {
        Err(refused) if is_sliced(of) && matches!(bound(by), Ok(Some(0))) => Err(refused),
        made => Ok(made.unwrap_or_default()),
    }
}

fn is_sliced(of: &Value) -> bool {
    let kind = kind(of);
    matches!(kind, Kind::Str(_) | Kind::List(_) | Kind::Tuple(_) | Kind::Range(_) | Kind::Bytes(_))
}

/// `of[start:stop:step]`.
pub(super) fn slice(of: &Value, start: &Value, end: &Value, by: &Value) -> Result<Value, Error> {
    if is_undefined(of) {
        return chained(of);
    }
    if !is_sliced(of) {
        return Err(fault(format!("{} cannot be sliced", type_name(of))));
    }
    let length = of.len().unwrap_or(0);
    let places = Places::of(length, bound(start)?, bound(end)?, bound(by)?)?;
    match kind(of) {
        Kind::Str(text) => {
            budget::take(text.len())?;
            let out: String = if text.is_ascii() && places.by == 1 {
                text[places.range()].to_owned()
            } else if text.is_ascii() {
                places.map(|place| char::from(text.as_bytes()[place])).collect()
            } else {
                let chars: Vec<char> = text.chars().collect();
                places.map(|place| chars[place]).collect()
            };
            Ok(marked(out, of.is_safe()))
        }
        Kind::Bytes(bytes) => {
            budget::take(bytes.len())?;
            Ok(Value::from_bytes(places.map(|place| bytes[place]).collect()))
        }
        Kind::Range(range) => {
            let at = |place: i128| i128::from(range.start) + i128::from(range.step) * place;
            // What is cut from no items keeps its step, however large.
            let by = bound(by)?.unwrap_or(1);
            let (start, end, by) =
                (at(places.next), at(places.end), i128::from(range.step).saturating_mul(by));
            let small = |number: i128| number.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
            let length = places.left;
            let range = Range { start: small(start), end: small(end), step: small(by), length };
            Ok(Value::from_object(range))
        }
        Kind::Tuple(tuple) => {
            budget::take_values(length)?;
            Ok(Tuple::from(places.map(|place| tuple[place].clone()).collect::<Vec<_>>()).into())
        }
        _ => {
            if let (Some(node), 1) = (of.downcast_object_ref::<Node>(), places.by) {
                return node_slice(node, places.range());
            }
            let all = collect(of)?;
            Ok(Value::from(places.map(|place| all[place].clone()).collect::<Vec<_>>()))
        }
    }
}

/// Items in a row, of the request's own JSON.
fn node_slice(node: &Node, places: std::ops::Range<usize>) -> Result<Value, Error> {
    budget::look(places.end)?;
    budget::take_values(places.len())?;
    let mut row = Vec::with_capacity(places.len());
    for item in node.row(places) {
        row.push(sound(item)?);
    }
    Ok(Value::from_object(row))
}

fn bound(value: &Value) -> Result<Option<i128>, Error> {
    match kind(value) {
        Kind::None => Ok(None),
        Kind::Int(number) => Ok(Some(number)),
        Kind::Bool(truth) => Ok(Some(i128::from(truth))),
        Kind::Big(big) => Ok(Some(if big.0.sign() == Sign::Minus { i128::MIN } else { i128::MAX })),
        _ => Err(fault(format!("a slice is made with integers, not {}", type_name(value)))),
    }
}

/// The places a slice names, in order.
struct Places {
    next: i128,
    end: i128,
    by: i128,
    left: usize,
}

impl Places {
    fn of(
        length: usize,
        start: Option<i128>,
        end: Option<i128>,
        by: Option<i128>,
    ) -> Result<Self, Error> {
        let (length, by) = (length as i128, by.unwrap_or(1));
        if by == 0 {
            return Err(fault("the step of a slice cannot be zero"));
        }
        // Beyond the length all steps are alike.
        let by = by.clamp(-length - 1, length + 1);
        let (low, high) = if by > 0 { (0, length) } else { (-1, length - 1) };
        let clamp = |place: i128| {
            if place < 0 { (place.saturating_add(length)).max(low) } else { place.min(high) }
        };
        let (first, last) = if by > 0 { (low, high) } else { (high, low) };
        let (start, end) = (start.map_or(first, clamp), end.map_or(last, clamp));
        let distance = if by > 0 { end - start } else { start - end };
        let left = if distance <= 0 { 0 } else { (distance - 1) / by.abs() + 1 };
        Ok(Self { next: start, end, by, left: left as usize })
    }
}

impl Places {
    /// The places of a step of one.
    fn range(&self) -> std::ops::Range<usize> {
        let start = self.next as usize;
        start..start + self.left
    }
}

impl Iterator for Places {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        let place = self.next;
        self.next += self.by;
        Some(place as usize)
    }
}

/// What a loop goes through.
pub(super) fn iterable(value: &Value) -> Result<Value, Error> {
    match kind(value) {
        Kind::Broken => Err(broken(value)),
        Kind::Undefined => Ok(Value::UNDEFINED),
        Kind::Str(_)
        | Kind::List(_)
        | Kind::Tuple(_)
        | Kind::Dict(_)
        | Kind::Range(_)
        | Kind::View(_)
        | Kind::Generator => Ok(value.clone()),
        Kind::Bytes(bytes) => {
            budget::take_values(bytes.len())?;
            Ok(bytes.iter().map(|byte| from_int(i128::from(*byte))).collect::<Vec<_>>().into())
        }
        _ => Err(fault(format!("{} cannot be iterated over", type_name(value)))),
    }
}

/// What a `for` goes through: a list where the engine would not know the length.
pub(super) fn looped(value: &Value) -> Result<Value, Error> {
    match kind(value) {
        Kind::Generator | Kind::Str(_) => collect(value).map(Value::from),
        _ => iterable(value),
    }
}

/// The items for which a condition holds.
pub(super) fn filtered(
    value: &Value,
    mut holds: impl FnMut(Value) -> Result<bool, Error>,
) -> Result<Value, Error> {
    let mut kept = Vec::new();
    for item in iterate(value)? {
        let item = item?;
        if holds(item.clone())? {
            budget::take_values(1)?;
            kept.push(item);
        }
    }
    Ok(Value::from(kept))
}

/// Whether a loop would go through anything.
pub(super) fn any(value: &Value) -> Result<bool, Error> {
    iterate(value)?.next().transpose().map(|first| first.is_some())
}

/// The items of an iterable, one by one, paid for.
pub(super) fn iterate(
    value: &Value,
) -> Result<impl Iterator<Item = Result<Value, Error>> + Send + use<>, Error> {
    let items = match iterable(value)? {
        value if is_undefined(&value) => None,
        value => Some(value.try_iter()?),
    };
    Ok(items.into_iter().flatten().map(|item| {
        budget::look(1)?;
        sound(item)
    }))
}

/// The items of an iterable, which is looked at only when the first is asked for.
pub(super) fn deferred(value: &Value) -> impl Iterator<Item = Result<Value, Error>> + Send + use<> {
    let value = value.clone();
    std::iter::once_with(move || iterate(&value)).flat_map(|items| {
        let (items, fault) = match items {
            Ok(items) => (Some(items), None),
            Err(fault) => (None, Some(Err(fault))),
        };
        items.into_iter().flatten().chain(fault)
    })
}

/// All items of an iterable, paid for.
pub(super) fn collect(value: &Value) -> Result<Vec<Value>, Error> {
    let length = value.len().unwrap_or(0);
    budget::take_values(length)?;
    let mut all = Vec::with_capacity(length);
    for item in iterate(value)? {
        if all.len() >= length {
            budget::take_values(1)?;
        }
        all.push(item?);
    }
    Ok(all)
}

/// Values that one named argument takes room for on its way into a call.
const NAMED_VALUES: usize = 4;

/// What is given as `**value`: a dict of names.
pub(super) fn named_arguments(value: &Value) -> Result<Value, Error> {
    let Kind::Dict(dict) = kind(value) else {
        return Err(fault(format!("named arguments come from a dict, not {}", type_name(value))));
    };
    // The names are copied here, in the call's own arguments, and where they are bound.
    budget::take_values(value.len().unwrap_or(0).saturating_mul(NAMED_VALUES))?;
    if pairs(dict).iter().all(|(name, _)| matches!(kind(name), Kind::Str(_))) {
        return Ok(value.clone());
    }
    Err(fault("named arguments have names that are strings"))
}

/// What is unpacked into several names: the engine unpacks lists, Python everything that can be iterated over.
pub(super) fn row(value: &Value) -> Result<Value, Error> {
    match kind(value) {
        Kind::List(_) | Kind::Tuple(_) => Ok(value.clone()),
        _ => collect(value).map(Value::from),
    }
}

/// What a loop with several names goes through: the engine unpacks no strings.
pub(super) fn rows(value: &Value) -> Result<Value, Error> {
    let mut rows = collect(value)?;
    for item in &mut rows {
        if let Kind::Str(_) | Kind::Bytes(_) = kind(item) {
            *item = row(item)?;
        }
    }
    Ok(Value::from(rows))
}

/// The same for a loop with a filter: each item a tuple.
pub(super) fn tuples(value: &Value) -> Result<Value, Error> {
    let mut rows = collect(value)?;
    for item in &mut rows {
        *item = Tuple::from(collect(item)?).into();
    }
    Ok(Value::from(rows))
}

/// A dict of keys and values in turn.
pub(super) fn dict(pairs: &Value) -> Result<Value, Error> {
    let all = collect(pairs)?;
    let mut made: Vec<(Value, Value)> = Vec::with_capacity(all.len() / 2);
    for pair in all.chunks_exact(2) {
        check_key(&pair[0])?;
        made.push((pair[0].clone(), pair[1].clone()));
    }
    Ok(Value::from_pairs(made))
}

/// Refuses what cannot be the key of a dict.
pub(super) fn check_key(key: &Value) -> Result<(), Error> {
    match kind(key) {
        Kind::Broken => Err(broken(key)),
        Kind::View(view) if view.side == Side::Values => Ok(()),
        Kind::List(_) | Kind::Dict(_) | Kind::View(_) => {
            Err(fault(format!("{} cannot be the key of a dict", type_name(key))))
        }
        Kind::Tuple(tuple) => tuple.iter().try_for_each(check_key),
        _ => Ok(()),
    }
}

/// `{% set of.name = value %}`.
pub(super) fn assign(of: &Value, name: &str, value: &Value) -> Result<Value, Error> {
    match kind(of) {
        Kind::Namespace(namespace) => {
            budget::take(name.len() + size_of::<Value>())?;
            namespace.set(name, value.clone());
            Ok(Value::from(()))
        }
        _ => Err(fault(format!("only a namespace can be assigned to, not {}", type_name(of)))),
    }
}

/// A method of a value as a value.
pub(super) fn bind(of: &Value, name: &'static str) -> Value {
    Value::from_object(Method { of: of.clone(), name })
}
