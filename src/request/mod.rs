//! The way in, as words: what a sender sent, before and after its body was read. Made by `accept`, read by the
//! planes. Never a socket, never a secret in a formatter: the target holds the slug, so it has no `Debug`.

mod certificate;
mod fixed;
mod told;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderName, Method, Uri};

use crate::clock::Time;
use crate::id::Uuid;
use crate::json::Document;

pub use certificate::ClientCertificate;
pub use fixed::{FixedReply, FixedReplyFault};
pub use told::{help, write_body, write_head};

/// What a template may see of the path: the slug is a secret.
pub const HIDDEN_PATH: &str = "/hooks/***";

/// Through how many gateways' destinations a request came, as the last of them says.
pub static HOPS: HeaderName = HeaderName::from_static("hookgate-hops");
/// From so many on it goes in a circle.
pub const HOPS_MAX: u8 = 8;

/// Headers that no template sees and no event keeps.
pub const SECRET_HEADERS: [HeaderName; 3] = [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE];

/// What a request says of the gateways it came through; 0 where it says nothing, or nothing of sense.
#[must_use]
pub fn hops(headers: &HeaderMap) -> u8 {
    headers.get(&HOPS).map_or(0, |said| count(said.as_bytes()))
}

/// The same as a received event tells it.
#[must_use]
pub fn hops_told(received: &[u8]) -> u8 {
    const SAID: &[u8] = b"\"hookgate-hops\":\"";
    let Some(at) = memchr::memmem::find(received, SAID) else { return 0 };
    count(&received[at + SAID.len()..])
}

fn count(text: &[u8]) -> u8 {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |count: u8, digit| count.saturating_mul(10).saturating_add(digit - b'0'))
}

/// The methods whose body means something.
#[must_use]
pub fn has_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

/// Bytes as text: what is not UTF-8, and U+0000, which no database downstream takes, become U+FFFD.
#[must_use]
pub fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    match memchr::memchr(0, bytes) {
        Some(_) => text.replace('\0', "\u{FFFD}"),
        None => text.into_owned(),
    }
}

/// One name or value of a form or query: `+` is a space, `%XX` a byte; a `%` that starts no escape stays.
#[must_use]
pub fn decode(part: &[u8]) -> String {
    let spaced: Vec<u8> = part.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    let bytes: Vec<u8> = percent_encoding::percent_decode(&spaced).collect();
    text(&bytes)
}

/// The head of a request, from a peer whose address is believed.
#[derive(Clone)]
pub struct Arrival {
    /// The method as sent; any token.
    pub method: Method,
    /// The target; its path may hold a slug.
    pub target: Uri,
    /// All headers as sent, `Authorization` among them.
    pub headers: HeaderMap,
    /// The sender: the socket's peer, or what a trusted proxy says.
    pub peer: IpAddr,
    /// `https` when the sender's own connection was encrypted.
    pub secure: bool,
    /// What its reply names it by, as `X-Request-Id`: the sender's own when that is well-formed, else fresh.
    pub request_id: RequestId,
    /// What its own connection was opened with, when an authority of the settings vouches for it.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// When the head was complete.
    pub received: Time,
}

impl Arrival {
    /// The path of the target, without its query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.path()
    }

    /// A header's value when it is there exactly once and readable as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?;
        if values.next().is_some() { None } else { value.to_str().ok() }
    }
}

/// What a reply names its request by: at most 128 printable ASCII characters. One that was made here is the id of
/// the request itself, its receipt, when it is kept. A sender's own stands in what is kept as the header that it is,
/// and log lines say it beside the receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestId {
    /// Made here.
    Ours(Uuid),
    /// The sender's `X-Request-Id`, already found well-formed.
    Theirs(http::HeaderValue),
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ours(id) => id.fmt(f),
            Self::Theirs(id) => f.write_str(&String::from_utf8_lossy(id.as_bytes())),
        }
    }
}

/// A body that was read whole within its limits.
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// The bytes as they came over the wire: what a signature covers.
    pub raw: Bytes,
    /// The bytes after one layer of `Content-Encoding`; the same buffer as `raw` when there was none.
    pub decoded: Bytes,
}

/// A body as templates see it.
#[derive(Clone, Debug)]
pub enum Body {
    /// Nothing was sent, or the method has no body: an empty string to templates.
    Empty,
    /// JSON, indexed over the request's own bytes.
    Json(Arc<Document>),
    /// A form: names and values decoded, the last of a repeated name.
    Form(Vec<(String, String)>),
    /// Anything else, as text.
    Text(String),
}
