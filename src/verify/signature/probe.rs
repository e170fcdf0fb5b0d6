//! What else would have made a signature right: a secret that was copied otherwise, another algorithm, another way of
//! writing it. In: a request that was refused, and the way of signing that decided. Out: words for the one thing that
//! differs, said only where it makes the signature right; of what was expected nothing is said. Constant-time compares.

use std::borrow::Cow;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::judge::plain_digests;
use super::material::{decode, hashed, hex, to_hex};
use super::message::Given;
use super::request::{Parameters, Request};
use super::scheme::{Encoding, Mac, Scheme, SecretForm};
use crate::id::Secret;

/// Less of a signature than so many characters may be its beginning by chance.
const CUT_MIN_CHARS: usize = 16;
/// Most signatures of a request that are looked at.
const PARTS_MAX: usize = 8;
const PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, PADDING);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, PADDING);
/// What stands in front of secrets as their providers show them.
const PREFIXES: [&str; 3] = ["whsec_", "whpk_", "base64:"];
/// Algorithms that signatures are made with, and their names.
const HMACS: [(Mac, &str); 4] = [
    (Mac::HmacSha256, "HMAC-SHA256"),
    (Mac::HmacSha1, "HMAC-SHA1"),
    (Mac::HmacSha384, "HMAC-SHA384"),
    (Mac::HmacSha512, "HMAC-SHA512"),
];
/// Those of digests of a message that the secret is part of.
const DIGESTS: [(Mac, &str); 2] = [(Mac::Sha256, "SHA256"), (Mac::Sha1, "SHA1")];

/// One way of signing, and what a request has of it.
pub(super) struct Probe<'a> {
    scheme: &'a Scheme,
    request: &'a Request<'a>,
    parts: Vec<Cow<'a, [u8]>>,
    time: Cow<'a, [u8]>,
    id: Cow<'a, [u8]>,
    names: Cow<'a, [u8]>,
    url: Option<String>,
}

/// A secret in other clothes.
struct Candidate {
    what: String,
    /// What it is part of messages as, and shown as.
    text: Vec<u8>,
    /// What signs.
    key: Vec<u8>,
}

