//! Mending templates. In: a template, its findings, the cases beside it. Out: the template with every change that is
//! proven: by rendering each case before and after, with the same event or the same failure. Says what it did and why
//! not; writes nothing itself.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::super::case::{self, Request, context};
use super::super::output::{Failure, say};
use super::{Args, is_wanted};
use crate::json::{self, Document, Kind, Value};
use crate::render::{Code, Edit, Finding, Limits, Template, lint};

/// Most times that what was mended is looked through again: a fix may show what was behind it.
const ROUNDS_MAX: usize = 5;
/// Most cases of one template.
const CASES_MAX: usize = 1_000;
/// Bounds of a body, as the gateway's own.
const BODY: json::Limits = json::Limits { depth_max: 100, nodes_max: 100_000 };
/// Bounds of a rendered text that is compared.
const TEXT: json::Limits = json::Limits { depth_max: 200, nodes_max: 1_000_000 };

/// A request and what the template made of it before anything was mended.
struct Witness {
    name: String,
    request: Request,
    before: Option<String>,
}

/// What the witnesses say of a change.
enum Proof {
    /// This many gave the same.
    Same(usize),
    /// This one gives something else.
    Differs(String),
    /// There is none that gives an event.
    Nobody,
}

/// The template with what can be mended.
pub(super) fn mend(name: &str, path: &Path, source: &str, args: &Args) -> Result<String, Failure> {
    let witnesses = witnesses(path, source, args.limits())?;
    let mut source = source.to_owned();
    let mut kept: Vec<String> = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let Ok(findings) = lint(&source, args.limits()) else { return Ok(source) };
        kept.clear();
        let mut has_changed = false;
        // From the end, so that what is in front keeps its place.
        let mut end = source.len();
        for finding in findings.iter().rev() {
            let is_free = finding.fixes.iter().all(|fix| fix.end <= end);
            if finding.fixes.is_empty() || !is_free || !is_wanted(&finding.told, args) {
                continue;
            }
            let at = place(name, finding);
            match choose(&source, finding, &witnesses, args) {
                Ok((fix, mended, why)) => {
                    end = fix.start;
                    source = mended;
                    has_changed = true;
                    say(&format!("{at} mended ({why})"));
                }
                Err(why) => kept.push(format!("{at} left: {why}")),
            }
        }
        if !has_changed {
            break;
        }
    }
    kept.iter().rev().for_each(|line| say(line));
    Ok(source)
}

fn place(name: &str, finding: &Finding) -> String {
    let (line, column) = finding.told.place.map_or((1, 1), |place| (place.line, place.column));
    format!("{name}:{line}:{column}: {}", finding.told.code.name())
}

/// The first change that is proven, or, if nothing has to be, the one that is likely meant.
fn choose<'f>(
    source: &str,
    finding: &'f Finding,
    witnesses: &[Witness],
    args: &Args,
) -> Result<(&'f Edit, String, String), String> {
    let mut why = String::new();
    for fix in &finding.fixes {
        let mended = applied(source, fix);
        match prove(&mended, witnesses, args.limits()) {
            Proof::Same(cases) => {
                let noun = if cases == 1 { "case" } else { "cases" };
                return Ok((fix, mended, format!("same on {cases} {noun}")));
            }
            Proof::Nobody => {
                "no case beside the template gives an event to prove it on".clone_into(&mut why);
            }
            Proof::Differs(case) => why = format!("the case '{case}' would give something else"),
        }
    }
    match unproven(finding) {
        Some(fix) if args.unproven => {
            let mended = applied(source, fix);
            match Template::compile(&mended, args.limits()) {
                Ok(_) => Ok((fix, mended, "unproven".to_owned())),
                Err(fault) => Err(format!("the mended template does not parse: {fault}")),
            }
        }
        _ => Err(format!("{why}; --unproven writes it")),
    }
}

