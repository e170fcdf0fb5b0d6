//! Changes. In: what is made, changed and ended, and the events that say so. Out: all of it on stable storage with one
//! commit, or nothing; then what watchers are to hear. What is unique or referred to is held here, in the transaction.

use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use serde_json::Value;

use super::record::Hidden;
use super::{
    Change, Outgoing, Record, Report, StoreError, Version, audit, outbox, read, report, version,
};
use crate::catalogue::{
    ACCOUNT, ACCOUNT_MEMBERSHIP, ACCOUNT_SETTINGS, API_KEY, DESTINATION, Reach, SESSION, Shape,
    USER, WEBHOOK, WORKSPACE, WORKSPACE_ROLE, role,
};
use crate::id::Uuid;

/// One change.
#[derive(Clone, Debug)]
pub enum Write {
    /// A new record.
    Insert(Record),
    /// A record as it is to be; its revision is the one that was read. One that was not kept until then is made.
    Update(Record),
    /// A record that ends; its revision is the one that was read.
    Delete(Record),
    /// A report that the batch counts; nothing of the batch is kept when it was counted before.
    Count(Report),
    /// What a webhook's template is saved as; behind the change that does.
    Version(Version),
}

/// What is kept together.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Changes, in the order they are made.
    pub writes: Vec<Write>,
    /// Their events, in the order they are handed on.
    pub events: Vec<Outgoing>,
}

/// Commits a batch; what watchers are to hear.
pub(super) fn commit(
    connection: &mut Connection,
    batch: &Batch,
) -> Result<Vec<Change>, StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let changes = apply(&transaction, batch)?;
    transaction.commit()?;
    Ok(changes)
}

/// Makes a batch's changes inside a transaction that somebody else ends.
pub(super) fn apply(
    transaction: &Transaction<'_>,
    batch: &Batch,
) -> Result<Vec<Change>, StoreError> {
    for write in &batch.writes {
        // Records that end together may refer to one another in any order.
        if let Write::Delete(record) = write {
            let sql = "DELETE FROM reference WHERE holder = ?1";
            transaction.execute(sql, [record.id.as_bytes()])?;
        }
    }
    for write in &batch.writes {
        match write {
            Write::Insert(record) => insert(transaction, record)?,
            Write::Update(record) => update(transaction, record)?,
            Write::Delete(record) => delete(transaction, record)?,
            Write::Count(counted) => report::add(transaction, counted)?,
            Write::Version(version) => version::add(transaction, version)?,
        }
    }
    for write in &batch.writes {
        match write {
            Write::Insert(record) | Write::Update(record) => {
                hold_together(transaction, record)?;
                hold_guarded(transaction, record)?;
                hold_apart(transaction, record)?;
                hold_descent(transaction, record)?;
            }
            Write::Delete(_) | Write::Count(_) | Write::Version(_) => {}
        }
    }
    for event in &batch.events {
        outbox::add(transaction, event)?;
        audit::add(transaction, event)?;
    }
    let mut changes = Vec::new();
    for write in &batch.writes {
        changes.extend(change(transaction, write)?);
    }
    Ok(changes)
}

fn insert(transaction: &Transaction<'_>, record: &Record) -> Result<(), StoreError> {
    stands_somewhere(transaction, record)?;
    let (lookup, secret) = hidden(&record.hidden);
    let (former, former_ends) = former(&record.hidden);
    transaction.execute(
        "INSERT INTO record (id, kind, account, workspace, name, fields, lookup, secret, revision,
         created, updated, former, former_ends)
         VALUES (?1, ?2, ?3, ?4, ?5, conceal(?2, ?1, ?6), ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        params![
            record.id.as_bytes(),
            record.kind.name,
            record.account.as_bytes(),
            record.workspace.map(Uuid::into_bytes),
            record.text("name"),
            text(record)?,
            lookup,
            secret,
            record.revision.max(1),
            record.created.micros(),
            record.updated.micros(),
            former,
            former_ends,
        ],
    )?;
    bind(transaction, record, false)
}

