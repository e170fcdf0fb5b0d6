//! A websocket client for tests: a handshake by hand, then frames one by one, each waited for. In: a gateway, a path,
//! headers. Out: what the gateway says, close codes among it.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Message, WebSocket};

use super::{Answer, PATIENCE, Served};

/// An open websocket.
pub(super) struct Client {
    socket: WebSocket<TcpStream>,
    /// The head of the answer that switched.
    pub(super) head: String,
}

impl Served {
    /// Asks for a websocket; the answer when it is refused.
    pub(super) fn connect(&self, path: &str, headers: &[(&str, &str)]) -> Result<Client, Answer> {
        let address = self.address();
        let mut head = format!(
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        );
        for (name, value) in headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("\r\n");
        let mut stream = TcpStream::connect(address).expect("a listener");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.write_all(head.as_bytes()).expect("the head goes out");
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).expect("an answer");
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).expect("an ASCII head");
        let status = head[9..12].parse().expect("a status");
        if status != 101 {
            return Err(Answer { status, head, body: Vec::new() });
        }
        assert!(head.to_lowercase().contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="));
        Ok(Client { socket: WebSocket::from_raw_socket(stream, Role::Client, None), head })
    }

    /// A publisher as the original's cloud is met: by header, without a subprotocol.
    pub(super) fn publisher(&self) -> Client {
        let bearer = format!("bearer {}", self.key);
        let path = format!("{}/events/in", self.api);
        self.connect(&path, &[("authorization", &bearer)]).expect("it switches")
    }
}

impl Client {
    pub(super) fn say(&mut self, value: &Value) {
        self.text(&value.to_string());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).expect("it goes out");
    }

    pub(super) fn binary(&mut self, bytes: &[u8]) {
        self.socket.send(Message::binary(bytes.to_vec())).expect("it goes out");
    }

    /// Sends a ping and waits for its answer.
    pub(super) fn ping(&mut self) {
        self.socket.send(Message::Ping("now".into())).expect("it goes out");
        loop {
            match self.socket.read().expect("an answer") {
                Message::Pong(told) if told == "now" => return,
                Message::Ping(_) => {}
                other => panic!("no pong, but {other:?}"),
            }
        }
    }

    /// Waits for the next text frame.
    pub(super) fn hear(&mut self) -> Value {
        loop {
            match self.socket.read().expect("a frame") {
                Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
                Message::Ping(_) => {}
                other => panic!("no text, but {other:?}"),
            }
        }
    }

    /// The next text frame, or how it ends instead.
    pub(super) fn hear_or_end(&mut self) -> Result<Value, (u16, String)> {
        loop {
            match self.socket.read().expect("a frame") {
                Message::Text(text) => return Ok(serde_json::from_str(&text).expect("JSON")),
                Message::Close(Some(CloseFrame { code, reason })) => {
                    return Err((code.into(), reason.to_string()));
                }
                Message::Close(None) => return Err((1005, String::new())),
                _ => {}
            }
        }
    }

    /// Waits for the gateway's close frame: code and reason.
    pub(super) fn end(mut self) -> (u16, String) {
        loop {
            match self.socket.read().expect("a close frame") {
                Message::Close(Some(CloseFrame { code, reason })) => {
                    return (code.into(), reason.to_string());
                }
                Message::Close(None) => return (1005, String::new()),
                _ => {}
            }
        }
    }

    /// Says goodbye and waits until the gateway has, too.
    pub(super) fn leave(mut self) {
        self.socket.close(None).expect("it goes out");
        while self.socket.read().is_ok() {}
    }
}
