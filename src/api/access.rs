//! Places in workspaces: who may come in, and as what. In: people, service accounts and teams of the account, and
//! roles. Out: one place for each of them in each workspace, however often it is given. Nobody gives what they lack.

use serde_json::{Value, json};

use super::change::note;

use super::deed::Deed;
use super::present::{Form, head, value};
use super::problem::Problem;
use super::question::{all, reply};
use super::role::DEFAULT_ROLE;
use super::{Api, Call};
use crate::accept::Reply;
use crate::catalogue::{
    ACCOUNT_MEMBERSHIP, Fault, LIST_MAX, SERVICE_ACCOUNT, TEAM, USER, Values, WORKSPACE_ACCESS,
    is_id, role,
};
use crate::clock::Time;
use crate::id::{self, Uuid};
use crate::store::{Criterion, Query, Record, StoreError};

/// The fields that can name whose a place is.
const HOLDERS: [&str; 3] = ["user_id", "bot_id", "team_id"];
/// Most places of a workspace that are told at once.
const INHABITANTS_MAX: u64 = 1000;

impl Api {
    /// Gives who makes a workspace a place in it, unless they may enter every one.
    pub(super) fn settle_in(&self, call: &Call, workspace: &Record, deed: &mut Deed<'_>) {
        let Some(caller) = &call.caller else { return };
        if !caller.powers.bypass() {
            let owner = role::WORKSPACE_OWNER.id;
            let (id, account) = (workspace.id, workspace.account);
            deed.insert(self.access_in(id, account, &caller.owner, owner, deed.now));
        }
    }

    /// Whoever says what every member of the account is to have in a workspace, or no more, has it too.
    pub(super) async fn vet_workspace(
        &self,
        call: &Call,
        before: Option<&Record>,
        after: Option<&Record>,
    ) -> Result<(), Problem> {
        let role = |workspace: &Record| workspace.reference(DEFAULT_ROLE);
        let (before, after) = (before.and_then(role), after.map(role));
        for role in [before, after.flatten()].into_iter().flatten() {
            if after.is_some_and(|after| after != before) {
                self.check_scopes(call, role).await?;
            }
        }
        Ok(())
    }

    /// Gives each of those that are named a place, or their place another role; what is equal stays. Their places, in
    /// the same order.
    pub(super) async fn give_access(
        &self,
        call: &Call,
        to: &'static str,
        all: &[Values],
    ) -> Result<Vec<Value>, Problem> {
        let mut tries = self.tries(call.account());
        while tries.again().await {
            let mut deed = self.deed(call);
            let mut places = Vec::new();
            for (number, values) in all.iter().enumerate() {
                let id = |name: &str| values.get(name).and_then(Value::as_str).and_then(is_id);
                let role = id("workspace_role_id").ok_or(Problem::NotFound)?;
                let grantee = id(to)
                    .filter(|id| !places.iter().any(|p: &Record| p.reference(to) == Some(*id)));
                let grantee = match grantee {
                    Some(grantee) => self.insider(call, grantee).await?,
                    None => None,
                };
                let grantee = grantee.filter(|grantee| holder(grantee) == to).ok_or_else(|| {
                    let says = "Value error, nobody of that id belongs to the account, or it is named twice";
                    let place = number.to_string();
                    let at = if all.len() > 1 { vec!["body", &place, to] } else { vec!["body", to] };
                    Problem::Invalid(vec![Fault::new("value_error", &at, says)])
                })?;
                places.push(self.place(call, &grantee, role, &mut deed).await?);
            }
            if deed.commit().await? {
                for place in &places {
                    note(call, place);
                }
                return self.present(&places, Form::Read).await;
            }
        }
        Err(StoreError::Stale.into())
    }

