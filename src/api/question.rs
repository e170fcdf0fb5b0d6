//! Read, list, filter. In: a call, and what describes the records it wants. Out: those of the caller's own place.

use http::StatusCode;
use serde_json::Value;

use super::present::Form;
use super::problem::Problem;
use super::{Api, Call, text};
use crate::accept::Reply;
use crate::catalogue::role::{self, BuiltIn};
use crate::catalogue::{
    ACCOUNT, API_KEY, IS_GLOBAL, Kind, LIST_MAX, Number, OPERATOR, SESSION, Scope, USER, Values,
    WORKSPACE,
};
use crate::clock::Time;
use crate::id::Uuid;
use crate::store::{Criterion, Query, Record, Sort};

impl Api {
    /// The record a call is about, if it belongs to the call's place.
    pub(super) async fn record(&self, call: &Call) -> Result<Record, Problem> {
        if let Some(role) =
            call.id().and_then(role::built_in).filter(|role| role.kind() == call.kind.name)
        {
            return Ok(standing(call.kind, role));
        }
        let id = match (call.id(), call.kind.name) {
            (Some(id), _) => id,
            (None, kind) if kind == ACCOUNT.name => call.account(),
            (None, kind) if kind == WORKSPACE.name => call.workspace().ok_or(Problem::NotFound)?,
            (None, kind) if kind == USER.name => call.part("user").ok_or(Problem::NotFound)?,
            (None, _) if call.kind.number == Number::One => return self.only(call).await,
            (None, _) => return Err(Problem::NotFound),
        };
        let found = self.store.records(vec![id]).await?.pop();
        let workspace = call.workspace().filter(|_| call.kind.scope == Scope::Workspace);
        let holder = holder(call);
        let ours = |record: &Record| {
            record.kind.name == call.kind.name
                && (holder.is_none() || record.reference("owner_id") == holder)
                && (record.account == call.account() || record.kind.name == USER.name)
                && record.workspace == workspace
        };
        found.filter(ours).ok_or(Problem::NotFound)
    }

    /// The one record of a kind in a call's place; as it would have been made, for places that are older than the kind.
    async fn only(&self, call: &Call) -> Result<Record, Problem> {
        let workspace = call.workspace().filter(|_| call.kind.scope == Scope::Workspace);
        self.only_of(call.kind, call.account(), workspace).await
    }

    /// The one record of a kind in an account or a workspace.
    pub(super) async fn only_of(
        &self,
        kind: &'static Kind,
        account: Uuid,
        workspace: Option<Uuid>,
    ) -> Result<Record, Problem> {
        let id = kind.id_in(workspace.unwrap_or(account));
        let found = self.store.records(vec![id]).await?.pop();
        let unkept = || Record::only(kind, account, workspace, self.clock.now());
        Ok(found.unwrap_or_else(unkept))
    }

    pub(super) async fn read(&self, call: &Call) -> Result<Reply, Problem> {
        let record = self.record(call).await?;
        let told = self.present(&[record], Form::Read).await?.pop().unwrap_or_default();
        Ok(reply(call, &told))
    }

    /// All of a place, or those of one name.
    pub(super) async fn list(&self, call: &Call, query: &str) -> Result<Reply, Problem> {
        let mut asked = all(call);
        let name = text::find(query, "name").map(|name| Criterion::any("name", [name]));
        asked.criteria.extend(name);
        let records = self.store.list(asked).await?;
        let told = self.present(&records, Form::Plain).await?;
        Ok(reply(call, &told.into()))
    }

    pub(super) async fn filter(&self, call: &Call, values: &Values) -> Result<Reply, Problem> {
        let mut query = query(call, values);
        let wanted = values.get(call.kind.criteria).and_then(|asked| asked.get(IS_GLOBAL));
        // Roles that are built in come first.
        let mut built_in = standing_in(&query);
        if wanted == Some(&false.into()) {
            built_in.clear();
        }
        let skipped = built_in.len().min(usize::try_from(query.offset).unwrap_or(usize::MAX));
        let most = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let mut records: Vec<Record> = built_in.into_iter().skip(skipped).take(most).collect();
        query.offset -= skipped as u64;
        query.limit -= records.len() as u64;
        if wanted != Some(&true.into()) {
            records.extend(self.store.list(query).await?);
        }
        let told = self.present(&records, Form::Read).await?;
        Ok(reply(call, &told.into()))
    }

