//! Texts of numbers, as Python's `int` and `float` read them. In: text, white space around it allowed. Out: a number,
//! or nothing when it is none. Never more digits than Python reads.

use num_bigint::BigInt;

use super::chars::{decimal_value, is_space};
use super::value::DIGITS_MAX;

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
