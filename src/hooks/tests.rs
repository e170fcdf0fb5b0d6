//! Words and answers of the way in, on requests made by hand.

use bytes::Bytes;

use super::routes::tests::webhook;
use super::*;
use crate::parse::redact::Rules;
use crate::render::{Code, Diagnostic};
use crate::request::Body;
use crate::store::{Shared, Verification};

const SLUG: &str = "kZ3v0yJm0mV3pQ9xg2bB4A";

fn arrival(method: Method, headers: &[(&str, &str)]) -> Arrival {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name: HeaderName = name.parse().expect("a name");
        map.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
    }
    Arrival {
        method,
        target: format!("/hooks/{SLUG}?q=1").parse().expect("a target"),
        headers: map,
        peer: [192, 0, 2, 1].into(),
        secure: false,
        request_id: crate::request::RequestId::Ours(Uuid::nil()),
        certificate: None,
        received: Time::from_micros(1_000_000),
    }
}

fn submission(method: Method, headers: &[(&str, &str)], body: &str) -> Submission {
    let clock = Clock::fixed(Time::from_micros(0));
    let routes = Routes::new(&clock, &[webhook(10, SLUG, "{{ body }}")]);
    let endpoint = routes.find(SLUG, clock.now()).expect("known");
    let raw = Bytes::copy_from_slice(body.as_bytes());
    let content = Content { decoded: raw.clone(), raw };
    let admission = Admission { endpoint, arrival: arrival(method, headers), peer_left: None };
    Submission::new(admission, content, (None, Known::default()))
}

/// What a webhook demands of who sends.
fn verification(provider: &str, secret: &str) -> Verification {
    let secret = id::Secret::new(secret);
    Verification {
        provider: provider.to_owned(),
        secrets: vec![Shared { name: "a".to_owned(), secret, until: None }],
        parameters: std::collections::BTreeMap::new(),
        tolerance_seconds: None,
        required: true,
        once: false,
        enrol: None,
    }
}

fn read(event: &Event) -> serde_json::Value {
    serde_json::from_slice(&event.json).expect("an event is JSON")
}

