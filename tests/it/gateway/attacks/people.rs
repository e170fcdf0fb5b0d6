//! Those who guess, borrow or forge: slugs, keys, cookies of another site, signatures, names of our own events.

use std::fs;

use hookgate::config::Config;
use serde_json::{Value, json};

use super::{Served, TAKES_ALL, hook, near, statuses, tell};

const CORRECT: &str = "correct horse battery";

#[test]
fn a_slug_is_in_no_answer_no_event_and_no_metric() {
    let served = Served::start(|_| ());
    let webhook = served.webhook(TAKES_ALL);
    let slug = webhook["slug"].as_str().expect("a slug").to_owned();
    let hook = hook(&webhook);
    let referer = [("referer", &*format!("https://x{hook}"))];
    let taken = served.send("POST", &format!("{hook}?from={slug}"), &referer, b"{}");
    assert_eq!(taken.status, 204);
    let off = json!({"enabled": false});
    let id = webhook["id"].as_str().expect("an id");
    assert_eq!(served.call("PATCH", &format!("/webhooks/{id}"), &off).status, 204);
    let gone = served.send("POST", &hook, &[], b"{}");
    let never = served.send("POST", "/hooks/AAAAAAAAAAAAAAAAAAAAAA", &[], b"{}");
    let short = served.send("POST", "/hooks/A", &[], b"{}");
    let volatile = |head: &str| {
        let fixed = |line: &&str| !line.starts_with("x-request-id") && !line.starts_with("date");
        head.lines().filter(fixed).map(str::to_owned).collect::<Vec<_>>()
    };
    for other in [&never, &short] {
        assert_eq!((gone.status, &gone.body), (other.status, &other.body));
        assert_eq!(volatile(&gone.head), volatile(&other.head), "nothing tells them apart");
    }
    served.events(2);
    for text in [
        gone.head.clone(),
        gone.text(),
        taken.head,
        served.ask("/metrics").text(),
        served.ask("/readyz").text(),
        fs::read_to_string(served.destination()).expect("lines"),
    ] {
        assert!(!text.contains(&slug), "{text}");
    }
}

#[test]
fn a_key_counts_in_its_header_alone_and_no_answer_helps_to_guess() {
    let served = Served::start(|_| ());
    let path = format!("{}/webhooks/filter", served.api);
    let key = served.key.clone();
    let near = format!("Bearer {}", near(&key, 0));
    let cookie = format!("key={key}; session={key}");
    let basic = format!("Basic {key}");
    let mut answers = vec![
        served.send("POST", &path, &[], b"{}"),
        served.send("POST", &format!("{path}?api_key={key}&token={key}"), &[], b"{}"),
    ];
    for header in [
        ("cookie", &*cookie),
        ("authorization", &*basic),
        ("authorization", &*near),
        ("authorization", "Bearer"),
        ("authorization", "Bearer hg_nobody_nothing"),
        ("x-api-key", &*key),
    ] {
        answers.push(served.send("POST", &path, &[header], b"{}"));
    }
    for answer in &answers {
        assert_eq!((answer.status, &answer.body), (401, &answers[0].body), "{}", answer.head);
        assert!(!answer.text().contains(&key));
    }
}

