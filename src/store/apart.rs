//! What somebody did at a data folder itself, told as what is done through the API. In: a destination, and what became
//! of what lies parked for it. Out: its audit event, chained and on its way to the spool. Makes no store, opens no
//! seal.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use serde_json::Value;

use super::{FILE_NAME, Outgoing, Party, StoreError, audit, bootstrap, file, outbox, read};
use crate::catalogue::{self, Actor, DESTINATION, Scene, Subject, Values};
use crate::clock::Clock;
use crate::id::{self, Uuid};

/// Keeps the event of an act on what lies parked for a destination, a record's or the operator's: that one's is the
/// first account's. `false`: the folder has no records.
///
/// # Errors
/// When the store cannot be written: nothing is told then.
pub fn tell_apart(
    data: &Path,
    clock: &Clock,
    (destination, name): (Uuid, &str),
    action: &str,
    tells: &Value,
) -> Result<bool, StoreError> {
    let path = data.join(FILE_NAME);
    if !path.is_file() {
        return Ok(false);
    }
    let mut connection = file::open_beside(&path)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let operators = || {
        let name = [("name".to_owned(), Value::from(name))];
        let account = bootstrap::oldest_account(&transaction)?;
        Ok::<_, StoreError>(account.map(|account| (account, None, name.into_iter().collect())))
    };
    let found = find(&transaction, destination)?.map_or_else(operators, |found| Ok(Some(found)))?;
    let Some((account, workspace, fields)) = found else { return Ok(false) };
    let scene = Scene {
        actor: Actor::system(),
        account: party(&transaction, account)?,
        workspace: workspace.map(|id| party(&transaction, id)).transpose()?,
    };
    let (occurred, id) = (clock.now(), id::now(clock));
    let subject = Subject { kind: &DESTINATION, id: destination, fields: &fields, beside: &[] };
    let event = catalogue::told(&scene, subject, action, tells, occurred, id);
    let outgoing = Outgoing { account, workspace, occurred, event };
    outbox::add(&transaction, &outgoing)?;
    audit::add(&transaction, &outgoing)?;
    transaction.commit()?;
    Ok(true)
}

/// Account, workspace and fields of a record; its secrets stay where they are.
fn find(
    connection: &Connection,
    id: Uuid,
) -> Result<Option<(Uuid, Option<Uuid>, Values)>, StoreError> {
    let sql = "SELECT account, workspace, fields FROM record WHERE id = ?1 AND kind = ?2";
    let found = connection.query_row(sql, params![id.as_bytes(), DESTINATION.name], |row| {
        let account: [u8; 16] = row.get(0)?;
        let workspace: Option<[u8; 16]> = row.get(1)?;
        Ok((account, workspace, row.get::<_, String>(2)?))
    });
    let Some((account, workspace, text)) = found.optional()? else { return Ok(None) };
    let fields = serde_json::from_str(&text).unwrap_or_default();
    Ok(Some((Uuid::from_bytes(account), workspace.map(Uuid::from_bytes), fields)))
}

fn party(connection: &Connection, id: Uuid) -> Result<Party, StoreError> {
    let found = read::records(connection, &[id])?.pop();
    let nobody = || Party { id, name: String::new(), handle: String::new() };
    Ok(found.map_or_else(nobody, |record| record.party()))
}
