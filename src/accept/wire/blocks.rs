//! Whether a header block of HTTP/2 is on its way. In: the bytes of a connection as they come. Out: how far the last
//! block is, whether one ended, what the table that blocks fill may keep alive. Reads nine bytes of each frame, and of
//! blocks how long their parts are; the parser behind it judges.

use super::table::TableScan;

/// What a client sends before its first frame (RFC 9113, 3.4).
const PREFACE_BYTES: usize = 24;
/// Length, kind, flags, stream.
const FRAME_HEAD_BYTES: usize = 9;
const HEADERS: u8 = 0x1;
/// No client may send it, and its block is read all the same.
const PUSH_PROMISE: u8 = 0x5;
const CONTINUATION: u8 = 0x9;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
/// Before a block in its first frame: length of the padding; stream it depends on, and weight.
const OPENING_MAX_BYTES: usize = 6;

/// How far a header block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// None is on its way.
    Whole,
    /// A part of its only frame came: it lies as it is.
    Begun,
    /// It has more than one frame: what came of it is being unfolded.
    Long,
}

/// What bytes told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// How far the last block is.
    pub block: Block,
    /// One ended among them; the last may have begun since.
    pub is_ended: bool,
}

/// Follows the frames of one connection.
#[derive(Debug)]
pub struct BlockScan {
    block: Block,
    /// So much of the present block came, without the heads of its frames.
    block_bytes: u64,
    /// The present frame is of a block.
    is_of_block: bool,
    /// The present frame is the block's last.
    is_last: bool,
    head: [u8; FRAME_HEAD_BYTES],
    /// So much of the present frame's head came.
    came: usize,
    /// So much of the present frame's rest did not.
    left: usize,
    opening: Opening,
    table: TableScan,
}

/// What stands before a block in its first frame.
#[derive(Debug, Default)]
struct Opening {
    bytes: [u8; OPENING_MAX_BYTES],
    came: usize,
    wanted: usize,
    /// Bytes behind the block.
    padding: usize,
    /// A stream that depends on itself: its block is not read.
    is_odd: bool,
}

impl Opening {
    /// Of a frame of that kind.
    fn new(kind: u8, flags: u8) -> Self {
        let padding = usize::from(flags & PADDED != 0);
        let wanted = match kind {
            HEADERS if flags & PRIORITY != 0 => padding + 5,
            HEADERS => padding,
            PUSH_PROMISE => padding + 4,
            _ => 0,
        };
        Self { wanted, ..Self::default() }
    }

    /// Takes what belongs to it; it is that of the frame with this head.
    fn feed<'a>(&mut self, bytes: &'a [u8], head: &[u8; FRAME_HEAD_BYTES]) -> &'a [u8] {
        if self.came == self.wanted {
            return bytes;
        }
        let here = (self.wanted - self.came).min(bytes.len());
        let (own, rest) = bytes.split_at(here);
        self.bytes[self.came..self.came + here].copy_from_slice(own);
        self.came += here;
        if self.came == self.wanted {
            self.read(head);
        }
        rest
    }

    fn read(&mut self, head: &[u8; FRAME_HEAD_BYTES]) {
        let [_, _, _, kind, flags, stream @ ..] = *head;
        let mut own = &self.bytes[..];
        if flags & PADDED != 0 {
            self.padding = usize::from(own[0]);
            own = &own[1..];
        }
        if kind == HEADERS && flags & PRIORITY != 0 {
            // The highest bit is not of the stream's number.
            let number = |bytes: [u8; 4]| u32::from_be_bytes(bytes) << 1;
            self.is_odd = number([own[0], own[1], own[2], own[3]]) == number(stream);
        }
    }
}

impl BlockScan {
    /// At the start of a connection.
    #[must_use]
    pub fn new() -> Self {
        let head = [0; FRAME_HEAD_BYTES];
        Self {
            block: Block::Whole,
            block_bytes: 0,
            is_of_block: false,
            is_last: false,
            head,
            came: 0,
            left: PREFACE_BYTES,
            opening: Opening::default(),
            table: TableScan::new(),
        }
    }

    /// So much of the block that is on its way came.
    #[must_use]
    pub fn block_bytes(&self) -> u64 {
        self.block_bytes
    }

