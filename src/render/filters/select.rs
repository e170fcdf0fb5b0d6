//! Filters that apply other filters and tests, item by item and only when asked. In: items, a name and arguments.
//! Out: a generator. Never an item looked at before it is needed.

use minijinja::{Error, Value};

use super::super::args::{named, split};
use super::super::engine::{Scope, find_filter, find_test, nearest_filter, nearest_test};
use super::super::lookup::deferred;
use super::super::value::{Kind, fault, kind, lazily};
use super::Table;
use super::path::Path;

pub(super) const TABLE: Table = &[
    ("map", |scope, value, args| Ok(map(scope, value, args))),
    ("reject", |_, value, args| choose("reject", value, args, false, false)),
    ("rejectattr", |_, value, args| choose("rejectattr", value, args, true, false)),
    ("select", |_, value, args| choose("select", value, args, false, true)),
    ("selectattr", |_, value, args| choose("selectattr", value, args, true, true)),
];

/// A generator that fails when it is asked for its first item, as Python's do.
fn failing(what: String) -> Value {
    lazily(std::iter::once_with(move || Err(fault(what))))
}

fn map(scope: Scope, value: &Value, args: &[Value]) -> Value {
    if !value.is_true() {
        return lazily(std::iter::empty());
    }
    let (placed, kwargs) = split(args);
    let mut kwargs = named(kwargs);
    if placed.is_empty()
        && let Some(at) = kwargs.iter().position(|(name, _)| name == "attribute")
    {
        let attribute = kwargs.remove(at).1;
        let default = kwargs.iter().position(|(name, _)| name == "default");
        let default = default.map(|at| kwargs.remove(at).1);
        if let Some((name, _)) = kwargs.first() {
            return failing(format!("map has no argument '{name}'"));
        }
        let path = match Path::one(Some(&attribute), default) {
            Ok(path) => path,
            Err(fault) => return lazily(std::iter::once(Err(fault))),
        };
        let items = deferred(value);
        return lazily(items.map(move |item| path.follow(&item?)));
    }
    let Some(Kind::Str(name)) = placed.first().map(kind) else {
        return failing("map needs the name of a filter".to_owned());
    };
    let Some(filter) = find_filter(name) else {
        return failing(unknown("filter", name, nearest_filter(name)));
    };
    let (args, items) = (args[1..].to_vec(), deferred(value));
    lazily(items.map(move |item| filter(scope, &item?, &args)))
}

fn choose(
    what: &str,
    value: &Value,
    args: &[Value],
    by_attribute: bool,
    wanted: bool,
) -> Result<Value, Error> {
    if !value.is_true() {
        return Ok(lazily(std::iter::empty()));
    }
    let (placed, _) = split(args);
    let (path, rest) = match placed.first() {
        Some(attribute) if by_attribute => match Path::one(Some(attribute), None) {
            Ok(path) => (path, &args[1..]),
            Err(fault) => return Ok(lazily(std::iter::once(Err(fault)))),
        },
        None if by_attribute => return Ok(failing(format!("{what} needs an attribute"))),
        _ => (Path::one(None, None)?, args),
    };
    let items = deferred(value);
    let (placed, _) = split(rest);
    let Some(name) = placed.first() else {
        return Ok(lazily(items.filter_map(move |item| {
            let kept = item.and_then(|item| {
                let holds = path.follow(&item)?.is_true();
                Ok((holds == wanted).then_some(item))
            });
            kept.transpose()
        })));
    };
    let Kind::Str(name) = kind(name) else {
        return Ok(failing(format!("{what} needs the name of a test")));
    };
    let Some(test) = find_test(name) else {
        return Ok(failing(unknown("test", name, nearest_test(name))));
    };
    let args = rest[1..].to_vec();
    Ok(lazily(items.filter_map(move |item| {
        let kept = item.and_then(|item| {
            let holds = test(&path.follow(&item)?, &args)?;
            Ok((holds == wanted).then_some(item))
        });
        kept.transpose()
    })))
}

fn unknown(what: &str, name: &str, nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("there is no {what} '{name}'; did you mean '{nearest}'?"),
        None => format!("there is no {what} '{name}'"),
    }
}
