//! Case files: templates with contexts and what must become of them, as Python's Jinja2 gave it. In: JSON lines. Out:
//! each failure with what differs, a table by feature, and `N passed, N failed`. Never holds more than one case.

use std::any::Any;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::super::stage;
use super::Form;
use crate::cli::output::{Failure, print_line};
use crate::json::{self, Document};
use crate::render::Template;

/// Longest line of a case file.
const LINE_MAX_BYTES: u64 = 32 << 20;
/// What some editors put in front of a text.
const BYTE_ORDER_MARK: char = '\u{feff}';
/// As a body's, which is one level of a context.
const JSON: json::Limits = json::Limits { depth_max: 101, nodes_max: 100_000 };
/// Longest part of a text that is shown.
const QUOTE_MAX_CHARS: usize = 400;
/// What is shown of a long text in front of the first character that differs.
const QUOTE_BEFORE_CHARS: usize = 60;

#[derive(Deserialize)]
struct Case {
    /// Any JSON: it is only said again.
    #[serde(default)]
    id: Value,
    #[serde(default)]
    feature: Option<String>,
    template: String,
    #[serde(default)]
    context: Option<Box<RawValue>>,
    #[serde(default)]
    expected: Option<String>,
    #[serde(default)]
    error: Option<Value>,
}

/// Why there is no text.
struct Fault {
    message: String,
    line: Option<u32>,
    column: Option<u32>,
    budget: bool,
}

impl Fault {
    fn bare(message: String) -> Self {
        Self { message, line: None, column: None, budget: false }
    }
}

/// Cases of one feature.
#[derive(Default)]
struct Count {
    passed: usize,
    failed: usize,
}

/// Runs a file of cases on a thread as the gateway's.
pub(super) fn run(path: &Path, by_feature: bool, form: Form) -> Result<(), Failure> {
    let name =
        if path == Path::new("-") { "standard input".into() } else { path.to_string_lossy() };
    let input: Box<dyn BufRead + Send> = if path == Path::new("-") {
        Box::new(BufReader::new(io::stdin()))
    } else {
        let file = File::open(path)
            .map_err(|fault| Failure::NotLoaded(format!("{name}: cannot be opened: {fault}")))?;
        Box::new(BufReader::new(file))
    };
    let work = || run_all(input, &name, by_feature, form);
    stage::perform(work)
}

fn run_all(
    mut input: impl BufRead,
    name: &str,
    by_feature: bool,
    form: Form,
) -> Result<(), Failure> {
    let mut table: BTreeMap<String, Count> = BTreeMap::new();
    let mut cases = 0_usize;
    let mut line = String::new();
    for number in 1_u64.. {
        let at = |what: String| Failure::NotLoaded(format!("{name}:{number}: {what}"));
        line.clear();
        let read = input.by_ref().take(LINE_MAX_BYTES).read_line(&mut line);
        match read.map_err(|fault| at(format!("cannot be read: {fault}")))? {
            0 => break,
            read if read as u64 == LINE_MAX_BYTES => {
                return Err(at(format!("longer than {LINE_MAX_BYTES} bytes")));
            }
            _ if line.trim_start_matches(BYTE_ORDER_MARK).trim().is_empty() => continue,
            _ => {}
        }
        let text = if number == 1 { line.trim_start_matches(BYTE_ORDER_MARK) } else { &line };
        let case: Case = serde_json::from_str(text.trim_end()).map_err(|fault| {
            let words = fault.to_string().replace(" at line 1 column ", " at column ");
            at(format!("no case: {words}"))
        })?;
        cases += 1;
        let made = case.render();
        let holds = case.holds(&made);
        if form.is_json() {
            print_line(&case.answer(&made, holds).to_string())?;
        } else if !holds {
            print_line(&case.report(&made))?;
        }
        // Whoever asks for nothing but an answer hears nothing of passing.
        if form.is_json() && !case.asks() {
            continue;
        }
        let count = table.entry(case.feature.unwrap_or_default()).or_default();
        *if holds { &mut count.passed } else { &mut count.failed } += 1;
    }
    if cases == 0 {
        return Err(Failure::No(format!("nothing to run: no case in {name}")));
    }
    conclude(cases, &table, name, by_feature, form)
}

