//! Where a lane's frames come from. In: its own cursor. Out: frames, when there are some. A lane of the operator waits
//! for the journal itself; one of a record reads up to where the dispatcher is, and sleeps there until it is woken.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, timeout, timeout_at};

use super::ahead::Holes;
use crate::event::Event;
use crate::forward::destination::Destination;
use crate::forward::dispatch::{Dispatch, Seat, Seats, Sleeper};
use crate::spool::{Interest, Kept, Reader, Spool, SpoolError, Start, track_of};

/// Frames and bytes that are counted together.
const COUNT_FRAMES: usize = 100;
const COUNT_BYTES: usize = 4 << 20;

/// A lane's frames.
#[derive(Debug)]
pub(in crate::forward) enum Source {
    /// All that come.
    Own(Box<Reader>),
    /// Those of a record's workspace.
    Woken(Box<Woken>),
}

/// How much is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    pub(super) frames: usize,
    pub(super) bytes: usize,
}

/// How one stands that may sleep.
#[derive(Debug)]
enum Stance {
    Reading(Box<Reader>),
    /// It has its place, and reads nothing now.
    Resting,
    /// It stands where the dispatcher is, and keeps its connections for a while.
    #[expect(dead_code, reason = "held while it is so, never looked at")]
    Asleep(OwnedSemaphorePermit),
    /// The same for good.
    Gone,
}

/// Whether a frame has something for a destination that it does not have yet.
fn waits(destination: &Destination, kept: &Kept, done: &Holes) -> bool {
    let done = done.get(&kept.sequence).filter(|done| done.is_of(kept));
    let is_done = |place: u32| done.is_some_and(|done| done.has(place));
    let holds = |event: &Event| {
        let condition = destination.condition.as_ref();
        condition.is_none_or(|condition| condition.holds(&event.json).unwrap_or(false))
    };
    (0..)
        .zip(&kept.events)
        .any(|(place, event)| !is_done(place) && destination.wants(kept, event) && holds(event))
}

/// A record's reader.
#[derive(Debug)]
pub(in crate::forward) struct Woken {
    spool: Spool,
    dispatch: Arc<Dispatch>,
    seats: Arc<Seats>,
    sleeper: Sleeper,
    progress: Receiver<u64>,
    stance: Stance,
}

impl Woken {
    /// A reader that has its place already.
    pub(in crate::forward) fn new(
        spool: &Spool,
        dispatch: &Arc<Dispatch>,
        seats: &Arc<Seats>,
        sleeper: Sleeper,
    ) -> Self {
        let (dispatch, seats) = (Arc::clone(dispatch), Arc::clone(seats));
        let (progress, stance) = (dispatch.progress(), Stance::Resting);
        Self { spool: spool.clone(), dispatch, seats, sleeper, progress, stance }
    }

    fn open(&self) -> Result<Reader, SpoolError> {
        let Sleeper { record, scope, destination, .. } = &self.sleeper;
        let (account, workspace) = *scope;
        let asking = Arc::clone(destination);
        let wants: Interest = Arc::new(move |sight| {
            sight.scope() == (account, Some(workspace))
                && sight.names().any(|name| asking.may_want_name(name))
        });
        let track = track_of(*record);
        Ok(self.spool.reader_from(&track, destination.on_full, Start::Now)?.only(wants))
    }

