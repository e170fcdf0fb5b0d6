//! Facts of the wall clock. In: jumps that were seen. Out: a counter and a gauge.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::Telemetry;

/// The families of this room.
#[derive(Debug, Default)]
pub struct Facts {
    jumps: Counter,
    moved_seconds: Gauge<f64, AtomicU64>,
}

impl Facts {
    /// Adds the families to the registry.
    #[must_use]
    pub fn register(telemetry: &Telemetry) -> Self {
        let facts = Self::default();
        telemetry.register(|registry| {
            registry.register("clock_jumps", "Jumps of the wall clock", facts.jumps.clone());
            let help = "Seconds that the wall clock was moved by jumps since the start";
            registry.register("clock_moved_seconds", help, facts.moved_seconds.clone());
        });
        facts
    }

    /// It jumped; all jumps together moved it so far.
    pub fn jumped(&self, moved_seconds: f64) {
        self.jumps.inc();
        self.moved_seconds.set(moved_seconds);
    }
}
