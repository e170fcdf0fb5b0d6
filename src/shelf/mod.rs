//! Set aside: events that a destination did not take, in one `SQLite` file of the data folder. In: an event with its
//! key, the reason and the last answer. Out: what lies there, in the order it came; what may go out again, never past
//! an earlier one of its key that was refused. Bounded for each destination; nothing goes unless somebody says so.

mod ask;
mod attempts;
mod call;
mod file;
mod holes;
mod pending;
mod row;
mod whole;

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::watch;

use crate::id::Uuid;
use attempts::Attempts;

pub use ask::{Asked, Counts, Failing, GONE_MAX, Gone, Has, Left, Most};
pub use attempts::{ATTEMPTS_MAX, Attempt, Batch, Places, Remembered, batch_of};
pub use call::Called;
pub use pending::Pending;
pub use row::{Aside, Key, Lying, Standing, Told};

/// The file in the data folder.
pub const FILE_NAME: &str = "parked.db";
/// Most events that lie there for one destination, and most bytes of them.
pub const EVENTS_MAX: u64 = 10_000;
pub const BYTES_MAX: u64 = 256 << 20;

/// Why an event is not kept, or not given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShelfError {
    /// As much lies there as may.
    #[error("{events} events of {bytes} bytes lie parked: retry or discard some")]
    Full { events: u64, bytes: u64 },
    /// The file was written by a newer program.
    #[error("{FILE_NAME} has version {found}, this program knows {known}: use a newer one")]
    Newer { found: i64, known: i64 },
    /// The disk is full, or the file cannot be used.
    #[error("{FILE_NAME}: {0}")]
    Failed(String),
}

impl From<rusqlite::Error> for ShelfError {
    fn from(fault: rusqlite::Error) -> Self {
        match fault.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Failed("the disk is full".to_owned()),
            _ => Self::Failed(fault.to_string()),
        }
    }
}

/// The shelf of one data folder. Cheap to clone; whoever asks it waits on a thread where that harms nobody.
#[derive(Clone)]
pub struct Shelf {
    inner: Arc<Inner>,
}

struct Inner {
    connection: Mutex<Connection>,
    attempts: Attempts,
    /// Rises when something may go out again.
    news: watch::Sender<u64>,
    /// The file's version at the last look for others.
    version: AtomicI64,
}

/// Before the first look.
const UNSEEN: i64 = i64::MIN;

impl std::fmt::Debug for Shelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shelf").finish_non_exhaustive()
    }
}

