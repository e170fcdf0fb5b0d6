//! What became of one thing: a request that was kept, refused, or came twice; an event; an event that lies parked. In:
//! an id that a reply, an event or a list said. Out: the way it took, as far as anything kept tells of it, and where it
//! stands at each destination of its workspace. Of the operator's destinations only that it lies parked there.

use bytes::Bytes;
use serde_json::{Value, json};

use super::again::HEALED;
use super::capture::Captured;
use super::{row, whose};
use crate::accept::Reply;
use crate::api::problem::Problem;
use crate::api::question::reply;
use crate::api::{Api, Call};
use crate::catalogue::{DESTINATION, Fault, LIST_MAX};
use crate::clock::Time;
use crate::feed::{Outcome, Request};
use crate::filter::{Filter, Seen};
use crate::id::{self, Uuid};
use crate::render::Condition;
use crate::request::Arrival;
use crate::shelf::{Asked, Attempt, Lying};
use crate::spool::{DISPATCHER, Refused, track_of};
use crate::store::{Query, Record};

/// Most parked events of one answer: a few for each destination.
const PARKED_MAX: u64 = 1000;

/// An event and where its frame lies.
struct Told {
    event: Value,
    /// Nothing when nobody remembers.
    sequence: Option<u64>,
    /// How it was made.
    made: &'static str,
}

impl Told {
    fn id(&self) -> Option<Uuid> {
        self.event["id"].as_str().and_then(|id| Uuid::parse_str(id).ok())
    }
}

impl Api {
    /// Tells what became of what an id names.
    pub(in crate::api) async fn explain(
        &self,
        call: &Call,
        arrival: &Arrival,
    ) -> Result<Reply, Problem> {
        let values = super::read_query(call, arrival.target.query().unwrap_or_default())?;
        let asked = values.get("id").and_then(Value::as_str).ok_or_else(|| {
            Problem::Invalid(vec![Fault::new("missing", &["query", "id"], "Field required")])
        })?;
        // Who sends chooses the ids of requests: one that was refused never stands before what is kept.
        let kept = self.explain_kept(call, Uuid::parse_str(asked).ok()).await;
        let mut told = match (kept, self.refused(call, |refused| refused.is_called(asked)).pop()) {
            (Err(Problem::NotFound), Some(refused)) => self.explain_refused(call, &refused).await?,
            (kept, _) => kept?,
        };
        told["id"] = asked.into();
        Ok(reply(call, &told))
    }

    /// The newest requests to a call's workspace that were not kept and fit.
    fn refused(&self, call: &Call, fits: impl Fn(&Refused) -> bool) -> Vec<Refused> {
        let whose = whose(call);
        let fits =
            |refused: &Refused| (refused.account, refused.workspace) == whose && fits(refused);
        self.events.spool.refused(fits)
    }

    /// One that was not kept; with what it repeats, when it does.
    async fn explain_refused(&self, call: &Call, refused: &Refused) -> Result<Value, Problem> {
        let Some(first) = refused.first else {
            return Ok(json!({ "outcome": "refused", "refusal": tell_refused(refused) }));
        };
        let mut told = match self.explain_kept(call, Some(first)).await {
            Ok(told) => told,
            // The first may be gone by now.
            Err(Problem::NotFound) => json!({}),
            Err(problem) => return Err(problem),
        };
        told["outcome"] = "duplicate".into();
        told["refusal"] = tell_refused(refused);
        Ok(told)
    }

    /// One that was kept, or an event.
    async fn explain_kept(&self, call: &Call, id: Option<Uuid>) -> Result<Value, Problem> {
        let id = id.ok_or(Problem::NotFound)?;
        if let Some(found) = self.events.feed.request(whose(call), id).await? {
            return self.explain_request(call, found).await;
        }
        let event = self.event(call, id).await?.ok_or(Problem::NotFound)?;
        let before = event["follows"].as_str().and_then(|id| Uuid::parse_str(id).ok());
        if let Some(before) = before
            && let Some(found) = self.events.feed.request(whose(call), before).await?
        {
            return self.explain_request(call, found).await;
        }
        let told = [Told { event, sequence: self.sequence(call, id), made: "kept" }];
        Ok(json!({
            "outcome": "event",
            "events": told.iter().map(tell).collect::<Vec<_>>(),
            "deliveries": self.deliveries(call, &told).await?,
        }))
    }

