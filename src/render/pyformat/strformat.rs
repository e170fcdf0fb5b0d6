//! `str.format` and `str.format_map`, as Python's sandbox runs them. In: a format and arguments. Out: text. Fields
//! reach into values as templates do, so never an attribute whose name starts with an underscore.

use minijinja::{Error, Value};

use super::super::args::split;
use super::super::budget;
use super::super::chars::{decimal_value, is_digit};
use super::super::filters::escaped;
use super::super::lookup::{attribute, item, key_value};
use super::super::ops::escape;
use super::super::repr::{text, write_repr};
use super::super::value::{Kind, fault, is_undefined, kind, marked, type_name};
use super::{ascii, formatted};

/// A specification may hold fields, and theirs may not.
const DEPTH_MAX: usize = 2;

/// `format.format(*args)`.
pub(in super::super) fn format(format: &Value, args: &[Value]) -> Result<Value, Error> {
    let (placed, kwargs) = split(args);
    run(format, placed, kwargs)
}

/// `format.format_map(names)`.
pub(in super::super) fn format_map(format: &Value, args: &[Value]) -> Result<Value, Error> {
    match split(args) {
        ([names], None) => run(format, &[], Some(names)),
        _ => Err(fault("format_map takes one mapping")),
    }
}

fn run(format: &Value, args: &[Value], names: Option<&Value>) -> Result<Value, Error> {
    let is_safe = format.is_safe();
    let mut writer = Writer { args, names, is_safe, numbering: Numbering::Own(0) };
    let made = writer.write(format.as_str().unwrap_or_default(), 0)?;
    Ok(marked(made, is_safe))
}

/// Who numbers the fields: the format itself, or nobody, so that they are counted.
#[derive(Clone, Copy)]
enum Numbering {
    /// Fields without a name so far.
    Own(usize),
    Given,
}

struct Writer<'a> {
    args: &'a [Value],
    names: Option<&'a Value>,
    is_safe: bool,
    numbering: Numbering,
}

impl Writer<'_> {
    fn write(&mut self, format: &str, depth: usize) -> Result<String, Error> {
        if depth > DEPTH_MAX {
            return Err(fault("the fields of a format are nested too deeply"));
        }
        let mut out = String::new();
        let mut rest = format;
        while !rest.is_empty() {
            let (literal, field, after) = next_part(rest)?;
            rest = after;
            budget::take(literal.len())?;
            out.push_str(literal);
            if let Some(field) = field {
                let made = self.field(&field, depth)?;
                budget::take(made.len())?;
                out.push_str(&made);
            }
        }
        Ok(out)
    }

    fn field(&mut self, field: &Field<'_>, depth: usize) -> Result<String, Error> {
        let value = self.value(field.name)?;
        let value = match field.conversion {
            None => value,
            Some('s') => Value::from(text(&value)?),
            Some(code @ ('r' | 'a')) => {
                let mut shown = String::new();
                write_repr(&mut shown, &value, 0)?;
                Value::from(if code == 'a' { ascii(&shown)? } else { shown })
            }
            Some(other) => {
                return Err(fault(format!("a field is converted by 'r', 's' or 'a', not {other}")));
            }
        };
        let spec = self.write(field.spec, depth + 1)?;
        if !self.is_safe {
            return formatted(&value, &spec);
        }
        if value.is_safe() || is_undefined(&value) {
            if spec.is_empty() {
                return escaped(&value);
            }
            return Err(fault("a safe text takes no specification in a safe format"));
        }
        let mut out = String::new();
        escape(&mut out, &formatted(&value, &spec)?)?;
        Ok(out)
    }

    /// The value a field names: an argument, and the way into it.
    fn value(&mut self, name: &str) -> Result<Value, Error> {
        let end = name.find(['.', '[']).unwrap_or(name.len());
        let (first, mut rest) = name.split_at(end);
        let mut value = if name.is_empty() {
            let Numbering::Own(place) = self.numbering else { return Err(mixed()) };
            self.numbering = Numbering::Own(place + 1);
            self.placed(place)?
        } else {
            if name.chars().all(is_digit) {
                match self.numbering {
                    Numbering::Own(1..) => return Err(mixed()),
                    _ => self.numbering = Numbering::Given,
                }
            }
            match place(first)? {
                Some(place) => self.placed(place)?,
                None => self.named(first)?,
            }
        };
        while !rest.is_empty() {
            value = step(&value, &mut rest)?;
        }
        Ok(value)
    }

    fn placed(&self, place: usize) -> Result<Value, Error> {
        let count = self.args.len();
        self.args.get(place).cloned().ok_or_else(|| {
            fault(format!("the format reads argument {place}, but was given {count}"))
        })
    }

    fn named(&self, name: &str) -> Result<Value, Error> {
        let found = match self.names.map(|names| (names, kind(names))) {
            Some((_, Kind::Dict(dict))) => key_value(dict, &Value::from(name)),
            Some((names, Kind::Undefined)) if names.is_undefined() => Some(Value::UNDEFINED),
            Some((names, _)) => {
                return Err(fault(format!("'{name}' is no key of {}", type_name(names))));
            }
            None => None,
        };
        found.ok_or_else(|| fault(format!("the format reads '{name}', which is not there")))
    }
}

