//! Python's numbers: integers of any size, floats, and a bool as 0 or 1. In: values. Out: values, or the reason why
//! Python refuses. Never a wrapped integer, and never one so large that reckoning with it takes long.

use std::cmp::Ordering;

use minijinja::{Error, Value};
use num_bigint::BigInt;
use num_traits::{FromPrimitive, Signed, ToPrimitive, Zero};

use super::budget;
use super::value::{Kind, fault, from_big, from_int, kind};

/// Most bits of an integer a template may make: some 30,000 digits, several times what can be printed.
const BITS_MAX: u64 = 100_000;
/// Integers up to this size are floats without loss.
const EXACT: i128 = 1 << 53;

/// A number, whatever its kind.
#[derive(Clone, Debug)]
pub(super) enum Number {
    Int(i128),
    Big(BigInt),
    Float(f64),
}

/// A value as a number; a bool is 0 or 1, a string is none.
pub(super) fn number(value: &Value) -> Option<Number> {
    Some(match kind(value) {
        Kind::Bool(truth) => Number::Int(i128::from(truth)),
        Kind::Int(small) => Number::Int(small),
        Kind::Big(big) => Number::Big(big.0.clone()),
        Kind::Float(float) => Number::Float(float),
        _ => return None,
    })
}

impl Number {
    pub(super) fn into_value(self) -> Value {
        match self {
            Self::Int(small) => from_int(small),
            Self::Big(big) => from_big(big),
            Self::Float(float) => Value::from(float),
        }
    }

    /// As a float; an integer out of a float's range is refused.
    pub(super) fn float(&self) -> Result<f64, Error> {
        let float = match self {
            Self::Int(small) => *small as f64,
            Self::Big(big) => big.to_f64().unwrap_or(f64::INFINITY),
            Self::Float(float) => return Ok(*float),
        };
        if float.is_finite() {
            Ok(float)
        } else {
            Err(fault("the integer is too large for a float"))
        }
    }

    fn big(self) -> Option<BigInt> {
        match self {
            Self::Int(small) => Some(BigInt::from(small)),
            Self::Big(big) => Some(big),
            Self::Float(_) => None,
        }
    }

    pub(super) fn is_zero(&self) -> bool {
        match self {
            Self::Int(small) => *small == 0,
            Self::Big(big) => big.is_zero(),
            Self::Float(float) => *float == 0.0,
        }
    }

    pub(super) fn is_negative(&self) -> bool {
        match self {
            Self::Int(small) => *small < 0,
            Self::Big(big) => big.is_negative(),
            Self::Float(float) => *float < 0.0,
        }
    }

    pub(super) fn negate(self) -> Self {
        match self {
            Self::Int(small) => match small.checked_neg() {
                Some(small) => Self::Int(small),
                None => Self::Big(-BigInt::from(small)),
            },
            Self::Big(big) => Self::Big(-big),
            Self::Float(float) => Self::Float(-float),
        }
    }
}

/// An operator between two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reckon {
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Rem,
    Pow,
}

/// Applies an operator.
pub(super) fn reckon(how: Reckon, left: Number, right: Number) -> Result<Number, Error> {
    use Reckon as R;
    if matches!(how, R::Div | R::FloorDiv | R::Rem) && right.is_zero() {
        return Err(fault("division by zero"));
    }
    if let (Number::Int(a), Number::Int(b)) = (&left, &right) {
        let small = match how {
            R::Add => a.checked_add(*b),
            R::Sub => a.checked_sub(*b),
            R::Mul => a.checked_mul(*b),
            R::FloorDiv => floor_div(*a, *b),
            R::Rem => floor_div(*a, *b)
                .and_then(|quotient| quotient.checked_mul(*b))
                .and_then(|taken| a.checked_sub(taken)),
            R::Pow => u32::try_from(*b).ok().and_then(|power| a.checked_pow(power)),
            R::Div => return int_div(left, right).map(Number::Float),
        };
        if let Some(small) = small {
            return Ok(Number::Int(small));
        }
    }
    if matches!(left, Number::Float(_)) || matches!(right, Number::Float(_)) {
        return reckon_floats(how, left.float()?, right.float()?).map(Number::Float);
    }
    reckon_bigs(how, left, right)
}

fn floor_div(a: i128, b: i128) -> Option<i128> {
    let quotient = a.checked_div(b)?;
    let exact = quotient.checked_mul(b)? == a;
    Some(if !exact && (a < 0) != (b < 0) { quotient - 1 } else { quotient })
}

