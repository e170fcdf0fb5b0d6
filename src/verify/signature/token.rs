//! JSON Web Tokens. In: a token, the keys an owner gave, and what its provider promises to claim. Out: yes, or the fact
//! that speaks against it. The algorithm comes from the provider's row, never from the token; no address in a token is
//! ever followed.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    EcdsaVerificationAlgorithm, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RsaParameters, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Value, json};

use crate::id::Secret;

use super::fault::Fault;
use super::fetched::{Form, Known, Wanted};
use super::keys::Login;
use super::material::to_hex;
use super::moment::Moment;
use super::parsed::sha256;
use super::point;
use super::private::{Private, is_private};
use super::request::{Parameters, Request};
use super::scheme::{Algorithm, BodyDigest, Claim, Encoding, Scheme, SecretForm};

/// How long a token that we sign counts.
const LIFE_SECONDS: i64 = 300;

/// Longest token that is read: some are a whole body, and of strangers until they are judged.
const TOKEN_MAX_BYTES: usize = 64 << 10;

/// Most keys of one set.
const KEYS_MAX: usize = 100;

/// How far a token may seem to be made in the future, where its row says nothing: clocks differ by that.
const MADE_LEEWAY_SECONDS: i64 = 10;

/// Base64 of keys: some write it padded.
const KEY_BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What some editors put in front of a text.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Keys that tokens may be signed with.
pub(super) struct KeySet(Vec<NamedKey>);

struct NamedKey {
    id: Option<String>,
    algorithm: Option<String>,
    key: PublicOrShared,
}

enum PublicOrShared {
    /// The bytes of a shared secret.
    Shared(Vec<u8>),
    /// Modulus and exponent.
    Rsa(PublicKeyComponents<Vec<u8>>),
    /// A point of the curve that only this algorithm has, uncompressed.
    Curve(Algorithm, Vec<u8>),
    /// A point of Ed25519.
    Ed25519(Vec<u8>),
}

impl KeySet {
    /// Keys from a secret's text: a shared secret as it is, and where the provider has public keys, a JWK or a set of
    /// them.
    pub(super) fn new(scheme: &Scheme, secret: &[u8]) -> Option<Self> {
        let shared = || {
            let key = PublicOrShared::Shared(secret.to_vec());
            Some(Self(vec![NamedKey { id: None, algorithm: None, key }]))
        };
        if !matches!(scheme.secret, SecretForm::Keys | SecretForm::TextOrKeys) {
            return shared();
        }
        let text = secret.strip_prefix(BYTE_ORDER_MARK).unwrap_or(secret).trim_ascii();
        // A public key, as a shared secret, is one that everybody has.
        let has = |word: &[u8]| memchr::memmem::find(text, word).is_some();
        if scheme.secret == SecretForm::TextOrKeys && !has(b"\"kty\"") {
            return if has(b"-----BEGIN") { None } else { shared() };
        }
        let value: Value = serde_json::from_slice(text).ok()?;
        match value.get("keys").unwrap_or(&value).as_array() {
            Some(listed) => Self::of(listed),
            None => Self::of(&[value]),
        }
    }

    /// A set may hold keys for other purposes; those are passed over, and those that count no more.
    fn of(listed: &[Value]) -> Option<Self> {
        let counts = listed.iter().take(KEYS_MAX).filter(|key| !is_over(key));
        let keys: Vec<_> = counts.filter_map(NamedKey::read).collect();
        (!keys.is_empty()).then_some(Self(keys))
    }

    /// Public keys that a provider keeps at an address; shared ones are for nobody there.
    pub(super) fn fetched(text: &[u8]) -> Option<Self> {
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).trim_ascii();
        let value: Value = serde_json::from_slice(text).ok()?;
        Self::of(value.get("keys").unwrap_or(&value).as_array()?)
    }

    /// The one key that was asked for; none, when it counts no more.
    pub(super) fn told(text: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(text).ok()?;
        let told = value.get("key")?;
        let key = NamedKey::read(told)?;
        // Without a name it would be taken for any.
        let named = key.id.is_some();
        named.then(|| Self(if is_over(told) { Vec::new() } else { vec![key] }))
    }
}

/// Whether a key says that it has ended: Plaid's do.
fn is_over(key: &Value) -> bool {
    key.get("expired_at").is_some_and(|end| !end.is_null())
}

/// Where the keys are that may have signed a token.
#[derive(Clone, Copy)]
pub(super) enum Keys<'a> {
    /// Their owner gave them.
    Given(&'a KeySet),
    /// At an address.
    At(&'a str, &'a dyn Known),
    /// Each is asked for by its name.
    Asked(&'a Login, &'a dyn Known),
}

