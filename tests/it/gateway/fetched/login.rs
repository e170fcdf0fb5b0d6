//! Keys that their provider tells one by one, to whoever logs in (Plaid): asked for once, by the name that a token
//! says, at the host that is pinned, and never for what is forged.

use std::fmt::Write as _;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::far::{Far, answer, ok};
use super::*;

const KEY: &str = "6c5516e1-92dc-479e-a8ff-5a51992e0001";
const OTHER: &str = "6c5516e1-92dc-479e-a8ff-5a51992e0002";
const FROM: &str = "production.plaid.com:443 POST /webhook_verification_key/get";
const BODY: &str = r#"{"webhook_type": "ITEM", "webhook_code": "ERROR"}"#;

impl Issuer {
    /// The key as Plaid tells it, and when it ended.
    fn told(&self, end: &Value) -> Vec<u8> {
        let keys: Value = serde_json::from_slice(&self.keys()).expect("JSON");
        let mut key = keys["keys"][0].clone();
        (key["alg"], key["use"]) = ("ES256".into(), "sig".into());
        (key["created_at"], key["expired_at"]) = (1_560_466_150.into(), end.clone());
        json!({"key": key, "request_id": "RZ6Omi1bzzwDaLo"}).to_string().into_bytes()
    }

    /// What Plaid says of a body, signed.
    fn vouch(&self, served: &Served, kid: &str, body: &str) -> String {
        let digits = digest(&SHA256, body.as_bytes());
        let of = digits.as_ref().iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        let head = json!({"alg": "ES256", "kid": kid, "typ": "JWT"});
        let now = served.clock.now().micros() / 1_000_000;
        let claims = json!({"iat": now, "request_body_sha256": of});
        let [head, claims] = [head, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{head}.{claims}");
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).expect("signed");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

impl Served {
    fn vouched(&self, webhook: &Value, token: &str, body: &str) -> Answer {
        let path = format!("/hooks/{}", webhook["slug"].as_str().expect("a slug"));
        self.send("POST", &path, &[("plaid-verification", token)], body.as_bytes())
    }
}

fn plaid(served: &Served, parameters: &Value) -> Value {
    let secrets = json!(["client-1:a-secret-of-plaid"]);
    hook(served, &json!({"provider": "plaid", "secrets": secrets, "parameters": parameters}))
}

#[test]
fn a_key_is_asked_for_once_by_its_name_where_its_provider_is() {
    let issuer = Issuer::new(KEY);
    let told = issuer.told(&Value::Null);
    let far = Far::start(move |_, _| ok(&told));
    let served = served(&far);
    let hook = plaid(&served, &json!({}));
    let good = issuer.vouch(&served, KEY, BODY);
    for (token, body, reason) in [
        (&*good, "{}", "body_digest_mismatch"),
        (&*issuer.vouch(&served, "../get", BODY), BODY, "token_refused"),
        (&*issuer.vouch(&served, "", BODY), BODY, "token_refused"),
        ("a.b.c", BODY, "token_refused"),
    ] {
        let refused = served.vouched(&hook, token, body);
        assert_eq!((refused.status, refused.text().contains(reason)), (401, true), "{reason}");
    }
    assert!(far.asked().is_empty(), "nobody is asked for what is forged");
    for _ in 0..3 {
        let taken = served.vouched(&hook, &good, BODY);
        assert_eq!(taken.status, 204, "{}", taken.text());
    }
    assert_eq!(far.asked(), [FROM]);
    let (head, body) = far.said.lock().expect("no panic")[0].clone();
    assert!(head.contains("content-type: application/json\r\n"), "{head}");
    assert!(head.contains("host: production.plaid.com\r\n"), "{head}");
    let body: Value = serde_json::from_str(&body).expect("JSON");
    let login = json!({"client_id": "client-1", "secret": "a-secret-of-plaid", "key_id": KEY});
    assert_eq!(body, login);
    // Somebody else's key under a name that is known.
    let forged = Issuer::new(KEY).vouch(&served, KEY, BODY);
    let refused = served.vouched(&hook, &forged, BODY);
    assert_eq!((refused.status, refused.text().contains("signature_mismatch")), (401, true));
    // Another webhook has its own login: what one is told is for nobody else.
    let other = json!({"provider": "plaid", "secrets": ["client-2:a-secret-of-plaid"]});
    let other = super::hook(&served, &other);
    assert_eq!(served.vouched(&other, &good, BODY).status, 204);
    assert_eq!(far.asked(), [FROM, FROM]);
    let shown = served.call("GET", "/webhooks/filter", &json!({})).text();
    let events = json!(served.events(4)).to_string();
    assert!(!shown.contains("a-secret-of-plaid") && !events.contains("a-secret-of-plaid"));
}

#[test]
fn a_key_that_is_not_told_is_asked_for_seldom_and_one_that_ended_counts_no_more() {
    let issuer = Issuer::new(KEY);
    let ended = issuer.told(&json!(1_790_000_000));
    let far =
        Far::start(|_, _| answer("400 Bad Request", "", br#"{"error_code": "INVALID_FIELD"}"#));
    let served = served(&far);
    let hook = plaid(&served, &json!({"environment": "sandbox"}));
    let good = issuer.vouch(&served, KEY, BODY);
    for _ in 0..3 {
        let later = served.vouched(&hook, &good, BODY);
        assert_eq!(later.status, 503, "{}", later.text());
        assert!(later.header("retry-after").is_some());
    }
    assert_eq!(far.asked(), [FROM.replace("production", "sandbox")], "once for a while");
    far.say(move |_, _| ok(&ended));
    served.clock.advance_seconds(10);
    let good = issuer.vouch(&served, KEY, BODY);
    let refused = served.vouched(&hook, &good, BODY);
    assert_eq!((refused.status, refused.text().contains("token_refused")), (401, true));
    // One that is told for another name is none.
    let other = Issuer::new(OTHER).told(&Value::Null);
    far.say(move |_, _| ok(&other));
    let third = issuer.vouch(&served, "6c5516e1-92dc-479e-a8ff-5a51992e0003", BODY);
    assert_eq!(served.vouched(&hook, &third, BODY).status, 401);
    far.say(|_, _| answer("302 Found", "location: https://evil.example/\r\n", b""));
    let led = issuer.vouch(&served, "6c5516e1-92dc-479e-a8ff-5a51992e0004", BODY);
    assert_eq!(served.vouched(&hook, &led, BODY).status, 503);
    let hosts = far.asked();
    assert!(hosts.iter().all(|asked| asked.starts_with("sandbox.plaid.com:443 ")), "{hosts:?}");
}

/// One that tells the issuer's key to whoever asks as it should, and refuses all others.
fn far_telling(issuer: &Issuer, is_right: impl Fn(&str) -> bool + Send + Sync + 'static) -> Far {
    let told = issuer.told(&Value::Null);
    let far = Far::start(|_, _| Said::Nothing);
    let said = Arc::clone(&far.said);
    far.say(move |_, _| {
        let said = said.lock().expect("no panic");
        let is_told = said.last().is_some_and(|(_, body)| is_right(body));
        if is_told { ok(&told) } else { answer("400 Bad Request", "", b"{}") }
    });
    far
}

#[test]
fn a_secret_that_is_replaced_keeps_nobody_out_whose_key_is_still_to_be_fetched() {
    let issuer = Issuer::new(KEY);
    let far = far_telling(&issuer, |body| !body.contains("client-old"));
    let served = served(&far);
    // A key of somebody else beside the login, then a login that counts no more; in either order.
    let given = String::from_utf8(Issuer::new(OTHER).keys()).expect("text");
    for secrets in [
        ["client-1:a-secret", &given],
        [&given, "client-2:a-secret"],
        ["client-old:1", "client-3:a-secret"],
        ["client-4:a-secret", "client-old:2"],
    ] {
        let hook = hook(&served, &json!({"provider": "plaid", "secrets": secrets}));
        let good = issuer.vouch(&served, KEY, BODY);
        for _ in 0..2 {
            let taken = served.vouched(&hook, &good, BODY);
            assert_eq!(taken.status, 204, "{secrets:?}: {}", taken.text());
        }
        let forged = Issuer::new(KEY).vouch(&served, KEY, BODY);
        let is_unsure = secrets.iter().any(|one| one.starts_with("client-old"));
        let refused = served.vouched(&hook, &forged, BODY).status;
        assert_eq!(refused, if is_unsure { 503 } else { 401 }, "{secrets:?}");
    }
}

#[test]
fn whoever_invents_names_of_keys_keeps_no_new_key_of_others_from_being_fetched() {
    let issuer = Issuer::new(KEY);
    let far = far_telling(&issuer, |body| body.contains(KEY));
    let proxy = far.proxy;
    let served = Served::start(move |config| {
        config.egress.proxy = Some(format!("http://{proxy}"));
        config.fetch.tls_ca = Some(file("ca.pem"));
        config.server.trusted_proxies = vec!["127.0.0.1".to_owned()];
    });
    let hook = plaid(&served, &json!({}));
    let path = format!("/hooks/{}", hook["slug"].as_str().expect("a slug"));
    let send = |peer: &str, kid: &str| {
        let token = issuer.vouch(&served, kid, BODY);
        let headers = [("plaid-verification", &*token), ("x-forwarded-for", peer)];
        served.send("POST", &path, &headers, BODY.as_bytes())
    };
    for number in 0..50 {
        assert_eq!(send("203.0.113.9", &format!("invented-{number}")).status, 503, "{number}");
    }
    let asked = far.asked().len();
    assert!(asked <= 6, "{asked} fetches");
    let taken = send("198.51.100.1", KEY);
    assert_eq!(taken.status, 204, "{}", taken.text());
}

#[test]
fn a_login_that_asks_nobody_is_refused_when_it_is_saved() {
    let served = Served::start(|_| ());
    let refused = |verification: Value, part: &str| {
        let made = json!({"name": "w", "template": TEMPLATE, "verification": verification});
        let answer = served.call("POST", "/webhooks/", &made);
        let text = answer.text();
        assert_eq!((answer.status, text.contains(part)), (422, true), "{verification}: {text}");
        assert!(!text.contains("a-secret"), "{text}");
    };
    let plaid = |secret: &str, environment: &str| {
        let parameters = json!({"environment": environment});
        json!({"provider": "plaid", "secrets": [secret], "parameters": parameters})
    };
    refused(plaid("a-secret-alone", "sandbox"), "secrets");
    refused(plaid("client:a-secret", "evil.example/"), "environment");
    let off = Served::start(|config| config.fetch.enabled = false);
    let made = json!({"name": "w", "template": TEMPLATE, "verification": plaid("client:a-secret", "sandbox")});
    let answer = off.call("POST", "/webhooks/", &made);
    assert_eq!((answer.status, answer.text().contains("fetch.enabled")), (422, true));
}
