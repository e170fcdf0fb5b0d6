//! Invitations: who is asked into an account or a workspace, and what they answer. In: addresses and roles; codes.
//! Out: people with places. A code is told to who invites, once, and kept as a digest; no event or log has it.

use serde_json::{Value, json};

use super::actor::actor;
use super::change::note;
use super::deed::Deed;
use super::present::plain;
use super::problem::Problem;
use super::question::{all, reply};
use super::user::complete_user;
use super::{Api, Call, text};
use crate::accept::Reply;
use crate::catalogue::{
    ACCOUNT_INVITATION, ACCOUNT_MEMBERSHIP, Actor, Fault, Powers, USER, Values, Verb,
    WORKSPACE_ACCESS, WORKSPACE_INVITATION, role, whole,
};
use crate::clock::Time;
use crate::id::{self, Secret};
use crate::request::Arrival;
use crate::store::{Criterion, Hidden, KeptKey, Query, Record, StoreError, Write};
use crate::verify::key;

/// How long an invitation can be answered.
const LIVES_SECONDS: i64 = 7 * 24 * 3600;
const PENDING: &str = "PENDING";
const REVOKED: &str = "REVOKED";

impl Api {
    /// Invites all who are named, or nobody. Those who were invited before are invited by this instead.
    pub(super) async fn invite(&self, call: &Call, all: &[Values]) -> Result<Vec<Value>, Problem> {
        let mut tries = self.tries(call.account());
        while tries.again().await {
            let mut deed = self.deed(call);
            let mut rows: Vec<Value> = Vec::new();
            for values in all {
                let email = values.get("email").and_then(Value::as_str).unwrap_or_default().trim();
                let is_named =
                    |row: &Value| is_same(row["email"].as_str().unwrap_or_default(), email);
                if !email.contains('@') || rows.iter().any(is_named) {
                    let says = "Value error, an e-mail address, each once";
                    let fault = Fault::new("value_error", &["body", "email"], says);
                    return Err(Problem::Invalid(vec![fault]));
                }
                for earlier in self.pending_of(call, email).await? {
                    revoke(earlier, &mut deed);
                }
                let (record, code) = self.invitation(call, values, email, deed.now).await?;
                deed.insert(record.clone());
                rows.push(with_code(&record, &code));
            }
            if deed.commit().await? {
                return Ok(rows);
            }
        }
        Err(StoreError::Stale.into())
    }

    async fn invitation(
        &self,
        call: &Call,
        values: &Values,
        email: &str,
        now: Time,
    ) -> Result<(Record, Secret), Problem> {
        let mut record = self.fresh(call, values, now);
        let mut set = |name: &str, value: Value| record.fields.insert(name.to_owned(), value);
        set("name", email.into());
        set("email", email.into());
        set("status", PENDING.into());
        set("expiration", now.plus_seconds(LIVES_SECONDS).to_string().into());
        if call.kind.name != ACCOUNT_INVITATION.name {
            let role = record.reference("workspace_role_id").unwrap_or(role::WORKSPACE_VIEWER.id);
            record.fields.insert("workspace_role_id".to_owned(), role.to_string().into());
        }
        self.check_invited(call, &record).await?;
        let code = self.renew(&mut record);
        note_inviter(call, &mut record);
        Ok((record, code))
    }

    /// Whoever gets the code of an invitation has all that its role allows.
    async fn check_invited(&self, call: &Call, invitation: &Record) -> Result<(), Problem> {
        if call.kind.name == ACCOUNT_INVITATION.name {
            return self.check_grant(call, invitation.text("account_role_id")).await;
        }
        let role = invitation.reference("workspace_role_id").ok_or(Problem::NotFound)?;
        self.check_scopes(call, role).await
    }

    /// Gives an invitation a code; the one before counts no more.
    fn renew(&self, record: &mut Record) -> Secret {
        let code = id::slug(&self.clock);
        let lookup = record.id.simple().to_string();
        record.hidden = Hidden::Key(KeptKey { lookup, digest: key::hash(code.expose()) });
        code
    }

