//! What became of one thing: a request that was kept, refused, or came twice; an event; an event that lies parked; a
//! delivery. In: an id that a reply, an event, a list, a log line or a delivery said. Out: the way it took, as far as
//! anything kept tells of it, and where it stands at each destination (`deliveries.rs`).

use serde_json::{Value, json};

use super::again::HEALED;
use super::capture::Captured;
use super::sought::Sought;
use super::{row, whose};
use crate::accept::Reply;
use crate::api::problem::Problem;
use crate::api::question::reply;
use crate::api::{Api, Call};
use crate::catalogue::{FAILED, Fault, RECEIVED};
use crate::clock::Time;
use crate::feed::{Outcome, Question, Request};
use crate::filter::Filter;
use crate::id::{self, Uuid};
use crate::request::Arrival;
use crate::spool::Refused;

/// Most events of one moment among which those of a request are looked for.
const LEFT_MAX: usize = 50;

/// An event and where its frame lies.
pub(super) struct Told {
    pub(super) event: Value,
    /// Its frame; nothing when nobody remembers.
    pub(super) sequence: Option<u64>,
    /// Its place among the events of its frame, where that is known.
    pub(super) place: Option<u32>,
    /// When it came, where that is known.
    pub(super) received: Option<Time>,
    /// How it was made.
    pub(super) made: &'static str,
}

impl Told {
    pub(super) fn id(&self) -> Option<Uuid> {
        self.event["id"].as_str().and_then(|id| Uuid::parse_str(id).ok())
    }

