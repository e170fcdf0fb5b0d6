//! What an author is told of a template: a code, words, the way out, and the place in the source as it was given. In:
//! faults, from wherever they were found. Out: one shape for the command line, the API and failed events. Never a
//! value of a request beyond a short quotation.

use serde::Serialize;
use serde::ser::{SerializeStruct as _, Serializer};

use super::code::Code;

/// Whether it stops a template or request, or only deserves a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Warning,
}

impl Severity {
    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// A part of a source: bytes, and lines and columns as people count them, from 1, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// First byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
    pub line: u32,
    pub column: u32,
    pub end_line: u32,
    pub end_column: u32,
}

/// One thing to tell an author.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Diagnostic {
    /// Which rule.
    pub code: Code,
    pub severity: Severity,
    /// What is wrong: what was found, what was expected.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Where in the template, when it can be told.
    pub place: Option<Place>,
}

impl Diagnostic {
    /// An error without a place.
    #[must_use]
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, severity: Severity::Error, message, help: None, place: None }
    }

    /// A warning without a place.
    #[must_use]
    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// The same with the way out.
    #[must_use]
    pub fn with_help(self, help: impl Into<Option<String>>) -> Self {
        Self { help: help.into(), ..self }
    }

    /// The same at a place.
    #[must_use]
    pub fn at(self, place: impl Into<Option<Place>>) -> Self {
        Self { place: place.into(), ..self }
    }

    /// Line in the template, from 1.
    #[must_use]
    pub fn line(&self) -> Option<u32> {
        self.place.map(|place| place.line)
    }

    /// Column in characters, from 1.
    #[must_use]
    pub fn column(&self) -> Option<u32> {
        self.place.map(|place| place.column)
    }

    /// A budget was used up, rather than a rule broken.
    #[must_use]
    pub fn is_budget(&self) -> bool {
        matches!(self.code, Code::Bound | Code::Budget)
    }

    /// Message and way out in one line.
    #[must_use]
    pub fn sentence(&self) -> String {
        match &self.help {
            Some(help) => format!("{}; {help}", self.message),
            None => self.message.clone(),
        }
    }
}

/// As JSON: `code`, `severity`, `message`, `help`, and `line`, `column`, `end_line`, `end_column`, `start`, `end`
/// (bytes), each `null` without a place.
impl Serialize for Diagnostic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let place = self.place;
        let mut out = serializer.serialize_struct("Diagnostic", 10)?;
        out.serialize_field("code", self.code.name())?;
        out.serialize_field("severity", self.severity.name())?;
        out.serialize_field("message", &self.message)?;
        out.serialize_field("help", &self.help)?;
        out.serialize_field("line", &place.map(|place| place.line))?;
        out.serialize_field("column", &place.map(|place| place.column))?;
        out.serialize_field("end_line", &place.map(|place| place.end_line))?;
        out.serialize_field("end_column", &place.map(|place| place.end_column))?;
        out.serialize_field("start", &place.map(|place| place.start))?;
        out.serialize_field("end", &place.map(|place| place.end))?;
        out.end()
    }
}

/// A source as the parser reads it, and the way back to the source as it was given.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    /// Where `\r` was left out in front of a `\n`, as offsets of those `\n` in what is parsed.
    left_out: Vec<u32>,
}

impl Lines {
    /// As Python reads it: all three line ends are `\n`.
    pub(super) fn read(given: &str) -> (String, Self) {
        let mut left_out = Vec::new();
        if memchr::memchr(b'\r', given.as_bytes()).is_none() {
            return (given.to_owned(), Self { left_out });
        }
        let mut text = String::with_capacity(given.len());
        let mut chars = given.chars().peekable();
        while let Some(c) = chars.next() {
            if c != '\r' {
                text.push(c);
            } else if chars.next_if_eq(&'\n').is_some() {
                left_out.push(text.len() as u32);
                text.push('\n');
            } else {
                text.push('\n');
            }
        }
        (text, Self { left_out })
    }

    /// The place of a span of the parsed text.
    pub(super) fn place(&self, text: &str, start: usize, end: usize) -> Place {
        let start = text.floor_char_boundary(start);
        let end = text.floor_char_boundary(end).max(start);
        let (line, column) = position(text, start);
        let (end_line, end_column) = position(text, end);
        let (start, end) = (self.given(start), self.given(end));
        Place { start, end, line, column, end_line, end_column }
    }

    fn given(&self, offset: usize) -> usize {
        offset + self.left_out.partition_point(|&place| (place as usize) < offset)
    }
}

/// Line and column of an offset.
fn position(text: &str, offset: usize) -> (u32, u32) {
    let before = &text[..offset];
    let start = before.rfind('\n').map_or(0, |place| place + 1);
    let line = memchr::memchr_iter(b'\n', before.as_bytes()).count() + 1;
    let column = before[start..].chars().count() + 1;
    (line as u32, column as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_given_source() {
        let given = "é\r\nab\rcd\r\n{{ x }}";
        let (text, lines) = Lines::read(given);
        assert_eq!(text, "é\nab\ncd\n{{ x }}");
        let start = text.find('x').expect("an x");
        let place = lines.place(&text, start, start + 1);
        assert_eq!(&given[place.start..place.end], "x");
        assert_eq!((place.line, place.column, place.end_line, place.end_column), (4, 4, 4, 5));
        let place = lines.place(&text, 0, 2);
        assert_eq!((&given[place.start..place.end], place.column, place.end_column), ("é", 1, 2));
    }

    #[test]
    fn all_of_it_is_json() {
        let place = Place { start: 3, end: 9, line: 1, column: 4, end_line: 1, end_column: 10 };
        let told = Diagnostic::error(Code::Syntax, "a \"b\"").with_help("c".to_owned()).at(place);
        let read = serde_json::to_value(&told).expect("JSON");
        let expected = serde_json::json!({
            "code": "J101", "severity": "error", "message": "a \"b\"", "help": "c", "line": 1,
            "column": 4, "end_line": 1, "end_column": 10, "start": 3, "end": 9
        });
        assert_eq!(read, expected);
        assert_eq!(told.sentence(), "a \"b\"; c");
        let bare = Diagnostic::warning(Code::Budget, "x");
        assert!(bare.is_budget() && bare.line().is_none() && bare.severity == Severity::Warning);
    }
}
