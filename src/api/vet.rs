//! What a kind's own rules refuse, beyond what its row says. In: a record before and after a change. Out: the reason
//! why it is not made.

use super::deed::Deed;
use super::member::{is_owner, refuse_program};
use super::problem::Problem;
use super::role::texts;
use super::{Api, Call, automation, incident, origin, verification};
use crate::catalogue::{
    ACCOUNT, ACCOUNT_MEMBERSHIP, ACCOUNT_ROLE, ACCOUNT_SETTINGS, AUTOMATION, DESTINATION, INCIDENT,
    SERVICE_ACCOUNT, SUPPORT_ACCESS, USER, WEBHOOK, WORKSPACE, WORKSPACE_ROLE, role,
};
use crate::store::{Criterion, Query, Record, Write};

impl Api {
    /// Refuses a change that a rule of its kind forbids; `before` is what there is, `after` what there is to be.
    pub(super) async fn vet(
        &self,
        call: &Call,
        deed: &mut Deed<'_>,
        before: Option<&Record>,
        after: Option<&Record>,
    ) -> Result<(), Problem> {
        if before.is_some_and(|before| role::built_in(before.id).is_some()) {
            return Err(Problem::Conflict("Built-in roles cannot be changed".to_owned()));
        }
        if call.kind.name == ACCOUNT_ROLE.name {
            vet_role(call, before, after)?;
        }
        if call.kind.name == ACCOUNT_MEMBERSHIP.name {
            self.vet_membership(call, deed, before, after).await?;
        }
        if call.kind.name == SUPPORT_ACCESS.name {
            self.vet_support(after).await?;
        }
        if call.kind.name == WEBHOOK.name {
            self.vet_webhook(after).await?;
            verification::vet(before, after, &self.options.providers, self.options.means)?;
            verification::vet_networks(after)?;
            verification::vet_redaction(after)?;
            verification::vet_reply(after)?;
        }
        if let (true, Some(after)) = (call.kind.name == ACCOUNT_SETTINGS.name, after) {
            origin::vet(call, after)?;
        }
        if call.kind.name == WORKSPACE.name {
            self.vet_workspace(call, before, after).await?;
        }
        if call.kind.name == WORKSPACE_ROLE.name {
            self.vet_scopes(call, before, after).await?;
        }
        if call.kind.name == DESTINATION.name {
            self.vet_destination(call, before, after).await?;
        }
        if call.kind.name == AUTOMATION.name {
            automation::vet(after)?;
        }
        if call.kind.name == INCIDENT.name {
            incident::vet(after)?;
        }
        if let (true, Some(bot), None) = (call.kind.name == SERVICE_ACCOUNT.name, before, after) {
            self.check_rank(call, bot).await?;
        }
        if call.kind.name == USER.name && after.is_none() {
            self.vet_parting(before, deed).await?;
        }
        if call.kind.name == ACCOUNT.name && before.is_none() {
            let is_person = call.caller.as_ref().is_some_and(|caller| caller.is_user());
            if !is_person {
                let says = "An account is owned by a person: make it with a person's key";
                return Err(Problem::Conflict(says.to_owned()));
            }
        }
        Ok(())
    }

    /// Whoever ends leaves an owner in each account they belong to.
    async fn vet_parting(&self, user: Option<&Record>, deed: &mut Deed<'_>) -> Result<(), Problem> {
        let ids = user.iter().map(|user| user.id).collect();
        for membership in self.store.holders(ACCOUNT_MEMBERSHIP.name, ids).await? {
            self.keep_owner(&[membership], deed).await?;
        }
        Ok(())
    }

    /// Nobody gives, takes or ends a role that allows more than they may; the last owner stays.
    pub(super) async fn vet_membership(
        &self,
        call: &Call,
        deed: &mut Deed<'_>,
        before: Option<&Record>,
        after: Option<&Record>,
    ) -> Result<(), Problem> {
        for membership in [before, after].into_iter().flatten() {
            self.check_grant(call, membership.text("account_role_id")).await?;
        }
        if let (Some(before), None) = (before, after) {
            refuse_program(before)?;
        }
        match before {
            Some(before) if !after.is_some_and(is_owner) => {
                self.keep_owner(std::slice::from_ref(before), deed).await
            }
            _ => Ok(()),
        }
    }

    /// Refuses that memberships end, or are less from now on, when no owner would be left.
    pub(super) async fn keep_owner(
        &self,
        leaving: &[Record],
        deed: &mut Deed<'_>,
    ) -> Result<(), Problem> {
        let Some(account) = leaving.iter().find(|one| is_owner(one)).map(|one| one.account) else {
            return Ok(());
        };
        let owner = Criterion::any("account_role_id", [role::ACCOUNT_OWNER.id.to_string()]);
        let criteria = vec![owner, Criterion::any("active", ["1".to_owned()])];
        let query = Query { criteria, ..Query::new(&ACCOUNT_MEMBERSHIP, account, None) };
        let owners = self.store.list(query).await?;
        let remains =
            |owner: &Record| is_owner(owner) && leaving.iter().all(|one| one.id != owner.id);
        if !owners.iter().any(remains) {
            let says = "It is the account's last owner: make somebody else one first";
            return Err(Problem::Conflict(says.to_owned()));
        }
        // Two owners who leave at the same moment both change the account; the second looks again.
        let found = self.store.records(vec![account]).await?;
        for account in found {
            deed.write(Write::Update(account));
        }
        Ok(())
    }
}

/// Whoever makes, changes or ends a role has all that it allows; clients find a role by its name.
fn vet_role(call: &Call, before: Option<&Record>, after: Option<&Record>) -> Result<(), Problem> {
    let own = call.caller.as_ref().map(|caller| &caller.powers.account);
    let holds = |one: &String| own.is_some_and(|own| own.contains(one));
    let both = [before, after].into_iter().flatten();
    if !both.flat_map(|role| texts(role, "permissions")).all(|one| holds(&one)) {
        return Err(Problem::Forbidden);
    }
    let name = after.map(|role| role.text("name"));
    match role::ACCOUNT_ROLES.iter().find(|role| Some(role.name) == name) {
        Some(role) => Err(Problem::Conflict(format!("The role {} is built in", role.name))),
        None => Ok(()),
    }
}
