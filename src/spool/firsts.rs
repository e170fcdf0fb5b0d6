//! The first request of each key, on stable storage beside the segments, which go earlier than a key may be asked for.
//! In: keys of durable frames, and up to which sequence that is all of them. Out: the same after any end. Chunks behind
//! one another, each on blocks of its own, so that no torn write harms what stands before it; a file that failed is
//! never written again. Bounded in number as the memory is, and in time by the longest that a key is remembered.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use super::once::KEYS_MAX;
use super::{First, Key, Receipt};
use crate::clock::Time;
use crate::id::Uuid;
use crate::journal::{BLOCK_BYTES, Disk, DiskFile, Mode};

const MAGIC: &[u8; 8] = b"HKGF\x01\0\0\0";
const ENDING: &str = ".firsts";
const HEAD_BYTES: usize = 24;
/// Webhook, digest and received event (16 each), sequence and moment (8 each).
const ENTRY_BYTES: usize = 64;
/// Most keys of a chunk: 4 MiB.
pub(super) const CHUNK_MAX: usize = 1 << 16;
/// A file of so many bytes is followed by another.
const FILE_MAX_BYTES: u64 = 16 << 20;
/// Most files: past it the oldest goes, whatever it holds. That is 1 GiB for 64 MiB of keys, the rest being what fills
/// blocks up.
const FILES_MAX: usize = 64;

/// A key and its first request.
pub(super) type Entry = (Key, First);

/// The folder of the files.
pub(super) fn folder(spool: &Path) -> PathBuf {
    spool.join("firsts")
}

/// The files.
#[derive(Debug)]
pub(super) struct Firsts {
    folder: PathBuf,
    files: VecDeque<Written>,
    /// The newest, while it takes more.
    open: Option<Box<dyn DiskFile>>,
    /// Whether the newest is not to be written again, unless it is open.
    is_spoiled: bool,
    next: u64,
    through: Option<u64>,
    last: Option<u64>,
}

/// What is known of one file.
#[derive(Debug, Default)]
struct Written {
    number: u64,
    keys: usize,
    /// The newest moment of a request in it.
    newest: Option<Time>,
    /// Where the next chunk begins.
    end: u64,
}

impl Firsts {
    /// Reads what is there and shows each key, the older ones first. What cannot be read is passed over; what later
    /// chunks say of all keys up to theirs counts no more then.
    pub(super) fn open(disk: &dyn Disk, spool: &Path, show: &mut dyn FnMut(Entry)) -> Self {
        let folder = folder(spool);
        let files = VecDeque::new();
        let (through, last) = (None, None);
        let mut firsts =
            Self { folder, files, open: None, is_spoiled: false, next: 1, through, last };
        let names = disk.list(&firsts.folder).unwrap_or_default();
        let number = |name: &str| name.strip_suffix(ENDING)?.parse().ok();
        let mut numbers: Vec<u64> = names.iter().filter_map(|(name, _)| number(name)).collect();
        numbers.sort_unstable();
        let mut is_whole = true;
        for number in numbers {
            let mut written = Written { number, ..Written::default() };
            firsts.next = number.saturating_add(1);
            match read(disk, &firsts.path(number)) {
                Ok(bytes) => {
                    firsts.last = firsts.last.max(written.walk(&bytes, show));
                    if is_whole {
                        firsts.through = firsts.last;
                    }
                    // A chunk that was never whole looks the same: then a few frames are read for nothing.
                    is_whole &= written.end == bytes.len() as u64;
                }
                Err(fault) => {
                    (firsts.is_spoiled, is_whole) = (true, false);
                    tracing::warn!(%fault, "keys of requests that came before cannot be read");
                }
            }
            firsts.files.push_back(written);
        }
        if !is_whole && firsts.through.is_none() {
            firsts.through = Some(0);
        }
        firsts
    }

    /// The sequence up to which all keys of frames are here, or were read from the frames; nothing while none were
    /// written.
    pub(super) fn through(&self) -> Option<u64> {
        self.through
    }

    /// The largest sequence that is spoken of, though some keys before it may be lost.
    pub(super) fn last(&self) -> Option<u64> {
        self.last
    }