    pub(super) async fn count(&self, call: &Call, values: &Values) -> Result<Reply, Problem> {
        let query = query(call, values);
        let built_in = standing_in(&query).len() as u64;
        let count = built_in + self.store.count(query).await?;
        Ok(reply(call, &count.into()))
    }
}

/// What a body asks for, in a call's place.
fn query(call: &Call, values: &Values) -> Query {
    let count = |name| values.get(name).and_then(Value::as_u64);
    let criteria = values.get(call.kind.criteria).and_then(Value::as_object);
    let criteria: Vec<_> = criteria.into_iter().flatten().collect();
    let is_either = criteria.iter().any(|(name, _)| *name == OPERATOR);
    let asked = criteria.into_iter().filter(|(name, _)| *name != OPERATOR).map(criterion).collect();
    let (mut criteria, choices) = if is_either { (Vec::new(), asked) } else { (asked, Vec::new()) };
    let place = all(call);
    criteria.extend(flags(values));
    criteria.extend(place.criteria);
    let sort = values.get("sort").and_then(Value::as_str).unwrap_or_default();
    Query {
        criteria,
        choices,
        sort: Sort::named(sort),
        offset: count("offset").unwrap_or(0),
        limit: count("limit").unwrap_or(LIST_MAX),
        ..place
    }
}

/// The built-in roles that a query describes.
fn standing_in(query: &Query) -> Vec<Record> {
    let roles = role::ACCOUNT_ROLES.iter().chain(&role::WORKSPACE_ROLES);
    let ours = roles.filter(|role| role.kind() == query.kind.name);
    ours.map(|role| standing(query.kind, role)).filter(|role| query.describes(role)).collect()
}

/// A built-in role as if it were a record, of no account.
fn standing(kind: &'static Kind, role: &BuiltIn) -> Record {
    let mut fields = Values::new();
    for field in kind.fields {
        let value = match field.name {
            "name" => role.name.into(),
            "description" => role.description.into(),
            "permissions" | "scopes" => role.powers().into(),
            _ => Value::Null,
        };
        fields.insert(field.name.to_owned(), value);
    }
    Record::new(role.id, kind, Uuid::nil(), fields, Time::default())
}

/// What flags of a body ask of members.
fn flags(values: &Values) -> Vec<Criterion> {
    let is = |name: &str, wanted: bool| values.get(name) == Some(&wanted.into());
    let has = |field: &str| {
        let nothing = Some(vec![String::new()]);
        Criterion { field: field.to_owned(), not_any: nothing, ..Criterion::default() }
    };
    let active = |digit: &str| Criterion::any("active", [digit.to_owned()]);
    let asked = [
        is("only_users", true).then(|| has("user_id")),
        is("only_bots", true).then(|| has("bot_id")),
        is("active", true).then(|| active("1")),
        is("active", false).then(|| active("0")),
    ];
    asked.into_iter().flatten().collect()
}

/// A criterion as the catalogue leaves it.
pub(super) fn criterion((field, asked): (&String, &Value)) -> Criterion {
    let texts = |operator| {
        let list: Option<&Vec<Value>> = asked.get(operator).and_then(Value::as_array);
        list.map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    };
    Criterion {
        field: field.clone(),
        any: texts("any"),
        not_any: texts("not_any"),
        like: asked.get("like").and_then(Value::as_str).map(str::to_owned),
    }
}

/// The first page of a call's place, by name.
pub(super) fn all(call: &Call) -> Query {
    let workspace = call.workspace().filter(|_| call.kind.scope == Scope::Workspace);
    let holder = holder(call).map(|owner| Criterion::any("owner_id", [owner.to_string()]));
    let criteria = holder.into_iter().collect();
    Query { criteria, ..Query::new(call.kind, call.account(), workspace) }
}

/// Whose keys a call is about: the person's that the path names, or the caller's.
fn holder(call: &Call) -> Option<Uuid> {
    let caller = call.caller.as_ref().map(|caller| caller.owner.id);
    call.part("user").or(caller).filter(|_| [API_KEY.name, SESSION.name].contains(&call.kind.name))
}

/// The verb's own success, with or without a body.
pub(super) fn reply(call: &Call, told: &Value) -> Reply {
    let status = StatusCode::from_u16(call.verb.status).unwrap_or(StatusCode::OK);
    if status == StatusCode::NO_CONTENT {
        Reply::empty(status)
    } else {
        Reply::json(status, told.to_string())
    }
}
