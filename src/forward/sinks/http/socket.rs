//! Events to a Prefect server over its websocket. In: a range of events. Out: taken once a ping behind the last of them
//! is answered; whether they are stored is asked over HTTP, as of every Prefect server. What an answer may be is
//! bounded; no message of the server is waited for but those. Speaks to servers, which want a first message with who
//! calls, and to Prefect Cloud, which wants a header.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{
    CONNECTION, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE, USER_AGENT,
};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::reply::{Reply, judge};
use super::{AGENT, Http};
use crate::accept::websocket::prove;
use crate::clock::Clock;
use crate::forward::destination::Target;
use crate::forward::load::{Form, Load};
use crate::forward::sinks::wire::{Login, LoginPapers, Place, Socket, dial, secure, shown};
use crate::forward::sinks::{Answer, Bounds, Fault, Sent, Unconfirmed};
use crate::forward::{Destination, ForwardError};
use crate::telemetry::forward::Outcome;

/// What goes out before a ping.
const BOUNDS: Bounds = Bounds { frames: 500, frame_bytes: 1 << 20, events: 500, bytes: 1 << 20 };
/// A connection that was not used this long is made anew: somebody between may have ended it.
const IDLE: Duration = Duration::from_secs(30);
/// Largest message of the server.
const MESSAGE_MAX_BYTES: usize = 64 << 10;
/// What servers speak, and Prefect Cloud does not.
const PROTOCOL: &str = "prefect";
/// Closed because of who calls.
const POLICY: u16 = 1008;

type Stream = WebSocketStream<Socket>;

/// The lane's side of a websocket.
pub(in crate::forward) struct PrefectSocket {
    /// Asks what is stored, and knows what is never sent.
    http: Http,
    place: Place,
    path: String,
    login: LoginPapers,
    deadline: Duration,
    /// Pings so far.
    pings: u64,
    connection: Option<(Stream, Instant)>,
}

impl fmt::Debug for PrefectSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrefectSocket").field("place", &self.place).finish_non_exhaustive()
    }
}

impl PrefectSocket {
    pub(in crate::forward::sinks) fn new(
        destination: &Destination,
        ((place, path), http): ((&Place, &str), &Target),
        clock: &Arc<Clock>,
        deadline: Duration,
    ) -> Result<Self, ForwardError> {
        let asked = Destination { target: http.clone(), ..destination.clone() };
        Ok(Self {
            http: Http::new(&asked, clock, deadline)?,
            place: place.clone(),
            path: path.to_owned(),
            login: LoginPapers::of(destination)?,
            deadline,
            pings: 0,
            connection: None,
        })
    }

    pub(in crate::forward::sinks) fn bounds(&self) -> Bounds {
        self.http.options.bounds(BOUNDS)
    }

    pub(in crate::forward::sinks) fn check(&mut self, json: &[u8]) -> Result<(), String> {
        self.http.check(json)
    }

    pub(in crate::forward::sinks) fn reopen(&mut self) {
        self.connection = None;
        self.http.reopen();
    }

    pub(in crate::forward::sinks) async fn count_kept(
        &mut self,
        events: &[Sent],
    ) -> Result<usize, Unconfirmed> {
        self.http.count_kept(events).await
    }

    pub(in crate::forward::sinks) async fn send(
        &mut self,
        load: &Load,
        range: Range<usize>,
    ) -> Answer {
        let connection = self.connection.take().filter(|(_, used)| used.elapsed() < IDLE);
        let deadline = self.deadline;
        let attempt = async {
            let mut stream = match connection {
                Some((stream, _)) => stream,
                None => self.connect().await?,
            };
            self.say(&mut stream, load, range).await?;
            Ok(stream)
        };
        match tokio::time::timeout(deadline, attempt).await {
            Ok(Ok(stream)) => {
                self.connection = Some((stream, Instant::now()));
                Answer::Taken
            }
            Ok(Err(fault)) => Answer::Failed(fault),
            Err(_) => {
                let what = format!("no pong within {} s", deadline.as_secs_f32());
                Answer::Failed(Fault::new(Outcome::Timeout, what))
            }
        }
    }

    async fn connect(&mut self) -> Result<Stream, Fault> {
        self.http.renew().await;
        let token = token(&self.login.read().await?);
        // A key has no colon, and what a server knows somebody by has.
        let is_cloud = token.as_ref().is_some_and(|token| !token.contains(':'));
        let mut stream = self.switch(is_cloud).await?;
        if is_cloud {
            return Ok(stream);
        }
        let first = serde_json::json!({"type": "auth", "token": token}).to_string();
        stream.send(Message::text(first)).await.map_err(|fault| gone(&fault))?;
        let refused = || {
            let what = "the Prefect server does not know who calls";
            Err(Fault::lasting(Outcome::Unauthorized, what))
        };
        match stream.next().await {
            Some(Ok(Message::Text(text))) if text.contains("auth_success") => Ok(stream),
            Some(Ok(Message::Text(_))) => refused(),
            Some(Ok(Message::Close(Some(frame)))) if u16::from(frame.code) == POLICY => refused(),
            Some(Err(fault)) => Err(gone(&fault)),
            _ => Err(Fault::new(Outcome::Unreachable, "it closed the websocket")),
        }
    }

