//! Leave for whoever helps an account from outside, for a while.

use super::super::{Action, Field, Kind, Number, Permission, Scope, Shape, Verb};

/// Most workspaces of one leave.
const WORKSPACES_MAX: usize = 100;

const ADMINISTRATE: Permission = Permission::Account("administrate:account");

/// Leave to look into an account, or some of its workspaces, until a moment that ends it.
pub static SUPPORT_ACCESS: Kind = Kind {
    name: "support-access",
    scope: Scope::Account,
    number: Number::Many,
    base: "accounts/{account}/support_access",
    id_name: "support_access_id",
    criteria: "support_accesses",
    fields: &[
        // It has no name of its own.
        Field::text("name").secret(),
        Field::new("expires_at", Shape::Instant).required(),
        Field::new("workspace_ids", Shape::Ids(WORKSPACES_MAX)),
        Field::text("reason"),
    ],
    verbs: &[
        Verb::create(ADMINISTRATE),
        Verb::list(Permission::Account("read:account")),
        Verb::read(Permission::Account("read:account")),
        Verb::change(ADMINISTRATE, &["expires_at", "reason"]),
        Verb::delete(ADMINISTRATE),
    ],
    actions: &[
        Action::new("created", "POST {account}/support_access/", "leave was given"),
        Action::new(
            "updated",
            "PATCH {account}/support_access/{id}",
            "it ends at another moment, or has another reason",
        ),
        Action::new(
            "deleted",
            "DELETE {account}/support_access/{id}, or its end",
            "it was taken back, or its end came",
        ),
    ],
};
