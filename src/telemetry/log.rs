//! The log's set-up: structured lines on stderr, for people on a terminal and as JSON otherwise. In: a filter and a
//! form. Out: a subscriber for the whole process. Decides no line; rooms see to it that none holds a slug or secret.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people; coloured on a terminal unless `NO_COLOR` is set.
    Human,
    /// One JSON object a line.
    Json,
}

impl Form {
    /// Human on a terminal, JSON otherwise.
    #[must_use]
    pub fn fitting() -> Self {
        if io::stderr().is_terminal() { Self::Human } else { Self::Json }
    }
}

/// Sends log lines at or above `filter` to stderr. A second call changes nothing.
///
/// # Errors
/// When the filter is not one.
pub fn start(filter: &str, form: Form) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|why| format!("`{filter}`: {why}"))?;
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_target(true);
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let started = match form {
        Form::Human => subscriber.with_ansi(colour).try_init(),
        Form::Json => subscriber.json().flatten_event(true).with_ansi(false).try_init(),
    };
    // Only tests call this twice in one process; the first set-up stays.
    drop(started);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_filter_is_named() {
        assert!(start("hookgate=loud", Form::Json).unwrap_err().starts_with("`hookgate=loud`"));
    }
}
