//! Events over HTTP, one request after the other, in one of a few forms. In: a range of events. Out: what the status
//! means for it. Redirects are not followed, nothing is decompressed, an answer is read only to its bound, every phase
//! has a deadline; the length is always sent.

mod objects;
mod papers;
mod reply;
mod shape;
mod sigv4;
mod socket;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

pub(in crate::forward) use self::objects::Objects;
use self::papers::Papers;
use self::reply::{Reply, judge};
use self::shape::{Message, message_id};
pub(in crate::forward) use self::socket::PrefectSocket;
use super::prefect::{Csrf, Sent, Sieve, questions, read_total};
use super::secret::Secret;
use super::{Answer, Bounds, Fault, Said, Unconfirmed, tls};
use crate::clock::Clock;
use crate::fetch::Egress;
use crate::forward::destination::Target;
use crate::forward::load::{Form, Load};
use crate::forward::options::{Options, Shape};
use crate::forward::{Destination, ForwardError};
use crate::id;
use crate::request::HOPS;
use crate::telemetry::forward::Outcome;

/// One request of a plain destination, and of a Prefect server.
const PLAIN: Bounds = Bounds { frames: 500, frame_bytes: 1 << 20, events: 500, bytes: 1 << 20 };
const PREFECT: Bounds = Bounds { frames: 500, frame_bytes: 4 << 20, events: 500, bytes: 4 << 20 };
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
    client: Client<HttpsConnector<Egress>, Full<Bytes>>,
    uri: Uri,
    is_https: bool,
    options: Options,
    egress: Egress,
    papers: Papers,
    /// What each request says beside what it must.
    headers: HeaderMap,
    secret: Option<Secret>,
    is_secret_old: bool,
    /// What the last answer said of how long nothing more is taken.
    closed: Option<Duration>,
    said: Said,
    prefect: Option<Prefect>,
    clock: Arc<Clock>,
    deadline: Duration,
}

