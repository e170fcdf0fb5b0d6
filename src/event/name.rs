//! Event names a template may use. In: a value of a rendered text. Out: nothing, or the rule it breaks. The names of
//! the gateway's own events stay its own, in whatever letters they are written, and so does what it says of who is
//! behind an event.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization as _;

use crate::json::Value;

use super::draft::{DraftError, noun};
use super::{NAME_MAX_CHARS, OWN_PREFIX, RESERVED_PREFIX};

/// Roles that the gateway gives its own records beside an event: by whom it came, and who did what it tells.
const OWN_ROLES: [&str; 2] = ["webhook", "actor"];

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
    match reserved_prefix(&without_nul(name, has_nul)) {
        Some(prefix) => {
            let what = format!("names that begin with '{prefix}' are the gateway's own");
            Err(DraftError::invalid("/event", what))
        }
        None => Ok(()),
    }
}

/// Whether a related resource of that role and id says that one of the gateway's own records stands behind the event:
/// only the gateway says so.
pub(super) fn is_forged(role: &str, id: &str, has_nul: bool) -> bool {
    let role = without_nul(role, has_nul);
    OWN_ROLES.iter().any(|own| folded(&role).eq(own.chars()))
        && is_reserved(&without_nul(id, has_nul))
}

/// U+0000 is replaced before a text is written, so what it hides is looked at without it.
fn without_nul(text: &str, has_nul: bool) -> Cow<'_, str> {
    if has_nul { text.replace('\0', "").into() } else { text.into() }
}

/// Whether a name reads as one of the gateway's own, or as what all of those begin with and nothing more: after
/// compatibility normalisation and case folding, and without what no eye sees or blanks around it.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    reserved_prefix(name).is_some()
}

/// How the gateway's own names begin that this one reads as one of.
#[must_use]
pub fn reserved_prefix(name: &str) -> Option<&'static str> {
    [RESERVED_PREFIX, OWN_PREFIX].into_iter().find(|prefix| {
        if name.is_ascii() {
            begins(name.chars().map(|c| c.to_ascii_lowercase()), prefix)
        } else {
            begins(folded(name), prefix)
        }
    })
}

/// A text as it reads: normalised, in small letters, without what no eye sees.
fn folded(text: &str) -> impl Iterator<Item = char> {
    text.chars()
        .filter(|c| !is_invisible(*c))
        .nfkc()
        .filter(|c| !is_invisible(*c))
        .flat_map(char::to_lowercase)
}

/// Whether folded text begins as reserved names do, or ends where only their dot is left to come.
fn begins(folded: impl Iterator<Item = char>, prefix: &str) -> bool {
    let mut rest = folded.skip_while(|c| is_blank(*c));
    prefix.chars().all(|own| match rest.next() {
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
            "hookgate.",
            "hookgate.destination.recovered",
            "HookGate.request.replayed",
            "ｈｏｏｋｇａｔｅ．x",
            "hook\u{AD}gate.x",
            "\u{200B}h\u{2060}ookgate.x",
            "𝐡𝐨𝐨𝐤𝐠𝐚𝐭𝐞.x",
            "hookgate․x",
            "ⓗookgate.é",
            "\t\r\n\u{1}Hookgate.y",
            "\u{A0}\u{3000}hookgate.é",
            "hookgate",
            " hookgate\n",
        ] {
            assert!(is_reserved(name), "{name}");
        }
        for name in [
            "prefect",
            "prefect-cloud is here.",
            "prefect.flow-run.Completed",
            "my.prefect-cloud.x",
            "prefect-clouds.x",
            "my.hookgate.x",
            "hookgates.x",
            "hookgate-demo.x",
            "日本語のイベント名前前前前前前前前",
            "é",
            "",
        ] {
            assert!(!is_reserved(name), "{name}");
        }
        assert_eq!(reserved_prefix(" Hookgate.x"), Some(OWN_PREFIX));
        assert_eq!(reserved_prefix("PREFECT-cloud.x"), Some(RESERVED_PREFIX));
    }

    #[test]
    fn only_the_gateway_says_which_of_its_records_stand_behind_an_event() {
        for (role, id) in [
            ("webhook", "prefect-cloud.webhook.1"),
            ("actor", "prefect-cloud.user.1"),
            ("actor", "hookgate.destination.1"),
            ("Actor", "Prefect-Cloud.user.1"),
            ("ｗｅｂｈｏｏｋ", "prefect\u{AD}-cloud.webhook.1"),
            ("act\u{200B}or", "prefect-cloud"),
            ("web\0hook", "prefect-\0cloud.webhook.1"),
        ] {
            assert!(is_forged(role, id, true), "{role} {id}");
        }
        for (role, id) in [
            ("webhook", "github.webhook.1"),
            ("actor", "shop.user.1"),
            ("account", "prefect-cloud.account.1"),
            ("actors", "prefect-cloud.user.1"),
            ("", "prefect-cloud.user.1"),
        ] {
            assert!(!is_forged(role, id, true), "{role} {id}");
        }
    }
}
