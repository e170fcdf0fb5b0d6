//! Lanes to a server that acknowledges first and stores later, as a Prefect server does, and may lose what lies
//! between.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use http::Response;
use serde_json::json;

use super::records::record;
use super::server::{Asked, Body, Server, body, status};
use super::*;
use crate::shelf::{self, Lying};
use crate::spool::Start;

/// What such a server holds, by id of the event.
#[derive(Debug, Default)]
struct Store {
    memory: Vec<(Uuid, Time)>,
    stored: BTreeMap<Uuid, Time>,
    /// Farther back it does not look, and says so.
    span_max_seconds: Option<i64>,
    /// Taken, never stored.
    swallowed: Vec<Uuid>,
    /// Sent though it was stored, in a row; and the most such.
    repeats: usize,
    repeats_max: usize,
}

impl Store {
    fn answer(&mut self, asked: &Asked) -> Response<Body> {
        match asked.path.as_str() {
            "/api/events" => {
                let sent = |event: &Value| Some((id(&event["id"])?, moment(&event["occurred"])?));
                let sent: Vec<_> = asked.events().iter().filter_map(sent).collect();
                for (id, _) in &sent {
                    let is_stored = self.stored.contains_key(id);
                    self.repeats = if is_stored { self.repeats + 1 } else { 0 };
                    self.repeats_max = self.repeats_max.max(self.repeats);
                }
                self.memory.extend(sent);
                status(204)
            }
            "/api/events/filter" => {
                let question: Value = serde_json::from_str(&asked.body).expect("a question");
                let ids = question["filter"]["id"]["id"].as_array().expect("ids");
                let window = &question["filter"]["occurred"];
                let [since, until] =
                    ["since", "until"].map(|name| moment(&window[name]).expect("a moment"));
                if self.span_max_seconds.is_some_and(|most| since.plus_seconds(most) < until) {
                    return body(422, "{\"detail\":\"the window is too wide\"}");
                }
                let is_there =
                    |id: &Uuid| self.stored.get(id).is_some_and(|at| (since..=until).contains(at));
                let total = ids.iter().filter_map(id).filter(is_there).count();
                // What was asked too early is there the next time.
                let kept = self.memory.drain(..).filter(|(id, _)| !self.swallowed.contains(id));
                self.stored.extend(kept);
                body(200, &format!("{{\"events\":[],\"total\":{total},\"next_page\":null}}"))
            }
            _ => status(404),
        }
    }
}

fn id(value: &Value) -> Option<Uuid> {
    value.as_str()?.parse().ok()
}

fn moment(value: &Value) -> Option<Time> {
    Time::parse(value.as_str()?)
}

fn prefect(server: &Server) -> String {
    format!("prefect+http://{}/api", server.address)
}

async fn until_drained(lanes: &Forwarder) {
    until(|| (lanes.board()()[0].lag.frames == 0).then_some(())).await;
}

#[tokio::test]
async fn a_prefect_server_gets_seven_keys_and_no_event_it_would_lose() {
    let house = House::new();
    let (mut token, mut store) = (None, Store::default());
    let mut server = Server::start(move |asked| {
        if asked.path.starts_with("/api/csrf-token?client=") {
            token = Some(asked.path["/api/csrf-token?client=".len()..].to_owned());
            return Some(body(200, "{\"token\":\"t1\",\"client\":\"c\"}"));
        }
        let header = |name: &str| asked.headers.get(name).and_then(|value| value.to_str().ok());
        match header("prefect-csrf-token") {
            Some("t1") if header("prefect-csrf-client") == token.as_deref() => {
                Some(store.answer(asked))
            }
            _ => Some(body(403, "{\"detail\":\"Missing CSRF token.\"}")),
        }
    })
    .await;
    let secret = house.path("secret");
    std::fs::write(&secret, "user:pass").expect("a file");
    let to = format!("prefect+http://{}/api?bearer_file={}", server.address, secret.display());
    let lanes = house.lanes(&[to]);
    house.append(0..5).await;
    house.append_event(event(5, "\\u0000")).await;
    house.append(6..9).await;
    assert_eq!(server.until_taken(8).await, [0, 1, 2, 3, 4, 6, 7, 8]);
    let asked = server.until(|_| true).await;
    let batch = asked.iter().find(|asked| asked.path == "/api/events").expect("a batch");
    assert_eq!(batch.events()[0].as_object().expect("an object").len(), 7);
    assert_eq!(batch.headers["authorization"], "Basic dXNlcjpwYXNz");
    let lying = Shelf::look(&house.data(), &shelf::Asked::default()).expect("a list");
    let list: Vec<_> = lying.iter().map(Lying::describe).collect();
    assert_eq!(list.len(), 1);
    assert_eq!((list[0].id.as_u128(), list[0].attempts), (5, 0));
    assert!(list[0].reason.contains("U+0000"), "{}", list[0].reason);
    lanes.stop().await;
}

