//! Where the readers stand. In: openings, releases, drops. Out: what retention must leave alone, what the ring is
//! still needed for, and all places at one moment, to be saved. A reader that was opened once holds for the life of
//! the process, unless it is forgotten.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::OnFull;
use super::cursor::{Losses, Places};
use super::losses::Loss;
use super::track::{Lost, Track};

/// After start-up, places whose readers are not there yet hold this long: lanes open one after the other.
const GRACE: Duration = Duration::from_mins(1);

/// Most ranges of sequences without a frame that are remembered: one for each batch that failed.
const UNUSED_MAX: usize = 64;

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
    tracks: HashMap<String, Arc<Track>>,
    /// Those that read at present, in passing or not.
    reading: Vec<Arc<Track>>,
    /// Places that were saved before this start, and whose readers were not opened yet.
    unopened: Places,
    /// What readers lost, also those that have no place now.
    lost: Losses,
    /// What they are about to lose, by their names.
    going: Vec<(String, Lost)>,
    /// Frames up to here are gone, or about to go.
    gone: u64,
    /// Ranges of sequences that no frame has that anybody was told of, in order; the newest.
    unused: Vec<(u64, u64)>,
    /// Something was opened, forgotten, lost or told that is not saved.
    is_changed: bool,
}

impl State {
    fn lose(&mut self, name: &str, lost: Lost) {
        lost.add_to(&mut self.lost, name);
        self.is_changed = true;
    }

    /// A range that nobody will be given any more who stands before it; so many of it were done with all the same.
    fn gone(&self, (first, last): (u64, u64), ahead: u64) -> Lost {
        let unused = self.unused.iter().map(|(start, end)| (*start.max(&first), *end.min(&last)));
        let unused: u64 = unused.map(|(start, end)| (end + 1).saturating_sub(start)).sum();
        Lost { first, last, others: ahead + unused }
    }
}

/// All places at one moment: what was released by then, whatever moved while they were looked at, was released while
/// exactly these readers were there.
#[derive(Debug)]
pub(super) struct Snapshot {
    tracks: Vec<Seen>,
    unopened: Vec<(String, u64)>,
    lost: Losses,
}

/// A reader as it stood then.
#[derive(Debug)]
struct Seen {
    track: Arc<Track>,
    released: u64,
    done: u64,
}

impl Snapshot {
    /// Names and sequences.
    pub(super) fn places(&self) -> impl Iterator<Item = (&str, u64)> {
        let opened = self.tracks.iter().map(|seen| (seen.track.name.as_str(), seen.released));
        opened.chain(self.unopened.iter().map(|(name, sequence)| (name.as_str(), *sequence)))
    }

    /// What readers lost.
    pub(super) fn lost(&self) -> &Losses {
        &self.lost
    }
}

/// All readers of a spool.
#[derive(Debug)]
pub(super) struct Tracks {
    state: Mutex<State>,
    opened: Instant,
}

