//! Requests that are to be taken once, behind everything start-up reads.

use super::*;
use crate::clock::Time;

const WEBHOOK: Uuid = Uuid::from_u128(9);
const NOW: Time = Time::from_micros(1_000_000);

/// Segments of 64 KiB.
fn small() -> Options {
    Options { segment_bytes: 64 << 10, spool_max_bytes: 64 << 20, ..options() }
}

/// A spool whose start reads the newest segment alone, unless it must read more.
fn open_blind(folder: &Path, options: &Options) -> Spool {
    let clock = Arc::new(Clock::fixed(NOW));
    let lock = FolderLock::take(folder).expect("the lock");
    let ground = Ground::new(Arc::new(RealDisk), Some(lock), fastrand::Rng::new());
    let ground = Ground { read_max_bytes: 0, ..ground };
    let (running, _) =
        open::open(ground, folder, options, &clock, &Telemetry::new()).expect("a spool");
    Spool { running: Arc::new(running) }
}

fn again(number: u64) -> [Again; 1] {
    [Again { key: (WEBHOOK, u128::from(number).to_le_bytes()), since: NOW }]
}

/// Hands a request of that number over.
async fn take(spool: &Spool, number: u64, bytes: usize) -> Result<Taken, SpoolError> {
    let key = Some(again(number)[0].key.1);
    let body = Bytes::from(vec![0; bytes]);
    let capture = Capture { webhook: WEBHOOK, key, body, ..Capture::default() };
    let events = [event(number), event(number + (1 << 40))];
    let frame = Frame::encode(Uuid::from_u128(1), None, NOW, &events, Some(&capture));
    spool.append_first(&again(number), (events[0].id, NOW), frame).await
}

async fn known(spool: &Spool, number: u64) -> bool {
    let first = spool.first(&again(number)).await.expect("an answer");
    assert!(first.is_none_or(|first| first.id == event(number).id), "another's: {number}");
    first.is_some()
}

/// A request that is to be taken once, and segments behind it.
async fn fill(spool: &Spool) {
    assert!(matches!(take(spool, 1, 10).await, Ok(Taken::New(_))));
    for number in 2..=6 {
        spool.append(frame(number, 50_000)).await.expect("a receipt");
    }
}

#[tokio::test]
async fn a_request_is_known_behind_what_start_up_reads_and_when_its_segment_is_gone() {
    for retention_max_bytes in [2 << 30, 0] {
        let folder = Folder::new();
        let options = Options { retention_max_bytes, ..small() };
        let spool = open_blind(&folder.0, &options);
        fill(&spool).await;
        let is_kept = retention_max_bytes > 0;
        while !is_kept && spool.oldest() <= 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        spool.close();
        for _ in 0..2 {
            let spool = open_blind(&folder.0, &options);
            assert_eq!(spool.oldest() == 1, is_kept);
            assert!(known(&spool, 1).await);
            assert!(matches!(take(&spool, 1, 10).await, Ok(Taken::Known(_))));
            assert!(!known(&spool, 7).await);
            spool.close();
        }
        // It is these files that say so.
        std::fs::remove_dir_all(firsts::folder(&folder.0.join("spool"))).expect("removed");
        let spool = open_blind(&folder.0, &options);
        assert!(is_kept || !known(&spool, 1).await);
        spool.close();
    }
}

#[tokio::test]
async fn a_folder_from_before_keys_were_written_down_is_read_behind_the_start() {
    let folder = Folder::new();
    let spool = open_blind(&folder.0, &small());
    fill(&spool).await;
    spool.close();
    std::fs::remove_dir_all(firsts::folder(&folder.0.join("spool"))).expect("removed");
    let spool = open_blind(&folder.0, &small());
    while !known(&spool, 1).await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    spool.close();
    let spool = open_blind(&folder.0, &small());
    assert!(known(&spool, 1).await, "and written down then");
}

