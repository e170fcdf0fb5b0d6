//! What follows `is`. In: a value and arguments. Out: yes or no, or why Python refuses the question. Never a change.

use std::cmp::Ordering;

use minijinja::{Error, State, Value};

use super::args::bind;
use super::compare::{How, holds};
use super::engine::Test;
use super::number::{Number, Reckon, compare, number, reckon};
use super::value::{Kind, fault, is_undefined, kind, type_name};

/// By name.
pub(super) const TABLE: &[(&str, Test)] = &[
    ("boolean", |_, value, args| none("boolean", args, matches!(kind(value), Kind::Bool(_)))),
    ("defined", |_, value, args| none("defined", args, !is_undefined(value))),
    ("divisibleby", divisible_by),
    ("eq", |_, value, args| compared(How::Equal, value, args)),
    ("equalto", |_, value, args| compared(How::Equal, value, args)),
    ("even", |_, value, args| parity("even", value, args, 0)),
    ("false", |_, value, args| none("false", args, matches!(kind(value), Kind::Bool(false)))),
    ("float", |_, value, args| none("float", args, matches!(kind(value), Kind::Float(_)))),
    ("ge", |_, value, args| compared(How::AtLeast, value, args)),
    ("greaterthan", |_, value, args| compared(How::Greater, value, args)),
    ("gt", |_, value, args| compared(How::Greater, value, args)),
    ("in", |_, value, args| compared(How::In, value, args)),
    ("integer", |_, value, args| {
        none("integer", args, matches!(kind(value), Kind::Int(_) | Kind::Big(_)))
    }),
    ("le", |_, value, args| compared(How::AtMost, value, args)),
    ("lessthan", |_, value, args| compared(How::Less, value, args)),
    ("lt", |_, value, args| compared(How::Less, value, args)),
    ("mapping", |_, value, args| none("mapping", args, matches!(kind(value), Kind::Dict(_)))),
    ("ne", |_, value, args| compared(How::Unequal, value, args)),
    ("none", |_, value, args| none("none", args, matches!(kind(value), Kind::None))),
    ("number", |_, value, args| none("number", args, number(value).is_some())),
    ("odd", |_, value, args| parity("odd", value, args, 1)),
    ("string", |_, value, args| none("string", args, matches!(kind(value), Kind::Str(_)))),
    ("true", |_, value, args| none("true", args, matches!(kind(value), Kind::Bool(true)))),
    ("undefined", |_, value, args| none("undefined", args, is_undefined(value))),
];

/// A test without arguments.
fn none(name: &str, args: &[Value], holds: bool) -> Result<bool, Error> {
    let [] = bind(name, [], 0, args)?;
    Ok(holds)
}

fn compared(how: How, value: &Value, args: &[Value]) -> Result<bool, Error> {
    let [other] = bind("the test", ["other"], 1, args)?;
    holds(how, value, &other.unwrap_or_default())
}

fn divisible_by(_state: &mut State<'_, '_>, value: &Value, args: &[Value]) -> Result<bool, Error> {
    let [num] = bind("divisibleby", ["num"], 1, args)?;
    remainder(value, &num.unwrap_or_default()).map(|rest| rest.is_zero())
}

fn parity(name: &str, value: &Value, args: &[Value], rest: i128) -> Result<bool, Error> {
    let [] = bind(name, [], 0, args)?;
    let found = remainder(value, &Value::from(2))?;
    Ok(compare(&found, &Number::Int(rest)) == Some(Ordering::Equal))
}

fn remainder(value: &Value, by: &Value) -> Result<Number, Error> {
    match (number(value), number(by)) {
        (Some(a), Some(b)) => reckon(Reckon::Rem, a, b),
        (None, _) => Err(fault(format!("{} is no number to divide", type_name(value)))),
        (_, None) => Err(fault(format!("{} is no number to divide by", type_name(by)))),
    }
}
