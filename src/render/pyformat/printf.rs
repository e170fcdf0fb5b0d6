//! `format % values`, as Python's `str` does it. In: a format and a value, a tuple of them, or a mapping. Out: text.
//! Never a value left over, never one too few: both are refused, as there.

use minijinja::{Error, Value};

use super::super::args::{named, split};
use super::super::budget;
use super::super::filters::{escaped, soft};
use super::super::lookup::key_value;
use super::super::number::{Number, number, truncated};
use super::super::numeral::{read_float, read_int};
use super::super::ops::escape;
use super::super::repr::{text, write_repr};
use super::super::value::{Kind, fault, kind, marked, type_name};
use super::digits::{Form, Shape, float, integer};
use super::{afford, ascii, first};

/// `format % values`.
pub(in super::super) fn percent(format: &Value, values: &Value) -> Result<Value, Error> {
    let mapping = match kind(values) {
        // Whatever has items in Python is a mapping here, unless it is a tuple or a string.
        Kind::Undefined | Kind::List(_) | Kind::Dict(_) | Kind::Range(_) | Kind::Bytes(_) => {
            Some(values.clone())
        }
        _ => None,
    };
    let row = match kind(values) {
        Kind::Tuple(tuple) => tuple.to_vec(),
        _ => vec![values.clone()],
    };
    write(format, Values { row, next: 0, mapping, wrapped: format.is_safe() })
}

/// The filter: its arguments are the values, either placed or named.
pub(super) fn filter(value: &Value, args: &[Value]) -> Result<Value, Error> {
    let (placed, kwargs) = split(args);
    let named = named(kwargs);
    if !placed.is_empty() && !named.is_empty() {
        return Err(fault("format takes placed arguments or named ones, not both"));
    }
    let mapping = (!named.is_empty()).then(|| Value::from_pairs(named));
    let row = mapping.iter().chain(placed).cloned().collect();
    write(&soft(value)?, Values { row, next: 0, mapping, wrapped: value.is_safe() })
}

/// What is still to be formatted.
struct Values {
    row: Vec<Value>,
    next: usize,
    mapping: Option<Value>,
    /// The format is safe, and wraps its values: none of them is a width.
    wrapped: bool,
}

impl Values {
    fn next(&mut self) -> Result<Value, Error> {
        let value = self.row.get(self.next).cloned();
        self.next += 1;
        value.ok_or_else(|| fault("the format needs more values than it was given"))
    }

    /// The value of a name is the next one.
    fn choose(&mut self, name: &str) -> Result<(), Error> {
        let Some(mapping) = &self.mapping else {
            return Err(fault(format!("the format reads '{name}', but was given no mapping")));
        };
        let found = match kind(mapping) {
            Kind::Dict(dict) => key_value(dict, &Value::from(name)),
            Kind::Undefined if mapping.is_undefined() => Some(Value::UNDEFINED),
            _ => None,
        };
        let Some(found) = found else {
            return Err(fault(format!("the format reads '{name}', which is not there")));
        };
        (self.row, self.next) = (vec![found], 0);
        Ok(())
    }
}

fn write(format: &Value, mut values: Values) -> Result<Value, Error> {
    let mut printer = Printer { out: String::new(), is_safe: format.is_safe() };
    let mut rest = format.as_str().unwrap_or_default();
    while let Some(place) = rest.find('%') {
        printer.push(&rest[..place])?;
        rest = &rest[place + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            printer.push("%")?;
            rest = after;
            continue;
        }
        let (field, after) = Field::read(rest, &mut values)?;
        let value = values.next()?;
        printer.field(&field, &value)?;
        rest = after;
    }
    printer.push(rest)?;
    if values.mapping.is_none() && values.next < values.row.len() {
        return Err(fault("the format was given more values than it has fields"));
    }
    Ok(marked(printer.out, printer.is_safe))
}

/// What stands between `%` and the end of a field.
struct Field<'f> {
    flags: &'f str,
    width: usize,
    /// The width was negative.
    turned: bool,
    precision: Option<usize>,
    code: char,
}

