//! Bodies that would cost much: deep, wide, numberless, packed, without an end; and text that would be more than text.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::json;

use super::{PATIENCE, Served, TAKES_ALL, hook, payload, statuses, tell};

#[test]
fn json_has_its_budget_however_it_is_wide_or_deep() {
    let served = Served::start(|_| ());
    let hook = hook(&served.webhook(TAKES_ALL));
    let deep = |count: usize| format!("{}{}", "[".repeat(count), "]".repeat(count));
    let numbers = format!("[{}0]", "0,".repeat(149_999));
    let objects = format!("[{}{{}}]", "{\"\":0},".repeat(74_999));
    for (name, body, kind) in [
        ("a million arrays", deep(500_000), "too-large"),
        ("a million that never end", "[".repeat(1_000_000), "too-large"),
        ("numbers", numbers, "too-large"),
        ("objects", objects, "too-large"),
        ("digits", format!("[{}]", "1".repeat(100_000)), "invalid-event"),
    ] {
        let headers = [("content-type", "application/json")];
        let answer = served.send("POST", &hook, &headers, body.as_bytes());
        assert_eq!(answer.status, 400, "{name}");
        let receipt = answer.receipt().to_owned();
        let failed = super::super::wait("the failure", || {
            let events = served.events(1);
            events.into_iter().find(|event| event["follows"] == *receipt)
        });
        assert_eq!(failed["payload"]["error_type"], kind, "{name}");
    }
    assert_eq!(served.send("POST", &hook, &[], b"{}").status, 204, "others go on");
}

#[test]
fn what_is_no_json_is_text_and_what_is_odd_stays() {
    let served = Served::start(|_| ());
    let hook = hook(&served.webhook(TAKES_ALL));
    let cases: &[(&[u8], serde_json::Value)] = &[
        (b"{\"a\": NaN}", json!("{\"a\": NaN}")),
        (b"{\"a\": \"x\\u0000y\"}", json!({"a": "x\u{FFFD}y"})),
        (b"{\"a\": \"\xff\"}", json!("{\"a\": \"\u{FFFD}\"}")),
        (b"{\"a\": 1, \"a\": 2}", json!({"a": 2})),
        (b"{\"a\": 1} {", json!("{\"a\": 1} {")),
    ];
    let mut receipts = Vec::new();
    for (body, _) in cases {
        let answer = served.send("POST", &hook, &[("content-type", "application/json")], body);
        assert_eq!(answer.status, 204, "{}", String::from_utf8_lossy(body));
        receipts.push(answer.receipt().to_owned());
    }
    for ((body, expected), receipt) in cases.iter().zip(receipts) {
        let found = payload(&served, 2 * cases.len(), &receipt)["body"].clone();
        assert_eq!(found, *expected, "{}", String::from_utf8_lossy(body));
    }
}

