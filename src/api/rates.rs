//! Which rates stand, and what is used of them (contract 10.4). In: a place, and a time. Out: figures of the budgets
//! that hooks and publishers are charged by, by the minute or summed up. They are written down each minute, with every
//! question, and at the end: a crash loses those of a minute at most. Kept for some days; never in the way of a hook.

use std::time::Duration;

use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::problem::Problem;
use super::question::reply;
use super::{Api, Call, text};
use crate::accept::Reply;
use crate::catalogue::Fault;
use crate::clock::Time;
use crate::limit::{Bucket, Rate, minute_of, minute_start};
use crate::request::Arrival;
use crate::store::{StoreError, Sum, TALLIED_DAYS};

/// Between two times that figures are written down.
pub(super) const WRITE_EVERY: Duration = Duration::from_mins(1);
/// How long a budget that was used up counts as such.
const EXCEEDED_MINUTES: i64 = 15;
/// Budgets of one question.
const KEYS_MAX: usize = 100;
/// Figures of one answer: as many as a whole term of several budgets.
const FIGURES_MAX: usize = 100_000;
/// What a question about minutes, and one about sums, looks back at unless it says otherwise.
const USAGE_MINUTES: i64 = 3 * 1440;
const SUMS_MINUTES: i64 = 60;
/// The longest term of minutes.
const TERM_MINUTES: i64 = TALLIED_DAYS * 1440;

/// A time in whole minutes, both ends too.
#[derive(Clone, Copy, Debug)]
struct Span {
    since: i64,
    until: i64,
}

/// What was asked of one budget, minute by minute.
struct Series {
    bucket: Bucket,
    limit: Option<u64>,
    /// What passed and what did not.
    minutes: Vec<(u64, u64)>,
}

impl Span {
    /// What a query asks about, as far as figures are kept.
    fn read(query: &str, now: Time, fallback: i64) -> Result<Self, Problem> {
        let fault = |name, says: &str| {
            Problem::Invalid(vec![Fault::new("datetime_parsing", &["query", name], says)])
        };
        let minute = |name| match text::find(query, name) {
            Some(text) => match Time::parse(&text) {
                Some(time) => Ok(Some(minute_of(time))),
                None => Err(fault(name, "Input should be a valid datetime")),
            },
            None => Ok(None),
        };
        let now = minute_of(now);
        let until = minute("until")?.unwrap_or(now).min(now);
        let since = minute("since")?.unwrap_or(until - fallback);
        if since > until {
            return Err(fault("since", "Value error, it begins behind its end"));
        }
        // Of what is older nothing is kept: its minutes would all be 0, and were not.
        Ok(Self { since: since.max(now - TERM_MINUTES), until: until.max(now - TERM_MINUTES) })
    }

    fn minutes(self) -> usize {
        usize::try_from(self.until - self.since + 1).unwrap_or(0)
    }
}

impl Api {
    /// Writes down what was asked since the last time.
    pub(super) async fn write_tallies(&self) -> Result<(), StoreError> {
        let tallies = self.options.limits.ledger().take();
        if tallies.is_empty() {
            return Ok(());
        }
        let now = minute_of(self.clock.now());
        let written = self.store.add_tallies(tallies.clone(), now).await;
        if written.is_err() {
            self.options.limits.ledger().add(tallies);
        }
        written
    }

    /// Writes it down, or says in the log why not.
    pub(super) async fn look_after_tallies(&self) {
        if let Err(fault) = self.write_tallies().await {
            tracing::warn!(%fault, "figures of limits could not be kept; it is tried again");
        }
    }

    /// The rate that a budget has.
    fn rate(&self, bucket: Bucket) -> Option<Rate> {
        let rates = self.options.limits.rates();
        match bucket {
            Bucket::Webhooks => rates.account,
            Bucket::Webhook { .. } => rates.webhook,
            Bucket::Events => rates.event,
        }
    }

