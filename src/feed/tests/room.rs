//! An index without room or that cannot be written: what it holds of the spool, what it says of itself, what it gives
//! up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::*;
use crate::spool::{Capture, SpoolError};

/// A request's frame of about 30 KB, with its event.
fn large(number: u32) -> Frame {
    let body = Bytes::from(vec![b'x'; 30_000]);
    let capture = Capture { webhook: Uuid::from_u128(9), body, ..Capture::default() };
    Frame::encode(ACCOUNT, Some(WORKSPACE), now(), &[event(number)], Some(&capture))
}

#[test]
fn what_an_index_that_stands_still_does_not_hold_is_not_let_go() {
    let folder = Folder::new();
    wait(async {
        let options = crate::spool::Options {
            direct: false,
            free_min_bytes: 0,
            spool_max_bytes: 4 << 20,
            ..crate::spool::Options::default()
        };
        let (clock, telemetry) = (Arc::new(Clock::fixed(now())), Telemetry::new());
        let opened = Spool::open(&folder.0, options, &clock, &telemetry);
        let (spool, _) = opened.expect("a spool");
        let history: History = Box::new(|_| Ok(()));
        let feed = Feed::start(&folder.0, Options::default(), &spool, &clock, &telemetry, history);
        let feed = feed.expect("a feed");
        append(&spool, 1..=1).await;
        assert_eq!(total(&feed, 1).await, 1);
        let other = rusqlite::Connection::open(folder.0.join(FILE_NAME)).expect("a connection");
        other.execute_batch("BEGIN IMMEDIATE").expect("a lock");
        let mut count = 1;
        let refusal = loop {
            match spool.append(large(count + 1)).await {
                Ok(_) => count += 1,
                Err(why) => break why,
            }
            assert!(count < 1000, "it let go of what is not in the index");
        };
        assert!(matches!(refusal, SpoolError::Full { .. }), "{refusal}");
        let (name, frames) = spool.status().held_by.expect("somebody holds it");
        // What was added last may not be durable there.
        assert!(name == READER && frames >= u64::from(count - 1), "{name} {frames}");
        while feed.standing().halted.is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let standing = feed.standing();
        assert_eq!(standing.frames, u64::from(count - 1));
        let lag = format!("hookgate_feed_lag_frames {}\n", count - 1);
        assert!(telemetry.print().contains(&lag), "{}", telemetry.print());
        other.execute_batch("ROLLBACK").expect("no lock");
        assert_eq!(total(&feed, count.into()).await, u64::from(count), "nothing was lost");
        while spool.admit().is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        spool.append(large(count + 1)).await.expect("a receipt");
        assert_eq!(total(&feed, u64::from(count) + 1).await, u64::from(count) + 1);
        assert_eq!(feed.standing(), Standing::default());
        assert!(telemetry.print().contains("hookgate_spool_dropped_frames_total 0\n"));
        feed.stop().await;
        spool.close();
    });
}

#[test]
fn old_events_make_room_for_new_ones_in_the_same_file() {
    let folder = Folder::new();
    let mut index = filled(&folder, 3000);
    let (used, spare) = (index.used_bytes().expect("bytes"), index.spare_bytes().expect("bytes"));
    let mut gone = 0;
    while let Some(slice) = index.shed(&Options::default(), now(), 1 << 20).expect("a slice") {
        gone += slice;
    }
    // Each fourth is an audit event.
    assert_eq!(gone, 3000 / 4 * 3);
    assert!(index.used_bytes().expect("bytes") < used);
    assert!(index.spare_bytes().expect("bytes") > spare);
    let left = pages(&folder, question(Some(WORKSPACE), &json!({}), 100)).0;
    assert!(!left.is_empty());
}

#[test]
fn the_log_is_an_empty_file_once_it_is_cut() {
    let folder = Folder::new();
    let index = filled(&folder, 300);
    let log = folder.0.join(format!("{FILE_NAME}-wal"));
    let bytes = || std::fs::metadata(&log).expect("a log").len();
    index.checkpoint().expect("a checkpoint");
    assert!(bytes() > 0);
    index.cut_log(Duration::ZERO).expect("a cut");
    assert_eq!(bytes(), 0);
    assert_eq!(index.cursor(), 300);
}

