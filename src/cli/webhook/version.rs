//! `hookgate webhook versions`, `rollback`, `draft` and `publish`. In: a webhook, a number, a template, a word to it.
//! Out: what its template was saved as, and when which of them is live.

use std::fmt::Write as _;

use http::Method;
use serde_json::{Value, json};

use super::Which;
use super::source::Source;
use crate::cli::access::Remote;
use crate::cli::listing::{Listing, text};
use crate::cli::output::{Failure, clean, print_text};

/// Longest value of a difference that people are shown.
const VALUE_MAX_BYTES: usize = 60;

pub(super) const VERSIONS: &str = "\
Every save of a template is a version; the newest 50 are kept, and the newest is live.

Exit codes: 0 told, 4 no key, or one that may not, 5 no such webhook or version, 6 nobody answers.

Examples:
  hookgate webhook versions github
  hookgate webhook versions github 3 --template > template.j2";

pub(super) const ROLLBACK: &str = "\
What version 3 says becomes a new version, which is live from the next request on. Nothing is forgotten: rolling back
once more undoes it.

Example:
  hookgate webhook rollback github 3 --note 'the new one lost the branch'";

pub(super) const DRAFT: &str = "\
A draft makes no events. `hookgate webhook test --template-file` tries one on a request, `hookgate webhook publish`
makes it live; a template that is saved otherwise leaves it alone. With --shadow it renders beside the live one, behind
replies and while the machine has time for it; what differs is counted, and the last 5 are shown, until draft or live
one change or the gateway is started anew.

Examples:
  hookgate webhook draft github --template-file template.j2 --note 'tags, too'
  hookgate webhook draft github --template-file template.j2 --shadow
  hookgate webhook draft github --differences
  hookgate webhook draft github --discard";

