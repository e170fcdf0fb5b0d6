//! What a filter finds. In: a filter and a place. Out: candidates by terms, or by ids, each of them looked at, in the
//! order of time. Never an event of another place, whatever the terms say.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Instant;

use rusqlite::{Connection, params, params_from_iter};

use super::terms::{self, Plan};
use super::{FeedError, index, runs, slot};
use crate::clock::Time;
use crate::event;
use crate::filter::{Filter, Order, Seen, Text};
use crate::id::Uuid;

/// Rows between two looks at the time.
const ROWS_UNTIMED: u32 = 64;

/// One event of the index.
pub(super) struct Row<'a> {
    pub(super) slot: i64,
    pub(super) account: Uuid,
    pub(super) workspace: Option<Uuid>,
    received: Time,
    json: &'a [u8],
}

impl Row<'_> {
    /// The event as readers outside see it.
    pub(super) fn told(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.json.len() + 160);
        event::write_received(&mut out, self.json, self.received, self.account, self.workspace);
        out
    }
}

/// What a look at a row says of those behind it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Go {
    On,
    Stop,
}

/// How far a search came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// All there is, or where it was told to stop.
    End,
    /// The end of its time, at this slot.
    Time(i64),
}

/// A question as it is put to the tables.
pub(super) struct Search<'a> {
    connection: &'a Connection,
    filter: &'a Filter,
    account: Uuid,
    workspace: Option<Uuid>,
    plan: Plan,
    /// Slots that an event may stand behind its own moment.
    spill: i64,
    places: RefCell<HashMap<i64, (Uuid, Option<Uuid>)>>,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        connection: &'a Connection,
        filter: &'a Filter,
        account: Uuid,
        workspace: Option<Uuid>,
    ) -> Result<Self, FeedError> {
        let overflows = index::fact(connection, "overflows")?.unwrap_or(0) != 0;
        Ok(Self {
            connection,
            filter,
            account,
            workspace,
            plan: terms::plan(filter, account, workspace, overflows),
            spill: slot::of_micros(index::fact(connection, "spill")?.unwrap_or(0)),
            places: RefCell::default(),
        })
    }

    /// The same question, only for events of one resource of their own.
    pub(super) fn of_resource(&self, id: &str) -> Self {
        let plan = self.plan.and_resource(id);
        Self { plan, places: RefCell::default(), ..*self }
    }

    /// All slots that may hold a match.
    pub(super) fn range(&self) -> (i64, i64) {
        let until = self.filter.until.unwrap_or(Time::from_micros(i64::MAX));
        (slot::first(self.filter.since), slot::last(until).saturating_add(self.spill))
    }

    /// Hands on each match between two slots, both inclusive, until a moment.
    pub(super) fn each(
        &self,
        (low, high): (i64, i64),
        order: Order,
        end: Instant,
        mut take: impl FnMut(&Row<'_>, &Seen<'_>) -> Go,
    ) -> Result<Reached, FeedError> {
        if self.filter.account.is_some_and(|account| account != self.account) || low > high {
            return Ok(Reached::End);
        }
        let text = self.filter.text.as_ref().filter(|_| self.filter.ids.is_empty());
        let Some(text) = text else { return self.each_in((low, high), order, end, &mut take) };
        let mut reached = Reached::End;
        runs::each_part(self.connection, text, (low, high), order, |part| {
            let mut is_told = false;
            reached = self.each_in(part, order, end, &mut |row: &Row<'_>, seen: &Seen<'_>| {
                let go = take(row, seen);
                is_told |= go == Go::Stop;
                go
            })?;
            if reached == Reached::End && Instant::now() > end {
                reached = Reached::Time(if order == Order::Ascending { part.1 } else { part.0 });
            }
            Ok(!is_told && reached == Reached::End)
        })?;
        Ok(reached)
    }

    /// The same without passing over anything.
    fn each_in(
        &self,
        (low, high): (i64, i64),
        order: Order,
        end: Instant,
        take: &mut impl FnMut(&Row<'_>, &Seen<'_>) -> Go,
    ) -> Result<Reached, FeedError> {
        let direction = if order == Order::Ascending { "ASC" } else { "DESC" };
        let of_ids = !self.filter.ids.is_empty();
        let sql = if of_ids {
            let marks = vec!["?"; self.filter.ids.len()].join(", ");
            format!(
                "SELECT slot, place, received, json FROM event
                 WHERE id IN ({marks}) AND slot BETWEEN {low} AND {high} ORDER BY slot {direction}"
            )
        } else {
            format!(
                "SELECT event.slot, place, received, json
                 FROM term CROSS JOIN event ON event.slot = term.rowid
                 WHERE term MATCH ? AND term.rowid BETWEEN ? AND ?
                 ORDER BY term.rowid {direction}"
            )
        };
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = if of_ids {
            statement.query(params_from_iter(self.filter.ids.iter().map(|id| id.into_bytes())))?
        } else {
            statement.query(params![self.plan.matching, low, high])?
        };
        let (mut looked, mut small): (u32, _) = (0, Vec::new());
        while let Some(row) = rows.next()? {
            let (slot, place) = (row.get(0)?, row.get(1)?);
            let (account, workspace) = self.place(place)?;
            let row = Row {
                slot,
                account,
                workspace,
                received: Time::from_micros(row.get(2)?),
                json: row.get_ref(3)?.as_blob()?,
            };
            let may = |text: &Text| text.may_be_in(row.json, &mut small);
            if self.is_here(&row) && self.filter.text.as_ref().is_none_or(may) {
                let seen = Seen::read(row.json).filter(|seen| self.filter.matches(seen));
                if seen.is_some_and(|seen| take(&row, &seen) == Go::Stop) {
                    return Ok(Reached::End);
                }
            }
            looked = looked.wrapping_add(1);
            if looked.is_multiple_of(ROWS_UNTIMED) && Instant::now() > end {
                return Ok(Reached::Time(slot));
            }
        }
        Ok(Reached::End)
    }

    /// How many match, as far as a moment allows to count.
    pub(super) fn count(&self, end: Instant) -> Result<u64, FeedError> {
        let (low, high) = self.range();
        if !self.plan.is_exact {
            return self.look_and_count((low, high), end);
        }
        if self.filter.account.is_some_and(|account| account != self.account) || low > high {
            return Ok(0);
        }
        // At both ends there may be events that stand behind their own moment.
        let (from, to) = (low.saturating_add(self.spill), high.saturating_sub(self.spill));
        if from > to {
            return self.look_and_count((low, high), end);
        }
        let sql = "SELECT count(*) FROM term WHERE term MATCH ?1 AND rowid BETWEEN ?2 AND ?3";
        let inside: i64 = self
            .connection
            .prepare(sql)?
            .query_row(params![self.plan.matching, from, to], |row| row.get(0))?;
        let mut count = inside.unsigned_abs();
        if self.spill > 0 {
            count += self.look_and_count((low, from - 1), end)?;
            count += self.look_and_count((to + 1, high), end)?;
        }
        Ok(count)
    }

    fn look_and_count(&self, range: (i64, i64), end: Instant) -> Result<u64, FeedError> {
        let (mut count, mut resources) = (0, std::collections::HashSet::new());
        self.each(range, Order::Descending, end, |_, seen| {
            if !self.filter.distinct || resources.insert(terms::hash(&seen.resource().id())) {
                count += 1;
            }
            Go::On
        })?;
        Ok(count)
    }

    fn place(&self, number: i64) -> Result<(Uuid, Option<Uuid>), FeedError> {
        if let Some(place) = self.places.borrow().get(&number) {
            return Ok(*place);
        }
        let place = index::place(self.connection, number)?;
        self.places.borrow_mut().insert(number, place);
        Ok(place)
    }

    fn is_here(&self, row: &Row<'_>) -> bool {
        row.account == self.account
            && self.workspace.is_none_or(|wanted| row.workspace.unwrap_or_default() == wanted)
            && self.filter.admits(row.account, row.workspace)
    }
}
