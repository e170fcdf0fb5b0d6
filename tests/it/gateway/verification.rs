//! Webhooks whose requests are verified: set over the API and by the command, signed over real HTTP. What is wrong is
//! refused; secrets are seen by nobody; handshakes are answered; one secret is replaced by another without a refusal.

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use hookgate::verify::signature::Provider;

use super::{Answer, Served};

const TEMPLATE: &str = r#"{"event": "shop.paid", "resource": {"prefect.resource.id": "shop.1"},
    "payload": {{ headers|tojson }}}"#;
const BODY: &str = r#"{"kind": "paid"}"#;
const SECRET: &str = "a-secret-that-nobody-sees";
const NEXT: &str = "another-that-nobody-sees";

pub(super) fn tag(secret: &str, message: &str) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).expect("a digit");
    let tag = sign(&Key::new(HMAC_SHA256, secret.as_bytes()), message.as_bytes());
    tag.as_ref().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

impl Served {
    fn set(&self, webhook: &Value, verification: &Value) -> Answer {
        let mut body = json!({"name": "w", "description": "", "template": TEMPLATE});
        if !verification.is_null() {
            body["verification"] = verification.clone();
        }
        let id = webhook["id"].as_str().expect("an id");
        self.call("PUT", &format!("/webhooks/{id}"), &body)
    }

    fn shown(&self, webhook: &Value) -> Value {
        let id = webhook["id"].as_str().expect("an id");
        self.call("GET", &format!("/webhooks/{id}"), &Value::Null).json()["verification"].clone()
    }

    fn signed(&self, webhook: &Value, secret: &str) -> u16 {
        let signature = format!("sha256={}", tag(secret, BODY));
        self.hook(webhook, &[("X-Hub-Signature-256", &signature)], BODY).status
    }

    fn hook(&self, webhook: &Value, headers: &[(&str, &str)], body: &str) -> Answer {
        let path = format!("/hooks/{}", webhook["slug"].as_str().expect("a slug"));
        self.send("POST", &path, headers, body.as_bytes())
    }
}

#[test]
fn only_what_is_signed_is_taken_and_nobody_sees_a_secret() {
    let served = Served::start(|_| ());
    let hook = served.webhook(TEMPLATE);
    let set = served.set(&hook, &json!({"provider": "github", "secrets": [SECRET]}));
    assert_eq!(set.status, 204, "{}", set.text());
    let shown = served.shown(&hook);
    let id = shown["secrets"][0]["id"].as_str().expect("a name").to_owned();
    assert_eq!((&shown["provider"], &shown["required"]), (&json!("github"), &json!(true)));

    let bare = served.hook(&hook, &[], BODY);
    let said = r#"{"detail":"Not verified: signature_missing"}"#;
    assert_eq!((bare.status, bare.text().as_str()), (401, said));
    let wrong = served.hook(&hook, &[("X-Hub-Signature-256", "sha256=00")], BODY);
    assert_eq!((wrong.status, wrong.text().contains("signature_mismatch")), (401, true));
    assert_eq!((served.signed(&hook, NEXT), served.signed(&hook, SECRET)), (401, 204));

    // Who knows nothing of it leaves it alone; what was read may be written.
    assert_eq!(served.set(&hook, &Value::Null).status, 204);
    assert_eq!(served.set(&hook, &shown).status, 204);
    assert_eq!((served.shown(&hook), served.signed(&hook, SECRET)), (shown, 204));

    let both = json!({"provider": "github", "secrets": [NEXT, {"id": id}]});
    assert_eq!(served.set(&hook, &both).status, 204);
    assert_eq!((served.signed(&hook, NEXT), served.signed(&hook, SECRET)), (204, 204));
    let fresh = served.shown(&hook)["secrets"][0].clone();
    let one = json!({"provider": "github", "secrets": [fresh]});
    assert_eq!(served.set(&hook, &one).status, 204);
    assert_eq!((served.signed(&hook, NEXT), served.signed(&hook, SECRET)), (204, 401));

    let rotated = format!("/webhooks/{}/rotate", hook["id"].as_str().expect("an id"));
    let hook = served.call("POST", &rotated, &json!({})).json();
    assert_eq!((served.signed(&hook, NEXT), served.signed(&hook, SECRET)), (204, 401));

    let off = served.set(&hook, &json!({"provider": "github", "secrets": [], "required": false}));
    assert_eq!(off.status, 204, "{}", off.text());
    assert_eq!(served.hook(&hook, &[], BODY).status, 204);
    let id = hook["id"].as_str().expect("an id");
    let none = json!({"name": "w", "description": "", "template": TEMPLATE, "verification": null});
    assert_eq!(served.call("PUT", &format!("/webhooks/{id}"), &none).status, 204);
    assert!(served.shown(&hook).is_null());

    let events = served.events(14);
    let told = serde_json::to_string(&events).expect("JSON");
    assert!(!told.contains(SECRET) && !told.contains(NEXT), "{told}");
    let received = |label: &str| {
        let of = |event: &&Value| event["event"] == "prefect-cloud.webhook.received";
        let labels = events.iter().filter(of).map(|event| event["resource"][label].clone());
        labels.collect::<Vec<_>>()
    };
    let results = received("hookgate.verification");
    assert!(results.contains(&json!("verified")) && results.contains(&json!("secret_missing")));
    assert!(received("hookgate.verification.provider").contains(&json!("github")));
}

