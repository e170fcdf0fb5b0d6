//! `hookgate request`: requests that webhooks of a running gateway kept. In: which of them. Out: lists, whole requests,
//! request files, commands of curl, or the same requests once more, sent from here to an address that is named. Never
//! a secret header: the gateway keeps none.

pub(super) mod curl;
mod forward;
mod pages;

use std::time::{Duration, Instant};

use http::Method;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::access::{Access, Remote};
use super::case::Request;
use super::client::runtime;
use super::listing::{Listing, text};
use super::output::{Failure, clean, print_line, print_text, say};
use crate::cli::webhook::redaction::told_of;
use crate::id::Uuid;
use pages::{Pages, Wanted};

/// Between two words of how far something is.
const SELDOM: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List kept requests, newest first
    #[command(
        visible_alias = "list",
        after_help = "\
A line has the moment, the id, what became of the request, its bytes, its webhook, and which template it met.

Examples:
  hookgate request ls --webhook github --since 1h
  hookgate request ls --outcome failed --limit 500 -o ndjson
  hookgate request ls --since 1d --where \"body.order.total > 100 and headers['x-shop'] == 'north'\""
    )]
    Ls {
        #[command(flatten)]
        wanted: Wanted,
        /// Oldest first
        #[arg(long)]
        oldest_first: bool,
        #[command(flatten)]
        access: Access,
        #[command(flatten)]
        listing: Listing,
    },
    /// Show one kept request
    #[command(
        visible_alias = "get",
        after_help = "\
With --case it is a request file, as `hookgate render`, `test` and `send` read them.

Examples:
  hookgate request show 019ab2f0-6f4e-7cc1-9a8b-0d8b1c4f9f10
  hookgate request show 019ab2f0-6f4e-7cc1-9a8b-0d8b1c4f9f10 --case > cases/broken.request.json"
    )]
    Show {
        /// Its id: that of its received event, which the reply's Hookgate-Receipt said
        id: Uuid,
        /// Print a request file and nothing else
        #[arg(long, conflicts_with = "output")]
        case: bool,
        #[command(flatten)]
        access: Access,
        #[command(flatten)]
        listing: Listing,
    },
    /// Print the command of curl that sends a kept request again
    #[command(after_help = curl::EXAMPLE)]
    Curl(curl::Args),
    /// Print kept requests whole, a line of JSON each, oldest first: all that are wanted
    #[command(after_help = "\
Exit codes: 0 all of them, 8 some were kept no longer when it was their turn, or do not open.

Example:
  hookgate request export --webhook github --since 1d > requests.ndjson")]
    Export {
        #[command(flatten)]
        wanted: Wanted,
        #[command(flatten)]
        access: Access,
    },
    /// Send kept requests from this machine to an address
    #[command(after_help = forward::EXAMPLE)]
    Forward(Box<forward::Args>),
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    runtime()?.block_on(async {
        match command {
            Command::Ls { wanted, oldest_first, access, listing } => {
                list(wanted, *oldest_first, access, *listing).await
            }
            Command::Show { id, case, access, listing } => {
                let whole = read(&access.workspace().await?, *id).await?;
                if *case {
                    whole.warn();
                    return print_text(&whole.request()?.text());
                }
                show(&whole, *listing)
            }
            Command::Curl(args) => curl::run(args).await,
            Command::Export { wanted, access } => export(wanted, access).await,
            Command::Forward(args) => forward::run(args).await,
        }
    })
}

/// A request as a gateway tells it, its text untouched.
struct Whole(String);

impl Whole {
    /// The request itself.
    fn request(&self) -> Result<Request, Failure> {
        #[derive(Deserialize)]
        struct Told<'a> {
            #[serde(borrow)]
            request: &'a RawValue,
        }
        let told: Result<Told<'_>, _> = serde_json::from_str(&self.0);
        let told = told.map_err(|fault| Failure::No(format!("this is no request: {fault}")))?;
        Request::parse(told.request.get())
            .map_err(|fault| Failure::No(format!("this is no request: {fault}")))
    }

    /// All else that is said of it.
    fn facts(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or_default()
    }

    /// Warns of what it is not kept with as it came.
    fn warn(&self) {
        let facts = self.facts();
        let places = told_of(&facts);
        if !places.is_empty() {
            let id = text(&facts, "id");
            say(&clean(&format!("warning: {id} has [redacted] in place of: {places}")));
        }
    }

    /// The same on one line: only between its parts can a line end.
    fn flat(&self) -> String {
        self.0.replace(['\n', '\r'], " ")
    }
}

