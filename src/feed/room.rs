//! What room the index has. In: the file system of the data folder, and what the spool keeps free there. Out: how short
//! it is, and how large the index's log has grown. Decides nothing, changes nothing.

use std::path::{Path, PathBuf};

use super::FILE_NAME;
use super::index::SLICE_BYTES;

/// The log is cut once it is larger, where the disk is large: it grows with what is not checkpointed yet.
pub(super) const LOG_MAX_BYTES: u64 = 64 << 20;
/// And where room is short: less is not worth a checkpoint.
const LOG_MIN_BYTES: u64 = 256 << 10;
/// Its share of a small disk.
const LOG_SHARE: u64 = 20;
/// As much as this, or this share of a small disk, the index may have before it gives up old events for new ones.
const OWN_BYTES: u64 = 64 << 20;
const OWN_SHARE: u64 = 8;
/// The same where room is short, and what goes at once then.
const OWN_SHORT_BYTES: u64 = 4 << 20;
const SLICE_SHORT_BYTES: usize = 64 << 10;
/// Room inside the file that takes a batch or two, and what takes a small one.
const SPARE_BYTES: u64 = 4 << 20;
const SPARE_SHORT_BYTES: u64 = 512 << 10;
/// Share of what the spool keeps free, below which a file without such room grows no more.
const FLOOR_SHARE: u64 = 8;

/// How much room there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// Enough.
    Ample,
    /// The spool takes nothing any more, or soon will not: what is added lets it go of something.
    Tight,
    /// Less than is left for the spool's own files and the store's: new events take the room of old ones.
    Short,
}

/// What is free, as it was looked up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) room: Room,
    pub(super) free: u64,
    total: u64,
    /// Whether the file may grow.
    pub(super) may_grow: bool,
}

/// A data folder.
#[derive(Debug)]
pub(super) struct Ground {
    data: PathBuf,
    /// What the spool keeps free.
    free_min_bytes: u64,
}

impl Ground {
    pub(super) fn new(data: &Path, free_min_bytes: u64) -> Self {
        Self { data: data.to_path_buf(), free_min_bytes }
    }

    /// The room there is now; a file system that does not tell has enough.
    pub(super) fn look(&self) -> Found {
        let Ok(about) = rustix::fs::statvfs(&self.data) else {
            return Found { room: Room::Ample, free: u64::MAX, total: u64::MAX, may_grow: true };
        };
        let bytes = |blocks: u64| blocks.saturating_mul(about.f_frsize);
        let (free, total) = (bytes(about.f_bavail), bytes(about.f_blocks));
        let may_grow = free >= self.free_min_bytes / FLOOR_SHARE;
        Found { room: self.judge(free), free, total, may_grow }
    }

    /// Above the bound of the spool, so that the index is not what fills the disk; below it, so that what is kept can
    /// be added and then go.
    fn judge(&self, free: u64) -> Room {
        if free >= self.free_min_bytes.saturating_mul(2) {
            Room::Ample
        } else if free >= self.free_min_bytes / 4 {
            Room::Tight
        } else {
            Room::Short
        }
    }

    /// Bytes of the log beside the index's file.
    pub(super) fn log_bytes(&self) -> u64 {
        let path = self.data.join(format!("{FILE_NAME}-wal"));
        std::fs::metadata(path).map_or(0, |about| about.len())
    }
}

impl Found {
    /// Bytes of the log from which on it is cut.
    pub(super) fn log_max_bytes(&self) -> u64 {
        match self.room {
            Room::Ample => LOG_MAX_BYTES.min(self.total / LOG_SHARE).max(LOG_MIN_BYTES),
            Room::Tight | Room::Short => LOG_MIN_BYTES,
        }
    }

    /// Bytes that the index may have before old events go for new ones. None where it cannot grow: an index that held
    /// the spool for want of room would keep it from ever letting go of anything.
    pub(super) fn own_bytes(&self) -> u64 {
        let own = match self.room {
            Room::Ample | Room::Tight => OWN_BYTES,
            Room::Short if self.may_grow => OWN_SHORT_BYTES,
            Room::Short => 0,
        };
        own.min(self.total / OWN_SHARE)
    }

    /// Bytes of events that go at once: that, too, takes a place in the log.
    pub(super) fn shed_bytes(&self) -> usize {
        match self.room {
            Room::Ample | Room::Tight => SLICE_BYTES,
            Room::Short => SLICE_SHORT_BYTES,
        }
    }

    /// Bytes inside the file with which a batch needs nothing of the disk but a place in the log.
    pub(super) fn spare_min_bytes(&self) -> u64 {
        match self.room {
            Room::Ample | Room::Tight => SPARE_BYTES,
            Room::Short => SPARE_SHORT_BYTES,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_goes_on_where_the_spool_takes_nothing() {
        let ground = Ground::new(Path::new("/"), 100);
        let rooms = [200, 199, 100, 99, 25, 24, 0].map(|free| ground.judge(free));
        let [ample, tight, short] = [Room::Ample, Room::Tight, Room::Short];
        assert_eq!(rooms, [ample, tight, tight, tight, tight, short, short]);
        assert_eq!(Ground::new(Path::new("/"), 0).judge(0), Room::Ample, "there is no bound");
    }

    #[test]
    fn an_index_that_has_next_to_nothing_grows_down_to_a_floor() {
        let floor = |free_min_bytes| Ground::new(Path::new("/"), free_min_bytes).look();
        assert!(floor(0).may_grow);
        let none = floor(u64::MAX);
        assert_eq!((none.room, none.may_grow, none.own_bytes()), (Room::Short, false, 0));
    }

    #[test]
    fn the_log_of_a_small_or_full_disk_is_small() {
        let found = |room, total| Found { room, free: 0, total, may_grow: true }.log_max_bytes();
        assert_eq!(found(Room::Ample, 1 << 40), LOG_MAX_BYTES);
        assert_eq!(found(Room::Ample, 60 << 20), 3 << 20);
        assert_eq!(found(Room::Tight, 1 << 40), LOG_MIN_BYTES);
    }
}
