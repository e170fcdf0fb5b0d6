//! A run over all cases. In: suites as they lie on the disk. Out: a verdict for each case, in the order of their names.
//! Needs a thread with a stack of 16 MiB.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::super::case;
use super::super::stage;
use super::coverage::Covered;
use super::folder::{self, Case};
use super::outcome::{Failed, explained};
use super::stress::Stressed;
use super::verdict::{Fault, Verdict, judge};
use crate::render::Template;

/// A whole run.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) suites: Vec<Suite>,
    /// Of the wrong requests, when there were any.
    pub(super) seed: Option<u64>,
}

/// A template, its cases tried.
#[derive(Debug)]
pub(super) struct Suite {
    pub(super) name: String,
    /// Why the template does not load; counts as one failure.
    pub(super) broken: Option<Fault>,
    pub(super) cases: Vec<Checked>,
    /// The template's file, and what is in it.
    pub(super) file: String,
    pub(super) source: String,
    /// What became of wrong requests, when there were any.
    pub(super) stressed: Option<Stressed>,
    /// Where its cases led, when that was asked.
    pub(super) covered: Option<Covered>,
}

/// A case, tried.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) name: String,
    pub(super) verdict: Verdict,
    pub(super) took: Duration,
}

/// How many.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) skipped: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, skipped } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

impl Suite {
    fn new(suite: &folder::Suite, source: &str) -> Self {
        Self {
            name: suite.name.clone(),
            broken: None,
            cases: Vec::new(),
            file: suite.template.display().to_string(),
            source: source.to_owned(),
            stressed: None,
            covered: None,
        }
    }

    pub(super) fn tally(&self) -> Tally {
        let mut tally = Tally { failed: usize::from(self.broken.is_some()), ..Tally::default() };
        for case in &self.cases {
            match case.verdict {
                Verdict::Passed | Verdict::Accepted(_) => tally.passed += 1,
                Verdict::Failed(_) => tally.failed += 1,
                Verdict::Skipped => tally.skipped += 1,
            }
        }
        tally
    }
}

impl Run {
    pub(super) fn tally(&self) -> Tally {
        self.suites.iter().map(Suite::tally).fold(Tally::default(), |all, one| Tally {
            passed: all.passed + one.passed,
            failed: all.failed + one.failed,
            skipped: all.skipped + one.skipped,
        })
    }

    /// The files that were written.
    pub(super) fn written(&self) -> impl Iterator<Item = &str> {
        let cases = self.suites.iter().flat_map(|suite| &suite.cases);
        cases.filter_map(|case| match &case.verdict {
            Verdict::Accepted(file) => Some(&**file),
            _ => None,
        })
    }
}

/// A template, read.
pub(super) struct Loaded {
    pub(super) source: String,
    pub(super) template: Result<Template, Failed>,
}

impl Loaded {
    fn read(path: &Path, extensions: bool) -> Result<Self, Fault> {
        let source = case::read_text(path, case::Holds::Template)
            .map_err(|fault| Fault::new(path, None, fault.to_string()))?;
        let template = Template::compile(&source, stage::limits(extensions));
        let template = template.map_err(|told| Failed::of_template(&told));
        Ok(Self { source, template })
    }
}

/// What of a run can be chosen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    /// What comes is what is expected.
    pub(super) accepts: bool,
    /// The first failure ends it.
    pub(super) stops_early: bool,
    /// Templates see what Prefect Cloud does not have.
    pub(super) extensions: bool,
}

/// Tries every suite; after a failure of a run that stops there, the rest is skipped. The templates beside it, where
/// they can be read.
pub(super) fn try_all(suites: &[folder::Suite], choice: Choice) -> (Run, Vec<Option<Loaded>>) {
    let mut run = Run { suites: Vec::new(), seed: None };
    let mut templates = Vec::new();
    let mut goes_on = true;
    for suite in suites {
        let (tried, loaded) = match Loaded::read(&suite.template, choice.extensions) {
            Ok(loaded) => (try_suite(suite, &loaded, choice, &mut goes_on), Some(loaded)),
            Err(fault) => {
                goes_on &= !choice.stops_early;
                let cases = suite.cases.iter().map(|case| skipped(&case.name)).collect();
                (Suite { broken: Some(fault), cases, ..Suite::new(suite, "") }, None)
            }
        };
        run.suites.push(tried);
        templates.push(loaded);
    }
    (run, templates)
}

fn skipped(name: &str) -> Checked {
    Checked { name: name.to_owned(), verdict: Verdict::Skipped, took: Duration::ZERO }
}

fn try_suite(suite: &folder::Suite, loaded: &Loaded, choice: Choice, goes_on: &mut bool) -> Suite {
    let mut tried = Suite::new(suite, &loaded.source);
    if let Err(failed) = &loaded.template {
        // That it does not parse may be what is expected.
        if suite.cases.iter().any(|case| !case.there.error) {
            tried.broken = Some(does_not_parse(&suite.template, failed));
            *goes_on &= !choice.stops_early;
        }
    }
    for case in &suite.cases {
        let started = Instant::now();
        let verdict = match &loaded.template {
            _ if !*goes_on => Verdict::Skipped,
            Ok(template) => try_case(case, &suite.template, template, choice.accepts),
            Err(failed) if case.there.error => {
                judge(case, &suite.template, &Err(failed.clone()), choice.accepts)
            }
            Err(_) => Verdict::Skipped,
        };
        *goes_on &= !(choice.stops_early && matches!(verdict, Verdict::Failed(_)));
        let (name, took) = (case.name.clone(), started.elapsed());
        tried.cases.push(Checked { name, verdict, took });
    }
    tried
}

fn does_not_parse(path: &Path, failed: &Failed) -> Fault {
    let what = format!("the template does not parse: {}", failed.message);
    Fault { failed: Some(Box::new(failed.clone())), ..Fault::new(path, failed.blamed_line(), what) }
}

fn try_case(case: &Case, path: &Path, template: &Template, accepts: bool) -> Verdict {
    if !case.there.request {
        let what = "there is no request for it";
        return Verdict::Failed(Box::new(Fault::new(&case.request, None, what)));
    }
    match case::read(&case.request) {
        Ok(request) => judge(case, path, &explained(template, &request), accepts),
        Err(fault) => {
            Verdict::Failed(Box::new(Fault::new(&case.request, fault.line(), fault.to_string())))
        }
    }
}
