//! Requests that webhooks kept: listed, shown, and sent again, over the API and by the commands.

use serde_json::{Value, json};

use super::Served;

const TEMPLATE: &str = r#"{"event": "shop.{{ body.kind }}", "resource": {"prefect.resource.id": "shop.1"},
    "payload": {{ body|tojson }}}"#;

impl Served {
    fn rows(&self, query: &str) -> Vec<Value> {
        let answer = self.call("GET", &format!("/requests?{query}"), &Value::Null);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["requests"].as_array().expect("rows").clone()
    }
}

impl Served {
    /// Waits until so many requests are in the index.
    pub(super) fn kept(&self, count: usize) {
        super::wait(&format!("{count} requests"), || {
            (self.rows("limit=200").len() == count).then_some(())
        });
    }
}

#[test]
fn kept_requests_are_listed_and_shown_whole() {
    let served = Served::start(|_| ());
    let hook = served.webhook(TEMPLATE);
    let slug = hook["slug"].as_str().expect("a slug").to_owned();
    let other = served.webhook(TEMPLATE);
    let body = r#"{"kind": "paid", "digits": 12345678901234567890123, "kind": "sent"} "#;
    let first = served.post(&hook, body);
    let first = first.receipt().to_owned();
    assert_eq!(served.post(&hook, "{").status, 400);
    served.post(&other, "{\"kind\": \"x\"}");
    let path = format!("/hooks/{slug}?a=1&own={slug}");
    let headers = [("x-two", "1"), ("x-two", "2"), ("authorization", "Bearer s"), ("x-e", "é")];
    let get = served.send("GET", &path, &headers, b"");
    let get = get.receipt().to_owned();

    served.kept(4);
    let all = served.rows("");
    assert_eq!(all.len(), 4);
    assert_eq!(all[3]["id"], first.as_str(), "newest first");
    assert_eq!(all[3]["outcome"], "event");
    assert_eq!(all[3]["content_length"], body.len());
    assert_eq!(all[3]["template_version"], 1);
    assert_eq!(served.rows("limit=0").len(), 0);
    let failed =
        served.rows(&format!("outcome=failed&webhook_id={}", hook["id"].as_str().expect("an id")));
    assert_eq!(failed.len(), 2, "{failed:?}");
    let page = served.call("GET", "/requests?order=ASC&limit=1", &Value::Null).json();
    assert_eq!(page["requests"][0]["id"], first.as_str());
    let after = page["after"].as_str().expect("more");
    assert_eq!(served.rows(&format!("order=ASC&after={after}")).len(), 3);
    for (query, name) in [("limit=201", "limit"), ("outcome=x", "outcome"), ("since=now", "since")]
    {
        let answer = served.call("GET", &format!("/requests?{query}"), &Value::Null);
        assert_eq!(
            (answer.status, &answer.json()["detail"][0]["loc"]),
            (422, &json!(["query", name]))
        );
    }

    let whole = served.call("GET", &format!("/requests/{first}"), &Value::Null);
    assert!(whole.text().contains("12345678901234567890123"), "{}", whole.text());
    let whole = whole.json();
    assert_eq!(whole["request"]["body"], body, "blanks and doubled keys stay");
    assert_eq!(whole["request"]["path"], "/hooks/***");
    assert!(whole["event_id"].is_string() && whole["error"].is_null());
    let whole = served.call("GET", &format!("/requests/{get}"), &Value::Null).json();
    assert_eq!(whole["request"]["query"], "a=1&own=***");
    assert_eq!(whole["request"]["headers"]["x-two"], "1, 2");
    assert_eq!(whole["request"]["headers"]["x-e"], "é");
    assert!(whole["request"]["headers"]["authorization"].is_null());
    assert_eq!(whole["error_type"], "invalid-event", "{whole}");
    let nobody = "019ab2f0-6f4e-7cc1-9a8b-0d8b1c4f9f10";
    for id in [nobody, whole["event_id"].as_str().expect("an event")] {
        let answer = served.call("GET", &format!("/requests/{id}"), &Value::Null);
        assert_eq!(answer.status, 404, "{id} is no request");
    }
}

