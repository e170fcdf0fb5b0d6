//! What a lane waits for, and what of that is over once something is another: an address, a word of the operator, a
//! hold; and where lanes begin.

use http::HeaderValue;
use serde_json::json;

use super::records::{address, record};
use super::server::{Server, status};
use super::*;
use crate::shelf::Failing;
use crate::spool::{Start, track_of};

const HOUR: Duration = Duration::from_hours(1);

fn named(server: &Server) -> Destination {
    let text = format!("http://{}/in", server.address);
    let one = Destination::parse(&text).expect("a destination");
    one.with_name("shop").expect("a name")
}

fn start(house: &House, destination: Destination) -> Forwarder {
    Forwarder::start_at(brisk(), vec![destination], &[], house.ground()).expect("lanes")
}

/// Says with each answer that nothing more is taken for an hour.
async fn closed(code: u16) -> Server {
    let name = if code == 503 { "retry-after" } else { "ratelimit-reset" };
    Server::start(move |_| {
        let mut response = status(code);
        response.headers_mut().insert("ratelimit-remaining", HeaderValue::from_static("0"));
        response.headers_mut().insert(name, HeaderValue::from_static("3600"));
        Some(response)
    })
    .await
}

/// How long ago that was, in hours, and what is kept of a failure then.
fn failing(house: &House, hours: i64) -> Failing {
    let now = house.clock.now();
    let since = now.plus_seconds(-3600 * hours);
    Failing { since, failures: 9, next: now, wait: HOUR, is_told: true }
}

#[tokio::test]
async fn another_address_of_a_name_is_tried_at_once() {
    for code in [503, 204] {
        let house = House::new();
        let mut before = closed(code).await;
        let mut after = Server::start(|_| Some(status(204))).await;
        let lanes = start(&house, named(&before));
        house.append([1]).await;
        before.until(|asked| !asked.is_empty()).await;
        let is_waiting = || house.data().join("pace").exists();
        until(|| is_waiting().then_some(())).await;
        lanes.stop().await;
        let house = house.again();
        house.append([2]).await;
        let lanes = start(&house, named(&before));
        tokio::time::sleep(Duration::from_millis(100)).await;
        lanes.stop().await;
        assert_eq!(before.until(|_| true).await.len(), 1, "{code}: it waits as it was asked to");
        let house = house.again();
        let lanes = start(&house, named(&after));
        let left: &[u64] = if code == 503 { &[1, 2] } else { &[2] };
        assert_eq!(after.until_taken(left.len()).await, left, "{code}");
        lanes.stop().await;
    }
}

#[tokio::test]
async fn the_operator_can_have_it_tried_at_once() {
    for code in [503, 204] {
        let house = House::new();
        let mut server = closed(code).await;
        let lanes = start(&house, named(&server));
        house.append([1]).await;
        server.until(|asked| asked.len() == 1).await;
        house.append([2]).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(server.until(|_| true).await.len(), 1, "{code}");
        lanes.reopen();
        server.until(|asked| asked.len() == 2).await;
        lanes.stop().await;
    }
}

#[tokio::test]
async fn a_destination_that_stays_down_is_written_down_once() {
    let house = House::new();
    let mut server = Server::start(|_| Some(status(401))).await;
    let slow = Duration::from_millis(1500);
    let tempo = Tempo { slow, ..brisk() };
    let to = record(1, &json!({"to": address(&server)}));
    house.place(&to, Start::Now);
    let lanes = Forwarder::start_at(tempo, Vec::new(), &[to], house.ground()).expect("lanes");
    house.append_named("a", [1]).await;
    let mut kept = Vec::new();
    for asked in 1..=3 {
        server.until(|all| all.len() >= asked).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        kept.push(house.shelf.failing(Uuid::from_u128(1)).await.expect("an answer"));
        house.clock.advance_seconds(5);
    }
    assert_eq!(kept[0].map(|kept| (kept.failures, kept.is_told)), Some((1, true)));
    assert!(kept[1] == kept[0] && kept[2] == kept[0], "{kept:?}");
    lanes.stop().await;
}

#[tokio::test]
async fn a_hold_is_no_part_of_the_time_in_which_nothing_is_taken() {
    let house = House::new();
    let mut server = Server::start(|_| Some(status(503))).await;
    let to = address(&server);
    let told = |more: Value| {
        let mut fields = json!({"to": to});
        fields.as_object_mut().expect("fields").extend(more.as_object().cloned().expect("more"));
        record(1, &fields)
    };
    let id = Uuid::from_u128(1);
    house.shelf.set_failing(id, Some(failing(&house, 1))).await.expect("kept");
    let lanes = house.posts(&[told(json!({"hold": true}))]);
    house.append_named("a", [1]).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    house.clock.advance_seconds(100 * 3600);
    lanes.watcher()(&Change::Destination(Box::new(told(json!({})))));
    server.until(|asked| asked.len() >= 10).await;
    assert_eq!(lanes.board()()[0].parked, 0, "its window begins anew");
    let kept = house.shelf.failing(id).await.expect("an answer").expect("it fails");
    assert_eq!((kept.since, kept.is_told), (house.clock.now(), true));
    lanes.watcher()(&Change::Destination(Box::new(told(json!({"enabled": false})))));
    let gone = async {
        while house.shelf.failing(id).await != Ok(None) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(server::PATIENCE, gone).await.expect("one that is off fails at nothing");
    lanes.stop().await;
}

#[tokio::test]
async fn one_that_sleeps_with_nothing_to_send_does_not_fail() {
    let house = House::new();
    let server = Server::start(|_| Some(status(204))).await;
    let to = record(1, &json!({"to": address(&server), "where": "event.payload.number > 5"}));
    let id = Uuid::from_u128(1);
    house.shelf.set_failing(id, Some(failing(&house, 1))).await.expect("kept");
    let lanes = house.posts(&[to]);
    house.append_named("a", [1]).await;
    until(|| lanes.board()()[0].last_fault.as_ref().map(|_| ())).await;
    until(|| (!house.spool.stands(&track_of(id))).then_some(())).await;
    until(|| (!lanes.board()()[0].failing).then_some(())).await;
    lanes.stop().await;
}

#[tokio::test]
async fn who_has_a_place_holds_it_while_another_looks_for_its_own() {
    let house = House::new();
    let text = |name: &str| format!("file:{}", house.path(name).display());
    let one = |name: &str| Destination::parse(&text(name)).expect("a destination");
    house.append(0..3).await;
    let lanes = house.lanes(&[text("a"), text("b")]);
    until_lines(&house.path("b"), 3).await;
    until_lines(&house.path("a"), 3).await;
    lanes.stop().await;
    let (first, last) = (one("a"), one("b"));
    let astray = one("c").with_start("0194fdc2-fa2f-7cc0-81d3-ff12045b73c8").expect("a start");
    let house = house.again();
    assert!(house.spool.lag(&last.track()).is_none(), "nobody reads yet");
    let all = vec![first, astray, last.clone()];
    let settled = Forwarder::settle(all.clone(), &house.ground()).await;
    let why = settled.expect_err("there is no such event").to_string();
    assert!(why.contains("which is not kept"), "{why}");
    assert!(house.spool.lag(&last.track()).is_some(), "it holds what it needs");
    let settled = place::settle_within(all, &house.ground(), Duration::ZERO).await;
    let why = settled.expect_err("no time to look").to_string();
    assert!(why.contains("not found within"), "{why}");
}
