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

#[test]
fn work_on_numbers_names_and_references_is_counted() {
    let over = |source: &str, names: &str| {
        assert!(render(source, names).expect_err(source).is_budget(), "{source}");
    };
    let rounds = "{% for a in range(100) %}{% for b in range(100) %}";
    let end = "{% endfor %}{% endfor %}";
    over(&format!("{rounds}{{{{ 1e300|humanize_fractional }}}}{end}"), "{}");
    let references = format!("{{\"body\": {{\"s\": \"{}\"}}}}", "&amp".repeat(1 << 20));
    over("{{ body.s|striptags }}", &references);
    let keys: Vec<String> = (0..90_000).map(|key| format!("\"k{key}\": 1")).collect();
    let keys = format!("{{\"body\": {{{}}}}}", keys.join(","));
    over("{% for a in range(100) %}{{ dict(**body)|length }}{% endfor %}", &keys);
    let calls = "{% macro m() %}{{ kwargs|length }}{% endmacro %}";
    over(&format!("{calls}{{% for a in range(100) %}}{{{{ m(**body) }}}}{{% endfor %}}"), &keys);
    shows(
        "{{ 1.5|humanize_fractional }}{{ '&lt;&amp'|striptags }}{{ dict(**{'a': 1}) }}",
        "1 1/2<&{'a': 1}",
    );
}
