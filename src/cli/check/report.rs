//! Findings in the form that is asked for. In: files with their findings. Out: text on stdout: for people, for
//! programs, for code scanning (SARIF 2.1.0), for annotations of GitHub Actions. Decides nothing.

use std::fmt::Write as _;

use annotate_snippets::Renderer;
use clap::ValueEnum;
use serde_json::{Value, json};

use super::super::output::{Failure, print_line, print_styled, print_text};
use super::super::snippet::draw;
use super::Checked;
use crate::render::{Edit, Entry, Severity, codes};
use crate::serve::VERSION;

/// For whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// People
    Human,
    /// Programs: one JSON object
    Json,
    /// Code scanning: SARIF 2.1.0
    Sarif,
    /// GitHub Actions: annotations
    Github,
}

pub(super) fn show(form: Form, files: &[Checked]) -> Result<(), Failure> {
    match form {
        Form::Human => human(files),
        Form::Json => print_line(&json_text(files).to_string()),
        Form::Sarif => print_line(&sarif(files).to_string()),
        Form::Github => print_text(&github(files)),
    }
}

fn human(files: &[Checked]) -> Result<(), Failure> {
    let renderer = Renderer::styled();
    for file in files {
        for finding in &file.findings {
            let drawn = draw(&renderer, &file.name, &file.source, &finding.told);
            print_styled(&format!("{drawn}\n"))?;
        }
    }
    Ok(())
}

fn json_text(files: &[Checked]) -> Value {
    let mut findings = Vec::new();
    for file in files {
        for finding in &file.findings {
            let mut row = serde_json::to_value(&finding.told).unwrap_or_default();
            row["file"] = file.name.clone().into();
            let edit = |fix: &Edit| json!({"start": fix.start, "end": fix.end, "text": fix.text});
            row["fixes"] = finding.fixes.iter().map(edit).collect();
            findings.push(row);
        }
    }
    json!({ "files": files.len(), "findings": findings })
}

fn github(files: &[Checked]) -> String {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let mut out = String::new();
    for file in files {
        for told in file.findings.iter().map(|finding| &finding.told) {
            let _ = write!(out, "::{} file={}", told.severity.name(), property(&file.name));
            if let Some(place) = told.place {
                let (line, column) = (place.line, place.column);
                let _ = write!(out, ",line={line},col={column},endLine={}", place.end_line);
            }
            let code = told.code.name();
            let _ = writeln!(out, ",title={code}::{}", data(&told.sentence()));
        }
    }
    out
}

fn sarif(files: &[Checked]) -> Value {
    let rule = |entry: &Entry| {
        json!({
            "id": entry.name,
            "shortDescription": {"text": entry.title},
            "fullDescription": {"text": entry.explanation},
        })
    };
    let mut results = Vec::new();
    for file in files {
        let artifact = json!({"uri": file.name});
        for finding in &file.findings {
            let told = &finding.told;
            let level = match told.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            let mut place = json!({"artifactLocation": artifact});
            if let Some(at) = told.place {
                place["region"] = json!({
                    "startLine": at.line, "startColumn": at.column,
                    "endLine": at.end_line, "endColumn": at.end_column,
                });
            }
            let mut row = json!({
                "ruleId": told.code.name(), "level": level,
                "message": {"text": told.sentence()},
                "locations": [{"physicalLocation": place}],
            });
            if let Some(fix) = finding.fixes.first() {
                row["fixes"] = json!([sarif_fix(&artifact, &file.source, fix)]);
            }
            results.push(row);
        }
    }
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "hookgate", "version": VERSION,
                "rules": codes().map(rule).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn sarif_fix(artifact: &Value, source: &str, fix: &Edit) -> Value {
    let chars =
        |range: std::ops::Range<usize>| source.get(range).map_or(0, |part| part.chars().count());
    let region =
        json!({"charOffset": chars(0..fix.start), "charLength": chars(fix.start..fix.end)});
    json!({
        "description": {"text": format!("write {}", fix.text)},
        "artifactChanges": [{
            "artifactLocation": artifact,
            "replacements": [{"deletedRegion": region, "insertedContent": {"text": fix.text}}],
        }],
    })
}
