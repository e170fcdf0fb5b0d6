//! Where a secret or a certificate stands: in a file of this machine, which the operator named, or in a record. In: a
//! path, or a text. Out: what it says, read anew each time, up to a bound; or what is wrong with it, and no word of it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::sync::Arc;

use super::ForwardError;
use crate::id::Secret;

/// Largest file: some machines keep all their authorities in one.
const FILE_MAX_BYTES: u64 = 4 << 20;

/// A secret or a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Paper {
    /// In a file of this machine, which may change.
    File(PathBuf),
    /// Given with a record, in the field of that name.
    Given(&'static str, Arc<Secret>),
}

impl Paper {
    /// One that was given in a field.
    pub(super) fn given(field: &'static str, text: &str) -> Self {
        Self::Given(field, Arc::new(Secret::new(text)))
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// What it says, as somebody reads it.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, ForwardError> {
        let bytes = self.bytes()?;
        let text = std::str::from_utf8(&bytes).map_err(|_| self.unfit("is no text"))?;
        read(text).map_err(|why| self.unfit(why))
    }

    /// All of it.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, ForwardError> {
        let path = match self {
            Self::Given(_, text) => return Ok(text.expose().as_bytes().to_vec()),
            Self::File(path) => path,
        };
        let mut bytes = Vec::new();
        let read = File::open(path).map(|file| file.take(FILE_MAX_BYTES + 1));
        let read = read.and_then(|mut file| file.read_to_end(&mut bytes));
        let read = read.and_then(|length| match length as u64 {
            0..=FILE_MAX_BYTES => Ok(bytes),
            _ => Err(io::Error::other(format!("has more than {FILE_MAX_BYTES} bytes"))),
        });
        read.map_err(|why| ForwardError::file(path, &why))
    }

    /// What is wrong with it.
    pub(super) fn unfit(&self, why: impl Into<String>) -> ForwardError {
        let why = why.into();
        match self {
            Self::File(path) => ForwardError::File { path: path.clone(), why },
            Self::Given(field, _) => ForwardError::Given { field, why },
        }
    }
}
