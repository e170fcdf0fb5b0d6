//! Accounts and who belongs to them.

use super::super::{
    ACCOUNT_PERMISSIONS, Act, Action, Effect, Fallback, Field, IN_ACCOUNT, Kind, Number,
    Permission, Reach, Scope, Shape, Verb,
};
use super::{LIMIT, OFFSET};

/// Longest first or last name, in characters.
const NAME_MAX_CHARS: u64 = 500;
/// Largest settings of a person, in bytes of JSON.
const SETTINGS_MAX_BYTES: usize = 8 << 10;
/// Most memberships of one call.
const MEMBERS_MAX: usize = 200;

const SEE_MEMBERS: Permission = Permission::Account("read:account_membership");
const CHANGE_MEMBERS: Permission = Permission::Account("update:account_membership");

/// What describes memberships.
const MEMBERS: &[Field] = &[
    Field::new(
        "account_memberships",
        Shape::Criteria(&["account_role_id", "user_id", "actor_id", "email", "handle"]),
    ),
    Field::new(
        "sort",
        Shape::Choice(&[
            "CREATED_ASC",
            "CREATED_DESC",
            "LAST_LOGIN_ASC",
            "LAST_LOGIN_DESC",
            "NAME_ASC",
            "NAME_DESC",
            "HANDLE_ASC",
            "HANDLE_DESC",
            "EMAIL_ASC",
            "EMAIL_DESC",
            "ACCOUNT_ROLE_NAME_ASC",
            "ACCOUNT_ROLE_NAME_DESC",
        ]),
    )
    .or(Fallback::Text("NAME_ASC")),
    Field::new("only_users", Shape::Flag),
    Field::new("only_bots", Shape::Flag),
    Field::new("active", Shape::Flag),
    OFFSET,
    LIMIT,
];

const SEE_ROLES: Permission = Permission::Account("read:account_role");

/// Whoever owns workspaces, people and service accounts.
pub static ACCOUNT: Kind = Kind {
    name: "account",
    scope: Scope::Account,
    number: Number::Many,
    base: IN_ACCOUNT,
    id_name: "account_id",
    criteria: "accounts",
    fields: &[
        Field::text("name").required(),
        Field::new("handle", Shape::Handle).required().unique(Reach::Everywhere),
        Field::text("location"),
        Field::text("link"),
        Field::text("billing_email"),
        Field::new("auth_expiration_seconds", Shape::Count(u32::MAX as u64)),
    ],
    verbs: &[
        Verb::new(
            "create",
            ("POST", "/accounts", 201),
            Permission::Account("administrate:account"),
            Effect::Create,
        )
        .takes(None),
        Verb::new("read", ("GET", "", 200), Permission::Account("read:account"), Effect::Read),
        Verb::new(
            "change",
            ("PATCH", "", 204),
            Permission::Account("update:account"),
            Effect::Change,
        )
        .takes(None)
        .also(&[Field::new("settings", Shape::Object(SETTINGS_MAX_BYTES))]),
        Verb::new(
            "delete",
            ("DELETE", "", 204),
            Permission::Account("delete:account"),
            Effect::Delete,
        ),
    ],
    actions: &[
        Action::new("created", "POST /api/accounts/", "an account was made"),
        Action::new("updated", "PATCH {account}/", "something of it changed"),
        Action::new("deleted", "DELETE {account}/", "it was ended, and all that was in it"),
    ],
};

/// A person. Belongs to the account it was made in, and to others by membership.
pub static USER: Kind = Kind {
    name: "user",
    scope: Scope::Account,
    number: Number::Many,
    base: "users",
    id_name: "user_id",
    criteria: "users",
    fields: &[
        Field::text("name").made(),
        Field::new("handle", Shape::Handle).required().unique(Reach::Everywhere),
        Field::new("first_name", Shape::Text(NAME_MAX_CHARS)).or(Fallback::Text("")),
        Field::new("last_name", Shape::Text(NAME_MAX_CHARS)).or(Fallback::Text("")),
        Field::text("email").or(Fallback::Text("")),
        Field::text("title").null_clears(),
        Field::text("location").null_clears(),
        Field::text("image_location").null_clears(),
        Field::new("settings", Shape::Object(SETTINGS_MAX_BYTES)),
        Field::new("actor_id", Shape::Id).made(),
        Field::new("last_login", Shape::Instant).copied(),
    ],
    verbs: &[
        Verb::new("read", ("GET", "{user}", 200), Permission::Oneself, Effect::Read),
        Verb::new("change", ("PATCH", "{user}", 204), Permission::Oneself, Effect::Change)
            .takes(None),
        Verb::new("delete", ("DELETE", "{user}", 204), Permission::Oneself, Effect::Delete),
        Verb::own(
            "set_password",
            ("POST", "{user}/password", 204),
            Permission::Oneself,
            Act::SetPassword,
        )
        .also(&[
            Field::new("password", Shape::Password).required(),
            Field::new("current_password", Shape::Phrase(1000)),
        ]),
    ],
    actions: &[
        Action::new("created", "hookgate bootstrap", "a person was added"),
        Action::new("updated", "PATCH /api/users/{id}", "they changed what is known of them"),
        Action::new("deleted", "DELETE /api/users/{id}", "they ended their account"),
        Action::new("logged-in", "POST /api/auth/login", "they came in by password"),
        Action::new("logged-out", "POST /api/auth/logout", "they ended a session"),
    ],
};

