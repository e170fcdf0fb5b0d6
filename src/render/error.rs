//! From rules broken and the engine's errors to diagnostics: what failed in words, and where in the author's source.
//! In: an error and the source. Out: a [`Diagnostic`]. Never the engine's own wording of a budget.

use minijinja::machinery::Span;
use minijinja::{Error, ErrorKind};

use super::Limits;
use super::advice;
use super::budget::Over;
use super::code::Code;
use super::diagnostic::{Diagnostic, Lines};
use super::globals;

/// What the engine found while rendering.
pub(super) fn rendering(
    error: &Error,
    source: &str,
    lines: &Lines,
    limits: &Limits,
    over: Option<Over>,
) -> Diagnostic {
    let over = over.or((error.kind() == ErrorKind::OutOfFuel).then_some(Over::Work));
    let told = if let Some(over) = over {
        Diagnostic::error(Code::Budget, spent(over, limits))
    } else {
        let words = words(error);
        let (what, help) = match words.split_once("; did you mean ") {
            Some((what, meant)) => (what, Some(format!("did you mean {meant}"))),
            None => (&*words, None),
        };
        Diagnostic::error(Code::Refused, what).with_help(help)
    };
    let place = match (error.range(), error.line()) {
        (Some(range), _) => Some((range.start, range.end)),
        (None, Some(line)) => nth_line(source, line),
        (None, None) => None,
    };
    told.at(place.map(|(start, end)| lines.place(source, start, end)))
}

/// Where a line starts and ends, without the white space around it.
fn nth_line(source: &str, line: usize) -> Option<(usize, usize)> {
    let text = source.split('\n').nth(line.checked_sub(1)?)?;
    let start = text.as_ptr() as usize - source.as_ptr() as usize;
    let indent = text.len() - text.trim_start().len();
    Some((start + indent, start + indent.max(text.trim_end().len())))
}

/// A rule that a template breaks, with its place in the source.
#[derive(Debug)]
pub(super) struct Fault {
    start: usize,
    end: usize,
    code: Code,
    message: String,
    help: Option<String>,
}

impl Fault {
    pub(super) fn new(start: usize, end: usize, message: impl Into<String>) -> Self {
        Self { start, end, code: Code::Syntax, message: message.into(), help: None }
    }

    /// At a node of the tree.
    pub(super) fn span(span: Span, message: impl Into<String>) -> Self {
        Self::new(span.start_offset as usize, span.end_offset as usize, message)
    }

    /// The same under another code.
    pub(super) fn under(self, code: Code) -> Self {
        Self { code, ..self }
    }

    /// A bound is broken rather than a rule.
    pub(super) fn over(self) -> Self {
        self.under(Code::Bound)
    }

    /// The same with the way out.
    pub(super) fn with_help(self, help: impl Into<Option<String>>) -> Self {
        Self { help: help.into(), ..self }
    }

    /// With the place as an author counts it.
    pub(super) fn in_source(self, source: &str, lines: &Lines) -> Diagnostic {
        let place = lines.place(source, self.start, self.end);
        let help = self.help.or_else(|| advice::of_source(&self.message));
        Diagnostic::error(self.code, self.message).with_help(help).at(place)
    }
}

/// The known name an author may have meant.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A short name is near to everything, a long one costs much to compare.
    let length = name.chars().count();
    let far = match length {
        0 | 1 | 41.. => return None,
        2..=3 => 1,
        4..=7 => 2,
        _ => 3,
    };
    let name = name.to_lowercase();
    let alike = known.filter(|other| other.chars().count().abs_diff(length) <= far);
    let close = alike.map(|other| (strsim::osa_distance(&name, &other.to_lowercase()), other));
    close.filter(|(distance, _)| *distance <= far).min().map(|(_, other)| other)
}

fn spent(over: Over, limits: &Limits) -> String {
    match over {
        Over::Work => format!("the template does too much: more than {} steps", limits.fuel),
        Over::Memory => format!(
            "the template makes too much: more than {} bytes of values",
            limits.memory_max_bytes
        ),
        Over::Time => {
            format!("the template takes too long: more than {} ms", limits.time.as_millis())
        }
    }
}

fn words(error: &Error) -> String {
    let mut cause = error;
    // A fault inside a block or macro is told as itself.
    while let Some(inner) = std::error::Error::source(cause).and_then(|e| e.downcast_ref::<Error>())
    {
        cause = inner;
    }
    match (cause.kind(), cause.detail()) {
        (ErrorKind::UnknownFunction, Some(detail)) => {
            let name = detail.strip_suffix(" is unknown").unwrap_or_default();
            match nearest(name, globals::all().map(|(known, _)| known)) {
                Some(meant) => format!("{detail}; did you mean '{meant}'?"),
                None => detail.to_owned(),
            }
        }
        (_, Some(detail)) => detail.to_owned(),
        (kind, None) => kind.to_string(),
    }
}
