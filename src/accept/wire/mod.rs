//! A socket as the HTTP parser sees it: only heads that keep the rules, and their bodies. In: a stream. Out: the same
//! stream, with refused heads replaced by one that stands for the refusal, and the connection's phases noted. A head
//! that comes in one read is looked at where it lies; only a partial one is copied, within its bound, and takes room
//! that all heads share once it is longer than the usual one.

mod blocks;
mod chunks;
mod head;
mod scan;
mod table;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::halves::Half;
use super::heads::{FREE_BYTES, HEADER_BYTES};
use super::link::Link;
use super::tables::Kept;
use crate::telemetry::accept::Reason;

pub use blocks::{Block, BlockScan, Told};
pub use head::HeadLimits;
pub(super) use head::is_authority;
pub use scan::{Scan, Scanner};

/// Stands for a refused head. The service knows by its number what it means.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";
/// Most bytes of the first look at a connection that was quiet.
const FIRST_LOOK_BYTES: usize = 2 << 10;
/// Input thrown away after the last answer, at most.
const LINGER_MAX_BYTES: usize = 64 << 20;
/// What a header block of HTTP/2 that has more than one frame takes at most while it is on its way: several times a
/// header list as its limit counts it, since a byte may stand for a whole header.
pub(super) const BLOCK_LISTS: u64 = 4;

/// The stream of one connection.
#[derive(Debug)]
pub(super) struct Wire<S> {
    io: S,
    link: Arc<Link>,
    /// None for HTTP/2, whose heads are judged behind it.
    scanner: Option<Scanner>,
    /// Of HTTP/2.
    blocks: BlockScan,
    /// What the head or block that is not whole takes, beyond the connection's own share.
    half: Half,
    /// Of HTTP/2: what its table keeps alive.
    kept: Option<Kept>,
    /// Most that a long block of HTTP/2 takes.
    block_max_bytes: u64,
    /// What was read and not yet passed on.
    held: Vec<u8>,
    /// So much of it was passed on.
    given: usize,
    /// So much of it may be passed on.
    cleared: usize,
    /// Something was refused: the parser gets no more.
    ended: bool,
    shut: bool,
    thrown_away: usize,
}

impl<S> Wire<S> {
    /// HTTP/1, of which `first` was read already; long heads take the room of a `half`.
    pub(super) fn http1(
        io: S,
        first: Vec<u8>,
        link: Arc<Link>,
        limits: HeadLimits,
        half: Half,
    ) -> Self {
        let mut wire = Self::new(io, first, link, half);
        wire.scanner = Some(Scanner::new(limits));
        wire.clear();
        wire
    }

    /// HTTP/2, of which `first` was read already; header blocks of more than one frame take the room of a
    /// `half` for lists of `list_max_bytes`.
    pub(super) fn http2(
        io: S,
        first: Vec<u8>,
        link: Arc<Link>,
        list_max_bytes: u32,
        half: Half,
        kept: Kept,
    ) -> Self {
        let mut wire = Self::new(io, first, link, half);
        wire.kept = Some(kept);
        wire.block_max_bytes = BLOCK_LISTS * u64::from(list_max_bytes);
        let first = std::mem::take(&mut wire.held);
        wire.cleared = wire.look(&first);
        wire.held = first;
        wire
    }

    fn new(io: S, first: Vec<u8>, link: Arc<Link>, half: Half) -> Self {
        Self {
            io,
            link,
            scanner: None,
            blocks: BlockScan::new(),
            half,
            kept: None,
            block_max_bytes: 0,
            held: first,
            given: 0,
            cleared: 0,
            ended: false,
            shut: false,
            thrown_away: 0,
        }
    }

    /// Looks at `bytes` and notes what they mean; says how many may pass.
    fn look(&mut self, bytes: &[u8]) -> usize {
        let Some(scanner) = &mut self.scanner else {
            self.follow(bytes);
            return bytes.len();
        };
        let before = scanner.heads();
        let Scan { passed, refusal } = scanner.scan(bytes);
        let came = (scanner.heads() - before) as u32;
        if came > 0 {
            self.link.heads_came(came);
        }
        match refusal {
            // The parser meets the end of its input inside the body: the body's reader says so.
            Some(Reason::Chunk) => self.ended = true,
            Some(reason) => self.refuse(reason),
            None if passed < bytes.len() => self.link.head_began(),
            None => {}
        }
        passed
    }

    /// Puts the head that stands for a refusal behind what is held.
    fn refuse(&mut self, reason: Reason) {
        let Some(scanner) = &mut self.scanner else { return };
        scanner.close();
        self.link.refuse(scanner.heads(), reason as u8);
        self.link.heads_came(1);
        self.ended = true;
        self.held.extend_from_slice(STAND_IN);
        self.cleared = self.held.len();
    }

    /// Notes how far the header blocks of HTTP/2 are; one that has more than a frame takes room until its end, as its
    /// bytes come.
    fn follow(&mut self, bytes: &[u8]) {
        let Told { block, is_ended } = self.blocks.feed(bytes);
        if is_ended {
            self.link.block_ended();
            self.half.leave();
            if let Some(kept) = &mut self.kept {
                kept.note(self.blocks.table_bytes());
            }
        }
        if block == Block::Whole {
            return;
        }
        self.link.block_began();
        if block == Block::Long {
            let most = (self.blocks.block_bytes() * HEADER_BYTES).min(self.block_max_bytes);
            if self.half.hold(most.saturating_sub(FREE_BYTES)).is_err() {
                self.link.give_up(Reason::HeadsCrowded);
            }
        }
    }

