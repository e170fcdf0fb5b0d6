//! Where calls come from, and the accounts that allow only some of it. In: a request's head, an account's settings.
//! Out: a refusal with its event, at most one a minute for each source; the list as clients keep it, and when each of
//! its entries was last used. Health is never asked.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use http::Method;
use http::header::USER_AGENT;
use serde_json::{Value, json};

use super::change::note;
use super::problem::Problem;
use super::question::reply;
use super::{Api, Call};
use crate::accept::Reply;
use crate::catalogue::{ACCESS_DENIED, ACCOUNT, ACCOUNT_SETTINGS, Actor, Values};
use crate::clock::Time;
use crate::id::Uuid;
use crate::limit;
use crate::request::{self, Arrival};
use crate::store::{Batch, Record, StoreError, Write};
use crate::verify::allowlist::Allowlist;

/// Most sources whose last refusal is remembered; those beyond are refused without an event until there is room.
const SOURCES_MAX: usize = 4096;
/// Seconds in which refusals of one source are one event.
const QUIET_SECONDS: i64 = 60;
/// The field that keeps when networks were used.
const SEEN: &str = "ip_allowlist_seen";
/// A network's use is kept to so many seconds.
const SEEN_EVERY_SECONDS: i64 = 60;
/// Seconds between two such changes, whatever the number of accounts.
const NOTED_EVERY_SECONDS: i64 = 1;
/// Longest path and user agent that an event tells, in bytes.
const TOLD_MAX_BYTES: usize = 500;

/// Where a request comes from, as a refusal tells it.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) peer: IpAddr,
    /// Whether it may come from anywhere.
    pub(super) is_exempt: bool,
    method: Method,
    path: String,
    agent: String,
}

impl Origin {
    pub(super) fn of(arrival: &Arrival) -> Self {
        let cut = |text: &str| text[..text.floor_char_boundary(TOLD_MAX_BYTES)].to_owned();
        let agent = arrival.headers.get(USER_AGENT).map(|agent| request::text(agent.as_bytes()));
        Self {
            peer: arrival.peer.to_canonical(),
            is_exempt: false,
            method: arrival.method.clone(),
            path: cut(arrival.path()),
            agent: cut(&agent.unwrap_or_default()),
        }
    }
}

/// An account, and a source of calls to it.
type Source = (Uuid, IpAddr);

/// Refused sources, so that a flood of them is few events.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    sources: Mutex<HashMap<Source, Told>>,
}

/// When a source was told of, and how often it was refused since.
#[derive(Debug)]
struct Told {
    at: Time,
    untold: u64,
}

impl Refusals {
    /// Counts a refusal; how many there were since the last event of the source, when it is time for one.
    fn count(&self, source: Source, now: Time) -> Option<u64> {
        let is_over = |told: &Told| told.at.plus_seconds(QUIET_SECONDS) <= now;
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(told) = sources.get_mut(&source) {
            told.untold += 1;
            if !is_over(told) {
                return None;
            }
            told.at = now;
            return Some(std::mem::take(&mut told.untold));
        }
        if sources.len() >= SOURCES_MAX {
            sources.retain(|_, told| !is_over(told));
        }
        if sources.len() >= SOURCES_MAX {
            return None;
        }
        sources.insert(source, Told { at: now, untold: 0 });
        Some(1)
    }
}

/// When uses of networks were last noted, of whichever account.
#[derive(Debug, Default)]
pub(super) struct Sightings(AtomicI64);

impl Sightings {
    /// Whether it is time to note one more.
    fn is_due(&self, now: Time) -> bool {
        let due = |last: i64| {
            let next = Time::from_micros(last).plus_seconds(NOTED_EVERY_SECONDS);
            (next <= now).then(|| now.micros())
        };
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, due).is_ok()
    }
}

/// When somebody last called from each network of an account's list.
fn sightings(settings: &Record) -> Values {
    settings.fields.get(SEEN).and_then(Value::as_object).cloned().unwrap_or_default()
}

/// The list that an account's settings hold.
fn allowlist(settings: &Record) -> Allowlist {
    let kept = settings.fields.get("ip_allowlist").and_then(Value::as_array);
    // What is kept was read before.
    kept.and_then(|list| Allowlist::read(list).ok()).unwrap_or_default()
}

/// Refuses settings that keep out whoever makes them.
pub(super) fn vet(call: &Call, settings: &Record) -> Result<(), Problem> {
    let peer = call.caller.as_ref().map(|caller| caller.peer);
    let locked_out = peer
        .filter(|peer| settings.flag("enforce_ip_allowlist") && !allowlist(settings).allows(*peer));
    let Some(peer) = locked_out else { return Ok(()) };
    let says = format!("This would lock you out: no enabled entry holds your address, {peer}");
    Err(Problem::Refused(says))
}

impl Api {
    /// Refuses a caller whose address an account does not allow, and tells of it.
    pub(super) async fn hold_allowlist(
        &self,
        settings: &Record,
        (account, actor): (&Record, Actor),
        workspace: Option<&Record>,
        origin: &Origin,
    ) -> Result<(), Problem> {
        let list = allowlist(settings);
        self.note_sighting(settings, &list, origin.peer);
        let is_enforced = settings.flag("enforce_ip_allowlist") && !origin.is_exempt;
        if !is_enforced || list.allows(origin.peer) {
            return Ok(());
        }
        let peer = origin.peer;
        let source = (account.id, limit::network(peer));
        if let Some(requests) = self.refusals.count(source, self.clock.now()) {
            let tells = json!({
                "ip_address": peer.to_string(),
                "method": origin.method.as_str(),
                "path": origin.path,
                "user_agent": origin.agent,
                "requests": requests,
            });
            let mut deed = self.deed_of(actor, account.party());
            deed.note(&ACCESS_DENIED, workspace.map(Record::party).as_ref(), &tells);
            // They are refused, whether it can be told or not.
            if let Err(problem) = deed.commit().await {
                tracing::warn!(account = %account.id, ?problem, "a refusal could not be told");
            }
        }
        Err(Problem::Address(peer))
    }

