//! What drop-oldest loses, from outside: the built program is killed where it stands, again and again. What it said was
//! lost stays so, each lost event is told as dropped, and the events about it miss nothing.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use serde_json::{Value, json};

use super::{Answer, exchange, wait};

const TEMPLATE: &str = r#"{"event": "shop.paid", "payload": {"order": {{ body.order }}},
    "resource": {"prefect.resource.id": "order.{{ body.order }}"}}"#;
const BINARY: &str = env!("CARGO_BIN_EXE_hookgate");

/// The program on a folder, small enough to be full soon.
struct Program {
    child: Child,
    address: SocketAddr,
    api: String,
    bearer: String,
}

impl Program {
    fn start(folder: &Path, first: &Value) -> Self {
        let (data, log) = (folder.join("data"), folder.join("log"));
        let small = [("MAX_BYTES", "1048576"), ("RETENTION_SECONDS", "0")];
        let child = Command::new(BINARY)
            .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data"])
            .arg(&data)
            .args(["--forward-to", &format!("file:{}", folder.join("out").display())])
            .envs(small.map(|(name, value)| (format!("HOOKGATE_SPOOL__{name}"), value)))
            .env("HOOKGATE_LOG__FORMAT", "json")
            .env("HOOKGATE_EGRESS__ALLOW", "127.0.0.0/8")
            .stderr(File::create(&log).expect("a file"))
            .spawn();
        let address = wait("a listener", || {
            let text = fs::read_to_string(&log).unwrap_or_default();
            let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let says = |line: &Value| line["message"] == "listening for webhooks and the API";
            lines.into_iter().find(says)?["address"].as_str()?.parse().ok()
        });
        let text = |name: &str| first[name].as_str().expect("text").to_owned();
        let (api, bearer) = (text("api_path"), format!("Bearer {}", text("api_key")));
        Self { child: child.expect("it runs"), address, api, bearer }
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let headers = [("authorization", &*self.bearer), ("content-type", "application/json")];
        let path = format!("{}{path}", self.api);
        exchange(self.address, method, &path, &headers, body.as_bytes())
    }

    fn dropped(&self, destination: &str) -> u64 {
        let shown = self.call("GET", &format!("/destinations/{destination}"), &Value::Null);
        shown.json()["status"]["frames_dropped"].as_u64().expect("a number")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // On this system that is a kill -9.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The file of the operator, with what was told of losses: how many, and how many in all.
fn told(folder: &Path) -> Vec<(u64, u64)> {
    let text = fs::read_to_string(folder.join("out")).unwrap_or_default();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let about = lines.filter(|line| line["event"] == "hookgate.destination.dropped");
    let number = |line: &Value, name: &str| line["payload"][name].as_u64().expect("a number");
    about.map(|line| (number(&line, "frames"), number(&line, "total"))).collect()
}

fn folder() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("hookgate-lost-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

#[test]
fn what_a_destination_lost_is_told_after_each_kill() {
    let folder = folder();
    let data = folder.join("data");
    let made = Command::new(BINARY).args(["bootstrap", "-o", "json", "--data"]).arg(&data).output();
    let first: Value = serde_json::from_slice(&made.expect("it runs").stdout).expect("JSON");
    let mut program = Program::start(&folder, &first);
    let webhook = json!({"name": "a hook", "template": TEMPLATE});
    let webhook = program.call("POST", "/webhooks/", &webhook).json();
    let hook = format!("/hooks/{}", webhook["slug"].as_str().expect("a slug"));
    // Where nobody listens.
    let shop = json!({"name": "shop", "to": "http://127.0.0.1:9/in", "on_full": "drop-oldest"});
    let shop = program.call("POST", "/destinations/", &shop).json();
    let shop = shop["id"].as_str().expect("an id").to_owned();
    let (mut receipts, mut lost) = (Vec::new(), 0);
    for _ in 0..3 {
        while program.dropped(&shop) < lost + 30 {
            for _ in 0..5 {
                let order = receipts.len();
                let body = json!({"order": order, "pad": "x".repeat(8000)}).to_string();
                let json = [("content-type", "application/json")];
                let kept = exchange(program.address, "POST", &hook, &json, body.as_bytes());
                if kept.status == 204 {
                    receipts.push(kept.receipt().to_owned());
                }
            }
        }
        lost = program.dropped(&shop);
        drop(program);
        program = Program::start(&folder, &first);
        let now = program.dropped(&shop);
        assert!(now >= lost, "{lost} were lost, and {now} after a kill");
        lost = now;
    }
    // The oldest of all went first: whatever is behind the place is lost, none of it passed.
    let (mut dropped, mut is_over) = (0, false);
    for receipt in &receipts {
        let told = wait("an account", || {
            let answer = program.call("GET", &format!("/explain?id={receipt}"), &Value::Null);
            (answer.status == 200).then(|| answer.json())
        });
        let all = told["deliveries"].as_array().expect("deliveries");
        let at_shop = all.iter().filter(|one| one["destination"] == "shop");
        for one in at_shop {
            match one["state"].as_str() {
                Some("dropped") if !is_over => dropped += 1,
                Some("waiting") => is_over = true,
                _ => panic!("{receipt}: {one}"),
            }
        }
    }
    assert!(dropped >= 90 && is_over, "{dropped}");
    wait("all of it in events", || (told(&folder).last()?.1 >= lost).then_some(()));
    let mut heard = 0;
    for (frames, total) in told(&folder) {
        assert!(total - frames <= heard, "{total} in all, {frames} since, {heard} were heard of");
        heard = total;
    }
    drop(program);
    fs::remove_dir_all(&folder).expect("the folder goes");
}