    /// Tells which rates stand in an account, or for the webhooks of a workspace, and what is used of them.
    pub(super) async fn rates(&self, call: &Call, arrival: &Arrival) -> Result<Reply, Problem> {
        let query = arrival.target.query().unwrap_or_default();
        let span = Span::read(query, self.clock.now(), SUMS_MINUTES)?;
        self.write_tallies().await?;
        let sums = self.store.sums(call.account(), call.workspace(), span.since).await?;
        let mut rows = Vec::new();
        if call.workspace().is_none() {
            let rates = self.options.limits.rates();
            rows.push(row("senders", "each sender's address", rates.peer, "peer", None));
            rows.push(row("webhooks/{id}", "each webhook", rates.webhook, "webhook", None));
            for (bucket, name, setting) in [
                (Bucket::Webhooks, "all webhooks of the account", "account"),
                (Bucket::Events, "events published to the account", "event"),
            ] {
                let sum = sums.iter().copied().find(|sum| sum.bucket == bucket);
                let none = Sum { bucket, granted: 0, refused: 0, peak: 0, exceeded: None };
                let sum = sum.unwrap_or(none);
                rows.push(row(&bucket.to_string(), name, self.rate(bucket), setting, Some(sum)));
            }
        } else {
            let id = |sum: &Sum| match sum.bucket {
                Bucket::Webhook { id, .. } => Some(id),
                Bucket::Webhooks | Bucket::Events => None,
            };
            let hooks = self.store.records(sums.iter().filter_map(id).collect()).await?;
            for sum in sums {
                let Some(hook) = hooks.iter().find(|hook| Some(hook.id) == id(&sum)) else {
                    continue;
                };
                let (key, rate) = (sum.bucket.to_string(), self.rate(sum.bucket));
                rows.push(row(&key, hook.text("name"), rate, "webhook", Some(sum)));
            }
        }
        Ok(reply(call, &rows.into()))
    }

    /// Tells which budgets of an account were used up within the last minutes.
    pub(super) async fn rate_status(&self, call: &Call) -> Result<Reply, Problem> {
        self.write_tallies().await?;
        let since = minute_of(self.clock.now()) - EXCEEDED_MINUTES + 1;
        let sums = self.store.sums(call.account(), None, since).await?;
        let mut exceeded: Vec<&str> = sums
            .iter()
            .filter(|sum| sum.refused > 0)
            .filter_map(|sum| match sum.bucket {
                Bucket::Webhooks => Some("webhooks"),
                Bucket::Events => Some("logs-and-events"),
                Bucket::Webhook { .. } => None,
            })
            .collect();
        exceeded.sort_unstable();
        Ok(reply(call, &json!({ "exceeded_buckets": exceeded })))
    }

    /// Tells what was asked of budgets, by the minute.
    pub(super) async fn rate_usage(
        &self,
        call: &Call,
        arrival: &Arrival,
    ) -> Result<Reply, Problem> {
        let (span, all) = self.series(call, arrival).await?;
        let minutes: Vec<String> =
            (span.since..=span.until).map(|minute| minute_start(minute).to_string()).collect();
        let mut keys = serde_json::Map::new();
        for series in all {
            let granted = series.minutes.iter().map(|(granted, _)| *granted);
            let requested = series.minutes.iter().map(|(granted, refused)| granted + refused);
            let granted: Vec<u64> = granted.collect();
            let told = json!({
                "limit": vec![series.limit; series.minutes.len()],
                "usage": granted,
                "requested": requested.collect::<Vec<_>>(),
                "granted": granted,
            });
            keys.insert(series.bucket.to_string(), told);
        }
        let told = json!({
            "account": call.account().to_string(),
            "since": minutes.first(),
            "until": minutes.last(),
            "minutes": minutes,
            "keys": keys,
        });
        Ok(reply(call, &told))
    }

