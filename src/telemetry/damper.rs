//! Holds a log line back that was said a moment ago. In: when something happens. Out: how often it did since the last
//! line, when one is due. Atomics only.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Between two lines.
const QUIET: Duration = Duration::from_secs(10);

/// One line of the log.
#[derive(Debug, Default)]
pub struct Damper {
    /// Milliseconds since the epoch before which nothing is said.
    quiet_until: AtomicU64,
    /// How often it happened since the last line.
    unsaid: AtomicU64,
}

impl Damper {
    /// It happened, `elapsed` after some epoch: how often since the last line, if one is due.
    pub fn speak(&self, elapsed: Duration) -> Option<u64> {
        self.unsaid.fetch_add(1, Relaxed);
        let (now, until) = (elapsed.as_millis() as u64, self.quiet_until.load(Relaxed));
        let next = now + QUIET.as_millis() as u64;
        let speaks = now >= until
            && self.quiet_until.compare_exchange(until, next, Relaxed, Relaxed).is_ok();
        speaks.then(|| self.unsaid.swap(0, Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_few_lines() {
        let damper = Damper::default();
        let at = |seconds| damper.speak(Duration::from_secs(seconds));
        assert_eq!((at(0), at(1), at(9), at(10)), (Some(1), None, None, Some(3)));
    }
}
