//! Literals to values, as Python reads them: escapes of strings, integers of any size, floats. In: a token's text.
//! Out: a value. Never a lone surrogate: no text of ours can hold one.

use std::fmt::Write as _;

use minijinja::Value;
use num_bigint::BigInt;

use super::super::error::Fault;
use super::super::value::{DIGITS_MAX, from_big};
use super::lexer::Token;

/// The value of an integer.
pub(super) fn integer(token: &Token<'_>) -> Result<Value, Fault> {
    let text = token.text.replace('_', "");
    if let Ok(small) = text.parse::<i64>() {
        return Ok(Value::from(small));
    }
    let (digits, radix) = match text.get(..2) {
        Some("0x" | "0X") => (&text[2..], 16),
        Some("0o" | "0O") => (&text[2..], 8),
        Some("0b" | "0B") => (&text[2..], 2),
        _ => (&*text, 10),
    };
    if radix == 10 && digits.len() > DIGITS_MAX {
        let what = format!("an integer of more than {DIGITS_MAX} digits is not read");
        return Err(Fault::new(token.start, token.end(), what));
    }
    let number = BigInt::parse_bytes(digits.as_bytes(), radix);
    Ok(number.map_or(Value::UNDEFINED, from_big))
}

/// The value of a float; out of range it is infinite.
pub(super) fn float(token: &Token<'_>) -> Value {
    Value::from(token.text.replace('_', "").parse::<f64>().unwrap_or(f64::INFINITY))
}

/// Appends the text that a string token means.
pub(super) fn string(out: &mut String, token: &Token<'_>) -> Result<(), Fault> {
    let inner = &token.text[1..token.text.len() - 1];
    let mut rest = inner;
    while let Some(place) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..place]);
        let escape = &rest[place + 1..];
        let start = token.start + 1 + (inner.len() - rest.len()) + place;
        let length = meaning(out, escape).map_err(|what| {
            let end = start + 1 + escape.chars().next().map_or(0, char::len_utf8);
            Fault::new(start, end, what)
        })?;
        rest = &escape[length..];
    }
    out.push_str(rest);
    Ok(())
}

/// Appends what an escape means, given what follows its backslash; the length of the escape.
fn meaning(out: &mut String, escape: &str) -> Result<usize, String> {
    let Some(first) = escape.chars().next() else { return Ok(0) };
    let plain = match first {
        '\n' => return Ok(1),
        '\\' | '\'' | '"' => first,
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '0'..='7' => {
            let length =
                escape.bytes().take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
            let code = u32::from_str_radix(&escape[..length], 8).unwrap_or_default();
            out.push(char::from_u32(code).unwrap_or_default());
            return Ok(length);
        }
        'x' => return code(out, escape, 2),
        'u' => return code(out, escape, 4),
        'U' => return code(out, escape, 8),
        // A table of 34,000 names for one escape is more than it is worth.
        'N' => {
            return Err("characters are not known by name here; write '\\u' and digits".to_owned());
        }
        _ => return Ok(unknown(out, first)),
    };
    out.push(plain);
    Ok(1)
}

fn code(out: &mut String, escape: &str, digits: usize) -> Result<usize, String> {
    let hex = escape.get(1..=digits).filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let Some(hex) = hex else {
        return Err(format!("this escape needs {digits} hexadecimal digits"));
    };
    let code = u32::from_str_radix(hex, 16).unwrap_or(u32::MAX);
    out.push(char::from_u32(code).ok_or_else(|| format!("there is no character {hex}"))?);
    Ok(digits + 1)
}

/// An escape that is none: it stays, as Python's decoder leaves it. Other than ASCII is escaped by Jinja before it is
/// decoded, so there the backslash ends up in front of the character's number.
fn unknown(out: &mut String, first: char) -> usize {
    out.push('\\');
    let _ = match first as u32 {
        ..=0x7F => write!(out, "{first}"),
        code @ ..=0xFF => write!(out, "x{code:02x}"),
        code @ ..=0xFFFF => write!(out, "u{code:04x}"),
        code => write!(out, "U{code:08x}"),
    };
    first.len_utf8()
}