fn mixed() -> Error {
    fault("the fields of a format are all numbered or none is")
}

/// One step into a value: `.name` or `[key]`.
fn step(of: &Value, rest: &mut &str) -> Result<Value, Error> {
    if let Some(named) = rest.strip_prefix('.') {
        let end = named.find(['.', '[']).unwrap_or(named.len());
        *rest = &named[end..];
        return match &named[..end] {
            "" => Err(nameless()),
            name => attribute(of, name),
        };
    }
    let Some(keyed) = rest.strip_prefix('[') else {
        return Err(fault("only '.' or '[' may follow ']' in a field"));
    };
    let Some((key, after)) = keyed.split_once(']') else {
        return Err(fault("a ']' is missing in a field"));
    };
    *rest = after;
    if key.is_empty() {
        return Err(nameless());
    }
    match place(key)? {
        Some(place) => item(of, &Value::from(place)),
        None => item(of, &Value::from(key)),
    }
}

fn nameless() -> Error {
    fault("a field reads an attribute or key without a name")
}

/// A text of decimal digits as a number.
fn place(text: &str) -> Result<Option<usize>, Error> {
    let mut place = None;
    for c in text.chars() {
        let Some(digit) = decimal_value(c) else { return Ok(None) };
        let more = place.unwrap_or(0_usize).checked_mul(10);
        let more = more.and_then(|more| more.checked_add(digit as usize));
        place = Some(more.ok_or_else(|| fault("a number in a format has too many digits"))?);
    }
    Ok(place)
}

struct Field<'f> {
    name: &'f str,
    conversion: Option<char>,
    spec: &'f str,
}

/// Text up to the next brace, the field there if there is one, and what follows.
fn next_part(format: &str) -> Result<(&str, Option<Field<'_>>, &str), Error> {
    let Some(place) = format.find(['{', '}']) else { return Ok((format, None, "")) };
    let (literal, rest) = (&format[..place], &format[place + 1..]);
    if rest.as_bytes().first() == Some(&format.as_bytes()[place]) {
        return Ok((&format[..=place], None, &rest[1..]));
    }
    if format[place..].starts_with('}') || rest.is_empty() {
        return Err(fault("a brace in a format stands alone"));
    }
    let (field, after) = field(rest)?;
    Ok((literal, Some(field), after))
}

/// The field at the start of `text`, its opening brace gone, and what follows it.
fn field(text: &str) -> Result<(Field<'_>, &str), Error> {
    let unclosed = || fault("a '}' is missing in a format");
    let end = name_end(text)?.ok_or_else(unclosed)?;
    let (name, rest) = text.split_at(end);
    let mut chars = rest.chars();
    let (mut conversion, mut mark) = (None, chars.next());
    if mark == Some('!') {
        conversion = Some(chars.next().ok_or_else(unclosed)?);
        mark = chars.next();
    }
    let rest = chars.as_str();
    match mark {
        Some('}') => Ok((Field { name, conversion, spec: "" }, rest)),
        Some(':') => {
            let mut open = 1;
            let close = rest.bytes().position(|byte| {
                open += match byte {
                    b'{' => 1,
                    b'}' => -1,
                    _ => 0,
                };
                open == 0
            });
            let close = close.ok_or_else(unclosed)?;
            Ok((Field { name, conversion, spec: &rest[..close] }, &rest[close + 1..]))
        }
        Some(_) => Err(fault("a ':' is missing behind the conversion of a field")),
        None => Err(unclosed()),
    }
}

/// Where a field's name ends: brackets hide what ends it.
fn name_end(text: &str) -> Result<Option<usize>, Error> {
    let mut bytes = text.bytes().enumerate();
    while let Some((place, byte)) = bytes.next() {
        match byte {
            b'{' => return Err(fault("a '{' stands inside the name of a field")),
            b'}' | b':' | b'!' => return Ok(Some(place)),
            b'[' => {
                bytes.find(|(_, byte)| *byte == b']');
            }
            _ => {}
        }
    }
    Ok(None)
}
