//! Why a spool does not take or give. In: what gate, writer and folder found. Out: one enum with its numbers. Decides
//! nothing.

use std::path::PathBuf;

/// Why the spool did not take or give.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpoolError {
    /// The spool's own bound is reached; it drains by itself once readers take what waits.
    #[error(
        "the spool is full: {used_bytes} bytes are in it, spool.max_bytes leaves room for {max_bytes}"
    )]
    Full { used_bytes: u64, max_bytes: u64 },
    /// The file system has no room; appends are taken again by themselves once it has.
    #[error("{}", told_of_disk(*free_bytes, *free_min_bytes))]
    NoRoom { free_bytes: u64, free_min_bytes: u64 },
    /// Too much waits for the sync right now.
    #[error("the spool is busy")]
    Busy,
    /// The disk took too long: what becomes of the frame is not known, and it may be kept.
    #[error("the disk is slow")]
    Slow,
    /// A write or sync failed; nothing of its batch counts as kept.
    #[error("the spool failed: {0}")]
    Failed(String),
    /// Another process holds the data folder.
    #[error(
        "{path} is in use by process {pid}: stop it first, or give this one another --data folder"
    )]
    Locked { path: PathBuf, pid: String },
    /// The folder cannot be used.
    #[error("{path}: {why}")]
    Folder { path: PathBuf, why: String },
    /// One frame is larger than a segment takes.
    #[error("a frame of {bytes} bytes is over the limit of {max_bytes}")]
    FrameTooLarge { bytes: u64, max_bytes: u64 },
}

fn told_of_disk(free_bytes: u64, free_min_bytes: u64) -> String {
    if free_bytes < free_min_bytes {
        format!(
            "the disk is full: {free_bytes} bytes are free, spool.free_min_bytes keeps {free_min_bytes} free"
        )
    } else {
        format!("the disk takes no more, though {free_bytes} bytes are free: is there a quota?")
    }
}
