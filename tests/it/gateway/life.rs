//! Start, stop, start again: nothing kept is lost, readiness says how things stand, two processes do not meet.

use std::collections::HashSet;
use std::fs;
use std::net::TcpListener;
use std::path::Path;

use super::{Gateway, ServeError, Served, arrived, exchange, to, wait};
use hookgate::config::OnFull;
use hookgate::spool::SpoolError;
use serde_json::{Value, json};
use std::sync::Arc;

const TEMPLATE: &str =
    r#"{"event": "n.{{ body.n }}", "resource": {"prefect.resource.id": "n"}, "payload": {}}"#;

#[test]
fn what_was_answered_arrives_once_across_restarts() {
    let mut served = Served::start(|_| ());
    let webhook = served.webhook(TEMPLATE);
    let mut receipts = Vec::new();
    for round in 0..3 {
        for number in 0..5 {
            let answer = served.post(&webhook, &format!("{{\"n\": {}}}", round * 5 + number));
            assert_eq!(answer.status, 204);
            receipts.push(answer.receipt().to_owned());
        }
        served.stop();
        served.resume();
    }
    let events = served.events(30);
    assert_eq!(events.len(), 30);
    let received: Vec<_> = events.iter().step_by(2).map(|event| event["id"].clone()).collect();
    assert_eq!(received, receipts);
    let names: Vec<_> = events.iter().skip(1).step_by(2).map(|e| e["event"].clone()).collect();
    let expected: Vec<_> = (0..15).map(|number| format!("n.{number}")).collect();
    assert_eq!(names, expected);
    let ids: HashSet<_> = events.iter().map(|event| event["id"].to_string()).collect();
    assert_eq!(ids.len(), 30);
}

#[test]
fn a_dead_destination_delays_nobody_and_gets_all_when_it_lives() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let served = Served::start(|config| {
        config.forward.push(to(&format!("http://{address}/events")));
    });
    let webhook = served.webhook(TEMPLATE);
    for number in 0..10 {
        assert_eq!(served.post(&webhook, &format!("{{\"n\": {number}}}")).status, 204);
    }
    assert_eq!(served.events(20).len(), 20);
    wait("a fault in readiness", || {
        let ready = served.ask("/readyz").json();
        let lanes = ready["destinations"].as_array().expect("lanes").clone();
        assert_eq!(ready["ready"], true);
        lanes.iter().any(|lane| lane["fault"].is_string()).then_some(())
    });
    let metrics = served.ask("/metrics").text();
    for name in ["hookgate_spool_frames_total", "hookgate_hook_requests_total"] {
        assert!(metrics.contains(name), "{name} is not in\n{metrics}");
    }
}

/// How an event stands at the destination of that address, and why.
fn stands(served: &Served, id: &str, address: &str) -> (String, String) {
    let told = wait("an explanation", || {
        let answer = served.call("GET", &format!("/explain?id={id}"), &Value::Null);
        (answer.status == 200).then(|| answer.json())
    });
    let all = told["deliveries"].as_array().expect("deliveries").iter();
    let is_there =
        |one: &&Value| one["destination"].as_str().is_some_and(|to| to.contains(address));
    let one = all.rev().find(is_there).expect("the destination");
    let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
    (text("state"), text("reason"))
}

/// The id of what a template made of a request.
fn made(served: &Served, receipt: &str) -> String {
    let all = arrived(&served.destination());
    let made = all.iter().find(|event| event["follows"] == receipt).expect("an event");
    made["id"].as_str().expect("an id").to_owned()
}

#[test]
fn a_full_spool_answers_503_until_there_is_room() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let mut served = Served::start(|config| {
        config.spool.max_bytes = 4 << 20;
        config.spool.segment_bytes = 1 << 20;
        config.forward.push(to(&format!("http://{address}/events")));
    });
    let webhook = served.webhook(TEMPLATE);
    let body = format!("{{\"n\": 1, \"pad\": \"{}\"}}", "x".repeat(200_000));
    let first = served.post(&webhook, &body);
    let full = (0..100).map(|_| served.post(&webhook, &body)).find(|answer| answer.status != 204);
    let full = full.expect("a bound");
    assert_eq!(full.status, 503);
    assert!(full.header("retry-after").is_some_and(|wait| wait.parse::<u64>().is_ok()));
    let ready = served.ask("/readyz");
    assert_eq!((ready.status, ready.json()["checks"]["spool"].clone()), (503, "full".into()));
    // The operator gives the dead one up: room comes by itself.
    served.stop();
    served.config.forward[1].on_full = Some(OnFull::DropOldest);
    served.resume();
    wait("room", || (served.post(&webhook, &body).status == 204).then_some(()));
    wait("the loss as an event", || {
        let lines = fs::read_to_string(served.destination()).expect("lines");
        lines.contains("\"hookgate.destination.dropped\"").then_some(())
    });
    // What was let go of is told as that, also after a restart, by either of its ids; what comes later waits.
    let last = served.post(&webhook, "{\"n\": 2}");
    assert_eq!(last.status, 204);
    for _ in 0..2 {
        for id in [first.receipt(), made(&served, first.receipt()).as_str()] {
            // What was in hand as it was let go of counts as lost once it would be sent again.
            wait("a loss", || {
                let (state, reason) = stands(&served, id, &address.to_string());
                (state == "dropped" && reason.contains("4194304")).then_some(())
            });
        }
        assert_eq!(stands(&served, last.receipt(), &address.to_string()).0, "waiting");
        served.stop();
        served.resume();
    }
}

