//! `hookgate doctor`: settings and states that are unsafe, each with its reason and the way out. In: settings, a data
//! folder with its records, this process's user and limits. Out: findings as lines or JSON. Reads only; needs no
//! running gateway, and may look beside one.

mod bounds;
mod certificates;
mod records;
#[cfg(test)]
mod tests;

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::process::{Resource, geteuid, getrlimit};
use serde_json::json;

use super::output::{Failure, print_line, say};
use super::{ConfigFile, Form, environment};
use crate::clock::{Clock, Time};
use crate::config::{self, Config};
use crate::seal::Keys;
use crate::spool::{self, Lying};
use crate::{feed, serve, store};

/// Bits of a file's mode that let others than its owner in.
const OTHERS: u32 = 0o077;
/// Those that let in whoever is neither its owner nor of its group.
const STRANGERS: u32 = 0o007;
/// Descriptors that the gateway keeps for what is no connection.
const DESCRIPTORS_KEPT: u64 = 128;
/// No clock that is right shows less: this was written later.
const EARLIEST: &str = "2026-01-01T00:00:00Z";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    file: ConfigFile,
    /// Data folder, instead of the one that settings name
    #[arg(long, value_name = "DIR")]
    data: Option<std::path::PathBuf>,
    #[command(flatten)]
    form: Form,
}

pub(super) const EXAMPLE: &str = "\
Looks at settings, files and limits as the user who runs it: run it as the gateway's. Exits 0 when nothing is an error,
1 when something is, 3 when the settings do not load.

Examples:
  hookgate doctor --data ./data
  sudo -u hookgate hookgate doctor --config /etc/hookgate/config.toml -o json";

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    /// Worth knowing.
    Notice,
    /// Unsafe where strangers are.
    Warning,
    /// Unsafe, or does not work.
    Error,
}

impl Severity {
    fn name(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    severity: Severity,
    /// Its stable name.
    name: &'static str,
    /// What was found.
    pub(super) what: String,
    /// Why that matters.
    why: &'static str,
    /// The way out.
    pub(super) way_out: String,
}

/// What is found, gathered.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(
        &mut self,
        (severity, name): (Severity, &'static str),
        what: String,
        why: &'static str,
        way_out: &str,
    ) {
        self.0.push(Finding { severity, name, what, why, way_out: way_out.to_owned() });
    }
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let data = args.data.iter().map(|data| data.to_string_lossy().into_owned());
    let flags = data.map(|data| ("server.data", "--data", data.into())).collect();
    let loaded = config::load(args.file.config.as_deref(), environment(), flags)?;
    for warning in &loaded.warnings {
        say(&format!("hookgate: warning: {warning}"));
    }
    let findings = examine(&loaded.config);
    for finding in &findings {
        let Finding { severity, name, what, why, way_out } = finding;
        if args.form.is_json() {
            let row = json!({
                "severity": severity.name(), "name": name, "what": what, "why": why, "way_out": way_out,
            });
            print_line(&row.to_string())?;
        } else {
            print_line(&format!("{}: {what} [{name}]", severity.name()))?;
            print_line(&format!("  why: {why}"))?;
            print_line(&format!("  way out: {way_out}"))?;
        }
    }
    if findings.is_empty() {
        say("nothing unsafe was found");
    }
    let is_bad = findings.iter().any(|finding| finding.severity == Severity::Error);
    if is_bad { Err(Failure::Told) } else { Ok(()) }
}

/// All that is found, the worst first.
fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = Findings::default();
    sockets(config, &mut findings);
    trust(config, &mut findings);
    bounds::look(config, &mut findings);
    files(config, &mut findings);
    certificates::own(config, &mut findings);
    records::look(config, &mut findings);
    let most = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    descriptors(config, most, &mut findings);
    clock(Clock::System.now(), &mut findings);
    if let Ok(found) = rustix::fs::statvfs(&config.server.data) {
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        disk(config, (bytes(found.f_bavail), bytes(found.f_blocks)), &mut findings);
    }
    room(config, &spool::look(&config.server.data), &mut findings);
    findings.0.extend(at_start(config));
    start(config, &mut findings);
    findings.0.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings.0
}

/// What keeps a gateway from starting, found by what starts it; once, where it was named before.
fn start(config: &Config, findings: &mut Findings) {
    let Err(fault) = serve::check(config) else { return };
    let what = fault.to_string();
    let mut errors = findings.0.iter().filter(|found| found.severity == Severity::Error);
    if errors.any(|found| what.starts_with(&found.what)) {
        return;
    }
    findings.add(
        (Severity::Error, "no-start"),
        what,
        "a gateway does not start with that",
        "set it right; hookgate serve --check tells the same",
    );
}

/// What the log tells at each start.
pub(super) fn at_start(config: &Config) -> Vec<Finding> {
    let found = as_user(config, geteuid().is_root(), config::credentials().as_deref());
    let mut findings = Findings(found);
    records::unfit(config, Clock::System.now(), &mut findings);
    findings.0
}

