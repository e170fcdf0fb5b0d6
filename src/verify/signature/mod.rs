//! Signatures of webhooks: who sent a request. In: the raw parts of a request, secrets, a moment. Out: by which way of
//! signing and which secret it was verified, or the fact that speaks against it. One row of data for each way; pure:
//! never a clock, never a fetch, never the value that would have been right.

mod case;
mod certificate;
mod client;
mod explain;
mod fault;
mod fetched;
mod fit;
mod handshake;
mod judge;
mod keys;
mod listed;
mod mark;
mod material;
mod message;
mod moment;
mod odd;
mod parsed;
mod point;
mod private;
mod probe;
mod reencoded;
#[cfg(test)]
mod refused;
mod registry;
mod request;
mod scheme;
mod settings;
mod shown;
mod sign;
mod source;
mod spelling;
#[cfg(test)]
mod tests;
mod token;
#[cfg(test)]
mod trip;
mod visit;
mod when;
mod work;
mod written;

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use crate::id::Secret;

pub use case::{Case, CasesFault, Outcome, Tally, run_cases};
pub use explain::bearers;
pub use fault::{Fault, SchemeFault};
pub use fetched::{Ask, Form, Kept, Known, Wanted};
pub use fit::{Means, Unfit};
pub use handshake::{Answer, Greeting};
pub use parsed::Parsed;
pub use registry::Registry;
pub use request::{Parameters, Request, SLUG_PLACE};
pub use scheme::{Origin, Provider};
pub use settings::LEGACY;
pub use shown::Place;
pub use sign::{Draft, Mark, Signer};

use handshake::Handshake;
use material::{Key, Material};
use scheme::{Scheme, SecretForm};
use when::When;

/// Most secrets that count at once.
pub const SECRETS_MAX: usize = 8;

/// The setting that is a certificate, as PEM: none is fetched then.
const CERTIFICATE: &str = "certificate";

/// A provider with an owner's secrets, ready to judge.
pub struct Verifier {
    name: Box<str>,
    provider: Arc<Provider>,
    secrets: Vec<Prepared>,
    parameters: Parameters,
    window: Option<u32>,
    /// Ways of signing that others have replaced do not count.
    is_strict: bool,
    /// What was signed is to be known again.
    remembers: bool,
    /// Until then a secret is taken that a request brings, in seconds since 1970.
    enrols_until: Option<i64>,
}

/// One secret, ready for each way of signing it is for.
struct Prepared {
    text: Secret,
    /// From then on it counts no more, in seconds since 1970.
    until: Option<i64>,
    /// It is the word of a question, and judges no signature.
    is_token: bool,
    /// As many as the provider has ways.
    materials: Vec<Option<Material>>,
}

/// A request was signed by who knows a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Which way of signing, counted from 0.
    pub scheme: usize,
    /// Which secret, counted from 0.
    pub secret: usize,
    /// Whether what was signed says when.
    pub timed: bool,
    /// What was signed, when it is to be known again and says something of the request.
    pub signed: Option<Signed>,
}

/// What was signed, to know it again by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Nobody who cannot sign gets another one for the same: it is of the signed bytes alone. The secret is no part of
    /// it, so it stays when that is replaced.
    pub digest: [u8; 16],
    /// How many seconds the time that it bears may be off, when that is judged.
    pub window: Option<u32>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Verifier");
        shown.field("provider", &self.name).field("secrets", &self.secrets.len());
        shown.finish_non_exhaustive()
    }
}

impl Verifier {
    /// A provider with these secrets and settings; `window` in seconds stands for the provider's own. Without secrets
    /// it can only answer handshakes.
    ///
    /// # Errors
    /// A secret that has not the form, or a setting that is missing.
    pub fn new(
        name: &str,
        provider: &Arc<Provider>,
        secrets: &[Secret],
        parameters: Parameters,
        window: Option<u32>,
    ) -> Result<Self, SchemeFault> {
        let keyless = provider.schemes.iter().all(|scheme| scheme.secret == SecretForm::None)
            || provider.schemes.iter().any(|scheme| scheme.keys_address(&parameters).is_some());
        let missing = provider.schemes.iter().find_map(|scheme| scheme.keys_setting(&parameters));
        if let Some(missing) = missing.filter(|_| secrets.is_empty()) {
            let (provider, name) = (name.to_owned(), missing.to_owned());
            return Err(SchemeFault::Parameter { provider, name });
        }
        let none = [Secret::new("")];
        let secrets = if secrets.is_empty() && keyless { &none } else { secrets };
        let settled = |scheme: &&Scheme| {
            scheme.when.iter().all(|when| match when {
                When::Parameter { parameter } => parameters.contains_key(parameter),
                _ => true,
            })
        };
        for scheme in provider.schemes.iter().filter(settled) {
            if let Some(missing) = scheme.parameters().find(|name| !parameters.contains_key(*name))
            {
                let (provider, name) = (name.to_owned(), missing.to_owned());
                return Err(SchemeFault::Parameter { provider, name });
            }
        }
        if provider.is_certified() {
            client::check(name, &parameters)?;
        }
        provider.handshakes.iter().try_for_each(|asked| asked.check(name, &parameters))?;
        let secrets: Result<_, _> = secrets
            .iter()
            .map(|secret| Prepared::new(name, provider, secret, &parameters))
            .collect();
        let (provider, secrets) = (Arc::clone(provider), secrets?);
        let (name, is_strict, remembers, enrols_until) = (name.into(), false, false, None);
        Ok(Self { name, provider, secrets, parameters, window, is_strict, remembers, enrols_until })
    }

