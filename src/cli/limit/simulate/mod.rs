//! `hookgate limit simulate`: what a limit of webhooks or the pace of a destination would have done with what came. In:
//! a setting; events of a gateway, or of a file. Out: what would have been refused, or how long what would have
//! waited; and the least setting that would have done. The budgets are the gateway's own.

mod course;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use self::course::Course;
use super::webhook;
use crate::cli::access::{Access, Remote};
use crate::cli::destination;
use crate::cli::event::{Question, Wanted};
use crate::cli::listing::{Listing, text};
use crate::cli::moment::{Moment, check_span, moment, seconds};
use crate::cli::output::{Failure, say};
use crate::clock::{Clock, Time};
use crate::config::RateText;
use crate::event::{plain_name, write_received};
use crate::limit::{
    Batch, Offer, Rate, burst_that_refuses_none, pace, rate_that_keeps_within, refuse,
};
use crate::spool;

pub(super) const EXAMPLE: &str = "\
Without --webhook, --each-webhook or --all-webhooks it is about a pace: events that come faster than --rate,
--request-rate and --byte-rate allow wait. With one of these it is about a limit, which refuses. Requests that were
refused when they came are no events, and not counted here: `hookgate limit usage` tells of them.

--data reads what the data folder of a gateway that does not run still holds, of all accounts: the hour before its last
event, unless --since or --until say another time.

--file takes a line of JSON for each event, as `event ls -o ndjson` and a destination file:PATH write them; no gateway
is asked then. Where an event says when it was received, that counts, else when it occurred.

Examples:
  hookgate limit simulate --rate 100/s --within 5s
  hookgate limit simulate --destination shop --request-rate 10/s --since 6h
  hookgate limit simulate --each-webhook --rate 600/min --burst 100
  hookgate limit simulate --data ./data --rate 100/s --within 5s
  hookgate limit simulate --file events.ndjson --rate 50/s --byte-rate 1000000/s -o json";

/// Looked back at when nothing is said.
const SINCE_SECONDS: i64 = 3600;
/// What a lane sends at once, unless something else is said.
const BATCH: Batch = Batch { events: 500, bytes: 1 << 20 };
/// The event that each kept request makes.
const RECEIVED: &str = "prefect-cloud.webhook.received";
/// Webhooks that are named as refused.
const NAMED_MAX: usize = 10;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// As the limit of this webhook, by name or id
    #[arg(long, value_name = "NAME|ID", conflicts_with_all = ["each_webhook", "all_webhooks"])]
    webhook: Option<String>,
    /// As a limit of each webhook of the workspace, `limits.webhook_rate`
    #[arg(long, conflicts_with = "all_webhooks")]
    each_webhook: bool,
    /// As a limit of all webhooks of the account together, `limits.account_rate`
    #[arg(long)]
    all_webhooks: bool,
    /// As the pace of this destination, with its filter, its `where` and its batches; what is not said is as it has it
    #[arg(long, value_name = "NAME|ID",
          conflicts_with_all = ["webhook", "each_webhook", "all_webhooks", "file", "data"])]
    destination: Option<String>,
    /// Events, or requests, per time, such as 100/s, 600/min or 10/h
    #[arg(long, value_name = "RATE")]
    rate: Option<RateText>,
    /// Events, or requests, at once; as many as --rate says when absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    burst: Option<u32>,
    /// Requests to the destination per time, each with up to --batch-events
    #[arg(long, value_name = "RATE", conflicts_with_all = LIMITS)]
    request_rate: Option<RateText>,
    /// Bytes of events per time
    #[arg(long, value_name = "RATE", conflicts_with_all = LIMITS)]
    byte_rate: Option<RateText>,
    /// Most events of one request; 500 when nothing is said
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch_events: Option<u32>,
    /// Find the least --rate with which nothing would have waited longer, such as 5s or 1m
    #[arg(long, value_name = "TIME", value_parser = seconds, conflicts_with_all = LIMITS,
          requires = "rate")]
    within: Option<i64>,
    /// Read events from this file; `-` is standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Read what the data folder of a gateway holds that does not run
    #[arg(long, value_name = "DIR", conflicts_with_all = ["file", "webhook"])]
    data: Option<PathBuf>,
    /// Not after this moment
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    until: Option<Moment>,
    /// Most events, the newest
    #[arg(long, value_name = "N", default_value_t = 200_000,
          value_parser = clap::value_parser!(u64).range(1..=Question::LIMIT_MAX))]
    limit: u64,
    #[command(flatten)]
    wanted: Wanted,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    listing: Listing,
}