    async fn explain_request(&self, call: &Call, found: Request) -> Result<Value, Problem> {
        let mut request = row(&found);
        let mut all = Vec::new();
        // The event of a replay has the one id that follows from its request, unless a template gives it another.
        let mut healed = vec![id::derived(found.id, HEALED)];
        if let Some(kept) = self.kept(found).await? {
            if let Some(captured) = Captured::of(&kept, self.options.hook_body_max_bytes) {
                if found.outcome == Outcome::Failed
                    && let Some(captured) = Captured::of(&kept, self.options.hook_body_max_bytes)
                {
                    healed.extend(self.ids_by_templates(&found, captured).await?);
                }
                captured.tell(&mut request);
                request["method"] = captured.sample.method.as_str().into();
                self.tell_way((&found, &kept), captured, &mut request).await?;
            }
            let words = match found.outcome {
                Outcome::Failed => ["received", "failed"],
                _ => ["received", "template"],
            };
            for (event, made) in kept.events.iter().zip(words) {
                let event = serde_json::from_slice(&event.json).unwrap_or_default();
                all.push(Told { event, sequence: Some(kept.sequence), made });
            }
        }
        healed.dedup();
        for id in healed.into_iter().filter(|_| found.outcome == Outcome::Failed) {
            let event = self.event(call, id).await?;
            if let Some(event) = event.filter(|event| event["follows"] == json!(found.id)) {
                all.push(Told { event, sequence: self.sequence(call, id), made: "replay" });
            }
        }
        let webhook = self.store.records(vec![found.webhook]).await?;
        request["webhook"] = webhook.first().map_or(Value::Null, |hook| hook.text("name").into());
        let repeats = self.refused(call, |refused| refused.first == Some(found.id));
        let outcome = match found.outcome {
            Outcome::Event => "accepted",
            outcome => outcome.name(),
        };
        Ok(json!({
            "outcome": outcome,
            "request": request,
            "events": all.iter().map(tell).collect::<Vec<_>>(),
            "repeats": repeats.iter().map(tell_refused).collect::<Vec<_>>(),
            "deliveries": self.deliveries(call, &all).await?,
        }))
    }

    /// Where the frame of an event lies that was appended once, as far back as that is remembered.
    fn sequence(&self, call: &Call, id: Uuid) -> Option<u64> {
        let (account, workspace) = whose(call);
        self.events.spool.sequence_of(account, Some(workspace), id)
    }

    /// Where events stand at each destination of their workspace.
    async fn deliveries(&self, call: &Call, all: &[Told]) -> Result<Vec<Value>, Problem> {
        let (account, workspace) = whose(call);
        let query = Query { limit: LIST_MAX, ..Query::new(&DESTINATION, account, Some(workspace)) };
        let records = self.store.list(query).await?;
        let ids = all.iter().filter_map(Told::id).collect();
        let asked = Asked { ids: Some(ids), ..Asked::default() };
        let mut lying = self.shelf.list(asked, PARKED_MAX, 0).await?;
        lying.retain(|one| (one.aside.account, one.aside.workspace) == (account, Some(workspace)));
        let mut told = Vec::new();
        for event in all {
            let id = event.id().unwrap_or_default();
            let spot = event.sequence.map(|sequence| (sequence, None));
            let attempts = self.shelf.attempts(move |one| one.is_about(spot, id)).await?.found;
            for record in &records {
                let is_it = |one: &&Lying| {
                    one.destination == record.id && Some(one.aside.event.id) == event.id()
                };
                let mut one = match lying.iter().find(is_it) {
                    Some(lying) => tell_parked(lying),
                    None => json!({ "state": self.state(record, event) }),
                };
                one["destination_id"] = record.id.to_string().into();
                one["destination"] = record.text("name").into();
                one["event_id"] = event.event["id"].clone();
                let own = attempts.iter().filter(|attempt| attempt.destination == record.id);
                one["tried"] = own.map(tell_attempt).collect();
                told.push(one);
            }
        }
        let is_foreign = |one: &&Lying| records.iter().all(|record| record.id != one.destination);
        let foreign = lying.iter().filter(is_foreign).map(|one| {
            json!({
                "state": "parked", "destination_id": null, "destination": null,
                "event_id": one.aside.event.id, "parked": one.aside.parked.to_string(),
            })
        });
        told.extend(foreign);
        Ok(told)
    }

    /// How far a destination is with an event that does not lie parked there.
    fn state(&self, record: &Record, told: &Told) -> &'static str {
        if !record.flag("enabled") {
            return "disabled";
        }
        match wants(record, &told.event, self.clock.now()) {
            Wants::Yes => {}
            Wants::No => return "not wanted",
            Wants::Fails => return "where fails",
        }
        // One that sleeps has no place of its own: it is woken by who reads for all of them.
        let spool = &self.events.spool;
        let passed = spool.released(&track_of(record.id)).or_else(|| spool.released(DISPATCHER));
        match passed.zip(told.sequence) {
            Some((passed, sequence)) if passed >= sequence => "passed",
            Some(_) if record.flag("hold") => "held",
            Some(_) => "waiting",
            None => "unknown",
        }
    }
}

/// What a destination's filter and expression say of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wants {
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
    match expression.and_then(|text| Condition::compile(text).ok()).map(|rule| rule.holds(&text)) {
        None | Some(Ok(true)) => Wants::Yes,
        Some(Ok(false)) => Wants::No,
        Some(Err(_)) => Wants::Fails,
    }
}

fn tell(told: &Told) -> Value {
    let Told { event, made, .. } = told;
    json!({
        "id": event["id"],
        "event": event["event"],
        "resource_id": event["resource"]["prefect.resource.id"],
        "occurred": event["occurred"],
        "made_by": made,
    })
}

fn tell_refused(refused: &Refused) -> Value {
    json!({
        "request_id": refused.id,
        "webhook_id": refused.webhook,
        "received": Time::from_micros(refused.received).to_string(),
        "peer": refused.peer.to_string(),
        "method": refused.method,
        "reason": refused.reason,
        "status": refused.status,
        "times": refused.times,
        "first": refused.first,
        "limit": refused.spent,
    })
}

fn tell_attempt(attempt: &Attempt) -> Value {
    json!({
        "at": attempt.at.to_string(),
        "outcome": if attempt.is_taken { "taken" } else { "not taken" },
        "answer": attempt.what,
        "seconds": attempt.took.as_secs_f64(),
        "events": attempt.events,
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
