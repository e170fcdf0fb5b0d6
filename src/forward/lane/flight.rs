//! Several requests of one destination at once. In: a window with events in it. Out: up to so many batches on their
//! way, no key in two of them; each that was taken is done with, whatever its place. What is not taken waits until all
//! are back, and goes on alone, as a lane with one request at a time does it (`batch.rs`): so does everything until
//! the destination takes something again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::source::Most;
use super::{Lane, Stopped, unless_stopped};
use crate::forward::load::Load;
use crate::forward::sinks::{Answer, Bounds, Sink};
use crate::limit::Pass;
use crate::shelf::Key;

/// One that is back.
#[derive(Debug)]
struct Landed {
    sink: Sink,
    /// The newest [`crate::forward::Signal::reopened`] that its sink followed.
    reopened: u64,
    load: Load,
    /// What was held for it.
    keys: Vec<Key>,
    answer: Answer,
    took: Duration,
}

/// A load that must go on alone.
#[derive(Debug)]
struct Trouble {
    load: Load,
    keys: Vec<Key>,
    next: Next,
}

/// How it goes on.
#[derive(Debug)]
enum Next {
    /// It has not been sent.
    Carry,
    /// It was, and this was answered.
    Follow(Answer),
    /// There was no room for what is to be parked: it is read again.
    GoBack,
}

/// What is on its way.
#[derive(Debug, Default)]
pub(super) struct Flights {
    air: JoinSet<Landed>,
    /// Sinks that nothing is sent with, and what of [`crate::forward::Signal::reopened`] each followed.
    idle: Vec<(Sink, u64)>,
    troubles: VecDeque<Trouble>,
    last: Option<Instant>,
}

impl Flights {
    /// With so many sinks.
    pub(super) fn new(sinks: Vec<Sink>, reopened: u64) -> Self {
        let idle = sinks.into_iter().map(|sink| (sink, reopened)).collect();
        Self { idle, ..Self::default() }
    }

    /// Whether nothing is on its way.
    pub(super) fn are_landed(&self) -> bool {
        self.air.is_empty()
    }

    /// Whether nothing is on its way, and nothing of it is left to be done.
    pub(super) fn is_empty(&self) -> bool {
        self.air.is_empty() && self.troubles.is_empty()
    }
}

/// What came of trying to send one more.
enum Launch {
    Done,
    /// None before so long.
    In(Duration),
    /// None before something else comes.
    Not,
}

/// What a lane waits for.
enum Woken {
    Landed(Box<Landed>),
    Read(Result<Option<Vec<crate::spool::Kept>>, crate::spool::SpoolError>),
    Called,
    Time,
}

impl Lane {
    /// Whether several requests may be on their way.
    pub(super) fn is_parallel(&self) -> bool {
        self.destination.options.manner.concurrency() > 1
    }

    /// Whether batches go out several at once now: not while the destination fails.
    pub(super) fn flies(&self) -> bool {
        self.is_parallel() && self.backoff.failures() == 0 || !self.flights.is_empty()
    }

    /// Sends what may go, and waits for what comes first of all that may come.
    pub(super) async fn fly(&mut self, bounds: Bounds) -> Result<(), Stopped> {
        if self.flights.air.is_empty() && !self.flights.troubles.is_empty() {
            return self.mend().await;
        }
        let goes_on = self.flights.troubles.is_empty();
        if goes_on {
            while self.read_ahead(bounds).await && self.looks_first {}
            self.looks_first = false;
        }
        let mut wait = None;
        while goes_on && !self.flights.idle.is_empty() {
            match self.launch(bounds).await? {
                Launch::Done => {}
                Launch::Not => break,
                Launch::In(some) => {
                    wait = Some(some);
                    break;
                }
            }
        }
        if wait.is_some_and(|wait| self.puts_down_for(wait)) {
            return Ok(());
        }
        match self.wait_for_any(bounds, goes_on, wait).await? {
            Woken::Landed(landed) => self.land(*landed).await?,
            Woken::Read(Ok(Some(kept))) => self.take_in(kept, bounds),
            Woken::Read(Ok(None)) => return Err(Stopped),
            Woken::Read(Err(fault)) => {
                self.state.failed(&fault.to_string(), false);
                self.pause(self.tempo.first).await?;
            }
            Woken::Called => self.hand.call(),
            Woken::Time => {}
        }
        Ok(())
    }

