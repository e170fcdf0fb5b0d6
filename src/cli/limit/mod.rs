//! `hookgate limit`: which limits of a gateway stand, what of them is used, when one was exceeded, and where each is
//! set; and what another one would have done. In: a name, a time. Out: rates and figures, those of the account and of a
//! workspace's webhooks.

mod simulate;

use http::Method;
use serde_json::{Value, json};

use super::access::{Access, Remote};
use super::client::runtime;
use super::listing::{Listing, text};
use super::moment::{Moment, check_span, moment};
use super::output::{Failure, say};
use crate::clock::Clock;

/// How far is looked back when nothing is said.
const SINCE: &str = "1h";

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the limits that stand, and what is used of them
    #[command(
        visible_alias = "list",
        after_help = "\
First those of the gateway and the account, then the webhooks that were called in that time, those that were refused
most before the others. Figures are requests, or events, since --since; they are kept for 7 days.

Examples:
  hookgate limit ls
  hookgate limit ls --since 1d -o json | jq '.[] | select(.refused > 0)'"
    )]
    Ls {
        #[command(flatten)]
        span: Since,
        #[command(flatten)]
        access: Access,
        #[command(flatten)]
        listing: Listing,
    },
    /// Show one limit, when it was exceeded, and how to raise it
    #[command(
        visible_alias = "get",
        after_help = "\
Examples:
  hookgate limit show github
  hookgate limit show webhooks --since 7d"
    )]
    Show {
        /// A webhook, by name or id, or a key of `hookgate limit ls`: webhooks, writing-events, senders
        #[arg(value_name = "WEBHOOK|KEY")]
        which: String,
        #[command(flatten)]
        span: Since,
        #[command(flatten)]
        access: Access,
        #[command(flatten)]
        listing: Listing,
    },
    /// Show what was asked of limits, minute by minute
    #[command(after_help = "\
Minutes in which nothing was asked are left out. A limit is told as so many a minute, in the long run; a burst may
be above it.

Examples:
  hookgate limit usage
  hookgate limit usage github --since 3h -o ndjson")]
    Usage {
        /// A webhook, by name or id, or one of webhooks and writing-events; both of these when nothing is said
        #[arg(value_name = "WEBHOOK|KEY")]
        which: Option<String>,
        #[command(flatten)]
        span: Since,
        /// Not after this moment
        #[arg(long, value_name = "WHEN", value_parser = moment)]
        until: Option<Moment>,
        #[command(flatten)]
        access: Access,
        #[command(flatten)]
        listing: Listing,
    },
    /// Show what a limit or a pace would have done with what came
    #[command(after_help = simulate::EXAMPLE)]
    Simulate(Box<simulate::Args>),
}

/// From when on.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Since {
    /// Not before this moment: an age such as 15m, 1h, 7d, or RFC 3339
    #[arg(long, value_name = "WHEN", value_parser = moment, default_value = SINCE)]
    since: Moment,
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    runtime()?.block_on(async {
        match command {
            Command::Ls { span, access, listing } => {
                let remote = access.workspace().await?;
                let mut rows = rates(&remote.account(), *span).await?;
                rows.extend(rates(&remote, *span).await?);
                let head =
                    ["LIMIT OF", "RATE", "GRANTED", "REFUSED", "MOST/MIN", "EXCEEDED", "KEY"];
                listing.rows(&rows, &head, |row| {
                    let figure = |key| figure(&row[key]);
                    vec![
                        text(row, "name"),
                        rate(row),
                        figure("granted"),
                        figure("refused"),
                        figure("peak"),
                        text(row, "exceeded"),
                        text(row, "key"),
                    ]
                })
            }
            Command::Show { which, span, access, listing } => {
                let remote = access.workspace().await?;
                show(&one(&remote, which, *span).await?, *listing)
            }
            Command::Usage { which, span, until, access, listing } => {
                let remote = access.workspace().await?;
                usage(&remote, which.as_deref(), *span, *until, *listing).await
            }
            Command::Simulate(args) => simulate::run(args).await,
        }
    })
}

/// The rates of a place, with their figures.
async fn rates(remote: &Remote, span: Since) -> Result<Vec<Value>, Failure> {
    let path = format!("rate-limits?since={}", span.since.before(Clock::System.now()));
    match remote.call(Method::GET, &path, None).await? {
        Value::Array(rows) => Ok(rows),
        _ => Err(Failure::No(format!("{}: rate-limits gave no list", remote.base))),
    }
}

/// The limit of a key or of a webhook.
async fn one(remote: &Remote, which: &str, span: Since) -> Result<Value, Failure> {
    let account = rates(&remote.account(), span).await?;
    if let Some(row) = account.iter().find(|row| row["key"] == which) {
        return Ok(row.clone());
    }
    let hook = webhook(remote, which).await?;
    let key = format!("webhooks/{}", text(&hook, "id"));
    if let Some(row) = rates(remote, span).await?.into_iter().find(|row| row["key"] == key) {
        return Ok(row);
    }
    // Nobody called it in that time: its usage alone is not told.
    let each = account.into_iter().find(|row| row["setting"] == "limits.webhook_rate");
    let mut row = each.unwrap_or_default();
    row["key"] = key.into();
    row["name"] = hook["name"].clone();
    for figure in ["granted", "refused", "peak"] {
        row[figure] = 0.into();
    }
    Ok(row)
}

