//! What a webhook's rules do not let be kept: set over the API and by the command, sent over real HTTP, and looked for
//! in everything the gateway has written down. The template has the request as it was sent.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::secrets::shows;
use super::{Answer, Served, wait};

const TEMPLATE: &str = r#"{"event": "shop.{{ body.kind }}", "resource": {"prefect.resource.id": "shop.1"},
    "payload": {"digits": {{ body.card.number|length }}, "token": {{ headers['x-token']|length }}}}
    {%- if body.kind == 'quoted' %}{{ body.card.number }}{% endif %}
    {%- if body.kind == 'blamed' %}{{ body[body.card.number]() }}{% endif %}"#;
/// A draft that copies all of it.
const COPIES: &str = r#"{"event": "shop.draft", "resource": {"prefect.resource.id": "shop.1"}, "payload":
    {"of {{ body.card.number }}": 1, "card": {{ body.card|tojson }}, "token": "{{ headers['x-token'] }}"}}"#;
const SECRET: &str = "4929-1111-nobody-keeps-this";
const RULES: [&str; 6] =
    ["--redact-body", "$.card.number", "--redact-header", "X-Token", "--redact-query", "key"];

impl Served {
    fn send_secret(&self, hook: &Value, more: &[(&str, &str)], body: &[u8]) -> Answer {
        let path = format!("/hooks/{}?a=1&key={SECRET}", hook["slug"].as_str().expect("a slug"));
        self.send("POST", &path, &[&[("X-Token", SECRET)], more].concat(), body)
    }

    /// A webhook that keeps neither token nor key nor those paths of the body.
    fn discreet(&self, template: &str, paths: &Value) -> Value {
        let redact = json!({"headers": ["X-Token"], "query": ["key"], "body": paths});
        let body = json!({"name": "discreet", "template": template, "redact": redact});
        let made = self.call("POST", "/webhooks/", &body);
        assert_eq!(made.status, 201, "{}", made.text());
        made.json()
    }

    fn told(&self, receipt: &str) -> Value {
        self.call("GET", &format!("/requests/{receipt}"), &Value::Null).json()
    }

    fn put(&self, hook: &Value, redact: Option<Value>) -> Answer {
        let mut body = json!({"name": "w", "description": "", "template": TEMPLATE});
        if let Some(redact) = redact {
            body["redact"] = redact;
        }
        self.call("PUT", &format!("/webhooks/{}", hook["id"].as_str().expect("an id")), &body)
    }

    /// Holds that nothing the gateway wrote down has the secret in it, up to its last word.
    fn has_nothing_of_it(&mut self) {
        assert!(shows(&self.folder, "redacted"), "the files are looked at");
        assert!(!shows(&self.folder, SECRET), "a file has it");
        self.stop();
        assert!(!shows(&self.folder, SECRET), "a file has it at the end");
    }
}

fn body(kind: &str) -> String {
    json!({ "kind": kind, "card": { "number": SECRET } }).to_string()
}

