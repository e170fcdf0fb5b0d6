//! Whether appends are welcome. In: what writer and keeper see of disk and bounds. Out: one relaxed load for senders,
//! and the reason in numbers. Never looks at a disk itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::SpoolError;

/// Reasons to refuse, the gravest first.
#[derive(Debug, Default)]
struct Reasons {
    closed: bool,
    failed: Option<String>,
    disk: Option<(u64, u64)>,
    spool: Option<(u64, u64)>,
}

/// The gate.
#[derive(Debug, Default)]
pub(super) struct Gate {
    shut: AtomicBool,
    reasons: Mutex<Reasons>,
}

impl Gate {
    fn change(&self, how: impl FnOnce(&mut Reasons)) {
        let mut reasons = self.lock();
        how(&mut reasons);
        let shut = reasons.closed
            || reasons.failed.is_some()
            || reasons.disk.is_some()
            || reasons.spool.is_some();
        self.shut.store(shut, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Reasons> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why appends are refused, when they are.
    pub(super) fn reason(&self) -> Option<SpoolError> {
        if !self.shut.load(Ordering::Relaxed) {
            return None;
        }
        let reasons = self.lock();
        if reasons.closed {
            return Some(SpoolError::Failed("it is closed".to_owned()));
        }
        if let Some(why) = &reasons.failed {
            return Some(SpoolError::Failed(why.clone()));
        }
        if let Some((free_bytes, free_min_bytes)) = reasons.disk {
            return Some(SpoolError::NoRoom { free_bytes, free_min_bytes });
        }
        let (used_bytes, max_bytes) = reasons.spool?;
        Some(SpoolError::Full { used_bytes, max_bytes })
    }

    /// Closed for good.
    pub(super) fn close(&self) {
        self.change(|reasons| reasons.closed = true);
    }

    /// Whether it is closed for good.
    pub(super) fn is_closed(&self) -> bool {
        self.shut.load(Ordering::Acquire) && self.lock().closed
    }

    /// Writing failed for good.
    pub(super) fn fail(&self, why: &str) {
        self.change(|reasons| reasons.failed = Some(why.to_owned()));
    }

    /// The disk is full, or has room again: bytes free, and those that stay so. Tells whether that is news.
    pub(super) fn set_disk(&self, full: Option<(u64, u64)>) -> bool {
        let before = self.lock().disk.is_some();
        self.change(|reasons| reasons.disk = full);
        before != full.is_some()
    }

    /// The spool is at its bound, or has room again: bytes used and the bound. Tells whether that is news.
    pub(super) fn set_spool(&self, full: Option<(u64, u64)>) -> bool {
        let before = self.lock().spool.is_some();
        self.change(|reasons| reasons.spool = full);
        before != full.is_some()
    }

    /// Whether the disk is why.
    pub(super) fn is_disk_full(&self) -> bool {
        self.lock().disk.is_some()
    }

    /// Whether the spool's bound is why.
    pub(super) fn is_spool_full(&self) -> bool {
        self.lock().spool.is_some()
    }
}
