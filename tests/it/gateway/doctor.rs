//! What `hookgate doctor` finds in the records of a gateway that runs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use super::Served;

/// What the program finds of `kinds`, where systemd gives it a folder of credentials.
fn given(served: &Served, credentials: &Path, kinds: &[&str]) -> Vec<String> {
    let data = served.config.server.data.display().to_string();
    let mut doctor = served.alone(&["doctor", "--data", &data, "-o", "json"]);
    let output = doctor.env("CREDENTIALS_DIRECTORY", credentials).output().expect("it runs");
    let told = String::from_utf8(output.stdout).expect("text");
    let rows = told.lines().map(|line| serde_json::from_str::<Value>(line).expect(line));
    let names = rows.map(|row| row["name"].as_str().expect("text").to_owned());
    names.filter(|name| kinds.contains(&name.as_str())).collect()
}

#[test]
fn a_credential_of_systemds_is_used_and_may_have_its_mode() {
    let served = Served::start(|_| ());
    let folder = served.folder.join("credentials");
    fs::create_dir_all(&folder).expect("a folder");
    let kinds = ["key-file", "key-file-mode", "not-sealed"];
    assert_eq!(given(&served, &folder, &kinds), ["not-sealed"], "nothing is there");
    let keys = folder.join("hookgate.keys");
    served.answered(&["secrets", "init", &keys.display().to_string()]);
    let mode = |mode| fs::set_permissions(&keys, fs::Permissions::from_mode(mode)).expect("a mode");
    mode(0o440);
    assert_eq!(given(&served, &folder, &kinds), [""; 0]);
    mode(0o644);
    assert_eq!(given(&served, &folder, &kinds), ["key-file-mode"]);
}

const TEMPLATE: &str = r#"{"event": "a.b", "resource": {"prefect.resource.id": "a"}}"#;

fn found(served: &Served) -> Vec<(String, String)> {
    let data = served.config.server.data.display().to_string();
    let (_, told) = served.refused(&["doctor", "--data", &data, "-o", "json"], &served.key);
    let rows = told.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let kinds = ["open-webhook", "only-labelled", "endless-key", "clear-destination"];
    let text = |row: &Value, name: &str| row[name].as_str().expect("text").to_owned();
    let rows = rows.map(|row| (text(&row, "name"), text(&row, "what")));
    rows.filter(|(name, _)| kinds.contains(&name.as_str())).collect()
}

#[test]
fn what_records_leave_open_is_named() {
    let served = Served::start(|_| ());
    assert_eq!(found(&served), []);
    let secret = "a-secret-that-nobody-sees";
    let webhook = |name: &str, more: Value| {
        let mut body = json!({"name": name, "template": TEMPLATE});
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        assert_eq!(served.call("POST", "/webhooks/", &body).status, 201, "{name}");
    };
    let signed = |required: bool| {
        let said = json!({"provider": "github", "secrets": [secret], "required": required});
        json!({ "verification": said })
    };
    webhook("closed", signed(true));
    webhook("near", json!({"networks": ["192.0.2.0/24"]}));
    webhook("far", json!({"networks": ["0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"]}));
    webhook("off", json!({"enabled": false}));
    for name in ["shop", "mine \u{1b}", "c", "d", "e", "f", "g"] {
        webhook(name, json!({}));
    }
    webhook("labelled", signed(false));
    for (name, to) in [("clear", "http://192.0.2.1/in"), ("safe", "https://192.0.2.1/in")] {
        let made = served.call("POST", "/destinations/", &json!({"name": name, "to": to}));
        assert_eq!(made.status, 201, "{}", made.text());
    }
    served.answered(&["key", "create", "--service-account", "robot"]);
    served.answered(&["key", "create", "--service-account", "guest", "--expires", "1d"]);
    let found = found(&served);
    let what = |name: &str| {
        let row = found.iter().find(|row| row.0 == name);
        row.map(|row| row.1.clone()).unwrap_or_default()
    };
    assert!(what("open-webhook").ends_with(" and 3 more"), "{found:?}");
    assert!(!what("open-webhook").contains('\u{1b}'), "{found:?}");
    assert!(what("only-labelled").ends_with(r#": "labelled""#), "{found:?}");
    assert!(what("endless-key").ends_with(r#": "robot""#), "{found:?}");
    assert!(what("clear-destination").ends_with(r#": "clear""#), "{found:?}");
}
