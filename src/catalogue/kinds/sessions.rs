//! Sessions of people who came in by password. No event tells of the record: people log in and out.

use super::super::{Act, Effect, Field, Kind, Number, Permission, Scope, Shape, Verb};
use super::{LIMIT, OFFSET};

/// A cookie that stands for a person for a while.
pub static SESSION: Kind = Kind {
    name: "session",
    scope: Scope::Account,
    number: Number::Many,
    base: "me/sessions",
    id_name: "session_id",
    criteria: "sessions",
    fields: &[
        Field::text("name").secret(),
        Field::new("expiration", Shape::Instant).made(),
        Field::new("owner_id", Shape::Reference(&["user"])).made().follows(),
        Field::text("ip_address").made(),
        Field::text("user_agent").made(),
    ],
    verbs: &[
        Verb::list(Permission::Caller),
        Verb::filter(
            Permission::Caller,
            &[Field::new("sessions", Shape::Criteria(&["ip_address"])), OFFSET, LIMIT],
        ),
        Verb::own("end", ("DELETE", "{id}", 204), Permission::Caller, Act::EndSession),
        Verb::own("log_in", ("POST", "/auth/login", 200), Permission::Open, Act::LogIn).also(&[
            Field::new("handle", Shape::Text(200)),
            Field::new("email", Shape::Text(320)),
            Field::new("password", Shape::Phrase(1000)).required(),
        ]),
        Verb::new(
            "log_out",
            ("POST", "/auth/logout", 204),
            Permission::Caller,
            Effect::Own(Act::LogOut),
        ),
    ],
    actions: &[],
};
