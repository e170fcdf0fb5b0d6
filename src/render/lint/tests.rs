//! The rules held to their own examples, and to what must stay silent.

use std::fmt::Write as _;

use super::super::chars::is_space;
use super::super::code::{Entry, Part, all};
use super::*;

fn found(source: &str) -> Vec<Finding> {
    lint(source, Limits::default()).unwrap_or_else(|fault| panic!("{source}: {fault}"))
}

fn codes(source: &str) -> Vec<&'static str> {
    found(source).iter().map(|finding| finding.told.code.name()).collect()
}

fn mended(source: &str, edit: &Edit) -> String {
    format!("{}{}{}", &source[..edit.start], edit.text, &source[edit.end..])
}

#[test]
fn each_rule_finds_its_example_and_nothing_in_the_better_one() {
    for Entry { name, example, .. } in all() {
        let Some(example) = example else { continue };
        let (bad, good) = (example.part.within(example.bad), example.part.within(example.good));
        let seen = found(&bad);
        assert_eq!(codes(&bad), [*name], "{bad}: {seen:#?}");
        assert_eq!(codes(&good), [""; 0], "{good}: {:#?}", found(&good));
        if let Some(fix) = seen[0].fixes.first() {
            assert_eq!(mended(&bad, fix), good, "{name}");
        }
    }
}

/// A case of a file: `== Part`, a code, the source, and behind `-- mended` what its fix makes of it.
struct Case {
    code: String,
    source: String,
    mended: Option<String>,
}

fn cases(text: &str) -> Vec<Case> {
    let blocks = text.strip_prefix("== ").unwrap().split("\n== ");
    let case = |block: &str| {
        let (head, rest) = block.split_once('\n').unwrap();
        let (name, code) = head.split_once(' ').unwrap_or((head, ""));
        let part = match name {
            "Whole" => Part::Whole,
            "Event" => Part::Event,
            "Resource" => Part::Resource,
            "Related" => Part::Related,
            "Payload" => Part::Payload,
            other => panic!("no part {other}"),
        };
        let (source, mended) = match rest.split_once("-- mended\n") {
            Some((source, mended)) => (source, Some(part.within(mended.trim_end()))),
            None => (rest, None),
        };
        Case { code: code.to_owned(), source: part.within(source.trim_end()), mended }
    };
    blocks.map(case).collect()
}

/// Forms that are right, though they look like what the rules look for.
#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    for Case { source, .. } in cases(include_str!("../../../tests/data/lints/clean.txt")) {
        assert!(found(&source).is_empty(), "{source}: {:#?}", found(&source));
    }
}

/// Forms of what the examples show, and what is made of them.
#[test]
fn what_is_found_is_mended() {
    for case in cases(include_str!("../../../tests/data/lints/found.txt")) {
        let seen = found(&case.source);
        assert_eq!(codes(&case.source), [case.code], "{}: {seen:#?}", case.source);
        let fix = seen[0].fixes.first().map(|fix| mended(&case.source, fix));
        assert_eq!(fix, case.mended, "{}", case.source);
    }
}

/// White space is what Python takes for it, wherever it stands in a tag, and never hides what is written around it.
#[test]
fn what_is_found_is_mended_whatever_the_white_space() {
    let forms = [
        Part::Payload.within("\"a\": \"{{_body.x_|_tojson_}}\""),
        Part::Payload.within("\"a\": \"{{_(_body.x_|_tojson_)_}}\""),
        Part::Payload.within("\"a\": \"n {{_(_body.a_~_1_)_|_tojson_}} {{_body.b_}}\""),
        Part::Payload.within("\"a\": \"n {{_(_(_body.a_~_')_')_|_tojson_)_}}\""),
        Part::Payload.within("\"a\": \"{{_body_._t_}}\", \"b\": {{_body_._u_}}"),
        Part::Payload.within("\"a\": {{_body_._values_|_tojson_}}"),
        Part::Payload.within("{{_body.k_}}: 1"),
        Part::Resource.within("\"n\": {{_body.n_|_int_}}, \"m\": {{_body.m_|_int_|_tojson_}}"),
    ];
    for form in &forms {
        let plain = form.replace('_', " ");
        let expected = found(&plain);
        assert!(expected.iter().any(|finding| !finding.fixes.is_empty()), "{plain}");
        for blank in ('\0'..=char::MAX).filter(|c| is_space(*c)) {
            let source = form.replace('_', &blank.to_string());
            let seen = found(&source);
            assert_eq!(seen.len(), expected.len(), "{blank:?} in {plain}: {seen:#?}");
            for (seen, expected) in seen.iter().zip(&expected) {
                let (fixes, expected) = (seen.fixes.iter(), expected.fixes.iter());
                // The lines are counted, and so written, with one kind of end.
                let fixes = fixes.map(|fix| mended(&source, fix).replace([blank, '\n'], " "));
                let expected = expected.map(|fix| mended(&plain, fix).replace('\n', " "));
                let (fixes, expected) = (fixes.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
                assert_eq!(fixes, expected, "{blank:?} in {plain}");
                for fix in &fixes {
                    assert!(Template::compile(fix, Limits::default()).is_ok(), "{fix}");
                }
            }
        }
    }
}

/// Places count in the source as it was given, and long ways stay short.
#[test]
fn places_and_bounds() {
    let source = "{\r\n  \"event\": \"é.{{ body.a }}\",\r\n  \"resource\": {\"prefect.resource.id\": \"a\"}}";
    let seen = found(source);
    let place = seen[0].told.place.unwrap();
    assert_eq!((place.line, place.column), (2, 18));
    assert_eq!(&source[place.start..place.end], "body.a");
    assert!(mended(source, &seen[0].fixes[0]).contains("{{ (\"é.\" ~ body.a)|tojson }},\r\n"));
    let mut names = String::new();
    for n in 0..200 {
        let _ = write!(names, "{{% set a{n} = a{} ~ a{} %}}", n + 1, n + 1);
    }
    let many = format!("{names}{}", "\"{{ a0 }}\"".repeat(1000));
    let begun = std::time::Instant::now();
    let _ = lint(&many, Limits::default());
    let most = format!("[{}]", "\"{{ body.a }}\",".repeat(1500));
    assert!(found(&most).len() <= FINDINGS_MAX + 1);
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
}

/// Names of the extensions are no warning where the server has them.
#[test]
fn extensions_are_known_where_they_are_on() {
    let source = Part::Payload.within("\"page\": {{ query.page|tojson }}");
    assert_eq!(codes(&source), ["W602"]);
    let limits = Limits { extensions: true, ..Limits::default() };
    assert_eq!(lint(&source, limits), Ok(Vec::new()));
}
