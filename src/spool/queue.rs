//! The hand-off between many senders and one writer. In: finished frames with the waker of whoever waits. Out: batches
//! for the writer, and the fate of each frame. One short lock; no channel, no timer, no allocation per frame.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use super::SpoolError;
use super::ring::Pool;
use crate::journal::{Buffer, write_sequence};

/// Bytes after which the next frame begins another batch.
const BATCH_MAX_BYTES: usize = 1 << 20;

/// Whoever waits for the frames of a batch, in their order.
pub(super) type Wakers = Vec<Option<Waker>>;

/// Frames that are written and synced together.
#[derive(Debug)]
pub(super) struct Batch {
    /// The frames, one behind the other.
    pub(super) buffer: Buffer,
    /// Sequence of the first.
    pub(super) first: u64,
    /// How many.
    pub(super) frames: u64,
    /// When the first came.
    pub(super) since: Instant,
    wakers: Wakers,
}

/// A range of frames that are not kept.
#[derive(Debug)]
struct Failure {
    first: u64,
    last: u64,
    why: SpoolError,
}

#[derive(Debug)]
struct State {
    /// Sequence of the next frame.
    next: u64,
    waiting: VecDeque<Batch>,
    /// Who waits for the batch that is being written, and its first sequence.
    flying: Wakers,
    flying_first: u64,
    /// When the first of them came.
    flying_since: Instant,
    /// Bytes waiting and flying.
    bytes: usize,
    /// The writer sleeps.
    asleep: bool,
    closed: bool,
    /// An empty list whose memory is used again.
    spent: Wakers,
    /// Bytes of the batches of late: the next one will hold about as many.
    usual_bytes: usize,
}

/// The queue.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    bell: Condvar,
    /// The fate of every frame up to this one is known.
    settled: AtomicU64,
    /// Who sent a frame up to this one has waited long enough, if its fate is not known.
    overdue: AtomicU64,
    failures: AtomicUsize,
    failed: Mutex<Vec<Failure>>,
    pool: Arc<Pool>,
    max_bytes: usize,
}

