//! The end of audit events that are older than their term. In: a moment. Out: the oldest events of one chain gone, and
//! an anchor that stands for them, the last one's number and hash; in one transaction, some at a time. Never the last
//! event of a chain, never one that was not handed on, and none from a break on: what gives it away stays.

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};

use super::StoreError;
use super::audit::read;
use super::record::uuid;
use crate::catalogue::chain::{Anchor, Hash};
use crate::clock::Time;
use crate::id::Uuid;

/// Most events that end with one transaction, and most bytes of them; one at least.
const SLICE_MAX: usize = 1000;
const SLICE_MAX_BYTES: usize = 16 << 20;

/// What one transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Of which account.
    pub account: Uuid,
    /// How many events.
    pub ended: usize,
    /// Whether there may be more to end.
    pub is_full: bool,
    /// The number of an event that would have ended, but does not follow the one before it.
    pub broken: Option<u64>,
}

/// Ends the oldest events of the chain of the next account behind `after`; `None` behind the last one.
pub(super) fn end(
    connection: &mut Connection,
    after: Option<Uuid>,
    before: Time,
) -> Result<Option<Slice>, StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let sql = "SELECT account FROM audit WHERE account > ?1 ORDER BY account LIMIT 1";
    // Nothing stands before every id.
    let after = after.map_or(Vec::new(), |after| after.as_bytes().to_vec());
    let next = transaction.query_row(sql, [after], |row| row.get(0)).optional()?;
    let Some(account) = next.map(uuid) else { return Ok(None) };
    let old = anchor(&transaction, account)?;
    let (slice, new) = look(&transaction, old, before)?;
    if slice.ended > 0 {
        let (number, account) = (new.number.cast_signed(), account.as_bytes());
        transaction.execute(
            "INSERT OR REPLACE INTO audit_anchor (account, number, hash) VALUES (?1, ?2, ?3)",
            params![account, number, new.hash.as_bytes()],
        )?;
        transaction.execute(
            "DELETE FROM audit WHERE account = ?1 AND number <= ?2",
            params![account, number],
        )?;
    }
    transaction.commit()?;
    Ok(Some(slice))
}

/// What stands for the events of an account that were ended.
fn anchor(transaction: &Transaction<'_>, account: Uuid) -> Result<Anchor, StoreError> {
    let sql = "SELECT number, hash FROM audit_anchor WHERE account = ?1";
    let kept = transaction.query_row(sql, [account.as_bytes()], |row| {
        let number = row.get::<_, i64>(0)?.cast_unsigned();
        Ok(Anchor { account, number, hash: Hash::from_bytes(row.get(1)?) })
    });
    Ok(kept.optional()?.unwrap_or(Anchor::start(account)))
}