/// The ways that refuse instead of letting wait.
const LIMITS: [&str; 3] = ["webhook", "each_webhook", "all_webhooks"];

/// What of an event is looked at.
#[derive(Deserialize)]
struct Came {
    received: Option<String>,
    occurred: Option<String>,
    #[serde(default)]
    resource: Map<String, Value>,
}

type Offers = Vec<Offer<String>>;

/// What is asked, and what it is asked about.
struct Case {
    offers: Offers,
    /// Of how many these are the newest.
    total: u64,
}

pub(super) async fn run(args: &Args) -> Result<(), Failure> {
    check_span(args.wanted.since, args.until)?;
    let (case, course) = match (&args.file, &args.data) {
        (Some(file), _) => (args.read(file)?, Course::of(args, &Value::Null)?),
        (None, Some(data)) => (args.look(data)?, Course::of(args, &Value::Null)?),
        (None, None) => args.ask().await?,
    };
    let pacing = course.pacing;
    let Case { offers, total } = &case;
    if offers.is_empty() {
        return Err(Failure::NotFound(
            "nothing came in that time; --since looks back further".into(),
        ));
    }
    if *total > offers.len() as u64 {
        say(&format!("{} of {total} events, the newest; --limit takes more", offers.len()));
    }
    if args.refuses() {
        let rate = pacing.events.ok_or_else(|| {
            Failure::Usage("what limit? say one with --rate, such as 600/min".to_owned())
        })?;
        return args.print_refused(offers, rate);
    }
    if pacing.is_empty() {
        let what =
            "what pace? say one with --rate, --request-rate or --byte-rate, such as --rate 100/s";
        return Err(Failure::Usage(what.to_owned()));
    }
    args.print_paced(offers, &course)
}

impl Args {
    fn refuses(&self) -> bool {
        self.webhook.is_some() || self.each_webhook || self.all_webhooks
    }

    /// What came to a gateway.
    async fn ask(&self) -> Result<(Case, Course), Failure> {
        let mut remote = self.wanted.open(&self.access).await?;
        let mut filter = self.wanted.filter();
        let mut destination = Value::Null;
        if let Some(name) = &self.destination {
            only_itself(&filter, "--destination")?;
            destination = destination::find(&remote, name).await?;
            filter = destination["filter"].as_object().cloned().unwrap_or_default();
            filter.remove("occurred");
        } else if self.refuses() {
            only_itself(&filter, "a limit of webhooks")?;
            filter.insert("event".to_owned(), json!({ "name": [RECEIVED] }));
            if let Some(name) = &self.webhook {
                let id = text(&webhook(&remote, name).await?, "id");
                let id = format!("prefect-cloud.webhook.{id}");
                filter.insert("resource".to_owned(), json!({ "id": [id] }));
            } else if self.all_webhooks {
                remote = remote.account();
            }
        }
        let course = Course::of(self, &destination)?;
        Ok((self.fetch(&remote, filter, &course).await?, course))
    }

    /// Events that a filter matches, and of those the ones that a destination wants.
    async fn fetch(
        &self,
        remote: &Remote,
        filter: Map<String, Value>,
        course: &Course,
    ) -> Result<Case, Failure> {
        let since = self.wanted.since.unwrap_or(Moment::Away { seconds: SINCE_SECONDS });
        let (since, until) = (Some(since), self.until);
        let question = Question { filter, since, until, limit: self.limit, oldest_first: false };
        let (mut offers, mut unwanted) = (Vec::new(), 0);
        let total = question
            .each(remote, |event| {
                if course.wants(event.get()) {
                    offers.extend(self.offer(event.get()));
                } else {
                    unwanted += 1;
                }
                Ok(())
            })
            .await?;
        offers.sort_by_key(|offer| offer.at);
        Ok(Case { offers, total: total - unwanted })
    }

