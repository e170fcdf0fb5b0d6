//! Where the gateway may connect to, and how. In: networks, a proxy and names as text. Out: networks, and the way.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fetch::Detour;

/// Where destinations that are made over the API may connect to, beside public addresses; those of flags and this file
/// connect anywhere. And the proxy between the gateway and the internet, when there is one.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Egress {
    /// Networks, such as `10.0.0.0/8`, or single addresses.
    pub allow: Vec<String>,
    /// What speaks HTTP to the internet (destinations of HTTP, of Prefect and of S3, and `fetch`) goes through this
    /// proxy, such as `http://proxy.internal:3128`, by `CONNECT`. What may be reached through it is for the proxy to
    /// say.
    pub proxy: Option<String>,
    /// Who is reached without the proxy, beside this machine: names such as `prefect.internal`, each with all below it,
    /// and networks.
    pub direct: Vec<String>,
}

impl Egress {
    /// The networks; those that do not parse were refused when the settings were loaded.
    #[must_use]
    pub fn networks(&self) -> Arc<[IpNet]> {
        networks(&self.allow).collect()
    }

    /// The proxy; one that does not parse was refused when the settings were loaded.
    #[must_use]
    pub fn detour(&self) -> Option<Arc<Detour>> {
        let detour = Detour::read(self.proxy.as_deref()?, &self.direct);
        detour.ok().map(Arc::new)
    }
}

/// Those that are networks; an address is the network of it alone.
pub(super) fn networks(texts: &[String]) -> impl Iterator<Item = IpNet> {
    texts.iter().filter_map(|text| read_network(text))
}

pub(super) fn read_network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}
