//! Source to tokens, with Jinja's rules for white space around tags. In: a source. Out: tokens that point into it,
//! the end of the source last. Never a copy of a text.

use super::super::chars::is_space;
use super::super::error::Fault;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum What {
    /// Text outside of tags.
    Data,
    /// `{{`
    VariableBegin,
    /// `}}`
    VariableEnd,
    /// `{%`
    BlockBegin,
    /// `%}`
    BlockEnd,
    Name,
    /// A string with its quotes.
    Text,
    Integer,
    Float,
    Operator,
    /// The end of the source.
    End,
}

#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Token<'a> {
    pub(in super::super) what: What,
    pub(in super::super) text: &'a str,
    pub(in super::super) start: usize,
}

impl Token<'_> {
    pub(in super::super) fn end(&self) -> usize {
        self.start + self.text.len()
    }

    pub(in super::super) fn is_op(&self, op: &str) -> bool {
        self.what == What::Operator && self.text == op
    }

    pub(in super::super) fn is_name(&self, name: &str) -> bool {
        self.what == What::Name && self.text == name
    }

    /// The token in a message.
    pub(in super::super) fn words(&self) -> String {
        match self.what {
            What::Data => "text".to_owned(),
            What::VariableBegin => "'{{'".to_owned(),
            What::VariableEnd => "the end of the tag, '}}'".to_owned(),
            What::BlockBegin => "'{%'".to_owned(),
            What::BlockEnd => "the end of the tag, '%}'".to_owned(),
            What::End => "the end of the template".to_owned(),
            What::Text => "a string".to_owned(),
            _ => format!("'{}'", self.text),
        }
    }
}

