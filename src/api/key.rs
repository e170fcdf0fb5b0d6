//! Keys of service accounts. In: their owner, and how long keys are to live. Out: key records, their text for the one
//! reply that tells it, and the events of a rotation.

use serde_json::{Value, json};

use super::change::outgoing;
use super::present;
use super::problem::Problem;
use super::{Api, Call};
use crate::catalogue::{self, API_KEY, SERVICE_ACCOUNT, Subject, Values};
use crate::clock::Time;
use crate::id::{self, Secret};
use crate::store::{Batch, Hidden, KeptKey, Record, Write};
use crate::verify::key;

impl Api {
    /// A fresh key of a service account; it lives until `expiration`, or for ever when that is null.
    pub(super) fn mint_key(
        &self,
        owner: &Record,
        expiration: Value,
        now: Time,
    ) -> (Record, Secret) {
        let (secret, lookup, digest) = key::mint(&self.clock, &key::Kind::Service);
        let mut fields = Values::new();
        fields.insert("name".to_owned(), owner.text("name").into());
        fields.insert("expiration".to_owned(), expiration);
        fields.insert("owner_id".to_owned(), owner.id.to_string().into());
        fields.insert("masked_key".to_owned(), key::mask(&secret).into());
        let mut record = Record::new(id::now(&self.clock), &API_KEY, owner.account, fields, now);
        record.hidden = Hidden::Key(KeptKey { lookup, digest });
        (record, secret)
    }

    /// The keys of a service account, the newest last; none for any other record.
    pub(super) async fn keys_of(&self, record: &Record) -> Result<Vec<Record>, Problem> {
        if record.kind.name != SERVICE_ACCOUNT.name {
            return Ok(Vec::new());
        }
        Ok(self.store.holders(API_KEY.name, vec![record.id]).await?)
    }

    /// A new key for a service account. The one before lives on for as long as was asked, the others as before; when
    /// nothing was asked, all of them end at once. Those whose end has come are cleared away.
    pub(super) async fn rotate_key(
        &self,
        call: &Call,
        owner: &Record,
        values: &Values,
        now: Time,
    ) -> Result<(Batch, Value), Problem> {
        let expiration = values.get("api_key_expiration").cloned().unwrap_or_default();
        let overlap = values.get("old_key_expires_in_seconds").and_then(Value::as_u64).unwrap_or(0);
        let ends = now.plus_seconds(i64::try_from(overlap).unwrap_or(0));
        let mut old_key_expires_at = now;
        let mut writes = vec![Write::Update(owner.clone())];
        let keys = self.keys_of(owner).await?;
        let newest = keys.last().map(|key| key.id);
        for mut key in keys {
            let is_newest = Some(key.id) == newest;
            let own_end = key.instant("expiration");
            if overlap == 0 || own_end.is_some_and(|end| end <= now) {
                writes.push(Write::Delete(key));
            } else if is_newest {
                let end = own_end.map_or(ends, |end| end.min(ends));
                old_key_expires_at = end;
                key.fields.insert("expiration".to_owned(), end.to_string().into());
                key.updated = now;
                writes.push(Write::Update(key));
            }
        }
        let (key, secret) = self.mint_key(owner, expiration.clone(), now);
        let tells = json!({
            "expiration": expiration, "old_key_expires_at": old_key_expires_at.to_string(),
        });
        let event =
            catalogue::rotated(&call.scene, subject(&key), None, &tells, now, self.mint(now));
        let told = present::service_account(owner, Some(&key), Some(&secret));
        writes.push(Write::Insert(key));
        Ok((Batch { writes, events: vec![outgoing(call, event, now)] }, told))
    }
}

/// A key as its events name it, with its owner.
pub(super) fn subject(key: &Record) -> Subject<'_> {
    let beside = key.reference("owner_id").map(|owner| (SERVICE_ACCOUNT.name, owner));
    Subject { kind: &API_KEY, id: key.id, fields: &key.fields, beside }
}
