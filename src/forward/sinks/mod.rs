//! Where events leave the house. In: events in hand and a range of them. Out: one answer for the whole range: taken,
//! refused for its content, or worth another try. Never a wait between attempts, never a decision what comes next.

mod desk;
mod http;
mod kafka;
mod known;
mod nats;
mod postgres;
mod prefect;
mod redis;
mod rotation;
mod secret;
mod stream;
mod tls;
mod wire;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::http::StatusCode;

use self::http::{Http, Objects, PrefectSocket};
use self::kafka::Kafka;
use self::nats::Nats;
use self::postgres::Postgres;
pub(super) use self::prefect::Sent;
use self::redis::Redis;
use self::stream::Stream;
pub(super) use self::wire::Place;
use super::destination::Target;
use super::load::Load;
use super::options::Options;
use super::{Destination, ForwardError};
use crate::clock::Clock;
use crate::request::HOPS_MAX;
use crate::shelf::Batch;
use crate::telemetry::forward::Outcome;

/// What became of an attempt.
#[derive(Debug)]
pub(super) enum Answer {
    /// All of it arrived.
    Taken,
    /// Something in it will never be taken.
    Refused(Refusal),
    /// Nothing is known of its content; again later.
    Failed(Fault),
}

/// What else is known of the last attempt, for whoever asks later.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said {
    /// The status of its answer.
    pub(super) status: Option<u16>,
    /// What named its events to the destination, when they were several.
    pub(super) batch: Option<Batch>,
}

/// Why content was refused.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    /// In a few words.
    pub(super) reason: String,
    /// The beginning of the answer's body.
    pub(super) answer: String,
    /// The status of the answer, where it has one.
    pub(super) status: Option<StatusCode>,
}

impl Refusal {
    /// One in a few words, with the beginning of an answer's body.
    pub(super) fn new(reason: impl Into<String>, answer: impl Into<String>) -> Self {
        Self { reason: reason.into(), answer: answer.into(), status: None }
    }

    /// Whether it came back to where it had been: 508, and it had come through as many gateways as may be.
    pub(super) fn ends_circle(&self, hops: u8) -> bool {
        hops >= HOPS_MAX && self.status == Some(StatusCode::LOOP_DETECTED)
    }
}

/// Why an attempt failed.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) outcome: Outcome,
    /// In a few words, without secrets.
    pub(super) what: String,
    /// Nothing but an operator will mend it.
    pub(super) is_lasting: bool,
    /// When the destination wants to be asked again.
    pub(super) after: Option<Duration>,
    /// 500: the destination may be down, or break on the content.
    pub(super) may_be_content: bool,
}

impl Fault {
    pub(super) fn new(outcome: Outcome, what: impl Into<String>) -> Self {
        let what = what.into();
        Self { outcome, what, is_lasting: false, after: None, may_be_content: false }
    }

    /// One that nothing but an operator will mend.
    pub(super) fn lasting(outcome: Outcome, what: impl Into<String>) -> Self {
        Self { is_lasting: true, ..Self::new(outcome, what) }
    }
}

/// Why it is not known whether events are kept.
#[derive(Debug)]
pub(super) enum Unconfirmed {
    /// The destination does not answer such questions.
    NotOffered(String),
    /// It may later.
    Failed(Fault),
}

/// How much one attempt carries, and one look into the spool.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) frames: usize,
    pub(super) frame_bytes: usize,
    pub(super) events: usize,
    pub(super) bytes: usize,
}

/// Whether what a destination needs of this machine is there: its files, and the folder of a file.
pub(super) fn check(destination: &Destination, clock: &Arc<Clock>) -> Result<(), ForwardError> {
    let Target::File(path) = &destination.target else {
        return Sink::new(destination, clock, Duration::MAX).map(drop);
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    match std::fs::metadata(folder) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(ForwardError::File { path: folder.into(), why: "is no folder".into() }),
        Err(why) => Err(ForwardError::file(folder, &why)),
    }
}

/// Whether the papers of a record say what they must. Of this machine nothing is looked at.
pub(super) fn check_papers(options: &Options) -> Result<(), ForwardError> {
    http::check_papers(options)?;
    tls::check(&options.tls)
}

/// A destination's other end.
#[derive(Debug)]
pub(super) enum Sink {
    Stream(Stream),
    Http(Box<Http>),
    Socket(Box<PrefectSocket>),
    Nats(Box<Nats>),
    Redis(Box<Redis>),
    Objects(Box<Objects>),
    Kafka(Box<Kafka>),
    Postgres(Box<Postgres>),
}

