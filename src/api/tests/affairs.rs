//! Automations and incidents.

use super::workspaces::text;
use super::*;

impl House {
    fn within(&self, more: &str) -> String {
        format!("{}/{more}", self.first.api_path)
    }

    /// Makes one, and forgets the events that said so.
    fn made(&self, path: &str, body: &Value) -> Value {
        let answer = self.call("POST", path, &body.to_string());
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.body
    }
}

/// As the provider of Terraform sends it.
fn automation() -> Value {
    let event = |name: &str| {
        json!({"type": "event", "match": {"a": ["b"]}, "match_related": {}, "posture": "Reactive",
            "expect": [name], "threshold": 1, "within": 0.0, "new": {"unknown": [1.50]}})
    };
    json!({
        "name": "react", "description": "", "enabled": true,
        "trigger": {"type": "compound", "triggers": [event("x"), event("y")], "require": "all",
            "within": 60.0},
        "actions": [{"type": "run-deployment", "source": "selected", "deployment_id": OTHER,
            "parameters": {"p": null}, "unheard": true}],
        "actions_on_trigger": null, "actions_on_resolve": null,
    })
}

#[test]
fn an_automation_comes_back_as_it_was_sent() {
    let house = House::new();
    let path = house.within("automations/");
    let sent = automation();
    let made = house.made(&path, &sent);
    assert_eq!(house.event_names(), ["automation.created"]);
    let own = format!("{path}{}", text(&made["id"]));
    let read = house.call("GET", &own, "").body;
    assert_eq!(read, made);
    for (name, value) in [
        ("actions", sent["actions"].clone()),
        ("actions_on_trigger", json!([])),
        ("actions_on_resolve", json!([])),
        ("tags", json!([])),
        ("labels", json!({})),
        ("account", made["account_id"].clone()),
        ("workspace", made["workspace_id"].clone()),
        ("workspace_id", json!(house.first.workspace_id.to_string())),
    ] {
        assert_eq!(read[name], value, "{name}");
    }
    assert_eq!(read["actor"]["handle"], "admin");
    let mut stripped = read["trigger"].clone();
    let mut ids = vec![stripped.as_object_mut().and_then(|trigger| trigger.remove("id"))];
    for inner in stripped["triggers"].as_array_mut().expect("triggers") {
        let inner = inner.as_object_mut().expect("a trigger");
        ids.push(inner.remove("id"));
        for silent in ["after", "for_each"] {
            assert_eq!(inner.remove(silent), Some(json!([])), "{silent}");
        }
    }
    assert_eq!(stripped, sent["trigger"]);
    ids.sort_by_key(|id| id.as_ref().map(Value::to_string));
    ids.dedup();
    assert_eq!(ids.len(), 3, "each trigger has an id of its own");

    assert_eq!(house.call("PUT", &own, &sent.to_string()).status, 204);
    assert_eq!(house.call("PATCH", &own, r#"{"enabled":true}"#).status, 204);
    assert!(house.events().is_empty(), "nothing changed, the ids of triggers among it");
    assert_eq!(house.call("PATCH", &own, r#"{"name":"x"}"#).status, 422);
    assert_eq!(house.call("PATCH", &own, r#"{"enabled":false}"#).status, 204);
    assert_eq!(house.call("DELETE", &own, "").status, 204);
    assert_eq!(house.event_names(), ["automation.updated", "automation.deleted"]);
}

#[test]
fn automations_are_found_by_what_they_are_about() {
    let house = House::new();
    let path = house.within("automations");
    let mut owned = automation();
    owned["owner_resource"] = "prefect.deployment.o".into();
    owned["name"] = "owned".into();
    house.made(&path, &owned);
    house.made(&path, &automation());
    let names = |answer: &Answer| {
        assert_eq!(answer.status, 200, "{answer:?}");
        let rows = answer.body.as_array().expect("rows").iter();
        rows.map(|row| text(&row["name"]).to_owned()).collect::<Vec<_>>()
    };
    let listed = r#"{"automations":null,"sort":null,"limit":null,"offset":0}"#;
    let filter = format!("{path}/filter");
    assert_eq!(names(&house.call("POST", &filter, listed)), ["owned", "react"]);
    let one = r#"{"automations":{"name":{"any_":["react"]}},"sort":"NAME_DESC"}"#;
    assert_eq!(names(&house.call("POST", &filter, one)), ["react"]);
    assert_eq!(house.call("POST", &format!("{path}/count"), "").body, 2);
    let related =
        |resource: &str| names(&house.call("GET", &format!("{path}/related-to/{resource}"), ""));
    assert_eq!(related(&format!("prefect.deployment.{OTHER}")), ["owned", "react"]);
    assert_eq!(related("prefect%2Edeployment.o"), ["owned"]);
    assert!(related("prefect.deployment.").is_empty(), "a whole id, or none");
    house.events();
    let drop =
        |resource: &str| house.call("DELETE", &format!("{path}/owned-by/{resource}"), "").status;
    assert_eq!((drop("prefect.deployment.x"), drop("prefect.deployment.o")), (204, 204));
    assert_eq!(house.event_names(), ["automation.deleted"]);
    assert_eq!(names(&house.call("POST", &filter, "")), ["react"]);
}

#[test]
fn what_is_no_automation_is_refused() {
    let house = House::new();
    let path = house.within("automations");
    for (field, value) in [
        ("trigger", Value::Null),
        ("trigger", json!({"type": "weather"})),
        ("trigger", json!({"type": "compound", "triggers": []})),
        ("trigger", json!({"type": "sequence", "triggers": [{"type": 7}]})),
        ("trigger", json!({"type": "event", "posture": "Proactive", "within": 9.5})),
        ("actions", json!([{"source": "inferred"}])),
        ("actions", json!({})),
        ("labels", json!([])),
        ("tags", json!([1])),
        ("trigger", json!({"type": "event", "match": {"a": "x".repeat(66_000)}})),
    ] {
        let mut body = automation();
        body[field] = value;
        let answer = house.call("POST", &path, &body.to_string());
        let at = &answer.body["detail"][0]["loc"];
        assert_eq!((answer.status, at), (422, &json!(["body", field])), "{answer:?}");
    }
    assert!(house.events().is_empty());
}

#[test]
fn an_incident_is_declared_resolved_and_reopened() {
    let house = House::new();
    let path = house.within("incidents/");
    let resource = json!({"prefect.resource.id": "prefect.flow-run.x"});
    let body = json!({"name": "Outage", "tags": ["db"], "related_resources": [resource]});
    let made = house.made(&path, &body);
    assert_eq!((&made["status"], &made["severity"]), (&json!("active"), &json!("moderate")));
    assert_eq!((&made["start_time"], &made["end_time"]), (&made["created"], &Value::Null));
    let events = house.events();
    let names: Vec<_> = events.iter().map(|event| text(&event["event"])).collect();
    assert_eq!(names, ["prefect-cloud.incident.created", "prefect-cloud.incident.declared"]);
    let declared = json!({"id": made["id"], "name": "Outage", "status": "active",
        "severity": "moderate", "tags": ["db"]});
    assert_eq!(events[1]["payload"], declared);
    let labels = json!({
        "prefect.resource.id": format!("prefect-cloud.incident.{}", text(&made["id"])),
        "prefect.resource.name": "Outage", "prefect-cloud.incident.severity": "moderate",
    });
    assert_eq!(events[1]["resource"], labels);

    let own = format!("{path}{}", text(&made["id"]));
    let step = |action: &str, body: &str| {
        let status = house.call("POST", &format!("{own}/{action}"), body).status;
        (status, house.event_names())
    };
    let told = |action: &str| vec![format!("incident.{action}"), "incident.updated".to_owned()];
    assert_eq!(step("reopen", ""), (409, vec![]));
    assert_eq!(step("resolve", r#"{"end_time":"2001-01-01T00:00:00Z"}"#), (422, vec![]));
    let end = "2033-01-01T00:00:00Z";
    assert_eq!(step("resolve", &json!({"end_time": end}).to_string()), (204, told("resolved")));
    assert_eq!(step("resolve", ""), (409, vec![]));
    let read = house.call("GET", &own, "").body;
    assert_eq!((&read["status"], &read["end_time"]), (&json!("resolved"), &json!(end)));
    assert_eq!(step("reopen", ""), (204, told("reopened")));
    assert_eq!(house.call("GET", &own, "").body["end_time"], Value::Null);
    let found = house.call("POST", &format!("{path}filter"), r#"{"sort":null}"#).body;
    assert_eq!(found[0]["id"], made["id"]);
    assert_eq!(house.call("DELETE", &own, "").status, 204);
    assert_eq!(house.event_names(), ["incident.deleted"]);
}

#[test]
fn each_field_of_an_incident_is_told_by_itself() {
    let house = House::new();
    let path = house.within("incidents");
    let made = house.made(&path, &json!({"name": "Outage"}));
    let own = format!("{path}/{}", text(&made["id"]));
    house.events();
    let change = json!({"name": "Fire", "severity": "critical", "summary": "", "tags": ["a"]});
    assert_eq!(house.call("PATCH", &own, &change.to_string()).status, 204);
    let events = house.events();
    let name = |event: &Value| text(&event["event"]).replace("prefect-cloud.incident.", "");
    let names: Vec<_> = events.iter().map(name).collect();
    assert_eq!(names, ["updated.name", "updated.severity", "updated.tags", "updated"]);
    let tells =
        json!({"id": made["id"], "field": "severity", "from": "moderate", "to": "critical"});
    assert_eq!(events[1]["payload"], tells);
    assert_eq!(events[3]["payload"]["updated_fields"], json!(["name", "severity", "tags"]));
    let mut ids: Vec<_> = events.iter().map(|event| text(&event["id"])).collect();
    ids.dedup();
    assert_eq!(ids.len(), 4);
    assert_eq!(house.call("PATCH", &own, &change.to_string()).status, 204);
    assert!(house.events().is_empty(), "nothing changed");
    for body in [
        json!({"severity": "awful"}),
        json!({"status": "resolved"}),
        json!({"tags": vec!["t"; 51]}),
        json!({"related_resources": [{"id": "x"}]}),
        json!({"related_resources": vec![json!({"prefect.resource.id": "x"}); 51]}),
    ] {
        assert_eq!(house.call("PATCH", &own, &body.to_string()).status, 422, "{body}");
    }
}

#[test]
fn comments_are_kept_told_and_bounded() {
    let house = House::new();
    let path = house.within("incidents");
    let made = house.made(&path, &json!({"name": "Outage"}));
    let own = format!("{path}/{}/comments", text(&made["id"]));
    house.events();
    let comment = house.made(&own, &json!({"comment": "looking"}));
    assert_eq!((&comment["author"], &comment["comment"]), (&json!("admin"), &json!("looking")));
    let events = house.events();
    assert_eq!(
        (events.len(), &events[0]["event"]),
        (1, &json!("prefect-cloud.incident.comment.added"))
    );
    let tells = json!({"id": made["id"], "comment_id": comment["id"], "comment": "looking",
        "author": "admin"});
    assert_eq!(events[0]["payload"], tells);
    assert_eq!(house.call("GET", &own, "").body, json!([comment]));
    for body in [json!({}), json!({"comment": "x".repeat(5001)})] {
        assert_eq!(house.call("POST", &own, &body.to_string()).status, 422);
    }
    let elsewhere = own.replace(text(&made["id"]), OTHER);
    assert_eq!(house.call("POST", &elsewhere, r#"{"comment":"x"}"#).status, 404);
    for _ in 1..200 {
        assert_eq!(house.call("POST", &own, r#"{"comment":"more"}"#).status, 201);
        house.events();
    }
    assert_eq!(house.call("POST", &own, r#"{"comment":"too much"}"#).status, 409);
    assert_eq!(house.call("GET", &own, "").body.as_array().map(Vec::len), Some(200));
    let incident = own.trim_end_matches("/comments");
    assert_eq!(house.call("DELETE", incident, "").status, 204);
    assert_eq!(house.event_names(), ["incident.deleted"], "its comments end with it");
    assert_eq!(house.call("GET", &own, "").status, 404);
}