    async fn wait_for_any(
        &mut self,
        bounds: Bounds,
        goes_on: bool,
        wait: Option<Duration>,
    ) -> Result<Woken, Stopped> {
        let reads = goes_on && !self.hand_only && self.window.may_read();
        let idle = self.flights.air.is_empty() && !reads;
        let asleep = self.idle();
        let Self { flights, source, seat, news, tempo, .. } = self;
        let most = Most { frames: bounds.frames, bytes: bounds.frame_bytes };
        let some = async {
            tokio::select! {
                biased;
                Some(Ok(landed)) = flights.air.join_next(), if !flights.air.is_empty() => {
                    Woken::Landed(Box::new(landed))
                }
                () = sleep(wait.unwrap_or(tempo.linger)), if wait.is_some() || idle => Woken::Time,
                Ok(()) = news.changed(), if goes_on => Woken::Called,
                next = source.next(most, seat, asleep), if reads => Woken::Read(next),
            }
        };
        unless_stopped(&mut self.signal, self.changed, some).await
    }

    /// Sends one more batch, if there is one and it may go.
    async fn launch(&mut self, bounds: Bounds) -> Result<Launch, Stopped> {
        let waiting = self.window.waiting();
        if waiting == 0 {
            return Ok(Launch::Not);
        }
        // What comes in a moment goes along, where several go together.
        if bounds.events > 1 && waiting < bounds.events {
            let since = self.flights.last.map(|last| last.elapsed());
            let early = since.and_then(|since| self.tempo.linger.checked_sub(since));
            if let Some(early) = early.filter(|early| !early.is_zero()) {
                return Ok(Launch::In(early));
            }
        }
        unless_stopped(&mut self.signal, self.changed, self.seat.take()).await?;
        let most = match self.pace.look(bounds.events, self.window.mean_bytes()) {
            Pass::In(wait) => return Ok(Launch::In(wait)),
            Pass::Now(most) => most,
        };
        let mut load = self.window.pick(most, bounds.bytes);
        if load.len() == 0 {
            return Ok(Launch::Not);
        }
        let keys = load.keys().to_vec();
        if !self.lay_behind(&mut load).await? {
            self.flights.troubles.push_back(Trouble { load, keys, next: Next::GoBack });
            return Ok(Launch::Not);
        }
        let is_fit = (0..load.len()).all(|place| self.check(&load, place).is_ok());
        // What is sent instead of events may be larger than they are.
        if !is_fit || load.len() > 1 && load.weight(0..load.len()) > bounds.bytes as u64 {
            self.flights.troubles.push_back(Trouble { load, keys, next: Next::Carry });
            return Ok(Launch::Not);
        }
        if load.len() == 0 {
            self.window.give_back(&keys);
            return Ok(Launch::Done);
        }
        let pass = self.pace.ask(load.len(), |count| load.weight(0..count));
        let count = match pass {
            Pass::Now(count) => count,
            Pass::In(_) => 0,
        };
        self.window.put_back(&load.split_off(count));
        if let Pass::In(wait) = pass {
            self.window.give_back(&keys);
            return Ok(Launch::In(wait));
        }
        self.follow_signal()?;
        let Some((mut sink, reopened)) = self.flights.idle.pop() else { return Ok(Launch::Not) };
        if reopened != self.reopened {
            sink.reopen();
        }
        let reopened = self.reopened;
        self.flights.last = Some(Instant::now());
        self.flights.air.spawn(async move {
            let started = tokio::time::Instant::now();
            let answer = sink.send(&load, 0..load.len()).await;
            Landed { sink, reopened, load, keys, answer, took: started.elapsed() }
        });
        Ok(Launch::Done)
    }

    /// One is back.
    async fn land(&mut self, landed: Landed) -> Result<(), Stopped> {
        let Landed { sink, reopened, load, keys, answer, took } = landed;
        self.note_answer(&load, 0..load.len(), &answer, took, (sink.closed(), sink.said()));
        self.flights.idle.push((sink, reopened));
        if matches!(answer, Answer::Taken) {
            self.taken(&load, 0..load.len()).await?;
            self.window.give_back(&keys);
        } else {
            self.flights.troubles.push_back(Trouble { load, keys, next: Next::Follow(answer) });
        }
        Ok(())
    }

    /// All are back: what was not taken goes on alone.
    async fn mend(&mut self) -> Result<(), Stopped> {
        while let Some(Trouble { load, keys, next }) = self.flights.troubles.pop_front() {
            let is_done = match next {
                Next::Carry => self.carry(&load).await?,
                Next::Follow(answer) => {
                    let is_done = self.deliver(&load, 0..load.len(), Some(answer)).await?;
                    if !is_done {
                        self.go_back(&load);
                    }
                    is_done
                }
                Next::GoBack => {
                    self.go_back(&load);
                    false
                }
            };
            if !is_done {
                // What else was to be done is read again, too.
                self.flights.troubles.clear();
                return Ok(());
            }
            self.window.give_back(&keys);
        }
        Ok(())
    }

    /// Waits for all that are on their way; what is not taken is sent another time.
    pub(super) async fn land_all(&mut self) {
        self.flights.troubles.clear();
        while let Some(landed) = self.flights.air.join_next().await {
            let Ok(landed) = landed else { continue };
            if self.land(landed).await.is_err() {
                return;
            }
        }
    }
}
