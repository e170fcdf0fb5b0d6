//! On the machine's own disk.

use std::collections::HashMap;
use std::future::Future as _;
use std::task::{Context, Poll, Waker};

use super::*;

#[tokio::test]
async fn what_has_a_receipt_is_read_in_order_also_after_a_restart() {
    let folder = Folder::new();
    let (spool, recovery) = open(&folder.0, options());
    assert_eq!(recovery.frames, 0);
    let mut reader = spool.reader("one", OnFull::Hold).expect("a reader");
    for number in 0..50 {
        let receipt = spool.append(frame(number, 100)).await.expect("a receipt");
        assert_eq!(receipt.sequence(), number + 1);
    }
    let kept = reader.next(20, 1 << 20).await.expect("frames");
    assert_eq!(kept.iter().map(number).collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
    assert_eq!(kept[0].workspace, None);
    reader.release(kept[9].sequence);
    assert_eq!(reader.lag().frames, 40);
    reader.rewind();
    assert_eq!(number(&reader.next(1, 1).await.expect("a frame")[0]), 10);
    spool.close();
    assert!(reader.next(1, 1).await.is_err());
    assert!(matches!(spool.append(frame(1, 1)).await, Err(SpoolError::Failed(_))));

    let (spool, recovery) = open(&folder.0, options());
    assert_eq!((recovery.frames, recovery.torn_bytes), (50, 0));
    assert_eq!(spool.append(frame(50, 1)).await.expect("a receipt").sequence(), 51);
    let mut reader = spool.reader("one", OnFull::Hold).expect("a reader");
    assert_eq!(drain(&spool, &mut reader).await, (10..=50).collect::<Vec<_>>());
    let mut new = spool.reader("two", OnFull::Hold).expect("a reader");
    assert_eq!(drain(&spool, &mut new).await, (0..=50).collect::<Vec<_>>());
}

#[tokio::test]
async fn many_segments_are_written_by_many_tasks_and_read_from_the_disk() {
    let folder = Folder::new();
    let small = Options { segment_bytes: 256 << 10, queue_max_bytes: 1 << 20, ..options() };
    for direct in [true, false] {
        let folder = folder.0.join(if direct { "direct" } else { "buffered" });
        let (spool, _) = open(&folder, Options { direct, ..small.clone() });
        let mut reader = spool.reader("one", OnFull::Hold).expect("a reader");
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..20 {
            let spool = spool.clone();
            tasks.spawn(async move {
                for round in 0..100 {
                    let frame = frame(task * 100 + round, 1500);
                    spool.append(frame).await.expect("a receipt");
                }
            });
        }
        tasks.join_all().await;
        let mut numbers = drain(&spool, &mut reader).await;
        assert_eq!(spool.status().durable, 2000);
        let mut late = spool.reader("late", OnFull::Hold).expect("a reader");
        assert_eq!(drain(&spool, &mut late).await, numbers, "the ring and the disk agree");
        for task in 0..20 {
            let own: Vec<_> = numbers.iter().filter(|number| *number / 100 == task).collect();
            assert!(own.is_sorted(), "order of one sender");
        }
        numbers.sort_unstable();
        assert_eq!(numbers, (0..2000).collect::<Vec<_>>());
        spool.close();
        let report = check(&folder).expect("a report");
        assert_eq!((report.frames, report.torn_bytes, report.damaged.len()), (2000, 0, 0));
    }
}

#[tokio::test]
async fn single_frames_are_picked_in_any_order() {
    let folder = Folder::new();
    let small = Options { segment_bytes: 256 << 10, queue_max_bytes: 1 << 20, ..options() };
    let (spool, _) = open(&folder.0, small);
    for number in 1..=1000 {
        spool.append(frame(number, 1500)).await.expect("a receipt");
    }
    let mut picker = spool.picker();
    let mut pick = |sequence| picker.take(sequence).expect("a read").map(|kept| number(&kept));
    for sequence in (1..=1000).chain([1000, 1, 500, 501, 503, 999, 2]).chain((1..=1000).step_by(77))
    {
        assert_eq!(pick(sequence), Some(sequence));
    }
    assert_eq!((pick(0), pick(1001)), (None, None));
    assert_eq!((spool.oldest(), spool.first_since(Time::from_micros(0))), (1, 1));
}

#[tokio::test]
async fn a_second_process_is_told_who_holds_the_folder() {
    let folder = Folder::new();
    let (spool, _) = open(&folder.0, options());
    let error = FolderLock::take(&folder.0).expect_err("a refusal");
    let text = error.to_string();
    assert!(text.contains(&std::process::id().to_string()), "{text}");
    assert!(text.contains(&folder.0.display().to_string()), "{text}");
    assert!(matches!(check(&folder.0), Err(SpoolError::Locked { .. })));
    spool.close();
    drop(FolderLock::take(&folder.0).expect("the lock"));
}

#[tokio::test]
async fn a_full_spool_refuses_and_goes_on_once_readers_release() {
    let folder = Folder::new();
    let tiny = Options { spool_max_bytes: 4 << 20, ..options() };
    let (spool, _) = open(&folder.0, tiny);
    let mut reader = spool.reader("slow", OnFull::Hold).expect("a reader");
    let mut count = 0;
    let refusal = loop {
        match spool.append(frame(count, 60_000)).await {
            Ok(_) => count += 1,
            Err(why) => break why,
        }
    };
    assert!(matches!(refusal, SpoolError::Full { .. }), "{refusal}");
    assert_eq!(spool.admit(), Err(refusal));
    assert!(spool.status().used_bytes <= 4 << 20);
    assert_eq!(drain(&spool, &mut reader).await, (0..count).collect::<Vec<_>>());
    while spool.admit().is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    spool.append(frame(count, 10)).await.expect("a receipt");
    assert_eq!(drain(&spool, &mut reader).await, [count]);
}

#[tokio::test]
async fn a_reader_that_drops_loses_the_oldest_and_refuses_nobody() {
    let folder = Folder::new();
    let tiny = Options { spool_max_bytes: 4 << 20, ..options() };
    let (spool, _) = open(&folder.0, tiny);
    let mut reader = spool.reader("lossy", OnFull::DropOldest).expect("a reader");
    let total = 1000;
    for number in 0..total {
        spool.append(frame(number, 60_000)).await.expect("a receipt");
    }
    let numbers = drain(&spool, &mut reader).await;
    let first = numbers[0];
    assert!(first > 100, "{first}");
    assert_eq!(numbers, (first..total).collect::<Vec<_>>());
    // Counted once it is saved, and before the files go.
    let counted = async {
        while reader.lag().dropped < first {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), counted).await.expect("it is counted");
    assert_eq!(reader.lag().dropped, first);
}

#[tokio::test]
async fn an_event_of_our_own_is_appended_once() {
    let folder = Folder::new();
    let (account, time) = (Uuid::from_u128(1), Time::default());
    for _ in 0..2 {
        let (spool, _) = open(&folder.0, options());
        for _ in 0..2 {
            spool.append_once(account, None, time, event(7)).await.expect("kept");
        }
        assert_eq!(spool.status().durable, 1);
        spool.close();
    }
}

/// A request's frame with a key.
fn keyed(number: u64, digest: u8, bytes: usize) -> Frame {
    let body = Bytes::from(vec![0; bytes]);
    let (webhook, key) = (Uuid::from_u128(9), Some([digest; 16]));
    let capture = Capture { webhook, key, body, ..Capture::default() };
    let (time, events) = (Time::from_micros(1_000_000), [event(number), event(number + 1000)]);
    Frame::encode(Uuid::from_u128(1), None, time, &events, Some(&capture))
}

#[tokio::test]
async fn a_request_is_taken_once_also_after_a_restart() {
    let folder = Folder::new();
    let now = Time::from_micros(1_000_000);
    let take = async |spool: &Spool, number: u64, digest: u8, since: Time| {
        let named = (Uuid::from_u128(number.into()), now);
        let again = Again { key: (Uuid::from_u128(9), [digest; 16]), since };
        spool.append_first(&[again], named, keyed(number, digest, 10)).await.expect("taken")
    };
    let known = |taken: Taken| match taken {
        Taken::Known(first) | Taken::Failed(first) => Some(first.id.as_u128()),
        Taken::New(_) => None,
    };
    let (spool, _) = open(&folder.0, options());
    // Two at once count once, whoever of them was first.
    let (one, two) = tokio::join!(take(&spool, 1, 7, now), take(&spool, 2, 7, now));
    assert_eq!((known(one), known(two)), (None, Some(1)));
    assert_eq!(known(take(&spool, 3, 8, now).await), None, "another key");
    assert_eq!(spool.status().durable, 2);
    let again = |webhook: u128| [Again { key: (Uuid::from_u128(webhook), [7; 16]), since: now }];
    let found = spool.first(&again(9)).await.expect("kept");
    assert_eq!(found.map(|first| first.id.as_u128()), Some(1));
    assert_eq!(spool.first(&again(0)).await.expect("nothing"), None);
    spool.close();
    let (spool, _) = open(&folder.0, options());
    assert_eq!(known(take(&spool, 4, 7, now).await), Some(1));
    // Its window is over: it is new, and known from now on.
    assert_eq!(known(take(&spool, 5, 7, now.plus_seconds(1)).await), None);
    assert_eq!(known(take(&spool, 6, 7, now).await), Some(5));
    assert_eq!(spool.status().durable, 3);
}

#[tokio::test]
async fn a_reader_in_passing_begins_at_a_moment_and_holds_nothing() {
    let folder = Folder::new();
    let clock = Arc::new(Clock::fixed(Time::from_micros(1_000_000)));
    let (spool, _) = Spool::open(&folder.0, options(), &clock, &Telemetry::new()).expect("a spool");
    let mut early = spool.follow(None);
    for number in 0..50 {
        clock.advance_seconds(1);
        spool.append(frame(number, 10_000)).await.expect("a receipt");
    }
    let mut reader = spool.follow(Some(Time::from_micros(0)));
    assert_eq!(reader.position(), 1);
    assert_eq!(number(&reader.next(1, 1).await.expect("frames")[0]), 0);
    assert_eq!(number(&early.next(1, 1).await.expect("frames")[0]), 0);
    let moment = Time::from_micros(31_000_000);
    let mut late = spool.follow(Some(moment));
    let first = number(&late.next(1, 1).await.expect("frames")[0]);
    assert!((10..=30).contains(&first), "{first}: not long before the moment, and not after it");
    assert!(spool.follow(Some(Time::from_micros(90_000_000))).position() > 30);
    assert_eq!(spool.follow(None).position(), 51);
    assert!(spool.lags().is_empty(), "nobody waits for them");
}

#[tokio::test]
async fn of_a_batch_only_what_is_new_is_appended_and_tenants_share_no_ids() {
    let folder = Folder::new();
    let (mine, other, time) = (Uuid::from_u128(1), Uuid::from_u128(2), Time::default());
    let (spool, _) = open(&folder.0, options());
    let batch = |numbers: &[u64]| numbers.iter().copied().map(event).collect::<Vec<_>>();
    let append =
        |account, numbers: &[u64]| spool.append_all_once(account, None, time, batch(numbers));
    assert_eq!(append(mine, &[1, 2, 2, 3]).await, Ok(3));
    assert_eq!(append(mine, &[3, 4, 1]).await, Ok(1));
    assert_eq!(append(mine, &[1, 2]).await, Ok(0));
    assert_eq!(append(mine, &[]).await, Ok(0));
    assert_eq!(append(other, &[1]).await, Ok(1));
    let beside = || spool.append_all_once(mine, Some(other), time, batch(&[1, 2]));
    assert_eq!((beside().await, beside().await), (Ok(2), Ok(0)), "a workspace of the account");
    let (a, b) = tokio::join!(append(mine, &[7, 8, 9]), append(mine, &[9, 8, 10]));
    assert_eq!((a, b), (Ok(3), Ok(1)), "who comes second waits for the first");
    assert_eq!(spool.status().durable, 6);
    let mut reader = spool.follow(None);
    let tell = |new: usize| event(1000 + new as u64);
    let none = HashMap::new();
    let told =
        |numbers: &[u64]| spool.append_late((mine, None), time, batch(numbers), &none, &tell);
    assert_eq!((told(&[10, 11, 12]).await, told(&[11]).await), (Ok(2), Ok(0)));
    let frames = reader.next(9, 1 << 20).await.expect("frames");
    let ids: Vec<_> = frames.iter().flat_map(|kept| &kept.events).map(|event| event.id).collect();
    assert_eq!(
        ids,
        [1002, 11, 12].map(|number| event(number).id),
        "one frame, told with what it has"
    );
}

#[tokio::test]
async fn ids_of_templates_are_remembered_with_what_they_said() {
    let folder = Folder::new();
    let (spool, _) = open(&folder.0, options());
    let (own, place) = (Uuid::from_u128(1), Some(Uuid::from_u128(2)));
    assert!(spool.remember(own, None, &event(3)));
    spool.append(frame(3, 10)).await.expect("a receipt");
    spool.close();
    let (spool, _) = open(&folder.0, options());
    let other = Event { id: event(3).id, ..event(4) };
    assert!(spool.remember(own, None, &event(3)));
    assert!(!spool.remember(own, None, &other));
    // What another tenant's template says under the same id is its own affair.
    assert!(spool.remember(own, place, &other) && spool.remember(own, place, &other));
    assert!(spool.remember(Uuid::from_u128(7), place, &event(3)));
    assert!(!spool.remember(own, place, &event(3)));
}

#[tokio::test]
async fn damage_in_the_middle_is_reported_and_the_rest_is_read() {
    let folder = Folder::new();
    let (spool, _) = open(&folder.0, options());
    for number in 0..20 {
        spool.append(frame(number, 1000)).await.expect("a receipt");
    }
    spool.close();
    let segment = segments(&folder.0).pop().expect("a segment");
    let mut bytes = std::fs::read(&segment).expect("bytes");
    bytes[4096 * 8 + 300] ^= 1;
    std::fs::write(&segment, bytes).expect("written");
    let name = segment.file_name().expect("a name").to_string_lossy().into_owned();
    let report = check(&folder.0).expect("a report");
    assert_eq!((report.frames, report.missing.as_slice()), (19, [(8, 8)].as_slice()));
    assert_eq!(report.damaged.len(), 1);
    let (found, offset, bytes) = &report.damaged[0];
    assert_eq!((found, *offset), (&name, 4096 * 8));
    assert!((1000..2000).contains(bytes), "{bytes}");
    assert!(!folder.0.join("spool/quarantine").exists(), "a check changes nothing");

    for _ in 0..2 {
        let (spool, recovery) = open(&folder.0, options());
        assert_eq!(recovery.damaged, report.damaged);
        assert_eq!(spool.status().damaged, 1);
        let mut reader = spool.reader("any", OnFull::Hold).expect("a reader");
        let kept = reader.next(100, 1 << 20).await.expect("frames");
        let expected: Vec<_> = (0..20).filter(|number| *number != 7).collect();
        assert_eq!(kept.iter().map(number).collect::<Vec<_>>(), expected);
        spool.close();
    }
}

#[tokio::test]
async fn an_append_that_moves_to_another_task_is_woken_there() {
    let folder = Folder::new();
    let (spool, _) = open(&folder.0, options());
    let mut append = Box::pin(spool.append(frame(1, 10)));
    let first = append.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    if let Poll::Ready(early) = first {
        panic!("ready at the first poll: {early:?}");
    }
    assert_eq!(append.await.expect("a receipt").sequence(), 1);
    let abandoned = spool.append(frame(2, 10));
    drop(abandoned);
    assert_eq!(spool.append(frame(3, 10)).await.expect("a receipt").sequence(), 2);
}

#[tokio::test]
async fn a_waiting_reader_is_woken_and_may_be_dropped_while_it_waits() {
    let folder = Folder::new();
    let (spool, _) = open(&folder.0, options());
    let mut reader = spool.reader("one", OnFull::Hold).expect("a reader");
    for count in 0..20 {
        let early = tokio::time::timeout(Duration::ZERO, reader.next(1, 1)).await;
        assert!(early.is_err(), "nothing is there yet");
        let (kept, receipt) = tokio::join!(reader.next(1, 1), spool.append(frame(count, 10)));
        let (kept, receipt) = (kept.expect("a frame"), receipt.expect("a receipt"));
        assert_eq!((number(&kept[0]), kept[0].sequence), (count, receipt.sequence()));
        reader.release(kept[0].sequence);
    }
    assert_eq!((spool.lags().len(), spool.lags()[0].1.frames), (1, 0));
    spool.forget("one");
    assert!(spool.lags().is_empty());
}

#[tokio::test]
async fn places_of_earlier_versions_are_taken_over_and_their_files_go() {
    let folder = Folder::new();
    let (spool, _) = open(&folder.0, options());
    for number in 0..5 {
        spool.append(frame(number, 10)).await.expect("a receipt");
    }
    spool.close();
    let cursors = folder.0.join("spool/cursors");
    for (file, name, sequence) in [("1", "one", 3), ("2", "destination/2", 4)] {
        let body = format!("hookgate cursor 1\n{sequence}\n{name}\n");
        let text = format!("{body}{:08x}\n", crc32c::crc32c(body.as_bytes()));
        std::fs::write(cursors.join(format!("{file}.cursor")), text).expect("written");
    }
    let (spool, _) = open(&folder.0, options());
    assert!(!spool.has_lost_places() && spool.stands("destination/2"));
    let mut reader = spool.reader("one", OnFull::Hold).expect("a reader");
    assert_eq!(drain(&spool, &mut reader).await, [3, 4]);
    spool.close();
    let names = std::fs::read_dir(&cursors).expect("a folder").count();
    assert_eq!(names, 1, "all places stand in one file");
    let (spool, _) = open(&folder.0, options());
    assert!(spool.stands("one") && spool.stands("destination/2"));
    spool.forget_records_but([Uuid::nil()].into_iter());
    assert!(!spool.stands("destination/2") && spool.stands("one"));
    spool.close();
    std::fs::write(cursors.join("all"), "hookgate cursors 2\n1 1").expect("written");
    let (spool, _) = open(&folder.0, options());
    assert!(spool.has_lost_places());
}

#[tokio::test]
async fn frames_of_others_are_passed_over_and_none_behind_the_end_is_given() {
    let folder = Folder::new();
    let (spool, _) = open(&folder.0, options());
    let reader = spool.reader("one", OnFull::Hold).expect("a reader");
    let (mine, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let mut reader = reader.only(Arc::new(move |sight| sight.scope() == (mine, None)));
    for number in 0..10 {
        let account = if number % 5 == 0 { mine } else { other };
        let frame = Frame::encode(account, None, Time::default(), &[event(number)], None);
        spool.append(frame).await.expect("a receipt");
    }
    let sequences = |kept: Vec<Kept>| kept.iter().map(|one| one.sequence).collect::<Vec<_>>();
    assert_eq!(sequences(reader.take(10, 1 << 20, 6).await.expect("frames")), [1]);
    assert_eq!((reader.position(), reader.released()), (6, 0));
    assert!(reader.take(10, 1 << 20, 6).await.expect("none").is_empty());
    reader.release(1);
    assert_eq!(reader.released(), 5, "what is of no interest is done with");
    assert_eq!(sequences(reader.take(10, 1 << 20, 11).await.expect("frames")), [6]);
    drop(reader);
    spool.close();
    let (spool, _) = open(&folder.0, options());
    let reader = spool.reader("one", OnFull::Hold).expect("a reader");
    let mut reader = reader.only(Arc::new(move |sight| sight.scope() == (mine, None)));
    assert_eq!(sequences(reader.take(10, 1 << 20, 11).await.expect("frames")), [6], "from disk");
}

#[tokio::test]
async fn released_segments_go_when_their_time_has_come_and_are_used_again() {
    let folder = Folder::new();
    let small = Options { segment_bytes: 256 << 10, retention_max_bytes: 600 << 10, ..options() };
    let (spool, _) = open(&folder.0, small);
    let mut reader = spool.reader("one", OnFull::Hold).expect("a reader");
    for count in 0..100 {
        spool.append(frame(count, 30_000)).await.expect("a receipt");
    }
    assert!(segments(&folder.0).len() > 10, "nothing goes before it is released");
    assert_eq!(drain(&spool, &mut reader).await, (0..100).collect::<Vec<_>>());
    while segments(&folder.0).len() > 4 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for count in 100..200 {
        spool.append(frame(count, 30_000)).await.expect("a receipt");
        assert_eq!(drain(&spool, &mut reader).await, [count]);
    }
    spool.close();
    let (spool, recovery) = open(&folder.0, options());
    assert_eq!((recovery.damaged.len(), recovery.missing.len()), (0, 0));
    assert_eq!(spool.append(frame(200, 1)).await.expect("a receipt").sequence(), 201);
}

#[tokio::test]
async fn a_frame_larger_than_a_segment_is_refused_by_its_numbers() {
    let folder = Folder::new();
    let (spool, _) = open(&folder.0, Options { segment_bytes: 1 << 20, ..options() });
    let refusal = spool.append(frame(1, 1 << 20)).await.expect_err("too large");
    assert!(matches!(refusal, SpoolError::FrameTooLarge { .. }), "{refusal}");
    spool.append(frame(2, 1_000_000)).await.expect("a receipt");
}

fn segments(data: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data.join("spool")).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut logs: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|ending| ending == "log")).collect();
    logs.sort();
    logs
}

