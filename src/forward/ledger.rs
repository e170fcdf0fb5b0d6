//! What a pace has used, so that a restart does not give it anew. In: what was let through. Out: the moments when its
//! budgets are whole again, and the share of the pace that the destination stands, in a small file of the lane's own.
//! Written without a sync: it must outlive the process, not the machine.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::clock::Clock;
use crate::limit::{BUDGETS, Nanos};

/// The folder in the data folder.
const FOLDER: &str = "pace";
const MOMENT_BYTES: usize = 8;
/// Where the share stands, behind the moments.
const SHARE_AT: u64 = (BUDGETS * MOMENT_BYTES) as u64;

/// The file of one lane.
#[derive(Debug)]
pub(super) struct Ledger {
    file: File,
    clock: Arc<Clock>,
    /// When each budget is whole again, in nanoseconds since 1970.
    whole_at: [Nanos; BUDGETS],
    /// How much of the pace goes.
    share: f64,
}

fn path(data: &Path, key: &str) -> PathBuf {
    data.join(FOLDER).join(key)
}

impl Ledger {
    /// Opens the file, or makes it.
    pub(super) fn open(data: &Path, key: &str, clock: &Arc<Clock>) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(data.join(FOLDER))?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path(data, key))?;
        let mut whole_at = [Nanos::MIN; BUDGETS];
        for (place, moment) in whole_at.iter_mut().enumerate() {
            let mut kept = [0; MOMENT_BYTES];
            // Of what is not there nothing was used.
            if file.read_exact_at(&mut kept, (place * MOMENT_BYTES) as u64).is_ok() {
                *moment = Nanos::from_le_bytes(kept);
            }
        }
        let mut kept = [0; MOMENT_BYTES];
        let is_there = file.read_exact_at(&mut kept, SHARE_AT).is_ok();
        let share = if is_there { f64::from_le_bytes(kept) } else { 1.0 };
        Ok(Self { file, clock: Arc::clone(clock), whole_at, share })
    }

    /// Removes the file of a lane that is gone.
    pub(super) fn remove(data: &Path, key: &str) -> io::Result<()> {
        match fs::remove_file(path(data, key)) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => Err(why),
            _ => Ok(()),
        }
    }

    /// The moment, as the file tells moments.
    pub(super) fn now(&self) -> Nanos {
        self.clock.now().micros().saturating_mul(1000)
    }

    /// When each budget is whole again, as it was kept.
    pub(super) fn whole_at(&self) -> [Nanos; BUDGETS] {
        self.whole_at
    }

    /// How much of the pace went, as it was kept; anything, if that was spoilt.
    pub(super) fn share(&self) -> f64 {
        self.share
    }

    /// Keeps how much of the pace goes, if that is another share than before.
    pub(super) fn write_share(&mut self, share: f64) {
        if share.to_bits() != self.share.to_bits() {
            self.share = share;
            let _ = self.file.write_at(&share.to_le_bytes(), SHARE_AT);
        }
    }

    /// Keeps when each budget is whole again.
    pub(super) fn write(&mut self, whole_at: [Nanos; BUDGETS]) {
        self.whole_at = whole_at;
        let mut bytes = [0; BUDGETS * MOMENT_BYTES];
        for (room, moment) in bytes.chunks_exact_mut(MOMENT_BYTES).zip(whole_at) {
            room.copy_from_slice(&moment.to_le_bytes());
        }
        // What cannot be written is only not known after a restart.
        let _ = self.file.write_at(&bytes, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Time;
    use crate::forward::tests::Folder;

    #[test]
    fn what_was_used_is_known_after_a_restart() {
        let folder = Folder::new();
        let clock = Arc::new(Clock::fixed(Time::from_micros(1_000_000)));
        let open = || Ledger::open(folder.path(), "lane", &clock).expect("a ledger");
        assert_eq!((open().whole_at(), open().now()), ([Nanos::MIN; BUDGETS], 1_000_000_000));
        open().write([7, Nanos::MIN, -3]);
        assert!((open().share() - 1.0).abs() < 1e-9);
        open().write_share(0.25);
        assert!((open().share() - 0.25).abs() < 1e-9);
        assert_eq!(open().whole_at(), [7, Nanos::MIN, -3]);
        fs::write(path(folder.path(), "lane"), 9_i64.to_le_bytes()).expect("a torn file");
        assert_eq!(open().whole_at(), [9, Nanos::MIN, Nanos::MIN]);
        Ledger::remove(folder.path(), "lane").expect("gone");
        Ledger::remove(folder.path(), "lane").expect("gone already");
    }
}
