//! The rows against recorded requests, good and bad, and against requests that were spoilt.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;

use super::scheme::Mac;
use super::*;

const RECORDED: &str = include_str!("../../../tests/data/signatures.jsonl");

#[test]
fn every_row_that_comes_along_holds_together() {
    let rows = scheme::read(include_str!("providers.toml")).unwrap_or_else(|e| panic!("{e}"));
    assert!(rows.len() >= 105, "{} providers", rows.len());
    assert_eq!(Registry::built_in().iter().count(), rows.len());
    for (name, provider) in &rows {
        let (_, address) = provider.source.as_ref().unwrap_or_else(|| panic!("{name}")).words();
        assert!(address.starts_with("https://") && !address.contains(' '), "{name}: {address}");
    }
}

#[test]
fn recorded_requests_come_out_as_they_were_recorded() {
    let registry = Registry::built_in();
    let mut wrong = String::new();
    let mut seen = BTreeSet::new();
    for line in RECORDED.lines() {
        let case: Case = serde_json::from_str(line).expect("a case");
        if let Outcome::Wrong(how) = case.run(&registry) {
            let _ = writeln!(wrong, "{}: {how}", case.id);
        }
        seen.insert(case.provider);
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(seen.len() >= 100, "requests of {} providers are recorded", seen.len());
}

/// Decides one recorded request with some of it changed.
fn is_accepted(case: &Value) -> bool {
    let mut case = case.clone();
    case["valid"] = false.into();
    let case: Case = serde_json::from_value(case).expect("a case");
    case.run(&Registry::built_in()) != Outcome::Right
}

/// Requests that were accepted, and are no handshakes.
fn accepted() -> impl Iterator<Item = (String, Value)> {
    let cases = RECORDED.lines().map(|line| serde_json::from_str::<Value>(line).expect("a case"));
    let plain = cases.filter(|case| case["valid"] == true && case["response_status"].is_null());
    plain.map(|case| (case["provider"].as_str().expect("a name").to_owned(), case))
}

#[test]
fn another_secret_and_none_are_refused() {
    for (provider, case) in accepted().filter(|(_, case)| case["secret"].is_string()) {
        let secret = case["secret"].as_str().expect("text");
        let flipped = |text: &str| match text.as_bytes()[0] {
            b'A' => text.replacen('A', "B", 1),
            first => text.replacen(char::from(first), "A", 1),
        };
        // Standard Webhooks says with the first letters which kind of secret it is.
        let other = match secret.split_once('_') {
            Some((kind @ ("whsec" | "whpk"), rest)) if !rest.is_empty() => {
                format!("{kind}_{}", flipped(rest))
            }
            _ => flipped(secret),
        };
        for spoilt in ["", &other] {
            let mut case = case.clone();
            case["secret"] = spoilt.into();
            assert!(!is_accepted(&case), "{provider} with a secret of {} bytes", spoilt.len());
        }
    }
}

/// What they sign does not hold the body, or not all of it.
pub(super) const WITHOUT_BODY: &[&str] = &[
    "adyen",
    "alertmanager",
    "auth0",
    "azure-devops",
    "basic",
    "bearer",
    "buildkite",
    "chargebee",
    "deepgram",
    "flutterwave",
    "gitlab",
    "google-health",
    "google-pubsub",
    "google-push",
    "mailgun",
    "microsoft-graph",
    "monday",
    "mtls",
    "oidc",
    "okta",
    "postmark",
    "telegram",
];

#[test]
fn another_body_is_refused_where_the_body_is_signed() {
    for (provider, mut case) in accepted() {
        let body = case["body"].as_str().unwrap_or_default();
        let changed = match body.rfind(|c: char| c.is_ascii_alphanumeric()) {
            Some(at) => format!("{}~{}", &body[..at], &body[at + 1..]),
            None => format!("{body}x=1"),
        };
        case["body"] = changed.into();
        let accepted = is_accepted(&case);
        assert!(!accepted || WITHOUT_BODY.contains(&provider.as_str()), "{provider}");
    }
}

#[test]
fn a_request_is_refused_once_its_window_is_over() {
    let mut wrong = BTreeSet::new();
    for (provider, mut case) in accepted() {
        let Some(now) = case["now"].as_i64() else { continue };
        let rows = Registry::built_in();
        let schemes = &rows.find(&provider).expect("a provider").schemes;
        let windowed = schemes.iter().any(|one| one.window.is_some() || one.mac == Mac::Jwt);
        for off in [-400_000_i64, 400_000] {
            case["now"] = (now + off).into();
            let ended = off > 0 || provider != "fusionauth";
            // A token without a beginning is good before it was made; Kinde's says nothing of when that was.
            let timeless = ["kinde", "linear", "monday"].contains(&provider.as_str());
            let judged = windowed && ended && !timeless;
            if judged && is_accepted(&case) {
                wrong.insert(format!("{provider} {off}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn headers_that_are_cut_or_foreign_never_panic_and_are_refused() {
    let mut wrong = BTreeSet::new();
    for (provider, case) in accepted() {
        let Some(headers) = case["headers"].as_object() else { continue };
        for (name, value) in headers {
            let value = value.as_str().expect("text");
            // Of several signatures any is enough; without its v1, Hook0's is an older one that binds no headers.
            if value.matches("v1").count() > 1 || provider == "hook0" {
                continue;
            }
            for spoilt in [
                "",
                "=",
                ",",
                "é",
                "v1=",
                "sha256=",
                &value[..value.len() / 2],
                &format!("é{value}"),
            ] {
                let mut case = case.clone();
                case["headers"][name] = spoilt.into();
                let accepted = is_accepted(&case);
                // A header that is not signed, or one of two that each would do.
                let unsigned = matches!(
                    name.to_ascii_lowercase().as_str(),
                    "content-type"
                        | "box-signature-secondary"
                        | "box-signature-primary"
                        | "box-delivery-id"
                        | "x-amz-sns-message-type"
                        | "paypal-cert-url"
                        | "twitch-eventsub-message-type"
                        | "x-grafana-alerting-timestamp"
                        | "x-github-event"
                        | "webhook-id"
                        | "x-hub-signature"
                        | "x-docusign-signature-1"
                        | "x-docusign-signature-2"
                        | "x-twilio-webhooks-signature-settings"
                );
                if accepted && !unsigned {
                    wrong.insert(format!("{provider}: {name}: {spoilt}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A recorded request as it is judged when what was signed is to be known again.
fn remembered(case: &Value) -> Option<Verified> {
    let case: Case = serde_json::from_value(case.clone()).expect("a case");
    let now = case.now();
    let judged = case.meet(&Registry::built_in(), |verifier, request, certificate| {
        verifier.remembering().strict().judge(request, &certificate, now).ok()
    });
    judged.ok().flatten().flatten()
}

#[test]
fn nobody_who_cannot_sign_makes_a_repeated_request_look_new() {
    let registry = Registry::built_in();
    let (mut wrong, mut seen) = (BTreeSet::new(), BTreeSet::new());
    for (provider, case) in accepted() {
        let Some(verified) = remembered(&case) else { continue };
        let schemes = &registry.find(&provider).expect("a provider").schemes;
        let Some(signed) = verified.signed else {
            let every = schemes.iter().all(Scheme::signs_requests);
            assert!(!every, "{provider} signs, and nothing is known of it");
            continue;
        };
        seen.insert(provider.clone());
        let mut changed = vec![case.clone()];
        changed[0]["headers"]["x-other"] = "x".into();
        for (name, value) in case["headers"].as_object().into_iter().flatten() {
            let value = value.as_str().expect("text");
            let (half, text) = (&value[..value.len() / 2], "/headers/".to_owned() + name);
            for spoilt in [half, &format!("{value},"), &value.to_ascii_uppercase(), "x"] {
                let mut other = case.clone();
                *other.pointer_mut(&text).expect("a header") = spoilt.into();
                changed.push(other);
            }
            let mut other = case.clone();
            other["headers"].as_object_mut().expect("headers").remove(name);
            changed.push(other);
        }
        let body = case["body"].as_str().unwrap_or_default();
        for spoilt in
            [format!("{body} "), format!("{body}&x=1"), format!("{body}\n"), String::new()]
        {
            let mut other = case.clone();
            other["body"] = spoilt.into();
            changed.push(other);
        }
        let mut others = changed.iter().filter_map(remembered);
        if others.any(|other| other.signed.map(|one| one.digest) != Some(signed.digest)) {
            wrong.insert(provider);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen.len() >= 70, "requests of {} providers are signed", seen.len());
}

fn github(secrets: &[&str]) -> Verifier {
    verifier_of("github", secrets)
}

#[test]
fn nothing_of_a_verifier_can_be_printed() {
    let shown = format!("{:?}", github(&["very-secret"]));
    assert_eq!(shown, "Verifier { provider: \"github\", secrets: 1, .. }");
}

#[test]
fn a_doubled_signature_is_refused_and_not_joined() {
    let mut headers = HeaderMap::new();
    for _ in 0..2 {
        headers.append("x-hub-signature-256", HeaderValue::from_static("sha256=00"));
    }
    let request = Request {
        method: &Method::POST,
        headers: &headers,
        query: None,
        body: b"",
        slug: None,
        certificate: None,
        parsed: None,
    };
    let fault = github(&["s"]).judge(&request, &None, None).expect_err("doubled");
    assert_eq!(fault, Fault::Repeated("header x-hub-signature-256".to_owned()));
}

#[test]
fn more_signatures_than_anybody_sends_are_none() {
    let public = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    let forged = format!("v1a,{}", "A".repeat(86) + "==");
    for (secret, signature, most) in [(public, &*forged, 8), ("whsec_QUFB", "v1,AAAA", 100)] {
        let verifier = verifier("standard-webhooks", secret, &[]).expect("a verifier");
        for (count, fault) in [
            (1, Fault::Mismatch),
            (most, Fault::Mismatch),
            (most + 1, Fault::TooMany { max: most }),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [
                ("webhook-id", "1".to_owned()),
                ("webhook-timestamp", "1".to_owned()),
                ("webhook-signature", vec![signature; count].join(" ")),
            ] {
                headers.insert(name, value.parse().expect("a value"));
            }
            let (headers, method) = (&headers, &Method::POST);
            let request = Request {
                method,
                headers,
                query: None,
                body: b"",
                slug: None,
                certificate: None,
                parsed: None,
            };
            let found = verifier.judge(&request, &None, None).expect_err("forged");
            assert_eq!(found, fault, "{count} of {signature}");
        }
    }
}

#[test]
fn what_a_proxy_did_to_a_body_is_found() {
    let body = br#"{"a": 1, "b": "x"}"#;
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"s");
    let tag = material::to_hex(aws_lc_rs::hmac::sign(&key, br#"{"a":1,"b":"x"}"#).as_ref());
    let mut headers = HeaderMap::new();
    let value = HeaderValue::try_from(format!("sha256={tag}")).expect("a value");
    headers.insert("x-hub-signature-256", value);
    let request = Request {
        method: &Method::POST,
        headers: &headers,
        query: None,
        body,
        slug: None,
        certificate: None,
        parsed: None,
    };
    let verifier = github(&["s"]);
    let fault = verifier.judge(&request, &None, None).expect_err("another body");
    let said = verifier.explain(&Registry::built_in(), &request, &None, &fault).join("\n");
    assert!(said.contains("re-encoded") && said.contains("without spaces"), "{said}");
    assert!(!said.contains(&tag));
}

/// What one judgement costs, for whoever asks: `cargo test --release -- --nocapture verification_costs`.
#[test]
#[allow(clippy::print_stdout, reason = "it is what is asked for")]
fn verification_costs_microseconds() {
    let body = [b'x'; 130];
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"s");
    let tag = material::to_hex(aws_lc_rs::hmac::sign(&key, &body).as_ref());
    let mut headers = HeaderMap::new();
    let value = HeaderValue::try_from(format!("sha256={tag}")).expect("a value");
    headers.insert("x-hub-signature-256", value);
    let request = Request {
        method: &Method::POST,
        headers: &headers,
        query: None,
        body: &body,
        slug: None,
        certificate: None,
        parsed: None,
    };
    let verifier = github(&["s"]);
    let rounds = 2000_u32;
    let started = std::time::Instant::now();
    for _ in 0..rounds {
        assert!(verifier.judge(&request, &None, Some(0)).is_ok());
    }
    let each = started.elapsed() / rounds;
    println!("HMAC-SHA256 of 130 bytes: {each:?}");
    assert!(each.as_micros() < 200, "{each:?}, even without optimisation");
}

pub(super) fn verifier_of(provider: &str, secrets: &[&str]) -> Verifier {
    let registry = Registry::built_in();
    let secrets: Vec<_> = secrets.iter().map(|secret| Secret::new(*secret)).collect();
    let row = registry.find(provider).expect("a row");
    Verifier::new(provider, row, &secrets, Parameters::new(), None).expect("a verifier")
}

pub(super) fn verifier(
    provider: &str,
    secret: &str,
    parameters: &[(&str, &str)],
) -> Result<Verifier, SchemeFault> {
    let registry = Registry::built_in();
    let row = registry.find(provider).expect("a provider");
    let parameters = parameters.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    Verifier::new(provider, row, &[Secret::new(secret)], parameters.collect(), None)
}

#[test]
fn a_token_that_anybody_has_signed_for_the_asking_is_no_event() {
    let form = |name: &str, value: &str| {
        let mut headers = HeaderMap::new();
        headers
            .insert("content-type", "application/x-www-form-urlencoded".parse().expect("a type"));
        headers
            .insert(HeaderName::try_from(name).expect("a name"), value.parse().expect("a value"));
        headers
    };
    let request = |method, headers, query, body| Request {
        method,
        headers,
        query,
        body,
        slug: None,
        certificate: None,
        parsed: None,
    };
    let post = Method::POST;
    let none = HeaderMap::new();

    let twitter = verifier("x-twitter", "s", &[]).expect("a verifier");
    let Greeting::Answer(answer) =
        twitter.greet(&request(&Method::GET, &none, Some("crc_token=a%3Devil"), b""), &None, None)
    else {
        panic!("no answer")
    };
    let answer: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let signed = answer["response_token"].as_str().expect("a signature");
    let headers = form("x-twitter-webhooks-signature", signed);
    let judged = twitter.judge(&request(&post, &headers, None, b"a=evil"), &None, None);
    assert_eq!(judged, Err(Fault::Mismatch));

    let braintree = verifier("braintree", "s", &[("public_key", "pub")]).expect("a verifier");
    let token = "deadbeefdeadbeefdeadbeef";
    let query = format!("bt_challenge={token}");
    let Greeting::Answer(answer) =
        braintree.greet(&request(&Method::GET, &none, Some(&query), b""), &None, None)
    else {
        panic!("no answer")
    };
    let signed = String::from_utf8(answer.body).expect("text");
    let body = format!("bt_payload={token}&bt_signature={}", signed.replace('|', "%7C"));
    let headers = form("x-any", "x");
    let judged = braintree.judge(&request(&post, &headers, None, body.as_bytes()), &None, None);
    assert_eq!(judged, Err(Fault::Mismatch));
}

#[test]
fn a_public_key_is_no_shared_secret() {
    let set = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n";
    assert!(verifier("fusionauth", pem, &[]).is_err());
    for text in [set.to_owned(), format!("\n{set}"), format!("\u{FEFF}{set}"), format!(" {set}")] {
        let made = token::KeySet::new(
            Registry::built_in()
                .find("fusionauth")
                .expect("a provider")
                .schemes
                .first()
                .expect("one"),
            text.as_bytes(),
        );
        assert!(made.expect("keys").is_public(), "{text}");
    }
}

#[test]
fn who_sends_does_not_choose_a_weaker_way_of_signing() {
    let legacy = ["hubspot", "hook0", "coinbase-cdp"];
    let weak = |provider: &str| {
        let registry = Registry::built_in();
        let schemes = &registry.find(provider).expect("a provider").schemes;
        schemes.iter().filter(|scheme| scheme.legacy).count()
    };
    assert_eq!(legacy.map(weak), [2, 1, 1]);
    let mut headers = HeaderMap::new();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"sbody");
    let digest = material::to_hex(digest.as_ref());
    headers.insert("x-hubspot-signature-version", "v1".parse().expect("a value"));
    headers.insert("x-hubspot-signature", digest.parse().expect("a value"));
    let (headers, method) = (&headers, &Method::POST);
    let request = Request {
        method,
        headers,
        query: None,
        body: b"body",
        slug: None,
        certificate: None,
        parsed: None,
    };
    let url = [("url", "https://h.example/")];
    let made = || verifier("hubspot", "s", &url).expect("a verifier");
    assert!(made().judge(&request, &None, None).is_ok());
    assert!(made().strict().judge(&request, &None, None).is_err());
}
