//! Where events stand at each destination. In: events, and who asks. Out: for each destination what became of each:
//! taken, parked, let go of, not wanted, or still to come; what was tried, and what was answered. Destinations of the
//! workspace, and for who administrates the gateway's first account those of the operator; others hear of those only
//! how many there are, and that an event lies parked there.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::explain::Told;
use super::whose;
use crate::api::problem::Problem;
use crate::api::{Api, Call};
use crate::catalogue::{DESTINATION, LIST_MAX, Permission};
use crate::clock::Time;
use crate::filter::{Filter, Seen};
use crate::id::Uuid;
use crate::render::Condition;
use crate::shelf::{Asked, Attempt, Lying};
use crate::spool::{DISPATCHER, track_of};
use crate::store::{Query, Record};

/// Most parked events of one answer: a few for each destination.
const PARKED_MAX: u64 = 1000;
/// Who has this in the gateway's first account hears of the operator's destinations.
const ADMINISTRATE: Permission = Permission::Account("administrate:account");

/// A destination of the operator's: from flags, or the file of settings.
#[derive(Clone, Debug)]
pub struct Operated {
    /// What stands for it where attempts and parked events are kept.
    pub id: Uuid,
    /// Its address, without secrets.
    pub name: String,
    /// What its reader is called.
    pub track: String,
    /// An event counts once the destination is found to have stored it.
    pub confirms: bool,
    /// Only events for which this holds.
    pub condition: Option<Arc<Condition>>,
}

/// A destination, whoever named it.
pub(super) enum Lane<'a> {
    Workspace(Box<Record>),
    Operator(&'a Operated),
}

impl Lane<'_> {
    fn id(&self) -> Uuid {
        match self {
            Self::Workspace(record) => record.id,
            Self::Operator(operated) => operated.id,
        }
    }

    /// The id of its record; the operator's have none.
    pub(super) fn record_id(&self) -> Option<Uuid> {
        self.is_of_workspace().then(|| self.id())
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Workspace(record) => record.text("name"),
            Self::Operator(operated) => &operated.name,
        }
    }

    pub(super) fn is_of_workspace(&self) -> bool {
        matches!(self, Self::Workspace(_))
    }

    pub(super) fn is_of(&self, attempt: &Attempt) -> bool {
        attempt.destination == self.id()
    }

    pub(super) fn wants(&self, event: &Value, now: Time) -> Wants {
        match self {
            Self::Workspace(record) => wants(record, event, now),
            Self::Operator(operated) => {
                let text = Bytes::from(event.to_string());
                holds(operated.condition.as_deref(), &text)
            }
        }
    }

    /// Whether what is taken counts only once it is found stored.
    fn confirms(&self) -> bool {
        match self {
            Self::Workspace(record) => record.text("to").starts_with("prefect+"),
            Self::Operator(operated) => operated.confirms,
        }
    }

    /// Whether it has been another one since.
    fn is_changed_since(&self, at: Time) -> bool {
        matches!(self, Self::Workspace(record) if record.updated > at)
    }
}

impl Api {
    /// Whether a caller hears of the operator's destinations.
    async fn may_see_operators(&self, call: &Call) -> Result<bool, Problem> {
        let may = call.caller.as_ref().is_some_and(|caller| caller.powers.allow(ADMINISTRATE));
        Ok(may && self.store.oldest_account().await? == Some(call.account()))
    }

