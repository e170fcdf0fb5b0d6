//! Methods and attributes of Python's values. In: a value, a name, arguments. Out: what the method gives, or why not.
//! Never a change of a value: methods that would are refused, as Python's immutable sandbox does.

mod dict;
mod text;

use minijinja::{Error, State, Value};

use super::lookup::bind;
use super::value::{Kind, fault, kind, type_name};

/// A method: the value it belongs to, then its arguments with the named ones last.
pub(super) type Call = fn(&Value, &[Value]) -> Result<Value, Error>;

/// Methods by name; `None` for one that would change its value.
pub(super) type Table = &'static [(&'static str, Option<Call>)];

/// Names of methods and attributes of any kind of value.
pub(super) fn is_attribute(name: &str) -> bool {
    [dict::TABLE, text::TABLE].iter().any(|table| find(table, name).is_some())
}

fn find(table: Table, name: &str) -> Option<&'static (&'static str, Option<Call>)> {
    table.iter().find(|row| row.0 == name)
}

fn table(of: &Value) -> Table {
    match kind(of) {
        Kind::Dict(_) => dict::TABLE,
        Kind::Str(_) => text::TABLE,
        _ => &[],
    }
}

/// An attribute or method of a value as a value; `None` when it has none of that name.
pub(super) fn attribute(of: &Value, name: &str) -> Option<Value> {
    find(table(of), name).map(|row| bind(of, row.0))
}

/// Calls a method by name.
pub(super) fn call(
    state: &mut State<'_, '_>,
    of: &Value,
    name: &str,
    args: &[Value],
) -> Result<Value, Error> {
    match find(table(of), name) {
        Some((_, Some(method))) => method(of, args),
        Some((_, None)) => {
            Err(fault(format!("'{name}' would change the {}, which is not allowed", type_name(of))))
        }
        None => match of.as_object().and_then(|object| object.get_value_by_str(name)) {
            Some(held) => held.call(state, args),
            None => Err(fault(format!("{} has no method '{name}'", type_name(of)))),
        },
    }
}
