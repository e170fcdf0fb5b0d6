//! The rules of a lane's destination at work. In: an event. Out: whether it is wanted, counted when that cannot be
//! said; what is sent instead of it, or why there is none; and what an answer says of the pace.

use std::ops::Range;
use std::time::Instant;

use super::Lane;
use crate::event::Event;
use crate::forward::load::Load;
use crate::forward::rules::told;
use crate::forward::sinks::Answer;
use crate::spool::Kept;
use crate::telemetry::forward::Outcome;

impl Lane {
    /// Whether an event is one of those the destination gets; an expression that fails does not hold.
    pub(super) fn wants(&self, kept: &Kept, event: &Event) -> bool {
        if !self.destination.wants(kept, event) {
            return false;
        }
        let Some(condition) = &self.destination.condition else { return true };
        condition.holds(&event.json).unwrap_or_else(|fault| {
            self.state.facts.condition_failed();
            let what = told(&fault);
            if self.notes.condition_failed(self.id, &what) == 1 {
                let destination = &self.state.name;
                tracing::warn!(
                    destination,
                    fault = what,
                    "`where` fails: such events do not match"
                );
            }
            false
        })
    }

    /// Sends a range, and lets the pace follow from what comes back.
    pub(super) async fn send(&mut self, load: &Load, range: Range<usize>) -> Answer {
        let started = Instant::now();
        let answer = self.sink.send(load, range).await;
        let outcome = match &answer {
            Answer::Taken => Outcome::Taken,
            Answer::Refused(_) => Outcome::Refused,
            Answer::Failed(fault) => fault.outcome,
        };
        let share = self.pace.answered(outcome, started.elapsed(), self.sink.closed());
        if !self.destination.pacing.is_empty() {
            self.state.facts.goes_at(share);
            self.notes.goes_at(self.id, share);
        }
        answer
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