fn as_user(config: &Config, is_root: bool, credentials: Option<&Path>) -> Vec<Finding> {
    let mut findings = Findings::default();
    if is_root {
        findings.add(
            (Severity::Warning, "root"),
            "this runs as root".to_owned(),
            "a hole in it would be a hole in the whole machine; it needs no rights of root",
            "run it as a user of its own: deploy/systemd/hookgate.service does",
        );
    }
    if let Some(path) = config.store.keys_in(credentials) {
        let name = (Severity::Error, "key-file-mode");
        open_to(others(&path, credentials), &path, name, &mut findings);
    }
    findings.0
}

fn sockets(config: &Config, findings: &mut Findings) {
    let server = &config.server;
    let is_exposed = |address: &SocketAddr| !address.ip().is_loopback();
    if is_exposed(&server.admin_listen) {
        let severity =
            if is_private(server.admin_listen.ip()) { Severity::Warning } else { Severity::Error };
        findings.add(
            (severity, "admin-exposed"),
            format!("server.admin_listen is {}", server.admin_listen),
            "metrics and readiness have no password",
            "listen on 127.0.0.1, or on an address that only the monitoring reaches",
        );
    }
    let exposed: Vec<String> =
        server.listen.iter().filter(|one| is_exposed(one)).map(ToString::to_string).collect();
    if exposed.is_empty() && !config.events.open_server_mode {
        return;
    }
    // A page's own name leads a browser to loopback, too.
    if server.hosts.is_empty() {
        findings.add(
            (Severity::Notice, "any-host"),
            "server.hosts is empty".to_owned(),
            "a page that gives its own name this address can speak to the gateway from a browser",
            "set server.hosts to the names that the gateway is called by",
        );
    }
    if exposed.is_empty() {
        return;
    }
    if server.tls_certificate.is_none() && server.trusted_proxies.is_empty() {
        findings.add(
            (Severity::Warning, "no-tls"),
            format!("{} listens without TLS, and behind no proxy", exposed.join(", ")),
            "slugs, keys and passwords can be read on the way",
            "set server.tls_certificate and server.tls_key, or name the proxy in server.trusted_proxies",
        );
    }
    if config.limits.peer_rate.is_none() {
        findings.add(
            (Severity::Notice, "no-peer-rate"),
            "limits.peer_rate is not set".to_owned(),
            "one peer may send as much as the machine takes; only what is wrong about slugs and keys has a bound",
            "set limits.peer_rate, such as \"100/s\"",
        );
    }
    if config.limits.connections_per_peer_max == 0 {
        findings.add(
            (Severity::Notice, "no-peer-connections"),
            "limits.connections_per_peer_max is 0".to_owned(),
            "one peer may hold all connections; idle ones are closed first, those that speak are not",
            "set limits.connections_per_peer_max, unless all senders have the address of one proxy",
        );
    }
}

fn trust(config: &Config, findings: &mut Findings) {
    if let Some(wide) = bounds::wide(&config.server.trusted_proxies) {
        findings.add(
            (Severity::Error, "trusts-everybody"),
            format!("server.trusted_proxies holds {wide}"),
            "everybody may say to be another address: limits and allow-lists of addresses hold nobody",
            "name the networks of your own proxies only",
        );
    }
    if let Some(wide) = bounds::wide(&config.egress.allow) {
        findings.add(
            (Severity::Warning, "egress-everywhere"),
            format!("egress.allow holds {wide}"),
            "whoever may make a destination reaches every address that this machine reaches",
            "name the networks that destinations need",
        );
    }
    if config.events.open_server_mode {
        findings.add(
            (Severity::Warning, "open-events"),
            "events.open_server_mode is on".to_owned(),
            "whoever reaches the listener publishes and reads events without a key",
            "turn it off, or listen on loopback only",
        );
    }
    if config.events.reserved_names {
        findings.add(
            (Severity::Warning, "free-names"),
            "events.reserved_names is on".to_owned(),
            "clients can publish events that look like the gateway's own, its audit trail among them",
            "turn it off",
        );
    }
}

fn files(config: &Config, findings: &mut Findings) {
    let data = &config.server.data;
    if data.join(store::FILE_NAME).is_file() {
        open_to(OTHERS, data, (Severity::Error, "data-folder-mode"), findings);
    } else {
        findings.add(
            (Severity::Error, "no-data"),
            format!("{}: no records are there", data.display()),
            "a gateway does not start without an account",
            &format!("hookgate bootstrap --data {}", data.display()),
        );
    }
    if let Some(path) = &config.server.tls_key {
        let others = others(path, config::credentials().as_deref());
        open_to(others, path, (Severity::Warning, "tls-key-mode"), findings);
    }
    match config.store.keys().map(|path| Keys::open(&path)) {
        Some(Err(fault)) => findings.add(
            (Severity::Error, "key-file"),
            fault.to_string(),
            "a gateway does not start when it cannot open what is sealed",
            "put the file of keys back, from where its copy is kept",
        ),
        Some(Ok(_)) => {}
        None => findings.add(
            (Severity::Notice, "not-sealed"),
            "store.key_file is not set".to_owned(),
            "secrets of webhooks and destinations lie in the data folder, and its backups, as they are",
            "hookgate secrets init FILE, and name it as store.key_file",
        ),
    }
}

