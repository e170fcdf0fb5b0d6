//! Sockets in: listeners, TLS, HTTP/1 and HTTP/2, a deadline on every phase, a bound on everything a peer may hold.
//! In: bytes of strangers. Out: an [`Arrival`](crate::request::Arrival) and its [`Body`] for the one [`Handler`].
//! Never a route, never a slug.

mod body;
mod bounded;
mod budget;
mod connection;
mod decode;
mod door;
mod halves;
mod handshakes;
mod heads;
mod ledger;
mod link;
mod listener;
mod options;
pub mod peer;
pub mod proxy;
mod registry;
mod reply;
mod tables;
mod tls;
mod tunnel;
pub mod websocket;
mod wire;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::request::Arrival;

pub use body::{Body, BodyError};
pub use decode::decode;
pub use listener::{Drained, Listener, Sockets};
pub use options::{Options, TlsFiles};
pub use reply::Reply;
pub use tls::{lists_term, own_term};
pub use wire::{Block, BlockScan, HeadLimits, Scan, Scanner, Told};

/// Answers requests. One handler serves all listeners of a kind.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request; the body is read only if this asks for it.
    fn answer(&self, arrival: Arrival, body: Body) -> impl Future<Output = Reply> + Send;
}

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The address is taken, not ours, or not allowed.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// A TLS file is not there, or holds something else.
    #[error("cannot use {path} for TLS: {reason}")]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}
