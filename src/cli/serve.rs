//! `hookgate serve`: the gateway until it is told to stop. In: settings, signals. Out: log lines on stderr, word to the
//! service manager, and an exit code. SIGTERM and Ctrl-C drain, a second one ends at once; SIGHUP reopens files.

use std::ffi::OsStr;
use std::io;
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram};
use std::path::PathBuf;
use std::process;
use std::sync::Arc;

use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::output::{Failure, say};
use super::{ConfigFile, doctor, environment};
use crate::clock::Clock;
use crate::config::{self, Config, Flags, Loaded, LogFormat};
use crate::serve::{self, Gateway};
use crate::telemetry::log;

/// What a shell calls a process that was interrupted.
const INTERRUPTED: i32 = 130;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    file: ConfigFile,
    /// Data folder: records, spool, cursors; made by `hookgate bootstrap`
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address for webhooks and the API; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<SocketAddr>,
    /// Address of /livez, /readyz and /metrics
    #[arg(long, value_name = "ADDRESS")]
    admin_listen: Option<SocketAddr>,
    /// Destination, which gets every event; may be repeated
    #[arg(long, value_name = "DESTINATION", long_help = DESTINATIONS)]
    forward_to: Vec<String>,
    /// Longest time from SIGTERM to the end
    #[arg(long, value_name = "SECONDS")]
    drain_seconds: Option<u32>,
    /// Load the settings and the files they name, say whether they are fit to serve, and end
    #[arg(long)]
    check: bool,
}

const DESTINATIONS: &str = "\
Destination, which gets every event; may be repeated. Its text names it: what it has taken is remembered by it.

  stdout                             a line of JSON for each event
  file:PATH                          the same, appended to a file
  https://example.com/events         events by POST: JSON arrays, or another form
  prefect+http://127.0.0.1:4200/api  a Prefect server
  prefect+ws://127.0.0.1:4200/api    the same over its websocket; prefect+wss:// with TLS
  nats://127.0.0.1:4222/a.subject    messages that a JetStream stream keeps; nats+tls:// with TLS
  redis://127.0.0.1:6379/stream      entries of a Redis stream; rediss:// with TLS
  kafka://127.0.0.1:9092/topic       records of a Kafka topic; kafka+tls:// with TLS
  s3+https://s3.example.com/bucket   compressed lines, as objects of a bucket
  postgres://127.0.0.1/db/table      rows of a PostgreSQL table; postgres+tls:// with TLS

Behind a ? may stand rate=100/s (events), burst=500, request_rate=10/s, byte_rate=1000000/s, on_full=hold or
on_full=drop-oldest; for addresses also:

  form=FORM             array, single, ndjson, cloudevents, cloudevents-binary or cloudevents-batch
  batch_events=100      most events of one request; batch_bytes=65536 the same in bytes
  linger_ms=10          how long events wait for others to go with
  concurrency=8         most requests at once, for http and https; never two with events of one resource
  ordering=none         keeps no order: nothing waits behind a parked event of its resource
  retry_seconds=259200  what a destination does not take so long, while it takes nothing, is parked
  retry_first_ms=200    bound of the first pause after a failure; retry_most_ms=30000 of all
  bearer_file=FILE      its first line is the token; basic_file=FILE user:password
  headers_file=FILE     further headers, one a line
  sign_file=FILE        one or two secrets (whsec_...) that sign requests as Standard Webhooks says
  tls_ca=FILE           the only authorities that are trusted
  tls_certificate=FILE  shown to the server; tls_key=FILE is its key
  maxlen=1000000        most entries that a Redis stream keeps, about
  region=eu-central-1   of a bucket; gather_seconds=10 is how long events gather for an object
  create_table=true     makes the PostgreSQL table if it is not there

All but HTTP take batch_…, tls_… and a login, too: bearer_file with a token or password, basic_file with user:password,
for S3 access-key:secret-key. For file: there are also

  rotate_bytes=100000000  a file ends before it would be longer, rotate_seconds=86400 once it is older
  rotate_keep=30          so many that ended are kept, as PATH.20261129T013000000000Z; without it all

Other parameters stay the address's own; one of such a name is left to it when a letter is written as %xx.";

pub(super) const EXAMPLE: &str = "\
Example:
  hookgate bootstrap --data ./data
  hookgate serve --data ./data --forward-to file:events.ndjson