    /// The same as a table of commas; minutes in which nothing was asked are left out.
    pub(super) async fn rate_download(
        &self,
        call: &Call,
        arrival: &Arrival,
    ) -> Result<Reply, Problem> {
        let (span, all) = self.series(call, arrival).await?;
        let mut lines = "minute,key,limit,usage,requested,granted\r\n".to_owned();
        for series in all {
            let limit = series.limit.map(|limit| limit.to_string()).unwrap_or_default();
            for (minute, (granted, refused)) in (span.since..).zip(&series.minutes) {
                let requested = granted + refused;
                if requested > 0 {
                    let (minute, key) = (minute_start(minute), series.bucket);
                    let line = format!("{minute},{key},{limit},{granted},{requested},{granted}");
                    lines.push_str(&line);
                    lines.push_str("\r\n");
                }
            }
        }
        let mut reply = Reply::json(StatusCode::OK, lines);
        let table = HeaderValue::from_static("text/csv; charset=utf-8");
        reply.headers.insert(CONTENT_TYPE, table);
        let file = HeaderValue::from_static("attachment; filename=\"rate-limits.csv\"");
        Ok(reply.with(CONTENT_DISPOSITION, file))
    }

    /// The budgets that a query asks about; of keys that are none here nothing is told.
    async fn series(&self, call: &Call, arrival: &Arrival) -> Result<(Span, Vec<Series>), Problem> {
        let query = arrival.target.query().unwrap_or_default();
        let span = Span::read(query, self.clock.now(), USAGE_MINUTES)?;
        let mut asked: Vec<String> = text::find_all(query, "keys").take(KEYS_MAX + 1).collect();
        let is_long = asked.len() > KEYS_MAX;
        asked.retain(|key| !key.is_empty());
        let is_said = !asked.is_empty();
        asked.sort_unstable();
        asked.dedup();
        let workspace = call.workspace();
        let mut buckets: Vec<Bucket> =
            asked.iter().filter_map(|key| Bucket::parse(key, workspace)).collect();
        self.write_tallies().await?;
        if !is_said && workspace.is_none() {
            buckets = vec![Bucket::Webhooks, Bucket::Events];
        } else if !is_said {
            let most = FIGURES_MAX / span.minutes().max(1);
            let sums = self.store.sums(call.account(), workspace, span.since).await?;
            buckets = sums.iter().map(|sum| sum.bucket).take(most.max(1)).collect();
        }
        if is_long || buckets.len().saturating_mul(span.minutes()) > FIGURES_MAX {
            let says = format!(
                "Value error, at most {KEYS_MAX} keys, and {FIGURES_MAX} minutes of all of them"
            );
            return Err(Problem::Invalid(vec![Fault::new("too_long", &["query", "keys"], says)]));
        }
        let mut all = Vec::with_capacity(buckets.len());
        for bucket in buckets {
            let both = (span.since, span.until);
            let mut minutes = vec![(0, 0); span.minutes()];
            for tally in self.store.tallies(call.account(), bucket, both).await? {
                let place = usize::try_from(tally.minute - span.since).unwrap_or(usize::MAX);
                if let Some(figures) = minutes.get_mut(place) {
                    *figures = (tally.granted, tally.refused);
                }
            }
            // Of what comes at long intervals, one may come in a minute.
            let limit = self.rate(bucket).map(|rate| rate.per_minute().max(1));
            all.push(Series { bucket, limit, minutes });
        }
        Ok((span, all))
    }
}

/// One rate, and what was asked of it.
fn row(key: &str, name: &str, rate: Option<Rate>, setting: &str, sum: Option<Sum>) -> Value {
    json!({
        "key": key,
        "name": name,
        "limit": rate.map(|rate| rate.to_string()),
        "burst": rate.map(Rate::burst),
        "setting": format!("limits.{setting}_rate"),
        "granted": sum.map(|sum| sum.granted),
        "refused": sum.map(|sum| sum.refused),
        "peak": sum.map(|sum| sum.peak),
        "exceeded": sum.and_then(|sum| sum.exceeded).map(|minute| minute_start(minute).to_string()),
    })
}