    /// Writes keys down, at most [`CHUNK_MAX`]; with them, all of frames up to `through` are here.
    ///
    /// # Errors
    /// What the disk answers; they may be there or not then.
    pub(super) fn append(
        &mut self,
        disk: &dyn Disk,
        entries: &[Entry],
        through: u64,
    ) -> io::Result<()> {
        let chunk = print(entries, through);
        let has_room =
            self.files.back().is_some_and(|file| file.end + chunk.len() as u64 <= FILE_MAX_BYTES);
        let file = match self.open.take() {
            Some(file) if has_room => file,
            None if has_room && !self.is_spoiled => self.go_on(disk)?,
            _ => self.begin(disk)?,
        };
        let end = self.files.back().map_or(0, |written| written.end);
        if let Err(fault) = file.write_at(&chunk, end).and_then(|()| file.sync()) {
            self.give_up(disk);
            return Err(fault);
        }
        if let Some(written) = self.files.back_mut() {
            written.end += chunk.len() as u64;
            written.keys += entries.len();
            let newest = entries.iter().map(|(_, first)| first.received).max();
            written.newest = written.newest.max(newest);
        }
        self.open = Some(file);
        self.through = self.through.max(Some(through));
        self.last = self.last.max(self.through);
        Ok(())
    }

    /// The newest file of an earlier life, when all of it makes sense; else another one.
    fn go_on(&mut self, disk: &dyn Disk) -> io::Result<Box<dyn DiskFile>> {
        // Whatever becomes of this, it is tried once.
        self.is_spoiled = true;
        if let Some(newest) = self.files.back() {
            let file = disk.open(&self.path(newest.number), Mode::Buffered)?;
            if file.size()? == newest.end {
                return Ok(file);
            }
        }
        self.begin(disk)
    }

    fn begin(&mut self, disk: &dyn Disk) -> io::Result<Box<dyn DiskFile>> {
        let number = self.next;
        self.next += 1;
        let file = disk.create(&self.path(number), Mode::Buffered)?;
        self.files.push_back(Written { number, ..Written::default() });
        self.is_spoiled = true;
        match disk.sync_folder(&self.folder) {
            Ok(()) => Ok(file),
            Err(fault) => {
                self.give_up(disk);
                Err(fault)
            }
        }
    }

    /// Never writes the newest file again; one without anything goes.
    fn give_up(&mut self, disk: &dyn Disk) {
        self.is_spoiled = true;
        if let Some(empty) = self.files.pop_back_if(|file| file.end == 0) {
            let _ = disk.remove(&self.path(empty.number));
        }
    }

    /// Lets files go that hold nothing younger than `horizon`, or nothing that would be remembered.
    pub(super) fn forget(&mut self, disk: &dyn Disk, horizon: Time) {
        while self.files.len() > 1
            && let Some(oldest) = self.files.front()
        {
            let behind: usize = self.files.iter().skip(1).map(|file| file.keys).sum();
            let is_over = oldest.newest.is_none_or(|newest| newest < horizon);
            if !is_over && behind < KEYS_MAX && self.files.len() <= FILES_MAX {
                return;
            }
            if let Err(fault) = disk.remove(&self.path(oldest.number))
                && fault.kind() != io::ErrorKind::NotFound
            {
                return;
            }
            self.files.pop_front();
        }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:020}{ENDING}"))
    }
}

impl Written {
    /// Shows the keys of all whole chunks; up to where they are all.
    fn walk(&mut self, bytes: &[u8], show: &mut dyn FnMut(Entry)) -> Option<u64> {
        let (mut through, mut at) = (None, 0);
        while let Some((sequence, entries)) = bytes.get(at..).and_then(parse) {
            at += (HEAD_BYTES + entries.len()).next_multiple_of(BLOCK_BYTES as usize);
            through = through.max(Some(sequence));
            for entry in entries.chunks_exact(ENTRY_BYTES).map(read_entry) {
                self.keys += 1;
                self.newest = self.newest.max(Some(entry.1.received));
                show(entry);
            }
        }
        self.end = at as u64;
        through
    }
}

fn read(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path, Mode::Read)?;
    let mut bytes = vec![0; file.size()?.min(FILE_MAX_BYTES) as usize];
    let got = file.read_at(&mut bytes, 0)?;
    bytes.truncate(got);
    Ok(bytes)
}

