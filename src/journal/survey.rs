//! A segment as bytes in memory. In: any bytes. Out: the frames a recovery would keep and the ranges it would report.
//! For the fuzzer and for tests: whatever the bytes are, there is an answer.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::BLOCK_BYTES;
use super::disk::DiskFile;
use super::segment::Head;
use super::walk::{Step, Walk};

/// Sequences of the intact frames of a segment's image, and its damaged ranges.
#[must_use]
pub fn survey(image: Bytes) -> (Vec<u64>, Vec<Range<u64>>) {
    let (mut sequences, mut damaged) = (Vec::new(), Vec::new());
    let block = &image[..image.len().min(BLOCK_BYTES as usize)];
    let Some((head, _)) = Head::read(block) else { return (sequences, damaged) };
    let end = image.len() as u64;
    let file = Arc::new(Image(image));
    let mut walk = Walk::new(file, head.id, head.stale, BLOCK_BYTES, head.base, end);
    loop {
        match walk.step() {
            Ok(Step::Frame(found)) => sequences.push(found.header.sequence),
            Ok(Step::Damage(range)) => damaged.push(range),
            Ok(Step::End) | Err(_) => return (sequences, damaged),
        }
    }
}

/// Bytes in the place of a file.
#[derive(Debug)]
struct Image(Bytes);

impl DiskFile for Image {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = self.0.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn resize(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }
}