    /// Keeps the beginning of a head, or more of it. What is beyond the connection's own share takes room; where there
    /// is none, the head is refused and what was kept of it is gone.
    fn keep(&mut self, fresh: &[u8]) {
        let all = self.held.len() + fresh.len();
        if all as u64 > FREE_BYTES {
            if self.half.hold(all as u64 - FREE_BYTES).is_err() {
                self.held = Vec::new();
                return self.refuse(Reason::HeadsCrowded);
            }
            if self.held.capacity() < all {
                let most = (FREE_BYTES + self.half.bytes()) as usize;
                self.held.reserve_exact(most - self.held.len());
            }
        }
        self.held.extend_from_slice(fresh);
    }

    /// The half gave way to a newer one.
    fn make_way(&mut self) {
        self.half.leave();
        if self.scanner.is_some() && !self.ended {
            // What was cleared before it goes on to the parser.
            self.held.truncate(self.cleared);
            self.held.shrink_to_fit();
            self.refuse(Reason::HeadsCrowded);
        }
    }

    /// Looks at what is held, which begins where the scanner stands.
    fn clear(&mut self) {
        if self.held.is_empty() || self.scanner.is_none() || self.ended {
            return;
        }
        let mut held = std::mem::take(&mut self.held);
        let passed = self.look(&held);
        let stand_in = std::mem::take(&mut self.held);
        if self.ended {
            held.truncate(passed);
            held.extend_from_slice(&stand_in);
            self.cleared = held.len();
        } else {
            self.cleared = passed;
        }
        self.held = held;
    }

    /// Takes back what the parser had and did not use; it was looked at before.
    pub(super) fn take_back(&mut self, unused: &[u8]) {
        if !unused.is_empty() {
            let rest = self.held.split_off(self.given);
            self.held = [unused, &rest].concat();
            self.cleared = self.cleared - self.given + unused.len();
            self.given = 0;
        }
    }

    /// The stream itself, and what was read of it; nothing when that broke the rules of heads.
    pub(super) fn into_parts(self) -> Option<(S, Vec<u8>)> {
        let Self { io, mut held, given, ended, .. } = self;
        held.drain(..given);
        (!ended).then_some((io, held))
    }

    /// Passes on what may pass.
    fn give(&mut self, buf: &mut ReadBuf<'_>) {
        let end = self.cleared.min(self.given + buf.remaining());
        buf.put_slice(&self.held[self.given..end]);
        self.given = end;
        if self.given == self.held.len() {
            (self.held, self.given, self.cleared) = (Vec::new(), 0, 0);
            // The head's request takes room of its own; a block of HTTP/2 is not held here.
            if self.scanner.is_some() {
                self.half.leave();
            }
        } else if self.given == self.cleared {
            self.held.drain(..self.given);
            (self.given, self.cleared) = (0, 0);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.half.is_lost() {
            this.make_way();
        }
        loop {
            if this.given < this.cleared {
                this.give(buf);
                return Poll::Ready(Ok(()));
            }
            if this.ended {
                return Poll::Ready(Ok(()));
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
            let fresh = &buf.filled()[before..];
            if fresh.is_empty() {
                return Poll::Ready(Ok(()));
            }
            if this.held.is_empty() {
                let passed = this.look(fresh);
                if this.link.is_given_up() {
                    // The connection's deadline is now.
                    buf.set_filled(before);
                    return Poll::Pending;
                }
                if !this.ended && passed < fresh.len() {
                    this.keep(&fresh[passed..]);
                }
                buf.set_filled(before + passed);
                if passed > 0 {
                    return Poll::Ready(Ok(()));
                }
            } else {
                this.keep(fresh);
                buf.set_filled(before);
                this.clear();
            }
        }
    }
}

impl<S: AsyncRead + Unpin> Wire<S> {
    /// Waits, without a buffer, for something to pass on; `false`: the peer sends no more.
    pub(super) fn poll_comes(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.given < self.cleared || self.ended {
            return Poll::Ready(true);
        }
        let mut scratch = [0; FIRST_LOOK_BYTES];
        let mut buf = ReadBuf::new(&mut scratch);
        if ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf)).is_err() {
            return Poll::Ready(false);
        }
        let fresh = buf.filled();
        if fresh.is_empty() {
            return Poll::Ready(false);
        }
        self.keep(fresh);
        self.clear();
        Poll::Ready(true)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Throws away what still comes, so that the kernel does not answer unread input with a reset that would reach
    /// the peer before our last answer does.
    fn linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.linger_began();
        let mut scratch = [0; 8 << 10];
        while self.thrown_away < LINGER_MAX_BYTES {
            let mut buf = ReadBuf::new(&mut scratch);
            if ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf)).is_err() {
                break;
            }
            if buf.filled().is_empty() {
                break;
            }
            self.thrown_away += buf.filled().len();
        }
        Poll::Ready(Ok(()))
    }

    fn note<T>(&self, result: Poll<T>) -> Poll<T> {
        if result.is_pending() {
            self.link.write_blocked();
        }
        result
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write(cx, buf);
        self.note(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.note(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.io).poll_flush(cx);
        if result.is_ready() {
            self.link.write_done();
        }
        self.note(result)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.shut {
            let result = Pin::new(&mut this.io).poll_shutdown(cx);
            ready!(this.note(result))?;
            this.link.write_done();
            this.shut = true;
        }
        let whole = this.scanner.as_ref().is_none_or(Scanner::between_messages);
        if whole && this.held.is_empty() { Poll::Ready(Ok(())) } else { this.linger(cx) }
    }
}
