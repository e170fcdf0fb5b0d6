//! What is visited, so that a provider knows that its events are wanted. In: an address that a question brings. Out:
//! the same, if it is one that the row allows; whoever receives the question goes there. Nothing is visited here.

use serde::Deserialize;

use super::certificate;
use super::fault::Fault;
use super::handshake::{Asked, ECHO_MAX_BYTES};
use super::source::Source;

/// An address of the request that is visited.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Visit {
    /// Where it stands.
    pub(super) url: Source,
    /// Hosts it may be at.
    hosts: Vec<String>,
    /// How its query begins.
    query: String,
}

impl Visit {
    /// The address: https, a host of the row, no path, and a query that begins as it should.
    pub(super) fn address(&self, asked: &Asked<'_>) -> Result<String, Fault> {
        let address = self.url.read_one(asked.request, asked.parameters)?;
        let address = String::from_utf8_lossy(&address).into_owned();
        let (bare, query) = address.split_once('?').unwrap_or((&address, ""));
        let path = certificate::path(bare, &self.hosts);
        let plain = |c: char| c.is_ascii_alphanumeric() || "=&:.-_~%".contains(c);
        let known = query.strip_prefix(self.query.as_str()).is_some_and(|rest| {
            rest.starts_with('&') && rest.chars().all(plain) && rest.len() <= ECHO_MAX_BYTES
        });
        if path == Some("/") && known {
            return Ok(address);
        }
        Err(Fault::CertificateAddress(self.hosts.join(", ")))
    }
}
