//! One delivery that failed first: sent again, and replayed, in whatever order, over restarts, with a key of its
//! webhook's rule or by what was signed. It comes to one event.

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use serde_json::{Value, json};

use super::{Answer, Served, arrived, wait};

const BROKEN: &str = r#"{"event": "shop.paid", "resource": {"id": "{{ body.number }}"}}"#;
const MENDED: &str =
    r#"{"event": "shop.paid", "resource": {"prefect.resource.id": "order.{{ body.number }}"}}"#;
const SECRET: &str = "whsec_that_nobody_sees";
const REPLAY: [&str; 3] = ["replay", "--status", "failed"];

/// A webhook that knows requests again, and how it is sent to.
struct Sender<'a> {
    served: &'a Served,
    hook: Value,
    is_signed: bool,
}

impl<'a> Sender<'a> {
    fn new(served: &'a Served, is_signed: bool) -> Self {
        let more = if is_signed {
            json!({"verification": {"provider": "stripe", "secrets": [SECRET], "once": true}})
        } else {
            json!({"dedup_key": "X-Delivery"})
        };
        let mut body = json!({"name": format!("signed {is_signed}"), "template": BROKEN});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("one").clone());
        let made = served.call("POST", "/webhooks/", &body);
        assert_eq!(made.status, 201, "{}", made.text());
        Self { served, hook: made.json(), is_signed }
    }

    fn save(&self, template: &str) {
        let path = format!("/webhooks/{}", self.hook["id"].as_str().expect("an id"));
        let mut body = json!({"name": self.hook["name"], "template": template});
        if !self.is_signed {
            body["dedup_key"] = "X-Delivery".into();
        }
        assert_eq!(self.served.call("PUT", &path, &body).status, 204);
    }

    fn post(&self, served: &Served, number: u32) -> Answer {
        let body = json!({ "number": number }).to_string();
        let time = served.clock.now().micros() / 1_000_000;
        let message = format!("{time}.{body}");
        let tag = sign(&Key::new(HMAC_SHA256, SECRET.as_bytes()), message.as_bytes());
        let digit = |value: u8| char::from_digit(u32::from(value), 16).expect("a digit");
        let hex: String =
            tag.as_ref().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect();
        let (signature, delivery) = (format!("t={time},v1={hex}"), format!("D-{number}"));
        let headers = [
            ("content-type", "application/json"),
            ("x-delivery", &*delivery),
            ("stripe-signature", &signature),
        ];
        let slug = self.hook["slug"].as_str().expect("a slug");
        served.send("POST", &format!("/hooks/{slug}"), &headers, body.as_bytes())
    }
}

/// What arrived for an order.
fn of_order(served: &Served, number: u32) -> usize {
    let id = format!("order.{number}");
    let all = arrived(&served.destination());
    all.iter().filter(|event| event["resource"]["prefect.resource.id"] == id).count()
}

/// Whether it says that it is a repeat.
fn is_again(answer: &Answer) -> bool {
    answer.header("hookgate-duplicate") == Some("true")
}

