//! A small HTTP client for commands that talk to a gateway. In: one request. Out: its whole answer, bounded in bytes
//! and time. Never follows a redirect, never speaks to anybody but the address it was given.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::upgrade::Upgraded;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};

use super::output::Failure;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Largest answer: a page of the longest templates, or of long events.
const ANSWER_MAX_BYTES: usize = 64 << 20;

/// What a command waits on.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|fault| Failure::No(format!("no runtime: {fault}")))
}

/// An answer, read whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Keeps its connections.
#[derive(Clone, Debug)]
pub(super) struct Client(Pool<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Client {
    /// For addresses of `http`.
    pub(super) fn new() -> Self {
        Self::trusting(RootCertStore::empty())
    }

    /// For an address; with `https` it trusts whom this machine trusts.
    pub(super) fn fit(address: &str) -> Result<Self, Failure> {
        let mut roots = RootCertStore::empty();
        // Read only where they are needed: a machine may have none.
        if address.starts_with("https:") {
            let found = rustls_native_certs::load_native_certs();
            if roots.add_parsable_certificates(found.certs).0 == 0 {
                let what = "this machine trusts no certificate authority: https cannot be checked";
                return Err(Failure::Unreachable(what.to_owned()));
            }
        }
        Ok(Self::trusting(roots))
    }

    fn trusting(roots: RootCertStore) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has the protocols it is built with")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        let connector = builder.enable_http1().wrap_connector(tcp);
        Self(Pool::builder(TokioExecutor::new()).build(connector))
    }

    /// Asks to speak another protocol on; the head and the connection, or the answer when it is refused.
    pub(super) async fn switch(
        &self,
        address: &str,
        headers: HeaderMap,
    ) -> Result<Result<(HeaderMap, Upgraded), Answer>, Failure> {
        let unreachable = |fault: &dyn Error| {
            Failure::Unreachable(format!("{address} did not answer: {}", cause(fault)))
        };
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.uri_mut() = address.parse().map_err(|fault| unreachable(&fault))?;
        *request.headers_mut() = headers;
        let exchange = async {
            let answer = self.0.request(request).await.map_err(|fault| unreachable(&fault))?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            if status == StatusCode::SWITCHING_PROTOCOLS {
                let connection = hyper::upgrade::on(answer).await;
                return Ok(Ok((headers, connection.map_err(|fault| unreachable(&fault))?)));
            }
            let body = Limited::new(answer.into_body(), ANSWER_MAX_BYTES).collect().await;
            let body = body.map_err(|fault| unreachable(&*fault))?.to_bytes();
            Ok(Err(Answer { status, headers, body }))
        };
        let late =
            |_| Failure::Late(format!("{address}: no answer within {} s", PATIENCE.as_secs()));
        tokio::time::timeout(PATIENCE, exchange).await.map_err(late)?
    }

    /// Sends one request and reads its answer.
    pub(super) async fn send(
        &self,
        method: Method,
        address: &str,
        headers: HeaderMap,
        body: impl Into<Bytes>,
    ) -> Result<Answer, Failure> {
        let mut request = Request::new(Full::new(body.into()));
        *request.method_mut() = method;
        *request.uri_mut() =
            address.parse().map_err(|fault| Failure::Unreachable(format!("{address}: {fault}")))?;
        *request.headers_mut() = headers;
        let host = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        let unreachable = |fault: &dyn Error| {
            Failure::Unreachable(format!("{host} did not answer: {}", cause(fault)))
        };
        let exchange = async {
            let answer = self.0.request(request).await.map_err(|fault| unreachable(&fault))?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_MAX_BYTES).collect().await;
            let body = body.map_err(|fault| unreachable(&*fault))?.to_bytes();
            Ok(Answer { status: head.status, headers: head.headers, body })
        };
        let late = |_| Failure::Late(format!("{host}: no answer within {} s", PATIENCE.as_secs()));
        tokio::time::timeout(PATIENCE, exchange).await.map_err(late)?
    }
}

/// What led to a fault at last: what stands before it only says where it was met.
fn cause(fault: &dyn Error) -> String {
    let mut last = fault;
    while let Some(before) = last.source() {
        last = before;
    }
    last.to_string()
}
