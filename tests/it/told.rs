//! What authors are told, word for word: the built program's diagnostics for broken templates and for templates whose
//! output is no event. In: `tests/data/told`. `HOOKGATE_BLESS=1` writes the goldens anew; each was looked at.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn templates(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/told").join(folder);
    let files = fs::read_dir(root).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut found: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|e| e == "j2")).collect();
    found.sort();
    found
}

/// What is said of a template, and the exit code.
fn told(template: &Path) -> (String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    let folder = template.parent().expect("a folder");
    command.current_dir(folder).arg("render").arg(template.file_name().expect("a name"));
    let body = template.with_extension("json");
    if body.is_file() {
        command.arg("--body").arg(body.file_name().expect("a name"));
    }
    let output = command.env("NO_COLOR", "1").output().expect("the program runs");
    (String::from_utf8(output.stderr).expect("text"), output.status.code())
}

fn check(folder: &str, least: usize, code: i32) {
    let found = templates(folder);
    assert!(found.len() >= least, "{} templates", found.len());
    for template in found {
        let (told, exit) = told(&template);
        let golden = template.with_extension("txt");
        if std::env::var_os("HOOKGATE_BLESS").is_some() {
            fs::write(&golden, &told).expect("a golden is written");
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(exit, Some(code), "{}: {told}", template.display());
        assert_eq!(told, expected, "{}: HOOKGATE_BLESS=1 writes it anew", golden.display());
    }
}

#[test]
fn broken_templates_are_shown_where_they_are_broken() {
    check("templates", 40, 3);
}

#[test]
fn what_is_no_event_is_blamed_on_the_expression_that_wrote_it() {
    check("outputs", 15, 1);
}
