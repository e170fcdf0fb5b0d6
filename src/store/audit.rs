//! Audit events as they are kept for good, each chained to the one before it in its account. In: events, inside their
//! change's transaction: a kill leaves change, event and link, or none of them. Out: all rows of a data folder, read
//! beside a gateway or without one, and the file left as it was. Nothing here ends a row (see `term.rs`).

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Transaction, params};

use super::record::uuid;
use super::{FILE_NAME, Outgoing, StoreError, file, moment};
use crate::catalogue::chain::{Anchor, Entry, Hash, Link, Row};
use crate::id::Uuid;

const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');

/// Puts an event at the end of its account's chain.
pub(super) fn add(transaction: &Transaction<'_>, outgoing: &Outgoing) -> Result<(), StoreError> {
    let account = outgoing.account;
    let sql = "SELECT number, hash FROM audit WHERE account = ?1 ORDER BY number DESC LIMIT 1";
    let last = transaction
        .query_row(sql, [account.as_bytes()], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))
        .optional()?;
    let (last, previous) = last.map_or((0, Hash::START), |(n, hash)| (n, Hash::from_bytes(hash)));
    let number = last + 1;
    let event = &outgoing.event;
    let link = Link {
        account,
        number: number.cast_unsigned(),
        id: event.id,
        occurred: outgoing.occurred,
        json: &event.json,
    };
    transaction.execute(
        "INSERT INTO audit (account, number, id, occurred, previous, hash, json)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            account.as_bytes(),
            number,
            event.id.as_bytes(),
            outgoing.occurred.micros(),
            previous.as_bytes(),
            link.hash(&previous).as_bytes(),
            link.json,
        ],
    )?;
    Ok(())
}

/// The end of one account's chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Whose.
    pub account: Uuid,
    /// The number of its last event; also how many there were.
    pub number: u64,
    /// The hash of its last event.
    pub hash: Hash,
}

/// The audit events of a data folder, to be read.
#[derive(Debug)]
pub struct Audit {
    connection: Connection,
    path: PathBuf,
    /// Whether the file is of a version that has anchors.
    has_anchors: bool,
    /// How the file was when nobody had it open; `None` when somebody may.
    resting: Option<(SystemTime, u64)>,
}

