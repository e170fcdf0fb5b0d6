//! Entries of a Redis stream. In: a range of events. Out: taken once the server has answered for each (XADD); as
//! durable as the server is set up to be. After a connection that broke, what stands at the stream's end already is not
//! added twice. Never changes anything but the one stream.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::known::Known;
use super::wire::{LoginPapers, Place, VALUE_MAX_BYTES, Wire, check_papers, shown};
use super::{Answer, Bounds, Fault};
use crate::fetch::Egress;
use crate::forward::lines::Mark;
use crate::forward::load::{Form, Load};
use crate::forward::options::Options;
use crate::forward::{Destination, ForwardError};
use crate::telemetry::forward::Outcome;

/// What goes out together, before the answers are read.
const BOUNDS: Bounds = Bounds { frames: 500, frame_bytes: 1 << 20, events: 500, bytes: 1 << 20 };
/// A connection that was not used this long is made anew: the server may have closed it.
const IDLE: Duration = Duration::from_mins(1);
/// How far back a stream's end is read after a connection broke: more than one batch, and what others add. By pages.
const TAIL_ENTRIES: usize = 2000;
const TAIL_BYTES: usize = 16 << 20;
const PAGE_ENTRIES: usize = 50;
/// Longest list of an answer.
const LIST_MAX: usize = 10_000;

/// The lane's side of a stream.
#[derive(Debug)]
pub(in crate::forward) struct Redis {
    place: Place,
    stream: String,
    options: Options,
    egress: Egress,
    login: LoginPapers,
    deadline: Duration,
    connection: Option<(Wire, Instant)>,
    /// What stood at the stream's end when the connection was made.
    known: Known,
}

/// One answer of the server.
#[derive(Debug, PartialEq, Eq)]
enum Reply {
    Text(Vec<u8>),
    Error(String),
    Nothing,
    Open(usize),
}

impl Redis {
    pub(super) fn new(
        destination: &Destination,
        (place, stream): (&Place, &str),
        deadline: Duration,
    ) -> Result<Self, ForwardError> {
        check_papers(place, &destination.options.tls)?;
        Ok(Self {
            place: place.clone(),
            stream: stream.to_owned(),
            options: destination.options.clone(),
            egress: destination.egress.clone(),
            login: LoginPapers::of(destination)?,
            deadline,
            connection: None,
            known: Known::default(),
        })
    }

    pub(super) fn bounds(&self) -> Bounds {
        self.options.bounds(BOUNDS)
    }

    pub(super) fn reopen(&mut self) {
        self.connection = None;
    }

    pub(super) async fn send(&mut self, load: &Load, range: Range<usize>) -> Answer {
        let attempt = tokio::time::timeout(self.deadline, self.add(load, range)).await;
        match attempt {
            Ok(Ok(())) => Answer::Taken,
            Ok(Err(fault)) => {
                self.connection = None;
                Answer::Failed(fault)
            }
            Err(_) => {
                self.connection = None;
                let seconds = self.deadline.as_secs_f32();
                Answer::Failed(Fault::new(
                    Outcome::Timeout,
                    format!("no answer within {seconds} s"),
                ))
            }
        }
    }

    /// Adds all that does not stand there.
    async fn add(&mut self, load: &Load, range: Range<usize>) -> Result<(), Fault> {
        let connection = self.connection.take();
        let mut wire = match connection.filter(|(_, used)| used.elapsed() < IDLE) {
            Some((wire, _)) => wire,
            None => self.connect().await?,
        };
        let trim = self.options.entries_max.map(|most| most.to_string());
        let (mut out, mut text, mut count) = (Vec::new(), Vec::new(), 0);
        for place in range {
            let id = load.at(place).1.id;
            if self.known.meets(load.mark(place)) {
                continue;
            }
            text.clear();
            load.write(place, Form::Received, &mut text);
            let id = id.to_string();
            let mut words: Vec<&[u8]> = vec![b"XADD", self.stream.as_bytes()];
            if let Some(most) = &trim {
                words.extend([b"MAXLEN".as_slice(), b"~", most.as_bytes()]);
            }
            words.extend([b"*".as_slice(), b"id", id.as_bytes(), b"event", &text]);
            command(&mut out, &words);
            count += 1;
        }
        wire.write(&out).await?;
        let mut fault = None;
        for _ in 0..count {
            match reply(&mut wire).await? {
                Reply::Text(id) if is_entry(&id) => {}
                other => fault = fault.or_else(|| Some(unexpected(&other))),
            }
        }
        if let Some(fault) = fault {
            return Err(fault);
        }
        self.connection = Some((wire, Instant::now()));
        Ok(())
    }

    async fn connect(&mut self) -> Result<Wire, Fault> {
        let mut wire = self.log_in().await?;
        match self.tail(&mut wire).await {
            Ok(marks) => self.known = Known::new(marks),
            // Others put something there that is not read. Rather an event twice than a lane that stands still.
            Err(fault) if fault.outcome == Outcome::Unexpected => {
                tracing::warn!(fault = fault.what, "the end of a Redis stream is not compared");
                self.known = Known::default();
                wire = self.log_in().await?;
            }
            Err(fault) => return Err(fault),
        }
        Ok(wire)
    }

    async fn log_in(&self) -> Result<Wire, Fault> {
        let login = self.login.read().await?;
        let mut wire = Wire::open(&self.place, &self.egress).await?;
        if self.place.is_tls {
            wire = wire.secure(&self.place, &self.options.tls).await?;
        }
        if let Some(secret) = &login.secret {
            let mut words: Vec<&[u8]> = vec![b"AUTH"];
            words.extend(login.user.as_ref().map(String::as_bytes));
            words.push(secret.as_bytes());
            let mut out = Vec::new();
            command(&mut out, &words);
            wire.write(&out).await?;
            if let Reply::Error(what) = reply(&mut wire).await? {
                // Some say again what they were told: only the first word is theirs for certain.
                let code = what.split(' ').next().unwrap_or_default();
                let what = format!("the Redis server refused the login: {}", shown(code));
                return Err(Fault::lasting(Outcome::Unauthorized, what));
            }
        }
        Ok(wire)
    }

