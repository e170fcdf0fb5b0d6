//! Pages of events and their totals. In: a question of one place. Out: the events that match, in the order of time,
//! and where the next page goes on. A question stops looking when its time is over; its next page goes on from there.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::FeedError;
use super::search::{Go, Reached, Search};
use super::terms::hash;
use crate::filter::{Filter, Order};
use crate::id::Uuid;

/// Longest search for the events of one page.
pub(super) const PAGE_TIME_MAX: Duration = Duration::from_secs(2);
/// Bytes of events after which a page ends, however many were asked for.
const PAGE_MAX_BYTES: usize = 8 << 20;
/// Longest count. Of events that terms alone do not find, the total is what was found till then.
pub(super) const COUNT_TIME_MAX: Duration = Duration::from_secs(10);

/// A question for a page.
#[derive(Clone, Debug)]
pub struct Question {
    /// Whose events.
    pub account: Uuid,
    /// Of which workspace, or of none with the nil id; without one, all of the account's.
    pub workspace: Option<Uuid>,
    /// Which of them.
    pub filter: Filter,
    /// How many events a page has; 0 asks only for the total.
    pub limit: usize,
    /// Where the page before this one ended.
    pub after: Option<i64>,
    /// How many match, if that was counted before.
    pub total: Option<u64>,
}

/// Some of the events that match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Each as readers outside see it, in order.
    pub events: Vec<Vec<u8>>,
    /// How many match on all pages.
    pub total: u64,
    /// Where the next page goes on, if there may be one.
    pub after: Option<i64>,
}

/// Answers a question.
pub(super) fn page(connection: &Connection, question: &Question) -> Result<Page, FeedError> {
    // Page and total see the same moment of the tables.
    let _moment = connection.unchecked_transaction()?;
    let filter = &question.filter;
    let search = Search::new(connection, filter, question.account, question.workspace)?;
    let (mut page, skipped) =
        if question.limit > 0 { find(&search, question)? } else { (Page::default(), 0) };
    page.total = match question.total {
        Some(total) => total,
        None if question.limit > 0 && page.after.is_none() => skipped + page.events.len() as u64,
        None => search.count(Instant::now() + COUNT_TIME_MAX)?,
    };
    Ok(page)
}

/// The events of a page, and how many were left out in front of the first page.
fn find(search: &Search<'_>, question: &Question) -> Result<(Page, u64), FeedError> {
    let Question { filter, limit, after, .. } = question;
    let range = rest(search.range(), filter.order, *after);
    let end = Instant::now() + PAGE_TIME_MAX;
    let skip = if after.is_none() { filter.offset } else { 0 };
    let (mut page, mut bytes, mut skipped, mut last) = (Page::default(), 0, 0, None);
    let mut resources = HashSet::new();
    let mut fault = None;
    // Read from the newest on, the first of a resource is its latest.
    let is_from_newest = filter.order == Order::Descending && after.is_none();
    let reached = search.each(range, filter.order, end, |row, seen| {
        if filter.distinct {
            let resource = seen.resource();
            let id = resource.id();
            let is_first = resources.insert(hash(&id));
            let is_latest = if is_from_newest {
                is_first
            } else {
                match has_later(search, &id, row.slot, end) {
                    Ok(later) => !later,
                    Err(problem) => {
                        fault = Some(problem);
                        return Go::Stop;
                    }
                }
            };
            if !is_latest {
                return Go::On;
            }
        }
        if skipped < skip {
            skipped += 1;
            return Go::On;
        }
        if page.events.len() == *limit || bytes > PAGE_MAX_BYTES {
            page.after = last;
            return Go::Stop;
        }
        let told = row.told();
        bytes += told.len();
        page.events.push(told);
        last = Some(row.slot);
        Go::On
    })?;
    if let Some(fault) = fault {
        return Err(fault);
    }
    if let Reached::Time(slot) = reached {
        page.after = Some(slot);
    }
    Ok((page, skipped))
}

/// What is left of a range behind a slot.
fn rest((low, high): (i64, i64), order: Order, after: Option<i64>) -> (i64, i64) {
    match (after, order) {
        (None, _) => (low, high),
        (Some(after), Order::Descending) => (low, high.min(after.saturating_sub(1))),
        (Some(after), Order::Ascending) => (low.max(after.saturating_add(1)), high),
    }
}

/// Whether there is a match of the same resource behind a slot.
fn has_later(
    search: &Search<'_>,
    resource: &str,
    slot: i64,
    end: Instant,
) -> Result<bool, FeedError> {
    let range = (slot.saturating_add(1), search.range().1);
    let mut found = false;
    search.of_resource(resource).each(range, Order::Descending, end, |_, seen| {
        found = seen.resource().id() == resource;
        if found { Go::Stop } else { Go::On }
    })?;
    Ok(found)
}