    /// So much memory may be kept alive by the table that blocks fill.
    #[must_use]
    pub fn table_bytes(&self) -> u64 {
        self.table.held_bytes()
    }

    /// Reads on.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Told {
        let mut is_ended = false;
        while !bytes.is_empty() {
            if self.left > 0 {
                let here = self.left.min(bytes.len());
                self.table.pass(here as u64);
                if self.is_of_block {
                    self.block_bytes += here as u64;
                    self.read(&bytes[..here]);
                }
                self.left -= here;
                bytes = &bytes[here..];
            } else {
                let here = (FRAME_HEAD_BYTES - self.came).min(bytes.len());
                self.table.pass(here as u64);
                self.head[self.came..self.came + here].copy_from_slice(&bytes[..here]);
                self.came += here;
                bytes = &bytes[here..];
                if self.came < FRAME_HEAD_BYTES {
                    break;
                }
                self.begin();
            }
            if self.left == 0 && self.is_last {
                (self.block, self.is_last, self.block_bytes) = (Block::Whole, false, 0);
                self.table.end();
                is_ended = true;
            }
        }
        Told { block: self.block, is_ended }
    }

    /// The head of a frame is there.
    fn begin(&mut self) {
        let [high, middle, low, kind, flags, ..] = self.head;
        self.left = u32::from_be_bytes([0, high, middle, low]) as usize;
        self.came = 0;
        self.is_of_block = matches!(kind, HEADERS | PUSH_PROMISE | CONTINUATION);
        if self.is_of_block {
            self.opening = Opening::new(kind, flags);
            if kind == CONTINUATION {
                self.table.go_on();
            }
            self.is_last = flags & END_HEADERS != 0;
            if !self.is_last {
                self.block = Block::Long;
            } else if self.block == Block::Whole {
                self.block = Block::Begun;
            }
        }
    }

    /// Bytes of a frame of a block, of which so many are left as before them.
    fn read(&mut self, bytes: &[u8]) {
        let fragment = self.opening.feed(bytes, &self.head);
        if self.opening.came == self.opening.wanted && !self.opening.is_odd {
            let left = self.left - (bytes.len() - fragment.len());
            let unpadded = left.saturating_sub(self.opening.padding);
            self.table.feed(&fragment[..fragment.len().min(unpadded)]);
        }
    }
}

