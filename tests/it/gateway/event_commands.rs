//! The commands about events and keys, as programs: events emitted, listed, shown and followed; keys made, rotated
//! and ended. In: arguments and a key. Out: what they print, and their exit codes.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::Value;

use super::Served;

const EARLIER: &str = "2026-11-23T22:00:00Z";
const LATER: &str = "2026-11-23T22:00:01Z";

fn rows(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn keys_of_service_accounts_are_made_rotated_and_ended() {
    let served = Served::start(|_| ());
    let json = |arguments: &[&str]| -> Value {
        serde_json::from_str(&served.answered(&[arguments, &["-o", "json"]].concat()))
            .expect("JSON")
    };
    let made = json(&["key", "create", "--service-account", "shop", "--expires", "90d"]);
    assert!(made["key"].as_str().expect("a key").starts_with("pnb_"));
    assert_eq!(made["owner"], "shop");
    assert!(made["expiration"].is_string());
    let shown = served.answered(&["key", "rotate", "shop", "--overlap", "1h"]);
    assert!(shown.contains("pnb_") && shown.contains("shown once"), "{shown}");
    let keys = rows(&served.answered(&["key", "ls", "--service-account", "shop", "-o", "ndjson"]));
    assert_eq!(keys.len(), 2, "the old one lives on for a while");
    assert!(keys.iter().all(|key| key.get("key").is_none()), "no key is told twice");
    let old = keys[1]["id"].as_str().expect("an id");
    served.answered(&["key", "rm", old, "--service-account", "shop", "--yes"]);
    let all = served.answered(&["key", "ls", "--service-accounts"]);
    assert_eq!(all.lines().count(), 2, "{all}");
    served.answered(&["key", "rm", "--service-account", "shop", "--yes"]);
    let (code, said) = served.refused(&["key", "rotate", "shop"], &served.key);
    assert!(code == 5 && said.contains("no service account is called"), "{code}: {said}");
    let (code, said) = served.refused(&["key", "rotate", "shop", "--overlap", "3d"], &served.key);
    assert!(code == 2 && said.contains("at most 172800 s"), "{code}: {said}");
}

#[test]
fn keys_of_ones_own_and_who_did_what() {
    let served = Served::start(|_| ());
    let made = served.answered(&["key", "create", "laptop", "--expires", "2030-01-01T00:00:00Z"]);
    assert!(made.contains("pnu_") && made.contains("2030-01-01"), "{made}");
    let listed = served.answered(&["key", "ls"]);
    let row = listed.lines().find(|line| line.contains("laptop")).expect("a row");
    assert!(row.contains("pnu_..."), "masked: {row}");
    served.answered(&["key", "rm", "laptop", "--yes"]);
    let (code, said) = served.refused(&["key", "rm", "laptop", "--yes"], &served.key);
    assert!(code == 5 && said.contains("no key is called \"laptop\""), "{code}: {said}");

    let list = |more: &[&str]| served.answered(&[&["audit", "ls"], more].concat());
    let of_keys = ["--kind", "api-key", "--oldest-first", "--since", EARLIER];
    super::wait("the last act", || list(&of_keys).contains("api-key.deleted").then_some(()));
    let acts = list(&of_keys);
    let acts: Vec<_> = acts.lines().filter(|line| line.contains("  laptop  by ")).collect();
    assert_eq!(acts.len(), 2, "{acts:?}");
    assert!(acts[0].contains("  api-key.created  ") && acts[1].contains("  api-key.deleted  "));
    assert!(list(&["--by", "nobody"]).is_empty());
    let rows = rows(&list(&["--kind", "api-key", "--limit", "1", "-o", "ndjson"]));
    assert_eq!(rows[0]["event"], "prefect-cloud.api-key.deleted");
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

#[test]
fn a_tail_outlives_the_gateway_and_prints_each_event_once() {
    let mut served = Served::start(|_| ());
    // The same port again, as a gateway has that is started anew.
    served.config.server.listen = vec![served.address()];
    served.stop();
    served.resume();
    let emit = |served: &Served, name: &str, occurred: &str| {
        served.answered(&["event", "emit", name, "--resource-id", "r", "--occurred", occurred]);
    };
    let follow = ["event", "tail", "--since", EARLIER, "--event", "deploy.*", "--count", "3"];
    let mut tail = served.alone(&[&follow[..], &["-o", "ndjson"]].concat());
    tail.env("HOOKGATE_URL", format!("http://{}", served.address()));
    tail.env("HOOKGATE_API_KEY", &served.key);
    emit(&served, "deploy.before", EARLIER);
    let mut tail = tail.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(tail.stdout.take().expect("its output")).lines();
    let mut next = || -> Value {
        let line = lines.next().expect("a line").expect("text");
        serde_json::from_str::<Value>(&line).expect("JSON")["event"].clone()
    };
    assert_eq!(next(), "deploy.before", "what was kept comes first");
    served.stop();
    served.resume();
    emit(&served, "other", LATER);
    emit(&served, "deploy.between", LATER);
    assert_eq!(next(), "deploy.between");
    emit(&served, "deploy.after", EARLIER);
    assert_eq!(next(), "deploy.after");
    let ended = tail.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && said.contains("; again in "), "{said}");

    let (code, said) = served.refused(&["event", "tail"], "pnu_none");
    assert_eq!(code, 4, "{said}");
}

#[test]
fn a_password_is_set_and_set_again_by_who_knows_it() {
    let served = Served::start(|_| ());
    let file = |name: &str, text: &str| {
        let path = served.folder.join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_str().expect("text").to_owned()
    };
    let (old, new) = (file("old", "correct horse one\n"), file("new", "correct horse two\n"));
    served.answered(&["password", "--password-file", &old]);
    let (code, said) = served.refused(&["password", "--password-file", &new], &served.key);
    assert!(code == 1 && said.contains("current_password"), "{code}: {said}");
    assert!(!said.contains("horse"), "{said}");
    served.answered(&["password", "--password-file", &new, "--current-password-file", &old]);
    let (code, said) = served.refused(&["password"], &served.key);
    assert!(code == 2 && said.contains("there is no password"), "{code}: {said}");
    let both = ["password", "--password-file", "-", "--current-password-file", "-"];
    let (code, said) = served.refused(&both, &served.key);
    assert!(code == 2 && said.contains("one of the two"), "{code}: {said}");
    let made = served.answered(&["key", "create", "--service-account", "shop", "-o", "json"]);
    let made: Value = serde_json::from_str(&made).expect("JSON");
    let key = made["key"].as_str().expect("a key");
    let (code, said) = served.refused(&["password", "--password-file", &new], key);
    assert!(code == 5 && said.contains("only people"), "{code}: {said}");
}
