//! How the requests of a webhook are verified, as the data plane is told. In: what a record says. Out: the same with
//! its secrets. Judges nothing.

use std::collections::BTreeMap;

use crate::clock::Time;
use crate::id::Secret;

/// A secret of a webhook's sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// What it is told by.
    pub name: String,
    /// Itself.
    pub secret: Secret,
    /// From then on it counts no more.
    pub until: Option<Time>,
}

/// How a webhook's requests are verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// Who signs them.
    pub provider: String,
    /// What is known together with them, the newest first.
    pub secrets: Vec<Shared>,
    /// Settings of the provider.
    pub parameters: BTreeMap<String, String>,
    /// How many seconds the clocks may differ, instead of what the provider says.
    pub tolerance_seconds: Option<u32>,
    /// Whether what is not verified is refused.
    pub required: bool,
    /// Whether what was signed once is taken once.
    pub once: bool,
    /// Until then the first secret that a request brings is kept.
    pub enrol: Option<Time>,
}
