//! A walk along the frames of one segment. In: a file, its id, the place to begin. Out: intact frames in order, the
//! ranges between them that are damaged, and how the file ends. Reads in windows; never writes, never panics on bytes.
//!
//! What is intact is given, wherever it stands: behind a damage every multiple of 8 is tried until a header of this
//! segment at this place passes. Zeros to the end of a block are the padding of a batch; whether frames were zeroed
//! there instead shows in the next frame's sequence, because sequences have no gap inside a segment.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::disk::DiskFile;
use super::frame::{self, Header};
use super::{BLOCK_BYTES, HEADER_BYTES};

/// Bytes read at a time.
const WINDOW_BYTES: u64 = 256 << 10;
const HEADER: u64 = HEADER_BYTES as u64;
const ALIGN: u64 = frame::FRAME_ALIGN as u64;

/// An intact frame where it stands.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its place in the file.
    pub offset: u64,
    /// Its header.
    pub header: Header,
    /// Its payload, checked.
    pub payload: Bytes,
}

/// What comes next.
#[derive(Debug)]
pub enum Step {
    /// A frame.
    Frame(Found),
    /// Bytes that are damaged, with intact frames behind.
    Damage(Range<u64>),
    /// No intact frame follows.
    End,
}

/// The walk.
#[derive(Debug)]
pub struct Walk {
    file: Arc<dyn DiskFile>,
    id: u64,
    /// Nothing is read from here on.
    end: u64,
    at: u64,
    expected: u64,
    /// End of the last intact frame.
    good: u64,
    /// Where the damage began that is being crossed.
    hole: Option<u64>,
    /// Where it ends, when all of it so far is frames whose headers can be trusted.
    sure: Option<u64>,
    /// End of what was certainly written of it.
    written: u64,
    /// Whether bytes behind the frames mean nothing, because the file was used before.
    stale: bool,
    /// The frame behind a damage that was just given.
    behind: Option<Found>,
    window: Bytes,
    window_at: u64,
}

impl Walk {
    /// A walk from `offset`, where the frame `expected` should stand, to `end`.
    #[must_use]
    pub fn new(
        file: Arc<dyn DiskFile>,
        id: u64,
        stale: bool,
        offset: u64,
        expected: u64,
        end: u64,
    ) -> Self {
        Self {
            file,
            id,
            end,
            at: offset,
            expected,
            good: offset,
            hole: None,
            sure: None,
            written: 0,
            stale,
            behind: None,
            window: Bytes::new(),
            window_at: 0,
        }
    }

    /// The file holds more now; what was read stays.
    pub fn extend(&mut self, end: u64) {
        self.end = self.end.max(end);
    }

    /// Sequence of the next frame, when nothing is damaged.
    #[must_use]
    pub fn expected(&self) -> u64 {
        self.expected
    }

    /// End of the last intact frame.
    #[must_use]
    pub fn good(&self) -> u64 {
        self.good
    }

    /// After [`Step::End`]: what stands behind the last intact frame and was certainly written.
    #[must_use]
    pub fn tail(&self) -> Range<u64> {
        let from = self.hole.unwrap_or(self.good);
        from..self.written.max(from)
    }

    /// Goes on to the next frame or damage.
    pub fn step(&mut self) -> io::Result<Step> {
        if let Some(found) = self.behind.take() {
            return Ok(self.accept(found));
        }
        while self.see(self.at, HEADER)? {
            let header = frame::check(self.view(self.at, HEADER), self.id, self.at, self.expected)
                .filter(|header| HEADER + u64::from(header.length) <= self.end - self.at);
            let Some(header) = header else {
                self.pass()?;
                continue;
            };
            let Some(payload) = self.payload(&header)? else {
                self.skip_frame(&header);
                continue;
            };
            let found = Found { offset: self.at, header, payload };
            let sure = self.sure.take();
            if header.sequence == self.expected && self.hole.is_none() {
                return Ok(self.accept(found));
            }
            let from = self.hole.take().unwrap_or(self.good);
            let end = sure.filter(|_| header.sequence == self.expected).unwrap_or(self.at);
            self.behind = Some(found);
            return Ok(Step::Damage(from..end));
        }
        Ok(Step::End)
    }

