//! Create, replace, change, rotate, delete. In: a call and checked values. Out: the change and its audit events, kept
//! together; a change that changes nothing emits nothing. What somebody else changed meanwhile is read again.

use serde_json::{Value, json};

use super::deed::Deed;
use super::problem::Problem;
use super::question::reply;
use super::user::complete_user;
use super::{Api, Call, destination, incident, verification, version};
use crate::accept::Reply;
use crate::catalogue::{
    self, ACCOUNT, ACCOUNT_SETTINGS, AUTOMATION, DESTINATION, INCIDENT, SERVICE_ACCOUNT, Shape,
    USER, Values, WEBHOOK,
};
use crate::clock::Time;
use crate::id;
use crate::store::{Former, Hidden, Record, Slug, StoreError, Write};

/// Most records that end with one.
pub(super) const ENDING_MAX: usize = 20_000;

impl Api {
    pub(super) async fn create(&self, call: &Call, values: &Values) -> Result<Reply, Problem> {
        self.check_template(values)?;
        let mut tries = self.tries(call.account());
        while tries.again().await {
            let mut deed = self.deed(call);
            let mut record = self.fresh(call, values, deed.now);
            if call.kind.fields.iter().any(|field| field.shape == Shape::Slug) {
                record.hidden = Hidden::Slug(Slug::new(id::slug(&self.clock)));
            }
            self.complete(call, None, &mut record, deed.now);
            self.vet(call, &mut deed, None, Some(&record)).await?;
            deed.insert(record.clone());
            let word = version::word(values, "template_note");
            version::keep(call, None, &record, word, &mut deed);
            let secret = self.found(call, &record, values, &mut deed).await?;
            let place = self.give_place(None, &record, values).await?;
            if self.settle(deed, place).await? {
                note(call, &record);
                let told = self.present_new(record, secret).await?;
                return Ok(reply(call, &told));
            }
        }
        Err(StoreError::Stale.into())
    }

    /// Keeps a change; the place that was given to what it makes is taken back unless it is kept.
    async fn settle(&self, deed: Deed<'_>, place: Option<String>) -> Result<bool, Problem> {
        let kept = deed.commit().await;
        if !matches!(kept, Ok(true)) {
            self.take_place(place);
        }
        kept
    }

    /// Sets what follows from what was sent, for kinds of which more is to be said.
    fn complete(&self, call: &Call, before: Option<&Record>, record: &mut Record, now: Time) {
        match record.kind.name {
            kind if kind == AUTOMATION.name => {
                self.complete_automation(record, before, &call.scene.actor);
            }
            kind if kind == USER.name => {
                if let Some(before) = before {
                    complete_user(&before.fields, record);
                }
            }
            kind if kind == WEBHOOK.name => {
                version::complete(before, record);
                verification::complete(before, record, now, &self.clock);
                verification::complete_networks(record);
                verification::complete_redaction(record);
                verification::complete_reply(record);
            }
            kind if kind == INCIDENT.name && before.is_none() => incident::complete(record, now),
            kind if kind == DESTINATION.name => destination::complete(record, now),
            _ => {}
        }
    }

    /// A record of a call's kind and place with these values, and what is made for it.
    pub(super) fn fresh(&self, call: &Call, values: &Values, now: Time) -> Record {
        let own = |(name, _): &(&String, &Value)| call.kind.field(name).is_some();
        let fields: Values =
            values.iter().filter(own).map(|(name, value)| (name.clone(), value.clone())).collect();
        let mut record = Record::new(id::now(&self.clock), call.kind, call.account(), fields, now);
        if call.kind.scope == catalogue::Scope::Workspace {
            record.workspace = call.workspace();
        }
        if call.kind.name == ACCOUNT.name {
            record.account = record.id;
        }
        for field in call.kind.fields {
            if field.shape == Shape::Id {
                let fresh = id::now(&self.clock).to_string();
                record.fields.insert(field.name.to_owned(), fresh.into());
            }
        }
        record
    }

