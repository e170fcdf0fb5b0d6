//! Asks a destination whether it keeps what it has acknowledged: a Prefect server holds events in memory first, and
//! loses them when it is stopped. In: acknowledged batches. Out: the cursor moved past what is kept; what is not kept
//! in time, or after a failure, is sent again; what is never kept is parked. What may be there already is asked for,
//! too, and not sent once more: a server with `SQLite` fails at 20 such, and drops what comes behind them.

use std::collections::HashSet;
use std::ops::Range;
use std::time::Instant;

use super::{Lane, REFUSED_IN_A_ROW_MAX, Stopped};
use crate::forward::load::Load;
use crate::forward::sinks::{Fault, Sent, Unconfirmed};
use crate::id::Uuid;
use crate::telemetry::forward::Outcome;

/// Most events on their way into a server's store: it drops what goes over its own queue of 10,000.
const TAIL_MAX_EVENTS: usize = 5_000;
/// Most events in one question: the answer repeats all ids.
const ASKED_MAX: usize = 500;
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

impl Lane {
    /// Whether some of a range may be kept already, and the destination can be asked.
    pub(super) fn is_doubtful(&self, load: &Load, mut range: Range<usize>) -> bool {
        let asks = self.confirms && !self.is_past_window();
        asks && range.any(|place| self.before.has(load, place))
    }

    /// The parts of a range that are not kept; those that are go no more. `None`: that cannot be said now, and all of
    /// it is to be read again.
    pub(super) async fn leave_kept(
        &mut self,
        load: &Load,
        range: Range<usize>,
    ) -> Result<Option<Vec<Range<usize>>>, Stopped> {
        let sent: Vec<_> = range.clone().map(|place| load.sent(place)).collect();
        let Some(missing) = self.find_missing(&sent).await? else {
            if !self.confirms {
                return Ok(Some(vec![range]));
            }
            // Of what was acknowledged before, nothing is lost by that.
            self.is_in_doubt &= !self.tail.is_empty();
            return Ok(None);
        };
        if missing.len() == sent.len() {
            return Ok(Some(vec![range]));
        }
        let missing: HashSet<_> = missing.into_iter().collect();
        let is_new = |place: usize| missing.contains(&load.at(place).1.id);
        let places: Vec<_> = range.collect();
        let mut new = Vec::new();
        for run in places.chunk_by(|one, next| is_new(*one) == is_new(*next)) {
            let run = run[0]..run[0] + run.len();
            if is_new(run.start) {
                new.push(run);
                continue;
            }
            self.hand.arrived(load.lying(run.clone()));
            self.settle(load, run);
        }
        self.is_known_to_keep().await;
        Ok(Some(new))
    }

    /// Whether nothing may be sent before the destination was asked.
    pub(super) fn must_ask(&self) -> bool {
        self.is_in_doubt || self.tail.events() >= TAIL_MAX_EVENTS
    }

    /// When the next question is due.
    pub(super) fn question(&self) -> Option<Instant> {
        let oldest = self.tail.oldest()?;
        Some(self.asked.max(oldest) + self.tempo.confirm)
    }

    /// A batch was acknowledged.
    pub(super) fn acknowledged(&mut self, sent: Vec<Sent>, lying: Vec<i64>) {
        self.tail.push(sent, lying, Instant::now());
    }

    /// Asks what of the tail is kept. After a failure, or when patience is over, the rest is sent again.
    pub(super) async fn confirm(&mut self) -> Result<(), Stopped> {
        self.asked = Instant::now();
        let patience = if self.losses > 0 { self.tempo.memory } else { self.tempo.patience };
        let is_late = |oldest: Instant| oldest.elapsed() >= patience;
        let is_over = self.is_in_doubt || self.tail.oldest().is_some_and(is_late);
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
                Some(_) if !is_over => return Ok(()),
                Some(_) if batches > 1 => asked_max = sent.len() / 2,
                Some(_) => return self.send_again(&sent).await,
            }
        }
    }

    /// The oldest batches are kept.
    async fn confirmed(&mut self, batches: usize) {
        let (sequence, lying) = self.tail.pop(batches);
        if let Some(sequence) = sequence {
            self.source.release(sequence);
        }
        self.hand.arrived(lying);
        self.losses = 0;
        self.is_known_to_keep().await;
    }

    /// It keeps some of what it was sent: it works.
    async fn is_known_to_keep(&mut self) {
        self.refused_in_a_row = 0;
        self.backoff.reset();
        self.state.went_well();
        self.note_working().await;
    }

    /// It is known what is kept: what is neither kept nor waited for goes out next.
    fn end_doubt(&mut self) {
        if std::mem::take(&mut self.is_in_doubt) {
            self.begin_again();
        }
    }

    /// How many of these are kept; `None`: it cannot be said now, or never.
    async fn count(&mut self, sent: &[Sent]) -> Result<Option<usize>, Stopped> {
        match self.sink.count_kept(sent).await {
            Ok(count) => {
                self.answers = true;
                Ok(Some(count))
            }
            Err(Unconfirmed::Failed(fault)) => self.stay_unsure(&fault).await,
            Err(Unconfirmed::NotOffered(why)) if self.answers => {
                let what = format!("it does not say any more what it keeps: {why}");
                self.stay_unsure(&Fault::lasting(Outcome::Unexpected, what)).await
            }
            Err(Unconfirmed::NotOffered(why)) => {
                let destination = &self.state.name;
                tracing::warn!(destination, why, "what is acknowledged counts as kept");
                self.confirms = false;
                let (all, _) = self.tail.front(usize::MAX);
                self.confirmed(all).await;
                self.end_doubt();
                Ok(None)
            }
        }
    }

    /// A question was not answered.
    async fn stay_unsure(&mut self, fault: &Fault) -> Result<Option<usize>, Stopped> {
        self.is_in_doubt = true;
        self.rest = Some(self.note_failure(fault).await);
        if self.is_past_window() {
            // Whatever became of it: it is sent again, and set aside when that fails.
            self.tail.clear();
            self.end_doubt();
        }
        Ok(None)
    }

    /// The oldest batch is not kept: what is missing from there on goes out again.
    async fn send_again(&mut self, batch: &[Sent]) -> Result<(), Stopped> {
        let (destination, events) = (&self.state.name, self.tail.events());
        tracing::warn!(destination, events, "acknowledged events are not kept: sent again");
        if !self.is_in_doubt {
            self.losses += 1;
        }
        if self.losses >= LOSSES_MAX {
            self.losses = 0;
            let Some(missing) = self.find_missing(batch).await? else { return Ok(()) };
            self.refused_in_a_row += missing.len() as u32;
            if self.refused_in_a_row > REFUSED_IN_A_ROW_MAX {
                let what = "keeps nothing of what it acknowledges: it is not the events";
                self.wait_after(&Fault::lasting(Outcome::Unexpected, what)).await?;
            } else {
                self.unkept.extend(missing);
            }
        }
        self.is_in_doubt = false;
        self.tail.clear();
        self.begin_again();
        Ok(())
    }

    /// Which of a batch's events are not kept.
    async fn find_missing(&mut self, batch: &[Sent]) -> Result<Option<Vec<Uuid>>, Stopped> {
        let mut missing = Vec::new();
        let mut parts: Vec<_> = batch.chunks(ASKED_MAX).rev().collect();
        while let Some(part) = parts.pop() {
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
