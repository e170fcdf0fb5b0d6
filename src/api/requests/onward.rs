//! Replayed events for one destination alone. In: events of a slice, and the destination's record. Out: the events
//! where its lane takes what goes out again, so that they go as all it gets: its address, papers, form, pace, retries
//! and order. Audited before it is so. Half of the room there stays for what is refused meanwhile.

use serde_json::{Value, json};

use super::replay::Slice;
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
        if !found.flag("enabled") {
            return Err(Problem::Conflict(
                "The destination is disabled: enable it first".to_owned(),
            ));
        }
        Ok(found)
    }

    /// Whether as much waits there as may: what is on its way has to arrive first.
    pub(super) async fn is_filled(&self, destination: &Record) -> Result<bool, Problem> {
        let Counts { events, bytes } = self.shelf.counts(destination.id).await?;
        Ok(events > EVENTS_MAX / 2 || bytes > BYTES_MAX / 2)
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

/// Whose turn it is there, as the lane says it.
fn key(call: &Call, destination: &Record, event: &Event) -> Key {
    let seen = Seen::read(&event.json).filter(|_| destination.text("ordering") != "none");
    let text = match seen {
        Some(seen) => seen.resource().id().into_owned(),
        None => format!("event {}", event.id),
    };
    Key::new(call.account(), call.workspace(), &text)
}
