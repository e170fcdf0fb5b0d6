//! The commands that talk to a running gateway, as programs: a webhook is made of the gallery, listed, and sent to. In:
//! arguments and a key. Out: what they print, their exit codes, and the events that arrive.

use std::process::{Command, Output};

use serde_json::{Value, json};

use super::Served;

impl Served {
    /// Runs the program against this gateway.
    fn command(&self, arguments: &[&str], key: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_hookgate"))
            .args(arguments)
            .env("HOOKGATE_URL", format!("http://{}", self.address()))
            .env("HOOKGATE_API_KEY", key)
            .output()
            .expect("it runs")
    }

    fn answered(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments, &self.key);
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        String::from_utf8(output.stdout).expect("text")
    }

    /// Exit code, and all that was said.
    fn refused(&self, arguments: &[&str], key: &str) -> (i32, String) {
        let output = self.command(arguments, key);
        (output.status.code().expect("it ended by itself"), said(&output))
    }
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn a_webhook_is_made_of_the_gallery_and_sent_to() {
    let served = Served::start(|_| ());
    let made = served.answered(&["webhook", "create", "--from", "github", "-d", "pushes"]);
    let base = format!("http://{}/hooks/", served.address());
    let hook = made.lines().find_map(|line| line.strip_prefix("hook     ")).expect("a hook");
    assert!(hook.starts_with(&base), "{made}");
    let next = format!("Next: hookgate send {hook} --sample github/push");
    assert_eq!(made.lines().last(), Some(&*next));

    let sent = served.answered(&["send", hook, "--sample", "github/push"]);
    assert!(sent.starts_with("204 No Content  receipt "), "{sent}");
    let slug = hook.strip_prefix(&base).expect("a slug");
    let changed = ["--set", "body.ref=refs/heads/x", "--set", "body.extra.deep[0]=7"];
    let more = ["--unset", "body.pusher", "-H", "X-GitHub-Event: workflow", "--count", "2"];
    let arguments =
        [&["send", "--sample", "github/push", "-o", "json"], &changed[..], &more, &["--", slug]];
    let sent = served.answered(&arguments.concat());
    let lines: Vec<Value> =
        sent.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["status"], 204);
    let events = served.events(6);
    let events: Vec<_> = events
        .iter()
        .filter(|event| event["event"].as_str().is_some_and(|name| name.starts_with("github.")))
        .collect();
    assert_eq!(events[0]["event"], "github.push");
    assert_eq!(events[1]["event"], "github.workflow");
    let payload = &events[1]["payload"];
    assert_eq!(payload["ref"], "refs/heads/x");
    assert_eq!(payload["extra"], json!({"deep": [7]}));
    assert_eq!(payload.get("pusher"), None);

    let listed = served.answered(&["webhook", "ls"]);
    assert!(listed.starts_with("github  on ") && listed.trim_end().ends_with(hook), "{listed}");
    let listed: Value =
        serde_json::from_str(&served.answered(&["webhook", "ls", "-o", "json"])).expect("JSON");
    assert_eq!((&listed[0]["hook"], &listed[0]["description"]), (&hook.into(), &"pushes".into()));
}

#[test]
fn what_is_refused_says_why() {
    let served = Served::start(|_| ());
    let create =
        |more: &[&str], key: &str| served.refused(&[&["webhook", "create"], more].concat(), key);
    let (code, said) = create(&["--from", "githb"], &served.key);
    assert!(code == 5 && said.contains("did you mean 'github'?"), "{code}: {said}");
    let (code, said) = create(&["--from", "github"], "hg_none");
    assert!(code == 4 && said.contains("401 Unauthorized"), "{code}: {said}");
    let (code, said) = create(&["--from", "github"], "");
    assert!(code == 4 && said.contains("HOOKGATE_API_KEY"), "{code}: {said}");
    let (code, said) = create(&["--from", "github", "--workspace", "elsewhere"], &served.key);
    assert!(code == 5 && said.contains("there are "), "{code}: {said}");
    let quoted_file = served.folder.join("quoted.j2");
    let broken = served.folder.join("broken.j2");
    std::fs::write(&broken, "{\n{{ x|tojsn }}}").expect("a template");
    let broken = broken.to_str().expect("a path");
    let (code, said) = create(&["--template-file", broken, "--name", "x"], &served.key);
    assert!(code == 1 && said.contains("broken.j2:2:6"), "it is drawn: {code}: {said}");
    assert!(said.contains("422 Unprocessable Entity: template, line 2"), "{said}");
    let quoted = r#"{"event": "e.{{ body.n }}", "resource": {"prefect.resource.id": "r"}}"#;
    std::fs::write(&quoted_file, quoted).expect("a template");
    let quoted_file = quoted_file.to_str().expect("a path");
    let (code, said) = create(&["--template-file", quoted_file, "--name", "x"], &served.key);
    assert!(code == 0 && said.contains("warning[J"), "{code}: {said}");

    let send = |arguments: &[&str]| served.refused(&[&["send"], arguments].concat(), "");
    let (code, said) = send(&["nobody", "--sample", "github/push"]);
    assert!(code == 1 && said.contains("404 Not Found") && said.contains("detail"), "{said}");
    let (code, said) = send(&["http://127.0.0.1:9/hooks/x", "--sample", "github/push"]);
    assert!(code == 6, "{code}: {said}");
    let (code, said) = send(&["x", "--sample", "github/push", "--set", "body.ref.x=1"]);
    assert!(code == 1 && said.contains("`x` is asked of \"refs/heads/master\""), "{said}");
    let (code, said) = send(&["--list"]);
    assert!(code == 0 && said.contains("github/push"), "{said}");
}