    /// A websocket, once the server has switched to it.
    async fn switch(&self, is_cloud: bool) -> Result<Stream, Fault> {
        let mut socket = dial(&self.place, &self.http.egress).await?;
        if self.place.is_tls {
            socket = secure(socket, &self.place, &self.http.options.tls).await?;
        }
        let broken = |fault: hyper::Error| Fault::new(Outcome::Unreachable, fault.to_string());
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(socket)).await.map_err(broken)?;
        // It ends with the switch, or with the sender.
        tokio::spawn(async move {
            let _ = connection.with_upgrades().await;
        });
        let key = STANDARD.encode(self.http.clock.chance());
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = self
            .path
            .parse()
            .map_err(|_| Fault::lasting(Outcome::Unexpected, "its path is none of an address"))?;
        self.fill(request.headers_mut(), &key, is_cloud);
        let response = sender.send_request(request).await.map_err(broken)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(match judge(Reply::read(response, &self.http.clock).await) {
                Answer::Failed(fault) => fault,
                Answer::Refused(refusal) => Fault::lasting(Outcome::Unexpected, refusal.reason),
                Answer::Taken => Fault::lasting(Outcome::Unexpected, "it opens no websocket"),
            });
        }
        if response.headers().get(SEC_WEBSOCKET_ACCEPT) != Some(&prove(key.as_bytes())) {
            let what = "it switched to something that is no websocket";
            return Err(Fault::lasting(Outcome::Unexpected, what));
        }
        let upgraded = hyper::upgrade::on(response).await.map_err(broken)?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_MAX_BYTES))
            .max_frame_size(Some(MESSAGE_MAX_BYTES));
        let parts = upgraded.downcast::<TokioIo<Socket>>().map_err(|_| {
            Fault::new(Outcome::Failed, "the connection is not the one that was made")
        })?;
        let (io, read) = (parts.io.into_inner(), parts.read_buf.to_vec());
        Ok(WebSocketStream::from_partially_read(io, read, Role::Client, Some(config)).await)
    }

    fn fill(&self, headers: &mut HeaderMap, key: &str, is_cloud: bool) {
        headers.insert(USER_AGENT, AGENT);
        self.http.carry(headers);
        let authority = format!("{}:{}", self.place.host, self.place.port);
        for (name, value) in [
            (HOST, authority.as_str()),
            (CONNECTION, "Upgrade"),
            (UPGRADE, "websocket"),
            (SEC_WEBSOCKET_VERSION, "13"),
            (SEC_WEBSOCKET_KEY, key),
        ] {
            headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
        }
        if !is_cloud {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
        }
    }

    /// Says all of it, and a ping behind it; ready once that is answered.
    async fn say(
        &mut self,
        stream: &mut Stream,
        load: &Load,
        range: Range<usize>,
    ) -> Result<(), Fault> {
        // A server ends the connection without a word at an event that it does not take.
        let broken = |fault: &_| Fault { may_be_content: true, ..gone(fault) };
        let mut text = Vec::new();
        for place in range {
            text.clear();
            load.write(place, Form::Bare, &mut text);
            let message = Message::text(String::from_utf8_lossy(&text).into_owned());
            stream.feed(message).await.map_err(|fault| broken(&fault))?;
        }
        self.pings += 1;
        let mark = Bytes::copy_from_slice(&self.pings.to_be_bytes());
        stream.send(Message::Ping(mark.clone())).await.map_err(|fault| broken(&fault))?;
        loop {
            match stream.next().await {
                Some(Ok(Message::Pong(found))) if found == mark => return Ok(()),
                Some(Ok(Message::Close(Some(frame)))) if u16::from(frame.code) == POLICY => {
                    let what = "the Prefect server does not know who calls any more";
                    return Err(Fault::lasting(Outcome::Unauthorized, what));
                }
                Some(Ok(Message::Close(_))) | None => {
                    let what = "it closed the websocket";
                    let fault = Fault::new(Outcome::Unreachable, what);
                    return Err(Fault { may_be_content: true, ..fault });
                }
                Some(Ok(_)) => {}
                Some(Err(fault)) => return Err(broken(&fault)),
            }
        }
    }
}

/// What a server knows somebody by: user and password as one, or a key; not what is a header of its own.
fn token(login: &Login) -> Option<String> {
    let whole = match (&login.user, &login.secret) {
        (Some(user), Some(secret)) => format!("{user}:{secret}"),
        (None, Some(secret)) => secret.clone(),
        _ => return None,
    };
    Some(whole).filter(|whole| !whole.contains(": "))
}

fn gone(fault: &tokio_tungstenite::tungstenite::Error) -> Fault {
    Fault::new(Outcome::Unreachable, shown(&fault.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_told_from_a_password_and_from_a_header() {
        let told = |user: Option<&str>, secret: Option<&str>| {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            token(&Login { user: owned(user), secret: owned(secret) })
        };
        assert_eq!(told(None, None), None);
        assert_eq!(told(Some("u"), Some("p")).as_deref(), Some("u:p"));
        assert_eq!(told(None, Some("u:p")).as_deref(), Some("u:p"));
        assert_eq!(told(None, Some("pnu_x")).as_deref(), Some("pnu_x"));
        assert_eq!(told(None, Some("X-Key: x")), None);
        assert_eq!(told(Some("X-Key"), Some(" x")), None);
    }
}
