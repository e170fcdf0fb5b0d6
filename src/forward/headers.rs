//! Headers that a destination's requests carry besides our own: how many, what their names and texts may be. In: what a
//! record has under `headers`. Out: the map that each request gets; or what is wrong, in words.

use http::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::catalogue::Values;
use crate::request::HOPS;

/// Most headers of one destination.
pub(super) const HEADERS_MAX: usize = 20;
/// Headers that are ours to set: what they say would not be so.
pub(super) const OWN_HEADERS: [HeaderName; 9] = [
    ACCEPT,
    AUTHORIZATION,
    CONNECTION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    HOST,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// The headers of each request, from the names and texts of a record.
///
/// # Errors
/// What is wrong with them.
pub(super) fn read_headers(given: &Value) -> Result<HeaderMap, String> {
    let empty = Values::new();
    let given = match given {
        Value::Null => &empty,
        Value::Object(given) => given,
        _ => return Err("is no object of names and texts".to_owned()),
    };
    if given.len() > HEADERS_MAX {
        return Err(format!("has more than {HEADERS_MAX} headers"));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let read = HeaderName::from_bytes(name.as_bytes()).ok();
        let read = read.zip(value.as_str().and_then(|text| HeaderValue::from_str(text).ok()));
        let (header, value) = read.ok_or_else(|| format!("{name:?} is no header with a text"))?;
        if value.as_bytes().trim_ascii().is_empty() {
            return Err(format!("{name:?} has no text, or blanks alone"));
        }
        if OWN_HEADERS.contains(&header) {
            return Err(format!("{name:?} is the gateway's own; a secret goes into bearer"));
        }
        headers.insert(header, value);
    }
    Ok(headers)
}

/// Refuses headers whose text would be replaced by that of the gateway. A record that has such is used all the same.
pub(super) fn check_new_headers(given: &Value) -> Result<(), String> {
    let names = given.as_object().into_iter().flat_map(Values::keys);
    let is_replaced = |name: &&String| {
        let name = name.to_ascii_lowercase();
        name == HOPS.as_str() || ["webhook-", "ce-"].iter().any(|own| name.starts_with(own))
    };
    let replaced = names.into_iter().find(is_replaced);
    replaced.map_or(Ok(()), |name| Err(format!("{name:?} is the gateway's own")))
}
