//! What the gateway asks of those who sign. In: settings. Out: how others are asked, or that nobody is.

use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fetch;

/// Certificates and keys of providers that sign with them: asked of the hosts that the provider, or the webhook's
/// owner, names, over https, at public addresses and those of `egress.allow`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Fetch {
    /// Whether anything is asked. If not, certificates and keys are given as settings of webhooks.
    pub enabled: bool,
    /// A proxy that everything goes through, such as `http://proxy.internal:3128`. What may be reached through it is
    /// for the proxy to say.
    pub proxy: Option<String>,
    /// PEM file of certificate authorities that are trusted beside the machine's.
    pub tls_ca: Option<PathBuf>,
}

impl Default for Fetch {
    fn default() -> Self {
        Self { enabled: true, proxy: None, tls_ca: None }
    }
}

impl Fetch {
    /// As the fetcher takes it; a proxy that does not parse was refused when the settings were loaded.
    #[must_use]
    pub fn options(&self, allowed: Arc<[IpNet]>) -> fetch::Options {
        let proxy = self.proxy.as_deref().and_then(fetch::Proxy::parse);
        fetch::Options { allowed, proxy, authorities: self.tls_ca.clone() }
    }
}
