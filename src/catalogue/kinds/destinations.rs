//! Where a workspace's events are sent. How that is done is the lanes' affair; here stands what is said of it.

use super::super::{
    Act, Action, Effect, Fallback, Field, Kind, Number, Permission, Reach, Scope, Shape, Verb,
};
use super::{LIMIT, OFFSET};

/// Longest address, in characters.
const TO_MAX_CHARS: u64 = 2048;
/// Longest expression, and longest template of what is sent instead of an event.
const WHERE_MAX_CHARS: u64 = 4096;
const BODY_MAX_CHARS: u64 = 30_000;
/// Longest rate, such as `600/min`.
const RATE_MAX_CHARS: u64 = 40;
/// Largest filter, and largest set of headers, in bytes of JSON.
const FILTER_MAX_BYTES: usize = 32 << 10;
const HEADERS_MAX_BYTES: usize = 8 << 10;
/// Most ids of parked events in one body, and the longest part of a reason that they are chosen by.
const IDS_MAX: usize = 1000;
const REASON_MAX_CHARS: u64 = 200;
/// Longest secret, in characters.
const SECRET_MAX_CHARS: u64 = 4096;
/// Most secrets that sign at once: a new one, and the one it replaces. How long one is, in characters.
const SIGN_SECRETS_MAX: usize = 2;
const SIGN_SECRET_MAX_CHARS: u64 = 128;
/// Longest PEM: authorities, a certificate with what leads to it, a key.
const TLS_CA_MAX_CHARS: u64 = 64 << 10;
const TLS_CERTIFICATE_MAX_CHARS: u64 = 32 << 10;
const TLS_KEY_MAX_CHARS: u64 = 16 << 10;

const SEE: Permission = Permission::Workspace("see_destinations");
const MANAGE: Permission = Permission::Workspace("manage_destinations");

/// What becomes of events that a destination has not taken when the spool is full; the first is what is done when
/// nothing is said: one workspace's trouble is nobody else's.
const ON_FULL: &[&str] = &["drop-oldest", "hold"];

/// Whether the events of one resource go in order; `resource`, when nothing is said.
const ORDERINGS: &[&str] = &["resource", "none"];

/// How requests carry events, over HTTP; an array, when nothing is said.
const FORMS: &[&str] =
    &["array", "single", "ndjson", "cloudevents", "cloudevents-binary", "cloudevents-batch"];

/// How events lie parked.
const STANDINGS: &[&str] = &["refused", "behind", "due"];
const IDS: Field = Field::new("ids", Shape::Ids(IDS_MAX));
const REASON: Field = Field::new("reason", Shape::Text(REASON_MAX_CHARS));
const FILTER: Field = Field::new("filter", Shape::Json(FILTER_MAX_BYTES));
const ALL: Field = Field::new("all", Shape::Flag).or(Fallback::Flag(false));

