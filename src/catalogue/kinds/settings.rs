//! What is settled once for a whole account.

use super::super::{Action, Effect, Fallback, Field, Kind, Number, Permission, Scope, Shape, Verb};

/// Largest description of where results are kept, in bytes of JSON.
const RESULT_STORAGE_MAX_BYTES: usize = 64 << 10;

const fn flag(name: &'static str, fallback: bool) -> Field {
    Field::new(name, Shape::Flag).or(Fallback::Flag(fallback))
}

/// Switches of an account. Some are of parts of the product that are not here; they are kept for their clients.
pub static ACCOUNT_SETTINGS: Kind = Kind {
    name: "account-settings",
    scope: Scope::Account,
    number: Number::One,
    base: "accounts/{account}/settings",
    id_name: "account_id",
    criteria: "account_settings",
    fields: &[
        flag("allow_public_workspaces", false),
        flag("ai_log_summaries", false),
        flag("managed_execution", true),
        flag("enforce_ip_allowlist", false),
        flag("enforce_webhook_authentication", false),
        flag("self_healing_enabled", false),
        Field::new("default_result_storage", Shape::Json(RESULT_STORAGE_MAX_BYTES)).null_clears(),
    ],
    verbs: &[
        Verb::new("read", ("GET", "", 200), Permission::Account("read:account"), Effect::Read),
        Verb::new(
            "change",
            ("PATCH", "", 204),
            Permission::Account("update:account"),
            Effect::Change,
        )
        .takes(None),
    ],
    actions: &[
        Action::new("created", "POST /api/accounts/", "an account was made, its settings with it"),
        Action::new("updated", "PATCH {account}/settings", "a setting changed"),
        Action::new("deleted", "DELETE {account}", "an account was ended, its settings with it"),
    ],
};
