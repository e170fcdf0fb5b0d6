//! Words that mean something to whoever shows, logs or looks them up: scripts, lines of a log, what moves a terminal,
//! names that collide, questions whose answer would be a signature.

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::scarce::Program;
use super::{Served, TAKES_ALL, hook, tell};

/// What a page would run, and what a terminal would do.
const SCRIPT: &str = "</script><script>alert(1)</script><!--\u{1b}[2J\u{9b}31m\u{202e}";

#[test]
fn a_script_in_a_body_is_served_as_json_and_shown_without_effect() {
    let served = Served::start(|_| ());
    let webhook = served.webhook(TAKES_ALL);
    let body = json!({ "text": SCRIPT }).to_string();
    let path = hook(&webhook);
    let headers = [("content-type", "text/html"), ("x-note", "<img src=x onerror=alert(1)>")];
    let answer = served.send("POST", &path, &headers, body.as_bytes());
    assert_eq!(answer.status, 204);
    let receipt = answer.receipt().to_owned();
    served.events(2);
    let bearer = format!("Bearer {}", served.key);
    let own = [("authorization", &*bearer), ("accept", "text/html")];
    let filter = json!({"limit": 50}).to_string();
    let shown = super::super::wait("the event in the index", || {
        let own = [own[0], own[1], ("content-type", "application/json")];
        let place = format!("{}/events/filter", served.api);
        let answer = served.send("POST", &place, &own, filter.as_bytes());
        answer.text().contains("alert(1)").then_some(answer)
    });
    for answer in [
        shown,
        served.send("GET", &format!("{}/requests/{receipt}", served.api), &own, b""),
        served.send(
            "GET",
            &format!("{}/no{SCRIPT}", "/hooks")
                .replace(['\u{1b}', '\u{9b}', '\u{202e}'], "")
                .replace(' ', "%20"),
            &own,
            b"",
        ),
    ] {
        let media = answer.header("content-type").unwrap_or("application/json").to_owned();
        assert!(media.starts_with("application/json"), "{media}");
        let said = answer.header("x-content-type-options");
        assert_eq!(said, (!answer.body.is_empty()).then_some("nosniff"), "{}", answer.head);
        assert!(answer.status != 404 || !answer.text().contains("alert"), "{}", answer.text());
    }
    for words in [&["event", "list"][..], &["request", "show", &receipt]] {
        let text = served.answered(words);
        let acts = |c: char| matches!(c, '\u{1b}' | '\u{9b}' | '\u{202e}');
        assert!(!text.contains(acts), "{words:?}: {text:?}");
    }
}

#[test]
fn no_answer_with_a_body_is_anything_but_its_type_says() {
    let served = Served::start(|_| ());
    let webhook = served.webhook(TAKES_ALL);
    let bearer = format!("Bearer {}", served.key);
    let own = [("authorization", &*bearer)];
    let of = |name: &str| format!("{}/{name}", served.api);
    let mut answers = vec![
        served.send("POST", &hook(&webhook), &[("content-encoding", "br")], b"{}"),
        served.send("PUT", &hook(&webhook), &[("content-length", "x")], b""),
        served.send("GET", "/", &[], b""),
        served.send("GET", "/api/health", &[], b""),
        served.send("GET", "/api/openapi.json", &[], b""),
        served.send("GET", &of("webhooks/none"), &[], b""),
    ];
    for name in ["webhooks/none", "destinations", "requests", "events", "audit"] {
        answers.push(served.send("GET", &of(name), &own, b""));
        answers.push(served.send("HEAD", &of(name), &own, b""));
    }
    answers.push(served.call("POST", "/webhooks/filter", &json!({})));
    answers.push(served.call("POST", "/webhooks/", &json!({"name": 1})));
    answers.extend(["/livez", "/readyz", "/metrics", "/none"].map(|path| served.ask(path)));
    let mut statuses: Vec<u16> = Vec::new();
    for answer in &answers {
        let said = answer.header("x-content-type-options");
        let length = answer.header("content-length").expect("it is told");
        assert_eq!(said, (length != "0").then_some("nosniff"), "{}", answer.head);
        statuses.push(answer.status);
    }
    for status in [200, 400, 401, 404, 415, 422] {
        assert!(statuses.contains(&status), "{status} is in {statuses:?}");
    }
    let taken = served.send("POST", &hook(&webhook), &[], b"{}");
    assert_eq!((taken.status, taken.header("x-content-type-options")), (204, None));
}

