//! On a disk that fails, fills up and loses power, with all threads running.

use std::collections::BTreeMap;

use super::*;
use crate::journal::Disk as _;

fn small() -> Options {
    Options { segment_bytes: 64 << 10, spool_max_bytes: 64 << 20, ..options() }
}

/// Eight senders, each with a few frames of its own; numbers by sequence of what was acknowledged, and how many were
/// not.
async fn load(spool: &Spool, round: u64) -> (BTreeMap<u64, u64>, usize) {
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        let spool = spool.clone();
        tasks.spawn(async move {
            let mut outcomes = Vec::new();
            for place in 0..5 {
                let number = round * 1000 + task * 10 + place;
                let kept = spool.append(frame(number, 300)).await;
                outcomes.push((number, kept.map(Receipt::sequence)));
            }
            outcomes
        });
    }
    let (mut kept, mut failed) = (BTreeMap::new(), 0);
    for (number, outcome) in tasks.join_all().await.into_iter().flatten() {
        match outcome {
            Ok(sequence) => assert_eq!(kept.insert(sequence, number), None, "one frame, one place"),
            Err(_) => failed += 1,
        }
    }
    (kept, failed)
}

async fn read_all(spool: &Spool, name: &str) -> BTreeMap<u64, u64> {
    let mut reader = spool.reader(name, OnFull::Hold).expect("a reader");
    let mut found = BTreeMap::new();
    while reader.lag().frames > 0 {
        for kept in reader.next(7, 5000).await.expect("frames") {
            found.insert(kept.sequence, number(&kept));
            reader.release(kept.sequence);
        }
    }
    found
}

#[tokio::test]
async fn one_failing_operation_fails_some_and_the_spool_goes_on() {
    for direct in [true, false] {
        for at in 0..25 {
            let disk = FaultDisk::new(at);
            let options = Options { direct, ..small() };
            let (spool, _) = open_on(&disk, &options).expect("a spool");
            disk.set(Plan { fail_at: Some(at), ..Plan::default() });
            let (mut promised, _) = load(&spool, 1).await;
            let (more, _) = load(&spool, 2).await;
            promised.extend(more);
            assert_eq!(spool.admit(), Ok(()), "operation {at}");
            disk.set(Plan::default());
            assert_eq!(read_all(&spool, "live").await, promised, "operation {at}");
            spool.close();
            let (spool, _) = open_on(&disk.after_crash(), &options).expect("a spool");
            // What failed last may be there, since nothing followed it; what was promised must be.
            let last = promised.last_key_value().map_or(0, |(sequence, _)| *sequence);
            let mut found = read_all(&spool, "later").await;
            found.retain(|sequence, _| *sequence <= last);
            assert_eq!(found, promised, "operation {at}");
        }
    }
}

#[tokio::test]
async fn a_second_failure_ends_all_writing_and_no_reading() {
    let disk = FaultDisk::new(1);
    let (spool, _) = open_on(&disk, &small()).expect("a spool");
    let (promised, failed) = load(&spool, 1).await;
    assert_eq!(failed, 0);
    disk.set(Plan { fail_from: Some(0), ..Plan::default() });
    while spool.status().refusing.is_none() {
        assert!(spool.append(frame(9, 10)).await.is_err());
    }
    assert!(matches!(spool.admit(), Err(SpoolError::Failed(_))));
    assert_eq!(load(&spool, 2).await, (BTreeMap::new(), 40));
    // A reader that is new could not save its cursor; one that is there reads on.
    disk.set(Plan::default());
    assert_eq!(read_all(&spool, "live").await, promised);
    assert!(matches!(spool.admit(), Err(SpoolError::Failed(_))), "only a restart ends it");
    spool.close();
    let (spool, _) = open_on(&disk.after_crash(), &small()).expect("a spool");
    // What failed may be there, since nothing followed it; what was acknowledged must be.
    let found = read_all(&spool, "later").await;
    assert!(promised.iter().all(|(sequence, number)| found.get(sequence) == Some(number)));
    assert_eq!(load(&spool, 3).await.1, 0);
}