#[test]
fn what_verifies_nothing_is_refused_when_it_is_saved() {
    let served = Served::start(|_| ());
    let hook = served.webhook(TEMPLATE);
    for (part, verification) in [
        ("provider", json!({"provider": "nobody", "secrets": [SECRET]})),
        ("provider", json!({"secrets": [SECRET]})),
        ("secrets", json!({"provider": "github"})),
        ("secrets", json!({"provider": "github", "secrets": [""]})),
        ("secrets", json!({"provider": "github", "secrets": ["short"]})),
        ("secrets", json!({"provider": "github", "secrets": [" \t        "]})),
        ("secrets", json!({"provider": "github", "secrets": [format!("{SECRET}\n")]})),
        ("secrets", json!({"provider": "github", "secrets": [{"secret": format!(" {SECRET}")}]})),
        ("secrets", json!({"provider": "gitlab", "secrets": [format!("{SECRET}\u{0}")]})),
        (
            "secrets",
            json!({"provider": "github", "secrets": [{"secret": SECRET, "until": "soon"}]}),
        ),
        ("secrets", json!({"provider": "github", "secrets": SECRET})),
        ("secrets", json!({"provider": "github", "secrets": [{"id": "none"}]})),
        ("secrets", json!({"provider": "discord", "secrets": ["no public key"]})),
        ("tolerance", json!({"provider": "slack", "secrets": [SECRET], "tolerance": 0})),
        ("required", json!({"provider": "slack", "secrets": [SECRET], "required": "yes"})),
        ("required", json!({"provider": "cloudevents", "secrets": []})),
        (
            "parameters",
            json!({"provider": "cloudevents", "required": false, "parameters": {"origins": "*"}}),
        ),
        ("parameters", json!({"provider": "trello", "secrets": [SECRET]})),
        (
            "parameters",
            json!({"provider": "github", "secrets": [SECRET], "parameters": {"bogus": "1"}}),
        ),
        (
            "parameters",
            json!({"provider": "meta", "secrets": [SECRET], "parameters": {"verify_token": "tok"}}),
        ),
        ("secrets", json!({"provider": "meta", "secrets": [SECRET, NEXT]})),
        ("secrets", json!({"provider": "meta", "secrets": ["token:a-word-of-its-own"]})),
        ("secrets", json!({"provider": "meta", "secrets": [SECRET, "token:short"]})),
        ("parameters", json!({"provider": "aws-sns", "secrets": []})),
        ("parameters", json!({"provider": "aws-sns", "parameters": {"topic": ""}})),
        ("parameters", json!({"provider": "aws-sns", "parameters": {"topic": " "}})),
        (
            "parameters",
            json!({"provider": "grafana", "secrets": [SECRET],
                "parameters": {"timestamp_header": "no name"}}),
        ),
        ("tolerence", json!({"provider": "slack", "secrets": [SECRET], "tolerence": 1})),
    ] {
        let refused = served.set(&hook, &verification);
        assert_eq!(refused.status, 422, "{verification}: {}", refused.text());
        let detail = &refused.json()["detail"][0];
        assert_eq!(detail["loc"], json!(["body", "verification", part]), "{verification}");
        assert!(!refused.text().contains(SECRET), "{}", refused.text());
    }
    assert!(served.shown(&hook).is_null());
}

