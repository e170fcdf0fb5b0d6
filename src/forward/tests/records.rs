//! Lanes of records: they come, change and go while events flow.

use serde_json::json;

use super::server::{Server, status};
use super::*;
use crate::catalogue::DESTINATION;
use crate::shelf::Asked;
use crate::spool::{DISPATCHER, Start, track_of};

pub(super) const WORKSPACE: Uuid = Uuid::from_u128(0x3);

/// A record of the test's workspace.
pub(super) fn record(number: u128, fields: &Value) -> Record {
    let mut all = json!({"name": "shop", "enabled": true, "hold": false, "on_full": "drop-oldest"});
    for (name, value) in fields.as_object().expect("fields") {
        all[name] = value.clone();
    }
    let fields = all.as_object().expect("fields").clone();
    let id = Uuid::from_u128(number);
    let mut record = Record::new(id, &DESTINATION, ACCOUNT, fields, Time::default());
    record.workspace = Some(WORKSPACE);
    record.conceal();
    record
}

impl House {
    /// Appends an event of that name for each number, in the test's workspace.
    pub(super) async fn append_named(&self, name: &str, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            let payload = format!("{{\"number\":{number}}}");
            let labels = [("prefect.resource.id", "test")];
            let id = Uuid::from_u128(number.into());
            let now = self.clock.now();
            let event = event::compose(now, name, &labels, &[], &payload, id, None);
            let frame = Frame::encode(ACCOUNT, Some(WORKSPACE), now, &[event], None);
            self.spool.append(frame).await.expect("a receipt");
        }
    }

    /// Lanes of records alone; those that are there get their places as the API gives them.
    pub(super) fn posts(&self, records: &[Record]) -> Forwarder {
        for record in records {
            self.place(record, Start::Now);
        }
        Forwarder::start_at(brisk(), Vec::new(), records, self.ground()).expect("lanes")
    }

    pub(super) fn place(&self, record: &Record, start: Start) {
        let track = track_of(record.id);
        self.spool.reader_from(&track, OnFull::DropOldest, start).expect("a place");
    }

    /// Whether the first record has a place, or sleeps where all do.
    fn has_place(&self) -> bool {
        [DISPATCHER, &track_of(Uuid::from_u128(1))].iter().any(|name| self.spool.stands(name))
    }
}

pub(super) fn address(server: &Server) -> String {
    format!("http://{}/in", server.address)
}

#[tokio::test]
async fn a_record_gets_what_its_filter_matches_in_its_workspace() {
    let house = House::new();
    let mut server = Server::start(|_| Some(status(204))).await;
    house.append_named("shop.paid", 0..3).await;
    let one = record(
        1,
        &json!({"to": address(&server), "filter": {"event": {"name": ["shop.*"]}},
            "headers": {"X-Team": "shop"}, "bearer": "tok"}),
    );
    let lanes = house.posts(&[one]);
    house.append_named("shop.paid", 3..5).await;
    house.append_named("mill.ground", 5..7).await;
    house.append(7..9).await;
    house.append_named("shop.sent", 9..10).await;
    assert_eq!(server.until_taken(3).await, [3, 4, 9], "from now on, its own, those it wants");
    let asked = server.until(|_| true).await;
    assert_eq!(asked[0].headers["x-team"], "shop");
    assert_eq!(asked[0].headers["authorization"], "Bearer tok");
    until(|| (lanes.board()()[0].lag.frames == 0).then_some(())).await;
    lanes.stop().await;
}

