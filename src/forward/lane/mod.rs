//! One destination's way: read, pace, send, and on failure wait, split or park. In: frames from its own cursor. Out:
//! every event taken or parked, in order, before the cursor moves past it. Waits for nobody but its destination, and
//! while it waits for long, holds nothing in hand.

mod aside;
mod batch;
mod confirm;
mod rules;
pub(super) mod source;
pub(in crate::forward) mod state;
mod tail;
mod window;

use std::collections::HashSet;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch::Receiver;
use tokio::time::sleep;

use self::aside::{Blocked, UNKEPT};
use self::confirm::LOSSES_MAX;
use self::source::{Most, Source};
use self::state::State;
use self::tail::Tail;
use super::backoff::{Backoff, Tempo, slow};
use super::dispatch::Seat;
use super::ledger::Ledger;
use super::load::Load;
use super::notice::Notices;
use super::pace::LanePace;
use super::sinks::{Bounds, Fault, Refusal, Sink};
use super::{Destination, ForwardError, Ground, Signal};
use crate::clock::Time;
use crate::id::Uuid;
use crate::limit::Pass;
use crate::shelf::Shelf;
use crate::telemetry::forward::Outcome;
use crate::telemetry::notes::Notes;

/// So many events refused one after the other, and none taken between: it is not the events.
const REFUSED_IN_A_ROW_MAX: u32 = 100;

/// From so long a wait on, others have this lane's turn.
const REST_MIN: Duration = Duration::from_secs(1);

/// The gateway stops, the destination is another one by now, or the lane sleeps; it ends.
struct Stopped;

/// One destination and its reader.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Lane {
    destination: Destination,
    source: Source,
    seat: Seat,
    /// How long it reads and sends nothing.
    rest: Option<Duration>,
    /// The last frame of what was in hand then.
    last: Option<u64>,
    sink: Sink,
    pace: LanePace,
    backoff: Backoff,
    shelf: Shelf,
    /// What stands for the destination there.
    id: Uuid,
    notes: Arc<Notes>,
    blocked: Blocked,
    /// Rises when something there may go out again.
    news: Receiver<u64>,
    /// Something there may go out again.
    calls: bool,
    state: Arc<State>,
    notices: Notices,
    tempo: Tempo,
    signal: Receiver<Signal>,
    /// The [`Signal::changed`] that it is made of: with another one it ends.
    changed: u64,
    /// The newest [`Signal::reopened`] that was followed.
    reopened: u64,
    refused_in_a_row: u32,
    /// Since when the destination takes nothing, and whether that is kept.
    failing_since: Option<(Time, bool)>,
    /// An event told that the destination is down.
    told_failing: bool,
    /// The destination is asked whether it keeps what it has acknowledged.
    confirms: bool,
    tail: Tail,
    asked: Instant,
    /// A failure may have cost what was acknowledged before it: nothing is sent before that is known.
    is_in_doubt: bool,
    /// So often in a row the oldest batch was not kept.
    losses: u32,
    /// Acknowledged again and again, never kept: to be parked.
    unkept: HashSet<Uuid>,
}

impl Lane {
    /// Opens sink and parked events; sends nothing yet.
    pub(super) fn open(
        destination: &Destination,
        ground: &Ground,
        (source, seat): (Source, Seat),
        state: Arc<State>,
        tempo: Tempo,
        (signal, changed): (Receiver<Signal>, u64),
    ) -> Result<Self, ForwardError> {
        let sink = Sink::new(destination, &ground.clock, tempo.deadline)?;
        let shelf = ground.shelf.clone();
        let pacing = destination.pacing;
        let ledger = if pacing.is_empty() {
            None
        } else {
            let opened = Ledger::open(&ground.data, &destination.key(), &ground.clock);
            let note = |fault: &std::io::Error| {
                let destination = destination.name();
                tracing::warn!(destination, %fault, "a restart will give its pace anew");
            };
            opened.inspect_err(note).ok()
        };
        let Signal { reopened, .. } = *signal.borrow();
        Ok(Self {
            destination: destination.clone(),
            source,
            seat,
            rest: None,
            last: None,
            sink,
            pace: LanePace::new(pacing, ledger),
            backoff: Backoff::default(),
            news: shelf.news(),
            shelf,
            id: destination.id(),
            notes: ground.telemetry.notes(),
            blocked: Blocked::default(),
            // What was called up before the last stop still is.
            calls: true,
            state,
            notices: Notices::of(ground),
            tempo,
            signal,
            changed,
            reopened,
            refused_in_a_row: 0,
            failing_since: None,
            told_failing: false,
            confirms: destination.confirms,
            tail: Tail::default(),
            asked: Instant::now(),
            is_in_doubt: false,
            losses: 0,
            unkept: HashSet::new(),
        })
    }

