//! What is watched for in a workspace, and what goes wrong there: automations and incidents.

use super::super::{
    Act, Action, Effect, Fallback, Field, Kind, Number, Permission, Scope, Shape, Verb,
};
use super::{LIMIT, OFFSET};

/// Largest trigger, and largest list of actions, in bytes of JSON.
const AUTOMATION_MAX_BYTES: usize = 64 << 10;
/// Largest set of labels, or of resources, in bytes of JSON.
const LABELS_MAX_BYTES: usize = 16 << 10;
/// Most tags of one record, and the longest of them.
const TAGS: Shape = Shape::Texts(50, 200);

const SEE: Permission = Permission::Workspace("see_automations");
const MANAGE: Permission = Permission::Workspace("manage_automations");
const SEE_INCIDENTS: Permission = Permission::Workspace("see_incidents");
const WRITE_INCIDENTS: Permission = Permission::Workspace("write_incidents");

/// Orders of a list; the first is the one when nothing is said.
const SORTS: &[&str] =
    &["NAME_ASC", "NAME_DESC", "CREATED_ASC", "CREATED_DESC", "UPDATED_ASC", "UPDATED_DESC"];
const SORT: Field = Field::new("sort", Shape::Choice(SORTS)).or(Fallback::Text("NAME_ASC"));

/// How bad an incident is.
const SEVERITIES: &[&str] = &["minor", "low", "moderate", "high", "critical"];
const STATUSES: &[&str] = &["active", "resolved"];

const fn actions(name: &'static str) -> Field {
    Field::new(name, Shape::Json(AUTOMATION_MAX_BYTES)).or(Fallback::List)
}

const AUTOMATIONS: Field = Field::new("automations", Shape::Criteria(&[]));
const INCIDENTS: Field = Field::new("incidents", Shape::Criteria(&["severity", "status"]));

/// What is to be done when something happens. Kept as it was sent: who acts on it is another program.
pub static AUTOMATION: Kind = Kind {
    name: "automation",
    scope: Scope::Workspace,
    number: Number::Many,
    base: "accounts/{account}/workspaces/{workspace}/automations",
    id_name: "automation_id",
    criteria: "automations",
    fields: &[
        Field::text("name").required(),
        Field::text("description").or(Fallback::Text("")),
        Field::new("enabled", Shape::Flag).kept().or(Fallback::Flag(true)),
        Field::new("trigger", Shape::Json(AUTOMATION_MAX_BYTES)).required(),
        actions("actions"),
        actions("actions_on_trigger"),
        actions("actions_on_resolve"),
        Field::new("tags", TAGS).or(Fallback::List),
        Field::new("labels", Shape::Json(LABELS_MAX_BYTES)),
        Field::text("owner_resource").kept(),
        // What it is about, so that it can be found by it.
        Field::new("related", TAGS).secret(),
        Field::new("actor", Shape::Json(LABELS_MAX_BYTES)).secret(),
    ],
    verbs: &[
        Verb::create(MANAGE),
        Verb::filter(SEE, &[AUTOMATIONS, SORT, OFFSET, LIMIT]),
        Verb::new("count", ("POST", "count", 200), SEE, Effect::Count).also(&[AUTOMATIONS]),
        Verb::own("related", ("GET", "related-to/{resource}", 200), SEE, Act::RelatedAutomations),
        Verb::own(
            "drop_owned",
            ("DELETE", "owned-by/{resource}", 204),
            MANAGE,
            Act::DropOwnedAutomations,
        ),
        Verb::read(SEE),
        Verb::new("replace", ("PUT", "{id}", 204), MANAGE, Effect::Replace).takes(None),
        Verb::change(MANAGE, &["enabled"]),
        Verb::delete(MANAGE),
    ],
    actions: &[
        Action::new("created", "POST {workspace}/automations/", "an automation was made"),
        Action::new("updated", "PUT or PATCH {workspace}/automations/{id}", "it changed"),
        Action::new(
            "deleted",
            "DELETE {workspace}/automations/{id}, or …/owned-by/{resource}",
            "it was ended",
        ),
    ],
};

