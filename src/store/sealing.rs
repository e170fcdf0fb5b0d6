//! What records conceal, sealed in the file. In: a connection, and the keys there are. Out: two functions for its SQL,
//! `conceal` for what is written and `reveal` for what is read, so that nothing else in the store knows of seals; how
//! much is sealed with which key, and all of it sealed anew. Without keys secrets are kept as they are.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, TransactionBehavior};
use serde_json::{Value, json};

use super::record::uuid;
use super::{FILE_NAME, StoreError, file};
use crate::catalogue::{self, Field, Kind, Values};
use crate::id::Uuid;
use crate::seal::{Keys, Ring, SealError, key_name};

/// The only member of what stands in a secret's place.
const SEALED: &str = "sealed";

type Fault = Box<dyn std::error::Error + Send + Sync>;

/// How many secrets there are: in the clear, and by the key that sealed them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seals {
    /// Kept as they are.
    pub clear: u64,
    /// By the names of keys.
    pub sealed: BTreeMap<String, u64>,
}

/// Gives a connection the functions.
pub(super) fn install(connection: &Connection, keys: Option<&Keys>) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
    let present = keys.cloned();
    connection.create_scalar_function("conceal", 3, flags, move |call| {
        let (kind, id, text) = (call.get_raw(0).as_str()?, call.get(1)?, call.get(2)?);
        exchange(kind, id, text, |place, value| {
            let Some(keys) = &present else { return Ok(None) };
            Ok(Some(seal(&*keys.present()?, place, value)))
        })
    })?;
    let present = keys.cloned();
    connection.create_scalar_function("reveal", 3, flags, move |call| {
        let (kind, id, text) = (call.get_raw(0).as_str()?, call.get(1)?, call.get(2)?);
        exchange(kind, id, text, |place, value| {
            let Some(sealed) = sealed(value) else { return Ok(None) };
            let keys = present.as_ref().ok_or_else(|| missing(sealed))?;
            // A file that cannot be read right now keeps nobody from reading records.
            if let Ok(value) = open(&keys.last(), place, sealed) {
                return Ok(Some(value));
            }
            let ring = keys.present()?;
            open(&ring, place, sealed).map(Some)
        })
    })
}

/// Seals what is in the clear or sealed with a former key, and holds that all of it opens.
///
/// # Errors
/// [`StoreError::Sealed`], when something was sealed with a key that is not there; nothing is changed then.
pub(super) fn adopt(connection: &mut Connection, keys: Option<&Keys>) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let ring = keys.map(Keys::present).transpose().map_err(StoreError::Sealed)?;
    let mut changed: Vec<([u8; 16], String)> = Vec::new();
    rows(&transaction, |kind, id, text| {
        let mut is_changed = false;
        let after = exchange(kind, id, text, |place, value| {
            let value = match (sealed(value), &ring) {
                (None, None) => return Ok(None),
                (None, Some(ring)) => seal(ring, place, value),
                (Some(sealed), None) => return Err(missing(sealed).into()),
                (Some(sealed), Some(ring)) => {
                    let opened = open(ring, place, sealed)?;
                    if ring.is_present(sealed) {
                        return Ok(None);
                    }
                    seal(ring, place, &opened)
                }
            };
            is_changed = true;
            Ok(Some(value))
        });
        let after = after.map_err(|fault| unsealed(&fault))?;
        if is_changed {
            changed.push((id, after));
        }
        Ok(())
    })?;
    for (id, text) in &changed {
        transaction.execute("UPDATE record SET fields = ?2 WHERE id = ?1", (id, text))?;
    }
    transaction.commit()?;
    if !changed.is_empty() {
        // What was in the clear is in the journal still.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    }
    Ok(())
}

/// How many secrets a data folder has, and with which keys they are sealed. May be asked while a gateway runs.
///
/// # Errors
/// [`StoreError`].
pub fn seals(data: &Path) -> Result<Seals, StoreError> {
    count(&file::open_again(&data.join(FILE_NAME), None)?)
}

/// Seals all secrets of a data folder with the key that seals now. May be done while a gateway runs.
///
/// # Errors
/// [`StoreError`]; nothing is changed then.
pub fn reseal(data: &Path, keys: &Keys) -> Result<Seals, StoreError> {
    let mut connection = file::open(&data.join(FILE_NAME), Some(keys))?;
    adopt(&mut connection, Some(keys))?;
    count(&connection)
}

/// Ends former keys of a file that are not in use elsewhere, when no secret of a data folder is sealed with any; no
/// change comes between.
///
/// # Errors
/// [`StoreError::Sealed`], when something is, or nobody knows what is in use.
pub fn end_former_keys(
    data: &Path,
    keys: &Keys,
    in_use: &dyn Fn() -> Result<Vec<String>, SealError>,
) -> Result<(), StoreError> {
    let mut connection = file::open(&data.join(FILE_NAME), Some(keys))?;
    // A running gateway seals inside its transactions: while this one lasts it seals nothing.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let ring = keys.present().map_err(StoreError::Sealed)?;
    let seals = count(&transaction)?;
    if let Some(key) = seals.sealed.into_keys().find(|key| key != ring.name()) {
        return Err(StoreError::Sealed(SealError::UnknownKey { key }));
    }
    keys.end_former(in_use).map_err(StoreError::Sealed)?;
    Ok(transaction.commit()?)
}

