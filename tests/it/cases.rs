//! `hookgate render --cases` as a program sees it: lines, tally and exit code. In: cases through a pipe. Out: what the
//! built binary said.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// Lines of stdout, stderr, and the exit code.
fn run(cases: &str, options: &[&str]) -> (Vec<String>, String, Option<i32>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hookgate"))
        .args(["render", "--cases", "-"])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(cases.as_bytes()).expect("it reads");
    drop(input);
    let done = child.wait_with_output().expect("it ends");
    let out = String::from_utf8(done.stdout).expect("text");
    let lines = out.lines().map(str::to_owned).collect();
    (lines, String::from_utf8(done.stderr).expect("text"), done.status.code())
}

const GOOD: &str = r#"{"id": "a", "feature": "x", "template": "{{ n + 1 }}", "context": {"n": 1}, "expected": "2"}"#;
const BAD: &str = r#"{"id": "b", "template": "{{ 'a\\u001bb' }}", "expected": "a"}"#;
const FAILS: &str =
    r#"{"id": "c", "template": "{{ 1 / 0 }}", "context": {}, "error": "any words", "line": 1}"#;
const LENIENT: &str = r#"{"id": "d", "template": "{{ 1 }}", "context": {}, "error": "any words"}"#;

#[test]
fn the_tally_is_the_last_line() {
    let (lines, words, code) = run(&format!("{GOOD}\n\n{FAILS}"), &[]);
    assert_eq!((lines, words.as_str(), code), (vec!["2 passed, 0 failed".to_owned()], "", Some(0)));
}

#[test]
fn a_failure_is_shown_with_what_differs() {
    let (lines, _, code) = run(&format!("{GOOD}\n{BAD}\n{LENIENT}\n"), &["--by-feature"]);
    assert_eq!(
        lines,
        [
            "FAILED b",
            r#"  template  "{{ 'a\\u001bb' }}""#,
            r#"  expected  "a""#,
            r#"  found     "a\u{1b}b""#,
            "FAILED d",
            r#"  template  "{{ 1 }}""#,
            "  expected  an error: any words",
            r#"  found     "1""#,
            " passed  failed  feature",
            "      0       2  (none)",
            "      1       0  x",
            "1 passed, 2 failed",
        ]
    );
    assert_eq!(code, Some(1));
}

#[test]
fn a_program_is_answered_case_by_case() {
    let asks_nothing = r#"{"id": 7, "template": "{{ [1, none] }}"}"#;
    let (lines, _, code) = run(&format!("{asks_nothing}\n{FAILS}\n{LENIENT}\n"), &["-o", "json"]);
    assert_eq!(lines[0], r#"{"id":7,"text":"[1, None]"}"#);
    let failed: serde_json::Value = serde_json::from_str(&lines[1]).expect("JSON");
    assert_eq!((&failed["error"]["line"], &failed["passed"]), (&1.into(), &true.into()));
    assert_eq!(
        lines[2..],
        [r#"{"id":"d","text":"1","passed":false}"#, r#"{"cases":3,"passed":1,"failed":1}"#]
    );
    assert_eq!(code, Some(1));
    let asks_nothing = r#"{"id": 8, "template": "{{ 1 / 0 }}"}"#;
    let (lines, words, code) = run(asks_nothing, &["-o", "json"]);
    assert_eq!((lines.len(), &*lines[1], &*words, code), (2, r#"{"cases":1}"#, "", Some(0)));
}

#[test]
fn nothing_to_run_is_a_failure_and_a_byte_order_mark_is_none() {
    for empty in ["", "\n\n", "\u{feff}\n"] {
        let (lines, words, code) = run(empty, &[]);
        let says = "hookgate: nothing to run: no case in standard input\n";
        assert_eq!((lines.len(), &*words, code), (0, says, Some(1)), "{empty:?}");
    }
    let (lines, words, code) = run(&format!("\u{feff}{GOOD}\n"), &[]);
    assert_eq!((&*lines[0], &*words, code), ("1 passed, 0 failed", "", Some(0)));
}

#[test]
fn what_is_no_case_file_says_where() {
    let (lines, words, code) = run(&format!("{GOOD}\n{{\"id\": 1}}\n"), &[]);
    assert_eq!(lines, Vec::<String>::new());
    let expected = "hookgate: standard input:2: no case: missing field `template` at column 9\n";
    assert_eq!((words.as_str(), code), (expected, Some(3)));
}
