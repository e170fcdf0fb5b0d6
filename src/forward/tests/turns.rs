//! Whose turn it is: several requests at once, webhooks in turn, and what a restart knows of events that went out of
//! turn.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;

use super::server::{Server, status};
use super::*;
use crate::shelf::{Aside, Asked, Key, Standing};
use crate::spool::Capture;

impl House {
    /// Appends an event that a webhook's request made.
    async fn append_from(&self, webhook: u128, event: Event) {
        let body = Bytes::from_static(b"{}");
        let webhook = Uuid::from_u128(webhook);
        let capture = Capture { webhook, body, ..Capture::default() };
        let frame = Frame::encode(ACCOUNT, None, self.clock.now(), &[event], Some(&capture));
        self.spool.append(frame).await.expect("a receipt");
    }
}

/// An event of the resource that its last digit names.
fn of_ten(number: u64, word: &str) -> Event {
    about(&format!("resource.{}", number % 10), number, word)
}

/// That each number is there once, and those of one resource in order.
fn assert_whole(taken: &[u64], count: u64) {
    for resource in 0..10 {
        let own: Vec<_> = taken.iter().filter(|number| *number % 10 == resource).collect();
        assert!(own.is_sorted(), "{resource}: {own:?}");
    }
    let mut all = taken.to_vec();
    all.sort_unstable();
    assert_eq!(all, (0..count).collect::<Vec<_>>());
}

/// A server that takes its time, and tells how many requests it had at once and whether one resource was in two.
#[derive(Default)]
struct Watch {
    /// Resources of requests that are not answered.
    busy: HashMap<u64, u32>,
    most: usize,
    at_once: usize,
    taken: Vec<u64>,
    asked: u64,
}

