//! API keys: `pnu_` (a user's) or `pnb_` (a service account's), 12 characters to look up, 24 of secret, base62.
//! In: a presented key and a moment. Out: whose it is, in the same time whatever is wrong with it. Only digests are
//! kept; a key's own text exists in the reply that created it and nowhere else.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::clock::{Clock, Time};
use crate::id::{Secret, Uuid};

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const PREFIX_BYTES: usize = 4;
const LOOKUP_BYTES: usize = 12;
const SECRET_BYTES: usize = 24;
/// Length of every key made here.
pub const KEY_BYTES: usize = PREFIX_BYTES + LOOKUP_BYTES + SECRET_BYTES;

/// Whose a key is; its prefix says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A user's.
    User,
    /// A service account's.
    Service,
    /// A user's for the time of a session: a cookie's.
    Session,
}

impl Kind {
    /// The first four characters of such keys.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::User => "pnu_",
            Self::Service => "pnb_",
            Self::Session => "pns_",
        }
    }
}

/// A fresh key: its text (shown once), how it is looked up, and the digest that is kept.
#[must_use]
pub fn mint(clock: &Clock, kind: &Kind) -> (Secret, String, [u8; 32]) {
    let mut text = String::with_capacity(KEY_BYTES);
    text.push_str(kind.prefix());
    while text.len() < KEY_BYTES {
        let mut bytes = [0; 64];
        clock.secret(&mut bytes);
        // 248 is the largest multiple of 62 in a byte: what lies above would favour some characters.
        let fair = bytes.iter().filter(|byte| **byte < 248);
        for byte in fair.take(KEY_BYTES - text.len()) {
            text.push(char::from(BASE62[usize::from(byte % 62)]));
        }
    }
    let lookup = text[PREFIX_BYTES..PREFIX_BYTES + LOOKUP_BYTES].to_owned();
    let digest = hash(&text);
    (Secret::new(text), lookup, digest)
}

/// SHA-256 of a whole key: all that is kept of it.
#[must_use]
pub fn hash(key: &str) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, key.as_bytes()).as_ref());
    out
}

/// Whether a digest is that of a presented secret, in the same time whatever differs.
#[must_use]
pub fn is_digest_of(presented: &str, digest: &[u8; 32]) -> bool {
    verify_slices_are_equal(&hash(presented), digest).is_ok()
}

/// How a key is shown after its creation: prefix, dots, its last four characters.
#[must_use]
pub fn mask(key: &Secret) -> String {
    let text = key.expose();
    let start = text.get(..PREFIX_BYTES).unwrap_or_default();
    let end = text.len().checked_sub(4).filter(|at| *at >= PREFIX_BYTES);
    format!("{start}...{}", end.and_then(|at| text.get(at..)).unwrap_or_default())
}

/// The token of an `Authorization` header of the scheme `Bearer`, in any letter case.
#[must_use]
pub fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim().split_once(' ')?;
    let token = token.trim_start();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The key in an `Authorization` header: `Bearer`, or `Basic` with the key as the password.
#[must_use]
pub fn credential(header: &str) -> Option<Cow<'_, str>> {
    if let Some(token) = bearer(header) {
        return Some(Cow::Borrowed(token));
    }
    let (scheme, coded) = header.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(coded.trim_start()).ok()?).ok()?;
    Some(Cow::Owned(password(&text)?.to_owned()))
}

/// The key in an auth string, `user:key`.
#[must_use]
pub fn password(auth_string: &str) -> Option<&str> {
    auth_string.rsplit_once(':').map(|(_, key)| key)
}

/// What is kept of a key.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyFacts {
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
    /// A service account's key, not a user's.
    pub service: bool,
    /// From then on it is nobody's.
    pub expires: Option<Time>,
    /// Whether its owner is let in anywhere: one whom every account keeps out proves nothing.
    pub active: bool,
}

impl KeyFacts {
    /// Whether it proves anything at that moment.
    fn counts(&self, now: Time) -> bool {
        self.active && self.expires.is_none_or(|expires| now < expires)
    }
}

