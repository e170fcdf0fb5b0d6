//! The index as it is written. In: frames of the spool, audit events of earlier days, the present moment. Out: rows
//! and terms, together with how far the spool was read, in one transaction; and what is older than it may be, gone in
//! slices. An event of an id that is known in its place is left out; what is no event is counted and left out.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Statement, Transaction, params};

use super::slot::Slots;
use super::{FeedError, Options, file, requests, runs, slot, terms};
use crate::clock::{Clock, Time};
use crate::event::{Event, RESERVED_PREFIX};
use crate::filter::Seen;
use crate::id::{self, Secret, Uuid};
use crate::spool::Kept;

/// Most rows that one slice of retention looks at, and bytes of events that go with it.
const SLICE_ROWS: u32 = 500;
pub(super) const SLICE_BYTES: usize = 1 << 20;
/// Age at which events are in runs of words: what comes later than that costs a run's rewriting.
const RUN_SECONDS_MIN: i64 = 10;
/// Most runs that are closed at once.
const RUNS_MAX: u32 = 16;
const DAY_MICROS: i64 = 86_400_000_000;

/// An audit event of earlier days, as the store kept it.
#[derive(Clone, Debug)]
pub struct Past {
    /// Whose it is.
    pub account: Uuid,
    /// When it was kept.
    pub received: Time,
    /// The event.
    pub event: Event,
}

/// What one batch came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Added {
    /// Events that are new.
    pub(super) new: u64,
    /// Events whose id was known in their place.
    pub(super) known: u64,
    /// What was no event.
    pub(super) unreadable: u64,
}

/// An event on its way in.
struct Incoming<'a> {
    account: Uuid,
    workspace: Option<Uuid>,
    received: Time,
    is_own: bool,
    /// Its frame, where one is known.
    frame: Option<u64>,
    event: &'a Event,
}

/// The writer's side of the index.
#[derive(Debug)]
pub(super) struct Index {
    connection: Connection,
    slots: Slots,
    places: HashMap<(Uuid, Option<Uuid>), i64>,
    overflows: bool,
    /// The last frame whose events are in.
    cursor: u64,
    /// The last slot of the last run of words.
    closed: Option<i64>,
    /// Where retention goes on looking.
    swept: i64,
    /// And what gives room to new events.
    shed: i64,
}

impl Index {
    /// Opens the index of a data folder; whether it is a new one.
    pub(super) fn open(data: &Path) -> Result<(Self, bool), FeedError> {
        let (connection, is_new) = file::open(data)?;
        let (spill, cursor, overflows) = (
            fact(&connection, "spill")?.unwrap_or(0),
            fact(&connection, "cursor")?.unwrap_or(0),
            fact(&connection, "overflows")?.unwrap_or(0),
        );
        let closed = fact(&connection, "closed")?;
        let index = Self {
            closed,
            slots: Slots::open(&connection, spill)?,
            connection,
            places: HashMap::new(),
            overflows: overflows != 0,
            cursor: cursor.cast_unsigned(),
            swept: -1,
            shed: -1,
        };
        Ok((index, is_new))
    }

    #[cfg(test)]
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// A secret that lives as long as the file.
    pub(super) fn seal(&self, clock: &Clock) -> Result<Secret, FeedError> {
        let sql = "INSERT OR IGNORE INTO fact (name, value) VALUES ('seal', ?1)";
        let fresh = [id::slug(clock), id::slug(clock)];
        self.connection.execute(sql, [fresh.map(|part| part.expose().to_owned()).concat()])?;
        let sql = "SELECT value FROM fact WHERE name = 'seal'";
        let kept: String = self.connection.query_row(sql, [], |row| row.get(0))?;
        Ok(Secret::new(kept))
    }

    /// The last frame whose events are in.
    pub(super) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The journal is another one than was read: its frames count from the start.
    pub(super) fn start_over(&mut self) -> Result<(), FeedError> {
        self.cursor = 0;
        requests::forget_all(&self.connection)
    }

    /// Adds the events of frames, and remembers that they are in.
    pub(super) fn add(&mut self, frames: &[Kept]) -> Result<Added, FeedError> {
        let incoming = frames.iter().filter(|frame| frame.sequence > self.cursor).flat_map(|f| {
            f.events.iter().map(|event| Incoming {
                account: f.account,
                workspace: f.workspace,
                received: f.received,
                is_own: f.capture.is_none(),
                frame: Some(f.sequence),
                event,
            })
        });
        let last = frames.last().map_or(self.cursor, |frame| frame.sequence.max(self.cursor));
        self.write(&incoming.collect::<Vec<_>>(), frames, last)
    }

