//! Facts of events that clients publish and follow. In: counts, by transport and outcome. Out: families of the
//! registry, children resolved once. Never an event's name, an account or a key.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::Telemetry;

/// How events come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A request with an array of them.
    Http,
    /// A websocket, one in each message.
    Websocket,
}

/// What becomes of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// On stable storage.
    Kept,
    /// Known by their ids already.
    Known,
    /// Of these, those that say something else than the first of their id, which stays: counted once more.
    Differing,
    /// No events, or refused with one that is none.
    Invalid,
    /// Over the account's budget.
    Limited,
}

/// Which way events go over a websocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Somebody publishes.
    In,
    /// Somebody follows.
    Out,
}

const TRANSPORTS: [&str; 2] = ["http", "websocket"];
const OUTCOMES: [&str; 5] = ["kept", "known", "differing", "invalid", "limited"];
const WAYS: [&str; 2] = ["in", "out"];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PublishLabels {
    transport: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WayLabel {
    way: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CloseLabels {
    way: &'static str,
    code: u16,
}

/// The families of this room.
#[derive(Debug)]
pub struct Facts {
    published: [[Counter; OUTCOMES.len()]; TRANSPORTS.len()],
    sockets: [Gauge; WAYS.len()],
    closed: Family<CloseLabels, Counter>,
    sent: Counter,
    truncated: Counter,
}

/// A websocket that is open, as long as this lives.
#[derive(Debug)]
pub struct Open(Gauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Facts {
    /// Adds the families to the registry.
    #[must_use]
    pub fn register(telemetry: &Telemetry) -> Arc<Self> {
        let published = Family::<PublishLabels, Counter>::default();
        let sockets = Family::<WayLabel, Gauge>::default();
        let closed = Family::<CloseLabels, Counter>::default();
        let (sent, truncated) = (Counter::default(), Counter::default());
        telemetry.register(|registry| {
            let help = "Events that clients published, by transport and what became of them";
            registry.register("events_published", help, published.clone());
            let help = "Websockets of events now open, by the way events go";
            registry.register("event_sockets_open", help, sockets.clone());
            let help = "Websockets of events that were ended by the gateway, by close code";
            registry.register("event_sockets_closed", help, closed.clone());
            let help = "Events sent to those who follow them";
            registry.register("events_streamed", help, sent.clone());
            let help = "Of those, events whose payload was too large for one message";
            registry.register("events_truncated", help, truncated.clone());
        });
        let child = |transport| {
            OUTCOMES.map(|outcome| {
                published.get_or_create(&PublishLabels { transport, outcome }).clone()
            })
        };
        Arc::new(Self {
            published: TRANSPORTS.map(child),
            sockets: WAYS.map(|way| sockets.get_or_create(&WayLabel { way }).clone()),
            closed,
            sent,
            truncated,
        })
    }

    /// Counts events that came.
    pub fn published(&self, transport: Transport, outcome: Outcome, events: usize) {
        self.published[transport as usize][outcome as usize].inc_by(events as u64);
    }

    /// Counts a websocket until it is dropped.
    #[must_use]
    pub fn opened(&self, way: Way) -> Open {
        let gauge = self.sockets[way as usize].clone();
        gauge.inc();
        Open(gauge)
    }

    /// Counts a websocket that the gateway ended.
    pub fn closed(&self, way: Way, code: u16) {
        self.closed.get_or_create(&CloseLabels { way: WAYS[way as usize], code }).inc();
    }

    /// Counts an event that was sent to a follower.
    pub fn sent(&self, is_truncated: bool) {
        self.sent.inc();
        if is_truncated {
            self.truncated.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_and_went_has_its_lines() {
        let telemetry = Telemetry::new();
        let facts = Facts::register(&telemetry);
        facts.published(Transport::Http, Outcome::Kept, 3);
        let open = facts.opened(Way::Out);
        facts.closed(Way::Out, 1013);
        facts.sent(true);
        let text = telemetry.print();
        for line in [
            "hookgate_events_published_total{transport=\"http\",outcome=\"kept\"} 3",
            "hookgate_events_published_total{transport=\"websocket\",outcome=\"limited\"} 0",
            "hookgate_event_sockets_open{way=\"out\"} 1",
            "hookgate_event_sockets_closed_total{way=\"out\",code=\"1013\"} 1",
            "hookgate_events_streamed_total 1",
            "hookgate_events_truncated_total 1",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        drop(open);
        assert!(telemetry.print().contains("hookgate_event_sockets_open{way=\"out\"} 0"));
    }
}
