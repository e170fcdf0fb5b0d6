//! Certificates and keys that the gateway fetches to judge with: from the hosts that a provider's row or a webhook's
//! owner names, over real TLS. What is forged makes nobody fetch; what fails keeps nobody waiting and is asked for
//! seldom.

mod asked;
mod far;
mod login;
mod whole;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use self::far::{Far, Said, answer, file, ok, read};
use super::{Answer, Served, wait};

const TEMPLATE: &str = r#"{"event": "topic.told", "resource": {"prefect.resource.id": "topic.1"},
    "payload": {{ body|tojson }}}"#;
const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:orders";
const CERTIFICATE: &str = "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0a1b.pem";
const KEYS: &str = "https://keys.example.com/jwks?v=1";

/// A gateway whose fetches lead there.
fn served(far: &Far) -> Served {
    let proxy = far.proxy;
    Served::start(move |config| {
        config.egress.proxy = Some(format!("http://{proxy}"));
        config.fetch.tls_ca = Some(file("ca.pem"));
    })
}

/// A webhook whose requests are verified so.
fn hook(served: &Served, verification: &Value) -> Value {
    let made = json!({"name": "w", "template": TEMPLATE, "verification": verification});
    let answer = served.call("POST", "/webhooks/", &made);
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

fn sns(served: &Served) -> Value {
    hook(served, &json!({"provider": "aws-sns", "parameters": {"topic": TOPIC}}))
}

fn oidc(served: &Served, address: &str, required: bool) -> Value {
    let parameters = json!({"issuer": "https://issuer", "aud": "us", "jwks_url": address});
    hook(served, &json!({"provider": "oidc", "parameters": parameters, "required": required}))
}

/// Signs with the key that the certificates of the tests are for.
fn rsa(message: &[u8]) -> String {
    let key = PrivateKeyDer::from_pem_file(file("signer-key.pem")).expect("a key");
    let key = RsaKeyPair::from_pkcs8(key.secret_der()).expect("RSA");
    let mut signature = vec![0; key.public_modulus_len()];
    let signed = key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature);
    signed.expect("a signature");
    STANDARD.encode(signature)
}

/// What SNS sends of that type, with its certificate at an address.
fn message(kind: &str, address: &str, change: impl Fn(&mut Value)) -> Value {
    let mut message = json!({
        "Type": kind, "MessageId": "22b80b92", "TopicArn": TOPIC, "Message": "paid",
        "Timestamp": "2026-11-23T22:52:30.000Z", "SignatureVersion": "2", "SigningCertURL": address,
    });
    if kind != "Notification" {
        message["Token"] = "2336412f37fb".into();
        let url = "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription";
        message["SubscribeURL"] = format!("{url}&TopicArn={TOPIC}&Token=2336412f37fb").into();
    }
    change(&mut message);
    let names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"];
    let signed: String = names
        .iter()
        .filter_map(|name| Some(format!("{name}\n{}\n", message[name].as_str()?)))
        .collect();
    message["Signature"] = rsa(signed.as_bytes()).into();
    message
}

fn notify(address: &str) -> String {
    message("Notification", address, |_| ()).to_string()
}

/// How something fails.
type Makes = Box<dyn Fn() -> Said + Send + Sync>;

impl Served {
    fn tell(&self, webhook: &Value, body: &str) -> Answer {
        self.post(webhook, body)
    }

    fn bear(&self, webhook: &Value, token: &str) -> Answer {
        let path = format!("/hooks/{}", webhook["slug"].as_str().expect("a slug"));
        let bearer = format!("Bearer {token}");
        self.send("POST", &path, &[("authorization", &bearer)], b"{}")
    }
}

/// Whoever signs tokens.
struct Issuer {
    key: EcdsaKeyPair,
    kid: String,
}

impl Issuer {
    fn new(kid: &str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        Self { key, kid: kid.to_owned() }
    }

