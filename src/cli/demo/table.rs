//! What was sent, what was answered, what arrived: as rows that a newcomer can read. In: a reply, events of the
//! destination. Out: lines. Decides only whether a row is complete.

use http::StatusCode;
use serde_json::Value;

use super::sample::Sample;
use crate::cli::output::{Failure, print_line};

/// Most characters of an event's name or a message in the table.
const TEXT_MAX_CHARS: usize = 72;

/// One request and what became of it.
pub(super) struct Row {
    sample: &'static Sample,
    status: StatusCode,
    receipt: String,
    detail: String,
    arrived: Vec<String>,
}

impl Row {
    pub(super) fn new(
        sample: &'static Sample,
        status: StatusCode,
        receipt: &str,
        body: &[u8],
    ) -> Self {
        let told: Value = serde_json::from_slice(body).unwrap_or_default();
        let detail = told["detail"].as_str().unwrap_or_default().to_owned();
        Self { sample, status, receipt: receipt.to_owned(), detail, arrived: Vec::new() }
    }

    /// Looks for the row's two events: the one its receipt names, and the one that follows it. Whether both are there
    /// and are what they should be.
    pub(super) fn take(&mut self, events: &[Value]) -> bool {
        let named = |name: &'static str| {
            let receipt = self.receipt.as_str();
            events.iter().find(move |event| event[name].as_str() == Some(receipt))
        };
        let (Some(received), Some(second)) = (named("id"), named("follows")) else { return false };
        self.arrived = vec![told(received), told(second)];
        let failed = second["event"] == "prefect-cloud.webhook.failed";
        let status = if failed { StatusCode::BAD_REQUEST } else { StatusCode::NO_CONTENT };
        failed == self.sample.fails && self.status == status
    }
}

/// An event in one line.
fn told(event: &Value) -> String {
    let name = event["event"].as_str().unwrap_or_default();
    let text = match name {
        "prefect-cloud.webhook.received" => name.to_owned(),
        "prefect-cloud.webhook.failed" => {
            let payload = &event["payload"];
            let line = payload["line"].as_u64().map(|line| format!(", line {line}"));
            let error = payload["error"].as_str().unwrap_or_default();
            let kind = payload["error_type"].as_str().unwrap_or_default();
            format!("{name}  {kind}{}: {error}", line.unwrap_or_default())
        }
        _ => {
            let resource = event["resource"]["prefect.resource.id"].as_str();
            format!("{name}  ({})", resource.unwrap_or_default())
        }
    };
    cut(&text)
}

fn cut(text: &str) -> String {
    if text.chars().count() <= TEXT_MAX_CHARS {
        return text.to_owned();
    }
    let head: String = text.chars().take(TEXT_MAX_CHARS - 1).collect();
    format!("{head}…")
}

/// Prints all rows under their heads.
pub(super) fn print(rows: &[Row]) -> Result<(), Failure> {
    print_line(&line("WEBHOOK", "REQUEST", "REPLY", "WHAT ARRIVED AT THE DESTINATION"))?;
    for row in rows {
        let reply = match row.detail.as_str() {
            "" => row.status.as_str().to_owned(),
            detail => format!("{} {detail}", row.status.as_str()),
        };
        let (name, what) = (row.sample.template, row.sample.name);
        let mut arrived = row.arrived.iter();
        let first = arrived.next().map_or("nothing yet", String::as_str);
        print_line(&line(name, what, &reply, first))?;
        for event in arrived {
            print_line(&line("", "", "", event))?;
        }
    }
    Ok(())
}

fn line(webhook: &str, request: &str, reply: &str, arrived: &str) -> String {
    format!("{webhook:<13} {request:<18} {reply:<24} {arrived}")
}
