//! Lanes over HTTP: what a server sees, and what its answers lead to.

use super::server::{Server, body, status};
use super::*;
use crate::shelf::{Asked, Lying};

fn http(server: &Server) -> String {
    format!("http://{}/in?key=k", server.address)
}

#[tokio::test]
async fn every_event_arrives_in_order_with_ten_keys() {
    let house = House::new();
    let mut server = Server::start(|_| Some(status(204))).await;
    let secret = house.path("secret");
    std::fs::write(&secret, "tok\n").expect("a file");
    let text = format!("{}&bearer_file={}", http(&server), secret.display());
    house.append(0..100).await;
    let lanes = house.lanes(&[text]);
    house.append(100..700).await;
    assert_eq!(server.until_taken(700).await, (0..700).collect::<Vec<_>>());
    let asked = server.until(|_| true).await;
    assert!(asked.iter().all(|asked| asked.numbers().len() <= 500));
    let first = &asked[0];
    assert_eq!((first.method.as_str(), first.path.as_str()), ("POST", "/in?key=k"));
    assert_eq!(first.headers["content-length"], first.body.len().to_string());
    assert_eq!(first.headers["content-type"], "application/json");
    assert_eq!(first.headers["authorization"], "Bearer tok");
    let one = first.events()[0].clone();
    let keys: Vec<_> = one.as_object().expect("an object").keys().cloned().collect();
    let ten = "occurred event resource related payload id follows received account workspace";
    assert_eq!(keys, ten.split(' ').collect::<Vec<_>>());
    until(|| (lanes.board()()[0].lag.frames == 0).then_some(())).await;
    assert!(!lanes.board()()[0].failing);
    lanes.stop().await;
}

#[tokio::test]
async fn the_one_bad_event_is_found_and_parked_and_told_of_once() {
    let house = House::new();
    let bad = |text: &str| text.contains("poison") || text.contains("hookgate.destination.parked");
    let mut server = Server::start(move |asked| {
        let code = if bad(&asked.body) { 422 } else { 204 };
        Some(body(code, "{\"detail\":\"no\"}"))
    })
    .await;
    for number in 0..50 {
        let word = if matches!(number, 7 | 8 | 49) { "poison" } else { "" };
        house.append_event(event(number, word)).await;
    }
    let other = house.path("other.ndjson");
    let lanes = house.lanes(&[http(&server), format!("file:{}", other.display())]);
    let good: Vec<_> = (0..50).filter(|number| !matches!(number, 7 | 8 | 49)).collect();
    assert_eq!(server.until_taken(47).await, good);
    // Three notices, each refused and parked in its turn, and no notice of that.
    until(|| (lanes.board()()[0].parked == 6).then_some(())).await;
    house.append([50]).await;
    server.until_taken(48).await;
    let lying = Shelf::look(&house.data(), &Asked::default()).expect("a list");
    let list: Vec<_> = lying.iter().map(Lying::describe).collect();
    let ids: Vec<_> = list.iter().take(3).map(|parked| parked.id.as_u128()).collect();
    assert_eq!((list.len(), ids), (6, vec![7, 8, 49]));
    assert!(list[0].reason.contains("422") && list[0].attempts > 1, "{:?}", list[0]);
    assert_eq!(list[0].answer, Some("{\"detail\":\"no\"}"));
    assert!(list[0].event.get().contains("\"received\""));
    until_lines(&other, 51).await;
    let notices: Vec<_> =
        lines(&other).into_iter().filter(|line| line["event"] != "test").collect();
    assert_eq!(notices.len(), 3);
    assert_eq!(notices[0]["event"], "hookgate.destination.parked");
    assert_eq!(notices[0]["payload"]["event"], list[0].id.to_string());
    assert_eq!(notices[0]["account"], OPERATOR.to_string());
    lanes.stop().await;
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_halved() {
    let house = House::new();
    let mut server =
        Server::start(|asked| Some(status(if asked.numbers().len() > 3 { 413 } else { 204 })))
            .await;
    house.append(0..20).await;
    let lanes = house.lanes(&[http(&server)]);
    assert_eq!(server.until_taken(20).await, (0..20).collect::<Vec<_>>());
    assert_eq!(lanes.board()()[0].parked, 0);
    lanes.stop().await;
}

#[tokio::test]
async fn failures_are_tried_again_and_lose_nothing() {
    let house = House::new();
    let mut answers = [503, 500, 429, 408, 404, 301, 401].into_iter();
    let mut server = Server::start(move |_| {
        let mut response = status(answers.next().unwrap_or(200));
        // Followed, it would come as a request without a body.
        response.headers_mut().insert("location", http::HeaderValue::from_static("/elsewhere"));
        Some(response)
    })
    .await;
    house.append(0..10).await;
    let lanes = house.lanes(&[http(&server)]);
    assert_eq!(server.until_taken(10).await, (0..10).collect::<Vec<_>>());
    let asked = server.until(|_| true).await;
    assert_eq!(asked.len(), 8);
    assert!(asked.iter().all(|one| one.path == "/in?key=k" && one.body == asked[0].body));
    until(|| (!lanes.board()()[0].failing).then_some(())).await;
    let fault = lanes.board()()[0].last_fault.clone().expect("a fault");
    assert!(fault.contains("401"), "{fault}");
    lanes.stop().await;
}

#[tokio::test]
async fn retry_after_is_waited_for() {
    let house = House::new();
    let mut is_first = true;
    let mut server = Server::start(move |_| {
        let mut response = status(if std::mem::take(&mut is_first) { 429 } else { 204 });
        response.headers_mut().insert("retry-after", http::HeaderValue::from_static("1"));
        Some(response)
    })
    .await;
    house.append([1]).await;
    let lanes = house.lanes(&[http(&server)]);
    server.until(|asked| !asked.is_empty()).await;
    let started = std::time::Instant::now();
    server.until_taken(1).await;
    assert!(started.elapsed() > Duration::from_millis(800), "{:?}", started.elapsed());
    lanes.stop().await;
}

#[tokio::test]
async fn a_new_secret_ends_an_alarm() {
    let house = House::new();
    let mut server = Server::start(|asked| {
        let good = asked.headers["authorization"] == "Bearer new";
        Some(status(if good { 204 } else { 401 }))
    })
    .await;
    let secret = house.path("secret");
    std::fs::write(&secret, "old").expect("a file");
    let tempo = Tempo { slow: Duration::from_hours(1), ..brisk() };
    let to = format!("{}&bearer_file={}", http(&server), secret.display());
    let lanes = house.lanes_at(tempo, &[to]);
    house.append(0..3).await;
    let status = until(|| lanes.board()().pop().filter(|status| status.failing)).await;
    assert!(status.last_fault.expect("a fault").contains("401"));
    assert!(status.lag.frames >= 3, "and the event that says that it is down");
    std::fs::write(&secret, "new").expect("a file");
    lanes.reopen();
    assert_eq!(server.until_taken(3).await, [0, 1, 2]);
    lanes.stop().await;
}

#[tokio::test]
async fn a_pace_is_kept() {
    let house = House::new();
    let mut server = Server::start(|_| Some(status(204))).await;
    house.append(0..40).await;
    let lanes = house.lanes(&[format!("{}&rate=100/s&burst=20", http(&server))]);
    let started = std::time::Instant::now();
    assert_eq!(server.until_taken(40).await, (0..40).collect::<Vec<_>>());
    assert!(started.elapsed() > Duration::from_millis(150), "{:?}", started.elapsed());
    let asked = server.until(|_| true).await;
    assert!(asked.iter().all(|asked| asked.numbers().len() <= 20));
    lanes.stop().await;
}
