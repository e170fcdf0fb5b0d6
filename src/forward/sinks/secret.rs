//! What authorizes requests: the first line of a file, or a secret that was given. In: that, and whether a Prefect
//! server is asked. Out: a header that no formatter prints. `Name: value` is that header, `user:password` for Prefect
//! is Basic, all else a bearer.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};

use crate::forward::ForwardError;
use crate::id;

/// Largest file with a secret.
const FILE_MAX_BYTES: u64 = 64 << 10;

/// A file with a secret, and the header it makes.
#[derive(Debug)]
pub(super) struct Secret {
    /// Where it stands; nowhere, when it was given.
    path: Option<PathBuf>,
    is_prefect: bool,
    header: (HeaderName, HeaderValue),
}

impl Secret {
    /// Reads the file.
    pub(super) fn read(path: &Path, is_prefect: bool) -> Result<Self, ForwardError> {
        let header = read(path, is_prefect).map_err(|why| ForwardError::file(path, &why))?;
        Ok(Self { path: Some(path.to_owned()), is_prefect, header })
    }

    /// One that was given.
    pub(super) fn given(secret: &id::Secret, is_prefect: bool) -> Result<Self, ForwardError> {
        let what = |why: io::Error| ForwardError::Secret(why.to_string());
        let header = header(secret.expose(), is_prefect).map_err(what)?;
        Ok(Self { path: None, is_prefect, header })
    }

    /// Reads it again, since it may have been changed; a file that cannot be read changes nothing.
    pub(super) async fn refresh(&mut self) {
        let (Some(path), is_prefect) = (self.path.clone(), self.is_prefect) else { return };
        let from = path.clone();
        let read = tokio::task::spawn_blocking(move || read(&from, is_prefect)).await;
        match read.map_err(io::Error::other).and_then(|read| read) {
            Ok(header) => self.header = header,
            Err(fault) => {
                let path = path.display();
                tracing::warn!(%path, %fault, "a secret could not be read again");
            }
        }
    }

    pub(super) fn header(&self) -> (HeaderName, HeaderValue) {
        self.header.clone()
    }
}

fn read(path: &Path, is_prefect: bool) -> io::Result<(HeaderName, HeaderValue)> {
    let mut text = String::new();
    File::open(path)?.take(FILE_MAX_BYTES).read_to_string(&mut text)?;
    header(text.lines().next().unwrap_or_default(), is_prefect)
}

/// The header that a secret makes.
fn header(line: &str, is_prefect: bool) -> io::Result<(HeaderName, HeaderValue)> {
    let line = line.trim();
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    if line.is_empty() {
        return Err(bad("its first line is empty; it should be a secret"));
    }
    let named = line.split_once(": ").and_then(|(name, value)| {
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value.trim().to_owned()))
    });
    let (name, value) = match named {
        Some(named) => named,
        None if is_prefect && line.contains(':') => {
            (AUTHORIZATION, format!("Basic {}", STANDARD.encode(line)))
        }
        None => (AUTHORIZATION, format!("Bearer {line}")),
    };
    let mut value =
        HeaderValue::from_str(&value).map_err(|_| bad("its first line is no header's value"))?;
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::tests::Folder;

    #[test]
    fn the_first_line_makes_the_header() {
        let folder = Folder::new();
        let path = folder.path().join("secret");
        for (text, is_prefect, name, value) in [
            ("abc\nignored\n", false, "authorization", "Bearer abc"),
            ("abc", true, "authorization", "Bearer abc"),
            ("user:pass word\n", true, "authorization", "Basic dXNlcjpwYXNzIHdvcmQ="),
            ("a:b", false, "authorization", "Bearer a:b"),
            ("X-Api-Key: k1\r\n", false, "x-api-key", "k1"),
            ("Authorization: Token t", true, "authorization", "Token t"),
        ] {
            std::fs::write(&path, text).expect("a file");
            let secret = Secret::read(&path, is_prefect).expect("a secret");
            let (found, header) = secret.header();
            assert_eq!((found.as_str(), header.to_str().expect("text")), (name, value));
            assert!(!format!("{secret:?}").contains(value), "{secret:?}");
        }
        for text in ["", "\nabc", "a\u{1}b"] {
            std::fs::write(&path, text).expect("a file");
            assert!(Secret::read(&path, false).is_err(), "{text:?}");
        }
        assert!(Secret::read(&folder.path().join("none"), false).is_err());
    }
}