    /// Goes on to the first frame that may be for it. `false`: there is none, and it sleeps.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub(in crate::forward) async fn seek(&mut self) -> Result<bool, SpoolError> {
        let mut reader = self.open()?;
        loop {
            let end = *self.progress.borrow_and_update();
            if reader.position() < end {
                if !reader.take(1, 1, end).await?.is_empty() {
                    reader.rewind();
                    self.stance = Stance::Reading(Box::new(reader));
                    return Ok(true);
                }
            } else if self.dispatch.sleep(&self.sleeper, reader.position()) {
                self.stance = Stance::Gone;
                return Ok(false);
            } else if self.progress.changed().await.is_err() {
                return Ok(false);
            }
        }
    }

    /// Counts on, up to where the dispatcher is, but no longer than that: where it came to, and how many frames have
    /// something for it that is not `done` with.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub(in crate::forward) async fn count(
        &mut self,
        done: &Holes,
        until: Instant,
    ) -> Result<(u64, u64), SpoolError> {
        let destination = Arc::clone(&self.sleeper.destination);
        if !matches!(self.stance, Stance::Reading(_)) {
            self.stance = Stance::Reading(Box::new(self.open()?));
        }
        let Stance::Reading(reader) = &mut self.stance else { return Ok((0, 0)) };
        let mut count = 0;
        loop {
            let end = *self.progress.borrow_and_update();
            if reader.position() >= end || Instant::now() >= until {
                return Ok((reader.position(), count));
            }
            let taken = timeout_at(until, reader.take(COUNT_FRAMES, COUNT_BYTES, end)).await;
            let Ok(kept) = taken else { return Ok((reader.position(), count)) };
            count += kept?.iter().filter(|kept| waits(&destination, kept, done)).count() as u64;
            // Expressions take their time.
            tokio::task::yield_now().await;
        }
    }

    /// The next frames, with a turn to send them; nothing, once it has slept for `idle`. May be dropped at any await.
    async fn next(
        &mut self,
        Most { frames, bytes }: Most,
        seat: &mut Seat,
        idle: Duration,
    ) -> Result<Option<Vec<Kept>>, SpoolError> {
        let (record, scope) = (self.sleeper.record, self.sleeper.scope);
        loop {
            match &mut self.stance {
                Stance::Gone => return Ok(None),
                Stance::Resting => self.stance = Stance::Reading(Box::new(self.open()?)),
                Stance::Asleep(_) => {
                    seat.leave();
                    let rung = timeout(idle, self.sleeper.bell.notified()).await;
                    self.stance = match rung {
                        Err(_) => Stance::Gone,
                        // Rung for something else, or before.
                        Ok(()) if self.dispatch.is_asleep(scope, record) => continue,
                        Ok(()) => Stance::Resting,
                    };
                }
                Stance::Reading(reader) => {
                    let end = *self.progress.borrow_and_update();
                    if reader.position() < end {
                        seat.take().await;
                        let kept = reader.take(frames, bytes, end).await?;
                        if !kept.is_empty() {
                            return Ok(Some(kept));
                        }
                        continue;
                    }
                    let is_done = reader.released() + 1 >= reader.position();
                    if is_done && self.dispatch.sleep(&self.sleeper, reader.position()) {
                        let warm = self.seats.warm();
                        self.stance = warm.map_or(Stance::Gone, Stance::Asleep);
                        continue;
                    }
                    seat.leave();
                    if self.progress.changed().await.is_err() {
                        return Ok(None);
                    }
                }
            }
        }
    }
}

impl Source {
    /// Waits for frames, and for a turn to send them. `None`: none will come before it is woken.
    pub(super) async fn next(
        &mut self,
        most: Most,
        seat: &mut Seat,
        idle: Duration,
    ) -> Result<Option<Vec<Kept>>, SpoolError> {
        match self {
            Self::Own(reader) => reader.next(most.frames, most.bytes).await.map(Some),
            Self::Woken(woken) => woken.next(most, seat, idle).await,
        }
    }

    /// Frames that are there now, without a wait; none, unless it is reading.
    pub(super) async fn take(&mut self, most: Most) -> Result<Vec<Kept>, SpoolError> {
        let end = match self {
            Self::Own(_) => u64::MAX,
            Self::Woken(woken) => *woken.progress.borrow_and_update(),
        };
        match self.reader() {
            Some(reader) => reader.take(most.frames, most.bytes, end).await,
            None => Ok(Vec::new()),
        }
    }

    /// Reads nothing for a while.
    pub(super) fn rest(&mut self) {
        if let Self::Woken(woken) = self
            && let Stance::Reading(_) = woken.stance
        {
            woken.stance = Stance::Resting;
        }
    }

    fn reader(&mut self) -> Option<&mut Reader> {
        match self {
            Self::Own(reader) => Some(reader),
            Self::Woken(woken) => match &mut woken.stance {
                Stance::Reading(reader) => Some(reader),
                _ => None,
            },
        }
    }

    /// Everything up to and with a sequence is done with.
    pub(super) fn release(&mut self, sequence: u64) {
        if let Some(reader) = self.reader() {
            reader.release(sequence);
        }
    }

    /// Frames beyond the place that are done with, in order: they are not lost, should they go.
    pub(super) fn set_ahead(&mut self, frames: Vec<u64>) {
        match self {
            Self::Own(reader) => reader.set_ahead(frames),
            Self::Woken(woken) => woken.spool.set_ahead(&track_of(woken.sleeper.record), frames),
        }
    }

    /// Goes back to the first frame that is not done with.
    pub(super) fn rewind(&mut self) {
        if let Some(reader) = self.reader() {
            reader.rewind();
        }
    }
}
