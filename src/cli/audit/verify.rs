//! `hookgate audit verify`. In: rows of a data folder or of an export, and heads kept elsewhere. Out: a line for each
//! chain that holds, or the first break. Keeps one row in memory.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use serde_json::json;

use super::line::{self, LINE_MAX_BYTES};
use super::{Form, Verify};
use crate::catalogue::chain::{Break, Entry, Hash, Summary, Walk};
use crate::cli::output::{Failure, print_line, say};
use crate::store::Audit;

pub(super) fn run(args: &Verify) -> Result<(), Failure> {
    let mut walker = Walker::new(&args.heads, |chain| print(chain, args.form));
    match (&args.file, &args.data) {
        (Some(path), _) if path.as_os_str() == "-" => {
            walker.lines(io::stdin().lock(), "stdin")?;
        }
        (Some(path), _) => {
            let name = path.display().to_string();
            let file = File::open(path)
                .map_err(|fault| Failure::NotLoaded(format!("cannot read {name}: {fault}")))?;
            walker.lines(BufReader::new(file), &name)?;
        }
        (None, data) => walker.folder(data.as_deref().unwrap_or(Path::new(".")))?,
    }
    walker.end()
}

/// Says what is known of a chain that holds.
fn print(chain: &Summary, form: Form) -> Result<(), Failure> {
    let Summary { account, from, events, first, last, head, whole } = chain;
    if form.is_json() {
        let told = json!({
            "account": account, "from": from, "events": events, "first": first.to_string(),
            "last": last.to_string(), "head": head.to_string(), "whole": whole,
        });
        return print_line(&told.to_string());
    }
    if *from > 1 {
        say(&format!(
            "hookgate: account {account}: the chain begins at number {from}, {first}; {} older events were ended",
            from - 1
        ));
    } else if !whole {
        say(&format!("hookgate: account {account}: events from before {first} are not chained"));
    }
    print_line(&format!("{account}  {events} events  {first} to {last}  head {head}"))
}

/// A walk that tells of every chain at its end, and looks for heads on its way.
pub(super) struct Walker<T> {
    walk: Walk,
    /// Heads that were not met yet.
    heads: HashSet<Hash>,
    tell: T,
    chains: u64,
}

impl<T: FnMut(&Summary) -> Result<(), Failure>> Walker<T> {
    pub(super) fn new(heads: &[Hash], tell: T) -> Self {
        let (walk, heads) = (Walk::default(), heads.iter().copied().collect());
        Self { walk, heads, tell, chains: 0 }
    }

    fn step(&mut self, entry: &Entry<'_>) -> Result<(), Stop> {
        let ended = self.walk.step(entry)?;
        self.heads.remove(&entry.hash());
        self.note(ended.as_ref()).map_err(Stop::Failure)
    }

    fn note(&mut self, ended: Option<&Summary>) -> Result<(), Failure> {
        let Some(chain) = ended else { return Ok(()) };
        self.chains += 1;
        (self.tell)(chain)
    }

    /// Walks along a data folder.
    pub(super) fn folder(&mut self, data: &Path) -> Result<(), Failure> {
        let audit = Audit::open(data)?;
        audit.each(None, |entry| self.step(entry)).map_err(|stop| match stop {
            Stop::Break(found) => Failure::No(found.to_string()),
            Stop::Failure(failure) => failure,
        })
    }

    /// Walks along an export.
    pub(super) fn lines(&mut self, mut from: impl BufRead, name: &str) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        for number in 1_u64.. {
            bytes.clear();
            let unreadable = |what: &dyn std::fmt::Display| {
                Failure::NotLoaded(format!("{name}, line {number}: {what}"))
            };
            let max = LINE_MAX_BYTES as u64 + 1;
            let read = from.by_ref().take(max).read_until(b'\n', &mut bytes);
            if read.map_err(|fault| unreadable(&fault))? == 0 {
                break;
            }
            if bytes.len() > LINE_MAX_BYTES {
                return Err(unreadable(&format!("more than {LINE_MAX_BYTES} bytes")));
            }
            let text = std::str::from_utf8(&bytes).map_err(|fault| unreadable(&fault))?;
            let entry = match line::read(text) {
                Ok(entry) => entry,
                // A break that was found before is the first, whatever comes now.
                Err(fault) => {
                    let walk = std::mem::take(&mut self.walk);
                    walk.end().map_err(|found| broken(name, &found))?;
                    return Err(unreadable(&fault));
                }
            };
            self.step(&entry).map_err(|stop| match stop {
                Stop::Break(found) => broken(name, &found),
                Stop::Failure(failure) => failure,
            })?;
        }
        let walk = std::mem::take(&mut self.walk);
        let ended = walk.end().map_err(|found| broken(name, &found))?;
        self.note(ended.as_ref())
    }

    /// Ends the walk: every head must have been met.
    pub(super) fn end(mut self) -> Result<(), Failure> {
        let walk = std::mem::take(&mut self.walk);
        let ended = walk.end().map_err(|found| Failure::No(found.to_string()))?;
        self.note(ended.as_ref())?;
        if let Some(head) = self.heads.iter().min_by_key(ToString::to_string) {
            return Err(Failure::No(format!(
                "the head {head} is in no chain: events were cut from the end, the chain was made \
                 anew, it is another gateway's, or older than what audit.retention_days leaves"
            )));
        }
        if self.chains == 0 {
            say("hookgate: there is no event yet");
        }
        Ok(())
    }
}

fn broken(name: &str, found: &Break) -> Failure {
    Failure::No(format!("{name}, line {}: {found}", found.row))
}

/// Why a walk ends before its rows do.
enum Stop {
    Break(Break),
    Failure(Failure),
}

impl From<Break> for Stop {
    fn from(found: Break) -> Self {
        Self::Break(found)
    }
}

impl From<crate::store::StoreError> for Stop {
    fn from(fault: crate::store::StoreError) -> Self {
        Self::Failure(fault.into())
    }
}
