//! How far a replay is. In: a question, and a file, if one is named. Out: the question to go on with, written down
//! after each slice, so that whatever ends the command, the next one goes on there. It never is past an event that the
//! address did not take. The file goes when all is done; as long as events are refused, it has them.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cli::access::Remote;
use crate::cli::output::{Failure, say};
use crate::id::Uuid;

/// Largest such file.
const FILE_MAX_BYTES: u64 = 1 << 20;
/// Most refused events that it has.
const REFUSED_MAX: usize = 10_000;
/// Between two times that it is written within one slice.
const PACE: Duration = Duration::from_secs(1);

/// What it came to so far.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(super) struct Tally {
    pub(super) matched: u64,
    pub(super) emitted: u64,
    pub(super) known: u64,
    pub(super) failing: u64,
    pub(super) gone: u64,
    /// Requests whose webhook is gone.
    #[serde(default)]
    pub(super) no_webhook: u64,
    /// Events that the address did not take.
    pub(super) refused: u64,
    /// Requests on which the condition fails.
    #[serde(default)]
    pub(super) undecided: u64,
    /// Requests that are not kept as they came.
    #[serde(default)]
    pub(super) redacted: u64,
}

/// What the file holds.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Written {
    workspace: String,
    question: Value,
    tally: Tally,
    /// When it begins and ends and to which address it goes, as that was typed; nothing in files of earlier releases.
    #[serde(default)]
    typed: Value,
    /// Events of the slice behind `after` that are done with.
    #[serde(default, skip_serializing_if = "HashSet::is_empty")]
    done: HashSet<Uuid>,
    /// Events that the address refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    refused: Vec<Uuid>,
    /// The only events that are meant, where others of the same question are done with.
    #[serde(default, skip_serializing_if = "HashSet::is_empty")]
    only: HashSet<Uuid>,
    /// Nothing is left but what was refused.
    #[serde(default)]
    is_walked: bool,
}

/// The question of a replay and where it stands.
pub(super) struct Place {
    file: Option<PathBuf>,
    written: Written,
    kept: Instant,
    /// The file as this command saw it last.
    seen: Option<Seen>,
}

/// What tells a file from one that another command put in its place.
type Seen = (u64, i64, i64);

impl Place {
    /// A replay from its start, or from where a file says it was.
    pub(super) fn open(
        file: Option<&Path>,
        remote: &Remote,
        question: Value,
        typed: Value,
    ) -> Result<Self, Failure> {
        let workspace = format!("{}{}", remote.base, remote.place);
        let fresh = Written { workspace, question, typed, ..Written::default() };
        let seen = file.and_then(look);
        let written = match file.filter(|file| file.exists()) {
            Some(file) => read(file, &fresh)?,
            None => fresh,
        };
        if let Some(file) = file {
            // What cannot be kept is told before anything is done.
            let beside = beside(file);
            fs::write(&beside, "").map_err(|fault| unwritable(file, &fault))?;
            let _ = fs::remove_file(beside);
        }
        let file = file.map(Path::to_owned);
        Ok(Self { file, written, kept: Instant::now(), seen })
    }

    pub(super) fn question(&self) -> &Value {
        &self.written.question
    }

    pub(super) fn tally(&self) -> Tally {
        self.written.tally
    }

    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The last request that was looked at.
    pub(super) fn after(&self) -> Option<&str> {
        self.written.question["after"].as_str()
    }

    /// Whether an event is to go out.
    pub(super) fn wants(&self, event: Uuid) -> bool {
        let Written { done, only, .. } = &self.written;
        !done.contains(&event) && (only.is_empty() || only.contains(&event))
    }

    /// An event is done with: taken, or refused for what it is.
    pub(super) fn done(&mut self, event: Uuid, is_taken: bool) -> Result<(), Failure> {
        let Written { tally, done, refused, .. } = &mut self.written;
        let count = if is_taken { &mut tally.emitted } else { &mut tally.refused };
        *count = count.saturating_add(1);
        done.insert(event);
        if !is_taken && refused.len() < REFUSED_MAX {
            refused.push(event);
        }
        if self.kept.elapsed() < PACE { Ok(()) } else { self.keep() }
    }

    /// Events that the address refused, as far as there is room.
    pub(super) fn refused(&self) -> &[Uuid] {
        &self.written.refused
    }

    /// Whether another one can go on from here.
    pub(super) fn has_begun(&self) -> bool {
        self.after().is_some() || !self.written.done.is_empty() || !self.written.only.is_empty()
    }

    /// Goes on to there.
    pub(super) fn step(&mut self, after: &Value, slice: &Tally) -> Result<(), Failure> {
        self.written.question["after"] = after.clone();
        self.written.tally.add(slice);
        self.written.done.clear();
        self.keep()
    }

