//! The durable places of all readers: one small file. In: names and sequences. Out: the same after a restart, or the
//! word that the file is bad. Written beside, synced, renamed, the folder synced: there is always a whole one. Files
//! of one reader each, as earlier versions wrote them, are read, and go once their places stand in the one file.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use super::losses::Loss;
use crate::journal::{Disk, Mode, replace};

const TITLE: &str = "hookgate cursors 4";
/// The same without ranges of losses, and without losses.
const TITLES_BEFORE: [&str; 2] = ["hookgate cursors 3", "hookgate cursors 2"];
/// What a line of losses begins with.
const LOST: char = '-';
/// What stands before the name where a line says how many of its losses were told. No reader is called like that:
/// earlier releases keep the line, and what it says.
const SAID: &str = "said of\n";
const FILE_NAME: &str = "all";
/// Largest file: a name is a destination's text, and most destinations sleep and stand in none.
const FILE_MAX_BYTES: u64 = 64 << 20;
/// What a file of a single reader begins with, and how its name ends.
const SINGLE_TITLE: &str = "hookgate cursor 1";
const SINGLE_ENDING: &str = ".cursor";
/// Digits of the checksum and the end of its line.
const CHECK_BYTES: usize = 9;

/// Everything up to and with a sequence is done with, for each reader by its name.
pub(super) type Places = HashMap<String, u64>;

/// Frames that readers lost, by their names; most lost none.
pub(super) type Losses = HashMap<String, Loss>;

/// What the folder says.
#[derive(Debug, Default)]
pub(super) struct Saved {
    pub(super) places: Places,
    /// Frames that each has lost.
    pub(super) lost: Losses,
    /// There is a file, and it makes no sense: any reader may have had a place in it.
    pub(super) is_bad: bool,
    /// Files of single readers that are there.
    pub(super) singles: Vec<PathBuf>,
}

/// The folder of the file.
pub(super) fn folder(spool: &Path) -> PathBuf {
    spool.join("cursors")
}

/// Reads all that is there.
pub(super) fn read(disk: &dyn Disk, folder: &Path) -> Saved {
    let mut saved = Saved::default();
    for (name, _) in disk.list(folder).unwrap_or_default() {
        if !name.ends_with(SINGLE_ENDING) {
            continue;
        }
        let path = folder.join(name);
        match read_text(disk, &path).ok().as_deref().and_then(parse_single) {
            Some((name, sequence)) => drop(saved.places.insert(name, sequence)),
            None => saved.is_bad = true,
        }
        saved.singles.push(path);
    }
    match read_text(disk, &folder.join(FILE_NAME)) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
        Err(_) => saved.is_bad = true,
        Ok(text) => match parse(&text) {
            // What stands in the one file is newer than any file of a single reader.
            Some((places, lost)) => {
                saved.places.extend(places);
                saved.lost = lost;
            }
            None => saved.is_bad = true,
        },
    }
    saved
}

/// Writes the places of all readers; how many bytes that took.
pub(super) fn write<'a>(
    disk: &dyn Disk,
    folder: &Path,
    places: impl Iterator<Item = (&'a str, u64)>,
    lost: &Losses,
) -> io::Result<usize> {
    let text = print(places, lost);
    replace(disk, folder, FILE_NAME, text.as_bytes())?;
    Ok(text.len())
}

fn print<'a>(places: impl Iterator<Item = (&'a str, u64)>, lost: &Losses) -> String {
    let mut body = format!("{TITLE}\n");
    for (name, sequence) in places {
        let _ = writeln!(body, "{sequence} {} {name}", name.len());
    }
    for (name, loss) in lost {
        let _ = writeln!(body, "{LOST}{loss} {} {name}", name.len());
        if loss.said() > 0 {
            let _ =
                writeln!(body, "{LOST}{} {} {SAID}{name}", loss.said(), SAID.len() + name.len());
        }
    }
    let check = crc32c::crc32c(body.as_bytes());
    format!("{body}{check:08x}\n")
}