impl<'f> Field<'f> {
    /// The field at the start of `rest`, and what follows it.
    fn read(mut rest: &'f str, values: &mut Values) -> Result<(Self, &'f str), Error> {
        if let Some(named) = rest.strip_prefix('(') {
            let length = key_length(named).ok_or_else(unfinished)?;
            values.choose(&named[..length])?;
            rest = &named[length + 1..];
        }
        let flags = &rest[..rest.len() - rest.trim_start_matches(['-', '+', ' ', '#', '0']).len()];
        rest = &rest[flags.len()..];
        let (width, turned) = count(&mut rest, values)?.unwrap_or((0, false));
        let mut precision = None;
        if let Some(behind) = rest.strip_prefix('.') {
            rest = behind;
            precision = match count(&mut rest, values)? {
                Some((size, false)) => Some(size),
                _ => Some(0),
            };
        }
        rest = rest.strip_prefix(['h', 'l', 'L']).unwrap_or(rest);
        let code = rest.chars().next().ok_or_else(unfinished)?;
        let field = Self { flags, width, turned, precision, code };
        Ok((field, &rest[code.len_utf8()..]))
    }

    fn has(&self, flag: char) -> bool {
        self.flags.contains(flag)
    }
}

fn unfinished() -> Error {
    fault("the format ends inside a field")
}

/// Length of a key up to the parenthesis that closes it.
fn key_length(text: &str) -> Option<usize> {
    let mut open = 1;
    text.bytes().position(|byte| {
        open += match byte {
            b'(' => 1,
            b')' => -1,
            _ => 0,
        };
        open == 0
    })
}

/// A width or precision: digits, or a value for `*`; and whether that was negative.
fn count(rest: &mut &str, values: &mut Values) -> Result<Option<(usize, bool)>, Error> {
    if let Some(after) = rest.strip_prefix('*') {
        *rest = after;
        return match number(&values.next()?) {
            Some(Number::Int(size)) if !values.wrapped => {
                let Ok(width) = i32::try_from(size) else {
                    return Err(fault(format!("{size} is too large for a width or precision")));
                };
                Ok(Some((width.unsigned_abs() as usize, width < 0)))
            }
            _ => Err(fault("'*' in a format that is not safe takes an integer")),
        };
    }
    let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = &rest[..rest.len() - after.len()];
    *rest = after;
    if digits.is_empty() {
        return Ok(None);
    }
    match digits.parse::<i32>() {
        Ok(size) => Ok(Some((size.unsigned_abs() as usize, false))),
        Err(_) => Err(fault(format!("{digits} is too large for a width or precision"))),
    }
}

struct Printer {
    out: String,
    is_safe: bool,
}

impl Printer {
    fn push(&mut self, text: &str) -> Result<(), Error> {
        budget::take(text.len())?;
        self.out.push_str(text);
        Ok(())
    }

    fn field(&mut self, field: &Field<'_>, value: &Value) -> Result<(), Error> {
        match field.code {
            's' | 'r' | 'a' => {
                let text = self.shown(field.code, value)?;
                let text = field.precision.map_or(&*text, |most| first(&text, most));
                self.pad(field, "", "", text, ' ')
            }
            // A safe format wraps its values in something that is a number only for `%d` and its like.
            'c' | 'o' | 'x' | 'X' if self.is_safe => {
                Err(fault(format!("'%{}' is refused by a safe format", field.code)))
            }
            'c' => {
                let c = character(value)?;
                self.pad(field, "", "", c.encode_utf8(&mut [0; 4]), ' ')
            }
            'd' | 'i' | 'u' | 'o' | 'x' | 'X' => {
                let (negative, digits) = self.whole_digits(field, value)?;
                let prefix = match field.code {
                    'o' if field.has('#') => "0o",
                    'x' if field.has('#') => "0x",
                    'X' if field.has('#') => "0X",
                    _ => "",
                };
                self.number(field, negative, prefix, &digits)
            }
            code @ ('e' | 'E' | 'f' | 'F' | 'g' | 'G') => {
                let shape = Shape {
                    form: Form::of(code).unwrap_or(Form::General),
                    precision: field.precision.unwrap_or(6),
                    alternate: field.has('#'),
                    dot_zero: false,
                };
                let (negative, mut text) = float(self.float(value)?, shape)?;
                if code.is_ascii_uppercase() {
                    text.make_ascii_uppercase();
                }
                self.number(field, negative, "", &text)
            }
            other => Err(fault(format!("'%{other}' is no field a format may have"))),
        }
    }