#[tokio::test]
async fn the_cursor_waits_until_the_server_stores() {
    let house = House::new();
    let store = Arc::new(Mutex::new(Store::default()));
    let (other, mut is_down) = (Arc::clone(&store), false);
    let mut server = Server::start(move |asked| {
        let mut store = other.lock().expect("a store");
        // It goes down once, and loses what it has only acknowledged.
        if !is_down && store.memory.iter().any(|(id, _)| id.as_u128() == 20) {
            is_down = true;
            store.memory.clear();
            return Some(status(503));
        }
        Some(store.answer(asked))
    })
    .await;
    let lanes = house.lanes(&[prefect(&server)]);
    for number in 0..40 {
        house.append([number]).await;
        tokio::task::yield_now().await;
    }
    until_drained(&lanes).await;
    assert!(store.lock().expect("a store").stored.keys().map(Uuid::as_u128).eq(0..40));
    assert_eq!(lanes.board()()[0].parked, 0);
    assert!(!lanes.board()()[0].failing);
    let asked = server.until(|_| true).await;
    let sent = asked.iter().filter(|asked| asked.path == "/api/events");
    let sent: usize = sent.map(|asked| asked.numbers().len()).sum();
    assert!((41..=120).contains(&sent), "{sent} events sent");
    assert!(store.lock().expect("a store").repeats_max < 20);
    lanes.stop().await;
}

#[tokio::test]
async fn what_is_stored_already_is_not_sent_after_a_crash() {
    let house = House::new();
    let store = Arc::new(Mutex::new(Store::default()));
    let other = Arc::clone(&store);
    let answer = move |asked: &Asked| Some(other.lock().expect("a store").answer(asked));
    let server = Server::start(answer).await;
    let to = prefect(&server);
    house.append(0..200).await;
    let small = format!("{to}?batch_events=50");
    let lanes = house.lanes(std::slice::from_ref(&small));
    until_drained(&lanes).await;
    lanes.stop().await;
    // The cursor is far behind, and the server lost some of what it only had in memory.
    drop(house.spool.reader_again(&to, OnFull::Hold).expect("a reader"));
    let is_lost = |id: &Uuid| matches!(id.as_u128(), 0..=59 | 111 | 112 | 190);
    store.lock().expect("a store").stored.retain(|id, _| !is_lost(id));
    house.append(200..205).await;
    let lanes = house.lanes(&[small]);
    until_drained(&lanes).await;
    assert_eq!(lanes.board()()[0].parked, 0);
    lanes.stop().await;
    // What was found there is remembered as what it is.
    let found = house.shelf.attempts(|one| one.is_taken && !one.what.is_empty()).await;
    let found = found.expect("attempts").found;
    assert!(!found.is_empty() && found.iter().all(|one| one.what == "kept there already"));
    let store = store.lock().expect("a store");
    assert!(store.stored.keys().map(Uuid::as_u128).eq(0..205));
    assert!(store.repeats_max < 20, "{}", store.repeats_max);
}

#[tokio::test]
async fn a_server_that_answers_no_more_is_not_believed() {
    let house = House::new();
    let (store, is_mute) =
        (Arc::new(Mutex::new(Store::default())), Arc::new(AtomicBool::new(false)));
    let (other, mute) = (Arc::clone(&store), Arc::clone(&is_mute));
    let server = Server::start(move |asked| {
        let is_lost = mute.load(Ordering::Relaxed) && asked.path.ends_with("/filter");
        Some(if is_lost { status(404) } else { other.lock().expect("a store").answer(asked) })
    });
    let server = server.await;
    let lanes = house.lanes(&[prefect(&server)]);
    house.append(0..3).await;
    until_drained(&lanes).await;
    is_mute.store(true, Ordering::Relaxed);
    house.append(3..6).await;
    let fault = until(|| lanes.board()()[0].last_fault.clone()).await;
    assert!(fault.contains("not say any more what it keeps"), "{fault}");
    assert!(lanes.board()()[0].lag.frames >= 3);
    is_mute.store(false, Ordering::Relaxed);
    until_drained(&lanes).await;
    lanes.stop().await;
    let store = store.lock().expect("a store");
    let ours = store.stored.keys().map(Uuid::as_u128).filter(|id| *id < 100);
    assert!(ours.eq(0..6), "{:?}", store.stored);
}

