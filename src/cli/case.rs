//! Request files (`parse/sample.rs`) and templates read from disk. In: a path. Out: a request, or a text; or the file,
//! its line and key at fault. Never more than a bound, whatever the file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

pub(super) use crate::parse::sample::Sample as Request;
use crate::parse::sample::SampleError;
use crate::render::{Context, More};
use crate::request::Body;

/// Largest request file: a body of the largest size in base64, and room for all else.
const FILE_MAX_BYTES: u64 = 16 << 20;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum CaseError {
    #[error("{file}: cannot be read: {fault}")]
    Unreadable { file: String, fault: std::io::Error },
    #[error("{file}: more than {FILE_MAX_BYTES} bytes, which is the most a request file may have")]
    TooLarge { file: String },
    #[error("{file}:{fault}")]
    Wrong { file: String, fault: SampleError },
}

impl CaseError {
    /// The line of the file, when one is at fault.
    pub(super) fn line(&self) -> Option<usize> {
        match self {
            Self::Wrong { fault, .. } => Some(fault.line()),
            Self::Unreadable { .. } | Self::TooLarge { .. } => None,
        }
    }
}

/// Reads a request file.
pub(super) fn read(path: &Path) -> Result<Request, CaseError> {
    parse(&path.display().to_string(), &read_text(path)?)
}

/// Reads a request from a text that is called `name`.
pub(super) fn parse(name: &str, text: &str) -> Result<Request, CaseError> {
    Request::parse(text).map_err(|fault| CaseError::Wrong { file: name.to_owned(), fault })
}

/// A file's text, up to its bound.
pub(super) fn read_text(path: &Path) -> Result<String, CaseError> {
    bounded(&path.display().to_string(), File::open(path))
}

/// The text of standard input, up to the same bound.
pub(super) fn read_input() -> Result<String, CaseError> {
    bounded("standard input", Ok(std::io::stdin().lock()))
}

fn bounded(name: &str, from: std::io::Result<impl Read>) -> Result<String, CaseError> {
    let mut text = String::new();
    from.and_then(|from| from.take(FILE_MAX_BYTES + 1).read_to_string(&mut text))
        .map_err(|fault| CaseError::Unreadable { file: name.to_owned(), fault })?;
    if text.len() as u64 > FILE_MAX_BYTES {
        return Err(CaseError::TooLarge { file: name.to_owned() });
    }
    Ok(text)
}

/// What a template sees of a request; `body` is the request's own, as it was made out.
pub(super) fn context<'a>(request: &'a Request, body: &'a Body) -> Context<'a> {
    let more = More {
        query: request.query.as_deref().unwrap_or_default(),
        path: request.path.as_deref().unwrap_or_default(),
        webhook: "draft",
        received: request.received,
    };
    Context::new(&request.method, &request.headers, body).with(more)
}
