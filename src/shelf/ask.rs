//! What is asked of the table. In: a connection and a question. Out: its answer; every change is one transaction.

use std::collections::BTreeSet;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde_json::Value;

use super::row::{Aside, COLUMNS, Key, Lying, Standing, from_row};
use super::{BYTES_MAX, EVENTS_MAX, ShelfError};
use crate::clock::Time;
use crate::filter::{Filter, Seen};
use crate::id::Uuid;

/// Events that were let go of and are remembered: the newest.
pub const GONE_MAX: u64 = 10_000;

/// How much a destination has there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events.
    pub events: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// What one destination has there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Has {
    /// Whose it is.
    pub destination: Uuid,
    /// Events.
    pub events: u64,
    /// Some of them may go out again.
    pub is_due: bool,
}

/// How a destination fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failing {
    /// When the first of the attempts failed after which none went well.
    pub since: Time,
    /// How many failed, one after the other.
    pub failures: u32,
    /// Nothing is tried before this moment.
    pub next: Time,
    /// So long that was when it was said: whatever becomes of the clock, it is no longer.
    pub wait: Duration,
    /// An event told that it is down.
    pub is_told: bool,
}

/// How much is taken in hand at once: events, and bytes of them after which no more follow.
#[derive(Clone, Copy, Debug)]
pub struct Most {
    pub events: usize,
    pub bytes: usize,
}

/// What is left when some events went out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// What the destination has there.
    pub counts: Counts,
    /// Keys of those events of which nothing lies there any more.
    pub free: Vec<Key>,
    /// Of others something does.
    pub has_more: bool,
}

/// What was let go of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gone {
    /// Events.
    pub ids: Vec<Uuid>,
    /// So many more were asked for and stay: they are on their way just now.
    pub on_their_way: u64,
}

/// Which events; what is absent restricts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Those of this destination.
    pub destination: Option<Uuid>,
    /// Those with one of these ids.
    pub ids: Option<Vec<Uuid>>,
    /// Those whose reason has this in it, letter case of ASCII aside.
    pub reason: Option<String>,
    /// Those that stand so.
    pub standing: Option<Standing>,
    /// Those that this matches.
    pub filter: Option<Filter>,
}

/// What may go out again: nothing of its key before it was refused.
pub(super) const DUE: &str = "(standing <> 0 AND NOT EXISTS (SELECT 1 FROM aside AS before
    WHERE before.destination = aside.destination AND before.key = aside.key
    AND before.standing = 0 AND before.number < aside.number))";

/// As a condition with the parameters that [`Asked::parameters`] gives.
pub(super) const CONDITION: &str = "(?5 IS NULL OR number IN (SELECT value FROM json_each(?5)))
    AND (?1 IS NULL OR destination = ?1)
    AND (?2 IS NULL OR id IN (SELECT unhex(value) FROM json_each(?2)))
    AND (?3 IS NULL OR instr(lower(reason), lower(?3)) > 0)
    AND (?4 IS NULL OR standing = ?4)";

pub(super) type Parameters =
    (Option<[u8; 16]>, Option<String>, Option<String>, Option<i64>, Option<String>);

impl Asked {
    pub(super) fn parameters(&self, connection: &Connection) -> Result<Parameters, ShelfError> {
        let Some(filter) = &self.filter else { return Ok(self.plain()) };
        let (whose, ids, reason, standing, none) = self.plain();
        // A destination has so much at most that all of it is looked at once.
        let sql = format!("SELECT number, account, workspace, json FROM aside WHERE {CONDITION}");
        let mut statement = connection.prepare(&sql)?;
        let mut rows = statement.query(params![whose, ids, reason, standing, none])?;
        let mut numbers: Vec<i64> = Vec::new();
        while let Some(row) = rows.next()? {
            let workspace = Some(Uuid::from_bytes(row.get(2)?)).filter(|id| !id.is_nil());
            let is_there = filter.admits(Uuid::from_bytes(row.get(1)?), workspace);
            let json = row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?;
            if is_there && Seen::read(json).is_some_and(|seen| filter.matches(&seen)) {
                numbers.push(row.get(0)?);
            }
        }
        Ok((whose, ids, reason, standing, Some(Value::from(numbers).to_string())))
    }