impl Tracks {
    /// No reader yet; the places and losses that were saved.
    pub(super) fn new(unopened: Places, lost: Losses) -> Self {
        let state = State { unopened, lost, ..State::default() };
        Self { state: Mutex::new(state), opened: Instant::now() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The reader of that name and whether it is new. One that was not opened before stands where it was saved, as
    /// `start` makes of it: what that passes over is lost to it. It does from now on what is said when the spool is
    /// full.
    pub(super) fn open(
        &self,
        name: &str,
        on_full: OnFull,
        start: impl FnOnce(Option<u64>) -> u64,
    ) -> (Arc<Track>, bool) {
        let mut state = self.lock();
        if let Some(track) = state.tracks.get(name) {
            track.set(on_full);
            return (Arc::clone(track), false);
        }
        let saved = state.unopened.remove(name);
        let released = start(saved).max(state.gone);
        if let Some(saved) = saved.filter(|saved| *saved < released) {
            let lost = state.gone((saved + 1, released), 0);
            state.lose(name, lost);
        }
        let track = Arc::new(Track::new(name, on_full, released));
        state.tracks.insert(name.to_owned(), Arc::clone(&track));
        state.is_changed = true;
        (track, saved.is_none())
    }

    /// The reader of that name stands there from now on, wherever it stood before.
    pub(super) fn restart(&self, name: &str, on_full: OnFull, released: u64) -> Arc<Track> {
        let mut state = self.lock();
        state.unopened.remove(name);
        let track = Arc::new(Track::new(name, on_full, released));
        state.tracks.insert(name.to_owned(), Arc::clone(&track));
        state.is_changed = true;
        track
    }

    /// A reader begins to read.
    pub(super) fn join(&self, track: &Arc<Track>) {
        self.lock().reading.push(Arc::clone(track));
    }

    /// A reader gives up what it read and has not released; how many frames of it are gone.
    pub(super) fn forget_read(&self, track: &Arc<Track>) -> u64 {
        let mut state = self.lock();
        // Saved as lost, whatever became of it since.
        state.is_changed |= !track.owed().is_empty();
        let owed = track.owes();
        track.owed().clear();
        let mut frames = 0;
        for range in owed {
            let lost = state.gone(range, track.ahead_in(range));
            frames += lost.frames();
            state.lose(&track.name, lost);
        }
        frames
    }

    /// A reader reads no more; those that were opened go on holding.
    pub(super) fn leave(&self, track: &Arc<Track>) {
        let mut state = self.lock();
        if let Some(at) = state.reading.iter().position(|other| Arc::ptr_eq(other, track)) {
            state.reading.swap_remove(at);
        }
    }

    /// The reader of that name holds nothing any more.
    pub(super) fn forget(&self, name: &str) {
        let mut state = self.lock();
        let was_there = state.tracks.remove(name).is_some();
        state.is_changed |= state.unopened.remove(name).is_some() || was_there;
    }

    /// The same; what it has not released up to `last` it loses: frames with something for it, if that was counted, or
    /// all.
    pub(super) fn let_go(&self, name: &str, last: u64, counted: Option<u64>) {
        let mut state = self.lock();
        let opened = state.tracks.remove(name).map(|track| track.released());
        let saved = state.unopened.remove(name);
        let Some(released) = opened.or(saved) else { return };
        if released < last {
            let loss = state.lost.entry(name.to_owned()).or_default();
            loss.add(released + 1, last);
            loss.set_apart(counted.map_or(0, |counted| (last - released).saturating_sub(counted)));
        }
        state.is_changed = true;
    }

    /// A reader that was not opened yet is called something else.
    pub(super) fn rename(&self, from: &str, to: &str) {
        let mut state = self.lock();
        let Some(place) = state.unopened.remove(from) else { return };
        state.unopened.insert(to.to_owned(), place);
        if let Some(lost) = state.lost.remove(from) {
            state.lost.insert(to.to_owned(), lost);
        }
        state.is_changed = true;
    }

    /// What the reader of that name lost does not count any more.
    pub(super) fn forget_losses(&self, name: &str) {
        let mut state = self.lock();
        state.is_changed |= state.lost.remove(name).is_some();
    }

    /// What readers lost, by their names.
    pub(super) fn lost(&self) -> Losses {
        self.lock().lost.clone()
    }

    /// As many of the frames that the reader of that name lost are told by now.
    pub(super) fn say(&self, name: &str, frames: u64) {
        let mut state = self.lock();
        if let Some(loss) = state.lost.get_mut(name) {
            loss.say(frames);
            state.is_changed = true;
        }
    }

    /// Frames that the reader of that name lost.
    pub(super) fn lost_by(&self, name: &str) -> u64 {
        self.lock().lost.get(name).map_or(0, Loss::told)
    }

    /// As many of them are told by now.
    pub(super) fn said(&self, name: &str) -> u64 {
        self.lock().lost.get(name).map_or(0, Loss::said)
    }

    /// What the reader of that name lost or is about to, if it did.
    pub(super) fn loss_of(&self, name: &str) -> Option<Loss> {
        let state = self.lock();
        let mut losses: Losses = state
            .lost
            .get_key_value(name)
            .into_iter()
            .map(|(name, loss)| (name.clone(), loss.clone()))
            .collect();
        let going = state.going.iter().filter(|(other, _)| other == name);
        going.for_each(|(name, lost)| lost.add_to(&mut losses, name));
        losses.remove(name)
    }

    /// The reader of that name, if it was opened.
    pub(super) fn named(&self, name: &str) -> Option<Arc<Track>> {
        self.lock().tracks.get(name).cloned()
    }

    /// Whether there is a place of that name, opened or saved.
    pub(super) fn has(&self, name: &str) -> bool {
        let state = self.lock();
        state.tracks.contains_key(name) || state.unopened.contains_key(name)
    }

    /// Names of places that were saved and whose readers were not opened.
    pub(super) fn unopened(&self) -> Vec<String> {
        self.lock().unopened.keys().cloned().collect()
    }

    /// All readers.
    pub(super) fn all(&self) -> Vec<Arc<Track>> {
        self.lock().tracks.values().cloned().collect()
    }

    /// Positions of those that read at present, into a list that is used again.
    pub(super) fn positions(&self, into: &mut Vec<u64>) {
        into.clear();
        let state = self.lock();
        into.extend(state.reading.iter().map(|track| track.position.load(Ordering::Relaxed)));
    }

    /// All places, if something is not saved.
    pub(super) fn snapshot(&self) -> Option<Snapshot> {
        let mut state = self.lock();
        if !state.is_changed && state.tracks.values().all(|track| track.is_saved()) {
            return None;
        }
        state.is_changed = false;
        let mut lost = state.lost.clone();
        state.going.iter().for_each(|(name, going)| going.add_to(&mut lost, name));
        let see = |track: &Arc<Track>| {
            let (released, done) = (track.released(), track.done.load(Ordering::Acquire));
            for owed in track.owes() {
                state.gone(owed, track.ahead_in(owed)).add_to(&mut lost, &track.name);
            }
            Seen { track: Arc::clone(track), released, done }
        };
        let tracks = state.tracks.values().map(see).collect();
        let unopened = state.unopened.iter().map(|(name, at)| (name.clone(), *at)).collect();
        Some(Snapshot { tracks, unopened, lost })
    }

    /// Whether a start would find that nobody has anything to do with frames up to a sequence, and what was lost.
    pub(super) fn is_saved_through(&self, sequence: u64) -> bool {
        let state = self.lock();
        !state.is_changed && state.tracks.values().all(|track| track.is_saved_through(sequence))
    }

    /// What a snapshot holds is saved, or could not be.
    pub(super) fn settle(&self, snapshot: &Snapshot, is_saved: bool) {
        if !is_saved {
            self.lock().is_changed = true;
            return;
        }
        for Seen { track, released, done } in &snapshot.tracks {
            track.saved.store(*released, Ordering::Relaxed);
            track.done_saved.store(*done, Ordering::Relaxed);
        }
    }

    /// How far retention may go, when `durable` is the newest frame.
    pub(super) fn holds(&self, durable: u64) -> Holds {
        let state = self.lock();
        let in_grace = self.opened.elapsed() <= GRACE;
        let unopened = state.unopened.values().copied().filter(|_| in_grace).min();
        let unopened = unopened.unwrap_or(durable);
        let mut holds = Holds { all: durable.min(unopened), holding: durable.min(unopened) };
        for track in state.tracks.values() {
            let released = track.released();
            holds.all = holds.all.min(released);
            if track.holds() {
                holds.holding = holds.holding.min(released);
            }
        }
        holds
    }

    /// Of the readers that hold, the one that is furthest behind `durable`, and by how many frames; none: nothing
    /// waits.
    pub(super) fn slowest(&self, durable: u64) -> Option<(String, u64)> {
        let state = self.lock();
        let holding = state.tracks.values().filter(|track| track.holds());
        let slowest = holding.min_by_key(|track| track.released())?;
        let frames = durable.saturating_sub(slowest.released());
        (frames > 0).then(|| (slowest.name.clone(), frames))
    }

    /// No frame has, or ever had, these sequences that anybody was told of.
    pub(super) fn note_unused(&self, ranges: Vec<(u64, u64)>) {
        let mut state = self.lock();
        state.unused.extend(ranges);
        state.unused.sort_unstable();
        state.unused.dedup();
        let over = state.unused.len().saturating_sub(UNUSED_MAX);
        state.unused.drain(..over);
    }

    /// Frames up to `last` are about to go: who has not read them loses them. Saved as that from now on, and counted
    /// once that is done: see [`Tracks::settle_drop`]. What was read and not released counts once it is forgotten, see
    /// [`Tracks::forget_read`].
    pub(super) fn drop_until(&self, last: u64) {
        let mut going = Vec::new();
        let mut state = self.lock();
        state.gone = state.gone.max(last);
        for track in state.tracks.values().filter(|track| !track.holds()) {
            let before = track.released.fetch_max(last, Ordering::AcqRel);
            if before >= last {
                continue;
            }
            let is_reading = state.reading.iter().any(|other| Arc::ptr_eq(other, track));
            let position = track.position.load(Ordering::Relaxed).clamp(before + 1, last + 1);
            let read = if is_reading { position - 1 } else { before };
            if read > before {
                track.owed().push((before + 1, read));
            }
            if read < last {
                let range = (read + 1, last);
                going.push((track.name.clone(), state.gone(range, track.ahead_in(range))));
            }
        }
        state.is_changed |= !going.is_empty();
        state.going.append(&mut going);
    }

    /// What is about to go counts as lost. Returns how many frames each lost.
    pub(super) fn settle_drop(&self) -> Vec<(String, u64)> {
        let mut state = self.lock();
        let going = std::mem::take(&mut state.going);
        for (name, lost) in &going {
            lost.add_to(&mut state.lost, name);
        }
        let losses = going.into_iter().map(|(name, lost)| (name, lost.frames()));
        losses.filter(|(_, frames)| *frames > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(tracks: &Tracks, name: &str, on_full: OnFull, released: u64) -> Arc<Track> {
        tracks.open(name, on_full, |saved| saved.unwrap_or(released)).0
    }

    fn drop_until(tracks: &Tracks, last: u64) -> Vec<(String, u64)> {
        tracks.drop_until(last);
        tracks.settle_drop()
    }

    fn lossy(frames: u64) -> Losses {
        [("lossy".to_owned(), Loss::parse(&frames.to_string()).expect("a loss"))].into()
    }

    #[test]
    fn the_slowest_reader_holds_and_one_that_drops_does_not() {
        let tracks = Tracks::new([("late".to_owned(), 2)].into(), lossy(5));
        assert_eq!(tracks.holds(100), Holds { all: 2, holding: 2 });
        open(&tracks, "late", OnFull::Hold, 9).released.store(40, Ordering::Relaxed);
        let lossy = open(&tracks, "lossy", OnFull::DropOldest, 10);
        assert_eq!(tracks.holds(100), Holds { all: 10, holding: 40 });
        assert_eq!(drop_until(&tracks, 30), [("lossy".to_owned(), 20)]);
        assert_eq!((lossy.released(), tracks.lost_by("lossy")), (30, 25));
        let snapshot = tracks.snapshot().expect("news");
        assert_eq!(snapshot.lost()["lossy"].to_string(), "25,11-30");
        tracks.forget("late");
        assert_eq!(tracks.holds(100), Holds { all: 30, holding: 100 });
    }

    #[test]
    fn what_was_read_is_lost_only_once_it_is_forgotten() {
        let tracks = Tracks::new(Places::new(), Losses::new());
        let track = open(&tracks, "lossy", OnFull::DropOldest, 0);
        tracks.join(&track);
        track.position.store(11, Ordering::Relaxed);
        assert_eq!(drop_until(&tracks, 10), []);
        assert_eq!(drop_until(&tracks, 20), [("lossy".to_owned(), 10)]);
        track.release(4);
        assert_eq!((track.released(), tracks.lost_by("lossy")), (20, 10));
        assert_eq!(tracks.forget_read(&track), 6, "4 were delivered");
        assert_eq!(tracks.forget_read(&track), 0, "once");
        assert_eq!(tracks.lost_by("lossy"), 16);
        track.position.store(31, Ordering::Relaxed);
        assert_eq!(drop_until(&tracks, 30), []);
        track.release(30);
        assert_eq!(tracks.forget_read(&track), 0);
        assert_eq!(tracks.lost_by("lossy"), 16);
    }

    #[test]
    fn who_is_let_go_of_loses_what_waited_for_it() {
        let tracks = Tracks::new([("late".to_owned(), 2)].into(), Losses::new());
        open(&tracks, "one", OnFull::Hold, 7);
        open(&tracks, "done", OnFull::Hold, 9);
        for name in ["one", "one", "late", "done", "nobody"] {
            tracks.let_go(name, 9, None);
        }
        let snapshot = tracks.snapshot().expect("news");
        assert_eq!(snapshot.places().count(), 0);
        let lost = |name: &str| snapshot.lost().get(name).map(ToString::to_string);
        assert_eq!([lost("one"), lost("late")], [Some("2,8-9".into()), Some("7,3-9".into())]);
        assert_eq!([lost("done"), lost("nobody")], [None, None]);
        // Of five that waited, two had something for it.
        open(&tracks, "one", OnFull::Hold, 20);
        tracks.let_go("one", 25, Some(2));
        assert_eq!(tracks.lost_by("one"), 4);
    }

    #[test]
    fn what_is_saved_is_all_that_was_there_at_one_moment() {
        let tracks =
            Tracks::new([("gone".to_owned(), 2), ("kept".to_owned(), 3)].into(), Losses::new());
        let places = |snapshot: &Snapshot| {
            let mut all: Vec<_> =
                snapshot.places().map(|(name, at)| (name.to_owned(), at)).collect();
            all.sort();
            all
        };
        assert!(tracks.snapshot().is_none(), "nothing was opened or forgotten");
        let track = open(&tracks, "one", OnFull::Hold, 7);
        tracks.forget("gone");
        let snapshot = tracks.snapshot().expect("news");
        assert_eq!(places(&snapshot), [("kept".to_owned(), 3), ("one".to_owned(), 7)]);
        tracks.settle(&snapshot, false);
        let again = tracks.snapshot().expect("it could not be saved");
        track.released.store(8, Ordering::Relaxed);
        tracks.settle(&again, true);
        let snapshot = tracks.snapshot().expect("a reader went on");
        assert_eq!(places(&snapshot)[1], ("one".to_owned(), 8));
        tracks.settle(&snapshot, true);
        assert!(tracks.snapshot().is_none());
    }
}