#[cfg(test)]
impl KeySet {
    pub(super) fn is_public(&self) -> bool {
        self.0.iter().all(|named| !matches!(named.key, PublicOrShared::Shared(_)))
    }
}

impl NamedKey {
    fn read(key: &Value) -> Option<Self> {
        let text = |name: &str| key.get(name)?.as_str();
        let bytes = |name: &str| KEY_BASE64.decode(text(name)?).ok();
        if text("use").is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let curve = |algorithm, size| {
            let (x, y) = (bytes("x")?, bytes("y")?);
            let sized = x.len() == size && y.len() == size;
            sized.then(|| PublicOrShared::Curve(algorithm, [&[4][..], &x, &y].concat()))
        };
        let fit = match (text("kty")?, text("crv")) {
            ("RSA", _) => {
                PublicOrShared::Rsa(PublicKeyComponents { n: bytes("n")?, e: bytes("e")? })
            }
            ("EC", Some("P-256")) => curve(Algorithm::ES256, 32)?,
            ("EC", Some("P-384")) => curve(Algorithm::ES384, 48)?,
            ("EC", Some("P-521")) => curve(Algorithm::ES512, 66)?,
            ("OKP", Some("Ed25519")) => {
                PublicOrShared::Ed25519(bytes("x").filter(|point| !point::is_small(point))?)
            }
            _ => return None,
        };
        let owned = |name| text(name).map(str::to_owned);
        Some(Self { id: owned("kid"), algorithm: owned("alg"), key: fit })
    }

    /// Whether such a token can be signed with it.
    fn is_of(&self, algorithm: Algorithm) -> bool {
        use Algorithm as A;
        let of_type = match &self.key {
            PublicOrShared::Shared(_) => {
                return matches!(algorithm, A::HS256 | A::HS384 | A::HS512);
            }
            PublicOrShared::Rsa(_) => matches!(algorithm, A::RS256 | A::RS384 | A::RS512),
            PublicOrShared::Curve(own, _) => algorithm == *own,
            PublicOrShared::Ed25519(_) => algorithm == A::EdDSA,
        };
        of_type && self.algorithm.as_deref().is_none_or(|name| algorithm.is_named(name))
    }

    fn verifies(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        match &self.key {
            PublicOrShared::Shared(secret) => {
                let key = hmac::Key::new(shared(algorithm), secret);
                hmac::verify(&key, signed, signature).is_ok()
            }
            PublicOrShared::Rsa(key) => key.verify(rsa(algorithm), signed, signature).is_ok(),
            PublicOrShared::Curve(own, point) => {
                UnparsedPublicKey::new(curve(*own), point).verify(signed, signature).is_ok()
            }
            PublicOrShared::Ed25519(point) => {
                UnparsedPublicKey::new(&ED25519, point).verify(signed, signature).is_ok()
            }
        }
    }
}

impl KeySet {
    /// Keys that may have signed such a token: those of its name and those without one. Where the row says so, a token
    /// without a name may be of the only key that there is for it, whatever that is called.
    fn fit(&self, scheme: &Scheme, algorithm: Algorithm, id: Option<&str>) -> Vec<&NamedKey> {
        let mut keys: Vec<_> = self.0.iter().filter(|key| key.is_of(algorithm)).collect();
        if !(scheme.kid_optional && id.is_none() && keys.len() == 1) {
            keys.retain(|key| key.id.is_none() || key.id.as_deref() == id);
        }
        keys
    }
}

fn curve(algorithm: Algorithm) -> &'static EcdsaVerificationAlgorithm {
    match algorithm {
        Algorithm::ES384 => &ECDSA_P384_SHA384_FIXED,
        Algorithm::ES512 => &ECDSA_P521_SHA512_FIXED,
        _ => &ECDSA_P256_SHA256_FIXED,
    }
}

fn shared(algorithm: Algorithm) -> hmac::Algorithm {
    match algorithm {
        Algorithm::HS384 => hmac::HMAC_SHA384,
        Algorithm::HS512 => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    }
}

fn rsa(algorithm: Algorithm) -> &'static RsaParameters {
    match algorithm {
        Algorithm::RS384 => &RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &RSA_PKCS1_2048_8192_SHA512,
        _ => &RSA_PKCS1_2048_8192_SHA256,
    }
}

