//! A file of whole lines. In: a path, and lines to append. Out: the lines on stable storage, and the ids that stand at
//! the file's end. A torn last line is cut on opening, if it is one of ours. Never touches what somebody else wrote.

use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::clock::Time;
use crate::event::Event;
use crate::id::Uuid;
use crate::spool::Kept;

/// Longest torn line that is cut; a longer one is none of ours.
const TORN_MAX_BYTES: u64 = 16 << 20;
const CHUNK_BYTES: u64 = 64 << 10;

/// What files of ours look like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// How each line begins.
    pub(super) opening: &'static [u8],
    /// Permissions of a new file, before the umask.
    pub(super) mode: u32,
}

/// A file that lines are appended to.
#[derive(Debug)]
pub(super) struct Lines {
    file: File,
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
    /// A pipe or a device has no torn line and no stable storage.
    is_regular: bool,
    /// Bytes of a torn line that were cut.
    pub(super) cut_bytes: u64,
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

impl Lines {
    /// Opens the file, or makes it in a folder that is there; cuts a torn last line.
    pub(super) fn open(path: &Path, style: Style) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(style.mode);
        let file = options.open(path)?;
        let metadata = file.metadata()?;
        let is_regular = metadata.is_file();
        let identity = identity(&metadata);
        let mut lines = Self { file, path: path.to_owned(), identity, is_regular, cut_bytes: 0 };
        if is_regular && metadata.len() == 0 {
            lines.sync_folder()?;
        } else if is_regular {
            lines.cut_torn(metadata.len(), style.opening)?;
        }
        Ok(lines)
    }

    /// A new file must still be there after a loss of power.
    fn sync_folder(&self) -> io::Result<()> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }

    fn cut_torn(&mut self, length: u64, opening: &[u8]) -> io::Result<()> {
        let start = self.line_start(length)?;
        if start == length {
            return Ok(());
        }
        let mut head = vec![0; opening.len().min((length - start) as usize)];
        self.file.read_exact_at(&mut head, start)?;
        if !opening.starts_with(&head) {
            let what = "its last line has no end and is none of ours: end it, or name another file";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        self.file.set_len(start)?;
        self.file.sync_data()?;
        self.cut_bytes = length - start;
        Ok(())
    }

    /// Where the line that ends at `end` starts: behind the last line break.
    fn line_start(&self, end: u64) -> io::Result<u64> {
        let mut at = end;
        let mut chunk = vec![0; CHUNK_BYTES as usize];
        while at > 0 {
            if end - at > TORN_MAX_BYTES {
                let what = format!("its last line has no end within {TORN_MAX_BYTES} bytes");
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            let from = at.saturating_sub(CHUNK_BYTES);
            let bytes = &mut chunk[..(at - from) as usize];
            self.file.read_exact_at(bytes, from)?;
            if let Some(place) = memchr::memrchr(b'\n', bytes) {
                return Ok(from + place as u64 + 1);
            }
            at = from;
        }
        Ok(0)
    }

    /// How long it is.
    pub(super) fn bytes(&self) -> io::Result<u64> {
        self.file.metadata().map(|metadata| metadata.len())
    }

    /// When it was made; where nobody remembers that, when it was written to last.
    pub(super) fn made(&self) -> io::Result<Time> {
        let metadata = self.file.metadata()?;
        let made = metadata.created().or_else(|_| metadata.modified())?;
        let since = made.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Ok(Time::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX)))
    }

    pub(super) fn is_regular(&self) -> bool {
        self.is_regular
    }

    /// Appends whole lines and waits until they are on stable storage. After an error the file must be opened anew.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.file.write_all(lines)?;
        if self.is_regular { self.file.sync_data() } else { Ok(()) }
    }

    /// Whether the path leads elsewhere by now: the file was renamed or removed.
    pub(super) fn is_moved(&self) -> bool {
        self.is_regular
            && std::fs::metadata(&self.path).map_or(true, |now| identity(&now) != self.identity)
    }

    /// The events in the last whole lines, as far as `bytes_max` goes.
    pub(super) fn tail(&self, bytes_max: u64) -> io::Result<Vec<Mark>> {
        if !self.is_regular {
            return Ok(Vec::new());
        }
        marks_in(&self.file, bytes_max)
    }
}

/// The events in the last whole lines of a file that ended, as far as the bytes go, and how many it has.
pub(super) fn tail_of(path: &Path, bytes_max: u64) -> io::Result<(Vec<Mark>, u64)> {
    let file = File::open(path)?;
    Ok((marks_in(&file, bytes_max)?, file.metadata()?.len()))
}

