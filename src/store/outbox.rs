//! Events on their way from a change to the spool. In: events, inside their change's transaction. Out: the same in the
//! order of commits, until they are forgotten because the spool has them. Never lost, perhaps told twice.

use bytes::Bytes;
use rusqlite::{Connection, Transaction, params};

use super::record::uuid;
use super::{StoreError, moment, read};
use crate::clock::Time;
use crate::event::Event;
use crate::id::Uuid;

/// An event and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Its account.
    pub account: Uuid,
    /// Its workspace, unless it belongs to the account itself.
    pub workspace: Option<Uuid>,
    /// When the change was made.
    pub occurred: Time,
    /// The event.
    pub event: Event,
}

pub(super) fn add(transaction: &Transaction<'_>, outgoing: &Outgoing) -> Result<(), StoreError> {
    transaction.execute(
        "INSERT INTO outbox (id, account, workspace, occurred, json) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            outgoing.event.id.as_bytes(),
            outgoing.account.as_bytes(),
            outgoing.workspace.map(Uuid::into_bytes),
            outgoing.occurred.micros(),
            &outgoing.event.json[..],
        ],
    )?;
    Ok(())
}

pub(super) fn pending(connection: &Connection, limit: u32) -> Result<Vec<Outgoing>, StoreError> {
    let mut statement = connection.prepare(
        "SELECT account, workspace, occurred, id, json FROM outbox ORDER BY sequence LIMIT ?1",
    )?;
    let rows = statement.query_map([limit], |row| {
        let json: Vec<u8> = row.get(4)?;
        Ok(Outgoing {
            account: uuid(row.get(0)?),
            workspace: row.get::<_, Option<[u8; 16]>>(1)?.map(uuid),
            occurred: moment(row.get(2)?),
            event: Event { id: uuid(row.get(3)?), json: Bytes::from(json) },
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn count(connection: &Connection) -> Result<u64, StoreError> {
    let count: i64 = connection.query_row("SELECT count(*) FROM outbox", [], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

pub(super) fn forget(connection: &Connection, ids: &[Uuid]) -> Result<(), StoreError> {
    let sql = "DELETE FROM outbox WHERE id IN (SELECT unhex(value) FROM json_each(?1))";
    connection.execute(sql, [read::as_json(ids)])?;
    Ok(())
}
