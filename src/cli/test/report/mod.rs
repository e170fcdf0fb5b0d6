//! What is said of a run: one file for each form. In: a run. Out: text. Decides nothing.

mod github;
mod human;
mod json;
mod junit;
mod tap;

use clap::ValueEnum;

use super::{Fault, Run};
use crate::cli::test::diff::Difference;

pub(super) use junit::text as junit;

/// For whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Reporter {
    /// People
    Human,
    /// Programs: one JSON object
    Json,
    /// Build servers that read `JUnit` XML
    Junit,
    /// GitHub Actions: annotations
    Github,
    /// The Test Anything Protocol, version 14
    Tap,
}

/// The whole report.
pub(super) fn text(reporter: Reporter, run: &Run) -> String {
    match reporter {
        Reporter::Human => human::text(run),
        Reporter::Json => json::text(run),
        Reporter::Junit => junit::text(run),
        Reporter::Github => github::text(run),
        Reporter::Tap => tap::text(run),
    }
}

/// File and line of a fault.
fn place(fault: &Fault) -> String {
    match fault.line {
        Some(line) => format!("{}:{line}", fault.file),
        None => fault.file.to_string(),
    }
}

/// A difference on one line.
fn brief(difference: &Difference) -> String {
    let Difference { pointer, expected, found, .. } = difference;
    let side = |text: &Option<String>| text.clone().unwrap_or_else(|| "nothing".to_owned());
    let pointer = if pointer.is_empty() { "the event" } else { pointer };
    format!("{pointer}: expected {}, found {}", side(expected), side(found))
}