#[test]
fn what_rules_name_reaches_the_template_and_nothing_else() {
    let mut served = Served::start(|_| ());
    let hook = served.webhook(TEMPLATE);
    let id = hook["id"].as_str().expect("an id");
    let shown = served.answered(&[&["webhook", "update", id][..], &RULES].concat());
    assert!(shown.contains("header x-token, body $.card.number, query key"), "{shown}");
    // Who knows nothing of it leaves it alone.
    assert_eq!(served.put(&hook, None).status, 204);

    let taken = served.send_secret(&hook, &[], body("paid").as_bytes());
    assert_eq!(taken.status, 204, "{}", taken.text());
    let quoted = served.send_secret(&hook, &[], body("quoted").as_bytes());
    assert_eq!((quoted.status, quoted.text().contains("not JSON")), (400, true));
    let blamed = served.send_secret(&hook, &[], body("blamed").as_bytes());
    assert_eq!((blamed.status, blamed.text().contains("template failed")), (400, true));
    let torn = served.send_secret(&hook, &[], format!("{{\"card\": {SECRET}").as_bytes());
    assert_eq!(torn.status, 204, "its template sees a text");
    served.kept(4);

    let told = served.told(taken.receipt());
    let request = &told["request"];
    let kept = json!({"kind": "paid", "card": {"number": "[redacted]"}});
    assert_eq!(request["body_json"], kept, "{told}");
    assert_eq!(request["query"], "a=1&key=%5Bredacted%5D");
    assert_eq!(request["headers"]["x-token"], "[redacted]");
    let places = json!(["header x-token", "query key", "body $.card.number"]);
    assert_eq!(told["redacted"], json!({"places": places, "body_withheld": false}));
    let withheld = served.told(torn.receipt());
    let request = &withheld["request"];
    assert!(request["body"].is_null() && request["body_json"].is_null(), "{withheld}");
    assert_eq!(withheld["redacted"]["body_withheld"], true);

    let events = served.events(8);
    let of = |event: &&Value| event["event"] == "shop.paid";
    let event = events.iter().find(of).expect("the template's event");
    let length = SECRET.len();
    assert_eq!(event["payload"], json!({"digits": length, "token": length}), "as it was sent");
    let failed = |receipt: &str| {
        let mut all = events.iter();
        let found = all.find(|event| event["follows"] == receipt).expect("a failed event");
        found["payload"].clone()
    };
    let told = failed(quoted.receipt());
    let kept = json!({"kind": "quoted", "card": {"number": "[redacted]"}});
    assert_eq!((&told["body"], &told["rendered"]), (&kept, &Value::Null), "{told}");
    let error = told["error"].as_str().expect("an error");
    assert!(error.starts_with("The rendered text is not JSON; the words of"), "{error}");
    assert_eq!(failed(blamed.receipt())["error_type"], "template");

    served.commands_say_where(&[&taken, &torn]);
    served.answered(&["webhook", "update", id, "--no-redaction"]);
    let plain = json!({"kind": "plain", "card": {"number": "4242"}}).to_string();
    let kept = served.send(
        "POST",
        &format!("/hooks/{}", hook["slug"].as_str().expect("a slug")),
        &[("X-Token", "t")],
        plain.as_bytes(),
    );
    served.kept(5);
    let told = served.told(kept.receipt());
    assert!(told["redacted"].is_null() && !told["request"]["body_json"].is_null(), "{told}");
    served.has_nothing_of_it();
}

impl Served {
    /// Whoever reads what was cut is told so, by each command.
    fn commands_say_where(&self, [taken, torn]: &[&Answer; 2]) {
        let said = self.answered(&["explain", taken.receipt()]);
        assert!(said.contains("body $.card.number"), "{said}");
        let said = self.answered(&["explain", torn.receipt()]);
        assert!(said.contains("the whole body, which could not be read"), "{said}");
        let said = self.answered(&["request", "show", taken.receipt()]);
        assert!(said.contains("query key"), "{said}");
        let curl = ["request", "curl", taken.receipt(), "--to", "http://127.0.0.1:9/"];
        let (code, said) = self.refused(&curl, &self.key);
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("has [redacted] in place of: header x-token, query key"), "{said}");

        // The template of a replay gets what is kept, and its author hears of it.
        let (code, said) = self.refused(&["replay", "--yes", "--status", "all"], &self.key);
        assert_eq!(code, 8, "{said}");
        let all = "is rendered with [redacted] in place of: header x-token, query key, body $.card.number";
        for part in [all, "4 redacted", "body: not kept"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let (code, said) = self.refused(&["replay", "--status", "ok", "--render-only"], &self.key);
        let printed = said.lines().find(|line| line.starts_with('{')).expect("an event");
        assert_eq!(code, 8, "{said}");
        let event: Value = serde_json::from_str(printed).expect("an event");
        assert_eq!(event["payload"], json!({"digits": 10, "token": 10}), "those of [redacted]");
        let draft = self.folder.join("draft.j2");
        std::fs::write(&draft, TEMPLATE).expect("a draft");
        let draft = draft.to_str().expect("a path");
        let diff = ["replay", "--webhook", "w", "--diff", draft];
        let (code, said) = self.refused(&diff, &self.key);
        assert!(code == 0 && said.contains("4 requests: 1 identical, 3 still failing"), "{said}");
        assert!(said.contains("4 of them are not kept as they came"), "{said}");
    }
}

