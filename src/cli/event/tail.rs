//! `hookgate event tail`: events as they happen. In: what is asked for. Out: a line for each, once, whatever happens to
//! the connection: it is made again, from the newest event on that was seen, and what comes twice is dropped.

use std::collections::{HashSet, VecDeque};
use std::io::IsTerminal as _;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::line::{Seen, flat};
use super::wanted::Wanted;
use crate::cli::access::{Access, Remote};
use crate::cli::listing::Way;
use crate::cli::output::{Failure, one_line, print_line, say};
use crate::cli::socket::{Ended, Socket};
use crate::clock::{Clock, Time};

/// How far before the newest event a new connection begins: clocks differ, and events come out of order.
const OVERLAP_SECONDS: i64 = 60;
/// How far ahead the end of the question lies; none would be now, for some gateways.
const AHEAD_SECONDS: i64 = 365 * 86_400;
/// Ids that are remembered, to know what comes twice.
const IDS_MAX: usize = 100_000;
/// First and longest pause before a connection is tried again.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// For the gateway to answer who is asking.
const WELCOME: Duration = Duration::from_secs(10);

pub(super) const EXAMPLE: &str = "\
Goes on until Ctrl-C, or --count events. A gateway that restarts, or is away for a while, costs no event: the
connection is made again and what was missed is asked for. Lines of JSON, when the output is no terminal.

Exit codes: 0 so many events came, 1 the filter is refused, 4 the key is none, 6 nobody answers at the start.

Examples:
  hookgate event tail --event 'github.*'
  hookgate event tail --whole-account --since 10m -o ndjson
  hookgate event tail --event deploy.finished --count 1";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    wanted: Wanted,
    /// End after so many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// `table` for people, `ndjson` for a line of JSON each; by whether the output is a terminal
    #[arg(short, long, value_enum)]
    output: Option<Way>,
    #[command(flatten)]
    access: Access,
}

/// Why a connection does not go on.
enum End {
    /// As many events came as were wanted.
    Enough,
    /// It may be tried again.
    Lost(String),
    /// It would end the same way again.
    Final(Failure),
}

impl From<Ended> for End {
    fn from(ended: Ended) -> Self {
        match ended {
            // What is said in these two ways is about the question, not the connection.
            Ended::Closed { code: 1008, reason } => Self::Final(Failure::Denied(reason)),
            Ended::Closed { code: 1002 | 1007, reason } => Self::Final(Failure::No(reason)),
            ended => Self::Lost(ended.to_string()),
        }
    }
}

/// A frame of the gateway.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    reason: Option<String>,
}