/// Turns one bit of the first segment that holds the text; its name, and where.
fn spoil(data: &Path, text: &str) -> (String, u64) {
    for file in fs::read_dir(data.join("spool")).expect("a folder").flatten() {
        let mut bytes =
            if file.path().is_file() { fs::read(file.path()).expect("bytes") } else { vec![] };
        if let Some(at) = bytes.windows(text.len()).position(|there| there == text.as_bytes()) {
            bytes[at] ^= 1;
            fs::write(file.path(), bytes).expect("written");
            return (file.file_name().to_string_lossy().into_owned(), at as u64);
        }
    }
    panic!("{text} is in no segment");
}

/// What tells of damage: at the destination, and to who asks the gateway's first account.
fn told_of_damage(served: &Served) -> Option<(Value, u64)> {
    const NAME: &str = "hookgate.spool.damaged";
    let came: Vec<_> = arrived(&served.destination());
    let mut came = came.into_iter().filter(|event| event["event"] == NAME);
    let account = served.api.split("/workspaces/").next().expect("an account");
    let bearer = format!("Bearer {}", served.key);
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    let asked = json!({"filter": {"event": {"name": [NAME]}}}).to_string();
    let page = served.send("POST", &format!("{account}/events/filter"), &headers, asked.as_bytes());
    let (page, first) = (page.json(), came.next()?);
    assert_eq!(came.next(), None, "told once");
    let found = page["events"].as_array()?.first()?;
    assert_eq!((&found["id"], &found["payload"]), (&first["id"], &first["payload"]));
    Some((first, page["total"].as_u64()?))
}

#[test]
fn damage_in_the_spool_is_told_as_an_event_once() {
    let mut served = Served::start(|_| ());
    let webhook = served.webhook(TEMPLATE);
    for number in 0..9 {
        let body = format!("{{\"n\": {number}, \"mark\": \"<{number}>\"}}");
        assert_eq!(served.post(&webhook, &body).status, 204);
    }
    served.stop();
    let (segment, at) = spoil(&served.config.server.data, "<4>");
    served.resume();
    let (event, total) = wait("an event that tells of it", || told_of_damage(&served));
    let payload = &event["payload"];
    let [offset, bytes] = ["offset", "bytes"].map(|name| payload[name].as_u64().expect("a number"));
    assert!((offset..offset + bytes).contains(&at), "{at} is not in {payload}");
    assert_eq!((&payload["segment"], &payload["frames"], total), (&json!(segment), &json!(1), 1));
    assert_eq!(event["resource"]["prefect.resource.name"], segment);
    let copy = served.config.server.data.join(payload["copy"].as_str().expect("a file"));
    let copied = fs::read(&copy).expect("a copy");
    assert_eq!(copied.len() as u64, bytes);
    assert!(copied.windows(3).any(|there| there == b"=4>"), "the bytes as they were found");

    // Another range is told of, too, and the first one not again.
    served.stop();
    let (_, other) = spoil(&served.config.server.data, "<7>");
    served.resume();
    wait("the other one", || {
        let all = arrived(&served.destination());
        let told = all.iter().filter(|event| event["event"] == "hookgate.spool.damaged");
        let told: Vec<_> = told.collect();
        let offset = told.get(1)?["payload"]["offset"].as_u64().expect("a number");
        assert!(told.len() == 2 && offset <= other && told[0]["id"] == event["id"], "{told:?}");
        Some(())
    });
}

#[test]
fn a_second_process_is_told_who_has_the_folder() {
    let served = Served::start(|_| ());
    let again = served.runtime.block_on(Gateway::start(&served.config, Arc::clone(&served.clock)));
    let Err(ServeError::Spool(SpoolError::Locked { path, pid })) = again else {
        panic!("{again:?}");
    };
    assert_eq!((path, pid), (served.config.server.data.clone(), std::process::id().to_string()));
}

#[test]
fn a_folder_without_an_account_is_not_served_and_not_made() {
    let served = Served::start(|_| ());
    let mut config = served.config.clone();
    config.server.data = served.folder.join("elsewhere");
    let refused = served.runtime.block_on(Gateway::start(&config, Arc::clone(&served.clock)));
    assert!(matches!(refused, Err(ServeError::Empty(_))));
    assert!(!config.server.data.exists());
}

#[test]
fn the_operators_listener_answers_what_it_has() {
    let served = Served::start(|_| ());
    assert_eq!(served.ask("/livez").status, 200);
    let ready = served.ask("/readyz");
    assert_eq!(ready.status, 200);
    assert!(ready.json()["spool"]["posture"].is_string());
    assert_eq!(served.ask("/hooks/x").status, 404);
    let address = served.running().admin_address();
    assert_eq!(exchange(address, "POST", "/metrics", &[], b"").status, 405);
    // Nothing of the operator's is shown to senders.
    assert_eq!(served.send("GET", "/metrics", &[], b"").status, 404);
}
