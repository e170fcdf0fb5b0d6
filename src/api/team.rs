//! Teams: who is in them, and where they may go. In: people and programs of the account. Out: one place for each of
//! them in a team, however often it is given; teams as clients read them. Nobody lets in where they may not go.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::actor::actor;
use super::change::{ENDING_MAX, note};
use super::deed::Deed;
use super::member::owner_of;
use super::present::{Form, head, value};
use super::problem::Problem;
use super::question::{all, criterion, reply};
use super::{Api, Call};
use crate::accept::Reply;
use crate::catalogue::{
    Fault, Kind, SERVICE_ACCOUNT, TEAM, TEAM_MEMBERSHIP, USER, Values, WORKSPACE_ACCESS, is_id,
};
use crate::id::{self, Uuid};
use crate::store::{Criterion, Query, Record, Sort, StoreError, Write};

/// Most members that are added at once.
const MEMBERS_MAX: usize = 200;
/// The roles in a team; the first is the one when nothing is said.
const ROLES: [&str; 2] = ["member", "maintainer"];

/// Somebody to be let in.
struct Wanted {
    id: Uuid,
    kind: &'static str,
    /// `None` keeps what they have.
    role: Option<String>,
}

impl Api {
    /// Lets people and programs into a team; those who are in it stay, perhaps with another role.
    pub(super) async fn add_members(&self, call: &Call, values: &Values) -> Result<Reply, Problem> {
        let wanted = read_members(values.get("members").unwrap_or(&Value::Null))?;
        let mut tries = self.tries(call.account());
        while tries.again().await {
            let team = self.team(call).await?;
            let mut deed = self.deed(call);
            let places = self.store.holders(TEAM_MEMBERSHIP.name, vec![team.id]).await?;
            for (number, one) in wanted.iter().enumerate() {
                let found = self.insider(call, one.id).await?;
                let member =
                    found.filter(|found| found.kind.name == one.kind).ok_or_else(|| {
                        fault(
                            number,
                            "member_id",
                            "nobody of that id and type belongs to the account",
                        )
                    })?;
                self.let_into(&team, &member, one.role.as_deref(), &places, &mut deed);
            }
            let changes = !deed.is_empty();
            if changes {
                self.check_entry(call, &team).await?;
                // Who lets in the same ones at the same moment looks again.
                deed.write(Write::Update(team.clone()));
            }
            if deed.commit().await? {
                if changes {
                    note(call, &team);
                }
                return Ok(reply(call, &self.present_new(team, None).await?));
            }
        }
        Err(StoreError::Stale.into())
    }

    fn let_into(
        &self,
        team: &Record,
        member: &Record,
        role: Option<&str>,
        places: &[Record],
        deed: &mut Deed<'_>,
    ) {
        if let Some(place) = places.iter().find(|place| owner_of(place) == Some(member.id)) {
            let (mut place, before) = (place.clone(), place.fields.clone());
            if let Some(role) = role {
                place.fields.insert("role".to_owned(), role.into());
                deed.update(&before, place);
            }
            return;
        }
        let field = if member.kind.name == USER.name { "user_id" } else { "bot_id" };
        let mut fields = TEAM_MEMBERSHIP.defaults();
        fields.insert("name".to_owned(), member.text("name").into());
        fields.insert("team_id".to_owned(), team.id.to_string().into());
        fields.insert(field.to_owned(), member.id.to_string().into());
        fields.insert("role".to_owned(), role.unwrap_or(ROLES[0]).into());
        let id = id::now(&self.clock);
        deed.insert(Record::new(id, &TEAM_MEMBERSHIP, team.account, fields, deed.now));
    }

    /// Whoever cannot enter every workspace lets nobody into a team that may enter some.
    async fn check_entry(&self, call: &Call, team: &Record) -> Result<(), Problem> {
        let bypasses = call.caller.as_ref().is_some_and(|caller| caller.powers.bypass());
        let places = self.store.holders(WORKSPACE_ACCESS.name, vec![team.id]).await?;
        if bypasses || places.is_empty() { Ok(()) } else { Err(Problem::Forbidden) }
    }

