//! Questions for events, asked of a running gateway: what was published or received is found at once, page by page,
//! counted, seen only where it belongs, and found again when the index was lost.

use std::fs;

use hookgate::config::Config;
use serde_json::{Value, json};

use super::Served;

const PUBLIC: &str = "https://gw.example";

fn event(number: u32) -> Value {
    json!({
        "occurred": format!("2026-11-23T2{}:{:02}:00Z", number / 60, number % 60),
        "event": if number.is_multiple_of(4) { "shop.order.paid" } else { "shop.order.sent" },
        "resource": {"prefect.resource.id": format!("shop.order.{}", number % 7),
            "prefect.resource.name": format!("order {}", number % 7)},
        "related": [], "payload": {"number": number},
        "id": format!("019ab2f0-0000-7000-8000-{number:012}"), "follows": null
    })
}

fn publish(served: &Served, count: u32) {
    let events: Vec<Value> = (0..count).map(event).collect();
    let answer = served.call("POST", "/events", &events.into());
    assert_eq!(answer.status, 204, "{}", answer.text());
}

/// Asks with a path below the API instead of the workspace.
fn ask(served: &Served, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let bearer = format!("Bearer {}", served.key);
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = served.send(method, path, &headers, body.as_bytes());
    (answer.status, answer.json())
}

