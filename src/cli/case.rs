//! Request files (`parse/sample.rs`) and templates read from disk. In: a path. Out: a request, or a text; or the file,
//! its line and key at fault. Never more than the bound of what the file holds.

use std::fs::File;
use std::io::Read;
use std::path::Path;

pub(super) use crate::parse::sample::Sample as Request;
use crate::parse::sample::SampleError;
use crate::render::{Context, Limits, More};
use crate::request::Body;

/// What a file holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Holds {
    Request,
    Template,
    Event,
    Key,
    Password,
    Filter,
    Certificate,
}

impl Holds {
    fn name(self) -> &'static str {
        match self {
            Self::Request => "a request file",
            Self::Template => "a template",
            Self::Event => "an expected event or error",
            Self::Key => "a key file",
            Self::Password => "a password file",
            Self::Filter => "a filter",
            Self::Certificate => "certificates in PEM",
        }
    }

    /// Most bytes of such a file.
    fn most(self) -> u64 {
        match self {
            // A body of the largest size in base64, or what a template made of it, and room for all else.
            Self::Request | Self::Event => 16 << 20,
            Self::Template => Limits::default().source_max_bytes as u64,
            Self::Key | Self::Password | Self::Filter | Self::Certificate => 64 << 10,
        }
    }

    /// Where reading stops. What is not far above the bound of a template the engine refuses in its own words.
    fn read_most(self) -> u64 {
        match self {
            Self::Template => self.most() * 2,
            _ => self.most(),
        }
    }
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum CaseError {
    #[error("{file}: cannot be read: {fault}")]
    Unreadable { file: String, fault: std::io::Error },
    #[error("{file}: cannot be read: not UTF-8 at byte {at}")]
    NotText { file: String, at: usize },
    #[error("{file}: more than {} bytes, which is the most {} may have", .holds.most(), .holds.name())]
    TooLarge { file: String, holds: Holds },
    #[error("{file}:{fault}")]
    Wrong { file: String, fault: SampleError },
}

impl CaseError {
    /// The line of the file, when one is at fault.
    pub(super) fn line(&self) -> Option<usize> {
        match self {
            Self::Wrong { fault, .. } => Some(fault.line()),
            Self::Unreadable { .. } | Self::NotText { .. } | Self::TooLarge { .. } => None,
        }
    }
}

/// Reads a request file.
pub(super) fn read(path: &Path) -> Result<Request, CaseError> {
    parse(&path.display().to_string(), &read_text(path, Holds::Request)?)
}

/// Reads a request from a text that is called `name`.
pub(super) fn parse(name: &str, text: &str) -> Result<Request, CaseError> {
    Request::parse(text).map_err(|fault| CaseError::Wrong { file: name.to_owned(), fault })
}

/// A file's text, up to its bound.
pub(super) fn read_text(path: &Path, holds: Holds) -> Result<String, CaseError> {
    bounded(&path.display().to_string(), File::open(path), holds)
}

/// The text of standard input, up to the same bound.
pub(super) fn read_input(holds: Holds) -> Result<String, CaseError> {
    bounded("standard input", Ok(std::io::stdin().lock()), holds)
}

/// A file's bytes, up to its bound.
pub(super) fn read_bytes(path: &Path, holds: Holds) -> Result<Vec<u8>, CaseError> {
    bounded_bytes(&path.display().to_string(), File::open(path), holds)
}

fn bounded(
    file: &str,
    from: std::io::Result<impl Read>,
    holds: Holds,
) -> Result<String, CaseError> {
    String::from_utf8(bounded_bytes(file, from, holds)?).map_err(|fault| {
        let at = fault.utf8_error().valid_up_to();
        CaseError::NotText { file: file.to_owned(), at }
    })
}

fn bounded_bytes(
    file: &str,
    from: std::io::Result<impl Read>,
    holds: Holds,
) -> Result<Vec<u8>, CaseError> {
    let file = || file.to_owned();
    let mut bytes = Vec::new();
    from.and_then(|from| from.take(holds.read_most() + 1).read_to_end(&mut bytes))
        .map_err(|fault| CaseError::Unreadable { file: file(), fault })?;
    if bytes.len() as u64 > holds.read_most() {
        return Err(CaseError::TooLarge { file: file(), holds });
    }
    Ok(bytes)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(bytes: &[u8], holds: Holds) -> String {
        bounded("f", Ok(bytes), holds).expect_err("it is refused").to_string()
    }

    #[test]
    fn a_bound_is_that_of_what_the_file_holds() {
        let large = "é".repeat(140_000);
        let says = "f: more than 131072 bytes, which is the most a template may have";
        assert_eq!(fault(large.as_bytes(), Holds::Template), says);
        let says = "f: more than 65536 bytes, which is the most a key file may have";
        assert_eq!(fault(large.as_bytes(), Holds::Key), says);
        assert!(bounded("f", Ok(large.as_bytes()), Holds::Request).is_ok());
        assert_eq!(fault(b"a\xff", Holds::Event), "f: cannot be read: not UTF-8 at byte 1");
    }
}
