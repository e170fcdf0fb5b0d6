//! One connection from its first byte to its last. In: an accepted socket. Out: requests at the door. Every phase has
//! its deadline; one timer, set only when what is due comes earlier than it stands.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::panic::{self, AssertUnwindSafe};
use std::pin::{Pin, pin};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use super::budget::Room;
use super::door::{Door, Run};
use super::halves::Half;
use super::heads::{FREE_BYTES, FREE_STREAMS_BYTES, Heads};
use super::link::{Due, Link, Signal};
use super::listener::Inside;
use super::peer::{Sender, is_trusted};
use super::registry::Place;
use super::tables::Kept;
use super::tunnel::{Tunnel, Upgrade};
use super::wire::{HeadLimits, Wire};
use super::{Handler, proxy, tls};
use crate::request::ClientCertificate;
use crate::telemetry::accept::Reason;

/// What a client of HTTP/2 sends first (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes of the first read: most requests whole.
const FIRST_READ_BYTES: usize = 2 << 10;
/// What hyper may read ahead of a parser or a handler.
const READ_MAX_BYTES: usize = 64 << 10;

/// For a peer to take the end of a connection that gave its parser back.
const CLOSE: Duration = Duration::from_secs(1);

/// Which HTTP the peer speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// Serves a connection to its end.
pub(super) async fn serve<H: Handler>(
    stream: TcpStream,
    from: SocketAddr,
    place: Place,
    inside: Arc<Inside>,
    handler: Arc<H>,
) {
    let link = place.link.clone();
    let opened = tokio::select! {
        biased;
        _ = link.told() => return,
        opened = open(stream, from, place, &inside) => opened,
    };
    match opened {
        // A place of its own, so that a silent connection holds no room for a parser.
        Ok(Some(opened)) => Box::pin(opened.run(inside, handler)).await,
        Ok(None) => {}
        Err(reason) => inside.ledger.refuse(reason),
    }
}

/// A connection whose version is known.
struct Opened {
    stream: Stream,
    /// Read already.
    first: Vec<u8>,
    version: Version,
    near: IpAddr,
    /// What the peer showed for itself, when an authority of the settings vouches for it.
    certificate: Option<Arc<ClientCertificate>>,
    place: Place,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
}

/// PROXY header, the peer's share, TLS, version; nothing when the peer went away by itself.
async fn open(
    mut stream: TcpStream,
    from: SocketAddr,
    mut place: Place,
    inside: &Inside,
) -> Result<Option<Opened>, Reason> {
    let options = &inside.options;
    let mut near = from.ip().to_canonical();
    if options.proxy_protocol {
        if !is_trusted(near, &options.trusted_proxies) {
            return Err(Reason::Proxy);
        }
        match timeout(options.proxy_header, read_proxy(&mut stream)).await {
            Ok(Ok(told)) => near = told.unwrap_or(near),
            Ok(Err(_)) | Err(_) => return Err(Reason::Proxy),
        }
    }
    place.count_peer(near)?;
    if let Some(own) = &inside.tls {
        let turn = timeout(options.tls_handshake, Box::pin(inside.handshakes.begin())).await;
        let turn = turn.map_err(|_| Reason::Tls)?;
        let handshake = turn.run(Box::pin(own.acceptor().accept(stream)));
        let done = tokio::select! {
            biased;
            done = timeout(options.tls_handshake, handshake) => done.ok().and_then(Result::ok),
            () = turn.over() => None,
        };
        let stream = done.ok_or(Reason::Tls)?;
        turn.succeed();
        let two = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let version = if two { Version::Two } else { Version::One };
        let certificate = tls::shown(stream.get_ref().1);
        let stream = Stream::Tls(Box::new(stream));
        let first = Vec::new();
        return Ok(Some(Opened { stream, first, version, near, certificate, place }));
    }
    let mut first = Vec::new();
    match timeout(options.sniff, sniff(&stream, &mut first)).await {
        Err(_) => Err(Reason::Silent),
        Ok(Err(_) | Ok(None)) => Ok(None),
        Ok(Ok(Some(version))) => {
            let (stream, certificate) = (Stream::Plain(stream), None);
            Ok(Some(Opened { stream, first, version, near, certificate, place }))
        }
    }
}

/// Reads exactly the PROXY header.
async fn read_proxy(stream: &mut TcpStream) -> io::Result<Option<IpAddr>> {
    let mut head = [0; proxy::HEAD_BYTES];
    stream.read_exact(&mut head).await?;
    let mut rest = vec![0; proxy::rest_bytes(&head).map_err(io::Error::other)?];
    stream.read_exact(&mut rest).await?;
    proxy::sender(&head, &rest).map_err(io::Error::other)
}