/// Holds that what a record belongs to is there: it may have ended since it was looked at.
fn stands_somewhere(transaction: &Transaction<'_>, record: &Record) -> Result<(), StoreError> {
    let is_own = record.account == record.id;
    let account = (ACCOUNT.name, Some(record.account).filter(|_| !is_own), "account_id");
    let workspace = (WORKSPACE.name, record.workspace, "workspace_id");
    for (kind, place, field) in [account, workspace] {
        let Some(place) = place else { continue };
        let sql = "SELECT count(*) FROM record WHERE id = ?1 AND kind = ?2";
        let found: i64 =
            transaction.query_row(sql, params![place.as_bytes(), kind], |row| row.get(0))?;
        if found == 0 {
            return Err(StoreError::Dangling { field });
        }
    }
    Ok(())
}

/// Holds that what is in a workspace belongs to the workspace's account: it may have moved since it was looked at, or
/// something may have been put into it.
fn hold_together(transaction: &Transaction<'_>, record: &Record) -> Result<(), StoreError> {
    let sql = match (record.kind.name, record.workspace) {
        (kind, _) if kind == WORKSPACE.name => {
            "SELECT count(*) FROM record WHERE workspace = ?1 AND account <> ?2"
        }
        (_, Some(_)) => "SELECT count(*) FROM record WHERE id = ?1 AND account <> ?2",
        (_, None) => return Ok(()),
    };
    let place = record.workspace.unwrap_or(record.id);
    let parameters = params![place.as_bytes(), record.account.as_bytes()];
    match transaction.query_row(sql, parameters, |row| row.get::<_, i64>(0))? {
        0 => Ok(()),
        _ => Err(StoreError::Stale),
    }
}

/// Holds that no webhook is enabled without a service account while its account demands one. Somebody else changed
/// the other of the two since it was looked at.
fn hold_guarded(transaction: &Transaction<'_>, record: &Record) -> Result<(), StoreError> {
    let is_open = record.flag("enabled") && record.reference("service_account_id").is_none();
    let sql = match record.kind.name {
        kind if kind == WEBHOOK.name && is_open => {
            "SELECT count(*) FROM record WHERE kind = 'account-settings' AND account = ?1
             AND fields ->> 'enforce_webhook_authentication'"
        }
        kind if kind == ACCOUNT_SETTINGS.name && record.flag("enforce_webhook_authentication") => {
            "SELECT count(*) FROM record WHERE kind = 'webhook' AND account = ?1
             AND fields ->> 'enabled' AND fields ->> 'service_account_id' IS NULL"
        }
        _ => return Ok(()),
    };
    let account = record.account.as_bytes();
    match transaction.query_row(sql, [account], |row| row.get::<_, i64>(0))? {
        0 => Ok(()),
        _ => Err(StoreError::Stale),
    }
}

/// Holds that no secret of a record is another's former one. That two present ones, or two former ones, differ the
/// indices hold.
fn hold_apart(transaction: &Transaction<'_>, record: &Record) -> Result<(), StoreError> {
    let Hidden::Slug(_) = &record.hidden else { return Ok(()) };
    let ((_, secret), (former, _)) = (hidden(&record.hidden), former(&record.hidden));
    let sql = "SELECT EXISTS (SELECT 1 FROM record WHERE kind = ?1 AND former = ?2)
               OR EXISTS (SELECT 1 FROM record WHERE kind = ?1 AND secret = ?3)";
    let parameters = params![record.kind.name, secret, former];
    let is_taken: bool = transaction.query_row(sql, parameters, |row| row.get(0))?;
    let fault = StoreError::Taken { kind: record.kind.name, field: "slug" };
    if is_taken { Err(fault) } else { Ok(()) }
}

/// Holds that no role inherits from itself by a detour: somebody else changed one that it inherits from since it was
/// looked at.
fn hold_descent(transaction: &Transaction<'_>, record: &Record) -> Result<(), StoreError> {
    if record.kind.name != WORKSPACE_ROLE.name {
        return Ok(());
    }
    let sql = "WITH RECURSIVE above (role) AS (
                   SELECT target FROM reference WHERE holder = ?1 AND field = 'inherited_role_id'
                   UNION SELECT target FROM above JOIN reference ON holder = role
                   WHERE field = 'inherited_role_id'
               ) SELECT EXISTS (SELECT 1 FROM above WHERE role = ?1)";
    let is_ring: bool = transaction.query_row(sql, [record.id.as_bytes()], |row| row.get(0))?;
    if is_ring { Err(StoreError::Stale) } else { Ok(()) }
}

