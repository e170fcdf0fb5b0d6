//! Attributes, items, slices and unpacking, as Python's sandbox does them. In: a value and what is asked of it. Out:
//! what is there, or undefined. Never an attribute whose name starts with an underscore, never a change of a value.

use minijinja::value::Tuple;
use minijinja::{Error, Value};

use super::budget;
use super::methods;
use super::repr::items;
use super::value::{Kind, Method, fault, from_int, is_undefined, kind, type_name};

/// `of.name`: the attribute or method, else the item.
pub(super) fn attribute(of: &Value, name: &str) -> Result<Value, Error> {
    if name.starts_with('_') {
        return Ok(Value::UNDEFINED);
    }
    match methods::attribute(of, name) {
        Some(found) => Ok(found),
        None => plain(of.get_attr(name), of),
    }
}

/// `of[key]`: the item, else the attribute or method of that name.
pub(super) fn item(of: &Value, key: &Value) -> Result<Value, Error> {
    budget::look(1)?;
    let found = match (kind(of), kind(key)) {
        (Kind::Undefined, _) => return plain(of.get_attr(""), of),
        (Kind::Dict(dict), _) => dict.get_value(key),
        (Kind::View(_) | Kind::Generator(_) | Kind::Namespace(_) | Kind::Other(_), _) => None,
        (_, Kind::Int(_)) => Some(of.get_item(key)?),
        (_, Kind::Bool(truth)) => Some(of.get_item(&Value::from(i64::from(truth)))?),
        _ => None,
    };
    if let Some(found) = found.filter(|found| !is_undefined(found)) {
        return Ok(found);
    }
    match kind(key) {
        Kind::Str(name) => attribute(of, name),
        _ => Ok(Value::UNDEFINED),
    }
}

/// A lookup of the engine's, where undefined may be asked for anything.
fn plain(found: Result<Value, Error>, of: &Value) -> Result<Value, Error> {
    match found {
        Ok(found) => Ok(found),
        Err(_) if of.is_undefined() => Ok(Value::UNDEFINED),
        Err(fault) => Err(fault),
    }
}

/// `of[start:stop:step]`.
pub(super) fn slice(of: &Value, start: &Value, end: &Value, step: &Value) -> Result<Value, Error> {
    if is_undefined(of) {
        return Ok(Value::from(Vec::<Value>::new()));
    }
    let length = of.len().unwrap_or(0);
    let places = Places::of(length, bound(start)?, bound(end)?, bound(step)?)?;
    match kind(of) {
        Kind::Str(text) => {
            budget::take(text.len())?;
            let out: String = if text.is_ascii() {
                places.map(|place| char::from(text.as_bytes()[place])).collect()
            } else {
                let chars: Vec<char> = text.chars().collect();
                places.map(|place| chars[place]).collect()
            };
            Ok(if of.is_safe() { Value::from_safe_string(out) } else { Value::from(out) })
        }
        Kind::List(list) => {
            budget::take_values(length)?;
            let all: Vec<Value> = items(list).collect();
            Ok(Value::from(places.map(|place| all[place].clone()).collect::<Vec<_>>()))
        }
        Kind::Tuple(tuple) => {
            budget::take_values(length)?;
            Ok(Tuple::from(places.map(|place| tuple[place].clone()).collect::<Vec<_>>()).into())
        }
        _ => Err(fault(format!("{} cannot be sliced", type_name(of)))),
    }
}

fn bound(value: &Value) -> Result<Option<i128>, Error> {
    match kind(value) {
        Kind::None => Ok(None),
        Kind::Int(number) => Ok(Some(number)),
        Kind::Bool(truth) => Ok(Some(i128::from(truth))),
        _ => Err(fault(format!("a slice is made with integers, not {}", type_name(value)))),
    }
}

/// The places a slice names, in order.
struct Places {
    next: i128,
    step: i128,
    left: usize,
}

impl Places {
    fn of(
        length: usize,
        start: Option<i128>,
        end: Option<i128>,
        step: Option<i128>,
    ) -> Result<Self, Error> {
        let (length, step) = (length as i128, step.unwrap_or(1));
        if step == 0 {
            return Err(fault("the step of a slice cannot be zero"));
        }
        // Beyond the length all steps are alike.
        let step = step.clamp(-length - 1, length + 1);
        let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
        let clamp = |place: i128| {
            if place < 0 { (place.saturating_add(length)).max(low) } else { place.min(high) }
        };
        let (first, last) = if step > 0 { (low, high) } else { (high, low) };
        let (start, end) = (start.map_or(first, clamp), end.map_or(last, clamp));
        let distance = if step > 0 { end - start } else { start - end };
        let left = if distance <= 0 { 0 } else { (distance - 1) / step.abs() + 1 };
        Ok(Self { next: start, step, left: left as usize })
    }
}

impl Iterator for Places {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        let place = self.next;
        self.next += self.step;
        Some(place as usize)
    }
}

/// What a loop goes through.
pub(super) fn iterable(value: &Value) -> Result<Value, Error> {
    match kind(value) {
        Kind::Undefined => Ok(Value::UNDEFINED),
        Kind::Str(_)
        | Kind::List(_)
        | Kind::Tuple(_)
        | Kind::Dict(_)
        | Kind::Range(_)
        | Kind::View(_)
        | Kind::Generator(_) => Ok(value.clone()),
        Kind::Bytes(bytes) => {
            budget::take_values(bytes.len())?;
            Ok(bytes.iter().map(|byte| from_int(i128::from(*byte))).collect::<Vec<_>>().into())
        }
        _ => Err(fault(format!("{} cannot be iterated over", type_name(value)))),
    }
}

/// All items of an iterable, paid for.
pub(super) fn collect(value: &Value) -> Result<Vec<Value>, Error> {
    let value = iterable(value)?;
    if value.is_undefined() {
        return Ok(Vec::new());
    }
    budget::take_values(value.len().unwrap_or(0))?;
    let mut all = Vec::with_capacity(value.len().unwrap_or(0));
    for item in value.try_iter()?.checked() {
        budget::look(1)?;
        all.push(item?);
    }
    Ok(all)
}

/// What is unpacked into several names: the engine unpacks lists, Python everything that can be iterated over.
pub(super) fn row(value: &Value) -> Result<Value, Error> {
    match kind(value) {
        Kind::List(_) | Kind::Tuple(_) => Ok(value.clone()),
        _ => collect(value).map(Value::from),
    }
}

/// What a loop with several names goes through: each item ready to be unpacked.
pub(super) fn rows(value: &Value) -> Result<Value, Error> {
    let rows: Result<Vec<Value>, Error> = collect(value)?.iter().map(row).collect();
    rows.map(Value::from)
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
        Kind::List(_) | Kind::Dict(_) => {
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
