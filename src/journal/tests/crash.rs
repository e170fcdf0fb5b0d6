//! Power loss at every kind of moment: what was acknowledged, or shown once, is there after the next start, equal and
//! in order; nothing else is. Each run prints its seed when it fails.

use super::*;

/// A journal through several lives on one disk.
struct Run {
    seed: u64,
    chance: fastrand::Rng,
    disk: FaultDisk,
    mode: Mode,
    /// Must be there, by sequence.
    promised: BTreeMap<u64, Vec<u8>>,
    /// May be there.
    sent: BTreeMap<u64, Vec<u8>>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    crashes: u64,
    in_write: u64,
    in_recovery: u64,
    acknowledged: u64,
    found_unasked: u64,
    torn_bytes: u64,
    damaged: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut chance = fastrand::Rng::with_seed(seed);
        let disk = FaultDisk::new(chance.u64(..));
        let mode = if chance.bool() { Mode::Direct } else { Mode::Buffered };
        let (promised, sent) = (BTreeMap::new(), BTreeMap::new());
        Self { seed, chance, disk, mode, promised, sent, counts: Counts::default() }
    }

    /// One life: start, write, die.
    fn live(&mut self) {
        self.counts.crashes += 1;
        let crash_at = self.chance.u64(0..60);
        self.disk.set(Plan { crash_at: Some(crash_at), ..Plan::default() });
        match open(&self.disk, self.mode, self.chance.u64(..)) {
            Ok(bench) => {
                self.check(&bench.found, &bench.report);
                self.work(bench);
            }
            Err(_) => self.counts.in_recovery += 1,
        }
        self.disk = self.disk.after_crash();
    }

    /// Writes batches until the power goes; makes spares and retires segments in between.
    fn work(&mut self, mut bench: Bench) {
        loop {
            if self.chance.u8(0..8) == 0 {
                let capacity = BLOCK_BYTES * self.chance.u64(3..8);
                let (disk, id) = (bench.disk.clone(), self.chance.u64(..));
                let _ = bench.shelf.fill_spare(&disk, &folder(), capacity, self.mode, id);
            }
            if self.chance.u8(0..8) == 0 {
                self.retire(&bench);
            }
            let payloads: Vec<_> = (0..self.chance.usize(1..6)).map(|_| self.payload()).collect();
            let (first, written) = bench.write(&payloads);
            let died = written.is_err();
            for (sequence, payload) in (first..).zip(payloads) {
                self.sent.insert(sequence, payload.clone());
                if !died {
                    self.counts.acknowledged += 1;
                    self.promised.insert(sequence, payload);
                }
            }
            if died {
                self.counts.in_write += 1;
                return;
            }
            if bench.disk.operations() > 200 {
                return;
            }
        }
    }

    fn retire(&mut self, bench: &Bench) {
        let Some(segment) = bench.shelf.retirable().first().cloned() else { return };
        // Released: whether it is there after a crash is of no interest, but it may be.
        let last = segment.last();
        self.promised = self.promised.split_off(&(last + 1));
        let recycle = self.chance.bool();
        let _ = bench.shelf.retire(&bench.disk, &folder(), &segment, recycle);
    }

    fn payload(&mut self) -> Vec<u8> {
        let length = match self.chance.u8(0..4) {
            0 => self.chance.usize(0..20),
            1 => self.chance.usize(2000..9000),
            _ => self.chance.usize(50..1500),
        };
        (0..length).map(|_| self.chance.u8(..)).collect()
    }

    /// What recovery gave must be what was promised, and nothing that was not sent.
    fn check(&mut self, found: &BTreeMap<u64, Vec<u8>>, report: &Report) {
        let seed = self.seed;
        for (sequence, payload) in &self.promised {
            assert_eq!(found.get(sequence), Some(payload), "seed {seed}: frame {sequence} is lost");
        }
        for (sequence, payload) in found {
            assert_eq!(self.sent.get(sequence), Some(payload), "seed {seed}: frame {sequence}");
            if self.promised.insert(*sequence, payload.clone()).is_none() {
                self.counts.found_unasked += 1;
            }
        }
        for (first, last) in &report.missing {
            let missed = self.promised.range(*first..=*last).next();
            assert!(missed.is_none(), "seed {seed}: {missed:?} counts as missing");
        }
        self.counts.torn_bytes += report.torn_bytes;
        self.counts.damaged += report.damaged.len() as u64;
    }

    /// After the last crash: starting again and again finds the same.
    fn end(&mut self) {
        let (_, first) = recover_all(&self.disk, true).expect("a recovery");
        let (once, found) = recover_all(&self.disk, true).expect("a recovery");
        let (twice, again) = recover_all(&self.disk, false).expect("a recovery");
        assert!(first == found && found == again, "seed {}: frames differ", self.seed);
        assert_eq!(once.report, twice.report, "seed {}", self.seed);
        assert_eq!(once.report.torn_bytes, 0, "seed {}: the tail was cut before", self.seed);
        self.check(&found, &once.report);
    }
}

