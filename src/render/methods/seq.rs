//! Members of lists, tuples, ranges and bytes. In: a sequence and arguments. Out: values. Never a change of the
//! sequence.

use minijinja::{Error, Value};

use super::super::args::bind;
use super::super::budget;
use super::super::compare::equal;
use super::super::lookup::collect;
use super::super::value::{Kind, fault, index, kind, type_name};
use super::text::string;
use super::{Member, Table};

pub(super) const LIST: Table = &[
    ("append", Member::Mutator),
    ("clear", Member::Mutator),
    ("copy", Member::Method(copy)),
    ("count", Member::Method(count)),
    ("extend", Member::Mutator),
    ("index", Member::Method(place)),
    ("insert", Member::Mutator),
    ("pop", Member::Mutator),
    ("remove", Member::Mutator),
    ("reverse", Member::Mutator),
    ("sort", Member::Mutator),
];

pub(super) const TUPLE: Table =
    &[("count", Member::Method(count)), ("index", Member::Method(place))];

pub(super) const RANGE: Table = &[
    ("count", Member::Method(count)),
    ("index", Member::Method(place)),
    ("start", Member::Attribute(|of| bound(of, 0))),
    ("step", Member::Attribute(|of| bound(of, 2))),
    ("stop", Member::Attribute(|of| bound(of, 1))),
];

pub(super) const BYTES: Table = &[("decode", Member::Method(decode)), ("hex", Member::Method(hex))];

fn copy(of: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("copy", [], 0, args)?;
    Ok(of.clone())
}

fn count(of: &Value, args: &[Value]) -> Result<Value, Error> {
    let [wanted] = bind("count", [""], 1, args)?;
    let wanted = wanted.unwrap_or_default();
    let mut found = 0;
    for item in collect(of)? {
        found += i64::from(equal(&item, &wanted)?);
    }
    Ok(Value::from(found))
}

fn place(of: &Value, args: &[Value]) -> Result<Value, Error> {
    let [wanted, start, end] = bind("index", ["", "", ""], 1, args)?;
    let wanted = wanted.unwrap_or_default();
    let items = collect(of)?;
    let bound = |value: Option<Value>, default: usize| {
        let Some(value) = value else { return Ok(default) };
        let place = index("index", &value)?;
        let place =
            if place < 0 { place.saturating_add(items.len().cast_signed() as i64) } else { place };
        Ok::<_, Error>(usize::try_from(place).unwrap_or(0).min(items.len()))
    };
    let (start, end) = (bound(start, 0)?, bound(end, items.len())?);
    for (place, item) in items.iter().enumerate().take(end).skip(start) {
        if equal(item, &wanted)? {
            return Ok(Value::from(place));
        }
    }
    Err(fault(format!("the value is not in the {}", type_name(of))))
}

fn bound(of: &Value, which: usize) -> Value {
    match kind(of) {
        Kind::Range(range) => Value::from([range.start, range.end, range.step][which]),
        _ => Value::UNDEFINED,
    }
}

fn decode(of: &Value, args: &[Value]) -> Result<Value, Error> {
    let [encoding, errors] = bind("decode", ["encoding", "errors"], 0, args)?;
    let bytes = of.as_bytes().unwrap_or_default();
    budget::take(bytes.len() * 3)?;
    let encoding = encoding.as_ref().map_or(Ok("utf-8"), |name| string("decode", name))?;
    let errors = errors.as_ref().map_or(Ok("strict"), |name| string("decode", name))?;
    let lossy = errors == "replace";
    match &*encoding.to_ascii_lowercase().replace('_', "-") {
        "utf-8" | "utf8" | "ascii" | "us-ascii" if lossy => {
            Ok(Value::from(String::from_utf8_lossy(bytes).into_owned()))
        }
        "utf-8" | "utf8" => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Value::from(text)),
            Err(_) => Err(fault("the bytes are no UTF-8")),
        },
        "ascii" | "us-ascii" if bytes.is_ascii() => {
            Ok(Value::from(String::from_utf8_lossy(bytes).into_owned()))
        }
        "latin-1" | "latin1" | "iso-8859-1" => {
            Ok(Value::from(bytes.iter().map(|byte| char::from(*byte)).collect::<String>()))
        }
        other => Err(fault(format!("the bytes cannot be decoded as {other}"))),
    }
}

fn hex(of: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("hex", [], 0, args)?;
    let bytes = of.as_bytes().unwrap_or_default();
    budget::take(bytes.len() * 2)?;
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or_default();
    let pairs = bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    Ok(Value::from(pairs.collect::<String>()))
}
