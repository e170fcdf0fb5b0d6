//! Batches over HTTP: JSON arrays, posted one after the other. In: a range of events. Out: what the status means for
//! it. Redirects are not followed, nothing is decompressed, an answer is read only to its bound, every phase has a
//! deadline; the length is always sent.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};

use super::prefect::{Csrf, Sieve, question, read_total};
use super::secret::Secret;
use super::{Answer, Bounds, Fault, Refusal, Unconfirmed};
use crate::clock::Clock;
use crate::forward::backoff::retry_after;
use crate::forward::destination::Target;
use crate::forward::load::{Form, Load};
use crate::forward::{Destination, ForwardError};
use crate::id::{self, Uuid};
use crate::telemetry::forward::Outcome;

/// One request of a plain destination, and of a Prefect server.
const PLAIN: Bounds = Bounds { frames: 500, frame_bytes: 1 << 20, events: 500, bytes: 1 << 20 };
const PREFECT: Bounds = Bounds { frames: 500, frame_bytes: 4 << 20, events: 500, bytes: 4 << 20 };
/// Most bytes of an answer that are read, and of those the most that are shown.
const ANSWER_MAX_BYTES: usize = 64 << 10;
const SHOWN_MAX_BYTES: usize = 512;
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// A connection that was not used this long is closed.
const IDLE: Duration = Duration::from_mins(1);

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("hookgate/", env!("CARGO_PKG_VERSION")));

/// What a Prefect server needs beside the batches.
#[derive(Debug)]
struct Prefect {
    filter: Uri,
    token: Uri,
    csrf: Csrf,
    sieve: Sieve,
}

/// The lane's side of a server.
#[derive(Debug)]
pub(in crate::forward) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    uri: Uri,
    secret: Option<Secret>,
    is_secret_old: bool,
    prefect: Option<Prefect>,
    clock: Arc<Clock>,
    deadline: Duration,
}

/// What came back.
struct Reply {
    status: StatusCode,
    after: Option<Duration>,
    text: String,
}

impl Http {
    pub(super) fn new(
        destination: &Destination,
        clock: &Arc<Clock>,
        deadline: Duration,
    ) -> Result<Self, ForwardError> {
        Self::trusting(read_roots, destination, clock, deadline)
    }

    fn trusting(
        roots: impl FnOnce() -> Result<RootCertStore, ForwardError>,
        destination: &Destination,
        clock: &Arc<Clock>,
        deadline: Duration,
    ) -> Result<Self, ForwardError> {
        let (uri, prefect) = match &destination.target {
            Target::Prefect { events, filter, token } => {
                let (csrf, sieve) = (Csrf::new(id::now(clock)), Sieve::default());
                let (filter, token) = (filter.clone(), token.clone());
                (events, Some(Prefect { filter, token, csrf, sieve }))
            }
            Target::Http(uri) => (uri, None),
            Target::Stdout | Target::File(_) => {
                let why = "is no address".to_owned();
                return Err(ForwardError::Destination { text: destination.name().into(), why });
            }
        };
        let is_prefect = prefect.is_some();
        let secret = destination.bearer_file.as_deref();
        let secret = secret.map(|path| Secret::read(path, is_prefect)).transpose()?;
        // Read only where they are needed: a machine may have none.
        let is_https = uri.scheme_str() == Some("https");
        let roots = if is_https { roots()? } else { RootCertStore::empty() };
        Ok(Self {
            client: client(roots)?,
            uri: uri.clone(),
            secret,
            is_secret_old: false,
            prefect,
            clock: Arc::clone(clock),
            deadline,
        })
    }

    pub(super) fn bounds(&self) -> Bounds {
        if self.prefect.is_some() { PREFECT } else { PLAIN }
    }

    pub(super) fn check(&mut self, json: &[u8]) -> Result<(), String> {
        self.prefect.as_mut().map_or(Ok(()), |prefect| prefect.sieve.check(json))
    }

    pub(super) fn reopen(&mut self) {
        self.is_secret_old = true;
    }

    pub(super) async fn send(&mut self, load: &Load, range: Range<usize>) -> Answer {
        if std::mem::take(&mut self.is_secret_old)
            && let Some(secret) = &mut self.secret
        {
            secret.refresh().await;
        }
        let form = if self.prefect.is_some() { Form::Bare } else { Form::Received };
        let body = Bytes::from(load.array(range, form));
        let reply = self.post(self.uri.clone(), body).await;
        let answer = reply.map_or_else(Answer::Failed, judge);
        // The secret may have been changed on both sides meanwhile.
        self.is_secret_old =
            matches!(&answer, Answer::Failed(fault) if fault.outcome == Outcome::Unauthorized);
        answer
    }

