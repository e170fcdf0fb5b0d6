//! Frames in order, from a durable cursor. In: the ring of newest batches, else the segment files. Out: frames, again
//! and again until they are released; of certain places alone, if that is wanted. Never gives a frame that is not
//! durable; what is damaged is skipped and reported.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::shared::Shared;
use super::sight::{Interest, Sight};
use super::track::Track;
use super::{Kept, Lag, SpoolError};
use crate::clock::Time;
use crate::journal::{DiskFile, HEADER_BYTES, Header, Mode, Segment, Step, Walk};

/// Reads frames in order from a durable cursor. A frame is read again until it is released.
pub struct Reader {
    shared: Arc<Shared>,
    track: Arc<Track>,
    /// The next sequence to give.
    next: u64,
    /// The last sequence given.
    given: u64,
    /// Where the next frame stands, when that is known.
    place: Option<Place>,
    /// Whose frames it gives; without this, all.
    wants: Option<Interest>,
}

/// Most bytes of frames without interest that are passed over at once: whoever reads may be told to stop.
const PASSED_MAX_BYTES: usize = 64 << 20;

/// A place in a segment file; no frame before it is wanted.
pub(super) struct Place {
    segment: Arc<Segment>,
    offset: u64,
    walk: Option<(Walk, Arc<dyn DiskFile>)>,
}

impl Place {
    /// The nearest known place before a sequence.
    fn find(shared: &Shared, sequence: u64) -> Option<Self> {
        let segment = shared.shelf.find(sequence)?;
        let offset = segment.place(sequence).offset;
        Some(Self { segment, offset, walk: None })
    }

    /// Whether no known place is nearer to a sequence behind it.
    pub(super) fn is_near(&self, sequence: u64) -> bool {
        sequence <= self.segment.last() && self.offset >= self.segment.place(sequence).offset
    }
}

/// What is wanted.
#[derive(Clone)]
pub(super) struct Limits {
    pub(super) frames: usize,
    pub(super) bytes: usize,
    /// Frames before this sequence, all of them durable.
    pub(super) end: u64,
    pub(super) wants: Option<Interest>,
}

impl Limits {
    fn want(&self, sight: &Sight<'_>) -> bool {
        self.wants.as_ref().is_none_or(|wants| wants(sight))
    }
}

/// What was read.
pub(super) struct Taken {
    pub(super) kept: Vec<Kept>,
    bytes: usize,
    passed: usize,
    pub(super) next: u64,
    pub(super) place: Option<Place>,
}

impl Taken {
    fn new(next: u64, place: Option<Place>) -> Self {
        Self { kept: Vec::new(), bytes: 0, passed: 0, next, place }
    }

    fn is_enough(&self, limits: &Limits) -> bool {
        self.kept.len() >= limits.frames
            || self.bytes >= limits.bytes
            || self.passed >= PASSED_MAX_BYTES
    }

    /// Takes one frame, if it is of interest.
    fn add(&mut self, sight: &Sight<'_>, is_wanted: bool) {
        let length = sight.payload.len();
        if is_wanted {
            self.kept.extend(sight.kept());
            self.bytes += length;
        } else {
            self.passed += length;
        }
        self.next = sight.sequence() + 1;
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("track", &self.track)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, track: Arc<Track>) -> Self {
        let given = track.released();
        track.position.store(given + 1, Ordering::Relaxed);
        shared.tracks.join(&track);
        Self { shared, track, next: given + 1, given, place: None, wants: None }
    }

