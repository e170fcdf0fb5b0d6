//! The control plane from outside: a change is seen by hooks at once, and its audit events arrive.

use serde_json::{Value, json};

use super::{Served, arrived, wait};

const TEMPLATE: &str = r#"{"event": "one", "resource": {"prefect.resource.id": "1"}}"#;

/// Audit events of webhooks, once there are `count`.
fn audit(served: &Served, count: usize) -> Vec<Value> {
    wait("audit events", || {
        let events: Vec<Value> = arrived(&served.destination())
            .into_iter()
            .filter(|event| {
                let name = event["event"].as_str().expect("a name");
                name.starts_with("prefect-cloud.webhook.") && !name.ends_with("received")
            })
            .collect();
        (events.len() >= count).then_some(events)
    })
}

#[test]
fn a_webhook_lives_and_each_change_is_heard_at_once_and_audited() {
    let served = Served::start(|_| ());
    let webhook = served.webhook(TEMPLATE);
    let path = format!("/webhooks/{}", webhook["id"].as_str().expect("an id"));
    assert_eq!(served.post(&webhook, "{}").status, 204);
    let changed = TEMPLATE.replace("one", "two");
    let update = json!({"name": "renamed", "template": changed});
    assert_eq!(served.call("PUT", &path, &update).status, 204);
    assert_eq!(served.post(&webhook, "{}").status, 204);
    let overlap = json!({"old_slug_expires_in_seconds": 3600});
    let rotated = served.call("POST", &format!("{path}/rotate"), &overlap);
    assert_eq!(rotated.status, 200);
    assert_eq!(served.post(&webhook, "{}").status, 204, "the old slug lives on");
    let (oldest, webhook) = (webhook, rotated.json());
    assert_eq!(served.post(&webhook, "{}").status, 204);
    let rotated = served.call("POST", &format!("{path}/rotate"), &Value::Null);
    assert_eq!(rotated.status, 200);
    assert_eq!(served.post(&oldest, "{}").status, 404, "another rotation ends it");
    assert_eq!(served.post(&webhook, "{}").status, 404, "the old slug stops at once");
    let webhook = rotated.json();
    assert_eq!(served.post(&webhook, "{}").status, 204);
    assert_eq!(served.call("DELETE", &path, &Value::Null).status, 204);
    assert_eq!(served.post(&webhook, "{}").status, 404);
    assert_eq!(served.call("GET", &path, &Value::Null).status, 404);
    let names: Vec<String> = served
        .events(10)
        .iter()
        .map(|event| event["event"].as_str().expect("a name").to_owned())
        .filter(|name| !name.starts_with("prefect-cloud."))
        .collect();
    assert_eq!(names, ["one", "two", "two", "two", "two"]);
    let events = audit(&served, 5);
    let told: Vec<_> = events
        .iter()
        .map(|event| {
            let name = event["event"].as_str().expect("a name");
            let fields = event["payload"]["updated_fields"].clone();
            (name.rsplit('.').next().expect("a verb").to_owned(), fields)
        })
        .collect();
    let expected = [
        ("created".to_owned(), Value::Null),
        ("updated".to_owned(), json!(["name", "template"])),
        ("updated".to_owned(), json!(["slug"])),
        ("updated".to_owned(), json!(["slug"])),
        ("deleted".to_owned(), Value::Null),
    ];
    assert_eq!(told, expected);
    for webhook in [oldest, webhook] {
        let slug = webhook["slug"].as_str().expect("a slug");
        assert!(events.iter().all(|event| !event.to_string().contains(slug)), "a slug got out");
    }
}

#[test]
fn a_template_that_does_not_compile_is_refused_with_its_line() {
    let served = Served::start(|_| ());
    let body = json!({"name": "bad", "template": "{\n{% for x in %}"});
    let answer = served.call("POST", "/webhooks/", &body);
    assert_eq!(answer.status, 422);
    assert!(answer.text().contains("line 2"), "{}", answer.text());
}

#[test]
fn who_has_no_key_is_told_nothing() {
    let served = Served::start(|_| ());
    for key in ["", "Bearer pnu_wrong", "Basic eDp5"] {
        let path = format!("{}/webhooks/filter", served.api);
        let headers = [("authorization", key)];
        let answer = served.send("POST", &path, &headers, b"");
        assert_eq!(answer.status, 401, "{key}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
}

#[test]
fn a_webhook_opens_to_its_service_account_while_that_is_let_in() {
    let served = Served::start(|_| ());
    let account = served.api.split("/workspaces").next().expect("an account");
    let owner = format!("Bearer {}", served.key);
    let ask = |method: &str, path: &str, body: &Value| {
        let headers = [("authorization", &*owner), ("content-type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        served.send(method, &format!("{account}/{path}"), &headers, body.as_bytes())
    };
    let bot = ask("POST", "bots/", &json!({"name": "ci"})).json();
    let (id, key) = (bot["id"].as_str(), bot["api_key"]["key"].as_str());
    let (id, key) = (id.expect("an id"), key.expect("a key"));
    let body = json!({"name": "a", "template": TEMPLATE, "service_account_id": id});
    let webhook = served.call("POST", "/webhooks/", &body).json();
    let hook = format!("/hooks/{}", webhook["slug"].as_str().expect("a slug"));
    let post = |bearer: &str| {
        let headers = [("authorization", bearer), ("content-type", "application/json")];
        served.send("POST", &hook, &headers, br#"{"id": 1}"#).status
    };
    let theirs = format!("Bearer {key}");
    assert_eq!((post(&owner), post(&theirs)), (401, 204));
    let path = format!("account_memberships/by-bot/{id}");
    let place = ask("GET", &path, &Value::Null).json();
    let path = format!("account_memberships/{}/active", place["id"].as_str().expect("an id"));
    for (active, status) in [(false, 401), (true, 204)] {
        assert_eq!(ask("PATCH", &path, &json!({ "active": active })).status, 204);
        assert_eq!(post(&theirs), status, "switched to {active}");
    }
}
