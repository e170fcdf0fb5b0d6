//! The index beside the plain reading of all events: what questions find, page by page, after retention, restarts,
//! losses and damage.

mod room;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use serde_json::{Value, json};

use super::index::Index;
use super::*;
use crate::clock::Time;
use crate::event::{Event, write_received};
use crate::filter::{Filter, Order, Seen};
use crate::id::Uuid;
use crate::spool::{Frame, Kept};

const ACCOUNT: Uuid = Uuid::from_u128(1);
const WORKSPACE: Uuid = Uuid::from_u128(2);

const NAMES: [&str; 4] =
    ["shop.order.paid", "shop.order.sent", "shop.cart.left", "prefect-cloud.team.created"];

/// A folder of its own that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "hookgate-feed-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
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

fn now() -> Time {
    Time::parse("2026-11-28T18:00:00Z").expect("a moment")
}

fn moment(number: u32) -> Time {
    // Three of one moment, and each seventh long before its neighbours.
    let back = if number.is_multiple_of(7) { 40_000 } else { 0 };
    Time::from_micros(now().micros() - 100_000_000_000).plus_seconds(i64::from(number / 3) - back)
}

fn event(number: u32) -> Event {
    let id = Uuid::from_u128(0x019a_b2f0_0000_7000_8000_0000_0000_0000 + u128::from(number));
    let json = json!({
        "occurred": moment(number).to_string(),
        "event": NAMES[number as usize % 4],
        "resource": {"prefect.resource.id": format!("shop.order.{}", number % 50),
            "prefect.resource.name": format!("order {}", number % 50), "tier": "gold"},
        "related": [
            {"prefect.resource.id": format!("shop.customer.{}", number % 9),
                "prefect.resource.role": if number.is_multiple_of(2) { "customer" } else { "actor" },
                "country": "de"},
        ],
        "payload": {"number": number, "note": "Grüße"},
        "id": id, "follows": null
    });
    Event { id, json: Bytes::from(json.to_string()) }
}

/// Each third of the account itself, each fifth of another account.
fn place(number: u32) -> (Uuid, Option<Uuid>) {
    match number {
        n if n.is_multiple_of(5) => (Uuid::from_u128(7), Some(WORKSPACE)),
        n if n.is_multiple_of(3) => (ACCOUNT, None),
        _ => (ACCOUNT, Some(WORKSPACE)),
    }
}

fn frame(sequence: u32) -> Kept {
    let (account, workspace) = place(sequence);
    let events = vec![event(sequence)];
    let (sequence, capture) = (u64::from(sequence), None);
    Kept { sequence, account, workspace, received: now(), events, capture }
}

fn filled(folder: &Folder, count: u32) -> Index {
    let (mut index, is_new) = Index::open(&folder.0).expect("an index");
    assert!(is_new);
    let frames: Vec<Kept> = (1..=count).map(frame).collect();
    for batch in frames.chunks(70) {
        index.add(batch).expect("a batch");
    }
    index
}

fn question(workspace: Option<Uuid>, filter: &Value, limit: usize) -> Question {
    let mut filter = Filter::read(filter, now()).expect("a filter");
    filter.until = filter.until.or(Some(now()));
    Question { account: ACCOUNT, workspace, filter, limit, after: None, total: None }
}

/// All pages of a question, and the total each of them told.
fn pages(folder: &Folder, mut question: Question) -> (Vec<String>, u64) {
    let connection = file::open_again(&folder.0).expect("a connection");
    let mut all = Vec::new();
    loop {
        let page = ask::page(&connection, &question).expect("a page");
        assert!(page.events.len() <= question.limit);
        all.extend(page.events.into_iter().map(|event| String::from_utf8(event).expect("text")));
        assert!(question.total.is_none_or(|total| total == page.total));
        (question.total, question.after) = (Some(page.total), page.after);
        if page.after.is_none() {
            return (all, page.total);
        }
    }
}