fn update(transaction: &Transaction<'_>, record: &Record) -> Result<(), StoreError> {
    if record.is_unkept() {
        let is_kept = !read::records(transaction, &[record.id])?.is_empty();
        return if is_kept { Err(StoreError::Stale) } else { insert(transaction, record) };
    }
    let (lookup, secret) = hidden(&record.hidden);
    let (former, former_ends) = former(&record.hidden);
    let keeps_name = shares_name(transaction, record)?;
    let rows = transaction.execute(
        "UPDATE record SET name = ?3, fields = conceal(kind, id, ?4), lookup = ?5, secret = ?6, updated = ?7,
         account = ?8, workspace = ?9, former = ?10, former_ends = ?11, revision = revision + 1
         WHERE id = ?1 AND revision = ?2",
        params![
            record.id.as_bytes(),
            record.revision,
            record.text("name"),
            text(record)?,
            lookup,
            secret,
            record.updated.micros(),
            record.account.as_bytes(),
            record.workspace.map(Uuid::into_bytes),
            former,
            former_ends,
        ],
    )?;
    if rows == 0 {
        return Err(StoreError::Stale);
    }
    transaction.execute("DELETE FROM sole_value WHERE record = ?1", [record.id.as_bytes()])?;
    transaction.execute("DELETE FROM reference WHERE holder = ?1", [record.id.as_bytes()])?;
    bind(transaction, record, keeps_name)
}

/// Whether a record shared its name before names were its kind's own, and is not given another now.
fn shares_name(transaction: &Transaction<'_>, record: &Record) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (
                   SELECT 1 FROM record WHERE id = ?1 AND name = ?2 AND NOT EXISTS (
                       SELECT 1 FROM sole_value WHERE record = ?1 AND field = 'name'))";
    Ok(transaction
        .query_row(sql, params![record.id.as_bytes(), record.text("name")], |row| row.get(0))?)
}

fn delete(transaction: &Transaction<'_>, record: &Record) -> Result<(), StoreError> {
    let id = record.id.as_bytes();
    let count = "SELECT count(*) FROM reference WHERE target = ?1";
    let holders: i64 = transaction.query_row(count, [id], |row| row.get(0))?;
    if holders > 0 {
        return Err(StoreError::InUse { holders: holders.unsigned_abs() });
    }
    // Somebody put something into it since it was looked at.
    let inside: i64 = transaction.query_row(
        "SELECT count(*) FROM record WHERE workspace = ?1 OR (account = ?1 AND id <> ?1)",
        [id],
        |row| row.get(0),
    )?;
    if inside > 0 {
        return Err(StoreError::Stale);
    }
    let sql = "DELETE FROM record WHERE id = ?1 AND revision = ?2";
    match transaction.execute(sql, params![id, record.revision])? {
        0 => Err(StoreError::Stale),
        _ => stay_somewhere(transaction, record),
    }
}

/// Holds that an account is left: without one nobody could come in again.
fn stay_somewhere(transaction: &Transaction<'_>, gone: &Record) -> Result<(), StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM record WHERE kind = ?1)";
    let stays: bool = transaction.query_row(sql, [ACCOUNT.name], |row| row.get(0))?;
    if stays || gone.kind.name != ACCOUNT.name { Ok(()) } else { Err(StoreError::LastAccount) }
}

/// Notes what of a record must stay the only one, but for a name that it `keeps`, and what it refers to.
fn bind(
    transaction: &Transaction<'_>,
    record: &Record,
    keeps_name: bool,
) -> Result<(), StoreError> {
    for field in record.kind.fields {
        let Some(value) = record.fields.get(field.name).and_then(Value::as_str) else { continue };
        if let Some(reach) = field.unique {
            let within = match reach {
                Reach::Workspace => record.workspace.unwrap_or(record.account),
                Reach::Account => record.account,
                Reach::Everywhere => Uuid::nil(),
            };
            let rows = transaction.execute(
                "INSERT OR IGNORE INTO sole_value (kind, account, field, value, record)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    record.kind.name,
                    within.as_bytes(),
                    field.name,
                    value,
                    record.id.as_bytes()
                ],
            )?;
            if rows == 0 && !(keeps_name && field.name == "name") {
                return Err(StoreError::Taken { kind: record.kind.name, field: field.name });
            }
        }
        if let Shape::Reference(kinds) = field.shape {
            let target = record.reference(field.name);
            if target.and_then(role::built_in).is_some_and(|role| kinds.contains(&role.kind())) {
                continue;
            }
            let found = match target {
                Some(target) => read::records(transaction, &[target])?,
                None => Vec::new(),
            };
            // People belong to more than one account.
            let fits = |target: &&Record| {
                kinds.contains(&target.kind.name)
                    && (target.account == record.account || target.kind.name == USER.name)
            };
            let target = found.iter().find(fits);
            let target = target.ok_or(StoreError::Dangling { field: field.name })?;
            transaction.execute(
                "INSERT INTO reference (holder, field, target) VALUES (?1, ?2, ?3)",
                params![record.id.as_bytes(), field.name, target.id.as_bytes()],
            )?;
        }
    }
    Ok(())
}