    /// Adds audit events of earlier days.
    pub(super) fn add_past(&mut self, past: &[Past]) -> Result<Added, FeedError> {
        let incoming = past.iter().map(|past| Incoming {
            account: past.account,
            workspace: Seen::read(&past.event.json).and_then(|seen| workspace(&seen)),
            received: past.received,
            is_own: true,
            frame: None,
            event: &past.event,
        });
        self.write(&incoming.collect::<Vec<_>>(), &[], self.cursor)
    }

    fn write(
        &mut self,
        incoming: &[Incoming<'_>],
        frames: &[Kept],
        cursor: u64,
    ) -> Result<Added, FeedError> {
        let mut added = Added { unreadable: incoming.len() as u64, ..Added::default() };
        let mut batch: Vec<_> = incoming
            .iter()
            .filter_map(|incoming| Some((Seen::read(&incoming.event.json)?, incoming)))
            .collect();
        added.unreadable -= batch.len() as u64;
        // Terms come in the order of their rows, or each step back would close a segment.
        batch.sort_by_key(|(seen, _)| seen.occurred());
        let transaction = self.connection.unchecked_transaction()?;
        let mut writing = Writing {
            transaction: &transaction,
            slots: &mut self.slots,
            places: &mut self.places,
            overflows: &mut self.overflows,
            closed: self.closed,
        };
        let written = writing.write(&batch, &mut added).and_then(|()| {
            let place = |frame: &Kept| writing.place(frame.account, frame.workspace);
            requests::add(&transaction, frames, self.cursor, place)
        });
        let spill = self.slots.spill_micros;
        let kept = written.and_then(|()| {
            set_fact(&transaction, "cursor", cursor.cast_signed())?;
            set_fact(&transaction, "spill", spill)?;
            set_fact(&transaction, "overflows", self.overflows.into())?;
            Ok(transaction.commit()?)
        });
        if let Err(fault) = kept {
            // What was given out and never written must not count as taken, nor a place as known.
            self.places.clear();
            self.slots = Slots::open(&self.connection, spill)?;
            return Err(fault);
        }
        self.cursor = cursor;
        Ok(added)
    }

    /// Makes everything up to the cursor durable. What a question that runs keeps from being moved into the file is
    /// synced where it lies, in the log.
    pub(super) fn checkpoint(&self) -> Result<(), FeedError> {
        let sql = "PRAGMA wal_checkpoint(PASSIVE)";
        let (busy, pages, moved) = self.connection.query_row(sql, [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        })?;
        if busy != 0 || pages != moved {
            let log = format!("{}-wal", self.connection.path().unwrap_or_default());
            File::open(&log)?.sync_all()?;
            Path::new(&log).parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())?;
        }
        Ok(())
    }

    /// Makes the log an empty file, unless a question still reads in it after so long a wait. Whoever asks meanwhile
    /// reads in the file, and is not waited for.
    pub(super) fn cut_log(&self, wait: Duration) -> Result<(), FeedError> {
        self.connection.busy_timeout(wait)?;
        let cut = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        self.connection.busy_timeout(file::BUSY_MAX)?;
        Ok(cut?)
    }

    /// Bytes of what is in use.
    pub(super) fn used_bytes(&self) -> Result<u64, FeedError> {
        let pages = self.pragma("page_count")?.saturating_sub(self.pragma("freelist_count")?);
        Ok(pages * self.pragma("page_size")?)
    }

    /// Bytes of the file that are not in use.
    pub(super) fn spare_bytes(&self) -> Result<u64, FeedError> {
        Ok(self.pragma("freelist_count")? * self.pragma("page_size")?)
    }

