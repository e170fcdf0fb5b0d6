//! Python's two ways of formatting: `%` and `str.format`, and the specifications of the latter. In: a format and
//! values. Out: text, safe when the format was. Never wider than a bound, and paid for before it is made.

mod digits;
mod printf;
mod spec;
mod strformat;

use minijinja::Error;

use super::budget;
use super::filters::Table;
use super::repr::write_escape;
use super::value::fault;

pub(super) use printf::percent;
pub(super) use spec::formatted;
pub(super) use strformat::{format, format_map};

pub(super) const TABLE: Table = &[("format", |_, value, args| printf::filter(value, args))];

/// Widest field.
const WIDTH_MAX: usize = 10_000;

/// Refuses a field that is too wide, and pays for one that is not.
fn afford(width: usize) -> Result<(), Error> {
    if width > WIDTH_MAX {
        return Err(fault(format!("a width of {width} is too much: at most {WIDTH_MAX}")));
    }
    budget::take(width * size_of::<char>())
}

/// A `repr` with everything beyond ASCII escaped.
fn ascii(text: &str) -> Result<String, Error> {
    budget::take(text.len() * 5)?;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            write_escape(&mut out, c)?;
        }
    }
    Ok(out)
}

/// The first characters of a text.
fn first(text: &str, count: usize) -> &str {
    let end = text.char_indices().nth(count).map_or(text.len(), |(place, _)| place);
    &text[..end]
}
