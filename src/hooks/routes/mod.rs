//! Slug to webhook, in memory. In: webhooks as the store keeps them, and their changes. Out: the [`Endpoint`] of a
//! slug, by a keyed hash, so that unknown, disabled, ended and misshapen slugs cost the same. Never keeps a slug.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};

use super::check::Check;
use super::once::Once;
use crate::clock::{Clock, Time};
use crate::event::{webhook_label, write_labels};
use crate::id::Uuid;
use crate::parse::redact::Rules;
use crate::render::{Diagnostic, Limits, Shadow, Shadows, Template};
use crate::request::FixedReply;
use crate::store::{Change, Party, Webhook};
use crate::verify::signature::Registry;

/// A change copies one shard: with a million webhooks some thousand entries.
const SHARDS: usize = 1024;
/// Longest slug that is looked at; a longer path only pays the same hash.
const SLUG_MAX_BYTES: usize = 64;
const KEY_BYTES: usize = 32;

/// A webhook, ready to receive: what each of its events needs is JSON text already.
#[derive(Debug)]
pub struct Endpoint {
    /// The webhook's id.
    pub id: Uuid,
    /// Its account.
    pub account: Uuid,
    /// Its workspace.
    pub workspace: Uuid,
    /// Only keys of this service account may call it.
    pub service_account: Option<Uuid>,
    /// From where it may be called.
    pub networks: Option<Box<crate::verify::allowlist::Networks>>,
    /// What is not kept of its requests.
    pub redact: Option<Box<Rules>>,
    /// What it says to whose request it took.
    pub reply: Option<Arc<FixedReply>>,
    /// Its name.
    pub name: Box<str>,
    /// The webhook as the resource of the gateway's own events: a JSON object.
    pub resource: Box<str>,
    /// The webhook as a related resource of its events: a JSON object.
    pub related: Box<str>,
    /// Account and workspace as related resources: JSON objects, a comma between them.
    pub tenant: Arc<str>,
    /// How its requests are verified, when they are.
    pub check: Option<Check>,
    /// What tells requests apart, when those sent again are to be taken once.
    pub once: Option<Once>,
    /// The template, byte for byte as it was saved.
    pub source: Box<str>,
    /// Which version of it that is; 0 when nobody counted.
    pub version: u64,
    /// A draft of it that renders beside it.
    pub shadow: Option<Arc<Shadow>>,
    compiled: OnceLock<Result<Template, Diagnostic>>,
    slow: AtomicBool,
}

impl Endpoint {
    fn new(
        webhook: &Webhook,
        providers: &Registry,
        tenant: Arc<str>,
        shadow: Option<Arc<Shadow>>,
    ) -> Self {
        let id = format!("prefect-cloud.webhook.{}", webhook.id);
        let name = clean(&webhook.name);
        let (id, name) = (("prefect.resource.id", &*id), ("prefect.resource.name", &*name));
        Self {
            id: webhook.id,
            account: webhook.account.id,
            workspace: webhook.workspace.id,
            service_account: webhook.service_account,
            networks: webhook.networks.clone(),
            redact: webhook.redact.clone(),
            reply: webhook.reply.clone(),
            name: webhook.name.as_str().into(),
            resource: object(&[id, name]),
            related: webhook_label(webhook.id, &webhook.name).into(),
            tenant,
            check: webhook.verification.as_deref().map(|said| Check::new(said, providers)),
            once: webhook.dedup.as_deref().map(Once::new),
            source: webhook.template.as_str().into(),
            version: webhook.version,
            shadow,
            compiled: OnceLock::new(),
            slow: AtomicBool::new(false),
        }
    }

    /// The template, compiled at its first use.
    ///
    /// # Errors
    /// Why it does not compile: saved before a rule was added, say.
    pub fn template(&self, limits: Limits) -> Result<&Template, &Diagnostic> {
        self.compiled.get_or_init(|| Template::compile(&self.source, limits)).as_ref()
    }

    /// Whether its last rendering took so long that the next should not run where other requests wait.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        self.slow.load(Ordering::Relaxed)
    }

    /// Notes how its last rendering went.
    pub fn mark_slow(&self, slow: bool) {
        if self.is_slow() != slow {
            self.slow.store(slow, Ordering::Relaxed);
        }
    }
}

type Hash = [u8; 16];
type Shard = HashMap<Hash, Place>;

/// What stands under a hash.
#[derive(Clone)]
struct Place {
    endpoint: Arc<Endpoint>,
    /// From then on it is as if nothing stood here: a slug that was replaced lives on for a while.
    ends: Time,
}

/// The end of what has none.
const NEVER: Time = Time::from_micros(i64::MAX);