/// One request, whole.
async fn read(remote: &Remote, id: Uuid) -> Result<Whole, Failure> {
    let address = format!("{}{}/requests/{id}", remote.base, remote.place);
    let answer = remote.exchange(Method::GET, &address, String::new()).await;
    let answer = answer.map_err(|failure| failure.about(&format!("the request {id}")))?;
    Ok(Whole(String::from_utf8_lossy(&answer).into_owned()))
}

/// One request of many, whole. What is let go of while this runs, or does not open, is told, and no reason to stop.
async fn read_kept(remote: &Remote, id: Uuid) -> Result<Option<Whole>, Failure> {
    match read(remote, id).await {
        Ok(whole) => Ok(Some(whole)),
        Err(Failure::No(said)) if ["409", "410"].iter().any(|code| said.contains(code)) => {
            say(&said);
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

async fn list(
    wanted: &Wanted,
    oldest_first: bool,
    access: &Access,
    listing: Listing,
) -> Result<(), Failure> {
    let remote = access.workspace().await?;
    let mut pages = Pages::open(remote, wanted, wanted.listed(), oldest_first).await?;
    let mut rows = Vec::new();
    while let Some(page) = pages.next().await? {
        rows.extend(page);
    }
    let head = ["RECEIVED", "ID", "OUTCOME", "BYTES", "WEBHOOK", "TEMPLATE"];
    listing.rows(&rows, &head, |row| {
        let bytes = row["content_length"].to_string();
        let template = number(row, "template_version");
        let [received, id, outcome, webhook] =
            ["received", "id", "outcome", "webhook_id"].map(|key| text(row, key));
        let is_healed = row["replayed_event_id"].is_string();
        let outcome = if is_healed { format!("{outcome}, replayed") } else { outcome };
        vec![received, id, outcome, bytes, webhook, template]
    })?;
    pages.tell_undecided();
    if pages.has_more() && listing.is_table() {
        say(&format!("the first {}; --limit shows more", rows.len()));
    }
    Ok(())
}

/// A number of a row, or nothing.
fn number(row: &Value, key: &str) -> String {
    row[key].as_u64().map(|number| number.to_string()).unwrap_or_default()
}

fn show(whole: &Whole, listing: Listing) -> Result<(), Failure> {
    let facts = whole.facts();
    if !listing.is_table() {
        return print_line(&whole.flat());
    }
    let request = whole.request()?;
    let headers = request.headers.iter();
    let headers: Vec<String> = headers
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    let mut lines = vec![
        ("request", text(&facts, "id")),
        ("received", text(&facts, "received")),
        ("webhook", text(&facts, "webhook_id")),
        ("template", number(&facts, "template_version")),
        ("outcome", text(&facts, "outcome")),
        ("event", text(&facts, "event_id")),
        ("error", text(&facts, "error")),
        ("redacted", told_of(&facts)),
        ("method", request.method.to_string()),
        ("query", request.query.clone().unwrap_or_default()),
        ("headers", headers.join("\n")),
        ("body", String::from_utf8_lossy(&request.body).into_owned()),
    ];
    lines.retain(|(_, value)| !value.is_empty());
    listing.record(&facts, &lines)
}

async fn export(wanted: &Wanted, access: &Access) -> Result<(), Failure> {
    let remote = access.workspace().await?;
    let mut pages = Pages::open(remote.clone(), wanted, wanted.all(), true).await?;
    let (mut count, mut missing, mut told) = (0_u64, 0_u64, Instant::now());
    while let Some(page) = pages.next().await? {
        for row in page {
            match read_kept(&remote, pages::id(&row)?).await? {
                Some(whole) => print_line(&whole.flat())?,
                None => missing += 1,
            }
            count += 1;
            if told.elapsed() >= SELDOM {
                say(&format!("{count} requests"));
                told = Instant::now();
            }
        }
    }
    pages.tell_undecided();
    match missing {
        0 => Ok(()),
        _ => Err(Failure::Partly(format!("{missing} of {count} requests are not among them"))),
    }
}
