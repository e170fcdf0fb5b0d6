//! `hookgate replay --diff`: a draft beside the template that is live, over kept requests. In: a draft. Out: how many
//! requests it changes, newly fails or newly passes, with what differs in the first of them.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use anstyle::{AnsiColor, Style};
use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::cli::access::Remote;
use crate::cli::output::{Failure, clean, print_line, print_styled, say};
use crate::cli::test::{Difference, Word, differences};
use crate::cli::{Form, case};
use crate::json::{Document, Limits};

/// Most requests of one call; where more examples are wanted than are usual, fewer, so that they have room in it.
const SLICE_MAX: u64 = 10_000;
const SLICE_SHOWN_MAX: u64 = 100;
/// Examples of one kind that are usual, and most that can be asked for.
pub(super) const EXAMPLES: u64 = 5;
pub(super) const EXAMPLES_MAX: u64 = 1000;
/// Most differences that are shown of one.
const DIFFERENCES_MAX: usize = 10;
/// Bounds of an event.
const LIMITS: Limits = Limits { depth_max: 191, nodes_max: 1_000_000 };
const GONE: Style = AnsiColor::Red.on_default();
const NEW: Style = AnsiColor::Green.on_default();

const COUNTS: [&str; 8] = [
    "compared",
    "identical",
    "changed",
    "newly_failing",
    "newly_passing",
    "still_failing",
    "gone",
    "redacted",
];

/// What the gateway tells of a slice, beside its counts.
#[derive(Deserialize)]
struct Slice<'a> {
    #[serde(borrow)]
    examples: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Example<'a> {
    id: String,
    change: String,
    #[serde(borrow)]
    before: Side<'a>,
    #[serde(borrow)]
    after: Side<'a>,
}

#[derive(Deserialize)]
struct Side<'a> {
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    #[serde(default)]
    error: String,
}

/// What is shown.
#[derive(Clone, Copy)]
pub(super) struct Shown {
    /// Most examples of one kind.
    pub(super) examples: u64,
    pub(super) form: Form,
}

pub(super) async fn run(
    remote: &Remote,
    mut question: Value,
    draft: &Path,
    last: u64,
    shown: Shown,
) -> Result<(), Failure> {
    let Shown { examples: examples_max, form } = shown;
    let read = if draft.as_os_str() == "-" {
        case::read_input(case::Holds::Template)
    } else {
        case::read_text(draft, case::Holds::Template)
    };
    let source = read.map_err(|fault| Failure::NotLoaded(fault.to_string()))?;
    question["template"] = source.into();
    let address = format!("{}{}/requests/compare", remote.base, remote.place);
    let (mut sums, mut left, mut examples) = ([0; COUNTS.len()], last, Vec::new());
    let mut told_of: HashMap<String, u64> = HashMap::new();
    let is_more = examples_max > EXAMPLES;
    if is_more {
        // Earlier gateways know of no such wish.
        question["examples"] = examples_max.into();
    }
    while left > 0 {
        question["limit"] = left.min(if is_more { SLICE_SHOWN_MAX } else { SLICE_MAX }).into();
        let answer = remote.exchange(Method::POST, &address, question.to_string()).await?;
        let unknown = |fault: serde_json::Error| {
            Failure::No(format!("{}: this is no comparison: {fault}", remote.base))
        };
        let slice: Slice<'_> = serde_json::from_slice(&answer).map_err(unknown)?;
        let told: Value = serde_json::from_slice(&answer).map_err(unknown)?;
        for (sum, name) in sums.iter_mut().zip(COUNTS) {
            *sum += told[name].as_u64().unwrap_or(0);
        }
        for text in slice.examples {
            let example: Example<'_> = serde_json::from_str(text.get()).map_err(unknown)?;
            let told = told_of.entry(example.change.clone()).or_default();
            if *told < examples_max {
                *told += 1;
                let is_raw = form.is_json();
                examples.push(if is_raw { text.get().to_owned() } else { draw(&example) });
            }
        }
        let looked = told["compared"].as_u64().unwrap_or(0) + told["gone"].as_u64().unwrap_or(0);
        left = left.saturating_sub(looked.max(1));
        question["after"] = told["after"].clone();
        if question["after"].is_null() {
            break;
        }
    }
    end(sums, &examples, shown)
}

