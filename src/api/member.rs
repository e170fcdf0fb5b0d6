//! Who belongs to an account: their rows as clients read them, and what ends when they leave. In: memberships, or
//! whose. Out: rows with the person's or program's own words; changes with an event for each record.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::change::note;
use super::deed::Deed;
use super::present::Form;
use super::problem::Problem;
use super::question::reply;
use super::{Api, Call};
use crate::accept::Reply;
use crate::catalogue::{
    ACCOUNT, ACCOUNT_MEMBERSHIP, SESSION, TEAM_MEMBERSHIP, USER, Values, WORKSPACE,
    WORKSPACE_ACCESS, is_id, role,
};
use crate::id::Uuid;
use crate::store::{Record, StoreError, Write};

impl Api {
    /// Memberships as rows; with their teams when the form says so.
    pub(super) async fn members(
        &self,
        records: &[Record],
        form: Form,
    ) -> Result<Vec<Value>, Problem> {
        let owners = records.iter().filter_map(owner_of).collect();
        let owners: HashMap<Uuid, Record> =
            self.store.records(owners).await?.into_iter().map(|owner| (owner.id, owner)).collect();
        let mut rows = Vec::with_capacity(records.len());
        for membership in records {
            let owner = owner_of(membership).and_then(|id| owners.get(&id));
            let mut row = self.member(membership, owner).await?;
            if let (Form::Read, Some(owner)) = (form, owner) {
                row["teams"] = self.teams_of(owner, membership.account).await?;
                row["timezone"] = Value::Null;
                row["directory_id"] = Value::Null;
            }
            rows.push(row);
        }
        Ok(rows)
    }

    async fn member(&self, membership: &Record, owner: Option<&Record>) -> Result<Value, Problem> {
        let text = |field| owner.map_or("", |owner| owner.text(field));
        let is_user = owner.is_some_and(|owner| owner.kind.name == USER.name);
        let (first_name, handle) = if is_user {
            (text("first_name"), text("handle"))
        } else {
            (text("name"), text("name"))
        };
        let role = match membership.reference("account_role_id") {
            Some(role) => self.role_name(role).await?,
            None => String::new(),
        };
        let field = |name| membership.fields.get(name).cloned().unwrap_or_default();
        let last_login = owner.and_then(|owner| owner.fields.get("last_login")).cloned();
        Ok(json!({
            "id": membership.id.to_string(),
            "created": membership.created.to_string(),
            "updated": membership.updated.to_string(),
            "account_id": membership.account.to_string(),
            "actor_id": text("actor_id"),
            "user_id": field("user_id"),
            "bot_id": field("bot_id"),
            "first_name": first_name,
            "last_name": text("last_name"),
            "handle": handle,
            "email": text("email"),
            "account_role_name": role,
            "account_role_id": field("account_role_id"),
            "last_login": last_login,
            "active": membership.lets_in(),
        }))
    }

    /// Somebody's teams in an account.
    async fn teams_of(&self, owner: &Record, account: Uuid) -> Result<Value, Problem> {
        let places = self.store.holders(TEAM_MEMBERSHIP.name, vec![owner.id]).await?;
        let ours = places.iter().filter(|place| place.account == account);
        let ids = ours.filter_map(|place| place.reference("team_id")).collect();
        let teams = self.store.records(ids).await?;
        let row = |team: &Record| json!({ "id": team.id.to_string(), "name": team.text("name") });
        Ok(teams.iter().map(row).collect::<Vec<_>>().into())
    }

    /// The membership of somebody the path names.
    pub(super) async fn membership_of(&self, call: &Call) -> Result<Reply, Problem> {
        let owner = call.part("user").or_else(|| call.part("bot")).ok_or(Problem::NotFound)?;
        let field = if call.part("user").is_some() { "user_id" } else { "bot_id" };
        let held = self.membership_in(owner, call.account()).await?;
        let held = held.filter(|held| held.reference(field).is_some()).ok_or(Problem::NotFound)?;
        let told = self.members(&[held], Form::Read).await?.pop().unwrap_or_default();
        Ok(reply(call, &told))
    }

    /// Somebody's membership in an account.
    pub(super) async fn membership_in(
        &self,
        owner: Uuid,
        account: Uuid,
    ) -> Result<Option<Record>, Problem> {
        let held = self.store.holders(ACCOUNT_MEMBERSHIP.name, vec![owner]).await?;
        Ok(held.into_iter().find(|held| held.account == account))
    }

