//! One destination's way: read, pace, send, and on failure wait, split or park. In: frames from its own cursor. Out:
//! every event taken or parked, in order for each key, before the cursor moves past it. Waits for nobody but its
//! destination, and while it waits for long, holds nothing in hand.

mod ahead;
mod aside;
mod batch;
mod confirm;
mod flight;
mod hand;
mod hearing;
pub(super) mod patience;
mod reading;
mod rules;
pub(super) mod source;
pub(in crate::forward) mod state;
mod tail;
mod tries;
mod turns;
pub(super) mod window;

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch::Receiver;
use tokio::time::sleep;

use self::aside::{Blocked, UNKEPT};
use self::batch::{COMPARED_MAX, COMPARED_MAX_BYTES, Suspect};
use self::confirm::{Before, Doubt, LOSSES_MAX};
use self::flight::Flights;
use self::hand::Hand;
use self::hearing::Hearing;
use self::patience::Failing;
use self::reading::HOLES_PAUSE;
use self::source::Source;
use self::state::State;
use self::tail::Tail;
use self::tries::Tries;
use self::window::{Room, Rules, Window};
use super::backoff::{Backoff, Tempo, slow};
use super::dispatch::Seat;
use super::ledger::Ledger;
use super::load::{Load, Ordering};
use super::notice::Notices;
use super::pace::LanePace;
use super::sinks::{Fault, Refusal, Sink};
use super::trail::Trail;
use super::{Destination, ForwardError, Ground, Signal};
use crate::id::Uuid;
use crate::limit::Pass;
use crate::shelf::Shelf;
use crate::telemetry::forward::Outcome;
use crate::telemetry::notes::Notes;

/// So many events refused one after the other, and none taken between: it is not the events.
const REFUSED_IN_A_ROW_MAX: u32 = 100;

/// From so long a wait on, others have this lane's turn.
const REST_MIN: Duration = Duration::from_secs(1);
/// From so long a wait for its pace on, a lane holds nothing in hand meanwhile.
const PUT_DOWN_MIN: Duration = Duration::from_mins(1);

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
    /// What waits is read again before some of it goes, so that each webhook has its turn.
    looks_first: bool,
    window: Window,
    /// The last frames that were read were all that were there.
    has_all: bool,
    sink: Sink,
    flights: Flights,
    pace: LanePace,
    backoff: Backoff,
    shelf: Shelf,
    /// What stands for the destination there.
    id: Uuid,
    ordering: Ordering,
    notes: Arc<Notes>,
    blocked: Blocked,
    /// Rises when something there may go out again.
    news: Receiver<u64>,
    /// What of it goes out again.
    hand: Hand,
    /// Nothing else goes meanwhile: the shelf is full, and what is new would have to lie down there.
    hand_only: bool,
    state: Arc<State>,
    notices: Notices,
    tempo: Tempo,
    signal: Receiver<Signal>,
    /// The [`Signal::changed`] that it is made of: with another one it ends.
    changed: u64,
    /// The newest [`Signal::reopened`] that was followed.
    reopened: u64,
    refused_in_a_row: u32,
    failing: Failing,
    tries: Tries,
    /// No wait of before is waited for.
    tries_at_once: bool,
    /// An event that failed alone: the next ones go each alone, and it is compared with others.
    suspect: Option<Suspect>,
    /// The event of the answer that is followed now, if it is about one alone.
    failed_one: Option<Trail>,
    /// Of one that is asked whether it keeps what it has acknowledged: whether it says so.
    hearing: Hearing,
    tail: Tail,
    asked: Instant,
    /// What was acknowledged may be lost: nothing is sent before that is known.
    doubt: Option<Doubt>,
    before: Before,
    /// The events that were not kept in time, and how often.
    losses: HashMap<Uuid, u32>,
    /// Since when it offers no such answer, while it does not take everything either.
    unoffered: Option<Instant>,
    /// Acknowledged again and again, never kept: to be parked.
    unkept: HashSet<Uuid>,
    /// When what is done with beyond the cursor was kept last.
    holes_kept: Instant,
}

