//! `hookgate destination`: where a workspace's events are sent. In: a name or id, and what is to become of it. Out: the
//! record, and how far it is. Never a secret in what is printed, nor as a flag's value.

mod facts;

use std::path::PathBuf;

use http::Method;
use serde_json::{Value, json};

use self::facts::Facts;
use super::access::{Access, Remote};
use super::client::runtime;
use super::listing::{Listing, text};
use super::output::{Failure, one_line, say};
use super::prompt;

/// Most names that are told of those there are.
const NAMES_MAX: usize = 20;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Send a workspace's events somewhere, from now on
    #[command(after_help = "\
Addresses are public unless the operator allows their network (egress.allow), and one of:
  https://example.com/events           requests over HTTP, as --form says; http:// without TLS
  prefect+https://example.com/api      a Prefect server; prefect+http:// without TLS
  prefect+wss://example.com/api        the same over its websocket; prefect+ws:// without TLS
  nats+tls://example.com/a.subject     messages that a JetStream stream keeps; nats:// without TLS
  rediss://example.com/stream          entries of a Redis stream; redis:// without TLS
  kafka+tls://example.com/topic        records of a Kafka topic; kafka:// without TLS
  s3+https://s3.example.com/bucket     objects of a bucket; s3+http:// without TLS
  postgres+tls://example.com/db/table  rows of a table; postgres:// without TLS
Files and standard output are the operator's: `hookgate serve --forward-to`.

Examples:
  hookgate destination create shop https://shop.example/events --event 'shop.*' --rate 100/s
  hookgate destination create prefect prefect+https://prefect.example/api --bearer-file key --start oldest
  hookgate destination create signed https://crm.example/in --form single --sign-secret-file secrets \\
    --tls-ca ca.pem --tls-certificate me.pem --tls-key-file me-key.pem
  hookgate destination create large https://crm.example/in --where 'event.payload.amount > 100' \\
    --body '{\"sum\": {{ event.payload.amount }}}'")]
    Create {
        /// Its name
        name: String,
        /// Its address
        #[arg(value_name = "ADDRESS")]
        to: String,
        #[command(flatten)]
        facts: Box<Facts>,
        /// Where it begins: `now`, `oldest` for all that is kept, or the id of an event
        #[arg(long, value_name = "WHERE", default_value = "now")]
        start: String,
        #[command(flatten)]
        access: Access,
        #[command(flatten)]
        listing: Listing,
    },
    /// List the destinations of a workspace
    #[command(visible_alias = "list", after_help = "Example:\n  hookgate destination ls -o json")]
    Ls {
        #[command(flatten)]
        access: Access,
        #[command(flatten)]
        listing: Listing,
    },
    /// Show a destination, and how far it is
    #[command(
        visible_alias = "get",
        after_help = "Example:\n  hookgate destination show shop -o json"
    )]
    Show(Which),
    /// Change a destination: what is not said stays, and so does its place
    #[command(after_help = "\
An empty value ('') unsets what need not be set; all events again is --all-events.

Examples:
  hookgate destination update shop --rate 20/s
  hookgate destination update shop --bearer-file new-key
  hookgate destination update shop --header '' --retry-seconds ''
  hookgate destination update shop --disable")]
    Update {
        #[command(flatten)]
        which: Which,
        /// Its new name
        #[arg(short, long)]
        name: Option<String>,
        /// Its new address
        #[arg(long, value_name = "ADDRESS")]
        to: Option<String>,
        #[command(flatten)]
        facts: Box<Facts>,
        /// Let it get events again, from now on
        #[arg(long, conflicts_with = "disable")]
        enable: bool,
        /// Give it nothing, and keep no place for it: what waits is let go of, and counted as dropped; what comes
        /// meanwhile is not for it. `pause` keeps both
        #[arg(long)]
        disable: bool,
    },
    /// Let a destination wait: it keeps its place
    #[command(after_help = "\
