//! Why a request is refused, for whoever may know: which part differs. In: what was refused, and the fault. Out: words,
//! found by judging the same request with one thing changed. Never the value that would have been right.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::Value;

use super::fault::Fault;
use super::request::Request;
use super::source::From;
use super::{Known, Registry, Verifier};

/// Most of the others that are named.
const OTHERS_MAX: usize = 8;

/// Providers whose signature's header a request carries.
#[must_use]
pub fn bearers<'a>(registry: &'a Registry, request: &Request<'_>) -> Vec<&'a str> {
    let carries = |from: &From| match from {
        From::Headers(names) => names.iter().any(|name| request.headers.contains_key(name)),
        _ => false,
    };
    let named = registry.iter().filter(|(_, provider)| {
        let mut sources = provider.schemes.iter().filter_map(|scheme| scheme.signature.as_ref());
        sources.any(|source| carries(&source.from))
    });
    named.map(|(name, _)| name).collect()
}

impl Verifier {
    /// What else is to be said of a refused request: what would have been accepted, or what is found instead.
    #[must_use]
    pub fn explain(
        &self,
        registry: &Registry,
        request: &Request<'_>,
        known: &dyn Known,
        fault: &Fault,
    ) -> Vec<String> {
        let fits = |request: &Request<'_>| self.judge(request, known, None).is_ok();
        let asked = self.provider.handshakes.iter();
        let asked = asked.into_iter().find(|one| one.is_asked(request, &self.parameters));
        if let Some(said) = asked.and_then(|one| one.explain(fault)) {
            return said;
        }
        match fault {
            Fault::Missing(_) if asked.is_some() && fits(request) => {
                vec!["the signature is right: what is to be said back is missing".to_owned()]
            }
            Fault::Clock { .. } | Fault::Expired(_) | Fault::Early(_) => {
                let said = if fits(request) {
                    "the signature is right: only the clock, or an old request, is at fault"
                } else {
                    "the signature would not match at its own time either"
                };
                vec![said.to_owned()]
            }
            Fault::Unsigned { .. } | Fault::Missing(_) => {
                let mut others = bearers(registry, request);
                others.retain(|name| *name != self.name());
                others.truncate(OTHERS_MAX);
                let said = if others.is_empty() {
                    "no header of the request is one that signatures stand in: it was \
                             sent unsigned, or something on its way took the header off"
                        .to_owned()
                } else {
                    format!("it carries what these sign with: {}", others.join(", "))
                };
                vec![said]
            }
            Fault::NoCertificate => {
                vec!["a certificate belongs to a connection: no request file has one".to_owned()]
            }
            Fault::Mismatch | Fault::Digest(_) => self.suspects(request, &fits),
            _ => Vec::new(),
        }
    }

    /// What of a body, when it is changed back, makes the signature right.
    fn suspects(&self, request: &Request<'_>, fits: &dyn Fn(&Request<'_>) -> bool) -> Vec<String> {
        for (what, body) in reencoded(request.body) {
            if fits(&Request { body: &body, ..*request }) {
                return vec![format!(
                    "the body was re-encoded on its way: the signature is right for it {what}"
                )];
            }
        }
        let mut said =
            vec!["the secret is another, or the body is not the one that was signed".to_owned()];
        if self.secrets.iter().any(|one| one.text.expose().trim() != one.text.expose()) {
            said.push("the secret has spaces or a line's end around it".to_owned());
        }
        if self.needs_url() {
            said.push(
                "the address is signed, too: the setting `url` must be the one the sender knows"
                    .to_owned(),
            );
        }
        said
    }
}

/// What proxies and frameworks make of a body, undone.
fn reencoded(body: &[u8]) -> Vec<(&'static str, Cow<'_, [u8]>)> {
    let trimmed = body.trim_ascii_end();
    let mut found: Vec<(_, Cow<'_, [u8]>)> = vec![
        ("without what ends its last line", trimmed.into()),
        ("with a line feed at its end", [trimmed, b"\n"].concat().into()),
        ("with a carriage return and a line feed at its end", [trimmed, b"\r\n"].concat().into()),
    ];
    if let Some(text) = body.strip_prefix(b"\xef\xbb\xbf") {
        found.push(("without a byte order mark", text.into()));
    }
    if memchr::memmem::find(body, b"\r\n").is_some() {
        let text = String::from_utf8_lossy(body).replace("\r\n", "\n");
        found.push(("with line feeds alone", text.into_bytes().into()));
    }
    let Ok(value) = serde_json::from_slice::<Value>(body) else { return found };
    let compact = value.to_string();
    found.push(("as JSON without spaces", compact.clone().into_bytes().into()));
    found.push(("as JSON with spaces behind `:` and `,`", spaced(&compact).into_bytes().into()));
    if let Ok(pretty) = serde_json::to_vec_pretty(&value) {
        found.push(("as JSON, indented by two", pretty.into()));
    }
    found.push(("as JSON in ASCII", ascii(&compact).into_bytes().into()));
    found.push(("as JSON in ASCII, with spaces", ascii(&spaced(&compact)).into_bytes().into()));
    found
}

/// Compact JSON with spaces, as Python writes it.
fn spaced(compact: &str) -> String {
    let mut out = String::with_capacity(compact.len() + compact.len() / 8);
    let (mut quoted, mut escaped) = (false, false);
    for c in compact.chars() {
        out.push(c);
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ':' | ',' if !quoted => out.push(' '),
            _ => {}
        }
    }
    out
}

/// JSON with all but ASCII escaped.
fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    out
}
