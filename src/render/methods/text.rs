//! Methods of strings that change or judge the whole: cases, white space, padding, kinds of characters. In: a string
//! and arguments. Out: what Python's method gives, safe when the string was. Never longer than the budget.

use minijinja::{Error, Value};

use super::super::args::bind;
use super::super::budget;
use super::super::chars::{self, is_cased};
use super::super::ops::escape;
use super::super::value::{Kind, fault, index, kind, marked, type_name};
use super::{Member, Table};

pub(super) const TABLE: Table = &[
    ("capitalize", Member::Method(|of, args| plain(of, args, "capitalize", chars::capitalize))),
    ("casefold", Member::Method(|of, args| plain(of, args, "casefold", chars::casefold))),
    ("center", Member::Method(|of, args| padded(of, args, "center", Side::Both))),
    ("expandtabs", Member::Method(expand_tabs)),
    ("isalnum", Member::Method(|of, args| all(of, args, "isalnum", chars::is_alphanumeric))),
    ("isalpha", Member::Method(|of, args| all(of, args, "isalpha", chars::is_alphabetic))),
    ("isascii", Member::Method(|of, args| judged(of, args, "isascii", str::is_ascii))),
    ("isdecimal", Member::Method(|of, args| all(of, args, "isdecimal", chars::is_decimal))),
    ("isdigit", Member::Method(|of, args| all(of, args, "isdigit", chars::is_digit))),
    ("isidentifier", Member::Method(|of, args| judged(of, args, "isidentifier", is_identifier))),
    ("islower", Member::Method(|of, args| judged(of, args, "islower", is_lower))),
    ("isnumeric", Member::Method(|of, args| all(of, args, "isnumeric", chars::is_numeric))),
    (
        "isprintable",
        Member::Method(|of, args| {
            judged(of, args, "isprintable", |text| text.chars().all(chars::is_printable))
        }),
    ),
    ("isspace", Member::Method(|of, args| all(of, args, "isspace", chars::is_space))),
    ("istitle", Member::Method(|of, args| judged(of, args, "istitle", is_title))),
    ("isupper", Member::Method(|of, args| judged(of, args, "isupper", is_upper))),
    ("ljust", Member::Method(|of, args| padded(of, args, "ljust", Side::Right))),
    ("lower", Member::Method(|of, args| plain(of, args, "lower", str::to_lowercase))),
    ("lstrip", Member::Method(|of, args| stripped(of, args, "lstrip", true, false))),
    ("rjust", Member::Method(|of, args| padded(of, args, "rjust", Side::Left))),
    ("rstrip", Member::Method(|of, args| stripped(of, args, "rstrip", false, true))),
    ("strip", Member::Method(|of, args| stripped(of, args, "strip", true, true))),
    ("swapcase", Member::Method(|of, args| plain(of, args, "swapcase", chars::swapcase))),
    ("title", Member::Method(|of, args| plain(of, args, "title", chars::title))),
    ("upper", Member::Method(|of, args| plain(of, args, "upper", str::to_uppercase))),
    ("zfill", Member::Method(zero_fill)),
];

/// The string a method belongs to.
pub(super) fn own(of: &Value) -> &str {
    match kind(of) {
        Kind::Str(text) => text,
        _ => "",
    }
}

/// An argument that must be a string.
pub(super) fn string<'v>(what: &str, value: &'v Value) -> Result<&'v str, Error> {
    match kind(value) {
        Kind::Str(text) => Ok(text),
        _ => Err(fault(format!("{what} needs a string, not {}", type_name(value)))),
    }
}

/// A method without arguments that gives a string.
fn plain(
    of: &Value,
    args: &[Value],
    name: &str,
    change: impl FnOnce(&str) -> String,
) -> Result<Value, Error> {
    let [] = bind(name, [], 0, args)?;
    // Some characters grow to three times their bytes in another case.
    budget::take(own(of).len() * 3)?;
    Ok(marked(change(own(of)), of.is_safe()))
}

fn judged(
    of: &Value,
    args: &[Value],
    name: &str,
    judge: impl FnOnce(&str) -> bool,
) -> Result<Value, Error> {
    let [] = bind(name, [], 0, args)?;
    budget::spend(own(of).len() as u64)?;
    Ok(Value::from(judge(own(of))))
}

fn all(of: &Value, args: &[Value], name: &str, holds: fn(char) -> bool) -> Result<Value, Error> {
    judged(of, args, name, |text| !text.is_empty() && text.chars().all(holds))
}

/// `str.islower`: some cased characters, none of them upper case.
pub(in super::super) fn is_lower(text: &str) -> bool {
    text.chars().any(char::is_lowercase)
        && !text.chars().any(|c| c.is_uppercase() || chars::is_titlecase(c))
}

/// `str.isupper`.
pub(in super::super) fn is_upper(text: &str) -> bool {
    text.chars().any(char::is_uppercase)
        && !text.chars().any(|c| c.is_lowercase() || chars::is_titlecase(c))
}