/// The same by reading everything.
fn expected(question: &Question, count: u32) -> Vec<String> {
    let mut found = Vec::new();
    for number in 1..=count {
        let ((account, workspace), event) = (place(number), event(number));
        let seen = Seen::read(&event.json).expect("an event");
        let here = account == question.account
            && question.workspace.is_none_or(|wanted| workspace.unwrap_or_default() == wanted);
        let filter = &question.filter;
        if here && filter.admits(account, workspace) && filter.matches(&seen) {
            let mut out = Vec::new();
            write_received(&mut out, &event.json, now(), account, workspace);
            found.push((moment(number), seen.resource().id().into_owned(), out));
        }
    }
    // Batches are sorted by moment and stay in order of arrival within one.
    found.sort_by_key(|(moment, ..)| *moment);
    if question.filter.order == Order::Descending {
        found.reverse();
    }
    if question.filter.distinct {
        let latest = |resource: &str| {
            let of = found.iter().filter(|(_, other, _)| other == resource);
            of.map(|(moment, ..)| *moment).max()
        };
        let kept: Vec<bool> = found.iter().map(|(at, own, _)| latest(own) == Some(*at)).collect();
        let mut kept = kept.iter();
        found.retain(|_| kept.next() == Some(&true));
    }
    let offset = question.filter.offset as usize;
    found.into_iter().skip(offset).map(|(.., out)| String::from_utf8(out).expect("text")).collect()
}

#[test]
fn the_index_finds_what_reading_everything_finds() {
    let folder = Folder::new();
    let _index = filled(&folder, 320);
    let id = event(11).id;
    for filter in [
        json!(null),
        json!({"order": "ASC"}),
        json!({"offset": 13}),
        json!({"occurred": {"since": moment(90).to_string(), "until": moment(200).to_string()}}),
        json!({"occurred": {"since": now().to_string()}}),
        json!({"event": {"name": ["shop.order.paid", "shop.cart.left"]}}),
        json!({"event": {"name": ["shop.order.*"]}}),
        json!({"event": {"name": ["shop.ord*"]}}),
        json!({"event": {"prefix": ["shop.order."]}}),
        json!({"event": {"prefix": ["shop.order.p", "prefect-cloud."]}}),
        json!({"event": {"prefix": ["sho"]}}),
        json!({"event": {"exclude_prefix": ["shop.order."]}}),
        json!({"event": {"exclude_prefix": ["shop.o"], "prefix": ["shop."]}}),
        json!({"event": {"exclude_name": ["shop.order.paid"], "prefix": ["shop."]}, "order": "ASC"}),
        json!({"resource": {"id": ["shop.order.7", "shop.order.8"]}}),
        json!({"resource": {"id_prefix": ["shop.order.1"]}}),
        json!({"resource": {"id_prefix": ["shop.order."], "labels": {"tier": ["gold", "x"]}}}),
        json!({"resource": {"labels": {"tier": "!gold"}}}),
        json!({"resource": {"labels": {"prefect.resource.name": "order 4?"}}}),
        json!({"resource": {"labels": {"prefect.resource.id": "shop.order.7"}}}),
        json!({"related": {"role": ["customer"]}}),
        json!({"related": {"role": ["customer"], "id": ["shop.customer.3"]}}),
        json!({"related": {"resources_in_roles": [["shop.customer.4", "actor"]]}}),
        json!({"related": [{"role": ["actor"]}, {"labels": {"country": "de"}}]}),
        json!({"any_resource": {"id": ["shop.customer.4", "shop.order.7"]}}),
        json!({"any_resource": {"id_prefix": ["shop.customer.4"]}}),
        json!({"any_resource": {"labels": {"country": "de"}}}),
        json!({"id": {"id": [id, Uuid::from_u128(9)]}}),
        json!({"text": {"query": "GRÜSSE grüße"}}),
        json!({"text": {"query": "+paid \"\\\"number\\\":1\""}}),
        json!({"text": {"query": "\"number\\\":7,\""}}),
        json!({"scope": {"workspace": [WORKSPACE]}}),
        json!({"scope": {"account": ACCOUNT}, "event": {"prefix": ["shop."]}}),
        json!({"scope": {"account": WORKSPACE}}),
    ] {
        for (workspace, limit) in [(None, 200), (Some(WORKSPACE), 7), (Some(Uuid::nil()), 7)] {
            let question = question(workspace, &filter, limit);
            let wanted = expected(&question, 320);
            let (found, total) = pages(&folder, question.clone());
            assert_eq!(found, wanted, "{filter}");
            let all = expected(&Question { filter: unskipped(&question.filter), ..question }, 320);
            assert_eq!(total, all.len() as u64, "{filter}");
        }
    }
}

fn unskipped(filter: &Filter) -> Filter {
    Filter { offset: 0, ..filter.clone() }
}

