//! Whose events, and whether the caller may. In: a base as it was sent, what the route takes, the request's head. Out:
//! the place, or the reason why not: 404 outside the caller's tenancy, 403 inside it. Keys are looked up in memory.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, Uri};

use super::super::Api;
use super::super::origin::Origin;
use super::super::problem::Problem;
use super::Asked;
use crate::catalogue::{self, BYPASS, Fault, Permission, WORKSPACE};
use crate::id::Uuid;
use crate::request::Arrival;
use crate::store::{Query, Sort};
use crate::verify::key::KeyFacts;

/// The base of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// `/api`: the oldest workspace of the caller's account; without a caller, of the oldest account.
    Server,
    /// `/api/accounts/{account}`: the whole account.
    Account(Uuid),
    /// `/api/accounts/{account}/workspaces/{workspace}`.
    Workspace(Uuid, Uuid),
}

impl Base {
    /// The ids of a base, given as they were sent.
    ///
    /// # Errors
    /// Every one that is none.
    pub(super) fn read(account: Option<&str>, workspace: Option<&str>) -> Result<Self, Problem> {
        let mut faults = Vec::new();
        let mut read = |name: &str, text: &str| {
            catalogue::is_id(text).unwrap_or_else(|| {
                let says = "Input should be a valid UUID";
                faults.push(Fault::new("uuid_parsing", &["path", name], says));
                Uuid::nil()
            })
        };
        let account = account.map(|account| read("account_id", account));
        let workspace = workspace.map(|workspace| read("workspace_id", workspace));
        if !faults.is_empty() {
            return Err(Problem::Invalid(faults));
        }
        Ok(match (account, workspace) {
            (Some(account), Some(workspace)) => Self::Workspace(account, workspace),
            (Some(account), None) => Self::Account(account),
            (None, _) => Self::Server,
        })
    }
}

/// Whose events a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) account: Uuid,
    /// Unless it is the whole account.
    pub(super) workspace: Option<Uuid>,
}

impl Api {
    /// The key of a request; none only where none is needed.
    ///
    /// # Errors
    /// [`Problem::Unauthorized`], and [`Problem::Limited`] for one more wrong key.
    pub(super) fn known(
        &self,
        asked: &Asked<'_>,
        arrival: &Arrival,
    ) -> Result<Option<Arc<KeyFacts>>, Problem> {
        // Where none is needed, one that does not count is no guess: it opens nothing.
        if asked.is_server_mode() && self.is_open(arrival) {
            return Ok(self.key_of(arrival));
        }
        self.authenticate(arrival).map(Some)
    }

    /// Whether the paths without an account need no key; pages of other sites, which a browser asks for, always do, and
    /// whoever calls the gateway by a name that a stranger may have given its address.
    pub(super) fn is_open(&self, arrival: &Arrival) -> bool {
        let events = &self.options.events;
        let host = arrival.header(HOST.as_str());
        let is_ours = |host| is_own_name(host, events.public_url.as_deref());
        events.open_server_mode
            && !is_foreign(&arrival.headers)
            && (!events.any_host || host.is_none_or(is_ours))
    }

    /// Lets a caller in by key.
    pub(super) async fn enter(
        &self,
        base: Base,
        needs: Permission,
        key: Option<&KeyFacts>,
        origin: &Origin,
    ) -> Result<Place, Problem> {
        let place = match base {
            Base::Server => self.first_place(key).await?,
            Base::Account(account) => Place { account, workspace: None },
            Base::Workspace(account, workspace) => Place { account, workspace: Some(workspace) },
        };
        let Some(key) = key else {
            self.hold_allowlist_of(place.account, origin).await?;
            return Ok(place);
        };
        let (caller, workspace) =
            self.identify(key, Some(place.account), place.workspace, origin).await?;
        let is_there = workspace.is_some() && caller.powers.reach_workspace();
        if place.workspace.is_some() && !is_there {
            return Err(Problem::NotFound);
        }
        if !caller.powers.allow(needs) {
            return Err(Problem::Forbidden);
        }
        Ok(place)
    }

    /// Whether a caller sees the events of every workspace of an account; of one workspace, that is no question.
    pub(super) async fn sees_all(
        &self,
        base: Base,
        key: Option<&KeyFacts>,
        origin: &Origin,
    ) -> Result<bool, Problem> {
        let Base::Account(_) = base else { return Ok(true) };
        match self.enter(base, Permission::Account(BYPASS), key, origin).await {
            Ok(_) => Ok(true),
            Err(Problem::Forbidden) => Ok(false),
            Err(problem) => Err(problem),
        }
    }

    /// The oldest workspace of the key's account, or of the oldest account.
    async fn first_place(&self, key: Option<&KeyFacts>) -> Result<Place, Problem> {
        let account = match key {
            Some(key) => key.account,
            None => self.store.oldest_account().await?.ok_or(Problem::NotFound)?,
        };
        let sort = Sort::Created { descending: false };
        let query = Query { sort, limit: 1, ..Query::new(&WORKSPACE, account, None) };
        let first = self.store.list(query).await?.pop().ok_or(Problem::NotFound)?;
        Ok(Place { account, workspace: Some(first.id) })
    }
}

/// Whether a `Host` is no name, or one that only leads here by our own doing: localhost, or the public address.
fn is_own_name(host: &str, public_url: Option<&str>) -> bool {
    let Ok(host) = host.parse::<Authority>() else { return false };
    let name = host.host();
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let public = public_url.and_then(|url| url.parse::<Uri>().ok());
    bare.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || public.and_then(|url| Some(url.host()?.eq_ignore_ascii_case(name))).unwrap_or(false)
}

/// Whether a page of another site made a browser ask this.
fn is_foreign(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return false };
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    origin.map(|(_, authority)| authority) != host
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_a_stranger_can_give_our_address_is_not_ours() {
        let url = Some("https://hooks.example:8443/in");
        for (host, is_ours) in [
            ("127.0.0.1", true),
            ("127.0.0.1:8420", true),
            ("[::1]:8420", true),
            ("[::1]", true),
            ("localhost", true),
            ("LocalHost:1", true),
            ("hooks.example", true),
            ("Hooks.Example:8443", true),
            ("hooks.example.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example:8420", false),
            ("localhost.", false),
            ("127.0.0.1@evil.example", false),
            ("evil.example:8420", false),
            ("", false),
        ] {
            assert_eq!(is_own_name(host, url), is_ours, "{host}");
        }
        assert!(!is_own_name("hooks.example", None));
    }
}
