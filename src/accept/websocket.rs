//! Websockets (RFC 6455) over connections that were upgraded. In: a handshake's headers, then frames. Out: a reply that
//! switches, then whole messages, both ways. Pings of its own keep idle ones alive and find dead ones; a peer's ping is
//! answered only when the next message is asked for. Never a message over its bound.

use std::future::{Future, poll_fn};
use std::ops::Deref;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{CONNECTION, UPGRADE};
use http::header::{
    SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::Reply;
use super::bounded::Bounded;
use super::link::Link;
use super::tunnel::{Tunnel, Upgrade};

/// What the key of a handshake is hashed with (RFC 6455, 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Largest message: one that is over every event's own bound can still be told from one that is no event.
const MESSAGE_MAX_BYTES: usize = 4 << 20;
/// Read ahead and written at once.
const BUFFER_BYTES: usize = 16 << 10;
/// Between two pings of our own, and how long a peer may be silent.
const PING_EVERY: Duration = Duration::from_secs(20);
const SILENCE_MAX: Duration = Duration::from_mins(1);
/// For a peer to take our close frame and to answer it.
const CLOSE: Duration = Duration::from_secs(2);
/// Why a message was not read.
const TOO_LARGE: &str = "The message is too large";
/// Bytes of the reason in a close frame.
pub const REASON_MAX_BYTES: usize = 123;

/// Text of one message; cheap to clone.
#[derive(Clone, Debug)]
pub struct Text(Utf8Bytes);

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.0.as_str()
    }
}

/// What came.
#[derive(Clone, Debug)]
pub enum Heard {
    /// A text message.
    Text(Text),
    /// A binary message, not looked at.
    Binary,
    /// A ping; it is answered when the next message is asked for.
    Ping,
    /// The peer said that it ends; say goodbye with [`Socket::close`].
    Closed,
    /// The peer broke the protocol or a bound: the close code and reason it deserves.
    Fault(u16, &'static str),
    /// The gateway is to stop: close with a code that brings the peer back.
    Draining,
    /// The connection is gone.
    Lost,
}

/// The peer does not take what is sent, or is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the peer does not take what is sent")]
pub struct Unsent;

/// One websocket, this end the server's.
pub struct Socket {
    stream: WebSocketStream<Bounded>,
    link: std::sync::Arc<Link>,
    write: Duration,
    heard: Instant,
    pinged: Instant,
}

/// The reply that switches to a websocket, which then runs `run`; a refusal when the headers ask for none.
/// `protocol` is the subprotocol that is spoken, if the client offered one.
pub fn accept<F>(
    headers: &HeaderMap,
    protocol: Option<&'static str>,
    run: impl FnOnce(Socket) -> F + Send + 'static,
) -> Reply
where
    F: Future<Output = ()> + Send + 'static,
{
    if !(lists(headers, &CONNECTION, "upgrade") && lists(headers, &UPGRADE, "websocket")) {
        return Reply::detail(StatusCode::UPGRADE_REQUIRED, "Upgrade Required")
            .with(UPGRADE, HeaderValue::from_static("websocket"));
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Reply::detail(StatusCode::UPGRADE_REQUIRED, "Upgrade Required")
            .with(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
    let is_whole = |key: &&[u8]| STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16);
    let Some(key) = key.filter(is_whole) else {
        return Reply::detail(StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is not 16 bytes");
    };
    let mut reply = Reply::empty(StatusCode::SWITCHING_PROTOCOLS)
        .with(CONNECTION, HeaderValue::from_static("Upgrade"))
        .with(UPGRADE, HeaderValue::from_static("websocket"))
        .with(SEC_WEBSOCKET_ACCEPT, prove(key));
    if let Some(protocol) = protocol {
        reply.headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    }
    let begin = |tunnel| async { run(Socket::over(tunnel).await).await };
    reply.upgrade = Some(Upgrade::new(begin));
    reply
}

/// Whether a client offers a subprotocol.
#[must_use]
pub fn offers(headers: &HeaderMap, protocol: &str) -> bool {
    lists(headers, &SEC_WEBSOCKET_PROTOCOL, protocol)
}

/// Whether a header's list holds a word, in any letter case.
fn lists(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(word))
}

/// `Sec-WebSocket-Accept` of a key.
///
/// # Panics
/// Never: base64 is ASCII.
#[must_use]
pub fn prove(key: &[u8]) -> HeaderValue {
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID].concat());
    HeaderValue::from_str(&STANDARD.encode(hash)).expect("base64 is ASCII")
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Socket").finish_non_exhaustive()
    }
}

impl Socket {
    async fn over(tunnel: Tunnel) -> Self {
        let Tunnel { io, first, link, write } = tunnel;
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(BUFFER_BYTES)
            .max_message_size(Some(MESSAGE_MAX_BYTES))
            .max_frame_size(Some(MESSAGE_MAX_BYTES));
        let (io, role) = (Bounded::new(io), Role::Server);
        let stream = WebSocketStream::from_partially_read(io, first, role, Some(config)).await;
        let now = Instant::now();
        Self { stream, link, write, heard: now, pinged: now }
    }

