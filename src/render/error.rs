//! From the engine's errors to ours: what failed in words, and where in the author's own source. In: an error and the
//! source. Out: a [`RenderError`]. Never the engine's own wording of a budget.

use minijinja::machinery::Span;
use minijinja::{Error, ErrorKind};

use super::budget::Over;
use super::{Limits, RenderError};

impl RenderError {
    /// A fault of the template at a place of its source.
    pub(super) fn at(source: &str, offset: usize, message: impl Into<String>) -> Self {
        let offset = source.floor_char_boundary(offset);
        let before = &source[..offset];
        let start = before.rfind('\n').map_or(0, |place| place + 1);
        let line = memchr::memchr_iter(b'\n', before.as_bytes()).count() + 1;
        let column = before[start..].chars().count() + 1;
        Self {
            message: message.into(),
            line: u32::try_from(line).ok(),
            column: u32::try_from(column).ok(),
            budget: false,
        }
    }

    /// A fault of the template without a place.
    pub(super) fn bare(message: impl Into<String>) -> Self {
        Self { message: message.into(), line: None, column: None, budget: false }
    }

    /// The template is over a bound that is looked at before it is parsed.
    pub(super) fn over(self) -> Self {
        Self { budget: true, ..self }
    }

    /// What the engine found while parsing or rendering.
    pub(super) fn of(error: &Error, source: &str, limits: &Limits, over: Option<Over>) -> Self {
        let over = over.or((error.kind() == ErrorKind::OutOfFuel).then_some(Over::Work));
        let message = match over {
            Some(over) => spent(over, limits),
            None => words(error),
        };
        let place = error.range().map(|range| range.start);
        let mut made = match (place, error.line()) {
            (Some(offset), _) => Self::at(source, offset, message),
            (None, Some(line)) => Self { line: u32::try_from(line).ok(), ..Self::bare(message) },
            (None, None) => Self::bare(message),
        };
        made.budget = over.is_some();
        made
    }
}

/// A rule that a template breaks, with its place in the source.
#[derive(Debug)]
pub(super) struct Fault {
    start: usize,
    end: usize,
    message: String,
    over: bool,
}

impl Fault {
    pub(super) fn new(start: usize, end: usize, message: impl Into<String>) -> Self {
        Self { start, end, message: message.into(), over: false }
    }

    /// At a node of the tree.
    pub(super) fn span(span: Span, message: impl Into<String>) -> Self {
        Self::new(span.start_offset as usize, span.end_offset as usize, message)
    }

    /// A bound is broken rather than a rule.
    pub(super) fn over(self) -> Self {
        Self { over: true, ..self }
    }

    /// With the place as an author counts it.
    pub(super) fn in_source(self, source: &str) -> RenderError {
        let budget = self.over;
        let _ = self.end;
        RenderError { budget, ..RenderError::at(source, self.start, self.message) }
    }
}

/// The known name an author may have meant.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let close = known.map(|other| (strsim::osa_distance(name, other), other));
    close.filter(|(distance, _)| *distance <= 2).min().map(|(_, other)| other)
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
        (_, Some(detail)) => detail.to_owned(),
        (kind, None) => kind.to_string(),
    }
}
