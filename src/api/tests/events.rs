//! Events over HTTP: who may publish, what is refused whole, what becomes of it in the spool.

use std::num::NonZeroU32;
use std::time::Duration;

use super::*;
use crate::limit::{Limits, Rate, Rates};
use crate::spool::OnFull;

fn event(number: u32) -> Value {
    json!({
        "occurred": "2026-11-23T22:52:30.837791Z",
        "event": format!("shop.paid.{number}"),
        "resource": {"prefect.resource.id": format!("shop.order.{number}")},
        "id": format!("00000000-0000-4000-8000-{number:012}"),
        "payload": {"number": number},
    })
}

impl House {
    fn publish(&self, base: &str, body: &Value) -> Answer {
        self.call("POST", &format!("{base}/events"), &body.to_string())
    }

    /// What the spool holds: account, workspace, and the numbers of events.
    fn spooled(&self) -> Vec<(Uuid, Option<Uuid>, Vec<u64>)> {
        let durable = self.api.events.spool.status().durable;
        let mut reader = self.api.events.spool.reader("t", OnFull::Hold).expect("a reader");
        let mut kept = Vec::new();
        // One look gives what lies together: in memory, or in one file.
        while kept.last().map_or(0, |last: &spool::Kept| last.sequence) < durable {
            kept.extend(wait(reader.next(1000, 16 << 20)).expect("frames"));
        }
        let number = |event: &crate::event::Event| {
            let event: Value = serde_json::from_slice(&event.json).expect("JSON");
            event["payload"]["number"].as_u64().unwrap_or_default()
        };
        let row = |kept: &spool::Kept| {
            (kept.account, kept.workspace, kept.events.iter().map(number).collect())
        };
        kept.iter().map(row).collect()
    }
}

#[test]
fn each_base_keeps_events_under_its_own_account_and_workspace() {
    let house = House::new();
    let (account, workspace) = (house.first.account_id, Some(house.first.workspace_id));
    let base = house.first.api_path.clone();
    for (number, base) in [(1, &*base), (2, &*house.account), (3, "/api")] {
        let answer = house.publish(base, &json!([event(number)]));
        assert_eq!((answer.status, answer.body), (204, Value::Null), "{base}");
    }
    assert_eq!(house.call("POST", &format!("{base}/events/"), "[]").status, 204);
    let known = house.publish(&base, &json!([event(1), event(4), event(4)]));
    assert_eq!(known.status, 204);
    assert_eq!(
        house.spooled(),
        [
            (account, workspace, vec![1]),
            (account, None, vec![2]),
            (account, workspace, vec![3]),
            (account, workspace, vec![4]),
        ]
    );
}

#[test]
fn a_batch_with_a_fault_is_refused_whole_and_says_where() {
    let house = House::new();
    let base = house.first.api_path.clone();
    let mut bad = event(2);
    bad["resource"]["tilde~/slash"] = json!(7);
    bad.as_object_mut().expect("an object").remove("id");
    let answer = house.publish(&base, &json!([event(1), bad, []]));
    assert_eq!(answer.status, 422);
    let detail = answer.body["detail"].as_array().expect("faults");
    let told: Vec<(&Value, &Value)> =
        detail.iter().map(|fault| (&fault["loc"], &fault["type"])).collect();
    assert_eq!(
        told,
        [
            (&json!(["body", "1", "resource", "tilde~/slash"]), &json!("value_error")),
            (&json!(["body", "1", "id"]), &json!("missing")),
            (&json!(["body", "2"]), &json!("value_error")),
        ]
    );
    for (body, rule) in [
        (event(1).to_string(), "list_type"),
        (String::new(), "json_invalid"),
        ("[".to_owned(), "json_invalid"),
        ("[".repeat(500), "json_invalid"),
        ("null".to_owned(), "list_type"),
    ] {
        let answer = house.call("POST", &format!("{base}/events"), &body);
        let told = &answer.body["detail"][0];
        assert_eq!(
            (answer.status, &told["type"], &told["loc"][0]),
            (422, &json!(rule), &json!("body"))
        );
    }
    let mut forged = event(3);
    forged["event"] = json!("prefect-cloud.user.logged-in");
    assert_eq!(house.publish(&base, &json!([forged])).status, 422);
    let many: Vec<Value> = (0..500).map(|_| json!({})).collect();
    let answer = house.publish(&base, &json!(many));
    assert_eq!(answer.body["detail"].as_array().map(Vec::len), Some(100));
    assert_eq!(house.spooled(), []);
}

