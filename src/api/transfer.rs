//! Workspaces that move to another account, with all that is in them. In: a workspace, and an account in which the
//! caller may make some. Out: the move, told in both accounts, or all that stands in its way. Places of those who do
//! not belong to the other account end; whatever else refers to what stays behind is in the way.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::change::{ENDING_MAX, note};
use super::problem::Problem;
use super::question::reply;
use super::{Api, Call};
use crate::accept::Reply;
use crate::catalogue::{
    ACCOUNT, Beside, Fault, Permission, Powers, Shape, USER, Values, WORKSPACE, WORKSPACE_ACCESS,
    WORKSPACE_INVITATION, is_id, role,
};
use crate::id::Uuid;
use crate::store::{Criterion, Query, Record, StoreError, Write};

/// Most problems that are told of one sort.
const TOLD_MAX: usize = 50;

/// What moves where.
struct Move {
    workspace: Record,
    to: Record,
    /// What the caller may do there, and in the workspace.
    powers: Powers,
    handle: String,
    /// All that is in the workspace and goes with it.
    goes: Vec<Record>,
    /// Places that end.
    ends: Vec<Record>,
}

/// What is in the way, by what it concerns.
#[derive(Default)]
struct Problems(Values);

impl Problems {
    fn add(&mut self, concerns: &str, says: String) {
        let list = self.0.entry(concerns).or_insert_with(|| json!([]));
        if let Some(list) = list.as_array_mut().filter(|list| list.len() < TOLD_MAX) {
            list.push(says.into());
        }
    }

    /// All of them as a sentence.
    fn sentence(&self) -> String {
        let all = self.0.values().filter_map(Value::as_array).flatten();
        all.filter_map(Value::as_str).collect::<Vec<_>>().join("; ")
    }
}

impl Api {
    pub(super) async fn validate_transfer(
        &self,
        call: &Call,
        values: &Values,
    ) -> Result<Reply, Problem> {
        let planned = self.plan(call, values).await?;
        let problems = self.obstacles(&planned).await?;
        Ok(reply(call, &problems.0.into()))
    }

    pub(super) async fn transfer(&self, call: &Call, values: &Values) -> Result<Reply, Problem> {
        let mut tries = self.tries(call.account());
        while tries.again().await {
            let planned = self.plan(call, values).await?;
            let problems = self.obstacles(&planned).await?;
            if !problems.0.is_empty() {
                return Err(Problem::Conflict(problems.sentence()));
            }
            let workspace = planned.workspace.clone();
            if self.carry(call, planned).await? {
                note(call, &workspace);
                return Ok(reply(call, &Value::Null));
            }
        }
        Err(StoreError::Stale.into())
    }

    /// What is to move, and where; a problem when the caller may not.
    async fn plan(&self, call: &Call, values: &Values) -> Result<Move, Problem> {
        let workspace = self.record(call).await?;
        let text = |name: &str| values.get(name).and_then(Value::as_str);
        let to = text("to_account_id").and_then(is_id).ok_or(Problem::NotFound)?;
        let caller = call.caller.as_ref().ok_or(Problem::Unauthorized)?;
        let found = self.store.records(vec![to]).await?.pop();
        let found = found.filter(|to| to.kind.name == ACCOUNT.name);
        let held = self.membership_in(caller.owner.id, to).await?;
        let (Some(to), Some(held)) = (found, held) else {
            let says = "Value error, no account of that id that the caller belongs to";
            let at = ["body", "to_account_id"];
            return Err(Problem::Invalid(vec![Fault::new("value_error", &at, says)]));
        };
        self.hold_address(to.id, caller.peer).await?;
        let powers = self.powers(&caller.owner, &held, None).await?;
        let may = powers.allow(Permission::Account("create:workspace"));
        if !may || held.fields.get("active") == Some(&false.into()) {
            return Err(Problem::Forbidden);
        }
        if to.id == workspace.account {
            return Err(Problem::Conflict("The workspace is in that account".to_owned()));
        }
        let Some(mut inside) = self.store.ending(workspace.clone(), ENDING_MAX).await? else {
            let says = format!("More than {ENDING_MAX} records are in it: end some first");
            return Err(Problem::Conflict(says));
        };
        inside.retain(|record| record.workspace == Some(workspace.id));
        let (mut goes, mut ends) = (Vec::new(), Vec::new());
        for record in inside {
            let is_access = record.kind.name == WORKSPACE_ACCESS.name;
            // Whoever was asked in was asked by people of the account it leaves.
            let ends_here = record.kind.name == WORKSPACE_INVITATION.name
                || is_access && !self.belongs(&record, to.id).await?;
            if ends_here {
                ends.push(record);
            } else {
                goes.push(record);
            }
        }
        let handle = text("new_handle").unwrap_or_else(|| workspace.text("handle")).to_owned();
        Ok(Move { workspace, to, powers, handle, goes, ends })
    }

