//! Versions of templates. In: what a webhook's template was saved as, by whom, with which word to it. Out: the newest
//! of them, one by one or all. The oldest beyond the bound are forgotten; all end with their webhook.

use rusqlite::{Connection, Row, Transaction, params};

use super::record::uuid;
use super::{StoreError, moment};
use crate::clock::Time;
use crate::id::Uuid;

/// Most versions that are kept of one webhook's template.
pub const VERSIONS_MAX: u64 = 50;

/// A template as it was saved once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The webhook's id.
    pub webhook: Uuid,
    /// From 1, rising by one.
    pub number: u64,
    /// The template, byte for byte.
    pub template: String,
    /// A word to it.
    pub note: String,
    /// The actor who saved it, and their name then; nobody for what is older than versions are.
    pub author: Option<(Uuid, String)>,
    /// When.
    pub saved: Time,
}

pub(super) fn add(transaction: &Transaction<'_>, version: &Version) -> Result<(), StoreError> {
    let (webhook, number) = (version.webhook.as_bytes(), version.number.cast_signed());
    let author = version.author.as_ref();
    let sql = "INSERT INTO template_version (webhook, number, template, note, author, author_name,
               saved) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let parameters = params![
        webhook,
        number,
        version.template,
        version.note,
        author.map(|(id, _)| id.as_bytes()),
        author.map(|(_, name)| name),
        version.saved.micros(),
    ];
    transaction.execute(sql, parameters)?;
    let sql = "DELETE FROM template_version WHERE webhook = ?1 AND number <= ?2";
    transaction.execute(sql, params![webhook, number - VERSIONS_MAX.cast_signed()])?;
    Ok(())
}

/// All that are kept of a webhook, the newest first.
pub(super) fn list(connection: &Connection, webhook: Uuid) -> Result<Vec<Version>, StoreError> {
    let sql = format!("{SELECT} WHERE webhook = ?1 ORDER BY number DESC");
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map([webhook.as_bytes()], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

const SELECT: &str = "SELECT webhook, number, template, note, author, author_name, saved
                      FROM template_version";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Version> {
    let author = row.get::<_, Option<[u8; 16]>>(4)?.map(uuid).zip(row.get(5)?);
    Ok(Version {
        webhook: uuid(row.get(0)?),
        number: row.get::<_, i64>(1)?.unsigned_abs(),
        template: row.get(2)?,
        note: row.get(3)?,
        author,
        saved: moment(row.get(6)?),
    })
}
