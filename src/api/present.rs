//! Records as clients read them (contract 3, 4). In: records. Out: JSON of exactly the documented keys. A key's text
//! is told once, where it was made; a digest never.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::Api;
use super::problem::Problem;
use crate::catalogue::{API_KEY, SERVICE_ACCOUNT, WEBHOOK, WORKSPACE};
use crate::id::{Secret, Uuid};
use crate::store::{Hidden, Record};

/// What accounts are; no plan stands in anybody's way here.
pub(super) const PLAN_TYPE: &str = "ENTERPRISE";
pub(super) const PLAN_TIER: &str = "ENTERPRISE";

/// How much a reply tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The record.
    Plain,
    /// The record and what it refers to.
    Read,
}

impl Api {
    /// Records of one kind, with what they refer to when the form says so.
    pub(super) async fn present(
        &self,
        records: &[Record],
        form: Form,
    ) -> Result<Vec<Value>, Problem> {
        let accounts = match (records.first().map(|record| record.kind.name), form) {
            (Some(kind), Form::Read) if kind == WEBHOOK.name => {
                let ids = records.iter().filter_map(|hook| hook.reference("service_account_id"));
                self.service_accounts(ids.collect()).await?
            }
            (Some(kind), _) if kind == SERVICE_ACCOUNT.name => {
                self.service_accounts(records.iter().map(|record| record.id).collect()).await?
            }
            _ => HashMap::new(),
        };
        let one = |record: &Record| match record.kind.name {
            kind if kind == WEBHOOK.name => {
                let mut told = webhook(record);
                if form == Form::Read {
                    let account = record.reference("service_account_id");
                    let account = account.and_then(|id| accounts.get(&id));
                    let account = account.map_or(Value::Null, |(bot, key)| caller(bot, key));
                    told["service_account"] = account;
                }
                told
            }
            kind if kind == SERVICE_ACCOUNT.name => {
                service_account(record, accounts.get(&record.id).map(|(_, key)| key), None)
            }
            _ => workspace(record),
        };
        Ok(records.iter().map(one).collect())
    }

    /// Service accounts by id, each with its newest key.
    async fn service_accounts(
        &self,
        ids: Vec<Uuid>,
    ) -> Result<HashMap<Uuid, (Record, Record)>, Problem> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let keys = self.store.holders(API_KEY.name, ids.clone()).await?;
        let mut newest: HashMap<Uuid, Record> = HashMap::new();
        for key in keys {
            newest.extend(key.reference("owner_id").map(|owner| (owner, key)));
        }
        let bots = self.store.records(ids).await?;
        let paired =
            bots.into_iter().filter_map(|bot| Some((bot.id, (newest.remove(&bot.id)?, bot))));
        Ok(paired.map(|(id, (key, bot))| (id, (bot, key))).collect())
    }
}

/// A webhook, its slug among the rest.
pub(super) fn webhook(record: &Record) -> Value {
    let slug = match &record.hidden {
        Hidden::Slug(slug) => slug.expose(),
        Hidden::Nothing | Hidden::Key(_) => "",
    };
    let mut told = head(record);
    told.insert("account".to_owned(), record.account.to_string().into());
    told.insert("workspace".to_owned(), record.workspace.map(|id| id.to_string()).into());
    for name in ["name", "description", "enabled", "template"] {
        told.insert(name.to_owned(), value(record, name));
    }
    told.insert("slug".to_owned(), slug.into());
    told.insert("service_account_id".to_owned(), value(record, "service_account_id"));
    told.into()
}

/// A service account with its key: the key's text when it was made just now, else masked.
pub(super) fn service_account(
    record: &Record,
    key: Option<&Record>,
    secret: Option<&Secret>,
) -> Value {
    let mut told = head(record);
    told.insert("actor_id".to_owned(), value(record, "actor_id"));
    told.insert("account_id".to_owned(), record.account.to_string().into());
    told.insert("name".to_owned(), value(record, "name"));
    told.insert("account_role_name".to_owned(), value(record, "account_role_name"));
    let key = key.map(|key| {
        let mut told = json!({
            "id": key.id.to_string(),
            "created": key.created.to_string(),
            "name": value(key, "name"),
            "expiration": value(key, "expiration"),
        });
        match secret {
            Some(secret) => told["key"] = secret.expose().into(),
            None => told["masked_key"] = value(key, "masked_key"),
        }
        told
    });
    told.insert("api_key".to_owned(), key.into());
    told.into()
}

/// The service account of a webhook. `hash` must be there and never holds one.
fn caller(record: &Record, key: &Record) -> Value {
    let mut told = head(record);
    told.insert("actor_id".to_owned(), value(record, "actor_id"));
    told.insert("account_id".to_owned(), record.account.to_string().into());
    told.insert("name".to_owned(), value(record, "name"));
    let mut shown = head(key);
    shown.insert("actor_id".to_owned(), value(record, "actor_id"));
    shown.insert("name".to_owned(), value(key, "name"));
    shown.insert("expiration".to_owned(), value(key, "expiration"));
    shown.insert("hash".to_owned(), "".into());
    shown.insert("masked_key".to_owned(), value(key, "masked_key"));
    told.insert("api_key".to_owned(), shown.into());
    told.into()
}

fn workspace(record: &Record) -> Value {
    debug_assert_eq!(record.kind.name, WORKSPACE.name);
    let mut told = head(record);
    told.insert("account_id".to_owned(), record.account.to_string().into());
    for name in ["name", "description", "handle"] {
        told.insert(name.to_owned(), record.text(name).into());
    }
    told.insert("default_workspace_role_id".to_owned(), Value::Null);
    told.insert("is_public".to_owned(), false.into());
    told.into()
}

/// What every record begins with.
fn head(record: &Record) -> Map<String, Value> {
    let mut told = Map::new();
    told.insert("id".to_owned(), record.id.to_string().into());
    told.insert("created".to_owned(), record.created.to_string().into());
    told.insert("updated".to_owned(), record.updated.to_string().into());
    told
}

fn value(record: &Record, name: &str) -> Value {
    record.fields.get(name).cloned().unwrap_or_default()
}