/// The end of what is as if it were not there, but for whoever owns it.
const PAST: Time = Time::from_micros(i64::MIN);

/// All webhooks by the hash of their slug. Readers never wait.
pub struct Routes {
    /// Random for each process, so that nobody outside can aim at a place in the table.
    key: [u8; KEY_BYTES],
    shards: Box<[ArcSwap<Shard>]>,
    written: Mutex<Written>,
    shadows: Arc<Shadows>,
}

/// What only changes need.
#[derive(Default)]
struct Written {
    /// Where each webhook stands.
    places: HashMap<Uuid, Hash>,
    /// Those of them that are disabled.
    closed: HashSet<Uuid>,
    /// Where those stand once more whose former slug lives on; at most one place each.
    formers: HashMap<Uuid, Hash>,
    /// Where those stood whose slug was replaced since the process began, the last place of each.
    replaced: HashMap<Uuid, Hash>,
    /// One text for all webhooks of a workspace.
    tenants: HashMap<Uuid, Arc<str>>,
    shadows: Arc<Shadows>,
    /// Who may sign.
    providers: Registry,
}

impl std::fmt::Debug for Routes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Routes").field("webhooks", &self.len()).finish_non_exhaustive()
    }
}

impl Routes {
    /// A table of those webhooks.
    #[must_use]
    pub fn new(clock: &Clock, webhooks: &[Webhook]) -> Self {
        Self::with_providers(clock, Registry::built_in(), webhooks)
    }

    /// The same, whose requests are signed by those providers.
    #[must_use]
    pub fn with_providers(clock: &Clock, providers: Registry, webhooks: &[Webhook]) -> Self {
        let mut key = [0; KEY_BYTES];
        clock.secret(&mut key);
        let mut shards: Vec<Shard> = vec![Shard::new(); SHARDS];
        let mut written = Written { providers, ..Written::default() };
        for webhook in webhooks {
            for (hash, place) in written.place(&key, webhook) {
                shards[shard(hash)].insert(hash, place);
            }
        }
        let shards = shards.into_iter().map(ArcSwap::from_pointee).collect();
        let shadows = Arc::clone(&written.shadows);
        Self { key, shards, written: Mutex::new(written), shadows }
    }

    /// The drafts that render beside what is live.
    #[must_use]
    pub fn shadows(&self) -> Arc<Shadows> {
        Arc::clone(&self.shadows)
    }

    /// The webhook of a slug, and whether it is there for a request that arrived then: it is not while it is disabled,
    /// or under a slug that was replaced, and only its owner may hear that it is known.
    #[must_use]
    pub fn look_up(&self, slug: &str, arrived: Time) -> Option<(Arc<Endpoint>, bool)> {
        let hash = hash(&self.key, slug.as_bytes());
        let shard = self.shards[shard(hash)].load();
        shard.get(&hash).map(|place| (Arc::clone(&place.endpoint), arrived < place.ends))
    }

    /// The webhook of a slug that is there for a request that arrived then.
    #[must_use]
    pub fn find(&self, slug: &str, arrived: Time) -> Option<Arc<Endpoint>> {
        self.look_up(slug, arrived).filter(|(_, is_there)| *is_there).map(|(endpoint, _)| endpoint)
    }

    /// Takes a committed change: the next request already sees it. Keys are none of its business.
    pub fn apply(&self, change: &Change) {
        match change {
            Change::Webhook(webhook) => self.put(webhook),
            Change::WebhookGone(id) => self.drop_webhook(*id),
            Change::Key(_)
            | Change::KeyGone(_)
            | Change::Destination(_)
            | Change::DestinationGone(_) => {}
        }
    }

    /// How many webhooks are enabled.
    #[must_use]
    pub fn len(&self) -> usize {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.places.len() - written.closed.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn put(&self, webhook: &Webhook) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let before = written.forget(webhook.id);
        if let [Some(present), _, earlier] = before {
            let is_same = present == hash(&self.key, webhook.slug.expose().as_bytes());
            let replaced = if is_same { earlier } else { Some(present) };
            replaced.map(|hash| written.replaced.insert(webhook.id, hash));
        }
        for (hash, place) in written.place(&self.key, webhook) {
            self.change(hash, |shard| {
                shard.insert(hash, place);
            });
        }
        // Last: what stays is there all the time.
        let kept = written.hashes(webhook.id);
        for hash in before.into_iter().flatten().filter(|hash| !kept.contains(&Some(*hash))) {
            self.clear(hash);
        }
    }

