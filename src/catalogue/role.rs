//! Roles that are there without being made, and the scopes that workspace roles are written in. In: a role's id or
//! name. Out: what it allows. The names are those clients look roles up by.

use super::permission::ACCOUNT_PERMISSIONS;
use crate::id::Uuid;

/// Where a role counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// In an account.
    Account,
    /// In a workspace.
    Workspace,
}

/// A role of every account or workspace.
#[derive(Debug)]
pub struct BuiltIn {
    /// Its id, the same everywhere.
    pub id: Uuid,
    /// Where it counts.
    pub place: Where,
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// Whether it allows that permission or scope.
    allows: fn(&str) -> bool,
}

impl BuiltIn {
    const fn new(
        number: u128,
        place: Where,
        (name, description): (&'static str, &'static str),
        allows: fn(&str) -> bool,
    ) -> Self {
        // A UUID of version 4 whose last digits count.
        let id = Uuid::from_u128(0x686f_6f6b_6761_4465_8000_0000_0000_0000 | number);
        Self { id, place, name, description, allows }
    }

    /// The kind of the roles it stands among.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.place {
            Where::Account => "account-role",
            Where::Workspace => "workspace-role",
        }
    }

    /// All that it allows.
    #[must_use]
    pub fn powers(&self) -> Vec<String> {
        let all: Vec<&str> = match self.place {
            Where::Account => ACCOUNT_PERMISSIONS.to_vec(),
            Where::Workspace => SCOPES.iter().flat_map(Group::scopes).collect(),
        };
        all.into_iter().filter(|one| (self.allows)(one)).map(str::to_owned).collect()
    }
}

/// May do everything in an account.
pub static ACCOUNT_OWNER: BuiltIn = BuiltIn::new(
    0x11,
    Where::Account,
    ("Owner", "Everything in the account and all its workspaces"),
    |_| true,
);

/// Manages an account, but does not end or pay for it.
pub static ACCOUNT_ADMIN: BuiltIn = BuiltIn::new(
    0x12,
    Where::Account,
    ("Admin", "Everything but ending the account and its billing"),
    |permission| !matches!(permission, "delete:account" | "update:billing"),
);

/// Belongs to an account.
pub static ACCOUNT_MEMBER: BuiltIn = BuiltIn::new(
    0x13,
    Where::Account,
    ("Member", "Sees who belongs to the account; workspaces by access to each"),
    |permission| {
        let (verb, about) = permission.split_once(':').unwrap_or_default();
        verb == "read"
            && matches!(
                about,
                "account"
                    | "account_membership"
                    | "account_role"
                    | "bot"
                    | "team"
                    | "workspace_role"
            )
    },
);

/// Roles of every account.
pub static ACCOUNT_ROLES: [&BuiltIn; 3] = [&ACCOUNT_OWNER, &ACCOUNT_ADMIN, &ACCOUNT_MEMBER];

/// May do everything in a workspace.
pub static WORKSPACE_OWNER: BuiltIn =
    BuiltIn::new(0x21, Where::Workspace, ("Owner", "Everything in the workspace"), |_| true);

static WORKSPACE_DEVELOPER: BuiltIn = BuiltIn::new(
    0x22,
    Where::Workspace,
    ("Developer", "Sees, runs and changes what is in the workspace, but not who may"),
    |scope| is_seeing(scope) || !is_about_people(scope),
);

static WORKSPACE_RUNNER: BuiltIn = BuiltIn::new(
    0x23,
    Where::Workspace,
    ("Runner", "Sees what is in the workspace, runs it and emits events"),
    |scope| is_seeing(scope) || scope.starts_with("run_") || scope == "manage_events",
);

/// Sees what is in a workspace.
pub static WORKSPACE_VIEWER: BuiltIn =
    BuiltIn::new(0x24, Where::Workspace, ("Viewer", "Sees what is in the workspace"), is_seeing);

static WORKSPACE_WORKER: BuiltIn = BuiltIn::new(
    0x25,
    Where::Workspace,
    ("Worker", "What a worker needs: to see, to run, to keep work pools and to emit events"),
    |scope| {
        is_seeing(scope)
            || scope.starts_with("run_")
            || matches!(scope, "manage_events" | "manage_workers" | "write_workers")
            || scope.ends_with("_work_pools")
            || scope.ends_with("_work_queues")
    },
);

/// Roles of every workspace.
pub static WORKSPACE_ROLES: [&BuiltIn; 5] = [
    &WORKSPACE_OWNER,
    &WORKSPACE_DEVELOPER,
    &WORKSPACE_RUNNER,
    &WORKSPACE_VIEWER,
    &WORKSPACE_WORKER,
];

fn is_seeing(scope: &str) -> bool {
    scope.starts_with("see_") && scope != "see_secret_blocks"
}

fn is_about_people(scope: &str) -> bool {
    scope.contains("_workspace_") || scope == "manage_acls"
}

