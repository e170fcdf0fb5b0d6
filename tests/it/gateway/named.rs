//! What a request is called by, from outside: by its sender, in the reply, in the log, and where its events arrive; all
//! of it leads to the same account of it. The operator's destinations are told to the operator alone.

use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use hookgate::config::Forward;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{Answer, Served, exchange, to, wait};

const TEMPLATE: &str = r#"{"event": "shop.paid", "payload": {{ body|tojson }},
    "resource": {"prefect.resource.id": "order.{{ body.order }}"}}"#;

/// Who owns a workspace may do anything there.
const WORKSPACE_OWNER: &str = "686f6f6b-6761-4465-8000-000000000021";

/// What a server was brought: what named it, and the ids of its events.
type Brought = Arc<Mutex<Vec<(String, Vec<String>)>>>;

/// A server that refuses the order of 13, has no time for the first one of 7, and answers what it takes with 202.
fn serve(runtime: &Runtime) -> (SocketAddr, Brought) {
    let brought = Brought::default();
    let (seen, is_rested) = (Arc::clone(&brought), Arc::new(AtomicBool::new(false)));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a listener");
    let address = listener.local_addr().expect("an address");
    runtime.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        while let Ok((socket, _)) = listener.accept().await {
            let (seen, is_rested) = (Arc::clone(&seen), Arc::clone(&is_rested));
            let service = service_fn(move |request: Request<Incoming>| {
                let (seen, is_rested) = (Arc::clone(&seen), Arc::clone(&is_rested));
                async move {
                    let name = request.headers().get("webhook-id").cloned();
                    let name = name.map(|name| name.to_str().expect("text").to_owned());
                    let body = request.into_body().collect().await.expect("a body").to_bytes();
                    let events: Vec<Value> = serde_json::from_slice(&body).expect("JSON");
                    let has = |order| events.iter().any(|event| event["payload"]["order"] == order);
                    let ids = events.iter().map(|event| event["id"].as_str().unwrap_or_default());
                    let ids = ids.map(str::to_owned).collect();
                    let mut response = Response::new(Full::new(Bytes::from_static(b"no 13")));
                    *response.status_mut() = if has(13) {
                        StatusCode::UNPROCESSABLE_ENTITY
                    } else if has(7) && !is_rested.swap(true, Ordering::Relaxed) {
                        StatusCode::SERVICE_UNAVAILABLE
                    } else {
                        seen.lock().expect("a list").push((name.unwrap_or_default(), ids));
                        StatusCode::ACCEPTED
                    };
                    Ok::<_, Infallible>(response)
                }
            });
            let http = hyper::server::conn::http1::Builder::new();
            tokio::spawn(http.serve_connection(TokioIo::new(socket), service));
        }
    });
    (address, brought)
}

impl Served {
    fn told_of(&self, id: &str) -> Value {
        let path = format!("/explain?id={}", id.replace('"', "%22"));
        let answer = wait("an answer", || {
            let answer = self.call("GET", &path, &Value::Null);
            (answer.status != 503).then_some(answer)
        });
        assert_eq!(answer.status, 200, "{id}: {}", answer.text());
        answer.json()
    }

    fn named_order(&self, webhook: &Value, order: u32, name: Option<&str>) -> Answer {
        let path = format!("/hooks/{}", webhook["slug"].as_str().expect("a slug"));
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(name.map(|name| ("x-request-id", name)));
        self.send("POST", &path, &headers, format!("{{\"order\":{order}}}").as_bytes())
    }
}

fn at<'a>(told: &'a Value, destination: &str, event: &Value) -> &'a Value {
    let all = told["deliveries"].as_array().expect("deliveries");
    let found =
        all.iter().find(|one| one["destination"] == destination && one["event_id"] == *event);
    found.unwrap_or_else(|| panic!("{destination}: {told}"))
}

