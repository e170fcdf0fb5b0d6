//! One batch until nothing of it is left: each event taken or parked. In: a range of events in hand. Out: when it is
//! over. A refused part is halved until one event is left, and that is parked; after 500s a part is halved too, but an
//! event is parked only once the destination has taken one of another key meanwhile. Nothing overtakes an event of its
//! own key.

use std::collections::HashSet;
use std::hash::Hash;
use std::ops::Range;
use std::time::Instant;

use super::confirm::{Doubt, Share};
use super::{Lane, REFUSED_IN_A_ROW_MAX, Stopped};
use crate::forward::load::Load;
use crate::forward::sinks::{Answer, Fault, Refusal};
use crate::forward::trail::Trail;
use crate::telemetry::forward::Outcome;

/// 500s, or lost connections, after which a part is halved.
const BROKEN_SPLIT: u32 = 3;
/// 500s after which a single event may be to blame.
const BROKEN_PARK: u32 = 8;
/// The same with one proof alone.
const BROKEN_ALONE: u32 = 24;
/// So often the destination takes something else in between before an event is to blame: one may be the only thing
/// that it took between two outages.
const PROOFS: u32 = 2;

/// Most events, and bytes of them, that one is compared with that broke the destination when there was no other.
pub(super) const COMPARED_MAX: usize = 256;
pub(super) const COMPARED_MAX_BYTES: usize = 16 << 20;

/// An event that failed alone, and what speaks against it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suspect {
    spot: (u64, u32),
    broken: u32,
    proofs: u32,
}

/// A part of a batch that is still to be sent.
#[derive(Clone, Debug)]
struct Part {
    range: Range<usize>,
    /// How often its events went out.
    attempts: u32,
    /// How often the answer was 500.
    broken: u32,
    /// How often the destination took something else since the first of them, and it failed again.
    proofs: u32,
    /// It is sent before its turn, to see whether the destination takes anything at all.
    is_probe: bool,
    /// It was, and if it is still here, that failed.
    was_probe: bool,
    /// The destination was asked, and does not say that it keeps it.
    is_new: bool,
}

impl Part {
    fn new(range: Range<usize>) -> Self {
        Self {
            range,
            attempts: 0,
            broken: 0,
            proofs: 0,
            is_probe: false,
            was_probe: false,
            is_new: false,
        }
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
        // What was taken before says nothing of each half.
        let (first, rest) = Part { proofs: 0, ..part }.split(half);
        self.0.push(rest);
        self.0.push(first);
    }

    /// Something was taken: whatever met a 500 before is under suspicion now.
    fn prove(&mut self) {
        for part in self.0.iter_mut().filter(|part| part.broken > 0) {
            if part.proofs == 0 {
                // It has some more to fail, now that the destination is there.
                (part.proofs, part.broken) = (1, part.broken.min(BROKEN_SPLIT));
            } else if part.broken >= BROKEN_PARK {
                part.proofs = PROOFS;
            }
        }
    }

    /// Each alone, to be compared with the suspect, if it is among them.
    fn compare(batch: Range<usize>, at: Option<usize>, suspect: Suspect) -> Self {
        let Suspect { broken, proofs, .. } = suspect;
        let part = |place| match Part::new(place..place + 1) {
            part if Some(place) == at => Part { broken, proofs, ..part },
            part => part,
        };
        Self(batch.rev().map(part).collect())
    }

    /// Whether an event is still to be sent that goes alone.
    fn has(&self, place: usize) -> bool {
        self.0.iter().any(|part| part.range.start == place)
    }

    /// One was parked by that, or the destination takes nothing: the others need other proofs.
    fn unprove(&mut self) {
        for part in &mut self.0 {
            part.proofs = 0;
        }
    }

    /// Whether another was tried in between, and failed, too.
    fn has_failed(&self) -> bool {
        self.0.iter().any(|part| part.was_probe)
    }