#[test]
fn nothing_is_kept_of_it_on_any_way_a_request_may_take() {
    let mut served = Served::start(|_| ());
    let paths = json!(["$..number", "$.token", "$..validationCode"]);
    let hook = served.discreet(TEMPLATE, &paths);
    let slug = hook["slug"].as_str().expect("a slug").to_owned();

    // Compressed: what is cut is kept decoded; what is not stays as it came.
    let zip = |text: &str| {
        let mut zipped = GzEncoder::new(Vec::new(), Compression::none());
        zipped.write_all(text.as_bytes()).expect("memory");
        zipped.finish().expect("memory")
    };
    let zipped = zip(&body("paid"));
    assert!(zipped.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()), "it is stored");
    let gzip = [("content-encoding", "gzip")];
    let sent = served.send_secret(&hook, &gzip, &zipped);
    assert_eq!(sent.status, 204, "{}", sent.text());
    let zipped = zip(r#"{"kind":1}"#);
    let plain = served.send("POST", &format!("/hooks/{slug}"), &gzip, &zipped);
    assert_eq!(plain.status, 204);
    served.kept(2);
    let told = served.told(sent.receipt());
    let kept = json!({"kind": "paid", "card": {"number": "[redacted]"}});
    assert_eq!(told["request"]["body_json"], kept, "{told}");
    assert_eq!(told["request"]["headers"]["content-encoding"], "gzip");
    let told = served.told(plain.receipt());
    assert_eq!(told["request"]["body_json"], json!({"kind": 1}));
    assert!(told["redacted"].is_null(), "{told}");

    // A form: by the field that the path's first step names.
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let sent =
        served.send_secret(&hook, &form, format!("kind=x&tok%65n={SECRET}&token").as_bytes());
    assert_eq!(sent.status, 204);
    served.kept(3);
    let told = served.told(sent.receipt());
    let kept = "kind=x&tok%65n=%5Bredacted%5D&token=%5Bredacted%5D";
    assert_eq!(told["request"]["body"], kept);
    assert_eq!(told["redacted"]["places"], json!(["header x-token", "query key", "body token"]));

    // A handshake is answered with what its sender waits for.
    let question = json!([{
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "data": { "validationCode": SECRET },
    }]);
    let asks = [("aeg-event-type", "SubscriptionValidation")];
    let sent = served.send_secret(&hook, &asks, question.to_string().as_bytes());
    assert_eq!((sent.status, sent.json()["validationResponse"].as_str()), (200, Some(SECRET)));
    served.kept(4);
    let told = served.told(sent.receipt());
    assert_eq!(told["handshake"], "event-grid");
    assert_eq!(told["redacted"]["places"][2], "body $[0].data.validationCode");

    // What cannot be read is not kept at all.
    let deep = "[".repeat(200) + SECRET + &"]".repeat(200);
    for (body, status) in [(format!("number {SECRET}"), 204), (deep, 400)] {
        let sent = served.send_secret(&hook, &[], body.as_bytes());
        assert_eq!(sent.status, status, "{}", sent.text());
        let failed = || served.events(0).into_iter().find(|one| one["follows"] == sent.receipt());
        let event = wait("an event", failed);
        assert!(status == 204 || event["payload"]["body"] == "", "{event}");
    }
    served.kept(6);
    served.has_nothing_of_it();
}

