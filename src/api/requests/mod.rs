//! Requests that webhooks kept: which there are, each whole, and what becomes of them once more. In: a place, and what
//! narrows them. Out: rows of the index, or what the spool has of one. Never a slug, never a header that is secret;
//! what the spool let go is gone.

mod again;
mod capture;
mod choice;
mod compare;
mod deliveries;
mod explain;
mod onward;
mod replay;
mod sift;
mod sought;
mod way;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::problem::Problem;
use super::question::reply;
use super::{Api, Call, text};
use crate::accept::Reply;
use crate::catalogue::{self, Fault, RECEIVED, Shape, Values};
use crate::clock::Time;
use crate::feed::{Outcome, Question, Request, Requests, Wanted};
use crate::filter::{Filter, Order};
use crate::id::{self, Uuid};
use crate::request::Arrival;
use crate::spool::{Kept, SpoolError};
use capture::Captured;

pub use deliveries::Operated;

impl Api {
    /// The requests of a workspace, a page of them.
    pub(super) async fn list_requests(
        &self,
        call: &Call,
        arrival: &Arrival,
    ) -> Result<Reply, Problem> {
        let values = read_query(call, arrival.target.query().unwrap_or_default())?;
        if values.get("limit").and_then(Value::as_u64) == Some(0) {
            return Ok(reply(call, &json!({ "requests": [], "after": null })));
        }
        let word = |name: &str| values.get(name).and_then(Value::as_str);
        let outcomes = match word("outcome").and_then(Outcome::of) {
            Some(outcome) => vec![outcome],
            None => vec![Outcome::Event, Outcome::Failed, Outcome::Handshake],
        };
        let order = if word("order") == Some("ASC") { Order::Ascending } else { Order::Descending };
        let page = self.requests(self.wanted(call, &values, outcomes, order)).await?;
        if let Some(expression) = word("where") {
            return Ok(reply(call, &self.sift(call, expression, page).await?));
        }
        let told = self.tell_found(call, &page.found).await?;
        Ok(reply(call, &json!({ "requests": told, "after": page.after })))
    }

    /// One request, whole.
    pub(super) async fn read_request(&self, call: &Call) -> Result<Reply, Problem> {
        let (id, whose) = (call.id().unwrap_or_default(), whose(call));
        let Some(found) = self.events.feed.request(whose, id).await? else {
            let event = self.event(call, id).await?;
            let was_there = event.is_some_and(|event| event["event"] == RECEIVED);
            return Err(if was_there { gone(id) } else { Problem::NotFound });
        };
        let kept = self.kept(found).await?.ok_or_else(|| gone(id))?;
        let captured = Captured::of(&kept, self.options.hook_body_max_bytes);
        let captured = captured.ok_or_else(|| gone(id))?;
        if let Some(lost) = &captured.lost {
            return Err(Problem::Conflict(format!("The request {id}: {}", again::unsealed(lost))));
        }
        let mut told = row(&found);
        captured.tell(&mut told);
        // The request is copied as it is written down: no digit of its body is lost.
        let mut text = told.to_string();
        text.truncate(text.len() - 1);
        let text = format!("{text},\"request\":{}}}", captured.sample.text());
        Ok(Reply::json(StatusCode::OK, text))
    }

    /// An event of a call's workspace, by its id.
    async fn event(&self, call: &Call, id: Uuid) -> Result<Option<Value>, Problem> {
        let wanted = json!({ "id": { "id": [id] } });
        let Ok(filter) = Filter::read(&wanted, self.clock.now()) else { return Ok(None) };
        let (account, workspace) = whose(call);
        let workspace = Some(workspace);
        let question =
            Question { account, workspace, filter, limit: 1, after: None, total: Some(0) };
        let page = self.events.feed.page(question).await?;
        Ok(page.events.first().and_then(|event| serde_json::from_slice(event).ok()))
    }

