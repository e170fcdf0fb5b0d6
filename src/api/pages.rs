//! Paths that are no record's: who am I, and what clients ask at start-up (contract 8). In: a path, and a caller where
//! one is needed. Out: replies whose shapes clients decode strictly. Changes nothing.

use http::StatusCode;
use serde_json::{Value, json};

use super::actor::Caller;
use super::problem::Problem;
use super::role::DEFAULT_ROLE;
use super::{Api, mine, openapi, present};
use crate::accept::Reply;
use crate::catalogue::{ACCOUNT_MEMBERSHIP, ACCOUNT_PERMISSIONS, WORKSPACE, role};
use crate::store::{Query, Record};

/// The version of the original's API that is spoken here; clients refuse another major one.
const SPOKEN_VERSION: &str = "3.8.8";

/// One such path.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) path: &'static str,
    /// Its name in metrics.
    pub(super) name: &'static str,
    /// Needs no key.
    pub(super) is_open: bool,
    shows: Shows,
}

#[derive(Clone, Copy, Debug)]
enum Shows {
    Health,
    Ready,
    Version,
    OpenApi,
    Me,
    Accounts,
    Organizations,
    Permitting,
    Workspaces,
    Permissions,
    Scopes,
}

pub(super) const PAGES: &[Page] = &[
    Page { path: "/api/health", name: "health", is_open: true, shows: Shows::Health },
    Page { path: "/api/ready", name: "ready", is_open: true, shows: Shows::Ready },
    Page { path: "/api/admin/version", name: "version", is_open: true, shows: Shows::Version },
    Page { path: "/api/openapi.json", name: "openapi", is_open: true, shows: Shows::OpenApi },
    Page { path: "/api/me", name: "me", is_open: false, shows: Shows::Me },
    Page { path: "/api/me/accounts", name: "accounts", is_open: false, shows: Shows::Accounts },
    Page {
        path: "/api/me/organizations",
        name: "organizations",
        is_open: false,
        shows: Shows::Organizations,
    },
    Page {
        path: "/api/me/accounts/has_permission",
        name: "accounts_with",
        is_open: false,
        shows: Shows::Permitting,
    },
    Page {
        path: "/api/me/workspaces",
        name: "workspaces",
        is_open: false,
        shows: Shows::Workspaces,
    },
    Page {
        path: "/api/accounts/permissions",
        name: "permissions",
        is_open: false,
        shows: Shows::Permissions,
    },
    Page {
        path: "/api/workspace_scopes",
        name: "workspace_scopes",
        is_open: false,
        shows: Shows::Scopes,
    },
];

/// The page of a path, in either slash form.
pub(super) fn find(path: &str) -> Option<&'static Page> {
    let path = path.strip_suffix('/').unwrap_or(path);
    PAGES.iter().find(|page| page.path == path)
}

/// The path of each page.
#[cfg(test)]
pub(super) fn paths() -> impl Iterator<Item = &'static str> {
    PAGES.iter().map(|page| page.path)
}

impl Api {
    /// Shows a page. One that is not open has a caller.
    pub(super) async fn show(
        &self,
        page: &Page,
        caller: Option<&Caller>,
        query: &str,
    ) -> Result<Reply, Problem> {
        let value = match (page.shows, caller) {
            (Shows::OpenApi, _) => return Ok(Reply::json(StatusCode::OK, openapi::text())),
            (Shows::Health, _) => json!(true),
            (Shows::Version, _) => json!(SPOKEN_VERSION),
            (Shows::Ready, _) => {
                // Whoever can be asked can answer.
                self.store.pending_count().await?;
                json!({ "message": "OK" })
            }
            (Shows::Me, Some(caller)) => me(caller),
            (Shows::Accounts, Some(caller)) => {
                let mut rows = self.accounts(caller).await?;
                rows.iter_mut().for_each(add_plan);
                rows.into()
            }
            (Shows::Organizations, Some(caller)) => self.accounts(caller).await?.into(),
            (Shows::Permitting, Some(caller)) => {
                self.accounts_with(caller, &mine::asked(query, "permission")?).await?
            }
            (Shows::Workspaces, Some(caller)) => self.workspaces(caller).await?,
            (Shows::Scopes, Some(_)) => role::SCOPES.iter().flat_map(scopes).collect(),
            (Shows::Permissions, Some(_)) => json!(ACCOUNT_PERMISSIONS.as_slice()),
            (_, None) => return Err(Problem::Unauthorized),
        };
        Ok(Reply::json(StatusCode::OK, value.to_string()))
    }

