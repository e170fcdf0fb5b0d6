//! What a pace has used, so that a restart does not give it anew. In: events that were let through. Out: the moment
//! when the budget is whole again, in a small file of the lane's own. Written without a sync: it must outlive the
//! process, not the machine.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::clock::Clock;
use crate::limit::Rate;

/// The folder in the data folder.
const FOLDER: &str = "pace";
const MOMENT_BYTES: usize = 8;

/// The file of one lane.
#[derive(Debug)]
pub(super) struct Ledger {
    file: File,
    clock: Arc<Clock>,
    period_nanos: i64,
    /// When the budget is whole again, in nanoseconds since 1970.
    whole_at: i64,
}

fn path(data: &Path, key: &str) -> PathBuf {
    data.join(FOLDER).join(key)
}

impl Ledger {
    /// Opens the file, or makes it.
    pub(super) fn open(data: &Path, key: &str, rate: Rate, clock: &Arc<Clock>) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(data.join(FOLDER))?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path(data, key))?;
        let mut kept = [0; MOMENT_BYTES];
        // A file that is too short is new: nothing was used.
        let is_kept = file.read_exact_at(&mut kept, 0).is_ok();
        let whole_at = if is_kept { i64::from_le_bytes(kept) } else { 0 };
        let period_nanos = i64::try_from(rate.period().as_nanos()).unwrap_or(i64::MAX).max(1);
        Ok(Self { file, clock: Arc::clone(clock), period_nanos, whole_at })
    }

    /// Removes the file of a lane that is gone.
    pub(super) fn remove(data: &Path, key: &str) -> io::Result<()> {
        match fs::remove_file(path(data, key)) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => Err(why),
            _ => Ok(()),
        }
    }

    fn now(&self) -> i64 {
        self.clock.now().micros().saturating_mul(1000)
    }

    /// How much of a budget is used now; never more than all of it, whatever a clock did meanwhile.
    pub(super) fn used(&self, burst: u32) -> u32 {
        let left = self.whole_at.saturating_sub(self.now()).max(0);
        let used = left / self.period_nanos + i64::from(left % self.period_nanos > 0);
        u32::try_from(used).unwrap_or(u32::MAX).min(burst)
    }

    /// So many were let through.
    pub(super) fn spend(&mut self, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let spent = self.period_nanos.saturating_mul(count);
        self.whole_at = self.whole_at.max(self.now()).saturating_add(spent);
        // What cannot be written is only not known after a restart.
        let _ = self.file.write_at(&self.whole_at.to_le_bytes(), 0);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Time;
    use crate::forward::tests::Folder;

    #[test]
    fn what_was_used_is_known_after_a_restart() {
        let folder = Folder::new();
        let clock = Arc::new(Clock::fixed(Time::from_micros(1_000_000)));
        let rate = Rate::new(10, Duration::from_secs(1), None).expect("a rate");
        let open = || Ledger::open(folder.path(), "lane", rate, &clock).expect("a ledger");
        assert_eq!(open().used(10), 0);
        let mut ledger = open();
        ledger.spend(10);
        ledger.spend(15);
        assert_eq!(open().used(10), 10, "never more than there is");
        clock.advance_seconds(2);
        assert_eq!(open().used(10), 5);
        clock.advance_seconds(1);
        assert_eq!(open().used(10), 0);
        Ledger::remove(folder.path(), "lane").expect("gone");
        Ledger::remove(folder.path(), "lane").expect("gone already");
    }
}
