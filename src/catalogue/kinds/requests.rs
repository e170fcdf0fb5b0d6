//! Requests that webhooks kept: no records, but as the spool has them, for as long as it does.

use super::super::{Act, Fallback, Field, Kind, Number, Permission, Scope, Shape, Verb};
use super::programs::TEMPLATE_MAX_CHARS;

/// Words for what became of a request.
pub const REQUEST_OUTCOMES: &[&str] = &["event", "failed", "handshake"];
/// Most requests of one page.
pub const REQUESTS_MAX: u64 = 200;

/// Most requests of one slice of a replay.
const REPLAY_MAX: u64 = 500;
/// Most requests of one slice of a comparison.
const COMPARE_MAX: u64 = 10_000;
/// Most examples of each kind of change in a slice of it, and how many are usual.
const EXAMPLES_MAX: u64 = 1000;
const EXAMPLES: u64 = 5;
/// Longest id of a request that its sender gave, in characters.
const ID_MAX_CHARS: u64 = 128;
/// Longest condition, in characters.
const CONDITION_MAX_CHARS: u64 = 2000;

const MANAGE: Permission = Permission::Workspace("manage_webhooks");
const SEE: Permission = Permission::Workspace("see_webhooks");

const WEBHOOK_ID: Field = Field::new("webhook_id", Shape::Foreign);
const SINCE: Field = Field::new("since", Shape::Instant);
const UNTIL: Field = Field::new("until", Shape::Instant);
const AFTER: Field = Field::new("after", Shape::Foreign);

/// What a list may be narrowed by; it stands in the address.
const LIST: &[Field] = &[
    WEBHOOK_ID,
    SINCE,
    UNTIL,
    AFTER,
    Field::new("outcome", Shape::Choice(REQUEST_OUTCOMES)),
    Field::new("where", Shape::Text(CONDITION_MAX_CHARS)),
    Field::new("order", Shape::Choice(&["ASC", "DESC"])).or(Fallback::Text("DESC")),
    Field::new("limit", Shape::Count(REQUESTS_MAX)).or(Fallback::Count(50)),
];

/// Which requests are replayed, and how.
const REPLAY: &[Field] = &[
    WEBHOOK_ID,
    SINCE,
    UNTIL,
    AFTER,
    Field::new("status", Shape::Choice(&["failed", "ok", "all"])).or(Fallback::Text("failed")),
    Field::new("where", Shape::Text(CONDITION_MAX_CHARS)),
    Field::new("destination_id", Shape::Foreign),
    Field::new("mode", Shape::Choice(&["emit", "send", "render", "count"]))
        .or(Fallback::Text("emit")),
    Field::new("limit", Shape::Count(REPLAY_MAX)).or(Fallback::Count(REPLAY_MAX)),
];

/// Any id that names something; it stands in the address, and is demanded there.
const EXPLAIN: &[Field] = &[Field::new("id", Shape::Text(ID_MAX_CHARS))];
const EXPLAIN_PATH: &str = "/accounts/{account}/workspaces/{workspace}/explain";

/// Over which requests a draft is compared.
const COMPARE: &[Field] = &[
    Field::new("webhook_id", Shape::Foreign).required(),
    Field::new("template", Shape::Text(TEMPLATE_MAX_CHARS)).required(),
    SINCE,
    UNTIL,
    AFTER,
    Field::new("limit", Shape::Count(COMPARE_MAX)).or(Fallback::Count(1000)),
    Field::new("examples", Shape::Count(EXAMPLES_MAX)).or(Fallback::Count(EXAMPLES)),
];

/// A request that a webhook kept; its id is the received event's.
pub static REQUEST: Kind = Kind {
    name: "request",
    scope: Scope::Workspace,
    number: Number::Many,
    base: "accounts/{account}/workspaces/{workspace}/requests",
    id_name: "request_id",
    criteria: "requests",
    fields: &[
        // It has no name of its own.
        Field::text("name").secret(),
    ],
    verbs: &[
        Verb::own("list", ("GET", "", 200), SEE, Act::Requests).also(LIST),
        Verb::own("read", ("GET", "{id}", 200), SEE, Act::Request),
        Verb::own("explain", ("GET", EXPLAIN_PATH, 200), SEE, Act::Explain).also(EXPLAIN),
        Verb::own("replay", ("POST", "replay", 200), MANAGE, Act::Replay).also(REPLAY),
        Verb::own("compare", ("POST", "compare", 200), MANAGE, Act::Compare).also(COMPARE),
    ],
    actions: &[],
};