/// Takes JSON arrays of events, slowly; every seventh request fails in another way.
async fn slow_server(watch: Arc<Mutex<Watch>>, fails: bool) -> std::net::SocketAddr {
    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let watch = Arc::clone(&watch);
            tokio::spawn(async move {
                let mut socket = BufReader::new(socket);
                loop {
                    let (mut length, mut line) = (0, String::new());
                    loop {
                        line.clear();
                        if socket.read_line(&mut line).await.unwrap_or(0) == 0 {
                            return;
                        }
                        if let Some(text) = line.to_lowercase().strip_prefix("content-length:") {
                            length = text.trim().parse().expect("a length");
                        }
                        if line == "\r\n" {
                            break;
                        }
                    }
                    let mut body = vec![0; length];
                    socket.read_exact(&mut body).await.expect("a body");
                    let events: Vec<Value> = serde_json::from_slice(&body).expect("an array");
                    let number = |event: &Value| event["payload"]["number"].as_u64();
                    let numbers: Vec<_> = events.iter().filter_map(number).collect();
                    let mut keys: Vec<_> = numbers.iter().map(|number| number % 10).collect();
                    keys.sort_unstable();
                    keys.dedup();
                    let (code, asked) = {
                        let mut watch = watch.lock().expect("a watch");
                        watch.asked += 1;
                        watch.at_once += 1;
                        watch.most = watch.most.max(watch.at_once);
                        for key in &keys {
                            *watch.busy.entry(*key).or_default() += 1;
                            assert_eq!(watch.busy[key], 1, "resource {key} is in two requests");
                        }
                        let code = match watch.asked % 21 {
                            7 if fails => 503,
                            14 if fails => 500,
                            0 if fails => 422,
                            _ => 204,
                        };
                        (code, watch.asked)
                    };
                    tokio::time::sleep(Duration::from_millis(1 + asked * 7 % 5)).await;
                    {
                        let mut watch = watch.lock().expect("a watch");
                        watch.at_once -= 1;
                        for key in &keys {
                            watch.busy.remove(key);
                        }
                        // A refusal of a single event would park it: only of several it is believed.
                        if code == 204 || (code == 422 && numbers.len() == 1) {
                            watch.taken.extend(numbers.iter());
                        }
                    }
                    let code = if code == 422 && numbers.len() == 1 { 204 } else { code };
                    let head = format!("HTTP/1.1 {code} X\r\ncontent-length: 0\r\n\r\n");
                    if socket.write_all(head.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn several_requests_at_once_keep_the_order_of_each_resource_whatever_fails() {
    for fails in [false, true] {
        let house = House::new();
        let watch: Arc<Mutex<Watch>> = Arc::default();
        let address = slow_server(Arc::clone(&watch), fails).await;
        for number in 0..600 {
            house.append_event(of_ten(number, "")).await;
        }
        let lanes = house.lanes(&[format!("http://{address}/?concurrency=8&batch_events=3")]);
        let all = |watch: &Watch| watch.taken.iter().filter(|number| **number < 600).count() >= 600;
        until(|| all(&watch.lock().expect("a watch")).then_some(())).await;
        until(|| (lanes.board()()[0].lag.frames == 0).then_some(())).await;
        lanes.stop().await;
        let watch = watch.lock().expect("a watch");
        assert_whole(&watch.taken, 600);
        assert!(watch.most > 2 && watch.most <= 8, "{} at once", watch.most);
    }
}

#[tokio::test]
async fn without_order_one_resource_goes_out_in_several_requests() {
    let house = House::new();
    let mut waiting = 0;
    // The first two are answered by nobody.
    let mut server = Server::start(move |_| {
        waiting += 1;
        (waiting > 2).then(|| status(204))
    })
    .await;
    for number in 0..9 {
        house.append_event(about("one", number, "")).await;
    }
    let text = format!("http://{}/?concurrency=3&batch_events=1&ordering=none", server.address);
    let lanes = house.lanes(&[text]);
    let taken = server.until_taken(7).await;
    assert_eq!(taken.len(), 7, "{taken:?}");
    assert!(lanes.board()()[0].lag.frames >= 9, "the cursor waits for the first");
    drop(lanes);
}

#[tokio::test]
async fn without_order_nothing_waits_behind_what_was_refused() {
    let house = House::new();
    let mut server =
        Server::start(|asked| Some(status(if asked.body.contains("bad") { 422 } else { 204 })))
            .await;
    for number in 0..9 {
        house.append_event(about("one", number, if number == 3 { "bad" } else { "" })).await;
    }
    let lanes = house.lanes(&[format!("http://{}/?ordering=none", server.address)]);
    assert_eq!(server.until_taken(8).await, [0, 1, 2, 4, 5, 6, 7, 8]);
    until(|| (lanes.board()()[0].parked == 1).then_some(())).await;
    lanes.stop().await;
}

#[tokio::test]
async fn one_noisy_webhook_does_not_keep_another_waiting() {
    let house = House::new();
    let mut server = Server::start(|_| Some(status(204))).await;
    for number in 0..10_000 {
        house.append_from(1, event(number, "")).await;
    }
    let text = format!("http://{}/?batch_events=1", server.address);
    let lanes = house.lanes(&[text]);
    server.until_taken(50).await;
    house.append_from(2, event(20_000, "")).await;
    house.append_from(3, event(20_001, "")).await;
    let sent = server.until_taken(50).await.len();
    server
        .until(|asked| {
            let late = asked.iter().flat_map(server::Asked::numbers);
            late.filter(|number| *number >= 20_000).count() == 2
        })
        .await;
    let taken = server.until_taken(50).await;
    let place = taken.iter().position(|number| *number == 20_001).expect("an event");
    // Only what is read ahead while it comes is in front of it.
    assert!(place < sent + 500, "after {place} of {}", taken.len());
    let noisy: Vec<_> = taken.iter().filter(|number| **number < 10_000).collect();
    assert!(noisy.is_sorted(), "its own order stays");
    lanes.stop().await;
}

#[tokio::test]
async fn a_webhook_of_three_times_the_weight_has_three_events_for_each_of_another() {
    let house = House::new();
    let mut server = Server::start(|_| Some(status(204))).await;
    for number in 0..200 {
        house.append_from(1, event(number, "")).await;
        house.append_from(2, event(1000 + number, "")).await;
    }
    let lanes = house.lanes(&[format!("http://{}/?batch_events=1", server.address)]);
    lanes.weigh(Uuid::from_u128(2), 3);
    let taken = server.until_taken(80).await;
    let heavy = taken[..80].iter().filter(|number| **number >= 1000).count();
    assert!((56..=62).contains(&heavy), "{heavy} of 80");
    server.until_taken(400).await;
    lanes.stop().await;
}

#[tokio::test]
async fn what_went_out_of_turn_is_known_after_a_stop_and_sent_again_after_a_kill() {
    for is_killed in [false, true] {
        let house = House::new();
        let held = Arc::new(AtomicBool::new(true));
        let is_held = Arc::clone(&held);
        // What is about the first resource is not answered before the rest went out.
        let mut server = Server::start(move |asked| {
            let first = asked.numbers().iter().any(|number| number % 10 == 0);
            let waits = first && is_held.load(Relaxed);
            Some(status(if waits { 429 } else { 204 }))
        })
        .await;
        for number in 0..40 {
            house.append_from(u128::from(number % 10) + 1, of_ten(number, "")).await;
        }
        let text = format!("http://{}/?batch_events=1", server.address);
        let slow = Tempo { first: Duration::from_secs(5), most: Duration::from_secs(5), ..brisk() };
        let lanes = house.lanes_at(slow, std::slice::from_ref(&text));
        server.until(|asked| !asked.is_empty()).await;
        if is_killed {
            for task in &lanes.tasks {
                task.abort();
            }
            drop(lanes);
        } else {
            lanes.stop().await;
        }
        held.store(false, Relaxed);
        let lanes = house.lanes(&[text]);
        let mut taken = server.until_taken(40).await;
        until(|| (lanes.board()()[0].lag.frames == 0).then_some(())).await;
        if is_killed {
            taken = server.until_taken(40).await;
            taken.sort_unstable();
            taken.dedup();
            assert_eq!(taken, (0..40).collect::<Vec<_>>());
        } else {
            assert_whole(&taken, 40);
        }
        lanes.stop().await;
    }
}

/// Sets events aside for a destination, each refused or called up.
async fn set_aside(house: &House, text: &str, numbers: std::ops::Range<u64>, standing: Standing) {
    let destination = Destination::parse(text).expect("a destination");
    let aside = |number: u64| Aside {
        name: destination.name().to_owned(),
        key: Key::new(ACCOUNT, None, &format!("resource.{}", number % 10)),
        standing,
        account: ACCOUNT,
        workspace: None,
        received: house.clock.now(),
        parked: house.clock.now(),
        reason: "answered 422".to_owned(),
        attempts: 1,
        answer: None,
        hops: 0,
        event: of_ten(number, ""),
    };
    let all = numbers.map(aside).collect();
    house.shelf.put(destination.id(), all).await.expect("kept");
}

#[tokio::test]
async fn what_is_called_up_goes_several_at_once_and_beside_what_is_new() {
    let house = House::new();
    let watch: Arc<Mutex<Watch>> = Arc::default();
    let address = slow_server(Arc::clone(&watch), false).await;
    let text = format!("http://{address}/?concurrency=8&batch_events=1");
    // More than is in hand at once, of nine resources; what is new is of the tenth.
    for start in (0..1000).step_by(10) {
        set_aside(&house, &text, start + 1..start + 10, Standing::Due).await;
    }
    for number in (1000..1500).step_by(10) {
        house.append_event(of_ten(number, "")).await;
    }
    let lanes = house.lanes(&[text]);
    until(|| (watch.lock().expect("a watch").taken.len() >= 950).then_some(())).await;
    until(|| (lanes.board()()[0].parked == 0).then_some(())).await;
    lanes.stop().await;
    let watch = watch.lock().expect("a watch");
    for resource in 0..10 {
        let own = watch.taken.iter().filter(|number| *number % 10 == resource);
        assert!(own.is_sorted(), "{resource}: {:?}", watch.taken);
    }
    let mut all = watch.taken.clone();
    all.sort_unstable();
    all.dedup();
    assert_eq!((all.len(), watch.taken.len()), (950, 950), "once each");
    assert!(watch.most > 2 && watch.most <= 8, "{} at once", watch.most);
    let last = watch.taken.iter().rposition(|number| number % 10 == 0).expect("an event");
    assert!(last < 800, "what is new waited for {last} of 950");
}

#[tokio::test]
async fn what_is_retried_and_discarded_at_once_is_one_of_the_two() {
    let house = House::new();
    let watch: Arc<Mutex<Watch>> = Arc::default();
    let address = slow_server(Arc::clone(&watch), false).await;
    let text = format!("http://{address}/?concurrency=8&batch_events=1");
    set_aside(&house, &text, 0..1000, Standing::Refused).await;
    let lanes = house.lanes(&[text]);
    let mut gone = Vec::new();
    for number in (0..1000).rev().step_by(7) {
        let ids = Some(vec![Uuid::from_u128(number)]);
        let (retried, discarded) = tokio::join!(
            house.shelf.retry(Asked::default()),
            house.shelf.discard(Asked { ids, ..Asked::default() }),
        );
        retried.expect("called up");
        let discarded = discarded.expect("let go of");
        let count = discarded.ids.len() as u64 + discarded.on_their_way;
        assert!(count <= 1);
        gone.extend(discarded.ids);
    }
    until(|| (lanes.board()()[0].parked == 0).then_some(())).await;
    lanes.stop().await;
    assert!(gone.len() > 1, "{gone:?}");
    let taken = watch.lock().expect("a watch").taken.clone();
    for resource in 0..10 {
        assert!(taken.iter().filter(|number| *number % 10 == resource).is_sorted(), "{taken:?}");
    }
    let mut all: Vec<Uuid> = taken.iter().map(|one| Uuid::from_u128((*one).into())).collect();
    all.extend(&gone);
    all.sort_unstable();
    assert_eq!(all, (0..1000).map(Uuid::from_u128).collect::<Vec<_>>());
}