    /// The last events, as far as the bounds go.
    async fn tail(&self, wire: &mut Wire) -> Result<HashSet<Mark>, Fault> {
        let (mut marks, mut entries, mut bytes) = (HashSet::new(), 0, 0);
        let (mut end, most) = (b"+".to_vec(), PAGE_ENTRIES.to_string());
        loop {
            let mut out = Vec::new();
            let stream = self.stream.as_bytes();
            command(&mut out, &[b"XREVRANGE", stream, &end, b"-", b"COUNT", most.as_bytes()]);
            wire.write(&out).await?;
            let count = open(wire).await?;
            for _ in 0..count {
                open(wire).await?;
                // The next page ends before this one.
                end = [b"(".as_slice(), &text(wire).await?].concat();
                for _ in 0..open(wire).await? / 2 {
                    let (name, value) = (text(wire).await?, text(wire).await?);
                    bytes += value.len();
                    if name == b"event" {
                        marks.extend(Mark::find(&value));
                    }
                }
            }
            entries += count;
            if count < PAGE_ENTRIES || entries >= TAIL_ENTRIES || bytes >= TAIL_BYTES {
                return Ok(marks);
            }
        }
    }
}

/// Whether an answer is the id of an entry: two numbers with a dash between.
fn is_entry(id: &[u8]) -> bool {
    let is_number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let mut parts = id.splitn(2, |byte| *byte == b'-');
    parts.next().is_some_and(is_number) && parts.next().is_some_and(is_number)
}

/// Appends a command: its words, each with its length.
fn command(out: &mut Vec<u8>, words: &[&[u8]]) {
    let mut head = format!("*{}\r\n", words.len());
    for word in words {
        let _ = write!(head, "${}\r\n", word.len());
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
        head.clear();
    }
}

/// How many answers the list has that comes next.
async fn open(wire: &mut Wire) -> Result<usize, Fault> {
    match reply(wire).await? {
        Reply::Open(count) => Ok(count),
        other => Err(unexpected(&other)),
    }
}

/// The text that comes next.
async fn text(wire: &mut Wire) -> Result<Vec<u8>, Fault> {
    match reply(wire).await? {
        Reply::Text(text) => Ok(text),
        other => Err(unexpected(&other)),
    }
}

fn unexpected(reply: &Reply) -> Fault {
    match reply {
        Reply::Error(what) => judge(what),
        _ => Fault::lasting(Outcome::Unexpected, "an answer of another shape"),
    }
}

/// The next answer, or the beginning of a list of them.
async fn reply(wire: &mut Wire) -> Result<Reply, Fault> {
    let line = wire.line().await?;
    let unread = || {
        let what = format!("is no Redis server: it said {}", shown(&line));
        Fault::lasting(Outcome::Unexpected, what)
    };
    let kind = line.chars().next().ok_or_else(unread)?;
    let rest = line.get(kind.len_utf8()..).unwrap_or_default();
    match kind {
        '+' | ':' => Ok(Reply::Text(rest.as_bytes().to_vec())),
        '-' => Ok(Reply::Error(rest.to_owned())),
        '$' | '*' if rest == "-1" => Ok(Reply::Nothing),
        '$' => {
            let length = rest.parse().ok().filter(|length| *length <= VALUE_MAX_BYTES);
            Ok(Reply::Text(wire.value(length.ok_or_else(unread)?).await?))
        }
        '*' => {
            let length = rest.parse().ok().filter(|length| *length <= LIST_MAX);
            length.map(Reply::Open).ok_or_else(unread)
        }
        _ => Err(unread()),
    }
}

/// What an error of the server means. None is about the content of an event: a stream takes any.
fn judge(what: &str) -> Fault {
    let code = what.split(' ').next().unwrap_or_default();
    let what = format!("the Redis server said {}", shown(what));
    match code {
        "NOAUTH" | "WRONGPASS" | "NOPERM" => Fault::lasting(Outcome::Unauthorized, what),
        "WRONGTYPE" | "ERR" | "MOVED" => Fault::lasting(Outcome::Unexpected, what),
        _ => Fault::new(Outcome::Unavailable, what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_id_of_an_entry_says_that_it_was_added() {
        for (id, expected) in [
            ("1764374400000-0", true),
            ("QUEUED", false),
            ("OK", false),
            ("1-", false),
            ("-1", false),
            ("1", false),
        ] {
            assert_eq!(is_entry(id.as_bytes()), expected, "{id}");
        }
    }

    #[test]
    fn commands_have_lengths_and_errors_meanings() {
        let mut out = Vec::new();
        command(&mut out, &[b"XADD", b"a b", "ü".as_bytes()]);
        assert_eq!(out, b"*3\r\n$4\r\nXADD\r\n$3\r\na b\r\n$2\r\n\xc3\xbc\r\n");
        for (what, outcome, is_lasting) in [
            ("NOAUTH Authentication required.", Outcome::Unauthorized, true),
            ("WRONGTYPE Operation against a key", Outcome::Unexpected, true),
            ("OOM command not allowed", Outcome::Unavailable, false),
            ("LOADING Redis is loading", Outcome::Unavailable, false),
            ("READONLY You can't write", Outcome::Unavailable, false),
        ] {
            let fault = judge(what);
            assert_eq!((fault.outcome, fault.is_lasting), (outcome, is_lasting), "{what}");
        }
    }
}
