//! Settings of the index of events. In: days and bytes. Out: the feed's options. Decides nothing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::feed;

/// How long events can be asked for.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Feed {
    /// Days that events can be asked for.
    pub retention_days: u32,
    /// The same for audit events; how long the store keeps them is said by `audit`.
    pub audit_retention_days: u32,
    /// Most bytes of the index; past it the oldest events go first, audit events excepted.
    pub max_bytes: u64,
}

impl Default for Feed {
    fn default() -> Self {
        let options = feed::Options::default();
        Self {
            retention_days: options.days,
            audit_retention_days: options.audit_days,
            max_bytes: options.bytes_max,
        }
    }
}

impl Feed {
    /// As the feed takes them.
    #[must_use]
    pub fn options(&self) -> feed::Options {
        feed::Options {
            days: self.retention_days,
            audit_days: self.audit_retention_days,
            bytes_max: self.max_bytes,
        }
    }
}
