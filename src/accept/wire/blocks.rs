//! Whether a header block of HTTP/2 is on its way. In: the bytes of a connection as they come. Out: how far the last
//! block is, whether one ended. Reads nine bytes of each frame and nothing of what is in them; the parser behind it
//! judges.

/// What a client sends before its first frame (RFC 9113, 3.4).
const PREFACE_BYTES: usize = 24;
/// Length, kind, flags, stream.
const FRAME_HEAD_BYTES: usize = 9;
const HEADERS: u8 = 0x1;
const CONTINUATION: u8 = 0x9;
const END_HEADERS: u8 = 0x4;

/// How far a header block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// None is on its way.
    Whole,
    /// A part of its only frame came: it lies as it is.
    Begun,
    /// It has more than one frame: what came of it is being unfolded.
    Long,
}

/// What bytes told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// How far the last block is.
    pub(super) block: Block,
    /// One ended among them; the last may have begun since.
    pub(super) is_ended: bool,
}

/// Follows the frames of one connection.
#[derive(Debug)]
pub(super) struct BlockScan {
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
}

impl BlockScan {
    /// At the start of a connection.
    pub(super) fn new() -> Self {
        let head = [0; FRAME_HEAD_BYTES];
        Self {
            block: Block::Whole,
            block_bytes: 0,
            is_of_block: false,
            is_last: false,
            head,
            came: 0,
            left: PREFACE_BYTES,
        }
    }

    /// So much of the block that is on its way came.
    pub(super) fn block_bytes(&self) -> u64 {
        self.block_bytes
    }

    /// Reads on.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Told {
        let mut is_ended = false;
        while !bytes.is_empty() {
            if self.left > 0 {
                let here = self.left.min(bytes.len());
                self.left -= here;
                if self.is_of_block {
                    self.block_bytes += here as u64;
                }
                bytes = &bytes[here..];
            } else {
                let here = (FRAME_HEAD_BYTES - self.came).min(bytes.len());
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
        self.is_of_block = matches!(kind, HEADERS | CONTINUATION);
        if self.is_of_block {
            self.is_last = flags & END_HEADERS != 0;
            if !self.is_last {
                self.block = Block::Long;
            } else if self.block == Block::Whole {
                self.block = Block::Begun;
            }
        }
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
}