fn end(sums: [u64; COUNTS.len()], examples: &[String], shown: Shown) -> Result<(), Failure> {
    let form = shown.form;
    if form.is_json() {
        let counts = COUNTS.iter().zip(sums).map(|(name, sum)| ((*name).to_owned(), json!(sum)));
        let counts: serde_json::Map<_, _> = counts.collect();
        let mut text = Value::from(counts).to_string();
        text.truncate(text.len() - 1);
        print_line(&format!("{text},\"examples\":[{}]}}", examples.join(",")))?;
    } else {
        for example in examples {
            print_styled(example)?;
        }
        if let Some(line) = more(sums, examples.len() as u64, shown.examples) {
            print_line(&line)?;
        }
        let said = COUNTS.iter().zip(sums).skip(1).filter(|(_, sum)| *sum > 0);
        let said: Vec<_> =
            said.map(|(name, sum)| format!("{sum} {}", name.replace('_', " "))).collect();
        let more = if said.is_empty() { String::new() } else { format!(": {}", said.join(", ")) };
        print_line(&format!("{} requests{more}", sums[0]))?;
    }
    let [_, _, changed, newly_failing, newly_passing, _, _, redacted] = sums;
    if redacted > 0 {
        say(&format!(
            "warning: {redacted} of them are not kept as they came: both templates saw [redacted] there; \
             `hookgate request show ID` says where"
        ));
    }
    if changed + newly_failing + newly_passing > 0 { Err(Failure::Told) } else { Ok(()) }
}

/// What is to be said of changes that are not shown, and how to see them.
fn more(sums: [u64; COUNTS.len()], shown: u64, examples: u64) -> Option<String> {
    let [_, _, changed, newly_failing, newly_passing, ..] = sums;
    let kinds = [changed, newly_failing, newly_passing];
    let left = kinds.iter().sum::<u64>().saturating_sub(shown);
    let most = kinds.into_iter().max().unwrap_or(0);
    let way = match most {
        _ if most <= examples => {
            "too large to be shown at once: --since and --until narrow it".to_owned()
        }
        0..=EXAMPLES_MAX => format!("--examples {most} shows all"),
        _ if examples < EXAMPLES_MAX => format!("--examples {EXAMPLES_MAX} shows more"),
        _ => "--since and --until narrow it".to_owned(),
    };
    (left > 0).then(|| format!("… and {left} more; {way}"))
}

/// An example for people.
fn draw(example: &Example<'_>) -> String {
    let Example { id, change, before, after } = example;
    let mut out = clean(&format!("{id}  {}\n", change.replace('_', " ")));
    match (before.event, after.event) {
        (Some(before), Some(after)) => {
            let document = |event: &RawValue| {
                Document::parse(Bytes::copy_from_slice(event.get().as_bytes()), LIMITS)
            };
            let (Ok(before), Ok(after)) = (document(before), document(after)) else { return out };
            let found = differences(&before, &after);
            if found.is_empty() {
                out += "    only the writing differs\n";
            }
            for difference in found.iter().take(DIFFERENCES_MAX) {
                write_difference(&mut out, difference);
            }
            if let Some(more) = found.len().checked_sub(DIFFERENCES_MAX).filter(|more| *more > 0) {
                let _ = writeln!(out, "    … and {more} more");
            }
        }
        (Some(_), None) => {
            let _ = writeln!(out, "    {GONE}{}{GONE:#}", clean(&after.error));
        }
        (None, _) => {
            let _ = writeln!(out, "    was: {}", clean(&before.error));
        }
    }
    out.truncate(out.trim_end().len());
    out
}

fn write_difference(out: &mut String, difference: &Difference) {
    let Difference { pointer, expected, found, words, .. } = difference;
    let _ = writeln!(out, "    {}", clean(pointer));
    if !words.is_empty() {
        let told = words.iter().map(|word| match word {
            Word::Same(text) => text.escape_debug().to_string(),
            Word::Gone(text) => format!("{GONE}[-{}-]{GONE:#}", text.escape_debug()),
            Word::New(text) => format!("{NEW}{{+{}+}}{NEW:#}", text.escape_debug()),
        });
        let _ = writeln!(out, "      {}", told.collect::<String>());
        return;
    }
    if let Some(before) = expected {
        let _ = writeln!(out, "      {GONE}- {}{GONE:#}", clean(before));
    }
    if let Some(after) = found {
        let _ = writeln!(out, "      {NEW}+ {}{NEW:#}", clean(after));
    }
}