impl Lane {
    /// Opens sink and parked events; sends nothing yet.
    pub(super) fn open(
        destination: &Destination,
        (ground, room): (&Ground, &Arc<Room>),
        (source, seat): (Source, Seat),
        state: Arc<State>,
        tempo: Tempo,
        (signal, changed): (Receiver<Signal>, u64),
    ) -> Result<Self, ForwardError> {
        let manner = destination.options.manner;
        let tempo = manner.tempo(tempo);
        let sink = Sink::new(destination, &ground.clock, tempo.deadline)?;
        let shelf = ground.shelf.clone();
        let pacing = destination.pacing;
        let address = destination.address.as_deref().unwrap_or(destination.name());
        let opened = Ledger::open(&ground.data, &destination.key(), &ground.clock);
        let opened = opened.map(|ledger| ledger.about(address));
        let opened = if pacing.is_empty() { opened } else { opened.and_then(Ledger::made) };
        let note = |fault: &std::io::Error| {
            let destination = destination.name();
            tracing::warn!(destination, %fault, "a restart will give its pace anew");
        };
        let ledger = opened.inspect_err(note).ok();
        let Signal { reopened, .. } = *signal.borrow();
        let ordering = manner.ordering();
        let (is_strict, is_parallel) = (sink.is_strict(), manner.concurrency() > 1);
        let rules = Rules { ordering, is_strict, is_parallel };
        let others = if is_parallel { manner.concurrency() } else { 0 };
        let sinks = (0..others).map(|_| Sink::new(destination, &ground.clock, tempo.deadline));
        let sinks = sinks.collect::<Result<_, _>>()?;
        Ok(Self {
            destination: destination.clone(),
            source,
            seat,
            rest: None,
            looks_first: false,
            window: Window::new(rules, room),
            has_all: true,
            sink,
            flights: Flights::new(sinks, reopened),
            pace: LanePace::new(pacing, manner.concurrency(), ledger),
            backoff: Backoff::default(),
            news: shelf.news(),
            shelf,
            id: destination.id(),
            ordering,
            notes: ground.telemetry.notes(),
            blocked: Blocked::default(),
            hand: Hand::default(),
            hand_only: false,
            hearing: state.hearing(),
            before: Before::of(state.wakes(), ground.spool.status().durable),
            state,
            notices: Notices::of(ground),
            tempo,
            signal,
            changed,
            reopened,
            refused_in_a_row: 0,
            failing: Failing::default(),
            tries: Tries::default(),
            tries_at_once: false,
            suspect: None,
            failed_one: None,
            tail: Tail::default(),
            asked: Instant::now(),
            doubt: None,
            losses: HashMap::new(),
            unoffered: None,
            unkept: HashSet::new(),
            holes_kept: Instant::now(),
        })
    }

    /// Delivers until the gateway stops, the destination is changed, or it sleeps.
    pub(super) async fn run(mut self) {
        self.recall_failing().await;
        self.recall_holes().await;
        // A wait that the last stop cut short goes on.
        let mut goes_on = self.take_rest().await.is_ok();
        while goes_on && self.go_round().await.is_ok() {
            goes_on = self.take_rest().await.is_ok();
            self.keep_holes_in_time().await;
        }
        self.land_all().await;
        self.open_hand().await;
        self.keep_holes().await;
        if !self.signal.borrow().ends(self.changed) && self.window.waiting() == 0 {
            self.state.sleeps(self.tail.is_empty(), self.hearing);
        }
    }

    /// Waits with nothing in hand, if that was called for.
    async fn take_rest(&mut self) -> Result<(), Stopped> {
        let Some(wait) = self.rest.take() else { return Ok(()) };
        if wait >= REST_MIN {
            self.seat.leave();
            // What was acknowledged and is not confirmed is not to be read again.
            if self.tail.is_empty() {
                self.window.put_down();
                self.rewind();
                self.source.rest();
                self.hand.drop_all();
                self.open_hand().await;
            }
        }
        self.pause(wait).await
    }

