//! What somebody may do: roles of accounts and workspaces, by membership, access and team. In: who they are, and where.
//! Out: their powers. Nobody grants what they do not have themselves.

use serde_json::Value;

use super::problem::Problem;
use super::{Api, Call};
use crate::catalogue::{
    ACCOUNT_ROLE, Fault, Powers, TEAM_MEMBERSHIP, WORKSPACE_ACCESS, WORKSPACE_ROLE, is_id, role,
};
use crate::id::Uuid;
use crate::store::Record;

impl Api {
    /// What a role of an account allows; nothing when there is no such role.
    pub(super) async fn permissions(&self, role: Uuid) -> Result<Vec<String>, Problem> {
        if let Some(role) = role::built_in(role) {
            return Ok(if role.kind() == ACCOUNT_ROLE.name { role.powers() } else { Vec::new() });
        }
        let found = self.store.records(vec![role]).await?;
        Ok(found.iter().flat_map(|role| texts(role, "permissions")).collect())
    }

    /// What a role of a workspace allows, with what it inherits.
    pub(super) async fn scopes(&self, role: Uuid) -> Result<Vec<String>, Problem> {
        let mut scopes = Vec::new();
        let mut next = Some(role);
        // One that inherits from itself by a detour ends too.
        for _ in 0..INHERITED_MAX {
            let Some(role) = next else { break };
            if let Some(role) = role::built_in(role) {
                scopes.extend(role.powers());
                break;
            }
            let found = self.store.records(vec![role]).await?.pop();
            let found = found.filter(|role| role.kind.name == WORKSPACE_ROLE.name);
            scopes.extend(found.iter().flat_map(|role| texts(role, "scopes")));
            next = found.and_then(|role| role.reference("inherited_role_id"));
        }
        Ok(scopes)
    }

    /// What somebody may do in an account, and in a workspace of it: by their own places there, by those of their
    /// teams, and by the role that every member of the account has in it.
    pub(super) async fn powers(
        &self,
        owner: &Record,
        membership: &Record,
        workspace: Option<&Record>,
    ) -> Result<Powers, Problem> {
        let account = match membership.reference("account_role_id") {
            Some(role) => self.permissions(role).await?,
            None => Vec::new(),
        };
        let mut powers = Powers { account, workspace: None };
        let Some(workspace) = workspace else { return Ok(powers) };
        let places = self.accesses(owner).await?;
        let places = places.iter().filter(|access| access.workspace == Some(workspace.id));
        let roles = places.filter_map(|access| access.reference("workspace_role_id"));
        for role in roles.chain(workspace.reference(DEFAULT_ROLE)) {
            let held = powers.workspace.get_or_insert_default();
            held.extend(self.scopes(role).await?);
        }
        Ok(powers)
    }

    /// Somebody's places in workspaces, those by their teams among them.
    pub(super) async fn accesses(&self, owner: &Record) -> Result<Vec<Record>, Problem> {
        let teams = self.store.holders(TEAM_MEMBERSHIP.name, vec![owner.id]).await?;
        let teams = teams.iter().filter_map(|place| place.reference("team_id"));
        let holders = [owner.id].into_iter().chain(teams).collect();
        Ok(self.store.holders(WORKSPACE_ACCESS.name, holders).await?)
    }

    /// Refuses to give or take a role of the account that allows what the caller may not do.
    pub(super) async fn check_grant(&self, call: &Call, role: &str) -> Result<(), Problem> {
        let fault = || {
            let says = "Value error, nothing of that id belongs to the account";
            Problem::Invalid(vec![Fault::new("value_error", &["body", "account_role_id"], says)])
        };
        let id = is_id(role).ok_or_else(fault)?;
        let own = call.caller.as_ref().map(|caller| &caller.powers.account);
        let wanted = self.permissions(id).await?;
        within(wanted, |one| own.is_some_and(|own| own.contains(one)))
    }

    /// Refuses to rule over somebody whose role in the account allows more than the caller may.
    pub(super) async fn check_rank(&self, call: &Call, owner: &Record) -> Result<(), Problem> {
        match self.membership_in(owner.id, call.account()).await? {
            Some(held) => self.check_grant(call, held.text("account_role_id")).await,
            None => Ok(()),
        }
    }

