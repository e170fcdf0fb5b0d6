//! A server that answers as a test tells it to, and remembers what it was asked. On loopback, real sockets.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How long a test waits for what must come.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// One request as the server saw it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Asked {
    /// The events of a batch.
    pub(super) fn events(&self) -> Vec<serde_json::Value> {
        serde_json::from_str(&self.body).expect("a JSON array")
    }

    /// Their numbers, as [`super::event`] made them.
    pub(super) fn numbers(&self) -> Vec<u64> {
        self.events().iter().filter_map(|event| event["payload"]["number"].as_u64()).collect()
    }
}

/// What the server does with a request.
pub(super) type Body = BoxBody<Bytes, Infallible>;

pub(super) fn status(code: u16) -> Response<Body> {
    body(code, "")
}

pub(super) fn body(code: u16, text: &str) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(text.as_bytes())).boxed());
    *response.status_mut() = StatusCode::from_u16(code).expect("a status");
    response
}

type Script = dyn FnMut(&Asked) -> Option<Response<Body>> + Send;

/// The server; it ends with the test's runtime.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    asked: watch::Receiver<Vec<(Asked, u16)>>,
}

impl Server {
    /// Answers by `script`; `None` answers nothing and keeps the connection.
    pub(super) async fn start(
        script: impl FnMut(&Asked) -> Option<Response<Body>> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (log, asked) = watch::channel(Vec::new());
        let script: Arc<Mutex<Box<Script>>> = Arc::new(Mutex::new(Box::new(script)));
        let log = Arc::new(log);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (script, log) = (Arc::clone(&script), Arc::clone(&log));
                let service = service_fn(move |request| {
                    answer(request, Arc::clone(&script), Arc::clone(&log))
                });
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(socket), service);
                tokio::spawn(connection);
            }
        });
        Self { address, asked }
    }

    /// Waits until what was asked so far fits, and gives it.
    pub(super) async fn until(&mut self, mut fits: impl FnMut(&[Asked]) -> bool) -> Vec<Asked> {
        self.until_answered(|seen| {
            let asked: Vec<_> = seen.iter().map(|(asked, _)| asked.clone()).collect();
            fits(&asked)
        })
        .await
        .into_iter()
        .map(|(asked, _)| asked)
        .collect()
    }

    /// The same, each request with the status it got; 0 for none.
    pub(super) async fn until_answered(
        &mut self,
        mut fits: impl FnMut(&[(Asked, u16)]) -> bool,
    ) -> Vec<(Asked, u16)> {
        let seen = tokio::time::timeout(PATIENCE, self.asked.wait_for(|seen| fits(seen))).await;
        seen.expect("what must come").expect("a server").clone()
    }

    /// The numbers that were taken, in the order they came.
    pub(super) async fn until_taken(&mut self, count: usize) -> Vec<u64> {
        let taken = |seen: &[(Asked, u16)]| {
            let is_good = |(asked, status): &&(Asked, u16)| {
                asked.body.starts_with('[') && (200..300).contains(status)
            };
            seen.iter().filter(is_good).flat_map(|(asked, _)| asked.numbers()).collect::<Vec<_>>()
        };
        taken(&self.until_answered(|seen| taken(seen).len() >= count).await)
    }
}

async fn answer(
    request: Request<Incoming>,
    script: Arc<Mutex<Box<Script>>>,
    log: Arc<watch::Sender<Vec<(Asked, u16)>>>,
) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Ok(Response::new(Empty::new().boxed()));
    };
    let asked = Asked {
        method: head.method.to_string(),
        path: head.uri.to_string(),
        headers: head.headers,
        body: String::from_utf8(body.to_bytes().to_vec()).expect("UTF-8"),
    };
    let response = (script.lock().expect("a script"))(&asked);
    let code = response.as_ref().map_or(0, |response| response.status().as_u16());
    log.send_modify(|seen| seen.push((asked, code)));
    match response {
        Some(response) => Ok(response),
        None => std::future::pending().await,
    }
}
