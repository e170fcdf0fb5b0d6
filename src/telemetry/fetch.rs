//! Facts of what is asked of others. In: outcomes. Out: families of the registry, their children resolved once. Never
//! an address: senders name some.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::Telemetry;

/// What became of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was brought.
    Fetched,
    /// It was not to be had.
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// The families of this room.
#[derive(Debug)]
pub struct Facts {
    fetches: [Counter; 2],
    visits: [Counter; 2],
}

impl Facts {
    /// Adds the families to the registry.
    #[must_use]
    pub fn register(telemetry: &Telemetry) -> Arc<Self> {
        let fetches: Family<OutcomeLabel, Counter> = Family::default();
        telemetry.register(|registry| {
            let help = "Certificates and keys asked of those who sign, by outcome";
            registry.register("fetches", help, fetches.clone());
        });
        let visits: Family<OutcomeLabel, Counter> = Family::default();
        telemetry.register(|registry| {
            let help = "Visits that confirm subscriptions, by outcome";
            registry.register("confirmations", help, visits.clone());
        });
        let of = |family: &Family<OutcomeLabel, Counter>, outcomes: [&'static str; 2]| {
            outcomes.map(|outcome| family.get_or_create(&OutcomeLabel { outcome }).clone())
        };
        Arc::new(Self {
            fetches: of(&fetches, ["fetched", "failed"]),
            visits: of(&visits, ["taken", "failed"]),
        })
    }

    /// Counts a fetch.
    pub fn fetched(&self, outcome: Outcome) {
        self.fetches[outcome as usize].inc();
    }

    /// Counts a visit.
    pub fn visited(&self, outcome: Outcome) {
        self.visits[outcome as usize].inc();
    }
}
