//! A run as `JUnit` XML, in the form that build servers agree on. In: a run. Out: text. Never a character that XML 1.0
//! does not know.

use std::fmt::Write as _;

use super::super::Run;
use super::super::verdict::{Fault, Verdict};
use super::{brief, place};

/// The report.
pub(in super::super) fn text(run: &Run) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let tally = run.tally();
    let (failed, skipped) = (tally.failed, tally.skipped);
    let all = tally.passed + failed + skipped;
    let _ = writeln!(
        out,
        "<testsuites name=\"hookgate test\" tests=\"{all}\" failures=\"{failed}\" \
         skipped=\"{skipped}\">"
    );
    for suite in &run.suites {
        let tally = suite.tally();
        let name = escape(&suite.name);
        let _ = writeln!(
            out,
            "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{}\" errors=\"0\" \
             skipped=\"{}\">",
            tally.passed + tally.failed + tally.skipped,
            tally.failed,
            tally.skipped
        );
        if let Some(fault) = &suite.broken {
            let _ = writeln!(out, "    <testcase classname=\"{name}\" name=\"template.j2\">");
            write_fault(&mut out, fault);
            let _ = writeln!(out, "    </testcase>");
        }
        for case in &suite.cases {
            let seconds = case.took.as_secs_f64();
            let case_name = escape(&case.name);
            let _ = write!(
                out,
                "    <testcase classname=\"{name}\" name=\"{case_name}\" time=\"{seconds:.6}\""
            );
            match &case.verdict {
                Verdict::Passed | Verdict::Accepted(_) => out.push_str("/>\n"),
                Verdict::Skipped => out.push_str("><skipped/></testcase>\n"),
                Verdict::Failed(fault) => {
                    out.push_str(">\n");
                    write_fault(&mut out, fault);
                    out.push_str("    </testcase>\n");
                }
            }
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>");
    out
}

fn write_fault(out: &mut String, fault: &Fault) {
    let mut lines = vec![place(fault)];
    lines.extend(fault.differences.iter().map(brief));
    lines.extend(fault.accept.iter().map(|command| format!("to take it as it is: {command}")));
    let (what, text) = (escape(&fault.what), escape(&lines.join("\n")));
    let _ = writeln!(out, "      <failure message=\"{what}\">{text}</failure>");
}

/// Text for an element or an attribute; what XML cannot hold is U+FFFD.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            '\r' => out.push_str("&#13;"),
            '\0'..='\x1f' | '\u{FFFE}' | '\u{FFFF}' => out.push('\u{FFFD}'),
            other => out.push(other),
        }
    }
    out
}
