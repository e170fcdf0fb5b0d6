//! `hookgate parked`: events that a destination did not take and that were set aside. In: a destination of a running
//! gateway, or a data folder. Out: each with its reason and the last answer; or word that they go out again, or are let
//! go of. A folder may be looked at beside a gateway, which then does what was said within a second.

mod folder;

use std::path::{Path, PathBuf};

use http::Method;
use serde_json::{Value, json};

use super::access::{Access, Remote};
use super::case::{Holds, read_input, read_text};
use super::client::runtime;
use super::listing::text;
use super::output::{Failure, clean, inert_json, one_line, print_line, say};
use super::{Form, destination, prompt};
use crate::clock::Clock;
use crate::filter::Filter;
use crate::id::Uuid;
use crate::shelf::{Asked, Called, Shelf};

/// Most characters of an answer in a line.
const ANSWER_MAX_CHARS: usize = 80;
/// Most times that the next thousand is let go of.
const ROUNDS_MAX: usize = 20;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List parked events, the oldest of each destination first
    #[command(after_help = "\
With -o json each line is an object that holds the whole event. A `refused` event lies there until it is retried or
discarded; one that is `behind` waits for it, to keep the order of its resource; one that is `due` goes out again: it
was retried, or a replay laid it there.

Examples:
  hookgate parked ls shop
  hookgate parked ls shop --event 'shop.order.*'
  hookgate parked ls --data ./data -o json")]
    Ls {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        events: Events,
        #[command(flatten)]
        form: Form,
    },
    /// Show a parked event
    #[command(after_help = "\
Example:
  hookgate parked show shop --id 01993c3e-7d1b-7a9c-8000-3f0c6a1e0001")]
    Show {
        #[command(flatten)]
        place: Place,
        /// The event's id
        #[arg(long, value_name = "ID")]
        id: Uuid,
    },
    /// Send parked events again, in order, and what waits behind them
    #[command(after_help = "\
What waits behind an earlier event of its resource goes once that went, or was discarded: by itself it cannot be sent
again, as nothing overtakes, unless the destination's --ordering is none.

Examples:
  hookgate parked retry shop --all
  hookgate parked retry shop --reason 'answered 422'
  hookgate parked retry --data ./data --all")]
    Retry {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        which: Which,
    },
    /// Let go of parked events for ever; what waits behind them is sent
    #[command(after_help = "\
Asks first, unless --yes is said. It is audited either way; with --data the ids are printed, too, and a gateway that
runs there logs that something was changed. What is being sent just then stays: it may have arrived.

Example:
  hookgate parked discard shop --id 01993c3e-7d1b-7a9c-8000-3f0c6a1e0001 --yes")]
    Discard {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        which: Which,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}

/// Where they lie.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// A destination's name or id, in a running gateway
    #[arg(value_name = "NAME|ID", required_unless_present = "data")]
    destination: Option<String>,
    /// Data folder, with all destinations: those of the operator, too
    #[arg(long, env = "HOOKGATE_SERVER__DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    access: Access,
}

/// Which of them, by what they say.
#[derive(Debug, clap::Args)]
pub(super) struct Events {
    /// Those of this name, or that begin so: `shop.*`; may be given again
    #[arg(long, value_name = "NAME")]
    event: Vec<String>,
    /// Those that this file's filter matches, the JSON that `events/filter` takes; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "event")]
    filter: Option<PathBuf>,
}

impl Events {
    /// The filter, if one is said.
    fn read(&self) -> Result<Option<Value>, Failure> {
        let Some(path) = &self.filter else {
            let named = json!({ "event": { "name": self.event } });
            return Ok((!self.event.is_empty()).then_some(named));
        };
        let is_input = path.as_os_str() == "-";
        let text =
            if is_input { read_input(Holds::Filter) } else { read_text(path, Holds::Filter) };
        let text = text.map_err(|fault| Failure::NotLoaded(fault.to_string()))?;
        let read = serde_json::from_str(&text);
        read.map(Some).map_err(|fault| Failure::NotLoaded(format!("{}: {fault}", path.display())))
    }
}

/// What is asked for: of a folder, and of a gateway.
#[derive(Debug, Default)]
struct Wanted {
    asked: Asked,
    filter: Option<Value>,
}

