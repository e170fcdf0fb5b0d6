//! Records of the control plane and the outbox of their events, in one `SQLite` file of the data folder. In: changes
//! with their audit events, as one transaction. Out: rows, and a word to every watcher before `commit` returns.
//! Knows nothing of HTTP, holds no template, answers no hook.

mod apart;
mod audit;
mod bootstrap;
mod exposed;
mod file;
mod outbox;
mod read;
mod record;
mod report;
mod sealing;
mod tally;
mod term;
mod verification;
mod version;
mod worker;
mod write;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::Notify;

use crate::catalogue::{DESTINATION, Kind};
use crate::clock::Time;
use crate::id::{Secret, Uuid};
use crate::limit::{Bucket, Tally};
use crate::parse::redact::Rules;
use crate::request::FixedReply;
use crate::seal::{Keys, SealError};
use crate::verify::allowlist::Networks;
use crate::verify::key::KeyFacts;
use worker::Worker;

pub use crate::catalogue::Party;
pub use apart::tell_apart;
pub use audit::{Audit, Head};
pub use bootstrap::{Bootstrap, bootstrap};
pub use exposed::{Exposed, Several, exposed, unfit};
pub use outbox::Outgoing;
pub use read::{Criterion, Query, Sort};
pub use record::{
    Former, Hidden, KeptKey, REDACT, REPLY, Record, Slug, VERIFICATION, VERIFICATION_SECRETS,
};
pub use report::{KNOWN_DAYS, Report};
pub use sealing::{Seals, end_former_keys, reseal, seals};
pub use tally::{Sum, TALLIED_DAYS};
pub use term::Slice;
pub use verification::{Shared, Verification};
pub use version::{VERSIONS_MAX, Version};
pub use write::{Batch, Write};

/// The store's file in the data folder.
pub const FILE_NAME: &str = "store.db";

/// How requests that are sent again are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dedup {
    /// A header's name, or a template.
    pub key: String,
    /// For how long one is remembered.
    pub window_seconds: i64,
}

/// For how long a request is remembered when nothing is said.
const WINDOW_SECONDS: i64 = 86_400;

/// What the data plane needs to know of a webhook.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// The record's id.
    pub id: Uuid,
    /// Its account.
    pub account: Party,
    /// Its workspace.
    pub workspace: Party,
    /// Display name.
    pub name: String,
    /// The secret path part.
    pub slug: Secret,
    /// The one before it, while both are good.
    pub former: Option<Former>,
    /// What tells requests apart, when those sent again are to be taken once.
    pub dedup: Option<Box<Dedup>>,
    /// How its requests are verified, when they are.
    pub verification: Option<Box<Verification>>,
    /// Events that go in one of its turns at a destination that is behind.
    pub weight: u32,
    /// The template, byte for byte as it was saved.
    pub template: String,
    /// Which version of it that is.
    pub version: u64,
    /// A draft of it that is to render beside it.
    pub shadow: Option<String>,
    /// A disabled webhook answers as if it were not there.
    pub enabled: bool,
    /// From where it may be called, when not from everywhere.
    pub networks: Option<Box<Networks>>,
    /// What is not kept of its requests, when something is not.
    pub redact: Option<Box<Rules>>,
    /// What it says to whose request it took, when that is not nothing.
    pub reply: Option<Arc<FixedReply>>,
    /// Only keys of this service account may call it.
    pub service_account: Option<Uuid>,
}

/// What a caller's key proves.
pub type Key = KeyFacts;

/// A committed change, as watchers hear of it.
#[derive(Clone, Debug)]
pub enum Change {
    /// A webhook was made or changed.
    Webhook(Box<Webhook>),
    /// A webhook is gone.
    WebhookGone(Uuid),
    /// A key was made or changed.
    Key(Key),
    /// A key is gone.
    KeyGone(Uuid),
    /// A destination was made or changed.
    Destination(Box<Record>),
    /// A destination is gone.
    DestinationGone(Uuid),
}

