//! Paths that are no record's: who am I, and what clients ask at start-up (contract 8). In: a path, and a caller where
//! one is needed. Out: replies whose shapes clients decode strictly. Changes nothing.

use http::StatusCode;
use serde_json::{Value, json};

use super::actor::Caller;
use super::problem::Problem;
use super::{Api, present};
use crate::accept::Reply;
use crate::catalogue::{LIST_MAX, Permission, WORKSPACE};
use crate::store::{Query, Record, Sort};

/// The version of the original's API that is spoken here; clients refuse another major one.
const SPOKEN_VERSION: &str = "3.8.8";

/// One such path.
#[derive(Debug)]
pub(super) struct Page {
    path: &'static str,
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
    Me,
    Accounts,
    Workspaces,
}

const PAGES: &[Page] = &[
    Page { path: "/api/health", name: "health", is_open: true, shows: Shows::Health },
    Page { path: "/api/ready", name: "ready", is_open: true, shows: Shows::Ready },
    Page { path: "/api/admin/version", name: "version", is_open: true, shows: Shows::Version },
    Page { path: "/api/me", name: "me", is_open: false, shows: Shows::Me },
    Page { path: "/api/me/accounts", name: "accounts", is_open: false, shows: Shows::Accounts },
    Page {
        path: "/api/me/workspaces",
        name: "workspaces",
        is_open: false,
        shows: Shows::Workspaces,
    },
];

/// The page of a path, in either slash form.
pub(super) fn find(path: &str) -> Option<&'static Page> {
    let path = path.strip_suffix('/').unwrap_or(path);
    PAGES.iter().find(|page| page.path == path)
}

impl Api {
    /// Shows a page. One that is not open has a caller.
    pub(super) async fn show(
        &self,
        page: &Page,
        caller: Option<&Caller>,
    ) -> Result<Reply, Problem> {
        let value = match (page.shows, caller) {
            (Shows::Health, _) => json!(true),
            (Shows::Version, _) => json!(SPOKEN_VERSION),
            (Shows::Ready, _) => {
                // Whoever can be asked can answer.
                self.store.pending_count().await?;
                json!({ "message": "OK" })
            }
            (Shows::Me, Some(caller)) => me(caller),
            (Shows::Accounts, Some(caller)) => accounts(caller),
            (Shows::Workspaces, Some(caller)) => self.workspaces(caller).await?,
            (_, None) => return Err(Problem::Unauthorized),
        };
        Ok(Reply::json(StatusCode::OK, value.to_string()))
    }

    async fn workspaces(&self, caller: &Caller) -> Result<Value, Problem> {
        if !caller.role.allows(Permission::SeeWorkspaces) {
            return Ok(json!([]));
        }
        let query = Query {
            kind: &WORKSPACE,
            account: caller.account.id,
            workspace: None,
            ids: None,
            names: None,
            like: None,
            sort: Sort::Name { descending: false },
            offset: 0,
            limit: LIST_MAX,
        };
        let workspaces = self.store.list(query).await?;
        let account = &caller.account;
        let row = |workspace: &Record| {
            json!({
                "account_id": account.id.to_string(),
                "account_name": account.text("name"),
                "account_handle": account.text("handle"),
                "workspace_id": workspace.id.to_string(),
                "workspace_name": workspace.text("name"),
                "workspace_description": workspace.text("description"),
                "workspace_handle": workspace.text("handle"),
            })
        };
        Ok(workspaces.iter().map(row).collect())
    }
}

fn me(caller: &Caller) -> Value {
    let owner = &caller.owner;
    let (handle, first_name) = match caller.membership {
        Some(_) => (owner.text("handle"), owner.text("first_name")),
        None => (owner.text("name"), owner.text("name")),
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

fn accounts(caller: &Caller) -> Value {
    let row = |membership: &Record| {
        json!({
            "account_membership_id": membership.id.to_string(),
            "account_id": caller.account.id.to_string(),
            "account_name": caller.account.text("name"),
            "account_role_name": caller.role.name(),
            "account_handle": caller.account.text("handle"),
            "account_plan_type": present::PLAN_TYPE,
            "account_plan_tier": present::PLAN_TIER,
            "account_plan_features": [],
        })
    };
    caller.membership.iter().map(row).collect()
}
