//! What goes out again. In: a connection, and what is asked for. Out: what was called up, and what waits all the same,
//! and for which others; or, where no order is kept any more, nothing that waits.

use std::collections::HashSet;

use rusqlite::{Connection, params};
use serde_json::Value;

use super::ShelfError;
use super::ask::{Asked, CONDITION, DUE};
use super::row::Key;
use crate::id::Uuid;

/// Most events that are named as waited for.
const BEHIND_MAX: i64 = 20;

/// What was called up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Called {
    /// So many go out again.
    pub count: u64,
    /// So many of those asked for were called up before.
    pub on_their_way: u64,
    /// So many wait behind an earlier one of their key that was refused and is not asked for: nothing happens to them.
    pub waiting: u64,
    /// The first of those that they wait for.
    pub behind: Vec<Uuid>,
}

fn list(numbers: &[i64]) -> String {
    Value::from(numbers).to_string()
}

/// Calls up what is asked for, as far as nothing that was refused stands before it then.
pub(super) fn call_up(connection: &Connection, asked: &Asked) -> Result<Called, ShelfError> {
    let (whose, ids, reason, standing, fit) = asked.parameters(connection)?;
    let sql = format!("SELECT number, standing FROM aside WHERE {CONDITION}");
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map(params![whose, ids, reason, standing, fit], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
    })?;
    let all: Vec<(i64, i64)> = rows.collect::<Result<_, _>>()?;
    let numbers: Vec<i64> = all.iter().map(|(number, _)| *number).collect();
    let refused: Vec<i64> = all.iter().filter(|one| one.1 == 0).map(|one| one.0).collect();
    let stand = "UPDATE aside SET standing = ?1 WHERE number IN (SELECT value FROM json_each(?2))";
    connection.execute(stand, params![2, list(&refused)])?;
    let sql = format!(
        "SELECT number FROM aside WHERE number IN (SELECT value FROM json_each(?1)) AND NOT {DUE}"
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map([list(&numbers)], |row| row.get(0))?;
    let waiting: HashSet<i64> = rows.collect::<Result<_, _>>()?;
    let waits = |number: &i64| waiting.contains(number);
    let back: Vec<i64> = refused.into_iter().filter(waits).collect();
    connection.execute(stand, params![0, list(&back)])?;
    let was_called = |one: &&(i64, i64)| one.1 == 2 && !waits(&one.0);
    let on_their_way = all.iter().filter(was_called).count();
    let called = all.iter().filter(|one| one.1 != 2 && !waits(&one.0));
    let called: Vec<i64> = called.map(|one| one.0).collect();
    connection.execute(stand, params![2, list(&called)])?;
    Ok(Called {
        count: called.len() as u64,
        on_their_way: on_their_way as u64,
        waiting: waiting.len() as u64,
        behind: behind(connection, &Vec::from_iter(waiting))?,
    })
}

/// What those wait for, the first of it.
fn behind(connection: &Connection, waiting: &[i64]) -> Result<Vec<Uuid>, ShelfError> {
    let sql = "SELECT id FROM aside AS before WHERE standing = 0
        AND number NOT IN (SELECT value FROM json_each(?1))
        AND EXISTS (SELECT 1 FROM aside WHERE number IN (SELECT value FROM json_each(?1))
            AND destination = before.destination AND key = before.key AND number > before.number)
        ORDER BY number LIMIT ?2";
    if waiting.is_empty() {
        return Ok(Vec::new());
    }
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map(params![list(waiting), BEHIND_MAX], |row| row.get(0))?;
    rows.map(|id| Ok(Uuid::from_bytes(id?))).collect()
}

/// Gives each event of a destination a key of its own: nothing waits for another, and those that were refused for none
/// of their own. How many waited.
pub(super) fn set_free(connection: &mut Connection, destination: Uuid) -> Result<u64, ShelfError> {
    let transaction = connection.transaction()?;
    let mut freed = 0;
    {
        let mut statement = transaction.prepare(
            "SELECT number, key, id, account, workspace, standing <> 0 FROM aside
             WHERE destination = ?1",
        )?;
        let rows = statement.query_map([destination.as_bytes()], |row| {
            let [id, account, workspace] = [2, 3, 4].map(|at| row.get(at).map(Uuid::from_bytes));
            let (account, workspace) = (account?, Some(workspace?).filter(|id| !id.is_nil()));
            let own = Key::alone(account, workspace, id?);
            Ok((row.get::<_, i64>(0)?, Key(row.get(1)?), own, row.get::<_, bool>(5)?))
        })?;
        let all: Vec<_> = rows.collect::<Result<_, _>>()?;
        let sql = "UPDATE aside SET key = ?2, standing = iif(standing = 0, 0, 2) WHERE number = ?1";
        let mut update = transaction.prepare(sql)?;
        for (number, key, own, waits) in all {
            if key != own {
                update.execute(params![number, own.0])?;
                freed += u64::from(waits);
            }
        }
    }
    transaction.commit()?;
    Ok(freed)
}
