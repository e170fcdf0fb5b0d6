//! HTTP/2 frames by the thousand: the connection that sends them ends, the listener goes on.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::{PATIENCE, Served, serve, statuses};

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// `GET http://x/` in HPACK, without its table.
pub(super) const GET: &[u8] = b"\x82\x86\x84\x01\x01x";
/// `POST http://x/echo`.
pub(super) const POST: &[u8] = b"\x83\x86\x04\x05/echo\x01\x01x";
pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RESET: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
const PING: u8 = 6;
pub(super) const GO_AWAY: u8 = 7;
pub(super) const CONTINUATION: u8 = 9;

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a small frame").to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// Sends the flood while reading; says with which error code the peer ended the connection.
async fn flood(served: &Served, frames: impl Iterator<Item = Vec<u8>> + Send + 'static) -> u32 {
    error_of_go_away(&answer_to(served, frames).await)
}

/// All that comes back for frames, up to the end of the connection.
async fn answer_to(
    served: &Served,
    frames: impl Iterator<Item = Vec<u8>> + Send + 'static,
) -> Vec<u8> {
    let (mut input, mut output) = served.connect().await.into_split();
    let sending = tokio::spawn(async move {
        let _ = output.write_all(PREFACE).await;
        for frame in frames {
            if output.write_all(&frame).await.is_err() {
                break;
            }
        }
        output
    });
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, input.read_to_end(&mut answer)).await.expect("it is ended");
    drop(sending.await);
    answer
}

/// Kind, stream and payload of each frame.
fn frames_of(mut answer: &[u8]) -> Vec<(u8, u32, &[u8])> {
    let mut frames = Vec::new();
    while answer.len() >= 9 {
        let length = u32::from_be_bytes([0, answer[0], answer[1], answer[2]]) as usize;
        let stream = u32::from_be_bytes(answer[5..9].try_into().expect("four bytes"));
        let Some(payload) = answer.get(9..9 + length) else { break };
        frames.push((answer[3], stream, payload));
        answer = &answer[9 + length..];
    }
    frames
}

/// The code in the last GOAWAY frame; a connection that was just cut counts as no error.
fn error_of_go_away(answer: &[u8]) -> u32 {
    let last = frames_of(answer).into_iter().rfind(|(kind, ..)| *kind == GO_AWAY);
    last.map_or(0, |(_, _, payload)| code_of(&payload[4..]))
}

fn code_of(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload[..4].try_into().expect("four bytes"))
}

/// The codes with which a stream was reset.
fn resets_of(answer: &[u8], stream: u32) -> Vec<u32> {
    let frames = frames_of(answer).into_iter();
    let resets = frames.filter(|(kind, of, _)| *kind == RESET && *of == stream);
    resets.map(|(_, _, payload)| code_of(payload)).collect()
}

/// Waits that are short enough for a test.
fn hasty(options: &mut hookgate::accept::Options) {
    let short = std::time::Duration::from_millis(300);
    (options.idle, options.linger, options.write) = (short, short, short);
    (options.body_first_byte, options.body_total, options.body_grace) = (short, short * 2, short);
}

async fn still_serves(served: &Served) {
    let last = "GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert_eq!(statuses(&served.tell(last).await), [204]);
}

#[tokio::test]
async fn rapid_resets_end_the_connection() {
    let served = serve(|_| ());
    let pairs = (0..100_000_u32).map(|number| {
        let stream = number * 2 + 1;
        let mut both = frame(HEADERS, 0x5, stream, GET);
        both.extend(frame(RESET, 0, stream, &[0, 0, 0, 8]));
        both
    });
    assert_eq!(flood(&served, pairs).await, 0xb, "ENHANCE_YOUR_CALM");
    still_serves(&served).await;
}

#[tokio::test]
async fn endless_continuations_end_the_connection() {
    let served = serve(|_| ());
    let first = std::iter::once(frame(HEADERS, 0x1, 1, GET));
    // A literal header that is not indexed: name `a`, 100 bytes of value.
    let header = [&b"\0\x01a\x64"[..], &[b'b'; 100]].concat().repeat(100);
    let more = std::iter::repeat_with(move || frame(CONTINUATION, 0, 1, &header)).take(10_000);
    assert_ne!(flood(&served, first.chain(more)).await, 0);
    still_serves(&served).await;
}

#[tokio::test]
async fn pings_and_settings_keep_no_connection() {
    let served = serve(hasty);
    for (kind, payload) in [(PING, &[0; 8][..]), (SETTINGS, &[]), (PRIORITY, &[0; 5])] {
        let frames =
            std::iter::repeat_with(move || frame(kind, 0, u32::from(kind == PRIORITY), payload));
        flood(&served, frames).await;
    }
    still_serves(&served).await;
}

#[tokio::test]
async fn streams_beyond_those_agreed_are_refused() {
    let served = serve(|options| {
        hasty(options);
        options.streams_max = 4;
    });
    // Bodies that never come.
    let opened = (0..5_u32).map(|number| frame(HEADERS, 0x4, number * 2 + 1, POST));
    let answer = answer_to(&served, opened).await;
    assert_eq!(resets_of(&answer, 9), [7], "REFUSED_STREAM");
    still_serves(&served).await;
}

#[tokio::test]
async fn a_window_of_nothing_keeps_no_connection() {
    let served = serve(hasty);
    let window = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let big = b"\x82\x86\x04\x04/big\x41\x01x";
    flood(&served, [window, frame(HEADERS, 0x5, 1, big)].into_iter()).await;
    still_serves(&served).await;
}

#[tokio::test]
async fn a_body_of_empty_frames_has_its_end() {
    let served = serve(hasty);
    let open = std::iter::once(frame(HEADERS, 0x4, 1, POST));
    flood(&served, open.chain(std::iter::repeat_with(|| frame(DATA, 0, 1, b"")))).await;
    still_serves(&served).await;
}

#[tokio::test]
async fn headers_that_unfold_to_much_are_no_request() {
    let served = serve(hasty);
    // A header of 4,000 bytes goes into the table, and is asked for 10,000 times with a byte each.
    let kept = [&b"\x40\x01a\x7f\xa1\x1e"[..], &[b'b'; 4000]].concat();
    let bomb = [GET, &kept, &[0xbe; 10_000]].concat();
    let answer = answer_to(&served, std::iter::once(frame(HEADERS, 0x5, 1, &bomb))).await;
    let frames = frames_of(&answer);
    let heads = frames.iter().filter(|(kind, ..)| *kind == HEADERS);
    let told = |payload: &[u8]| payload.windows(3).any(|part| part == b"431");
    let refused = heads.clone().all(|(_, _, payload)| told(payload) || payload[0] == 0x08);
    assert!(refused && heads.count() <= 1, "{frames:?}");
    still_serves(&served).await;
}

#[tokio::test]
async fn headers_that_http2_forbids_end_their_stream() {
    for forbidden in [
        &b"\0\x0aconnection\x05close"[..],
        b"\0\x11transfer-encoding\x07chunked",
        b"\0\x01A\x01b",
        b"\0\x07:method\x03GET",
    ] {
        let served = serve(hasty);
        let head = frame(HEADERS, 0x5, 1, &[GET, forbidden].concat());
        let answer = answer_to(&served, std::iter::once(head)).await;
        let codes = (resets_of(&answer, 1), error_of_go_away(&answer));
        assert!(codes.0 == [1] || codes.1 == 1, "PROTOCOL_ERROR, not {codes:?}: {forbidden:?}");
    }
}
