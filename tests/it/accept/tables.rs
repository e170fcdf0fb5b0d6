//! Tables of headers over HTTP/2: none is wanted, who keeps one all the same goes on, and who keeps much alive by it is
//! sent away.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::floods::{GET, GO_AWAY, HEADERS, PREFACE, SETTINGS, frame};
use super::{PATIENCE, Served, serve};

const DRAINED: &str = "hookgate_accept_refusals_total{reason=\"table-drained\"}";
const CUT: &str = "hookgate_accept_refusals_total{reason=\"table-cut\"}";
/// A kind that nobody knows: it is read and thrown away.
const UNKNOWN: u8 = 0xfa;
/// `SETTINGS_HEADER_TABLE_SIZE` is 0.
const NO_TABLE: &[u8] = &[0, 1, 0, 0, 0, 0];

/// A connection that reads frame by frame.
struct Peer {
    stream: TcpStream,
    sent: u32,
}

impl Peer {
    async fn new(served: &Served) -> Self {
        let mut stream = served.connect().await;
        stream.write_all(PREFACE).await.expect("it reads");
        Self { stream, sent: 0 }
    }

    /// The next frame's kind and payload; none at the end.
    async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 9];
        let read = self.stream.read_exact(&mut head);
        timeout(PATIENCE, read).await.expect("in time").ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).await.ok()?;
        Some((head[3], payload))
    }

    /// A request with an entry of its own for the table, behind these bytes of a block, and with so much behind it.
    fn request(&mut self, before: &[u8], filler: usize) -> Vec<u8> {
        self.sent += 1;
        let entry = format!("{:08}", self.sent);
        let block = [before, GET, b"\x40\x01a\x08", entry.as_bytes()].concat();
        let head = frame(HEADERS, 0x5, 2 * self.sent - 1, &block);
        [head, frame(UNKNOWN, 0, 0, &vec![0; filler])].concat()
    }

    /// Reads until an answer or a farewell came; `false`: the latter, or the end.
    async fn is_answered(&mut self) -> bool {
        loop {
            match self.frame().await {
                Some((HEADERS, _)) => return true,
                Some((GO_AWAY, _)) | None => return false,
                Some(_) => {}
            }
        }
    }
}

fn are_counted(served: &Served, drained: u32, cut: u32) -> bool {
    served.counted(&format!("{DRAINED} {drained}\n")) && served.counted(&format!("{CUT} {cut}\n"))
}

#[tokio::test]
async fn a_table_that_keeps_much_alive_drains_its_connection_and_then_cuts_it() {
    let served = serve(|_| ());
    let mut peer = Peer::new(&served).await;
    assert!(peer.frame().await.is_some_and(|(kind, payload)| {
        kind == SETTINGS && payload.chunks(6).any(|one| one == NO_TABLE)
    }));
    // A buffer of 16 KiB each, which counts twice.
    let mut answered = 0;
    loop {
        let request = peer.request(b"", 16 << 10);
        peer.stream.write_all(&request).await.expect("it reads");
        if !peer.is_answered().await {
            break;
        }
        answered += 1;
    }
    assert!((14..=17).contains(&answered), "{answered}");
    assert!(are_counted(&served, 1, 0));
    // It goes on as if nobody had said anything.
    for _ in 0..40 {
        let request = peer.request(b"", 16 << 10);
        if peer.stream.write_all(&request).await.is_err() {
            break;
        }
    }
    while peer.frame().await.is_some() {}
    assert!(are_counted(&served, 1, 1));
}

#[tokio::test]
async fn who_is_sent_away_and_stays_is_ended_soon() {
    // Long before it would be for being idle.
    let served = serve(|options| options.idle = PATIENCE * 6);
    let mut peer = Peer::new(&served).await;
    loop {
        let request = peer.request(b"", 16 << 10);
        peer.stream.write_all(&request).await.expect("it reads");
        if !peer.is_answered().await {
            break;
        }
    }
    while peer.frame().await.is_some() {}
    assert!(are_counted(&served, 1, 0));
}

#[tokio::test]
async fn who_keeps_a_table_all_the_same_goes_on() {
    let served = serve(|_| ());
    let mut peer = Peer::new(&served).await;
    for _ in 0..2000 {
        let request = peer.request(b"", 300);
        peer.stream.write_all(&request).await.expect("it reads");
        assert!(peer.is_answered().await, "request {}", peer.sent);
    }
    assert!(are_counted(&served, 0, 0));
}

#[tokio::test]
async fn who_heeds_our_settings_or_fills_no_table_may_send_what_it_likes() {
    let served = serve(|_| ());
    let mut peer = Peer::new(&served).await;
    // The first blocks come before our settings could be heeded.
    let first = peer.request(b"", 16 << 10);
    let acknowledged = frame(SETTINGS, 0x1, 0, b"");
    let then = peer.request(b"\x20", 16 << 10);
    peer.stream.write_all(&[first, acknowledged, then].concat()).await.expect("it reads");
    assert!(peer.is_answered().await && peer.is_answered().await);
    for _ in 0..100 {
        let request = peer.request(b"", 16 << 10);
        peer.stream.write_all(&request).await.expect("it reads");
        assert!(peer.is_answered().await, "request {}", peer.sent);
    }
    // A client that is one of ours, with bodies.
    let io = TokioIo::new(served.connect().await);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2");
    let connection = tokio::spawn(connection);
    for number in 0..100 {
        sender.ready().await.expect("it is open");
        let body = Full::new(Bytes::from(vec![b'b'; 20_000]));
        let request = Request::post("http://x/echo").header("x-number", number).body(body);
        let answer = sender.send_request(request.expect("a request"));
        let answer = timeout(PATIENCE, answer).await.expect("in time").expect("an answer");
        assert_eq!(answer.status(), 200);
    }
    assert!(!connection.is_finished() && are_counted(&served, 0, 0));
}

#[tokio::test]
async fn tables_of_many_connections_have_their_bound() {
    // An eighth is for all of them.
    let served =
        serve(|options| (options.heads_max_bytes, options.linger) = (1 << 20, PATIENCE * 6));
    let mut peers = Vec::new();
    for _ in 0..20 {
        let mut peer = Peer::new(&served).await;
        for _ in 0..3 {
            let request = peer.request(b"", 16 << 10);
            peer.stream.write_all(&request).await.expect("it reads");
            // What is answered may be a farewell.
            peer.is_answered().await;
        }
        peers.push(peer);
    }
    // Two have 48 KiB of it each; the others are below the margin.
    assert!(are_counted(&served, 18, 0), "{}", served.telemetry.print());
    for peer in &mut peers[2..] {
        let request = [peer.request(b"", 16 << 10), peer.request(b"", 16 << 10)].concat();
        let _ = peer.stream.write_all(&request).await;
        while peer.frame().await.is_some() {}
    }
    assert!(are_counted(&served, 18, 18));
    // Who keeps no table is served beside them.
    let mut usual = Peer::new(&served).await;
    let request = usual.request(b"\x20", 0);
    usual.stream.write_all(&request).await.expect("it reads");
    assert!(usual.is_answered().await);
}
