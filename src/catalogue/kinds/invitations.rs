//! Invitations: into an account, or into a workspace of it.

use super::super::{
    Act, Action, Effect, Fallback, Field, Kind, Number, Permission, Scope, Shape, Verb,
};
use super::{LIMIT, OFFSET};

/// What becomes of an invitation.
const STATUSES: &[&str] = &["PENDING", "ACCEPTED", "REJECTED", "REVOKED"];
/// Longest e-mail address.
const EMAIL_MAX_CHARS: u64 = 320;

const EMAIL: Field = Field::new("email", Shape::Text(EMAIL_MAX_CHARS)).required();
const STATUS: Field = Field::new("status", Shape::Choice(STATUSES)).made();
const EXPIRATION: Field = Field::new("expiration", Shape::Instant).made();

/// Who invited: what an invitation gives, they must still be able to give when it is answered.
const INVITER: Field = Field::new("inviter_id", Shape::Id).secret();

const SEE: Permission = Permission::Account("read:invitation");
const SEE_GUESTS: Permission = Permission::Workspace("see_workspace_users");
const INVITE_GUESTS: Permission = Permission::Workspace("manage_workspace_users");

const ASKED: &[Field] = &[
    Field::new("account_invitations", Shape::Criteria(&["email", "status", "account_role_id"])),
    OFFSET,
    LIMIT,
];
const ASKED_GUESTS: &[Field] = &[
    Field::new("workspace_invitations", Shape::Criteria(&["email", "status", "workspace_role_id"])),
    OFFSET,
    LIMIT,
];

/// What somebody new says of themselves.
const NEWCOMER: &[Field] = &[
    Field::new("handle", Shape::Handle),
    Field::new("first_name", Shape::Text(500)).or(Fallback::Text("")),
    Field::new("last_name", Shape::Text(500)).or(Fallback::Text("")),
    Field::new("password", Shape::Password),
];

/// A word to somebody that they may join an account. Only who knows its code can answer it.
pub static ACCOUNT_INVITATION: Kind = Kind {
    name: "account-invitation",
    scope: Scope::Account,
    number: Number::Many,
    base: "accounts/{account}/invitations",
    id_name: "invitation_id",
    criteria: "account_invitations",
    fields: &[
        Field::text("name").secret(),
        EMAIL,
        Field::new("account_role_id", Shape::Reference(&["account-role"]))
            .required()
            .follows()
            .relates("account-role"),
        STATUS,
        EXPIRATION,
        INVITER,
    ],
    verbs: &[
        Verb::new(
            "create",
            ("POST", "", 201),
            Permission::Account("create:invitation"),
            Effect::Each(Act::Invite),
        )
        .takes(None),
        Verb::filter(SEE, ASKED),
        Verb::count(SEE, ASKED),
        Verb::read(SEE),
        Verb::own(
            "revoke",
            ("POST", "{id}/revoke", 204),
            Permission::Account("delete:invitation"),
            Act::Revoke,
        ),
        Verb::own(
            "resend",
            ("POST", "{id}/resend", 200),
            Permission::Account("update:invitation"),
            Act::InviteAgain,
        ),
        // Those of workspaces are answered there too.
        Verb::own(
            "accept",
            ("POST", "/invitations/{id}/accept", 204),
            Permission::Open,
            Act::Accept,
        )
        .also(NEWCOMER),
        Verb::own(
            "reject",
            ("POST", "/invitations/{id}/reject", 204),
            Permission::Open,
            Act::Reject,
        ),
    ],
    actions: &[
        Action::new("created", "POST {account}/invitations/", "somebody was invited"),
        Action::new("updated", "POST {account}/invitations/{id}/resend", "they were invited again"),
        Action::new("deleted", "POST {account}/invitations/{id}/revoke", "it was taken back"),
        Action::new("accepted", "POST /api/invitations/{id}/accept", "they joined the account"),
        Action::new("rejected", "POST /api/invitations/{id}/reject", "they do not want to"),
    ],
};

/// A word to somebody that they may enter a workspace, and join its account for that.
pub static WORKSPACE_INVITATION: Kind = Kind {
    name: "workspace-invitation",
    scope: Scope::Workspace,
    number: Number::Many,
    base: "accounts/{account}/workspaces/{workspace}/invitations",
    id_name: "invitation_id",
    criteria: "workspace_invitations",
    fields: &[
        Field::text("name").secret(),
        EMAIL,
        Field::new("workspace_role_id", Shape::Reference(&["workspace-role"]))
            .follows()
            .relates("workspace-role"),
        STATUS,
        EXPIRATION,
        INVITER,
    ],
    verbs: &[
        Verb::new("create", ("POST", "", 201), INVITE_GUESTS, Effect::Each(Act::Invite))
            .takes(None),
        Verb::filter(SEE_GUESTS, ASKED_GUESTS),
        Verb::count(SEE_GUESTS, ASKED_GUESTS),
        Verb::read(SEE_GUESTS),
        Verb::own("revoke", ("POST", "{id}/revoke", 204), INVITE_GUESTS, Act::Revoke),
        Verb::own("resend", ("POST", "{id}/resend", 200), INVITE_GUESTS, Act::InviteAgain),
    ],
    actions: &[
        Action::new("created", "POST {workspace}/invitations/", "somebody was invited"),
        Action::new(
            "updated",
            "POST {workspace}/invitations/{id}/resend",
            "they were invited again",
        ),
        Action::new("deleted", "POST {workspace}/invitations/{id}/revoke", "it was taken back"),
        Action::new("accepted", "POST /api/invitations/{id}/accept", "they entered the workspace"),
        Action::new("rejected", "POST /api/invitations/{id}/reject", "they do not want to"),
    ],
};
