//! Who is woken. In: every frame, read once for all destinations of records. Out: those woken that may want one. Who
//! sleeps has no task, no reader and no place of its own: it stands where the dispatcher stands, since nothing before
//! that was for it. Who is awake reads on from its own place, up to where the dispatcher is, and sleeps again there.

mod index;
mod seats;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::watch;

use self::index::Index;
pub(super) use self::seats::{Seat, Seats};
use super::{Destination, Signal};
use crate::event::Event;
use crate::filter::Seen;
use crate::id::Uuid;
use crate::spool::{DISPATCHER, Kept, OnFull, Reader, Sight, Spool, SpoolError, Start, track_of};

/// Frames and bytes that are looked at together.
const FRAMES_MAX: usize = 1000;
const BYTES_MAX: usize = 4 << 20;

/// After frames could not be read.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// An account's workspace.
type Scope = (Uuid, Uuid);

/// One that may sleep, and how it is woken.
#[derive(Clone, Debug)]
pub(super) struct Sleeper {
    pub(super) record: Uuid,
    pub(super) scope: Scope,
    pub(super) destination: Arc<Destination>,
    pub(super) bell: Arc<Notify>,
}

/// The destinations of one workspace.
#[derive(Debug, Default)]
struct Ward {
    /// All that may ever sleep.
    enrolled: HashSet<Uuid>,
    sleeping: HashMap<Uuid, Sleeper>,
    index: Index,
}

impl Ward {
    fn lay(&mut self, sleeper: Sleeper) {
        self.index.add(sleeper.record, sleeper.destination.filter.as_ref());
        self.sleeping.insert(sleeper.record, sleeper);
    }

    fn lift(&mut self, record: Uuid) -> Option<Sleeper> {
        let sleeper = self.sleeping.remove(&record)?;
        self.index.remove(record, sleeper.destination.filter.as_ref());
        Some(sleeper)
    }

    /// Whether one of those that sleep may want an event of a frame, by its name.
    fn may_want(&self, sight: &Sight<'_>, found: &mut Vec<Uuid>) -> bool {
        let mut may = false;
        for name in sight.names() {
            // Most events are for nobody: the name says so without a look at the rest.
            match name.filter(|_| self.index.needs_name_only()) {
                Some(name) => self.index.find(name, found),
                None => return true,
            }
            may |= !found.is_empty();
            found.clear();
        }
        may
    }

    /// Those that sleep and want an event of a frame.
    fn wanting(&self, kept: &Kept, event: &Event, found: &mut Vec<Uuid>) {
        let Some(seen) = Seen::read(&event.json) else { return };
        self.index.find(&seen.name(), found);
        if !self.index.needs_name_only() {
            self.index.find_resource(&seen.resource().id(), found);
        }
        let wants = |id: &Uuid| {
            self.sleeping.get(id).is_some_and(|sleeper| sleeper.destination.may_want(kept, &seen))
        };
        found.retain(wants);
    }
}

#[derive(Debug, Default)]
struct State {
    wards: HashMap<Scope, Ward>,
    /// The next frame that is looked at.
    place: u64,
    /// What reads, once there is somebody to wake and until the task has taken it.
    reader: Option<Reader>,
    is_reading: bool,
}

impl State {
    /// The reader at hand is not wanted any more; another one begins elsewhere.
    fn is_called_off(&self) -> bool {
        !self.is_reading || self.reader.is_some()
    }
}

/// The dispatcher, for those that sleep and for its task.
#[derive(Debug)]
pub(super) struct Dispatch {
    spool: Spool,
    state: Mutex<State>,
    /// Where it stands, for those that are awake.
    progress: watch::Sender<u64>,
    /// Somebody came, or the last one went.
    news: Notify,
}

/// What waited for one that is off.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    /// Up to where it was counted.
    pub(super) next: u64,
    /// Frames with something for it, up to there: what follows counts whole.
    pub(super) frames: u64,
    /// Whether there is no time for more.
    pub(super) is_over: bool,
}

