//! The thread behind the writer. In: time passing. Out: cursors saved, old segments retired or recycled, spares
//! zero-filled ahead, the gate kept by space, old segments read for damage, the file of keys followed, keys of requests
//! written down before their segments go, and what readers lose with them. Never retires what a holding reader has not
//! released.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::content::decode;
use super::firsts::{CHUNK_MAX, Entry};
use super::late;
use super::open::firsts_of;
use super::shared::Shared;
use crate::journal::{Found, Segment, Space, scrub};

/// Cursors are saved at most this often.
pub(super) const ROUND: Duration = Duration::from_millis(100);
/// Bytes of cursors in a round, on average: those of thousands that are behind are saved more seldom.
const SAVED_ROUND_BYTES: usize = 64 << 10;
/// Rounds between two looks at the file system, and between two old segments read.
const SPACE_ROUNDS: u64 = 5;
const SCRUB_ROUNDS: u64 = 10;
/// Between two writings of what was refused, whatever comes.
const REFUSED_ROUNDS: u64 = 100;
/// Between two looks at the file of keys.
const SEALS_ROUNDS: u64 = 10;
/// So many keys are written down at once, or those of so many bytes of segments: start-up reads what is behind that.
const FIRSTS_MANY: usize = 1024;
const FIRSTS_BEHIND_BYTES: u64 = 64 << 20;
/// Rounds after they could not be written, and between two looks for those that are over.
const FIRSTS_PAUSE_ROUNDS: u64 = 20;
const FORGET_ROUNDS: u64 = 600;
/// After a spare could not be made.
const FILL_PAUSE: Duration = Duration::from_secs(2);
/// Spares that are always kept: one to go on with, one that was recycled meanwhile.
const SPARES_MIN: usize = 2;
/// Most spares, as a share of all the spool's bytes: whoever was behind will be again, and a file that was written
/// before costs half of a new one. Beyond [`SPARES_MIN`], one goes in so many rounds.
const SPARES_SHARE: u64 = 2;
const SPARE_ROUNDS: u64 = 600;

/// A segment that is to go.
struct Going {
    segment: Arc<Segment>,
    /// For want of room.
    is_tight: bool,
    may_recycle: bool,
}

pub(super) struct Keeper<'a> {
    shared: &'a Shared,
    unread: Vec<Arc<Segment>>,
    round: u64,
    space: Option<Space>,
    /// Size of the last spare.
    grown: u64,
    fill_after: Instant,
    cursor_failed: bool,
    refused_failed: bool,
    /// Keys could not be written down.
    firsts_failed: bool,
    /// The round from which on that is tried again.
    firsts_at: u64,
    /// The round from which on cursors are saved again.
    save_at: u64,
}

/// Keeps until the spool is closed; the cursors are saved a last time then.
pub(super) fn run(shared: &Shared, unread: Vec<Arc<Segment>>) {
    let mut keeper = Keeper::new(shared, unread);
    while shared.bell.wait(ROUND) {
        keeper.go_round();
    }
    keeper.save_cursors();
    keeper.save_refused();
    keeper.write_firsts();
}

impl<'a> Keeper<'a> {
    pub(super) fn new(shared: &'a Shared, unread: Vec<Arc<Segment>>) -> Self {
        Self {
            shared,
            unread,
            round: 0,
            space: None,
            grown: 0,
            fill_after: Instant::now(),
            cursor_failed: false,
            refused_failed: false,
            firsts_failed: false,
            firsts_at: 0,
            save_at: 0,
        }
    }

    pub(super) fn go_round(&mut self) {
        let shared = self.shared;
        if self.round >= self.save_at {
            self.save_cursors();
        }
        if self.round.is_multiple_of(SPACE_ROUNDS) {
            self.space = shared.disk.space(&shared.folder).ok();
            self.keep_disk_gate();
        }
        self.keep_firsts();
        self.retire();
        self.keep_spool_gate();
        self.prepare_spare();
        if self.round.is_multiple_of(SPARE_ROUNDS) {
            shared.shelf.drop_spares(&*shared.disk, SPARES_MIN, 1);
        }
        if self.round.is_multiple_of(SCRUB_ROUNDS) {
            self.scrub_one();
        }
        if self.round.is_multiple_of(REFUSED_ROUNDS) {
            self.save_refused();
        }
        if let Some(seals) = &shared.seals
            && self.round.is_multiple_of(SEALS_ROUNDS)
        {
            let oldest = shared.shelf.oldest().unwrap_or_else(|| shared.durable() + 1);
            let frames = (oldest, shared.queue.newest());
            seals.follow(&*shared.disk, &shared.folder, frames, Instant::now());
        }
        self.round += 1;
    }

