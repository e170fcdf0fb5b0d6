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

/// For whose sake something is asked of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The webhook whose request names it.
    pub webhook: Uuid,
    /// That one's account.
    pub account: Uuid,
    /// Who sent the request.
    pub peer: IpAddr,
}

/// How much each may have asked.
#[derive(Clone, Copy, Debug)]
pub struct Shares {
    /// Each peer, at one webhook.
    pub peer: Rate,
    /// Each webhook, whoever sends.
    pub webhook: Rate,
    /// Each account, of one host.
    pub account: Rate,
    /// Each host, whoever asks.
    pub host: Rate,
}

/// What is asked of others. Whoever invents names of keys takes only their own share of a webhook's, a webhook only
/// its share of its account's, and an account only its share of what a host is asked.
#[derive(Debug)]
pub struct Errands {
    peers: Keyed<(Uuid, IpAddr)>,
    webhooks: Keyed<Uuid>,
    accounts: Keyed<(Uuid, String)>,
    hosts: Keyed<String>,
}

impl Errands {
    /// Whole budgets.
    #[must_use]
    pub fn new(shares: Shares) -> Self {
        let clock = DefaultClock::default;
        Self {
            peers: Keyed::new(shares.peer, clock()),
            webhooks: Keyed::new(shares.webhook, clock()),
            accounts: Keyed::new(shares.account, clock()),
            hosts: Keyed::new(shares.host, clock()),
        }
    }

    /// Charges one errand; what is done for nobody's sake is charged to the host alone. Who is over a share of their
    /// own takes nothing of a wider one.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub fn charge(&self, asker: Option<Asker>, host: &str) -> Result<(), Exceeded> {
        let host = host.to_lowercase();
        if let Some(Asker { webhook, account, peer }) = asker {
            self.peers.charge((webhook, network(peer)))?;
            self.webhooks.charge(webhook)?;
            self.accounts.charge((account, host.clone()))?;
        }
        self.hosts.charge(host)
    }
}
