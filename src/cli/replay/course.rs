//! The walk of a replay: slice by slice, at its pace. In: a question. Out: calls of the gateway, events where they are
//! asked for, a line of progress, and the sum of it. Never more than one slice in memory.

use std::io::{IsTerminal as _, Write as _, stderr, stdout};
use std::time::{Duration, Instant};

use http::Method;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Mode;
use super::place::{Place, Tally};
use super::post::{self, Fate, Post};
use crate::cli::Form;
use crate::cli::access::Remote;
use crate::cli::listing::text;
use crate::cli::output::{Failure, clean, inert_json, print_line, say};
use crate::cli::webhook::redaction::told_of;
use crate::config::RateText;

/// Most requests of one slice.
const SLICE_MAX: u64 = 500;
/// Most failures that are told.
const FAILURES_MAX: usize = 20;
/// Before the first line of progress, and between two where nobody watches.
const QUIET: Duration = Duration::from_millis(500);
const SELDOM: Duration = Duration::from_secs(10);
/// Longest wait for an index that comes no nearer, for one that does, and between two questions how near it is.
const STILL_MAX: Duration = Duration::from_secs(20);
const INDEX_MAX: Duration = Duration::from_mins(15);
const INDEX_LOOK: Duration = Duration::from_millis(500);

/// Why requests are left out.
const FAILING: &str = "fail still";
const GONE: &str = "are kept no longer";
const NO_WEBHOOK: &str = "are of a webhook that is gone";
/// All of it, for the help.
#[cfg(test)]
pub(super) const LEFT_OUT: [&str; 4] = [FAILING, GONE, NO_WEBHOOK, "--where fails on"];
/// Until a destination that has as much to do as it may is asked again.
const FILLED_PAUSE: Duration = Duration::from_secs(1);

/// A slice as the gateway tells it.
#[derive(Debug, Deserialize)]
struct Slice<'a> {
    matched: u64,
    emitted: u64,
    known: u64,
    failing: u64,
    gone: u64,
    #[serde(default)]
    no_webhook: u64,
    behind: u64,
    /// The newest frame that was kept when this was asked; nothing from earlier releases.
    #[serde(default)]
    durable: Option<u64>,
    /// When the oldest kept request came, if that is after what was asked for.
    #[serde(default)]
    kept_since: Option<String>,
    failures: Vec<Value>,
    #[serde(default)]
    undecided: u64,
    #[serde(default)]
    redacted: u64,
    #[serde(default)]
    redactions: Vec<Value>,
    after: Value,
    /// As much waits for the destination as may.
    #[serde(default)]
    waits: bool,
    /// Events that are on their way there then.
    #[serde(default)]
    on_their_way: Option<u64>,
    #[serde(borrow, default)]
    events: Vec<&'a RawValue>,
}

/// A walk.
pub(super) struct Course<'a> {
    remote: &'a Remote,
    place: Place,
    /// Requests in a second.
    rate: Option<f64>,
    mode: Mode,
    post: Option<Post<'a>>,
    began: Instant,
    /// Requests of this walk, whatever was before.
    walked: u64,
    told: usize,
    warned: usize,
    /// The newest frame that was kept when the gateway first answered: what came later is not waited for.
    kept: Option<u64>,
    /// Frames up to there that the index did not hold at the end.
    behind: u64,
    /// Whether a terminal shows what is printed.
    is_watched: bool,
    shown: Instant,
    /// When it was last said that the destination is waited for.
    waiting: Option<Instant>,
    /// Whether it was said from when on requests are kept.
    has_said_since: bool,
}

impl<'a> Course<'a> {
    pub(super) fn new(
        remote: &'a Remote,
        place: Place,
        rate: Option<RateText>,
        mode: Mode,
        post: Option<Post<'a>>,
    ) -> Self {
        let rate = rate.map(|rate| f64::from(rate.count.get()) / rate.per.as_secs_f64());
        let now = Instant::now();
        let is_watched = stdout().is_terminal();
        Self {
            remote,
            place,
            rate,
            mode,
            post,
            began: now,
            walked: 0,
            told: 0,
            warned: 0,
            kept: None,
            behind: 0,
            is_watched,
            shown: now,
            waiting: None,
            has_said_since: false,
        }
    }

    fn address(&self) -> String {
        format!("{}{}/requests/replay", self.remote.base, self.remote.place)
    }