    /// Writes it down.
    pub(super) fn keep(&mut self) -> Result<(), Failure> {
        self.kept = Instant::now();
        let Some(file) = &self.file else { return Ok(()) };
        if look(file) != self.seen {
            let name = file.display();
            return Err(Failure::NotLoaded(format!(
                "--resume {name}: another command has written or removed it meanwhile: give each its own file"
            )));
        }
        let text = serde_json::to_string_pretty(&self.written).unwrap_or_default();
        let beside = beside(file);
        let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, file));
        written.map_err(|fault| unwritable(file, &fault))?;
        self.seen = look(file);
        Ok(())
    }

    /// All is done, but for what was refused.
    pub(super) fn end(&mut self) -> Result<(), Failure> {
        if !self.written.refused.is_empty() {
            self.written.is_walked = true;
            return self.keep();
        }
        if let Some(file) = self.file.as_ref().filter(|file| look(file) == self.seen) {
            let _ = fs::remove_file(file);
        }
        Ok(())
    }
}

impl Tally {
    fn add(&mut self, slice: &Self) {
        for (sum, more) in [
            (&mut self.matched, slice.matched),
            (&mut self.emitted, slice.emitted),
            (&mut self.known, slice.known),
            (&mut self.failing, slice.failing),
            (&mut self.gone, slice.gone),
            (&mut self.no_webhook, slice.no_webhook),
            (&mut self.refused, slice.refused),
            (&mut self.undecided, slice.undecided),
            (&mut self.redacted, slice.redacted),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

/// Which file is there.
fn look(file: &Path) -> Option<Seen> {
    fs::metadata(file).ok().map(|there| (there.ino(), there.mtime(), there.mtime_nsec()))
}

/// Where it is written before it takes the place of the one there is.
fn beside(file: &Path) -> PathBuf {
    let mut beside = file.to_path_buf().into_os_string();
    beside.push(format!(".{}.new", std::process::id()));
    beside.into()
}

fn unwritable(file: &Path, fault: &io::Error) -> Failure {
    let name = file.display();
    Failure::NotLoaded(format!("--resume {name}: the place cannot be kept there: {fault}"))
}

fn read(file: &Path, fresh: &Written) -> Result<Written, Failure> {
    let name = file.display();
    let unreadable = |what: String| Failure::NotLoaded(format!("{name}: {what}"));
    let size = fs::metadata(file).map_err(|fault| unreadable(fault.to_string()))?.len();
    if size > FILE_MAX_BYTES {
        return Err(unreadable(format!("{size} bytes are no place of a replay")));
    }
    let text = fs::read_to_string(file).map_err(|fault| unreadable(fault.to_string()))?;
    let written: Result<Written, _> = serde_json::from_str(&text);
    let mut written =
        written.map_err(|fault| unreadable(format!("this is no place of a replay: {fault}")))?;
    let same = |key: &str| written.question[key] == fresh.question[key];
    let typed = |key: &str| written.typed[key] == fresh.typed[key];
    let is_typed = written.typed.is_null() || typed("since") && typed("until");
    if !is_typed {
        let [since, until] = ["since", "until"].map(|key| written.typed[key].as_str());
        let [since, until] = [since, until].map(|text| text.unwrap_or("nothing"));
        return Err(Failure::Usage(format!(
            "{name} is the place of a replay with --since {since} and --until {until}: say the same, or name \
             another file"
        )));
    }
    let is_same = written.workspace == fresh.workspace
        && ["webhook_id", "status", "where", "mode", "destination_id"].into_iter().all(same);
    // Which events an address took says nothing of another one.
    let is_same = is_same && (written.typed["to"].is_null() || typed("to"));
    if !is_same {
        return Err(Failure::Usage(format!(
            "{name} is the place of another replay: say what was said then, or name another file"
        )));
    }
    if written.is_walked {
        let count = written.refused.len();
        say(&format!("going on from {name}: the {count} events that were refused go once more"));
        written.question["after"] = Value::Null;
        let only = written.refused.into_iter().collect();
        return Ok(Written {
            only,
            refused: Vec::new(),
            is_walked: false,
            tally: Tally::default(),
            ..written
        });
    }
    let (matched, done) = (written.tally.matched, written.done.len());
    let more = if done > 0 { format!(" and {done} events more") } else { String::new() };
    say(&format!("going on from {name}, behind {matched} requests{more}"));
    Ok(written)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::id::Secret;

    #[test]
    fn two_commands_do_not_share_a_file() {
        let name = format!("hookgate-place-{}.json", std::process::id());
        let file = std::env::temp_dir().join(name);
        let remote = Remote::new("http://127.0.0.1:1", &Secret::new("k"));
        let remote = remote.expect("a remote");
        let open = || Place::open(Some(&file), &remote, json!({}), json!({})).expect("a place");
        let (mut one, mut other) = (open(), open());
        for after in ["1", "2"] {
            one.step(&json!(after), &Tally::default()).expect("kept");
        }
        let failure = other.step(&json!("9"), &Tally::default()).expect_err("another's");
        assert!(failure.to_string().contains("its own file"), "{failure}");
        other.end().expect("over");
        assert_eq!(open().after(), Some("2"), "still there");
        one.end().expect("over");
        assert!(!file.exists());
    }
}
