//! A run in the Test Anything Protocol, version 14. In: a run. Out: text. Decides nothing.

use std::fmt::Write as _;

use serde_json::json;

use super::super::Run;
use super::super::verdict::{Fault, Verdict};

/// The report.
pub(super) fn text(run: &Run) -> String {
    let tally = run.tally();
    let mut out = String::from("TAP version 14\n");
    let _ = writeln!(out, "1..{}", tally.passed + tally.failed + tally.skipped);
    let mut number = 0;
    for suite in &run.suites {
        if let Some(fault) = &suite.broken {
            number += 1;
            let _ = writeln!(out, "not ok {number} - {}", escape(&suite.name));
            write_fault(&mut out, fault);
        }
        for case in &suite.cases {
            number += 1;
            let name = escape(&format!("{}/{}", suite.name, case.name));
            let _ = match &case.verdict {
                Verdict::Passed | Verdict::Accepted(_) => writeln!(out, "ok {number} - {name}"),
                Verdict::Skipped => writeln!(out, "ok {number} - {name} # SKIP"),
                Verdict::Failed(_) => writeln!(out, "not ok {number} - {name}"),
            };
            if let Verdict::Failed(fault) = &case.verdict {
                write_fault(&mut out, fault);
            }
        }
    }
    let _ = write!(out, "# {tally}");
    out
}

/// YAML is a superset of JSON: each value is written as that.
fn write_fault(out: &mut String, fault: &Fault) {
    out.push_str("  ---\n");
    let mut line = |key: &str, value: serde_json::Value| {
        let _ = writeln!(out, "  {key}: {value}");
    };
    line("message", json!(fault.what));
    line("file", json!(fault.file));
    if let Some(number) = fault.line {
        line("line", json!(number));
    }
    let brief: Vec<String> = fault.differences.iter().map(super::brief).collect();
    if !brief.is_empty() {
        line("differences", json!(brief));
    }
    if let Some(accept) = &fault.accept {
        line("accept", json!(accept));
    }
    out.push_str("  ...\n");
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('#', "\\#")
}
