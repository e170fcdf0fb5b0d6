//! What the gateway asks of those who sign. In: settings. Out: how others are asked, or that nobody is.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Egress;
use crate::fetch;

/// Certificates and keys of providers that sign with them: asked of the hosts that the provider, or the webhook's
/// owner, names, over https, at public addresses and those of `egress.allow`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Fetch {
    /// Whether anything is asked. If not, certificates and keys are given as settings of webhooks.
    pub enabled: bool,
    /// PEM file of certificate authorities that are trusted beside the machine's.
    pub tls_ca: Option<PathBuf>,
}

impl Default for Fetch {
    fn default() -> Self {
        Self { enabled: true, tls_ca: None }
    }
}

impl Fetch {
    /// As the fetcher takes it.
    #[must_use]
    pub fn options(&self, egress: &Egress) -> fetch::Options {
        let authorities = self.tls_ca.clone();
        fetch::Options { allowed: egress.networks(), detour: egress.detour(), authorities }
    }
}
