//! Every byte of a small journal spoiled in turn: exactly the frames that the damage does not touch are recovered, the
//! reported ranges are the ones that were touched, and recovering twice finds what recovering once found.

use std::ops::Range;

use super::*;

/// One frame where it stands.
#[derive(Clone, Debug)]
struct Stand {
    path: PathBuf,
    frame: Range<u64>,
    payload: Vec<u8>,
}

/// A journal of three segments.
struct Journaled {
    disk: FaultDisk,
    frames: BTreeMap<u64, Stand>,
    segments: Vec<PathBuf>,
}

impl Journaled {
    fn new() -> Self {
        let disk = FaultDisk::new(1);
        let mut bench = open(&disk, Mode::Direct, 1).expect("an empty folder");
        let (mut frames, mut segments) = (BTreeMap::new(), Vec::new());
        for round in 0..6_u64 {
            let lengths: &[usize] = if round % 3 == 2 { &[5000] } else { &[100, 0, 601] };
            let payload = |length: &usize| vec![(round as u8) | 0x40; *length];
            let payloads: Vec<Vec<u8>> = lengths.iter().map(payload).collect();
            let first = bench.next;
            let mut batch = batch(first, &payloads);
            let last = first + payloads.len() as u64 - 1;
            bench.next = last + 1;
            let (segment, mut at) =
                bench.journal.write(&mut batch, first, last, 1).expect("written");
            if segments.last() != Some(&segment.path) {
                segments.push(segment.path.clone());
            }
            for (sequence, payload) in (first..).zip(payloads) {
                let bytes = (HEADER_BYTES + payload.len()).next_multiple_of(FRAME_ALIGN) as u64;
                let (path, frame) = (segment.path.clone(), at..at + bytes);
                frames.insert(sequence, Stand { path, frame, payload });
                at += bytes;
            }
        }
        assert_eq!(segments.len(), 3);
        Self { disk, frames, segments }
    }

    /// Spoils one file and checks that what recovery finds is everything but `lost`.
    fn spoil(
        &self,
        path: &Path,
        what: &str,
        lost: &[u64],
        how: impl FnOnce(&mut Vec<u8>),
    ) -> Report {
        let disk = self.disk.copy();
        disk.spoil(path, how);
        let (first, found) = recover_all(&disk, true).expect("a recovery");
        let kept = self.frames.iter().filter(|(sequence, _)| !lost.contains(sequence));
        let expected: BTreeMap<_, _> =
            kept.map(|(sequence, stand)| (*sequence, stand.payload.clone())).collect();
        if found != expected {
            let found: Vec<_> = found.keys().collect();
            panic!("{what}: found {found:?}, lost should be {lost:?}");
        }
        let (second, again) = recover_all(&disk, true).expect("a recovery");
        assert_eq!(again, expected, "{what}: recovered twice");
        assert_eq!(second.report.damaged, first.report.damaged, "{what}");
        assert_eq!((second.last, second.report.torn_bytes), (first.last, 0), "{what}");
        assert!(second.next > *self.frames.keys().last().expect("a frame") || !lost.is_empty());
        for damage in &first.report.damaged {
            let stem = damage.segment.trim_end_matches(".log");
            let name = format!("quarantine/{stem}-{}-{}.bin", damage.offset, damage.bytes);
            let copy = disk.bytes_of(&folder().join(name));
            assert_eq!(copy.len() as u64, damage.bytes, "{what}");
        }
        first.report
    }

    /// Frames of a file that a range of its bytes touches.
    fn touched(&self, path: &Path, range: &Range<u64>) -> Vec<u64> {
        let here = self.frames.iter().filter(|(_, stand)| stand.path == path);
        let hit = here.filter(|(_, stand)| {
            let bytes = stand.frame.start..stand.frame.start + (64 + stand.payload.len()) as u64;
            bytes.start < range.end && range.start < bytes.end
        });
        hit.map(|(sequence, _)| *sequence).collect()
    }

    fn is_newest(&self, path: &Path) -> bool {
        self.segments.last().is_some_and(|newest| newest == path)
    }

    fn last_of(&self, path: &Path) -> u64 {
        let here = self.frames.iter().filter(|(_, stand)| stand.path == path);
        here.map(|(sequence, _)| *sequence).max().expect("a frame")
    }
}

/// Of a frame: what is neither header nor close to an end of the payload.
fn inner(frame: &Range<u64>) -> Range<u64> {
    frame.start + 100..frame.end.saturating_sub(40)
}

