//! What was signed once and is sent again, by its sender or by somebody who saw it: over real HTTP, at once and later,
//! over restarts, with what nobody signed changed. Taken once, never refused, and nobody's quota.

use std::collections::BTreeSet;
use std::sync::Barrier;

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Answer, Served};

const TEMPLATE: &str = r#"{% if body.wrong %}no event{% else %}{"event": "shop.paid",
    "resource": {"prefect.resource.id": "shop.1"}, "payload": {{ headers|tojson }}}{% endif %}"#;
const BODY: &str = r#"{"kind": "paid"}"#;
const SECRET: &str = "a-secret-that-nobody-sees";
const NEXT: &str = "another-that-nobody-sees";
/// Slack's row takes times that are up to five minutes off.
const WINDOW: i64 = 300;

fn tag(secret: &str, message: &str) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).expect("a digit");
    let tag = sign(&Key::new(HMAC_SHA256, secret.as_bytes()), message.as_bytes());
    tag.as_ref().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// What is sent, and what of it nobody signed.
#[derive(Clone, Copy)]
struct Sent<'a> {
    time: i64,
    secret: &'a str,
    body: &'a str,
    other: &'a str,
}

impl Served {
    fn once(&self, provider: &str, more: &Value) -> Value {
        let mut body = json!({"name": "w", "template": TEMPLATE,
            "verification": {"provider": provider, "secrets": [SECRET, NEXT], "once": true}});
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        let made = self.call("POST", "/webhooks/", &body);
        assert_eq!(made.status, 201, "{}", made.text());
        made.json()
    }

    fn seconds(&self) -> i64 {
        self.clock.now().micros() / 1_000_000
    }

    fn fresh(&self) -> Sent<'static> {
        Sent { time: self.seconds(), secret: SECRET, body: BODY, other: "a" }
    }

    /// As Slack signs.
    fn slack(&self, webhook: &Value, sent: Sent<'_>) -> Answer {
        let Sent { time, secret, body, other } = sent;
        let signature = format!("v0={}", tag(secret, &format!("v0:{time}:{body}")));
        let time = time.to_string();
        let headers = [
            ("X-Slack-Signature", &*signature),
            ("X-Slack-Request-Timestamp", &time),
            ("content-type", "application/json"),
            ("x-delivery", other),
        ];
        let slug = webhook["slug"].as_str().expect("a slug");
        self.send("POST", &format!("/hooks/{slug}?other={other}"), &headers, body.as_bytes())
    }

    fn github(&self, webhook: &Value) -> Answer {
        let signature = format!("sha256={}", tag(SECRET, BODY));
        let headers = [("X-Hub-Signature-256", &*signature), ("content-type", "application/json")];
        let slug = webhook["slug"].as_str().expect("a slug");
        self.send("POST", &format!("/hooks/{slug}"), &headers, BODY.as_bytes())
    }
}

fn is_again(answer: &Answer) -> bool {
    assert_eq!(answer.status, 204, "{}", answer.text());
    answer.header("hookgate-duplicate") == Some("true")
}

