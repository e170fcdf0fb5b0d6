//! Read, list, filter. In: a call, and what describes the records it wants. Out: those of the caller's own place.

use http::StatusCode;
use serde_json::Value;

use super::present::Form;
use super::problem::Problem;
use super::{Api, Call, text};
use crate::accept::Reply;
use crate::catalogue::{LIST_MAX, Values, is_id};
use crate::store::{Query, Record, Sort};

impl Api {
    /// The record a call is about, if it belongs to the call's place.
    pub(super) async fn record(&self, call: &Call) -> Result<Record, Problem> {
        let id = call.id.ok_or(Problem::NotFound)?;
        let found = self.store.records(vec![id]).await?.pop();
        let ours = |record: &Record| {
            record.kind.name == call.kind.name
                && record.account == call.account()
                && record.workspace == call.workspace()
        };
        found.filter(ours).ok_or(Problem::NotFound)
    }

    pub(super) async fn read(&self, call: &Call) -> Result<Reply, Problem> {
        let record = self.record(call).await?;
        let told = self.present(&[record], Form::Read).await?.pop().unwrap_or_default();
        Ok(reply(call, &told))
    }

    /// All of a place, or those of one name.
    pub(super) async fn list(&self, call: &Call, query: &str) -> Result<Reply, Problem> {
        let names = text::find(query, "name").map(|name| vec![name]);
        let records = self.store.list(Query { names, ..all(call) }).await?;
        let told = self.present(&records, Form::Plain).await?;
        Ok(reply(call, &told.into()))
    }

    pub(super) async fn filter(&self, call: &Call, values: &Values) -> Result<Reply, Problem> {
        let count = |name| values.get(name).and_then(Value::as_u64);
        let criteria = values.get(call.kind.criteria).and_then(Value::as_object);
        let criterion = |name| criteria.and_then(|criteria| criteria.get(name));
        let texts = |name| {
            let list = criterion(name).and_then(Value::as_array);
            list.map(|list| list.iter().filter_map(Value::as_str))
        };
        let sort = values.get("sort").and_then(Value::as_str).unwrap_or_default();
        let query = Query {
            ids: texts("ids").map(|ids| ids.filter_map(is_id).collect()),
            names: texts("names").map(|names| names.map(str::to_owned).collect()),
            like: criterion("like").and_then(Value::as_str).map(str::to_owned),
            sort: Sort::named(sort),
            offset: count("offset").unwrap_or(0),
            limit: count("limit").unwrap_or(LIST_MAX),
            ..all(call)
        };
        let records = self.store.list(query).await?;
        let told = self.present(&records, Form::Read).await?;
        Ok(reply(call, &told.into()))
    }
}

/// The first page of a call's place, by name.
fn all(call: &Call) -> Query {
    Query {
        kind: call.kind,
        account: call.account(),
        workspace: call.workspace(),
        ids: None,
        names: None,
        like: None,
        sort: Sort::Name { descending: false },
        offset: 0,
        limit: LIST_MAX,
    }
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
