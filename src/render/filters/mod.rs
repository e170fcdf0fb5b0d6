//! What follows `|`. In: a value and arguments. Out: a value. One table per file; a filter is one row and one function.

mod event;
mod json;
mod seq;
mod text;

use super::engine::Filter;

/// Filters by name.
pub(super) type Table = &'static [(&'static str, Filter)];

/// All tables.
pub(super) const TABLES: &[Table] = &[event::TABLE, json::TABLE, seq::TABLE, text::TABLE];