    fn read<'b>(&self, answer: &'b [u8]) -> Result<Slice<'b>, Failure> {
        serde_json::from_slice(answer).map_err(|fault| {
            Failure::No(format!("{}: this is no slice of a replay: {fault}", self.remote.base))
        })
    }

    /// Frames kept at the first answer that are not in the index: where senders never rest, it never holds all.
    fn missing(&mut self, (durable, behind): (Option<u64>, u64)) -> u64 {
        let Some(durable) = durable else { return behind };
        let kept = *self.kept.get_or_insert(durable);
        kept.saturating_sub(durable.saturating_sub(behind))
    }

    /// Waits until the index holds what was kept at first: a walk would pass over what it does not hold.
    pub(super) async fn await_index(&mut self) -> Result<(), Failure> {
        let mut question = self.place.question().clone();
        (question["mode"], question["limit"]) = ("count".into(), 1.into());
        let (mut least, mut nearer, mut said) = (u64::MAX, Instant::now(), None);
        loop {
            let body = question.to_string();
            let answer = self.remote.exchange(Method::POST, &self.address(), body).await?;
            let slice = self.read(&answer)?;
            let behind = self.missing((slice.durable, slice.behind));
            if behind == 0 {
                return Ok(());
            }
            if behind < least {
                (least, nearer) = (behind, Instant::now());
            }
            if nearer.elapsed() >= STILL_MAX || self.began.elapsed() >= INDEX_MAX {
                return Err(Failure::Late(late(behind)));
            }
            if said.is_none_or(|said: Instant| said.elapsed() >= SELDOM) {
                say(&format!("waiting for the index of events, {behind} frames behind"));
                said = Some(Instant::now());
            }
            tokio::time::sleep(INDEX_LOOK).await;
        }
    }

    /// Walks to the end.
    pub(super) async fn walk(&mut self) -> Result<(), Failure> {
        self.await_index().await?;
        let address = self.address();
        let limit = self.rate.map_or(SLICE_MAX, |rate| (rate as u64).clamp(1, SLICE_MAX));
        loop {
            let mut question = self.place.question().clone();
            question["limit"] = limit.into();
            let answer = self.remote.exchange(Method::POST, &address, question.to_string()).await?;
            let slice = self.read(&answer)?;
            if slice.waits {
                self.say_what_for(slice.on_their_way);
                tokio::time::sleep(FILLED_PAUSE).await;
                continue;
            }
            self.say_since_when(slice.kept_since);
            self.tell(&slice.failures);
            self.warn(&slice.redactions);
            let printed = self.hand_on(&slice.events).await?;
            let walked = Tally {
                matched: slice.matched,
                emitted: slice.emitted.saturating_add(printed),
                known: slice.known,
                failing: slice.failing,
                gone: slice.gone,
                no_webhook: slice.no_webhook,
                // Those are counted one by one.
                refused: 0,
                undecided: slice.undecided,
                redacted: slice.redacted,
            };
            self.walked += slice.matched;
            let is_over = slice.after.is_null();
            if is_over {
                self.behind = self.missing((slice.durable, slice.behind));
            }
            self.place.step(&slice.after, &walked)?;
            if is_over {
                return self.place.end();
            }
            self.show(self.place.tally());
            self.pace().await;
        }
    }

    /// Says once that requests of the time meant may be kept no longer.
    fn say_since_when(&mut self, kept_since: Option<String>) {
        let Some(kept_since) = kept_since.filter(|_| !self.has_said_since) else { return };
        say(&format!(
            "requests from before {kept_since} are kept no longer, and not counted here: `hookgate event ls --event \
             prefect-cloud.webhook.failed` lists those that failed"
        ));
        self.has_said_since = true;
    }

    /// Says, now and then, what it waits for.
    fn say_what_for(&mut self, on_their_way: Option<u64>) {
        if self.waiting.is_some_and(|said| said.elapsed() < SELDOM) {
            return;
        }
        let count = on_their_way.map(|count| format!(" ({count} events)")).unwrap_or_default();
        say(&format!(
            "waiting for the destination: as much is on its way to it as may be{count}; hookgate destination show \
             says how it is"
        ));
        self.waiting = Some(Instant::now());
    }

    /// Prints or posts events; how many were printed.
    async fn hand_on(&mut self, events: &[&RawValue]) -> Result<u64, Failure> {
        for event in events {
            // Only between its parts can a line end.
            let line = event.get().replace(['\n', '\r'], " ");
            match self.mode {
                Mode::Post => self.send(event.get(), line).await?,
                _ if self.is_watched => print_line(&inert_json(&line))?,
                _ => print_line(&line)?,
            }
        }
        Ok(if self.mode == Mode::Post { 0 } else { events.len() as u64 })
    }

    /// Posts an event, unless that is done with.
    async fn send(&mut self, event: &str, line: String) -> Result<(), Failure> {
        let id = post::id(event)?;
        let Some(post) = self.post.as_mut().filter(|_| self.place.wants(id)) else { return Ok(()) };
        let fate = post.send(line).await?;
        self.place.done(id, fate == Fate::Taken)?;
        if let Fate::Refused(status) = fate
            && self.place.refused().len() <= FAILURES_MAX
        {
            say(&format!("the event {id} is refused: {status}"));
        }
        self.show(self.place.tally());
        Ok(())
    }

    /// Says what fails, the first of it.
    fn tell(&mut self, failures: &[Value]) {
        for failure in failures.iter().take(FAILURES_MAX.saturating_sub(self.told)) {
            let line = failure["line"].as_u64().map(|line| format!(" (line {line})"));
            let [id, error] = ["id", "error"].map(|key| text(failure, key));
            say(&clean(&format!("{id} fails: {error}{}", line.unwrap_or_default())));
            self.told += 1;
        }
    }

    /// Warns of requests that are not kept as they came, the first of them.
    fn warn(&mut self, redactions: &[Value]) {
        for redaction in redactions.iter().take(FAILURES_MAX.saturating_sub(self.warned)) {
            let places = told_of(&json!({ "redacted": redaction }));
            let id = text(redaction, "id");
            say(&clean(&format!(
                "warning: {id} is rendered with [redacted] in place of: {places}"
            )));
            self.warned += 1;
        }
    }

    fn show(&mut self, tally: Tally) {
        let is_watched = stderr().is_terminal();
        let quiet = if is_watched { QUIET } else { SELDOM };
        if self.shown.elapsed() < quiet {
            return;
        }
        self.shown = Instant::now();
        let rate = self.walked as f64 / self.began.elapsed().as_secs_f64();
        let Tally { matched, emitted, failing, .. } = tally;
        let line = format!("{matched} requests, {emitted} events, {failing} fail, {rate:.0}/s");
        if is_watched {
            let _ = write!(stderr(), "\r{line}\x1b[K");
            let _ = stderr().flush();
        } else {
            say(&line);
        }
    }

    /// Waits until the next slice is due.
    async fn pace(&self) {
        let Some(rate) = self.rate else { return };
        let due = Duration::from_secs_f64(self.walked as f64 / rate);
        tokio::time::sleep(due.saturating_sub(self.began.elapsed())).await;
    }

    /// Keeps the place of a walk that ends early, and says how it goes on.
    pub(super) fn stop(&mut self, failure: &Failure) -> Result<(), Failure> {
        if !self.place.has_begun() {
            return Ok(());
        }
        self.place.keep()?;
        let Tally { emitted, refused, .. } = self.place.tally();
        if self.mode == Mode::Post {
            say(&format!("{emitted} events taken, {refused} refused, and none behind them sent"));
        } else if !matches!(failure, Failure::Interrupted) {
            return Ok(());
        }
        match self.place.file() {
            Some(file) => say(&format!("say the same again: {} has the place", file.display())),
            None if self.mode == Mode::Post => {
                say("said again, it begins at its first event; --resume FILE keeps the place");
            }
            None => say("what was emitted is not emitted twice; --resume FILE keeps the place"),
        }
        Ok(())
    }

    /// Says where those are that were refused.
    fn tell_refused(&self) {
        let count = self.place.refused().len();
        match self.place.file() {
            _ if count == 0 => {}
            Some(file) => {
                let more = self.place.tally().refused.saturating_sub(count as u64);
                let more = if more > 0 {
                    format!(" (it has no room for {more} more)")
                } else {
                    String::new()
                };
                say(&format!(
                    "{} has the {count} events that were refused{more}: say the same again to send those alone",
                    file.display()
                ));
            }
            None => say("--resume FILE keeps those that are refused, to send them alone"),
        }
    }

    /// Tells the sum.
    pub(super) fn end(&self, form: Form) -> Result<(), Failure> {
        self.tell_refused();
        let tally = self.place.tally();
        let Tally { matched, emitted, known, failing, gone, refused, undecided, .. } = tally;
        let Tally { no_webhook, redacted, .. } = tally;
        let (requests, events) = match self.mode {
            Mode::Count => {
                let would = matched.saturating_sub(known).saturating_sub(failing);
                (format!("{would} would be replayed"), None)
            }
            Mode::Emit => (format!("{matched} requests"), Some(format!("{emitted} events kept"))),
            Mode::Send => {
                let sent = format!("{emitted} events on their way to the destination");
                (format!("{matched} requests"), Some(sent))
            }
            Mode::Print => (format!("{matched} requests"), Some(format!("{emitted} events"))),
            Mode::Post => {
                let taken = format!("{emitted} events taken, {refused} refused");
                (format!("{matched} requests"), Some(taken))
            }
        };
        let mut parts = vec![requests];
        parts.extend(events);
        for (count, what) in [
            (known, if self.mode == Mode::Send { "lay there before" } else { "had their event" }),
            (failing, FAILING),
            (gone, GONE),
            (no_webhook, NO_WEBHOOK),
            (undecided, "left out, for --where fails on them"),
            (redacted, "redacted"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {what}"));
            }
        }
        let line = parts.join(", ");
        match (form.is_json(), self.mode) {
            // What is printed are events.
            (_, Mode::Print) => say(&line),
            (true, _) => print_line(&json!(tally).to_string())?,
            (false, _) => print_line(&line)?,
        }
        if self.behind > 0 {
            let behind = self.behind;
            return Err(Failure::Partly(format!(
                "the index is {behind} frames behind, the newest requests may be missing: say it again, no event is \
                 emitted twice"
            )));
        }
        if [failing, gone, no_webhook, refused, undecided].into_iter().any(|count| count > 0) {
            Err(Failure::PartlyTold)
        } else {
            Ok(())
        }
    }
}

