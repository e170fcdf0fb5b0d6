//! Journal recovery. In: what is written in which batches, then what happens to the files' bytes, and a file of any
//! bytes. Holds: no panic; a frame that no damage touched is found, as it was written, in order; none is invented;
//! recovering twice finds what recovering once found; and the journal goes on behind it.
#![no_main]

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arbitrary::Arbitrary;
use hookgate::journal::{
    BLOCK_BYTES, Buffer, HEADER_BYTES, Header, Journal, Mode, Recovered, Scope, Shelf, Start,
    recover, survey,
};
use hookgate_fuzz::disk::Memory;
use libfuzzer_sys::fuzz_target;

const FOLDER: &str = "/spool";

/// What the fuzzer decides.
#[derive(Arbitrary, Debug)]
struct Story {
    /// Lengths of the payloads, batch by batch.
    batches: Vec<Vec<u16>>,
    damages: Vec<Damage>,
    /// A file of the folder that nobody wrote.
    stray: Option<(u32, Vec<u8>)>,
}

/// One thing that happens to a file: which, and where in it.
#[derive(Arbitrary, Debug)]
struct Damage {
    segment: u8,
    at: u16,
    how: How,
}

#[derive(Arbitrary, Debug)]
enum How {
    Flip(u8),
    Zero(u16),
    Overwrite(Vec<u8>),
    Cut,
    /// Bytes of another place of the same file, as a misdirected write leaves them.
    Copy {
        from: u16,
        bytes: u16,
    },
}

/// A frame that was written, where it stands.
#[derive(Debug)]
struct Stand {
    segment: usize,
    bytes: Range<u64>,
    payload: Vec<u8>,
}

fuzz_target!(|story: Story| {
    let disk = Memory::default();
    let mut paths = Vec::new();
    let mut written = BTreeMap::new();
    let (mut journal, next) = open(&disk).0;
    let mut next = next;
    for lengths in story.batches.iter().filter(|lengths| !lengths.is_empty()).take(12) {
        let lengths = &lengths[..lengths.len().min(12)];
        write(&mut journal, &mut next, lengths, &mut paths, &mut written);
    }
    drop(journal);

    let mut hit = Vec::new();
    for damage in story.damages.iter().take(12) {
        if let Some(path) = paths.get(usize::from(damage.segment) % paths.len().max(1)) {
            hit.extend(spoil(&disk, path, damage).map(|bytes| (path.clone(), bytes)));
        }
    }
    if let Some((id, bytes)) = &story.stray {
        let _ = survey(bytes.clone().into());
        // Behind all that was written: before it, its name alone would speak for frames that are missing.
        let name = format!("{:020}-{id:016x}.log", next + 1);
        disk.put(Path::new(FOLDER).join(name), bytes.clone());
    }

    let ((mut journal, mut next), first) = open(&disk);
    for (sequence, stand) in &written {
        let touched = hit.iter().any(|(path, bytes)| {
            *path == paths[stand.segment]
                && bytes.start < stand.bytes.end
                && stand.bytes.start < bytes.end
        });
        let found = first.get(sequence);
        assert!(found.is_none_or(|payload| *payload == stand.payload), "{sequence} is another");
        assert!(touched || found.is_some(), "{sequence} is lost: {hit:?} {stand:?}");
    }
    assert!(first.keys().all(|sequence| written.contains_key(sequence)), "invented");
    assert!(first.keys().all(|sequence| *sequence < next), "{next} was handed out before");
    drop(open(&disk).1);

    let mut later = BTreeMap::new();
    write(&mut journal, &mut next, &[100, 0], &mut Vec::new(), &mut later);
    let (_, all) = open(&disk);
    let sequences: Vec<_> = first.keys().chain(later.keys()).collect();
    assert!(all.keys().eq(sequences), "the journal goes on");
});

type Frames = BTreeMap<u64, Vec<u8>>;

