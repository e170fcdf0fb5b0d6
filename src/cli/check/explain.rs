//! What a code means. In: a code, or `all`. Out: words and an example on stdout. The table is the renderer's own.

use std::fmt::Write as _;

use super::super::output::{Failure, print_text};
use crate::render::{Code, Entry, Limits, Severity, codes, lint};

/// Longest line of an explanation, in characters.
const WIDTH: usize = 80;

pub(super) fn run(code: &str) -> Result<(), Failure> {
    if code.eq_ignore_ascii_case("all") {
        let line = |entry: &Entry| format!("{}  {}\n", entry.name, entry.title);
        return print_text(&codes().map(line).collect::<String>());
    }
    if let Some(code) = Code::find(code) {
        return print_text(&text(code.entry()));
    }
    let near = codes().map(|entry| (strsim::osa_distance(code, entry.name), entry.name));
    let near = near.min().map(|(_, name)| name).unwrap_or_default();
    let what = format!("there is no code '{code}'; did you mean {near}?");
    Err(Failure::NotFound(format!("{what} `hookgate check --explain` lists all")))
}

fn text(entry: &Entry) -> String {
    let mut out = format!("{}: {}\n\n", entry.name, entry.title);
    wrap(&mut out, entry.explanation);
    let Some(example) = entry.example else { return out };
    for (word, part) in [("Instead of", example.bad), ("write", example.good)] {
        let _ = write!(out, "\n{word}\n\n    {}\n", part.replace('\n', "\n    "));
    }
    let bad = lint(&example.part.within(example.bad), Limits::default()).unwrap_or_default();
    if let Some(finding) = bad.first() {
        let mends = if finding.fixes.is_empty() {
            "no fix is offered: only you know what is meant"
        } else {
            "`hookgate check --fix` writes the change where it can prove that the events stay"
        };
        let severity = match finding.told.severity {
            Severity::Error => "an error",
            Severity::Warning => "a warning",
        };
        out.push('\n');
        wrap(&mut out, &format!("It is {severity}; {mends}."));
    }
    out
}

fn wrap(out: &mut String, text: &str) {
    let mut length = 0;
    for word in text.split_whitespace() {
        let chars = word.chars().count();
        if length > 0 && length + 1 + chars > WIDTH {
            out.push('\n');
            length = 0;
        }
        if length > 0 {
            out.push(' ');
            length += 1;
        }
        out.push_str(word);
        length += chars;
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_explained() {
        for entry in codes() {
            let told = text(entry);
            assert!(told.starts_with(entry.name), "{told}");
            assert_eq!(told.contains("Instead of"), entry.example.is_some(), "{told}");
        }
    }
}
