//! Templates spaced evenly are the same templates: each of the gallery, and each of the cases of `tests/data/jinja`,
//! renders as before. In: templates and contexts. Out: nothing, or the first that differs.

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

#[test]
fn the_gallery_is_tidy() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    for entry in fs::read_dir(folder).expect("the gallery") {
        let path = entry.expect("an entry").path().join("template.j2");
        let Ok(source) = fs::read_to_string(&path) else { continue };
        assert_eq!(render::tidy(&source, &limits()), Ok(source.clone()), "{}", path.display());
    }
}
