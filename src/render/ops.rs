//! Python's operators. In: two values. Out: the value Python makes of them, or why it refuses. Never a lazy result: a
//! list that is added is made, and paid for before it is.

use minijinja::value::Tuple;
use minijinja::{Error, Value};

use super::number::{Number, Reckon, number, reckon};
use super::repr::{items, text, write_str};
use super::value::{Kind, fault, kind, type_name};
use super::{budget, pyformat};

/// `left how right` for the arithmetic operators.
pub(super) fn arithmetic(how: Reckon, left: &Value, right: &Value) -> Result<Value, Error> {
    if let (Some(a), Some(b)) = (number(left), number(right)) {
        return reckon(how, a, b).map(Number::into_value);
    }
    match how {
        Reckon::Add => add(left, right),
        Reckon::Mul => multiply(left, right),
        Reckon::Rem if matches!(kind(left), Kind::Str(_)) => pyformat::percent(left, right),
        _ => Err(refused(how, left, right)),
    }
}

fn refused(how: Reckon, left: &Value, right: &Value) -> Error {
    let (a, b) = (type_name(left), type_name(right));
    fault(match how {
        Reckon::Add => format!("cannot add {a} and {b}"),
        Reckon::Sub => format!("cannot subtract {b} from {a}"),
        Reckon::Mul => format!("cannot multiply {a} by {b}"),
        Reckon::Div | Reckon::FloorDiv => format!("cannot divide {a} by {b}"),
        Reckon::Rem => format!("cannot take the remainder of {a} by {b}"),
        Reckon::Pow => format!("cannot raise {a} to the power of {b}"),
    })
}

fn add(left: &Value, right: &Value) -> Result<Value, Error> {
    match (kind(left), kind(right)) {
        (Kind::Str(a), Kind::Str(b)) => join(&[(a, left.is_safe()), (b, right.is_safe())]),
        // Undefined has a text in HTML: none.
        (Kind::Str(_), Kind::Undefined) if left.is_safe() && right.is_undefined() => {
            Ok(left.clone())
        }
        (Kind::List(a), Kind::List(b)) => {
            let length = left.len().unwrap_or(0) + right.len().unwrap_or(0);
            budget::take_values(length)?;
            Ok(Value::from(items(a).chain(items(b)).collect::<Vec<_>>()))
        }
        (Kind::Tuple(a), Kind::Tuple(b)) => {
            budget::take_values(a.len() + b.len())?;
            Ok(Tuple::from([&**a, &**b].concat()).into())
        }
        (Kind::Bytes(a), Kind::Bytes(b)) => {
            budget::take(a.len() + b.len())?;
            Ok(Value::from_bytes([a, b].concat()))
        }
        _ => Err(refused(Reckon::Add, left, right)),
    }
}

/// Texts in a row; once one is safe, the others are escaped and the result is safe.
fn join(parts: &[(&str, bool)]) -> Result<Value, Error> {
    let is_safe = parts.iter().any(|(_, safe)| *safe);
    budget::take(parts.iter().map(|(text, _)| text.len()).sum())?;
    let mut out = String::with_capacity(parts.iter().map(|(text, _)| text.len()).sum());
    for (text, safe) in parts {
        if is_safe && !safe {
            escape(&mut out, text)?;
        } else {
            out.push_str(text);
        }
    }
    Ok(if is_safe { Value::from_safe_string(out) } else { Value::from(out) })
}

/// Appends a text as HTML that shows it, spelled as Python's `MarkupSafe` does.
pub(super) fn escape(out: &mut String, text: &str) -> Result<(), Error> {
    budget::take(text.len())?;
    let mut copied = 0;
    for (place, byte) in text.bytes().enumerate() {
        let entity = match byte {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'\'' => "&#39;",
            b'"' => "&#34;",
            _ => continue,
        };
        out.push_str(&text[copied..place]);
        out.push_str(entity);
        copied = place + 1;
    }
    out.push_str(&text[copied..]);
    Ok(())
}

fn multiply(left: &Value, right: &Value) -> Result<Value, Error> {
    let (row, count) = match (number(left), number(right)) {
        (None, Some(Number::Int(count))) => (left, count),
        (Some(Number::Int(count)), None) => (right, count),
        _ => return Err(refused(Reckon::Mul, left, right)),
    };
    if i64::try_from(count).is_err() && is_row(row) {
        return Err(fault(format!("{count} times is too often")));
    }
    let count = usize::try_from(count.max(0)).unwrap_or(usize::MAX);
    match kind(row) {
        Kind::Str(text) => {
            budget::take(text.len().saturating_mul(count))?;
            let out = text.repeat(count);
            Ok(if row.is_safe() { Value::from_safe_string(out) } else { Value::from(out) })
        }
        Kind::Bytes(bytes) => {
            budget::take(bytes.len().saturating_mul(count))?;
            Ok(Value::from_bytes(bytes.repeat(count)))
        }
        Kind::List(list) => {
            budget::take_values(row.len().unwrap_or(0).saturating_mul(count))?;
            let once: Vec<Value> = items(list).collect();
            Ok(Value::from(repeated(&once, count)))
        }
        Kind::Tuple(tuple) => {
            budget::take_values(tuple.len().saturating_mul(count))?;
            Ok(Tuple::from(repeated(tuple, count)).into())
        }
        _ => Err(refused(Reckon::Mul, left, right)),
    }
}

fn is_row(value: &Value) -> bool {
    matches!(kind(value), Kind::Str(_) | Kind::Bytes(_) | Kind::List(_) | Kind::Tuple(_))
}

fn repeated(once: &[Value], count: usize) -> Vec<Value> {
    // An empty row stays empty however often: only what is paid for is gone through.
    let length = once.len().saturating_mul(count);
    once.iter().cycle().take(length).cloned().collect()
}

/// `left ** right` of a constant and a value: `-2 ** n` is then `-(2 ** n)`, as the code that Jinja makes has it.
pub(super) fn signed_power(left: &Value, right: &Value) -> Result<Value, Error> {
    let is_signed = match kind(left) {
        Kind::Float(float) => float.is_sign_negative() && !float.is_nan(),
        _ => number(left).is_some_and(|number| number.is_negative()),
    };
    if is_signed {
        return negate(&arithmetic(Reckon::Pow, &negate(left)?, right)?);
    }
    arithmetic(Reckon::Pow, left, right)
}

/// `-value`.
pub(super) fn negate(value: &Value) -> Result<Value, Error> {
    match number(value) {
        Some(number) => Ok(number.negate().into_value()),
        None => Err(fault(format!("cannot negate {}", type_name(value)))),
    }
}

/// `+value`.
pub(super) fn posit(value: &Value) -> Result<Value, Error> {
    match number(value) {
        Some(number) => Ok(number.into_value()),
        None => Err(fault(format!("{} has no sign", type_name(value)))),
    }
}

/// `first ~ second ~ …`: the texts of all in a row.
pub(super) fn concat(first: &Value, rest: &[Value], escapes: bool) -> Result<Value, Error> {
    let values = || std::iter::once(first).chain(rest);
    if escapes {
        let mut parts = Vec::with_capacity(1 + rest.len());
        for value in values() {
            parts.push((text(value)?, value.is_safe()));
        }
        let parts: Vec<_> = parts.iter().map(|(text, safe)| (&**text, *safe)).collect();
        return join(&parts);
    }
    let guess = values().map(|value| value.as_str().map_or(8, str::len)).sum();
    let mut out = String::with_capacity(guess);
    values().try_for_each(|value| write_str(&mut out, value))?;
    Ok(Value::from(out))
}