    fn pragma(&self, name: &str) -> Result<u64, FeedError> {
        let value = self.connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0));
        Ok(value.map(i64::unsigned_abs)?)
    }

    /// Closes runs of words that are a while old; whether there may be more of them.
    pub(super) fn close_runs(&mut self, now: Time) -> Result<bool, FeedError> {
        let until = slot::last(now.plus_seconds(-RUN_SECONDS_MIN));
        if self.closed.is_some_and(|closed| closed >= until) {
            return Ok(false);
        }
        let transaction = self.connection.unchecked_transaction()?;
        let mut closed = self.closed;
        for _ in 0..RUNS_MAX {
            let Some(next) = runs::close(&transaction, closed, until)? else { break };
            closed = Some(next);
        }
        let is_more = closed != self.closed;
        if let Some(closed) = closed.filter(|_| is_more) {
            set_fact(&transaction, "closed", closed)?;
        }
        transaction.commit()?;
        self.closed = closed;
        Ok(is_more)
    }

    /// Begins to look for what is too old from the start again.
    pub(super) fn restart_retention(&mut self) {
        self.swept = -1;
    }

    /// Forgets requests that the spool has let go; whether there may be more of them.
    pub(super) fn forget_requests(&mut self, oldest: u64) -> Result<bool, FeedError> {
        requests::forget(&self.connection, oldest)
    }

    /// Removes one slice of what is too old, or too much; how many events went, `None` when there was nothing left
    /// to look at.
    pub(super) fn retain(
        &mut self,
        options: &Options,
        now: Time,
    ) -> Result<Option<u64>, FeedError> {
        let is_over = self.used_bytes()? > options.bytes_max;
        let (swept, gone) = self.remove_slice(self.swept, (options, now), is_over, SLICE_BYTES)?;
        self.swept = swept.unwrap_or(self.swept);
        Ok(swept.map(|_| gone))
    }

    /// Removes so many bytes of the oldest events, audit events excepted, whatever their age; how many went, `None`
    /// when there is nothing that may go.
    pub(super) fn shed(
        &mut self,
        options: &Options,
        now: Time,
        bytes: usize,
    ) -> Result<Option<u64>, FeedError> {
        let (shed, gone) = self.remove_slice(self.shed, (options, now), true, bytes)?;
        self.shed = shed.unwrap_or(-1);
        Ok(shed.map(|_| gone))
    }

    /// Looks at the next rows behind a slot, and removes what may not stay; the last slot and how many went.
    fn remove_slice(
        &self,
        from: i64,
        (options, now): (&Options, Time),
        is_over: bool,
        bytes_max: usize,
    ) -> Result<(Option<i64>, u64), FeedError> {
        let before =
            |days: u32| slot::first(Time::from_micros(now.micros() - i64::from(days) * DAY_MICROS));
        let (audit, other) = (before(options.audit_days), before(options.days));
        let end = if is_over { i64::MAX } else { audit.max(other) };
        let sql = "SELECT slot, is_audit, place, json FROM event
                   WHERE slot > ?1 AND slot < ?2 ORDER BY slot LIMIT ?3";
        let transaction = self.connection.unchecked_transaction()?;
        let (mut last, mut gone, mut bytes) = (None, 0, 0);
        let mut removal = Removal::new(&transaction)?;
        let mut statement = transaction.prepare(sql)?;
        let mut rows = statement.query(params![from, end, SLICE_ROWS])?;
        while let Some(row) = rows.next()? {
            let (slot, is_audit): (i64, bool) = (row.get(0)?, row.get(1)?);
            last = Some(slot);
            let is_old = slot < if is_audit { audit } else { other };
            if is_old || (is_over && !is_audit) {
                let json: Vec<u8> = row.get(3)?;
                removal.remove(slot, row.get(2)?, &json)?;
                gone += 1;
                bytes += json.len();
                if bytes >= bytes_max {
                    break;
                }
            }
        }
        drop(rows);
        drop((statement, removal));
        runs::forget(&transaction, audit.min(other))?;
        transaction.commit()?;
        Ok((last, gone))
    }
}

/// One batch being written.
struct Writing<'a> {
    transaction: &'a Transaction<'a>,
    slots: &'a mut Slots,
    places: &'a mut HashMap<(Uuid, Option<Uuid>), i64>,
    overflows: &'a mut bool,
    closed: Option<i64>,
}