impl Shelf {
    /// Opens (or makes) the shelf of a data folder.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn open(data: &Path) -> Result<Self, ShelfError> {
        let connection = Mutex::new(file::open(&data.join(FILE_NAME))?);
        let fault = |fault: std::io::Error| ShelfError::Failed(fault.to_string());
        let attempts = Attempts::open(data).map_err(fault)?;
        let (news, _) = watch::channel(0);
        Ok(Self {
            inner: Arc::new(Inner { connection, attempts, news, version: AtomicI64::new(UNSEEN) }),
        })
    }

    /// What lies parked in a data folder of what is asked for, in the order it came; may be asked while a gateway runs.
    ///
    /// # Errors
    /// When there is a file and it cannot be read.
    pub fn look(data: &Path, asked: &Asked) -> Result<Vec<Lying>, ShelfError> {
        let path = data.join(FILE_NAME);
        if !path.exists() {
            return Ok(Vec::new());
        }
        let connection = file::open_to_read(&path)?;
        ask::list(&connection, asked, u64::MAX, 0)
    }

    /// Looks whether another process changed something: an operator at the file itself.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn notice_others(&self) -> Result<(), ShelfError> {
        let version = self.ask(|connection| ask::version(connection)).await?;
        let before = self.inner.version.swap(version, Ordering::Relaxed);
        if before != version && before != UNSEEN {
            self.inner.news.send_modify(|news| *news += 1);
            tracing::warn!("what lies parked was changed at the data folder");
        }
        Ok(())
    }

    /// Rises when something may go out again.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<u64> {
        self.inner.news.subscribe()
    }

    async fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, ShelfError> + Send + 'static,
    ) -> Result<T, ShelfError> {
        let inner = Arc::clone(&self.inner);
        let work = move || {
            let mut held = inner.connection.lock().unwrap_or_else(PoisonError::into_inner);
            job(&mut held)
        };
        #[cfg(test)]
        if crate::lone::is_here() {
            return work();
        }
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|fault| ShelfError::Failed(fault.to_string()))?
    }

    /// Remembers an attempt that is over; a disk that does not take it is no reason to stop.
    pub fn tried(&self, attempt: &Attempt) {
        let _ = self.inner.attempts.add(attempt);
    }

    /// The newest attempts that fit, whoever's they were, the oldest first: at most [`ATTEMPTS_MAX`] of all
    /// destinations are remembered.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn attempts(
        &self,
        fits: impl Fn(&Attempt) -> bool + Send + 'static,
    ) -> Result<Remembered, ShelfError> {
        let inner = Arc::clone(&self.inner);
        let read = tokio::task::spawn_blocking(move || inner.attempts.find(fits)).await;
        let read = read.map_err(|fault| ShelfError::Failed(fault.to_string()))?;
        read.map_err(|fault| ShelfError::Failed(fault.to_string()))
    }

    /// Which events of these were let go of, and by which destination: the newest [`GONE_MAX`] are remembered.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn discarded(
        &self,
        workspace: Uuid,
        ids: Vec<Uuid>,
    ) -> Result<Vec<(Uuid, Uuid)>, ShelfError> {
        self.ask(move |connection| ask::discarded(connection, workspace, &ids)).await
    }

    /// Keeps events of one destination, durable when this is ready; one that lies there is not kept twice. What it
    /// has there then.
    ///
    /// # Errors
    /// [`ShelfError::Full`], or what the disk says; nothing of them is kept then.
    pub async fn put(&self, destination: Uuid, all: Vec<Aside>) -> Result<Counts, ShelfError> {
        self.ask(move |connection| ask::put(connection, destination, &all)).await
    }

    /// Keeps events of one destination that are to go out, once that is agreed to; how many did not lie there.
    ///
    /// # Errors
    /// As [`Shelf::put`].
    pub async fn sending(
        &self,
        destination: Uuid,
        all: Vec<Aside>,
    ) -> Result<Pending<u64>, ShelfError> {
        Pending::new(self, move |connection| Ok(ask::add(connection, destination, &all)?.0)).await
    }

    /// What a destination has there.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn counts(&self, destination: Uuid) -> Result<Counts, ShelfError> {
        self.ask(move |connection| ask::counts(connection, destination)).await
    }

    /// What a destination has there, and how much of that is on its way: the rest waits for somebody.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn counts_and_due(&self, destination: Uuid) -> Result<(Counts, Counts), ShelfError> {
        self.ask(move |connection| {
            let due = ask::due_counts(connection, destination)?;
            Ok((ask::counts(connection, destination)?, due))
        })
        .await
    }

    /// What each destination has there, and whether some of it may go out again.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn standings(&self) -> Result<Vec<Has>, ShelfError> {
        self.ask(|connection| ask::standings(connection)).await
    }

    /// Puts back what a destination's lane had in hand; the keys of which something lies there, and what it has there:
    /// what comes of those keys lies down behind it.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub async fn begin(&self, destination: Uuid) -> Result<(Vec<Key>, Counts), ShelfError> {
        self.ask(move |connection| ask::begin(connection, destination)).await
    }

    /// Puts back what lanes had in hand, those of one destination or all: nothing of it is on its way.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn put_back(&self, destination: Option<Uuid>) -> Result<(), ShelfError> {
        self.ask(move |connection| ask::put_back(connection, destination)).await
    }

    /// The oldest events of a destination behind a place that may go out again, taken in hand: in order, none behind
    /// one of its key that was refused and not called up again. What is in hand is not let go of.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub async fn due(
        &self,
        destination: Uuid,
        after: i64,
        most: Most,
    ) -> Result<Vec<Lying>, ShelfError> {
        self.ask(move |connection| ask::due(connection, destination, after, most)).await
    }

    /// Those went out; what is left then.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn done(&self, destination: Uuid, numbers: Vec<i64>) -> Result<Left, ShelfError> {
        self.ask(move |connection| ask::done(connection, destination, &numbers)).await
    }

    /// That one was refused once more; nothing of its key is in hand any more.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn refused(
        &self,
        number: i64,
        reason: String,
        answer: Option<String>,
        attempts: u32,
    ) -> Result<(), ShelfError> {
        self.ask(move |connection| {
            ask::refused(connection, number, &reason, answer.as_deref(), attempts)
        })
        .await
    }

    /// What lies there of what is asked for, in the order it came.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn list(
        &self,
        asked: Asked,
        limit: u64,
        offset: u64,
    ) -> Result<Vec<Lying>, ShelfError> {
        self.ask(move |connection| ask::list(connection, &asked, limit, offset)).await
    }

    /// Calls up what is asked for: it goes out again. How many.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn retry(&self, asked: Asked) -> Result<u64, ShelfError> {
        Ok(self.retrying(asked).await?.commit().await?.count)
    }

    /// The same, once that is agreed to; what waits for what is not asked for stays as it is.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn retrying(&self, asked: Asked) -> Result<Pending<Called>, ShelfError> {
        Pending::new(self, move |connection| call::call_up(connection, &asked)).await
    }

    /// A destination keeps no order any more: nothing there waits for another, and what did goes out.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn set_free(&self, destination: Uuid) -> Result<(), ShelfError> {
        if self.ask(move |connection| call::set_free(connection, destination)).await? > 0 {
            self.inner.news.send_modify(|news| *news += 1);
        }
        Ok(())
    }

    /// Lets go of what is asked for, for ever; what lay behind it goes out.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn discard(&self, asked: Asked) -> Result<Gone, ShelfError> {
        self.discarding(asked, u64::MAX).await?.commit().await
    }

    /// The same with at most so many events, once that is agreed to.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn discarding(&self, asked: Asked, most: u64) -> Result<Pending<Gone>, ShelfError> {
        Pending::new(self, move |connection| ask::discard(connection, &asked, most)).await
    }

    /// How a destination fails, if it did when that was last said.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn failing(&self, destination: Uuid) -> Result<Option<Failing>, ShelfError> {
        self.ask(move |connection| ask::failing(connection, destination)).await
    }

    /// Keeps how a destination fails, durable when this is ready; nothing, once it takes something.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn set_failing(
        &self,
        destination: Uuid,
        failing: Option<Failing>,
    ) -> Result<(), ShelfError> {
        self.ask(move |connection| ask::set_failing(connection, destination, failing)).await
    }

    /// Keeps, as a text, what a destination has beyond its cursor: for [`take_holes`](Self::take_holes) after a stop.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn put_holes(&self, destination: Uuid, done: String) -> Result<(), ShelfError> {
        self.ask(move |connection| holes::put(connection, destination, &done)).await
    }

    /// What is kept of that.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn holes(&self, destination: Uuid) -> Result<Option<String>, ShelfError> {
        self.ask(move |connection| holes::look(connection, destination)).await
    }

    /// What was kept of that; once: what is not kept again was not so for long.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub async fn take_holes(&self, destination: Uuid) -> Result<Option<String>, ShelfError> {
        self.ask(move |connection| holes::take(connection, destination)).await
    }

    /// Gives all of a destination to another one, which is called so; what that one has already stays as it is there.
    ///
    /// # Errors
    /// When the file cannot be written; nothing is changed then.
    pub async fn adopt(&self, from: Uuid, to: Uuid, name: String) -> Result<(), ShelfError> {
        self.ask(move |connection| whole::adopt(connection, (from, to), &name)).await
    }

    /// Forgets all of a destination that is gone.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn forget(&self, destination: Uuid) -> Result<(), ShelfError> {
        self.ask(move |connection| whole::forget(connection, destination)).await
    }
}

#[cfg(test)]
mod tests;
