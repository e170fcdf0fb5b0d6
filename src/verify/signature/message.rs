//! What is signed: literal text and parts of the request, one behind the other. In: a request, its time and id. Out:
//! the parts as bytes, in their order, to whoever digests them. Copies no body but to escape it.

use std::borrow::Cow;
use std::fmt::Write as _;

use http::HeaderName;
use serde::Deserialize;

use super::fault::Fault;
use super::request::Request;
use super::source::header;

/// Bytes that are signed, as their parts.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Message(pub Vec<Part>);

impl Default for Message {
    fn default() -> Self {
        Self(vec![Part::Body])
    }
}

/// One part of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Text(String),
    Body,
    BodyEscaped,
    Time,
    Id,
    Secret,
    Method,
    Url,
    UrlDecoded,
    Crc32,
    Names,
    Values,
    FormSorted,
    FormSortedUnique,
    Form(String),
    Json(String),
}

impl TryFrom<String> for Message {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text.as_str();
        while let Some(open) = rest.find('{') {
            if open > 0 {
                parts.push(Part::Text(rest[..open].to_owned()));
            }
            let Some((name, after)) = rest[open + 1..].split_once('}') else {
                return Err(format!("`{text}`: a brace is not closed"));
            };
            parts.push(part(name).ok_or_else(|| format!("`{text}`: no part `{{{name}}}`"))?);
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }
}

fn part(name: &str) -> Option<Part> {
    Some(match name {
        "body" => Part::Body,
        "body-escaped" => Part::BodyEscaped,
        "time" => Part::Time,
        "id" => Part::Id,
        "secret" => Part::Secret,
        "method" => Part::Method,
        "url" => Part::Url,
        "url-decoded" => Part::UrlDecoded,
        "crc32" => Part::Crc32,
        "names" => Part::Names,
        "values" => Part::Values,
        "form-sorted" => Part::FormSorted,
        "form-sorted-unique" => Part::FormSortedUnique,
        _ => match name.split_once(':')? {
            ("form", field) => Part::Form(field.to_owned()),
            ("json", pointer) => Part::Json(pointer.to_owned()),
            _ => return None,
        },
    })
}

impl Message {
    /// Whether it is the body, and nothing else.
    pub(super) fn is_body(&self) -> bool {
        self.0 == [Part::Body]
    }

    /// Whether the secret is part of it: then it is another one for each.
    pub(super) fn has_secret(&self) -> bool {
        self.0.contains(&Part::Secret)
    }

    /// Whether the address is part of it.
    #[must_use]
    pub fn needs_url(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Url | Part::UrlDecoded))
    }
}

/// What a message is made of.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// The request.
    pub request: &'a Request<'a>,
    /// The address the sender knows.
    pub url: Option<&'a str>,
    /// The signed time, as it was written.
    pub time: &'a [u8],
    /// The id.
    pub id: &'a [u8],
    /// The names of signed headers.
    pub names: &'a [u8],
    /// The secret, as it was given.
    pub secret: &'a [u8],
}

impl Message {
    /// Hands all bytes of it to `feed`.
    ///
    /// # Errors
    /// A part of the request that is missing.
    pub fn feed(&self, given: &Given<'_>, feed: &mut dyn FnMut(&[u8])) -> Result<(), Fault> {
        self.0.iter().try_for_each(|part| part.feed(given, feed))
    }

    /// All bytes of it.
    ///
    /// # Errors
    /// As [`Message::feed`].
    pub fn bytes(&self, given: &Given<'_>) -> Result<Vec<u8>, Fault> {
        let mut out = Vec::with_capacity(given.request.body.len() + 128);
        self.feed(given, &mut |bytes| out.extend_from_slice(bytes))?;
        Ok(out)
    }
}

