//! One event as a line: its own text for programs, its moment, id, name and resource for people. In: an event as a
//! gateway sent it, or a page of them. Out: a line. Never a number that lost digits.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

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
pub(in crate::cli) struct Seen {
    #[serde(default)]
    pub(super) id: String,
    #[serde(default)]
    pub(in crate::cli) occurred: String,
    #[serde(default)]
    pub(in crate::cli) event: String,
    #[serde(default)]
    pub(in crate::cli) resource: Value,
    #[serde(default)]
    pub(in crate::cli) related: Vec<Value>,
}

impl Seen {
    /// Reads an event; what is none has nothing to see.
    pub(super) fn of(event: &RawValue) -> Option<Self> {
        serde_json::from_str(event.get()).ok()
    }

    /// The line for people.
    pub(super) fn line(&self) -> String {
        let resource = self.resource["prefect.resource.id"].as_str().unwrap_or_default();
        format!("{}  {}  {}  {resource}", self.occurred, self.id, self.event)
    }
}

/// An event on one line, as it was sent.
pub(super) fn flat(event: &RawValue) -> String {
    // Only between its parts can a line end: inside a text it would be escaped.
    event.get().replace(['\n', '\r'], " ")
}
