//! Destinations: what is told of them, what never is, and the places they get.

use super::workspaces::text;
use super::*;
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
        body["start"] = start.into();
        let answer = house.call("POST", &path, &body.to_string());
        let is_known = start == "oldest";
        assert_eq!(answer.status, if is_known { 201 } else { 422 }, "{answer:?}");
        if !is_known {
            assert_eq!(answer.body["detail"][0]["loc"], json!(["body", "start"]));
        }
    }
    let mut body = shop();
    body["enabled"] = false.into();
    let off = house.call("POST", &path, &body.to_string()).body;
    assert!(!house.has_place(&off) && off["status"].is_null());
    let own = format!("{path}{}", text(&off["id"]));
    assert_eq!(house.call("PATCH", &own, r#"{"enabled":true}"#).status, 204);
    assert!(house.has_place(&off));
    assert_eq!(house.call("PATCH", &own, r#"{"start":"now"}"#).status, 422);
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
