//! Requests that came to no event, and the events they get later.

use std::collections::HashMap;

use super::*;
use crate::clock::Time;

const PLACE: (Uuid, Option<Uuid>) = (Uuid::from_u128(1), None);
const WEBHOOK: Uuid = Uuid::from_u128(9);
const NOW: Time = Time::from_micros(1_000_000_000_000);

fn digest(number: u64) -> Digest {
    u128::from(number).to_le_bytes()
}

fn again(number: u64) -> [Again; 1] {
    [Again { key: (WEBHOOK, digest(number)), since: NOW.plus_seconds(-60) }]
}

/// Hands a request of that key over, as one that came to an event or to none.
async fn take(spool: &Spool, key: u64, id: u64, fails: bool) -> Result<Taken, SpoolError> {
    let own = if fails { of_failed(digest(key)) } else { digest(key) };
    let capture = Capture { webhook: WEBHOOK, key: Some(own), ..Capture::default() };
    let events = [event(id), event(id + (1 << 40))];
    let frame = Frame::encode(PLACE.0, None, NOW, &events, Some(&capture));
    let named = (events[0].id, NOW);
    if fails {
        spool.append_failed(&again(key), named, frame).await
    } else {
        spool.append_first(&again(key), named, frame).await
    }
}

fn late(key: u64, request: u64, received: Time) -> Late {
    Late { id: event(request).id, received, keys: vec![((WEBHOOK, digest(key)), 60)] }
}

/// Gives requests their events; how many got one.
async fn mend(spool: &Spool, all: &[(u64, Late)]) -> Result<usize, SpoolError> {
    let events = all.iter().map(|(number, _)| event(*number)).collect();
    let late: HashMap<_, _> =
        all.iter().map(|(number, late)| (event(*number).id, late.clone())).collect();
    let tell = |new: usize| event((1 << 50) + new as u64);
    spool.append_late(PLACE, NOW, events, &late, &tell).await
}

fn first(taken: Result<Taken, SpoolError>) -> (bool, Option<Uuid>) {
    match taken.expect("taken") {
        Taken::New(_) => (false, None),
        Taken::Known(first) => (false, Some(first.id)),
        Taken::Failed(first) => (true, Some(first.id)),
    }
}

#[tokio::test]
async fn what_failed_is_kept_once_and_comes_to_one_event() {
    let folder = Folder::new();
    let (mut spool, _) = open(&folder.0, options());
    let id = |number: u64| Some(event(number).id);
    assert_eq!(first(take(&spool, 1, 1, true).await), (false, None));
    assert_eq!(first(take(&spool, 2, 2, true).await), (false, None));
    for _ in 0..2 {
        assert_eq!(first(take(&spool, 1, 3, true).await), (true, id(1)));
        spool.close();
        spool = open(&folder.0, options()).0;
    }
    // Sent again first, then replayed.
    assert_eq!(first(take(&spool, 1, 4, false).await), (false, None));
    assert_eq!(first(take(&spool, 1, 5, false).await), (false, id(4)));
    assert_eq!(first(take(&spool, 1, 5, true).await), (false, id(4)), "it has its event");
    assert!(spool.has_event(&late(1, 1, NOW)) && !spool.has_event(&late(2, 2, NOW)));
    assert_eq!(mend(&spool, &[(101, late(1, 1, NOW))]).await, Ok(0));
    // Replayed first, two of one key, then sent again.
    let both = [(102, late(2, 2, NOW)), (103, late(2, 6, NOW))];
    assert_eq!(mend(&spool, &both).await, Ok(1), "the first");
    assert_eq!(mend(&spool, &both).await, Ok(0));
    for _ in 0..2 {
        assert_eq!(first(take(&spool, 2, 7, false).await), (false, id(2)));
        spool.close();
        spool = open(&folder.0, options()).0;
    }
    // What came long before, or after, is another one; the newer stays known.
    let before = late(2, 8, NOW.plus_seconds(-61));
    assert!(!spool.has_event(&before));
    assert_eq!(mend(&spool, &[(104, before)]).await, Ok(1));
    for _ in 0..2 {
        assert_eq!(first(take(&spool, 2, 9, false).await), (false, id(2)));
        spool.close();
        spool = open(&folder.0, options()).0;
    }
}

#[tokio::test]
async fn what_failed_is_kept_again_once_the_first_is_not() {
    let folder = Folder::new();
    let options = Options {
        segment_bytes: 64 << 10,
        spool_max_bytes: 64 << 20,
        retention_max_bytes: 0,
        ..options()
    };
    let (spool, _) = open(&folder.0, options);
    assert_eq!(first(take(&spool, 1, 1, true).await), (false, None));
    assert_eq!(first(take(&spool, 1, 2, true).await), (true, Some(event(1).id)));
    for number in 2..=6 {
        spool.append(frame(number, 50_000)).await.expect("a receipt");
    }
    while spool.oldest() <= 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(first(take(&spool, 1, 10, true).await), (false, None));
    assert_eq!(first(take(&spool, 1, 11, true).await), (true, Some(event(10).id)));
}

#[tokio::test]
async fn no_crash_gives_a_request_two_events() {
    tokio::time::pause();
    let mut chance = fastrand::Rng::with_seed(12);
    let mut mended = 0;
    for run in 0..30 {
        let mut disk = FaultDisk::new(run);
        let (mut promised, mut number) = (Vec::new(), 0);
        for life in 0..5 {
            let options = Options {
                direct: run % 2 == 0,
                retention: Duration::ZERO,
                segment_bytes: 64 << 10,
                spool_max_bytes: 64 << 20,
                ..options()
            };
            let clock = Arc::new(Clock::fixed(NOW));
            let shared: Arc<dyn crate::journal::Disk> = Arc::new(disk.clone());
            let opened =
                still::open(shared, Path::new("/data"), &options, &clock, chance.fork(), 0);
            let (spool, _, hands) = opened.expect("a spool");
            let crash_at = chance.u64(0..150);
            let load = async {
                for number in &promised {
                    let taken = first(take(&spool, *number, 1 << 30, false).await);
                    assert_eq!(taken, (false, Some(event(*number).id)), "run {run} life {life}");
                }
                disk.set(Plan { crash_at: Some(crash_at), ..Plan::default() });
                loop {
                    number += 1;
                    let all = [((1 << 20) + number, late(number, number, NOW))];
                    let came = take(&spool, number, number, true).await;
                    if came.is_err() || mend(&spool, &all).await.is_err() {
                        break;
                    }
                    promised.push(number);
                    if spool.append(frame((1 << 21) + number, 15_000)).await.is_err() {
                        break;
                    }
                }
            };
            tokio::select! {
                () = hands.work(|| Duration::from_millis(20)) => {}
                () = load => {}
            }
            disk = disk.after_crash();
        }
        mended += promised.len();
    }
    assert!(mended > 300, "{mended}");
}