    /// How many of these events a Prefect server keeps.
    pub(super) async fn count_kept(&mut self, ids: &[Uuid]) -> Result<usize, Unconfirmed> {
        let Some(prefect) = &self.prefect else { return Ok(ids.len()) };
        let (filter, body) = (prefect.filter.clone(), Bytes::from(question(ids)));
        let reply = self.post(filter, body).await.map_err(Unconfirmed::Failed)?;
        if reply.status.is_success() {
            let why = || Unconfirmed::NotOffered("its answer has no total".to_owned());
            return read_total(&reply.text).ok_or_else(why);
        }
        let forbidden = reply.status == StatusCode::FORBIDDEN;
        Err(match judge(reply) {
            Answer::Failed(fault) if !forbidden && fault.outcome != Outcome::Unexpected => {
                Unconfirmed::Failed(fault)
            }
            Answer::Failed(fault) => Unconfirmed::NotOffered(fault.what),
            Answer::Refused(refusal) => Unconfirmed::NotOffered(refusal.reason),
            Answer::Taken => Unconfirmed::NotOffered(String::new()),
        })
    }

    /// Posts, with a token against forged requests if one is wanted.
    async fn post(&mut self, uri: Uri, body: Bytes) -> Result<Reply, Fault> {
        let reply = self.ask(Method::POST, uri.clone(), body.clone()).await?;
        if Csrf::is_asked(reply.status, &reply.text) && self.learn_token().await {
            return self.ask(Method::POST, uri, body).await;
        }
        Ok(reply)
    }

    /// Fetches a token against forged requests; `false`: there is none to be had.
    async fn learn_token(&mut self) -> bool {
        let Some(prefect) = &self.prefect else { return false };
        let address = format!("{}?client={}", prefect.token, prefect.csrf.client);
        let Ok(uri) = address.parse() else { return false };
        let reply = self.ask(Method::GET, uri, Bytes::new()).await;
        let Some(prefect) = &mut self.prefect else { return false };
        reply.is_ok_and(|reply| reply.status.is_success() && prefect.csrf.learn(&reply.text))
    }

    /// One request and its answer, within the deadline.
    async fn ask(&self, method: Method, uri: Uri, body: Bytes) -> Result<Reply, Fault> {
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, AGENT);
        headers.insert(ACCEPT, JSON);
        if request.method() == Method::POST {
            let headers = request.headers_mut();
            headers.insert(CONTENT_TYPE, JSON);
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
            if let Some(prefect) = &self.prefect {
                prefect.csrf.sign(headers);
            }
        }
        if let Some(secret) = &self.secret {
            let (name, value) = secret.header();
            request.headers_mut().insert(name, value);
        }
        let seconds = self.deadline.as_secs_f32();
        tokio::time::timeout(self.deadline, self.exchange(request)).await.unwrap_or_else(|_| {
            Err(Fault::new(Outcome::Timeout, format!("no answer within {seconds} s")))
        })
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Reply, Fault> {
        let response = self
            .client
            .request(request)
            .await
            .map_err(|fault| Fault::new(Outcome::Unreachable, chain(&fault)))?;
        let status = response.status();
        let asked = response.headers().get(RETRY_AFTER);
        let after = asked.and_then(|value| retry_after(value, self.clock.now()));
        let text = read_text(response.into_body()).await;
        Ok(Reply { status, after, text })
    }
}

/// The machine's certificate authorities, or those of the file that `SSL_CERT_FILE` names.
fn read_roots() -> Result<RootCertStore, ForwardError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (good, _) = roots.add_parsable_certificates(found.certs);
    if good == 0 { Err(ForwardError::NoRoots) } else { Ok(roots) }
}

/// A client for one server.
fn client(
    roots: RootCertStore,
) -> Result<Client<HttpsConnector<HttpConnector>, Full<Bytes>>, ForwardError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|fault| ForwardError::Tls(fault.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_DEADLINE));
    tcp.set_keepalive(Some(IDLE));
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(tcp);
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(1)
        .build(connector))
}

