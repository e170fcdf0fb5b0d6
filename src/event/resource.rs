//! Resources as templates write them: an object of labels. In: values of a rendered text. Out: their JSON, appended,
//! or the rule broken with its pointer. Never a label that is not a string; never two labels of one name.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::json::{Kind, Value, write_str};

use super::draft::{DraftError, noun, quote, step};
use super::name;
use super::payload::{replace_nul, write_value};
use super::{LABELS_MAX, RELATED_MAX, RESOURCE_ID_MAX_BYTES};

const ID: &str = "prefect.resource.id";
const ROLE: &str = "prefect.resource.role";

/// Appends a resource's labels as a JSON object.
///
/// # Errors
/// The first rule broken; `at` is the resource's own pointer.
pub(super) fn write(
    out: &mut Vec<u8>,
    resource: Value<'_>,
    at: &str,
    has_nul: bool,
) -> Result<(), DraftError> {
    let what = &at[1..];
    if resource.kind() != Kind::Object {
        let what = format!("{what} must be an object of labels, not {}", noun(resource.kind()));
        return Err(DraftError::invalid(at, what));
    }
    let mut names: Vec<(Cow<'_, str>, Value<'_>)> = Vec::with_capacity(resource.len().min(64));
    // Names that differ by U+0000 alone become the same when it is replaced.
    names.extend(resource.members().map(|(name, value)| (plain(name), value)));
    // Of a doubled name the last counts, as Python has it.
    let doubled = has_doubles(&names);
    if doubled {
        keep_last(&mut names);
    }
    if names.len() > LABELS_MAX {
        let what = format!("{what} has {} labels, at most {LABELS_MAX}", names.len());
        return Err(DraftError::invalid(at, what));
    }
    check_strings(&names, at)?;
    check_id(&names, at)?;
    if !doubled {
        write_value(out, resource, has_nul);
        return Ok(());
    }
    out.push(b'{');
    for (place, (name, value)) in names.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write_str(out, name);
        out.push(b':');
        write_value(out, *value, has_nul);
    }
    out.push(b'}');
    Ok(())
}

/// A label's name as the event will have it.
fn plain(name: Cow<'_, str>) -> Cow<'_, str> {
    if name.contains('\0') { replace_nul(&name).into_owned().into() } else { name }
}

/// Appends the related resources that are given, and the webhook behind them when there is one. One that claims to be a
/// record of the gateway's own, as the webhook or the actor of the event, is left out unless that `allows_own`.
///
/// # Errors
/// The first rule broken.
pub(super) fn write_related(
    out: &mut Vec<u8>,
    related: Option<Value<'_>>,
    (webhook, allows_own): (&str, bool),
    has_nul: bool,
) -> Result<(), DraftError> {
    if let Some(related) = related {
        if related.kind() != Kind::Array {
            let what = format!("related must be an array, not {}", noun(related.kind()));
            return Err(DraftError::invalid("/related", what));
        }
        let (most, added) = match webhook {
            "" => (RELATED_MAX, ""),
            _ => (RELATED_MAX - 1, ": the webhook itself is added"),
        };
        if related.len() > most {
            let what = format!("related has {} entries, at most {most}{added}", related.len());
            return Err(DraftError::invalid("/related", what));
        }
        for (place, entry) in related.items().enumerate() {
            let (at, before) = (format!("/related/{place}"), out.len());
            write(out, entry, &at, has_nul)?;
            let text = |name| entry.get(name).and_then(Value::text).unwrap_or_default();
            let role = text(ROLE);
            if role.is_empty() {
                let what = format!("{} must contain '{ROLE}'", &at[1..]);
                return Err(DraftError::invalid(at, what));
            }
            if !allows_own && name::is_forged(&role, &text(ID), has_nul) {
                out.truncate(before);
            } else {
                out.push(b',');
            }
        }
    }
    out.extend_from_slice(webhook.as_bytes());
    if webhook.is_empty() && out.last() == Some(&b',') {
        out.pop();
    }
    Ok(())
}

/// Whether a name stands there twice: by comparison while there are few, by a set beyond.
fn has_doubles(names: &[(Cow<'_, str>, Value<'_>)]) -> bool {
    if names.len() <= 16 {
        return names
            .iter()
            .enumerate()
            .any(|(place, (name, _))| names[..place].iter().any(|(earlier, _)| earlier == name));
    }
    let mut seen = HashSet::with_capacity(names.len());
    names.iter().any(|(name, _)| !seen.insert(name.as_ref()))
}

fn keep_last(names: &mut Vec<(Cow<'_, str>, Value<'_>)>) {
    let mut seen = HashSet::with_capacity(names.len());
    names.reverse();
    names.retain(|(name, _)| seen.insert(name.clone()));
    names.reverse();
}

fn check_strings(names: &[(Cow<'_, str>, Value<'_>)], at: &str) -> Result<(), DraftError> {
    for (name, value) in names {
        if !matches!(value.kind(), Kind::Plain | Kind::Escaped) {
            let mut pointer = at.to_owned();
            step(&mut pointer, name);
            let what =
                format!("label '{}' must be a string, not {}", quote(name), noun(value.kind()));
            return Err(DraftError::invalid(pointer, what));
        }
    }
    Ok(())
}

fn check_id(names: &[(Cow<'_, str>, Value<'_>)], at: &str) -> Result<(), DraftError> {
    let id = names.iter().find(|(name, _)| name == ID).and_then(|(_, value)| value.text());
    let Some(id) = id.filter(|id| !id.is_empty()) else {
        let what = format!("{} must contain '{ID}'", &at[1..]);
        return Err(DraftError::invalid(at, what));
    };
    let bytes = replace_nul(&id).len();
    if bytes > RESOURCE_ID_MAX_BYTES {
        let what = format!("'{ID}' has {bytes} bytes, at most {RESOURCE_ID_MAX_BYTES}");
        let mut pointer = at.to_owned();
        step(&mut pointer, ID);
        return Err(DraftError::invalid(pointer, what));
    }
    Ok(())
}
