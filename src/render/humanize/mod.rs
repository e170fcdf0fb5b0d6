//! Numbers and durations as people say them: the filters of Python's `humanize`, in English. In: numbers, and texts of
//! them. Out: text. Never the clock and never another language: what asks for either is told so, or changes nothing.

mod number;
mod size;
mod time;

use minijinja::{Error, Value};

use super::args::bind;
use super::filters::Table;
use super::number::{Number, number as number_of, truncated};
use super::numeral::{read_float, read_int};
use super::pyformat::percent;
use super::repr::text;
use super::value::{Kind, fault, is_undefined, kind, type_name};

pub(super) const TABLE: Table = &[
    ("humanize_abs_timedelta", |_, value, args| time::absolute(value, args)),
    ("humanize_activate", |_, value, args| activate(value, args)),
    ("humanize_apnumber", |_, value, args| number::ap_number(value, args)),
    ("humanize_clamp", |_, value, args| number::clamp(value, args)),
    ("humanize_date_and_delta", |_, value, args| time::date_and_delta(value, args)),
    ("humanize_deactivate", |_, _, args| same("deactivate", args, Value::from(()))),
    ("humanize_decimal_separator", |_, _, args| same("decimal_separator", args, ".".into())),
    ("humanize_fractional", |_, value, args| number::fractional(value, args)),
    ("humanize_intcomma", |_, value, args| number::int_comma(value, args)),
    ("humanize_intword", |_, value, args| number::int_word(value, args)),
    ("humanize_metric", |_, value, args| size::metric(value, args)),
    ("humanize_naturaldate", |_, value, args| time::natural_day("naturaldate", value, args)),
    ("humanize_naturalday", |_, value, args| time::natural_day("naturalday", value, args)),
    ("humanize_naturaldelta", |_, value, args| time::natural_delta(value, args)),
    ("humanize_naturalsize", |_, value, args| size::natural_size(value, args)),
    ("humanize_naturaltime", |_, value, args| time::natural_time(value, args)),
    ("humanize_ordinal", |_, value, args| number::ordinal(value, args)),
    ("humanize_precisedelta", |_, value, args| time::precise_delta(value, args)),
    ("humanize_scientific", |_, value, args| size::scientific_of(value, args)),
    ("humanize_thousands_separator", |_, _, args| same("thousands_separator", args, ",".into())),
];

/// A filter that always gives the same.
fn same(name: &str, args: &[Value], made: Value) -> Result<Value, Error> {
    let [] = bind(name, [], 0, args)?;
    Ok(made)
}

/// Choosing a language: in Python it would be that of all later renderings too, so nothing is chosen.
fn activate(locale: &Value, args: &[Value]) -> Result<Value, Error> {
    let [_path] = bind("activate", ["path"], 0, args)?;
    match kind(locale) {
        Kind::None | Kind::Str(_) => Ok(Value::from("")),
        _ => {
            Err(fault(format!("activate needs the name of a language, not {}", type_name(locale))))
        }
    }
}

/// What `float(value)` is; `None` where Python finds no number in it.
fn as_float(value: &Value) -> Result<Option<f64>, Error> {
    match kind(value) {
        Kind::Undefined => Err(fault("undefined is no number")),
        Kind::Str(text) => Ok(read_float(text)),
        Kind::Bytes(bytes) => Ok(std::str::from_utf8(bytes).ok().and_then(read_float)),
        _ => number_of(value).map(|number| number.float()).transpose(),
    }
}

/// What `int(value)` is; `None` where Python finds no integer in it. What is not finite has been refused before.
fn as_int(value: &Value) -> Option<Number> {
    match kind(value) {
        Kind::Str(text) => read_int(text, 10).map(Number::Big),
        Kind::Bytes(bytes) => {
            let text = std::str::from_utf8(bytes).ok()?;
            read_int(text, 10).map(Number::Big)
        }
        _ => match number_of(value)? {
            Number::Float(float) => truncated(float).map(Number::Big),
            whole => Some(whole),
        },
    }
}

/// The word for a float that is no finite number.
fn not_finite(number: f64) -> Option<Value> {
    Some(Value::from(match number {
        _ if number.is_finite() => return None,
        _ if number.is_nan() => "NaN",
        _ if number < 0.0 => "-Inf",
        _ => "+Inf",
    }))
}

/// A value that nothing is made of: its own text.
fn echo(value: &Value) -> Result<Value, Error> {
    text(value).map(Value::from)
}

/// The finite number a value is, or what is shown in its place.
fn finite(value: &Value) -> Result<Result<f64, Value>, Error> {
    match as_float(value)? {
        None => echo(value).map(Err),
        Some(float) => Ok(not_finite(float).map_or(Ok(float), Err)),
    }
}

/// The integer a value is, or what is shown in its place.
fn whole(value: &Value) -> Result<Result<Number, Value>, Error> {
    Ok(match finite(value)? {
        Ok(_) => match as_int(value) {
            Some(whole) => Ok(whole),
            None => Err(echo(value)?),
        },
        Err(shown) => Err(shown),
    })
}

/// `format % number`, for a format that an argument gave.
fn printed(format: &Value, number: f64) -> Result<Value, Error> {
    match kind(format) {
        Kind::Str(_) => percent(format, &Value::from(number)),
        _ => Err(fault(format!("a format is a string, not {}", type_name(format)))),
    }
}

/// A number that a format printed, read back.
fn read_back(printed: &Value) -> Result<f64, Error> {
    let read = read_float(printed.as_str().unwrap_or_default());
    read.ok_or_else(|| fault("the format prints more than a number"))
}

/// A number as it is, where a text of one is refused.
fn demanded(what: &str, value: &Value) -> Result<Number, Error> {
    if is_undefined(value) {
        return Err(fault(format!("{what} needs a number, not undefined")));
    }
    number_of(value)
        .ok_or_else(|| fault(format!("{what} needs a number, not {}", type_name(value))))
}
