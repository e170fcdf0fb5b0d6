//! How far a replay is. In: a question, and a file, if one is named. Out: the question to go on with, written down
//! after each slice, so that whatever ends the command, the next one goes on there. The file goes when all is done.

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cli::access::Remote;
use crate::cli::output::{Failure, say};

/// Largest such file.
const FILE_MAX_BYTES: u64 = 64 << 10;

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
#[derive(Debug, Deserialize, Serialize)]
struct Written {
    workspace: String,
    question: Value,
    tally: Tally,
    /// When it begins and ends, as that was typed; nothing in files of earlier releases.
    #[serde(default)]
    typed: Value,
}

/// The question of a replay and where it stands.
pub(super) struct Place {
    file: Option<PathBuf>,
    written: Written,
}

impl Place {
    /// A replay from its start, or from where a file says it was.
    pub(super) fn open(
        file: Option<&Path>,
        remote: &Remote,
        question: Value,
        typed: Value,
    ) -> Result<Self, Failure> {
        let workspace = format!("{}{}", remote.base, remote.place);
        let fresh = Written { workspace, question, tally: Tally::default(), typed };
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
        Ok(Self { file: file.map(Path::to_owned), written })
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

    /// Goes on to there.
    pub(super) fn step(&mut self, after: &Value, tally: Tally) -> Result<(), Failure> {
        self.written.question["after"] = after.clone();
        self.written.tally = tally;
        let Some(file) = &self.file else { return Ok(()) };
        let text = serde_json::to_string_pretty(&self.written).unwrap_or_default();
        let beside = beside(file);
        let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, file));
        written.map_err(|fault| unwritable(file, &fault))
    }

    /// All is done.
    pub(super) fn end(&self) {
        if let Some(file) = &self.file {
            let _ = fs::remove_file(file);
        }
    }
}

/// Where it is written before it takes the place of the one there is.
fn beside(file: &Path) -> PathBuf {
    let mut beside = file.to_path_buf().into_os_string();
    beside.push(".new");
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
    let written =
        written.map_err(|fault| unreadable(format!("this is no place of a replay: {fault}")))?;
    let same = |key: &str| written.question[key] == fresh.question[key];
    let is_typed = written.typed.is_null() || written.typed == fresh.typed;
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
    if !is_same {
        return Err(Failure::Usage(format!(
            "{name} is the place of another replay: say what was said then, or name another file"
        )));
    }
    let matched = written.tally.matched;
    say(&format!("going on from {name}, behind {matched} requests"));
    Ok(written)
}
