//! Lints: what is no error, and will be one for some request, or reads other than it was meant. In: a source. Out:
//! findings in the order of the source, each with its code, the way out, and often an edit that mends it. Never a
//! rendering, and never a finding that cannot be told from the template alone.
//!
//! One walk ([`walk`]) goes through the tree, and keeps with it the place in the event's JSON ([`skeleton`]) and what
//! expressions write (`prints`, `scope`). The rules stand by family: `safety` (J3), `shape` (E4), `names` (J1, J2, W6),
//! `secrets` (W5, W7). `rules` is their part of the table of codes.

mod headers;
mod names;
mod prints;
pub(super) mod rules;
mod safety;
mod scope;
mod secrets;
mod shape;
mod silence;
mod skeleton;
mod tree;
mod walk;

use minijinja::machinery::ast::Stmt;

use super::code::Code;
use super::diagnostic::{Diagnostic, Lines, Severity};
use super::syntax::lexer::tokens;
use super::{Limits, Template, syntax};
use scope::Scope;
pub(super) use scope::{EXTENSIONS, REQUEST};
use walk::{Found, Walk};

/// Most findings of one template.
const FINDINGS_MAX: usize = 200;

/// Something that a rule found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub told: Diagnostic,
    /// Ways to mend it, the best first. The last one keeps the rendered text as it is where that can be.
    pub fixes: Vec<Edit>,
}

/// A part of the source, in bytes as it was given, and what to put in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    pub start: usize,
    pub end: usize,
    pub text: String,
}

/// Looks a template through.
///
/// # Errors
/// When it does not compile.
pub fn lint(source: &str, limits: Limits) -> Result<Vec<Finding>, Diagnostic> {
    Template::compile(source, limits)?;
    let (text, lines) = Lines::read(source);
    let found = if source.contains("{{") || source.contains("{%") {
        tagged(&text, limits.extensions).map_err(|fault| fault.in_source(&text, &lines))?
    } else {
        verbatim(&text)
    };
    let mut findings: Vec<Finding> =
        found.into_iter().map(|found| finding(found, &text, &lines)).collect();
    findings
        .sort_by_key(|finding| finding.told.place.map(|place| (place.start, finding.told.code)));
    findings.dedup();
    Ok(findings)
}

fn tagged(text: &str, extensions: bool) -> Result<Vec<Found>, super::error::Fault> {
    let parsed = syntax::parse(text)?;
    let tokens = tokens(text)?;
    let Stmt::Template(template) = &parsed.stmt else { return Ok(Vec::new()) };
    let scope = Scope::of(&template.children);
    let mut walk = Walk::new(text, &tokens, &scope);
    walk.extensions = extensions;
    walk.template(&template.children);
    walk.check_names(&scope);
    walk.check_keys();
    let mut allowances = silence::allowances(text, &tokens);
    let mut found = walk.found;
    found.retain(|found| {
        let line = text[..found.range.start].matches('\n').count();
        let allowed = allowances.iter_mut().find(|one| one.allows(found.code.name(), line));
        allowed.map(|one| one.used = true).is_none()
    });
    for unused in allowances.iter().filter(|one| !one.used) {
        found.push(Found {
            code: Code::IdleAllow,
            severity: Severity::Warning,
            range: unused.start..unused.end,
            message: "this comment allows nothing that is found in its lines".to_owned(),
            help: Some("leave it out".to_owned()),
            fixes: Vec::new(),
        });
    }
    Ok(found)
}

/// The names that an expression in `{{ }}` reads and nothing gives, with where each begins first; of one that is none,
/// nothing.
pub(super) fn strangers<'a>(text: &'a str, given: &[&str]) -> Vec<(&'a str, usize)> {
    let Ok(parsed) = syntax::parse_condition(text, "") else { return Vec::new() };
    let Stmt::Template(template) = &parsed.stmt else { return Vec::new() };
    Scope::of(&template.children).strangers(given)
}

/// What a template reads.
pub(super) struct Reads<'a> {
    names: Vec<&'a str>,
    /// Those that nothing gives, with where each begins first.
    pub(super) strangers: Vec<(&'a str, usize)>,
}

impl Reads<'_> {
    pub(super) fn reads(&self, name: &str) -> bool {
        self.names.contains(&name)
    }
}

/// The names that a template reads; of what is none, or has no tags, nothing.
pub(super) fn names(text: &str) -> Option<Reads<'_>> {
    if !(text.contains("{{") || text.contains("{%")) {
        return None;
    }
    let parsed = syntax::parse(text).ok()?;
    let Stmt::Template(template) = &parsed.stmt else { return None };
    let scope = Scope::of(&template.children);
    let given: Vec<&str> = REQUEST.into_iter().chain(EXTENSIONS).collect();
    let names = given.iter().copied().filter(|name| scope.is_read(name)).collect();
    let mut strangers = scope.strangers(&given);
    strangers.retain(|(name, _)| !scope.is_set(name));
    Some(Reads { names, strangers })
}

/// A source without tags is written as it is.
fn verbatim(text: &str) -> Vec<Found> {
    if let Some(start) = text.find("{#") {
        let end = text[start..].find("#}").map_or(text.len(), |length| start + length + 2);
        let message = "this comment is written into the event: a template without tags is taken \
                       as it is, comments and all";
        return vec![Found {
            code: Code::WrittenComment,
            severity: Severity::Error,
            range: start..end,
            message: message.to_owned(),
            help: Some("leave the comment out".to_owned()),
            fixes: vec![Edit { start, end, text: String::new() }],
        }];
    }
    let scope = Scope::default();
    let mut walk = Walk::new(text, &[], &scope);
    walk.text(text, 0);
    walk.check_end();
    walk.check_keys();
    walk.found
}

/// With places as an author counts them.
fn finding(found: Found, text: &str, lines: &Lines) -> Finding {
    let place = lines.place(text, found.range.start, found.range.end);
    let given = |edit: Edit| {
        let place = lines.place(text, edit.start, edit.end);
        Edit { start: place.start, end: place.end, text: edit.text }
    };
    let told = Diagnostic {
        code: found.code,
        severity: found.severity,
        message: found.message,
        help: found.help,
        place: Some(place),
    };
    Finding { told, fixes: found.fixes.into_iter().map(given).collect() }
}

#[cfg(test)]
mod tests;
