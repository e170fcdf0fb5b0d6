//! The shelf on a real file: what lies there, in which order it goes, and what does not fit.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::*;
use crate::clock::Time;
use crate::event::Event;

/// A folder that goes when the test ends.
pub(super) struct Folder(pub(super) std::path::PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hookgate-shelf-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const ONE: Uuid = Uuid::from_u128(0x1);
const OTHER: Uuid = Uuid::from_u128(0x2);

fn aside(number: u128, key: &str, standing: Standing) -> Aside {
    Aside {
        name: "shop".to_owned(),
        key: Key::new(Uuid::nil(), None, key),
        standing,
        account: Uuid::nil(),
        workspace: None,
        received: Time::from_micros(1),
        parked: Time::from_micros(2),
        reason: format!("answered 422 to {number}"),
        attempts: 1,
        answer: Some("no".to_owned()),
        hops: 0,
        event: Event {
            id: Uuid::from_u128(number),
            json: format!("{{\"n\":\"{number}\"}}").into_bytes().into(),
        },
    }
}

fn numbers(lying: &[Lying]) -> Vec<u128> {
    lying.iter().map(|one| one.aside.event.id.as_u128()).collect()
}

fn only(number: u128) -> Asked {
    let ids = Some(vec![Uuid::from_u128(number)]);
    Asked { destination: Some(ONE), ids, ..Asked::default() }
}

#[tokio::test]
async fn another_name_has_all_that_lay_under_the_first() {
    let folder = Folder::new();
    let shelf = Shelf::open(&folder.0).expect("a shelf");
    let all = vec![aside(1, "a", Standing::Refused), aside(2, "a", Standing::Behind)];
    let had = shelf.put(ONE, all).await.expect("kept");
    shelf.put_holes(ONE, "7".to_owned()).await.expect("kept");
    let failing = Failing {
        since: Time::from_micros(5),
        failures: 2,
        next: Time::from_micros(7),
        wait: Duration::from_secs(1),
        is_told: true,
    };
    shelf.set_failing(ONE, Some(failing)).await.expect("kept");
    for _ in 0..2 {
        shelf.adopt(ONE, OTHER, "named".to_owned()).await.expect("adopted");
        assert_eq!(shelf.counts(OTHER).await, Ok(had));
        assert_eq!(shelf.counts(ONE).await, Ok(Counts::default()));
    }
    let lying = shelf.list(Asked::default(), 9, 0).await.expect("a list");
    assert!(lying.iter().all(|one| one.aside.name == "named"), "{lying:?}");
    assert_eq!(shelf.failing(OTHER).await, Ok(Some(failing)));
    assert_eq!(shelf.take_holes(OTHER).await.expect("holes").as_deref(), Some("7"));
    shelf.put(OTHER, vec![aside(3, "b", Standing::Refused)]).await.expect("kept");
    assert_eq!(shelf.counts(OTHER).await.expect("counted").events, 3);
}

#[tokio::test]
async fn what_lies_at_another_name_already_lies_there_once() {
    let folder = Folder::new();
    let shelf = Shelf::open(&folder.0).expect("a shelf");
    let some = |numbers: &[u128]| {
        numbers.iter().map(|number| aside(*number, "a", Standing::Refused)).collect::<Vec<_>>()
    };
    shelf.put(ONE, some(&[1, 2, 3])).await.expect("kept");
    shelf.put(OTHER, some(&[2, 14])).await.expect("kept");
    assert_eq!(discarded(&shelf, 3).await.0.len(), 1);
    shelf.adopt(ONE, OTHER, "named".to_owned()).await.expect("adopted");
    assert_eq!(shelf.counts(OTHER).await, Ok(Counts { events: 3, bytes: 9 + 9 + 10 }));
    assert_eq!(shelf.counts(ONE).await, Ok(Counts::default()));
    let lying = shelf.list(Asked::default(), 9, 0).await.expect("a list");
    assert!(lying.iter().all(|one| one.destination == OTHER), "{lying:?}");
    let mut lie = numbers(&lying);
    lie.sort_unstable();
    assert_eq!(lie, [1, 2, 14]);
    let three = Uuid::from_u128(3);
    let told = shelf.discarded(Uuid::nil(), vec![three]).await;
    assert_eq!(told, Ok(vec![(OTHER, three)]), "what was let go of is, by whatever name");
}

const MOST: Most = Most { events: 9, bytes: 1000 };

async fn due(shelf: &Shelf) -> Vec<Lying> {
    shelf.due(ONE, 0, MOST).await.expect("due")
}

async fn discarded(shelf: &Shelf, number: u128) -> (Vec<Uuid>, u64) {
    let gone = shelf.discard(only(number)).await.expect("gone");
    (gone.ids, gone.on_their_way)
}

#[tokio::test]
async fn nothing_overtakes_a_refused_one_of_its_key() {
    use Standing::{Behind, Refused};
    let folder = Folder::new();
    let shelf = Shelf::open(&folder.0).expect("a shelf");
    let all = vec![
        aside(1, "a", Refused),
        aside(2, "b", Refused),
        aside(3, "a", Behind),
        aside(4, "b", Behind),
        aside(5, "a", Refused),
        aside(6, "a", Behind),
    ];
    let counts = shelf.put(ONE, all.clone()).await.expect("kept");
    assert_eq!(shelf.put(ONE, all[..2].to_vec()).await, Ok(counts), "each is kept once");
    shelf.put(OTHER, vec![aside(1, "a", Refused)]).await.expect("kept for another, too");
    assert_eq!(counts.events, 6);
    let (keys, begun) = shelf.begin(ONE).await.expect("keys");
    assert_eq!((keys.len(), begun), (2, counts));
    assert!(due(&shelf).await.is_empty());
    let asked = Asked { ids: Some([3, 5].map(Uuid::from_u128).to_vec()), ..only(0) };
    let called = shelf.retrying(asked).await.expect("a change").commit().await.expect("called");
    let waits = Called { waiting: 2, behind: vec![Uuid::from_u128(1)], ..Called::default() };
    assert_eq!(called, waits, "what was refused before stands before them");
    assert!(due(&shelf).await.is_empty());
    let mut news = shelf.news();
    assert_eq!(shelf.retry(only(1)).await, Ok(1));
    assert!(news.has_changed().expect("a shelf"));
    news.mark_unchanged();
    let some = due(&shelf).await;
    assert_eq!(numbers(&some), [1, 3], "and no further than the next that was refused");
    assert!(due(&shelf).await.is_empty(), "in hand");
    let places = some.iter().map(|one| one.number).collect();
    let left = shelf.done(ONE, places).await.expect("gone");
    assert_eq!((left.counts.events, left.free.len(), left.has_more), (4, 0, true));
    assert_eq!(discarded(&shelf, 5).await, (vec![Uuid::from_u128(5)], 0));
    let some = due(&shelf).await;
    assert_eq!(numbers(&some), [6], "what lay behind what is gone");
    shelf.refused(some[0].number, "500".to_owned(), None, 2).await.expect("refused again");
    assert!(due(&shelf).await.is_empty());
    let places = vec![some[0].number];
    let left = shelf.done(ONE, places).await.expect("gone");
    assert_eq!((left.free, left.has_more), (vec![some[0].aside.key], false));
    drop(shelf);
    let again = Shelf::open(&folder.0).expect("a shelf");
    let by_reason =
        Asked { destination: Some(ONE), reason: Some("ANSWERED".to_owned()), ..Asked::default() };
    assert_eq!(numbers(&again.list(by_reason, 9, 0).await.expect("a list")), [2, 4]);
    again.forget(ONE).await.expect("forgotten");
    let rest = Shelf::look(&folder.0, &Asked::default()).expect("a list");
    assert_eq!((numbers(&rest), rest[0].destination), (vec![1], OTHER));
}

#[tokio::test]
async fn where_no_order_is_kept_nothing_waits() {
    use Standing::{Behind, Due, Refused};
    let folder = Folder::new();
    let shelf = Shelf::open(&folder.0).expect("a shelf");
    let all = [(1, Refused), (2, Behind), (3, Due), (4, Refused), (5, Behind)];
    let all = all.map(|(number, standing)| aside(number, "a", standing)).to_vec();
    shelf.put(ONE, all).await.expect("kept");
    shelf.put(OTHER, vec![aside(1, "a", Refused), aside(2, "a", Behind)]).await.expect("kept");
    assert!(due(&shelf).await.is_empty());
    let mut news = shelf.news();
    shelf.set_free(ONE).await.expect("free");
    assert!(news.has_changed().expect("a shelf"));
    news.mark_unchanged();
    shelf.set_free(ONE).await.expect("free");
    assert!(!news.has_changed().expect("a shelf"), "they are free");
    assert_eq!(numbers(&due(&shelf).await), [2, 3, 5]);
    assert!(shelf.due(OTHER, 0, MOST).await.expect("due").is_empty(), "another keeps its order");
    let whole = || Asked { destination: Some(ONE), ..Asked::default() };
    let last = Asked { ids: Some(vec![Uuid::from_u128(4)]), ..whole() };
    for (asked, count, on_their_way) in [(last, 1, 0), (whole(), 1, 4)] {
        let called = shelf.retrying(asked).await.expect("a change").commit().await;
        let called = called.expect("called");
        assert_eq!(called, Called { count, on_their_way, ..Called::default() });
    }
}

#[tokio::test]
async fn a_full_shelf_takes_none_of_what_is_too_much() {
    let folder = Folder::new();
    assert!(Shelf::look(&folder.0, &Asked::default()).expect("nothing").is_empty());
    let shelf = Shelf::open(&folder.0).expect("a shelf");
    let most = u128::from(EVENTS_MAX);
    let all = (0..most).map(|number| aside(number, "a", Standing::Behind)).collect();
    shelf.put(ONE, all).await.expect("kept");
    let more = vec![aside(1, "a", Standing::Behind), aside(most, "a", Standing::Behind)];
    let fault = shelf.put(ONE, more.clone()).await.expect_err("full").to_string();
    assert!(fault.contains("10001 events") && fault.contains("discard"), "{fault}");
    assert_eq!(shelf.counts(ONE).await.expect("counts").events, EVENTS_MAX);
    shelf.put(ONE, more[..1].to_vec()).await.expect("lies there already");
    shelf.put(OTHER, more).await.expect("another's bound is its own");
}

#[tokio::test]
async fn what_another_process_does_is_noticed() {
    let folder = Folder::new();
    let shelf = Shelf::open(&folder.0).expect("a shelf");
    shelf.put(ONE, vec![aside(1, "a", Standing::Refused)]).await.expect("kept");
    let news = shelf.news();
    shelf.notice_others().await.expect("a look");
    shelf.notice_others().await.expect("a look");
    assert!(!news.has_changed().expect("a shelf"));
    let other = Shelf::open(&folder.0).expect("the same shelf");
    assert_eq!(other.retry(Asked::default()).await, Ok(1));
    shelf.notice_others().await.expect("a look");
    assert!(news.has_changed().expect("a shelf"));
    assert_eq!(numbers(&due(&shelf).await), [1]);
}

#[tokio::test]
async fn what_is_on_its_way_is_not_let_go_of_and_nothing_changes_before_it_is_agreed_to() {
    let folder = Folder::new();
    let shelf = Shelf::open(&folder.0).expect("a shelf");
    let all = (1..5).map(|number| aside(number, &number.to_string(), Standing::Refused)).collect();
    shelf.put(ONE, all).await.expect("kept");
    let pending = shelf.retrying(only(1)).await.expect("a change");
    assert_eq!(pending.did(), &Called { count: 1, ..Called::default() });
    drop(pending);
    assert!(due(&shelf).await.is_empty(), "nobody agreed");
    for number in [1, 2, 3] {
        assert_eq!(shelf.retry(only(number)).await, Ok(1));
    }
    let two = Most { events: 2, ..MOST };
    let some = shelf.due(ONE, 0, two).await.expect("due");
    assert_eq!(numbers(&some), [1, 2]);
    let own = Asked { destination: Some(ONE), ..Asked::default() };
    let pending = shelf.discarding(own.clone(), 9).await.expect("a change");
    assert_eq!((pending.did().ids.len(), pending.did().on_their_way), (2, 2));
    let gone = pending.commit().await.expect("gone");
    assert_eq!(gone.ids, [Uuid::from_u128(3), Uuid::from_u128(4)]);
    let all = (1..5).map(Uuid::from_u128).collect::<Vec<_>>();
    let told = shelf.discarded(Uuid::nil(), all.clone()).await.expect("read");
    assert_eq!(told, [(ONE, all[2]), (ONE, all[3])]);
    assert!(shelf.discarded(OTHER, all).await.expect("read").is_empty(), "of another workspace");
    shelf.put_back(Some(ONE)).await.expect("put back");
    assert_eq!(shelf.discarding(own, 1).await.expect("a change").did().ids.len(), 1, "bounded");
    assert_eq!(numbers(&due(&shelf).await), [1, 2], "as before");
    assert_eq!(shelf.counts(ONE).await.expect("counts").events, 2);
}

#[tokio::test]
async fn a_file_of_before_is_brought_up() {
    let folder = Folder::new();
    let shelf = Shelf::open(&folder.0).expect("a shelf");
    let all = (1..4).map(|number| aside(number, "a", Standing::Refused)).collect();
    let counts = shelf.put(ONE, all).await.expect("kept");
    drop(shelf);
    let old = Connection::open(folder.0.join(FILE_NAME)).expect("a file");
    let third = "ALTER TABLE failing DROP COLUMN told; ALTER TABLE failing DROP COLUMN failures;
                 ALTER TABLE failing DROP COLUMN next; ALTER TABLE failing DROP COLUMN wait;
                 INSERT INTO failing VALUES (zeroblob(16), 7); PRAGMA user_version = 3;";
    let second = "DROP TRIGGER aside_came; DROP TRIGGER aside_went; DROP TABLE tally;
                  ALTER TABLE aside DROP COLUMN in_hand; PRAGMA user_version = 2;";
    old.execute_batch(third).expect("the third version");
    old.execute_batch(second).expect("the second version");
    drop(old);
    let shelf = Shelf::open(&folder.0).expect("a shelf");
    let moment = Time::from_micros;
    let (next, wait) = (moment(0), Duration::ZERO);
    let mut failing = Failing { since: moment(7), failures: 0, next, wait, is_told: true };
    assert_eq!(shelf.failing(Uuid::nil()).await, Ok(Some(failing)), "it was told when it was kept");
    (failing.failures, failing.next, failing.is_told) = (9, moment(8), false);
    failing.wait = Duration::from_micros(5);
    shelf.set_failing(Uuid::nil(), Some(failing)).await.expect("kept");
    assert_eq!(shelf.failing(Uuid::nil()).await, Ok(Some(failing)));
    shelf.set_failing(Uuid::nil(), None).await.expect("kept");
    assert_eq!(shelf.failing(Uuid::nil()).await, Ok(None));
    assert_eq!(shelf.counts(ONE).await, Ok(counts));
    assert_eq!(discarded(&shelf, 2).await.0.len(), 1);
    assert_eq!(shelf.counts(ONE).await.expect("counts").events, 2);
    drop(shelf);
    let old = Connection::open(folder.0.join(FILE_NAME)).expect("a file");
    old.execute_batch(third).expect("the third version");
    drop(old);
    let shelf = Shelf::open(&folder.0).expect("a shelf");
    assert_eq!(shelf.counts(ONE).await.expect("counts").events, 2);
    assert!(shelf.failing(Uuid::nil()).await.expect("an answer").is_some());
    drop(shelf);
    let old = Connection::open(folder.0.join(FILE_NAME)).expect("a file");
    old.execute_batch("DROP TABLE gone").expect("the fourth version as it was at first");
    drop(old);
    let shelf = Shelf::open(&folder.0).expect("a shelf");
    let gone = shelf.discarded(Uuid::nil(), vec![Uuid::from_u128(2)]).await;
    assert_eq!(gone, Ok(Vec::new()));
    assert_eq!(discarded(&shelf, 3).await.0.len(), 1);
}
