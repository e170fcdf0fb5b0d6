//! `hookgate migrate`: webhooks copied from one gateway to another of the same API. In: both, each as an address or a
//! context. Out: what became of each webhook, and its new hook. Changes nothing at the source, deletes nothing, never
//! shows a key.

mod plan;

use std::path::PathBuf;

use http::Method;
use serde_json::{Value, json};

use super::access::{Access, KEY_VARIABLE, Remote};
use super::client::runtime;
use super::listing::{Listing, text};
use super::output::{Failure, say};
use super::send;
use plan::{Step, order, plan};

/// The variable in which Prefect's own clients keep a key.
const PREFECT_KEY_VARIABLE: &str = "PREFECT_API_KEY";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the webhooks are: an address, or a context
    #[arg(long, env = "PREFECT_API_URL", value_name = "URL|CONTEXT")]
    from: String,
    /// Where they are to be: an address, or a context
    #[arg(long, value_name = "URL|CONTEXT")]
    to: String,
    /// File with the key of the source; else `PREFECT_API_KEY`, for an address
    #[arg(long, value_name = "FILE")]
    from_key_file: Option<PathBuf>,
    /// File with the key of the target; else `HOOKGATE_API_KEY`
    #[arg(long, value_name = "FILE")]
    to_key_file: Option<PathBuf>,
    /// The workspace of the source, when its key sees several
    #[arg(long, value_name = "ACCOUNT/WORKSPACE")]
    from_workspace: Option<String>,
    /// The workspace of the target, when its key sees several
    #[arg(long, value_name = "ACCOUNT/WORKSPACE")]
    to_workspace: Option<String>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    listing: Listing,
}

pub(super) const EXAMPLE: &str = "\
Copies name, description, template (byte for byte), whether it is enabled, and the service account, which must
be there under the same name. A webhook is known by its name: run again, what is the same is left alone. Hooks
are other addresses then: senders must be told.

Exit codes: 0 all are the same now, 1 none could be copied, 2 wrong usage, 4 a key is none, 8 some could not.

Examples:
  hookgate migrate --from prod --to local --dry-run
  PREFECT_API_KEY=$(cat key.txt) hookgate migrate --to local \\
    --from https://api.prefect.cloud/api/accounts/ID/workspaces/ID";

/// What became of one webhook.
struct Outcome {
    word: &'static str,
    /// The webhook at the target, if it is there.
    webhook: Value,
    why: String,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    runtime()?.block_on(migrate(args))
}

async fn migrate(args: &Args) -> Result<(), Failure> {
    let access = |place: &str, file: &Option<PathBuf>, workspace: &Option<String>, variable| {
        Access::of(place, file.clone(), workspace.clone(), variable)
    };
    let is_address = args.from.contains("://");
    let variable = is_address.then_some(PREFECT_KEY_VARIABLE);
    let from = access(&args.from, &args.from_key_file, &args.from_workspace, variable);
    let to = access(&args.to, &args.to_key_file, &args.to_workspace, Some(KEY_VARIABLE));
    let from = from.workspace().await.map_err(|fault| fault.about("the source"))?;
    let to = to.workspace().await.map_err(|fault| fault.about("the target"))?;
    if (&from.base, &from.place) == (&to.base, &to.place) {
        return Err(Failure::Usage("source and target are the same workspace".to_owned()));
    }
    let mut source = from.rows("webhooks/filter", &json!({})).await?;
    order(&mut source);
    let target = to.rows("webhooks/filter", &json!({})).await?;
    let is_guarded = source.iter().any(|webhook| !webhook["service_account_id"].is_null());
    let callers =
        if is_guarded { to.account().rows("bots/filter", &json!({})).await? } else { Vec::new() };
    let steps = plan(&source, &target, &callers);
    let mut rows = Vec::new();
    let mut end = None;
    for (webhook, step) in source.iter().zip(steps) {
        let name = text(webhook, "name");
        let outcome = if args.dry_run { Ok(foresee(step)) } else { perform(&to, step).await };
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(failure @ Failure::No(_)) => Outcome::failed(failure.to_string()),
            Err(failure) => {
                end = Some(failure);
                break;
            }
        };
        say(&format!("{}/{} {name}: {}", rows.len() + 1, source.len(), outcome.word));
        rows.push(row(&from, &to, webhook, &outcome));
    }
    args.listing.rows(&rows, &["NAME", "OUTCOME", "OLD HOOK", "NEW HOOK"], |row| {
        let last = if row["why"].is_null() { text(row, "hook") } else { text(row, "why") };
        vec![text(row, "name"), text(row, "outcome"), text(row, "old_hook"), last]
    })?;
    if let Some(failure) = end {
        say(&format!("stopped after {} of {} webhooks", rows.len(), source.len()));
        return Err(failure);
    }
    verdict(&rows)
}

