//! The rows. A kind's row says all that routes, checks, permissions and audit events need to know of it.

use super::{Effect, Fallback, Field, Kind, LIST_MAX, Permission, Reach, Scope, Shape, Verb};

/// Longest template, in characters.
const TEMPLATE_MAX_CHARS: u64 = 30_000;
/// Longest time two keys of one service account overlap.
const OVERLAP_MAX_SECONDS: u64 = 172_800;

const OFFSET: Field = Field::new("offset", Shape::Count(i64::MAX as u64)).or(Fallback::Count(0));
const LIMIT: Field = Field::new("limit", Shape::Count(LIST_MAX)).or(Fallback::Count(LIST_MAX));
const EXPIRATION: Field = Field::new("api_key_expiration", Shape::Instant);
/// Tolerated as null: roles have no rows yet.
const ROLE: Field = Field::new("account_role_id", Shape::Reference(&[]));

/// Orders of a list of webhooks; the first is the one when nothing is said.
const WEBHOOK_SORTS: &[&str] = &[
    "NAME_ASC",
    "NAME_DESC",
    "CREATED_ASC",
    "CREATED_DESC",
    "UPDATED_ASC",
    "UPDATED_DESC",
    "KEY_EXPIRATION_ASC",
    "KEY_EXPIRATION_DESC",
];

/// Every kind.
pub const KINDS: &[&Kind] =
    &[&ACCOUNT, &USER, &ACCOUNT_MEMBERSHIP, &WORKSPACE, &SERVICE_ACCOUNT, &API_KEY, &WEBHOOK];

/// Whoever owns workspaces, people and service accounts.
pub static ACCOUNT: Kind = Kind {
    name: "account",
    scope: Scope::Account,
    collection: "",
    id_name: "account_id",
    criteria: "accounts",
    fields: &[
        Field::text("name").required(),
        Field::text("handle").required().unique(Reach::Everywhere),
    ],
    verbs: &[],
    actions: &["created"],
};

/// A person.
pub static USER: Kind = Kind {
    name: "user",
    scope: Scope::Account,
    collection: "",
    id_name: "user_id",
    criteria: "users",
    fields: &[
        Field::text("name").required(),
        Field::text("handle").required().unique(Reach::Everywhere),
        Field::text("first_name").or(Fallback::Text("")),
        Field::text("last_name").or(Fallback::Text("")),
        Field::text("email").or(Fallback::Text("")),
        Field::new("actor_id", Shape::Id).made(),
    ],
    verbs: &[],
    actions: &["created"],
};

/// A person's place in an account.
pub static ACCOUNT_MEMBERSHIP: Kind = Kind {
    name: "account-membership",
    scope: Scope::Account,
    collection: "",
    id_name: "membership_id",
    criteria: "account_memberships",
    fields: &[
        Field::text("name").made(),
        Field::new("user_id", Shape::Reference(&["user"])).required(),
        Field::text("account_role_name").made(),
    ],
    verbs: &[],
    actions: &["created"],
};

/// Where webhooks live.
pub static WORKSPACE: Kind = Kind {
    name: "workspace",
    scope: Scope::Account,
    collection: "workspaces",
    id_name: "workspace_id",
    criteria: "workspaces",
    fields: &[
        Field::text("name").required(),
        Field::text("description").or(Fallback::Text("")),
        Field::text("handle").required().unique(Reach::Account),
    ],
    verbs: &[Verb::read(Permission::SeeWorkspaces)],
    actions: &["created"],
};

/// A program that calls webhooks or the API.
pub static SERVICE_ACCOUNT: Kind = Kind {
    name: "service-account",
    scope: Scope::Account,
    collection: "bots",
    id_name: "bot_id",
    criteria: "service_accounts",
    fields: &[
        Field::text("name").required(),
        Field::new("actor_id", Shape::Id).made(),
        Field::text("account_role_name").made(),
        Field::new("api_key", Shape::Key).secret(),
    ],
    verbs: &[
        Verb::create(Permission::ManageServiceAccounts).also(&[EXPIRATION, ROLE]),
        Verb::filter(
            Permission::SeeServiceAccounts,
            &[Field::new("service_accounts", Shape::Criteria), OFFSET, LIMIT],
        ),
        Verb::read(Permission::SeeServiceAccounts),
        Verb::change(Permission::ManageServiceAccounts, &["name"]).also(&[ROLE]),
        Verb::new(
            "rotate",
            ("POST", "{id}/rotate_api_key", 201),
            Permission::ManageServiceAccounts,
            Effect::Rotate("api_key"),
        )
        .also(&[
            EXPIRATION,
            Field::new("old_key_expires_in_seconds", Shape::Count(OVERLAP_MAX_SECONDS)),
        ]),
        Verb::delete(Permission::ManageServiceAccounts),
    ],
    actions: &["created", "updated", "deleted"],
};

