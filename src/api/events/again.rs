//! Events published once more. A client that is not sure sends an event again, and the first of its id stays, as it
//! does in a Prefect server; so it is no fault, and no reply says more. One that says something else under a known id
//! is one all the same: counted and logged. In: events before they are kept. Out: facts, a line; never a reply.

use std::sync::Arc;

use super::super::Api;
use super::place::Place;
use crate::event::Event;
use crate::telemetry::events::{Outcome, Transport};

/// Most events of one batch that are looked at.
const LOOKS_MAX: usize = 16;

/// Known events of a batch, and where the first of each lies.
pub(super) type Known = Vec<(u64, Event)>;

impl Api {
    /// Those of a batch whose ids were there before.
    pub(super) fn published_before(&self, place: &Place, events: &[Event]) -> Known {
        let find = |event: &Event| {
            let sequence =
                self.events.spool.sequence_of(place.account, place.workspace, event.id)?;
            Some((sequence, event.clone()))
        };
        events.iter().filter_map(find).take(LOOKS_MAX).collect()
    }

    /// Counts and tells those that say something else than the first of their id; nobody waits for that.
    pub(super) fn note_differing(&self, transport: Transport, known: Known) {
        if known.is_empty() {
            return;
        }
        let (mut picker, facts) = (self.events.spool.picker(), Arc::clone(&self.events.facts));
        let (damper, epoch) = (Arc::clone(&self.events.differing), self.events.epoch);
        tokio::task::spawn_blocking(move || {
            for (sequence, event) in known {
                let Ok(Some(kept)) = picker.take(sequence) else { continue };
                let first = kept.events.iter().find(|one| one.id == event.id);
                if first.is_none_or(|first| first.digest() == event.digest()) {
                    continue;
                }
                facts.published(transport, Outcome::Differing, 1);
                if let Some(count) = damper.speak(epoch.elapsed()) {
                    let event_id = event.id;
                    tracing::warn!(count, %event_id, "published again with other content: the first stays");
                }
            }
        });
    }
}