#[test]
fn what_the_spool_let_go_is_gone() {
    let served = Served::start(|config| {
        config.spool.segment_bytes = 1 << 20;
        config.spool.retention_seconds = 60;
    });
    let hook = served.webhook(TEMPLATE);
    let first = served.post(&hook, r#"{"kind": "paid"}"#).receipt().to_owned();
    let path = format!("/requests/{first}");
    assert_eq!(served.call("GET", &path, &Value::Null).status, 200);
    let large = json!({ "kind": "x", "text": "x".repeat(400_000) }).to_string();
    for _ in 0..4 {
        assert_eq!(served.post(&hook, &large).status, 204);
    }
    served.clock.advance_seconds(3600);
    assert_eq!(served.post(&hook, r#"{"kind": "last"}"#).status, 204);
    let gone = super::wait("it to go", || {
        let answer = served.call("GET", &path, &Value::Null);
        (answer.status != 200).then_some(answer)
    });
    assert_eq!(gone.status, 410);
    assert!(gone.text().contains("spool.retention_seconds"), "{}", gone.text());
    let (code, said) = served.refused(&["request", "show", &first], &served.key);
    assert!(code == 1 && said.contains("kept no longer"), "{code}: {said}");
    let all = ["replay", "--since", "2000-01-01T00:00:00Z", "--dry-run"];
    let (code, said) = served.refused(&all, &served.key);
    assert!(code == 0 && said.contains("are kept no longer, and not counted"), "{code}: {said}");
    let (code, said) = served.refused(&["replay", "--since", "1s", "--dry-run"], &served.key);
    assert!(code == 0 && !said.contains("kept no longer"), "{code}: {said}");
    let rows = served.rows("");
    assert!(rows.iter().all(|row| row["id"] != first.as_str()), "it is listed no more");
    let exported = served.answered(&["request", "export"]);
    assert!(!exported.contains(&first), "{exported}");
}

#[test]
fn requests_are_listed_by_what_is_in_them() {
    let served = Served::start(|_| ());
    let hook = served.webhook(TEMPLATE);
    let first = served.post(&hook, r#"{"kind": "rare", "total": 7}"#);
    for number in 0..230 {
        served.post(&hook, &format!("{{\"kind\": \"often\", \"total\": {number}}}"));
    }
    let broken = served.post(&hook, "{");
    super::wait("the last request", || {
        let newest = served.rows("limit=1");
        newest.first().is_some_and(|row| row["id"] == broken.receipt()).then_some(())
    });
    let listed = |words: &[&str]| {
        let said = served.answered(&[&["request", "ls", "-o", "ndjson"], words].concat());
        let row = |line: &str| serde_json::from_str::<Value>(line).expect("a row")["id"].clone();
        said.lines().map(row).collect::<Vec<_>>()
    };
    // It lies behind a page that has none.
    let rare = ["--where", "body.kind == 'rare' and method == 'POST'", "--limit", "1"];
    assert_eq!(listed(&rare), [first.receipt()]);
    let some = ["--where", "body.total is defined and body.total > 225", "--limit"];
    assert_eq!(listed(&[&some[..], &["3"]].concat()).len(), 3);
    assert_eq!(listed(&[&some[..], &["9"]].concat()).len(), 4);
    let table = served.answered(&["request", "ls", "--where", "body.total == 3"]);
    assert_eq!(table.lines().count(), 2, "{table}");
    let exported = served.answered(&["request", "export", "--where", "body.kind == 'rare'"]);
    assert!(exported.lines().count() == 1 && exported.contains(first.receipt()), "{exported}");
    let own = served.call(
        "GET",
        "/requests?where=body.total%20%2B%20body.kind%20%3D%3D%201&limit=2",
        &Value::Null,
    );
    let own = own.json();
    assert_eq!((&own["requests"], &own["undecided"]), (&json!([]), &json!(2)), "{own} {broken:?}");
    let (code, said) = served.refused(&["request", "ls", "--where", "body.("], &served.key);
    assert!(code == 1 && said.contains("422"), "{code}: {said}");
}

#[test]
fn commands_list_show_and_send_again() {
    let served = Served::start(|_| ());
    let hook = served.webhook(TEMPLATE);
    let first = served.post(&hook, r#"{"kind": "it's"}"#);
    let first = first.receipt().to_owned();
    served.post(&hook, "{");
    served.kept(2);
    let listed = served.answered(&["request", "ls", "--webhook", "a hook", "--outcome", "failed"]);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    let rows = served.answered(&["request", "ls", "--oldest-first", "-o", "ndjson"]);
    assert!(rows.lines().next().expect("a row").contains(&first), "{rows}");
    let shown = served.answered(&["request", "show", &first]);
    assert!(shown.contains("method    POST") && shown.contains(r#"{"kind": "it's"}"#), "{shown}");
    let case = served.answered(&["request", "show", &first, "--case"]);
    let case: Value = serde_json::from_str(&case).expect("a request file");
    assert_eq!(case["body_json"]["kind"], "it's");
    let exported = served.answered(&["request", "export"]);
    assert_eq!(exported.lines().count(), 2);
    let line: Value = serde_json::from_str(exported.lines().next().expect("a line")).expect("JSON");
    assert_eq!(line["request"]["body_json"]["kind"], "it's");
    let command = served.answered(&["request", "curl", &first]);
    let slug = hook["slug"].as_str().expect("a slug");
    let to = format!("'http://{}/hooks/{slug}'", served.address());
    assert!(command.trim_end().ends_with(&to), "{command}");
    assert!(command.contains(r#"--data-raw '{"kind": "it'\''s"}'"#), "{command}");

    let to = format!("http://{}/hooks/{slug}", served.address());
    let sent = served.answered(&["request", "forward", &first, "--to", &to]);
    assert!(sent.contains("\"status\":204"), "{sent}");
    served.kept(3);
    assert_eq!(served.rows("outcome=event").len(), 2);
    let (code, said) =
        served.refused(&["request", "forward", "--limit", "3", "--to", &to], &served.key);
    assert!(code == 8 && said.contains("2 taken, 1 refused"), "{code}: {said}");
    let nobody = "019ab2f0-6f4e-7cc1-9a8b-0d8b1c4f9f10";
    let (code, said) = served.refused(&["request", "show", nobody], &served.key);
    assert!(code == 5 && said.contains(nobody), "{code}: {said}");
}

#[test]
fn all_that_are_wanted_are_exported_and_sent() {
    let served = Served::start(|_| ());
    let (hook, other) = (served.webhook(TEMPLATE), served.webhook(TEMPLATE));
    for number in 0..230 {
        served.post(&hook, &format!("{{\"kind\": \"k\", \"number\": {number}}}"));
    }
    super::wait("all of them", || {
        (served.answered(&["request", "export"]).lines().count() == 230).then_some(())
    });
    let listed = served.answered(&["request", "ls", "-o", "ndjson"]);
    assert_eq!(listed.lines().count(), 50, "a list is short");
    let some = served.answered(&["request", "export", "--limit", "7"]);
    assert_eq!(some.lines().count(), 7);
    let to = format!("http://{}/hooks/{}", served.address(), other["slug"].as_str().expect("one"));
    let forward = ["request", "forward", "--to", &to];
    let (code, said) = served.refused(&forward, &served.key);
    assert!(code == 2 && said.contains("say which"), "{code}: {said}");
    let id = hook["id"].as_str().expect("an id");
    let sent = [&forward[..], &["--webhook", id, "--where", "body.number >= 100"]].concat();
    let (code, said) = served.refused(&sent, &served.key);
    assert!(code == 0 && said.contains("130 taken"), "{code}: {said}");
    assert_eq!(said.matches("\"status\":204").count(), 130);
}

#[test]
fn a_sender_may_ask_what_became_of_a_request() {
    let served = Served::start(|_| ());
    let (hook, other) = (served.webhook(TEMPLATE), served.webhook(TEMPLATE));
    let ask = |slug: &Value, path: &str| {
        let bearer = format!("Bearer {}", slug.as_str().expect("a slug"));
        // The index may be behind; then it is said to come again, never that there is nothing.
        super::wait("an answer", || {
            let answer = served.send("GET", path, &[("authorization", &bearer)], b"");
            if answer.status == 503 {
                assert_eq!(answer.header("retry-after"), Some("1"));
            }
            (answer.status != 503).then_some(answer)
        })
    };
    for (body, outcome) in [(r#"{"kind": "paid"}"#, "accepted"), ("{", "failed")] {
        for _ in 0..20 {
            let receipt = served.post(&hook, body).receipt().to_owned();
            let told = ask(&hook["slug"], &format!("/receipts/{receipt}"));
            assert_eq!((told.status, told.header("cache-control")), (200, Some("no-store")));
            let expected = json!({ "receipt": receipt, "outcome": outcome,
                "received": "2026-11-23T22:52:30.837791Z", "content_length": body.len() });
            assert_eq!(told.json(), expected);
        }
    }
    // Nothing of another webhook's, of ids that are no receipts, of what never was.
    let one = served.post(&hook, r#"{"kind": "paid"}"#).receipt().to_owned();
    for (slug, path) in [
        (&other["slug"], format!("/receipts/{one}")),
        (&json!("unknown"), format!("/receipts/{one}")),
        (&hook["slug"], "/receipts/x".to_owned()),
        (&hook["slug"], format!("/receipts/{}", hook["id"].as_str().expect("an id"))),
    ] {
        let answer = ask(slug, &path);
        assert_eq!((answer.status, answer.text()), (404, r#"{"detail":"Not Found"}"#.to_owned()));
    }
    assert_eq!(served.send("GET", &format!("/receipts/{one}"), &[], b"").status, 401);
    let posted = served.send("POST", &format!("/receipts/{one}"), &[], b"");
    assert_eq!((posted.status, posted.header("allow")), (405, Some("GET, HEAD")));
}

#[test]
fn a_name_that_nothing_gives_is_told_wherever_an_expression_chooses() {
    let served = Served::start(|_| ());
    let said = |arguments: &[&str]| served.refused(arguments, &served.key);
    let (create, to) = (["destination", "create"], "https://crm.example/in");
    for (command, wrong, meant) in [
        (&["request", "ls"][..], "boddy.total > 100", "'body'"),
        (&["replay", "--dry-run"], "not (amount > 3)", "'body.amount'"),
        (&[create[0], create[1], "a", to], "payload.amount > 100", "'event.payload'"),
        (&["destination", "update", "a"], "evnt.event == 'x'", "'event'"),
    ] {
        let (code, said) = said(&[command, &["--where", wrong]].concat());
        assert!(code == 0 && said.contains("nothing gives the name"), "{code}: {said}");
        assert!(said.contains(&format!("did you mean {meant}?")), "{said}");
    }
    for (command, right) in [
        (&["request", "ls"][..], "body.total > 100 and headers['x'] and query.a"),
        (&["destination", "update", "a"], "event.payload.amount > 100"),
    ] {
        let (code, said) = said(&[command, &["--where", right]].concat());
        assert!(code == 0 && !said.contains("nothing gives"), "{code}: {said}");
    }
}
