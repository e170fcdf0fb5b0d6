//! A run for people: a line for each folder, then each failure with all that helps to mend it, then the numbers. In: a
//! run. Out: text. Decides nothing.

use std::fmt::Write as _;

use super::super::diff::{Difference, Word};
use super::super::verdict::{Fault, Verdict};
use super::super::{Run, Tally};
use super::place;

/// The report.
pub(super) fn text(run: &Run) -> String {
    let mut out = String::new();
    let width = run.suites.iter().map(|suite| suite.name.chars().count()).max().unwrap_or(0);
    for suite in &run.suites {
        let _ = writeln!(out, "{:width$}  {}", suite.name, brief(&suite.tally()));
    }
    for suite in &run.suites {
        if let Some(fault) = &suite.broken {
            write_fault(&mut out, &suite.name, fault);
        }
        for case in &suite.cases {
            if let Verdict::Failed(fault) = &case.verdict {
                write_fault(&mut out, &format!("{}/{}", suite.name, case.name), fault);
            }
        }
    }
    let _ = write!(out, "\n{}", run.tally());
    out
}

fn brief(tally: &Tally) -> String {
    let parts = [(tally.passed, "passed"), (tally.failed, "failed"), (tally.skipped, "skipped")];
    let told = parts.iter().filter(|(count, _)| *count > 0);
    let told: Vec<_> = told.map(|(count, what)| format!("{count} {what}")).collect();
    if told.is_empty() { "no cases".to_owned() } else { told.join(", ") }
}

fn write_fault(out: &mut String, name: &str, fault: &Fault) {
    let told = fault.failed.as_ref().and_then(|failed| failed.diagnostic.as_ref());
    let code = told.map_or_else(String::new, |told| format!(" [{}]", told.code.name()));
    let _ = writeln!(out, "\nFAILED {name}: {}{code}", fault.what);
    let _ = writeln!(out, "  {}", place(fault));
    for difference in &fault.differences {
        write_difference(out, difference);
    }
    if let Some(accept) = &fault.accept {
        let _ = writeln!(out, "  to take it as it is: {accept}");
    }
}

fn write_difference(out: &mut String, difference: &Difference) {
    let Difference { pointer, expected, found, words, .. } = difference;
    let pointer = if pointer.is_empty() { "the event" } else { pointer };
    let _ = writeln!(out, "    {pointer}");
    match (expected, found) {
        (Some(_), Some(_)) if !words.is_empty() => {
            let _ = writeln!(out, "      {}", marked(words));
        }
        (Some(expected), Some(found)) => {
            let _ = writeln!(out, "      expected {expected}");
            let _ = writeln!(out, "      found    {found}");
        }
        (Some(expected), None) => {
            let _ = writeln!(out, "      missing  {expected}");
        }
        (None, found) => {
            let _ = writeln!(out, "      not expected  {}", found.as_deref().unwrap_or_default());
        }
    }
}

/// Words that went and came in the marks of `git diff --word-diff`.
fn marked(words: &[Word]) -> String {
    let mut out = String::new();
    for word in words {
        let _ = match word {
            Word::Same(text) => write!(out, "{}", text.escape_debug()),
            Word::Gone(text) => write!(out, "[-{}-]", text.escape_debug()),
            Word::New(text) => write!(out, "{{+{}+}}", text.escape_debug()),
        };
    }
    out
}
