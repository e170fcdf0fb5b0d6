//! A destination that leads back to the webhook its events come from: it ends after some rounds, told to who looks.

use serde_json::{Value, json};

use super::{Served, arrived, wait};

const TEMPLATE: &str = r#"{"event": "{{ 'last' if body.last else 'loop' }}.again",
    "resource": {"prefect.resource.id": "round"}}"#;

fn named(served: &Served, name: &str) -> usize {
    let all = arrived(&served.destination());
    all.iter().filter(|event| event["event"] == name).count()
}

#[test]
fn what_goes_in_a_circle_ends_and_is_told() {
    let served = Served::start(|config| config.egress.allow = vec!["127.0.0.0/8".into()]);
    let webhook = served.webhook(TEMPLATE);
    let slug = webhook["slug"].as_str().expect("a slug");
    let to = format!("http://{}/hooks/{slug}", served.address());
    served.answered(&["destination", "create", "back", &to, "--event", "loop.*"]);
    let first = served.post(&webhook, "{}");
    assert_eq!(first.status, 204);
    let parked = wait("the end of it", || {
        let all = served.answered(&["parked", "ls", "back", "-o", "json"]);
        all.lines().next().map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
    });
    assert!(parked["reason"].as_str().expect("why").contains("508"), "{parked}");
    assert!(parked["answer"].as_str().expect("what").contains("leads back here"), "{parked}");
    served.post(&webhook, r#"{"last": true}"#);
    wait("the last", || (named(&served, "last.again") == 1).then_some(()));
    assert_eq!(named(&served, "loop.again"), 8, "one, and one for each round");
    // A notice of it would go round, too.
    assert_eq!(named(&served, "hookgate.destination.parked"), 0);

    let sent = |hops: &str| {
        let headers = [("hookgate-hops", hops)];
        served.send("POST", &format!("/hooks/{slug}"), &headers, br#"{"last": true}"#).status
    };
    assert_eq!(["7", "", "-1", "many"].map(sent), [204; 4]);
    assert_eq!(["8", "9", "300", "99999999999999999999"].map(sent), [508; 4]);
    let headers = [("hookgate-hops", "8"), ("x-request-id", "round:10")];
    assert_eq!(served.send("POST", &format!("/hooks/{slug}"), &headers, b"{}").status, 508);
    let said = served.answered(&["explain", "round:10"]);
    assert!(said.contains("loop (it came through 8 gateways), answered 508"), "{said}");
}

#[test]
fn no_rule_and_no_retry_counts_a_circle_anew() {
    let served = Served::start(|config| config.egress.allow = vec!["127.0.0.0/8".into()]);
    let redact = json!({"headers": ["hookgate-hops"], "query": [], "body": []});
    let body = json!({"name": "discreet", "template": TEMPLATE, "redact": redact});
    let webhook = served.call("POST", "/webhooks/", &body).json();
    let slug = webhook["slug"].as_str().expect("a slug");
    let to = format!("http://{}/hooks/{slug}", served.address());
    served.answered(&["destination", "create", "back", &to, "--event", "loop.*"]);
    assert_eq!(served.post(&webhook, "{}").status, 204);
    let parked = || {
        let all = served.answered(&["parked", "ls", "back", "-o", "json"]);
        all.lines().next().map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
    };
    let before = wait("the end of it", parked);
    served.answered(&["parked", "retry", "back", "--all"]);
    // It goes out once more, and is where it was.
    wait("the end again", || {
        parked().filter(|parked| parked["attempts"].as_u64() > before["attempts"].as_u64())
    });
    served.post(&webhook, r#"{"last": true}"#);
    wait("the last", || (named(&served, "last.again") == 1).then_some(()));
    assert_eq!(named(&served, "loop.again"), 8, "one, and one for each round");
    let sent = served.send("POST", &format!("/hooks/{slug}"), &[("hookgate-hops", "7x")], b"{}");
    let told = served.call("GET", &format!("/requests/{}", sent.receipt()), &Value::Null).text();
    assert!(told.contains(r#""hookgate-hops":"7""#), "nothing but the count: {told}");
}
