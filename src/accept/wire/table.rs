//! What the table of headers that a peer fills over HTTP/2 (HPACK, RFC 7541) may keep alive. In: the fragments of its
//! header blocks. Out: a bound of the memory that the parser behind holds for it. Reads what a field is and how long it
//! is, never a name or a value.
//!
//! The parser keeps an entry as a part of the buffer that it came in, so that an entry of a few bytes keeps all of that
//! buffer: what counts is not the size of the table, which its protocol bounds, but which buffers it has entries from.

use std::collections::VecDeque;

/// The size a table has before anything is agreed (RFC 9113, 6.5.2); none is ever allowed more.
const TABLE_MAX_BYTES: u32 = 4096;
/// An entry has so much beside name and value (RFC 7541, 4.1): a smaller table holds none.
const ENTRY_BYTES: u32 = 32;
/// The longest code of a character (RFC 7541, appendix B).
const CODE_MAX_BITS: u32 = 30;
/// A buffer that the parser reads into: a longest frame, doubled.
const READ_MAX_BYTES: u64 = 32 << 10;
/// Such buffers are half full at least: one is made when what comes next has no room in the last.
const READ_PARTS: u64 = 2;
/// What is coded is unfolded into buffers of their own, of this size unless a string needs more.
const UNFOLD_BYTES: u64 = 4 << 10;
/// A byte unfolds to 8 fifths of one, into buffers that are half full at least.
const UNFOLD_PARTS: u64 = 4;
/// What a block of several frames takes beside: a buffer for each, and one in which they are put together.
const LONG_PARTS: u64 = 4;
/// The longest number has so many bits behind its first byte: four bytes.
const NUMBER_MAX_BITS: u32 = 28;

/// What a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    /// Of a whole field in a table.
    Field,
    /// Of a name in a table; 0 where it is told.
    Name,
    /// The size the table has from here on.
    Size,
    /// Of a string.
    Length { is_coded: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before a field.
    Field,
    /// In a number, which has more bytes.
    Number { what: Number, value: u32, shift: u32 },
    /// Before the length of a string.
    Length,
    /// In a string; so many bytes of it are coded: all, or none.
    Text { left: u32, coded: u32 },
    /// Behind a fault: no parser goes on.
    Broken,
}

/// Reads header blocks, and follows what their table may hold.
#[derive(Debug)]
pub(super) struct TableScan {
    state: State,
    /// Strings of the present field that did not end.
    strings: u8,
    /// The present field goes into the table.
    is_kept: bool,
    /// Its least size there.
    least: u32,
    table: Table,
    /// What it held at the end of the last block.
    held: u64,
}

impl TableScan {
    /// At the start of a connection.
    pub(super) fn new() -> Self {
        let state = State::Field;
        Self { state, strings: 0, is_kept: false, least: 0, table: Table::new(), held: 0 }
    }

    /// So much may be kept alive since the last block that ended: of one that did not, the parser may have seen
    /// nothing.
    pub(super) fn held_bytes(&self) -> u64 {
        self.held
    }

    /// So many bytes of any kind came.
    pub(super) fn pass(&mut self, bytes: u64) {
        self.table.came.all += bytes;
    }

    /// The present block has a frame more.
    pub(super) fn go_on(&mut self) {
        self.table.came.is_long = true;
    }