#[test]
fn a_received_event_says_what_came_and_no_secret() {
    let submission = submission(
        Method::POST,
        &[
            ("Authorization", "Bearer secret-a"),
            ("Proxy-Authorization", "Basic secret-b"),
            ("Cookie", "c=secret-c"),
            ("X-Original-Uri", &format!("/hooks/{SLUG}?x")),
            ("X-Two", "one"),
            ("X-Quote", "a \"b\" \\ é"),
            ("X-Two", "two"),
        ],
        "12345",
    );
    let (id, event_id) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let event = events::received(&submission, id, &Sequel::Event(event_id));
    let text = String::from_utf8_lossy(&event.json).into_owned();
    assert!(!text.contains("secret") && !text.contains(SLUG), "{text}");
    let value = read(&event);
    let keys: Vec<_> = value.as_object().expect("an object").keys().cloned().collect();
    let order = ["occurred", "event", "resource", "related", "payload", "id", "follows"];
    assert_eq!(keys, order);
    assert_eq!(value["event"], "prefect-cloud.webhook.received");
    assert_eq!(value["occurred"], "1970-01-01T00:00:01Z");
    assert_eq!(value["related"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        value["payload"],
        serde_json::json!({
            "method": "POST",
            "headers": {
                "x-original-uri": "/hooks/***?x", "x-two": "one, two", "x-quote": "a \"b\" \\ é"
            },
            "content_length": 5,
            "event_id": event_id.to_string(),
        })
    );
    assert_eq!(value["id"], id.to_string());
    assert!(value["follows"].is_null());
    let bare = self::submission(Method::GET, &[], "");
    let value = read(&events::received(&bare, id, &Sequel::Handshake("event-grid")));
    let expected = serde_json::json!(
        {"method": "GET", "headers": {}, "content_length": 0, "handshake": "event-grid"}
    );
    assert_eq!(value["payload"], expected);
}

fn failure(rendered: Option<&str>) -> Failure {
    Failure {
        kind: FailureKind::InvalidEvent,
        message: "bad\0 label".to_owned(),
        line: Some(3),
        pointer: Some("/resource/a".to_owned()),
        rendered: rendered.map(str::to_owned),
        draft: None,
        diagnostics: vec![Diagnostic::error(Code::Event, "bad\0 label")],
    }
}

fn json(text: &str) -> Body {
    let limits = Options::default().json;
    let document = json::Document::parse(Bytes::copy_from_slice(text.as_bytes()), limits);
    Body::Json(Arc::new(document.expect("JSON")))
}

#[test]
fn a_failed_event_holds_what_an_author_needs() {
    let text = "{\"a\":\n\"\\u0000\"}";
    let submission = submission(Method::POST, &[("x", "y")], text);
    let failure = failure(Some("{\"event\"\0"));
    let event = events::failed(&submission, Some(&json(text)), &failure, Uuid::nil(), Uuid::max());
    assert!(!event.json.contains(&b'\n'), "one line for one event");
    let value = read(&event);
    assert_eq!(
        value["payload"],
        serde_json::json!({
            "method": "POST", "headers": {"x": "y"}, "body": {"a": "\u{FFFD}"},
            "template": "{{ body }}", "rendered": "{\"event\"\u{FFFD}", "error": "bad\u{FFFD} label",
            "error_type": "invalid-event", "line": 3, "pointer": "/resource/a",
            "diagnostics": [{
                "code": "E401", "severity": "error", "message": "bad\u{FFFD} label", "help": null,
                "line": null, "column": null, "end_line": null, "end_column": null, "start": null,
                "end": null
            }],
            "truncated": false
        })
    );
    assert_eq!(value["follows"], Uuid::max().to_string());
}

#[test]
fn words_of_a_sender_cannot_break_a_failed_event() {
    // A backslash in front of `u0000` is text, not an escape.
    let words = "`body` has a\\u0000b, c\u{0}d";
    let told = Diagnostic::warning(Code::Missing, words).with_help(words.to_owned());
    let failure = Failure { diagnostics: vec![told], ..failure(None) };
    let submission = submission(Method::POST, &[], "{}");
    let event = events::failed(&submission, Some(&json("{}")), &failure, Uuid::nil(), Uuid::nil());
    let told = &read(&event)["payload"]["diagnostics"][0];
    assert_eq!(told["message"], "`body` has a\\u0000b, c\u{FFFD}d");
    assert_eq!(told["help"], told["message"]);
}

#[test]
fn each_part_of_a_failed_event_is_cut_to_its_bound() {
    const BOUND: usize = 64 << 10;
    let exact = "\u{1}".repeat(BOUND);
    let submission = submission(Method::POST, &[], &exact);
    let body = Body::Text(exact.clone());
    let event =
        events::failed(&submission, Some(&body), &failure(Some(&exact)), Uuid::nil(), Uuid::nil());
    assert!(event.json.len() < crate::event::DRAFT_MAX_BYTES, "{} bytes", event.json.len());
    assert_eq!(read(&event)["payload"]["truncated"], false);
    let over = "é".repeat(BOUND / 2) + "x";
    let long = format!("[\"{over}\"]");
    let submission = self::submission(Method::POST, &[], &long);
    let event = events::failed(
        &submission,
        Some(&json(&long)),
        &failure(Some(&over)),
        Uuid::nil(),
        Uuid::nil(),
    );
    let payload = &read(&event)["payload"];
    assert_eq!(payload["truncated_fields"], serde_json::json!(["body", "rendered"]));
    assert_eq!(payload["body"].as_str().map(str::len), Some(BOUND));
    assert_eq!(payload["rendered"].as_str().map(str::len), Some(BOUND));
    // A body that no event may hold stands there as text.
    let submission = self::submission(Method::POST, &[], "[1e999]");
    let event = events::failed(
        &submission,
        Some(&json("[1e999]")),
        &failure(None),
        Uuid::nil(),
        Uuid::nil(),
    );
    let payload = &read(&event)["payload"];
    assert_eq!(payload["body"], "[1e999]");
    assert!(payload["rendered"].is_null());
}

#[test]
fn help_shows_each_kind_of_body() {
    let submission = submission(Method::PUT, &[("x", "y")], "");
    let form = vec![("a".to_owned(), "1".to_owned()), ("b\"".to_owned(), String::new())];
    let cases = [
        (Body::Empty, serde_json::json!("")),
        (json("[1, 2.50]"), serde_json::json!([1, 2.5])),
        (Body::Form(form), serde_json::json!({"a": "1", "b\"": ""})),
        (Body::Text("plain \"text\"".to_owned()), serde_json::json!("plain \"text\"")),
    ];
    for (body, shown) in cases {
        let text = help(&submission.method, &submission.headers, &body);
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let expected = serde_json::json!({"method": "PUT", "headers": {"x": "y"}, "body": shown});
        assert_eq!(value, expected);
    }
}

#[test]
fn handshakes_are_recognised_and_nothing_else_is() {
    let kind = ("Aeg-Event-Type", "SubscriptionValidation");
    let event = |code: &str| {
        format!(
            r#"[{{"eventType":"Microsoft.EventGrid.SubscriptionValidationEvent",
            "data":{{"validationCode":"{code}","validationUrl":"https://x"}}}}]"#
        )
    };
    let of = |submission: &Submission| Handshake::recognise(submission).expect("no refusal");
    let grid = of(&submission(Method::POST, &[kind], &event("c\\\"1"))).expect("a handshake");
    assert_eq!(grid, Handshake::EventGrid { code: "c\"1".to_owned() });
    assert_eq!(&grid.answer(None).body[..], br#"{"validationResponse":"c\"1"}"#);
    let two = format!("[{0},{0}]", event("c").trim_matches(['[', ']']));
    for (method, headers, body) in [
        (Method::POST, &[][..], event("c")),
        (Method::PUT, &[kind], event("c")),
        (Method::POST, &[("aeg-event-type", "Notification")], event("c")),
        (Method::POST, &[kind], event("")),
        (Method::POST, &[kind], event(&"c".repeat(1025))),
        (Method::POST, &[kind], format!("{}{}", " ".repeat(4096), event("c"))),
        (Method::POST, &[kind], two),
        (Method::POST, &[kind], event("c").replace("Validation", "Other")),
        (Method::POST, &[kind], "[]".to_owned()),
        (Method::POST, &[kind], "{".to_owned()),
    ] {
        assert_eq!(of(&submission(method, headers, &body)), None, "{body:.200}");
    }
    let mut swollen = submission(Method::POST, &[kind], &event("c"));
    swollen.content.raw = vec![0; 4097].into();
    assert_eq!(of(&swollen), None, "much came, though little came out of it");
    let origin = ("WebHook-Request-Origin", "events.example");
    let asked = of(&submission(Method::OPTIONS, &[origin], "")).expect("a handshake");
    let reply = asked.answer(None);
    assert_eq!(reply.status, 200);
    assert_eq!(reply.headers["webhook-allowed-origin"], "events.example");
    assert_eq!(reply.headers["webhook-allowed-rate"], "*");
    assert_eq!(reply.headers["allow"], "POST");
    assert_eq!(asked.answer(Some(120)).headers["webhook-allowed-rate"], "120");
    let bare = Handshake::recognise(&submission(Method::OPTIONS, &[], ""));
    assert_eq!(bare, Err(Refusal::Handshake));
}

