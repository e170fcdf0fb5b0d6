//! Counts refusals, and logs each reason at most once in ten seconds. In: reasons. Out: counters, few lines. Never an
//! address or a byte of a peer.

use std::sync::Arc;
use std::time::Instant;

use crate::telemetry::accept::{Facts, Reason};
use crate::telemetry::damper::Damper;

#[derive(Debug)]
pub(super) struct Ledger {
    facts: Arc<Facts>,
    epoch: Instant,
    lines: [Damper; Reason::COUNT],
}

impl Ledger {
    pub(super) fn new(facts: Arc<Facts>) -> Self {
        let lines = std::array::from_fn(|_| Damper::default());
        Self { facts, epoch: Instant::now(), lines }
    }

    /// The certificate that is shown to clients ends then, in seconds since 1970.
    pub(super) fn certificate_ends(&self, until: i64) {
        self.facts.certificate_ends(until);
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
        if let Some(count) = self.lines[reason as usize].speak(self.epoch.elapsed()) {
            tracing::info!(reason = reason.name(), count, "refused at the socket");
        }
    }
}
