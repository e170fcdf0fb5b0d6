//! What was never sent, from outside: let go of, before its destination was made, or while that was off. It is never
//! told as if it had arrived; and who owns a destination that fails sees so.

use std::sync::Arc;

use serde_json::{Value, json};

use super::destinations::serve;
use super::{Served, arrived, wait};

const TEMPLATE: &str = r#"{"event": "shop.paid", "payload": {{ body|tojson }},
    "resource": {"prefect.resource.id": "order.{{ body.order }}"}}"#;

/// Where nobody listens.
fn nowhere() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("http://{}/in", listener.local_addr().expect("an address"))
}

impl Served {
    /// A gateway of this machine's destinations alone, a webhook there, and a destination that answers nothing.
    fn with_dead_shop(more: &[&str]) -> (Self, Value) {
        let served = Self::start(|config| config.egress.allow = vec!["127.0.0.0/8".into()]);
        let webhook = served.webhook(TEMPLATE);
        let quick = ["--event", "shop.*", "--retry-first-ms", "20", "--retry-most-ms", "100"];
        let to = nowhere();
        served.answered(&[&["destination", "create", "shop", &to], &quick[..], more].concat());
        (served, webhook)
    }

    fn shop(&self) -> Value {
        let shown = self.answered(&["destination", "show", "shop", "-o", "json"]);
        serde_json::from_str(&shown).expect("JSON")
    }

    fn orders<const N: usize>(&self, webhook: &Value, orders: [u32; N]) -> [String; N] {
        orders.map(|order| {
            self.post(webhook, &json!({ "order": order }).to_string()).receipt().to_owned()
        })
    }
}

#[test]
fn what_waits_for_a_destination_that_is_disabled_is_told_as_dropped() {
    let few = ["--on-full", "hold", "--where", "event.payload.order < 3"];
    let (served, webhook) = Served::with_dead_shop(&few);
    let ids = served.orders(&webhook, [1, 2]);
    for id in &ids {
        served.explained_until(id, "waiting");
    }
    // These are for others, or for nobody.
    served.orders(&webhook, [3, 4, 5]);
    (0..5).for_each(|_| drop(served.webhook(TEMPLATE)));
    let (code, said) = served.refused(&["destination", "update", "shop", "--disable"], &served.key);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("are let go of") && said.contains("destination pause"), "{said}");
    let dropped = |served: &Served| {
        for id in &ids {
            let (_, one) = served.explained_until(id, "dropped");
            let reason = one["reason"].as_str().expect("why");
            assert!(reason.contains("when the destination was disabled"), "{one}");
        }
    };
    dropped(&served);
    assert_eq!(served.shop()["status"]["frames_dropped"], 2, "off, and told: {}", served.shop());
    served.answered(&["destination", "update", "shop", "--enable"]);
    dropped(&served);
    assert_eq!(served.shop()["status"]["frames_dropped"], 2, "{}", served.shop());
    assert!(served.answered(&["destination", "show", "shop"]).contains("requests, never sent"));
    let event = wait("an event that tells of it", || {
        let all = arrived(&served.destination());
        all.into_iter().find(|event| event["event"] == "hookgate.destination.dropped")
    });
    assert_eq!(event["payload"]["frames"], 2, "{event}");
    assert_eq!(event["payload"]["destination"], "shop");
}

#[test]
fn what_came_before_a_destination_or_while_it_was_off_is_not_told_as_if_it_had_passed() {
    let served = Served::start(|config| config.egress.allow = vec!["127.0.0.0/8".into()]);
    let (address, _) = serve(&served, &Arc::default());
    let webhook = served.webhook(TEMPLATE);
    let [before] = served.orders(&webhook, [1]);
    served.kept(1);
    let later = || served.clock.advance_seconds(1);
    later();
    let to = format!("http://{address}/in");
    served.answered(&["destination", "create", "shop", &to, "--event", "shop.*"]);
    later();
    let [first] = served.orders(&webhook, [2]);
    served.explained_until(&first, "delivered");
    later();
    served.answered(&["destination", "update", "shop", "--disable"]);
    let [meanwhile] = served.orders(&webhook, [3]);
    served.explained_until(&meanwhile, "disabled");
    later();
    served.answered(&["destination", "update", "shop", "--enable"]);
    let why = |id: &str| {
        let (_, one) = served.explained_until(id, "unknown");
        one["reason"].as_str().expect("why").to_owned()
    };
    assert!(why(&before).contains("came before the destination was made"));
    assert!(why(&meanwhile).contains("may have been disabled then"));
    later();
    let [last] = served.orders(&webhook, [4]);
    served.explained_until(&last, "delivered");
    served.explained_until(&first, "delivered");
}