fn filter(served: &Served, body: &Value) -> Value {
    let answer = served.call("POST", "/events/filter", body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn with_public_url(config: &mut Config) {
    config.server.public_url = Some(format!("{PUBLIC}/"));
}

#[test]
fn every_event_is_on_one_page() {
    let served = Served::start(with_public_url);
    publish(&served, 130);
    let asked = json!({"filter": {"event": {"prefix": ["shop."]}}, "limit": 50});
    let mut page = filter(&served, &asked);
    let (mut numbers, mut sizes) = (Vec::new(), Vec::new());
    loop {
        assert_eq!(page["total"], 130);
        let events = page["events"].as_array().expect("events");
        sizes.push(events.len());
        numbers.extend(events.iter().filter_map(|event| event["payload"]["number"].as_u64()));
        let Some(next) = page["next_page"].as_str() else { break };
        let path = next.strip_prefix(PUBLIC).expect("the public address");
        assert!(path.starts_with(&served.api), "{path}");
        // What comes meanwhile shifts nothing.
        served.call("POST", "/events", &json!([event(140)]));
        let (status, body) = ask(&served, "GET", path, &Value::Null);
        assert_eq!(status, 200, "{body}");
        page = body;
    }
    assert_eq!(sizes, [50, 50, 30]);
    assert_eq!(numbers, (0..130).rev().collect::<Vec<_>>());
    let event = &page["events"][0];
    let ids: Vec<&str> = served.api.split('/').collect();
    assert_eq!(
        (event["account"].as_str(), event["workspace"].as_str()),
        (Some(ids[3]), Some(ids[5]))
    );
    assert!(event["received"].is_string());
    let all = filter(&served, &Value::Null);
    assert_eq!(all["events"].as_array().map(Vec::len), Some(50));
    let none = filter(&served, &json!({"filter": null, "limit": 0}));
    assert_eq!((&none["events"], &none["next_page"]), (&json!([]), &Value::Null));
    assert_eq!(none["total"], all["total"]);
}

#[test]
fn what_is_no_question() {
    let served = Served::start(|_| ());
    publish(&served, 10);
    let first = filter(&served, &json!({"limit": 3}));
    let next = first["next_page"].as_str().expect("another page");
    let address = format!("http://{}", served.address());
    let path = next.strip_prefix(&address).expect("the address that was called").to_owned();
    assert_eq!(ask(&served, "GET", &path, &Value::Null).0, 200);
    let account = served.api.split("/workspaces/").next().expect("an account").to_owned();
    let token = path.split_once('?').expect("a token").1;
    for (path, status) in [
        (format!("{account}/events/filter/next?{token}"), 403),
        (format!("/api/events/filter/next?{token}"), 200),
        (format!("{}/events/filter/next?page-token=x", served.api), 403),
        (format!("{path}x"), 403),
        (format!("{}/events/filter/next", served.api), 422),
    ] {
        assert_eq!(ask(&served, "GET", &path, &Value::Null).0, status, "{path}");
    }
    for (path, body, at) in [
        ("filter", json!({"limit": 201}), "body.limit"),
        ("filter", json!({"limit": -1}), "body.limit"),
        ("filter", json!({"order": "ASC"}), "body.order"),
        ("filter", json!([]), "body"),
        ("filter", json!({"filter": {"event": {"nam": []}}}), "body.filter.event.nam"),
        ("count-by/day", json!({"limit": 1}), "body.limit"),
        ("count-by/moon", json!({}), "path.countable"),
        ("count-by/time", json!({"time_unit": "year"}), "body.time_unit"),
    ] {
        let answer = served.call("POST", &format!("/events/{path}"), &body);
        assert_eq!(answer.status, 422, "{body}: {}", answer.text());
        let at_of = |fault: &Value| {
            let parts = fault["loc"].as_array().expect("a place");
            parts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(".")
        };
        assert_eq!(at_of(&answer.json()["detail"][0]), at, "{body}");
    }
    for body in [json!({"time_interval": 0.001}), json!({"time_unit": "second"})] {
        let answer = served.call("POST", "/events/count-by/time", &body);
        assert!(answer.status == 422 && answer.json()["detail"].is_string(), "{}", answer.text());
    }
}

#[test]
fn events_are_counted_by_what_they_share() {
    let served = Served::start(|_| ());
    publish(&served, 100);
    let shop =
        json!({"event": {"prefix": ["shop."]}, "occurred": {"since": "2026-11-23T00:00:00Z"}});
    let count = |by: &str, body: &Value| {
        let answer = served.call("POST", &format!("/events/count-by/{by}"), body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let names = count("event", &json!({"filter": shop}));
    assert_eq!(
        names[0],
        json!({"value": "shop.order.sent", "label": "shop.order.sent", "count": 75,
            "start_time": "2026-11-23T20:01:00Z", "end_time": "2026-11-23T21:39:00Z"})
    );
    assert_eq!((&names[1]["count"], names.as_array().map(Vec::len)), (&json!(25), Some(2)));
    let resources = count("resource", &json!({"filter": shop}));
    assert_eq!((&resources[0]["label"], &resources[6]["count"]), (&json!("order 0"), &json!(14)));
    let hours = json!({"filter": shop, "time_unit": "hour", "time_interval": 1});
    let counts: Vec<Value> = count("time", &hours)
        .as_array()
        .expect("buckets")
        .iter()
        .map(|bucket| bucket["count"].clone())
        .collect();
    assert_eq!(counts.len(), 23, "the hours of the day up to now");
    assert_eq!((&counts[19], &counts[20], &counts[21]), (&json!(0), &json!(60), &json!(40)));
    let days = count("day", &json!({"filter": shop}));
    assert_eq!(
        (&days[0]["label"], &days[0]["count"]),
        (&json!("2026-11-23T00:00:00Z"), &json!(100))
    );
}

#[test]
fn received_events_are_found_at_once_and_after_the_index_is_lost() {
    let mut served = Served::start(|_| ());
    let webhook = served.webhook(
        r#"{"event": "shop.paid", "resource": {"prefect.resource.id": "shop.{{ body.id }}"}}"#,
    );
    for number in 0..20 {
        assert_eq!(served.post(&webhook, &format!("{{\"id\": {number}}}")).status, 204);
        let one = json!({"filter": {"resource": {"id": [format!("shop.{number}")]}}});
        assert_eq!(filter(&served, &one)["total"], 1, "a question waits for what was answered");
    }
    let all = |served: &Served| filter(served, &json!({"limit": 200, "filter": {"order": "ASC"}}));
    let before = all(&served);
    let names = |page: &Value| -> Vec<String> {
        let events = page["events"].as_array().expect("events");
        events.iter().map(|event| event["event"].to_string()).collect()
    };
    assert!(names(&before).iter().any(|name| name.contains("prefect-cloud.webhook.created")));
    assert_eq!(before["total"], before["events"].as_array().map_or(0, Vec::len));

    // Events of the account itself are the account's alone.
    let account = served.api.split("/workspaces/").next().expect("an account").to_owned();
    let own = json!({"filter": {"event": {"name": ["prefect-cloud.account.created"]}}});
    let (status, seen) = ask(&served, "POST", &format!("{account}/events/filter"), &own);
    assert_eq!((status, &seen["events"][0]["workspace"]), (200, &Value::Null));
    assert_eq!(seen["total"], 1);
    assert_eq!(filter(&served, &own)["total"], 0);
    let nobody = "/api/accounts/99999999-9999-4999-8999-999999999999/events/filter";
    assert_eq!(ask(&served, "POST", nobody, &Value::Null).0, 404);

    served.stop();
    served.resume();
    assert_eq!(all(&served)["events"], before["events"], "goes on with the file");
    served.stop();
    let data = served.config.server.data.clone();
    for file in ["feed.db", "feed.db-wal", "feed.db-shm"] {
        let _ = fs::remove_file(data.join(file));
    }
    served.resume();
    let sorted = |page: &Value| {
        let mut names = names(page);
        names.sort();
        names
    };
    assert_eq!(sorted(&all(&served)), sorted(&before), "made again");
    let lag = served.ask("/metrics").text();
    assert!(lag.contains("hookgate_feed_lag_frames 0"), "{lag}");
    served.stop();
    // Journal and index lost: the store still has the audit events.
    fs::remove_dir_all(data.join("spool")).expect("a journal to lose");
    fs::remove_file(data.join("feed.db")).expect("an index to lose");
    served.resume();
    let left = all(&served);
    assert!(names(&left).iter().all(|name| name.contains("prefect-cloud.")), "{left}");
    assert!(names(&left).iter().any(|name| name.contains("prefect-cloud.webhook.created")));
}
