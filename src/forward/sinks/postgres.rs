//! Rows of a `PostgreSQL` table. In: a range of events. Out: taken once one statement with all of them is committed; a
//! row whose place and id are there already is left as it is, so nothing stands there twice. Makes the table if that is
//! asked for, and changes nothing else; goes to no server that another names.

use std::fmt;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, Error, NoTls, Statement};

use super::wire::{LoginPapers, Place, Socket, check_papers, dial, secure, shown};
use super::{Answer, Bounds, Fault, Refusal};
use crate::fetch::Egress;
use crate::filter::Seen;
use crate::forward::load::{Form, Load};
use crate::forward::options::Options;
use crate::forward::target::Table;
use crate::forward::{Destination, ForwardError};
use crate::telemetry::forward::Outcome;

/// What goes into one statement.
const BOUNDS: Bounds = Bounds { frames: 1000, frame_bytes: 2 << 20, events: 1000, bytes: 2 << 20 };
/// A connection that was not used this long is made anew: somebody between may have forgotten it.
const IDLE: Duration = Duration::from_mins(1);
/// Most bytes that a server may say during one attempt.
const ANSWER_MAX_BYTES: usize = 1 << 20;
/// Asks whether the server speaks TLS, and what it says then.
const TLS_QUESTION: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
const TLS_YES: u8 = b'S';
/// Who calls when nothing is said.
const USER: &str = "hookgate";

/// The table, if it is made here; its key is what tells that an event is there.
const COLUMNS: &str = "place uuid not null, id uuid not null, received timestamptz not null, \
                       occurred timestamptz not null, event text not null, resource text not null, \
                       account uuid not null, workspace uuid, body jsonb not null, \
                       primary key (place, id)";
/// One parameter for each column, so the statement is the same for any number of rows.
const ROWS: &str = "(place, id, received, occurred, event, resource, account, workspace, body) \
                    select place::uuid, id::uuid, received::timestamptz, occurred::timestamptz, \
                    event, resource, account::uuid, workspace::uuid, body::jsonb from \
                    unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], \
                    $7::text[], $8::text[], $9::text[]) as given (place, id, received, occurred, \
                    event, resource, account, workspace, body) on conflict (place, id) do nothing";

/// The lane's side of a table.
#[derive(Debug)]
pub(in crate::forward) struct Postgres {
    place: Place,
    database: String,
    /// Quoted.
    table: String,
    options: Options,
    egress: Egress,
    login: LoginPapers,
    deadline: Duration,
    connection: Option<Connection>,
}

