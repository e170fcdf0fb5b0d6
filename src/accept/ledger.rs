//! Counts refusals, and logs each reason at most once in ten seconds. In: reasons. Out: counters, few lines. Never an
//! address or a byte of a peer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::telemetry::accept::{Facts, Reason};

/// Between two lines of one reason.
const QUIET: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Ledger {
    facts: Arc<Facts>,
    epoch: Instant,
    lines: [Line; Reason::COUNT],
}

#[derive(Debug, Default)]
struct Line {
    /// Milliseconds since the epoch before which nothing is logged.
    quiet_until: AtomicU64,
    /// Refusals since the last line.
    unsaid: AtomicU64,
}

impl Ledger {
    pub(super) fn new(facts: Arc<Facts>) -> Self {
        let lines = std::array::from_fn(|_| Line::default());
        Self { facts, epoch: Instant::now(), lines }
    }

    pub(super) fn opened(&self) {
        self.facts.opened();
    }

    pub(super) fn closed(&self) {
        self.facts.closed();
    }

    /// Counts one, and says so unless that was said a moment ago.
    pub(super) fn refuse(&self, reason: Reason) {
        self.facts.refused(reason);
        if let Some(count) = self.speak(reason, self.epoch.elapsed()) {
            tracing::info!(reason = reason.name(), count, "refused at the socket");
        }
    }

    fn speak(&self, reason: Reason, elapsed: Duration) -> Option<u64> {
        let line = &self.lines[reason as usize];
        line.unsaid.fetch_add(1, Relaxed);
        let (now, until) = (elapsed.as_millis() as u64, line.quiet_until.load(Relaxed));
        let next = now + QUIET.as_millis() as u64;
        let speaks = now >= until
            && line.quiet_until.compare_exchange(until, next, Relaxed, Relaxed).is_ok();
        speaks.then(|| line.unsaid.swap(0, Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Telemetry;

    #[test]
    fn a_flood_of_one_reason_is_few_lines() {
        let ledger = Ledger::new(Facts::register(&Telemetry::new()));
        let at = |seconds| ledger.speak(Reason::Host, Duration::from_secs(seconds));
        assert_eq!((at(0), at(1), at(9), at(10)), (Some(1), None, None, Some(3)));
    }
}