/// The change for want of a proof: the one that keeps the text as it is. `tojson` inside quotes is meant without them;
/// what keeps that text writes JSON into a string.
fn unproven(finding: &Finding) -> Option<&Edit> {
    match finding.told.code {
        Code::QuotedJson => finding.fixes.first(),
        _ => finding.fixes.last(),
    }
}

fn applied(source: &str, fix: &Edit) -> String {
    format!("{}{}{}", &source[..fix.start], fix.text, &source[fix.end..])
}

fn witnesses(template: &Path, source: &str, limits: Limits) -> Result<Vec<Witness>, Failure> {
    let folder = template.parent().unwrap_or(Path::new("")).join("cases");
    let Ok(entries) = fs::read_dir(&folder) else { return Ok(Vec::new()) };
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.to_string_lossy().ends_with(".request.json"));
    files.sort();
    files.truncate(CASES_MAX);
    let compiled = compiled(source, limits);
    let witness = |file: PathBuf| {
        let request = case::read(&file).map_err(|fault| Failure::NotLoaded(fault.to_string()))?;
        let before = compiled.as_ref().and_then(|template| rendered(template, &request));
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Witness { name: name.trim_end_matches(".request.json").to_owned(), request, before })
    };
    files.into_iter().map(witness).collect()
}

fn compiled(source: &str, limits: Limits) -> Option<Template> {
    Template::compile(source, limits).ok()
}

fn rendered(template: &Template, request: &Request) -> Option<String> {
    let body = request.body(BODY).ok()?;
    template.render(&context(request, &body)).ok()
}

fn prove(mended: &str, witnesses: &[Witness], limits: Limits) -> Proof {
    let Some(template) = compiled(mended, limits) else { return Proof::Differs("any".to_owned()) };
    let mut events = 0;
    for witness in witnesses {
        let after = rendered(&template, &witness.request);
        let same = match (&witness.before, &after) {
            (None, None) => true,
            (Some(before), Some(after)) => match (parsed(before), parsed(after)) {
                (Some(before), Some(after)) => {
                    events += 1;
                    is_same(before.root(), after.root())
                }
                _ => before == after,
            },
            _ => false,
        };
        if !same {
            return Proof::Differs(witness.name.clone());
        }
    }
    if events == 0 { Proof::Nobody } else { Proof::Same(witnesses.len()) }
}

fn parsed(text: &str) -> Option<Document> {
    Document::parse(Bytes::copy_from_slice(text.as_bytes()), TEXT).ok()
}

/// Whether two texts say the same: the same members in the same order, every digit of numbers.
fn is_same(a: Value<'_>, b: Value<'_>) -> bool {
    match (a.kind(), b.kind()) {
        (Kind::Object, Kind::Object) => {
            a.len() == b.len()
                && a.members().zip(b.members()).all(|(a, b)| a.0 == b.0 && is_same(a.1, b.1))
        }
        (Kind::Array, Kind::Array) => {
            a.len() == b.len() && a.items().zip(b.items()).all(|(a, b)| is_same(a, b))
        }
        _ => match (a.text(), b.text()) {
            (Some(a), Some(b)) => a == b,
            (None, None) => a.raw() == b.raw(),
            _ => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_say_the_same() {
        let same =
            |a: &str, b: &str| is_same(parsed(a).expect(a).root(), parsed(b).expect(b).root());
        assert!(same(r#"{"a": ["\u00e9", 1.0]}"#, "{\"a\":[\"é\",1.0]}"));
        for (a, b) in [
            ("[1]", "[1.0]"),
            ("[1]", "[\"1\"]"),
            ("{\"a\":1}", "{\"b\":1}"),
            ("{\"a\":1}", "{\"a\":1,\"a\":1}"),
            ("12345678901234567890123", "12345678901234567890124"),
            ("[]", "{}"),
            ("null", "false"),
        ] {
            assert!(!same(a, b), "{a} {b}");
        }
    }
}
