//! Workspaces and who may come in.

use super::super::{
    Act, Action, Effect, Fallback, Field, Kind, Number, Permission, Reach, Scope, Shape, Verb,
};
use super::{IS_GLOBAL, LIMIT, MEX_USE, OFFSET};

const SEE_SETTINGS: Permission = Permission::Workspace("see_workspace_settings");
const SEE_ROLES: Permission = Permission::Account("read:workspace_role");
const SEE_USERS: Permission = Permission::Workspace("see_workspace_users");
const MANAGE_USERS: Permission = Permission::Workspace("manage_workspace_users");
const SEE_BOTS: Permission = Permission::Workspace("see_workspace_service_accounts");
const MANAGE_BOTS: Permission = Permission::Workspace("manage_workspace_service_accounts");
const MANAGE_TEAMS: Permission = Permission::Workspace("manage_workspace_teams");

const MOVED: &str = "POST {workspace}/transfer";

/// What an account loses a workspace by.
const LEAVE: Permission = Permission::Account("delete:workspace");
/// Where a workspace moves to.
const TARGET: [Field; 2] = [
    Field::new("to_account_id", Shape::Reference(&["account"])).required(),
    Field::new("new_handle", Shape::Handle),
];

/// Where webhooks live. A caller without a role in it may still be a member of its account: what makes and ends
/// workspaces is a permission of the account.
pub static WORKSPACE: Kind = Kind {
    name: "workspace",
    scope: Scope::Account,
    number: Number::Many,
    base: "accounts/{account}/workspaces",
    id_name: "workspace_id",
    criteria: "workspaces",
    fields: &[
        Field::text("name").required(),
        Field::text("description").or(Fallback::Text("")),
        Field::new("handle", Shape::Handle).required().unique(Reach::Account),
        Field::new("default_workspace_role_id", Shape::Reference(&["workspace-role"]))
            .null_clears()
            .relates("default-role"),
    ],
    verbs: &[
        Verb::create(Permission::Account("create:workspace")),
        Verb::filter(
            Permission::Account("read:workspace"),
            &[Field::new("workspaces", Shape::Criteria(&["handle"])), OFFSET, LIMIT],
        ),
        Verb::new("read", ("GET", "{workspace}", 200), SEE_SETTINGS, Effect::Read),
        Verb::new("find", ("GET", "/workspaces/{workspace}", 200), SEE_SETTINGS, Effect::Read),
        Verb::new(
            "change",
            ("PATCH", "{workspace}", 204),
            Permission::Workspace("manage_workspace_settings"),
            Effect::Change,
        )
        .takes(None),
        Verb::new("delete", ("DELETE", "{workspace}", 204), LEAVE, Effect::Delete),
        Verb::own("transfer", ("POST", "{workspace}/transfer", 204), LEAVE, Act::Transfer)
            .also(&TARGET),
        Verb::own(
            "validate_transfer",
            ("POST", "{workspace}/validate_transfer", 200),
            LEAVE,
            Act::ValidateTransfer,
        )
        .also(&TARGET),
    ],
    actions: &[
        Action::new("created", "POST {account}/workspaces/", "a workspace was made"),
        Action::new("updated", "PATCH {workspace}", "its name, handle or default role changed"),
        Action::new("deleted", "DELETE {workspace}", "it was ended, and all that was in it"),
        Action::new("transferred-out", MOVED, "it left the account"),
        Action::new("transferred-in", MOVED, "it came into the account"),
    ],
};

/// What a workspace does where nothing else is said. Made and ended with it.
pub static WORKSPACE_SETTINGS: Kind = Kind {
    name: "workspace-settings",
    scope: Scope::Workspace,
    number: Number::One,
    base: "accounts/{account}/workspaces/{workspace}/settings",
    id_name: "workspace_id",
    criteria: "workspace_settings",
    fields: &[
        Field::new("inherit_default_result_storage", Shape::Flag).or(Fallback::Flag(true)),
        Field::new("default_result_storage_block_id", Shape::Foreign).null_clears(),
        MEX_USE[0],
        MEX_USE[1],
    ],
    verbs: &[
        Verb::new("read", ("GET", "", 200), SEE_SETTINGS, Effect::Read),
        Verb::new(
            "change",
            ("PATCH", "", 204),
            Permission::Workspace("write_workspace_settings"),
            Effect::Change,
        )
        .takes(None),
        Verb::own(
            "rate_limits",
            ("GET", "/accounts/{account}/workspaces/{workspace}/rate-limits", 200),
            Permission::Workspace("see_webhooks"),
            Act::Rates,
        ),
        Verb::own(
            "rate_usage",
            ("GET", "/accounts/{account}/workspaces/{workspace}/rate-limits/usage", 200),
            Permission::Workspace("see_webhooks"),
            Act::RateUsage,
        ),
        Verb::own(
            "rate_download",
            ("GET", "/accounts/{account}/workspaces/{workspace}/rate-limits/usage/download", 200),
            Permission::Workspace("see_webhooks"),
            Act::RateDownload,
        ),
    ],
    actions: &[
        Action::new("created", "POST {account}/workspaces/", "a workspace was made with them"),
        Action::new("updated", "PATCH {workspace}/settings", "one of them changed"),
        Action::new("deleted", "DELETE {workspace}", "they ended with their workspace"),
    ],
};

