//! `hookgate check` and `hookgate fmt` as programs, on the folders of `tests/data/checked`. In: arguments. Out: what
//! was printed, as goldens, exit codes, and the templates that were mended.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/checked")
}

fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let hookgate = Command::new(env!("CARGO_BIN_EXE_hookgate"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("it runs");
    parts(hookgate)
}

fn parts(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code().expect("it ended"), text(output.stdout), text(output.stderr))
}

fn golden(name: &str, found: &str) {
    let path = data().join(name);
    if std::env::var_os("HOOKGATE_BLESS").is_some() {
        fs::write(&path, found).expect("a golden is written");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "{name}: HOOKGATE_BLESS=1 writes it anew");
}

/// A copy that may be written to; goes with its value.
struct Copied(PathBuf);

impl Copied {
    fn new(name: &str) -> Self {
        let copy = std::env::temp_dir().join(format!("hookgate-{name}-{}", std::process::id()));
        for folder in ["order", "left"] {
            let (from, to) = (data().join(folder), copy.join(folder));
            fs::create_dir_all(to.join("cases")).expect("a folder");
            fs::copy(from.join("template.j2"), to.join("template.j2")).expect("a copy");
            for file in fs::read_dir(from.join("cases")).expect("cases") {
                let file = file.expect("a file");
                fs::copy(file.path(), to.join("cases").join(file.file_name())).expect("a copy");
            }
        }
        Self(copy)
    }

    fn template(&self, folder: &str) -> String {
        fs::read_to_string(self.0.join(folder).join("template.j2")).expect("a template")
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn findings_are_told_to_people_and_programs() {
    for form in ["human", "github", "json", "sarif"] {
        let (code, out, told) = run(&data(), &["check", "--format", form, "."]);
        assert_eq!(code, 3, "a template does not parse: {told}");
        if form == "sarif" {
            let read: serde_json::Value = serde_json::from_str(&out).expect("JSON");
            let results = read["runs"][0]["results"].as_array().expect("results");
            assert!(results.len() >= 9, "{results:#?}");
            assert_eq!(results[0]["ruleId"], "J102");
            continue;
        }
        golden(&format!("{form}.txt"), &out);
    }
}

#[test]
fn what_is_asked_for_decides_the_exit() {
    let (code, out, told) = run(&data(), &["check", "order"]);
    assert_eq!(code, 1, "J303 is an error: {out}{told}");
    let (code, ..) = run(&data(), &["check", "order", "--ignore", "J303"]);
    assert_eq!(code, 0, "warnings only");
    let (code, ..) = run(&data(), &["check", "order", "--ignore", "J303", "--deny-warnings"]);
    assert_eq!(code, 1);
    let (code, out, told) = run(&data(), &["check", "order", "--select", "W,E4"]);
    assert_eq!((code, &*out, &*told), (0, "", "1 file checked, nothing found\n"));
    assert_eq!(run(&data(), &["check", "order", "--select", "Q"]).0, 2);
    assert_eq!(run(&data(), &["check", "nowhere"]).0, 5);
    let (_, help, _) = run(&data(), &["check", "--help"]);
    assert!(help.contains("5 a path that is not there"), "{help}");
    let (code, out, _) = run(&data(), &["check", "--explain", "j303"]);
    assert!(code == 0 && out.starts_with("J303: tojson inside quotes\n"), "{out}");
    assert!(run(&data(), &["check", "--explain"]).1.contains("\nJ303  tojson inside quotes\n"));
    assert_eq!(run(&data(), &["check", "--explain", "J999"]).0, 5);
}

#[test]
fn what_is_proven_is_mended_and_nothing_else() {
    let copy = Copied::new("mended");
    let before = copy.template("left");
    let (code, out, told) = run(&copy.0, &["check", "--fix", "order", "left"]);
    assert_eq!(code, 1, "some is left: {out}");
    golden("mended.txt", &told);
    golden("order/mended.j2.txt", &copy.template("order"));
    assert_eq!(copy.template("left"), before, "nothing there can be proven");
    let (code, out, told) = run(&copy.0, &["check", "order"]);
    assert_eq!((code, &*out, &*told), (0, "", "1 file checked, nothing found\n"));
    let (code, _, told) = run(&copy.0, &["check", "--fix", "--unproven", "left"]);
    assert_eq!(code, 0, "{told}");
    golden("left/mended.j2.txt", &copy.template("left"));
}

#[test]
fn quotes_around_tojson_are_left_out_unproven_too() {
    let copy = Copied::new("quoted");
    let write = |value: &str| {
        let text = format!(
            "{{\"event\": \"a.b\", \"resource\": {{\"prefect.resource.id\": \"a.1\"}}, \
             \"payload\": {{\"t\": {value}}}}}\n"
        );
        fs::write(copy.0.join("quoted.j2"), &text).expect("a file");
        text
    };
    for (bad, good) in [
        ("\"{{ body.t|tojson }}\"", "{{ body.t|tojson }}"),
        ("\"a {{ body.t|tojson }}\"", "{{ (\"a \" ~ body.t)|tojson }}"),
    ] {
        let good = write(good);
        write(bad);
        let (code, _, told) = run(&copy.0, &["check", "--fix", "--unproven", "quoted.j2"]);
        let mended = fs::read_to_string(copy.0.join("quoted.j2")).expect("a file");
        assert_eq!((code, mended), (0, good), "{told}");
    }
}

#[test]
fn configuration_files_are_checked_by_loading() {
    let copy = Copied::new("config");
    fs::write(copy.0.join("good.toml"), "[server]\nlisten = [\"127.0.0.1:0\"]\n").expect("a file");
    fs::write(copy.0.join("bad.toml"), "[server]\nlistn = \"127.0.0.1:0\"\n").expect("a file");
    assert_eq!(run(&copy.0, &["check", "good.toml"]).0, 0);
    let (code, out, _) = run(&copy.0, &["check", "bad.toml"]);
    assert!(code == 3 && out.contains("listn"), "{code} {out}");
}

#[test]
fn tags_are_spaced_in_files_and_pipes() {
    let copy = Copied::new("spaced");
    let path = copy.0.join("order/template.j2");
    let tidy = copy.template("order");
    fs::write(&path, tidy.replace("{{ ", "{{")).expect("a file");
    let (code, out, _) = run(&copy.0, &["fmt", "--check", "."]);
    assert_eq!((code, &*out), (1, "order/template.j2\n"));
    assert!(run(&copy.0, &["fmt", "--diff", "."]).1.contains("\n+  \"event\": \"shop.{{ body"));
    assert_eq!(run(&copy.0, &["fmt", "."]).0, 0);
    assert_eq!(copy.template("order"), tidy);
    fs::write(&path, "{{ x").expect("a file");
    let (code, _, told) = run(&copy.0, &["fmt", "order"]);
    assert!(code == 3 && told.contains("order/template.j2:1:1: "), "{told}");
    let mut pipe = Command::new(env!("CARGO_BIN_EXE_hookgate"))
        .args(["fmt", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    pipe.stdin.take().expect("a pipe").write_all(b"{{x}}\n").expect("written");
    assert_eq!(parts(pipe.wait_with_output().expect("it ends")).1, "{{ x }}\n");
}
