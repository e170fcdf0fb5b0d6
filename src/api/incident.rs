//! Incidents: what becomes of them, and what is written about them. In: an incident as it stands. Out: the same one
//! step further, or the reason why not. Each step is told by an event of its own beside the audit event.

use serde_json::{Value, json};

use super::change::note;
use super::deed::Deed;
use super::present::{Form, value};
use super::problem::Problem;
use super::question::{all, reply};
use super::{Api, Call};
use crate::accept::Reply;
use crate::catalogue::{Fault, INCIDENT, LIST_MAX, Values};
use crate::clock::Time;
use crate::store::{Criterion, Query, Record, Sort, StoreError};

/// Most comments of one incident: all of them are told at once.
const COMMENTS_MAX: u64 = LIST_MAX;
/// Most resources that an incident is about, and most labels of one.
const RESOURCES_MAX: usize = 50;

impl Api {
    pub(super) async fn resolve(&self, call: &Call, values: &Values) -> Result<Reply, Problem> {
        self.step(call, "resolved", |incident, now| {
            let given = values.get("end_time").filter(|end| end.is_string()).cloned();
            incident.fields.insert("status".to_owned(), "resolved".into());
            let end = given.unwrap_or_else(|| now.to_string().into());
            incident.fields.insert("end_time".to_owned(), end);
        })
        .await
    }

    pub(super) async fn reopen(&self, call: &Call) -> Result<Reply, Problem> {
        self.step(call, "reopened", |incident, _| {
            incident.fields.insert("status".to_owned(), "active".into());
            incident.fields.insert("end_time".to_owned(), Value::Null);
        })
        .await
    }

    /// Takes an incident to its other state, and tells so.
    async fn step(
        &self,
        call: &Call,
        action: &str,
        set: impl Fn(&mut Record, Time),
    ) -> Result<Reply, Problem> {
        let mut tries = self.tries(call.account());
        while tries.again().await {
            let mut deed = self.deed(call);
            let mut incident = self.record(call).await?;
            let before = incident.fields.clone();
            set(&mut incident, deed.now);
            if before.get("status") == incident.fields.get("status") {
                let status = incident.text("status");
                return Err(Problem::Conflict(format!("The incident is {status} already")));
            }
            vet(Some(&incident))?;
            deed.tell(&incident, &[], action, &told(&incident));
            deed.update(&before, incident.clone());
            if deed.commit().await? {
                note(call, &incident);
                return Ok(reply(call, &Value::Null));
            }
        }
        Err(StoreError::Stale.into())
    }

    pub(super) async fn comment(&self, call: &Call, values: &Values) -> Result<Reply, Problem> {
        let incident = self.incident(call).await?;
        if self.store.count(comments(call, &incident)).await? >= COMMENTS_MAX {
            let says = format!("An incident has at most {COMMENTS_MAX} comments");
            return Err(Problem::Conflict(says));
        }
        let mut deed = self.deed(call);
        let mut comment = self.fresh(call, values, deed.now);
        let actor = &call.scene.actor;
        for (name, text) in [
            ("name", actor.name.clone()),
            ("author_id", actor.id.to_string()),
            ("incident_id", incident.id.to_string()),
        ] {
            comment.fields.insert(name.to_owned(), text.into());
        }
        let tells = json!({
            "id": incident.id.to_string(), "comment_id": comment.id.to_string(),
            "comment": comment.text("comment"), "author": actor.name,
        });
        deed.tell(&incident, &[], "comment.added", &tells);
        deed.insert(comment.clone());
        deed.commit().await?;
        note(call, &comment);
        Ok(reply(call, &self.present_new(comment, None).await?))
    }

    /// The comments on an incident, the oldest first.
    pub(super) async fn comments(&self, call: &Call) -> Result<Reply, Problem> {
        let incident = self.incident(call).await?;
        let written = self.store.list(comments(call, &incident)).await?;
        Ok(reply(call, &self.present(&written, Form::Plain).await?.into()))
    }

    /// The incident that the path names.
    async fn incident(&self, call: &Call) -> Result<Record, Problem> {
        let found = self.store.records(call.part("incident").into_iter().collect()).await?.pop();
        let ours = |record: &Record| {
            record.kind.name == INCIDENT.name && record.workspace == call.workspace()
        };
        found.filter(ours).ok_or(Problem::NotFound)
    }
}

fn comments(call: &Call, incident: &Record) -> Query {
    let criteria = vec![Criterion::any("incident_id", [incident.id.to_string()])];
    let sort = Sort::Created { descending: false };
    Query { criteria, sort, limit: COMMENTS_MAX, ..all(call) }
}

/// What is true of an incident when it is declared.
pub(super) fn complete(incident: &mut Record, now: Time) {
    incident.fields.insert("status".to_owned(), "active".into());
    incident.fields.insert("end_time".to_owned(), Value::Null);
    if value(incident, "start_time").is_null() {
        incident.fields.insert("start_time".to_owned(), now.to_string().into());
    }
}

/// Says that there is an incident.
pub(super) fn declare(incident: &Record, deed: &mut Deed<'_>) {
    deed.tell(incident, &[], "declared", &told(incident));
}

/// What events of its own say of an incident.
fn told(incident: &Record) -> Value {
    let mut told = json!({ "id": incident.id.to_string() });
    for name in ["name", "status", "severity", "tags"] {
        told[name] = value(incident, name);
    }
    if incident.text("status") == "resolved" {
        told["end_time"] = value(incident, "end_time");
    }
    told
}

/// Refuses an incident that ends before it begins, and resources that are none.
pub(super) fn vet(after: Option<&Record>) -> Result<(), Problem> {
    let Some(incident) = after else { return Ok(()) };
    let fault = |field, says: String| {
        Err(Problem::Invalid(vec![Fault::new("value_error", &["body", field], says)]))
    };
    let span = incident.instant("start_time").zip(incident.instant("end_time"));
    if span.is_some_and(|(start, end)| end < start) {
        return fault("end_time", "Value error, it ends before it begins".to_owned());
    }
    let is_resource = |resource: &Value| {
        let Some(labels) = resource.as_object() else { return false };
        let id = labels.get("prefect.resource.id").and_then(Value::as_str);
        labels.len() <= RESOURCES_MAX
            && id.is_some_and(|id| !id.is_empty())
            && labels.values().all(Value::is_string)
    };
    match incident.fields.get("related_resources").and_then(Value::as_array) {
        Some(list) if list.len() <= RESOURCES_MAX && list.iter().all(is_resource) => Ok(()),
        _ => {
            let says = format!(
                "Value error, it is a list of at most {RESOURCES_MAX} objects of labels, each with a \
                 prefect.resource.id"
            );
            fault("related_resources", says)
        }
    }
}
