//! The durable place of a reader: one small file. In: a name and a sequence. Out: the sequence after a restart, or the
//! word that the file is bad. Written beside, synced, renamed, the folder synced: there is always a whole one.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};

use crate::journal::{Disk, Mode};

const TITLE: &str = "hookgate cursor 1";
/// Longest cursor file; a name is a destination's text.
const FILE_MAX_BYTES: u64 = 16 << 10;

/// What a cursor file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Saved {
    /// Everything up to and with this sequence is done with.
    At(u64),
    /// There is none.
    Missing,
    /// There is one, and it makes no sense.
    Bad,
}

/// The folder of cursor files.
pub(super) fn folder(spool: &Path) -> PathBuf {
    spool.join("cursors")
}

/// The file name of a reader.
pub(super) fn file_name(name: &str) -> String {
    let mut text = String::with_capacity(39);
    for byte in &digest(&SHA256, name.as_bytes()).as_ref()[..16] {
        let _ = write!(text, "{byte:02x}");
    }
    text.push_str(".cursor");
    text
}

/// Reads the cursor of a reader.
pub(super) fn read(disk: &dyn Disk, folder: &Path, name: &str) -> Saved {
    match read_file(disk, &folder.join(file_name(name))) {
        Ok(Some((there, sequence))) if there == name => Saved::At(sequence),
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Saved::Missing,
        Ok(_) | Err(_) => Saved::Bad,
    }
}

/// File name and sequence of every cursor in the folder that makes sense.
pub(super) fn read_all(disk: &dyn Disk, folder: &Path) -> Vec<(String, u64)> {
    let files = disk.list(folder).unwrap_or_default();
    let names = files.into_iter().map(|(name, _)| name).filter(|name| name.ends_with(".cursor"));
    names
        .filter_map(|name| {
            let (_, sequence) = read_file(disk, &folder.join(&name)).ok()??;
            Some((name, sequence))
        })
        .collect()
}

/// Writes the cursor of a reader.
pub(super) fn write(disk: &dyn Disk, folder: &Path, name: &str, sequence: u64) -> io::Result<()> {
    let path = folder.join(file_name(name));
    let beside = path.with_extension("tmp");
    let _ = disk.remove(&beside);
    let file = disk.create(&beside, Mode::Buffered)?;
    file.write_at(print(name, sequence).as_bytes(), 0)?;
    file.sync()?;
    disk.rename(&beside, &path)?;
    disk.sync_folder(folder)
}

/// Removes the cursor of a reader that will not come again.
pub(super) fn remove(disk: &dyn Disk, folder: &Path, name: &str) -> io::Result<()> {
    match disk.remove(&folder.join(file_name(name))) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(fault),
        _ => disk.sync_folder(folder),
    }
}

fn print(name: &str, sequence: u64) -> String {
    let body = format!("{TITLE}\n{sequence}\n{name}\n");
    format!("{body}{:08x}\n", crc32c::crc32c(body.as_bytes()))
}

fn read_file(disk: &dyn Disk, path: &Path) -> io::Result<Option<(String, u64)>> {
    let file = disk.open(path, Mode::Read)?;
    let size = file.size()?;
    if size > FILE_MAX_BYTES {
        return Ok(None);
    }
    let mut bytes = vec![0; size as usize];
    let got = file.read_at(&mut bytes, 0)?;
    bytes.truncate(got);
    Ok(parse(&bytes))
}

fn parse(bytes: &[u8]) -> Option<(String, u64)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (body, crc) = text.split_at_checked(text.len().checked_sub(9)?)?;
    let written = u32::from_str_radix(crc.strip_suffix('\n')?, 16).ok()?;
    if crc32c::crc32c(body.as_bytes()) != written {
        return None;
    }
    let (sequence, name) = body.strip_prefix(TITLE)?.strip_prefix('\n')?.split_once('\n')?;
    Some((name.strip_suffix('\n')?.to_owned(), sequence.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_whole_or_not_at_all() {
        let text = print("http://a/?x=1\nsecond", 18_446_744_073_709_551_614);
        let read = parse(text.as_bytes()).expect("a cursor");
        assert_eq!(read, ("http://a/?x=1\nsecond".to_owned(), u64::MAX - 1));
        for at in 0..text.len() {
            assert_eq!(parse(&text.as_bytes()[..at]), None, "cut at {at}");
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] ^= 1;
            assert_eq!(parse(&bytes), None, "flipped at {at}");
        }
        assert_eq!(file_name("x").len(), 39);
    }
}
