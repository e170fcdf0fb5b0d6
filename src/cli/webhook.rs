//! `hookgate webhook`: webhooks of a running gateway, through its management API. In: where it is, a key, a template.
//! Out: the record, and where its hook is. Never a key as a flag's value, never one in what is printed.

use std::path::{Path, PathBuf};

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use super::client::{Client, runtime};
use super::output::{Failure, print_line};
use super::snippet::tell;
use super::stage;
use super::{Form, Server, case, gallery, send};
use crate::render::lint;

/// The variable that holds the key.
const KEY_VARIABLE: &str = "HOOKGATE_API_KEY";
/// Most warnings of a template that are shown; `hookgate check` has them all.
const WARNINGS_TOLD: usize = 20;
/// Webhooks of one page of a list.
const PAGE: usize = 200;
/// Most pages that are asked for.
const PAGES_MAX: usize = 50;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a webhook with a template of the gallery, or one of your own
    #[command(after_help = CREATE_EXAMPLE)]
    Create(Create),
    /// List the webhooks of a workspace
    #[command(after_help = "Example:\n  hookgate webhook ls --key-file key.txt")]
    Ls(List),
}

const CREATE_EXAMPLE: &str = "\
The key comes from HOOKGATE_API_KEY or --key-file. `hookgate send --list` shows what the gallery has.

Exit codes: 0 made, 1 refused (such as a template that does not parse), 4 no key, or one that may not,
5 no such template or workspace, 6 nobody answers.

Examples:
  HOOKGATE_API_KEY=$(jq -r .api_key first.json) hookgate webhook create --from github
  hookgate webhook create --template-file template.j2 --name orders --key-file key.txt";

#[derive(Debug, clap::Args)]
pub(super) struct Create {
    /// A template of the gallery, such as github
    #[arg(
        long,
        value_name = "NAME",
        required_unless_present = "template_file",
        conflicts_with = "template_file"
    )]
    from: Option<String>,
    /// A template of your own; `-` for standard input
    #[arg(long, value_name = "FILE", requires = "name")]
    template_file: Option<PathBuf>,
    /// Its name; that of the template when nothing is said
    #[arg(short, long, value_name = "NAME")]
    name: Option<String>,
    /// What it is for
    #[arg(short, long, value_name = "TEXT", default_value = "")]
    description: String,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    form: Form,
}

#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    form: Form,
}

/// Whose webhooks.
#[derive(Debug, clap::Args)]
struct Access {
    #[command(flatten)]
    server: Server,
    /// File with the API key; else `HOOKGATE_API_KEY` has it
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The account, by id or handle, when the key sees several
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,
    /// The workspace, by id or handle, when the key sees several
    #[arg(long, value_name = "WORKSPACE")]
    workspace: Option<String>,
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    runtime()?.block_on(async {
        match command {
            Command::Create(args) => create(args).await,
            Command::Ls(args) => list(args).await,
        }
    })
}

async fn create(args: &Create) -> Result<(), Failure> {
    let (template, standard_name) = match (&args.from, &args.template_file) {
        (Some(name), _) => (gallery::find(name)?.template.to_owned(), name.as_str()),
        (None, Some(path)) => (template(path)?, ""),
        (None, None) => return Err(Failure::No("there is no template".to_owned())),
    };
    let name = args.name.as_deref().unwrap_or(standard_name);
    let body = json!({ "name": name, "description": args.description, "template": template });
    let manager = Manager::find(&args.access).await?;
    let path = format!("{}/webhooks/", manager.workspace);
    let made = manager.call(Method::POST, &path, body.to_string()).await;
    look_through(args, &template, made.is_ok());
    let made = made?;
    let slug = made["slug"].as_str().unwrap_or_default();
    let hook = send::address(slug, &manager.base);
    if args.form.is_json() {
        return print_line(&with_hook(made.clone(), &hook).to_string());
    }
    print_line(&format!("webhook  {name}"))?;
    print_line(&format!("id       {}", made["id"].as_str().unwrap_or_default()))?;
    print_line(&format!("hook     {hook}"))?;
    let sample = match &args.from {
        Some(name) => format!("--sample {name}/{}", gallery::find(name)?.first_event()),
        None => "--request case.request.json".to_owned(),
    };
    print_line(&format!("\nNext: hookgate send {hook} {sample}"))
}

/// Shows what only may fail in a template that was taken, or where one that was not is wrong.
fn look_through(args: &Create, source: &str, is_taken: bool) {
    let file = args.template_file.as_ref().map(|path| path.display().to_string());
    let name = file.as_deref().or(args.from.as_deref()).unwrap_or_default();
    match stage::perform(|| Ok(lint(source, stage::limits(false)))) {
        Ok(Ok(found)) => {
            let told = found.into_iter().map(|finding| finding.told).take(WARNINGS_TOLD);
            tell(name, source, &told.collect::<Vec<_>>());
        }
        Ok(Err(fault)) if !is_taken => tell(name, source, &[fault]),
        Ok(Err(_)) | Err(_) => {}
    }
}

fn template(path: &Path) -> Result<String, Failure> {
    let text = if path.as_os_str() == "-" {
        case::read_input(case::Holds::Template)
    } else {
        case::read_text(path, case::Holds::Template)
    };
    text.map_err(|fault| Failure::NotLoaded(fault.to_string()))
}

