//! How much of what costs more than a request: tries at passwords, and what is asked of others. In: who asks, and of
//! whom. Out: pass, or in how many seconds to ask again. Never off.

use std::net::IpAddr;

use governor::clock::DefaultClock;

use super::{Exceeded, Keyed, Rate, network};
use crate::id::Uuid;

/// Tries at passwords: of one peer, and at one name.
#[derive(Debug)]
pub struct Attempts {
    peers: Keyed<IpAddr>,
    names: Keyed<String>,
}

impl Attempts {
    /// Whole budgets of that rate, for each peer and for each name.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        let clock = DefaultClock::default;
        Self { peers: Keyed::new(rate, clock()), names: Keyed::new(rate, clock()) }
    }

    /// Charges one try.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub fn charge(&self, peer: IpAddr, name: &str) -> Result<(), Exceeded> {
        self.peers.charge(network(peer))?;
        self.names.charge(name.to_lowercase())
    }
}

/// What is asked of others: for one webhook, and of one host.
#[derive(Debug)]
pub struct Errands {
    askers: Keyed<Uuid>,
    hosts: Keyed<String>,
}

impl Errands {
    /// Whole budgets, for each webhook and for each host.
    #[must_use]
    pub fn new(asker: Rate, host: Rate) -> Self {
        let clock = DefaultClock::default;
        Self { askers: Keyed::new(asker, clock()), hosts: Keyed::new(host, clock()) }
    }

    /// Charges one errand; what is done for nobody's sake is charged to the host alone.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub fn charge(&self, asker: Option<Uuid>, host: &str) -> Result<(), Exceeded> {
        asker.map_or(Ok(()), |asker| self.askers.charge(asker))?;
        self.hosts.charge(host.to_lowercase())
    }
}
