//! The way of a webhook from outside: what is answered, and what arrives at the destination.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::Served;

const ECHO: &str = r#"{
  "event": "demo.{{ body.kind }}",
  "resource": {"prefect.resource.id": "demo.1"},
  "payload": {{ body|tojson }}
}"#;

/// Ids that change from run to run, by the order in which they appear.
fn still(events: &[Value]) -> String {
    let mut text = String::new();
    for event in events {
        let _ = writeln!(text, "{event:#}");
    }
    let mut names = Vec::new();
    let mut at = 0;
    while let Some(found) = find_uuid(&text[at..]) {
        let uuid = text[at + found..at + found + 36].to_owned();
        let number = names.iter().position(|name| *name == uuid).unwrap_or_else(|| {
            names.push(uuid);
            names.len() - 1
        });
        let name = format!("<id {number}>");
        text.replace_range(at + found..at + found + 36, &name);
        at += found + name.len();
    }
    text
}

fn find_uuid(text: &str) -> Option<usize> {
    let is_uuid = |part: &[u8]| {
        part.iter().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    };
    text.as_bytes().windows(36).position(is_uuid)
}

fn golden(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/gateway").join(name);
    if std::env::var_os("HOOKGATE_BLESS").is_some() {
        fs::write(&path, found).expect("a golden is written");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "{name}: HOOKGATE_BLESS=1 writes it anew");
}

