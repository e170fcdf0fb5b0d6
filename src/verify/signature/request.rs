//! What is judged: the parts of a request as they came over the wire. In: method, headers, query and body. Out: fields
//! of the body and the query, read within bounds. The body is read only when a signature is made of its fields.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, Method};

use crate::json::{Document, Kind, Value};
use crate::request::ClientCertificate;

use super::fault::Fault;
use super::parsed::{self, Parsed};
use super::source::PARTS_MAX;

/// Stands in an address for the secret part of a hook's path.
pub const SLUG_PLACE: &str = "{slug}";

/// Settings by name: `url`, `public_key`, …
pub type Parameters = BTreeMap<String, String>;

/// A name and its value.
pub(super) type Field = (Vec<u8>, Vec<u8>);
/// What a value says.
type Read = fn(Value<'_>) -> Option<Cow<'_, str>>;

/// Most fields of a form that has to be read.
const FIELDS_MAX: usize = 1000;

/// A request as it is judged.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its headers, `Authorization` among them.
    pub headers: &'a HeaderMap,
    /// Its query, without the question mark.
    pub query: Option<&'a str>,
    /// Its body, before anything was undone.
    pub body: &'a [u8],
    /// What stands for [`SLUG_PLACE`] in the address that the sender knows.
    pub slug: Option<&'a str>,
    /// What the sender showed when its connection began, when an authority vouches for it.
    pub certificate: Option<&'a ClientCertificate>,
    /// What was read of its body before: of this one, and no other.
    pub parsed: Option<&'a Parsed<'a>>,
}

impl<'a> Request<'a> {
    /// The same, of which what is read is kept: where it is kept already, or in `own`.
    pub(super) fn parsing<'b>(&self, own: &'b mut Option<Parsed<'b>>) -> Request<'b>
    where
        'a: 'b,
    {
        let parsed = match self.parsed {
            Some(parsed) => parsed,
            None => own.insert(Parsed::default()),
        };
        Request { parsed: Some(parsed), ..*self }
    }

    /// The address that the sender knows: the setting, with the slug in its place, and with the query that it was sent
    /// with. Where the setting has a query, that is how the one that was sent begins, at least; one that something on
    /// its way took off stands there as the setting has it. Any other was not signed, and refuses the request.
    ///
    /// # Errors
    /// [`Fault::Parameter`]: the setting is missing. [`Fault::Query`]: it was sent with another query.
    pub fn address(&self, parameters: &Parameters) -> Result<String, Fault> {
        let said = parameters.get("url").ok_or_else(|| Fault::Parameter("url".to_owned()))?;
        let (bare, known) =
            said.split_once('?').map_or((&**said, None), |(bare, query)| (bare, Some(query)));
        let mut address = bare.replace(SLUG_PLACE, self.slug.unwrap_or(SLUG_PLACE));
        let sent = self.query.filter(|query| !query.is_empty());
        if let (Some(sent), Some(known)) = (sent, known.filter(|known| !known.is_empty())) {
            // Senders put fields of their own behind those of the address that they know: a digest of the body.
            let more = sent.strip_prefix(known);
            if !more.is_some_and(|more| more.is_empty() || more.starts_with('&')) {
                return Err(Fault::Query);
            }
        }
        if let Some(query) = sent.or(known) {
            address.push('?');
            address.push_str(query);
        }
        Ok(address)
    }

