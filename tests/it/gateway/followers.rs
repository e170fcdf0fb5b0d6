//! Following events over websockets: what was kept first, then what happens, no gap; who is turned away, and how.

use serde_json::{Value, json};

use super::socket::Client;
use super::sockets::event;
use super::{Served, wait};

/// The built-in role that may read an account's events.
const ADMIN: &str = "686f6f6b-6761-4465-8000-000000000012";
const PREFECT: [(&str, &str); 1] = [("sec-websocket-protocol", "prefect")];

impl Served {
    /// A follower that has said who it is.
    fn greeted(&self, path: &str) -> Client {
        let mut client = self.connect(path, &PREFECT).expect("it switches");
        client.say(&json!({"type": "auth", "token": self.key}));
        assert_eq!(client.hear(), json!({"type": "auth_success"}));
        client
    }

    /// A follower of the workspace.
    fn follower(&self, filter: &Value, backfill: bool) -> Client {
        let mut client = self.greeted(&format!("{}/events/out", self.api));
        client.say(&json!({"type": "filter", "filter": filter, "backfill": backfill}));
        wait("a follower", || {
            let line = "hookgate_event_sockets_open{way=\"out\"} 0";
            (!self.ask("/metrics").text().contains(line)).then_some(())
        });
        client
    }

    fn account_path(&self) -> &str {
        self.api.split("/workspaces").next().expect("an account")
    }
}

/// What the original's client sends.
fn ours() -> Value {
    json!({
        "occurred": {"since": "2026-11-23T22:51:30Z", "until": "2027-11-23T22:52:30Z"},
        "event": {"prefix": ["shop."], "exclude_prefix": null, "name": null, "exclude_name": null},
        "resource": null, "related": null, "any_resource": null, "id": {"id": []},
        "text": null, "order": "DESC",
    })
}

fn number(told: &Value) -> u64 {
    assert_eq!(told["type"], "event");
    let event = &told["event"];
    assert!(event["received"].is_string() && event["account"].is_string(), "{event}");
    event["payload"]["number"].as_u64().expect("a number")
}

#[test]
fn what_was_kept_comes_first_and_then_what_happens() {
    let served = Served::start(|_| ());
    let mut publisher = served.publisher();
    for number in 0..300 {
        publisher.say(&event(number));
    }
    publisher.ping();
    let mut follower = served.follower(&ours(), true);
    for number in 300..600 {
        publisher.say(&event(number));
    }
    for expected in 0..600 {
        assert_eq!(number(&follower.hear()), expected);
    }
    let mut fresh = served.follower(&ours(), false);
    let other = json!({"occurred": ours()["occurred"], "event": {"name": ["shop.paid.601"]}});
    let mut picky = served.follower(&other, false);
    // Both have asked; whoever hears the answer to a ping is listening.
    fresh.ping();
    picky.ping();
    let base = format!("{}/events", served.api);
    publisher.say(&event(601));
    publisher.ping();
    assert_eq!(number(&picky.hear()), 601);
    assert_eq!(number(&follower.hear()), 601);
    assert_eq!(number(&fresh.hear()), 601);
    assert_eq!(served.call("POST", "/events", &json!([event(601)])).status, 204, "{base}");
    follower.ping();
    fresh.leave();
}

#[test]
fn a_workspace_sees_its_own_and_an_account_all_of_its_own() {
    let served = Served::start(|_| ());
    let mut account = served.greeted(&format!("{}/events/out", served.account_path()));
    account.say(&json!({"type": "filter", "filter": ours(), "backfill": false}));
    let mut workspace = served.follower(&ours(), false);
    let mut default = served.greeted("/api/events/out");
    default.say(&json!({"type": "filter", "filter": ours()}));
    for client in [&mut account, &mut workspace, &mut default] {
        client.ping();
    }
    let bearer = format!("Bearer {}", served.key);
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    let path = format!("{}/events", served.account_path());
    let sent = served.send("POST", &path, &headers, json!([event(1)]).to_string().as_bytes());
    assert_eq!(sent.status, 204);
    assert_eq!(served.call("POST", "/events", &json!([event(2)])).status, 204);
    let of_account = account.hear();
    assert_eq!((number(&of_account), &of_account["event"]["workspace"]), (1, &Value::Null));
    assert_eq!(number(&account.hear()), 2);
    assert_eq!(number(&workspace.hear()), 2);
    assert_eq!(number(&default.hear()), 2);
}

#[test]
fn a_large_event_breaks_no_stream() {
    let served = Served::start(|_| ());
    let mut follower = served.follower(&ours(), false);
    follower.ping();
    let mut large = event(1);
    large["payload"] = json!({"number": 1, "text": "x".repeat(1_300_000)});
    assert_eq!(served.call("POST", "/events", &json!([large])).status, 204);
    assert_eq!(served.call("POST", "/events", &json!([event(2)])).status, 204);
    let told = follower.hear();
    assert_eq!(told["event"]["payload"]["truncated"], true);
    assert!(told["event"]["payload"]["size"].as_u64().is_some_and(|size| size > 1_300_000));
    assert_eq!(number(&follower.hear()), 2);
}

