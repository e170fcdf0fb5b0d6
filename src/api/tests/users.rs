//! People and their own keys.

use super::*;
use crate::catalogue::role::{ACCOUNT_ADMIN, ACCOUNT_MEMBER, ACCOUNT_OWNER};

#[test]
fn somebody_reads_and_changes_what_is_known_of_them() {
    let house = House::new();
    let rin = house.person("rin", &ACCOUNT_MEMBER);
    let path = format!("/api/users/{}", rin.id);
    let mine = |method, body: &str| house.call_as(Some(&rin.bearer), method, &path, body);
    let told = mine("GET", "").body;
    let keys: Vec<_> = told.as_object().expect("an object").keys().cloned().collect();
    assert_eq!(
        keys,
        [
            "id",
            "created",
            "updated",
            "handle",
            "actor_id",
            "idp_user_id",
            "first_name",
            "last_name",
            "email",
            "title",
            "image_location",
            "location",
            "personal_account_id",
            "settings",
            "last_login"
        ]
    );
    assert_eq!((&told["handle"], &told["settings"]), (&json!("rin"), &json!({})));
    let change = r#"{"first_name":"Rin","last_name":"Okada","email":"","title":null,
        "settings":{"theme":"dark"},"location":"Oslo"}"#;
    assert_eq!(mine("PATCH", change).status, 204);
    assert_eq!(mine("PATCH", r#"{"first_name":"","last_name":"","email":""}"#).status, 204);
    assert_eq!(mine("PATCH", change).status, 204, "nothing new");
    let events = house.events();
    assert_eq!(events.len(), 1, "{events:?}");
    let fields = json!(["name", "first_name", "last_name", "location", "settings"]);
    assert_eq!(events[0]["payload"]["updated_fields"], fields);
    assert_eq!(events[0]["resource"]["prefect.resource.name"], "Rin Okada");
    let told = mine("GET", "").body;
    assert_eq!((&told["email"], &told["location"]), (&json!("rin@acme.example"), &json!("Oslo")));
    let members = format!("{}/account_memberships/filter", house.account);
    let named = r#"{"account_memberships":{"name":{"any_":["Rin Okada"]}}}"#;
    assert_eq!(house.call("POST", &members, named).body[0]["handle"], "rin");
    for (body, status) in [
        (r#"{"handle":"admin"}"#, 409),
        (r#"{"handle":"Rin"}"#, 422),
        (r#"{"actor_id":null}"#, 422),
        (r#"{"last_login":null}"#, 422),
        (r#"{"handle":"rin-o"}"#, 204),
    ] {
        assert_eq!(mine("PATCH", body).status, status, "{body}");
    }
    assert_eq!(house.call("GET", &path, "").status, 404, "somebody else, an owner too");
    assert_eq!(house.call("PATCH", &path, "{}").status, 404);
}

#[test]
fn who_ends_leaves_an_owner_and_takes_keys_and_places_along() {
    let house = House::new();
    let rin = house.person("rin", &ACCOUNT_OWNER);
    let me = house.call("GET", "/api/me", "").body;
    let admin = format!("/api/users/{}", me["id"].as_str().expect("an id"));
    assert_eq!(house.call("DELETE", &admin, "").status, 204, "rin is an owner, too");
    assert_eq!(
        house.event_names(),
        ["account-membership.deleted", "api-key.deleted", "user.deleted"]
    );
    assert_eq!(house.call("GET", "/api/me", "").status, 401);
    let path = format!("/api/users/{}", rin.id);
    assert_eq!(house.call_as(Some(&rin.bearer), "DELETE", &path, "").status, 409);
    assert!(house.events().is_empty());
}

#[test]
fn who_ends_is_told_of_in_each_account_they_belonged_to() {
    let house = House::new();
    let (path, key) = house.second();
    let other = catalogue::is_id(&path[path.len() - 36..]).expect("an id");
    let mo = house.person("mo", &ACCOUNT_MEMBER);
    let place = json!({"name": "mo", "user_id": mo.id.to_string(), "active": true,
        "account_role_id": ACCOUNT_ADMIN.id.to_string()});
    let place = place.as_object().cloned().expect("an object");
    let (clock, kind) = (&house.api.clock, &catalogue::ACCOUNT_MEMBERSHIP);
    let place = crate::store::Record::new(id::now(clock), kind, other, place, clock.now());
    let writes = vec![crate::store::Write::Insert(place)];
    wait(house.api.store.commit(crate::store::Batch { writes, events: vec![] })).expect("made");
    let end = format!("/api/users/{}", mo.id);
    assert_eq!(house.call_as(Some(&mo.bearer), "DELETE", &end, "").status, 204);
    let pending = wait(house.api.store.pending(100)).expect("events");
    let accounts: Vec<_> = pending.iter().map(|outgoing| outgoing.account).collect();
    let home = house.first.account_id;
    assert_eq!(accounts.len(), 4);
    assert_eq!(accounts.iter().filter(|account| **account == other).count(), 1);
    assert_eq!(accounts.last(), Some(&home));
    let bearer = format!("Bearer {key}");
    let rows = format!("{path}/account_memberships/count");
    assert_eq!(house.call_as(Some(&bearer), "POST", &rows, "").body, 1);
}

#[test]
fn keys_of_ones_own_are_told_once() {
    let house = House::new();
    let rin = house.person("rin", &ACCOUNT_MEMBER);
    let base = format!("/api/users/{}/api_keys", rin.id);
    let mine =
        |method, path: &str, body: &str| house.call_as(Some(&rin.bearer), method, path, body);
    let made = mine("POST", &base, r#"{"name":"laptop","expiration":"2030-01-01T00:00:00Z"}"#);
    assert_eq!(made.status, 201);
    let key = made.body["key"].as_str().expect("a key").to_owned();
    assert!(key.starts_with("pnu_"));
    let id = made.body["id"].as_str().expect("an id").to_owned();
    let bearer = format!("Bearer {key}");
    assert_eq!(house.call_as(Some(&bearer), "GET", "/api/me", "").body["handle"], "rin");
    let listed = mine("GET", &format!("{base}?name=laptop"), "").body;
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    assert_eq!(listed[0]["masked_key"], format!("pnu_...{}", &key[36..]));
    assert!(listed[0].get("key").is_none());
    assert_eq!(mine("GET", &base, "").body.as_array().map(Vec::len), Some(2));
    assert_eq!(mine("GET", "/api/me/api_keys", "").body.as_array().map(Vec::len), Some(2));
    let filter = r#"{"api_keys":{"name":{"like_":"LAP"}}}"#;
    assert_eq!(
        mine("POST", "/api/me/api_keys/filter", filter).body.as_array().map(Vec::len),
        Some(1)
    );
    let one = format!("{base}/{id}");
    assert_eq!(mine("PATCH", &one, r#"{"name":"desktop"}"#).status, 204);
    assert_eq!(mine("PATCH", &one, r#"{"name":"desktop"}"#).status, 204);
    assert_eq!(mine("PATCH", &one, r#"{"expiration":null}"#).status, 422);
    assert_eq!(mine("GET", &one, "").body["name"], "desktop");
    // Another's key under one's own path, and one's own under another's.
    let me = house.call("GET", "/api/me", "").body;
    let admin = format!("/api/users/{}/api_keys", me["id"].as_str().expect("an id"));
    assert_eq!(house.call("GET", &format!("{admin}/{id}"), "").status, 404);
    assert_eq!(house.call("DELETE", &format!("{admin}/{id}"), "").status, 404);
    assert_eq!(house.call("GET", &one, "").status, 404);
    assert_eq!(mine("DELETE", &one, "").status, 204);
    assert_eq!(house.call_as(Some(&bearer), "GET", "/api/me", "").status, 401);
    let events = house.events();
    let names: Vec<_> = events.iter().map(|event| event["event"].clone()).collect();
    assert_eq!(
        names,
        ["created", "updated", "deleted"].map(|done| format!("prefect-cloud.api-key.{done}"))
    );
    assert!(!Value::from(events).to_string().contains("pnu_"));
}
