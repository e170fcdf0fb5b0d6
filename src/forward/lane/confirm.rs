//! Asks a destination whether it keeps what it has acknowledged: a Prefect server holds events in memory first, and
//! loses them when it is stopped. In: acknowledged batches. Out: the cursor moved past what is kept; what is not kept
//! in time, or after a failure, is sent again; what is never kept is parked. What may be there already is asked for,
//! too, and not sent once more: a server with `SQLite` fails at 20 such, and drops what comes behind them.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::hearing::{Hearing, Next};
use super::{Lane, REFUSED_IN_A_ROW_MAX, Stopped};
use crate::forward::load::Load;
use crate::forward::sinks::{Fault, Said, Sent, Unconfirmed};
use crate::id::Uuid;
use crate::telemetry::forward::Outcome;

/// Most events on their way into a server's store: it drops what goes over its own queue of 10,000.
const TAIL_MAX_EVENTS: usize = 5_000;
/// Most events in one question: the answer repeats all ids.
const ASKED_MAX: usize = 500;
/// So few events are not asked for in halves: sent twice, they do no harm.
const REPEATS_MAX: usize = 8;
/// So often a batch is sent and not kept before the events that are missing are looked for.
pub(super) const LOSSES_MAX: u32 = 3;

/// What went out before, and may be kept already: frames up to a sequence, and all that comes from the shelf.
#[derive(Debug)]
pub(super) struct Before {
    /// The newest frame of which something went out.
    sent_to: u64,
    to: u64,
}

impl Before {
    /// Of a lane that begins: what there is, unless all that the lane before it sent is kept.
    pub(super) fn of(is_sure: bool, newest: u64) -> Self {
        Self { sent_to: 0, to: if is_sure { 0 } else { newest } }
    }

    /// Events go out.
    pub(super) fn goes(&mut self, load: &Load, range: Range<usize>) {
        for place in range {
            self.sent_to = self.sent_to.max(load.item(place).spot().0);
        }
    }

    /// What went out goes out again.
    pub(super) fn comes_again(&mut self) {
        self.to = self.to.max(self.sent_to);
    }

    fn has(&self, load: &Load, place: usize) -> bool {
        load.item(place).spot().0 <= self.to
    }
}

/// Why nothing is sent before it is known what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// A question was not answered.
    Unanswered,
    /// A batch failed, and what was in hand was put down: it is read again.
    PutDown,
}

/// How much of a range is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    None,
    Some,
    All,
}

impl Lane {
    /// Whether some of a range may be kept already, and the destination can be asked.
    pub(super) fn is_doubtful(&self, load: &Load, mut range: Range<usize>) -> bool {
        self.confirms() && range.any(|place| self.before.has(load, place))
    }

    /// Whether what it acknowledges is asked for.
    pub(super) fn confirms(&self) -> bool {
        self.destination.confirms && !self.hearing.is_believed(Instant::now())
    }

    /// Asks, before a range goes out, how much of it is kept. Nothing, as far as that cannot be said: how the
    /// destination is, the sending tells.
    pub(super) async fn look_for(&mut self, load: &Load, range: Range<usize>) -> Share {
        let sent: Vec<_> = range.map(|place| load.sent(place)).collect();
        let kept = self.sink.count_kept(&sent).await;
        if kept.is_ok() {
            self.answers();
        }
        match kept {
            Ok(kept) if kept == sent.len() => Share::All,
            Ok(kept) if (1..sent.len()).contains(&kept) && sent.len() > REPEATS_MAX => Share::Some,
            _ => Share::None,
        }
    }

    /// A range went out before: what is kept of it counts as acknowledged, and is asked for as that is.
    pub(super) fn found(&mut self, load: &Load, range: Range<usize>, took: Duration) {
        let sent = range.clone().map(|place| load.sent(place)).collect();
        let told = (true, "kept there already", Said::default());
        self.note_attempt(load, range.clone(), took, told);
        self.acknowledged(sent, load.lying(range.clone()));
        self.settle(load, range);
    }