    fn keys(&self) -> Vec<u8> {
        let point = self.key.public_key().as_ref();
        let [x, y] = [&point[1..33], &point[33..]].map(|part| URL_SAFE_NO_PAD.encode(part));
        let key = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": self.kid});
        json!({"keys": [key]}).to_string().into_bytes()
    }

    fn token(&self, served: &Served, kid: &str, audience: &str) -> String {
        let now = served.clock.now().micros() / 1_000_000;
        let head = json!({"alg": "ES256", "kid": kid});
        let claims = json!({"iss": "https://issuer", "aud": audience, "exp": now + 300});
        let [head, claims] = [head, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{head}.{claims}");
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).expect("signed");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

#[test]
fn a_certificate_is_fetched_once_from_where_its_provider_keeps_it() {
    let far = Far::start(|_, _| ok(&read("sns.pem")));
    let served = served(&far);
    let hook = sns(&served);
    let body = notify(CERTIFICATE);
    for _ in 0..3 {
        let answer = served.tell(&hook, &body);
        assert_eq!(answer.status, 204, "{}", answer.text());
    }
    let forged = served.tell(&hook, &body.replace("paid", "owed"));
    assert_eq!((forged.status, forged.text().contains("signature_mismatch")), (401, true));
    let path = "/SimpleNotificationService-0a1b.pem";
    assert_eq!(far.asked(), [format!("sns.us-east-1.amazonaws.com:443 GET {path}")]);
    let metrics = served.ask("/metrics").text();
    assert!(metrics.contains("hookgate_fetches_total{outcome=\"fetched\"} 1"), "{metrics}");
    // A message that ends a subscription is an event like others.
    let ended = message("UnsubscribeConfirmation", CERTIFICATE, |_| ()).to_string();
    assert_eq!(served.tell(&hook, &ended).status, 204);
}

#[test]
fn paypals_certificate_and_its_webhook_s_id_verify() {
    let far = Far::start(|_, _| ok(&read("paypal.pem")));
    let served = served(&far);
    let hook = hook(&served, &json!({"provider": "paypal", "secrets": ["1JE4291016473214C"]}));
    let (body, time) = (r#"{"id": "WH-1"}"#, "2026-11-23T22:52:00Z");
    let mut crc = flate2::Crc::new();
    crc.update(body.as_bytes());
    let signed = rsa(format!("69cd13f0|{time}|1JE4291016473214C|{}", crc.sum()).as_bytes());
    let address = "https://api.paypal.com/v1/notifications/certs/CERT-360caa42";
    let send = |address: &str, signed: &str| {
        let headers = [
            ("PayPal-Transmission-Id", "69cd13f0"),
            ("PayPal-Transmission-Time", time),
            ("PayPal-Auth-Algo", "SHA256withRSA"),
            ("PayPal-Transmission-Sig", signed),
            ("PayPal-Cert-Url", address),
        ];
        let path = format!("/hooks/{}", hook["slug"].as_str().expect("a slug"));
        served.send("POST", &path, &headers, body.as_bytes()).status
    };
    assert_eq!(send("https://www.paypal.com/v1/notifications/certs/CERT-1", &signed), 401);
    assert_eq!(send("https://api.paypal.com/v1/other/CERT-1", &signed), 401);
    assert_eq!(send(address, "no signature"), 401, "nothing is fetched for what is none");
    assert!(far.asked().is_empty());
    assert_eq!((send(address, &signed), far.asked().len()), (204, 1));
}

#[test]
fn an_address_that_only_looks_like_the_providers_is_never_asked() {
    let far = Far::start(|_, _| ok(&read("sns.pem")));
    let served = served(&far);
    let hook = sns(&served);
    let own = far.server;
    for address in [
        "https://sns.us-east-1.amazonaws.com.evil.com/x.pem",
        "https://sns.us-east-1.amazonaws.com@evil.com/x.pem",
        "https://evil.com@sns.us-east-1.amazonaws.com/x.pem",
        "https://user:word@sns.us-east-1.amazonaws.com/x.pem",
        "https://sns.us-east-1.amazonaws.com:8443/x.pem",
        "https://sns.us-east-1.amazonaws.com\\@evil.com/x.pem",
        "https://evil.com/sns.us-east-1.amazonaws.com/x.pem",
        "https://evil.com#sns.us-east-1.amazonaws.com/x.pem",
        "https://sns.us-east-1.amazonaws.com/x.pem?y",
        "https://sns.us-east-1.amazonaws.com/x?.pem",
        "https://sns.us-east-1.amazonaws.com/../x.pem",
        "https://sns.us-east-1.amazonaws.com/%2e%2e/x.pem",
        "https://sns.us-east-1.amazonaws.com/x.txt",
        "https://sns.us-east-1.amazonaws.com/x.pem\r\nx: y",
        "http://sns.us-east-1.amazonaws.com/x.pem",
        "https://s3.us-east-1.amazonaws.com/x.pem",
        "https://sns.x.amazonaws.com/x.pem",
        "https://sns.us-east-1.amazonaws.com./x.pem",
        "https://169.254.169.254/x.pem",
        "file:///etc/passwd.pem",
        &format!("https://{own}/x.pem"),
    ] {
        let answer = served.tell(&hook, &notify(address));
        let refused = answer.text().contains("certificate_refused");
        assert_eq!((answer.status, refused), (401, true), "{address}: {}", answer.text());
    }
    // Amazon signs for everybody: another one's topic is not the webhook's.
    let other = message("Notification", CERTIFICATE, |said| {
        said["TopicArn"] = "arn:aws:sns:us-east-1:666666666666:orders".into();
    });
    let answer = served.tell(&hook, &other.to_string());
    assert_eq!((answer.status, answer.text().contains("sender_refused")), (401, true));
    assert_eq!(served.tell(&hook, "{}").status, 401);
    assert!(far.asked().is_empty(), "{:?}", far.asked());
}

#[test]
fn a_certificate_of_others_or_one_that_ended_verifies_nothing() {
    let far = Far::start(|_, target| ok(&read(target.trim_start_matches('/'))));
    let served = served(&far);
    let hook = sns(&served);
    for name in ["other", "ended"] {
        let address = format!("https://sns.us-east-1.amazonaws.com/{name}.pem");
        let answer = served.tell(&hook, &notify(&address));
        assert_eq!((answer.status, answer.text().contains("certificate_refused")), (401, true));
    }
    assert_eq!(far.asked().len(), 2);
}

#[test]
fn what_fails_is_not_taken_not_called_a_lie_and_not_asked_again_at_once() {
    let far = Far::start(|_, _| Said::Nothing);
    let served = served(&far);
    let elsewhere = format!("location: https://{}/sns.pem\r\n", far.server);
    let failing: [Makes; 7] = [
        Box::new(move || answer("302 Found", &elsewhere, b"")),
        Box::new(|| answer("404 Not Found", "", b"no")),
        Box::new(|| answer("200 OK", "content-encoding: gzip\r\n", b"\x1f\x8b")),
        Box::new(|| ok(b"no certificate")),
        Box::new(|| Said::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n".to_vec())),
        Box::new(|| Said::Endless(64 << 20)),
        Box::new(|| Said::Nothing),
    ];
    for (number, makes) in failing.into_iter().enumerate() {
        // Each webhook has a budget of its own.
        let hook = sns(&served);
        far.say(move |_, _| makes());
        let body = notify(&format!("https://sns.us-east-1.amazonaws.com/{number}.pem"));
        for _ in 0..3 {
            let answer = served.tell(&hook, &body);
            let text = answer.text();
            assert_eq!((answer.status, text.contains("key_unavailable")), (503, true), "{number}");
            let after = answer.header("retry-after").expect("when to come again");
            assert!(after.parse::<u64>().is_ok_and(|after| (1..=6).contains(&after)), "{after}");
        }
        assert_eq!(far.asked().len(), number + 1, "one question each");
        far.say(|_, _| ok(&read("sns.pem")));
        served.clock.advance_seconds(6);
        let answer = served.tell(&hook, &body);
        assert_eq!(answer.status, 204, "{number}: {}", answer.text());
        far.asked.lock().expect("no panic").pop();
    }
    let metrics = served.ask("/metrics").text();
    let line = "hookgate_hook_refusals_total{reason=\"key-unavailable\"} 21";
    assert!(metrics.contains(line), "{metrics}");
}

#[test]
fn requests_at_once_wait_for_one_fetch() {
    let far = Far::start(|_, _| ok(&read("sns.pem")));
    let served = served(&far);
    let hook = sns(&served);
    let body = notify(CERTIFICATE);
    std::thread::scope(|scope| {
        let send = || served.tell(&hook, &body).status;
        let all: Vec<_> = (0..20).map(|_| scope.spawn(send)).collect();
        for one in all {
            assert_eq!(one.join().expect("an answer"), 204);
        }
    });
    assert_eq!(far.asked().len(), 1);
}

#[test]
fn a_thousand_names_of_keys_or_certificates_make_few_fetches() {
    let issuer = Issuer::new("k");
    let keys = issuer.keys();
    let far = Far::start(move |host, _| match host {
        "keys.example.com:443" => ok(&keys),
        _ => answer("404 Not Found", "", b""),
    });
    let served = served(&far);
    let hook = oidc(&served, KEYS, true);
    // What is refused whoever signed it makes no fetch at all.
    assert_eq!(served.bear(&hook, &issuer.token(&served, "k", "others")).status, 401);
    assert_eq!(served.bear(&hook, "no.token.atall").status, 401);
    assert!(far.asked().is_empty());
    for number in 0..1000 {
        let token = issuer.token(&served, &format!("../{number}?"), "us");
        let answer = served.bear(&hook, &token);
        assert_eq!((answer.status, answer.text().contains("token_refused")), (401, true));
    }
    assert_eq!(served.bear(&hook, &issuer.token(&served, "k", "us")).status, 204);
    assert_eq!(far.asked(), ["keys.example.com:443 GET /jwks?v=1"]);

    let hook = sns(&served);
    let other = sns(&served);
    for number in 0..1000 {
        let address = format!("https://sns.us-east-1.amazonaws.com/{number}.pem");
        assert_eq!(served.tell(&hook, &notify(&address)).status, 503);
    }
    let most = far.asked().len();
    assert!(most <= 1 + 5 + 2, "{most} fetches");
    // The flood used up one webhook's budget, nobody else's.
    far.say(|_, _| ok(&read("sns.pem")));
    assert_eq!(served.tell(&other, &notify(CERTIFICATE)).status, 204);
}

#[test]
fn keys_are_renewed_when_a_new_one_is_named_and_kept_while_none_can_be_had() {
    let (old, new) = (Issuer::new("old"), Issuer::new("new"));
    let keys = old.keys();
    let far = Far::start(move |_, _| ok(&keys));
    let served = served(&far);
    let hook = oidc(&served, KEYS, true);
    let send = |issuer: &Issuer| {
        let token = issuer.token(&served, &issuer.kid, "us");
        served.bear(&hook, &token).status
    };
    assert_eq!((send(&old), send(&new)), (204, 401));
    let keys = new.keys();
    far.say(move |_, _| ok(&keys));
    assert_eq!(send(&new), 401, "not within the same minute");
    served.clock.advance_seconds(61);
    assert_eq!((send(&new), send(&old)), (204, 401));
    assert_eq!(far.asked().len(), 2);
    // Stale and not to be renewed: what is there goes on for a day.
    far.say(|_, _| answer("500 No", "", b""));
    served.clock.advance_seconds(3601);
    assert_eq!(send(&new), 204);
    wait("a try to renew", || (far.asked().len() == 3).then_some(()));
    assert_eq!(send(&new), 204);
    served.clock.advance_seconds(86_400);
    assert_eq!(send(&new), 503);
}

#[test]
fn what_is_only_labelled_is_taken_without_a_key() {
    let far = Far::start(|_, _| answer("500 No", "", b""));
    let served = served(&far);
    let hook = oidc(&served, KEYS, false);
    let token = Issuer::new("k").token(&served, "k", "us");
    assert_eq!(served.bear(&hook, &token).status, 204);
    let events = served.events(2);
    let received = |event: &&Value| event["event"] == "prefect-cloud.webhook.received";
    let received = events.iter().find(received).expect("an event");
    assert_eq!(received["resource"]["hookgate.verification"], "key_unavailable");
    assert!(!received.to_string().contains(&token), "the token stands nowhere");
}

#[test]
fn the_network_rules_hold_for_what_is_fetched() {
    let issuer = Issuer::new("k");
    let keys = issuer.keys();
    let far = Far::start(move |_, _| ok(&keys));
    let port = far.server.port();
    for (allow, status) in [(&[][..], 503), (&["127.0.0.0/8", "::1/128"][..], 204)] {
        let served = Served::start(|config| {
            config.fetch.tls_ca = Some(file("ca.pem"));
            config.egress.allow = allow.iter().map(|network| (*network).to_owned()).collect();
        });
        for host in ["127.0.0.1", "localhost"] {
            let hook = oidc(&served, &format!("https://{host}:{port}/keys"), true);
            let answer = served.bear(&hook, &issuer.token(&served, "k", "us"));
            assert_eq!(answer.status, status, "{host}: {}", answer.text());
        }
        assert_eq!(far.asked().is_empty(), status == 503);
    }
    let served = Served::start(|config| config.egress.allow = vec!["127.0.0.0/8".to_owned()]);
    let hook = oidc(&served, &format!("https://127.0.0.1:{port}/keys"), true);
    let answer = served.bear(&hook, &issuer.token(&served, "k", "us"));
    assert_eq!(answer.status, 503, "a server that nobody vouches for");
}

#[test]
fn what_would_be_fetched_is_refused_when_it_is_saved_wrongly_or_nothing_is_fetched() {
    let far = Far::start(|_, _| Said::Nothing);
    let refused = |served: &Served, verification: Value, part: &str| {
        let made = json!({"name": "w", "template": TEMPLATE, "verification": verification});
        let answer = served.call("POST", "/webhooks/", &made);
        assert_eq!(answer.status, 422, "{verification}");
        assert!(answer.text().contains(part), "{verification}: {}", answer.text());
    };
    let with = |address: &str| {
        let parameters = json!({"issuer": "i", "aud": "us", "jwks_url": address});
        json!({"provider": "oidc", "parameters": parameters})
    };
    let on = served(&far);
    for address in ["http://a.example/", "https://u:p@a.example/", "https://", "a.example", ""] {
        refused(&on, with(address), "jwks_url");
    }
    let mut both = with(KEYS);
    both["secrets"] = json!([String::from_utf8(Issuer::new("k").keys()).expect("text")]);
    refused(&on, both, "not both");
    refused(&on, json!({"provider": "oidc", "parameters": {"aud": "us"}}), "issuer");
    refused(&on, json!({"provider": "aws-sns"}), "topic");
    let off = Served::start(|config| config.fetch.enabled = false);
    refused(&off, with(KEYS), "fetch.enabled");
    refused(&off, json!({"provider": "aws-sns", "parameters": {"topic": TOPIC}}), "fetch.enabled");
    let given = String::from_utf8(read("sns.pem")).expect("text");
    let parameters = json!({"topic": TOPIC, "certificate": given});
    let hook = hook(&off, &json!({"provider": "aws-sns", "parameters": parameters}));
    assert_eq!(off.tell(&hook, &notify(CERTIFICATE)).status, 204);
    assert!(far.asked().is_empty());
}