    /// Lets somebody out of a team; the path names them as who acts.
    pub(super) async fn remove_member(&self, call: &Call) -> Result<Reply, Problem> {
        let team = self.team(call).await?;
        let places = self.store.holders(TEAM_MEMBERSHIP.name, vec![team.id]).await?;
        let owners = self.store.records(places.iter().filter_map(owner_of).collect()).await?;
        let gone = owners.iter().find(|owner| Some(actor(owner).id) == call.part("actor"));
        let gone = gone.ok_or(Problem::NotFound)?;
        let place = places.into_iter().find(|place| owner_of(place) == Some(gone.id));
        let place = place.ok_or(Problem::NotFound)?;
        let mut deed = self.deed(call);
        deed.delete(place.clone());
        if !deed.commit().await? {
            return Err(StoreError::Stale.into());
        }
        note(call, &place);
        Ok(reply(call, &Value::Null))
    }

    /// The team of a path.
    async fn team(&self, call: &Call) -> Result<Record, Problem> {
        let id = call.part("team").ok_or(Problem::NotFound)?;
        let found = self.store.records(vec![id]).await?.pop();
        let is_own = |team: &Record| team.kind.name == TEAM.name && team.account == call.account();
        found.filter(is_own).ok_or(Problem::NotFound)
    }

    /// Teams by what they are, who is in them and where they may go.
    pub(super) async fn filter_teams(
        &self,
        call: &Call,
        values: &Values,
    ) -> Result<Reply, Problem> {
        let count = |name| values.get(name).and_then(Value::as_u64);
        let sort = values.get("sort").and_then(Value::as_str).unwrap_or_default();
        let mut query = Query {
            sort: Sort::named(sort),
            offset: count("offset").unwrap_or(0),
            limit: count("limit").unwrap_or_default(),
            ..all(call)
        };
        let (mut members, mut places) = (Vec::new(), Vec::new());
        for mut asked in criteria(values, "teams") {
            match asked.field.as_str() {
                "member_id" => members.push(asked),
                "workspace_id" | "workspace_role_id" => places.push(asked),
                "directory_id" => {
                    "workos_directory_group_id".clone_into(&mut asked.field);
                    query.criteria.push(asked);
                }
                _ => query.criteria.push(asked),
            }
        }
        for (given, field) in [("users", "user_id"), ("bots", "bot_id")] {
            for mut asked in criteria(values, given) {
                let is_id = asked.field == "id";
                if is_id {
                    field.clone_into(&mut asked.field);
                }
                let nobody = Some(vec![String::new()]);
                let (field, not_any) = (field.to_owned(), nobody.filter(|_| !is_id));
                members.extend([asked, Criterion { field, not_any, ..Criterion::default() }]);
            }
        }
        for (kind, asked) in [(&TEAM_MEMBERSHIP, members), (&WORKSPACE_ACCESS, places)] {
            if !asked.is_empty() {
                let teams = self.teams_with(call, kind, asked).await?;
                query.criteria.push(Criterion::any("id", teams));
            }
        }
        let found = self.store.list(query).await?;
        let told = self.present(&found, Form::Read).await?;
        Ok(reply(call, &told.into()))
    }

    /// The teams that have a place of a kind which fulfils all that is asked.
    async fn teams_with(
        &self,
        call: &Call,
        kind: &'static Kind,
        criteria: Vec<Criterion>,
    ) -> Result<HashSet<String>, Problem> {
        let Some(found) = self.store.within(kind, call.account(), ENDING_MAX).await? else {
            let says = format!("The account has more than {ENDING_MAX} of them: ask for less");
            return Err(Problem::Refused(says));
        };
        let query = Query { criteria, ..Query::new(kind, call.account(), None) };
        let whole = |mut place: Record| {
            let member = owner_of(&place).map(|id| id.to_string());
            place.fields.insert("member_id".to_owned(), member.into());
            let workspace = place.workspace.map(|id| id.to_string());
            place.fields.insert("workspace_id".to_owned(), workspace.into());
            place
        };
        let fitting = found.into_iter().map(whole).filter(|place| query.describes(place));
        let teams = fitting.filter_map(|place| place.reference("team_id"));
        Ok(teams.map(|id| id.to_string()).collect())
    }

