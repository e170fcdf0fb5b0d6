//! The rules of contract 1, 2.7 and 9.3, each at its bound and one past it.

use proptest::prelude::*;

use super::*;

const WEBHOOK: &str =
    r#"{"prefect.resource.id":"prefect-cloud.webhook.1","prefect.resource.role":"webhook"}"#;
const RESOURCE: &str = r#"{"prefect.resource.id":"r"}"#;

fn stamped<T>(with: impl FnOnce(&Stamp<'_>) -> T) -> T {
    with(&Stamp {
        id: Uuid::from_u128(7),
        received: Time::from_micros(1_000_000),
        follows: Uuid::from_u128(8),
        webhook: WEBHOOK,
        payload: &|| r#"{"method":"POST","headers":{},"body":"\u0000"}"#.to_owned(),
    })
}

fn read(text: &str) -> Result<(Event, bool), DraftError> {
    Draft::read(text).and_then(|draft| stamped(|stamp| draft.event(stamp)))
}

fn json(text: &str) -> serde_json::Value {
    let (event, _) = read(text).unwrap_or_else(|fault| panic!("{fault:?} in {text:.300}"));
    serde_json::from_slice(&event.json).expect("an event is JSON")
}

fn fault(text: &str) -> DraftError {
    read(text).expect_err(&text[..text.floor_char_boundary(300)])
}

/// A text with one more top-level member.
fn with(member: &str) -> String {
    format!(r#"{{"event":"e","resource":{RESOURCE},{member}}}"#)
}

fn labels(count: usize) -> String {
    let rest: Vec<String> = (1..count).map(|n| format!(r#","l{n}":"x""#)).collect();
    format!(r#"{{"prefect.resource.id":"r"{}}}"#, rest.concat())
}

fn related(count: usize) -> String {
    let one = r#"{"prefect.resource.id":"a","prefect.resource.role":"b"}"#;
    format!("\"related\":[{}]", vec![one; count].join(","))
}

#[test]
fn the_seven_keys_in_their_order() {
    let text = format!(
        r#" {{"resource": {RESOURCE}, "unknown": 1, "payload": {{"a": 1.50}}, "event": "e"}}
        "#
    );
    let (event, own_id) = read(&text).expect("an event");
    assert!(!own_id);
    assert_eq!(event.id, Uuid::from_u128(7));
    assert_eq!(
        String::from_utf8_lossy(&event.json),
        format!(
            concat!(
                r#"{{"occurred":"1970-01-01T00:00:01Z","event":"e","resource":{},"related":[{}],"#,
                r#""payload":{{"a": 1.50}},"id":"00000000-0000-0000-0000-000000000007","#,
                r#""follows":"00000000-0000-0000-0000-000000000008"}}"#
            ),
            RESOURCE, WEBHOOK
        )
    );
}

#[test]
fn what_the_template_gives_counts() {
    let text = with(
        r#""id":"019AB2F06F4E7CC19A8B0D8B1C4F9F10","occurred":"2026-11-23T23:52:30.1234567+01:00",
        "follows":"00000000-0000-0000-0000-000000000001","payload":{},"event":"last"#,
    ) + "\"}";
    let text = text.replace("\"last}\"}", "\"last\"}");
    let (event, own_id) = read(&text).expect("an event");
    assert!(own_id);
    let value: serde_json::Value = serde_json::from_slice(&event.json).expect("JSON");
    assert_eq!(value["id"], "019ab2f0-6f4e-7cc1-9a8b-0d8b1c4f9f10");
    assert_eq!(event.id.to_string(), "019ab2f0-6f4e-7cc1-9a8b-0d8b1c4f9f10");
    assert_eq!(value["occurred"], "2026-11-23T22:52:30.123456Z");
    assert_eq!(value["follows"], "00000000-0000-0000-0000-000000000001");
    assert_eq!(value["payload"], serde_json::json!({}), "an explicit empty payload stays");
    assert_eq!(value["event"], "last", "the last of a doubled key wins");
    let value = json(&with(r#""follows":null"#));
    assert_eq!(value["follows"], "00000000-0000-0000-0000-000000000008");
    assert_eq!(
        json(&with(r#""occurred":"2026-01-02T03:04:05""#))["occurred"],
        "2026-01-02T03:04:05Z"
    );
}

#[test]
fn without_a_payload_there_is_help() {
    let value = json(&format!(r#"{{"event":"e","resource":{RESOURCE}}}"#));
    assert_eq!(value["payload"]["method"], "POST");
    assert_eq!(value["payload"]["body"], "\u{FFFD}", "U+0000 of the sender's is replaced too");
}

#[test]
fn each_bound_and_one_past_it() {
    let name =
        |count: usize| format!(r#"{{"event":"{}","resource":{RESOURCE}}}"#, "é".repeat(count));
    let id = |count: usize| {
        format!(r#"{{"event":"e","resource":{{"prefect.resource.id":"{}"}}}}"#, "x".repeat(count))
    };
    let resource = |count: usize| format!(r#"{{"event":"e","resource":{}}}"#, labels(count));
    let deep = |levels: usize| {
        with(&format!(r#""payload":{{"a":{}{}}}"#, "[".repeat(levels - 2), "]".repeat(levels - 2)))
    };
    let number = |digits: usize| with(&format!(r#""payload":{{"a":{}}}"#, "1".repeat(digits)));
    let cases: [(String, String, Reject, Option<&str>); 6] = [
        (name(1024), name(1025), Reject::InvalidEvent, Some("/event")),
        (id(1024), id(1025), Reject::InvalidEvent, Some("/resource/prefect.resource.id")),
        (resource(500), resource(501), Reject::InvalidEvent, Some("/resource")),
        (with(&related(99)), with(&related(100)), Reject::InvalidEvent, Some("/related")),
        (deep(190), deep(191), Reject::TooLarge, None),
        (number(400), number(401), Reject::InvalidEvent, Some("/payload/a")),
    ];
    for (inside, outside, reject, pointer) in cases {
        read(&inside).unwrap_or_else(|fault| panic!("{fault:?} in {inside:.300}"));
        let fault = fault(&outside);
        assert_eq!((fault.reject, fault.pointer.as_deref()), (reject, pointer), "{fault}");
    }
    assert_eq!(json(&with(&related(99)))["related"].as_array().map(Vec::len), Some(100));
}

#[test]
fn an_event_is_at_most_so_large() {
    let sized = |bytes: usize| with(&format!(r#""payload":{{"a":"{}"}}"#, "x".repeat(bytes)));
    let around = read(&sized(0)).expect("an event").0.json.len();
    let (event, _) = read(&sized(DRAFT_MAX_BYTES - around)).expect("just fits");
    assert_eq!(event.json.len(), DRAFT_MAX_BYTES);
    assert_eq!(fault(&sized(DRAFT_MAX_BYTES - around + 1)).reject, Reject::TooLarge);
    // Long as written, short as meant: kept.
    let wide = format!(r#""payload":{{"a":"{}"{}}}"#, "\\u0439".repeat(300_000), " ".repeat(9));
    let (event, _) = read(&with(&wide)).expect("fits once it is compact");
    assert!(event.json.len() < 601_000);
    // Numbers that somebody downstream writes out longer count as long as that.
    let numbers = format!(r#""payload":{{"a":[{}0]}}"#, "1e9,".repeat(100_000));
    assert_eq!(fault(&with(&numbers)).reject, Reject::TooLarge);
    json(&with(&numbers.replace("1e9", "109")));
}

#[test]
fn broken_rules_are_named_with_their_place() {
    let entry = |entry: &str| with(&format!(r#""related":[{RESOURCE_AND_ROLE},{entry}]"#));
    let cases: &[(String, &str)] = &[
        ("[]".into(), ""),
        ("\"x\"".into(), ""),
        (format!(r#"{{"resource":{RESOURCE}}}"#), "/event"),
        (format!(r#"{{"event":"","resource":{RESOURCE}}}"#), "/event"),
        (format!(r#"{{"event":1,"resource":{RESOURCE}}}"#), "/event"),
        (format!(r#"{{"event":"prefect-cloud.x","resource":{RESOURCE}}}"#), "/event"),
        (format!(r#"{{"event":"Prefect-\u0000Cloud.x","resource":{RESOURCE}}}"#), "/event"),
        (
            format!(r#"{{"event":"hookgate.destination.recovered","resource":{RESOURCE}}}"#),
            "/event",
        ),
        (format!(r#"{{"event":"Hook\u0000gate.x","resource":{RESOURCE}}}"#), "/event"),
        (r#"{"event":"e"}"#.into(), "/resource"),
        (r#"{"event":"e","resource":null}"#.into(), "/resource"),
        (r#"{"event":"e","resource":{}}"#.into(), "/resource"),
        (r#"{"event":"e","resource":{"prefect.resource.id":""}}"#.into(), "/resource"),
        (
            r#"{"event":"e","resource":{"prefect.resource.id":"r","a/~b":1}}"#.into(),
            "/resource/a~1~0b",
        ),
        (r#"{"event":"e","resource":{"prefect.resource.id":"r","a":null}}"#.into(), "/resource/a"),
        (with(r#""related":null"#), "/related"),
        (with(r#""related":{}"#), "/related"),
        (entry("1"), "/related/1"),
        (entry(RESOURCE), "/related/1"),
        (entry(r#"{"prefect.resource.id":"r","prefect.resource.role":""}"#), "/related/1"),
        (entry(r#"{"prefect.resource.role":"x"}"#), "/related/1"),
        (
            entry(r#"{"prefect.resource.id":"r","prefect.resource.role":true}"#),
            "/related/1/prefect.resource.role",
        ),
        (with(r#""payload":null"#), "/payload"),
        (with(r#""payload":[]"#), "/payload"),
        (with(r#""payload":{"a":[0,{"b":1e400}]}"#), "/payload/a/1/b"),
        (with(r#""occurred":"yesterday""#), "/occurred"),
        (with(r#""occurred":1700000000"#), "/occurred"),
        (with(r#""occurred":"-000001-01-01T00:00:00Z""#), "/occurred"),
        (with(r#""id":"x""#), "/id"),
        (with(r#""id":null"#), "/id"),
        (with(r#""id":"urn:uuid:019ab2f0-6f4e-7cc1-9a8b-0d8b1c4f9f10""#), "/id"),
        (with(r#""follows":"x""#), "/follows"),
    ];
    for (text, pointer) in cases {
        let fault = fault(text);
        assert_eq!(fault.reject, Reject::InvalidEvent, "{text}");
        assert_eq!(fault.pointer.as_deref(), Some(*pointer), "{text}: {fault}");
    }
}

/// Role and id of related resources that a template or a client gives, and whether they are kept.
const CLAIMS: &[(&str, &str, bool)] = &[
    ("webhook", "prefect-cloud.webhook.1", false),
    ("webhook", "prefect-cloud.webhook.00000000-0000-0000-0000-000000000001", false),
    ("actor", "prefect-cloud.user.1", false),
    ("actor", "hookgate.destination.1", false),
    ("Actor", "PREFECT-CLOUD.user.1", false),
    ("ａｃｔｏｒ", "prefect\u{AD}-cloud.user.1", false),
    ("act\\u0000or", "prefect-\\u0000cloud.user.1", false),
    ("webhook", "github.hook.7", true),
    ("actor", "shop.user.1", true),
    ("account", "prefect-cloud.account.1", true),
    ("actors", "prefect-cloud.user.1", true),
];

#[test]
fn who_is_behind_an_event_is_the_gateways_to_say() {
    let entry = |(role, id, _): &(&str, &str, bool)| {
        format!(r#"{{"prefect.resource.id":"{id}","prefect.resource.role":"{role}"}}"#)
    };
    let kept: Vec<_> = CLAIMS.iter().filter(|(_, _, is_kept)| *is_kept).map(entry).collect();
    let all: Vec<_> = CLAIMS.iter().map(entry).collect();
    let plain = RESOURCE_AND_ROLE.to_owned();
    let lists = all.iter().map(|one| (vec![one], kept.contains(one))).collect::<Vec<_>>();
    for (list, is_kept) in lists {
        let related = if is_kept { list.clone() } else { Vec::new() };
        check_claims(&list, &related);
        let around = [&plain, list[0], &plain];
        let related = if is_kept { around.to_vec() } else { vec![&plain, &plain] };
        check_claims(&around, &related);
    }
    check_claims(&all.iter().collect::<Vec<_>>(), &kept.iter().collect::<Vec<_>>());
    // Of a doubled label the last counts, here too.
    let doubled = r#"{"prefect.resource.id":"prefect-cloud.user.1","prefect.resource.role":"x",
        "prefect.resource.role":"actor"}"#;
    check_claims(&[&doubled.to_owned()], &[]);
    // What is wrong with one that would be left out is told all the same.
    let bad =
        r#"{"prefect.resource.id":"prefect-cloud.user.1","prefect.resource.role":"actor","a":1}"#;
    let fault = fault(&with(&format!("\"related\":[{bad}]")));
    assert_eq!(fault.pointer.as_deref(), Some("/related/0/a"));
}

/// Of such a list a template's event has those and its webhook, a client's event those, and all where that is allowed.
fn check_claims(given: &[&String], kept: &[&String]) {
    let list = |texts: &[&String]| {
        let texts: Vec<_> = texts.iter().map(|text| text.as_str()).collect();
        serde_json::from_str::<serde_json::Value>(&format!("[{}]", texts.join(","))).expect("JSON")
    };
    let texts: Vec<_> = given.iter().map(|text| text.as_str()).collect();
    let related = format!("\"related\":[{}]", texts.join(","));
    let made = &json(&with(&related))["related"];
    let (webhook, rest) = made.as_array().and_then(|made| made.split_last()).expect("a webhook");
    assert_eq!(webhook.to_string(), WEBHOOK);
    assert_eq!(serde_json::Value::from(rest), list(kept), "{related}");
    let text = format!(
        r#"{{"occurred":"2026-11-23T22:52:30Z","event":"e","resource":{RESOURCE},{related},"id":"{}"}}"#,
        Uuid::from_u128(7)
    );
    let published = |allows_reserved| {
        let event = publish(&text, allows_reserved).unwrap_or_else(|fault| panic!("{fault:?}"));
        let event: serde_json::Value = serde_json::from_slice(&event.json).expect("JSON");
        event["related"].clone()
    };
    assert_eq!(published(false), list(kept), "{related}");
    assert_eq!(published(true).as_array().map(Vec::len), Some(given.len()), "{related}");
}

const RESOURCE_AND_ROLE: &str = r#"{"prefect.resource.id":"a","prefect.resource.role":"b"}"#;

#[test]
fn what_is_not_json_is_named_with_its_line() {
    let cases = [
        ("", 1),
        ("{\n\"event\": 'x'}", 2),
        ("{\"a\": NaN}", 1),
        ("{}\n\n,", 3),
        ("{\"a\": 1,}", 1),
        ("{\"a\": \"\\ud800\"}", 1),
        ("{\"a\": \"\u{1}\"}", 1),
    ];
    for (text, line) in cases {
        let fault = fault(text);
        assert_eq!((fault.reject, fault.line), (Reject::Json, Some(line)), "{text}: {fault}");
    }
}

#[test]
fn nothing_reaches_a_line_or_a_database_that_it_cannot_hold() {
    let text = "{\"event\":\"a\\u0000b\",\"resource\":{\"prefect.resource.id\":\"r\\u0000\",\n\"k\\u0000\":\"v\"},
        \"payload\":{\n\"a\\u0000\": [\"\\u0000\", \"\\\\u0000\", {}],\r\n \"b\": {}}}";
    let (event, _) = read(text).expect("an event");
    assert!(!event.json.contains(&b'\n') && !event.json.contains(&b'\r'));
    let value: serde_json::Value = serde_json::from_slice(&event.json).expect("JSON");
    assert_eq!(value["event"], "a\u{FFFD}b");
    assert_eq!(value["resource"]["prefect.resource.id"], "r\u{FFFD}");
    assert_eq!(value["resource"]["k\u{FFFD}"], "v");
    assert_eq!(value["payload"]["a\u{FFFD}"], serde_json::json!(["\u{FFFD}", "\\u0000", {}]));
}

#[test]
fn a_doubled_label_is_written_once() {
    let text = r#"{"event":"e","resource":{"a":1,"prefect.resource.id":"x","a":"2","prefect.resource.id":"r"}}"#;
    let (event, _) = read(text).expect("the last label of a name counts");
    let text = String::from_utf8_lossy(&event.json);
    assert!(text.contains(r#""resource":{"a":"2","prefect.resource.id":"r"}"#), "{text}");

    let text =
        r#"{"event":"e","resource":{"a\u0000":"1","prefect.resource.id":"r","a\ufffd":"2"}}"#;
    let (event, _) = read(text).expect("names that become the same are the same");
    let text = String::from_utf8_lossy(&event.json);
    assert!(
        text.contains("\"resource\":{\"prefect.resource.id\":\"r\",\"a\u{FFFD}\":\"2\"}"),
        "{text}"
    );
}

#[test]
fn the_digest_is_of_what_an_event_says() {
    let one = stamped(|stamp| Draft::read(&with(r#""payload":{}"#)).expect("").event(stamp));
    let one = one.expect("an event").0;
    let (two, _) = Draft::read(&with(r#""payload":{}"#))
        .and_then(|draft| {
            draft.event(&Stamp {
                id: Uuid::from_u128(70),
                received: Time::from_micros(5),
                follows: Uuid::from_u128(80),
                webhook: WEBHOOK,
                payload: &String::new,
            })
        })
        .expect("an event");
    assert_eq!(one.digest(), two.digest());
    let (other, _) = read(&with(r#""payload":{"a":1}"#)).expect("an event");
    assert_ne!(one.digest(), other.digest());
    let moment = Time::from_micros(3);
    let own = |id, follows| {
        compose(
            moment,
            "e",
            &[("prefect.resource.id", "r")],
            &[],
            "{}",
            Uuid::from_u128(id),
            follows,
        )
    };
    assert_eq!(own(1, None).digest(), own(2, Some(Uuid::nil())).digest());
}

/// JSON texts as nobody would write them: odd white space, doubled names, U+0000, numbers at the edge.
fn json_texts() -> impl Strategy<Value = String> {
    let space = || prop::sample::select(vec!["", " ", "\n", "\r\n\t"]);
    let string = prop::sample::select(vec![
        "\"\"",
        "\"a\"",
        "\"\\u0000\"",
        "\"\\\\u0000\"",
        "\"\\\\\\u0000x\"",
        "\"\\ud83d\\ude00\"",
        "\"é\\n\"",
    ]);
    let scalar = prop::sample::select(vec![
        "null",
        "true",
        "0",
        "-0.0",
        "1e308",
        "1E-400",
        "1e309",
        "12345678901234567890123",
        "1.50",
    ]);
    let leaf = prop_oneof![string.clone(), scalar].prop_map(str::to_owned);
    leaf.prop_recursive(6, 40, 5, move |inner| {
        let items = prop::collection::vec((space(), inner.clone()), 0..5);
        let members = prop::collection::vec((space(), string.clone(), inner), 0..5);
        prop_oneof![
            items.prop_map(|items| {
                let items: Vec<_> =
                    items.iter().map(|(space, item)| format!("{space}{item}")).collect();
                format!("[{}]", items.join(","))
            }),
            members.prop_map(|members| {
                let members: Vec<_> = members
                    .iter()
                    .map(|(space, name, value)| format!("{space}{name}{space}:{value}"))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

fn without_nul(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value::{Array, Object, String};
    match value {
        String(text) => String(text.replace('\0', "\u{FFFD}")),
        Array(items) => Array(items.into_iter().map(without_nul).collect()),
        Object(members) => {
            let clean = |(name, value): (std::string::String, _)| {
                (name.replace('\0', "\u{FFFD}"), without_nul(value))
            };
            Object(members.into_iter().map(clean).collect())
        }
        other => other,
    }
}

proptest! {
    #[test]
    fn any_payload_is_kept_in_meaning_or_refused_with_its_place(value in json_texts()) {
        let text = with(&format!("\"payload\":{{\"a\":{value}}}"));
        let meant = serde_json::from_str(&text).map(without_nul);
        match read(&text) {
            Ok((event, _)) => {
                prop_assert!(memchr::memchr2(b'\n', b'\r', &event.json).is_none());
                let after: serde_json::Value = serde_json::from_slice(&event.json).expect("JSON");
                prop_assert_eq!(&meant.expect("finite")["payload"], &after["payload"]);
            }
            Err(fault) => {
                prop_assert!(text.contains("1e309"), "{} in {}", fault, text);
                let pointer = fault.pointer.expect("a place");
                prop_assert!(pointer.starts_with("/payload/a"), "{}", pointer);
            }
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "[ -~\n\u{0}é{}\\[\\]\",:0-9]{0,40}", cut in 0_usize..200) {
        let _ = read(&text);
        let whole = with(&format!("{},\"payload\":{{\"a\":\"{{\"}}", related(1)));
        let _ = read(&whole[..whole.floor_char_boundary(cut)]);
        let _ = read(&with(&text));
    }
}

#[test]
fn a_name_is_read_without_the_rest_unless_it_has_an_escape() {
    let id = Uuid::from_u128(1);
    let named = |name| {
        let resource = [("prefect.resource.id", "r")];
        compose(Time::from_micros(0), name, &resource, &[], "{\"event\":\"other\"}", id, None)
    };
    for name in ["shop.paid", "", "shö,{}:", "a.very.long.name"] {
        assert_eq!(named(name).plain_name(), Some(name));
    }
    for name in ["a\"b", "a\\b", "a\nb"] {
        assert_eq!(named(name).plain_name(), None);
    }
    let foreign = Event { id, json: Bytes::from_static(b"{\"event\":\"e\"}") };
    assert_eq!(foreign.plain_name(), None);
}