impl fmt::Debug for KeyFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFacts")
            .field("id", &self.id)
            .field("owner", &self.owner)
            .field("service", &self.service)
            .field("expires", &self.expires)
            .field("active", &self.active)
            .finish_non_exhaustive()
    }
}

/// All keys in memory, by how they are looked up. Readers never wait; a change swaps the whole table.
#[derive(Debug, Default)]
pub struct Keyring {
    keys: ArcSwap<Table>,
}

/// Two keys may share a lookup only by a chance of one in 10^21; a list keeps even that right.
type Table = HashMap<String, Vec<Arc<KeyFacts>>>;

impl Keyring {
    /// A ring without keys.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes `keys` in one swap, beside those that are there; a key of the same id is replaced.
    pub fn load(&self, keys: impl IntoIterator<Item = KeyFacts>) {
        let fresh: Vec<Arc<KeyFacts>> = keys.into_iter().map(Arc::new).collect();
        let ids: HashSet<Uuid> = fresh.iter().map(|key| key.id).collect();
        self.keys.rcu(|table| {
            let mut table = Table::clone(table);
            drop_keys(&mut table, |id| ids.contains(&id));
            for key in &fresh {
                table.entry(key.lookup.clone()).or_default().push(Arc::clone(key));
            }
            table
        });
    }

    /// Takes a new key, or what has changed of one.
    pub fn put(&self, key: KeyFacts) {
        self.load([key]);
    }

    /// Forgets a key.
    pub fn remove(&self, id: Uuid) {
        self.keys.rcu(|table| {
            let mut table = Table::clone(table);
            drop_keys(&mut table, |known| known == id);
            table
        });
    }

    /// Whether a key that was presented once is still valid.
    #[must_use]
    pub fn holds(&self, key: &KeyFacts, now: Time) -> bool {
        let table = self.keys.load();
        let known = table.get(&key.lookup).into_iter().flatten();
        let mut same = known.filter(|known| known.id == key.id && known.digest == key.digest);
        same.any(|known| known.counts(now))
    }

    /// Whose key was presented; `None` for one that is unknown, wrong, expired, or of somebody who is kept out, without
    /// a hint which.
    #[must_use]
    pub fn check(&self, presented: &str, now: Time) -> Option<Arc<KeyFacts>> {
        if presented.len() != KEY_BYTES || !presented.is_ascii() {
            return None;
        }
        let shown = hash(presented);
        let table = self.keys.load();
        let candidates = table.get(&presented[PREFIX_BYTES..PREFIX_BYTES + LOOKUP_BYTES]);
        let Some(candidates) = candidates else {
            // The same comparison as for a known lookup.
            let _ = verify_slices_are_equal(&shown, &[0; 32]);
            return None;
        };
        let found = candidates
            .iter()
            .find(|key| verify_slices_are_equal(&shown, &key.digest).is_ok())
            .filter(|key| key.counts(now))?;
        Some(Arc::clone(found))
    }
}