#[tokio::test]
async fn a_bound_that_is_lowered_below_the_last_segment_refuses_nobody_for_ever() {
    let folder = Folder::new();
    let (spool, _) = open(&folder.0, options());
    let mut reader = spool.reader("one", OnFull::Hold).expect("a reader");
    for number in 0..160 {
        spool.append(frame(number, 60_000)).await.expect("a receipt");
    }
    drop(reader);
    spool.close();
    drop(spool);
    let (spool, _) = open(&folder.0, Options { spool_max_bytes: 4 << 20, ..options() });
    reader = spool.reader("one", OnFull::Hold).expect("a reader");
    for number in 160..280 {
        let kept = tokio::time::timeout(Duration::from_secs(20), async {
            while spool.append(frame(number, 60_000)).await.is_err() {
                // What was kept before the bound was lowered is not lost for it.
                drain(&spool, &mut reader).await;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        assert!(kept.await.is_ok(), "{number}: {:?}", spool.status().refusing);
    }
    drain(&spool, &mut reader).await;
    assert!(spool.status().used_bytes <= 5 << 20, "{}", spool.status().used_bytes);
}

#[tokio::test]
async fn what_lies_in_a_folder_is_seen_beside_the_process_that_has_it() {
    let folder = Folder::new();
    assert_eq!(look(&folder.0), Lying::default());
    let (spool, _) = open(&folder.0, options());
    let mut reader = spool.reader("one", OnFull::Hold).expect("a reader");
    let _late = spool.reader("late", OnFull::Hold).expect("a reader");
    for number in 0..40 {
        spool.append(frame(number, 60_000)).await.expect("a receipt");
    }
    drain(&spool, &mut reader).await;
    spool.close();
    let lying = look(&folder.0);
    assert!(lying.bytes > 40 * 60_000, "{lying:?}");
    assert_eq!((lying.held["one"], lying.held["late"]), (0, lying.bytes));
}