#[test]
fn each_parked_event_is_told_with_its_own_attempts() {
    let (served, webhook) = Served::with_dead_shop(&["--retry-seconds", "3"]);
    let ids = served.orders(&webhook, [1, 2, 3, 1]);
    let tried = |told: &Value| told["tried"].as_array().map_or(0, Vec::len) as u64;
    // One after the other is tried, and not taken.
    wait("many attempts", || {
        let (_, first) = served.explained_until(&ids[0], "waiting");
        (tried(&first) > 10).then_some(())
    });
    served.clock.advance_seconds(10);
    let parked = ids.each_ref().map(|id| served.explained_until(id, "parked").1);
    for one in &parked {
        assert_eq!(one["attempts"].as_u64(), Some(tried(one)), "{one}");
    }
    assert_eq!(
        (&parked[0]["standing"], &parked[3]["standing"]),
        (&json!("refused"), &json!("behind"))
    );
}

#[test]
fn a_destination_that_fails_says_so_to_its_owner_with_what_lies_parked() {
    let (served, webhook) = Served::with_dead_shop(&["--retry-seconds", "3"]);
    assert!(served.shop()["status"]["fault"].is_null(), "{}", served.shop());
    served.orders(&webhook, [1, 1]);
    let fault = wait("a fault", || served.shop()["status"]["fault"].as_str().map(str::to_owned));
    let shown = served.answered(&["destination", "show", "shop"]);
    assert!(shown.contains(&format!("failing: {fault}")), "{shown}");
    assert!(served.answered(&["destination", "ls"]).contains("failing"));
    assert_eq!(served.shop()["status"]["parked"], 0);
    served.clock.advance_seconds(10);
    wait("both parked", || (served.shop()["status"]["parked"] == 2).then_some(()));
    wait("what is behind and parked in the list", || {
        let listed = served.answered(&["destination", "ls"]);
        let words: Vec<_> = listed.split_whitespace().collect();
        words.windows(2).any(|pair| pair == ["0", "2"]).then_some(())
    });

    let (address, _) = serve(&served, &Arc::default());
    let to = format!("http://{address}/in");
    served.answered(&["destination", "update", "shop", "--to", &to]);
    let [id] = served.orders(&webhook, [2]);
    served.explained_until(&id, "delivered");
    wait("no fault", || served.shop()["status"]["fault"].is_null().then_some(()));
}

#[test]
fn deliveries_are_told_when_the_request_is_kept_no_longer() {
    let served = Served::start(|config| {
        config.egress.allow = vec!["127.0.0.0/8".into()];
        config.spool.segment_bytes = 1 << 20;
        config.spool.retention_seconds = 60;
    });
    let (address, _) = serve(&served, &Arc::default());
    let webhook = served.webhook(TEMPLATE);
    let to = format!("http://{address}/in");
    served.answered(&["destination", "create", "shop", &to, "--event", "shop.*"]);
    let [id] = served.orders(&webhook, [1]);
    let (before, delivery) = served.explained_until(&id, "delivered");
    served.clock.advance_seconds(1);
    let large = json!({ "order": 2, "text": "x".repeat(400_000) }).to_string();
    for _ in 0..4 {
        assert_eq!(served.post(&webhook, &large).status, 204);
    }
    served.clock.advance_seconds(3600);
    served.orders(&webhook, [3]);
    let path = format!("/requests/{id}");
    wait("it to go", || (served.call("GET", &path, &Value::Null).status != 200).then_some(()));
    for id in [id.as_str(), delivery["event_id"].as_str().expect("an id")] {
        let (told, one) = served.explained_until(id, "delivered");
        assert_eq!(told["events"], before["events"], "{id}");
        assert_eq!((&one["event_id"], &one["tried"]), (&delivery["event_id"], &delivery["tried"]));
    }
}