fn is_title(text: &str) -> bool {
    let (mut inside, mut found) = (false, false);
    for c in text.chars() {
        if c.is_uppercase() || chars::is_titlecase(c) {
            if inside {
                return false;
            }
            (inside, found) = (true, true);
        } else if c.is_lowercase() {
            if !inside {
                return false;
            }
            found = true;
        } else {
            inside = is_cased(c);
        }
    }
    found
}

fn is_identifier(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c == '_' || unicode_ident::is_xid_start(c))
        && chars.all(unicode_ident::is_xid_continue)
}

/// A text without white space, or without the characters of a set, at its ends.
pub(in super::super) fn strip<'t>(
    text: &'t str,
    set: Option<&str>,
    at_start: bool,
    at_end: bool,
) -> &'t str {
    let goes = |c: char| set.map_or_else(|| chars::is_space(c), |set| set.contains(c));
    let text = if at_start { text.trim_start_matches(goes) } else { text };
    if at_end { text.trim_end_matches(goes) } else { text }
}

fn stripped(
    of: &Value,
    args: &[Value],
    name: &str,
    at_start: bool,
    at_end: bool,
) -> Result<Value, Error> {
    let [set] = bind(name, [""], 0, args)?;
    let set = set.filter(|set| !set.is_none());
    let set = set.as_ref().map(|set| string(name, set)).transpose()?;
    budget::take(own(of).len())?;
    Ok(marked(strip(own(of), set, at_start, at_end).to_owned(), of.is_safe()))
}

/// Where padding goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Side {
    Left,
    Right,
    Both,
}

/// A string padded to a width in characters.
pub(in super::super) fn pad(
    of: &Value,
    width: i64,
    fill: char,
    side: Side,
) -> Result<Value, Error> {
    let text = own(of);
    let length = text.chars().count();
    let missing = usize::try_from(width).unwrap_or(0).saturating_sub(length);
    budget::take(text.len().saturating_add(missing.saturating_mul(fill.len_utf8())))?;
    let left = match side {
        Side::Left => missing,
        Side::Right => 0,
        // Python's rounding: the odd one goes left when the width is odd.
        Side::Both => missing / 2 + (missing & (width.max(0) as usize) & 1),
    };
    let mut out = String::with_capacity(text.len() + missing * fill.len_utf8());
    out.extend(std::iter::repeat_n(fill, left));
    out.push_str(text);
    out.extend(std::iter::repeat_n(fill, missing - left));
    Ok(marked(out, of.is_safe()))
}

fn padded(of: &Value, args: &[Value], name: &str, side: Side) -> Result<Value, Error> {
    let [width, fill] = bind(name, ["", ""], 1, args)?;
    let width = index(name, &width.unwrap_or_default())?;
    let fill = fill.unwrap_or_else(|| Value::from(" "));
    let mut text = string(name, &fill)?.to_owned();
    if of.is_safe() && !fill.is_safe() {
        text.clear();
        escape(&mut text, string(name, &fill)?)?;
    }
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(fill), None) => pad(of, width, fill, side),
        _ => Err(fault(format!("{name} fills with exactly one character"))),
    }
}

fn zero_fill(of: &Value, args: &[Value]) -> Result<Value, Error> {
    let [width] = bind("zfill", [""], 1, args)?;
    let width = index("zfill", &width.unwrap_or_default())?;
    let text = own(of);
    let signed = usize::from(text.starts_with(['+', '-']));
    let missing = usize::try_from(width).unwrap_or(0).saturating_sub(text.chars().count());
    budget::take(text.len().saturating_add(missing))?;
    let mut out = String::with_capacity(text.len() + missing);
    out.push_str(&text[..signed]);
    out.extend(std::iter::repeat_n('0', missing));
    out.push_str(&text[signed..]);
    Ok(marked(out, of.is_safe()))
}

fn expand_tabs(of: &Value, args: &[Value]) -> Result<Value, Error> {
    let [size] = bind("expandtabs", ["tabsize"], 0, args)?;
    let size = size.map_or(Ok(8), |size| index("expandtabs", &size))?;
    let size = usize::try_from(size).unwrap_or(0);
    let text = own(of);
    let tabs = text.bytes().filter(|byte| *byte == b'\t').count();
    budget::take(text.len().saturating_add(tabs.saturating_mul(size)))?;
    let mut out = String::with_capacity(text.len());
    let mut column = 0;
    for c in text.chars() {
        match c {
            '\t' if size > 0 => {
                let width = size - column % size;
                out.extend(std::iter::repeat_n(' ', width));
                column += width;
            }
            '\t' => {}
            '\n' | '\r' => {
                out.push(c);
                column = 0;
            }
            _ => {
                out.push(c);
                column += 1;
            }
        }
    }
    Ok(marked(out, of.is_safe()))
}
