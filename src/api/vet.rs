//! What a kind's own rules refuse, beyond what its row says. In: a record before and after a change. Out: the reason
//! why it is not made.

use super::deed::Deed;
use super::problem::Problem;
use super::role::texts;
use super::{Api, Call, settings};
use crate::catalogue::{ACCOUNT_MEMBERSHIP, ACCOUNT_ROLE, ACCOUNT_SETTINGS, WEBHOOK, role};
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
        if call.kind.name == WEBHOOK.name {
            self.vet_webhook(after).await?;
        }
        if call.kind.name == ACCOUNT_SETTINGS.name {
            settings::vet(after)?;
        }
        Ok(())
    }

    /// Nobody gives, takes or ends a role that allows more than they may; the last owner stays.
    async fn vet_membership(
        &self,
        call: &Call,
        deed: &mut Deed<'_>,
        before: Option<&Record>,
        after: Option<&Record>,
    ) -> Result<(), Problem> {
        for membership in [before, after].into_iter().flatten() {
            self.check_grant(call, membership.text("account_role_id")).await?;
        }
        match before {
            Some(before) if !after.is_some_and(is_owner) => self.keep_owner(before, deed).await,
            _ => Ok(()),
        }
    }

    /// Refuses that a membership ends, or is less from now on, when it is the last owner's.
    pub(super) async fn keep_owner(
        &self,
        membership: &Record,
        deed: &mut Deed<'_>,
    ) -> Result<(), Problem> {
        if !is_owner(membership) {
            return Ok(());
        }
        let account = membership.account;
        let owner = Criterion::any("account_role_id", [role::ACCOUNT_OWNER.id.to_string()]);
        let criteria = vec![owner, Criterion::any("active", ["1".to_owned()])];
        let query = Query { criteria, ..Query::new(&ACCOUNT_MEMBERSHIP, account, None) };
        let owners = self.store.list(query).await?;
        if !owners.iter().any(|other| other.id != membership.id && is_owner(other)) {
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

/// Whether somebody, and no program, owns the account by this membership.
fn is_owner(membership: &Record) -> bool {
    membership.reference("account_role_id") == Some(role::ACCOUNT_OWNER.id)
        && membership.reference("user_id").is_some()
        && membership.fields.get("active") != Some(&false.into())
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
