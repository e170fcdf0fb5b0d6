//! Requests under seal on the machine's own disk: nothing to be read in any file, keys that follow a rotation, and
//! those that are missed.

use std::time::{Duration, Instant};

use super::*;
use crate::seal::SealError;
use crate::spool::seals::Seals;

const BODY: &[u8] = b"a body that no file shows";

fn sealed(keys: &Keys) -> Options {
    let sealing = Sealing { keys: keys.clone(), seals: true };
    Options { sealing: Some(sealing), ..options() }
}

fn request(spool: &Spool, number: u64) -> Frame {
    let (query, body) = (Bytes::from_static(b"q=no-file"), Bytes::from_static(BODY));
    let capture = Capture { webhook: Uuid::from_u128(9), query, body, ..Capture::default() };
    let events = [event(number + (1 << 40)), event(number)];
    spool.frame(Uuid::from_u128(1), None, Time::default(), &events, &capture)
}

/// Whether a file of the spool has the bytes in it.
fn shows(folder: &Folder, bytes: &[u8]) -> bool {
    let files = std::fs::read_dir(folder.0.join("spool")).expect("a folder").flatten();
    let files = files.filter(|file| file.path().is_file());
    files
        .map(|file| std::fs::read(file.path()).expect("a file"))
        .any(|content| content.windows(bytes.len()).any(|part| part == bytes))
}

fn seal_of(spool: &Spool, sequence: u64) -> Seal {
    let kept = spool.picker().take(sequence).expect("read").expect("kept");
    let capture = kept.capture.expect("a request");
    let is_whole = capture.body == BODY && capture.query == "q=no-file";
    assert_eq!(is_whole, capture.seal == Seal::Open);
    assert_eq!(capture.body_bytes(), BODY.len() as u64);
    capture.seal
}

#[tokio::test]
async fn a_sealed_request_is_read_with_its_key_and_damages_nothing_without() {
    let folder = Folder::new();
    let keys = folder.keys();
    let (spool, _) = open(&folder.0, sealed(&keys));
    assert!(spool.seals());
    let receipt = spool.append(request(&spool, 1)).await.expect("kept");
    assert_eq!(seal_of(&spool, receipt.sequence()), Seal::Open);
    let mut reader = spool.reader("r", OnFull::Hold).expect("a reader");
    let kept = reader.next(1, 1).await.expect("a frame").remove(0);
    assert_eq!(kept.events[1], event(1), "events need no key");
    assert_eq!(kept.capture.expect("a request").seal, Seal::Closed);
    drop((spool, reader));
    assert!(!shows(&folder, BODY) && !shows(&folder, b"q=no-file"));
    let name = keys.last().name().to_owned();
    assert_eq!(keys_in_use(&folder.0), Ok(vec![name.clone()]));

    // Without the key, and with another one; then it is back.
    let lost = Seal::Lost(SealError::UnknownKey { key: name });
    let other = Keys::make(&folder.0.join("others")).expect("a file of keys");
    for options in [options(), sealed(&other), sealed(&keys)] {
        let is_back = options
            .sealing
            .as_ref()
            .is_some_and(|one| one.keys.last().name() == keys.last().name());
        let (spool, recovery) = open(&folder.0, options);
        assert_eq!(recovery.damaged, []);
        assert_eq!(
            seal_of(&spool, receipt.sequence()),
            if is_back { Seal::Open } else { lost.clone() }
        );
        let plain = spool.append(frame(7, 10)).await.expect("kept");
        let kept = spool.picker().take(plain.sequence()).expect("read").expect("kept");
        assert_eq!(number(&kept), 7, "what is in the clear stays so");
    }
}

#[test]
fn a_key_is_in_use_until_the_last_frame_it_may_have_sealed_is_gone() {
    let folder = Folder::new();
    let (spool, disk) = (folder.0.join("spool"), RealDisk);
    std::fs::create_dir(&spool).expect("a folder");
    let (keys, began) = (folder.keys(), Instant::now());
    let sealing = || Sealing { keys: keys.clone(), seals: true };
    let open = |next| Seals::open(&disk, &spool, sealing(), next, began).expect("keys");
    let in_use = || keys_in_use(&folder.0).expect("known");
    let present = || keys.present().expect("keys").name().to_owned();
    let first = present();
    let seals = open(1);
    assert_eq!(in_use(), [&*first], "before the first request");
    keys.add().expect("a key");
    let second = present();
    let at = |seconds| began + Duration::from_secs(seconds);
    seals.follow(&disk, &spool, (1, 10), at(1));
    assert_eq!(seals.sealer().expect("it seals").key(), second);
    assert_eq!(in_use(), [&*first, &*second]);
    // Somebody may still hand over what the former key sealed; from then on it is known how far that reaches.
    seals.follow(&disk, &spool, (15, 20), at(60));
    seals.follow(&disk, &spool, (30, 30), at(60));
    assert_eq!(in_use(), [&*first, &*second]);
    seals.follow(&disk, &spool, (31, 40), at(61));
    seals.follow(&disk, &spool, (40, 50), at(62));
    assert_eq!(in_use(), [&*first, &*second], "up to the 40th");
    keys.end_former(&|| keys_in_use(&folder.0)).expect("both");
    assert_eq!(keys.present().expect("keys").names().count(), 2);
    seals.follow(&disk, &spool, (41, 50), at(63));
    assert_eq!(in_use(), [&*second]);
    keys.end_former(&|| keys_in_use(&folder.0)).expect("one");
    assert_eq!(keys.present().expect("keys").names().collect::<Vec<_>>(), [&*second]);

    // A restart knows no more than that all frames so far may need it; one that seals nothing lets it go in the end.
    let quiet = Sealing { keys: keys.clone(), seals: false };
    let seals = Seals::open(&disk, &spool, quiet, 51, began).expect("keys");
    assert!(seals.sealer().is_none());
    seals.follow(&disk, &spool, (50, 60), at(64));
    assert_eq!(in_use(), [&*second]);
    seals.follow(&disk, &spool, (51, 60), at(65));
    assert_eq!(in_use(), [""; 0]);
}

#[test]
fn a_file_that_makes_no_sense_ends_no_key() {
    let folder = Folder::new();
    let spool = folder.0.join("spool");
    std::fs::create_dir(&spool).expect("a folder");
    let keys = folder.keys();
    keys.add().expect("a key");
    std::fs::write(spool.join("keys"), "hookgate keys 1\nabc").expect("a file");
    assert!(matches!(keys_in_use(&folder.0), Err(SealError::File { .. })));
    keys.end_former(&|| keys_in_use(&folder.0)).expect_err("nobody knows");
    let sealing = Sealing { keys: keys.clone(), seals: true };
    let seals = Seals::open(&RealDisk, &spool, sealing, 5, Instant::now()).expect("keys");
    seals.follow(&RealDisk, &spool, (1, 5), Instant::now());
    assert_eq!(keys_in_use(&folder.0).map(|keys| keys.len()), Ok(2), "all of them may be in use");
}
