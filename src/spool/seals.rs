//! Requests under seal. In: keys of a file. Out: what seals the next ones, and which keys those that are kept need: a
//! key is written down before it seals the first, and stands there until the last frame it may have sealed is gone.
//! Whoever ends keys looks there.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use super::{Sealing, SpoolError};
use crate::journal::{Disk, Mode, RealDisk, replace};
use crate::seal::{Ring, SealError, Sealer};

const FILE: &str = "keys";
const TITLE: &str = "hookgate keys 1";
/// What stands for a sequence while a key seals.
const SEALS: &str = "-";
/// Largest file: a file of keys has few, and one that was ended stands there while frames need it.
const FILE_MAX_BYTES: u64 = 64 << 10;
/// A sealer is good for 2^32 pieces: at a million a second for more than an hour.
const SEALER_LIFE: Duration = Duration::from_mins(1);
/// For so long after a key was replaced somebody may still hand a frame over that it sealed.
const LINGER: Duration = Duration::from_mins(1);

/// A key, and how far the frames reach that it may have sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Use {
    key: String,
    /// The last of them; nothing while there may be more.
    last: Option<u64>,
    /// Since when another key seals.
    replaced: Option<Instant>,
}

/// What seals and what is in use.
#[derive(Debug)]
pub(super) struct Seals {
    sealing: Sealing,
    sealer: ArcSwapOption<Sealer>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    uses: Vec<Use>,
    is_saved: bool,
    /// When the sealer was made.
    made: Instant,
    has_failed: bool,
}

impl Seals {
    /// Goes on where a folder was left; `next` is the sequence of the next frame.
    pub(super) fn open(
        disk: &dyn Disk,
        folder: &Path,
        sealing: Sealing,
        next: u64,
        now: Instant,
    ) -> Result<Self, SpoolError> {
        let last = Some(next.saturating_sub(1));
        let reaches =
            |(key, end): (String, Option<u64>)| Use { key, last: end.or(last), replaced: None };
        let saved = read(disk, &folder.join(FILE)).unwrap_or_else(|fault| {
            tracing::warn!(%fault, "nobody knows which keys seal requests: all of the file may");
            sealing.keys.last().names().map(|key| (key.to_owned(), None)).collect()
        });
        let is_saved = saved.iter().all(|(_, end)| end.is_some());
        let uses = saved.into_iter().map(reaches).collect();
        let state = State { uses, is_saved, made: now, has_failed: false };
        let seals = Self { sealing, sealer: ArcSwapOption::empty(), state: Mutex::new(state) };
        let ring = seals.ring();
        for lost in seals.lock().uses.iter().filter(|one| ring.names().all(|name| name != one.key))
        {
            let key = &lost.key;
            tracing::warn!(
                key,
                "requests are sealed with a key that the file of keys does not have"
            );
        }
        if seals.sealing.seals {
            seals.renew(disk, folder, &ring, now).map_err(|fault| refuse(folder, &fault))?;
        }
        Ok(seals)
    }

    /// What seals right now.
    pub(super) fn sealer(&self) -> Option<Arc<Sealer>> {
        self.sealer.load_full()
    }

    /// Whether requests are sealed.
    pub(super) fn seals(&self) -> bool {
        self.sealing.seals
    }

    /// The keys as the file has them, or had them last.
    pub(super) fn ring(&self) -> Arc<Ring> {
        self.sealing.keys.present().unwrap_or_else(|_| self.sealing.keys.last())
    }

