//! Create, replace, change, rotate, delete. In: a call and checked values. Out: the change and its audit events, kept
//! together; a change that changes nothing emits nothing. What somebody else changed meanwhile is read again.

use serde_json::Value;

use super::present;
use super::problem::Problem;
use super::question::reply;
use super::{Api, Call, key};
use crate::accept::Reply;
use crate::catalogue::{self, Role, SERVICE_ACCOUNT, Shape, Subject, Values};
use crate::clock::Time;
use crate::event::Event;
use crate::id;
use crate::store::{Batch, Hidden, Outgoing, Record, StoreError, Write};

/// Most times a change is begun anew because somebody else was faster.
const ATTEMPTS_MAX: usize = 5;

impl Api {
    pub(super) async fn create(&self, call: &Call, mut values: Values) -> Result<Reply, Problem> {
        self.check_template(&values)?;
        let now = self.clock.now();
        let expiration = values.remove("api_key_expiration").unwrap_or_default();
        values.retain(|name, _| call.kind.field(name).is_some());
        let mut record = Record::new(id::now(&self.clock), call.kind, call.account(), values, now);
        record.workspace = call.workspace();
        let mut made = None;
        for field in call.kind.fields {
            match field.shape {
                Shape::Slug => record.hidden = Hidden::Slug(id::slug(&self.clock)),
                Shape::Key => made = Some(self.mint_key(&record, expiration.clone(), now)),
                Shape::Id => {
                    let fresh = id::now(&self.clock).to_string();
                    record.fields.insert(field.name.to_owned(), fresh.into());
                }
                _ => {}
            }
        }
        if call.kind.name == SERVICE_ACCOUNT.name {
            let role = Role::Member.name();
            record.fields.insert("account_role_name".to_owned(), role.into());
        }
        let mut batch = Batch::default();
        let event = catalogue::created(&call.scene, subject(&record), now, self.mint(now));
        batch.writes.push(Write::Insert(record.clone()));
        batch.events.push(outgoing(call, event, now));
        if let Some((key, _)) = &made {
            let event = catalogue::created(&call.scene, key::subject(key), now, self.mint(now));
            batch.writes.push(Write::Insert(key.clone()));
            batch.events.push(outgoing(call, event, now));
        }
        self.store.commit(batch).await?;
        tell(call, &record);
        let told = match &made {
            Some((key, secret)) => present::service_account(&record, Some(key), Some(secret)),
            None => present::webhook(&record),
        };
        Ok(reply(call, &told))
    }

    /// Sets fields; those that are not among the values stay.
    pub(super) async fn amend(&self, call: &Call, values: &Values) -> Result<Reply, Problem> {
        self.check_template(values)?;
        for _ in 0..ATTEMPTS_MAX {
            let mut record = self.record(call).await?;
            let before = record.fields.clone();
            for (name, value) in values {
                if call.kind.field(name).is_some() {
                    record.fields.insert(name.clone(), value.clone());
                }
            }
            if catalogue::changed(call.kind, &before, &record.fields).is_empty() {
                return Ok(reply(call, &Value::Null));
            }
            let now = self.touch(&mut record);
            let event =
                catalogue::updated(&call.scene, subject(&record), &before, now, self.mint(now));
            let events = vec![outgoing(call, event, now)];
            let writes = vec![Write::Update(record.clone())];
            if self.commit(Batch { writes, events }).await? {
                tell(call, &record);
                return Ok(reply(call, &Value::Null));
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
        for _ in 0..ATTEMPTS_MAX {
            let mut record = self.record(call).await?;
            let now = self.touch(&mut record);
            let is_slug = call.kind.field(field).is_some_and(|field| field.shape == Shape::Slug);
            let (batch, told) = if is_slug {
                record.hidden = Hidden::Slug(id::slug(&self.clock));
                let subject = subject(&record);
                let id = self.mint(now);
                let event =
                    catalogue::rotated(&call.scene, subject, Some(field), &Value::Null, now, id);
                let events = vec![outgoing(call, event, now)];
                let told = present::webhook(&record);
                (Batch { writes: vec![Write::Update(record.clone())], events }, told)
            } else {
                self.rotate_key(call, &record, values, now).await?
            };
            if self.commit(batch).await? {
                tell(call, &record);
                return Ok(reply(call, &told));
            }
        }
        Err(StoreError::Stale.into())
    }

    /// Ends a record, and the keys it owns with it.
    pub(super) async fn delete(&self, call: &Call) -> Result<Reply, Problem> {
        for _ in 0..ATTEMPTS_MAX {
            let record = self.record(call).await?;
            let now = self.clock.now();
            let mut batch = Batch::default();
            for key in self.keys_of(&record).await? {
                let subject = key::subject(&key);
                let event = catalogue::deleted(&call.scene, subject, now, self.mint(now));
                batch.events.push(outgoing(call, event, now));
                batch.writes.push(Write::Delete(key));
            }
            let event = catalogue::deleted(&call.scene, subject(&record), now, self.mint(now));
            batch.events.push(outgoing(call, event, now));
            batch.writes.push(Write::Delete(record.clone()));
            if self.commit(batch).await? {
                tell(call, &record);
                return Ok(reply(call, &Value::Null));
            }
        }
        Err(StoreError::Stale.into())
    }

    /// Commits; `false` when somebody else was faster.
    async fn commit(&self, batch: Batch) -> Result<bool, Problem> {
        match self.store.commit(batch).await {
            Ok(()) => Ok(true),
            Err(StoreError::Stale) => Ok(false),
            Err(fault) => Err(fault.into()),
        }
    }

    /// Marks a record as changed now; the moment never goes back.
    fn touch(&self, record: &mut Record) -> Time {
        let now = self.clock.now();
        record.updated = record.updated.max(now);
        now
    }

    pub(super) fn mint(&self, now: Time) -> id::Uuid {
        id::fresh(now, self.clock.chance())
    }
}

/// A record as its events name it.
fn subject(record: &Record) -> Subject<'_> {
    Subject { kind: record.kind, id: record.id, fields: &record.fields, beside: None }
}

pub(super) fn outgoing(call: &Call, event: Event, now: Time) -> Outgoing {
    Outgoing { account: call.account(), workspace: call.workspace(), occurred: now, event }
}

/// The one log line of a change.
fn tell(call: &Call, record: &Record) {
    let (kind, verb, id) = (call.kind.name, call.verb.name, record.id);
    tracing::info!(kind, verb, %id, actor = %call.scene.actor.id, "changed a record");
}
