//! People who come in by password: sessions by cookie, their beginning and end. In: a handle or an address and a
//! password, or a cookie. Out: a cookie, told once and kept as a digest. A cookie alone changes nothing for a page of
//! another site.

use http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN, SET_COOKIE, UPGRADE, USER_AGENT};
use http::{HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use super::actor::actor;
use super::deed::Deed;
use super::problem::Problem;
use super::question::reply;
use super::{Api, Call};
use crate::accept::Reply;
use crate::catalogue::{ACCOUNT_MEMBERSHIP, Fault, SESSION, USER, Values};
use crate::clock::Time;
use crate::id::{self, Secret};
use crate::request::{self, Arrival};
use crate::store::{Batch, Hidden, KeptKey, Record, StoreError, Write};
use crate::verify::key::{self, KeyFacts};

const COOKIE_NAME: &str = "hookgate_session";
/// A session ends that long after it was last used, and at the latest that long after it began.
const IDLE_SECONDS: i64 = 12 * 3600;
const LIVES_SECONDS: i64 = 30 * 24 * 3600;
/// Use is noted at most so often.
const NOTED_EVERY_SECONDS: i64 = 600;
/// Most sessions of one person; the oldest ends when one more begins.
const SESSIONS_MAX: usize = 20;
/// Longest part of a user agent that is told.
const AGENT_MAX_BYTES: usize = 512;

impl Api {
    /// Begins a session. The reply is the same, and as slow, whatever is wrong.
    pub(super) async fn log_in(
        &self,
        call: &Call,
        values: &Values,
        arrival: &Arrival,
    ) -> Result<Reply, Problem> {
        let text = |name: &str| values.get(name).and_then(Value::as_str).unwrap_or_default();
        let (field, who) = match (text("handle"), text("email")) {
            ("", "") => {
                let fault = Fault::new("missing", &["body", "handle"], "Field required");
                return Err(Problem::Invalid(vec![fault]));
            }
            ("", email) => ("email", email),
            (handle, _) => ("handle", handle),
        };
        if is_foreign(arrival) {
            return Err(Problem::Forbidden);
        }
        self.attempts.charge(arrival.peer, who)?;
        let mut found = self.store.named(&USER, field, who.to_owned()).await?;
        let user = if found.len() == 1 { found.pop() } else { None };
        let kept = user.as_ref().and_then(kept_password);
        let fits = self.password_fits(Secret::new(text("password")), kept.clone()).await?;
        let user = user.filter(|_| fits).ok_or(Problem::Unauthorized)?;
        let mut tries = self.tries(user.account);
        while tries.again().await {
            let found = self.store.records(vec![user.id, user.account]).await?;
            let now = found.iter().find(|now| now.id == user.id && kept_password(now) == kept);
            let mut user = now.cloned().ok_or(Problem::Unauthorized)?;
            let home = found.iter().find(|place| place.id == user.account);
            let home = home.ok_or(Problem::Unauthorized)?;
            let held = self.store.holders(ACCOUNT_MEMBERSHIP.name, vec![user.id]).await?;
            if !held.is_empty() && !held.iter().any(Record::lets_in) {
                return Err(Problem::Unauthorized);
            }
            let mut deed = self.deed_of(actor(&user), home.party());
            deed.tell(&user, &[], "logged-in", &origin(arrival));
            user.fields.insert("last_login".to_owned(), deed.now.to_string().into());
            let (session, token) = self.begin(&user, arrival, deed.now);
            self.clear_sessions(&user, &mut deed).await?;
            deed.write(Write::Update(user));
            deed.write(Write::Insert(session.clone()));
            if deed.commit().await? {
                let cookie = cookie(token.expose(), LIVES_SECONDS, arrival.secure)?;
                return Ok(reply(call, &present(&session)).with(SET_COOKIE, cookie));
            }
        }
        Err(StoreError::Stale.into())
    }

    /// A session of somebody, and the token that is told once.
    fn begin(&self, user: &Record, arrival: &Arrival, now: Time) -> (Record, Secret) {
        let (token, lookup, digest) = key::mint(&self.clock, &key::Kind::Session);
        let mut fields = SESSION.defaults();
        let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        set("name", user.text("handle").into());
        set("expiration", now.plus_seconds(IDLE_SECONDS).to_string().into());
        set("owner_id", user.id.to_string().into());
        set("ip_address", arrival.peer.to_canonical().to_string().into());
        set("user_agent", agent(arrival).into());
        let id = id::now(&self.clock);
        let mut session = Record::new(id, &SESSION, user.account, fields, now);
        session.hidden = Hidden::Key(KeptKey { lookup, digest });
        (session, token)
    }

    /// Makes room for one more session: those whose end has come go, and the oldest beyond the bound.
    async fn clear_sessions(&self, user: &Record, deed: &mut Deed<'_>) -> Result<(), Problem> {
        let held = self.store.holders(SESSION.name, vec![user.id]).await?;
        let now = deed.now;
        let (over, live): (Vec<_>, Vec<_>) = held
            .into_iter()
            .partition(|session| session.instant("expiration").is_none_or(|end| end <= now));
        let surplus = (live.len() + 1).saturating_sub(SESSIONS_MAX);
        for session in over.into_iter().chain(live.into_iter().take(surplus)) {
            deed.write(Write::Delete(session));
        }
        Ok(())
    }

    /// Ends the session that the call came with.
    pub(super) async fn log_out(&self, call: &Call, arrival: &Arrival) -> Result<Reply, Problem> {
        let key = self.authenticate(arrival)?;
        let found = self.store.records(vec![key.id]).await?.pop();
        let session = found.filter(|record| record.kind.name == SESSION.name).ok_or_else(|| {
            Problem::Conflict("The call came with a key: there is no session to end".to_owned())
        })?;
        self.end(call, session, arrival).await?;
        let cookie = cookie("", 0, arrival.secure)?;
        Ok(Reply::empty(StatusCode::NO_CONTENT).with(SET_COOKIE, cookie))
    }

    /// Ends one of the caller's sessions.
    pub(super) async fn end_session(
        &self,
        call: &Call,
        arrival: &Arrival,
    ) -> Result<Reply, Problem> {
        let session = self.record(call).await?;
        self.end(call, session, arrival).await?;
        Ok(reply(call, &Value::Null))
    }

    async fn end(&self, call: &Call, session: Record, arrival: &Arrival) -> Result<(), Problem> {
        let caller = call.caller.as_ref().ok_or(Problem::Unauthorized)?;
        let mut deed = self.deed(call);
        deed.tell(&caller.owner, &[], "logged-out", &origin(arrival));
        deed.write(Write::Delete(session));
        if deed.commit().await? { Ok(()) } else { Err(Problem::NotFound) }
    }

    /// Sets the caller's password; one that is there must be said. All other sessions end.
    pub(super) async fn set_password(
        &self,
        call: &Call,
        values: &Values,
        arrival: &Arrival,
    ) -> Result<Reply, Problem> {
        let caller = call.caller.as_ref().ok_or(Problem::Unauthorized)?;
        let text = |name: &str| values.get(name).and_then(Value::as_str).unwrap_or_default();
        let own = self.authenticate(arrival)?.id;
        let kept = kept_password(&caller.owner);
        if kept.is_some() {
            self.attempts.charge(arrival.peer, &caller.owner.id.to_string())?;
            let current = Secret::new(text("current_password"));
            if !self.password_fits(current, kept.clone()).await? {
                let says = "Value error, it is not the present password";
                let fault = Fault::new("value_error", &["body", "current_password"], says);
                return Err(Problem::Invalid(vec![fault]));
            }
        }
        let fresh = self.hash_password(Secret::new(text("password"))).await?;
        let mut tries = self.tries(call.account());
        while tries.again().await {
            let mut deed = self.deed(call);
            let mut user = self.record(call).await?;
            if kept_password(&user) != kept {
                return Err(StoreError::Stale.into());
            }
            user.hidden = Hidden::Password(fresh.clone());
            user.updated = user.updated.max(deed.now);
            deed.tell(&user, &[], "updated", &json!({ "updated_fields": ["password"] }));
            for session in self.store.holders(SESSION.name, vec![user.id]).await? {
                if session.id != own {
                    deed.write(Write::Delete(session));
                }
            }
            deed.write(Write::Update(user));
            if deed.commit().await? {
                return Ok(reply(call, &Value::Null));
            }
        }
        Err(StoreError::Stale.into())
    }

    /// Notes that a session was used, so that it lives on; a key is left alone.
    pub(super) async fn keep_alive(
        &self,
        key: &KeyFacts,
        arrival: &Arrival,
    ) -> Result<(), Problem> {
        let now = self.clock.now();
        let fresh = now.plus_seconds(IDLE_SECONDS - NOTED_EVERY_SECONDS);
        let is_due = key.expires.is_some_and(|end| end < fresh);
        if arrival.headers.contains_key(AUTHORIZATION) || !is_due {
            return Ok(());
        }
        let found = self.store.records(vec![key.id]).await?.pop();
        let Some(mut session) = found.filter(|record| record.kind.name == SESSION.name) else {
            return Ok(());
        };
        let end = session.created.plus_seconds(LIVES_SECONDS).min(now.plus_seconds(IDLE_SECONDS));
        session.fields.insert("expiration".to_owned(), end.to_string().into());
        let batch = Batch { writes: vec![Write::Update(session)], events: Vec::new() };
        match self.store.commit(batch).await {
            // Somebody else noted it, or ended it: either is right.
            Ok(()) | Err(StoreError::Stale) => Ok(()),
            Err(fault) => Err(fault.into()),
        }
    }
}

/// A session as clients read it.
pub(super) fn present(session: &Record) -> Value {
    let end = session.instant("expiration").map(|end| end.micros() / 1_000_000);
    json!({
        "id": session.id.to_string(),
        "user_id": session.text("owner_id"),
        "ip_address": session.text("ip_address"),
        "location": null,
        "user_agent": session.text("user_agent"),
        "expires_at": end,
        "restricted": false,
    })
}

/// The token of a request's cookie, where a cookie is enough: a page of another site may send it too, so it changes
/// something only beside a proof of where the page is from.
pub(super) fn token(arrival: &Arrival) -> Option<&str> {
    let is_safe = matches!(arrival.method, Method::GET | Method::HEAD)
        && !arrival.headers.contains_key(UPGRADE);
    let cookies = arrival.header(COOKIE.as_str()).filter(|_| is_safe || is_ours(arrival))?;
    let pairs = cookies.split(';').filter_map(|pair| pair.trim().split_once('='));
    let token = pairs.into_iter().find(|(name, _)| *name == COOKIE_NAME)?.1;
    token.starts_with(key::Kind::Session.prefix()).then_some(token)
}

/// Whether the browser says that the gateway's own page asks.
fn is_ours(arrival: &Arrival) -> bool {
    match (arrival.header("sec-fetch-site"), arrival.header(ORIGIN.as_str())) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => {
            let own = arrival.target.authority().map(http::uri::Authority::as_str);
            let own = own.or_else(|| arrival.header(HOST.as_str()));
            origin.split_once("://").map(|(_, host)| host) == own
        }
        (None, None) => false,
    }
}