What comes meanwhile is sent after `resume`, as far as the spool keeps it.

Example:
  hookgate destination pause shop")]
    Pause(Which),
    /// Let a destination go on where it was
    #[command(after_help = "Example:\n  hookgate destination resume shop")]
    Resume(Which),
    /// Delete a destination, and what lies parked for it
    #[command(
        visible_alias = "rm",
        after_help = "\
Asks first, unless --yes is said. What was not sent will not be.

Example:
  hookgate destination delete shop --yes"
    )]
    Delete {
        #[command(flatten)]
        which: Which,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}

/// One destination, and how it is printed.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// Its name, or its id
    #[arg(value_name = "NAME|ID")]
    destination: String,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    listing: Listing,
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    runtime()?.block_on(async {
        match command {
            Command::Create { name, to, facts, start, access, listing } => {
                let mut body = facts.body()?;
                body["name"] = name.as_str().into();
                body["to"] = to.as_str().into();
                body["start"] = start.as_str().into();
                let remote = access.workspace().await?;
                let made = remote.call(Method::POST, "destinations/", Some(&body)).await?;
                print(&made, *listing)?;
                warn_of_barrier(&made);
                Ok(())
            }
            Command::Ls { access, listing } => list(access, *listing).await,
            Command::Show(which) => {
                let (_, destination) = which.find().await?;
                print(&destination, which.listing)
            }
            Command::Update { which, name, to, facts, enable, disable } => {
                let mut body = facts.body()?;
                for (key, text) in [("name", name), ("to", to)] {
                    if let Some(text) = text {
                        body[key] = text.as_str().into();
                    }
                }
                if *enable || *disable {
                    body["enabled"] = (*enable).into();
                }
                if body == json!({}) {
                    let what = "nothing is to change: --to, --rate, --event, --bearer-file, …";
                    return Err(Failure::Usage(what.to_owned()));
                }
                if *disable {
                    which.warn_of_waiting().await?;
                }
                let changed = which.change(&body).await?;
                if to.is_some() || *enable {
                    warn_of_barrier(&changed);
                }
                Ok(())
            }
            Command::Pause(which) => which.hold(true).await,
            Command::Resume(which) => which.hold(false).await,
            Command::Delete { which, yes } => {
                let (remote, destination) = which.find().await?;
                let (name, id) = (text(&destination, "name"), text(&destination, "id"));
                let lost = left(&destination);
                prompt::confirm(&format!("delete the destination {name:?} ({id}){lost}"), *yes)?;
                remote.call(Method::DELETE, &format!("destinations/{id}"), None).await?;
                say(&format!("deleted the destination {name:?} ({id}){lost}"));
                Ok(())
            }
        }
    })
}

/// The destination of the workspace that is meant; where there is none, what there is, and where others are.
pub(super) async fn find(remote: &Remote, wanted: &str) -> Result<Value, Failure> {
    match remote.find("destination", "destinations", wanted).await {
        Err(Failure::NotFound(_)) => {}
        found => return found,
    }
    let all = remote.rows("destinations/filter", &json!({})).await?;
    let names: Vec<_> = all.iter().take(NAMES_MAX).map(|one| text(one, "name")).collect();
    let more = if all.len() > NAMES_MAX { ", …" } else { "" };
    let there = match names.len() {
        0 => "the workspace has none".to_owned(),
        _ => format!("there are {}{more}", names.join(", ")),
    };
    let says = format!(
        "no destination of the workspace is called {wanted:?}: {there}. What the gateway's own settings name \
         ([[forward]], --forward) is its operator's: `hookgate replay` without --to sends to that, too, and `hookgate \
         parked ls --data DIR` on its machine shows what lies parked for it"
    );
    Err(Failure::NotFound(one_line(&says)))
}

impl Which {
    /// The gateway, and the destination as it is now.
    async fn find(&self) -> Result<(Remote, Value), Failure> {
        let remote = self.access.workspace().await?;
        let found = find(&remote, &self.destination).await?;
        Ok((remote, found))
    }