/// Where a workspace's events are sent.
pub static DESTINATION: Kind = Kind {
    name: "destination",
    scope: Scope::Workspace,
    number: Number::Many,
    base: "accounts/{account}/workspaces/{workspace}/destinations",
    id_name: "destination_id",
    criteria: "destinations",
    fields: &[
        // Replays, parked events and commands know it by its name.
        Field::text("name").required().unique(Reach::Workspace),
        Field::new("to", Shape::Text(TO_MAX_CHARS)).required().address(),
        Field::new("filter", Shape::Json(FILTER_MAX_BYTES)).null_clears(),
        Field::new("where", Shape::Text(WHERE_MAX_CHARS)).null_clears(),
        Field::new("body", Shape::Text(BODY_MAX_CHARS)).null_clears(),
        Field::new("rate", Shape::Text(RATE_MAX_CHARS)).null_clears(),
        Field::new("burst", Shape::Count(u32::MAX as u64)).null_clears(),
        Field::new("request_rate", Shape::Text(RATE_MAX_CHARS)).null_clears(),
        Field::new("byte_rate", Shape::Text(RATE_MAX_CHARS)).null_clears(),
        Field::new("form", Shape::Choice(FORMS)).null_clears(),
        Field::new("batch_events", Shape::Count(u32::MAX as u64)).null_clears(),
        Field::new("batch_bytes", Shape::Count(u32::MAX as u64)).null_clears(),
        Field::new("linger_ms", Shape::Count(u32::MAX as u64)).null_clears(),
        Field::new("concurrency", Shape::Count(u32::MAX as u64)).null_clears(),
        Field::new("ordering", Shape::Choice(ORDERINGS)).null_clears(),
        Field::new("retry_seconds", Shape::Count(u32::MAX as u64)).null_clears(),
        Field::new("retry_first_ms", Shape::Count(u32::MAX as u64)).null_clears(),
        Field::new("retry_most_ms", Shape::Count(u32::MAX as u64)).null_clears(),
        Field::new("on_full", Shape::Choice(ON_FULL)).or(Fallback::Text(ON_FULL[0])),
        Field::new("headers", Shape::Json(HEADERS_MAX_BYTES)).null_clears(),
        Field::new("bearer", Shape::Concealed(SECRET_MAX_CHARS)).null_clears(),
        // When it got the secret it has.
        Field::new("bearer_set", Shape::Instant).made(),
        Field::new("basic", Shape::Concealed(SECRET_MAX_CHARS)).null_clears(),
        Field::new("basic_set", Shape::Instant).made(),
        Field::new("sign_secrets", Shape::ConcealedTexts(SIGN_SECRETS_MAX, SIGN_SECRET_MAX_CHARS))
            .null_clears(),
        Field::new("sign_secrets_set", Shape::Instant).made(),
        Field::new("tls_ca", Shape::Text(TLS_CA_MAX_CHARS)).null_clears(),
        Field::new("tls_certificate", Shape::Text(TLS_CERTIFICATE_MAX_CHARS)).null_clears(),
        Field::new("tls_key", Shape::Concealed(TLS_KEY_MAX_CHARS)).null_clears(),
        Field::new("tls_key_set", Shape::Instant).made(),
        Field::new("enabled", Shape::Flag).or(Fallback::Flag(true)),
        // It keeps its place, and takes nothing for now.
        Field::new("hold", Shape::Flag).or(Fallback::Flag(false)),
        // How far it is; told with the record, and kept with the spool.
        Field::new("status", Shape::Json(0)).copied(),
    ],
    verbs: &[
        Verb::create(MANAGE)
            .also(&[Field::new("start", Shape::Text(RATE_MAX_CHARS)).or(Fallback::Text("now"))]),
        Verb::list(SEE),
        Verb::filter(SEE, &[Field::new("destinations", Shape::Criteria(&[])), OFFSET, LIMIT]),
        Verb::read(SEE),
        Verb::new("change", ("PATCH", "{id}", 204), MANAGE, Effect::Change).takes(None),
        Verb::delete(MANAGE),
        Verb::own("parked", ("GET", "{id}/parked", 200), SEE, Act::Parked),
        Verb::own("filter_parked", ("POST", "{id}/parked/filter", 200), SEE, Act::Parked).also(&[
            IDS,
            REASON,
            FILTER,
            Field::new("standing", Shape::Choice(STANDINGS)),
            OFFSET,
            LIMIT,
        ]),
        Verb::own("parked_event", ("GET", "{id}/parked/{event}", 200), SEE, Act::ParkedEvent),
        Verb::own("retry", ("POST", "{id}/parked/retry", 200), MANAGE, Act::RetryParked)
            .also(&[IDS, REASON, FILTER, ALL]),
        Verb::own("discard", ("POST", "{id}/parked/discard", 200), MANAGE, Act::DiscardParked)
            .also(&[IDS, REASON, FILTER, ALL]),
    ],
    actions: &[
        Action::new("created", "POST {workspace}/destinations/", "a destination was made"),
        Action::new("updated", "PATCH {workspace}/destinations/{id}", "it changed"),
        Action::new(
            "retried",
            "POST {workspace}/destinations/{id}/parked/retry",
            "parked events go out again",
        ),
        Action::new(
            "discarded",
            "POST {workspace}/destinations/{id}/parked/discard",
            "parked events were let go of",
        ),
        Action::new("deleted", "DELETE {workspace}/destinations/{id}", "it was ended"),
    ],
};
