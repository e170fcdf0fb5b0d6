//! Integers and fractions in words and with commas. In: numbers, and texts of them. Out: text; what is no number is
//! shown as it is.

use std::cmp::Ordering;

use minijinja::{Error, Value};
use num_bigint::BigInt;
use num_traits::{FromPrimitive, One, Signed, ToPrimitive, Zero};

use super::super::args::bind;
use super::super::budget;
use super::super::compare::{How, holds};
use super::super::number::{Number, Reckon, compare, reckon};
use super::super::numeral::{read_float, read_int};
use super::super::ops::arithmetic;
use super::super::pyformat::{format, formatted};
use super::super::repr::text;
use super::super::value::{Kind, fault, from_big, kind, type_name};
use super::{demanded, echo, finite, not_finite, printed, read_back, whole};

const DIGITS: [&str; 10] =
    ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
/// Powers of ten that have a word.
const WORDS: [(u32, &str); 12] = [
    (3, "thousand"),
    (6, "million"),
    (9, "billion"),
    (12, "trillion"),
    (15, "quadrillion"),
    (18, "quintillion"),
    (21, "sextillion"),
    (24, "septillion"),
    (27, "octillion"),
    (30, "nonillion"),
    (33, "decillion"),
    (100, "googol"),
];
/// Largest denominator of a fraction.
const DENOMINATOR_MAX: u32 = 1000;
/// What finding one and printing its whole part costs, in bytes touched.
const FRACTION_UNITS: u64 = 2048;

fn big(number: Number) -> BigInt {
    match number {
        Number::Int(small) => BigInt::from(small),
        Number::Big(big) => big,
        Number::Float(_) => BigInt::zero(),
    }
}

pub(super) fn ordinal(value: &Value, args: &[Value]) -> Result<Value, Error> {
    // English words have no gender.
    let [_gender] = bind("ordinal", ["gender"], 0, args)?;
    let number = match whole(value)? {
        Ok(number) => big(number),
        Err(shown) => return Ok(shown),
    };
    let last = |modulus: i32| {
        let rest = (&number % modulus).to_i32().unwrap_or(0);
        rest.rem_euclid(modulus)
    };
    let suffix = match (last(100), last(10)) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    Ok(Value::from(text(&from_big(number))? + suffix))
}

pub(super) fn ap_number(value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("apnumber", [], 0, args)?;
    let number = match whole(value)? {
        Ok(number) => big(number),
        Err(shown) => return Ok(shown),
    };
    match number.to_usize().and_then(|place| DIGITS.get(place)) {
        Some(word) => Ok(Value::from(*word)),
        None => echo(&from_big(number)),
    }
}

pub(super) fn int_comma(value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [digits] = bind("intcomma", ["ndigits"], 0, args)?;
    let number = if let Kind::Str(given) = kind(value) {
        let plain = given.replace(',', "");
        let float = read_float(&plain);
        if let Some(shown) = float.and_then(not_finite) {
            return Ok(shown);
        }
        let whole = if plain.contains('.') { None } else { read_int(&plain, 10).map(from_big) };
        let fraction = float.filter(|_| plain.contains('.')).map(Value::from);
        match whole.or(fraction) {
            Some(number) => number,
            None => return Ok(Value::from(plain)),
        }
    } else {
        if !matches!(kind(value), Kind::Int(_) | Kind::Big(_) | Kind::Bool(_))
            && let Err(shown) = finite(value)?
        {
            return Ok(shown);
        }
        value.clone()
    };
    let spec = match digits.filter(|digits| !digits.is_none()) {
        Some(digits) => format!(",.{}f", text(&digits)?),
        None => ",".to_owned(),
    };
    formatted(&number, &spec).map(Value::from)
}

/// An integer with commas.
pub(super) fn with_commas(number: f64) -> Result<String, Error> {
    formatted(&from_big(BigInt::from_f64(number).unwrap_or_default()), ",")
}

pub(super) fn int_word(value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [format] = bind("intword", ["format"], 0, args)?;
    let format = format.unwrap_or_else(|| Value::from("%.1f"));
    let number = match whole(value)? {
        Ok(number) => big(number),
        Err(shown) => return Ok(shown),
    };
    let sign = if number.is_negative() { "-" } else { "" };
    let size = number.abs();
    let power = |place: usize| BigInt::from(10).pow(WORDS[place].0);
    let Some(mut place) = (0..WORDS.len()).rev().find(|&place| power(place) <= size) else {
        return Ok(Value::from(format!("{sign}{size}")));
    };
    let chopped = reckon(Reckon::Div, Number::Big(size), Number::Big(power(place)))?;
    let mut rounded = read_back(&printed(&format, chopped.float()?)?)?;
    if place + 1 < WORDS.len() {
        let next = Number::Big(power(place + 1) / power(place));
        if compare(&Number::Float(rounded), &next) == Some(Ordering::Equal) {
            (place, rounded) = (place + 1, 1.0);
        }
    }
    if !rounded.is_finite() {
        return Err(fault(format!("{rounded} cannot be told in words")));
    }
    let number = text(&printed(&format, rounded)?)?;
    Ok(Value::from(format!("{sign}{number} {}", WORDS[place].1)))
}

