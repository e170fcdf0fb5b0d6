//! The one environment of all templates: only what is written in this folder, nothing of the engine's own. In: tables
//! of filters, tests, globals and operators. Out: the environment of a fuel level. Never a name that is not in a
//! table.

use std::collections::BTreeMap;
use std::sync::Mutex;

use minijinja::value::{Rest, ValueOrKwargs};
use minijinja::{AutoEscape, Environment, Error, Output, State, UndefinedBehavior, Value};

use super::compare::How;
use super::error::nearest;
use super::number::Reckon;
use super::value::{Kind, fault, kind, marked};
use super::{
    budget, chain, compare, filters, globals, keeper, lookup, methods, ops, repr, routine, tests,
    trace,
};

/// Deepest nesting of macro calls, recursive loops and blocks, as the engine counts it.
const RECURSION_MAX: usize = 400;

/// What a filter knows of the place it is applied at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope {
    /// Output is escaped there.
    pub(super) escaping: bool,
}

impl Scope {
    fn of(state: &State<'_, '_>) -> Self {
        Self { escaping: !matches!(state.auto_escape(), AutoEscape::None) }
    }
}

/// A filter: the value it is applied to, then its arguments with the named ones last.
pub(super) type Filter = fn(Scope, &Value, &[Value]) -> Result<Value, Error>;

/// A test: the value it asks about, then its arguments.
pub(super) type Test = fn(&Value, &[Value]) -> Result<bool, Error>;

/// By fuel, and whether renderings are watched.
static ENVIRONMENTS: Mutex<BTreeMap<(u64, bool), &'static Environment<'static>>> =
    Mutex::new(BTreeMap::new());

/// The environment whose renderings have `fuel`. Made once for each setting of it, of which a process has one.
pub(super) fn environment(fuel: u64, traced: bool) -> &'static Environment<'static> {
    let mut known = match ENVIRONMENTS.lock() {
        Ok(known) => known,
        Err(poisoned) => poisoned.into_inner(),
    };
    known.entry((fuel, traced)).or_insert_with(|| {
        let mut made = build(fuel);
        if traced {
            trace::equip(&mut made);
        }
        Box::leak(Box::new(made))
    })
}

/// Whether a template may use this filter.
pub(super) fn is_filter(name: &str) -> bool {
    find_filter(name).is_some()
}

/// A filter by name.
pub(super) fn find_filter(name: &str) -> Option<Filter> {
    filters::TABLES.iter().find_map(|table| table.iter().find(|row| row.0 == name)).map(|row| row.1)
}

/// Whether a template may use this test.
pub(super) fn is_test(name: &str) -> bool {
    find_test(name).is_some()
}

/// A test by name.
pub(super) fn find_test(name: &str) -> Option<Test> {
    tests::TABLE.iter().find(|row| row.0 == name).map(|row| row.1)
}

/// The filter an author may have meant.
pub(super) fn nearest_filter(name: &str) -> Option<&'static str> {
    nearest(name, filters::TABLES.iter().flat_map(|table| table.iter()).map(|row| row.0))
}

/// The test an author may have meant.
pub(super) fn nearest_test(name: &str) -> Option<&'static str> {
    nearest(name, tests::TABLE.iter().map(|row| row.0))
}

fn build(fuel: u64) -> Environment<'static> {
    let mut made = Environment::empty();
    made.set_undefined_behavior(UndefinedBehavior::Chainable);
    made.set_debug(false);
    made.set_fuel(Some(fuel));
    made.set_recursion_limit(RECURSION_MAX);
    made.set_formatter(write);
    made.set_unknown_method_callback(methods::call);
    for &(name, filter) in filters::TABLES.iter().flat_map(|table| table.iter()) {
        made.add_filter(
            name,
            move |state: &State<'_, '_>, value: &Value, args: Rest<ValueOrKwargs>| {
                filter(Scope::of(state), value, &args.into_values())
            },
        );
    }
    for &(name, test) in tests::TABLE {
        made.add_test(name, move |value: &Value, args: Rest<ValueOrKwargs>| {
            test(value, &args.into_values())
        });
    }
    for (name, value) in globals::all() {
        made.add_global(name, value);
    }
    add_operators(&mut made);
    add_lookups(&mut made);
    made
}

