//! Replies: a status, a few headers, bytes. In: what a plane decided. Out: what hyper writes.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::tunnel::Upgrade;

/// An answer, whole before its first byte is written. `X-Request-Id` is added by `accept`.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// Headers beside those of the framing.
    pub headers: HeaderMap,
    /// The body; never written with 204, 304 or to HEAD.
    pub body: Bytes,
    /// The connection ends after it.
    pub close: bool,
    /// What goes on over the connection after it; only [`websocket::accept`](super::websocket::accept) sets it.
    pub(super) upgrade: Option<Upgrade>,
}

impl Reply {
    /// An answer without a body.
    #[must_use]
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Bytes::new(), close: false, upgrade: None }
    }

    /// An answer of JSON text.
    #[must_use]
    pub fn json(status: StatusCode, text: impl Into<Bytes>) -> Self {
        let mut reply = Self::empty(status);
        reply.body = text.into();
        reply.with(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
    }

    /// `{"detail": …}`, the shape of every error.
    #[must_use]
    pub fn detail(status: StatusCode, detail: &str) -> Self {
        let mut text = b"{\"detail\":".to_vec();
        crate::json::write_str(&mut text, detail);
        text.push(b'}');
        Self::json(status, text)
    }

    /// The same with one more header.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The same, and the connection ends after it.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.close = true;
        self
    }
}
