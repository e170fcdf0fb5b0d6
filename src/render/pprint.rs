//! `pprint`: a value over several lines, as Python's `pprint.pformat` lays it out. In: a value. Out: its text, where
//! what does not fit into 80 columns has a line for each item. Never an indent that is not paid for.

use std::cmp::Ordering;

use minijinja::{Error, Value};

use super::args::bind;
use super::budget;
use super::chars::{self, is_space};
use super::compare::order;
use super::filters::Table;
use super::repr::{items, pairs, quote, write_bytes, write_repr};
use super::sort::sorted_by;
use super::value::{DEPTH_MAX, Group, Kind, fault, kind};

pub(super) const TABLE: Table = &[("pprint", |_, value, args| pretty(value, args))];

const COLUMNS: usize = 80;

fn pretty(value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("pprint", [], 0, args)?;
    let mut printer = Printer { out: String::new() };
    printer.value(value, Place { indent: 0, behind: 0, depth: 0 })?;
    Ok(Value::from(printer.out))
}

/// What Python lays out by its parts.
enum Parts {
    Dict(Vec<(Value, Value)>),
    List(Vec<Value>),
    Tuple(Vec<Value>),
}

fn parts(value: &Value) -> Result<Option<Parts>, Error> {
    budget::look(value.len().unwrap_or(0))?;
    Ok(match kind(value) {
        Kind::Dict(dict) => Some(Parts::Dict(sorted(pairs(dict))?)),
        Kind::List(list) => Some(Parts::List(items(list).collect())),
        Kind::Tuple(tuple) if value.downcast_object_ref::<Group>().is_none() => {
            Some(Parts::Tuple(tuple.to_vec()))
        }
        _ => None,
    })
}

/// The pairs of a dict by key; keys without an order by the names of their types.
fn sorted(pairs: Vec<(Value, Value)>) -> Result<Vec<(Value, Value)>, Error> {
    sorted_by(pairs, |a, b| {
        budget::look(1)?;
        Ok(match order(&a.0, &b.0) {
            Ok(found) => found == Some(Ordering::Less),
            Err(_) => class(&a.0) < class(&b.0),
        })
    })
}

/// Python's name of a key's type.
fn class(key: &Value) -> &'static str {
    match kind(key) {
        Kind::None => "NoneType",
        Kind::Bool(_) => "bool",
        Kind::Int(_) | Kind::Big(_) => "int",
        Kind::Float(_) => "float",
        Kind::Str(_) if key.is_safe() => "markupsafe.Markup",
        Kind::Str(_) => "str",
        Kind::Bytes(_) => "bytes",
        Kind::Tuple(_) => "tuple",
        Kind::Range(_) => "range",
        _ => "object",
    }
}

