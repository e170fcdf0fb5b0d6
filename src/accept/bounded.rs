//! Bytes of an upgraded connection, not more of them than its peer may send for now. In: a connection. Out: the same,
//! whose reads fail once a bound is spent. What is written is never bounded.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::tunnel::Bytes;

/// A connection with a bound on what is read; at first there is none.
pub(super) struct Bounded {
    io: Box<dyn Bytes>,
    left: Option<usize>,
}

impl Bounded {
    pub(super) fn new(io: Box<dyn Bytes>) -> Self {
        Self { io, left: None }
    }

    /// Lets so many bytes be read from now on, and the rest of the read that reaches them; `None`: any number.
    pub(super) fn bound(&mut self, most: Option<usize>) {
        self.left = most;
    }

    /// Whether no more may be read.
    pub(super) fn is_spent(&self) -> bool {
        self.left == Some(0)
    }
}

impl AsyncRead for Bounded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_spent() {
            return Poll::Ready(Err(io::ErrorKind::FileTooLarge.into()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        let read = buffer.filled().len() - before;
        self.left = self.left.map(|left| left.saturating_sub(read));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
