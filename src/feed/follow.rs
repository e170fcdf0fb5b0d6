//! From the spool into the index, on a thread of its own. In: frames, as they become durable. Out: batches, moments of
//! durability, slices of retention. Holds the spool, and lets it go only of what is durable here. Gives up old events
//! for new ones while the disk is short, and waits out a full one; sets a damaged file aside and begins again.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::{Notify, watch};

use super::ask::{COUNT_TIME_MAX, PAGE_TIME_MAX};
use super::desk::Turns;
use super::index::{Index, Past};
use super::room::{Found, Ground, Room};
use super::{FeedError, History, Options, READER, file};
use crate::clock::Clock;
use crate::spool::{Kept, OnFull, Reader, Spool};
use crate::telemetry::feed::Facts;

/// Most frames and bytes of one batch.
const FRAMES_MAX: usize = 2048;
const BYTES_MAX: usize = 512 << 10;
/// Between two batches, while nobody waits for one: each costs something, whatever is in it.
const PACE: Duration = Duration::from_millis(50);
/// Between two moments of durability, while anything is not durable; and the most bytes of events till then.
const SYNC_EVERY: Duration = Duration::from_secs(2);
const UNSYNCED_MAX_BYTES: usize = 16 << 20;
/// The same while the spool is short of room, and how much a batch holds while the disk is.
const SYNC_SOON: Duration = Duration::from_millis(200);
const SHORT_BYTES_MAX: usize = 64 << 10;
/// Between two tries to cut the log, and the longest wait for questions that read in it.
const CUT_EVERY: Duration = Duration::from_secs(1);
const CUT_WAIT: Duration = Duration::from_millis(100);
/// A log that is so many times larger than it should be is waited for until every question that runs now has ended:
/// they follow one another without end, and it would grow without end. Seldom: nothing is indexed meanwhile.
const CUT_TIMES: u64 = 4;
const CUT_WAIT_MAX: Duration =
    COUNT_TIME_MAX.saturating_add(PAGE_TIME_MAX).saturating_add(Duration::from_secs(1));
const CUT_LONG_EVERY: Duration = Duration::from_mins(1);
/// Between two looks at a disk that is full.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Between two looks for runs of words that can be closed.
const RUNS_EVERY: Duration = Duration::from_secs(1);
/// Between two looks for what is too old.
const RETAIN_EVERY: Duration = Duration::from_mins(1);
/// Slices of retention between two batches.
const SLICES_MAX: usize = 4;
/// First and longest pause after a failure.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Audit events of earlier days that are added at once.
const PAST_BATCH: usize = 1000;

/// Share of all cores above which the rest of the program, senders first, needs the machine for itself.
const BUSY_SHARE: f64 = 1.0 / 3.0;
/// Events, and bytes of them, indexed in a second meanwhile; what is left behind is made up for once it is quieter.
const BUSY_EVENTS: f64 = 1_000.0;
const BUSY_BYTES: f64 = (1 << 20) as f64;
/// Between two looks at how busy it is.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How far the index steps back for everybody else, from 0 to 19.
const NICE: i32 = 19;

pub(super) struct Follower {
    pub(super) data: PathBuf,
    pub(super) ground: Ground,
    pub(super) options: Options,
    pub(super) spool: Spool,
    pub(super) clock: Arc<Clock>,
    pub(super) facts: Arc<Facts>,
    pub(super) history: History,
    pub(super) reach: watch::Sender<Option<u64>>,
    pub(super) halt: watch::Sender<Option<String>>,
    pub(super) hurry: Arc<Notify>,
    pub(super) turns: Turns,
}

/// What one run over a file knows.
struct Run {
    index: Index,
    reader: Reader,
    synced: Instant,
    /// Bytes of events that are in and not durable yet; frames without any count one.
    unsynced: usize,
    retained: Instant,
    is_retaining: bool,
    /// When to look for runs of words again.
    runs: Instant,
    bustle: Bustle,
    /// What is free.
    found: Found,
    /// When the log was cut last.
    cut: Instant,
    /// When it was last waited for at length.
    waited: Instant,
    /// Whether it was told that old events go.
    is_shedding: bool,
}

