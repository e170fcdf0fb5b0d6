//! What follows `is`. In: a value and arguments. Out: yes or no, or why Python refuses the question. Never a change.

use minijinja::{Error, Value};

use super::args::bind;
use super::compare::{How, equal, holds, is_same};
use super::engine::{Test, is_filter, is_test};
use super::globals::Function;
use super::lookup::{check_key, iterable};
use super::methods::text::{is_lower, is_upper};
use super::number::{Reckon, number};
use super::ops::arithmetic;
use super::repr::{is_loop, text};
use super::routine::Routine;
use super::value::{Kind, is_undefined, kind};

/// By name.
pub(super) const TABLE: &[(&str, Test)] = &[
    ("!=", |value, args| compared(How::Unequal, value, args)),
    ("<", |value, args| compared(How::Less, value, args)),
    ("<=", |value, args| compared(How::AtMost, value, args)),
    ("==", |value, args| compared(How::Equal, value, args)),
    (">", |value, args| compared(How::Greater, value, args)),
    (">=", |value, args| compared(How::AtLeast, value, args)),
    ("boolean", |value, args| none("boolean", args, matches!(kind(value), Kind::Bool(_)))),
    ("callable", |value, args| none("callable", args, is_callable(value))),
    ("defined", |value, args| none("defined", args, !is_undefined(value))),
    ("divisibleby", divisible_by),
    ("eq", |value, args| compared(How::Equal, value, args)),
    ("equalto", |value, args| compared(How::Equal, value, args)),
    ("escaped", |value, args| none("escaped", args, value.is_safe() || value.is_undefined())),
    ("even", |value, args| parity("even", value, args, 0)),
    ("false", |value, args| none("false", args, matches!(kind(value), Kind::Bool(false)))),
    ("filter", |value, args| none("filter", args, known(value, is_filter)?)),
    ("float", |value, args| none("float", args, matches!(kind(value), Kind::Float(_)))),
    ("ge", |value, args| compared(How::AtLeast, value, args)),
    ("greaterthan", |value, args| compared(How::Greater, value, args)),
    ("gt", |value, args| compared(How::Greater, value, args)),
    ("in", |value, args| compared(How::In, value, args)),
    ("integer", |value, args| {
        none("integer", args, matches!(kind(value), Kind::Int(_) | Kind::Big(_)))
    }),
    ("iterable", |value, args| none("iterable", args, iterable(value).is_ok())),
    ("le", |value, args| compared(How::AtMost, value, args)),
    ("lessthan", |value, args| compared(How::Less, value, args)),
    ("lower", |value, args| none("lower", args, is_lower(&text(value)?))),
    ("lt", |value, args| compared(How::Less, value, args)),
    ("mapping", |value, args| none("mapping", args, matches!(kind(value), Kind::Dict(_)))),
    ("ne", |value, args| compared(How::Unequal, value, args)),
    ("none", |value, args| none("none", args, matches!(kind(value), Kind::None))),
    ("number", |value, args| none("number", args, number(value).is_some())),
    ("odd", |value, args| parity("odd", value, args, 1)),
    ("sameas", same_as),
    ("sequence", |value, args| none("sequence", args, is_sequence(value))),
    ("string", |value, args| none("string", args, matches!(kind(value), Kind::Str(_)))),
    ("test", |value, args| none("test", args, known(value, is_test)?)),
    ("true", |value, args| none("true", args, matches!(kind(value), Kind::Bool(true)))),
    ("undefined", |value, args| none("undefined", args, is_undefined(value))),
    ("upper", |value, args| none("upper", args, is_upper(&text(value)?))),
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

fn divisible_by(value: &Value, args: &[Value]) -> Result<bool, Error> {
    let [num] = bind("divisibleby", ["num"], 1, args)?;
    leaves(value, &num.unwrap_or_default(), 0)
}

fn parity(name: &str, value: &Value, args: &[Value], rest: i64) -> Result<bool, Error> {
    let [] = bind(name, [], 0, args)?;
    leaves(value, &Value::from(2), rest)
}

/// Whether `value % by` is `rest`.
fn leaves(value: &Value, by: &Value, rest: i64) -> Result<bool, Error> {
    equal(&arithmetic(Reckon::Rem, value, by)?, &Value::from(rest))
}

fn is_callable(value: &Value) -> bool {
    match kind(value) {
        Kind::Undefined | Kind::Method(_) => true,
        Kind::Other(object) => {
            is_loop(object)
                || object.downcast_ref::<Routine>().is_some()
                || object.downcast_ref::<Function>().is_some()
        }
        _ => false,
    }
}

/// Whether a table knows a name; what is no name is simply not there.
fn known(name: &Value, table: fn(&str) -> bool) -> Result<bool, Error> {
    check_key(name)?;
    Ok(matches!(kind(name), Kind::Str(name) if table(name)))
}

fn is_sequence(value: &Value) -> bool {
    matches!(
        kind(value),
        Kind::Undefined
            | Kind::Str(_)
            | Kind::Bytes(_)
            | Kind::List(_)
            | Kind::Tuple(_)
            | Kind::Dict(_)
            | Kind::Range(_)
    )
}

/// Python's `is`: the very same object. Small values are taken as one when they are equal and of one kind.
fn same_as(value: &Value, args: &[Value]) -> Result<bool, Error> {
    let [other] = bind("sameas", ["other"], 1, args)?;
    let other = other.unwrap_or_default();
    Ok(match (kind(value), kind(&other)) {
        (Kind::Undefined, Kind::Undefined) | (Kind::None, Kind::None) => true,
        (Kind::Bool(a), Kind::Bool(b)) => a == b,
        (Kind::Int(a), Kind::Int(b)) => a == b,
        (Kind::Float(a), Kind::Float(b)) => a.to_bits() == b.to_bits(),
        (Kind::Str(a), Kind::Str(b)) => a == b && value.is_safe() == other.is_safe(),
        _ => is_same(value, &other),
    })
}
