//! What follows `|`. In: a value and arguments. Out: a value. One table per file; a filter is one row and one
//! function.

mod ascii;
mod entities;
mod event;
mod html;
mod json;
mod number;
mod path;
mod select;
mod seq;
mod tape;
mod text;
mod urlize;

use super::engine::Filter;
use super::{humanize, pprint, pyformat, textwrap};

pub(super) use entities::unescape;
pub(super) use html::{escaped, tags_stripped};
pub(super) use json::shown as shown_as_json;
pub(super) use text::{demanded, soft};

/// Filters by name.
pub(super) type Table = &'static [(&'static str, Filter)];

/// All tables.
pub(super) const TABLES: &[Table] = &[
    event::TABLE,
    html::TABLE,
    humanize::TABLE,
    json::TABLE,
    number::TABLE,
    pprint::TABLE,
    pyformat::TABLE,
    select::TABLE,
    seq::TABLE,
    text::TABLE,
    textwrap::TABLE,
    urlize::TABLE,
];