impl Part {
    fn feed(&self, given: &Given<'_>, feed: &mut dyn FnMut(&[u8])) -> Result<(), Fault> {
        let request = given.request;
        let url = || given.url.ok_or_else(|| Fault::Parameter("url".to_owned()));
        match self {
            Self::Text(text) => feed(text.as_bytes()),
            Self::Body => feed(request.body),
            Self::BodyEscaped => match std::str::from_utf8(request.body) {
                Ok(text) => feed(escape(text).as_bytes()),
                Err(_) => feed(request.body),
            },
            Self::Time => feed(given.time),
            Self::Id => feed(given.id),
            Self::Secret => feed(given.secret),
            Self::Method => feed(request.method.as_str().as_bytes()),
            Self::Url => feed(url()?.as_bytes()),
            Self::UrlDecoded => feed(decode_marks(url()?).as_bytes()),
            Self::Crc32 => {
                feed(itoa::Buffer::new().format(request.crc32()).as_bytes());
            }
            Self::Names => feed(given.names),
            Self::Values => feed_values(given, feed)?,
            Self::FormSorted => feed_form(request, false, feed)?,
            Self::FormSortedUnique => feed_form(request, true, feed)?,
            Self::Form(name) => {
                let value = request.form(name)?;
                feed(&value.ok_or_else(|| Fault::Missing(format!("form field {name}")))?);
            }
            Self::Json(pointer) => {
                let values = request.json(pointer)?;
                let missing = || Fault::Missing(format!("body field {pointer}"));
                feed(values.first().ok_or_else(missing)?);
            }
        }
        Ok(())
    }
}

/// The values of the named headers, a dot between them.
fn feed_values(given: &Given<'_>, feed: &mut dyn FnMut(&[u8])) -> Result<(), Fault> {
    if given.names.is_empty() {
        return Ok(());
    }
    for (place, name) in given.names.split(|byte| *byte == b' ').enumerate() {
        let missing = || Fault::Missing(format!("header {}", String::from_utf8_lossy(name)));
        let named = HeaderName::from_bytes(name).map_err(|_| missing())?;
        let value = header(given.request.headers, &named)?.ok_or_else(missing)?;
        if place > 0 {
            feed(b".");
        }
        feed(value);
    }
    Ok(())
}

/// Names and values of a form, sorted.
fn feed_form(
    request: &Request<'_>,
    unique: bool,
    feed: &mut dyn FnMut(&[u8]),
) -> Result<(), Fault> {
    let fields = request.fields()?;
    let mut fields: Vec<_> = fields.iter().collect();
    if unique {
        fields.sort();
        fields.dedup();
    } else {
        fields.sort_by(|one, other| one.0.cmp(&other.0));
    }
    for (name, value) in fields {
        feed(name);
        feed(value);
    }
    Ok(())
}

/// JSON as PHP writes it: what is not ASCII is escaped, and each slash that has no backslash in front.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let mut before = None;
    for letter in text.chars() {
        match letter {
            '/' if before != Some('\\') => out.push_str("\\/"),
            '\0'..'\x7f' => out.push(letter),
            _ => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
        before = Some(letter);
    }
    out
}

/// An address with twelve of its escapes undone, and no other.
fn decode_marks(url: &str) -> Cow<'_, str> {
    const MARKS: [(&str, &str); 12] = [
        ("%3A", ":"),
        ("%2F", "/"),
        ("%3F", "?"),
        ("%40", "@"),
        ("%21", "!"),
        ("%24", "$"),
        ("%27", "'"),
        ("%28", "("),
        ("%29", ")"),
        ("%2A", "*"),
        ("%2C", ","),
        ("%3B", ";"),
    ];
    if !url.contains('%') {
        return Cow::Borrowed(url);
    }
    let mut out = String::with_capacity(url.len());
    let mut rest = url;
    while let Some(place) = rest.find('%') {
        out.push_str(&rest[..place]);
        let escape = rest.get(place..place + 3).unwrap_or_default();
        let mark = MARKS.iter().find(|(written, _)| written.eq_ignore_ascii_case(escape));
        if let Some((_, mark)) = mark {
            out.push_str(mark);
            rest = &rest[place + 3..];
        } else {
            out.push('%');
            rest = &rest[place + 1..];
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}
