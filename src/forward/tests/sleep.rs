//! Destinations with nothing to do: they sleep where the dispatcher is, and miss nothing.

use serde_json::json;

use super::records::record;
use super::server::{Server, status};
use super::*;
use crate::spool::{DISPATCHER, track_of};
use crate::store::Change;

fn wanting(number: u128, server: &Server, name: &str) -> Record {
    let to = format!("http://{}/in", server.address);
    let name = json!({"event": {"name": [name]}});
    record(number, &json!({"to": to, "filter": name, "headers": {"X-Lane": number.to_string()}}))
}

fn has_own_place(house: &House, number: u128) -> bool {
    house.spool.stands(&track_of(Uuid::from_u128(number)))
}

impl House {
    pub(super) fn start(&self, records: &[Record]) -> Forwarder {
        Forwarder::start_at(brisk(), Vec::new(), records, self.ground()).expect("lanes")
    }

    /// The same house after the process ended and began again.
    pub(super) fn again(self) -> Self {
        self.spool.close();
        let data = self.data();
        let Self { folder, clock, shelf, .. } = self;
        let options = Options { free_min_bytes: 0, direct: false, ..Options::default() };
        let opened = Spool::open(&data, options, &clock, &Telemetry::new());
        Self { folder, spool: opened.expect("a spool").0, shelf, clock }
    }
}

#[tokio::test]
async fn one_that_sleeps_has_no_place_and_is_woken_by_what_it_wants() {
    let house = House::new();
    let mut server = Server::start(|_| Some(status(204))).await;
    let lanes = house.posts(&[wanting(1, &server, "a"), wanting(2, &server, "b")]);
    let asleep = |number| (!has_own_place(&house, number)).then_some(());
    until(|| asleep(1).and(asleep(2))).await;
    house.append_named("c", 0..5).await;
    until(|| (house.spool.lag(DISPATCHER)?.frames == 0).then_some(())).await;
    assert!(!has_own_place(&house, 1) && !has_own_place(&house, 2), "nobody was woken");
    for round in 1..=20 {
        house.append_named("a", [round * 10]).await;
        house.append_named("c", [round * 10 + 1]).await;
        server.until_taken(round as usize).await;
        if round % 5 == 0 {
            until(|| asleep(1)).await;
        }
        assert!(!has_own_place(&house, 2), "the other one sleeps on");
    }
    let expected: Vec<_> = (1..=20).map(|round| round * 10).collect();
    assert_eq!(server.until_taken(20).await, expected);
    lanes.stop().await;
}

#[tokio::test]
async fn what_comes_while_nothing_runs_is_delivered_to_those_that_slept() {
    let mut house = House::new();
    let mut server = Server::start(|_| Some(status(204))).await;
    let records = [wanting(1, &server, "a"), wanting(2, &server, "b")];
    let lanes = house.posts(&records);
    house.append_named("a", [1]).await;
    server.until_taken(1).await;
    until(|| (!has_own_place(&house, 1) && !has_own_place(&house, 2)).then_some(())).await;
    lanes.stop().await;
    for round in 0..3 {
        house = house.again();
        let first = 10 + round * 10;
        house.append_named("b", [first]).await;
        house.append_named("a", [first + 1]).await;
        let lanes = house.start(&records);
        let so_far = 3 + 2 * round as usize;
        let mut taken = server.until_taken(so_far).await.split_off(so_far - 2);
        taken.sort_unstable();
        assert_eq!(taken, [first, first + 1]);
        until(|| (lanes.board()().iter().all(|one| one.lag.frames == 0)).then_some(())).await;
        lanes.stop().await;
    }
}

#[tokio::test]
async fn many_that_are_down_do_not_keep_one_from_its_turn() {
    const DOWN: u128 = 600;
    let house = House::new();
    let dead = Server::start(|_| Some(status(503))).await;
    let mut server = Server::start(|_| Some(status(204))).await;
    let mut records: Vec<_> = (1..=DOWN).map(|number| wanting(number, &dead, "a")).collect();
    records.push(wanting(DOWN + 1, &server, "a"));
    let tempo = Tempo { first: Duration::from_mins(1), most: Duration::from_mins(1), ..brisk() };
    for record in &records {
        house.spool.stand(&track_of(record.id), OnFull::DropOldest, 1);
    }
    let ground = house.ground();
    let lanes = Forwarder::start_at(tempo, Vec::new(), &records, ground).expect("lanes");
    house.append_named("a", [1]).await;
    server.until_taken(1).await;
    until(|| (lanes.board()().iter().filter(|one| one.failing).count() == 600).then_some(())).await;
    house.append_named("a", [2]).await;
    assert_eq!(server.until_taken(2).await, [1, 2]);
    let change = lanes.watcher();
    change(&Change::DestinationGone(Uuid::from_u128(1)));
    until(|| (!has_own_place(&house, 1)).then_some(())).await;
    lanes.stop().await;
}

#[tokio::test]
async fn many_that_wait_for_their_pace_do_not_keep_one_from_its_turn() {
    const SLOW: u128 = 300;
    // What waits is let go of meanwhile, or stays in hand; and several requests at a time.
    for more in [
        json!({"rate": "1/h", "burst": 1}),
        json!({"rate": "2/m", "burst": 1}),
        json!({"rate": "1/h", "burst": 1, "concurrency": 2}),
    ] {
        let house = House::new();
        let mut slow = Server::start(|_| Some(status(204))).await;
        let mut server = Server::start(|_| Some(status(204))).await;
        let made = |number| {
            let mut fields = more.clone();
            fields["to"] = json!(format!("http://{}/in", slow.address));
            fields["filter"] = json!({"event": {"name": ["a"]}});
            record(number, &fields)
        };
        let mut records: Vec<_> = (1..=SLOW).map(made).collect();
        records.push(wanting(SLOW + 1, &server, "b"));
        let lanes = house.posts(&records);
        house.append_named("a", [1, 2]).await;
        slow.until_taken(SLOW as usize).await;
        house.append_named("b", [3]).await;
        assert_eq!(server.until_taken(1).await, [3], "{more}");
        assert_eq!(slow.until_taken(SLOW as usize).await.len(), SLOW as usize, "{more}");
        lanes.stop().await;
    }
}

#[tokio::test]
async fn a_new_filter_holds_from_the_next_event_on_for_one_that_sleeps() {
    let house = House::new();
    let mut server = Server::start(|_| Some(status(204))).await;
    let lanes = house.posts(&[wanting(1, &server, "a")]);
    until(|| (!has_own_place(&house, 1)).then_some(())).await;
    house.append_named("b", [1]).await;
    until(|| (house.spool.lag(DISPATCHER)?.frames == 0).then_some(())).await;
    lanes.watcher()(&Change::Destination(Box::new(wanting(1, &server, "b"))));
    until(|| (!has_own_place(&house, 1)).then_some(())).await;
    house.append_named("a", [2]).await;
    house.append_named("b", [3]).await;
    assert_eq!(server.until_taken(1).await, [3]);
    lanes.stop().await;
}
