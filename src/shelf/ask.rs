//! What is asked of the table. In: a connection and a question. Out: its answer; every change is one transaction.

use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::Value;

use super::row::{Aside, COLUMNS, Key, Lying, Standing, from_row};
use super::{BYTES_MAX, EVENTS_MAX, ShelfError};
use crate::clock::Time;
use crate::id::Uuid;

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
}

/// What may go out again: nothing of its key before it was refused.
const DUE: &str = "(standing <> 0 AND NOT EXISTS (SELECT 1 FROM aside AS before
    WHERE before.destination = aside.destination AND before.key = aside.key
    AND before.standing = 0 AND before.number < aside.number))";

/// As a condition with the parameters that [`Asked::parameters`] gives.
const CONDITION: &str = "(?1 IS NULL OR destination = ?1)
    AND (?2 IS NULL OR id IN (SELECT unhex(value) FROM json_each(?2)))
    AND (?3 IS NULL OR instr(lower(reason), lower(?3)) > 0)
    AND (?4 IS NULL OR standing = ?4)";

type Parameters = (Option<[u8; 16]>, Option<String>, Option<String>, Option<i64>);

impl Asked {
    fn parameters(&self) -> Parameters {
        let texts = |ids: &Vec<Uuid>| {
            let texts: Vec<String> = ids.iter().map(|id| id.simple().to_string()).collect();
            Value::from(texts).to_string()
        };
        (
            self.destination.map(Uuid::into_bytes),
            self.ids.as_ref().map(texts),
            self.reason.clone(),
            self.standing.map(Standing::number),
        )
    }
}

pub(super) fn counts(connection: &Connection, destination: Uuid) -> Result<Counts, ShelfError> {
    let sql = "SELECT count(*), ifnull(sum(length(json)), 0) FROM aside WHERE destination = ?1";
    let counted = connection.query_row(sql, [destination.as_bytes()], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
    })?;
    Ok(Counts { events: counted.0.unsigned_abs(), bytes: counted.1.unsigned_abs() })
}