    /// `false`: they could not be.
    fn save_cursors(&mut self) -> bool {
        match self.shared.save_cursors() {
            Ok(0) => true,
            Ok(bytes) => {
                self.cursor_failed = false;
                self.save_at = self.round + (bytes / SAVED_ROUND_BYTES) as u64;
                true
            }
            Err(fault) => {
                if !std::mem::replace(&mut self.cursor_failed, true) {
                    tracing::warn!(%fault, "the cursors could not be saved; they are kept in memory");
                }
                false
            }
        }
    }

    fn save_refused(&mut self) {
        let shared = self.shared;
        match shared.refusals.save(&*shared.disk, &shared.folder) {
            Ok(()) => self.refused_failed = false,
            Err(fault) if !self.refused_failed => {
                self.refused_failed = true;
                tracing::warn!(%fault, "what was refused could not be written down");
            }
            Err(_) => {}
        }
    }

    /// Free bytes from which on a full disk is usable again.
    fn free_enough(&self) -> u64 {
        self.shared.bounds.free_min_bytes / 4 * 5
    }

    fn keep_disk_gate(&self) {
        let shared = self.shared;
        let Some(Space { free, total }) = self.space else { return };
        let free_min_bytes = shared.bounds.free_min_bytes;
        if free < free_min_bytes {
            shared.shelf.drop_spares(&*shared.disk, 0, usize::MAX);
            shared.refuse_for(Space { free, total });
        } else if shared.gate.is_disk_full()
            && free >= self.free_enough()
            && shared.gate.set_disk(None)
        {
            tracing::info!(free, total, "the disk has room again");
        }
    }

    fn keep_spool_gate(&self) {
        let shared = self.shared;
        let held = shared.shelf.held();
        shared.written.store(held.written, Ordering::Relaxed);
        let free = self.space.map(|space| space.free);
        shared.facts.measured(held.files, free, shared.shelf.count());
        let bound = shared.bounds.written_max_bytes;
        if held.written >= bound && self.is_spent() {
            // Of a bound that was lowered: only a batch can begin another segment, and then this one goes.
            shared.ends.store(true, Ordering::Release);
            if shared.gate.set_spool(None) {
                tracing::info!(
                    written = held.written,
                    bound,
                    "nothing waits in the spool: it goes on in a new segment"
                );
            }
        } else if shared.is_over(held.written) {
            shared.gate.set_spool(Some((held.written, bound)));
        } else if shared.gate.is_spool_full()
            && held.written <= bound / 20 * 19
            && shared.gate.set_spool(None)
        {
            tracing::info!(written = held.written, bound, "the spool has room again");
        }
    }

    /// Whether there is the newest segment alone, and nobody waits for anything in it.
    fn is_spent(&self) -> bool {
        let shared = self.shared;
        let holding = shared.tracks.holds(shared.durable()).holding;
        let newest = shared.shelf.newest();
        shared.shelf.count() == 1 && newest.is_some_and(|newest| newest.last() <= holding)
    }

