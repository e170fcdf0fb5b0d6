//! Questions. In: ids, or what describes records. Out: records, webhooks, keys. Every list is bounded; only what
//! start-up loads is whole.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use rusqlite::{Connection, Params};
use serde_json::Value;

use super::record::{COLUMNS, FIELDS_COLUMN, from_row};
use super::{Key, Record, StoreError, Webhook};
use crate::catalogue::{
    ACCOUNT, ACCOUNT_MEMBERSHIP, API_KEY, Kind, LIST_MAX, OnEnd, SESSION, WEBHOOK, WORKSPACE, role,
};
use crate::clock::Time;
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
    /// By a field of the person or program it refers to.
    Member {
        field: &'static str,
        descending: bool,
    },
    /// By the name of its role in the account.
    RoleName {
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
            "EMAIL" => Self::Member { field: "email", descending },
            "HANDLE" => Self::Member { field: "handle", descending },
            "LAST_LOGIN" => Self::Member { field: "last_login", descending },
            "ACCOUNT_ROLE_NAME" => Self::RoleName { descending },
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
            Self::Name { descending } => ("record.name".to_owned(), descending),
            Self::Created { descending } => ("record.created".to_owned(), descending),
            Self::Updated { descending } => ("record.updated".to_owned(), descending),
            Self::Member { field, descending } => (of_member(field), descending),
            Self::RoleName { descending } => (role_name(), descending),
            Self::KeyExpiration { descending } => (KEY_EXPIRATION.to_owned(), descending),
        };
        let way = if descending { "DESC" } else { "ASC" };
        format!("{by} {way}, record.id {way}")
    }
}

/// A field of the person or program that a record refers to. A program's handle is its name.
fn of_member(field: &str) -> String {
    let name = if field == "handle" { "member.name" } else { "''" };
    format!(
        "ifnull((SELECT ifnull(member.fields ->> '{field}', {name}) FROM reference
         JOIN record member ON member.id = reference.target WHERE reference.holder = record.id
         AND reference.field IN ('user_id', 'bot_id')), '')"
    )
}

/// The name of the role that a record's `account_role_id` is.
fn role_name() -> String {
    let mut built_in = String::new();
    for role in role::ACCOUNT_ROLES {
        let _ = write!(built_in, " WHEN '{}' THEN '{}'", role.id, role.name);
    }
    format!(
        "CASE record.fields ->> 'account_role_id'{built_in} ELSE (SELECT role.name FROM reference
         JOIN record role ON role.id = reference.target WHERE reference.holder = record.id
         AND reference.field = 'account_role_id') END"
    )
}

/// What is asked of one field.
#[derive(Clone, Debug, Default)]
pub struct Criterion {
    /// The field's name; `id` is the record's own.
    pub field: String,
    /// Only these values.
    pub any: Option<Vec<String>>,
    /// None of these.
    pub not_any: Option<Vec<String>>,
    /// Only values that hold this, letter case of ASCII aside.
    pub like: Option<String>,
}

impl Criterion {
    /// Only records whose field has one of these values.
    #[must_use]
    pub fn any(field: &str, values: impl IntoIterator<Item = String>) -> Self {
        let any = Some(values.into_iter().collect());
        Self { field: field.to_owned(), any, ..Self::default() }
    }

    /// Whether a record that is in no store fulfils it.
    fn is_met_by(&self, record: &Record) -> bool {
        let id = record.id.to_string();
        let value = if self.field == "id" { &id } else { record.text(&self.field) };
        let holds =
            |text: &String| value.to_ascii_lowercase().contains(text.to_ascii_lowercase().as_str());
        self.any.as_ref().is_none_or(|any| any.iter().any(|one| one == value))
            && self.not_any.as_ref().is_none_or(|any| any.iter().all(|one| one != value))
            && self.like.as_ref().is_none_or(holds)
    }

    /// As a condition; `at` is the number of its first parameter. A field that the kind does not have is one of the
    /// person or program that the record refers to.
    fn sql(&self, at: usize, kind: &Kind) -> String {
        let value = match self.field.as_str() {
            "id" => "lower(hex(record.id))".to_owned(),
            "name" => "record.name".to_owned(),
            // The table's own names: nothing of a request.
            field if kind.field(field).is_none() => of_member(&field.replace('\'', "")),
            field => {
                format!("ifnull(CAST(record.fields ->> '{}' AS TEXT), '')", field.replace('\'', ""))
            }
        };
        let list = |at| format!("(SELECT value FROM json_each(?{at}))");
        format!(
            "(?{at} IS NULL OR {value} IN {}) AND (?{b} IS NULL OR {value} NOT IN {})
              AND (?{c} IS NULL OR instr(lower({value}), lower(?{c})) > 0)",
            list(at),
            list(at + 1),
            b = at + 1,
            c = at + 2,
        )
    }