fn reckon_floats(how: Reckon, a: f64, b: f64) -> Result<f64, Error> {
    Ok(match how {
        Reckon::Add => a + b,
        Reckon::Sub => a - b,
        Reckon::Mul => a * b,
        Reckon::Div => a / b,
        Reckon::FloorDiv => float_divmod(a, b).0,
        Reckon::Rem => float_divmod(a, b).1,
        Reckon::Pow => return float_pow(a, b),
    })
}

/// Quotient and remainder as Python takes them: the remainder has the divisor's sign.
fn float_divmod(a: f64, b: f64) -> (f64, f64) {
    let mut rest = a % b;
    let mut quotient = (a - rest) / b;
    if rest == 0.0 {
        rest = 0.0_f64.copysign(b);
    } else if (b < 0.0) != (rest < 0.0) {
        rest += b;
        quotient -= 1.0;
    }
    if quotient == 0.0 {
        return (0.0_f64.copysign(a / b), rest);
    }
    let floor = quotient.floor();
    (if quotient - floor > 0.5 { floor + 1.0 } else { floor }, rest)
}

fn float_pow(a: f64, b: f64) -> Result<f64, Error> {
    if a == 0.0 && b < 0.0 {
        return Err(fault("zero cannot be raised to a negative power"));
    }
    if a < 0.0 && a.is_finite() && b.is_finite() && b.fract() != 0.0 {
        return Err(fault("a negative number to a fractional power is a complex number"));
    }
    let power = a.powf(b);
    if power.is_infinite() && a.is_finite() && b.is_finite() {
        return Err(fault("the result is too large for a float"));
    }
    Ok(power)
}

/// `/` between integers: the float nearest to the true quotient.
fn int_div(left: Number, right: Number) -> Result<f64, Error> {
    if let (Number::Int(a), Number::Int(b)) = (&left, &right)
        && a.unsigned_abs() <= EXACT.unsigned_abs()
        && b.unsigned_abs() <= EXACT.unsigned_abs()
    {
        return Ok(*a as f64 / *b as f64);
    }
    let negative = left.is_negative() != right.is_negative();
    let (Some(a), Some(b)) = (left.big(), right.big()) else { return Ok(f64::NAN) };
    let (a, b) = (a.abs(), b.abs());
    // Scaled so that the quotient has 64 bits or more; what is left over only tells up from down.
    let shift = 66 + b.bits().cast_signed() - a.bits().cast_signed();
    let (a, b) = if shift >= 0 { (a << shift, b) } else { (a, b << -shift) };
    let quotient = &a / &b;
    let sticky = u8::from(&quotient * &b != a);
    let quotient: BigInt = (quotient << 1) + sticky;
    let float = scale(quotient.to_f64().unwrap_or(f64::INFINITY), -(shift + 1));
    if float.is_infinite() {
        return Err(fault("the result is too large for a float"));
    }
    Ok(if negative { -float } else { float })
}

/// `float * 2^power`, in two steps so that neither leaves a float's range early.
fn scale(float: f64, power: i64) -> f64 {
    let power = power.clamp(-2200, 2200) as i32;
    float * 2.0_f64.powi(power / 2) * 2.0_f64.powi(power - power / 2)
}

fn reckon_bigs(how: Reckon, left: Number, right: Number) -> Result<Number, Error> {
    if how == Reckon::Div {
        return int_div(left, right).map(Number::Float);
    }
    if how == Reckon::Pow {
        return int_pow(left, right);
    }
    let (Some(a), Some(b)) = (left.big(), right.big()) else { return Ok(Number::Float(f64::NAN)) };
    let bits = match how {
        Reckon::Mul => a.bits() + b.bits(),
        _ => a.bits().max(b.bits()) + 1,
    };
    afford(bits)?;
    Ok(Number::Big(match how {
        Reckon::Add => a + b,
        Reckon::Sub => a - b,
        Reckon::Mul => a * b,
        Reckon::FloorDiv => big_floor_div(&a, &b),
        _ => &a - big_floor_div(&a, &b) * &b,
    }))
}

fn big_floor_div(a: &BigInt, b: &BigInt) -> BigInt {
    let quotient = a / b;
    if a.is_negative() == b.is_negative() || &quotient * b == *a { quotient } else { quotient - 1 }
}

