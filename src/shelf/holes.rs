//! What a destination has beyond its cursor. In: a connection, the destination, and its own words for that. Out: the
//! same words, to be looked at or taken out again.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::ShelfError;
use crate::id::Uuid;

/// Keeps what a destination has beyond its cursor.
pub(super) fn put(
    connection: &Connection,
    destination: Uuid,
    done: &str,
) -> Result<(), ShelfError> {
    let sql = "INSERT OR REPLACE INTO holes (destination, done) VALUES (?1, ?2)";
    connection.execute(sql, params![destination.as_bytes(), done])?;
    Ok(())
}

/// What is kept of that.
pub(super) fn look(
    connection: &Connection,
    destination: Uuid,
) -> Result<Option<String>, ShelfError> {
    let sql = "SELECT done FROM holes WHERE destination = ?1";
    Ok(connection.query_row(sql, [destination.as_bytes()], |row| row.get(0)).optional()?)
}

/// Takes that out again.
pub(super) fn take(
    connection: &Connection,
    destination: Uuid,
) -> Result<Option<String>, ShelfError> {
    let found = look(connection, destination)?;
    if found.is_some() {
        let sql = "DELETE FROM holes WHERE destination = ?1";
        connection.execute(sql, [destination.as_bytes()])?;
    }
    Ok(found)
}