impl Default for BlockScan {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        frame.resize(FRAME_HEAD_BYTES + usize::from(length), HEADERS);
        frame
    }

    /// The states after each byte, without repetitions: however the bytes come, the last one is the same.
    fn states(frames: &[Vec<u8>]) -> Vec<Block> {
        let text = [vec![b'P'; PREFACE_BYTES], frames.concat()].concat();
        let mut slow = BlockScan::new();
        let mut states: Vec<Block> = text.iter().map(|byte| slow.feed(&[*byte]).block).collect();
        for size in [2, 7, 64, text.len()] {
            let mut scan = BlockScan::new();
            let last = text.chunks(size).map(|part| scan.feed(part).block).last();
            assert_eq!(last, states.last().copied(), "{size} at once");
        }
        states.dedup();
        states
    }

    #[test]
    fn a_block_is_on_its_way_from_its_first_frames_head_to_its_last_frames_end() {
        let (data, head) = (frame(0, 0x1, 5), frame(HEADERS, 0x5, 30));
        assert_eq!(states(&[data.clone(), data.clone()]), [Block::Whole]);
        let both = [Block::Whole, Block::Begun, Block::Whole];
        assert_eq!(states(&[head.clone(), data.clone()]), both);
        assert_eq!(states(&[frame(HEADERS, 0x5, 0)]), [Block::Whole], "an empty one");
        let long = [frame(HEADERS, 0x1, 9), frame(CONTINUATION, 0, 0), frame(CONTINUATION, 4, 9)];
        let states_of_long = [Block::Whole, Block::Long, Block::Whole];
        assert_eq!(
            states(&[&[data], &long[..], &[head[..20].to_vec()]].concat())[..3],
            states_of_long
        );
        assert_eq!(states(&long[..2]), states_of_long[..2], "without its end");
        assert_eq!(states(&[head[..20].to_vec()]), both[..2]);
    }

    #[test]
    fn the_end_of_a_block_is_told_where_the_next_began_since() {
        let mut scan = BlockScan::new();
        let long = [vec![b'P'; PREFACE_BYTES], frame(HEADERS, 0x1, 9)].concat();
        let told = |block, is_ended| Told { block, is_ended };
        assert_eq!(scan.feed(&long), told(Block::Long, false));
        assert_eq!(scan.feed(&frame(CONTINUATION, 0, 7)), told(Block::Long, false));
        assert_eq!(scan.block_bytes(), 16);
        let next = [frame(CONTINUATION, 0x4, 9), frame(HEADERS, 0x1, 3)].concat();
        assert_eq!(scan.feed(&next), told(Block::Long, true));
        assert_eq!(scan.block_bytes(), 3, "of the new one");
        let usual = [frame(CONTINUATION, 0x4, 0), frame(HEADERS, 0x5, 30)[..20].to_vec()].concat();
        assert_eq!(scan.feed(&usual), told(Block::Begun, true));
    }

    /// A frame of a block with this payload, on stream 5.
    fn block(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        [&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, 5], payload].concat()
    }

    /// What the table holds after these frames, however they are split.
    fn table_bytes(frames: &[Vec<u8>]) -> u64 {
        let text = [vec![b'P'; PREFACE_BYTES], frames.concat()].concat();
        let read = |parts: &mut dyn Iterator<Item = &[u8]>| {
            let mut scan = BlockScan::new();
            for part in parts {
                scan.feed(part);
            }
            scan.table_bytes()
        };
        let whole = read(&mut std::iter::once(&text[..]));
        for size in 1..20 {
            assert_eq!(read(&mut text.chunks(size)), whole, "{size} at once");
        }
        for at in 0..text.len() {
            assert_eq!(read(&mut [&text[..at], &text[at..]].into_iter()), whole, "cut at {at}");
        }
        whole
    }

    const KEPT: &[u8] = b"\x82\x40\x01a\x01b";

    #[test]
    fn a_table_is_followed_behind_padding_and_priority_and_over_frames() {
        let kept = || block(HEADERS, END_HEADERS, KEPT);
        assert_ne!(table_bytes(&[kept()]), 0);
        let nothing = b"\x20\x82";
        for (kind, flags, payload) in [
            (HEADERS, END_HEADERS, nothing.to_vec()),
            (HEADERS, END_HEADERS | PADDED, [&[KEPT.len() as u8][..], nothing, KEPT].concat()),
            (HEADERS, END_HEADERS | PRIORITY, [b"\0\0\0\x03\xff", &nothing[..]].concat()),
            (
                HEADERS,
                END_HEADERS | PADDED | PRIORITY,
                [b"\x01\x80\0\0\x03\xff", &nothing[..], b"@"].concat(),
            ),
            (PUSH_PROMISE, END_HEADERS, [b"\0\0\0\x02", &nothing[..]].concat()),
        ] {
            let frames = [kept(), block(kind, flags, &payload)];
            assert_eq!(table_bytes(&frames), 0, "{payload:?}");
        }
        // Over several frames, cut anywhere.
        for at in 0..=KEPT.len() {
            let (first, last) = KEPT.split_at(at);
            let frames = [block(HEADERS, 0, first), block(CONTINUATION, END_HEADERS, last)];
            assert_ne!(table_bytes(&frames), 0, "cut at {at}");
            let emptied = [block(HEADERS, 0, b"\x20"), block(CONTINUATION, END_HEADERS, b"\x82")];
            assert_eq!(table_bytes(&[&frames[..], &emptied].concat()), 0);
        }
    }

    #[test]
    fn a_stream_that_depends_on_itself_empties_no_table() {
        let kept = block(HEADERS, END_HEADERS, KEPT);
        for opening in [b"\0\0\0\x05\xff", b"\x80\0\0\x05\xff"] {
            let odd = [&opening[..], b"\x20"].concat();
            let odd = block(HEADERS, END_HEADERS | PRIORITY, &odd);
            assert_eq!(table_bytes(&[kept.clone(), odd]), table_bytes(std::slice::from_ref(&kept)));
        }
        let padded = block(HEADERS, END_HEADERS | PADDED | PRIORITY, b"\0\0\0\0\x05\xff\x20");
        assert_ne!(table_bytes(&[kept, padded]), 0);
    }
}
