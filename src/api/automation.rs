//! Automations: kept as they were sent, and found by what they are about. In: triggers and actions of any sort. Out:
//! the same, each trigger with an id that lasts. Executes none of them.

use serde_json::{Map, Value, json};

use super::change::{ENDING_MAX, note};
use super::present::{Form, head, value};
use super::problem::Problem;
use super::question::{all, reply};
use super::{Api, Call};
use crate::accept::Reply;
use crate::catalogue::{Actor, Fault, is_id};
use crate::id;
use crate::store::{Criterion, Query, Record, StoreError};

/// The lists of actions of an automation.
const ACTIONS: [&str; 3] = ["actions", "actions_on_trigger", "actions_on_resolve"];
/// Most resources that one is found by.
const RELATED_MAX: usize = 200;
/// Shortest time after which a trigger may say that something did not happen.
const PROACTIVE_MIN_SECONDS: f64 = 10.0;

impl Api {
    /// Sets what nobody sends: ids of triggers, kept where there were any, and what it is found by.
    pub(super) fn complete_automation(
        &self,
        automation: &mut Record,
        before: Option<&Record>,
        actor: &Actor,
    ) {
        if before.is_none() {
            let actor = json!({ "actor_id": actor.id.to_string(), "handle": actor.handle });
            automation.fields.insert("actor".to_owned(), actor);
        }
        if value(automation, "labels").is_null() {
            automation.fields.insert("labels".to_owned(), json!({}));
        }
        let standing = before.map(|before| value(before, "trigger")).unwrap_or_default();
        if let Some(trigger) = automation.fields.get_mut("trigger") {
            self.name_triggers(trigger, &standing);
        }
        let related = related(automation);
        automation.fields.insert("related".to_owned(), related.into());
    }

    /// Gives a trigger without an id the one that stood in its place, or a new one; those inside it too.
    fn name_triggers(&self, trigger: &mut Value, standing: &Value) {
        let Some(trigger) = trigger.as_object_mut() else { return };
        if trigger.get("id").is_none_or(Value::is_null) {
            let kept = standing.get("id").filter(|id| id.is_string()).cloned();
            let id = kept.unwrap_or_else(|| id::now(&self.clock).to_string().into());
            trigger.insert("id".to_owned(), id);
        }
        complete_trigger(trigger);
        let inside = trigger.get_mut("triggers").and_then(Value::as_array_mut);
        for (place, inner) in inside.into_iter().flatten().enumerate() {
            let standing = standing.get("triggers").and_then(|list| list.get(place));
            self.name_triggers(inner, standing.unwrap_or(&Value::Null));
        }
    }

    /// The automations of a workspace that a resource owns, or that do something with it.
    pub(super) async fn related_automations(&self, call: &Call) -> Result<Reply, Problem> {
        let quoted = Value::from(call.resource.as_str()).to_string();
        let field = "related".to_owned();
        let criteria = vec![Criterion { field, like: Some(quoted), ..Criterion::default() }];
        let found = self.store.list(Query { criteria, ..all(call) }).await?;
        Ok(reply(call, &self.present(&found, Form::Read).await?.into()))
    }

    /// Ends the automations of a workspace that a resource owns.
    pub(super) async fn drop_owned(&self, call: &Call) -> Result<Reply, Problem> {
        let mut tries = self.tries(call.account());
        while tries.again().await {
            let criteria = vec![Criterion::any("owner_resource", [call.resource.clone()])];
            let limit = ENDING_MAX as u64;
            let owned = self.store.list(Query { criteria, limit, ..all(call) }).await?;
            let mut deed = self.deed(call);
            for automation in &owned {
                deed.delete(automation.clone());
            }
            if deed.commit().await? {
                for automation in &owned {
                    note(call, automation);
                }
                return Ok(reply(call, &Value::Null));
            }
        }
        Err(StoreError::Stale.into())
    }
}