    /// What stands in a file, a line for each event.
    fn read(&self, path: &Path) -> Result<Case, Failure> {
        only_itself(&self.wanted.filter(), "--file")?;
        let fault =
            |why: &dyn std::fmt::Display| Failure::NotLoaded(format!("{}: {why}", path.display()));
        let from: Box<dyn BufRead> = if path.as_os_str() == "-" {
            Box::new(std::io::stdin().lock())
        } else {
            Box::new(BufReader::new(File::open(path).map_err(|why| fault(&why))?))
        };
        let now = Clock::System.now();
        let since = self.wanted.since.map(|since| since.before(now));
        let until = self.until.map(|until| until.before(now));
        let mut offers = Vec::new();
        for (number, line) in from.lines().enumerate() {
            let line = line.map_err(|why| fault(&why))?;
            if line.trim().is_empty() {
                continue;
            }
            let offer = self.offer(&line);
            let offer = offer
                .ok_or_else(|| fault(&format!("line {} is no event with a moment", number + 1)))?;
            let is_within = since.is_none_or(|since| offer.at >= since)
                && until.is_none_or(|until| offer.at <= until);
            if is_within {
                offers.push(offer);
            }
            if offers.len() as u64 > Question::LIMIT_MAX {
                return Err(fault(&format!("more than {} events", Question::LIMIT_MAX)));
            }
        }
        let total = offers.len() as u64;
        offers.sort_by_key(|offer| offer.at);
        offers.drain(..offers.len().saturating_sub(self.limit as usize));
        Ok(Case { offers, total })
    }

    /// What a data folder holds.
    fn look(&self, data: &Path) -> Result<Case, Failure> {
        only_itself(&self.wanted.filter(), "--data")?;
        if !data.join("spool").is_dir() {
            return Err(Failure::NotFound(format!("{}: no spool is there", data.display())));
        }
        let (now, refuses) = (Clock::System.now(), self.refuses());
        let since = self.wanted.since.map(|since| since.before(now));
        let until = self.until.map(|until| until.before(now));
        let (mut newest, mut total) = (VecDeque::new(), 0);
        let most = self.limit as usize;
        spool::each(data, &mut |kept| {
            for event in &kept.events {
                let mut told = Vec::with_capacity(event.json.len() + 160);
                write_received(&mut told, &event.json, kept.received, kept.account, kept.workspace);
                let offer = std::str::from_utf8(&told).ok().and_then(|told| self.offer(told));
                let is_meant = !refuses || plain_name(&event.json) == Some(RECEIVED);
                let Some(offer) = offer.filter(|_| is_meant) else { continue };
                if since.is_none_or(|since| offer.at >= since)
                    && until.is_none_or(|until| offer.at <= until)
                {
                    total += 1;
                    newest.push_back(offer);
                    if newest.len() > most {
                        newest.pop_front();
                    }
                }
            }
        })?;
        let mut offers: Offers = newest.into();
        offers.sort_by_key(|offer| offer.at);
        if since.is_none()
            && let Some(last) = offers.last()
        {
            let since = last.at.plus_seconds(-SINCE_SECONDS);
            offers.retain(|offer| offer.at >= since);
            total = if offers.len() < most { offers.len() as u64 } else { total };
        }
        Ok(Case { offers, total })
    }

    /// An event as something that came.
    fn offer(&self, event: &str) -> Option<Offer<String>> {
        let came: Came = serde_json::from_str(event).ok()?;
        let at = came.received.or(came.occurred).as_deref().and_then(Time::parse)?;
        let resource = came.resource.get("prefect.resource.id").and_then(Value::as_str);
        let key = if self.each_webhook { resource.unwrap_or_default() } else { "" };
        let bytes = event.trim_end().len() as u64;
        Some(Offer { at, bytes, key: key.to_owned() })
    }

    fn print_refused(&self, offers: &Offers, rate: Rate) -> Result<(), Failure> {
        let refused = refuse(offers, rate);
        let burst = burst_that_refuses_none(offers, rate).map(std::num::NonZeroU32::get);
        let (first, last) = match refused.span {
            Some((first, last)) => (json!(first.to_string()), json!(last.to_string())),
            None => (Value::Null, Value::Null),
        };
        let by_key = refused.by_key.iter().take(NAMED_MAX);
        let by_key: Vec<String> = by_key
            .filter(|(key, _)| !key.is_empty())
            .map(|(key, count)| format!("{count}  {key}"))
            .collect();
        let record = json!({
            "rate": rate.to_string(),
            "burst": rate.burst().get(),
            "since": offers.first().map(|offer| offer.at.to_string()),
            "until": offers.last().map(|offer| offer.at.to_string()),
            "requests": offers.len(),
            "granted": refused.granted,
            "refused": refused.refused,
            "first_refused": first,
            "last_refused": last,
            "retry_after_seconds": refused.retry_after_seconds,
            "refused_by_webhook": refused.by_key.iter().take(NAMED_MAX)
                .filter(|(key, _)| !key.is_empty())
                .map(|(key, count)| json!({ "resource": key, "refused": count }))
                .collect::<Vec<_>>(),
            "burst_that_refuses_none": burst,
        });
        let share = portion(refused.refused, offers.len() as u64);
        let none = match burst {
            _ if refused.refused == 0 => String::new(),
            Some(burst) => format!("--burst {burst}"),
            None => "no burst".to_owned(),
        };
        let mut lines = vec![
            ("limit", setting(rate)),
            ("from", text(&record, "since")),
            ("to", text(&record, "until")),
            ("requests", offers.len().to_string()),
            ("refused", format!("{}{share}", refused.refused)),
            ("first refused", text(&record, "first_refused")),
            ("last refused", text(&record, "last_refused")),
            ("most", by_key.join("\n")),
            ("refuses none", none),
        ];
        lines.retain(|(_, value)| !value.is_empty());
        self.listing.record(&record, &lines)
    }