fn int_pow(left: Number, right: Number) -> Result<Number, Error> {
    if right.is_negative() {
        return float_pow(left.float()?, right.float()?).map(Number::Float);
    }
    let (Some(a), Some(b)) = (left.big(), right.big()) else { return Ok(Number::Float(f64::NAN)) };
    if a.bits() <= 1 {
        // 0, 1 and -1 stay what they are, to any power.
        let odd = b.bit(0);
        return Ok(match a.to_i8() {
            Some(-1) if !odd => Number::Int(1),
            Some(0) if b.is_zero() => Number::Int(1),
            other => Number::Int(i128::from(other.unwrap_or_default())),
        });
    }
    let power = b.to_u32().unwrap_or(u32::MAX);
    afford(a.bits().saturating_mul(u64::from(power)))?;
    Ok(Number::Big(a.pow(power)))
}

/// Refuses an integer that would be too large, before it is made.
fn afford(bits: u64) -> Result<(), Error> {
    if bits > BITS_MAX {
        return Err(fault(format!("an integer of more than {BITS_MAX} bits is not reckoned with")));
    }
    budget::take((bits / 8) as usize * 2)
}

/// Orders two numbers exactly; `None` when one is not a number at all (NaN).
pub(super) fn compare(left: &Number, right: &Number) -> Option<Ordering> {
    match (left, right) {
        (Number::Int(a), Number::Int(b)) => Some(a.cmp(b)),
        (Number::Float(a), Number::Float(b)) => a.partial_cmp(b),
        (Number::Float(a), other) => compare_exactly(*a, other),
        (other, Number::Float(b)) => compare_exactly(*b, other).map(Ordering::reverse),
        (a, b) => Some(a.clone().big()?.cmp(&b.clone().big()?)),
    }
}

/// A float against an integer, without making the integer a float.
fn compare_exactly(float: f64, integer: &Number) -> Option<Ordering> {
    if let Number::Int(small) = integer
        && small.unsigned_abs() <= EXACT.unsigned_abs()
    {
        return float.partial_cmp(&(*small as f64));
    }
    if float.is_nan() {
        return None;
    }
    let Some(whole) = BigInt::from_f64(float.floor()) else {
        return Some(if float > 0.0 { Ordering::Greater } else { Ordering::Less });
    };
    let rest = if float.fract() == 0.0 { Ordering::Equal } else { Ordering::Greater };
    Some(whole.cmp(&integer.clone().big()?).then(rest))
}

/// A float without its fraction; `None` when it is not finite.
pub(super) fn truncated(float: f64) -> Option<BigInt> {
    BigInt::from_f64(float.trunc())
}

/// An integer or bool as an integer.
pub(super) fn whole(value: &Value) -> Result<Value, Error> {
    match number(value) {
        Some(number @ (Number::Int(_) | Number::Big(_))) => Ok(number.into_value()),
        _ => Err(fault("an integer is needed")),
    }
}

/// Python's `round`: half to even, on the exact value. Without digits a float becomes an integer.
pub(super) fn rounded(number: Number, digits: Option<i64>) -> Result<Number, Error> {
    let Number::Float(float) = number else {
        return match digits {
            Some(digits @ ..0) => {
                let tens = digits.saturating_neg();
                Ok(Number::Big(round_tens(number.big().unwrap_or_default(), false, tens)))
            }
            _ => Ok(number),
        };
    };
    let Some(digits) = digits else {
        let whole = truncated(float.round_ties_even());
        return whole.map(Number::Big).ok_or_else(|| fault(format!("{float} is no integer")));
    };
    if !float.is_finite() || digits > 323 {
        return Ok(Number::Float(float));
    }
    if digits >= 0 {
        let text = format!("{float:.*}", digits as usize);
        return Ok(Number::Float(text.parse().unwrap_or(float)));
    }
    let whole = truncated(float.abs()).unwrap_or_default();
    let whole = round_tens(whole, float.fract() != 0.0, digits.saturating_neg());
    Ok(Number::Float(whole.to_f64().unwrap_or(f64::INFINITY).copysign(float)))
}

/// An integer to a multiple of `10^tens`, half to even; `more` when something beyond the integer was cut off.
fn round_tens(number: BigInt, more: bool, tens: i64) -> BigInt {
    // Beyond this many digits nothing that is afforded is left.
    let Ok(tens) = u32::try_from(tens.min(40_000)) else { return number };
    let unit = BigInt::from(10).pow(tens);
    let below = big_floor_div(&number, &unit) * &unit;
    let twice: BigInt = (&number - &below) * 2;
    let up = match twice.cmp(&unit) {
        Ordering::Equal => more || (&below / &unit).bit(0),
        order => order.is_gt(),
    };
    if up { below + unit } else { below }
}