/// What a place in an account allows; those that are built in are no records.
pub static ACCOUNT_ROLE: Kind = Kind {
    name: "account-role",
    scope: Scope::Account,
    number: Number::Many,
    base: "accounts/{account}/account_roles",
    id_name: "role_id",
    criteria: "account_roles",
    fields: &[
        Field::text("name").required().unique(Reach::Account),
        Field::new("permissions", Shape::Choices(&ACCOUNT_PERMISSIONS)).or(Fallback::List),
    ],
    verbs: &[
        Verb::create(Permission::Account("create:account_role")),
        Verb::filter(
            SEE_ROLES,
            &[Field::new("account_roles", Shape::Criteria(&[])), OFFSET, LIMIT],
        ),
        Verb::read(SEE_ROLES),
        Verb::change(Permission::Account("update:account_role"), &["name", "permissions"]),
        Verb::delete(Permission::Account("delete:account_role")),
    ],
    actions: &[
        Action::new("created", "POST {account}/account_roles/", "a role was made"),
        Action::new("updated", "PATCH {account}/account_roles/{id}", "it allows something else"),
        Action::new("deleted", "DELETE {account}/account_roles/{id}", "a role was ended"),
    ],
};

/// A place in an account: a person's or a service account's.
pub static ACCOUNT_MEMBERSHIP: Kind = Kind {
    name: "account-membership",
    scope: Scope::Account,
    number: Number::Many,
    base: "accounts/{account}/account_memberships",
    id_name: "membership_id",
    criteria: "account_memberships",
    fields: &[
        Field::text("name").made(),
        Field::new("user_id", Shape::Reference(&["user"])).made().follows().relates("user"),
        Field::new("bot_id", Shape::Reference(&["service-account"]))
            .made()
            .follows()
            .relates("service-account"),
        Field::new("account_role_id", Shape::Reference(&["account-role"])).required(),
        Field::new("active", Shape::Flag).or(Fallback::Flag(true)),
    ],
    verbs: &[
        Verb::filter(SEE_MEMBERS, MEMBERS),
        Verb::count(SEE_MEMBERS, MEMBERS),
        Verb::own("by_user", ("GET", "by-user/{user}", 200), SEE_MEMBERS, Act::MembershipOf),
        Verb::own("by_bot", ("GET", "by-bot/{bot}", 200), SEE_MEMBERS, Act::MembershipOf),
        Verb::own("set_active", ("POST", "set_active", 204), CHANGE_MEMBERS, Act::SetActive).also(
            &[
                Field::new("membership_ids", Shape::Ids(MEMBERS_MAX)).required(),
                Field::new("active", Shape::Flag).required(),
            ],
        ),
        Verb::read(SEE_MEMBERS),
        Verb::change(CHANGE_MEMBERS, &["account_role_id"]),
        Verb::new("activate", ("PATCH", "{id}/active", 204), CHANGE_MEMBERS, Effect::Change)
            .takes(Some(&["active"])),
        Verb::delete(Permission::Account("delete:account_membership")),
        Verb::own(
            "leave",
            ("DELETE", "/me/accounts/{account}", 204),
            Permission::Caller,
            Act::LeaveAccount,
        ),
        Verb::own(
            "permissions",
            ("GET", "/me/accounts/{account}/permissions", 200),
            Permission::Caller,
            Act::Powers,
        ),
        Verb::own(
            "has_permission",
            ("GET", "/me/accounts/{account}/has_permission", 200),
            Permission::Caller,
            Act::HasPower("permission"),
        ),
    ],
    actions: &[
        Action::new("created", "POST {account}/bots/", "somebody got a place in an account"),
        Action::new(
            "updated",
            "PATCH {account}/account_memberships/{id}",
            "the place has another role, or lets in no more",
        ),
        Action::new(
            "deleted",
            "DELETE {account}/account_memberships/{id} or /api/me/accounts/{account}",
            "somebody left the account",
        ),
    ],
};