/// Says what a trigger means where nothing was said; clients compare what they sent with what they read.
fn complete_trigger(trigger: &mut Map<String, Value>) {
    let (lists, objects): (&[&str], &[&str]) = match trigger.get("type").and_then(Value::as_str) {
        Some("event") => (&["after", "expect", "for_each"], &["match", "match_related"]),
        Some("metric") => (&[], &["match", "match_related"]),
        _ => (&[], &[]),
    };
    let absent = lists.iter().map(|name| (name, json!([])));
    for (name, value) in absent.chain(objects.iter().map(|name| (name, json!({})))) {
        if trigger.get(*name).is_none_or(Value::is_null) {
            trigger.insert((*name).to_owned(), value);
        }
    }
}

/// What an automation is about, as resources: who owns it, and whatever its actions name by an id.
fn related(automation: &Record) -> Vec<String> {
    let owner = Some(automation.text("owner_resource").to_owned());
    let mut found: Vec<String> = owner.into_iter().filter(|owner| !owner.is_empty()).collect();
    let lists = ACTIONS.iter().filter_map(|name| automation.fields.get(*name)?.as_array());
    let named = lists.flatten().filter_map(Value::as_object).flatten();
    for (name, value) in named {
        let kind = name.strip_suffix("_id").map(|kind| kind.replace('_', "-"));
        if let Some((kind, id)) = kind.zip(value.as_str().and_then(is_id)) {
            found.push(format!("prefect.{kind}.{id}"));
        }
    }
    found.sort();
    found.dedup();
    found.truncate(RELATED_MAX);
    found
}

/// Refuses what is no automation at all; sorts of actions are for whoever executes them.
pub(super) fn vet(after: Option<&Record>) -> Result<(), Problem> {
    let Some(automation) = after else { return Ok(()) };
    let fault = |field: &str, says: &str| {
        let says = format!("Value error, {says}");
        Err(Problem::Invalid(vec![Fault::new("value_error", &["body", field], says)]))
    };
    if let Err(says) = vet_trigger(&value(automation, "trigger")) {
        return fault("trigger", says);
    }
    for name in ACTIONS {
        let list = automation.fields.get(name).and_then(Value::as_array);
        let is_action = |one: &Value| one.get("type").is_some_and(Value::is_string);
        if !list.is_some_and(|list| list.iter().all(is_action)) {
            return fault(name, "it is a list of objects, each with a type");
        }
    }
    if value(automation, "labels").is_object() {
        Ok(())
    } else {
        fault("labels", "it is an object")
    }
}

fn vet_trigger(trigger: &Value) -> Result<(), &'static str> {
    let inside = trigger.get("triggers").and_then(Value::as_array);
    match (trigger.get("type").and_then(Value::as_str), inside) {
        (Some("compound" | "sequence"), Some(inside)) if !inside.is_empty() => {
            inside.iter().try_for_each(vet_trigger)
        }
        (Some("compound" | "sequence"), _) => Err("a compound or sequence has triggers inside"),
        (Some("event" | "metric"), _) => {
            let is_proactive = trigger.get("posture") == Some(&"Proactive".into());
            let within = trigger.get("within").and_then(Value::as_f64).unwrap_or(0.0);
            if is_proactive && within < PROACTIVE_MIN_SECONDS {
                return Err("a Proactive trigger waits for at least 10 seconds");
            }
            Ok(())
        }
        _ => Err("a trigger's type is event, metric, compound or sequence"),
    }
}

/// An automation as clients read it: with both spellings of where it is.
pub(super) fn present(record: &Record) -> Value {
    let mut told = head(record);
    let workspace = record.workspace.map(|id| id.to_string());
    for (name, id) in [("account", Some(record.account.to_string())), ("workspace", workspace)] {
        told.insert(name.to_owned(), id.clone().into());
        told.insert(format!("{name}_id"), id.into());
    }
    let fields = record.kind.fields.iter().filter(|field| field.name != "related");
    for field in fields {
        told.insert(field.name.to_owned(), value(record, field.name));
    }
    told.into()
}
