//! Sent: one lane for each destination, each with its own cursor, pace and patience. In: the spool's frames. Out: every
//! event at every destination, in order, at least once, under the id it was born with; what a destination cannot take
//! lies parked. Nothing here reaches a sender; one lane never waits for another.

mod backoff;
mod destination;
mod dispatch;
mod headers;
mod lane;
mod ledger;
mod lines;
mod load;
mod notice;
mod options;
mod pace;
mod paper;
mod place;
mod post;
mod record;
mod rules;
mod sinks;
mod target;
mod trail;
mod watch;

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;
use tokio::sync::watch as channel;
use tokio::task::JoinHandle;

use self::backoff::Tempo;
use self::dispatch::Seat;
use self::lane::Lane;
use self::lane::source::Source;
use self::lane::state::{Lags, State};
use self::lane::window::Room;
use self::post::Posts;
use crate::clock::Clock;
use crate::fetch::Detour;
use crate::id::Uuid;
use crate::shelf::{Shelf, ShelfError};
use crate::spool::{Lag, Spool, SpoolError};
use crate::store::{Change, Record};
use crate::telemetry::Telemetry;
use crate::telemetry::forward::Facts;

pub use destination::Destination;
pub use notice::{ACTIONS, SPOOL_ACTIONS};
pub use record::{MANNER, barred, batch_of, vet};

