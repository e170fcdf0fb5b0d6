//! Trials of what templates pay for: whatever is large is refused before it is made, and what is small is made as by
//! Python.

use super::render::{render, shows};

/// What is refused is refused before its parts are there; what is small enough is made.
#[test]
fn parts_are_paid_for_before_they_are_made() {
    let body = |text: &str| format!("{{\"body\": {{\"s\": \"{text}\"}}}}");
    let over = |source: &str, names: &str| {
        assert!(render(source, names).expect_err(source).is_budget(), "{source}");
    };
    over("{{ body.s.split('x')|length }}", &body(&"x".repeat(4 << 20)));
    over("{{ body.s.rsplit('x')|length }}", &body(&"x".repeat(4 << 20)));
    over("{{ body.s.split()|length }}", &body(&"x ".repeat(2 << 20)));
    over("{{ body.s.splitlines()|length }}", &body(&"\\n".repeat(4 << 20)));
    over("{{ (body.s|wordwrap(1))[:1] }}", &body(&"a-b ".repeat(1 << 20)));
    over(
        "{{ body.s|replace('', 'yyyyyyyy')|replace('', 'yyyyyyyy') }}",
        &body(&"x".repeat(2 << 20)),
    );
    shows("{{ 'a\\r\\nb\\n\\nc'.splitlines(true)|length }}{{ ''.splitlines() }}", "4[]");
    shows("{{ 'äb'|replace('', '-') }}{{ 'aaa'|replace('a', 'bb', 2) }}", "-ä-b-bbbba");
    shows("{{ 'abc'|replace('x', 'y') }}{{ 'abcabc'|replace('bc', '') }}", "abcaa");
    shows("{{ 'a b\n\nc d'|wordwrap(1) }}", "a\nb\n\nc\nd");
}