/// How it ends, by what became of each.
fn verdict(rows: &[Value]) -> Result<(), Failure> {
    let lost = rows.iter().filter(|row| !row["why"].is_null()).count();
    let what = format!("{lost} of {} webhooks were not copied", rows.len());
    match lost {
        0 => Ok(()),
        lost if lost == rows.len() => Err(Failure::No(what)),
        _ => Err(Failure::Partly(what)),
    }
}

fn row(from: &Remote, to: &Remote, webhook: &Value, outcome: &Outcome) -> Value {
    let hook = |remote: &Remote, webhook: &Value| {
        webhook["slug"].as_str().map(|slug| send::address(slug, &remote.base))
    };
    json!({
        "name": webhook["name"],
        "outcome": outcome.word,
        "id": outcome.webhook["id"],
        "hook": hook(to, &outcome.webhook),
        "old_hook": hook(from, webhook),
        "why": (!outcome.why.is_empty()).then_some(&outcome.why),
    })
}

impl Outcome {
    fn new(word: &'static str, webhook: Value) -> Self {
        Self { word, webhook, why: String::new() }
    }

    fn failed(why: String) -> Self {
        Self { word: "failed", webhook: Value::Null, why }
    }
}

/// What would become of a webhook.
fn foresee(step: Step) -> Outcome {
    match step {
        Step::Create(_) => Outcome::new("to create", Value::Null),
        Step::Update(_, there) => Outcome::new("to update", there),
        Step::Keep(there) => Outcome::new("unchanged", there),
        Step::Skip(why) => Outcome { why, ..Outcome::new("skipped", Value::Null) },
    }
}

async fn perform(to: &Remote, step: Step) -> Result<Outcome, Failure> {
    let (word, wanted, id) = match step {
        Step::Create(wanted) => {
            let made = to.call(Method::POST, "webhooks/", Some(&wanted)).await?;
            ("created", wanted, text(&made, "id"))
        }
        Step::Update(wanted, there) => {
            let id = text(&there, "id");
            to.call(Method::PUT, &format!("webhooks/{id}"), Some(&wanted)).await?;
            ("updated", wanted, id)
        }
        step => return Ok(foresee(step)),
    };
    let there = to.call(Method::GET, &format!("webhooks/{id}"), None).await?;
    // A template that was touched on the way is another template.
    if there["template"] != wanted["template"] {
        return Err(Failure::No(format!("the target keeps another template in {id}")));
    }
    Ok(Outcome::new(word, there))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_it_ends_says_how_much_was_copied() {
        let row = |why: Option<&str>| json!({ "why": why });
        let good = || row(None);
        let bad = || row(Some("422"));
        assert!(verdict(&[good(), good()]).is_ok());
        assert!(verdict(&[]).is_ok());
        assert!(matches!(verdict(&[bad()]), Err(Failure::No(_))));
        let Err(Failure::Partly(said)) = verdict(&[good(), bad()]) else { panic!("not partly") };
        assert_eq!(said, "1 of 2 webhooks were not copied");
    }
}
