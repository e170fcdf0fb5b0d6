//! One event as a line: its own text for programs, its moment, id, name and resource for people. In: an event as a
//! gateway sent it, or a page of them. Out: a line. Never a number that lost digits.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::cli::output::clean;

/// A page of events.
#[derive(Debug, Deserialize)]
pub(super) struct Page<'a> {
    #[serde(borrow)]
    pub(super) events: Vec<&'a RawValue>,
    #[serde(default)]
    pub(super) total: u64,
    #[serde(rename = "next_page")]
    pub(super) next: Option<String>,
}

/// What commands look at in an event.
#[derive(Debug, Deserialize)]
pub(super) struct Seen {
    #[serde(default)]
    pub(super) id: String,
    #[serde(default)]
    pub(super) occurred: String,
    #[serde(default)]
    event: String,
    #[serde(default)]
    resource: Value,
}

impl Seen {
    /// Reads an event; what is none has nothing to see.
    pub(super) fn of(event: &RawValue) -> Option<Self> {
        serde_json::from_str(event.get()).ok()
    }

    /// The line for people.
    pub(super) fn line(&self) -> String {
        let resource = self.resource["prefect.resource.id"].as_str().unwrap_or_default();
        let line = format!("{}  {}  {}  {resource}", self.occurred, self.id, self.event);
        clean(&line).replace(['\n', '\t'], " ")
    }
}

/// An event on one line, as it was sent.
pub(super) fn flat(event: &RawValue) -> String {
    // Only between its parts can a line end: inside a text it would be escaped.
    event.get().replace(['\n', '\r'], " ")
}