    /// Delivers until the gateway stops, the destination is changed, or it sleeps.
    pub(super) async fn run(mut self) {
        self.recall_failing().await;
        if self.recall().await.is_ok() {
            while self.go_round().await.is_ok() && self.take_rest().await.is_ok() {}
        }
    }

    /// Waits with nothing in hand, if that was called for.
    async fn take_rest(&mut self) -> Result<(), Stopped> {
        let Some(wait) = self.rest.take() else { return Ok(()) };
        if wait >= REST_MIN {
            self.seat.leave();
            // What was acknowledged and is not confirmed is not to be read again.
            if self.tail.is_empty() {
                self.source.rest();
            }
        }
        self.wait_for_news(wait).await
    }

    /// One look into the spool, and all that was there.
    async fn go_round(&mut self) -> Result<(), Stopped> {
        let question = self.question();
        if self.must_ask() || question.is_some_and(|due| due <= Instant::now()) {
            let wait = question.map(|due| due.saturating_duration_since(Instant::now()));
            if let Some(wait) = wait.filter(|_| !self.is_in_doubt) {
                self.pause(wait).await?;
            }
            return self.confirm().await;
        }
        if self.calls || self.news.has_changed().unwrap_or(false) {
            return self.carry_shelved().await;
        }
        let bounds = self.sink.bounds();
        let started = Instant::now();
        let (source, news, idle) = (&mut self.source, &mut self.news, self.tempo.idle);
        let Bounds { frames, frame_bytes: bytes, .. } = bounds;
        let most = Most { frames, bytes, last: self.last };
        let next = async {
            tokio::select! {
                next = source.next(most, &mut self.seat, idle) => Some(next),
                // Should nobody be left who could call something up, frames still come.
                Ok(()) = news.changed() => None,
            }
        };
        let next = before(question, next);
        let woken = unless_stopped(&mut self.signal, self.changed, next).await?;
        let mut load = match woken {
            None => return Ok(()),
            Some(None) => {
                self.calls = true;
                return Ok(());
            }
            Some(Some(Ok(None))) => return Err(Stopped),
            Some(Some(Ok(Some(kept)))) => Load::new(kept, |kept, event| self.wants(kept, event)),
            Some(Some(Err(fault))) => {
                self.source.rewind();
                self.state.failed(&fault.to_string(), false);
                let wait = self.backoff.wait(&self.tempo, fastrand::f64());
                return self.pause(wait).await;
            }
        };
        if !self.lay_behind(&mut load).await? {
            self.source.rewind();
            return Ok(());
        }
        self.carry(&load).await?;
        let is_full =
            load.frames().len() >= bounds.frames || load.bytes() >= bounds.frame_bytes / 2;
        // Where each event goes alone, none waits for others to go with.
        let linger = if bounds.events > 1 { self.tempo.linger } else { Duration::ZERO };
        let linger = linger.max(self.sink.gather());
        let busy = linger.saturating_sub(started.elapsed());
        if is_full || busy.is_zero() { Ok(()) } else { self.pause(busy).await }
    }

    /// Sends everything in hand, batch by batch.
    async fn carry(&mut self, load: &Load) -> Result<(), Stopped> {
        let bounds = self.sink.bounds();
        let mut at = 0;
        while at < load.len() {
            let most = load.cut(at, bounds.events, bounds.bytes);
            let mut end = at;
            let mut bad = None;
            // What is sent instead of events may be larger than they are.
            let mut bytes = 0;
            while end < most && bytes < bounds.bytes && bad.is_none() {
                match self.check(load, end) {
                    Ok(()) => {
                        bytes += load.size(end);
                        end += 1;
                    }
                    Err(refusal) => bad = Some(refusal),
                }
            }
            if at < end && !self.deliver(load, at..end).await? {
                // The cursor stands in front of what is left; it comes again, and more behind it. In doubt, once it is
                // known where the cursor belongs.
                if !self.is_in_doubt {
                    self.source.rewind();
                }
                return Ok(());
            }
            if let Some((reason, attempts)) = bad {
                let refusal = Refusal { reason, answer: String::new() };
                if !self.park(load, end, refusal, attempts).await? {
                    self.source.rewind();
                    return Ok(());
                }
                end += 1;
                self.release(load, end);
            }
            at = end;
        }
        self.release(load, load.len());
        Ok(())
    }

    /// Whether an event may be sent, or must be parked at once: why, and how often it went out.
    fn check(&mut self, load: &Load, place: usize) -> Result<(), (String, u32)> {
        if !self.unkept.is_empty() && self.unkept.remove(&load.at(place).1.id) {
            return Err((UNKEPT.into(), LOSSES_MAX));
        }
        self.reshape(load, place)
            .and_then(|()| self.sink.check(load, place))
            .map_err(|why| (why, 0))
    }

