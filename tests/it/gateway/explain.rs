//! What became of requests, from outside: kept, refused, parked, let go of, made an event of later, and sent twice.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::destinations::serve;
use super::{Answer, Served, wait};

const BROKEN: &str = r#"{"event": "shop.paid", "resource": {}}"#;
const TEMPLATE: &str = r#"{"event": "shop.paid", "payload": {{ body|tojson }},
    "resource": {"prefect.resource.id": "order.{{ body.order }}"}}"#;

impl Served {
    fn ask_of(&self, id: &str) -> Answer {
        self.call("GET", &format!("/explain?id={id}"), &Value::Null)
    }

    /// What is told of an id; the index is waited for.
    pub(super) fn explained(&self, id: &str) -> Value {
        let answer = wait("an answer", || {
            let answer = self.ask_of(id);
            (answer.status != 503).then_some(answer)
        });
        assert_eq!(answer.status, 200, "{id}: {}", answer.text());
        answer.json()
    }

    /// The same, once one of its deliveries to the workspace's own destinations stands so.
    pub(super) fn explained_until(&self, id: &str, state: &str) -> (Value, Value) {
        wait(state, || {
            let told = self.explained(id);
            let all = told["deliveries"].as_array().expect("deliveries");
            let is_it = |one: &&Value| one["state"] == state && one["destination_id"].is_string();
            let found = all.iter().find(is_it)?.clone();
            Some((told, found))
        })
    }

    fn order_as(&self, webhook: &Value, order: u32, headers: &[(&str, &str)]) -> Answer {
        let path = format!("/hooks/{}", webhook["slug"].as_str().expect("a slug"));
        let json = [("content-type", "application/json")];
        let headers = [&json[..], headers].concat();
        self.send("POST", &path, &headers, format!("{{\"order\":{order}}}").as_bytes())
    }
}

fn hook(served: &Served, name: &str, template: &str) -> Value {
    let body = json!({ "name": name, "template": template, "dedup_key": "X-Delivery" });
    served.call("POST", "/webhooks/", &body).json()
}

/// How a JSON body of so many bytes is told.
fn json_of(bytes: u32) -> Value {
    json!({ "content_type": "application/json", "kind": "json", "bytes": bytes, "error": null })
}

/// What the filter of the shop does not want has not been there, though its frame's other event has.
fn not_wanted(told: &Value) {
    let received = &told["events"][0]["id"];
    let mut all = told["deliveries"].as_array().expect("deliveries").iter();
    let unwanted = all.find(|one| one["destination"] == "shop" && one["event_id"] == *received);
    let unwanted = unwanted.expect("the received event");
    assert_eq!((&unwanted["state"], &unwanted["tried"]), (&json!("not wanted"), &json!([])));
}

/// What lies parked is let go of, and told so from then on, with what was tried before.
fn let_go(served: &Served, id: &str, parked: &Value) {
    served.answered(&["parked", "discard", "shop", "--all", "--yes"]);
    let (_, gone) = served.explained_until(id, "discarded");
    assert_eq!((&gone["destination"], &gone["tried"]), (&json!("shop"), &parked["tried"]));
}

