//! `hookgate fmt`: evenly spaced tags. In: template files and folders, or stdin. Out: the files rewritten, or what
//! would be. Never a change of what a template renders; a file that does not parse is named and left alone.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use super::output::{Failure, print_line, print_text, say};
use super::sources;
use crate::render::{self, Diagnostic, Limits};

pub(super) const EXAMPLE: &str = "\
Examples:
  hookgate fmt templates
  hookgate fmt --check templates/github/template.j2
  hookgate fmt - < template.j2";

/// What stands for standard input.
const STDIN: &str = "-";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files, folders with *.j2, *.jinja and *.jinja2 files, or `-` for stdin to stdout
    #[arg(value_name = "PATH", default_value = "templates")]
    paths: Vec<PathBuf>,
    /// Change nothing; name the files that would change, and exit 1 when there are any
    #[arg(long)]
    check: bool,
    /// Change nothing; show what would change, and exit 1 when anything would
    #[arg(long)]
    diff: bool,
}

/// What became of the files.
#[derive(Default)]
struct Tally {
    changed: usize,
    same: usize,
    /// Those that cannot be read, or do not parse.
    failed: usize,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if args.paths.iter().any(|path| path.as_os_str() == STDIN) {
        return pipe(args);
    }
    let limits = Limits::default();
    let mut tally = Tally::default();
    for path in sources::templates(&args.paths)? {
        let name = path.display().to_string();
        let read = sources::read(&path).map_err(|fault| fault.to_string());
        let tidied = read.and_then(|source| {
            let tidied = render::tidy(&source, &limits).map_err(|fault| place(&name, &fault))?;
            Ok((source, tidied))
        });
        match tidied {
            Err(what) => {
                say(&what);
                tally.failed += 1;
            }
            Ok((source, tidied)) if tidied == source => tally.same += 1,
            Ok((source, tidied)) => {
                tally.changed += 1;
                show(args, &name, &source, &tidied)?;
                if !args.check && !args.diff {
                    sources::replace(&path, &tidied)?;
                }
            }
        }
    }
    finish(args, &tally)
}

/// From stdin to stdout.
fn pipe(args: &Args) -> Result<(), Failure> {
    if args.paths.len() > 1 {
        return Err(Failure::No("`-` stands alone: stdin is one template".to_owned()));
    }
    let source = sources::read_text(io::stdin().lock(), "stdin")?;
    let tidied = render::tidy(&source, &Limits::default())
        .map_err(|fault| Failure::NotLoaded(place("stdin", &fault)))?;
    let changes = tidied != source;
    match (args.check, args.diff) {
        (false, false) => return print_text(&tidied),
        (_, true) if changes => print_text(&difference("stdin", &source, &tidied))?,
        _ => {}
    }
    if changes { Err(Failure::No("stdin would change".to_owned())) } else { Ok(()) }
}

fn show(args: &Args, name: &str, source: &str, tidied: &str) -> Result<(), Failure> {
    if args.diff { print_text(&difference(name, source, tidied)) } else { print_line(name) }
}

fn finish(args: &Args, tally: &Tally) -> Result<(), Failure> {
    let Tally { changed, same, failed } = tally;
    let is_dry = args.check || args.diff;
    let word = if is_dry { "would change" } else { "changed" };
    let mut line = format!("{changed} {word}, {same} tidy already");
    if *failed > 0 {
        let _ = write!(line, ", {failed} cannot be read and were left alone");
        return Err(Failure::NotLoaded(line));
    }
    if is_dry && *changed > 0 {
        return Err(Failure::No(line));
    }
    say(&line);
    Ok(())
}

/// `path:line:column: what`.
fn place(name: &str, fault: &Diagnostic) -> String {
    let mut at = name.to_owned();
    for number in [fault.line(), fault.column()].into_iter().flatten() {
        let _ = write!(at, ":{number}");
    }
    format!("{at}: {}", fault.sentence())
}

/// The lines that change, as a unified diff without context. Lines never come or go, so they face each other.
fn difference(name: &str, before: &str, after: &str) -> String {
    let mut out = format!("--- {name}\n+++ {name}\n");
    let (before, after): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    let differs = |place: usize| before.get(place) != after.get(place);
    let mut place = 0;
    while place < before.len() {
        let length = (place..before.len()).take_while(|place| differs(*place)).count();
        if length > 0 {
            let _ = writeln!(out, "@@ -{0},{length} +{0},{length} @@", place + 1);
            for (sign, lines) in [('-', &before), ('+', &after)] {
                for line in lines.iter().skip(place).take(length) {
                    let _ = writeln!(out, "{sign}{line}");
                }
            }
        }
        place += length + 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_has_the_lines_that_change() {
        let seen = difference("t", "a\nb\nc\nd\n", "a\nB\nC\nd\n");
        assert_eq!(seen, "--- t\n+++ t\n@@ -2,2 +2,2 @@\n-b\n-c\n+B\n+C\n");
    }
}