#[test]
fn neither_a_draft_beside_it_nor_a_refusal_keeps_it() {
    let mut served = Served::start(|_| ());
    let hook = served.discreet(TEMPLATE, &json!(["$.card"]));
    let path = |word: &str| format!("/webhooks/{}/{word}", hook["id"].as_str().expect("an id"));
    for (draft, verdict) in [
        ("{{ body[body.card.number]() }}", "newly_failing"),
        (r#"{"event": "{{ body.card.number }}"#, "newly_failing"),
        (r#"{"event": "shop.draft", "resource": {"prefect.resource.id": "shop.1"}}"#, "changed"),
        (COPIES, "changed"),
    ] {
        let shadow = json!({"template": draft, "shadow": true});
        assert_eq!(served.call("PUT", &path("draft"), &shadow).status, 200);
        let sent = served.send_secret(&hook, &[], body("paid").as_bytes());
        assert_eq!(sent.status, 204, "{}", sent.text());
        let told = wait("a comparison", || {
            let told = served.call("GET", &path("shadow"), &Value::Null);
            (told.json()["last"][0]["receipt"] == sent.receipt()).then_some(told)
        });
        assert!(told.text().contains(verdict), "{}", told.text());
        assert!(!told.text().contains(SECRET), "{}", told.text());
        let last = &told.json()["last"][0];
        let shows_kept = last["draft"].to_string().contains("[redacted]");
        assert!(shows_kept || draft != COPIES, "what is kept is shown: {last}");
    }
    let name = hook["name"].as_str().expect("a name");
    let said = served.answered(&["webhook", "draft", name, "--differences"]);
    assert!(said.contains("[redacted]") && !said.contains(SECRET), "{said}");

    // A request that is not kept: nothing but its head's few words.
    let mut signed = json!({"name": "discreet", "description": "", "template": TEMPLATE});
    signed["verification"] =
        json!({"provider": "github", "secrets": ["a-secret-that-nobody-sees"]});
    let id = hook["id"].as_str().expect("an id");
    assert_eq!(served.call("PUT", &format!("/webhooks/{id}"), &signed).status, 204);
    let sent = served.send_secret(&hook, &[("x-request-id", "refused:1")], body("paid").as_bytes());
    assert_eq!(sent.status, 401);
    let said = served.answered(&["explain", "refused:1"]);
    assert!(said.contains("unverified") && !said.contains(SECRET), "{said}");
    served.has_nothing_of_it();
}

#[test]
fn the_gallery_is_combined_with_rules() {
    let served = Served::start(|_| ());
    let example = "webhook create --from stripe --redact-body $..card --redact-header X-Api-Key";
    let made = served.answered(&example.split(' ').collect::<Vec<_>>());
    assert!(made.contains("stripe"), "{made}");
    let shown = served.answered(&["webhook", "show", "stripe"]);
    assert!(shown.contains("header x-api-key, body $..card"), "{shown}");
}

#[test]
fn rules_that_mean_nothing_are_refused_by_name() {
    let served = Served::start(|_| ());
    let hook = served.webhook(TEMPLATE);
    for (redact, named) in [
        (json!({"body": ["$.card["]}), "$.card["),
        (json!({"body": vec!["$.a"; 33]}), "at most 32"),
        (json!({"headers": ["content-type"]}), "content-type"),
        (json!({"cookies": []}), "headers, body and query"),
    ] {
        let answer = served.put(&hook, Some(redact));
        assert_eq!(answer.status, 422, "{named}");
        assert!(answer.text().contains(named), "{}", answer.text());
    }
    let said = json!({"headers": ["X-Token", "x-b"], "body": ["$..number"]});
    assert_eq!(served.put(&hook, Some(said)).status, 204);
    let path = format!("/webhooks/{}", hook["id"].as_str().expect("an id"));
    let shown = served.call("GET", &path, &Value::Null).json()["redact"].clone();
    let form = json!({"headers": ["x-token", "x-b"], "body": ["$..number"], "query": []});
    assert_eq!(shown, form);
    assert_eq!(served.put(&hook, Some(json!({}))).status, 204);
    assert!(served.call("GET", &path, &Value::Null).json()["redact"].is_null());
}