    /// One look into the spool, and all that was there.
    async fn go_round(&mut self) -> Result<(), Stopped> {
        self.call_up().await?;
        let question = self.question();
        if self.must_ask() || question.is_some_and(|due| due <= Instant::now()) {
            let wait = question.map(|due| due.saturating_duration_since(Instant::now()));
            if let Some(wait) = wait.filter(|_| self.doubt.is_none()) {
                self.pause(wait).await?;
            }
            return self.confirm().await;
        }
        let bounds = self.sink.bounds();
        if self.flies() {
            return self.fly(bounds).await;
        }
        let started = Instant::now();
        if !self.gather(question, bounds).await? {
            return Ok(());
        }
        unless_stopped(&mut self.signal, self.changed, self.seat.take()).await?;
        let events = if self.suspect.is_some() { COMPARED_MAX } else { bounds.events };
        let pass = self.pace.look(events, self.window.mean_bytes());
        if let Pass::In(wait) = pass
            && self.puts_down_for(wait)
        {
            return Ok(());
        }
        let looks = self.looks_first || matches!(pass, Pass::In(_));
        if looks && self.read_ahead(bounds).await {
            return Ok(());
        }
        self.looks_first = false;
        let most = match pass {
            // Each is still charged for when it goes.
            Pass::Now(_) if self.suspect.is_some() => COMPARED_MAX,
            Pass::Now(most) => most,
            Pass::In(wait) => {
                // What was acknowledged is asked about meanwhile.
                let due = question.map(|due| due.saturating_duration_since(Instant::now()));
                return self.pause(due.map_or(wait, |due| wait.min(due))).await;
            }
        };
        let mut load = match self.suspect {
            Some(_) => self.window.pick_apart(most, COMPARED_MAX_BYTES),
            None => self.window.pick(most, bounds.bytes),
        };
        let keys = if self.is_parallel() { load.keys().to_vec() } else { Vec::new() };
        if !self.lay_behind(&mut load).await? {
            self.go_back(&load);
            return Ok(());
        }
        if self.carry(&load).await? {
            self.window.give_back(&keys);
        }
        // Where each event goes alone, none waits for others to go with.
        let linger = if bounds.events > 1 { self.tempo.linger } else { Duration::ZERO };
        let linger = linger.max(self.sink.gather());
        let busy = linger.saturating_sub(started.elapsed());
        let is_done = self.has_all && self.window.waiting() == 0;
        if is_done && !busy.is_zero() { self.pause(busy).await } else { Ok(()) }
    }

