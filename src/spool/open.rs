//! Opening, closing and checking a spool. In: a data folder and settings. Out: threads that run, or a report. The lock
//! comes first and goes last; whatever the end before was, nobody needs to do anything by hand.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use tokio::sync::Notify;

use super::content::{OWN, decode};
use super::firsts::Firsts;
use super::gate::Gate;
use super::late;
use super::memory::Memory;
use super::once::{IDS_MAX, Keys, Placed};
use super::queue::Queue;
use super::refused::Refusals;
use super::ring::{Pool, Ring};
use super::seals::Seals;
use super::shared::{Bell, Bounds, Shared};
use super::tracks::Tracks;
use super::watch::{self, Pace};
use super::{
    First, FolderLock, Kept, Key, Options, Receipt, Recovery, SpoolError, cursor, firsts, keeper,
    writer,
};
use crate::clock::{Clock, Held};
use crate::event::Event;
use crate::journal::{
    Disk, Found, Journal, Mode, RealDisk, Recovered, Report, Scope, Shelf, Start, count_damages,
    probe, recover,
};
use crate::telemetry::Telemetry;
use crate::telemetry::spool::Facts;

/// Bytes of sealed segments read at start-up, newest first: well under a second. The rest is read behind.
pub(super) const READ_MAX_BYTES: u64 = 256 << 20;

/// The running spool; the last handle to go closes it.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
    keeper: Mutex<Option<JoinHandle<()>>>,
    watch: Mutex<Option<JoinHandle<()>>>,
    lock: Mutex<Option<FolderLock>>,
}

impl Running {
    /// Without threads.
    #[cfg(test)]
    pub(super) fn still(shared: Arc<Shared>) -> Self {
        let (writer, keeper, watch, lock) = Default::default();
        Self { shared, writer, keeper, watch, lock }
    }

    /// Syncs what waits, ends all threads, saves the cursors, lets the folder go. Again: nothing.
    pub(super) fn close(&self) {
        self.shared.gate.close();
        self.shared.news.notify_waiters();
        self.shared.queue.close();
        join(&self.writer);
        self.shared.bell.close();
        join(&self.keeper);
        self.shared.watch_bell.close();
        join(&self.watch);
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.close();
    }
}

fn join(thread: &Mutex<Option<JoinHandle<()>>>) {
    let mut thread = thread.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(Err(_)) = thread.take().map(JoinHandle::join) {
        tracing::error!("a thread of the spool panicked");
    }
}

/// Where a spool runs: handed in, so that tests can bring their own disk.
pub(super) struct Ground {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) lock: Option<FolderLock>,
    pub(super) chance: fastrand::Rng,
    /// Bytes of sealed segments that start-up reads.
    pub(super) read_max_bytes: u64,
}

impl Ground {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        lock: Option<FolderLock>,
        chance: fastrand::Rng,
    ) -> Self {
        Self { disk, lock, chance, read_max_bytes: READ_MAX_BYTES }
    }
}

/// What recovery leaves to be run: by threads, or by hand.
pub(super) struct Opened {
    pub(super) shared: Arc<Shared>,
    pub(super) journal: Journal,
    /// Segments that were not read.
    pub(super) unread: Vec<Arc<crate::journal::Segment>>,
    pub(super) lock: Option<FolderLock>,
    pub(super) report: Report,
}

/// Opens the spool of a data folder.
pub(super) fn open(
    ground: Ground,
    data: &Path,
    options: &Options,
    clock: &Arc<Clock>,
    telemetry: &Telemetry,
) -> Result<(Running, Recovery), SpoolError> {
    let opened = prepare(ground, data, options, clock, telemetry)?;
    let Opened { shared, journal, unread, lock, report } = opened;
    let running = start_threads(shared, journal, unread, lock);
    let running = running.map_err(|fault| refuse(&data.join("spool"), &fault))?;
    Ok((running, report.into()))
}

/// One segment is ready before the first is full.
fn make_ahead(shelf: &Shelf, disk: &dyn Disk, folder: &Path, (bytes, mode, id): (u64, Mode, u64)) {
    if shelf.spare_count() > 0 {
        return;
    }
    if let Err(fault) = shelf.fill_spare(disk, folder, bytes, mode, id) {
        tracing::warn!(%fault, "no segment could be made ahead");
    }
}