impl Wanted {
    fn new(asked: Asked, filter: Option<Value>) -> Result<Self, Failure> {
        let given = filter.as_ref().unwrap_or(&Value::Null);
        let read = Filter::of_events(given, Clock::System.now());
        let read = read.map_err(|why| Failure::NotLoaded(format!("the filter: {why}")))?;
        Ok(Self { asked: Asked { filter: read, ..asked }, filter })
    }

    fn body(&self) -> Value {
        let ids = self.asked.ids.as_ref();
        let ids = ids.map(|ids| ids.iter().map(Uuid::to_string).collect::<Vec<_>>());
        json!({ "ids": ids, "reason": self.asked.reason, "filter": self.filter })
    }
}

/// Which of them.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// This event; may be given again
    #[arg(long, value_name = "ID", conflicts_with = "all")]
    id: Vec<Uuid>,
    /// Those whose reason has this in it
    #[arg(long, value_name = "TEXT", conflicts_with = "all")]
    reason: Option<String>,
    #[command(flatten)]
    events: Events,
    /// All of them
    #[arg(long, conflicts_with_all = ["event", "filter"])]
    all: bool,
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Ls { place, events, form } => {
            let all = place.list(&Wanted::new(Asked::default(), events.read()?)?)?;
            let is_json = form.is_json();
            let text = |one: &Value| if is_json { inert_json(&one.to_string()) } else { line(one) };
            all.iter().try_for_each(|one| print_line(&text(one)))
        }
        Command::Show { place, id } => {
            let asked = Asked { ids: Some(vec![*id]), ..Asked::default() };
            let all = place.list(&Wanted::new(asked, None)?)?;
            if all.is_empty() {
                return Err(Failure::NotFound(format!("no event {id} lies parked there")));
            }
            all.iter().try_for_each(|one| print_line(&inert_json(&format!("{one:#}"))))
        }
        Command::Retry { place, which } => {
            let called = place.retry(&which.wanted()?, which.all)?;
            which.tell_called(&called)
        }
        Command::Discard { place, which, yes } => {
            let wanted = which.wanted()?;
            let there = place.list(&wanted)?.len();
            which.found(there == 0)?;
            prompt::confirm(&format!("let go of {there} parked events for ever"), *yes)?;
            let (count, on_their_way) = place.discard(&wanted, which.all)?;
            if on_their_way > 0 {
                say(&format!("{on_their_way} more are being sent just now, and stay"));
            }
            print_line(&format!("{count} discarded"))
        }
    }
}

impl Which {
    /// Who names events is told when none of them is there; whoever asks for a kind of them may find none.
    fn found(&self, is_none: bool) -> Result<(), Failure> {
        let ids: Vec<_> = self.id.iter().filter(|_| is_none).map(Uuid::to_string).collect();
        match &ids[..] {
            [] => Ok(()),
            ids => Err(Failure::NotFound(format!("no event {} lies parked there", ids.join(", ")))),
        }
    }

    /// Says what goes out again, and what does not.
    fn tell_called(&self, called: &Called) -> Result<(), Failure> {
        let Called { count, on_their_way, waiting, behind } = called;
        self.found(count + on_their_way + waiting == 0)?;
        if *on_their_way > 0 {
            say(&format!("{on_their_way} more are on their way already"));
        }
        let behind: Vec<String> = behind.iter().map(Uuid::to_string).collect();
        let waits = format!(
            "{waiting} still wait behind an earlier event of their resource that was refused ({}): retry or discard \
             that",
            behind.join(", ")
        );
        match (count, waiting) {
            (0, 1..) => return Err(Failure::No(waits)),
            (_, 0) => {}
            _ => say(&waits),
        }
        print_line(&format!("{count} go out again"))
    }

    fn wanted(&self) -> Result<Wanted, Failure> {
        let ids = Some(self.id.clone()).filter(|ids| !ids.is_empty());
        let filter = self.events.read()?;
        if ids.is_none() && self.reason.is_none() && filter.is_none() && !self.all {
            let what = "say which: --id, --reason, --event, --filter, or --all";
            return Err(Failure::Usage(what.to_owned()));
        }
        Wanted::new(Asked { ids, reason: self.reason.clone(), ..Asked::default() }, filter)
    }
}

