//! Looks after those who wait for the disk. In: how long senders wait, and how long each batch took. Out: those sent
//! away who waited too long, and whether the disk is slow. Touches no file: a disk that hangs must not hang it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::shared::Shared;

/// Between two looks: by so much may somebody wait longer than is set.
const ROUND: Duration = Duration::from_millis(250);
/// A frame that took longer was slow.
const SLOW: Duration = Duration::from_millis(500);
/// One frame of so many may be slow.
const SHARE: u64 = 100;
/// Looks between two halves of the span that is judged: a minute at most.
const HALF_ROUNDS: u64 = 120;

/// How many frames were slow of late.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// All, and the slow ones: of this half, and of the one before.
    now: [AtomicU64; 2],
    before: [AtomicU64; 2],
}

impl Pace {
    /// A batch became durable; its oldest frame waited so long.
    pub(super) fn note(&self, frames: u64, waited: Duration) {
        self.now[0].fetch_add(frames, Ordering::Relaxed);
        if waited > SLOW {
            self.now[1].fetch_add(frames, Ordering::Relaxed);
        }
    }

    fn turn(&self) {
        for (now, before) in self.now.iter().zip(&self.before) {
            before.store(now.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// Whether more than one frame of a hundred was slow within the last minute, or one waits that long by now.
    pub(super) fn is_slow(&self, oldest_wait: Duration) -> bool {
        let sum = |at: usize| {
            self.now[at].load(Ordering::Relaxed) + self.before[at].load(Ordering::Relaxed)
        };
        oldest_wait > SLOW || sum(1) * SHARE > sum(0)
    }
}

/// Looks until the spool is closed.
pub(super) fn run(shared: &Shared) {
    let (mut round, mut is_slow) = (0_u64, false);
    while shared.watch_bell.wait(ROUND) {
        let late = shared.queue.expire(shared.bounds.append_time);
        if late > 0 {
            tracing::warn!(
                late,
                "the disk is slow: senders waited too long and were told to come again"
            );
        }
        let slow = shared.is_slow();
        if slow != is_slow {
            is_slow = slow;
            if slow {
                tracing::warn!("the disk is slow: writes take longer than half a second");
            } else {
                tracing::info!("the disk is as quick as before");
            }
        }
        round += 1;
        if round.is_multiple_of(HALF_ROUNDS) {
            shared.pace.turn();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_frame_of_a_hundred_is_no_slow_disk() {
        let pace = Pace::default();
        assert!(!pace.is_slow(Duration::ZERO));
        pace.note(99, Duration::from_millis(1));
        pace.note(1, Duration::from_secs(1));
        assert!(!pace.is_slow(Duration::ZERO));
        assert!(pace.is_slow(Duration::from_secs(1)), "one hangs");
        pace.note(1, Duration::from_secs(1));
        assert!(pace.is_slow(Duration::ZERO));
        pace.turn();
        assert!(pace.is_slow(Duration::ZERO));
        pace.turn();
        assert!(!pace.is_slow(Duration::ZERO), "that was long ago");
    }
}
