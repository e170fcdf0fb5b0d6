//! `hookgate webhook create`. In: a template and a name. Out: the record, where its hook is, and what to try next.

use http::Method;
use serde_json::{Value, json};

use super::once::{Networks, Once, Turn};
use super::redaction::Redaction;
use super::reply::FixedReply;
use super::source::Source;
use super::verification::Verification;
use super::with_hook;
use crate::cli::access::{Access, Remote};
use crate::cli::gallery;
use crate::cli::listing::{Listing, text};
use crate::cli::output::{Failure, print_line, say};

pub(super) const EXAMPLE: &str = "\
`hookgate send --list` shows what the gallery has.

Exit codes: 0 made, 1 refused (such as a template that does not parse), 4 no key, or one that may not,
5 no such template, service account or workspace, 6 nobody answers.

Examples:
  HOOKGATE_API_KEY=$(jq -r .api_key first.json) hookgate webhook create --from github
  hookgate webhook create --from github --name pushes --dedup-key X-GitHub-Delivery
  hookgate webhook create --from github --name signed --verify github --secret-file secret
  hookgate webhook create --name shop --template-file template.j2 --verify mtls --verify-parameter dns=shop.example.com
  hookgate webhook create --from stripe --redact-body '$..card' --redact-header X-Api-Key
  hookgate webhook create --name calls --template-file template.j2 --reply-type text/xml --reply-body '<Response/>'
  hookgate webhook create --name orders --template-file template.j2 --service-account shop";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    source: Source,
    /// Its name; that of the template of the gallery when nothing is said
    #[arg(short, long, value_name = "NAME", required_unless_present = "from",
          value_parser = clap::builder::NonEmptyStringValueParser::new())]
    name: Option<String>,
    /// What it is for
    #[arg(short, long, value_name = "TEXT", default_value = "")]
    description: String,
    /// A word to the first version of its template
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Who may call it, by a key: a service account's name or id
    #[arg(long, value_name = "NAME|ID")]
    service_account: Option<String>,
    #[command(flatten)]
    once: Once,
    #[command(flatten)]
    networks: Networks,
    #[command(flatten)]
    turn: Turn,
    #[command(flatten)]
    reply: FixedReply,
    #[command(flatten)]
    redaction: Redaction,
    #[command(flatten)]
    verification: Verification,
    /// Make it, and take no requests yet
    #[arg(long)]
    disabled: bool,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    listing: Listing,
}

pub(super) async fn run(args: &Args) -> Result<(), Failure> {
    let template = args.source.text()?.ok_or_else(|| {
        Failure::Usage("there is no template: --from, --template-file or --template".to_owned())
    })?;
    let name = args.name.as_deref().or(args.source.from.as_deref()).unwrap_or_default();
    let mut body = json!({
        "name": name,
        "description": args.description,
        "template": template,
        "enabled": !args.disabled,
    });
    if args.note.is_some() {
        body["template_note"] = json!(args.note);
    }
    args.once.check(None)?;
    args.once.fill(&mut body);
    args.networks.fill(&mut body);
    args.turn.fill(&mut body);
    args.reply.fill(&mut body, &Value::Null);
    args.redaction.fill(&mut body, &Value::Null);
    args.verification.fill(&mut body, &Value::Null)?;
    let remote = args.access.workspace().await?;
    if let Some(wanted) = &args.service_account {
        body["service_account_id"] = remote.caller(wanted).await?["id"].clone();
    }
    let made = remote.call(Method::POST, "webhooks/", Some(&body)).await;
    args.source.look_through(&template, made.is_ok());
    args.once.tell_doubts();
    let made = with_hook(&remote, made?);
    let hook = text(&made, "hook");
    let lines = [("webhook", name.to_owned()), ("id", text(&made, "id")), ("hook", hook.clone())];
    args.listing.record(&made, &lines)?;
    if !args.listing.is_table() {
        return Ok(());
    }
    say_doubled(&remote, name, &made).await;
    let sample = match &args.source.from {
        Some(name) => format!("--sample {name}/{}", gallery::find(name)?.first_event()),
        None => "--request case.request.json".to_owned(),
    };
    print_line(&format!("\nNext: hookgate send {hook} {sample}"))
}

/// Says when others have the name, too: from then on commands know each of them by its id alone.
async fn say_doubled(remote: &Remote, name: &str, made: &Value) {
    // A key that makes webhooks need not see them.
    let Ok(all) = remote.rows("webhooks/filter", &json!({})).await else { return };
    let (count, id) = (all.iter().filter(|one| one["name"] == name).count(), text(made, "id"));
    if count > 1 {
        say(&format!("{count} webhooks are called {name:?} now: call this one by its id, {id}"));
    }
}
