//! What the gateway says of itself: one registry of metrics, one file of facts per room, and the log's set-up.
//! In: facts. Out: counters, histograms, log lines. Never a slug, a secret or a sender's text as a label.

pub mod accept;
pub mod api;
pub mod clock;
pub mod damper;
pub mod events;
pub mod feed;
pub mod fetch;
pub mod forward;
pub mod hooks;
pub mod log;
pub mod notes;
pub mod process;
pub mod spool;

use std::sync::{Arc, Mutex};

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

/// The registry every room adds its families to, and `/metrics` prints.
#[derive(Clone, Debug, Default)]
pub struct Telemetry {
    registry: Arc<Mutex<Registry>>,
    notes: Arc<notes::Notes>,
}

impl Telemetry {
    /// An empty registry; names begin with `hookgate_`.
    #[must_use]
    pub fn new() -> Self {
        let registry = Arc::new(Mutex::new(Registry::with_prefix("hookgate")));
        Self { registry, notes: Arc::default() }
    }

    /// What lanes say of themselves in words.
    #[must_use]
    pub fn notes(&self) -> Arc<notes::Notes> {
        Arc::clone(&self.notes)
    }

    /// Lets a room register its families.
    ///
    /// # Panics
    /// When another room panicked while registering.
    pub fn register<T>(&self, with: impl FnOnce(&mut Registry) -> T) -> T {
        with(&mut self.registry.lock().expect("registering never panics"))
    }

    /// The text of `/metrics`.
    ///
    /// # Panics
    /// When a room panicked while registering.
    #[must_use]
    pub fn print(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().expect("registering never panics");
        encode(&mut text, &registry).expect("writing to a string succeeds");
        text
    }
}