    /// Puts an event of another key behind `suspect` in front of it, the first that may overtake what is between and
    /// has not failed so before; the suspect when there is none.
    fn probe<K: Eq + Hash>(&mut self, suspect: Part, key: impl Fn(usize) -> K) -> Option<Part> {
        let mut before = HashSet::from([key(suspect.range.start)]);
        let mut found = None;
        let behind = self.0.iter().enumerate().rev();
        for (at, place) in behind.flat_map(|(at, part)| part.range.clone().map(move |to| (at, to)))
        {
            if before.insert(key(place)) && !self.0[at].was_probe {
                found = Some((at, place));
                break;
            }
        }
        let Some((at, place)) = found else { return Some(suspect) };
        let part = self.0.remove(at);
        let start = part.range.start;
        let (passed, rest) = part.split(place - start);
        let (mut first, rest) = rest.split(1);
        let left = [rest, passed].into_iter().filter(|part| !part.range.is_empty());
        self.0.splice(at..at, left);
        (first.is_probe, first.was_probe) = (true, true);
        self.0.push(suspect);
        self.0.push(first);
        None
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
        let suspect = self.suspect.filter(|_| answered.is_none());
        let at = |spot| batch.clone().find(|place| load.item(*place).spot() == spot);
        let compared = suspect.and_then(|suspect| at(suspect.spot));
        let mut work = match suspect {
            Some(suspect) => Work::compare(batch, compared, suspect),
            None => Work(vec![Part::new(batch)]),
        };
        while let Some(mut part) = work.0.pop() {
            let is_over =
                compared.is_some_and(|place| part.range.start != place && !work.has(place));
            // What was acknowledged, and is not known to be kept, would be read again, too.
            if is_over && self.tail.is_empty() {
                // The suspect is done with: the others go together again.
                self.suspect = None;
                self.go_back(&Load::default());
                return Ok(false);
            }
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
            if suspect.is_some()
                && let Err((refusal, attempts)) = self.check(load, part.range.start)
            {
                if !self.park(load, part.range.start, refusal, attempts).await? {
                    return Ok(false);
                }
                continue;
            }
            if !part.is_new && !self.backoff.is_open() && self.is_doubtful(load, part.range.clone())
            {
                self.follow_signal()?;
                let asked = Instant::now();
                match self.look_for(load, part.range.clone()).await {
                    Share::All => self.found(load, part.range, asked.elapsed()),
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
        self.suspect = self.suspect.filter(|_| suspect.is_none());
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
        // What fails again and again is to blame itself, not the destination.
        let is_to_blame =
            fault.may_be_content && self.tries.of(load.at(part.range.start)) > BROKEN_SPLIT;
        let is_doubtful = self.casts_doubt(fault) && !is_to_blame;
        if is_doubtful || !fault.may_be_content && fault.outcome != Outcome::Throttled {
            self.hearing.failed();
        }
        if is_doubtful {
            self.doubt = Some(Doubt::PutDown);
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
        let spot = load.item(part.range.start).spot();
        if let Some(suspect) = self.suspect.as_mut().filter(|suspect| suspect.spot == spot) {
            (suspect.broken, suspect.proofs) = (part.broken, part.proofs);
        }
        if part.is_probe {
            if self.tries.alone(load.at(part.range.start)) <= BROKEN_SPLIT {
                // The destination may take nothing any more; one that failed so before says nothing of that.
                self.unprove(work);
            }
            work.put_back(part);
        } else if !part.is_single() && part.broken >= BROKEN_SPLIT {
            work.halve(part);
        } else if !part.is_single() || part.broken < BROKEN_PARK {
            work.0.push(part);
        } else if part.proofs >= PROOFS || load.lies(part.range.start).is_some() {
            return self.park_broken(load, part, fault, work).await;
        } else if let Some(part) = work.probe(part, |place| load.key(place)) {
            // There is none.
            if part.proofs > 0 && part.broken >= BROKEN_ALONE && !work.has_failed() {
                return self.park_broken(load, part, fault, work).await;
            }
            // Others come along the next time, each alone.
            self.go_back(&Load::default());
            self.suspect = Some(Suspect { spot, broken: part.broken, proofs: part.proofs });
            self.looks_first = true;
            self.wait_after(fault).await?;
            return Ok(false);
        }
        self.wait_after(fault).await.map(|()| true)
    }

    /// What was taken so far proves nothing any more.
    fn unprove(&mut self, work: &mut Work) {
        work.unprove();
        if let Some(suspect) = &mut self.suspect {
            suspect.proofs = 0;
        }
    }

    /// An event breaks the destination, and others do not; `false`: there was no room for it.
    async fn park_broken(
        &mut self,
        load: &Load,
        part: Part,
        fault: &Fault,
        work: &mut Work,
    ) -> Result<bool, Stopped> {
        let refusal = Refusal::new(fault.what.clone(), "");
        if part.proofs > 0 {
            self.unprove(work);
        }
        let is_done = self.park(load, part.range.start, refusal, part.attempts).await?;
        if is_done {
            self.wait_after(fault).await?;
        }
        Ok(is_done)
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
        assert!(work.probe(suspect, |place| place).is_none());
        assert_eq!(ranges(&work), [1..2, 0..1, 2..3, 3..7]);
        let probe = work.0.pop().expect("a part");
        work.put_back(probe);
        assert_eq!(ranges(&work), [0..1, 1..2, 2..3, 3..7]);
        let mut alone = Work(Vec::new());
        assert!(alone.probe(Part::new(0..1), |place| place).is_some());
        let mut alike = Work(vec![Part::new(1..5)]);
        assert!(alike.probe(Part::new(0..1), |_| 0).is_some());
        assert_eq!(alike.0[0].range, 1..5);
        assert!(alike.probe(Part::new(0..1), |place| place.max(2)).is_none());
        assert_eq!(ranges(&alike), [3..4, 0..1, 1..3, 4..5]);
        let probe = alike.0.pop().expect("a part");
        alike.put_back(probe);
        assert_eq!(ranges(&alike), [0..1, 1..3, 3..4, 4..5]);
        assert!(alone.0.is_empty());
        // One that failed is not the next probe; nothing overtakes an event of its own key.
        let mut many = Work(vec![Part::new(1..6)]);
        let key = |place| [0, 1, 2, 2, 1, 5][place];
        for found in [1..2, 2..3, 5..6] {
            assert!(many.probe(Part::new(0..1), key).is_none());
            let probe = many.0.pop().expect("a part");
            assert_eq!(probe.range, found);
            many.put_back(probe);
            many.0.pop();
        }
        assert_eq!(ranges(&many), [1..2, 2..3, 3..5, 5..6]);
        assert!(many.probe(Part::new(0..1), key).is_some());
    }
}
