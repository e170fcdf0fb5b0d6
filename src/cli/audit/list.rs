//! `hookgate audit ls`: who did what, as a running gateway tells it. In: by whom, to what, since when. Out: the
//! account's audit events, newest first.

use serde_json::{Map, Value, json};

use crate::catalogue::{DESTINATION, KINDS, NOTICES, OWN_PREFIX, prefix_of};
use crate::cli::access::Access;
use crate::cli::event::{Question, Seen};
use crate::cli::listing::Listing;
use crate::cli::moment::{Moment, moment};
use crate::cli::output::Failure;
use crate::event::RESERVED_PREFIX;

/// What the gateway says of requests, not of acts.
const NO_ACTS: [&str; 2] = ["prefect-cloud.webhook.received", "prefect-cloud.webhook.failed"];

pub(super) const EXAMPLE: &str = "\
Of the whole account, newest first: when, what was done to what, and by whom. `-o ndjson` is the event itself. What
a gateway says can be proven where its data is: hookgate audit verify.

Examples:
  hookgate audit ls --since 7d
  hookgate audit ls --kind webhook --by ada --workspace-only -o ndjson";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Only of this kind of record, such as webhook or api-key; may be given again
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Vec<String>,
    /// Only what this person or service account did, by handle
    #[arg(long, value_name = "HANDLE")]
    by: Option<String>,
    /// Not before this moment: an age such as 15m, 1h, 7d, or RFC 3339
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    since: Option<Moment>,
    /// Not after this moment
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    until: Option<Moment>,
    /// Most events that are printed
    #[arg(long, value_name = "N", default_value_t = 50,
          value_parser = clap::value_parser!(u64).range(1..=Question::LIMIT_MAX))]
    limit: u64,
    /// Oldest first
    #[arg(long)]
    oldest_first: bool,
    /// Of one workspace, not of the whole account
    #[arg(long)]
    workspace_only: bool,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    listing: Listing,
}

pub(super) async fn run(args: &Args) -> Result<(), Failure> {
    let remote = if args.workspace_only {
        args.access.workspace().await?
    } else {
        args.access.account().await?
    };
    let question = Question {
        filter: filter(&args.kind, args.by.as_deref()),
        since: args.since,
        until: args.until,
        limit: args.limit,
        oldest_first: args.oldest_first,
    };
    question.print(&remote, args.listing, line).await
}

fn filter(kinds: &[String], by: Option<&str>) -> Map<String, Value> {
    let prefix = |kind: &String| format!("{}{kind}.", prefix_of(kind));
    let mut prefixes: Vec<String> = kinds.iter().map(prefix).collect();
    if prefixes.is_empty() {
        prefixes.push(RESERVED_PREFIX.to_owned());
        prefixes.extend(DESTINATION.actions.iter().map(|action| DESTINATION.event(action.name)));
    }
    let mut filter = Map::new();
    filter.insert("event".to_owned(), json!({ "prefix": prefixes, "exclude_name": NO_ACTS }));
    if let Some(handle) = by {
        let labels = json!({ "prefect-cloud.handle": [handle] });
        filter.insert("related".to_owned(), json!([{ "role": ["actor"], "labels": labels }]));
    }
    filter
}

/// A kind of record that audit events are about, or the nearest.
fn kind(text: &str) -> Result<String, String> {
    let mut kinds: Vec<&str> =
        KINDS.iter().filter(|kind| !kind.actions.is_empty()).map(|kind| kind.name).collect();
    kinds.extend(NOTICES.iter().map(|notice| notice.kind));
    kinds.sort_unstable();
    kinds.dedup();
    if kinds.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(format!("there are {}", kinds.join(", ")))
}

/// When, what, to which record, by whom.
fn line(seen: &Seen) -> String {
    let own = [RESERVED_PREFIX, OWN_PREFIX];
    let act = own.iter().find_map(|prefix| seen.event.strip_prefix(prefix)).unwrap_or(&seen.event);
    let name = match seen.resource["prefect.resource.name"].as_str() {
        Some(name) if !name.is_empty() => name,
        _ => seen.resource["prefect.resource.id"].as_str().unwrap_or_default(),
    };
    let actor = seen.related.iter().find(|one| one["prefect.resource.role"] == "actor");
    let actor = actor.and_then(|actor| actor["prefect.resource.name"].as_str());
    format!("{}  {act}  {name}  by {}", seen.occurred, actor.unwrap_or("nobody"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acts_are_told_with_who_did_them() {
        let event = json!({
            "occurred": "2026-11-23T22:00:00Z",
            "event": "prefect-cloud.webhook.created",
            "resource": { "prefect.resource.id": "x", "prefect.resource.name": "github" },
            "related": [
                { "prefect.resource.role": "account" },
                { "prefect.resource.role": "actor", "prefect.resource.name": "Ada" },
            ],
        });
        let seen: Seen = serde_json::from_value(event).expect("an event");
        assert_eq!(line(&seen), "2026-11-23T22:00:00Z  webhook.created  github  by Ada");
        let filter = Value::from(filter(&["team".to_owned()], Some("ada")));
        assert_eq!(filter["event"]["prefix"], json!(["prefect-cloud.team."]));
        crate::filter::Filter::read(&filter, crate::clock::Time::from_micros(0)).expect("it reads");
    }
}