    /// The same with another body.
    #[must_use]
    pub fn with_body<'b>(&self, body: &'b [u8]) -> Request<'b>
    where
        'a: 'b,
    {
        Request { body, parsed: None, ..*self }
    }

    /// The texts at a pointer of a JSON body: strings, numbers, and booleans as they are written.
    ///
    /// # Errors
    /// [`Fault::Body`]: it is no JSON.
    pub fn json(&self, pointer: &str) -> Result<Vec<Cow<'a, [u8]>>, Fault> {
        self.collect(pointer, scalar)
    }

    /// The same, of strings alone.
    ///
    /// # Errors
    /// As [`Request::json`].
    pub fn json_texts(&self, pointer: &str) -> Result<Vec<Cow<'a, [u8]>>, Fault> {
        self.collect(pointer, |value| value.text())
    }

    fn collect(&self, pointer: &str, read: Read) -> Result<Vec<Cow<'a, [u8]>>, Fault> {
        let mut found = Vec::new();
        if let Some(parsed) = self.parsed {
            collect(parsed.document(self.body)?.root(), pointer, read, &mut found);
            return Ok(found);
        }
        let document = self.document()?;
        let mut found = Vec::new();
        collect(document.root(), pointer, read, &mut found);
        Ok(parsed::owned(found))
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// [`Fault::Body`]: it is none.
    pub fn document(&self) -> Result<Cow<'a, Document>, Fault> {
        match self.parsed {
            Some(parsed) => parsed.document(self.body).map(Cow::Borrowed),
            None => parsed::document(Bytes::copy_from_slice(self.body)).map(Cow::Owned),
        }
    }

    /// The last field of that name of a form.
    ///
    /// # Errors
    /// [`Fault::Body`]: too many fields.
    pub fn form(&self, name: &str) -> Result<Option<Cow<'a, [u8]>>, Fault> {
        let is_it = |field: &&Field| field.0 == name.as_bytes();
        Ok(match self.fields()? {
            Cow::Borrowed(fields) => {
                fields.iter().rev().find(is_it).map(|field| Cow::Borrowed(&*field.1))
            }
            Cow::Owned(fields) => {
                fields.into_iter().rev().find(|field| is_it(&field)).map(|field| field.1.into())
            }
        })
    }

    /// All fields of a form, in their order.
    ///
    /// # Errors
    /// [`Fault::Body`]: too many.
    pub(super) fn fields(&self) -> Result<Cow<'a, [Field]>, Fault> {
        let fields = match self.parsed {
            Some(parsed) => parsed.fields(self.body).map(Cow::Borrowed),
            None => read_fields(self.body).map(Cow::Owned),
        };
        fields.ok_or(Fault::Body("a form of at most 1000 fields"))
    }

    /// The SHA-256 of the body.
    pub(super) fn sha256(&self) -> [u8; 32] {
        self.parsed.map_or_else(|| parsed::sha256(self.body), |parsed| parsed.sha256(self.body))
    }

    /// Its checksum.
    pub(super) fn crc32(&self) -> u32 {
        self.parsed.map_or_else(|| parsed::crc32(self.body), |parsed| parsed.crc32(self.body))
    }

    /// The first field of that name of the query.
    #[must_use]
    pub fn query_field(&self, name: &str) -> Option<Vec<u8>> {
        field_of(self.query?, name)
    }
}

/// The first field of that name of a query.
pub(super) fn field_of(query: &str, name: &str) -> Option<Vec<u8>> {
    let fields = read_fields(query.as_bytes())?;
    fields.into_iter().find(|field| field.0 == name.as_bytes()).map(|field| field.1)
}

/// Names and values of a form or query; `None` when there are too many.
pub(super) fn read_fields(text: &[u8]) -> Option<Vec<Field>> {
    let pairs = text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    let mut fields = Vec::new();
    for pair in pairs {
        if fields.len() == FIELDS_MAX {
            return None;
        }
        let cut = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        fields.push((decode(&pair[..cut]), decode(pair.get(cut + 1..).unwrap_or_default())));
    }
    Some(fields)
}

/// The exact bytes of a name or value: signatures are made of them.
fn decode(part: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = part.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    percent_encoding::percent_decode(&spaced).collect()
}

/// The texts at a pointer; `*` is each item.
fn collect<'v>(value: Value<'v>, pointer: &str, read: Read, found: &mut Vec<Cow<'v, [u8]>>) {
    // One more than counts, so that who reads them sees that they are too many.
    if found.len() > PARTS_MAX {
        return;
    }
    let Some(rest) = pointer.strip_prefix('/') else {
        found.extend(read(value).map(|text| match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        }));
        return;
    };
    let (step, rest) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    if step == "*" {
        for item in value.items().take(PARTS_MAX + 1) {
            let before = found.len();
            collect(item, rest, read, found);
            if found.len() == before {
                // An item without it is one that does not match.
                found.push(Cow::default());
            }
        }
        return;
    }
    let inner = match value.kind() {
        Kind::Array => step.parse().ok().and_then(|place: usize| value.items().nth(place)),
        _ => value.get(step),
    };
    if let Some(inner) = inner {
        collect(inner, rest, read, found);
    }
}

/// A string's text, or a number or boolean as it is written.
pub(super) fn scalar(value: Value<'_>) -> Option<Cow<'_, str>> {
    match value.kind() {
        Kind::Integer | Kind::Float | Kind::True | Kind::False => Some(value.raw().into()),
        _ => value.text(),
    }
}