    /// Whether nothing may be sent before the destination was asked.
    pub(super) fn must_ask(&self) -> bool {
        let wants = self.hearing.wants_proof(Instant::now(), self.seldom());
        let is_full = self.tail.events() >= TAIL_MAX_EVENTS && !wants;
        self.doubt.is_some() || is_full
    }

    /// When the next question is due.
    pub(super) fn question(&self) -> Option<Instant> {
        let oldest = self.tail.oldest()?;
        let pause = if self.hearing.is_tried() { self.seldom() } else { self.tempo.confirm };
        Some(self.asked.max(oldest) + pause)
    }

    /// Between two questions to one that does not answer.
    fn seldom(&self) -> Duration {
        self.tempo.patience.min(self.tempo.memory / 4)
    }

    /// A batch was acknowledged.
    pub(super) fn acknowledged(&mut self, sent: Vec<Sent>, lying: Vec<i64>) {
        self.tail.push(sent, lying, Instant::now());
    }

    /// Asks what of the tail is kept. After a failure, or when patience is over, the rest is sent again.
    pub(super) async fn confirm(&mut self) -> Result<(), Stopped> {
        self.asked = Instant::now();
        let mut asked_max = ASKED_MAX;
        loop {
            let (batches, sent) = self.tail.front(asked_max);
            if batches == 0 {
                self.end_doubt();
                return Ok(());
            }
            match self.count(&sent).await? {
                None => return Ok(()),
                Some(kept) if kept >= sent.len() => {
                    self.confirmed(batches).await;
                    asked_max = ASKED_MAX;
                }
                Some(_) if self.doubt.is_none() && !self.is_late() => return Ok(()),
                Some(_) if batches > 1 => asked_max = sent.len() / 2,
                Some(_) => return self.send_again().await,
            }
        }
    }

    /// Whether the oldest batch should be kept by now. One that was sent again in vain has longer.
    fn is_late(&self) -> bool {
        let Some(oldest) = self.tail.oldest() else { return false };
        let (_, sent) = self.tail.front(1);
        let again = sent.iter().any(|sent| self.losses.contains_key(&sent.id));
        oldest.elapsed() >= if again { self.tempo.memory } else { self.tempo.patience }
    }

    /// The oldest batches are kept.
    async fn confirmed(&mut self, batches: usize) {
        let (sequence, lying) = self.tail.pop(batches);
        if let Some(sequence) = sequence {
            self.source.release(sequence);
        }
        self.hand.arrived(lying);
        self.refused_in_a_row = 0;
        self.backoff.reset();
        self.state.went_well();
        self.note_working().await;
    }

    /// All that was acknowledged is kept: what was put down goes out next.
    fn end_doubt(&mut self) {
        if self.doubt.take() == Some(Doubt::PutDown) {
            self.go_back(&Load::default());
        }
    }

    /// Whatever became of what was acknowledged: it is sent again.
    fn send_all(&mut self) {
        self.doubt = None;
        self.tail.clear();
        self.begin_again();
    }

    /// It said what it keeps.
    fn answers(&mut self) {
        self.state.answers(true);
        self.unoffered = None;
        self.hearing = Hearing::Answers;
    }

    /// How many of these are kept; `None`: it does not say, and what follows from that is done.
    async fn count(&mut self, sent: &[Sent]) -> Result<Option<usize>, Stopped> {
        let fault = match self.sink.count_kept(sent).await {
            Ok(count) => {
                self.answers();
                return Ok(Some(count));
            }
            Err(Unconfirmed::Failed(fault)) => fault,
            Err(Unconfirmed::NotOffered(why)) if self.state.has_answered() => {
                let what = format!("it does not say any more what it keeps: {why}");
                Fault::lasting(Outcome::Unexpected, what)
            }
            // It was away just now, or did not take something, and may have lost what it took.
            Err(Unconfirmed::NotOffered(_))
                if self.doubt.is_some()
                    && self.unoffered.get_or_insert_with(Instant::now).elapsed()
                        < self.tempo.memory =>
            {
                self.send_all();
                return Ok(None);
            }
            Err(Unconfirmed::NotOffered(why)) => {
                self.believe(&why).await;
                return Ok(None);
            }
        };
        let next = self.hearing.unanswered(Instant::now(), self.tempo.memory);
        match next {
            Next::Wait => {
                self.doubt.get_or_insert(Doubt::Unanswered);
                self.rest = Some(self.note_failure(&fault).await);
                if self.is_past_window() {
                    // What fails then is set aside.
                    self.hearing = Hearing::tried(Instant::now());
                    self.send_all();
                }
            }
            Next::GoOn if self.doubt != Some(Doubt::PutDown) => self.doubt = None,
            Next::GoOn | Next::Again => self.send_all(),
            // It did not take something just now.
            Next::Believe if self.doubt == Some(Doubt::PutDown) => {
                self.hearing = Hearing::tried(Instant::now());
                self.send_all();
            }
            Next::Believe => self.believe(&fault.what).await,
        }
        Ok(None)
    }

