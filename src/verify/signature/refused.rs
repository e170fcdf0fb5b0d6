//! What is refused though its provider's own code takes it: keys that anybody can sign for, and what nobody signed.

use http::{HeaderMap, HeaderName, Method};

use super::tests::verifier;
use super::*;

#[test]
fn a_key_that_anybody_can_sign_for_is_refused_in_clear_words() {
    let point = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let hex = format!("01{}", "0".repeat(62));
    let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{point}"}}"#);
    let agreed = [("issuer", "https://i.example"), ("aud", "a")];
    for (provider, secret, parameters) in [
        ("discord", hex.clone(), &[][..]),
        ("telnyx", format!("{point}="), &[]),
        ("standard-webhooks", format!("whpk_{point}"), &[]),
        ("svix", format!("whpk_{point}"), &[]),
        ("oidc", jwk, &agreed),
    ] {
        let fault = verifier(provider, &secret, parameters).expect_err(provider).to_string();
        assert!(fault.contains("small order") && !fault.contains(&secret), "{fault}");
    }
    let expired = r#"{"kty":"EC","crv":"P-256","expired_at":1560466150}"#;
    let fault = verifier("plaid", expired, &[]).expect_err("a key that ended").to_string();
    assert!(fault.contains("no `expired_at`"), "{fault}");
}

#[test]
fn what_contentful_does_not_sign_is_taken_from_the_owners_address_alone() {
    let secret = "s".repeat(64);
    let names = "x-contentful-signed-headers,x-contentful-timestamp";
    let listed = format!("x-contentful-signed-headers:{names};x-contentful-timestamp:1000");
    let message = format!("POST\n/a?x%253D1\n{listed}\n{{}}");
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
    let tag = material::to_hex(aws_lc_rs::hmac::sign(&key, message.as_bytes()).as_ref());
    let mut headers = HeaderMap::new();
    for (name, value) in [("signed-headers", names), ("timestamp", "1000"), ("signature", &tag)] {
        let name = HeaderName::try_from(format!("x-contentful-{name}")).expect("a name");
        headers.insert(name, value.parse().expect("a value"));
    }
    let (headers, method) = (&headers, &Method::POST);
    for (said, sent, is_taken) in [
        ("https://h.example/a", "x=1", true),
        ("https://h.example/a", "x=1?y=2", false),
        ("https://h.example/a?x=1", "x=1&z=3?y=2", false),
        ("https://h.example/a?x=1?y=2", "x=1?y=2", true),
        ("https://h.example/a?x=1?y=2", "x=1?y=2&z=3", false),
    ] {
        let query = Some(sent);
        let request = Request {
            method,
            headers,
            query,
            body: b"{}",
            slug: None,
            certificate: None,
            parsed: None,
        };
        let verifier = verifier("contentful", &secret, &[("url", said)]).expect("a verifier");
        assert_eq!(verifier.judge(&request, &None, None).is_ok(), is_taken, "{said} {sent}");
    }
}
