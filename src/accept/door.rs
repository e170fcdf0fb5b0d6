//! From the parser to the handler and back. In: a request of hyper. Out: its [`Arrival`] to the handler, the handler's
//! [`Reply`] to hyper, with the request's id. Never a route, never a copy of headers or body.

use std::convert::Infallible;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::heads::{FREE_BYTES, Heads, head_bytes, stream_bytes};
use super::link::Link;
use super::listener::Inside;
use super::peer::{self, Sender};
use super::tunnel::Upgrade;
use super::wire::is_authority;
use super::{Body, Handler, Reply};
use crate::id;
use crate::request::{Arrival, ClientCertificate, RequestId};
use crate::telemetry::accept::Reason;

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Characters of a sender's own request id.
const REQUEST_ID_MAX_BYTES: usize = 128;

/// What all requests of one connection share.
pub(super) struct Door<H> {
    pub(super) handler: Arc<H>,
    pub(super) inside: Arc<Inside>,
    pub(super) link: Arc<Link>,
    /// The other end of the connection.
    pub(super) near: Sender,
    /// It may speak for others.
    pub(super) is_proxy: bool,
    /// What it showed when the connection began.
    pub(super) certificate: Option<Arc<ClientCertificate>>,
    /// HTTP/2.
    pub(super) multiplexed: bool,
    /// Requests so far.
    pub(super) count: AtomicU64,
    /// What goes on after an answer that switched.
    pub(super) upgrade: Mutex<Option<Upgrade>>,
    /// Heads whose requests run.
    pub(super) heads: Heads,
}

/// A request on its way; however it ends, the connection knows.
pub(super) struct Run<'a>(pub(super) &'a Link);

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.0.answered();
    }
}

/// The same for a request at the door, with what its head takes.
struct Passage<H> {
    door: Arc<Door<H>>,
    head_bytes: u64,
}

impl<H> Drop for Passage<H> {
    fn drop(&mut self) {
        if self.head_bytes > 0 {
            self.door.heads.remove(self.head_bytes);
        }
        self.door.link.answered();
    }
}

impl<H: Handler> Door<H> {
    /// Answers one request. Whether it is let in is known before the first wait: what is not is gone at once.
    pub(super) fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send {
        if self.multiplexed {
            self.link.heads_came(1);
        }
        let mut passage = Passage { door: self, head_bytes: 0 };
        let door = &passage.door;
        let number = door.count.fetch_add(1, Relaxed);
        let (mut parts, incoming) = request.into_parts();
        let request_id = door.request_id(&parts.headers);
        let echo = echo(&request_id);
        let may_switch = parts.extensions.get::<OnUpgrade>().is_some();
        let head = parts.method == Method::HEAD;
        let refused = match door.link.refusal_of(number) {
            Some(code) => Err(Reason::from_code(code)),
            None => door.refusal(&mut parts).map_or(Ok(()), Err),
        };
        let entered = refused.and_then(|()| door.enter(&parts));
        let entered = entered.map(|head_bytes| {
            passage.head_bytes = head_bytes;
            let arrival = passage.door.arrival(parts, request_id);
            let bodies = passage.door.inside.bodies.clone();
            let link = Arc::clone(&passage.door.link);
            let body = Body::new(incoming, &arrival.headers, bodies, link);
            (arrival, body)
        });
        async move {
            let door = &passage.door;
            let reply = match entered {
                Ok((arrival, body)) => door.handler.answer(arrival, body).await,
                Err(reason) => {
                    door.inside.ledger.refuse(reason);
                    refuse(reason)
                }
            };
            Ok(door.response(door.switching(reply, may_switch), head, echo))
        }
    }

    /// Takes room for a head until its request ends. The usual head of HTTP/1 needs none: there is one at a time.
    fn enter(&self, parts: &Parts) -> Result<u64, Reason> {
        let bytes = if self.multiplexed { stream_bytes(parts) } else { head_bytes(parts) };
        if bytes <= FREE_BYTES && !self.multiplexed {
            return Ok(0);
        }
        self.heads.add(bytes).map(|()| bytes).map_err(|_| Reason::HeadsCrowded)
    }

    /// The rules of a head that need more than its bytes, or that HTTP/2 shares.
    fn refusal(&self, parts: &mut Parts) -> Option<Reason> {
        let options = &self.inside.options;
        if self.multiplexed {
            // A header that stands in HPACK's table comes again with one byte: the list's size bounds them badly.
            if parts.headers.len() > options.headers_max {
                return Some(Reason::HeadTooLarge);
            }
            if let Err(reason) = check_multiplexed(parts) {
                return Some(reason);
            }
        }
        let hosts = &options.hosts;
        if !hosts.is_empty() {
            let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
            let name = host.map(without_port);
            if !name.is_some_and(|name| hosts.iter().any(|host| host.eq_ignore_ascii_case(name))) {
                return Some(Reason::HostUnknown);
            }
        }
        None
    }

