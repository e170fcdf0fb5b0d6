//! Heads of many connections and many streams at once: together they have their bound, and the usual ones pass.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::floods::{CONTINUATION, DATA, GET, HEADERS, POST, PREFACE, frame};
use super::{PATIENCE, Served, read_all, read_until, serve, statuses};

const CROWDED: &str = "hookgate_accept_refusals_total{reason=\"heads-crowded\"}";
/// A header of 12,000 bytes in HPACK.
const FIELD: &[u8] = &{
    let mut field = [b'b'; 12_006];
    let (name, _) = field.split_at_mut(6);
    name.copy_from_slice(b"\0\x01a\x7f\xe1\x5c");
    field
};
/// Long enough for an answer that comes at once.
const MOMENT: Duration = Duration::from_millis(300);

/// A head of some 60 KB up to its last byte, without the line that ends it.
fn long(line: &str) -> String {
    let header = format!("a: {}\r\n", "b".repeat(6000));
    format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}", header.repeat(10))
}

/// Connections that sent `text`, one after the other: those that wait for more, and what the others were told.
async fn crowd(served: &Served, text: &str, count: usize) -> (Vec<TcpStream>, Vec<String>) {
    let (mut held, mut told) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let mut stream = served.connect().await;
        stream.write_all(text.as_bytes()).await.expect("what is not wanted is thrown away");
        match timeout(MOMENT, stream.readable()).await {
            Ok(_) => told.push(read_until(&mut stream, "}").await),
            Err(_) => held.push(stream),
        }
    }
    (held, told)
}

fn is_refusal(answer: &str) -> bool {
    statuses(answer) == [503]
        && answer.contains("retry-after: 1\r\n")
        && answer.contains("connection: close\r\n")
}

async fn wait_for_room(served: &Served) {
    let whole = format!("{}\r\n", long("GET /none"));
    let there = async {
        while statuses(&served.tell(&whole).await) != [204] {
            sleep(MOMENT / 10).await;
        }
    };
    timeout(PATIENCE, there).await.expect("room again");
}

#[tokio::test]
async fn half_heads_together_have_their_bound_and_usual_ones_pass() {
    let served = serve(|options| {
        (options.head_max_bytes, options.heads_max_bytes) = (64 << 10, 4 << 20);
    });
    let (mut held, told) = crowd(&served, &long("GET /none"), 24).await;
    assert_eq!((held.len(), told.len()), (24, 0), "whoever comes has room");
    // Half ones have an eighth of it; each has 8 KiB of its own, and takes 56 KiB in steps of 16: the oldest gave way.
    for mut stream in held.drain(..16) {
        let answer = read_until(&mut stream, "}").await;
        assert!(is_refusal(&answer), "{answer:?}");
    }
    assert!(served.counted(&format!("{CROWDED} 16\n")));
    let usual =
        format!("GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}", "a: b\r\n".repeat(50));
    assert_eq!(statuses(&served.tell(format!("{usual}\r\n")).await), [204], "a usual one");
    assert_eq!(statuses(&served.tell_slowly(format!("{usual}\r\n").as_bytes()).await), [204]);
    // Who has room goes on to its end, and leaves it.
    let mut first = held.remove(0);
    first.write_all(b"\r\n").await.expect("it reads");
    assert_eq!(statuses(&read_all(&mut first).await), [204]);
    wait_for_room(&served).await;
    drop(held);
    wait_for_room(&served).await;
}

#[tokio::test]
async fn heads_that_wait_for_their_bodies_have_it_too() {
    let served = serve(|options| {
        (options.head_max_bytes, options.heads_max_bytes) = (64 << 10, 845 << 10);
    });
    let announced = format!("{}Content-Length: 5\r\n\r\n", long("POST /echo"));
    let (mut held, told) = crowd(&served, &announced, 16).await;
    assert_eq!((held.len(), told.len()), (8, 8));
    assert!(told.iter().all(|answer| is_refusal(answer)), "{told:?}");
    let mut first = held.remove(0);
    first.write_all(b"whole").await.expect("it reads");
    assert!(read_all(&mut first).await.ends_with("whole"));
    drop(held);
    wait_for_room(&served).await;
}

/// A body that is announced and does not come.
struct Never;

