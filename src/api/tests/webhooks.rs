//! The webhook API of the contract, call by call.

use super::*;
use crate::store::Webhook;

fn minimal() -> Value {
    json!({"name": "github", "description": "", "template": " {\"a\": 1}\n\t"})
}

impl House {
    fn hook(&self, id: &Value) -> String {
        format!("{}/{}", self.base, id.as_str().expect("an id"))
    }

    fn served(&self) -> Vec<Webhook> {
        wait(self.api.store.webhooks()).expect("webhooks")
    }
}

#[test]
fn a_webhook_is_made_as_the_command_line_makes_it() {
    let house = House::new();
    let made = house.make(&minimal());
    let keys: Vec<_> = made.as_object().expect("an object").keys().cloned().collect();
    assert_eq!(
        keys,
        [
            "id",
            "created",
            "updated",
            "account",
            "workspace",
            "name",
            "description",
            "enabled",
            "template",
            "slug",
            "service_account_id"
        ]
    );
    assert_eq!(made["created"], "2023-11-14T22:13:20Z");
    assert_eq!(made["template"], " {\"a\": 1}\n\t");
    assert_eq!((&made["enabled"], &made["description"]), (&json!(true), &json!("")));
    assert_eq!(made["account"], house.first.account_id.to_string());
    assert_eq!(made["slug"].as_str().map(str::len), Some(22));
    assert_eq!(house.served()[0].slug.expose(), made["slug"].as_str().expect("a slug"));
    let read = house.call("GET", &house.hook(&made["id"]), "");
    assert_eq!((read.status, &read.body["service_account"]), (200, &Value::Null));
    let events = house.events();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["event"], "prefect-cloud.webhook.created");
    let resource = format!("prefect-cloud.webhook.{}", made["id"].as_str().expect("an id"));
    assert_eq!(events[0]["resource"]["prefect.resource.id"], resource);
    let roles: Vec<_> = events[0]["related"]
        .as_array()
        .expect("an array")
        .iter()
        .map(|related| related["prefect.resource.role"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(roles, ["actor", "account", "workspace"]);
    assert_eq!(events[0]["related"][0]["prefect-cloud.handle"], "admin");
    assert!(!events[0].to_string().contains(made["slug"].as_str().expect("a slug")));
}

#[test]
fn an_update_keeps_what_it_does_not_say() {
    let house = House::new();
    let bot = house.call("POST", &format!("{}/bots", house.account), r#"{"name":"bot"}"#).body;
    let made = house.make(&json!({"name": "a", "template": "t", "description": "d",
        "enabled": false, "service_account_id": bot["id"]}));
    house.events();
    let path = house.hook(&made["id"]);
    let answer = house.call("PUT", &path, r#"{"name":"b","description":"d","template":"t"}"#);
    assert_eq!((answer.status, answer.body), (204, Value::Null));
    assert!(!answer.headers.contains_key("content-type"));
    let read = house.call("GET", &path, "").body;
    assert_eq!((&read["name"], &read["enabled"]), (&json!("b"), &json!(false)));
    assert_eq!(read["service_account_id"], bot["id"]);
    assert_eq!(read["service_account"]["name"], "bot");
    assert_eq!(read["service_account"]["api_key"]["hash"], "");
    assert_eq!(read["slug"], made["slug"]);
    let events = house.events();
    assert_eq!(
        events[0]["payload"],
        json!({"updated_fields": ["name"], "updates": {"name": {"from": "a", "to": "b"}}})
    );
    assert_eq!(
        house.call("PUT", &path, r#"{"name":"b","description":"d","template":"t"}"#).status,
        204
    );
    assert!(house.events().is_empty(), "nothing changed");
    let clear = r#"{"name":"b","template":"t","description":null,"service_account_id":null}"#;
    assert_eq!(house.call("PUT", &path, clear).status, 204);
    let read = house.call("GET", &path, "").body;
    assert_eq!((&read["service_account_id"], &read["description"]), (&Value::Null, &json!("")));
    assert_eq!(
        house.events()[0]["payload"]["updated_fields"],
        json!(["description", "service_account_id"])
    );
}

#[test]
fn what_tells_requests_apart_is_told_only_where_it_is_set() {
    let house = House::new();
    let mut body = minimal();
    body["dedup_key"] = "X-GitHub-Delivery".into();
    let made = house.make(&body);
    let path = house.hook(&made["id"]);
    assert_eq!(made["dedup_key"], "X-GitHub-Delivery");
    assert!(made.get("dedup_window_seconds").is_none());
    assert_eq!(house.events()[0]["payload"]["dedup_key"], "X-GitHub-Delivery");
    let served = || house.served().remove(0).dedup.map(|dedup| (dedup.key, dedup.window_seconds));
    assert_eq!(served(), Some(("X-GitHub-Delivery".to_owned(), 86_400)));
    // Clients that know nothing of it leave it alone.
    assert_eq!(house.call("PUT", &path, &minimal().to_string()).status, 204);
    assert!(house.events().is_empty() && served().is_some());
    body["dedup_key"] = "{{ body.id }}".into();
    body["dedup_window_seconds"] = 60.into();
    assert_eq!(house.call("PUT", &path, &body.to_string()).status, 204);
    assert_eq!(served(), Some(("{{ body.id }}".to_owned(), 60)));
    let fields = json!(["dedup_key", "dedup_window_seconds"]);
    assert_eq!(house.events()[0]["payload"]["updated_fields"], fields);
    for (key, wrong) in [
        ("dedup_key", json!("two words")),
        ("dedup_key", json!("authorization")),
        ("dedup_key", json!("Cookie")),
        ("dedup_key", json!("{{ body")),
        ("dedup_key", json!("k".repeat(1001))),
        ("dedup_window_seconds", json!(0)),
        ("dedup_window_seconds", json!(604_801)),
    ] {
        let mut body = body.clone();
        body[key] = wrong;
        let refused = house.call("PUT", &path, &body.to_string());
        let detail = &refused.body["detail"][0];
        assert_eq!((refused.status, &detail["loc"][1]), (422, &json!(key)), "{detail}");
    }
    body["dedup_key"] = Value::Null;
    body["dedup_window_seconds"] = Value::Null;
    assert_eq!(house.call("PUT", &path, &body.to_string()).status, 204);
    assert_eq!(served(), None);
    let read = house.call("GET", &path, "").body;
    assert!(read.get("dedup_key").is_none() && read.get("dedup_window_seconds").is_none());
}

#[test]
fn a_weight_is_told_only_where_it_is_set_and_stays_with_who_does_not_know_it() {
    let house = House::new();
    let path = house.hook(&house.make(&minimal())["id"]);
    let served = || house.served().remove(0).weight;
    assert_eq!(served(), 1);
    assert!(house.call("GET", &path, "").body.get("weight").is_none());
    let mut body = minimal();
    body["weight"] = 3.into();
    assert_eq!(house.call("PUT", &path, &body.to_string()).status, 204);
    assert_eq!((served(), &house.call("GET", &path, "").body["weight"]), (3, &json!(3)));
    assert_eq!(house.call("PUT", &path, &minimal().to_string()).status, 204);
    assert_eq!(served(), 3);
    for wrong in [json!(0), json!(101), json!(-1), json!("much")] {
        body["weight"] = wrong;
        let refused = house.call("PUT", &path, &body.to_string());
        let detail = &refused.body["detail"][0];
        assert_eq!((refused.status, &detail["loc"][1]), (422, &json!("weight")), "{detail}");
    }
    body["weight"] = Value::Null;
    assert_eq!(house.call("PUT", &path, &body.to_string()).status, 204);
    assert_eq!(served(), 1);
}

#[test]
fn a_replaced_slug_lives_on_as_long_as_asked() {
    let house = House::new();
    let made = house.make(&minimal());
    let rotate = format!("{}/rotate", house.hook(&made["id"]));
    let former = || {
        let served = house.served().remove(0);
        served.former.map(|former| (former.slug.expose().to_owned(), former.ends.to_string()))
    };
    let lives = |answer: &Value| Some(answer["slug"].as_str().expect("a slug").to_owned());
    house.events();
    let second = house.call("POST", &rotate, r#"{"old_slug_expires_in_seconds":60}"#);
    assert_eq!(second.status, 200);
    let keys = |value: &Value| -> Vec<String> {
        value.as_object().expect("an object").keys().cloned().collect()
    };
    assert_eq!(keys(&second.body), keys(&made), "the reply tells no more than before");
    let ends = "2023-11-14T22:14:20Z".to_owned();
    assert_eq!(former(), lives(&made).zip(Some(ends.clone())));
    let events = house.events();
    let told = json!({"updated_fields": ["slug"], "old_slug_expires_at": ends});
    assert_eq!((events.len(), &events[0]["payload"]), (1, &told));
    for slug in [&made["slug"], &second.body["slug"]] {
        assert!(!events[0].to_string().contains(slug.as_str().expect("a slug")));
    }
    // Other changes leave it, another rotation ends it.
    assert_eq!(house.call("PATCH", &house.hook(&made["id"]), r#"{"enabled":false}"#).status, 204);
    assert_eq!(former(), lives(&made).zip(Some(ends.clone())));
    let third = house.call("POST", &rotate, r#"{"old_slug_expires_in_seconds":172800}"#).body;
    assert_eq!(former().map(|former| former.0), lives(&second.body));
    for body in ["", "{}", r#"{"old_slug_expires_in_seconds":null}"#] {
        house.call("POST", &rotate, r#"{"old_slug_expires_in_seconds":1}"#);
        house.events();
        assert_eq!(house.call("POST", &rotate, body).status, 200, "{body}");
        assert_eq!(former(), None, "{body}");
        assert_eq!(house.events()[0]["payload"], json!({"updated_fields": ["slug"]}));
    }
    assert_eq!(house.call("POST", &rotate, r#"{"old_slug_expires_in_seconds":0}"#).status, 200);
    assert_eq!(former(), None);
    let now = house.served()[0].slug.expose().to_owned();
    for wrong in ["172801", "-1", "1.5", "\"60\"", "true"] {
        let body = format!(r#"{{"old_slug_expires_in_seconds":{wrong}}}"#);
        assert_eq!(house.call("POST", &rotate, &body).status, 422, "{wrong}");
    }
    assert_eq!(house.served()[0].slug.expose(), now);
    assert_ne!(Some(now), lives(&third));
}

#[test]
fn toggle_rotate_and_delete() {
    let house = House::new();
    let made = house.make(&minimal());
    let path = house.hook(&made["id"]);
    house.events();
    assert_eq!(house.call("PATCH", &path, r#"{"enabled":false}"#).status, 204);
    assert!(!house.served()[0].enabled);
    assert_eq!(house.call("PATCH", &path, r#"{"enabled":false}"#).status, 204);
    assert_eq!(house.call("PATCH", &path, r#"{"name":"x"}"#).status, 422);
    assert_eq!(house.event_names(), ["webhook.updated"]);
    let rotated = house.call("POST", &format!("{path}/rotate"), "");
    assert_eq!(rotated.status, 200);
    assert_ne!(rotated.body["slug"], made["slug"]);
    assert_eq!(house.served()[0].slug.expose(), rotated.body["slug"].as_str().expect("a slug"));
    let events = house.events();
    assert_eq!(events[0]["payload"], json!({"updated_fields": ["slug"]}));
    assert_eq!(house.call("DELETE", &path, "").status, 204);
    assert!(house.served().is_empty());
    let events = house.events();
    assert_eq!(events[0]["event"], "prefect-cloud.webhook.deleted");
    assert_eq!(events[0]["payload"]["enabled"], false);
    for (method, more) in [("GET", ""), ("DELETE", ""), ("POST", "/rotate"), ("PATCH", "")] {
        let body = if method == "PATCH" { r#"{"enabled":true}"# } else { "" };
        assert_eq!(house.call(method, &format!("{path}{more}"), body).status, 404, "{method}");
    }
}

#[test]
fn lists_answer_with_and_without_a_body() {
    let house = House::new();
    for name in ["b", "a b", "a"] {
        house.make(&json!({"name": name, "template": "t"}));
    }
    let names = |answer: &Answer| {
        assert_eq!(answer.status, 200, "{answer:?}");
        let rows = answer.body.as_array().expect("an array").iter();
        rows.map(|row| row["name"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let filter = format!("{}/filter", house.base);
    for body in ["", "{}", "null", "  "] {
        assert_eq!(names(&house.call("POST", &filter, body)), ["a", "a b", "b"], "{body}");
    }
    let last = r#"{"sort":"NAME_DESC","offset":1,"limit":1}"#;
    assert_eq!(names(&house.call("POST", &filter, last)), ["a b"]);
    assert_eq!(names(&house.call("GET", &house.base, "")), ["a", "a b", "b"]);
    let query = format!("{}/?name=a+b", house.base);
    assert_eq!(names(&house.call("GET", &query, "")), ["a b"]);
    assert!(names(&house.call("GET", &format!("{}?name=c", house.base), "")).is_empty());
    assert_eq!(house.call("POST", &filter, r#"{"limit":201}"#).status, 422);
}

#[test]
fn faults_of_a_body_come_all_at_once() {
    let house = House::new();
    let path = format!("{}/", house.base);
    let answer = house.call("POST", &path, r#"{"name":7,"colour":"red"}"#);
    assert_eq!(answer.status, 422);
    assert_eq!(
        answer.body,
        json!({"detail": [
            {"loc": ["body", "name"], "msg": "Input should be a valid string",
                "type": "string_type"},
            {"loc": ["body", "template"], "msg": "Field required", "type": "missing"},
            {"loc": ["body", "colour"], "msg": "Extra inputs are not permitted",
                "type": "extra_forbidden"},
        ]})
    );
    let broken = json!({"name": "n", "template": "a\n{% if"});
    let answer = house.call("POST", &path, &broken.to_string());
    let says = "template, line 2: this tag has no end, '%}'; close it with '%}'";
    assert_eq!((answer.status, &answer.body["detail"]), (422, &json!(says)));
    assert_eq!(answer.body["diagnostics"][0]["code"], "J101");
    let nobody = json!({"name": "n", "template": "t",
        "service_account_id": house.first.account_id.to_string()});
    let answer = house.call("POST", &path, &nobody.to_string());
    assert_eq!(answer.status, 422);
    assert_eq!(answer.body["detail"][0]["loc"], json!(["body", "service_account_id"]));
    assert_eq!(house.call("POST", &path, "{").status, 422);
    assert!(house.events().is_empty() && house.served().is_empty());
}

#[test]
fn templates_are_validated_without_being_saved() {
    let house = House::new();
    let path = format!("{}/templates/validate", house.base);
    assert_eq!(house.call("POST", &path, r#""{{ body }}""#).status, 204);
    let answer = house.call("POST", &path, r#""a\n{% if""#);
    assert_eq!(answer.status, 422);
    let error = &answer.body["error"];
    assert_eq!((&error["line"], &error["source"]), (&json!(2), &json!("a\n{% if")));
    assert_eq!(error["message"], "this tag has no end, '%}'; close it with '%}'");
    assert_eq!(error["diagnostics"][0]["column"], 1);
    for body in ["", "{}", "7"] {
        let answer = house.call("POST", &path, body);
        assert_eq!((answer.status, &answer.body["detail"][0]["loc"]), (422, &json!(["body"])));
    }
}

#[test]
fn what_only_may_fail_is_saved_with_a_word() {
    let house = House::new();
    let quoted = r#"{"event": "e.{{ body.n }}", "resource": {"prefect.resource.id": "r"}}"#;
    let sound = r#"{"event": "e", "resource": {"prefect.resource.id": "r"}}"#;
    let path = house.base.clone();
    let made = house.call("POST", &path, &json!({"name": "n", "template": quoted}).to_string());
    assert_eq!((made.status, &made.headers["hookgate-warnings"]), (201, &"1".parse().expect("1")));
    let own = format!("{path}/{}", made.body["id"].as_str().expect("an id"));
    let mended = json!({"name": "n", "template": sound}).to_string();
    let reply = house.call("PUT", &own, &mended);
    assert!(reply.status == 204 && !reply.headers.contains_key("hookgate-warnings"));

    let path = format!("{path}/templates/validate?warnings=true");
    let told = house.call("POST", &path, &json!(quoted).to_string());
    assert_eq!((told.status, &told.body["warnings"][0]["code"]), (200, &json!("J302")));
    let fix = &told.body["warnings"][0]["fixes"][0];
    assert_eq!(fix["text"], r#"{{ ("e." ~ body.n)|tojson }}"#);
    let told = house.call("POST", &path, &json!(sound).to_string());
    assert_eq!((told.status, told.body), (200, json!({"warnings": []})));
    assert_eq!(house.call("POST", &path, r#""{{""#).status, 422);
}

#[test]
fn drafts_are_tried_without_being_saved() {
    let house = House::new();
    let made = house.make(&json!({"name": "n", "template": "{{ body.n }} {{ headers['X-A'] }}"}));
    house.events();
    let path = format!("{}/{}/test", house.base, made["id"].as_str().expect("an id"));
    let big = "123456789012345678901234567890";
    let request = format!(
        r#"{{"request": {{"headers": {{"X-A": "1", "Cookie": "c"}}, "body_json": {{"n": {big}}}}}}}"#
    );
    let answer = house.call("POST", &path, &request);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["text"], format!("{big} 1"));
    assert_eq!(answer.body["context"]["headers"], json!({"x-a": "1"}));
    assert_eq!(answer.body["error_type"], "json");
    assert_eq!(answer.body["diagnostics"][0]["code"], "J301");

    let path = format!("{}/render", house.base);
    let template = r#"{"event": "e.{{ body.nam }}", "resource": {"prefect.resource.id": "r"}}"#;
    let draft = json!({"template": template, "request": {"body_json": {"name": "x"}}});
    let answer = house.call("POST", &path, &draft.to_string());
    assert_eq!((answer.status, &answer.body["event"]["event"]), (200, &json!("e.")));
    let warning = &answer.body["diagnostics"][0];
    assert_eq!((&warning["code"], &warning["start"]), (&json!("J201"), &json!(16)));
    assert_eq!(warning["help"], "did you mean `body.name`?");
    assert!(answer.body["cost"]["steps"].as_u64() > Some(0));

    let broken = house.call("POST", &path, r#"{"template": "{{"}"#);
    assert_eq!((broken.status, &broken.body["error_type"]), (200, &json!("template")));
    for (body, at) in [
        ("{}", json!(["body", "template"])),
        (r#"{"template": 1}"#, json!(["body", "template"])),
        (r#"{"template": "", "request": {"bdy": 1}}"#, json!(["body", "request"])),
        (r#"{"tmpl": ""}"#, json!(["body", "tmpl"])),
        ("[]", json!(["body"])),
        ("{", json!(["body", "1"])),
    ] {
        let answer = house.call("POST", &path, body);
        assert_eq!((answer.status, &answer.body["detail"][0]["loc"]), (422, &at), "{body}");
    }
    let sent = |bytes: usize| {
        let draft = json!({"template": "{{ 1 }}", "request": {"body": "x".repeat(bytes)}});
        house.call("POST", &path, &draft.to_string())
    };
    assert_eq!(sent(5 << 20).status, 200);
    let large = sent((5 << 20) + 1);
    let says = "Value error, 5242881 bytes; a body has at most 5242880";
    assert_eq!((large.status, &large.body["detail"][0]["msg"]), (422, &json!(says)));
    assert!(house.events().is_empty());
}

#[test]
fn changes_at_the_same_moment_all_count() {
    let house = House::new();
    let made = house.make(&minimal());
    house.events();
    let id = made["id"].as_str().and_then(catalogue::is_id);
    let (account, workspace) = (house.first.account_id, house.first.workspace_id);
    let call = |verb: &str| {
        let party = |id| catalogue::Party { id, name: String::new(), handle: String::new() };
        let scene = Scene {
            actor: catalogue::Actor::system(),
            account: party(account),
            workspace: Some(party(workspace)),
        };
        let kind = &catalogue::WEBHOOK;
        let verb = kind.verbs.iter().find(|row| row.name == verb).expect("a verb");
        let part = actor::Part { name: "id", id };
        Call { kind, verb, scene, caller: None, parts: vec![part], resource: String::new() }
    };
    let values = |value: Value| value.as_object().cloned().expect("an object");
    let (change, replace, rotate) = (call("change"), call("replace"), call("rotate"));
    let (off, name) = (values(json!({"enabled": false})), values(json!({"name": "b"})));
    let none = Values::new();
    wait(async {
        let (first, second, third) = tokio::join!(
            house.api.amend(&change, &off),
            house.api.amend(&replace, &name),
            house.api.rotate(&rotate, "slug", &none),
        );
        assert!(first.is_ok() && second.is_ok() && third.is_ok());
    });
    let served = &house.served()[0];
    assert_eq!((served.enabled, served.name.as_str()), (false, "b"));
    assert_ne!(served.slug.expose(), made["slug"]);
    assert_eq!(house.event_names(), ["webhook.updated"; 3]);
}

#[test]
fn rules_of_what_is_not_kept_stay_until_they_are_cleared() {
    let house = House::new();
    let mut said = minimal();
    said["redact"] = json!({"headers": ["X-Token"], "body": ["$.card"]});
    let made = house.make(&said);
    let rules = json!({"headers": ["x-token"], "body": ["$.card"], "query": []});
    assert_eq!(made["redact"], rules);
    let served = || house.served().remove(0).redact.map(|rules| rules.to_value());
    assert_eq!(served(), Some(rules.clone()));
    let hook = house.hook(&made["id"]);
    let (put, told) = (
        |body: &Value| house.call("PUT", &hook, &body.to_string()).status,
        || house.call("GET", &hook, "").body["redact"].clone(),
    );
    assert_eq!((put(&minimal()), told(), served()), (204, rules.clone(), Some(rules)));
    said["redact"] = json!({"body": ["card"]});
    let refused = house.call("PUT", &hook, &said.to_string());
    assert_eq!(refused.status, 422);
    assert_eq!(refused.body["detail"][0]["loc"], json!(["body", "redact"]));
    said["redact"] = Value::Null;
    assert_eq!((put(&said), told(), served()), (204, Value::Null, None));
}