impl Place {
    /// What lies there of what is asked for.
    fn list(&self, wanted: &Wanted) -> Result<Vec<Value>, Failure> {
        if let (None, Some(data)) = (&self.destination, &self.data) {
            let all = Shelf::look(existing(data)?, &wanted.asked)?;
            let told = |one: &crate::shelf::Lying| serde_json::to_value(one.describe());
            return Ok(all.iter().filter_map(|one| told(one).ok()).collect());
        }
        runtime()?.block_on(async {
            let (remote, found) = self.find().await?;
            remote.rows(&format!("{}/filter", path(&found)), &wanted.body()).await
        })
    }

    /// Has parked events sent again; what was called up.
    fn retry(&self, wanted: &Wanted, all: bool) -> Result<Called, Failure> {
        if let (None, Some(data)) = (&self.destination, &self.data) {
            return runtime()?.block_on(folder::retry(existing(data)?, &wanted.asked));
        }
        runtime()?.block_on(async {
            let (remote, found) = self.find().await?;
            let mut body = wanted.body();
            body["all"] = all.into();
            let path = format!("{}/retry", path(&found));
            let done = remote.call(Method::POST, &path, Some(&body)).await?;
            let count = |name: &str| done[name].as_u64().unwrap_or(0);
            let behind = done["behind"].as_array().into_iter().flatten();
            let behind = behind.filter_map(|id| Uuid::parse_str(id.as_str()?).ok()).collect();
            let (on_their_way, waiting) = (count("on_their_way"), count("waiting"));
            let called = Called { count: count("count"), on_their_way, waiting, behind };
            if called.count > 0 && found["hold"] == true {
                let name = text(&found, "name");
                say(&clean(&format!("{name} is paused: they go once it is resumed")));
            }
            Ok(called)
        })
    }

    /// Lets go of parked events; how many, and how many more are on their way just now.
    fn discard(&self, wanted: &Wanted, all: bool) -> Result<(u64, u64), Failure> {
        if let (None, Some(data)) = (&self.destination, &self.data) {
            return runtime()?.block_on(folder::discard(existing(data)?, &wanted.asked));
        }
        runtime()?.block_on(async {
            let (remote, found) = self.find().await?;
            let path = path(&found);
            let mut body = wanted.body();
            body["all"] = all.into();
            let (mut gone, mut on_their_way) = (0, 0);
            for _ in 0..ROUNDS_MAX {
                let path = format!("{path}/discard");
                let done = remote.call(Method::POST, &path, Some(&body)).await?;
                let count = done["count"].as_u64().unwrap_or(0);
                on_their_way = done["on_their_way"].as_u64().unwrap_or(0);
                gone += count;
                if count == 0 {
                    break;
                }
            }
            Ok((gone, on_their_way))
        })
    }

    /// The gateway, and the destination.
    async fn find(&self) -> Result<(Remote, Value), Failure> {
        let remote = self.access.workspace().await?;
        let wanted = self.destination.as_deref().unwrap_or_default();
        let found = destination::find(&remote, wanted).await?;
        Ok((remote, found))
    }
}

/// Of what lies parked for a destination.
fn path(destination: &Value) -> String {
    format!("destinations/{}/parked", text(destination, "id"))
}

fn existing(data: &Path) -> Result<&Path, Failure> {
    if data.is_dir() {
        return Ok(data);
    }
    Err(Failure::NotFound(format!("{}: no such folder", data.display())))
}

fn line(one: &Value) -> String {
    let answer: String = text(one, "answer").chars().take(ANSWER_MAX_CHARS).collect();
    let [parked, id, destination, standing, reason] =
        ["parked", "id", "destination", "standing", "reason"].map(|name| text(one, name));
    let attempts = &one["attempts"];
    one_line(&format!(
        "{parked}  {id}  {destination}  {standing}  {attempts} attempts  {reason}  {answer}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_moves_no_terminal() {
        let one = json!({ "parked": "now", "id": "1", "destination": "a\nfake \u{1b}[31m", "attempts": 1,
            "standing": "refused", "reason": "answered 422", "answer": "no\r\n\u{9b}2J" });
        let line = line(&one);
        assert!(!line.contains(char::is_control) && line.contains("1 attempts"), "{line}");
    }
}