    /// Refuses to hand the caller a service account's key when it opens what they may not do themselves: in the
    /// account, or in any workspace that it may enter.
    pub(super) async fn check_reach(&self, call: &Call, bot: &Record) -> Result<(), Problem> {
        let caller = call.caller.as_ref().ok_or(Problem::Unauthorized)?;
        if caller.owner.id == bot.id {
            return Ok(());
        }
        self.check_rank(call, bot).await?;
        if caller.powers.bypass() {
            return Ok(());
        }
        let own = self.membership_in(caller.owner.id, call.account()).await?;
        let own = own.ok_or(Problem::Forbidden)?;
        for place in self.accesses(bot).await? {
            let Some(role) = place.reference("workspace_role_id") else { continue };
            let workspace = self.store.records(place.workspace.into_iter().collect()).await?.pop();
            let powers = self.powers(&caller.owner, &own, workspace.as_ref()).await?;
            within(self.scopes(role).await?, |scope| powers.include(scope))?;
        }
        Ok(())
    }

    /// Refuses to give or take a role of a workspace that allows what the caller may not do there.
    pub(super) async fn check_scopes(&self, call: &Call, role: Uuid) -> Result<(), Problem> {
        let wanted = self.scopes(role).await?;
        let powers = call.caller.as_ref().map(|caller| &caller.powers);
        within(wanted, |one| powers.is_some_and(|powers| powers.include(one)))
    }

    /// Holds that a role is written in scopes, has no built-in role's name, and inherits from something else. Whoever
    /// has not every scope anyway may only take from a role: others hold it, perhaps they themselves.
    pub(super) async fn vet_scopes(
        &self,
        call: &Call,
        before: Option<&Record>,
        after: Option<&Record>,
    ) -> Result<(), Problem> {
        let Some(after) = after else { return Ok(()) };
        let fault = |field, says: &str| {
            let says = format!("Value error, {says}");
            Err(Problem::Invalid(vec![Fault::new("value_error", &["body", field], says)]))
        };
        let own = texts(after, "scopes");
        if !own.iter().all(|scope| role::is_scope_like(scope)) {
            return fault("scopes", "a scope is a verb and what it is over, as in see_webhooks");
        }
        if let Some(role) =
            role::WORKSPACE_ROLES.iter().find(|role| role.name == after.text("name"))
        {
            return Err(Problem::Conflict(format!("The role {} is built in", role.name)));
        }
        let mut next = after.reference("inherited_role_id");
        for depth in 1.. {
            let Some(role) = next else { break };
            if role == after.id || depth == INHERITED_MAX {
                let says = format!("a role inherits from at most {INHERITED_MAX} others");
                return fault("inherited_role_id", &format!("{says}, never from itself"));
            }
            let found = self.store.records(vec![role]).await?.pop();
            next = found.and_then(|role| role.reference("inherited_role_id"));
        }
        let bypasses = call.caller.as_ref().is_some_and(|caller| caller.powers.bypass());
        match before {
            Some(before) if !bypasses => {
                let (had, has) = (self.written(before).await?, self.written(after).await?);
                let covered = |scope: &String| had.iter().any(|held| role::includes(held, scope));
                if has.iter().all(covered) { Ok(()) } else { Err(Problem::Forbidden) }
            }
            _ => Ok(()),
        }
    }

    /// All that a role of a workspace allows as it is written.
    async fn written(&self, role: &Record) -> Result<Vec<String>, Problem> {
        let mut scopes = texts(role, "scopes");
        if let Some(inherited) = role.reference("inherited_role_id") {
            scopes.extend(self.scopes(inherited).await?);
        }
        Ok(scopes)
    }

    /// The name of a role.
    pub(super) async fn role_name(&self, role: Uuid) -> Result<String, Problem> {
        if let Some(role) = role::built_in(role) {
            return Ok(role.name.to_owned());
        }
        let found = self.store.records(vec![role]).await?;
        Ok(found.first().map(|role| role.text("name").to_owned()).unwrap_or_default())
    }
}

/// Refuses what somebody does not hold, and says which it is.
fn within(wanted: Vec<String>, holds: impl Fn(&String) -> bool) -> Result<(), Problem> {
    match wanted.into_iter().find(|one| !holds(one)) {
        None => Ok(()),
        Some(power) => Err(Problem::Above(power)),
    }
}

/// The field of a workspace that names the role of every member of its account.
pub(super) const DEFAULT_ROLE: &str = "default_workspace_role_id";
/// Most roles that one inherits from, itself among them.
const INHERITED_MAX: usize = 8;

/// The texts a field holds.
pub(super) fn texts(record: &Record, field: &str) -> Vec<String> {
    let list = record.fields.get(field).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
