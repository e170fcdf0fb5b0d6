//! The first records: one account, one workspace, one user with a membership and a key. In: a data folder whose lock
//! the caller holds. Out: where the API is and, the first time only, the key. A folder that has an account is left
//! as it is, but for a workspace when it has none.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};
use serde_json::{Value, json};

use super::record::{Hidden, KeptKey};
use super::write::{self, Batch, Write};
use super::{FILE_NAME, Outgoing, Query, Record, Sort, StoreError, file, read};
use crate::catalogue::{
    self, ACCOUNT, ACCOUNT_MEMBERSHIP, API_KEY, Actor, Beside, Kind, Scene, Subject, USER, Values,
    WORKSPACE, role,
};
use crate::clock::{Clock, Time};
use crate::id::{self, Secret, Uuid};
use crate::verify::key;

const ACCOUNT_NAME: &str = "hookgate";
const WORKSPACE_NAME: &str = "default";
const USER_NAME: &str = "admin";
const KEY_NAME: &str = "bootstrap";

/// What there is to know of the first account.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    /// Whether it was made just now.
    pub created: bool,
    /// Whether the workspace was made just now, with the account or because the account had none left.
    pub workspace_created: bool,
    /// The account.
    pub account_id: Uuid,
    /// Its handle, the first half of what `prefect cloud login --workspace` wants.
    pub account_handle: String,
    /// The workspace.
    pub workspace_id: Uuid,
    /// Its handle, the other half.
    pub workspace_handle: String,
    /// The user's key; only when it was made just now, never again.
    pub api_key: Option<Secret>,
    /// `/api/accounts/…/workspaces/…`
    pub api_path: String,
}

/// Makes the folder and the first records, unless there is an account already; of one that has no workspace any more,
/// only that. The caller holds the folder's lock.
///
/// # Errors
/// When folder or file cannot be made, or the store fails; nothing was made then.
pub fn bootstrap(data: &Path, clock: &Clock) -> Result<Bootstrap, StoreError> {
    let fault = |error: std::io::Error| StoreError::File {
        path: data.to_path_buf(),
        why: error.to_string(),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(fault)?;
    let mut connection = file::open(&data.join(FILE_NAME), None)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let (records, told) = match find(&transaction)? {
        Some((account, Some(workspace))) => return Ok(tell(&account, &workspace, false, None)),
        Some((account, None)) => {
            let workspace = first_workspace(account.id, clock);
            let told = tell(&account, &workspace, true, None);
            let own = companions(&workspace);
            let records: Vec<Record> = [workspace.clone()].into_iter().chain(own).collect();
            (batch(&account, &workspace, records, clock), told)
        }
        None => {
            let first = First::make(clock);
            let told = tell(&first.account, &first.workspace, true, Some(first.secret));
            (batch(&first.account, &first.workspace, first.records, clock), told)
        }
    };
    write::apply(&transaction, &records)?;
    transaction.commit()?;
    Ok(told)
}

fn tell(
    account: &Record,
    workspace: &Record,
    workspace_created: bool,
    api_key: Option<Secret>,
) -> Bootstrap {
    Bootstrap {
        created: api_key.is_some(),
        workspace_created,
        account_id: account.id,
        account_handle: account.text("handle").to_owned(),
        workspace_id: workspace.id,
        workspace_handle: workspace.text("handle").to_owned(),
        api_key,
        api_path: format!("/api/accounts/{}/workspaces/{}", account.id, workspace.id),
    }
}

/// The account that was there first.
pub(super) fn oldest_account(connection: &Connection) -> Result<Option<Uuid>, StoreError> {
    let sql = "SELECT id FROM record WHERE kind = ?1 ORDER BY created, id LIMIT 1";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([ACCOUNT.name])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some(Uuid::from_bytes(row.get(0)?)))
}

/// The oldest account and its oldest workspace, when it has one.
fn find(connection: &Connection) -> Result<Option<(Record, Option<Record>)>, StoreError> {
    let Some(account) = oldest_account(connection)? else { return Ok(None) };
    let sort = Sort::Created { descending: false };
    let query = Query { sort, limit: 1, ..Query::new(&WORKSPACE, account, None) };
    let workspace = read::list(connection, &query)?.pop();
    let account = read::records(connection, &[account])?.pop();
    Ok(account.map(|account| (account, workspace)))
}

/// What an account or a workspace has from its first moment.
fn companions(place: &Record) -> impl Iterator<Item = Record> + use<> {
    let (account, now) = (place.account, place.created);
    let inside = (place.kind.name == WORKSPACE.name).then_some(place.id);
    let kinds = catalogue::companions(place.kind);
    kinds.map(move |kind| Record::only(kind, account, inside, now))
}

fn handled(name: &str) -> Value {
    json!({ "name": name, "handle": name })
}

