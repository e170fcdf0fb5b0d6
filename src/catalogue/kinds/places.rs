//! Workspaces and who may come in.

use super::super::{Action, Fallback, Field, Kind, Number, Permission, Reach, Scope, Shape, Verb};

/// Where webhooks live.
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
    ],
    verbs: &[Verb::new(
        "read",
        ("GET", "{workspace}", 200),
        Permission::Workspace("see_workspace_settings"),
        super::super::Effect::Read,
    )],
    actions: &[Action::new("created", "hookgate bootstrap", "a workspace was made")],
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
        Field::new("scopes", Shape::Texts(200, 100)),
        Field::new("inherited_role_id", Shape::Reference(&["workspace-role"])),
    ],
    verbs: &[],
    actions: &[],
};

/// Somebody's place in a workspace: a person's, a service account's or a team's.
pub static WORKSPACE_ACCESS: Kind = Kind {
    name: "workspace-access",
    scope: Scope::Workspace,
    number: Number::Many,
    base: "accounts/{account}/workspaces/{workspace}/access",
    id_name: "access_id",
    criteria: "accesses",
    fields: &[
        Field::text("name").made(),
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
    verbs: &[],
    actions: &[Action::new(
        "deleted",
        "DELETE {account}/account_memberships/{id}",
        "somebody left a workspace",
    )],
};
