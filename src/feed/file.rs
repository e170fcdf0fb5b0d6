//! The index's file. In: a data folder. Out: connections to tables of this program's version. A file that is damaged
//! or of another version is set aside whole, and a new one begins: it holds nothing that was not elsewhere first.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::room::LOG_MAX_BYTES;
use super::{FILE_NAME, FeedError, requests, runs};

/// Raised when tables, slots or terms mean something else than before.
const VERSION: i64 = 6;
/// The same, but for what frame an event came in.
const VERSION_BEFORE: i64 = 5;
/// Pages of the writer's cache, in KiB.
const WRITER_CACHE_KIB: u32 = 4 << 10;
/// Pages of a reader's cache, in KiB.
const READER_CACHE_KIB: u32 = 8 << 10;
/// Terms that wait in memory before they become a segment of their own: more than a batch has.
const TERMS_MAX_BYTES: u32 = 2 << 20;
/// Longest wait for another connection's lock.
pub(super) const BUSY_MAX: Duration = Duration::from_secs(5);

const TABLES: &str = "
    CREATE TABLE fact (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE place (
        number INTEGER PRIMARY KEY,
        account BLOB NOT NULL,
        workspace BLOB NOT NULL,
        UNIQUE (account, workspace)
    ) STRICT;
    CREATE TABLE event (
        slot INTEGER PRIMARY KEY,
        id BLOB NOT NULL,
        place INTEGER NOT NULL,
        is_audit INTEGER NOT NULL,
        received INTEGER NOT NULL,
        json BLOB NOT NULL,
        frame INTEGER
    ) STRICT;
    CREATE UNIQUE INDEX event_id ON event (id, place);
    CREATE VIRTUAL TABLE term USING fts5 (
        words, content = '', detail = none, columnsize = 0, tokenize = 'ascii'
    );
";

/// Opens the file, or begins a new one. Whether it is new.
pub(super) fn open(data: &Path) -> Result<(Connection, bool), FeedError> {
    let path = data.join(FILE_NAME);
    if path.exists() {
        match connect(&path).and_then(check) {
            Ok(connection) => return Ok((connection, false)),
            // What is in it is not to blame, and is not given up for that.
            Err(fault @ FeedError::NotNow(_)) => return Err(fault),
            Err(fault) => {
                tracing::warn!(%fault, "the index of events is set aside and made again");
                set_aside(data)?;
            }
        }
    }
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
    File::open(data)?.sync_all()?;
    let connection = connect(&path)?;
    connection.execute_batch(TABLES)?;
    connection.execute_batch(runs::TABLE)?;
    connection.execute_batch(requests::TABLE)?;
    connection
        .execute("INSERT INTO term (term, rank) VALUES ('hashsize', ?1)", [TERMS_MAX_BYTES])?;
    connection.pragma_update(None, "user_version", VERSION)?;
    Ok((connection, true))
}

/// One more connection, for questions only.
pub(super) fn open_again(data: &Path) -> Result<Connection, FeedError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(data.join(FILE_NAME), flags)?;
    connection.busy_timeout(BUSY_MAX)?;
    connection.execute_batch(&format!(
        "PRAGMA query_only = ON; PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -{READER_CACHE_KIB};"
    ))?;
    Ok(connection)
}

fn connect(path: &Path) -> Result<Connection, FeedError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_MAX)?;
    // Checkpoints are the keeper's: what they made durable is what the spool need not keep.
    connection.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA trusted_schema = OFF;
         PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -{WRITER_CACHE_KIB};
         PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = {LOG_MAX_BYTES};"
    ))?;
    Ok(connection)
}

/// Whether its tables are there and read as they should: ends of tables, not all of their pages, so that a start
/// takes no longer the more there is. A page that is damaged further in makes the batch or question fail that meets it.
fn check(connection: Connection) -> Result<Connection, FeedError> {
    let mut version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version == VERSION_BEFORE {
        connection.execute_batch(&format!(
            "BEGIN; ALTER TABLE event ADD COLUMN frame INTEGER; PRAGMA user_version = {VERSION}; COMMIT;"
        ))?;
        version = VERSION;
    }
    if version != VERSION {
        return Err(FeedError::Version { found: version, known: VERSION });
    }
    for sql in [
        "SELECT value FROM fact LIMIT 1",
        "SELECT number FROM place LIMIT 1",
        "SELECT low FROM run LIMIT 1",
        "SELECT sequence FROM request LIMIT 1",
        "SELECT slot FROM event ORDER BY slot LIMIT 1",
        "SELECT slot FROM event ORDER BY slot DESC LIMIT 1",
        "SELECT id FROM event ORDER BY id DESC LIMIT 1",
        "SELECT rowid FROM term WHERE term MATCH 'x' LIMIT 1",
    ] {
        connection.query_row(sql, [], |_| Ok(())).optional()?;
    }
    Ok(connection)
}

/// Moves the file and what `SQLite` laid beside it out of the way, over what was set aside before.
pub(super) fn set_aside(data: &Path) -> Result<(), FeedError> {
    for suffix in ["", "-wal", "-shm"] {
        let from = data.join(format!("{FILE_NAME}{suffix}"));
        if from.exists() {
            fs::rename(&from, aside(data, suffix))?;
        }
    }
    Ok(())
}

fn aside(data: &Path, suffix: &str) -> PathBuf {
    data.join(format!("{FILE_NAME}.damaged{suffix}"))
}