    /// Follows the file of keys, and lets go of those that nothing needs: the oldest frame that is kept and the newest
    /// that was handed over have these sequences.
    pub(super) fn follow(
        &self,
        disk: &dyn Disk,
        folder: &Path,
        (oldest, newest): (u64, u64),
        now: Instant,
    ) {
        let mut fault = None;
        if self.sealing.seals {
            let ring = self.ring();
            let is_old = now.duration_since(self.lock().made) >= SEALER_LIFE;
            let is_present = self.sealer().is_some_and(|sealer| sealer.key() == ring.name());
            if is_old || !is_present {
                fault = self.renew(disk, folder, &ring, now).err();
            }
        }
        let mut state = self.lock();
        for one in &mut state.uses {
            if one.last.is_none()
                && one.replaced.is_some_and(|since| now.duration_since(since) >= LINGER)
            {
                one.last = Some(newest);
            }
        }
        let before = state.uses.len();
        state.uses.retain(|one| one.last.is_none_or(|last| last >= oldest));
        let is_changed = state.uses.len() < before || !state.is_saved;
        if is_changed && fault.is_none() {
            fault = state.save(disk, folder).err();
        }
        match fault {
            Some(fault) if !state.has_failed => {
                state.has_failed = true;
                tracing::warn!(%fault, "which keys seal requests could not be written down");
            }
            Some(_) => {}
            None => state.has_failed = false,
        }
    }

    /// Takes a new sealer of the key that seals now, which is written down first.
    fn renew(&self, disk: &dyn Disk, folder: &Path, ring: &Ring, now: Instant) -> io::Result<()> {
        let sealer = ring.sealer();
        let mut state = self.lock();
        let is_known = |one: &Use| one.key == sealer.key() && one.last.is_none();
        if !state.uses.iter().any(is_known) {
            state.uses.retain(|one| one.key != sealer.key());
            let key = sealer.key().to_owned();
            state.uses.push(Use { key, last: None, replaced: None });
            state.save(disk, folder)?;
            // Whoever ends keys looks at this file behind that; here it is the other way round.
            if self.ring().names().all(|name| name != sealer.key()) {
                return Err(io::Error::other("the key was ended meanwhile"));
            }
        }
        for one in &mut state.uses {
            let is_present = one.key == sealer.key();
            one.replaced = (!is_present).then(|| one.replaced.unwrap_or(now));
        }
        state.made = now;
        self.sealer.store(Some(Arc::new(sealer)));
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn save(&mut self, disk: &dyn Disk, folder: &Path) -> io::Result<()> {
        self.is_saved = false;
        let mut text = format!("{TITLE}\n");
        for one in &self.uses {
            let last = one.last.map_or(SEALS.to_owned(), |last| last.to_string());
            let _ = writeln!(text, "{} {last}", one.key);
        }
        replace(disk, folder, FILE, text.as_bytes())?;
        self.is_saved = true;
        Ok(())
    }
}

/// The keys that requests of a data folder may be sealed with, by their names. May be asked while a gateway runs.
///
/// # Errors
/// [`SealError::File`]: then nobody knows.
pub fn keys_in_use(data: &Path) -> Result<Vec<String>, SealError> {
    let path = data.join("spool").join(FILE);
    let saved = read(&RealDisk, &path);
    let saved = saved.map_err(|fault| SealError::File { path, why: fault.to_string() })?;
    Ok(saved.into_iter().map(|(key, _)| key).collect())
}

/// The keys that a file names, and the last frame of each.
fn read(disk: &dyn Disk, path: &Path) -> io::Result<Vec<(String, Option<u64>)>> {
    let file = match disk.open(path, Mode::Read) {
        Ok(file) => file,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(fault) => return Err(fault),
    };
    let mut bytes = vec![0; file.size()?.min(FILE_MAX_BYTES) as usize];
    let got = file.read_at(&mut bytes, 0)?;
    let text = String::from_utf8_lossy(&bytes[..got]);
    let bad = || io::Error::other("this does not say which keys are in use");
    let lines =
        text.strip_prefix(TITLE).and_then(|text| text.strip_prefix('\n')).ok_or_else(bad)?;
    let line = |line: &str| {
        let (key, last) = line.split_once(' ')?;
        let last = if last == SEALS { None } else { Some(last.parse().ok()?) };
        Some((key.to_owned(), last))
    };
    lines.lines().map(|text| line(text).ok_or_else(bad)).collect()
}

fn refuse(folder: &Path, fault: &io::Error) -> SpoolError {
    SpoolError::Folder { path: folder.join(FILE), why: fault.to_string() }
}
