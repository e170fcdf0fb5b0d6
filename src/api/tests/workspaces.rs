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

#[test]
fn a_place_is_given_once_and_its_role_follows() {
    let house = House::new();
    let (bot, bearer) = house.program("ci", &role::ACCOUNT_MEMBER);
    let path = house.first.api_path.clone();
    let (viewer, developer) = (&role::WORKSPACE_ROLES[3], &role::WORKSPACE_ROLES[1]);
    let give = |role: &role::BuiltIn| {
        let one = json!({"bot_id": bot["id"], "workspace_role_id": role.id.to_string()});
        house.call("POST", &format!("{path}/bot_access/"), &json!([one]).to_string())
    };
    house.events();
    let call = |method: &str, body: &str| house.call_as(Some(&bearer), method, &house.base, body);
    assert_eq!(call("GET", "").status, 404);
    let made = give(viewer);
    assert_eq!((made.status, made.body.as_array().map(Vec::len)), (200, Some(1)), "{made:?}");
    let row = &made.body[0];
    let keys: Vec<_> = row.as_object().expect("an object").keys().cloned().collect();
    let expected = [
        "id",
        "created",
        "updated",
        "workspace_id",
        "workspace_role_id",
        "bot_id",
        "actor_id",
        "bot_name",
    ];
    assert_eq!(keys, expected);
    assert_eq!((&row["bot_name"], &row["actor_id"]), (&json!("ci"), &bot["actor_id"]));
    let events = house.events();
    assert_eq!(events[0]["event"], "prefect-cloud.workspace-access.created");
    let roles: Vec<_> = events[0]["related"].as_array().expect("related").iter().skip(3).collect();
    let roles: Vec<_> = roles.iter().map(|one| text(&one["prefect.resource.role"])).collect();
    assert_eq!(roles, ["service-account", "workspace-role"]);
    let hook = r#"{"name":"n","template":"t"}"#;
    assert_eq!((call("GET", "").status, call("POST", hook).status), (200, 403));

    assert_eq!(give(viewer).body[0]["id"], row["id"]);
    assert!(house.events().is_empty(), "it was given already");
    assert_eq!(give(developer).body[0]["id"], row["id"]);
    assert_eq!(house.event_names(), ["workspace-access.updated"]);
    assert_eq!(call("POST", hook).status, 201);
    let own = format!("{path}/bot_access/{}", text(&row["id"]));
    assert_eq!(house.call("GET", &own, "").body["workspace_role_id"], developer.id.to_string());
    assert_eq!(house.call("GET", &own.replace("bot_", "user_"), "").status, 404);
    house.events();
    assert_eq!(house.call("DELETE", &own, "").status, 204);
    assert_eq!(house.call("DELETE", &own, "").status, 404);
    assert_eq!(house.event_names(), ["workspace-access.deleted"]);
    assert_eq!(call("GET", "").status, 404);
}

#[test]
fn who_lets_others_in_gives_no_more_than_they_have() {
    let house = House::new();
    let path = house.first.api_path.clone();
    let (bot, _) = house.program("ci", &role::ACCOUNT_MEMBER);
    let (porter, bearer) = house.program("porter", &role::ACCOUNT_MEMBER);
    let role = json!({"name": "Porter", "description": "", "inherited_role_id": null,
        "scopes": ["manage_workspace_service_accounts", "see_webhooks"]});
    let role =
        house.call("POST", &format!("{}/workspace_roles/", house.account), &role.to_string());
    let role = text(&role.body["id"]).to_owned();
    let one = |bot: &Value, role: &str| json!({"bot_id": bot["id"], "workspace_role_id": role});
    let give = |bearer: Option<&str>, body: &Value| {
        let path = format!("{path}/bot_access");
        match bearer {
            Some(bearer) => house.call_as(Some(bearer), "POST", &path, &body.to_string()),
            None => house.call("POST", &path, &body.to_string()),
        }
    };
    assert_eq!(give(None, &one(&porter, &role)).status, 200);
    let given = give(Some(&bearer), &one(&bot, &role));
    assert_eq!((given.status, &given.body["bot_id"]), (200, &bot["id"]), "one in, one out");
    let viewer = role::WORKSPACE_ROLES[3].id.to_string();
    assert_eq!(give(Some(&bearer), &one(&bot, &viewer)).status, 403);
    let users = format!("{path}/user_access");
    assert_eq!(house.call_as(Some(&bearer), "POST", &users, "[]").status, 403);
    house.events();
    for (body, at) in [
        (json!([one(&bot, &role), one(&bot, &role)]), json!(["body", "1", "bot_id"])),
        (one(&json!({"id": OTHER}), &role), json!(["body", "bot_id"])),
        (one(&bot, OTHER), json!(["body", "workspace_role_id"])),
        (json!([{}]), json!(["body", "0", "workspace_role_id"])),
        (json!({"bot_id": bot["id"]}), json!(["body", "workspace_role_id"])),
    ] {
        let answer = give(None, &body);
        assert_eq!((answer.status, &answer.body["detail"][0]["loc"]), (422, &at), "{body}");
    }
    let rows = house.call("GET", &format!("{path}/access/"), "").body;
    let names: Vec<_> = rows.as_array().expect("rows").iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["ci", "porter"]);
    assert_eq!(rows[0]["type"], "service_account");
    assert_eq!(house.call("POST", &format!("{path}/team_access/filter"), "").body, json!([]));
    assert!(house.events().is_empty());
}

