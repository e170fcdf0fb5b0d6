//! A run as one JSON object. In: a run. Out: text. Decides nothing.

use serde_json::{Value, json};

use super::super::run::{Checked, Run, Suite};
use super::super::verdict::{Fault, Verdict};

/// The report.
pub(super) fn text(run: &Run) -> String {
    let tally = run.tally();
    let mut cases = Vec::new();
    for suite in &run.suites {
        if let Some(fault) = &suite.broken {
            let mut told = told(suite, None, "failed", 0.0);
            add_fault(&mut told, fault);
            cases.push(told);
        }
        cases.extend(suite.cases.iter().map(|case| checked(suite, case)));
    }
    let stressed = run.suites.iter().filter_map(|suite| {
        let found = suite.stressed.as_ref()?;
        let refusals = found.refusals.iter().map(|refusal| {
            json!({
                "times": refusal.times,
                "error_type": refusal.failed.error_type,
                "line": refusal.failed.line,
                "pointer": refusal.failed.pointer,
                "message": refusal.failed.message,
                "where": refusal.wrong,
            })
        });
        Some(json!({
            "folder": suite.name,
            "requests": found.requests,
            "events": found.events,
            "refused": found.refused(),
            "died": found.died,
            "refusals": refusals.collect::<Vec<_>>(),
        }))
    });
    let stressed: Vec<Value> = stressed.collect();
    let mut report = json!({
        "passed": tally.passed,
        "failed": tally.failed,
        "skipped": tally.skipped,
        "cases": cases,
    });
    let covered: Vec<Value> = run.suites.iter().filter_map(covered).collect();
    if !covered.is_empty() {
        report["coverage"] = covered.into();
    }
    if let Some(seed) = run.seed {
        report["stress"] = json!({ "seed": seed, "folders": stressed });
    }
    serde_json::to_string_pretty(&report).unwrap_or_default()
}

fn covered(suite: &Suite) -> Option<Value> {
    let covered = suite.covered.as_ref()?;
    let missed = covered.missed.iter().map(|missed| {
        json!({ "line": missed.place.line, "column": missed.place.column, "message": missed.what })
    });
    Some(json!({
        "folder": suite.name,
        "file": suite.file,
        "branches": covered.branches.all,
        "branches_reached": covered.branches.reached,
        "expressions": covered.expressions.all,
        "expressions_reached": covered.expressions.reached,
        "missed": missed.collect::<Vec<_>>(),
    }))
}

fn checked(suite: &Suite, case: &Checked) -> Value {
    let status = match &case.verdict {
        Verdict::Passed => "passed",
        Verdict::Accepted(_) => "accepted",
        Verdict::Failed(_) => "failed",
        Verdict::Skipped => "skipped",
    };
    let mut told = told(suite, Some(&case.name), status, case.took.as_secs_f64());
    match &case.verdict {
        Verdict::Failed(fault) => add_fault(&mut told, fault),
        Verdict::Accepted(file) => told["file"] = json!(file),
        Verdict::Passed | Verdict::Skipped => {}
    }
    told
}

fn told(suite: &Suite, case: Option<&str>, status: &str, seconds: f64) -> Value {
    json!({ "folder": suite.name, "case": case, "status": status, "seconds": seconds })
}

fn add_fault(told: &mut Value, fault: &Fault) {
    told["message"] = json!(fault.what);
    told["file"] = json!(fault.file);
    told["line"] = json!(fault.line);
    if let Some(failed) = &fault.failed {
        told["error"] = json!({
            "error_type": failed.error_type,
            "message": failed.message,
            "line": failed.line,
            "diagnostics": failed.diagnostics,
            "pointer": failed.pointer,
            "rendered": failed.rendered,
        });
    }
    let differences = fault.differences.iter().map(|difference| {
        json!({
            "pointer": difference.pointer,
            "expected": difference.expected,
            "found": difference.found,
        })
    });
    told["differences"] = differences.collect();
    if let Some(request) = &fault.request {
        told["request"] = serde_json::from_str(request).unwrap_or_default();
    }
    told["accept"] = json!(fault.accept);
}
