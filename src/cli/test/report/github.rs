//! A run as annotations of GitHub Actions. In: a run. Out: workflow commands, and the numbers. Decides nothing.

use std::fmt::Write as _;

use super::super::Run;
use super::super::verdict::{Fault, Verdict};
use super::brief;

/// The report.
pub(super) fn text(run: &Run) -> String {
    let mut out = String::new();
    for suite in &run.suites {
        if let Some(fault) = &suite.broken {
            write_error(&mut out, &suite.name, fault);
        }
        for case in &suite.cases {
            if let Verdict::Failed(fault) = &case.verdict {
                write_error(&mut out, &format!("{}/{}", suite.name, case.name), fault);
            }
        }
    }
    for suite in &run.suites {
        for missed in suite.covered.iter().flat_map(|covered| &covered.missed) {
            let (place, file) = (missed.place, property(&suite.file));
            let (line, column, what) = (place.line, place.column, data(&missed.what));
            let title = "no case reached it";
            let _ = writeln!(
                out,
                "::notice file={file},line={line},col={column},title={title}::{what}"
            );
        }
    }
    let _ = write!(out, "{}", run.tally());
    out
}

fn write_error(out: &mut String, name: &str, fault: &Fault) {
    let mut lines = vec![fault.what.clone()];
    lines.extend(fault.differences.iter().map(brief));
    lines.extend(fault.accept.iter().map(|command| format!("to take it as it is: {command}")));
    let place = fault.line.map_or_else(String::new, |line| format!(",line={line}"));
    let _ = writeln!(
        out,
        "::error file={}{place},title={}::{}",
        property(&fault.file),
        property(name),
        data(&lines.join("\n"))
    );
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
