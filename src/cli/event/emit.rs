//! `hookgate event emit`: an event of one's own. In: its name, resource and payload. Out: its id, once the gateway
//! keeps it. The payload's text goes as it is.

use std::path::PathBuf;

use http::Method;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::pair;
use crate::cli::access::Access;
use crate::cli::case;
use crate::cli::listing::Listing;
use crate::cli::output::Failure;
use crate::clock::{Clock, Time};
use crate::id::{self, Uuid};

pub(super) const EXAMPLE: &str = "\
Names that begin with `prefect-cloud.` or `hookgate.` are the gateway's own. Whoever emits an event again with the
same --id changes nothing.

Examples:
  hookgate event emit deploy.finished --resource-id app.shop
  hookgate event emit deploy.finished --resource-id app.shop --resource-label version=1.4 \\
    --related environment=env.prod --payload '{\"seconds\": 41.5}'";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Its name
    name: String,
    /// What it is about
    #[arg(long, value_name = "ID")]
    resource_id: String,
    /// A label of that; may be given again
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    resource_label: Vec<(String, String)>,
    /// Another resource that has to do with it; may be given again
    #[arg(long, value_name = "ROLE=ID", value_parser = pair)]
    related: Vec<(String, String)>,
    /// Its payload
    #[arg(long, value_name = "JSON", conflicts_with = "payload_file")]
    payload: Option<String>,
    /// File with its payload; `-` for standard input
    #[arg(long, value_name = "FILE")]
    payload_file: Option<PathBuf>,
    /// When it occurred, RFC 3339; now when nothing is said
    #[arg(long, value_name = "TIME", value_parser = time)]
    occurred: Option<Time>,
    /// Its id; a fresh one when nothing is said
    #[arg(long, value_name = "UUID")]
    id: Option<Uuid>,
    /// The id of the event that led to it
    #[arg(long, value_name = "UUID")]
    follows: Option<Uuid>,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    listing: Listing,
}

pub(super) async fn run(args: &Args) -> Result<(), Failure> {
    let clock = Clock::System;
    let payload = payload(args)?;
    let id = args.id.unwrap_or_else(|| id::now(&clock));
    let mut resource = Map::new();
    resource.insert("prefect.resource.id".to_owned(), args.resource_id.clone().into());
    resource.extend(args.resource_label.iter().map(|(name, value)| (name.clone(), json!(value))));
    let related = |(role, id): &(String, String)| json!({ "prefect.resource.id": id, "prefect.resource.role": role });
    let mut event = json!({
        "occurred": args.occurred.unwrap_or_else(|| clock.now()).to_string(),
        "event": args.name,
        "resource": resource,
        "related": args.related.iter().map(related).collect::<Value>(),
        "id": id.to_string(),
    });
    if let Some(follows) = args.follows {
        event["follows"] = follows.to_string().into();
    }
    let head = event.to_string();
    let head = head.strip_suffix('}').unwrap_or(&head);
    let body = format!("[{head},\"payload\":{}}}]", payload.get());
    let remote = args.access.workspace().await?;
    let address = format!("{}{}/events", remote.base, remote.place);
    remote.exchange(Method::POST, &address, body).await?;
    let told = json!({ "id": id.to_string(), "event": args.name });
    args.listing.record(&told, &[("event", args.name.clone()), ("id", id.to_string())])
}

fn payload(args: &Args) -> Result<Box<RawValue>, Failure> {
    let text = match (&args.payload, &args.payload_file) {
        (Some(text), _) => Ok(text.clone()),
        (None, Some(path)) if path.as_os_str() == "-" => case::read_input(case::Holds::Event),
        (None, Some(path)) => case::read_text(path, case::Holds::Event),
        (None, None) => Ok("{}".to_owned()),
    };
    let text = text.map_err(|fault| Failure::NotLoaded(fault.to_string()))?;
    let payload = RawValue::from_string(text);
    payload.map_err(|fault| Failure::Usage(format!("the payload is no JSON: {fault}")))
}

fn time(text: &str) -> Result<Time, String> {
    Time::parse(text).ok_or_else(|| "say it as 2026-11-23T22:00:00Z".to_owned())
}