#[test]
fn what_was_kept_is_told_up_to_each_destination() {
    let served = Served::start(|config| config.egress.allow = vec!["127.0.0.0/8".into()]);
    let (address, _) = serve(&served, &Arc::new(Mutex::new(false)));
    let webhook = hook(&served, "orders", TEMPLATE);
    let to = format!("http://{address}/in");
    served.answered(&["destination", "create", "shop", &to, "--event", "shop.*"]);

    let first = served.order_as(&webhook, 1, &[("x-delivery", "a")]).receipt().to_owned();
    let (told, delivery) = served.explained_until(&first, "delivered");
    assert_eq!((&told["id"], &told["outcome"]), (&json!(first), &json!("accepted")));
    assert_eq!(told["request"]["webhook"], "orders");
    assert_eq!(
        (&told["request"]["method"], &told["request"]["content_length"]),
        (&json!("POST"), &json!(11))
    );
    let request = &told["request"];
    assert_eq!(request["peer"], "127.0.0.1");
    assert_eq!(request["verification"], json!({ "key": false, "signature": null }));
    assert!(request["limits"].as_array().is_some_and(|all| all.len() <= 3), "{request}");
    assert_eq!(request["parse"], json_of(11));
    assert_eq!(request["warnings"], json!([]));
    let made: Vec<_> = told["events"].as_array().expect("events").iter().collect();
    assert_eq!(
        (&made[0]["made_by"], &made[1]["made_by"]),
        (&json!("received"), &json!("template"))
    );
    assert_eq!(
        (&made[1]["event"], &made[1]["resource_id"]),
        (&json!("shop.paid"), &json!("order.1"))
    );
    assert_eq!((&delivery["destination"], &delivery["event_id"]), (&json!("shop"), &made[1]["id"]));
    not_wanted(&told);
    assert_eq!(delivery["tried"].as_array().map(Vec::len), Some(1), "{delivery}");
    let tried = &delivery["tried"][0];
    assert_eq!((&tried["outcome"], &tried["answer"]), (&json!("taken"), &json!("")));
    assert_eq!((&tried["status"], &tried["delivery_id"]), (&json!(200), &Value::Null));
    assert!(
        tried["seconds"].as_f64() > Some(0.0) && tried["events"].as_u64() >= Some(1),
        "{tried}"
    );
    let by_event = served.explained(made[1]["id"].as_str().expect("an id"));
    assert_eq!(by_event["request"], told["request"], "by its event, too");

    let bad = served.order_as(&webhook, 13, &[("x-delivery", "b")]).receipt().to_owned();
    let (told, parked) = served.explained_until(&bad, "parked");
    assert_eq!(told["outcome"], "accepted");
    assert_eq!((&parked["destination"], &parked["answer"]), (&json!("shop"), &json!("no 13")));
    let tried = parked["tried"].as_array().and_then(|all| all.last()).expect("an attempt");
    assert_eq!(tried["outcome"], "not taken");
    assert!(tried["answer"].as_str().expect("text").contains("422"), "{tried}");
    assert_eq!(tried["status"], 422);
    assert!(
        parked["attempts"].as_u64() >= Some(1)
            && parked["reason"].as_str().expect("why").contains("422")
    );
    let said = served.answered(&["explain", &bad]);
    assert!(said.contains("shop  parked: ") && said.contains("(template)"), "{said}");
    let_go(&served, &bad, &parked);

    let again = served.order_as(&webhook, 1, &[("x-delivery", "a"), ("x-request-id", "again:1")]);
    assert_eq!((again.status, again.receipt()), (204, &*first));
    let told = served.explained("again:1");
    assert_eq!((&told["outcome"], &told["refusal"]["first"]), (&json!("duplicate"), &json!(first)));
    assert_eq!(told["request"]["id"], first.as_str());
    let told = served.explained(&first);
    assert_eq!(told["repeats"][0]["request_id"], "again:1");
    assert_eq!(told["outcome"], "accepted");
    let said = served.answered(&["explain", "again:1"]);
    assert!(said.contains("duplicate, answered 204"), "{said}");
}

#[test]
fn warnings_and_an_expression_that_does_not_want_it_are_told() {
    let served = Served::start(|config| config.egress.allow = vec!["127.0.0.0/8".into()]);
    let (address, _) = serve(&served, &Arc::new(Mutex::new(false)));
    let template = TEMPLATE.replace("{{ body.order }}", "{{ body.order }}{{ body.absent }}");
    let webhook = hook(&served, "orders", &template);
    let to = format!("http://{address}/in");
    let asks = ["--event", "shop.*", "--where", "event.payload.order > 5"];
    served.answered(&[&["destination", "create", "large", &to], &asks[..]].concat());

    let id = served.order_as(&webhook, 1, &[]).receipt().to_owned();
    let told = served.explained(&id);
    let warnings = told["request"]["warnings"].as_array().expect("warnings");
    assert!(warnings.len() == 1 && warnings[0].to_string().contains("absent"), "{warnings:?}");
    let all = told["deliveries"].as_array().expect("deliveries").iter();
    let large: Vec<_> = all.filter(|one| one["destination"] == "large").collect();
    assert_eq!(large.len(), 2);
    assert!(large.iter().all(|one| one["state"] == "not wanted"), "{told}");
    let said = served.answered(&["explain", &id]);
    assert!(said.contains("127.0.0.1") && said.contains("absent"), "{said}");
    assert!(said.contains("the hook alone"), "{said}");
}

