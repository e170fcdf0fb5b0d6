//! The feed: events of the spool, indexed for questions, in a file of its own. In: the spool's frames, read behind
//! everybody's back, and questions. Out: pages, totals and counts. Knows nothing of HTTP. Nobody waits for it but who
//! asks; what it holds was elsewhere first, so a file that is lost or damaged is made again from journal and store.

mod ask;
mod count;
mod desk;
mod file;
mod follow;
mod index;
mod requests;
mod room;
mod runs;
mod search;
mod slot;
pub mod terms;

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use self::desk::Desk;
use crate::clock::Clock;
use crate::id::{Secret, Uuid};
use crate::spool::{Spool, SpoolError};
use crate::telemetry::Telemetry;
use crate::telemetry::feed::Facts;

pub use ask::{Page, Question};
pub use count::{BUCKETS_MAX, Countable, Group, buckets};
pub use index::Past;
pub use requests::{Outcome, Request, Requests, Wanted};

/// The index's file in the data folder.
pub const FILE_NAME: &str = "feed.db";
/// The name of its reader in the spool.
pub const READER: &str = "feed";
/// Longest wait of a question for what was kept before it was asked.
const REACH_MAX: Duration = Duration::from_secs(1);
/// The same for questions about requests, which are replayed by the answer.
const REQUESTS_REACH_MAX: Duration = Duration::from_secs(4);

/// Settings of the feed.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Days that audit events stay.
    pub audit_days: u32,
    /// Days that other events stay.
    pub days: u32,
    /// Most bytes of the index; past it the oldest go first, audit events excepted.
    pub bytes_max: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { audit_days: 400, days: 30, bytes_max: 16 << 30 }
    }
}

/// Why the feed did not take or give.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// Too many questions wait.
    #[error("the feed is busy")]
    Busy,
    /// What was kept last is not in it yet.
    #[error("the index is {frames} frames behind")]
    Behind { frames: u64 },
    /// A count did not end in its time.
    #[error("counting takes longer than {seconds} seconds")]
    Slow { seconds: u64 },
    /// A time line would have too many buckets.
    #[error("more than {BUCKETS_MAX} buckets")]
    Buckets,
    /// The file is of another version of this program.
    #[error("its version is {found}, this program's is {known}")]
    Version { found: i64, known: i64 },
    /// The file's pages make no sense, or are no database's.
    #[error("damaged: {0}")]
    Damaged(String),
    /// The disk is full or fails, or somebody else has the file: its contents are not to blame.
    #[error("the index of events cannot be used now: {0}")]
    NotNow(String),
    /// `SQLite` refuses.
    #[error("{0}")]
    Failed(String),
    /// The file or its folder cannot be used.
    #[error(transparent)]
    File(#[from] io::Error),
    /// The spool does not give.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// Audit events of earlier days cannot be read.
    #[error("audit events: {0}")]
    Past(String),
}

impl From<rusqlite::Error> for FeedError {
    fn from(fault: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{
            CannotOpen, DatabaseBusy, DatabaseCorrupt, DatabaseLocked, DiskFull, NotADatabase,
            OutOfMemory, ReadOnly, SystemIoFailure,
        };
        match fault.sqlite_error_code() {
            Some(DatabaseCorrupt | NotADatabase) => Self::Damaged(fault.to_string()),
            Some(
                CannotOpen | DatabaseBusy | DatabaseLocked | DiskFull | OutOfMemory | ReadOnly
                | SystemIoFailure,
            ) => Self::NotNow(fault.to_string()),
            _ => Self::Failed(fault.to_string()),
        }
    }
}

impl From<rusqlite::types::FromSqlError> for FeedError {
    fn from(fault: rusqlite::types::FromSqlError) -> Self {
        Self::Damaged(fault.to_string())
    }
}

/// How the index stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Frames that are kept and not in it.
    pub frames: u64,
    /// Age of the oldest of them.
    pub age: Duration,
    /// Why nothing is added, while nothing is.
    pub halted: Option<String>,
}

/// Hands on the audit events of earlier days, for an index that begins anew.
pub type History = Box<dyn Fn(&mut dyn FnMut(Past)) -> Result<(), String> + Send>;

