//! What callers ask of themselves: where they belong, what they may do, and leaving a workspace.

use super::*;
use crate::catalogue::role::{ACCOUNT_MEMBER, ACCOUNT_OWNER, WORKSPACE_VIEWER};

#[test]
fn organizations_are_accounts_without_a_plan() {
    let house = House::new();
    let mut accounts = house.call("GET", "/api/me/accounts", "").body;
    let account = accounts[0].as_object_mut().expect("an account");
    account.retain(|name, _| !name.starts_with("account_plan"));
    assert_eq!(account.len(), 5);
    assert_eq!(house.call("GET", "/api/me/organizations/", "").body, accounts);
}

#[test]
fn permissions_are_told_as_they_are_held() {
    let house = House::new();
    let rin = house.person("rin", &ACCOUNT_MEMBER);
    let id = house.first.account_id.to_string();
    let base = format!("/api/me/accounts/{id}");
    let mine = |path: &str| house.call_as(Some(&rin.bearer), "GET", path, "");
    let told = mine(&format!("{base}/permissions")).body;
    let mut expected = ACCOUNT_MEMBER.powers();
    expected.sort_unstable();
    assert_eq!(told, json!(expected));
    for (permission, holds) in
        [("read:team", true), ("delete:account", false), ("", false), ("x", false)]
    {
        let path = format!("{base}/has_permission?permission={permission}");
        let answer = mine(&path);
        if permission.is_empty() {
            assert_eq!(answer.status, 422, "{answer:?}");
            assert_eq!(answer.body["detail"][0]["loc"], json!(["query", "permission"]));
            continue;
        }
        assert_eq!((answer.status, answer.body), (200, json!(holds)), "{permission}");
        let accounts = mine(&format!("/api/me/accounts/has_permission?permission={permission}"));
        let expected = if holds { json!([id]) } else { json!([]) };
        assert_eq!(accounts.body, expected, "{permission}");
    }
    assert_eq!(mine("/api/me/accounts/has_permission").status, 422);
    for path in ["permissions", "has_permission?permission=read:account"] {
        let path = format!("/api/me/accounts/{OTHER}/{path}");
        assert_eq!(house.call("GET", &path, "").status, 404, "{path}");
    }
}

#[test]
fn accounts_that_keep_somebody_out_are_not_told() {
    let house = House::new();
    let rin = house.person("rin", &ACCOUNT_MEMBER);
    let (other, _) = house.second();
    let other = catalogue::is_id(&other[other.len() - 36..]).expect("an id");
    let place = json!({"name": "rin", "user_id": rin.id.to_string(), "active": false,
        "account_role_id": ACCOUNT_OWNER.id.to_string()});
    let place = place.as_object().cloned().expect("an object");
    let (clock, kind) = (&house.api.clock, &catalogue::ACCOUNT_MEMBERSHIP);
    let place = crate::store::Record::new(id::now(clock), kind, other, place, clock.now());
    let writes = vec![crate::store::Write::Insert(place)];
    let batch = crate::store::Batch { writes, events: Vec::new() };
    wait(house.api.store.commit(batch)).expect("made");
    let path = "/api/me/accounts/has_permission?permission=read:account";
    let told = house.call_as(Some(&rin.bearer), "GET", path, "").body;
    assert_eq!(told, json!([house.first.account_id.to_string()]));
    let path = format!("/api/me/accounts/{other}/permissions");
    assert_eq!(house.call_as(Some(&rin.bearer), "GET", &path, "").status, 403);
}

#[test]
fn scopes_are_told_and_a_place_is_given_up() {
    let house = House::new();
    let rin = house.person("rin", &ACCOUNT_MEMBER);
    let base = format!("/api/me/workspaces/{}", house.first.workspace_id);
    let mine = |method: &str, path: &str| house.call_as(Some(&rin.bearer), method, path, "");
    let scopes = format!("{base}/scopes");
    for path in [&scopes, &format!("{base}/has_scope?scope=see_webhooks"), &base] {
        let method = if path == &base { "DELETE" } else { "GET" };
        assert_eq!(mine(method, path).status, 404, "{path}");
    }
    let give = json!({"user_id": rin.id.to_string(),
        "workspace_role_id": WORKSPACE_VIEWER.id.to_string()});
    let path = format!("{}/user_access/", house.first.api_path);
    assert_eq!(house.call("POST", &path, &give.to_string()).status, 200);
    let told = mine("GET", &scopes).body;
    let has = |scope: &str| mine("GET", &format!("{base}/has_scope?scope={scope}")).body;
    assert!(told.as_array().expect("a list").contains(&json!("see_webhooks")), "{told}");
    assert!(!told.as_array().expect("a list").contains(&json!("manage_webhooks")), "{told}");
    assert_eq!((has("see_webhooks"), has("manage_webhooks")), (json!(true), json!(false)));
    assert_eq!(mine("GET", &format!("{base}/has_scope")).status, 422);
    // Whoever passes by all roles has every scope, and nothing that is none.
    let owner = house.call("GET", &scopes, "").body;
    let all = catalogue::role::SCOPES.iter().flat_map(catalogue::role::Group::scopes).count();
    assert_eq!(owner.as_array().map(Vec::len), Some(all));
    let none = house.call("GET", &format!("{base}/has_scope?scope=x"), "");
    assert_eq!((none.status, none.body), (200, json!(false)));
    assert_eq!(house.event_names(), ["workspace-access.created"]);
    assert_eq!(mine("DELETE", &base).status, 204);
    assert_eq!(house.event_names(), ["workspace-access.deleted"]);
    assert_eq!(mine("DELETE", &base).status, 404);
    assert_eq!(mine("GET", &house.base).status, 404);
    // They come in by the account, and have no place to give up.
    assert_eq!(house.call("DELETE", &base, "").status, 404);
    assert!(house.events().is_empty());
}