    /// Sets fields; those that are not among the values stay.
    pub(super) async fn amend(&self, call: &Call, values: &Values) -> Result<Reply, Problem> {
        self.check_template(values)?;
        let mut tries = self.tries(call.account());
        while tries.again().await {
            let mut deed = self.deed(call);
            let mut record = self.record(call).await?;
            let (standing, before) = (record.clone(), record.fields.clone());
            for (name, value) in values {
                if call.kind.field(name).is_some() {
                    record.fields.insert(name.clone(), value.clone());
                }
            }
            self.complete(call, Some(&standing), &mut record, deed.now);
            self.vet(call, &mut deed, Some(&standing), Some(&record)).await?;
            deed.update(&before, record.clone());
            let word = version::word(values, "template_note");
            version::keep(call, Some(&standing), &record, word, &mut deed);
            self.rename(&before, &record, &mut deed).await?;
            self.amend_inside(call, values, &mut deed).await?;
            if call.kind.name == SERVICE_ACCOUNT.name {
                self.give_role(call, &record, values, &mut deed).await?;
            }
            if call.kind.name == ACCOUNT_SETTINGS.name {
                self.follow_settings(call, &before, &record, &mut deed).await?;
            }
            let changes = !deed.is_empty();
            let place = self.give_place(Some(&standing), &record, values).await?;
            if self.settle(deed, place).await? {
                if changes {
                    note(call, &record);
                }
                let told = match call.verb.status {
                    204 => Value::Null,
                    _ => self.present_new(record, None).await?,
                };
                return Ok(reply(call, &told));
            }
        }
        Err(StoreError::Stale.into())
    }

    pub(super) async fn rotate(
        &self,
        call: &Call,
        field: &str,
        values: &Values,
    ) -> Result<Reply, Problem> {
        let mut tries = self.tries(call.account());
        while tries.again().await {
            let mut deed = self.deed(call);
            let mut record = self.record(call).await?;
            record.updated = record.updated.max(deed.now);
            let is_slug = call.kind.field(field).is_some_and(|field| field.shape == Shape::Slug);
            let secret = if is_slug {
                let former = self.renew_slug(&mut record, values, deed.now);
                let mut tells = json!({ "updated_fields": [field] });
                if let Some(ends) = former {
                    tells["old_slug_expires_at"] = ends.to_string().into();
                }
                deed.tell(&record, &[], "updated", &tells);
                None
            } else {
                self.check_reach(call, &record).await?;
                Some(self.rotate_key(&record, values, &mut deed).await?)
            };
            deed.write(Write::Update(record.clone()));
            if deed.commit().await? {
                note(call, &record);
                return Ok(reply(call, &self.present_new(record, secret).await?));
            }
        }
        Err(StoreError::Stale.into())
    }

    /// A new slug for a record. The one before it lives on for as long as was asked, and until when is the answer;
    /// one that lived on beside it ends at once.
    fn renew_slug(&self, record: &mut Record, values: &Values, now: Time) -> Option<Time> {
        let overlap = values.get("old_slug_expires_in_seconds").and_then(Value::as_u64);
        let overlap = overlap.and_then(|seconds| i64::try_from(seconds).ok()).unwrap_or(0);
        let mut fresh = Slug::new(id::slug(&self.clock));
        if let Hidden::Slug(old) = &record.hidden {
            fresh.beside.clone_from(&old.beside);
        }
        if let (Hidden::Slug(old), 1..) = (&record.hidden, overlap) {
            let (slug, ends) = (old.present.clone(), now.plus_seconds(overlap));
            fresh.former = Some(Former { slug, ends });
        }
        let ends = fresh.former.as_ref().map(|former| former.ends);
        record.hidden = Hidden::Slug(fresh);
        ends
    }

    /// Ends a record, and all that ends with it.
    pub(super) async fn delete(&self, call: &Call) -> Result<Reply, Problem> {
        let mut tries = self.tries(call.account());
        while tries.again().await {
            let record = self.record(call).await?;
            self.move_out(&record).await?;
            let mut deed = self.deed(call);
            self.vet(call, &mut deed, Some(&record), None).await?;
            let Some(mut ending) = self.store.ending(record.clone(), ENDING_MAX).await? else {
                let says = format!("More than {ENDING_MAX} records end with it: end some first");
                return Err(Problem::Conflict(says));
            };
            ending.splice(0..0, self.places(&record).await?);
            self.name_places(&ending, &mut deed).await?;
            for record in ending {
                deed.delete(record);
            }
            self.move_home(&record, &mut deed).await?;
            if deed.commit().await? {
                note(call, &record);
                return Ok(reply(call, &Value::Null));
            }
        }
        Err(StoreError::Stale.into())
    }

    pub(super) fn mint(&self, now: Time) -> id::Uuid {
        id::fresh(now, self.clock.chance())
    }
}

/// The one log line of a change.
pub(super) fn note(call: &Call, record: &Record) {
    let (kind, verb, id) = (call.kind.name, call.verb.name, record.id);
    tracing::info!(kind, verb, %id, actor = %call.scene.actor.id, "changed a record");
}
