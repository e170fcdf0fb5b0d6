//! `hookgate test`: every case of every template, rendered as the gateway renders, and compared with what is expected.
//! In: folders. Out: a report, and an exit code. Needs no server; writes expected files only when told to.

mod diff;
mod folder;
mod outcome;
mod pretty;
mod report;
mod verdict;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use regex_lite::Regex;

use super::case::{self, Request};
use super::output::{Failure, print_line, say};
use crate::render::{Limits, Template};
use folder::{Case, TEMPLATE};
use outcome::{Failed, outcome};
use report::Reporter;
use verdict::{Fault, Verdict, judge};

/// What a template may need of a stack, as on the gateway's own threads.
const STACK_BYTES: usize = 16 << 20;
/// Where templates are, when nothing is said.
const FOLDER: &str = "templates";

#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct Args {
    /// Folders with templates, templates, or single cases; `templates`, or else this folder
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Write what came as what is expected; placeholders that hold stay
    #[arg(long)]
    update: bool,
    /// Only cases whose `folder/case` matches
    #[arg(long, value_name = "REGEX", value_parser = Regex::new)]
    filter: Option<Regex>,
    /// Stop at the first failure
    #[arg(long)]
    fail_fast: bool,
    /// For whom the report is
    #[arg(long, value_enum, default_value = "human")]
    reporter: Reporter,
    /// Write `JUnit` XML there, beside the report
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// That there is nothing to run is no failure
    #[arg(long)]
    allow_empty: bool,
}

