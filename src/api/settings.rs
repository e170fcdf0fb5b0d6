//! An account's settings, and what they do beyond being kept. In: settings before and after a change. Out: the reason
//! why it is refused, or what changes with it.

use serde_json::{Value, json};

use super::change::ENDING_MAX;
use super::deed::Deed;
use super::problem::Problem;
use super::question::reply;
use super::role::texts;
use super::{Api, Call};
use crate::accept::Reply;
use crate::catalogue::{self, ACCOUNT_SETTINGS, Fault, Source, Values, WEBHOOK};
use crate::id::Uuid;
use crate::store::Record;

/// While it is on, a webhook without a service account cannot be enabled.
const ENFORCE: &str = "enforce_webhook_authentication";

impl Api {
    pub(super) async fn settings(&self, account: Uuid) -> Result<Record, Problem> {
        self.only_of(&ACCOUNT_SETTINGS, account, None).await
    }

    /// The domains of an account, each with an id that stays while it is there.
    pub(super) async fn domains(&self, call: &Call) -> Result<Reply, Problem> {
        let record = self.record(call).await?;
        let one = |name: String| {
            json!({
                "id": catalogue::derived(record.id, &name).to_string(),
                "created": record.created.to_string(),
                "updated": record.updated.to_string(),
                "account_id": record.account.to_string(),
                "name": name,
            })
        };
        let told: Value = texts(&record, "domain_names").into_iter().map(one).collect();
        Ok(reply(call, &told))
    }

    /// Refuses a webhook that anybody may call, where the account demands a service account.
    pub(super) async fn vet_webhook(&self, after: Option<&Record>) -> Result<(), Problem> {
        let Some(hook) = after.filter(|hook| is_open(hook)) else { return Ok(()) };
        if !self.settings(hook.account).await?.flag(ENFORCE) {
            return Ok(());
        }
        let says = "Value error, the account demands that an enabled webhook has a service account";
        Err(Problem::Invalid(vec![Fault::new(
            "value_error",
            &["body", "service_account_id"],
            says,
        )]))
    }

    /// Disables the webhooks that anybody may call, when their account begins to demand service accounts.
    pub(super) async fn follow_settings(
        &self,
        call: &Call,
        before: &Values,
        after: &Record,
        deed: &mut Deed<'_>,
    ) -> Result<(), Problem> {
        if before.get(ENFORCE) == Some(&true.into()) || !after.flag(ENFORCE) {
            return Ok(());
        }
        let Some(hooks) = self.store.within(&WEBHOOK, call.account(), ENDING_MAX).await? else {
            let says = format!("More than {ENDING_MAX} webhooks: disable them first");
            return Err(Problem::Conflict(says));
        };
        let open: Vec<Record> = hooks.into_iter().filter(is_open).collect();
        let places = open.iter().filter_map(|hook| hook.workspace).collect();
        self.store.records(places).await?.iter().for_each(|place| deed.know(place));
        for mut hook in open {
            let before = hook.fields.clone();
            hook.fields.insert("enabled".to_owned(), false.into());
            deed.update(&before, hook);
        }
        Ok(())
    }
}

fn is_open(hook: &Record) -> bool {
    hook.flag("enabled") && hook.reference("service_account_id").is_none()
}

/// Settings as clients read them: one flat object.
pub(super) fn show(settings: &Record) -> Value {
    let fields = settings.kind.fields.iter().filter(|field| field.source == Source::Given);
    let told = fields.map(|field| {
        let value = settings.fields.get(field.name).cloned();
        // Settings that are older than one of them have its default.
        let value = value.or_else(|| settings.kind.defaults().remove(field.name));
        (field.name.to_owned(), value.unwrap_or_default())
    });
    let mut told: Values = told.collect();
    told.insert("enabled_feature_flags".to_owned(), json!([]));
    told.into()
}
