//! Where events go in the bench: a bare server on a thread of its own that reads the whole body, counts the events in
//! it, reads when they started, and says 204. In: requests. Out: counts and latencies. Never keeps a body; ends with
//! its value.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::super::load::STAMP_DIGITS;

/// What stands once in each event that was sent on, and in no payload of the bench.
const EVENT_MARK: &[u8] = b",\"received\":\"";
/// What stands before the moment a request started.
pub(super) const STAMP_MARK: &[u8] = b"\"sent\":\"";
/// Longest latency that is told apart; µs.
const LATENCY_MAX_MICROS: u64 = 60_000_000;

/// The server.
#[derive(Debug)]
pub(super) struct Sink {
    pub(super) address: SocketAddr,
    /// What stamps count from.
    pub(super) origin: Instant,
    seen: Arc<Seen>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What came.
#[derive(Debug)]
struct Seen {
    origin: Instant,
    events: AtomicU64,
    latency: Mutex<Histogram<u64>>,
}

impl Sink {
    pub(super) fn start() -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        listener.set_nonblocking(true)?;
        let (address, origin) = (listener.local_addr()?, Instant::now());
        let seen = Seen { origin, events: AtomicU64::new(0), latency: Mutex::new(no_latency()) };
        let seen = Arc::new(seen);
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shared = Arc::clone(&seen);
        let thread = std::thread::Builder::new().name("sink".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = listen(listener, shared) => {}
                }
            });
        })?;
        Ok(Self { address, origin, seen, stop: Some(stop), thread: Some(thread) })
    }

    /// Events that came since it was started.
    pub(super) fn events(&self) -> u64 {
        self.seen.events.load(Ordering::Relaxed)
    }

    /// From the start of each request to here, since the last time this was asked; µs.
    pub(super) fn take_latency(&self) -> Histogram<u64> {
        std::mem::replace(&mut *self.seen.latency(), no_latency())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // It panicked: whoever waited for events has said so.
            let _ = thread.join();
        }
    }
}

fn no_latency() -> Histogram<u64> {
    Histogram::new_with_max(LATENCY_MAX_MICROS, 3)
        .expect("three digits up to a minute fit a histogram")
}

impl Seen {
    fn latency(&self) -> MutexGuard<'_, Histogram<u64>> {
        self.latency.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, body: &[u8]) {
        let events = memchr::memmem::find_iter(body, EVENT_MARK).count();
        self.events.fetch_add(events as u64, Ordering::Relaxed);
        for started in stamps(body) {
            let took = self.origin.elapsed().saturating_sub(started);
            let micros = u64::try_from(took.as_micros()).unwrap_or(LATENCY_MAX_MICROS);
            self.latency().saturating_record(micros);
        }
    }
}

/// When the requests behind the events of a body started.
fn stamps(body: &[u8]) -> impl Iterator<Item = Duration> {
    memchr::memmem::find_iter(body, STAMP_MARK).filter_map(|at| {
        let digits = body.get(at + STAMP_MARK.len()..)?.get(..STAMP_DIGITS)?;
        Some(Duration::from_micros(std::str::from_utf8(digits).ok()?.parse().ok()?))
    })
}

async fn listen(listener: std::net::TcpListener, seen: Arc<Seen>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let seen = Arc::clone(&seen);
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| answer(request, &seen));
            // A connection that breaks is counted by whoever sends.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    seen: &Seen,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let mut response = Response::new(Empty::new());
    *response.status_mut() = match request.into_body().collect().await {
        Err(_) => StatusCode::BAD_REQUEST,
        Ok(body) => {
            seen.note(&body.to_bytes());
            StatusCode::NO_CONTENT
        }
    };
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_counted_and_stamps_are_read() {
        let sink = Sink::start().expect("a sink");
        let event =
            |sent: &str| format!("{{\"payload\":{{\"sent\":\"{sent}\"}},\"received\":\"x\"}}");
        let body = format!("[{},{}]", event("0000000000000001"), event("no"));
        sink.seen.note(body.as_bytes());
        sink.seen.note(b"{\"sent\":\"000");
        let latency = sink.take_latency();
        assert_eq!((sink.events(), latency.len()), (2, 1));
        assert_eq!(sink.take_latency().len(), 0);
    }
}