/// Recovers, and starts nothing.
pub(super) fn prepare(
    ground: Ground,
    data: &Path,
    options: &Options,
    clock: &Arc<Clock>,
    telemetry: &Telemetry,
) -> Result<Opened, SpoolError> {
    let folder = data.join("spool");
    let refuse = |fault: io::Error| refuse(&folder, &fault);
    let Ground { disk, lock, mut chance, read_max_bytes } = ground;
    let cursors = cursor::folder(&folder);
    make_folders(&*disk, data, &folder).map_err(refuse)?;
    let mode = probe(&*disk, &folder, options.direct);
    let bounds = Bounds::new(options, disk.space(&folder).ok());
    let mut known = Known::default();
    let firsts = known.read_firsts(&*disk, &folder);
    // Frames whose keys may not be written down are read in any case; of a folder that never had any, as many as ever.
    let read_from = firsts.through().map_or(u64::MAX, |through| through + 1);
    let scope = Scope { repair: true, read_max_bytes, read_from };
    let mut visit = |found: &Found| known.note(found);
    let recovered = recover(&*disk, &folder, scope, &mut visit).map_err(refuse)?;
    let Recovered { shelf, last, next, report, unread } = recovered;
    let saved = cursor::read(&*disk, &cursors);
    // A reader that is done with a sequence never sees another frame under it, even if the first one was lost.
    let done = saved.places.values().copied().fold(known.last, u64::max);
    let next = next.max(done + 1);
    if saved.is_bad {
        tracing::warn!("the cursors are damaged: readers without one start at the oldest frame");
    }
    make_ahead(&shelf, &*disk, &folder, (bounds.first_bytes, mode, chance.u64(..)));
    let facts = Facts::register(telemetry);
    let damaged = count_damages(&*disk, &folder);
    facts.recovered(report.torn_bytes, mode == Mode::Direct);
    facts.damaged(damaged);
    log(&folder, &report, mode);
    let shelf = Arc::new(shelf);
    let pool = Arc::new(Pool::default());
    let tracks = Tracks::new(saved.places, saved.lost);
    tracks.note_unused(shelf.unused());
    let start = Start { mode, last, first_bytes: bounds.first_bytes, chance };
    let journal = Journal::new(Arc::clone(&disk), &folder, Arc::clone(&shelf), start);
    let refusals = Refusals::open(&*disk, &folder);
    let sealing = options.sealing.clone();
    let seals = |sealing| Seals::open(&*disk, &folder, sealing, next, Instant::now());
    let seals = sealing.map(seals).transpose()?;
    let shared = Arc::new(Shared {
        disk,
        folder: folder.clone(),
        cursors,
        mode,
        held: Held::since(known.keys.newest().unwrap_or_else(|| clock.now()), clock),
        clock: Arc::clone(clock),
        facts,
        queue: Queue::new(next, bounds.queue_max_bytes, Arc::clone(&pool)),
        bounds,
        gate: Gate::default(),
        ring: Ring::new(pool),
        refusals,
        written: AtomicU64::new(shelf.held().written),
        shelf,
        has_lost_places: saved.is_bad,
        saving: Mutex::new(saved.singles),
        tracks,
        news: Notify::new(),
        bell: Bell::default(),
        watch_bell: Bell::default(),
        pace: Pace::default(),
        durable: AtomicU64::new(last),
        ends: AtomicBool::new(false),
        damaged: AtomicUsize::new(damaged),
        has_untold: AtomicBool::new(damaged > 0),
        seals,
        seen: Mutex::new(known.seen),
        given: Mutex::new(known.given),
        keys: Mutex::new(known.keys),
        firsts: Mutex::new(firsts),
    });
    Ok(Opened { shared, journal, unread, lock, report })
}

fn start_threads(
    shared: Arc<Shared>,
    journal: Journal,
    unread: Vec<Arc<crate::journal::Segment>>,
    lock: Option<FolderLock>,
) -> io::Result<Running> {
    let (write, keep) = (Arc::clone(&shared), Arc::clone(&shared));
    let watched = Arc::clone(&shared);
    let running = Running {
        shared,
        writer: Mutex::default(),
        keeper: Mutex::default(),
        watch: Mutex::default(),
        lock: Mutex::new(lock),
    };
    let named = |name: &str| thread::Builder::new().name(name.to_owned());
    let thread = named("spool-writer").spawn(move || writer::run(&write, journal))?;
    *running.writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
    let thread = named("spool-keeper").spawn(move || keeper::run(&keep, unread))?;
    *running.keeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
    let thread = named("spool-watch").spawn(move || watch::run(&watched))?;
    *running.watch.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
    Ok(running)
}

fn make_folders(disk: &dyn Disk, data: &Path, folder: &Path) -> io::Result<()> {
    disk.make_folder(&cursor::folder(folder))?;
    disk.make_folder(&firsts::folder(folder))?;
    disk.sync_folder(folder)?;
    disk.sync_folder(data)?;
    // The data folder's own name, if it is new; a parent that we may not read was made by somebody else.
    if let Some(parent) = data.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        let _ = disk.sync_folder(parent);
    }
    Ok(())
}

