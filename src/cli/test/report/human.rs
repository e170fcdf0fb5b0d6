//! A run for people: a line for each folder, then each failure with all that helps to mend it, then the numbers. In: a
//! run. Out: text. Decides nothing.

use std::fmt::Write as _;

use annotate_snippets::Renderer;
use anstyle::{AnsiColor, Style};

use super::super::super::snippet::draw;
use super::super::coverage::{Covered, Missed};
use super::super::diff::{Difference, Word};
use super::super::run::{Run, Suite, Tally};
use super::super::stress::Stressed;
use super::super::verdict::{Fault, Verdict};
use super::place;

const RED: Style = AnsiColor::Red.on_default();
const GREEN: Style = AnsiColor::Green.on_default();
const BOLD: Style = Style::new().bold();
/// Most diagnostics of one failure that are drawn.
const DIAGNOSTICS_TOLD: usize = 4;
/// Most ways in which a template refuses that are told.
const REFUSALS_TOLD: usize = 5;
/// Most lines of a request that are told, and characters of a line.
const LINES_TOLD: usize = 30;
const CHARS_TOLD: usize = 240;

/// The report.
pub(super) fn text(run: &Run) -> String {
    let mut out = String::new();
    let width = run.suites.iter().map(|suite| suite.name.chars().count()).max().unwrap_or(0);
    for suite in &run.suites {
        let _ = writeln!(out, "{:width$}  {}", suite.name, brief(&suite.tally()));
    }
    for suite in &run.suites {
        if let Some(fault) = &suite.broken {
            write_fault(&mut out, suite, &suite.name, fault);
        }
        for case in &suite.cases {
            if let Verdict::Failed(fault) = &case.verdict {
                write_fault(&mut out, suite, &format!("{}/{}", suite.name, case.name), fault);
            }
        }
    }
    write_coverage(&mut out, run);
    write_stress(&mut out, run);
    let _ = write!(out, "\n{}", run.tally());
    out
}

fn brief(tally: &Tally) -> String {
    let parts = [(tally.passed, "passed"), (tally.failed, "failed"), (tally.skipped, "skipped")];
    let told = parts.iter().filter(|(count, _)| *count > 0);
    let told: Vec<_> = told.map(|(count, what)| format!("{count} {what}")).collect();
    if told.is_empty() { "no cases".to_owned() } else { told.join(", ") }
}

fn write_fault(out: &mut String, suite: &Suite, name: &str, fault: &Fault) {
    let _ = writeln!(out, "\n{RED}FAILED{RED:#} {BOLD}{name}{BOLD:#}: {}", fault.what);
    let told = fault.failed.as_ref().map_or(&[][..], |failed| &failed.diagnostics);
    if told.is_empty() || *fault.file != suite.file {
        let _ = writeln!(out, "  {}", place(fault));
    }
    for told in told.iter().take(DIAGNOSTICS_TOLD) {
        let drawn = draw(&Renderer::styled(), &suite.file, &suite.source, told);
        for line in drawn.lines() {
            let _ = writeln!(out, "  {line}");
        }
    }
    for difference in &fault.differences {
        write_difference(out, difference);
    }
    if let Some(request) = &fault.request {
        write_request(out, request);
    }
    if let Some(accept) = &fault.accept {
        let _ = writeln!(out, "  to take it as it is: {accept}");
    }
}

/// What no case reached.
fn write_coverage(out: &mut String, run: &Run) {
    if run.suites.iter().all(|suite| suite.covered.is_none()) {
        return;
    }
    let _ = writeln!(out, "\nReached by the cases:");
    for suite in &run.suites {
        let Some(Covered { branches, expressions, missed }) = &suite.covered else { continue };
        let _ = writeln!(
            out,
            "  {}: {} of {} branches, {} of {} expressions",
            suite.name, branches.reached, branches.all, expressions.reached, expressions.all
        );
        for Missed { place, what } in missed {
            let _ = writeln!(out, "    {}:{}:{}: {what}", suite.file, place.line, place.column);
        }
    }
}

/// What became of wrong requests; refusals by how often.
fn write_stress(out: &mut String, run: &Run) {
    let Some(seed) = run.seed else { return };
    // Cases that expect an error have no request that could be made wrong.
    if run.suites.iter().all(|suite| suite.stressed.is_none()) {
        return;
    }
    let _ = writeln!(out, "\nWrong requests, seed {seed}:");
    for suite in &run.suites {
        let Some(found) = &suite.stressed else { continue };
        let Stressed { requests, events, died, .. } = found;
        let refused = found.refused();
        let _ = writeln!(
            out,
            "  {}: {requests} requests, {events} events, {refused} refused, {died} died",
            suite.name
        );
        let mut refusals: Vec<_> = found.refusals.iter().collect();
        refusals.sort_by_key(|refusal| std::cmp::Reverse(refusal.times));
        for refusal in refusals.iter().take(REFUSALS_TOLD) {
            let (times, place, what) = (refusal.times, refusal.place(), &refusal.failed.message);
            let _ = writeln!(out, "    {times} × {place}: {what} ({})", refusal.wrong);
        }
        if let Some(more) = refusals.len().checked_sub(REFUSALS_TOLD).filter(|more| *more > 0) {
            let _ = writeln!(out, "    … and {more} other ways");
        }
    }
}

/// The start of a request as a file would hold it.
fn write_request(out: &mut String, request: &str) {
    for (number, line) in request.lines().enumerate() {
        if number == LINES_TOLD {
            let _ = writeln!(out, "    …");
            return;
        }
        match line.char_indices().nth(CHARS_TOLD) {
            Some((end, _)) => {
                let _ = writeln!(out, "    {}…", &line[..end]);
            }
            None => {
                let _ = writeln!(out, "    {line}");
            }
        }
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
            Word::Gone(text) => write!(out, "{RED}[-{}-]{RED:#}", text.escape_debug()),
            Word::New(text) => write!(out, "{GREEN}{{+{}+}}{GREEN:#}", text.escape_debug()),
        };
    }
    out
}
