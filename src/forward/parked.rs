//! What a destination does not take, kept aside so that nothing behind it waits. In: an event, the reason, the last
//! answer. Out: one line in a file of the lane's own, synced before the lane goes on; and the list for operators.
//! Bounded in number and bytes: a lane that reaches the bound waits instead. Nothing here is ever deleted by us.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::lines::{Lines, Style};
use super::{Destination, ForwardError};
use crate::id::Uuid;

/// The folder in the data folder.
const FOLDER: &str = "parked";
/// Most events that lie parked for one destination, and most bytes of them.
const EVENTS_MAX: usize = 10_000;
const BYTES_MAX: u64 = 256 << 20;
/// Longest line: an event of any size the spool takes.
const LINE_MAX_BYTES: u64 = 16 << 20;

const STYLE: Style = Style { opening: b"{\"parked\":\"", mode: 0o600 };

/// One event that was set aside.
#[derive(Debug, Serialize, Deserialize)]
pub struct Parked {
    /// When, in RFC 3339.
    pub parked: String,
    /// The destination's name.
    pub destination: String,
    /// Why, in a few words.
    pub reason: String,
    /// How often this event went out, alone or with others; 0: it never did.
    pub attempts: u32,
    /// The beginning of the last answer's body.
    pub answer: Option<String>,
    /// The event's id.
    pub id: Uuid,
    /// The event with its ten keys, as it would have been sent to a file.
    pub event: Box<RawValue>,
}

/// Why an event could not be parked.
#[derive(Debug, thiserror::Error)]
pub(super) enum ParkFault {
    #[error("{events} events of {bytes} bytes lie parked: look at them, then empty {path}")]
    Full { events: usize, bytes: u64, path: PathBuf },
    #[error("{path}: {why}")]
    File { path: PathBuf, why: io::Error },
}

/// The parked events of one lane.
#[derive(Debug)]
pub(super) struct Shelf {
    path: PathBuf,
    /// What lies there; an event that is refused again after a crash is not written twice.
    known: HashSet<Uuid>,
    bytes: u64,
    lines: Option<Lines>,
}

impl Shelf {
    /// Looks at what lies parked for a destination; makes the folder, but no file before there is something in it.
    pub(super) fn open(data: &Path, destination: &Destination) -> Result<Self, ForwardError> {
        let folder = data.join(FOLDER);
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|why| ForwardError::file(&folder, &why))?;
        let path = folder.join(format!("{}.ndjson", destination.key()));
        let mut shelf = Self { path, known: HashSet::new(), bytes: 0, lines: None };
        shelf.look().map_err(|why| ForwardError::file(&shelf.path, &why))?;
        Ok(shelf)
    }

    /// Forgets what lies parked for a destination that is gone.
    pub(super) fn remove(data: &Path, key: &str) -> Result<(), ForwardError> {
        let path = data.join(FOLDER).join(format!("{key}.ndjson"));
        match fs::remove_file(&path) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => {
                Err(ForwardError::file(&path, &why))
            }
            _ => Ok(()),
        }
    }

    fn look(&mut self) -> io::Result<()> {
        self.known.clear();
        self.bytes = 0;
        let Some(file) = open_if_there(&self.path)? else { return Ok(()) };
        self.bytes = file.metadata()?.len();
        read_lines(file, |parked| {
            if self.known.len() < EVENTS_MAX {
                self.known.insert(parked.id);
            }
        })
    }

    /// How many lie there.
    pub(super) fn count(&self) -> u64 {
        self.known.len() as u64
    }

    /// Keeps one, synced when this returns.
    pub(super) fn put(&mut self, parked: &Parked) -> Result<(), ParkFault> {
        let file = |why, path: &Path| ParkFault::File { path: path.to_owned(), why };
        if self.lines.as_ref().is_none_or(Lines::is_moved) {
            let lines = Lines::open(&self.path, STYLE).map_err(|why| file(why, &self.path))?;
            self.look().map_err(|why| file(why, &self.path))?;
            self.lines = Some(lines);
        }
        let Some(lines) = &mut self.lines else { return Ok(()) };
        if self.known.contains(&parked.id) {
            return Ok(());
        }
        let (events, bytes) = (self.known.len(), self.bytes);
        if events >= EVENTS_MAX || bytes >= BYTES_MAX {
            return Err(ParkFault::Full { events, bytes, path: self.path.clone() });
        }
        let line = serde_json::to_vec(parked).map_err(io::Error::from);
        let appended = line.and_then(|mut line| {
            line.push(b'\n');
            lines.append(&line).map(|()| line.len() as u64)
        });
        match appended {
            Ok(length) => {
                self.known.insert(parked.id);
                self.bytes += length;
                Ok(())
            }
            Err(why) => {
                self.lines = None;
                Err(file(why, &self.path))
            }
        }
    }
}

