//! What is refused is set aside by key: others go on, nothing overtakes, and what is called up goes out in order.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::records::record;
use super::server::{Server, status};
use super::*;
use crate::shelf::{Asked, Standing};

fn http(server: &Server) -> String {
    format!("http://{}/", server.address)
}

/// The numbers that were taken of one resource.
fn of(taken: &[u64], resource: u64) -> Vec<u64> {
    taken.iter().copied().filter(|number| number % 10 == resource).collect()
}

/// A server that an event with this word breaks.
async fn fragile() -> Server {
    let answer = |poison| Some(status(if poison { 500 } else { 204 }));
    Server::start(move |asked| answer(asked.body.contains("poison"))).await
}

/// A destination that hears of nothing but what a test appends.
fn plain(server: &Server, batch: u64) -> [Record; 1] {
    let filter = json!({"event": {"name": ["test"]}});
    [record(1, &json!({"to": http(server), "filter": filter, "batch_events": batch}))]
}

/// An event of the resource that its last digit names.
fn of_ten(number: u64, word: &str) -> Event {
    about(&format!("resource.{}", number % 10), number, word)
}

#[tokio::test]
async fn a_refused_key_waits_alone_and_goes_on_in_order() {
    for refusal in [422, 500] {
        let house = House::new();
        let is_mended = Arc::new(AtomicBool::new(false));
        let mended = Arc::clone(&is_mended);
        let mut server = Server::start(move |asked| {
            let bad = !mended.load(Ordering::Relaxed) && asked.body.contains("poison");
            Some(status(if bad { refusal } else { 204 }))
        })
        .await;
        for number in 0..200 {
            let word = if number == 23 { "poison" } else { "" };
            house.append_event(of_ten(number, word)).await;
        }
        let lanes = house.lanes(&[http(&server)]);
        let held: Vec<u64> = (23..200).step_by(10).collect();
        let good: Vec<u64> = (0..200).filter(|number| !held.contains(number)).collect();
        let mut taken = server.until_taken(good.len()).await;
        until(|| (lanes.board()()[0].parked == held.len() as u64).then_some(())).await;
        for resource in 0..10 {
            assert!(of(&taken, resource).is_sorted(), "{refusal}: {taken:?}");
        }
        taken.sort_unstable();
        assert_eq!(taken, good);
        until(|| (lanes.board()()[0].lag.frames == 0).then_some(())).await;
        let lying = house.shelf.list(Asked::default(), 100, 0).await.expect("a list");
        let standings: Vec<_> = lying.iter().map(|one| one.aside.standing.name()).collect();
        assert_eq!(standings[..2], ["refused", "behind"]);
        // Refused once more, nothing of its key goes out.
        assert_eq!(house.shelf.retry(Asked::default()).await, Ok(held.len() as u64));
        let attempts = lying[0].aside.attempts;
        until(|| {
            let lying = Shelf::look(&house.data(), &Asked::default()).expect("a list");
            let first = &lying[0].aside;
            (first.standing == Standing::Refused && first.attempts > attempts).then_some(())
        })
        .await;
        is_mended.store(true, Ordering::Relaxed);
        let again = async {
            while lanes.board()()[0].parked > 0 {
                house.shelf.retry(Asked::default()).await.expect("called up");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(server::PATIENCE, again).await.expect("an end");
        house.append_event(of_ten(203, "")).await;
        let all = server.until_taken(201).await;
        let third: Vec<u64> = (3..204).step_by(10).collect();
        assert_eq!(of(&all, 3), third, "{refusal}: in order, once each");
        lanes.stop().await;
    }
}

#[tokio::test]
async fn what_waits_longer_than_the_window_is_set_aside() {
    let house = House::new();
    let is_up = Arc::new(AtomicBool::new(false));
    let up = Arc::clone(&is_up);
    let mut server =
        Server::start(move |_| Some(status(if up.load(Ordering::Relaxed) { 204 } else { 503 })))
            .await;
    house.append(0..3).await;
    let lanes = house.lanes(&[http(&server)]);
    server.until(|asked| asked.len() > 10).await;
    // A clock that jumps is no wait.
    house.clock.advance_seconds(72 * 3600);
    let asked = server.until(|asked| asked.len() > 10).await.len();
    server.until(|all| all.len() > asked + 10).await;
    assert_eq!(lanes.board()()[0].parked, 0);
    lanes.stop().await;
    house.clock.advance_seconds(72 * 3600);
    house.append([3]).await;
    let lanes = house.lanes(&[http(&server)]);
    // The fourth is the event that says that the destination is down.
    until(|| (lanes.board()()[0].parked == 4).then_some(())).await;
    let lying = Shelf::look(&house.data(), &Asked::default()).expect("a list");
    assert!(lying[0].aside.reason.contains("within 72 hours: answered 503"), "{lying:?}");
    is_up.store(true, Ordering::Relaxed);
    assert_eq!(server.until_taken(1).await, [3], "it has its own time");
    // Events that say that these were parked may lie behind the one that says that the destination is down.
    assert!(matches!(house.shelf.retry(Asked::default()).await, Ok(4..=7)));
    assert_eq!(server.until_taken(4).await, [3, 0, 1, 2]);
    lanes.stop().await;
}

#[tokio::test]
async fn what_lies_aside_stays_over_a_restart_and_what_is_discarded_lets_the_rest_go() {
    let house = House::new();
    let mut server =
        Server::start(|asked| Some(status(if asked.body.contains("poison") { 422 } else { 204 })))
            .await;
    house.append_event(of_ten(3, "poison")).await;
    house.append_event(of_ten(4, "")).await;
    let lanes = house.lanes(&[http(&server)]);
    server.until_taken(1).await;
    until(|| (lanes.board()()[0].parked == 1).then_some(())).await;
    lanes.stop().await;
    house.append_event(of_ten(13, "")).await;
    house.append_event(of_ten(14, "")).await;
    let lanes = house.lanes(&[http(&server)]);
    assert_eq!(server.until_taken(2).await, [4, 14], "its key still waits");
    until(|| (lanes.board()()[0].parked == 2).then_some(())).await;
    let ids = Some(vec![Uuid::from_u128(3)]);
    let gone = house.shelf.discard(Asked { ids, ..Asked::default() }).await;
    assert_eq!(gone.expect("gone").ids, [Uuid::from_u128(3)]);
    assert_eq!(server.until_taken(3).await, [4, 14, 13]);
    until(|| (lanes.board()()[0].parked == 0).then_some(())).await;
    house.append_event(of_ten(23, "")).await;
    assert_eq!(server.until_taken(4).await.last(), Some(&23));
    lanes.stop().await;
}

#[tokio::test]
async fn a_full_shelf_empties_at_once_when_it_is_called_up() {
    const ALL: u64 = 12_000;
    let house = House::new();
    let is_mended = Arc::new(AtomicBool::new(false));
    let mended = Arc::clone(&is_mended);
    let mut server = Server::start(move |asked| {
        let bad = !mended.load(Ordering::Relaxed) && asked.body.contains("poison");
        Some(status(if bad { 422 } else { 204 }))
    })
    .await;
    let of_one = |number| about("one", number, if number == 0 { "poison" } else { "" });
    for first in (0..ALL).step_by(100) {
        let events: Vec<_> = (first..first + 100).map(of_one).collect();
        let frame = Frame::encode(ACCOUNT, None, house.clock.now(), &events, None);
        house.spool.append(frame).await.expect("a receipt");
    }
    // Whoever waited for the shelf instead of emptying it would wait longer than the test.
    let lanes =
        house.lanes_at(Tempo { slow: Duration::from_hours(1), ..brisk() }, &[http(&server)]);
    let is_full =
        |row: &Status| row.last_fault.as_ref().is_some_and(|fault| fault.contains("lie parked"));
    until(|| is_full(&lanes.board()()[0]).then_some(())).await;
    is_mended.store(true, Ordering::Relaxed);
    assert!(house.shelf.retry(Asked::default()).await.expect("called up") > 9_000);
    let taken = server.until_taken(ALL as usize).await;
    let numbers: Vec<u64> = (0..ALL).collect();
    assert!(taken == numbers, "in order, once each");
    until(|| (lanes.board()()[0].parked == 0).then_some(())).await;
    lanes.stop().await;
}

#[tokio::test]
async fn many_that_break_the_destination_side_by_side_are_found_and_parked() {
    let house = House::new();
    let mut server = fragile().await;
    for number in 0..12 {
        house.append_event(event(number, "poison")).await;
    }
    house.append(12..40).await;
    let lanes = house.lanes(&[http(&server)]);
    server.until_taken(28).await;
    until(|| (lanes.board()()[0].parked == 12).then_some(())).await;
    until(|| (lanes.board()()[0].lag.frames == 0).then_some(())).await;
    lanes.stop().await;
}

#[tokio::test]
async fn one_that_breaks_the_destination_and_came_alone_is_parked_once_others_are_taken() {
    // It is there each time, or not each tenth.
    for (batch, pause) in [(500, u32::MAX), (1, u32::MAX), (500, 10)] {
        let house = House::new();
        let mut count = 0;
        let mut server = Server::start(move |asked| {
            count += 1;
            Some(status(match asked.body.contains("poison") {
                _ if count % pause == 0 => 503,
                true => 500,
                false => 204,
            }))
        })
        .await;
        let lanes = house.lanes(&[format!("{}?batch_events={batch}", http(&server))]);
        house.append_event(event(0, "poison")).await;
        // What tells that the destination fails comes behind it, too.
        server.until(|asked| asked.len() > 6).await;
        house.append(1..9).await;
        let taken = server.until_taken(8).await;
        assert!(taken.iter().copied().eq(1..9), "{taken:?}");
        until(|| (lanes.board()()[0].parked == 1).then_some(())).await;
        until(|| (lanes.board()()[0].lag.frames == 0).then_some(())).await;
        lanes.stop().await;
    }
}

#[tokio::test]
async fn two_that_break_the_destination_are_parked_though_others_come_one_by_one() {
    let house = House::new();
    let mut server = fragile().await;
    let lanes = house.posts(&plain(&server, 500));
    for number in 0..40 {
        let word = if number < 2 { "poison" } else { "" };
        house.append_ours(event(number, word)).await;
        server.until_taken((number as usize).saturating_sub(1)).await;
    }
    until(|| (lanes.board()()[0].parked == 2).then_some(())).await;
    lanes.stop().await;
}

#[tokio::test]
async fn others_are_found_behind_many_of_the_same_resource() {
    let house = House::new();
    let mut server = fragile().await;
    let lanes = house.posts(&plain(&server, 50));
    for number in 0..604 {
        let resource = if number < 600 { "hot".to_owned() } else { format!("test.{number}") };
        let word = if number == 0 { "poison" } else { "" };
        house.append_ours(about(&resource, number, word)).await;
    }
    let taken = server.until_taken(4).await;
    assert!(taken.iter().copied().eq(600..604), "{taken:?}");
    until(|| (lanes.board()()[0].parked == 600).then_some(())).await;
    until(|| (lanes.board()()[0].lag.frames == 0).then_some(())).await;
    lanes.stop().await;
}

#[tokio::test]
async fn an_outage_behind_something_taken_parks_nothing() {
    // Once, and again and again.
    for pause in [1000, 24, 17] {
        let house = House::new();
        let mut count = 0;
        let mut server = Server::start(move |_| {
            count += 1;
            Some(status(if count % pause == 4 || count > 150 { 204 } else { 500 }))
        })
        .await;
        house.append(0..100).await;
        let lanes = house.lanes(&[http(&server)]);
        let mut taken = server.until_taken(100).await;
        taken.sort_unstable();
        assert!(taken.iter().copied().eq(0..100), "{taken:?}");
        until(|| (lanes.board()()[0].lag.frames == 0).then_some(())).await;
        assert_eq!(lanes.board()()[0].parked, 0, "{pause}");
        lanes.stop().await;
    }
}

#[tokio::test]
async fn two_that_fail_in_an_outage_are_not_parked_for_one_good_moment() {
    let house = House::new();
    let (mut count, mut is_taken) = (0, false);
    let mut server = Server::start(move |asked| {
        count += 1;
        let is_third = asked.numbers() == [2];
        let is_good = count > 300 || is_third && !std::mem::replace(&mut is_taken, true);
        Some(status(if is_good { 204 } else { 500 }))
    })
    .await;
    let lanes = house.posts(&plain(&server, 500));
    for number in 0..2 {
        house.append_ours(event(number, "")).await;
    }
    server.until(|asked| asked.len() > 50).await;
    house.append_ours(event(2, "")).await;
    let mut taken = server.until_taken(3).await;
    taken.sort_unstable();
    assert_eq!(taken, [0, 1, 2]);
    assert_eq!(lanes.board()()[0].parked, 0);
    lanes.stop().await;
}

#[tokio::test]
async fn what_cannot_be_sent_hides_nobody_from_one_that_breaks_the_destination() {
    // Of its resource, and of another.
    for resource in ["test.0", "test.1"] {
        let house = House::new();
        let mut server = Server::start(|asked| {
            if asked.path.ends_with("/filter") {
                return Some(status(404));
            }
            Some(status(if asked.body.contains("poison") { 500 } else { 204 }))
        })
        .await;
        house.append_event(event(0, "poison")).await;
        house.append_event(about(resource, 1, "\\u0000")).await;
        house.append(2..9).await;
        let to = format!("prefect+http://{}/api?batch_events=1", server.address);
        let lanes = house.lanes(&[to]);
        until(|| (lanes.board()()[0].parked == 2).then_some(())).await;
        until(|| (lanes.board()()[0].lag.frames == 0).then_some(())).await;
        let taken = server.until_taken(7).await;
        assert!(taken.iter().copied().eq(2..9), "{taken:?}");
        lanes.stop().await;
    }
}