pub(super) const EXAMPLE: &str = "\
A folder holds template.j2 and cases/: <case>.request.json, and beside it <case>.event.json, the
event as the template makes it, or <case>.error.json, {\"error_type\": \"template\", \"line\": 3}. In
an expected event \"[uuid]\", \"[timestamp]\" and \"[any]\" stand for values that change.

Exit codes: 0 all passed, 1 a case failed or there is nothing to run, 3 a template does not parse.

Examples:
  hookgate test templates
  hookgate test templates/github --filter push
  hookgate test templates/github --update
  hookgate test --reporter github --junit target/hookgate.xml";

/// A whole run.
#[derive(Debug)]
struct Run {
    suites: Vec<Suite>,
}

/// A template, its cases tried.
#[derive(Debug)]
struct Suite {
    name: String,
    /// Why the template does not load; counts as one failure.
    broken: Option<Fault>,
    cases: Vec<Checked>,
}

/// A case, tried.
#[derive(Debug)]
struct Checked {
    name: String,
    verdict: Verdict,
    took: Duration,
}

/// How many.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, skipped } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

impl Suite {
    fn tally(&self) -> Tally {
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
    fn tally(&self) -> Tally {
        self.suites.iter().map(Suite::tally).fold(Tally::default(), |all, one| Tally {
            passed: all.passed + one.passed,
            failed: all.failed + one.failed,
            skipped: all.skipped + one.skipped,
        })
    }

    /// The files that were written.
    fn written(&self) -> impl Iterator<Item = &str> {
        let cases = self.suites.iter().flat_map(|suite| &suite.cases);
        cases.filter_map(|case| match &case.verdict {
            Verdict::Accepted(file) => Some(&**file),
            _ => None,
        })
    }
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if args.update && std::env::var("CI").is_ok_and(|text| !["", "0", "false"].contains(&&*text)) {
        let what = "--update writes files, and CI is set: nothing is written there; run it where \
                    you can look at what changed, or unset CI";
        return Err(Failure::No(what.to_owned()));
    }
    let paths = if args.paths.is_empty() { vec![standard_folder()] } else { args.paths.clone() };
    let mut suites = folder::find(&paths)?;
    if let Some(filter) = &args.filter {
        for suite in &mut suites {
            suite.cases.retain(|case| filter.is_match(&format!("{}/{}", suite.name, case.name)));
        }
        suites.retain(|suite| !suite.cases.is_empty());
    }
    if !args.allow_empty && suites.iter().all(|suite| suite.cases.is_empty()) {
        return Err(Failure::No(nothing(args, &paths)));
    }
    let run = thread::scope(|scope| {
        let work = || try_all(&suites, args);
        let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work);
        thread.map(thread::ScopedJoinHandle::join)
    });
    let run = run.map_err(|fault| Failure::No(format!("no thread to render on: {fault}")))?;
    let run = run.map_err(|_| Failure::No("the run itself failed".to_owned()))?;
    for file in run.written() {
        say(&format!("wrote {file}"));
    }
    if let Some(file) = &args.junit {
        fs::write(file, report::junit(&run) + "\n")
            .map_err(|fault| Failure::No(format!("{}: {fault}", file.display())))?;
    }
    print_line(&report::text(args.reporter, &run))?;
    if run.suites.iter().any(|suite| suite.broken.is_some()) {
        return Err(Failure::NotLoaded("a template does not parse".to_owned()));
    }
    if run.tally().failed > 0 { Err(Failure::Told) } else { Ok(()) }
}

fn standard_folder() -> PathBuf {
    let own = Path::new(FOLDER);
    if own.is_dir() { own.to_owned() } else { PathBuf::from(".") }
}

fn nothing(args: &Args, paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    let paths = paths.join(", ");
    match &args.filter {
        Some(filter) => format!("nothing to run: no case in {paths} matches `{filter}`"),
        None => format!(
            "nothing to run: no {TEMPLATE} with cases/<case>.request.json beside it in {paths}; \
             --allow-empty makes that no failure"
        ),
    }
}

/// Tries every suite; after a failure of a run that stops there, the rest is skipped.
fn try_all(suites: &[folder::Suite], args: &Args) -> Run {
    let mut run = Run { suites: Vec::new() };
    let mut goes_on = true;
    for suite in suites {
        let tried = try_suite(suite, args, &mut goes_on);
        run.suites.push(tried);
    }
    run
}

fn try_suite(suite: &folder::Suite, args: &Args, goes_on: &mut bool) -> Suite {
    let mut tried = Suite { name: suite.name.clone(), broken: None, cases: Vec::new() };
    let template = match load(&suite.template) {
        Ok(template) => template,
        Err(fault) => {
            *goes_on &= !args.fail_fast;
            tried.broken = Some(fault);
            Err(None)
        }
    };
    if let Err(Some(failed)) = &template {
        // That it does not parse may be what is expected.
        if suite.cases.iter().any(|case| !case.there.error) {
            tried.broken = Some(does_not_parse(&suite.template, failed));
            *goes_on &= !args.fail_fast;
        }
    }
    for case in &suite.cases {
        let started = Instant::now();
        let verdict = match &template {
            _ if !*goes_on => Verdict::Skipped,
            Ok(template) => try_case(case, &suite.template, template, args.update),
            Err(Some(failed)) if case.there.error => {
                judge(case, &suite.template, &Err(failed.clone()), args.update)
            }
            Err(_) => Verdict::Skipped,
        };
        *goes_on &= !(args.fail_fast && matches!(verdict, Verdict::Failed(_)));
        let (name, took) = (case.name.clone(), started.elapsed());
        tried.cases.push(Checked { name, verdict, took });
    }
    tried
}

/// The template; or why it does not parse, when it can be read.
fn load(path: &Path) -> Result<Result<Template, Option<Failed>>, Fault> {
    let source =
        case::read_text(path).map_err(|fault| Fault::new(path, None, fault.to_string()))?;
    let compiled = Template::compile(&source, Limits::default());
    Ok(compiled.map_err(|fault| Some(Failed::of_template(fault))))
}

fn does_not_parse(path: &Path, failed: &Failed) -> Fault {
    let line = failed.line.map(|line| line as usize);
    let what = format!("the template does not parse: {}", failed.message);
    Fault { failed: Some(Box::new(failed.clone())), ..Fault::new(path, line, what) }
}

fn try_case(case: &Case, path: &Path, template: &Template, accepts: bool) -> Verdict {
    if !case.there.request {
        let what = "there is no request for it";
        return Verdict::Failed(Box::new(Fault::new(&case.request, None, what)));
    }
    match Request::read(&case.request) {
        Ok(request) => judge(case, path, &outcome(template, &request), accepts),
        Err(fault) => {
            Verdict::Failed(Box::new(Fault::new(&case.request, fault.line(), fault.to_string())))
        }
    }
}
