//! Messages to a stream of NATS `JetStream`. In: a range of events. Out: taken once the stream has acknowledged each:
//! it keeps them then, and an event that comes again within the stream's window is recognised by its id
//! (`Nats-Msg-Id`). Speaks the few words of the protocol that publishing needs; goes to no server that another names.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::wire::{Login, LoginPapers, Place, Wire, check_papers, shown};
use super::{Answer, Bounds, Fault, Refusal};
use crate::clock::Clock;
use crate::fetch::Egress;
use crate::forward::load::{Form, Load};
use crate::forward::options::Options;
use crate::forward::{Destination, ForwardError};
use crate::id;
use crate::telemetry::forward::Outcome;

/// What goes out together, before its acknowledgements are read.
const BOUNDS: Bounds = Bounds { frames: 500, frame_bytes: 1 << 20, events: 500, bytes: 1 << 20 };
/// A connection that was not used this long is made anew: the server may have taken it for dead.
const IDLE: Duration = Duration::from_mins(1);
/// Largest message, when the server does not say.
const PAYLOAD_MAX_BYTES: usize = 1 << 20;
/// The stream takes no message that large.
const TOO_LARGE: u32 = 10_054;

/// The lane's side of a stream.
#[derive(Debug)]
pub(in crate::forward) struct Nats {
    place: Place,
    subject: String,
    options: Options,
    egress: Egress,
    login: LoginPapers,
    deadline: Duration,
    /// Where acknowledgements go, before their number.
    inbox: String,
    connection: Option<Connection>,
}

#[derive(Debug)]
struct Connection {
    wire: Wire,
    payload_max: usize,
    /// The number of the next message.
    next: u64,
    used: Instant,
}

/// What a server says of itself.
#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    max_payload: Option<usize>,
    #[serde(default)]
    tls_required: bool,
    #[serde(default)]
    headers: bool,
}

/// A stream's answer to a message.
#[derive(Deserialize)]
struct Acknowledgement {
    error: Option<Complaint>,
    stream: Option<String>,
}

#[derive(Deserialize)]
struct Complaint {
    #[serde(default)]
    err_code: u32,
    #[serde(default)]
    description: String,
}