#[test]
fn a_delivery_that_failed_and_is_sent_again_and_replayed_comes_to_one_event() {
    for is_signed in [false, true] {
        let served = Served::start(|_| ());
        let sender = Sender::new(&served, is_signed);
        let failed = [(), (), ()].map(|()| sender.post(&served, 1));
        assert_eq!(failed.each_ref().map(|answer| answer.status), [400; 3]);
        assert_eq!(failed.each_ref().map(is_again), [false, true, true]);
        assert!(failed.iter().all(|answer| answer.receipt() == failed[0].receipt()));
        served.kept(1);
        let other = sender.post(&served, 2);
        assert_eq!((other.status, is_again(&other)), (400, false));
        sender.save(MENDED);
        let mended = [(), ()].map(|()| sender.post(&served, 1));
        assert_eq!(mended.each_ref().map(|answer| answer.status), [204; 2]);
        assert_eq!(mended.each_ref().map(is_again), [false, true]);
        assert_eq!(mended[0].receipt(), mended[1].receipt());
        assert_ne!(mended[0].receipt(), failed[0].receipt(), "it was kept by itself");
        served.kept(3);
        let said = served.answered(&REPLAY);
        assert_eq!(said, "2 requests, 1 events kept, 1 had their event\n");
        // What would be is told as what is; and whose event a replay made.
        wait("the index", || {
            let said = served.answered(&["request", "ls", "--outcome", "failed"]);
            (said.matches("failed, replayed").count() == 1).then_some(())
        });
        let said = served.answered(&[&REPLAY[..], &["--dry-run"]].concat());
        assert_eq!(said, "0 would be replayed, 2 had their event\n");
        assert_eq!(sender.post(&served, 3).status, 204);
        wait("the last", || (of_order(&served, 3) == 1).then_some(()));
        assert_eq!((of_order(&served, 1), of_order(&served, 2)), (1, 1));
        let path = format!("/webhooks/{}", sender.hook["id"].as_str().expect("an id"));
        assert_eq!(served.call("DELETE", &path, &Value::Null).status, 204);
        let (code, said) = served.refused(&REPLAY, &served.key);
        assert!(code == 8 && said.contains("2 are of a webhook that is gone"), "{said}");
    }
}

#[test]
fn a_delivery_that_was_replayed_first_is_a_repeat_once_it_is_sent_again() {
    for is_signed in [false, true] {
        let mut served = Served::start(|_| ());
        let sender = Sender::new(&served, is_signed);
        let failed = sender.post(&served, 1);
        assert_eq!(failed.status, 400);
        sender.save(MENDED);
        served.kept(1);
        assert_eq!(served.answered(&REPLAY), "1 requests, 1 events kept\n");
        let Sender { hook, .. } = sender;
        for _ in 0..2 {
            let sender = Sender { served: &served, hook: hook.clone(), is_signed };
            let again = sender.post(&served, 1);
            assert_eq!((again.status, is_again(&again)), (204, true));
            assert_eq!(again.receipt(), failed.receipt(), "the one that it repeats");
            assert_eq!(served.answered(&REPLAY), "1 requests, 0 events kept, 1 had their event\n");
            // Broken once more, it is a repeat still: its event is there.
            sender.save(BROKEN);
            assert_eq!(sender.post(&served, 1).status, 204);
            sender.save(MENDED);
            served.stop();
            served.resume();
        }
        let sender = Sender { served: &served, hook, is_signed };
        assert_eq!(sender.post(&served, 3).status, 204);
        wait("the last", || (of_order(&served, 3) == 1).then_some(()));
        assert_eq!(of_order(&served, 1), 1);
    }
}

#[test]
fn a_key_that_is_used_again_once_its_window_is_over_hides_no_earlier_failure() {
    let mut served = Served::start(|_| ());
    let body = |template: &str| {
        let mut body = json!({"name": "short", "template": template, "dedup_key": "X-Delivery"});
        body["dedup_window_seconds"] = 60.into();
        body
    };
    let hook = served.call("POST", "/webhooks/", &body(BROKEN)).json();
    let (path, slug) =
        (format!("/webhooks/{}", hook["id"].as_str().expect("an id")), &hook["slug"]);
    let slug = format!("/hooks/{}", slug.as_str().expect("a slug"));
    let headers = [("content-type", "application/json"), ("x-delivery", "D-1")];
    let post = |served: &Served, number: u32| {
        served.send("POST", &slug, &headers, json!({ "number": number }).to_string().as_bytes())
    };
    assert_eq!(post(&served, 1).status, 400);
    served.clock.advance_seconds(100);
    assert_eq!(post(&served, 2).status, 400);
    served.clock.advance_seconds(100);
    assert_eq!(served.call("PUT", &path, &body(MENDED)).status, 204);
    assert_eq!(post(&served, 4).status, 204);
    served.stop();
    served.resume();
    served.kept(3);
    assert_eq!(served.answered(&REPLAY), "2 requests, 2 events kept\n");
}