/// What a provider would claim of a request.
///
/// # Errors
/// A setting that is missing.
pub(super) fn claims(
    scheme: &Scheme,
    request: &Request<'_>,
    parameters: &Parameters,
    now: i64,
    id: &str,
) -> Result<Value, Fault> {
    if scheme.is_body() {
        // What is said is the token.
        let said = serde_json::from_slice::<Value>(request.body).ok().filter(Value::is_object);
        return said.ok_or(Fault::Body("an object of JSON"));
    }
    let end = now.saturating_add(LIFE_SECONDS);
    let mut claims = json!({ "iat": now, "nbf": now, "exp": end, "jti": id });
    for (name, wanted) in &scheme.claims {
        let parameter = |name: &String| parameters.get(name).cloned();
        claims[name] = match wanted {
            Claim::OneOf { one_of } => one_of.first().cloned().unwrap_or_default().into(),
            Claim::Parameter { parameter: name } => {
                parameter(name).ok_or_else(|| Fault::Parameter(name.clone()))?.into()
            }
            Claim::IsTrue { is_true } => (*is_true).into(),
            Claim::UrlHash { .. } => {
                written_digest(Encoding::Hex, sha256(request.address(parameters)?.as_bytes()))
                    .into()
            }
        };
    }
    if let Some(wanted) = &scheme.body_digest
        && let Some(name) = &wanted.claim
        && !(wanted.absent_when_empty && request.body.is_empty())
    {
        claims[name] = written_digest(wanted.encoding, request.sha256()).into();
    }
    Ok(claims)
}

/// A token of those claims, with the first algorithm of the row that the key is for; `None` when it is for none.
pub(super) fn sign(
    scheme: &Scheme,
    secret: &Secret,
    kid: Option<&str>,
    claims: &Value,
) -> Option<String> {
    let private = is_private(secret);
    scheme.algorithms.iter().find_map(|&algorithm| {
        let mut head = json!({ "alg": algorithm.name(), "typ": "JWT" });
        if let Some(kid) = kid {
            head["kid"] = kid.into();
        }
        let [head, body] = [&head, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{head}.{body}");
        let is_shared = matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512);
        let tag = if is_shared {
            let key = secret.expose().as_bytes();
            let key = (!private && !key.is_empty()).then(|| hmac::Key::new(shared(algorithm), key));
            hmac::sign(&key?, signed.as_bytes()).as_ref().to_vec()
        } else {
            Private::of_token(algorithm, secret)?.sign(Some(algorithm), signed.as_bytes())?
        };
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag)))
    })
}

/// Judges one token. The part of it that is signed.
pub(super) fn judge<'t>(
    scheme: &Scheme,
    keys: Keys<'_>,
    token: &'t [u8],
    request: &Request<'_>,
    parameters: &Parameters,
    now: Option<i64>,
) -> Result<&'t [u8], Fault> {
    if token.len() > TOKEN_MAX_BYTES {
        return Err(Fault::Token("it has more than 64 KiB"));
    }
    let mut parts = token.split(|byte| *byte == b'.');
    let (Some(head), Some(body), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Fault::Token("it has not three parts"));
    };
    let decode = |part: &[u8]| URL_SAFE_NO_PAD.decode(part).ok();
    let json = |part: &[u8]| serde_json::from_slice::<Value>(&decode(part)?).ok();
    let header = json(head).ok_or(Fault::Token("its head is no JSON"))?;
    let text = |name: &str| header.get(name).and_then(Value::as_str);
    let named = text("alg").unwrap_or_default();
    let algorithm = scheme.algorithms.iter().copied().find(|known| known.is_named(named));
    let algorithm = algorithm.ok_or(Fault::Algorithm)?;
    // RFC 7515, 4.1.11: who does not know what it lists refuses; none of that is known here.
    if header.get("crit").is_some() {
        return Err(Fault::Token("its head demands what is not known here (crit)"));
    }
    let signature = decode(signature).ok_or(Fault::Mismatch)?;
    let claims = || {
        let claims = json(body).ok_or(Fault::Token("its claims are no JSON"))?;
        judge_claims(scheme, &claims, request, parameters, now)
    };
    let fetched;
    let set = match keys {
        Keys::Given(set) => set,
        Keys::At(address, known) => {
            // Nobody makes us fetch a key for what is refused whoever signed it.
            claims()?;
            fetched = known.find(&Wanted::new(address, Form::Keys))?;
            fetched.keys()?
        }
        Keys::Asked(login, known) => {
            claims()?;
            fetched = known.find(&login.wanted(text("kid"))?)?;
            fetched.keys()?
        }
    };
    let fit = set.fit(scheme, algorithm, text("kid"));
    if fit.is_empty() {
        let Keys::At(address, _) = keys else { return Err(Fault::Key) };
        let newer = Wanted { newer: true, ..Wanted::new(address, Form::Keys) };
        return Err(Fault::Unfetched(Box::new(newer)));
    }
    let signed = &token[..head.len() + 1 + body.len()];
    if !fit.iter().any(|key| key.verifies(algorithm, signed, &signature)) {
        return Err(Fault::Mismatch);
    }
    claims().map(|()| signed)
}

