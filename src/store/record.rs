//! A record and its row. In: a row, or a record. Out: the other. What is hidden in a record has no formatter.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::Row;
use serde_json::Value;

use super::{Dedup, Key, Party, StoreError, Verification, WINDOW_SECONDS, Webhook, moment};
use crate::catalogue::{self, Kind, Values};
use crate::clock::Time;
use crate::id::{Secret, Uuid};
use crate::parse::redact::Rules;
use crate::request::FixedReply;
use crate::verify::allowlist::Networks;

/// The field that tells how a webhook's requests are verified, and the one that holds the secrets, by their names.
pub const VERIFICATION: &str = "verification";
/// See [`VERIFICATION`].
pub const VERIFICATION_SECRETS: &str = "verification_secrets";

/// The field that tells what is not kept of a webhook's requests.
pub const REDACT: &str = "redact";
/// The field of a webhook that says what is told to whose request it took.
pub const REPLY: &str = "reply";

/// What a record holds beside its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hidden {
    /// Nothing.
    Nothing,
    /// Secret path parts, as they are.
    Slug(Slug),
    /// All that is kept of a key, or of another secret that is told once.
    Key(KeptKey),
    /// What is kept of a person's password.
    Password(Secret),
    /// Secrets that bodies set, by the names of their fields; kept among the fields.
    Concealed(BTreeMap<String, Secret>),
}

/// A secret path part, and the one before it while both are good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slug {
    /// The one that is told.
    pub present: Secret,
    /// The one before it; `None` when it ended at once.
    pub former: Option<Former>,
    /// Other secrets that bodies set, as of [`Hidden::Concealed`].
    pub beside: BTreeMap<String, Secret>,
}

/// A secret path part that was replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Former {
    /// What it was.
    pub slug: Secret,
    /// From then on it is unknown.
    pub ends: Time,
}

impl Slug {
    /// A path part without one before it.
    #[must_use]
    pub fn new(present: Secret) -> Self {
        Self { present, former: None, beside: BTreeMap::new() }
    }
}

/// How a key is looked up, and its digest.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptKey {
    /// The first 12 characters after the prefix.
    pub lookup: String,
    /// SHA-256 of the whole key.
    pub digest: [u8; 32],
}

impl std::fmt::Debug for KeptKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// The revision of a record that is not kept yet.
const UNKEPT: i64 = 0;

/// One record of any kind.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its id.
    pub id: Uuid,
    /// Its kind.
    pub kind: &'static Kind,
    /// Its account; an account is its own.
    pub account: Uuid,
    /// Its workspace, for kinds that live in one.
    pub workspace: Option<Uuid>,
    /// The table's fields, those that are made and not hidden among them.
    pub fields: Values,
    /// What no formatter shows.
    pub hidden: Hidden,
    /// Rises with every change.
    pub revision: i64,
    /// When it was made.
    pub created: Time,
    /// When it was last changed.
    pub updated: Time,
}

impl Record {
    /// A new record.
    #[must_use]
    pub fn new(id: Uuid, kind: &'static Kind, account: Uuid, fields: Values, now: Time) -> Self {
        Self {
            id,
            kind,
            account,
            workspace: None,
            fields,
            hidden: Hidden::Nothing,
            revision: 1,
            created: now,
            updated: now,
        }
    }

    /// The only record of its kind that a place has, as nobody changed it yet and before it is kept.
    #[must_use]
    pub fn only(kind: &'static Kind, account: Uuid, workspace: Option<Uuid>, now: Time) -> Self {
        let id = kind.id_in(workspace.unwrap_or(account));
        let record = Self::new(id, kind, account, kind.defaults(), now);
        Self { workspace, revision: UNKEPT, ..record }
    }

    pub(super) fn is_unkept(&self) -> bool {
        self.revision == UNKEPT
    }

