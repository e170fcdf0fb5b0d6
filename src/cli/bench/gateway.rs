//! The gateway under test: the program's own `bootstrap` and `serve`, nothing switched off. In: a folder. Out: an
//! address and a path that take webhooks, and how many of their events reached the destination. Never a setting that
//! a user could not set.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::child::{Child, PAUSE, program};
use super::limits::RETENTION_MAX_BYTES;
use super::{client, shape};
use crate::cli::output::Failure;
use crate::config::{Config, Forward, Server, Spool};

/// From its start to its first "ready".
const READY_MAX: Duration = Duration::from_secs(10);
/// From the last request to the last event at the destination.
const DELIVERY_MAX: Duration = Duration::from_mins(2);
/// Events of each accepted request: the received one and the template's.
const EVENTS_PER_REQUEST: u64 = 2;
/// Lines of its log that are shown when it fails.
const LOG_LINES: usize = 5;
/// Bytes of a look at the destination.
const READ_BYTES: usize = 1 << 20;

/// A gateway that takes webhooks.
#[derive(Debug)]
pub(super) struct Gateway {
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
    hook: String,
    log: PathBuf,
    destination: PathBuf,
    /// Bytes of the destination that were counted before.
    counted_bytes: u64,
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
    /// Makes a data folder below `folder`, starts a gateway on it, and gives it a webhook.
    pub(super) fn start(folder: &Path) -> Result<Self, Failure> {
        let data = folder.join("data");
        let first = bootstrap(&data)?;
        let fault = |fault| Failure::No(format!("the gateway has no port: {fault}"));
        let (one, other) = (free_port().map_err(fault)?, free_port().map_err(fault)?);
        let (address, admin) =
            (one.local_addr().map_err(fault)?, other.local_addr().map_err(fault)?);
        drop((one, other));
        let destination = folder.join("events.ndjson");
        let (settings, log) = (folder.join("config.toml"), folder.join("gateway.log"));
        let text = settings_text(&data, address, admin, &destination);
        fs::write(&settings, text)
            .map_err(|fault| Failure::No(format!("{}: {fault}", settings.display())))?;
        let args = ["gateway", "serve", "--config", &settings.to_string_lossy()];
        let child = Child::start("the gateway", &args, &log)?;
        let hook = String::new();
        let mut gateway = Self { child, address, admin, hook, log, destination, counted_bytes: 0 };
        gateway.await_ready()?;
        gateway.hook = gateway.make_webhook(&first)?;
        gateway.probe()?;
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
    pub(super) fn posture(&self) -> Result<String, Failure> {
        let readiness = self.readiness()?;
        Ok(readiness["spool"]["posture"].as_str().unwrap_or("unknown").to_owned())
    }

    /// Waits until all is delivered that was accepted since the last look, and tells how it went.
    pub(super) fn delivery(&mut self, accepted: u64) -> Result<Delivery, Failure> {
        let stopped = Instant::now();
        let there_bytes = self.destination_bytes();
        self.await_delivery(stopped)?;
        let lag = stopped.elapsed();
        let there = self.count_lines(there_bytes)?;
        let all = there + self.count_lines(self.destination_bytes())?;
        let wanted = accepted * EVENTS_PER_REQUEST;
        let share = if wanted == 0 { 1.0 } else { there as f64 / wanted as f64 };
        Ok(Delivery { share, lag, missing: wanted.saturating_sub(all) })
    }

    /// Ends it as an operator would.
    pub(super) fn stop(&mut self) -> Result<(), Failure> {
        let status = self.child.stop()?;
        if status.success() { Ok(()) } else { Err(self.fail(&format!("it ended with {status}"))) }
    }

    fn await_ready(&mut self) -> Result<(), Failure> {
        let started = Instant::now();
        while !matches!(client::call(self.admin, "GET", "/readyz", None, ""), Ok((200, _))) {
            if self.child.is_gone() {
                return Err(self.fail("it ended by itself"));
            }
            if started.elapsed() > READY_MAX {
                return Err(self.fail(&format!("not ready after {} s", READY_MAX.as_secs())));
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn make_webhook(&self, first: &Value) -> Result<String, Failure> {
        let (path, key) = (text(first, "api_path")?, text(first, "api_key")?);
        let webhook = json!({ "name": "bench", "template": shape::TEMPLATE }).to_string();
        let path = format!("{path}/webhooks/");
        match client::call(self.address, "POST", &path, Some(key), &webhook) {
            Ok((201, made)) => Ok(format!("/hooks/{}", text(&made, "slug")?)),
            other => Err(self.fail(&format!("it made no webhook: {other:?}"))),
        }
    }

    /// One request, so that everything before it, the webhook's own events too, is delivered before anything counts.
    fn probe(&mut self) -> Result<(), Failure> {
        let [small, _] = shape::Shape::all();
        match client::call(self.address, "POST", &self.hook, None, &small.body) {
            Ok((204, _)) => {}
            other => return Err(self.fail(&format!("it took no webhook: {other:?}"))),
        }
        self.await_delivery(Instant::now())?;
        self.counted_bytes = self.destination_bytes();
        if self.counted_bytes == 0 { Err(self.fail("nothing was delivered")) } else { Ok(()) }
    }

    fn readiness(&self) -> Result<Value, Failure> {
        match client::call(self.admin, "GET", "/readyz", None, "") {
            Ok((200, readiness)) => Ok(readiness),
            other => Err(self.fail(&format!("it is not ready any more: {other:?}"))),
        }
    }

    fn await_delivery(&self, since: Instant) -> Result<(), Failure> {
        loop {
            let readiness = self.readiness()?;
            let behind = readiness["destinations"][0]["frames_behind"].as_u64();
            if behind == Some(0) {
                return Ok(());
            }
            if since.elapsed() > DELIVERY_MAX {
                return Err(self.fail(&format!("its destination is still behind by {behind:?}")));
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn destination_bytes(&self) -> u64 {
        fs::metadata(&self.destination).map_or(0, |metadata| metadata.len())
    }

    /// Lines that end between what was counted before and `end`.
    fn count_lines(&mut self, end: u64) -> Result<u64, Failure> {
        let lines = lines_between(&self.destination, self.counted_bytes, end)
            .map_err(|fault| Failure::No(format!("{}: {fault}", self.destination.display())))?;
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

/// Account, workspace and key of a fresh data folder.
fn bootstrap(data: &Path) -> Result<Value, Failure> {
    let fail = |why: String| Failure::No(format!("bootstrap failed: {why}"));
    let mut command = program().map_err(|fault| fail(fault.to_string()))?;
    command.arg("bootstrap").arg("--data").arg(data).args(["-o", "json"]);
    let done = command.output().map_err(|fault| fail(fault.to_string()))?;
    if !done.status.success() {
        return Err(fail(String::from_utf8_lossy(&done.stderr).into_owned()));
    }
    serde_json::from_slice(&done.stdout).map_err(|fault| fail(fault.to_string()))
}

/// A listener on a port that nobody else has.
fn free_port() -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
}

fn settings_text(
    data: &Path,
    address: SocketAddr,
    admin_listen: SocketAddr,
    destination: &Path,
) -> String {
    let forward = Forward {
        to: format!("file:{}", destination.display()),
        rate: None,
        burst: None,
        on_full: None,
        bearer_file: None,
    };
    let server = Server {
        data: data.to_path_buf(),
        listen: vec![address],
        admin_listen,
        ..Server::default()
    };
    let spool = Spool { retention_max_bytes: RETENTION_MAX_BYTES, ..Spool::default() };
    let config = Config { server, spool, forward: vec![forward], ..Config::default() };
    toml::to_string(&config).expect("settings can be written as TOML")
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str, Failure> {
    let missing = || Failure::No(format!("the gateway's answer has no {name}"));
    value[name].as_str().ok_or_else(missing)
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
        let text = settings_text(Path::new("/data \"x\""), address, address, Path::new("/e"));
        let config: Config = toml::from_str(&text).expect("settings");
        assert_eq!(config.server.data, Path::new("/data \"x\""));
        assert_eq!(config.forward[0].to, "file:/e");
        assert_eq!(config.spool.retention_max_bytes, RETENTION_MAX_BYTES);
    }
}