impl Nats {
    pub(super) fn new(
        destination: &Destination,
        (place, subject): (&Place, &str),
        clock: &Arc<Clock>,
        deadline: Duration,
    ) -> Result<Self, ForwardError> {
        check_papers(place, &destination.options.tls)?;
        Ok(Self {
            place: place.clone(),
            subject: subject.to_owned(),
            options: destination.options.clone(),
            egress: destination.egress.clone(),
            login: LoginPapers::of(destination)?,
            deadline,
            inbox: format!("_INBOX.{}", id::now(clock).simple()),
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
        let connection = connection.filter(|connection| connection.used.elapsed() < IDLE);
        let attempt = async {
            let mut connection = match connection {
                Some(connection) => connection,
                None => self.connect().await?,
            };
            let verdict = self.publish(&mut connection, load, range).await?;
            Ok((connection, verdict))
        };
        match tokio::time::timeout(self.deadline, attempt).await {
            Ok(Ok((mut connection, answer))) => {
                connection.used = Instant::now();
                self.connection = Some(connection);
                answer
            }
            Ok(Err(fault)) => Answer::Failed(fault),
            Err(_) => {
                let seconds = self.deadline.as_secs_f32();
                let what = format!("no acknowledgement within {seconds} s");
                Answer::Failed(Fault::new(Outcome::Timeout, what))
            }
        }
    }

    async fn connect(&self) -> Result<Connection, Fault> {
        let login = self.login.read().await?;
        let mut wire = Wire::open(&self.place, &self.egress).await?;
        let line = wire.line().await?;
        let info = line.strip_prefix("INFO ").and_then(|info| serde_json::from_str(info).ok());
        let Some(Info { max_payload, tls_required, headers }) = info else {
            let what = format!("is no NATS server: it said {}", shown(&line));
            return Err(Fault::lasting(Outcome::Unexpected, what));
        };
        if !headers {
            let what = "the NATS server takes no headers, which ids of messages stand in";
            return Err(Fault::lasting(Outcome::Unexpected, what));
        }
        if self.place.is_tls {
            wire = wire.secure(&self.place, &self.options.tls).await?;
        } else if tls_required {
            let what = "the NATS server wants TLS: begin the address with nats+tls://";
            return Err(Fault::lasting(Outcome::Unexpected, what));
        }
        let words = self.greeting(&login);
        wire.write(words.as_bytes()).await?;
        loop {
            let line = wire.line().await?;
            match line.as_str() {
                "PONG" => break,
                "PING" => wire.write(b"PONG\r\n").await?,
                _ => complain(&line)?,
            }
        }
        let payload_max = max_payload.unwrap_or(PAYLOAD_MAX_BYTES);
        Ok(Connection { wire, payload_max, next: 0, used: Instant::now() })
    }

    /// Who calls, where acknowledgements go, and a question that is answered once all that was understood.
    fn greeting(&self, login: &Login) -> String {
        let mut connect = serde_json::json!({
            "verbose": false, "pedantic": false, "headers": true, "no_responders": true,
            "tls_required": self.place.is_tls, "protocol": 1, "name": "hookgate",
            "lang": "rust", "version": env!("CARGO_PKG_VERSION"),
        });
        match (&login.user, &login.secret) {
            (Some(user), Some(secret)) => {
                connect["user"] = user.as_str().into();
                connect["pass"] = secret.as_str().into();
            }
            (None, Some(token)) => connect["auth_token"] = token.as_str().into(),
            _ => {}
        }
        format!("CONNECT {connect}\r\nSUB {}.* 1\r\nPING\r\n", self.inbox)
    }

    /// Sends all messages, then waits for the word on each.
    async fn publish(
        &self,
        connection: &mut Connection,
        load: &Load,
        range: Range<usize>,
    ) -> Result<Answer, Fault> {
        let (first, count) = (connection.next, range.len() as u64);
        connection.next += count;
        let (mut out, mut text) = (Vec::new(), Vec::new());
        for (number, place) in (first..).zip(range) {
            text.clear();
            load.write(place, Form::Received, &mut text);
            if text.len() > connection.payload_max {
                let (bytes, most) = (text.len(), connection.payload_max);
                let reason = format!("{bytes} bytes; the NATS server takes {most}");
                return Ok(Answer::Refused(Refusal::new(reason, "")));
            }
            let head = format!("NATS/1.0\r\nNats-Msg-Id: {}\r\n\r\n", load.mark(place));
            let (head_bytes, all_bytes) = (head.len(), head.len() + text.len());
            let (subject, inbox) = (&self.subject, &self.inbox);
            let line = format!("HPUB {subject} {inbox}.{number} {head_bytes} {all_bytes}\r\n");
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(head.as_bytes());
            out.extend_from_slice(&text);
            out.extend_from_slice(b"\r\n");
        }
        connection.wire.write(&out).await?;
        let mut verdict = Answer::Taken;
        let mut waiting = count;
        while waiting > 0 {
            let Some((number, answer)) = self.next_answer(&mut connection.wire).await? else {
                continue;
            };
            // What an earlier batch is told too late is no business of this one.
            if number < first || number >= first + count {
                continue;
            }
            waiting -= 1;
            let refusal = judge(&self.subject, &answer)?;
            if let Some(refusal) = refusal
                && matches!(verdict, Answer::Taken)
            {
                verdict = Answer::Refused(refusal);
            }
        }
        Ok(verdict)
    }

    /// The next message of the server; `None` when it is about something else.
    async fn next_answer(&self, wire: &mut Wire) -> Result<Option<(u64, String)>, Fault> {
        let line = wire.line().await?;
        let mut words = line.split(' ');
        match words.next().unwrap_or_default() {
            "PING" => wire.write(b"PONG\r\n").await?,
            kind @ ("MSG" | "HMSG") => {
                let subject = words.next().unwrap_or_default().to_owned();
                let sizes: Vec<usize> =
                    words.skip(1).filter_map(|word| word.parse().ok()).collect();
                let unread = || Fault::new(Outcome::Unexpected, "an answer that cannot be read");
                let length = *sizes.last().ok_or_else(unread)?;
                let value = wire.value(length).await?;
                // The head of a message says what was wrong with delivering it.
                let head = if kind == "HMSG" { sizes[0].min(length) } else { 0 };
                let shown = if head > 0 && length == head { &value[..] } else { &value[head..] };
                let number = subject.rsplit('.').next().and_then(|number| number.parse().ok());
                let number = number.ok_or_else(unread)?;
                return Ok(Some((number, String::from_utf8_lossy(shown).into_owned())));
            }
            _ => complain(&line)?,
        }
        Ok(None)
    }
}

/// What servers complain of, as they write it. Other words are not shown: they may be the login that was sent.
const COMPLAINTS: [&str; 18] = [
    "Authorization Violation",
    "Authentication Timeout",
    "Authentication Expired",
    "Account Authentication Expired",
    "Permissions Violation",
    "Stale Connection",
    "Maximum Connections Exceeded",
    "Maximum Account Active Connections Exceeded",
    "Maximum Subscriptions Exceeded",
    "Maximum Control Line Exceeded",
    "Maximum Payload Violation",
    "Unknown Protocol Operation",
    "Invalid Client Protocol",
    "Invalid Publish Subject",
    "Secure Connection - TLS Required",
    "Attempted To Connect To Route Port",
    "Slow Consumer",
    "Parser Error",
];

/// What the server says of its own accord: errors end the attempt.
fn complain(line: &str) -> Result<(), Fault> {
    let Some(error) = line.strip_prefix("-ERR ") else { return Ok(()) };
    let lower = error.to_ascii_lowercase();
    let known = COMPLAINTS.iter().find(|known| lower.contains(&known.to_ascii_lowercase()));
    let what = known.copied().unwrap_or("something that no NATS server says");
    let what = format!("the NATS server said {what}");
    let is_login = ["authorization", "authentication", "permissions"];
    Err(if is_login.iter().any(|word| lower.contains(word)) {
        Fault::lasting(Outcome::Unauthorized, what)
    } else {
        Fault::new(Outcome::Unavailable, what)
    })
}

/// What a stream says of one message: kept, refused for its content, or not now.
fn judge(subject: &str, answer: &str) -> Result<Option<Refusal>, Fault> {
    if answer.starts_with("NATS/1.0 503") {
        let what = format!("no stream of the NATS server keeps what is sent to {subject}");
        return Err(Fault::lasting(Outcome::Unexpected, what));
    }
    match serde_json::from_str(answer) {
        Ok(Acknowledgement { error: None, stream: Some(_) }) => Ok(None),
        Ok(Acknowledgement { error: Some(Complaint { err_code, description }), .. }) => {
            let reason = format!("the stream said {err_code}, {}", shown(&description));
            if err_code == TOO_LARGE {
                return Ok(Some(Refusal::new(reason, shown(answer))));
            }
            Err(Fault::new(Outcome::Unavailable, reason))
        }
        _ => {
            let what = format!("an answer that cannot be read: {}", shown(answer));
            Err(Fault::lasting(Outcome::Unexpected, what))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_means_one_thing() {
        assert!(matches!(judge("s", "{\"stream\":\"S\",\"seq\":1}"), Ok(None)));
        assert!(matches!(judge("s", "{\"stream\":\"S\",\"seq\":1,\"duplicate\":true}"), Ok(None)));
        let large = "{\"error\":{\"code\":400,\"err_code\":10054,\"description\":\"too large\"}}";
        let refusal = judge("s", large).expect("an answer").expect("a refusal");
        assert!(refusal.reason.contains("10054, too large"), "{}", refusal.reason);
        for (answer, is_lasting) in [
            ("{\"error\":{\"code\":503,\"err_code\":10077,\"description\":\"full\"}}", false),
            ("NATS/1.0 503\r\n\r\n", true),
            ("{}", true),
            ("hello", true),
        ] {
            let fault = judge("s", answer).expect_err(answer);
            assert_eq!(fault.is_lasting, is_lasting, "{answer}: {}", fault.what);
        }
        assert!(complain("INFO {}").is_ok() && complain("+OK").is_ok());
        let fault = complain("-ERR 'Authorization Violation'").expect_err("an error");
        assert_eq!(fault.outcome, Outcome::Unauthorized);
        let echo = complain("-ERR 'CONNECT {\"pass\":\"secret\"}'").expect_err("an error");
        assert!(!echo.what.contains("secret"), "{}", echo.what);
        assert!(!complain("-ERR 'Stale Connection'").expect_err("an error").is_lasting);
    }
}