/// Something that went wrong, and what became of it.
pub static INCIDENT: Kind = Kind {
    name: "incident",
    scope: Scope::Workspace,
    number: Number::Many,
    base: "accounts/{account}/workspaces/{workspace}/incidents",
    id_name: "incident_id",
    criteria: "incidents",
    fields: &[
        Field::text("name").required(),
        Field::text("summary").or(Fallback::Text("")),
        Field::new("severity", Shape::Choice(SEVERITIES))
            .or(Fallback::Text("moderate"))
            .labels("prefect-cloud.incident.severity"),
        Field::new("status", Shape::Choice(STATUSES)).made(),
        Field::new("start_time", Shape::Instant),
        Field::new("end_time", Shape::Instant).made(),
        Field::new("tags", TAGS).or(Fallback::List),
        Field::new("related_resources", Shape::Json(LABELS_MAX_BYTES)).or(Fallback::List),
    ],
    verbs: &[
        Verb::create(WRITE_INCIDENTS),
        Verb::filter(SEE_INCIDENTS, &[INCIDENTS, SORT, OFFSET, LIMIT]),
        Verb::read(SEE_INCIDENTS),
        Verb::change(
            WRITE_INCIDENTS,
            &["name", "summary", "severity", "start_time", "tags", "related_resources"],
        ),
        Verb::delete(Permission::Workspace("manage_incidents")),
        Verb::own("resolve", ("POST", "{id}/resolve", 204), WRITE_INCIDENTS, Act::Resolve)
            .also(&[Field::new("end_time", Shape::Instant)]),
        Verb::own("reopen", ("POST", "{id}/reopen", 204), WRITE_INCIDENTS, Act::Reopen),
    ],
    actions: &[
        Action::new("created", "POST {workspace}/incidents/", "an incident was declared"),
        Action::new(
            "updated",
            "PATCH {workspace}/incidents/{id}, or POST …/resolve or …/reopen",
            "it changed",
        ),
        Action::new("deleted", "DELETE {workspace}/incidents/{id}", "its record was ended"),
        Action::new("declared", "POST {workspace}/incidents/", "an incident was declared"),
        Action::new("resolved", "POST {workspace}/incidents/{id}/resolve", "it is over"),
        Action::new("reopened", "POST {workspace}/incidents/{id}/reopen", "it is not over"),
        Action::new(
            "comment.added",
            "POST {workspace}/incidents/{id}/comments",
            "somebody wrote a comment",
        ),
        Action::new("updated.name", CHANGED, "its name changed"),
        Action::new("updated.summary", CHANGED, "its summary changed"),
        Action::new("updated.severity", CHANGED, "its severity changed"),
        Action::new("updated.start_time", CHANGED, "its beginning changed"),
        Action::new("updated.related_resources", CHANGED, "what it is about changed"),
        Action::new("updated.tags", CHANGED, "its tags changed"),
    ],
};

const CHANGED: &str = "PATCH {workspace}/incidents/{id}";

/// What somebody wrote about an incident. The incident's own events tell it.
pub static INCIDENT_COMMENT: Kind = Kind {
    name: "incident-comment",
    scope: Scope::Workspace,
    number: Number::Many,
    base: "accounts/{account}/workspaces/{workspace}/incidents/{incident}/comments",
    id_name: "comment_id",
    criteria: "comments",
    fields: &[
        Field::text("comment").required(),
        // Who wrote it.
        Field::text("name").made(),
        Field::text("author_id").made(),
        Field::new("incident_id", Shape::Reference(&["incident"])).made().follows(),
    ],
    verbs: &[
        Verb::own("create", ("POST", "", 201), WRITE_INCIDENTS, Act::Comment).takes(None),
        Verb::own("list", ("GET", "", 200), SEE_INCIDENTS, Act::Comments),
    ],
    actions: &[],
};
