//! Keys, and the service accounts that hold them. In: their owner, and how long keys are to live. Out: key records, and
//! their text for the one reply that tells it.

use serde_json::{Value, json};

use super::deed::Deed;
use super::problem::Problem;
use super::question::reply;
use super::{Api, Call, incident, present};
use crate::accept::Reply;
use crate::catalogue::{
    ACCOUNT, ACCOUNT_MEMBERSHIP, API_KEY, Fault, INCIDENT, SERVICE_ACCOUNT, Values, WORKSPACE, role,
};
use crate::clock::Time;
use crate::id::{self, Secret};
use crate::store::{Hidden, KeptKey, Record, Write};
use crate::verify::key;

/// A key that was made just now, with the text that is told once.
pub(super) type Fresh = (Record, Secret);

impl Api {
    /// What is made together with a record: for a service account its membership and its key, for a workspace its
    /// maker's place in it.
    pub(super) async fn found(
        &self,
        call: &Call,
        record: &Record,
        values: &Values,
        deed: &mut Deed<'_>,
    ) -> Result<Option<Fresh>, Problem> {
        if record.kind.name == ACCOUNT.name {
            self.own(call, record, deed);
        }
        if record.kind.name == WORKSPACE.name {
            self.settle_in(call, record, deed);
        }
        if record.kind.name == INCIDENT.name {
            incident::declare(record, deed);
        }
        if record.kind.name != SERVICE_ACCOUNT.name {
            return Ok(None);
        }
        let role = values.get("account_role_id").and_then(Value::as_str).map(str::to_owned);
        let role = role.unwrap_or_else(|| role::ACCOUNT_MEMBER.id.to_string());
        self.check_grant(call, &role).await?;
        let mut fields = Values::new();
        fields.insert("name".to_owned(), record.text("name").into());
        fields.insert("bot_id".to_owned(), record.id.to_string().into());
        fields.insert("account_role_id".to_owned(), role.into());
        fields.insert("active".to_owned(), true.into());
        let (id, account) = (id::now(&self.clock), record.account);
        deed.insert(Record::new(id, &ACCOUNT_MEMBERSHIP, account, fields, deed.now));
        let expiration = expiration(values, "api_key_expiration", deed.now)?;
        let fresh = self.mint_key(record, record.text("name"), expiration, deed);
        deed.insert(fresh.0.clone());
        Ok(Some(fresh))
    }

    /// Gives a service account the role among the values, if there is one.
    pub(super) async fn give_role(
        &self,
        call: &Call,
        bot: &Record,
        values: &Values,
        deed: &mut Deed<'_>,
    ) -> Result<(), Problem> {
        let Some(role) = values.get("account_role_id").filter(|role| role.is_string()) else {
            return Ok(());
        };
        self.check_grant(call, role.as_str().unwrap_or_default()).await?;
        self.check_rank(call, bot).await?;
        for mut membership in self.store.holders(ACCOUNT_MEMBERSHIP.name, vec![bot.id]).await? {
            let before = membership.fields.clone();
            membership.fields.insert("account_role_id".to_owned(), role.clone());
            deed.update(&before, membership);
        }
        Ok(())
    }

    /// A fresh key; it lives until `expiration`, or for ever when that is null.
    pub(super) fn mint_key(
        &self,
        owner: &Record,
        name: &str,
        expiration: Value,
        deed: &Deed<'_>,
    ) -> Fresh {
        let is_service = owner.kind.name == SERVICE_ACCOUNT.name;
        let kind = if is_service { key::Kind::Service } else { key::Kind::User };
        let (secret, lookup, digest) = key::mint(&self.clock, &kind);
        let mut fields = Values::new();
        fields.insert("name".to_owned(), name.into());
        fields.insert("expiration".to_owned(), expiration);
        fields.insert("owner_id".to_owned(), owner.id.to_string().into());
        fields.insert("masked_key".to_owned(), key::mask(&secret).into());
        let id = id::now(&self.clock);
        let mut record = Record::new(id, &API_KEY, owner.account, fields, deed.now);
        record.hidden = Hidden::Key(KeptKey { lookup, digest });
        (record, secret)
    }