/// All tokens of a source.
pub(in super::super) fn tokens(source: &str) -> Result<Vec<Token<'_>>, Fault> {
    // One newline at the end is not text.
    let source = source.strip_suffix('\n').unwrap_or(source);
    let mut lexer = Lexer { source, at: 0, tokens: Vec::with_capacity(source.len() / 8 + 2) };
    while lexer.at < source.len() {
        lexer.root()?;
    }
    lexer.push(What::End, source.len(), source.len());
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    tokens: Vec<Token<'a>>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn push(&mut self, what: What, start: usize, end: usize) {
        self.tokens.push(Token { what, text: &self.source[start..end], start });
    }

    /// Text up to the next tag, then the tag.
    fn root(&mut self) -> Result<(), Fault> {
        let start = self.at;
        let Some((place, mark)) = next_tag(self.rest()) else {
            self.push(What::Data, start, self.source.len());
            self.at = self.source.len();
            return Ok(());
        };
        let begin = start + place;
        let sign = self.source.as_bytes().get(begin + 2).copied();
        self.data(start, begin, sign);
        let signed = usize::from(matches!(sign, Some(b'-' | b'+')));
        self.at = begin + 2 + signed;
        match mark {
            b'#' => self.comment(begin),
            b'%' => match self.raw_begin() {
                Some(after) => {
                    self.at = after;
                    self.raw(begin)
                }
                None => self.tag(begin, What::BlockBegin, What::BlockEnd, "%}"),
            },
            _ => self.tag(begin, What::VariableBegin, What::VariableEnd, "}}"),
        }
    }

    /// Text in front of a tag; `-` in the tag strips its end.
    fn data(&mut self, start: usize, end: usize, sign: Option<u8>) {
        let text = &self.source[start..end];
        let kept = if sign == Some(b'-') { text.trim_end_matches(is_space) } else { text };
        if !kept.is_empty() {
            self.push(What::Data, start, start + kept.len());
        }
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start_matches(is_space).len();
    }

    fn comment(&mut self, begin: usize) -> Result<(), Fault> {
        let Some(length) = self.rest().find("#}") else {
            if self.rest().is_empty() {
                // Jinja asks for the end only when something follows.
                return Ok(());
            }
            return Err(Fault::new(begin, begin + 2, "this comment has no end, '#}'"));
        };
        let strips = self.rest()[..length].ends_with('-');
        self.at += length + 2;
        if strips {
            self.skip_space();
        }
        Ok(())
    }

    /// Behind `{%`: where the text of a `raw` block starts, if this is one.
    fn raw_begin(&self) -> Option<usize> {
        let rest = self.rest().trim_start_matches(is_space).strip_prefix("raw")?;
        let rest = rest.trim_start_matches(is_space);
        let after = match rest.strip_prefix("-%}") {
            Some(after) => after.trim_start_matches(is_space),
            None => rest.strip_prefix("%}")?,
        };
        Some(self.source.len() - after.len())
    }

    fn raw(&mut self, begin: usize) -> Result<(), Fault> {
        let start = self.at;
        let mut place = start;
        while let Some(found) = self.source[place..].find("{%") {
            let end = place + found;
            place = end + 2;
            let sign = self.source.as_bytes().get(place).copied();
            let signed = usize::from(matches!(sign, Some(b'-' | b'+')));
            let Some(after) = raw_end(&self.source[place + signed..]) else { continue };
            self.data(start, end, sign);
            self.at = self.source.len() - after.len();
            return Ok(());
        }
        if self.rest().is_empty() {
            return Ok(());
        }
        Err(Fault::new(begin, begin + 2, "this raw block has no end, '{% endraw %}'"))
    }

    /// The tokens of one tag.
    fn tag(&mut self, begin: usize, open: What, close: What, end: &str) -> Result<(), Fault> {
        self.push(open, begin, self.at);
        let mut brackets: Vec<(u8, usize)> = Vec::new();
        loop {
            self.skip_space();
            let start = self.at;
            if brackets.is_empty()
                && let Some(length) = tag_end(self.rest(), end)
            {
                self.at += length;
                self.push(close, start, self.at);
                if self.source.as_bytes()[start] == b'-' {
                    self.skip_space();
                }
                return Ok(());
            }
            let Some(first) = self.rest().chars().next() else {
                let what = match brackets.last() {
                    Some(&(bracket, place)) => {
                        let words = format!("this '{}' is never closed", char::from(bracket));
                        return Err(Fault::new(place, place + 1, words));
                    }
                    None => format!("this tag has no end, '{end}'"),
                };
                return Err(Fault::new(begin, begin + 2, what));
            };
            self.at += self.one(first, &mut brackets)?;
        }
    }

    /// Takes one token; its length.
    fn one(&mut self, first: char, brackets: &mut Vec<(u8, usize)>) -> Result<usize, Fault> {
        let (start, rest) = (self.at, self.rest());
        let (what, length) = if first.is_ascii_digit() {
            number(rest, start > 0 && self.source.as_bytes()[start - 1] == b'.')
        } else if is_word(first) {
            let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            check_name(&rest[..length], start)?;
            (What::Name, length)
        } else if matches!(first, '"' | '\'') {
            match string_length(rest) {
                Some(length) => (What::Text, length),
                None => return Err(Fault::new(start, start + 1, "this string has no end")),
            }
        } else {
            (What::Operator, self.operator(first, brackets)?)
        };
        self.push(what, start, start + length);
        Ok(length)
    }

    fn operator(&self, first: char, brackets: &mut Vec<(u8, usize)>) -> Result<usize, Fault> {
        let (start, rest) = (self.at, self.rest());
        let unexpected = |words: String| Fault::new(start, start + first.len_utf8(), words);
        if let Some(two) = rest.get(..2)
            && ["//", "**", "==", "!=", ">=", "<="].contains(&two)
        {
            return Ok(2);
        }
        match first {
            '(' | '[' | '{' => brackets.push((first as u8, start)),
            ')' | ']' | '}' => match brackets.pop() {
                Some((b'(', _)) if first == ')' => {}
                Some((b'[', _)) if first == ']' => {}
                Some((b'{', _)) if first == '}' => {}
                Some((open, _)) => {
                    let open = char::from(open);
                    return Err(unexpected(format!("'{first}' does not close '{open}'")));
                }
                None => return Err(unexpected(format!("'{first}' closes nothing"))),
            },
            '+' | '-' | '/' | '*' | '%' | '~' | '>' | '<' | '=' | '.' | ':' | '|' | ',' | ';' => {}
            _ => return Err(unexpected(format!("unexpected character '{first}'"))),
        }
        Ok(1)
    }
}