    /// Retires released segments whose time has come; under pressure at once, and then also what a reader that drops
    /// has not released.
    fn retire(&mut self) {
        let shared = self.shared;
        let holds = shared.tracks.holds(shared.durable());
        let candidates = shared.shelf.retirable();
        let now = shared.clock.now().micros();
        let mut written = shared.shelf.held().written;
        let released = candidates.iter().filter(|segment| segment.last() <= holds.all);
        let mut released_bytes: u64 = released.map(|segment| segment.size()).sum();
        let mut going = Vec::new();
        for (retired, segment) in candidates.into_iter().enumerate() {
            let spool_tight = written > shared.bounds.written_soft_bytes;
            // A disk may be full for us alone (a quota): then one segment a round, until a write succeeds.
            let disk_tight = self.space.is_some_and(|space| space.free < self.free_enough())
                || (shared.gate.is_disk_full() && retired == 0);
            let tight = spool_tight || disk_tight;
            let age = now.saturating_sub(segment.sealed().unwrap_or(now));
            let due = age >= shared.bounds.retention_micros
                || released_bytes > shared.bounds.retention_max_bytes;
            let free_to_go = if tight { holds.holding } else { holds.all };
            if segment.last() > free_to_go || !(tight || due) {
                break;
            }
            // Its keys outlive it. Only for want of room it goes first: they are in memory, and written once there is.
            if !self.has_written(segment.last()) && !self.write_firsts() && !tight {
                break;
            }
            let (size, end) = (segment.size(), segment.end());
            written -= end.min(written);
            released_bytes -= size.min(released_bytes);
            if let (Some(space), true) = (&mut self.space, disk_tight) {
                space.free += size;
            }
            going.push(Going { segment, is_tight: tight, may_recycle: !disk_tight });
        }
        self.retire_all(&going);
    }

    /// Takes segments away. What readers lose with them is durable first, and what was released, so that a start
    /// counts neither wrong. Only for want of room they go though it is not: a start counts all that is missing then.
    fn retire_all(&mut self, going: &[Going]) {
        let shared = self.shared;
        let Some(last) = going.last().map(|going| going.segment.last()) else { return };
        shared.tracks.note_unused(shared.shelf.unused());
        shared.tracks.drop_until(last);
        let is_saved = shared.tracks.is_saved_through(last) || self.save_cursors();
        for (reader, frames) in shared.tracks.settle_drop() {
            shared.tell_lost(&reader, frames);
        }
        for Going { segment, is_tight, may_recycle } in going {
            if !is_saved && !is_tight {
                return;
            }
            self.retire_one(segment, *may_recycle);
        }
    }

    /// Writes keys down once there are many, or once start-up would have to read far back for them.
    fn keep_firsts(&mut self) {
        let shared = self.shared;
        let fresh = shared.keys.lock().unwrap_or_else(PoisonError::into_inner).fresh_count();
        let through = self.written_through();
        let unwritten = |segment: &&Arc<Segment>| Some(segment.last()) > through;
        let sealed = shared.shelf.retirable();
        let bytes: u64 = sealed.iter().filter(unwritten).map(|segment| segment.size()).sum();
        if through.is_none() || fresh >= FIRSTS_MANY || bytes >= FIRSTS_BEHIND_BYTES {
            self.write_firsts();
        }
        if self.round.is_multiple_of(FORGET_ROUNDS) {
            let horizon = shared.horizon();
            let mut firsts = shared.firsts.lock().unwrap_or_else(PoisonError::into_inner);
            firsts.forget(&*shared.disk, horizon);
        }
    }

    /// Up to which frame all keys are written down.
    fn written_through(&self) -> Option<u64> {
        self.shared.firsts.lock().unwrap_or_else(PoisonError::into_inner).through()
    }

    fn has_written(&self, sequence: u64) -> bool {
        self.written_through() >= Some(sequence)
    }

    /// Writes the keys of all durable frames down; `false`: not all of them are.
    fn write_firsts(&mut self) -> bool {
        if self.round < self.firsts_at {
            return false;
        }
        let shared = self.shared;
        // Before the keys are looked at: whoever handed one of these frames over has put its keys there by then.
        let durable = shared.durable();
        let keys = || shared.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let mut firsts = shared.firsts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut is_first = true;
        loop {
            let fresh = keys().fresh(durable, CHUNK_MAX);
            if fresh.is_empty() && !is_first {
                return true;
            }
            let is_kept = |(_, first): &&Entry| {
                !matches!(shared.queue.fate(first.receipt.sequence()), Some(Err(_)))
            };
            let kept: Vec<Entry> = fresh.iter().filter(is_kept).copied().collect();
            // Of a chunk that is full there may be more.
            let through = match fresh.last() {
                Some((_, last)) if fresh.len() == CHUNK_MAX => last.receipt.sequence() - 1,
                _ => durable,
            };
            if firsts.through() < Some(through) || !kept.is_empty() {
                if let Err(fault) = firsts.append(&*shared.disk, &kept, through) {
                    self.firsts_at = self.round + FIRSTS_PAUSE_ROUNDS;
                    if !std::mem::replace(&mut self.firsts_failed, true) {
                        tracing::warn!(%fault, "keys of requests could not be written down");
                    }
                    return false;
                }
                self.firsts_failed = false;
            }
            keys().settle(&fresh);
            is_first = false;
        }
    }

