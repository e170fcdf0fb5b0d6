//! What a command prints and how it ends: results to stdout, everything else to stderr, failures as exit codes. In:
//! lines. Out: bytes on the two handles. Decides nothing.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use crate::config::ConfigError;
use crate::spool::SpoolError;

/// Why a command ended early; each fact has its exit code.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// It ran, and the answer is no: 1.
    #[error("{0}")]
    No(String),
    /// The configuration does not load: 3.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Another process holds the folder, or it cannot be used: 1.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// What was asked for is not there: 5.
    #[error("{0}")]
    NotFound(String),
    /// Somebody pressed Ctrl-C: 130.
    #[error("interrupted")]
    Interrupted,
    /// Whoever read our output is gone: nothing to say, 0.
    #[error("the reader of the output is gone")]
    NoReader,
}

impl Failure {
    /// Says it on stderr; its exit code.
    pub(super) fn report(&self) -> ExitCode {
        if !matches!(self, Self::NoReader) {
            say(&format!("hookgate: {self}"));
        }
        ExitCode::from(match self {
            Self::No(_) | Self::Spool(_) => 1,
            Self::Config(_) => 3,
            Self::NotFound(_) => 5,
            Self::Interrupted => 130,
            Self::NoReader => 0,
        })
    }
}

/// Prints a line of the result on stdout.
pub(super) fn print_line(line: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::NoReader),
        Err(error) => Err(Failure::No(format!("cannot write to stdout: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Says a line on stderr; nobody listening is no fault.
pub(super) fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