    /// Sends everything in hand, batch by batch. `false`: what is left comes again.
    async fn carry(&mut self, load: &Load) -> Result<bool, Stopped> {
        if self.suspect.is_some() && load.len() > 0 {
            // Each goes alone then, and is looked at before it does.
            return self.deliver_or_go_back(load, 0..load.len()).await;
        }
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
            if at < end && !self.deliver_or_go_back(load, at..end).await? {
                return Ok(false);
            }
            if let Some((refusal, attempts)) = bad {
                if !self.park(load, end, refusal, attempts).await? {
                    self.go_back(load);
                    return Ok(false);
                }
                end += 1;
            }
            at = end;
        }
        Ok(true)
    }

    async fn deliver_or_go_back(
        &mut self,
        load: &Load,
        batch: Range<usize>,
    ) -> Result<bool, Stopped> {
        let is_done = self.deliver(load, batch, None).await?;
        // What is left comes again, and more behind it. In doubt, once it is known where the cursor belongs.
        if !is_done && self.doubt.is_none() {
            // While one is compared each goes alone, and what came meanwhile beside them.
            let none = Load::default();
            self.go_back(if self.suspect.is_some() { &none } else { load });
        }
        Ok(is_done)
    }

    /// Whether an event may be sent, or must be parked at once: why, and how often it went out.
    fn check(&mut self, load: &Load, place: usize) -> Result<(), (Refusal, u32)> {
        if self.unkept.contains(&load.at(place).1.id) {
            return Err((Refusal::new(UNKEPT, ""), LOSSES_MAX));
        }
        self.reshape(load, place)
            .and_then(|()| self.sink.check(load, place))
            .map_err(|why| (Refusal::new(why, ""), 0))
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

    /// Events arrived.
    async fn taken(&mut self, load: &Load, range: Range<usize>) -> Result<(), Stopped> {
        self.backoff.reset();
        let lying = load.lying(range.clone());
        if self.confirms() {
            self.hearing.taken(Instant::now());
            self.acknowledged(range.clone().map(|place| load.sent(place)).collect(), lying);
        } else {
            self.hand.arrived(lying);
            self.refused_in_a_row = 0;
        }
        self.settle(load, range.clone());
        self.keep_holes_in_time().await;
        self.state.went_well();
        self.note_working().await;
        let facts = &self.state.facts;
        facts.attempted(Outcome::Taken);
        facts.delivered(range.len() as u64);
        let now = self.notices.clock().now().micros();
        for kept in load.ending_in(range) {
            let micros = now.saturating_sub(kept.received.micros());
            facts.waited(Duration::from_micros(u64::try_from(micros).unwrap_or(0)));
        }
        Ok(())
    }

    /// Waits after a failure, as long as it deserves.
    async fn wait_after(&mut self, fault: &Fault) -> Result<(), Stopped> {
        let wait = self.note_failure(fault).await;
        self.pause(wait).await
    }

    /// Something failed; how long a wait that deserves.
    async fn note_failure(&mut self, fault: &Fault) -> Duration {
        self.state.facts.attempted(fault.outcome);
        self.state.failed_with(&fault.what, fault.is_lasting, self.failed_one);
        let chance = fastrand::f64();
        let own = self.backoff.wait(&self.tempo, chance);
        let own = if fault.is_lasting { slow(&self.tempo, chance) } else { own };
        let wait = fault.after.map_or(own, |asked| asked.max(own));
        let is_down = fault.is_lasting || self.backoff.is_open();
        self.note_failing(fault, is_down, wait).await;
        wait
    }

    /// Whether a wait for the pace is so long that nothing is held meanwhile: then it is a rest.
    fn puts_down_for(&mut self, wait: Duration) -> bool {
        let is_free = self.flights.is_empty() && self.tail.is_empty();
        let puts_down = wait >= PUT_DOWN_MIN && is_free;
        if puts_down {
            self.rest = Some(wait);
            self.looks_first = true;
        }
        puts_down
    }

    /// Waits, but not any more once the operator wants everything opened anew. When that is long, others have the
    /// lane's turn meanwhile, unless something is on its way.
    async fn pause(&mut self, wait: Duration) -> Result<(), Stopped> {
        if wait >= HOLES_PAUSE {
            self.keep_holes().await;
        }
        let has_left = wait >= REST_MIN && self.flights.are_landed() && self.seat.leave();
        let (changed, reopened) = (self.changed, self.reopened);
        let news = |signal: &Signal| signal.ends(changed) || signal.reopened != reopened;
        tokio::select! {
            _ = self.signal.wait_for(news) => {}
            () = sleep(wait) => {}
        }
        self.follow_signal()?;
        if has_left {
            unless_stopped(&mut self.signal, self.changed, self.seat.take()).await?;
        }
        Ok(())
    }

    /// Does what was told meanwhile.
    fn follow_signal(&mut self) -> Result<(), Stopped> {
        let signal = *self.signal.borrow_and_update();
        if signal.reopened != self.reopened {
            self.reopened = signal.reopened;
            self.sink.reopen();
            self.pace.reopen();
        }
        if signal.ends(self.changed) || self.signal.has_changed().is_err() {
            Err(Stopped)
        } else {
            Ok(())
        }
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
