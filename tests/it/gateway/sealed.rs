//! Requests that are kept under seal: nothing of them to be read in the data folder, all of it by the commands; a key
//! that is replaced while the gateway runs, and one that is missed.

use std::sync::Arc;

use serde_json::Value;

use super::secrets::shows;
use super::{Answer, Served, wait};

const SECRET: &str = "4929-1111-no-file-shows";
const TEMPLATE: &str = r#"{"event": "shop.{{ body.kind }}", "resource": {"prefect.resource.id": "shop.1"},
    "payload": {"length": {{ body.card|length }}}} {%- if body.kind == 'odd' %}{{ body[body.card]() }}{% endif %}"#;

impl Served {
    fn pay(&self, hook: &Value, kind: &str) -> Answer {
        let path = format!("/hooks/{}?key={SECRET}", hook["slug"].as_str().expect("a slug"));
        let body = format!(r#"{{"kind": "{kind}", "card": "{SECRET}"}}"#);
        self.send("POST", &path, &[], body.as_bytes())
    }

    /// Starts again with another file of keys.
    fn with_keys(&mut self, file: Option<&str>) {
        self.stop();
        self.config.store.key_file = file.map(Into::into);
        self.config.spool.seal_requests = file.is_some();
        self.resume();
    }

    fn init(&self, name: &str) -> (String, String) {
        let file = self.folder.join(name).display().to_string();
        let said = self.answered(&["secrets", "init", &file]);
        (file, said.trim_start_matches("key").trim().to_owned())
    }
}

#[test]
fn sealed_requests_are_read_by_commands_alone() {
    let mut served = Served::start(|_| ());
    let (keys, name) = served.init("secrets.keys");
    served.with_keys(Some(&keys));
    let hook = served.webhook(TEMPLATE);
    let (paid, odd) = (served.pay(&hook, "paid"), served.pay(&hook, "odd"));
    assert_eq!((paid.status, odd.status), (204, 400), "{}", odd.text());
    served.kept(2);
    let events = served.events(4);
    let failed = events.iter().find(|event| event["follows"] == odd.receipt()).expect("it failed");
    let payload = &failed["payload"];
    assert!(payload["body"].is_null() && payload["rendered"].is_null(), "{payload}");
    let error = payload["error"].as_str().expect("an error");
    assert!(error.contains("sealed: `hookgate explain` says them"), "{error}");

    for (command, parts) in [
        (&["request", "show", paid.receipt()][..], &["card", "key=4929"][..]),
        (&["request", "curl", paid.receipt(), "--to", "http://127.0.0.1:9/"], &["key=4929"]),
        (&["request", "export"], &["body_json", "key=4929"]),
        (&["explain", odd.receipt()], &["127.0.0.1", "is not callable"]),
        (&["replay", "--status", "ok", "--render-only"], &["shop.paid"]),
    ] {
        let said = served.answered(command);
        assert!(parts.iter().all(|part| said.contains(part)), "{command:?}: {said}");
    }
    let shown = served.call("GET", &format!("/requests/{}", paid.receipt()), &Value::Null).json();
    assert_eq!(shown["content_length"], 51, "as it came");
    let data = served.config.server.data.clone();
    let status = served.answered(&["secrets", "status", "--data", &data.display().to_string()]);
    assert_eq!(status, format!("in the clear  0\nrequests  key {name}\n"));
    assert!(!shows(&served.folder, SECRET));
    served.stop();
    assert!(!shows(&served.folder, SECRET), "nor at the end");
}

#[test]
fn a_key_stays_as_long_as_requests_need_it_and_is_named_when_it_is_missed() {
    let mut served = Served::start(|_| ());
    let data = served.config.server.data.display().to_string();
    let (keys, first) = served.init("secrets.keys");
    served.with_keys(Some(&keys));
    let hook = served.webhook(TEMPLATE);
    let old = served.pay(&hook, "odd");
    served.kept(1);

    let rotate = ["secrets", "rotate", "--data", &data, "--key-file", &keys];
    served.answered(&rotate);
    let status = ["secrets", "status", "--data", &data];
    let in_use = || served.answered(&status).lines().filter(|line| line.contains("req")).count();
    wait("the gateway to follow", || (in_use() == 2).then_some(()));
    let said = served.answered(&rotate);
    assert!(said.contains(&first), "it is in use: {said}");
    let new = served.pay(&hook, "paid");
    assert_eq!(new.status, 204);
    served.kept(2);
    for answer in [&old, &new] {
        let said = served.answered(&["request", "show", answer.receipt()]);
        assert!(said.contains(SECRET), "{said}");
    }

    // Another file: what it does not open is told by the key's name, and all else goes on.
    let (others, _) = served.init("others.keys");
    served.with_keys(Some(&others));
    let third = served.pay(&hook, "paid");
    assert_eq!(third.status, 204);
    served.kept(3);
    let lost = format!("sealed with key {first}, which store.key_file does not have");
    for (code, command) in [
        (1, &["request", "show", old.receipt()][..]),
        (0, &["explain", old.receipt()]),
        (8, &["replay", "--status", "failed"]),
        (8, &["request", "export"]),
    ] {
        let (found, said) = served.refused(command, &served.key);
        assert!(found == code && said.contains(&lost), "{command:?}: {found}: {said}");
    }
    let said = served.answered(&["request", "show", third.receipt()]);
    assert!(said.contains(SECRET), "{said}");

    // It is put back, and requests come in the clear again: what was sealed is read still.
    served.with_keys(Some(&keys));
    served.config.spool.seal_requests = false;
    served.stop();
    served.resume();
    assert!(served.answered(&["request", "show", old.receipt()]).contains(SECRET));
    assert!(served.config.store.key_file.is_some());
}

#[test]
fn nothing_starts_that_should_seal_and_has_no_key() {
    let mut served = Served::start(|_| ());
    served.stop();
    served.config.spool.seal_requests = true;
    let start = hookgate::serve::Gateway::start(&served.config, Arc::clone(&served.clock));
    let fault = served.runtime.block_on(start).expect_err("no key").to_string();
    assert!(fault.contains("spool.seal_requests needs a key"), "{fault}");
}
