//! Filters over text. In: any value, taken as its text. Out: text. Never longer than the budget.

use minijinja::{Error, State, Value};

use super::super::args::bind;
use super::super::budget;
use super::super::ops;
use super::super::repr::text;
use super::super::value::{Kind, kind};
use super::Table;

pub(super) const TABLE: Table = &[
    ("e", escape),
    ("escape", escape),
    ("lower", |_, value, args| change("lower", value, args, str::to_lowercase)),
    ("safe", safe),
    ("string", string),
    ("upper", |_, value, args| change("upper", value, args, str::to_uppercase)),
];

/// A filter without arguments that gives a string, safe when the first was.
fn change(
    name: &str,
    value: &Value,
    args: &[Value],
    how: impl FnOnce(&str) -> String,
) -> Result<Value, Error> {
    let [] = bind(name, [], 0, args)?;
    let whole = text(value)?;
    budget::take(whole.len() * 2)?;
    let changed = how(&whole);
    Ok(if value.is_safe() { Value::from_safe_string(changed) } else { Value::from(changed) })
}

fn string(_state: &mut State<'_, '_>, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("string", [], 0, args)?;
    match kind(value) {
        Kind::Str(_) => Ok(value.clone()),
        _ => text(value).map(Value::from),
    }
}

fn safe(_state: &mut State<'_, '_>, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("safe", [], 0, args)?;
    if value.is_safe() { Ok(value.clone()) } else { text(value).map(Value::from_safe_string) }
}

fn escape(_state: &mut State<'_, '_>, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("escape", [], 0, args)?;
    if value.is_safe() {
        return Ok(value.clone());
    }
    let mut out = String::new();
    ops::escape(&mut out, &text(value)?)?;
    Ok(Value::from_safe_string(out))
}
