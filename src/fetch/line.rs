//! What HTTP runs over in tests. In: a host and a port. Out: a connection of the machine, or one of the simulation that
//! asks for it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::egress::{Egress, EgressFault};
use crate::lone;

/// A connection.
#[derive(Debug)]
pub enum Line {
    Real(TcpStream),
    Simulated(Box<turmoil::net::TcpStream>),
}

/// Connects by the rules, or inside a simulation, which has none.
pub(super) async fn open(egress: &Egress, host: &str, port: u16) -> Result<Line, EgressFault> {
    if !lone::is_here() {
        return egress.connect(host, port).await.map(Line::Real);
    }
    let connected = turmoil::net::TcpStream::connect((host, port)).await;
    let unknown =
        |why: io::Error| EgressFault::Unknown { host: host.to_owned(), why: why.to_string() };
    connected.map(|socket| Line::Simulated(Box::new(socket))).map_err(unknown)
}

impl Connection for Line {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Real(socket) => Pin::new(socket).poll_read(context, into),
            Self::Simulated(socket) => Pin::new(socket).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Real(socket) => Pin::new(socket).poll_write(context, bytes),
            Self::Simulated(socket) => Pin::new(socket).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Real(socket) => Pin::new(socket).poll_flush(context),
            Self::Simulated(socket) => Pin::new(socket).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Real(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Simulated(socket) => Pin::new(socket).poll_shutdown(context),
        }
    }
}
