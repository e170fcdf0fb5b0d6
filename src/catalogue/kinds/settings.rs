//! What is settled once for a whole account.

use super::super::{
    Act, Action, Effect, Fallback, Field, Kind, Number, Permission, Scope, Shape, Verb,
};

/// Largest description of where results are kept, in bytes of JSON.
const RESULT_STORAGE_MAX_BYTES: usize = 64 << 10;
/// Largest list of networks, in bytes of JSON.
const ALLOWLIST_MAX_BYTES: usize = 128 << 10;
/// The most that can be used in a month, by much.
const SECONDS_MAX: u64 = 1 << 48;
/// Longest time of one report: a month of a thousand machines.
const REPORT_MAX_SECONDS: u64 = 31 * 86_400 * 1000;
/// The setting that says how much may be used.
pub const MEX_LIMIT: &str = "managed_execution_limit_seconds";
/// What was used, and in which month, of an account and of a workspace: events of their own tell it.
pub const MEX_SECONDS: &str = "managed_execution_seconds";
pub const MEX_PERIOD: &str = "managed_execution_period";
pub(super) const MEX_USE: [Field; 2] =
    [Field::new(MEX_SECONDS, Shape::Count(SECONDS_MAX)).secret(), Field::text(MEX_PERIOD).secret()];
/// Most domains of an account.
const DOMAINS_MAX: usize = 100;

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
        Field::new("default_result_storage", Shape::Object(RESULT_STORAGE_MAX_BYTES)).null_clears(),
        Field::new("ip_allowlist", Shape::Json(ALLOWLIST_MAX_BYTES)).made().or(Fallback::List),
        // When somebody last called from each of them: nobody changed it.
        Field::new("ip_allowlist_seen", Shape::Object(ALLOWLIST_MAX_BYTES)).secret(),
        // Seconds a calendar month; nothing when null.
        Field::new(MEX_LIMIT, Shape::Count(SECONDS_MAX)).null_clears(),
        MEX_USE[0],
        MEX_USE[1],
        // The plan ends with what is paid; an event of its own tells it.
        Field::new("cancel_at_period_end", Shape::Flag).secret().or(Fallback::Flag(false)),
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
        Verb::own(
            "allowlist",
            ("GET", "/accounts/{account}/ip_allowlist", 200),
            Permission::Account("read:ip_allowlist"),
            Act::Allowlist,
        ),
        Verb::own(
            "set_allowlist",
            ("PUT", "/accounts/{account}/ip_allowlist", 204),
            Permission::Account("update:ip_allowlist"),
            Act::SetAllowlist,
        )
        .also(&[Field::new("entries", Shape::Json(ALLOWLIST_MAX_BYTES)).required()]),
        Verb::own(
            "my_access",
            ("GET", "/accounts/{account}/ip_allowlist/my_access", 200),
            Permission::Account("read:account"),
            Act::MyAccess,
        ),
        Verb::own(
            "meter",
            ("POST", "/accounts/{account}/workspaces/{workspace}/managed_execution/usage", 204),
            Permission::Workspace("manage_work_pools"),
            Act::Meter,
        )
        .also(&[
            Field::new("seconds", Shape::Count(REPORT_MAX_SECONDS)).required(),
            Field::new("flow_run_id", Shape::Foreign),
            Field::new("occurred", Shape::Instant),
        ]),
        Verb::own(
            "usage",
            ("GET", "/accounts/{account}/workspaces/{workspace}/managed_execution/details", 200),
            Permission::Workspace("see_work_pools"),
            Act::Usage,
        ),
        Verb::own(
            "usage_by_workspace",
            ("GET", "/accounts/{account}/usage", 200),
            Permission::Account("read:account"),
            Act::UsageByWorkspace,
        ),
        Verb::own(
            "usage_limits",
            ("GET", "/accounts/{account}/usage_limits", 200),
            Permission::Account("read:account"),
            Act::UsageLimits,
        ),
        Verb::own(
            "rate_limits",
            ("GET", "/accounts/{account}/rate-limits", 200),
            Permission::Account("read:account"),
            Act::Rates,
        ),
        Verb::own(
            "rate_status",
            ("GET", "/accounts/{account}/rate-limits/status", 200),
            Permission::Account("read:account"),
            Act::RateStatus,
        ),
        Verb::own(
            "rate_usage",
            ("GET", "/accounts/{account}/rate-limits/usage", 200),
            Permission::Account("read:account"),
            Act::RateUsage,
        ),
        Verb::own(
            "rate_download",
            ("GET", "/accounts/{account}/rate-limits/usage/download", 200),
            Permission::Account("read:account"),
            Act::RateDownload,
        ),
        Verb::own(
            "billing",
            ("GET", "/billing/{account}/details", 200),
            Permission::Account("read:billing"),
            Act::Billing,
        ),
        Verb::own(
            "restrictions",
            ("GET", "/billing/{account}/subscription_restrictions", 200),
            Permission::Account("read:billing"),
            Act::Restrictions,
        ),
        Verb::own(
            "cancel",
            ("POST", "/billing/{account}/cancel_org_subscription", 200),
            Permission::Account("update:billing"),
            Act::Subscribe,
        ),
        Verb::own(
            "subscribe",
            ("PATCH", "/billing/{account}/subscription", 204),
            Permission::Account("update:billing"),
            Act::Subscribe,
        )
        .also(&[Field::new("cancel_at_period_end", Shape::Flag).required()]),
    ],
    actions: &[
        Action::new("created", "POST /api/accounts/", "an account was made, its settings with it"),
        Action::new(
            "updated",
            "PATCH {account}/settings or PUT {account}/ip_allowlist",
            "a setting or the allowlist changed",
        ),
        Action::new("deleted", "DELETE {account}", "an account was ended, its settings with it"),
    ],
};

/// Names of the domains that belong to an account.
pub static ACCOUNT_DOMAIN_NAMES: Kind = Kind {
    name: "account-domain-names",
    scope: Scope::Account,
    number: Number::One,
    base: "accounts/{account}/domains",
    id_name: "account_id",
    criteria: "account_domain_names",
    fields: &[Field::new("domain_names", Shape::Domains(DOMAINS_MAX)).or(Fallback::List)],
    verbs: &[
        Verb::own("read", ("GET", "", 200), Permission::Account("read:account"), Act::Domains),
        Verb::new(
            "change",
            ("PATCH", "", 204),
            Permission::Account("update:account"),
            Effect::Change,
        )
        .takes(None),
    ],
    actions: &[
        Action::new("created", "POST /api/accounts/", "an account was made, without any domain"),
        Action::new("updated", "PATCH {account}/domains", "the set of domains changed"),
        Action::new("deleted", "DELETE {account}", "an account was ended, its domains with it"),
    ],
};