    /// Reads on in a block.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        self.table.came.in_block += bytes.len() as u64;
        while let Some((byte, rest)) = bytes.split_first() {
            match self.state {
                State::Field => self.begin(*byte),
                State::Length => {
                    self.count(Number::Length { is_coded: byte & 0x80 != 0 }, *byte, 0x7f);
                }
                State::Number { what, value, shift } => self.count_on(what, value, shift, *byte),
                State::Text { left, coded } => {
                    let here = bytes.len().min(left as usize);
                    bytes = &bytes[here..];
                    match left - here as u32 {
                        0 => self.end_string(coded),
                        left => self.state = State::Text { left, coded },
                    }
                    continue;
                }
                State::Broken => return,
            }
            bytes = rest;
        }
    }

    /// The block ended.
    pub(super) fn end(&mut self) {
        // What ends inside a field is a fault, and the connection's end.
        self.state = State::Field;
        self.table.end_block();
        self.held = self.table.held;
    }

    fn begin(&mut self, byte: u8) {
        (self.is_kept, self.least) = (byte & 0xc0 == 0x40, ENTRY_BYTES);
        match byte {
            0x80.. => self.count(Number::Field, byte, 0x7f),
            0x40..0x80 => self.count(Number::Name, byte, 0x3f),
            0x20..0x40 => self.count(Number::Size, byte, 0x1f),
            0x00..0x20 => self.count(Number::Name, byte, 0x0f),
        }
    }

    /// The first byte of a number.
    fn count(&mut self, what: Number, byte: u8, mask: u8) {
        let value = u32::from(byte & mask);
        if value < u32::from(mask) {
            self.counted(what, value);
        } else {
            self.state = State::Number { what, value, shift: 0 };
        }
    }

    fn count_on(&mut self, what: Number, value: u32, shift: u32, byte: u8) {
        let value = value + (u32::from(byte & 0x7f) << shift);
        let shift = shift + 7;
        if byte & 0x80 == 0 {
            self.counted(what, value);
        } else if shift < NUMBER_MAX_BITS {
            self.state = State::Number { what, value, shift };
        } else {
            self.state = State::Broken;
        }
    }

    fn counted(&mut self, what: Number, value: u32) {
        self.state = match what {
            Number::Field => State::Field,
            Number::Size => {
                self.table.resize(value);
                State::Field
            }
            Number::Name => {
                self.strings = if value == 0 { 2 } else { 1 };
                State::Length
            }
            Number::Length { is_coded } => {
                // Up to 7 bits of the last byte stand for nothing.
                let unfolded = (value * 8).saturating_sub(7) / CODE_MAX_BITS;
                self.least = self.least.saturating_add(if is_coded { unfolded } else { value });
                if value == 0 {
                    // A field without a name is not kept; inside of a block the parser goes on behind it.
                    self.is_kept &= self.strings == 1;
                    return self.end_string(0);
                }
                State::Text { left: value, coded: if is_coded { value } else { 0 } }
            }
        };
    }

    fn end_string(&mut self, coded: u32) {
        self.table.came.coded += u64::from(coded);
        self.table.came.longest = self.table.came.longest.max(coded);
        self.strings -= 1;
        if self.strings > 0 {
            self.state = State::Length;
            return;
        }
        self.state = State::Field;
        if self.is_kept {
            self.table.insert(self.least);
        }
    }
}

/// Blocks whose entries may be in the table still, with what they may keep alive: entries leave in the order they came.
#[derive(Debug)]
struct Table {
    max_bytes: u32,
    blocks: VecDeque<Filled>,
    /// The least size of all their entries.
    least: u32,
    /// What all may keep alive.
    held: u64,
    /// The least size of what the present block brought.
    fresh: u32,
    came: Came,
}

/// What came since the last block that brought entries.
#[derive(Debug, Default)]
struct Came {
    /// Bytes of any kind.
    all: u64,
    /// Those of strings that were coded, in blocks that brought none.
    coded_before: u64,
    /// Of the longest of them.
    longest: u32,
    /// Those of the present block.
    in_block: u64,
    /// Of its strings that are coded.
    coded: u64,
    /// It has several frames.
    is_long: bool,
}

impl Came {
    /// What entries of the present block may keep alive: the buffer it was read into, the one that is unfolded into,
    /// and those made for itself.
    fn held(&self) -> u64 {
        let read = (self.all * READ_PARTS).min(READ_MAX_BYTES);
        let unfold = UNFOLD_BYTES.max(u64::from(self.longest) * 2);
        let unfolded = (self.coded_before * UNFOLD_PARTS).min(unfold) + self.coded * UNFOLD_PARTS;
        let long = if self.is_long { self.in_block * LONG_PARTS } else { 0 };
        read + unfolded + long
    }
}

/// A block that brought entries.
#[derive(Debug)]
struct Filled {
    least: u32,
    held: u64,
}

impl Table {
    fn new() -> Self {
        Self {
            max_bytes: TABLE_MAX_BYTES,
            blocks: VecDeque::new(),
            least: 0,
            held: 0,
            fresh: 0,
            came: Came::default(),
        }
    }

    fn resize(&mut self, bytes: u32) {
        self.max_bytes = bytes.min(TABLE_MAX_BYTES);
        if self.max_bytes < ENTRY_BYTES {
            self.empty();
        } else {
            self.evict();
        }
    }