    /// Bounds all that the peer sends from now on, beyond what is read ahead; `None`: each message has its own bound
    /// only. More than that is a [`Heard::Fault`], for good.
    pub fn bound(&mut self, most: Option<usize>) {
        self.stream.get_mut().bound(most);
    }

    /// Waits for the next message. Nothing is lost when the future is dropped before it is ready.
    pub async fn hear(&mut self) -> Heard {
        loop {
            let (silent, beat) = (self.heard + SILENCE_MAX, self.pinged + PING_EVERY);
            let message = tokio::select! {
                biased;
                _ = self.link.told() => return Heard::Draining,
                message = self.stream.next() => message,
                () = sleep_until(silent.min(beat)) => {
                    let now = Instant::now();
                    if now >= silent {
                        return Heard::Lost;
                    }
                    self.pinged = now;
                    let ping = self.stream.send(Message::Ping(bytes::Bytes::new()));
                    match in_time(self.write, &self.link, ping).await {
                        Ok(()) => continue,
                        Err(Unsent) => return Heard::Lost,
                    }
                }
            };
            self.heard = Instant::now();
            return match message {
                Some(Ok(Message::Text(text))) => Heard::Text(Text(text)),
                Some(Ok(Message::Binary(_))) => Heard::Binary,
                Some(Ok(Message::Ping(_))) => Heard::Ping,
                Some(Ok(Message::Close(_))) => Heard::Closed,
                Some(Ok(Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Err(Error::Capacity(_))) => Heard::Fault(1009, TOO_LARGE),
                Some(Err(Error::Io(_))) if self.stream.get_ref().is_spent() => {
                    Heard::Fault(1009, TOO_LARGE)
                }
                Some(Err(Error::Utf8(_))) => Heard::Fault(1007, "The text is not UTF-8"),
                Some(Err(Error::Protocol(_))) => Heard::Fault(1002, "A frame breaks the protocol"),
                Some(Err(_)) | None => Heard::Lost,
            };
        }
    }

    /// The next message if it is there already.
    pub async fn hear_now(&mut self) -> Option<Heard> {
        let mut hearing = pin!(self.hear());
        poll_fn(|cx| match hearing.as_mut().poll(cx) {
            Poll::Ready(heard) => Poll::Ready(Some(heard)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    /// Sends a text message, and waits until the peer's side has room for it.
    ///
    /// # Errors
    /// [`Unsent`], for good.
    pub async fn say(&mut self, text: Text) -> Result<(), Unsent> {
        self.queue(text).await?;
        self.flush().await
    }

    /// Puts a text message behind others that are flushed together; waits only when too many are not.
    ///
    /// # Errors
    /// [`Unsent`], for good.
    pub async fn queue(&mut self, text: Text) -> Result<(), Unsent> {
        in_time(self.write, &self.link, self.stream.feed(Message::Text(text.0))).await
    }

    /// Sends what was queued, and waits until the peer's side has room for it.
    ///
    /// # Errors
    /// [`Unsent`], for good.
    pub async fn flush(&mut self) -> Result<(), Unsent> {
        in_time(self.write, &self.link, self.stream.flush()).await
    }

    /// Ends it with a code and a reason, cut to its bound, unless the peer ended it first.
    pub async fn close(mut self, code: u16, reason: &str) {
        let reason = &reason[..reason.floor_char_boundary(REASON_MAX_BYTES)];
        let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
        let ending = async {
            // An error: the peer was first, and its close frame is answered by listening on.
            let _ = self.stream.send(Message::Close(Some(frame))).await;
            // Until it has answered, so that no reset reaches it before the frame does.
            while let Some(Ok(_)) = self.stream.next().await {}
            self.stream.get_mut().shutdown().await
        };
        let _ = timeout(CLOSE, ending).await;
    }
}

/// Waits for something to be written: not longer than a peer may take, and not once the gateway stops.
async fn in_time(
    limit: Duration,
    link: &Link,
    writing: impl Future<Output = Result<(), Error>>,
) -> Result<(), Unsent> {
    tokio::select! {
        biased;
        written = timeout(limit, writing) => match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Unsent),
        },
        _ = link.told() => Err(Unsent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |&(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_handshake_is_proven_and_a_bad_one_is_told_why() {
        // The example of RFC 6455, 1.3.
        let good = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-protocol", "other, prefect"),
        ];
        let answer =
            |pairs: &[(&'static str, &str)]| accept(&headers(pairs), Some("prefect"), |_| async {});
        let reply = answer(&good);
        assert_eq!(reply.status, StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(reply.headers[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(reply.headers[SEC_WEBSOCKET_PROTOCOL], "prefect");
        assert!(reply.upgrade.is_some() && offers(&headers(&good), "prefect"));
        for (left_out, status) in [(0, 426), (1, 426), (2, 426), (3, 400)] {
            let mut less = good.to_vec();
            less.remove(left_out);
            let reply = answer(&less);
            assert_eq!(reply.status.as_u16(), status);
            assert!(reply.upgrade.is_none());
        }
        let short = [&good[..3], &[("sec-websocket-key", "c2hvcnQ=")]].concat();
        assert_eq!(answer(&short).status, StatusCode::BAD_REQUEST);
    }
}