impl<'a> Probe<'a> {
    /// `None` for ways that a shared secret does not sign, or not the whole request.
    pub(super) fn new(
        scheme: &'a Scheme,
        request: &'a Request<'a>,
        parameters: &'a Parameters,
    ) -> Option<Self> {
        if scheme.special.is_some() || scheme.certificate.is_some() || !is_shared(scheme.mac) {
            return None;
        }
        let one = |source: &'a Option<super::source::Source>| match source {
            Some(source) => source.read_one(request, parameters).ok(),
            None => Some(Cow::default()),
        };
        let source = scheme.signature.as_ref()?;
        let mut parts = source.read(request, parameters).ok()?;
        parts.truncate(PARTS_MAX);
        // Where each has to fit, none is looked at by itself.
        if source.all && parts.len() > 1 {
            return None;
        }
        let time = one(&scheme.time).or_else(|| scheme.time_optional.then(Cow::default))?;
        let url = scheme.needs_url().then(|| request.address(parameters)).transpose().ok()?;
        Some(Self {
            scheme,
            request,
            parts,
            time,
            id: one(&scheme.id)?,
            names: one(&scheme.names)?,
            url,
        })
    }

    /// The one thing that differs, in words.
    pub(super) fn find(&self, provider: &str, secret: &Secret) -> Option<String> {
        let (form, native) = (self.scheme.secret, self.scheme.mac);
        let (what, text) = (String::new(), secret.expose().as_bytes().to_vec());
        let own = Candidate { what, text, key: decode(form, secret)? };
        let encoding = self.scheme.encoding;
        let found = candidates(form, secret).into_iter().find(|one| {
            let is_other = one.key != own.key;
            is_other && self.tags(native, one).iter().any(|tag| self.is_written(tag, encoding))
        });
        if let Some(found) = found {
            return Some(format!("the signature is right for the secret {}", found.what));
        }
        if native == Mac::Equal {
            return None;
        }
        let tags = self.tags(native, &own);
        if let Some(writing) = tags.iter().find_map(|tag| self.writing(tag)) {
            let wanted = written(encoding);
            return Some(format!(
                "the signature is right, but written as {writing}: {provider} writes {wanted}"
            ));
        }
        if let Some((chars, whole)) = tags.iter().find_map(|tag| self.cut(tag)) {
            return Some(format!(
                "the signature is right as far as it goes: it was cut short, {chars} of {whole} characters came"
            ));
        }
        let others: &[(Mac, &str)] = if is_digest(native) { &DIGESTS } else { &HMACS };
        let right = others.iter().find(|(mac, _)| {
            *mac != native && self.tags(*mac, &own).iter().any(|tag| self.writing(tag).is_some())
        })?;
        let wanted = others.iter().find(|(mac, _)| *mac == native);
        let wanted = wanted.map(|(_, name)| format!(": {provider} signs with {name}"));
        Some(format!("the signature is right for {}{}", right.1, wanted.unwrap_or_default()))
    }

    /// What the secret makes of the request.
    fn tags(&self, mac: Mac, secret: &Candidate) -> Vec<Vec<u8>> {
        if mac == Mac::Equal {
            return vec![secret.text.clone()];
        }
        let given = Given {
            request: self.request,
            url: self.url.as_deref(),
            time: &self.time,
            id: &self.id,
            names: &self.names,
            secret: &secret.text,
        };
        let messages = std::iter::once(&self.scheme.message).chain(&self.scheme.message_also);
        let messages = messages.filter_map(|message| message.bytes(&given).ok());
        let made = |message: Vec<u8>| {
            if is_digest(mac) {
                let digests = plain_digests(mac, |feed| {
                    feed(&message);
                    Ok(())
                });
                let digests = digests.into_iter().flatten();
                return digests.map(|digest| digest.as_ref().to_vec()).collect::<Vec<_>>();
            }
            let key = match algorithm(mac) {
                Some(algorithm) => hmac::Key::new(algorithm, &secret.key),
                None => hashed(&secret.key),
            };
            vec![hmac::sign(&key, &message).as_ref().to_vec()]
        };
        messages.flat_map(made).collect()
    }

    /// Whether a signature of the request is that tag.
    fn is_written(&self, tag: &[u8], encoding: Encoding) -> bool {
        let as_hex = |part| is_equal(hex(part), tag);
        let as_base64 = |part| is_equal(BASE64.decode(part).ok(), tag);
        self.parts.iter().any(|part| match encoding {
            Encoding::Hex => as_hex(part),
            Encoding::Base64 => as_base64(part),
            Encoding::HexOrBase64 => as_hex(part) | as_base64(part),
            Encoding::Text => is_equal(Some(part.to_vec()), tag),
        })
    }

    /// How a signature that is that tag is written.
    fn writing(&self, tag: &[u8]) -> Option<&'static str> {
        self.parts.iter().find_map(|part| {
            let is_padded = part.ends_with(b"=");
            let is_whole = tag.len().is_multiple_of(3);
            if is_equal(hex(part), tag) {
                Some("hex")
            } else if is_equal(BASE64.decode(part).ok(), tag) {
                Some(if is_padded || is_whole { "base64" } else { "base64 without padding" })
            } else if is_equal(BASE64_URL.decode(part).ok(), tag) {
                Some(if is_padded || is_whole { "base64url" } else { "base64url without padding" })
            } else {
                None
            }
        })
    }

    /// How many characters came of a signature that is that tag, and of how many.
    fn cut(&self, tag: &[u8]) -> Option<(usize, usize)> {
        let encoding = self.scheme.encoding;
        let is_hex = matches!(encoding, Encoding::Hex | Encoding::HexOrBase64);
        let is_base64 = matches!(encoding, Encoding::Base64 | Encoding::HexOrBase64);
        let wholes =
            [is_hex.then(|| (true, to_hex(tag))), is_base64.then(|| (false, BASE64.encode(tag)))];
        wholes.into_iter().flatten().find_map(|(is_hex, whole)| {
            // What lacks its padding alone is whole.
            let most = whole.trim_end_matches('=').len();
            let part = self.parts.iter().find(|part| {
                let came = if is_hex { part.to_ascii_lowercase() } else { part.to_vec() };
                let begin = whole.as_bytes().get(..came.len()).map(<[u8]>::to_vec);
                (CUT_MIN_CHARS..most).contains(&came.len()) && is_equal(begin, &came)
            })?;
            Some((part.len(), whole.len()))
        })
    }
}

fn is_equal(one: Option<Vec<u8>>, other: &[u8]) -> bool {
    one.is_some_and(|one| verify_slices_are_equal(&one, other).is_ok())
}

/// Whether who checks knows the secret that signs.
fn is_shared(mac: Mac) -> bool {
    let is_other = matches!(mac, Mac::Equal | Mac::HmacSha1HashedKey);
    is_other || is_digest(mac) || algorithm(mac).is_some()
}

/// Whether it is a digest of a message that the secret is part of.
fn is_digest(mac: Mac) -> bool {
    matches!(mac, Mac::Sha1 | Mac::Sha256 | Mac::Sha1OrSha256)
}

fn algorithm(mac: Mac) -> Option<hmac::Algorithm> {
    Some(match mac {
        Mac::HmacSha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Mac::HmacSha256 => hmac::HMAC_SHA256,
        Mac::HmacSha384 => hmac::HMAC_SHA384,
        Mac::HmacSha512 => hmac::HMAC_SHA512,
        _ => return None,
    })
}

