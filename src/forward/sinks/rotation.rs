//! Files that end and make room for another one. In: a file's path, the moment, how many ended ones are kept. Out: the
//! file under a name that sorts by the moment it ended, beside where it was; older ones than are kept are gone. Touches
//! no file whose name it did not give.

use std::fs;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::clock::Time;
use crate::forward::options::Rotation;

/// Digits of the moment in a name: `20261129T013000123456Z`.
const STAMP_CHARS: usize = 22;

impl Rotation {
    /// How many bytes of the lines a file of so many bytes, begun at that moment, has room for: whole lines alone, and
    /// none where it must end before them. An empty file has room for one line of any length.
    pub(super) fn room(&self, bytes: u64, began: Time, lines: &[u8], now: Time) -> usize {
        let seconds = now.micros().saturating_sub(began.micros()).max(0) as u64 / 1_000_000;
        // An empty file stays: nothing would be gained by another one.
        if bytes > 0 && self.seconds.is_some_and(|most| seconds >= most) {
            return 0;
        }
        let left = self.bytes.map_or(u64::MAX, |most| most.saturating_sub(bytes));
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        if lines.len() <= left {
            return lines.len();
        }
        let behind = |place: usize| place + 1;
        let whole = memchr::memrchr(b'\n', &lines[..left]).map(behind);
        let first = || memchr::memchr(b'\n', lines).map_or(lines.len(), behind);
        whole.unwrap_or_else(|| if bytes > 0 { 0 } else { first() })
    }
}

/// Ends a file: it gets its name, which sorts behind all others whatever the clock says.
pub(super) fn end(path: &Path, now: Time) -> io::Result<()> {
    let last = all_ended(path)?.pop().and_then(|last| moment(&last));
    let next = last.map(|last| Time::from_micros(last.micros() + 1));
    fs::rename(path, ended(path, next.map_or(now, |next| next.max(now))))?;
    File::open(folder(path))?.sync_all()
}

/// Lets the oldest that ended go, but for so many.
pub(super) fn keep_newest(path: &Path, count: usize) -> io::Result<()> {
    let mut all = all_ended(path)?;
    all.truncate(all.len().saturating_sub(count));
    for old in all {
        match fs::remove_file(old) {
            // Somebody took it away just now.
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
            removed => removed?,
        }
    }
    File::open(folder(path))?.sync_all()
}

/// All that ended, the oldest first.
pub(super) fn all_ended(path: &Path) -> io::Result<Vec<PathBuf>> {
    let own = path.file_name().unwrap_or_default().to_string_lossy().into_owned() + ".";
    let mut found = Vec::new();
    for entry in fs::read_dir(folder(path))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.strip_prefix(&own).is_some_and(is_stamp) {
            found.push(entry.path());
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn folder(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

fn ended(path: &Path, now: Time) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(stamp(now));
    PathBuf::from(name)
}

/// `2026-11-29T01:30:00.123456Z` without what hinders in names; always with six digits behind the second.
fn stamp(now: Time) -> String {
    let text = now.to_string();
    let (second, fraction) = text.trim_end_matches('Z').split_once('.').unwrap_or((&text, ""));
    let mut stamp: String = second.chars().filter(|c| !matches!(c, '-' | ':' | 'Z')).collect();
    stamp.push_str(fraction);
    while stamp.len() < STAMP_CHARS - 1 {
        stamp.push('0');
    }
    stamp.push('Z');
    stamp
}

/// When a file ended, by its name.
fn moment(ended: &Path) -> Option<Time> {
    let stamp = ended.extension()?.to_str()?;
    let (day, time) = stamp.trim_end_matches('Z').split_once('T')?;
    let [year, month, day] = [day.get(..4)?, day.get(4..6)?, day.get(6..)?];
    let [hour, minute, second] = [time.get(..2)?, time.get(2..4)?, time.get(4..6)?];
    Time::parse(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}.{}Z", time.get(6..)?))
}

fn is_stamp(text: &str) -> bool {
    let is_digit = |(place, c): (usize, char)| match place {
        8 => c == 'T',
        21 => c == 'Z',
        _ => c.is_ascii_digit(),
    };
    text.len() == STAMP_CHARS && text.chars().enumerate().all(is_digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::tests::Folder;

    #[test]
    fn names_sort_by_the_moment_and_only_ours_go() {
        let folder = Folder::new();
        let path = folder.path().join("out");
        let others = ["out.1", "out.20261129T013000123456Z.gz", "out2.20261129T013000123456Z", "x"];
        for other in others {
            fs::write(folder.path().join(other), "x").expect("a file");
        }
        let begin = Time::parse("2026-11-29T01:30:00Z").expect("a moment");
        let mut last = None;
        for number in 0..5_i64 {
            fs::write(&path, number.to_string()).expect("a file");
            // The third and the fourth end at one moment.
            let now = Time::from_micros(
                begin.micros() + [0, 900_000, 1_000_000, 1_000_000, 2_000_000][number as usize],
            );
            end(&path, now).expect("an end");
            keep_newest(&path, 3).expect("a folder");
            let now = all_ended(&path).expect("a folder").pop().expect("a file");
            assert!(last < Some(now.clone()), "{now:?}");
            assert_eq!(fs::read_to_string(&now).expect("a file"), number.to_string());
            last = Some(now);
        }
        let kept = all_ended(&path).expect("a folder");
        let names: Vec<_> = kept.iter().filter_map(|path| path.file_name()?.to_str()).collect();
        assert_eq!(
            names,
            [
                "out.20261129T013001000000Z",
                "out.20261129T013001000001Z",
                "out.20261129T013002000000Z"
            ]
        );
        for other in others {
            assert!(folder.path().join(other).exists(), "{other}");
        }
        assert!(end(&path, begin).is_err(), "there is none");
        fs::write(&path, "newest").expect("a file");
        end(&path, Time::from_micros(0)).expect("an end");
        let newest = all_ended(&path).expect("a folder").pop().expect("a file");
        assert_eq!(
            newest.file_name(),
            Some("out.20261129T013002000001Z".as_ref()),
            "by a clock that went back"
        );
    }

    #[test]
    fn a_file_ends_before_it_is_too_long_and_once_it_is_too_old() {
        let (began, later) = (Time::from_micros(0), Time::from_micros(60_000_000));
        let long = Rotation { bytes: Some(10), ..Rotation::default() };
        let lines = b"abc\ndef\nghi\n";
        for (bytes, room) in [(0, 8), (2, 8), (3, 4), (6, 4), (7, 0), (10, 0), (11, 0)] {
            assert_eq!(long.room(bytes, began, lines, later), room, "{bytes}");
        }
        assert_eq!(long.room(2, began, &lines[..8], began), 8);
        let longer = b"0123456789\nabc\n";
        assert_eq!(long.room(0, began, longer, began), 11, "a line is never split");
        assert_eq!(long.room(1, began, longer, began), 0);
        let old = Rotation { seconds: Some(60), ..Rotation::default() };
        assert_eq!(old.room(1, began, lines, later), 0);
        assert_eq!(old.room(1, later, lines, began), 12, "a clock that went back ends none");
        assert_eq!(old.room(0, began, lines, later), 12);
        assert_eq!(Rotation::default().room(u64::MAX, began, lines, later), 12);
    }
}
