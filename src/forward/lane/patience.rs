//! How long a destination may take nothing before what waits for it is set aside. In: failures and successes. Out:
//! since when, how often, until when nothing is tried, and whether that was told, kept over restarts and changes of the
//! destination; and events that waited longer than the window, parked.

use std::time::Duration;

use tokio::time::Instant;

use super::{Lane, Stopped};
use crate::clock::Time;
use crate::forward::load::Load;
use crate::forward::sinks::{Fault, Refusal};
use crate::id::Uuid;
use crate::shelf::{self, Shelf, ShelfError};

/// A shorter wait is over before a restart is.
const KEPT_MIN: Duration = Duration::from_secs(1);

/// How the destination fails.
#[derive(Debug, Default)]
pub(super) struct Failing {
    /// Since when it takes nothing.
    since: Option<Since>,
    /// An event told that it is down.
    is_told: bool,
    /// It is kept that it fails, and how.
    kept: Option<Kept>,
}

/// A moment, and how long ago it is by a clock that nobody sets: one that jumps ahead parks nothing.
#[derive(Clone, Copy, Debug)]
struct Since {
    moment: Time,
    /// How long ago it was when it was learnt.
    before: Duration,
    learnt: Instant,
}

impl Since {
    fn new(moment: Time, now: Time) -> Self {
        Self { moment, before: between(moment, now), learnt: Instant::now() }
    }

    /// For how long something that was received then has waited for this to end.
    fn waited(&self, received: Time, now: Time) -> Duration {
        between(self.moment.max(received), now).min(self.before + self.learnt.elapsed())
    }
}

fn between(earlier: Time, later: Time) -> Duration {
    let micros = later.micros().saturating_sub(earlier.micros());
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// What of it is kept: nothing is written before that is another.
#[derive(Clone, Copy, Debug)]
struct Kept {
    is_down: bool,
    is_told: bool,
    /// Nothing is tried before.
    next: Time,
}

/// A destination is held, or begins to be: how long it took nothing before says nothing once it goes on, whenever that
/// is. That it failed, and whether that was told, is still known.
pub(in crate::forward) async fn hold_failing(shelf: &Shelf, id: Uuid) -> Result<(), ShelfError> {
    let Some(failing) = shelf.failing(id).await? else { return Ok(()) };
    let since = Time::from_micros(i64::MAX);
    if failing.since == since {
        return Ok(());
    }
    shelf.set_failing(id, Some(shelf::Failing { since, ..failing })).await
}

impl Lane {
    /// The destination is another one by now: what it failed for may be mended, and is tried without a wait.
    pub(in crate::forward) fn try_at_once(&mut self) {
        self.tries_at_once = true;
        self.pace.reopen();
    }

    /// How it failed before the last stop or change, if it did: the next attempt is when it would have been.
    pub(super) async fn recall_failing(&mut self) {
        if self.pace.is_anothers() {
            self.try_at_once();
        }
        let Ok(Some(kept)) = self.shelf.failing(self.id).await else { return };
        let shelf::Failing { since: first, failures, next, wait: most, is_told } = kept;
        self.backoff.recall(failures, is_told);
        let is_down = self.backoff.is_open();
        // Held meanwhile, it begins anew, and that is to be kept.
        let now = self.notices.clock().now();
        let since = first.min(now);
        let kept = (first == since).then_some(Kept { is_down, is_told, next });
        self.failing = Failing { since: Some(Since::new(since, now)), is_told, kept };
        self.state.failed(&format!("it has taken nothing since {since}"), false);
        let wait = between(now, next);
        if !wait.is_zero() && !self.tries_at_once {
            self.rest = Some(wait.min(most));
        }
    }

    /// An attempt failed, and so long nothing is tried. Kept once the destination counts as down or the wait is long,
    /// and again when that changes, or when it asked for a wait that is none of our own: each time costs a sync.
    pub(super) async fn note_failing(&mut self, fault: &Fault, is_down: bool, wait: Duration) {
        let now = self.notices.clock().now();
        let since = self.failing.since.get_or_insert_with(|| Since::new(now, now)).moment;
        if is_down && !self.failing.is_told {
            self.failing.is_told = self.notices.failing(&self.state, &fault.what).await;
        }
        let is_told = self.failing.is_told;
        let micros = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
        let next = Time::from_micros(now.micros().saturating_add(micros));
        let is_down = is_down || self.failing.kept.is_some_and(|kept| kept.is_down);
        let is_news = match self.failing.kept {
            None => is_down || wait >= KEPT_MIN,
            // A wait that was kept and is cut short would come back with a restart.
            Some(kept) => (kept.is_down, kept.is_told) != (is_down, is_told) || kept.next > next,
        };
        let is_asked = wait >= KEPT_MIN && wait > self.tempo.most.max(self.tempo.slow);
        if !is_news && !is_asked {
            return;
        }
        let failures = self.backoff.failures();
        let failing = shelf::Failing { since, failures, next, wait, is_told };
        if self.shelf.set_failing(self.id, Some(failing)).await.is_ok() {
            self.failing.kept = Some(Kept { is_down, is_told, next });
            self.pace.keep_address();
        }
    }

    /// Something was taken.
    pub(super) async fn note_working(&mut self) {
        let Failing { is_told, kept, .. } = std::mem::take(&mut self.failing);
        if is_told {
            self.notices.recovered(&self.state).await;
        }
        if kept.is_some()
            && let Err(fault) = self.shelf.set_failing(self.id, None).await
        {
            let destination = &self.state.name;
            tracing::debug!(destination, %fault, "that a destination works again is not kept");
        }
    }

    /// Sets events of a range aside, from its front on, that waited longer than the window while nothing was taken;
    /// how many, or nothing when there was no room.
    pub(super) async fn park_overdue(
        &mut self,
        load: &Load,
        range: std::ops::Range<usize>,
        fault: &Fault,
        attempts: u32,
    ) -> Result<Option<usize>, Stopped> {
        let mut count = 0;
        for place in range {
            if !self.is_overdue(load.at(place).0.received) {
                break;
            }
            let reason = match self.tempo.window.as_secs() {
                seconds if seconds % 3600 == 0 => format!("{} hours", seconds / 3600),
                seconds => format!("{seconds} seconds"),
            };
            let reason = format!("not delivered within {reason}: {}", fault.what);
            let refusal = Refusal::new(reason, "");
            if !self.park(load, place, refusal, attempts).await? {
                return Ok(None);
            }
            count += 1;
        }
        Ok(Some(count))
    }

    /// Whether the destination has taken nothing for longer than the window.
    pub(super) fn is_past_window(&self) -> bool {
        self.is_overdue(Time::from_micros(i64::MIN))
    }

    fn is_overdue(&self, received: Time) -> bool {
        let Some(since) = self.failing.since else { return false };
        since.waited(received, self.notices.clock().now()) >= self.tempo.window
    }
}
