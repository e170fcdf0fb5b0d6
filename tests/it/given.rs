//! The request of `hookgate render` as its flags and files give it. In: arguments. Out: what the built program said and
//! how it ended.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A folder of its own, gone with its value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hookgate-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        let folder = Self(path);
        folder.write("t.j2", "{{ body }}");
        folder
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).expect("a file");
    }

    /// Stdout, stderr, and the exit code.
    fn render(&self, arguments: &[&str]) -> (String, String, Option<i32>) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
        command.current_dir(&self.0).env("NO_COLOR", "1").stdin(Stdio::null());
        let done = command.arg("render").args(arguments).output().expect("it runs");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (text(done.stdout), text(done.stderr), done.status.code())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_is_called_json_and_is_none_is_said() {
    let folder = Folder::new("given-json");
    let (out, told, code) = folder.render(&["t.j2", "--text", "--json", "{\"x\":\n \"q\""]);
    assert_eq!((&*out, code), ("", Some(2)), "{told}");
    assert!(told.contains("'--json <JSON>': 2:5: expected "), "{told}");
    folder.write("b.json", "{\"x\": q}");
    folder.write("b.txt", "{\"x\": q}");
    folder.write("r.json", r#"{"headers": {"content-type": "application/json"}, "body": "[1"}"#);
    let is_said = |arguments: &[&str]| {
        let all = [&["t.j2", "--text"], arguments].concat();
        let (out, told, code) = folder.render(&all);
        assert_eq!(code, Some(0), "{told}");
        assert!(!out.is_empty(), "it goes on");
        told.starts_with("body: no JSON (1:") && told.contains("): the template sees it as text\n")
    };
    assert!(is_said(&["--body", "b.json"]));
    assert!(is_said(&["--body", "b.txt", "-H", "Content-Type: application/cloudevents+json"]));
    assert!(is_said(&["--request", "r.json"]));
    assert!(!is_said(&["--body", "b.txt"]));
    assert!(!is_said(&["--json", "[1]"]));
}

#[test]
fn wrong_usage_is_told_apart() {
    let folder = Folder::new("given-usage");
    for (arguments, says) in [
        (&["t.j2", "--form", "x"][..], "'--form <NAME=VALUE>': a field is written as NAME=VALUE"),
        (&["t.j2", "-H", "a b"], "'--header <NAME:VALUE>': a header is written as NAME:VALUE"),
        (&["t.j2", "-H", "a b: 1"], "'--header <NAME:VALUE>': no header is named so"),
        (&["t.j2", "--by-feature"], "'[TEMPLATE]' cannot be used with '--by-feature'"),
        (&["--by-feature"], "--cases <FILE.jsonl>"),
        (&["--cases", "-", "--json", "{}"], "cannot be used with"),
        (&["-", "--watch"], "--watch waits for changes of files"),
        (&["t.j2", "--request", "-", "--watch"], "--watch waits for changes of files"),
        (&["t.j2", "--body", "-", "--watch"], "--watch waits for changes of files"),
        (&["-", "--body", "-"], "standard input is the template or the request, not both"),
        (&["-", "--request", "-"], "standard input is the template or the request, not both"),
    ] {
        let (out, told, code) = folder.render(arguments);
        assert_eq!((&*out, code), ("", Some(2)), "{arguments:?}: {told}");
        assert!(told.contains(says), "{arguments:?}: {told}");
    }
    let (out, ..) = folder.render(&["t.j2", "--text", "--form", "a b=ä", "--form", "c="]);
    assert_eq!(out, "{'a b': 'ä', 'c': ''}");
}
