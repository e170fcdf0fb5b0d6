//! Who calls, and whether they may. In: a route and the request's head. Out: a call with its scene, or the reason why
//! not, which says nothing of what belongs to others. Keys are looked up in memory.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use percent_encoding::percent_decode_str;

use super::origin::Origin;
use super::problem::Problem;
use super::session;
use super::{Admission, Api, Asked, Call};
use crate::catalogue::{
    self, ACCOUNT, ACCOUNT_MEMBERSHIP, ACCOUNT_SETTINGS, Act, Actor, Effect, Fault, Party,
    Permission, Powers, Route, SERVICE_ACCOUNT, Scene, WORKSPACE,
};
use crate::id::Uuid;
use crate::request::Arrival;
use crate::store::Record;
use crate::verify::key::{self, KeyFacts, credential};

/// Whoever presented a valid key.
#[derive(Debug)]
pub(super) struct Caller {
    /// The user or the service account.
    pub(super) owner: Record,
    /// The account the call is about; the caller's own when it is about none.
    pub(super) account: Record,
    /// What they may do there.
    pub(super) powers: Powers,
    /// Where they call from.
    pub(super) peer: IpAddr,
}

impl Caller {
    /// Whether this is a person.
    pub(super) fn is_user(&self) -> bool {
        self.owner.kind.name == catalogue::USER.name
    }

    pub(super) fn actor(&self) -> Actor {
        actor(&self.owner)
    }
}

/// A user or a service account as events name who acts.
pub(super) fn actor(owner: &Record) -> Actor {
    let text = |field| owner.text(field).to_owned();
    let is_user = owner.kind.name == catalogue::USER.name;
    Actor {
        id: owner.reference("actor_id").unwrap_or(owner.id),
        name: text("name"),
        handle: if is_user { text("handle") } else { text("name") },
        email: text("email"),
    }
}

/// A part of a path, and the id it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) id: Option<Uuid>,
}

/// The parts of a path that are no ids of records: a resource's id, which is any text, and a version's number.
const WORDS: [&str; 2] = ["resource", "number"];

impl Api {
    /// Lets a request in, or says why not.
    pub(super) async fn admit(
        &self,
        asked: Asked<'_>,
        arrival: &Arrival,
    ) -> Result<Admission, Problem> {
        let route = match asked {
            Asked::Page(page) if page.is_open => return Ok(Admission::Page(page, None)),
            Asked::Page(page) => {
                let key = self.authenticate(arrival)?;
                self.keep_alive(&key, arrival).await?;
                let origin = Origin::of(arrival);
                let (caller, _) = self.identify(&key, None, None, &origin).await?;
                return Ok(Admission::Page(page, Some(Box::new(caller))));
            }
            Asked::Verb(route) => route,
        };
        if route.verb.needs == Permission::Open {
            let parts = read_parts(&route)?;
            return Ok(Admission::Call(Box::new(open_call(&route, parts))));
        }
        let key = self.authenticate(arrival)?;
        self.keep_alive(&key, arrival).await?;
        let parts = read_parts(&route)?;
        let id = |name| parts.iter().find(|part| part.name == name).and_then(|part| part.id);
        let (mut account, workspace) = (id("account"), id("workspace"));
        if let (None, Some(workspace)) = (account, workspace) {
            let found = self.store.records(vec![workspace]).await?.pop();
            let place = found.filter(|record| record.kind.name == WORKSPACE.name);
            account = Some(place.ok_or(Problem::NotFound)?.account);
        }
        let mut origin = Origin::of(arrival);
        if route.verb.effect == Effect::Own(Act::MyAccess) {
            // Who is kept out may ask why.
            origin.is_exempt = true;
        }
        let (caller, place) = self.identify(&key, account, workspace, &origin).await?;
        if workspace.is_some() && (place.is_none() || !caller.powers.reach_workspace()) {
            return Err(Problem::NotFound);
        }
        // A service account has an id, but is no user; its keys are its managers' to rename and end.
        let is_oneself = caller.is_user() && id("user") == Some(caller.owner.id);
        if route.verb.needs == Permission::Oneself && !is_oneself {
            return Err(Problem::NotFound);
        }
        if !caller.powers.allow(route.verb.needs) {
            return Err(Problem::Forbidden);
        }
        let scene = Scene {
            actor: caller.actor(),
            account: caller.account.party(),
            workspace: place.as_ref().map(Record::party),
        };
        let resource = read_resource(&route);
        let (kind, verb, caller) = (route.kind, route.verb, Some(Box::new(caller)));
        Ok(Admission::Call(Box::new(Call { kind, verb, scene, caller, parts, resource })))
    }

    /// Whoever calls what needs no key, if they show one; one that does not count is refused.
    pub(super) async fn visitor(&self, arrival: &Arrival) -> Result<Option<Record>, Problem> {
        if !arrival.headers.contains_key(AUTHORIZATION) && session::token(arrival).is_none() {
            return Ok(None);
        }
        let key = self.authenticate(arrival)?;
        let (caller, _) = self.identify(&key, None, None, &Origin::of(arrival)).await?;
        Ok(Some(caller.owner))
    }

