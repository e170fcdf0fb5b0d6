//! `hookgate event ls` and `event show`: events that a gateway keeps. In: what is asked for. Out: events, a page at a
//! time. The key goes only to the gateway that was asked, wherever the next page is said to be.

use bytes::Bytes;
use http::Method;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::line::{Page, Seen, flat};
use super::wanted::Wanted;
use crate::cli::access::{Access, Remote};
use crate::cli::listing::Listing;
use crate::cli::moment::{Moment, check_span, moment};
use crate::cli::output::{Failure, one_line, print_line, print_text, say};
use crate::cli::pretty;
use crate::clock::Clock;
use crate::id::Uuid;

/// Most events of one page.
const PAGE: u64 = 100;

pub(super) const EXAMPLE: &str = "\
Newest first. A line has the moment, the id, the name and the resource of an event; `-o ndjson` is the event
itself. On stderr stands how many there are, when not all are shown.

Examples:
  hookgate event ls --since 1h
  hookgate event ls --event 'github.*' --text 'release -draft' --limit 500 -o ndjson
  hookgate event ls --whole-account --event 'prefect-cloud.*' --related actor=prefect-cloud.actor.ID";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    wanted: Wanted,
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
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    listing: Listing,
}

pub(super) async fn run(args: &Args) -> Result<(), Failure> {
    let remote = args.wanted.open(&args.access).await?;
    let question = Question {
        filter: args.wanted.filter(),
        since: args.wanted.since,
        until: args.until,
        limit: args.limit,
        oldest_first: args.oldest_first,
    };
    question.print(&remote, args.listing, Seen::line).await
}

/// A question for events.
pub(in crate::cli) struct Question {
    /// Which, but for their time.
    pub(in crate::cli) filter: Map<String, Value>,
    pub(in crate::cli) since: Option<Moment>,
    pub(in crate::cli) until: Option<Moment>,
    pub(in crate::cli) limit: u64,
    pub(in crate::cli) oldest_first: bool,
}

impl Question {
    /// Most events of one answer.
    pub(in crate::cli) const LIMIT_MAX: u64 = 1_000_000;

    fn body(&self) -> String {
        let now = Clock::System.now();
        let mut occurred = json!({});
        for (name, moment) in [("since", self.since), ("until", self.until)] {
            if let Some(moment) = moment {
                occurred[name] = moment.before(now).to_string().into();
            }
        }
        let mut filter = Value::from(self.filter.clone());
        filter["occurred"] = occurred;
        filter["order"] = if self.oldest_first { "ASC" } else { "DESC" }.into();
        json!({ "filter": filter, "limit": self.limit.min(PAGE) }).to_string()
    }

    /// Prints the answer, page by page; `line` is what people see of an event.
    pub(in crate::cli) async fn print(
        &self,
        remote: &Remote,
        listing: Listing,
        line: impl Fn(&Seen) -> String,
    ) -> Result<(), Failure> {
        check_span(self.since, self.until)?;
        let mut shown = 0;
        if listing.is_json() {
            print_text("[")?;
        }
        let total = self
            .each(remote, |event| {
                if listing.is_table() {
                    let line = Seen::of(event).map(|seen| line(&seen)).unwrap_or_default();
                    print_line(&one_line(&line))?;
                } else if listing.is_json() {
                    let separator = if shown == 0 { "" } else { "," };
                    print_text(&format!("{separator}{}", flat(event)))?;
                } else {
                    print_line(&flat(event))?;
                }
                shown += 1;
                Ok(())
            })
            .await?;
        if total > shown {
            say(&format!("{shown} of {total} events; --limit shows more"));
        }
        if listing.is_json() { print_line("]") } else { Ok(()) }
    }

    /// Hands every event of the answer on, page by page; how many there are in all.
    pub(in crate::cli) async fn each(
        &self,
        remote: &Remote,
        mut take: impl FnMut(&RawValue) -> Result<(), Failure>,
    ) -> Result<u64, Failure> {
        check_span(self.since, self.until)?;
        let mut answer = first(remote, self.body()).await?;
        let mut taken = 0;
        loop {
            let page = page(remote, &answer)?;
            let room = self.limit - taken;
            for event in page.events.iter().take(room as usize) {
                take(event)?;
                taken += 1;
            }
            match &page.next {
                Some(next) if taken < self.limit && !page.events.is_empty() => {
                    let address = here(remote, next)?;
                    answer = remote.exchange(Method::GET, &address, String::new()).await?;
                }
                next => {
                    let more = u64::from(next.is_some());
                    return Ok(page.total.max(taken + more));
                }
            }
        }
    }
}

/// Shows one event.
pub(super) async fn show(
    access: &Access,
    id: Uuid,
    whole_account: bool,
    listing: Listing,
) -> Result<(), Failure> {
    let remote = if whole_account { access.account().await? } else { access.workspace().await? };
    let filter = json!({ "id": { "id": [id.to_string()] } });
    let answer = first(&remote, json!({ "filter": filter, "limit": 1 }).to_string()).await?;
    let page = page(&remote, &answer)?;
    let Some(event) = page.events.first() else {
        let hint = if whole_account { "" } else { "; --whole-account looks beyond the workspace" };
        return Err(Failure::NotFound(format!("there is no event {id} here{hint}")));
    };
    if listing.is_table() {
        print_text(&pretty::laid_out(event.get()))
    } else {
        print_line(&flat(event))
    }
}

async fn first(remote: &Remote, body: String) -> Result<Bytes, Failure> {
    let address = format!("{}{}/events/filter", remote.base, remote.place);
    remote.exchange(Method::POST, &address, body).await
}

fn page<'a>(remote: &Remote, answer: &'a [u8]) -> Result<Page<'a>, Failure> {
    serde_json::from_slice(answer).map_err(|fault| {
        Failure::No(format!("{}: this is no page of events: {fault}", remote.base))
    })
}

/// The address of the next page at the gateway that was asked: what it calls itself may be another one.
fn here(remote: &Remote, next: &str) -> Result<String, Failure> {
    let path = next.find("/api/").and_then(|at| next.get(at..));
    let path = path.ok_or_else(|| {
        Failure::No(format!("{}: the next page is said to be at {next:?}", remote.base))
    })?;
    Ok(format!("{}{path}", remote.base))
}
