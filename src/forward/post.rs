//! The lanes of records, which come, change and go while the gateway runs. In: records as they are now. Out: a lane for
//! each that is wanted, on the cursor it always had; none for one that is held or off. A lane that changes finishes its
//! attempt first; one whose record is gone leaves no cursor and nothing parked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::watch as channel;
use tokio::task::JoinHandle;

use super::backoff::{Tempo, slow};
use super::lane::Lane;
use super::lane::state::State;
use super::ledger::Ledger;
use super::{Destination, ForwardError, Ground, Signal};
use crate::id::Uuid;
use crate::spool::{Start, track_of};
use crate::store::{Change, Record};
use crate::telemetry::forward::LaneFacts;

/// What is to become of a record's lane.
#[derive(Clone, Debug)]
enum Wanted {
    /// It delivers.
    Lane(Arc<Destination>),
    /// It keeps its place, and delivers nothing for now.
    Hold(Arc<Destination>),
    /// It keeps no place: what comes meanwhile is not for it.
    Nothing,
    /// The record is gone.
    End,
}

/// One record's lane, for those that look at it or change it.
#[derive(Debug)]
struct Post {
    record: Uuid,
    wanted: Mutex<Wanted>,
    state: Mutex<Arc<State>>,
    signal: channel::Sender<Signal>,
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A record's lane and its task.
type Kept = (Arc<Post>, JoinHandle<()>);

/// The lanes of all records.
#[derive(Clone, Debug)]
pub(super) struct Posts {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    ground: Arc<Ground>,
    facts: Arc<LaneFacts>,
    tempo: Tempo,
    runtime: Handle,
    posts: Mutex<HashMap<Uuid, Kept>>,
}

impl Posts {
    /// No lane yet. Must be called inside a tokio runtime.
    pub(super) fn new(ground: &Arc<Ground>, facts: Arc<LaneFacts>, tempo: Tempo) -> Self {
        let (runtime, posts) = (Handle::current(), Mutex::default());
        let ground = Arc::clone(ground);
        Self { inner: Arc::new(Inner { ground, facts, tempo, runtime, posts }) }
    }

    /// What all of them tell together.
    pub(super) fn facts(&self) -> &LaneFacts {
        &self.inner.facts
    }

    /// Follows a change; keys and webhooks are none of their business.
    pub(super) fn apply(&self, change: &Change) {
        match change {
            Change::Destination(record) => self.put(record),
            Change::DestinationGone(id) => self.end(*id),
            _ => {}
        }
    }

    /// A record as it is now.
    pub(super) fn put(&self, record: &Record) {
        let ground = &self.inner.ground;
        ground.telemetry.notes().forget(record.id);
        let read = Destination::of_record(record, &ground.allowed, ground.clock.now());
        let (wanted, state) = match read {
            Ok(destination) => {
                let state = State::new(&destination, Arc::clone(&self.inner.facts));
                let destination = Arc::new(destination);
                let wanted = match (record.flag("enabled"), record.flag("hold")) {
                    (false, _) => Wanted::Nothing,
                    (true, true) => Wanted::Hold(destination),
                    (true, false) => Wanted::Lane(destination),
                };
                (wanted, Arc::new(state))
            }
            Err(why) => {
                let (id, name) = (record.id, record.text("name"));
                tracing::error!(%id, name, why, "a destination cannot be used as it is kept");
                return;
            }
        };
        let mut posts = lock(&self.inner.posts);
        if let Some((post, _)) = posts.get(&record.id) {
            *lock(&post.state) = state;
            post.want(wanted);
            return;
        }
        let (signal, _) = channel::channel(Signal::default());
        let (wanted, state) = (Mutex::new(wanted), Mutex::new(state));
        let post = Arc::new(Post { record: record.id, wanted, state, signal });
        let keeping = keep(Arc::clone(&self.inner), Arc::clone(&post));
        let task = self.inner.runtime.spawn(keeping);
        posts.insert(record.id, (post, task));
    }

    fn end(&self, id: Uuid) {
        if let Some((post, _)) = lock(&self.inner.posts).remove(&id) {
            post.want(Wanted::End);
        }
    }

    /// How each stands.
    pub(super) fn states(&self) -> Vec<Arc<State>> {
        let posts = lock(&self.inner.posts);
        posts.values().map(|(post, _)| Arc::clone(&lock(&post.state))).collect()
    }

    /// Tells something to all of them.
    pub(super) fn tell(&self, what: impl Fn(&mut Signal)) {
        for (post, _) in lock(&self.inner.posts).values() {
            post.signal.send_modify(&what);
        }
    }

    /// Their tasks, to be waited for.
    pub(super) fn take_tasks(&self) -> Vec<JoinHandle<()>> {
        lock(&self.inner.posts).drain().map(|(_, (_, task))| task).collect()
    }
}

impl Post {
    fn want(&self, wanted: Wanted) {
        *lock(&self.wanted) = wanted;
        self.signal.send_modify(|signal| signal.changed += 1);
    }
}

/// Does what is wanted of one record's lane until the gateway stops or the record is gone.
async fn keep(inner: Arc<Inner>, post: Arc<Post>) {
    let Inner { ground, tempo, .. } = &*inner;
    let mut told = post.signal.subscribe();
    loop {
        // Before what is wanted: a change in between is seen again.
        let Signal { stop, changed, .. } = *told.borrow_and_update();
        if stop {
            return;
        }
        let wanted = lock(&post.wanted).clone();
        let state = Arc::clone(&lock(&post.state));
        let done = match &wanted {
            Wanted::End => return forget(ground, post.record).await,
            Wanted::Nothing => ground.spool.forget(&track_of(post.record)).map_err(Into::into),
            Wanted::Hold(destination) => {
                let (track, on_full) = (destination.track(), destination.on_full);
                let opened = ground.spool.reader_from(&track, on_full, Start::Now);
                opened.map(drop).map_err(Into::into)
            }
            Wanted::Lane(destination) => {
                run(ground, destination, &state, *tempo, post.signal.subscribe()).await
            }
        };
        let is_news = |signal: &Signal| signal.stop || signal.changed != changed;
        let Err(fault) = done else {
            let _ = told.wait_for(is_news).await;
            continue;
        };
        state.failed(&fault.to_string(), true);
        let news = tokio::time::timeout(slow(tempo, fastrand::f64()), told.wait_for(is_news));
        drop(news.await);
    }
}

/// Delivers until something is changed.
async fn run(
    ground: &Ground,
    destination: &Destination,
    state: &Arc<State>,
    tempo: Tempo,
    signal: channel::Receiver<Signal>,
) -> Result<(), ForwardError> {
    let lane = Lane::open(destination, ground, Arc::clone(state), tempo, signal)?;
    lane.run().await;
    Ok(())
}

/// Leaves nothing of a record's lane behind.
async fn forget(ground: &Ground, record: Uuid) {
    ground.telemetry.notes().forget(record);
    if let Err(fault) = ground.spool.forget(&track_of(record)) {
        tracing::warn!(%record, %fault, "the cursor of a destination that is gone stays");
    }
    if let Err(fault) = Ledger::remove(&ground.data, &record.to_string()) {
        tracing::warn!(%record, %fault, "the pace of a destination that is gone stays");
    }
    if let Err(fault) = ground.shelf.forget(record).await {
        tracing::warn!(%record, %fault, "the parked events of a destination that is gone stay");
    }
}