impl Writing<'_> {
    fn write(
        &mut self,
        batch: &[(Seen<'_>, &Incoming<'_>)],
        added: &mut Added,
    ) -> Result<(), FeedError> {
        let mut row = self.transaction.prepare(
            "INSERT OR IGNORE INTO event (slot, id, place, is_audit, received, json, frame)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        let mut words =
            self.transaction.prepare("INSERT INTO term (rowid, words) VALUES (?1, ?2)")?;
        let mut taken = self.transaction.prepare(slot::TAKEN)?;
        for (seen, incoming) in batch {
            let place = self.place(incoming.account, incoming.workspace)?;
            let slot = self.slots.take(&mut taken, seen.occurred())?;
            let is_audit = incoming.is_own && seen.name().starts_with(RESERVED_PREFIX);
            let changed = row.execute(params![
                slot,
                incoming.event.id.as_bytes(),
                place,
                is_audit,
                incoming.received.micros(),
                &incoming.event.json[..],
                incoming.frame.map(u64::cast_signed),
            ])?;
            if changed == 0 {
                added.known += 1;
                continue;
            }
            let (terms, is_whole) = terms::of_event(seen, incoming.account, incoming.workspace);
            *self.overflows |= !is_whole;
            words.execute(params![slot, terms])?;
            if self.closed.is_some_and(|closed| slot <= closed) {
                runs::amend(self.transaction, slot, seen)?;
            }
            added.new += 1;
        }
        Ok(())
    }

    fn place(&mut self, account: Uuid, workspace: Option<Uuid>) -> Result<i64, FeedError> {
        if let Some(&number) = self.places.get(&(account, workspace)) {
            return Ok(number);
        }
        let ids = [account.into_bytes(), workspace.unwrap_or_default().into_bytes()];
        let sql = "INSERT OR IGNORE INTO place (account, workspace) VALUES (?1, ?2)";
        self.transaction.execute(sql, ids)?;
        let sql = "SELECT number FROM place WHERE account = ?1 AND workspace = ?2";
        let number = self.transaction.query_row(sql, ids, |row| row.get(0))?;
        self.places.insert((account, workspace), number);
        Ok(number)
    }
}

/// Rows being removed.
struct Removal<'a> {
    transaction: &'a Transaction<'a>,
    words: Statement<'a>,
    row: Statement<'a>,
    places: HashMap<i64, (Uuid, Option<Uuid>)>,
}

impl<'a> Removal<'a> {
    fn new(transaction: &'a Transaction<'a>) -> Result<Self, FeedError> {
        let words = "INSERT INTO term (term, rowid, words) VALUES ('delete', ?1, ?2)";
        Ok(Self {
            transaction,
            words: transaction.prepare(words)?,
            row: transaction.prepare("DELETE FROM event WHERE slot = ?1")?,
            places: HashMap::new(),
        })
    }

    fn remove(&mut self, slot: i64, number: i64, json: &[u8]) -> Result<(), FeedError> {
        let (account, workspace) = match self.places.get(&number) {
            Some(place) => *place,
            None => place(self.transaction, number)?,
        };
        self.places.insert(number, (account, workspace));
        if let Some(seen) = Seen::read(json) {
            let (terms, _) = terms::of_event(&seen, account, workspace);
            self.words.execute(params![slot, terms])?;
        }
        self.row.execute([slot])?;
        Ok(())
    }
}

/// Whose events a place has.
pub(super) fn place(
    connection: &Connection,
    number: i64,
) -> Result<(Uuid, Option<Uuid>), FeedError> {
    let sql = "SELECT account, workspace FROM place WHERE number = ?1";
    let (account, workspace): ([u8; 16], [u8; 16]) =
        connection.prepare(sql)?.query_row([number], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let workspace = Some(Uuid::from_bytes(workspace)).filter(|id| !id.is_nil());
    Ok((Uuid::from_bytes(account), workspace))
}

/// One number the index remembers.
pub(super) fn fact(connection: &Connection, name: &str) -> Result<Option<i64>, FeedError> {
    let mut statement = connection.prepare("SELECT value FROM fact WHERE name = ?1")?;
    Ok(statement.query_row([name], |row| row.get(0)).optional()?)
}

fn set_fact(connection: &Connection, name: &str, value: i64) -> Result<(), FeedError> {
    let sql = "INSERT OR REPLACE INTO fact (name, value) VALUES (?1, ?2)";
    connection.prepare(sql)?.execute(params![name, value])?;
    Ok(())
}

/// The workspace that an audit event names among its related resources.
fn workspace(seen: &Seen<'_>) -> Option<Uuid> {
    let related = seen.related().find(|related| related.role() == "workspace")?;
    let id = related.id();
    Uuid::parse_str(id.strip_prefix("prefect-cloud.workspace.")?).ok()
}
