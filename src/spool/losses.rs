//! What a reader lost: the spool was full, or it was let go of while something waited. In: ranges of sequences as they
//! go. Out: how many frames that were, and whether a frame was among them, as far back as ranges are remembered: a few,
//! those that touch are one. Frames among them that are known to have nothing for the reader are not counted. And how
//! many of them events have told.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use super::Spool;

/// Most ranges that are remembered of one reader; the oldest go first.
const RANGES_MAX: usize = 16;

/// What became of a frame that a reader has behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was read.
    Read,
    /// The reader lost it.
    Lost,
    /// It lost some there, and which ones is not known any more.
    Unsure,
}

/// What one reader lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Loss {
    /// All frames of its ranges together, forgotten ones, too.
    frames: u64,
    /// Those of them that had nothing for it, as far as that is known.
    others: u64,
    /// As many of those that are left were told.
    said: u64,
    /// The newest of them, first and last, in order; none touches another.
    ranges: VecDeque<(u64, u64)>,
}

impl Loss {
    /// Frames go, from the first to the last. One that is remembered as gone counts once.
    pub(super) fn add(&mut self, first: u64, last: u64) {
        let mut whole = (first, last);
        let mut fresh = last + 1 - first;
        let at = self.ranges.partition_point(|(_, end)| end + 1 < first);
        while let Some(&(start, end)) = self.ranges.get(at).filter(|range| range.0 <= last + 1) {
            fresh -= (end.min(last) + 1).saturating_sub(start.max(first));
            whole = (whole.0.min(start), whole.1.max(end));
            self.ranges.remove(at);
        }
        self.ranges.insert(at, whole);
        self.frames = self.frames.saturating_add(fresh);
        if self.ranges.len() > RANGES_MAX {
            self.ranges.pop_front();
        }
    }

    /// So many of them had nothing for it.
    pub(super) fn set_apart(&mut self, others: u64) {
        self.others = self.others.saturating_add(others).min(self.frames);
    }

    /// Frames that it lost.
    pub(super) fn told(&self) -> u64 {
        self.frames - self.others
    }

    /// As many of them were told.
    pub(super) fn said(&self) -> u64 {
        self.said
    }

    /// As many of them are told by now.
    pub(super) fn say(&mut self, frames: u64) {
        self.said = frames;
    }

    /// What became of a frame that the reader has behind it.
    fn fate(&self, sequence: u64) -> Fate {
        let is_among = |(first, last): &(u64, u64)| (first..=last).contains(&&sequence);
        if self.ranges.iter().any(is_among) {
            return Fate::Lost;
        }
        let known: u64 = self.ranges.iter().map(|(first, last)| last + 1 - first).sum();
        let is_before = self.ranges.front().is_none_or(|(first, _)| sequence < *first);
        if is_before && known < self.frames { Fate::Unsure } else { Fate::Read }
    }

    /// What [`fmt::Display`] wrote; a number alone, as earlier releases wrote, tells of no range.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(',');
        let frames = parts.next()?.parse().ok()?;
        let range = |text: &str| {
            let (first, last) = text.split_once('-')?;
            let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
            (first <= last && last < u64::MAX).then_some((first, last))
        };
        let ranges: Option<VecDeque<_>> = parts.take(RANGES_MAX + 1).map(range).collect();
        let mut ranges = ranges?;
        // No frame is the 0th: such a range says how many had nothing for it. Earlier releases read it as frames that
        // are lost, and know less of the others then.
        let others = ranges.pop_front_if(|(first, _)| *first == 0).map_or(0, |(_, others)| others);
        ranges.truncate(RANGES_MAX);
        ranges.make_contiguous().sort_unstable();
        Some(Self { frames, others: others.min(frames), said: 0, ranges })
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.frames)?;
        if self.others > 0 {
            write!(f, ",0-{}", self.others)?;
        }
        self.ranges.iter().try_for_each(|(first, last)| write!(f, ",{first}-{last}"))
    }
}

impl Spool {
    /// What became of a frame that the reader of that name has behind it.
    #[must_use]
    pub fn fate(&self, name: &str, sequence: u64) -> Fate {
        let loss = self.running.shared.tracks.loss_of(name);
        loss.map_or(Fate::Read, |loss| loss.fate(sequence))
    }

    /// Frames that readers lost unread, by their names, also those that have no place now and before the last start.
    #[must_use]
    pub fn lost(&self) -> HashMap<String, u64> {
        let lost = self.running.shared.tracks.lost();
        lost.into_iter().map(|(name, loss)| (name, loss.told())).collect()
    }

    /// Frames that the reader of that name lost unread.
    #[must_use]
    pub fn lost_by(&self, name: &str) -> u64 {
        self.running.shared.tracks.lost_by(name)
    }

    /// As many of the frames that the reader of that name lost were told, also before the last start.
    #[must_use]
    pub fn losses_told(&self, name: &str) -> u64 {
        self.running.shared.tracks.said(name)
    }

    /// As many are told by now. That is durable with the places of all readers, about 100 ms later.
    pub fn tell_losses(&self, name: &str, frames: u64) {
        self.running.shared.tracks.say(name, frames);
    }

    /// Nobody asks any more what the reader of that name lost.
    pub fn forget_losses(&self, name: &str) {
        self.running.shared.tracks.forget_losses(name);
    }

    /// Bytes at which it is full, whatever else is on the disk.
    #[must_use]
    pub fn max_bytes(&self) -> u64 {
        self.running.shared.bounds.spool_max_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_known_as_lost_as_long_as_its_range_is_remembered() {
        let mut all = Loss::default();
        assert_eq!(all.fate(3), Fate::Read);
        all.add(3, 5);
        all.add(6, 9);
        all.add(20, 20);
        assert_eq!(all.to_string(), "8,3-9,20-20");
        assert_eq!(Loss::parse(&all.to_string()), Some(all.clone()));
        let fates = [2, 3, 9, 10, 20, 21].map(|sequence| all.fate(sequence));
        let (read, lost) = (Fate::Read, Fate::Lost);
        assert_eq!(fates, [read, lost, lost, read, lost, read]);
        for place in 1..16 {
            all.add(place * 100, place * 100);
        }
        assert_eq!([19, 20, 99].map(|at| all.fate(at)), [Fate::Unsure, lost, read]);
        assert_eq!((all.frames, all.ranges.len()), (23, RANGES_MAX));
        // Of the last five, three had nothing for it.
        let mut apart = Loss::parse("8,3-9,20-20").expect("a loss");
        apart.add(30, 34);
        apart.set_apart(3);
        assert_eq!((apart.told(), &*apart.to_string()), (10, "13,0-3,3-9,20-20,30-34"));
        assert_eq!(Loss::parse(&apart.to_string()), Some(apart.clone()));
        assert_eq!([2, 3, 10, 34].map(|at| apart.fate(at)), [read, lost, read, lost]);
        // In whatever order they go, and once.
        let mut late = Loss::parse("4,10-11,20-21").expect("a loss");
        late.add(12, 19);
        late.add(5, 6);
        late.add(9, 25);
        assert_eq!(late.to_string(), "19,5-6,9-25");
        // An earlier release remembered no range.
        let mut before = Loss::parse("12").expect("a loss");
        before.add(30, 31);
        assert_eq!([7, 30, 32].map(|at| before.fate(at)), [Fate::Unsure, lost, read]);
        for bad in ["", "x", "1,", "1,2", "1,3-2", "1,2-3-4", "1,0-18446744073709551615"] {
            assert_eq!(Loss::parse(bad), None, "{bad}");
        }
    }
}
