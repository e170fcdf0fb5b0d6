//! Programs that call, what proves who they are, and the webhooks they call.

use super::super::{
    Act, Action, Effect, Fallback, Field, Kind, Number, Permission, Scope, Shape, Verb, Versioning,
};
use super::{LIMIT, OFFSET};

/// Longest template, in characters.
pub(super) const TEMPLATE_MAX_CHARS: u64 = 30_000;
/// Longest time two keys of one service account, or two slugs of one webhook, overlap.
const OVERLAP_MAX_SECONDS: u64 = 172_800;
/// Largest draft of a template with what is said of it.
const DRAFT_MAX_BYTES: usize = 256 << 10;
/// Longest rule for what tells requests apart, in characters.
const KEY_MAX_CHARS: u64 = 1000;
/// Longest time in which a request sent again is taken for the same.
const WINDOW_MAX_SECONDS: u64 = 604_800;

/// Most events that a webhook has in one turn at a destination that is behind.
const WEIGHT_MAX: u64 = 100;
/// Most bytes of what is told to whose request was taken: a text of 1 KiB, as JSON escapes it.
const REPLY_MAX_BYTES: usize = 8 << 10;
/// Largest setting of how requests are verified, with its secrets.
const VERIFICATION_MAX_BYTES: usize = 64 << 10;

const EXPIRATION: Field = Field::new("api_key_expiration", Shape::Instant);
const ROLE: Field = Field::new("account_role_id", Shape::Reference(&["account-role"]));

const SEE_BOTS: Permission = Permission::Account("read:bot");
const CHANGE_BOTS: Permission = Permission::Account("update:bot");
const SEE: Permission = Permission::Workspace("see_webhooks");
const MANAGE: Permission = Permission::Workspace("manage_webhooks");

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

/// A program that calls webhooks or the API.
pub static SERVICE_ACCOUNT: Kind = Kind {
    name: "service-account",
    scope: Scope::Account,
    number: Number::Many,
    base: "accounts/{account}/bots",
    id_name: "bot_id",
    criteria: "service_accounts",
    fields: &[
        Field::text("name").required(),
        Field::new("actor_id", Shape::Id).made(),
        Field::new("api_key", Shape::Key).secret(),
    ],
    verbs: &[
        Verb::create(Permission::Account("create:bot")).also(&[EXPIRATION, ROLE]),
        Verb::filter(
            SEE_BOTS,
            &[Field::new("service_accounts", Shape::Criteria(&[])), OFFSET, LIMIT],
        ),
        Verb::read(SEE_BOTS),
        Verb::change(CHANGE_BOTS, &["name"]).also(&[ROLE]),
        Verb::new(
            "rotate",
            ("POST", "{id}/rotate_api_key", 201),
            CHANGE_BOTS,
            Effect::Rotate("api_key"),
        )
        .also(&[
            EXPIRATION,
            Field::new("old_key_expires_in_seconds", Shape::Count(OVERLAP_MAX_SECONDS)),
        ]),
        Verb::own("keys", ("GET", "{id}/read_bot_api_keys", 200), SEE_BOTS, Act::BotKeys),
        Verb::own(
            "drop_key",
            ("DELETE", "{id}/delete_bot_api_key/{api_key}", 200),
            CHANGE_BOTS,
            Act::DropBotKey,
        ),
        Verb::delete(Permission::Account("delete:bot")),
    ],
    actions: &[
        Action::new("created", "POST {account}/bots/", "a service account was made"),
        Action::new("updated", "PATCH {account}/bots/{id}", "its name changed"),
        Action::new("deleted", "DELETE {account}/bots/{id}", "it was ended"),
    ],
};

/// What proves who calls. Made and ended with its owner.
pub static API_KEY: Kind = Kind {
    name: "api-key",
    scope: Scope::Account,
    number: Number::Many,
    base: "users/{user}/api_keys",
    id_name: "api_key_id",
    criteria: "api_keys",
    fields: &[
        Field::text("name").required(),
        Field::new("expiration", Shape::Instant),
        Field::new("owner_id", Shape::Reference(&["user", "service-account"]))
            .made()
            .follows()
            .relates("owner"),
        Field::text("masked_key").secret(),
    ],
    verbs: &[
        Verb::own("create", ("POST", "", 201), Permission::Oneself, Act::MakeKey).takes(None),
        Verb::list(Permission::Oneself),
        Verb::read(Permission::Oneself),
        Verb::change(Permission::Oneself, &["name"]),
        Verb::delete(Permission::Oneself),
        Verb::new("list_own", ("GET", "/me/api_keys", 200), Permission::Caller, Effect::List),
        Verb::new(
            "filter_own",
            ("POST", "/me/api_keys/filter", 200),
            Permission::Caller,
            Effect::Filter,
        )
        .also(&[Field::new("api_keys", Shape::Criteria(&[])), OFFSET, LIMIT]),
    ],
    actions: &[
        Action::new(
            "created",
            "POST /api/users/{user}/api_keys or {account}/bots/",
            "a key was made",
        ),
        Action::new("updated", "PATCH /api/users/{user}/api_keys/{id}", "a key has another name"),
        Action::new(
            "deleted",
            "DELETE /api/users/{user}/api_keys/{id} or {account}/bots/{id}",
            "a key was ended",
        ),
        Action::new(
            "rotated",
            "POST {account}/bots/{id}/rotate_api_key",
            "a service account got a new key",
        ),
    ],
};

