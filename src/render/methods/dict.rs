//! Methods of dicts. In: a dict and arguments. Out: values and views. Never a change of the dict.

use minijinja::value::Tuple;
use minijinja::{Error, Value};

use super::super::args::bind;
use super::super::budget;
use super::super::repr::pairs;
use super::super::value::{Kind, Side, View, kind};
use super::Table;

pub(super) const TABLE: Table = &[
    ("clear", None),
    ("copy", Some(copy)),
    ("get", Some(get)),
    ("items", Some(|of, args| view(of, args, "items", Side::Items))),
    ("keys", Some(|of, args| view(of, args, "keys", Side::Keys))),
    ("pop", None),
    ("popitem", None),
    ("setdefault", None),
    ("update", None),
    ("values", Some(|of, args| view(of, args, "values", Side::Values))),
];

fn get(of: &Value, args: &[Value]) -> Result<Value, Error> {
    let [key, default] = bind("get", ["key", "default"], 1, args)?;
    let key = key.unwrap_or_default();
    let found = of.as_object().and_then(|object| object.get_value(&key));
    Ok(found.or(default).unwrap_or(Value::from(())))
}

fn copy(of: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("copy", [], 0, args)?;
    Ok(of.clone())
}

fn view(of: &Value, args: &[Value], name: &str, side: Side) -> Result<Value, Error> {
    let [] = bind(name, [], 0, args)?;
    let Kind::Dict(dict) = kind(of) else { return Ok(Value::UNDEFINED) };
    budget::take_values(of.len().unwrap_or(0) * 3)?;
    let items = pairs(dict).into_iter().map(|(key, value)| match side {
        Side::Keys => key,
        Side::Values => value,
        Side::Items => Tuple::from([key, value]).into(),
    });
    Ok(Value::from_object(View { side, items: items.collect() }))
}
