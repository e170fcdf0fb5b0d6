//! Facts of what is kept: batches, syncs, bytes, refusals, losses. In: what the spool saw. Out: families of the
//! registry, their children resolved once. Never a reader's name, a tenant or a byte of a frame.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use super::Telemetry;

/// Why an append was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Refused {
    /// The spool's own bound, or the disk.
    Full,
    /// Too much waits for the sync.
    Busy,
    /// The disk took too long.
    Slow,
    /// Writing failed, or the spool is closed.
    Failed,
}

const REASONS: [&str; 4] = ["full", "busy", "slow", "failed"];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// From 50 µs, a sync of a fast disk, to 5 s, one that stalls.
const SECONDS: [f64; 15] =
    [5e-5, 1e-4, 1.5e-4, 2.5e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.5, 1.0, 5.0];

/// The families of this room.
#[derive(Debug)]
pub struct Facts {
    frames: Counter,
    bytes: Counter,
    failed_batches: Counter,
    torn_bytes: Counter,
    damaged_ranges: Gauge,
    dropped_frames: Counter,
    used_bytes: Gauge,
    free_bytes: Gauge,
    segments: Gauge,
    direct: Gauge,
    refusals: [Counter; REASONS.len()],
    append: Histogram,
    sync: Histogram,
    batch_frames: Histogram,
    batch_bytes: Histogram,
}

impl Facts {
    /// Adds the families to the registry.
    #[must_use]
    pub fn register(telemetry: &Telemetry) -> Arc<Self> {
        let refusals: Family<ReasonLabel, Counter> = Family::default();
        let facts = Self {
            frames: Counter::default(),
            bytes: Counter::default(),
            failed_batches: Counter::default(),
            torn_bytes: Counter::default(),
            damaged_ranges: Gauge::default(),
            dropped_frames: Counter::default(),
            used_bytes: Gauge::default(),
            free_bytes: Gauge::default(),
            segments: Gauge::default(),
            direct: Gauge::default(),
            refusals: REASONS.map(|reason| refusals.get_or_create(&ReasonLabel { reason }).clone()),
            append: Histogram::new(SECONDS),
            sync: Histogram::new(SECONDS),
            batch_frames: Histogram::new(exponential_buckets(1.0, 2.0, 12)),
            batch_bytes: Histogram::new(exponential_buckets(4096.0, 4.0, 8)),
        };
        telemetry.register(|registry| {
            let mut count = |name: &str, help: &str, counter: &Counter| {
                registry.register(name, help, counter.clone());
            };
            count("spool_frames", "Frames made durable", &facts.frames);
            count("spool_bytes", "Bytes made durable, padding included", &facts.bytes);
            count("spool_failed_batches", "Batches of which nothing counts", &facts.failed_batches);
            count("spool_torn_bytes", "Bytes of torn tails cut at start-up", &facts.torn_bytes);
            count("spool_dropped_frames", "Frames lost to drop-oldest", &facts.dropped_frames);
            let mut gauge = |name: &str, help: &str, gauge: &Gauge| {
                registry.register(name, help, gauge.clone());
            };
            gauge("spool_damaged_ranges", "Damaged ranges set aside", &facts.damaged_ranges);
            gauge("spool_used_bytes", "Bytes of all segment files", &facts.used_bytes);
            gauge("spool_free_bytes", "Bytes free on the file system", &facts.free_bytes);
            gauge("spool_segments", "Segments kept", &facts.segments);
            gauge("spool_direct_writes", "1: direct writes, 0: page cache and sync", &facts.direct);
            let mut histogram = |name: &str, help: &str, histogram: &Histogram| {
                registry.register(name, help, histogram.clone());
            };
            let help = "Seconds the longest waiting frame of a batch waited for stable storage";
            histogram("spool_append_seconds", help, &facts.append);
            histogram("spool_sync_seconds", "Seconds of one write and sync", &facts.sync);
            histogram("spool_batch_frames", "Frames of one batch", &facts.batch_frames);
            histogram("spool_batch_bytes", "Bytes of one batch", &facts.batch_bytes);
            registry.register("spool_refusals", "Refused appends by reason", refusals);
        });
        Arc::new(facts)
    }

    /// A batch is durable: its frames and bytes, how long its oldest frame waited, how long write and sync took.
    pub fn kept(&self, frames: u64, bytes: u64, waited: Duration, synced: Duration) {
        self.frames.inc_by(frames);
        self.bytes.inc_by(bytes);
        self.append.observe(waited.as_secs_f64());
        self.sync.observe(synced.as_secs_f64());
        self.batch_frames.observe(frames as f64);
        self.batch_bytes.observe(bytes as f64);
    }

    /// A batch failed.
    pub fn failed(&self) {
        self.failed_batches.inc();
    }

    /// An append was refused.
    pub fn refused(&self, why: Refused) {
        self.refusals[why as usize].inc();
    }

    /// Frames that a reader will never see.
    pub fn dropped(&self, frames: u64) {
        self.dropped_frames.inc_by(frames);
    }

    /// What start-up found.
    pub fn recovered(&self, torn_bytes: u64, direct: bool) {
        self.torn_bytes.inc_by(torn_bytes);
        self.direct.set(i64::from(direct));
    }

    /// How many damaged ranges there are by now.
    pub fn damaged(&self, ranges: usize) {
        self.damaged_ranges.set(i64::try_from(ranges).unwrap_or(i64::MAX));
    }

    /// Bytes and segments as they stand.
    pub fn measured(&self, used_bytes: u64, free_bytes: Option<u64>, segments: usize) {
        self.used_bytes.set(i64::try_from(used_bytes).unwrap_or(i64::MAX));
        if let Some(free) = free_bytes {
            self.free_bytes.set(i64::try_from(free).unwrap_or(i64::MAX));
        }
        self.segments.set(i64::try_from(segments).unwrap_or(i64::MAX));
    }
}
