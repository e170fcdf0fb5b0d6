//! What a pace has used, so that a restart does not give it anew. In: what was let through. Out: the moments when its
//! budgets are whole again, the share of the pace that the destination stands, and until when it takes nothing, in a
//! small file of the lane's own, made when there is something to keep; and of which address that was said. Written
//! without a sync: it must outlive the process, not the machine.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};

use crate::clock::Clock;
use crate::limit::{BUDGETS, Nanos};

/// The folder in the data folder.
const FOLDER: &str = "pace";
const MOMENT_BYTES: usize = 8;
/// Where the share stands, behind the moments.
const SHARE_AT: u64 = (BUDGETS * MOMENT_BYTES) as u64;
/// And behind that the moment until which nothing is taken, and how long that was when it was said.
const CLOSED_AT: u64 = SHARE_AT + MOMENT_BYTES as u64;
const CLOSED_FOR_AT: u64 = CLOSED_AT + MOMENT_BYTES as u64;
/// And behind that whose moments these are: a digest of the address; zeros, where nobody said.
const ADDRESS_AT: u64 = CLOSED_FOR_AT + MOMENT_BYTES as u64;
type Address = [u8; MOMENT_BYTES];

/// The file of one lane.
#[derive(Debug)]
pub(super) struct Ledger {
    path: PathBuf,
    file: Option<File>,
    clock: Arc<Clock>,
    /// When each budget is whole again, in nanoseconds since 1970.
    whole_at: [Nanos; BUDGETS],
    /// How much of the pace goes.
    share: f64,
    closed_until: Nanos,
    /// The address that the file knows, and the one that it is about now.
    known: Address,
    address: Address,
}

fn path(data: &Path, key: &str) -> PathBuf {
    data.join(FOLDER).join(key)
}

impl Ledger {
    /// Opens the file, if there is one.
    pub(super) fn open(data: &Path, key: &str, clock: &Arc<Clock>) -> io::Result<Self> {
        let (path, clock) = (path(data, key), Arc::clone(clock));
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => None,
            opened => Some(opened?),
        };
        let read = |at: u64| {
            let mut kept = [0; MOMENT_BYTES];
            let is_there = file.as_ref()?.read_exact_at(&mut kept, at).is_ok();
            is_there.then_some(kept)
        };
        // Of what is not there nothing was used.
        let moment = |at| read(at).map_or(Nanos::MIN, Nanos::from_le_bytes);
        let whole_at = std::array::from_fn(|place| moment((place * MOMENT_BYTES) as u64));
        let share = read(SHARE_AT).map_or(1.0, f64::from_le_bytes);
        // Whatever became of the clock, it is no longer than it was.
        let most = read(CLOSED_FOR_AT).map_or(0, Nanos::from_le_bytes);
        let most = clock.now().micros().saturating_mul(1000).saturating_add(most);
        let closed_until = moment(CLOSED_AT).min(most);
        let known = read(ADDRESS_AT).unwrap_or_default();
        Ok(Self { path, file, clock, whole_at, share, closed_until, known, address: known })
    }

    /// The same, about what is there at an address.
    pub(super) fn about(mut self, address: &str) -> Self {
        self.address.copy_from_slice(&digest(&SHA256, address.as_bytes()).as_ref()[..MOMENT_BYTES]);
        self
    }

    /// Whether what is kept was said of another address.
    pub(super) fn is_anothers(&self) -> bool {
        self.known != Address::default() && self.known != self.address
    }

    /// Keeps the address, if another one is known.
    pub(super) fn keep_address(&mut self) {
        if self.known != self.address {
            self.known = self.address;
            self.put(&self.address.clone(), ADDRESS_AT);
        }
    }

    /// The same with a file, whatever is to be kept.
    pub(super) fn made(mut self) -> io::Result<Self> {
        self.make()?;
        Ok(self)
    }

    fn make(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            if let Some(folder) = self.path.parent() {
                DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            }
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            self.file = Some(options.open(&self.path)?);
        }
        Ok(())
    }

    /// What cannot be written is only not known after a restart.
    fn keep(&mut self, bytes: &[u8], at: u64) {
        self.keep_address();
        self.put(bytes, at);
    }

    fn put(&mut self, bytes: &[u8], at: u64) {
        if self.make().is_ok()
            && let Some(file) = &self.file
        {
            let _ = file.write_at(bytes, at);
        }
    }

    /// Gives the file of a lane to another key.
    pub(super) fn rename(data: &Path, from: &str, to: &str) -> io::Result<()> {
        match fs::rename(path(data, from), path(data, to)) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => Err(why),
            _ => Ok(()),
        }
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
            self.keep(&share.to_le_bytes(), SHARE_AT);
        }
    }

    /// Until when nothing is taken, as it was kept.
    pub(super) fn closed_until(&self) -> Nanos {
        self.closed_until
    }

    /// Keeps until when nothing is taken.
    pub(super) fn write_closed(&mut self, until: Nanos) {
        if until != self.closed_until {
            self.closed_until = until;
            let wait = until.saturating_sub(self.now()).max(0);
            let mut bytes = [0; 2 * MOMENT_BYTES];
            bytes[..MOMENT_BYTES].copy_from_slice(&until.to_le_bytes());
            bytes[MOMENT_BYTES..].copy_from_slice(&wait.to_le_bytes());
            self.keep(&bytes, CLOSED_AT);
        }
    }

    /// Keeps when each budget is whole again.
    pub(super) fn write(&mut self, whole_at: [Nanos; BUDGETS]) {
        self.whole_at = whole_at;
        let mut bytes = [0; BUDGETS * MOMENT_BYTES];
        for (room, moment) in bytes.chunks_exact_mut(MOMENT_BYTES).zip(whole_at) {
            room.copy_from_slice(&moment.to_le_bytes());
        }
        self.keep(&bytes, 0);
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
        assert_eq!(open().closed_until(), Nanos::MIN);
        open().write_closed(3_000_000_000);
        assert_eq!(open().closed_until(), 3_000_000_000);
        let early = Arc::new(Clock::fixed(Time::from_micros(10)));
        let early = Ledger::open(folder.path(), "lane", &early).expect("a ledger");
        assert_eq!(early.closed_until(), 2_000_010_000, "no longer than it was");
        assert_eq!(open().whole_at(), [7, Nanos::MIN, -3]);
        assert!(!open().about("here").is_anothers(), "nobody said whose it was");
        open().about("here").keep_address();
        assert!(!open().about("here").is_anothers() && open().about("there").is_anothers());
        open().about("there").write_share(0.5);
        assert!(open().about("here").is_anothers(), "what is kept is of the newest");
        fs::write(path(folder.path(), "lane"), 9_i64.to_le_bytes()).expect("a torn file");
        assert_eq!(open().whole_at(), [9, Nanos::MIN, Nanos::MIN]);
        Ledger::remove(folder.path(), "lane").expect("gone");
        Ledger::remove(folder.path(), "lane").expect("gone already");
    }
}