fn record((id, account): (Uuid, Uuid), kind: &'static Kind, fields: Value, now: Time) -> Record {
    let Value::Object(fields) = fields else {
        return Record::new(id, kind, account, Values::new(), now);
    };
    Record::new(id, kind, account, fields, now)
}

fn first_workspace(account: Uuid, clock: &Clock) -> Record {
    let mut fields = handled(WORKSPACE_NAME);
    fields["description"] = "".into();
    record((id::now(clock), account), &WORKSPACE, fields, clock.now())
}

/// The first records.
struct First {
    account: Record,
    workspace: Record,
    /// Account and workspace with what they have from their first moment; user, membership and key.
    records: Vec<Record>,
    secret: Secret,
}

impl First {
    fn make(clock: &Clock) -> Self {
        let now = clock.now();
        let account_id = id::now(clock);
        let of = |kind, fields| record((id::now(clock), account_id), kind, fields, now);
        let account = record((account_id, account_id), &ACCOUNT, handled(ACCOUNT_NAME), now);
        let workspace = first_workspace(account_id, clock);
        let user = of(
            &USER,
            json!({
                "name": USER_NAME, "handle": USER_NAME, "first_name": "", "last_name": "",
                "email": "", "actor_id": id::now(clock).to_string(),
            }),
        );
        let (secret, lookup, digest) = key::mint(clock, &key::Kind::User);
        let mut kept = of(
            &API_KEY,
            json!({
                "name": KEY_NAME, "expiration": null, "owner_id": user.id.to_string(),
                "masked_key": key::mask(&secret),
            }),
        );
        kept.hidden = Hidden::Key(KeptKey { lookup, digest });
        let membership = of(
            &ACCOUNT_MEMBERSHIP,
            json!({
                "name": USER_NAME, "user_id": user.id.to_string(),
                "account_role_id": role::ACCOUNT_OWNER.id.to_string(), "active": true,
            }),
        );
        let own = companions(&account).chain(companions(&workspace));
        let places = [account.clone(), workspace.clone()].into_iter().chain(own);
        let records = places.chain([user, membership, kept]).collect();
        Self { account, workspace, records, secret }
    }
}

/// Records and the events that say they were made.
fn batch(account: &Record, workspace: &Record, records: Vec<Record>, clock: &Clock) -> Batch {
    let mut batch = Batch::default();
    for record in records {
        let owner = record.reference("owner_id");
        let beside: Vec<Beside> =
            owner.map(|id| Beside { role: USER.name, kind: USER.name, id }).into_iter().collect();
        let subject =
            Subject { kind: record.kind, id: record.id, fields: &record.fields, beside: &beside };
        let place = record.workspace.map(|_| workspace.party());
        let scene = Scene { actor: Actor::system(), account: account.party(), workspace: place };
        let event = catalogue::created(&scene, subject, record.created, id::now(clock));
        let (occurred, workspace) = (record.created, record.workspace);
        batch.events.push(Outgoing { account: account.id, workspace, occurred, event });
        batch.writes.push(Write::Insert(record));
    }
    batch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use crate::store::tests::{Folder, bootstrapped, wait};

    #[test]
    fn an_account_that_has_no_workspace_left_gets_one() {
        let folder = Folder::new();
        let clock = Clock::fixed(Time::from_micros(1_000_000));
        let first = bootstrap(&folder.0, &clock).expect("a first account");
        assert!(first.created && first.workspace_created && first.api_key.is_some());
        let again = bootstrap(&folder.0, &clock).expect("the same");
        assert!(!again.created && !again.workspace_created && again.api_key.is_none());
        assert_eq!(again.api_path, first.api_path);
        let store = Store::open(&folder.0).expect("a store");
        let workspace = wait(store.records(vec![first.workspace_id])).expect("rows").remove(0);
        let ending = wait(store.ending(workspace, 100)).expect("its own");
        let ending = ending.expect("few");
        let writes: Vec<Write> = ending.into_iter().map(Write::Delete).collect();
        wait(store.commit(Batch { writes, events: Vec::new() })).expect("ended");
        drop(store);
        let second = bootstrap(&folder.0, &clock).expect("a workspace");
        assert!(!second.created && second.workspace_created && second.api_key.is_none());
        assert_eq!(second.account_id, first.account_id);
        assert_ne!(second.workspace_id, first.workspace_id);
        assert_eq!(second.workspace_handle, WORKSPACE_NAME);
        let third = bootstrap(&folder.0, &clock).expect("the same");
        assert!(!third.workspace_created && third.workspace_id == second.workspace_id);
        let store = Store::open(&folder.0).expect("a store");
        // The workspace and its settings.
        assert_eq!(wait(store.pending_count()), Ok(bootstrapped() + 2));
    }
}
