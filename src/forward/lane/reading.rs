//! What a lane reads, and how far its cursor is. In: frames, some ahead of what is sent; events that were taken or
//! parked. Out: a window with something to send in it; the cursor moved; what is done with beyond it kept, from time to
//! time and over a stop. What was done since is not known after a kill, and goes out once more.

use std::future::Future;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::ahead::{Holes, whole};
use super::rules::wants;
use super::source::Most;
use super::{Lane, Stopped, unless_stopped};
use crate::forward::load::{Item, Load};
use crate::forward::sinks::Bounds;
use crate::spool::Kept;

/// Lets something go on until it is ready or a moment has come.
async fn before<T>(moment: Option<Instant>, work: impl Future<Output = T>) -> Option<T> {
    match moment {
        None => Some(work.await),
        Some(moment) => tokio::time::timeout_at(moment.into(), work).await.ok(),
    }
}

/// Bytes of a frame, about.
fn bytes_of(kept: &Kept) -> usize {
    let events = kept.events.iter().map(|event| event.json.len());
    events.sum::<usize>() + kept.capture.as_ref().map_or(0, |capture| capture.body.len())
}

/// Between two times that what is done with beyond the cursor is kept.
pub(super) const HOLES_PAUSE: Duration = Duration::from_millis(500);

impl Lane {
    /// Sees to it that something waits in the window, and reads ahead of what does. `false`: nothing does, look at
    /// everything anew.
    pub(super) async fn gather(
        &mut self,
        question: Option<Instant>,
        bounds: Bounds,
    ) -> Result<bool, Stopped> {
        if self.hand_only {
            if self.window.waiting() == 0 {
                let due = question.map(|due| due.saturating_duration_since(Instant::now()));
                self.pause(due.unwrap_or(self.tempo.linger).min(self.tempo.linger)).await?;
            }
        } else if self.window.waiting() == 0 {
            self.read(question, bounds).await?;
        } else {
            self.read_ahead(bounds).await;
        }
        while !self.hand_only && self.window.lacks() && self.read_more(bounds).await {}
        Ok(self.window.waiting() > 0)
    }

    /// Waits for frames, at most until a question is due or something on the shelf was called up.
    async fn read(&mut self, question: Option<Instant>, bounds: Bounds) -> Result<(), Stopped> {
        let idle = self.idle();
        let (source, news) = (&mut self.source, &mut self.news);
        let most = Most { frames: bounds.frames, bytes: bounds.frame_bytes };
        let next = async {
            tokio::select! {
                next = source.next(most, &mut self.seat, idle) => Some(next),
                // Should nobody be left who could call something up, frames still come.
                Ok(()) = news.changed() => None,
            }
        };
        let next = before(question, next);
        match unless_stopped(&mut self.signal, self.changed, next).await? {
            None => {}
            Some(None) => self.hand.call(),
            Some(Some(Ok(None))) => return Err(Stopped),
            Some(Some(Ok(Some(kept)))) => self.take_in(kept, bounds),
            Some(Some(Err(fault))) => {
                self.state.failed(&fault.to_string(), false);
                let wait = self.backoff.wait(&self.tempo, fastrand::f64());
                self.pause(wait).await?;
            }
        }
        Ok(())
    }

    /// Reads what is there, if the window has room; whether there was something.
    pub(super) async fn read_ahead(&mut self, bounds: Bounds) -> bool {
        !self.hand_only && self.window.wants_more() && self.read_more(bounds).await
    }

    async fn read_more(&mut self, bounds: Bounds) -> bool {
        let most = Most { frames: bounds.frames, bytes: bounds.frame_bytes };
        // What cannot be read now is read when nothing else is left.
        let kept = self.source.take(most).await.unwrap_or_default();
        let is_some = !kept.is_empty();
        if is_some {
            self.take_in(kept, bounds);
        }
        is_some
    }

    /// Frames were read.
    pub(super) fn take_in(&mut self, kept: Vec<Kept>, bounds: Bounds) {
        let bytes: usize = kept.iter().map(bytes_of).sum();
        self.has_all = kept.len() < bounds.frames && bytes < bounds.frame_bytes / 2;
        let Self { destination, state, notes, window, .. } = self;
        window.push(kept, |kept, event| wants(destination, (state, notes), (kept, event)));
        self.advance();
    }

    /// Events of a range were taken or parked.
    pub(super) fn settle(&mut self, load: &Load, range: Range<usize>) {
        for place in range {
            self.window.mark(load.item(place));
            self.tries.forget(load.at(place));
        }
        self.advance();
    }

    /// Events that were taken out of a load are parked.
    pub(super) fn settle_all(&mut self, items: &[Item]) {
        for item in items {
            self.window.mark(item);
            self.tries.forget((item.kept(), item.event()));
        }
        self.advance();
    }

    /// Moves the cursor as far as it may, once what was acknowledged is kept.
    fn advance(&mut self) {
        if let Some(sequence) = self.window.advance()
            && !self.tail.mark(sequence)
        {
            self.source.release(sequence);
        }
    }

    /// What is left of a load is read again, and all behind the cursor that is not done with; so is what comes from the
    /// shelf.
    pub(super) fn go_back(&mut self, load: &Load) {
        self.window.go_back(load);
        self.rewind();
        self.hand.drop_all();
    }

    /// Everything behind the cursor goes out again.
    pub(super) fn begin_again(&mut self) {
        self.window.forget();
        self.rewind();
        self.hand.drop_all();
    }

    /// Frames are read again from the cursor on; those that went from the disk meanwhile are lost, unless they are done
    /// with.
    pub(super) fn rewind(&mut self) {
        self.before.comes_again();
        self.note_ahead(&self.window.holes());
        self.source.rewind();
    }

    /// The spool hears what is done with beyond the cursor. Of a destination that is asked what it keeps, nothing is.
    fn note_ahead(&mut self, holes: &Holes) {
        self.source.set_ahead(if self.destination.confirms { Vec::new() } else { whole(holes) });
    }

    /// Learns what was done with beyond the cursor, and keeps it again: a kill may come before there is more.
    pub(super) async fn recall_holes(&mut self) {
        let text = match self.shelf.take_holes(self.id).await {
            Ok(text) => text,
            Err(fault) => return self.note_holes(&fault),
        };
        if let Some(holes) = text.and_then(|text| serde_json::from_str(&text).ok()) {
            self.window.recall(holes);
            self.keep_holes().await;
        }
    }

    /// The same from time to time, so that a kill sends again no more than what went out since.
    pub(super) async fn keep_holes_in_time(&mut self) {
        if self.holes_kept.elapsed() >= HOLES_PAUSE {
            self.keep_holes().await;
        }
    }

    /// Keeps what is done with beyond the cursor. Where a destination is asked what it keeps, that is all to be sent.
    pub(super) async fn keep_holes(&mut self) {
        self.holes_kept = Instant::now();
        let holes = self.window.holes();
        self.note_ahead(&holes);
        if holes.is_empty() || self.destination.confirms {
            return;
        }
        let Ok(text) = serde_json::to_string(&holes) else { return };
        if let Err(fault) = self.shelf.put_holes(self.id, text).await {
            self.note_holes(&fault);
        }
    }

    fn note_holes(&self, fault: &crate::shelf::ShelfError) {
        let destination = &self.state.name;
        tracing::warn!(destination, %fault, "some events may go out twice");
    }
}
