//! HTTP/1 as it should not be sent, and what comes of it.

use std::fmt::Write as _;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::AsyncWriteExt;

use super::{read_all, read_until, serve, statuses};

const GET: &str = "GET /none HTTP/1.1\r\nHost: x\r\n\r\n";
const LAST: &str = "GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

fn post(headers: &str, body: &str) -> String {
    format!("POST /echo HTTP/1.1\r\nHost: x\r\n{headers}\r\n{body}")
}

#[tokio::test]
async fn heads_get_their_answer_and_the_connection_its_end() {
    let served = serve(|_| ());
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\r\nHost: a b@c\r\n\r\n".into(), 400),
        (post("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400),
        (post("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", "0\r\n\r\n"), 400),
        (post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 400),
        (post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), 400),
        (post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), 400),
        (post("Transfer-Encoding: identity\r\nContent-Length: 1\r\n", "a"), 400),
        (post("Content-Length: 1\r\nContent-Length: 1\r\n", "a"), 400),
        (post("Content-Length: 1\r\nContent-Length: 2\r\n", "a"), 400),
        (post("Content-Length: 1, 1\r\n", "a"), 400),
        (post("Content-Length: +1\r\n", "a"), 400),
        (post("Content-Length: 18446744073709551616\r\n", "a"), 400),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(), 400),
        (post("a: b\r\n c\r\n", ""), 400),
        (post("a : b\r\n", ""), 400),
        (post("a: b\rc\r\n", ""), 400),
        (post("a: b\0c\r\n", ""), 400),
        (post("a: b\n", ""), 400),
        ("GET / HTTP/1.1\nHost: x\n\n".into(), 400),
        ("GET /\r\n\r\n".into(), 400),
        ("GET / HTTP/1.2\r\nHost: x\r\n\r\n".into(), 400),
        ("GET /é HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET /#a HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET http://evil/hooks/x HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("\u{16}\u{3}\u{1}\u{2}\0\u{1}".into(), 400),
        (post("Expect: 200-ok\r\nContent-Length: 1\r\n", "a"), 417),
        (format!("GET /{} HTTP/1.1\r\n", "a".repeat((8 << 10) - 13)), 414),
        (post(&"a: b\r\n".repeat(100), ""), 431),
        (post(&format!("a: {}\r\n", "b".repeat(2 << 20)), ""), 431),
    ] {
        let shown: String = request.chars().take(80).collect();
        let answer = served.tell(&request).await;
        assert_eq!(statuses(&answer), [status], "{shown:?}: {answer}");
        assert!(answer.contains("connection: close\r\n"), "{shown:?}: {answer}");
        if request.len() < 300 && status != 414 {
            let answer = served.tell_slowly(request.as_bytes()).await;
            assert_eq!(statuses(&answer), [status], "slowly: {shown:?}: {answer}");
        }
        // A broken head ends the connection; what follows it is not read as a request.
        if request.is_ascii() && request.len() < 300 {
            let answer = served.tell(format!("{GET}{request}{GET}")).await;
            assert_eq!(statuses(&answer), [204, status], "{shown:?}: {answer}");
        }
    }
    assert!(served.counted("hookgate_accept_refusals_total{reason=\"host\"} "));
    assert_eq!(statuses(&served.tell(LAST).await), [204], "and it goes on serving");
}

#[tokio::test]
async fn what_is_allowed_stays_allowed() {
    let served = serve(|_| ());
    let close = "Connection: close\r\n";
    for (request, status) in [
        ("GET /none HTTP/1.0\r\n\r\n".to_owned(), 204),
        (format!("\r\n{LAST}"), 204),
        (format!("GET /{} HTTP/1.1\r\nHost: x\r\n{close}\r\n", "a".repeat((8 << 10) - 14)), 404),
        (post(&format!("{close}{}", "a: b\r\n".repeat(98)), ""), 200),
        (post(&format!("{close}a: \u{e9}\r\n"), ""), 200),
        (format!("GET http://X/none HTTP/1.1\r\nHost: x\r\n{close}\r\n"), 204),
        (format!("CONNECT x:1 HTTP/1.1\r\nHost: x\r\n{close}\r\n"), 404),
        (format!("OPTIONS * HTTP/1.1\r\nHost: x\r\n{close}\r\n"), 404),
        (format!("get /none HTTP/1.1\r\nHost: x\r\n{close}\r\n"), 204),
        (post("Connection: upgrade, close\r\nUpgrade: h2c\r\n", ""), 200),
    ] {
        let answer = served.tell(&request).await;
        let shown: String = request.chars().take(80).collect();
        assert_eq!(answer[9..12].parse(), Ok(status), "{shown:?}: {answer}");
    }
}

