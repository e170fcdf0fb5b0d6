//! Secrets that a provider brings in its first request to a webhook that waits for one. In: a webhook and a secret.
//! Out: the same webhook with it, and an audit event that does not tell it; or that it waits for none. The first one
//! counts: whoever comes later changes nothing.

use serde_json::{Value, json};

use super::problem::Problem;
use super::{Api, verification};
use crate::catalogue::{Actor, WEBHOOK};
use crate::id::{Secret, Uuid};
use crate::store::{StoreError, VERIFICATION};
use crate::verify::signature::Means;

impl Api {
    /// Keeps the secret that a webhook's provider brought; `false`: it has one, or waits for none any more.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is kept then.
    pub async fn enrol(&self, webhook: Uuid, secret: &Secret) -> Result<bool, StoreError> {
        let Some(found) = self.store.records(vec![webhook]).await?.pop() else { return Ok(false) };
        let mut tries = self.tries(found.account);
        while tries.again().await {
            let Some(standing) = self.store.records(vec![webhook]).await?.pop() else { break };
            let now = self.clock.now();
            let waits = standing.kind.name == WEBHOOK.name
                && standing.verification().is_some_and(|said| {
                    said.secrets.is_empty() && said.enrol.is_some_and(|until| now < until)
                });
            let Some(Value::Object(mut said)) =
                standing.fields.get(VERIFICATION).filter(|_| waits).cloned()
            else {
                return Ok(false);
            };
            said.remove("enrol");
            said.insert("secrets".to_owned(), json!([secret.expose()]));
            let mut record = standing.clone();
            record.fields.insert(VERIFICATION.to_owned(), said.into());
            verification::complete(Some(&standing), &mut record, now, &self.clock);
            let providers = &self.options.providers;
            let vetted = verification::vet(Some(&standing), Some(&record), providers, Means::ALL);
            if vetted.is_err() {
                return Ok(false);
            }
            let places = vec![standing.account, standing.workspace.unwrap_or_default()];
            let places = self.store.records(places).await?;
            let Some(account) = places.iter().find(|place| place.id == standing.account) else {
                return Ok(false);
            };
            let mut deed = self.deed_of(Actor::system(), account.party());
            for place in &places {
                deed.know(place);
            }
            deed.update(&standing.fields, record);
            match deed.commit().await {
                Ok(true) => {
                    tracing::info!(%webhook, "keeps the secret that its provider brought");
                    return Ok(true);
                }
                Ok(false) => {}
                Err(Problem::Store(fault)) => return Err(fault),
                Err(_) => return Ok(false),
            }
        }
        Err(StoreError::Stale)
    }
}