impl Sink {
    /// Prepares a sink; connects to nothing yet.
    pub(super) fn new(
        destination: &Destination,
        clock: &Arc<Clock>,
        deadline: Duration,
    ) -> Result<Self, ForwardError> {
        Ok(match &destination.target {
            Target::Stdout => Self::Stream(Stream::stdout()?),
            Target::File(path) => {
                let rotation = destination.options.rotation;
                Self::Stream(Stream::file(path, rotation, clock)?)
            }
            Target::Http(_) | Target::Prefect { .. } => {
                Self::Http(Box::new(Http::new(destination, clock, deadline)?))
            }
            Target::PrefectSocket { place, path, http } => {
                let at = ((place, path.as_str()), &**http);
                Self::Socket(Box::new(PrefectSocket::new(destination, at, clock, deadline)?))
            }
            Target::Nats(place, subject) => {
                let at = (place, subject.as_str());
                Self::Nats(Box::new(Nats::new(destination, at, clock, deadline)?))
            }
            Target::Redis(place, stream) => {
                let at = (place, stream.as_str());
                Self::Redis(Box::new(Redis::new(destination, at, deadline)?))
            }
            Target::Objects(bucket) => {
                Self::Objects(Box::new(Objects::new(destination, bucket, clock, deadline)?))
            }
            Target::Kafka(place, topic) => {
                let at = (place, topic.as_str());
                Self::Kafka(Box::new(Kafka::new(destination, at, clock, deadline)?))
            }
            Target::Postgres(place, table) => {
                Self::Postgres(Box::new(Postgres::new(destination, (place, table), deadline)?))
            }
        })
    }

    pub(super) fn bounds(&self) -> Bounds {
        match self {
            Self::Stream(_) => stream::BOUNDS,
            Self::Http(http) => http.bounds(),
            Self::Socket(socket) => socket.bounds(),
            Self::Nats(nats) => nats.bounds(),
            Self::Redis(redis) => redis.bounds(),
            Self::Objects(objects) => objects.bounds(),
            Self::Kafka(kafka) => kafka.bounds(),
            Self::Postgres(postgres) => postgres.bounds(),
        }
    }

    /// Whether what it holds shows what went out last, or is named by the order of it: events go out as they came.
    pub(super) fn is_strict(&self) -> bool {
        matches!(self, Self::Stream(_) | Self::Redis(_) | Self::Objects(_))
    }

    /// How long events gather after an attempt, for the next one to carry more of them.
    pub(super) fn gather(&self) -> Duration {
        match self {
            Self::Objects(objects) => objects.gather(),
            _ => Duration::ZERO,
        }
    }

    /// Whether an event may be sent at all: some destinations lose without a word what they cannot keep.
    pub(super) fn check(&mut self, load: &Load, place: usize) -> Result<(), String> {
        match self {
            Self::Http(http) => http.check(&load.at(place).1.json),
            Self::Socket(socket) => socket.check(&load.at(place).1.json),
            _ => Ok(()),
        }
    }

    /// Sends the events of a range; once this is ready, they arrived or did not.
    pub(super) async fn send(&mut self, load: &Load, range: Range<usize>) -> Answer {
        match self {
            Self::Stream(stream) => stream.send(load, range).await,
            Self::Http(http) => http.send(load, range).await,
            Self::Socket(socket) => socket.send(load, range).await,
            Self::Nats(nats) => nats.send(load, range).await,
            Self::Redis(redis) => redis.send(load, range).await,
            Self::Objects(objects) => objects.send(load, range).await,
            Self::Kafka(kafka) => kafka.send(load, range).await,
            Self::Postgres(postgres) => postgres.send(load, range).await,
        }
    }

    /// For how long the destination takes nothing more, as the last answer said.
    pub(super) fn closed(&self) -> Option<Duration> {
        match self {
            Self::Http(http) => http.closed(),
            _ => None,
        }
    }

    /// What else is known of the last attempt.
    pub(super) fn said(&self) -> Said {
        match self {
            Self::Http(http) => http.said(),
            _ => Said::default(),
        }
    }

    /// How many of these events the destination keeps, beyond having acknowledged them.
    pub(super) async fn count_kept(&mut self, events: &[Sent]) -> Result<usize, Unconfirmed> {
        match self {
            Self::Http(http) => http.count_kept(events).await,
            Self::Socket(socket) => socket.count_kept(events).await,
            _ => Ok(events.len()),
        }
    }

    /// Opens anew, before the next attempt, what was opened before: a file, a secret.
    pub(super) fn reopen(&mut self) {
        match self {
            Self::Stream(stream) => stream.reopen(),
            Self::Http(http) => http.reopen(),
            Self::Socket(socket) => socket.reopen(),
            Self::Nats(nats) => nats.reopen(),
            Self::Redis(redis) => redis.reopen(),
            Self::Objects(objects) => objects.reopen(),
            Self::Kafka(kafka) => kafka.reopen(),
            Self::Postgres(postgres) => postgres.reopen(),
        }
    }
}
