//! A small HTTP client for commands that talk to a gateway. In: one request. Out: its whole answer, bounded in bytes
//! and time. Never follows a redirect, never speaks to anybody but the address it was given.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::output::Failure;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Largest answer.
const ANSWER_MAX_BYTES: usize = 8 << 20;

/// An answer, read whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Keeps its connections.
#[derive(Clone, Debug)]
pub(super) struct Client(Pool<HttpConnector, Full<Bytes>>);

impl Client {
    pub(super) fn new() -> Self {
        Self(Pool::builder(TokioExecutor::new()).build_http())
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
        let unreachable = |fault: &dyn std::fmt::Display| {
            Failure::Unreachable(format!("the gateway did not answer: {fault}"))
        };
        let exchange = async {
            let answer = self.0.request(request).await.map_err(|fault| unreachable(&fault))?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_MAX_BYTES).collect().await;
            let body = body.map_err(|fault| unreachable(&fault))?.to_bytes();
            Ok(Answer { status: head.status, headers: head.headers, body })
        };
        let late = |_| Failure::Late(format!("no answer within {} s", PATIENCE.as_secs()));
        tokio::time::timeout(PATIENCE, exchange).await.map_err(late)?
    }
}
