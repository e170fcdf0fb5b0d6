//! How a lane stands, as others may see it. In: what the lane met. Out: its status, and one log line when that
//! changes: never one for each attempt.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::hearing::Hearing;
use crate::forward::destination::Owner;
use crate::forward::trail::Trail;
use crate::forward::{Destination, Status};
use crate::id::Uuid;
use crate::spool::{DISPATCHER, Lag, Spool};
use crate::telemetry::forward::LaneFacts;
use crate::telemetry::notes::Notes;

/// What an event may say of a lane more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::forward) enum Told {
    Held,
    Failing,
}

/// How far readers are behind, and what each has lost.
#[derive(Debug)]
pub(in crate::forward) struct Lags {
    places: HashMap<String, Lag>,
    lost: HashMap<String, u64>,
}

impl Lags {
    pub(in crate::forward) fn of(spool: &Spool) -> Self {
        Self { places: spool.lags().into_iter().collect(), lost: spool.lost() }
    }

    /// What each reader has lost.
    pub(in crate::forward) fn lost(&self) -> &HashMap<String, u64> {
        &self.lost
    }
}

/// Shared between a lane, the watch and whoever asks.
#[derive(Debug)]
pub(in crate::forward) struct State {
    pub(in crate::forward) name: String,
    /// What stands for the name where an id is needed.
    pub(in crate::forward) key: String,
    /// What its reader is called.
    pub(in crate::forward) track: String,
    pub(in crate::forward) owner: Owner,
    pub(in crate::forward) facts: Arc<LaneFacts>,
    /// Its record, or what stands for one, and where words about it are kept.
    note: (Uuid, Arc<Notes>),
    parked: AtomicU64,
    /// The lane before ended with nothing on its way, and nothing unknown; or there was none.
    is_sure: AtomicBool,
    /// It says what it keeps.
    has_answered: AtomicBool,
    health: Mutex<Health>,
}

#[derive(Debug, Default)]
struct Health {
    /// When events last said that the lane is held, and that it fails.
    told: [Option<Instant>; 2],
    is_failing: bool,
    fault: Option<String>,
    /// As it was when the lane slept in.
    hearing: Hearing,
}

impl State {
    pub(in crate::forward) fn new(
        destination: &Destination,
        facts: Arc<LaneFacts>,
        notes: Arc<Notes>,
    ) -> Self {
        Self {
            name: destination.name().to_owned(),
            key: destination.key(),
            track: destination.track(),
            owner: destination.owner,
            facts,
            note: (destination.id(), notes),
            parked: AtomicU64::new(0),
            is_sure: AtomicBool::new(false),
            has_answered: AtomicBool::new(false),
            health: Mutex::default(),
        }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An attempt failed, or the lane cannot go on for another reason.
    pub(in crate::forward) fn failed(&self, what: &str, is_lasting: bool) {
        self.failed_with(what, is_lasting, None);
    }

    /// The same, with the one event that was tried.
    pub(super) fn failed_with(&self, what: &str, is_lasting: bool, trail: Option<Trail>) {
        let mut health = self.health();
        let is_news = !health.is_failing || health.fault.as_deref() != Some(what);
        health.is_failing = true;
        self.facts.fails(true);
        if !is_news {
            return;
        }
        health.fault = Some(what.to_owned());
        self.note.1.fails(self.note.0, what);
        let (destination, fault) = (&self.name, what);
        let (event_id, request_id) = trail.map(Trail::texts).unzip();
        let request_id = request_id.flatten();
        if is_lasting {
            let what = "delivery stands still: look at it";
            tracing::error!(destination, event_id, request_id, fault, "{what}");
        } else {
            let what = "delivery failed; it is tried again";
            tracing::warn!(destination, event_id, request_id, fault, "{what}");
        }
    }

    /// An attempt went well.
    pub(super) fn went_well(&self) {
        let mut health = self.health();
        self.note.1.goes_well(self.note.0);
        if std::mem::take(&mut health.is_failing) {
            self.facts.fails(false);
            tracing::info!(destination = self.name, "delivery goes on");
        }
    }

    /// It sleeps, and nothing is to be sent: how the last attempt went says nothing. Whether all that it sent is known
    /// to be kept.
    pub(super) fn sleeps(&self, is_sure: bool, hearing: Hearing) {
        self.is_sure.store(is_sure, Ordering::Relaxed);
        self.health().hearing = hearing;
        self.note.1.goes_well(self.note.0);
        if std::mem::take(&mut self.health().is_failing) {
            self.facts.fails(false);
        }
    }

    /// No lane has ever sent something.
    pub(in crate::forward) fn begins(&self) {
        self.is_sure.store(true, Ordering::Relaxed);
    }

    /// Another lane begins: whether all that the one before it sent is known to be kept.
    pub(super) fn wakes(&self) -> bool {
        self.is_sure.swap(false, Ordering::Relaxed)
    }

    /// Whether the destination said what it keeps when the lane before slept in.
    pub(super) fn hearing(&self) -> Hearing {
        self.health().hearing
    }

    /// The destination said what it keeps; or it is believed without that.
    pub(super) fn answers(&self, does: bool) {
        self.has_answered.store(does, Ordering::Relaxed);
    }

    /// Whether it did, the last time that was looked at.
    pub(super) fn has_answered(&self) -> bool {
        self.has_answered.load(Ordering::Relaxed)
    }

    /// Whether an event may say so of the lane: not again before `pause` is over.
    pub(in crate::forward) fn may_tell(&self, what: Told, pause: Duration) -> bool {
        let last = &mut self.health().told[what as usize];
        let may = last.is_none_or(|told| told.elapsed() >= pause);
        if may {
            *last = Some(Instant::now());
        }
        may
    }

    /// What an event said just now of the lane as it was before a change, it does not say again.
    pub(in crate::forward) fn told_as(&self, before: &Self) {
        let told = before.health().told;
        self.health().told = told;
    }

    /// So many events lie parked.
    pub(in crate::forward) fn lies_parked(&self, now: u64) {
        self.parked.store(now, Ordering::Relaxed);
        self.facts.lies_parked(now);
    }

    /// Some more events lie parked.
    pub(super) fn parked(&self, more: u64, now: u64) {
        self.parked.store(now, Ordering::Relaxed);
        self.facts.parked(more, now);
    }

    /// How far it is behind, and what it has lost; one that sleeps is where the dispatcher is.
    pub(in crate::forward) fn lag(&self, lags: &Lags) -> Lag {
        let sleeps = || lags.places.get(DISPATCHER).filter(|_| self.owner != Owner::Operator);
        let lag = lags.places.get(&self.track).or_else(sleeps).copied().unwrap_or_default();
        let dropped = lags.lost.get(&self.track).copied().unwrap_or_default();
        Lag { dropped, ..lag }
    }

    pub(in crate::forward) fn status(&self, lag: Lag) -> Status {
        let health = self.health();
        Status {
            name: self.name.clone(),
            is_operators: self.owner == Owner::Operator,
            lag,
            parked: self.parked.load(Ordering::Relaxed),
            failing: health.is_failing,
            last_fault: health.fault.clone(),
        }
    }
}
