//! The signature of a request, for webhooks that ask for one. In: an admitted request with its raw body. Out: how it
//! was verified, the answer to a handshake, or a refusal that names only the class of what is wrong. Reads memory only.

use http::{HeaderName, StatusCode};

use super::refusal::Refusal;
use super::{Admission, slug};
use crate::apart::Apart;
use crate::clock::Time;
use crate::json::write_str;
use crate::parse::redact::Secrets;
use crate::request::{Arrival, Content};
use crate::store::{Shared, Verification};
use crate::verify::signature::{
    Answer, Fault, Greeting, Known, LEGACY, Parsed, Place, Registry, Request, SchemeFault, Signed,
    Verifier, Wanted,
};

/// What a webhook demands of who sends.
#[derive(Debug)]
pub struct Check {
    provider: Box<str>,
    /// The names of the secrets, as they are told.
    names: Box<[Box<str>]>,
    /// What was taken when it was saved and does not work now refuses everything.
    verifier: Result<Verifier, SchemeFault>,
    required: bool,
    /// Where a secret stands as it is, if one does.
    shown: Option<Box<Secrets>>,
    /// Where what is much work waits: one at once for a webhook, so that others have their turn.
    turn: Apart,
}

/// How a request was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// Whoever sent it knows the secret of that number.
    Secret(usize),
    /// Whoever sent it showed a certificate with names that are agreed to.
    Certificate { sender: Box<str>, fingerprint: Box<str> },
    /// Nobody says so, for that reason; the webhook takes it nevertheless.
    Missing(&'static str),
}

/// What is known of a request's sender.
pub(super) enum Checked {
    /// Its webhook asks for nothing.
    Not,
    /// With what was signed, when that is to be taken once.
    By(Proof, Option<Signed>),
    /// A handshake: the answer.
    Greeted(Answer),
}

impl Checked {
    /// Whether it is known who sent it.
    pub(super) fn is_proven(&self) -> bool {
        !matches!(self, Self::By(Proof::Missing(_), _))
    }
}

impl Check {
    pub(super) fn new(said: &Verification, providers: &Registry) -> Self {
        let mut kept: Vec<&Shared> = said.secrets.iter().collect();
        let verifier = providers.find(&said.provider).and_then(|provider| {
            let takes_legacy = said.parameters.contains_key(LEGACY);
            let made = |some: &[&Shared]| {
                let secrets: Vec<_> = some.iter().map(|one| one.secret.clone()).collect();
                let (parameters, tolerance) = (said.parameters.clone(), said.tolerance_seconds);
                Verifier::new(&said.provider, provider, &secrets, parameters, tolerance)
            };
            let made = made(&kept).or_else(|fault| {
                // One that is not what it must be, a key that ended, takes nothing from the others.
                let SchemeFault::Secret { .. } = fault else { return Err(fault) };
                kept.retain(|one| made(&[one]).is_ok());
                if kept.is_empty() { Err(fault) } else { made(&kept) }
            })?;
            // Judged by whole seconds: rather a moment too long than refused before its end.
            let seconds = |until: Time| -(-until.micros()).div_euclid(1_000_000);
            let made = made.enrolling(said.enrol.map(seconds));
            let made = made.ending(kept.iter().map(|one| one.until.map(seconds)));
            let made = if said.once { made.remembering() } else { made };
            Ok(if takes_legacy { made } else { made.strict() })
        });
        let shown = verifier.as_ref().ok().map(shown).filter(|shown| !shown.is_empty());
        Self {
            shown: shown.map(Box::new),
            provider: said.provider.as_str().into(),
            names: kept.iter().map(|one| one.name.as_str().into()).collect(),
            verifier,
            required: said.required,
            turn: Apart::new(1),
        }
    }

    /// Who signs.
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// Where its senders show a secret as it is, when they do.
    pub(super) fn secrets(&self) -> Option<&Secrets> {
        self.shown.as_deref()
    }

    /// Whether bytes hold one of its secrets, as it is written.
    pub(super) fn shows(&self, bytes: &[u8]) -> bool {
        self.verifier.as_ref().is_ok_and(|verifier| verifier.shows_secret(bytes))
    }

    /// What the gateway's own events say of it: labels, each with a comma in front.
    pub(super) fn write_labels(&self, out: &mut Vec<u8>, proof: &Proof) {
        let mut label = |name: &str, value: &str| {
            out.push(b',');
            write_str(out, name);
            out.push(b':');
            write_str(out, value);
        };
        label("hookgate.verification.provider", &self.provider);
        match proof {
            Proof::Secret(place) => {
                label("hookgate.verification", "verified");
                if let Some(name) = self.names.get(*place) {
                    label("hookgate.verification.secret", name);
                }
            }
            Proof::Certificate { sender, fingerprint } => {
                label("hookgate.verification", "verified");
                label("hookgate.verification.sender", sender);
                label("hookgate.verification.certificate", fingerprint);
            }
            Proof::Missing(reason) => label("hookgate.verification", reason),
        }
    }
}