impl Http {
    pub(super) fn new(
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
            _ => {
                let why = "is no address".to_owned();
                return Err(ForwardError::Destination { text: destination.name().into(), why });
            }
        };
        let is_prefect = prefect.is_some();
        let secret = destination.bearer_file.as_deref();
        let secret = match (secret, &destination.bearer) {
            (Some(path), _) => Some(Secret::read(path, is_prefect)?),
            (None, Some(given)) => Some(Secret::given(given, is_prefect)?),
            (None, None) => None,
        };
        let is_https = uri.scheme_str() == Some("https");
        let (options, egress) = (destination.options.clone(), destination.egress.clone());
        Ok(Self {
            client: client(is_https, &options, egress.clone())?,
            uri: uri.clone(),
            is_https,
            papers: Papers::read(&options)?,
            options,
            egress,
            headers: destination.headers.clone(),
            secret,
            is_secret_old: false,
            closed: None,
            said: Said::default(),
            prefect,
            clock: Arc::clone(clock),
            deadline,
        })
    }

    pub(super) fn bounds(&self) -> Bounds {
        self.options.bounds(if self.prefect.is_some() { PREFECT } else { PLAIN })
    }

    fn shape(&self) -> Shape {
        self.options.shape.unwrap_or_default()
    }

    pub(super) fn check(&mut self, json: &[u8]) -> Result<(), String> {
        if self.shape().is_cloudevents() && shape::is_nameless(json) {
            return Err("its name is empty, and a CloudEvent has a type".into());
        }
        self.prefect.as_mut().map_or(Ok(()), |prefect| prefect.sieve.check(json))
    }

    pub(super) fn reopen(&mut self) {
        self.is_secret_old = true;
    }

    pub(super) fn closed(&self) -> Option<Duration> {
        self.closed
    }

    pub(super) fn said(&self) -> Said {
        self.said
    }

    pub(super) async fn send(&mut self, load: &Load, range: Range<usize>) -> Answer {
        self.renew().await;
        let named = self.papers.signs().then(|| message_id(load, range.clone()));
        let (id, batch) = named.unzip();
        let hops = load.hops(range.clone());
        let mut message = match &self.prefect {
            Some(_) => Message::json(load.array(range, Form::Bare)),
            None => Message::write(load, range, self.shape()),
        };
        message.headers.insert(HOPS.clone(), u16::from(hops).into());
        let reply = self.post(self.uri.clone(), message, id.as_deref()).await;
        let status = reply.as_ref().ok().map(|reply| reply.status.as_u16());
        self.said = Said { status, batch: batch.flatten() };
        self.closed = reply.as_ref().ok().and_then(|reply| reply.closed);
        let answer = reply.map_or_else(Answer::Failed, judge);
        // The secret may have been changed on both sides meanwhile.
        self.is_secret_old =
            matches!(&answer, Answer::Failed(fault) if fault.outcome == Outcome::Unauthorized);
        answer
    }

    /// Reads all files again if somebody wants that.
    async fn renew(&mut self) {
        if std::mem::take(&mut self.is_secret_old) {
            self.refresh().await;
        }
    }

    /// What every request says: further headers, and who calls.
    fn carry(&self, headers: &mut HeaderMap) {
        headers.extend(self.headers.clone());
        self.papers.carry(headers);
        if let Some(secret) = &self.secret {
            let (name, value) = secret.header();
            headers.insert(name, value);
        }
    }

    /// Reads all files again, since they may have been changed; one that cannot be read changes nothing.
    async fn refresh(&mut self) {
        if let Some(secret) = &mut self.secret {
            secret.refresh().await;
        }
        if !self.options.names_file() {
            return;
        }
        let (is_https, options, egress) =
            (self.is_https, self.options.clone(), self.egress.clone());
        let read = tokio::task::spawn_blocking(move || {
            Ok::<_, ForwardError>((Papers::read(&options)?, client(is_https, &options, egress)?))
        });
        match read.await {
            Ok(Ok((papers, client))) => {
                self.papers = papers;
                self.client = client;
            }
            Ok(Err(fault)) => tracing::warn!(%fault, "a file could not be read again"),
            // The runtime ends.
            Err(_) => {}
        }
    }

    /// How many of these events a Prefect server keeps.
    pub(super) async fn count_kept(&mut self, events: &[Sent]) -> Result<usize, Unconfirmed> {
        self.renew().await;
        let Some(prefect) = &self.prefect else { return Ok(events.len()) };
        // Two workspaces may use one id: it is there or it is not.
        let mut ids: Vec<_> = events.iter().map(|sent| sent.id).collect();
        ids.sort_unstable();
        let all = ids.len();
        ids.dedup();
        let (filter, mut kept) = (prefect.filter.clone(), all - ids.len());
        for (question, count) in questions(events) {
            let some = self.ask_kept(filter.clone(), Message::json(question)).await?;
            if some > count {
                let why = format!("it counts {some} events where it was asked for {count}");
                return Err(Unconfirmed::NotOffered(why));
            }
            kept += some;
        }
        Ok(kept)
    }

    async fn ask_kept(&mut self, filter: Uri, question: Message) -> Result<usize, Unconfirmed> {
        let reply = self.post(filter, question, None).await.map_err(Unconfirmed::Failed)?;
        if reply.status.is_success() {
            return read_total(&reply.text).ok_or_else(|| {
                if reply.is_torn {
                    let fault = Fault::new(Outcome::Unreachable, "its answer broke off");
                    return Unconfirmed::Failed(fault);
                }
                Unconfirmed::NotOffered("its answer has no total".to_owned())
            });
        }
        let forbidden = reply.status == StatusCode::FORBIDDEN;
        self.is_secret_old = forbidden || reply.status == StatusCode::UNAUTHORIZED;
        Err(match judge(reply) {
            Answer::Failed(fault) if !forbidden && fault.outcome != Outcome::Unexpected => {
                Unconfirmed::Failed(fault)
            }
            Answer::Failed(fault) => Unconfirmed::NotOffered(fault.what),
            Answer::Refused(refusal) => Unconfirmed::NotOffered(refusal.reason),
            Answer::Taken => Unconfirmed::NotOffered(String::new()),
        })
    }

    /// Posts, with a token against forged requests if one is wanted; with an id it is signed.
    async fn post(&mut self, uri: Uri, message: Message, id: Option<&str>) -> Result<Reply, Fault> {
        let reply = self.ask(uri.clone(), Some(&message), id).await?;
        if Csrf::is_asked(reply.status, &reply.text) && self.learn_token().await {
            return self.ask(uri, Some(&message), id).await;
        }
        Ok(reply)
    }

    /// Fetches a token against forged requests; `false`: there is none to be had.
    async fn learn_token(&mut self) -> bool {
        let Some(prefect) = &self.prefect else { return false };
        let address = format!("{}?client={}", prefect.token, prefect.csrf.client);
        let Ok(uri) = address.parse() else { return false };
        let reply = self.ask(uri, None, None).await;
        let Some(prefect) = &mut self.prefect else { return false };
        reply.is_ok_and(|reply| reply.status.is_success() && prefect.csrf.learn(&reply.text))
    }

    /// One request and its answer, within the deadline. Without a message it is a question.
    async fn ask(
        &self,
        uri: Uri,
        message: Option<&Message>,
        id: Option<&str>,
    ) -> Result<Reply, Fault> {
        let body = message.map_or_else(Bytes::new, |message| message.body.clone());
        let mut request = Request::new(Full::new(body.clone()));
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, AGENT);
        self.carry(headers);
        headers.insert(ACCEPT, JSON);
        if let Some(message) = message {
            headers.insert(CONTENT_TYPE, message.media.clone());
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
            headers.extend(message.headers.clone());
            if let Some(prefect) = &self.prefect {
                prefect.csrf.sign(headers);
            }
            if let Some(id) = id {
                self.papers.sign(id, self.clock.now(), &body, headers);
            }
        }
        if message.is_some() {
            *request.method_mut() = Method::POST;
        }
        let seconds = self.deadline.as_secs_f32();
        tokio::time::timeout(self.deadline, self.exchange(request)).await.unwrap_or_else(|_| {
            Err(Fault::new(Outcome::Timeout, format!("no answer within {seconds} s")))
        })
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Reply, Fault> {
        let response = self.client.request(request).await.map_err(|error| reply::fault(&error))?;
        Ok(Reply::read(response, &self.clock).await)
    }
}

/// Whether what requests are to carry can be carried.
pub(super) fn check_papers(options: &Options) -> Result<(), ForwardError> {
    Papers::read(options).map(drop)
}

/// A client for one server.
fn client(
    is_https: bool,
    options: &Options,
    egress: Egress,
) -> Result<Client<HttpsConnector<Egress>, Full<Bytes>>, ForwardError> {
    // Authorities are read only where they are needed: a machine may have none.
    let tls = if is_https { tls::client(&options.tls)? } else { tls::distrustful()? };
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(egress);
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(1)
        .build(connector))
}

#[cfg(test)]
mod tests;