    /// Waits for at least one frame, then gives what is there, at most `frames_max` and about `bytes_max`. Goes on
    /// behind what it gave before; the cursor stays until [`Reader::release`]. Nothing is lost when the future is
    /// dropped before it is ready.
    ///
    /// # Errors
    /// When the journal cannot be read or the spool is closed.
    pub async fn next(
        &mut self,
        frames_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Kept>, SpoolError> {
        let shared = Arc::clone(&self.shared);
        loop {
            // Listening begins before looking, so that no batch comes unheard in between.
            let mut news = pin!(shared.news.notified());
            news.as_mut().enable();
            let kept = self.take(frames_max, bytes_max, u64::MAX).await?;
            if !kept.is_empty() {
                return Ok(kept);
            }
            news.await;
        }
    }

    /// Waits until there is a frame that it has not given.
    pub async fn ready(&self) {
        loop {
            let mut news = pin!(self.shared.news.notified());
            news.as_mut().enable();
            if self.next <= self.shared.durable() {
                return;
            }
            news.await;
        }
    }

    /// Looks at the frames that stand in memory, as far as those go, and goes on behind them; none is given. `false`:
    /// the next one is not there, and has to be read.
    pub fn look(&mut self, mut see: impl FnMut(&Sight<'_>)) -> bool {
        self.follow_retention();
        let end = self.shared.durable() + 1;
        let limits = Limits { frames: usize::MAX, bytes: usize::MAX, end, wants: None };
        let seen = |sight: &Sight<'_>| {
            see(sight);
            false
        };
        let Some(taken) = self.take_from_ring(&limits, seen) else { return self.next >= end };
        (self.next, self.place) = (taken.next, taken.place);
        self.track.position.store(self.next, Ordering::Relaxed);
        true
    }

    /// The same without a wait, of frames before the sequence `end`; none: it stands there, or behind the newest.
    ///
    /// # Errors
    /// When the journal cannot be read or the spool is closed.
    pub async fn take(
        &mut self,
        frames_max: usize,
        bytes_max: usize,
        end: u64,
    ) -> Result<Vec<Kept>, SpoolError> {
        loop {
            if self.shared.gate.is_closed() {
                return Err(SpoolError::Failed("it is closed".to_owned()));
            }
            self.follow_retention();
            let end = end.min(self.shared.durable() + 1);
            if self.next >= end {
                return Ok(Vec::new());
            }
            let (frames, bytes) = (frames_max.max(1), bytes_max.max(1));
            let limits = Limits { frames, bytes, end, wants: self.wants.clone() };
            let taken = match self.take_from_ring(&limits, |sight| limits.want(sight)) {
                Some(taken) => taken,
                None => self.take_from_disk(limits).await?,
            };
            self.next = taken.next;
            self.place = taken.place;
            self.track.position.store(self.next, Ordering::Relaxed);
            if let Some(last) = taken.kept.last() {
                self.given = last.sequence;
                return Ok(taken.kept);
            }
            // Only frames of no interest were there: nobody will release them.
            if self.track.released() >= self.given {
                self.track.released.fetch_max(self.next - 1, Ordering::AcqRel);
            }
        }
    }

    /// Gives frames of certain places alone from now on.
    #[must_use]
    pub fn only(mut self, wants: Interest) -> Self {
        self.wants = Some(wants);
        self
    }

    /// Jumps over what was dropped meanwhile.
    fn follow_retention(&mut self) {
        let released = self.track.released();
        if released >= self.next {
            self.next = released + 1;
            self.given = self.given.max(released);
            self.place = None;
        }
    }

    fn take_from_ring(
        &self,
        limits: &Limits,
        mut wants: impl FnMut(&Sight<'_>) -> bool,
    ) -> Option<Taken> {
        let mut taken = Taken::new(self.next, None);
        let mut known = self.place.as_ref().map(|place| (place.segment.head.base, place.offset));
        while let Some(slot) = self.shared.ring.find(taken.next) {
            let inside = known.take().filter(|(base, offset)| {
                let end = slot.offset + slot.frame_bytes as u64;
                *base == slot.segment.head.base && (slot.offset..end).contains(offset)
            });
            let mut at = inside.map_or(0, |(_, offset)| (offset - slot.offset) as usize);
            while at < slot.frame_bytes && !taken.is_enough(limits) {
                let header = Header::read(&slot.bytes[at..]);
                if header.sequence >= limits.end {
                    break;
                }
                let from = at + HEADER_BYTES;
                at += header.frame_bytes() as usize;
                if header.sequence < taken.next {
                    continue;
                }
                let payload = from..from + header.length as usize;
                let sight = Sight { header: &header, whole: &slot.bytes, payload };
                let is_wanted = wants(&sight);
                taken.add(&sight, is_wanted);
            }
            let offset = slot.offset + at as u64;
            taken.place = Some(Place { segment: slot.segment, offset, walk: None });
            if taken.is_enough(limits) || taken.next >= limits.end {
                break;
            }
        }
        taken.place.is_some().then_some(taken)
    }

    /// Reads segment files, on a thread where waiting for a disk harms nobody.
    async fn take_from_disk(&mut self, limits: Limits) -> Result<Taken, SpoolError> {
        let (shared, next) = (Arc::clone(&self.shared), self.next);
        let place = self.place.take();
        let read = move || read_disk(&shared, next, place, &limits);
        #[cfg(test)]
        if crate::lone::is_here() {
            return read();
        }
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => runtime
                .spawn_blocking(read)
                .await
                .map_err(|fault| SpoolError::Failed(fault.to_string()))?,
            Err(_) => read(),
        }
    }

    /// The next sequence it will give, unless that is not kept.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.next
    }

    /// Everything up to and with `sequence` is done with; frames that were never given are not. The cursor file
    /// follows within about 100 ms, or at [`Reader::save`].
    pub fn release(&mut self, sequence: u64) {
        let done = if sequence >= self.given { self.next - 1 } else { sequence };
        self.track.release(done);
    }

