//! Filters that make numbers, and sizes of files. In: numbers, and texts of them. Out: numbers, rounded as Python
//! rounds.

use minijinja::{Error, Value};

use super::super::args::bind;
use super::super::budget;
use super::super::engine::Scope;
use super::super::methods::attribute;
use super::super::number::{self, Number, Reckon, number, reckon};
use super::super::numeral::{read_float, read_int};
use super::super::value::{Kind, fault, from_big, index, is_undefined, kind, type_name};
use super::Table;

pub(super) const TABLE: Table = &[
    ("abs", abs),
    ("attr", attr),
    ("filesizeformat", file_size),
    ("float", float),
    ("int", int),
    ("round", round),
];

/// Units above bytes.
const UNITS: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];

fn abs(_scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("abs", [], 0, args)?;
    let number = demanded("abs", value)?;
    let number = match number {
        Number::Float(float) => Number::Float(float.abs()),
        negative if negative.is_negative() => negative.negate(),
        positive => positive,
    };
    Ok(number.into_value())
}

/// An attribute or method, never an item.
fn attr(_scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [name] = bind("attr", ["name"], 1, args)?;
    let name = name.unwrap_or_default();
    let Kind::Str(name) = kind(&name) else {
        return Err(fault(format!("attr needs a name, not {}", type_name(&name))));
    };
    if is_undefined(value) {
        return super::super::lookup::attribute(value, name);
    }
    if name.starts_with('_') {
        return Ok(Value::UNDEFINED);
    }
    Ok(attribute(value, name).unwrap_or_default())
}

fn demanded(what: &str, value: &Value) -> Result<Number, Error> {
    number(value).ok_or_else(|| fault(format!("{what} needs a number, not {}", type_name(value))))
}

/// What `float(value)` is; `None` when it is no number's text.
fn as_float(value: &Value) -> Result<Option<f64>, Error> {
    match kind(value) {
        Kind::Str(text) => Ok(read_float(text)),
        Kind::Undefined => Err(fault("undefined is no number")),
        _ => number(value).map(|number| number.float()).transpose(),
    }
}

fn float(_scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [default] = bind("float", ["default"], 0, args)?;
    match as_float(value)? {
        Some(float) => Ok(Value::from(float)),
        None => Ok(default.unwrap_or_else(|| Value::from(0.0))),
    }
}

fn int(_scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [default, base] = bind("int", ["default", "base"], 0, args)?;
    let default = default.unwrap_or_else(|| Value::from(0));
    if is_undefined(value) {
        return Err(fault("undefined is no number"));
    }
    if let Kind::Str(text) = kind(value) {
        budget::spend(text.len() as u64 * 8)?;
        // What is no base is no reason to fail: the text may still be a float.
        let base = base.map_or(Some(10), |base| index("int", &base).ok());
        if let Some(number) = base.and_then(|base| read_int(text, base)) {
            return Ok(from_big(number));
        }
    } else if let Some(Number::Int(_) | Number::Big(_)) = number(value) {
        return number::whole(value);
    } else if let Kind::Float(float) = kind(value)
        && float.is_infinite()
    {
        return Err(fault("infinity is no integer"));
    }
    let float = match as_float(value) {
        Ok(Some(float)) if float.is_finite() => float,
        _ => return Ok(default),
    };
    Ok(number::truncated(float).map_or(default, from_big))
}

fn round(_scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [precision, method] = bind("round", ["precision", "method"], 0, args)?;
    let method = method.unwrap_or_else(|| Value::from("common"));
    let up = match kind(&method) {
        Kind::Str("common") => None,
        Kind::Str("ceil") => Some(true),
        Kind::Str("floor") => Some(false),
        _ => return Err(fault("round knows 'common', 'ceil' and 'floor'")),
    };
    let number = demanded("round", value)?;
    let Some(up) = up else {
        let precision = match &precision {
            Some(precision) if !precision.is_none() => Some(index("round", precision)?),
            Some(_) => None,
            None => Some(0),
        };
        return number::rounded(number, precision).map(Number::into_value);
    };
    let precision = precision.unwrap_or_else(|| Value::from(0));
    let ten = || Number::Int(10);
    let scale = reckon(Reckon::Pow, ten(), demanded("round", &precision)?)?;
    let scaled = reckon(Reckon::Mul, number, scale.clone())?;
    let whole = match scaled {
        Number::Float(float) if !float.is_finite() => {
            return Err(fault(format!("{float} cannot be rounded to an integer")));
        }
        Number::Float(float) => {
            let float = if up { float.ceil() } else { float.floor() };
            number::truncated(float).map_or(Number::Float(float), Number::Big)
        }
        other => other,
    };
    reckon(Reckon::Div, whole, scale).map(Number::into_value)
}

fn file_size(_scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [binary] = bind("filesizeformat", ["binary"], 0, args)?;
    let binary = binary.is_some_and(|binary| binary.is_true());
    let Some(bytes) = as_float(value)? else {
        return Err(fault(format!("{} is no size", type_name(value))));
    };
    #[expect(clippy::float_cmp, reason = "one byte exactly")]
    if bytes == 1.0 {
        return Ok(Value::from("1 Byte"));
    }
    let (base, infix): (u128, _) = if binary { (1024, "i") } else { (1000, "") };
    if bytes < base as f64 {
        let whole = number::truncated(bytes).ok_or_else(|| fault("infinity is no size"))?;
        return Ok(Value::from(format!("{whole} Bytes")));
    }
    let last = UNITS.len() - 1;
    let place = (0..last).find(|&place| bytes < base.pow(place as u32 + 2) as f64);
    let place = place.unwrap_or(last);
    let size = base as f64 * bytes / base.pow(place as u32 + 2) as f64;
    let unit = if binary && place == 0 { "K" } else { UNITS[place] };
    let text = if size.is_nan() { "nan".to_owned() } else { format!("{size:.1}") };
    Ok(Value::from(format!("{text} {unit}{infix}B")))
}