#[test]
fn what_failed_shows_the_event_of_its_replay() {
    let served = Served::start(|_| ());
    let webhook = hook(&served, "a hook", BROKEN);
    let failed = served.order_as(&webhook, 1, &[]).receipt().to_owned();
    let told = served.explained(&failed);
    assert_eq!(
        (&told["outcome"], &told["request"]["error_type"]),
        (&json!("failed"), &json!("invalid-event"))
    );
    assert_eq!(told["events"].as_array().map(Vec::len), Some(2));
    let path = format!("/webhooks/{}", webhook["id"].as_str().expect("an id"));
    let mended = json!({ "name": "a hook", "template": TEMPLATE });
    assert_eq!(served.call("PUT", &path, &mended).status, 204);
    served.kept(1);
    assert_eq!(served.answered(&["replay"]), "1 requests, 1 events kept\n");
    let told = wait("the event", || {
        let told = served.explained(&failed);
        (told["events"].as_array().map(Vec::len) == Some(3)).then_some(told)
    });
    let healed = &told["events"][2];
    assert_eq!((&healed["made_by"], &healed["event"]), (&json!("replay"), &json!("shop.paid")));
    let by_event = served.explained(healed["id"].as_str().expect("an id"));
    assert_eq!(by_event["request"]["id"], failed.as_str());
    assert!(served.answered(&["explain", &failed]).contains("shop.paid  (replay)"));
}

#[test]
fn the_event_of_a_replay_is_told_whatever_id_its_template_gives_it() {
    let served = Served::start(|_| ());
    let webhook = hook(&served, "a hook", BROKEN);
    let failed = served.order_as(&webhook, 1, &[]).receipt().to_owned();
    let path = format!("/webhooks/{}", webhook["id"].as_str().expect("an id"));
    let own = "01890a5d-ac96-774b-bcce-b302099a8057";
    let template = TEMPLATE.replacen('{', &format!("{{\"id\": \"{own}\","), 1);
    let mended = json!({ "name": "a hook", "template": template });
    assert_eq!(served.call("PUT", &path, &mended).status, 204);
    served.kept(1);
    assert_eq!(served.answered(&["replay"]), "1 requests, 1 events kept\n");
    let told = wait("the event", || {
        let told = served.explained(&failed);
        (told["events"].as_array().map(Vec::len) == Some(3)).then_some(told)
    });
    let healed = &told["events"][2];
    assert_eq!((&healed["made_by"], &healed["id"]), (&json!("replay"), &json!(own)));
}

