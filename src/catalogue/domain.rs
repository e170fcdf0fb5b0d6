//! Names of domains. In: texts as somebody wrote them. Out: a set in its one form, or nothing.

use std::collections::BTreeSet;

/// Longest name.
pub(super) const NAME_MAX_CHARS: u64 = 253;
/// Longest part of one.
const LABEL_MAX_CHARS: usize = 63;

/// Names in small letters, each once and in order; `None` when one of them is none.
pub(super) fn read<'t>(names: impl Iterator<Item = &'t str>) -> Option<BTreeSet<String>> {
    let names = names.map(|name| name.trim().trim_end_matches('.').to_ascii_lowercase());
    names.map(|name| is_name(&name).then_some(name)).collect()
}

/// Whether text is a name below a top-level one, in small letters.
fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = |label: &str| {
        (1..=LABEL_MAX_CHARS).contains(&label.len())
            && label.bytes().all(fits)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.contains('.') && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_one_form() {
        let read = |names: &[&str]| {
            read(names.iter().copied()).map(|names| names.into_iter().collect::<Vec<_>>().join(" "))
        };
        for (names, expected) in [
            (&["B.example", "a.example.", " b.EXAMPLE"][..], Some("a.example b.example")),
            (&["xn--bcher-kva.example", "9.example"], Some("9.example xn--bcher-kva.example")),
            (&[], Some("")),
            (&["a.example", "example"], None),
            (&["a..example"], None),
            (&["-a.example"], None),
            (&["a_b.example"], None),
            (&["bücher.example"], None),
            (&[""], None),
        ] {
            assert_eq!(read(names).as_deref(), expected, "{names:?}");
        }
        assert!(is_name(&format!("{}.a", "x".repeat(63))));
        assert!(!is_name(&format!("{}.a", "x".repeat(64))));
    }
}
