//! Pieces of what is kept: many, large, and sealed where they stand. In: a key of a file, bytes, the place they belong
//! to. Out: the bytes behind the name of the key, and the bytes again. Each sealer has a key of its own, derived with
//! fresh chance: so the number of random nonces is bounded for it, and not for the key of the file.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};

use super::{Key, NAME_BYTES, Ring, SealError};
use crate::clock::Clock;

const NAME_CHARS: usize = 2 * NAME_BYTES;
const SALT_BYTES: usize = 16;
const HEAD_BYTES: usize = NAME_CHARS + SALT_BYTES;
const TAG_BYTES: usize = 16;
/// By how much a sealed piece is longer.
pub const PIECE_MORE_BYTES: usize = HEAD_BYTES + NONCE_LEN + TAG_BYTES;
/// What the derived keys are for.
const USE: &[u8] = b"hookgate piece 1";

type Head = [u8; HEAD_BYTES];

/// Seals pieces. Good for 2^32 of them: whoever seals takes a new one long before.
pub struct Sealer {
    head: Head,
    cipher: LessSafeKey,
}

/// Opens pieces; those of one sealer one after the other cost one derivation.
#[derive(Default)]
pub struct Opener {
    last: Option<(Head, LessSafeKey)>,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").field("key", &self.key()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opener").finish_non_exhaustive()
    }
}

impl Ring {
    /// A sealer of the key that seals now.
    ///
    /// # Panics
    /// When the system has no random source.
    #[must_use]
    pub fn sealer(&self) -> Sealer {
        let key = &self.0[0];
        let mut head = [0; HEAD_BYTES];
        let (name, salt) = head.split_at_mut(NAME_CHARS);
        name.copy_from_slice(key.name.as_bytes());
        Clock::System.secret(salt);
        let cipher = derive(key, salt);
        Sealer { head, cipher }
    }
}

impl Sealer {
    /// The name of the key of the file.
    #[must_use]
    pub fn key(&self) -> &str {
        std::str::from_utf8(&self.head[..NAME_CHARS]).unwrap_or_default()
    }

    /// Adds what `write` writes, sealed for a place: nowhere else does it open.
    ///
    /// # Panics
    /// When the system has no random source.
    pub fn seal(&self, place: &[u8], out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        let mut nonce = [0; NONCE_LEN];
        Clock::System.secret(&mut nonce);
        out.extend_from_slice(&self.head);
        out.extend_from_slice(&nonce);
        let from = out.len();
        write(out);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let piece = &mut out[from..];
        let tag = self.cipher.seal_in_place_separate_tag(nonce, Aad::from(place), piece);
        let tag = tag.expect("a piece is far shorter than the cipher's bound");
        out.extend_from_slice(tag.as_ref());
    }
}

impl Opener {
    /// Opens a piece that was sealed for a place, with the keys there are.
    ///
    /// # Errors
    /// [`SealError::UnknownKey`] and [`SealError::Broken`].
    pub fn open(
        &mut self,
        ring: Option<&Ring>,
        place: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let (head, sealed) = sealed.split_first_chunk().ok_or(SealError::Broken)?;
        let (nonce, sealed) = sealed.split_first_chunk().ok_or(SealError::Broken)?;
        let cipher = match &self.last {
            Some((last, cipher)) if last == head => cipher,
            _ => {
                let (name, salt) = head.split_at(NAME_CHARS);
                let name = std::str::from_utf8(name).map_err(|_| SealError::Broken)?;
                let found = ring.and_then(|ring| ring.0.iter().find(|key| key.name == name));
                let unknown = || SealError::UnknownKey { key: name.to_owned() };
                let cipher = derive(found.ok_or_else(unknown)?, salt);
                &self.last.insert((*head, cipher)).1
            }
        };
        let mut piece = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = cipher.open_in_place(nonce, Aad::from(place), &mut piece);
        let length = opened.map_err(|_| SealError::Broken)?.len();
        piece.truncate(length);
        Ok(piece)
    }
}

/// The key of one sealer.
fn derive(key: &Key, salt: &[u8]) -> LessSafeKey {
    let drawn = Salt::new(HKDF_SHA256, salt).extract(&key.bytes);
    let derived = drawn.expand(&[USE], &AES_256_GCM).expect("one key is no long output");
    LessSafeKey::new(UnboundKey::from(derived))
}

#[cfg(test)]
mod tests {
    use super::super::tests::ring;
    use super::*;

    fn sealed(sealer: &Sealer, place: &[u8], text: &[u8]) -> Vec<u8> {
        let mut out = b"before".to_vec();
        sealer.seal(place, &mut out, |out| out.extend_from_slice(text));
        assert_eq!(out.len(), 6 + text.len() + PIECE_MORE_BYTES);
        out.split_off(6)
    }

    #[test]
    fn a_piece_opens_in_its_place_with_its_key_alone() {
        let (ours, others) = (ring(&[1, 2]), ring(&[2]));
        let sealer = ours.sealer();
        let mut opener = Opener::default();
        for text in [&b""[..], b"secret", &vec![7; 100_000]] {
            let piece = sealed(&sealer, b"place", text);
            assert!(text.is_empty() || !piece.windows(text.len()).any(|part| part == text));
            assert_eq!(opener.open(Some(&ours), b"place", &piece).as_deref(), Ok(text));
            assert_eq!(opener.open(Some(&ours), b"elsewhere", &piece), Err(SealError::Broken));
            let unknown = SealError::UnknownKey { key: ours.name().to_owned() };
            assert_eq!(Opener::default().open(Some(&others), b"place", &piece), Err(unknown));
        }
        // Opened by a former key, too, and by another opener.
        let former = others.sealer();
        let piece = sealed(&former, b"p", b"x");
        assert_eq!(opener.open(Some(&ours), b"p", &piece).as_deref(), Ok(&b"x"[..]));
    }

    #[test]
    fn a_piece_that_was_touched_does_not_open() {
        let ring = ring(&[1]);
        let piece = sealed(&ring.sealer(), b"p", b"secret");
        for place in 0..piece.len() {
            let mut spoilt = piece.clone();
            spoilt[place] ^= 1;
            assert!(Opener::default().open(Some(&ring), b"p", &spoilt).is_err(), "byte {place}");
            assert!(
                Opener::default().open(Some(&ring), b"p", &piece[..place]).is_err(),
                "{place} bytes"
            );
        }
    }

    #[test]
    fn no_two_pieces_and_no_two_sealers_are_alike() {
        let ring = ring(&[1]);
        let (one, other) = (ring.sealer(), ring.sealer());
        assert_ne!(one.head, other.head);
        assert_ne!(sealed(&one, b"p", b"secret"), sealed(&one, b"p", b"secret"));
        assert!(!format!("{one:?}").contains(&ring.0[0].text()));
    }
}
