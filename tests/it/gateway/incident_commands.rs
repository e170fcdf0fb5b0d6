//! The commands about incidents, as programs. In: arguments and a key. Out: what they print, their exit codes, and the
//! events that tell of it.

use serde_json::{Value, json};

use super::Served;

#[test]
fn an_incident_from_its_declaration_to_its_end() {
    let served = Served::start(|_| ());
    let json = |arguments: &[&str]| -> Value {
        let all = [&["incident"], arguments, &["-o", "json"]].concat();
        serde_json::from_str(&served.answered(&all)).expect("JSON")
    };
    let facts = ["--severity", "high", "--tag", "shop", "--resource", "app.shop"];
    let early = ["--since", "2026-11-23T22:00:00Z"];
    let made = json(&[&["declare", "Shop is down"], &facts[..], &early].concat());
    assert_eq!((&made["status"], &made["severity"]), (&json!("active"), &json!("high")));
    assert_eq!(made["related_resources"], json!([{ "prefect.resource.id": "app.shop" }]));
    let id = made["id"].as_str().expect("an id");
    assert_eq!(json(&["update", "Shop is down", "--severity", "low"])["severity"], "low");
    json(&["comment", id, "The disk is full"]);
    assert_eq!(json(&["resolve", id, "--at", "2026-11-23T22:30:00Z"])["status"], "resolved");
    let (code, said) = served.refused(&["incident", "resolve", id], &served.key);
    assert!(code == 1 && said.contains("resolved already"), "{code}: {said}");
    assert_eq!(json(&["ls", "--status", "active"]), json!([]));
    assert_eq!(json(&["reopen", id])["status"], "active");
    let listed = served.answered(&["incident", "ls", "--severity", "low", "--severity", "minor"]);
    assert!(listed.contains("Shop is down  active  low"), "{listed}");
    let shown = served.answered(&["incident", "show", id]);
    assert!(shown.contains("The disk is full") && shown.contains("app.shop"), "{shown}");
    served.answered(&["incident", "rm", id, "--yes"]);
    let (code, said) = served.refused(&["incident", "show", "Shop is down"], &served.key);
    assert!(code == 5 && said.contains("no incident is called"), "{code}: {said}");
    let (code, said) = served.refused(&["incident", "update", id], &served.key);
    assert!(code == 2 && said.contains("nothing is to change"), "{code}: {said}");
}