    /// Frame and place, as attempts are remembered by.
    pub(super) fn spot(&self) -> Option<(u64, Option<u32>)> {
        self.sequence.map(|sequence| (sequence, self.place))
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
        let kept = match self.explain_sought(call, &Sought::read(asked)).await {
            Err(Problem::NotFound) => self.explain_called(call, asked).await,
            kept => kept,
        };
        let mut told = match (kept, self.refused(call, |refused| refused.is_called(asked)).pop()) {
            (Err(Problem::NotFound), Some(refused)) => {
                self.explain_refused(call, &refused, asked).await?
            }
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
    async fn explain_refused(
        &self,
        call: &Call,
        refused: &Refused,
        asked: &str,
    ) -> Result<Value, Problem> {
        let mut refusal = tell_refused(refused);
        refusal["request_id"] = asked.into();
        refusal["webhook"] = self.webhook_name(refused.webhook).await?;
        let Some(first) = refused.first else {
            return Ok(json!({ "outcome": "refused", "refusal": refusal }));
        };
        let mut told = match self.explain_kept(call, first).await {
            Ok(told) => told,
            // The first may be gone by now.
            Err(Problem::NotFound) => json!({}),
            Err(problem) => return Err(problem),
        };
        told["outcome"] = "duplicate".into();
        told["refusal"] = refusal;
        Ok(told)
    }

    /// What a webhook is called, while it is there.
    async fn webhook_name(&self, id: Uuid) -> Result<Value, Problem> {
        let found = self.store.records(vec![id]).await?;
        Ok(found.first().map_or(Value::Null, |webhook| webhook.text("name").into()))
    }

    /// What an id of ours names.
    async fn explain_sought(&self, call: &Call, sought: &Sought) -> Result<Value, Problem> {
        match sought {
            Sought::Id(id) => self.explain_kept(call, *id).await,
            // Those of other places are named likewise.
            Sought::Delivery { place, event } if Some(*place) == call.workspace() => {
                self.explain_kept(call, *event).await
            }
            Sought::Batch(batch) => self.explain_batch(call, *batch).await,
            Sought::Delivery { .. } | Sought::Other => Err(Problem::NotFound),
        }
    }

    /// One that its sender gave that id.
    async fn explain_called(&self, call: &Call, asked: &str) -> Result<Value, Problem> {
        let found = self.request_called(call, asked).await?.ok_or(Problem::NotFound)?;
        self.explain_request(call, found, found.id).await
    }

    /// One that was kept, or an event.
    async fn explain_kept(&self, call: &Call, id: Uuid) -> Result<Value, Problem> {
        if let Some(found) = self.events.feed.request(whose(call), id).await? {
            return self.explain_request(call, found, id).await;
        }
        let event = self.event(call, id).await?.ok_or(Problem::NotFound)?;
        let before = event["follows"].as_str().and_then(|id| Uuid::parse_str(id).ok());
        if let Some(before) = before
            && let Some(found) = self.events.feed.request(whose(call), before).await?
        {
            return self.explain_request(call, found, id).await;
        }
        let told = self.left_of(call, event).await?;
        let mut answer = json!({
            "outcome": "event", "events": told.iter().map(tell).collect::<Vec<_>>(),
        });
        self.tell_deliveries(call, &told, &mut answer).await?;
        Ok(answer)
    }

    /// One that was kept, by the id of an event of it.
    async fn explain_request(
        &self,
        call: &Call,
        found: Request,
        asked: Uuid,
    ) -> Result<Value, Problem> {
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
            for ((event, made), place) in kept.events.iter().zip(words).zip(0..) {
                let event = serde_json::from_slice(&event.json).unwrap_or_default();
                let (sequence, place) = (Some(kept.sequence), Some(place));
                all.push(Told { event, sequence, place, received: Some(kept.received), made });
            }
        } else if let Some(event) = self.event(call, asked).await? {
            all = self.left_of(call, event).await?;
        }
        healed.dedup();
        healed.retain(|id| all.iter().all(|told| told.id() != Some(*id)));
        for id in healed.into_iter().filter(|_| found.outcome == Outcome::Failed) {
            let event = self.event(call, id).await?;
            if let Some(event) = event.filter(|event| event["follows"] == json!(found.id)) {
                let sequence = self.sequence(call, id).await?;
                let received = received(&event);
                all.push(Told { event, sequence, place: None, received, made: "replay" });
            }
        }
        request["webhook"] = self.webhook_name(found.webhook).await?;
        let repeats = self.refused(call, |refused| refused.first == Some(found.id));
        let outcome = match found.outcome {
            Outcome::Event => "accepted",
            outcome => outcome.name(),
        };
        let mut answer = json!({
            "outcome": outcome,
            "request": request,
            "events": all.iter().map(tell).collect::<Vec<_>>(),
            "repeats": repeats.iter().map(tell_refused).collect::<Vec<_>>(),
        });
        self.tell_deliveries(call, &all, &mut answer).await?;
        Ok(answer)
    }

    /// An event whose request is kept no more, and what else the index has of that: the received event, and those that
    /// follow it and happened then.
    async fn left_of(&self, call: &Call, event: Value) -> Result<Vec<Told>, Problem> {
        let before = event["follows"].as_str().and_then(|id| Uuid::parse_str(id).ok());
        let first = match before {
            _ if event["event"] == RECEIVED => Some(event.clone()),
            Some(before) => self.event(call, before).await?,
            None => None,
        };
        let mut all = Vec::new();
        if let Some(first) = first.filter(|first| first["event"] == RECEIVED) {
            let follows = first["id"].clone();
            let then = json!({ "since": first["occurred"], "until": first["occurred"] });
            let later = self.events_then(call, &then).await?;
            all.push(first);
            all.extend(later.into_iter().filter(|one| one["follows"] == follows));
        }
        if all.iter().all(|one| one["id"] != event["id"]) {
            all.push(event);
        }
        let (mut told, mut frame) = (Vec::new(), None);
        for event in all {
            let id = event["id"].as_str().and_then(|id| Uuid::parse_str(id).ok());
            let sequence = self.sequence(call, id.unwrap_or_default()).await?;
            let is_with_first = frame.is_some() && frame == sequence;
            let (made, place) = match event["event"].as_str() {
                Some(RECEIVED) => ("received", Some(0)),
                Some(FAILED) => ("failed", Some(1)),
                _ if is_with_first => ("template", Some(1)),
                _ if frame.is_some() => ("replay", None),
                _ => ("kept", None),
            };
            frame = frame.or(sequence.filter(|_| made == "received"));
            let received = received(&event);
            told.push(Told { event, sequence, place, received, made });
        }
        Ok(told)
    }

    /// Events of a call's workspace that happened then.
    async fn events_then(&self, call: &Call, then: &Value) -> Result<Vec<Value>, Problem> {
        let asked = json!({ "occurred": then });
        let Ok(filter) = Filter::read(&asked, self.clock.now()) else { return Ok(Vec::new()) };
        let (account, workspace) = whose(call);
        let (workspace, limit) = (Some(workspace), LEFT_MAX);
        let question = Question { account, workspace, filter, limit, after: None, total: Some(0) };
        let page = self.events.feed.page(question).await?;
        Ok(page.events.iter().filter_map(|one| serde_json::from_slice(one).ok()).collect())
    }

    /// Where the frame of an event lies, or lay, as far back as that is remembered.
    pub(super) async fn sequence(&self, call: &Call, id: Uuid) -> Result<Option<u64>, Problem> {
        let (account, workspace) = whose(call);
        match self.events.spool.sequence_of(account, Some(workspace), id) {
            Some(sequence) => Ok(Some(sequence)),
            None => Ok(self.events.feed.frame_of((account, workspace), id).await?),
        }
    }
}

/// When an event came, as the index tells it.
pub(super) fn received(event: &Value) -> Option<Time> {
    event["received"].as_str().and_then(Time::parse)
}

pub(super) fn tell(told: &Told) -> Value {
    let Told { event, made, .. } = told;
    json!({
        "id": event["id"],
        "event": event["event"],
        "resource_id": event["resource"]["prefect.resource.id"],
        "occurred": event["occurred"],
        "made_by": made,
    })
}

/// A request that was not kept; those of its kind by the first's id, and the newest others.
fn tell_refused(refused: &Refused) -> Value {
    json!({
        "request_id": refused.id,
        "request_ids": std::iter::once(&refused.id).chain(&refused.also).collect::<Vec<_>>(),
        "webhook_id": refused.webhook,
        "received": Time::from_micros(refused.received).to_string(),
        "peer": refused.peer.to_string(),
        "method": refused.method,
        "reason": refused.reason,
        "detail": refused.detail,
        "status": refused.status,
        "times": refused.times,
        "first": refused.first,
        "limit": refused.spent,
    })
}