    /// The same, but for ways of signing that the provider has replaced: who sends chooses the way, so the weakest that
    /// is taken is what a signature is worth.
    #[must_use]
    pub fn strict(self) -> Self {
        Self { is_strict: true, ..self }
    }

    /// The same, which tells of what it judges by what to know it again.
    #[must_use]
    pub fn remembering(self) -> Self {
        Self { remembers: true, ..self }
    }

    /// Whether any of its secrets signs requests; a token that is only shown says nothing of what it comes with.
    #[must_use]
    pub fn signs_requests(&self) -> bool {
        let mut ways = self.provider.schemes.iter().enumerate();
        ways.any(|(place, scheme)| {
            let counts = !(scheme.legacy && self.is_strict) && scheme.signs_requests();
            counts && self.secrets.iter().any(|secret| secret.materials[place].is_some())
        })
    }

    /// The same, whose secrets end at those moments, in seconds since 1970; in their order.
    #[must_use]
    pub fn ending(mut self, ends: impl Iterator<Item = Option<i64>>) -> Self {
        for (prepared, until) in self.secrets.iter_mut().zip(ends) {
            prepared.until = until;
        }
        self
    }

    /// The same, which takes the secret that a request brings up to a moment, in seconds since 1970; while it has none.
    #[must_use]
    pub fn enrolling(self, until: Option<i64>) -> Self {
        Self { enrols_until: until, ..self }
    }

    /// Whether the provider brings its secret itself.
    #[must_use]
    pub fn can_enrol(&self) -> bool {
        self.provider.handshakes.iter().any(Handshake::enrols)
    }

    /// The provider's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a certificate or keys have to be fetched to judge.
    #[must_use]
    pub fn needs_fetching(&self) -> bool {
        let signs = |scheme: &Scheme| {
            scheme.certificate.is_some() && !self.parameters.contains_key(CERTIFICATE)
        };
        let keys = |one: &Material| matches!(one.key, Key::Fetched(_) | Key::Login(_));
        self.provider.schemes.iter().any(signs)
            || self.secrets.iter().flat_map(|one| &one.materials).flatten().any(keys)
    }

    /// Whether it is judged by the certificate that a sender shows: there is no secret.
    #[must_use]
    pub fn is_certified(&self) -> bool {
        self.provider.is_certified()
    }

    /// Who showed a certificate that is taken, when it is judged by one.
    #[must_use]
    pub fn certified(&self, request: &Request<'_>, now: Option<i64>) -> Option<String> {
        let judged = || client::sender(request.certificate, &self.parameters, now).ok();
        self.is_certified().then(judged).flatten()
    }

    /// Settings without which it cannot be told whose requests are taken: anybody may have them signed.
    pub fn agreed(&self) -> impl Iterator<Item = &str> {
        self.provider.schemes.iter().flat_map(|scheme| scheme.agreed.values()).map(String::as_str)
    }

    /// Whether the address that the sender knows has to be given as the setting `url`.
    #[must_use]
    pub fn needs_url(&self) -> bool {
        self.provider.schemes.iter().any(Scheme::needs_url)
    }