fn read_text(disk: &dyn Disk, path: &Path) -> io::Result<String> {
    let file = disk.open(path, Mode::Read)?;
    let size = file.size()?;
    if size > FILE_MAX_BYTES {
        return Ok(String::new());
    }
    let mut bytes = vec![0; size as usize];
    let got = file.read_at(&mut bytes, 0)?;
    bytes.truncate(got);
    Ok(String::from_utf8(bytes).unwrap_or_default())
}

/// The text in front of its checksum.
fn checked(text: &str) -> Option<&str> {
    let (body, check) = text.split_at_checked(text.len().checked_sub(CHECK_BYTES)?)?;
    let written = u32::from_str_radix(check.strip_suffix('\n')?, 16).ok()?;
    Some(body).filter(|body| crc32c::crc32c(body.as_bytes()) == written)
}

fn parse(text: &str) -> Option<(Places, Losses)> {
    let body = checked(text)?;
    let (title, mut rest) = body.split_once('\n')?;
    if title != TITLE && !TITLES_BEFORE.contains(&title) {
        return None;
    }
    let (mut places, mut lost) = (Places::new(), Losses::new());
    let mut all_said = HashMap::new();
    while !rest.is_empty() {
        let of_losses = rest.strip_prefix(LOST);
        rest = of_losses.unwrap_or(rest);
        let (said, behind) = rest.split_once(' ')?;
        let (length, behind) = behind.split_once(' ')?;
        let (name, behind) = behind.split_at_checked(length.parse().ok()?)?;
        rest = behind.strip_prefix('\n')?;
        if let Some(name) = name.strip_prefix(SAID).filter(|_| of_losses.is_some()) {
            all_said.insert(name, Loss::parse(said)?.told());
        } else if of_losses.is_some() {
            lost.insert(name.to_owned(), Loss::parse(said)?);
        } else {
            places.insert(name.to_owned(), said.parse().ok()?);
        }
    }
    for (name, loss) in &mut lost {
        loss.say(all_said.get(name.as_str()).copied().unwrap_or_default());
    }
    Some((places, lost))
}

fn parse_single(text: &str) -> Option<(String, u64)> {
    let body = checked(text)?.strip_prefix(SINGLE_TITLE)?.strip_prefix('\n')?;
    let (sequence, name) = body.split_once('\n')?;
    Some((name.strip_suffix('\n')?.to_owned(), sequence.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_whole_or_not_at_all() {
        let all = [("http://a/?x=1\nsecond", u64::MAX - 1), ("", 0), ("naïve", 7)];
        let mut one = Loss::default();
        one.add(3, 14);
        one.say(7);
        let lost: Losses = [("naïve".to_owned(), one)].into();
        let text = print(all.into_iter(), &lost);
        let (read, read_lost) = parse(&text).expect("places");
        assert_eq!(read, all.map(|(name, sequence)| (name.to_owned(), sequence)).into());
        assert_eq!(read_lost, lost);
        for at in 0..text.len() {
            let cut = String::from_utf8_lossy(&text.as_bytes()[..at]).into_owned();
            assert_eq!(parse(&cut), None, "cut at {at}");
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] ^= 1;
            let spoiled = String::from_utf8(bytes).unwrap_or_default();
            assert_eq!(parse(&spoiled), None, "flipped at {at}");
        }
        let none = print(std::iter::empty(), &Losses::new());
        assert_eq!(parse(&none), Some((Places::new(), Losses::new())));
        for (title, line, said) in [("2", "", None), ("3", "-9 1 a\n", Loss::parse("9"))] {
            let body = format!("hookgate cursors {title}\n7 1 a\n{line}");
            let before = format!("{body}{:08x}\n", crc32c::crc32c(body.as_bytes()));
            let lost: Losses = said.map(|said| ("a".to_owned(), said)).into_iter().collect();
            assert_eq!(parse(&before), Some(([("a".to_owned(), 7)].into(), lost)));
        }
    }
}
