//! What was asked of budgets, by the minute. In: tallies. Out: the same by budget and minute, or summed up. Bounded in
//! time and number: the oldest end first.

use rusqlite::{Connection, Row, TransactionBehavior, params};

use super::StoreError;
use crate::id::Uuid;
use crate::limit::{Bucket, Tally};

/// How long tallies are kept.
pub const TALLIED_DAYS: i64 = 7;
/// Most tallies, of all accounts.
const TALLIES_MAX: i64 = 1_000_000;
/// Most that end with one writing, beside what the number bounds.
const ENDED_MAX: i64 = 10_000;
/// Most budgets that are summed up at once: those that refused most, then those that gave most.
const SUMS_MAX: i64 = 200;

/// What was asked of a budget over a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    /// Which one.
    pub bucket: Bucket,
    /// What passed, what did not, and the most that passed in one minute.
    pub granted: u64,
    pub refused: u64,
    pub peak: u64,
    /// The last minute in which something was refused.
    pub exceeded: Option<i64>,
}

/// Adds tallies to those that are kept; `now` is the present minute.
pub(super) fn add(
    connection: &mut Connection,
    tallies: &[Tally],
    now: i64,
) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut statement = transaction.prepare(
            "INSERT INTO tally (account, workspace, bucket, minute, granted, refused)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (account, bucket, minute) DO UPDATE
             SET granted = granted + excluded.granted, refused = refused + excluded.refused",
        )?;
        for tally in tallies {
            statement.execute(params![
                tally.account.as_bytes(),
                tally.bucket.workspace().map(Uuid::into_bytes),
                tally.bucket.to_string(),
                tally.minute,
                tally.granted.cast_signed(),
                tally.refused.cast_signed(),
            ])?;
        }
    }
    // Numbers of rows rise as time goes on: the oldest have the lowest.
    transaction.execute(
        "DELETE FROM tally WHERE number IN (SELECT number FROM tally ORDER BY number LIMIT ?1)
         AND minute < ?2",
        params![ENDED_MAX, now - TALLIED_DAYS * 1440],
    )?;
    transaction.execute(
        "DELETE FROM tally WHERE number <= (SELECT max(number) FROM tally) - ?1",
        [TALLIES_MAX],
    )?;
    transaction.commit()?;
    Ok(())
}

/// The tallies of one budget from a minute up to another, both of them too.
pub(super) fn series(
    connection: &Connection,
    account: Uuid,
    bucket: Bucket,
    (since, until): (i64, i64),
) -> Result<Vec<Tally>, StoreError> {
    let mut statement = connection.prepare(
        "SELECT minute, granted, refused FROM tally WHERE account = ?1 AND bucket = ?2
         AND minute BETWEEN ?3 AND ?4 AND workspace IS ?5 ORDER BY minute",
    )?;
    let workspace = bucket.workspace().map(Uuid::into_bytes);
    let asked = params![account.as_bytes(), bucket.to_string(), since, until, workspace];
    let rows = statement.query_map(asked, |row| {
        let (minute, granted, refused) = (row.get(0)?, count(row, 1)?, count(row, 2)?);
        Ok(Tally { account, bucket, minute, granted, refused })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The budgets of an account, or of a workspace in it, that were asked since a minute.
pub(super) fn sums(
    connection: &Connection,
    account: Uuid,
    workspace: Option<Uuid>,
    since: i64,
) -> Result<Vec<Sum>, StoreError> {
    let mut statement = connection.prepare(
        "SELECT bucket, sum(granted), sum(refused), max(granted),
         max(iif(refused > 0, minute, NULL)) FROM tally
         WHERE account = ?1 AND minute >= ?2 AND workspace IS ?3
         GROUP BY bucket ORDER BY 3 DESC, 2 DESC, 1 LIMIT ?4",
    )?;
    let place = workspace.map(Uuid::into_bytes);
    let rows = statement.query_map(params![account.as_bytes(), since, place, SUMS_MAX], |row| {
        let Some(bucket) = Bucket::parse(&row.get::<_, String>(0)?, workspace) else {
            return Ok(None);
        };
        let (granted, refused, peak) = (count(row, 1)?, count(row, 2)?, count(row, 3)?);
        Ok(Some(Sum { bucket, granted, refused, peak, exceeded: row.get(4)? }))
    })?;
    Ok(rows.filter_map(Result::transpose).collect::<Result<_, _>>()?)
}

fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use crate::store::tests::{Folder, wait};

    const ACCOUNT: Uuid = Uuid::from_bytes([7; 16]);
    const WORKSPACE: Uuid = Uuid::from_bytes([8; 16]);

    fn tally(bucket: Bucket, minute: i64, granted: u64, refused: u64) -> Tally {
        Tally { account: ACCOUNT, bucket, minute, granted, refused }
    }

    #[test]
    fn tallies_add_up_and_end_in_time() {
        let folder = Folder::new();
        let store = Store::open(&folder.0).expect("a store");
        let hook = Bucket::Webhook { workspace: WORKSPACE, id: Uuid::nil() };
        let add = |tallies: &[Tally], now| {
            wait(store.add_tallies(tallies.to_vec(), now)).expect("kept");
        };
        add(&[tally(Bucket::Webhooks, 100, 5, 0), tally(hook, 100, 5, 1)], 100);
        add(&[tally(Bucket::Webhooks, 100, 2, 3), tally(Bucket::Webhooks, 101, 1, 0)], 101);
        let series = |bucket, since, until| {
            wait(store.tallies(ACCOUNT, bucket, (since, until))).expect("read")
        };
        let both = [tally(Bucket::Webhooks, 100, 7, 3), tally(Bucket::Webhooks, 101, 1, 0)];
        assert_eq!(series(Bucket::Webhooks, 100, 101), both);
        assert_eq!(series(Bucket::Webhooks, 101, 200), both[1..]);
        let elsewhere = Bucket::Webhook { workspace: Uuid::nil(), id: Uuid::nil() };
        assert_eq!((series(hook, 0, 200).len(), series(elsewhere, 0, 200).len()), (1, 0));
        let sums = |workspace, since| wait(store.sums(ACCOUNT, workspace, since)).expect("read");
        let sum = |bucket, granted, refused, peak, exceeded| Sum {
            bucket,
            granted,
            refused,
            peak,
            exceeded,
        };
        assert_eq!(sums(None, 0), [sum(Bucket::Webhooks, 8, 3, 7, Some(100))]);
        assert_eq!(sums(None, 101), [sum(Bucket::Webhooks, 1, 0, 1, None)]);
        assert_eq!(sums(Some(WORKSPACE), 0), [sum(hook, 5, 1, 5, Some(100))]);
        let later = 101 + TALLIED_DAYS * 1440;
        add(&[tally(Bucket::Events, later, 1, 0)], later);
        let kept: Vec<_> = sums(None, 0).iter().map(|sum| (sum.bucket, sum.granted)).collect();
        assert_eq!(kept, [(Bucket::Webhooks, 1), (Bucket::Events, 1)], "the oldest is gone");
    }
}
