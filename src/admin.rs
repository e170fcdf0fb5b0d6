//! The operator's listener: alive, ready, metrics. In: GET of three paths. Out: text and JSON. Never exposed to
//! senders by default; never a slug, a secret or an event.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use crate::accept::{Body, Handler, Reply};
use crate::clock::{Clock, Jumps};
use crate::feed::{self, Feed, Standing};
use crate::request::Arrival;
use crate::spool::{Lag, Spool, SpoolError, Status};
use crate::telemetry::{Telemetry, clock};

/// What `OpenMetrics` text calls itself.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// From how many seconds on readiness says that the wall clock was moved.
const MOVED_SECONDS: f64 = 5.0;

/// From how many seconds on it says that the index is behind.
const BEHIND_SECONDS: f64 = 60.0;

/// Where the process stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not yet listening.
    Starting,
    /// In service.
    Serving,
    /// Told to stop: what runs is finished, nothing new should come.
    Draining,
}

/// The phase, shared between whoever moves it and readiness.
#[derive(Debug, Default)]
pub struct Life(AtomicU8);

impl Life {
    /// Goes on to `phase`.
    pub fn enter(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Release);
    }

    /// The present phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.0.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Serving,
            _ => Phase::Draining,
        }
    }
}

/// How a destination's lane stands.
#[derive(Clone, Debug)]
pub struct Lane {
    /// How the operator knows it; without secrets.
    pub name: String,
    /// How far it is behind.
    pub lag: Lag,
    /// Events it did not take and never will.
    pub parked: u64,
    /// Why its last attempt failed, while it does.
    pub fault: Option<String>,
}

/// Tells how the lanes stand now.
pub type Lanes = Box<dyn Fn() -> Vec<Lane> + Send + Sync>;

/// Answers on the admin listener.
pub struct Admin {
    life: Arc<Life>,
    spool: Spool,
    feed: Feed,
    lanes: Lanes,
    telemetry: Telemetry,
    clock: (Arc<Clock>, Jumps),
    facts: clock::Facts,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("life", &self.life).finish_non_exhaustive()
    }
}

impl Admin {
    /// Over what it tells of.
    #[must_use]
    pub fn new(
        life: Arc<Life>,
        (spool, feed): (Spool, Feed),
        lanes: Lanes,
        telemetry: Telemetry,
        clock: Arc<Clock>,
    ) -> Self {
        let (jumps, facts) = (Jumps::from_now(&clock), clock::Facts::register(&telemetry));
        Self { life, spool, feed, lanes, telemetry, clock: (clock, jumps), facts }
    }

    /// Looks whether the wall clock jumped, and says so.
    pub fn watch_clock(&self) {
        let (clock, jumps) = &self.clock;
        if let Some(seconds) = jumps.look(clock) {
            self.facts.jumped(jumps.moved_seconds());
            tracing::warn!(
                seconds,
                "the wall clock jumped: signatures are judged by it as it is now"
            );
        }
    }

    /// 200 while new requests are welcome, else 503; each check by name.
    fn readiness(&self) -> Reply {
        self.watch_clock();
        let status = self.spool.status();
        let phase = match self.life.phase() {
            Phase::Starting => "starting",
            Phase::Serving => "ok",
            Phase::Draining => "draining",
        };
        let spool = match &status.refusing {
            None if status.slow => "slow",
            None => "ok",
            Some(SpoolError::Full { .. } | SpoolError::NoRoom { .. }) => "full",
            Some(SpoolError::Busy) => "busy",
            Some(_) => "failed",
        };
        let ready = phase == "ok" && matches!(spool, "ok" | "busy" | "slow");
        let reason = "more than one request of a hundred waits over half a second for the disk";
        let jumped = "the wall clock does not stand where it would without its jumps";
        let is_moved = self.clock.1.moved_seconds().abs() >= MOVED_SECONDS;
        let index = self.feed.standing();
        let degraded = [status.slow.then_some(reason), is_moved.then_some(jumped)];
        let degraded = degraded.into_iter().flatten().map(str::to_owned);
        let degraded: Vec<_> = degraded.chain(told_of_index(&index, &status)).collect();
        let lanes = (self.lanes)();
        let behind = |lane: &Lane| {
            json!({
                "destination": lane.name,
                "frames_behind": lane.lag.frames,
                "age_seconds": lane.lag.age.as_secs_f64(),
                "frames_dropped": lane.lag.dropped,
                "parked": lane.parked,
                "fault": lane.fault,
            })
        };
        let text = json!({
            "ready": ready,
            "degraded": degraded,
            "checks": { "phase": phase, "spool": spool },
            "spool": {
                "posture": status.posture,
                "refusing": told_of_refusal(&status),
                "used_bytes": status.used_bytes,
                "durable": status.durable,
                "damaged_ranges": status.damaged,
            },
            "clock": { "jumps": self.clock.1.count(), "moved_seconds": self.clock.1.moved_seconds() },
            "index": {
                "frames_behind": index.frames,
                "age_seconds": index.age.as_secs_f64(),
                "fault": index.halted,
            },
            "destinations": lanes.iter().map(behind).collect::<Vec<Value>>(),
        });
        let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        Reply::json(code, format!("{text:#}\n"))
    }

    fn metrics(&self) -> Reply {
        // Told by whoever asks: an index that stands still tells nothing.
        let _ = self.feed.standing();
        let mut reply = Reply::empty(StatusCode::OK);
        reply.body = self.telemetry.print().into();
        reply.with(header::CONTENT_TYPE, HeaderValue::from_static(OPEN_METRICS))
    }
}

/// Why requests are refused, when they are, and what keeps the spool from letting go.
fn told_of_refusal(status: &Status) -> Option<String> {
    let why = status.refusing.as_ref()?;
    let held = status.held_by.as_ref().map(|(name, frames)| {
        let whose = if name == feed::READER { "the index of events" } else { name };
        format!("; {whose} holds {frames} frames")
    });
    Some(format!("{why}{}", held.unwrap_or_default()))
}

/// What is to be said of the index: nothing while it follows.
fn told_of_index(index: &Standing, status: &Status) -> Option<String> {
    let holds = status.held_by.as_ref().is_some_and(|(name, _)| name == feed::READER);
    let frames = index.frames;
    if let Some(why) = &index.halted {
        return Some(format!(
            "the index of events stands still, {frames} frames behind, and holds the spool: {why}; if it stays so, \
             make room, or stop the gateway, delete {file}* in the data folder and start it: the index is built again",
            file = feed::FILE_NAME
        ));
    }
    let is_late = index.age.as_secs_f64() >= BEHIND_SECONDS;
    (holds || is_late).then(|| format!("the index of events is {frames} frames behind"))
}

impl Handler for Admin {
    async fn answer(&self, arrival: Arrival, _: Body) -> Reply {
        if !matches!(arrival.method, Method::GET | Method::HEAD) {
            return Reply::detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
                .with(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        match arrival.path() {
            "/livez" => Reply::json(StatusCode::OK, "{\"alive\":true}\n"),
            "/readyz" => self.readiness(),
            "/metrics" => self.metrics(),
            _ => Reply::detail(StatusCode::NOT_FOUND, "Not Found"),
        }
    }
}
