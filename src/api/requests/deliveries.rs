//! Where events stand at each destination. In: events, and who asks. Out: for each destination what became of each:
//! taken, parked, let go of, not wanted, or still to come; what was tried, and what was answered. Destinations of the
//! workspace, and for who administrates the gateway's first account those of the operator; others hear of those only
//! how many there are, and that an event lies parked there.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::choice::{Choice, Wants};
use super::explain::Told;
use super::whose;
use crate::api::problem::Problem;
use crate::api::{Api, Call};
use crate::catalogue::{DESTINATION, LIST_MAX, Permission};
use crate::clock::Time;
use crate::filter::Filter;
use crate::id::Uuid;
use crate::render::Condition;
use crate::shelf::{Asked, Attempt, Lying, Remembered};
use crate::spool::{DISPATCHER, Fate, track_of};
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
    /// It keeps its place, and gets nothing for now.
    pub is_held: bool,
    /// Only events that this matches.
    pub filter: Option<Filter>,
    /// Of these only those for which this holds.
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

    /// Which events it gets.
    pub(super) fn choice(&self, now: Time) -> Choice {
        match self {
            Self::Workspace(record) => Choice::of_record(record, now),
            Self::Operator(operated) => {
                let Operated { filter, condition, .. } = operated;
                Choice { whose: None, filter: filter.clone(), condition: condition.clone() }
            }
        }
    }

    /// What its reader is called.
    fn track(&self) -> String {
        match self {
            Self::Workspace(record) => track_of(record.id),
            Self::Operator(operated) => operated.track.clone(),
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
        let Remembered { found: attempts, since } = self.shelf.attempts(fits).await?;
        let mut told = Vec::new();
        let now = self.clock.now();
        let choices: Vec<_> = lanes.iter().map(|lane| (lane, lane.choice(now))).collect();
        for event in all {
            let json = Bytes::from(event.event.to_string());
            for (lane, choice) in &choices {
                let wants = choice.wants((account, Some(workspace)), &json);
                let (id, own) = (event.id(), lane.id());
                let parked = lying
                    .iter()
                    .find(|one| one.destination == own && Some(one.aside.event.id) == id);
                let tried = tried((lane, wants), event, &attempts);
                let is_gone = id.is_some_and(|id| gone.contains(&(own, id)));
                let mut one = match parked {
                    Some(lying) => tell_parked(lying),
                    None if is_gone => json!({ "state": "discarded" }),
                    None => self.standing((lane, wants), event, (&tried, since)),
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

    /// How far a destination is with an event that does not lie parked there.
    fn standing(
        &self,
        (lane, wants): (&Lane<'_>, Wants),
        told: &Told,
        (tried, since): (&[&Attempt], Option<Time>),
    ) -> Value {
        let state = self.state((lane, wants), told, tried);
        let spool = &self.events.spool;
        let fate = told.sequence.map(|sequence| spool.fate(&lane.track(), sequence));
        match (state, fate) {
            ("passed" | "disabled", Some(Fate::Lost)) if wants == Wants::Yes => {
                json!({ "state": "dropped", "reason": self.why_lost(lane, told) })
            }
            ("passed", Some(Fate::Unsure)) => {
                let reason = "the destination lost events to drop-oldest, and which ones is not known any more";
                json!({ "state": "passed or dropped", "reason": reason })
            }
            ("passed", _) => match doubt(lane, told, (tried, since)) {
                Some(reason) => json!({ "state": "unknown", "reason": reason }),
                None => json!({ "state": state }),
            },
            _ => json!({ "state": state }),
        }
    }

    /// Why an event is lost to a destination: what still lies in the spool was not let go of for its room.
    fn why_lost(&self, lane: &Lane<'_>, told: &Told) -> String {
        const DISABLED: &str = "it waited when the destination was disabled";
        let spool = &self.events.spool;
        let holds = match lane {
            Lane::Workspace(record) => record.text("on_full") == "hold",
            Lane::Operator(_) => false,
        };
        if holds || told.sequence.is_some_and(|sequence| sequence >= spool.oldest()) {
            return DISABLED.to_owned();
        }
        let bound = spool.max_bytes();
        let full =
            format!("on_full is drop-oldest, and the spool was full (spool.max_bytes: {bound})");
        if lane.is_of_workspace() { format!("{full}, or {DISABLED}") } else { full }
    }

    fn state(
        &self,
        (lane, wants): (&Lane<'_>, Wants),
        told: &Told,
        tried: &[&Attempt],
    ) -> &'static str {
        let spool = &self.events.spool;
        let (is_on, is_held, passed) = match lane {
            Lane::Operator(operated) => (true, operated.is_held, spool.released(&operated.track)),
            Lane::Workspace(record) => {
                // One that sleeps has no place of its own: it is woken by who reads for all of them.
                let passed = spool.released(&lane.track());
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
        match wants {
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

/// Why a destination that has an event behind it may never have got it, though attempts are remembered since then, or
/// all that ever were. Not known for sure: of an attempt with events from here and there some parts are remembered.
fn doubt(
    lane: &Lane<'_>,
    told: &Told,
    (tried, since): (&[&Attempt], Option<Time>),
) -> Option<&'static str> {
    if !tried.is_empty() {
        return Some("no attempt with it is remembered that was taken");
    }
    let Lane::Workspace(record) = lane else { return None };
    let received = told.received?;
    let is_before = received < record.created;
    let first = received.max(record.created);
    match since.is_none_or(|since| since <= first) {
        true if is_before => {
            Some("it came before the destination was made: it was sent if that was to begin there")
        }
        true if received < record.updated => Some(
            "no attempt with it is remembered: the destination may have been disabled then, or wanted other events",
        ),
        _ => None,
    }
}

/// What a destination was brought an event with. Several that went together are remembered by their frames: what is not
/// wanted was not among them, unless the destination was another one then.
fn tried<'a>(
    (lane, wants): (&Lane<'_>, Wants),
    told: &Told,
    attempts: &'a [Attempt],
) -> Vec<&'a Attempt> {
    let (spot, id) = (told.spot(), told.id().unwrap_or_default());
    let own = attempts.iter().filter(|one| lane.is_of(one) && one.is_about(spot, id));
    own.filter(|one| wants == Wants::Yes || one.event.is_some() || lane.is_changed_since(one.at))
        .collect()
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
