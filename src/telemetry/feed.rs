//! Facts of the index of events: how much is in, how far behind it is, what questions cost. In: what the feed did.
//! Out: families of the registry. Never a tenant, a name or a filter.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::Telemetry;

/// From 1 ms, a page from memory, to 10 s, a count of everything.
const SECONDS: [f64; 10] = [1e-3, 2e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.5, 2.0, 10.0];

/// The families of this room.
#[derive(Debug)]
pub struct Facts {
    indexed: Counter,
    known: Counter,
    unreadable: Counter,
    expired: Counter,
    faults: Counter,
    lag_frames: Gauge,
    lag_milliseconds: Gauge,
    used_bytes: Gauge,
    batch: Histogram,
    questions: Histogram,
}

impl Facts {
    /// Adds the families to the registry.
    #[must_use]
    pub fn register(telemetry: &Telemetry) -> Arc<Self> {
        let facts = Self {
            indexed: Counter::default(),
            known: Counter::default(),
            unreadable: Counter::default(),
            expired: Counter::default(),
            faults: Counter::default(),
            lag_frames: Gauge::default(),
            lag_milliseconds: Gauge::default(),
            used_bytes: Gauge::default(),
            batch: Histogram::new(SECONDS),
            questions: Histogram::new(SECONDS),
        };
        telemetry.register(|registry| {
            let mut count = |name: &str, help: &str, counter: &Counter| {
                registry.register(name, help, counter.clone());
            };
            count("feed_indexed", "Events added to the index", &facts.indexed);
            count("feed_known", "Events left out, their id being known", &facts.known);
            count("feed_unreadable", "Events left out, being none", &facts.unreadable);
            count("feed_expired", "Events removed from the index by age or size", &facts.expired);
            count("feed_faults", "Batches and slices that failed", &facts.faults);
            let mut gauge = |name: &str, help: &str, gauge: &Gauge| {
                registry.register(name, help, gauge.clone());
            };
            gauge("feed_lag_frames", "Frames of the spool not in the index", &facts.lag_frames);
            let help = "Age in milliseconds of the oldest frame not in the index";
            gauge("feed_lag_milliseconds", help, &facts.lag_milliseconds);
            gauge("feed_used_bytes", "Bytes of the index in use", &facts.used_bytes);
            let mut histogram = |name: &str, help: &str, histogram: &Histogram| {
                registry.register(name, help, histogram.clone());
            };
            histogram("feed_batch_seconds", "Seconds to add one batch", &facts.batch);
            histogram("feed_question_seconds", "Seconds to answer a question", &facts.questions);
        });
        Arc::new(facts)
    }

    /// A batch is in: how many events were new, known, and none; how long it took.
    pub fn added(&self, new: u64, known: u64, unreadable: u64, took: Duration) {
        self.indexed.inc_by(new);
        self.known.inc_by(known);
        self.unreadable.inc_by(unreadable);
        self.batch.observe(took.as_secs_f64());
    }

    /// How far the index is behind.
    pub fn behind(&self, frames: u64, age: Duration) {
        self.lag_frames.set(i64::try_from(frames).unwrap_or(i64::MAX));
        self.lag_milliseconds.set(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
    }

    /// Events that were removed.
    pub fn expired(&self, events: u64) {
        self.expired.inc_by(events);
    }

    /// Bytes in use.
    pub fn measured(&self, used_bytes: u64) {
        self.used_bytes.set(i64::try_from(used_bytes).unwrap_or(i64::MAX));
    }

    /// A batch or slice failed.
    pub fn failed(&self) {
        self.faults.inc();
    }

    /// A question was answered.
    pub fn answered(&self, took: Duration) {
        self.questions.observe(took.as_secs_f64());
    }
}