    /// The invitations of an address that can still be answered: more than one when they were made at one moment.
    async fn pending_of(&self, call: &Call, email: &str) -> Result<Vec<Record>, Problem> {
        let like = Some(email.to_owned());
        let criteria = vec![
            Criterion { field: "email".to_owned(), like, ..Criterion::default() },
            Criterion::any("status", [PENDING.to_owned()]),
        ];
        let mut query = Query { criteria, ..all(call) };
        let mut pending = Vec::new();
        // Longer addresses may hold this one: a page of them is no end.
        loop {
            let page = self.store.list(query.clone()).await?;
            let is_last = u64::try_from(page.len()).unwrap_or(u64::MAX) < query.limit;
            pending.extend(page.into_iter().filter(|one| is_same(one.text("email"), email)));
            if is_last {
                return Ok(pending);
            }
            query.offset += query.limit;
        }
    }

    /// Takes an invitation back.
    pub(super) async fn revoke(&self, call: &Call) -> Result<Reply, Problem> {
        let mut tries = self.tries(call.account());
        while tries.again().await {
            let record = self.record(call).await?;
            hold_pending(&record)?;
            let mut deed = self.deed(call);
            revoke(record.clone(), &mut deed);
            if deed.commit().await? {
                note(call, &record);
                return Ok(reply(call, &Value::Null));
            }
        }
        Err(StoreError::Stale.into())
    }

    /// Invites again: another code, and as long to answer as at first.
    pub(super) async fn invite_again(&self, call: &Call) -> Result<Reply, Problem> {
        let mut tries = self.tries(call.account());
        while tries.again().await {
            let mut record = self.record(call).await?;
            hold_pending(&record)?;
            self.check_invited(call, &record).await?;
            let mut deed = self.deed(call);
            let before = record.fields.clone();
            let ends = deed.now.plus_seconds(LIVES_SECONDS).to_string();
            record.fields.insert("expiration".to_owned(), ends.into());
            let code = self.renew(&mut record);
            note_inviter(call, &mut record);
            if !deed.update(&before, record.clone()) {
                deed.write(Write::Update(record.clone()));
            }
            if deed.commit().await? {
                note(call, &record);
                return Ok(reply(call, &with_code(&record, &code)));
            }
        }
        Err(StoreError::Stale.into())
    }

    /// The invitation that a call with its code is about, if it can still be answered.
    async fn invited(&self, call: &Call, arrival: &Arrival) -> Result<Record, Problem> {
        let id = call.id().ok_or(Problem::NotFound)?;
        let code = text::find(arrival.target.query().unwrap_or_default(), "invite_code");
        let code = code.unwrap_or_default();
        let found = self.store.records(vec![id]).await?.pop();
        let is_theirs = |record: &Record| match &record.hidden {
            Hidden::Key(kept) => is_invitation(record) && key::is_digest_of(&code, &kept.digest),
            _ => false,
        };
        let record = found.filter(is_theirs).ok_or(Problem::NotFound)?;
        hold_pending(&record)?;
        if record.instant("expiration").is_none_or(|end| end <= self.clock.now()) {
            let says = "The invitation has expired: ask to be invited again";
            return Err(Problem::Conflict(says.to_owned()));
        }
        Ok(record)
    }