/// The next `{{`, `{%` or `{#`, and its second character.
fn next_tag(text: &str) -> Option<(usize, u8)> {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b'{', bytes).find_map(|place| match bytes.get(place + 1) {
        Some(&mark @ (b'{' | b'%' | b'#')) => Some((place, mark)),
        _ => None,
    })
}

/// Behind `{%` and its sign: what follows the end of a raw block, if this is one.
fn raw_end(text: &str) -> Option<&str> {
    let rest = text.trim_start_matches(is_space).strip_prefix("endraw")?;
    let rest = rest.trim_start_matches(is_space);
    match rest.strip_prefix("-%}") {
        Some(after) => Some(after.trim_start_matches(is_space)),
        None => rest.strip_prefix("+%}").or_else(|| rest.strip_prefix("%}")),
    }
}

/// The length of a tag's end with its sign: only a block may end with `+`.
fn tag_end(text: &str, end: &str) -> Option<usize> {
    let signed = text.starts_with('-') || (end == "%}" && text.starts_with('+'));
    let sign = usize::from(signed);
    text[sign..].starts_with(end).then_some(sign + end.len())
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn check_name(name: &str, start: usize) -> Result<(), Fault> {
    let mut chars = name.chars();
    let is_first = |c: char| c == '_' || unicode_ident::is_xid_start(c);
    let is_name = chars.next().is_some_and(is_first) && chars.all(unicode_ident::is_xid_continue);
    if is_name {
        return Ok(());
    }
    Err(Fault::new(start, start + name.len(), format!("'{name}' is no name")))
}

/// The length of a string with its quotes.
fn string_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut place = 1;
    while let Some(&byte) = bytes.get(place) {
        match byte {
            b'\\' => place += 1,
            _ if byte == bytes[0] => return Some(place + 1),
            _ => {}
        }
        place += 1;
    }
    None
}

/// A number: digits, in groups joined by `_`. Behind a dot it has no fraction.
fn number(text: &str, behind_dot: bool) -> (What, usize) {
    if !behind_dot && let Some(length) = float_length(text) {
        return (What::Float, length);
    }
    let bytes = text.as_bytes();
    let radix = |digit: fn(&u8) -> bool| {
        let length = 2 + groups(&bytes[2..], true, digit);
        (length > 2).then_some(length)
    };
    let other = match bytes.get(..2) {
        Some(b"0b" | b"0B") => radix(|byte| matches!(byte, b'0' | b'1')),
        Some(b"0o" | b"0O") => radix(|byte| matches!(byte, b'0'..=b'7')),
        Some(b"0x" | b"0X") => radix(u8::is_ascii_hexdigit),
        _ => None,
    };
    let length = other.unwrap_or_else(|| match bytes[0] {
        b'0' => groups(bytes, false, |byte| *byte == b'0'),
        _ => groups(bytes, false, u8::is_ascii_digit),
    });
    (What::Integer, length)
}

fn float_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let digits = |from: usize| groups(&bytes[from..], false, u8::is_ascii_digit);
    let whole = digits(0);
    let mut length = whole;
    if bytes.get(length) == Some(&b'.') {
        let fraction = digits(length + 1);
        if fraction > 0 {
            length += 1 + fraction;
        }
    }
    if matches!(bytes.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
        let exponent = digits(length + 1 + sign);
        if exponent > 0 {
            return Some(length + 1 + sign + exponent);
        }
    }
    (length > whole).then_some(length)
}

/// The length of digits with single `_` between them; `_` may lead behind a radix.
fn groups(bytes: &[u8], leads: bool, digit: fn(&u8) -> bool) -> usize {
    let mut length = 0;
    loop {
        match bytes.get(length..) {
            Some([byte, ..]) if digit(byte) => length += 1,
            Some([b'_', byte, ..]) if digit(byte) && (leads || length > 0) => length += 2,
            _ => return length,
        }
    }
}
