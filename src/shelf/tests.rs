//! The shelf on a real file: what lies there, in which order it goes, and what does not fit.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
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
    assert_eq!(shelf.keys(ONE).await.expect("keys").len(), 2);
    assert!(shelf.due(ONE, 9).await.expect("due").is_empty());
    assert_eq!(shelf.retry(only(3)).await, Ok(1), "called up, and still behind");
    assert!(shelf.due(ONE, 9).await.expect("due").is_empty());
    let mut news = shelf.news();
    assert_eq!(shelf.retry(only(1)).await, Ok(1));
    assert!(news.has_changed().expect("a shelf"));
    news.mark_unchanged();
    let due = shelf.due(ONE, 9).await.expect("due");
    assert_eq!(numbers(&due), [1, 3], "and no further than the next that was refused");
    let places = due.iter().map(|one| one.number).collect();
    assert_eq!(shelf.done(ONE, places).await.expect("gone").events, 4);
    assert_eq!(shelf.discard(only(5)).await, Ok(vec![Uuid::from_u128(5)]));
    let due = shelf.due(ONE, 9).await.expect("due");
    assert_eq!(numbers(&due), [6], "what lay behind what is gone");
    shelf.refused(due[0].number, "500".to_owned(), None, 2).await.expect("refused again");
    assert!(shelf.due(ONE, 9).await.expect("due").is_empty());
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
    assert_eq!(numbers(&shelf.due(ONE, 9).await.expect("due")), [1]);
}
