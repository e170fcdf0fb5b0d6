//! Connections of sinks that do not speak HTTP. In: a host, the network rules, papers for TLS. Out: a stream of lines
//! and bytes, each read up to a bound. What goes wrong is a fault a lane knows.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls_pki_types::ServerName;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio_rustls::TlsConnector;

use super::{Fault, tls};
use crate::fetch::{Egress, EgressFault};
use crate::forward::options::TlsPapers;
use crate::forward::paper::Paper;
use crate::forward::{Destination, ForwardError};
use crate::id::Secret;
use crate::telemetry::forward::Outcome;

/// Longest line, and most bytes of one value, that a server may answer with.
const LINE_MAX_BYTES: u64 = 64 << 10;
pub(super) const VALUE_MAX_BYTES: usize = 4 << 20;
/// Most of a foreign text that is shown.
const SHOWN_MAX_BYTES: usize = 512;

pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Duplex for T {}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::forward) struct Place {
    pub(in crate::forward) host: String,
    pub(in crate::forward) port: u16,
    pub(in crate::forward) is_tls: bool,
}

/// A connection, as it comes.
pub(super) type Socket = Box<dyn Duplex>;

/// A connection that is read by lines and values.
pub(super) struct Wire(BufReader<Socket>);

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

impl Wire {
    /// Connects, without TLS.
    pub(super) async fn open(place: &Place, egress: &Egress) -> Result<Self, Fault> {
        Ok(Self(BufReader::new(dial(place, egress).await?)))
    }

    /// Goes on in TLS, once the server expects that.
    pub(super) async fn secure(self, place: &Place, papers: &TlsPapers) -> Result<Self, Fault> {
        Ok(Self(BufReader::new(secure(self.0.into_inner(), place, papers).await?)))
    }

    /// Sends all of it.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let socket = self.0.get_mut();
        let written = async {
            socket.write_all(bytes).await?;
            socket.flush().await
        };
        written.await.map_err(|fault| broken(&fault))
    }

    /// The next line, without its end.
    pub(super) async fn line(&mut self) -> Result<String, Fault> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.0).take(LINE_MAX_BYTES);
        bounded.read_until(b'\n', &mut line).await.map_err(|fault| broken(&fault))?;
        if line.pop() != Some(b'\n') {
            let what =
                if line.is_empty() { "it closed the connection" } else { "no end of a line" };
            return Err(Fault::new(Outcome::Unreachable, what));
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// The next bytes, and the end of a line behind them.
    pub(super) async fn value(&mut self, length: usize) -> Result<Vec<u8>, Fault> {
        if length > VALUE_MAX_BYTES {
            let what = format!("an answer of {length} bytes, at most {VALUE_MAX_BYTES}");
            return Err(Fault::new(Outcome::Unexpected, what));
        }
        let mut value = self.bytes(length + 2).await?;
        value.truncate(length);
        Ok(value)
    }

    /// The next bytes; how many is bounded by whoever asks.
    pub(super) async fn bytes(&mut self, length: usize) -> Result<Vec<u8>, Fault> {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).await.map_err(|fault| broken(&fault))?;
        Ok(bytes)
    }
}

/// Connects, without TLS.
pub(super) async fn dial(place: &Place, egress: &Egress) -> Result<Socket, Fault> {
    let socket = egress.connect(&place.host, place.port).await.map_err(|fault| {
        let what = fault.to_string();
        match fault {
            EgressFault::Refused { .. } => Fault::lasting(Outcome::Forbidden, what),
            _ => Fault::new(Outcome::Unreachable, what),
        }
    })?;
    Ok(Box::new(socket))
}

/// Whether [`secure`] finds its papers as they must be: said before anything runs.
pub(super) fn check_papers(place: &Place, papers: &TlsPapers) -> Result<(), ForwardError> {
    if place.is_tls { tls::client(papers).map(drop) } else { Ok(()) }
}

/// Goes on in TLS, once the server expects that.
pub(super) async fn secure(
    socket: Socket,
    place: &Place,
    papers: &TlsPapers,
) -> Result<Socket, Fault> {
    let lasting = |what: String| Fault::lasting(Outcome::Failed, what);
    let papers = papers.clone();
    let read = tokio::task::spawn_blocking(move || tls::client(&papers)).await;
    let config = match read {
        Ok(Ok(config)) => config,
        Ok(Err(fault)) => return Err(lasting(fault.to_string())),
        Err(_) => return Err(lasting("the gateway stops".into())),
    };
    let bare = place.host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(bare).map_err(|fault| lasting(fault.to_string()))?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, socket);
    let secured = connected.await.map_err(|fault| broken(&fault))?;
    Ok(Box::new(secured))
}

fn broken(fault: &io::Error) -> Fault {
    Fault::new(Outcome::Unreachable, fault.to_string())
}

/// Foreign text as it may be shown: one line, bounded.
pub(super) fn shown(text: &str) -> String {
    let text = &text[..text.floor_char_boundary(SHOWN_MAX_BYTES)];
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Who calls, as the files of a destination say.
#[derive(Clone, Default)]
pub(super) struct Login {
    pub(super) user: Option<String>,
    pub(super) secret: Option<String>,
}

/// What a login stands in: files, or secrets that were given.
#[derive(Clone, Debug)]
pub(super) struct LoginPapers {
    token: Option<Paper>,
    password: Option<Paper>,
    given: Option<Secret>,
}

impl LoginPapers {
    /// Those of a destination, once they can be read.
    pub(super) fn of(destination: &Destination) -> Result<Self, ForwardError> {
        let password = destination.options.basic.clone();
        let token = destination.bearer_file.clone().map(Paper::File);
        let papers = Self { token, password, given: destination.bearer.clone() };
        let text = destination.name().to_owned();
        papers.read_now().map_err(|why| ForwardError::Destination { text, why })?;
        Ok(papers)
    }

    /// Reads them; at each connection anew, since they may have been changed.
    pub(super) async fn read(&self) -> Result<Login, Fault> {
        let papers = self.clone();
        let read = tokio::task::spawn_blocking(move || papers.read_now()).await;
        let read = read.map_err(|_| Fault::new(Outcome::Failed, "the gateway stops"))?;
        read.map_err(|what| Fault::lasting(Outcome::Unauthorized, what))
    }

    /// The same, before anything runs.
    pub(super) fn read_now(&self) -> Result<Login, String> {
        let mut login = Login::default();
        // What a record has in one field may be both.
        if let Some(given) = self.given.as_ref().map(Secret::expose) {
            login = Login::pair(given)
                .unwrap_or_else(|| Login { user: None, secret: Some(given.to_owned()) });
        }
        let told = |fault: ForwardError| fault.to_string();
        if let Some(paper) = &self.token {
            login.secret = Some(paper.read(first_line).map_err(told)?);
        }
        if let Some(paper) = &self.password {
            let pair = |line: String| {
                Login::pair(&line).ok_or("its first line should be user:password".to_owned())
            };
            login = paper.read(|text| first_line(text).and_then(pair)).map_err(told)?;
        }
        Ok(login)
    }
}

impl Login {
    /// Reads `user:password`.
    fn pair(text: &str) -> Option<Self> {
        let (user, secret) = text.split_once(':')?;
        Some(Self { user: Some(user.to_owned()), secret: Some(secret.to_owned()) })
    }
}

fn first_line(text: &str) -> Result<String, String> {
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() {
        return Err("its first line is empty; it should be a secret".to_owned());
    }
    Ok(line.to_owned())
}
