//! `hookgate send`: a real request to a running gateway. In: a webhook, and a sample of the gallery or a request file,
//! changed where the caller says so. Out: what the gateway answered. Never follows a redirect.

use std::fmt::Write as _;
use std::path::PathBuf;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::json;

use super::access::Server;
use super::case::{self, Request};
use super::client::{Answer, Client, runtime};
use super::output::{Failure, print_line};
use super::splice::{self, Deed, Path, Step, parse_path};
use super::{Form, form, gallery};
use crate::hooks::PATH_PREFIX;

/// Most requests of one call; whoever wants more wants `hookgate bench`.
const COUNT_MAX: i64 = 10_000;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The webhook: its slug, or the whole address of its hook
    #[arg(value_name = "SLUG|URL", required_unless_present = "list", allow_hyphen_values = true)]
    hook: Option<String>,
    /// A request of the gallery, such as github/push
    #[arg(long, value_name = "FOLDER/CASE", conflicts_with = "request")]
    sample: Option<String>,
    /// A request file, as `hookgate test` reads them; `-` for standard input
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    /// Change a value: body.action=closed, body.items[0].count=2, method=PUT; JSON, or else text
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Leave a value out: body.action
    #[arg(long, value_name = "PATH")]
    unset: Vec<String>,
    /// Add or replace a header
    #[arg(short = 'H', long, value_name = "NAME:VALUE")]
    header: Vec<String>,
    /// Send it that many times, one after the other
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=COUNT_MAX))]
    count: u32,
    /// Show the samples there are
    #[arg(long, conflicts_with_all = ["hook", "sample", "request", "set", "unset", "header"])]
    list: bool,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    form: Form,
}

pub(super) const EXAMPLE: &str = "\
Exit codes: 0 kept, 1 refused, or kept and its template failed, 6 nobody answers, 7 no answer in time.

Examples:
  hookgate send --list
  hookgate send SLUG --sample github/push --set body.ref=refs/heads/main --unset body.head_commit
  hookgate send https://hooks.example.com/hooks/SLUG --request case.request.json --count 10";

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if args.list {
        return list();
    }
    let hook = args.hook.as_deref().unwrap_or_default();
    let request = request(args)?;
    // A whole address needs no context, and no file of them that can be read.
    let base = if is_address(hook) { String::new() } else { args.server.base()? };
    let mut address = address(hook, &base);
    if let Some(query) = request.query.as_deref().filter(|query| !query.is_empty()) {
        let separator = if address.contains('?') { '&' } else { '?' };
        address = format!("{address}{separator}{query}");
    }
    runtime()?.block_on(async {
        let client = Client::fit(&address)?;
        let mut refused = 0;
        for _ in 0..args.count {
            let (method, headers) = (request.method.clone(), request.headers.clone());
            let answer = client.send(method, &address, headers, request.body.clone()).await?;
            refused += u32::from(!answer.status.is_success());
            print(&answer, args.form)?;
        }
        if refused > 0 { Err(Failure::Told) } else { Ok(()) }
    })
}

fn list() -> Result<(), Failure> {
    let width = gallery::folders()
        .iter()
        .flat_map(|folder| folder.cases.iter().map(|case| folder.name.len() + 1 + case.name.len()));
    let width = width.max().unwrap_or_default();
    for folder in gallery::folders() {
        for case in folder.cases {
            let name = format!("{}/{}", folder.name, case.name);
            let is_event = if case.is_event { "event" } else { "fails" };
            let note = gallery::sample(&name)?.note.unwrap_or_default();
            print_line(&format!("{name:width$}  {is_event}  {note}"))?;
        }
    }
    Ok(())
}

/// Where the webhook is called.
pub(super) fn address(hook: &str, base: &str) -> String {
    if is_address(hook) {
        return hook.to_owned();
    }
    format!("{}{PATH_PREFIX}{hook}", base.trim_end_matches('/'))
}

fn is_address(hook: &str) -> bool {
    hook.starts_with("http://") || hook.starts_with("https://")
}