    /// A field's text; empty when it has none.
    #[must_use]
    pub fn text(&self, field: &str) -> &str {
        self.fields.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    /// The id a field holds.
    #[must_use]
    pub fn reference(&self, field: &str) -> Option<Uuid> {
        self.fields.get(field).and_then(Value::as_str).and_then(catalogue::is_id)
    }

    /// The moment a field holds.
    #[must_use]
    pub fn instant(&self, field: &str) -> Option<Time> {
        self.fields.get(field).and_then(Value::as_str).and_then(Time::parse)
    }

    /// Whether a field holds true.
    #[must_use]
    pub fn flag(&self, field: &str) -> bool {
        self.fields.get(field).and_then(Value::as_bool).unwrap_or(false)
    }

    /// Whether a membership lets its holder in: unless it says that it does not.
    #[must_use]
    pub fn lets_in(&self) -> bool {
        self.fields.get("active") != Some(&false.into())
    }

    /// The secret of a field that a body set.
    #[must_use]
    pub fn concealed(&self, field: &str) -> Option<&Secret> {
        self.secrets()?.get(field)
    }

    /// The secrets that stand among the fields in the file.
    pub(super) fn secrets(&self) -> Option<&BTreeMap<String, Secret>> {
        match &self.hidden {
            Hidden::Concealed(secrets) => Some(secrets),
            Hidden::Slug(slug) => Some(&slug.beside),
            _ => None,
        }
    }

    /// Puts the secrets that a body set where nothing shows them; a null, or an empty list, ends one. Their names.
    pub fn conceal(&mut self) -> Vec<&'static str> {
        let mut secrets = match &mut self.hidden {
            Hidden::Concealed(secrets) => std::mem::take(secrets),
            Hidden::Slug(slug) => std::mem::take(&mut slug.beside),
            _ => BTreeMap::new(),
        };
        let mut set = Vec::new();
        for field in self.kind.fields.iter().filter(|field| field.is_concealed()) {
            match self.fields.remove(field.name) {
                None => continue,
                Some(Value::String(text)) => {
                    secrets.insert(field.name.to_owned(), Secret::new(text));
                }
                // A list is kept as lines.
                Some(Value::Array(list)) if !list.is_empty() => {
                    let lines: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
                    secrets.insert(field.name.to_owned(), Secret::new(lines.join("\n")));
                }
                Some(_) => {
                    secrets.remove(field.name);
                }
            }
            set.push(field.name);
        }
        match &mut self.hidden {
            Hidden::Slug(slug) => slug.beside = secrets,
            Hidden::Concealed(_) if secrets.is_empty() => self.hidden = Hidden::Nothing,
            Hidden::Nothing if secrets.is_empty() => {}
            hidden => *hidden = Hidden::Concealed(secrets),
        }
        set
    }

    /// The record as events name an owner.
    #[must_use]
    pub fn party(&self) -> Party {
        let (name, handle) = (self.text("name").to_owned(), self.text("handle").to_owned());
        Party { id: self.id, name, handle }
    }

    /// The record as hooks need it; `None` when it is no webhook.
    pub(super) fn webhook(&self, account: Party, workspace: Party) -> Option<Webhook> {
        let Hidden::Slug(slug) = &self.hidden else { return None };
        Some(Webhook {
            id: self.id,
            account,
            workspace,
            name: self.text("name").to_owned(),
            slug: slug.present.clone(),
            former: slug.former.clone(),
            dedup: self.dedup(),
            verification: self.verification().map(Box::new),
            weight: self.weight(),
            template: self.text("template").to_owned(),
            version: self.fields.get("template_version").and_then(Value::as_u64).unwrap_or(0),
            shadow: self.shadow(),
            enabled: self.flag("enabled"),
            networks: self.networks(),
            redact: self.redact(),
            reply: self.reply(),
            service_account: self.reference("service_account_id"),
        })
    }

    /// How the requests of a webhook are verified, when they are.
    #[must_use]
    pub fn verification(&self) -> Option<Verification> {
        let told = self.fields.get(VERIFICATION)?.as_object()?;
        let kept = self.concealed(VERIFICATION_SECRETS).map(Secret::expose).unwrap_or_default();
        let kept: BTreeMap<String, String> = serde_json::from_str(kept).unwrap_or_default();
        Verification::read(told, |name| kept.get(name).map(Secret::new))
    }

    fn shadow(&self) -> Option<String> {
        let draft = self.fields.get("draft").filter(|draft| draft["shadow"] == true)?;
        draft["template"].as_str().map(str::to_owned)
    }

    fn networks(&self) -> Option<Box<Networks>> {
        let listed = self.fields.get("networks").and_then(Value::as_array)?;
        // What does not read was never saved; nobody may call then.
        Some(Box::new(Networks::read(listed).unwrap_or_else(|_| Networks::nowhere())))
    }

    fn redact(&self) -> Option<Box<Rules>> {
        let said = self.fields.get(REDACT).filter(|said| !said.is_null())?;
        // What does not read was never saved; no body is kept then.
        Some(Box::new(Rules::read(said).unwrap_or_else(|_| Rules::strictest())))
    }

    fn reply(&self) -> Option<Arc<FixedReply>> {
        let said = self.fields.get(REPLY).filter(|said| !said.is_null())?;
        // What does not read was never saved.
        FixedReply::read(said).ok().map(Arc::new)
    }

