//! What a reader that drops loses is known after any end: on a disk that loses power or fails in the middle, by the
//! spool's own hands, one turn after the other.

use std::collections::BTreeSet;

use tokio::time::{Instant, sleep};

use super::*;
use crate::lone::Lone;
use crate::spool::still::{self, Hands};

const NAME: &str = "lossy";
const LIVES: u64 = 4;
/// Longer than places are on their way to the disk.
const UNSAVED: Duration = Duration::from_millis(300);

fn tiny() -> Options {
    Options { spool_max_bytes: 1 << 20, retention: Duration::ZERO, ..options() }
}

fn open_still(disk: &FaultDisk, chance: &mut fastrand::Rng) -> (Spool, Hands) {
    let clock = Arc::new(Clock::fixed(Time::from_micros(1_000_000)));
    let (ground, data) = (Arc::new(disk.clone()), Path::new("/data"));
    let opened = still::open(ground, data, &tiny(), &clock, chance.fork(), u64::MAX);
    let (spool, _, hands) = opened.expect("a spool");
    (spool, hands)
}

/// One reader that drops, and what it was ever done with.
#[derive(Default)]
struct Course {
    /// Frames that were ever kept.
    kept: BTreeSet<u64>,
    done: BTreeSet<u64>,
    /// Given since it began to read, and not released.
    given: BTreeSet<u64>,
    /// Released, when that was.
    late: Vec<(Instant, u64)>,
    /// Of those, what may not be known of when the power went: may count as lost.
    unsure: BTreeSet<u64>,
    /// What the spool said while there was power.
    lost: u64,
    number: u64,
}

impl Course {
    /// Until the disk is gone, or for some time.
    async fn live(
        &mut self,
        spool: &Spool,
        chance: &mut fastrand::Rng,
        is_gone: impl Fn() -> bool,
    ) {
        let mut reader = spool.reader(NAME, OnFull::DropOldest).expect("a reader");
        self.given.clear();
        for _ in 0..120 {
            let lost = spool.lost_by(NAME);
            if is_gone() {
                return;
            }
            self.lost = lost;
            for _ in 0..chance.u8(0..6) {
                self.number += 1;
                match spool.append(frame(self.number, 20_000)).await {
                    Ok(receipt) => drop(self.kept.insert(receipt.sequence())),
                    Err(SpoolError::Full { .. } | SpoolError::Busy) => {
                        sleep(Duration::from_millis(50)).await;
                    }
                    Err(_) => return,
                }
            }
            match chance.u8(0..20) {
                0..6 => {
                    let most = chance.usize(1..12);
                    let kept = reader.take(most, 1 << 20, u64::MAX).await.unwrap_or_default();
                    self.given.extend(kept.iter().map(|kept| kept.sequence));
                }
                6..10 => {
                    let all: Vec<_> = self.given.iter().copied().collect();
                    let Some(place) = chance.choice(&all).copied() else { continue };
                    reader.release(place);
                    let later = self.given.split_off(&(place + 1));
                    let mut done = std::mem::replace(&mut self.given, later);
                    self.late.extend(done.iter().map(|place| (Instant::now(), *place)));
                    self.done.append(&mut done);
                }
                10 => {
                    reader.rewind();
                    self.given.clear();
                }
                11..14 => sleep(Duration::from_millis(chance.u64(1..300))).await,
                _ => {}
            }
        }
    }

    /// The power went.
    fn end(&mut self) {
        let late = self.late.drain(..).filter(|(at, _)| at.elapsed() < UNSAVED);
        self.unsure.extend(late.map(|(_, place)| place));
    }

    /// Of everything before its place, what was not done with is lost, and known as that.
    async fn check(&mut self, spool: &Spool, is_exact: bool, seed: u64) -> u64 {
        let mut all = spool.follow(Some(Time::from_micros(i64::MIN)));
        loop {
            let kept = all.take(100, 1 << 20, u64::MAX).await.expect("frames");
            if kept.is_empty() {
                break;
            }
            self.kept.extend(kept.iter().map(|kept| kept.sequence));
        }
        let reader = spool.reader(NAME, OnFull::DropOldest).expect("a reader");
        let behind = self.kept.range(..reader.position());
        let missing: Vec<_> = behind.filter(|place| !self.done.contains(place)).copied().collect();
        let (lost, count) = (spool.lost_by(NAME), missing.len() as u64);
        let most = count + self.unsure.range(..reader.position()).count() as u64;
        let is_right = lost >= count && (lost <= most || !is_exact);
        assert!(is_right, "seed {seed}: {lost} of {missing:?}");
        for place in &missing {
            assert_ne!(spool.fate(NAME, *place), Fate::Read, "seed {seed}: {place}");
        }
        let read = self.done.iter().filter(|place| **place < reader.position());
        for place in read.filter(|place| is_exact && !self.unsure.contains(place)) {
            assert_ne!(spool.fate(NAME, *place), Fate::Lost, "seed {seed}: {place}");
        }
        let before = std::mem::replace(&mut self.lost, lost);
        assert!(lost >= before, "seed {seed}: {before} were lost, now {lost}");
        lost
    }
}

/// Lives that end by a loss of power; how many frames were lost, as a start says.
async fn lives(seed: u64, fails: bool) -> u64 {
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut disk = FaultDisk::new(seed);
    let mut course = Course::default();
    for _ in 0..LIVES {
        let (spool, hands) = open_still(&disk, &mut chance);
        course.check(&spool, !fails, seed).await;
        let at = chance.u64(0..500);
        let (fail_at, crash_at) = if fails { (Some(at), None) } else { (None, Some(at)) };
        disk.set(Plan { crash_at, fail_at, ..Plan::default() });
        let work = hands.work(|| Duration::from_millis(3));
        tokio::select! {
            () = work => unreachable!("it works until it is dropped"),
            () = course.live(&spool, &mut chance, || !fails && disk.operations() > at) => {}
        }
        course.end();
        disk = disk.after_crash();
    }
    let (spool, _hands) = open_still(&disk, &mut chance);
    course.check(&spool, !fails, seed).await
}

#[tokio::test(start_paused = true)]
async fn what_a_reader_lost_is_counted_once_whenever_the_power_goes() {
    let _lone = Lone::enter();
    let mut lost = 0;
    for seed in 0..24 {
        lost += lives(seed, false).await;
    }
    assert!(lost > 500, "{lost}");
}

#[tokio::test(start_paused = true)]
async fn what_a_reader_lost_is_counted_though_its_place_could_not_be_saved() {
    let _lone = Lone::enter();
    let mut lost = 0;
    for seed in 0..12 {
        lost += lives(seed, true).await;
    }
    assert!(lost > 500, "{lost}");
}
