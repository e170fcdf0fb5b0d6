//! `hookgate replay`: kept requests made events of again. In: which requests. Out: what became of them; the events go
//! the gateway's way, or, when that is asked for, only to this command. With a draft: what it would change.

mod compare;
mod course;
mod place;
mod post;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::access::{Access, Remote};
use super::client::runtime;
use super::listing::text;
use super::moment::{Moment, check_span, moment, seconds};
use super::output::Failure;
use super::snippet::tell_strangers;
use super::{Form, destination, prompt};
use crate::clock::Clock;
use crate::config::RateText;
use crate::render::Sight;
use course::Course;
use place::Place;
use post::Post;

/// Most requests that a draft is compared over, when nothing is said.
const LAST: u64 = 10_000;
/// How long an address is waited for, when nothing is said.
const PATIENCE_SECONDS: i64 = 60;

pub(super) const EXAMPLE: &str = "\
Every kept request has its event's id from the first moment: what failed gets exactly one event, however often it is
replayed, and what did not fail is sent again under the id it was born with, which destinations know. Events bear the
moment of their request. Signatures of senders are not looked at again. Where a webhook's rules let something not be
kept, the template sees [redacted]; a warning names the first such requests, and where.

Left out, and told with their number: requests that fail still, that are kept no longer, that are of a webhook that is
gone (it has no template any more), and those that --where fails on. Of what the spool let go of before it began, it
says only from when on requests are kept.

To an address, events go one after the other. What it answers 5xx, 408, 425 or 429, or not at all, is sent again, as
late as its Retry-After asks (seconds), for --patience; then, and at once when it answers 401, 403 or a redirect, or
cannot be reached at the beginning, the replay stops there. Another refusal (4xx) is of that event alone: it is told,
and what comes behind goes on. The place of --resume is never past an event that was not taken; the file has those that
were refused, the first 10,000, and saying the same again sends only them.

Exit codes: 0 done, 1 with --diff: the draft changes something, 8 some requests are left out, or the address did not
take all events.

Examples:
  hookgate replay --webhook github --since 2h
  hookgate replay --status all --since 1h --where \"body.action == 'closed'\" --rate 50/s --resume replay.json
  hookgate replay --webhook github --diff draft.j2
  hookgate replay --status all --since 2026-11-23T22:00:00Z --until 2026-11-23T23:00:00Z --to crm
  hookgate replay --since 1d --render-only > events.ndjson";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only requests of a webhook: its name, or its id
    #[arg(long, value_name = "NAME|ID")]
    webhook: Option<String>,
    /// Not before this moment: 15m, 1h, 7d ago, or 2026-11-23T22:00:00Z
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    since: Option<Moment>,
    /// Not after this moment; now, when nothing is said
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    until: Option<Moment>,
    /// What became of them when they came
    #[arg(long, value_parser = ["failed", "ok", "all"], default_value = "failed")]
    status: String,
    /// Only requests of which this is true: an expression over method, headers and body, as templates see them
    #[arg(long = "where", value_name = "EXPR")]
    condition: Option<String>,
    /// Requests per time: 50/s, 600/min
    #[arg(long, value_name = "RATE")]
    rate: Option<RateText>,
    /// Send them to this destination alone, by its name or id, as it is set up; with an address, post each event from
    /// here. Nothing else is kept at the gateway
    #[arg(long, value_name = "NAME|ID|URL", conflicts_with_all = ["render_only", "dry_run", "diff"])]
    to: Option<String>,
    /// How long an address may take no events before the replay stops: 30s, 10m; 60s, when nothing is said
    #[arg(long, value_name = "TIME", value_parser = seconds, requires = "to")]
    patience: Option<i64>,
    /// Keep nothing at the gateway: print the events, a line each
    #[arg(long, conflicts_with_all = ["dry_run", "diff"])]
    render_only: bool,
    /// Only count
    #[arg(long, conflicts_with = "diff")]
    dry_run: bool,
    /// Compare a draft with the template of the webhook, over its newest requests
    #[arg(long, value_name = "TEMPLATE", requires = "webhook",
          conflicts_with_all = ["status", "condition", "rate", "resume"])]
    diff: Option<PathBuf>,
    /// Most requests that a draft is compared over; 10000, when nothing is said
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    last: Option<u64>,
    /// Most requests of each kind of change that are shown of what a draft changes
    #[arg(long, value_name = "N", default_value_t = compare::EXAMPLES, requires = "diff",
          value_parser = clap::value_parser!(u64).range(0..=compare::EXAMPLES_MAX))]
    examples: u64,
    /// Keep the place in a file, and go on from there when it exists
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    form: Form,
}