    /// Whoever of that id belongs to the account: a person or a service account by membership, a team as it is.
    pub(super) async fn insider(&self, call: &Call, id: Uuid) -> Result<Option<Record>, Problem> {
        let found = self.store.records(vec![id]).await?.pop();
        let Some(found) = found else { return Ok(None) };
        if found.kind.name == TEAM.name {
            return Ok(Some(found).filter(|team| team.account == call.account()));
        }
        let held = self.store.holders(ACCOUNT_MEMBERSHIP.name, vec![id]).await?;
        let belongs = held
            .iter()
            .any(|membership| membership.account == call.account() && holder(&found) != "team_id");
        Ok(Some(found).filter(|_| belongs))
    }

    /// Somebody's place in the call's workspace, with that role from now on.
    async fn place(
        &self,
        call: &Call,
        grantee: &Record,
        role: Uuid,
        deed: &mut Deed<'_>,
    ) -> Result<Record, Problem> {
        self.check_scopes(call, role).await?;
        let held = self.store.holders(WORKSPACE_ACCESS.name, vec![grantee.id]).await?;
        if let Some(mut place) = held.into_iter().find(|place| place.workspace == call.workspace())
        {
            self.check_place(call, &place).await?;
            let before = place.fields.clone();
            place.fields.insert("workspace_role_id".to_owned(), role.to_string().into());
            deed.update(&before, place.clone());
            return Ok(place);
        }
        let workspace = call.workspace().ok_or(Problem::NotFound)?;
        let place = self.access_in(workspace, call.account(), grantee, role, deed.now);
        deed.insert(place.clone());
        Ok(place)
    }

    /// Refuses to lower or end the place of somebody who may do more there than the caller.
    async fn check_place(&self, call: &Call, place: &Record) -> Result<(), Problem> {
        match place.reference("workspace_role_id") {
            Some(role) => self.check_scopes(call, role).await,
            None => Ok(()),
        }
    }

    /// The place a call is about, if it is of that sort; a team's is found by the team.
    async fn access_of(&self, call: &Call, of: &'static str) -> Result<Record, Problem> {
        let place = match call.part("team") {
            Some(team) => {
                let held = self.store.holders(WORKSPACE_ACCESS.name, vec![team]).await?;
                held.into_iter().find(|place| place.workspace == call.workspace())
            }
            None => Some(self.record(call).await?),
        };
        place.filter(|place| place.reference(of).is_some()).ok_or(Problem::NotFound)
    }

    pub(super) async fn read_access(
        &self,
        call: &Call,
        of: &'static str,
    ) -> Result<Reply, Problem> {
        let place = self.access_of(call, of).await?;
        let told = self.present(&[place], Form::Read).await?.pop().unwrap_or_default();
        Ok(reply(call, &told))
    }

    pub(super) async fn drop_access(
        &self,
        call: &Call,
        of: &'static str,
    ) -> Result<Reply, Problem> {
        let mut tries = self.tries(call.account());
        while tries.again().await {
            let place = self.access_of(call, of).await?;
            self.check_place(call, &place).await?;
            let mut deed = self.deed(call);
            deed.delete(place.clone());
            if deed.commit().await? {
                note(call, &place);
                return Ok(reply(call, &Value::Null));
            }
        }
        Err(StoreError::Stale.into())
    }

    pub(super) async fn team_access(&self, call: &Call, values: &Values) -> Result<Reply, Problem> {
        let count = |name| values.get(name).and_then(Value::as_u64);
        let not_any = Some(vec![String::new()]);
        let of_teams = Criterion { field: "team_id".to_owned(), not_any, ..Criterion::default() };
        let (offset, limit) = (count("offset").unwrap_or(0), count("limit").unwrap_or(LIST_MAX));
        let query = Query { criteria: vec![of_teams], offset, limit, ..all(call) };
        let places = self.store.list(query).await?;
        Ok(reply(call, &self.present(&places, Form::Read).await?.into()))
    }