    /// Says how many wait that are let go of.
    async fn warn_of_waiting(&self) -> Result<(), Failure> {
        let (_, destination) = self.find().await?;
        let count = destination["status"]["frames_behind"].as_u64().unwrap_or(0);
        if count > 0 {
            let name = text(&destination, "name");
            say(&format!(
                "{count} requests waited for {name:?} and are let go of; `hookgate destination pause` keeps them"
            ));
        }
        Ok(())
    }

    /// Lets it wait or go on; says where neither is seen, as it is off.
    async fn hold(&self, hold: bool) -> Result<(), Failure> {
        let destination = self.change(&json!({ "hold": hold })).await?;
        if destination["enabled"] == false {
            let (name, word) = (text(&destination, "name"), word_for(&destination));
            say(&format!(
                "{name:?} is off and gets nothing: `hookgate destination update {word} --enable` lets it get events \
                 again, from then on"
            ));
        }
        Ok(())
    }

    /// Sets fields, and prints what it is then.
    async fn change(&self, body: &Value) -> Result<Value, Failure> {
        let (remote, destination) = self.find().await?;
        let path = format!("destinations/{}", text(&destination, "id"));
        remote.call(Method::PATCH, &path, Some(body)).await?;
        let destination = remote.call(Method::GET, &path, None).await?;
        print(&destination, self.listing)?;
        Ok(destination)
    }
}

/// What a shell takes for a destination as it is.
fn word_for(destination: &Value) -> String {
    let name = text(destination, "name");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let is_word =
        name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(is_plain);
    if is_word { name } else { text(destination, "id") }
}

/// Says that the network rules refuse the address, where that is known before anything is sent there.
fn warn_of_barrier(destination: &Value) {
    let (word, to) = (word_for(destination), text(destination, "to"));
    let fault = text(&destination["status"], "fault");
    let host =
        fault.strip_prefix("the network rules refuse ").and_then(|rest| rest.split(": ").next());
    if host.is_some_and(|host| to.contains(host)) {
        say(&format!(
            "warning: nothing is sent there: {fault}. That is the operator's to set; `hookgate destination update \
             {word} --to ADDRESS` sends elsewhere"
        ));
    }
}

async fn list(access: &Access, listing: Listing) -> Result<(), Failure> {
    let remote = access.workspace().await?;
    let all = remote.rows("destinations/filter", &json!({})).await?;
    listing.rows(&all, &["NAME", "STATE", "BEHIND", "PARKED", "ID", "TO"], |one| {
        let [name, id, to] = ["name", "id", "to"].map(|key| text(one, key));
        vec![name, state(one).to_owned(), behind(one), parked(one), id, to]
    })
}

