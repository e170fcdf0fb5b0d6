//! Service accounts and their keys.

use super::*;

impl House {
    fn bots(&self, more: &str) -> String {
        format!("{}/bots/{more}", self.account)
    }

    fn bot(&self, body: &str) -> Value {
        let answer = self.call("POST", &self.bots(""), body);
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.body
    }

    /// The status a key gets for the simplest question.
    fn knock(&self, bot: &Value) -> u16 {
        let bearer = format!("Bearer {}", bot["api_key"]["key"].as_str().expect("a key"));
        self.call_as(Some(&bearer), "GET", "/api/me", "").status
    }

    fn advance(&self, seconds: i64) {
        self.api.clock.advance_seconds(seconds);
    }
}

#[test]
fn a_key_is_told_once_and_works_at_once() {
    let house = House::new();
    let made = house.bot(r#"{"name":"ci","api_key_expiration":"2023-11-14T22:13:21Z"}"#);
    let key = made["api_key"]["key"].as_str().expect("a key").to_owned();
    assert!(key.starts_with("pnb_") && key.len() == 40);
    assert_eq!(made["api_key"]["expiration"], "2023-11-14T22:13:21Z");
    assert_eq!(made["account_role_name"], "Member");
    assert_eq!(house.knock(&made), 200);
    let events = house.events();
    let names: Vec<_> = events.iter().map(|event| event["event"].clone()).collect();
    let made_too = ["service-account", "account-membership", "api-key"];
    assert_eq!(names, made_too.map(|kind| format!("prefect-cloud.{kind}.created")));
    let text = Value::from(events).to_string();
    assert!(!text.contains("pnb_") && !text.contains(&key[4..16]), "{text}");
    let path = house.bots(made["id"].as_str().expect("an id"));
    let read = house.call("GET", &path, "");
    assert_eq!(read.body["api_key"]["masked_key"], format!("pnb_...{}", &key[36..]));
    assert!(read.body["api_key"].get("key").is_none() && read.body["actor_id"].is_string());
    let found = |body: &str| {
        let answer = house.call("POST", &house.bots("filter"), body);
        answer.body.as_array().map(Vec::len)
    };
    assert_eq!(found(""), Some(1));
    assert_eq!(found(r#"{"service_accounts":{"name":{"any_":["ci"]}}}"#), Some(1));
    assert_eq!(found(r#"{"service_accounts":{"name":{"like_":"x"}}}"#), Some(0));
    house.advance(1);
    assert_eq!(house.knock(&made), 401, "its end has come");
}

#[test]
fn a_service_account_may_not_manage_but_knows_itself() {
    let house = House::new();
    let bot = house.bot(r#"{"name":"ci"}"#);
    let bearer = format!("Bearer {}", bot["api_key"]["key"].as_str().expect("a key"));
    let call = |method, path: &str| house.call_as(Some(&bearer), method, path, "{}");
    assert_eq!(call("GET", "/api/me").body["handle"], "ci");
    assert_eq!(call("GET", "/api/me/workspaces").body, json!([]));
    assert_eq!(call("GET", "/api/me/accounts").body[0]["account_role_name"], "Member");
    assert_eq!(call("POST", &house.bots("")).status, 403);
    assert_eq!(call("GET", &house.base).status, 404, "a workspace it has no place in");
    assert_eq!(call("GET", &house.first.api_path).status, 404);
}

#[test]
fn rotation_overlaps_as_long_as_asked() {
    let house = House::new();
    let first = house.bot(r#"{"name":"ci"}"#);
    let path = house.bots(first["id"].as_str().expect("an id"));
    let rotate = format!("{path}/rotate_api_key");
    house.events();
    house.advance(1);
    let second = house.call("POST", &rotate, r#"{"old_key_expires_in_seconds":60}"#);
    assert_eq!(second.status, 201);
    let second = second.body;
    let events = house.events();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["event"], "prefect-cloud.api-key.rotated");
    let told = json!({"expiration": null, "old_key_expires_at": "2023-11-14T22:14:21Z"});
    assert_eq!(events[0]["payload"], told);
    assert_eq!((house.knock(&first), house.knock(&second)), (200, 200));
    let read = house.call("GET", &path, "").body;
    assert_eq!(read["api_key"]["id"], second["api_key"]["id"]);
    house.advance(60);
    assert_eq!((house.knock(&first), house.knock(&second)), (401, 200));
    let third = house.call("POST", &rotate, "").body;
    assert_eq!((house.knock(&second), house.knock(&third)), (401, 200));
    let keys = wait(house.api.store.keys()).expect("keys");
    assert_eq!(keys.len(), 2, "the user's, and the newest of the service account's");
}

#[test]
fn every_key_before_ends_with_the_overlap() {
    let house = House::new();
    let first = house.bot(r#"{"name":"ci"}"#);
    let id = first["id"].as_str().expect("an id");
    let rotate = format!("{}/rotate_api_key", house.bots(id));
    let overlap = |seconds: u32| {
        house.advance(1);
        let body = json!({ "old_key_expires_in_seconds": seconds }).to_string();
        house.call("POST", &rotate, &body).body
    };
    let (second, third) = (overlap(600), overlap(60));
    assert_eq!([&first, &second, &third].map(|bot| house.knock(bot)), [200, 200, 200]);
    house.advance(60);
    assert_eq!([&first, &second, &third].map(|bot| house.knock(bot)), [401, 401, 200]);
    let bearer = format!("Bearer {}", third["api_key"]["key"].as_str().expect("a key"));
    let own = format!("/api/users/{id}/api_keys");
    let key = format!("{own}/{}", third["api_key"]["id"].as_str().expect("an id"));
    for (method, path) in [("POST", &own), ("GET", &own), ("PATCH", &key), ("DELETE", &key)] {
        let answer = house.call_as(Some(&bearer), method, path, r#"{"name":"k"}"#);
        assert_eq!(answer.status, 404, "no user, {method}: {answer:?}");
    }
    let own = house.call_as(Some(&bearer), "GET", "/api/me/api_keys", "");
    assert_eq!(own.status, 200, "what it may be told of itself: {own:?}");
}

#[test]
fn a_key_that_ended_before_it_began_is_not_made() {
    let house = House::new();
    let bot = house.bot(r#"{"name":"ci"}"#);
    let rotate = house.bots(&format!("{}/rotate_api_key", bot["id"].as_str().expect("an id")));
    let own = house.call("GET", "/api/me", "").body;
    let own = format!("/api/users/{}/api_keys", own["id"].as_str().expect("an id"));
    house.events();
    for (path, field) in [
        (house.bots(""), "api_key_expiration"),
        (rotate, "api_key_expiration"),
        (own, "expiration"),
    ] {
        for (end, status) in [("2023-11-14T22:13:20Z", 422), ("2023-11-14T22:13:20.000001Z", 201)] {
            let mut body = json!({ field: end });
            if !path.ends_with("rotate_api_key") {
                body["name"] = "k".into();
            }
            let answer = house.call("POST", &path, &body.to_string());
            assert_eq!(answer.status, status, "{path} {body}: {answer:?}");
            if status == 422 {
                assert_eq!(answer.body["detail"][0]["loc"], json!(["body", field]));
                assert!(house.events().is_empty());
            }
        }
        house.events();
    }
    assert_eq!(house.knock(&bot), 401, "its key was rotated");
}

#[test]
fn a_service_account_in_use_stays() {
    let house = House::new();
    let bot = house.bot(r#"{"name":"ci"}"#);
    let path = house.bots(bot["id"].as_str().expect("an id"));
    let hook = house.make(&json!({"name": "a", "template": "t", "service_account_id": bot["id"]}));
    house.events();
    let answer = house.call("DELETE", &path, "");
    let detail = json!({"detail": "1 other record refers to it"});
    assert_eq!((answer.status, answer.body), (409, detail));
    assert!(house.events().is_empty());
    assert_eq!(house.knock(&bot), 200, "nothing of it was ended");
    let hook = format!("{}/{}", house.base, hook["id"].as_str().expect("an id"));
    assert_eq!(house.call("DELETE", &hook, "").status, 204);
    assert_eq!(house.call("PATCH", &path, r#"{"name":"cd"}"#).status, 204);
    assert_eq!(house.call("DELETE", &path, "").status, 204);
    assert_eq!(house.knock(&bot), 401);
    assert_eq!(
        house.event_names(),
        [
            "webhook.deleted",
            "service-account.updated",
            "api-key.deleted",
            "account-membership.deleted",
            "service-account.deleted"
        ]
    );
}

#[test]
fn keys_of_who_is_kept_out_open_nothing_until_they_are_let_in() {
    let house = House::new();
    let bot = house.bot(r#"{"name":"ci"}"#);
    let text = bot["api_key"]["key"].as_str().expect("a key").to_owned();
    let path = format!("{}/account_memberships", house.account);
    let by_bot = format!("{path}/by-bot/{}", bot["id"].as_str().expect("an id"));
    let place = house.call("GET", &by_bot, "").body;
    let place = format!("{path}/{}/active", place["id"].as_str().expect("an id"));
    // Hooks ask the same ring.
    let opens = |key: &str| house.api.keys.check(key, house.api.clock.now()).is_some();
    let key = house.api.keys.check(&text, house.api.clock.now()).expect("let in");
    for (body, status) in [(r#"{"active":false}"#, 401), (r#"{"active":true}"#, 200)] {
        assert_eq!(house.call("PATCH", &place, body).status, 204);
        assert_eq!((house.knock(&bot), opens(&text)), (status, status == 200), "{body}");
        assert_eq!(house.api.keys.holds(&key, house.api.clock.now()), status == 200);
        let kept = wait(house.api.store.keys()).expect("keys");
        let kept = kept.iter().find(|kept| kept.id == key.id).expect("its key");
        assert_eq!(kept.active, status == 200, "as start-up reads it");
    }
    assert_eq!(house.call("PATCH", &place, r#"{"active":false}"#).status, 204);
    let rotate = house.bots(&format!("{}/rotate_api_key", bot["id"].as_str().expect("an id")));
    let fresh = house.call("POST", &rotate, "").body;
    assert_eq!(house.knock(&fresh), 401, "a new key of theirs neither");
}
