//! The servers that the gateway is held against, each a process of its own. In: a kind and a folder. Out: a line with
//! the address, then answers. `bare` reads the whole body and says 204: nothing is faster with this HTTP library.
//! `durable` appends and syncs the raw body before: nothing with a trustworthy "ok" is faster on this disk.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::cli::output::{Failure, print_line};
use crate::clock::Clock;
use crate::id::Uuid;
use crate::spool::{self, Capture, Frame, Spool};
use crate::telemetry::Telemetry;

/// Bytes of what is kept though nobody wants it any more: little, so that segments are used again soon, as they are
/// in a gateway that has run for a while.
pub(super) const RETENTION_MAX_BYTES: u64 = 256 << 20;

/// One process of a bench.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Server {
    /// Reads the body and answers
    Bare,
    /// Keeps the raw body and answers
    Durable {
        /// Folder of the spool
        data: PathBuf,
    },
    /// This program with those arguments
    Gateway {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

/// Serves until whoever started it ends it, or is gone.
pub(in crate::cli) fn serve(server: Server) -> Result<(), Failure> {
    follow_parent();
    let spool = match server {
        Server::Bare => None,
        Server::Durable { data } => Some(open(&data)?),
        Server::Gateway { arguments } => {
            let program = std::env::current_exe().map_err(|fault| no("this program", &fault))?;
            let fault = std::process::Command::new(program).args(arguments).exec();
            return Err(no("the gateway", &fault));
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|fault| no("a runtime", &fault))?.block_on(listen(spool))
}

/// A bench that is killed leaves no servers behind.
fn follow_parent() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM));
}

fn no(what: &str, fault: &std::io::Error) -> Failure {
    Failure::No(format!("{what}: {fault}"))
}

fn open(data: &Path) -> Result<Spool, Failure> {
    let options =
        spool::Options { retention_max_bytes: RETENTION_MAX_BYTES, ..spool::Options::default() };
    let (spool, _) = Spool::open(data, options, &Arc::new(Clock::System), &Telemetry::new())?;
    Ok(spool)
}

async fn listen(spool: Option<Spool>) -> Result<(), Failure> {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = TcpListener::bind(address).await.map_err(|fault| no("listening", &fault))?;
    let address = listener.local_addr().map_err(|fault| no("listening", &fault))?;
    let posture = spool.as_ref().map_or("none", |spool| spool.status().posture);
    print_line(&format!("{address} {posture}"))?;
    loop {
        let (stream, _) = listener.accept().await.map_err(|fault| no("accepting", &fault))?;
        tokio::spawn(answer_all(stream, spool.clone()));
    }
}

/// Serves one connection.
async fn answer_all(stream: TcpStream, spool: Option<Spool>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request: Request<Incoming>| answer(request, spool.as_ref()));
    // A connection that breaks is counted by whoever measures.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: Request<Incoming>,
    spool: Option<&Spool>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let mut response = Response::new(Empty::new());
    *response.status_mut() = match request.into_body().collect().await {
        Err(_) => StatusCode::BAD_REQUEST,
        Ok(body) => keep(body.to_bytes(), spool).await,
    };
    Ok(response)
}

/// The raw body in a frame with its checksum, synced; nothing is parsed, nothing rendered.
async fn keep(body: Bytes, spool: Option<&Spool>) -> StatusCode {
    let Some(spool) = spool else { return StatusCode::NO_CONTENT };
    let capture = Capture { body, ..Capture::default() };
    let frame = Frame::encode(Uuid::nil(), None, Clock::System.now(), &[], Some(&capture));
    match spool.append(frame).await {
        Ok(_) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
