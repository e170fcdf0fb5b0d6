//! What a caller may do, and where: the questions clients ask of themselves. In: a place, or a power. Out: lists, yes
//! or no. The one thing that changes is that the caller gives up their own place in a workspace (contract 8.2).

use serde_json::Value;

use super::actor::Caller;
use super::change::note;
use super::problem::Problem;
use super::question::reply;
use super::{Api, Call, text};
use crate::accept::Reply;
use crate::catalogue::{Fault, WORKSPACE_ACCESS, role};
use crate::request::Arrival;
use crate::store::StoreError;

/// What a query asks about; without it there is no question.
pub(super) fn asked(query: &str, name: &str) -> Result<String, Problem> {
    text::find(query, name).filter(|asked| !asked.is_empty()).ok_or_else(|| {
        Problem::Invalid(vec![Fault::new("missing", &["query", name], "Field required")])
    })
}

impl Api {
    /// Tells the caller's permissions in an account, or their scopes in a workspace, each that others include too.
    pub(super) fn powers_told(call: &Call) -> Result<Reply, Problem> {
        let powers = &call.caller.as_ref().ok_or(Problem::Unauthorized)?.powers;
        let mut told = powers.account.clone();
        if call.workspace().is_some() {
            let known = role::SCOPES.iter().flat_map(role::Group::scopes);
            told = known.filter(|scope| powers.include(scope)).map(str::to_owned).collect();
            // Roles may hold scopes of parts of the product that are not here.
            told.extend(powers.workspace.iter().flatten().cloned());
        }
        told.sort_unstable();
        told.dedup();
        Ok(reply(call, &told.into()))
    }

    /// Tells whether a power is among them.
    pub(super) fn has_power(
        call: &Call,
        name: &'static str,
        arrival: &Arrival,
    ) -> Result<Reply, Problem> {
        let powers = &call.caller.as_ref().ok_or(Problem::Unauthorized)?.powers;
        let asked = asked(arrival.target.query().unwrap_or_default(), name)?;
        let holds = if call.workspace().is_some() {
            role::is_scope_like(&asked) && powers.include(&asked)
        } else {
            powers.account.contains(&asked)
        };
        Ok(reply(call, &holds.into()))
    }

    /// The accounts in which somebody has a permission.
    pub(super) async fn accounts_with(
        &self,
        caller: &Caller,
        permission: &str,
    ) -> Result<Value, Problem> {
        let mut ids = Vec::new();
        for (membership, account) in self.memberships(caller).await? {
            let powers = self.powers(&caller.owner, &membership, None).await?;
            if membership.lets_in() && powers.account.iter().any(|held| held == permission) {
                ids.push(account.id.to_string());
            }
        }
        Ok(ids.into())
    }

    /// The caller gives up their own place in a workspace; what their role in the account or a team lets them do there
    /// stays.
    pub(super) async fn leave_workspace(&self, call: &Call) -> Result<Reply, Problem> {
        let caller = call.caller.as_ref().ok_or(Problem::Unauthorized)?;
        let mut tries = self.tries(call.account());
        while tries.again().await {
            let held = self.store.holders(WORKSPACE_ACCESS.name, vec![caller.owner.id]).await?;
            let held = held.into_iter().find(|place| place.workspace == call.workspace());
            let held = held.ok_or(Problem::NotFound)?;
            let mut deed = self.deed(call);
            deed.delete(held.clone());
            if deed.commit().await? {
                note(call, &held);
                return Ok(reply(call, &Value::Null));
            }
        }
        Err(StoreError::Stale.into())
    }
}
