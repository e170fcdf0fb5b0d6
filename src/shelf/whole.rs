//! All of a destination at once. In: a connection and the destination. Out: another one has it, or nobody.

use rusqlite::{Connection, params};

use super::ShelfError;
use super::ask::set_failing;
use super::holes;
use crate::id::Uuid;

/// Gives all of a destination to another one; what that one has already stays as it is there.
pub(super) fn adopt(
    connection: &mut Connection,
    (from, to): (Uuid, Uuid),
    name: &str,
) -> Result<(), ShelfError> {
    let transaction = connection.transaction()?;
    let (from, to) = (from.as_bytes(), to.as_bytes());
    transaction.execute(
        "UPDATE OR IGNORE aside SET destination = ?2, name = ?3 WHERE destination = ?1",
        params![from, to, name],
    )?;
    transaction.execute("DELETE FROM aside WHERE destination = ?1", [from])?;
    // Events that move are counted by nobody.
    transaction.execute("DELETE FROM tally WHERE destination IN (?1, ?2)", [from, to])?;
    transaction.execute(
        "INSERT INTO tally SELECT destination, count(*), sum(length(json)) FROM aside
         WHERE destination = ?1 GROUP BY destination",
        [to],
    )?;
    for table in ["failing", "holes", "gone"] {
        let sql = format!("UPDATE OR REPLACE {table} SET destination = ?2 WHERE destination = ?1");
        transaction.execute(&sql, [from, to])?;
    }
    Ok(transaction.commit()?)
}

pub(super) fn forget(connection: &Connection, destination: Uuid) -> Result<(), ShelfError> {
    let id = destination.as_bytes();
    connection.execute("DELETE FROM aside WHERE destination = ?1", [id])?;
    connection.execute("DELETE FROM tally WHERE destination = ?1", [id])?;
    connection.execute("DELETE FROM gone WHERE destination = ?1", [id])?;
    holes::take(connection, destination)?;
    set_failing(connection, destination, None)
}
