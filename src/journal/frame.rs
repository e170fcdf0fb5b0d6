//! One frame: 64 bytes of header, the payload, zeros to a multiple of 8. In: fields and payload. Out: bytes, and the
//! word whether bytes are a frame of this segment at this place. Never looks into a payload.
//!
//! Little-endian: 0 payload length u32 · 4 payload crc32c u32 · 8 header crc32c u32 · 12 kind u8 · 13 flags u8 ·
//! 14 count u16 · 16 sequence u64 · 24 received i64 (µs) · 32 account · 48 workspace (nil: none). The payload's
//! checksum is made by whoever encodes, before any lock; sequence and header checksum by the writer. The latter covers
//! segment id and offset too, so that neither a stale frame of a recycled segment nor a misplaced block ever passes.

/// Bytes of a header.
pub const HEADER_BYTES: usize = 64;
/// Frames begin at multiples of this.
pub const FRAME_ALIGN: usize = 8;
/// Kinds are 1 to this; unknown ones among them are kept and skipped, so that a downgrade loses nothing.
const KIND_MAX: u8 = 63;
/// A sequence this far ahead of the expected one is no frame but chance.
const SEQUENCE_JUMP_MAX: u64 = 1 << 40;

/// The fields of a header; checksum of the header itself left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Bytes of payload.
    pub length: u32,
    /// Its crc32c.
    pub payload_crc: u32,
    /// What the payload is; from 1.
    pub kind: u8,
    /// How it is laid out.
    pub flags: u8,
    /// Events in it.
    pub count: u16,
    /// Place in the spool.
    pub sequence: u64,
    /// Microseconds since 1970.
    pub received: i64,
    /// Whose it is.
    pub account: [u8; 16],
    /// The workspace, or zeros.
    pub workspace: [u8; 16],
}

impl Header {
    /// Bytes of the whole frame.
    #[must_use]
    pub fn frame_bytes(&self) -> u64 {
        (HEADER_BYTES as u64 + u64::from(self.length)).next_multiple_of(FRAME_ALIGN as u64)
    }

    /// Writes the header over the first 64 bytes; its checksum stays open for [`stamp`].
    ///
    /// # Panics
    /// When `out` is shorter than a header.
    pub fn write(&self, out: &mut [u8]) {
        out[0..4].copy_from_slice(&self.length.to_le_bytes());
        out[4..8].copy_from_slice(&self.payload_crc.to_le_bytes());
        out[8..12].fill(0);
        out[12] = self.kind;
        out[13] = self.flags;
        out[14..16].copy_from_slice(&self.count.to_le_bytes());
        out[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        out[24..32].copy_from_slice(&self.received.to_le_bytes());
        out[32..48].copy_from_slice(&self.account);
        out[48..64].copy_from_slice(&self.workspace);
    }

    /// Reads the fields of the first 64 bytes, whatever they are.
    ///
    /// # Panics
    /// When `bytes` is shorter than a header.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        Self {
            length: u32::from_le_bytes(part(bytes, 0)),
            payload_crc: u32::from_le_bytes(part(bytes, 4)),
            kind: bytes[12],
            flags: bytes[13],
            count: u16::from_le_bytes(part(bytes, 14)),
            sequence: u64::from_le_bytes(part(bytes, 16)),
            received: i64::from_le_bytes(part(bytes, 24)),
            account: part(bytes, 32),
            workspace: part(bytes, 48),
        }
    }
}

/// Puts the sequence into a frame's bytes.
///
/// # Panics
/// When `frame` is shorter than a header.
pub fn write_sequence(frame: &mut [u8], sequence: u64) {
    frame[16..24].copy_from_slice(&sequence.to_le_bytes());
}

/// Puts the header's checksum into every frame of a batch that will stand at `offset` of segment `id`.
///
/// # Panics
/// When `batch` is not whole frames.
pub(super) fn stamp(batch: &mut [u8], id: u64, offset: u64) {
    let mut at = 0;
    while at < batch.len() {
        let crc = header_crc(&batch[at..at + HEADER_BYTES], id, offset + at as u64);
        batch[at + 8..at + 12].copy_from_slice(&crc.to_le_bytes());
        at += Header::read(&batch[at..]).frame_bytes() as usize;
    }
}

/// The header at `offset` of segment `id`, when there is one that could come next: a sequence not before `expected`.
#[must_use]
pub(super) fn check(bytes: &[u8], id: u64, offset: u64, expected: u64) -> Option<Header> {
    let kind = bytes[12];
    let sequence = u64::from_le_bytes(part(bytes, 16));
    // Most of what is no header ends here, so that a search through garbage is cheap.
    let jump = sequence.wrapping_sub(expected);
    if kind == 0 || kind > KIND_MAX || jump >= SEQUENCE_JUMP_MAX || sequence == u64::MAX {
        return None;
    }
    let written = u32::from_le_bytes(part(bytes, 8));
    (header_crc(&bytes[..HEADER_BYTES], id, offset) == written).then(|| Header::read(bytes))
}

fn header_crc(header: &[u8], id: u64, offset: u64) -> u32 {
    let mut bound = [0; HEADER_BYTES + 12];
    bound[0..8].copy_from_slice(&id.to_le_bytes());
    bound[8..16].copy_from_slice(&offset.to_le_bytes());
    bound[16..24].copy_from_slice(&header[0..8]);
    bound[24..].copy_from_slice(&header[12..HEADER_BYTES]);
    crc32c::crc32c(&bound)
}

/// `N` bytes at `at`.
fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Vec<u8> {
        let header = Header {
            length: 5,
            payload_crc: crc32c::crc32c(b"hello"),
            kind: 1,
            flags: 1,
            count: 2,
            sequence: 0,
            received: -7,
            account: [1; 16],
            workspace: [2; 16],
        };
        let mut frame = vec![0; header.frame_bytes() as usize];
        header.write(&mut frame);
        frame[64..69].copy_from_slice(b"hello");
        write_sequence(&mut frame, 41);
        frame
    }

    #[test]
    fn a_stamped_header_is_read_back_and_any_flip_is_seen() {
        let mut frame = example();
        stamp(&mut frame, 9, 4096);
        let header = check(&frame, 9, 4096, 41).expect("a header");
        assert_eq!((header.sequence, header.length, header.received), (41, 5, -7));
        for bit in 0..HEADER_BYTES * 8 {
            frame[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(check(&frame, 9, 4096, 41), None, "bit {bit}");
            frame[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn another_segment_another_place_and_an_older_sequence_do_not_pass() {
        let mut frame = example();
        stamp(&mut frame, 9, 4096);
        assert!(check(&frame, 9, 4096, 40).is_some());
        assert!(check(&frame, 10, 4096, 41).is_none());
        assert!(check(&frame, 9, 8192, 41).is_none());
        assert!(check(&frame, 9, 4096, 42).is_none());
    }
}