/// Recovers twice, which must agree; a writer behind it, the next sequence, and the frames found.
fn open(disk: &Memory) -> ((Journal, u64), Frames) {
    let (first, frames) = recover_once(disk);
    let (second, again) = recover_once(disk);
    assert_eq!(frames, again, "recovered twice");
    assert_eq!(second.report.damaged, first.report.damaged);
    assert_eq!(second.report.torn_bytes, 0, "the tail was cut");
    assert_eq!(second.last, first.last);
    let chance = fastrand::Rng::with_seed(first.next);
    let first_bytes = 3 * BLOCK_BYTES;
    let start = Start { mode: Mode::Buffered, last: first.last, first_bytes, chance };
    let shelf: Arc<Shelf> = Arc::new(first.shelf);
    (((Journal::new(Arc::new(disk.clone()), Path::new(FOLDER), shelf, start)), first.next), frames)
}

fn recover_once(disk: &Memory) -> (Recovered, Frames) {
    let (mut frames, mut before) = (BTreeMap::new(), 0);
    let scope = Scope { repair: true, read_max_bytes: u64::MAX, read_from: 1 };
    let recovered = recover(disk, Path::new(FOLDER), scope, &mut |found| {
        let Header { sequence, payload_crc, length, .. } = found.header;
        assert!(sequence > before, "in order");
        before = sequence;
        assert_eq!(
            (crc32c::crc32c(&found.payload), found.payload.len()),
            (payload_crc, length as usize)
        );
        frames.insert(sequence, found.payload.to_vec());
    });
    let recovered = recovered.expect("the disk never fails");
    assert!(recovered.report.frames == frames.len() as u64 && recovered.unread.is_empty());
    (recovered, frames)
}

fn write(
    journal: &mut Journal,
    next: &mut u64,
    lengths: &[u16],
    paths: &mut Vec<PathBuf>,
    written: &mut BTreeMap<u64, Stand>,
) {
    let (first, mut batch, mut at) = (*next, Buffer::default(), 0);
    for length in lengths {
        let length = usize::from(*length) % 6000;
        let payload: Vec<u8> =
            (0..length).map(|place| (*next as usize * 31 + place) as u8).collect();
        let header = Header {
            length: length as u32,
            payload_crc: crc32c::crc32c(&payload),
            kind: 1,
            sequence: *next,
            ..Header::default()
        };
        let mut frame = vec![0; header.frame_bytes() as usize];
        header.write(&mut frame);
        frame[HEADER_BYTES..HEADER_BYTES + length].copy_from_slice(&payload);
        batch.push(&frame);
        let bytes = at..at + (HEADER_BYTES + length) as u64;
        written.insert(*next, Stand { segment: 0, bytes, payload });
        at += header.frame_bytes();
        *next += 1;
    }
    let kept = journal.write(&mut batch, first, *next - 1, 0);
    let (segment, offset) = kept.expect("the disk never fails");
    if paths.last() != Some(&segment.path) {
        paths.push(segment.path.clone());
    }
    for stand in written.range_mut(first..).map(|(_, stand)| stand) {
        stand.segment = paths.len() - 1;
        stand.bytes = stand.bytes.start + offset..stand.bytes.end + offset;
    }
}

/// Spoils a file; the bytes that may be others now.
fn spoil(disk: &Memory, path: &Path, damage: &Damage) -> Option<Range<u64>> {
    let mut hit = None;
    disk.spoil(path, |bytes| {
        let at = usize::from(damage.at).min(bytes.len());
        let end = |length: usize| (at + length).min(bytes.len());
        let range = match &damage.how {
            How::Flip(_) => at..end(1),
            How::Zero(length) => at..end(usize::from(*length)),
            How::Overwrite(new) => at..end(new.len()),
            How::Cut => at..usize::MAX,
            How::Copy { from, bytes: length } => {
                let from = usize::from(*from).min(bytes.len());
                at..end(usize::from(*length).min(bytes.len() - from))
            }
        };
        match &damage.how {
            How::Flip(mask) => bytes[range.clone()].iter_mut().for_each(|byte| *byte ^= mask),
            How::Zero(_) => bytes[range.clone()].fill(0),
            How::Overwrite(new) => bytes[range.clone()].copy_from_slice(&new[..range.len()]),
            How::Cut => bytes.truncate(at),
            How::Copy { from, .. } => {
                let from = usize::from(*from).min(bytes.len());
                bytes.copy_within(from..from + range.len(), at);
            }
        }
        hit = (!range.is_empty()).then(|| range.start as u64..range.end as u64);
    });
    hit
}
