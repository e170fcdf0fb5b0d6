//! Templates spaced evenly are the same templates: each of the cases of `tests/data/jinja` renders as before, and so it
//! does where a lint's fix keeps what is written. The gallery is tidy and clean. In: templates and contexts. Out:
//! nothing, or the first that differs.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use hookgate::json::{self, Document};
use hookgate::render::{self, Limits, Template};
use serde_json::Value;

const JSON: json::Limits = json::Limits { depth_max: 190, nodes_max: 250_000 };
const STACK_BYTES: usize = 16 << 20;

fn limits() -> Limits {
    // Builds without optimisation are slower than the clock of a real rendering allows.
    Limits { time: Duration::from_secs(10), ..Limits::default() }
}

fn text(template: &str, context: &Value) -> Result<String, ()> {
    let names = Document::parse(Bytes::from(context.to_string()), JSON).map_err(drop)?;
    let template = Template::compile(template, limits()).map_err(drop)?;
    template.render_names(&Arc::new(names)).map_err(drop)
}

fn check_cases() -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/jinja");
    let mut changed = 0;
    for entry in fs::read_dir(folder).expect("cases") {
        for line in fs::read_to_string(entry.expect("a file").path()).expect("text").lines() {
            let case: Value = serde_json::from_str(line).expect("a case");
            let template = case["template"].as_str().expect("a template");
            let Ok(tidied) = render::tidy(template, &limits()) else {
                assert!(Template::compile(template, limits()).is_err(), "{template}");
                continue;
            };
            assert_eq!(render::tidy(&tidied, &limits()).as_ref(), Ok(&tidied), "{template}");
            if tidied != template {
                changed += 1;
                let (before, after) =
                    (text(template, &case["context"]), text(&tidied, &case["context"]));
                assert_eq!(before, after, "{template}\n{tidied}");
            }
        }
    }
    changed
}

#[test]
fn tidied_templates_render_as_before() {
    let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn(check_cases);
    let changed = thread.expect("a thread").join().expect("no panic");
    assert!(changed > 200, "only {changed} cases have anything to tidy");
}

/// What is thrown into templates.
const BITS: [&str; 24] = [
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "{{ body.x }}",
    "{% if a %}",
    "{% endif %}",
    "{% for x in body %}",
    "{% endfor %}",
    "é",
    "\\",
    "{# hookgate: allow J3 #}",
    "{#",
    "|tojson",
    "'",
    "\r\n",
    " -",
    "{%- raw %}",
    "{% endraw %}",
    "{% else %}",
    "\"event\": ",
];
const MUTATIONS: usize = 3_000;

fn boundary(text: &str, random: &mut fastrand::Rng) -> usize {
    text.floor_char_boundary(random.usize(0..=text.len()))
}

/// One template with bits thrown in, cut out, or of another put behind.
fn mutated(seeds: &[String], random: &mut fastrand::Rng) -> String {
    let mut text = seeds[random.usize(..seeds.len())].clone();
    for _ in 0..random.usize(0..6) {
        let at = boundary(&text, random);
        match random.u8(0..4) {
            0 => {
                let end = text.ceil_char_boundary((at + random.usize(0..6)).min(text.len()));
                text.replace_range(at..end, "");
            }
            1 => {
                let other = &seeds[random.usize(..seeds.len())];
                text.insert_str(at, &other[boundary(other, random)..]);
            }
            _ => text.insert_str(at, BITS[random.usize(..BITS.len())]),
        }
    }
    text
}

/// Whatever a template is: places are in it, fixes can be parsed, and tidying it reads the same.
fn check_mutations() -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seeds: Vec<String> = Vec::new();
    for line in
        fs::read_to_string(folder.join("tests/data/jinja/prefect.jsonl")).expect("cases").lines()
    {
        let case: Value = serde_json::from_str(line).expect("a case");
        seeds.push(case["template"].as_str().expect("a template").to_owned());
    }
    for entry in fs::read_dir(folder.join("templates")).expect("the gallery") {
        let source = fs::read_to_string(entry.expect("an entry").path().join("template.j2"));
        seeds.extend(source.into_iter().flat_map(|source| vec![source; 8]));
    }
    let mut random = fastrand::Rng::with_seed(7);
    let mut fixes = 0;
    for _ in 0..MUTATIONS {
        let text = mutated(&seeds, &mut random);
        for finding in render::lint(&text, limits()).unwrap_or_default() {
            let place = finding.told.place.expect("a place");
            assert!(text.get(place.start..place.end).is_some(), "{text}");
            for fix in finding.fixes {
                let after = format!("{}{}{}", &text[..fix.start], fix.text, &text[fix.end..]);
                assert!(Template::compile(&after, limits()).is_ok(), "{text}\n{after}");
                fixes += 1;
            }
        }
        let parses = Template::compile(&text, limits()).is_ok();
        assert!(!parses || render::tidy(&text, &limits()).is_ok(), "{text}");
    }
    fixes
}

#[test]
fn whatever_a_template_is() {
    let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn(check_mutations);
    let fixes = thread.expect("a thread").join().expect("no panic");
    assert!(fixes > 100, "only {fixes} fixes were tried");
}

/// The lints' fixes that promise the same JSON keep it, wherever there was any.
fn check_fixes() -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/jinja");
    let read = |text: &str| serde_json::from_str::<Value>(text).ok();
    let mut kept = 0;
    for name in ["cases.jsonl", "prefect.jsonl"] {
        for line in fs::read_to_string(folder.join(name)).expect("cases").lines() {
            let case: Value = serde_json::from_str(line).expect("a case");
            let template = case["template"].as_str().expect("a template");
            let Ok(findings) = render::lint(template, limits()) else { continue };
            let before = text(template, &case["context"]).ok().and_then(|text| read(&text));
            for finding in findings {
                let keeps = ["J302", "J303"].contains(&finding.told.code.name());
                let (Some(fix), true, Some(before)) = (finding.fixes.last(), keeps, &before) else {
                    continue;
                };
                let fixed =
                    format!("{}{}{}", &template[..fix.start], fix.text, &template[fix.end..]);
                let after = text(&fixed, &case["context"]).ok().and_then(|text| read(&text));
                assert_eq!(after.as_ref(), Some(before), "{template}\n{fixed}");
                kept += 1;
            }
        }
    }
    kept
}

#[test]
fn fixes_keep_what_was_json() {
    let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn(check_fixes);
    let kept = thread.expect("a thread").join().expect("no panic");
    assert!(kept > 10, "only {kept} fixes were tried");
}

#[test]
fn the_gallery_is_tidy_and_clean() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("the gallery") {
        let path = entry.expect("an entry").path().join("template.j2");
        let Ok(source) = fs::read_to_string(&path) else { continue };
        assert_eq!(render::tidy(&source, &limits()), Ok(source.clone()), "{}", path.display());
        assert_eq!(render::lint(&source, limits()), Ok(Vec::new()), "{}", path.display());
        count += 1;
    }
    assert!(count >= 39, "{count} templates");
}
