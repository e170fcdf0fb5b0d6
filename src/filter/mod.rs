//! The language in which events are asked for (contract 1.5, 5.4). In: a JSON value and the moment of the question.
//! Out: a [`Filter`], or every fault of the value at once; and whether an event is one of those asked for. Never a
//! clock, never a file: `filter.matches(&Seen::read(json)?)` is all there is to it, for stored events and live ones.
//!
//! ```text
//! let filter = Filter::read(&value, clock.now())?;         // null or {}: everything of the last 180 days
//! let seen = Seen::read(&event.json)?;                     // an index over the event's own bytes
//! filter.admits(account, workspace) && filter.matches(&seen)
//! ```

mod glob;
mod read;
mod seen;
mod text;

use crate::clock::Time;
use crate::id::Uuid;

pub use glob::{Labels, Pattern};
pub use seen::{Resource, Seen};
pub use text::{QUERY_MAX_CHARS, Text};

/// Most texts and ids of one filter, all lists together.
pub const VALUES_MAX: usize = 1000;
/// Longest text of a list.
pub const VALUE_MAX_CHARS: usize = 1024;
/// Largest page.
pub const LIMIT_MAX: u64 = 200;
/// Farthest a question may begin behind its first event.
pub const OFFSET_MAX: u64 = 5000;
/// How far back a question looks that names no beginning: to the start of that day.
pub const DAYS: i64 = 180;

/// What is wrong with one place of a filter; the same three facts as the catalogue's faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The rule's name.
    pub rule: &'static str,
    /// Where, below the filter, strings only.
    pub at: Vec<String>,
    /// The rule in words.
    pub says: String,
}

/// Which end of time comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The newest.
    #[default]
    Descending,
    /// The oldest.
    Ascending,
}

/// What a question restricts names to; an empty list restricts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// One of these begins it.
    pub prefix: Vec<String>,
    /// None of these begins it.
    pub exclude_prefix: Vec<String>,
    /// It is one of these; with a `*` at its end, one of these begins it.
    pub name: Vec<String>,
    /// It is none of these; likewise.
    pub exclude_name: Vec<String>,
}

impl Names {
    fn matches(&self, name: &str) -> bool {
        let begins = |prefixes: &[String]| prefixes.iter().any(|p| name.starts_with(p.as_str()));
        let is = |names: &[String]| {
            names.iter().any(|wanted| match wanted.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => name == wanted,
            })
        };
        (self.prefix.is_empty() || begins(&self.prefix))
            && (self.name.is_empty() || is(&self.name))
            && !begins(&self.exclude_prefix)
            && !is(&self.exclude_name)
    }
}

/// What a question asks of one resource; an empty list asks nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Its id is one of these.
    pub id: Vec<String>,
    /// One of these begins its id.
    pub id_prefix: Vec<String>,
    /// Its role is one of these.
    pub role: Vec<String>,
    /// Id and role are one of these pairs.
    pub pairs: Vec<(String, String)>,
    /// What its labels are.
    pub labels: Labels,
}

impl Wanted {
    /// Whether it asks nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.id.is_empty()
            && self.id_prefix.is_empty()
            && self.role.is_empty()
            && self.pairs.is_empty()
            && self.labels.is_empty()
    }

    fn matches(&self, resource: &Resource<'_>) -> bool {
        let (id, role) = (resource.id(), resource.role());
        (self.id.is_empty() || self.id.iter().any(|wanted| *wanted == id))
            && (self.id_prefix.is_empty()
                || self.id_prefix.iter().any(|prefix| id.starts_with(prefix.as_str())))
            && (self.role.is_empty() || self.role.iter().any(|wanted| *wanted == role))
            && (self.pairs.is_empty() || self.pairs.iter().any(|(i, r)| *i == id && *r == role))
            && self.labels.matches(resource)
    }
}

