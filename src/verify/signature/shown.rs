//! Where a request shows a secret as it is: nobody may see it there. In: the rows and settings of a verifier. Out:
//! places, and whether bytes hold one of its secrets. Cuts nothing.

use http::HeaderName;

use super::scheme::Mac;
use super::source::{From, Source};
use super::{Verifier, handshake};

/// Where a secret stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// In a header.
    Header(&'a str),
    /// In any header that begins so.
    Stem(&'a str),
    /// In a field of the query.
    Query(&'a str),
    /// In a field of a form.
    Form(&'a str),
    /// At a pointer of a JSON body; `*` is each item.
    Json(&'a str),
    /// It is the body.
    Body,
}

impl Verifier {
    /// Where its senders show a secret as it is.
    #[must_use]
    pub fn secret_places(&self) -> Vec<Place<'_>> {
        let plain = self.provider.schemes.iter().filter(|scheme| scheme.mac == Mac::Equal);
        let tokens = plain.filter_map(|scheme| scheme.signature.as_ref());
        let asked = self.provider.handshakes.iter().flat_map(handshake::Handshake::secret_sources);
        tokens.chain(asked).flat_map(|source| self.places(source)).collect()
    }

    fn places<'a>(&'a self, source: &'a Source) -> Vec<Place<'a>> {
        match &source.from {
            From::Headers(names) => {
                names.iter().map(HeaderName::as_str).map(Place::Header).collect()
            }
            From::Stem(stem) => vec![Place::Stem(stem)],
            From::HeaderParameter(setting) => {
                let name = self.parameters.get(setting).map(String::as_str);
                name.map(Place::Header).into_iter().collect()
            }
            From::Query(name) => vec![Place::Query(name)],
            From::Form(name) => vec![Place::Form(name)],
            From::Json(pointer) => vec![Place::Json(pointer)],
            From::Body => vec![Place::Body],
        }
    }

    /// Whether bytes hold one of its secrets, as it is written.
    #[must_use]
    pub fn shows_secret(&self, bytes: &[u8]) -> bool {
        self.secrets.iter().any(|one| {
            let secret = one.text.expose().as_bytes();
            !secret.is_empty() && memchr::memmem::find(bytes, secret).is_some()
        })
    }
}