/// What there is to do about an index that stands still.
fn late(behind: u64) -> String {
    format!(
        "the index of events is {behind} frames behind and comes no nearer; nothing was replayed. The gateway's \
         /readyz says why: make room on its disk, or stop it, delete feed.db* in its data folder and start it; then \
         say the same again"
    )
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;

    use super::*;
    use crate::cli::OutputForm;
    use crate::id::Secret;

    /// A gateway that says one after the other of `(durable, behind)`, and the last of them from then on.
    fn gateway(all: &'static [(Option<u64>, u64)]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        std::thread::spawn(move || {
            for (number, connection) in listener.incoming().enumerate() {
                let mut connection = connection.expect("a connection");
                let (durable, behind) = all[number.min(all.len() - 1)];
                let mut said = [0; 4096];
                let count = connection.read(&mut said).expect("a question");
                assert!(count > 0);
                let body = json!({
                    "matched": 0, "emitted": 0, "known": 0, "failing": 0, "gone": 0, "failures": [],
                    "behind": behind, "durable": durable, "after": null,
                });
                let body = body.to_string();
                let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json";
                let answer = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                connection.write_all(answer.as_bytes()).expect("an answer");
            }
        });
        base
    }

    fn remote(base: &str) -> Remote {
        Remote::new(base, &Secret::new("pnu_x")).expect("a remote")
    }

    fn course(remote: &Remote) -> Course<'_> {
        let place = Place::open(None, remote, json!({}), Value::Null).expect("a place");
        Course::new(remote, place, None, Mode::Count, None)
    }

    async fn replay(all: &'static [(Option<u64>, u64)]) -> Result<(), Failure> {
        let remote = remote(&gateway(all));
        let mut course = course(&remote);
        let walked = async {
            course.walk().await?;
            course.end(Form { output: OutputForm::Text })
        };
        tokio::time::timeout(STILL_MAX / 2, walked).await.expect("it does not wait for ever")
    }

    #[tokio::test]
    async fn what_comes_in_while_it_waits_is_not_waited_for() {
        // There are always five that it does not have.
        replay(&[(Some(100), 5), (Some(103), 5), (Some(105), 5)]).await.expect("a replay");
    }

    #[test]
    fn an_index_that_stands_still_comes_no_nearer() {
        let remote = remote("http://127.0.0.1:1");
        let mut course = course(&remote);
        let all = [(100, 5), (150, 55), (100_000, 99_905)];
        assert_eq!(all.map(|(durable, behind)| course.missing((Some(durable), behind))), [5; 3]);
        // Earlier releases tell no more than how far it is behind.
        assert_eq!(course.missing((None, 7)), 7);
    }
}