struct Connection {
    client: Client,
    insert: Statement,
    /// What the server may still say.
    allowance: Arc<AtomicUsize>,
    used: Instant,
    /// Carries the bytes.
    task: JoinHandle<()>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Postgres {
    pub(super) fn new(
        destination: &Destination,
        (place, table): (&Place, &Table),
        deadline: Duration,
    ) -> Result<Self, ForwardError> {
        check_papers(place, &destination.options.tls)?;
        let quoted: Vec<_> = table.name.iter().map(|part| format!("\"{part}\"")).collect();
        Ok(Self {
            place: place.clone(),
            database: table.database.clone(),
            table: quoted.join("."),
            options: destination.options.clone(),
            egress: destination.egress.clone(),
            login: LoginPapers::of(destination)?,
            deadline,
            connection: None,
        })
    }

    pub(super) fn bounds(&self) -> Bounds {
        self.options.bounds(BOUNDS)
    }

    pub(super) fn reopen(&mut self) {
        self.connection = None;
    }

    pub(super) async fn send(&mut self, load: &Load, range: Range<usize>) -> Answer {
        let connection = self.connection.take();
        let connection =
            connection.filter(|found| found.used.elapsed() < IDLE && !found.client.is_closed());
        let attempt = async {
            let connection = match connection {
                Some(connection) => connection,
                None => self.connect().await?,
            };
            connection.allowance.store(ANSWER_MAX_BYTES, Ordering::Relaxed);
            let inserted = Rows::of(load, range).insert(&connection).await;
            let refusal = match inserted {
                Ok(()) => None,
                Err(error) => Some(judge(&error, &self.table)?),
            };
            Ok((connection, refusal))
        };
        match tokio::time::timeout(self.deadline, attempt).await {
            Ok(Ok((mut connection, refusal))) => {
                connection.used = Instant::now();
                self.connection = Some(connection);
                refusal.map_or(Answer::Taken, Answer::Refused)
            }
            Ok(Err(fault)) => Answer::Failed(fault),
            Err(_) => {
                let seconds = self.deadline.as_secs_f32();
                let what = format!("not committed within {seconds} s");
                Answer::Failed(Fault::new(Outcome::Timeout, what))
            }
        }
    }

    async fn connect(&self) -> Result<Connection, Fault> {
        let login = self.login.read().await?;
        let mut socket = dial(&self.place, &self.egress).await?;
        if self.place.is_tls {
            socket = self.turn_secure(socket).await?;
        }
        let mut config = Config::new();
        config.user(login.user.as_deref().unwrap_or(USER)).dbname(&self.database);
        config.application_name("hookgate").ssl_mode(SslMode::Disable);
        if let Some(password) = login.secret.filter(|password| !password.is_empty()) {
            config.password(password);
        }
        let allowance = Arc::new(AtomicUsize::new(ANSWER_MAX_BYTES));
        let socket = Metered { socket, left: Arc::clone(&allowance) };
        let fault = |error: Error| match judge(&error, &self.table) {
            Ok(refusal) => Fault::lasting(Outcome::Unexpected, refusal.reason),
            Err(fault) => fault,
        };
        let (client, connection) = config.connect_raw(socket, NoTls).await.map_err(fault)?;
        let task = tokio::spawn(async move {
            // What went wrong is said to whoever waits for an answer.
            let _ = connection.await;
        });
        let guard = Guard(Some(task));
        if self.options.creates_table {
            let make = format!("create table if not exists {} ({COLUMNS})", self.table);
            client.batch_execute(&make).await.map_err(fault)?;
        }
        let insert = format!("insert into {} {ROWS}", self.table);
        let insert = client.prepare(&insert).await.map_err(fault)?;
        let Some(task) = guard.release() else {
            return Err(Fault::new(Outcome::Failed, "the gateway stops"));
        };
        Ok(Connection { client, insert, allowance, used: Instant::now(), task })
    }

    async fn turn_secure(&self, mut socket: Socket) -> Result<Socket, Fault> {
        let broken = |fault: io::Error| Fault::new(Outcome::Unreachable, fault.to_string());
        socket.write_all(&TLS_QUESTION).await.map_err(broken)?;
        socket.flush().await.map_err(broken)?;
        // One byte and no more: what lies behind it is read as TLS.
        let answer = socket.read_u8().await.map_err(broken)?;
        if answer != TLS_YES {
            let what = "the PostgreSQL server speaks no TLS: set up ssl there, or begin the \
                        address with postgres://";
            return Err(Fault::lasting(Outcome::Unexpected, what));
        }
        secure(socket, &self.place, &self.options.tls).await
    }
}

/// Ends a task unless it is released.
struct Guard(Option<JoinHandle<()>>);

impl Guard {
    fn release(mut self) -> Option<JoinHandle<()>> {
        self.0.take()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// Events, column by column.
#[derive(Default)]
struct Rows {
    places: Vec<String>,
    ids: Vec<String>,
    received: Vec<String>,
    occurred: Vec<String>,
    events: Vec<String>,
    resources: Vec<String>,
    accounts: Vec<String>,
    workspaces: Vec<Option<String>>,
    bodies: Vec<String>,
}

impl Rows {
    fn of(load: &Load, range: Range<usize>) -> Self {
        let mut rows = Self::default();
        let mut text = Vec::new();
        for at in range {
            let (kept, event) = load.at(at);
            text.clear();
            load.write(at, Form::Received, &mut text);
            let seen = Seen::read(&event.json);
            let occurred = seen.as_ref().map_or(kept.received, Seen::occurred);
            let name = seen.as_ref().map(|seen| seen.name().into_owned());
            let resource = seen.as_ref().map(|seen| seen.resource().id().into_owned());
            rows.places.push(kept.workspace.unwrap_or(kept.account).to_string());
            rows.ids.push(event.id.to_string());
            rows.received.push(kept.received.to_string());
            rows.occurred.push(occurred.to_string());
            rows.events.push(name.unwrap_or_default());
            rows.resources.push(resource.unwrap_or_default());
            rows.accounts.push(kept.account.to_string());
            rows.workspaces.push(kept.workspace.map(|workspace| workspace.to_string()));
            rows.bodies.push(String::from_utf8_lossy(&text).into_owned());
        }
        rows
    }

    async fn insert(&self, connection: &Connection) -> Result<(), Error> {
        let columns: [&(dyn tokio_postgres::types::ToSql + Sync); 9] = [
            &self.places,
            &self.ids,
            &self.received,
            &self.occurred,
            &self.events,
            &self.resources,
            &self.accounts,
            &self.workspaces,
            &self.bodies,
        ];
        connection.client.execute(&connection.insert, &columns).await.map(drop)
    }
}

/// A connection that says no more than it may.
struct Metered {
    socket: Socket,
    left: Arc<AtomicUsize>,
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.socket).poll_read(context, buffer);
        let read = buffer.filled().len() - before;
        let left = self.left.load(Ordering::Relaxed);
        if read > left {
            let what = format!("an answer of more than {ANSWER_MAX_BYTES} bytes");
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, what)));
        }
        self.left.store(left - read, Ordering::Relaxed);
        polled
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