#[test]
fn words_are_found_in_runs_and_beside_them() {
    let folder = Folder::new();
    let mut index = filled(&folder, 400);
    assert!(index.close_runs(now()).expect("runs"));
    assert!(!index.close_runs(now()).expect("no more runs"));
    let connection = file::open_again(&folder.0).expect("a connection");
    let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    assert_eq!(count("SELECT count(*) FROM run"), Ok(3), "of 400 events, 16 are in none");
    // Events that come late, into runs, before them and behind them.
    let frames: Vec<Kept> = (401..=500).map(frame).collect();
    index.add(&frames).expect("a batch");
    for (query, limit) in [
        ("\"number\\\":7,\"", 7),
        ("+paid \"number\\\":412,\"", 7),
        ("grüße", 50),
        ("nowhere", 7),
        ("nowhere order.9 -paid", 7),
        ("17", 7),
    ] {
        for order in ["ASC", "DESC"] {
            let filter = json!({"text": {"query": query}, "order": order});
            let question = question(Some(WORKSPACE), &filter, limit);
            let wanted = expected(&question, 500);
            let (found, total) = pages(&folder, question);
            assert_eq!((found, total), (wanted.clone(), wanted.len() as u64), "{filter}");
        }
    }
    let options = Options { audit_days: 0, days: 0, ..Options::default() };
    while index.retain(&options, now()).expect("a slice").is_some() {}
    assert_eq!(count("SELECT count(*) FROM run"), Ok(0));
}

#[test]
fn the_latest_event_of_each_resource() {
    let folder = Folder::new();
    let _index = filled(&folder, 300);
    for filter in [
        json!({"resource": {"distinct": true}}),
        json!({"resource": {"distinct": true}, "order": "ASC"}),
        json!({"resource": {"distinct": true}, "event": {"name": ["shop.order.paid"]}}),
    ] {
        let question = question(None, &filter, 7);
        let (found, total) = pages(&folder, question.clone());
        let mut wanted = expected(&question, 300);
        let resource = |event: &String| {
            let event: Value = serde_json::from_str(event).expect("an event");
            event["resource"]["prefect.resource.id"].to_string()
        };
        let order: Vec<_> = found.iter().map(resource).collect();
        // Of two of one moment either is the latest.
        wanted.dedup_by_key(|event| resource(event));
        assert_eq!(order, wanted.iter().map(resource).collect::<Vec<_>>(), "{filter}");
        assert_eq!(total, found.len() as u64);
    }
}

#[test]
fn later_events_shift_no_page_and_known_ones_stay_once() {
    let folder = Folder::new();
    let mut index = filled(&folder, 100);
    let mut asked = question(None, &json!({}), 10);
    let wanted = expected(&asked, 100);
    let connection = file::open_again(&folder.0).expect("a connection");
    let first = ask::page(&connection, &asked).expect("a page");
    let frames: Vec<Kept> = (50..=400).map(frame).collect();
    let added = index.add(&frames).expect("a batch");
    assert_eq!((added.new, added.known), (300, 0), "frames that were read are not read again");
    index.start_over().expect("a new start");
    let added = index.add(&frames).expect("a batch");
    assert_eq!((added.new, added.known), (0, 351));
    (asked.after, asked.total) = (first.after, Some(first.total));
    let second = ask::page(&connection, &asked).expect("a page");
    let told = |page: &Page| -> Vec<String> {
        page.events.iter().map(|event| String::from_utf8_lossy(event).into_owned()).collect()
    };
    assert_eq!(told(&first), wanted[..10]);
    assert_eq!(second.total, first.total);
    let (all, _) = pages(&folder, question(None, &json!({}), 50));
    let place = all.iter().position(|event| *event == wanted[9]).expect("the last of the page");
    assert_eq!(told(&second), all[place + 1..place + 11], "goes on where the page ended");
}

#[test]
fn tenants_share_no_ids() {
    let folder = Folder::new();
    let (mut index, _) = Index::open(&folder.0).expect("an index");
    let there = [(ACCOUNT, Some(WORKSPACE)), (ACCOUNT, None), (Uuid::from_u128(7), None)];
    let frame = |sequence: usize| {
        let (account, workspace) = there[sequence % 3];
        Kept { account, workspace, sequence: sequence as u64, ..frame(1) }
    };
    let frames: Vec<Kept> = (1..=6).map(frame).collect();
    let added = index.add(&frames).expect("a batch");
    assert_eq!((added.new, added.known), (3, 3), "once in each place");
    let by_id = json!({"id": {"id": [event(1).id]}});
    assert_eq!(pages(&folder, question(Some(WORKSPACE), &by_id, 10)).1, 1);
    assert_eq!(pages(&folder, question(None, &by_id, 10)).1, 2);
    let connection = file::open_again(&folder.0).expect("a connection");
    let sql = "EXPLAIN QUERY PLAN SELECT json FROM event WHERE id IN (?, ?) AND slot > 1";
    let plan = connection.query_row(sql, [[0; 16], [1; 16]], |row| row.get::<_, String>(3));
    let plan = plan.expect("a plan");
    assert!(plan.contains("USING INDEX event_id (id=?"), "{plan}");
}

