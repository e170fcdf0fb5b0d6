//! How signed values are written into a request. In: a body, form or query, and a value. Out: the same with it. Decides
//! nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

use super::material::to_hex;
use super::request::read_fields;
use super::scheme::{Encoding, Unit};

/// Puts a text at a pointer, `*` for each item; makes the objects on the way.
pub(super) fn set(value: &mut serde_json::Value, steps: &[&str], text: &str) -> Option<()> {
    let Some((step, rest)) = steps.split_first() else {
        *value = text.into();
        return Some(());
    };
    if *step == "*" {
        let items = value.as_array_mut().filter(|items| !items.is_empty())?;
        return items.iter_mut().try_for_each(|item| set(item, rest, text));
    }
    let members = value.as_object_mut()?;
    set(members.entry(*step).or_insert_with(|| serde_json::json!({})), rest, text)
}

/// Puts a field into a form or query, in place of those of its name.
pub(super) fn put_field(form: &mut Vec<u8>, name: &str, value: &str) {
    let is_other = |pair: &&[u8]| {
        let named = read_fields(pair).and_then(|fields| fields.into_iter().next());
        named.is_some_and(|field| field.0 != name.as_bytes())
    };
    let mut pairs: Vec<Vec<u8>> =
        form.split(|byte| *byte == b'&').filter(is_other).map(<[u8]>::to_vec).collect();
    pairs.push(format!("{name}={}", escape(value.as_bytes())).into_bytes());
    *form = pairs.join(&b'&');
}

pub(super) fn escape(bytes: &[u8]) -> String {
    percent_encode(bytes, NON_ALPHANUMERIC).to_string()
}

/// A signature as it is written; `None` when it is no text and should be.
pub(super) fn written(encoding: Encoding, bytes: &[u8]) -> Option<String> {
    Some(match encoding {
        Encoding::Hex | Encoding::HexOrBase64 => to_hex(bytes),
        Encoding::Base64 => STANDARD.encode(bytes),
        Encoding::Text => String::from_utf8(bytes.to_vec()).ok()?,
    })
}

pub(super) fn time(unit: Unit, now: i64) -> String {
    match unit {
        Unit::Seconds | Unit::Any => now.to_string(),
        Unit::Milliseconds => now.saturating_mul(1000).to_string(),
        Unit::Rfc3339 => jiff::Timestamp::from_second(now).unwrap_or_default().to_string(),
    }
}
