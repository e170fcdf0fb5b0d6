//! The commands that talk to a running gateway, as programs: a webhook is made of the gallery, listed, and sent to. In:
//! arguments and a key. Out: what they print, their exit codes, and the events that arrive.

use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use super::Served;

impl Served {
    /// Runs the program against this gateway.
    fn command(&self, arguments: &[&str], key: &str) -> Output {
        let mut command = self.alone(arguments);
        command.env("HOOKGATE_URL", format!("http://{}", self.address()));
        command.env("HOOKGATE_API_KEY", key);
        command.output().expect("it runs")
    }

    /// The program, knowing no gateway but those of this test's contexts.
    pub(super) fn alone(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
        command.args(arguments).stdin(Stdio::null());
        command.env("XDG_CONFIG_HOME", self.folder.join("config"));
        for name in ["HOOKGATE_URL", "HOOKGATE_API_KEY", "HOOKGATE_CONTEXT"] {
            command.env_remove(name);
        }
        command
    }

    pub(super) fn answered(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments, &self.key);
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        String::from_utf8(output.stdout).expect("text")
    }

    /// Exit code, and all that was said.
    pub(super) fn refused(&self, arguments: &[&str], key: &str) -> (i32, String) {
        let output = self.command(arguments, key);
        (output.status.code().expect("it ended by itself"), said(&output))
    }
}

pub(super) fn said(output: &Output) -> String {
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
    let line = listed.lines().nth(1).expect("a row");
    assert!(line.starts_with("github  on ") && line.ends_with(hook), "{listed}");
    let listed: Value =
        serde_json::from_str(&served.answered(&["webhook", "ls", "-o", "json"])).expect("JSON");
    assert_eq!((&listed[0]["hook"], &listed[0]["description"]), (&hook.into(), &"pushes".into()));
}

#[test]
fn every_verb_of_a_webhook_takes_a_name_or_an_id() {
    let served = Served::start(|_| ());
    let json = |arguments: &[&str]| -> Value {
        serde_json::from_str(&served.answered(&[arguments, &["-o", "json"]].concat()))
            .expect("JSON")
    };
    let made = json(&["webhook", "create", "--from", "github", "--disabled"]);
    let id = made["id"].as_str().expect("an id");
    assert_eq!(made["enabled"], false);
    assert_eq!(json(&["webhook", "enable", "github"])["enabled"], true);
    assert_eq!(json(&["webhook", "toggle", id])["enabled"], false);
    let template = served.folder.join("draft.j2");
    let text = "{\"event\": \"a.b\",\r\n \"resource\": {\"prefect.resource.id\": \"ü\"}}\n";
    std::fs::write(&template, text).expect("a template");
    let file = ["--template-file", template.to_str().expect("a path")];
    let tested = served
        .answered(&[&["webhook", "test", "github", "--sample", "github/push"], &file[..]].concat());
    assert!(tested.starts_with("{\n  \"event\": \"a.b\","), "{tested}");
    let tested = json(&["webhook", "test", "github", "--sample", "github/push"]);
    assert_eq!(tested["event"]["event"], "github.push");
    let updated = json(&[&["webhook", "update", id, "-n", "b", "-d", "c"], &file[..]].concat());
    let seen = [&updated["name"], &updated["description"], &updated["enabled"]];
    assert_eq!(seen, [&json!("b"), &json!("c"), &json!(false)]);
    assert_eq!(served.answered(&["webhook", "show", "b", "--template"]), text);
    let shown = served.answered(&["webhook", "show", id]);
    assert!(shown.contains("state        off\n") && shown.contains("description  c\n"), "{shown}");
    let rotated = json(&["webhook", "rotate", "b", "--yes"]);
    assert_ne!(rotated["hook"], made["hook"]);
    let again = json(&["webhook", "rotate", "b", "--yes", "--overlap", "1h"]);
    json(&["webhook", "enable", "b"]);
    for hook in [&rotated["hook"], &again["hook"]] {
        let hook = hook.as_str().expect("a hook");
        let sent = served.answered(&["send", hook, "--sample", "github/push"]);
        assert!(sent.starts_with("204 "), "{sent}");
    }
    let (code, said) = served.refused(&["webhook", "rotate", "b", "--overlap", "3d"], &served.key);
    assert!(code == 2 && said.contains("at most 172800 s"), "{code}: {said}");
    json(&["webhook", "disable", "b"]);

    let (code, said) = served.refused(&["webhook", "update", "b"], &served.key);
    assert!(code == 2 && said.contains("nothing is to change"), "{code}: {said}");
    let (code, said) = served.refused(&["webhook", "rm", "b"], &served.key);
    assert!(code == 2 && said.contains("--yes"), "{code}: {said}");
    let (code, said) = served.refused(&["webhook", "show", "github"], &served.key);
    assert!(code == 5 && said.contains("no webhook is called \"github\""), "{code}: {said}");
    let (code, said) = served.refused(&["webhook", "create", "-n", "b", "-t", text], &served.key);
    assert!(code == 0 && said.contains("2 webhooks are called \"b\" now"), "{code}: {said}");
    let (code, said) = served.refused(&["webhook", "show", "b"], &served.key);
    assert!(code == 1 && said.contains("2 webhooks are called") && said.contains(id), "{said}");
    let none = ["webhook", "update", id, "--service-account", "nobody"];
    let (code, said) = served.refused(&none, &served.key);
    assert!(code == 5 && said.contains("no service account is called"), "{code}: {said}");
    served.answered(&["webhook", "rm", id, "--yes"]);
    let (code, _) = served.refused(&["webhook", "show", id], &served.key);
    assert_eq!(code, 5);
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
    let (code, said) = send(&["x"]);
    assert!(code == 2 && said.contains("--sample") && said.contains("--request"), "{code}: {said}");
    let (code, said) = send(&["--list"]);
    assert!(code == 0 && said.contains("github/push"), "{said}");
}

