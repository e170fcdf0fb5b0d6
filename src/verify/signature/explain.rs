//! Why a request is refused, for whoever may know: which part differs. In: what was refused, and the fault. Out: words,
//! found by judging the same request with one thing changed. Never the value that would have been right.

use super::fault::Fault;
use super::probe::Probe;
use super::request::Request;
use super::source::From;
use super::{Known, Prepared, Registry, Verifier, reencoded};

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

    /// The one thing that makes the signature right when it is changed back: in the body, in the secret, or in how it
    /// was made and written.
    fn suspects(&self, request: &Request<'_>, fits: &dyn Fn(&Request<'_>) -> bool) -> Vec<String> {
        let is_right = |body: &[u8]| fits(&request.with_body(body));
        if let Some(what) = reencoded::find(request.body, &is_right) {
            return vec![format!(
                "the body was re-encoded on its way: the signature is right for it {what}"
            )];
        }
        if let Some(said) = self.secrets.iter().find_map(|one| self.probe(one, request)) {
            return vec![said];
        }
        let mut said =
            vec!["the secret is another, or the body is not the one that was signed".to_owned()];
        if self.secrets.iter().any(|one| one.text.expose().trim() != one.text.expose()) {
            said.push("the secret has spaces or a line's end around it".to_owned());
        }
        if reencoded::is_sorted(request.body) {
            said.push(
                "all names of its JSON are in order: something on its way may have sorted them"
                    .to_owned(),
            );
        }
        if self.needs_url() {
            said.push(
                "the address is signed, too: the setting `url` must be the one the sender knows"
                    .to_owned(),
            );
        }
        said
    }

    /// What is to be said of the way of signing that decides for a secret.
    fn probe(&self, secret: &Prepared, request: &Request<'_>) -> Option<String> {
        let mut ways = self.provider.schemes.iter().zip(&secret.materials);
        let (way, _) = ways.find(|(way, material)| {
            let counts = !(way.legacy && self.is_strict) && material.is_some();
            counts && way.when.iter().all(|when| self.holds(when, secret, request))
        })?;
        Probe::new(way, request, &self.parameters)?.find(self.name(), &secret.text)
    }
}