/// The table and the tally; a failure when a case has failed.
fn conclude(
    cases: usize,
    table: &BTreeMap<String, Count>,
    name: &str,
    by_feature: bool,
    form: Form,
) -> Result<(), Failure> {
    let passed: usize = table.values().map(|count| count.passed).sum();
    let failed: usize = table.values().map(|count| count.failed).sum();
    if form.is_json() {
        let mut last = json!({ "cases": cases });
        if !table.is_empty() {
            last["passed"] = Value::from(passed);
            last["failed"] = Value::from(failed);
        }
        print_line(&last.to_string())?;
    } else {
        if by_feature {
            print_line(" passed  failed  feature")?;
        }
        for (feature, Count { passed, failed }) in table.iter().filter(|_| by_feature) {
            let feature = if feature.is_empty() { "(none)" } else { feature };
            print_line(&format!("{passed:7} {failed:7}  {feature}"))?;
        }
        print_line(&format!("{passed} passed, {failed} failed"))?;
    }
    if failed == 0 {
        return Ok(());
    }
    Err(Failure::No(format!("{name}: {failed} of {} cases failed", passed + failed)))
}

impl Case {
    /// The text, or why there is none. A panic is this case's failure, not the end of all.
    fn render(&self) -> Result<String, Fault> {
        let context = self.context.as_ref().map_or("{}", |context| context.get());
        let names = Document::parse(Bytes::copy_from_slice(context.as_bytes()), JSON)
            .map_err(|fault| Fault::bare(format!("the context cannot be read: {fault}")))?;
        let names = Arc::new(names);
        let work = || {
            let template = Template::compile(&self.template, stage::limits(false))?;
            template.render_names(&names)
        };
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(made) => made.map_err(|fault| Fault {
                message: fault.sentence(),
                line: fault.line(),
                column: fault.column(),
                budget: fault.is_budget(),
            }),
            Err(panic) => Err(Fault::bare(words_of(&*panic))),
        }
    }

    /// Whether it says what must become of it.
    fn asks(&self) -> bool {
        self.expected.is_some() || self.error.is_some()
    }

    /// Whether what became of it was asked for: the text to the letter; of a failure, that there is one. A case that
    /// asks for nothing holds when it renders.
    fn holds(&self, made: &Result<String, Fault>) -> bool {
        match (&self.expected, made) {
            (Some(expected), Ok(text)) => expected == text,
            (Some(_), Err(_)) => false,
            (None, made) => made.is_err() == self.error.is_some(),
        }
    }

    /// What a program is told.
    fn answer(&self, made: &Result<String, Fault>, holds: bool) -> Value {
        let mut answer = match made {
            Ok(text) => json!({ "id": self.id, "text": text }),
            Err(Fault { message, line, column, budget }) => json!({
                "id": self.id,
                "error": { "message": message, "line": line, "column": column, "budget": budget },
            }),
        };
        if self.asks() {
            answer["passed"] = Value::from(holds);
        }
        answer
    }

    /// What a person is told of a failure.
    fn report(&self, made: &Result<String, Fault>) -> String {
        let id = self.id.as_str().map_or_else(|| self.id.to_string(), str::to_owned);
        let differs = match (&self.expected, made) {
            (Some(expected), Ok(text)) => {
                expected.chars().zip(text.chars()).take_while(|(a, b)| a == b).count()
            }
            _ => 0,
        };
        let expected = match (&self.expected, &self.error) {
            (Some(text), _) => quote(text, differs),
            (None, Some(Value::String(words))) => format!("an error: {}", clean(words)),
            (None, Some(error)) => format!("an error: {error}"),
            (None, None) => "any text".to_owned(),
        };
        let found = match made {
            Ok(text) => quote(text, differs),
            Err(fault) => {
                let line = fault.line.map(|line| format!(", line {line}")).unwrap_or_default();
                format!("an error: {}{line}", clean(&fault.message))
            }
        };
        let feature =
            self.feature.as_ref().map(|name| format!(" ({})", clean(name))).unwrap_or_default();
        format!(
            "FAILED {}{feature}\n  template  {}\n  expected  {expected}\n  found     {found}",
            clean(&id),
            quote(&self.template, 0),
        )
    }
}

/// A text between quotes, of a long one the part around a place.
fn quote(text: &str, place: usize) -> String {
    let length = text.chars().count();
    let from = if length > QUOTE_MAX_CHARS { place.saturating_sub(QUOTE_BEFORE_CHARS) } else { 0 };
    let part: String = text.chars().skip(from).take(QUOTE_MAX_CHARS).collect();
    let before = if from > 0 { "…" } else { "" };
    let after = if length > from + QUOTE_MAX_CHARS { "…" } else { "" };
    let whole = if from > 0 || !after.is_empty() {
        format!(" ({length} characters, from {from})")
    } else {
        String::new()
    };
    format!("{before}{part:?}{after}{whole}")
}

/// Words without what a terminal would obey.
fn clean(words: &str) -> String {
    words.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<String>().map(String::as_str);
    let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("panicked: {}", words.unwrap_or("without words"))
}
