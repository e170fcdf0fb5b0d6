//! Contexts, as programs use them: a login keeps where a gateway is and its key, and commands need no more. In:
//! arguments and a key on standard input. Out: what they print, their exit codes, and one file nobody else may read.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::Served;
use super::commands::said;

/// Runs a program with a text on its standard input.
fn fed(mut command: Command, text: &str) -> Output {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    child.stdin.take().expect("its input").write_all(text.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

#[test]
fn a_login_is_all_that_commands_need() {
    let served = Served::start(|_| ());
    let url = format!("http://{}", served.address());
    let run = |arguments: &[&str]| served.alone(arguments).output().expect("it runs");
    let output = run(&["webhook", "ls", "--url", &url]);
    assert!(code(&output) == 4 && said(&output).contains("`hookgate login`"), "{}", said(&output));

    let output = fed(served.alone(&["login", &url]), "hg_none\n");
    assert!(code(&output) == 4 && said(&output).contains("401"), "{}", said(&output));
    let output = fed(served.alone(&["login", &url]), "");
    assert!(code(&output) == 4 && said(&output).contains("no key"), "{}", said(&output));
    let wrong = ["login", &url, "--workspace", "elsewhere/nowhere"];
    let output = fed(served.alone(&wrong), &served.key);
    assert!(code(&output) == 5 && said(&output).contains("there are "), "{}", said(&output));
    let nowhere = "99999999-9999-4999-8999-999999999999";
    let wrong = format!("{url}/api/accounts/{nowhere}/workspaces/{nowhere}");
    let output = fed(served.alone(&["login", &wrong]), &served.key);
    assert!(code(&output) == 5 && said(&output).contains("there are "), "{}", said(&output));
    let stranger = served.answered(&["key", "create", "--service-account", "ci", "-o", "json"]);
    let stranger: Value = serde_json::from_str(&stranger).expect("JSON");
    let stranger = stranger["key"].as_str().expect("a key");
    for place in [wrong, format!("{url}{}", served.api)] {
        let output = fed(served.alone(&["login", &place]), stranger);
        let said = said(&output);
        assert!(code(&output) == 5 && said.contains("it sees none"), "{place}: {said}");
    }
    let output = fed(served.alone(&["login", "http://127.0.0.1:99999"]), &served.key);
    assert!(code(&output) == 2 && said(&output).contains("port"), "{}", said(&output));
    let file = served.folder.join("config/hookgate/contexts.toml");
    assert!(!file.exists(), "nothing is kept of what failed");

    let output = fed(served.alone(&["login", &url]), &format!("{}\n", served.key));
    assert!(output.status.success(), "{}", said(&output));
    assert!(!said(&output).contains(&served.key), "the key is never shown");
    let mode = std::fs::metadata(&file).expect("it is kept").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let full = format!("{url}{}", served.api);
    let output = fed(served.alone(&["--context", "full", "login", &full]), &served.key);
    assert!(output.status.success(), "{}", said(&output));

    let output = run(&["context", "ls"]);
    let listed = String::from_utf8(output.stdout).expect("text");
    let names: Vec<_> = listed.lines().skip(1).map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, [Some("*"), Some("local")], "{listed}");
    assert!(run(&["context", "use", "local"]).status.success());
    assert_eq!(code(&run(&["context", "use", "nowhere"])), 5);
    let shown = run(&["context", "show", "-o", "json"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    assert_eq!((&shown["name"], &shown["url"]), (&"local".into(), &url.clone().into()));
    for output in [run(&["context", "show"]), run(&["context", "ls", "-o", "json"])] {
        assert!(!said(&output).contains(&served.key), "the key is never shown");
    }

    for arguments in [
        &["webhook", "create", "--from", "github"][..],
        &["webhook", "ls"],
        &["--context", "full", "webhook", "ls"],
        &["webhook", "ls", "--context", "full", "--url", &url],
    ] {
        let output = run(arguments);
        let said = said(&output);
        assert!(output.status.success() && said.contains("github"), "{arguments:?}: {said}");
    }
    let elsewhere = ["webhook", "ls", "--url", "http://127.0.0.1:9"];
    let output = run(&elsewhere);
    assert_eq!(code(&output), 4, "the context's key stays with it: {}", said(&output));
    let output = run(&[&elsewhere[..], &["--context", "local"]].concat());
    assert!(code(&output) == 2 && said(&output).contains("say one of them"), "{}", said(&output));

    assert!(run(&["context", "rm", "local"]).status.success());
    assert_eq!(code(&run(&["context", "show"])), 5);
    assert_eq!(code(&run(&["webhook", "ls", "--url", &url])), 4);
}
