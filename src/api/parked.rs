//! What a destination did not take. In: which of it. Out: the events with the reason and the last answer; or word that
//! they go out again, or are let go of. Both are audited before they are so, and undone when they cannot be: what is
//! audited is what happened, whatever else is asked meanwhile.

use serde_json::{Value, json};

use super::change::note;
use super::problem::Problem;
use super::question::reply;
use super::{Api, Call};
use crate::accept::Reply;
use crate::catalogue::{Fault, LIST_MAX, Values, is_id};
use crate::event;
use crate::filter::Filter;
use crate::shelf::{Asked, Called, Gone, Lying, ShelfError, Standing};
use crate::store::{Record, StoreError};

/// Most events that one call lets go of.
const DISCARD_MAX: u64 = 1000;
/// Bytes of events after which a list ends, however many were asked for.
const LIST_MAX_BYTES: usize = 8 << 20;

impl From<ShelfError> for Problem {
    fn from(fault: ShelfError) -> Self {
        match fault {
            ShelfError::Full { events, .. } => Self::Conflict(format!(
                "As much lies parked for the destination as may ({events} events): retry or discard some"
            )),
            fault => Self::Shelf(fault.to_string()),
        }
    }
}

/// Refuses a destination to which nothing goes.
pub(super) fn enabled(destination: &Record) -> Result<(), Problem> {
    if destination.flag("enabled") {
        return Ok(());
    }
    Err(Problem::Conflict("The destination is disabled: enable it first".to_owned()))
}

impl Api {
    /// Tells what lies parked for a destination, in the order it came.
    pub(super) async fn parked(&self, call: &Call, values: &Values) -> Result<Reply, Problem> {
        let destination = self.record(call).await?;
        let count = |name, absent| values.get(name).and_then(Value::as_u64).unwrap_or(absent);
        let (limit, offset) = (count("limit", LIST_MAX), count("offset", 0));
        let asked = Asked { destination: Some(destination.id), ..self.asked(values)? };
        let lying = self.shelf.list(asked, limit, offset).await?;
        let mut bytes = 0;
        let within = lying.iter().take_while(|one| {
            let fits = bytes < LIST_MAX_BYTES;
            bytes += one.aside.event.json.len();
            fits
        });
        Ok(reply(call, &within.map(told).collect::<Vec<_>>().into()))
    }

    /// Tells one event that lies parked.
    pub(super) async fn parked_event(&self, call: &Call) -> Result<Reply, Problem> {
        let destination = Some(self.record(call).await?.id);
        let ids = Some(vec![call.part("event").ok_or(Problem::NotFound)?]);
        let found = self.shelf.list(Asked { destination, ids, ..Asked::default() }, 1, 0).await?;
        let told = found.first().map(told).ok_or(Problem::NotFound)?;
        Ok(reply(call, &told))
    }

    /// Sends parked events again.
    pub(super) async fn retry(&self, call: &Call, values: &Values) -> Result<Reply, Problem> {
        enabled(&self.record(call).await?)?;
        let asked = self.chosen(call, values).await?;
        let one = self.one_of(&asked).await?;
        let pending = self.shelf.retrying(asked).await?;
        let count = pending.did().count;
        if count > 0 {
            self.tell_of_parked(call, "retried", &json!({ "count": count })).await?;
        }
        let Called { on_their_way, waiting, behind, .. } = pending.commit().await?;
        log_one(one.filter(|_| count == 1), "a parked event goes out again");
        let told = json!({
            "count": count,
            "on_their_way": on_their_way,
            "waiting": waiting,
            "behind": behind.iter().map(ToString::to_string).collect::<Vec<_>>(),
        });
        Ok(reply(call, &told))
    }

    /// The event that is meant, when it is one alone: log lines say which it is.
    async fn one_of(&self, asked: &Asked) -> Result<Option<Lying>, Problem> {
        if asked.ids.as_ref().is_none_or(|ids| ids.len() != 1) {
            return Ok(None);
        }
        Ok(self.shelf.list(asked.clone(), 1, 0).await?.pop())
    }

    /// Lets go of parked events, for ever.
    pub(super) async fn discard(&self, call: &Call, values: &Values) -> Result<Reply, Problem> {
        let asked = self.chosen(call, values).await?;
        let one = self.one_of(&asked).await?;
        let pending = self.shelf.discarding(asked, DISCARD_MAX).await?;
        let Gone { ids, on_their_way } = pending.did();
        let (count, on_their_way) = (ids.len(), *on_their_way);
        if count > 0 {
            let texts: Vec<Value> = ids.iter().map(|id| id.to_string().into()).collect();
            let tells = json!({ "count": count, "events": texts });
            self.tell_of_parked(call, "discarded", &tells).await?;
        }
        pending.commit().await?;
        log_one(one.filter(|_| count == 1), "a parked event is let go of");
        Ok(reply(call, &json!({ "count": count, "on_their_way": on_their_way })))
    }

    async fn tell_of_parked(
        &self,
        call: &Call,
        action: &str,
        tells: &Value,
    ) -> Result<(), Problem> {
        let mut tries = self.tries(call.account());
        while tries.again().await {
            let destination = self.record(call).await?;
            let mut deed = self.deed(call);
            deed.tell(&destination, &[], action, tells);
            if deed.commit().await? {
                note(call, &destination);
                return Ok(());
            }
        }
        Err(StoreError::Stale.into())
    }

    /// Which events a body means: it must say so, if it means all.
    async fn chosen(&self, call: &Call, values: &Values) -> Result<Asked, Problem> {
        let destination = Some(self.record(call).await?.id);
        let asked = Asked { destination, ..self.asked(values)? };
        let is_all = values.get("all") == Some(&Value::Bool(true));
        if is_all == (asked.ids.is_some() || asked.reason.is_some() || asked.filter.is_some()) {
            let says = "Value error, say which: ids, a part of the reason, a filter, or all";
            return Err(Problem::Invalid(vec![Fault::new("value_error", &["body"], says)]));
        }
        Ok(asked)
    }

    /// What a body asks for.
    fn asked(&self, values: &Values) -> Result<Asked, Problem> {
        let ids = values.get("ids").and_then(Value::as_array);
        let id = |id: &Value| id.as_str().and_then(is_id);
        let reason = values.get("reason").and_then(Value::as_str).map(str::to_owned);
        let standing = match values.get("standing").and_then(Value::as_str) {
            Some("refused") => Some(Standing::Refused),
            Some("behind") => Some(Standing::Behind),
            Some("due") => Some(Standing::Due),
            _ => None,
        };
        let ids = ids.map(|ids| ids.iter().filter_map(id).collect());
        let filter = values.get("filter").unwrap_or(&Value::Null);
        let filter = Filter::of_events(filter, self.clock.now()).map_err(|why| {
            let says = format!("Value error, {why}");
            Problem::Invalid(vec![Fault::new("value_error", &["body", "filter"], says)])
        })?;
        Ok(Asked { destination: None, ids, reason, standing, filter })
    }
}

/// What was done to one event, in the log.
fn log_one(one: Option<Lying>, what: &'static str) {
    let Some(Lying { aside, .. }) = one else { return };
    let request_id = event::read_follows(&aside.event.json).map(|id| id.to_string());
    let (destination, event_id) = (&aside.name, aside.event.id);
    tracing::info!(destination, %event_id, request_id, "{what}");
}

fn told(lying: &Lying) -> Value {
    serde_json::to_value(lying.describe()).unwrap_or_default()
}