#[test]
fn handshakes_are_answered_only_where_they_are_proven_and_never_as_a_page() {
    let served = Served::start(|_| ());
    let hook = served.webhook(TEMPLATE);
    let set = served.set(&hook, &json!({"provider": "slack", "secrets": [SECRET]}));
    assert_eq!(set.status, 204, "{}", set.text());
    let body = r#"{"type": "url_verification", "challenge": "<b>abc</b>"}"#;
    assert_eq!(served.hook(&hook, &[], body).status, 401);
    let now = served.clock.now().micros() / 1_000_000;
    let at = |time: i64| {
        let signature = format!("v0={}", tag(SECRET, &format!("v0:{time}:{body}")));
        let time = time.to_string();
        let headers: [(&str, &str); 2] =
            [("X-Slack-Signature", &signature), ("X-Slack-Request-Timestamp", &time)];
        served.hook(&hook, &headers, body)
    };
    let late = at(now - 412);
    assert_eq!((late.status, late.text().contains("time_outside_window")), (401, true));
    let answer = at(now);
    assert_eq!((answer.status, answer.text().as_str()), (200, "<b>abc</b>"));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let asked = served.events(1);
    assert_eq!(asked.last().expect("an event")["payload"]["handshake"], "slack");

    let meta = served.webhook(TEMPLATE);
    assert_eq!(served.set(&meta, &json!({"provider": "meta", "secrets": [NEXT]})).status, 204);
    let slug = meta["slug"].as_str().expect("a slug");
    let ask = |token: &str| {
        let asked = format!("hub.mode=subscribe&hub.challenge=77&hub.verify_token={token}");
        served.send("GET", &format!("/hooks/{slug}?{asked}"), &[], b"")
    };
    assert_eq!(
        (ask("wrong").status, ask(NEXT).status, ask(NEXT).text().as_str()),
        (403, 200, "77")
    );
}

#[test]
fn the_word_of_a_handshake_signs_nothing_and_what_signs_answers_none() {
    let served = Served::start(|_| ());
    let hook = served.webhook(TEMPLATE);
    let said = json!({"provider": "meta", "secrets": [SECRET, format!("token:{NEXT}")]});
    let set = served.set(&hook, &said);
    assert_eq!(set.status, 204, "{}", set.text());
    let slug = hook["slug"].as_str().expect("a slug");
    let ask = |word: &str| {
        let asked = format!("hub.mode=subscribe&hub.challenge=77&hub.verify_token={word}");
        served.send("GET", &format!("/hooks/{slug}?{asked}"), &[], b"").status
    };
    let marked = format!("token:{NEXT}");
    assert_eq!([NEXT, SECRET, &marked].map(ask), [200, 403, 403]);
    let send = |secret: &str| {
        let signature = format!("sha256={}", tag(secret, BODY));
        served.hook(&hook, &[("X-Hub-Signature-256", &signature)], BODY).status
    };
    assert_eq!([SECRET, NEXT, &marked].map(send), [204, 401, 401]);
    let told = serde_json::to_string(&served.shown(&hook)).expect("JSON");
    assert!(!told.contains(NEXT) && !told.contains("token:"), "{told}");
}

#[test]
fn a_token_that_is_the_secret_reaches_neither_template_nor_event() {
    let served = Served::start(|_| ());
    let hook = served.webhook(TEMPLATE);
    assert_eq!(served.set(&hook, &json!({"provider": "gitlab", "secrets": [SECRET]})).status, 204);
    assert_eq!(served.hook(&hook, &[("X-Gitlab-Token", NEXT)], BODY).status, 401);
    let taken = served.hook(&hook, &[("X-Gitlab-Token", SECRET), ("X-Other", "seen")], BODY);
    assert_eq!(taken.status, 204);
    let told = serde_json::to_string(&served.events(2)).expect("JSON");
    assert!(told.contains("seen") && !told.contains(SECRET), "{told}");
}