/// A chunk: magic (8), checksum of what follows (4), number of keys (4), sequence (8), the keys, zeros up to a block.
fn print(entries: &[Entry], through: u64) -> Vec<u8> {
    let bytes = HEAD_BYTES + entries.len() * ENTRY_BYTES;
    let mut out = Vec::with_capacity(bytes.next_multiple_of(BLOCK_BYTES as usize));
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&u32::try_from(entries.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&through.to_le_bytes());
    for ((webhook, digest), first) in entries {
        out.extend_from_slice(webhook.as_bytes());
        out.extend_from_slice(digest);
        out.extend_from_slice(first.id.as_bytes());
        out.extend_from_slice(&first.receipt.sequence.to_le_bytes());
        out.extend_from_slice(&first.received.micros().to_le_bytes());
    }
    let check = crc32c::crc32c(&out[12..]);
    out[8..12].copy_from_slice(&check.to_le_bytes());
    out.resize(bytes.next_multiple_of(BLOCK_BYTES as usize), 0);
    out
}

/// The sequence and the keys of a chunk at the beginning of these bytes, if it is whole.
fn parse(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let head = bytes.get(..HEAD_BYTES)?;
    let word = |at: usize| u32::from_le_bytes(array(&head[at..at + 4]));
    let count = word(12) as usize;
    if &head[..8] != MAGIC || count > CHUNK_MAX {
        return None;
    }
    let whole = bytes.get(..HEAD_BYTES + count * ENTRY_BYTES)?;
    let through = u64::from_le_bytes(array(&head[16..24]));
    (crc32c::crc32c(&whole[12..]) == word(8)).then_some((through, &whole[HEAD_BYTES..]))
}

