//! Records as clients read them (contract 3, 4). In: records. Out: JSON of exactly the documented keys. A key's text
//! is told once, where it was made; a digest never.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::key::Fresh;
use super::problem::Problem;
use super::role::DEFAULT_ROLE;
use super::{Api, Options, automation, session, settings};
use crate::catalogue::{
    ACCOUNT, ACCOUNT_MEMBERSHIP, ACCOUNT_ROLE, ACCOUNT_SETTINGS, API_KEY, AUTOMATION, DESTINATION,
    Field, INCIDENT_COMMENT, SERVICE_ACCOUNT, SESSION, Source, TEAM, USER, WEBHOOK, WORKSPACE,
    WORKSPACE_ACCESS, WORKSPACE_ROLE,
};
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
        let Some(kind) = records.first().map(|record| record.kind.name) else {
            return Ok(Vec::new());
        };
        if kind == SERVICE_ACCOUNT.name {
            let bots = self.service_accounts(ids(records)).await?;
            let roles = self.roles_of(ids(records)).await?;
            let one = |record: &Record| {
                let role = roles.get(&record.id).map_or("", String::as_str);
                service_account(record, role, bots.get(&record.id).map(|(_, key)| key), None)
            };
            return Ok(records.iter().map(one).collect());
        }
        if kind == ACCOUNT.name {
            return self.present_accounts(records).await;
        }
        if kind == ACCOUNT_MEMBERSHIP.name {
            return self.members(records, form).await;
        }
        if kind == WEBHOOK.name {
            let callers = match form {
                Form::Plain => HashMap::new(),
                Form::Read => {
                    let ids =
                        records.iter().filter_map(|hook| hook.reference("service_account_id"));
                    self.service_accounts(ids.collect()).await?
                }
            };
            let one = |record: &Record| {
                let mut told = webhook(record);
                if let Some(fault) = self.verification_fault(record) {
                    told["verification_fault"] = fault.into();
                }
                if form == Form::Read {
                    let account = record.reference("service_account_id");
                    let account = account.and_then(|id| callers.get(&id));
                    told["service_account"] =
                        account.map_or(Value::Null, |(bot, key)| caller(bot, key));
                }
                told
            };
            return Ok(records.iter().map(one).collect());
        }
        if kind == TEAM.name {
            return self.present_teams(records).await;
        }
        if kind == DESTINATION.name {
            return self.present_destinations(records).await;
        }
        if kind == WORKSPACE_ACCESS.name {
            return self.present_accesses(records).await;
        }
        let one = |record: &Record| match kind {
            kind if kind == WORKSPACE.name => workspace(record),
            kind if kind == AUTOMATION.name => automation::present(record),
            kind if kind == INCIDENT_COMMENT.name => comment(record),
            kind if kind == WORKSPACE_ROLE.name => workspace_role(record),
            kind if kind == ACCOUNT_ROLE.name => account_role(record),
            kind if kind == API_KEY.name => key(record, None),
            kind if kind == USER.name => user(record),
            kind if kind == SESSION.name => session::present(record),
            kind if kind == ACCOUNT_SETTINGS.name => settings::show(record),
            _ => plain(record),
        };
        Ok(records.iter().map(one).collect())
    }

    /// Why each request of a webhook is refused, when its verification can never succeed.
    fn verification_fault(&self, record: &Record) -> Option<String> {
        let Options { providers, means, .. } = &self.options;
        let fit = record.verification()?.check_fit(providers, *means, self.clock.now());
        fit.err().map(|fault| fault.to_string())
    }

    /// A record that was made or got a secret just now, with the key that is told once.
    pub(super) async fn present_new(
        &self,
        record: Record,
        fresh: Option<Fresh>,
    ) -> Result<Value, Problem> {
        let Some((key, secret)) = fresh else {
            return Ok(self.present(&[record], Form::Plain).await?.pop().unwrap_or_default());
        };
        let roles = self.roles_of(vec![record.id]).await?;
        let role = roles.get(&record.id).map_or("", String::as_str);
        Ok(service_account(&record, role, Some(&key), Some(&secret)))
    }

    /// Names of the roles that service accounts have, by their ids.
    async fn roles_of(&self, bots: Vec<Uuid>) -> Result<HashMap<Uuid, String>, Problem> {
        let mut names = HashMap::new();
        for membership in self.store.holders(ACCOUNT_MEMBERSHIP.name, bots).await? {
            let pair = membership.reference("bot_id").zip(membership.reference("account_role_id"));
            if let Some((bot, role)) = pair {
                names.insert(bot, self.role_name(role).await?);
            }
        }
        Ok(names)
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

fn ids(records: &[Record]) -> Vec<Uuid> {
    records.iter().map(|record| record.id).collect()
}

/// A record of a kind whose clients read just what the table says.
pub(super) fn plain(record: &Record) -> Value {
    let mut told = head(record);
    told.insert("account_id".to_owned(), record.account.to_string().into());
    if let Some(workspace) = record.workspace {
        told.insert("workspace_id".to_owned(), workspace.to_string().into());
    }
    let is_shown = |field: &&Field| field.source != Source::Secret && !field.is_concealed();
    for field in record.kind.fields.iter().filter(is_shown) {
        told.insert(field.name.to_owned(), value(record, field.name));
    }
    told.into()
}

/// A key: its text when it was made just now, else masked.
pub(super) fn key(key: &Record, secret: Option<&Secret>) -> Value {
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
}

/// A webhook, its slug among the rest.
pub(super) fn webhook(record: &Record) -> Value {
    let slug = match &record.hidden {
        Hidden::Slug(slug) => slug.present.expose(),
        _ => "",
    };
    let mut told = head(record);
    told.insert("account".to_owned(), record.account.to_string().into());
    told.insert("workspace".to_owned(), record.workspace.map(|id| id.to_string()).into());
    for name in ["name", "description", "enabled", "template"] {
        told.insert(name.to_owned(), value(record, name));
    }
    told.insert("slug".to_owned(), slug.into());
    told.insert("service_account_id".to_owned(), value(record, "service_account_id"));
    for field in record.kind.fields.iter().filter(|field| field.is_own) {
        let value = value(record, field.name);
        if field.says(&value) {
            told.insert(field.name.to_owned(), value);
        }
    }
    told.into()
}

/// A service account with its key.
fn service_account(
    record: &Record,
    role: &str,
    fresh: Option<&Record>,
    secret: Option<&Secret>,
) -> Value {
    let mut told = head(record);
    told.insert("actor_id".to_owned(), value(record, "actor_id"));
    told.insert("account_id".to_owned(), record.account.to_string().into());
    told.insert("name".to_owned(), value(record, "name"));
    told.insert("account_role_name".to_owned(), role.into());
    told.insert("api_key".to_owned(), fresh.map(|fresh| key(fresh, secret)).into());
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
    told.insert(DEFAULT_ROLE.to_owned(), value(record, DEFAULT_ROLE));
    told.insert("is_public".to_owned(), false.into());
    told.into()
}

/// A person. What comes from elsewhere or has no meaning here is null.
fn user(record: &Record) -> Value {
    let mut told = head(record);
    for name in ["handle", "actor_id"] {
        told.insert(name.to_owned(), value(record, name));
    }
    told.insert("idp_user_id".to_owned(), Value::Null);
    for name in ["first_name", "last_name", "email", "title", "image_location", "location"] {
        told.insert(name.to_owned(), value(record, name));
    }
    told.insert("personal_account_id".to_owned(), Value::Null);
    let settings = value(record, "settings");
    told.insert("settings".to_owned(), if settings.is_null() { json!({}) } else { settings });
    told.insert("last_login".to_owned(), value(record, "last_login"));
    told.into()
}

/// A role of an account; those that are built in belong to none.
fn account_role(record: &Record) -> Value {
    let is_built_in = record.account.is_nil();
    let mut told = plain(record);
    told["is_system_role"] = is_built_in.into();
    if is_built_in {
        told["account_id"] = Value::Null;
    }
    told
}

/// A role of a workspace; those that are built in belong to no account. What it allows without what it inherits is
/// told under both names that clients know.
fn workspace_role(record: &Record) -> Value {
    let mut told = plain(record);
    if record.account.is_nil() {
        told["account_id"] = Value::Null;
    }
    told["permissions"] = value(record, "scopes");
    told
}

/// A comment, with who wrote it.
fn comment(record: &Record) -> Value {
    let mut told = head(record);
    for name in ["incident_id", "comment", "author_id"] {
        told.insert(name.to_owned(), value(record, name));
    }
    told.insert("author".to_owned(), value(record, "name"));
    told.into()
}

/// What every record begins with.
pub(super) fn head(record: &Record) -> Map<String, Value> {
    let mut told = Map::new();
    told.insert("id".to_owned(), record.id.to_string().into());
    told.insert("created".to_owned(), record.created.to_string().into());
    told.insert("updated".to_owned(), record.updated.to_string().into());
    told
}

pub(super) fn value(record: &Record, name: &str) -> Value {
    record.fields.get(name).cloned().unwrap_or_default()
}
