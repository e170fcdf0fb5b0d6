//! Values as text, the way Python's `str` and `repr` write them. In: a value. Out: characters, paid for as they are
//! written. Never more than the rendering's budget, however often a value holds itself.

use std::fmt::Write;

use minijinja::value::DynObject;
use minijinja::{Error, Value};

use super::budget;
use super::chars::is_printable;
use super::context::{Fields, Headers};
use super::lazy::Node;
use super::value::{DEPTH_MAX, DIGITS_MAX, Kind, Side, broken, fault, kind};

/// Longest text of a float that is the only one so short.
const SURE_MAX: usize = 15;

/// The text of a value as a new string.
pub(super) fn text(value: &Value) -> Result<String, Error> {
    let mut out = String::new();
    write_str(&mut out, value)?;
    Ok(out)
}

/// Writes what `str(value)` is.
pub(super) fn write_str(out: &mut dyn Write, value: &Value) -> Result<(), Error> {
    match kind(value) {
        Kind::Undefined => Ok(()),
        Kind::Str(text) => {
            budget::take(text.len())?;
            Ok(out.write_str(text)?)
        }
        _ => write_repr(out, value, 0),
    }
}

/// Writes what `repr(value)` is.
pub(super) fn write_repr(out: &mut dyn Write, value: &Value, depth: usize) -> Result<(), Error> {
    budget::look(1)?;
    if depth > DEPTH_MAX {
        return Err(fault(format!("a value nested deeper than {DEPTH_MAX} levels has no text")));
    }
    match kind(value) {
        Kind::Broken => return Err(broken(value)),
        Kind::Undefined => out.write_str("Undefined")?,
        Kind::None => out.write_str("None")?,
        Kind::Bool(true) => out.write_str("True")?,
        Kind::Bool(false) => out.write_str("False")?,
        Kind::Int(number) => write!(out, "{number}")?,
        Kind::Big(big) => write_big(out, &big.0)?,
        Kind::Float(number) => write_float(out, number)?,
        Kind::Str(text) if value.is_safe() => {
            out.write_str("Markup(")?;
            quote(out, text)?;
            out.write_str(")")?;
        }
        Kind::Str(text) => quote(out, text)?,
        Kind::Bytes(bytes) => write_bytes(out, bytes)?,
        Kind::List(list) => write_items(out, "[", items(list), "]", depth)?,
        Kind::Tuple(tuple) => {
            let close = if tuple.len() == 1 { ",)" } else { ")" };
            write_items(out, "(", tuple.iter().cloned(), close, depth)?;
        }
        Kind::Dict(dict) => write_dict(out, "{", pairs(dict), "}", depth)?,
        Kind::Namespace(names) => {
            write_dict(out, "<Namespace {", names.pairs(), "}>", depth)?;
        }
        Kind::Range(range) if range.step == 1 => {
            write!(out, "range({}, {})", range.start, range.end)?;
        }
        Kind::Range(range) => {
            write!(out, "range({}, {}, {})", range.start, range.end, range.step)?;
        }
        Kind::View(view) => {
            let open = match view.side {
                Side::Keys => "dict_keys([",
                Side::Values => "dict_values([",
                Side::Items => "dict_items([",
            };
            write_items(out, open, view.items.iter().cloned(), "])", depth)?;
        }
        Kind::Generator => out.write_str("<generator object>")?,
        Kind::Method(method) => write!(out, "<built-in method {}>", method.name)?,
        Kind::Other(object) if is_loop(object) => {
            let part = |name: &str| object.get_value_by_str(name).unwrap_or_default();
            out.write_str("<LoopContext ")?;
            write_repr(out, &part("index"), depth + 1)?;
            out.write_str("/")?;
            write_repr(out, &part("length"), depth + 1)?;
            out.write_str(">")?;
        }
        Kind::Other(object) => write!(out, "{object}")?,
    }
    Ok(())
}

/// Whether this is the engine's `loop`.
pub(super) fn is_loop(object: &DynObject) -> bool {
    object.type_name().ends_with("loop_object::Loop")
}

/// The items of a list.
pub(super) fn items(list: &DynObject) -> impl Iterator<Item = Value> {
    list.try_iter().into_iter().flatten()
}

/// The keys and values of a dict.
pub(super) fn pairs(dict: &DynObject) -> Vec<(Value, Value)> {
    if let Some(node) = dict.downcast_ref::<Node>() {
        return node.pairs();
    }
    if let Some(fields) = dict.downcast_ref::<Fields>() {
        return fields.pairs().collect();
    }
    if let Some(headers) = dict.downcast_ref::<Headers>() {
        return headers
            .lines()
            .map(|(name, text)| (Value::from(name), Value::from(text)))
            .collect();
    }
    dict.try_iter_pairs().into_iter().flatten().collect()
}

fn write_items(
    out: &mut dyn Write,
    open: &str,
    items: impl Iterator<Item = Value>,
    close: &str,
    depth: usize,
) -> Result<(), Error> {
    out.write_str(open)?;
    for (place, item) in items.enumerate() {
        if place > 0 {
            out.write_str(", ")?;
        }
        write_repr(out, &item, depth + 1)?;
    }
    Ok(out.write_str(close)?)
}

