//! Numbers as digits. In: a float or an integer, and how it is to be written. Out: text without a sign, and whether
//! there is one. Never padding; rounding is that of the exact value, half to even.

use std::fmt::Write as _;

use minijinja::Error;

use super::super::budget;
use super::super::number::Number;
use super::super::repr;
use super::super::value::fault;

/// Most digits behind a float's point.
const PRECISION_MAX: usize = 10_000;
/// More digits than any float has before its point, or in a form of its own.
const LONGEST: usize = 330;

/// The forms a float is written in, named as in Python's specifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `f`: digits behind the point.
    Fixed,
    /// `e`: one digit before the point, and an exponent.
    Exponent,
    /// `g`: so many significant digits, as the shorter of both.
    General,
    /// The shortest text that reads back the same.
    Shortest,
}

impl Form {
    pub(super) fn of(code: char) -> Option<Self> {
        match code.to_ascii_lowercase() {
            'f' => Some(Self::Fixed),
            'e' => Some(Self::Exponent),
            'g' => Some(Self::General),
            _ => None,
        }
    }
}

/// How a float is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) form: Form,
    pub(super) precision: usize,
    /// The point and the zeros behind it stay.
    pub(super) alternate: bool,
    /// At least one digit stands behind the point, unless there is an exponent.
    pub(super) dot_zero: bool,
}

/// A float's text, in lower case, and whether a minus belongs before it.
pub(super) fn float(number: f64, shape: Shape) -> Result<(bool, String), Error> {
    let Shape { form, precision, alternate, dot_zero } = shape;
    if number.is_nan() {
        return Ok((false, "nan".to_owned()));
    }
    let (negative, size) = (number.is_sign_negative(), number.abs());
    if size.is_infinite() {
        return Ok((negative, "inf".to_owned()));
    }
    if precision > PRECISION_MAX {
        let what = format!("a precision of {precision} is too much: at most {PRECISION_MAX}");
        return Err(fault(what));
    }
    budget::take(precision + LONGEST)?;
    let significant = precision.max(1);
    let rounded = match form {
        Form::Fixed => format!("{size:.precision$}"),
        Form::Exponent => format!("{size:.precision$e}"),
        Form::General => format!("{size:.*e}", significant - 1),
        Form::Shortest => repr::shortest(size),
    };
    let (mantissa, exponent) = rounded.split_once('e').unwrap_or((&rounded, "0"));
    let before = mantissa.find('.').unwrap_or(mantissa.len());
    let mut digits = mantissa.replacen('.', "", 1);
    let point = before.cast_signed() as i64 + exponent.parse().unwrap_or(0);
    let most = if form == Form::Shortest {
        16
    } else {
        significant.cast_signed() as i64 - i64::from(dot_zero)
    };
    let has_exponent = match form {
        Form::Fixed => false,
        Form::Exponent => true,
        Form::General | Form::Shortest => point <= -4 || point > most,
    };
    if matches!(form, Form::General | Form::Shortest) && !alternate {
        digits.truncate(digits.trim_end_matches('0').len());
    }
    let mut text = laid_out(
        &digits,
        if has_exponent { 1 } else { point },
        alternate,
        dot_zero && !has_exponent,
    );
    if has_exponent {
        let power = point - 1;
        let sign = if power < 0 { '-' } else { '+' };
        let _ = write!(text, "e{sign}{:02}", power.abs());
    }
    Ok((negative, text))
}

/// Digits with a point before the one at `point`, which may lie outside of them.
fn laid_out(digits: &str, point: i64, alternate: bool, dot_zero: bool) -> String {
    let digit = |place: i64| match usize::try_from(place) {
        Ok(place) => digits.as_bytes().get(place).map_or('0', |byte| char::from(*byte)),
        Err(_) => '0',
    };
    let end = (digits.len().cast_signed() as i64).max(point + i64::from(dot_zero));
    let mut out: String = (0..point.max(0)).map(digit).collect();
    if out.is_empty() {
        out.push('0');
    }
    if end > point || alternate {
        out.push('.');
    }
    out.extend((point..end).map(digit));
    out
}

/// An integer's digits in a base, in lower case, and whether it is negative.
pub(super) fn integer(number: Number, base: u32) -> Result<(bool, String), Error> {
    let negative = number.is_negative();
    let digits = match number {
        Number::Int(small) => {
            let size = small.unsigned_abs();
            match base {
                2 => format!("{size:b}"),
                8 => format!("{size:o}"),
                16 => format!("{size:x}"),
                _ => size.to_string(),
            }
        }
        Number::Big(big) if base != 10 => big.magnitude().to_str_radix(base),
        other => {
            let text = repr::text(&other.into_value())?;
            text.trim_start_matches('-').to_owned()
        }
    };
    budget::take(digits.len())?;
    Ok((negative, digits))
}