/// How far the chain behind an anchor can end, and the anchor then.
fn look(
    transaction: &Transaction<'_>,
    mut anchor: Anchor,
    before: Time,
) -> Result<(Slice, Anchor), StoreError> {
    let account = anchor.account;
    let mut slice = Slice { account, ended: 0, is_full: false, broken: None };
    let mut bytes = 0;
    // The last of a chain stays whatever its age: it is the head, and the number that the next one goes on from.
    let mut statement = transaction.prepare(
        "SELECT account, number, id, occurred, previous, hash, json,
         EXISTS (SELECT 1 FROM outbox WHERE outbox.id = audit.id) FROM audit
         WHERE account = ?1 AND number < (SELECT max(number) FROM audit WHERE account = ?1)
         ORDER BY number",
    )?;
    let mut rows = statement.query([account.as_bytes()])?;
    while let Some(row) = rows.next()? {
        let is_waiting: bool = row.get(7)?;
        let row = read(row)?;
        if is_waiting || row.link.occurred >= before {
            break;
        }
        if slice.ended == SLICE_MAX || bytes >= SLICE_MAX_BYTES {
            slice.is_full = true;
            break;
        }
        if !anchor.leads_to(&row) {
            slice.broken = Some(row.link.number);
            break;
        }
        anchor = Anchor { account, number: row.link.number, hash: row.hash };
        slice.ended += 1;
        bytes += row.link.json.len();
    }
    Ok((slice, anchor))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::catalogue::chain::{Break, Entry, Summary, Walk, What};
    use crate::clock::Clock;
    use crate::event::Event;
    use crate::id;
    use crate::store::tests::{Folder, wait};
    use crate::store::{Audit, Batch, FILE_NAME, Outgoing, Store};

    const ACCOUNT: Uuid = Uuid::from_bytes([7; 16]);
    const OTHER: Uuid = Uuid::from_bytes([8; 16]);

    /// A store with events of an account, each a second after the one before; the first at 1 s.
    struct House {
        folder: Folder,
        store: Store,
        clock: Clock,
    }

    impl House {
        fn new(events: usize) -> Self {
            let folder = Folder::new();
            let store = Store::open(&folder.0).expect("a store");
            let house = Self { folder, store, clock: Clock::fixed(Time::from_micros(0)) };
            house.add(ACCOUNT, events);
            house.hand_on();
            house
        }

        fn add(&self, account: Uuid, events: usize) {
            let event = |_| {
                self.clock.advance_seconds(1);
                let event = Event { id: id::now(&self.clock), json: Bytes::from_static(b"{}") };
                Outgoing { account, workspace: None, occurred: self.clock.now(), event }
            };
            let events = (0..events).map(event).collect();
            wait(self.store.commit(Batch { writes: Vec::new(), events })).expect("kept");
        }

        fn hand_on(&self) {
            let pending = wait(self.store.pending(10_000)).expect("events");
            let ids = pending.iter().map(|outgoing| outgoing.event.id).collect();
            wait(self.store.handed(ids)).expect("forgotten");
        }

        fn end(&self, after: Option<Uuid>, seconds: i64) -> Option<Slice> {
            let before = Time::from_micros(0).plus_seconds(seconds);
            wait(self.store.end_audit(after, before)).expect("a slice")
        }

        fn walk(&self) -> Result<Vec<Summary>, Break> {
            let (mut walk, mut chains, mut found) = (Walk::default(), Vec::new(), None);
            let audit = Audit::open(&self.folder.0).expect("a chain");
            let take = |entry: &Entry<'_>| {
                if found.is_none() {
                    match walk.step(entry) {
                        Ok(done) => chains.extend(done),
                        Err(fault) => found = Some(fault),
                    }
                }
                Ok::<_, StoreError>(())
            };
            audit.each(None, take).expect("entries");
            if let Some(found) = found {
                return Err(found);
            }
            chains.extend(walk.end()?);
            Ok(chains)
        }

        fn places(&self) -> Vec<(Uuid, u64, u64)> {
            let chains = self.walk().expect("it holds");
            chains.iter().map(|chain| (chain.account, chain.from, chain.events)).collect()
        }

        fn spoil(&self, sql: &str) {
            let file = Connection::open(self.folder.0.join(FILE_NAME)).expect("a file");
            file.execute_batch(sql).expect("spoiled");
        }
    }

    fn slice(ended: usize, is_full: bool) -> Slice {
        Slice { account: ACCOUNT, ended, is_full, broken: None }
    }

    #[test]
    fn the_oldest_end_in_slices_and_the_rest_can_be_proven() {
        let house = House::new(SLICE_MAX + 500);
        house.add(OTHER, 2);
        house.hand_on();
        let head = house.walk().expect("it holds")[0].head;
        assert_eq!(house.end(None, 1), Some(slice(0, false)), "none is older than the first");
        assert_eq!(house.end(None, 1301), Some(slice(1000, true)));
        assert_eq!(house.places(), [(ACCOUNT, 1001, 500), (OTHER, 1, 2)]);
        assert_eq!(house.end(None, 1301), Some(slice(300, false)));
        assert_eq!(house.end(None, 1301), Some(slice(0, false)), "nothing twice");
        let chain = house.walk().expect("it holds").remove(0);
        assert_eq!((chain.from, chain.events, chain.head), (1301, 200, head));
        assert_eq!(chain.first, Time::from_micros(1_301_000_000));
        assert!(!chain.whole);

        assert_eq!(house.end(None, 1 << 30), Some(slice(199, false)), "the last one stays");
        let other = house.end(Some(ACCOUNT), 1 << 30).expect("one more account");
        assert_eq!((other.account, other.ended), (OTHER, 1));
        assert_eq!(house.end(Some(OTHER), 1 << 30), None);
        house.add(ACCOUNT, 2);
        assert_eq!(house.places(), [(ACCOUNT, 1500, 3), (OTHER, 2, 1)], "numbers go on");
    }

    #[test]
    fn what_was_not_handed_on_stays_and_all_behind_it() {
        let house = House::new(3);
        house.add(ACCOUNT, 1);
        let waiting = wait(house.store.pending(10)).expect("one");
        house.add(ACCOUNT, 2);
        let later = wait(house.store.pending(10)).expect("three");
        let ids = later[waiting.len()..].iter().map(|outgoing| outgoing.event.id).collect();
        wait(house.store.handed(ids)).expect("forgotten");
        assert_eq!(house.end(None, 1 << 30), Some(slice(3, false)));
        assert_eq!(house.places(), [(ACCOUNT, 4, 3)]);
        house.hand_on();
        assert_eq!(house.end(None, 1 << 30), Some(slice(2, false)));
    }

    #[test]
    fn an_anchor_that_is_not_the_last_that_ended_is_a_break() {
        let spoilt = [
            ("DELETE FROM audit_anchor", 1, What::Missing),
            ("UPDATE audit_anchor SET hash = randomblob(32)", 5, What::Predecessor),
            ("UPDATE audit_anchor SET number = 3", 4, What::Missing),
            ("UPDATE audit_anchor SET number = 5", 5, What::Inserted),
            ("UPDATE audit_anchor SET account = randomblob(16)", 1, What::Missing),
            ("DELETE FROM audit WHERE number < 7", 5, What::Missing),
            ("DELETE FROM audit", 5, What::Missing),
            ("UPDATE audit SET json = x'00' WHERE number = 5", 5, What::Changed),
        ];
        for (sql, number, what) in spoilt {
            let house = House::new(8);
            assert_eq!(house.end(None, 5), Some(slice(4, false)));
            assert_eq!(house.places(), [(ACCOUNT, 5, 4)]);
            house.spoil(sql);
            let found = house.walk().expect_err(sql);
            let is_of_nobody = sql.contains("SET account");
            assert!(is_of_nobody || (found.number, found.what) == (number, what), "{sql}: {found}");
        }
    }

    #[test]
    fn nothing_ends_from_a_break_on() {
        for (sql, ended, broken) in [
            ("UPDATE audit SET json = x'00' WHERE number = 4", 3, 4),
            ("DELETE FROM audit WHERE number = 4", 3, 5),
            ("DELETE FROM audit WHERE number = 1", 0, 2),
        ] {
            let house = House::new(8);
            house.spoil(sql);
            let before = house.walk().expect_err("it is found");
            let slice = house.end(None, 1 << 30).expect("an account");
            assert_eq!((slice.ended, slice.broken), (ended, Some(broken)), "{sql}");
            let after = house.walk().expect_err("it is found again");
            assert_eq!((before.number, before.what), (after.number, after.what), "{sql}");
        }
    }
}