#[test]
fn no_request_writes_a_line_of_its_own_into_the_log() {
    for format in ["json", "human"] {
        let folder = std::env::temp_dir();
        let folder = folder.join(format!("hookgate-words-{format}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let level = [("HOOKGATE_LOG__FORMAT", format), ("HOOKGATE_LOG__LEVEL", "trace")];
        let program = Program::start(&folder, "exec \"$0\" \"$@\"", &level);
        let senders = program.senders();
        let forged = "\u{1b}[31mERROR\u{9b}2J forged\u{202e}";
        for request in [
            format!("POST /hooks/{forged} HTTP/1.1\r\nHost: x\r\n\r\n"),
            format!("POST /hooks/x HTTP/1.1\r\nHost: x\r\nX-Request-Id: {forged}\r\n\r\n"),
            format!("POST /hooks/x HTTP/1.1\r\nHost: {forged}\r\n\r\n"),
            "POST /hooks/x HTTP/1.1\r\nHost: x\r\nReferer: a\rERROR forged\r\n\r\n".to_owned(),
            format!("GET /api/{forged} HTTP/1.1\r\nHost: x\r\nUser-Agent: {forged}\r\n\r\n"),
            "GET /api/%0aERROR%20forged HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                .to_owned(),
            login(&format!("nobody\nERROR forged {forged}")),
        ] {
            tell(senders, request.as_bytes());
        }
        let log = program.log();
        assert!(!log.contains(['\u{9b}', '\u{202e}']), "{log}");
        for line in log.lines() {
            let is_forged = line.trim_start().starts_with("ERROR forged");
            assert!(!is_forged && !line.contains("\u{1b}[31mERROR\u{9b}"), "{line}");
            if format == "json" {
                assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
            }
        }
        drop(program);
        fs::remove_dir_all(&folder).expect("the folder goes");
    }
}

fn login(handle: &str) -> String {
    let body = json!({"handle": handle, "password": "wrong horse"}).to_string();
    let head = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    format!("POST /api/auth/login HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}\r\n{body}")
}

#[test]
fn names_that_collide_elsewhere_cost_no_more_than_others() {
    let served = Served::start(|_| ());
    let webhook = served.webhook(TAKES_ALL);
    let path = hook(&webhook);
    // Each pair has one hash in Java and PHP: 8,192 names of one.
    let name = |number: u32| {
        let pair = |bit: u32| if number >> bit & 1 == 0 { "Aa" } else { "BB" };
        (0..13).map(pair).collect::<String>()
    };
    let other = |number: u32| format!("{number:026}");
    let body = |name: &dyn Fn(u32) -> String| {
        let mut json = "{".to_owned();
        for number in 0..8192 {
            let _ = write!(json, "{}\"{}\":0", if number > 0 { "," } else { "" }, name(number));
        }
        json + "}"
    };
    let took = |body: &str| {
        let started = Instant::now();
        let answer =
            served.send("POST", &path, &[("content-type", "application/json")], body.as_bytes());
        assert_eq!(answer.status, 204);
        started.elapsed()
    };
    let (collide, differ) = (body(&name), body(&other));
    took(&differ);
    let (honest, hostile) = (took(&differ), took(&collide));
    assert!(hostile < honest * 5 + Duration::from_millis(500), "{hostile:?} beside {honest:?}");
    let form = (0..900).map(name).collect::<Vec<_>>().join("=0&");
    let form_type = [("content-type", "application/x-www-form-urlencoded")];
    let status = served.send("POST", &path, &form_type, form.as_bytes()).status;
    assert_eq!(status, 204);
    assert_eq!(served.send("POST", &format!("{path}?{}", &form[..4000]), &[], b"{}").status, 204);
}

#[test]
fn a_question_signs_nothing_that_could_be_a_body() {
    let served = Served::start(|_| ());
    let webhook = served.webhook(TAKES_ALL);
    let id = webhook["id"].as_str().expect("an id");
    let verification = json!({"provider": "x-twitter", "secrets": ["a-secret-nobody-sees"]});
    let body = json!({"name": "w", "description": "", "template": TAKES_ALL,
        "verification": verification});
    let set = served.call("PUT", &format!("/webhooks/{id}"), &body);
    assert_eq!(set.status, 204, "{}", set.text());
    let ask = |token: &str| {
        served.send("GET", &format!("{}?crc_token={token}", hook(&webhook)), &[], b"")
    };
    let asked = ask("Nonce_42-abc");
    assert!(asked.status == 200 && asked.text().contains("sha256="), "{}", asked.text());
    // A signature of these would open the webhook.
    for token in ["%7B%22a%22%3A1%7D", "%5B1%5D", "a%0Ab", "%7B%7D", "", &"a".repeat(5000)] {
        let answer = ask(token);
        assert!(matches!(answer.status, 400 | 401 | 403), "{token}: {}", answer.status);
        assert!(!answer.text().contains("sha256="), "{token}: {}", answer.text());
    }
}