/// The webhook that is meant, by name, id or key.
async fn webhook(remote: &Remote, which: &str) -> Result<Value, Failure> {
    let wanted = which.strip_prefix("webhooks/").unwrap_or(which);
    remote.find("webhook", "webhooks", wanted).await.map_err(|failure| match failure {
        Failure::NotFound(says) => Failure::NotFound(format!(
            "{says}; limits that are no webhook's: webhooks, writing-events, senders"
        )),
        other => other,
    })
}

fn show(row: &Value, listing: Listing) -> Result<(), Failure> {
    let setting = text(row, "setting");
    let variable = format!("HOOKGATE_{}", setting.replace('.', "__").to_uppercase());
    let verb = if row["limit"].is_null() { "set" } else { "raise" };
    let example = "1000/min";
    let way = format!(
        "{verb} {setting} in the gateway's configuration, or {variable} (as in {example}),\n\
         and start the gateway again"
    );
    let mut lines = vec![
        ("limit of", text(row, "name")),
        ("key", text(row, "key")),
        ("rate", rate(row)),
        ("granted", figure(&row["granted"])),
        ("refused", figure(&row["refused"])),
        ("most/min", figure(&row["peak"])),
        ("exceeded", text(row, "exceeded")),
        ("change", way),
    ];
    lines.retain(|(_, value)| !value.is_empty());
    listing.record(row, &lines)
}

async fn usage(
    remote: &Remote,
    which: Option<&str>,
    span: Since,
    until: Option<Moment>,
    listing: Listing,
) -> Result<(), Failure> {
    check_span(Some(span.since), until)?;
    let now = Clock::System.now();
    let (place, key) = match which {
        None => (remote.account(), None),
        Some(key @ ("webhooks" | "writing-events")) => (remote.account(), Some(key.to_owned())),
        Some("senders") => {
            let says = "what single senders ask for is not kept: hookgate limit show senders";
            return Err(Failure::Usage(says.to_owned()));
        }
        Some(which) => {
            let hook = webhook(remote, which).await?;
            (remote.clone(), Some(format!("webhooks/{}", text(&hook, "id"))))
        }
    };
    let mut path = format!("rate-limits/usage?since={}", span.since.before(now));
    for (name, value) in [("until", until.map(|at| at.before(now).to_string())), ("keys", key)] {
        if let Some(value) = value {
            path = format!("{path}&{name}={value}");
        }
    }
    let rows = by_minute(&place.call(Method::GET, &path, None).await?);
    if rows.is_empty() && listing.is_table() {
        say("nothing was asked of it in that time");
        return Ok(());
    }
    listing.rows(&rows, &["MINUTE", "KEY", "LIMIT", "GRANTED", "REFUSED"], |row| {
        let limit = if row["limit"].is_null() { "none".to_owned() } else { figure(&row["limit"]) };
        let (granted, refused) = (figure(&row["granted"]), figure(&row["refused"]));
        vec![text(row, "minute"), text(row, "key"), limit, granted, refused]
    })
}

/// The minutes of an answer in which something was asked, as rows.
fn by_minute(told: &Value) -> Vec<Value> {
    let mut rows = Vec::new();
    let minutes = told["minutes"].as_array().into_iter().flatten();
    for (place, minute) in minutes.enumerate() {
        for (key, figures) in told["keys"].as_object().into_iter().flatten() {
            let count = |name: &str| figures[name][place].as_u64().unwrap_or(0);
            let (requested, granted) = (count("requested"), count("granted"));
            if requested > 0 {
                rows.push(json!({
                    "minute": minute,
                    "key": key,
                    "limit": figures["limit"][place],
                    "requested": requested,
                    "granted": granted,
                    "refused": requested.saturating_sub(granted),
                }));
            }
        }
    }
    rows
}

/// A rate in words.
fn rate(row: &Value) -> String {
    match (row["limit"].as_str(), row["burst"].as_u64()) {
        (Some(rate), Some(burst)) if !rate.starts_with(&format!("{burst}/")) => {
            format!("{rate}, {burst} at once")
        }
        (Some(rate), _) => rate.to_owned(),
        (None, _) => "none".to_owned(),
    }
}

/// A number, or nothing where none is kept.
fn figure(value: &Value) -> String {
    value.as_u64().map(|number| number.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_told_in_words() {
        let said = |limit: Value, burst: Value| rate(&json!({"limit": limit, "burst": burst}));
        assert_eq!(said(json!("600/min"), json!(600)), "600/min");
        assert_eq!(said(json!("100/s"), json!(5)), "100/s, 5 at once");
        assert_eq!(said(Value::Null, Value::Null), "none");
    }

    #[test]
    fn minutes_without_anything_are_left_out() {
        let told = json!({
            "minutes": ["a", "b"],
            "keys": {
                "webhooks": {"limit": [3, 3], "requested": [0, 5], "granted": [0, 3]},
                "writing-events": {"limit": [null, null], "requested": [1, 0], "granted": [1, 0]},
            },
        });
        let row = |minute, key, limit: Value, figures: [u64; 3]| {
            json!({"minute": minute, "key": key, "limit": limit, "requested": figures[0],
                "granted": figures[1], "refused": figures[2]})
        };
        let events = row("a", "writing-events", Value::Null, [1, 1, 0]);
        assert_eq!(by_minute(&told), [events, row("b", "webhooks", json!(3), [5, 3, 2])]);
        assert_eq!(by_minute(&Value::Null), Vec::<Value>::new());
    }
}