    fn retire_one(&self, segment: &Arc<Segment>, may_recycle: bool) {
        let shared = self.shared;
        let whole = segment.size() == shared.bounds.segment_bytes;
        let spares_bytes = shared.bounds.spool_max_bytes / SPARES_SHARE;
        let spares_max = (spares_bytes / segment.size().max(1)).max(SPARES_MIN as u64);
        let recycle = may_recycle && whole && (shared.shelf.spare_count() as u64) < spares_max;
        if let Err(fault) = shared.shelf.retire(&*shared.disk, &shared.folder, segment, recycle) {
            tracing::warn!(%fault, segment = segment.name, "a segment could not be retired");
        }
    }

    /// Has the next segment ready before it is needed: four times as large as the last, up to the full size.
    fn prepare_spare(&mut self) {
        let shared = self.shared;
        let segments = &shared.shelf;
        if segments.spare_count() > 0
            || Instant::now() < self.fill_after
            || shared.gate.reason().is_some()
        {
            return;
        }
        let Some(newest) = segments.newest() else { return };
        // A folder that never outgrows its first segment needs no second.
        let first = segments.count() == 1 && newest.sealed().is_none();
        if first && newest.end() < newest.head.capacity / 4 {
            return;
        }
        let wanted = newest.head.capacity.max(self.grown).saturating_mul(4);
        let capacity = wanted.clamp(shared.bounds.first_bytes, shared.bounds.segment_bytes);
        let free = self.space.map_or(u64::MAX, |space| space.free);
        if segments.held().files + capacity > shared.bounds.spool_max_bytes
            || free < self.free_enough().saturating_add(capacity)
        {
            return;
        }
        let id = fastrand::u64(..);
        let filled = segments.fill_spare(&*shared.disk, &shared.folder, capacity, shared.mode, id);
        match filled {
            Ok(()) => self.grown = capacity,
            Err(fault) => {
                self.fill_after = Instant::now() + FILL_PAUSE;
                tracing::debug!(%fault, capacity, "no segment could be made ahead");
            }
        }
    }

    /// Reads one segment that start-up trusted.
    fn scrub_one(&mut self) {
        let Some(segment) = self.unread.pop() else { return };
        let shared = self.shared;
        if segment.is_gone() {
            return;
        }
        let horizon = shared.horizon();
        let mut firsts = Vec::new();
        let mut visit = |found: &Found| {
            if let Some(kept) = decode(&found.header, &found.payload)
                && kept.received >= horizon
            {
                firsts.extend(firsts_of(&kept));
                firsts.extend(late::read(&found.header, &found.payload));
            }
        };
        match scrub(&*shared.disk, &shared.folder, &segment, &mut visit) {
            Ok(found) => {
                for damage in &found {
                    shared.count_damage(damage);
                }
                self.add_found(firsts);
            }
            Err(fault) => {
                tracing::warn!(%fault, segment = segment.name, "a segment could not be read");
            }
        }
    }

    /// Keys that nobody knew, of a folder from before they were written down or whose files were lost.
    fn add_found(&self, mut found: Vec<Entry>) {
        let shared = self.shared;
        {
            let mut keys = shared.keys.lock().unwrap_or_else(PoisonError::into_inner);
            // Each becomes the oldest: the newest of them first.
            found.reverse();
            found.retain(|(key, first)| keys.insert_oldest(*key, *first));
            found.reverse();
        }
        let mut firsts = shared.firsts.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(through) = firsts.through() else { return };
        for chunk in found.chunks(CHUNK_MAX) {
            if let Err(fault) = firsts.append(&*shared.disk, chunk, through) {
                // The next start reads the segment again.
                tracing::debug!(%fault, "keys that were found could not be written down");
                return;
            }
        }
    }
}
