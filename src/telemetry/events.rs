//! Facts of events that clients publish. In: counts, by transport and outcome. Out: families of the registry, their
//! children resolved once. Never an event's name, an account or a key.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::Telemetry;

/// How events come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A request with an array of them.
    Http,
}

/// What becomes of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// On stable storage.
    Kept,
    /// Known by their ids already.
    Known,
    /// No events, or refused with one that is none.
    Invalid,
    /// Over the account's budget.
    Limited,
}

const TRANSPORTS: [&str; 1] = ["http"];
const OUTCOMES: [&str; 4] = ["kept", "known", "invalid", "limited"];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PublishLabels {
    transport: &'static str,
    outcome: &'static str,
}

/// The families of this room.
#[derive(Debug)]
pub struct Facts {
    published: [[Counter; OUTCOMES.len()]; TRANSPORTS.len()],
}

impl Facts {
    /// Adds the families to the registry.
    #[must_use]
    pub fn register(telemetry: &Telemetry) -> Arc<Self> {
        let published = Family::<PublishLabels, Counter>::default();
        telemetry.register(|registry| {
            let help = "Events that clients published, by transport and what became of them";
            registry.register("events_published", help, published.clone());
        });
        let child = |transport| {
            OUTCOMES.map(|outcome| {
                published.get_or_create(&PublishLabels { transport, outcome }).clone()
            })
        };
        Arc::new(Self { published: TRANSPORTS.map(child) })
    }

    /// Counts events that came.
    pub fn published(&self, transport: Transport, outcome: Outcome, events: usize) {
        self.published[transport as usize][outcome as usize].inc_by(events as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_has_its_lines() {
        let telemetry = Telemetry::new();
        let facts = Facts::register(&telemetry);
        facts.published(Transport::Http, Outcome::Kept, 3);
        let text = telemetry.print();
        for line in [
            "hookgate_events_published_total{transport=\"http\",outcome=\"kept\"} 3",
            "hookgate_events_published_total{transport=\"http\",outcome=\"limited\"} 0",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
