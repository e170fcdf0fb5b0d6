//! Filters over things that have items. In: lists, dicts, strings. Out: a value, an item or a list.

use minijinja::{Error, State, Value};

use super::super::args::bind;
use super::super::budget;
use super::super::lookup::collect;
use super::super::repr::pairs;
use super::super::value::{Kind, fault, generate, is_undefined, kind, type_name};
use super::Table;

pub(super) const TABLE: Table = &[
    ("count", length),
    ("d", default),
    ("default", default),
    ("items", entries),
    ("length", length),
    ("list", list),
];

fn default(_state: &mut State<'_, '_>, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [other, boolean] = bind("default", ["default_value", "boolean"], 0, args)?;
    let replaces = boolean.is_some_and(|boolean| boolean.is_true()) && !value.is_true();
    Ok(if is_undefined(value) || replaces {
        other.unwrap_or_else(|| Value::from(""))
    } else {
        value.clone()
    })
}

fn length(_state: &mut State<'_, '_>, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("length", [], 0, args)?;
    match kind(value) {
        Kind::Undefined => Some(Value::from(0)),
        Kind::Generator(_) | Kind::Other(_) => None,
        _ => value.len().map(Value::from),
    }
    .map_or_else(|| Err(fault(format!("{} has no length", type_name(value)))), Ok)
}

fn list(_state: &mut State<'_, '_>, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("list", [], 0, args)?;
    collect(value).map(Value::from)
}

fn entries(_state: &mut State<'_, '_>, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("items", [], 0, args)?;
    let pairs = match kind(value) {
        Kind::Undefined => Vec::new(),
        Kind::Dict(dict) => pairs(dict),
        _ => return Err(fault(format!("items needs a mapping, not {}", type_name(value)))),
    };
    budget::take_values(pairs.len() * 3)?;
    Ok(generate(pairs.into_iter().map(|(key, value)| (key, value).into()).collect()))
}