#[test]
fn an_event_with_more_labels_than_terms_is_found() {
    let folder = Folder::new();
    let (mut index, _) = Index::open(&folder.0).expect("an index");
    let mut frames: Vec<Kept> = (1..=40).map(frame).collect();
    let mut wide: Value = serde_json::from_slice(&event(41).json).expect("an event");
    for number in 0..400 {
        wide["resource"][format!("label-{number}")] = number.to_string().into();
    }
    let mut last = frame(41);
    last.events[0].json = Bytes::from(wide.to_string());
    frames.push(last);
    index.add(&frames).expect("a batch");
    let labels = json!({"resource": {"labels": {"label-399": "399"}}});
    assert_eq!(pages(&folder, question(None, &labels, 10)).1, 1);
    let country = json!({"related": {"labels": {"country": "de"}}, "event": {"prefix": ["shop."]}});
    let wanted = expected(&question(None, &country, 10), 41).len() as u64;
    assert_eq!(pages(&folder, question(None, &country, 10)).1, wanted);
}

#[test]
fn what_is_too_old_goes_in_slices() {
    let folder = Folder::new();
    let mut index = filled(&folder, 400);
    let (far, near) = (now().plus_seconds(20 * 86_400), now().plus_seconds(2 * 86_400));
    let options = Options { audit_days: 10, days: 1, bytes_max: u64::MAX };
    let mut sweep = |now: Time, options: &Options| {
        index.restart_retention();
        let mut gone = 0;
        while let Some(slice) = index.retain(options, now).expect("a slice") {
            gone += slice;
        }
        gone
    };
    assert_eq!(sweep(now().plus_seconds(-200_000), &options), 0);
    assert_eq!(sweep(near, &options), 300, "all but audit events");
    let (found, total) = pages(&folder, question(None, &json!({}), 50));
    let audit = |event: &String| event.contains("prefect-cloud.team.created");
    assert!(found.iter().all(audit) && total == found.len() as u64 && total > 0);
    assert_eq!(sweep(near, &options), 0);
    assert_eq!(sweep(far, &options), 100);
    assert_eq!(pages(&folder, question(None, &json!({}), 50)).1, 0);
    let folder = Folder::new();
    let mut index = filled(&folder, 400);
    let tight = Options { bytes_max: 1, ..Options::default() };
    assert_eq!(index.retain(&tight, now()).expect("a slice"), Some(300), "the bound on bytes");
}

#[test]
fn a_kill_at_any_batch_leaves_events_and_cursor_agreeing() {
    let folder = Folder::new();
    let (mut index, _) = Index::open(&folder.0).expect("an index");
    for batch in 0..6_u32 {
        let frames: Vec<Kept> = (batch * 20 + 1..=batch * 20 + 20).map(frame).collect();
        index.add(&frames).expect("a batch");
        if batch == 3 {
            index.checkpoint().expect("a checkpoint");
        }
        // What a kill leaves is what lies on the disk now.
        let left = Folder::new();
        for file in ["feed.db", "feed.db-wal"] {
            std::fs::copy(folder.0.join(file), left.0.join(file)).expect("a copy");
        }
        let (mut index, is_new) = Index::open(&left.0).expect("an index");
        let count = batch * 20 + 20;
        assert_eq!((is_new, index.cursor()), (false, u64::from(count)));
        let all = question(None, &json!({}), 200);
        assert_eq!(pages(&left, all.clone()).0, expected(&all, count));
        let added = index.add(&[frame(count), frame(count + 1)]).expect("a batch");
        assert_eq!((added.new, added.known), (1, 0));
    }
}

