//! What went together to a destination, told by the name it had there: what lay between is none of it, and nobody has
//! many such questions answered at once.

use std::time::Duration;

use super::workspaces::text;
use super::*;
use crate::shelf::{Attempt, Places, batch_of};

/// Publishes an event; its frame.
fn publish(house: &House, base: &str, number: u32) -> u64 {
    let event = json!({
        "occurred": "2026-11-23T22:52:30.837791Z",
        "event": "shop.paid",
        "resource": {"prefect.resource.id": "shop.order"},
        "id": id_of(number),
    });
    let answer = house.call("POST", &format!("{base}/events"), &json!([event]).to_string());
    assert_eq!(answer.status, 204, "{answer:?}");
    house.api.events.spool.status().durable
}

fn id_of(number: u32) -> Uuid {
    Uuid::parse_str(&format!("00000000-0000-4000-8000-{number:012}")).expect("an id")
}

impl House {
    /// A destination was brought two events, between whose frames lies one of another place; the name of both.
    fn bring_two(&self) -> String {
        let path = format!("{}/destinations/", self.first.api_path);
        let body = json!({"name": "shop", "to": "https://shop.example/in"});
        let made = self.call("POST", &path, &body.to_string()).body;
        let destination = catalogue::is_id(text(&made["id"])).expect("an id");
        let first = publish(self, &self.first.api_path, 1);
        publish(self, &self.account, 2);
        let last = publish(self, &self.first.api_path, 3);
        let both = [1, 3].map(|number| (self.first.workspace_id, id_of(number)));
        let batch = batch_of(both.into_iter());
        self.api.shelf.tried(&Attempt {
            destination,
            frames: (first, last),
            places: Places::default(),
            event: None,
            at: self.api.clock.now(),
            took: Duration::from_millis(3),
            events: 2,
            batch: Some(batch),
            is_taken: true,
            status: Some(200),
            what: String::new(),
        });
        let digest = u128::from_be_bytes(batch);
        format!("{}/explain?id=batch-{digest:032x}", self.first.api_path)
    }
}

#[test]
fn what_lies_between_the_frames_of_a_batch_is_none_of_it() {
    let house = House::new();
    let path = house.bring_two();
    let answer = house.call("GET", &path, "");
    assert_eq!(answer.status, 200, "{answer:?}");
    let told = answer.body;
    assert_eq!((&told["outcome"], &told["batch"]["is_whole"]), (&json!("batch"), &json!(true)));
    let ids: Vec<_> =
        told["events"].as_array().expect("events").iter().map(|one| &one["id"]).collect();
    assert_eq!(ids, [&json!(id_of(1)), &json!(id_of(3))]);
}

#[test]
fn who_asks_for_a_batch_waits_for_others_and_not_for_long() {
    let house = House::new();
    let path = house.bring_two();
    let turn = Arc::clone(&house.api.batches).try_acquire_owned().expect("nobody asks");
    let answer = house.call("GET", &path, "");
    assert_eq!((answer.status, &answer.headers["retry-after"]), (503, &HeaderValue::from(1)));
    drop(turn);
    for _ in 0..2 {
        assert_eq!(house.call("GET", &path, "").status, 200);
    }
}