fn drop_keys(table: &mut Table, gone: impl Fn(Uuid) -> bool) {
    table.retain(|_, keys| {
        keys.retain(|key| !gone(key.id));
        !keys.is_empty()
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(clock: &Clock, kind: Kind, expires: Option<Time>) -> (Secret, KeyFacts) {
        let (secret, lookup, digest) = mint(clock, &kind);
        let key = KeyFacts {
            id: crate::id::now(clock),
            lookup,
            digest,
            account: crate::id::now(clock),
            owner: crate::id::now(clock),
            service: kind == Kind::Service,
            expires,
            active: true,
        };
        (secret, key)
    }

    #[test]
    fn a_minted_key_has_its_shape_and_is_found() {
        let clock = Clock::fixed(Time::from_micros(0));
        let ring = Keyring::new();
        for kind in [Kind::User, Kind::Service] {
            let (secret, key) = facts(&clock, kind, None);
            let text = secret.expose();
            assert_eq!(text.len(), 40);
            assert!(text.starts_with(kind.prefix()));
            assert!(text[4..].bytes().all(|byte| byte.is_ascii_alphanumeric()));
            assert_eq!(mask(&secret), format!("{}...{}", kind.prefix(), &text[36..]));
            assert_eq!(ring.check(text, clock.now()), None);
            ring.put(key.clone());
            assert_eq!(ring.check(text, clock.now()).expect("known").id, key.id);
            ring.remove(key.id);
            assert_eq!(ring.check(text, clock.now()), None);
        }
    }

    #[test]
    fn nothing_but_the_whole_key_opens() {
        let clock = Clock::fixed(Time::from_micros(0));
        let ring = Keyring::new();
        let (secret, key) = facts(&clock, Kind::Service, None);
        ring.put(key);
        let text = secret.expose();
        let mut last = text[..39].to_owned();
        last.push(if text.ends_with('0') { '1' } else { '0' });
        let user = format!("pnu_{}", &text[4..]);
        let wide = format!("{}é", &text[..38]);
        for wrong in ["", "pnb_", &text[..39], &last, &user, &wide, &format!("{text}0")] {
            assert_eq!(ring.check(wrong, clock.now()), None, "{wrong}");
        }
        assert!(ring.check(text, clock.now()).is_some());
    }

    #[test]
    fn a_key_ends_at_its_moment_and_not_before() {
        let clock = Clock::fixed(Time::from_micros(0));
        let ring = Keyring::new();
        let (secret, mut key) = facts(&clock, Kind::User, Some(Time::from_micros(10)));
        ring.put(key.clone());
        assert!(ring.check(secret.expose(), Time::from_micros(9)).is_some());
        assert!(ring.check(secret.expose(), Time::from_micros(10)).is_none());
        key.expires = Some(Time::from_micros(5));
        ring.put(key);
        assert!(ring.check(secret.expose(), Time::from_micros(5)).is_none(), "replaced by id");
    }

    #[test]
    fn bearer_in_any_case() {
        for (header, token) in [
            ("Bearer abc", Some("abc")),
            ("bearer abc", Some("abc")),
            ("BEARER   abc ", Some("abc")),
            ("Basic abc", None),
            ("Bearer", None),
            ("Bearer ", None),
            ("", None),
        ] {
            assert_eq!(bearer(header), token, "{header}");
        }
    }

    #[test]
    fn a_key_may_be_the_password_of_an_auth_string() {
        for (header, key) in [
            ("Basic dXNlcjpwbnVfeA==", Some("pnu_x")),
            ("basic dXNlcjpwbnVfeA==", Some("pnu_x")),
            ("Bearer pnu_x", Some("pnu_x")),
            ("Basic eA==", None),
            ("Basic ???", None),
            ("Basic", None),
            ("", None),
        ] {
            assert_eq!(credential(header).as_deref(), key, "{header}");
        }
    }

    #[test]
    fn a_key_holds_until_it_ends_or_is_forgotten() {
        let clock = Clock::fixed(Time::from_micros(0));
        let ring = Keyring::new();
        let (_, mut key) = facts(&clock, Kind::User, None);
        assert!(!ring.holds(&key, clock.now()));
        ring.put(key.clone());
        assert!(ring.holds(&key, clock.now()));
        let before = key.clone();
        key.expires = Some(Time::from_micros(10));
        ring.put(key);
        assert!(ring.holds(&before, Time::from_micros(9)));
        assert!(!ring.holds(&before, Time::from_micros(10)));
        ring.remove(before.id);
        assert!(!ring.holds(&before, Time::from_micros(1)));
    }

    #[test]
    fn a_key_of_somebody_who_is_kept_out_proves_nothing_until_they_are_let_in() {
        let clock = Clock::fixed(Time::from_micros(0));
        let ring = Keyring::new();
        let (secret, key) = facts(&clock, Kind::Service, None);
        for active in [true, false, true] {
            ring.put(KeyFacts { active, ..key.clone() });
            assert_eq!(ring.check(secret.expose(), clock.now()).is_some(), active);
            assert_eq!(ring.holds(&key, clock.now()), active);
        }
    }

    #[test]
    fn facts_show_neither_lookup_nor_digest() {
        let clock = Clock::fixed(Time::from_micros(0));
        let (_, key) = facts(&clock, Kind::User, None);
        let shown = format!("{key:?}");
        assert!(!shown.contains(&key.lookup) && !shown.contains("digest"));
    }
}