#[tokio::test]
async fn a_full_disk_refuses_and_the_spool_goes_on_by_itself() {
    let disk = FaultDisk::new(1);
    let (spool, _) = open_on(&disk, &small()).expect("a spool");
    let _holds = spool.reader("live", OnFull::Hold).expect("a reader");
    disk.set(Plan { capacity: Some(300_000), ..Plan::default() });
    let mut promised = BTreeMap::new();
    let mut round = 0;
    let refusal = loop {
        round += 1;
        promised.extend(load(&spool, round).await.0);
        if let Some(why) = spool.status().refusing {
            break why;
        }
    };
    assert!(matches!(refusal, SpoolError::NoRoom { .. }), "{refusal}");
    disk.set(Plan::default());
    while spool.admit().is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (more, failed) = load(&spool, 500).await;
    assert_eq!(failed, 0);
    promised.extend(more);
    assert_eq!(read_all(&spool, "live").await, promised);
    drop(spool);
    let (spool, recovery) = open_on(&disk.after_crash(), &small()).expect("a spool");
    assert_eq!((recovery.damaged.len(), recovery.torn_bytes), (0, 0));
    assert_eq!(read_all(&spool, "later").await, promised);
}

#[tokio::test]
async fn a_disk_that_fills_between_two_looks_keeps_what_is_to_stay_free() {
    let disk = FaultDisk::new(1);
    let capacity = 4 << 20;
    disk.set(Plan { capacity: Some(capacity), ..Plan::default() });
    // A twentieth of it.
    let options = Options { free_min_bytes: 1 << 20, segment_bytes: 64 << 10, ..options() };
    let (spool, _) = open_on(&disk, &options).expect("a spool");
    let _holds = spool.reader("live", OnFull::Hold).expect("a reader");
    let mut refusal = None;
    for number in 0..2000 {
        if let Err(why) = spool.append(frame(number, 3000)).await {
            refusal = Some(why);
            break;
        }
    }
    let free = disk.space(Path::new("/data")).expect("space").free;
    assert!(matches!(refusal, Some(SpoolError::NoRoom { .. })), "{refusal:?}");
    assert!(free >= capacity / 20 / 2, "{free}");
}

#[tokio::test]
async fn power_loss_under_load_loses_nothing_that_was_acknowledged_or_released() {
    let mut chance = fastrand::Rng::with_seed(7);
    let mut open_batches = 0;
    for run in 0..40 {
        let mut disk = FaultDisk::new(run);
        let mut promised = BTreeMap::new();
        let mut delivered = BTreeMap::new();
        for life in 0..4 {
            let options = Options { direct: run % 2 == 0, ..small() };
            let (spool, _) = open_on(&disk, &options).expect("a spool");
            let found = read_all(&spool, "lane").await;
            for (sequence, number) in found {
                assert_eq!(*delivered.entry(sequence).or_insert(number), number, "run {run}");
            }
            for (sequence, number) in &promised {
                assert_eq!(delivered.get(sequence), Some(number), "run {run} life {life}");
            }
            disk.set(Plan { crash_at: Some(chance.u64(0..40)), ..Plan::default() });
            for round in 0.. {
                let (kept, failed) = load(&spool, 1 + life * 100 + round).await;
                promised.extend(kept);
                if failed > 0 {
                    open_batches += 1;
                    break;
                }
            }
            disk = disk.after_crash();
        }
    }
    assert_eq!(open_batches, 160);
}

#[tokio::test]
async fn a_slow_disk_keeps_nobody_waiting_for_ever() {
    let disk = FaultDisk::new(1);
    let options = Options { append_time: Duration::from_millis(200), ..small() };
    let (spool, _) = open_on(&disk, &options).expect("a spool");
    spool.append(frame(1, 10)).await.expect("a receipt");
    assert!(!spool.status().slow);
    disk.set(Plan { delay: Some(Duration::from_secs(2)), ..Plan::default() });
    let began = std::time::Instant::now();
    let (first, second) = tokio::join!(spool.append(frame(2, 10)), spool.append(frame(3, 10)));
    assert_eq!((first, second), (Err(SpoolError::Slow), Err(SpoolError::Slow)));
    assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
    disk.set(Plan::default());
    // What was on its way is written, nothing is refused, and who comes now waits no longer than it takes.
    while spool.append(frame(4, 10)).await == Err(SpoolError::Slow) {}
    assert_eq!(spool.status().refusing, None);
    assert!(spool.status().slow, "that was not long ago");
    let kept = read_all(&spool, "live").await;
    assert!([1, 2, 3, 4].iter().all(|number| kept.values().any(|one| one == number)), "{kept:?}");
}