/// How much a batch holds.
#[derive(Clone, Copy)]
struct Load {
    events: usize,
    bytes: usize,
}

impl Load {
    fn of(frames: &[Kept]) -> Self {
        let events = || frames.iter().flat_map(|frame| &frame.events);
        Self { events: events().count(), bytes: events().map(|event| event.json.len()).sum() }
    }
}

/// How busy the rest of the program is.
struct Bustle {
    looked: Instant,
    /// Processor time of everybody else till then.
    others: Duration,
    cores: f64,
    is_busy: bool,
}

impl Bustle {
    fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        Self { looked: Instant::now(), others: time_of_others(), cores, is_busy: false }
    }

    /// For how long to let senders have the machine, behind a batch that took so long.
    fn pause(&mut self, batch: Load, took: Duration) -> Duration {
        let passed = self.looked.elapsed();
        if passed >= LOOK_EVERY {
            let others = time_of_others();
            let used = others.saturating_sub(self.others).as_secs_f64();
            self.is_busy = used > BUSY_SHARE * self.cores * passed.as_secs_f64();
            (self.looked, self.others) = (Instant::now(), others);
        }
        if !self.is_busy {
            return Duration::ZERO;
        }
        let share = (batch.events as f64 / BUSY_EVENTS).max(batch.bytes as f64 / BUSY_BYTES);
        Duration::from_secs_f64(share).saturating_sub(took)
    }
}

/// Processor time of this program so far, but for this thread's.
fn time_of_others() -> Duration {
    let time = |of| Duration::try_from(clock_gettime(of)).unwrap_or_default();
    time(ClockId::ProcessCPUTime).saturating_sub(time(ClockId::ThreadCPUTime))
}

impl Follower {
    /// Follows until told to stop.
    pub(super) fn run(self, index: Index, is_new: bool, stopped: watch::Receiver<bool>) {
        // Senders come first where cores are few. Linux takes it for this thread alone; refused, it is no harm.
        let _ = rustix::process::setpriority_process(None, NICE);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        match runtime {
            Ok(runtime) => runtime.block_on(self.follow(index, is_new, stopped)),
            Err(fault) => tracing::error!(%fault, "the feed has no runtime"),
        }
    }

