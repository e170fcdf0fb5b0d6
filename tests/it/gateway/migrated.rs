//! Webhooks copied from one gateway to another, as a program: made, left alone, changed, and held back when they would
//! lose their guard. In: two gateways and two keys. Out: what is printed, exit codes, and the webhooks that are there.

use serde_json::{Value, json};

use super::Served;
use super::commands::said;

const TEMPLATE: &str =
    "{\"event\": \"ü\",\r\n\t\"resource\": {\"prefect.resource.id\": \"r\"}}\n\n";

/// Makes a service account; its id.
fn bot(served: &Served, name: &str) -> Value {
    let account = served.api.split("/workspaces/").next().expect("an account").to_owned();
    let bearer = format!("Bearer {}", served.key);
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    let body = json!({ "name": name }).to_string();
    let made = served.send("POST", &format!("{account}/bots/"), &headers, body.as_bytes());
    made.json()["id"].clone()
}

#[test]
fn webhooks_are_copied_byte_for_byte_and_once() {
    let (from, to) = (Served::start(|_| ()), Served::start(|_| ()));
    let source = format!("http://{}{}", from.address(), from.api);
    let target = format!("http://{}", to.address());
    let run = |more: &[&str], code: i32| -> Vec<Value> {
        let start = ["migrate", "--from", &source, "--to", &target, "-o", "ndjson"];
        let mut command = from.alone(&[&start, more].concat());
        command.env("PREFECT_API_KEY", &from.key).env("HOOKGATE_API_KEY", &to.key);
        let output = command.output().expect("it runs");
        let said = said(&output);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(!said.contains(&from.key) && !said.contains(&to.key), "no key is shown");
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let outcomes = |rows: &[Value]| -> Vec<String> {
        rows.iter().map(|row| row["outcome"].as_str().expect("a word").to_owned()).collect()
    };
    let there = || -> Value { to.call("POST", "/webhooks/filter", &Value::Null).json() };
    assert!(run(&[], 0).is_empty());

    for name in ["b", "a", "a"] {
        let body =
            json!({ "name": name, "template": TEMPLATE, "description": "d", "enabled": false });
        assert_eq!(from.call("POST", "/webhooks/", &body).status, 201);
    }
    let guard = bot(&from, "shop");
    let body = json!({ "name": "guarded", "template": TEMPLATE, "service_account_id": guard });
    assert_eq!(from.call("POST", "/webhooks/", &body).status, 201);

    let foreseen = run(&["--dry-run"], 8);
    assert_eq!(outcomes(&foreseen), ["to create", "to create", "to create", "skipped"]);
    assert_eq!(there(), json!([]), "nothing was done");
    let made = run(&[], 8);
    assert_eq!(outcomes(&made), ["created", "created", "created", "skipped"]);
    assert!(made[0]["hook"].as_str().expect("a hook").starts_with(&target));
    assert!(made[3]["why"].as_str().expect("a reason").contains("no service account \"shop\""));
    let guard = bot(&to, "shop");
    assert_eq!(outcomes(&run(&[], 0)), ["unchanged", "unchanged", "unchanged", "created"]);
    let copies = there();
    let copies = copies.as_array().expect("a list");
    assert_eq!(copies.len(), 4);
    for copy in copies {
        assert_eq!(copy["template"], TEMPLATE);
        let is_guarded = copy["name"] == "guarded";
        assert_eq!(copy["enabled"], is_guarded);
        assert_eq!(
            copy["service_account_id"],
            if is_guarded { guard.clone() } else { Value::Null }
        );
    }

    let id = made[0]["id"].as_str().expect("an id");
    let off = to.call("PATCH", &format!("/webhooks/{id}"), &json!({ "enabled": true }));
    assert_eq!(off.status, 204);
    assert_eq!(outcomes(&run(&[], 0)), ["updated", "unchanged", "unchanged", "unchanged"]);
    assert_eq!(there().as_array().map(Vec::len), Some(4));

    let same = ["migrate", "--from", &source, "--to", &source];
    let mut command = from.alone(&same);
    command.env("PREFECT_API_KEY", &from.key).env("HOOKGATE_API_KEY", &from.key);
    let output = command.output().expect("it runs");
    assert!(output.status.code() == Some(2) && said(&output).contains("the same workspace"));
    let mut command = from.alone(&["migrate", "--from", &source, "--to", &target]);
    let output = command.env("PREFECT_API_KEY", "pnu_none").output().expect("it runs");
    assert!(
        output.status.code() == Some(4) && said(&output).contains("the target: there is no key")
    );
}