/// Prints all of a destination.
fn print(destination: &Value, listing: Listing) -> Result<(), Failure> {
    let json = |key: &str| match &destination[key] {
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let mut lines = vec![
        ("destination", text(destination, "name")),
        ("id", text(destination, "id")),
        ("to", text(destination, "to")),
        ("state", state_and_fault(destination)),
        ("behind", behind(destination)),
        ("parked", parked(destination)),
        ("dropped", dropped(destination)),
        ("filter", json("filter")),
        ("where", text(destination, "where")),
        ("where failed", failures(destination)),
        ("body", text(destination, "body")),
        ("rate", text(destination, "rate")),
        ("burst", json("burst")),
        ("goes at", slowed(destination)),
        ("request rate", text(destination, "request_rate")),
        ("byte rate", text(destination, "byte_rate")),
        ("batch", batch(destination)),
        ("concurrency", json("concurrency")),
        ("ordering", text(destination, "ordering")),
        ("retry", retry(destination)),
        ("on full", text(destination, "on_full")),
        ("headers", json("headers")),
        ("form", text(destination, "form")),
        ("secret since", text(destination, "bearer_set")),
        ("password since", text(destination, "basic_set")),
        ("signs since", text(destination, "sign_secrets_set")),
        ("trusts", shown(destination, "tls_ca", "its own authorities alone")),
        ("certificate", shown(destination, "tls_certificate", "shown to the server")),
        ("key since", text(destination, "tls_key_set")),
        ("created", text(destination, "created")),
        ("updated", text(destination, "updated")),
    ];
    lines.retain(|(_, value)| !value.is_empty());
    listing.record(destination, &lines)
}

/// Some words, where a field says something that is too long to show.
fn shown(destination: &Value, field: &str, words: &str) -> String {
    if destination[field].is_null() { String::new() } else { words.to_owned() }
}

/// What one request carries, as far as that was said.
fn batch(destination: &Value) -> String {
    let units = [("batch_events", "events"), ("batch_bytes", "bytes"), ("linger_ms", "ms wait")];
    said(destination, &units)
}

/// How it is tried again, as far as that was said.
fn retry(destination: &Value) -> String {
    let units = [
        ("retry_seconds", "s in all"),
        ("retry_first_ms", "ms at first"),
        ("retry_most_ms", "ms at most"),
    ];
    said(destination, &units)
}

fn said(destination: &Value, units: &[(&str, &str)]) -> String {
    let one = |(field, unit): &(&str, &str)| {
        destination[*field].as_u64().map(|number| format!("{number} {unit}"))
    };
    units.iter().filter_map(one).collect::<Vec<_>>().join(", ")
}

fn state(destination: &Value) -> &'static str {
    match (&destination["enabled"], &destination["hold"]) {
        (Value::Bool(false), _) => "off",
        (_, Value::Bool(true)) => "paused",
        _ if destination["status"]["fault"].is_string() => "failing",
        _ => "on",
    }
}

/// The state, and why it fails if it does.
fn state_and_fault(destination: &Value) -> String {
    match (state(destination), text(&destination["status"], "fault")) {
        (state @ "failing", fault) => format!("{state}: {fault}"),
        (state, _) => state.to_owned(),
    }
}

/// What goes with one that is deleted.
fn left(destination: &Value) -> String {
    let count = |name: &str| destination["status"][name].as_u64().unwrap_or(0);
    match (count("frames_behind"), count("parked")) {
        (0, 0) => String::new(),
        (waits, parks) => {
            format!(", and let go of {waits} requests that wait and {parks} parked events")
        }
    }
}

/// Events that lie parked for it, if any.
fn parked(destination: &Value) -> String {
    let count = destination["status"]["parked"].as_u64().filter(|count| *count > 0);
    count.map(|count| count.to_string()).unwrap_or_default()
}

/// Requests it has not got yet, if that is known.
fn behind(destination: &Value) -> String {
    let status = &destination["status"];
    status["frames_behind"].as_u64().map(|frames| frames.to_string()).unwrap_or_default()
}

/// Requests it lost unsent, if any.
fn dropped(destination: &Value) -> String {
    let count = destination["status"]["frames_dropped"].as_u64().filter(|count| *count > 0);
    count.map(|count| format!("{count} requests, never sent")).unwrap_or_default()
}

/// The share of its pace at which it goes, unless that is all of it.
fn slowed(destination: &Value) -> String {
    let share = destination["status"]["pace_share"].as_f64().filter(|share| *share < 1.0);
    let words = |share: f64| {
        format!(
            "{:.0} % of its pace: its answers slowed it; each that is good quickens it",
            100.0 * share
        )
    };
    share.map(words).unwrap_or_default()
}

/// How often its expression failed, and why the last time.
fn failures(destination: &Value) -> String {
    let status = &destination["status"];
    match status["where_failures"].as_u64() {
        None | Some(0) => String::new(),
        Some(count) => format!("{count} times since it changed: {}", text(status, "where_failure")),
    }
}

/// A file with a secret, as flags name it.
type SecretFile = PathBuf;
