//! The gateway under test: the program's own `serve`, nothing switched off. In: a folder, a template, a destination.
//! Out: an address and a path that take webhooks, and how many of their events reached a destination that is a file.
//! Never a setting that a user could not set.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::child::{Child, PAUSE};
use super::limits::RETENTION_MAX_BYTES;
use crate::cli::client::Client;
use crate::cli::output::Failure;
use crate::clock::Clock;
use crate::config::{Config, Forward, Server, Spool};
use crate::id::Secret;
use crate::store::{self, Bootstrap};

/// From its start to its first "ready".
const READY_MAX: Duration = Duration::from_secs(10);
/// From the last request to the last event at the destination.
const DELIVERY_MAX: Duration = Duration::from_mins(2);
/// From there until the index of events has them all, so that it disturbs no other measurement.
const INDEX_MAX: Duration = Duration::from_mins(5);
/// Events of each accepted request: the received one and the template's.
const EVENTS_PER_REQUEST: u64 = 2;
/// Destinations that one workspace gets of many.
const DESTINATIONS_PER_WORKSPACE: u32 = 1000;
/// Lines of its log that are shown when it fails.
const LOG_LINES: usize = 5;
/// Bytes of a look at the destination.
const READ_BYTES: usize = 1 << 20;

/// A gateway that takes webhooks.
#[derive(Debug)]
pub(super) struct Gateway {
    child: Child,
    client: Client,
    address: SocketAddr,
    admin: SocketAddr,
    hook: String,
    /// Its workspace's part of the API, and what opens it.
    api: String,
    headers: HeaderMap,
    log: PathBuf,
    /// The destination, when it is a file.
    file: Option<PathBuf>,
    /// Bytes of it that were counted before.
    counted_bytes: u64,
}

/// Where a gateway sends what it makes.
#[derive(Clone, Debug)]
pub(super) enum To {
    /// A file of its own.
    File,
    /// A destination, as `--forward-to` takes it.
    Place(String),
    Nowhere,
}

/// How delivery kept up with one measurement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery {
    /// Events at the destination when the load stopped, of those accepted till then.
    pub(super) share: f64,
    /// From then until all of them were there.
    pub(super) lag: Duration,
    /// Events that never came.
    pub(super) missing: u64,
}

impl Gateway {
    /// Makes a data folder below `folder`, starts a gateway on it, and gives it a webhook with that template, which
    /// takes the body `probe`.
    pub(super) async fn start(
        folder: &Path,
        to: &To,
        template: &str,
        probe: &str,
    ) -> Result<Self, Failure> {
        let data = folder.join("data");
        let first = store::bootstrap(&data, &Clock::System)?;
        let (address, admin) = free_addresses()
            .map_err(|fault| Failure::No(format!("the gateway has no port: {fault}")))?;
        let file = matches!(to, To::File).then(|| folder.join("events.ndjson"));
        let place = match (to, &file) {
            (To::Place(place), _) => Some(place.clone()),
            (_, Some(file)) => Some(format!("file:{}", file.display())),
            (_, None) => None,
        };
        let (settings, log) = (folder.join("config.toml"), folder.join("gateway.log"));
        let text = settings_text(&data, address, admin, place);
        fs::write(&settings, text)
            .map_err(|fault| Failure::No(format!("{}: {fault}", settings.display())))?;
        let args = ["gateway", "serve", "--config", &settings.to_string_lossy()];
        let child = Child::start("the gateway", &args, &log)?;
        let (client, hook) = (Client::new(), String::new());
        let (api, headers) = (first.api_path.clone(), headers(&first));
        let counted_bytes = 0;
        let mut gateway =
            Self { child, client, address, admin, hook, api, headers, log, file, counted_bytes };
        gateway.await_ready().await?;
        let webhook = json!({ "name": "bench", "template": template });
        gateway.hook = gateway.make_webhook(&webhook).await?;
        gateway.probe(probe).await?;
        Ok(gateway)
    }