#[test]
fn counts_by_what_events_share() {
    let folder = Folder::new();
    let _index = filled(&folder, 300);
    let connection = file::open_again(&folder.0).expect("a connection");
    let asked = question(None, &json!({"occurred": {"since": "2026-11-26T00:00:00Z"}}), 0);
    let all = expected(&asked, 300).len() as u64;
    let count = |by| count::count(&connection, &asked, by).expect("groups");
    let names = count(Countable::Name);
    assert_eq!(names.iter().map(|group| group.count).sum::<u64>(), all);
    assert!(names.is_sorted_by(|a, b| a.count >= b.count));
    let resources = count(Countable::Resource);
    assert_eq!((resources.len(), resources[0].label.starts_with("order ")), (40, true));
    let places = count(Countable::Workspace);
    assert_eq!((places.len(), &places[0].value), (1, &WORKSPACE.to_string()));
    assert!(count(Countable::Actor).iter().all(|group| group.value.starts_with("shop.customer.")));
    let hours = count(Countable::Time { micros: 3_600_000_000 });
    assert_eq!(hours.len(), 67, "66 hours and the one that began");
    assert_eq!(hours.iter().map(|group| group.count).sum::<u64>(), all);
    assert!(hours.is_sorted_by_key(|group| group.start));
    let fine = count::count(&connection, &asked, Countable::Time { micros: 1_000_000 });
    assert!(matches!(fine, Err(FeedError::Buckets)));
}

/// A runtime for one test.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

fn open(folder: &Folder, past: Vec<Past>) -> (Feed, Spool) {
    let (clock, telemetry) = (Arc::new(Clock::fixed(now())), Telemetry::new());
    let options = crate::spool::Options { direct: false, ..crate::spool::Options::default() };
    let (spool, _) = Spool::open(&folder.0, options, &clock, &telemetry).expect("a spool");
    let history: History = Box::new(move |take| {
        past.iter().cloned().for_each(take);
        Ok(())
    });
    let feed = Feed::start(&folder.0, Options::default(), &spool, &clock, &telemetry, history);
    (feed.expect("a feed"), spool)
}

async fn append(spool: &Spool, numbers: std::ops::RangeInclusive<u32>) {
    for number in numbers {
        let frame = Frame::encode(ACCOUNT, Some(WORKSPACE), now(), &[event(number)], None);
        spool.append(frame).await.expect("a receipt");
    }
}

/// How many there are, asked again while it is not as many: each question waits a second at most, and a machine may
/// have better to do.
async fn total(feed: &Feed, wanted: u64) -> u64 {
    let mut total = 0;
    for _ in 0..60 {
        total = feed.page(question(None, &json!({}), 1)).await.expect("a page").total;
        if total >= wanted {
            break;
        }
    }
    total
}

#[test]
fn what_was_kept_is_found_at_once_and_after_every_loss() {
    let folder = Folder::new();
    let path = folder.0.join(FILE_NAME);
    wait(async {
        let (feed, spool) = open(&folder, Vec::new());
        append(&spool, 1..=20).await;
        assert_eq!(total(&feed, 20).await, 20, "a question waits for what was kept");
        append(&spool, 21..=25).await;
        assert_eq!(total(&feed, 25).await, 25);
        feed.stop().await;
        // Kept while nobody follows.
        append(&spool, 26..=30).await;
        spool.close();
    });
    wait(async {
        let (feed, spool) = open(&folder, Vec::new());
        assert_eq!(total(&feed, 30).await, 30, "goes on where the file stands");
        feed.stop().await;
        spool.close();
    });
    std::fs::remove_file(&path).expect("a file to lose");
    let past = Past { account: ACCOUNT, received: now(), event: event(400) };
    wait(async {
        let (feed, spool) = open(&folder, vec![past.clone()]);
        assert_eq!(total(&feed, 31).await, 31, "made again from journal and store");
        feed.stop().await;
        spool.close();
    });
    std::fs::write(&path, vec![b'x'; 10_000]).expect("a file to spoil");
    wait(async {
        let (feed, spool) = open(&folder, vec![past.clone()]);
        assert_eq!(total(&feed, 31).await, 31, "a damaged file is set aside");
        assert!(folder.0.join("feed.db.damaged").exists());
        feed.stop().await;
        spool.close();
    });
    std::fs::remove_dir_all(folder.0.join("spool")).expect("a journal to lose");
    wait(async {
        let (feed, spool) = open(&folder, Vec::new());
        append(&spool, 30..=40).await;
        assert_eq!(total(&feed, 41).await, 41, "another journal counts from the start");
        feed.stop().await;
        spool.close();
    });
}