fn open_if_there(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(why),
    }
}

/// Every line that reads as a parked event; a torn one at the end does not.
fn read_lines(file: File, mut each: impl FnMut(Parked)) -> io::Result<()> {
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = reader.by_ref().take(LINE_MAX_BYTES).read_until(b'\n', &mut line)?;
        if length == 0 {
            return Ok(());
        }
        if let Ok(parked) = serde_json::from_slice(&line) {
            each(parked);
        }
    }
}

/// Everything that lies parked in a data folder, destination by destination, each in the order it was parked. Reads
/// only, so it may be asked while a gateway runs.
///
/// # Errors
/// When the folder cannot be read; one that is not there holds nothing.
pub fn parked(data: &Path) -> Result<Vec<Parked>, ForwardError> {
    let folder = data.join(FOLDER);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(why) => return Err(ForwardError::file(&folder, &why)),
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "ndjson"))
        .collect();
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        let read = open_if_there(&path).and_then(|file| {
            let keep = |parked| found.push(parked);
            file.map_or(Ok(()), |file| read_lines(file, keep))
        });
        read.map_err(|why| ForwardError::file(&path, &why))?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::tests::Folder;

    fn one(number: u128) -> Parked {
        Parked {
            parked: "2026-11-28T12:00:00Z".into(),
            destination: "stdout".into(),
            reason: "422".into(),
            attempts: 3,
            answer: Some("no \"thanks\"".into()),
            id: Uuid::from_u128(number),
            event: RawValue::from_string(format!("{{\"n\":{number}}}")).expect("JSON"),
        }
    }

    #[test]
    fn each_is_kept_once_and_listed_in_order() {
        let folder = Folder::new();
        let destination = Destination::parse("stdout").expect("a destination");
        assert_eq!(parked(folder.path()).expect("a list").len(), 0);
        let mut shelf = Shelf::open(folder.path(), &destination).expect("a shelf");
        for number in [1, 2, 1, 3] {
            shelf.put(&one(number)).expect("kept");
        }
        drop(shelf);
        let path = folder.path().join(FOLDER).join(format!("{}.ndjson", destination.key()));
        let torn = fs::read_to_string(&path).expect("a file") + "{\"parked\":\"20";
        fs::write(&path, torn).expect("a file");
        let mut shelf = Shelf::open(folder.path(), &destination).expect("a shelf");
        assert_eq!(shelf.count(), 3);
        shelf.put(&one(3)).expect("known");
        shelf.put(&one(4)).expect("kept");
        let list = parked(folder.path()).expect("a list");
        let seen: Vec<_> = list.iter().map(|parked| parked.id.as_u128()).collect();
        assert_eq!(seen, [1, 2, 3, 4]);
        assert_eq!(list[3].event.get(), "{\"n\":4}");
        fs::remove_file(&path).expect("emptied by the operator");
        shelf.put(&one(1)).expect("kept again");
        assert_eq!((shelf.count(), parked(folder.path()).expect("a list").len()), (1, 1));
    }

    #[test]
    fn a_full_shelf_takes_no_more() {
        let folder = Folder::new();
        let destination = Destination::parse("stdout").expect("a destination");
        let mut shelf = Shelf::open(folder.path(), &destination).expect("a shelf");
        shelf.put(&one(1)).expect("kept");
        shelf.bytes = BYTES_MAX;
        let fault = shelf.put(&one(2)).expect_err("full").to_string();
        assert!(fault.contains("268435456 bytes"), "{fault}");
        shelf.put(&one(1)).expect("lies there already");
    }
}
