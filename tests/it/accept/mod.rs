//! The sockets, met as strangers meet them: raw bytes to a real listener on port 0 and a small handler behind it.

mod floods;
mod heads;
mod http1;
mod life;
mod tables;
mod upgrades;
mod versions;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookgate::accept::websocket::{self, Heard, Socket};
use hookgate::accept::{Body, BodyError, Handler, Options, Reply, Sockets};
use hookgate::clock::{Clock, Time};
use hookgate::request::Arrival;
use hookgate::telemetry::Telemetry;
use hookgate::telemetry::accept::Facts;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

/// No single wait of a test is longer.
const PATIENCE: Duration = Duration::from_secs(10);
const BODY_MAX_BYTES: u64 = 5 << 20;

struct Small;

impl Handler for Small {
    async fn answer(&self, arrival: Arrival, body: Body) -> Reply {
        let text = match arrival.path() {
            "/echo" => match body.read(BODY_MAX_BYTES).await {
                Ok(content) => content.decoded,
                Err(error) => return refuse(&error),
            },
            "/peer" => format!("peer {} {}", arrival.peer, arrival.secure).into(),
            "/slow" => {
                tokio::time::sleep(Duration::from_millis(300)).await;
                Bytes::from_static(b"at last")
            }
            "/big" => vec![b'x'; 32 << 20].into(),
            "/socket" => return websocket::accept(&arrival.headers, None, echo),
            "/panic" => panic!("a handler that is broken"),
            "/none" => return Reply::empty(StatusCode::NO_CONTENT),
            _ => return Reply::detail(StatusCode::NOT_FOUND, "Not Found"),
        };
        let mut reply = Reply::empty(StatusCode::OK);
        reply.body = text;
        reply
    }
}

/// Sends every text back, until there is a reason to end.
async fn echo(mut socket: Socket) {
    loop {
        match socket.hear().await {
            Heard::Text(text) => {
                if socket.say(text).await.is_err() {
                    return;
                }
            }
            Heard::Ping | Heard::Binary => {}
            Heard::Draining => return socket.close(1012, "later").await,
            Heard::Fault(code, reason) => return socket.close(code, reason).await,
            Heard::Closed | Heard::Lost => return socket.close(1000, "").await,
        }
    }
}

fn refuse(error: &BodyError) -> Reply {
    let status = match error {
        BodyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        BodyError::TooSlow => StatusCode::REQUEST_TIMEOUT,
        BodyError::Malformed(_) => StatusCode::BAD_REQUEST,
        BodyError::Encoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        BodyError::Crowded { .. } => StatusCode::SERVICE_UNAVAILABLE,
    };
    Reply::detail(status, "refused").closing()
}

struct Served {
    address: SocketAddr,
    sockets: Sockets,
    stop: watch::Sender<bool>,
    telemetry: Telemetry,
}

/// A listener with the defaults but for what the test changes.
fn serve(change: impl FnOnce(&mut Options)) -> Served {
    let mut options = Options::default();
    change(&mut options);
    let (telemetry, clock) = (Telemetry::new(), Clock::fixed(Time::from_micros(1)));
    let facts = Facts::register(&telemetry);
    let sockets = Sockets::new(Arc::new(options), Arc::new(clock), facts).expect("good options");
    let listener = sockets.listen(([127, 0, 0, 1], 0).into()).expect("a free port");
    let (address, (stop, stopped)) = (listener.local_addr(), watch::channel(false));
    tokio::spawn(listener.run(Arc::new(Small), stopped));
    Served { address, sockets, stop, telemetry }
}

impl Served {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("the listener is there")
    }

    /// All that comes back for `bytes`, up to the end of the connection.
    async fn tell(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_ref()).await.expect("the peer reads");
        read_all(&mut stream).await
    }

    /// The same for a peer that sends one byte after the other.
    async fn tell_slowly(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.set_nodelay(true).expect("a socket option");
        for byte in bytes {
            if stream.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        read_all(&mut stream).await
    }

    fn counted(&self, line: &str) -> bool {
        self.telemetry.print().contains(line)
    }
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut text))
        .await
        .expect("the connection ends in time")
        .expect("and without a reset");
    String::from_utf8(text).expect("text")
}

/// Reads until `end` was read.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).ends_with(end) {
        let mut chunk = [0; 4096];
        let count = timeout(PATIENCE, stream.read(&mut chunk)).await.expect("in time");
        let count = count.expect("no reset");
        assert!(count > 0, "ended after {:?}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&chunk[..count]);
    }
    String::from_utf8(text).expect("text")
}

/// The statuses of all answers in `text`.
fn statuses(text: &str) -> Vec<u16> {
    text.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].parse().expect("a status")).collect()
}
