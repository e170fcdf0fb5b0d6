//! Arguments bound the way Python binds them: by place or by name. In: what the engine passes, names last. Out: one
//! slot per parameter. Never a silent surplus: too many, doubled and unknown arguments are refused.

use minijinja::value::DynObject;
use minijinja::{Error, Value};

use super::value::fault;

/// Splits positional from keyword arguments.
pub(super) fn split(args: &[Value]) -> (&[Value], Option<&Value>) {
    match args.split_last() {
        Some((last, rest)) if last.is_kwargs() => (rest, Some(last)),
        _ => (args, None),
    }
}

/// The keyword arguments, in the order given.
pub(super) fn named(kwargs: Option<&Value>) -> Vec<(String, Value)> {
    let pairs = kwargs.and_then(Value::as_object).and_then(DynObject::try_iter_pairs);
    pairs
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.as_str().unwrap_or_default().to_owned(), value))
        .collect()
}

/// Binds `args` to `names`; the first `required` must be given.
pub(super) fn bind<const N: usize>(
    what: &str,
    names: [&str; N],
    required: usize,
    args: &[Value],
) -> Result<[Option<Value>; N], Error> {
    let mut slots = [const { None }; N];
    if args.is_empty() && required == 0 {
        return Ok(slots);
    }
    let (placed, kwargs) = split(args);
    if placed.len() > N {
        let given = placed.len();
        return Err(fault(format!("{what} takes at most {N} arguments, not {given}")));
    }
    for (slot, value) in slots.iter_mut().zip(placed) {
        *slot = Some(value.clone());
    }
    for (name, value) in named(kwargs) {
        let Some(place) = names.iter().position(|known| *known == name) else {
            return Err(fault(format!("{what} has no argument '{name}'")));
        };
        if slots[place].replace(value).is_some() {
            return Err(fault(format!("{what} got its argument '{name}' twice")));
        }
    }
    match slots.iter().take(required).position(Option::is_none) {
        Some(missing) => Err(fault(format!("{what} needs its argument '{}'", names[missing]))),
        None => Ok(slots),
    }
}