#[test]
fn an_address_that_is_signed_hides_the_slug_and_follows_it() {
    let served = Served::start(|_| ());
    let hook = served.webhook(TEMPLATE);
    let slug = hook["slug"].as_str().expect("a slug");
    let url = format!("https://hooks.example.com/hooks/{slug}");
    let said = json!({"provider": "square", "secrets": [SECRET], "parameters": {"url": url}});
    assert_eq!(served.set(&hook, &said).status, 204);
    let place = "https://hooks.example.com/hooks/{slug}";
    assert_eq!(served.shown(&hook)["parameters"]["url"], place);
    let signed = sign(&Key::new(HMAC_SHA256, SECRET.as_bytes()), format!("{url}{BODY}").as_bytes());
    let signature = STANDARD.encode(signed);
    let headers: [(&str, &str); 1] = [("x-square-hmacsha256-signature", &signature)];
    assert_eq!(served.hook(&hook, &headers, BODY).status, 204);
    let told = serde_json::to_string(&served.events(2)).expect("JSON");
    assert!(!told.contains(slug), "{told}");
}

#[test]
fn the_command_sets_replaces_and_ends_it() {
    let served = Served::start(|_| ());
    let file = |name: &str, text: &str| {
        let path = served.folder.join(name);
        std::fs::write(&path, format!("{text}\n")).expect("a file");
        path.display().to_string()
    };
    let (first, next) = (file("first", SECRET), file("next", NEXT));
    let hook = served.webhook(TEMPLATE);
    let id = hook["id"].as_str().expect("an id").to_owned();
    served.answered(&["webhook", "update", &id, "--verify", "github", "--secret-file", &first]);
    assert_eq!((served.signed(&hook, SECRET), served.signed(&hook, NEXT)), (204, 401));
    let shown = served.answered(&["webhook", "show", &id]);
    assert!(shown.contains("github") && !shown.contains(SECRET), "{shown}");
    served.answered(&["webhook", "update", &id, "--add-secret-file", &next]);
    assert_eq!((served.signed(&hook, SECRET), served.signed(&hook, NEXT)), (204, 204));
    let old = served.shown(&hook)["secrets"][1]["id"].as_str().expect("a name").to_owned();
    served.answered(&["webhook", "update", &id, "--drop-secret", &old]);
    assert_eq!((served.signed(&hook, SECRET), served.signed(&hook, NEXT)), (401, 204));
    served.answered(&["webhook", "update", &id, "--no-verify"]);
    assert_eq!(served.hook(&hook, &[], BODY).status, 204);
}

#[test]
fn a_secret_ends_when_it_was_said_and_is_kept_for_nobody_else() {
    let served = Served::start(|_| ());
    let hook = served.webhook(TEMPLATE);
    let set = |said: Value| served.set(&hook, &said);
    assert_eq!(set(json!({"provider": "github", "secrets": [SECRET]})).status, 204);
    let old = served.shown(&hook)["secrets"][0]["id"].clone();
    let other = set(json!({"provider": "gitea", "secrets": [{"id": old}]}));
    assert_eq!(other.status, 422, "a secret of another provider");
    let until = served.clock.now().plus_seconds(60).to_string();
    let both = json!({"provider": "github", "secrets": [NEXT, {"id": old, "until": until}]});
    assert_eq!(set(both).status, 204);
    assert_eq!(served.shown(&hook)["secrets"][1]["until"], until);
    assert_eq!((served.signed(&hook, NEXT), served.signed(&hook, SECRET)), (204, 204));
    // The last moment is in the last second.
    served.clock.advance_seconds(60);
    assert_eq!((served.signed(&hook, NEXT), served.signed(&hook, SECRET)), (204, 204));
    served.clock.advance_seconds(1);
    assert_eq!((served.signed(&hook, NEXT), served.signed(&hook, SECRET)), (204, 401));
    // What was read may be written, and then it is gone.
    let shown = served.shown(&hook);
    assert_eq!(
        set(json!({"provider": "github", "secrets": shown["secrets"], "tolerance": 9})).status,
        204
    );
    assert_eq!(served.shown(&hook)["secrets"].as_array().expect("a list").len(), 1);
    assert_eq!((served.signed(&hook, NEXT), served.signed(&hook, SECRET)), (204, 401));
}