fn count(connection: &Connection) -> Result<Seals, StoreError> {
    let mut seals = Seals::default();
    rows(connection, |kind, id, text| {
        let counted = exchange(kind, id, text, |_, value| {
            match sealed(value) {
                Some(sealed) => *seals.sealed.entry(key_name(sealed).to_owned()).or_default() += 1,
                None => seals.clear += 1,
            }
            Ok(None)
        });
        counted.map(|_| ()).map_err(|fault| unsealed(&fault))
    })?;
    Ok(seals)
}

/// Goes over the records whose kinds conceal something, as they stand in the file.
fn rows(
    connection: &Connection,
    mut each: impl FnMut(&str, [u8; 16], String) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let kinds = catalogue::KINDS.iter().filter(|kind| concealed(kind).next().is_some());
    let names: Vec<&str> = kinds.map(|kind| kind.name).collect();
    let sql = "SELECT kind, id, fields FROM record WHERE kind IN (SELECT value FROM json_each(?1))";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([json!(names).to_string()])?;
    while let Some(row) = rows.next()? {
        each(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?, row.get(1)?, row.get(2)?)?;
    }
    Ok(())
}

/// A record's fields with another value wherever `other` gives one for what is concealed there.
fn exchange(
    kind: &str,
    id: [u8; 16],
    text: String,
    mut other: impl FnMut(&[u8], &Value) -> Result<Option<Value>, Fault>,
) -> Result<String, rusqlite::Error> {
    let fault = |fault: Fault| rusqlite::Error::UserFunctionError(fault);
    let Some(kind) = catalogue::kind(kind).filter(|kind| concealed(kind).next().is_some()) else {
        return Ok(text);
    };
    let fields = serde_json::from_str(&text);
    let mut fields: Values = fields.map_err(|error| fault(error.into()))?;
    let mut is_changed = false;
    for field in concealed(kind) {
        let Some(value) = fields.get_mut(field.name).filter(|value| !value.is_null()) else {
            continue;
        };
        if let Some(instead) = other(&place(uuid(id), field), value).map_err(fault)? {
            *value = instead;
            is_changed = true;
        }
    }
    if !is_changed {
        return Ok(text);
    }
    serde_json::to_string(&fields).map_err(|error| fault(error.into()))
}