/// The feed of one data folder. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Feed {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    desk: Desk,
    seal: Secret,
    spool: Spool,
    facts: Arc<Facts>,
    /// The last frame whose events are in; nothing while the file is being made again.
    reached: watch::Receiver<Option<u64>>,
    /// Why nothing is added, while nothing is.
    halted: watch::Receiver<Option<String>>,
    /// Somebody waits for the next batch.
    hurry: Arc<Notify>,
    stop: watch::Sender<bool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Feed {
    /// Opens (or makes) the index in a data folder whose lock the caller holds, and follows the spool from there.
    ///
    /// # Errors
    /// When neither the file there nor a new one can be used.
    pub fn start(
        data: &Path,
        options: Options,
        spool: &Spool,
        clock: &Arc<Clock>,
        telemetry: &Telemetry,
        history: History,
    ) -> Result<Self, FeedError> {
        let (index, is_new) = index::Index::open(data)?;
        let seal = index.seal(clock)?;
        let facts = Facts::register(telemetry);
        let (reach, reached) = watch::channel(None);
        let (halt, halted) = watch::channel(None);
        let (stop, stopped) = watch::channel(false);
        let hurry = Arc::new(Notify::new());
        let desk = Desk::new(data);
        let follower = follow::Follower {
            data: data.to_path_buf(),
            ground: room::Ground::new(data, spool.free_min_bytes()),
            options,
            spool: spool.clone(),
            clock: Arc::clone(clock),
            facts: Arc::clone(&facts),
            history,
            reach,
            halt,
            hurry: Arc::clone(&hurry),
            turns: desk.turns(),
        };
        let work = move || follower.run(index, is_new, stopped);
        let thread = std::thread::Builder::new().name("hookgate-feed".to_owned()).spawn(work)?;
        let thread = Mutex::new(Some(thread));
        let spool = spool.clone();
        let inner = Inner { desk, seal, spool, facts, reached, halted, hurry, stop, thread };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The events that a question means. What was kept before it was asked is among them, unless the index is more
    /// than a second behind.
    ///
    /// # Errors
    /// [`FeedError`].
    pub async fn page(&self, question: Question) -> Result<Page, FeedError> {
        if question.after.is_none() {
            self.reach(REACH_MAX).await;
        }
        self.ask(move |connection| ask::page(connection, &question)).await
    }

    /// The events that a question means, counted.
    ///
    /// # Errors
    /// [`FeedError`].
    pub async fn count(&self, question: Question, by: Countable) -> Result<Vec<Group>, FeedError> {
        self.reach(REACH_MAX).await;
        self.ask(move |connection| count::count(connection, &question, by)).await
    }

    /// The requests that are meant; nothing when there is none of the id they should stand behind.
    ///
    /// # Errors
    /// [`FeedError`].
    pub async fn requests(&self, wanted: Wanted) -> Result<Option<Requests>, FeedError> {
        self.reach(REQUESTS_REACH_MAX).await;
        self.ask(move |connection| requests::page(connection, &wanted)).await
    }

    /// The request of an id in a workspace of an account.
    ///
    /// # Errors
    /// [`FeedError::Behind`] when it is not known yet whether there is one.
    pub async fn request(
        &self,
        whose: (Uuid, Uuid),
        id: Uuid,
    ) -> Result<Option<Request>, FeedError> {
        let find = || self.ask(move |connection| requests::find(connection, whose, id));
        if let Some(found) = find().await? {
            return Ok(Some(found));
        }
        let is_there = self.reach(REQUESTS_REACH_MAX).await;
        let found = find().await?;
        if found.is_none() && !is_there {
            let frames = self.behind(self.inner.spool.status().durable);
            return Err(FeedError::Behind { frames });
        }
        Ok(found)
    }

    /// Which of these ids are events of a workspace of an account, as far as the index has come: nobody is waited for.
    ///
    /// # Errors
    /// [`FeedError`].
    pub async fn known(
        &self,
        whose: (Uuid, Uuid),
        ids: Vec<Uuid>,
    ) -> Result<HashSet<Uuid>, FeedError> {
        self.ask(move |connection| requests::known(connection, whose, &ids)).await
    }

    /// The frame that an event came in, whether that is kept or not; nothing of what earlier releases indexed.
    ///
    /// # Errors
    /// As [`Feed::page`].
    pub async fn frame_of(&self, whose: (Uuid, Uuid), id: Uuid) -> Result<Option<u64>, FeedError> {
        self.ask(move |connection| requests::frame_of(connection, whose, id)).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&rusqlite::Connection) -> Result<T, FeedError> + Send + 'static,
    ) -> Result<T, FeedError> {
        let began = Instant::now();
        let answer = self.inner.desk.ask(question).await;
        self.inner.facts.answered(began.elapsed());
        answer
    }

    /// Waits, but not long, until what is kept now is in; whether it is.
    async fn reach(&self, longest: Duration) -> bool {
        let kept = self.inner.spool.status().durable;
        let mut reached = self.inner.reached.clone();
        let is_there = |reached: &Option<u64>| reached.is_some_and(|reached| reached >= kept);
        // The newest may be damaged: the index has no frame of its sequence then, and is done with it.
        let is_passed = || self.inner.reached.borrow().is_some() && self.behind(kept) == 0;
        if is_there(&reached.borrow_and_update()) || is_passed() {
            return true;
        }
        self.inner.hurry.notify_one();
        let there = tokio::time::timeout(longest, reached.wait_for(is_there)).await;
        matches!(there, Ok(Ok(_))) || is_passed()
    }

    /// Frames up to a sequence that are kept and not in the index yet.
    #[must_use]
    pub fn behind(&self, durable: u64) -> u64 {
        // What was released is in, or was before the file was made again and is kept no longer.
        let released = self.inner.spool.released(READER).unwrap_or(0);
        let reached = self.inner.reached.borrow().unwrap_or(0);
        durable.saturating_sub(reached.max(released))
    }

    /// How far it is behind, and why, if nothing is added; the same for the registry.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let spool = &self.inner.spool;
        let frames = self.behind(spool.status().durable);
        let age = match frames {
            0 => Duration::ZERO,
            _ => spool.lag(READER).unwrap_or_default().age,
        };
        self.inner.facts.behind(frames, age);
        Standing { frames, age, halted: self.inner.halted.borrow().clone() }
    }

    /// What pages are sealed with: the same over starts, as long as the file is.
    #[must_use]
    pub fn seal(&self) -> &[u8] {
        self.inner.seal.expose().as_bytes()
    }

    /// Ends following, with all that was read durable. Questions are still answered.
    pub async fn stop(&self) {
        let _ = self.inner.stop.send(true);
        let thread = self.inner.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ended = tokio::task::spawn_blocking(move || thread.map(JoinHandle::join)).await;
        if !matches!(ended, Ok(None | Some(Ok(())))) {
            tracing::error!("the feed's thread failed");
        }
    }
}

#[cfg(test)]
mod tests;
