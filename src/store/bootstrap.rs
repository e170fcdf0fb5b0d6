//! The first records: one account, one workspace, one user with a membership and a key. In: a data folder whose lock
//! the caller holds. Out: where the API is and, the first time only, the key. A folder that has an account is left
//! as it is.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};
use serde_json::json;

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

/// Makes the folder and the first records, unless there is an account already. The caller holds the folder's lock.
///
/// # Errors
/// When folder or file cannot be made, or the store fails; nothing was made then.
pub fn bootstrap(data: &Path, clock: &Clock) -> Result<Bootstrap, StoreError> {
    let fault = |error: std::io::Error| StoreError::File {
        path: data.to_path_buf(),
        why: error.to_string(),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(fault)?;
    let mut connection = file::open(&data.join(FILE_NAME))?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if let Some((account, workspace)) = find(&transaction)? {
        return Ok(tell(&account, &workspace, None));
    }
    let first = First::make(clock);
    write::apply(&transaction, &first.batch(clock))?;
    transaction.commit()?;
    Ok(tell(&first.account, &first.workspace, Some(first.secret)))
}

fn tell(account: &Record, workspace: &Record, api_key: Option<Secret>) -> Bootstrap {
    Bootstrap {
        created: api_key.is_some(),
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

/// The oldest account and its oldest workspace.
fn find(connection: &Connection) -> Result<Option<(Record, Record)>, StoreError> {
    let Some(account) = oldest_account(connection)? else { return Ok(None) };
    let sort = Sort::Created { descending: false };
    let query = Query { sort, limit: 1, ..Query::new(&WORKSPACE, account, None) };
    let workspace = read::list(connection, &query)?.pop();
    let account = read::records(connection, &[account])?.pop();
    Ok(account.zip(workspace))
}

/// The first records.
struct First {
    account: Record,
    workspace: Record,
    /// What account and workspace have from their first moment; user, membership and key.
    others: Vec<Record>,
    secret: Secret,
    now: Time,
}

impl First {
    fn make(clock: &Clock) -> Self {
        let now = clock.now();
        let account_id = id::now(clock);
        let record = |id: Uuid, kind: &'static Kind, fields: serde_json::Value| {
            let fields: Values = fields.as_object().cloned().unwrap_or_default();
            Record::new(id, kind, account_id, fields, now)
        };
        let handled = |name: &str| json!({ "name": name, "handle": name });
        let account = record(account_id, &ACCOUNT, handled(ACCOUNT_NAME));
        let mut workspace = record(id::now(clock), &WORKSPACE, handled(WORKSPACE_NAME));
        workspace.fields.insert("description".to_owned(), "".into());
        let user_id = id::now(clock);
        let user = json!({
            "name": USER_NAME, "handle": USER_NAME, "first_name": "", "last_name": "",
            "email": "", "actor_id": id::now(clock).to_string(),
        });
        let membership = json!({
            "name": USER_NAME, "user_id": user_id.to_string(),
            "account_role_id": role::ACCOUNT_OWNER.id.to_string(), "active": true,
        });
        let (secret, lookup, digest) = key::mint(clock, &key::Kind::User);
        let mut kept = record(
            id::now(clock),
            &API_KEY,
            json!({
                "name": KEY_NAME, "expiration": null, "owner_id": user_id.to_string(),
                "masked_key": key::mask(&secret),
            }),
        );
        kept.hidden = Hidden::Key(KeptKey { lookup, digest });
        let companions = [(&account, None), (&workspace, Some(workspace.id))];
        let companions = companions.into_iter().flat_map(|(place, inside)| {
            let kinds = catalogue::companions(place.kind);
            kinds.map(move |kind| Record::only(kind, account_id, inside, now))
        });
        let others = companions.collect::<Vec<_>>().into_iter().chain([
            record(user_id, &USER, user),
            record(id::now(clock), &ACCOUNT_MEMBERSHIP, membership),
            kept,
        ]);
        let others = others.collect();
        Self { account, workspace, others, secret, now }
    }

    /// The records and the events that say they were made.
    fn batch(&self, clock: &Clock) -> Batch {
        let records = [&self.account, &self.workspace].into_iter().chain(&self.others);
        let mut batch = Batch::default();
        for record in records {
            let owner = record.reference("owner_id");
            let beside: Vec<Beside> = owner
                .map(|id| Beside { role: USER.name, kind: USER.name, id })
                .into_iter()
                .collect();
            let subject = Subject {
                kind: record.kind,
                id: record.id,
                fields: &record.fields,
                beside: &beside,
            };
            let workspace = record.workspace;
            let place = workspace.map(|_| self.workspace.party());
            let scene =
                Scene { actor: Actor::system(), account: self.account.party(), workspace: place };
            let event = catalogue::created(&scene, subject, self.now, id::now(clock));
            let account = self.account.id;
            batch.events.push(Outgoing { account, workspace, occurred: self.now, event });
            batch.writes.push(Write::Insert(record.clone()));
        }
        batch
    }
}