    /// The keys of somebody, the newest last.
    pub(super) async fn keys_of(&self, owner: &Record) -> Result<Vec<Record>, Problem> {
        Ok(self.store.holders(API_KEY.name, vec![owner.id]).await?)
    }

    /// A new key for a service account. Those before live on for as long as was asked, none beyond its own end; when
    /// nothing was asked, all of them end at once. Those whose end has come are cleared away.
    pub(super) async fn rotate_key(
        &self,
        owner: &Record,
        values: &Values,
        deed: &mut Deed<'_>,
    ) -> Result<Fresh, Problem> {
        let now = deed.now;
        let expiration = expiration(values, "api_key_expiration", now)?;
        let overlap = values.get("old_key_expires_in_seconds").and_then(Value::as_u64).unwrap_or(0);
        let ends = now.plus_seconds(i64::try_from(overlap).unwrap_or(0));
        let mut old_key_expires_at = now;
        for mut key in self.keys_of(owner).await? {
            let own_end = key.instant("expiration");
            if overlap == 0 || own_end.is_some_and(|end| end <= now) {
                deed.write(Write::Delete(key));
            } else {
                let end = own_end.map_or(ends, |end| end.min(ends));
                old_key_expires_at = old_key_expires_at.max(end);
                key.fields.insert("expiration".to_owned(), end.to_string().into());
                key.updated = now;
                deed.write(Write::Update(key));
            }
        }
        let fresh = self.mint_key(owner, owner.text("name"), expiration.clone(), deed);
        let tells = json!({
            "expiration": expiration, "old_key_expires_at": old_key_expires_at.to_string(),
        });
        deed.tell(&fresh.0, &[], "rotated", &tells);
        deed.write(Write::Insert(fresh.0.clone()));
        Ok(fresh)
    }

    /// A service account's newest key, and those before it that still count.
    pub(super) async fn bot_keys(&self, call: &Call) -> Result<Reply, Problem> {
        let bot = self.record(call).await?;
        let now = self.clock.now();
        let lives = |key: &Record| key.instant("expiration").is_none_or(|end| end > now);
        let mut keys = self.keys_of(&bot).await?;
        let active = keys.pop();
        let rotating: Vec<Value> =
            keys.iter().rev().filter(|key| lives(key)).map(|key| present::key(key, None)).collect();
        let active = active.map(|key| present::key(&key, None));
        Ok(reply(call, &json!({ "active_key": active, "rotating_keys": rotating })))
    }

    /// Ends one key of a service account.
    pub(super) async fn drop_bot_key(&self, call: &Call) -> Result<Reply, Problem> {
        let bot = self.record(call).await?;
        let wanted = call.part("api_key");
        let keys = self.keys_of(&bot).await?;
        let key = keys.into_iter().find(|key| Some(key.id) == wanted).ok_or(Problem::NotFound)?;
        self.check_rank(call, &bot).await?;
        let mut deed = self.deed(call);
        deed.delete(key);
        if !deed.commit().await? {
            return Err(Problem::NotFound);
        }
        Ok(reply(call, &Value::Null))
    }
}

/// When a new key is to end; null when never. One that ended before it began is a mistake.
pub(super) fn expiration(values: &Values, field: &str, now: Time) -> Result<Value, Problem> {
    let end = values.get(field).cloned().unwrap_or_default();
    let moment = end.as_str().and_then(Time::parse);
    if moment.is_some_and(|moment| moment <= now) {
        let says = "Value error, it is in the past: the key would open nothing";
        return Err(Problem::Invalid(vec![Fault::new("value_error", &["body", field], says)]));
    }
    Ok(end)
}