#[test]
fn what_was_refused_is_told_to_its_workspace_alone() {
    let mut served = Served::start(|config| config.limits.body_max_bytes = 1000);
    let webhook = hook(&served, "a hook", TEMPLATE);
    let large = format!("{{\"order\": 1, \"text\": \"{}\"}}", "x".repeat(2000));
    let refused = served.post(&webhook, &large);
    assert_eq!(refused.status, 413);
    let id = refused.header("x-request-id").expect("an id").to_owned();
    let mut last = String::new();
    for _ in 0..20 {
        let refused = served.post(&webhook, &large);
        assert_eq!(refused.status, 413);
        last = refused.header("x-request-id").expect("an id").to_owned();
    }
    let look = |served: &Served| {
        let told = served.explained(&id);
        assert_eq!(told["outcome"], "refused");
        assert_eq!(told["refusal"]["reason"], "body-too-large");
        assert_eq!(
            (&told["refusal"]["status"], &told["refusal"]["peer"]),
            (&json!(413), &json!("127.0.0.1"))
        );
        assert_eq!(told["refusal"]["webhook_id"], webhook["id"]);
        assert_eq!(told["refusal"]["times"], 21, "a flood is one line");
    };
    look(&served);
    let told = served.explained(&last)["refusal"].take();
    assert_eq!((&told["request_id"], &told["webhook"]), (&json!(last), &webhook["name"]));
    let all = told["request_ids"].as_array().expect("the first's and the newest");
    assert!(all.len() == 9 && all[0] == json!(id) && all[8] == json!(last), "{all:?}");
    served.stop();
    served.resume();
    look(&served);
    let said = served.answered(&["explain", &id]);
    let why = "body-too-large (the body is over the limit of ";
    assert!(said.contains(why) && said.contains("answered 413, 21 times within"), "{said}");
    let (code, said) = served.refused(&["explain", "nobody"], &served.key);
    assert!(code == 5 && said.contains("nobody"), "{code}: {said}");

    let (account, _) = served.api.split_once("/workspaces/").expect("a workspace");
    let bearer = format!("Bearer {}", served.key);
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    let other = json!({ "name": "other", "handle": "other" }).to_string();
    let other = served.send("POST", &format!("{account}/workspaces"), &headers, other.as_bytes());
    let other = other.json()["id"].as_str().expect("a workspace").to_owned();
    let path = format!("{account}/workspaces/{other}/explain?id={id}");
    assert_eq!(served.send("GET", &path, &headers, b"").status, 404);
    let long = "x".repeat(129);
    assert_eq!(served.ask_of(&long).status, 422);
    assert_eq!(served.call("GET", "/explain", &Value::Null).status, 422);
}

#[test]
fn why_it_was_refused_is_told_as_its_reply_said_and_counted_by_that() {
    let served = Served::start(|_| ());
    let signed = json!({ "name": "signed", "template": TEMPLATE,
        "verification": { "provider": "github", "secrets": ["a-secret-that-nobody-sees"] } });
    let signed = served.call("POST", "/webhooks/", &signed).json();
    let wrong = ("x-hub-signature-256", format!("sha256={}", "0".repeat(64)));
    for (id, is_signed) in [("a:1", false), ("b:1", true), ("a:2", false), ("b:2", true)] {
        let mut headers = vec![("x-request-id", id)];
        headers.extend(is_signed.then_some((wrong.0, &*wrong.1)));
        let why = if is_signed { "signature_mismatch" } else { "signature_missing" };
        let refused = served.order_as(&signed, 1, &headers);
        assert!(refused.status == 401 && refused.text().contains(why), "{}", refused.text());
    }
    for (id, why) in
        [("a:1", "missing"), ("b:1", "mismatch"), ("a:2", "missing"), ("b:2", "mismatch")]
    {
        let told = served.explained(id)["refusal"].take();
        assert_eq!((&told["request_id"], &told["webhook"]), (&json!(id), &json!("signed")));
        assert_eq!(told["reason"], "unverified");
        assert_eq!(
            (&told["detail"], &told["times"]),
            (&json!(format!("signature_{why}")), &json!(2))
        );
        let said = served.answered(&["explain", id]);
        let because =
            format!("unverified (signature_{why}), answered 401, 2 times within a second");
        assert!(said.contains(&because) && said.contains("to signed"), "{said}");
    }
}

#[test]
fn what_came_to_a_webhook_that_is_not_there_is_told_to_its_owner() {
    let mut served = Served::start(|_| ());
    let webhook = hook(&served, "orders", TEMPLATE);
    let path = format!("/webhooks/{}", webhook["id"].as_str().expect("an id"));
    let rotated = served.call("POST", &format!("{path}/rotate"), &json!({})).json();
    let nobody = json!({ "slug": "AAAAAAAAAAAAAAAAAAAAAA" });
    let ask = |served: &Served, id: &str, webhook: &Value| {
        let answer = served.order_as(webhook, 1, &[("x-request-id", id)]);
        assert_eq!((answer.status, answer.text()), (404, "{\"detail\":\"Not Found\"}".to_owned()));
    };
    ask(&served, "replaced", &webhook);
    let off = json!({ "name": "orders", "template": TEMPLATE, "enabled": false });
    assert_eq!(served.call("PUT", &path, &off).status, 204);
    ask(&served, "disabled", &rotated);
    served.stop();
    served.resume();
    ask(&served, "still", &rotated);
    ask(&served, "nobody", &nobody);
    for id in ["replaced", "disabled", "still"] {
        let told = served.explained(id)["refusal"].take();
        assert_eq!((&told["reason"], &told["webhook"]), (&json!("unknown"), &json!("orders")));
        assert!(served.answered(&["explain", id]).contains("unknown, answered 404"));
    }
    assert_eq!(served.ask_of("nobody").status, 404);
}

