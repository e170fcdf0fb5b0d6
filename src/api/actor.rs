//! Who calls, and whether they may. In: a route and the request's head. Out: a call with its scene, or the reason why
//! not, which says nothing of what belongs to others. Keys are looked up in memory.

use std::sync::Arc;

use http::header::AUTHORIZATION;

use super::problem::Problem;
use super::{Admission, Api, Asked, Call};
use crate::catalogue::{
    self, ACCOUNT, ACCOUNT_MEMBERSHIP, Actor, Fault, Role, Route, SERVICE_ACCOUNT, Scene, WORKSPACE,
};
use crate::id::Uuid;
use crate::request::Arrival;
use crate::store::Record;
use crate::verify::key::{KeyFacts, bearer};

/// Whoever presented a valid key.
pub(super) struct Caller {
    /// The user or the service account.
    pub(super) owner: Record,
    /// The account the key belongs to.
    pub(super) account: Record,
    /// What they may do there.
    pub(super) role: Role,
    /// A user's membership of the account; service accounts have none.
    pub(super) membership: Option<Record>,
}

impl Caller {
    fn actor(&self) -> Actor {
        let text = |field| self.owner.text(field).to_owned();
        let is_user = self.membership.is_some();
        Actor {
            id: self.owner.reference("actor_id").unwrap_or(self.owner.id),
            name: text("name"),
            handle: if is_user { text("handle") } else { text("name") },
            email: text("email"),
        }
    }
}

/// The ids in a path.
struct Ids {
    account: Uuid,
    workspace: Option<Uuid>,
    record: Option<Uuid>,
}

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
                let (caller, _) = self.identify(&key, None).await?;
                return Ok(Admission::Page(page, Some(Box::new(caller))));
            }
            Asked::Verb(route) => route,
        };
        let key = self.authenticate(arrival)?;
        let ids = read_ids(&route)?;
        if ids.account != key.account {
            return Err(Problem::NotFound);
        }
        let (caller, workspace) = self.identify(&key, ids.workspace).await?;
        if ids.workspace.is_some() != workspace.is_some() {
            return Err(Problem::NotFound);
        }
        if !caller.role.allows(route.verb.needs) {
            return Err(Problem::Forbidden);
        }
        let scene = Scene {
            actor: caller.actor(),
            account: caller.account.party(),
            workspace: workspace.as_ref().map(Record::party),
        };
        let call = Call { kind: route.kind, verb: route.verb, scene, id: ids.record };
        Ok(Admission::Call(Box::new(call)))
    }

    /// The key of a request; the same reply whatever is wrong with it.
    fn authenticate(&self, arrival: &Arrival) -> Result<Arc<KeyFacts>, Problem> {
        let token = arrival.header(AUTHORIZATION.as_str()).and_then(bearer);
        let key = token.and_then(|token| self.keys.check(token, self.clock.now()));
        key.ok_or(Problem::Unauthorized)
    }

    /// The owner of a key, what they may do, and the workspace when it is one of their account's.
    async fn identify(
        &self,
        key: &KeyFacts,
        workspace: Option<Uuid>,
    ) -> Result<(Caller, Option<Record>), Problem> {
        let wanted = [key.owner, key.account].into_iter().chain(workspace).collect();
        let mut records = self.store.records(wanted).await?;
        let mut take = |id: Uuid, kind: &str| {
            let place = records.iter().position(|record| {
                record.id == id && record.kind.name == kind && record.account == key.account
            })?;
            Some(records.swap_remove(place))
        };
        let kind = if key.service { SERVICE_ACCOUNT.name } else { catalogue::USER.name };
        // Ended since the key was looked up.
        let owner = take(key.owner, kind).ok_or(Problem::Unauthorized)?;
        let account = take(key.account, ACCOUNT.name).ok_or(Problem::Unauthorized)?;
        let workspace = workspace.and_then(|id| take(id, WORKSPACE.name));
        let membership = if key.service {
            None
        } else {
            let held = self.store.holders(ACCOUNT_MEMBERSHIP.name, vec![owner.id]).await?;
            let ours = held.into_iter().find(|membership| membership.account == account.id);
            Some(ours.ok_or(Problem::NotFound)?)
        };
        let role = membership.as_ref().unwrap_or(&owner).text("account_role_name");
        let role = Role::named(role).unwrap_or(Role::Member);
        Ok((Caller { owner, account, role, membership }, workspace))
    }
}

/// The ids of a path; every one that is none is a fault.
fn read_ids(route: &Route<'_>) -> Result<Ids, Problem> {
    let mut faults = Vec::new();
    let mut read = |name: &str, text: Option<&str>| {
        let text = text?;
        let id = catalogue::is_id(text);
        if id.is_none() {
            let says = "Input should be a valid UUID";
            faults.push(Fault::new("uuid_parsing", &["path", name], says));
        }
        id
    };
    let account = read("account_id", Some(route.account));
    let workspace = read("workspace_id", route.workspace);
    let record = read(route.kind.id_name, route.id);
    match account {
        Some(account) if faults.is_empty() => Ok(Ids { account, workspace, record }),
        _ => Err(Problem::Invalid(faults)),
    }
}