#[tokio::test]
async fn an_expression_chooses_and_a_template_makes_what_is_sent() {
    let house = House::new();
    let mut server = Server::start(|_| Some(status(204))).await;
    let chosen = record(
        1,
        &json!({"to": address(&server), "filter": {"event": {"name": ["shop.*"]}},
            "where": "12 // event.payload.number > 2",
            "body": "{\"payload\": {\"number\": {{ event.payload.number * 10 }}\n},
                \"name\": {{ event.event | tojson if event.payload.number != 3 else '?' }}}"}),
    );
    house.place(&chosen, Start::Now);
    let ground = house.ground();
    let notes = ground.telemetry.notes();
    let lanes = Forwarder::start_at(brisk(), Vec::new(), &[chosen], ground).expect("lanes");
    house.append_named("mill.ground", 1..2).await;
    house.append_named("shop.paid", 0..8).await;
    // 0 divides by nothing, 3 makes no JSON and 4 waits behind it, 5 and more do not match.
    assert_eq!(server.until_taken(2).await, [10, 20]);
    let sent = server.until(|_| true).await;
    assert_eq!(sent[0].events()[0], json!({"payload": {"number": 10}, "name": "shop.paid"}));
    until(|| (lanes.board()()[0].lag.frames == 0).then_some(())).await;
    let note = notes.of(Uuid::from_u128(1));
    assert_eq!(note.condition_faults, 1);
    let why = note.condition_fault.expect("a fault");
    assert!(why.starts_with("line 1, column 1") && why.contains("zero"), "{why}");
    let lying = house.shelf.list(Asked::default(), 100, 0).await.expect("a list");
    let reasons: Vec<_> = lying.iter().map(|lying| lying.aside.reason.as_str()).collect();
    assert_eq!(reasons.len(), 2);
    assert!(reasons[0].starts_with("body: the text is no JSON"), "{reasons:?}");
    lanes.stop().await;
}

#[tokio::test]
async fn a_change_keeps_the_place_and_a_pause_loses_nothing() {
    let house = House::new();
    let mut first = Server::start(|_| Some(status(503))).await;
    let mut second = Server::start(|_| Some(status(204))).await;
    let lanes = house.posts(&[]);
    let change = lanes.watcher();
    let told = |to: &Server, hold: bool| {
        let record = record(1, &json!({"to": address(to), "hold": hold}));
        change(&Change::Destination(Box::new(record)));
    };
    house.place(&record(1, &json!({})), Start::Now);
    told(&first, false);
    house.append_named("a", 0..5).await;
    first.until(|asked| asked.len() >= 2).await;
    told(&second, true);
    house.append_named("a", 5..9).await;
    house.append_named("b", [9]).await;
    told(&second, false);
    assert_eq!(second.until_taken(10).await, (0..10).collect::<Vec<_>>());
    until(|| (lanes.board()()[0].lag.frames == 0).then_some(())).await;
    told(&first, false);
    house.append_named("a", [10]).await;
    first.until(|asked| asked.last().is_some_and(|last| last.numbers() == [10])).await;
    told(&second, false);
    assert_eq!(second.until_taken(11).await.last(), Some(&10));
    lanes.stop().await;
}

#[tokio::test]
async fn one_that_is_off_keeps_no_place_and_one_that_is_gone_leaves_nothing() {
    let house = House::new();
    let mut server = Server::start(|_| Some(status(204))).await;
    let lanes = house.posts(&[]);
    let change = lanes.watcher();
    assert!(!house.has_place());
    let told = |enabled: bool| {
        let record = record(1, &json!({"to": address(&server), "enabled": enabled}));
        if enabled {
            house.place(&record, Start::Now);
        }
        change(&Change::Destination(Box::new(record)));
    };
    told(true);
    house.append_named("a", 0..2).await;
    assert!(house.has_place());
    until(|| (lanes.board()()[0].lag.frames == 0).then_some(())).await;
    told(false);
    until(|| (!house.has_place()).then_some(())).await;
    house.append_named("a", 2..4).await;
    told(true);
    house.append_named("a", 4..6).await;
    change(&Change::DestinationGone(Uuid::from_u128(2)));
    assert_eq!(server.until_taken(4).await, [0, 1, 4, 5]);
    change(&Change::DestinationGone(Uuid::from_u128(1)));
    until(|| (!house.has_place()).then_some(())).await;
    assert!(lanes.board()().is_empty());
    lanes.stop().await;
}

#[tokio::test]
async fn the_lanes_of_records_share_their_metrics() {
    let house = House::new();
    let server = Server::start(|_| Some(status(503))).await;
    let records: Vec<_> =
        (1..=3).map(|number| record(number, &json!({"to": address(&server)}))).collect();
    let ground = house.ground();
    let telemetry = ground.telemetry.clone();
    for record in &records {
        house.place(record, Start::Now);
    }
    let lanes = Forwarder::start_at(brisk(), Vec::new(), &records, ground).expect("lanes");
    house.append_named("a", 0..4).await;
    for line in ["failing{destination=\"records\"} 3", "frames{destination=\"records\"} 4"] {
        let line = format!("hookgate_forward_lane_{line}");
        until(|| telemetry.print().contains(&line).then_some(())).await;
    }
    assert!(!telemetry.print().contains("shop"), "{}", telemetry.print());
    lanes.stop().await;
}