#[test]
fn another_sites_page_does_nothing_with_a_session() {
    let served = Served::start(|_| ());
    let bearer = format!("Bearer {}", served.key);
    let own = [("authorization", &*bearer), ("content-type", "application/json")];
    let me = served.send("GET", "/api/me", &own, b"").json();
    let path = format!("/api/users/{}/password", me["id"].as_str().expect("an id"));
    let set = json!({ "password": CORRECT }).to_string();
    let answer = served.send("POST", &path, &own, set.as_bytes());
    assert_eq!(answer.status, 204, "{}", answer.text());
    let login = json!({"handle": me["handle"], "password": CORRECT}).to_string();
    let json_type = ("content-type", "application/json");
    let foreign = [json_type, ("sec-fetch-site", "cross-site")];
    let answer = served.send("POST", "/api/auth/login", &foreign, login.as_bytes());
    assert_eq!(answer.status, 403, "a form of another site logs nobody in");
    let answer = served.send("POST", "/api/auth/login", &[json_type], login.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let cookie = answer.header("set-cookie").expect("a cookie").to_owned();
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/api"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    let cookie = cookie.split(';').next().expect("a pair");
    for site in [None, Some("cross-site"), Some("same-site"), Some("none")] {
        let mut headers = vec![("cookie", cookie), ("origin", "https://evil.example")];
        headers.extend(site.map(|site| ("sec-fetch-site", site)));
        let answer = served.send("POST", "/api/auth/logout", &headers, b"");
        assert_eq!(answer.status, 401, "{site:?}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    let asks = [
        ("origin", "https://evil.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization"),
    ];
    let preflight = served.send("OPTIONS", "/api/me", &asks, b"");
    assert!(!preflight.head.to_lowercase().contains("access-control-allow"), "{}", preflight.head);
    let headers = [("cookie", cookie), ("sec-fetch-site", "same-origin")];
    assert_eq!(served.send("POST", "/api/auth/logout", &headers, b"").status, 204);
}

#[test]
fn whoever_guesses_a_password_is_soon_kept_waiting() {
    let served = Served::start(|_| ());
    let wrong = json!({"handle": "nobody", "password": "wrong horse"}).to_string();
    let json_type = [("content-type", "application/json")];
    let mut tries =
        (0..100).map(|_| served.send("POST", "/api/auth/login", &json_type, wrong.as_bytes()));
    let waits = tries.find(|answer| answer.status != 401).expect("an end of guessing");
    assert_eq!(waits.status, 429);
    assert!(waits.header("retry-after").is_some());
}

#[test]
fn whoever_guesses_slugs_is_soon_told_to_wait_and_nobody_beside_them_is() {
    let served = Served::start(|_| ());
    let open = hook(&served.webhook(TAKES_ALL));
    let near = json!({"name": "near", "template": TAKES_ALL, "networks": ["192.0.2.0/24"]});
    let near = hook(&served.call("POST", "/webhooks/", &near).json());
    let guess = |number: usize| served.send("POST", &format!("/hooks/{number:022}"), &[], b"{}");
    let tries: Vec<_> = (0..30).map(guess).collect();
    assert!(tries[..20].iter().all(|answer| answer.status == 404));
    let waits = tries.iter().find(|answer| answer.status != 404).expect("an end of guessing");
    assert_eq!(waits.status, 429, "{}", waits.text());
    assert!(waits.header("retry-after").is_some());
    // A webhook that may not be called from here is no more there than the others.
    let mut closed = (0..30).map(|_| served.send("POST", &near, &[], b"{}").status);
    assert!(closed.any(|status| status == 429));
    let path = format!("/receipts/{}", "019aaf5e-0b7b-7a5c-8d6e-0123456789ab");
    let wrong = [("authorization", "Bearer AAAAAAAAAAAAAAAAAAAAAA")];
    let mut receipts = (0..30).map(|_| served.send("GET", &path, &wrong, b"").status);
    assert!(receipts.any(|status| status == 429));
    assert_eq!(served.send("POST", &open, &[], b"{}").status, 204, "what is right passes");
    let metrics = served.ask("/metrics").text();
    assert!(metrics.contains("hookgate_hook_damped_total "), "{metrics}");
    assert!(!metrics.contains("hookgate_hook_damped_total 0\n"), "{metrics}");

    let off = Served::start(|config| config.limits.wrong_slugs_per_minute = 0);
    let guess = |number: usize| off.send("POST", &format!("/hooks/{number:022}"), &[], b"{}");
    assert!((0..40).all(|number| guess(number).status == 404));
}

#[test]
fn whoever_guesses_keys_is_soon_told_to_wait_and_nobody_beside_them_is() {
    let served = Served::start(|_| ());
    let path = format!("{}/webhooks/filter", served.api);
    let json_type = ("content-type", "application/json");
    let with = |served: &Served, key: &str| {
        let bearer = format!("Bearer {key}");
        served.send("POST", &path, &[("authorization", &*bearer), json_type], b"{}")
    };
    let key = &served.key;
    let tries: Vec<_> = (0..20).map(|number| with(&served, &near(key, number))).collect();
    let wrong = tries.iter().take_while(|answer| answer.status == 401).count();
    assert!(wrong >= 10, "{wrong}");
    let waits = tries.get(wrong).expect("an end of guessing");
    assert_eq!(waits.status, 429, "{}", waits.text());
    assert!(waits.header("retry-after").is_some());
    assert_eq!(with(&served, key).status, 200, "what is right passes");
    let without = served.send("POST", &path, &[json_type], b"{}");
    assert_eq!(without.status, 401, "who shows none does not guess");
    let line = r#"hookgate_api_requests_total{kind="webhook",verb="filter",status="429"}"#;
    let metrics = served.ask("/metrics").text();
    assert!(metrics.contains(line), "{metrics}");

    let off = Served::start(|config| config.limits.wrong_keys_per_minute = 0);
    let path = format!("{}/webhooks/filter", off.api);
    let wrong = [("authorization", "Bearer hg_nobody_nothing"), json_type];
    assert!((0..20).all(|_| off.send("POST", &path, &wrong, b"{}").status == 401));
}

#[test]
fn a_foreign_name_for_the_gateway_is_not_served() {
    let served = Served::start(|config| config.server.hosts = vec!["hooks.example".to_owned()]);
    for (host, status) in [("hooks.example", 404), ("hooks.example:1", 404), ("evil.example", 400)]
    {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(statuses(&tell(served.address(), request.as_bytes())), [status], "{host}");
    }
}

#[test]
fn without_a_key_a_strangers_name_for_the_gateway_opens_nothing() {
    let open = |change: fn(&mut Config)| {
        Served::start(|config| {
            config.events.open_server_mode = true;
            change(config);
        })
    };
    let status = |served: &Served, host: &str, more: &str| {
        let request = format!(
            "POST /api/events HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\
             Content-Type: application/json\r\nContent-Length: 2\r\n\r\n[]"
        );
        statuses(&tell(served.address(), request.as_bytes()))
    };
    let served = open(|config| {
        config.server.public_url = Some("https://hooks.example:8443".to_owned());
    });
    for (host, code) in [
        ("127.0.0.1:8420", 204),
        ("localhost", 204),
        ("hooks.example", 204),
        ("evil.example", 401),
        ("127.0.0.1.evil.example:8420", 401),
        ("localhost.evil.example", 401),
    ] {
        assert_eq!(status(&served, host, ""), [code], "{host}");
    }
    let bearer = format!("Authorization: Bearer {}\r\n", served.key);
    assert_eq!(status(&served, "evil.example", &bearer), [204], "a key is a key");
    let named = open(|config| config.server.hosts = vec!["inside".to_owned()]);
    assert_eq!(status(&named, "inside:8420", ""), [204], "the operator says so");
    assert_eq!(status(&named, "evil.example", ""), [400]);
}

#[test]
fn forged_requests_use_up_nobodys_quota_and_leave_nothing() {
    let served = Served::start(|config| {
        config.limits.webhook_rate = Some("1/h".parse().expect("a rate"));
        config.limits.webhook_burst = Some(1);
    });
    let webhook = served.webhook(TAKES_ALL);
    let verification = json!({"provider": "gitlab", "secrets": ["a-token-that-nobody-sees"]});
    let body = json!({"name": "w", "description": "", "template": TAKES_ALL, "verification": verification});
    let id = webhook["id"].as_str().expect("an id");
    let set = served.call("PUT", &format!("/webhooks/{id}"), &body);
    assert_eq!(set.status, 204, "{}", set.text());
    let hook = hook(&webhook);
    let send = |token: &str| served.send("POST", &hook, &[("x-gitlab-token", token)], b"{}").status;
    for forged in ["", "a", "a-token-that-nobody-see", "a-token-that-nobody-sees0"] {
        assert_eq!(send(forged), 401, "{forged}");
    }
    assert_eq!(send("a-token-that-nobody-sees"), 204);
    assert_eq!(send("a-token-that-nobody-sees"), 429, "its own quota is charged");
    assert_eq!(served.events(2).len(), 2);
}

#[test]
fn names_of_our_own_events_are_not_for_clients() {
    let served = Served::start(|_| ());
    for name in ["prefect-cloud.webhook.deleted", "Prefect-Cloud.webhook.deleted"] {
        let event = json!([{
            "occurred": "2026-11-23T22:00:00Z", "event": name,
            "resource": {"prefect.resource.id": "prefect-cloud.webhook.1"},
            "related": [], "payload": {}, "id": "019ab2f0-0000-7000-8000-000000000001",
        }]);
        let answer = served.call("POST", "/events", &event);
        assert_eq!(answer.status, 422, "{name}: {}", answer.text());
    }
    assert_eq!(served.call("GET", "/webhooks/not-an-id", &Value::Null).status, 422);
}
