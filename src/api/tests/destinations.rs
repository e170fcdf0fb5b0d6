//! Destinations: what is told of them, what never is, and the places they get.

use super::workspaces::text;
use super::*;
use crate::event;
use crate::shelf::{Aside, Key, Standing};
use crate::spool::track_of;

const SECRET: &str = "s3cret-of-shop";

fn shop() -> Value {
    json!({"name": "shop", "to": "https://shop.example/in", "bearer": SECRET, "rate": "100/s",
        "headers": {"X-Team": "shop"}, "filter": {"event": {"prefix": ["shop."]}}})
}

impl House {
    fn destinations(&self) -> String {
        format!("{}/destinations/", self.first.api_path)
    }

    fn has_place(&self, destination: &Value) -> bool {
        let id = catalogue::is_id(text(&destination["id"])).expect("an id");
        self.api.events.spool.lag(&track_of(id)).is_some()
    }
}

#[test]
fn a_destination_is_told_without_its_secret() {
    let house = House::new();
    let path = house.destinations();
    let answer = house.call("POST", &path, &shop().to_string());
    assert_eq!(answer.status, 201, "{answer:?}");
    let made = answer.body;
    let own = format!("{path}{}", text(&made["id"]));
    for (name, value) in [
        ("name", json!("shop")),
        ("enabled", json!(true)),
        ("hold", json!(false)),
        ("on_full", json!("drop-oldest")),
        ("burst", json!(null)),
        ("bearer_set", made["created"].clone()),
        ("workspace_id", json!(house.first.workspace_id.to_string())),
    ] {
        assert_eq!(made[name], value, "{name}");
    }
    assert!(made["status"]["frames_behind"].is_u64(), "{made}");
    assert!(house.has_place(&made));
    house.api.clock.advance_seconds(5);
    let change = json!({"bearer": "another", "rate": null, "hold": true});
    assert_eq!(house.call("PATCH", &own, &change.to_string()).status, 204);
    let read = house.call("GET", &own, "").body;
    assert_eq!((&read["rate"], &read["hold"]), (&json!(null), &json!(true)));
    assert_ne!(read["bearer_set"], made["bearer_set"]);
    assert_eq!(house.call("PATCH", &own, r#"{"bearer":null}"#).status, 204);
    let bare = house.call("GET", &own, "").body;
    assert_eq!(bare["bearer_set"], json!(null));
    let listed = house.call("POST", &format!("{path}filter"), "{}").body;
    assert_eq!(listed, json!([bare]));
    assert_eq!(house.call("DELETE", &own, "").status, 204);
    assert_eq!(house.call("GET", &own, "").status, 404);
    let events = house.events();
    let names: Vec<_> = events.iter().map(|event| text(&event["event"]).to_owned()).collect();
    let name = |action: &str| format!("hookgate.destination.{action}");
    assert_eq!(names, ["created", "updated", "updated", "deleted"].map(name));
    let resource = format!("hookgate.destination.{}", text(&made["id"]));
    assert_eq!(events[0]["resource"]["prefect.resource.id"], resource);
    assert_eq!(events[1]["payload"]["updated_fields"], json!(["rate", "bearer_set", "hold"]));
    let all = Value::from(vec![made, read, bare, listed, events.into()]).to_string();
    assert!(!all.contains(SECRET) && !all.contains("another"), "{all}");
}

#[test]
fn the_secret_is_kept_and_a_place_is_given_where_it_was_asked_for() {
    let house = House::new();
    let path = house.destinations();
    let made = house.call("POST", &path, &shop().to_string()).body;
    let id = catalogue::is_id(text(&made["id"])).expect("an id");
    let kept = wait(house.api.store.destinations()).expect("records");
    assert_eq!(kept[0].id, id);
    assert_eq!(kept[0].concealed("bearer").map(Secret::expose), Some(SECRET));
    assert!(!format!("{:?}", kept[0]).contains(SECRET));
    for start in ["oldest", "later", OTHER] {
        let mut body = shop();
        body["name"] = format!("shop since {start}").into();
        body["start"] = start.into();
        let answer = house.call("POST", &path, &body.to_string());
        let is_known = start == "oldest";
        assert_eq!(answer.status, if is_known { 201 } else { 422 }, "{answer:?}");
        if !is_known {
            assert_eq!(answer.body["detail"][0]["loc"], json!(["body", "start"]));
        }
    }
    let mut body = shop();
    body["name"] = "off".into();
    body["enabled"] = false.into();
    let off = house.call("POST", &path, &body.to_string()).body;
    assert!(!house.has_place(&off) && off["status"].is_null());
    let own = format!("{path}{}", text(&off["id"]));
    assert_eq!(house.call("PATCH", &own, r#"{"enabled":true}"#).status, 204);
    assert!(house.has_place(&off));
    assert_eq!(house.call("PATCH", &own, r#"{"start":"now"}"#).status, 422);
}

#[test]
fn a_secret_does_not_follow_to_another_server() {
    let house = House::new();
    let path = house.destinations();
    let made = house.call("POST", &path, &shop().to_string()).body;
    let own = format!("{path}{}", text(&made["id"]));
    let elsewhere = |more: &str| format!(r#"{{"to":"https://other.example/in"{more}}}"#);
    let refused = house.call("PATCH", &own, &elsewhere(""));
    assert_eq!(refused.status, 422, "{refused:?}");
    assert_eq!(refused.body["detail"][0]["loc"], json!(["body", "bearer"]));
    let same = format!("{}/other", text(&made["to"]).trim_end_matches('/'));
    assert_eq!(house.call("PATCH", &own, &json!({ "to": same }).to_string()).status, 204);
    assert_eq!(house.call("PATCH", &own, &elsewhere(r#","bearer":null"#)).status, 204);
}

#[test]
fn a_destination_begins_at_an_event() {
    let house = House::new();
    let publish = |number: u32| {
        let id = format!("00000000-0000-4000-8000-00000000000{number}");
        let event = json!([{"occurred": "2026-11-28T12:00:00Z", "event": "shop.paid", "id": id,
            "resource": {"prefect.resource.id": "shop"}}]);
        let path = format!("{}/events", house.first.api_path);
        let answer = house.call("POST", &path, &event.to_string());
        assert_eq!(answer.status, 204, "{answer:?}");
        id
    };
    let ids: Vec<String> = (1..=5).map(publish).collect();
    let mut body = shop();
    body["start"] = ids[2].as_str().into();
    let made = house.call("POST", &house.destinations(), &body.to_string());
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.body["status"]["frames_behind"], 3);
}

/// Events of two resources that lie parked for a destination: of each the first was refused.
fn park(house: &House, destination: &Value) {
    let id = catalogue::is_id(text(&destination["id"])).expect("an id");
    let aside = |number: u128| Aside {
        name: "shop".to_owned(),
        key: Key::new(
            house.first.account_id,
            None,
            if number.is_multiple_of(2) { "even" } else { "odd" },
        ),
        standing: if number < 3 { Standing::Refused } else { Standing::Behind },
        account: house.first.account_id,
        workspace: Some(house.first.workspace_id),
        received: Time::from_micros(1),
        parked: Time::from_micros(2),
        reason: format!("answered 42{number}"),
        attempts: 1,
        answer: None,
        hops: 0,
        event: event::compose(
            Time::from_micros(1),
            "shop.paid",
            &[],
            &[],
            "{}",
            Uuid::from_u128(number),
            None,
        ),
    };
    wait(house.api.shelf.put(id, (1..=6).map(aside).collect())).expect("parked");
}

#[test]
fn parked_events_are_told_sent_again_and_let_go_of() {
    let house = House::new();
    let made = house.call("POST", &house.destinations(), &shop().to_string()).body;
    let own = format!("{}{}/parked", house.destinations(), text(&made["id"]));
    park(&house, &made);
    house.events();
    let all = house.call("GET", &own, "").body;
    let standings: Vec<_> =
        all.as_array().expect("a list").iter().map(|one| text(&one["standing"])).collect();
    assert_eq!(standings, ["refused", "refused", "behind", "behind", "behind", "behind"]);
    assert_eq!(all[0]["event"]["event"], "shop.paid");
    assert_eq!(all[0]["event"]["workspace"], house.first.workspace_id.to_string());
    let first = text(&all[0]["id"]).to_owned();
    assert_eq!(house.call("GET", &format!("{own}/{first}"), "").body, all[0]);
    assert_eq!(house.call("GET", &format!("{own}/{OTHER}"), "").status, 404);
    let some = house.call("POST", &format!("{own}/filter"), r#"{"reason":"421","limit":5}"#).body;
    assert_eq!(some, json!([all[0]]));
    for body in ["{}", r#"{"all":true,"reason":"x"}"#, r#"{"ids":[]}"#, r#"{"ids":["x"]}"#] {
        for verb in ["retry", "discard"] {
            assert_eq!(house.call("POST", &format!("{own}/{verb}"), body).status, 422, "{body}");
        }
    }
    let by_name =
        |name: &str| json!({"filter": {"event": {"prefix": [name]}}, "limit": 2}).to_string();
    let two = house.call("POST", &format!("{own}/filter"), &by_name("shop.")).body;
    assert_eq!(two, json!([all[0], all[1]]));
    assert_eq!(house.call("POST", &format!("{own}/filter"), &by_name("mill.")).body, json!([]));
    for body in [r#"{"filter":{"limit":3}}"#, r#"{"filter":{"events":{}}}"#] {
        let refused = house.call("POST", &format!("{own}/discard"), body);
        assert_eq!(refused.status, 422);
        assert_eq!(refused.body["detail"][0]["loc"], json!(["body", "filter"]));
    }
    let other = json!({"filter": {"event": {"name": ["mill.*"]}}}).to_string();
    for verb in ["retry", "discard"] {
        assert_eq!(house.call("POST", &format!("{own}/{verb}"), &other).body["count"], 0);
    }
    let only = json!({ "ids": [first] }).to_string();
    let retried = house.call("POST", &format!("{own}/retry"), &only);
    let called = json!({"count": 1, "on_their_way": 0, "waiting": 0, "behind": []});
    assert_eq!((retried.status, retried.body), (200, called));
    let gone = house.call("POST", &format!("{own}/discard"), r#"{"reason":"answered 422"}"#);
    assert_eq!((gone.status, gone.body), (200, json!({"count": 1, "on_their_way": 0})));
    let standings = house.call("POST", &format!("{own}/filter"), r#"{"standing":"due"}"#).body;
    assert_eq!(standings.as_array().map(Vec::len), Some(1));
    assert_eq!(house.call("POST", &format!("{own}/discard"), r#"{"all":true}"#).body["count"], 5);
    assert_eq!(house.call("POST", &format!("{own}/discard"), r#"{"all":true}"#).body["count"], 0);
    let events = house.events();
    let names: Vec<_> = events.iter().map(|event| text(&event["event"]).to_owned()).collect();
    let name = |action: &str| format!("hookgate.destination.{action}");
    assert_eq!(names, ["retried", "discarded", "discarded"].map(name));
    assert_eq!(events[1]["payload"]["count"], 1);
    assert_eq!(events[1]["payload"]["events"], json!([Uuid::from_u128(2).to_string()]));
}
