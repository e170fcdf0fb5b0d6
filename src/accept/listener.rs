//! Listening: one set of rules and connections, one or more addresses. In: sockets. Out: tasks, one for each
//! connection, counted and drained. Running out of descriptors costs a pause, never the listener.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::body::Bodies;
use super::budget::Budget;
use super::halves::Halves;
use super::handshakes::Handshakes;
use super::ledger::Ledger;
use super::link::{Link, Signal};
use super::registry::Registry;
use super::tls::Tls;
use super::{AcceptError, Handler, Options, connection, heads};
use crate::clock::Clock;
use crate::telemetry::accept::{Facts, Reason};

/// Connections the kernel keeps for us before we take them.
const BACKLOG: i32 = 4096;
/// Descriptors kept for everything that is not a connection.
const DESCRIPTORS_KEPT: u64 = 128;
/// After the system had nothing left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);
/// Between two looks at the certificate.
const MIND: Duration = Duration::from_mins(1);
/// For connections that were cut to be gone.
const CUT_PAUSE: Duration = Duration::from_millis(500);

/// A set of listeners that share limits and connections.
#[derive(Clone)]
pub struct Sockets(Arc<Inside>);

/// What all connections of the set share.
pub(super) struct Inside {
    pub(super) options: Arc<Options>,
    pub(super) clock: Arc<Clock>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) tls: Option<Tls>,
    pub(super) handshakes: Handshakes,
    pub(super) bodies: Arc<Bodies>,
    /// For heads whose requests run.
    pub(super) heads: Arc<Budget>,
    /// For heads of HTTP/1 that are not whole.
    pub(super) half_heads: Arc<Halves>,
    /// For header blocks of HTTP/2 that are not whole: a few bytes take much.
    pub(super) half_blocks: Arc<Halves>,
    /// For what tables of HTTP/2 keep alive.
    pub(super) tables: Arc<Budget>,
    registry: Arc<Registry>,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections when it began.
    pub open: usize,
    /// Connections that were cut at its end.
    pub cut: usize,
    /// How long it took.
    pub took: Duration,
}

impl fmt::Debug for Sockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sockets").field("options", &self.0.options).finish_non_exhaustive()
    }
}

impl Sockets {
    /// Reads the TLS files, and raises the process's soft limit of descriptors to its hard one.
    ///
    /// # Errors
    /// [`AcceptError::Tls`].
    pub fn new(
        options: Arc<Options>,
        clock: Arc<Clock>,
        facts: Arc<Facts>,
    ) -> Result<Self, AcceptError> {
        let ledger = Arc::new(Ledger::new(facts));
        let room = room(options.connections_max);
        let registry = Registry::new(room, options.connections_per_peer_max, ledger.clone());
        let part_bytes = options.heads_part_bytes();
        let budget = |bytes| Budget::new(bytes, heads::STEP_BYTES);
        let inside = Inside {
            tls: options.tls.clone().map(|files| Tls::load(files, ledger.clone())).transpose()?,
            handshakes: Handshakes::new(options.tls_handshakes_max, room),
            bodies: Bodies::new(&options),
            heads: budget(options.whole_heads_max_bytes()),
            // The one has an answer that says so, the other ends.
            half_heads: Halves::new(part_bytes, Link::wake),
            half_blocks: Halves::new(part_bytes, |link| link.give_way(Reason::HeadsCrowded)),
            tables: budget(part_bytes),
            registry: Arc::new(registry),
            options,
            clock,
            ledger,
        };
        Ok(Self(Arc::new(inside)))
    }

    /// Listens at `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// [`AcceptError::Bind`].
    pub fn listen(&self, address: SocketAddr) -> Result<Listener, AcceptError> {
        self.bind(address, false)
    }

    /// Listens at one address `shares` times, at least once: the kernel spreads new connections over them, so that each
    /// can be run on a runtime of its own. An address that somebody else has is refused all the same.
    ///
    /// # Errors
    /// [`AcceptError::Bind`].
    pub fn listen_shared(
        &self,
        address: SocketAddr,
        shares: usize,
    ) -> Result<Vec<Listener>, AcceptError> {
        if shares > 1 && address.port() != 0 {
            // Another process of the same user could share the port unasked; this one asks for all of it first.
            drop(self.bind(address, false)?);
        }
        let first = self.bind(address, shares > 1)?;
        let address = first.address;
        let mut listeners = vec![first];
        while listeners.len() < shares {
            listeners.push(self.bind(address, true)?);
        }
        Ok(listeners)
    }