    pub(super) fn child(&self) -> &Child {
        &self.child
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The webhook's path, with its slug.
    pub(super) fn hook(&self) -> &str {
        &self.hook
    }

    /// How writes reach stable storage, as readiness tells.
    pub(super) async fn posture(&self) -> Result<String, Failure> {
        let readiness = self.readiness().await?;
        Ok(readiness["spool"]["posture"].as_str().unwrap_or("unknown").to_owned())
    }

    /// Waits until all is delivered that was accepted since the last look, and tells how it went.
    pub(super) async fn delivery(&mut self, accepted: u64) -> Result<Delivery, Failure> {
        let stopped = Instant::now();
        let there_bytes = self.destination_bytes();
        self.await_delivery(stopped).await?;
        let lag = stopped.elapsed();
        let there = self.count_lines(there_bytes)?;
        let all = there + self.count_lines(self.destination_bytes())?;
        let wanted = accepted * EVENTS_PER_REQUEST;
        let share = if wanted == 0 { 1.0 } else { there as f64 / wanted as f64 };
        self.await_index().await?;
        Ok(Delivery { share, lag, missing: wanted.saturating_sub(all) })
    }

    /// Ends it as an operator would.
    pub(super) fn stop(&mut self) -> Result<(), Failure> {
        let status = self.child.stop()?;
        if status.success() { Ok(()) } else { Err(self.fail(&format!("it ended with {status}"))) }
    }

    async fn await_ready(&mut self) -> Result<(), Failure> {
        let started = Instant::now();
        while self.readiness().await.is_err() {
            if self.child.is_gone() {
                return Err(self.fail("it ended by itself"));
            }
            if started.elapsed() > READY_MAX {
                return Err(self.fail(&format!("not ready after {} s", READY_MAX.as_secs())));
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Makes a webhook of that record; its path.
    pub(super) async fn make_webhook(&self, webhook: &Value) -> Result<String, Failure> {
        let made = self.make(&format!("{}/webhooks/", self.api), webhook).await?;
        match made["slug"].as_str() {
            Some(slug) => Ok(format!("/hooks/{slug}")),
            None => Err(self.fail("it made no webhook")),
        }
    }

    /// Gives it so many destinations that want nothing of what comes: some in the webhook's workspace, most in others.
    pub(super) async fn make_idle(&self, count: u32) -> Result<(), Failure> {
        let (workspaces, _) = self.api.rsplit_once('/').unwrap_or_default();
        let mut api = self.api.clone();
        for number in 0..count {
            if number > 0 && number % DESTINATIONS_PER_WORKSPACE == 0 {
                let name = format!("bench-{number}");
                let workspace = json!({ "name": name, "handle": name });
                let made = self.make(&format!("{workspaces}/"), &workspace).await?;
                api = format!("{workspaces}/{}", made["id"].as_str().unwrap_or_default());
            }
            let wants = format!("never.{number}");
            // Nobody listens there (RFC 5737), and nothing is ever sent.
            let destination = json!({
                "name": wants, "to": "https://192.0.2.1/in", "filter": {"event": {"name": [wants]}}
            });
            self.make(&format!("{api}/destinations/"), &destination).await?;
        }
        Ok(())
    }

    /// Makes a record.
    async fn make(&self, path: &str, record: &Value) -> Result<Value, Failure> {
        let address = format!("http://{}{path}", self.address);
        let (headers, record) = (self.headers.clone(), record.to_string());
        let answer = self.client.send(Method::POST, &address, headers, record).await?;
        match serde_json::from_slice(&answer.body) {
            Ok(made) if answer.status.is_success() => Ok(made),
            _ => Err(self.fail(&format!("it made nothing at {path}: {}", answer.status))),
        }
    }

    /// One request, so that everything before it, the webhook's own events too, is delivered before anything counts.
    async fn probe(&mut self, body: &str) -> Result<(), Failure> {
        let address = format!("http://{}{}", self.address, self.hook);
        let answer =
            self.client.send(Method::POST, &address, HeaderMap::new(), body.to_owned()).await?;
        if answer.status != StatusCode::NO_CONTENT {
            return Err(self.fail(&format!("it took no webhook: {}", answer.status)));
        }
        self.settle().await?;
        if self.file.is_some() && self.counted_bytes == 0 {
            return Err(self.fail("nothing was delivered"));
        }
        Ok(())
    }

    /// Waits until all is delivered, none of which counts.
    pub(super) async fn settle(&mut self) -> Result<(), Failure> {
        self.await_delivery(Instant::now()).await?;
        self.counted_bytes = self.destination_bytes();
        Ok(())
    }

    async fn readiness(&self) -> Result<Value, Failure> {
        let address = format!("http://{}/readyz", self.admin);
        let answer = self.client.send(Method::GET, &address, HeaderMap::new(), "").await?;
        match serde_json::from_slice(&answer.body) {
            Ok(readiness) if answer.status == StatusCode::OK => Ok(readiness),
            _ => Err(self.fail(&format!("it is not ready: {}", answer.status))),
        }
    }

    /// Waits until its destination, if it has one, has everything.
    pub(super) async fn await_delivery(&self, since: Instant) -> Result<(), Failure> {
        loop {
            let readiness = self.readiness().await?;
            let Some(destination) = readiness["destinations"].get(0) else { return Ok(()) };
            let behind = destination["frames_behind"].as_u64();
            if behind == Some(0) {
                return Ok(());
            }
            if since.elapsed() > DELIVERY_MAX {
                return Err(self.fail(&format!("its destination is still behind by {behind:?}")));
            }
            sleep(PAUSE).await;
        }
    }

    /// Waits until the index of events has everything.
    pub(super) async fn await_index(&self) -> Result<(), Failure> {
        let since = Instant::now();
        loop {
            match self.readiness().await?["index"]["frames_behind"].as_u64() {
                Some(0) => return Ok(()),
                behind if since.elapsed() > INDEX_MAX => {
                    return Err(self.fail(&format!("its index is still behind by {behind:?}")));
                }
                _ => sleep(PAUSE).await,
            }
        }
    }

    fn destination_bytes(&self) -> u64 {
        let metadata = self.file.as_ref().and_then(|file| fs::metadata(file).ok());
        metadata.map_or(0, |metadata| metadata.len())
    }

    /// Lines that end between what was counted before and `end`.
    fn count_lines(&mut self, end: u64) -> Result<u64, Failure> {
        let Some(file) = &self.file else { return Ok(0) };
        let lines = lines_between(file, self.counted_bytes, end)
            .map_err(|fault| Failure::No(format!("{}: {fault}", file.display())))?;
        self.counted_bytes = end;
        Ok(lines)
    }

    /// What went wrong, with the last that the gateway said.
    fn fail(&self, what: &str) -> Failure {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let mut lines: Vec<&str> = log.lines().rev().take(LOG_LINES).collect();
        lines.push(what);
        lines.reverse();
        Failure::No(format!("the gateway failed: {}", lines.join("\n  ")))
    }
}

/// What opens the API.
fn headers(first: &Bootstrap) -> HeaderMap {
    let key = first.api_key.as_ref().map(Secret::expose).unwrap_or_default();
    let bearer = HeaderValue::try_from(format!("Bearer {key}"));
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, bearer.expect("a key is ASCII"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers
}

/// Two addresses that nobody else has.
fn free_addresses() -> io::Result<(SocketAddr, SocketAddr)> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let (one, other) = (TcpListener::bind(any)?, TcpListener::bind(any)?);
    Ok((one.local_addr()?, other.local_addr()?))
}

fn settings_text(
    data: &Path,
    address: SocketAddr,
    admin_listen: SocketAddr,
    place: Option<String>,
) -> String {
    let forward = place.map(|to| Forward { to, ..Forward::default() });
    let server = Server {
        data: data.to_path_buf(),
        listen: vec![address],
        admin_listen,
        ..Server::default()
    };
    let spool = Spool { retention_max_bytes: RETENTION_MAX_BYTES, ..Spool::default() };
    let config =
        Config { server, spool, forward: forward.into_iter().collect(), ..Config::default() };
    toml::to_string(&config).expect("settings can be written as TOML")
}

/// Line ends in a part of a file.
fn lines_between(path: &Path, start: u64, end: u64) -> io::Result<u64> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut rest = file.take(end.saturating_sub(start));
    let (mut buffer, mut lines) = (vec![0; READ_BYTES], 0);
    loop {
        match rest.read(&mut buffer)? {
            0 => return Ok(lines),
            read => lines += memchr::memchr_iter(b'\n', &buffer[..read]).count() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::folder::Folder;

    #[test]
    fn lines_are_counted_where_they_end() {
        let folder = Folder::make(Some(&std::env::temp_dir())).expect("a folder");
        let path = folder.path().join("lines");
        fs::write(&path, "a\nbb\ncc").expect("a file");
        for (start, end, lines) in [(0, 8, 2), (0, 1, 0), (0, 2, 1), (2, 5, 1), (5, 8, 0)] {
            assert_eq!(lines_between(&path, start, end).expect("lines"), lines, "{start} {end}");
        }
    }

    #[test]
    fn the_gateway_reads_the_settings_that_the_bench_writes() {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let place = Some("file:/e".to_owned());
        let text = settings_text(Path::new("/data \"x\""), address, address, place);
        let config: Config = toml::from_str(&text).expect("settings");
        assert_eq!(config.server.data, Path::new("/data \"x\""));
        assert_eq!(config.forward[0].to, "file:/e");
        assert_eq!(config.spool.retention_max_bytes, RETENTION_MAX_BYTES);
    }
}