    /// Whether who invited could still do so: an invitation gives nothing that they have lost since.
    async fn hold_inviter(&self, invitation: &Record) -> Result<(), Problem> {
        // One of an older release does not say who it was.
        let Some(inviter) = invitation.reference("inviter_id") else { return Ok(()) };
        let places = [inviter].into_iter().chain(invitation.workspace).collect();
        let (owners, places): (Vec<_>, Vec<_>) =
            self.store.records(places).await?.into_iter().partition(|one| one.id == inviter);
        let held = self.membership_in(inviter, invitation.account).await?;
        let held = held.filter(Record::lets_in);
        let powers = match owners.first().zip(held.as_ref()) {
            Some((owner, held)) => self.powers(owner, held, places.first()).await?,
            None => Powers::default(),
        };
        let may = |verb: &Verb| verb.name == "create" && powers.allow(verb.needs);
        let gives = if let Some(role) = invitation.reference("account_role_id") {
            self.permissions(role).await?.iter().all(|one| powers.account.contains(one))
        } else {
            let role = invitation.reference("workspace_role_id");
            let scopes = self.scopes(role.unwrap_or(role::WORKSPACE_VIEWER.id)).await?;
            scopes.iter().all(|one| powers.include(one))
        };
        if gives && invitation.kind.verbs.iter().any(may) {
            return Ok(());
        }
        let says = "Whoever invited may not do so any more: ask to be invited again";
        Err(Problem::Conflict(says.to_owned()))
    }

    /// Joins what an invitation is to: as whoever calls, or as somebody new.
    pub(super) async fn accept(
        &self,
        call: &Call,
        values: &Values,
        arrival: &Arrival,
    ) -> Result<Reply, Problem> {
        let person = self.visitor(arrival).await?;
        if person.as_ref().is_some_and(|person| person.kind.name != USER.name) {
            return Err(Problem::Conflict("A service account is not invited".to_owned()));
        }
        let first = self.invited(call, arrival).await?;
        let newcomer = match &person {
            Some(_) => None,
            None => Some(self.newcomer(&first, values).await?),
        };
        let mut tries = self.tries(first.account);
        while tries.again().await {
            let mut invitation = self.invited(call, arrival).await?;
            self.hold_inviter(&invitation).await?;
            let person = person.as_ref().or(newcomer.as_ref()).ok_or(Problem::Unauthorized)?;
            let mut deed = self.deed_at(&invitation, actor(person)).await?;
            if newcomer.is_some() {
                deed.insert(person.clone());
            }
            self.let_join(&invitation, person, &mut deed).await?;
            settle(&mut invitation, "ACCEPTED", "accepted", &mut deed);
            if deed.commit().await? {
                note(call, &invitation);
                return Ok(reply(call, &Value::Null));
            }
        }
        Err(StoreError::Stale.into())
    }

    /// Declines an invitation.
    pub(super) async fn reject(&self, call: &Call, arrival: &Arrival) -> Result<Reply, Problem> {
        let person = self.visitor(arrival).await?;
        let first = self.invited(call, arrival).await?;
        let mut tries = self.tries(first.account);
        while tries.again().await {
            let mut invitation = self.invited(call, arrival).await?;
            let by = person.as_ref().map_or_else(Actor::system, actor);
            let mut deed = self.deed_at(&invitation, by).await?;
            settle(&mut invitation, "REJECTED", "rejected", &mut deed);
            if deed.commit().await? {
                note(call, &invitation);
                return Ok(reply(call, &Value::Null));
            }
        }
        Err(StoreError::Stale.into())
    }