    /// Whether the provider demands that refusals say nothing.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.provider.handshakes.iter().any(|one| one.silent)
    }

    /// Judges a request at a moment, in seconds since 1970; without one, no time is judged. All secrets are tried,
    /// whichever fits, so that the time it takes tells nothing.
    ///
    /// # Errors
    /// The fact that speaks against it: of several secrets, what was found by the last, unless a key has to be fetched
    /// to judge by one of them.
    pub fn judge(
        &self,
        request: &Request<'_>,
        known: &dyn Known,
        now: Option<i64>,
    ) -> Result<Verified, Fault> {
        let mut own = None;
        let request = &request.parsing(&mut own);
        let asked = |one: &Handshake| one.would_sign(request, &self.parameters);
        if self.provider.handshakes.iter().any(asked) {
            return Err(Fault::Mismatch);
        }
        let mut found = Err(if self.provider.schemes.is_empty() {
            Fault::NothingSigned { provider: self.name.to_string() }
        } else {
            Fault::NoSecret
        });
        let made = RefCell::default();
        for (place, prepared) in self.secrets.iter().enumerate() {
            if prepared.is_token || !prepared.is_live(now) {
                continue;
            }
            let judged = self.judge_secret(prepared, request, known, now, &made);
            // What another secret finds says nothing of one whose key is not at hand.
            let is_open = matches!(found, Err(Fault::Unfetched(_))) && judged.is_err();
            if found.is_err() && !is_open {
                found = judged.map(|(scheme, fit)| fit.verified(scheme, place));
            }
        }
        found
    }

    /// Whether there is anything to judge with.
    #[must_use]
    pub fn can_judge(&self) -> bool {
        self.secrets.iter().any(|one| !one.is_token) && !self.provider.schemes.is_empty()
    }

    /// The answer to a request that asks whether this address wants events.
    #[must_use]
    pub fn greet(&self, request: &Request<'_>, known: &dyn Known, now: Option<i64>) -> Greeting {
        let mut own = None;
        let request = &request.parsing(&mut own);
        let mut asked = self.provider.handshakes.iter();
        let asked = asked.find(|asked| asked.is_asked(request, &self.parameters));
        let Some(handshake) = asked else { return Greeting::None };
        handshake.answer(&handshake::Asked {
            request,
            parameters: &self.parameters,
            secrets: &self.secrets,
            signs: !self.provider.schemes.is_empty(),
            now,
            enrols: self.enrols_until.is_some_and(|until| now.is_none_or(|now| now < until)),
            judged: &|| self.judge(request, known, now),
        })
    }

    fn judge_secret(
        &self,
        prepared: &Prepared,
        request: &Request<'_>,
        known: &dyn Known,
        now: Option<i64>,
        made: &RefCell<Option<judge::Made>>,
    ) -> Result<(usize, judge::Fit), Fault> {
        let mut wanted = None;
        let given = self.parameters.get(CERTIFICATE);
        for (place, scheme) in self.provider.schemes.iter().enumerate() {
            if scheme.legacy && self.is_strict {
                continue;
            }
            let missing = scheme.when.iter().find(|when| !self.holds(when, prepared, request));
            if let Some(missing) = missing {
                wanted = wanted.or_else(|| missing.wanted());
                continue;
            }
            let Some(material) = &prepared.materials[place] else { continue };
            let judgement = judge::Judgement {
                scheme,
                material,
                request,
                parameters: &self.parameters,
                window: self.window.or(scheme.window),
                given: given.map(String::as_bytes),
                known,
                now,
                remembers: self.remembers,
                way: place,
                made,
            };
            return judgement.run().map(|fit| (place, fit));
        }
        let provider = self.name.to_string();
        Err(match wanted {
            Some(wanted) => Fault::Unsigned { provider, wanted },
            None => Fault::NothingSigned { provider },
        })
    }

    fn holds(&self, when: &When, prepared: &Prepared, request: &Request<'_>) -> bool {
        match when {
            When::Header { header, is, contains } => {
                // Any line of it: a doubled one is refused where it is read.
                request.headers.get_all(&header.0).iter().any(|value| {
                    let value = source::trim(value.as_bytes());
                    let inside = |part: &String| memchr::memmem::find(value, part.as_bytes());
                    is.as_ref().is_none_or(|whole| whole.as_bytes() == value)
                        && contains.as_ref().is_none_or(|part| inside(part).is_some())
                })
            }
            When::Item { .. } => when.has_item(request.headers),
            When::Query { query } => request.query_field(query).is_some(),
            When::SecretPrefix { secret_prefix } => {
                prepared.text.expose().starts_with(secret_prefix.as_str())
            }
            When::Parameter { parameter } => self.parameters.contains_key(parameter),
        }
    }
}

impl Prepared {
    /// Whether it counts at a moment.
    fn is_live(&self, now: Option<i64>) -> bool {
        !matches!((self.until, now), (Some(until), Some(now)) if now >= until)
    }

    fn new(
        name: &str,
        provider: &Provider,
        secret: &Secret,
        parameters: &Parameters,
    ) -> Result<Self, SchemeFault> {
        if let Some(token) = Self::token(name, provider, secret)? {
            return Ok(token);
        }
        let mut materials = Vec::with_capacity(provider.schemes.len());
        let mut decided = false;
        for scheme in &provider.schemes {
            let fits = scheme.when.iter().all(|when| match when {
                When::SecretPrefix { secret_prefix } => {
                    secret.expose().starts_with(secret_prefix.as_str())
                }
                _ => true,
            });
            // Behind a way that this secret alone decides for, none comes.
            let is_for = fits && !decided;
            let by_secret = |when: &When| matches!(when, When::SecretPrefix { .. });
            decided |= is_for && !scheme.when.is_empty() && scheme.when.iter().all(by_secret);
            let made = || Material::new(name, scheme, secret, parameters);
            materials.push(is_for.then(made).transpose()?);
        }
        Ok(Self { text: secret.clone(), until: None, is_token: false, materials })
    }
}
