//! Reports that count once, whoever sends them again. In: a report, inside the transaction that counts it. Out: whether
//! it was counted before, and for how much. Bounded in time and number: the oldest is forgotten first.

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::StoreError;
use crate::clock::Time;
use crate::id::Uuid;

/// How long a report is known, counted from its coming.
pub const KNOWN_DAYS: i64 = 33;
/// Most reports that are known at once, of all workspaces.
const KNOWN_MAX: i64 = 1_000_000;
/// Most that are forgotten with one that comes.
const FORGOTTEN_MAX: i64 = 1000;

/// What an agent says was used by one run up to one moment: the three together are its identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Where it was used.
    pub workspace: Uuid,
    /// By which run.
    pub flow_run: Uuid,
    /// When.
    pub occurred: Time,
    /// How much.
    pub seconds: u64,
    /// When the report came.
    pub received: Time,
}

/// Keeps a report; [`StoreError::Stale`] when somebody else brought it meanwhile.
pub(super) fn add(transaction: &Transaction<'_>, report: &Report) -> Result<(), StoreError> {
    let known_since = report.received.plus_seconds(-KNOWN_DAYS * 86_400);
    transaction.execute(
        "DELETE FROM usage_report WHERE number IN
         (SELECT number FROM usage_report WHERE received < ?1 LIMIT ?2)",
        params![known_since.micros(), FORGOTTEN_MAX],
    )?;
    // Numbers of rows rise as reports come: the oldest have the lowest.
    transaction.execute(
        "DELETE FROM usage_report WHERE number <= (SELECT max(number) FROM usage_report) - ?1",
        params![KNOWN_MAX - 1],
    )?;
    let added = transaction.execute(
        "INSERT OR IGNORE INTO usage_report (workspace, flow_run, occurred, seconds, received)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            report.workspace.as_bytes(),
            report.flow_run.as_bytes(),
            report.occurred.micros(),
            report.seconds.cast_signed(),
            report.received.micros(),
        ],
    )?;
    if added == 1 { Ok(()) } else { Err(StoreError::Stale) }
}

/// For how much a report was counted.
pub(super) fn find(connection: &Connection, report: &Report) -> Result<Option<u64>, StoreError> {
    let sql = "SELECT seconds FROM usage_report
               WHERE workspace = ?1 AND flow_run = ?2 AND occurred = ?3";
    let identity =
        params![report.workspace.as_bytes(), report.flow_run.as_bytes(), report.occurred.micros()];
    let found = connection.query_row(sql, identity, |row| row.get::<_, i64>(0)).optional()?;
    Ok(found.map(i64::cast_unsigned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{Folder, wait};
    use crate::store::{Batch, Store, Write};

    #[test]
    fn a_report_is_kept_once_with_its_batch_and_forgotten_in_time() {
        let folder = Folder::new();
        let store = Store::open(&folder.0).expect("a store");
        let received = Time::from_micros(1_700_000_000_000_000);
        let report = |number: u128, days: i64| {
            let (workspace, flow_run) = (Uuid::nil(), Uuid::from_u128(number));
            let received = received.plus_seconds(days * 86_400);
            Report { workspace, flow_run, occurred: Time::default(), seconds: 7, received }
        };
        let count = |report: Report| {
            let writes = vec![Write::Count(report)];
            wait(store.commit(Batch { writes, events: Vec::new() }))
        };
        let known = |number| wait(store.reported(report(number, 0))).expect("an answer");
        assert_eq!(count(report(1, 0)), Ok(()));
        assert_eq!(count(report(1, 1)), Err(StoreError::Stale));
        assert_eq!(count(report(2, KNOWN_DAYS)), Ok(()));
        assert_eq!((known(1), known(2), known(3)), (Some(7), Some(7), None));
        assert_eq!(count(report(3, KNOWN_DAYS + 1)), Ok(()));
        assert_eq!((known(1), known(2), known(3)), (None, Some(7), Some(7)));
    }
}
