//! The file: who may read it, how it syncs, what tables it has. In: a path. Out: a connection to tables of this
//! program's version. Never an older table left as it was, never a newer one touched.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::{StoreError, sealing};
use crate::seal::Keys;

/// Longest wait for the other connection's lock.
const BUSY_MAX: Duration = Duration::from_secs(2);

/// Each step brings the tables from its place in the list to the next version.
const STEPS: &[&str] = &[
    "
    CREATE TABLE record (
        id BLOB NOT NULL PRIMARY KEY,
        kind TEXT NOT NULL,
        account BLOB NOT NULL,
        workspace BLOB,
        name TEXT NOT NULL,
        fields TEXT NOT NULL,
        lookup TEXT,
        secret BLOB,
        revision INTEGER NOT NULL,
        created INTEGER NOT NULL,
        updated INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX record_place ON record (kind, account, workspace, name);
    CREATE UNIQUE INDEX record_secret ON record (kind, secret) WHERE secret IS NOT NULL;

    CREATE TABLE sole_value (
        kind TEXT NOT NULL,
        account BLOB NOT NULL,
        field TEXT NOT NULL,
        value TEXT NOT NULL,
        record BLOB NOT NULL REFERENCES record (id) ON DELETE CASCADE,
        PRIMARY KEY (kind, account, field, value)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX sole_value_record ON sole_value (record);

    CREATE TABLE reference (
        holder BLOB NOT NULL REFERENCES record (id) ON DELETE CASCADE,
        field TEXT NOT NULL,
        target BLOB NOT NULL REFERENCES record (id) ON DELETE RESTRICT,
        PRIMARY KEY (holder, field)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX reference_target ON reference (target);

    CREATE TABLE outbox (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        id BLOB NOT NULL UNIQUE,
        account BLOB NOT NULL,
        workspace BLOB,
        occurred INTEGER NOT NULL,
        json BLOB NOT NULL
    ) STRICT;
",
    "
    CREATE TABLE audit (
        account BLOB NOT NULL,
        number INTEGER NOT NULL,
        id BLOB NOT NULL,
        occurred INTEGER NOT NULL,
        previous BLOB NOT NULL,
        hash BLOB NOT NULL,
        json BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX audit_place ON audit (account, number);
",
    // Roles are named by id and held by memberships, those of service accounts too.
    "
    CREATE INDEX record_account ON record (account);
    CREATE INDEX record_workspace ON record (workspace) WHERE workspace IS NOT NULL;
    UPDATE record SET fields = json_remove(json_set(
        fields, '$.active', json('true'), '$.account_role_id',
        iif(fields ->> 'account_role_name' = 'Owner', '686f6f6b-6761-4465-8000-000000000011',
            '686f6f6b-6761-4465-8000-000000000013')
    ), '$.account_role_name') WHERE kind = 'account-membership';
    INSERT INTO record (id, kind, account, name, fields, revision, created, updated)
    SELECT randomblob(16), 'account-membership', account, name, json_object(
        'name', name, 'bot_id', lower(substr(hex(id), 1, 8) || '-' || substr(hex(id), 9, 4) || '-'
            || substr(hex(id), 13, 4) || '-' || substr(hex(id), 17, 4) || '-'
            || substr(hex(id), 21)),
        'account_role_id', '686f6f6b-6761-4465-8000-000000000013', 'active', json('true')
    ), 1, created, updated FROM record WHERE kind = 'service-account';
    INSERT INTO reference (holder, field, target)
    SELECT membership.id, 'bot_id', bot.id FROM record membership JOIN record bot
    ON bot.id = unhex(replace(membership.fields ->> 'bot_id', '-', ''))
    WHERE membership.kind = 'account-membership' AND bot.kind = 'service-account';
    UPDATE record SET fields = json_remove(fields, '$.account_role_name')
    WHERE kind = 'service-account';
",
    // A secret that was replaced, until it ends.
    "
    ALTER TABLE record ADD COLUMN former BLOB;
    ALTER TABLE record ADD COLUMN former_ends INTEGER;
    CREATE UNIQUE INDEX record_former ON record (kind, former) WHERE former IS NOT NULL;
",
    // What stands for the audit events of an account that were ended: the last of them.
    "
    CREATE TABLE audit_anchor (
        account BLOB NOT NULL PRIMARY KEY,
        number INTEGER NOT NULL,
        hash BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
",
    // Reports of what was used that were counted, so that none counts twice.
    "
    CREATE TABLE usage_report (
        number INTEGER PRIMARY KEY,
        workspace BLOB NOT NULL,
        flow_run BLOB NOT NULL,
        occurred INTEGER NOT NULL,
        seconds INTEGER NOT NULL,
        received INTEGER NOT NULL,
        UNIQUE (workspace, flow_run, occurred)
    ) STRICT;
    CREATE INDEX usage_report_received ON usage_report (received);
",
    // What was asked of budgets, by the minute.
    "
    CREATE TABLE tally (
        number INTEGER PRIMARY KEY,
        account BLOB NOT NULL,
        workspace BLOB,
        bucket TEXT NOT NULL,
        minute INTEGER NOT NULL,
        granted INTEGER NOT NULL,
        refused INTEGER NOT NULL,
        UNIQUE (account, bucket, minute)
    ) STRICT;
    CREATE INDEX tally_minute ON tally (account, minute);
",
    // What templates were saved as.
    "
    CREATE TABLE template_version (
        webhook BLOB NOT NULL REFERENCES record (id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        template TEXT NOT NULL,
        note TEXT NOT NULL,
        author BLOB,
        author_name TEXT,
        saved INTEGER NOT NULL,
        PRIMARY KEY (webhook, number)
    ) STRICT;
    INSERT INTO template_version (webhook, number, template, note, saved)
    SELECT id, 1, fields ->> 'template', '', updated FROM record WHERE kind = 'webhook';
    UPDATE record SET fields = json_set(fields, '$.template_version', 1) WHERE kind = 'webhook';
",
    // A destination's name is its own in its workspace; of those that shared one, the oldest has it.
    "
    INSERT OR IGNORE INTO sole_value (kind, account, field, value, record)
    SELECT kind, workspace, 'name', name, id FROM record
    WHERE kind = 'destination' AND workspace IS NOT NULL ORDER BY created, id;
",
];
/// The version that all steps lead to.
const KNOWN: i64 = STEPS.len().cast_signed() as i64;
/// The first version whose events are chained.
const CHAINED_SINCE: i64 = 2;
/// The first version whose chains may begin with an anchor.
const ANCHORED_SINCE: i64 = 5;

/// Opens the file, makes it when there is none, and brings its tables up to this version. After a stop that was not
/// clean its pages are checked first.
pub(super) fn open(path: &Path, keys: Option<&Keys>) -> Result<Connection, StoreError> {
    let fault = |why: String| StoreError::File { path: path.to_path_buf(), why };
    // The journal of a clean stop is gone: SQLite removes it with the last connection.
    let was_open = beside(path, "-wal").metadata().is_ok_and(|journal| journal.len() > 0);
    let is_new = !path.exists();
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| fault(error.to_string()))?;
    if let Some(folder) = path.parent().filter(|_| is_new) {
        // A new file is only there after a crash when its folder was synced too.
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|error| fault(error.to_string()))?;
    }
    let mut connection = connect(path, keys)?;
    if was_open {
        let verdict: String =
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if verdict != "ok" {
            return Err(fault(format!("damaged: {verdict}")));
        }
    }
    migrate(&mut connection, path)?;
    Ok(connection)
}

/// One more connection to a file that was opened, for questions only.
pub(super) fn open_again(path: &Path, keys: Option<&Keys>) -> Result<Connection, StoreError> {
    let connection = connect(path, keys)?;
    connection.execute_batch("PRAGMA query_only = ON;")?;
    Ok(connection)
}

/// A connection to a file that has the tables of the chain, for one change beside a gateway or without one.
pub(super) fn open_beside(path: &Path) -> Result<Connection, StoreError> {
    let connection = connect(path, None)?;
    check_version(&connection, path)?;
    Ok(connection)
}

/// Whether somebody has the file open, or was killed with it open: then its journal lies beside it.
pub(super) fn is_open(path: &Path) -> bool {
    beside(path, "-wal").exists()
}

/// Holds that a file which stays as it is has the tables of the chain, and none this program does not know. Whether it
/// has anchors.
pub(super) fn check_version(connection: &Connection, path: &Path) -> Result<bool, StoreError> {
    let path = path.to_path_buf();
    match version(connection)? {
        found if found > KNOWN => Err(StoreError::Newer { path, found, known: KNOWN }),
        found if found < CHAINED_SINCE => {
            let why = "made before events were chained; the chain begins with the first change \
                       after the gateway's next start";
            Err(StoreError::Unchained { path, why })
        }
        found => Ok(found >= ANCHORED_SINCE),
    }
}

fn version(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

fn connect(path: &Path, keys: Option<&Keys>) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_MAX)?;
    sealing::install(&connection, keys)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF; PRAGMA secure_delete = ON;",
    )?;
    Ok(connection)
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let found = version(connection)?;
    if found > KNOWN {
        return Err(StoreError::Newer { path: path.to_path_buf(), found, known: KNOWN });
    }
    let transaction = connection.transaction()?;
    for step in STEPS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", KNOWN)?;
    transaction.commit()?;
    Ok(())
}

/// The path with a suffix that `SQLite` gives its other files.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::catalogue::DESTINATION;
    use crate::store::tests::{Folder, House, wait};
    use crate::store::{Batch, Write};

    #[test]
    fn whoever_shared_a_name_keeps_it_until_given_another() {
        let house = House::new();
        let destination = |name: &str| {
            let mut one = house.record(&DESTINATION, &json!({"name": name, "hold": false}));
            one.workspace = Some(house.first.workspace_id);
            one
        };
        let (first, mut second) = (destination("crm"), destination("crm 2"));
        let store = house.open();
        for one in [&first, &second] {
            let writes = vec![Write::Insert(one.clone())];
            wait(store.commit(Batch { writes, events: Vec::new() })).expect("a destination");
        }
        // As it was before names were their own.
        let sql = "UPDATE record SET name = 'crm', fields = json_set(fields, '$.name', 'crm') WHERE id = ?1";
        let id = second.id.as_bytes();
        house.file().execute(sql, [id]).expect("a name");
        house.file().execute("DELETE FROM sole_value WHERE record = ?1", [id]).expect("nobody's");
        let mut change = |field: &str, value: Value| {
            second.fields.insert(field.to_owned(), value);
            let writes = vec![Write::Update(second.clone())];
            let changed = wait(store.commit(Batch { writes, events: Vec::new() }));
            second.revision += i64::from(changed.is_ok());
            changed
        };
        change("name", "crm".into()).expect("its own still");
        change("hold", true.into()).expect("held");
        change("name", "crm 3".into()).expect("another");
        let taken = change("name", "crm".into());
        assert!(matches!(taken, Err(StoreError::Taken { field: "name", .. })), "{taken:?}");
    }

    #[test]
    fn of_destinations_that_shared_a_name_the_oldest_has_it() {
        let folder = Folder::new();
        let path = folder.0.join("a.db");
        let file = open(&path, None).expect("a file");
        for (id, workspace, created) in [(1, 1, 20), (2, 1, 10), (3, 2, 30)] {
            let sql = "INSERT INTO record (id, kind, account, workspace, name, fields, revision,
                created, updated) VALUES (?1, 'destination', x'07', ?2, 'crm', '{}', 1, ?3, 0)";
            file.execute(sql, ([id], [workspace], created)).expect("a destination");
        }
        file.pragma_update(None, "user_version", 8).expect("an older file");
        drop(file);
        let file = open(&path, None).expect("a file");
        let sql = "SELECT group_concat(hex(record)) FROM sole_value WHERE field = 'name'";
        let held: String = file.query_row(sql, [], |row| row.get(0)).expect("names");
        assert_eq!(held, "02,03");
    }
}