pub(super) async fn run(args: &Args) -> Result<(), Failure> {
    let remote = args.wanted.open(&args.access).await?;
    let now = Clock::System.now();
    let mut tail = Tail {
        args,
        filter: args.wanted.filter().into(),
        seen: Window::new(args.wanted.since.map_or(now, |since| since.before(now))),
        shown: 0,
        is_table: match args.output {
            Some(way) => way == Way::Table,
            None => std::io::stdout().is_terminal(),
        },
    };
    let mut socket = Some(open(&remote).await?);
    let mut pause = PAUSE_MIN;
    loop {
        let opened = match socket.take() {
            Some(open) => Ok(open),
            None => open(&remote).await,
        };
        let end = match opened {
            Ok(mut open) => tail.follow(&remote, &mut open, &mut pause).await,
            Err(failure @ (Failure::Unreachable(_) | Failure::Late(_) | Failure::No(_))) => {
                Err(End::Lost(failure.to_string()))
            }
            Err(failure) => Err(End::Final(failure)),
        };
        match end {
            Ok(()) | Err(End::Enough) => return Ok(()),
            Err(End::Final(failure)) => return Err(failure),
            Err(End::Lost(why)) => {
                // Half of it by chance: many that lost one gateway do not come back at once.
                let chance = fastrand::f64().mul_add(0.5, 0.5);
                let wait = pause.mul_f64(chance);
                say(&format!("{why}; again in {:.1} s", wait.as_secs_f64()));
                tokio::time::sleep(wait).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

async fn open(remote: &Remote) -> Result<Socket, Failure> {
    remote.socket("events/out", "prefect").await
}

/// What is followed, and what came of it so far.
struct Tail<'a> {
    args: &'a Args,
    filter: Value,
    seen: Window,
    shown: u64,
    is_table: bool,
}

impl Tail<'_> {
    /// Prints what comes over one connection.
    async fn follow(
        &mut self,
        remote: &Remote,
        socket: &mut Socket,
        pause: &mut Duration,
    ) -> Result<(), End> {
        let auth = json!({ "type": "auth", "token": remote.key().expose() });
        socket.say(auth.to_string()).await?;
        let welcome = tokio::time::timeout(WELCOME, socket.next()).await;
        let late = |_| End::Lost("no answer to the key".to_owned());
        let welcome = welcome.map_err(late)??;
        let frame: Option<Frame<'_>> = serde_json::from_str(&welcome).ok();
        match frame {
            Some(frame) if frame.kind == "auth_success" => {}
            frame => {
                let reason = frame.and_then(|frame| frame.reason);
                let reason = reason.unwrap_or_else(|| "the key is not taken".to_owned());
                return Err(End::Final(Failure::Denied(reason)));
            }
        }
        let mut filter = self.filter.clone();
        let until = Clock::System.now().plus_seconds(AHEAD_SECONDS);
        filter["occurred"] = json!({
            "since": self.seen.resume().to_string(),
            "until": until.to_string(),
        });
        filter["order"] = "ASC".into();
        socket.say(json!({ "type": "filter", "filter": filter }).to_string()).await?;
        loop {
            let text = socket.next().await?;
            // What is asked is understood: the next break begins with a short pause again.
            *pause = PAUSE_MIN;
            let frame: Option<Frame<'_>> = serde_json::from_str(&text).ok();
            if let Some(event) = frame.and_then(|frame| frame.event) {
                self.show(event)?;
            }
        }
    }

    /// Prints an event that was not seen before.
    fn show(&mut self, event: &RawValue) -> Result<(), End> {
        let Some(seen) = Seen::of(event) else { return Ok(()) };
        if !self.seen.is_new(&seen.id, &seen.occurred) {
            return Ok(());
        }
        let line = if self.is_table { one_line(&seen.line()) } else { flat(event) };
        print_line(&line).map_err(End::Final)?;
        self.shown += 1;
        if Some(self.shown) == self.args.count { Err(End::Enough) } else { Ok(()) }
    }
}

/// The newest events that were seen.
struct Window {
    newest: Time,
    is_begun: bool,
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl Window {
    fn new(since: Time) -> Self {
        Self { newest: since, is_begun: false, ids: HashSet::new(), order: VecDeque::new() }
    }

    /// From when on events are asked for.
    fn resume(&self) -> Time {
        if self.is_begun { self.newest.plus_seconds(-OVERLAP_SECONDS) } else { self.newest }
    }

    /// Whether an event comes for the first time.
    fn is_new(&mut self, id: &str, occurred: &str) -> bool {
        if !self.ids.insert(id.to_owned()) {
            return false;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > IDS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        let occurred = Time::parse(occurred);
        self.newest = occurred.map_or(self.newest, |occurred| occurred.max(self.newest));
        self.is_begun = true;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_twice_is_dropped_and_a_new_connection_overlaps() {
        let since = Time::parse("2026-11-23T22:00:00Z").expect("a moment");
        let mut window = Window::new(since);
        assert_eq!(window.resume(), since);
        assert!(window.is_new("a", "2026-11-23T22:05:00Z"));
        assert!(window.is_new("b", "2026-11-23T22:04:00Z"), "out of order");
        assert!(!window.is_new("a", "2026-11-23T22:05:00Z"));
        assert_eq!(Some(window.resume()), Time::parse("2026-11-23T22:04:00Z"));
        for number in 0..IDS_MAX {
            window.is_new(&number.to_string(), "");
        }
        assert_eq!((window.ids.len(), window.order.len()), (IDS_MAX, IDS_MAX));
        assert!(window.is_new("a", ""), "the oldest is forgotten");
    }

    #[test]
    fn a_connection_is_made_again_unless_it_would_end_the_same_way() {
        let closed = |code| Ended::Closed { code, reason: "why".to_owned() };
        for code in [1000, 1001, 1011, 1012, 1013] {
            assert!(matches!(End::from(closed(code)), End::Lost(_)), "{code}");
        }
        assert!(
            matches!(End::from(closed(1008)), End::Final(Failure::Denied(why)) if why == "why")
        );
        assert!(matches!(End::from(closed(1002)), End::Final(Failure::No(why)) if why == "why"));
        assert!(matches!(End::from(Ended::Lost("x".to_owned())), End::Lost(_)));
    }
}
