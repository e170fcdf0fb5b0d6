//! One batch until nothing of it is left: each event taken or parked. In: a range of events in hand. Out: when it is
//! over. A refused part is halved until one event is left, and that is parked; after 500s a part is halved too, but an
//! event is parked only once the destination has taken another one meanwhile.

use std::ops::Range;

use super::{Lane, REFUSED_IN_A_ROW_MAX, Stopped};
use crate::forward::load::Load;
use crate::forward::sinks::{Answer, Fault, Refusal};
use crate::telemetry::forward::Outcome;

/// 500s after which a part is halved.
const BROKEN_SPLIT: u32 = 3;
/// 500s after which a single event may be to blame.
const BROKEN_PARK: u32 = 8;

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
}

impl Part {
    fn new(range: Range<usize>) -> Self {
        Self { range, attempts: 0, broken: 0, is_proven: false, is_probe: false }
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

    /// The first event that is not done.
    fn start(&self, end: usize) -> usize {
        self.0.iter().map(|part| part.range.start).min().unwrap_or(end)
    }

    /// Something was taken: whatever met a 500 before is under suspicion now.
    fn prove(&mut self) {
        for part in self.0.iter_mut().filter(|part| part.broken > 0) {
            part.is_proven = true;
        }
    }

    /// Puts the event behind `suspect` in front of it; `false` when there is none.
    fn probe(&mut self, suspect: Part) -> bool {
        let next = self.0.pop();
        let found = next.is_some();
        if let Some(next) = next {
            let (mut first, rest) = next.split(1);
            if !rest.range.is_empty() {
                self.0.push(rest);
            }
            first.is_probe = true;
            self.0.push(suspect);
            self.0.push(first);
        } else {
            self.0.push(suspect);
        }
        found
    }

    /// A probe failed: it goes back behind the suspect.
    fn put_back(&mut self, mut probe: Part) {
        let suspect = self.0.pop();
        probe.is_probe = false;
        self.0.push(probe);
        self.0.extend(suspect);
    }
}

impl Lane {
    /// Sends a batch; `false`: it must be read again together with what is behind it.
    pub(super) async fn deliver(
        &mut self,
        load: &Load,
        batch: Range<usize>,
    ) -> Result<bool, Stopped> {
        let mut work = Work(vec![Part::new(batch.clone())]);
        while let Some(part) = work.0.pop() {
            let count = self.pass(part.range.len()).await?;
            self.follow_signal()?;
            let (mut part, rest) = part.split(count);
            if !rest.range.is_empty() {
                work.0.push(rest);
            }
            part.attempts += 1;
            match self.sink.send(load, part.range.clone()).await {
                Answer::Taken => {
                    self.taken(load, part.range);
                    work.prove();
                }
                Answer::Refused(refusal) => self.refuse(load, part, refusal, &mut work).await?,
                Answer::Failed(fault) => {
                    if !self.fail(load, part, &fault, &mut work).await? {
                        return Ok(false);
                    }
                }
            }
            self.release(load, work.start(batch.end));
        }
        Ok(true)
    }

    /// The content of a part was refused.
    async fn refuse(
        &mut self,
        load: &Load,
        part: Part,
        refusal: Refusal,
        work: &mut Work,
    ) -> Result<(), Stopped> {
        if !part.is_single() {
            self.state.facts.attempted(Outcome::Refused);
            work.halve(part);
            return Ok(());
        }
        if self.refused_in_a_row >= REFUSED_IN_A_ROW_MAX {
            let what = format!("{} to each event: it is not the events", refusal.reason);
            work.0.push(part);
            return self.wait_after(&Fault::lasting(Outcome::Refused, what)).await;
        }
        self.state.facts.attempted(Outcome::Refused);
        self.refused_in_a_row += 1;
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
        if !fault.may_be_content {
            work.0.push(part);
            return self.wait_after(fault).await.map(|()| true);
        }
        part.broken += 1;
        if part.is_probe {
            work.put_back(part);
        } else if !part.is_single() && part.broken >= BROKEN_SPLIT {
            work.halve(part);
        } else if !part.is_single() || part.broken < BROKEN_PARK {
            work.0.push(part);
        } else if part.is_proven {
            self.state.facts.attempted(fault.outcome);
            let refusal = Refusal { reason: fault.what.clone(), answer: String::new() };
            self.park(load, part.range.start, refusal, part.attempts).await?;
            return Ok(true);
        } else if !work.probe(part) {
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
        assert!(work.probe(suspect));
        assert_eq!(ranges(&work), [1..2, 0..1, 2..3, 3..7]);
        assert_eq!(work.start(7), 0, "the cursor waits for the suspect");
        let probe = work.0.pop().expect("a part");
        work.put_back(probe);
        assert_eq!(ranges(&work), [0..1, 1..2, 2..3, 3..7]);
        let mut alone = Work(Vec::new());
        assert!(!alone.probe(Part::new(0..1)));
        assert_eq!((alone.0.len(), alone.start(9)), (1, 0));
    }
}
