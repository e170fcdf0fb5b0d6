//! `hookgate webhook update`. In: what is to be another way. Out: the whole record set anew, all else as it was.

use http::Method;
use serde_json::{Value, json};

use super::once::{Networks, Once, Turn};
use super::redaction::Redaction;
use super::reply::FixedReply;
use super::source::Source;
use super::verification::Verification;
use super::{Which, print};
use crate::cli::listing::{Listing, text};
use crate::cli::output::Failure;

pub(super) const EXAMPLE: &str = "\
Examples:
  hookgate webhook update github --template-file template.j2
  hookgate webhook update github --verify github --secret-file secret
  hookgate webhook update github --add-secret-file fresh --overlap 24h
  hookgate webhook update github --name pushes --no-service-account";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    source: Source,
    /// Its new name
    #[arg(short, long, value_name = "NAME",
          value_parser = clap::builder::NonEmptyStringValueParser::new())]
    name: Option<String>,
    /// What it is for
    #[arg(short, long, value_name = "TEXT")]
    description: Option<String>,
    /// A word to the new version of its template
    #[arg(long, value_name = "TEXT", requires = "source")]
    note: Option<String>,
    /// Who may call it, by a key: a service account's name or id
    #[arg(long, value_name = "NAME|ID", conflicts_with = "no_service_account")]
    service_account: Option<String>,
    /// Let everybody call it who knows its hook
    #[arg(long)]
    no_service_account: bool,
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
    /// Keep requests as they come
    #[arg(long, conflicts_with_all = ["redact_header", "redact_body", "redact_query"])]
    no_redaction: bool,
    /// Take every request, also one that was sent before
    #[arg(long, conflicts_with_all = ["dedup_key", "dedup_window"])]
    no_dedup: bool,
    #[command(flatten)]
    listing: Listing,
}

pub(super) async fn run(args: &Args) -> Result<(), Failure> {
    let template = args.source.text()?;
    let texts = [("name", &args.name), ("description", &args.description), ("template", &template)];
    let is_said = texts.iter().any(|(_, text)| text.is_some());
    let is_more_said = args.once.is_said()
        || args.no_dedup
        || args.networks.is_said()
        || args.turn.is_said()
        || args.reply.is_said()
        || args.redaction.is_said()
        || args.no_redaction
        || args.verification.is_said();
    if !(is_said || is_more_said || args.service_account.is_some() || args.no_service_account) {
        let what = "nothing is to change: --name, --description, --template-file, --service-account, \
                    --dedup-key, --network, --weight, --verify, --redact-body, --reply-body";
        return Err(Failure::Usage(what.to_owned()));
    }
    let (remote, webhook) = args.which.find().await?;
    args.once.check(Some(&webhook))?;
    let mut body = json!({});
    for key in ["name", "description", "template", "enabled", "service_account_id"] {
        body[key] = webhook[key].clone();
    }
    for (key, text) in texts {
        if let Some(text) = text {
            body[key] = text.as_str().into();
        }
    }
    if let Some(wanted) = &args.service_account {
        body["service_account_id"] = remote.caller(wanted).await?["id"].clone();
    }
    if args.no_service_account {
        body["service_account_id"] = Value::Null;
    }
    if args.note.is_some() {
        body["template_note"] = json!(args.note);
    }
    args.once.fill(&mut body);
    args.networks.fill(&mut body);
    args.turn.fill(&mut body);
    args.reply.fill(&mut body, &webhook);
    args.redaction.fill(&mut body, &webhook);
    args.verification.fill(&mut body, &webhook["verification"])?;
    if args.no_redaction {
        body["redact"] = Value::Null;
    }
    if args.no_dedup {
        body["dedup_key"] = Value::Null;
        body["dedup_window_seconds"] = Value::Null;
    }
    let id = text(&webhook, "id");
    let set = remote.call(Method::PUT, &format!("webhooks/{id}"), Some(&body)).await;
    if let Some(template) = &template {
        args.source.look_through(template, set.is_ok());
    }
    set?;
    args.once.tell_doubts();
    print(&remote, remote.find("webhook", "webhooks", &id).await?, args.listing)
}