    /// It says nothing of what it keeps, and is asked again later.
    async fn believe(&mut self, why: &str) {
        let destination = &self.state.name;
        tracing::warn!(destination, why, "what is acknowledged counts as kept");
        self.hearing = Hearing::Believed(Instant::now() + self.tempo.memory);
        self.state.answers(false);
        self.unoffered = None;
        let (all, _) = self.tail.front(usize::MAX);
        self.confirmed(all).await;
        self.end_doubt();
    }

    /// The oldest batch is not kept: what is missing from there on goes out again.
    async fn send_again(&mut self) -> Result<(), Stopped> {
        if self.doubt.is_none() || self.is_late() {
            // Those in the same round, too: they went out a little later.
            let late = self.tail.late(self.tempo.patience / 2);
            let Some(missing) = self.find_missing(&late).await? else { return Ok(()) };
            if missing.is_empty() && self.doubt.is_none() {
                return Ok(());
            }
            let times = |id: Uuid| (id, self.losses.get(&id).map_or(1, |times| times + 1));
            self.losses = missing.iter().map(|id| times(*id)).collect();
            let lost = self.losses.iter().filter(|(_, times)| **times >= LOSSES_MAX);
            let lost: Vec<_> = lost.map(|(id, _)| *id).collect();
            self.give_up(lost, missing.len() < late.len()).await?;
        }
        let (destination, events) = (&self.state.name, self.tail.events());
        tracing::warn!(destination, events, "acknowledged events are not kept: sent again");
        self.send_all();
        Ok(())
    }

    /// These were sent again and again, and never kept: they are parked when they come again, unless nothing is kept.
    async fn give_up(&mut self, lost: Vec<Uuid>, keeps_others: bool) -> Result<(), Stopped> {
        self.losses.retain(|id, _| !lost.contains(id));
        self.refused_in_a_row =
            if keeps_others { 0 } else { self.refused_in_a_row + lost.len() as u32 };
        if self.refused_in_a_row > REFUSED_IN_A_ROW_MAX {
            let what = "keeps nothing of what it acknowledges: it is not the events";
            return self.wait_after(&Fault::lasting(Outcome::Unexpected, what)).await;
        }
        self.unkept.extend(lost);
        Ok(())
    }

    /// Which of these are not kept.
    async fn find_missing(&mut self, late: &[Sent]) -> Result<Option<Vec<Uuid>>, Stopped> {
        let mut missing = Vec::new();
        let mut parts: Vec<_> = late.chunks(ASKED_MAX).rev().collect();
        while let Some(part) = parts.pop() {
            self.follow_signal()?;
            match self.count(part).await? {
                None => return Ok(None),
                Some(kept) if kept >= part.len() => {}
                Some(0) => missing.extend(part.iter().map(|sent| sent.id)),
                Some(_) => {
                    let (first, rest) = part.split_at(part.len() / 2);
                    parts.extend([rest, first]);
                }
            }
        }
        Ok(Some(missing))
    }

    /// Whether a failure casts doubt on what was acknowledged before it.
    pub(super) fn casts_doubt(&self, fault: &Fault) -> bool {
        let lost_touch = match fault.outcome {
            Outcome::Unreachable | Outcome::Timeout => true,
            Outcome::Unavailable => !fault.may_be_content,
            _ => false,
        };
        lost_touch && !self.tail.is_empty()
    }
}