fn write_dict(
    out: &mut dyn Write,
    open: &str,
    pairs: Vec<(Value, Value)>,
    close: &str,
    depth: usize,
) -> Result<(), Error> {
    out.write_str(open)?;
    for (place, (key, value)) in pairs.into_iter().enumerate() {
        if place > 0 {
            out.write_str(", ")?;
        }
        write_repr(out, &key, depth + 1)?;
        out.write_str(": ")?;
        write_repr(out, &value, depth + 1)?;
    }
    Ok(out.write_str(close)?)
}

/// Writes an integer beyond `i128`; beyond [`DIGITS_MAX`] digits Python refuses, and so do we.
fn write_big(out: &mut dyn Write, number: &num_bigint::BigInt) -> Result<(), Error> {
    // 3.32 bits a digit: an upper bound that keeps the conversion itself small.
    let digits = number.bits() * 100 / 332;
    if digits > DIGITS_MAX as u64 + 1 {
        return Err(too_many_digits());
    }
    let text = number.to_string();
    if text.trim_start_matches('-').len() > DIGITS_MAX {
        return Err(too_many_digits());
    }
    budget::take(text.len())?;
    Ok(out.write_str(&text)?)
}

pub(super) fn too_many_digits() -> Error {
    fault(format!("an integer of more than {DIGITS_MAX} digits has no text"))
}

/// Writes a float as Python's `repr`: the shortest digits that read back the same.
pub(super) fn write_float(out: &mut dyn Write, number: f64) -> Result<(), Error> {
    let size = number.abs();
    if number.is_nan() {
        out.write_str("nan")?;
    } else if number.is_infinite() {
        out.write_str(if number < 0.0 { "-inf" } else { "inf" })?;
    } else if size == 0.0 || (1e-4..1e16).contains(&size) {
        let whole = if number.fract() == 0.0 { ".0" } else { "" };
        let text = number.to_string();
        match text.split_once('.') {
            Some((_, behind)) if text.len() > SURE_MAX => {
                let nearer = format!("{number:.*}", behind.len());
                out.write_str(if reads_back(&nearer, number) { &nearer } else { &text })?;
            }
            _ => write!(out, "{text}{whole}")?,
        }
    } else {
        let text = shortest(number);
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => ('-', exponent),
            None => ('+', exponent),
        };
        write!(out, "{digits}e{sign}{exponent:0>2}")?;
    }
    Ok(())
}

/// The shortest digits of a float that read back the same, with an exponent; of two that do, those nearer to it, and of
/// two as near the even ones: the standard library takes the odd ones too.
pub(super) fn shortest(number: f64) -> String {
    let text = format!("{number:e}");
    let behind = text.split_once('e').and_then(|(digits, _)| digits.split_once('.'));
    match behind.map(|(_, behind)| behind.len()) {
        Some(behind) if text.len() > SURE_MAX => {
            let nearer = format!("{number:.behind$e}");
            if reads_back(&nearer, number) { nearer } else { text }
        }
        _ => text,
    }
}

/// Whether digits are those of a float: below a power of two the nearer ones may be its neighbour's.
fn reads_back(text: &str, number: f64) -> bool {
    text.parse().is_ok_and(|read: f64| read.to_bits() == number.to_bits())
}

/// Writes a string as Python's `repr`.
pub(super) fn quote(out: &mut dyn Write, text: &str) -> Result<(), Error> {
    budget::take(text.len())?;
    let mark = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.write_char(mark)?;
    let mut copied = 0;
    for (place, c) in text.char_indices() {
        if c != mark && c != '\\' && is_printable(c) {
            continue;
        }
        out.write_str(&text[copied..place])?;
        copied = place + c.len_utf8();
        match c {
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            _ if c == mark || c == '\\' => write!(out, "\\{c}")?,
            _ => write_escape(out, c)?,
        }
    }
    out.write_str(&text[copied..])?;
    Ok(out.write_char(mark)?)
}

pub(super) fn write_escape(out: &mut dyn Write, c: char) -> Result<(), Error> {
    match c as u32 {
        code @ ..=0xFF => write!(out, "\\x{code:02x}")?,
        code @ ..=0xFFFF => write!(out, "\\u{code:04x}")?,
        code => write!(out, "\\U{code:08x}")?,
    }
    Ok(())
}

pub(super) fn write_bytes(out: &mut dyn Write, bytes: &[u8]) -> Result<(), Error> {
    budget::take(bytes.len())?;
    let mark = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { '"' } else { '\'' };
    write!(out, "b{mark}")?;
    for &byte in bytes {
        match byte {
            b'\n' => out.write_str("\\n")?,
            b'\r' => out.write_str("\\r")?,
            b'\t' => out.write_str("\\t")?,
            b'\\' => out.write_str("\\\\")?,
            _ if char::from(byte) == mark => write!(out, "\\{mark}")?,
            0x20..0x7F => out.write_char(char::from(byte))?,
            _ => write!(out, "\\x{byte:02x}")?,
        }
    }
    Ok(out.write_char(mark)?)
}
