//! Accounts: made by who owns one, told with what has no meaning here as a constant, ended with all that is in them.
//! In: calls about one. Out: its record, its settings, and where its people go.

use serde_json::{Value, json};

use super::deed::Deed;
use super::present::{PLAN_TIER, PLAN_TYPE, head, value};
use super::problem::Problem;
use super::{Api, Call, origin, settings};
use crate::catalogue::{
    self, ACCOUNT, ACCOUNT_MEMBERSHIP, ACCOUNT_SETTINGS, SESSION, USER, Values, role,
};
use crate::id;
use crate::store::{Batch, Record, StoreError, Write};

use super::change::ENDING_MAX;

/// Audit events have no term; clients want a number of days.
const AUDIT_DAYS: u64 = 36_500;
/// What clients may set and read back as it is.
const OWN_WORDS: [&str; 6] =
    ["name", "handle", "location", "link", "billing_email", "auth_expiration_seconds"];

impl Api {
    /// Gives who makes an account the place of its owner.
    pub(super) fn own(&self, call: &Call, account: &Record, deed: &mut Deed<'_>) {
        let Some(caller) = &call.caller else { return };
        let mut fields = ACCOUNT_MEMBERSHIP.defaults();
        let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        set("name", caller.owner.text("name").into());
        set("user_id", caller.owner.id.to_string().into());
        set("account_role_id", role::ACCOUNT_OWNER.id.to_string().into());
        let id = id::now(&self.clock);
        deed.insert(Record::new(id, &ACCOUNT_MEMBERSHIP, account.id, fields, deed.now));
    }

    /// Settings that came inside the account's own change.
    pub(super) async fn amend_inside(
        &self,
        call: &Call,
        values: &Values,
        deed: &mut Deed<'_>,
    ) -> Result<(), Problem> {
        let given = values
            .get("settings")
            .filter(|given| call.kind.name == ACCOUNT.name && !given.is_null());
        let verb = ACCOUNT_SETTINGS.verbs.iter().find(|verb| verb.name == "change");
        let Some((given, verb)) = given.zip(verb) else { return Ok(()) };
        let given =
            catalogue::check(&ACCOUNT_SETTINGS, verb, Some(given)).map_err(|mut faults| {
                for fault in &mut faults {
                    fault.at.insert(1, "settings".to_owned());
                }
                Problem::Invalid(faults)
            })?;
        let mut settings = self.only_of(&ACCOUNT_SETTINGS, call.account(), None).await?;
        let before = settings.fields.clone();
        settings.fields.extend(given);
        origin::vet(call, &settings)?;
        deed.update(&before, settings.clone());
        self.follow_settings(call, &before, &settings, deed).await
    }

    /// Before an account ends: whoever was made in it and belongs to another belongs there from now on. Told by no
    /// event, and right also when the account then stays.
    pub(super) async fn move_out(&self, account: &Record) -> Result<(), Problem> {
        if account.kind.name != ACCOUNT.name {
            return Ok(());
        }
        let Some(people) = self.store.within(&USER, account.id, ENDING_MAX).await? else {
            let says = format!("More than {ENDING_MAX} people: let some go first");
            return Err(Problem::Conflict(says));
        };
        let ids = people.iter().map(|user| user.id).collect();
        let held = self.store.holders(ACCOUNT_MEMBERSHIP.name, ids).await?;
        let mut writes = Vec::new();
        for user in people {
            let elsewhere = |place: &&Record| {
                place.reference("user_id") == Some(user.id) && place.account != account.id
            };
            let Some(home) = held.iter().find(elsewhere).map(|place| place.account) else {
                continue;
            };
            let sessions = self.store.holders(SESSION.name, vec![user.id]).await?;
            let keys = self.keys_of(&user).await?.into_iter().chain(sessions);
            for mut record in keys.chain([user]) {
                record.account = home;
                writes.push(Write::Update(record));
            }
        }
        match self.store.commit(Batch { writes, events: Vec::new() }).await {
            // Somebody else was faster; the account is begun to be ended anew.
            Ok(()) | Err(StoreError::Stale) => Ok(()),
            Err(fault) => Err(fault.into()),
        }
    }

    /// Accounts as clients read them.
    pub(super) async fn present_accounts(&self, records: &[Record]) -> Result<Vec<Value>, Problem> {
        let mut rows = Vec::with_capacity(records.len());
        for record in records {
            let settings = self.only_of(&ACCOUNT_SETTINGS, record.id, None).await?;
            rows.push(account(record, settings::show(&settings)));
        }
        Ok(rows)
    }
}

fn account(record: &Record, settings: Value) -> Value {
    let mut told = head(record);
    for name in OWN_WORDS {
        told.insert(name.to_owned(), value(record, name));
    }
    told.insert("settings".to_owned(), settings);
    let constants = json!({
        "image_location": null, "stripe_customer_id": null, "workos_organization_id": null,
        "status": "ACTIVE", "status_last_updated": null,
        "workos_connection_ids": [], "workos_directory_ids": [], "features": [],
        "plan_type": PLAN_TYPE, "plan_tier": PLAN_TIER, "self_serve": false,
        "scim_state": "DISABLED", "sso_state": "DISABLED",
        "run_retention_days": 0, "audit_log_retention_days": AUDIT_DAYS,
        "automations_limit": 0, "mex_work_pool_limit": 0,
        "work_pool_limit": null, "non_mex_work_pool_limit": null,
        "max_deployments_per_workspace": null,
    });
    if let Value::Object(constants) = constants {
        told.extend(constants);
    }
    told.into()
}
