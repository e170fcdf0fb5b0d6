//! `hookgate check`: what in templates will break, or reads other than it was meant. In: template files and folders,
//! configuration files. Out: findings in the form asked for, and an exit code. Rewrites a template only under `--fix`.

mod explain;
mod fix;
mod report;

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use super::output::{Failure, say};
use super::sources;
use super::stage;
use crate::config;
use crate::render::{self, Diagnostic, Finding, Limits, Severity, lint};
use report::Form;

/// What stands for standard input.
const STDIN: &str = "-";

pub(super) const EXAMPLE: &str = "\
A finding that is wanted is kept by a comment in its line or the line above:
  {# hookgate: allow J302 #}

--fix writes a change only where every case beside the template (cases/*.request.json) gives the
same event before and after, by rendering both; --unproven also writes the others.

Exit codes: 0 nothing or warnings only, 1 errors (with --deny-warnings: anything), 3 a file that
does not load or parse, 5 a path that is not there, or a folder without templates.

Examples:
  hookgate check templates
  hookgate check templates/github --fix
  hookgate check --deny-warnings --ignore W7 --format github templates
  hookgate check --explain J302";

#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct Args {
    /// Folders with *.j2, *.jinja and *.jinja2 files, templates, *.toml configuration files, or `-`
    #[arg(value_name = "PATH", default_value = "templates")]
    paths: Vec<PathBuf>,
    /// Only findings whose code begins so; may be a list: J,E4
    #[arg(long, value_name = "CODE", value_delimiter = ',', value_parser = code_prefix)]
    select: Vec<String>,
    /// No findings whose code begins so; may be a list
    #[arg(long, value_name = "CODE", value_delimiter = ',', value_parser = code_prefix)]
    ignore: Vec<String>,
    /// Exit 1 on warnings, too
    #[arg(long)]
    deny_warnings: bool,
    /// Say what a code means, with an example; without a code, list all
    #[arg(long, value_name = "CODE", num_args = 0..=1, default_missing_value = "all")]
    explain: Option<String>,
    /// For whom the findings are
    #[arg(long, value_enum, default_value = "human")]
    format: Form,
    /// Templates may use `query`, `path`, `webhook.name` and `now`, as on a server with
    /// `render.extensions`
    #[arg(long)]
    extensions: bool,
    /// Mend what can be proven to keep the events of the cases
    #[arg(long)]
    fix: bool,
    /// Mend also what cannot be proven
    #[arg(long, requires = "fix")]
    unproven: bool,
}

impl Args {
    fn limits(&self) -> Limits {
        stage::limits(self.extensions)
    }
}

/// A file and what was found in it.
struct Checked {
    name: String,
    source: String,
    findings: Vec<Finding>,
    /// It does not load or parse; that is its one finding.
    is_broken: bool,
}

/// How many.
#[derive(Clone, Copy, Default)]
struct Tally {
    errors: usize,
    warnings: usize,
    fixable: usize,
    broken: usize,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if let Some(code) = &args.explain {
        return explain::run(code);
    }
    let checked = stage::perform(|| check(args))?;
    let tally = tally(&checked);
    report::show(args.format, &checked)?;
    say(&summary(&tally, checked.len(), args.fix));
    if tally.broken > 0 {
        return Err(Failure::NotLoaded("not every file could be checked".to_owned()));
    }
    let fails = tally.errors > 0 || (args.deny_warnings && tally.warnings > 0);
    if fails { Err(Failure::Told) } else { Ok(()) }
}

fn check(args: &Args) -> Result<Vec<Checked>, Failure> {
    let is_config = |path: &&PathBuf| path.extension().is_some_and(|ending| ending == "toml");
    let (configs, paths): (Vec<&PathBuf>, Vec<&PathBuf>) = args.paths.iter().partition(is_config);
    let mut checked: Vec<Checked> = configs.into_iter().map(|path| of_config(path)).collect();
    let (stdin, paths): (Vec<&PathBuf>, Vec<&PathBuf>) =
        paths.into_iter().partition(|path| path.as_os_str() == STDIN);
    if !stdin.is_empty() {
        if args.fix {
            return Err(Failure::No("--fix writes files, and `-` is none".to_owned()));
        }
        let source = sources::read_text(io::stdin().lock(), "stdin")?;
        checked.push(of_source("stdin".to_owned(), source, args));
    }
    let paths: Vec<PathBuf> = paths.into_iter().cloned().collect();
    for path in sources::templates(&paths)? {
        let name = path.display().to_string();
        let source = match sources::read(&path) {
            Ok(source) => source,
            Err(fault) => {
                checked.push(broken(name, fault.to_string()));
                continue;
            }
        };
        let source = if args.fix { mended(&path, &name, &source, args)? } else { source };
        checked.push(of_source(name, source, args));
    }
    Ok(checked)
}

fn mended(path: &Path, name: &str, source: &str, args: &Args) -> Result<String, Failure> {
    let mended = fix::mend(name, path, source, args)?;
    if mended != source {
        sources::replace(path, &mended)?;
    }
    Ok(mended)
}

/// Findings that are asked for.
fn is_wanted(told: &Diagnostic, args: &Args) -> bool {
    let begins = |codes: &[String]| codes.iter().any(|code| told.code.name().starts_with(&**code));
    (args.select.is_empty() || begins(&args.select)) && !begins(&args.ignore)
}

fn of_source(name: String, source: String, args: &Args) -> Checked {
    match lint(&source, args.limits()) {
        Ok(mut findings) => {
            findings.retain(|finding| is_wanted(&finding.told, args));
            Checked { name, source, findings, is_broken: false }
        }
        Err(told) => {
            let findings = vec![Finding { told, fixes: Vec::new() }];
            Checked { name, source, findings, is_broken: true }
        }
    }
}

/// A configuration file: whether it loads.
fn of_config(path: &Path) -> Checked {
    let name = path.display().to_string();
    match config::load(Some(path), std::iter::empty(), Vec::new()) {
        Ok(loaded) => {
            for warning in loaded.warnings {
                say(&format!("{name}: warning: {warning}"));
            }
            Checked { name, source: String::new(), findings: Vec::new(), is_broken: false }
        }
        Err(fault) => broken(name, fault.to_string()),
    }
}

fn broken(name: String, what: String) -> Checked {
    let told = Diagnostic::error(render::Code::Unreadable, what);
    let findings = vec![Finding { told, fixes: Vec::new() }];
    Checked { name, source: String::new(), findings, is_broken: true }
}

fn tally(checked: &[Checked]) -> Tally {
    let mut tally = Tally::default();
    for file in checked {
        tally.broken += usize::from(file.is_broken);
        for finding in &file.findings {
            match finding.told.severity {
                Severity::Error => tally.errors += 1,
                Severity::Warning => tally.warnings += 1,
            }
            tally.fixable += usize::from(!finding.fixes.is_empty());
        }
    }
    tally
}

fn summary(tally: &Tally, files: usize, fixed: bool) -> String {
    let number = |count: usize, noun: &str| match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    };
    let Tally { errors, warnings, fixable, .. } = *tally;
    if errors + warnings == 0 {
        return format!("{} checked, nothing found", number(files, "file"));
    }
    let mut line = format!(
        "{} checked, {}, {}",
        number(files, "file"),
        number(errors, "error"),
        number(warnings, "warning")
    );
    if fixable > 0 && !fixed {
        let _ = write!(line, "; {fixable} can be mended, --fix tries");
    }
    line
}

/// The beginning of a code.
fn code_prefix(text: &str) -> Result<String, String> {
    let upper = text.trim().to_ascii_uppercase();
    if !upper.is_empty() && render::codes().any(|entry| entry.name.starts_with(&*upper)) {
        return Ok(upper);
    }
    Err("no code begins so; `hookgate check --explain` lists them".to_owned())
}
