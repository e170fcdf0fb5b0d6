//! The file: who may read it, how it syncs, what tables it has. In: a path. Out: a connection to tables of this
//! program's version.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::ShelfError;

const VERSION: i64 = 4;
/// Longest wait for another connection's lock.
const BUSY_MAX: Duration = Duration::from_secs(5);

const TABLE: &str = "
    CREATE TABLE aside (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        destination BLOB NOT NULL,
        name TEXT NOT NULL,
        key BLOB NOT NULL,
        standing INTEGER NOT NULL,
        id BLOB NOT NULL,
        account BLOB NOT NULL,
        workspace BLOB NOT NULL,
        received INTEGER NOT NULL,
        parked INTEGER NOT NULL,
        reason TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        answer TEXT,
        json BLOB NOT NULL,
        UNIQUE (destination, account, workspace, id)
    ) STRICT;
    CREATE INDEX aside_key ON aside (destination, key, standing, number);
    CREATE TABLE failing (
        destination BLOB NOT NULL PRIMARY KEY,
        since INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX aside_order ON aside (destination, number);
";

/// What came with version 2: which events a destination has beyond its cursor.
const HOLES: &str = "
    CREATE TABLE holes (
        destination BLOB NOT NULL PRIMARY KEY,
        done TEXT NOT NULL
    ) STRICT;
";

/// What came with version 3: which events a lane has in hand, and how many there are without counting them.
const HANDS: &str = "
    ALTER TABLE aside ADD COLUMN in_hand INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE tally (
        destination BLOB NOT NULL PRIMARY KEY,
        events INTEGER NOT NULL,
        bytes INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    INSERT INTO tally SELECT destination, count(*), sum(length(json)) FROM aside GROUP BY destination;
    CREATE TRIGGER aside_came AFTER INSERT ON aside BEGIN
        INSERT OR IGNORE INTO tally VALUES (NEW.destination, 0, 0);
        UPDATE tally SET events = events + 1, bytes = bytes + length(NEW.json)
            WHERE destination = NEW.destination;
    END;
    CREATE TRIGGER aside_went AFTER DELETE ON aside BEGIN
        UPDATE tally SET events = events - 1, bytes = bytes - length(OLD.json)
            WHERE destination = OLD.destination;
    END;
";

/// What came with version 4: how a destination fails, beside since when (what is there was told when it was kept).
const TROUBLES: &str = "
    ALTER TABLE failing ADD COLUMN told INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE failing ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE failing ADD COLUMN next INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE failing ADD COLUMN wait INTEGER NOT NULL DEFAULT 0;
";

/// What was let go of, for whoever asks what became of it. Some files of version 4 are without: each that is opened
/// gets it.
const GONE: &str = "
    CREATE TABLE IF NOT EXISTS gone (
        number INTEGER PRIMARY KEY,
        destination BLOB NOT NULL,
        workspace BLOB NOT NULL,
        id BLOB NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS gone_id ON gone (id);
";

/// Through how many gateways an event came, where that is known: what goes in a circle ends, wherever it lay meanwhile.
/// Files from before get it when they are opened.
const HOPS: &str = "
    CREATE TABLE IF NOT EXISTS hops (
        number INTEGER PRIMARY KEY,
        hops INTEGER NOT NULL
    ) STRICT;
    CREATE TRIGGER IF NOT EXISTS hops_went AFTER DELETE ON aside BEGIN
        DELETE FROM hops WHERE number = OLD.number;
    END;
";

/// Opens the file, or makes it.
pub(super) fn open(path: &Path) -> Result<Connection, ShelfError> {
    let fault = |fault: std::io::Error| ShelfError::Failed(fault.to_string());
    let is_new = !path.exists();
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600).open(path).map_err(fault)?;
    if let Some(folder) = path.parent().filter(|_| is_new) {
        // A new file is only there after a crash when its folder was synced too.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(fault)?;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_MAX)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;",
    )?;
    match version(&connection)? {
        found @ 0..VERSION => {
            let transaction = connection.transaction()?;
            if found == 0 {
                transaction.execute_batch(TABLE)?;
            }
            if found < 2 {
                transaction.execute_batch(HOLES)?;
            }
            if found < 3 {
                transaction.execute_batch(HANDS)?;
            }
            transaction.execute_batch(TROUBLES)?;
            transaction.pragma_update(None, "user_version", VERSION)?;
            transaction.commit()?;
        }
        VERSION => {}
        found => return Err(ShelfError::Newer { found, known: VERSION }),
    }
    connection.execute_batch(GONE)?;
    connection.execute_batch(HOPS)?;
    Ok(connection)
}

/// A connection that changes nothing.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, ShelfError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_MAX)?;
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF;")?;
    match version(&connection)? {
        // What came later is of no matter to those who only look.
        1..=VERSION => Ok(connection),
        found => Err(ShelfError::Newer { found, known: VERSION }),
    }
}

fn version(connection: &Connection) -> Result<i64, ShelfError> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}