pub(super) fn fractional(value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("fractional", [], 0, args)?;
    let number = match finite(value)? {
        Ok(number) => number,
        Err(shown) => return Ok(shown),
    };
    budget::spend(FRACTION_UNITS)?;
    let (size, bottom) = nearest_fraction(number.fract().abs());
    let top = if number < 0.0 { -size } else { size };
    let whole = number.trunc();
    Ok(Value::from(match bottom {
        // Adding zero turns a negative one into its positive self.
        1 => format!("{:.0}", whole + top as f64 + 0.0),
        _ if whole == 0.0 => format!("{top}/{bottom}"),
        _ => format!("{whole:.0} {size}/{bottom}"),
    }))
}

/// The fraction nearest to a number below 1, by continued fractions as Python's `limit_denominator` does.
fn nearest_fraction(number: f64) -> (i64, i64) {
    // A float is an integer over a power of two, 2^1074 at most.
    let power = (0..=1074).find(|&power| scaled(number, power).fract() == 0.0).unwrap_or(1074);
    let self_top = BigInt::from_f64(scaled(number, power)).unwrap_or_default();
    let self_bottom = BigInt::one() << power;
    let most = BigInt::from(DENOMINATOR_MAX);
    let small =
        |top: &BigInt, bottom: &BigInt| (top.to_i64().unwrap_or(0), bottom.to_i64().unwrap_or(1));
    if self_bottom <= most {
        return small(&self_top, &self_bottom);
    }
    let (mut p0, mut q0, mut p1, mut q1) =
        (BigInt::zero(), BigInt::one(), BigInt::one(), BigInt::zero());
    let (mut n, mut d) = (self_top, self_bottom.clone());
    loop {
        let a = &n / &d;
        let q2 = &q0 + &a * &q1;
        if q2 > most {
            break;
        }
        let p2 = &p0 + &a * &p1;
        (p0, q0, p1, q1) = (p1, q1, p2, q2);
        let rest = &n - &a * &d;
        (n, d) = (d, rest);
    }
    let k = (&most - &q0) / &q1;
    let (top, bottom) = (&p0 + &k * &p1, &q0 + &k * &q1);
    // The distances of both candidates are compared without making fractions of them.
    if &d * &bottom * 2 <= self_bottom { small(&p1, &q1) } else { small(&top, &bottom) }
}

/// `number * 2^power`, for a number that this keeps finite.
fn scaled(number: f64, power: i32) -> f64 {
    number * 2.0_f64.powi(power / 2) * 2.0_f64.powi(power - power / 2)
}

pub(super) fn clamp(value: &Value, args: &[Value]) -> Result<Value, Error> {
    let names = ["floor", "ceil", "format", "floor_token", "ceil_token"];
    let [floor, ceil, pattern, floor_token, ceil_token] = bind("clamp", names, 0, args)?;
    if value.is_none() {
        return Ok(Value::from(()));
    }
    if let Some(shown) = not_finite(demanded("clamp", value)?.float()?) {
        return Ok(shown);
    }
    let given = |bound: Option<Value>| bound.filter(|bound| !bound.is_none());
    let (floor, ceil) = (given(floor), given(ceil));
    let mut token = None;
    let mut shown = value.clone();
    if let Some(floor) = floor
        && holds(How::Less, value, &floor)?
    {
        token = Some(floor_token.unwrap_or_else(|| Value::from("<")));
        shown = floor;
    } else if let Some(ceil) = ceil
        && holds(How::Greater, value, &ceil)?
    {
        token = Some(ceil_token.unwrap_or_else(|| Value::from(">")));
        shown = ceil;
    }
    let pattern = pattern.unwrap_or_else(|| Value::from("{:}"));
    let Kind::Str(_) = kind(&pattern) else {
        return Err(fault(format!("clamp needs a format, not {}", type_name(&pattern))));
    };
    let made = format(&pattern, &[shown])?;
    match token {
        Some(token) => arithmetic(Reckon::Add, &token, &made),
        None => Ok(made),
    }
}
