//! Secrets that senders show as they are, wherever they stand: in a field of the query, a form or JSON, in headers of
//! any name. Sent over real HTTP, and looked for in all that the gateway says and writes down.

use serde_json::{Value, json};

use hookgate::verify::signature::Provider;

use super::Served;
use super::secrets::shows;

const SECRET: &str = "a-token-that-nobody-sees";
const OTHER: &str = "another-that-is-none";
/// All that a template sees.
const TEMPLATE: &str = r#"{"event": "shown.all", "resource": {"prefect.resource.id": "a"},
    "payload": {"body": {{ body|tojson }}, "key": "{{ query.key }}",
    "headers": {{ headers|tojson }}}}"#;
const FORM: &str = "application/x-www-form-urlencoded";

/// Rows of an operator, and a request of each that shows that token.
fn rows(token: &str) -> Vec<(&'static str, Value, Value)> {
    let equal = |source: Value| json!({"signature": source, "mac": "equal", "encoding": "text"});
    let request = |url: &str, headers: Value, body: &str| {
        let url = format!("https://h.example/{url}");
        json!({"url": url, "headers": headers, "body": body})
    };
    let form = json!({"content-type": FORM});
    vec![
        (
            "in-query",
            equal(json!({"query": "key"})),
            request(&format!("?a=1&key={token}"), json!({}), r#"{"seen":1}"#),
        ),
        (
            "in-form",
            equal(json!({"form": "key"})),
            request("", form, &format!("seen=1&key={token}")),
        ),
        (
            "in-json",
            equal(json!({"json": "/value/*/key", "all": true})),
            request("", json!({}), &format!(r#"{{"value":[{{"key":"{token}","seen":1}}]}}"#)),
        ),
        (
            "in-text",
            equal(json!({"json": "/key"})),
            request(
                "",
                json!({"content-type": "text/plain"}),
                &format!(r#"{{"key":"{token}","seen":1}}"#),
            ),
        ),
        (
            "in-stem",
            equal(json!({"header-stem": "x-key-"})),
            request("", json!({"x-key-1": token}), r#"{"seen":1}"#),
        ),
        (
            "in-setting",
            equal(json!({"header-parameter": "key_header"})),
            request("", json!({"x-mine": token}), r#"{"seen":1}"#),
        ),
    ]
}

fn settings(name: &str) -> Value {
    if name == "in-setting" { json!({"key_header": "X-Mine"}) } else { json!({}) }
}

#[test]
fn a_token_that_is_the_secret_is_nowhere_wherever_it_stood() {
    let folder = std::env::temp_dir().join(format!("hookgate-it-shown-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut served = Served::start(|config| {
        for ((name, row, good), (_, _, bad)) in rows(SECRET).into_iter().zip(rows(OTHER)) {
            let case = |mut case: Value, valid: bool| {
                case["provider"] = name.into();
                case["secret"] = SECRET.into();
                case["parameters"] = settings(name);
                case["valid"] = valid.into();
                case.to_string()
            };
            let cases = folder.join(format!("{name}.jsonl"));
            let lines = format!("{}\n{}\n", case(good, true), case(bad, false));
            std::fs::write(&cases, lines).expect("a file");
            let row = json!({"scheme": [row]}).to_string();
            let mut row: Provider = serde_json::from_str(&row).expect("a row");
            row.cases = Some(cases);
            config.schemes.insert(name.to_owned(), row);
        }
    });
    let all = rows(SECRET);
    let mut receipts = Vec::new();
    for (name, _, request) in &all {
        let verification =
            json!({"provider": name, "secrets": [SECRET], "parameters": settings(name)});
        let body = json!({"name": name, "template": TEMPLATE, "verification": verification});
        let hook = served.call("POST", "/webhooks/", &body);
        assert_eq!(hook.status, 201, "{}", hook.text());
        let hook = hook.json();
        let url = request["url"].as_str().expect("an address");
        let query = url.split_once('?').map(|(_, query)| format!("?{query}")).unwrap_or_default();
        let path = format!("/hooks/{}{query}", hook["slug"].as_str().expect("a slug"));
        let headers = request["headers"].as_object().expect("headers").iter();
        let mut headers: Vec<_> =
            headers.map(|(name, value)| (&**name, value.as_str().expect("text"))).collect();
        // As proxies do.
        let repeated = [path.clone(), format!("https://h.example{path}")];
        headers.push(("x-original-uri", &repeated[0]));
        headers.push(("x-original-url", &repeated[1]));
        let body = request["body"].as_str().expect("a body");
        let taken = served.send("POST", &path, &headers, body.as_bytes());
        assert_eq!(taken.status, 204, "{name}: {}", taken.text());
        receipts.push(taken.receipt().to_owned());
        let other = path.replace(SECRET, OTHER);
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| (*name, value.replace(SECRET, OTHER))).collect();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
        let body = body.replace(SECRET, OTHER);
        assert_eq!(served.send("POST", &other, &headers, body.as_bytes()).status, 401, "{name}");
    }
    let events = served.events(2 * all.len());
    let told = serde_json::to_string(&events).expect("JSON");
    assert!(told.contains("seen") && told.contains("[redacted]"), "{told}");
    assert!(!told.contains(SECRET), "{told}");

    served.kept(all.len());
    for ((name, ..), receipt) in all.iter().zip(&receipts) {
        let told = served.call("GET", &format!("/requests/{receipt}"), &Value::Null).json();
        let text = told.to_string();
        assert!(text.contains("seen") && !text.contains(SECRET), "{name}: {text}");
    }
    // What is kept is what the templates saw: they say the same again.
    let again = json!({"status": "all", "mode": "render", "limit": 50});
    let again = served.call("POST", "/requests/replay", &again);
    assert_eq!(again.status, 200, "{}", again.text());
    assert!(again.text().contains("[redacted]") && !again.text().contains(SECRET));
    // The store has it, as what is judged with.
    let data = served.config.server.data.clone();
    served.stop();
    assert!(shows(&data.join("spool"), "seen"), "the files are looked at");
    assert!(!shows(&data.join("spool"), SECRET) && !shows(&data.join("feed.db"), SECRET));
    std::fs::remove_dir_all(folder).expect("no folder");
}
