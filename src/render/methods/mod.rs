//! Methods and attributes of Python's values. In: a value, a name, arguments. Out: what the method gives, or why not.
//! Never a change of a value: methods that would are refused, as Python's immutable sandbox does.

mod dict;
mod number;
pub(super) mod parts;
mod seq;
pub(super) mod text;

use minijinja::{Error, State, Value};

pub(super) use dict::from_keys;

use super::error::nearest;
use super::lookup::bind;
use super::value::{Kind, fault, kind, type_name};

/// A method: the value it belongs to, then its arguments with the named ones last.
pub(super) type Call = fn(&Value, &[Value]) -> Result<Value, Error>;

/// What a name is of a value.
#[derive(Clone, Copy)]
pub(super) enum Member {
    Method(Call),
    /// A method that would change the value.
    Mutator,
    /// An attribute that is there without a call.
    Attribute(fn(&Value) -> Value),
}

/// Members by name.
pub(super) type Table = &'static [(&'static str, Member)];

const TABLES: [Table; 9] = [
    dict::TABLE,
    text::TABLE,
    parts::TABLE,
    seq::LIST,
    seq::TUPLE,
    seq::RANGE,
    number::INTEGER,
    number::FLOAT,
    seq::BYTES,
];

/// Names of members of any kind of value.
pub(super) fn is_attribute(name: &str) -> bool {
    TABLES.iter().any(|table| table.iter().any(|row| row.0 == name))
}

fn tables(of: &Value) -> &'static [Table] {
    match kind(of) {
        Kind::Dict(_) => &[dict::TABLE],
        Kind::Str(_) => &[text::TABLE, parts::TABLE],
        Kind::List(_) => &[seq::LIST],
        Kind::Tuple(_) => &[seq::TUPLE],
        Kind::Range(_) => &[seq::RANGE],
        Kind::Bool(_) | Kind::Int(_) | Kind::Big(_) => &[number::INTEGER],
        Kind::Float(_) => &[number::FLOAT],
        Kind::Bytes(_) => &[seq::BYTES],
        _ => &[],
    }
}

fn find(of: &Value, name: &str) -> Option<&'static (&'static str, Member)> {
    tables(of).iter().find_map(|table| table.iter().find(|row| row.0 == name))
}

/// An attribute or method of a value as a value; `None` when it has none of that name.
pub(super) fn attribute(of: &Value, name: &str) -> Option<Value> {
    let (name, member) = find(of, name)?;
    Some(match member {
        Member::Method(_) => bind(of, name),
        // What is unsafe is undefined, so that calling it fails.
        Member::Mutator => Value::UNDEFINED,
        Member::Attribute(read) => read(of),
    })
}

/// Calls a method by name.
pub(super) fn call(
    state: &mut State<'_, '_>,
    of: &Value,
    name: &str,
    args: &[Value],
) -> Result<Value, Error> {
    match find(of, name) {
        Some((_, Member::Method(method))) => method(of, args),
        Some((_, Member::Attribute(read))) => read(of).call(state, args),
        Some((_, Member::Mutator)) => {
            Err(fault(format!("'{name}' would change the {}, which is not allowed", type_name(of))))
        }
        None => {
            let held = of.as_object().and_then(|object| object.get_value_by_str(name));
            held.ok_or_else(|| unknown(of, name))?.call(state, args)
        }
    }
}

fn unknown(of: &Value, name: &str) -> Error {
    let names = tables(of).iter().flat_map(|table| table.iter()).map(|row| row.0);
    let meant = nearest(name, names).map(|meant| format!("; did you mean '{meant}'?"));
    fault(format!("{} has no method '{name}'{}", type_name(of), meant.unwrap_or_default()))
}
