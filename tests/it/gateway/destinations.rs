//! `hookgate destination` and `parked` as programs, a gateway between them and a server that is made here: what is said
//! is done, secrets are told to nobody but the server, and addresses of the inside are reached only where allowed.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use super::{Answer, Served, wait};

const SECRET: &str = "tok-of-shop";
const TEMPLATE: &str = r#"{"event": "shop.{{ body.what }}",
    "resource": {"prefect.resource.id": "order.{{ body.order }}"}, "payload": {{ body|tojson }}}"#;

/// What a server took, and how it was authorized.
pub(super) type Taken = Arc<Mutex<Vec<(Value, String)>>>;

/// A server that refuses orders of 13, until it is told to take them.
pub(super) fn serve(served: &Served, takes_all: &Arc<Mutex<bool>>) -> (SocketAddr, Taken) {
    let taken = Taken::default();
    let (seen, takes_all) = (Arc::clone(&taken), Arc::clone(takes_all));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a listener");
    let address = listener.local_addr().expect("an address");
    served.runtime.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        while let Ok((socket, _)) = listener.accept().await {
            let (seen, takes_all) = (Arc::clone(&seen), Arc::clone(&takes_all));
            let service = service_fn(move |request: Request<Incoming>| {
                let (seen, takes_all) = (Arc::clone(&seen), Arc::clone(&takes_all));
                async move {
                    let bearer = request.headers().get("authorization").cloned();
                    let bearer = bearer.map(|value| value.to_str().expect("text").to_owned());
                    let body = request.into_body().collect().await.expect("a body").to_bytes();
                    let events: Vec<Value> = serde_json::from_slice(&body).expect("JSON");
                    let is_bad = |event: &Value| event["payload"]["order"] == 13;
                    let mut response = Response::new(Full::new(Bytes::from_static(b"no 13")));
                    if events.iter().any(is_bad) && !*takes_all.lock().expect("a flag") {
                        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
                    } else {
                        let mut seen = seen.lock().expect("a list");
                        let bearer = bearer.unwrap_or_default();
                        seen.extend(events.into_iter().map(|event| (event, bearer.clone())));
                    }
                    Ok::<_, Infallible>(response)
                }
            });
            let http = hyper::server::conn::http1::Builder::new();
            tokio::spawn(http.serve_connection(TokioIo::new(socket), service));
        }
    });
    (address, taken)
}

