//! Questions. In: ids, or what describes records. Out: records, webhooks, keys. Every list is bounded; only what
//! start-up loads is whole.

use std::collections::HashMap;

use rusqlite::{Connection, Params};
use serde_json::Value;

use super::record::{COLUMNS, from_row};
use super::{Key, Record, StoreError, Webhook};
use crate::catalogue::{ACCOUNT, API_KEY, Kind, WEBHOOK, WORKSPACE};
use crate::id::Uuid;

/// Order of a list; the id decides between equals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Name {
        descending: bool,
    },
    Created {
        descending: bool,
    },
    Updated {
        descending: bool,
    },
    /// By when the key of its service account ends; those without an end last, or first when descending.
    KeyExpiration {
        descending: bool,
    },
}

impl Sort {
    /// The order that API clients call so; by name for any other word.
    #[must_use]
    pub fn named(word: &str) -> Self {
        let (by, descending) = match word.strip_suffix("_DESC") {
            Some(by) => (by, true),
            None => (word.strip_suffix("_ASC").unwrap_or(word), false),
        };
        match by {
            "CREATED" => Self::Created { descending },
            "UPDATED" => Self::Updated { descending },
            "KEY_EXPIRATION" => Self::KeyExpiration { descending },
            _ => Self::Name { descending },
        }
    }

    fn sql(self) -> String {
        const KEY_EXPIRATION: &str =
            "(SELECT ifnull(max(ifnull(key.fields ->> 'expiration', '~')), '~')
            FROM reference account JOIN reference owner ON owner.target = account.target
            JOIN record key ON key.id = owner.holder AND key.kind = 'api-key'
            WHERE account.holder = record.id AND account.field = 'service_account_id')";
        let (by, descending) = match self {
            Self::Name { descending } => ("record.name", descending),
            Self::Created { descending } => ("record.created", descending),
            Self::Updated { descending } => ("record.updated", descending),
            Self::KeyExpiration { descending } => (KEY_EXPIRATION, descending),
        };
        let way = if descending { "DESC" } else { "ASC" };
        format!("{by} {way}, record.id {way}")
    }
}

/// Which records of a place.
#[derive(Clone, Debug)]
pub struct Query {
    /// Their kind.
    pub kind: &'static Kind,
    /// Their account.
    pub account: Uuid,
    /// Their workspace, for kinds that live in one.
    pub workspace: Option<Uuid>,
    /// Only these.
    pub ids: Option<Vec<Uuid>>,
    /// Only those of these names.
    pub names: Option<Vec<String>>,
    /// Only those whose name holds this, letter case of ASCII aside.
    pub like: Option<String>,
    /// Their order.
    pub sort: Sort,
    /// How many to leave out.
    pub offset: u64,
    /// How many to tell.
    pub limit: u64,
}

pub(super) fn list(connection: &Connection, query: &Query) -> Result<Vec<Record>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM record WHERE kind = ?1 AND account = ?2 AND workspace IS ?3
         AND (?4 IS NULL OR id IN (SELECT unhex(value) FROM json_each(?4)))
         AND (?5 IS NULL OR name IN (SELECT value FROM json_each(?5)))
         AND (?6 IS NULL OR instr(lower(name), lower(?6)) > 0)
         ORDER BY {} LIMIT ?7 OFFSET ?8",
        query.sort.sql()
    );
    let names = query.names.as_ref().map(|names| Value::from(names.as_slice()).to_string());
    let parameters = rusqlite::params![
        query.kind.name,
        query.account.as_bytes(),
        query.workspace.map(Uuid::into_bytes),
        query.ids.as_deref().map(as_json),
        names,
        query.like,
        i64::try_from(query.limit).unwrap_or(i64::MAX),
        i64::try_from(query.offset).unwrap_or(i64::MAX),
    ];
    collect(connection, &sql, parameters)
}

pub(super) fn records(connection: &Connection, ids: &[Uuid]) -> Result<Vec<Record>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM record WHERE id IN (SELECT unhex(value) FROM json_each(?1))"
    );
    collect(connection, &sql, [as_json(ids)])
}

pub(super) fn holders(
    connection: &Connection,
    kind: &str,
    targets: &[Uuid],
) -> Result<Vec<Record>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM reference JOIN record ON record.id = reference.holder
         WHERE record.kind = ?1
         AND reference.target IN (SELECT unhex(value) FROM json_each(?2))
         ORDER BY record.created, record.id"
    );
    collect(connection, &sql, [kind, &as_json(targets)])
}

pub(super) fn webhooks(connection: &Connection) -> Result<Vec<Webhook>, StoreError> {
    let owners: HashMap<Uuid, Record> = of_kind(connection, &ACCOUNT)?
        .into_iter()
        .chain(of_kind(connection, &WORKSPACE)?)
        .map(|record| (record.id, record))
        .collect();
    let whole = |record: Record| {
        let account = owners.get(&record.account)?;
        let workspace = owners.get(&record.workspace?)?;
        record.webhook(account.party(), workspace.party())
    };
    let records = of_kind(connection, &WEBHOOK)?;
    records.into_iter().map(|record| whole(record).ok_or_else(torn)).collect()
}

pub(super) fn keys(connection: &Connection) -> Result<Vec<Key>, StoreError> {
    let records = of_kind(connection, &API_KEY)?;
    records.iter().map(|record| key(connection, record)).collect()
}

/// One webhook with its owners, as it stands in this transaction.
pub(super) fn webhook(connection: &Connection, record: &Record) -> Result<Webhook, StoreError> {
    let workspace = record.workspace.ok_or_else(torn)?;
    let owners = records(connection, &[record.account, workspace])?;
    let party = |id| owners.iter().find(|owner| owner.id == id).map(Record::party);
    let webhook = party(record.account).zip(party(workspace));
    webhook.and_then(|(account, workspace)| record.webhook(account, workspace)).ok_or_else(torn)
}

/// One key with its owner's kind.
pub(super) fn key(connection: &Connection, record: &Record) -> Result<Key, StoreError> {
    let owner = record.reference("owner_id").ok_or_else(torn)?;
    let owners = records(connection, &[owner])?;
    owners.first().and_then(|owner| record.key(owner.kind.name)).ok_or_else(torn)
}

fn torn() -> StoreError {
    StoreError::Failed("a record without what it belongs to".to_owned())
}

fn of_kind(connection: &Connection, kind: &Kind) -> Result<Vec<Record>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM record WHERE kind = ?1");
    collect(connection, &sql, [kind.name])
}

fn collect(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
) -> Result<Vec<Record>, StoreError> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query(parameters)?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(from_row(row)?);
    }
    Ok(records)
}

/// Ids as `SQLite`'s JSON functions read them.
pub(super) fn as_json(ids: &[Uuid]) -> String {
    let texts: Vec<String> = ids.iter().map(|id| id.simple().to_string()).collect();
    Value::from(texts).to_string()
}
