//! Events of a replay, posted to an address. In: one event after the other. Out: taken, or refused for what it is. What
//! may pass is waited for, as long as whoever calls says; then it ends there, and nothing is passed over.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Deserialize;

use crate::cli::client::{Answer, Client};
use crate::cli::output::{Failure, say};
use crate::id::Uuid;

/// Before the first event is sent once more, doubled each time, and longest.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// Between two lines that say what is waited for.
const SELDOM: Duration = Duration::from_secs(10);

/// Where events go.
pub(super) struct Post<'a> {
    to: &'a str,
    client: Client,
    /// How long one event waits for what may pass.
    patience: Duration,
    /// Whether it ever answered: an address where nobody is may be mistyped.
    has_answered: bool,
    said: Option<Instant>,
}

/// What became of an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Taken,
    /// It, and perhaps no other, is not taken.
    Refused(StatusCode),
}

/// The id of an event.
pub(super) fn id(event: &str) -> Result<Uuid, Failure> {
    #[derive(Deserialize)]
    struct Named {
        id: Uuid,
    }
    let named: Result<Named, _> = serde_json::from_str(event);
    named.map(|named| named.id).map_err(|fault| Failure::No(format!("this is no event: {fault}")))
}

/// Whether the same event may be taken another time.
fn may_pass(status: StatusCode) -> bool {
    let passing =
        [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    status.is_server_error() || passing.contains(&status)
}

/// Whether no event is taken as long as nobody does anything about it.
fn is_for_all(status: StatusCode) -> bool {
    let denied = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
    status.is_redirection() || status.is_informational() || denied.contains(&status)
}

/// How long the address asks to be left alone.
fn asked_for(answer: &Answer) -> Option<Duration> {
    let value = answer.headers.get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

impl<'a> Post<'a> {
    pub(super) fn new(to: &'a str, patience: Duration) -> Result<Self, Failure> {
        let client = Client::fit(to)?;
        Ok(Self { to, client, patience, has_answered: false, said: None })
    }

    async fn once(&self, event: Bytes) -> Result<Answer, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.client.send(Method::POST, self.to, headers, event).await
    }

    /// Posts an event until it is taken, or refused for what it is.
    pub(super) async fn send(&mut self, event: String) -> Result<Fate, Failure> {
        let (event, began, mut pause) = (Bytes::from(event), Instant::now(), PAUSE);
        loop {
            let (why, asked) = match self.once(event.clone()).await {
                Ok(answer) => {
                    self.has_answered = true;
                    let status = answer.status;
                    match status {
                        _ if status.is_success() => return Ok(Fate::Taken),
                        _ if may_pass(status) => {}
                        _ if is_for_all(status) => {
                            let says = format!("{} answered {status}: it takes no event", self.to);
                            return Err(Failure::Partly(says));
                        }
                        _ => return Ok(Fate::Refused(status)),
                    }
                    (format!("{} answered {status}", self.to), asked_for(&answer))
                }
                Err(Failure::Unreachable(why) | Failure::Late(why)) if self.has_answered => {
                    (why, None)
                }
                Err(failure) => return Err(failure),
            };
            let wait = pause.max(asked.unwrap_or_default());
            let left = self.patience.saturating_sub(began.elapsed());
            if wait > left {
                return Err(Failure::Partly(self.given_up(&why, asked, left)));
            }
            self.say_what_for(&why);
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    fn given_up(&self, why: &str, asked: Option<Duration>, left: Duration) -> String {
        let patience = self.patience.as_secs();
        match asked.filter(|asked| *asked > left) {
            Some(asked) => {
                let asked = asked.as_secs();
                format!("{why}, and asks to wait for {asked} s; --patience is {patience} s")
            }
            None => format!("{why}, for {patience} s (--patience)"),
        }
    }

    /// Says, now and then, what it waits for.
    fn say_what_for(&mut self, why: &str) {
        if self.said.is_none_or(|said| said.elapsed() >= SELDOM) {
            say(&format!("waiting: {why}"));
            self.said = Some(Instant::now());
        }
    }
}
