//! How requests that are sent again are told, from where any may come, and how many events go in one turn, as flags.
//! In: a header or template, a time, networks, a weight. Out: members of a body.

use serde_json::{Value, json};

use crate::cli::moment::seconds;
use crate::cli::output::Failure;
use crate::cli::snippet::tell_doubts;

/// Longest time a request is remembered.
const WINDOW_MAX_SECONDS: i64 = 604_800;

#[derive(Debug, clap::Args)]
pub(super) struct Once {
    /// Take a request that is sent again once: the header that tells requests apart, such as `X-GitHub-Delivery`, or a
    /// template of what does, such as `{{ body.id }}`. A request of which all its expressions give nothing (undefined,
    /// null or empty) has no key, and is taken each time
    #[arg(long, value_name = "HEADER|TEMPLATE")]
    dedup_key: Option<String>,
    /// For how long a request is remembered, over restarts, too: at most 7d; 24h when nothing is said. Of all webhooks
    /// together the newest 1,000,000 are
    #[arg(long, value_name = "TIME", value_parser = window)]
    dedup_window: Option<i64>,
}

/// How many of its events go in one turn.
#[derive(Debug, clap::Args)]
pub(super) struct Turn {
    /// Where a destination is behind, webhooks take turns: so many of its events go in one of its own, 1 to 100
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    weight: Option<u32>,
}

impl Turn {
    /// Whether anything is said.
    pub(super) fn is_said(&self) -> bool {
        self.weight.is_some()
    }

    /// Puts what is said into a body.
    pub(super) fn fill(&self, body: &mut Value) {
        if let Some(weight) = self.weight {
            body["weight"] = json!(weight);
        }
    }
}

/// From where it may be called.
#[derive(Debug, clap::Args)]
pub(super) struct Networks {
    /// Take requests only from this network, such as 203.0.113.0/24; several count at once
    #[arg(long, value_name = "NETWORK")]
    network: Vec<String>,
    /// Take requests from everywhere
    #[arg(long, conflicts_with = "network")]
    any_network: bool,
}

impl Networks {
    /// Whether anything is said.
    pub(super) fn is_said(&self) -> bool {
        self.any_network || !self.network.is_empty()
    }

    /// Puts what is said into a body.
    pub(super) fn fill(&self, body: &mut Value) {
        if self.any_network {
            body["networks"] = Value::Null;
        } else if !self.network.is_empty() {
            body["networks"] = json!(self.network);
        }
    }
}

/// From where it may be called, in words; nothing when from everywhere.
pub(super) fn told_networks(webhook: &Value) -> String {
    let listed = webhook["networks"].as_array().into_iter().flatten();
    listed.filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

impl Once {
    /// Whether anything is said.
    pub(super) fn is_said(&self) -> bool {
        self.dedup_key.is_some() || self.dedup_window.is_some()
    }

    /// Says why what is said may not tell requests apart.
    pub(super) fn tell_doubts(&self) {
        tell_doubts(self.dedup_key.as_deref());
    }

    /// A time without anything that tells requests apart would do nothing.
    pub(super) fn check(&self, webhook: Option<&Value>) -> Result<(), Failure> {
        let has_key = webhook.is_some_and(|webhook| webhook["dedup_key"].is_string());
        if self.dedup_window.is_some() && self.dedup_key.is_none() && !has_key {
            let what = "--dedup-window is for how long a --dedup-key is remembered: say that, too";
            return Err(Failure::Usage(what.to_owned()));
        }
        Ok(())
    }

    /// Puts what is said into a body.
    pub(super) fn fill(&self, body: &mut Value) {
        if let Some(key) = &self.dedup_key {
            body["dedup_key"] = json!(key);
        }
        if let Some(window) = self.dedup_window {
            body["dedup_window_seconds"] = json!(window);
        }
    }
}

/// What a webhook takes once, in words; nothing when it takes all.
pub(super) fn told(webhook: &Value) -> String {
    let Some(key) = webhook["dedup_key"].as_str() else { return String::new() };
    let window = webhook["dedup_window_seconds"].as_i64();
    let window = window.map_or_else(|| "24 h".to_owned(), |seconds| format!("{seconds} s"));
    format!("what has the same {key} within {window}")
}

fn window(text: &str) -> Result<i64, String> {
    let seconds = seconds(text)?;
    if (1..=WINDOW_MAX_SECONDS).contains(&seconds) {
        Ok(seconds)
    } else {
        Err("1s to 7d".to_owned())
    }
}
