//! `hookgate render`: templates to text, without a server. In: files. Out: what becomes of them. Never opens a socket,
//! never changes a file.

mod cases;

use std::path::PathBuf;

use super::Form;
use super::output::Failure;

pub(super) const EXAMPLE: &str = "\
A case file has one JSON object a line: `id`, `template`, `context`, and the exact text as `expected`, or `error`
when it must fail, whatever the words; `feature` groups cases in the table. With -o json each case is answered by
a line of JSON, at once, so that a program can ask case by case through a pipe (`--cases -`).

Exits 1 when a case fails, 3 when the file is none.

Example:
  hookgate render --cases tests/data/jinja/prefect.jsonl";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Render each case of a file and compare, `-` for standard input
    #[arg(long, value_name = "FILE.jsonl", required = true)]
    cases: PathBuf,
    /// Count the cases of each feature
    #[arg(long, requires = "cases")]
    by_feature: bool,
    #[command(flatten)]
    form: Form,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    cases::run(&args.cases, args.by_feature, args.form)
}
