//! Where messages of an HTTP/1 connection begin and end, and whether their heads keep the rules. In: bytes as they
//! come. Out: how many of them may go on to the parser. Pure: no socket, no copy, no clock.

use super::chunks::{ChunkScan, Piece};
use super::head::{Framing, HeadLimits, HeadScan};
use crate::telemetry::accept::Reason;

/// Follows the framing of all requests of one connection.
#[derive(Debug)]
pub struct Scanner {
    limits: HeadLimits,
    phase: Phase,
    heads: u64,
}

#[derive(Debug)]
enum Phase {
    Head(HeadScan),
    Body(u64),
    Chunks(ChunkScan),
    /// Something was refused; nothing passes any more.
    Closed,
}

/// What became of the bytes shown.
#[derive(Debug, PartialEq, Eq)]
pub struct Scan {
    /// So many may pass: whole heads, and bodies.
    pub passed: usize,
    /// The bytes behind them break this rule.
    pub refusal: Option<Reason>,
}

impl Scanner {
    /// At the start of a connection.
    #[must_use]
    pub fn new(limits: HeadLimits) -> Self {
        Self { limits, phase: Phase::Head(HeadScan::default()), heads: 0 }
    }

    /// Heads that passed.
    #[must_use]
    pub fn heads(&self) -> u64 {
        self.heads
    }

    /// Nothing of a body is missing.
    #[must_use]
    pub fn between_messages(&self) -> bool {
        matches!(self.phase, Phase::Head(_))
    }

    /// Looks at `bytes`. What did not pass is the beginning of a head: it must be shown again with more behind it.
    pub fn scan(&mut self, bytes: &[u8]) -> Scan {
        let mut at = 0;
        while at < bytes.len() {
            match &mut self.phase {
                Phase::Head(head) => match head.feed(&bytes[at..], &self.limits) {
                    Ok(None) => break,
                    Ok(Some((length, framing))) => {
                        at += length;
                        self.heads += 1;
                        self.phase = match framing {
                            Framing::Length(0) => Phase::Head(HeadScan::default()),
                            Framing::Length(length) => Phase::Body(length),
                            Framing::Chunked => Phase::Chunks(ChunkScan::default()),
                        };
                    }
                    Err(reason) => return self.refuse(at, reason),
                },
                Phase::Body(left) => {
                    let rest = bytes.len() - at;
                    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(rest);
                    *left -= here as u64;
                    at += here;
                    if *left == 0 {
                        self.phase = Phase::Head(HeadScan::default());
                    }
                }
                Phase::Chunks(chunks) => match chunks.feed(&bytes[at..]) {
                    Piece::Inside => at = bytes.len(),
                    Piece::Ended(here) => {
                        at += here;
                        self.phase = Phase::Head(HeadScan::default());
                    }
                    Piece::Broken(here) => return self.refuse(at + here, Reason::Chunk),
                },
                Phase::Closed => break,
            }
        }
        Scan { passed: at, refusal: None }
    }

    /// Lets nothing pass any more.
    pub fn close(&mut self) {
        self.phase = Phase::Closed;
    }

