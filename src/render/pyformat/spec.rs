//! `format(value, spec)`: Python's mini language of fills, signs, widths, groups, precisions and types. In: a value and
//! a specification. Out: text. Never a specification for what knows none, such as lists: Python refuses it too.

use minijinja::{Error, Value};

use super::super::budget;
use super::super::chars::decimal_value;
use super::super::number::{Number, number};
use super::super::repr::text;
use super::super::value::{Kind, fault, kind, type_name};
use super::digits::{Form, Shape, float, integer};
use super::{afford, first};

/// What `format(value, spec)` is.
pub(in super::super) fn formatted(value: &Value, spec: &str) -> Result<String, Error> {
    if spec.is_empty() {
        return text(value);
    }
    match (number(value), kind(value)) {
        (_, Kind::Str(text)) => Spec::read(spec, 's')?.string(text),
        (Some(Number::Float(number)), _) => Spec::read(spec, '\0')?.float(number),
        (Some(number), _) => Spec::read(spec, 'd')?.integer(number),
        _ => Err(fault(format!("{} takes no specification '{spec}'", type_name(value)))),
    }
}

/// A specification, read but not yet held against a value.
struct Spec {
    fill: char,
    /// `<`, `>`, `=`, `^`, or what is usual.
    align: Option<char>,
    sign: Option<char>,
    /// No minus before a zero.
    plain_zero: bool,
    alternate: bool,
    width: Option<usize>,
    separator: Option<char>,
    precision: Option<usize>,
    code: char,
}

impl Spec {
    fn read(spec: &str, code: char) -> Result<Self, Error> {
        let mut rest = spec;
        let mut chars = rest.chars();
        let (one, two) = (chars.next(), chars.next());
        let is_align = |c: Option<char>| c.filter(|c| matches!(c, '<' | '>' | '=' | '^'));
        let (mut fill, mut align) = (None, is_align(two));
        if align.is_some() {
            fill = one;
            rest = chars.as_str();
        } else if let Some(c) = is_align(one) {
            align = Some(c);
            rest = &rest[1..];
        }
        let sign = take(&mut rest, &[' ', '+', '-']);
        let plain_zero = take(&mut rest, &['z']).is_some();
        let alternate = take(&mut rest, &['#']).is_some();
        if fill.is_none() && take(&mut rest, &['0']).is_some() {
            fill = Some('0');
            if code != 's' {
                align = align.or(Some('='));
            }
        }
        let width = count(&mut rest)?;
        let separator = take(&mut rest, &[',', '_']);
        if separator.is_some() && rest.starts_with([',', '_']) {
            return Err(fault("a format groups by ',' or by '_', once"));
        }
        let precision = match take(&mut rest, &['.']) {
            Some(_) => {
                let what = || fault("a precision is missing behind the '.' of a format");
                Some(count(&mut rest)?.ok_or_else(what)?)
            }
            None => None,
        };
        let mut codes = rest.chars();
        let code = codes.next().unwrap_or(code);
        if codes.next().is_some() {
            return Err(fault(format!("'{spec}' is no format: '{rest}' is too much")));
        }
        let fill = fill.unwrap_or(' ');
        let made =
            Self { fill, align, sign, plain_zero, alternate, width, separator, precision, code };
        made.check_separator().map(|()| made)
    }

    fn check_separator(&self) -> Result<(), Error> {
        match (self.separator, self.code) {
            (None, _)
            | (_, 'd' | 'e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%' | '\0')
            | (Some('_'), 'b' | 'o' | 'x' | 'X') => Ok(()),
            (Some(by), code) => Err(fault(format!("'{code}' cannot be grouped by '{by}'"))),
        }
    }

    fn unknown(&self, of: &str) -> Error {
        fault(format!("'{}' is no format of {of}", self.code))
    }

    fn string(&self, text: &str) -> Result<String, Error> {
        if self.code != 's' {
            return Err(self.unknown("a string"));
        }
        if self.sign.is_some() || self.plain_zero || self.alternate || self.align == Some('=') {
            return Err(fault("a string's format has no sign, 'z', '#' or '='"));
        }
        let text = self.precision.map_or(text, |most| first(text, most));
        self.laid("", "", text, "", '<')
    }

    fn integer(&self, number: Number) -> Result<String, Error> {
        let base = match self.code {
            'b' => 2,
            'o' => 8,
            'x' | 'X' => 16,
            'd' | 'n' => 10,
            'c' => return self.character(&number),
            'e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%' => return self.float(number.float()?),
            _ => return Err(self.unknown("an integer")),
        };
        if self.precision.is_some() || self.plain_zero {
            return Err(fault("an integer's format has no precision and no 'z'"));
        }
        let (negative, mut digits) = integer(number, base)?;
        if self.code == 'X' {
            digits.make_ascii_uppercase();
        }
        let prefix = match self.code {
            'b' if self.alternate => "0b",
            'o' if self.alternate => "0o",
            'x' if self.alternate => "0x",
            'X' if self.alternate => "0X",
            _ => "",
        };
        let every = if base == 10 { 3 } else { 4 };
        self.number(negative, prefix, &digits, "", every)
    }

