//! What a webhook says to whose request it took: set over the API and by the command, heard over a socket.

use serde_json::{Value, json};

use super::{Answer, Served};

const TEMPLATE: &str =
    r#"{"event": "call.{{ body.kind }}", "resource": {"prefect.resource.id": "call"}}"#;

fn is_safe(answer: &Answer) -> bool {
    answer.header("x-content-type-options") == Some("nosniff")
        && answer.header("content-security-policy") == Some("default-src 'none'")
}

#[test]
fn what_a_webhook_says_is_heard_by_whose_request_it_took_and_by_nobody_else() {
    let mut served = Served::start(|_| ());
    let said = json!({"media_type": "text/xml", "body": "<Response/>"});
    let body = json!({"name": "calls", "template": TEMPLATE, "reply": said, "dedup_key": "X-Call"});
    let made = served.call("POST", "/webhooks/", &body);
    assert_eq!(made.status, 201, "{}", made.text());
    let hook = made.json();
    let whole = json!({"status": 200, "media_type": "text/xml", "body": "<Response/>"});
    assert_eq!(hook["reply"], whole);
    let path = format!("/hooks/{}", hook["slug"].as_str().expect("a slug"));
    let send = |served: &Served, method: &str, call: &str, body: &str| {
        let headers = [("x-call", call), ("content-type", "application/json")];
        served.send(method, &path, &headers, body.as_bytes())
    };
    for is_again in [false, true] {
        let taken = send(&served, "POST", "1", r#"{"kind": "a"}"#);
        assert_eq!((taken.status, taken.text()), (200, "<Response/>".to_owned()), "{is_again}");
        assert_eq!(taken.header("content-type"), Some("text/xml; charset=utf-8"));
        assert_eq!(taken.header("hookgate-duplicate").is_some(), is_again);
        assert!(is_safe(&taken) && !taken.receipt().is_empty(), "{taken:?}");
    }
    let head = send(&served, "HEAD", "2", "");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert!(is_safe(&head), "{head:?}");
    // What fails, what is refused, and what asks a question is answered as ever.
    let failing = json!({"name": "calls", "template": "{{ body.kind", "reply": said});
    assert_eq!(served.call("PUT", &hook_path(&hook), &failing).status, 422);
    let failing = json!({"name": "calls", "template": "nothing", "dedup_key": null});
    assert_eq!(served.call("PUT", &hook_path(&hook), &failing).status, 204);
    let failed = send(&served, "POST", "3", "{}");
    assert_eq!((failed.status, failed.text().contains("<Response/>")), (400, false));
    let bare = served.send("OPTIONS", &path, &[], b"");
    assert!(bare.status >= 400 && !bare.text().contains("<Response/>"), "{bare:?}");
    let asked = served.send("OPTIONS", &path, &[("webhook-request-origin", "a.example")], b"");
    assert_eq!((asked.status, asked.body.len()), (200, 0));
    let unknown = served.post(&json!({"slug": "nobody-has-such-a-slug"}), "{}");
    assert_eq!((unknown.status, unknown.text().contains("<Response/>")), (404, false));
    // Who does not know of it leaves it alone; it stands after a restart.
    let plain = json!({"name": "calls", "template": TEMPLATE});
    assert_eq!(served.call("PUT", &hook_path(&hook), &plain).status, 204);
    served.stop();
    served.resume();
    assert_eq!(send(&served, "POST", "4", r#"{"kind": "b"}"#).text(), "<Response/>");
    served.commands_set_it(&hook);
}

fn hook_path(hook: &Value) -> String {
    format!("/webhooks/{}", hook["id"].as_str().expect("an id"))
}

impl Served {
    fn commands_set_it(&self, hook: &Value) {
        let id = hook["id"].as_str().expect("an id");
        let more = ["--reply-status", "202", "--reply-type", "application/json"];
        let set = ["webhook", "update", id, "--reply-body", r#"{"ok": true}"#];
        let shown = self.answered(&[&set[..], &more].concat());
        assert!(shown.contains(r#"202 application/json "{\"ok\": true}""#), "{shown}");
        let taken = self.post(hook, r#"{"kind": "c"}"#);
        assert_eq!((taken.status, taken.text()), (202, r#"{"ok": true}"#.to_owned()));
        assert_eq!(taken.header("content-type"), Some("application/json"));
        self.answered(&["webhook", "update", id, "--no-reply"]);
        let taken = self.post(hook, r#"{"kind": "d"}"#);
        assert_eq!((taken.status, taken.body.len()), (204, 0));
        assert_eq!(taken.header("content-security-policy"), None);
        assert!(self.call("GET", &hook_path(hook), &Value::Null).json().get("reply").is_none());
    }
}

#[test]
fn a_page_a_script_or_a_no_is_not_saved() {
    let served = Served::start(|_| ());
    for reply in [
        json!({"media_type": "text/html", "body": "<script>alert(1)</script>"}),
        json!({"media_type": "image/svg+xml", "body": "<svg/>"}),
        json!({"status": 302}),
        json!({"status": 204, "body": "ok"}),
        json!({"body": "x".repeat(1025)}),
        json!({"headers": {"set-cookie": "a=b"}}),
        json!("ok"),
    ] {
        let body = json!({"name": "calls", "template": TEMPLATE, "reply": reply});
        let refused = served.call("POST", "/webhooks/", &body);
        let place = &refused.json()["detail"][0]["loc"];
        assert_eq!((refused.status, place), (422, &json!(["body", "reply"])), "{reply}");
    }
}
