//! Facts of what is sent on: events, attempts, parked ones, and how far each lane is behind. In: what the lanes saw.
//! Out: families of the registry, a lane's children resolved once. The label is the destination as the operator wrote
//! it, without secrets; never a tenant, an event or a word of an answer.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::Telemetry;

/// What became of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Outcome {
    /// Every event of it arrived.
    Taken,
    /// The content was refused: 400, 413, 422, 431.
    Refused,
    /// 401, 403, 407.
    Unauthorized,
    /// 429.
    Throttled,
    /// 5xx, 408, 425.
    Unavailable,
    /// Any other status: the address is probably wrong.
    Unexpected,
    /// No answer within the deadline.
    Timeout,
    /// No connection, or one that broke.
    Unreachable,
    /// The network rules refuse its address.
    Forbidden,
    /// A file or a pipe did not take it.
    Failed,
}

const OUTCOMES: [&str; 10] = [
    "taken",
    "refused",
    "unauthorized",
    "throttled",
    "unavailable",
    "unexpected",
    "timeout",
    "unreachable",
    "forbidden",
    "failed",
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LaneLabel {
    destination: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabel {
    destination: String,
    outcome: &'static str,
}

/// The label of the destinations of all records.
const RECORDS: &str = "records";

/// From 1 ms, a file that keeps up, to an hour, a destination that was away.
const SECONDS: [f64; 14] =
    [1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0];

type Seconds = Gauge<f64, AtomicU64>;

/// The families of this room.
#[derive(Debug)]
pub struct Facts {
    events: Family<LaneLabel, Counter>,
    attempts: Family<AttemptLabel, Counter>,
    parked: Family<LaneLabel, Counter>,
    parked_now: Family<LaneLabel, Gauge>,
    delivery: Family<LaneLabel, Histogram>,
    frames: Family<LaneLabel, Gauge>,
    age: Family<LaneLabel, Seconds>,
    dropped: Family<LaneLabel, Gauge>,
    failing: Family<LaneLabel, Gauge>,
    condition_faults: Family<LaneLabel, Counter>,
    share: Family<LaneLabel, Seconds>,
}

impl Facts {
    /// Adds the families to the registry.
    #[must_use]
    pub fn register(telemetry: &Telemetry) -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(SECONDS);
        let facts = Self {
            events: Family::default(),
            attempts: Family::default(),
            parked: Family::default(),
            parked_now: Family::default(),
            delivery: Family::new_with_constructor(histogram),
            frames: Family::default(),
            age: Family::default(),
            dropped: Family::default(),
            failing: Family::default(),
            condition_faults: Family::default(),
            share: Family::default(),
        };
        telemetry.register(|registry| {
            registry.register("forward_events", "Events delivered", facts.events.clone());
            let help = "Attempts to deliver by outcome";
            registry.register("forward_attempts", help, facts.attempts.clone());
            let help = "Events set aside because the destination does not take them";
            registry.register("forward_parked", help, facts.parked.clone());
            let help = "Events that lie parked now";
            registry.register("forward_parked_events", help, facts.parked_now.clone());
            let help = "Seconds from a request's head to its delivery";
            registry.register("forward_delivery_seconds", help, facts.delivery.clone());
            let help = "Frames kept and not delivered";
            registry.register("forward_lane_frames", help, facts.frames.clone());
            let help = "Seconds the oldest of them has waited";
            registry.register("forward_lane_age_seconds", help, facts.age.clone());
            let help = "Frames lost to drop-oldest since the start";
            registry.register("forward_lane_dropped_frames", help, facts.dropped.clone());
            let help = "1 while the last attempt of a lane failed; of records, how many failed";
            registry.register("forward_lane_failing", help, facts.failing.clone());
            let help =
                "Share of its pace at which a lane goes; below 1 the destination stands no more";
            registry.register("forward_pace_share", help, facts.share.clone());
            let help = "Events that a destination's `where` failed on: they do not match";
            registry.register("forward_where_failures", help, facts.condition_faults.clone());
        });
        facts
    }

    /// The children that the destinations of all records share: there may be too many for lines of their own.
    #[must_use]
    pub fn records(&self) -> Arc<LaneFacts> {
        Arc::new(LaneFacts { is_shared: true, ..self.children(RECORDS) })
    }

    /// The children of one destination.
    #[must_use]
    pub fn lane(&self, destination: &str) -> Arc<LaneFacts> {
        Arc::new(self.children(destination))
    }

    fn children(&self, destination: &str) -> LaneFacts {
        let label = LaneLabel { destination: destination.to_owned() };
        let attempt = |outcome| {
            let label = AttemptLabel { destination: destination.to_owned(), outcome };
            self.attempts.get_or_create(&label).clone()
        };
        LaneFacts {
            is_shared: false,
            events: self.events.get_or_create(&label).clone(),
            attempts: OUTCOMES.map(attempt),
            parked: self.parked.get_or_create(&label).clone(),
            parked_now: self.parked_now.get_or_create(&label).clone(),
            delivery: self.delivery.get_or_create(&label).clone(),
            frames: self.frames.get_or_create(&label).clone(),
            age: self.age.get_or_create(&label).clone(),
            dropped: self.dropped.get_or_create(&label).clone(),
            failing: self.failing.get_or_create(&label).clone(),
            condition_faults: self.condition_faults.get_or_create(&label).clone(),
            share: self.share.get_or_create(&label).clone(),
        }
    }
}

/// The facts of one destination.
#[derive(Debug)]
pub struct LaneFacts {
    /// Many lanes tell it: what stands of one of them alone is told of all together.
    is_shared: bool,
    events: Counter,
    attempts: [Counter; OUTCOMES.len()],
    parked: Counter,
    parked_now: Gauge,
    delivery: Histogram,
    frames: Gauge,
    age: Seconds,
    dropped: Gauge,
    failing: Gauge,
    condition_faults: Counter,
    share: Seconds,
}

impl LaneFacts {
    /// The lane goes at this share of its pace.
    pub fn goes_at(&self, share: f64) {
        if !self.is_shared {
            self.share.set(share);
        }
    }

    /// The destination's expression failed on an event.
    pub fn condition_failed(&self) {
        self.condition_faults.inc();
    }

    /// An attempt ended.
    pub fn attempted(&self, outcome: Outcome) {
        self.attempts[outcome as usize].inc();
    }

    /// Whether the lane stands still.
    pub fn fails(&self, fails: bool) {
        if !self.is_shared {
            self.failing.set(i64::from(fails));
        }
    }

    /// Events arrived.
    pub fn delivered(&self, events: u64) {
        self.events.inc_by(events);
    }

    /// The events of one request arrived so long after its head.
    pub fn waited(&self, since: Duration) {
        self.delivery.observe(since.as_secs_f64());
    }

    /// Some events were set aside; so many lie there now.
    pub fn parked(&self, more: u64, now: u64) {
        self.parked.inc_by(more);
        self.lies_parked(now);
    }

    /// So many lie parked.
    pub fn lies_parked(&self, now: u64) {
        if !self.is_shared {
            self.parked_now.set(signed(now));
        }
    }

    /// How far the lane is behind.
    pub fn behind(&self, frames: u64, age: Duration, dropped: u64) {
        if !self.is_shared {
            self.frames.set(signed(frames));
            self.age.set(age.as_secs_f64());
            self.dropped.set(signed(dropped));
        }
    }

    /// How all that share these stand.
    pub fn all(&self, together: &Together) {
        self.frames.set(signed(together.frames));
        self.age.set(together.age.as_secs_f64());
        self.dropped.set(signed(together.dropped));
        self.parked_now.set(signed(together.parked));
        self.failing.set(signed(together.failing));
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// How many lanes stand: those that are worst, and sums.
#[derive(Clone, Copy, Debug, Default)]
pub struct Together {
    frames: u64,
    age: Duration,
    dropped: u64,
    parked: u64,
    failing: u64,
}

impl Together {
    /// One more of them.
    pub fn add(&mut self, (frames, age, dropped): (u64, Duration, u64), parked: u64, fails: bool) {
        self.frames = self.frames.max(frames);
        self.age = self.age.max(age);
        self.dropped += dropped;
        self.parked += parked;
        self.failing += u64::from(fails);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_destination_has_its_lines() {
        let telemetry = Telemetry::new();
        let facts = Facts::register(&telemetry);
        let lane = facts.lane("file:out \"x\"");
        lane.attempted(Outcome::Failed);
        lane.attempted(Outcome::Taken);
        lane.fails(true);
        lane.delivered(3);
        lane.waited(Duration::from_millis(7));
        lane.parked(1, 2);
        lane.behind(5, Duration::from_millis(1500), 1);
        let text = telemetry.print();
        let label = "destination=\"file:out \\\"x\\\"\"";
        for line in [
            format!("hookgate_forward_events_total{{{label}}} 3"),
            format!("hookgate_forward_attempts_total{{{label},outcome=\"failed\"}} 1"),
            format!("hookgate_forward_attempts_total{{{label},outcome=\"timeout\"}} 0"),
            format!("hookgate_forward_parked_total{{{label}}} 1"),
            format!("hookgate_forward_parked_events{{{label}}} 2"),
            format!("hookgate_forward_lane_age_seconds{{{label}}} 1.5"),
            format!("hookgate_forward_lane_failing{{{label}}} 1"),
        ] {
            assert!(text.contains(&line), "{line} in {text}");
        }
    }
}