/// Reads until the first bytes tell the version; nothing when the peer closes before that.
async fn sniff(stream: &TcpStream, first: &mut Vec<u8>) -> io::Result<Option<Version>> {
    loop {
        stream.readable().await?;
        first.reserve(FIRST_READ_BYTES);
        match stream.try_read_buf(first) {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        }
        if first.starts_with(PREFACE) {
            return Ok(Some(Version::Two));
        }
        if !PREFACE.starts_with(first) {
            return Ok(Some(Version::One));
        }
    }
}

impl Opened {
    async fn run<H: Handler>(self, inside: Arc<Inside>, handler: Arc<H>) {
        let Self { stream, first, version, near, certificate, place } = self;
        let (link, trusted) = (place.link.clone(), &inside.options.trusted_proxies);
        let secure = matches!(stream, Stream::Tls(_));
        let free_bytes = match version {
            Version::One => FREE_BYTES,
            Version::Two => FREE_STREAMS_BYTES,
        };
        let door = Arc::new(Door {
            handler,
            link: link.clone(),
            near: Sender { peer: near, secure },
            is_proxy: is_trusted(near, trusted),
            certificate,
            multiplexed: version == Version::Two,
            count: AtomicU64::new(0),
            upgrade: Mutex::default(),
            heads: Heads::new(free_bytes, Room::new(&inside.heads)),
            inside,
        });
        match stream {
            Stream::Plain(stream) => serve_version(stream, first, version, door).await,
            Stream::Tls(stream) => serve_version(stream, first, version, door).await,
        }
        drop(place);
    }
}

async fn serve_version<S, H>(io: S, first: Vec<u8>, version: Version, door: Arc<Door<H>>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    H: Handler,
{
    match version {
        Version::One => serve_http1(io, first, door).await,
        Version::Two => Box::pin(serve_http2(io, first, door)).await,
    }
}

async fn serve_http1<S, H>(io: S, first: Vec<u8>, door: Arc<Door<H>>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    H: Handler,
{
    let (link, inside) = (door.link.clone(), door.inside.clone());
    let options = &inside.options;
    let limits = HeadLimits {
        line_max_bytes: options.request_line_max_bytes,
        head_max_bytes: options.head_max_bytes,
        headers_max: options.headers_max,
    };
    let half = Half::new(&inside.half_heads, &link);
    let mut wire = Wire::http1(io, first, link.clone(), limits, half);
    // Parser, buffers and the request's own state live only while somebody speaks.
    loop {
        wire = match Box::pin(converse(wire, &door)).await {
            After::Nothing => return,
            After::Quiet(quiet) => quiet,
            After::Switched(wire, upgrade) => return tunnel(wire, upgrade, &door).await,
        };
        if !doze(&mut wire, &link, &inside).await {
            return;
        }
    }
}

/// What comes after a parser gave up its connection.
enum After<S> {
    Nothing,
    /// More requests may come.
    Quiet(Wire<S>),
    /// Another protocol.
    Switched(Wire<S>, Upgrade),
}

/// Lets another protocol go on over a connection; it is never idle meanwhile, and is cut when that is told.
async fn tunnel<S, H>(wire: Wire<S>, upgrade: Upgrade, door: &Door<H>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    H: Handler,
{
    let link = &door.link;
    // What came before the switch and is no request cannot be meant for what comes after it.
    let Some((io, first)) = wire.into_parts() else { return };
    link.heads_came(1);
    let _run = Run(link);
    let write = door.inside.options.write;
    let tunnel = Tunnel { io: Box::new(io), first, link: link.clone(), write };
    tokio::select! {
        biased;
        () = link.cut() => {}
        () = upgrade.run(tunnel) => {}
    }
}

/// Requests and answers, until the connection ends, is quiet, or was switched; then it is given back.
async fn converse<S, H>(wire: Wire<S>, door: &Arc<Door<H>>) -> After<S>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    H: Handler,
{
    let (link, inside) = (&door.link, &door.inside);
    let service = service_fn(|request| door.clone().answer(request));
    let mut builder = http1::Builder::new();
    // The wire has the deadlines of hyper's timers and more, without a timer for each head.
    builder.half_close(true).max_buf_size(READ_MAX_BYTES);
    if inside.options.headers_max > 100 {
        builder.max_headers(inside.options.headers_max);
    }
    let mut connection = builder.serve_connection(TokioIo::new(wire), service);
    let finish = http1::Connection::graceful_shutdown;
    let quiet = Some(inside.options.quiet);
    let end = drive(link, inside, Pin::new(&mut connection), finish, quiet).await;
    let upgrade = door.upgrade.lock().expect("nothing panics under this lock").take();
    let give_back = || {
        let parts = connection.into_parts();
        let mut wire = parts.io.into_inner();
        wire.take_back(&parts.read_buf);
        wire
    };
    match (end, upgrade) {
        (End::Quiet, None) => After::Quiet(give_back()),
        (End::Done, Some(upgrade)) => After::Switched(give_back(), upgrade),
        _ => After::Nothing,
    }
}

/// How the driving of a connection ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// By itself, and well.
    Done,
    /// By a fault, its time, or because it was told.
    Cut,
    /// It was idle for a while and can go on.
    Quiet,
}

/// Waits for the next request of a quiet connection; `false`: there is none.
async fn doze<S>(wire: &mut Wire<S>, link: &Link, inside: &Inside) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Some((due, Due::Idle)) = link.due(&inside.options, None) else { return true };
    tokio::select! {
        biased;
        _ = link.told() => {}
        comes = poll_fn(|cx| wire.poll_comes(cx)) => return comes,
        () = sleep_until(link.instant(due)) => {}
    }
    // Plain TCP would end by itself; TLS says that it ends.
    let _ = timeout(CLOSE, wire.shutdown()).await;
    false
}

/// Runs the streams of HTTP/2. One that is answered at once, a refusal above all, never becomes a task: what it took is
/// given back before the next head is looked at, however many connections wait for their turn.
#[derive(Clone, Copy)]
struct Streams;

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let mut stream = Box::pin(stream);
        // It runs inside the connection's own task: where it panics, it alone ends, as a task would, and is dropped.
        let first = panic::catch_unwind(AssertUnwindSafe(|| {
            stream.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        }));
        // What is not ready is looked at again as a task, and wakes that one.
        if let Ok(Poll::Pending) = first {
            tokio::spawn(stream);
        }
    }
}

