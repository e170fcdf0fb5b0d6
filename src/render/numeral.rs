//! Texts of numbers, as Python's `int` and `float` read them. In: text, white space around it allowed. Out: a number,
//! or nothing when it is none. Never more digits than Python reads.

use num_bigint::BigInt;

use super::chars::{decimal_value, is_space};
use super::value::DIGITS_MAX;

/// Beyond this a power of two says no more than that a number is far too large or small.
const HEX_POWER_MAX: i64 = 1 << 40;

/// The text trimmed, its digits made ASCII and its underscores taken out; `None` when one stands where none may.
fn plain(text: &str, is_digit: fn(char) -> bool) -> Option<String> {
    let text = text.trim_matches(is_space);
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut last = ' ';
    while let Some(c) = chars.next() {
        if c == '_' {
            let joins = is_digit(last) && chars.peek().is_some_and(|next| is_digit(*next));
            if !joins {
                return None;
            }
        } else {
            let ascii = decimal_value(c).and_then(|value| char::from_digit(value, 10));
            out.push(ascii.unwrap_or(c));
        }
        last = c;
    }
    Some(out)
}

/// What `float(text)` is.
pub(super) fn read_float(text: &str) -> Option<f64> {
    let text = plain(text, |c| decimal_value(c).is_some())?;
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(&text);
    let negative = text.starts_with('-');
    let number = match unsigned.to_ascii_lowercase().as_str() {
        "inf" | "infinity" => f64::INFINITY,
        "nan" => f64::NAN,
        _ if unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') => {
            let is_part = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
            if !unsigned.chars().all(is_part) {
                return None;
            }
            unsigned.parse().ok()?
        }
        _ => return None,
    };
    Some(if negative { -number } else { number })
}

/// What `float.fromhex(text)` is; too large a number is infinite.
pub(super) fn read_hex_float(text: &str) -> Option<f64> {
    let text = text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b');
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text).to_ascii_lowercase();
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    match &*unsigned {
        "inf" | "infinity" => return Some(sign * f64::INFINITY),
        "nan" => return Some(sign * f64::NAN),
        _ => {}
    }
    let (digits, power) = unsigned
        .split_once('p')
        .map_or((&*unsigned, None), |(digits, power)| (digits, Some(power)));
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let power = power.map_or(Some(0), |power| {
        let plain = power.strip_prefix(['+', '-']).unwrap_or(power);
        let is_number = !plain.is_empty() && plain.bytes().all(|byte| byte.is_ascii_digit());
        let far = if power.starts_with('-') { -HEX_POWER_MAX } else { HEX_POWER_MAX };
        is_number.then(|| {
            power.parse::<i64>().map_or(far, |power| power.clamp(-HEX_POWER_MAX, HEX_POWER_MAX))
        })
    })?;
    if whole.is_empty() && part.is_empty() {
        return None;
    }
    let part_length = i64::try_from(part.len()).unwrap_or(HEX_POWER_MAX);
    let (mut mantissa, mut power, mut more) = (0_u128, power - 4 * part_length, false);
    for digit in whole.chars().chain(part.chars()) {
        let digit = u128::from(digit.to_digit(16)?);
        if mantissa >> 120 == 0 {
            mantissa = mantissa << 4 | digit;
        } else {
            power += 4;
            more |= digit != 0;
        }
    }
    Some(sign * rounded(mantissa, power, more))
}

/// The float nearest to `mantissa * 2^power`, a little more when `more`; of two that are as near, the even one.
fn rounded(mantissa: u128, power: i64, more: bool) -> f64 {
    let bits = i64::from(128 - mantissa.leading_zeros());
    let top = bits - 1 + power;
    if mantissa == 0 || top < -1075 {
        return 0.0;
    }
    if top > 1024 {
        return f64::INFINITY;
    }
    let kept = 53 - (-1022 - top).max(0);
    let cut = (bits - kept).max(0);
    let (mut near, rest) =
        if cut >= 128 { (0, mantissa) } else { (mantissa >> cut, mantissa & ((1 << cut) - 1)) };
    if cut > 0 {
        let half = 1_u128 << (cut - 1);
        if rest > half || (rest == half && (more || near & 1 == 1)) {
            near += 1;
        }
    }
    let power = (power + cut) as i32;
    near as f64 * 2.0_f64.powi(power / 2) * 2.0_f64.powi(power - power / 2)
}

/// What `int(text, base)` is.
pub(super) fn read_int(text: &str, base: i64) -> Option<BigInt> {
    if base != 0 && !(2..=36).contains(&base) {
        return None;
    }
    let trimmed = text.trim_matches(is_space);
    let negative = trimmed.starts_with('-');
    let unsigned = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    let prefix = unsigned.get(..2).and_then(|prefix| match prefix {
        "0x" | "0X" => Some(16),
        "0o" | "0O" => Some(8),
        "0b" | "0B" => Some(2),
        _ => None,
    });
    let (digits, radix) = match prefix {
        Some(radix) if base == 0 || base == i64::from(radix) => {
            let digits = &unsigned[2..];
            (digits.strip_prefix('_').unwrap_or(digits), radix)
        }
        _ => (unsigned, if base == 0 { 10 } else { base as u32 }),
    };
    if digits.is_empty() || digits.starts_with(is_space) {
        return None;
    }
    let digits = plain(digits, char::is_alphanumeric)?;
    let leads_zero = digits.len() > 1 && digits.starts_with('0');
    if base == 0 && radix == 10 && leads_zero && digits.contains(|c| c != '0') {
        return None;
    }
    if !radix.is_power_of_two() && digits.len() > DIGITS_MAX {
        return None;
    }
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let number = BigInt::parse_bytes(digits.as_bytes(), radix)?;
    Some(if negative { -number } else { number })
}