#[test]
fn questions_that_follow_one_another_without_end_do_not_keep_the_log() {
    let folder = Folder::new();
    let index = filled(&folder, 300);
    let log = folder.0.join(format!("{FILE_NAME}-wal"));
    let is_over = AtomicBool::new(false);
    let ask = |pause: Duration| {
        std::thread::sleep(pause);
        let asker = rusqlite::Connection::open(folder.0.join(FILE_NAME)).expect("a connection");
        while !is_over.load(Ordering::Relaxed) {
            asker.execute_batch("BEGIN; SELECT count(*) FROM event").expect("a reading");
            std::thread::sleep(Duration::from_millis(400));
            asker.execute_batch("ROLLBACK").expect("no reading");
        }
    };
    std::thread::scope(|scope| {
        for pause in [0, 130, 260] {
            scope.spawn(move || ask(Duration::from_millis(pause)));
        }
        std::thread::sleep(Duration::from_millis(600));
        index.cut_log(Duration::from_millis(20)).expect("a try");
        let kept = std::fs::metadata(&log).expect("a log").len();
        index.cut_log(Duration::from_secs(10)).expect("a cut");
        let left = std::fs::metadata(&log).expect("a log").len();
        is_over.store(true, Ordering::Relaxed);
        assert!(kept > 0 && left == 0, "{kept} {left}");
    });
}

#[test]
fn a_question_that_runs_keeps_nothing_in_the_spool() {
    let folder = Folder::new();
    wait(async {
        let (feed, spool) = open(&folder, Vec::new());
        append(&spool, 1..=5).await;
        assert_eq!(total(&feed, 5).await, 5);
        let question = rusqlite::Connection::open(folder.0.join(FILE_NAME)).expect("a connection");
        question.execute_batch("BEGIN; SELECT count(*) FROM event").expect("a reading");
        append(&spool, 6..=200).await;
        assert_eq!(total(&feed, 200).await, 200);
        let wanted = Some(spool.status().durable);
        let is_let_go = async {
            while spool.released(READER) != wanted {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(20), is_let_go).await;
        assert!(in_time.is_ok(), "{:?} of {wanted:?}", spool.released(READER));
        question.execute_batch("ROLLBACK").expect("no reading");
        feed.stop().await;
        spool.close();
    });
}

#[test]
fn a_file_that_cannot_be_used_now_is_not_given_up() {
    let folder = Folder::new();
    drop(filled(&folder, 10));
    let other = rusqlite::Connection::open(folder.0.join(FILE_NAME)).expect("a connection");
    // To be changed to the present version, which takes a write.
    let before = "ALTER TABLE event DROP COLUMN frame; PRAGMA user_version = 5";
    other.execute_batch(before).expect("the version before");
    other.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    let fault = Index::open(&folder.0).err();
    assert!(matches!(fault, Some(FeedError::NotNow(_))), "{fault:?}");
    assert!(!folder.0.join("feed.db.damaged").exists());
    other.execute_batch("ROLLBACK").expect("no lock");
    let (index, is_new) = Index::open(&folder.0).expect("the same index");
    assert!(!is_new && index.cursor() == 10);
}

#[test]
fn a_newest_frame_that_is_damaged_is_none_to_wait_for() {
    let folder = Folder::new();
    wait(async {
        let (feed, spool) = open(&folder, Vec::new());
        append(&spool, 1..=5).await;
        assert_eq!(total(&feed, 5).await, 5);
        feed.stop().await;
        append(&spool, 7..=7).await;
        spool.close();
    });
    wait(async {
        let (clock, telemetry) = (Arc::new(Clock::fixed(now())), Telemetry::new());
        let options = crate::spool::Options { direct: false, ..crate::spool::Options::default() };
        let (spool, _) = Spool::open(&folder.0, options, &clock, &telemetry).expect("a spool");
        // Nobody has read it since.
        let (lost, mut spoilt) = (event(7), 0);
        for file in std::fs::read_dir(folder.0.join("spool")).expect("a folder") {
            let path = file.expect("a file").path();
            let Ok(mut bytes) = std::fs::read(&path) else { continue };
            if let Some(at) = memchr::memmem::find(&bytes, &lost.json) {
                bytes[at] ^= 1;
                std::fs::write(&path, bytes).expect("written");
                spoilt += 1;
            }
        }
        assert_eq!(spoilt, 1);
        let history: History = Box::new(|_| Ok(()));
        let feed = Feed::start(&folder.0, Options::default(), &spool, &clock, &telemetry, history);
        let feed = feed.expect("a feed");
        let mut answers = 0;
        loop {
            match feed.request((ACCOUNT, WORKSPACE), lost.id).await {
                Ok(found) => break assert_eq!(found, None),
                Err(FeedError::Behind { frames }) => assert!(frames > 0, "it waits for nothing"),
                Err(fault) => panic!("{fault}"),
            }
            answers += 1;
            assert!(answers < 60, "it waits for ever");
        }
        feed.stop().await;
        spool.close();
    });
}
