//! Asks a destination whether it keeps what it has acknowledged: a Prefect server holds events in memory first, and
//! loses them when it is stopped. In: acknowledged batches. Out: the cursor moved past what is kept; what is not kept
//! in time, or after a failure, is sent again; what is never kept is parked. What may be there already is asked for,
//! too, and not sent once more: a server with `SQLite` fails at 20 such, and drops what comes behind them.

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
        self.confirms && range.any(|place| self.before.has(load, place))
    }

    /// Asks, before a range goes out, how much of it is kept. Nothing, as far as that cannot be said: how the
    /// destination is, the sending tells.
    pub(super) async fn look_for(&mut self, load: &Load, range: Range<usize>) -> Share {
        let sent: Vec<_> = range.map(|place| load.sent(place)).collect();
        match self.sink.count_kept(&sent).await {
            Ok(kept) if kept == sent.len() => Share::All,
            Ok(kept) if (1..sent.len()).contains(&kept) && sent.len() > REPEATS_MAX => Share::Some,
            _ => Share::None,
        }
    }

    /// A range went out before: what is kept of it counts as acknowledged, and is asked for as that is.
    pub(super) fn found(&mut self, load: &Load, range: Range<usize>) {
        let sent = range.clone().map(|place| load.sent(place)).collect();
        self.acknowledged(sent, load.lying(range.clone()));
        self.settle(load, range);
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
                Some(_) if !self.is_in_doubt && !self.is_late() => return Ok(()),
                Some(_) if batches > 1 => asked_max = sent.len() / 2,
                Some(_) => return self.send_again(&sent).await,
            }
        }
    }

    /// Whether the oldest batch should be kept by now. One that was sent again in vain has longer.
    fn is_late(&self) -> bool {
        let Some(oldest) = self.tail.oldest() else { return false };
        let (_, sent) = self.tail.front(1);
        let is_lost = |(lost, _)| sent.iter().any(|sent| sent.id == lost);
        let again = self.losses.is_some_and(is_lost);
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

    /// It is known what is kept: what is neither kept nor waited for goes out next.
    fn end_doubt(&mut self) {
        if std::mem::take(&mut self.is_in_doubt) {
            self.begin_again();
        }
    }

    /// How many of these are kept; `None`: it cannot be said now, or never.
    async fn count(&mut self, sent: &[Sent]) -> Result<Option<usize>, Stopped> {
        let (fault, is_refusal) = match self.sink.count_kept(sent).await {
            Ok(count) => {
                self.state.answers();
                self.mute_since = None;
                return Ok(Some(count));
            }
            Err(Unconfirmed::Failed(fault)) => (fault, false),
            Err(Unconfirmed::NotOffered(why)) if !self.state.has_answered() => {
                self.believe(&why);
                let (all, _) = self.tail.front(usize::MAX);
                self.confirmed(all).await;
                self.end_doubt();
                return Ok(None);
            }
            Err(Unconfirmed::NotOffered(why)) => {
                let what = format!("it does not say any more what it keeps: {why}");
                (Fault::lasting(Outcome::Unexpected, what), true)
            }
        };
        self.is_in_doubt = true;
        self.rest = Some(self.note_failure(&fault).await);
        let now = Instant::now();
        self.mute_since = is_refusal.then(|| self.mute_since.unwrap_or(now));
        let is_mute = self.mute_since.is_some_and(|since| since.elapsed() >= self.tempo.memory);
        let is_past = self.is_past_window();
        let is_there = !matches!(fault.outcome, Outcome::Unreachable | Outcome::Timeout);
        if is_mute || is_past && is_there {
            self.believe(&fault.what);
        }
        if is_mute || is_past {
            // Whatever became of it: it is sent again, and set aside when that fails.
            self.tail.clear();
            self.end_doubt();
        }
        Ok(None)
    }

    /// It says nothing of what it keeps; that holds until the lane begins anew.
    fn believe(&mut self, why: &str) {
        let destination = &self.state.name;
        tracing::warn!(destination, why, "what is acknowledged counts as kept");
        self.confirms = false;
    }

    /// The oldest batch is not kept: what is missing from there on goes out again.
    async fn send_again(&mut self, batch: &[Sent]) -> Result<(), Stopped> {
        if !self.is_in_doubt {
            let Some(missing) = self.find_missing(batch).await? else { return Ok(()) };
            let Some(first) = missing.first() else { return Ok(()) };
            let before = self.losses.filter(|(lost, _)| missing.contains(lost));
            let (lost, times) = before.unwrap_or((*first, 0));
            self.losses = Some((lost, times + 1));
            if times + 1 >= LOSSES_MAX {
                self.losses = None;
                self.give_up(missing).await?;
            }
        }
        let (destination, events) = (&self.state.name, self.tail.events());
        tracing::warn!(destination, events, "acknowledged events are not kept: sent again");
        self.is_in_doubt = false;
        self.tail.clear();
        self.begin_again();
        Ok(())
    }

    /// These were sent again and again, and never kept: they are parked when they come again.
    async fn give_up(&mut self, missing: Vec<Uuid>) -> Result<(), Stopped> {
        self.refused_in_a_row += missing.len() as u32;
        if self.refused_in_a_row > REFUSED_IN_A_ROW_MAX {
            let what = "keeps nothing of what it acknowledges: it is not the events";
            return self.wait_after(&Fault::lasting(Outcome::Unexpected, what)).await;
        }
        self.unkept.extend(missing);
        Ok(())
    }

    /// Which of a batch's events are not kept.
    async fn find_missing(&mut self, batch: &[Sent]) -> Result<Option<Vec<Uuid>>, Stopped> {
        let mut missing = Vec::new();
        let mut parts: Vec<_> = batch.chunks(ASKED_MAX).rev().collect();
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
