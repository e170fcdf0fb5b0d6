//! `hookgate webhook test`: a request tried on a webhook where it lives, with its own template or a draft. In: both.
//! Out: the event on stdout, what is to be said of it on stderr. Nothing is kept, no event leaves.

use std::fmt::Write as _;
use std::path::PathBuf;

use http::Method;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Which;
use crate::cli::listing::text;
use crate::cli::output::{Failure, clean, print_line, print_text, say};
use crate::cli::{Form, case, gallery, pretty};

pub(super) const EXAMPLE: &str = "\
A request file is what `hookgate test` and `hookgate render` read: method, headers, body_json.

Exit codes: 0 there is an event, 1 there is none, 3 a file does not load, 5 no such webhook.

Examples:
  hookgate webhook test github --sample github/push
  hookgate webhook test orders --request case.request.json --template-file draft.j2";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    which: Which,
    /// A request of the gallery, such as github/push
    #[arg(long, value_name = "FOLDER/CASE", conflicts_with = "request")]
    sample: Option<String>,
    /// A request file; `-` for standard input
    #[arg(long, value_name = "FILE", required_unless_present = "sample")]
    request: Option<PathBuf>,
    /// Try this template instead of the webhook's own
    #[arg(long, value_name = "FILE")]
    template_file: Option<PathBuf>,
    #[command(flatten)]
    form: Form,
}

pub(super) async fn run(args: &Args) -> Result<(), Failure> {
    let not_read = |fault: case::CaseError| Failure::NotLoaded(fault.to_string());
    let request = match (&args.sample, &args.request) {
        (Some(name), _) => gallery::sample(name)?,
        (None, Some(path)) if path.as_os_str() == "-" => {
            let text = case::read_input(case::Holds::Request).map_err(not_read)?;
            case::parse("standard input", &text).map_err(not_read)?
        }
        (None, Some(path)) => case::read(path).map_err(not_read)?,
        (None, None) => return Err(Failure::Usage("there is no request".to_owned())),
    };
    let template = args.template_file.as_deref();
    let template = template.map(|path| case::read_text(path, case::Holds::Template));
    let template = template.transpose().map_err(not_read)?;
    let request = request.text();
    let mut body = format!("{{\"request\": {}", request.trim());
    if let Some(template) = &template {
        let _ = write!(body, ", \"template\": {}", json!(template));
    }
    body.push('}');

    let (remote, webhook) = args.which.find().await?;
    let path = format!("webhooks/{}/test", text(&webhook, "id"));
    let address = format!("{}{}/{path}", remote.base, remote.place);
    let answer = remote.exchange(Method::POST, &address, body).await?;
    let answer: &RawValue = serde_json::from_slice(&answer)
        .map_err(|fault| Failure::No(format!("{}: the answer is no JSON: {fault}", remote.base)))?;
    let told: Value = serde_json::from_str(answer.get()).unwrap_or_default();
    let is_event = !told["event"].is_null();
    if args.form.is_json() {
        print_line(answer.get())?;
    } else {
        if is_event {
            print_text(&pretty::laid_out(told["text"].as_str().unwrap_or_default()))?;
        }
        for diagnostic in told["diagnostics"].as_array().into_iter().flatten() {
            say(&clean(&sentence(diagnostic)));
        }
    }
    if is_event { Ok(()) } else { Err(Failure::No("there is no event".to_owned())) }
}

/// A diagnostic in one line.
fn sentence(told: &Value) -> String {
    let number = |key: &str| told[key].as_u64();
    let at = match (number("line"), number("column")) {
        (Some(line), Some(column)) => format!("template:{line}:{column}: "),
        _ => String::new(),
    };
    let help = told["help"].as_str().map(|help| format!("; {help}")).unwrap_or_default();
    let (severity, code) = (text(told, "severity"), text(told, "code"));
    format!("{at}{severity}[{code}]: {}{help}", text(told, "message"))
}
