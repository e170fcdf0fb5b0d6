//! Who belongs to an account, and what they may do there.

use super::*;

impl House {
    fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", &format!("{}/{path}", self.account), &body.to_string())
    }

    fn patch(&self, path: &str, body: &Value) -> Answer {
        self.call("PATCH", &format!("{}/{path}", self.account), &body.to_string())
    }

    fn get(&self, path: &str) -> Answer {
        self.call("GET", &format!("{}/{path}", self.account), "")
    }

    fn end(&self, path: &str) -> Answer {
        self.call("DELETE", &format!("{}/{path}", self.account), "")
    }
}

fn id(value: &Value) -> String {
    value["id"].as_str().expect("an id").to_owned()
}

#[test]
fn built_in_roles_are_found_by_name_and_stay_as_they_are() {
    let house = House::new();
    for name in ["Owner", "Admin", "Member"] {
        let asked = json!({"account_roles": {"name": {"any_": [name]}}});
        let found = house.post("account_roles/filter", &asked).body;
        assert_eq!(found.as_array().map(Vec::len), Some(1), "{found}");
        let role = &found[0];
        assert_eq!((&role["name"], &role["account_id"]), (&json!(name), &Value::Null));
        assert_eq!(role["is_system_role"], true);
        let path = format!("account_roles/{}", id(role));
        assert_eq!(&house.get(&path).body, role);
        assert_eq!(house.patch(&path, &json!({"name": "x"})).status, 409);
        assert_eq!(house.end(&path).status, 409);
    }
    let page = |offset: u64, limit: u64| {
        let body = json!({"offset": offset, "limit": limit});
        let found = house.post("account_roles/filter", &body).body;
        found.as_array().expect("rows").iter().map(|role| role["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(house.post("account_roles", &json!({"name": "Auditor"})).status, 201);
    assert_eq!(page(0, 200), ["Owner", "Admin", "Member", "Auditor"]);
    assert_eq!(
        (page(1, 1), page(2, 2)),
        (vec![json!("Admin")], vec![json!("Member"), json!("Auditor")])
    );
    assert_eq!((page(3, 9), page(9, 9)), (vec![json!("Auditor")], vec![]));
    assert_eq!(
        house.call("GET", "/api/accounts/permissions", "").body.as_array().map(Vec::len),
        Some(47)
    );
}

#[test]
fn a_role_is_made_changed_and_ended() {
    let house = House::new();
    let body = json!({"name": "Auditor", "permissions": ["read:audit_event", "read:account", "read:account"]});
    let made = house.post("account_roles/", &body);
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.body["permissions"], json!(["read:account", "read:audit_event"]));
    assert_eq!(
        (&made.body["is_system_role"], made.body["account_id"].is_string()),
        (&json!(false), true)
    );
    let path = format!("account_roles/{}", id(&made.body));
    for (change, status) in [
        (json!({"permissions": ["read:audit_event", "read:account"]}), 204),
        (json!({"name": "Reviewer", "permissions": null}), 204),
        (json!({"name": "Owner"}), 409),
        (json!({"permissions": ["read:everything"]}), 422),
        (json!({"account_id": null}), 422),
    ] {
        assert_eq!(house.patch(&path, &change).status, status, "{change}");
    }
    assert_eq!(house.post("account_roles", &json!({"name": "Reviewer"})).status, 409);
    let bot = house.post("bots/", &json!({"name": "ci", "account_role_id": id(&made.body)})).body;
    assert_eq!(bot["account_role_name"], "Reviewer");
    house.events();
    assert_eq!(house.end(&path).status, 409, "somebody has it");
    assert_eq!(house.end(&format!("bots/{}", id(&bot))).status, 204);
    assert_eq!(house.end(&path).status, 204);
    assert_eq!(house.get(&path).status, 404);
    assert_eq!(house.event_names().last().map(String::as_str), Some("account-role.deleted"));
}

#[test]
fn nobody_makes_a_role_that_allows_more_than_they_may() {
    let house = House::new();
    let admin =
        json!({"name": "a", "account_role_id": catalogue::role::ACCOUNT_ADMIN.id.to_string()});
    let admin = house.post("bots/", &admin).body;
    let bearer = format!("Bearer {}", admin["api_key"]["key"].as_str().expect("a key"));
    let strong =
        house.post("account_roles", &json!({"name": "s", "permissions": ["delete:account"]}));
    let strong = format!("{}/account_roles/{}", house.account, id(&strong.body));
    let call =
        |method, path: &str, body: &str| house.call_as(Some(&bearer), method, path, body).status;
    let roles = format!("{}/account_roles", house.account);
    house.events();
    assert_eq!(call("POST", &roles, r#"{"name":"x","permissions":["delete:account"]}"#), 403);
    assert_eq!(call("PATCH", &strong, r#"{"permissions":[]}"#), 403);
    assert_eq!(call("DELETE", &strong, ""), 403);
    assert!(house.events().is_empty());
    assert_eq!(call("POST", &roles, r#"{"name":"x","permissions":["read:bot"]}"#), 201);
}
