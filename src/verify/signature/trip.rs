//! Every way of signing that can be signed by a secret or a private key, there and back: what a row signs that row
//! takes, and nothing of it that was changed.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::Method;
use serde_json::json;

use super::material::to_hex;
use super::scheme::{Algorithm, Mac, Unit};
use super::tests::WITHOUT_BODY;
use super::*;

const NOW: i64 = 1_764_378_000;
const JSON: &str = r#"{"webhookTimestamp":1764378000000,"time_ms":1764378000000,"note":"naïve ☃",
"event_id":"event_1","type":"user.updated","value":[{"a":1},{}],
"notificationItems":[{"NotificationRequestItem":{"pspReference":"7914","amount":{"value":1130}}}]}"#;
const FORM: &str = "Digits=1234&From=%2B14158675309&To=%2B18005551212&Empty=&Digits=5";

/// What signs, and what judges it.
struct Keys {
    signs: Secret,
    judges: Secret,
}

fn pem(der: &[u8]) -> Secret {
    let text = STANDARD.encode(der);
    Secret::new(format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n"))
}

/// A text in the form of a provider's secrets.
fn in_form(form: SecretForm, bytes: &[u8], prefix: &str) -> Secret {
    Secret::new(match form {
        SecretForm::Hex => to_hex(bytes),
        SecretForm::Base64 => STANDARD.encode(bytes),
        SecretForm::Base64Prefixed => format!("{prefix}{}", STANDARD.encode(bytes)),
        _ => format!("a secret: {}", to_hex(bytes)),
    })
}

fn token_keys(algorithm: Algorithm) -> [Secret; 2] {
    let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let curve = match algorithm {
        Algorithm::ES256 => Some(("P-256", &ECDSA_P256_SHA256_ASN1_SIGNING)),
        Algorithm::ES384 => Some(("P-384", &ECDSA_P384_SHA384_ASN1_SIGNING)),
        Algorithm::ES512 => Some(("P-521", &ECDSA_P521_SHA512_ASN1_SIGNING)),
        _ => None,
    };
    if let Some((name, curve)) = curve {
        let key = EcdsaKeyPair::generate(curve).expect("a key");
        let point = key.public_key().as_ref();
        let (x, y) = point[1..].split_at(point.len() / 2);
        let public =
            json!({ "kty": "EC", "crv": name, "x": number(x), "y": number(y), "kid": "k" });
        return [pem(key.to_pkcs8v1().expect("PKCS#8").as_ref()), Secret::new(public.to_string())];
    }
    let key = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let public = key.public_key();
    let [n, e] = [public.modulus(), public.exponent()]
        .map(|part| number(part.big_endian_without_leading_zero()));
    let public = json!({ "keys": [{ "kty": "RSA", "n": n, "e": e, "kid": "k" }] });
    let der: Pkcs8V1Der<'_> = key.as_der().expect("PKCS#8");
    [pem(der.as_ref()), Secret::new(public.to_string())]
}

fn keys(scheme: &Scheme, fill: u8) -> Keys {
    let bytes = [fill; 32];
    let [signs, judges] = match scheme.mac {
        Mac::Ed25519 => {
            let key = Ed25519KeyPair::from_seed_unchecked(&bytes).expect("a seed");
            let public = key.public_key().as_ref();
            let private = in_form(scheme.secret, &bytes, "whsk_");
            [private, in_form(scheme.secret, public, "whpk_")]
        }
        Mac::EcdsaP256 => {
            let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
            let public = in_form(scheme.secret, key.public_key().as_ref(), "");
            [pem(key.to_pkcs8v1().expect("PKCS#8").as_ref()), public]
        }
        Mac::RsaSha256 if scheme.secret == SecretForm::Base64 => {
            let key = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
            let public: PublicKeyX509Der<'_> = key.public_key().as_der().expect("a public key");
            let private: Pkcs8V1Der<'_> = key.as_der().expect("PKCS#8");
            [pem(private.as_ref()), in_form(scheme.secret, public.as_ref(), "")]
        }
        Mac::Jwt if scheme.secret == SecretForm::Keys => token_keys(scheme.algorithms[0]),
        _ => {
            let secret = in_form(scheme.secret, &bytes, "whsec_");
            [secret.clone(), secret]
        }
    };
    Keys { signs, judges }
}

fn parameters(scheme: &Scheme) -> Parameters {
    let mut named = vec![
        ("url", "https://hooks.example.com/hooks/abc?foo=1"),
        ("public_key", "public"),
        ("aud", "https://hooks.example.com"),
        ("email", "robot@example.iam.gserviceaccount.com"),
        ("issuer", "https://issuer.example.com"),
        ("kid", "k"),
    ];
    if scheme.when.iter().any(|when| matches!(when, When::Parameter { .. })) {
        named.push(("timestamp_header", "X-Signed-At"));
    }
    named.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn draft(name: &str) -> Draft {
    let mut headers = http::HeaderMap::new();
    headers.insert("x-event-type", http::HeaderValue::from_static("order.paid"));
    let body = if matches!(name, "twilio" | "mandrill") { FORM } else { JSON };
    Draft { method: Method::POST, headers, query: None, body: body.as_bytes().to_vec() }
}

/// How a request is judged, at a moment.
fn judged(verifier: &Verifier, sent: &Draft, now: i64) -> Result<Verified, Fault> {
    let request = Request {
        method: &sent.method,
        headers: &sent.headers,
        query: sent.query.as_deref(),
        body: &sent.body,
        slug: None,
        certificate: None,
        parsed: None,
    };
    verifier.judge(&request, &None, Some(now))
}

fn verifier(name: &str, secret: &Secret, parameters: &Parameters) -> Verifier {
    let registry = Registry::built_in();
    let provider = registry.find(name).expect("a provider");
    let secret = std::slice::from_ref(secret);
    Verifier::new(name, provider, secret, parameters.clone(), None)
        .unwrap_or_else(|e| panic!("{e}"))
}

/// The same request, signed a second later as it says.
fn moved(scheme: &Scheme, sent: &Draft) -> Option<Draft> {
    scheme.time.as_ref()?;
    let text = |moment: i64| match scheme.unit {
        Unit::Rfc3339 => jiff::Timestamp::from_second(moment).expect("a time").to_string(),
        Unit::Milliseconds => (moment * 1000).to_string(),
        _ => moment.to_string(),
    };
    let (then, later) = (text(NOW), text(NOW + 1));
    let mut moved = sent.clone();
    for value in moved.headers.values_mut() {
        let shown = value.to_str().expect("text").replace(&then, &later);
        *value = http::HeaderValue::from_str(&shown).expect("a value");
    }
    let body = String::from_utf8(moved.body).expect("text").replace(&then, &later);
    moved.body = body.into_bytes();
    Some(moved)
}

#[test]
fn what_a_row_signs_it_takes_and_nothing_that_was_changed() {
    let (mut unsignable, mut certified) = (Vec::new(), Vec::new());
    for (name, provider) in Registry::built_in().iter() {
        for (place, scheme) in provider.schemes.iter().enumerate() {
            if scheme.certificate.is_some() {
                certified.push(name.to_owned());
                continue;
            }
            let (parameters, another) = (parameters(scheme), keys(scheme, 8));
            let keys = keys(scheme, 7);
            let number = Some(place + 1);
            let row = Signer::new(name, provider, &keys.signs, parameters.clone(), number);
            let mark = Mark { now: NOW, id: "msg_1" };
            let signed = match row.and_then(|row| row.sign(draft(name), mark)) {
                Ok(signed) => signed,
                Err(SchemeFault::Unsignable { .. }) => {
                    unsignable.push(name.to_owned());
                    continue;
                }
                Err(fault) => panic!("{name} {place}: {fault}"),
            };
            let way = verifier(name, &keys.judges, &parameters);
            let found = judged(&way, &signed, NOW);
            let found = found.unwrap_or_else(|e| panic!("{name} {place}: {e}\n{signed:?}"));
            assert_eq!(found.scheme, place, "{name}");
            let other = verifier(name, &another.judges, &parameters);
            assert!(judged(&other, &signed, NOW).is_err(), "{name} {place}: another secret");
            if !WITHOUT_BODY.contains(&name) {
                let mut spoilt = signed.clone();
                *spoilt.body.last_mut().expect("a body") ^= 1;
                assert!(judged(&way, &spoilt, NOW).is_err(), "{name} {place}: another body");
            }
            if let Some(moved) = moved(scheme, &signed) {
                assert!(judged(&way, &moved, NOW).is_err(), "{name} {place}: another time");
            }
            if let Some(window) = scheme.window {
                let late = NOW + i64::from(window) + 301;
                assert!(judged(&way, &signed, late).is_err(), "{name} {place}: late");
            }
        }
    }
    assert_eq!(unsignable, ["mtls"]);
    assert_eq!(certified, ["aws-sns", "paypal"], "signed for in `tests/it/verified.rs`");
}

#[test]
fn where_the_address_is_signed_no_other_query_is_taken() {
    let mut seen = Vec::new();
    for (name, provider) in Registry::built_in().iter() {
        let ways = provider.schemes.iter().enumerate();
        for (place, scheme) in ways.filter(|(_, scheme)| scheme.needs_url()) {
            let keys = keys(scheme, 7);
            let mut parameters = parameters(scheme);
            parameters.insert("url".to_owned(), "https://h.example/{slug}?tenant=1".to_owned());
            if scheme.body_digest.as_ref().is_some_and(|digest| digest.query.is_some()) {
                // That its query says a digest is what tells this way from the other one.
                let url = "https://h.example/{slug}?tenant=1&bodySHA256=";
                parameters.insert("url".to_owned(), url.to_owned());
            }
            let row = Signer::new(name, provider, &keys.signs, parameters.clone(), Some(place + 1));
            let mark = Mark { now: NOW, id: "msg_1" };
            let signed = row.and_then(|row| row.sign(draft(name), mark)).expect("a signed request");
            parameters.insert("url".to_owned(), "https://h.example/{slug}?tenant=1".to_owned());
            let way = verifier(name, &keys.judges, &parameters);
            let with = |query: Option<String>| {
                let sent = Draft { query, ..signed.clone() };
                judged(&way, &sent, NOW).map(|found| found.scheme)
            };
            let sent = signed.query.clone().expect("a query");
            assert_eq!(with(Some(sent.clone())), Ok(place), "{name} {place}");
            for other in ["tenant=2", "tenant=12", "x=1&tenant=1", "TENANT=1", "tenant%3D1", "&"] {
                let other = sent.replace("tenant=1", other);
                assert_eq!(with(Some(other)), Err(Fault::Query), "{name} {place}");
            }
            assert!(with(Some(format!("{sent}&x=1"))).is_err(), "{name} {place}");
            if sent == "tenant=1" {
                // Something on its way took it off: it is what was signed all the same.
                assert_eq!(with(None), Ok(place), "{name} {place}");
                assert_eq!(with(Some(String::new())), Ok(place), "{name} {place}");
            }
            seen.push(name.to_owned());
        }
    }
    seen.dedup();
    let all = ["contentful", "hubspot", "mandrill", "messagebird", "square", "trello", "twilio"];
    assert_eq!(seen, all);
}

#[test]
fn a_digest_of_the_body_counts_only_in_the_query_that_is_signed() {
    let (secret, url) = (Secret::new("12345"), "https://h.example/{slug}?tenant=1");
    let parameters = Parameters::from([("url".to_owned(), url.to_owned())]);
    let registry = Registry::built_in();
    let row = registry.find("twilio").expect("a provider");
    let row = Signer::new("twilio", row, &secret, parameters.clone(), None).expect("a signer");
    let empty = Draft { body: Vec::new(), ..draft("twilio") };
    let signed = row.sign(empty, Mark { now: NOW, id: "msg_1" }).expect("a signed request");
    let way = verifier("twilio", &secret, &parameters);
    assert_eq!(judged(&way, &signed, NOW).map(|found| found.scheme), Ok(1), "as it was sent");
    let body = br#"{"paid":true}"#.to_vec();
    let digest = to_hex(&parsed::sha256(&body));
    for (query, fault) in [
        (format!("bodySHA256={digest}"), Fault::Query),
        (format!("bodySHA256={digest}&tenant=2"), Fault::Query),
        (format!("tenant=2&bodySHA256={digest}"), Fault::Query),
        (format!("tenant=1&bodySHA256={digest}"), Fault::Mismatch),
    ] {
        let forged = Draft { query: Some(query.clone()), body: body.clone(), ..signed.clone() };
        assert_eq!(judged(&way, &forged, NOW), Err(fault), "{query}");
    }
    let unsigned =
        "[x]\n[[x.scheme]]\nsignature = { header = \"x-s\" }\nbody-digest = { query = \"d\" }";
    let refused = scheme::read(unsigned).expect_err("a row that proves nothing").to_string();
    assert!(refused.contains("a digest in the query proves nothing"), "{refused}");
}

#[test]
fn a_token_of_each_curve_is_signed_and_taken_and_none_of_another() {
    let registry = Registry::built_in();
    let provider = registry.find("oidc").expect("a provider");
    let parameters = parameters(&provider.schemes[0]);
    let curves = [Algorithm::ES256, Algorithm::ES384, Algorithm::ES512].map(token_keys);
    for (place, [signs, _]) in curves.iter().enumerate() {
        let row = Signer::new("oidc", provider, signs, parameters.clone(), None).expect("a way");
        let mark = Mark { now: NOW, id: "msg_1" };
        let signed = row.sign(draft("oidc"), mark).expect("a token");
        for (other, [_, judges]) in curves.iter().enumerate() {
            let judged = judged(&verifier("oidc", judges, &parameters), &signed, NOW);
            assert_eq!(judged.is_ok(), place == other, "{place} by {other}: {judged:?}");
        }
    }
}