#[test]
fn a_webhook_is_called_from_its_networks_and_is_not_there_for_others() {
    let served = Served::start(|_| ());
    let hook = served.webhook(TEMPLATE);
    let id = hook["id"].as_str().expect("an id").to_owned();
    let set = |networks: Value| {
        let body =
            json!({"name": "w", "description": "", "template": TEMPLATE, "networks": networks});
        served.call("PUT", &format!("/webhooks/{id}"), &body)
    };
    let unknown = served.send("POST", "/hooks/nobody", &[], BODY.as_bytes());
    for (networks, status) in [
        (json!(["203.0.113.0/24", "2001:db8::/32"]), 404),
        (json!(["203.0.113.0/24", "::ffff:127.0.0.0/104"]), 204),
        (json!(["::/0"]), 404),
        (json!([]), 204),
        (json!(["198.51.100.7"]), 404),
        (Value::Null, 204),
    ] {
        assert_eq!(set(networks.clone()).status, 204, "{networks}");
        let answer = served.hook(&hook, &[], BODY);
        assert_eq!(answer.status, status, "{networks}");
        if status == 404 {
            assert_eq!(answer.text(), unknown.text());
        }
    }
    for wrong in [
        json!(["example.com"]),
        json!(["10.0.0.0/33"]),
        json!("10.0.0.0/8"),
        json!(vec!["10.0.0.1"; 65]),
    ] {
        assert_eq!(set(wrong.clone()).status, 422, "{wrong}");
    }
    served.answered(&["webhook", "update", &id, "--network", "203.0.113.9/24"]);
    let shown = served.answered(&["webhook", "show", &id]);
    assert!(shown.contains("203.0.113.0/24"), "{shown}");
    assert_eq!(served.hook(&hook, &[], BODY).status, 404);
    served.answered(&["webhook", "update", &id, "--any-network"]);
    assert_eq!(served.hook(&hook, &[], BODY).status, 204);
}

#[test]
fn an_address_passes_the_test_that_xero_puts_it_to() {
    // Both questions are put; nothing may stand in the answers.
    let served = Served::start(|_| ());
    let hook = served.webhook(TEMPLATE);
    let set = served.set(&hook, &json!({"provider": "xero", "secrets": [SECRET]}));
    assert_eq!(set.status, 204, "{}", set.text());
    let asked = r#"{"events":[],"firstEventSequence":0,"lastEventSequence":0}"#;
    for (secret, status) in [(SECRET, 200), (NEXT, 401)] {
        let tag = sign(&Key::new(HMAC_SHA256, secret.as_bytes()), asked.as_bytes());
        let answer = served.hook(&hook, &[("x-xero-signature", &STANDARD.encode(tag))], asked);
        assert_eq!((answer.status, answer.text().as_str()), (status, ""));
    }
}

#[test]
fn a_row_of_the_operator_signs_like_one_of_ours() {
    const ROW: &str = r#"{"scheme": [{"signature": {"header": "X-Acme", "prefix": "v1="}}]}"#;
    let folder = std::env::temp_dir().join(format!("hookgate-it-rows-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let cases = folder.join("acme.jsonl");
    let case = |id: &str, secret: &str, valid: bool| {
        let headers = json!({"X-Acme": format!("v1={}", tag(secret, BODY))});
        json!({"id": id, "provider": "acme", "secret": SECRET, "body": BODY, "headers": headers,
            "valid": valid})
    };
    let lines = format!("{}\n{}\n", case("good", SECRET, true), case("other", NEXT, false));
    std::fs::write(&cases, lines).expect("a file");
    let served = Served::start(|config| {
        let mut row: Provider = serde_json::from_str(ROW).expect("a row");
        row.cases = Some(cases.clone());
        config.schemes.insert("acme".to_owned(), row);
    });
    let hook = served.webhook(TEMPLATE);
    let set = served.set(&hook, &json!({"provider": "acme", "secrets": [SECRET]}));
    assert_eq!(set.status, 204, "{}", set.text());
    let signed = |secret: &str| {
        let signature = format!("v1={}", tag(secret, BODY));
        served.hook(&hook, &[("X-Acme", &signature)], BODY).status
    };
    assert_eq!((signed(SECRET), signed(NEXT)), (204, 401));
    let told = served.events(2);
    assert_eq!(told[0]["resource"]["hookgate.verification.provider"], "acme");

    // A case that comes out otherwise stops the start.
    std::fs::write(&cases, format!("{}\n", case("turned", NEXT, true))).expect("a file");
    let fault = served.config.providers().expect_err("a wrong case").to_string();
    assert!(fault.contains("schemes.acme.cases: ") && fault.contains("line 1, case \"turned\""));
    std::fs::remove_dir_all(folder).expect("no folder");
}