impl Audit {
    /// Opens what a data folder has, and makes nothing in it.
    ///
    /// # Errors
    /// [`StoreError::Unchained`] when there is no store, or one from before events were chained; and as
    /// [`super::Store::open`].
    pub fn open(data: &Path) -> Result<Self, StoreError> {
        let path = data.join(FILE_NAME);
        if !path.is_file() {
            let why = "no store is there; name the data folder of a gateway";
            return Err(StoreError::Unchained { path, why });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_URI;
        // A file without a journal is open nowhere. Read as it lies, it gets no files beside it, and may be one that
        // cannot be written.
        let resting = if file::is_open(&path) { None } else { Some(state(&path)?) };
        let name = percent_encode(path.as_os_str().as_bytes(), IN_PATH);
        let rest = if resting.is_some() { "?immutable=1" } else { "" };
        let connection = Connection::open_with_flags(format!("file:{name}{rest}"), flags)?;
        // Anchors and rows are of one moment, whatever the gateway ends meanwhile.
        connection.execute_batch("BEGIN")?;
        let has_anchors = file::check_version(&connection, &path)?;
        Ok(Self { connection, path, has_anchors, resting })
    }

    /// Hands every row on, by account and number, as one moment had them; an account's anchor before its rows.
    ///
    /// # Errors
    /// What the receiver says, which ends it; a [`StoreError`] when a row is none.
    pub fn each<E: From<StoreError>>(
        &self,
        account: Option<Uuid>,
        take: impl FnMut(&Entry<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let read = self.entries(account, take);
        self.stay()?;
        read
    }

    fn entries<E: From<StoreError>>(
        &self,
        account: Option<Uuid>,
        mut take: impl FnMut(&Entry<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let failed = |fault: rusqlite::Error| E::from(StoreError::from(fault));
        let mut anchors = self.anchors(account).map_err(failed)?.into_iter().peekable();
        let place = if account.is_some() { "account = ?1" } else { "?1 IS NULL" };
        let sql = format!(
            "SELECT account, number, id, occurred, previous, hash, json FROM audit
             WHERE {place} ORDER BY account, number"
        );
        let mut statement = self.connection.prepare(&sql).map_err(failed)?;
        let mut rows = statement.query([account.map(Uuid::into_bytes)]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let row = read(row).map_err(failed)?;
            while let Some(anchor) = anchors.next_if(|next| next.account <= row.link.account) {
                take(&Entry::Anchor(anchor))?;
            }
            take(&Entry::Row(row))?;
        }
        // Those without a row: nothing makes them.
        anchors.try_for_each(|anchor| take(&Entry::Anchor(anchor)))
    }

    /// One for each account at most.
    fn anchors(&self, account: Option<Uuid>) -> Result<Vec<Anchor>, rusqlite::Error> {
        if !self.has_anchors {
            return Ok(Vec::new());
        }
        let mut statement = self.connection.prepare(
            "SELECT account, number, hash FROM audit_anchor
             WHERE ?1 IS NULL OR account = ?1 ORDER BY account",
        )?;
        let rows = statement.query_map([account.map(Uuid::into_bytes)], |row| {
            Ok(Anchor {
                account: uuid(row.get(0)?),
                number: row.get::<_, i64>(1)?.cast_unsigned(),
                hash: Hash::from_bytes(row.get(2)?),
            })
        })?;
        rows.collect()
    }

    /// The end of every chain, by account.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn heads(&self) -> Result<Vec<Head>, StoreError> {
        let mut statement = self.connection.prepare(
            "SELECT account, number, hash FROM audit WHERE (account, number) IN
             (SELECT account, max(number) FROM audit GROUP BY account) ORDER BY account",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(Head {
                account: uuid(row.get(0)?),
                number: row.get::<_, i64>(1)?.cast_unsigned(),
                hash: Hash::from_bytes(row.get(2)?),
            })
        })?;
        let heads = rows.collect::<Result<_, _>>();
        self.stay()?;
        Ok(heads?)
    }

    /// Whether a file that was read as it lies lay still meanwhile.
    fn stay(&self) -> Result<(), StoreError> {
        match self.resting {
            Some(before) if file::is_open(&self.path) || state(&self.path)? != before => {
                let why = "a gateway was started on it meanwhile; run this again".to_owned();
                Err(StoreError::File { path: self.path.clone(), why })
            }
            _ => Ok(()),
        }
    }
}

fn state(path: &Path) -> Result<(SystemTime, u64), StoreError> {
    let state = fs::metadata(path).and_then(|about| Ok((about.modified()?, about.len())));
    state.map_err(|fault| StoreError::File { path: path.to_path_buf(), why: fault.to_string() })
}

