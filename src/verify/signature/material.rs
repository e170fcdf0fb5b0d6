//! A secret, made ready to judge with. In: the text an owner typed, and what its provider says it is. Out: keys of
//! aws-lc-rs. Refuses what is empty or has not the form, so that it cannot fail later. Nothing here can be printed.

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use unicode_normalization::UnicodeNormalization as _;

use crate::id::Secret;

use super::fault::SchemeFault;
use super::keys::{KeysLogin, Login};
use super::point;
use super::request::Parameters;
use super::scheme::{Mac, Scheme, SecretForm};
use super::token::KeySet;

/// Base64 as vendors write and read it, padded or not, whatever its last bits are; secrets only, never signatures.
const LOOSE: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const LENIENT: GeneralPurpose = GeneralPurpose::new(&STANDARD, LOOSE);
/// The same with the two other letters of addresses. No text is both: one with letters of each is neither.
const LENIENT_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LOOSE);
/// What stands in front of the secrets of Standard Webhooks.
const PREFIXES: [&str; 2] = ["whsec_", "whpk_"];

/// One secret for one way of signing.
pub(super) struct Material {
    /// The secret as it is part of messages.
    pub text: Vec<u8>,
    /// What judges.
    pub key: Key,
}

/// What judges a signature.
pub(super) enum Key {
    /// A shared key.
    Hmac(Box<hmac::Key>),
    /// Only the text itself: digests, and signatures that are the secret.
    Text,
    /// A public key.
    Public(ParsedPublicKey),
    /// Keys of tokens.
    Set(KeySet),
    /// The key comes with the certificate.
    Certificate,
    /// The keys of tokens are at that address.
    Fetched(String),
    /// They are told one by one, to whoever logs in.
    Login(Box<Login>),
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Material {
    /// A secret for one way of signing of a provider.
    ///
    /// # Errors
    /// [`SchemeFault::Secret`]: it has not the form.
    pub(super) fn new(
        provider: &str,
        scheme: &Scheme,
        secret: &Secret,
        parameters: &Parameters,
    ) -> Result<Self, SchemeFault> {
        let fetched = scheme.keys_address(parameters).filter(|_| secret.expose().is_empty());
        if let Some(address) = fetched {
            return Ok(Self { text: Vec::new(), key: Key::Fetched(address.into_owned()) });
        }
        let bad = |form| SchemeFault::Secret { provider: provider.to_owned(), form };
        let text = secret.expose().as_bytes().to_vec();
        if secret.expose().trim().is_empty() && scheme.secret != SecretForm::None {
            return Err(bad("text that is more than blanks"));
        }
        if let Some(login) = scheme.keys_login.as_ref().filter(|_| KeysLogin::is_for(secret)) {
            let login = login.login(provider, secret, parameters)?;
            return Ok(Self { text: Vec::new(), key: Key::Login(Box::new(login)) });
        }
        let bytes = decode(scheme.secret, secret).ok_or_else(|| bad(wanted(scheme.secret)))?;
        if bytes.is_empty() && scheme.secret != SecretForm::None {
            return Err(bad("text that is not empty"));
        }
        let hmac = |algorithm| Key::Hmac(Box::new(hmac::Key::new(algorithm, &bytes)));
        let public = |algorithm: &'static dyn VerificationAlgorithm, form| {
            ParsedPublicKey::new(algorithm, &bytes).map(Key::Public).map_err(|_| bad(form))
        };
        let rsa = "an RSA public key of 2048 bits or more, as base64";
        let key = match scheme.mac {
            _ if scheme.certificate.is_some() => Key::Certificate,
            Mac::HmacSha1 => hmac(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            Mac::HmacSha256 => hmac(hmac::HMAC_SHA256),
            Mac::HmacSha384 => hmac(hmac::HMAC_SHA384),
            Mac::HmacSha512 => hmac(hmac::HMAC_SHA512),
            Mac::HmacSha1HashedKey => Key::Hmac(Box::new(hashed(&bytes))),
            Mac::Sha1 | Mac::Sha256 | Mac::Sha1OrSha256 | Mac::Equal => Key::Text,
            Mac::Ed25519 if point::is_small(&bytes) => {
                return Err(bad(
                    "an Ed25519 public key that not everybody can sign for: this is one \
                                of the few points of small order",
                ));
            }
            Mac::Ed25519 => public(&ED25519, "an Ed25519 public key")?,
            Mac::EcdsaP256 => public(&ECDSA_P256_SHA256_ASN1, "a P-256 public key, as base64")?,
            Mac::RsaSha1 => public(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, rsa)?,
            Mac::RsaSha256 => public(&RSA_PKCS1_2048_8192_SHA256, rsa)?,
            Mac::Jwt => {
                Key::Set(KeySet::new(scheme, &bytes).ok_or_else(|| bad(keys_wanted(scheme)))?)
            }
        };
        Ok(Self { text, key })
    }
}

/// The key of which Braintree's is made.
pub(super) fn hashed(secret: &[u8]) -> hmac::Key {
    let key = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, secret);
    hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_ref())
}

/// The bytes of a secret; `None` when it has not the form.
pub(super) fn decode(form: SecretForm, secret: &Secret) -> Option<Vec<u8>> {
    let text = secret.expose();
    Some(match form {
        SecretForm::Text | SecretForm::Keys | SecretForm::TextOrKeys | SecretForm::None => {
            text.as_bytes().to_vec()
        }
        SecretForm::TextNfkd => text.nfkd().collect::<String>().into_bytes(),
        SecretForm::Hex => hex(text.trim().as_bytes())?,
        SecretForm::Base64 => base64(&bare(text))?,
        SecretForm::Base64Prefixed => {
            let text = text.trim();
            let bare = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix));
            base64(bare.unwrap_or(text))?
        }
    })
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let engine = if text.contains(['-', '_']) { LENIENT_URL } else { LENIENT };
    engine.decode(text).ok()
}

/// Base64 without the frame that PEM puts around a public key.
fn bare(text: &str) -> String {
    let text = text.trim();
    let framed = text.strip_prefix("-----BEGIN PUBLIC KEY-----");
    let inside = framed.and_then(|text| text.strip_suffix("-----END PUBLIC KEY-----"));
    inside.map_or_else(|| text.to_owned(), |text| text.split_ascii_whitespace().collect())
}

fn wanted(form: SecretForm) -> &'static str {
    match form {
        SecretForm::Hex => "hex",
        SecretForm::Base64 => "base64",
        SecretForm::Base64Prefixed => "base64, whsec_ or whpk_ in front",
        _ => "text",
    }
}

fn keys_wanted(scheme: &Scheme) -> &'static str {
    match scheme.secret {
        SecretForm::TextOrKeys => {
            "a secret, or a JWK or a set of them as JSON, with a public key that counts: RSA, P-256, P-384, P-521 or \
             Ed25519 (of no small order), and no `expired_at`"
        }
        _ => {
            "a JWK or a set of them as JSON, with a public key that counts: RSA, P-256, P-384, P-521 or Ed25519 (of no \
             small order), and no `expired_at`"
        }
    }
}

/// Bytes from hex in either case.
pub(super) fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// Bytes as hex in lower case.
#[must_use]
pub(super) fn to_hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