    fn character(&self, number: &Number) -> Result<String, Error> {
        let plain = self.precision.is_none() && !self.plain_zero;
        if self.sign.is_some() || self.alternate || !plain {
            return Err(fault("a character's format has no sign, precision, 'z' or '#'"));
        }
        let found = match number {
            Number::Int(code) => u32::try_from(*code).ok().and_then(char::from_u32),
            _ => None,
        };
        let c = found.ok_or_else(|| fault("the number is that of no character"))?;
        self.laid("", "", c.encode_utf8(&mut [0; 4]), "", '>')
    }

    fn float(&self, number: f64) -> Result<String, Error> {
        let form = match self.code {
            '\0' if self.precision.is_none() => Form::Shortest,
            '\0' | 'n' => Form::General,
            '%' => Form::Fixed,
            code => Form::of(code).ok_or_else(|| self.unknown("a float"))?,
        };
        let shape = Shape {
            form,
            precision: self.precision.unwrap_or(6),
            alternate: self.alternate,
            dot_zero: self.code == '\0',
        };
        let number = if self.code == '%' { number * 100.0 } else { number };
        let (mut negative, mut text) = float(number, shape)?;
        if self.plain_zero && !text.contains(|c: char| matches!(c, '1'..='9' | 'i')) {
            negative = false;
        }
        if matches!(self.code, 'E' | 'F' | 'G') {
            text.make_ascii_uppercase();
        }
        if self.code == '%' {
            text.push('%');
        }
        let whole = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        self.number(negative, "", &text[..whole], &text[whole..], 3)
    }

    /// A number at its width: `digits` are grouped, what is `behind` them is not.
    fn number(
        &self,
        negative: bool,
        prefix: &str,
        digits: &str,
        behind: &str,
        every: usize,
    ) -> Result<String, Error> {
        let sign = match self.sign {
            _ if negative => "-",
            Some('+') => "+",
            Some(' ') => " ",
            _ => "",
        };
        let is_filled = self.fill == '0' && self.align == Some('=');
        let width = self.width.filter(|_| is_filled).unwrap_or(0);
        afford(width)?;
        let least = width.saturating_sub(sign.len() + prefix.len() + behind.len());
        let digits = grouped(digits, self.separator, every, least);
        self.laid(sign, prefix, &digits, behind, '>')
    }

    /// The parts in a row, filled up to the width.
    fn laid(
        &self,
        sign: &str,
        prefix: &str,
        body: &str,
        behind: &str,
        usual: char,
    ) -> Result<String, Error> {
        let width = self.width.unwrap_or(0);
        afford(width)?;
        budget::take(body.len())?;
        let length = sign.len() + prefix.len() + body.chars().count() + behind.len();
        let missing = width.saturating_sub(length);
        let (left, inner) = match self.align.unwrap_or(usual) {
            '>' => (missing, 0),
            '^' => (missing / 2, 0),
            '=' => (0, missing),
            _ => (0, 0),
        };
        let fill = |count: usize| std::iter::repeat_n(self.fill, count);
        let mut out = String::with_capacity(length + missing * self.fill.len_utf8());
        out.extend(fill(left));
        out.push_str(sign);
        out.push_str(prefix);
        out.extend(fill(inner));
        out.push_str(body);
        out.push_str(behind);
        out.extend(fill(missing - left - inner));
        Ok(out)
    }
}

/// The next character, if it is one of these.
fn take(rest: &mut &str, these: &[char]) -> Option<char> {
    let c = rest.chars().next().filter(|c| these.contains(c))?;
    *rest = &rest[c.len_utf8()..];
    Some(c)
}

/// A width or precision in decimal digits of any script.
fn count(rest: &mut &str) -> Result<Option<usize>, Error> {
    let mut found = None;
    let mut chars = rest.chars();
    while let Some(digit) = chars.next().and_then(decimal_value) {
        let size = found.unwrap_or(0_usize).checked_mul(10);
        let size = size.and_then(|size| size.checked_add(digit as usize));
        let fits = size.filter(|size| isize::try_from(*size).is_ok());
        found = Some(fits.ok_or_else(|| fault("a number in a format has too many digits"))?);
        *rest = &rest[rest.chars().next().map_or(0, char::len_utf8)..];
    }
    Ok(found)
}

/// Digits in groups, filled up with zeros until digits and separators are `least` characters.
fn grouped(digits: &str, separator: Option<char>, every: usize, least: usize) -> String {
    if digits.is_empty() {
        return String::new();
    }
    let Some(separator) = separator else {
        return "0".repeat(least.saturating_sub(digits.len())) + digits;
    };
    let mut backward = String::new();
    let mut from_end = digits.chars().rev();
    let mut left = digits.len();
    loop {
        let room = least.saturating_sub(backward.len());
        let size = every.min(left.max(room).max(1));
        backward.extend(from_end.by_ref().chain(std::iter::repeat('0')).take(size));
        left = left.saturating_sub(size);
        if left == 0 && backward.len() >= least {
            return backward.chars().rev().collect();
        }
        backward.push(separator);
    }
}