/// Why nothing can be sent on.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// The text names no destination.
    #[error("destination `{text}` {why}")]
    Destination { text: String, why: String },
    /// Two lanes would share one cursor.
    #[error("destination `{0}` is named twice")]
    Twice(String),
    /// A file of a lane cannot be used.
    #[error("{path}: {why}")]
    File { path: PathBuf, why: String },
    /// What a record gives cannot be used.
    #[error("{field} {why}")]
    Given { field: &'static str, why: String },
    /// The machine has no certificate authorities to check a server by.
    #[error("no certificate authorities: install ca-certificates, or name a file in SSL_CERT_FILE")]
    NoRoots,
    /// What authorizes requests makes no header.
    #[error("the secret of a destination: {0}")]
    Secret(String),
    /// TLS cannot be set up.
    #[error("TLS: {0}")]
    Tls(String),
    /// A lane's reader cannot be opened.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// What lies parked cannot be given to another name.
    #[error(transparent)]
    Shelf(#[from] ShelfError),
}

impl ForwardError {
    fn file(path: &Path, why: &io::Error) -> Self {
        Self::File { path: path.to_owned(), why: why.to_string() }
    }
}

impl Destination {
    /// Whether what it needs of this machine is there: files with authorities, keys and secrets, folders. Connects to
    /// nothing.
    ///
    /// # Errors
    /// The file or folder, and what is wrong with it.
    pub fn check_files(&self, clock: &Arc<Clock>) -> Result<(), ForwardError> {
        sinks::check(self, clock)
    }
}

/// What lanes stand on.
#[derive(Debug)]
pub struct Ground {
    /// Where frames come from, and where the events about lanes go.
    pub spool: Spool,
    /// The data folder; what paces have used is kept there.
    pub data: PathBuf,
    /// Where events lie that a destination did not take.
    pub shelf: Shelf,
    /// The time.
    pub clock: Arc<Clock>,
    /// The registry.
    pub telemetry: Telemetry,
    /// Networks that destinations of records may be in, beside public ones.
    pub allowed: Arc<[IpNet]>,
    /// The proxy that what speaks HTTP goes through.
    pub detour: Option<Arc<Detour>>,
    /// The account that events about destinations belong to.
    pub operator: Uuid,
}

/// What lanes are told.
#[derive(Clone, Copy, Debug, Default)]
struct Signal {
    stop: bool,
    /// Rises with every change of the destination.
    changed: u64,
    /// Rises with every call of [`Forwarder::reopen`].
    reopened: u64,
}

impl Signal {
    /// Whether a lane ends that was made when `changed` was as it says.
    fn ends(&self, changed: u64) -> bool {
        self.stop || self.changed != changed
    }
}

/// How one lane stands.
#[derive(Clone, Debug)]
pub struct Status {
    /// The destination, without secrets.
    pub name: String,
    /// The operator named it; else a record does.
    pub is_operators: bool,
    /// How far it is behind.
    pub lag: Lag,
    /// Events that lie parked.
    pub parked: u64,
    /// The last attempt failed.
    pub failing: bool,
    /// Why the last attempt that failed did; without secrets.
    pub last_fault: Option<String>,
}

/// All lanes.
#[derive(Debug)]
pub struct Forwarder {
    spool: Spool,
    signal: channel::Sender<Signal>,
    states: Vec<Arc<State>>,
    posts: Posts,
    tasks: Vec<JoinHandle<()>>,
    tempo: Tempo,
}

impl Forwarder {
    /// Whether each has a name of its own.
    ///
    /// # Errors
    /// [`ForwardError::Twice`]: the first that has not.
    pub fn check_names(destinations: &[Destination]) -> Result<(), ForwardError> {
        let mut names = HashSet::new();
        match destinations.iter().find(|one| !names.insert(one.name())) {
            Some(twice) => Err(ForwardError::Twice(twice.name().to_owned())),
            None => Ok(()),
        }
    }

    /// Opens the reader of every lane, then lets them run. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`ForwardError`]: two equal destinations, a secret or a folder that cannot be read, a cursor that cannot be
    /// written.
    pub fn start(
        destinations: Vec<Destination>,
        records: &[Record],
        ground: Ground,
    ) -> Result<Self, ForwardError> {
        Self::start_at(Tempo::default(), destinations, records, ground)
    }

    /// The same at the pace of a simulation: a wait on the machine's own clock would be no part of it.
    #[cfg(test)]
    pub(crate) fn start_simulated(
        destinations: Vec<Destination>,
        ground: Ground,
    ) -> Result<Self, ForwardError> {
        Self::start_at(Tempo::simulated(), destinations, &[], ground)
    }

    fn start_at(
        tempo: Tempo,
        destinations: Vec<Destination>,
        records: &[Record],
        ground: Ground,
    ) -> Result<Self, ForwardError> {
        let (ground, room) = (Arc::new(ground), Arc::<Room>::default());
        let led = destinations.into_iter().map(|one| one.led(ground.detour.as_ref()));
        let destinations: Vec<_> = led.collect();
        Self::check_names(&destinations)?;
        let facts = Facts::register(&ground.telemetry);
        let (signal, told) = channel::channel(Signal::default());
        let state = |one: &Destination| {
            let notes = ground.telemetry.notes();
            Arc::new(State::new(one, facts.lane(one.name()), notes))
        };
        let states: Vec<_> = destinations.iter().map(state).collect();
        let mut lanes = Vec::new();
        for (one, state) in destinations.iter().zip(&states) {
            if !ground.spool.stands(&one.track()) && !ground.spool.has_lost_places() {
                state.begins();
            }
            let reader = ground.spool.reader_from(&one.track(), one.on_full, one.start)?;
            // One that waits keeps its place, once that was opened.
            if one.is_held {
                continue;
            }
            let source = (Source::Own(Box::new(reader)), Seat::default());
            let signal = (told.clone(), 0);
            let lane = Lane::open(one, (&ground, &room), source, state.clone(), tempo, signal)?;
            let is_free = one.options.manner.ordering() == load::Ordering::Free;
            lanes.push((is_free.then(|| one.id()), lane));
        }
        let posts = Posts::new((&ground, &room), facts.records(), tempo);
        ground.spool.forget_records_but(records.iter().map(|record| record.id));
        for record in records {
            posts.put(record);
        }
        let run = |(free, lane): (Option<Uuid>, Lane)| {
            let shelf = ground.shelf.clone();
            tokio::spawn(async move {
                // Where no order is kept any more, what lies behind another waits no longer.
                if let Some(id) = free
                    && let Err(fault) = shelf.set_free(id).await
                {
                    tracing::warn!(%fault, "what lies behind a parked event waits still");
                }
                lane.run().await;
            })
        };
        let mut tasks: Vec<_> = lanes.into_iter().map(run).collect();
        tasks.extend(posts.start(&told));
        tasks.push(tokio::spawn(watch::run(
            states.clone(),
            posts.clone(),
            (ground.spool.clone(), ground.shelf.clone()),
            notice::Notices::of(&ground),
            tempo,
            told,
        )));
        Ok(Self { spool: ground.spool.clone(), signal, states, posts, tasks, tempo })
    }

    /// At a destination that is behind, a webhook has so many events in one of its turns.
    pub fn weigh(&self, webhook: Uuid, weight: u32) {
        self.posts.weigh(webhook, weight);
    }

    /// Follows the changes of records, for the store to call.
    pub fn watcher(&self) -> impl Fn(&Change) + Send + Sync + 'static {
        let posts = self.posts.clone();
        move |change| posts.apply(change)
    }

    /// Opens anew what is open: files that were moved away, secrets that were changed. Lanes that wait after a
    /// failure try at once.
    pub fn reopen(&self) {
        self.signal.send_modify(|signal| signal.reopened += 1);
        self.posts.tell(|signal| signal.reopened += 1);
    }

    /// Tells how each lane stands, those of the operator first and as they were named, for as long as it is asked.
    pub fn board(&self) -> impl Fn() -> Vec<Status> + Send + Sync + 'static {
        let (spool, states) = (self.spool.clone(), self.states.clone());
        let posts = self.posts.clone();
        move || {
            let lags = Lags::of(&spool);
            let records = posts.states();
            let all = states.iter().chain(&records);
            all.map(|state| state.status(state.lag(&lags))).collect()
        }
    }

    /// Stops the lanes: an attempt in flight may finish, for a few seconds; cursors are saved.
    pub async fn stop(self) {
        self.signal.send_modify(|signal| signal.stop = true);
        self.posts.tell(|signal| signal.stop = true);
        let deadline = tokio::time::Instant::now() + self.tempo.stop;
        for mut task in self.tasks.into_iter().chain(self.posts.take_tasks()) {
            if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
                // What it was sending will be sent again after the next start.
                task.abort();
            }
        }
    }
}

#[cfg(test)]
mod tests;