    /// Whether whoever has a place belongs to an account: only people belong to more than one.
    async fn belongs(&self, place: &Record, account: Uuid) -> Result<bool, Problem> {
        match place.reference("user_id") {
            Some(user) => Ok(self.membership_in(user, account).await?.is_some()),
            None => Ok(false),
        }
    }

    /// All that is in the way of a move.
    async fn obstacles(&self, planned: &Move) -> Result<Problems, Problem> {
        let mut problems = Problems::default();
        let Move { workspace, to, handle, goes, .. } = planned;
        let criteria = vec![Criterion::any("handle", [handle.clone()])];
        let query = Query { criteria, limit: 1, ..Query::new(&WORKSPACE, to.id, None) };
        if !self.store.list(query).await?.is_empty() {
            problems
                .add("handle", format!("Another workspace of the account has the handle {handle}"));
        }
        let moving: HashSet<Uuid> = goes.iter().chain([workspace]).map(|one| one.id).collect();
        let references = |record: &Record| {
            let fields = record.kind.fields.iter();
            let fields = fields.filter(|field| matches!(field.shape, Shape::Reference(_)));
            let held = fields.filter_map(|field| Some((field.name, record.reference(field.name)?)));
            held.filter(|(_, id)| !moving.contains(id) && role::built_in(*id).is_none())
                .collect::<Vec<_>>()
        };
        let records = || goes.iter().chain([workspace]);
        let outside: HashSet<Uuid> =
            records().flat_map(references).map(|(_, outside)| outside).collect();
        let found = self.store.records(outside.into_iter().collect()).await?;
        for record in records() {
            for (field, id) in references(record) {
                // People are not left behind: they belong to any number of accounts.
                let left =
                    found.iter().find(|other| other.id == id && other.kind.name != USER.name);
                if let Some(other) = left {
                    let (kind, name) = (record.kind.name, record.text("name"));
                    let (what, which) = (other.kind.name, other.text("name"));
                    let says =
                        format!("The {kind} {name} refers to the {what} {which}, which stays");
                    problems.add(field, says);
                }
            }
        }
        if self.settings(to.id).await?.flag("enforce_webhook_authentication") {
            let open = |hook: &&Record| hook.flag("enabled") && hook.kind.field("slug").is_some();
            for hook in goes.iter().filter(open) {
                if hook.reference("service_account_id").is_none() {
                    let name = hook.text("name");
                    let says = format!(
                        "The webhook {name} has no service account, which the account demands"
                    );
                    problems.add("service_account_id", says);
                }
            }
        }
        Ok(problems)
    }

    /// Moves it all; `false` when somebody changed some of it meanwhile.
    async fn carry(&self, call: &Call, planned: Move) -> Result<bool, Problem> {
        let Move { workspace, to, powers, handle, goes, ends } = planned;
        let mut deed = self.deed(call);
        deed.know(&workspace);
        let tells = json!({
            "from_account_id": workspace.account.to_string(), "to_account_id": to.id.to_string(),
            "handle": workspace.text("handle"), "new_handle": handle,
        });
        let beside = |role, id| Beside { role, kind: ACCOUNT.name, id };
        for place in ends {
            deed.delete(place);
        }
        deed.tell(&workspace, &[beside("target-account", to.id)], "transferred-out", &tells);
        deed.enter(to.party());
        let from = workspace.account;
        let mut moved = workspace;
        moved.account = to.id;
        moved.updated = moved.updated.max(deed.now);
        moved.fields.insert("handle".to_owned(), handle.into());
        deed.write(Write::Update(moved.clone()));
        deed.know(&moved);
        deed.tell(&moved, &[beside("source-account", from)], "transferred-in", &tells);
        let caller = call.caller.as_ref().ok_or(Problem::Unauthorized)?;
        let is_own = |place: &Record| {
            place.kind.name == WORKSPACE_ACCESS.name
                && place.reference("user_id") == Some(caller.owner.id)
        };
        let stays_in = powers.bypass() || goes.iter().any(is_own);
        for mut record in goes {
            record.account = to.id;
            deed.write(Write::Update(record));
        }
        if !stays_in {
            let owner = role::WORKSPACE_OWNER.id;
            deed.insert(self.access_in(moved.id, to.id, &caller.owner, owner, deed.now));
        }
        deed.commit().await
    }
}
