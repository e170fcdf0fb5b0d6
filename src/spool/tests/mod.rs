//! The spool on the machine's own disk and on one that fails: what is promised to senders and to readers.

mod faults;
mod late;
mod losses;
mod once;
mod real;
mod seals;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::event;
use crate::journal::fault::{FaultDisk, Plan};

/// A data folder that goes when the test ends.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hookgate-spool-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    /// A file of keys with one.
    pub(super) fn keys(&self) -> Keys {
        Keys::make(&self.0.join("secrets.keys")).expect("a file of keys")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Settings that do not depend on how full the machine is.
pub(super) fn options() -> Options {
    Options { free_min_bytes: 0, ..Options::default() }
}

pub(super) fn open(folder: &Path, options: Options) -> (Spool, Recovery) {
    let clock = Arc::new(Clock::fixed(Time::from_micros(1_000_000)));
    Spool::open(folder, options, &clock, &Telemetry::new()).expect("a spool")
}

/// A spool on a disk that fails.
pub(super) fn open_on(
    disk: &FaultDisk,
    options: &Options,
) -> Result<(Spool, Recovery), SpoolError> {
    let clock = Arc::new(Clock::fixed(Time::from_micros(1_000_000)));
    let ground = Ground::new(Arc::new(disk.clone()), None, fastrand::Rng::new());
    let opened = open::open(ground, Path::new("/data"), options, &clock, &Telemetry::new());
    opened.map(|(running, recovery)| (Spool { running: Arc::new(running) }, recovery))
}

/// An event that says `number`.
pub(super) fn event(number: u64) -> Event {
    let (time, id) = (Time::from_micros(1_000_000), Uuid::from_u128(number.into()));
    event::compose(time, "test", &[], &[], &format!("{{\"number\":{number}}}"), id, None)
}

/// A request's frame of about `bytes`.
pub(super) fn frame(number: u64, bytes: usize) -> Frame {
    let body = Bytes::from(vec![number as u8; bytes]);
    let capture = Capture { webhook: Uuid::from_u128(9), body, ..Capture::default() };
    let time = Time::from_micros(1_000_000);
    let own = event(number + (1 << 40));
    Frame::encode(Uuid::from_u128(1), None, time, &[own, event(number)], Some(&capture))
}

/// The number of a request's frame.
pub(super) fn number(kept: &Kept) -> u64 {
    let number = kept.events.last().expect("an event").id.as_u128() as u64;
    assert_eq!(kept.events.last(), Some(&event(number)));
    let capture = kept.capture.as_ref().expect("a request");
    assert!(capture.body.iter().all(|byte| *byte == number as u8), "body of {number}");
    number
}

/// Everything a reader has to give, released.
pub(super) async fn drain(spool: &Spool, reader: &mut Reader) -> Vec<u64> {
    let mut numbers = Vec::new();
    while reader.lag().frames > 0 && spool.status().durable > 0 {
        let kept = reader.next(100, 1 << 20).await.expect("frames");
        numbers.extend(kept.iter().map(number));
        reader.release(kept.last().expect("a frame").sequence);
    }
    numbers
}