    fn plain(&self) -> Parameters {
        let texts = |ids: &Vec<Uuid>| {
            let texts: Vec<String> = ids.iter().map(|id| id.simple().to_string()).collect();
            Value::from(texts).to_string()
        };
        (
            self.destination.map(Uuid::into_bytes),
            self.ids.as_ref().map(texts),
            self.reason.clone(),
            self.standing.map(Standing::number),
            None,
        )
    }
}

pub(super) fn counts(connection: &Connection, destination: Uuid) -> Result<Counts, ShelfError> {
    let sql = "SELECT events, bytes FROM tally WHERE destination = ?1";
    let read = |row: &Row<'_>| {
        let (events, bytes): (i64, i64) = (row.get(0)?, row.get(1)?);
        Ok(Counts { events: events.unsigned_abs(), bytes: bytes.unsigned_abs() })
    };
    Ok(connection.query_row(sql, [destination.as_bytes()], read).optional()?.unwrap_or_default())
}

/// Of what a destination has there, what goes out once it may: the rest waits for somebody to say what becomes of it.
pub(super) fn due_counts(connection: &Connection, destination: Uuid) -> Result<Counts, ShelfError> {
    let sql = format!(
        "SELECT count(*), coalesce(sum(length(json)), 0) FROM aside WHERE destination = ?1 AND {DUE}"
    );
    let read = |row: &Row<'_>| {
        let (events, bytes): (i64, i64) = (row.get(0)?, row.get(1)?);
        Ok(Counts { events: events.unsigned_abs(), bytes: bytes.unsigned_abs() })
    };
    Ok(connection.query_row(&sql, [destination.as_bytes()], read)?)
}

pub(super) fn put(
    connection: &mut Connection,
    destination: Uuid,
    all: &[Aside],
) -> Result<Counts, ShelfError> {
    let transaction = connection.transaction()?;
    let (_, counts) = add(&transaction, destination, all)?;
    transaction.commit()?;
    Ok(counts)
}

/// Adds what does not lie there, in a transaction that somebody else ends: how many that were, and what lies there
/// then.
pub(super) fn add(
    connection: &Connection,
    destination: Uuid,
    all: &[Aside],
) -> Result<(u64, Counts), ShelfError> {
    let mut new = 0;
    {
        let mut insert = connection.prepare(
            "INSERT OR IGNORE INTO aside (destination, name, key, standing, id, account, workspace,
             received, parked, reason, attempts, answer, json)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?;
        let mut hops = connection.prepare("INSERT OR REPLACE INTO hops VALUES (?1, ?2)")?;
        for one in all {
            let came = insert.execute(params![
                destination.as_bytes(),
                one.name,
                one.key.0,
                one.standing.number(),
                one.event.id.as_bytes(),
                one.account.as_bytes(),
                one.workspace.unwrap_or_default().as_bytes(),
                one.received.micros(),
                one.parked.micros(),
                one.reason,
                one.attempts,
                one.answer,
                &one.event.json[..],
            ])?;
            if came > 0 && one.hops > 0 {
                hops.execute(params![connection.last_insert_rowid(), one.hops])?;
            }
            new += came;
        }
    }
    let counts = counts(connection, destination)?;
    let Counts { events, bytes } = counts;
    if events > EVENTS_MAX || bytes > BYTES_MAX {
        return Err(ShelfError::Full { events, bytes });
    }
    Ok((new as u64, counts))
}

/// Another one once somebody else has changed the file.
pub(super) fn version(connection: &Connection) -> Result<i64, ShelfError> {
    Ok(connection.query_row("PRAGMA data_version", [], |row| row.get(0))?)
}

