//! Methods of strings. In: a string and arguments. Out: what Python's method gives. Never longer than the budget.

use minijinja::{Error, Value};

use super::super::args::bind;
use super::super::budget;
use super::Table;

pub(super) const TABLE: Table = &[
    ("lower", Some(|of, args| plain(of, args, "lower", str::to_lowercase))),
    ("upper", Some(|of, args| plain(of, args, "upper", str::to_uppercase))),
];

/// A method without arguments that gives a string, safe when the first was.
fn plain(
    of: &Value,
    args: &[Value],
    name: &str,
    change: impl FnOnce(&str) -> String,
) -> Result<Value, Error> {
    let [] = bind(name, [], 0, args)?;
    let text = of.as_str().unwrap_or_default();
    budget::take(text.len() * 2)?;
    let changed = change(text);
    Ok(if of.is_safe() { Value::from_safe_string(changed) } else { Value::from(changed) })
}
