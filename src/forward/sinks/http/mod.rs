//! Batches over HTTP: JSON arrays, posted one after the other. In: a range of events. Out: what the status means for
//! it. Redirects are not followed, nothing is decompressed, an answer is read only to its bound, every phase has a
//! deadline; the length is always sent.

mod reply;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::RootCertStore;

use self::reply::{Reply, judge};
use super::prefect::{Csrf, Sieve, question, read_total};
use super::secret::Secret;
use super::{Answer, Bounds, Fault, Unconfirmed, tls};
use crate::clock::Clock;
use crate::forward::destination::Target;
use crate::forward::egress::Egress;
use crate::forward::load::{Form, Load};
use crate::forward::{Destination, ForwardError};
use crate::id::{self, Uuid};
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
    secret: Option<Secret>,
    is_secret_old: bool,
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
        Self::trusting(tls::roots, destination, clock, deadline)
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
            client: client(roots, destination.egress.clone())?,
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
        let response = self.client.request(request).await.map_err(|error| reply::fault(&error))?;
        Ok(Reply::read(response, &self.clock).await)
    }
}

/// A client for one server.
fn client(
    roots: RootCertStore,
    egress: Egress,
) -> Result<Client<HttpsConnector<Egress>, Full<Bytes>>, ForwardError> {
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls::client(roots)?)
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
