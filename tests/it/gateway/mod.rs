//! A whole gateway in this process, on free ports and a folder of its own, met over real HTTP and read at its file
//! destination. The clock stands still, so that goldens can be compared.

mod api;
mod attacks;
mod audit;
mod certified;
mod circles;
mod commands;
mod contexts;
mod destinations;
mod doctor;
mod event_commands;
mod explain;
mod faults;
mod feed;
mod fetched;
mod fit;
mod followers;
mod hooks;
mod incident_commands;
mod life;
mod lost;
mod mended;
mod migrated;
mod named;
mod placed;
mod posted;
mod proven;
mod redaction;
mod repeated;
mod replaced;
mod replay;
mod requests;
mod sealed;
mod secrets;
mod shown;
mod signed;
mod socket;
mod sockets;
mod thanked;
mod unsent;
mod verification;

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use hookgate::clock::{Clock, Time};
use hookgate::config::{Config, Forward};
use hookgate::serve::{self, Gateway, ServeError};
use hookgate::store;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// No single wait of a test is longer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at something that must come.
const LOOK: Duration = Duration::from_millis(5);

static FOLDERS: AtomicU32 = AtomicU32::new(0);

/// A gateway and all that is needed to talk to it.
struct Served {
    runtime: Runtime,
    /// One for all starts: its ids must not come twice.
    clock: Arc<Clock>,
    gateway: Option<Gateway>,
    config: Config,
    folder: PathBuf,
    key: String,
    api: String,
}

impl Served {
    /// With default settings but for what the test changes.
    fn start(change: impl FnOnce(&mut Config)) -> Self {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let name = format!("hookgate-it-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let data = folder.join("data");
        let moment = Time::parse("2026-11-23T22:52:30.837791Z").expect("a moment");
        let clock = Arc::new(Clock::fixed(moment));
        let first = store::bootstrap(&data, &clock).expect("a folder");
        let mut config = Config::default();
        config.server.data = data;
        config.server.listen = vec![([127, 0, 0, 1], 0).into()];
        config.server.admin_listen = ([127, 0, 0, 1], 0).into();
        config.server.drain_seconds = 10;
        config.spool.free_min_bytes = 1 << 20;
        config.forward = vec![to(&format!("file:{}", folder.join("events.ndjson").display()))];
        change(&mut config);
        let key = first.api_key.expect("a first key").expose().to_owned();
        let runtime = serve::runtime().expect("threads");
        let api = first.api_path;
        let mut served = Self { runtime, clock, gateway: None, config, folder, key, api };
        served.resume();
        served
    }

    /// Starts again on the same folder.
    fn resume(&mut self) {
        let started = self.runtime.block_on(Gateway::start(&self.config, Arc::clone(&self.clock)));
        self.gateway = Some(started.expect("a gateway"));
    }

    fn stop(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            self.runtime.block_on(gateway.stop());
        }
    }

    fn running(&self) -> &Gateway {
        self.gateway.as_ref().expect("it runs")
    }

    fn address(&self) -> SocketAddr {
        self.running().addresses()[0]
    }

    /// Sends a request to the gateway.
    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        exchange(self.address(), method, path, headers, body)
    }

    /// Asks the operator's listener.
    fn ask(&self, path: &str) -> Answer {
        exchange(self.running().admin_address(), "GET", path, &[], b"")
    }

    /// Calls the API as the first user; `path` goes below the workspace.
    fn call(&self, method: &str, path: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {}", self.key);
        let headers = [("authorization", &*bearer), ("content-type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send(method, &format!("{}{path}", self.api), &headers, body.as_bytes())
    }

    /// Makes a webhook; the record as the API gives it.
    fn webhook(&self, template: &str) -> Value {
        let made =
            self.call("POST", "/webhooks/", &json!({"name": "a hook", "template": template}));
        assert_eq!(made.status, 201, "{}", made.text());
        made.json()
    }

    /// Posts JSON to a webhook.
    fn post(&self, webhook: &Value, body: &str) -> Answer {
        let path = format!("/hooks/{}", webhook["slug"].as_str().expect("a slug"));
        self.send("POST", &path, &[("content-type", "application/json")], body.as_bytes())
    }

    fn destination(&self) -> PathBuf {
        self.folder.join("events.ndjson")
    }

    /// Waits until `count` events of webhooks' requests have arrived, and gives all of those.
    fn events(&self, count: usize) -> Vec<Value> {
        let is_request = |event: &Value| {
            let name = event["event"].as_str().expect("a name");
            let audit = ["created", "updated", "deleted"].iter().any(|verb| name.ends_with(verb));
            !(name.starts_with("prefect-cloud.") && audit)
        };
        wait(&format!("{count} events"), || {
            let events: Vec<Value> =
                arrived(&self.destination()).into_iter().filter(is_request).collect();
            (events.len() >= count).then_some(events)
        })
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn to(text: &str) -> Forward {
    Forward { to: text.to_owned(), ..Forward::default() }
}

/// The events in a file destination, as far as lines are whole.
fn arrived(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// Looks until there is something.
fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "no {what} in time");
        std::thread::park_timeout(LOOK);
    }
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    fn receipt(&self) -> &str {
        self.header("hookgate-receipt").expect("a receipt")
    }
}

/// One request on a connection of its own.
fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    if !headers.iter().any(|(name, _)| *name == "content-length") {
        let _ = write!(head, "content-length: {}\r\n", body.len());
    }
    head.push_str("\r\n");
    let mut stream = TcpStream::connect(address).expect("a listener");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(head.as_bytes()).expect("the head goes out");
    // A refusal may come before the body was taken.
    let _ = stream.write_all(body);
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an answer");
    let end = bytes.windows(4).position(|part| part == b"\r\n\r\n").expect("a whole head");
    let head = String::from_utf8(bytes[..end].to_vec()).expect("an ASCII head");
    let status = head[9..12].parse().expect("a status");
    Answer { status, head, body: bytes[end + 4..].to_vec() }
}
