//! The commands about events, as programs: events emitted, listed and shown. In: arguments and a key. Out: what they
//! print, and their exit codes.

use serde_json::Value;

use super::Served;

const EARLIER: &str = "2026-11-23T22:00:00Z";
const LATER: &str = "2026-11-23T22:00:01Z";

fn rows(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn an_event_is_emitted_listed_and_shown() {
    let served = Served::start(|_| ());
    let payload = r#"{"seconds":41.50,"digits":12345678901234567890}"#;
    let emit = |name: &str, more: &[&str]| -> Value {
        let start = ["event", "emit", name, "--resource-id", "app.shop", "-o", "json"];
        serde_json::from_str(&served.answered(&[&start, more].concat())).expect("JSON")
    };
    // Before the gateway's own moment: it looks no further.
    let related = ["--related", "environment=env.prod", "--resource-label", "version=1.4"];
    let first = emit("deploy.started", &[&related[..], &["--occurred", EARLIER]].concat());
    let id = first["id"].as_str().expect("an id").to_owned();
    let follows = ["--payload", payload, "--follows", &id, "--occurred", LATER];
    emit("deploy.finished", &follows);
    let events = served.events(2);
    assert_eq!(events[0]["related"][0]["prefect.resource.role"], "environment");
    assert_eq!(events[0]["resource"]["version"], "1.4");
    assert_eq!(events[1]["follows"], id.as_str());

    let since = ["--since", "2020-01-01T00:00:00Z"];
    let list = |more: &[&str]| served.answered(&[&["event", "ls"], &since[..], more].concat());
    super::wait("two events in the index", || (list(&[]).lines().count() >= 2).then_some(()));
    let newest = list(&["--event", "deploy.*", "--limit", "1", "-o", "ndjson"]);
    assert!(newest.contains(payload), "no digit is lost: {newest}");
    let names =
        |text: &str| -> Vec<Value> { rows(text).iter().map(|row| row["event"].clone()).collect() };
    let oldest = ["--event", "deploy.*", "--oldest-first", "-o", "ndjson"];
    assert_eq!(names(&list(&oldest)), ["deploy.started", "deploy.finished"]);
    let wanted = ["--related", "environment=env.prod", "-o", "ndjson"];
    assert_eq!(names(&list(&wanted)), ["deploy.started"]);
    let array: Value = serde_json::from_str(&list(&["-o", "json"])).expect("one array");
    assert!(array.as_array().expect("an array").len() >= 2);
    let line = list(&["--event", "deploy.started"]);
    assert!(line.contains(&id) && line.ends_with("deploy.started  app.shop\n"), "{line}");
    let shown = served.answered(&["event", "show", &id]);
    assert!(shown.contains("\"event\": \"deploy.started\""), "{shown}");

    let nobody = "019ab2f0-6f4e-7cc1-9a8b-0d8b1c4f9f10";
    let (code, said) = served.refused(&["event", "show", nobody], &served.key);
    assert!(code == 5 && said.contains("--whole-account"), "{code}: {said}");
    let forged = ["event", "emit", "prefect-cloud.user.deleted", "--resource-id", "x"];
    let (code, said) = served.refused(&forged, &served.key);
    assert!(code == 1 && said.contains("422"), "{code}: {said}");
    let broken = ["event", "emit", "a", "--resource-id", "x", "--payload", "{"];
    let (code, said) = served.refused(&broken, &served.key);
    assert!(code == 2 && said.contains("no JSON"), "{code}: {said}");
}
