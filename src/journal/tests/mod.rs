//! What crash, damage and failure may and may not do to a journal: shared parts of the simulations.

mod crash;
mod power;
mod sweep;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::fault::{FaultDisk, Plan};
use super::*;

pub(super) const FOLDER: &str = "/data/spool";

/// A journal under test, and what it must still hold.
pub(super) struct Bench {
    pub(super) disk: FaultDisk,
    pub(super) journal: Journal,
    pub(super) shelf: Arc<Shelf>,
    pub(super) next: u64,
    pub(super) report: Report,
    /// Payloads by sequence, as recovery gave them.
    pub(super) found: BTreeMap<u64, Vec<u8>>,
}

pub(super) fn folder() -> PathBuf {
    PathBuf::from(FOLDER)
}

/// Recovers everything the disk holds.
pub(super) fn recover_all(
    disk: &FaultDisk,
    repair: bool,
) -> io::Result<(Recovered, BTreeMap<u64, Vec<u8>>)> {
    let mut found = BTreeMap::new();
    let scope = Scope { repair, read_max_bytes: u64::MAX, read_from: 1 };
    let mut before = 0;
    let recovered = recover(disk, &folder(), scope, &mut |frame| {
        assert!(frame.header.sequence > before, "order");
        before = frame.header.sequence;
        found.insert(before, frame.payload.to_vec());
    })?;
    Ok((recovered, found))
}

pub(super) fn open(disk: &FaultDisk, mode: Mode, seed: u64) -> io::Result<Bench> {
    let (recovered, found) = recover_all(disk, true)?;
    let shelf = Arc::new(recovered.shelf);
    let chance = fastrand::Rng::with_seed(seed);
    let start = Start { mode, last: recovered.last, first_bytes: 4 * BLOCK_BYTES, chance };
    let journal = Journal::new(Arc::new(disk.clone()), &folder(), Arc::clone(&shelf), start);
    let (next, report) = (recovered.next, recovered.report);
    Ok(Bench { disk: disk.clone(), journal, shelf, next, report, found })
}

/// A batch of frames with those payloads, from sequence `first` on.
pub(super) fn batch(first: u64, payloads: &[Vec<u8>]) -> Buffer {
    let mut buffer = Buffer::default();
    for (sequence, payload) in (first..).zip(payloads) {
        let header = Header {
            length: payload.len() as u32,
            payload_crc: crc32c::crc32c(payload),
            kind: 1,
            sequence,
            received: sequence.cast_signed(),
            ..Header::default()
        };
        let mut frame = vec![0; header.frame_bytes() as usize];
        header.write(&mut frame);
        frame[HEADER_BYTES..HEADER_BYTES + payload.len()].copy_from_slice(payload);
        buffer.push(&frame);
    }
    buffer
}

impl Bench {
    /// Writes a batch; its first sequence and what became of it.
    pub(super) fn write(&mut self, payloads: &[Vec<u8>]) -> (u64, Result<(), JournalError>) {
        let first = self.next;
        let last = first + payloads.len() as u64 - 1;
        self.next = last + 1;
        let mut batch = batch(first, payloads);
        let written = self.journal.write(&mut batch, first, last, first.cast_signed());
        (first, written.map(drop))
    }
}

/// How many crashes to simulate: `HOOKGATE_SIM_CRASHES`, else `usually`.
pub(super) fn crashes(usually: u64) -> u64 {
    let wanted = std::env::var("HOOKGATE_SIM_CRASHES").ok();
    wanted.and_then(|text| text.parse().ok()).unwrap_or(usually)
}
