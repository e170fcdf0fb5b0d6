//! One batch until nothing of it is left: each event taken or parked. In: a range of events in hand. Out: when it is
//! over. A refused part is halved until one event is left, and that is parked; after 500s a part is halved too, but an
//! event is parked only once the destination has taken one of another key meanwhile. Nothing overtakes an event of its
//! own key.

use std::ops::Range;

use super::confirm::Share;
use super::{Lane, REFUSED_IN_A_ROW_MAX, Stopped};
use crate::forward::load::Load;
use crate::forward::sinks::{Answer, Fault, Refusal};
use crate::forward::trail::Trail;
use crate::telemetry::forward::Outcome;

/// 500s after which a part is halved.
const BROKEN_SPLIT: u32 = 3;
/// 500s after which a single event may be to blame.
const BROKEN_PARK: u32 = 8;

/// Most events that are looked at for one of another key.
const PROBE_LOOK_MAX: usize = 100;

/// A part of a batch that is still to be sent.
#[derive(Clone, Debug)]
struct Part {
    range: Range<usize>,
    /// How often its events went out.
    attempts: u32,
    /// How often the answer was 500.
    broken: u32,
    /// The destination took something else since the first of them.
    is_proven: bool,
    /// It is sent before its turn, to see whether the destination takes anything at all.
    is_probe: bool,
    /// The destination was asked, and does not say that it keeps it.
    is_new: bool,
}

impl Part {
    fn new(range: Range<usize>) -> Self {
        Self { range, attempts: 0, broken: 0, is_proven: false, is_probe: false, is_new: false }
    }

    fn is_single(&self) -> bool {
        self.range.len() == 1
    }

    /// Cuts it in two, the first `count` events in front.
    fn split(self, count: usize) -> (Self, Self) {
        let middle = self.range.start + count;
        let rest = Self { range: middle..self.range.end, ..self.clone() };
        (Self { range: self.range.start..middle, ..self }, rest)
    }
}

/// Parts in the order they are to be sent; the next one last.
#[derive(Debug)]
struct Work(Vec<Part>);

impl Work {
    fn halve(&mut self, part: Part) {
        let half = part.range.len() / 2;
        let (first, rest) = part.split(half);
        self.0.push(rest);
        self.0.push(first);
    }

    /// Something was taken: whatever met a 500 before is under suspicion now.
    fn prove(&mut self) {
        for part in self.0.iter_mut().filter(|part| part.broken > 0) {
            part.is_proven = true;
        }
    }

    /// Puts the first event of another key behind `suspect` in front of it; `false` when there is none: of its own
    /// key nothing may overtake it.
    fn probe(&mut self, suspect: Part, are_alike: impl Fn(usize, usize) -> bool) -> bool {
        let own = suspect.range.start;
        let next = self.0.pop();
        let found = next.as_ref().and_then(|next| {
            next.range.clone().take(PROBE_LOOK_MAX).find(|place| !are_alike(own, *place))
        });
        let Some((next, place)) = next.clone().zip(found) else {
            self.0.extend(next);
            self.0.push(suspect);
            return false;
        };
        let (alike, rest) = {
            let start = next.range.start;
            next.split(place - start)
        };
        let (mut first, rest) = rest.split(1);
        for part in [rest, alike] {
            if !part.range.is_empty() {
                self.0.push(part);
            }
        }
        first.is_probe = true;
        self.0.push(suspect);
        self.0.push(first);
        true
    }

    /// A probe failed: it goes back to its place behind the suspect.
    fn put_back(&mut self, mut probe: Part) {
        probe.is_probe = false;
        let place = self.0.iter().position(|part| part.range.start < probe.range.start);
        self.0.insert(place.unwrap_or(self.0.len()), probe);
    }
}