async fn serve_http2<S, H>(io: S, first: Vec<u8>, door: Arc<Door<H>>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    H: Handler,
{
    let (link, inside) = (door.link.clone(), door.inside.clone());
    let options = &inside.options;
    let list_max_bytes = options.header_list_max_bytes;
    let half = Half::new(&inside.half_blocks, &link);
    let kept = Kept::new(Room::new(&inside.tables), &link);
    let wire = Wire::http2(io, first, link.clone(), list_max_bytes, half, kept);
    let service = service_fn(move |request| door.clone().answer(request));
    let mut builder = http2::Builder::new(Streams);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(options.streams_max)
        .max_header_list_size(list_max_bytes)
        // A table keeps buffers alive: none is wanted, and what one keeps that is filled all the same is counted.
        .header_table_size(0)
        .max_pending_accept_reset_streams(options.resets_max)
        .max_send_buf_size(READ_MAX_BYTES);
    let connection = pin!(builder.serve_connection(TokioIo::new(wire), service));
    drive(&link, &inside, connection, http2::Connection::graceful_shutdown, None).await;
}

/// Polls a connection until it ends by itself, is told to, or its time is up.
async fn drive<C: Future<Output = hyper::Result<()>>>(
    link: &Link,
    inside: &Inside,
    mut connection: Pin<&mut C>,
    mut finish: impl FnMut(Pin<&mut C>),
    quiet: Option<Duration>,
) -> End {
    let mut armed = u64::MAX;
    let mut timer = pin!(sleep_until(Instant::now() + Duration::from_hours(24)));
    let (mut finishing, mut watched) = (false, false);
    poll_fn(|cx| {
        if !watched {
            watched = true;
            link.watch(cx.waker());
        }
        match link.signal() {
            Signal::Evict | Signal::Cut => return Poll::Ready(End::Cut),
            Signal::Drain if !finishing => {
                finishing = true;
                if let Some(reason) = link.drained_for() {
                    inside.ledger.refuse(reason);
                }
                finish(connection.as_mut());
            }
            _ => {}
        }
        loop {
            if let Poll::Ready(done) = connection.as_mut().poll(cx) {
                return Poll::Ready(if done.is_ok() { End::Done } else { End::Cut });
            }
            let Some((due, why)) = link.due(&inside.options, quiet.filter(|_| !finishing)) else {
                return Poll::Pending;
            };
            if due < armed {
                armed = due;
                timer.as_mut().reset(link.instant(due));
            } else if !timer.is_elapsed() {
                return Poll::Pending;
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if link.now() < due {
                // What was due when it was set has been done since.
                armed = u64::MAX;
                continue;
            }
            match why {
                Due::Quiet => return Poll::Ready(End::Quiet),
                Due::Idle if !finishing => {
                    finishing = true;
                    finish(connection.as_mut());
                    link.linger_began();
                    armed = u64::MAX;
                }
                Due::Fault(reason) => {
                    inside.ledger.refuse(reason);
                    return Poll::Ready(End::Cut);
                }
                Due::Idle | Due::Linger => return Poll::Ready(End::Cut),
            }
        }
    })
    .await
}
