//! Events over websockets: durable before a ping is answered, both dialects, what is refused and how it ends.

use std::fs;

use serde_json::{Value, json};

use super::{Served, arrived};

pub(super) fn event(number: u64) -> Value {
    json!({
        "occurred": "2026-11-23T22:52:30.837791Z",
        "event": format!("shop.paid.{number}"),
        "resource": {"prefect.resource.id": format!("shop.order.{number}")},
        "related": [],
        "payload": {"number": number},
        "id": format!("00000000-0000-4000-8000-{number:012}"),
        "follows": null,
    })
}

/// Numbers of the published events at the destination, once there are `count`.
fn numbers(served: &Served, count: usize) -> Vec<u64> {
    let number = |event: &Value| event["payload"]["number"].as_u64();
    served.events(count).iter().filter_map(number).collect()
}

/// What the journal's files hold right now.
fn journal(served: &Served) -> Vec<u8> {
    let folder = served.config.server.data.join("spool");
    let files = fs::read_dir(folder).expect("a folder").flatten();
    files.flat_map(|file| fs::read(file.path()).unwrap_or_default()).collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    memchr::memmem::find(bytes, text.as_bytes()).is_some()
}

#[test]
fn a_ping_is_answered_once_everything_before_it_is_durable() {
    let served = Served::start(|_| ());
    let mut client = served.publisher();
    assert!(!client.head.to_lowercase().contains("sec-websocket-protocol"));
    for round in 0..5 {
        for number in 0..40 {
            client.say(&event(round * 40 + number));
        }
        client.ping();
        let bytes = journal(&served);
        for number in 0..40 {
            assert!(holds(&bytes, &format!("shop.order.{}\"", round * 40 + number)));
        }
    }
    // Unconfirmed ones come again after a lost connection.
    drop(client);
    let mut client = served.publisher();
    client.say(&event(199));
    client.say(&event(200));
    client.leave();
    assert_eq!(numbers(&served, 201), (0..=200).collect::<Vec<_>>());
}

#[test]
fn a_close_waits_for_what_came_before_it() {
    let served = Served::start(|_| ());
    for number in 0..20 {
        let mut client = served.publisher();
        client.say(&event(number));
        client.leave();
        assert!(holds(&journal(&served), &format!("shop.order.{number}\"")));
    }
}

#[test]
fn what_is_no_event_is_left_out_and_costs_nobody_the_connection() {
    let served = Served::start(|_| ());
    let mut client = served.publisher();
    client.say(&event(1));
    let mut forged = event(2);
    forged["event"] = json!("prefect-cloud.user.logged-in");
    let large = json!({"occurred": 1, "payload": "x".repeat(1_600_000)});
    for bad in [json!([]), json!("x"), json!([event(3)]), json!({}), forged, large] {
        client.say(&bad);
    }
    client.text("{");
    client.ping();
    client.say(&event(4));
    client.ping();
    assert_eq!(numbers(&served, 2), [1, 4]);
    let metrics = served.ask("/metrics").text();
    let line = "hookgate_events_published_total{transport=\"websocket\",outcome=\"invalid\"} 7";
    assert!(metrics.contains(line), "{metrics}");
    client.binary(b"{}");
    assert_eq!(client.end().0, 1003);
}

#[test]
fn the_servers_dialect_says_in_its_first_frame_who_it_is() {
    let mut served = Served::start(|_| ());
    let prefect = [("sec-websocket-protocol", "prefect")];
    let auth = |served: &Served, token: Value| {
        let mut client = served.connect("/api/events/in", &prefect).expect("it switches");
        assert!(client.head.to_lowercase().contains("sec-websocket-protocol: prefect"));
        client.say(&json!({"type": "auth", "token": token}));
        client
    };
    for (number, token) in [served.key.clone(), format!("user:{}", served.key)].iter().enumerate() {
        let mut client = auth(&served, json!(token));
        assert_eq!(client.hear(), json!({"type": "auth_success"}));
        client.say(&event(number as u64));
        client.ping();
    }
    assert_eq!(numbers(&served, 2), [0, 1]);
    for token in [json!(null), json!(""), json!("pnu_wrong"), json!("user:pass")] {
        assert_eq!(auth(&served, token).end().0, 1008);
    }
    let mut client = served.connect("/api/events/in", &prefect).expect("it switches");
    client.say(&event(3));
    assert_eq!(client.end(), (1008, "Expected 'auth' message".to_owned()));
    served.stop();
    served.config.events.open_server_mode = true;
    served.resume();
    let mut client = auth(&served, json!(null));
    assert_eq!(client.hear(), json!({"type": "auth_success"}));
    client.say(&event(4));
    client.ping();
    assert_eq!(numbers(&served, 3), [0, 1, 4]);
    let page = [("sec-websocket-protocol", "prefect"), ("origin", "https://elsewhere.example")];
    let mut client = served.connect("/api/events/in", &page).expect("it switches");
    client.say(&json!({"type": "auth", "token": null}));
    assert_eq!(client.end().0, 1008, "a page of another site is not the operator");
}

#[test]
fn an_upgrade_is_refused_like_any_other_call() {
    let served = Served::start(|_| ());
    let path = format!("{}/events/in", served.api);
    let status = |path: &str, headers: &[(&str, &str)]| {
        served.connect(path, headers).err().expect("refused").status
    };
    let bearer = format!("Bearer {}", served.key);
    let known = [("authorization", &*bearer)];
    assert_eq!(status(&path, &[]), 401);
    assert_eq!(status(&path, &[("authorization", "bearer pnu_wrong")]), 401);
    let elsewhere = "/api/accounts/99999999-9999-4999-8999-999999999999/events/in";
    assert_eq!(status(elsewhere, &known), 404);
    assert_eq!(status("/api/accounts/x/events/in", &known), 422);
    assert_eq!(served.call("GET", "/events/in", &Value::Null).status, 426);
    assert_eq!(served.call("POST", "/events/in", &Value::Null).status, 405);
}

#[test]
fn a_restart_brings_publishers_back_and_loses_nothing_confirmed() {
    let mut served = Served::start(|_| ());
    let mut client = served.publisher();
    client.say(&event(1));
    client.ping();
    served.stop();
    assert_eq!(client.end().0, 1012);
    served.resume();
    let mut client = served.publisher();
    client.say(&event(2));
    client.ping();
    assert_eq!(numbers(&served, 2), [1, 2]);
    assert!(!arrived(&served.destination()).is_empty());
}

#[test]
fn who_is_not_known_yet_says_little() {
    let served = Served::start(|_| ());
    let prefect = [("sec-websocket-protocol", "prefect")];
    let connect = |way| {
        served.connect(&format!("{}/events/{way}", served.api), &prefect).expect("it switches")
    };
    for way in ["in", "out"] {
        let mut client = connect(way);
        client.text(&json!({"type": "auth", "token": "x".repeat(40_000)}).to_string());
        assert_eq!(client.end(), (1009, "The message is too large".to_owned()), "{way}");
    }
    let auth = json!({"type": "auth", "token": served.key});
    // Once they are known, only what each message is for bounds it.
    let mut client = connect("in");
    client.say(&auth);
    assert_eq!(client.hear()["type"], "auth_success");
    let mut large = event(1);
    large["payload"]["note"] = "x".repeat(100_000).into();
    client.say(&large);
    client.ping();
    let mut client = connect("out");
    client.say(&auth);
    assert_eq!(client.hear()["type"], "auth_success");
    client.text(&json!({"type": "filter", "note": "x".repeat(400_000)}).to_string());
    assert_eq!(client.end().0, 1009);
}