    /// Teams as clients read them: with who is in them, and where they may go.
    pub(super) async fn present_teams(&self, teams: &[Record]) -> Result<Vec<Value>, Problem> {
        let ids: Vec<Uuid> = teams.iter().map(|team| team.id).collect();
        let members = self.store.holders(TEAM_MEMBERSHIP.name, ids.clone()).await?;
        let places = self.store.holders(WORKSPACE_ACCESS.name, ids).await?;
        let wanted = members.iter().filter_map(owner_of);
        let wanted = wanted.chain(places.iter().filter_map(|place| place.workspace)).collect();
        let known = self.store.records(wanted).await?;
        let find = |id: Option<Uuid>| known.iter().find(|record| Some(record.id) == id);
        let mut told = Vec::with_capacity(teams.len());
        for team in teams {
            let of = |record: &&Record| record.reference("team_id") == Some(team.id);
            let members = members.iter().filter(of);
            let members = members.filter_map(|place| Some(member(find(owner_of(place))?, place)));
            let mut workspaces = Vec::new();
            for place in places.iter().filter(of) {
                let Some(workspace) = find(place.workspace) else { continue };
                let role = match place.reference("workspace_role_id") {
                    Some(role) => self.role_name(role).await?,
                    None => String::new(),
                };
                workspaces.push(json!({
                    "workspace_id": workspace.id.to_string(),
                    "workspace_handle": workspace.text("handle"),
                    "workspace_role_id": value(place, "workspace_role_id"),
                    "workspace_role_name": role,
                }));
            }
            let mut one = head(team);
            one.insert("account_id".to_owned(), team.account.to_string().into());
            for name in ["name", "description", "workos_directory_group_id"] {
                one.insert(name.to_owned(), value(team, name));
            }
            one.insert("memberships".to_owned(), members.collect());
            one.insert("workspaces".to_owned(), workspaces.into());
            told.push(one.into());
        }
        Ok(told)
    }
}

/// A member as a team tells it; the id is that of who acts.
fn member(owner: &Record, place: &Record) -> Value {
    let who = actor(owner);
    let is_user = owner.kind.name == USER.name;
    json!({
        "id": who.id.to_string(),
        "handle": who.handle,
        "name": who.name,
        "email": is_user.then_some(who.email),
        "type": if is_user { "user" } else { "service_account" },
        "role": value(place, "role"),
    })
}

/// The criteria of a body's object.
fn criteria(values: &Values, name: &str) -> Vec<Criterion> {
    values.get(name).and_then(Value::as_object).into_iter().flatten().map(criterion).collect()
}

fn fault(number: usize, field: &str, says: &str) -> Problem {
    let at = ["body", "members", &number.to_string(), field];
    Problem::Invalid(vec![Fault::new("value_error", &at, format!("Value error, {says}"))])
}

fn read_members(value: &Value) -> Result<Vec<Wanted>, Problem> {
    let list = value.as_array().filter(|list| list.len() <= MEMBERS_MAX).ok_or_else(|| {
        let says = format!("Value error, a list of at most {MEMBERS_MAX} members");
        Problem::Invalid(vec![Fault::new("value_error", &["body", "members"], says)])
    })?;
    let mut wanted: Vec<Wanted> = Vec::with_capacity(list.len());
    for (number, value) in list.iter().enumerate() {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let id = text("member_id").and_then(is_id);
        let id = id.ok_or_else(|| fault(number, "member_id", "this is the id of a member"))?;
        let kind = match text("member_type") {
            Some("user") => USER.name,
            Some("service_account") => SERVICE_ACCOUNT.name,
            _ => return Err(fault(number, "member_type", "this is user or service_account")),
        };
        let role = match value.get("role") {
            None | Some(Value::Null) => None,
            Some(Value::String(role)) if ROLES.contains(&role.as_str()) => Some(role.clone()),
            Some(_) => return Err(fault(number, "role", "this is member or maintainer")),
        };
        let known = ["member_id", "member_type", "role"];
        let mut keys = value.as_object().into_iter().flat_map(|given| given.keys());
        if let Some(extra) = keys.find(|key| !known.contains(&key.as_str())) {
            return Err(fault(number, extra, "extra inputs are not permitted"));
        }
        if wanted.iter().any(|other| other.id == id) {
            return Err(fault(number, "member_id", "it is named twice"));
        }
        wanted.push(Wanted { id, kind, role });
    }
    Ok(wanted)
}