#[tokio::test]
async fn a_request_is_known_whose_key_was_lost_in_a_file_before_others() {
    let folder = Folder::new();
    let spool = open_blind(&folder.0, &small());
    fill(&spool).await;
    spool.close();
    let place = folder.0.join("spool");
    let files = firsts::folder(&place);
    std::fs::remove_dir_all(&files).expect("removed");
    std::fs::create_dir(&files).expect("a folder");
    let open = || firsts::Firsts::open(&RealDisk, &place, &mut |_| ());
    let first = First { id: event(1).id, received: NOW, receipt: Receipt { sequence: 1 } };
    open().append(&RealDisk, &[(again(1)[0].key, first)], 1).expect("written");
    let damaged = files.join("00000000000000000001.firsts");
    let mut bytes = std::fs::read(&damaged).expect("a file");
    bytes[30] ^= 1;
    std::fs::write(&damaged, bytes).expect("written");
    open().append(&RealDisk, &[], 6).expect("written");
    assert_eq!(std::fs::read_dir(&files).expect("a folder").count(), 2);
    let spool = open_blind(&folder.0, &small());
    assert!(known(&spool, 1).await, "its frame was read");
    spool.close();
}

#[tokio::test]
async fn no_crash_makes_a_request_new_again_that_was_taken_once() {
    tokio::time::pause();
    let mut chance = fastrand::Rng::with_seed(11);
    let (mut retired, mut taken) = (0, 0);
    for run in 0..40 {
        let mut disk = FaultDisk::new(run);
        let (mut promised, mut number) = (Vec::new(), 0);
        for life in 0..5 {
            // Gone as soon as they are sealed.
            let options = Options { direct: run % 2 == 0, retention: Duration::ZERO, ..small() };
            let clock = Arc::new(Clock::fixed(NOW));
            let shared: Arc<dyn crate::journal::Disk> = Arc::new(disk.clone());
            let opened =
                still::open(shared, Path::new("/data"), &options, &clock, chance.fork(), 0);
            let (spool, _, hands) = opened.expect("a spool");
            let crash_at = chance.u64(0..150);
            let load = async {
                for number in &promised {
                    assert!(known(&spool, *number).await, "run {run} life {life}: {number}");
                }
                disk.set(Plan { crash_at: Some(crash_at), ..Plan::default() });
                loop {
                    number += 1;
                    match take(&spool, number, 15_000).await {
                        Ok(Taken::New(_)) => promised.push(number),
                        Ok(Taken::Known(first) | Taken::Failed(first)) => {
                            panic!("run {run}: {first:?}")
                        }
                        Err(_) => break,
                    }
                }
                retired += u64::from(spool.oldest() > 1);
            };
            tokio::select! {
                () = hands.work(|| Duration::from_millis(20)) => {}
                () = load => {}
            }
            disk = disk.after_crash();
        }
        taken += promised.len();
    }
    assert!(retired > 100 && taken > 1000, "{retired} lives with segments gone, {taken} requests");
}

#[test]
fn a_key_of_a_failure_that_is_gone_does_not_stand_before_another_that_is_kept() {
    let (say, hear) = std::sync::mpsc::channel();
    // Whoever turns for ever lets no clock of its runtime go on.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let folder = Folder::new();
            let spool = open_blind(&folder.0, &Options { retention_max_bytes: 0, ..small() });
            let fail = async |number: u64, keys: [u64; 2]| {
                let known = keys.map(|key| again(key)[0]);
                let named = (event(number).id, NOW);
                spool.append_failed(&known, named, frame(number, 10)).await.expect("an answer")
            };
            assert!(matches!(fail(1, [51, 60]).await, Taken::New(_)));
            for number in 2..=6 {
                spool.append(frame(number, 50_000)).await.expect("a receipt");
            }
            while spool.oldest() <= 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert!(matches!(fail(7, [52, 60]).await, Taken::New(_)), "the first is gone");
            let again = fail(8, [51, 60]).await;
            assert!(matches!(again, Taken::Failed(first) if first.id == event(7).id));
            spool.close();
        });
        say.send(()).expect("somebody hears");
    });
    hear.recv_timeout(Duration::from_secs(30)).expect("an end");
}
