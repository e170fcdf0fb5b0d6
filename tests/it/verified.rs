//! `hookgate verify` and `hookgate sign` as a program, on requests that went wrong on their way. In: request files.
//! Out: what is said of them, the exit codes, and that what would have been right is never said.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
const SIGNED_AT: &str = "2026-09-21T14:13:20Z";
const BODY: &str = r#"{"event":"paid","total":12}"#;
/// Of secret, moment and body, by another program.
const TAG: &str = "26eb5d159e59d1540a0bedeb68ea91e7f1e599445a94a12833b85ba36b9d4e58";
/// The question of Slack's documentation, and its signature by another program.
const QUESTION: &str = concat!(
    r#"{"token":"Jhj5dZrVaK7ZwHHjRyZWjbDl","#,
    r#""challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"}"#,
);
const QUESTION_TAG: &str = "5e7132cd4067c96b7e7541c5256422f28478c43706e17553320fbcf67455ec63";

static FOLDERS: AtomicU32 = AtomicU32::new(0);

/// A folder with files for the program; goes with its value.
struct Desk(PathBuf);

/// What the program said, on both ways, and how it ended.
struct Told {
    code: i32,
    text: String,
}

impl Desk {
    fn new() -> Self {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let name = format!("hookgate-verified-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }

    fn run(&self, arguments: &[&str]) -> Told {
        let output = Command::new(env!("CARGO_BIN_EXE_hookgate"))
            .args(arguments)
            .current_dir(&self.0)
            .output()
            .expect("it runs");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).expect("text");
        Told { code: output.status.code().expect("it ended by itself"), text }
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).expect("a file");
    }

