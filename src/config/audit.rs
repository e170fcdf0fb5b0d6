//! Settings of audit events in the store. In: days. Decides nothing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long audit events can be proven.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// Days that the store keeps audit events and their chain; 0, the default, keeps them for ever. The last event of
    /// each account stays.
    pub retention_days: u32,
}
