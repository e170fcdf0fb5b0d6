//! What several targets lean on: a second opinion on JSON, and a folder in memory. Never a target itself.

pub mod disk;
pub mod tree;