    fn print_paced(&self, offers: &Offers, course: &Course) -> Result<(), Failure> {
        let &Course { pacing, batch, .. } = course;
        let paced = pace(offers, pacing, batch);
        let within = self.within.map(|seconds| Duration::from_secs(seconds.unsigned_abs()));
        let least = within.map(|within| rate_that_keeps_within(offers, pacing, batch, within));
        let micros = |wait: Duration| json!(wait.as_secs_f64());
        let rate = |rate: Option<Rate>| json!(rate.map(|rate| rate.to_string()));
        let record = json!({
            "rate": rate(pacing.events),
            "burst": pacing.events.map(|rate| rate.burst().get()),
            "request_rate": rate(pacing.requests),
            "byte_rate": rate(pacing.bytes),
            "since": offers.first().map(|offer| offer.at.to_string()),
            "until": offers.last().map(|offer| offer.at.to_string()),
            "events": offers.len(),
            "bytes": offers.iter().map(|offer| offer.bytes).sum::<u64>(),
            "requests": paced.requests,
            "delayed": paced.delayed(),
            "delay_seconds": {
                "p50": micros(paced.percentile(50)),
                "p99": micros(paced.percentile(99)),
                "longest": micros(paced.longest()),
            },
            "backlog": paced.backlog,
            "drained_seconds": micros(paced.drained),
            "rate_that_keeps_within": rate(least.flatten()),
        });
        let share = portion(paced.delayed() as u64, offers.len() as u64);
        let told = |rate: Option<Rate>| rate.map(setting).unwrap_or_default();
        let keeps = match least {
            None => String::new(),
            Some(Some(rate)) => format!("--rate {rate}"),
            Some(None) => {
                "no --rate: it is --request-rate or --byte-rate that lets them wait".to_owned()
            }
        };
        let mut lines = vec![
            ("events/time", told(pacing.events)),
            ("requests/time", told(pacing.requests)),
            ("bytes/time", told(pacing.bytes)),
            ("from", text(&record, "since")),
            ("to", text(&record, "until")),
            ("events", offers.len().to_string()),
            ("requests", paced.requests.to_string()),
            ("delayed", format!("{}{share}", paced.delayed())),
            ("delay p50", span(paced.percentile(50))),
            ("delay p99", span(paced.percentile(99))),
            ("longest delay", span(paced.longest())),
            ("longest backlog", format!("{} events", paced.backlog)),
            ("done after the end", span(paced.drained)),
            ("keeps within", keeps),
        ];
        lines.retain(|(_, value)| !value.is_empty());
        self.listing.record(&record, &lines)
    }
}

/// Refuses flags about which events beside something that says it already.
fn only_itself(filter: &Map<String, Value>, what: &str) -> Result<(), Failure> {
    if filter.is_empty() {
        return Ok(());
    }
    let says =
        format!("{what} says which events: --event, --resource and the like do not go with it");
    Err(Failure::Usage(says))
}

fn setting(rate: Rate) -> String {
    format!("{rate}, {} at once", rate.burst())
}

/// How much of all that is.
fn portion(part: u64, all: u64) -> String {
    if part == 0 {
        return String::new();
    }
    format!(" ({:.1} %)", 100.0 * part as f64 / all.max(1) as f64)
}

/// A time as people read it.
fn span(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{:.1} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_parts_are_told_in_words() {
        for (millis, says) in [(0, "0 ms"), (999, "999 ms"), (1500, "1.5 s"), (90_000, "1.5 min")] {
            assert_eq!(span(Duration::from_millis(millis)), says);
        }
        assert_eq!(span(Duration::from_hours(2)), "2.0 h");
        assert_eq!((portion(0, 5), portion(1, 8)), (String::new(), " (12.5 %)".to_owned()));
    }
}