    /// The key of a request; the same reply whatever is wrong with it. One that does not count is charged to its peer.
    pub(super) fn authenticate(&self, arrival: &Arrival) -> Result<Arc<KeyFacts>, Problem> {
        self.key_of(arrival).ok_or_else(|| {
            // Who shows none does not guess.
            let is_guess =
                arrival.headers.contains_key(AUTHORIZATION) || session::token(arrival).is_some();
            if is_guess { self.wrong_key(arrival.peer) } else { Problem::Unauthorized }
        })
    }

    /// What a key is answered that does not count: 401, or 429 once its peer was wrong too often.
    pub(super) fn wrong_key(&self, peer: IpAddr) -> Problem {
        let charged = self.options.limits.guesses().wrong_key(peer);
        charged.map_or_else(Problem::from, |()| Problem::Unauthorized)
    }

    /// The key of a request, if it has one that counts.
    pub(super) fn key_of(&self, arrival: &Arrival) -> Option<Arc<KeyFacts>> {
        let now = self.clock.now();
        if arrival.headers.contains_key(AUTHORIZATION) {
            let token = arrival.header(AUTHORIZATION.as_str()).and_then(credential);
            // A session's token is for cookies, which other sites' pages cannot read.
            let token = token.filter(|token| !token.starts_with(key::Kind::Session.prefix()));
            token.and_then(|token| self.keys.check(&token, now))
        } else {
            session::token(arrival).and_then(|token| self.keys.check(token, now))
        }
    }

    /// The owner of a key, what they may do in an account (their own, when none is named) and a workspace, and the
    /// workspace when it is one of the account's.
    pub(super) async fn identify(
        &self,
        key: &KeyFacts,
        account: Option<Uuid>,
        workspace: Option<Uuid>,
        origin: &Origin,
    ) -> Result<(Caller, Option<Record>), Problem> {
        let place = account.unwrap_or(key.account);
        let settings = ACCOUNT_SETTINGS.id_in(place);
        let wanted = [key.owner, place, settings].into_iter().chain(workspace).collect();
        let mut records = self.store.records(wanted).await?;
        let mut take = |id: Uuid, kind: &str| {
            let at = records.iter().position(|one| one.id == id && one.kind.name == kind)?;
            Some(records.swap_remove(at))
        };
        let kind = if key.service { SERVICE_ACCOUNT.name } else { catalogue::USER.name };
        // Ended since the key was looked up.
        let owner = take(key.owner, kind).ok_or(Problem::Unauthorized)?;
        let account_record = take(place, ACCOUNT.name).ok_or(Problem::NotFound)?;
        let settings = take(settings, ACCOUNT_SETTINGS.name);
        let workspace = workspace.and_then(|id| take(id, WORKSPACE.name));
        let workspace = workspace.filter(|workspace| workspace.account == place);
        let held = self.store.holders(ACCOUNT_MEMBERSHIP.name, vec![owner.id]).await?;
        let membership = held.into_iter().find(|membership| membership.account == place);
        let powers = match &membership {
            Some(membership) if membership.lets_in() => {
                self.powers(&owner, membership, workspace.as_ref()).await?
            }
            // Belonging nowhere they can still be told who they are.
            _ if account.is_none() => Powers::default(),
            Some(_) => return Err(Problem::Forbidden),
            None => return Err(Problem::NotFound),
        };
        let caller = Caller { owner, account: account_record, powers, peer: origin.peer };
        if let Some(settings) = settings {
            let who = (&caller.account, caller.actor());
            self.hold_allowlist(&settings, who, workspace.as_ref(), origin).await?;
        }
        Ok((caller, workspace))
    }
}

/// A call of somebody who is not known.
fn open_call(route: &Route<'_>, parts: Vec<Part>) -> Call {
    let nowhere = Party { id: Uuid::nil(), name: String::new(), handle: String::new() };
    let scene = Scene { actor: Actor::system(), account: nowhere, workspace: None };
    let resource = read_resource(route);
    Call { kind: route.kind, verb: route.verb, scene, caller: None, parts, resource }
}

/// The resource or number that a path names, decoded; empty when it names none.
fn read_resource(route: &Route<'_>) -> String {
    let found = route.parts.iter().find(|(name, _)| WORDS.contains(name));
    found
        .map(|(_, text)| percent_decode_str(text).decode_utf8_lossy().into_owned())
        .unwrap_or_default()
}

/// The parts of a path; every one that should be an id and is none is a fault.
fn read_parts(route: &Route<'_>) -> Result<Vec<Part>, Problem> {
    let mut faults = Vec::new();
    let mut read = |(name, text): &(&'static str, &str)| {
        let id = catalogue::is_id(text);
        if id.is_none() && !WORDS.contains(name) {
            let named = match *name {
                "id" => route.kind.id_name.to_owned(),
                name => format!("{name}_id"),
            };
            let says = "Input should be a valid UUID";
            faults.push(Fault::new("uuid_parsing", &["path", &named], says));
        }
        Part { name, id }
    };
    let parts = route.parts.iter().map(&mut read).collect();
    if faults.is_empty() { Ok(parts) } else { Err(Problem::Invalid(faults)) }
}