/// An answer's beginning; a longer one is left unread, and its connection with it.
async fn read_text(mut body: Incoming) -> String {
    let mut bytes = BytesMut::new();
    while bytes.len() < ANSWER_MAX_BYTES && !body.is_end_stream() {
        let Some(Ok(frame)) = body.frame().await else { break };
        if let Ok(data) = frame.into_data() {
            let room = ANSWER_MAX_BYTES - bytes.len();
            bytes.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a status means for what was sent.
fn judge(reply: Reply) -> Answer {
    let Reply { status, after, text } = reply;
    let what = format!("answered {status}");
    let lasting = |outcome| Fault { after, ..Fault::lasting(outcome, what.clone()) };
    let passing = |outcome| Fault { after, ..Fault::new(outcome, what.clone()) };
    Answer::Failed(match status.as_u16() {
        200..=299 => return Answer::Taken,
        400 | 413 | 422 => {
            return Answer::Refused(Refusal { reason: what, answer: shown(&text) });
        }
        401 | 403 | 407 => lasting(Outcome::Unauthorized),
        429 => passing(Outcome::Throttled),
        500 => Fault { may_be_content: true, ..passing(Outcome::Unavailable) },
        408 | 425 | 501..=599 => passing(Outcome::Unavailable),
        _ => lasting(Outcome::Unexpected),
    })
}

/// Foreign text as it may be shown: one line, bounded.
fn shown(text: &str) -> String {
    let text = &text[..text.floor_char_boundary(SHOWN_MAX_BYTES)];
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// An error and what caused it, in one line.
fn chain(fault: &dyn std::error::Error) -> String {
    let mut text = fault.to_string();
    let mut cause = fault.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    shown(&text)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{Response, Version};
    use hyper::server::conn::{http1, http2};
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use rustls::ServerConfig;
    use rustls_pki_types::pem::PemObject as _;
    use rustls_pki_types::{CertificateDer, PrivateKeyDer};
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::clock::Time;
    use crate::event::Event;
    use crate::spool::Kept;

    const CERTIFICATE: &[u8] = include_bytes!("../../../tests/data/tls/certificate.pem");
    const KEY: &[u8] = include_bytes!("../../../tests/data/tls/key.pem");

    fn certificate() -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(CERTIFICATE).expect("a certificate")
    }

    /// A server that speaks TLS and takes what comes with a length; gives its port.
    async fn serve(protocol: &'static str, version: Version) -> u16 {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::from_pem_slice(KEY).expect("a key");
        let mut tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate()], key)
            .expect("a certificate");
        tls.alpn_protocols = vec![protocol.into()];
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let Ok(socket) = acceptor.accept(socket).await else { continue };
                let service = service_fn(move |request: Request<Incoming>| async move {
                    let sized = request.headers().contains_key(CONTENT_LENGTH);
                    let mut response = Response::new(String::new());
                    if !sized || request.version() != version {
                        *response.status_mut() = StatusCode::LENGTH_REQUIRED;
                    }
                    Ok::<_, Infallible>(response)
                });
                tokio::spawn(async move {
                    let socket = TokioIo::new(socket);
                    if version == Version::HTTP_2 {
                        let server = http2::Builder::new(TokioExecutor::new());
                        let _ = server.serve_connection(socket, service).await;
                    } else {
                        let _ = http1::Builder::new().serve_connection(socket, service).await;
                    }
                });
            }
        });
        port
    }

    async fn send(port: u16, roots: RootCertStore) -> Answer {
        let to = format!("https://localhost:{port}/in");
        let destination = Destination::parse(&to).expect("a destination");
        let clock = Arc::new(Clock::fixed(Time::default()));
        let deadline = Duration::from_secs(20);
        let mut http =
            Http::trusting(|| Ok(roots), &destination, &clock, deadline).expect("a client");
        let event = Event { id: Uuid::nil(), json: Bytes::from_static(b"{}") };
        let kept = Kept {
            sequence: 1,
            account: Uuid::nil(),
            workspace: None,
            received: Time::default(),
            events: vec![event],
            capture: None,
        };
        http.send(&Load::new(vec![kept]), 0..1).await
    }

    #[tokio::test]
    async fn a_server_that_proves_its_name_is_spoken_to_as_it_likes() {
        for (protocol, version) in [("h2", Version::HTTP_2), ("http/1.1", Version::HTTP_11)] {
            let port = serve(protocol, version).await;
            let mut roots = RootCertStore::empty();
            roots.add(certificate()).expect("a root");
            let answer = send(port, roots).await;
            assert!(matches!(answer, Answer::Taken), "{protocol}: {answer:?}");
            let Answer::Failed(fault) = send(port, RootCertStore::empty()).await else {
                panic!("a stranger was trusted");
            };
            assert_eq!(fault.outcome, Outcome::Unreachable);
            assert!(fault.what.contains("certificate"), "{}", fault.what);
        }
    }

    fn answer(status: u16) -> Answer {
        let status = StatusCode::from_u16(status).expect("a status");
        judge(Reply { status, after: Some(Duration::from_secs(7)), text: "a\nb".into() })
    }

    #[test]
    fn each_status_means_one_thing() {
        for status in [200, 202, 204] {
            assert!(matches!(answer(status), Answer::Taken));
        }
        for status in [400, 413, 422] {
            let Answer::Refused(refusal) = answer(status) else { panic!("{status}") };
            assert_eq!(refusal.answer, "a b");
            assert!(refusal.reason.contains(&status.to_string()), "{}", refusal.reason);
        }
        for (status, outcome, is_lasting) in [
            (401, Outcome::Unauthorized, true),
            (403, Outcome::Unauthorized, true),
            (301, Outcome::Unexpected, true),
            (404, Outcome::Unexpected, true),
            (429, Outcome::Throttled, false),
            (408, Outcome::Unavailable, false),
            (500, Outcome::Unavailable, false),
            (503, Outcome::Unavailable, false),
        ] {
            let Answer::Failed(fault) = answer(status) else { panic!("{status}") };
            assert_eq!((fault.outcome, fault.is_lasting), (outcome, is_lasting), "{status}");
            assert_eq!(fault.after, Some(Duration::from_secs(7)));
            assert_eq!(fault.may_be_content, status == 500);
        }
    }
}