impl Queue {
    /// A queue whose first frame gets the sequence `next`.
    pub(super) fn new(next: u64, max_bytes: usize, pool: Arc<Pool>) -> Self {
        let state = State {
            next,
            waiting: VecDeque::new(),
            flying: Vec::new(),
            flying_first: next,
            flying_since: Instant::now(),
            bytes: 0,
            asleep: false,
            closed: false,
            spent: Vec::new(),
            usual_bytes: 0,
        };
        Self {
            state: Mutex::new(state),
            bell: Condvar::new(),
            settled: AtomicU64::new(next - 1),
            overdue: AtomicU64::new(0),
            failures: AtomicUsize::new(0),
            failed: Mutex::default(),
            pool,
            max_bytes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The highest sequence that was given.
    pub(super) fn newest(&self) -> u64 {
        self.lock().next - 1
    }

    /// Takes a frame in and gives it its sequence.
    pub(super) fn push(&self, frame: &[u8], waker: Option<Waker>) -> Result<u64, SpoolError> {
        let mut state = self.lock();
        if state.closed {
            return Err(SpoolError::Failed("it is closed".to_owned()));
        }
        if state.bytes + frame.len() > self.max_bytes && state.bytes > 0 {
            return Err(SpoolError::Busy);
        }
        let sequence = state.next;
        state.next += 1;
        state.bytes += frame.len();
        let fits = |batch: &Batch| batch.buffer.len() + frame.len() <= BATCH_MAX_BYTES;
        if !state.waiting.back().is_some_and(fits) {
            let wakers = std::mem::take(&mut state.spent);
            let buffer = self.pool.take(frame.len().max(state.usual_bytes));
            let since = Instant::now();
            let batch = Batch { buffer, first: sequence, frames: 0, since, wakers };
            state.waiting.push_back(batch);
        }
        let batch = state.waiting.back_mut().expect("a batch was just put there");
        let at = batch.buffer.len();
        batch.buffer.push(frame);
        write_sequence(&mut batch.buffer.as_mut_slice()[at..], sequence);
        batch.frames += 1;
        batch.wakers.push(waker);
        let asleep = std::mem::take(&mut state.asleep);
        drop(state);
        if asleep {
            self.bell.notify_one();
        }
        Ok(sequence)
    }

    /// Whether a batch could be taken without a wait.
    #[cfg(test)]
    pub(super) fn is_filled(&self) -> bool {
        !self.lock().waiting.is_empty()
    }

    /// Waits for frames and takes the next batch; `None` once the queue is closed and empty.
    pub(super) fn take(&self) -> Option<Batch> {
        let mut state = self.lock();
        loop {
            if let Some(mut batch) = state.waiting.pop_front() {
                state.flying = std::mem::take(&mut batch.wakers);
                state.flying_first = batch.first;
                state.flying_since = batch.since;
                state.usual_bytes = batch.buffer.len().max(state.usual_bytes / 8 * 7);
                return Some(batch);
            }
            if state.closed {
                return None;
            }
            state.asleep = true;
            state = self.bell.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.asleep = false;
        }
    }

    /// Tells the fate of the batch that was taken, and wakes who waits for it.
    pub(super) fn settle(&self, last: u64, bytes: usize, fate: Result<(), SpoolError>) {
        let mut state = self.lock();
        if let Err(why) = fate {
            self.note_failure(Failure { first: state.flying_first, last, why });
        }
        self.settled.store(last, Ordering::Release);
        state.bytes -= bytes;
        let mut wakers = std::mem::take(&mut state.flying);
        drop(state);
        for waker in wakers.drain(..).flatten() {
            waker.wake();
        }
        self.lock().spent = wakers;
    }

    /// Keeps the range as long as the process lives, since a sender may ask late; neighbours are one.
    fn note_failure(&self, failure: Failure) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        match failed.last_mut() {
            Some(before) if before.last + 1 == failure.first && before.why == failure.why => {
                before.last = failure.last;
            }
            _ => failed.push(failure),
        }
        self.failures.store(failed.len(), Ordering::Release);
    }

    /// What became of a frame, once it is known.
    pub(super) fn fate(&self, sequence: u64) -> Option<Result<(), SpoolError>> {
        if self.settled.load(Ordering::Acquire) < sequence {
            return None;
        }
        if self.failures.load(Ordering::Acquire) == 0 {
            return Some(Ok(()));
        }
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let at = failed.partition_point(|failure| failure.last < sequence);
        Some(match failed.get(at).filter(|failure| failure.first <= sequence) {
            Some(failure) => Err(failure.why.clone()),
            None => Ok(()),
        })
    }

    /// Sends away who has waited for `patience`: how many. Their frames go on, and may be kept.
    pub(super) fn expire(&self, patience: Duration) -> usize {
        let mut state = self.lock();
        let settled = self.settled.load(Ordering::Acquire);
        let mut overdue = 0;
        let mut late = Vec::new();
        let State { flying, flying_first, flying_since, waiting, .. } = &mut *state;
        // Before the first batch there is none, however long ago the start was.
        let is_flying = *flying_first > settled && !flying.is_empty();
        if is_flying && flying_since.elapsed() >= patience {
            overdue = *flying_first + (flying.len() as u64).saturating_sub(1);
            late.extend(flying.iter_mut().filter_map(Option::take));
        }
        for batch in waiting.iter_mut().take_while(|batch| batch.since.elapsed() >= patience) {
            overdue = batch.first + batch.frames - 1;
            late.extend(batch.wakers.iter_mut().filter_map(Option::take));
        }
        self.overdue.fetch_max(overdue, Ordering::Release);
        drop(state);
        let count = late.len();
        late.into_iter().for_each(Waker::wake);
        count
    }

    /// Whether who sent that frame need not wait any more.
    pub(super) fn is_overdue(&self, sequence: u64) -> bool {
        self.overdue.load(Ordering::Acquire) >= sequence
    }

    /// How long the oldest frame waits whose fate is not known.
    pub(super) fn oldest_wait(&self) -> Duration {
        let state = self.lock();
        let is_flying = state.flying_first > self.settled.load(Ordering::Acquire);
        let waiting = state.waiting.front().map(|batch| batch.since);
        let since =
            if is_flying && !state.flying.is_empty() { Some(state.flying_since) } else { waiting };
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Lets `waker` be woken for a frame instead of the one before. `false`: its fate is known by now.
    pub(super) fn watch(&self, sequence: u64, waker: &Waker) -> bool {
        let mut state = self.lock();
        if self.settled.load(Ordering::Acquire) >= sequence {
            return false;
        }
        let flying = sequence.wrapping_sub(state.flying_first) as usize;
        let slot = if flying < state.flying.len() {
            state.flying.get_mut(flying)
        } else {
            let at = state.waiting.partition_point(|batch| batch.first <= sequence);
            let batch = at.checked_sub(1).and_then(|at| state.waiting.get_mut(at));
            batch.and_then(|batch| batch.wakers.get_mut((sequence - batch.first) as usize))
        };
        if let Some(slot) = slot
            && !slot.as_ref().is_some_and(|before| before.will_wake(waker))
        {
            *slot = Some(waker.clone());
        }
        true
    }

    /// Takes nothing more; the writer ends when it has written what waits.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.bell.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_away_for_the_time_before_the_first_batch() {
        let queue = Queue::new(7, 1 << 20, Arc::default());
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(queue.expire(Duration::ZERO), 0);
        let sequence = queue.push(&[0; 64], None).expect("room");
        assert!(sequence == 7 && !queue.is_overdue(sequence), "it has not waited");
        let batch = queue.take().expect("a batch");
        assert!(!queue.is_overdue(sequence));
        queue.expire(Duration::ZERO);
        assert!(queue.is_overdue(sequence), "it waits while it is written");
        queue.settle(sequence, batch.buffer.len(), Ok(()));
    }
}