#[tokio::test]
async fn a_question_that_is_refused_while_the_server_is_away_says_nothing() {
    const TAKEN: u16 = 204;
    // As a proxy whose server is not there yet; and the same of one that goes with all that it took.
    for answers in [&[404, 404][..], &[503, TAKEN, 503, 404]] {
        let house = House::new();
        let store = Arc::new(Mutex::new(Store::default()));
        let (other, mut answers) = (Arc::clone(&store), answers.iter());
        let server = Server::start(move |asked| {
            let mut store = other.lock().expect("a store");
            Some(match answers.next() {
                None | Some(&TAKEN) => store.answer(asked),
                Some(code) => {
                    store.memory.clear();
                    status(*code)
                }
            })
        });
        let server = server.await;
        house.append(0..5).await;
        let lanes = house.lanes(&[prefect(&server)]);
        until_drained(&lanes).await;
        lanes.stop().await;
        // What was only acknowledged would still be in memory.
        let store = store.lock().expect("a store");
        assert!((0..5).all(|id| store.stored.contains_key(&Uuid::from_u128(id))), "{store:?}");
    }
}

#[tokio::test]
async fn a_server_that_refuses_every_question_for_long_is_believed_again() {
    let house = House::new();
    let (store, is_mute) =
        (Arc::new(Mutex::new(Store::default())), Arc::new(AtomicBool::new(false)));
    let mute = Arc::clone(&is_mute);
    let server = Server::start(move |asked| {
        let is_lost = mute.load(Ordering::Relaxed) && asked.path.ends_with("/filter");
        Some(if is_lost { status(403) } else { store.lock().expect("a store").answer(asked) })
    });
    let mut server = server.await;
    let tempo = Tempo { memory: Duration::from_millis(200), ..brisk() };
    let lanes = house.lanes_at(tempo, &[prefect(&server)]);
    house.append(0..3).await;
    until_drained(&lanes).await;
    is_mute.store(true, Ordering::Relaxed);
    house.append(3..9).await;
    until_drained(&lanes).await;
    let asked = server.until(|_| true).await;
    let sent: Vec<_> = asked.iter().filter(|asked| asked.path == "/api/events").collect();
    let ids: Vec<_> = sent.iter().flat_map(|asked| asked.numbers()).collect();
    assert!((3..9).all(|number| ids.contains(&number)), "{ids:?}");
    assert_eq!(lanes.board()()[0].parked, 0);
    lanes.stop().await;
}

#[tokio::test]
async fn an_event_that_is_never_stored_is_found_and_parked() {
    let house = House::new();
    let mut store = Store { swallowed: vec![Uuid::from_u128(7)], ..Store::default() };
    let server = Server::start(move |asked| Some(store.answer(asked))).await;
    house.append(0..12).await;
    let short = Duration::from_millis(40);
    let tempo = Tempo { patience: short, memory: short, ..brisk() };
    let lanes = house.lanes_at(tempo, &[prefect(&server)]);
    until(|| (lanes.board()()[0].parked == 1).then_some(())).await;
    let lying = Shelf::look(&house.data(), &shelf::Asked::default()).expect("a list");
    let list: Vec<_> = lying.iter().map(Lying::describe).collect();
    assert_eq!(list[0].id.as_u128(), 7);
    assert!(list[0].reason.contains("never kept"), "{}", list[0].reason);
    until_drained(&lanes).await;
    assert_eq!(lanes.board()()[0].parked, 1);
    // Tried again, it is lost again, and keeps nothing else from going.
    assert_eq!(house.shelf.retry(shelf::Asked::default()).await, Ok(1));
    house.append([20]).await;
    until_drained(&lanes).await;
    let lies = || Shelf::look(&house.data(), &shelf::Asked::default()).expect("a list");
    until(|| (lies()[0].aside.standing == shelf::Standing::Refused).then_some(())).await;
    assert!(lies()[0].aside.attempts > list[0].attempts);
    lanes.stop().await;
}