/// A row, whose columns stand as [`Audit::each`] asks for them.
pub(super) fn read<'a>(row: &'a rusqlite::Row<'_>) -> Result<Row<'a>, rusqlite::Error> {
    Ok(Row {
        link: Link {
            account: uuid(row.get(0)?),
            // A number below 1 is none, and becomes one that no chain reaches.
            number: row.get::<_, i64>(1)?.cast_unsigned(),
            id: uuid(row.get(2)?),
            occurred: moment(row.get(3)?),
            json: row.get_ref(6)?.as_blob()?,
        },
        previous: Hash::from_bytes(row.get(4)?),
        hash: Hash::from_bytes(row.get(5)?),
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::catalogue::chain::{Break, Walk, What};
    use crate::clock::{Clock, Time};
    use crate::event::Event;
    use crate::id;
    use crate::store::tests::{Folder, bootstrapped, wait};
    use crate::store::{Batch, Bootstrap, Store, bootstrap};

    /// Stops a walk.
    #[derive(Debug, PartialEq)]
    enum Stop {
        Break(Break),
        Store(StoreError),
    }

    impl From<StoreError> for Stop {
        fn from(fault: StoreError) -> Self {
            Self::Store(fault)
        }
    }

    fn walk(audit: &Audit) -> Result<Vec<(Uuid, u64, Hash, bool)>, Stop> {
        let (mut walk, mut chains) = (Walk::default(), Vec::new());
        audit.each(None, |row| {
            chains.extend(walk.step(row).map_err(Stop::Break)?);
            Ok::<_, Stop>(())
        })?;
        chains.extend(walk.end().map_err(Stop::Break)?);
        let told =
            chains.iter().map(|chain| (chain.account, chain.events, chain.head, chain.whole));
        Ok(told.collect())
    }

    /// A folder with an account of five events, and as many more of two accounts in turn as are asked for.
    fn house(more: usize) -> (Folder, Bootstrap) {
        let folder = Folder::new();
        let clock = Clock::fixed(Time::from_micros(1_000_000));
        let first = bootstrap(&folder.0, &clock).expect("a first account");
        let store = Store::open(&folder.0).expect("a store");
        for number in 0..more {
            let account = if number % 2 == 0 { first.account_id } else { Uuid::max() };
            let json = Bytes::from(format!("{{\"event\":\"x\",\"payload\":{number}.50}}"));
            clock.advance_seconds(1);
            let event = Event { id: id::now(&clock), json };
            let occurred = clock.now();
            let outgoing = Outgoing { account, workspace: None, occurred, event };
            let batch = Batch { writes: Vec::new(), events: vec![outgoing] };
            wait(store.commit(batch)).expect("kept");
        }
        (folder, first)
    }

    fn names(folder: &Folder) -> Vec<String> {
        let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
        let entries = fs::read_dir(&folder.0).expect("a folder").map(name);
        entries.map(|name| name.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_folder_is_read_beside_a_gateway_and_without_and_left_as_it_was() {
        let (folder, first) = house(4);
        let read = || Audit::open(&folder.0).expect("a chain");
        let chains = walk(&read()).expect("it holds");
        let counts: Vec<_> = chains.iter().map(|chain| (chain.0, chain.1, chain.3)).collect();
        assert_eq!(counts, [(first.account_id, bootstrapped() + 2, true), (Uuid::max(), 2, false)]);
        let heads = read().heads().expect("heads");
        let heads = heads.iter().map(|head| (head.account, head.number, head.hash));
        let told = chains.iter().map(|chain| (chain.0, chain.1, chain.2));
        assert!(heads.eq(told));
        assert_eq!(names(&folder), [FILE_NAME], "nothing was put beside it");

        let audit = read();
        let store = Store::open(&folder.0).expect("a store");
        assert!(matches!(walk(&audit), Err(Stop::Store(StoreError::File { .. }))), "it moved");
        assert_eq!(walk(&read()).as_ref(), Ok(&chains), "beside a gateway");
        drop(store);
        assert_eq!(walk(&read()), Ok(chains));

        let empty = Folder::new();
        let fault = Audit::open(&empty.0).expect_err("nothing is there");
        assert!(matches!(fault, StoreError::Unchained { .. }), "{fault}");
        assert!(names(&empty).is_empty(), "and nothing was made");
    }

    #[test]
    fn a_folder_from_before_chains_begins_one_with_its_next_change() {
        let (folder, first) = house(0);
        let path = folder.0.join(FILE_NAME);
        let old = Connection::open(&path).expect("a file");
        let back = "DROP TABLE audit; DROP TABLE audit_anchor;
            DROP TABLE usage_report; DROP TABLE tally; DROP TABLE template_version;
            DROP INDEX record_account;
            DROP INDEX record_workspace;
            DROP INDEX record_former; ALTER TABLE record DROP COLUMN former;
            ALTER TABLE record DROP COLUMN former_ends; PRAGMA user_version = 1;";
        old.execute_batch(back).expect("version 1");
        drop(old);
        let fault = Audit::open(&folder.0).expect_err("no chain yet");
        assert!(fault.to_string().contains("before events were chained"), "{fault}");

        let store = Store::open(&folder.0).expect("brought to this version");
        assert_eq!(wait(store.pending_count()), Ok(bootstrapped()), "what waited still does");
        assert_eq!(walk(&Audit::open(&folder.0).expect("a chain")), Ok(Vec::new()));
        let (account, occurred) = (first.account_id, Time::from_micros(2_000_000));
        let event = Event { id: Uuid::from_bytes([7; 16]), json: Bytes::from_static(b"{}") };
        let outgoing = Outgoing { account, workspace: None, occurred, event };
        let batch = Batch { writes: Vec::new(), events: vec![outgoing] };
        wait(store.commit(batch)).expect("kept");
        let chains = walk(&Audit::open(&folder.0).expect("a chain")).expect("it holds");
        assert_eq!((chains[0].1, chains[0].3), (1, false), "it does not begin with the account");
    }

    /// Spoils rows at random; the first number at which the chain of that account can no longer hold.
    fn spoil(
        file: &Connection,
        account: Uuid,
        rows: i64,
        chance: &mut fastrand::Rng,
    ) -> (i64, What) {
        let at = chance.i64(1..rows);
        let run = |sql: &str| {
            let done = file.execute(sql, params![account.as_bytes(), at]);
            assert_eq!(done, Ok(1), "{sql}");
        };
        let set = |what: &str| {
            run(&format!("UPDATE audit SET {what} WHERE account = ?1 AND number = ?2"));
        };
        match chance.u8(0..9) {
            0 | 1 => {
                let place = chance.u8(1..=20);
                set(&format!(
                    "json = CAST(substr(json, 1, {place} - 1) || char(1) ||
                     substr(json, {place} + 1) AS BLOB)"
                ));
            }
            2 => set("hash = randomblob(32)"),
            3 => set("previous = randomblob(32)"),
            4 => set("id = randomblob(16)"),
            5 => set("occurred = occurred + 1"),
            6 => {
                run("DELETE FROM audit WHERE account = ?1 AND number = ?2");
                return (at, What::Missing);
            }
            7 => {
                // Two rows in each other's place.
                let sql = "UPDATE audit SET number = ?3 WHERE account = ?1 AND number = ?2";
                let place = |from: i64, to: i64| {
                    let done = file.execute(sql, params![account.as_bytes(), from, to]);
                    assert_eq!(done, Ok(1));
                };
                place(at, -1);
                place(at + 1, at);
                place(-1, at + 1);
            }
            _ => {
                // One more row, and all behind it one further.
                for number in (at..=rows).rev() {
                    let sql = "UPDATE audit SET number = number + 1
                               WHERE account = ?1 AND number = ?2";
                    let done = file.execute(sql, params![account.as_bytes(), number]);
                    assert_eq!(done, Ok(1));
                }
                run("INSERT INTO audit SELECT account, ?2, id, occurred, previous, hash, json
                     FROM audit WHERE account = ?1 AND number = ?2 + 1");
                // The copy of the row that was there fits once more; the next does not.
                return (at + 1, What::Changed);
            }
        }
        (at, What::Changed)
    }

    #[test]
    fn a_thousand_spoiled_files_are_found_at_the_right_place() {
        let (folder, first) = house(40);
        let connection = Connection::open(folder.0.join(FILE_NAME)).expect("a file");
        let path = folder.0.join(FILE_NAME);
        let audit = Audit { connection, path, has_anchors: true, resting: None };
        walk(&audit).expect("it holds");
        let mut chance = fastrand::Rng::with_seed(5);
        for round in 0..1000 {
            audit.connection.execute_batch("BEGIN").expect("begun");
            let own = bootstrapped().cast_signed() + 20;
            let (account, rows) = [(first.account_id, own), (Uuid::max(), 20)][round % 2];
            let (number, what) = spoil(&audit.connection, account, rows, &mut chance);
            let found = match walk(&audit) {
                Err(Stop::Break(found)) => (found.account, found.number.cast_signed(), found.what),
                other => panic!("round {round}, number {number}: {other:?}"),
            };
            assert_eq!(found, (account, number, what), "round {round}");
            audit.connection.execute_batch("ROLLBACK").expect("as it was");
        }
        walk(&audit).expect("it holds again");
    }

    #[test]
    fn a_row_written_anew_with_its_hash_shows_at_the_next() {
        let (folder, first) = house(4);
        let connection = Connection::open(folder.0.join(FILE_NAME)).expect("a file");
        let path = folder.0.join(FILE_NAME);
        let audit = Audit { connection, path, has_anchors: true, resting: None };
        let mut forged = None;
        let forge = |entry: &Entry<'_>| {
            let Entry::Row(row) = entry else { return Ok(()) };
            if (row.link.account, row.link.number) == (first.account_id, 3) {
                forged = Some(Link { json: b"{}", ..row.link }.hash(&row.previous));
            }
            Ok::<_, StoreError>(())
        };
        audit.each(None, forge).expect("rows");
        let sql = "UPDATE audit SET json = CAST('{}' AS BLOB), hash = ?2
                   WHERE account = ?1 AND number = 3";
        let hash = forged.expect("the row");
        let done =
            audit.connection.execute(sql, params![first.account_id.as_bytes(), hash.as_bytes()]);
        assert_eq!(done, Ok(1));
        let Err(Stop::Break(found)) = walk(&audit) else { panic!("it is found") };
        assert_eq!((found.number, found.what), (4, What::Predecessor));
    }
}