    fn parameters(&self) -> [Option<String>; 3] {
        let list = |values: &Option<Vec<String>>| {
            let plain = |text: &String| match self.field.as_str() {
                "id" => text.replace('-', "").to_lowercase(),
                _ => text.clone(),
            };
            let texts: Option<Vec<String>> =
                values.as_ref().map(|all| all.iter().map(plain).collect());
            texts.map(|texts| Value::from(texts).to_string())
        };
        [list(&self.any), list(&self.not_any), self.like.clone()]
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
    /// What all of them fulfil.
    pub criteria: Vec<Criterion>,
    /// Of which each fulfils one, if there are any.
    pub choices: Vec<Criterion>,
    /// Their order.
    pub sort: Sort,
    /// How many to leave out.
    pub offset: u64,
    /// How many to tell.
    pub limit: u64,
}

impl Query {
    /// The first page of a place, by name.
    #[must_use]
    pub fn new(kind: &'static Kind, account: Uuid, workspace: Option<Uuid>) -> Self {
        let sort = Sort::Name { descending: false };
        Self {
            kind,
            account,
            workspace,
            criteria: Vec::new(),
            choices: Vec::new(),
            sort,
            offset: 0,
            limit: LIST_MAX,
        }
    }

    /// Whether it describes a record that is in no store.
    #[must_use]
    pub fn describes(&self, record: &Record) -> bool {
        self.criteria.iter().all(|criterion| criterion.is_met_by(record))
            && (self.choices.is_empty()
                || self.choices.iter().any(|criterion| criterion.is_met_by(record)))
    }

    /// With what follows `FROM record`, and its parameters.
    fn sql(&self) -> (String, Vec<Box<dyn rusqlite::ToSql>>) {
        let mut sql = " WHERE kind = ?1 AND account = ?2 AND workspace IS ?3".to_owned();
        let mut parameters: Vec<Box<dyn rusqlite::ToSql>> = vec![
            Box::new(self.kind.name),
            Box::new(self.account.into_bytes()),
            Box::new(self.workspace.map(Uuid::into_bytes)),
        ];
        for (criteria, between) in [(&self.criteria, " AND "), (&self.choices, " OR ")] {
            for (number, criterion) in criteria.iter().enumerate() {
                sql.push_str(if number == 0 { " AND (" } else { between });
                let _ = write!(sql, "({})", criterion.sql(parameters.len() + 1, self.kind));
                for parameter in criterion.parameters() {
                    parameters.push(Box::new(parameter));
                }
            }
            if !criteria.is_empty() {
                sql.push(')');
            }
        }
        (sql, parameters)
    }
}

pub(super) fn list(connection: &Connection, query: &Query) -> Result<Vec<Record>, StoreError> {
    let (place, parameters) = query.sql();
    let sql = format!(
        "SELECT {COLUMNS} FROM record{place} ORDER BY {} LIMIT {} OFFSET {}",
        query.sort.sql(),
        i64::try_from(query.limit).unwrap_or(i64::MAX),
        i64::try_from(query.offset).unwrap_or(i64::MAX),
    );
    collect(connection, &sql, rusqlite::params_from_iter(parameters))
}

/// How many records fulfil a query, those beyond its page among them.
pub(super) fn count(connection: &Connection, query: &Query) -> Result<u64, StoreError> {
    let (place, parameters) = query.sql();
    let sql = format!("SELECT count(*) FROM record{place}");
    let parameters = rusqlite::params_from_iter(parameters);
    let count: i64 = connection.query_row(&sql, parameters, |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

pub(super) fn records(connection: &Connection, ids: &[Uuid]) -> Result<Vec<Record>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM record WHERE id IN (SELECT unhex(value) FROM json_each(?1))"
    );
    collect(connection, &sql, [as_json(ids)])
}

/// At most two records of a kind, of any account, that a text names: letter case aside.
pub(super) fn named(
    connection: &Connection,
    kind: &Kind,
    field: &str,
    text: &str,
) -> Result<Vec<Record>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM record WHERE kind = ?1 AND lower(fields ->> ?2) = lower(?3)
         LIMIT 2"
    );
    collect(connection, &sql, [kind.name, field, text])
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