fn written(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Hex => "hex",
        Encoding::Base64 => "base64, with its padding",
        Encoding::HexOrBase64 => "hex or base64, with its padding",
        Encoding::Text => "text",
    }
}

/// What a secret may be meant as.
fn candidates(form: SecretForm, secret: &Secret) -> Vec<Candidate> {
    let text = secret.expose();
    let bare = text.trim_matches(|c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}');
    let inside = unquoted(bare);
    let nude = PREFIXES.iter().find_map(|prefix| inside.strip_prefix(prefix));
    let mut found = Vec::new();
    let mut as_text = |what: &str, text: String| {
        if let Some(key) = decode(form, &Secret::new(text.as_str())) {
            found.push(Candidate { what: what.to_owned(), text: text.into_bytes(), key });
        }
    };
    as_text("with a line feed behind it", format!("{text}\n"));
    as_text("with a carriage return and a line feed behind it", format!("{text}\r\n"));
    as_text("with a byte order mark in front of it", format!("\u{feff}{text}"));
    as_text("in double quotes", format!("\"{text}\""));
    as_text("in single quotes", format!("'{text}'"));
    if bare != text {
        as_text(
            "without what is around it (white space, a line's end, a byte order mark)",
            bare.to_owned(),
        );
    }
    if inside != bare {
        as_text("without the quotes around it", inside.to_owned());
    }
    if let Some(nude) = nude {
        as_text("without what stands in front of it (`whsec_`)", nude.to_owned());
    } else {
        as_text("with `whsec_` in front of it", format!("whsec_{inside}"));
    }
    let nude = nude.unwrap_or(inside);
    let mut as_key = |what: &str, key: Option<Vec<u8>>| {
        if let Some(key) = key.filter(|key| !key.is_empty()) {
            let text = text.as_bytes().to_vec();
            found.push(Candidate { what: what.to_owned(), text, key });
        }
    };
    let is_text = matches!(form, SecretForm::Text | SecretForm::TextNfkd);
    let decoded = if is_text { "decoded" } else { "not as it is decoded here, but decoded" };
    as_key(&format!("{decoded} from hex"), hex(nude.as_bytes()));
    as_key(&format!("{decoded} from base64"), BASE64.decode(nude).ok());
    as_key(&format!("{decoded} from base64url"), BASE64_URL.decode(nude).ok());
    if !is_text {
        as_key("as the text that it is, not decoded", Some(inside.as_bytes().to_vec()));
        as_key(
            "as the text behind what stands in front, not decoded",
            Some(nude.as_bytes().to_vec()),
        );
    }
    found
}