fn marks_in(file: &File, bytes_max: u64) -> io::Result<Vec<Mark>> {
    let length = file.metadata()?.len();
    let from = length.saturating_sub(bytes_max);
    let mut marks = Vec::new();
    let mut text = vec![0; (length - from) as usize];
    file.read_exact_at(&mut text, from)?;
    let mut at = 0;
    for end in memchr::memchr_iter(b'\n', &text) {
        marks.extend(Mark::find(&text[at..end]));
        at = end + 1;
    }
    Ok(marks)
}

/// What an event is known by where it stands: its place and its id. Two tenants may use one id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Mark {
    /// Its workspace, else its account.
    place: Uuid,
    id: Uuid,
}

impl Mark {
    pub(super) fn new(kept: &Kept, event: &Event) -> Self {
        Self { place: kept.workspace.unwrap_or(kept.account), id: event.id }
    }

    /// The mark of an event as it was written out. Nothing that a sender wrote stands behind the id, so the last places
    /// that look like one are it.
    pub(super) fn find(text: &[u8]) -> Option<Self> {
        let after = |key: &[u8]| {
            let start = memchr::memmem::rfind(text, key)? + key.len();
            Uuid::try_parse_ascii(text.get(start..start + 36)?).ok()
        };
        let place = after(b",\"workspace\":\"").filter(|_| text.ends_with(b"\"}"));
        let place = place.or_else(|| after(b",\"account\":\""))?;
        Some(Self { place, id: after(b",\"id\":\"")? })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.place, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Time;
    use crate::event::write_received;
    use crate::forward::tests::Folder;

    const STYLE: Style = Style { opening: b"{\"occurred\":\"", mode: 0o640 };

    fn line(number: u128) -> String {
        let (id, account) = (Uuid::from_u128(number), Uuid::from_u128(1));
        let workspace = number.is_multiple_of(2).then(|| Uuid::from_u128(2));
        let json = format!("{{\"occurred\":\"x\",\"payload\":{{\"id\":\"no\"}},\"id\":\"{id}\"}}");
        let mut line = Vec::new();
        write_received(&mut line, json.as_bytes(), Time::default(), account, workspace);
        String::from_utf8(line).expect("text") + "\n"
    }

    fn mark(number: u128) -> Mark {
        let place = Uuid::from_u128(if number.is_multiple_of(2) { 2 } else { 1 });
        Mark { place, id: Uuid::from_u128(number) }
    }

    #[test]
    fn a_torn_line_is_cut_wherever_it_is_torn() {
        let folder = Folder::new();
        let path = folder.path().join("out");
        let (whole, torn) = (line(1) + &line(2), line(3));
        for cut in 0..torn.len() {
            for before in ["", whole.as_str()] {
                std::fs::write(&path, format!("{before}{}", &torn[..cut])).expect("a file");
                let mut lines = Lines::open(&path, STYLE).expect("a file");
                assert_eq!(lines.cut_bytes, cut as u64);
                lines.append(torn.as_bytes()).expect("an append");
                let text = std::fs::read_to_string(&path).expect("a file");
                assert_eq!(text, format!("{before}{torn}"));
            }
        }
        let long = format!("{whole}{{\"occurred\":\"{}", "x".repeat(200_000));
        std::fs::write(&path, &long).expect("a file");
        assert_eq!(Lines::open(&path, STYLE).expect("a file").cut_bytes, 200_013);
    }

    #[test]
    fn what_somebody_else_wrote_is_left_alone() {
        let folder = Folder::new();
        let path = folder.path().join("out");
        for text in ["root:x:0:0", "{\"occurred\":\"x\"}\n[1,2", "{\"o", "x"] {
            std::fs::write(&path, text).expect("a file");
            let opened = Lines::open(&path, STYLE);
            assert_eq!(opened.is_err(), text != "{\"o", "{text}");
            let now = std::fs::read_to_string(&path).expect("a file");
            assert!(now == text || text == "{\"o");
        }
        assert!(Lines::open(&folder.path().join("no/out"), STYLE).is_err(), "no folder is made");
        assert!(Lines::open(Path::new("/dev/null"), STYLE).expect("a device").append(b"x").is_ok());
    }

    #[test]
    fn the_last_events_are_found_and_a_moved_file_is_noticed() {
        let folder = Folder::new();
        let path = folder.path().join("out");
        let mut lines = Lines::open(&path, STYLE).expect("a file");
        for number in 1..=100 {
            lines.append(line(number).as_bytes()).expect("an append");
        }
        let all = lines.tail(1 << 20).expect("marks");
        assert_eq!(all, (1..=100).map(mark).collect::<Vec<_>>());
        let some = lines.tail(3 * line(2).len() as u64 + 1).expect("marks");
        assert_eq!(some, (98..=100).map(mark).collect::<Vec<_>>());
        assert!(!lines.is_moved());
        std::fs::rename(&path, folder.path().join("out.1")).expect("a rename");
        assert!(lines.is_moved());
        std::fs::write(&path, "").expect("a file");
        assert!(lines.is_moved());
    }
}