/// The request, changed.
fn request(args: &Args) -> Result<Request, Failure> {
    let not_read = |fault: case::CaseError| Failure::NotLoaded(fault.to_string());
    let mut request = match (&args.sample, &args.request) {
        (Some(name), _) => gallery::sample(name)?,
        (None, Some(path)) if path.as_os_str() == "-" => {
            let text = case::read_input(case::Holds::Request).map_err(not_read)?;
            case::parse("standard input", &text).map_err(not_read)?
        }
        (None, Some(path)) => case::read(path).map_err(not_read)?,
        (None, None) => {
            let says = "say what is sent: --sample FOLDER/CASE, of those that `hookgate send --list` shows, or \
                        --request FILE";
            return Err(Failure::Usage(says.to_owned()));
        }
    };
    for text in &args.set {
        let (path, value) = text
            .split_once('=')
            .ok_or_else(|| Failure::No(format!("--set {text}: it has no `=`")))?;
        change(&mut request, path, Some(value))
            .map_err(|what| Failure::No(format!("--set {text}: {what}")))?;
    }
    for path in &args.unset {
        change(&mut request, path, None)
            .map_err(|what| Failure::No(format!("--unset {path}: {what}")))?;
    }
    for line in &args.header {
        let (name, value) =
            line.split_once(':').ok_or_else(|| Failure::No(format!("-H {line}: it has no `:`")))?;
        insert(&mut request.headers, name.trim(), value.trim())
            .map_err(|what| Failure::No(format!("-H {line}: {what}")))?;
    }
    Ok(request)
}

/// Sets a value, or leaves it out.
fn change(request: &mut Request, path: &str, value: Option<&str>) -> Result<(), String> {
    let steps = parse_path(path)?;
    let names = "a path begins with body, headers, method or query";
    let (Some(Step::Name(first)), rest) = (steps.first(), &steps[steps.len().min(1)..]) else {
        return Err(names.to_owned());
    };
    match (&**first, rest, value) {
        ("body", rest, value) => change_body(request, &rest.to_vec(), value),
        ("headers", [Step::Name(name)], Some(value)) => insert(&mut request.headers, name, value),
        ("headers", [Step::Name(name)], None) => request
            .headers
            .remove(name)
            .map(drop)
            .ok_or_else(|| "there is no such header".to_owned()),
        ("method", [], Some(value)) => {
            request.method =
                value.parse::<Method>().map_err(|_| format!("`{value}` is no method"))?;
            Ok(())
        }
        ("query", [], value) => {
            request.query = value.map(str::to_owned);
            Ok(())
        }
        _ => Err(names.to_owned()),
    }
}

fn change_body(request: &mut Request, path: &Path, value: Option<&str>) -> Result<(), String> {
    let gone = || "nothing is there".to_owned();
    request.body = match (value, &path[..]) {
        (None, []) => bytes::Bytes::new(),
        (value, [Step::Name(name)]) if form::is_form(request) => {
            form::set(&request.body, name, value).ok_or_else(gone)?.into()
        }
        (Some(value), path) => {
            // What is no JSON is a text: `closed` needs no quotes.
            let json = match serde_json::from_str::<&serde_json::value::RawValue>(value) {
                Ok(raw) => raw.get().to_owned(),
                Err(_) => serde_json::Value::from(value).to_string(),
            };
            let body = if request.body.is_empty() { &b"{}"[..] } else { &request.body };
            splice::set(body, path, &json)?.into()
        }
        (None, path) => splice::edit(&request.body, path, &Deed::Drop).ok_or_else(gone)?.into(),
    };
    Ok(())
}

fn insert(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), String> {
    let name: HeaderName = name.parse().map_err(|_| format!("`{name}` is no name of a header"))?;
    let value = HeaderValue::from_str(value).map_err(|_| "it has control characters".to_owned())?;
    headers.insert(name, value);
    Ok(())
}

fn print(answer: &Answer, form: Form) -> Result<(), Failure> {
    let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok());
    let (receipt, id) = (header("hookgate-receipt"), header("x-request-id"));
    let body = String::from_utf8_lossy(&answer.body);
    if form.is_json() {
        let status = answer.status.as_u16();
        let told = json!({ "status": status, "receipt": receipt, "request_id": id, "body": body });
        return print_line(&told.to_string());
    }
    let mut line = answer.status.to_string();
    for (what, value) in [("receipt", receipt), ("request", id)] {
        if let Some(value) = value {
            let _ = write!(line, "  {what} {value}");
        }
    }
    print_line(&line)?;
    if answer.status.is_success() || body.is_empty() { Ok(()) } else { print_line(&body) }
}