#[test]
fn a_slug_is_all_behind_the_prefix() {
    for (path, found) in [
        ("/hooks/abc", Some("abc")),
        ("/hooks/abc/", Some("abc")),
        ("/hooks/abc//", Some("abc/")),
        ("/hooks/abc/def", Some("abc/def")),
        ("/hooks/", Some("")),
        ("/hooks", None),
        ("/api/hooks/abc", None),
    ] {
        assert_eq!(slug(path), found, "{path}");
    }
}

#[test]
fn what_is_kept_is_a_copy_with_marks_and_the_request_stays_as_it_came() {
    const LIMITS: json::Limits = json::Limits { depth_max: 10, nodes_max: 100 };
    let rules = serde_json::json!({ "headers": ["x-token"], "body": ["$.a"], "query": ["q"] });
    let rules = Rules::read(&rules).expect("rules");
    let submitted = |headers: &[(&str, &str)], raw: &'static str, decoded: &'static str| {
        let clock = Clock::fixed(Time::from_micros(0));
        let mut hook = webhook(10, SLUG, "");
        hook.redact = Some(Box::new(rules.clone()));
        let endpoint = Routes::new(&clock, &[hook]).find(SLUG, clock.now()).expect("known");
        let content = Content { raw: raw.into(), decoded: decoded.into() };
        let admission =
            Admission { endpoint, arrival: arrival(Method::POST, headers), peer_left: None };
        let mut submission = Submission::new(admission, content, (None, Known::default()));
        submission.sender.marks = Marks::KEY;
        submission
    };
    let cut = r#"{"a":"[redacted]","b":2}"#;
    for (raw, decoded, body, more) in [
        ("{\"a\":1,\"b\":2}", "{\"a\":1,\"b\":2}", cut, &[][..]),
        ("zipped", "{\"a\":1,\"b\":2}", cut, &[Marks::DECODED]),
        ("zipped", "{\"b\":2}", "zipped", &[]),
        ("{\"a\":", "{\"a\":", "", &[Marks::WITHHELD]),
    ] {
        let submission = submitted(&[("x-token", "t"), ("x-other", "o")], raw, decoded);
        let copy = submission.redacted(LIMITS).expect("another");
        assert_eq!((&*copy.content.raw, &*copy.query), (body.as_bytes(), "q=%5Bredacted%5D"));
        assert_eq!(copy.headers["x-token"], "[redacted]");
        assert_eq!(copy.headers["x-other"], "o");
        let all = [Marks::KEY, Marks::REDACTED, Marks::DECODED, Marks::WITHHELD];
        let marks = all.into_iter().filter(|mark| copy.sender.marks.has(*mark));
        let wanted: Vec<_> =
            [Marks::KEY, Marks::REDACTED].into_iter().chain(more.iter().copied()).collect();
        assert_eq!(marks.collect::<Vec<_>>(), wanted, "{raw}");
        assert_eq!((&*submission.content.raw, &*submission.query), (raw.as_bytes(), "q=1"));
        assert_eq!(submission.headers["x-token"], "t");
    }
    let mut plain = submitted(&[], "{\"b\":2}", "{\"b\":2}");
    plain.query.clear();
    assert!(plain.redacted(LIMITS).is_none(), "no rule found anything");
}

