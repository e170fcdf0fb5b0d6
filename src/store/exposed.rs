//! What records leave open, or refuse to all, for whoever looks for that. In: a data folder, a gateway may run on it.
//! Out: their names, at most [`NAMES_MAX`] of each kind, and how many there are. Opens no seal, changes nothing.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::Connection;

use super::record::uuid;
use super::{FILE_NAME, StoreError, VERIFICATION, Verification, file};
use crate::catalogue::{API_KEY, DESTINATION, SERVICE_ACCOUNT, Values, WEBHOOK};
use crate::id::Secret;
use crate::verify::allowlist::Networks;

/// Most names of each.
const NAMES_MAX: usize = 5;

/// So many records, and the names of some.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Several {
    /// How many.
    pub count: u64,
    /// Some of their names.
    pub names: Vec<String>,
}

/// What is open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exposed {
    /// Webhooks that take all that comes to their slug, from nearly everywhere.
    pub open: Several,
    /// Webhooks that verify what comes, and take what is not verified.
    pub labelling: Several,
    /// Service accounts with a key that never ends.
    pub endless: Several,
    /// Destinations at an address that was said to be so.
    pub clear: Several,
    /// Webhooks whose senders show certificates, as was said of their providers.
    pub certified: Several,
}

impl Several {
    fn add(&mut self, name: &str) {
        self.count += 1;
        if self.names.len() < NAMES_MAX {
            self.names.push(name.to_owned());
        }
    }
}

/// Looks at all records of a data folder; `is_clear` judges addresses of destinations, `is_certified` providers of
/// verifications.
///
/// # Errors
/// [`StoreError`].
pub fn exposed(
    data: &Path,
    is_clear: impl Fn(&str) -> bool,
    is_certified: impl Fn(&str) -> bool,
) -> Result<Exposed, StoreError> {
    let connection = file::open_again(&data.join(FILE_NAME), None)?;
    let each = |kind, look: &mut dyn FnMut([u8; 16], &str, &Values)| each(&connection, kind, look);
    let mut found = Exposed::default();
    each(WEBHOOK.name, &mut |_, name, fields| {
        let said = |name: &str| fields.get(name).filter(|value| !value.is_null());
        let provider = said(VERIFICATION).and_then(|said| said["provider"].as_str());
        if provider.is_some_and(&is_certified) {
            found.certified.add(name);
        }
        let networks = said("networks").and_then(|said| Networks::read(said.as_array()?).ok());
        let is_near = networks.is_some_and(|networks| !networks.are_wide());
        let is_bound = said("service_account_id").is_some() || is_near;
        if is_bound || said("enabled").is_some_and(|enabled| enabled == false) {
            return;
        }
        match said(VERIFICATION) {
            None => found.open.add(name),
            Some(said) if said["required"] == false => found.labelling.add(name),
            Some(_) => {}
        }
    })?;
    each(DESTINATION.name, &mut |_, name, fields| {
        let to = fields.get("to").and_then(serde_json::Value::as_str);
        if to.is_some_and(&is_clear) {
            found.clear.add(name);
        }
    })?;
    let mut accounts = HashMap::new();
    each(SERVICE_ACCOUNT.name, &mut |id, name, _| {
        accounts.insert(uuid(id).to_string(), name.to_owned());
    })?;
    each(API_KEY.name, &mut |_, _, fields| {
        let owner = fields.get("owner_id").and_then(serde_json::Value::as_str).unwrap_or_default();
        let is_endless = fields.get("expiration").is_none_or(serde_json::Value::is_null);
        if is_endless && let Some(name) = accounts.remove(owner) {
            found.endless.add(&name);
        }
    })?;
    Ok(found)
}

/// Webhooks that are to be verified and refuse every request: `fault` says why one does. Secrets are told as blanks, as
/// no seal is opened.
///
/// # Errors
/// [`StoreError`].
pub fn unfit(
    data: &Path,
    fault: impl Fn(&Verification) -> Option<String>,
) -> Result<Several, StoreError> {
    let connection = file::open_again(&data.join(FILE_NAME), None)?;
    let mut found = Several::default();
    each(&connection, WEBHOOK.name, &mut |_, name, fields| {
        if fields.get("enabled").is_some_and(|enabled| enabled == false) {
            return;
        }
        let told = fields.get(VERIFICATION).and_then(serde_json::Value::as_object);
        let said = told.and_then(|told| Verification::read(told, |_| Some(Secret::new(""))));
        if let Some(why) = said.and_then(|said| fault(&said)) {
            found.add(&format!("{name}: {why}"));
        }
    })?;
    Ok(found)
}

fn each(
    connection: &Connection,
    kind: &str,
    look: &mut dyn FnMut([u8; 16], &str, &Values),
) -> Result<(), StoreError> {
    let mut statement =
        connection.prepare("SELECT id, name, fields FROM record WHERE kind = ?1")?;
    let mut rows = statement.query([kind])?;
    while let Some(row) = rows.next()? {
        let (id, name, text): (_, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        look(id, &name, &serde_json::from_str(&text).unwrap_or_default());
    }
    Ok(())
}
