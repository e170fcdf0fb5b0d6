//! The lanes of records, which come, change and go while the gateway runs. In: records as they are now. Out: a lane for
//! each that is wanted and has something to do, on the place it always had; none for one that sleeps, is held or off. A
//! lane that changes finishes its attempt first; one whose record is gone leaves no place and nothing parked.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::sync::watch as channel;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::backoff::{Tempo, slow};
use super::dispatch::{Counted, Dispatch, Seats, Sleeper};
use super::lane::Lane;
use super::lane::patience::hold_failing;
use super::lane::source::{Source, Woken};
use super::lane::state::State;
use super::lane::window::Room;
use super::ledger::Ledger;
use super::load::Ordering as Ordered;
use super::{Destination, ForwardError, Ground, Signal};
use crate::id::Uuid;
use crate::spool::track_of;
use crate::store::{Change, Record};
use crate::telemetry::forward::LaneFacts;

/// Longest look at what waits for a destination that is disabled: what is not looked at then counts whole.
const COUNT_MAX: Duration = Duration::from_secs(5);

/// What is to become of a record's lane.
#[derive(Clone, Debug)]
enum Wanted {
    /// It delivers.
    Lane(Arc<Destination>),
    /// It keeps its place, and delivers nothing for now.
    Hold(Arc<Destination>),
    /// It keeps no place: what waits is lost to it, and what comes meanwhile is not for it.
    Nothing(Arc<Destination>),
    /// The record is gone.
    End,
}

/// One record's lane, for those that look at it or change it.
#[derive(Debug)]
struct Post {
    record: Uuid,
    /// Account and workspace.
    scope: (Uuid, Uuid),
    /// Rung when something may be there for it.
    bell: Arc<Notify>,
    /// Something that lies parked may go out.
    is_called: AtomicBool,
    /// The [`Signal::changed`] of its newest lane.
    opened: AtomicU64,
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
    room: Arc<Room>,
    facts: Arc<LaneFacts>,
    tempo: Tempo,
    runtime: Handle,
    dispatch: Arc<Dispatch>,
    seats: Arc<Seats>,
    posts: Mutex<HashMap<Uuid, Kept>>,
}

impl Posts {
    /// No lane yet. Must be called inside a tokio runtime.
    pub(super) fn new(
        (ground, room): (&Arc<Ground>, &Arc<Room>),
        facts: Arc<LaneFacts>,
        tempo: Tempo,
    ) -> Self {
        let (runtime, posts) = (Handle::current(), Mutex::default());
        let (dispatch, seats) = (Arc::new(Dispatch::new(&ground.spool)), Arc::default());
        let (ground, room) = (Arc::clone(ground), Arc::clone(room));
        let inner = Inner { ground, room, facts, tempo, runtime, dispatch, seats, posts };
        Self { inner: Arc::new(inner) }
    }

    /// Begins to wake those that are there: whoever came before sees each frame from its place on.
    pub(super) fn start(&self, signal: &channel::Receiver<Signal>) -> [JoinHandle<()>; 2] {
        let Inner { runtime, dispatch, .. } = &*self.inner;
        let waking = runtime.spawn(Arc::clone(dispatch).run(signal.clone()));
        [waking, runtime.spawn(self.clone().call_up(signal.clone()))]
    }

    /// Wakes those for which something on the shelf may go out.
    async fn call_up(self, mut told: channel::Receiver<Signal>) {
        let aside = &self.inner.ground.shelf;
        let mut news = aside.news();
        loop {
            news.borrow_and_update();
            match aside.standings().await {
                Ok(standings) => {
                    let posts = lock(&self.inner.posts);
                    for standing in standings {
                        let Some((post, _)) = posts.get(&standing.destination) else { continue };
                        lock(&post.state).lies_parked(standing.events);
                        if standing.is_due {
                            post.is_called.store(true, Ordering::Relaxed);
                            post.bell.notify_one();
                        }
                    }
                }
                Err(fault) => tracing::warn!(%fault, "nobody knows what lies parked"),
            }
            tokio::select! {
                _ = told.wait_for(|signal| signal.stop) => return,
                rung = news.changed() => if rung.is_err() { return },
            }
        }
    }

    /// What all of them tell together.
    pub(super) fn facts(&self) -> &LaneFacts {
        &self.inner.facts
    }

    /// How many events a webhook has in one of its turns.
    pub(super) fn weigh(&self, webhook: Uuid, weight: u32) {
        self.inner.room.weights.set(webhook, weight);
    }