    /// Everything before `end` is done with, once what was acknowledged is kept.
    fn release(&mut self, load: &Load, end: usize) {
        if !load.is_shelved()
            && let Some(sequence) = load.done(end)
            && !self.tail.mark(sequence)
        {
            self.source.release(sequence);
        }
    }

    /// Waits until at least the first event of a range may go; how many may.
    async fn pass(&mut self, load: &Load, range: Range<usize>) -> Result<usize, Stopped> {
        let bytes = |count: usize| load.weight(range.start..range.start + count);
        loop {
            match self.pace.ask(range.len(), bytes) {
                Pass::Now(count) => return Ok(count),
                Pass::In(wait) => self.pause(wait).await?,
            }
        }
    }

    /// Events arrived; `false`: the destination does not say that it keeps those from the shelf.
    async fn taken(&mut self, load: &Load, range: Range<usize>) -> Result<bool, Stopped> {
        self.backoff.reset();
        if load.is_shelved() {
            if !self.unshelve(load, range.clone()).await? {
                return Ok(false);
            }
            self.refused_in_a_row = 0;
        } else if self.confirms {
            self.acknowledged(range.clone().map(|place| load.at(place).1.id).collect());
        } else {
            self.refused_in_a_row = 0;
        }
        self.state.went_well();
        self.note_working().await;
        if std::mem::take(&mut self.told_failing) {
            self.notices.recovered(&self.state).await;
        }
        let facts = &self.state.facts;
        facts.attempted(Outcome::Taken);
        facts.delivered(range.len() as u64);
        let now = self.notices.clock().now().micros();
        for kept in load.ending_in(range) {
            let micros = now.saturating_sub(kept.received.micros());
            facts.waited(Duration::from_micros(u64::try_from(micros).unwrap_or(0)));
        }
        Ok(true)
    }

    /// Waits after a failure, as long as it deserves.
    async fn wait_after(&mut self, fault: &Fault) -> Result<(), Stopped> {
        let wait = self.note_failure(fault).await;
        self.wait_for_news(wait).await
    }

    /// Something failed; how long a wait that deserves.
    async fn note_failure(&mut self, fault: &Fault) -> Duration {
        self.state.facts.attempted(fault.outcome);
        self.state.failed(&fault.what, fault.is_lasting);
        let chance = fastrand::f64();
        let own = self.backoff.wait(&self.tempo, chance);
        let own = if fault.is_lasting { slow(&self.tempo, chance) } else { own };
        let wait = fault.after.map_or(own, |asked| asked.max(own));
        let is_down = fault.is_lasting || self.backoff.is_open();
        self.note_failing(is_down).await;
        if !self.told_failing && is_down {
            self.told_failing = self.notices.failing(&self.state, &fault.what).await;
        }
        wait
    }

    async fn pause(&mut self, wait: Duration) -> Result<(), Stopped> {
        unless_stopped(&mut self.signal, self.changed, sleep(wait)).await
    }

    /// Waits, but not any more once the operator wants everything opened anew.
    async fn wait_for_news(&mut self, wait: Duration) -> Result<(), Stopped> {
        let (changed, reopened) = (self.changed, self.reopened);
        let news = |signal: &Signal| signal.ends(changed) || signal.reopened != reopened;
        tokio::select! {
            _ = self.signal.wait_for(news) => {}
            () = sleep(wait) => {}
        }
        self.follow_signal()
    }

    /// Does what was told meanwhile.
    fn follow_signal(&mut self) -> Result<(), Stopped> {
        let signal = *self.signal.borrow_and_update();
        if signal.reopened != self.reopened {
            self.reopened = signal.reopened;
            self.sink.reopen();
        }
        if signal.ends(self.changed) || self.signal.has_changed().is_err() {
            Err(Stopped)
        } else {
            Ok(())
        }
    }
}

/// Lets something go on until it is ready or a moment has come.
async fn before<T>(moment: Option<Instant>, work: impl Future<Output = T>) -> Option<T> {
    match moment {
        None => Some(work.await),
        Some(moment) => tokio::time::timeout_at(moment.into(), work).await.ok(),
    }
}

/// Lets something go on until it is ready or the lane is to end.
async fn unless_stopped<T>(
    signal: &mut Receiver<Signal>,
    changed: u64,
    work: impl Future<Output = T>,
) -> Result<T, Stopped> {
    tokio::select! {
        biased;
        // An error: whoever could tell is gone.
        _ = signal.wait_for(|signal| signal.ends(changed)) => Err(Stopped),
        done = work => Ok(done),
    }
}