pub(super) fn put(
    connection: &mut Connection,
    destination: Uuid,
    all: &[Aside],
) -> Result<Counts, ShelfError> {
    let transaction = connection.transaction()?;
    {
        let mut insert = transaction.prepare(
            "INSERT OR IGNORE INTO aside (destination, name, key, standing, id, account, workspace,
             received, parked, reason, attempts, answer, json)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?;
        for one in all {
            insert.execute(params![
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
        }
    }
    let counts = counts(&transaction, destination)?;
    let Counts { events, bytes } = counts;
    if events > EVENTS_MAX || bytes > BYTES_MAX {
        return Err(ShelfError::Full { events, bytes });
    }
    transaction.commit()?;
    Ok(counts)
}

/// Another one once somebody else has changed the file.
pub(super) fn version(connection: &Connection) -> Result<i64, ShelfError> {
    Ok(connection.query_row("PRAGMA data_version", [], |row| row.get(0))?)
}

pub(super) fn standings(connection: &Connection) -> Result<Vec<Has>, ShelfError> {
    let sql = format!(
        "SELECT destination, count(*), ifnull(max({DUE}), 0) FROM aside GROUP BY destination"
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

pub(super) fn due(
    connection: &Connection,
    destination: Uuid,
    most: u64,
) -> Result<Vec<Lying>, ShelfError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM aside WHERE destination = ?1 AND {DUE} ORDER BY number LIMIT ?2"
    );
    let mut statement = connection.prepare(&sql)?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![destination.as_bytes(), most], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn done(
    connection: &mut Connection,
    destination: Uuid,
    numbers: &[i64],
) -> Result<Counts, ShelfError> {
    let transaction = connection.transaction()?;
    for number in numbers {
        transaction.execute("DELETE FROM aside WHERE number = ?1", [number])?;
    }
    let counts = counts(&transaction, destination)?;
    transaction.commit()?;
    Ok(counts)
}

pub(super) fn refused(
    connection: &Connection,
    number: i64,
    reason: &str,
    answer: Option<&str>,
    attempts: u32,
) -> Result<(), ShelfError> {
    let sql = "UPDATE aside SET standing = 0, reason = ?2, answer = ?3, attempts = attempts + ?4
               WHERE number = ?1";
    connection.execute(sql, params![number, reason, answer, attempts])?;
    Ok(())
}

pub(super) fn list(
    connection: &Connection,
    asked: &Asked,
    limit: u64,
    offset: u64,
) -> Result<Vec<Lying>, ShelfError> {
    let (a, b, c, d) = asked.parameters();
    let signed = |count| i64::try_from(count).unwrap_or(i64::MAX);
    let sql = format!(
        "SELECT {COLUMNS} FROM aside WHERE {CONDITION} ORDER BY destination, number
         LIMIT ?5 OFFSET ?6"
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map(params![a, b, c, d, signed(limit), signed(offset)], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn retry(connection: &Connection, asked: &Asked) -> Result<u64, ShelfError> {
    let (a, b, c, d) = asked.parameters();
    let sql = format!("UPDATE aside SET standing = 2 WHERE standing <> 2 AND {CONDITION}");
    Ok(connection.execute(&sql, params![a, b, c, d])? as u64)
}

pub(super) fn discard(connection: &Connection, asked: &Asked) -> Result<Vec<Uuid>, ShelfError> {
    let (a, b, c, d) = asked.parameters();
    let sql = format!("DELETE FROM aside WHERE {CONDITION} RETURNING id");
    let mut statement = connection.prepare(&sql)?;
    let read = |row: &rusqlite::Row<'_>| Ok(Uuid::from_bytes(row.get(0)?));
    let rows = statement.query_map(params![a, b, c, d], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Since when a destination takes nothing.
pub(super) fn failing(
    connection: &Connection,
    destination: Uuid,
) -> Result<Option<Time>, ShelfError> {
    let sql = "SELECT since FROM failing WHERE destination = ?1";
    let found = connection.query_row(sql, [destination.as_bytes()], |row| row.get(0)).optional()?;
    Ok(found.map(Time::from_micros))
}

pub(super) fn set_failing(
    connection: &Connection,
    destination: Uuid,
    since: Option<Time>,
) -> Result<(), ShelfError> {
    let id = destination.as_bytes();
    match since {
        Some(since) => connection.execute(
            "INSERT OR REPLACE INTO failing (destination, since) VALUES (?1, ?2)",
            params![id, since.micros()],
        )?,
        None => connection.execute("DELETE FROM failing WHERE destination = ?1", [id])?,
    };
    Ok(())
}

/// Keeps what a destination has beyond its cursor.
pub(super) fn put_holes(
    connection: &Connection,
    destination: Uuid,
    done: &str,
) -> Result<(), ShelfError> {
    let sql = "INSERT OR REPLACE INTO holes (destination, done) VALUES (?1, ?2)";
    connection.execute(sql, params![destination.as_bytes(), done])?;
    Ok(())
}

/// Takes that out again.
pub(super) fn take_holes(
    connection: &Connection,
    destination: Uuid,
) -> Result<Option<String>, ShelfError> {
    let id = destination.as_bytes();
    let sql = "SELECT done FROM holes WHERE destination = ?1";
    let found = connection.query_row(sql, [id], |row| row.get(0)).optional()?;
    if found.is_some() {
        connection.execute("DELETE FROM holes WHERE destination = ?1", [id])?;
    }
    Ok(found)
}

pub(super) fn forget(connection: &Connection, destination: Uuid) -> Result<(), ShelfError> {
    connection.execute("DELETE FROM aside WHERE destination = ?1", [destination.as_bytes()])?;
    take_holes(connection, destination)?;
    set_failing(connection, destination, None)
}