/// Why the store did not take or give.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Too much waits for the store right now.
    #[error("the store is busy")]
    Busy,
    /// The disk is full; nothing of the change was kept.
    #[error("the disk of the store is full")]
    Full,
    /// The record was changed or ended since it was read.
    #[error("the record was changed by somebody else")]
    Stale,
    /// Another record has that value already.
    #[error("another {kind} has that {field}")]
    Taken { kind: &'static str, field: &'static str },
    /// Other records refer to it.
    #[error("{holders} other records refer to it")]
    InUse { holders: u64 },
    /// It is the only account there is.
    #[error("it is the only account")]
    LastAccount,
    /// What a field refers to is not there.
    #[error("what {field} refers to is not there")]
    Dangling { field: &'static str },
    /// The file was written by a newer program.
    #[error("{path} has version {found}, this program knows up to {known}: use a newer one")]
    Newer { path: PathBuf, found: i64, known: i64 },
    /// Nothing there is chained.
    #[error("{path}: {why}")]
    Unchained { path: PathBuf, why: &'static str },
    /// The file or its folder cannot be used.
    #[error("{path}: {why}")]
    File { path: PathBuf, why: String },
    /// A secret is sealed with a key that is not there, or the keys cannot be read.
    #[error("{0}: `store.key_file` should name the file with its key")]
    Sealed(SealError),
    /// A row says what no row can say, or `SQLite` refuses.
    #[error("the store failed: {0}")]
    Failed(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::DiskFull) => Self::Full,
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Hears of a committed change, in the order of commits, on the store's own thread: it must be quick, and must not
/// ask the store.
pub type Watcher = Box<dyn Fn(&Change) + Send + Sync>;

type Watchers = Arc<RwLock<Vec<Watcher>>>;

/// The store of one data folder: one thread writes, one reads, each behind a bounded queue.
pub struct Store {
    reader: Worker,
    writer: Worker,
    watchers: Watchers,
    outbox: Arc<Notify>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// Opens (or makes) the store of a data folder whose lock the caller holds.
    ///
    /// # Errors
    /// [`StoreError::File`], [`StoreError::Newer`], or what a damaged file makes `SQLite` say.
    pub fn open(data: &Path) -> Result<Self, StoreError> {
        Self::open_sealed(data, None)
    }

    /// The same, with the keys of its secrets: those that are in the clear, or sealed with a former key, are sealed.
    ///
    /// # Errors
    /// As [`Store::open`], and [`StoreError::Sealed`] when a secret does not open.
    pub fn open_sealed(data: &Path, keys: Option<&Keys>) -> Result<Self, StoreError> {
        let path = data.join(FILE_NAME);
        let mut writer = file::open(&path, keys)?;
        sealing::adopt(&mut writer, keys)?;
        let reader = file::open_again(&path, keys)?;
        let start = |name, connection| {
            Worker::start(name, connection)
                .map_err(|error| StoreError::File { path: path.clone(), why: error.to_string() })
        };
        Ok(Self {
            writer: start("hookgate-store", writer)?,
            reader: start("hookgate-reads", reader)?,
            watchers: Watchers::default(),
            outbox: Arc::default(),
        })
    }

    /// Lets somebody hear of every change from now on. Asked before the first change, nothing is missed.
    pub fn watch(&self, watcher: Watcher) {
        self.watchers.write().unwrap_or_else(PoisonError::into_inner).push(watcher);
    }

    /// Keeps changes and their events, all or none. Every watcher has heard of them when this returns, also when
    /// nobody waits for it any more.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was kept then.
    pub async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.writer.ask(self.committing(batch)).await
    }

    /// Leaves changes to be kept that nobody waits for and nobody misses: what stands against them ends them.
    pub fn commit_later(&self, batch: Batch) {
        let commit = self.committing(batch);
        let _ = self.writer.leave(move |connection| {
            let _ = commit(connection);
        });
    }

    fn committing(
        &self,
        batch: Batch,
    ) -> impl FnOnce(&mut Connection) -> Result<(), StoreError> + Send + 'static {
        let watchers = Arc::clone(&self.watchers);
        let outbox = Arc::clone(&self.outbox);
        move |connection: &mut Connection| {
            let changes = write::commit(connection, &batch)?;
            // Here, not behind the wait: whoever asked may be gone by now.
            let watchers = watchers.read().unwrap_or_else(PoisonError::into_inner);
            for change in &changes {
                watchers.iter().for_each(|watcher| watcher(change));
            }
            if !batch.events.is_empty() {
                outbox.notify_one();
            }
            Ok(())
        }
    }

    /// The account that was there first: what the gateway has to say of itself is its.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn oldest_account(&self) -> Result<Option<Uuid>, StoreError> {
        self.reader.ask(|connection| bootstrap::oldest_account(connection)).await
    }

    /// All webhooks, for the table of routes at start-up.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn webhooks(&self) -> Result<Vec<Webhook>, StoreError> {
        self.reader.ask(|connection| read::webhooks(connection)).await
    }

    /// All destinations, for the lanes at start-up.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn destinations(&self) -> Result<Vec<Record>, StoreError> {
        self.reader.ask(|connection| read::of_kind(connection, &DESTINATION)).await
    }

    /// All keys, for the keyring at start-up.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keys(&self) -> Result<Vec<Key>, StoreError> {
        self.reader.ask(|connection| read::keys(connection)).await
    }

    /// Those of these records that are there, in no order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn records(&self, ids: Vec<Uuid>) -> Result<Vec<Record>, StoreError> {
        self.reader.ask(move |connection| read::records(connection, &ids)).await
    }

    /// The records of a place that a query describes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list(&self, query: Query) -> Result<Vec<Record>, StoreError> {
        self.reader.ask(move |connection| read::list(connection, &query)).await
    }

    /// How many records a query describes, those beyond its page among them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count(&self, query: Query) -> Result<u64, StoreError> {
        self.reader.ask(move |connection| read::count(connection, &query)).await
    }

    /// A record and all that ends with it, the record last; `None` when that is more than `most`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn ending(
        &self,
        record: Record,
        most: usize,
    ) -> Result<Option<Vec<Record>>, StoreError> {
        self.reader.ask(move |connection| read::ending(connection, &record, most)).await
    }

    /// All records of a kind in an account, in whichever workspace; `None` when they are more than `most`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn within(
        &self,
        kind: &'static Kind,
        account: Uuid,
        most: usize,
    ) -> Result<Option<Vec<Record>>, StoreError> {
        self.reader.ask(move |connection| read::within(connection, kind, account, most)).await
    }

    /// All versions that are kept of a webhook's template, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn versions(&self, webhook: Uuid) -> Result<Vec<Version>, StoreError> {
        self.reader.ask(move |connection| version::list(connection, webhook)).await
    }

    /// At most two records of a kind, of any account, whose field is that text: enough to tell the only one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn named(
        &self,
        kind: &'static Kind,
        field: &'static str,
        text: String,
    ) -> Result<Vec<Record>, StoreError> {
        self.reader.ask(move |connection| read::named(connection, kind, field, &text)).await
    }

    /// Records of a kind, in whichever account, whose field names a moment that has come; some at a time.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn over(
        &self,
        kind: &'static Kind,
        field: &'static str,
        now: Time,
        most: u32,
    ) -> Result<Vec<Record>, StoreError> {
        self.reader.ask(move |connection| read::over(connection, kind, field, now, most)).await
    }

    /// The records of one kind that refer to any of these.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn holders(
        &self,
        kind: &'static str,
        targets: Vec<Uuid>,
    ) -> Result<Vec<Record>, StoreError> {
        self.reader.ask(move |connection| read::holders(connection, kind, &targets)).await
    }

    /// For how much a report was counted; `None` when it was not, or is forgotten.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn reported(&self, report: Report) -> Result<Option<u64>, StoreError> {
        self.reader.ask(move |connection| report::find(connection, &report)).await
    }

    /// Adds tallies to those that are kept; `now` is the present minute.
    ///
    /// # Errors
    /// [`StoreError`]; none was added then.
    pub async fn add_tallies(&self, tallies: Vec<Tally>, now: i64) -> Result<(), StoreError> {
        self.writer.ask(move |connection| tally::add(connection, &tallies, now)).await
    }

    /// The tallies of one budget from a minute up to another, both of them too.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tallies(
        &self,
        account: Uuid,
        bucket: Bucket,
        minutes: (i64, i64),
    ) -> Result<Vec<Tally>, StoreError> {
        self.reader.ask(move |connection| tally::series(connection, account, bucket, minutes)).await
    }

    /// The budgets of an account, or of a workspace in it, that were asked since a minute, summed up.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sums(
        &self,
        account: Uuid,
        workspace: Option<Uuid>,
        since: i64,
    ) -> Result<Vec<Sum>, StoreError> {
        self.reader.ask(move |connection| tally::sums(connection, account, workspace, since)).await
    }

    /// The oldest events that were not handed on, in the order of their commits.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn pending(&self, limit: u32) -> Result<Vec<Outgoing>, StoreError> {
        self.reader.ask(move |connection| outbox::pending(connection, limit)).await
    }

    /// How many events were not handed on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn pending_count(&self) -> Result<u64, StoreError> {
        self.reader.ask(|connection| outbox::count(connection)).await
    }

    /// Forgets events that are in the spool.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn handed(&self, ids: Vec<Uuid>) -> Result<(), StoreError> {
        self.writer.ask(move |connection| outbox::forget(connection, &ids)).await
    }

    /// Ends the oldest audit events of one account, the next behind `after`, that happened before a moment; some at a
    /// time. `None` when no account is behind it.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was ended then.
    pub async fn end_audit(
        &self,
        after: Option<Uuid>,
        before: Time,
    ) -> Result<Option<Slice>, StoreError> {
        self.writer.ask(move |connection| term::end(connection, after, before)).await
    }

    /// Ready once a commit has put events into the outbox since the last time; may be ready without.
    pub async fn outbox_filled(&self) {
        self.outbox.notified().await;
    }
}

/// Parts of a moment or a number that `SQLite` keeps as an integer.
fn moment(micros: i64) -> Time {
    Time::from_micros(micros)
}

#[cfg(test)]
pub(crate) mod tests;
