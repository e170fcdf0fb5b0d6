//! What became of a case beside what is expected of it. In: an outcome and the files of the case. Out: a verdict; when
//! told to accept, also the expected file, written anew. Never writes otherwise.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::json::{Document, Limits};

use super::super::{case, pretty};
use super::diff::{self, Difference};
use super::folder::Case;
use super::outcome::{Failed, Outcome};

/// Bounds of an expected event: those of an event.
const LIMITS: Limits = Limits { depth_max: 200, nodes_max: 1_000_000 };

/// How a case went.
#[derive(Debug)]
pub(super) enum Verdict {
    Passed,
    /// What came is from now on expected: the file that was written.
    Accepted(String),
    Failed(Box<Fault>),
    Skipped,
}

/// Why a case failed.
#[derive(Clone, Debug, Default)]
pub(super) struct Fault {
    /// Where to look.
    pub(super) file: Box<str>,
    pub(super) line: Option<usize>,
    /// In one sentence.
    pub(super) what: String,
    pub(super) differences: Vec<Difference>,
    /// The failure that came instead of an event, or instead of another failure.
    pub(super) failed: Option<Box<Failed>>,
    /// The smallest request that does it, as a file would hold it.
    pub(super) request: Option<Box<str>>,
    /// The command that takes it as it is.
    pub(super) accept: Option<Box<str>>,
}

impl Fault {
    pub(super) fn new(file: &Path, line: Option<usize>, what: impl Into<String>) -> Self {
        let file = file.display().to_string().into();
        Self { file, line, what: what.into(), ..Self::default() }
    }
}

/// Compares, and writes when `accepts`.
pub(super) fn judge(case: &Case, template: &Path, outcome: &Outcome, accepts: bool) -> Verdict {
    let Err(fault) = compare(case, template, outcome) else { return Verdict::Passed };
    // Which of the two is meant, only the author knows.
    if case.there.event && case.there.error {
        return Verdict::Failed(Box::new(fault));
    }
    if !accepts {
        let accept = format!("hookgate test {} --update", shell_word(&case.request));
        return Verdict::Failed(Box::new(Fault { accept: Some(accept.into()), ..fault }));
    }
    match write(case, outcome) {
        Ok(written) => Verdict::Accepted(written),
        Err((file, what)) => {
            Verdict::Failed(Box::new(Fault { file: file.into(), what, ..Fault::default() }))
        }
    }
}

fn compare(case: &Case, template: &Path, outcome: &Outcome) -> Result<(), Fault> {
    match (case.there.event, case.there.error) {
        (false, false) => {
            let what = match outcome {
                Ok(_) => "nothing is expected yet; an event came".to_owned(),
                Err(failed) => format!("nothing is expected yet; it failed: {}", failed.message),
            };
            let failed = outcome.as_ref().err().cloned().map(Box::new);
            Err(Fault { failed, ..Fault::new(&case.request, None, what) })
        }
        (true, true) => {
            let what = "both an event and an error are expected; remove one of the files";
            Err(Fault::new(&case.event, None, what))
        }
        (true, false) => compare_event(case, template, outcome),
        (false, true) => compare_error(case, outcome),
    }
}

fn compare_event(case: &Case, template: &Path, outcome: &Outcome) -> Result<(), Fault> {
    let text = outcome.as_ref().map_err(|failed| {
        let what = format!("an event is expected; it failed: {}", failed.message);
        Fault {
            failed: Some(Box::new(failed.clone())),
            ..Fault::new(template, failed.blamed_line(), what)
        }
    })?;
    let expected_text = read(&case.event)?;
    let expected = document(&expected_text).map_err(|(line, what)| {
        Fault::new(&case.event, Some(line), format!("the expected event is not JSON: {what}"))
    })?;
    let found = document(text).map_err(|(line, what)| {
        Fault::new(template, None, format!("the rendered text, line {line}: {what}"))
    })?;
    let differences = diff::differences(&expected, &found);
    let Some(first) = differences.first() else { return Ok(()) };
    let line = Some(line_of(&expected_text, first.at));
    let what = match differences.len() {
        1 => "the event differs in 1 place".to_owned(),
        many => format!("the event differs in {many} places"),
    };
    Err(Fault { differences, ..Fault::new(&case.event, line, what) })
}