/// What proves who calls. Made and ended with its owner.
pub static API_KEY: Kind = Kind {
    name: "api-key",
    scope: Scope::Account,
    collection: "",
    id_name: "api_key_id",
    criteria: "api_keys",
    fields: &[
        Field::text("name").required(),
        Field::new("expiration", Shape::Instant),
        Field::new("owner_id", Shape::Reference(&["user", "service-account"])).made(),
        Field::text("masked_key").secret(),
    ],
    verbs: &[],
    actions: &["created", "deleted", "rotated"],
};

/// What turns requests into events.
pub static WEBHOOK: Kind = Kind {
    name: "webhook",
    scope: Scope::Workspace,
    collection: "webhooks",
    id_name: "webhook_id",
    criteria: "webhooks",
    fields: &[
        Field::text("name").required(),
        Field::text("description").or(Fallback::Text("")),
        Field::new("enabled", Shape::Flag).kept().or(Fallback::Flag(true)),
        Field::new("template", Shape::Text(TEMPLATE_MAX_CHARS)).required(),
        Field::new("service_account_id", Shape::Reference(&["service-account"]))
            .kept()
            .null_clears(),
        Field::new("slug", Shape::Slug).secret(),
    ],
    verbs: &[
        Verb::create(Permission::ManageWebhooks),
        Verb::new("list", ("GET", "", 200), Permission::SeeWebhooks, Effect::List),
        Verb::filter(
            Permission::SeeWebhooks,
            &[
                Field::new("sort", Shape::Choice(WEBHOOK_SORTS)).or(Fallback::Text("NAME_ASC")),
                OFFSET,
                LIMIT,
            ],
        ),
        Verb::new(
            "validate",
            ("POST", "templates/validate", 204),
            Permission::ManageWebhooks,
            Effect::Validate,
        ),
        Verb::new("render", ("POST", "render", 200), Permission::ManageWebhooks, Effect::Render),
        Verb::new("test", ("POST", "{id}/test", 200), Permission::ManageWebhooks, Effect::Test),
        Verb::read(Permission::SeeWebhooks),
        Verb::new("replace", ("PUT", "{id}", 204), Permission::ManageWebhooks, Effect::Replace)
            .takes(None),
        Verb::change(Permission::ManageWebhooks, &["enabled"]),
        Verb::new(
            "rotate",
            ("POST", "{id}/rotate", 200),
            Permission::ManageWebhooks,
            Effect::Rotate("slug"),
        ),
        Verb::delete(Permission::ManageWebhooks),
    ],
    actions: &["created", "updated", "deleted"],
};

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::catalogue::event_names;

    #[test]
    fn every_name_an_event_can_have() {
        let golden = include_str!("../../tests/data/audit/names.txt");
        assert_eq!(event_names().join("\n") + "\n", golden);
    }

    #[test]
    fn rows_fit_one_another() {
        let names: HashSet<_> = KINDS.iter().map(|kind| kind.name).collect();
        assert_eq!(names.len(), KINDS.len());
        for kind in KINDS {
            let fields: HashSet<_> = kind.fields.iter().map(|field| field.name).collect();
            assert_eq!(fields.len(), kind.fields.len(), "{}", kind.name);
            assert!(kind.field("name").is_some(), "{} has no display name", kind.name);
            assert!(kind.verbs.is_empty() || !kind.collection.is_empty(), "{}", kind.name);
            for field in kind.fields {
                if let Shape::Reference(targets) = field.shape {
                    assert!(targets.iter().all(|target| names.contains(target)), "{}", field.name);
                }
            }
            let mut ways = HashSet::new();
            for verb in kind.verbs {
                assert!(ways.insert((verb.method, verb.suffix)), "{} {}", kind.name, verb.name);
                for taken in verb.takes.unwrap_or_default() {
                    assert!(fields.contains(taken), "{} takes {taken}", verb.name);
                }
            }
        }
    }
}