#[tokio::test]
async fn bodies_are_read_counted_and_decoded() {
    let served = serve(|_| ());
    let gzip = |text: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).expect("memory");
        encoder.finish().expect("memory")
    };
    let encoded = |encoding: &str, body: &[u8]| {
        let head = format!("Content-Encoding: {encoding}\r\nContent-Length: {}\r\n", body.len());
        [post(&format!("Connection: close\r\n{head}"), "").as_bytes(), body].concat()
    };
    for (request, status) in [
        (post("Content-Length: 99999999\r\n", "").into_bytes(), 413),
        (post("Content-Length: 99999999\r\nExpect: 100-continue\r\n", "").into_bytes(), 413),
        (encoded("gzip", &gzip(&vec![0; 10 << 20])), 413),
        (encoded("gzip", &gzip(b"text")[..12]), 400),
        (encoded("gzip, gzip", &gzip(b"text")), 415),
        (encoded("br", b"text"), 415),
        (encoded("gzip", &gzip(b"text")), 200),
        (post("Transfer-Encoding: chunked\r\n", "4\nabcd\r\n0\r\n\r\n").into_bytes(), 400),
        (post("Transfer-Encoding: chunked\r\n", "zz\r\nabcd\r\n0\r\n\r\n").into_bytes(), 400),
        (post("Transfer-Encoding: chunked\r\n", "4\r\nabcdX\r\n0\r\n\r\n").into_bytes(), 400),
        (post("Transfer-Encoding: chunked\r\n", "11111111111111111\r\n").into_bytes(), 400),
    ] {
        let answer = served.tell(&request).await;
        let shown = String::from_utf8_lossy(&request[..request.len().min(120)]).into_owned();
        assert_eq!(statuses(&answer), [status], "{shown:?}: {answer}");
    }
    let mut endless = post("Transfer-Encoding: chunked\r\n", "");
    for _ in 0..6 {
        let _ = write!(endless, "100000\r\n{}\r\n", "a".repeat(1 << 20));
    }
    assert_eq!(statuses(&served.tell(endless).await), [413]);
    let chunked = "4;a=b\r\nabcd\r\n2\r\nef\r\n0\r\nTrailer: x\r\n\r\n";
    let both = format!("{}{LAST}", post("Transfer-Encoding: chunked\r\n", chunked));
    let answer = served.tell(both).await;
    assert_eq!(statuses(&answer), [200, 204]);
    assert!(answer.contains("\r\n\r\nabcdef"), "{answer}");
}

#[tokio::test]
async fn an_upload_is_answered_before_it_ends() {
    let served = serve(|_| ());
    let mut stream = served.connect().await;
    let head = post("Content-Length: 99999999\r\n", "");
    stream.write_all(head.as_bytes()).await.expect("the peer reads");
    // A client that sends on without looking must still find the answer, not a reset.
    let piece = vec![b'a'; 1 << 20];
    for _ in 0..20 {
        if stream.write_all(&piece).await.is_err() {
            break;
        }
    }
    stream.shutdown().await.expect("still connected");
    assert_eq!(statuses(&read_all(&mut stream).await), [413]);
}