#[test]
fn no_crash_loses_what_was_acknowledged() {
    let wanted = crashes(1500);
    let first_seed = std::env::var("HOOKGATE_SIM_SEED").ok().and_then(|text| text.parse().ok());
    let mut total = Counts::default();
    for seed in first_seed.unwrap_or(1_u64).. {
        let mut run = Run::new(seed);
        for _ in 0..run.chance.u64(2..8) {
            run.live();
        }
        run.end();
        let Counts { crashes, in_write, in_recovery, acknowledged, .. } = run.counts;
        total.crashes += crashes;
        total.in_write += in_write;
        total.in_recovery += in_recovery;
        total.acknowledged += acknowledged;
        total.found_unasked += run.counts.found_unasked;
        total.torn_bytes += run.counts.torn_bytes;
        total.damaged += run.counts.damaged;
        if total.crashes >= wanted {
            break;
        }
    }
    // A simulation in which nothing was open when the power went proves nothing.
    assert!(total.in_write > total.crashes / 3, "{total:?}");
    assert!(total.in_recovery > 0 && total.found_unasked > 0 && total.torn_bytes > 0, "{total:?}");
    eprintln_counts(&total);
}

/// Seen with `cargo test -- --nocapture`.
#[expect(clippy::print_stderr, reason = "the counts of a simulation are its result")]
fn eprintln_counts(total: &Counts) {
    eprintln!("simulated {total:?}");
}

#[test]
fn one_failing_operation_fails_its_batch_and_no_other() {
    for mode in [Mode::Direct, Mode::Buffered] {
        let mut at = 0;
        loop {
            let disk = FaultDisk::new(at);
            let mut bench = open(&disk, mode, at).expect("an empty folder");
            let _ = bench.shelf.fill_spare(&disk, &folder(), 5 * BLOCK_BYTES, mode, 1);
            disk.set(Plan { fail_at: Some(at), ..Plan::default() });
            let mut promised = BTreeMap::new();
            let mut failed = 0;
            for round in 0..20_u64 {
                let payloads = vec![vec![round as u8; 700], vec![round as u8; 1900]];
                let (first, written) = bench.write(&payloads);
                match written {
                    Ok(()) => promised.extend((first..).zip(payloads)),
                    Err(JournalError::Failed(_)) => failed += 1,
                    Err(why) => panic!("{why}"),
                }
            }
            let done = disk.operations() <= at;
            assert_eq!(failed, u64::from(!done), "operation {at}");
            let (recovered, found) = recover_all(&disk.after_crash(), true).expect("a recovery");
            assert_eq!(found, promised, "operation {at}: what failed must not come back");
            assert!(recovered.report.damaged.is_empty(), "operation {at}: {:?}", recovered.report);
            assert!(recovered.report.missing.is_empty(), "operation {at}");
            if done {
                break;
            }
            at += 1;
        }
        assert!(at > 30, "{at} operations");
    }
}

#[test]
fn a_full_disk_fails_batches_and_goes_on_when_there_is_room() {
    for mode in [Mode::Direct, Mode::Buffered] {
        for capacity in (10_000..60_000).step_by(1_111) {
            let disk = FaultDisk::new(capacity);
            let mut bench = open(&disk, mode, capacity).expect("an empty folder");
            let mut promised = BTreeMap::new();
            let mut full = 0;
            for round in 0..30_u64 {
                let room = if round < 20 { capacity } else { 1 << 20 };
                disk.set(Plan { capacity: Some(room), ..Plan::default() });
                let payloads = vec![vec![round as u8; 1500], vec![round as u8; 1700]];
                let (first, written) = bench.write(&payloads);
                match written {
                    Ok(()) => promised.extend((first..).zip(payloads)),
                    Err(JournalError::Full(_)) if round < 20 => full += 1,
                    Err(why) => panic!("round {round}: {why}"),
                }
            }
            assert!(full > 0, "{capacity}");
            let (recovered, found) = recover_all(&disk.after_crash(), true).expect("a recovery");
            assert_eq!(found, promised, "{capacity}");
            assert!(recovered.report.damaged.is_empty(), "{capacity}: {:?}", recovered.report);
        }
    }
}
