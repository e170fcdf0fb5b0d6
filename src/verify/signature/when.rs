//! What tells a provider's ways of signing apart. In: a row, the headers of a request. Out: whether a list in them has
//! an item, and in words what a request lacks. Judges nothing.

use http::HeaderMap;
use serde::Deserialize;

use super::scheme::Name;
use super::source::trim;

/// What tells a provider's ways of signing apart.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, rename_all_fields = "kebab-case")]
pub enum When {
    /// A header is there, and is or contains that.
    Header {
        /// Its name.
        header: Name,
        /// The whole value.
        is: Option<String>,
        /// Part of it.
        contains: Option<String>,
    },
    /// A header holds a list, commas between, with such an item.
    Item {
        /// Its name.
        item_of: Name,
        /// What stands before the item's equals sign.
        item: String,
        /// What stands behind it, in any letter case; anything, when none is named.
        is: Option<String>,
        /// Whether it may be missing, or empty.
        #[serde(default)]
        or_missing: bool,
    },
    /// The query has such a field.
    Query {
        /// Its name.
        query: String,
    },
    /// The secret starts so.
    SecretPrefix {
        /// How.
        secret_prefix: String,
    },
    /// The setting is given.
    Parameter {
        /// Its name.
        parameter: String,
    },
}

impl When {
    /// Whether a header's list has the item.
    pub(super) fn has_item(&self, headers: &HeaderMap) -> bool {
        let Self::Item { item_of, item, is, or_missing } = self else { return false };
        let lists = headers.get_all(&item_of.0).iter();
        let items = lists.flat_map(|list| list.as_bytes().split(|byte| *byte == b','));
        let values = items.filter_map(|one| {
            let (name, value) = one.split_at(memchr::memchr(b'=', one)?);
            (trim(name) == item.as_bytes()).then(|| trim(&value[1..]))
        });
        let Some(is) = is else { return values.into_iter().next().is_some() };
        // The first that says something decides.
        let said = values.into_iter().find(|value| !value.is_empty());
        said.map_or(*or_missing, |said| said.eq_ignore_ascii_case(is.as_bytes()))
    }

    /// What would have made it hold, when a request could.
    pub(super) fn wanted(&self) -> Option<String> {
        match self {
            Self::Header { header, .. } => Some(format!("header {}", header.0)),
            Self::Item { item_of, item, is: Some(is), .. } => {
                Some(format!("{item}={is} in header {}", item_of.0))
            }
            Self::Item { item_of, item, .. } => Some(format!("{item} in header {}", item_of.0)),
            Self::Query { query } => Some(format!("query field {query}")),
            _ => None,
        }
    }
}