#[test]
fn a_failure_of_what_is_redacted_quotes_nothing() {
    let told = failure(Some("{\"card\": 4929")).without_quotes(false);
    assert_eq!((told.kind, told.line), (FailureKind::InvalidEvent, Some(3)));
    assert!(told.message.starts_with("The event is invalid; the words"), "{}", told.message);
    assert_eq!((told.rendered, told.pointer, told.draft), (None, None, None));
    assert!(told.diagnostics.is_empty());
    let sealed = failure(None).without_quotes(true);
    assert!(sealed.message.ends_with("`hookgate explain` says them"), "{}", sealed.message);
    let event = events::failed(
        &submission(Method::POST, &[], "x"),
        None,
        &sealed,
        Uuid::nil(),
        Uuid::nil(),
    );
    let payload = &read(&event)["payload"];
    assert_eq!(
        (&payload["body"], &payload["rendered"]),
        (&serde_json::Value::Null, &serde_json::Value::Null)
    );
}

#[test]
fn much_work_for_a_signature_waits_for_a_turn_of_its_webhook() {
    let clock = Clock::fixed(Time::from_micros(0));
    let mut hook = webhook(10, SLUG, "{{ body }}");
    hook.verification = Some(Box::new(verification("slack", "s")));
    let endpoint = Routes::new(&clock, &[hook]).find(SLUG, clock.now()).expect("known");
    let turn = |bytes: usize| {
        let raw = Bytes::from(vec![b' '; bytes]);
        let content = Content { decoded: raw.clone(), raw };
        let endpoint = Arc::clone(&endpoint);
        let admission =
            Admission { endpoint, arrival: arrival(Method::POST, &[]), peer_left: None };
        check::turn(&admission, &content).is_some()
    };
    assert!(!turn(130) && !turn(256 << 10) && turn(300 << 10));
}

#[test]
fn a_secret_that_is_none_takes_nothing_from_those_beside_it() {
    let clock = Clock::fixed(Time::from_micros(0));
    let judged = |secrets: &[&str]| {
        let mut said = verification("gitlab", "a-secret");
        let shared = |(number, secret): (usize, &&str)| Shared {
            name: number.to_string(),
            secret: id::Secret::new(*secret),
            until: None,
        };
        said.secrets = secrets.iter().enumerate().map(shared).collect();
        let mut hook = webhook(10, SLUG, "{{ body }}");
        hook.verification = Some(Box::new(said));
        let endpoint = Routes::new(&clock, &[hook]).find(SLUG, clock.now()).expect("known");
        let arrival = arrival(Method::POST, &[("x-gitlab-token", "a-good-secret")]);
        let admission = Admission { endpoint, arrival, peer_left: None };
        match check::run(&admission, &Content::default(), &None::<&[u8]>) {
            Ok(Checked::By(Proof::Secret(place), _)) => Some(place),
            _ => None,
        }
    };
    assert_eq!(judged(&["a-good-secret"]), Some(0));
    assert_eq!(judged(&["   ", "a-good-secret"]), Some(0), "of those that count");
    assert_eq!(judged(&["   "]), None);
}