    fn weight(&self) -> u32 {
        let said = self.fields.get("weight").and_then(Value::as_u64);
        said.and_then(|said| u32::try_from(said).ok()).unwrap_or(1).max(1)
    }

    fn dedup(&self) -> Option<Box<Dedup>> {
        let key = self.fields.get("dedup_key").and_then(Value::as_str)?.to_owned();
        Some(Box::new(Dedup { key, window_seconds: self.dedup_window_seconds() }))
    }

    /// For how long a webhook's requests are known again by its key.
    #[must_use]
    pub fn dedup_window_seconds(&self) -> i64 {
        let window = self.fields.get("dedup_window_seconds").and_then(Value::as_i64);
        window.unwrap_or(WINDOW_SECONDS)
    }

    /// The record as a key, given its owner's kind and whether they are let in; `None` when it is none.
    pub(super) fn key(&self, owner_kind: &str, active: bool) -> Option<Key> {
        let Hidden::Key(kept) = &self.hidden else { return None };
        Some(Key {
            id: self.id,
            lookup: kept.lookup.clone(),
            digest: kept.digest,
            account: self.account,
            owner: self.reference("owner_id")?,
            service: owner_kind == catalogue::SERVICE_ACCOUNT.name,
            expires: self.instant("expiration"),
            active,
        })
    }
}

/// The columns [`from_row`] reads, in its order.
pub(super) const COLUMNS: &str = concat!(
    "record.id, record.kind, record.account, record.workspace, ",
    "reveal(record.kind, record.id, record.fields), ",
    "record.lookup, record.secret, record.revision, record.created, record.updated, ",
    "record.former, record.former_ends",
);

/// The place of what is asked for behind [`COLUMNS`].
pub(super) const FIELDS_COLUMN: usize = 12;

/// A row of [`COLUMNS`] as a record.
pub(super) fn from_row(row: &Row<'_>) -> Result<Record, StoreError> {
    let kind: String = row.get(1)?;
    let kind = catalogue::kind(&kind)
        .ok_or_else(|| StoreError::Failed(format!("a record of an unknown kind: {kind}")))?;
    let fields: String = row.get(4)?;
    let mut fields: Values = serde_json::from_str(&fields)
        .map_err(|error| StoreError::Failed(format!("a {} without fields: {error}", kind.name)))?;
    let hidden = match (row.get::<_, Option<String>>(5)?, row.get::<_, Option<Vec<u8>>>(6)?) {
        (_, None) => {
            let secrets = conceal(kind, &mut fields);
            if secrets.is_empty() { Hidden::Nothing } else { Hidden::Concealed(secrets) }
        }
        (None, Some(kept)) if kind.name == catalogue::USER.name => {
            let kept = String::from_utf8(kept)
                .map_err(|_| StoreError::Failed("a password is no text".to_owned()))?;
            Hidden::Password(Secret::new(kept))
        }
        (None, Some(slug)) => {
            let former = match (row.get(10)?, row.get(11)?) {
                (Some(former), Some(ends)) => {
                    Some(Former { slug: slug_text(former)?, ends: moment(ends) })
                }
                _ => None,
            };
            let beside = conceal(kind, &mut fields);
            Hidden::Slug(Slug { present: slug_text(slug)?, former, beside })
        }
        (Some(lookup), Some(digest)) => {
            let digest = <[u8; 32]>::try_from(digest)
                .map_err(|_| StoreError::Failed("a digest of a wrong length".to_owned()))?;
            Hidden::Key(KeptKey { lookup, digest })
        }
    };
    Ok(Record {
        id: uuid(row.get(0)?),
        kind,
        account: uuid(row.get(2)?),
        workspace: row.get::<_, Option<[u8; 16]>>(3)?.map(uuid),
        fields,
        hidden,
        revision: row.get(7)?,
        created: moment(row.get(8)?),
        updated: moment(row.get(9)?),
    })
}

/// Takes the secrets out of the fields that were kept: there they would be shown.
fn conceal(kind: &Kind, fields: &mut Values) -> BTreeMap<String, Secret> {
    let concealed = kind.fields.iter().filter(|field| field.is_concealed());
    concealed
        .filter_map(|field| {
            let kept = fields.remove(field.name)?;
            Some((field.name.to_owned(), Secret::new(kept.as_str()?)))
        })
        .collect()
}

fn slug_text(kept: Vec<u8>) -> Result<Secret, StoreError> {
    let text = String::from_utf8(kept);
    text.map(Secret::new).map_err(|_| StoreError::Failed("a slug is no text".to_owned()))
}

pub(super) fn uuid(bytes: [u8; 16]) -> Uuid {
    Uuid::from_bytes(bytes)
}