fn names(served: &Served, id: &str) -> Vec<Value> {
    let told = served.explained(id);
    told["request"]["limits"].as_array().expect("limits").clone()
}

#[test]
fn limits_are_told_with_what_they_had_left_and_what_was_over_one_with_when_to_come_again() {
    let rate = |text: &str| Some(text.parse().expect("a rate"));
    let mut served = Served::start(|config| {
        config.limits.webhook_rate = rate("3/h");
        config.limits.account_rate = rate("4/h");
    });
    let webhook = hook(&served, "busy", TEMPLATE);
    let failing = hook(&served, "failing", BROKEN);
    let left =
        |budget: &str, left: u32, of: u32| json!({ "budget": budget, "left": left, "of": of });
    let first = served.order_as(&webhook, 1, &[]).receipt().to_owned();
    let second = served.order_as(&webhook, 2, &[]).receipt().to_owned();
    let failed = served.order_as(&failing, 3, &[]).receipt().to_owned();
    let told = |served: &Served| {
        assert_eq!(names(served, &first), [left("webhook", 2, 3), left("account", 3, 4)]);
        assert_eq!(names(served, &second), [left("webhook", 1, 3), left("account", 2, 4)]);
        assert_eq!(names(served, &failed), [left("webhook", 2, 3), left("account", 1, 4)]);
        let said = served.answered(&["explain", &second]);
        assert!(said.contains("webhook (1 of 3 left), account (2 of 4 left)"), "{said}");
    };
    told(&served);

    assert_eq!(served.order_as(&webhook, 4, &[]).status, 204);
    let over = |id: &str, webhook: &Value, budget: &str, rate: &str, burst: u32| {
        let refused = served.order_as(webhook, 5, &[("x-request-id", id)]);
        assert_eq!(refused.status, 429);
        let wait = refused.header("retry-after").and_then(|wait| wait.parse::<u64>().ok());
        let wait = wait.expect("when to come again");
        let told = served.explained(id);
        assert_eq!(
            (&told["outcome"], &told["refusal"]["status"]),
            (&json!("refused"), &json!(429))
        );
        assert_eq!(
            told["refusal"]["limit"],
            json!({ "budget": budget, "rate": rate, "burst": burst, "retry_after_seconds": wait })
        );
        let said = served.answered(&["explain", id]);
        let line = format!("the {budget}'s {rate}, {burst} at once: nothing was left for {wait} s");
        assert!(said.contains(&line), "{said}");
        line
    };
    over("over:webhook", &webhook, "webhook", "3/h", 3);
    let line = over("over:account", &failing, "account", "4/h", 4);
    served.kept(4);
    served.stop();
    served.config.limits.webhook_rate = None;
    served.config.limits.account_rate = None;
    served.config.limits.peer_rate = rate("1/h");
    served.resume();
    told(&served);
    assert!(served.answered(&["explain", "over:account"]).contains(&line), "as it was then");
    let peer = served.order_as(&webhook, 6, &[]).receipt().to_owned();
    assert_eq!(names(&served, &peer), [left("peer", 0, 1)]);
    let refused = served.order_as(&webhook, 7, &[("x-request-id", "over:peer")]);
    assert_eq!(refused.status, 429);
    let told = served.explained("over:peer");
    assert_eq!(told["refusal"]["limit"]["budget"], "peer");
}