#[test]
fn a_flipped_byte_costs_the_frame_it_is_in() {
    let journal = Journaled::new();
    for path in &journal.segments {
        let length = journal.disk.bytes_of(path).len() as u64;
        for at in 0..length {
            let touched = journal.touched(path, &(at..at + 1));
            // Padding and the insides of long payloads are many and alike.
            let inside = touched
                .first()
                .is_some_and(|sequence| inner(&journal.frames[sequence].frame).contains(&at));
            if (inside || touched.is_empty()) && at % 61 != 0 {
                continue;
            }
            let what = format!("byte {at} of {}", path.display());
            let report = journal.spoil(path, &what, &touched, |bytes| bytes[at as usize] ^= 0x10);
            let Some(sequence) = touched.first() else { continue };
            let frame = &journal.frames[sequence].frame;
            if journal.is_newest(path) && *sequence == journal.last_of(path) {
                assert!(report.damaged.is_empty() && report.torn_bytes > 0, "{what}: {report:?}");
                continue;
            }
            assert_eq!(report.missing, [(*sequence, *sequence)], "{what}");
            let [damage] = &report.damaged[..] else { panic!("{what}: {report:?}") };
            assert_eq!(damage.offset, frame.start, "{what}");
            let end = damage.offset + damage.bytes;
            if at < frame.start + HEADER_BYTES as u64 {
                // Its length cannot be trusted: the range ends where the next frame begins.
                assert!(end.div_ceil(4096) <= frame.end.div_ceil(4096) && end > at, "{what}");
            } else {
                assert_eq!(end, frame.end, "{what}");
            }
        }
    }
}

#[test]
fn zeroed_sectors_and_misplaced_blocks_cost_the_frames_they_touch() {
    let journal = Journaled::new();
    for path in &journal.segments {
        let length = journal.disk.bytes_of(path).len() as u64;
        for at in (4096..length).step_by(512) {
            let touched = journal.touched(path, &(at..at + 512));
            let what = format!("zeros at {at} of {}", path.display());
            let report = journal.spoil(path, &what, &touched, |bytes| {
                bytes[at as usize..at as usize + 512].fill(0);
            });
            let newest = journal.is_newest(path) && touched.contains(&journal.last_of(path));
            if !touched.is_empty() && !newest {
                let (first, last) = (touched[0], touched[touched.len() - 1]);
                assert_eq!(report.missing, [(first, last)], "{what}");
            }
        }
        for at in (4096..length - 4096).step_by(4096) {
            let touched = journal.touched(path, &(at + 4096..at + 8192));
            let what = format!("block at {at} of {} doubled", path.display());
            journal.spoil(path, &what, &touched, |bytes| {
                bytes.copy_within(at as usize..at as usize + 4096, at as usize + 4096);
            });
        }
    }
}

#[test]
fn a_cut_file_costs_what_stood_behind_the_cut() {
    let journal = Journaled::new();
    for path in &journal.segments {
        let length = journal.disk.bytes_of(path).len() as u64;
        for at in (0..length).step_by(37) {
            let touched = journal.touched(path, &(at..length));
            let what = format!("{} cut at {at}", path.display());
            let report = journal.spoil(path, &what, &touched, |bytes| bytes.truncate(at as usize));
            if !journal.is_newest(path) && !touched.is_empty() {
                let (first, last) = (touched[0], touched[touched.len() - 1]);
                assert_eq!(report.missing, [(first, last)], "{what}");
            }
        }
    }
}

#[test]
fn a_torn_beginning_keeps_its_word_on_the_segment_before() {
    let journal = Journaled::new();
    let [_, before, newest] = &journal.segments[..] else { panic!("three segments") };
    // Behind the last durable frame: noise, as long as it is known which frame was the last.
    journal.disk.spoil(before, |bytes| bytes.last_mut().into_iter().for_each(|byte| *byte = 1));
    let lost = journal.touched(newest, &(0..u64::MAX));
    let what = "cut inside the first block";
    let report = journal.spoil(newest, what, &lost, |bytes| bytes.truncate(1000));
    assert_eq!(report.damaged, []);

    let disk = journal.disk.copy();
    disk.spoil(newest, |bytes| bytes.truncate(1000));
    let mut bench = open(&disk, Mode::Direct, 2).expect("recovered");
    bench.write(&[vec![1; 10]]).1.expect("written");
    let (later, _) = recover_all(&disk, true).expect("a recovery");
    assert_eq!(later.report.damaged, [], "it goes on behind it");
}

#[test]
fn a_missing_segment_is_a_gap_with_its_numbers() {
    let journal = Journaled::new();
    let disk = journal.disk.copy();
    disk.remove(&journal.segments[1]).expect("removed");
    let (recovered, found) = recover_all(&disk, true).expect("a recovery");
    let gone = journal.touched(&journal.segments[1], &(0..u64::MAX));
    assert_eq!(recovered.report.missing, [(gone[0], gone[gone.len() - 1])]);
    assert!(recovered.report.damaged.is_empty());
    assert_eq!(found.len(), journal.frames.len() - gone.len());
}

#[test]
fn any_bytes_have_an_answer() {
    let journal = Journaled::new();
    let image = journal.disk.bytes_of(&journal.segments[0]);
    let (sequences, damaged) = survey(image.clone().into());
    assert!(!sequences.is_empty() && damaged.is_empty());
    let mut chance = fastrand::Rng::with_seed(3);
    for _ in 0..300 {
        let mut bytes = image.clone();
        for _ in 0..chance.usize(1..40) {
            let at = chance.usize(0..bytes.len());
            bytes[at] = chance.u8(..);
        }
        bytes.truncate(chance.usize(0..=bytes.len()));
        let (found, _) = survey(bytes.into());
        assert!(found.iter().all(|sequence| sequences.contains(sequence)));
    }
}
