//! The log's set-up: structured lines on stderr, for people on a terminal and as JSON otherwise. In: a filter and a
//! form. Out: a subscriber for the whole process. Rooms see to it that no line of ours holds a slug or secret; lines of
//! other crates pass only where they tell of their own doings.

use std::io::{self, IsTerminal as _};

use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

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
    let told = filter_fn(|line| is_told(line.target(), *line.level()));
    let started = match form {
        Form::Human => subscriber.with_ansi(colour).finish().with(told).try_init(),
        Form::Json => {
            subscriber.json().flatten_event(true).with_ansi(false).finish().with(told).try_init()
        }
    };
    // Only tests call this twice in one process; the first set-up stays.
    drop(started);
    Ok(())
}

/// Whether a line may be told, whatever the filter says. Below `info` other crates print what strangers send: of a path
/// that HTTP/2 takes for none all of it, with the slug.
fn is_told(target: &str, level: Level) -> bool {
    let ours = target.strip_prefix("hookgate");
    ours.is_some_and(|rest| rest.is_empty() || rest.starts_with("::")) || level <= Level::INFO
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_others_tell_of_no_request() {
        for (target, level, told) in [
            ("hookgate", Level::TRACE, true),
            ("hookgate::hooks", Level::TRACE, true),
            ("hookgate_else", Level::DEBUG, false),
            ("h2::server", Level::DEBUG, false),
            ("h2::server", Level::INFO, true),
            ("h2::server", Level::ERROR, true),
        ] {
            assert_eq!(is_told(target, level), told, "{target} {level}");
        }
    }

    #[test]
    fn a_bad_filter_is_named() {
        assert!(start("hookgate=loud", Form::Json).unwrap_err().starts_with("`hookgate=loud`"));
    }
}