#[tokio::test]
async fn continue_is_sent_only_for_a_body_that_is_wanted() {
    let served = serve(|_| ());
    let head = "Expect: 100-continue\r\nContent-Length: 4\r\nConnection: close\r\n";
    let mut stream = served.connect().await;
    stream.write_all(post(head, "").as_bytes()).await.expect("the peer reads");
    assert_eq!(read_until(&mut stream, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"abcd").await.expect("the peer reads");
    assert!(read_all(&mut stream).await.ends_with("\r\n\r\nabcd"));
    let unknown = post(head, "").replace("/echo", "/unknown");
    assert_eq!(statuses(&served.tell(unknown).await), [404]);
}

#[tokio::test]
async fn a_thousand_requests_at_once_are_answered_in_order() {
    let served = serve(|_| ());
    let mut requests = String::new();
    for number in 0..1000 {
        let body = format!("<{number}>");
        let length = body.len();
        requests.push_str(&post(&format!("Content-Length: {length}\r\n"), &body));
    }
    requests.push_str(LAST);
    let answer = served.tell(requests).await;
    assert_eq!(statuses(&answer).len(), 1001);
    let places: Vec<usize> = (0..1000).filter_map(|n| answer.find(&format!("<{n}>"))).collect();
    assert!(places.len() == 1000 && places.is_sorted());
}

#[tokio::test]
async fn replies_keep_their_framing() {
    let served = serve(|_| ());
    let head = "HEAD /peer HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = served.tell(format!("{head}{LAST}")).await;
    assert_eq!(statuses(&answer), [200, 204]);
    assert!(answer.contains("content-length: 20\r\n"), "{answer}");
    assert!(!answer.contains("peer 127"), "{answer}");
    let named = "GET /none HTTP/1.1\r\nHost: x\r\nX-Request-Id: it-is-me\r\n";
    let answer = served.tell(format!("{named}\r\n{named}X-Request-Id: 2\r\n\r\n{LAST}")).await;
    assert_eq!(answer.matches("x-request-id: it-is-me\r\n").count(), 1, "{answer}");
    assert_eq!(answer.matches("x-request-id: 00000000-").count(), 2, "{answer}");
    let long = format!("X-Request-Id: {}\r\n", "a".repeat(129));
    let answer = served.tell(LAST.replace("Connection", &format!("{long}Connection"))).await;
    assert!(answer.contains("x-request-id: 00000000-"), "{answer}");
    // A body nobody asked for is not taken for the next request.
    let answer = served.tell(format!(
        "GET /none HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{GET}{LAST}",
        GET.len()
    ));
    assert_eq!(statuses(&answer.await), [204, 204]);
}

#[tokio::test]
async fn a_body_nobody_reads_ends_the_connection_and_that_is_said_or_is_there_and_does_not() {
    let served = serve(|_| ());
    let unread = |headers: &str, body: &str| post(headers, body).replace("/echo", "/unknown");
    let chunked = "Transfer-Encoding: chunked\r\n";
    // What came with its head costs nothing.
    for request in [
        unread("Content-Length: 20\r\n", &"x".repeat(20)),
        unread("Content-Length: 1000\r\n", &"x".repeat(1000)),
    ] {
        let mut stream = served.connect().await;
        stream.write_all(request.as_bytes()).await.expect("the peer reads");
        let first = read_until(&mut stream, "}").await;
        assert!(!first.contains("connection: close\r\n"), "{first}");
        stream.write_all(LAST.as_bytes()).await.expect("the peer reads");
        assert_eq!(
            (statuses(&first), statuses(&read_all(&mut stream).await)),
            (vec![404], vec![204])
        );
    }
    // What may come still does: whoever is told keeps its next request for another connection.
    for request in [
        unread("Content-Length: 20\r\n", ""),
        unread("Content-Length: 20\r\n", "half"),
        unread("Content-Length: 200000\r\n", &"x".repeat(1000)),
        unread("Content-Length: 4\r\nExpect: 100-continue\r\n", ""),
        unread(chunked, "5\r\nhel"),
        unread(chunked, "5\r\nhello\r\n0\r\n\r\n"),
    ] {
        let shown: String = request.chars().take(100).collect();
        let mut stream = served.connect().await;
        stream.write_all(request.as_bytes()).await.expect("the peer reads");
        let answer = read_all(&mut stream).await;
        assert_eq!(statuses(&answer), [404], "{shown}");
        assert!(answer.contains("connection: close\r\n"), "{shown}: {answer}");
    }
}
