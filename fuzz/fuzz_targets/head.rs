//! Request parsing. In: the bytes of one HTTP/1 connection; the first says in what pieces they come. Holds: pieces
//! change nothing, what is held back is bounded, nothing passes behind a refusal, and the parser behind never sees a
//! request that the scanner did not (no smuggling). The same bytes are frames of HTTP/2: there, too, pieces change
//! nothing, and what a table may keep alive is bounded by what came.
#![no_main]

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use hookgate::accept::{Block, BlockScan, HeadLimits, Scanner};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use libfuzzer_sys::fuzz_target;

/// Small enough for the fuzzer to reach each bound.
const LIMITS: HeadLimits =
    HeadLimits { line_max_bytes: 256, head_max_bytes: 1024, headers_max: 16 };

fuzz_target!(|input: &[u8]| {
    let Some((step, bytes)) = input.split_first() else { return };
    let followed = follow(bytes, 1);
    assert_eq!(
        follow(bytes, 1 + usize::from(*step)),
        followed,
        "frames in pieces of {step} and one"
    );
    let slow = read(bytes, 1);
    for step in [1 + usize::from(*step), bytes.len()] {
        let quick = read(bytes, step);
        assert_eq!((quick.passed, quick.refused), (slow.passed, slow.refused), "pieces of {step}");
    }
    let (served, all) = serve(&bytes[..slow.passed]);
    assert!(slow.requests.starts_with(&served), "scanned {:?}, served {served:?}", slow.requests);
    assert!(!all || !slow.kept_open || slow.requests == served, "served {served:?}");
});

/// How far the last header block of HTTP/2 is, and what the table may keep alive.
fn follow(bytes: &[u8], step: usize) -> (Block, u64, u64) {
    let frames = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], bytes].concat();
    let (mut scan, mut block) = (BlockScan::new(), Block::Whole);
    for piece in frames.chunks(step) {
        block = scan.feed(piece).block;
    }
    assert!(scan.table_bytes() <= 16 * frames.len() as u64, "{} bytes", scan.table_bytes());
    (block, scan.block_bytes(), scan.table_bytes())
}

/// What the scanner made of a connection.
#[derive(Debug, Default)]
struct Reading {
    /// Method and path of each head that passed; only when bytes come one by one.
    requests: Vec<String>,
    /// No head says that its connection ends, and no body is cut.
    kept_open: bool,
    /// Bytes the parser gets.
    passed: usize,
    refused: bool,
}

/// Shows the bytes as a connection would: what did not pass is shown again with more behind it.
fn read(bytes: &[u8], step: usize) -> Reading {
    let mut scanner = Scanner::new(LIMITS);
    let (mut reading, mut end, mut closes) = (Reading::default(), 0, false);
    while end < bytes.len() && !reading.refused {
        end = (end + step).min(bytes.len());
        let shown = &bytes[reading.passed..end];
        let before = scanner.heads();
        let scan = scanner.scan(shown);
        let head = &shown[..scan.passed];
        if step == 1 && scanner.heads() > before {
            // No byte of a head passes before all of it does.
            reading.requests.push(keeps_the_rules(head));
            let head = head.to_ascii_lowercase();
            let has = |words: &[u8]| head.windows(words.len()).any(|window| window == words);
            closes |= [&b"connect"[..], b"upgrade", b"http/1.0"].into_iter().any(has);
        }
        reading.passed += scan.passed;
        reading.refused = scan.refusal.is_some();
        let held = end - reading.passed;
        assert!(reading.refused || held <= LIMITS.head_max_bytes, "{held} bytes are held back");
    }
    if reading.refused {
        assert_eq!(scanner.scan(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").passed, 0, "it is closed");
    }
    reading.kept_open = !closes && !reading.refused && scanner.between_messages();
    reading
}

/// What no head that passes may leave open, read in the plainest way; its method and path.
fn keeps_the_rules(head: &[u8]) -> String {
    let text: String = head.iter().map(|byte| char::from(*byte)).collect();
    let mut lines = text.trim_start_matches("\r\n").split("\r\n");
    let line = lines.next().unwrap_or_default();
    let values = |wanted: &str| {
        let pair = |line: &str| {
            line.split_once(':').map(|(n, v)| (n.to_lowercase(), v.trim().to_lowercase()))
        };
        let fields = lines.clone().filter_map(pair);
        fields.filter(|(name, _)| name == wanted).map(|(_, value)| value).collect::<Vec<_>>()
    };
    let (lengths, codings) = (values("content-length"), values("transfer-encoding"));
    assert!(lengths.len() + codings.len() <= 1, "two framings: {text:?}");
    assert!(lengths.iter().all(|length| length.parse::<u64>().is_ok()), "{lengths:?}");
    assert!(codings.iter().all(|coding| coding == "chunked"), "{codings:?}");
    assert!(values("host").len() == 1 || line.ends_with("HTTP/1.0"), "a host: {text:?}");
    assert!(text.matches('\n').count() == text.matches("\r\n").count());
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    name(method, target)
}

/// A request in one word; the parser may write other forms of targets anew.
fn name(method: &str, target: &str) -> String {
    format!("{method} {}", if target.starts_with('/') { target } else { "" })
}

/// The requests that hyper reads out of the same bytes, bodies read whole; whether it had no complaint.
fn serve(bytes: &[u8]) -> (Vec<String>, bool) {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let content = Rc::new(Cell::new(true));
    let (inside, whole) = (Rc::clone(&seen), Rc::clone(&content));
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let uri = request.uri();
        let path = uri.path_and_query().filter(|_| uri.scheme().is_none());
        inside
            .borrow_mut()
            .push(name(request.method().as_str(), path.map_or("", |path| path.as_str())));
        let whole = Rc::clone(&whole);
        async move {
            let body = request.into_body().collect().await;
            whole.set(whole.get() && body.is_ok());
            let mut reply = hyper::Response::new(Empty::<Bytes>::new());
            *reply.status_mut() = hyper::StatusCode::NOT_FOUND;
            Ok::<_, Infallible>(reply)
        }
    });
    let mut connection = pin!(
        http1::Builder::new().half_close(true).serve_connection(Wire(bytes.to_vec(), 0), service)
    );
    let mut cx = Context::from_waker(Waker::noop());
    // The wire is always ready, so hyper is pending only to let others run: once per request, or so.
    for _ in 0..bytes.len() + 16 {
        if let Poll::Ready(ended) = connection.as_mut().poll(&mut cx) {
            return (seen.take(), ended.is_ok() && content.get());
        }
    }
    panic!("hyper waits for something that the wire has");
}

/// A connection whose bytes came all at once and which takes every answer.
struct Wire(Vec<u8>, usize);

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let count = into.remaining().min(self.0.len() - self.1);
        into.put_slice(&self.0[self.1..self.1 + count]);
        self.1 += count;
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