pub(super) const PUBLISH: &str = "\
Example:
  hookgate webhook publish github";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Versions {
    #[command(flatten)]
    which: Which,
    /// Show this one
    #[arg(value_name = "NUMBER")]
    number: Option<u64>,
    /// Print its template and nothing else, byte for byte
    #[arg(long, requires = "number", conflicts_with = "output")]
    template: bool,
    #[command(flatten)]
    listing: Listing,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Rollback {
    #[command(flatten)]
    which: Which,
    /// The version to be live again
    #[arg(value_name = "NUMBER")]
    number: u64,
    /// A word to it
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    listing: Listing,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Draft {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    source: Source,
    /// A word to it
    #[arg(long, value_name = "TEXT", requires = "source")]
    note: Option<String>,
    /// Let it render beside the live one, on what comes in; no event is made of that
    #[arg(long, requires = "source")]
    shadow: bool,
    /// Show how what it made differs from what the live one made
    #[arg(long, conflicts_with_all = ["source", "discard"])]
    differences: bool,
    /// Forget the draft
    #[arg(long, conflicts_with = "source")]
    discard: bool,
    #[command(flatten)]
    listing: Listing,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Publish {
    #[command(flatten)]
    which: Which,
    /// A word to it; else that of the draft
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    listing: Listing,
}

pub(super) async fn versions(args: &Versions) -> Result<(), Failure> {
    let (remote, path) = find(&args.which).await?;
    let Some(number) = args.number else {
        let all = remote.call(Method::GET, &format!("{path}/versions"), None).await?;
        let all: Vec<Value> = all.as_array().cloned().unwrap_or_default();
        return args.listing.rows(&all, &["VERSION", "SAVED", "BY", "HASH", "NOTE"], |version| {
            let live = if version["live"] == true { " (live)" } else { "" };
            vec![
                format!("{}{live}", version["number"]),
                text(version, "saved"),
                text(&version["author"], "name"),
                short(version),
                text(version, "note"),
            ]
        });
    };
    let version = remote.call(Method::GET, &format!("{path}/versions/{number}"), None).await;
    let version = version.map_err(|failure| match failure {
        Failure::NotFound(_) => Failure::NotFound(format!("there is no version {number} of it")),
        other => other,
    })?;
    if args.template {
        print_text(&text(&version, "template"))
    } else {
        print(&version, args.listing)
    }
}

pub(super) async fn rollback(args: &Rollback) -> Result<(), Failure> {
    let (remote, path) = find(&args.which).await?;
    let body = json!({"version": args.number, "note": args.note});
    let live = remote.call(Method::POST, &format!("{path}/rollback"), Some(&body)).await?;
    print(&live, args.listing)
}

pub(super) async fn draft(args: &Draft) -> Result<(), Failure> {
    let template = args.source.text()?;
    let (remote, path) = find(&args.which).await?;
    let (path, shadow) = (format!("{path}/draft"), format!("{path}/shadow"));
    if args.discard {
        return remote.call(Method::DELETE, &path, None).await.map(drop).map_err(no_draft);
    }
    if args.differences {
        let told = remote.call(Method::GET, &shadow, None).await.map_err(no_shadow)?;
        return tell_differences(&told, args.listing);
    }
    let draft = match template {
        None => remote.call(Method::GET, &path, None).await.map_err(no_draft)?,
        Some(template) => {
            let body = json!({"template": template, "note": args.note, "shadow": args.shadow});
            let put = remote.call(Method::PUT, &path, Some(&body)).await;
            args.source.look_through(&template, put.is_ok());
            put?
        }
    };
    print(&draft, args.listing)
}

pub(super) async fn publish(args: &Publish) -> Result<(), Failure> {
    let (remote, path) = find(&args.which).await?;
    let body = json!({ "note": args.note });
    print(&remote.call(Method::POST, &format!("{path}/publish"), Some(&body)).await?, args.listing)
}

async fn find(which: &Which) -> Result<(Remote, String), Failure> {
    let (remote, webhook) = which.find().await?;
    Ok((remote, format!("webhooks/{}", text(&webhook, "id"))))
}

fn no_shadow(failure: Failure) -> Failure {
    match failure {
        Failure::NotFound(_) => {
            let way = "no draft renders beside it: --template-file FILE --shadow lets one";
            Failure::NotFound(way.to_owned())
        }
        other => other,
    }
}

/// Prints counts, and the last requests of which both made something else.
fn tell_differences(told: &Value, listing: Listing) -> Result<(), Failure> {
    let counts =
        ["identical", "changed", "newly_failing", "newly_passing", "still_failing", "skipped"];
    let words = counts.map(|name| name.replace('_', " "));
    let lines: Vec<(&str, String)> = words
        .iter()
        .zip(counts)
        .map(|(word, name)| (word.as_str(), told[name].to_string()))
        .collect();
    listing.record(told, &lines)?;
    if !listing.is_table() {
        return Ok(());
    }
    for one in told["last"].as_array().into_iter().flatten() {
        let verdict = text(one, "verdict").replace('_', " ");
        let mut said =
            format!("\n{verdict}  {}  receipt {}\n", text(one, "received"), text(one, "receipt"));
        for side in ["live", "draft"] {
            if let Some(fault) = one[side]["error"].as_str() {
                let _ = writeln!(said, "  {side}: {fault}");
            }
        }
        for place in one["places"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let value = |side: &str| {
                let event = &one[side]["event"];
                event
                    .pointer(place)
                    .map_or_else(|| "nothing".to_owned(), |value| cut(&value.to_string()))
            };
            let _ = writeln!(said, "  {place}  live {}  draft {}", value("live"), value("draft"));
        }
        print_text(&clean(&said))?;
    }
    Ok(())
}

/// As much of a value as a line has room for.
fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(VALUE_MAX_BYTES);
    if end < text.len() { format!("{}…", &text[..end]) } else { text.to_owned() }
}

fn no_draft(failure: Failure) -> Failure {
    match failure {
        Failure::NotFound(_) => {
            Failure::NotFound("there is no draft: --template-file makes one".to_owned())
        }
        other => other,
    }
}

/// Prints a version, or a draft.
fn print(version: &Value, listing: Listing) -> Result<(), Failure> {
    let number = |key: &str| version[key].as_u64().map_or_else(String::new, |n| n.to_string());
    let live = if version["live"] == true { "yes" } else { "" };
    let mut lines = vec![
        ("version", number("number")),
        ("draft beside", number("beside")),
        ("live", live.to_owned()),
        ("saved", text(version, "saved")),
        ("by", text(&version["author"], "name")),
        ("hash", short(version)),
        ("note", text(version, "note")),
        ("template", text(version, "template")),
    ];
    lines.retain(|(_, value)| !value.is_empty());
    listing.record(version, &lines)
}

/// As much of a hash as people compare.
fn short(version: &Value) -> String {
    text(version, "hash").chars().take(12).collect()
}
