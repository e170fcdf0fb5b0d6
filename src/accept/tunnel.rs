//! A connection after its last HTTP answer, when another protocol goes on there. In: a wire that its parser gave back.
//! Out: plain bytes for whoever took the connection over. It keeps its place among all connections, is never idle, and
//! is told of drains like the others.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use super::link::Link;

/// What goes on over a connection; it ends when this does.
pub(super) struct Upgrade(Box<dyn FnOnce(Tunnel) -> Running + Send>);

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upgrade")
    }
}

impl Upgrade {
    pub(super) fn new<F>(run: impl FnOnce(Tunnel) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self(Box::new(|tunnel| Box::pin(run(tunnel))))
    }

    pub(super) fn run(self, tunnel: Tunnel) -> Running {
        (self.0)(tunnel)
    }
}

/// Bytes both ways.
pub(super) trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

/// The connection.
pub(super) struct Tunnel {
    pub(super) io: Box<dyn Bytes>,
    /// Read already.
    pub(super) first: Vec<u8>,
    pub(super) link: Arc<Link>,
    /// For the peer to take what is written.
    pub(super) write: Duration,
}