#[test]
fn roles_of_workspaces_are_written_in_scopes() {
    let house = House::new();
    let path = format!("{}/workspace_roles", house.account);
    let found = |body: &str| {
        let answer = house.call("POST", &format!("{path}/filter"), body);
        assert_eq!(answer.status, 200, "{answer:?}");
        let rows = answer.body.as_array().expect("rows").iter();
        rows.map(|row| text(&row["name"]).to_owned()).collect::<Vec<_>>()
    };
    let body = json!({"name": "Auditor", "description": "", "scopes": null,
        "inherited_role_id": null});
    let made = house.call("POST", &path, &body.to_string());
    assert_eq!((made.status, &made.body["scopes"]), (201, &json!([])), "{made:?}");
    let own = format!("{path}/{}", text(&made.body["id"]));
    assert_eq!(found(r#"{"workspace_roles":{"name":{"any_":["Runner"]}}}"#), ["Runner"]);
    let built_in = ["Owner", "Developer", "Runner", "Viewer", "Worker"];
    assert_eq!(found(""), [&built_in[..], &["Auditor"]].concat());
    assert_eq!(found(r#"{"workspace_roles":{"is_global":true}}"#), built_in);
    assert_eq!(found(r#"{"workspace_roles":{"is_global":false}}"#), ["Auditor"]);

    let viewer = role::WORKSPACE_ROLES[3].id.to_string();
    house.events();
    for (body, status) in [
        (json!({"scopes": ["see_secret_blocks", "see_what_is_new"]}), 204),
        (json!({"scopes": null, "inherited_role_id": viewer}), 204),
        (json!({"scopes": ["see"]}), 422),
        (json!({"name": "Owner"}), 409),
        (json!({"inherited_role_id": made.body["id"]}), 422),
        (json!({"inherited_role_id": role::ACCOUNT_OWNER.id.to_string()}), 422),
        (json!({"description": "x".repeat(141)}), 422),
    ] {
        assert_eq!(house.call("PATCH", &own, &body.to_string()).status, status, "{body}");
    }
    assert_eq!(house.event_names(), ["workspace-role.updated"; 2]);
    assert_eq!(house.call("GET", &own, "").body["inherited_role_id"], viewer);
    let standing = format!("{path}/{viewer}");
    let read = house.call("GET", &standing, "").body;
    assert_eq!((&read["name"], &read["account_id"]), (&json!("Viewer"), &Value::Null));
    assert_eq!(house.call("PATCH", &standing, r#"{"name":"x"}"#).status, 409);
    assert_eq!(house.call("DELETE", &standing, "").status, 409);

    let default = json!({"default_workspace_role_id": made.body["id"]}).to_string();
    assert_eq!(house.call("PATCH", &house.first.api_path, &default).status, 204);
    assert_eq!(house.call("DELETE", &own, "").status, 409, "it is in use");
    let none = r#"{"default_workspace_role_id":null}"#;
    assert_eq!(house.call("PATCH", &house.first.api_path, none).status, 204);
    assert_eq!(house.call("DELETE", &own, "").status, 204);
    let scopes = house.call("GET", "/api/workspace_scopes", "").body;
    let row = scopes.as_array().expect("rows").iter().find(|row| row["name"] == "manage_incidents");
    let includes = &row.expect("a scope")["includes_scopes"];
    assert_eq!(includes, &json!(["see_incidents", "write_incidents"]));
}

#[test]
fn what_roles_allow_is_a_set() {
    let house = House::new();
    let (see, manage) = ("see_webhooks", "manage_webhooks");
    for (kind, field, one, other) in [
        ("workspace_roles", "scopes", see, manage),
        ("account_roles", "permissions", "read:bot", "read:account"),
    ] {
        let base = format!("{}/{kind}", house.account);
        let made = json!({ "name": "r", field: [one, other] }).to_string();
        let made = house.call("POST", &base, &made).body;
        let path = format!("{base}/{}", text(&made["id"]));
        let told = json!([other, one]);
        assert_eq!(made[field], told);
        house.events();
        for list in [json!([other, one]), json!([one, other, one]), json!([other, one, one])] {
            let answer = house.call("PATCH", &path, &json!({ field: list }).to_string());
            assert_eq!(answer.status, 204, "{answer:?}");
        }
        assert!(house.events().is_empty(), "{kind}");
        assert_eq!(house.call("GET", &path, "").body[field], told);
        assert_eq!(house.call("PATCH", &path, &json!({ field: [one] }).to_string()).status, 204);
        assert_eq!(house.events().len(), 1);
    }
}