impl Lane {
    /// Sends a batch, or goes on from what was answered to it; `false`: it must be read again together with what is
    /// behind it.
    pub(super) async fn deliver(
        &mut self,
        load: &Load,
        batch: Range<usize>,
        mut answered: Option<Answer>,
    ) -> Result<bool, Stopped> {
        let mut work = Work(vec![Part::new(batch)]);
        while let Some(mut part) = work.0.pop() {
            if let Some(answer) = answered.take() {
                part.attempts += 1;
                if !self.follow(load, part, answer, &mut work).await? {
                    return Ok(false);
                }
                continue;
            }
            let Some((open, rest)) = self.pass_blocked(load, part.range.clone()).await? else {
                return Ok(false);
            };
            if !rest.is_empty() {
                work.0.push(Part { range: rest, ..part.clone() });
            }
            if open.is_empty() {
                continue;
            }
            let part = Part { range: open, ..part };
            if !part.is_new && self.is_doubtful(load, part.range.clone()) {
                self.follow_signal()?;
                match self.look_for(load, part.range.clone()).await {
                    Share::All => self.found(load, part.range),
                    Share::Some => work.halve(part),
                    Share::None => work.0.push(Part { is_new: true, ..part }),
                }
                continue;
            }
            // One event is enough to see whether a destination that was down is back.
            let most = if self.backoff.is_open() { 1 } else { part.range.len() };
            let start = part.range.start;
            let count = self.pass(load, start..start + most).await?;
            self.follow_signal()?;
            let (mut part, rest) = part.split(count);
            if !rest.range.is_empty() {
                work.0.push(rest);
            }
            part.attempts += 1;
            let answer = self.send(load, part.range.clone()).await;
            if !self.follow(load, part, answer, &mut work).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Does what follows from an answer; `false`: the batch must be read again.
    async fn follow(
        &mut self,
        load: &Load,
        part: Part,
        answer: Answer,
        work: &mut Work,
    ) -> Result<bool, Stopped> {
        // What is said of a failure meanwhile is said of this one.
        self.failed_one = Trail::of_one(load, &part.range);
        let is_done = match answer {
            Answer::Taken => {
                self.taken(load, part.range).await?;
                work.prove();
                Ok(true)
            }
            Answer::Refused(refusal) => self.refuse(load, part, refusal, work).await,
            Answer::Failed(fault) => self.fail(load, part, &fault, work).await,
        };
        self.failed_one = None;
        is_done
    }

    /// The content of a part was refused; `false`: the batch must be read again.
    async fn refuse(
        &mut self,
        load: &Load,
        part: Part,
        refusal: Refusal,
        work: &mut Work,
    ) -> Result<bool, Stopped> {
        if !part.is_single() {
            self.state.facts.attempted(Outcome::Refused);
            work.halve(part);
            return Ok(true);
        }
        // What ends a circle says nothing of the destination.
        let is_circle = refusal.ends_circle(load.hops(part.range.clone()));
        if self.refused_in_a_row >= REFUSED_IN_A_ROW_MAX && !is_circle {
            let what = format!("{} to each event: it is not the events", refusal.reason);
            work.0.push(part);
            let fault = Fault::lasting(Outcome::Refused, what);
            return self.wait_after(&fault).await.map(|()| true);
        }
        self.state.facts.attempted(Outcome::Refused);
        self.refused_in_a_row += u32::from(!is_circle);
        self.park(load, part.range.start, refusal, part.attempts).await
    }

    /// An attempt failed; `false`: the batch must be read again.
    async fn fail(
        &mut self,
        load: &Load,
        mut part: Part,
        fault: &Fault,
        work: &mut Work,
    ) -> Result<bool, Stopped> {
        if self.casts_doubt(fault) {
            self.is_in_doubt = true;
            return self.wait_after(fault).await.map(|()| false);
        }
        let overdue = self.park_overdue(load, part.range.clone(), fault, part.attempts).await?;
        let Some(overdue) = overdue else { return Ok(false) };
        if overdue > 0 {
            let (_, rest) = part.split(overdue);
            if !rest.range.is_empty() {
                work.0.push(rest);
            }
            return Ok(true);
        }
        if !fault.may_be_content && self.tail.is_empty() {
            // It is down: what is in hand is read again when that may be over.
            self.rest = Some(self.note_failure(fault).await);
            return Ok(false);
        }
        if !fault.may_be_content {
            work.0.push(part);
            return self.wait_after(fault).await.map(|()| true);
        }
        part.broken += 1;
        // Some of it may have been taken.
        self.before.comes_again();
        part.is_new = false;
        if part.is_probe {
            work.put_back(part);
        } else if !part.is_single() && part.broken >= BROKEN_SPLIT {
            work.halve(part);
        } else if !part.is_single() || part.broken < BROKEN_PARK {
            work.0.push(part);
        } else if part.is_proven || load.lies(part.range.start).is_some() {
            self.state.facts.attempted(fault.outcome);
            let refusal = Refusal::new(fault.what.clone(), "");
            return self.park(load, part.range.start, refusal, part.attempts).await;
        } else if !work.probe(part, |one, other| load.key(one) == load.key(other)) {
            self.wait_after(fault).await?;
            return Ok(false);
        }
        self.wait_after(fault).await.map(|()| true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(work: &Work) -> Vec<Range<usize>> {
        work.0.iter().rev().map(|part| part.range.clone()).collect()
    }

    #[test]
    fn halves_and_probes_keep_every_event_once() {
        let mut work = Work(vec![Part::new(0..7)]);
        let part = work.0.pop().expect("a part");
        work.halve(part);
        assert_eq!(ranges(&work), [0..3, 3..7]);
        let part = work.0.pop().expect("a part");
        work.halve(part);
        assert_eq!(ranges(&work), [0..1, 1..3, 3..7]);
        let suspect = work.0.pop().expect("a part");
        assert!(work.probe(suspect, |_, _| false));
        assert_eq!(ranges(&work), [1..2, 0..1, 2..3, 3..7]);
        let probe = work.0.pop().expect("a part");
        work.put_back(probe);
        assert_eq!(ranges(&work), [0..1, 1..2, 2..3, 3..7]);
        let mut alone = Work(Vec::new());
        assert!(!alone.probe(Part::new(0..1), |_, _| false));
        let mut alike = Work(vec![Part::new(1..5)]);
        assert!(!alike.probe(Part::new(0..1), |_, _| true));
        assert_eq!(ranges(&alike), [0..1, 1..5]);
        alike.0.pop();
        assert!(alike.probe(Part::new(0..1), |_, other| other < 3));
        assert_eq!(ranges(&alike), [3..4, 0..1, 1..3, 4..5]);
        let probe = alike.0.pop().expect("a part");
        alike.put_back(probe);
        assert_eq!(ranges(&alike), [0..1, 1..3, 3..4, 4..5]);
        assert_eq!((alone.0.len(), alone.0[0].range.clone()), (1, 0..1));
    }
}
