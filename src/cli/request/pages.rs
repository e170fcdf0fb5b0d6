//! Lists of kept requests, page by page. In: what narrows them. Out: rows, up to a number that was said.

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::cli::access::Remote;
use crate::cli::listing::text;
use crate::cli::moment::{Moment, check_span, moment};
use crate::cli::output::{Failure, say};
use crate::cli::snippet::tell_strangers;
use crate::clock::Clock;
use crate::id::Uuid;
use crate::render::Sight;

/// Most requests of one page.
const PAGE: u64 = 200;
/// Requests of a list, when nothing is said.
const LISTED: u64 = 50;

/// Which requests.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Wanted {
    /// Only those of a webhook: its name, or its id
    #[arg(long, value_name = "NAME|ID")]
    pub(super) webhook: Option<String>,
    /// Not before this moment: 15m, 1h, 7d ago, or 2026-11-23T22:00:00Z
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    since: Option<Moment>,
    /// Not after this moment
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    until: Option<Moment>,
    /// Only those that came to this
    #[arg(long, value_parser = ["event", "failed", "handshake"])]
    outcome: Option<String>,
    /// Only requests of which this is true: an expression over method, headers and body, as templates see them
    #[arg(long = "where", value_name = "EXPR")]
    pub(super) condition: Option<String>,
    /// Most requests; a list that says nothing of it has 50, everything else all that are wanted
    #[arg(long, value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    limit: Option<u64>,
}

impl Wanted {
    /// As many as a list shows, unless it says how many.
    pub(super) fn listed(&self) -> u64 {
        self.limit.unwrap_or(LISTED)
    }

    /// All of them, unless it says how many.
    pub(super) fn all(&self) -> u64 {
        self.limit.unwrap_or(u64::MAX)
    }

    /// Whether anything says which.
    pub(super) fn says_which(&self) -> bool {
        let Self { webhook, since, until, outcome, condition, limit } = self;
        let texts = [webhook, outcome, condition].into_iter().any(Option::is_some);
        texts || since.is_some() || until.is_some() || limit.is_some()
    }
}

/// Pages of a list, as they are asked for.
pub(super) struct Pages {
    remote: Remote,
    query: String,
    left: u64,
    /// Of what is looked at, few may be among those that are wanted.
    is_sifted: bool,
    /// Requests on which the condition fails.
    undecided: u64,
    after: Option<String>,
    is_over: bool,
}

impl Pages {
    /// At most so many; asks for nothing yet, but for a webhook of that name.
    pub(super) async fn open(
        remote: Remote,
        wanted: &Wanted,
        left: u64,
        oldest_first: bool,
    ) -> Result<Self, Failure> {
        check_span(wanted.since, wanted.until)?;
        tell_strangers(wanted.condition.as_deref(), Sight::Request);
        let now = Clock::System.now();
        let mut query = vec![format!("order={}", if oldest_first { "ASC" } else { "DESC" })];
        if let Some(webhook) = &wanted.webhook {
            let found = remote.find("webhook", "webhooks", webhook).await?;
            query.push(format!("webhook_id={}", text(&found, "id")));
        }
        if let Some(since) = wanted.since {
            query.push(format!("since={}", since.before(now)));
        }
        // What comes meanwhile, of this command perhaps, is none of it.
        let until = wanted.until.map(|until| until.before(now)).or(oldest_first.then_some(now));
        if let Some(until) = until {
            query.push(format!("until={until}"));
        }
        if let Some(outcome) = &wanted.outcome {
            query.push(format!("outcome={outcome}"));
        }
        if let Some(condition) = &wanted.condition {
            query.push(format!("where={}", utf8_percent_encode(condition, NON_ALPHANUMERIC)));
        }
        let (query, is_sifted) = (query.join("&"), wanted.condition.is_some());
        Ok(Self { remote, query, left, is_sifted, undecided: 0, after: None, is_over: false })
    }

    /// The next page, as long as there is one.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Value>>, Failure> {
        if self.is_over || self.left == 0 {
            return Ok(None);
        }
        let page = if self.is_sifted { PAGE } else { self.left.min(PAGE) };
        let mut path = format!("requests?{}&limit={page}", self.query);
        if let Some(after) = &self.after {
            path = format!("{path}&after={after}");
        }
        let mut answer = self.remote.call(Method::GET, &path, None).await?;
        let Value::Array(mut rows) = answer["requests"].take() else {
            return Err(Failure::No(format!("{}: requests gave no list", self.remote.base)));
        };
        self.undecided += answer["undecided"].as_u64().unwrap_or(0);
        self.after = answer["after"].as_str().map(str::to_owned);
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        self.is_over = self.after.is_none() && rows.len() <= most;
        rows.truncate(most);
        self.left -= rows.len() as u64;
        Ok(Some(rows))
    }

    /// Says of how many it is not known whether they are wanted.
    pub(super) fn tell_undecided(&self) {
        if self.undecided > 0 {
            say(&format!("{} left out, for --where fails on them", self.undecided));
        }
    }

    /// Whether there may be more than were asked for.
    pub(super) fn has_more(&self) -> bool {
        !self.is_over
    }
}

/// The id of a row.
pub(super) fn id(row: &Value) -> Result<Uuid, Failure> {
    let id = row["id"].as_str().and_then(|id| Uuid::parse_str(id).ok());
    id.ok_or_else(|| Failure::No("a request has no id".to_owned()))
}