#[tokio::test]
async fn what_was_only_acknowledged_is_set_aside_once_the_window_is_over() {
    let house = House::new();
    let is_up = Arc::new(AtomicBool::new(true));
    let up = Arc::clone(&is_up);
    let mut server = Server::start(move |asked| {
        let is_post = asked.path == "/api/events";
        Some(status(if is_post && up.load(Ordering::Relaxed) { 204 } else { 503 }))
    })
    .await;
    house.append(0..3).await;
    let window = Duration::from_secs(3);
    let lanes = house.lanes_at(Tempo { window, ..brisk() }, &[prefect(&server)]);
    server.until_taken(3).await;
    is_up.store(false, Ordering::Relaxed);
    server.until(|asked| asked.len() > 20).await;
    assert_eq!(lanes.board()()[0].parked, 0);
    house.clock.advance_seconds(3);
    until(|| (lanes.board()()[0].parked >= 3).then_some(())).await;
    let lying = Shelf::look(&house.data(), &shelf::Asked::default()).expect("a list");
    let ids: Vec<_> = lying.iter().take(3).map(|one| one.aside.event.id.as_u128()).collect();
    assert_eq!(ids, [0, 1, 2]);
    assert!(lying[0].aside.reason.contains("within 3 seconds"), "{lying:?}");
    lanes.stop().await;
}

#[tokio::test]
async fn a_question_that_goes_well_after_some_that_failed_ends_the_failing() {
    let house = House::new();
    let mut questions = 0;
    let server = Server::start(move |asked| {
        if asked.path == "/api/events" {
            return Some(status(204));
        }
        questions += 1;
        let question: Value = serde_json::from_str(&asked.body).unwrap_or_default();
        let count = question["filter"]["id"]["id"].as_array().map_or(0, Vec::len);
        let text = format!("{{\"events\":[],\"total\":{count},\"next_page\":null}}");
        Some(if questions <= 10 { status(503) } else { body(200, &text) })
    })
    .await;
    let path = house.path("out.ndjson");
    let file = Destination::parse(&format!("file:{}", path.display())).expect("a destination");
    let fields = json!({"to": prefect(&server), "filter": {"event": {"name": ["a"]}}});
    let records = [record(1, &fields)];
    house.place(&records[0], Start::Now);
    let lanes = Forwarder::start_at(brisk(), vec![file], &records, house.ground()).expect("lanes");
    house.append_named("a", [1]).await;
    let told = |name: &str| lines(&path).iter().any(|line| line["event"] == name);
    until(|| told("hookgate.destination.failing").then_some(())).await;
    until(|| told("hookgate.destination.recovered").then_some(())).await;
    lanes.stop().await;
    assert_eq!(house.shelf.failing(Uuid::from_u128(1)).await, Ok(None));
}