    fn accept(&mut self, found: Found) -> Step {
        self.expected = found.header.sequence + 1;
        self.at = found.offset + found.header.frame_bytes();
        self.good = self.at;
        self.written = 0;
        Step::Frame(found)
    }

    /// The payload of the frame at hand, if it is intact.
    fn payload(&mut self, header: &Header) -> io::Result<Option<Bytes>> {
        if !self.see(self.at, HEADER + u64::from(header.length))? {
            return Ok(None);
        }
        let from = (self.at + HEADER - self.window_at) as usize;
        let payload = self.window.slice(from..from + header.length as usize);
        Ok((crc32c::crc32c(&payload) == header.payload_crc).then_some(payload))
    }

    /// Steps over a frame whose header can be trusted and whose payload is not intact.
    fn skip_frame(&mut self, header: &Header) {
        let missed = header.sequence > self.expected;
        let sure = !missed && (self.hole.is_none() || self.sure.is_some());
        self.hole.get_or_insert(if missed { self.good } else { self.at });
        self.at += header.frame_bytes();
        self.sure = sure.then_some(self.at);
        self.written = self.written.max(self.at);
        self.expected = header.sequence + 1;
    }

    /// Steps over bytes that are no header: padding to the next block, else on to the next that could be one.
    fn pass(&mut self) -> io::Result<()> {
        let block_end = self.at.next_multiple_of(BLOCK_BYTES).min(self.end);
        if (self.hole.is_none() || self.sure.is_some()) && block_end > self.at {
            let rest = block_end - self.at;
            if self.see(self.at, rest)? && is_zero(self.view(self.at, rest)) {
                self.at = block_end;
                return Ok(());
            }
        }
        self.hole.get_or_insert(self.at);
        self.sure = None;
        self.search()
    }

    /// Moves on to the next place that is not zero, at least one step.
    fn search(&mut self) -> io::Result<()> {
        self.note_written(self.at, ALIGN.min(self.end - self.at));
        self.at += ALIGN;
        while self.at.is_multiple_of(BLOCK_BYTES) && self.see(self.at, BLOCK_BYTES)? {
            if !is_zero(self.view(self.at, BLOCK_BYTES)) {
                break;
            }
            self.at += BLOCK_BYTES;
        }
        if !self.see(self.at, HEADER)? {
            self.note_written(self.at, self.end.saturating_sub(self.at));
        }
        Ok(())
    }

    /// Bytes of a file that was all zero were written by somebody.
    fn note_written(&mut self, at: u64, count: u64) {
        if self.stale || count == 0 || !matches!(self.see(at, count), Ok(true)) {
            return;
        }
        if let Some(last) = self.view(at, count).iter().rposition(|byte| *byte != 0) {
            self.written = self.written.max(at + last as u64 + 1);
        }
    }

    /// Makes `count` bytes at `at` visible; `false` when the file ends before.
    fn see(&mut self, at: u64, count: u64) -> io::Result<bool> {
        if at >= self.window_at && at + count <= self.window_at + self.window.len() as u64 {
            return Ok(true);
        }
        if at.saturating_add(count) > self.end {
            return Ok(false);
        }
        let wanted = count.max(WINDOW_BYTES).min(self.end - at);
        let mut bytes = vec![0; wanted as usize];
        let got = self.file.read_at(&mut bytes, at)?;
        bytes.truncate(got);
        self.window = Bytes::from(bytes);
        self.window_at = at;
        if (got as u64) < wanted {
            self.end = at + got as u64;
        }
        Ok(count <= got as u64)
    }

    fn view(&self, at: u64, count: u64) -> &[u8] {
        let from = (at - self.window_at) as usize;
        &self.window[from..from + count as usize]
    }
}

/// In steps that compile to wide comparisons.
fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(64).all(|part| part.iter().fold(0, |all, byte| all | byte) == 0)
}