    /// The destinations that a caller hears of.
    pub(super) async fn lanes(&self, call: &Call) -> Result<Vec<Lane<'_>>, Problem> {
        let (account, workspace) = whose(call);
        let query = Query { limit: LIST_MAX, ..Query::new(&DESTINATION, account, Some(workspace)) };
        let records = self.store.list(query).await?;
        let mut lanes = Vec::new();
        if self.may_see_operators(call).await? {
            lanes.extend(self.options.operated.iter().map(Lane::Operator));
        }
        lanes.extend(records.into_iter().map(|record| Lane::Workspace(Box::new(record))));
        Ok(lanes)
    }

    /// Adds where events stand at each destination to an answer.
    pub(super) async fn tell_deliveries(
        &self,
        call: &Call,
        all: &[Told],
        answer: &mut Value,
    ) -> Result<(), Problem> {
        let (account, workspace) = whose(call);
        let lanes = self.lanes(call).await?;
        let ids: Vec<Uuid> = all.iter().filter_map(Told::id).collect();
        let asked = Asked { ids: Some(ids.clone()), ..Asked::default() };
        let mut lying = self.shelf.list(asked, PARKED_MAX, 0).await?;
        lying.retain(|one| (one.aside.account, one.aside.workspace) == (account, Some(workspace)));
        let gone = self.shelf.discarded(workspace, ids).await?;
        let wanted: Vec<_> =
            all.iter().map(|told| (told.spot(), told.id().unwrap_or_default())).collect();
        let fits =
            move |one: &Attempt| wanted.iter().any(|(spot, event)| one.is_about(*spot, *event));
        let attempts = self.shelf.attempts(fits).await?.found;
        let mut told = Vec::new();
        for event in all {
            for lane in &lanes {
                let (id, own) = (event.id(), lane.id());
                let parked = lying
                    .iter()
                    .find(|one| one.destination == own && Some(one.aside.event.id) == id);
                let tried = self.tried(lane, event, &attempts);
                let is_gone = id.is_some_and(|id| gone.contains(&(own, id)));
                let mut one = match parked {
                    Some(lying) => tell_parked(lying),
                    None if is_gone => json!({ "state": "discarded" }),
                    None => json!({ "state": self.state(lane, event, &tried) }),
                };
                one["destination_id"] =
                    lane.record_id().map_or(Value::Null, |id| id.to_string().into());
                one["destination"] = lane.name().into();
                one["event_id"] = event.event["id"].clone();
                one["tried"] = tried.into_iter().map(tell_attempt).collect();
                told.push(one);
            }
        }
        let is_foreign = |one: &&Lying| lanes.iter().all(|lane| lane.id() != one.destination);
        told.extend(lying.iter().filter(is_foreign).map(|one| {
            json!({
                "state": "parked", "destination_id": null, "destination": null,
                "event_id": one.aside.event.id, "parked": one.aside.parked.to_string(),
            })
        }));
        answer["deliveries"] = told.into();
        answer["operator_destinations"] = self.options.operated.len().into();
        Ok(())
    }

    /// What a destination was brought an event with. Several that went together are remembered by their frames: what is
    /// not wanted was not among them, unless the destination was another one then.
    fn tried<'a>(&self, lane: &Lane<'_>, told: &Told, attempts: &'a [Attempt]) -> Vec<&'a Attempt> {
        let (spot, id) = (told.spot(), told.id().unwrap_or_default());
        let own = attempts.iter().filter(|one| lane.is_of(one) && one.is_about(spot, id));
        let is_wanted = lane.wants(&told.event, self.clock.now()) == Wants::Yes;
        own.filter(|one| is_wanted || one.event.is_some() || lane.is_changed_since(one.at))
            .collect()
    }

    /// How far a destination is with an event that does not lie parked there.
    fn state(&self, lane: &Lane<'_>, told: &Told, tried: &[&Attempt]) -> &'static str {
        let spool = &self.events.spool;
        let (is_on, is_held, passed) = match lane {
            Lane::Operator(operated) => (true, false, spool.released(&operated.track)),
            Lane::Workspace(record) => {
                // One that sleeps has no place of its own: it is woken by who reads for all of them.
                let passed = spool.released(&track_of(record.id));
                let passed = passed.or_else(|| spool.released(DISPATCHER));
                (record.flag("enabled"), record.flag("hold"), passed)
            }
        };
        let is_behind = passed.zip(told.sequence).map(|(passed, sequence)| passed >= sequence);
        let is_taken = tried.iter().any(|one| one.is_taken);
        if is_taken && (!lane.confirms() || is_behind != Some(false)) {
            return "delivered";
        }
        if !is_on {
            return "disabled";
        }
        match lane.wants(&told.event, self.clock.now()) {
            Wants::Yes => {}
            Wants::No => return "not wanted",
            Wants::Fails => return "where fails",
        }
        match is_behind {
            Some(true) => "passed",
            Some(false) if is_held => "held",
            Some(false) => "waiting",
            None => "unknown",
        }
    }
}

/// What a destination's filter and expression say of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wants {
    Yes,
    No,
    /// The expression fails on this event.
    Fails,
}

/// Whether a destination's filter lets an event through, and its `where` after that.
fn wants(record: &Record, event: &Value, now: Time) -> Wants {
    let text = Bytes::from(event.to_string());
    if let Some(asked) = record.fields.get("filter").filter(|filter| !filter.is_null())
        && let Ok(mut filter) = Filter::read(asked, now)
    {
        if asked["occurred"]["since"].is_null() {
            filter.since = Time::from_micros(i64::MIN);
        }
        if Seen::read(&text).is_some_and(|seen| !filter.matches(&seen)) {
            return Wants::No;
        }
    }
    let expression = record.fields.get("where").and_then(Value::as_str);
    holds(expression.and_then(|text| Condition::compile(text).ok()).as_ref(), &text)
}

fn holds(condition: Option<&Condition>, text: &Bytes) -> Wants {
    match condition.map(|rule| rule.holds(text)) {
        None | Some(Ok(true)) => Wants::Yes,
        Some(Ok(false)) => Wants::No,
        Some(Err(_)) => Wants::Fails,
    }
}

pub(super) fn tell_attempt(attempt: &Attempt) -> Value {
    json!({
        "at": attempt.at.to_string(),
        "outcome": if attempt.is_taken { "taken" } else { "not taken" },
        "status": attempt.status,
        "answer": attempt.what,
        "seconds": attempt.took.as_secs_f64(),
        "events": attempt.events,
        "delivery_id": attempt.batch.map(super::sought::batch_id),
    })
}

fn tell_parked(lying: &Lying) -> Value {
    let aside = &lying.aside;
    json!({
        "state": "parked",
        "standing": aside.standing.name(),
        "parked": aside.parked.to_string(),
        "reason": aside.reason,
        "attempts": aside.attempts,
        "answer": aside.answer,
    })
}
