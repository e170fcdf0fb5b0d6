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

/// Whether a name reads as one of the gateway's own, or as what all of those begin with and nothing more: after
/// compatibility normalisation and case folding, and without what no eye sees or blanks around it.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    if name.is_ascii() {
        return begins_reserved(name.chars().map(|c| c.to_ascii_lowercase()));
    }
    begins_reserved(
        name.chars()
            .filter(|c| !is_invisible(*c))
            .nfkc()
            .filter(|c| !is_invisible(*c))
            .flat_map(char::to_lowercase),
    )
}

/// Whether folded text begins as the reserved names do, or ends where only their dot is left to come.
fn begins_reserved(folded: impl Iterator<Item = char>) -> bool {
    let mut rest = folded.skip_while(|c| is_blank(*c));
    RESERVED_PREFIX.chars().all(|own| match rest.next() {
        Some(c) if own == '.' => c == own || (is_blank(c) && rest.all(is_blank)),
        Some(c) => c == own,
        None => own == '.',
    })
}

/// What may stand around a name without being of it.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || c.is_control()
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
            " prefect-cloud.y",
            "\t\r\n\u{1}Prefect-Cloud.y",
            "\u{A0}\u{3000}prefect-cloud.é",
            "prefect-cloud",
            " prefect-cloud\n",
            "\u{2003}prefect-cloud\u{A0}",
        ] {
            assert!(is_reserved(name), "{name}");
        }
        for name in [
            "prefect",
            "prefect-cloud is here.",
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