SIGTERM and Ctrl-C let what runs finish; a second one ends at once. SIGHUP opens file destinations again.";

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let file = args.file.config.clone();
    let check = args.check;
    let loaded = config::load(file.as_deref(), environment(), flags(args))?;
    if check {
        serve::check(&loaded.config).map_err(|fault| match fault {
            serve::ServeError::Forward(fault) => Failure::Forward(fault),
            fault => fault.into(),
        })?;
    }
    start_log(&loaded)?;
    if check {
        return Ok(());
    }
    let runtime = serve::runtime().map_err(serve::ServeError::from)?;
    let served = runtime.block_on(serve(&loaded.config));
    // A read of standard input or a stuck name look-up must not hold the end up.
    runtime.shutdown_background();
    served
}

/// The flags that were given, as settings.
fn flags(args: Args) -> Flags {
    let mut flags = Flags::new();
    if let Some(data) = args.data {
        flags.push(("server.data", "--data", data.to_string_lossy().into_owned().into()));
    }
    if !args.listen.is_empty() {
        let listen: Vec<String> = args.listen.iter().map(ToString::to_string).collect();
        flags.push(("server.listen", "--listen", listen.into()));
    }
    if let Some(address) = args.admin_listen {
        flags.push(("server.admin_listen", "--admin-listen", address.to_string().into()));
    }
    if !args.forward_to.is_empty() {
        let texts = args.forward_to.iter().map(String::as_str);
        flags.push(("forward", "--forward-to", config::forwards(texts)));
    }
    if let Some(seconds) = args.drain_seconds {
        flags.push(("server.drain_seconds", "--drain-seconds", i64::from(seconds).into()));
    }
    flags
}

fn start_log(loaded: &Loaded) -> Result<(), Failure> {
    let form = match loaded.config.log.format {
        LogFormat::Auto => log::Form::fitting(),
        LogFormat::Human => log::Form::Human,
        LogFormat::Json => log::Form::Json,
    };
    let wrong = |why: String| config::ConfigError::Conflict(format!("log.level: {why}"));
    log::start(&loaded.config.log.level, form).map_err(wrong)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    for finding in doctor::at_start(&loaded.config) {
        tracing::warn!("{}: {}", finding.what, finding.way_out);
    }
    Ok(())
}

/// A core file would hold the secrets that are in memory.
fn leave_no_core() {
    let limit = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(fault) = setrlimit(Resource::Core, limit) {
        tracing::warn!(%fault, "core files cannot be turned off");
    }
}

async fn serve(config: &Config) -> Result<(), Failure> {
    leave_no_core();
    // Asked for before anything starts: a signal that comes early is not lost.
    let mut signals = Signals::listen().map_err(serve::ServeError::from)?;
    let gateway = Gateway::start(config, Arc::new(Clock::System)).await?;
    for address in gateway.addresses() {
        tracing::info!(%address, "listening for webhooks and the API");
    }
    tracing::info!(address = %gateway.admin_address(), "listening for the operator");
    if config.forward.is_empty() {
        tracing::info!("the operator has set no destination: those of workspaces alone get events");
    }
    notify("READY=1");
    signals.stop(|| gateway.reopen()).await;
    notify("STOPPING=1");
    tracing::info!("stopping");
    tokio::select! {
        () = gateway.stop() => tracing::info!("stopped"),
        () = signals.stop(|| ()) => {
            say("hookgate: stopped at once; what was kept goes on at the next start");
            process::exit(INTERRUPTED);
        }
    }
    Ok(())
}

/// The signals that a gateway heeds.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Ready at the next signal to stop; `reopen` is called for each hang-up until then.
    async fn stop(&mut self, reopen: impl Fn()) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    tracing::info!("opening file destinations again");
                    reopen();
                }
            }
        }
    }
}

/// Tells the service manager, when one asked for it.
fn notify(state: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(fault) = send(&path, state) {
        tracing::warn!(%fault, "the service manager could not be told");
    }
}

fn send(path: &OsStr, state: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    let sent = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => socket.send_to_addr(state.as_bytes(), &UnixAddr::from_abstract_name(name)?),
        None => socket.send_to(state.as_bytes(), path),
    };
    sent.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_manager_hears_by_path_and_by_abstract_name() {
        let path = std::env::temp_dir().join(format!("hookgate-notify-{}", process::id()));
        let name = format!("hookgate-notify-{}", process::id());
        let abstract_address = UnixAddr::from_abstract_name(&name).expect("a name");
        let listeners = [
            UnixDatagram::bind(&path).expect("a socket"),
            UnixDatagram::bind_addr(&abstract_address).expect("a socket"),
        ];
        let named = format!("@{name}");
        for (listener, to) in listeners.iter().zip([path.as_os_str(), OsStr::new(&named)]) {
            send(to, "READY=1").expect("a listener");
            let mut buffer = [0; 32];
            let count = listener.recv(&mut buffer).expect("a word");
            assert_eq!(&buffer[..count], b"READY=1");
        }
        std::fs::remove_file(path).expect("the socket's file");
    }
}
