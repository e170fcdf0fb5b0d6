//! Methods of dicts. In: a dict and arguments. Out: values and views. Never a change of the dict.

use minijinja::value::Tuple;
use minijinja::{Error, Value};

use super::super::args::bind;
use super::super::budget;
use super::super::lookup::{check_key, collect, key_value};
use super::super::repr::pairs;
use super::super::value::{Kind, Side, View, kind};
use super::{Member, Table};

pub(super) const TABLE: Table = &[
    ("clear", Member::Mutator),
    ("copy", Member::Method(copy)),
    ("fromkeys", Member::Method(|_, args| from_keys(args))),
    ("get", Member::Method(get)),
    ("items", Member::Method(|of, args| view(of, args, "items", Side::Items))),
    ("keys", Member::Method(|of, args| view(of, args, "keys", Side::Keys))),
    ("pop", Member::Mutator),
    ("popitem", Member::Mutator),
    ("setdefault", Member::Mutator),
    ("update", Member::Mutator),
    ("values", Member::Method(|of, args| view(of, args, "values", Side::Values))),
];

fn get(of: &Value, args: &[Value]) -> Result<Value, Error> {
    let [key, default] = bind("get", ["", ""], 1, args)?;
    let key = key.unwrap_or_default();
    check_key(&key)?;
    let found = of.as_object().and_then(|dict| key_value(dict, &key));
    Ok(found.or(default).unwrap_or(Value::from(())))
}

fn copy(of: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("copy", [], 0, args)?;
    Ok(of.clone())
}

/// A dict of keys that all have one value.
pub(in super::super) fn from_keys(args: &[Value]) -> Result<Value, Error> {
    let [keys, value] = bind("fromkeys", ["", ""], 1, args)?;
    let value = value.unwrap_or(Value::from(()));
    let keys = collect(&keys.unwrap_or_default())?;
    keys.iter().try_for_each(check_key)?;
    Ok(Value::from_pairs(keys.into_iter().map(|key| (key, value.clone()))))
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
