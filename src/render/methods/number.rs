//! Members of integers, bools and floats. In: a number and arguments. Out: values.

use minijinja::value::Tuple;
use minijinja::{Error, Value};
use num_bigint::{BigInt, Sign};
use num_traits::Zero;

use super::super::args::{bind, named, split};
use super::super::lookup::collect;
use super::super::number::{Number, number};
use super::super::numeral::read_hex_float;
use super::super::value::{Kind, fault, from_big, index, kind, type_name};
use super::{Member, Table};

pub(super) const INTEGER: Table = &[
    ("as_integer_ratio", Member::Method(ratio)),
    ("bit_count", Member::Method(bit_count)),
    ("bit_length", Member::Method(bit_length)),
    ("conjugate", Member::Method(same)),
    ("denominator", Member::Attribute(|_| Value::from(1))),
    ("from_bytes", Member::Method(from_bytes)),
    ("imag", Member::Attribute(|_| Value::from(0))),
    ("numerator", Member::Attribute(plain)),
    ("real", Member::Attribute(plain)),
    ("to_bytes", Member::Method(to_bytes)),
];

pub(super) const FLOAT: Table = &[
    ("as_integer_ratio", Member::Method(ratio)),
    ("conjugate", Member::Method(same)),
    ("fromhex", Member::Method(from_hex)),
    ("hex", Member::Method(hex)),
    ("imag", Member::Attribute(|_| Value::from(0.0))),
    ("is_integer", Member::Method(is_integer)),
    ("real", Member::Attribute(plain)),
];

/// The number itself, a bool as an integer.
fn plain(of: &Value) -> Value {
    number(of).map_or(Value::UNDEFINED, Number::into_value)
}

fn whole(of: &Value) -> BigInt {
    match number(of) {
        Some(Number::Int(small)) => BigInt::from(small),
        Some(Number::Big(big)) => big,
        _ => BigInt::zero(),
    }
}

fn float(of: &Value) -> f64 {
    match kind(of) {
        Kind::Float(float) => float,
        _ => f64::NAN,
    }
}

fn same(of: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("conjugate", [], 0, args)?;
    Ok(plain(of))
}

fn bit_length(of: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("bit_length", [], 0, args)?;
    Ok(Value::from(whole(of).bits()))
}

fn bit_count(of: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("bit_count", [], 0, args)?;
    let whole = whole(of);
    let ones = whole.magnitude().iter_u64_digits().map(|digit| u64::from(digit.count_ones()));
    Ok(Value::from(ones.sum::<u64>()))
}

fn ratio(of: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("as_integer_ratio", [], 0, args)?;
    let Kind::Float(float) = kind(of) else {
        return Ok(Tuple::from([plain(of), Value::from(1)]).into());
    };
    if !float.is_finite() {
        return Err(fault(format!("{float} is no ratio of integers")));
    }
    let (mut mantissa, mut power) = parts(float);
    let zeros = mantissa.trailing_zeros().min(64);
    if mantissa != 0 {
        mantissa >>= zeros;
        power += i64::from(zeros);
    } else {
        power = 0;
    }
    let top = BigInt::from(mantissa) << power.max(0);
    let bottom = BigInt::from(1) << (-power).max(0);
    let top = if float < 0.0 { -top } else { top };
    Ok(Tuple::from([from_big(top), from_big(bottom)]).into())
}

/// A finite float's mantissa and the power of two it is multiplied by.
fn parts(float: f64) -> (u64, i64) {
    let bits = float.to_bits();
    let exponent = i64::from((bits >> 52) as u16 & 0x7FF);
    let mantissa = bits & ((1 << 52) - 1);
    if exponent == 0 { (mantissa, -1074) } else { (mantissa | 1 << 52, exponent - 1075) }
}

fn is_integer(of: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("is_integer", [], 0, args)?;
    let float = float(of);
    Ok(Value::from(float.is_finite() && float.fract() == 0.0))
}

