//! Events counted by something. In: a question of one place and what to count by. Out: groups with their first and
//! last moments, or the buckets of a time line, empty ones included. Never more groups than the bound.

use std::collections::HashMap;
use std::time::Instant;

use rusqlite::Connection;

use super::FeedError;
use super::ask::{COUNT_TIME_MAX, Question};
use super::search::{Go, Reached, Search};
use crate::clock::Time;
use crate::filter::{Order, Seen};

/// Most buckets of a time line.
pub const BUCKETS_MAX: i64 = 1000;
/// Most groups that are counted; events of others are left out.
const GROUPS_MAX: usize = 100_000;
/// Buckets are counted from here: 2024-04-01T00:00:00Z, a Monday.
const PIVOT_MICROS: i64 = 1_711_929_600_000_000;

/// What events are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Countable {
    /// Buckets of so many microseconds.
    Time { micros: i64 },
    /// Their names.
    Name,
    /// Their own resources.
    Resource,
    /// Their workspaces.
    Workspace,
    /// The related resource that acted.
    Actor,
}

/// One group of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What they share.
    pub value: String,
    /// The same for people.
    pub label: String,
    /// How many.
    pub count: u64,
    /// The first moment.
    pub start: Time,
    /// The last moment.
    pub end: Time,
}

/// The buckets between two moments: the first and last number. `None` when there are more than [`BUCKETS_MAX`].
#[must_use]
pub fn buckets(since: Time, until: Time, micros: i64) -> Option<(i64, i64)> {
    let number = |time: Time| time.micros().saturating_sub(PIVOT_MICROS).div_euclid(micros.max(1));
    let (first, last) = (number(since), number(until));
    (last.saturating_sub(first) < BUCKETS_MAX).then_some((first, last))
}

/// Counts the events of a question.
pub(super) fn count(
    connection: &Connection,
    question: &Question,
    by: Countable,
) -> Result<Vec<Group>, FeedError> {
    let _moment = connection.unchecked_transaction()?;
    let filter = &question.filter;
    let search = Search::new(connection, filter, question.account, question.workspace)?;
    let mut groups = match by {
        Countable::Time { micros } => time_line(filter.since, filter.until, micros)?,
        _ => HashMap::new(),
    };
    let end = Instant::now() + COUNT_TIME_MAX;
    let range = search.range();
    let reached = search.each(range, Order::Descending, end, |row, seen| {
        let named = match by {
            Countable::Time { micros } => Some(bucket(seen.occurred(), micros)),
            Countable::Workspace => row.workspace.map(|id| (id.to_string(), id.to_string())),
            _ => named(seen, by),
        };
        if let Some((value, label)) = named
            && (groups.len() < GROUPS_MAX || groups.contains_key(&value))
        {
            let occurred = seen.occurred();
            let group = groups.entry(value).or_insert_with_key(|value| Group {
                value: value.clone(),
                label,
                count: 0,
                start: occurred,
                end: occurred,
            });
            group.count += 1;
            if !matches!(by, Countable::Time { .. }) {
                group.start = group.start.min(occurred);
                group.end = group.end.max(occurred);
            }
        }
        Go::On
    })?;
    if reached != Reached::End {
        return Err(FeedError::Slow { seconds: COUNT_TIME_MAX.as_secs() });
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    if matches!(by, Countable::Time { .. }) {
        groups.sort_by_key(|group| group.start);
    } else {
        groups.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.label.cmp(&b.label)));
    }
    Ok(groups)
}

/// What an event shares with others, and its name for people.
fn named(seen: &Seen<'_>, by: Countable) -> Option<(String, String)> {
    let resource = match by {
        Countable::Name => {
            let name = seen.name().into_owned();
            return Some((name.clone(), name));
        }
        Countable::Actor => seen.related().find(|related| related.role() == "actor")?,
        _ => seen.resource(),
    };
    Some((resource.id().into_owned(), resource.title().into_owned()))
}

fn bucket(occurred: Time, micros: i64) -> (String, String) {
    let number = occurred.micros().saturating_sub(PIVOT_MICROS).div_euclid(micros.max(1));
    (number.to_string(), start(number, micros).to_string())
}

fn start(number: i64, micros: i64) -> Time {
    Time::from_micros(PIVOT_MICROS.saturating_add(number.saturating_mul(micros)))
}

/// All buckets of a question, empty.
fn time_line(
    since: Time,
    until: Option<Time>,
    micros: i64,
) -> Result<HashMap<String, Group>, FeedError> {
    let until = until.unwrap_or(since);
    let (first, last) = buckets(since, until, micros).ok_or(FeedError::Buckets)?;
    let group = |number: i64| {
        let (start, end) = (start(number, micros), start(number + 1, micros));
        let value = number.to_string();
        (value.clone(), Group { value, label: start.to_string(), count: 0, start, end })
    };
    Ok((first..=last).map(group).collect())
}
