//! Places in workspaces: who may come in, and as what. In: people, service accounts and teams of the account, and
//! roles. Out: one place for each of them in each workspace, however often it is given. Nobody gives what they lack.

use serde_json::Value;

use super::deed::Deed;
use super::problem::Problem;
use super::role::DEFAULT_ROLE;
use super::{Api, Call};
use crate::catalogue::{BYPASS, SERVICE_ACCOUNT, USER, Values, WORKSPACE_ACCESS, role};
use crate::clock::Time;
use crate::id::{self, Uuid};
use crate::store::Record;

impl Api {
    /// Gives who makes a workspace a place in it, unless they may enter every one.
    pub(super) fn settle_in(&self, call: &Call, workspace: &Record, deed: &mut Deed<'_>) {
        let Some(caller) = &call.caller else { return };
        if !caller.powers.account.iter().any(|held| held == BYPASS) {
            let owner = role::WORKSPACE_OWNER.id;
            deed.insert(self.access(workspace, &caller.owner, owner, deed.now));
        }
    }

    /// Whoever says what every member of the account is to have in a workspace has it too.
    pub(super) async fn vet_workspace(
        &self,
        call: &Call,
        before: Option<&Record>,
        after: Option<&Record>,
    ) -> Result<(), Problem> {
        let role = |workspace: &Record| workspace.reference(DEFAULT_ROLE);
        match after.and_then(role).filter(|wanted| before.and_then(role) != Some(*wanted)) {
            Some(wanted) => self.check_scopes(call, wanted).await,
            None => Ok(()),
        }
    }

    /// A place for somebody in a workspace.
    pub(super) fn access(
        &self,
        workspace: &Record,
        grantee: &Record,
        role: Uuid,
        now: Time,
    ) -> Record {
        let mut fields = Values::new();
        let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        set("name", grantee.text("name").into());
        // Held to be the only one, so that two who give at the same moment give one place.
        set("place", format!("{} {}", workspace.id, grantee.id).into());
        for field in ["user_id", "bot_id", "team_id"] {
            set(field, Value::Null);
        }
        set(holder(grantee), grantee.id.to_string().into());
        set("workspace_role_id", role.to_string().into());
        let id = id::now(&self.clock);
        let mut record = Record::new(id, &WORKSPACE_ACCESS, workspace.account, fields, now);
        record.workspace = Some(workspace.id);
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