/// What a server's error means: a refusal of the content, or a fault.
fn judge(error: &Error, table: &str) -> Result<Refusal, Fault> {
    let Some(said) = error.as_db_error() else {
        let mut what = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(deeper) = cause {
            what = format!("{what}: {deeper}");
            cause = deeper.source();
        }
        return Err(Fault::new(Outcome::Unreachable, shown(&what)));
    };
    verdict(said.code().code(), said.message(), table)
}

fn verdict(code: &str, message: &str, table: &str) -> Result<Refusal, Fault> {
    let what = format!("PostgreSQL said {code}, {}", shown(message));
    Err(match (code, code.get(..2).unwrap_or_default()) {
        // Data exceptions, constraints, and limits such as the length of an index's entry.
        (_, "22" | "23" | "54") => {
            return Ok(Refusal::new(what.clone(), shown(message)));
        }
        ("42P01", _) => {
            let what = format!("{what}: create_table=true makes it");
            Fault::lasting(Outcome::Unexpected, what)
        }
        ("42P10", _) => {
            let what =
                format!("{table} has no unique key of place and id, by which events are known");
            Fault::lasting(Outcome::Unexpected, what)
        }
        ("42501", _) => Fault::lasting(Outcome::Forbidden, what),
        (_, "28") => Fault::lasting(Outcome::Unauthorized, what),
        (_, "3D" | "42") => Fault::lasting(Outcome::Unexpected, what),
        // It starts, stops, has no room, follows another server, or somebody was in the way.
        _ => Fault::new(Outcome::Unavailable, what),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_means_one_thing() {
        let judged = |code| verdict(code, "m", "\"t\"");
        for code in ["22P05", "22003", "23514", "23502", "54000"] {
            assert!(judged(code).expect("a refusal").reason.contains(code));
        }
        for (code, outcome, is_lasting, says) in [
            ("42P01", Outcome::Unexpected, true, "create_table=true"),
            ("42P10", Outcome::Unexpected, true, "no unique key"),
            ("42703", Outcome::Unexpected, true, "42703"),
            ("42501", Outcome::Forbidden, true, "42501"),
            ("28P01", Outcome::Unauthorized, true, "28P01"),
            ("3D000", Outcome::Unexpected, true, "3D000"),
            ("57P01", Outcome::Unavailable, false, "57P01"),
            ("53100", Outcome::Unavailable, false, "53100"),
            ("25006", Outcome::Unavailable, false, "25006"),
            ("40P01", Outcome::Unavailable, false, "40P01"),
            ("", Outcome::Unavailable, false, "said"),
        ] {
            let fault = judged(code).expect_err(code);
            assert_eq!((fault.outcome, fault.is_lasting), (outcome, is_lasting), "{code}");
            assert!(fault.what.contains(says), "{}", fault.what);
        }
    }

    #[tokio::test]
    async fn a_server_says_no_more_than_it_may() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let left = Arc::new(AtomicUsize::new(10));
        let mut metered = Metered { socket: Box::new(ours), left: Arc::clone(&left) };
        theirs.write_all(&[0; 10]).await.expect("a write");
        let mut read = [0; 10];
        metered.read_exact(&mut read).await.expect("what it may say");
        theirs.write_all(&[0]).await.expect("a write");
        let fault = metered.read_exact(&mut read[..1]).await.expect_err("one more");
        assert_eq!(fault.kind(), io::ErrorKind::InvalidData);
    }
}
