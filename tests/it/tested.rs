//! `hookgate test` as a program, on the folders of `tests/data/tested`, which are made to fail. In: arguments. Out:
//! what it printed, as goldens, its exit code, and the files it wrote.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tested")
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hookgate"))
        .arg("test")
        .args(arguments)
        .current_dir(folder)
        .env_remove("CI")
        .output()
        .expect("it runs")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

fn golden(path: &Path, found: &str) {
    if std::env::var_os("HOOKGATE_BLESS").is_some() {
        fs::write(path, found).expect("a golden is written");
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(found, expected, "{}: HOOKGATE_BLESS=1 writes it anew", path.display());
}

/// A copy that may be written to; goes with its value.
struct Copy(PathBuf);

impl Copy {
    fn of(folder: &str, name: &str) -> Self {
        let copy = std::env::temp_dir().join(format!("hookgate-{name}-{}", std::process::id()));
        let from = data().join(folder);
        let own = copy.join(folder.trim_start_matches("../"));
        let cases = own.join("cases");
        fs::create_dir_all(&cases).expect("a folder");
        fs::copy(from.join("template.j2"), own.join("template.j2")).expect("a copy");
        for file in fs::read_dir(from.join("cases")).expect("cases") {
            let file = file.expect("a file");
            fs::copy(file.path(), cases.join(file.file_name())).expect("a copy");
        }
        Self(copy)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn each_reporter_tells_each_failure() {
    for reporter in ["human", "tap", "github"] {
        let output = run(&data(), &["--reporter", reporter]);
        assert_eq!(code(&output), 3, "a template does not parse");
        let found = text(&output.stdout);
        golden(&data().join(format!("{reporter}.txt")), &found);
        assert_eq!(text(&output.stderr), "hookgate: a template does not parse\n");
    }
}

#[test]
fn what_no_case_reached_is_shown() {
    let folder = data().with_file_name("covered");
    let output = run(&folder, &["--coverage"]);
    assert_eq!(code(&output), 0, "it is shown, no more");
    golden(&folder.join("human.txt"), &text(&output.stdout));
    assert_eq!(code(&run(&folder, &["--coverage=full"])), 1);
    let gallery = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let output = run(&gallery, &["--coverage=full"]);
    assert_eq!(code(&output), 0, "{}", text(&output.stdout));
}

#[test]
fn a_template_that_breaks_is_shown_with_the_smallest_request() {
    let folder = data().with_file_name("stressed");
    let output = run(&folder, &["--stress", "200", "--seed", "1"]);
    assert_eq!(code(&output), 1);
    golden(&folder.join("human.txt"), &text(&output.stdout));
    let again = run(&folder, &["--stress", "200", "--seed", "1"]);
    assert_eq!(again.stdout, output.stdout, "a seed repeats a run");
    let all = run(&folder, &["sound", "--stress", "50", "--seed", "1", "--fail-on", "refused"]);
    assert_eq!(code(&all), 0, "what is expected beside it is no failure");
    let copy = Copy::of("../stressed/sound", "errors");
    for name in ["sent.event.json", "sent.request.json"] {
        fs::remove_file(copy.0.join("stressed/sound/cases").join(name)).expect("a file");
    }
    let told = text(&run(&copy.0, &["--stress", "5", "--seed", "1"]).stdout);
    assert!(told.contains("1 passed") && !told.contains("Wrong requests"), "{told}");
}

#[test]
fn the_smallest_request_can_be_kept() {
    let copy = Copy::of("../stressed/quoted", "kept");
    let output = run(&copy.0, &["--stress", "200", "--seed", "1", "--save"]);
    assert_eq!(code(&output), 1);
    let kept = "stressed/quoted/cases/plain-stress-1.request.json";
    assert_eq!(text(&output.stderr), format!("wrote {kept}\n"));
    let again = run(&copy.0, &[kept]);
    assert!(text(&again.stdout).contains("nothing is expected yet; it failed: not JSON"));
}

#[test]
fn programs_get_what_people_get() {
    let copy = Copy::of("differs", "junit");
    let output = run(&copy.0, &["--reporter", "json", "--junit", "report.xml"]);
    assert_eq!(code(&output), 1);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&report["passed"], &report["failed"]), (&0.into(), &2.into()));
    let first = &report["cases"][0];
    assert_eq!((&first["folder"], &first["status"]), (&"differs".into(), &"failed".into()));
    assert_eq!(first["differences"][0]["pointer"], "/resource/title");
    let xml = fs::read_to_string(copy.0.join("report.xml")).expect("a report");
    assert!(xml.contains("<testsuite name=\"differs\" tests=\"2\" failures=\"2\""), "{xml}");
}

#[test]
fn what_is_accepted_is_expected_from_then_on() {
    let copy = Copy::of("differs", "accepted");
    let output = run(&copy.0, &["--update"]);
    assert_eq!(code(&output), 0, "{}", text(&output.stdout));
    let wrote = "wrote differs/cases/all.event.json\nwrote differs/cases/none.error.json\n";
    assert_eq!(text(&output.stderr), wrote);
    let cases = copy.0.join("differs/cases");
    let event = fs::read_to_string(cases.join("all.event.json")).expect("an event");
    assert!(event.contains("\"prefect.resource.id\": \"[any]\""), "placeholders stay: {event}");
    assert!(event.contains("\"total\": 12345678901234567890"), "digits stay: {event}");
    assert!(!cases.join("none.event.json").exists(), "an event is expected no more");
    assert_eq!(code(&run(&copy.0, &[])), 0);
    assert_eq!(code(&run(&copy.0, &["--update"])), 0);
}

#[test]
fn an_event_and_an_error_are_not_both_expected() {
    let copy = Copy::of("differs", "both");
    let cases = copy.0.join("differs/cases");
    fs::write(cases.join("all.error.json"), "{\"error_type\": \"json\"}").expect("a file");
    for arguments in [&["--filter", "all"][..], &["--filter", "all", "--update"]] {
        let output = run(&copy.0, arguments);
        let told = text(&output.stdout);
        assert_eq!(code(&output), 1, "{told}");
        assert!(told.contains("both an event and an error are expected; remove one"), "{told}");
        assert!(!told.contains("--update"), "that does not help: {told}");
    }
}

#[test]
fn nothing_is_written_where_nobody_looks() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    let command = command.args(["test", "differs", "--update"]).current_dir(data());
    let output = command.env("CI", "true").output().expect("it runs");
    assert_eq!(code(&output), 1);
    assert!(text(&output.stderr).contains("CI is set"), "{}", text(&output.stderr));
}

