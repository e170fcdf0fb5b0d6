//! The rules of a lane's destination at work. In: an event. Out: whether it is wanted, counted when that cannot be
//! said; what is sent instead of it, or why there is none; and what an answer says of the pace.

use std::ops::Range;
use std::time::Duration;

use tokio::time::Instant;

use super::Lane;
use super::state::State;
use crate::event::Event;
use crate::forward::Destination;
use crate::forward::load::{Item, Load};
use crate::forward::rules::told;
use crate::forward::sinks::{Answer, Said};
use crate::forward::trail::Trail;
use crate::id::Uuid;
use crate::shelf::{Attempt, Places};
use crate::spool::Kept;
use crate::telemetry::forward::Outcome;
use crate::telemetry::notes::Notes;

/// Of an attempt with events from here and there so many parts are remembered.
const RUNS_MAX: usize = 32;

/// Whether an event is one of those the destination gets; an expression that fails does not hold.
pub(super) fn wants(
    destination: &Destination,
    (state, notes): (&State, &Notes),
    (kept, event): (&Kept, &Event),
) -> bool {
    if !destination.wants(kept, event) {
        return false;
    }
    let Some(condition) = &destination.condition else { return true };
    condition.holds(&event.json).unwrap_or_else(|fault| {
        state.facts.condition_failed();
        let what = told(&fault);
        if notes.condition_failed(destination.id(), &what) == 1 {
            let destination = &state.name;
            tracing::warn!(destination, fault = what, "`where` fails: such events do not match");
        }
        false
    })
}

impl Lane {
    /// Sends a range, and lets the pace follow from what comes back.
    pub(super) async fn send(&mut self, load: &Load, range: Range<usize>) -> Answer {
        self.before.goes(load, range.clone());
        let started = Instant::now();
        let answer = self.sink.send(load, range.clone()).await;
        let told = (self.sink.closed(), self.sink.said());
        self.note_answer(load, range, &answer, started.elapsed(), told);
        answer
    }

    /// Remembers an answer, and lets the pace follow from it.
    pub(super) fn note_answer(
        &mut self,
        load: &Load,
        range: Range<usize>,
        answer: &Answer,
        took: Duration,
        (closed, said): (Option<Duration>, Said),
    ) {
        let (outcome, what) = match answer {
            Answer::Taken => (Outcome::Taken, ""),
            Answer::Refused(refusal) => (Outcome::Refused, refusal.reason.as_str()),
            Answer::Failed(fault) => (fault.outcome, fault.what.as_str()),
        };
        let is_taken = matches!(answer, Answer::Taken);
        if is_taken {
            self.log_taken(load, &range);
        } else {
            let is_alone = range.len() == 1;
            range.clone().for_each(|place| self.tries.add(load.at(place), is_alone));
        }
        self.note_attempt(load, range, took, (is_taken, what, said));
        if let Some(share) = self.pace.answered(outcome, took, closed) {
            self.state.facts.goes_at(share);
            self.notes.goes_at(self.id, share);
        }
    }

    /// Says in the log which event was taken, where it was one alone and anybody wants to know.
    fn log_taken(&self, load: &Load, range: &Range<usize>) {
        if tracing::enabled!(tracing::Level::DEBUG)
            && let Some(trail) = Trail::of_one(load, range)
        {
            let (destination, (event_id, request_id)) = (&self.state.name, trail.texts());
            tracing::debug!(destination, event_id, request_id, "an event was taken");
        }
    }

    /// Remembers an attempt for whoever asks what became of an event.
    pub(super) fn note_attempt(
        &self,
        load: &Load,
        range: Range<usize>,
        took: Duration,
        (is_taken, what, said): (bool, &str, Said),
    ) {
        let (alone, count) = (range.len() == 1, range.len() as u32);
        // The parts of one attempt are known by their moment.
        let at = self.notices.clock().now();
        let note = |(frames, places): ((u64, u64), Places), event: Option<Uuid>| {
            self.shelf.tried(&Attempt {
                destination: self.id,
                frames,
                places,
                event,
                at,
                took,
                events: count,
                batch: said.batch,
                is_taken,
                status: said.status,
                what: what.to_owned(),
            });
        };
        for run in load.runs(range).take(RUNS_MAX) {
            let frames = run.first().zip(run.last());
            let frames = frames.map(|(first, last)| (first.spot().0, last.spot().0));
            let each = |item: &Item| note(Default::default(), Some(item.event().id));
            match frames.unwrap_or_default() {
                (0, _) => run.iter().for_each(each),
                _ if alone => run.iter().for_each(each),
                frames => {
                    let places = run.iter().map(|item| item.spot().1);
                    note((frames, places.fold(Places::default(), Places::with)), None);
                }
            }
        }
    }

    /// Makes what is sent instead of an event, if anything is.
    pub(super) fn reshape(&self, load: &Load, place: usize) -> Result<(), String> {
        let Some(reshaping) = &self.destination.reshaping else { return Ok(()) };
        if load.has_text(place) {
            return Ok(());
        }
        let text = reshaping.text(&load.at(place).1.json);
        text.map(|text| load.set_text(place, text))
            .map_err(|fault| format!("body: {}", told(&fault)))
    }
}