#[test]
fn any_name_of_a_request_leads_to_it() {
    let served = Served::start(|_| ());
    let webhook = served.webhook(TEMPLATE);
    let plain = served.named_order(&webhook, 1, None);
    assert_eq!(plain.header("x-request-id"), Some(plain.receipt()), "one name for both");
    for name in ["trace-7f", "Trace-7F", "a\"b\\c", "01890a5d-ac96-774b-bcce-b302099a8057"] {
        let named = served.named_order(&webhook, 2, Some(name));
        assert_eq!(named.header("x-request-id"), Some(name));
        let told = served.told_of(name);
        assert_eq!(told["outcome"], "accepted", "{name}");
        assert_eq!(told["request"]["id"], named.receipt(), "{name}");
    }
    // A second request of the same name: the newest is told.
    let again = served.named_order(&webhook, 3, Some("trace-7f"));
    assert_eq!(served.told_of("trace-7f")["request"]["id"], again.receipt());
    let said = served.answered(&["explain", "trace-7f"]);
    assert!(said.contains(again.receipt()), "{said}");
    assert_eq!(served.call("GET", "/explain?id=trace-8", &Value::Null).status, 404);
}

#[test]
fn the_operators_destinations_are_told_to_the_operator_alone() {
    let served = Served::start(|_| ());
    let webhook = served.webhook(TEMPLATE);
    let receipt = served.named_order(&webhook, 1, None).receipt().to_owned();
    served.events(2);
    let name = format!("file:{}", served.destination().display());
    let told = wait("a delivery", || {
        let told = served.told_of(&receipt);
        let states = told["deliveries"].as_array().expect("deliveries").clone();
        states.iter().all(|one| one["state"] == "delivered").then_some(told)
    });
    for event in told["events"].as_array().expect("events") {
        let one = at(&told, &name, &event["id"]);
        assert_eq!(one["destination_id"], Value::Null);
        assert_eq!(one["tried"].as_array().map(Vec::len), Some(1), "{one}");
        assert_eq!(one["tried"][0]["outcome"], "taken");
    }
    let said = served.answered(&["explain", &receipt]);
    assert!(said.contains(&format!("{name}  delivered")), "{said}");

    let (account, workspace) = served.api.split_once("/workspaces/").expect("a workspace");
    let owner = format!("Bearer {}", served.key);
    let ask = |bearer: &str, method: &str, path: &str, body: &Value| {
        let headers = [("authorization", bearer), ("content-type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        served.send(method, &format!("{account}/{path}"), &headers, body.as_bytes())
    };
    let bot = ask(&owner, "POST", "bots/", &json!({"name": "ci"})).json();
    let access = json!([{ "bot_id": bot["id"], "workspace_role_id": WORKSPACE_OWNER }]);
    let given = ask(&owner, "POST", &format!("workspaces/{workspace}/bot_access/"), &access);
    assert_eq!(given.status, 200, "{}", given.text());
    let theirs = format!("Bearer {}", bot["api_key"]["key"].as_str().expect("a key"));
    let path = format!("workspaces/{workspace}/explain?id={receipt}");
    let told = ask(&theirs, "GET", &path, &Value::Null);
    assert_eq!(told.status, 200, "{}", told.text());
    let told = told.json();
    assert_eq!((&told["deliveries"], &told["operator_destinations"]), (&json!([]), &json!(1)));
}

#[test]
fn an_operators_destination_is_told_as_it_is_set() {
    let mut served = Served::start(|_| ());
    served.stop();
    let file = |name: &str| Forward {
        name: Some(name.to_owned()),
        ..to(&format!("file:{}", served.folder.join(name).display()))
    };
    served.config.forward = vec![
        Forward { filter: Some(json!({ "event": { "name": ["shop.paid"] } })), ..file("paid") },
        Forward {
            filter: Some(json!({ "scope": { "workspace": [WORKSPACE_OWNER] } })),
            ..file("foreign")
        },
        Forward { hold: Some(true), ..file("held") },
        Forward { enabled: Some(false), ..file("off") },
    ];
    served.resume();
    let webhook = served.webhook(TEMPLATE);
    let receipt = served.named_order(&webhook, 1, None).receipt().to_owned();
    let told = wait("a delivery", || {
        let told = served.told_of(&receipt);
        let state = &at(&told, "paid", &told["events"][1]["id"])["state"];
        (state == "delivered").then_some(told)
    });
    let states = |name: &str| {
        let events = told["events"].as_array().expect("events").iter();
        let states = events.map(|event| at(&told, name, &event["id"])["state"].clone());
        Value::from(states.collect::<Vec<_>>())
    };
    assert_eq!(states("paid"), json!(["not wanted", "delivered"]));
    let received = at(&told, "paid", &told["events"][0]["id"]);
    assert_eq!(received["tried"], json!([]), "what its filter keeps out was not brought");
    assert_eq!(states("foreign"), json!(["not wanted", "not wanted"]));
    assert_eq!(states("held"), json!(["held", "held"]));
    let mut all = told["deliveries"].as_array().expect("deliveries").iter();
    assert!(all.all(|one| one["destination"] != "off"), "{told}");
    assert_eq!(told["operator_destinations"], 3);
}

#[test]
fn what_a_receiver_has_of_a_delivery_leads_to_its_events() {
    let mut served = Served::start(|_| ());
    let (address, brought) = serve(&served.runtime);
    let secrets = served.folder.join("secrets");
    fs::write(&secrets, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=\n").expect("a file");
    served.stop();
    let signed = format!("http://{address}/all?sign_file={}", secrets.display());
    served.config.forward = vec![to(&signed)];
    served.resume();
    let webhook = served.webhook(TEMPLATE);
    let receipts: Vec<_> = (1..5)
        .map(|order| served.named_order(&webhook, order, None).receipt().to_owned())
        .collect();
    let name = format!("http://{address}/all");
    let has_all = || {
        let brought = brought.lock().expect("a list").clone();
        let ids: Vec<_> = brought.iter().flat_map(|(_, ids)| ids).cloned().collect();
        receipts.iter().all(|id| ids.contains(id)).then_some(brought)
    };
    let mut batches = 0;
    for (named, ids) in wait("all of them", has_all) {
        let in_workspace = ids.iter().any(|id| receipts.contains(id));
        if !in_workspace {
            continue;
        }
        batches += usize::from(ids.len() > 1);
        let told = served.told_of(&named);
        if ids.len() == 1 {
            let all = told["events"].as_array().expect("events");
            assert!(all.iter().any(|event| event["id"] == ids[0].as_str()), "{told}");
            continue;
        }
        assert_eq!(
            (&told["outcome"], &told["batch"]["destination"]),
            (&json!("batch"), &json!(name))
        );
        assert_eq!(told["batch"]["is_whole"], true, "{told}");
        let listed: Vec<_> =
            told["events"].as_array().expect("events").iter().map(|event| &event["id"]).collect();
        assert!(listed.iter().all(|id| ids.iter().any(|own| **id == json!(own))), "{told}");
        let tried = &told["batch"]["tried"][0];
        assert_eq!((&tried["status"], &tried["events"]), (&json!(202), &json!(ids.len())));
        assert_eq!(tried["delivery_id"], named.as_str());
        let said = served.answered(&["explain", &named]);
        assert!(said.contains(&format!("{} events to {name}", ids.len())), "{said}");
        assert!(said.contains("answered 202"), "{said}");
    }
    assert!(batches > 0, "the events of one request go together");
    let told = served.told_of(&receipts[0]);
    let event = &told["events"][1]["id"];
    let one = at(&told, &name, event);
    assert_eq!((&one["state"], &one["tried"][0]["status"]), (&json!("delivered"), &json!(202)));
    let (_, workspace) = served.api.split_once("/workspaces/").expect("a workspace");
    let event = event.as_str().expect("an id");
    for between in ["_", "/"] {
        let told = served.told_of(&format!("{workspace}{between}{event}"));
        assert_eq!(told["request"]["id"], receipts[0].as_str());
    }
    for strange in [format!("{event}_{event}"), format!("batch-{:032x}", 7)] {
        let path = format!("/explain?id={strange}");
        assert_eq!(served.call("GET", &path, &Value::Null).status, 404, "{strange}");
    }
}

/// The built program on a folder of its own; it ends with its value.
struct Program {
    child: std::process::Child,
    log: std::path::PathBuf,
}

impl Program {
    fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The line that says so of a request.
    fn line(&self, says: &str, request: &str) -> Value {
        wait(says, || {
            let mut lines = self.lines().into_iter();
            lines.find(|line| line["message"] == says && line["request_id"] == request)
        })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn log_lines_call_a_request_by_one_name() {
    let runtime = hookgate::serve::runtime().expect("threads");
    let (address, _) = serve(&runtime);
    let folder = std::env::temp_dir().join(format!("hookgate-named-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let (data, log) = (folder.join("data"), folder.join("log"));
    let binary = env!("CARGO_BIN_EXE_hookgate");
    let made = Command::new(binary).args(["bootstrap", "-o", "json", "--data"]).arg(&data).output();
    let first: Value = serde_json::from_slice(&made.expect("it runs").stdout).expect("JSON");
    let child = Command::new(binary)
        .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data"])
        .arg(&data)
        .args(["--forward-to", &format!("http://{address}/in?batch_events=1")])
        .envs([("HOOKGATE_LOG__FORMAT", "json"), ("HOOKGATE_LOG__LEVEL", "hookgate=debug")])
        .envs([("HOOKGATE_LIMITS__BODY_MAX_BYTES", "1000")])
        .stderr(fs::File::create(&log).expect("a file"))
        .spawn();
    let program = Program { child: child.expect("it runs"), log };
    let senders: SocketAddr = wait("a listener", || {
        let lines = program.lines();
        let is_it = |line: &&Value| line["message"] == "listening for webhooks and the API";
        lines.iter().find(is_it)?["address"].as_str()?.parse().ok()
    });
    let bearer = format!("Bearer {}", first["api_key"].as_str().expect("a key"));
    let json = ("content-type", "application/json");
    let body = json!({"name": "a hook", "template": TEMPLATE}).to_string();
    let path = format!("{}/webhooks/", first["api_path"].as_str().expect("a path"));
    let headers = [("authorization", &*bearer), json];
    let webhook = exchange(senders, "POST", &path, &headers, body.as_bytes()).json();
    let hook = format!("/hooks/{}", webhook["slug"].as_str().expect("a slug"));
    let post = |headers: &[(&str, &str)], body: &str| {
        exchange(senders, "POST", &hook, &[&[json], headers].concat(), body.as_bytes())
    };

    let kept = post(&[("x-request-id", "trace-7f")], "{\"order\":1}");
    let line = program.line("kept a request", kept.receipt());
    assert_eq!(line["given"], "trace-7f");
    let line = program.line("an event was taken", kept.receipt());
    assert!(line["event_id"].is_string(), "{line}");
    let large = format!("{{\"order\":\"{}\"}}", "x".repeat(2000));
    let refused = post(&[], &large);
    let id = refused.header("x-request-id").expect("an id");
    let line = program.line("did not keep a request", id);
    assert_eq!((&line["reason"], &line["status"]), (&json!("body-too-large"), &json!(413)));
    let bad = post(&[], "{\"order\":13}");
    assert_eq!(bad.header("x-request-id"), Some(bad.receipt()));
    let line = program.line("an event was parked", bad.receipt());
    assert!(line["reason"].as_str().expect("why").contains("422"), "{line}");
    program.line("kept a request", bad.receipt());
    let late = post(&[], "{\"order\":7}");
    let line = program.line("delivery failed; it is tried again", late.receipt());
    assert!(line["fault"].as_str().expect("why").contains("503"), "{line}");
    program.line("an event was taken", late.receipt());
    drop(program);
    fs::remove_dir_all(&folder).expect("the folder goes");
}