/// A question for events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The earliest moment, inclusive.
    pub since: Time,
    /// The latest, inclusive; a question of stored events without one ends now, a subscription never.
    pub until: Option<Time>,
    /// What the name is.
    pub names: Names,
    /// What the event's own resource is.
    pub resource: Wanted,
    /// Only the latest event of each resource.
    pub distinct: bool,
    /// For each of these there is a related resource.
    pub related: Vec<Wanted>,
    /// For each of these there is a resource, the event's own or a related one.
    pub any: Vec<Wanted>,
    /// The event's id is one of these, unless the list is empty.
    pub ids: Vec<Uuid>,
    /// What its words are.
    pub text: Option<Text>,
    /// Which end of time comes first.
    pub order: Order,
    /// Only events of this account.
    pub account: Option<Uuid>,
    /// Only events of these workspaces, unless the list is empty.
    pub workspaces: Vec<Uuid>,
    /// How many the filter itself asks for.
    pub limit: Option<u64>,
    /// How many the filter leaves out first.
    pub offset: u64,
}

impl Filter {
    /// Reads a filter; `null` asks for everything since [`DAYS`] before `now`.
    ///
    /// # Errors
    /// Every fault.
    pub fn read(value: &serde_json::Value, now: Time) -> Result<Self, Vec<Fault>> {
        read::read(value, now)
    }

    /// Reads a filter that chooses among events as they come: without a beginning it has none; `null` is no filter.
    ///
    /// # Errors
    /// The first fault, in words; or that it asks what a single event does not answer.
    pub fn of_events(asked: &serde_json::Value, now: Time) -> Result<Option<Self>, String> {
        if asked.is_null() {
            return Ok(None);
        }
        let mut filter = Self::read(asked, now).map_err(|faults| match faults.first() {
            Some(fault) if !fault.at.is_empty() => {
                format!("{}: {}", fault.at.join("."), fault.says)
            }
            Some(fault) => fault.says.clone(),
            None => "makes no sense".to_owned(),
        })?;
        // What is asked of a list and not of one event.
        let is_paged =
            filter.limit.is_some() || filter.offset > 0 || filter.order != Order::default();
        if filter.distinct || is_paged {
            return Err("distinct, order, limit and offset say nothing of single events".to_owned());
        }
        let says_since = asked.get("occurred").and_then(|occurred| occurred.get("since"));
        if says_since.is_none_or(serde_json::Value::is_null) {
            filter.since = Time::from_micros(i64::MIN);
        }
        Ok(Some(filter))
    }

    /// Whether an event of that place may be among those asked for, by the filter's scope.
    #[must_use]
    pub fn admits(&self, account: Uuid, workspace: Option<Uuid>) -> bool {
        self.account.is_none_or(|wanted| wanted == account)
            && (self.workspaces.is_empty()
                || workspace.is_some_and(|own| self.workspaces.contains(&own)))
    }

    /// Whether an event of that name may be among those asked for.
    #[must_use]
    pub fn admits_name(&self, name: &str) -> bool {
        self.names.matches(name)
    }

    /// Whether an event is one of those asked for, whatever its place; `distinct`, limit and offset are no matter of
    /// one event.
    #[must_use]
    pub fn matches(&self, seen: &Seen<'_>) -> bool {
        let occurred = seen.occurred();
        if occurred < self.since || self.until.is_some_and(|until| occurred > until) {
            return false;
        }
        if !self.ids.is_empty() && !seen.id().is_some_and(|id| self.ids.contains(&id)) {
            return false;
        }
        self.names.matches(&seen.name())
            && (self.resource.is_empty() || self.resource.matches(&seen.resource()))
            && self.related.iter().all(|wanted| seen.related().any(|r| wanted.matches(&r)))
            && self.any.iter().all(|wanted| {
                wanted.matches(&seen.resource()) || seen.related().any(|r| wanted.matches(&r))
            })
            && self.text.as_ref().is_none_or(|text| text.matches(&seen.words()))
    }
}

#[cfg(test)]
mod tests;