/// The text of a value on one line: its `repr`, but dicts are sorted.
fn flat(out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
    if depth > DEPTH_MAX {
        return Err(fault(format!("a value nested deeper than {DEPTH_MAX} levels has no text")));
    }
    let (open, close, all) = match parts(value)? {
        None => return write_repr(out, value, depth),
        Some(Parts::Dict(pairs)) => {
            budget::look(1)?;
            out.push('{');
            for (place, (key, value)) in pairs.iter().enumerate() {
                out.push_str(if place > 0 { ", " } else { "" });
                flat(out, key, depth + 1)?;
                out.push_str(": ");
                flat(out, value, depth + 1)?;
            }
            out.push('}');
            return Ok(());
        }
        Some(Parts::List(all)) => ('[', "]", all),
        Some(Parts::Tuple(all)) => ('(', if all.len() == 1 { ",)" } else { ")" }, all),
    };
    budget::look(1)?;
    out.push(open);
    for (place, item) in all.iter().enumerate() {
        out.push_str(if place > 0 { ", " } else { "" });
        flat(out, item, depth + 1)?;
    }
    out.push_str(close);
    Ok(())
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Where a value is printed.
#[derive(Clone, Copy)]
struct Place {
    /// Columns before it.
    indent: usize,
    /// Columns kept for what closes behind it.
    behind: usize,
    depth: usize,
}

impl Place {
    /// Columns that are left.
    fn room(self) -> usize {
        COLUMNS.saturating_sub(self.indent + self.behind)
    }

    fn inside(self, indent: usize, behind: usize) -> Self {
        Self { indent: self.indent + indent, behind, depth: self.depth + 1 }
    }
}

struct Printer {
    out: String,
}

impl Printer {
    fn push(&mut self, text: &str) -> Result<(), Error> {
        budget::take(text.len())?;
        self.out.push_str(text);
        Ok(())
    }

    /// A new line, up to a column.
    fn line(&mut self, indent: usize) -> Result<(), Error> {
        budget::take(indent + 1)?;
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n(' ', indent));
        Ok(())
    }

    fn value(&mut self, value: &Value, place: Place) -> Result<(), Error> {
        let mut whole = String::new();
        flat(&mut whole, value, place.depth)?;
        if width(&whole) <= place.room() {
            return self.push(&whole);
        }
        match (parts(value)?, kind(value)) {
            (Some(Parts::Dict(pairs)), _) => self.dict(&pairs, place),
            (Some(Parts::List(all)), _) => self.row("[", &all, "]", place),
            (Some(Parts::Tuple(all)), _) => {
                self.row("(", &all, if all.len() == 1 { ",)" } else { ")" }, place)
            }
            (_, Kind::Str(text)) if !text.is_empty() && !value.is_safe() => {
                self.pieces(&string_pieces(text, place)?, &whole, place)
            }
            (_, Kind::Bytes(bytes)) if bytes.len() > 4 => {
                self.pieces(&bytes_pieces(bytes, place)?, "", place)
            }
            _ => self.push(&whole),
        }
    }

    fn dict(&mut self, pairs: &[(Value, Value)], place: Place) -> Result<(), Error> {
        self.push("{")?;
        for (number, (key, value)) in pairs.iter().enumerate() {
            let is_last = number + 1 == pairs.len();
            let mut name = String::new();
            flat(&mut name, key, place.depth + 1)?;
            self.push(&name)?;
            self.push(": ")?;
            let behind = if is_last { place.behind + 1 } else { 1 };
            self.value(value, place.inside(width(&name) + 3, behind))?;
            if !is_last {
                self.push(",")?;
                self.line(place.indent + 1)?;
            }
        }
        self.push("}")
    }

    fn row(&mut self, open: &str, all: &[Value], close: &str, place: Place) -> Result<(), Error> {
        self.push(open)?;
        for (number, item) in all.iter().enumerate() {
            if number > 0 {
                self.push(",")?;
                self.line(place.indent + 1)?;
            }
            let is_last = number + 1 == all.len();
            let behind = if is_last { place.behind + close.len() } else { 1 };
            self.value(item, place.inside(1, behind))?;
        }
        self.push(close)
    }

    /// The pieces of a string, one on each line; in parentheses when it is all there is. `whole` for a single one.
    fn pieces(&mut self, pieces: &[String], whole: &str, place: Place) -> Result<(), Error> {
        if pieces.len() == 1 && !whole.is_empty() {
            return self.push(whole);
        }
        let is_all = place.depth == 0;
        self.push(if is_all { "(" } else { "" })?;
        for (number, piece) in pieces.iter().enumerate() {
            if number > 0 {
                self.line(place.indent + usize::from(is_all))?;
            }
            self.push(piece)?;
        }
        self.push(if is_all { ")" } else { "" })
    }
}

/// Columns for the pieces of a string, and those kept behind the last.
fn columns(place: Place) -> (usize, usize) {
    let parentheses = usize::from(place.depth == 0);
    (COLUMNS.saturating_sub(place.indent + parentheses), place.behind + parentheses)
}

fn quoted(text: &str) -> Result<String, Error> {
    let mut out = String::new();
    quote(&mut out, text)?;
    Ok(out)
}

/// A string in pieces that fit: by lines, and those by words.
fn string_pieces(text: &str, place: Place) -> Result<Vec<String>, Error> {
    let (room, behind) = columns(place);
    let lines = budget::gather(chars::lines(text, true), size_of::<&str>())?;
    let mut pieces = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let is_last = number + 1 == lines.len();
        let last_room = room.saturating_sub(behind);
        let whole = quoted(line)?;
        if width(&whole) <= if is_last { last_room } else { room } {
            pieces.push(whole);
            continue;
        }
        let mut rest = *line;
        let mut current = "";
        while !rest.is_empty() {
            let word = rest.find(is_space).unwrap_or(rest.len());
            let gap = rest[word..].find(|c| !is_space(c)).unwrap_or(rest.len() - word);
            rest = &rest[word + gap..];
            let start = line.len() - rest.len() - word - gap;
            let candidate = &line[start - current.len()..line.len() - rest.len()];
            let most = if is_last && rest.is_empty() { last_room } else { room };
            if width(&quoted(candidate)?) <= most {
                current = candidate;
                continue;
            }
            if !current.is_empty() {
                pieces.push(quoted(current)?);
            }
            current = &candidate[current.len()..];
        }
        if !current.is_empty() {
            pieces.push(quoted(current)?);
        }
    }
    Ok(pieces)
}

/// Bytes in pieces that fit, four by four.
fn bytes_pieces(bytes: &[u8], place: Place) -> Result<Vec<String>, Error> {
    let (mut room, behind) = columns(place);
    let last = bytes.len() / 4 * 4;
    let shown = |piece: &[u8]| -> Result<String, Error> {
        let mut out = String::new();
        write_bytes(&mut out, piece)?;
        Ok(out)
    };
    let mut pieces = Vec::new();
    let mut start = 0;
    for at in (0..bytes.len()).step_by(4) {
        let end = (at + 4).min(bytes.len());
        if at == last {
            room = room.saturating_sub(behind);
        }
        if shown(&bytes[start..end])?.len() > room {
            if at > start {
                pieces.push(shown(&bytes[start..at])?);
            }
            start = at;
        }
    }
    pieces.push(shown(&bytes[start..])?);
    Ok(pieces)
}