/// What recovery reads of earlier frames: ids of our own events, digests of events that templates made, and requests
/// that are to be taken once.
struct Known {
    seen: Memory<Placed>,
    given: Memory<Placed>,
    keys: Keys,
    /// Keys of frames up to here are written down.
    through: u64,
    /// The largest sequence of which they tell.
    last: u64,
}

impl Default for Known {
    fn default() -> Self {
        let keys = Keys::default();
        let (seen, given) = (Memory::new(IDS_MAX), Memory::new(IDS_MAX));
        Self { seen, given, keys, through: 0, last: 0 }
    }
}

impl Known {
    /// Keys that are written down. Those that are over go with the next request: the clock may be wrong just now.
    fn read_firsts(&mut self, disk: &dyn Disk, folder: &Path) -> Firsts {
        let firsts = Firsts::open(disk, folder, &mut |(key, first)| {
            self.keys.insert_written(key, first);
        });
        self.through = firsts.through().unwrap_or_default();
        self.last = firsts.last().unwrap_or_default();
        firsts
    }

    fn note(&mut self, found: &Found) {
        let Some(kept) = decode(&found.header, &found.payload) else { return };
        let placed = |event: &Event| (kept.account, kept.workspace, event.id);
        if found.header.kind == OWN {
            kept.events.iter().for_each(|event| self.seen.insert(placed(event), kept.sequence));
            for (key, first) in late::read(&found.header, &found.payload) {
                if kept.sequence > self.through {
                    self.keys.insert_late(key, first);
                } else {
                    self.keys.insert_oldest(key, first);
                }
            }
        } else {
            // The first event of a request is ours: its id is fresh.
            let others = kept.events.iter().skip(1);
            others.for_each(|event| self.given.insert(placed(event), event.digest()));
            for (key, first) in firsts_of(&kept) {
                if kept.sequence > self.through {
                    self.keys.insert_read(key, first);
                } else {
                    self.keys.insert_oldest(key, first);
                }
            }
        }
    }
}

/// The request that a frame holds, by each key that it is to be taken once by.
pub(super) fn firsts_of(kept: &Kept) -> impl Iterator<Item = (Key, First)> {
    let receipt = Receipt { sequence: kept.sequence };
    let first =
        kept.events.first().map(|event| First { id: event.id, received: kept.received, receipt });
    let digests = kept.capture.iter().flat_map(|capture| {
        let digests = [capture.key, capture.signed].into_iter().flatten();
        digests.map(|digest| (capture.webhook, digest))
    });
    digests.filter_map(move |key| Some((key, first?)))
}

fn log(folder: &Path, report: &Report, mode: Mode) {
    let Report { frames, torn_bytes, damaged, missing } = report;
    let folder = folder.display();
    tracing::info!(%folder, frames, ?mode, "the spool is open");
    if *torn_bytes > 0 {
        tracing::warn!(%folder, torn_bytes, "a torn tail was cut: nobody was told of its frames");
    }
    for range in damaged {
        let crate::journal::Damage { segment, offset, bytes, .. } = range;
        tracing::error!(%folder, segment, offset, bytes, "damaged range, set aside and skipped");
    }
    for (first, last) in missing {
        tracing::error!(%folder, first, last, "frames are missing");
    }
}

impl From<Report> for Recovery {
    fn from(report: Report) -> Self {
        let Report { frames, torn_bytes, damaged, missing } = report;
        let range = |damage: crate::journal::Damage| (damage.segment, damage.offset, damage.bytes);
        Self { frames, torn_bytes, damaged: damaged.into_iter().map(range).collect(), missing }
    }
}

/// Shows every frame of a data folder's spool and changes nothing.
pub(super) fn each(data: &Path, see: &mut dyn FnMut(&Kept)) -> Result<(), SpoolError> {
    walk(data, &mut |found| {
        if let Some(kept) = decode(&found.header, &found.payload) {
            see(&kept);
        }
    })
    .map(drop)
}

/// Reads every frame of a data folder's spool and changes nothing.
pub(super) fn check(data: &Path) -> Result<Recovery, SpoolError> {
    walk(data, &mut |_| ())
}

fn walk(data: &Path, visit: &mut dyn FnMut(&Found)) -> Result<Recovery, SpoolError> {
    let _lock = FolderLock::look(data)?;
    let folder = data.join("spool");
    let scope = Scope { repair: false, read_max_bytes: u64::MAX, read_from: 1 };
    let recovered = recover(&RealDisk, &folder, scope, visit);
    recovered.map(|recovered| recovered.report.into()).map_err(|fault| refuse(&folder, &fault))
}

fn refuse(folder: &Path, fault: &io::Error) -> SpoolError {
    SpoolError::Folder { path: folder.to_path_buf(), why: fault.to_string() }
}