impl http_body::Body for Never {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

#[tokio::test]
async fn streams_that_wait_for_their_bodies_have_it_too() {
    let served = serve(|options| options.heads_max_bytes = 423 << 10);
    let io = TokioIo::new(served.connect().await);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2");
    let connection = tokio::spawn(connection);
    let mut streams = Vec::new();
    for _ in 0..60 {
        sender.ready().await.expect("it is open");
        let request = Request::post("http://x/echo").header("a", "b".repeat(12_000));
        let answer = sender.send_request(request.body(Never).expect("a request"));
        streams.push(tokio::spawn(timeout(MOMENT * 5, answer)));
    }
    let mut held = 0;
    for stream in streams {
        match stream.await.expect("no panic") {
            Ok(answer) => {
                let answer = answer.expect("an answer");
                let again = answer.headers()["retry-after"].as_bytes();
                assert_eq!((answer.status().as_u16(), again), (503, &b"1"[..]));
            }
            Err(_) => held += 1,
        }
    }
    // Each takes some 20 KB with its stream.
    assert!((8..=14).contains(&held), "{held}");
    assert!(served.counted(&format!("{CROWDED} {}\n", 60 - held)));
    connection.abort();
    wait_for_room_of_streams(&served).await;
}

/// Until one with as much as all of them may have is answered.
async fn wait_for_room_of_streams(served: &Served) {
    let kept = [GET, FIELD].concat();
    let there = async {
        loop {
            let mut stream = served.connect().await;
            stream
                .write_all(&[PREFACE, &frame(HEADERS, 0x5, 1, &kept)].concat())
                .await
                .expect("it reads");
            let mut answer = vec![0; 4096];
            let mut said = Vec::new();
            // 404 has a number in HPACK's own table, 503 has none.
            while let Ok(Ok(count @ 1..)) = timeout(MOMENT, stream.read(&mut answer)).await {
                said.extend_from_slice(&answer[..count]);
            }
            if said.contains(&0x8d) {
                return;
            }
        }
    };
    timeout(PATIENCE, there).await.expect("room again");
}

#[tokio::test]
async fn header_blocks_that_do_not_end_have_their_bound_and_their_end() {
    let served = serve(|options| {
        (options.head, options.heads_max_bytes) = (Duration::from_secs(5), 2 << 20);
    });
    let begun = [PREFACE, &frame(HEADERS, 0x1, 1, &[GET, FIELD].concat())].concat();
    let (mut held, mut said) = (Vec::new(), Vec::new());
    for _ in 0..8 {
        let mut stream = served.connect().await;
        stream.write_all(&begun).await.expect("it reads");
        assert!(timeout(MOMENT, stream.read_to_end(&mut said)).await.is_err(), "it has room");
        held.push(stream);
    }
    // They have an eighth of it; what came of each may take four lists of 16 KiB: the oldest gave way.
    for mut stream in held.drain(..4) {
        let _ = timeout(PATIENCE, stream.read_to_end(&mut said)).await.expect("it is ended");
    }
    assert!(served.counted(&format!("{CROWDED} 4\n")));
    let mut last = held.pop().expect("a newcomer");
    last.write_all(&frame(CONTINUATION, 0x4, 1, b"")).await.expect("it reads");
    assert!(hear(&mut last).await.contains(&0x8d), "404");
    // Those that never end are ended, whatever else they may do on other streams.
    for stream in &mut held {
        let _ =
            timeout(PATIENCE, stream.read_to_end(&mut said)).await.expect("the deadline of heads");
    }
    assert!(served.counted("hookgate_accept_refusals_total{reason=\"head-slow\"} 3\n"));
}

/// What comes back until nothing comes for a moment.
async fn hear(stream: &mut TcpStream) -> Vec<u8> {
    let (mut said, mut part) = (Vec::new(), [0; 4096]);
    while let Ok(Ok(count @ 1..)) = timeout(MOMENT, stream.read(&mut part)).await {
        said.extend_from_slice(&part[..count]);
    }
    said
}

/// Heads of streams with those numbers, some 20 KB each with its stream, whose bodies do not come yet.
fn posts(numbers: impl Iterator<Item = u32>) -> Vec<u8> {
    numbers.flat_map(|number| frame(HEADERS, 0x4, number, &[POST, FIELD].concat())).collect()
}

#[tokio::test]
async fn blocks_that_do_not_end_take_no_room_of_whole_heads() {
    let served = serve(|options| {
        (options.head_max_bytes, options.heads_max_bytes) = (64 << 10, 1 << 20);
        options.head = PATIENCE * 6;
    });
    // Few bytes that promise more take nothing; many have an eighth together, for two.
    let mut held = Vec::new();
    for payload in [&[GET, &FIELD[..20]].concat(), &[GET, &FIELD[..4096]].concat()] {
        let mut begun = [PREFACE, &frame(HEADERS, 0x1, 1, payload)].concat();
        begun[PREFACE.len()..PREFACE.len() + 3].copy_from_slice(&[0, 0x3f, 0xff]);
        for _ in 0..40 {
            let mut stream = served.connect().await;
            stream.write_all(&begun).await.expect("it reads");
            held.push(stream);
        }
    }
    let cut = async {
        while !served.counted(&format!("{CROWDED} 38\n")) {
            sleep(MOMENT / 10).await;
        }
    };
    timeout(PATIENCE, cut).await.expect("all but two of the long ones are cut, and no short one");
    let whole = format!("{}\r\n", long("GET /none"));
    assert_eq!(statuses(&served.tell(&whole).await), [204], "a long head of HTTP/1");
    let mut stream = served.connect().await;
    let busy = [PREFACE, &posts((0..20).map(|number| 2 * number + 1))].concat();
    stream.write_all(&busy).await.expect("it reads");
    hear(&mut stream).await;
    assert!(served.counted(&format!("{CROWDED} 38\n")), "streams of HTTP/2");
}

#[tokio::test]
async fn streams_that_ended_leave_their_room_to_other_connections() {
    let served = serve(|options| options.heads_max_bytes = 1 << 20);
    let numbers = || (0..30).map(|number| 2 * number + 1);
    let mut first = served.connect().await;
    first.write_all(&[PREFACE, &posts(numbers())].concat()).await.expect("it reads");
    hear(&mut first).await;
    // Three stay, and are more than a connection's own.
    let ends: Vec<u8> =
        numbers().skip(3).flat_map(|stream| frame(DATA, 0x1, stream, b"")).collect();
    first.write_all(&ends).await.expect("it reads");
    assert!(hear(&mut first).await.contains(&0x88), "200");
    let mut second = served.connect().await;
    second.write_all(&[PREFACE, &posts(numbers())].concat()).await.expect("it reads");
    hear(&mut second).await;
    assert!(served.counted(&format!("{CROWDED} 0\n")));
}

#[tokio::test]
async fn a_block_has_its_own_time_where_it_follows_another_at_once() {
    let served = serve(|options| options.head = MOMENT * 8);
    let mut stream = served.connect().await;
    stream.write_all(&[PREFACE, &frame(HEADERS, 0x1, 1, GET)].concat()).await.expect("it reads");
    sleep(MOMENT * 5).await;
    let (end, next) = (frame(CONTINUATION, 0x4, 1, b""), frame(HEADERS, 0x5, 3, GET));
    stream.write_all(&[&end, &next[..12]].concat()).await.expect("it reads");
    sleep(MOMENT * 5).await;
    stream.write_all(&next[12..]).await.expect("it reads");
    let said = hear(&mut stream).await;
    assert!(said.windows(6).any(|part| part == [HEADERS, 0x4, 0, 0, 0, 3]), "{said:?}");
    assert!(served.counted("hookgate_accept_refusals_total{reason=\"head-slow\"} 0\n"));
}

#[tokio::test]
async fn a_handler_that_panics_ends_its_own_stream_alone() {
    let served = serve(|_| {});
    let io = TokioIo::new(served.connect().await);
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2");
    tokio::spawn(connection);
    let ask = |path: &str| {
        let mut sender = sender.clone();
        let request = Request::get(format!("http://x{path}")).body(String::new());
        tokio::spawn(timeout(PATIENCE, async move {
            sender.ready().await?;
            sender.send_request(request.expect("a request")).await
        }))
    };
    let (slow, broken) = (ask("/slow"), ask("/panic"));
    let broken = broken.await.expect("no panic here").expect("in time");
    broken.expect_err("the stream is reset");
    let slow = slow.await.expect("no panic").expect("in time").expect("an answer");
    assert_eq!(slow.status(), 200);
    let next = ask("/none").await.expect("no panic").expect("in time").expect("an answer");
    assert_eq!(next.status(), 204);
}

#[tokio::test]
async fn headers_of_one_byte_are_counted() {
    let served = serve(|options| options.header_list_max_bytes = 64 << 10);
    // `a: b` goes into the table, and is asked for with a byte each.
    let of = |count: usize| [GET, b"\x40\x01a\x01b", &[0xbe].repeat(count - 1)].concat();
    for (count, mark) in [(100, &[0x8d][..]), (101, b"Header Fields Too Large")] {
        let mut stream = served.connect().await;
        stream
            .write_all(&[PREFACE, &frame(HEADERS, 0x5, 1, &of(count))].concat())
            .await
            .expect("it reads");
        let mut said = Vec::new();
        let mut part = [0; 1024];
        while let Ok(Ok(count @ 1..)) = timeout(MOMENT, stream.read(&mut part)).await {
            said.extend_from_slice(&part[..count]);
        }
        assert!(said.windows(mark.len()).any(|part| part == mark), "{count}: {said:?}");
    }
    assert!(served.counted("hookgate_accept_refusals_total{reason=\"head-too-large\"} 1\n"));
}
