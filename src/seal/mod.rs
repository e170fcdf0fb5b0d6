//! Secrets at rest. In: a secret, and the place it belongs to. Out: text that says nothing without the key and fits no
//! other place; and the secret again. AES-256-GCM; keys have no formatter and stand in a file of their own (`file.rs`).

mod file;
mod piece;

use std::fmt::Write as _;
use std::path::PathBuf;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::clock::Clock;

pub use file::Keys;
pub use piece::{Opener, PIECE_MORE_BYTES, Sealer};

/// Bytes of a key.
const KEY_BYTES: usize = 32;
/// Most keys of one file: the one that seals, and those before it.
pub const KEYS_MAX: usize = 16;
/// Bytes of a digest that name a key.
const NAME_BYTES: usize = 4;

/// Why nothing is sealed, or a seal does not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The file cannot be read or written.
    #[error("{path}: {why}")]
    File { path: PathBuf, why: String },
    /// Somebody else changes keys in its folder right now.
    #[error("{path}: its keys are being changed by somebody else: try again when that is over")]
    Busy { path: PathBuf },
    /// Another name of it would keep the keys that it had.
    #[error(
        "{path} has {names} names (hard links), and only one of them would have the new keys: leave it one name, or \
         put a new key into it as its first line, and take that with --present"
    )]
    Links { path: PathBuf, names: u64 },
    /// No other file can be put in its place.
    #[error(
        "{path} is mounted by itself, and nothing can be put in its place: mount its folder, or put a new key into it \
         as its first line, and take that with --present"
    )]
    Mounted { path: PathBuf },
    /// A line of it is no key.
    #[error("{path}, line {line}: a key is {KEY_BYTES} bytes in Base64, alone on its line")]
    Line { path: PathBuf, line: usize },
    /// It has no key, or too many.
    #[error("{path} has {found} keys; it may have 1 to {KEYS_MAX}, the first of which seals")]
    Number { path: PathBuf, found: usize },
    /// None of the keys made the seal.
    #[error("a secret is sealed with key {key}, which is not there")]
    UnknownKey { key: String },
    /// The seal was made by one of the keys and is not as it was, or stood elsewhere.
    #[error("a sealed secret is damaged, or not where it was put")]
    Broken,
}

/// One key, and the name it is known by: the beginning of its digest.
struct Key {
    name: String,
    bytes: [u8; KEY_BYTES],
    cipher: LessSafeKey,
}

impl Key {
    /// A new one.
    fn mint() -> Self {
        let mut bytes = [0; KEY_BYTES];
        Clock::System.secret(&mut bytes);
        Self::new(&bytes)
    }

    fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; KEY_BYTES] = STANDARD.decode(text).ok()?.try_into().ok()?;
        Some(Self::new(&bytes))
    }

    fn new(bytes: &[u8; KEY_BYTES]) -> Self {
        let cipher = UnboundKey::new(&AES_256_GCM, bytes).expect("a key of the cipher's length");
        let digest = digest(&SHA256, bytes);
        let mut name = String::with_capacity(2 * NAME_BYTES);
        for byte in &digest.as_ref()[..NAME_BYTES] {
            let _ = write!(name, "{byte:02x}");
        }
        Self { name, bytes: *bytes, cipher: LessSafeKey::new(cipher) }
    }

    /// As it stands in a file.
    fn text(&self) -> String {
        STANDARD.encode(self.bytes)
    }
}

impl Clone for Key {
    fn clone(&self) -> Self {
        Self::new(&self.bytes)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Keys: the first seals, all open.
#[derive(Debug)]
pub struct Ring(Vec<Key>);

impl Ring {
    /// The name of the key that seals.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0[0].name
    }

    /// The names of all keys, that of the one that seals first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| &*key.name)
    }

    /// Whether a seal was made by the key that seals now.
    #[must_use]
    pub fn is_present(&self, sealed: &str) -> bool {
        key_name(sealed) == self.name()
    }

    /// Seals a secret for a place: nowhere else does it open.
    ///
    /// # Panics
    /// When the system has no random source.
    #[must_use]
    pub fn seal(&self, place: &[u8], secret: &[u8]) -> String {
        let key = &self.0[0];
        let mut nonce = [0; NONCE_LEN];
        Clock::System.secret(&mut nonce);
        let mut sealed = secret.to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        key.cipher
            .seal_in_place_append_tag(unique, Aad::from(place), &mut sealed)
            .expect("a secret is far shorter than the cipher's bound");
        let kept = [nonce.as_slice(), &sealed].concat();
        format!("{}.{}", key.name, STANDARD.encode(kept))
    }

    /// Opens what was sealed for a place.
    ///
    /// # Errors
    /// [`SealError::UnknownKey`] and [`SealError::Broken`].
    pub fn open(&self, place: &[u8], sealed: &str) -> Result<Vec<u8>, SealError> {
        let name = key_name(sealed);
        let unknown = || SealError::UnknownKey { key: name.to_owned() };
        let key = self.0.iter().find(|key| key.name == name).ok_or_else(unknown)?;
        let text = sealed.get(name.len() + 1..).unwrap_or_default();
        let mut kept = STANDARD.decode(text).map_err(|_| SealError::Broken)?;
        let (nonce, secret) = kept.split_at_mut_checked(NONCE_LEN).ok_or(SealError::Broken)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Broken)?;
        let opened = key.cipher.open_in_place(nonce, Aad::from(place), secret);
        opened.map(|secret| secret.to_vec()).map_err(|_| SealError::Broken)
    }
}

/// The name of the key that made a seal.
#[must_use]
pub fn key_name(sealed: &str) -> &str {
    sealed.split('.').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn ring(numbers: &[u8]) -> Ring {
        Ring(numbers.iter().map(|number| Key::new(&[*number; KEY_BYTES])).collect())
    }

    #[test]
    fn what_is_sealed_opens_in_its_place_with_its_key_alone() {
        let (old, both, new) = (ring(&[1]), ring(&[2, 1]), ring(&[2]));
        let sealed = old.seal(b"here", b"hush");
        assert!(!sealed.contains("hush"));
        assert_eq!(both.open(b"here", &sealed).as_deref(), Ok(b"hush".as_slice()));
        assert_eq!(both.open(b"there", &sealed), Err(SealError::Broken));
        let key = old.name().to_owned();
        assert_eq!(new.open(b"here", &sealed), Err(SealError::UnknownKey { key }));
        assert!(old.is_present(&sealed) && !both.is_present(&sealed));
        assert_ne!(sealed, old.seal(b"here", b"hush"), "a nonce of its own");
    }

    #[test]
    fn a_seal_with_any_character_changed_does_not_open() {
        let ring = ring(&[7]);
        let sealed = ring.seal(b"here", b"a secret of some length");
        for at in 0..sealed.len() {
            for other in ["A", "b", "=", ".", ""] {
                let (before, after) = (&sealed[..at], &sealed[at + 1..]);
                let spoiled = format!("{before}{other}{after}");
                if spoiled != sealed {
                    assert!(ring.open(b"here", &spoiled).is_err(), "{spoiled}");
                }
            }
        }
    }

    #[test]
    fn keys_are_never_shown() {
        let shown = format!("{:?}", ring(&[1]));
        assert!(!shown.contains(&STANDARD.encode([1; KEY_BYTES])), "{shown}");
    }
}
