//! `hookgate render`: templates to text, without a server. In: files. Out: what becomes of them. Never opens a socket,
//! never changes a file.

mod cases;
mod given;
mod once;

use std::path::PathBuf;

use super::Form;
use super::output::Failure;

pub(super) const EXAMPLE: &str = "\
The event goes to stdout, what is to be said of template and event to stderr. Exits 0 when there is an event, 1 when
rendering fails or its text is no event, 3 when the template does not parse. --text prints the rendered text and
nothing else, event or not.

A request file is JSON: {\"method\": \"POST\", \"headers\": {}, \"body_json\": {}}; `body` is text, `body_base64` bytes.

A case file has one JSON object a line: `id`, `template`, `context`, and the exact text as `expected`, or `error`
when it must fail, whatever the words; `feature` groups cases in the table. With -o json each case is answered by
a line of JSON, at once, so that a program can ask case by case through a pipe (`--cases -`); the last line counts
the cases, and of those that say what they expect, how many passed.

Examples:
  hookgate render templates/github/template.j2 --request templates/github/cases/push.request.json
  hookgate render template.j2 --body order.json -H X-Shop:berlin --trace
  hookgate render template.j2 --body order.json --watch
  hookgate render --cases tests/data/jinja/prefect.jsonl";

#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct Args {
    /// The template, `-` for standard input
    #[arg(value_name = "TEMPLATE", required_unless_present = "cases")]
    template: Option<PathBuf>,
    #[command(flatten)]
    given: given::Given,
    /// Print the rendered text, whether or not it is an event
    #[arg(long, conflicts_with = "cases")]
    text: bool,
    /// Show each expression with its value
    #[arg(long, conflicts_with = "cases")]
    trace: bool,
    /// Show the template `query`, `path`, `webhook.name` and `now`, as a server with `render.extensions`
    #[arg(long, conflicts_with = "cases")]
    extensions: bool,
    /// Fail on warnings, too: a value that is not there, say
    #[arg(long, conflicts_with = "cases")]
    strict: bool,
    /// Render again whenever a file changes, until Ctrl-C
    #[arg(long, conflicts_with_all = ["cases", "text"])]
    watch: bool,
    /// Render each case of a file and compare, `-` for standard input
    #[arg(long, value_name = "FILE.jsonl", conflicts_with_all = ["template", "request", "body",
          "json", "fields", "headers", "method"])]
    cases: Option<PathBuf>,
    /// Count the cases of each feature
    #[arg(long, requires = "cases", conflicts_with = "template")]
    by_feature: bool,
    #[command(flatten)]
    form: Form,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    check_input(args)?;
    match (&args.cases, &args.template) {
        (Some(cases), _) => cases::run(cases, args.by_feature, args.form),
        (None, Some(template)) if args.watch => once::watch(template, args),
        (None, Some(template)) => once::run(template, args),
        (None, None) => Err(Failure::No("there is no template to render".to_owned())),
    }
}

/// Standard input is read once, and for one thing.
fn check_input(args: &Args) -> Result<(), Failure> {
    let template = args.template.as_ref().is_some_and(|path| path.as_os_str() == "-");
    let request = args.given.is_piped();
    let what = match (template, request) {
        (true, true) => "standard input is the template or the request, not both: name a file",
        (true, false) | (false, true) if args.watch => {
            "--watch waits for changes of files, and standard input has none: name a file"
        }
        _ => return Ok(()),
    };
    Err(Failure::Usage(what.to_owned()))
}
