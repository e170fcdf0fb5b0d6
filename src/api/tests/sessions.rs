//! Passwords, and sessions by cookie.

use super::*;
use crate::catalogue::role::ACCOUNT_MEMBER;

const LOGIN: &str = "/api/auth/login";
const RIGHT: &str = r#"{"handle":"rin","password":"correct horse"}"#;

impl House {
    /// A call by cookie from a page of that origin, as a browser would say it.
    fn by_cookie(&self, cookie: &str, site: Option<&str>, method: &str, path: &str) -> Answer {
        let mut arrival = self.arrival(None, method, path);
        arrival.headers.insert("cookie", HeaderValue::from_str(cookie).expect("a header"));
        if let Some(site) = site {
            arrival
                .headers
                .insert("sec-fetch-site", HeaderValue::from_str(site).expect("a header"));
        }
        self.send(arrival, "")
    }

    /// Somebody with a password.
    fn rin(&self) -> members::Person {
        let rin = self.person("rin", &ACCOUNT_MEMBER);
        let path = format!("/api/users/{}/password", rin.id);
        let set = self.call_as(Some(&rin.bearer), "POST", &path, r#"{"password":"correct horse"}"#);
        assert_eq!(set.status, 204, "{set:?}");
        rin
    }

    fn log_in(&self) -> (Answer, String) {
        let answer = self.call_as(None, "POST", LOGIN, RIGHT);
        assert_eq!(answer.status, 200, "{answer:?}");
        let cookie = answer.headers["set-cookie"].to_str().expect("text").to_owned();
        (answer, cookie.split(';').next().expect("a pair").to_owned())
    }
}

#[test]
fn a_session_begins_with_a_password_and_ends_when_told() {
    let house = House::new();
    let rin = house.rin();
    house.events();
    let (answer, cookie) = house.log_in();
    let attributes = answer.headers["set-cookie"].to_str().expect("text");
    for attribute in ["Path=/api", "HttpOnly", "SameSite=Strict", "Secure", "Max-Age="] {
        assert!(attributes.contains(attribute), "{attribute} in {attributes}");
    }
    assert_eq!(answer.body["user_id"], rin.id.to_string());
    let mine = |site, method, path: &str| house.by_cookie(&cookie, site, method, path);
    let me = mine(None, "GET", "/api/me");
    assert_eq!((me.status, &me.body["handle"]), (200, &json!("rin")));
    let sessions = mine(None, "GET", "/api/me/sessions").body;
    assert_eq!(sessions[0]["ip_address"], "192.0.2.1");
    assert!(sessions[0]["expires_at"].is_u64() && sessions[0]["restricted"] == false);
    let filtered = mine(Some("same-origin"), "POST", "/api/me/sessions/filter").body;
    assert_eq!(filtered, sessions);
    // Another site's page, or one that does not say where it is from, changes nothing.
    for site in [None, Some("cross-site"), Some("same-site"), Some("none")] {
        assert_eq!(mine(site, "POST", "/api/auth/logout").status, 401, "{site:?}");
    }
    let token = cookie.split_once('=').expect("a pair").1;
    let bearer = format!("Bearer {token}");
    assert_eq!(house.call_as(Some(&bearer), "GET", "/api/me", "").status, 401, "no key");
    let user = house.call_as(Some(&rin.bearer), "GET", &format!("/api/users/{}", rin.id), "").body;
    assert_eq!(user["last_login"], house.api.clock.now().to_string());
    let out = mine(Some("same-origin"), "POST", "/api/auth/logout");
    assert_eq!(out.status, 204);
    assert!(out.headers["set-cookie"].to_str().expect("text").contains("Max-Age=0"));
    assert_eq!(mine(None, "GET", "/api/me").status, 401);
    let events = house.events();
    let names: Vec<_> = events.iter().map(|event| event["event"].clone()).collect();
    assert_eq!(names, ["prefect-cloud.user.logged-in", "prefect-cloud.user.logged-out"]);
    let told = json!({"ip_address": "192.0.2.1", "user_agent": ""});
    assert_eq!(events[0]["payload"], told);
    assert!(!Value::from(events).to_string().contains(token));
    assert_eq!(house.call_as(Some(&rin.bearer), "POST", "/api/auth/logout", "").status, 409);
}

#[test]
fn whatever_is_wrong_gets_the_same_answer_and_soon_none() {
    let house = House::new();
    house.rin();
    house.events();
    let mut statuses = Vec::new();
    for body in [
        r#"{"handle":"rin","password":"wrong horse"}"#,
        r#"{"handle":"nobody","password":"correct horse"}"#,
        r#"{"handle":"admin","password":"correct horse"}"#,
        r#"{"email":"rin@acme.example","password":""}"#,
    ] {
        let answer = house.call_as(None, "POST", LOGIN, body);
        let expected = json!({"detail": "Invalid authentication credentials"});
        assert_eq!((answer.status, answer.body), (401, expected), "{body}");
    }
    for body in ["", "{}", r#"{"password":"correct horse"}"#, r#"{"handle":"rin"}"#] {
        assert_eq!(house.call_as(None, "POST", LOGIN, body).status, 422, "{body}");
    }
    let email = r#"{"email":"RIN@acme.example","password":"correct horse"}"#;
    assert_eq!(house.call_as(None, "POST", LOGIN, email).status, 200);
    assert_eq!(house.event_names(), ["user.logged-in"]);
    // Tries come back with time, and a slow machine takes some for each.
    for _ in 0..100 {
        let body = r#"{"handle":"rin","password":"wrong horse"}"#;
        statuses.push(house.call_as(None, "POST", LOGIN, body).status);
        if statuses.last() == Some(&429) {
            break;
        }
    }
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
    assert!(house.events().is_empty());
    let mut arrival = house.arrival(None, "POST", LOGIN);
    arrival.headers.insert("sec-fetch-site", HeaderValue::from_static("cross-site"));
    assert_eq!(house.send(arrival, RIGHT).status, 403, "another site's form");
}

#[test]
fn a_session_ends_unused_or_with_its_password() {
    let house = House::new();
    let rin = house.rin();
    let (_, first) = house.log_in();
    let knock = |cookie: &str| house.by_cookie(cookie, None, "GET", "/api/me").status;
    for _ in 0..3 {
        house.api.clock.advance_seconds(11 * 3600);
        assert_eq!(knock(&first), 200, "it is used");
    }
    house.api.clock.advance_seconds(12 * 3600);
    assert_eq!(knock(&first), 401);
    let (_, second) = house.log_in();
    let path = format!("/api/users/{}/password", rin.id);
    let set = |body: &str| house.call_as(Some(&rin.bearer), "POST", &path, body).status;
    house.events();
    assert_eq!(set(r#"{"password":"battery staple"}"#), 422, "the present one is missing");
    assert_eq!(set(r#"{"password":"short","current_password":"correct horse"}"#), 422);
    assert_eq!(knock(&second), 200);
    assert_eq!(set(r#"{"password":"battery staple","current_password":"correct horse"}"#), 204);
    assert_eq!(knock(&second), 401, "the others end");
    let events = house.events();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["payload"], json!({"updated_fields": ["password"]}));
    assert_eq!(house.call_as(None, "POST", LOGIN, RIGHT).status, 401);
}

#[test]
fn one_ends_ones_own_sessions_and_none_of_others() {
    let house = House::new();
    let rin = house.rin();
    let (answer, cookie) = house.log_in();
    let path = format!("/api/me/sessions/{}", answer.body["id"].as_str().expect("an id"));
    house.events();
    assert_eq!(house.call("DELETE", &path, "").status, 404, "somebody else's");
    assert_eq!(house.call_as(Some(&rin.bearer), "DELETE", &path, "").status, 204);
    assert_eq!(house.by_cookie(&cookie, None, "GET", "/api/me").status, 401);
    assert_eq!(house.event_names(), ["user.logged-out"]);
    house.log_in();
    house.events();
    let user = format!("/api/users/{}", rin.id);
    assert_eq!(house.call_as(Some(&rin.bearer), "DELETE", &user, "").status, 204);
    let names = house.event_names();
    assert!(names.iter().all(|name| !name.contains("session")), "{names:?}");
}

#[test]
fn a_stranger_sends_little() {
    let house = House::new();
    let most = usize::try_from(OPEN_BODY_MAX_BYTES).expect("a size");
    for path in [
        LOGIN.to_owned(),
        format!("/api/invitations/{OTHER}/accept?invite_code=x"),
        format!("/api/invitations/{OTHER}/reject?invite_code=x"),
    ] {
        let answer = |bytes| {
            let body = format!("{RIGHT}{}", " ".repeat(bytes - RIGHT.len()));
            house.call_as(None, "POST", &path, &body).status
        };
        assert_ne!(answer(most), 413, "{path}");
        assert_eq!(answer(most + 1), 413, "{path}");
    }
    let template = json!({"name": "x", "template": " ".repeat(most)}).to_string();
    assert_ne!(house.call("POST", &format!("{}/", house.base), &template).status, 413);
}

#[test]
fn who_is_kept_out_everywhere_neither_stays_nor_comes_in() {
    let house = House::new();
    let rin = house.rin();
    let (_, cookie) = house.log_in();
    let place = format!("{}/account_memberships/{}/active", house.account, rin.membership);
    assert_eq!(house.call("PATCH", &place, r#"{"active":false}"#).status, 204);
    house.events();
    assert_eq!(house.by_cookie(&cookie, None, "GET", "/api/me").status, 401);
    assert_eq!(house.call_as(Some(&rin.bearer), "GET", "/api/me", "").status, 401);
    assert_eq!(house.call_as(None, "POST", LOGIN, RIGHT).status, 401);
    assert!(house.events().is_empty());
    assert_eq!(house.call("PATCH", &place, r#"{"active":true}"#).status, 204);
    assert_eq!(house.by_cookie(&cookie, None, "GET", "/api/me").status, 200);
    house.log_in();
}