#[test]
fn what_was_signed_once_is_taken_once_whatever_nobody_signed() {
    let mut served = Served::start(|_| ());
    let hook = served.once("slack", &json!({}));
    let sent = served.fresh();
    let first = served.slack(&hook, sent);
    assert!(!is_again(&first));
    let repeats = [sent, Sent { other: "b", ..sent }, Sent { secret: NEXT, ..sent }];
    for repeat in repeats {
        let again = served.slack(&hook, repeat);
        assert!(is_again(&again) && again.receipt() == first.receipt());
    }
    // Another time is another signature: its sender meant it, or signed it again.
    let later = Sent { time: sent.time + 1, ..sent };
    assert!(!is_again(&served.slack(&hook, later)));
    // What failed may be tried again once the template is mended.
    let wrong = Sent { body: r#"{"wrong": true}"#, ..sent };
    let failed = [(), ()].map(|()| served.slack(&hook, wrong));
    assert_eq!(failed.each_ref().map(|answer| answer.status), [400, 400]);
    assert_eq!(failed[0].receipt(), failed[1].receipt(), "and is kept once until then");

    served.stop();
    served.resume();
    for repeat in repeats {
        let again = served.slack(&hook, repeat);
        assert!(is_again(&again) && again.receipt() == first.receipt(), "after a restart");
    }
    assert!(is_again(&served.slack(&hook, later)));
    assert_eq!(served.events(6).len(), 6, "two for each that was taken or failed");
    let told = served.answered(&["webhook", "show", hook["id"].as_str().expect("an id")]);
    assert!(told.contains("what was signed once is taken once"), "{told}");
}

#[test]
fn it_is_known_for_as_long_as_its_time_counts() {
    let served = Served::start(|_| ());
    let hook = served.once("slack", &json!({}));
    // The sender's clock is ahead by all that is allowed: it counts twice as long.
    let sent = Sent { time: served.seconds() + WINDOW, ..served.fresh() };
    let first = served.slack(&hook, sent);
    assert!(!is_again(&first));
    served.clock.advance_seconds(2 * WINDOW);
    let again = served.slack(&hook, sent);
    assert!(is_again(&again) && again.receipt() == first.receipt());
    served.clock.advance_seconds(1);
    assert_eq!(served.slack(&hook, sent).status, 401, "its time is over before it is forgotten");
}

#[test]
fn where_no_time_is_signed_it_is_known_for_a_day() {
    let served = Served::start(|_| ());
    let hook = served.once("github", &json!({}));
    let first = served.github(&hook);
    assert!(!is_again(&first));
    served.clock.advance_seconds(86_400);
    let again = served.github(&hook);
    assert!(is_again(&again) && again.receipt() == first.receipt());
    served.clock.advance_seconds(1);
    assert!(!is_again(&served.github(&hook)));
    assert_eq!(served.events(4).len(), 4);
    // Another webhook with the same secret knows nothing of it.
    assert!(!is_again(&served.github(&served.once("github", &json!({})))));
}

#[test]
fn a_clock_that_is_set_back_makes_nothing_new_again() {
    const HOUR: i64 = 3600;
    let mut served = Served::start(|_| ());
    let hook = served.once("slack", &json!({}));
    let sent = served.fresh();
    let first = served.slack(&hook, sent);
    assert!(!is_again(&first));
    let mut count = 1;
    let check = |served: &Served, what: &str| {
        let again = served.slack(&hook, sent);
        assert!(is_again(&again) && again.receipt() == first.receipt(), "{what}");
    };
    for ahead in [HOUR, 24 * HOUR, 30 * 24 * HOUR] {
        served.clock.advance_seconds(ahead);
        assert_eq!(served.slack(&hook, sent).status, 401, "its time is over");
        // What comes meanwhile takes no room of what came before.
        let other = served.fresh();
        assert!(!is_again(&served.slack(&hook, other)));
        count += 1;
        served.clock.advance_seconds(-ahead);
        check(&served, &format!("set back by {ahead} s"));
        served.stop();
        served.resume();
        check(&served, &format!("set back by {ahead} s, after a restart"));
    }
    // Set back before it came, too, as far as its signature counts; and while it is stopped.
    served.clock.advance_seconds(-WINDOW);
    check(&served, "set back before it came");
    served.clock.advance_seconds(HOUR);
    served.stop();
    served.clock.advance_seconds(-HOUR);
    served.resume();
    check(&served, "set back while it was stopped");
    assert_eq!(served.events(2 * count).len(), 2 * count, "two for each that was taken");
}

#[test]
fn many_at_once_are_one() {
    const SENDERS: usize = 8;
    let served = Served::start(|_| ());
    let hook = served.once("slack", &json!({}));
    for round in 0..10 {
        let sent = Sent { time: served.seconds() - round, ..served.fresh() };
        let ready = Barrier::new(SENDERS);
        let answers = std::thread::scope(|scope| {
            let one = || {
                ready.wait();
                served.slack(&hook, sent)
            };
            let senders: Vec<_> = (0..SENDERS).map(|_| scope.spawn(one)).collect();
            senders.into_iter().map(|one| one.join().expect("an answer")).collect::<Vec<_>>()
        });
        assert_eq!(answers.iter().filter(|answer| !is_again(answer)).count(), 1);
        let receipts: BTreeSet<_> = answers.iter().map(Answer::receipt).collect();
        assert_eq!(receipts.len(), 1, "{receipts:?}");
    }
    assert_eq!(served.events(20).len(), 20, "two for each round");
}

#[test]
fn beside_a_key_of_its_own_either_is_enough() {
    let mut served = Served::start(|_| ());
    let hook = served.once("slack", &json!({"dedup_key": "X-Delivery"}));
    let sent = served.fresh();
    let first = served.slack(&hook, sent);
    assert!(!is_again(&first));
    let repeats = [Sent { other: "b", ..sent }, Sent { time: sent.time + 1, ..sent }];
    let check = |served: &Served| {
        for repeat in repeats {
            let again = served.slack(&hook, repeat);
            assert!(is_again(&again) && again.receipt() == first.receipt());
        }
    };
    check(&served);
    served.stop();
    served.resume();
    check(&served);
    let neither = Sent { time: sent.time + 1, other: "b", ..sent };
    assert!(!is_again(&served.slack(&hook, neither)));
}

/// What Adyen sends: each item is signed by eight of its fields.
fn adyen(items: &[(&str, &str)]) -> String {
    let items: Vec<Value> = items
        .iter()
        .map(|(reference, reason)| {
            let message = format!("{reference}::Shop:order-1:1130:EUR:AUTHORISATION:true");
            let tag = sign(&Key::new(HMAC_SHA256, &[0xAB; 32]), message.as_bytes());
            json!({"NotificationRequestItem": {"pspReference": reference,
                "merchantAccountCode": "Shop", "merchantReference": "order-1", "reason": reason,
                "amount": {"value": 1130, "currency": "EUR"}, "eventCode": "AUTHORISATION",
                "success": "true", "additionalData": {"hmacSignature": STANDARD.encode(tag)}}})
        })
        .collect();
    json!({"live": "false", "notificationItems": items}).to_string()
}

#[test]
fn an_item_that_is_signed_by_itself_is_taken_once_and_never_in_company() {
    let mut served = Served::start(|_| ());
    let secret = "AB".repeat(32);
    let made = |once: bool| json!({"verification": {"provider": "adyen", "secrets": [secret], "once": once}});
    let hook = served.once("adyen", &made(true));
    let post = |served: &Served, hook: &Value, items: &[(&str, &str)]| {
        let path = format!("/hooks/{}", hook["slug"].as_str().expect("a slug"));
        let headers = [("content-type", "application/json")];
        served.send("POST", &path, &headers, adyen(items).as_bytes())
    };
    let first = post(&served, &hook, &[("psp-1", "")]);
    assert!(!is_again(&first));
    // Of an item, what nobody signed may be changed by anybody.
    let again = post(&served, &hook, &[("psp-1", "changed")]);
    assert!(is_again(&again) && again.receipt() == first.receipt());
    assert!(!is_again(&post(&served, &hook, &[("psp-2", "")])));
    for items in [[("psp-1", ""), ("psp-2", "")], [("psp-1", ""), ("psp-1", "")]] {
        let both = post(&served, &hook, &items);
        assert_eq!((both.status, both.text().contains("items_several")), (401, true));
    }
    served.stop();
    served.resume();
    assert!(is_again(&post(&served, &hook, &[("psp-2", "changed")])), "after a restart");
    assert_eq!(served.events(4).len(), 4);
    // Where nothing is taken once, they may come together.
    let other = served.once("adyen", &made(false));
    for _ in 0..2 {
        assert!(!is_again(&post(&served, &other, &[("psp-1", ""), ("psp-2", "")])));
    }
}

#[test]
fn whoever_repeats_what_another_signed_uses_up_nobodys_quota() {
    let served = Served::start(|config| {
        config.limits.webhook_rate = Some("1/h".parse().expect("a rate"));
        config.limits.webhook_burst = Some(2);
    });
    let hook = served.once("slack", &json!({}));
    let sent = served.fresh();
    assert!(!is_again(&served.slack(&hook, sent)));
    for _ in 0..5 {
        assert!(is_again(&served.slack(&hook, sent)));
    }
    assert!(!is_again(&served.slack(&hook, Sent { time: sent.time + 1, ..sent })));
    assert_eq!(served.slack(&hook, Sent { time: sent.time + 2, ..sent }).status, 429);
    assert!(is_again(&served.slack(&hook, sent)));
}

#[test]
fn it_is_asked_for_and_only_where_requests_are_signed() {
    let served = Served::start(|_| ());
    let save = |hook: &Value, verification: &Value| {
        let mut body = json!({"name": "w", "template": TEMPLATE});
        if !verification.is_null() {
            body["verification"] = verification.clone();
        }
        served.call("PUT", &format!("/webhooks/{}", hook["id"].as_str().expect("an id")), &body)
    };
    let hook = served.webhook(TEMPLATE);
    for (provider, once) in [
        ("gitlab", json!(true)),
        ("bearer", json!(true)),
        ("monday", json!(true)),
        ("slack", json!("yes")),
    ] {
        let said = json!({"provider": provider, "secrets": [SECRET], "once": once});
        let refused = save(&hook, &said);
        let place = &refused.json()["detail"][0]["loc"];
        assert_eq!(
            (refused.status, place),
            (422, &json!(["body", "verification", "once"])),
            "{provider}"
        );
    }
    // GitLab signs with a secret of another form.
    let signing =
        json!({"provider": "gitlab", "secrets": ["whsec_AAAAAAAAAAAAAAAAAAAAAAAA"], "once": true});
    assert_eq!(save(&hook, &signing).status, 204);

    let off = json!({"provider": "slack", "secrets": [SECRET]});
    assert_eq!(save(&hook, &off).status, 204);
    let sent = served.fresh();
    assert!(!is_again(&served.slack(&hook, sent)) && !is_again(&served.slack(&hook, sent)));
    let id = hook["id"].as_str().expect("an id");
    served.answered(&["webhook", "update", id, "--once"]);
    // Who knows nothing of it leaves it alone.
    assert_eq!(save(&hook, &Value::Null).status, 204);
    let shown = served.call("GET", &format!("/webhooks/{id}"), &Value::Null).json();
    assert_eq!(shown["verification"]["once"], true);
    assert!(!is_again(&served.slack(&hook, sent)) && is_again(&served.slack(&hook, sent)));
    served.answered(&["webhook", "update", id, "--no-once"]);
    assert!(!is_again(&served.slack(&hook, sent)));
}