/// What a place in a workspace allows; those that are built in are no records.
pub static WORKSPACE_ROLE: Kind = Kind {
    name: "workspace-role",
    scope: Scope::Account,
    number: Number::Many,
    base: "accounts/{account}/workspace_roles",
    id_name: "role_id",
    criteria: "workspace_roles",
    fields: &[
        Field::text("name").required().unique(Reach::Account),
        Field::new("description", Shape::Text(140)).or(Fallback::Text("")),
        Field::new("scopes", Shape::Words(200, 100)).or(Fallback::List),
        Field::new("inherited_role_id", Shape::Reference(&["workspace-role"])).null_clears(),
    ],
    verbs: &[
        Verb::create(Permission::Account("create:workspace_role")),
        Verb::filter(
            SEE_ROLES,
            &[Field::new("workspace_roles", Shape::Criteria(&[IS_GLOBAL])), OFFSET, LIMIT],
        ),
        Verb::read(SEE_ROLES),
        Verb::change(
            Permission::Account("update:workspace_role"),
            &["name", "description", "scopes", "inherited_role_id"],
        ),
        Verb::delete(Permission::Account("delete:workspace_role")),
    ],
    actions: &[
        Action::new("created", "POST {account}/workspace_roles/", "a role was made"),
        Action::new("updated", "PATCH {account}/workspace_roles/{id}", "it allows something else"),
        Action::new("deleted", "DELETE {account}/workspace_roles/{id}", "a role was ended"),
    ],
};

/// The role that is given, beside to whom.
const ROLE: Option<&[&str]> = Some(&["workspace_role_id"]);

const fn grantee(name: &'static str, kind: &'static [&'static str]) -> Field {
    Field::new(name, Shape::Reference(kind)).required()
}

/// Somebody's place in a workspace: a person's, a service account's or a team's.
pub static WORKSPACE_ACCESS: Kind = Kind {
    name: "workspace-access",
    scope: Scope::Workspace,
    number: Number::Many,
    base: "accounts/{account}/workspaces/{workspace}",
    id_name: "access_id",
    criteria: "accesses",
    fields: &[
        Field::text("name").made(),
        Field::text("place").secret().unique(Reach::Account),
        Field::new("user_id", Shape::Reference(&["user"])).made().follows().relates("user"),
        Field::new("bot_id", Shape::Reference(&["service-account"]))
            .made()
            .follows()
            .relates("service-account"),
        Field::new("team_id", Shape::Reference(&["team"])).made().follows().relates("team"),
        Field::new("workspace_role_id", Shape::Reference(&["workspace-role"]))
            .required()
            .relates("workspace-role"),
    ],
    verbs: &[
        Verb::new("list", ("GET", "access", 200), SEE_USERS, Effect::Own(Act::Inhabitants)),
        Verb::new(
            "give_user",
            ("POST", "user_access", 200),
            MANAGE_USERS,
            Effect::Each(Act::GiveAccess("user_id")),
        )
        .takes(ROLE)
        .also(&[grantee("user_id", &["user"])]),
        Verb::own("read_user", ("GET", "user_access/{id}", 200), SEE_USERS, Act::Access("user_id")),
        Verb::own(
            "drop_user",
            ("DELETE", "user_access/{id}", 204),
            MANAGE_USERS,
            Act::DropAccess("user_id"),
        ),
        Verb::new(
            "give_bot",
            ("POST", "bot_access", 200),
            MANAGE_BOTS,
            Effect::Each(Act::GiveAccess("bot_id")),
        )
        .takes(ROLE)
        .also(&[grantee("bot_id", &["service-account"])]),
        Verb::own("read_bot", ("GET", "bot_access/{id}", 200), SEE_BOTS, Act::Access("bot_id")),
        Verb::own(
            "drop_bot",
            ("DELETE", "bot_access/{id}", 204),
            MANAGE_BOTS,
            Act::DropAccess("bot_id"),
        ),
        Verb::new(
            "give_team",
            ("PUT", "team_access", 200),
            MANAGE_TEAMS,
            Effect::Each(Act::GiveAccess("team_id")),
        )
        .takes(ROLE)
        .also(&[grantee("team_id", &["team"])]),
        Verb::own("teams", ("POST", "team_access/filter", 200), SEE_USERS, Act::TeamAccess)
            .also(&[OFFSET, LIMIT]),
        Verb::own(
            "drop_team",
            ("DELETE", "team_access/{team}", 204),
            MANAGE_TEAMS,
            Act::DropAccess("team_id"),
        ),
        Verb::own(
            "leave",
            ("DELETE", "/me/workspaces/{workspace}", 204),
            Permission::Caller,
            Act::LeaveWorkspace,
        ),
        Verb::own(
            "scopes",
            ("GET", "/me/workspaces/{workspace}/scopes", 200),
            Permission::Caller,
            Act::Powers,
        ),
        Verb::own(
            "has_scope",
            ("GET", "/me/workspaces/{workspace}/has_scope", 200),
            Permission::Caller,
            Act::HasPower("scope"),
        ),
    ],
    actions: &[
        Action::new(
            "created",
            "POST {workspace}/user_access/ or bot_access/, PUT {workspace}/team_access/",
            "somebody got a place in a workspace",
        ),
        Action::new(
            "updated",
            "POST {workspace}/user_access/ or bot_access/, PUT {workspace}/team_access/",
            "the place has another role",
        ),
        Action::new(
            "deleted",
            "DELETE {workspace}/user_access/{id}, bot_access/{id} or team_access/{team}, or \
             /api/me/workspaces/{workspace}",
            "somebody left a workspace",
        ),
    ],
};