fn hex(of: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("hex", [], 0, args)?;
    let float = float(of);
    if float.is_nan() {
        return Ok(Value::from("nan"));
    }
    let sign = if float.is_sign_negative() { "-" } else { "" };
    if float.is_infinite() {
        return Ok(Value::from(format!("{sign}inf")));
    }
    let bits = float.to_bits();
    let exponent = i64::from((bits >> 52) as u16 & 0x7FF);
    let mantissa = bits & ((1 << 52) - 1);
    let (lead, power) = match (exponent, mantissa) {
        (0, 0) => return Ok(Value::from(format!("{sign}0x0.0p+0"))),
        (0, _) => (0, -1022),
        _ => (1, exponent - 1023),
    };
    Ok(Value::from(format!("{sign}0x{lead}.{mantissa:013x}p{power:+}")))
}

fn from_hex(_of: &Value, args: &[Value]) -> Result<Value, Error> {
    let (placed, _) = split(args);
    let [text] = bind("fromhex", [""], 1, placed)?;
    let text = text.unwrap_or_default();
    let Kind::Str(text) = kind(&text) else {
        return Err(fault(format!("fromhex needs a string, not {}", type_name(&text))));
    };
    match read_hex_float(text) {
        Some(float) if float.is_infinite() && !text.contains(['i', 'I']) => {
            Err(fault("the number is too large for a float"))
        }
        Some(float) => Ok(Value::from(float)),
        None => Err(fault("the text is no hexadecimal number")),
    }
}

/// Whether bytes go from the smallest to the largest, and whether they have a sign.
fn layout(what: &str, order: Option<&Value>, args: &[Value]) -> Result<(bool, bool), Error> {
    let little = match order.map(|order| order.as_str()) {
        None | Some(Some("big")) => false,
        Some(Some("little")) => true,
        _ => return Err(fault(format!("{what} knows 'big' and 'little'"))),
    };
    let signed = named(split(args).1).into_iter().find(|(name, _)| name == "signed");
    Ok((little, signed.is_some_and(|(_, signed)| signed.is_true())))
}

fn from_bytes(_of: &Value, args: &[Value]) -> Result<Value, Error> {
    let names = ["bytes", "byteorder", "signed"];
    let [given, order, _] = bind("from_bytes", names, 1, args)?;
    if split(args).0.len() > 2 {
        return Err(fault("from_bytes takes 'signed' by its name only"));
    }
    let (little, signed) = layout("from_bytes", order.as_ref(), args)?;
    let given = given.unwrap_or_default();
    let mut bytes = match kind(&given) {
        Kind::Bytes(bytes) => bytes.to_vec(),
        Kind::Str(_) => return Err(fault("from_bytes needs bytes, not a string")),
        _ => {
            let byte = |item: &Value| {
                u8::try_from(index("from_bytes", item)?)
                    .map_err(|_| fault("a byte is between 0 and 255"))
            };
            collect(&given)?.iter().map(byte).collect::<Result<_, _>>()?
        }
    };
    super::super::budget::take(bytes.len() * 2)?;
    if !little {
        bytes.reverse();
    }
    Ok(from_big(if signed {
        BigInt::from_signed_bytes_le(&bytes)
    } else {
        BigInt::from_bytes_le(Sign::Plus, &bytes)
    }))
}

fn to_bytes(of: &Value, args: &[Value]) -> Result<Value, Error> {
    let [length, order, _] = bind("to_bytes", ["length", "byteorder", "signed"], 0, args)?;
    if split(args).0.len() > 2 {
        return Err(fault("to_bytes takes 'signed' by its name only"));
    }
    let (little, signed) = layout("to_bytes", order.as_ref(), args)?;
    let length = length.map_or(Ok(1), |length| index("to_bytes", &length))?;
    let Ok(length) = usize::try_from(length) else {
        return Err(fault("to_bytes needs a length that is not negative"));
    };
    let whole = whole(of);
    let is_negative = whole.sign() == Sign::Minus;
    let mut bytes = if signed { whole.to_signed_bytes_le() } else { whole.to_bytes_le().1 };
    if whole.is_zero() {
        bytes.clear();
    }
    if (is_negative && !signed) || bytes.len() > length {
        return Err(fault("the integer does not fit into so few bytes"));
    }
    super::super::budget::take(length)?;
    bytes.resize(length, if is_negative { 0xff } else { 0 });
    if !little {
        bytes.reverse();
    }
    Ok(Value::from_bytes(bytes))
}