/// Most networks from which one webhook may be called, as `verify/allowlist.rs` reads them.
const NETWORKS_MAX: usize = 64;
/// Longest network: an IPv6 address and its length.
const NETWORK_MAX_CHARS: u64 = 64;
/// Most bytes of what is not kept of requests: each of its three lists bounds itself, too.
const REDACT_MAX_BYTES: usize = 32 << 10;
/// A word to a version of a template.
const NOTE: Field = Field::text("note");
const TEMPLATE_NOTE: Field = Field::text("template_note").own();
const TEMPLATE: Field = Field::new("template", Shape::Text(TEMPLATE_MAX_CHARS)).required();

/// What turns requests into events.
pub static WEBHOOK: Kind = Kind {
    name: "webhook",
    scope: Scope::Workspace,
    number: Number::Many,
    base: "accounts/{account}/workspaces/{workspace}/webhooks",
    id_name: "webhook_id",
    criteria: "webhooks",
    fields: &[
        Field::text("name").required(),
        Field::text("description").or(Fallback::Text("")),
        Field::new("enabled", Shape::Flag).kept().or(Fallback::Flag(true)),
        TEMPLATE,
        Field::new("service_account_id", Shape::Reference(&["service-account"]))
            .kept()
            .null_clears(),
        Field::new("dedup_key", Shape::Text(KEY_MAX_CHARS)).kept().null_clears().own(),
        Field::new("dedup_window_seconds", Shape::Count(WINDOW_MAX_SECONDS))
            .kept()
            .null_clears()
            .own(),
        Field::new("networks", Shape::Texts(NETWORKS_MAX, NETWORK_MAX_CHARS))
            .kept()
            .null_clears()
            .own(),
        Field::new("weight", Shape::Count(WEIGHT_MAX)).kept().null_clears().own(),
        Field::new("reply", Shape::Object(REPLY_MAX_BYTES)).kept().null_clears().own(),
        Field::new("redact", Shape::Object(REDACT_MAX_BYTES)).kept().null_clears().own(),
        Field::new("verification", Shape::Object(VERIFICATION_MAX_BYTES))
            .kept()
            .null_clears()
            .own(),
        Field::new("verification_secrets", Shape::Concealed(VERIFICATION_MAX_BYTES as u64)).made(),
        Field::new("slug", Shape::Slug).secret(),
        Field::new("template_version", Shape::Count(i64::MAX as u64)).secret(),
        Field::new("draft", Shape::Json(DRAFT_MAX_BYTES)).secret(),
    ],
    verbs: &[
        Verb::create(MANAGE).also(&[TEMPLATE_NOTE]),
        Verb::list(SEE),
        Verb::filter(
            SEE,
            &[
                Field::new("sort", Shape::Choice(WEBHOOK_SORTS)).or(Fallback::Text("NAME_ASC")),
                OFFSET,
                LIMIT,
            ],
        ),
        Verb::new("validate", ("POST", "templates/validate", 204), MANAGE, Effect::Validate),
        Verb::new("render", ("POST", "render", 200), MANAGE, Effect::Render),
        Verb::new("test", ("POST", "{id}/test", 200), MANAGE, Effect::Test),
        Verb::read(SEE),
        Verb::new("replace", ("PUT", "{id}", 204), MANAGE, Effect::Replace)
            .takes(None)
            .also(&[TEMPLATE_NOTE]),
        Verb::own("versions", ("GET", "{id}/versions", 200), SEE, Act::Template(Versioning::List)),
        Verb::own(
            "version",
            ("GET", "{id}/versions/{number}", 200),
            SEE,
            Act::Template(Versioning::Read),
        ),
        Verb::own(
            "rollback",
            ("POST", "{id}/rollback", 200),
            MANAGE,
            Act::Template(Versioning::RollBack),
        )
        .also(&[Field::new("version", Shape::Count(i64::MAX as u64)).required(), NOTE]),
        Verb::own("draft", ("GET", "{id}/draft", 200), SEE, Act::Template(Versioning::Draft)),
        Verb::own(
            "put_draft",
            ("PUT", "{id}/draft", 200),
            MANAGE,
            Act::Template(Versioning::PutDraft),
        )
        .also(&[
            TEMPLATE,
            NOTE,
            Field::new("shadow", Shape::Flag).or(Fallback::Flag(false)),
        ]),
        Verb::own("shadow", ("GET", "{id}/shadow", 200), SEE, Act::Template(Versioning::Shadow)),
        Verb::own(
            "drop_draft",
            ("DELETE", "{id}/draft", 204),
            MANAGE,
            Act::Template(Versioning::DropDraft),
        ),
        Verb::own(
            "publish",
            ("POST", "{id}/publish", 200),
            MANAGE,
            Act::Template(Versioning::Publish),
        )
        .also(&[NOTE]),
        Verb::change(MANAGE, &["enabled"]),
        Verb::new("rotate", ("POST", "{id}/rotate", 200), MANAGE, Effect::Rotate("slug"))
            .also(&[Field::new("old_slug_expires_in_seconds", Shape::Count(OVERLAP_MAX_SECONDS))]),
        Verb::delete(MANAGE),
    ],
    actions: &[
        Action::new("created", "POST {workspace}/webhooks/", "a webhook was made"),
        Action::new(
            "updated",
            "PUT or PATCH {workspace}/webhooks/{id}, POST …/rotate, …/rollback, …/publish, or …/draft",
            "it changed, its slug was made anew, or a draft of its template was kept or dropped",
        ),
        Action::new("deleted", "DELETE {workspace}/webhooks/{id}", "it was ended"),
    ],
};
