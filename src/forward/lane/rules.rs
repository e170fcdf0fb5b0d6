//! The rules of a lane's destination at work. In: an event. Out: whether it is wanted, counted when that cannot be
//! said; and what is sent instead of it, or why there is none.

use super::Lane;
use crate::event::Event;
use crate::forward::load::Load;
use crate::forward::rules::told;
use crate::spool::Kept;

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