/// A record and all that ends with it, the record last and each before what it stands on; `None` when that is more
/// than `most`.
pub(super) fn ending(
    connection: &Connection,
    record: &Record,
    most: usize,
) -> Result<Option<Vec<Record>>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS}, ifnull((SELECT group_concat(field) FROM reference
         WHERE holder = record.id AND target = ?1), '') FROM record
         WHERE workspace = ?1 OR (account = ?1 AND id <> ?1)
         OR id IN (SELECT holder FROM reference WHERE target = ?1)"
    );
    let mut statement = connection.prepare(&sql)?;
    let mut found = vec![record.clone()];
    let mut seen: HashSet<Uuid> = HashSet::from([record.id]);
    let mut at = 0;
    while at < found.len() {
        let target = found[at].id;
        at += 1;
        let mut rows = statement.query([target.as_bytes()])?;
        while let Some(row) = rows.next()? {
            let (holder, fields) = (from_row(row)?, row.get::<_, String>(FIELDS_COLUMN)?);
            let follows = |name: &str| {
                holder.kind.field(name).is_some_and(|field| field.on_end == OnEnd::Follow)
            };
            let is_inside = holder.workspace == Some(target) || holder.account == target;
            if (is_inside || fields.split(',').any(follows)) && seen.insert(holder.id) {
                if found.len() == most {
                    return Ok(None);
                }
                found.push(holder);
            }
        }
    }
    found.reverse();
    Ok(Some(found))
}

/// All records of a kind in an account, in whichever workspace; `None` when they are more than `most`.
pub(super) fn within(
    connection: &Connection,
    kind: &Kind,
    account: Uuid,
    most: usize,
) -> Result<Option<Vec<Record>>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM record WHERE kind = ?1 AND account = ?2 ORDER BY id LIMIT ?3"
    );
    let limit = i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1);
    let found = collect(connection, &sql, rusqlite::params![kind.name, account.as_bytes(), limit])?;
    Ok((found.len() <= most).then_some(found))
}

/// Records of a kind, in whichever account, whose field names a moment that has come.
pub(super) fn over(
    connection: &Connection,
    kind: &Kind,
    field: &str,
    now: Time,
    most: u32,
) -> Result<Vec<Record>, StoreError> {
    // Texts of moments are ordered as those are, but for parts of a second.
    let sql = format!(
        "SELECT {COLUMNS} FROM record WHERE kind = ?1 AND substr(fields ->> ?2, 1, 19) <= ?3
         ORDER BY fields ->> ?2 LIMIT ?4"
    );
    let text = now.to_string();
    let second = text.get(..19).unwrap_or(&text);
    let mut found = collect(connection, &sql, rusqlite::params![kind.name, field, second, most])?;
    found.retain(|record| record.instant(field).is_some_and(|moment| moment <= now));
    Ok(found)
}

/// The webhooks of an account or a workspace.
pub(super) fn webhooks_in(
    connection: &Connection,
    place: Uuid,
) -> Result<Vec<Webhook>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM record WHERE kind = ?1 AND (workspace = ?2 OR account = ?2)"
    );
    let records = collect(connection, &sql, rusqlite::params![WEBHOOK.name, place.as_bytes()])?;
    records.iter().map(|record| webhook(connection, record)).collect()
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
    let mut records = of_kind(connection, &API_KEY)?;
    records.extend(of_kind(connection, &SESSION)?);
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

/// One key with its owner's kind, and whether they are let in anywhere: whoever belongs nowhere may still ask who they
/// are.
pub(super) fn key(connection: &Connection, record: &Record) -> Result<Key, StoreError> {
    let owner = record.reference("owner_id").ok_or_else(torn)?;
    let owners = records(connection, &[owner])?;
    let held = holders(connection, ACCOUNT_MEMBERSHIP.name, &[owner])?;
    let active = held.is_empty() || held.iter().any(Record::lets_in);
    owners.first().and_then(|owner| record.key(owner.kind.name, active)).ok_or_else(torn)
}

/// All keys of somebody.
pub(super) fn keys_of(connection: &Connection, owner: Uuid) -> Result<Vec<Key>, StoreError> {
    let mut records = holders(connection, API_KEY.name, &[owner])?;
    records.extend(holders(connection, SESSION.name, &[owner])?);
    records.iter().map(|record| key(connection, record)).collect()
}

fn torn() -> StoreError {
    StoreError::Failed("a record without what it belongs to".to_owned())
}

pub(super) fn of_kind(connection: &Connection, kind: &Kind) -> Result<Vec<Record>, StoreError> {
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
