//! One destination's way: read, pace, send, and on failure wait, split or park. In: frames from its own cursor. Out:
//! every event taken or parked, in order, before the cursor moves past it. Waits for nobody but its destination.

mod batch;
mod confirm;
pub(in crate::forward) mod state;
mod tail;

use std::collections::HashSet;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use tokio::sync::watch::Receiver;
use tokio::time::sleep;

use self::confirm::LOSSES_MAX;
use self::state::State;
use self::tail::Tail;
use super::backoff::{Backoff, Tempo, slow};
use super::destination::Owner;
use super::load::{Form, Load};
use super::notice::Notices;
use super::pace::{Pace, Pass};
use super::parked::{Parked, Shelf};
use super::sinks::{Fault, Refusal, Sink};
use super::{Destination, ForwardError, Ground, Signal};
use crate::event::Event;
use crate::id::Uuid;
use crate::json::write_str;
use crate::spool::{Kept, Reader, Start};
use crate::telemetry::forward::Outcome;

/// So many events refused one after the other, and none taken between: it is not the events.
const REFUSED_IN_A_ROW_MAX: u32 = 100;

/// The gateway stops, or the destination is another one by now; the lane ends.
struct Stopped;

/// One destination and its reader.
pub(super) struct Lane {
    destination: Destination,
    reader: Reader,
    sink: Sink,
    pace: Pace,
    backoff: Backoff,
    shelf: Option<Shelf>,
    state: Arc<State>,
    notices: Notices,
    tempo: Tempo,
    signal: Receiver<Signal>,
    /// The [`Signal::changed`] that it is made of: with another one it ends.
    changed: u64,
    /// The newest [`Signal::reopened`] that was followed.
    reopened: u64,
    refused_in_a_row: u32,
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
    /// Opens reader, sink and parked events; sends nothing yet.
    pub(super) fn open(
        destination: &Destination,
        ground: &Ground,
        state: Arc<State>,
        tempo: Tempo,
        signal: Receiver<Signal>,
    ) -> Result<Self, ForwardError> {
        let sink = Sink::new(destination, &ground.clock, tempo.deadline)?;
        let shelf = Shelf::open(&ground.data, destination)?;
        let start = match destination.owner {
            Owner::Operator => Start::Oldest,
            Owner::Workspace { .. } => Start::Now,
        };
        let reader = ground.spool.reader_from(&destination.track(), destination.on_full, start)?;
        state.lies_parked(shelf.count());
        let Signal { changed, reopened, .. } = *signal.borrow();
        Ok(Self {
            destination: destination.clone(),
            reader,
            sink,
            pace: Pace::new(destination.rate),
            backoff: Backoff::default(),
            shelf: Some(shelf),
            state,
            notices: Notices::of(ground),
            tempo,
            signal,
            changed,
            reopened,
            refused_in_a_row: 0,
            confirms: destination.confirms,
            tail: Tail::default(),
            asked: Instant::now(),
            is_in_doubt: false,
            losses: 0,
            unkept: HashSet::new(),
        })
    }

    /// Delivers until the gateway stops or the destination is changed; the cursor is saved then.
    pub(super) async fn run(mut self) {
        while self.go_round().await.is_ok() {}
        if let Err(fault) = self.reader.save() {
            let destination = &self.state.name;
            tracing::warn!(destination, %fault, "the cursor could not be saved");
        }
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
        let bounds = self.sink.bounds();
        let started = Instant::now();
        let next = self.reader.next(bounds.frames, bounds.frame_bytes);
        let next = before(question, next);
        let load = match unless_stopped(&mut self.signal, self.changed, next).await? {
            None => return Ok(()),
            Some(Ok(kept)) => {
                let wants = |kept: &Kept, event: &Event| self.destination.wants(kept, event);
                Load::new(kept, wants)
            }
            Some(Err(fault)) => {
                self.reader.rewind();
                self.state.failed(&fault.to_string(), false);
                let wait = self.backoff.wait(&self.tempo, fastrand::f64());
                return self.pause(wait).await;
            }
        };
        self.carry(&load).await?;
        let is_full =
            load.frames().len() >= bounds.frames || load.bytes() >= bounds.frame_bytes / 2;
        let busy = self.tempo.linger.saturating_sub(started.elapsed());
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
            while end < most && bad.is_none() {
                match self.check(load, end) {
                    Ok(()) => end += 1,
                    Err(refusal) => bad = Some(refusal),
                }
            }
            if at < end && !self.deliver(load, at..end).await? {
                // The cursor stands in front of what is left; it comes again, and more behind it. In doubt, once it is
                // known where the cursor belongs.
                if !self.is_in_doubt {
                    self.reader.rewind();
                }
                return Ok(());
            }
            if let Some((reason, attempts)) = bad {
                let refusal = Refusal { reason, answer: String::new() };
                self.park(load, end, refusal, attempts).await?;
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
            return Err(("acknowledged each time, and never kept".into(), LOSSES_MAX));
        }
        self.sink.check(load, place).map_err(|why| (why, 0))
    }