/// Whether a token claims what was agreed.
fn judge_claims(
    scheme: &Scheme,
    claims: &Value,
    request: &Request<'_>,
    parameters: &Parameters,
    now: Option<i64>,
) -> Result<(), Fault> {
    judge_times(scheme, claims, now)?;
    for (name, wanted) in &scheme.claims {
        let has = claims.get(name);
        if !is_claim(has, wanted, request, parameters)? {
            return Err(Fault::Claim(name.clone()));
        }
    }
    match &scheme.body_digest {
        Some(digest) => judge_digest(digest, claims, request),
        None => Ok(()),
    }
}

fn judge_times(scheme: &Scheme, claims: &Value, now: Option<i64>) -> Result<(), Fault> {
    if let Some(missing) = scheme.require.iter().find(|name| claims.get(name.as_str()).is_none()) {
        return Err(Fault::Claim(missing.clone()));
    }
    let moment = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(value) => {
            let part = || value.as_f64().map(Moment::of_float);
            let whole = value.as_i64().map(Moment::of_seconds).or_else(part);
            whole.map(Some).ok_or_else(|| Fault::Claim(name.to_owned()))
        }
    };
    let (end, start, made) = (moment("exp")?, moment("nbf")?, moment("iat")?);
    let Some(now) = now.map(Moment::of_seconds) else { return Ok(()) };
    if let Some(end) = end.filter(|end| now >= end.later(scheme.leeway)) {
        return Err(Fault::Expired(end.seconds_to(now)));
    }
    if let Some(start) = start.filter(|start| now.later(scheme.leeway) < *start) {
        return Err(Fault::Early(now.seconds_to(start)));
    }
    let Some(made) = made else { return Ok(()) };
    if let Some(window) = scheme.window {
        return now.check(made, window);
    }
    let leeway = if scheme.leeway > 0 { scheme.leeway } else { MADE_LEEWAY_SECONDS };
    if now.later(leeway) < made {
        return Err(Fault::Early(now.seconds_to(made)));
    }
    Ok(())
}

fn is_claim(
    has: Option<&Value>,
    wanted: &Claim,
    request: &Request<'_>,
    given: &Parameters,
) -> Result<bool, Fault> {
    let is = |text: &str| match has {
        Some(Value::String(one)) => one == text,
        Some(Value::Array(many)) => many.iter().any(|one| one.as_str() == Some(text)),
        _ => false,
    };
    let parameter = |name: &str| given.get(name).ok_or_else(|| Fault::Parameter(name.to_owned()));
    Ok(match wanted {
        Claim::OneOf { one_of } => one_of.iter().any(|text| is(text)),
        Claim::Parameter { parameter: name } => is(parameter(name)?),
        Claim::IsTrue { is_true } => has == Some(&Value::Bool(*is_true)),
        Claim::UrlHash { .. } => {
            is(&written_digest(Encoding::Hex, sha256(request.address(given)?.as_bytes())))
        }
    })
}

fn judge_digest(wanted: &BodyDigest, claims: &Value, request: &Request<'_>) -> Result<(), Fault> {
    let name = wanted.claim.as_deref().unwrap_or_default();
    let claimed = claims.get(name).and_then(Value::as_str);
    if wanted.absent_when_empty && request.body.is_empty() {
        return match claims.get(name) {
            None => Ok(()),
            Some(_) => Err(Fault::Digest(format!("claim {name}"))),
        };
    }
    let claimed = claimed.ok_or_else(|| Fault::Claim(name.to_owned()))?;
    if is_digest(wanted.encoding, claimed.as_bytes(), request.sha256()) {
        Ok(())
    } else {
        Err(Fault::Digest(format!("claim {name}")))
    }
}

/// Whether a text is that SHA-256.
pub(super) fn is_digest(encoding: Encoding, text: &[u8], digest: [u8; 32]) -> bool {
    let written = written_digest(encoding, digest);
    let same_case = match encoding {
        Encoding::Base64 => text.to_vec(),
        _ => text.to_ascii_lowercase(),
    };
    verify_slices_are_equal(&same_case, written.as_bytes()).is_ok()
}

/// A SHA-256, as it is written.
fn written_digest(encoding: Encoding, digest: [u8; 32]) -> String {
    match encoding {
        Encoding::Base64 => STANDARD.encode(digest),
        _ => to_hex(&digest),
    }
}