/// Who is not to read a file. Where systemd puts credentials, a list lets the service's user in, and the bits of the
/// group are the bound of that list.
fn others(path: &Path, credentials: Option<&Path>) -> u32 {
    let whole = |path: &Path| path.canonicalize().ok();
    let given = credentials.and_then(whole).zip(whole(path));
    let is_given = given.is_some_and(|(folder, path)| path.starts_with(folder));
    if is_given { STRANGERS } else { OTHERS }
}

fn open_to(others: u32, path: &Path, name: (Severity, &'static str), findings: &mut Findings) {
    match fs::metadata(path) {
        Ok(found) if found.permissions().mode() & others == 0 => {}
        Ok(found) => findings.add(
            name,
            format!("{} has mode {:o}", path.display(), found.permissions().mode() & 0o7777),
            "others than its owner can read it",
            &format!("chmod go= {}", path.display()),
        ),
        Err(fault) => findings.add(
            name,
            format!("{}: {fault}", path.display()),
            "it cannot be looked at",
            "name a file that is there, or run this as the gateway's user",
        ),
    }
}

fn descriptors(config: &Config, most: u64, findings: &mut Findings) {
    let wanted = config.limits.connections_max as u64 + DESCRIPTORS_KEPT;
    if most < wanted {
        findings.add(
            (Severity::Warning, "descriptors"),
            format!("{most} descriptors are allowed, limits.connections_max asks for {wanted}"),
            "fewer connections fit than the settings say",
            &format!("LimitNOFILE={wanted} in the service, or `ulimit -n {wanted}`"),
        );
    }
}

fn clock(now: Time, findings: &mut Findings) {
    if Time::parse(EARLIEST).is_some_and(|earliest| now < earliest) {
        findings.add(
            (Severity::Error, "clock"),
            format!("the clock shows {now}"),
            "signatures, keys and events are judged and kept by it",
            "set the clock, and let it be kept by NTP",
        );
    }
}

fn disk(config: &Config, (free, whole): (u64, u64), findings: &mut Findings) {
    let floor = config.spool.free_min_bytes;
    let way_out = "make room, or move the data folder to a larger file system";
    if free < floor {
        findings.add(
            (Severity::Error, "disk-full"),
            format!("{} MiB are free, spool.free_min_bytes is {} MiB", free >> 20, floor >> 20),
            "senders are answered 503",
            way_out,
        );
    } else if free < floor.saturating_mul(2) {
        findings.add(
            (Severity::Warning, "disk-nearly-full"),
            format!("{} MiB are free, spool.free_min_bytes is {} MiB", free >> 20, floor >> 20),
            "soon senders are answered 503",
            way_out,
        );
    }
    let asked = config.spool.max_bytes.saturating_add(config.feed.max_bytes);
    if asked.saturating_add(floor) > whole {
        findings.add(
            (Severity::Warning, "disk-too-small"),
            format!("spool and index may take {} MiB of {} MiB", asked >> 20, whole >> 20),
            "the file system is full before the bounds of the settings are reached",
            "lower spool.max_bytes and feed.max_bytes, or use a larger file system",
        );
    }
}

fn room(config: &Config, lying: &Lying, findings: &mut Findings) {
    let bound = config.spool.max_bytes;
    if lying.bytes > bound {
        findings.add(
            (Severity::Warning, "spool-over-bound"),
            format!(
                "the spool has {} MiB, spool.max_bytes is {} MiB",
                lying.bytes >> 20,
                bound >> 20
            ),
            "senders are answered 503 until enough of it is delivered and indexed",
            "raise spool.max_bytes, or let the destinations take what waits",
        );
    }
    let held = lying.held.get(feed::READER).copied().unwrap_or_default();
    if held > bound / 2 {
        findings.add(
            (Severity::Warning, "index-behind"),
            format!("the index of events holds {} MiB of the spool, of {} MiB", held >> 20, bound >> 20),
            "what it does not hold is kept in the spool, and senders are answered 503 once that is full",
            "see index and degraded of /readyz; where the index fails: stop the gateway, delete feed.db* in the data \
             folder and start it, and the index is built again",
        );
    }
}

fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_private() || address.is_link_local(),
        IpAddr::V6(address) => address.is_unique_local() || address.is_unicast_link_local(),
    }
}
