//! `tojson`: a value as Python's `json.dumps` writes it with sorted keys, safe inside HTML. In: a value. Out: ASCII
//! text. A request's own JSON is written straight from its index. Never an indent that makes more than it shows.

use minijinja::{Error, Value};

use super::super::args::bind;
use super::super::budget;
use super::super::context::Headers;
use super::super::engine::Scope;
use super::super::lazy::Node;
use super::super::ops::concat;
use super::super::repr::{items, pairs, text, write_float, write_str};
use super::super::value::{DEPTH_MAX, Kind, broken, fault, kind, type_name};
use super::Table;
use super::ascii::{push_inner, push_string};
use super::tape;

pub(super) const TABLE: Table = &[("tojson", tojson)];

/// Widest indent of one level.
const INDENT_MAX: i128 = 16;

fn tojson(_scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [indent] = bind("tojson", ["indent"], 0, args)?;
    // Where only a text is written, Python never looks at it.
    let indent = indent.filter(|_| !matches!(kind(value), Kind::Str(_)));
    let indent = indent.as_ref().map_or(Ok(None), unit)?;
    let mut writer = Writer::new(indent, value);
    writer.value(value, 0)?;
    Ok(Value::from_safe_string(writer.out))
}

/// `tojson` of a value, or of the texts of several in a row, that is only shown: safe where that makes a difference.
pub(in super::super) fn shown(scope: Scope, first: &Value, rest: &[Value]) -> Result<Value, Error> {
    if scope.escaping {
        let joined = if rest.is_empty() { first } else { &concat(first, rest, true)? };
        return tojson(scope, joined, &[]);
    }
    if rest.is_empty() && !matches!(kind(first), Kind::Str(_)) {
        return dump(first).map(Value::from);
    }
    let values = || std::iter::once(first).chain(rest);
    let guess: usize = values().map(|value| value.as_str().map_or(8, str::len)).sum();
    let mut out = String::with_capacity(guess + 2);
    out.push('"');
    for value in values() {
        if let Kind::Str(part) = kind(value) {
            budget::take(part.len())?;
            push_inner(&mut out, part);
        } else {
            push_inner(&mut out, &text(value)?);
        }
    }
    out.push('"');
    Ok(Value::from(out))
}

/// One level of indentation.
fn unit(indent: &Value) -> Result<Option<String>, Error> {
    let most = INDENT_MAX as usize;
    match kind(indent) {
        Kind::None => Ok(None),
        Kind::Bool(truth) => Ok(Some(" ".repeat(usize::from(truth)))),
        Kind::Int(width) if width <= INDENT_MAX => Ok(Some(" ".repeat(width.max(0) as usize))),
        Kind::Int(width) => Err(fault(format!("tojson indents by at most {most}, not {width}"))),
        Kind::Str(text) if text.len() <= most => Ok(Some(text.to_owned())),
        Kind::Str(_) => Err(fault(format!("tojson indents by at most {most} characters"))),
        _ => Err(fault(format!("tojson indents by an integer, not {}", type_name(indent)))),
    }
}

/// Writes a value as JSON text, as an event needs it inside.
pub(super) fn dump(value: &Value) -> Result<String, Error> {
    let mut writer = Writer::new(None, value);
    writer.value(value, 0)?;
    Ok(writer.out)
}

/// Text as it grows.
pub(super) struct Writer {
    pub(super) out: String,
    indent: Option<String>,
    /// What is written and not yet paid for starts here.
    paid: usize,
    /// Values written and not yet paid for.
    owed: usize,
}

/// Values are paid for once in so many.
const OWED_MAX: usize = 32;
/// Bytes are paid for once in so many.
const PAID_BYTES: usize = 8 << 10;

impl Writer {
    fn new(indent: Option<String>, value: &Value) -> Self {
        // The request's own text is a good guess of what it becomes.
        let node = value.downcast_object_ref::<Node>().map(|node| node.json().raw().len());
        let guess = node.or(value.as_str().map(str::len)).unwrap_or(0);
        let out = String::with_capacity(guess + guess / 8 + 16);
        Self { out, indent, paid: 0, owed: 0 }
    }