    fn insert(&mut self, least: u32) {
        // What has no room empties the table and is not kept.
        if least > self.max_bytes {
            self.empty();
        } else {
            self.fresh = self.fresh.saturating_add(least);
            self.evict();
        }
    }

    fn end_block(&mut self) {
        if self.fresh == 0 {
            self.came.coded_before += std::mem::take(&mut self.came.coded);
            (self.came.in_block, self.came.is_long) = (0, false);
            return;
        }
        let held = self.came.held();
        self.blocks.push_back(Filled { least: self.fresh, held });
        self.least += self.fresh;
        self.held += held;
        (self.fresh, self.came) = (0, Came::default());
    }

    /// Lets go of the oldest blocks that newer entries have surely pushed out, to the last of theirs.
    fn evict(&mut self) {
        while let Some(Filled { least, held }) = self.blocks.front() {
            let newer = (self.least - least).saturating_add(self.fresh);
            if newer.saturating_add(ENTRY_BYTES) <= self.max_bytes {
                return;
            }
            (self.least, self.held) = (self.least - least, self.held - held);
            self.blocks.pop_front();
        }
    }

    fn empty(&mut self) {
        self.blocks = VecDeque::new();
        (self.least, self.held, self.fresh) = (0, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is held after blocks of one byte between, however their bytes come.
    fn held(blocks: &[&[u8]]) -> u64 {
        let read = |size: usize| {
            let mut scan = TableScan::new();
            for block in blocks {
                scan.pass(1 + block.len() as u64);
                block.chunks(size).for_each(|part| scan.feed(part));
                scan.end();
            }
            assert_eq!(
                scan.table.held,
                scan.table.blocks.iter().map(|block| block.held).sum::<u64>()
            );
            assert_eq!(
                scan.table.least,
                scan.table.blocks.iter().map(|block| block.least).sum::<u32>()
            );
            scan.held_bytes()
        };
        let whole = read(usize::MAX);
        for size in 1..9 {
            assert_eq!(read(size), whole, "{size} at once");
        }
        whole
    }

    /// A field of a name and a value that goes into the table.
    fn kept(value: &[u8]) -> Vec<u8> {
        [&b"\x40\x01a"[..], &[value.len() as u8], value].concat()
    }

    #[test]
    fn only_what_goes_into_the_table_counts() {
        for usual in [
            &b"\x82\x86\x84\xbe"[..],
            b"\0\x01a\x01b\x10\x01a\x01b\x04\x02/x\x0f\x0d\x01b",
            b"\xff\x80\x01\x82",
            // Inside of a string, its length and a number.
            b"\0\x02\x40a\x03\x40\x40\x40",
            b"\x0f\x40\x01a\0\x81\xff\x01b",
            // Without a name.
            b"\x40\0\x01b",
            b"\x40\x80\x81\x1f",
            b"",
        ] {
            assert_eq!(held(&[usual]), 0, "{usual:?}");
        }
        for (kept, coded) in [
            (&b"\x40\x01a\x01b"[..], 0),
            (b"\x82\x41\x01x", 0),
            (b"\x7f\x80\x01\x01x", 0),
            (b"\x40\x81\x1f\x82\x1f\x1f", 4 * 3),
            (b"\x40\x01a\0", 0),
        ] {
            assert_eq!(held(&[kept]), 2 + 2 * kept.len() as u64 + coded, "{kept:?}");
        }
    }

    #[test]
    fn a_table_of_nothing_holds_nothing_until_it_grows() {
        let one: &[u8] = &kept(b"b");
        let both = held(&[one, one]);
        assert_eq!(both, 2 * held(&[one]));
        for (size, left) in [
            (&b"\x20"[..], 0),
            (b"\x3e", 0),
            (b"\x3f\0", 0),
            (b"\x3f\x01", held(&[one])),
            (b"\x3f\xe1\x1f", both),
            // More than a table may ever have.
            (b"\x3f\xff\xff\xff\x7f", both),
        ] {
            let resized = held(&[one, one, size]);
            assert_eq!(resized, left, "{size:?}");
        }
        assert_eq!(held(&[one, b"\x20", one]), 0);
        assert_eq!(held(&[one, &[b"\x20", one].concat()]), 0);
        let again = [&b"\x20\x3f\xe1\x1f"[..], one].concat();
        assert_ne!(held(&[one, &again]), 0);
        // It is asked for in a later frame of a block, which the parser allows.
        assert_eq!(held(&[&[one, b"\x20"].concat()]), 0);
    }

    #[test]
    fn what_came_of_a_block_changes_nothing_before_its_end() {
        let mut scan = TableScan::new();
        scan.pass(9);
        scan.feed(&kept(b"b"));
        scan.end();
        let before = scan.held_bytes();
        scan.feed(b"\x20");
        assert!(before > 0 && scan.held_bytes() == before);
        scan.end();
        assert_eq!(scan.held_bytes(), 0);
    }

    #[test]
    fn newer_entries_push_older_ones_out() {
        let (big, small) = (kept(&[b'b'; 100]), kept(b""));
        // 133 bytes each: 30 are there, and one that may be.
        let many = vec![&big[..]; 100];
        assert_eq!(held(&many), held(&many[..31]));
        assert!(held(&many[..31]) > held(&many[..30]));
        // 33 bytes each.
        let many = vec![&small[..]; 200];
        assert_eq!(held(&many), held(&many[..125]));
        // Coded, the same bytes may stand for few characters.
        let coded = [&b"\x40\x01a\xe4"[..], &[b'b'; 100]].concat();
        let many = vec![&coded[..]; 100];
        assert_eq!(held(&many), held(&many[..70]));
        assert!(held(&many[..69]) > held(&many[..60]));
        // What has no room empties it.
        let huge = [&b"\x40\x01a\x7f\xe1\x5c"[..], &[b'b'; 12_000]].concat();
        assert_eq!(held(&[&big, &huge]), 0);
        assert_ne!(held(&[&big, &huge, &small]), 0);
        // Without a name, it is not there and pushes nothing out.
        let nameless = [&b"\x40\0\x7f\x80\x1e"[..], &[b'b'; 3967]].concat();
        assert_eq!(held(&[&big, &nameless]), held(&[&big]));
    }

    #[test]
    fn what_an_entry_keeps_alive_is_what_came_since_the_last_within_bounds() {
        let mut scan = TableScan::new();
        let mut block = |came: u64, bytes: &[u8]| {
            let before = scan.held_bytes();
            scan.pass(came);
            scan.feed(bytes);
            scan.end();
            scan.held_bytes() - before
        };
        let one: &[u8] = &kept(b"b");
        assert_eq!(block(100, one), 200);
        assert_eq!(block(1 << 20, one), 32 << 10);
        assert_eq!(block(0, b"\0\x01a\x81\x1f"), 0);
        assert_eq!(block(50, one), 100 + 4, "with what is unfolded between");
        let coded = [&b"\0\x01a\xe4"[..], &[b'b'; 100]].concat();
        for _ in 0..100 {
            assert_eq!(block(0, &coded), 0);
        }
        assert_eq!(block(0, one), 4 << 10);
        let coded = [&b"\0\x01a\xff\xe1\x5c"[..], &[b'b'; 12_000]].concat();
        assert_eq!(block(0, &coded), 0);
        assert_eq!(block(0, one), 24_000, "a string may have made a buffer for itself");
        assert_eq!(block(0, &[one, &coded].concat()), 4 * 12_000);
        assert_eq!(block(0, one), 0);
        scan.feed(one);
        scan.go_on();
        scan.feed(one);
        let before = scan.held_bytes();
        scan.end();
        assert_eq!(scan.held_bytes() - before, 4 * 2 * one.len() as u64, "put together");
    }

    #[test]
    fn a_length_that_never_comes_counts_for_nothing() {
        let one: &[u8] = &kept(b"b");
        let lies = [one, b"\x40\xff\xff\xff\xff\x7fa"].concat();
        assert_eq!(held(&[&lies]), 2 + 2 * lies.len() as u64);
    }

    #[test]
    fn numbers_without_an_end_are_a_fault_and_no_panic() {
        for fault in
            [&b"\x3f\xff\xff\xff\xff\x7f"[..], b"\x40\xff\xff\xff\xff\xff\x7f", b"\x40\x81"]
        {
            assert_eq!(held(&[fault]), 0, "{fault:?}");
        }
        let longest = b"\x40\xff\xff\xff\xff\x7fa";
        assert_eq!(held(&[longest]), 0);
    }
}
