//! Facts of the way in: what became of requests, and how long they took. In: outcomes and durations. Out: families of
//! the registry, their children resolved once. Never a slug, an address or a sender's word.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use super::Telemetry;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Kept, with the event of its template.
    Accepted,
    /// Kept, with a failed event.
    Failed,
    /// Kept, as the answer to a validation handshake.
    Handshake,
    /// Kept before.
    Duplicate,
    /// Refused before anything was kept.
    Refused(Reason),
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Reason {
    /// 405.
    Method,
    /// 404: unknown, disabled or misshapen.
    Unknown,
    /// 404: from none of the webhook's networks.
    Network,
    /// 508: it came through too many gateways.
    Loop,
    /// 429 by the peer's budget.
    PeerRate,
    /// 429 by the webhook's.
    WebhookRate,
    /// 429 by the account's.
    AccountRate,
    /// 429 by the budget of questions.
    QuestionRate,
    /// 413.
    BodyTooLarge,
    /// 408.
    BodyTooSlow,
    /// 400: broken framing or encoding.
    BodyMalformed,
    /// 415.
    BodyEncoding,
    /// 503: the bodies of all connections take as much memory as they may.
    BodiesCrowded,
    /// 401.
    Unauthorized,
    /// 401: not signed by who knows the webhook's secret.
    Unverified,
    /// 503: the key that it is signed with is not to be had.
    KeyUnavailable,
    /// 503: an address that its provider wants visited was not reached.
    Unconfirmed,
    /// 400: `OPTIONS` that is no handshake.
    Handshake,
    /// 503: the spool is full.
    SpoolFull,
    /// 503: too much waits for the sync.
    SpoolBusy,
    /// 503: the disk took too long, and nobody knows what becomes of the request.
    SpoolSlow,
    /// 503: the spool failed.
    SpoolFailed,
}

const REASONS: [&str; 22] = [
    "method",
    "unknown",
    "network",
    "loop",
    "peer-rate",
    "webhook-rate",
    "account-rate",
    "question-rate",
    "body-too-large",
    "body-too-slow",
    "body-malformed",
    "body-encoding",
    "bodies-crowded",
    "unauthorized",
    "unverified",
    "key-unavailable",
    "unconfirmed",
    "handshake",
    "spool-full",
    "spool-busy",
    "spool-slow",
    "spool-failed",
];

impl Reason {
    /// In a word.
    #[must_use]
    pub fn name(self) -> &'static str {
        REASONS[self as usize]
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabel {
    stage: &'static str,
}

/// The families of this room.
#[derive(Debug)]
pub struct Facts {
    accepted: Counter,
    failed: Counter,
    handshake: Counter,
    duplicate: Counter,
    keyless: Counter,
    damped: Counter,
    refused: Counter,
    reasons: [Counter; REASONS.len()],
    render: Histogram,
    append: Histogram,
    request: Histogram,
}

/// From 25 µs, a small rendering, to 10 s, a body that came slowly.
const SECONDS: [f64; 14] =
    [25e-6, 50e-6, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 0.1, 0.5, 2.5, 10.0];

impl Facts {
    /// Adds the families to the registry.
    #[must_use]
    pub fn register(telemetry: &Telemetry) -> Arc<Self> {
        let outcomes: Family<OutcomeLabel, Counter> = Family::default();
        let refusals: Family<ReasonLabel, Counter> = Family::default();
        let histogram: fn() -> Histogram = || Histogram::new(SECONDS);
        let stages: Family<StageLabel, Histogram> = Family::new_with_constructor(histogram);
        let request = histogram();
        let (keyless, damped) = (Counter::default(), Counter::default());
        telemetry.register(|registry| {
            registry.register("hook_requests", "Requests by outcome", outcomes.clone());
            registry.register("hook_refusals", "Refused requests by reason", refusals.clone());
            let help = "Requests without what tells those of their webhook apart";
            registry.register("hook_keyless", help, keyless.clone());
            let help =
                "Requests with a wrong slug or key, answered 429 as one too many of their peer";
            registry.register("hook_damped", help, damped.clone());
            let help = "Seconds of one stage of a request";
            registry.register("hook_stage_seconds", help, stages.clone());
            let help = "Seconds from a request's head to its reply";
            registry.register("hook_request_seconds", help, request.clone());
        });
        let outcome = |outcome| outcomes.get_or_create(&OutcomeLabel { outcome }).clone();
        let stage = |stage| stages.get_or_create(&StageLabel { stage }).clone();
        Arc::new(Self {
            accepted: outcome("accepted"),
            failed: outcome("failed"),
            handshake: outcome("handshake"),
            duplicate: outcome("duplicate"),
            keyless,
            damped,
            refused: outcome("refused"),
            reasons: REASONS.map(|reason| refusals.get_or_create(&ReasonLabel { reason }).clone()),
            render: stage("render"),
            append: stage("append"),
            request,
        })
    }

    /// Counts a request that was answered, and how long that took.
    pub fn answered(&self, outcome: Outcome, took: Duration) {
        match outcome {
            Outcome::Accepted => self.accepted.inc(),
            Outcome::Failed => self.failed.inc(),
            Outcome::Handshake => self.handshake.inc(),
            Outcome::Duplicate => self.duplicate.inc(),
            Outcome::Refused(reason) => {
                self.reasons[reason as usize].inc();
                self.refused.inc()
            }
        };
        self.request.observe(took.as_secs_f64());
    }

    /// Counts a request that is to be taken once, and has no key to be known again by.
    pub fn missed_key(&self) {
        self.keyless.inc();
    }

    /// Counts a request that was wrong about a slug or a key, as its peer was too often.
    pub fn damped(&self) {
        self.damped.inc();
    }

    /// Notes how long a rendering took, also one that failed.
    pub fn rendered(&self, took: Duration) {
        self.render.observe(took.as_secs_f64());
    }

    /// Notes how long a frame waited for stable storage.
    pub fn appended(&self, took: Duration) {
        self.append.observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_and_reason_has_its_line() {
        let telemetry = Telemetry::new();
        let facts = Facts::register(&telemetry);
        facts.answered(Outcome::Accepted, Duration::from_micros(30));
        facts.answered(Outcome::Refused(Reason::SpoolFailed), Duration::from_millis(1));
        facts.answered(Outcome::Refused(Reason::Method), Duration::from_millis(1));
        let text = telemetry.print();
        for line in [
            "hookgate_hook_requests_total{outcome=\"accepted\"} 1",
            "hookgate_hook_requests_total{outcome=\"refused\"} 2",
            "hookgate_hook_refusals_total{reason=\"spool-failed\"} 1",
            "hookgate_hook_refusals_total{reason=\"method\"} 1",
            "hookgate_hook_refusals_total{reason=\"unknown\"} 0",
            "hookgate_hook_request_seconds_count 3",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