#[test]
fn a_large_batch_becomes_few_frames_in_order() {
    let house = House::new();
    let many: Vec<Value> = (0..1200).map(event).collect();
    assert_eq!(house.publish(&house.first.api_path, &json!(many)).status, 204);
    let spooled = house.spooled();
    assert_eq!(spooled.iter().map(|row| row.2.len()).collect::<Vec<_>>(), [500, 500, 200]);
    let numbers: Vec<u64> = spooled.into_iter().flat_map(|row| row.2).collect();
    assert_eq!(numbers, (0..1200).collect::<Vec<_>>());
}

#[test]
fn only_who_may_and_only_within_the_budget() {
    let mut house = House::new();
    let base = house.first.api_path.clone();
    let other = "99999999-9999-4999-8999-999999999999";
    for (path, status) in [
        (format!("/api/accounts/{other}/events"), 404),
        (format!("{}/workspaces/{other}/events", house.account), 404),
        ("/api/accounts/a/workspaces/w/events".to_owned(), 422),
        (format!("{base}/events/unknown"), 404),
        (format!("{base}/events//"), 404),
    ] {
        assert_eq!(house.call("POST", &path, "[]").status, status, "{path}");
    }
    let answer = house.call("DELETE", &format!("{base}/events"), "");
    assert_eq!((answer.status, &answer.headers["allow"]), (405, &HeaderValue::from_static("POST")));
    for path in [format!("{base}/events"), "/api/events".to_owned()] {
        assert_eq!(house.call_as(None, "POST", &path, "[]").status, 401);
    }
    let basic = format!("Basic {}", base64(&format!("anybody:{}", house.key)));
    assert_eq!(house.call_as(Some(&basic), "POST", "/api/events", "[]").status, 204);
    alone(&mut house).options.events.open_server_mode = true;
    assert_eq!(house.call_as(None, "POST", "/api/events", "[]").status, 204);
    assert_eq!(house.call_as(None, "POST", &format!("{base}/events"), "[]").status, 401);
    alone(&mut house).options.events.open_server_mode = false;

    let rate = Rate::new(2, Duration::from_mins(1), NonZeroU32::new(2));
    let limits = Limits::new(Rates { event: rate, ..Rates::default() });
    alone(&mut house).options.limits = Arc::new(limits);
    assert_eq!(house.publish(&base, &json!([event(1), event(2)])).status, 204);
    let answer = house.publish(&base, &json!([event(3)]));
    assert_eq!(
        (answer.status, &answer.headers["retry-after"]),
        (429, &HeaderValue::from_static("30"))
    );
    assert_eq!(house.spooled().len(), 1);
}

fn alone(house: &mut House) -> &mut Api {
    Arc::get_mut(&mut house.api).expect("nobody else has it")
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[test]
fn what_says_something_else_under_a_known_id_is_counted_and_changes_nothing() {
    let house = House::new();
    let base = house.first.api_path.clone();
    let mut other = event(1);
    other["payload"]["number"] = 7.into();
    for body in [json!([event(1)]), json!([event(1)]), json!([other, event(2)])] {
        assert_eq!(house.publish(&base, &body).status, 204);
    }
    let numbers: Vec<_> = house.spooled().into_iter().flat_map(|(.., numbers)| numbers).collect();
    assert_eq!(numbers, [1, 2], "the first stays");
    let line = "hookgate_events_published_total{transport=\"http\",outcome=\"differing\"} 1";
    let began = std::time::Instant::now();
    while !house.telemetry.print().contains(line) {
        assert!(began.elapsed() < Duration::from_secs(20), "{}", house.telemetry.print());
        std::thread::yield_now();
    }
}
