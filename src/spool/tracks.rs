//! Where the readers stand. In: openings, releases, drops. Out: what retention must leave alone, and what the ring is
//! still needed for. A reader that was opened once holds for the life of the process, unless it is forgotten.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::OnFull;

/// After start-up, cursors whose readers are not there yet hold this long: lanes open one after the other.
const GRACE: Duration = Duration::from_mins(1);

/// One reader.
#[derive(Debug)]
pub(super) struct Track {
    /// Its name.
    pub(super) name: String,
    /// What it does when the spool is full.
    holds: AtomicBool,
    /// Everything up to and with this sequence is done with.
    pub(super) released: AtomicU64,
    /// The next sequence it will read.
    pub(super) position: AtomicU64,
    /// What its cursor file says.
    pub(super) saved: AtomicU64,
    /// Frames it lost.
    pub(super) dropped: AtomicU64,
}

impl Track {
    /// A reader that has released everything up to `released`.
    pub(super) fn new(name: &str, on_full: OnFull, released: u64) -> Self {
        Self {
            name: name.to_owned(),
            holds: AtomicBool::new(on_full == OnFull::Hold),
            released: AtomicU64::new(released),
            position: AtomicU64::new(released + 1),
            saved: AtomicU64::new(u64::MAX),
            dropped: AtomicU64::new(0),
        }
    }

    /// What it does from now on when the spool is full.
    fn set(&self, on_full: OnFull) {
        self.holds.store(on_full == OnFull::Hold, Ordering::Relaxed);
    }

    fn holds(&self) -> bool {
        self.holds.load(Ordering::Relaxed)
    }

    /// Everything up to and with this sequence is done with.
    pub(super) fn released(&self) -> u64 {
        self.released.load(Ordering::Acquire)
    }
}

/// A cursor file whose reader was not opened yet.
#[derive(Debug)]
struct Sleeper {
    file: String,
    sequence: u64,
}

/// How far retention may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holds {
    /// Released by every reader: may go when its time has come.
    pub(super) all: u64,
    /// Released by every reader that holds: may go when the spool is full.
    pub(super) holding: u64,
}

#[derive(Debug, Default)]
struct State {
    tracks: Vec<Arc<Track>>,
    /// Readers in passing: they hold nothing, and leave nothing behind.
    passing: Vec<Arc<Track>>,
    sleepers: Vec<Sleeper>,
}

/// All readers of a spool.
#[derive(Debug)]
pub(super) struct Tracks {
    state: Mutex<State>,
    opened: Instant,
}

impl Tracks {
    /// No reader yet; the cursors on disk, by file name.
    pub(super) fn new(saved: Vec<(String, u64)>) -> Self {
        let sleeper = |(file, sequence)| Sleeper { file, sequence };
        let sleepers = saved.into_iter().map(sleeper).collect();
        let state = State { sleepers, ..State::default() };
        Self { state: Mutex::new(state), opened: Instant::now() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The reader of that name, made by `make` when it was not opened before; it does from now on what is said when
    /// the spool is full.
    pub(super) fn open<E>(
        &self,
        (name, file): (&str, &str),
        on_full: OnFull,
        make: impl FnOnce() -> Result<Track, E>,
    ) -> Result<Arc<Track>, E> {
        let mut state = self.lock();
        if let Some(track) = state.tracks.iter().find(|track| track.name == name) {
            track.set(on_full);
            return Ok(Arc::clone(track));
        }
        let track = Arc::new(make()?);
        state.sleepers.retain(|sleeper| sleeper.file != file);
        state.tracks.push(Arc::clone(&track));
        Ok(track)
    }

    /// A reader in passing comes.
    pub(super) fn pass(&self, track: Arc<Track>) {
        self.lock().passing.push(track);
    }

    /// A reader goes; those that were opened stay.
    pub(super) fn leave(&self, track: &Arc<Track>) {
        self.lock().passing.retain(|other| !Arc::ptr_eq(other, track));
    }

    /// The reader of that name holds nothing any more.
    pub(super) fn forget(&self, name: &str, file: &str) {
        let mut state = self.lock();
        state.tracks.retain(|track| track.name != name);
        state.sleepers.retain(|sleeper| sleeper.file != file);
    }

    /// The reader of that name, if it was opened.
    pub(super) fn named(&self, name: &str) -> Option<Arc<Track>> {
        self.lock().tracks.iter().find(|track| track.name == name).cloned()
    }

    /// All readers.
    pub(super) fn all(&self) -> Vec<Arc<Track>> {
        self.lock().tracks.clone()
    }

    /// Their positions, into a list that is used again.
    pub(super) fn positions(&self, into: &mut Vec<u64>) {
        into.clear();
        let state = self.lock();
        let all = state.tracks.iter().chain(&state.passing);
        into.extend(all.map(|track| track.position.load(Ordering::Relaxed)));
    }

    /// How far retention may go, when `durable` is the newest frame.
    pub(super) fn holds(&self, durable: u64) -> Holds {
        let mut state = self.lock();
        if self.opened.elapsed() > GRACE {
            state.sleepers.clear();
        }
        let sleeping = state.sleepers.iter().map(|sleeper| sleeper.sequence).min();
        let mut holds = Holds { all: durable, holding: durable };
        for track in &state.tracks {
            let released = track.released();
            holds.all = holds.all.min(released);
            if track.holds() {
                holds.holding = holds.holding.min(released);
            }
        }
        let sleeping = sleeping.unwrap_or(durable);
        Holds { all: holds.all.min(sleeping), holding: holds.holding.min(sleeping) }
    }

    /// Frames up to `last` are about to go: who has not released them loses them. Returns how many each lost.
    pub(super) fn drop_until(&self, last: u64) -> Vec<(String, u64)> {
        let mut losses = Vec::new();
        for track in self.lock().tracks.iter().filter(|track| !track.holds()) {
            let before = track.released.fetch_max(last, Ordering::AcqRel);
            if before < last {
                track.dropped.fetch_add(last - before, Ordering::Relaxed);
                losses.push((track.name.clone(), last - before));
            }
        }
        losses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(tracks: &Tracks, name: &str, on_full: OnFull, released: u64) -> Arc<Track> {
        let make = || Ok::<_, ()>(Track::new(name, on_full, released));
        tracks.open((name, name), on_full, make).expect("a track")
    }

    #[test]
    fn the_slowest_reader_holds_and_one_that_drops_does_not() {
        let tracks = Tracks::new(vec![("late".to_owned(), 2)]);
        assert_eq!(tracks.holds(100), Holds { all: 2, holding: 2 });
        open(&tracks, "late", OnFull::Hold, 2).released.store(40, Ordering::Relaxed);
        let lossy = open(&tracks, "lossy", OnFull::DropOldest, 10);
        assert_eq!(tracks.holds(100), Holds { all: 10, holding: 40 });
        assert_eq!(tracks.drop_until(30), [("lossy".to_owned(), 20)]);
        assert_eq!((lossy.released(), lossy.dropped.load(Ordering::Relaxed)), (30, 20));
        tracks.forget("late", "late");
        assert_eq!(tracks.holds(100), Holds { all: 30, holding: 100 });
    }
}
