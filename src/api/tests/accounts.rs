//! Accounts: made, changed and ended.

use super::*;
use crate::catalogue::role::{ACCOUNT_ADMIN, ACCOUNT_MEMBER};

#[test]
fn an_account_is_read_and_changed_as_its_clients_do() {
    let house = House::new();
    let path = format!("{}/", house.account);
    let told = house.call("GET", &path, "").body;
    assert_eq!((&told["name"], &told["status"]), (&json!("hookgate"), &json!("ACTIVE")));
    assert_eq!(told["settings"]["managed_execution"], true);
    assert_eq!(told.as_object().map(serde_json::Map::len), Some(30));
    let terraform = r#"{"name":"Acme","handle":"acme","location":null,"link":null,
        "auth_expiration_seconds":null}"#;
    assert_eq!(house.call("PATCH", &path, terraform).status, 204);
    assert_eq!(house.call("PATCH", &path, terraform).status, 204);
    assert_eq!(house.event_names(), ["account.updated"]);
    let inside = r#"{"location":"Oslo","settings":{"ai_log_summaries":true}}"#;
    assert_eq!(house.call("PATCH", &path, inside).status, 204);
    assert_eq!(house.event_names(), ["account.updated", "account-settings.updated"]);
    let told = house.call("GET", &path, "").body;
    assert_eq!(
        (&told["location"], &told["settings"]["ai_log_summaries"]),
        (&json!("Oslo"), &json!(true))
    );
    for (settings, at) in [
        (json!([]), json!(["body", "settings"])),
        (json!("x"), json!(["body", "settings"])),
        (json!({"managed_execution": 1}), json!(["body", "settings", "managed_execution"])),
        (
            json!({"default_result_storage": "x"}),
            json!(["body", "settings", "default_result_storage"]),
        ),
        (
            json!({"enabled_feature_flags": []}),
            json!(["body", "settings", "enabled_feature_flags"]),
        ),
    ] {
        let wrong = house.call("PATCH", &path, &json!({ "settings": settings }).to_string());
        assert_eq!((wrong.status, &wrong.body["detail"][0]["loc"]), (422, &at), "{wrong:?}");
    }
    let wrong = house.call("PATCH", &path, r#"{"settings":{"nonsense":true}}"#);
    assert_eq!(wrong.status, 422);
    assert_eq!(wrong.body["detail"][0]["loc"], json!(["body", "settings", "nonsense"]));
    assert_eq!(house.call("PATCH", &path, r#"{"plan_type":"x"}"#).status, 422);
}

#[test]
fn the_only_account_stays() {
    let house = House::new();
    assert_eq!(house.call("DELETE", &house.account, "").status, 409);
    assert!(house.events().is_empty());
    assert_eq!(house.call("GET", "/api/me", "").status, 200);
}

#[test]
fn who_makes_an_account_owns_it_and_all_ends_with_it() {
    let house = House::new();
    let made = house.call("POST", "/api/accounts/", r#"{"name":"Two","handle":"two"}"#);
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(house.call("POST", "/api/accounts", r#"{"name":"Two","handle":"two"}"#).status, 409);
    let pending = wait(house.api.store.pending(100)).expect("events");
    let two = made.body["id"].as_str().and_then(catalogue::is_id).expect("an id");
    assert!(pending.iter().all(|outgoing| outgoing.account == two), "all of it is the new one's");
    let names = house.event_names();
    assert_eq!(names.first().map(String::as_str), Some("account.created"));
    assert!(names.contains(&"account-membership.created".to_owned()));
    assert!(names.contains(&"account-settings.created".to_owned()));
    let path = format!("/api/accounts/{two}");
    let guest = house.person_of(two, "guest", &ACCOUNT_MEMBER);
    let workspace = r#"{"name":"w","handle":"w"}"#;
    assert_eq!(house.call("POST", &format!("{path}/workspaces/"), workspace).status, 201);
    house.events();
    assert_eq!(house.call("DELETE", &path, "").status, 204);
    let names = house.event_names();
    assert_eq!(names.last().map(String::as_str), Some("account.deleted"));
    for name in ["workspace", "user", "api-key", "account-membership", "account-settings"] {
        assert!(names.contains(&format!("{name}.deleted")), "{name} in {names:?}");
    }
    assert_eq!(house.call_as(Some(&guest.bearer), "GET", "/api/me", "").status, 401);
    assert_eq!(house.call("GET", &path, "").status, 404);
    assert_eq!(house.call("GET", &house.account, "").status, 200);
}

#[test]
fn whoever_belongs_elsewhere_outlives_the_account_they_were_made_in() {
    let house = House::new();
    let made = house.call("POST", "/api/accounts/", r#"{"name":"Two","handle":"two"}"#).body;
    house.events();
    assert_eq!(house.call("DELETE", &house.account, "").status, 204);
    let names = house.event_names();
    assert!(!names.contains(&"user.deleted".to_owned()), "{names:?}");
    let accounts = house.call("GET", "/api/me/accounts", "").body;
    assert_eq!(accounts[0]["account_id"], made["id"]);
    assert_eq!(accounts.as_array().map(Vec::len), Some(1));
}

#[test]
fn programs_and_those_who_administrate_nothing_make_no_account() {
    let house = House::new();
    let body = r#"{"name":"Two","handle":"two"}"#;
    let member = house.person("mo", &ACCOUNT_MEMBER);
    assert_eq!(house.call_as(Some(&member.bearer), "POST", "/api/accounts", body).status, 403);
    let bot = json!({"name": "ci", "account_role_id": ACCOUNT_ADMIN.id.to_string()}).to_string();
    let bot = house.call("POST", &format!("{}/bots", house.account), &bot).body;
    let bearer = format!("Bearer {}", bot["api_key"]["key"].as_str().expect("a key"));
    assert_eq!(house.call_as(Some(&bearer), "POST", "/api/accounts", body).status, 409);
}
