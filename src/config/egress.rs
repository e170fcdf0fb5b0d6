//! Where destinations of workspaces may connect to. In: networks as text. Out: networks.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where destinations that are made over the API may connect to, beside public addresses. Those of flags and this file
/// connect anywhere.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Egress {
    /// Networks, such as `10.0.0.0/8`, or single addresses.
    pub allow: Vec<String>,
}

impl Egress {
    /// The networks; those that do not parse were refused when the settings were loaded.
    #[must_use]
    pub fn networks(&self) -> Arc<[IpNet]> {
        networks(&self.allow).collect()
    }
}

/// Those that are networks; an address is the network of it alone.
pub(super) fn networks(texts: &[String]) -> impl Iterator<Item = IpNet> {
    texts.iter().filter_map(|text| read_network(text))
}

pub(super) fn read_network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}