    /// Everybody who may enter a workspace by a place in it, and `*` when every member of the account may.
    pub(super) async fn inhabitants(&self, call: &Call) -> Result<Reply, Problem> {
        let places = self.store.list(Query { limit: INHABITANTS_MAX, ..all(call) }).await?;
        let workspace = self.store.records(call.workspace().into_iter().collect()).await?.pop();
        let open = workspace.is_some_and(|workspace| workspace.reference(DEFAULT_ROLE).is_some());
        let mut rows = Vec::new();
        if open {
            rows.push(json!({ "id": "*", "name": "*", "email": null, "type": "*" }));
        }
        let grantees = self.grantees(&places).await?;
        for place in &places {
            let grantee = grantees.iter().find(|one| place.reference(holder(one)) == Some(one.id));
            let email = grantee.map(|one| one.text("email")).filter(|email| !email.is_empty());
            let sort = match grantee.map(holder) {
                Some("user_id") => "user",
                Some("bot_id") => "service_account",
                _ => "team",
            };
            let id = HOLDERS.iter().find_map(|field| place.reference(field));
            rows.push(json!({
                "id": id.map(|id| id.to_string()), "name": place.text("name"), "email": email,
                "type": sort,
            }));
        }
        Ok(reply(call, &rows.into()))
    }

    /// Places as clients read them: each with who has it.
    pub(super) async fn present_accesses(&self, places: &[Record]) -> Result<Vec<Value>, Problem> {
        let grantees = self.grantees(places).await?;
        let one = |place: &Record| {
            let grantee = grantees.iter().find(|one| place.reference(holder(one)) == Some(one.id));
            let mut told = head(place);
            told.insert("workspace_id".to_owned(), place.workspace.map(|id| id.to_string()).into());
            told.insert("workspace_role_id".to_owned(), value(place, "workspace_role_id"));
            if let Some(grantee) = grantee {
                let field = holder(grantee);
                told.insert(field.to_owned(), grantee.id.to_string().into());
                let shown: &[(&str, &str)] = match field {
                    "user_id" => &[
                        ("actor_id", "actor_id"),
                        ("first_name", "first_name"),
                        ("last_name", "last_name"),
                        ("email", "email"),
                        ("handle", "handle"),
                    ],
                    "bot_id" => &[("actor_id", "actor_id"), ("bot_name", "name")],
                    _ => &[("team_name", "name")],
                };
                for (name, field) in shown {
                    told.insert((*name).to_owned(), value(grantee, field));
                }
            }
            Value::from(told)
        };
        Ok(places.iter().map(one).collect())
    }

    /// Whoever has these places.
    async fn grantees(&self, places: &[Record]) -> Result<Vec<Record>, Problem> {
        let ids = places
            .iter()
            .filter_map(|place| HOLDERS.iter().find_map(|field| place.reference(field)));
        Ok(self.store.records(ids.collect()).await?)
    }

    /// A place for somebody in a workspace.
    pub(super) fn access_in(
        &self,
        workspace: Uuid,
        account: Uuid,
        grantee: &Record,
        role: Uuid,
        now: Time,
    ) -> Record {
        let mut fields = Values::new();
        let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        set("name", grantee.text("name").into());
        // Held to be the only one, so that two who give at the same moment give one place.
        set("place", format!("{workspace} {}", grantee.id).into());
        for field in HOLDERS {
            set(field, Value::Null);
        }
        set(holder(grantee), grantee.id.to_string().into());
        set("workspace_role_id", role.to_string().into());
        let id = id::now(&self.clock);
        let mut record = Record::new(id, &WORKSPACE_ACCESS, account, fields, now);
        record.workspace = Some(workspace);
        record
    }
}

/// The field that names whose a place is.
fn holder(grantee: &Record) -> &'static str {
    match grantee.kind.name {
        kind if kind == USER.name => "user_id",
        kind if kind == SERVICE_ACCOUNT.name => "bot_id",
        _ => "team_id",
    }
}