/// What is done with the events.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Emit,
    /// To one destination.
    Send,
    Post,
    Print,
    Count,
}

impl Args {
    fn mode(&self) -> Mode {
        match (&self.to, self.render_only, self.dry_run) {
            (Some(to), ..) if is_address(to) => Mode::Post,
            (Some(_), ..) => Mode::Send,
            (None, true, _) => Mode::Print,
            (None, false, true) => Mode::Count,
            (None, false, false) => Mode::Emit,
        }
    }

    /// What of it was typed: what is said as so long ago is another moment each time.
    fn typed(&self) -> Value {
        let typed = |moment: Option<Moment>| {
            moment.map(|moment| match moment {
                Moment::At(time) => time.to_string(),
                Moment::Away { seconds } => format!("{seconds}s"),
            })
        };
        json!({ "since": typed(self.since), "until": typed(self.until), "to": self.address() })
    }

    /// The address that events are posted to.
    fn address(&self) -> Option<&str> {
        self.to.as_deref().filter(|to| is_address(to))
    }

    /// Who posts events, if they go to an address.
    fn post(&self) -> Result<Option<Post<'_>>, Failure> {
        let patience = self.patience.unwrap_or(PATIENCE_SECONDS);
        let patience = Duration::from_secs(patience.unsigned_abs());
        self.address().map(|to| Post::new(to, patience)).transpose()
    }

    /// Refuses what is of no use as it is said.
    fn check(&self) -> Result<(), Failure> {
        if self.diff.is_none() && self.last.is_some() {
            let says = "--last counts the requests that --diff compares a draft over: say both, or --since";
            return Err(Failure::Usage(says.to_owned()));
        }
        if self.patience.is_some() && self.address().is_none() {
            let says = "--patience is for an address: a destination of the gateway has its own (--retry-seconds)";
            return Err(Failure::Usage(says.to_owned()));
        }
        check_span(self.since, self.until)
    }

    /// What the gateway is asked, but for the place.
    async fn question(&self, remote: &Remote) -> Result<Value, Failure> {
        let now = Clock::System.now();
        let moment = |moment: Moment| moment.before(now).to_string();
        let webhook = match &self.webhook {
            Some(webhook) => Some(text(&remote.find("webhook", "webhooks", webhook).await?, "id")),
            None => None,
        };
        Ok(json!({
            "webhook_id": webhook,
            "since": self.since.map(moment),
            "until": self.until.map_or_else(|| now.to_string(), moment),
        }))
    }
}

/// Whether a text says where, and is nobody's name.
fn is_address(to: &str) -> bool {
    to.contains("://")
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    args.check()?;
    runtime()?.block_on(async {
        let remote = args.access.workspace().await?;
        let mut question = args.question(&remote).await?;
        if let Some(draft) = &args.diff {
            let shown = compare::Shown { examples: args.examples, form: args.form };
            let last = args.last.unwrap_or(LAST);
            return compare::run(&remote, question, draft, last, shown).await;
        }
        tell_strangers(args.condition.as_deref(), Sight::Request);
        let mode = args.mode();
        if mode == Mode::Send {
            let to = args.to.as_deref().unwrap_or_default();
            let found = destination::find(&remote, to).await;
            let found = found.map_err(|failure| failure.with("an address has ://"))?;
            question["destination_id"] = text(&found, "id").into();
        }
        question["status"] = args.status.as_str().into();
        question["where"] = args.condition.as_deref().into();
        question["mode"] = match mode {
            Mode::Emit => "emit",
            Mode::Send => "send",
            Mode::Post | Mode::Print => "render",
            Mode::Count => "count",
        }
        .into();
        if mode == Mode::Emit && args.status != "failed" {
            let what = format!("send events of requests again that had one ({})", args.status);
            prompt::confirm(&what, args.yes)?;
        }
        let place = Place::open(args.resume.as_deref(), &remote, question, args.typed())?;
        let mut course = Course::new(&remote, place, args.rate, mode, args.post()?);
        let walked = tokio::select! {
            walked = course.walk() => walked,
            _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
        };
        if let Err(failure) = walked {
            course.stop(&failure)?;
            return Err(failure);
        }
        course.end(args.form)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_help_names_all_that_is_left_out() {
        let help = EXAMPLE.replace('\n', " ");
        for what in course::LEFT_OUT {
            assert!(help.contains(what), "{what}");
        }
    }
}