#[test]
fn a_request_that_is_sent_again_is_taken_once_and_gets_the_first_receipt() {
    let mut served = Served::start(|_| ());
    let template = format!("{{% if body.wrong %}}no event{{% else %}}{ECHO}{{% endif %}}");
    let body = json!({"name": "once", "template": template, "dedup_key": "X-Delivery"});
    let webhook = served.call("POST", "/webhooks/", &body).json();
    let path = format!("/hooks/{}", webhook["slug"].as_str().expect("a slug"));
    let send = |served: &Served, delivery: &str, body: &str| {
        let headers = [("content-type", "application/json"), ("x-delivery", delivery)];
        let answer = served.send("POST", &path, &headers, body.as_bytes());
        let again = answer.header("hookgate-duplicate").is_some();
        (answer.status, answer.header("hookgate-receipt").expect("a receipt").to_owned(), again)
    };
    let (status, first, again) = send(&served, "a", r#"{"kind":"x"}"#);
    assert_eq!((status, again), (204, false));
    // Whatever it says now: it was taken.
    assert_eq!(send(&served, "a", r#"{"kind":"y"}"#), (204, first.clone(), true));
    let (_, other, again) = send(&served, "b", r#"{"kind":"x"}"#);
    assert!(other != first && !again);
    // What failed may be tried again.
    let (status, failed, _) = send(&served, "c", r#"{"wrong":true}"#);
    assert_eq!(status, 400);
    let (status, mended, again) = send(&served, "c", r#"{"kind":"x"}"#);
    assert!(status == 204 && mended != failed && !again);
    // Without the header there is nothing to know it by.
    assert_eq!(served.post(&webhook, r#"{"kind":"x"}"#).status, 204);
    assert_eq!(served.events(10).len(), 10, "two for each that was taken");
    let metrics = served.ask("/metrics").text();
    assert!(metrics.contains("hookgate_hook_requests_total{outcome=\"duplicate\"} 1"), "{metrics}");
    assert!(metrics.contains("hookgate_hook_keyless_total 1"), "{metrics}");
    served.stop();
    served.resume();
    assert_eq!(send(&served, "a", r#"{"kind":"x"}"#), (204, first, true));
    assert_eq!(send(&served, "c", r#"{"kind":"x"}"#), (204, mended, true));
    // The last second of its window is over.
    served.clock.advance_seconds(86_401);
    assert!(!send(&served, "b", r#"{"kind":"x"}"#).2);
    assert_eq!(served.events(12).len(), 12);
}

#[test]
fn a_draft_renders_beside_what_is_live_and_makes_no_event() {
    let served = Served::start(|_| ());
    let webhook = served.webhook(ECHO);
    let path = |word: &str| format!("/webhooks/{}/{word}", webhook["id"].as_str().expect("an id"));
    let draft = ECHO.replace("demo.1", "demo.{{ body.kind }}")
        + "{% if body.kind == 'odd' %}no event{% endif %}";
    let body = json!({"template": draft, "shadow": true});
    assert_eq!(served.call("PUT", &path("draft"), &body).status, 200);
    let counts = |served: &Served| {
        let told = served.call("GET", &path("shadow"), &Value::Null).json();
        let names = ["identical", "changed", "newly_failing", "skipped"];
        (names.map(|name| told[name].as_u64().expect("a count")), told)
    };
    let expected = [("1", [1, 0, 0, 0]), ("2", [1, 1, 0, 0]), ("odd", [1, 1, 1, 0])];
    for (kind, expected) in expected {
        assert_eq!(served.post(&webhook, &json!({ "kind": kind }).to_string()).status, 204);
        super::wait("a comparison", || (counts(&served).0 == expected).then_some(()));
    }
    let told = counts(&served).1;
    let last = &told["last"];
    assert_eq!(last[0]["places"], json!(["/resource/prefect.resource.id"]));
    assert_eq!(last[0]["live"]["event"]["resource"]["prefect.resource.id"], "demo.1");
    assert_eq!(last[0]["draft"]["event"]["resource"]["prefect.resource.id"], "demo.2");
    assert_eq!(last[1]["verdict"], "newly_failing");
    let error = last[1]["draft"]["error"].as_str().expect("an error");
    assert!(error.contains("not JSON"), "{error}");
    assert_eq!(served.events(6).len(), 6, "two for each request, none of the draft");
}

#[test]
fn a_request_becomes_two_events_that_arrive_as_they_were_kept() {
    let served = Served::start(|_| ());
    let webhook = served.webhook(ECHO);
    let path = format!("/hooks/{}?secret=1", webhook["slug"].as_str().expect("a slug"));
    let headers = [
        ("content-type", "application/json; charset=utf-8"),
        ("authorization", "Bearer private"),
        ("cookie", "private"),
        ("x-two", "a"),
        ("x-two", "b"),
        ("x-request-id", "mine-1"),
    ];
    let body = "{\"kind\": \"é\", \"big\": 123456789012345678901234567890, \"z\": [1.0, null]}";
    let answer = served.send("POST", &path, &headers, body.as_bytes());
    assert_eq!((answer.status, answer.body.len()), (204, 0), "{}", answer.text());
    assert_eq!(answer.header("x-request-id"), Some("mine-1"));
    assert_eq!(answer.header("content-type"), None);
    let mut events = served.events(2);
    assert_eq!(events[0]["id"], answer.receipt());
    assert_eq!(events[1]["follows"], events[0]["id"]);
    assert_eq!(events[0]["payload"]["event_id"], events[1]["id"]);
    let lines = fs::read_to_string(served.destination()).expect("lines");
    let slug = webhook["slug"].as_str().expect("a slug");
    assert!(!lines.contains("private") && !lines.contains(slug), "a secret got out");
    assert!(lines.contains("123456789012345678901234567890"), "a number lost digits");
    let line =
        lines.lines().find(|line| line.contains("\"event\":\"demo.")).expect("the user's event");
    assert!(line.starts_with(r#"{"occurred":"2026-11-23T22:52:30.837791Z","event":"demo.é""#));
    // The port differs from run to run.
    events[0]["payload"]["headers"]["host"] = "[host]".into();
    golden("request.json", &still(&events));
}

#[test]
fn what_prefect_has_not_is_seen_only_where_it_is_asked_for() {
    let template = r#"{
  "event": "seen.{{ query.a }}.{{ query['b c'] }}.{{ path }}.{{ webhook.name }}.{{ now }}",
  "resource": {"prefect.resource.id": "r"}
}"#;
    for (extensions, expected) in
        [(false, "seen....."), (true, "seen.2.ü./hooks/***.a hook.2026-11-23T22:52:30.837791Z")]
    {
        let served = Served::start(|config| config.render.extensions = extensions);
        let webhook = served.webhook(template);
        let slug = webhook["slug"].as_str().expect("a slug");
        let path = format!("/hooks/{slug}?a=1&b+c=%C3%BC&a=2");
        let answer = served.send("POST", &path, &[], b"{}");
        assert_eq!(answer.status, 204, "{}", answer.text());
        let events = served.events(2);
        let seen = events.iter().find(|event| event["event"].as_str() == Some(expected));
        assert!(seen.is_some(), "{events:#?}");
    }
}

#[test]
fn a_template_that_fails_is_answered_400_and_evented() {
    let served = Served::start(|_| ());
    let templates: &[(&str, &str, &str)] = &[
        ("{{ body.n + 'x' }}", "template", "{\"n\": 1}"),
        ("no JSON at all {{ 1 }}", "json", "{}"),
        ("{\"event\": \"{{ body.title }}\"}", "json", "{\"title\": \"a \\\"b\\\"\"}"),
        (r#"{"event": "a", "resource": {}}"#, "invalid-event", "{}"),
        (
            r#"{"event": "prefect-cloud.webhook.deleted", "resource": {"prefect.resource.id": "x"}}"#,
            "invalid-event",
            "{}",
        ),
    ];
    let mut receipts = Vec::new();
    for (template, kind, body) in templates {
        let webhook = served.webhook(template);
        let answer = served.post(&webhook, body);
        assert_eq!(answer.status, 400, "{template}");
        assert!(answer.text().starts_with("{\"detail\":\""), "{}", answer.text());
        receipts.push((answer.receipt().to_owned(), *kind));
    }
    let events = served.events(2 * templates.len());
    for (receipt, kind) in receipts {
        let failed = events.iter().find(|event| event["follows"] == *receipt).expect("a follower");
        assert_eq!(failed["event"], "prefect-cloud.webhook.failed");
        assert_eq!(failed["payload"]["error_type"], kind, "{failed:#}");
        let told = &failed["payload"]["diagnostics"][0];
        assert_eq!(told["severity"], "error", "{failed:#}");
        if failed["payload"]["template"].as_str().is_some_and(|source| source.contains("title")) {
            // The expression that wrote the quotation marks.
            assert_eq!((&told["start"], &told["end"]), (&json!(14), &json!(24)), "{failed:#}");
        }
    }
}

#[test]
fn what_is_refused_says_why_and_keeps_nothing() {
    let served = Served::start(|config| config.limits.body_max_bytes = 1000);
    let webhook = served.webhook(ECHO);
    let slug = webhook["slug"].as_str().expect("a slug");
    let hook = format!("/hooks/{slug}");
    let unknown = served.send("POST", "/hooks/unknown", &[], b"{}");
    assert_eq!((unknown.status, unknown.text().as_str()), (404, "{\"detail\":\"Not Found\"}"));
    for path in ["/hooks/", "/hooks", "/", &format!("{hook}/more"), "/hook/x"] {
        assert_eq!(served.send("POST", path, &[], b"{}").status, 404, "{path}");
    }
    assert_eq!(served.send("POST", &format!("{hook}/"), &[], b"{\"kind\":1}").status, 204);
    for path in [hook.as_str(), "/hooks/unknown"] {
        let answer = served.send("BREW", path, &[], b"");
        assert_eq!(answer.status, 405);
        let allowed = answer.header("allow").expect("the methods that are");
        assert!(allowed.contains("POST") && allowed.contains("HEAD"), "{allowed}");
    }
    let large = [b' '; 1001];
    assert_eq!(served.send("POST", &hook, &[], &large).status, 413);
    let encoded = served.send("POST", &hook, &[("content-encoding", "br")], b"{}");
    assert_eq!(encoded.status, 415);
    let disabled = json!({"enabled": false});
    let path = format!("/webhooks/{}", webhook["id"].as_str().expect("an id"));
    assert_eq!(served.call("PATCH", &path, &disabled).status, 204);
    let gone = served.send("POST", &hook, &[], b"{}");
    assert_eq!((gone.status, gone.body), (unknown.status, unknown.body));
    // The one that was accepted, and nothing else.
    assert_eq!(served.events(2).len(), 2);
}

#[test]
fn every_method_of_hooks_makes_an_event_and_handshakes_are_answered() {
    let served = Served::start(|_| ());
    let template = r#"{
      "event": "m.{{ method }}",
      "resource": {"prefect.resource.id": "m"},
      "payload": {"body": {{ body|tojson }}}
    }"#;
    let webhook = served.webhook(template);
    let hook = format!("/hooks/{}", webhook["slug"].as_str().expect("a slug"));
    let methods = ["GET", "HEAD", "DELETE", "POST", "PUT", "PATCH"];
    for method in methods {
        let answer = served.send(method, &hook, &[], b"text");
        assert_eq!((answer.status, answer.body.len()), (204, 0), "{method}");
    }
    let events = served.events(2 * methods.len());
    for (place, method) in methods.iter().enumerate() {
        let event = &events[2 * place + 1];
        assert_eq!(event["event"], format!("m.{method}"));
        assert_eq!(event["payload"]["body"], if place < 3 { "" } else { "text" });
    }
    let origin = [("webhook-request-origin", "events.example")];
    let answer = served.send("OPTIONS", &hook, &origin, b"");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("webhook-allowed-origin"), Some("events.example"));
    assert_eq!(answer.header("allow"), Some("POST"));
    let validation = json!([{
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "data": {"validationCode": "code-1", "validationUrl": "https://example.com"},
    }]);
    let kind = [("aeg-event-type", "SubscriptionValidation")];
    let answer = served.send("POST", &hook, &kind, validation.to_string().as_bytes());
    assert_eq!((answer.status, answer.text()), (200, r#"{"validationResponse":"code-1"}"#.into()));
    let events = served.events(2 * methods.len() + 2);
    let handshakes: Vec<_> = events[2 * methods.len()..]
        .iter()
        .map(|event| event["payload"]["handshake"].as_str().expect("a handshake"))
        .collect();
    assert_eq!(handshakes, ["cloudevents", "event-grid"]);
}

#[test]
fn only_listed_origins_are_told_that_they_may_send() {
    let served = Served::start(|_| ());
    let webhook = served.webhook(ECHO);
    let path = format!("/webhooks/{}", webhook["id"].as_str().expect("an id"));
    let hook = format!("/hooks/{}", webhook["slug"].as_str().expect("a slug"));
    let ask = |origin: &str| {
        let asked = [("webhook-request-origin", origin), ("webhook-request-rate", "120")];
        served.send("OPTIONS", &hook, &asked, b"")
    };
    let set = |parameters: Value| {
        let said = json!({"provider": "cloudevents", "required": false, "parameters": parameters});
        let body = json!({"name": "w", "template": ECHO, "verification": said});
        let answer = served.call("PUT", &path, &body);
        assert_eq!(answer.status, 204, "{}", answer.text());
    };
    set(json!({"origins": "one.example two.example"}));
    let allowed = ask("Two.example");
    assert_eq!((allowed.status, allowed.header("allow")), (200, Some("POST")));
    assert_eq!(allowed.header("webhook-allowed-origin"), Some("Two.example"));
    assert_eq!(allowed.header("webhook-allowed-rate"), Some("120"));
    for foreign in ["three.example", "one.example.three.example", "one.example two.example", "*"] {
        let answer = ask(foreign);
        assert_eq!(answer.status, 403, "{foreign}: {}", answer.text());
        assert_eq!(answer.header("webhook-allowed-origin"), None, "{foreign}");
        assert_eq!(answer.header("webhook-allowed-rate"), None, "{foreign}");
    }
    // What it sends is not signed: the list is of who is told so, and refuses no event.
    assert_eq!(served.post(&webhook, "{\"kind\":1}").status, 204);
    set(json!({}));
    let answer = ask("three.example");
    assert_eq!(answer.header("webhook-allowed-origin"), Some("three.example"));
    let handshakes = served.events(4);
    let of_them = handshakes.iter().filter(|event| !event["payload"]["handshake"].is_null());
    assert_eq!(of_them.count(), 2, "the refused ones are none");
}

#[test]
fn a_limit_answers_429_and_a_number_of_seconds() {
    let served = Served::start(|config| {
        config.limits.webhook_rate = Some("1/h".parse().expect("a rate"));
        config.limits.webhook_burst = Some(2);
    });
    let webhook = served.webhook(ECHO);
    let answers: Vec<_> = (0..4).map(|_| served.post(&webhook, "{\"kind\":1}")).collect();
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [204, 204, 429, 429]);
    let seconds: u64 = answers[2].header("retry-after").expect("a wait").parse().expect("seconds");
    assert!((1..=3600).contains(&seconds));
    assert_eq!(served.post(&served.webhook(ECHO), "{\"kind\":1}").status, 204, "another webhook");
}

#[test]
fn a_method_that_is_none_is_charged_to_its_peer_like_any_request() {
    let served = Served::start(|config| {
        config.limits.peer_rate = Some("1/h".parse().expect("a rate"));
        config.limits.peer_burst = Some(3);
    });
    let webhook = served.webhook(ECHO);
    let hook = format!("/hooks/{}", webhook["slug"].as_str().expect("a slug"));
    let brew = |path: &str| served.send("BREW", path, &[], b"");
    assert_eq!((brew(&hook).status, brew("/hooks/unknown").status), (405, 405));
    assert_eq!(served.post(&webhook, "{\"kind\":1}").status, 204);
    let over = brew(&hook);
    assert_eq!(over.status, 429, "{}", over.text());
    assert!(over.header("retry-after").is_some());
    assert_eq!(served.post(&webhook, "{\"kind\":1}").status, 429);
}

#[test]
fn questions_whether_an_address_wants_events_are_answered_over_quota_too() {
    let served = Served::start(|config| {
        config.limits.webhook_rate = Some("1/h".parse().expect("a rate"));
        config.limits.account_rate = Some("10/h".parse().expect("a rate"));
        config.limits.peer_rate = Some("1/h".parse().expect("a rate"));
        config.limits.peer_burst = Some(40);
    });
    let hooks = [("microsoft-graph", "validationToken=t-1"), ("x-twitter", "crc_token=t-1")];
    for (provider, question) in hooks {
        let body = json!({"name": provider, "template": ECHO, "verification":
            {"provider": provider, "secrets": ["a secret of this test"], "required": false}});
        let made = served.call("POST", "/webhooks/", &body);
        assert_eq!(made.status, 201, "{}", made.text());
        let hook = made.json();
        assert_eq!(served.post(&hook, "{\"kind\":1}").status, 204, "{provider}");
        assert_eq!(served.post(&hook, "{\"kind\":1}").status, 429, "{provider}");
        let path = format!("/hooks/{}?{question}", hook["slug"].as_str().expect("a slug"));
        let method = if provider == "x-twitter" { "GET" } else { "POST" };
        for _ in 0..3 {
            let asked = served.send(method, &path, &[], b"");
            assert_eq!(asked.status, 200, "{provider}: {}", asked.text());
        }
        assert_eq!(served.post(&hook, "{\"kind\":1}").status, 429, "{provider}");
    }
    let hook = served.webhook(ECHO);
    let path = format!("/hooks/{}", hook["slug"].as_str().expect("a slug"));
    let ask = || {
        let origin = [("webhook-request-origin", "events.example")];
        served.send("OPTIONS", &path, &origin, b"")
    };
    assert_eq!((ask().status, ask().status), (200, 200));
    assert_eq!(served.post(&hook, "{\"kind\":1}").status, 204, "questions took nothing of it");
    // The peer's own budget bounds them nevertheless.
    let refused = (0..40).map(|_| ask()).find(|answer| answer.status != 200).expect("an end");
    assert_eq!(refused.status, 429, "{}", refused.text());
}

#[test]
fn whoever_asks_too_often_whether_an_address_wants_events_is_told_to_wait() {
    let served = Served::start(|_| ());
    let origin = [("webhook-request-origin", "events.example")];
    let body = json!({"name": "mailchimp", "template": ECHO, "verification":
        {"provider": "mailchimp", "secrets": ["a secret of this test"], "required": false}});
    let made = served.call("POST", "/webhooks/", &body);
    assert_eq!(made.status, 201, "{}", made.text());
    for (method, hook) in [("OPTIONS", served.webhook(ECHO)), ("GET", made.json())] {
        let path = format!("/hooks/{}", hook["slug"].as_str().expect("a slug"));
        let answers = (0..100).map(|_| served.send(method, &path, &origin, b""));
        let answers: Vec<_> = answers.collect();
        let taken = answers.iter().take_while(|answer| answer.status == 200).count();
        assert!((30..100).contains(&taken), "{method}: {taken}");
        let wait = answers[taken].header("retry-after").expect("a wait");
        assert_eq!((answers[taken].status, ["1", "2"].contains(&wait)), (429, true), "{method}");
        assert_eq!(served.post(&hook, "{\"kind\":1}").status, 204, "events pass: {method}");
    }
    let metrics = served.ask("/metrics").text();
    assert!(metrics.contains("reason=\"question-rate\""), "{metrics}");
}

#[test]
fn much_that_unpacks_to_a_little_question_is_an_event() {
    let served = Served::start(|config| {
        config.limits.webhook_rate = Some("1/h".parse().expect("a rate"));
    });
    let path = format!("/hooks/{}", served.webhook(ECHO)["slug"].as_str().expect("a slug"));
    let text = json!([{"eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "data": {"validationCode": "code-1"}}]);
    let text = text.to_string();
    let ask = |empty_blocks: usize| {
        let mut body = b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec();
        body.extend(b"\0\0\0\xff\xff".repeat(empty_blocks));
        let mut packed = flate2::write::DeflateEncoder::new(body, flate2::Compression::fast());
        packed.write_all(text.as_bytes()).expect("memory");
        let mut body = packed.finish().expect("memory");
        let mut sum = flate2::Crc::new();
        sum.update(text.as_bytes());
        body.extend([sum.sum().to_le_bytes(), sum.amount().to_le_bytes()].concat());
        let headers = [("aeg-event-type", "SubscriptionValidation"), ("content-encoding", "gzip")];
        served.send("POST", &path, &headers, &body).status
    };
    assert_eq!((ask(1), ask(1)), (200, 200), "little is a question");
    assert_eq!(ask(100_000), 400, "much is an event, which the template cannot make");
    assert_eq!(ask(100_000), 429, "and its quota is charged");
    assert_eq!(ask(1), 200);
}
