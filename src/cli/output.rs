//! What a command prints and how it ends: results to stdout, everything else to stderr, failures as exit codes. In:
//! lines. Out: bytes on the two handles. Decides nothing.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use crate::config::ConfigError;
use crate::forward::ForwardError;
use crate::serve::ServeError;
use crate::shelf::ShelfError;
use crate::spool::SpoolError;
use crate::store::StoreError;

/// Why a command ended early; each fact has its exit code.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// It ran, and the answer is no: 1.
    #[error("{0}")]
    No(String),
    /// It ran, and what it printed says that the answer is no: 1.
    #[error("the answer is no")]
    Told,
    /// Arguments that do not go together: 2.
    #[error("{0}")]
    Usage(String),
    /// The configuration does not load: 3.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file that was named is not there, or not what it should be: 3.
    #[error("{0}")]
    NotLoaded(String),
    /// Another process holds the folder, or it cannot be used: 1.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The records cannot be used: 1, and 5 when nothing of them is chained.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A destination's text is none: 3.
    #[error(transparent)]
    Forward(#[from] ForwardError),
    /// Parked events cannot be looked at: 1.
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    /// The gateway does not start: 1, and 5 for a folder without an account.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// Nobody answers: 6.
    #[error("{0}")]
    Unreachable(String),
    /// The answer did not come in time: 7.
    #[error("{0}")]
    Late(String),
    /// The key is none, or may not: 4.
    #[error("{0}")]
    Denied(String),
    /// What was asked for is not there: 5.
    #[error("{0}")]
    NotFound(String),
    /// Some of it is done, and some is not: 8.
    #[error("{0}")]
    Partly(String),
    /// Some of it is done, and what it printed says what is not: 8.
    #[error("some of it is not done")]
    PartlyTold,
    /// Somebody pressed Ctrl-C: 130.
    #[error("interrupted")]
    Interrupted,
    /// Whoever read our output is gone: nothing to say, 0.
    #[error("the reader of the output is gone")]
    NoReader,
}

impl Failure {
    /// The same, said of one of several things.
    pub(super) fn about(self, what: &str) -> Self {
        let said = |text: String| format!("{what}: {text}");
        match self {
            Self::No(text) => Self::No(said(text)),
            Self::Usage(text) => Self::Usage(said(text)),
            Self::Unreachable(text) => Self::Unreachable(said(text)),
            Self::Late(text) => Self::Late(said(text)),
            Self::Denied(text) => Self::Denied(said(text)),
            Self::NotFound(text) => Self::NotFound(said(text)),
            other => other,
        }
    }

    /// The same with a word more of what is not there.
    pub(super) fn with(self, more: &str) -> Self {
        match self {
            Self::NotFound(text) => Self::NotFound(format!("{text}; {more}")),
            other => other,
        }
    }

    /// Says it on stderr; its exit code.
    pub(super) fn report(&self) -> ExitCode {
        if !matches!(self, Self::NoReader | Self::Told | Self::PartlyTold) {
            say(&format!("hookgate: {self}"));
        }
        ExitCode::from(match self {
            Self::Config(_)
            | Self::Serve(
                ServeError::Config(_)
                | ServeError::Forward(ForwardError::Destination { .. } | ForwardError::Twice(_)),
            )
            | Self::Forward(_)
            | Self::NotLoaded(_) => 3,
            Self::NotFound(_)
            | Self::Serve(ServeError::Empty(_))
            | Self::Store(StoreError::Unchained { .. }) => 5,
            Self::No(_)
            | Self::Told
            | Self::Shelf(_)
            | Self::Spool(_)
            | Self::Store(_)
            | Self::Serve(_) => 1,
            Self::Usage(_) => 2,
            Self::Denied(_) => 4,
            Self::Unreachable(_) => 6,
            Self::Late(_) => 7,
            Self::Partly(_) | Self::PartlyTold => 8,
            Self::Interrupted => 130,
            Self::NoReader => 0,
        })
    }
}

/// Prints a line of the result on stdout.
pub(super) fn print_line(line: &str) -> Result<(), Failure> {
    print_text(&format!("{line}\n"))
}

/// Prints text on stdout as it is.
pub(super) fn print_text(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::NoReader),
        Err(error) => Err(Failure::No(format!("cannot write to stdout: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Prints a line of the result on stdout, its colours only where they are seen.
pub(super) fn print_styled(line: &str) -> Result<(), Failure> {
    match writeln!(anstream::stdout().lock(), "{line}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::NoReader),
        Err(error) => Err(Failure::No(format!("cannot write to stdout: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Whether a character shows nothing, or changes how those around it are shown.
fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// A sender's or author's text without what a terminal would act on; as many characters as before.
pub(super) fn clean(text: &str) -> String {
    let is_inert = |c: char| !(c.is_control() || is_hidden(c)) || matches!(c, '\n' | '\t');
    text.chars().map(|c| if is_inert(c) { c } else { '\u{FFFD}' }).collect()
}

/// A JSON text that means the same and has nothing a terminal would act on: such can stand in its strings alone.
pub(super) fn inert_json(text: &str) -> String {
    use std::fmt::Write as _;
    let mut inert = String::with_capacity(text.len());
    for c in text.chars() {
        if (c.is_control() || is_hidden(c)) && !matches!(c, '\n' | '\r' | '\t') {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(inert, "\\u{unit:04x}");
            }
        } else {
            inert.push(c);
        }
    }
    inert
}

/// The same in one line, with what cannot be seen written out: two names that look alike are alike.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => line.push(' '),
            hidden if hidden.is_control() || is_hidden(hidden) => {
                line.extend(hidden.escape_unicode());
            }
            plain => line.push(plain),
        }
    }
    line
}

/// Says a line on stderr; nobody listening is no fault.
pub(super) fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_shown() {
        let text = "pay\u{202e}lap\u{200b}\u{1b}[2J\tü\n\u{301}";
        assert_eq!(one_line(text), "pay\\u{202e}lap\\u{200b}\\u{1b}[2J ü \u{301}");
        assert_eq!(clean(text).chars().count(), text.chars().count());
        assert!(!clean(text).contains(['\u{202e}', '\u{200b}', '\u{1b}']));
    }

    #[test]
    fn json_on_a_terminal_means_the_same_and_moves_nothing() {
        let text = "{\"a\": \"pay\u{202e}lap\u{9b}2J\u{e0041}ü\"}";
        let inert = inert_json(text);
        assert_eq!(inert, r#"{"a": "pay\u202elap\u009b2J\udb40\udc41ü"}"#);
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        assert_eq!(read(&inert), read(text));
    }
}