    fn refuse(&mut self, passed: usize, reason: Reason) -> Scan {
        self.close();
        Scan { passed, refusal: Some(reason) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits =
        HeadLimits { line_max_bytes: 60, head_max_bytes: 200, headers_max: 5 };

    /// The same bytes at once, and byte by byte as a slow peer sends them: both must agree.
    fn verdict(text: &[u8]) -> (u64, Option<Reason>) {
        let mut whole = Scanner::new(LIMITS);
        let scan = whole.scan(text);
        let mut slow = Scanner::new(LIMITS);
        let (mut begin, mut refusal) = (0, None);
        for end in 1..=text.len() {
            let step = slow.scan(&text[begin..end]);
            begin += step.passed;
            refusal = refusal.or(step.refusal);
        }
        assert_eq!((whole.heads(), scan.refusal), (slow.heads(), refusal), "{text:?}");
        (whole.heads(), scan.refusal)
    }

    #[test]
    fn heads_keep_the_rules() {
        let post = |headers: &str| format!("POST /a HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        for (text, expected) in [
            (post(""), None),
            (format!("\r\n{}", post("")), None),
            ("GET / HTTP/1.0\r\n\r\n".into(), None),
            ("GET / HTTP/1.1\r\n\r\n".into(), Some(Reason::Host)),
            (post("Host: x\r\n"), Some(Reason::Host)),
            ("GET / HTTP/1.1\r\nHost: a b@c\r\n\r\n".into(), Some(Reason::Host)),
            ("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n".into(), None),
            ("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n".into(), Some(Reason::Host)),
            ("GET / HTTP/1.1\r\nHost:\r\n\r\n".into(), Some(Reason::Host)),
            (post("Content-Length: 0\r\nContent-Length: 0\r\n"), Some(Reason::ContentLength)),
            (post("Content-Length: +1\r\n"), Some(Reason::ContentLength)),
            (post("Content-Length: 1, 1\r\n"), Some(Reason::ContentLength)),
            (post("Content-Length: 18446744073709551616\r\n"), Some(Reason::ContentLength)),
            (
                post("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"),
                Some(Reason::TransferEncoding),
            ),
            (
                post("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n"),
                Some(Reason::ContentLength),
            ),
            (post("Transfer-Encoding: gzip, chunked\r\n"), Some(Reason::TransferEncoding)),
            (post("Transfer-Encoding: xchunked\r\n"), Some(Reason::TransferEncoding)),
            (
                post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
                Some(Reason::TransferEncoding),
            ),
            (
                "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".into(),
                Some(Reason::TransferEncoding),
            ),
            (post("a: b\r\n c\r\n"), Some(Reason::Header)),
            (post("a : b\r\n"), Some(Reason::Header)),
            (post("no colon\r\n"), Some(Reason::Header)),
            (post("a: b\n"), Some(Reason::BareLf)),
            ("GET / HTTP/1.1\nHost: x\n\n".into(), Some(Reason::BareLf)),
            ("GET /#a HTTP/1.1\r\nHost: x\r\n\r\n".into(), Some(Reason::Target)),
            ("GET x HTTP/1.1\r\nHost: x\r\n\r\n".into(), Some(Reason::Target)),
            ("GET http://X/a HTTP/1.1\r\nHost: x:80\r\n\r\n".into(), None),
            ("GET http://y/a HTTP/1.1\r\nHost: x\r\n\r\n".into(), Some(Reason::Target)),
            ("GET http://u@x/a HTTP/1.1\r\nHost: x\r\n\r\n".into(), Some(Reason::Target)),
            ("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n".into(), None),
            ("CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n".into(), None),
            ("GET /\r\n\r\n".into(), Some(Reason::RequestLine)),
            ("GET  / HTTP/1.1\r\n\r\n".into(), Some(Reason::RequestLine)),
            ("GET / HTTP/1.2\r\n\r\n".into(), Some(Reason::RequestLine)),
            ("\u{16}\u{3}".into(), Some(Reason::RequestLine)),
            (post("Expect: 200-ok\r\n"), Some(Reason::Expectation)),
            (post("Expect: 100-Continue\r\nContent-Length: 1\r\n"), None),
            (post("a: 1\r\n").repeat(3), None),
            (post(&"a: 1\r\n".repeat(4)), None),
            (post(&"a: 1\r\n".repeat(5)), Some(Reason::HeadTooLarge)),
            (post(&format!("a: {}\r\n", "b".repeat(200))), Some(Reason::HeadTooLarge)),
            (format!("GET /{}", "b".repeat(60)), Some(Reason::TargetTooLong)),
        ] {
            assert_eq!(verdict(text.as_bytes()).1, expected, "{text:?}");
        }
    }

    #[test]
    fn a_request_line_may_be_as_long_as_the_limit() {
        for (length, expected) in [(60, None), (61, Some(Reason::TargetTooLong))] {
            let path = "b".repeat(length - "GET / HTTP/1.1".len());
            let text = format!("GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_eq!(verdict(text.as_bytes()).1, expected);
        }
    }

    #[test]
    fn bodies_are_told_from_heads() {
        let get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        let sized = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n\n\n\n\n";
        assert_eq!(verdict(format!("{sized}{get}{sized}").as_bytes()), (3, None));
        let chunked = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n";
        for (body, refusal) in [
            ("0\r\n\r\n", None),
            ("4\r\nabcd\r\n0\r\n\r\n", None),
            ("4 ;a=\"b\"\r\nabcd\r\n00\r\nTrailer: yes\r\n\r\n", None),
            ("4\nabcd\r\n0\r\n\r\n", Some(Reason::Chunk)),
            ("4\r\nabcde\r\n0\r\n\r\n", Some(Reason::Chunk)),
            ("g\r\n", Some(Reason::Chunk)),
            ("\r\n", Some(Reason::Chunk)),
            ("ffffffffffffffff1\r\n", Some(Reason::Chunk)),
            ("0\r\na: b\nc: d\r\n\r\n", Some(Reason::Chunk)),
        ] {
            let text = format!("{chunked}{body}{get}");
            let heads = if refusal.is_some() { 1 } else { 2 };
            assert_eq!(verdict(text.as_bytes()), (heads, refusal), "{body:?}");
        }
        let long = format!("{chunked}0\r\na: {}\r\n\r\n", "b".repeat(2000));
        assert_eq!(verdict(long.as_bytes()), (1, Some(Reason::Chunk)));
    }
}