    /// Frames that are done with beyond the last one released, in order: they are not lost, should they go.
    pub fn set_ahead(&self, frames: Vec<u64>) {
        self.track.set_ahead(frames);
    }

    /// The last frame released.
    #[must_use]
    pub fn released(&self) -> u64 {
        self.track.released()
    }

    /// Goes back to the first frame not released.
    pub fn rewind(&mut self) {
        self.shared.forget_read(&self.track);
        self.given = self.track.released();
        self.next = self.given + 1;
        self.place = None;
        self.track.position.store(self.next, Ordering::Relaxed);
    }

    /// Frames and seconds between the cursor and the newest frame, and frames lost to `DropOldest`.
    #[must_use]
    pub fn lag(&self) -> Lag {
        let dropped = self.shared.tracks.lost_by(&self.track.name);
        self.shared.lag(self.track.released(), dropped)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.forget_read(&self.track);
        self.shared.tracks.leave(&self.track);
    }
}

/// The first sequence whose frame may have been written at or after a moment, as far back as frames are kept.
pub(super) fn find(shared: &Shared, since: Time) -> u64 {
    let oldest = shared.shelf.oldest().unwrap_or(1);
    let mark = |sequence| shared.shelf.find(sequence).map(|segment| segment.place(sequence));
    let is_before = |sequence| mark(sequence).is_none_or(|mark| mark.micros < since.micros());
    // The first whose nearest mark is not before the moment; the frames behind the mark before it may be.
    let (mut low, mut high) = (oldest, shared.durable() + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        if is_before(middle) { low = middle + 1 } else { high = middle }
    }
    let before = low.checked_sub(1).filter(|before| *before >= oldest);
    before.and_then(mark).map_or(low, |mark| mark.sequence.max(oldest))
}

/// Reads on from `place`, or from wherever `next` stands.
pub(super) fn read_disk(
    shared: &Shared,
    next: u64,
    place: Option<Place>,
    limits: &Limits,
) -> Result<Taken, SpoolError> {
    let mut taken = Taken::new(next, place);
    while !taken.is_enough(limits) && taken.next < limits.end {
        let known = taken
            .place
            .take()
            .filter(|place| !place.segment.is_gone() && place.segment.last() >= taken.next);
        let Some(place) = known.or_else(|| Place::find(shared, taken.next)) else {
            // Whatever there was up to here is gone.
            taken.next = limits.end;
            break;
        };
        read_segment(shared, place, limits, &mut taken).map_err(|fault| {
            SpoolError::Failed(format!("reading {}: {fault}", shared.folder.display()))
        })?;
    }
    Ok(taken)
}

/// Reads on in one segment.
fn read_segment(
    shared: &Shared,
    place: Place,
    limits: &Limits,
    taken: &mut Taken,
) -> std::io::Result<()> {
    let Place { segment, offset, walk } = place;
    let (mut walk, file) = match walk {
        Some(opened) => opened,
        None => match open(shared, &segment, offset, taken.next) {
            Ok(opened) => opened,
            // Retired between finding and opening it: the shelf knows what comes next.
            Err(_) if segment.is_gone() => return Ok(()),
            Err(fault) => return Err(fault),
        },
    };
    let last = segment.last().min(limits.end - 1);
    walk.extend(segment.end());
    while !taken.is_enough(limits) && taken.next <= last {
        match walk.step()? {
            Step::Frame(found) if found.header.sequence < taken.next => {}
            Step::Frame(found) => {
                let (header, whole) = (&found.header, &found.payload);
                let sight = Sight { header, whole, payload: 0..whole.len() };
                taken.add(&sight, limits.want(&sight));
            }
            // Its file belongs to another segment by now.
            _ if segment.is_gone() => return Ok(()),
            Step::Damage(range) => shared.note_damage(&segment, &range, &*file),
            Step::End => {
                let tail = walk.good()..segment.end();
                if !tail.is_empty() {
                    shared.note_damage(&segment, &tail, &*file);
                }
                taken.next = last + 1;
                return Ok(());
            }
        }
    }
    let offset = walk.good();
    taken.place = Some(Place { segment, offset, walk: Some((walk, file)) });
    Ok(())
}

fn open(
    shared: &Shared,
    segment: &Segment,
    offset: u64,
    next: u64,
) -> std::io::Result<(Walk, Arc<dyn DiskFile>)> {
    let file: Arc<dyn DiskFile> = shared.disk.open(&segment.path, Mode::Read)?.into();
    let mark = segment.place(next);
    // A place that a batch in memory left is exact, and then the frame there is the next one.
    let (offset, expected) =
        if offset > mark.offset { (offset, next) } else { (mark.offset, mark.sequence) };
    let head = &segment.head;
    let walk = Walk::new(Arc::clone(&file), head.id, head.stale, offset, expected, segment.end());
    Ok((walk, file))
}