fn add_operators(made: &mut Environment<'static>) {
    for (name, how) in [
        ("op.+", Reckon::Add),
        ("op.-", Reckon::Sub),
        ("op.*", Reckon::Mul),
        ("op./", Reckon::Div),
        ("op.//", Reckon::FloorDiv),
        ("op.%", Reckon::Rem),
        ("op.**", Reckon::Pow),
    ] {
        made.add_filter(name, move |a: &Value, b: &Value| ops::arithmetic(how, a, b));
    }
    for (name, how) in [
        ("op.==", How::Equal),
        ("op.!=", How::Unequal),
        ("op.<", How::Less),
        ("op.<=", How::AtMost),
        ("op.>", How::Greater),
        ("op.>=", How::AtLeast),
        ("op.in", How::In),
        ("op.notin", How::NotIn),
    ] {
        made.add_filter(name, move |a: &Value, b: &Value| compare::holds(how, a, b));
    }
    made.add_filter("op.operand", |value: &Value, sign: &str| chain::operand(value, sign));
    made.add_filter("op.chain", |held: bool| chain::end().map(|()| held));
    made.add_filter("op.-**", |a: &Value, b: &Value| ops::signed_power(a, b));
    made.add_filter("op.neg", |value: &Value| ops::negate(value));
    made.add_filter("op.pos", |value: &Value| ops::posit(value));
    made.add_filter("op.~~", |a: &Value, b: &Value| ops::concat(a, std::slice::from_ref(b), false));
    made.add_filter("op.~", |state: &State<'_, '_>, first: &Value, rest: &[Value]| {
        ops::concat(first, rest, Scope::of(state).escaping)
    });
    made.add_filter("op.json", |state: &State<'_, '_>, first: &Value, rest: &[Value]| {
        filters::shown_as_json(Scope::of(state), first, rest)
    });
    made.add_filter("op.truth", |value: &Value| value.is_true());
}

fn add_lookups(made: &mut Environment<'static>) {
    made.add_filter("op.attribute", |of: &Value, name: &str| lookup::attribute(of, name));
    made.add_filter("op.item", |of: &Value, key: &Value| lookup::item(of, key));
    made.add_filter("op.slice", |of: &Value, a: &Value, b: &Value, c: &Value| {
        lookup::slice(of, a, b, c)
    });
    made.add_filter("op.cut", |of: &Value, a: &Value, b: &Value, c: &Value| {
        lookup::slice_constant(of, a, b, c)
    });
    made.add_filter("op.iter", |value: &Value| lookup::looped(value));
    made.add_filter("op.filtered", |state: &mut State<'_, '_>, rows: &Value, holds: &Value| {
        lookup::filtered(rows, |item| holds.call(state, &[item]).map(|shown| shown.is_true()))
    });
    made.add_filter("op.any", |value: &Value| lookup::any(value));
    made.add_filter("op.kwargs", |value: &Value| lookup::named_arguments(value));
    made.add_filter("op.row", |value: &Value| lookup::row(value));
    made.add_filter("op.rows", |value: &Value| lookup::rows(value));
    made.add_filter("op.tuples", |value: &Value| lookup::tuples(value));
    made.add_filter("op.dict", |pairs: &Value| lookup::dict(pairs));
    made.add_filter("op.assign", |of: &Value, name: &str, value: &Value| {
        lookup::assign(of, name, value)
    });
    made.add_filter("op.given", |value: &Value| routine::is_given(value));
    made.add_filter("op.macro", |inner: &Value, signature: &Value| routine::wrap(inner, signature));
    made.add_filter("op.captured", |state: &State<'_, '_>, value: &Value| {
        if !Scope::of(state).escaping {
            return Ok(value.clone());
        }
        repr::text(value).map(Value::from_safe_string)
    });
    made.add_filter("op.written", |value: &Value| repr::text(value).map(Value::from_safe_string));
    // What a filter makes of a block is written as it is.
    made.add_filter("op.text", |value: &Value| match kind(value) {
        Kind::Str(text) => Ok(marked(text.to_owned(), true)),
        _ => Err(fault("the filter of a block must give a string")),
    });
    made.add_filter("op.fail", |_value: &Value, what: &str| -> Result<Value, Error> {
        Err(fault(what.to_owned()))
    });
    made.add_filter(
        "op.changed",
        |state: &mut State<'_, '_>, of: &Value, args: Rest<ValueOrKwargs>| {
            let args = args.into_values();
            match of.as_object() {
                Some(object) if repr::is_loop(object) => {
                    of.call_method(state, "changed", &[keeper::asked(args)])
                }
                _ => of.call_method(state, "changed", &args),
            }
        },
    );
    made.add_filter(
        "op.cycle",
        |state: &mut State<'_, '_>, of: &Value, args: Rest<ValueOrKwargs>| match &*args
            .into_values()
        {
            [] => Err(fault("cycle needs something to cycle through")),
            args => of.call_method(state, "cycle", args),
        },
    );
}

/// Whether what a value shows tells anything: not of one that is not there, whoever wrote that as a word.
fn tells_anything(kind: &Kind<'_>) -> bool {
    match kind {
        Kind::Undefined | Kind::None => false,
        Kind::Str(text) => !matches!(text.trim(), "" | "None" | "null"),
        _ => true,
    }
}

/// Writes what `{{ value }}` shows.
pub(super) fn write(
    out: &mut Output<'_>,
    state: &mut State<'_, '_>,
    value: &Value,
) -> Result<(), Error> {
    let is_escaped = Scope::of(state).escaping && !value.is_safe();
    let kind = kind(value);
    if tells_anything(&kind) {
        budget::note_given();
    }
    match kind {
        Kind::Undefined => Ok(()),
        Kind::Str(text) if !is_escaped => Ok(out.write_str(text)?),
        Kind::Int(number) => Ok(write!(out, "{number}")?),
        _ if is_escaped => {
            let mut escaped = String::new();
            ops::escape(&mut escaped, &repr::text(value)?)?;
            Ok(out.write_str(&escaped)?)
        }
        _ => repr::write_str(out, value),
    }
}
