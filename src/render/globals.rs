//! The names every template has besides the request's: `range`, `dict`, `namespace`. In: arguments. Out: values.
//! Never `debug`, never anything of the process.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr};
use minijinja::{Error, State, Value};

use super::args::{bind, named, split};
use super::budget;
use super::lookup::{check_key, collect, iterable};
use super::repr::pairs;
use super::value::{Kind, Range, fault, kind, new_namespace, type_name};

/// Most items of a `range`, as in Prefect's sandbox.
const RANGE_MAX: usize = 100;

type Call = fn(&[Value]) -> Result<Value, Error>;

/// A function of ours as a value.
struct Function {
    name: &'static str,
    call: Call,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<function {}>", self.name)
    }
}

impl Object for Function {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        (self.call)(args)
    }
}

/// All of them.
pub(super) fn all() -> impl Iterator<Item = (&'static str, Value)> {
    let table: [(&'static str, Call); 3] =
        [("range", range), ("dict", dict), ("namespace", namespace)];
    table.into_iter().map(|(name, call)| (name, Value::from_object(Function { name, call })))
}

fn range(args: &[Value]) -> Result<Value, Error> {
    let (placed, kwargs) = split(args);
    if kwargs.is_some() {
        return Err(fault("range takes no named arguments"));
    }
    let mut bounds = Vec::with_capacity(3);
    for arg in placed {
        bounds.push(match kind(arg) {
            Kind::Int(number) => i64::try_from(number)
                .ok()
                .filter(|number| number.unsigned_abs() <= 1 << 60)
                .ok_or_else(|| fault(format!("range goes up to 2**60, not to {number}")))?,
            Kind::Bool(truth) => i64::from(truth),
            _ => return Err(fault(format!("range counts integers, not {}", type_name(arg)))),
        });
    }
    let (start, end, step) = match bounds[..] {
        [end] => (0, end, 1),
        [start, end] => (start, end, 1),
        [start, end, step] => (start, end, step),
        _ => return Err(fault("range takes one to three integers")),
    };
    if step == 0 {
        return Err(fault("the step of a range cannot be zero"));
    }
    let distance = if step > 0 { end - start } else { start - end };
    let length = if distance <= 0 { 0 } else { (distance - 1) / step.abs() + 1 };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > RANGE_MAX {
        return Err(fault(format!("a range has at most {RANGE_MAX} items, not {length}")));
    }
    Ok(Value::from_object(Range { start, end, step, length }))
}

/// The pairs of a mapping or of a row of pairs, and of the named arguments.
fn gather(what: &str, args: &[Value]) -> Result<Vec<(Value, Value)>, Error> {
    let (placed, kwargs) = split(args);
    let [given] = bind(what, ["mapping"], 0, placed)?;
    let mut made = match given.as_ref().map(|given| (given, kind(given))) {
        None => Vec::new(),
        Some((_, Kind::Dict(dict))) => pairs(dict),
        Some((given, _)) => {
            let mut made = Vec::new();
            for row in collect(&iterable(given)?)? {
                match &collect(&row)?[..] {
                    [key, value] => {
                        check_key(key)?;
                        made.push((key.clone(), value.clone()));
                    }
                    other => {
                        let length = other.len();
                        return Err(fault(format!("{what} needs pairs, not rows of {length}")));
                    }
                }
            }
            made
        }
    };
    made.extend(named(kwargs).into_iter().map(|(name, value)| (Value::from(name), value)));
    budget::take_values(made.len() * 2)?;
    Ok(made)
}

fn dict(args: &[Value]) -> Result<Value, Error> {
    gather("dict", args).map(Value::from_pairs)
}

fn namespace(args: &[Value]) -> Result<Value, Error> {
    let given = gather("namespace", args)?;
    let (namespace, value) = new_namespace();
    for (name, value) in given {
        match kind(&name) {
            Kind::Str(name) => namespace.set(name, value),
            _ => return Err(fault("the names of a namespace are strings")),
        }
    }
    Ok(value)
}