fn concealed(kind: &'static Kind) -> impl Iterator<Item = &'static Field> {
    kind.fields.iter().filter(|field| field.is_concealed())
}

/// Where a secret belongs: a seal that is copied to another record or field does not open.
fn place(id: Uuid, field: &Field) -> Vec<u8> {
    [id.as_bytes().as_slice(), field.name.as_bytes()].concat()
}

fn seal(ring: &Ring, place: &[u8], value: &Value) -> Value {
    json!({ SEALED: ring.seal(place, value.to_string().as_bytes()) })
}

fn open(ring: &Ring, place: &[u8], sealed: &str) -> Result<Value, Fault> {
    Ok(serde_json::from_slice(&ring.open(place, sealed)?)?)
}

/// The seal that stands in a secret's place; a secret itself is a text.
fn sealed(value: &Value) -> Option<&str> {
    value.get(SEALED).and_then(Value::as_str)
}

fn missing(sealed: &str) -> SealError {
    SealError::UnknownKey { key: key_name(sealed).to_owned() }
}

fn unsealed(fault: &rusqlite::Error) -> StoreError {
    let rusqlite::Error::UserFunctionError(inner) = fault else {
        return StoreError::Failed(fault.to_string());
    };
    match inner.downcast_ref::<SealError>() {
        Some(fault) => StoreError::Sealed(fault.clone()),
        None => StoreError::Failed(fault.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::DESTINATION;
    use crate::clock::Clock;
    use crate::id::{self, Secret};
    use crate::store::tests::{Folder, wait};
    use crate::store::{Batch, Bootstrap, Record, Store, Write, bootstrap};

    const BEARER: &str = "a bearer that nobody sees";

    struct House {
        folder: Folder,
        clock: Clock,
        first: Bootstrap,
    }

    impl House {
        fn new() -> Self {
            let (folder, clock) = (Folder::new(), Clock::System);
            let first = bootstrap(&folder.0, &clock).expect("a first account");
            Self { folder, clock, first }
        }

        fn keys(&self) -> Keys {
            Keys::make(&self.folder.0.join("keys")).expect("a file of keys")
        }

        fn open(&self, keys: Option<&Keys>) -> Store {
            Store::open_sealed(&self.folder.0, keys).expect("a store")
        }

        fn destination(&self) -> Record {
            let (id, now) = (id::now(&self.clock), self.clock.now());
            let name = id.to_string();
            let fields = json!({"name": name, "to": "https://d.example/", "bearer": BEARER});
            let fields = fields.as_object().cloned().expect("an object");
            let mut record = Record::new(id, &DESTINATION, self.first.account_id, fields, now);
            record.workspace = Some(self.first.workspace_id);
            record.conceal();
            record
        }

        /// Whether a file of the folder has the text in it.
        fn shows(&self, text: &str) -> bool {
            let files = std::fs::read_dir(&self.folder.0).expect("a folder");
            files.flatten().any(|file| {
                let bytes = std::fs::read(file.path()).unwrap_or_default();
                bytes.windows(text.len()).any(|part| part == text.as_bytes())
            })
        }
    }

    fn insert(store: &Store, record: Record) {
        let writes = vec![Write::Insert(record)];
        wait(store.commit(Batch { writes, events: Vec::new() })).expect("kept");
    }

    fn bearers(store: &Store) -> Vec<String> {
        let records = wait(store.destinations()).expect("destinations");
        let bearer =
            |record: &Record| record.concealed("bearer").map(Secret::expose).map(str::to_owned);
        records.iter().filter_map(bearer).collect()
    }

    #[test]
    fn with_a_key_no_secret_is_in_any_file_and_all_are_read() {
        let house = House::new();
        let keys = house.keys();
        let store = house.open(Some(&keys));
        insert(&store, house.destination());
        assert_eq!(bearers(&store), [BEARER]);
        drop(store);
        assert!(!house.shows(BEARER));
        let name = keys.present().expect("keys").name().to_owned();
        let sealed = [(name, 1)].into();
        assert_eq!(seals(&house.folder.0), Ok(Seals { clear: 0, sealed }));
    }

    #[test]
    fn a_start_with_a_key_seals_what_was_in_the_clear() {
        let house = House::new();
        let store = house.open(None);
        insert(&store, house.destination());
        drop(store);
        assert!(house.shows(BEARER));
        let keys = house.keys();
        let store = house.open(Some(&keys));
        assert_eq!(bearers(&store), [BEARER]);
        drop(store);
        assert!(!house.shows(BEARER), "not even where it was");
        assert_eq!(seals(&house.folder.0).expect("counted").clear, 0);
    }

    #[test]
    fn a_running_store_goes_through_a_rotation() {
        let house = House::new();
        let running = house.keys();
        let store = house.open(Some(&running));
        insert(&store, house.destination());
        let operator = Keys::open(&house.folder.0.join("keys")).expect("keys");
        operator.add().expect("a key");
        insert(&store, house.destination());
        let early = end_former_keys(&house.folder.0, &operator, &|| Ok(Vec::new()));
        assert!(
            matches!(early, Err(StoreError::Sealed(SealError::UnknownKey { .. }))),
            "{early:?}"
        );
        let resealed = reseal(&house.folder.0, &operator).expect("sealed anew");
        assert_eq!(resealed.sealed.values().sum::<u64>(), 2);
        end_former_keys(&house.folder.0, &operator, &|| Ok(Vec::new())).expect("one key");
        insert(&store, house.destination());
        assert_eq!(bearers(&store), [BEARER; 3]);
        assert_eq!(seals(&house.folder.0).expect("counted").sealed.len(), 1);
    }

    #[test]
    fn without_its_key_a_store_does_not_open_and_says_which() {
        let house = House::new();
        let keys = house.keys();
        let store = house.open(Some(&keys));
        insert(&store, house.destination());
        drop(store);
        let name = keys.present().expect("keys").name().to_owned();
        let other = Keys::make(&house.folder.0.join("others")).expect("a file of keys");
        for keys in [None, Some(&other)] {
            let fault = Store::open_sealed(&house.folder.0, keys).expect_err("no key");
            assert_eq!(fault, StoreError::Sealed(SealError::UnknownKey { key: name.clone() }));
        }
        assert_eq!(bearers(&house.open(Some(&keys))), [BEARER], "nothing was lost");
    }

    #[test]
    fn a_seal_opens_in_its_own_record_alone() {
        let house = House::new();
        let keys = house.keys();
        let store = house.open(Some(&keys));
        insert(&store, house.destination());
        insert(&store, house.destination());
        drop(store);
        let connection = file::open(&house.folder.0.join(FILE_NAME), None).expect("a file");
        let sql = "UPDATE record SET fields = (SELECT fields FROM record WHERE kind = 'destination'
                   ORDER BY id LIMIT 1) WHERE kind = 'destination'";
        connection.execute(sql, []).expect("copied");
        drop(connection);
        let fault = Store::open_sealed(&house.folder.0, Some(&keys)).expect_err("not its place");
        assert_eq!(fault, StoreError::Sealed(SealError::Broken));
    }
}