    fn bind(&self, address: SocketAddr, shared: bool) -> Result<Listener, AcceptError> {
        let refuse = |source| AcceptError::Bind { address, source };
        let socket = bound(address, shared).map_err(refuse)?;
        let address = socket.local_addr().map_err(refuse)?;
        Ok(Listener { socket, address, inside: self.0.clone() })
    }

    /// Reads a changed certificate again, whoever connects, and says when it ends soon or counts not now; until `stop`
    /// holds true or its sender is gone.
    pub async fn mind(self, mut stop: watch::Receiver<bool>) {
        let Some(tls) = &self.0.tls else { return };
        let stopped = stop.wait_for(|stopped| *stopped);
        let minding = async {
            loop {
                tls.mind(Instant::now(), self.0.clock.now());
                sleep(MIND).await;
            }
        };
        tokio::select! {
            biased;
            _ = stopped => {}
            () = minding => {}
        }
    }

    /// Connections now open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.0.registry.open()
    }

    /// Lets what runs finish, and cuts what still does at the end of the drain. Stop the listeners first.
    pub async fn drain(&self) -> Drained {
        let (started, registry) = (Instant::now(), &self.0.registry);
        let open = registry.open();
        registry.drain(Signal::Drain);
        let in_time = timeout(self.0.options.drain, registry.emptied()).await;
        let mut cut = 0;
        if in_time.is_err() {
            cut = registry.open();
            registry.drain(Signal::Cut);
            let _ = timeout(CUT_PAUSE, registry.emptied()).await;
        }
        Drained { open, cut, took: started.elapsed() }
    }
}

/// One address.
pub struct Listener {
    socket: std::net::TcpListener,
    address: SocketAddr,
    inside: Arc<Inside>,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Listener {
    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Accepts until `stop` holds true or its sender is gone; connections go on until [`Sockets::drain`], on the
    /// runtime that runs this.
    pub async fn run<H: Handler>(self, handler: Arc<H>, mut stop: watch::Receiver<bool>) {
        let Self { socket, address, inside } = self;
        let socket = match TcpListener::from_std(socket) {
            Ok(socket) => socket,
            Err(error) => {
                return tracing::error!(%error, %address, "the runtime takes no more sockets");
            }
        };
        let stopped = stop.wait_for(|stopped| *stopped);
        tokio::select! {
            biased;
            _ = stopped => {}
            () = accept(&socket, &inside, handler) => {}
        }
    }
}

async fn accept<H: Handler>(socket: &TcpListener, inside: &Arc<Inside>, handler: Arc<H>) {
    loop {
        match socket.accept().await {
            Ok((stream, from)) => begin(stream, from, inside, &handler),
            Err(error) if is_exhausted(&error) => {
                inside.ledger.refuse(Reason::Descriptors);
                sleep(EXHAUSTED_PAUSE).await;
            }
            // The peer was gone before its turn came.
            Err(error) => tracing::debug!(%error, "a connection was not accepted"),
        }
    }
}

fn begin<H: Handler>(stream: TcpStream, from: SocketAddr, inside: &Arc<Inside>, handler: &Arc<H>) {
    match inside.registry.enter() {
        Ok(place) => {
            let _ = stream.set_nodelay(true);
            tokio::spawn(connection::serve(stream, from, place, inside.clone(), handler.clone()));
        }
        Err(reason) => inside.ledger.refuse(reason),
    }
}

/// Whether the system ran out of descriptors or memory.
fn is_exhausted(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Connections that fit: as many as are wished, and as there are descriptors for.
fn room(connections_max: usize) -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            limit.current = limit.maximum;
        }
    }
    let descriptors = limit.current.unwrap_or(u64::MAX).saturating_sub(DESCRIPTORS_KEPT).max(16);
    let room = connections_max.min(usize::try_from(descriptors).unwrap_or(usize::MAX)).max(1);
    if room < connections_max {
        tracing::warn!(room, connections_max, "the limit of descriptors leaves less room");
    }
    room
}

fn bound(address: SocketAddr, shared: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exhaustion_makes_a_pause() {
        // EMFILE, ENFILE, ENOBUFS and ENOMEM; ECONNABORTED and EPERM concern one peer.
        for (code, expected) in
            [(24, true), (23, true), (105, true), (12, true), (103, false), (1, false)]
        {
            assert_eq!(is_exhausted(&io::Error::from_raw_os_error(code)), expected, "{code}");
        }
    }

    #[test]
    fn there_is_room_for_no_more_than_descriptors() {
        assert_eq!(room(5), 5);
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        assert!(room(usize::MAX) as u64 <= limit.max(16));
    }
}