    /// Pays for one value, and for what was written before it.
    pub(super) fn pay(&mut self) -> Result<(), Error> {
        self.owed += 1;
        let written = self.out.len() - self.paid;
        if self.owed < OWED_MAX && written < PAID_BYTES {
            return Ok(());
        }
        self.paid = self.out.len();
        budget::look(std::mem::take(&mut self.owed))?;
        budget::take(written)
    }

    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        self.pay()?;
        if depth > DEPTH_MAX {
            return Err(fault(format!("a value nested deeper than {DEPTH_MAX} levels is no JSON")));
        }
        if let Some(node) = value.downcast_object_ref::<Node>() {
            return tape::write(self, &node.document, node.json(), depth);
        }
        match kind(value) {
            Kind::None => self.out.push_str("null"),
            Kind::Bool(truth) => self.out.push_str(if truth { "true" } else { "false" }),
            Kind::Int(_) | Kind::Big(_) => write_str(&mut self.out, value)?,
            Kind::Float(number) => self.float(number)?,
            Kind::Str(text) => push_string(&mut self.out, text),
            Kind::List(list) => self.row(items(list), depth)?,
            Kind::Tuple(tuple) => self.row(tuple.iter().cloned(), depth)?,
            Kind::Dict(dict) => match dict.downcast_ref::<Headers>() {
                Some(headers) => self.headers(headers, depth)?,
                None => self.dict(pairs(dict), depth)?,
            },
            Kind::Broken => return Err(broken(value)),
            _ => return Err(fault(format!("{} cannot be written as JSON", type_name(value)))),
        }
        Ok(())
    }

    pub(super) fn float(&mut self, number: f64) -> Result<(), Error> {
        if number.is_finite() {
            return write_float(&mut self.out, number);
        }
        self.out.push_str(match number {
            _ if number.is_nan() => "NaN",
            _ if number > 0.0 => "Infinity",
            _ => "-Infinity",
        });
        Ok(())
    }

    fn row(&mut self, items: impl Iterator<Item = Value>, depth: usize) -> Result<(), Error> {
        self.out.push('[');
        let mut is_empty = true;
        for item in items {
            self.separate(is_empty, depth + 1);
            is_empty = false;
            self.value(&item, depth + 1)?;
        }
        self.close(is_empty, depth, ']');
        Ok(())
    }

    fn dict(&mut self, pairs: Vec<(Value, Value)>, depth: usize) -> Result<(), Error> {
        let all_text = pairs.iter().all(|(key, _)| matches!(kind(key), Kind::Str(_)));
        if !all_text {
            return self.dict_of_scalars(pairs, depth);
        }
        budget::take_values(pairs.len() * 2)?;
        let named = pairs.iter().map(|(key, value)| (key.as_str().unwrap_or_default(), value));
        let mut sorted: Vec<_> = named.collect();
        sorted.sort_by(|a, b| a.0.cmp(b.0));
        self.members(sorted, depth, Self::value)
    }

    /// Keys that are no strings: sorted as Python sorts them, then written as strings.
    fn dict_of_scalars(&mut self, pairs: Vec<(Value, Value)>, depth: usize) -> Result<(), Error> {
        let sorted = super::super::compare::sorted(pairs, false, |pair| &pair.0)?;
        let mut named = Vec::with_capacity(sorted.len());
        for (key, value) in sorted {
            let name = match kind(&key) {
                Kind::Str(text) => text.to_owned(),
                Kind::None => "null".to_owned(),
                Kind::Bool(truth) => truth.to_string(),
                Kind::Int(_) | Kind::Big(_) | Kind::Float(_) => dump(&key)?,
                _ => return Err(fault(format!("{} is no key in JSON", type_name(&key)))),
            };
            named.push((name, value));
        }
        self.members(named, depth, |writer, value, depth| writer.value(&value, depth))
    }

    fn headers(&mut self, headers: &Headers, depth: usize) -> Result<(), Error> {
        let mut sorted: Vec<_> = headers.lines().collect();
        sorted.sort_unstable();
        self.members(sorted, depth, |writer, text, _| {
            push_string(&mut writer.out, text);
            writer.pay()
        })
    }

    /// Members in the order given.
    fn members<K: AsRef<str>, V>(
        &mut self,
        members: Vec<(K, V)>,
        depth: usize,
        mut write: impl FnMut(&mut Self, V, usize) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.out.push('{');
        let is_empty = members.is_empty();
        for (place, (name, value)) in members.into_iter().enumerate() {
            self.separate(place == 0, depth + 1);
            push_string(&mut self.out, name.as_ref());
            self.out.push_str(": ");
            write(self, value, depth + 1)?;
        }
        self.close(is_empty, depth, '}');
        Ok(())
    }

    pub(super) fn separate(&mut self, is_first: bool, depth: usize) {
        match &self.indent {
            None if is_first => {}
            None => self.out.push_str(", "),
            Some(_) => {
                if !is_first {
                    self.out.push(',');
                }
                self.line(depth);
            }
        }
    }

    pub(super) fn close(&mut self, is_empty: bool, depth: usize, close: char) {
        if self.indent.is_some() && !is_empty {
            self.line(depth);
        }
        self.out.push(close);
    }

    fn line(&mut self, depth: usize) {
        self.out.push('\n');
        for _ in 0..depth {
            self.out.push_str(self.indent.as_deref().unwrap_or_default());
        }
    }
}