#[test]
fn a_pace_and_a_limit_are_tried_on_what_a_stopped_gateway_holds() {
    let mut served = Served::start(|_| ());
    let template = r#"{"event": "e", "resource": {"prefect.resource.id": "r"}}"#;
    let body = json!({ "name": "a hook", "template": template });
    let webhook = served.call("POST", "/webhooks/", &body).json();
    for number in 0..5 {
        served.post(&webhook, &format!("{{\"n\":{number}}}")).receipt();
    }
    let data = served.config.server.data.to_str().expect("a path").to_owned();
    let simulate = |more: &[&str]| {
        let arguments = [&["limit", "simulate", "--data", &data, "-o", "json"], more].concat();
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
        command.args(arguments).env_remove("HOOKGATE_URL").output().expect("an end")
    };
    let running = simulate(&["--rate", "1/s"]);
    assert!(!running.status.success() && said(&running).contains("process"), "{}", said(&running));
    served.stop();
    let told = |more: &[&str]| {
        let output = simulate(more);
        assert!(output.status.success(), "{}", said(&output));
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")
    };
    let paced = told(&["--rate", "1/s", "--burst", "1"]);
    // The clock stands still: all but the first wait, those of the gateway itself, too.
    let count = paced["events"].as_u64().expect("a count");
    assert!(count >= 10 && paced["delayed"].as_u64() == Some(count - 1), "{paced}");
    let refused = told(&["--each-webhook", "--rate", "1/s", "--burst", "2"]);
    assert_eq!((&refused["requests"], &refused["refused"]), (&json!(5), &json!(3)), "{refused}");
    served.resume();
}

#[test]
fn the_pace_of_a_destination_is_tried_on_what_it_gets_in_the_batches_it_has() {
    let served = Served::start(|_| ());
    let template = r#"{"event": "tried", "resource": {"prefect.resource.id": "r"},
        "payload": {"n": {{ body.n }}}}"#;
    let webhook = served.call("POST", "/webhooks/", &json!({ "name": "a", "template": template }));
    let webhook = webhook.json();
    for number in 0..8 {
        served.post(&webhook, &format!("{{\"n\":{number}}}")).receipt();
    }
    let destination = json!({
        "name": "shop", "to": "https://shop.example/in", "hold": true, "batch_events": 2,
        "filter": {"event": {"name": ["tried"]}}, "where": "event.payload.n > 1",
    });
    assert_eq!(served.call("POST", "/destinations/", &destination).status, 201);
    let told = |more: &[&str]| {
        let words = ["limit", "simulate", "--destination", "shop", "--rate", "100/s"];
        let when = ["--since", "2000-01-01T00:00:00Z", "-o", "json"];
        let output = served.command(&[&words[..], &when, more].concat(), &served.key);
        // Before the index has an event, there is none.
        output.status.success().then(|| serde_json::from_slice::<Value>(&output.stdout))
    };
    let mut all = (0..500).filter_map(|_| told(&[])?.ok());
    let all = all.find(|told| told["events"] == 6).expect("six of eight");
    assert_eq!(all["requests"], 3, "{all}");
    let one = told(&["--batch-events", "6"]).expect("an answer").expect("JSON");
    assert_eq!(one["requests"], 1, "{one}");
}

#[test]
fn a_second_service_account_of_a_name_is_told() {
    let served = Served::start(|_| ());
    let create = || served.refused(&["key", "create", "--service-account", "ci"], &served.key);
    let (code, said) = create();
    assert!(code == 0 && !said.contains("are called"), "{said}");
    let (code, said) = create();
    assert!(code == 0 && said.contains("2 service accounts are called \"ci\" now"), "{said}");
}
