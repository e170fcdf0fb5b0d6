//! HTTP/2 frames by the thousand: the connection that sends them ends, the listener goes on.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::{PATIENCE, Served, serve, statuses};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// `GET http://x/` in HPACK.
const GET: &[u8] = b"\x82\x86\x84\x41\x01x";
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const CONTINUATION: u8 = 9;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a small frame").to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// Sends the flood while reading; says whether the peer ended the connection, and with which error code.
async fn flood(served: &Served, frames: impl Iterator<Item = Vec<u8>> + Send + 'static) -> u32 {
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
    error_of_go_away(&answer)
}

/// The code in the last GOAWAY frame; a connection that was just cut counts as no error.
fn error_of_go_away(mut answer: &[u8]) -> u32 {
    let mut code = 0;
    while answer.len() >= 9 {
        let length = u32::from_be_bytes([0, answer[0], answer[1], answer[2]]) as usize;
        let Some(payload) = answer.get(9..9 + length) else { break };
        if answer[3] == GO_AWAY {
            code = u32::from_be_bytes(payload[4..8].try_into().expect("four bytes"));
        }
        answer = &answer[9 + length..];
    }
    code
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
    let served = serve(|options| {
        options.idle = std::time::Duration::from_millis(300);
        options.linger = std::time::Duration::from_millis(100);
        options.write = std::time::Duration::from_millis(300);
    });
    for (kind, payload) in [(PING, &[0; 8][..]), (SETTINGS, &[])] {
        let frames = std::iter::repeat_with(move || frame(kind, 0, 0, payload));
        flood(&served, frames).await;
    }
    still_serves(&served).await;
}