    /// The text of `%s`, `%r` and `%a`.
    fn shown(&self, code: char, value: &Value) -> Result<String, Error> {
        if code == 's' {
            return if self.is_safe { escaped(value) } else { text(value) };
        }
        let mut shown = String::new();
        write_repr(&mut shown, value, 0)?;
        if self.is_safe {
            let plain = std::mem::take(&mut shown);
            escape(&mut shown, &plain)?;
        }
        if code == 'a' { ascii(&shown) } else { Ok(shown) }
    }

    fn whole_digits(&self, field: &Field<'_>, value: &Value) -> Result<(bool, String), Error> {
        let base = match field.code {
            'o' => 8,
            'x' | 'X' => 16,
            _ => 10,
        };
        let whole = match (number(value), kind(value)) {
            (Some(Number::Float(float)), _) if base == 10 => truncated(float)
                .map(Number::Big)
                .ok_or_else(|| fault(format!("{float} is no integer")))?,
            (Some(number @ (Number::Int(_) | Number::Big(_))), _) => number,
            (_, Kind::Str(text)) if self.is_safe => read_int(text, 10)
                .map(Number::Big)
                .ok_or_else(|| fault("the text is no integer"))?,
            _ => {
                let needs = if base == 10 { "a number" } else { "an integer" };
                return Err(fault(format!(
                    "'%{}' needs {needs}, not {}",
                    field.code,
                    type_name(value)
                )));
            }
        };
        let (negative, mut digits) = integer(whole, base)?;
        let least = field.precision.unwrap_or(0);
        if least > digits.len() {
            afford(least)?;
            digits.insert_str(0, &"0".repeat(least - digits.len()));
        }
        if field.code == 'X' {
            digits.make_ascii_uppercase();
        }
        Ok((negative, digits))
    }

    fn float(&self, value: &Value) -> Result<f64, Error> {
        match (number(value), kind(value)) {
            (Some(number), _) => number.float(),
            (None, Kind::Str(text)) if self.is_safe => {
                read_float(text).ok_or_else(|| fault("the text is no number"))
            }
            _ => Err(fault(format!("the format needs a number, not {}", type_name(value)))),
        }
    }

    fn number(
        &mut self,
        field: &Field<'_>,
        negative: bool,
        prefix: &str,
        digits: &str,
    ) -> Result<(), Error> {
        let sign = match () {
            () if negative => "-",
            () if field.has('+') => "+",
            () if field.has(' ') => " ",
            () => "",
        };
        self.pad(field, sign, prefix, digits, if field.has('0') { '0' } else { ' ' })
    }

    /// Appends a field at its width: zeros go behind the sign, spaces before it.
    fn pad(
        &mut self,
        field: &Field<'_>,
        sign: &str,
        prefix: &str,
        body: &str,
        fill: char,
    ) -> Result<(), Error> {
        afford(field.width)?;
        let length = sign.len() + prefix.len() + body.chars().count();
        let missing = field.width.saturating_sub(length);
        let fills = |fill: char, yes: bool| fill.to_string().repeat(if yes { missing } else { 0 });
        let to_left = field.has('-') || field.turned;
        let parts = [
            &*fills(' ', fill == ' ' && !to_left),
            sign,
            prefix,
            &*fills('0', fill == '0' && !to_left),
            body,
            &*fills(' ', to_left),
        ];
        parts.iter().try_for_each(|part| self.push(part))
    }
}

/// The one character of `%c`.
fn character(value: &Value) -> Result<char, Error> {
    let found = match (number(value), kind(value)) {
        (Some(Number::Int(code)), _) => u32::try_from(code).ok().and_then(char::from_u32),
        (None, Kind::Str(text)) => {
            let mut chars = text.chars();
            chars.next().filter(|_| chars.next().is_none())
        }
        _ => None,
    };
    found.ok_or_else(|| fault("'%c' needs one character, or the number of one"))
}