    /// Lets members in, or keeps them out, all or none.
    pub(super) async fn set_active(&self, call: &Call, values: &Values) -> Result<Reply, Problem> {
        let ids = values.get("membership_ids").and_then(Value::as_array);
        let ids: Vec<Uuid> =
            ids.into_iter().flatten().filter_map(|id| is_id(id.as_str()?)).collect();
        let active = values.get("active").cloned().unwrap_or_default();
        let mut tries = self.tries(call.account());
        while tries.again().await {
            let mut deed = self.deed(call);
            let found = self.store.records(ids.clone()).await?;
            let ours = |record: &&Record| {
                record.kind.name == call.kind.name && record.account == call.account()
            };
            let members: Vec<Record> = found.iter().filter(ours).cloned().collect();
            if ids.iter().any(|id| members.iter().all(|member| member.id != *id)) {
                return Err(Problem::NotFound);
            }
            for member in &members {
                self.check_grant(call, member.text("account_role_id")).await?;
            }
            if active == Value::Bool(false) {
                self.keep_owner(&members, &mut deed).await?;
            }
            for mut member in members {
                let before = member.fields.clone();
                member.fields.insert("active".to_owned(), active.clone());
                deed.update(&before, member);
            }
            if deed.commit().await? {
                return Ok(reply(call, &Value::Null));
            }
        }
        Err(StoreError::Stale.into())
    }

    /// What else ends with a membership: its owner's places in teams and workspaces of the account.
    pub(super) async fn places(&self, membership: &Record) -> Result<Vec<Record>, Problem> {
        let owner = owner_of(membership).filter(|_| is_membership(membership));
        let Some(owner) = owner else { return Ok(Vec::new()) };
        let mut places = self.store.holders(TEAM_MEMBERSHIP.name, vec![owner]).await?;
        places.extend(self.store.holders(WORKSPACE_ACCESS.name, vec![owner]).await?);
        places.retain(|place| place.account == membership.account);
        Ok(places)
    }

    /// Lets a deed's events name the accounts and workspaces that records are in.
    pub(super) async fn name_places(
        &self,
        records: &[Record],
        deed: &mut Deed<'_>,
    ) -> Result<(), Problem> {
        let inside = records.iter().filter_map(|record| record.workspace);
        let mut ids: Vec<Uuid> =
            inside.chain(records.iter().map(|record| record.account)).collect();
        ids.sort_unstable();
        ids.dedup();
        let found = self.store.records(ids).await?;
        for place in found.iter().chain(records) {
            if [ACCOUNT.name, WORKSPACE.name].contains(&place.kind.name) {
                deed.know(place);
            }
        }
        Ok(())
    }

    /// The caller gives up their place in an account.
    pub(super) async fn leave_account(&self, call: &Call) -> Result<Reply, Problem> {
        let caller = call.caller.as_ref().ok_or(Problem::Unauthorized)?;
        let mut tries = self.tries(call.account());
        while tries.again().await {
            let mut deed = self.deed(call);
            let held = self.membership_in(caller.owner.id, call.account()).await?;
            let held = held.ok_or(Problem::NotFound)?;
            refuse_program(&held)?;
            self.keep_owner(std::slice::from_ref(&held), &mut deed).await?;
            let mut ending = self.places(&held).await?;
            ending.push(held.clone());
            self.name_places(&ending, &mut deed).await?;
            for record in ending {
                deed.delete(record);
            }
            self.move_home(&held, &mut deed).await?;
            if deed.commit().await? {
                note(call, &held);
                return Ok(reply(call, &Value::Null));
            }
        }
        Err(StoreError::Stale.into())
    }

    /// Whoever leaves the account they were made in belongs to another of theirs from now on, with their keys.
    pub(super) async fn move_home(
        &self,
        left: &Record,
        deed: &mut Deed<'_>,
    ) -> Result<(), Problem> {
        let Some(id) = left.reference("user_id").filter(|_| is_membership(left)) else {
            return Ok(());
        };
        let user = self.store.records(vec![id]).await?.pop();
        let user = user.filter(|user| user.account == left.account);
        let held = self.store.holders(ACCOUNT_MEMBERSHIP.name, vec![id]).await?;
        let other = held.iter().find(|other| other.id != left.id).map(|other| other.account);
        if let Some((user, home)) = user.zip(other) {
            let sessions = self.store.holders(SESSION.name, vec![id]).await?;
            let keys = self.keys_of(&user).await?.into_iter().chain(sessions);
            for mut record in keys.chain([user]) {
                record.account = home;
                deed.write(Write::Update(record));
            }
        }
        Ok(())
    }
}

/// Whose a membership is.
pub(super) fn owner_of(membership: &Record) -> Option<Uuid> {
    membership.reference("user_id").or_else(|| membership.reference("bot_id"))
}

fn is_membership(record: &Record) -> bool {
    record.kind.name == ACCOUNT_MEMBERSHIP.name
}

/// A service account belongs where it was made, for as long as it is there.
pub(super) fn refuse_program(membership: &Record) -> Result<(), Problem> {
    if membership.reference("bot_id").is_none() {
        return Ok(());
    }
    let says = "A service account's membership ends with it: end the service account";
    Err(Problem::Conflict(says.to_owned()))
}

/// Whether somebody, and no program, owns the account by this membership.
pub(super) fn is_owner(membership: &Record) -> bool {
    membership.reference("account_role_id") == Some(role::ACCOUNT_OWNER.id)
        && membership.reference("user_id").is_some()
        && membership.lets_in()
}
