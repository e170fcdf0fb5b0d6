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

/// What a filter is made of.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Whether a text is a level, or a list of them, each for a part of the program. A word that is none would be taken for
/// the name of such a part, and nothing else be told.
///
/// # Errors
/// What is none, and the levels there are.
pub fn check(filter: &str) -> Result<(), String> {
    let is_level = |text: &str| LEVELS.iter().any(|level| text.eq_ignore_ascii_case(level));
    for part in filter.split(',').map(str::trim) {
        let level = part.rsplit_once('=').map_or(part, |(_, level)| level.trim());
        if !is_level(level) {
            let levels = LEVELS.join(", ");
            return Err(format!(
                "`{level}` is no level: {levels}, or a list such as info,hookgate::forward=debug"
            ));
        }
    }
    EnvFilter::try_new(filter).map(drop).map_err(|why| format!("`{filter}`: {why}"))
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
        for (filter, said) in [
            ("inof", "`inof`"),
            ("hookgate", "`hookgate`"),
            ("hookgate=loud", "`loud`"),
            ("info,hookgate=", "``"),
            ("info,", "``"),
            ("", "``"),
        ] {
            let says = check(filter).expect_err(filter);
            assert!(says.starts_with(said) && says.contains("warn, info, debug"), "{says}");
        }
        for filter in ["info", "WARN", "off", "info,hookgate::forward=debug", "error,hyper=off"] {
            assert_eq!(check(filter), Ok(()), "{filter}");
        }
    }
}
