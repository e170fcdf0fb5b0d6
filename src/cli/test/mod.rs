//! `hookgate test`: every case of every template, rendered as the gateway renders, and compared with what is expected.
//! In: folders. Out: a report, and an exit code. Needs no server; writes expected files only when told to.

mod coverage;
mod diff;
mod folder;
mod outcome;
mod report;
mod run;
mod stress;
mod verdict;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use regex_lite::Regex;

use super::case::Request;
use super::output::{Failure, print_styled, say};
use super::stage;
use coverage::Coverage;
use folder::TEMPLATE;
use report::Reporter;
use run::{Checked, Choice, Loaded, Run, try_all};
use stress::{Deadly, Death, Plan};
use verdict::{Fault, Verdict};

pub(super) use diff::{Difference, Word, differences, takes};

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
    /// Also make that many wrong requests of each case that an event is expected of
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    stress: Option<u32>,
    /// Make the same wrong requests again
    #[arg(long, value_name = "SEED", requires = "stress")]
    seed: Option<u64>,
    /// Write the smallest request of each death as a case
    #[arg(long, requires = "stress")]
    save: bool,
    /// What of a wrong request is a failure
    #[arg(long, value_enum, value_name = "WHAT", default_value = "broken", requires = "stress")]
    fail_on: Deadly,
    /// Show what of the templates no case reached; `=full`: that is a failure
    #[arg(long, value_enum, value_name = "HOW", num_args = 0..=1, require_equals = true,
          default_missing_value = "show")]
    coverage: Option<Coverage>,
    /// For whom the report is
    #[arg(long, value_enum, default_value = "human")]
    reporter: Reporter,
    /// Write `JUnit` XML there, beside the report
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Show templates `query`, `path`, `webhook.name` and `now`, as a server with `render.extensions`
    #[arg(long)]
    extensions: bool,
    /// That there is nothing to run is no failure
    #[arg(long)]
    allow_empty: bool,
}

pub(super) const EXAMPLE: &str = "\
A folder holds template.j2 and cases/: <case>.request.json, and beside it <case>.event.json, the
event as the template makes it, or <case>.error.json, {\"error_type\": \"template\", \"line\": 3}. In
an expected event \"[uuid]\", \"[timestamp]\" and \"[any]\" stand for values that change.

--coverage shows the branches and expressions that no case reached; a branch is a way through an
`if`, a `for` or a `… if … else …`.

--stress makes wrong requests of each case that has an event: keys missing or doubled, nulls, other
types, hostile texts, long and deep values. Where the failed event names the value that was wrong,
the template refused it; those are counted, each with an example. A failure is (--fail-on)
  broken    a text that is no JSON, because a value got out of its place; a budget used up; a panic
  invalid   also JSON that is no event, such as a label that is null
  refused   also a rendering that fails: `tojson` of a key that is not there
It is shown with the smallest request that does it; --save keeps that as a case. What an expected
error beside the template names is none, nor is a value over a bound of events. --seed repeats a run.

Exit codes: 0 all passed, 1 a case failed or there is nothing to run, 3 a template does not parse.

Examples:
  hookgate test templates
  hookgate test templates/github --filter push
  hookgate test templates/github --update
  hookgate test templates/github --coverage=full
  hookgate test templates/github --stress 200 --fail-on invalid
  hookgate test --reporter github --junit hookgate.xml";

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if (args.update || args.save)
        && std::env::var("CI").is_ok_and(|text| !["", "0", "false"].contains(&&*text))
    {
        let what = "--update and --save write files, and CI is set: nothing is written there; run it \
                    where you can look at what changed, or unset CI";
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
    let choice =
        Choice { accepts: args.update, stops_early: args.fail_fast, extensions: args.extensions };
    let (mut run, templates) = stage::perform(|| {
        let (mut run, templates) = try_all(&suites, choice);
        if let Some(coverage) = args.coverage {
            coverage::add(&mut run, &suites, &templates, coverage);
        }
        Ok((run, templates))
    })?;
    if let Some(count) = args.stress {
        let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
        let plan = Plan { count: count as usize, seed, deadly: args.fail_on };
        add_stress(&mut run, &suites, &templates, plan, args.save)?;
    }
    for file in run.written() {
        say(&format!("wrote {file}"));
    }
    if let Some(file) = &args.junit {
        fs::write(file, report::junit(&run) + "\n")
            .map_err(|fault| Failure::No(format!("{}: {fault}", file.display())))?;
    }
    print_styled(&report::text(args.reporter, &run))?;
    if run.suites.iter().any(|suite| suite.broken.is_some()) {
        return Err(Failure::NotLoaded("a template does not parse".to_owned()));
    }
    if run.tally().failed > 0 { Err(Failure::Told) } else { Ok(()) }
}

/// Stresses every suite; each death is a case that failed, and no death one that passed.
fn add_stress(
    run: &mut Run,
    suites: &[folder::Suite],
    templates: &[Option<Loaded>],
    plan: Plan,
    saves: bool,
) -> Result<(), Failure> {
    run.seed = Some(plan.seed);
    let started = Instant::now();
    let stressed = stress::run(suites, templates, plan)?;
    for ((suite, found), tried) in suites.iter().zip(stressed).zip(&mut run.suites) {
        if found.requests == 0 {
            continue;
        }
        let mut faults: Vec<Fault> = Vec::new();
        for death in &found.deaths {
            let mut fault = fault_of(death, suite);
            if saves {
                fault.accept = Some(save(death, suite, plan.seed)?.into());
            }
            faults.push(fault);
        }
        let name = |number: usize| match number {
            0 => "stress".to_owned(),
            more => format!("stress-{}", more + 1),
        };
        let took = started.elapsed();
        if faults.is_empty() {
            tried.cases.push(Checked { name: name(0), verdict: Verdict::Passed, took });
        }
        for (number, fault) in faults.into_iter().enumerate() {
            let verdict = Verdict::Failed(Box::new(fault));
            tried.cases.push(Checked { name: name(number), verdict, took });
        }
        tried.stressed = Some(found);
    }
    Ok(())
}

fn fault_of(death: &Death, suite: &folder::Suite) -> Fault {
    let Death { case, failed, wrong, request } = death;
    let line = failed.blamed_line();
    let what = format!("{case}, where {wrong}: {}: {}", failed.error_type, failed.message);
    let (failed, request) = (Some(Box::new(failed.clone())), Some(request.text().into()));
    Fault { failed, request, ..Fault::new(&suite.template, line, what) }
}

/// Keeps the request as a case; the command that tries it.
fn save(death: &Death, suite: &folder::Suite, seed: u64) -> Result<String, Failure> {
    let path = stress::free_name(suite, &death.case).ok_or_else(|| {
        Failure::No(format!("{}: there are a thousand such cases already", death.case))
    })?;
    let note = format!("Found by hookgate test --stress, seed {seed}: {}.", death.wrong);
    let request = Request { note: Some(note), ..death.request.clone() };
    fs::write(&path, request.text())
        .map_err(|fault| Failure::No(format!("{}: {fault}", path.display())))?;
    say(&format!("wrote {}", path.display()));
    Ok(format!("hookgate test {} --update", verdict::shell_word(&path)))
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