/// A text without one pair of quotes around it.
fn unquoted(text: &str) -> &str {
    let without = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    without('"').or_else(|| without('\'')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::super::{Registry, Verifier};
    use super::*;
    use http::{HeaderMap, HeaderName, HeaderValue, Method};

    const BODY: &str = r#"{"kind":"paid","n":4}"#;
    const SECRET: &str = "topsecret-topsecret";
    const SVIX: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn made(algorithm: hmac::Algorithm, key: &[u8], message: &str) -> Vec<u8> {
        hmac::sign(&hmac::Key::new(algorithm, key), message.as_bytes()).as_ref().to_vec()
    }

    /// What is said of a request with those headers.
    fn said(provider: &str, secret: &str, headers: &[(&str, &str)]) -> String {
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::try_from(*name).expect("a name");
            all.insert(name, HeaderValue::try_from(*value).expect("a value"));
        }
        let (method, query) = (&Method::POST, None);
        let body = BODY.as_bytes();
        let (slug, certificate, parsed) = (None, None, None);
        let request = Request { method, headers: &all, query, body, slug, certificate, parsed };
        let registry = Registry::built_in();
        let row = registry.find(provider).expect("a provider");
        let secrets = [Secret::new("another-secret-0123"), Secret::new(secret)];
        let secrets = if provider == "standard-webhooks" { &secrets[1..] } else { &secrets[..] };
        let verifier = Verifier::new(provider, row, secrets, Parameters::new(), None);
        let verifier = verifier.expect("a verifier");
        let fault = verifier.judge(&request, &None, None).expect_err("it is refused");
        let said = verifier.explain(&registry, &request, &None, &fault).join("\n");
        assert!(!said.contains(secret), "{said}");
        said
    }

    #[test]
    fn what_differs_about_a_secret_is_found() {
        let github = |key: &[u8]| format!("sha256={}", to_hex(&made(hmac::HMAC_SHA256, key, BODY)));
        let tail = |text: &str| format!("{text}{SECRET}");
        for (secret, key, how) in [
            (SECRET.to_owned(), format!("{SECRET}\n").into_bytes(), "a line feed behind it"),
            (SECRET.to_owned(), format!("{SECRET}\r\n").into_bytes(), "a carriage return and"),
            (SECRET.to_owned(), tail("\u{feff}").into_bytes(), "a byte order mark in front"),
            (SECRET.to_owned(), format!("\"{SECRET}\"").into_bytes(), "in double quotes"),
            (SECRET.to_owned(), format!("'{SECRET}'").into_bytes(), "in single quotes"),
            (tail("\u{feff}"), SECRET.into(), "without what is around it"),
            (format!("{SECRET} "), SECRET.into(), "without what is around it"),
            (format!("\"{SECRET}\""), SECRET.into(), "without the quotes"),
            (tail("whsec_"), SECRET.into(), "without what stands in front"),
            (SECRET.to_owned(), tail("whsec_").into_bytes(), "with `whsec_` in front"),
            (to_hex(SECRET.as_bytes()), SECRET.into(), "decoded from hex"),
            (BASE64.encode(SECRET), SECRET.into(), "decoded from base64"),
            (BASE64.encode(SECRET).trim_end_matches('=').to_owned(), SECRET.into(), "from base64"),
            (BASE64_URL.encode([0xfb; 24]), vec![0xfb; 24], "decoded from base64url"),
        ] {
            let told = said("github", &secret, &[("x-hub-signature-256", &github(&key))]);
            let right = told.starts_with("the signature is right for the secret");
            assert!(right && told.contains(how), "{secret:?}: {told} has not {how}");
        }
        let key = BASE64.decode(SVIX.trim_start_matches("whsec_")).expect("base64");
        let sent = |key: &[u8]| {
            let tag = made(hmac::HMAC_SHA256, key, &format!("m1.1700000000.{BODY}"));
            let signature = format!("v1,{}", BASE64.encode(tag));
            [
                ("webhook-id", "m1".to_owned()),
                ("webhook-timestamp", "1700000000".to_owned()),
                ("webhook-signature", signature),
            ]
        };
        for (secret, key, how) in [
            (to_hex(&key), key.clone(), "not as it is decoded here, but decoded from hex"),
            (SVIX.to_owned(), SVIX.as_bytes().to_vec(), "as the text that it is, not decoded"),
            (SVIX.to_owned(), SVIX[6..].into(), "as the text behind what stands in front"),
        ] {
            let headers = sent(&key);
            let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
            let told = said("standard-webhooks", &secret, &headers);
            assert!(told.contains(how), "{secret}: {told} has not {how}");
        }
        let told = said("gitlab", &format!("{SECRET} "), &[("x-gitlab-token", SECRET)]);
        assert!(told.contains("without what is around it"), "{told}");
    }

    #[test]
    fn what_differs_about_a_signature_is_found() {
        let key = SECRET.as_bytes();
        let tag = made(hmac::HMAC_SHA256, key, BODY);
        let (hex, base64) = (to_hex(&tag), BASE64.encode(&tag));
        let github = |text: &str| ("github", "x-hub-signature-256", format!("sha256={text}"));
        let shopify = |text: &str| ("shopify", "x-shopify-hmac-sha256", text.to_owned());
        let url = BASE64_URL.encode(&tag);
        let bare = base64.trim_end_matches('=').to_owned();
        let long = made(hmac::HMAC_SHA512, key, BODY);
        let short = made(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key, BODY);
        assert_ne!(url, base64, "there is something to tell");
        for ((provider, header, signature), how) in [
            (github(&base64), "written as base64: github writes hex"),
            (shopify(&hex), "written as hex: shopify writes base64"),
            (shopify(&url), "written as base64url: shopify"),
            (shopify(url.trim_end_matches('=')), "written as base64url without padding"),
            (shopify(&bare), "written as base64 without padding"),
            (github(&hex[..40]), "cut short, 40 of 64 characters came"),
            (github(&hex.to_uppercase()[..63]), "cut short, 63 of 64"),
            (shopify(&base64[..20]), "cut short, 20 of 44"),
            (github(&to_hex(&long)), "right for HMAC-SHA512: github signs with HMAC-SHA256"),
            (github(&to_hex(&short)), "right for HMAC-SHA1: github"),
            (shopify(&BASE64.encode(&long)), "right for HMAC-SHA512: shopify"),
        ] {
            let told = said(provider, SECRET, &[(header, &signature)]);
            assert!(told.contains(how), "{signature}: {told} has not {how}");
        }
        // What fits by nothing is told as before, and what is short may fit by chance.
        for signature in [to_hex(&[7; 32]), hex[..CUT_MIN_CHARS - 2].to_owned()] {
            let (provider, header, signature) = github(&signature);
            let told = said(provider, SECRET, &[(header, &signature)]);
            assert!(told.starts_with("the secret is another, or the body"), "{told}");
            assert!(!told.contains(&hex) && !told.contains(&base64), "{told}");
        }
    }
}