    /// Follows a change; keys are none of their business.
    pub(super) fn apply(&self, change: &Change) {
        match change {
            Change::Destination(record) => self.put(record),
            Change::DestinationGone(id) => self.end(*id),
            Change::Webhook(webhook) => self.weigh(webhook.id, webhook.weight),
            Change::WebhookGone(id) => self.weigh(*id, 1),
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
                let destination = destination.led(ground.detour.as_ref());
                let state = State::new(
                    &destination,
                    Arc::clone(&self.inner.facts),
                    ground.telemetry.notes(),
                );
                let destination = Arc::new(destination);
                let wanted = match (record.flag("enabled"), record.flag("hold")) {
                    (false, _) => Wanted::Nothing(destination),
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
            let mut shown = lock(&post.state);
            state.told_as(&shown);
            *shown = state;
            drop(shown);
            post.want(wanted);
            return;
        }
        let Some(workspace) = record.workspace else { return };
        let (signal, _) = channel::channel(Signal::default());
        let scope = (record.account, workspace);
        let (wanted, state) = (Mutex::new(wanted), Mutex::new(state));
        let bell = Arc::default();
        let post = Arc::new(Post {
            record: record.id,
            scope,
            bell,
            is_called: AtomicBool::new(false),
            opened: AtomicU64::new(0),
            wanted,
            state,
            signal,
        });
        // Now, and not when its task runs: the dispatcher may have gone on by then.
        let is_off = matches!(&*lock(&post.wanted), Wanted::Nothing(_));
        // What waits for one that is off is counted first.
        if !is_off && let Err(fault) = self.inner.settle(&post) {
            lock(&post.state).failed(&fault.to_string(), true);
        }
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

    fn sleeper(&self, destination: &Arc<Destination>) -> Sleeper {
        let (record, scope, bell) = (self.record, self.scope, Arc::clone(&self.bell));
        Sleeper { record, scope, destination: Arc::clone(destination), bell }
    }
}

impl Inner {
    /// Gives a record the place that is wanted for it; the destination, if it has something to do there.
    fn settle(&self, post: &Post) -> Result<Option<Arc<Destination>>, ForwardError> {
        let wanted = lock(&post.wanted).clone();
        let dispatch = &self.dispatch;
        match wanted {
            Wanted::End | Wanted::Nothing(_) => {
                dispatch.leave(post.scope, post.record, None);
                Ok(None)
            }
            Wanted::Hold(destination) => {
                dispatch.enroll(post.scope, post.record)?;
                dispatch.rouse(post.scope, post.record, destination.on_full);
                Ok(None)
            }
            Wanted::Lane(destination) => {
                dispatch.enroll(post.scope, post.record)?;
                let sleeps = dispatch.lie_down(&post.sleeper(&destination));
                Ok((!sleeps).then_some(destination))
            }
        }
    }

    /// Lets go of the place of one that is off, and counts what waited there for it: nobody will send that. May be
    /// dropped at any await: the place stays then.
    async fn let_go(&self, post: &Post) {
        let Self { ground, dispatch, seats, .. } = self;
        let Wanted::Nothing(destination) = lock(&post.wanted).clone() else { return };
        if !ground.spool.stands(&track_of(post.record)) {
            return;
        }
        let until = Instant::now() + COUNT_MAX;
        let mut seat = seats.one();
        // Without a turn in time all of it counts.
        if tokio::time::timeout_at(until, seat.take()).await.is_err() {
            return;
        }
        if dispatch.enroll(post.scope, post.record).is_err() {
            return;
        }
        let done = ground.shelf.holes(post.record).await.ok().flatten();
        let done = done.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let mut woken = Woken::new(&ground.spool, dispatch, seats, post.sleeper(&destination));
        let mut frames = 0;
        loop {
            let Ok((next, more)) = woken.count(&done, until).await else { return };
            frames += more;
            let counted = Counted { next, frames, is_over: Instant::now() >= until };
            if dispatch.leave(post.scope, post.record, Some(counted)) {
                return;
            }
        }
    }

    /// Where no order is kept, what lies behind another waits no longer.
    async fn set_free(&self, post: &Post) {
        let Wanted::Lane(destination) = lock(&post.wanted).clone() else { return };
        if destination.options.manner.ordering() == Ordered::Free
            && let Err(fault) = self.ground.shelf.set_free(post.record).await
        {
            let destination = destination.name();
            tracing::warn!(destination, %fault, "what lies behind a parked event waits still");
        }
    }

    /// Delivers until something is changed, or nothing is left to do.
    async fn deliver(
        &self,
        post: &Post,
        destination: &Arc<Destination>,
        state: &Arc<State>,
        changed: u64,
    ) -> Result<(), ForwardError> {
        let Self { ground, dispatch, seats, .. } = self;
        let mut seat = seats.one();
        let mut told = post.signal.subscribe();
        tokio::select! {
            _ = told.wait_for(|signal| signal.ends(changed)) => return Ok(()),
            () = seat.take() => {}
        }
        let mut woken = Woken::new(&ground.spool, dispatch, seats, post.sleeper(destination));
        // Many have nothing to send: they need no sink for that, and leave their turn soon.
        if !post.is_called.swap(false, Ordering::Relaxed) {
            tokio::select! {
                _ = told.wait_for(|signal| signal.ends(changed)) => return Ok(()),
                found = woken.seek() => if !found? { return Ok(()) },
            }
        }
        let source = (Source::Woken(Box::new(woken)), seat);
        let (state, signal) = (Arc::clone(state), (told, changed));
        let mut lane =
            Lane::open(destination, (ground, &self.room), source, state, self.tempo, signal)?;
        if post.opened.swap(changed, Ordering::Relaxed) != changed {
            lane.try_at_once();
        }
        lane.run().await;
        Ok(())
    }
}

/// Does what is wanted of one record's lane until the gateway stops or the record is gone.
async fn keep(inner: Arc<Inner>, post: Arc<Post>) {
    let mut told = post.signal.subscribe();
    let mut freed = None;
    loop {
        // Before what is wanted: a change in between is seen again.
        let Signal { stop, changed, .. } = *told.borrow_and_update();
        if stop {
            return;
        }
        let is_news = |signal: &Signal| signal.stop || signal.changed != changed;
        let state = Arc::clone(&lock(&post.state));
        tokio::select! {
            biased;
            // What is wanted is another thing by now, or nothing.
            _ = told.wait_for(is_news) => continue,
            () = inner.let_go(&post) => {}
        }
        // Nobody has anything of it in hand now.
        if freed != Some(changed) {
            inner.set_free(&post).await;
            freed = Some(changed);
        }
        let done = match inner.settle(&post) {
            // Only while there is something to do its state takes room.
            Ok(Some(destination)) => {
                Box::pin(inner.deliver(&post, &destination, &state, changed)).await
            }
            settled => settled.map(drop),
        };
        if matches!(&*lock(&post.wanted), Wanted::End) {
            return forget(&inner, &post).await;
        }
        let wanted = lock(&post.wanted).clone();
        let shelf = &inner.ground.shelf;
        if matches!(wanted, Wanted::Nothing(_)) {
            // Where it begins another time, it begins with everything, and has failed at nothing.
            let _ = shelf.take_holes(post.record).await;
            let _ = shelf.set_failing(post.record, None).await;
        } else if matches!(wanted, Wanted::Hold(_)) {
            let _ = hold_failing(shelf, post.record).await;
        }
        match done {
            Ok(()) => tokio::select! {
                _ = told.wait_for(is_news) => {}
                () = post.bell.notified() => {}
            },
            Err(fault) => {
                state.failed(&fault.to_string(), true);
                let wait = slow(&inner.tempo, fastrand::f64());
                let _ = tokio::time::timeout(wait, told.wait_for(is_news)).await;
            }
        }
        let wanted = lock(&post.wanted).clone();
        if let Wanted::Lane(destination) | Wanted::Hold(destination) = wanted {
            inner.dispatch.rouse(post.scope, post.record, destination.on_full);
        }
    }
}

/// Leaves nothing of a record's lane behind.
async fn forget(inner: &Inner, post: &Post) {
    let (ground, record) = (&inner.ground, post.record);
    ground.telemetry.notes().forget(record);
    inner.dispatch.leave(post.scope, record, None);
    ground.spool.forget_losses(&track_of(record));
    if let Err(fault) = Ledger::remove(&ground.data, &record.to_string()) {
        tracing::warn!(%record, %fault, "the pace of a destination that is gone stays");
    }
    if let Err(fault) = ground.shelf.forget(record).await {
        tracing::warn!(%record, %fault, "the parked events of a destination that is gone stay");
    }
}