fn read_entry(bytes: &[u8]) -> Entry {
    let id = |at: usize| Uuid::from_bytes(array(&bytes[at..at + 16]));
    let sequence = u64::from_le_bytes(array(&bytes[48..56]));
    let received = Time::from_micros(i64::from_le_bytes(array(&bytes[56..64])));
    let first = First { id: id(32), received, receipt: Receipt { sequence } };
    ((id(0), array(&bytes[16..32])), first)
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(bytes);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::fault::{FaultDisk, Plan};

    fn entry(number: u64) -> Entry {
        let digest = [number as u8; 16];
        let first = First {
            id: Uuid::from_u128(number.into()),
            received: Time::from_micros(number.cast_signed()),
            receipt: Receipt { sequence: number },
        };
        ((Uuid::from_u128(7), digest), first)
    }

    fn all(disk: &FaultDisk) -> (Vec<Entry>, Option<u64>) {
        let mut seen = Vec::new();
        let firsts = Firsts::open(disk, Path::new("/s"), &mut |entry| seen.push(entry));
        (seen, firsts.through())
    }

    fn disk() -> FaultDisk {
        let disk = FaultDisk::new(1);
        disk.make_folder(&folder(Path::new("/s"))).expect("a folder");
        disk
    }

    fn none(disk: &FaultDisk) -> Firsts {
        Firsts::open(disk, Path::new("/s"), &mut |_| ())
    }

    #[test]
    fn chunks_are_read_whole_or_not_at_all() {
        let first: Vec<_> = (1..=100).map(entry).collect();
        let second: Vec<_> = (101..=103).map(entry).collect();
        let both = [print(&first, 90), print(&second, 200)].concat();
        let walk = |bytes: &[u8]| {
            let (mut seen, mut written) = (Vec::new(), Written::default());
            let through = written.walk(bytes, &mut |entry| seen.push(entry));
            (seen, through, written.end as usize)
        };
        assert_eq!(walk(&both), ([&first[..], &second[..]].concat(), Some(200), both.len()));
        let length = print(&first, 90).len();
        for at in length..both.len() {
            let is_whole = at >= length + HEAD_BYTES + 3 * ENTRY_BYTES;
            let through = if is_whole { Some(200) } else { Some(90) };
            assert_eq!(walk(&both[..at]).1, through, "cut at {at}");
            let mut spoiled = both.clone();
            spoiled[at] ^= 1;
            assert_eq!(walk(&spoiled).1, through, "flipped at {at}");
        }
        assert_eq!(walk(&[]), (Vec::new(), None, 0));
    }

    #[test]
    fn what_was_written_is_there_whenever_the_power_goes() {
        for crash_at in 0..60 {
            let mut disk = disk();
            let mut kept = 0;
            for life in 0..3 {
                let mut firsts = none(&disk);
                disk.set(Plan { crash_at: Some(crash_at), ..Plan::default() });
                for _ in 0..10 {
                    let number = kept + 1;
                    if firsts.append(&disk, &[entry(number)], number).is_err() {
                        break;
                    }
                    kept = number;
                }
                disk = disk.after_crash();
                let (seen, _) = all(&disk);
                let missing = (1..=kept).find(|number| !seen.contains(&entry(*number)));
                assert_eq!(missing, None, "life {life}, crash at {crash_at}");
                assert!(none(&disk).last() >= Some(kept).filter(|kept| *kept > 0));
            }
        }
    }

    #[test]
    fn nobody_vouches_for_what_is_lost_in_a_file_before() {
        let disk = disk();
        let mut firsts = none(&disk);
        (1..=2).for_each(|at| firsts.append(&disk, &[entry(at)], at).expect("written"));
        let mut firsts = Firsts { is_spoiled: true, ..none(&disk) };
        firsts.append(&disk, &[entry(3)], 3).expect("written");
        assert_eq!(all(&disk), (vec![entry(1), entry(2), entry(3)], Some(3)));
        let flip = |at| {
            let file = disk.open(&firsts.path(1), Mode::Buffered).expect("a file");
            let mut byte = [0];
            file.read_at(&mut byte, at).expect("a byte");
            file.write_at(&[byte[0] ^ 1], at).expect("written");
        };
        flip(BLOCK_BYTES + 30);
        assert_eq!(all(&disk), (vec![entry(1), entry(3)], Some(1)));
        assert_eq!(none(&disk).last(), Some(3), "no sequence comes twice");
        flip(30);
        assert_eq!(all(&disk), (vec![entry(3)], Some(0)), "all frames are read");
        let mut firsts = none(&disk);
        firsts.append(&disk, &[entry(4)], 4).expect("written");
        assert_eq!(firsts.through(), Some(4), "whoever read them has all");
    }

    #[test]
    fn after_a_fault_another_file_is_begun() {
        let disk = disk();
        let mut firsts = none(&disk);
        firsts.append(&disk, &[entry(1)], 1).expect("written");
        disk.set(Plan { fail_at: Some(0), ..Plan::default() });
        firsts.append(&disk, &[entry(2)], 2).expect_err("a fault");
        assert_eq!(firsts.through(), Some(1));
        firsts.append(&disk, &[entry(2)], 2).expect("written");
        assert_eq!(firsts.files.len(), 2);
        let (mut seen, through) = all(&disk.after_crash());
        seen.dedup();
        // What failed ends the first file early, and could be a chunk that was there: nobody vouches for it.
        assert_eq!((seen, through), (vec![entry(1), entry(2)], Some(1)));
        assert_eq!(none(&disk.after_crash()).last(), Some(2));
        // One that never held anything goes.
        disk.set(Plan { fail_from: Some(1), ..Plan::default() });
        let mut firsts = Firsts { is_spoiled: true, ..none(&disk) };
        (0..5).for_each(|_| drop(firsts.append(&disk, &[entry(3)], 3).expect_err("a fault")));
        assert_eq!(firsts.files.len(), 2);
    }

    #[test]
    fn files_go_when_all_of_them_is_over_and_no_more_stay_than_are_remembered() {
        let disk = disk();
        let mut firsts = none(&disk);
        let written = |number, keys, newest: Option<i64>| Written {
            number,
            keys,
            newest: newest.map(Time::from_micros),
            end: 1,
        };
        let left =
            |firsts: &Firsts| firsts.files.iter().map(|file| file.number).collect::<Vec<_>>();
        firsts.files = [
            written(1, 0, None),
            written(2, 10, Some(20)),
            written(3, 10, Some(30)),
            written(4, 0, None),
        ]
        .into();
        firsts.forget(&disk, Time::from_micros(20));
        assert_eq!(left(&firsts), [2, 3, 4], "a key counts still");
        firsts.forget(&disk, Time::from_micros(31));
        assert_eq!(left(&firsts), [4], "the newest stays");
        firsts.files = (1..=5).map(|number| written(number, KEYS_MAX / 2, Some(9))).collect();
        firsts.forget(&disk, Time::from_micros(0));
        assert_eq!(left(&firsts), [4, 5], "no more than are remembered");
        let many = FILES_MAX as u64 + 7;
        firsts.files = (1..=many).map(|number| written(number, 1, Some(9))).collect();
        firsts.forget(&disk, Time::from_micros(0));
        assert_eq!(firsts.files.len(), FILES_MAX);
    }
}