fn compare_error(case: &Case, outcome: &Outcome) -> Result<(), Fault> {
    let expected = read(&case.error)?;
    let Err(failed) = outcome else {
        return Err(Fault::new(&case.error, None, "a failure is expected; an event came"));
    };
    let read: Result<Value, _> = serde_json::from_str(&expected);
    let wanted = read.map_err(|fault| {
        let what = format!("the expected error is not JSON: {fault}");
        Fault::new(&case.error, Some(fault.line()), what)
    })?;
    if wanted.get("error_type").is_none() {
        let what = "the expected error has no `error_type`, as {\"error_type\": \"template\"}";
        return Err(Fault::new(&case.error, Some(1), what));
    }
    let mut differences = Vec::new();
    for (key, value) in wanted.as_object().into_iter().flatten() {
        let (found, holds) = match &**key {
            "note" => continue,
            "error_type" => (json!(failed.error_type), None),
            "line" => (json!(failed.line), None),
            "pointer" => (json!(failed.pointer), None),
            // An author quotes what matters of a message.
            "message" => {
                let part = value.as_str().unwrap_or_default();
                (json!(failed.message), Some(failed.message.contains(part)))
            }
            _ => {
                let what = format!(
                    "`{key}` is no key of an expected error; those are error_type, line, pointer, \
                     message (a part of it) and note"
                );
                return Err(Fault::new(&case.error, Some(1), what));
            }
        };
        if !holds.unwrap_or(found == *value) {
            differences.push(Difference {
                pointer: diff::step("", key),
                at: 0,
                expected: Some(value.to_string()),
                found: Some(found.to_string()),
                words: Vec::new(),
            });
        }
    }
    if differences.is_empty() {
        return Ok(());
    }
    let what = format!("it failed otherwise than expected: {}", failed.message);
    let failed = Some(Box::new(failed.clone()));
    Err(Fault { differences, failed, ..Fault::new(&case.error, Some(1), what) })
}

/// Writes what came as what is expected; the name of the file.
fn write(case: &Case, outcome: &Outcome) -> Result<String, (String, String)> {
    let (file, other, text) = match outcome {
        Ok(text) => (&case.event, &case.error, event_text(case, text)),
        Err(failed) => (&case.error, &case.event, Ok(error_text(case, failed))),
    };
    let name = file.display().to_string();
    let fault = |fault: std::io::Error| (name.clone(), format!("cannot be written: {fault}"));
    let text = text.map_err(|what| (name.clone(), what))?;
    fs::write(file, text).map_err(fault)?;
    if other.exists() {
        fs::remove_file(other).map_err(fault)?;
    }
    Ok(name)
}

fn event_text(case: &Case, text: &str) -> Result<String, String> {
    let found = document(text).map_err(|(_, what)| what)?;
    let before = fs::read_to_string(&case.event).ok();
    let before = before.and_then(|text| document(&text).ok());
    Ok(pretty::text(found.root(), before.as_ref().map(Document::root)))
}

fn error_text(case: &Case, failed: &Failed) -> String {
    let mut expected = serde_json::Map::new();
    let before: Value = fs::read_to_string(&case.error)
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    expected.insert("error_type".to_owned(), json!(failed.error_type));
    if let Some(line) = failed.line {
        expected.insert("line".to_owned(), json!(line));
    }
    if let Some(pointer) = &failed.pointer {
        expected.insert("pointer".to_owned(), json!(pointer));
    }
    if let Some(note) = before.get("note") {
        expected.insert("note".to_owned(), note.clone());
    }
    let members: Vec<String> =
        expected.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
    format!("{{{}}}\n", members.join(", "))
}

fn read(path: &Path) -> Result<String, Fault> {
    case::read_text(path, case::Holds::Event)
        .map_err(|fault| Fault::new(path, None, fault.to_string()))
}

fn document(text: &str) -> Result<Document, (usize, String)> {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    Document::parse(bytes, LIMITS).map_err(|fault| (line_of(text, fault.at), fault.to_string()))
}

/// The line of a byte, from 1.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    let before = &text.as_bytes()[..offset.min(text.len())];
    memchr::memchr_iter(b'\n', before).count() + 1
}

/// A path as a word of a shell.
pub(super) fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}