/// Where senders show a secret as it is.
fn shown(verifier: &Verifier) -> Secrets {
    let mut found = Secrets::default();
    for place in verifier.secret_places() {
        match place {
            Place::Header(name) => found.headers.extend(HeaderName::try_from(name).ok()),
            Place::Stem(stem) => found.stems.push(stem.to_owned()),
            Place::Query(name) => found.query.push(name.to_owned()),
            Place::Form(name) => found.form.push(name.to_owned()),
            Place::Json(pointer) => found.json.push(pointer.to_owned()),
            Place::Body => found.is_body = true,
        }
    }
    found
}

/// Why a request is not judged.
pub(super) enum Halt {
    Refused(Refusal),
    /// This has to be fetched before.
    Wanted(Box<Wanted>),
}

impl From<Refusal> for Halt {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// The parts of a request that are judged.
fn request<'a>(arrival: &'a Arrival, content: &'a Content) -> Request<'a> {
    Request {
        method: &arrival.method,
        headers: &arrival.headers,
        query: arrival.target.query(),
        body: &content.raw,
        slug: slug(arrival.target.path()),
        certificate: arrival.certificate.as_deref(),
        parsed: None,
    }
}

/// Where a request waits for its turn to be judged, when that is much work; most are judged at once.
pub(super) fn turn<'a>(admission: &'a Admission, content: &Content) -> Option<&'a Apart> {
    let check = admission.endpoint.check.as_ref()?;
    let verifier = check.verifier.as_ref().ok()?;
    verifier.is_heavy(&request(&admission.arrival, content)).then_some(&check.turn)
}

/// Judges a request by what its webhook demands, with what is at hand.
pub(super) fn run(
    admission: &Admission,
    content: &Content,
    known: &dyn Known,
) -> Result<Checked, Halt> {
    let Some(check) = &admission.endpoint.check else { return Ok(Checked::Not) };
    let unverified = |status, reason| check.unverified(status, reason);
    let Ok(verifier) = &check.verifier else {
        return Err(unverified(StatusCode::UNAUTHORIZED, "setting_missing").into());
    };
    let arrival = &admission.arrival;
    let parsed = Parsed::of(&content.raw);
    let request = Request { parsed: Some(&parsed), ..request(arrival, content) };
    let now = Some(arrival.received.micros().div_euclid(1_000_000));
    match verifier.greet(&request, known, now) {
        Greeting::Answer(answer) => return Ok(Checked::Greeted(answer)),
        Greeting::Refused(_, Fault::Unfetched(wanted)) => return Err(Halt::Wanted(wanted)),
        Greeting::Refused(status, fault) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::UNAUTHORIZED);
            let (webhook, request_id) = (admission.endpoint.id, &arrival.request_id);
            tracing::debug!(%webhook, %request_id, %fault, "refused a handshake");
            return Err(unverified(status, fault.reason()).into());
        }
        Greeting::None => {}
    }
    match verifier.judge(&request, known, now) {
        Ok(found) => {
            let certified = verifier.certified(&request, now).zip(request.certificate);
            let proof = certified.map_or(Proof::Secret(found.secret), |(sender, certificate)| {
                let fingerprint = certificate.fingerprint.as_str().into();
                Proof::Certificate { sender: sender.into(), fingerprint }
            });
            Ok(Checked::By(proof, found.signed))
        }
        Err(Fault::Unfetched(wanted)) => Err(Halt::Wanted(wanted)),
        Err(fault) => {
            let (webhook, request_id) = (admission.endpoint.id, &arrival.request_id);
            tracing::debug!(%webhook, %request_id, %fault, "did not verify a request");
            Ok(check.unless_required(fault.reason())?)
        }
    }
}

/// What becomes of a request that names a key which its provider has not.
pub(super) fn unknown_key(admission: &Admission) -> Result<Checked, Refusal> {
    let Some(check) = &admission.endpoint.check else { return Ok(Checked::Not) };
    check.unless_required(Fault::Key.reason())
}

/// What becomes of a request whose key is not to be had now.
pub(super) fn no_key(admission: &Admission, retry_after_seconds: u64) -> Result<Checked, Refusal> {
    match &admission.endpoint.check {
        Some(check) if check.required => Err(Refusal::KeyUnavailable { retry_after_seconds }),
        Some(_) => Ok(Checked::By(Proof::Missing("key_unavailable"), None)),
        None => Ok(Checked::Not),
    }
}

impl Check {
    fn unverified(&self, status: StatusCode, reason: &'static str) -> Refusal {
        let is_told = !self.verifier.as_ref().is_ok_and(Verifier::is_silent);
        Refusal::Unverified { status, reason, is_told }
    }

    /// What is not verified is refused, or labelled.
    fn unless_required(&self, reason: &'static str) -> Result<Checked, Refusal> {
        if self.required {
            return Err(self.unverified(StatusCode::UNAUTHORIZED, reason));
        }
        Ok(Checked::By(Proof::Missing(reason), None))
    }
}
