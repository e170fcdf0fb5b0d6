//! The cases of `tests/data/jinja`: what Python's Jinja2 made of each template, or that it failed. In: JSON lines of
//! id, feature, template, context, and expected or error. Out: a table per feature; fewer passes than ever before
//! fail. Only *that* a case fails is compared, not the words.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use hookgate::json::{self, Document};
use hookgate::render::{Limits, Template};
use serde::Deserialize;
use serde_json::value::RawValue;

const JSON: json::Limits = json::Limits { depth_max: 190, nodes_max: 250_000 };
const STACK_BYTES: usize = 16 << 20;
/// Longest part of a text in a report.
const QUOTE_MAX_CHARS: usize = 300;

#[derive(Deserialize)]
struct Case {
    id: String,
    #[serde(default)]
    feature: String,
    template: String,
    context: Box<RawValue>,
    expected: Option<String>,
    error: Option<String>,
}

impl Case {
    /// Renders; `Err` says what differs.
    fn run(&self) -> Result<(), String> {
        let context = Bytes::copy_from_slice(self.context.get().as_bytes());
        let names = Arc::new(Document::parse(context, JSON).map_err(|fault| fault.to_string())?);
        // Builds without optimisation are slower than the clock of a real rendering allows.
        let limits = Limits { time: Duration::from_secs(10), ..Limits::default() };
        let made = Template::compile(&self.template, limits)
            .and_then(|template| template.render_names(&names));
        match (&self.expected, made) {
            (Some(expected), Ok(text)) if *expected == text => Ok(()),
            (Some(expected), Ok(text)) => {
                Err(format!("expected {}\n     made {}", quote(expected), quote(&text)))
            }
            (Some(expected), Err(fault)) => {
                Err(format!("expected {}\n   failed {fault}", quote(expected)))
            }
            (None, Err(_)) => Ok(()),
            (None, Ok(text)) => {
                let error = self.error.as_deref().unwrap_or_default();
                Err(format!("expected {}\n     made {}", quote(error), quote(&text)))
            }
        }
    }
}

fn quote(text: &str) -> String {
    format!("{:?}", text.chars().take(QUOTE_MAX_CHARS).collect::<String>())
}

/// Runs a file; passes, all, and the report.
fn run(name: &str) -> (usize, usize, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/jinja").join(name);
    let lines = fs::read_to_string(path).expect("cases");
    let mut table: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut report = String::new();
    for line in lines.lines() {
        let case: Case = serde_json::from_str(line).expect("a case");
        let row = table.entry(case.feature.clone()).or_default();
        row.1 += 1;
        match case.run() {
            Ok(()) => row.0 += 1,
            Err(what) => {
                let _ = writeln!(report, "{} {}\n {what}", case.id, quote(&case.template));
            }
        }
    }
    for (feature, (passed, all)) in &table {
        let _ = writeln!(report, "{passed:5} of {all:5}  {feature}");
    }
    let passed = table.values().map(|row| row.0).sum();
    (passed, table.values().map(|row| row.1).sum(), report)
}

fn at_least(name: &'static str, floor: usize) {
    let work = move || run(name);
    let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn(work).expect("a thread");
    let (passed, all, report) = thread.join().expect("no panic");
    let _ = writeln!(std::io::stdout(), "{report}{passed} passed, {} failed", all - passed);
    assert!(passed >= floor, "{name}: {passed} of {all} pass, {floor} did before");
}

#[test]
fn prefect_s_templates_render_as_there() {
    at_least("prefect.jsonl", 325);
}

#[test]
fn jinja2_s_templates_render_as_there() {
    at_least("cases.jsonl", 1557);
}

#[test]
fn formats_render_as_python_s_do() {
    at_least("format.jsonl", 600);
}

#[test]
fn numbers_are_humanized_as_by_python() {
    at_least("humanize.jsonl", 507);
}

#[test]
fn texts_are_laid_out_and_sorted_as_by_python() {
    at_least("layout.jsonl", 240);
}

#[test]
fn what_differed_once_does_so_no_more() {
    at_least("found.jsonl", 93);
}