#[tokio::test]
async fn what_happened_years_apart_is_found_by_a_server_that_looks_back_two_weeks() {
    let house = House::new();
    let mut store = Store { span_max_seconds: Some(14 * 86_400), ..Store::default() };
    let mut server = Server::start(move |asked| Some(store.answer(asked))).await;
    let days = [20_000, 20_003, 20_400, 0, 20_001];
    for (number, day) in (0..).zip(days) {
        let id = Uuid::from_u128(number);
        let occurred = Time::from_micros(0).plus_seconds(day * 86_400);
        let labels = [("prefect.resource.id", &*format!("test.{number}"))];
        house.append_event(event::compose(occurred, "test", &labels, &[], "{}", id, None)).await;
    }
    let lanes = house.lanes(&[prefect(&server)]);
    until_drained(&lanes).await;
    let asked = server.until_answered(|_| true).await;
    let questions = asked.iter().filter(|(asked, _)| asked.path.ends_with("/filter"));
    let statuses: Vec<_> = questions.map(|(_, status)| *status).collect();
    assert!(statuses.len() >= 3 && statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(lanes.board()()[0].parked, 0);
    let sent = asked.iter().filter(|(asked, _)| asked.path == "/api/events");
    assert_eq!(sent.map(|(asked, _)| asked.events().len()).sum::<usize>(), days.len());
    lanes.stop().await;
}

/// A server that takes all events and says so to each question is asked once, and believed.
async fn check_asked_once(answer: impl Fn() -> Response<Body> + Send + 'static) {
    let house = House::new();
    let mut server = Server::start(move |asked| {
        Some(if asked.path == "/api/events" { status(204) } else { answer() })
    })
    .await;
    // What is there before the first lane was never sent: nothing is asked of it.
    house.append(0..3).await;
    let lanes = house.lanes(&[prefect(&server)]);
    until_drained(&lanes).await;
    house.append(3..9).await;
    until_drained(&lanes).await;
    let asked = server.until(|_| true).await;
    assert_eq!(asked.iter().filter(|asked| asked.path.ends_with("/filter")).count(), 1);
    lanes.stop().await;
}

#[tokio::test]
async fn a_server_that_answers_no_questions_is_believed() {
    check_asked_once(|| status(404)).await;
}

#[tokio::test]
async fn a_server_that_counts_whatever_it_has_is_asked_once() {
    check_asked_once(|| body(200, "{\"events\":[],\"total\":1000,\"next_page\":null}")).await;
}

#[tokio::test]
async fn events_that_are_never_stored_are_found_together() {
    let house = House::new();
    let lost = [7, 23, 41];
    let mut store = Store { swallowed: lost.map(Uuid::from_u128).into(), ..Store::default() };
    let mut server = Server::start(move |asked| Some(store.answer(asked))).await;
    house.append(0..60).await;
    let [patience, memory] = [40, 160].map(Duration::from_millis);
    let to = format!("{}?batch_events=5", prefect(&server));
    let lanes = house.lanes_at(Tempo { patience, memory, ..brisk() }, &[to]);
    until(|| (lanes.board()()[0].parked == 3).then_some(())).await;
    until_drained(&lanes).await;
    let asked = server.until(|_| true).await;
    let sent = asked.iter().filter(|asked| asked.path == "/api/events");
    let all: Vec<_> = sent.flat_map(Asked::numbers).collect();
    let times = lost.map(|id| all.iter().filter(|sent| u128::from(**sent) == id).count());
    assert!(times.iter().all(|times| (3..=5).contains(times)), "{times:?}");
    lanes.stop().await;
}

#[tokio::test]
async fn a_server_that_was_away_for_long_is_not_believed_for_that() {
    let house = House::new();
    let store = Arc::new(Mutex::new(Store::default()));
    let is_away = Arc::new(AtomicBool::new(false));
    let (other, away, mut times) = (Arc::clone(&store), Arc::clone(&is_away), 0);
    let server = Server::start(move |asked| {
        // As a proxy in front of a server that is gone.
        if away.load(Ordering::Relaxed) {
            return Some(status(404));
        }
        let mut store = other.lock().expect("a store");
        let answer = store.answer(asked);
        // It goes twice, with all that it has only acknowledged.
        if times < 2 && store.memory.iter().any(|(id, _)| id.as_u128() == [5, 20][times]) {
            times += 1;
            store.memory.clear();
            away.store(true, Ordering::Relaxed);
        }
        Some(answer)
    });
    let server = server.await;
    let memory = Duration::from_millis(100);
    let tempo = Tempo { patience: memory, memory, ..brisk() };
    let lanes = house.lanes_at(tempo, &[prefect(&server)]);
    house.append(0..3).await;
    until_drained(&lanes).await;
    for numbers in [3..6, 20..22] {
        house.append(numbers).await;
        until(|| is_away.load(Ordering::Relaxed).then_some(())).await;
        tokio::time::sleep(6 * memory).await;
        is_away.store(false, Ordering::Relaxed);
        until_drained(&lanes).await;
    }
    assert_eq!(lanes.board()()[0].parked, 0);
    lanes.stop().await;
    let store = store.lock().expect("a store");
    let ours = store.stored.keys().map(Uuid::as_u128).filter(|id| *id < 100);
    assert!(ours.eq((0..6).chain(20..22)), "{:?}", store.stored);
}

#[tokio::test]
async fn a_server_that_takes_events_and_answers_no_question_is_believed_and_asked_again() {
    let house = House::new();
    let store = Arc::new(Mutex::new(Store::default()));
    let is_mute = Arc::new(AtomicBool::new(false));
    let (other, mute) = (Arc::clone(&store), Arc::clone(&is_mute));
    let server = Server::start(move |asked| {
        let is_lost = mute.load(Ordering::Relaxed) && asked.path.ends_with("/filter");
        Some(if is_lost { status(503) } else { other.lock().expect("a store").answer(asked) })
    });
    let server = server.await;
    let memory = Duration::from_millis(100);
    let tempo = Tempo { patience: memory, memory, ..brisk() };
    let lanes = house.lanes_at(tempo, &[prefect(&server)]);
    house.append(0..3).await;
    until_drained(&lanes).await;
    is_mute.store(true, Ordering::Relaxed);
    house.append(3..6).await;
    until_drained(&lanes).await;
    assert_eq!(lanes.board()()[0].parked, 0);
    is_mute.store(false, Ordering::Relaxed);
    // What nobody asks for is not stored there.
    let has = |id| store.lock().expect("a store").stored.contains_key(&Uuid::from_u128(id));
    let mut next = 20;
    while !has(20) {
        house.append([next]).await;
        next += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(next < 1000, "it is asked no more");
    }
    until_drained(&lanes).await;
    lanes.stop().await;
}