    /// Everything before `end` is done with, once what was acknowledged is kept.
    fn release(&mut self, load: &Load, end: usize) {
        if let Some(sequence) = load.done(end)
            && !self.tail.mark(sequence)
        {
            self.reader.release(sequence);
        }
    }

    /// Waits until at least one of `wanted` events may go; how many may.
    async fn pass(&mut self, wanted: usize) -> Result<usize, Stopped> {
        loop {
            match self.pace.ask(wanted) {
                Pass::Now(count) => return Ok(count),
                Pass::In(wait) => self.pause(wait).await?,
            }
        }
    }

    /// Events arrived.
    fn taken(&mut self, load: &Load, range: Range<usize>) {
        self.backoff.reset();
        if self.confirms {
            self.acknowledged(range.clone().map(|place| load.at(place).1.id).collect());
        } else {
            self.refused_in_a_row = 0;
        }
        self.state.went_well();
        let facts = &self.state.facts;
        facts.attempted(Outcome::Taken);
        facts.delivered(range.len() as u64);
        let now = self.notices.clock().now().micros();
        for kept in load.ending_in(range) {
            let micros = now.saturating_sub(kept.received.micros());
            facts.waited(Duration::from_micros(u64::try_from(micros).unwrap_or(0)));
        }
    }

    /// Waits after a failure, as long as it deserves.
    async fn wait_after(&mut self, fault: &Fault) -> Result<(), Stopped> {
        self.state.facts.attempted(fault.outcome);
        self.state.failed(&fault.what, fault.is_lasting);
        let chance = fastrand::f64();
        let own = self.backoff.wait(&self.tempo, chance);
        let own = if fault.is_lasting { slow(&self.tempo, chance) } else { own };
        let wait = fault.after.map_or(own, |asked| asked.max(own));
        self.wait_for_news(wait).await
    }

    /// Sets one event aside, and does not come back before it is kept.
    async fn park(
        &mut self,
        load: &Load,
        place: usize,
        refusal: Refusal,
        attempts: u32,
    ) -> Result<(), Stopped> {
        let (_, event) = load.at(place);
        let mut text = Vec::with_capacity(event.json.len() + 256);
        load.write(place, Form::Received, &mut text);
        let text = String::from_utf8_lossy(&text);
        let mut parked = Parked {
            parked: self.notices.clock().now().to_string(),
            destination: self.state.name.clone(),
            reason: refusal.reason,
            attempts,
            answer: Some(refusal.answer).filter(|answer| !answer.is_empty()),
            id: event.id,
            event: raw(&text),
        };
        loop {
            let (back, put) = self.shelve(parked).await?;
            parked = back;
            let Err(fault) = put else { break };
            self.wait_after(&Fault::lasting(Outcome::Failed, fault)).await?;
        }
        let count = self.shelf.as_ref().map_or(0, Shelf::count);
        self.state.parked(count);
        let (destination, reason) = (&self.state.name, &parked.reason);
        tracing::warn!(destination, event = %event.id, reason, "an event was parked");
        self.notices.parked(&self.state, event.id, reason, &event.json).await;
        Ok(())
    }

    /// Puts an event on the shelf, on a thread where waiting for a disk harms nobody.
    async fn shelve(&mut self, event: Parked) -> Result<(Parked, Result<(), String>), Stopped> {
        let Some(mut store) = self.shelf.take() else {
            return Err(Stopped);
        };
        let work = tokio::task::spawn_blocking(move || {
            let put = store.put(&event).map_err(|fault| fault.to_string());
            (store, event, put)
        });
        // An error: the runtime ends.
        let (store, event, put) = work.await.map_err(|_| Stopped)?;
        self.shelf = Some(store);
        Ok((event, put))
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

/// Text as a JSON value; what is no JSON becomes a string.
fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap_or_else(|_| {
        let mut string = Vec::with_capacity(text.len() + 2);
        write_str(&mut string, text);
        let string = String::from_utf8_lossy(&string).into_owned();
        RawValue::from_string(string).unwrap_or_else(|_| RawValue::NULL.to_owned())
    })
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
