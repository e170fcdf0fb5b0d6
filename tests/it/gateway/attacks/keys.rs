//! Keys and cookies of others where no person looks on: webhooks that are a service account's, and websockets. In:
//! wrong keys by the dozen, a session's cookie beside the names of pages. Out: 401, 429, and closes that say as much.

use serde_json::{Value, json};

use super::super::socket::Client;
use super::{Served, TAKES_ALL, hook, near};

const CORRECT: &str = "correct horse battery";
/// Of one peer in a minute by default.
const WRONG_KEYS: usize = 10;
/// One more key comes back while the tries go on, should the machine be slow.
const TRIES: usize = 2 * WRONG_KEYS;
const PREFECT: (&str, &str) = ("sec-websocket-protocol", "prefect");

/// What was answered before the first that was damped.
fn wrong(answers: &[u16]) -> usize {
    answers.iter().take_while(|status| **status == 401).count()
}

/// The cookie of a session that was begun with a password.
fn session(served: &Served) -> String {
    let me = served.me();
    let path = format!("/api/users/{}/password", me["id"].as_str().expect("an id"));
    let bearer = format!("Bearer {}", served.key);
    let own = [("authorization", &*bearer), ("content-type", "application/json")];
    let set = json!({ "password": CORRECT }).to_string();
    assert_eq!(served.send("POST", &path, &own, set.as_bytes()).status, 204);
    let login = json!({"handle": me["handle"], "password": CORRECT}).to_string();
    let answer = served.send("POST", "/api/auth/login", &own[1..], login.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let cookie = answer.header("set-cookie").expect("a cookie");
    cookie.split(';').next().expect("a pair").to_owned()
}

impl Served {
    fn me(&self) -> Value {
        let bearer = format!("Bearer {}", self.key);
        self.send("GET", "/api/me", &[("authorization", &*bearer)], b"").json()
    }

    /// What the first frame of a websocket is answered that shows no token: nothing is wrong, or the close.
    fn greeting(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        token: &Value,
    ) -> Option<(u16, String)> {
        let headers = [headers, &[PREFECT]].concat();
        let mut client = self.connect(path, &headers).expect("it switches");
        client.say(&json!({"type": "auth", "token": token}));
        is_refused(client)
    }
}

fn is_refused(mut client: Client) -> Option<(u16, String)> {
    match client.hear_or_end() {
        Ok(said) => {
            assert_eq!(said, json!({"type": "auth_success"}));
            None
        }
        Err(end) => Some(end),
    }
}

#[test]
fn a_cookie_opens_no_websocket_for_another_sites_page() {
    let served = Served::start(|_| ());
    let cookie = session(&served);
    let (bearer, own) = (format!("Bearer {}", served.key), format!("http://{}", served.address()));
    let account = served.api.split("/workspaces").next().expect("a path");
    let near = format!("{own}.evil.example");
    let other_port = format!("http://{}:1", served.address().ip());
    let cookie = ("cookie", &*cookie);
    let key = ("authorization", &*bearer);
    let foreign: [&[(&str, &str)]; 8] = [
        &[("origin", "https://evil.example")],
        &[("origin", &near)],
        &[("origin", &other_port)],
        &[("origin", "null")],
        &[("origin", &own), ("sec-fetch-site", "cross-site")],
        &[("origin", &own), ("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        // No browser leaves it out; who does has a cookie and no page.
        &[],
    ];
    let ours: [&[(&str, &str)]; 2] = [
        &[("origin", &own)],
        &[("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")],
    ];
    for base in ["/api", account, &served.api] {
        let (inlet, outlet) = (format!("{base}/events/in"), format!("{base}/events/out"));
        for page in foreign {
            let with = [page, &[cookie]].concat();
            let refused = served.connect(&inlet, &with).err();
            assert_eq!(refused.map(|answer| answer.status), Some(401), "{inlet} {page:?}");
            for path in [&inlet, &outlet] {
                let end = served.greeting(path, &with, &Value::Null).expect("a close");
                assert_eq!(end.0, 1008, "{path} {page:?}: {}", end.1);
                // A key is a key, wherever the page is from: no page of another site has one.
                let said = json!(served.key);
                assert_eq!(served.greeting(path, &with, &said), None, "{path} {page:?}");
            }
        }
        for page in ours {
            let with = [page, &[cookie]].concat();
            assert!(served.connect(&inlet, &with).is_ok(), "{inlet} {page:?}");
            for path in [&inlet, &outlet] {
                assert_eq!(served.greeting(path, &with, &Value::Null), None, "{path} {page:?}");
            }
            // The page alone is nobody.
            assert_eq!(served.connect(&inlet, page).err().map(|answer| answer.status), Some(401));
        }
        assert!(served.connect(&inlet, &[key]).is_ok(), "{inlet}");
        for path in [&inlet, &outlet] {
            assert_eq!(served.greeting(path, &[key], &Value::Null), None, "{path}");
            assert_eq!(served.greeting(path, &[], &Value::Null).map(|end| end.0), Some(1008));
        }
    }
}

#[test]
fn whoever_guesses_the_key_of_a_webhook_is_soon_told_to_wait() {
    let served = Served::start(|_| ());
    let account = served.api.split("/workspaces").next().expect("a path").to_owned();
    let bearer = format!("Bearer {}", served.key);
    let own = [("authorization", &*bearer), ("content-type", "application/json")];
    let path = format!("{account}/bots/");
    let made = served.send("POST", &path, &own, br#"{"name": "sender"}"#);
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    let key = made["api_key"]["key"].as_str().expect("a key").to_owned();
    let body = json!({"name": "a", "template": TAKES_ALL, "service_account_id": made["id"]});
    let webhook = served.call("POST", "/webhooks/", &body);
    assert_eq!(webhook.status, 201, "{}", webhook.text());
    let hook = hook(&webhook.json());
    let post = |token: &str| {
        let bearer = format!("Bearer {token}");
        served.send("POST", &hook, &[("authorization", &*bearer)], b"{}")
    };
    for _ in 0..TRIES {
        assert_eq!(
            served.send("POST", &hook, &[], b"{}").status,
            401,
            "who shows none guesses not"
        );
    }
    let answers: Vec<_> = (0..TRIES).map(|number| post(&near(&key, number))).collect();
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    let damped = wrong(&statuses);
    assert!((WRONG_KEYS..TRIES).contains(&damped), "{statuses:?}");
    assert_eq!(statuses[damped], 429, "{statuses:?}");
    assert!(answers[damped].header("retry-after").is_some(), "{}", answers[damped].head);
    let first = &answers[0];
    assert!(answers.iter().take(damped).all(|answer| answer.body == first.body));
    assert_eq!(post(&served.key).status, 429, "a key of somebody else is a wrong one");
    assert_eq!(post(&key).status, 204, "what is right passes");
    served.events(2);
}

#[test]
fn whoever_guesses_keys_at_a_websocket_is_soon_told_so() {
    let served = Served::start(|_| ());
    let path = format!("{}/events/in", served.api);
    let ends: Vec<_> = (0..TRIES)
        .map(|number| {
            served.greeting(&path, &[], &json!(near(&served.key, number))).expect("a close")
        })
        .collect();
    assert!(ends.iter().all(|end| end.0 == 1008), "{ends:?}");
    let wrong = ends.iter().take_while(|end| end.1 == "Invalid token").count();
    assert!((WRONG_KEYS..TRIES).contains(&wrong), "{ends:?}");
    assert_eq!(ends[wrong].1, "Invalid token, one too many");
    let bearer = format!("Bearer {}", near(&served.key, 0));
    let refused = served.connect(&path, &[("authorization", &*bearer)]).err().expect("refused");
    assert_eq!(refused.status, 429, "the same budget before it switches");
    assert!(refused.head.to_lowercase().contains("retry-after"), "{}", refused.head);
    assert_eq!(served.greeting(&path, &[], &json!(served.key)), None, "what is right passes");
    let mut client = served.publisher();
    client.ping();
}
