//! Facts of the control plane: calls by what they asked and how they ended, and the outbox. In: names of the catalogue
//! and statuses. Out: families of the registry. Never an id, a name or a path as it was sent.

use std::sync::Arc;

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::Telemetry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    kind: &'static str,
    verb: &'static str,
    status: u16,
}

/// The families of this room.
#[derive(Debug)]
pub struct Facts {
    calls: Family<CallLabels, Counter>,
    waiting: Gauge,
    handed: Counter,
}

impl Facts {
    /// Adds the families to the registry.
    #[must_use]
    pub fn register(telemetry: &Telemetry) -> Arc<Self> {
        let calls = Family::<CallLabels, Counter>::default();
        let (waiting, handed) = (Gauge::default(), Counter::default());
        telemetry.register(|registry| {
            let help = "Management calls by kind, verb and status";
            registry.register("api_requests", help, calls.clone());
            let help = "Audit events committed and not yet in the spool";
            registry.register("outbox_events", help, waiting.clone());
            let help = "Audit events handed to the spool";
            registry.register("outbox_handed", help, handed.clone());
        });
        Arc::new(Self { calls, waiting, handed })
    }

    /// Counts a call that was answered. Kind and verb are the catalogue's names.
    pub fn answered(&self, kind: &'static str, verb: &'static str, status: StatusCode) {
        let labels = CallLabels { kind, verb, status: status.as_u16() };
        self.calls.get_or_create(&labels).inc();
    }

    /// Notes how many events wait.
    pub fn waiting(&self, events: u64) {
        self.waiting.set(i64::try_from(events).unwrap_or(i64::MAX));
    }

    /// Counts events that reached the spool.
    pub fn handed(&self, events: u64) {
        self.handed.inc_by(events);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_outbox_have_their_lines() {
        let telemetry = Telemetry::new();
        let facts = Facts::register(&telemetry);
        facts.answered("webhook", "create", StatusCode::CREATED);
        facts.waiting(3);
        facts.handed(2);
        let text = telemetry.print();
        for line in [
            "hookgate_api_requests_total{kind=\"webhook\",verb=\"create\",status=\"201\"} 1",
            "hookgate_outbox_events 3",
            "hookgate_outbox_handed_total 2",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
