//! Records as Kafka keeps them. In: events, the producer's number and where its count stands. Out: one batch of records
//! in version 2, which a broker knows again by that count; and the partition that a key belongs to, the same one that
//! Kafka's own clients find. No I/O.

use std::ops::Range;

use super::message::int;
use crate::filter::Seen;
use crate::forward::lines::Mark;
use crate::forward::load::{Form, Load};

/// Bytes of a batch from its leader's epoch to its checksum, and of all before its records.
const MAGIC: i8 = 2;
/// The place of the length, and of the checksum with all that it covers behind it.
const LENGTH_AT: Range<usize> = 8..12;
const CHECKSUM_AT: Range<usize> = 17..21;

/// Who produces, as a broker has named it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Producer {
    pub(super) id: i64,
    pub(super) epoch: i16,
}

/// Events of one partition that go out together, and again just so until it is known what became of them.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) partition: i32,
    /// The count of its first record.
    pub(super) first: i32,
    pub(super) marks: Vec<Mark>,
    pub(super) bytes: Vec<u8>,
}

impl Batch {
    /// Writes the events at these places.
    pub(super) fn write(
        load: &Load,
        places: &[usize],
        producer: Producer,
        (partition, first): (i32, i32),
    ) -> Self {
        let millis = |place: &usize| load.at(*place).0.received.micros().div_euclid(1000);
        let begin = places.first().map_or(0, millis);
        let end = places.iter().map(millis).max().unwrap_or(begin);
        let count = int(places.len());
        let mut out = Vec::new();
        out.extend_from_slice(&0_i64.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&(-1_i32).to_be_bytes());
        out.extend_from_slice(&MAGIC.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&0_i16.to_be_bytes());
        out.extend_from_slice(&(count - 1).to_be_bytes());
        out.extend_from_slice(&begin.to_be_bytes());
        out.extend_from_slice(&end.to_be_bytes());
        out.extend_from_slice(&producer.id.to_be_bytes());
        out.extend_from_slice(&producer.epoch.to_be_bytes());
        out.extend_from_slice(&first.to_be_bytes());
        out.extend_from_slice(&count.to_be_bytes());
        let (mut record, mut text) = (Vec::new(), Vec::new());
        for (offset, place) in places.iter().enumerate() {
            text.clear();
            load.write(*place, Form::Received, &mut text);
            record.clear();
            record.push(0);
            varint(&mut record, millis(place) - begin);
            varint(&mut record, int(offset).into());
            sized(&mut record, key(load, *place).as_bytes());
            sized(&mut record, &text);
            varint(&mut record, 1);
            sized(&mut record, b"id");
            sized(&mut record, load.mark(*place).to_string().as_bytes());
            sized(&mut out, &record);
        }
        let length = int(out.len() - LENGTH_AT.end);
        out[LENGTH_AT].copy_from_slice(&length.to_be_bytes());
        let checksum = crc32c::crc32c(&out[CHECKSUM_AT.end..]);
        out[CHECKSUM_AT].copy_from_slice(&checksum.to_be_bytes());
        let marks = places.iter().map(|place| load.mark(*place)).collect();
        Self { partition, first, marks, bytes: out }
    }

    /// The count behind its last record; it begins again at zero where numbers end.
    pub(super) fn next(&self) -> i32 {
        let next =
            (i64::from(self.first) + i64::from(int(self.marks.len()))) % (i64::from(i32::MAX) + 1);
        next as i32
    }
}

/// What keeps events together and in order: their resource's id.
pub(super) fn key(load: &Load, place: usize) -> String {
    let seen = Seen::read(&load.at(place).1.json);
    seen.map(|seen| seen.resource().id().into_owned()).unwrap_or_default()
}

/// The partition of a key among so many.
pub(super) fn partition(key: &str, count: usize) -> i32 {
    let count = i32::try_from(count).unwrap_or(i32::MAX).max(1);
    (murmur2(key.as_bytes()) & 0x7fff_ffff).cast_signed() % count
}

/// The hash that Kafka's clients use.
fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ bytes.len() as u32;
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mut word = u32::from_le_bytes(*word).wrapping_mul(M);
        word ^= word >> 24;
        hash = hash.wrapping_mul(M) ^ word.wrapping_mul(M);
    }
    if !rest.is_empty() {
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u32::from_le_bytes(last)).wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// A number in as many bytes as it needs.
fn varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn sized(out: &mut Vec<u8>, bytes: &[u8]) {
    varint(out, int(bytes.len()).into());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lie_where_other_clients_look_for_them() {
        for (key, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
        assert!((0..3).contains(&partition("foobar", 3)));
        assert_eq!(partition("foobar", 0), 0);
    }

    #[test]
    fn numbers_take_the_bytes_they_need() {
        for (value, bytes) in [
            (0, vec![0]),
            (-1, vec![1]),
            (1, vec![2]),
            (63, vec![126]),
            (-65, vec![0x81, 1]),
            (300, vec![0xd8, 4]),
        ] {
            let mut out = Vec::new();
            varint(&mut out, value);
            assert_eq!(out, bytes, "{value}");
        }
    }

    #[test]
    fn a_count_begins_again_where_numbers_end() {
        let batch = |first, records: usize| Batch {
            partition: 0,
            first,
            marks: vec![mark(); records],
            bytes: Vec::new(),
        };
        assert_eq!(batch(5, 3).next(), 8);
        assert_eq!(batch(i32::MAX, 1).next(), 0);
        assert_eq!(batch(i32::MAX - 1, 4).next(), 2);
    }

    fn mark() -> Mark {
        let id = crate::id::Uuid::nil();
        let text = format!(",\"id\":\"{id}\",\"account\":\"{id}\"");
        Mark::find(text.as_bytes()).expect("a mark")
    }
}
