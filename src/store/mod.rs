//! Records of the control plane and the outbox of their events, in one SQLite file of the data folder. In: changes
//! with their audit events, as one transaction. Out: rows, and a word to every watcher before `commit` returns.
//! Knows nothing of HTTP, holds no template, answers no hook.

use crate::clock::Time;
use crate::id::{Secret, Uuid};

/// Whoever owns something, as events name them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// The record's id.
    pub id: Uuid,
    /// Display name.
    pub name: String,
    /// Lower-case handle.
    pub handle: String,
}

/// What the data plane needs to know of a webhook.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// The record's id.
    pub id: Uuid,
    /// Its account.
    pub account: Party,
    /// Its workspace.
    pub workspace: Party,
    /// Display name.
    pub name: String,
    /// The secret path part.
    pub slug: Secret,
    /// The template, byte for byte as it was saved.
    pub template: String,
    /// A disabled webhook answers as if it were not there.
    pub enabled: bool,
    /// Only keys of this service account may call it.
    pub service_account: Option<Uuid>,
}

/// What a caller's key proves.
#[derive(Clone, Debug)]
pub struct Key {
    /// The record's id.
    pub id: Uuid,
    /// The first 12 characters after the prefix: how it is looked up.
    pub lookup: String,
    /// SHA-256 of the whole key.
    pub digest: [u8; 32],
    /// The account it belongs to.
    pub account: Uuid,
    /// Whose it is: the id of the user or the service account.
    pub owner: Uuid,
    /// From then on it is nobody's.
    pub expires: Option<Time>,
}

/// A committed change, as watchers hear of it.
#[derive(Clone, Debug)]
pub enum Change {
    /// A webhook was made or changed.
    Webhook(Webhook),
    /// A webhook is gone.
    WebhookGone(Uuid),
    /// A key was made or changed.
    Key(Key),
    /// A key is gone.
    KeyGone(Uuid),
}
