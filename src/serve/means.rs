//! What a gateway needs of settings and of the files that they name, before it opens anything of its own: providers,
//! keys, destinations, and TLS. In: settings. Out: the same, ready to be used; or the first thing that keeps a gateway
//! from starting. Connects to nothing, listens nowhere, and writes nothing, so it may be asked beside one that runs.

use std::sync::Arc;

use super::{DRAIN_KEPT, ServeError};
use crate::accept::Sockets;
use crate::clock::Clock;
use crate::config::{Config, Forward};
use crate::forward::{Destination, Forwarder};
use crate::seal::Keys;
use crate::store::StoreError;
use crate::telemetry::{Telemetry, accept};
use crate::verify::signature::Registry;

/// What settings and their files give.
pub(super) struct Means {
    pub(super) providers: Registry,
    pub(super) keys: Option<Keys>,
    /// Those of the operator that are not turned off.
    pub(super) destinations: Vec<Destination>,
    /// With the certificate; nothing is bound.
    pub(super) sockets: Sockets,
}

impl Means {
    /// What these settings give.
    ///
    /// # Errors
    /// The file or the setting that no gateway starts with.
    pub(super) fn of(
        config: &Config,
        clock: &Arc<Clock>,
        telemetry: &Telemetry,
    ) -> Result<Self, ServeError> {
        let providers = config.providers()?;
        let file = config.store.keys();
        let keys = file.map(|path| Keys::open(&path).map_err(StoreError::Sealed)).transpose()?;
        config.sealed_spool(keys.as_ref())?;
        let destinations = destinations(&config.forward)?;
        let mut options = config.sockets();
        options.drain = options.drain.saturating_sub(DRAIN_KEPT).max(options.drain / 2);
        let facts = accept::Facts::register(telemetry);
        let sockets = Sockets::new(Arc::new(options), Arc::clone(clock), facts)?;
        Ok(Self { providers, keys, destinations, sockets })
    }
}

/// The destinations of the settings; those that are turned off are read, too, and left out.
fn destinations(said: &[Forward]) -> Result<Vec<Destination>, ServeError> {
    let mut destinations = Vec::with_capacity(said.len());
    for forward in said {
        let destination = forward.destination()?;
        if forward.is_enabled() {
            destinations.push(destination);
        }
    }
    Forwarder::check_names(&destinations)?;
    Ok(destinations)
}

/// Whether a gateway starts with these settings, as far as they and the files that they name tell.
///
/// # Errors
/// [`ServeError`]: what it would not start with.
pub fn check(config: &Config) -> Result<(), ServeError> {
    let clock = Arc::new(Clock::System);
    let means = Means::of(config, &clock, &Telemetry::new())?;
    means.destinations.iter().try_for_each(|one| one.check_files(&clock))?;
    Ok(Forwarder::check_begins(&means.destinations, &config.server.data)?)
}
