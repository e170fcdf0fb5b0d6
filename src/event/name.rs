//! Event names a template may use. In: a value of a rendered text. Out: nothing, or the rule it breaks. The names of
//! the gateway's own events stay its own, in whatever letters they are written.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization as _;

use crate::json::Value;

use super::draft::{DraftError, noun};
use super::{NAME_MAX_CHARS, RESERVED_PREFIX};

/// Checks an event's name.
///
/// # Errors
/// The first rule broken.
pub(super) fn check(value: Value<'_>, has_nul: bool) -> Result<(), DraftError> {
    let name = check_length(value)?;
    if name.is_empty() {
        return Err(DraftError::invalid("/event", "event is empty"));
    }
    check_owner(&name, has_nul)
}

/// The name, when it is text and not too long.
///
/// # Errors
/// The rule broken.
pub(super) fn check_length(value: Value<'_>) -> Result<Cow<'_, str>, DraftError> {
    let fault = |what: String| DraftError::invalid("/event", what);
    let name = value
        .text()
        .ok_or_else(|| fault(format!("event must be a string, not {}", noun(value.kind()))))?;
    let chars = if name.len() <= NAME_MAX_CHARS { name.len() } else { name.chars().count() };
    if chars > NAME_MAX_CHARS {
        return Err(fault(format!("event has {chars} characters, at most {NAME_MAX_CHARS}")));
    }
    Ok(name)
}

/// Whether a name is free to use.
///
/// # Errors
/// When it is one of the gateway's own.
pub(super) fn check_owner(name: &str, has_nul: bool) -> Result<(), DraftError> {
    // U+0000 is replaced before the name is written, so what it hides is looked at without it.
    let reserved = if has_nul { is_reserved(&name.replace('\0', "")) } else { is_reserved(name) };
    if reserved {
        let what = format!("names that begin with '{RESERVED_PREFIX}' are the gateway's own");
        return Err(DraftError::invalid("/event", what));
    }
    Ok(())
}

/// Whether a name reads as one of the gateway's own: after compatibility normalisation and case folding, and without
/// what no eye sees.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    let length = RESERVED_PREFIX.len();
    if name.is_ascii() {
        let head = name.as_bytes().get(..length);
        return head.is_some_and(|head| head.eq_ignore_ascii_case(RESERVED_PREFIX.as_bytes()));
    }
    let folded = name
        .chars()
        .filter(|c| !is_invisible(*c))
        .nfkc()
        .filter(|c| !is_invisible(*c))
        .flat_map(char::to_lowercase);
    folded.take(length).eq(RESERVED_PREFIX.chars())
}

/// Code points that text shows nothing for (Unicode's `Default_Ignorable_Code_Point`).
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}'
        | '\u{FFA0}' | '\u{FFF0}'..='\u{FFF8}' | '\u{1BCA0}'..='\u{1BCA3}'
        | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateways_own_names_in_any_disguise() {
        for name in [
            "prefect-cloud.",
            "prefect-cloud.webhook.received",
            "PREFECT-Cloud.x",
            "ｐｒｅｆｅｃｔ－ｃｌｏｕｄ．x",
            "p\u{AD}refect-cloud.x",
            "\u{200B}prefect\u{2060}-cloud.x",
            "𝐩𝐫𝐞𝐟𝐞𝐜𝐭-𝐜𝐥𝐨𝐮𝐝.x",
            "prefect-cloud․x",
            "ⓟrefect-ⓒloud.é",
        ] {
            assert!(is_reserved(name), "{name}");
        }
        for name in [
            "prefect-cloud",
            "prefect.flow-run.Completed",
            "my.prefect-cloud.x",
            "prefect-clouds.x",
            "日本語のイベント名前前前前前前前前",
            "é",
            "",
        ] {
            assert!(!is_reserved(name), "{name}");
        }
    }
}