/// What watchers hear of a change, as things stand when all of its batch is made.
fn change(transaction: &Transaction<'_>, write: &Write) -> Result<Vec<Change>, StoreError> {
    if let Some(owner) = member(write) {
        let keys = read::keys_of(transaction, owner)?;
        return Ok(keys.into_iter().map(Change::Key).collect());
    }
    let (record, gone) = match write {
        Write::Insert(record) => (record, false),
        Write::Update(record) => {
            // Webhooks carry the names of what they live in.
            if [ACCOUNT.name, WORKSPACE.name].contains(&record.kind.name) {
                let inside = read::webhooks_in(transaction, record.id)?;
                return Ok(inside.into_iter().map(|one| Change::Webhook(Box::new(one))).collect());
            }
            (record, false)
        }
        Write::Delete(record) => (record, true),
        Write::Count(_) | Write::Version(_) => return Ok(Vec::new()),
    };
    Ok(match (record.kind.name, gone) {
        (kind, true) if kind == WEBHOOK.name => vec![Change::WebhookGone(record.id)],
        (kind, false) if kind == WEBHOOK.name => {
            vec![Change::Webhook(Box::new(read::webhook(transaction, record)?))]
        }
        (kind, true) if kind == DESTINATION.name => vec![Change::DestinationGone(record.id)],
        (kind, false) if kind == DESTINATION.name => {
            vec![Change::Destination(Box::new(record.clone()))]
        }
        (kind, true) if is_key(kind) => vec![Change::KeyGone(record.id)],
        (kind, false) if is_key(kind) => vec![Change::Key(read::key(transaction, record)?)],
        _ => Vec::new(),
    })
}

/// Whose keys count, or not, by a change of a membership.
fn member(write: &Write) -> Option<Uuid> {
    let (Write::Insert(record) | Write::Update(record) | Write::Delete(record)) = write else {
        return None;
    };
    let is_membership = record.kind.name == ACCOUNT_MEMBERSHIP.name;
    let owner = record.reference("user_id").or_else(|| record.reference("bot_id"));
    owner.filter(|_| is_membership)
}

fn is_key(kind: &str) -> bool {
    [API_KEY.name, SESSION.name].contains(&kind)
}

fn hidden(hidden: &Hidden) -> (Option<&str>, Option<&[u8]>) {
    match hidden {
        // Those stand among the fields.
        Hidden::Nothing | Hidden::Concealed(_) => (None, None),
        Hidden::Slug(slug) => (None, Some(slug.present.expose().as_bytes())),
        Hidden::Password(secret) => (None, Some(secret.expose().as_bytes())),
        Hidden::Key(key) => (Some(&key.lookup), Some(&key.digest)),
    }
}

fn former(hidden: &Hidden) -> (Option<&[u8]>, Option<i64>) {
    let Hidden::Slug(slug) = hidden else { return (None, None) };
    let former = slug.former.as_ref();
    former.map(|former| (former.slug.expose().as_bytes(), former.ends.micros())).unzip()
}

fn text(record: &Record) -> Result<String, StoreError> {
    let fault = |error: serde_json::Error| StoreError::Failed(error.to_string());
    let Some(secrets) = record.secrets() else {
        return serde_json::to_string(&record.fields).map_err(fault);
    };
    let mut fields = record.fields.clone();
    fields.extend(secrets.iter().map(|(name, secret)| (name.clone(), secret.expose().into())));
    serde_json::to_string(&fields).map_err(fault)
}
