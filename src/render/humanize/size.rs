//! Quantities with a unit's prefix or a power of ten. In: numbers, and where Python takes them texts of numbers. Out:
//! text.

use minijinja::{Error, Value};

use super::super::args::bind;
use super::super::number::{Number, Reckon, number, reckon, rounded};
use super::super::ops::arithmetic;
use super::super::pyformat::formatted;
use super::super::repr::text;
use super::super::value::{Kind, fault, kind, type_name};
use super::{as_float, as_int, demanded, finite, not_finite, printed, read_back};

const BYTES: &str = "kMGTPEZYRQ";
const LARGE: &str = "kMGTPEZYRQ";
const SMALL: &str = "mμnpfazyrq";
const RAISED: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];

pub(super) fn natural_size(value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [binary, gnu, format] = bind("naturalsize", ["binary", "gnu", "format"], 0, args)?;
    let is_set = |flag: Option<Value>| flag.is_some_and(|flag| flag.is_true());
    let (gnu, binary) = (is_set(gnu), is_set(binary));
    let base = if gnu || binary { 1024.0 } else { 1000.0 };
    let what = || fault(format!("{} is no size", type_name(value)));
    let bytes = as_float(value)?.ok_or_else(what)?;
    let size = bytes.abs();
    if size < base {
        let unit = match (gnu, size.total_cmp(&1.0).is_eq()) {
            (true, _) => "B",
            (false, true) => " Byte",
            (false, false) => " Bytes",
        };
        // Adding zero turns a negative one into its positive self.
        return Ok(Value::from(format!("{}{unit}", bytes.trunc() + 0.0)));
    }
    if size.is_nan() {
        return Err(what());
    }
    let format = format.unwrap_or_else(|| Value::from("%.1f"));
    let most = BYTES.len();
    let mut power = ((size.ln() / f64::ln(base)).min(most as f64) as usize).max(1);
    if power < most && read_back(&printed(&format, size / raised(base, power))?)?.abs() >= base {
        power += 1;
    }
    let mut unit = String::from(if gnu { "" } else { " " });
    match BYTES.chars().nth(power - 1) {
        Some('k') if gnu || binary => unit.push('K'),
        prefix => unit.extend(prefix),
    }
    unit.push_str(match (gnu, binary) {
        (true, _) => "",
        (false, true) => "iB",
        (false, false) => "B",
    });
    arithmetic(Reckon::Add, &printed(&format, bytes / raised(base, power))?, &unit.into())
}

/// `base^power` to the nearest float.
fn raised(base: f64, power: usize) -> f64 {
    (base as u128).pow(power as u32) as f64
}

pub(super) fn scientific_of(value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [precision] = bind("scientific", ["precision"], 0, args)?;
    scientific(value, &precision.unwrap_or_else(|| Value::from(2)))
}

fn scientific(value: &Value, precision: &Value) -> Result<Value, Error> {
    let number = match finite(value)? {
        Ok(number) => number,
        Err(shown) => return Ok(shown),
    };
    let what = || fault(format!("a precision is a number, not {}", type_name(precision)));
    let precision = as_int(precision).ok_or_else(what)?;
    let spec = format!(".{}e", text(&precision.into_value())?);
    let written = formatted(&Value::from(number), &spec)?;
    let (mantissa, power) = written.split_once('e').unwrap_or((&written, "0"));
    let power = power.parse::<i32>().unwrap_or(0);
    let mut out = format!("{mantissa} x 10{}", if power < 0 { "⁻" } else { "" });
    let digits = power.abs().to_string();
    out.extend(digits.bytes().map(|digit| RAISED[usize::from(digit - b'0')]));
    Ok(Value::from(out))
}

pub(super) fn metric(value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [unit, precision] = bind("metric", ["unit", "precision"], 0, args)?;
    let unit = unit.unwrap_or_else(|| Value::from(""));
    let precision = precision.unwrap_or_else(|| Value::from(3));
    let mut scaled = demanded("metric", value)?;
    let size = scaled.float()?.abs();
    if let Some(shown) = not_finite(scaled.float()?) {
        return Ok(shown);
    }
    let mut exponent = if size == 0.0 { 0 } else { size.log10().floor() as i32 };
    if !(-30..33).contains(&exponent) {
        let precision = arithmetic(Reckon::Sub, &precision, &Value::from(1))?;
        return arithmetic(Reckon::Add, &scientific(value, &precision)?, &unit);
    }
    let shift = |number: Number, by: i32| {
        let power = reckon(Reckon::Pow, Number::Int(10), Number::Int(by.into()))?;
        reckon(Reckon::Div, number, power)
    };
    let bucket = exponent.div_euclid(3) * 3;
    scaled = shift(scaled, bucket)?;
    let mut digits = digits_behind(&precision, exponent)?;
    if exponent < 30 && carries(&scaled, digits, exponent)? {
        exponent += 1;
        scaled = shift(scaled, exponent.div_euclid(3) * 3 - bucket)?;
        digits = digits_behind(&precision, exponent)?;
    }
    let prefix = match exponent {
        3.. => LARGE.chars().nth(exponent as usize / 3 - 1),
        0..3 => None,
        _ => SMALL.chars().nth((-exponent - 1) as usize / 3),
    };
    let mut out = formatted(&scaled.into_value(), &format!(".{digits}f"))?;
    let joins = matches!(kind(&unit), Kind::Str("°" | "′" | "″"));
    if (unit.is_true() || prefix.is_some()) && !joins {
        out.push(' ');
    }
    out.extend(prefix);
    out.push_str(&text(&unit)?);
    Ok(Value::from(out))
}

/// Digits behind the point, so that `precision` are shown in all.
fn digits_behind(precision: &Value, exponent: i32) -> Result<i64, Error> {
    let before = Number::Int(i128::from(exponent.rem_euclid(3)) + 1);
    let Some(precision) = number(precision) else {
        return Err(fault(format!("a precision is a number, not {}", type_name(precision))));
    };
    let left = reckon(Reckon::Sub, precision, before)?.float()?.max(0.0);
    if left > 1e6 {
        return Err(fault("the precision is too much"));
    }
    Ok(left as i64)
}

/// Whether rounding makes the number as large as the next power of ten.
fn carries(scaled: &Number, digits: i64, exponent: i32) -> Result<bool, Error> {
    let size = Number::Float(scaled.float()?.abs());
    Ok(rounded(size, Some(digits))?.float()? >= 10.0_f64.powi(exponent.rem_euclid(3) + 1))
}