    fn drop_webhook(&self, id: Uuid) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.forget(id).into_iter().flatten().for_each(|hash| self.clear(hash));
        self.shadows.set(id, 0, None);
    }

    fn clear(&self, hash: Hash) {
        self.change(hash, |shard| {
            shard.remove(&hash);
        });
    }

    /// Swaps one shard for a changed copy; the caller holds the lock of changes.
    fn change(&self, hash: Hash, with: impl FnOnce(&mut Shard)) {
        let place = &self.shards[shard(hash)];
        let mut copy = Shard::clone(&place.load());
        with(&mut copy);
        place.store(Arc::new(copy));
    }
}

impl Written {
    /// Where a webhook stands.
    fn hashes(&self, id: Uuid) -> [Option<Hash>; 3] {
        [&self.places, &self.formers, &self.replaced].map(|all| all.get(&id).copied())
    }

    /// Forgets where a webhook stands; where that was.
    fn forget(&mut self, id: Uuid) -> [Option<Hash>; 3] {
        self.closed.remove(&id);
        [&mut self.places, &mut self.formers, &mut self.replaced].map(|all| all.remove(&id))
    }

    /// Notes where a webhook stands, and what is to stand there: one endpoint, at all of its slugs.
    fn place(
        &mut self,
        key: &[u8; KEY_BYTES],
        webhook: &Webhook,
    ) -> impl Iterator<Item = (Hash, Place)> + use<> {
        let present = hash(key, webhook.slug.expose().as_bytes());
        let endpoint = self.endpoint(webhook);
        self.places.insert(webhook.id, present);
        if !webhook.enabled {
            self.closed.insert(webhook.id);
        }
        let ends = |ends: Time| if webhook.enabled { ends } else { PAST };
        let former = webhook.former.as_ref().map(|former| {
            let hash = hash(key, former.slug.expose().as_bytes());
            self.formers.insert(webhook.id, hash);
            (hash, Place { endpoint: Arc::clone(&endpoint), ends: ends(former.ends) })
        });
        let replaced = self.replaced.get(&webhook.id).copied();
        let replaced =
            replaced.filter(|hash| former.as_ref().is_none_or(|(other, _)| hash != other));
        let replaced =
            replaced.map(|hash| (hash, Place { endpoint: Arc::clone(&endpoint), ends: PAST }));
        let present = (present, Place { endpoint, ends: ends(NEVER) });
        std::iter::once(present).chain(former).chain(replaced)
    }

    fn endpoint(&mut self, webhook: &Webhook) -> Arc<Endpoint> {
        let account = related("account", &webhook.account);
        let workspace = related("workspace", &webhook.workspace);
        let text = format!("{account},{workspace}");
        let known =
            self.tenants.entry(webhook.workspace.id).or_insert_with(|| text.as_str().into());
        if **known != *text {
            *known = text.into();
        }
        let tenant = Arc::clone(known);
        let shadow = webhook.shadow.as_deref().filter(|_| webhook.enabled);
        let shadow = self.shadows.set(webhook.id, webhook.version, shadow);
        Arc::new(Endpoint::new(webhook, &self.providers, tenant, shadow))
    }
}

/// An account or a workspace as a related resource.
fn related(role: &str, party: &Party) -> Box<str> {
    let id = format!("prefect-cloud.{role}.{}", party.id);
    let (name, handle) = (clean(&party.name), clean(&party.handle));
    let labels = [
        ("prefect.resource.id", &*id),
        ("prefect.resource.role", role),
        ("prefect.resource.name", &name),
        ("prefect-cloud.handle", &handle),
    ];
    // An empty name would be a label that says nothing.
    let said: Vec<_> = labels.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    object(&said)
}

fn object(labels: &[(&str, &str)]) -> Box<str> {
    let mut out = Vec::with_capacity(256);
    write_labels(&mut out, labels);
    String::from_utf8_lossy(&out).into()
}

/// A name without U+0000, which no event may hold.
fn clean(name: &str) -> String {
    name.replace('\0', "\u{FFFD}")
}

fn hash(key: &[u8; KEY_BYTES], slug: &[u8]) -> Hash {
    let mut keyed = [0; KEY_BYTES + SLUG_MAX_BYTES];
    let slug = &slug[..slug.len().min(SLUG_MAX_BYTES)];
    keyed[..KEY_BYTES].copy_from_slice(key);
    keyed[KEY_BYTES..KEY_BYTES + slug.len()].copy_from_slice(slug);
    let whole = digest(&SHA256, &keyed[..KEY_BYTES + slug.len()]);
    let mut hash = [0; 16];
    hash.copy_from_slice(&whole.as_ref()[..16]);
    hash
}

fn shard(hash: Hash) -> usize {
    usize::from(u16::from_le_bytes([hash[0], hash[1]])) % SHARDS
}

#[cfg(test)]
pub(super) mod tests;