impl Dispatch {
    pub(super) fn new(spool: &Spool) -> Self {
        let (progress, _) = watch::channel(0);
        let (state, news) = (Mutex::default(), Notify::new());
        Self { spool: spool.clone(), state, progress, news }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it stands; rises.
    pub(super) fn progress(&self) -> watch::Receiver<u64> {
        self.progress.subscribe()
    }

    /// A record may sleep from now on. With the first one the dispatcher begins where it was, or now.
    ///
    /// # Errors
    /// When the spool is closed.
    pub(super) fn enroll(&self, scope: Scope, record: Uuid) -> Result<(), SpoolError> {
        let mut state = self.lock();
        if !state.is_reading {
            // Places that are lost may have been anywhere.
            let lost = self.spool.has_lost_places();
            let next = if lost { 0 } else { self.spool.status().durable + 1 };
            self.spool.stand(DISPATCHER, OnFull::Hold, next);
            let reader = self.spool.reader_from(DISPATCHER, OnFull::Hold, Start::Now)?;
            state.place = reader.position();
            self.progress.send_replace(state.place);
            (state.reader, state.is_reading) = (Some(reader), true);
            self.news.notify_one();
        }
        state.wards.entry(scope).or_default().enrolled.insert(record);
        Ok(())
    }

    /// A record is gone, or off: it has no place any more, and loses what waited, as far as somebody counted that. With
    /// the last one the dispatcher ends. `false`: there is more to count by now.
    pub(super) fn leave(&self, scope: Scope, record: Uuid, counted: Option<Counted>) -> bool {
        let mut state = self.lock();
        let goes_on = |counted: Counted| !counted.is_over && counted.next < state.place;
        if state.is_reading && counted.is_some_and(goes_on) {
            return false;
        }
        if let Some(ward) = state.wards.get_mut(&scope) {
            ward.lift(record);
            ward.enrolled.remove(&record);
            if ward.enrolled.is_empty() {
                state.wards.remove(&scope);
            }
        }
        // What the dispatcher has not looked at may still be for it, once it is on again, unless it begins anew then.
        let last = if state.is_reading && !state.wards.is_empty() {
            state.place.saturating_sub(1)
        } else {
            self.spool.status().durable
        };
        let told = |Counted { next, frames, .. }: Counted| frames + (last + 1).saturating_sub(next);
        self.spool.let_go(&track_of(record), last, counted.map(told));
        if state.wards.is_empty() && state.is_reading {
            (state.reader, state.is_reading) = (None, false);
            self.spool.forget(DISPATCHER);
            self.news.notify_one();
        }
        true
    }

    /// Lets one sleep that has no place of its own. `false`: it has one.
    pub(super) fn lie_down(&self, sleeper: &Sleeper) -> bool {
        let mut state = self.lock();
        let track = track_of(sleeper.record);
        let Some(ward) = state.wards.get_mut(&sleeper.scope) else { return false };
        if self.spool.stands(&track) {
            return false;
        }
        if !ward.sleeping.contains_key(&sleeper.record) {
            ward.lay(sleeper.clone());
        }
        true
    }

    /// Lets one sleep that is done with everything before `next`. `false`: there is more to read by now.
    pub(super) fn sleep(&self, sleeper: &Sleeper, next: u64) -> bool {
        let mut state = self.lock();
        if state.place != next {
            return false;
        }
        let Some(ward) = state.wards.get_mut(&sleeper.scope) else { return false };
        ward.lay(sleeper.clone());
        self.spool.forget(&track_of(sleeper.record));
        true
    }

    /// Gives one that sleeps its own place again: it is read from there on. One that is awake has it.
    pub(super) fn rouse(&self, scope: Scope, record: Uuid, on_full: OnFull) {
        let mut state = self.lock();
        let place = state.place;
        if let Some(ward) = state.wards.get_mut(&scope)
            && ward.enrolled.contains(&record)
        {
            ward.lift(record);
            self.spool.stand(&track_of(record), on_full, place);
        }
    }

    /// Whether a record sleeps.
    pub(super) fn is_asleep(&self, scope: Scope, record: Uuid) -> bool {
        self.lock().wards.get(&scope).is_some_and(|ward| ward.sleeping.contains_key(&record))
    }

    /// Wakes until the gateway stops.
    pub(super) async fn run(self: Arc<Self>, mut signal: watch::Receiver<Signal>) {
        let mut reader = None;
        loop {
            let ready = async {
                match &reader {
                    None => self.news.notified().await,
                    Some(reader) => tokio::select! {
                        () = self.news.notified() => {}
                        () = Reader::ready(reader) => {}
                    },
                }
            };
            tokio::select! {
                _ = signal.wait_for(|signal| signal.stop) => return,
                () = ready => {}
            }
            self.follow(&mut reader);
            let Some(reader) = &mut reader else { continue };
            if self.look(reader) {
                continue;
            }
            // It is far behind: they are read from files.
            match reader.take(FRAMES_MAX, BYTES_MAX, u64::MAX).await {
                Ok(kept) => self.pass(&kept, reader),
                Err(fault) => {
                    tracing::warn!(%fault, "nobody is woken for what comes in");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }

    /// Takes the reader that is wanted now.
    fn follow(&self, reader: &mut Option<Reader>) {
        let mut state = self.lock();
        if let Some(new) = state.reader.take() {
            *reader = Some(new);
        } else if !state.is_reading {
            *reader = None;
        }
    }

    /// Wakes those that may want something of the newest frames, and goes on behind them. Nothing is read of frames
    /// that are for nobody. `false`: they are not in memory.
    fn look(&self, reader: &mut Reader) -> bool {
        let mut state = self.lock();
        if state.is_called_off() {
            return true;
        }
        let mut found = Vec::new();
        let is_there = reader.look(|sight| {
            let (account, Some(workspace)) = sight.scope() else { return };
            let Some(ward) = state.wards.get_mut(&(account, workspace)) else { return };
            if !ward.sleeping.is_empty()
                && ward.may_want(sight, &mut found)
                && let Some(kept) = sight.kept()
            {
                wake(&self.spool, ward, &kept, &mut found);
            }
        });
        self.advance(&mut state, reader);
        is_there
    }

    /// The same of frames that were read.
    fn pass(&self, kept: &[Kept], reader: &mut Reader) {
        let mut state = self.lock();
        if state.is_called_off() {
            return;
        }
        let mut found = Vec::new();
        for kept in kept {
            let Some(workspace) = kept.workspace else { continue };
            if let Some(ward) = state.wards.get_mut(&(kept.account, workspace)) {
                wake(&self.spool, ward, kept, &mut found);
            }
        }
        self.advance(&mut state, reader);
    }

    /// After the places of those that were woken: whatever is saved in between has them.
    fn advance(&self, state: &mut State, reader: &mut Reader) {
        state.place = reader.position();
        reader.release(state.place.saturating_sub(1));
        self.progress.send_replace(state.place);
    }
}

/// Wakes those of a workspace that want an event of a frame.
fn wake(spool: &Spool, ward: &mut Ward, kept: &Kept, found: &mut Vec<Uuid>) {
    for event in &kept.events {
        ward.wanting(kept, event, found);
        for record in found.drain(..) {
            let Some(sleeper) = ward.lift(record) else { continue };
            spool.stand(&track_of(record), sleeper.destination.on_full, kept.sequence);
            sleeper.bell.notify_one();
        }
    }
}
