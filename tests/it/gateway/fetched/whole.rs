//! Requests whose whole body is a token (Kinde): keys are fetched from the owner's own place at the provider, and from
//! nowhere else, whatever a setting says.

use serde_json::{Value, json};

use super::far::{Far, Said, ok};
use super::*;

const FROM: &str = "acme.kinde.com:443 GET /.well-known/jwks";

/// The key of the tests as Kinde tells its own.
fn keys() -> Vec<u8> {
    let key = PrivateKeyDer::from_pem_file(file("signer-key.pem")).expect("a key");
    let key = RsaKeyPair::from_pkcs8(key.secret_der()).expect("RSA");
    let public = key.public_key();
    let [n, e] = [public.modulus(), public.exponent()]
        .map(|part| URL_SAFE_NO_PAD.encode(part.big_endian_without_leading_zero()));
    let key = json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "4c:fa", "n": n, "e": e});
    json!({"keys": [key]}).to_string().into_bytes()
}

fn token(claims: &Value) -> String {
    let head = json!({"alg": "RS256", "kid": "4c:fa", "typ": "JWT"});
    let [head, claims] = [&head, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let signed = format!("{head}.{claims}");
    let tag = STANDARD.decode(rsa(signed.as_bytes())).expect("base64");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
}

fn event(id: &str) -> Value {
    json!({"data": {"user": {"id": "kp_1"}}, "event_id": id, "source": "admin",
        "timestamp": "2024-05-01T17:41:45.592145+10:00", "type": "user.updated"})
}

/// A webhook that Kinde calls; its template hands on what the token claims.
fn kinde(served: &Served) -> Value {
    let template = TEMPLATE.replace(
        "{{ body|tojson }}",
        r#"{"what": "{{ body.type }}", "user": {{ body.data.user|tojson }}}"#,
    );
    let verification =
        json!({"provider": "kinde", "parameters": {"subdomain": "acme"}, "once": true});
    let made = json!({"name": "w", "template": template, "verification": verification});
    let answer = served.call("POST", "/webhooks/", &made);
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

impl Served {
    fn send_token(&self, webhook: &Value, body: &str) -> Answer {
        let path = format!("/hooks/{}", webhook["slug"].as_str().expect("a slug"));
        self.send("POST", &path, &[("content-type", "application/jwt")], body.as_bytes())
    }
}

#[test]
fn a_body_that_is_a_token_is_judged_by_keys_from_its_owners_place() {
    let far = Far::start(|_, _| ok(&keys()));
    let served = served(&far);
    let hook = kinde(&served);
    for (body, reason) in [
        ("{}", "token_refused"),
        ("", "signature_missing"),
        // A user's token: the same key signs it, and it is no event.
        (&*token(&json!({"iss": "https://acme.kinde.com", "sub": "kp_1"})), "token_refused"),
        (&*"a.".repeat(40_000), "token_refused"),
    ] {
        let refused = served.send_token(&hook, body);
        assert_eq!((refused.status, refused.text().contains(reason)), (401, true), "{reason}");
    }
    assert!(far.asked().is_empty(), "nothing is fetched for what is none");
    let good = token(&event("event_1"));
    let first = served.send_token(&hook, &good);
    assert_eq!(first.status, 204, "{}", first.text());
    assert_eq!(first.header("hookgate-duplicate"), None);
    let again = served.send_token(&hook, &format!("{good}\n"));
    assert_eq!((again.status, again.receipt()), (204, first.receipt()));
    assert_eq!(again.header("hookgate-duplicate"), Some("true"));
    assert_eq!(served.send_token(&hook, &token(&event("event_2"))).status, 204);
    let [head, tag] = [0, 2].map(|part| good.split('.').nth(part).expect("three parts"));
    let other = URL_SAFE_NO_PAD.encode(event("event_3").to_string());
    let forged = served.send_token(&hook, &format!("{head}.{other}.{tag}"));
    assert_eq!((forged.status, forged.text().contains("signature_mismatch")), (401, true));
    assert_eq!(far.asked(), [FROM]);
    let told = served.events(4);
    let told = told.iter().find(|event| event["event"] == "topic.told").expect("an event");
    let said = json!({"what": "user.updated", "user": {"id": "kp_1"}});
    assert_eq!(told["payload"], said, "its template sees what it claims");
    // What is kept is the token, and what is made of it again is the same.
    served.kept(2);
    let path = format!("/requests/{}", first.receipt());
    let capture = served.call("GET", &path, &Value::Null).json();
    assert_eq!(capture["request"]["body"], good.as_str(), "{capture}");
    let draft = json!({"template": hook["template"], "request": capture["request"]});
    let tried = served.call("POST", "/webhooks/render", &draft);
    assert!(tried.text().contains("user.updated") && tried.text().contains("kp_1"));
    let file = served.folder.join("draft.j2");
    std::fs::write(&file, hook["template"].as_str().expect("a template")).expect("a draft");
    let replay = ["replay", "--webhook", "w", "--status", "ok"];
    let name = file.to_str().expect("a path");
    let same = served.answered(&[&replay[..3], &["--diff", name]].concat());
    assert_eq!(same, "2 requests: 2 identical\n");
    let one = ["--where", "body.event_id == 'event_1'", "--yes"];
    assert_eq!(served.answered(&[&replay[..], &one].concat()), "1 requests, 1 events kept\n");
}

#[test]
fn a_setting_never_leads_out_of_the_host_that_is_pinned() {
    let far = Far::start(|_, _| Said::Nothing);
    let served = served(&far);
    for subdomain in [
        "",
        "evil.example/",
        "evil.example#",
        "a.b",
        "acme@evil",
        "acme:1",
        "-",
        "{subdomain}",
        "é",
    ] {
        let verification = json!({"provider": "kinde", "parameters": {"subdomain": subdomain}});
        let made = json!({"name": "w", "template": TEMPLATE, "verification": verification});
        let answer = served.call("POST", "/webhooks/", &made);
        let text = answer.text();
        assert_eq!((answer.status, text.contains("subdomain")), (422, true), "{subdomain}: {text}");
    }
    assert!(far.asked().is_empty());
}
