//! Workspaces, and who may come in.

use super::*;
use crate::catalogue::role;
use crate::store::Change;

impl House {
    fn workspaces(&self, more: &str) -> String {
        format!("{}/workspaces/{more}", self.account)
    }

    fn workspace(&self, handle: &str) -> Value {
        let body = json!({"name": handle, "description": null, "handle": handle}).to_string();
        let answer = self.call("POST", &self.workspaces(""), &body);
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.body
    }

    /// A service account with a role of the account; its bearer, too.
    pub(super) fn program(&self, name: &str, role: &role::BuiltIn) -> (Value, String) {
        let body = json!({"name": name, "account_role_id": role.id.to_string()}).to_string();
        let made = self.call("POST", &format!("{}/bots", self.account), &body);
        assert_eq!(made.status, 201, "{made:?}");
        let key = made.body["api_key"]["key"].as_str().expect("a key").to_owned();
        (made.body, format!("Bearer {key}"))
    }
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

#[test]
fn a_workspace_is_made_read_changed_and_ended() {
    let house = House::new();
    let made = house.workspace("prod");
    let keys: Vec<_> = made.as_object().expect("an object").keys().cloned().collect();
    let expected = [
        "id",
        "created",
        "updated",
        "account_id",
        "name",
        "description",
        "handle",
        "default_workspace_role_id",
        "is_public",
    ];
    assert_eq!(keys, expected);
    assert_eq!(made["description"], "");
    let again = json!({"name": "x", "handle": "prod"}).to_string();
    assert_eq!(house.call("POST", &house.workspaces(""), &again).status, 409);
    let path = house.workspaces(text(&made["id"]));
    for path in [path.clone(), format!("/api/workspaces/{}/", text(&made["id"]))] {
        let read = house.call("GET", &path, "");
        assert_eq!((read.status, &read.body), (200, &made), "{path}");
    }
    let found = |body: &str| {
        let answer = house.call("POST", &house.workspaces("filter"), body);
        let rows = answer.body.as_array().expect("an array").iter();
        rows.map(|row| text(&row["handle"]).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found(r#"{"workspaces":{"handle":{"any_":["prod"]}}}"#), ["prod"]);
    assert_eq!(found(""), ["default", "prod"]);
    house.events();

    let viewer = role::WORKSPACE_ROLES[3].id.to_string();
    let change = json!({"name": "Production", "description": null, "handle": null,
        "default_workspace_role_id": viewer});
    for (body, fields) in [
        (change.clone(), json!(["name", "default_workspace_role_id"])),
        (change, Value::Null),
        (json!({"default_workspace_role_id": null}), json!(["default_workspace_role_id"])),
    ] {
        assert_eq!(house.call("PATCH", &path, &body.to_string()).status, 204);
        let events = house.events();
        let told = events.first().map_or(Value::Null, |e| e["payload"]["updated_fields"].clone());
        assert_eq!(told, fields, "{body}");
        assert!(events.iter().all(|event| event["event"] == "prefect-cloud.workspace.updated"));
    }
    assert_eq!(house.call("PATCH", &path, r#"{"handle":"default"}"#).status, 409);
    assert_eq!(house.call("PATCH", &path, r#"{"handle":"Prod"}"#).status, 422);
    assert_eq!(house.call("DELETE", &path, "").status, 204);
    assert_eq!(house.call("GET", &path, "").status, 404);
    let names = house.event_names();
    assert_eq!(names.last().map(String::as_str), Some("workspace.deleted"), "{names:?}");
}

#[test]
fn what_is_in_a_workspace_ends_with_it_and_hooks_stop_at_once() {
    let house = House::new();
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let ear = Arc::clone(&told);
    house.api.store.watch(Box::new(move |change| match change {
        Change::Webhook(hook) => {
            let names = (hook.name.clone(), hook.workspace.name.clone());
            ear.lock().expect("an ear").push(names);
        }
        Change::WebhookGone(_) => {
            ear.lock().expect("an ear").push(("gone".to_owned(), String::new()));
        }
        _ => {}
    }));
    for name in ["a", "b"] {
        house.make(&json!({"name": name, "template": "t"}));
    }
    told.lock().expect("told").clear();
    house.events();
    let path = house.first.api_path.clone();
    assert_eq!(house.call("PATCH", &path, r#"{"name":"renamed"}"#).status, 204);
    let mut names = std::mem::take(&mut *told.lock().expect("told"));
    names.sort();
    let pair = |name: &str| (name.to_owned(), "renamed".to_owned());
    assert_eq!(names, [pair("a"), pair("b")], "hooks carry the name at once");
    house.events();

    assert_eq!(house.call("DELETE", &path, "").status, 204);
    assert_eq!(told.lock().expect("told").len(), 2, "both are gone");
    assert!(wait(house.api.store.webhooks()).expect("webhooks").is_empty());
    let events = house.events();
    let names: Vec<_> = events.iter().map(|event| text(&event["event"])).collect();
    assert_eq!(names.iter().filter(|name| **name == "prefect-cloud.webhook.deleted").count(), 2);
    assert_eq!(names.last(), Some(&"prefect-cloud.workspace.deleted"));
    let place = &events[0]["related"][2];
    assert_eq!(place["prefect.resource.name"], "renamed", "even one that is gone is named");
    assert_eq!(house.call("GET", "/api/me/workspaces", "").body, json!([]));
}

#[test]
fn who_makes_a_workspace_is_in_it_and_members_are_where_all_are() {
    let house = House::new();
    let (_, admin) = house.program("admin", &role::ACCOUNT_ADMIN);
    let (_, member) = house.program("member", &role::ACCOUNT_MEMBER);
    house.events();
    let body = r#"{"name":"w","handle":"w"}"#;
    assert_eq!(house.call_as(Some(&member), "POST", &house.workspaces(""), body).status, 403);
    let made = house.call_as(Some(&admin), "POST", &house.workspaces(""), body);
    assert_eq!(made.status, 201);
    let names = house.event_names();
    assert!(!names.contains(&"workspace-access.created".to_owned()), "an admin may enter anyway");

    let path = house.workspaces(text(&made.body["id"]));
    let sees = || {
        let status = house.call_as(Some(&member), "GET", &path, "").status;
        let rows = house.call_as(Some(&member), "GET", "/api/me/workspaces", "").body;
        (status, rows.as_array().map_or(0, Vec::len))
    };
    assert_eq!(sees(), (404, 0));
    let viewer = json!({"default_workspace_role_id": role::WORKSPACE_ROLES[3].id.to_string()});
    assert_eq!(house.call("PATCH", &path, &viewer.to_string()).status, 204);
    assert_eq!(sees(), (200, 1));
    assert_eq!(house.call_as(Some(&member), "PATCH", &path, r#"{"name":"x"}"#).status, 403);
    assert_eq!(house.call_as(Some(&member), "DELETE", &path, "").status, 403);
}

#[test]
fn a_workspace_has_settings_from_its_first_moment_to_its_last() {
    let house = House::new();
    let path = house.workspaces(text(&house.workspace("w")["id"]));
    let settings = format!("{path}/settings");
    let about = |event: &Value| {
        let id = text(&event["resource"]["prefect.resource.id"]).to_owned();
        (text(&event["event"]).to_owned(), id)
    };
    let own = |action: &str| {
        let id = path.rsplit('/').next().expect("an id");
        let name = format!("prefect-cloud.workspace-settings.{action}");
        (name, format!("prefect-cloud.workspace-settings.{id}"))
    };
    assert!(house.events().iter().map(about).any(|event| event == own("created")));
    let read = || house.call("GET", &settings, "").body;
    assert_eq!(read()["inherit_default_result_storage"], true);
    assert_eq!(read()["default_result_storage_block_id"], Value::Null);
    let change = json!({"inherit_default_result_storage": false,
        "default_result_storage_block_id": OTHER.to_uppercase()});
    for events in [1, 0] {
        assert_eq!(house.call("PATCH", &settings, &change.to_string()).status, 204);
        assert_eq!(house.events().len(), events);
    }
    assert_eq!(read()["default_result_storage_block_id"], OTHER);
    let wrong = r#"{"default_result_storage_block_id":"x"}"#;
    assert_eq!(house.call("PATCH", &settings, wrong).status, 422);
    assert_eq!(house.call("DELETE", &path, "").status, 204);
    assert!(house.events().iter().map(about).any(|event| event == own("deleted")));
    assert_eq!(house.call("GET", &settings, "").status, 404);
}