    /// The workspaces somebody may enter, of all the accounts they belong to.
    async fn workspaces(&self, caller: &Caller) -> Result<Value, Problem> {
        let entered: Vec<_> = self
            .accesses(&caller.owner)
            .await?
            .iter()
            .filter_map(|place| place.workspace)
            .collect();
        let mut rows = Vec::new();
        for (membership, account) in self.memberships(caller).await? {
            let powers = self.powers(&caller.owner, &membership, None).await?;
            let workspaces = self.store.list(Query::new(&WORKSPACE, account.id, None)).await?;
            let may_enter = |place: &&Record| {
                powers.reach_workspace()
                    || entered.contains(&place.id)
                    || place.reference(DEFAULT_ROLE).is_some()
            };
            rows.extend(workspaces.iter().filter(may_enter).map(|place| row(&account, place)));
        }
        Ok(rows.into())
    }

    /// The accounts somebody belongs to, each with their place in it.
    pub(super) async fn memberships(
        &self,
        caller: &Caller,
    ) -> Result<Vec<(Record, Record)>, Problem> {
        let held = self.store.holders(ACCOUNT_MEMBERSHIP.name, vec![caller.owner.id]).await?;
        let ids = held.iter().map(|membership| membership.account).collect();
        let accounts = self.store.records(ids).await?;
        let paired = held.into_iter().filter_map(|membership| {
            let account = accounts.iter().find(|account| account.id == membership.account)?;
            Some((membership, account.clone()))
        });
        Ok(paired.collect())
    }

    async fn accounts(&self, caller: &Caller) -> Result<Vec<Value>, Problem> {
        let mut rows = Vec::new();
        for (membership, account) in self.memberships(caller).await? {
            let role = match membership.reference("account_role_id") {
                Some(role) => self.role_name(role).await?,
                None => String::new(),
            };
            rows.push(json!({
                "account_membership_id": membership.id.to_string(),
                "account_id": account.id.to_string(),
                "account_name": account.text("name"),
                "account_role_name": role,
                "account_handle": account.text("handle"),
            }));
        }
        Ok(rows)
    }
}

fn add_plan(account: &mut Value) {
    account["account_plan_type"] = present::PLAN_TYPE.into();
    account["account_plan_tier"] = present::PLAN_TIER.into();
    account["account_plan_features"] = json!([]);
}

fn row(account: &Record, workspace: &Record) -> Value {
    json!({
        "account_id": account.id.to_string(),
        "account_name": account.text("name"),
        "account_handle": account.text("handle"),
        "workspace_id": workspace.id.to_string(),
        "workspace_name": workspace.text("name"),
        "workspace_description": workspace.text("description"),
        "workspace_handle": workspace.text("handle"),
    })
}

/// The scopes over one thing, as those who write roles read them.
fn scopes(group: &'static role::Group) -> impl Iterator<Item = Value> {
    group.scopes().map(|scope| {
        let less = |other: &&str| *other != scope && role::includes(scope, other);
        let includes: Vec<_> = group.scopes().filter(less).collect();
        json!({
            "name": scope,
            "title": scope.replace('_', " "),
            "feature_group": group.name,
            "includes_scopes": includes,
            "see_scope": group.see(),
        })
    })
}

fn me(caller: &Caller) -> Value {
    let owner = &caller.owner;
    let (handle, first_name) = if caller.is_user() {
        (owner.text("handle"), owner.text("first_name"))
    } else {
        (owner.text("name"), owner.text("name"))
    };
    json!({
        "id": owner.id.to_string(),
        "handle": handle,
        "first_name": first_name,
        "last_name": owner.text("last_name"),
        "email": owner.text("email"),
        "location": null,
        "personal_account_id": null,
        "settings": {},
    })
}