    async fn follow(self, index: Index, is_new: bool, mut stopped: watch::Receiver<bool>) {
        let mut opened = Some((index, is_new));
        let mut pause = PAUSE_MIN;
        loop {
            let next = opened.take().map_or_else(|| Index::open(&self.data), Ok);
            let fault = match next {
                Ok((index, is_new)) => match self.follow_file(index, is_new, &mut stopped).await {
                    Ok(()) => return,
                    Err(fault) => fault,
                },
                Err(fault) => fault,
            };
            self.facts.failed();
            tracing::warn!(%fault, "the feed stands still");
            self.halt.send_replace(Some(fault.to_string()));
            if matches!(fault, FeedError::Damaged(_))
                && let Err(fault) = file::set_aside(&self.data)
            {
                tracing::warn!(%fault, "the damaged index cannot be set aside");
            }
            // Connections of questions see the file that is there, not the one that was.
            self.turns.fetch_add(1, Ordering::AcqRel);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                stop = stopped.wait_for(|stop| *stop) => {
                    drop(stop);
                    return;
                }
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Follows with one file, until told to stop or a batch fails.
    async fn follow_file(
        &self,
        mut index: Index,
        is_new: bool,
        stopped: &mut watch::Receiver<bool>,
    ) -> Result<(), FeedError> {
        let reader = self.reader(&mut index, is_new)?;
        if is_new {
            self.reach.send_replace(None);
            self.add_past(&mut index)?;
        }
        let now = Instant::now();
        let mut run = Run {
            index,
            reader,
            synced: now,
            unsynced: 1,
            retained: now,
            is_retaining: true,
            runs: now,
            bustle: Bustle::new(),
            found: self.ground.look(),
            cut: now,
            waited: now,
            is_shedding: false,
        };
        self.reach.send_replace(Some(run.index.cursor()));
        loop {
            self.make_room(&mut run, stopped).await?;
            let bytes_max = run.batch_bytes();
            let is_idle = !run.is_retaining && run.runs > Instant::now();
            let waits = if is_idle { RUNS_EVERY } else { Duration::ZERO };
            let frames = tokio::select! {
                biased;
                stop = stopped.wait_for(|stop| *stop) => {
                    drop(stop);
                    run.sync()?;
                    return Ok(());
                }
                frames = run.reader.next(FRAMES_MAX, bytes_max) => frames?,
                () = tokio::time::sleep(waits) => Vec::new(),
            };
            let began = Instant::now();
            let load = Load::of(&frames);
            self.add(&mut run, &frames, load)?;
            self.keep(&mut run)?;
            if self.halt.send_if_modified(|halted| halted.take().is_some()) {
                tracing::info!("the feed goes on");
            }
            let pause = run.bustle.pause(load, began.elapsed());
            // Senders come first, unless they are refused for what is not in yet.
            let pause = if self.is_urgent(&run) { Duration::ZERO } else { pause };
            let behind = self.spool.status().durable.saturating_sub(run.index.cursor());
            let pace = if behind < frames.len() as u64 { PACE } else { Duration::ZERO };
            if !frames.is_empty() && !pause.max(pace).is_zero() {
                tokio::select! {
                    () = tokio::time::sleep(pause.max(pace)) => {}
                    () = self.hurry.notified() => {}
                    stop = stopped.wait_for(|stop| *stop) => drop(stop),
                }
            }
        }
    }

    /// Has room for a batch: old events go for it while the disk is nearly full, and while it is full and there are
    /// none, nothing is added. It goes on as long as it can: what it holds of the spool is room, too.
    async fn make_room(
        &self,
        run: &mut Run,
        stopped: &mut watch::Receiver<bool>,
    ) -> Result<(), FeedError> {
        let mut is_told = false;
        while !is_over(stopped) {
            run.found = self.ground.look();
            let behind = self.spool.status().durable.saturating_sub(run.index.cursor());
            if run.found.room == Room::Ample || behind == 0 {
                run.is_shedding = false;
                return Ok(());
            }
            let is_spare = run.index.spare_bytes()? >= run.found.spare_min_bytes();
            if !is_spare && self.shed(run)? {
                continue;
            }
            if is_spare || run.found.may_grow {
                return Ok(());
            }
            let free = run.found.free;
            let why = format!("the disk is full: {free} bytes are free");
            self.halt.send_replace(Some(why));
            if !std::mem::replace(&mut is_told, true) {
                tracing::warn!(free, behind, "the feed stands still: the disk is full");
            }
            self.keep(run)?;
            tokio::select! {
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                stop = stopped.wait_for(|stop| *stop) => drop(stop),
            }
        }
        Ok(())
    }

    /// Gives up old events for new ones; whether any could go.
    fn shed(&self, run: &mut Run) -> Result<bool, FeedError> {
        if run.index.used_bytes()? <= run.found.own_bytes() {
            return Ok(false);
        }
        let Some(gone) = run.index.shed(&self.options, self.clock.now(), run.found.shed_bytes())?
        else {
            return Ok(false);
        };
        self.facts.expired(gone);
        run.unsynced += usize::from(gone > 0);
        if !std::mem::replace(&mut run.is_shedding, true) {
            let free = run.found.free;
            tracing::warn!(free, "the disk is nearly full: the oldest events leave the index");
        }
        self.keep(run)?;
        Ok(true)
    }

    /// Whether the spool is or will be short of room.
    fn is_urgent(&self, run: &Run) -> bool {
        run.found.room != Room::Ample || self.spool.is_urgent(READER)
    }

    /// The spool's reader, at or before the first frame that is not in.
    fn reader(&self, index: &mut Index, is_new: bool) -> Result<Reader, FeedError> {
        if index.cursor() > self.spool.status().durable {
            // Another journal: its frames are told apart from those known by the ids of their events.
            index.start_over()?;
        }
        // What was acknowledged goes only once it can be asked for.
        let reader = self.spool.reader(READER, OnFull::Hold)?;
        if !is_new && reader.released() <= index.cursor() {
            return Ok(reader);
        }
        drop(reader);
        Ok(self.spool.reader_again(READER, OnFull::Hold)?)
    }

    fn add_past(&self, index: &mut Index) -> Result<(), FeedError> {
        let (mut batch, mut fault) = (Vec::with_capacity(PAST_BATCH), None);
        let mut add = |batch: &mut Vec<Past>| {
            let added = index.add_past(batch);
            batch.clear();
            added.err()
        };
        (self.history)(&mut |past| {
            batch.push(past);
            if batch.len() >= PAST_BATCH && fault.is_none() {
                fault = add(&mut batch);
            }
        })
        .map_err(FeedError::Past)?;
        match fault.or_else(|| add(&mut batch)) {
            Some(fault) => Err(fault),
            None => Ok(()),
        }
    }

    fn add(&self, run: &mut Run, frames: &[Kept], load: Load) -> Result<(), FeedError> {
        if !frames.is_empty() {
            let began = Instant::now();
            let added = run.index.add(frames)?;
            self.facts.added(added.new, added.known, added.unreadable, began.elapsed());
            if added.unreadable > 0 {
                tracing::warn!(added.unreadable, "what is no event is not in the index");
            }
            run.unsynced += 1 + load.bytes;
            self.reach.send_replace(Some(run.index.cursor()));
        }
        Ok(())
    }

    /// What is due beside batches.
    fn keep(&self, run: &mut Run) -> Result<(), FeedError> {
        let every = if self.is_urgent(run) { SYNC_SOON } else { SYNC_EVERY };
        let (log, log_max) = (self.ground.log_bytes(), run.found.log_max_bytes());
        let is_large = log > log_max;
        let is_due = run.synced.elapsed() >= every || run.unsynced > UNSYNCED_MAX_BYTES;
        if run.unsynced > 0 && (is_due || is_large) {
            run.sync()?;
        }
        // It is the disk's room, whoever else could use it.
        if is_large && run.cut.elapsed() >= CUT_EVERY {
            let is_long = log > CUT_TIMES * log_max && run.waited.elapsed() >= CUT_LONG_EVERY;
            run.index.cut_log(if is_long { CUT_WAIT_MAX } else { CUT_WAIT })?;
            if is_long {
                run.waited = Instant::now();
            }
            run.cut = Instant::now();
        }
        if run.retained.elapsed() >= RETAIN_EVERY {
            run.retained = Instant::now();
            run.index.restart_retention();
            run.is_retaining = true;
        }
        if Instant::now() >= run.runs {
            if run.index.close_runs(self.clock.now())? {
                run.unsynced += 1;
            } else {
                run.runs = Instant::now() + RUNS_EVERY;
            }
        }
        for _ in 0..SLICES_MAX {
            if !run.is_retaining {
                break;
            }
            if let Some(gone) = run.index.retain(&self.options, self.clock.now())? {
                self.facts.expired(gone);
                run.unsynced += usize::from(gone > 0);
            } else {
                run.is_retaining = run.index.forget_requests(self.spool.oldest())?;
                self.facts.measured(run.index.used_bytes()?);
            }
        }
        Ok(())
    }
}

/// Whether following is to end.
fn is_over(stopped: &watch::Receiver<bool>) -> bool {
    *stopped.borrow() || stopped.has_changed().is_err()
}

impl Run {
    /// Most bytes of the next batch.
    fn batch_bytes(&self) -> usize {
        if self.found.room == Room::Ample { BYTES_MAX } else { SHORT_BYTES_MAX }
    }

    /// Makes durable what is in, and lets the spool go of it.
    fn sync(&mut self) -> Result<(), FeedError> {
        let cursor = self.index.cursor();
        self.index.checkpoint()?;
        self.unsynced = 0;
        self.reader.release(cursor);
        self.synced = Instant::now();
        Ok(())
    }
}