    /// What is said of a request of Slack's at a moment, and never that it should have been `right`.
    fn explained(&self, headers: &Value, body: &str, secret: &str, at: &str, right: &str) -> Told {
        let request = json!({ "method": "POST", "headers": headers, "body": body });
        self.put("capture.request.json", &request.to_string());
        self.put("secret", secret);
        let request = ["verify", "--request", "capture.request.json", "--secret-file", "secret"];
        let told = self.run(&[&request[..], &["--explain", "--at", at]].concat());
        assert!(!told.text.contains(right), "{}", told.text);
        assert!(!told.text.contains(secret) && !told.text.contains(SECRET), "{}", told.text);
        told
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn slack(tag: &str) -> Value {
    json!({
        "Content-Type": "application/json",
        "X-Slack-Request-Timestamp": "1790000000",
        "X-Slack-Signature": format!("v0={tag}"),
    })
}

#[test]
fn what_differs_is_said_without_a_provider_and_without_what_is_right() {
    let desk = Desk::new();
    let told = desk.explained(&slack(TAG), BODY, SECRET, SIGNED_AT, TAG);
    assert_eq!(told.code, 0, "{}", told.text);
    assert!(told.text.contains("verified: slack"), "{}", told.text);
    let wrong = "0".repeat(64);
    let proxied = r#"{"event": "paid", "total": 12}"#;
    let plain = json!({ "Content-Type": "application/json" });
    let late = "2026-09-21T14:20:12Z";
    for (what, headers, body, secret, at, says) in [
        (
            "header missing",
            &plain,
            BODY,
            SECRET,
            SIGNED_AT,
            &["signature_missing", "took the header off"][..],
        ),
        (
            "clock",
            &slack(TAG),
            BODY,
            SECRET,
            late,
            &["the clock is off by 412 s", "the signature is right"],
        ),
        (
            "proxy",
            &slack(TAG),
            proxied,
            SECRET,
            SIGNED_AT,
            &["re-encoded on its way", "without spaces"],
        ),
        (
            "secret",
            &slack(TAG),
            BODY,
            "other-0123456789",
            SIGNED_AT,
            &["signature_mismatch", "the secret is another"],
        ),
        (
            "tag",
            &slack(&wrong),
            BODY,
            SECRET,
            SIGNED_AT,
            &["signature_mismatch", "the secret is another"],
        ),
    ] {
        let told = desk.explained(headers, body, secret, at, TAG);
        assert_eq!(told.code, 1, "{what}: {}", told.text);
        for word in says {
            assert!(told.text.contains(word), "{what}: {word} is not in {}", told.text);
        }
    }
}

#[test]
fn a_question_that_is_refused_is_explained_too() {
    let desk = Desk::new();
    let late = "2026-09-21T14:20:12Z";
    let proxied = QUESTION.replace(':', ": ").replace(',', ", ");
    for (body, secret, at, says) in [
        (QUESTION, SECRET, late, "the signature is right: only the clock"),
        (QUESTION, "other-0123456789", SIGNED_AT, "the secret is another"),
        (&proxied, SECRET, SIGNED_AT, "re-encoded on its way"),
    ] {
        let told = desk.explained(&slack(QUESTION_TAG), body, secret, at, QUESTION_TAG);
        assert_eq!(told.code, 1, "{}", told.text);
        assert!(told.text.contains("a handshake, refused with 401"), "{}", told.text);
        assert!(told.text.contains(says), "{says} is not in {}", told.text);
    }
    let query =
        "hub.mode=subscribe&hub.challenge=15f7d1a91c1f40f8a748fd134752feb3&hub.verify_token=STRAVA";
    let question = json!({ "method": "GET", "query": query });
    desk.put("question.request.json", &question.to_string());
    desk.put("secret", "verify-me");
    let verify = ["verify", "strava", "--request", "question.request.json", "--explain"];
    let told = desk.run(&[&verify[..], &["--secret-file", "secret"]].concat());
    assert_eq!(told.code, 1, "{}", told.text);
    assert!(
        told.text.contains("the token that it shows is not the one that is set"),
        "{}",
        told.text
    );
    assert!(!told.text.contains("verify-me"), "{}", told.text);
}

#[test]
fn where_several_sign_alike_the_secret_tells_or_the_name_is_asked_for() {
    let desk = Desk::new();
    desk.put("secret", SECRET);
    desk.put("another", "another");
    desk.put("body.json", BODY);
    let sign =
        ["sign", "--provider", "github", "--secret-file", "secret", "-o", "request", "body.json"];
    let signed = desk.run(&sign);
    assert_eq!(signed.code, 0, "{}", signed.text);
    desk.put("capture.request.json", &signed.text);
    let verify = ["verify", "--request", "capture.request.json", "--explain", "--secret-file"];
    let told = desk.run(&[&verify[..], &["secret"]].concat());
    assert_eq!(told.code, 0, "{}", told.text);
    assert!(told.text.contains("github"), "{}", told.text);
    let told = desk.run(&[&verify[..], &["another"]].concat());
    assert_eq!(told.code, 2, "{}", told.text);
    assert!(told.text.contains("github") && told.text.contains("meta"), "{}", told.text);
    // What differs is said beside that, for each of them.
    let mut request: Value = serde_json::from_str(&signed.text).expect("JSON");
    let request = request.as_object_mut().expect("an object");
    request.retain(|name, _| !name.starts_with("body"));
    request.insert("body".to_owned(), BODY.replace(':', ": ").into());
    desk.put("capture.request.json", &json!(request).to_string());
    let told = desk.run(&[&verify[..], &["secret"]].concat());
    let says = "as github: the body was re-encoded on its way: the signature is right for it as JSON \
                without spaces";
    assert!(told.code == 2 && told.text.contains(says), "{}", told.text);
}

/// Signs by the key of a certificate that stands in for the provider's, and judges by that certificate.
fn certified(desk: &Desk, provider: &str, sign: &[&str], verify: &[&str]) {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/fetched");
    let file = |name: &str| data.join(name).to_str().expect("a path").to_owned();
    let words = ["sign", "--provider", provider, "-o", "request", "body.json"];
    let signed = desk.run(&[&words[..], sign].concat());
    assert_eq!(signed.code, 0, "{provider}: {}", signed.text);
    desk.put("signed.request.json", &signed.text);
    desk.put("spoilt.request.json", &signed.text.replace("paid", "owed"));
    let certificate = if provider == "paypal" { "paypal.pem" } else { "sns.pem" };
    for (request, certificate, code, says) in [
        ("signed.request.json", certificate, 0, "verified"),
        ("spoilt.request.json", certificate, 1, "signature_mismatch"),
        ("signed.request.json", "server.pem", 1, "refused"),
    ] {
        let certificate = file(certificate);
        let words = ["verify", provider, "--request", request, "--certificate", &certificate];
        let told = desk.run(&[&words[..], verify].concat());
        assert_eq!(told.code, code, "{provider} {request}: {}", told.text);
        assert!(told.text.contains(says), "{provider} {request}: {}", told.text);
    }
}

#[test]
fn what_a_certificate_of_ones_own_signs_is_taken_by_it_alone() {
    let desk = Desk::new();
    desk.put("body.json", BODY);
    desk.put("id", "WH-2WR32451HC0233532-67976317FL4543714");
    let key = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/fetched/signer-key.pem");
    let key = key.to_str().expect("a path");
    let topic = ["-p", "topic=arn:aws:sns:us-east-1:123456789012:orders"];
    certified(&desk, "aws-sns", &[&topic[..], &["--secret-file", key]].concat(), &topic);
    let secret = ["--secret-file", "id"];
    certified(&desk, "paypal", &[&secret[..], &["--key-file", key]].concat(), &secret);
    let sign =
        ["sign", "--provider", "paypal", "-o", "request", "body.json", "--secret-file", "id"];
    let told = desk.run(&sign);
    assert_eq!(told.code, 3, "{}", told.text);
    assert!(told.text.contains("private key"), "{}", told.text);
}

#[test]
fn cases_that_others_recorded_are_judged_by_what_they_say() {
    let desk = Desk::new();
    let signed = |headers: Value| {
        json!({"provider": "github", "secret": "secret-0123456789", "headers": headers,
            "body": "{\"n\":2}", "valid": true})
    };
    let tag = "sha256=3f0ba836213eb37f67e384b28032ba4a45f956b59645d25bfeb87df12421e72d";
    let with = |mut case: Value, more: Value| {
        let more = more.as_object().expect("an object").clone();
        case.as_object_mut().expect("an object").extend(more);
        case
    };
    let good = signed(json!({"X-Hub-Signature-256": tag}));
    let graph = json!({"provider": "microsoft-graph", "url": "https://h.example/?validationToken=a",
        "secret": null, "valid": true, "response_status": 200, "response_body": "a"});
    let strava = json!({"provider": "strava", "method": "GET", "secret": "word", "valid": true,
        "url": "https://h.example/?hub.mode=subscribe&hub.challenge=c&hub.verify_token=word",
        "response_status": 200});
    let lines = [
        // What is null is not there; moments and names may be numbers.
        with(good.clone(), json!({"method": null, "url": null, "now": 1_790_000_000.5})),
        with(good.clone(), json!({"expected": null, "parameters": null, "response_headers": null})),
        with(good.clone(), json!({"secret": ["another-0123456789", "secret-0123456789"]})),
        // An address is no setting where the provider has none.
        with(good, json!({"url": "https://h.example/hooks/a?b=c"})),
        // A header that comes twice is a list.
        with(signed(json!({"X-Hub-Signature-256": [tag, tag]})), json!({"valid": false})),
        // What no gateway takes is refused, as recorded.
        with(signed(json!({"X-Hub-Signature-256": "sha256=\n00"})), json!({"valid": false})),
        json!({"provider": "braintree", "secret": "secret-0123456789", "body": "bt_signature=a|b",
            "valid": false}),
        // JSON is compared by value, media types without regard of blanks, and of a charset that one lacks.
        with(
            graph.clone(),
            json!({"response_headers": {"Content-Type": "text/plain;charset=UTF-8"}}),
        ),
        with(
            strava.clone(),
            json!({"response_body": {"hub.challenge": "c"},
            "response_headers": {"Content-Type": "application/json; charset=utf-8"}}),
        ),
    ];
    let text: Vec<String> = lines.iter().map(Value::to_string).collect();
    desk.put("right.jsonl", &text.join("\n"));
    let told = desk.run(&["verify", "--cases", "right.jsonl"]);
    assert_eq!((told.code, &*told.text), (0, "9 passed, 0 failed\n"));
    let lines = [
        with(graph, json!({"response_headers": {"Content-Type": "text/html"}})),
        with(strava, json!({"response_body": {"hub.challenge": "d"}})),
        with(signed(json!({"X-Hub-Signature-256": "sha256=\n00"})), json!({})),
        json!({"provider": "nobody", "valid": false}),
    ];
    let text: Vec<String> = lines.iter().map(Value::to_string).collect();
    desk.put("wrong.jsonl", &text.join("\n"));
    let told = desk.run(&["verify", "--cases", "wrong.jsonl"]);
    assert!(told.code == 1 && told.text.ends_with("0 passed, 4 failed\n"), "{}", told.text);
}
