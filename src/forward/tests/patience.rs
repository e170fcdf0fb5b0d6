//! Destinations that are down, over restarts of the gateway and over changes of the destination.

use http::HeaderValue;
use serde_json::json;

use super::records::{address, record};
use super::server::{PATIENCE, Server, status};
use super::*;
use crate::shelf::Failing;
use crate::spool::Start;

fn to(server: &Server) -> Record {
    record(1, &json!({"to": address(server)}))
}

/// Which events about destinations a file has.
fn told(path: &Path) -> Vec<String> {
    let all = lines(path).into_iter();
    all.filter_map(|line| line["event"].as_str()?.strip_prefix("hookgate.").map(str::to_owned))
        .collect()
}

/// How the destination is kept as failing.
async fn kept(house: &House) -> Failing {
    let asking = async {
        loop {
            let found = house.shelf.failing(Uuid::from_u128(1)).await.expect("an answer");
            if let Some(failing) = found {
                return failing;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("it is kept")
}

#[tokio::test]
async fn down_and_back_are_told_once_whatever_is_changed_or_restarted_between() {
    let house = House::new();
    let mut first = Server::start(|_| Some(status(401))).await;
    let mut second = Server::start(|_| Some(status(403))).await;
    let mut good = Server::start(|_| Some(status(204))).await;
    let path = house.path("out.ndjson");
    let text = format!("file:{}", path.display());
    let start = |house: &House, record: &Record| {
        let file = Destination::parse(&text).expect("a destination");
        let records = [record.clone()];
        Forwarder::start_at(brisk(), vec![file], &records, house.ground()).expect("lanes")
    };
    house.place(&to(&first), Start::Now);
    let lanes = start(&house, &to(&first));
    house.append_named("a", [1]).await;
    first.until(|asked| asked.len() >= 2).await;
    until(|| (!told(&path).is_empty()).then_some(())).await;
    lanes.watcher()(&Change::Destination(Box::new(to(&second))));
    second.until(|asked| asked.len() >= 3).await;
    lanes.stop().await;

    let house = house.again();
    let before = second.until(|_| true).await.len();
    let lanes = start(&house, &to(&second));
    second.until(|asked| asked.len() >= before + 3).await;
    lanes.watcher()(&Change::Destination(Box::new(to(&good))));
    assert_eq!(good.until_taken(1).await[0], 1);
    until(|| (told(&path).len() >= 2).then_some(())).await;
    lanes.stop().await;

    let house = house.again();
    let lanes = start(&house, &to(&good));
    house.append_named("a", [2]).await;
    until(|| numbers(&path).contains(&2).then_some(())).await;
    until(|| lanes.board()().iter().all(|one| one.lag.frames == 0).then_some(())).await;
    lanes.stop().await;
    assert_eq!(told(&path), ["destination.failing", "destination.recovered"]);
    assert_eq!(house.shelf.failing(Uuid::from_u128(1)).await, Ok(None));
}

#[tokio::test]
async fn a_wait_that_a_server_asked_for_outlives_a_restart_and_not_a_change() {
    let house = House::new();
    let mut busy = Server::start(|_| {
        let mut response = status(503);
        response.headers_mut().insert("retry-after", HeaderValue::from_static("30"));
        Some(response)
    })
    .await;
    let lanes = house.posts(&[to(&busy)]);
    house.append_named("a", 0..5).await;
    let failing = kept(&house).await;
    assert_eq!((failing.failures, failing.is_told), (1, false));
    assert_eq!(failing.next, house.clock.now().plus_seconds(30));
    lanes.stop().await;

    let house = house.again();
    let lanes = house.start(&[to(&busy)]);
    until(|| lanes.board()()[0].failing.then_some(())).await;
    lanes.stop().await;
    assert_eq!(busy.until(|_| true).await.len(), 1, "it waits as it was asked to");

    house.clock.advance_seconds(31);
    let house = house.again();
    let lanes = house.start(&[to(&busy)]);
    busy.until(|asked| asked.len() >= 2).await;
    let mut good = Server::start(|_| Some(status(204))).await;
    lanes.watcher()(&Change::Destination(Box::new(to(&good))));
    assert_eq!(good.until_taken(5).await, [0, 1, 2, 3, 4], "a cure is tried at once");
    lanes.stop().await;
}

#[tokio::test]
async fn one_that_was_down_before_a_restart_is_looked_at_with_one_event() {
    let house = House::new();
    let mut server = Server::start(|_| Some(status(503))).await;
    let lanes = house.posts(&[to(&server)]);
    house.append_named("a", 0..50).await;
    server.until(|asked| asked.len() >= 10).await;
    assert!(kept(&house).await.failures >= 8);
    lanes.stop().await;
    let before = server.until(|_| true).await.len();
    let house = house.again();
    let lanes = house.start(&[to(&server)]);
    let asked = server.until(|asked| asked.len() > before).await;
    assert_eq!(asked[before].numbers(), [0]);
    // Changed, it is tried at once, and with one event, too.
    let mut good = Server::start(|_| Some(status(204))).await;
    lanes.watcher()(&Change::Destination(Box::new(to(&good))));
    assert_eq!(good.until_taken(50).await, (0..50).collect::<Vec<_>>());
    assert_eq!(good.until(|_| true).await[0].numbers(), [0]);
    lanes.stop().await;
}

#[tokio::test]
async fn one_without_a_pace_is_slowed_down_when_it_has_too_much() {
    let house = House::new();
    let took = Duration::from_millis(20);
    let mut asked = 0;
    let mut server = Server::start(move |_| {
        asked += 1;
        std::thread::sleep(took);
        Some(status(if asked == 1 { 429 } else { 204 }))
    })
    .await;
    house.append(0..20).await;
    let lanes = house.lanes(&[format!("http://{}/?batch_events=1", server.address)]);
    server.until_taken(2).await;
    let started = std::time::Instant::now();
    server.until_taken(20).await;
    let passed = started.elapsed();
    // Half as fast as it answers: 18 answers, and a pause of the same length before most of them.
    assert!(passed >= took * 30, "{passed:?}");
    lanes.stop().await;
}
