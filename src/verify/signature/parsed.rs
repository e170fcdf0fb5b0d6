//! What was read of a request's body, so that it is read once, however many secrets and pointers ask. In: a body. Out:
//! its JSON, the fields of its form, its digest. Nothing is read before somebody asks, and nothing of another body.

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;

use crate::json::{Document, Limits};

use super::fault::Fault;
use super::request::{Field, read_fields};

/// Bounds of a body that has to be read.
const LIMITS: Limits = Limits { depth_max: 64, nodes_max: 100_000 };

/// One body, read as it is asked for.
#[derive(Default)]
pub struct Parsed<'a> {
    /// The body, when it is there to be shared.
    whole: Option<&'a Bytes>,
    document: OnceLock<Result<Document, Fault>>,
    fields: OnceLock<Option<Vec<Field>>>,
    sha256: OnceLock<[u8; 32]>,
    crc32: OnceLock<u32>,
}

impl fmt::Debug for Parsed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parsed")
    }
}

impl<'a> Parsed<'a> {
    /// Of that body alone, whose bytes are not copied.
    #[must_use]
    pub fn of(body: &'a Bytes) -> Self {
        Self { whole: Some(body), ..Self::default() }
    }

    pub(super) fn document(&self, body: &[u8]) -> Result<&Document, Fault> {
        let read = || match self.whole {
            Some(whole) => document(whole.clone()),
            None => document(Bytes::copy_from_slice(body)),
        };
        self.document.get_or_init(read).as_ref().map_err(Clone::clone)
    }

    pub(super) fn fields(&self, body: &[u8]) -> Option<&[Field]> {
        self.fields.get_or_init(|| read_fields(body)).as_deref()
    }

    pub(super) fn sha256(&self, body: &[u8]) -> [u8; 32] {
        *self.sha256.get_or_init(|| sha256(body))
    }

    pub(super) fn crc32(&self, body: &[u8]) -> u32 {
        *self.crc32.get_or_init(|| crc32(body))
    }
}

pub(super) fn document(body: Bytes) -> Result<Document, Fault> {
    Document::parse(body, LIMITS).map_err(|_| Fault::Body("JSON"))
}

pub(super) fn sha256(body: &[u8]) -> [u8; 32] {
    let digest = digest(&SHA256, body);
    digest.as_ref().first_chunk().copied().expect("SHA-256 has 32 bytes")
}

pub(super) fn crc32(body: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(body);
    crc.sum()
}

/// Values as texts that nobody else has.
pub(super) fn owned<'v>(found: Vec<Cow<'_, [u8]>>) -> Vec<Cow<'v, [u8]>> {
    found.into_iter().map(|one| Cow::Owned(one.into_owned())).collect()
}
