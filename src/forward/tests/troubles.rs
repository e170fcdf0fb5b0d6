//! Destinations that misbehave, and those beside them.

use std::convert::Infallible;

use bytes::Bytes;
use http::Response;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame as Part};

use super::server::{Server, status};
use super::*;
use crate::shelf::Asked;

fn http(server: &Server) -> String {
    format!("http://{}/", server.address)
}

#[tokio::test]
async fn a_dead_destination_slows_no_other() {
    let house = House::new();
    let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr();
    let path = house.path("out.ndjson");
    let nowhere = house.path("no/folder/out");
    let lanes = house.lanes(&[
        format!("http://{}/", gone.expect("an address")),
        format!("file:{}", nowhere.display()),
        format!("file:{}", path.display()),
    ]);
    house.append(0..2000).await;
    assert_eq!(until_lines(&path, 2000).await, (0..2000).collect::<Vec<_>>());
    let status =
        until(|| Some(lanes.board()()).filter(|all| all[0].failing && all[1].failing)).await;
    // Behind them come the events that say that two are down.
    assert!(!status[2].failing && status[0].lag.frames >= 2000, "{status:?}");
    assert!(status[0].last_fault.as_ref().expect("a fault").contains("refused"), "{status:?}");
    // Once it can be written, nothing is missing.
    std::fs::create_dir_all(nowhere.parent().expect("a folder")).expect("a folder");
    assert_eq!(until_lines(&nowhere, 2000).await, (0..2000).collect::<Vec<_>>());
    lanes.stop().await;
}

#[tokio::test]
async fn an_event_that_breaks_the_server_is_parked_once_others_pass() {
    for bad in [0, 5, 9] {
        let house = House::new();
        let mut server = Server::start(|asked| {
            Some(status(if asked.body.contains("poison") { 500 } else { 204 }))
        })
        .await;
        for number in 0..10 {
            let word = if number == bad { "poison" } else { "" };
            house.append_event(event(number, word)).await;
        }
        let lanes = house.lanes(&[http(&server)]);
        let good: Vec<_> = (0..10).filter(|number| *number != bad).collect();
        assert_eq!(server.until_taken(9).await, good);
        until(|| (lanes.board()()[0].parked == 1).then_some(())).await;
        let lying = Shelf::look(&house.data(), &Asked::default()).expect("a list");
        assert_eq!(lying[0].aside.event.id.as_u128(), u128::from(bad));
        lanes.stop().await;
    }
}

#[tokio::test]
async fn a_server_that_is_down_makes_nobody_park() {
    let house = House::new();
    let mut asked = 0;
    let mut server = Server::start(move |_| {
        asked += 1;
        Some(status(if asked <= 60 { 500 } else { 204 }))
    })
    .await;
    house.append([0]).await;
    let lanes = house.lanes(&[http(&server)]);
    server.until(|asked| asked.len() >= 10).await;
    house.append(1..10).await;
    assert_eq!(server.until_taken(10).await.len(), 10);
    assert_eq!(lanes.board()()[0].parked, 0);
    until(|| (lanes.board()()[0].lag.frames == 0).then_some(())).await;
    lanes.stop().await;
}

#[tokio::test]
async fn a_server_that_refuses_everything_is_not_believed() {
    let house = House::new();
    let mut server = Server::start(|asked| {
        let good = asked.body.contains("\"number\":199,");
        Some(status(if good { 204 } else { 422 }))
    })
    .await;
    house.append(0..150).await;
    let lanes = house.lanes(&[http(&server)]);
    let all = until(|| Some(lanes.board()()).filter(|all| all[0].failing)).await;
    assert_eq!(all[0].parked, 100);
    let fault = all[0].last_fault.as_ref().expect("a fault");
    assert!(fault.contains("it is not the events"), "{fault}");
    server.until(|asked| asked.len() > 300).await;
    assert_eq!(lanes.board()()[0].parked, 100, "it goes on asking, and parks no more");
    lanes.stop().await;
}

#[tokio::test]
async fn silence_has_a_deadline() {
    let house = House::new();
    let mut is_first = true;
    let mut server =
        Server::start(move |_| (!std::mem::take(&mut is_first)).then(|| status(204))).await;
    let tempo = Tempo { deadline: Duration::from_millis(100), ..brisk() };
    house.append(0..3).await;
    let lanes = house.lanes_at(tempo, &[http(&server)]);
    assert_eq!(server.until_taken(3).await, [0, 1, 2]);
    let fault = lanes.board()()[0].last_fault.clone().expect("a fault");
    assert!(fault.contains("no answer within"), "{fault}");
    lanes.stop().await;
}

#[tokio::test]
async fn that_a_destination_is_down_and_back_is_told_once_and_found_out_with_one_event() {
    let house = House::new();
    let mut asked = 0;
    let mut server = Server::start(move |_| {
        asked += 1;
        Some(status(if asked <= 20 { 503 } else { 204 }))
    })
    .await;
    let path = house.path("out.ndjson");
    house.append(0..50).await;
    let lanes = house.lanes(&[http(&server), format!("file:{}", path.display())]);
    assert_eq!(server.until_taken(50).await, (0..50).collect::<Vec<_>>());
    let sizes: Vec<_> =
        server.until(|_| true).await.iter().map(|asked| asked.numbers().len()).collect();
    assert_eq!((sizes[0], sizes[7], sizes[8], sizes[20]), (50, 50, 1, 1), "{sizes:?}");
    let told = |path: &Path| {
        let all = lines(path).into_iter();
        all.filter_map(|line| line["event"].as_str()?.strip_prefix("hookgate.").map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let told = until(|| Some(told(&path)).filter(|told| told.len() == 2)).await;
    assert_eq!(told, ["destination.failing", "destination.recovered"]);
    lanes.stop().await;
}

/// A body without an end.
struct Endless;

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Part<Bytes>, Infallible>>> {
        std::task::Poll::Ready(Some(Ok(Part::data(Bytes::from_static(&[b'x'; 16384])))))
    }
}

#[tokio::test]
async fn an_endless_answer_is_left_unread() {
    let house = House::new();
    let mut server = Server::start(|_| Some(Response::new(Endless.boxed()))).await;
    house.append(0..3).await;
    let lanes = house.lanes(&[http(&server)]);
    server.until_taken(3).await;
    until(|| (lanes.board()()[0].lag.frames == 0).then_some(())).await;
    house.append(3..5).await;
    assert_eq!(server.until_taken(5).await, [0, 1, 2, 3, 4]);
    lanes.stop().await;
}