async fn list(args: &List) -> Result<(), Failure> {
    let manager = Manager::find(&args.access).await?;
    let mut all = Vec::new();
    for page in 0..PAGES_MAX {
        let body = json!({ "limit": PAGE, "offset": page * PAGE }).to_string();
        let path = format!("{}/webhooks/filter", manager.workspace);
        let found = manager.call(Method::POST, &path, body).await?;
        let found = found.as_array().cloned().unwrap_or_default();
        let is_last = found.len() < PAGE;
        all.extend(found);
        if is_last {
            break;
        }
    }
    let hook = |webhook: &Value| {
        send::address(webhook["slug"].as_str().unwrap_or_default(), &manager.base)
    };
    if args.form.is_json() {
        let all = all.into_iter().map(|webhook| {
            let hook = hook(&webhook);
            with_hook(webhook, &hook)
        });
        return print_line(&all.collect::<Value>().to_string());
    }
    let text = |webhook: &Value, key: &str| webhook[key].as_str().unwrap_or_default().to_owned();
    let width = all.iter().map(|webhook| text(webhook, "name").chars().count()).max().unwrap_or(0);
    for webhook in &all {
        let state = if webhook["enabled"] == false { "off" } else { "on " };
        let (name, id) = (text(webhook, "name"), text(webhook, "id"));
        print_line(&format!("{name:width$}  {state}  {id}  {}", hook(webhook)))?;
    }
    Ok(())
}

fn with_hook(mut webhook: Value, hook: &str) -> Value {
    webhook["hook"] = hook.into();
    webhook
}

/// A gateway's API, as one key sees it.
struct Manager {
    client: Client,
    base: String,
    headers: HeaderMap,
    /// The path of the workspace.
    workspace: String,
}

impl Manager {
    /// With the workspace that was named, or the only one there is.
    async fn find(access: &Access) -> Result<Self, Failure> {
        let base = access.server.url.trim_end_matches('/').to_owned();
        let mut headers = HeaderMap::new();
        let mut bearer =
            HeaderValue::try_from(format!("Bearer {}", key(access)?)).map_err(|_| {
                Failure::Denied("the key is none: it has control characters".to_owned())
            })?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let client = Client::fit(&base)?;
        let mut manager = Self { client, base, headers, workspace: String::new() };
        let found = manager.call(Method::GET, "/api/me/workspaces", String::new()).await?;
        let (account, workspace) = choose(&found, access)?;
        manager.workspace = format!("/api/accounts/{account}/workspaces/{workspace}");
        Ok(manager)
    }

    async fn call(&self, method: Method, path: &str, body: String) -> Result<Value, Failure> {
        let address = format!("{}{path}", self.base);
        let answer = self.client.send(method, &address, self.headers.clone(), body).await?;
        let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if answer.status.is_success() {
            return Ok(told);
        }
        let what = format!("{}: {}", answer.status, detail(&told));
        Err(match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::Denied(what),
            StatusCode::NOT_FOUND => Failure::NotFound(what),
            _ => Failure::No(what),
        })
    }
}

/// What a reply says is wrong.
fn detail(told: &Value) -> String {
    match &told["detail"] {
        Value::String(text) => text.clone(),
        Value::Array(faults) => {
            let fault = |fault: &Value| {
                let at = fault["loc"].as_array().into_iter().flatten().filter_map(Value::as_str);
                let at = at.collect::<Vec<_>>().join(".");
                format!("{at}: {}", fault["msg"].as_str().unwrap_or_default())
            };
            faults.iter().map(fault).collect::<Vec<_>>().join("; ")
        }
        _ => "this is no API of hookgate".to_owned(),
    }
}

fn key(access: &Access) -> Result<String, Failure> {
    let text = match &access.key_file {
        Some(path) => case::read_text(path, case::Holds::Key)
            .map_err(|fault| Failure::NotLoaded(fault.to_string()))?,
        None => std::env::var(KEY_VARIABLE).unwrap_or_default(),
    };
    match text.trim() {
        "" => Err(Failure::Denied(format!("there is no key: set {KEY_VARIABLE}, or --key-file"))),
        key => Ok(key.to_owned()),
    }
}

/// The ids of account and workspace.
fn choose(found: &Value, access: &Access) -> Result<(String, String), Failure> {
    let text = |place: &Value, key: &str| place[key].as_str().unwrap_or_default().to_owned();
    let fits = |place: &Value, kind: &str, wanted: &Option<String>| {
        wanted.as_ref().is_none_or(|wanted| {
            *wanted == text(place, &format!("{kind}_id"))
                || *wanted == text(place, &format!("{kind}_handle"))
        })
    };
    let all: Vec<&Value> = found.as_array().into_iter().flatten().collect();
    let fitting: Vec<&&Value> = all
        .iter()
        .filter(|place| {
            fits(place, "account", &access.account) && fits(place, "workspace", &access.workspace)
        })
        .collect();
    let told = |place: &Value| {
        let (account, workspace) = (text(place, "account_handle"), text(place, "workspace_handle"));
        format!("{account}/{workspace} ({})", text(place, "workspace_id"))
    };
    match (&fitting[..], &access.account, &access.workspace) {
        ([only], _, _) => Ok((text(only, "account_id"), text(only, "workspace_id"))),
        // A service account's key sees no list; whoever names ids is believed.
        ([], Some(account), Some(workspace)) => Ok((account.clone(), workspace.clone())),
        ([], _, _) if all.is_empty() => Err(Failure::NotFound(
            "the key sees no workspace: name one with --account ID --workspace ID".to_owned(),
        )),
        ([], _, _) => {
            let there: Vec<_> = all.iter().map(|place| told(place)).collect();
            Err(Failure::NotFound(format!("no such workspace; there are {}", there.join(", "))))
        }
        (several, _, _) => {
            let there: Vec<_> = several.iter().map(|place| told(place)).collect();
            let what = format!("choose with --workspace: the key sees {}", there.join(", "));
            Err(Failure::No(what))
        }
    }
}