#[test]
fn forms_have_their_bounds_and_parts_are_text() {
    let served = Served::start(|_| ());
    let hook = hook(&served.webhook(TAKES_ALL));
    let form = [("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(served.send("POST", &hook, &form, "a&".repeat(150_000).as_bytes()).status, 400);
    let parts = [("content-type", "multipart/form-data; boundary=x")];
    let body =
        "--x\r\nContent-Disposition: form-data; name=a; filename=../../x\r\n\r\nb\r\n--x--\r\n";
    let answer = served.send("POST", &hook, &parts, body.as_bytes());
    assert_eq!(
        (answer.status, payload(&served, 4, answer.receipt())["body"].clone()),
        (204, json!(body))
    );
}

#[test]
fn what_unpacks_to_much_is_cut_off() {
    let served = Served::start(|_| ());
    let hook = hook(&served.webhook(TAKES_ALL));
    let zeros = vec![0_u8; 16 << 20];
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&zeros).expect("memory");
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(&zeros).expect("memory");
    let gzip = gzip.finish().expect("memory");
    for (encoding, body, status) in [
        ("gzip", gzip.clone(), 413),
        ("deflate", zlib.finish().expect("memory"), 413),
        ("gzip, gzip", gzip.clone(), 415),
        ("gzip", gzip[..gzip.len() / 2].to_vec(), 413),
        ("gzip", b"\x1f\x8b\x08\0\0\0\0\0".to_vec(), 400),
        ("br", b"{}".to_vec(), 415),
        ("zstd", b"{}".to_vec(), 415),
    ] {
        let answer = served.send("POST", &hook, &[("content-encoding", encoding)], &body);
        assert_eq!(answer.status, status, "{encoding}, {} bytes", body.len());
    }
    let mut endless = "Host: x\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
    for _ in 0..6 {
        let _ = write!(endless, "100000\r\n{}\r\n", "a".repeat(1 << 20));
    }
    let answer = tell(served.address(), format!("POST {hook} HTTP/1.1\r\n{endless}").as_bytes());
    assert_eq!(statuses(&answer), [413]);
}

#[test]
fn all_bodies_together_have_their_bound_and_small_ones_pass() {
    let served = Served::start(|config| config.limits.bodies_max_bytes = 1 << 20);
    let hook = hook(&served.webhook(TAKES_ALL));
    let head = format!("POST {hook} HTTP/1.1\r\nHost: x\r\nContent-Length: 400000\r\n\r\n");
    let begun = |bytes: usize| {
        let mut stream = TcpStream::connect(served.address()).expect("a listener");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.write_all(head.as_bytes()).expect("it reads");
        // Whoever has no room is told so, and sent away.
        let _ = stream.write_all(&vec![b'1'; bytes]);
        stream
    };
    // Which of them come too late is a matter of who is read first: all of them stay.
    let mut begun_ones: Vec<_> = (0..3).map(|_| begun(300_000)).collect();
    let refused = super::super::wait("a refusal", || {
        let mut answer = Vec::new();
        let mut one = begun(300_000);
        one.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
        let _ = one.read_to_end(&mut answer);
        begun_ones.push(one);
        (!answer.is_empty()).then(|| String::from_utf8_lossy(&answer).into_owned())
    });
    assert_eq!(statuses(&refused), [503], "{refused}");
    assert!(refused.contains("retry-after: 1\r\n") && refused.contains("connection: close\r\n"));
    assert_eq!(served.send("POST", &hook, &[], b"{}").status, 204, "what came at once");
    let metrics = served.ask("/metrics").text();
    assert!(metrics.contains("reason=\"bodies-crowded\""), "{metrics}");
    // What was begun is taken all the same, and leaves its room.
    let taken = begun_ones.iter_mut().any(|one| {
        let mut answer = [0; 12];
        let whole = one.write_all(&vec![b'1'; 100_000]);
        // A number of so many digits is none: but it was read.
        whole.and_then(|()| one.read_exact(&mut answer)).is_ok() && &answer == b"HTTP/1.1 400"
    });
    assert!(taken, "one of those that were begun");
    drop(begun_ones);
    let text = vec![b'x'; 900_000];
    super::super::wait("room", || {
        let answer = served.send("POST", &hook, &[], &text);
        (answer.status == 204).then_some(())
    });
}

#[test]
fn a_field_stays_a_field_and_a_fault_tells_nothing() {
    let served = Served::start(|_| ());
    // An author who forgot `tojson`.
    let careless =
        r#"{"event": "x.y", "resource": {"prefect.resource.id": "{{ body.secretly }}"}}"#;
    let webhook = served.webhook(careless);
    for said in [
        r#"r"}, "event": "prefect-cloud.webhook.deleted", "z": {"z": "z"#,
        "r\"",
        "{{ 7 * 7 }}",
        "\u{0}\u{1b}[31m\r\nevent: x",
    ] {
        let answer = served.post(&webhook, &json!({ "secretly": said }).to_string());
        assert!(matches!(answer.status, 204 | 400), "{said:?}: {}", answer.status);
        assert!(!answer.text().contains("secretly"), "{said:?}: {}", answer.text());
    }
    let events = served.events(8);
    assert!(events.iter().all(|event| event["event"] != "prefect-cloud.webhook.deleted"));
    let plain = events.iter().find(|event| event["event"] == "x.y").expect("the harmless one");
    assert_eq!(plain["resource"]["prefect.resource.id"], "{{ 7 * 7 }}", "never rendered again");
}
