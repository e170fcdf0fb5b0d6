//! Private keys that sign. In: a PEM of PKCS#8, or a seed as its provider writes keys, and a message. Out: a signature.
//! Of chance only what ECDSA takes from the system. Nothing here can be printed.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING,
    ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
    RsaEncoding, RsaKeyPair,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{PrivatePkcs1KeyDer, PrivatePkcs8KeyDer};

use crate::id::Secret;

use super::material::decode;
use super::scheme::{Algorithm, Mac, SecretForm};

/// What stands in front of a private key of Standard Webhooks.
pub(super) const PREFIX: &str = "whsk_";
/// What every PEM holds.
const PEM: &str = "-----BEGIN ";
/// An Ed25519 seed; the public key may stand behind it.
const SEED_BYTES: usize = 32;

/// A private key.
pub(super) enum Private {
    Ed25519(Ed25519KeyPair),
    Curve(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

/// Whether a text looks like a private key rather than a shared secret.
pub(super) fn is_private(secret: &Secret) -> bool {
    secret.expose().starts_with(PREFIX) || secret.expose().contains(PEM)
}

impl Private {
    /// The key of a way of signing; `None` when the text is none.
    pub(super) fn of_scheme(mac: Mac, form: SecretForm, secret: &Secret) -> Option<Self> {
        match mac {
            Mac::Ed25519 => ed25519(form, secret).map(Self::Ed25519),
            Mac::EcdsaP256 => curve(&ECDSA_P256_SHA256_ASN1_SIGNING, secret).map(Self::Curve),
            Mac::RsaSha256 => Self::rsa(secret),
            _ => None,
        }
    }

    /// The key of a token's algorithm; `None` when the text is none.
    pub(super) fn of_token(algorithm: Algorithm, secret: &Secret) -> Option<Self> {
        use Algorithm as A;
        match algorithm {
            A::HS256 | A::HS384 | A::HS512 => None,
            A::RS256 | A::RS384 | A::RS512 => Self::rsa(secret),
            A::ES256 => curve(&ECDSA_P256_SHA256_FIXED_SIGNING, secret).map(Self::Curve),
            A::ES384 => curve(&ECDSA_P384_SHA384_FIXED_SIGNING, secret).map(Self::Curve),
            A::ES512 => curve(&ECDSA_P521_SHA512_FIXED_SIGNING, secret).map(Self::Curve),
            A::EdDSA => ed25519(SecretForm::Text, secret).map(Self::Ed25519),
        }
    }

    /// An RSA key, as PEM of PKCS#8 or of PKCS#1; `None` when the text is none.
    pub(super) fn rsa(secret: &Secret) -> Option<Self> {
        if let Some(der) = pkcs8(secret) {
            return RsaKeyPair::from_pkcs8(&der).ok().map(Self::Rsa);
        }
        let der = PrivatePkcs1KeyDer::from_pem_slice(secret.expose().as_bytes()).ok()?;
        RsaKeyPair::from_der(der.secret_pkcs1_der()).ok().map(Self::Rsa)
    }

    /// The signature of a message; `None` when the system has no chance to give.
    pub(super) fn sign(&self, algorithm: Option<Algorithm>, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match self {
            Self::Ed25519(key) => key.try_sign(message).ok().map(|tag| tag.as_ref().to_vec()),
            Self::Curve(key) => key.sign(&random, message).ok().map(|tag| tag.as_ref().to_vec()),
            Self::Rsa(key) => {
                let padding: &dyn RsaEncoding = match algorithm {
                    Some(Algorithm::RS384) => &RSA_PKCS1_SHA384,
                    Some(Algorithm::RS512) => &RSA_PKCS1_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut tag = vec![0; key.public_modulus_len()];
                key.sign(padding, &random, message, &mut tag).ok().map(|()| tag)
            }
        }
    }
}

fn pkcs8(secret: &Secret) -> Option<Vec<u8>> {
    let key = PrivatePkcs8KeyDer::from_pem_slice(secret.expose().as_bytes()).ok()?;
    Some(key.secret_pkcs8_der().to_vec())
}

fn curve(algorithm: &'static EcdsaSigningAlgorithm, secret: &Secret) -> Option<EcdsaKeyPair> {
    EcdsaKeyPair::from_pkcs8(algorithm, &pkcs8(secret)?).ok()
}

fn ed25519(form: SecretForm, secret: &Secret) -> Option<Ed25519KeyPair> {
    if secret.expose().contains(PEM) {
        return Ed25519KeyPair::from_pkcs8_maybe_unchecked(&pkcs8(secret)?).ok();
    }
    let bare = secret.expose().trim();
    let bare = bare.strip_prefix(PREFIX).unwrap_or(bare);
    let bytes = decode(form, &Secret::new(bare))?;
    let is_sized = matches!(bytes.len(), SEED_BYTES) || bytes.len() == 2 * SEED_BYTES;
    let seed = bytes.get(..SEED_BYTES).filter(|_| is_sized)?;
    let key = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
    let public = aws_lc_rs::signature::KeyPair::public_key(&key).as_ref();
    (bytes.len() == SEED_BYTES || &bytes[SEED_BYTES..] == public).then_some(key)
}