/// Whether the browser says that a page of another site asks. Programs say nothing.
fn is_foreign(arrival: &Arrival) -> bool {
    let says = |name| arrival.headers.contains_key(name);
    (says("sec-fetch-site") || says("origin")) && !is_ours(arrival)
}

fn kept_password(user: &Record) -> Option<Secret> {
    match &user.hidden {
        Hidden::Password(kept) => Some(kept.clone()),
        _ => None,
    }
}

fn agent(arrival: &Arrival) -> String {
    let agent = arrival.headers.get(USER_AGENT).map(|agent| request::text(agent.as_bytes()));
    let agent = agent.unwrap_or_default();
    agent[..agent.floor_char_boundary(AGENT_MAX_BYTES)].to_owned()
}

fn origin(arrival: &Arrival) -> Value {
    let peer = arrival.peer.to_canonical().to_string();
    json!({ "ip_address": peer, "user_agent": agent(arrival) })
}

fn cookie(token: &str, seconds: i64, is_secure: bool) -> Result<HeaderValue, Problem> {
    let secure = if is_secure { "; Secure" } else { "" };
    let text = format!(
        "{COOKIE_NAME}={token}; Path=/api; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"
    );
    let mut value = HeaderValue::from_str(&text).map_err(|_| Problem::Engine)?;
    value.set_sensitive(true);
    Ok(value)
}
