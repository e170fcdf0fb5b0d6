//! What a page hands on to the next: the whole question and where it stopped, sealed, so that nobody but this gateway
//! makes one. In: a question, or a text out of an address. Out: the other. Keeps nothing on this side.

use std::io::{Read as _, Write as _};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde_json::{Value, json};

use super::query::Sight;
use crate::clock::Time;
use crate::id::Uuid;

/// Longest token: an address must fit into a request's head.
const TOKEN_MAX_CHARS: usize = 24 << 10;
/// Most bytes of an opened one.
const OPENED_MAX_BYTES: u64 = 4 << 20;
const TAG_BYTES: usize = 32;

/// A question and where its last page ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) place: Sight,
    pub(super) filter: Value,
    pub(super) since: Time,
    pub(super) until: Time,
    pub(super) limit: u64,
    pub(super) total: u64,
    pub(super) after: i64,
}

impl Token {
    /// The token as text for an address; nothing when it is too long for one.
    pub(super) fn seal(&self, key: &[u8]) -> Option<String> {
        let told = json!([
            self.place.account,
            self.place.workspace,
            self.since.micros(),
            self.until.micros(),
            self.limit,
            self.total,
            self.after,
            self.filter,
        ]);
        let mut packed = DeflateEncoder::new(vec![0; TAG_BYTES], Compression::default());
        packed.write_all(told.to_string().as_bytes()).ok()?;
        let mut packed = packed.finish().ok()?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        let tag = hmac::sign(&key, &packed[TAG_BYTES..]);
        packed[..TAG_BYTES].copy_from_slice(tag.as_ref());
        let text = URL_SAFE_NO_PAD.encode(packed);
        (text.len() <= TOKEN_MAX_CHARS).then_some(text)
    }

    /// What a text stands for, if it was sealed here.
    pub(super) fn open(text: &str, key: &[u8]) -> Option<Self> {
        if text.len() > TOKEN_MAX_CHARS {
            return None;
        }
        let packed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (tag, packed) = packed.split_at_checked(TAG_BYTES)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        hmac::verify(&key, packed, tag).ok()?;
        let mut told = Vec::new();
        DeflateDecoder::new(packed).take(OPENED_MAX_BYTES).read_to_end(&mut told).ok()?;
        let told: (Uuid, Option<Uuid>, i64, i64, u64, u64, i64, Value) =
            serde_json::from_slice(&told).ok()?;
        let (account, workspace, since, until, limit, total, after, filter) = told;
        Some(Self {
            place: Sight { account, workspace },
            filter,
            since: Time::from_micros(since),
            until: Time::from_micros(until),
            limit,
            total,
            after,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sealed_here_opens() {
        let place = Sight { account: Uuid::from_u128(1), workspace: Some(Uuid::from_u128(2)) };
        let filter = json!({"event": {"prefix": ["a"]}});
        let (since, until) = (Time::from_micros(1), Time::from_micros(i64::MAX));
        let token = Token { place, filter, since, until, limit: 3, total: 4, after: -5 };
        let text = token.seal(b"key").expect("short");
        assert_eq!(Token::open(&text, b"key"), Some(token.clone()));
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)), "{text}");
        assert_eq!(Token::open(&text, b"another"), None);
        for place in 0..text.len() {
            let mut other = text.clone().into_bytes();
            other[place] = if other[place] == b'A' { b'B' } else { b'A' };
            let other = String::from_utf8(other).expect("text");
            assert_eq!(Token::open(&other, b"key"), None, "{other}");
        }
        for none in ["", "x", &"A".repeat(100), &"A".repeat(TOKEN_MAX_CHARS + 1)] {
            assert_eq!(Token::open(none, b"key"), None);
        }
        let noise: Vec<u128> = (0..4000).map(|_| fastrand::u128(..)).collect();
        let filter = json!(noise.iter().map(u128::to_string).collect::<Vec<_>>());
        assert_eq!(Token { filter, ..token }.seal(b"key"), None, "too long for an address");
    }
}
