//! People and programs who are given access together.

use super::super::{
    Act, Action, Effect, Fallback, Field, Kind, Number, Permission, Scope, Shape, TEXT_MAX_CHARS,
    Verb,
};
use super::{LIMIT, OFFSET};

/// Largest list of members to be added, in bytes of JSON.
const MEMBERS_MAX_BYTES: usize = 64 << 10;

const SEE: Permission = Permission::Account("read:team");
const CHANGE: Permission = Permission::Account("update:team");

/// Orders of a list of teams; the first is the one when nothing is said.
const SORTS: &[&str] =
    &["NAME_ASC", "NAME_DESC", "CREATED_ASC", "CREATED_DESC", "UPDATED_ASC", "UPDATED_DESC"];

/// What teams are told by, beside their own fields: who is in them, and where they may go.
const CRITERIA: &[&str] = &["directory_id", "workspace_id", "workspace_role_id", "member_id"];

/// People and service accounts that are given access together.
pub static TEAM: Kind = Kind {
    name: "team",
    scope: Scope::Account,
    number: Number::Many,
    base: "accounts/{account}/teams",
    id_name: "team_id",
    criteria: "teams",
    fields: &[
        Field::text("name").required(),
        Field::new("description", Shape::Text(TEXT_MAX_CHARS)).or(Fallback::Text("")),
        Field::text("workos_directory_group_id"),
    ],
    verbs: &[
        Verb::create(Permission::Account("create:team")),
        Verb::own("filter", ("POST", "filter", 200), SEE, Act::FilterTeams).also(&[
            Field::new("teams", Shape::Criteria(CRITERIA)),
            Field::new("users", Shape::Criteria(&[])),
            Field::new("bots", Shape::Criteria(&[])),
            Field::new("sort", Shape::Choice(SORTS)).or(Fallback::Text("NAME_ASC")),
            OFFSET,
            LIMIT,
        ]),
        Verb::read(SEE),
        Verb::new("replace", ("PUT", "{id}", 200), CHANGE, Effect::Replace).takes(None),
        Verb::delete(Permission::Account("delete:team")),
    ],
    actions: &[
        Action::new("created", "POST {account}/teams", "a team was made"),
        Action::new("updated", "PUT {account}/teams/{id}", "its name or description changed"),
        Action::new("deleted", "DELETE {account}/teams/{id}", "a team was ended"),
    ],
};

/// A place in a team.
pub static TEAM_MEMBERSHIP: Kind = Kind {
    name: "team-membership",
    scope: Scope::Account,
    number: Number::Many,
    base: "accounts/{account}/teams/{team}/members",
    id_name: "member_id",
    criteria: "team_memberships",
    fields: &[
        Field::text("name").made(),
        Field::new("team_id", Shape::Reference(&["team"])).made().follows().relates("team"),
        Field::new("user_id", Shape::Reference(&["user"])).made().follows().relates("member"),
        Field::new("bot_id", Shape::Reference(&["service-account"]))
            .made()
            .follows()
            .relates("member"),
        Field::new("role", Shape::Choice(&["member", "maintainer"]))
            .made()
            .or(Fallback::Text("member")),
    ],
    verbs: &[
        Verb::own("add", ("PUT", "", 200), CHANGE, Act::AddMembers).also(&[Field::new(
            "members",
            Shape::Json(MEMBERS_MAX_BYTES),
        )
        .required()]),
        Verb::own("remove", ("DELETE", "{actor}", 204), CHANGE, Act::RemoveMember),
    ],
    actions: &[
        Action::new("created", "PUT {account}/teams/{id}/members", "somebody joined a team"),
        Action::new(
            "updated",
            "PUT {account}/teams/{id}/members, for somebody who is in it, with another role",
            "somebody has another role in a team",
        ),
        Action::new(
            "deleted",
            "DELETE {account}/teams/{id}/members/{actor}, or the end of team or member",
            "somebody left a team",
        ),
    ],
};