pub(super) fn standings(connection: &Connection) -> Result<Vec<Has>, ShelfError> {
    let sql = format!(
        "SELECT destination, events, EXISTS (SELECT 1 FROM aside
            WHERE aside.destination = tally.destination AND {DUE})
         FROM tally WHERE events > 0"
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map([], |row| {
        Ok(Has {
            destination: Uuid::from_bytes(row.get(0)?),
            events: row.get::<_, i64>(1)?.unsigned_abs(),
            is_due: row.get(2)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn keys(connection: &Connection, destination: Uuid) -> Result<Vec<Key>, ShelfError> {
    let mut statement =
        connection.prepare("SELECT DISTINCT key FROM aside WHERE destination = ?1")?;
    let rows = statement.query_map([destination.as_bytes()], |row| Ok(Key(row.get(0)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Puts what a lane had in hand back; what lies there then.
pub(super) fn begin(
    connection: &mut Connection,
    destination: Uuid,
) -> Result<(Vec<Key>, Counts), ShelfError> {
    let counts = counts(connection, destination)?;
    if counts.events == 0 {
        return Ok((Vec::new(), counts));
    }
    put_back(connection, Some(destination))?;
    Ok((keys(connection, destination)?, counts))
}

/// Puts what lanes had in hand back.
pub(super) fn put_back(
    connection: &Connection,
    destination: Option<Uuid>,
) -> Result<(), ShelfError> {
    let sql =
        "UPDATE aside SET in_hand = 0 WHERE in_hand <> 0 AND (?1 IS NULL OR destination = ?1)";
    connection.execute(sql, [destination.map(Uuid::into_bytes)])?;
    Ok(())
}

pub(super) fn due(
    connection: &mut Connection,
    destination: Uuid,
    after: i64,
    most: Most,
) -> Result<Vec<Lying>, ShelfError> {
    let transaction = connection.transaction()?;
    let mut lying: Vec<Lying> = Vec::new();
    {
        let sql = format!(
            "SELECT {COLUMNS} FROM aside WHERE destination = ?1 AND number > ?2 AND in_hand = 0
             AND {DUE} ORDER BY number LIMIT ?3"
        );
        let mut statement = transaction.prepare(&sql)?;
        let count = i64::try_from(most.events).unwrap_or(i64::MAX);
        let mut rows = statement.query(params![destination.as_bytes(), after, count])?;
        let mut bytes = 0;
        while bytes < most.bytes
            && let Some(row) = rows.next()?
        {
            let one = from_row(row)?;
            bytes += one.aside.event.json.len();
            lying.push(one);
        }
        let mut hold = transaction.prepare("UPDATE aside SET in_hand = 1 WHERE number = ?1")?;
        let mut hops = transaction.prepare("SELECT hops FROM hops WHERE number = ?1")?;
        for one in &mut lying {
            hold.execute([one.number])?;
            let found = hops.query_row([one.number], |row| row.get(0)).optional()?;
            one.aside.hops = found.unwrap_or(0);
        }
    }
    transaction.commit()?;
    Ok(lying)
}

pub(super) fn done(
    connection: &mut Connection,
    destination: Uuid,
    numbers: &[i64],
) -> Result<Left, ShelfError> {
    let transaction = connection.transaction()?;
    let mut left = Left::default();
    {
        let mut keys = BTreeSet::new();
        let mut delete =
            transaction.prepare("DELETE FROM aside WHERE number = ?1 RETURNING key")?;
        for number in numbers {
            let key = delete.query_row([number], |row| Ok(Key(row.get(0)?))).optional()?;
            keys.extend(key);
        }
        let sql = "SELECT EXISTS (SELECT 1 FROM aside WHERE destination = ?1 AND key = ?2)";
        let mut ask = transaction.prepare(sql)?;
        for key in keys {
            if ask.query_row(params![destination.as_bytes(), key.0], |row| row.get(0))? {
                left.has_more = true;
            } else {
                left.free.push(key);
            }
        }
    }
    left.counts = counts(&transaction, destination)?;
    transaction.commit()?;
    Ok(left)
}

/// One is refused: nothing of its key is in hand any more.
pub(super) fn refused(
    connection: &mut Connection,
    number: i64,
    reason: &str,
    answer: Option<&str>,
    attempts: u32,
) -> Result<(), ShelfError> {
    let transaction = connection.transaction()?;
    let sql = "UPDATE aside SET standing = 0, reason = ?2, answer = ?3, attempts = attempts + ?4
               WHERE number = ?1";
    transaction.execute(sql, params![number, reason, answer, attempts])?;
    let sql = "UPDATE aside SET in_hand = 0 WHERE (destination, key) =
               (SELECT destination, key FROM aside WHERE number = ?1)";
    transaction.execute(sql, [number])?;
    transaction.commit()?;
    Ok(())
}

pub(super) fn list(
    connection: &Connection,
    asked: &Asked,
    limit: u64,
    offset: u64,
) -> Result<Vec<Lying>, ShelfError> {
    let (whose, ids, reason, standing, fit) = asked.parameters(connection)?;
    let signed = |count| i64::try_from(count).unwrap_or(i64::MAX);
    let sql = format!(
        "SELECT {COLUMNS} FROM aside WHERE {CONDITION} ORDER BY destination, number
         LIMIT ?6 OFFSET ?7"
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map(
        params![whose, ids, reason, standing, fit, signed(limit), signed(offset)],
        from_row,
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Lets go of at most so many; what is on its way stays: it may have arrived.
pub(super) fn discard(
    connection: &Connection,
    asked: &Asked,
    most: u64,
) -> Result<Gone, ShelfError> {
    let (whose, asked_ids, reason, standing, fit) = asked.parameters(connection)?;
    let sql = format!("SELECT count(*) FROM aside WHERE in_hand <> 0 AND {CONDITION}");
    let on_their_way: i64 =
        connection
            .query_row(&sql, params![whose, asked_ids, reason, standing, fit], |row| row.get(0))?;
    let sql = format!(
        "DELETE FROM aside WHERE number IN
             (SELECT number FROM aside WHERE in_hand = 0 AND {CONDITION} ORDER BY number LIMIT ?6)
         RETURNING id, destination, workspace"
    );
    let mut ids = Vec::new();
    {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let mut note = connection
            .prepare("INSERT INTO gone (id, destination, workspace) VALUES (?1, ?2, ?3)")?;
        let mut statement = connection.prepare(&sql)?;
        let mut rows = statement.query(params![whose, asked_ids, reason, standing, fit, most])?;
        while let Some(row) = rows.next()? {
            let [id, destination, workspace]: [[u8; 16]; 3] =
                [row.get(0)?, row.get(1)?, row.get(2)?];
            note.execute([id, destination, workspace])?;
            ids.push(Uuid::from_bytes(id));
        }
    }
    let sql = "DELETE FROM gone WHERE number <= (SELECT max(number) FROM gone) - ?1";
    connection.execute(sql, [GONE_MAX.cast_signed()])?;
    Ok(Gone { ids, on_their_way: on_their_way.unsigned_abs() })
}

/// Which of these events were let go of: each destination, and the event.
pub(super) fn discarded(
    connection: &Connection,
    workspace: Uuid,
    ids: &[Uuid],
) -> Result<Vec<(Uuid, Uuid)>, ShelfError> {
    let mut statement =
        connection.prepare("SELECT destination FROM gone WHERE id = ?1 AND workspace = ?2")?;
    let mut found = Vec::new();
    for id in ids {
        let rows = statement.query_map([id.as_bytes(), workspace.as_bytes()], |row| row.get(0))?;
        for destination in rows {
            found.push((Uuid::from_bytes(destination?), *id));
        }
    }
    Ok(found)
}

/// How a destination fails, if it does.
pub(super) fn failing(
    connection: &Connection,
    destination: Uuid,
) -> Result<Option<Failing>, ShelfError> {
    let sql = "SELECT since, failures, next, wait, told FROM failing WHERE destination = ?1";
    let read = |row: &Row<'_>| {
        Ok(Failing {
            since: Time::from_micros(row.get(0)?),
            failures: row.get(1)?,
            next: Time::from_micros(row.get(2)?),
            wait: Duration::from_micros(row.get::<_, i64>(3)?.unsigned_abs()),
            is_told: row.get(4)?,
        })
    };
    Ok(connection.query_row(sql, [destination.as_bytes()], read).optional()?)
}

pub(super) fn set_failing(
    connection: &Connection,
    destination: Uuid,
    failing: Option<Failing>,
) -> Result<(), ShelfError> {
    let id = destination.as_bytes();
    match failing {
        Some(Failing { since, failures, next, wait, is_told }) => connection.execute(
            "INSERT OR REPLACE INTO failing (destination, since, failures, next, wait, told)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![id, since.micros(), failures, next.micros(), micros(wait), is_told],
        )?,
        None => connection.execute("DELETE FROM failing WHERE destination = ?1", [id])?,
    };
    Ok(())
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
