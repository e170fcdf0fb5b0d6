//! Sockets in: listeners, TLS, HTTP/1 and HTTP/2, a deadline on every phase, a bound on everything a peer may hold.
//! In: bytes of strangers. Out: an [`Arrival`](crate::request::Arrival) and its [`Body`] for the one [`Handler`].
//! Never a route, never a slug.

mod body;
mod reply;

use std::future::Future;

use crate::request::Arrival;

pub use body::{Body, BodyError};
pub use reply::Reply;

/// Answers requests. One handler serves all listeners of a kind.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request; the body is read only if this asks for it.
    fn answer(&self, arrival: Arrival, body: Body) -> impl Future<Output = Reply> + Send;
}
