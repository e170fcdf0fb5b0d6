//! What one call does: changes, and the events that say so. In: records as they are to be. Out: one batch for the
//! store. A change that changes nothing is none; an event is about a record as it stands after the change.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::invitation::is_revoked;
use super::problem::Problem;
use super::{Api, Call};
use crate::catalogue::{
    self, ACCOUNT, API_KEY, Actor, Beside, Notice, Party, SERVICE_ACCOUNT, Scene, Subject, USER,
    Values, WORKSPACE,
};
use crate::clock::Time;
use crate::event::Event;
use crate::id::Uuid;
use crate::store::{Batch, Outgoing, Record, StoreError, Write};

/// Changes and their events, as they come together.
pub(super) struct Deed<'a> {
    api: &'a Api,
    /// When it is done.
    pub(super) now: Time,
    actor: Actor,
    account: Party,
    /// Workspaces and other accounts by id, as events name them.
    places: HashMap<Uuid, Party>,
    batch: Batch,
}

impl Api {
    /// Begins what a call does.
    pub(super) fn deed(&self, call: &Call) -> Deed<'_> {
        let mut deed = self.deed_of(call.scene.actor.clone(), call.scene.account.clone());
        deed.places.extend(call.scene.workspace.clone().map(|place| (place.id, place)));
        deed
    }

    /// Begins what somebody does in an account.
    pub(super) fn deed_of(&self, actor: Actor, account: Party) -> Deed<'_> {
        let (places, batch) = (HashMap::new(), Batch::default());
        Deed { api: self, now: self.clock.now(), actor, account, places, batch }
    }
}

impl Deed<'_> {
    /// Lets events inside a workspace or another account name it.
    pub(super) fn know(&mut self, place: &Record) {
        self.places.insert(place.id, place.party());
    }

    /// What is done from now on is done in another account, and told there.
    pub(super) fn enter(&mut self, account: Party) {
        self.account = account;
    }

    /// A new record, and what a place has from its first moment.
    pub(super) fn insert(&mut self, record: Record) {
        let is_place = record.kind.name == WORKSPACE.name;
        if is_place || record.kind.name == ACCOUNT.name {
            self.know(&record);
        }
        let (account, workspace) = (record.account, is_place.then_some(record.id));
        let companions = catalogue::companions(record.kind);
        let companions: Vec<Record> =
            companions.map(|kind| Record::only(kind, account, workspace, self.now)).collect();
        if record.kind.tells("created") {
            self.emit(&record, &[], catalogue::created);
        }
        self.batch.writes.push(Write::Insert(record));
        for companion in companions {
            self.insert(companion);
        }
    }

    /// A record that was `before`, and what the kind says of single fields; whether anything that is told of it
    /// changed. Otherwise nothing is done.
    pub(super) fn update(&mut self, before: &Values, mut record: Record) -> bool {
        let changed = catalogue::changed(record.kind, before, &record.fields);
        if changed.is_empty() {
            return false;
        }
        record.updated = record.updated.max(self.now);
        for field in changed {
            let action = format!("updated.{}", field.name);
            if record.kind.tells(&action) {
                let mut tells = json!({ "id": record.id.to_string(), "field": field.name });
                let difference = catalogue::difference(field, before, &record.fields);
                for (name, value) in difference.as_object().into_iter().flatten() {
                    tells[name] = value.clone();
                }
                self.tell(&record, &[], &action, &tells);
            }
        }
        self.emit(&record, &[], |scene, subject, now, id| {
            catalogue::updated(scene, subject, before, now, id)
        });
        self.batch.writes.push(Write::Update(record));
        true
    }

    /// A record that ends.
    pub(super) fn delete(&mut self, record: Record) {
        if record.kind.tells("deleted") && !is_revoked(&record) {
            self.emit(&record, &[], catalogue::deleted);
        }
        self.batch.writes.push(Write::Delete(record));
    }

    /// Something of the kind's own that happened to a record.
    pub(super) fn tell(&mut self, record: &Record, beside: &[Beside], action: &str, tells: &Value) {
        self.emit(record, beside, |scene, subject, now, id| {
            catalogue::told(scene, subject, action, tells, now, id)
        });
    }

    /// Something that happened in the account, in that workspace perhaps, and is no record's.
    pub(super) fn note(&mut self, notice: &Notice, workspace: Option<&Party>, tells: &Value) {
        let scene = Scene {
            actor: self.actor.clone(),
            account: self.account.clone(),
            workspace: workspace.cloned(),
        };
        let (account, occurred) = (self.account.id, self.now);
        let event = catalogue::noted(&scene, notice, tells, occurred, self.api.mint(occurred));
        let workspace = workspace.map(|workspace| workspace.id);
        self.batch.events.push(Outgoing { account, workspace, occurred, event });
    }

    /// A change that no event of its own tells.
    pub(super) fn write(&mut self, write: Write) {
        self.batch.writes.push(write);
    }

    fn emit(
        &mut self,
        record: &Record,
        beside: &[Beside],
        make: impl FnOnce(&Scene, Subject<'_>, Time, Uuid) -> Event,
    ) {
        let workspace = record.workspace;
        // What is in another account is that one's to know.
        let place = self.places.get(&record.account).unwrap_or(&self.account).clone();
        let (account, occurred) = (place.id, self.now);
        let scene = Scene {
            actor: self.actor.clone(),
            account: place,
            workspace: workspace.and_then(|id| self.places.get(&id).cloned()),
        };
        let beside: Vec<Beside> = owner(record).into_iter().chain(beside.iter().cloned()).collect();
        let subject =
            Subject { kind: record.kind, id: record.id, fields: &record.fields, beside: &beside };
        let event = make(&scene, subject, occurred, self.api.mint(occurred));
        self.batch.events.push(Outgoing { account, workspace, occurred, event });
    }

    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        self.batch.writes.is_empty() && self.batch.events.is_empty()
    }

    /// Keeps all of it, or nothing; `false` when somebody else changed one of the records meanwhile.
    pub(super) async fn commit(self) -> Result<bool, Problem> {
        if self.is_empty() {
            return Ok(true);
        }
        match self.api.store.commit(self.batch).await {
            Ok(()) => Ok(true),
            // Somebody else changed it, or let the same one in, meanwhile.
            Err(StoreError::Stale | StoreError::Taken { field: "place", .. }) => Ok(false),
            Err(fault) => Err(fault.into()),
        }
    }
}

/// Whose a key is: its mask says of which kind they are.
fn owner(record: &Record) -> Option<Beside> {
    let id = record.reference("owner_id").filter(|_| record.kind.name == API_KEY.name)?;
    let is_service = record.text("masked_key").starts_with("pnb_");
    let kind = if is_service { SERVICE_ACCOUNT.name } else { USER.name };
    Some(Beside { role: kind, kind, id })
}