    fn arrival(&self, parts: Parts, request_id: RequestId) -> Arrival {
        let options = &self.inside.options;
        let sender = if self.is_proxy {
            peer::believe(self.near, &parts.headers, &options.trusted_proxies)
        } else {
            self.near
        };
        // A proxy's own certificate says nothing of those for whom it speaks, be it that it does not say for whom: a
        // sender may have had it leave that out.
        let certificate = self.certificate.clone().filter(|_| !self.is_proxy);
        Arrival {
            method: parts.method,
            target: parts.uri,
            headers: parts.headers,
            peer: sender.peer,
            secure: sender.secure,
            request_id,
            certificate,
            received: self.inside.clock.now(),
        }
    }

    /// The sender's own id when it is well-formed and the only one.
    fn request_id(&self, headers: &HeaderMap) -> RequestId {
        let mut values = headers.get_all(&X_REQUEST_ID).iter();
        if let (Some(value), None) = (values.next(), values.next()) {
            let text = value.as_bytes();
            let plain = text.iter().all(u8::is_ascii_graphic);
            if plain && !text.is_empty() && text.len() <= REQUEST_ID_MAX_BYTES {
                return RequestId::Theirs(value.clone());
            }
        }
        RequestId::Ours(id::now(&self.inside.clock))
    }

    /// Keeps what goes on after a reply that switches; where the connection cannot, the reply says so instead.
    fn switching(&self, mut reply: Reply, may_switch: bool) -> Reply {
        match reply.upgrade.take() {
            Some(_) if !may_switch => {
                Reply::detail(StatusCode::UPGRADE_REQUIRED, "Upgrade Required")
            }
            None => reply,
            upgrade => {
                *self.upgrade.lock().expect("nothing panics under this lock") = upgrade;
                reply
            }
        }
    }

    fn response(&self, reply: Reply, head: bool, echo: HeaderValue) -> Response<Full<Bytes>> {
        let Reply { status, mut headers, mut body, close, .. } = reply;
        let bodiless = status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if head && !bodiless {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        if !body.is_empty() && !bodiless {
            // A type is what the header says: a browser is not to find a page in what is none.
            headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        }
        if head || bodiless {
            body = Bytes::new();
        }
        headers.insert(X_REQUEST_ID.clone(), echo);
        // What is left of a body nobody read would be taken for the next request.
        let is_last = close || self.link.is_body_left();
        if is_last && !self.multiplexed {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }
}

/// What the scanner checks for HTTP/1. `Host` is filled in from `:authority`, so that both versions look alike.
fn check_multiplexed(parts: &mut Parts) -> Result<(), Reason> {
    if parts
        .headers
        .get(EXPECT)
        .is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    {
        return Err(Reason::Expectation);
    }
    let mut hosts = parts.headers.get_all(HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    if second.is_some() || host.is_some_and(|host| !is_authority(host.as_bytes())) {
        return Err(Reason::Host);
    }
    match (parts.uri.authority(), host) {
        (None, None) => Err(Reason::Host),
        (None, Some(_)) => Ok(()),
        (Some(authority), Some(host)) => {
            let same = authority.as_str().as_bytes().eq_ignore_ascii_case(host.as_bytes());
            if same { Ok(()) } else { Err(Reason::Host) }
        }
        (Some(authority), None) => {
            let value = HeaderValue::from_str(authority.as_str()).map_err(|_| Reason::Host)?;
            if !is_authority(value.as_bytes()) {
                return Err(Reason::Host);
            }
            parts.headers.insert(HOST, value);
            Ok(())
        }
    }
}

/// The name of `name:port` or `[address]:port`.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn echo(id: &RequestId) -> HeaderValue {
    match id {
        RequestId::Theirs(value) => value.clone(),
        RequestId::Ours(id) => {
            let mut text = [0; 36];
            let text = id.hyphenated().encode_lower(&mut text);
            HeaderValue::from_str(text).expect("an id is printable ASCII")
        }
    }
}

/// The one table from reasons to replies; the connection ends after each.
fn refuse(reason: Reason) -> Reply {
    let (status, detail) = match reason {
        Reason::TargetTooLong => (StatusCode::URI_TOO_LONG, "URI Too Long"),
        Reason::HeadTooLarge => {
            (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "Request Header Fields Too Large")
        }
        Reason::Expectation => (StatusCode::EXPECTATION_FAILED, "Expectation Failed"),
        Reason::HeadsCrowded => {
            return Reply::detail(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
                .with(RETRY_AFTER, HeaderValue::from_static("1"))
                .closing();
        }
        _ => (StatusCode::BAD_REQUEST, "Bad Request"),
    };
    Reply::detail(status, detail).closing()
}