    /// Begins what somebody does where an invitation is to.
    async fn deed_at(&self, invitation: &Record, by: Actor) -> Result<Deed<'_>, Problem> {
        let ids = [invitation.account].into_iter().chain(invitation.workspace).collect();
        let places = self.store.records(ids).await?;
        let account = places.iter().find(|place| place.id == invitation.account);
        let mut deed = self.deed_of(by, account.ok_or(Problem::NotFound)?.party());
        for place in &places {
            deed.know(place);
        }
        Ok(deed)
    }

    /// Gives somebody the places that an invitation is to.
    async fn let_join(
        &self,
        invitation: &Record,
        person: &Record,
        deed: &mut Deed<'_>,
    ) -> Result<(), Problem> {
        let account = invitation.account;
        let belongs = self.membership_in(person.id, account).await?.is_some();
        let to_account = invitation.reference("account_role_id");
        if belongs && to_account.is_some() {
            return Err(Problem::Conflict("They belong to the account already".to_owned()));
        }
        if !belongs {
            let role = to_account.unwrap_or(role::ACCOUNT_MEMBER.id);
            let mut fields = ACCOUNT_MEMBERSHIP.defaults();
            fields.insert("name".to_owned(), person.text("name").into());
            fields.insert("user_id".to_owned(), person.id.to_string().into());
            fields.insert("account_role_id".to_owned(), role.to_string().into());
            let id = id::now(&self.clock);
            deed.insert(Record::new(id, &ACCOUNT_MEMBERSHIP, account, fields, deed.now));
        }
        let place = invitation.workspace.zip(invitation.reference("workspace_role_id"));
        let Some((workspace, role)) = place else { return Ok(()) };
        let held = self.store.holders(WORKSPACE_ACCESS.name, vec![person.id]).await?;
        match held.into_iter().find(|held| held.workspace == Some(workspace)) {
            Some(mut held) => {
                let before = held.fields.clone();
                held.fields.insert("workspace_role_id".to_owned(), role.to_string().into());
                deed.update(&before, held);
            }
            None => deed.insert(self.access_in(workspace, account, person, role, deed.now)),
        }
        Ok(())
    }

    /// Somebody new, as they say they are.
    async fn newcomer(&self, invitation: &Record, values: &Values) -> Result<Record, Problem> {
        let text = |name: &str| values.get(name).and_then(Value::as_str).unwrap_or_default();
        let (handle, password) = (text("handle"), text("password"));
        if handle.is_empty() || password.is_empty() {
            return Err(Problem::Unauthorized);
        }
        let mut fields = USER.defaults();
        for name in ["handle", "first_name", "last_name"] {
            fields.insert(name.to_owned(), text(name).into());
        }
        fields.insert("email".to_owned(), invitation.text("email").into());
        fields.insert("actor_id".to_owned(), id::now(&self.clock).to_string().into());
        let (id, now) = (id::now(&self.clock), self.clock.now());
        let mut user = Record::new(id, &USER, invitation.account, fields, now);
        complete_user(&Values::new(), &mut user);
        user.hidden = Hidden::Password(self.hash_password(Secret::new(password)).await?);
        Ok(user)
    }
}

/// Keeps who invites; no answer and no event tells it.
fn note_inviter(call: &Call, record: &mut Record) {
    if let Some(caller) = &call.caller {
        record.fields.insert("inviter_id".to_owned(), caller.owner.id.to_string().into());
    }
}

/// Whether two addresses are one: letter case of ASCII aside, as nobody gives two people such addresses.
fn is_same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

fn is_invitation(record: &Record) -> bool {
    [ACCOUNT_INVITATION.name, WORKSPACE_INVITATION.name].contains(&record.kind.name)
}

/// Whether the end of a record was told before it ended.
pub(super) fn is_revoked(record: &Record) -> bool {
    is_invitation(record) && record.text("status") == REVOKED
}

fn hold_pending(record: &Record) -> Result<(), Problem> {
    match record.text("status") {
        PENDING => Ok(()),
        status => Err(Problem::Conflict(format!("The invitation is {}", status.to_lowercase()))),
    }
}

fn revoke(mut record: Record, deed: &mut Deed<'_>) {
    record.fields.insert("status".to_owned(), REVOKED.into());
    record.updated = record.updated.max(deed.now);
    deed.tell(&record, &[], "deleted", &whole(record.kind, &record.fields));
    deed.write(Write::Update(record));
}

/// Notes an answer.
fn settle(record: &mut Record, status: &str, action: &str, deed: &mut Deed<'_>) {
    record.fields.insert("status".to_owned(), status.into());
    record.updated = record.updated.max(deed.now);
    let is_account = record.kind.name == ACCOUNT_INVITATION.name;
    let role = if is_account { "account_role_id" } else { "workspace_role_id" };
    let tells = json!({
        "email": record.text("email"), "status": status, role: record.text(role),
    });
    deed.tell(record, &[], action, &tells);
    deed.write(Write::Update(record.clone()));
}

fn with_code(record: &Record, code: &Secret) -> Value {
    let mut told = plain(record);
    told["invite_code"] = code.expose().into();
    told
}
