//! Replayed events for one destination alone. In: events of a slice, and the destination's record. Out: the events
//! where its lane takes what goes out again, so that they go as all it gets: its address, papers, form, pace, retries
//! and order. Audited before it is so. Half of the room that nothing refused takes stays for what is refused meanwhile.

use serde_json::{Value, json};

use super::replay::Slice;
use crate::api::parked::enabled;
use crate::api::problem::Problem;
use crate::api::{Api, Call};
use crate::catalogue::{self, DESTINATION, Fault, REPLAYED, Values};
use crate::event::Event;
use crate::filter::Seen;
use crate::id::Uuid;
use crate::shelf::{Aside, BYTES_MAX, Counts, EVENTS_MAX, Key, Standing};
use crate::spool::Frame;
use crate::store::Record;

/// Why an event lies there.
const REPLAY: &str = "replayed, for this destination alone";
/// Events and bytes of one slice, at most, with the one that ends it.
const SLICE_EVENTS: u64 = 500;
const SLICE_BYTES: u64 = 16 << 20;

impl Api {
    /// The destination that a replay is for.
    pub(super) async fn receiver(&self, call: &Call, values: &Values) -> Result<Record, Problem> {
        let fault = |says: &str| {
            let says = format!("Value error, {says}");
            Problem::Invalid(vec![Fault::new("value_error", &["body", "destination_id"], says)])
        };
        let id = values.get("destination_id").and_then(Value::as_str).map(Uuid::parse_str);
        let Some(Ok(id)) = id else { return Err(fault("the mode send needs one")) };
        let found = self.store.records(vec![id]).await?.pop().filter(|record| {
            record.kind.name == DESTINATION.name && record.workspace == call.workspace()
        });
        let found = found.ok_or_else(|| fault("no destination of this workspace has this id"))?;
        enabled(&found)?;
        Ok(found)
    }

    /// How many events are on their way there, when those are as many as may: they have to arrive first. What waits for
    /// somebody to say what becomes of it is not waited for.
    pub(super) async fn filled(&self, destination: &Record) -> Result<Option<u64>, Problem> {
        let (all, due) = self.shelf.counts_and_due(destination.id).await?;
        Ok(is_filled(all, due).then_some(due.events))
    }

    /// Hands a slice's events to a destination's lane; how many did not lie there before.
    pub(super) async fn send_onward(
        &self,
        call: &Call,
        mut tells: Value,
        slice: &mut Slice,
        destination: &Record,
    ) -> Result<usize, Problem> {
        let events: Vec<Event> = slice.take_events();
        let (now, made) = (self.clock.now(), events.len());
        let aside = |event: Event| Aside {
            name: destination.text("name").to_owned(),
            key: key(call, destination, &event),
            standing: Standing::Due,
            account: call.account(),
            workspace: call.workspace(),
            received: now,
            parked: now,
            reason: REPLAY.to_owned(),
            attempts: 0,
            answer: None,
            hops: 0,
            event,
        };
        let all = events.into_iter().map(aside).collect();
        let pending = self.shelf.sending(destination.id, all).await?;
        let new = usize::try_from(*pending.did()).unwrap_or(made);
        if new == 0 {
            return Ok(0);
        }
        tells["emitted"] = new.into();
        tells["known"] = (made - new).into();
        tells["destination"] = json!({ "id": destination.id, "name": destination.text("name") });
        let told = catalogue::operated(&call.scene, &REPLAYED, &tells, now, self.mint(now));
        let frame = Frame::encode(call.account(), call.workspace(), now, &[told], None);
        self.events.spool.append(frame).await?;
        pending.commit().await?;
        Ok(new)
    }
}

/// Whether what is on its way takes more than half of the room that the rest leaves it, or leaves none for a slice.
fn is_filled(all: Counts, due: Counts) -> bool {
    let is_much = |all: u64, due: u64, slice: u64, most: u64| {
        let lying = all.saturating_sub(due);
        due > most.saturating_sub(lying) / 2 || all + slice > most
    };
    due.events > 0
        && (is_much(all.events, due.events, SLICE_EVENTS, EVENTS_MAX)
            || is_much(all.bytes, due.bytes, SLICE_BYTES, BYTES_MAX))
}

/// Whose turn it is there, as the lane says it.
fn key(call: &Call, destination: &Record, event: &Event) -> Key {
    let seen = Seen::read(&event.json).filter(|_| destination.text("ordering") != "none");
    let (account, workspace) = (call.account(), call.workspace());
    match seen {
        Some(seen) => Key::new(account, workspace, &seen.resource().id()),
        None => Key::alone(account, workspace, event.id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_on_its_way_is_waited_for() {
        let filled = |all: u64, due: u64| {
            is_filled(Counts { events: all, bytes: 0 }, Counts { events: due, bytes: 0 })
        };
        assert!(!filled(0, 0) && !filled(5000, 5000) && filled(5001, 5001));
        // Whatever lies there and waits for somebody: nobody waits for that.
        assert!(!filled(6000, 0) && !filled(10_000, 0));
        assert!(!filled(6000 + 2000, 2000) && filled(6000 + 2001, 2001));
        assert!(filled(9600, 1), "a slice would not fit");
        let bytes = |all: u64, due: u64| {
            is_filled(Counts { events: 9, bytes: all }, Counts { events: 1, bytes: due })
        };
        assert!(
            !bytes(BYTES_MAX / 2, BYTES_MAX / 2) && bytes(BYTES_MAX / 2 + 1, BYTES_MAX / 2 + 1)
        );
        assert!(!bytes(BYTES_MAX * 3 / 4, 1) && bytes(BYTES_MAX - SLICE_BYTES + 1, 1));
    }
}