    /// What is meant by values of a query or a body.
    fn wanted(&self, call: &Call, values: &Values, outcomes: Vec<Outcome>, order: Order) -> Wanted {
        let word = |name: &str| values.get(name).and_then(Value::as_str);
        let id = |name: &str| word(name).and_then(|text| Uuid::parse_str(text).ok());
        let moment = |name: &str| word(name).and_then(Time::parse);
        let spool = &self.events.spool;
        let (since, until) = (moment("since"), moment("until"));
        let limit = values.get("limit").and_then(Value::as_u64).unwrap_or(1).max(1);
        let (account, workspace) = whose(call);
        Wanted {
            account,
            workspace,
            webhook: id("webhook_id"),
            outcomes,
            since,
            until,
            first: since.map_or(0, |since| spool.first_since(since)).max(spool.oldest()),
            order,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            after: id("after"),
        }
    }

    /// Requests as lists tell them, those that failed with the event that a replay gave them.
    async fn tell_found(&self, call: &Call, found: &[Request]) -> Result<Vec<Value>, Problem> {
        let healed = |request: &Request| id::derived(request.id, again::HEALED);
        let failed = found.iter().filter(|request| request.outcome == Outcome::Failed);
        let known = self.events.feed.known(whose(call), failed.map(healed).collect()).await?;
        let tell = |request: &Request| {
            let mut told = row(request);
            told["replayed_event_id"] = known.get(&healed(request)).map(Uuid::to_string).into();
            told
        };
        Ok(found.iter().map(tell).collect())
    }

    /// The requests that are meant.
    async fn requests(&self, wanted: Wanted) -> Result<Requests, Problem> {
        self.events.feed.requests(wanted).await?.ok_or_else(|| {
            let says = "Value error, no request of that id is kept: begin again with `since`";
            Problem::Invalid(vec![Fault::new("value_error", &["after"], says)])
        })
    }

    /// The frame of a request, read where waiting for a disk harms nobody.
    async fn kept(&self, request: Request) -> Result<Option<Kept>, Problem> {
        let mut picker = self.events.spool.picker();
        let work = move || picker.take(request.sequence);
        let kept = tokio::task::spawn_blocking(work).await;
        let kept = kept.map_err(|fault| SpoolError::Failed(fault.to_string()))??;
        Ok(kept.filter(|kept| is_of(kept, &request)))
    }
}

/// Whether a frame is that of a request.
fn is_of(kept: &Kept, request: &Request) -> bool {
    kept.events.first().is_some_and(|received| received.id == request.id)
}

/// Account and workspace of a call.
fn whose(call: &Call) -> (Uuid, Uuid) {
    (call.account(), call.workspace().unwrap_or_default())
}

fn gone(id: Uuid) -> Problem {
    Problem::Gone(format!(
        "The request {id} is kept no longer: spool.retention_seconds and spool.retention_max_bytes \
         say how long requests are"
    ))
}

/// A request as lists tell it.
fn row(request: &Request) -> Value {
    json!({
        "id": request.id,
        "webhook_id": request.webhook,
        "received": request.received.to_string(),
        "outcome": request.outcome.name(),
        "template_version": version(request.version),
        "content_length": request.bytes,
    })
}

/// How the version of a template is told.
fn version(version: u64) -> Value {
    if version == 0 { Value::Null } else { version.into() }
}

/// The fields of a verb as they stand in an address.
fn read_query(call: &Call, query: &str) -> Result<Values, Problem> {
    let mut given = Map::new();
    for field in call.verb.also {
        let Some(text) = text::find(query, field.name) else { continue };
        let value = match field.shape {
            Shape::Count(_) => text.parse::<u64>().map_or_else(|_| text.into(), Value::from),
            _ => text.into(),
        };
        given.insert(field.name.to_owned(), value);
    }
    catalogue::check(call.kind, call.verb, Some(&given.into())).map_err(|mut faults| {
        for fault in &mut faults {
            "query".clone_into(&mut fault.at[0]);
        }
        Problem::Invalid(faults)
    })
}