impl Served {
    fn order(&self, webhook: &Value, what: &str, order: u32) {
        let answer = self.post(webhook, &format!(r#"{{"what":"{what}","order":{order}}}"#));
        assert_eq!(answer.status, 204, "{}", answer.text());
    }
}

fn until_taken(taken: &Taken, count: usize) -> Vec<u64> {
    let order = |(event, _): &(Value, String)| event["payload"]["order"].as_u64();
    wait("what must arrive", || {
        let taken = taken.lock().expect("a list");
        let orders: Vec<_> = taken.iter().filter_map(order).collect();
        (orders.len() >= count).then_some(orders)
    })
}

#[test]
fn a_destination_is_made_changed_paused_and_mended() {
    let served = Served::start(|config| config.egress.allow = vec!["127.0.0.0/8".into()]);
    let takes_all = Arc::new(Mutex::new(false));
    let (address, taken) = serve(&served, &takes_all);
    let webhook = served.webhook(TEMPLATE);
    let key_file = served.folder.join("bearer");
    std::fs::write(&key_file, format!("{SECRET}\n")).expect("a file");
    let to = format!("http://{address}/in");
    let key_file = key_file.display().to_string();
    let made = served.answered(&[
        "destination",
        "create",
        "shop",
        &to,
        "--event",
        "shop.*",
        "--bearer-file",
        &key_file,
    ]);
    assert!(made.contains("shop") && !made.contains(SECRET), "{made}");
    served.order(&webhook, "paid", 1);
    assert_eq!(until_taken(&taken, 1), [1]);
    assert_eq!(taken.lock().expect("a list")[0].1, format!("Bearer {SECRET}"));

    served.answered(&["destination", "pause", "shop"]);
    served.order(&webhook, "paid", 2);
    let shown = served.answered(&["destination", "show", "shop"]);
    assert!(shown.contains("paused"), "{shown}");
    served.answered(&["destination", "resume", "shop"]);
    assert_eq!(until_taken(&taken, 2), [1, 2]);

    // One order is refused; what comes of it waits, the others do not.
    for (what, order) in [("paid", 13), ("sent", 3), ("sent", 13), ("sent", 4)] {
        served.order(&webhook, what, order);
    }
    assert_eq!(until_taken(&taken, 4), [1, 2, 3, 4]);
    let listed = wait("two parked", || {
        let listed = served.answered(&["parked", "ls", "shop"]);
        (listed.lines().count() == 2).then_some(listed)
    });
    assert!(listed.contains("refused") && listed.contains("no 13"), "{listed}");
    assert!(listed.contains("behind"), "{listed}");
    *takes_all.lock().expect("a flag") = true;
    let unknown = ["parked", "retry", "shop", "--id", "018fa91c-0000-7000-8000-000000000000"];
    let (code, said) = served.refused(&unknown, &served.key);
    assert!(code == 5 && said.contains("no event 018fa91c"), "{code}: {said}");
    let said = served.answered(&["parked", "retry", "shop", "--reason", "answered 422"]);
    assert_eq!(said, "1 go out again\n");
    assert_eq!(until_taken(&taken, 6)[4..], [13, 13]);
    let names: Vec<_> = taken.lock().expect("a list")[4..]
        .iter()
        .map(|(event, _)| event["event"].as_str().expect("a name").to_owned())
        .collect();
    assert_eq!(names, ["shop.paid", "shop.sent"], "in order");
    wait("nothing parked", || served.answered(&["parked", "ls", "shop"]).is_empty().then_some(()));
    served.answered(&["destination", "delete", "shop", "--yes"]);
    let (code, _) = served.refused(&["destination", "show", "shop"], &served.key);
    assert_eq!(code, 5);
    let acts = wait("the last act", || {
        let acts = served.answered(&["audit", "ls", "--kind", "destination", "-o", "ndjson"]);
        acts.contains("hookgate.destination.deleted").then_some(acts)
    });
    assert!(acts.contains("hookgate.destination.retried") && !acts.contains(SECRET), "{acts}");
}

#[test]
fn what_waits_behind_a_parked_event_is_told_so_and_goes_where_no_order_is_kept() {
    let served = Served::start(|config| config.egress.allow = vec!["127.0.0.0/8".into()]);
    let takes_all = Arc::new(Mutex::new(false));
    let (address, taken) = serve(&served, &takes_all);
    let webhook = served.webhook(TEMPLATE);
    let to = format!("http://{address}/in");
    served.answered(&["destination", "create", "shop", &to, "--event", "shop.*"]);
    let lying = |count: usize| {
        wait("what must be parked", || {
            let listed = served.answered(&["parked", "ls", "shop", "-o", "json"]);
            let rows: Vec<Value> =
                listed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
            (rows.len() == count).then_some(rows)
        })
    };
    for what in ["paid", "sent", "back"] {
        served.order(&webhook, what, 13);
    }
    let rows = lying(3);
    let [refused, behind] = [0, 1].map(|at| rows[at]["id"].as_str().expect("an id").to_owned());
    assert_eq!((&rows[0]["standing"], &rows[1]["standing"]), (&json!("refused"), &json!("behind")));
    let retry = |id: &str| served.refused(&["parked", "retry", "shop", "--id", id], &served.key);
    let (code, said) = retry(&behind);
    assert!(code == 1 && said.contains(&format!("refused ({refused})")), "{code}: {said}");
    assert!(!said.contains("go out again"), "{said}");
    served.answered(&["destination", "update", "shop", "--disable"]);
    let (code, said) = retry(&refused);
    assert!(code == 1 && said.contains("disabled: enable it first"), "{code}: {said}");
    served.answered(&["destination", "update", "shop", "--enable"]);
    lying(3);
    *takes_all.lock().expect("a flag") = true;
    served.answered(&["destination", "update", "shop", "--ordering", "none"]);
    until_taken(&taken, 2);
    assert_eq!(lying(1)[0]["id"], *refused, "what was refused stays");
    let (code, said) = retry(&refused);
    assert!(code == 0 && said == "1 go out again\n", "{code}: {said}");
    until_taken(&taken, 3);
    lying(0);
}

#[test]
fn a_name_is_none_that_moves_a_terminal_or_is_taken_for_something_else() {
    let served = Served::start(|_| ());
    let create = |name: &str| {
        let body = json!({ "name": name, "to": "https://crm.example/in" });
        served.call("POST", "/destinations/", &body)
    };
    let id = "018fa91c-0000-7000-8000-000000000000";
    for (name, why) in [
        ("a\nfake  on  0", "cannot be seen"),
        ("\u{1b}[31mred", "cannot be seen"),
        ("pay\u{202e}lap", "cannot be seen"),
        (id, "looks like an id"),
        (&id.replace('-', ""), "looks like an id"),
        ("http://crm.example", "looks like an address"),
    ] {
        let answer = create(name);
        assert_eq!(answer.status, 422, "{name:?}");
        assert!(answer.text().contains(why), "{}", answer.text());
    }
    let made = create("Größe: x/y");
    assert_eq!(made.status, 201, "{}", made.text());
    let path = format!("/destinations/{}", made.json()["id"].as_str().expect("an id"));
    assert_eq!(served.call("PATCH", &path, &json!({ "name": "a\tb" })).status, 422);
}

/// What is done at a data folder, whether a gateway runs there or not.
fn act(served: &Served, act: &str) -> String {
    let data = served.config.server.data.to_str().expect("a path");
    let yes: &[&str] = if act == "discard" { &["--yes"] } else { &[] };
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_hookgate"))
        .args(["parked", act, "--data", data, "--all"])
        .args(yes)
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn what_is_done_to_parked_events_at_a_data_folder_is_audited() {
    let mut served = Served::start(|config| config.egress.allow = vec!["127.0.0.0/8".into()]);
    let (address, _) = serve(&served, &Arc::default());
    let webhook = served.webhook(TEMPLATE);
    let made = format!("http://{address}/in");
    served.answered(&["destination", "create", "shop", &made, "--event", "shop.*"]);
    served.order(&webhook, "paid", 13);
    let parked = |served: &Served| {
        wait("a parked one", || {
            let listed = served.answered(&["parked", "ls", "shop"]);
            listed.contains("refused").then_some(listed)
        })
    };
    parked(&served);
    served.stop();
    assert_eq!(act(&served, "retry"), "1 go out again\n");
    assert_eq!(act(&served, "retry"), "0 go out again\n", "and nothing is told of that");
    served.resume();
    // Nothing but the look for it brings the second act to the gateway that runs.
    let listed = parked(&served);
    let id = listed.split_whitespace().nth(1).expect("an id").to_owned();
    assert_eq!(act(&served, "discard"), format!("{id}\n1 discarded\n"));
    let told = wait("both acts at the destination of all events", || {
        let all = super::arrived(&served.destination()).into_iter();
        let acts = ["hookgate.destination.retried", "hookgate.destination.discarded"];
        let told: Vec<_> =
            all.filter(|event| acts.iter().any(|act| event["event"] == *act)).collect();
        (told.len() >= 2).then_some(told)
    });
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(
        (&told[0]["payload"]["count"], &told[1]["payload"]["count"]),
        (&1.into(), &1.into())
    );
    assert_eq!(told[1]["payload"]["events"][0], id.as_str());
    for event in &told {
        assert_eq!(event["resource"]["prefect.resource.name"], "shop", "{event}");
        assert_eq!(event["payload"]["by"], "hookgate parked --data");
        assert_eq!(event["related"][0]["prefect.resource.name"], "system");
    }
    let data = served.config.server.data.display().to_string();
    let rows = served.answered(&["audit", "export", "--data", &data]);
    for act in ["destination.retried", "destination.discarded"] {
        assert!(rows.contains(act), "{rows}");
    }
    served.answered(&["audit", "verify", "--data", &data]);
}

#[test]
fn the_inside_is_reached_only_where_it_is_allowed() {
    let served = Served::start(|_| ());
    let (address, taken) = serve(&served, &Arc::default());
    let webhook = served.webhook(TEMPLATE);
    let made = served
        .refused(&["destination", "create", "inside", &format!("http://{address}/")], &served.key);
    assert!(made.0 == 0 && made.1.contains("state        failing: the network rules"), "{made:?}");
    assert!(
        made.1.contains("warning: nothing is sent there: the network rules refuse"),
        "{made:?}"
    );
    assert!(made.1.contains("egress.allow"), "it says the way out: {made:?}");
    let (_, said) = served.refused(
        &["destination", "update", "inside", "--to", "https://crm.example/in"],
        &served.key,
    );
    assert!(!said.contains("warning"), "{said}");
    let back = format!("http://{address}/");
    let (_, said) =
        served.refused(&["destination", "update", "inside", "--to", &back], &served.key);
    assert!(said.contains("warning: nothing is sent there"), "{said}");
    served.order(&webhook, "paid", 1);
    wait("a refusal", || served.ask("/readyz").text().contains("the network rules").then_some(()));
    assert!(taken.lock().expect("a list").is_empty());
    for to in ["file:/etc/passwd", "stdout"] {
        let (code, said) = served.refused(&["destination", "create", "x", to], &served.key);
        assert!(code == 1 && said.contains("are the operator's"), "{code}: {said}");
    }
}

#[test]
fn a_destinations_name_is_its_own_in_its_workspace() {
    let served = Served::start(|_| ());
    let to = "https://crm.example/in";
    let post = |name: &str| served.call("POST", "/destinations/", &json!({"name": name, "to": to}));
    let made = post("crm");
    assert_eq!(made.status, 201, "{}", made.text());
    let again = post("crm");
    assert_eq!(again.status, 409, "{}", again.text());
    assert!(again.text().contains("Another destination has that name"), "{}", again.text());
    let other = post("erp");
    assert_eq!(other.status, 201, "{}", other.text());
    let id = |made: &Answer| made.json()["id"].as_str().expect("an id").to_owned();
    let [path, other] = [&made, &other].map(|made| format!("/destinations/{}", id(made)));
    let named =
        |path: &str, name: &str| served.call("PATCH", path, &json!({ "name": name })).status;
    assert_eq!((named(&other, "crm"), named(&path, "crm")), (409, 204));
    let (code, said) = served.refused(&["destination", "create", "crm", to], &served.key);
    assert!(code != 0 && said.contains("Another destination has that name"), "{code}: {said}");
    assert_eq!(served.call("DELETE", &path, &Value::Null).status, 204);
    assert_eq!(named(&other, "crm"), 204, "it is free again");
}

#[test]
fn an_empty_value_unsets_what_need_not_be_set() {
    let served = Served::start(|_| ());
    let to = "https://crm.example/in";
    let bearer = served.folder.join("bearer");
    std::fs::write(&bearer, SECRET).expect("a file");
    let bearer = bearer.display().to_string();
    let options = [
        ("where", "event.payload.amount > 100"),
        ("body", "{{ event.payload | tojson }}"),
        ("burst", "5"),
        ("rate", "10/s"),
        ("request-rate", "3/s"),
        ("byte-rate", "1000000/s"),
        ("form", "single"),
        ("batch-events", "1"),
        ("batch-bytes", "9000"),
        ("linger-ms", "7"),
        ("concurrency", "3"),
        ("ordering", "none"),
        ("retry-seconds", "60"),
        ("retry-first-ms", "200"),
        ("retry-most-ms", "9000"),
        ("header", "X-Team: shop"),
        ("bearer-file", &bearer),
    ];
    let said = |name: &str, value: &str| [format!("--{name}"), value.to_owned()];
    let all: Vec<String> = options.iter().flat_map(|(name, value)| said(name, value)).collect();
    let arguments: Vec<&str> = all.iter().map(String::as_str).collect();
    served.answered(&[&["destination", "create", "crm", to], &arguments[..]].concat());
    let field = |name: &str| match name {
        "header" => "headers".to_owned(),
        "bearer-file" => "bearer_set".to_owned(),
        name => name.replace('-', "_"),
    };
    let shown = || -> Value {
        let shown = served.answered(&["destination", "show", "crm", "-o", "json"]);
        serde_json::from_str(&shown).expect("JSON")
    };
    let before = shown();
    for (name, _) in options {
        assert!(!before[field(name)].is_null(), "{name}: {before}");
        let option = format!("--{name}");
        served.answered(&["destination", "update", "crm", &option, ""]);
        let after = shown();
        assert!(after[field(name)].is_null(), "{name}: {after}");
    }
    let stays = ["id", "account_id", "workspace_id", "created", "updated", "name", "to"];
    let settled = ["enabled", "hold", "on_full", "status"];
    let after = shown();
    for (name, value) in after.as_object().expect("a record") {
        assert!(
            value.is_null() || [&stays[..], &settled].concat().contains(&&**name),
            "{name}: {after}"
        );
    }
    let (code, said) =
        served.refused(&["destination", "update", "crm", "--burst", "x"], &served.key);
    assert!(code == 2 && said.contains("--burst"), "{code}: {said}");
    let help = served.answered(&["destination", "update", "--help"]);
    assert!(help.contains("An empty value ('') unsets"), "{help}");
}

#[test]
fn what_is_wrong_stands_at_the_option_that_said_it() {
    let served = Served::start(|_| ());
    let to = "https://crm.example/in";
    let create = |more: &[&str]| {
        let create = ["destination", "create", "crm", to];
        served.refused(&[&create[..], more].concat(), &served.key)
    };
    let (code, said) = create(&["--batch-events", "0", "--rate", "fast"]);
    assert!(code == 1 && said.contains("--batch-events: ") && said.contains("--rate: "), "{said}");
    assert!(!said.contains("Value error") && !said.contains("body."), "{said}");
    let answer =
        served.call("POST", "/destinations/", &json!({"name": "a", "to": to, "rate": "x"}));
    let fault = &answer.json()["detail"][0];
    assert_eq!(fault["loc"], json!(["body", "rate"]), "the API says it as clients read it");
    assert!(fault["msg"].as_str().is_some_and(|says| says.starts_with("Value error, ")), "{fault}");
}

#[test]
fn whoever_resumes_what_is_off_is_told_how_to_switch_it_on() {
    let served = Served::start(|_| ());
    served.answered(&["destination", "create", "crm", "https://crm.example/in"]);
    let said = |verb: &str| served.refused(&["destination", verb, "crm"], &served.key).1;
    assert!(!said("pause").contains("--enable") && !said("resume").contains("--enable"));
    served.answered(&["destination", "update", "crm", "--disable"]);
    for verb in ["pause", "resume"] {
        let said = said(verb);
        assert!(said.contains("`hookgate destination update crm --enable`"), "{verb}: {said}");
    }
    let help = served.answered(&["destination", "create", "--help"]);
    for scheme in ["prefect+wss", "nats+tls", "rediss", "kafka+tls", "s3+https", "postgres+tls"] {
        assert!(help.contains(&format!("  {scheme}://")), "{scheme}: {help}");
    }
}