    /// Notes which networks of a list are used, now and then. Nobody waits for it, and whoever changes the settings
    /// meanwhile goes first.
    fn note_sighting(&self, settings: &Record, list: &Allowlist, peer: IpAddr) {
        let (now, mut seen) = (self.clock.now(), sightings(settings));
        let is_stale = |network: &String| {
            let at = seen.get(network).and_then(Value::as_str).and_then(Time::parse);
            at.is_none_or(|at| at.plus_seconds(SEEN_EVERY_SECONDS) <= now)
        };
        let used: Vec<String> = list.holding(peer).filter(is_stale).collect();
        if used.is_empty() || !self.sightings.is_due(now) {
            return;
        }
        seen.extend(used.into_iter().map(|network| (network, now.to_string().into())));
        let mut settings = settings.clone();
        settings.fields.insert(SEEN.to_owned(), seen.into());
        self.store
            .commit_later(Batch { writes: vec![Write::Update(settings)], events: Vec::new() });
    }

    /// Refuses somebody who is not known, from an address that an account does not allow.
    pub(super) async fn hold_allowlist_of(
        &self,
        account: Uuid,
        origin: &Origin,
    ) -> Result<(), Problem> {
        let found = self.store.records(vec![account, ACCOUNT_SETTINGS.id_in(account)]).await?;
        let one = |kind: &str| found.iter().find(|record| record.kind.name == kind);
        match (one(ACCOUNT.name), one(ACCOUNT_SETTINGS.name)) {
            (Some(account), Some(settings)) => {
                self.hold_allowlist(settings, (account, Actor::system()), None, origin).await
            }
            _ => Ok(()),
        }
    }

    /// Refuses an address that an account does not allow, for a call that reaches into it from another account.
    pub(super) async fn hold_address(&self, account: Uuid, peer: IpAddr) -> Result<(), Problem> {
        let settings = self.settings(account).await?;
        let is_allowed =
            !settings.flag("enforce_ip_allowlist") || allowlist(&settings).allows(peer);
        if is_allowed { Ok(()) } else { Err(Problem::Address(peer)) }
    }

    /// From where an account may be called.
    pub(super) async fn allowlist(&self, call: &Call) -> Result<Reply, Problem> {
        let settings = self.record(call).await?;
        let (mut entries, seen) = (allowlist(&settings).to_value(), sightings(&settings));
        for entry in entries.as_array_mut().into_iter().flatten() {
            let last = entry["ip_network"].as_str().and_then(|network| seen.get(network));
            entry["last_seen"] = last.cloned().unwrap_or_default();
        }
        Ok(reply(call, &json!({ "entries": entries })))
    }

    /// Says anew from where an account may be called.
    pub(super) async fn set_allowlist(
        &self,
        call: &Call,
        values: &Values,
    ) -> Result<Reply, Problem> {
        let Some(Value::Array(list)) = values.get("entries") else {
            return Err(Problem::Refused("`entries` is a list".to_owned()));
        };
        let list = Allowlist::read(list).map_err(|fault| Problem::Refused(fault.to_string()))?;
        let mut tries = self.tries(call.account());
        while tries.again().await {
            let mut settings = self.record(call).await?;
            let before = settings.fields.clone();
            settings.fields.insert("ip_allowlist".to_owned(), list.to_value());
            let mut seen = sightings(&settings);
            seen.retain(|network, _| list.names(network));
            settings.fields.insert(SEEN.to_owned(), seen.into());
            vet(call, &settings)?;
            let mut deed = self.deed(call);
            let changes = deed.update(&before, settings.clone());
            if deed.commit().await? {
                if changes {
                    note(call, &settings);
                }
                return Ok(reply(call, &Value::Null));
            }
        }
        Err(StoreError::Stale.into())
    }

    /// Whether the caller may call from where they are, as far as the list goes.
    pub(super) async fn my_access(&self, call: &Call) -> Result<Reply, Problem> {
        let list = allowlist(&self.record(call).await?);
        let peer = call.caller.as_ref().map(|caller| caller.peer).ok_or(Problem::Unauthorized)?;
        let allowed = list.allows(peer);
        let detail = match (allowed, list.is_empty()) {
            (_, true) => "The allowlist is empty: every address is allowed".to_owned(),
            (true, _) => format!("The allowlist holds your address, {peer}"),
            (false, _) => format!("No enabled entry of the allowlist holds your address, {peer}"),
        };
        Ok(reply(call, &json!({ "allowed": allowed, "detail": detail })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_few_events_and_little_memory() {
        let refusals = Refusals::default();
        let at = Time::from_micros;
        let source = |n: u32| (Uuid::nil(), IpAddr::V4(n.into()));
        assert_eq!(refusals.count(source(1), at(0)), Some(1));
        for _ in 0..1000 {
            assert_eq!(refusals.count(source(1), at(59_999_999)), None);
        }
        assert_eq!(refusals.count(source(2), at(1)), Some(1), "another has its own");
        assert_eq!(refusals.count(source(1), at(60_000_000)), Some(1001));
        let told = (10..100_000).filter(|&n| refusals.count(source(n), at(60_000_000)).is_some());
        assert!(told.count() <= SOURCES_MAX);
        assert_eq!(refusals.sources.lock().expect("whole").len(), SOURCES_MAX);
        assert_eq!(refusals.count(source(5), at(120_000_001)), Some(1), "there is room again");
    }
}