/// The built-in role of that id.
#[must_use]
pub fn built_in(id: Uuid) -> Option<&'static BuiltIn> {
    ACCOUNT_ROLES.iter().chain(&WORKSPACE_ROLES).copied().find(|role| role.id == id)
}

/// Scopes over one thing.
#[derive(Debug)]
pub struct Group {
    /// What they are over.
    pub name: &'static str,
    scopes: &'static [&'static str],
}

impl Group {
    /// The one that every other of them includes.
    #[must_use]
    pub fn see(&self) -> Option<&'static str> {
        self.scopes().find(|scope| scope.starts_with("see_"))
    }

    /// Their names.
    pub fn scopes(&self) -> impl Iterator<Item = &'static str> {
        self.scopes.iter().copied()
    }
}

macro_rules! groups {
    ($($name:literal: $($verb:literal)+;)+) => {
        &[$(Group { name: $name, scopes: &[$(concat!($verb, "_", $name)),+] }),+]
    };
}

/// Every scope that a workspace role may be written in, those of the parts of the product that are not here among them:
/// a role is written for the whole.
pub static SCOPES: &[Group] = groups! {
    "events": "see" "manage";
    "webhooks": "see" "manage";
    "destinations": "see" "manage";
    "automations": "see" "manage";
    "incidents": "see" "write" "manage";
    "event_publications": "see" "manage";
    "event_subscriptions": "see" "manage";
    "workspace_settings": "see" "write" "manage";
    "workspace_users": "see" "manage";
    "workspace_service_accounts": "see" "manage";
    "workspace_teams": "manage";
    "flows": "see" "run" "manage";
    "tasks": "run";
    "blocks": "see" "manage";
    "secret_blocks": "see";
    "deployments": "see" "run" "write" "manage";
    "notifications": "see" "write" "manage";
    "work_queues": "see" "write" "manage";
    "concurrency_limits": "see" "manage";
    "work_pools": "see" "write" "manage";
    "workers": "see" "write" "manage";
    "artifacts": "see" "write" "manage";
    "variables": "see" "write" "manage";
    "acls": "manage";
    "mex_storage": "manage";
    "mex_deploy": "manage";
    "tags": "see" "manage";
    "assets": "see" "write" "manage";
    "saved_search": "manage";
};

/// Whether a scope is one that roles are written in.
#[must_use]
pub fn is_scope(scope: &str) -> bool {
    SCOPES.iter().flat_map(Group::scopes).any(|known| known == scope)
}

/// Whether a scope looks like one: the product has more of them than are known here.
#[must_use]
pub fn is_scope_like(scope: &str) -> bool {
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    scope.contains('_') && scope.split(['_', '-']).all(is_word)
}

/// Whether who has `held` has `wanted` too: to manage is to write, to write or to run is to see.
#[must_use]
pub fn includes(held: &str, wanted: &str) -> bool {
    let rank = |verb| match verb {
        "see" => 0,
        "run" | "write" => 1,
        _ => 2,
    };
    match (held.split_once('_'), wanted.split_once('_')) {
        _ if held == wanted => true,
        (Some((verb, about)), Some((wanted, same))) => about == same && rank(verb) > rank(wanted),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_roles_allow_what_they_say() {
        for (role, allowed, refused) in [
            (&ACCOUNT_OWNER, "delete:account", ""),
            (&ACCOUNT_ADMIN, "bypass:workspace", "delete:account"),
            (&ACCOUNT_MEMBER, "read:team", "read:audit_event"),
            (&WORKSPACE_OWNER, "manage_workspace_users", ""),
            (&WORKSPACE_DEVELOPER, "manage_webhooks", "manage_workspace_users"),
            (&WORKSPACE_RUNNER, "manage_events", "manage_webhooks"),
            (&WORKSPACE_VIEWER, "see_webhooks", "manage_events"),
            (&WORKSPACE_WORKER, "manage_work_pools", "manage_webhooks"),
        ] {
            let powers = role.powers();
            assert!(powers.iter().any(|power| power == allowed), "{} {allowed}", role.name);
            assert!(!powers.iter().any(|power| power == refused), "{} {refused}", role.name);
            assert_eq!(built_in(role.id).map(|found| found.name), Some(role.name));
            assert_eq!(role.id.get_version_num(), 4);
        }
    }

    #[test]
    fn scopes_include_what_is_less() {
        for (held, wanted, expected) in [
            ("manage_webhooks", "see_webhooks", true),
            ("manage_incidents", "write_incidents", true),
            ("write_incidents", "see_incidents", true),
            ("see_incidents", "write_incidents", false),
            ("run_flows", "see_flows", true),
            ("manage_webhooks", "see_events", false),
            ("manage_work_pools", "see_work_queues", false),
            ("x", "x", true),
        ] {
            assert_eq!(includes(held, wanted), expected, "{held} {wanted}");
        }
        assert!(is_scope("see_webhooks") && !is_scope("see_everything"));
        for (scope, expected) in [("see_everything", true), ("see", false), ("see_", false)] {
            assert_eq!(is_scope_like(scope), expected, "{scope}");
        }
    }
}
