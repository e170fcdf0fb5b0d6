//! A websocket to a gateway. In: a connection that was switched. Out: texts, one after the other, and why it ended.
//! Bounded in bytes and patience: pings find a peer that is gone.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderValue};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::client::{Answer, Client};
use super::output::Failure;
use crate::accept::websocket::prove;
use crate::clock::Clock;

/// Largest message.
const MESSAGE_MAX_BYTES: usize = 4 << 20;
/// Between two pings, and how long the peer may be silent.
const PING_EVERY: Duration = Duration::from_secs(20);
const SILENCE_MAX: Duration = Duration::from_mins(1);

/// Why no more texts come.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Ended {
    /// The peer said so.
    #[error("closed with {code}: {reason}")]
    Closed { code: u16, reason: String },
    /// The connection is gone.
    #[error("{0}")]
    Lost(String),
}

/// One websocket, this end the client's.
pub(super) struct Socket {
    stream: WebSocketStream<TokioIo<Upgraded>>,
    heard: Instant,
    pinged: Instant,
}

impl Socket {
    /// Opens a websocket that speaks `protocol`; or the answer when it is refused.
    pub(super) async fn open(
        client: &Client,
        address: &str,
        mut headers: HeaderMap,
        protocol: &'static str,
    ) -> Result<Result<Self, Answer>, Failure> {
        let mut nonce = [0; 16];
        Clock::System.secret(&mut nonce);
        let key = STANDARD.encode(nonce);
        for (name, value) in [
            (CONNECTION, "Upgrade"),
            (UPGRADE, "websocket"),
            (SEC_WEBSOCKET_VERSION, "13"),
            (SEC_WEBSOCKET_PROTOCOL, protocol),
            (SEC_WEBSOCKET_KEY, key.as_str()),
        ] {
            let value = HeaderValue::from_str(value);
            headers.extend(value.ok().map(|value| (name, value)));
        }
        let (head, connection) = match client.switch(address, headers).await? {
            Ok(switched) => switched,
            Err(answer) => return Ok(Err(answer)),
        };
        if head.get(SEC_WEBSOCKET_ACCEPT) != Some(&prove(key.as_bytes())) {
            let what = "it switched to something that is no websocket";
            return Err(Failure::Unreachable(format!("{address}: {what}")));
        }
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_MAX_BYTES))
            .max_frame_size(Some(MESSAGE_MAX_BYTES));
        let io = TokioIo::new(connection);
        let stream = WebSocketStream::from_raw_socket(io, Role::Client, Some(config)).await;
        let now = Instant::now();
        Ok(Ok(Self { stream, heard: now, pinged: now }))
    }

    /// Sends a text.
    pub(super) async fn say(&mut self, text: String) -> Result<(), Ended> {
        let sent = self.stream.send(Message::Text(text.into())).await;
        sent.map_err(|fault| Ended::Lost(fault.to_string()))
    }

    /// The next text.
    pub(super) async fn next(&mut self) -> Result<String, Ended> {
        loop {
            tokio::select! {
                message = self.stream.next() => {
                    self.heard = Instant::now();
                    match message {
                        Some(Ok(Message::Text(text))) => return Ok(text.to_string()),
                        Some(Ok(Message::Close(frame))) => return Err(match frame {
                            Some(frame) => Ended::Closed {
                                code: frame.code.into(),
                                reason: frame.reason.to_string(),
                            },
                            None => Ended::Lost("closed without a reason".to_owned()),
                        }),
                        Some(Ok(_)) => {}
                        Some(Err(fault)) => return Err(Ended::Lost(fault.to_string())),
                        None => return Err(Ended::Lost("the connection ended".to_owned())),
                    }
                }
                () = sleep_until(self.pinged + PING_EVERY) => {
                    self.pinged = Instant::now();
                    if self.heard.elapsed() > SILENCE_MAX {
                        let seconds = SILENCE_MAX.as_secs();
                        return Err(Ended::Lost(format!("nothing was heard for {seconds} s")));
                    }
                    let pinged = self.stream.send(Message::Ping(bytes::Bytes::new())).await;
                    pinged.map_err(|fault| Ended::Lost(fault.to_string()))?;
                }
            }
        }
    }
}
