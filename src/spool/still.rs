//! A spool without threads, for simulations. In: a disk, and how long writer and keeper dawdle. Out: a spool, and the
//! hands that do their work: the same writer and the same keeper, one turn after the other on the simulation's thread.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::keeper::{Keeper, ROUND};
use super::open::{Ground, Opened, Running, prepare};
use super::writer::Writer;
use super::{Options, Recovery, Spool, SpoolError};
use crate::clock::Clock;
use crate::journal::Disk;
use crate::telemetry::Telemetry;

/// What works for a spool.
pub(crate) struct Hands(Opened);

/// Opens the spool of a data folder on a disk; nothing is written before its hands work.
pub(crate) fn open(
    disk: Arc<dyn Disk>,
    data: &Path,
    options: &Options,
    clock: &Arc<Clock>,
    chance: fastrand::Rng,
    read_max_bytes: u64,
) -> Result<(Spool, Recovery, Hands), SpoolError> {
    let ground = Ground { read_max_bytes, ..Ground::new(disk, None, chance) };
    let opened = prepare(ground, data, options, clock, &Telemetry::new())?;
    let running = Arc::new(Running::still(Arc::clone(&opened.shared)));
    let report = opened.report.clone();
    Ok((Spool { running }, report.into(), Hands(opened)))
}

impl Hands {
    /// Works until it is dropped; a batch is taken after a pause, and the keeper goes round as often as its thread.
    pub(crate) async fn work(self, mut pause: impl FnMut() -> Duration) {
        let Opened { shared, journal, unread, .. } = self.0;
        let mut writer = Writer::new(&shared, journal);
        let mut keeper = Keeper::new(&shared, unread);
        let mut kept = tokio::time::Instant::now();
        loop {
            tokio::time::sleep(pause()).await;
            if shared.queue.is_filled()
                && let Some(batch) = shared.queue.take()
            {
                writer.write(batch);
            }
            if kept.elapsed() >= ROUND {
                kept = tokio::time::Instant::now();
                keeper.go_round();
            }
        }
    }
}