#[test]
fn what_is_run_can_be_chosen() {
    let of = |arguments: &[&str]| {
        let output = run(&data(), arguments);
        let last = text(&output.stdout).lines().last().unwrap_or_default().to_owned();
        (code(&output), last)
    };
    let all = |text: &str| text.to_owned();
    assert_eq!(of(&["otherwise"]), (1, all("1 passed, 2 failed, 0 skipped")));
    assert_eq!(of(&["otherwise", "--filter", "/h"]), (0, all("1 passed, 0 failed, 0 skipped")));
    let single = "otherwise/cases/holds.request.json";
    assert_eq!(of(&[single]), (0, all("1 passed, 0 failed, 0 skipped")));
    let thrice = ["otherwise/cases/holds.request.json", "otherwise", "./otherwise/"];
    assert_eq!(of(&thrice), (1, all("1 passed, 2 failed, 0 skipped")), "each case once");
    assert_eq!(of(&["otherwise", "--fail-fast"]), (1, all("0 passed, 1 failed, 2 skipped")));
    assert_eq!(of(&["otherwise", "--filter", "nothing"]).0, 1);
    let none = of(&["otherwise", "--filter", "nothing", "--allow-empty"]);
    assert_eq!(none, (0, all("0 passed, 0 failed, 0 skipped")));
    assert_eq!(of(&["nowhere"]).0, 5);
    assert_eq!(of(&["--filter", "("]).0, 2);
}