#[test]
fn a_handshake_that_goes_wrong_ends_with_its_code_and_reason() {
    let served = Served::start(|_| ());
    let path = format!("{}/events/out", served.api);
    let answer = |first: &Value| {
        let mut client = served.connect(&path, &PREFECT).expect("it switches");
        client.say(first);
        client.end()
    };
    assert_eq!(answer(&json!({"type": "filter"})), (1008, "Expected 'auth' message".to_owned()));
    assert_eq!(answer(&json!({"type": "auth", "token": "x"})), (1008, "Invalid token".to_owned()));
    assert_eq!(answer(&json!({"type": "auth", "token": null})).0, 1008);
    let mut client = served.greeted(&path);
    client.say(&json!({"type": "auth"}));
    assert_eq!(client.end(), (1002, "Expected 'filter' message".to_owned()));
    let mut client = served.greeted(&path);
    client.say(&json!({"type": "filter", "filter": {"é".repeat(200): 1}}));
    let (code, reason) = client.end();
    assert!(
        code == 1002 && reason.starts_with("Invalid filter: ") && reason.len() <= 123,
        "{reason}"
    );
    let elsewhere = "/api/accounts/99999999-9999-4999-8999-999999999999/events/out";
    let mut client = served.connect(elsewhere, &PREFECT).expect("it switches");
    client.say(&json!({"type": "auth", "token": served.key}));
    assert_eq!(client.end(), (1008, "Not Found".to_owned()));
}

#[test]
fn a_restart_sends_followers_away_to_come_back_without_a_gap() {
    let mut served = Served::start(|_| ());
    let mut follower = served.follower(&ours(), true);
    assert_eq!(served.call("POST", "/events", &json!([event(1)])).status, 204);
    assert_eq!(number(&follower.hear()), 1);
    assert_eq!(served.call("POST", "/events", &json!([event(2)])).status, 204);
    served.stop();
    served.resume();
    // The second one may have come before that; the next stream has it in any case.
    assert_eq!(follower.end().0, 1012);
    assert_eq!(served.call("POST", "/events", &json!([event(3)])).status, 204);
    let mut follower = served.follower(&ours(), true);
    for expected in 1..=3 {
        assert_eq!(number(&follower.hear()), expected);
    }
}

#[test]
fn only_so_many_may_follow() {
    let served = Served::start(|config| config.events.followers_per_account_max = 1);
    let mut first = served.follower(&ours(), false);
    first.ping();
    let mut second = served.greeted(&format!("{}/events/out", served.api));
    second.say(&json!({"type": "filter", "filter": {}}));
    assert_eq!(second.end().0, 1013);
    first.leave();
    let mut third = served.follower(&ours(), false);
    third.ping();
}

#[test]
fn who_is_too_slow_is_sent_away_and_others_are_not_delayed() {
    let served = Served::start(|config| config.limits.write_seconds = 1);
    let slow = served.follower(&ours(), false);
    let mut quick = served.follower(&ours(), false);
    quick.ping();
    let pad = "x".repeat(200_000);
    let mut sent = 0;
    let closed = |served: &Served| {
        let line = "hookgate_event_sockets_closed_total{way=\"out\",code=\"1013\"} 1";
        served.ask("/metrics").text().contains(line)
    };
    while !closed(&served) {
        let many: Vec<Value> = (sent..sent + 20)
            .map(|number| {
                let mut event = event(number);
                event["payload"]["pad"] = json!(pad);
                event
            })
            .collect();
        assert_eq!(served.call("POST", "/events", &json!(many)).status, 204);
        for _ in 0..20 {
            assert_eq!(number(&quick.hear()), sent);
            sent += 1;
        }
        assert!(sent < 4000, "nobody was sent away");
    }
    drop(slow);
}

#[test]
fn a_key_that_ends_ends_its_streams() {
    let served = Served::start(|_| ());
    let account = served.account_path().to_owned();
    let bearer = format!("Bearer {}", served.key);
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    let wanted = json!({"name": "follower", "account_role_id": ADMIN}).to_string();
    let made = served.send("POST", &format!("{account}/bots/"), &headers, wanted.as_bytes());
    assert_eq!(made.status, 201, "{}", made.text());
    let bot = made.json();
    let key = bot["api_key"]["key"].as_str().expect("a key");
    let mut client = served.connect(&format!("{account}/events/out"), &PREFECT).expect("switched");
    client.say(&json!({"type": "auth", "token": key}));
    assert_eq!(client.hear(), json!({"type": "auth_success"}));
    client.say(&json!({"type": "filter", "filter": ours(), "backfill": false}));
    client.ping();
    let path = format!("{account}/bots/{}", bot["id"].as_str().expect("an id"));
    assert_eq!(served.send("DELETE", &path, &headers, b"").status, 204);
    assert_eq!(client.end(), (1008, "The key is not valid any more".to_owned()));
}
