//! Recorded requests with the decision about them, one JSON object for each line. In: a line. Out: what is decided now,
//! against what was recorded. A handshake is right only when its whole reply is.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Deserialize;
use serde_json::Value;

use crate::id::Secret;
use crate::verify::certificate::read_pem;

use super::fault::SchemeFault;
use super::handshake::{Answer, Greeting};
use super::request::{Parameters, Request};
use super::{Registry, Verifier};

/// A recorded request.
#[derive(Deserialize)]
pub struct Case {
    /// Its name.
    #[serde(default)]
    pub id: String,
    /// Whose it is.
    pub provider: String,
    /// What the owner typed.
    #[serde(default)]
    secret: Option<Secrets>,
    #[serde(default = "post")]
    method: String,
    /// The address that the sender knows.
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    /// The body, when it is not text.
    #[serde(default)]
    body_base64: Option<String>,
    /// The moment, in seconds since 1970; without it no time is judged.
    #[serde(default)]
    now: Option<i64>,
    /// What was decided.
    pub valid: bool,
    /// The certificate that a fetch would have given, or that the sender showed.
    #[serde(default)]
    cert_pem: Option<String>,
    #[serde(default)]
    jwks: Option<Value>,
    #[serde(default)]
    jwk: Option<Value>,
    /// Claims that were agreed.
    #[serde(default)]
    expected: BTreeMap<String, String>,
    #[serde(default)]
    public_key: Option<String>,
    #[serde(default)]
    timestamp_header: Option<String>,
    /// Other settings.
    #[serde(default)]
    parameters: BTreeMap<String, String>,
    #[serde(default)]
    response_status: Option<u16>,
    #[serde(default)]
    response_headers: BTreeMap<String, String>,
    #[serde(default)]
    response_body: Option<String>,
}

/// One secret, or several that count at once.
#[derive(Deserialize)]
#[serde(untagged)]
enum Secrets {
    One(String),
    Many(Vec<String>),
}

fn post() -> String {
    "POST".to_owned()
}

/// Longest line of a file of cases.
const LINE_MAX_BYTES: u64 = 16 << 20;

/// Why a file of cases cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum CasesFault {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// A line is longer than any request.
    #[error("line {line} has more than {max} bytes")]
    Long {
        /// Which, counted from 1.
        line: u64,
        /// Most it may have.
        max: u64,
    },
    /// A line is no case.
    #[error("line {line} is no case: {why}")]
    NoCase {
        /// Which, counted from 1.
        line: u64,
        /// Why not.
        why: String,
    },
}

/// How many cases came out as recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// As recorded.
    pub passed: u64,
    /// Otherwise.
    pub failed: u64,
}

/// Runs one case for each line; `told` hears of each: its line, it, and how it came out.
///
/// # Errors
/// [`CasesFault`], or what `told` says.
pub fn run_cases<E: From<CasesFault>>(
    mut lines: impl BufRead,
    registry: &Registry,
    mut told: impl FnMut(u64, &Case, &Outcome) -> Result<(), E>,
) -> Result<Tally, E> {
    let mut tally = Tally::default();
    for number in 1.. {
        let mut line = Vec::new();
        let read = lines.by_ref().take(LINE_MAX_BYTES + 1).read_until(b'\n', &mut line);
        let read = read.map_err(CasesFault::Unreadable)?;
        if read == 0 {
            break;
        }
        if read as u64 > LINE_MAX_BYTES {
            return Err(CasesFault::Long { line: number, max: LINE_MAX_BYTES }.into());
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let case: Case = serde_json::from_slice(&line)
            .map_err(|fault| CasesFault::NoCase { line: number, why: fault.to_string() })?;
        let outcome = case.run(registry);
        match outcome {
            Outcome::Right => tally.passed += 1,
            Outcome::Wrong(_) => tally.failed += 1,
        }
        told(number, &case, &outcome)?;
    }
    Ok(tally)
}

/// How a case came out.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it was recorded.
    Right,
    /// Other than it was recorded: how.
    Wrong(String),
}

impl Case {
    /// Decides, and compares.
    #[must_use]
    pub fn run(&self, registry: &Registry) -> Outcome {
        match self.decide(registry) {
            Ok(Greeting::Answer(answer)) if self.valid => self.compare(&answer),
            Ok(Greeting::None) if self.valid && self.response_status.is_none() => Outcome::Right,
            Ok(Greeting::None) if self.valid => {
                Outcome::Wrong("no handshake was seen, and one was recorded".to_owned())
            }
            Ok(Greeting::Refused(status, fault)) => self.refused(status, &fault.to_string()),
            Ok(_) => Outcome::Wrong("it was accepted, and should have been refused".to_owned()),
            Err(fault) => Outcome::Wrong(fault),
        }
    }

    fn refused(&self, status: u16, fault: &str) -> Outcome {
        if self.valid {
            return Outcome::Wrong(format!("it was refused: {fault}"));
        }
        match self.response_status {
            Some(recorded) if recorded != status => {
                Outcome::Wrong(format!("refused with {status}, recorded is {recorded}"))
            }
            _ => Outcome::Right,
        }
    }

    /// The answer to a handshake, nothing for a verified request, or the refusal.
    fn decide(&self, registry: &Registry) -> Result<Greeting, String> {
        let met = self.meet(registry, |verifier, request, certificate| {
            match verifier.greet(request, &certificate, self.now) {
                Greeting::None => match verifier.judge(request, &certificate, self.now) {
                    Ok(_) => Greeting::None,
                    Err(fault) => Greeting::Refused(401, fault),
                },
                greeting => greeting,
            }
        })?;
        // A secret that cannot be used never verifies.
        Ok(met.unwrap_or(Greeting::Refused(401, NO_SECRET)))
    }

    /// What `ask` finds of the request with the provider's rows; nothing when the secret cannot be used.
    pub(super) fn meet<R>(
        &self,
        registry: &Registry,
        ask: impl FnOnce(Verifier, &Request<'_>, Option<&[u8]>) -> R,
    ) -> Result<Option<R>, String> {
        let method = Method::from_bytes(self.method.as_bytes()).map_err(|_| "no method")?;
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let bad = || format!("no header: {name}");
            let named = HeaderName::try_from(name).map_err(|_| bad())?;
            headers.append(named, HeaderValue::from_bytes(value.as_bytes()).map_err(|_| bad())?);
        }
        let body = match &self.body_base64 {
            Some(text) => STANDARD.decode(text).map_err(|_| "body_base64 is no base64")?,
            None => self.body.clone().into_bytes(),
        };
        let query = self.url.as_deref().and_then(|url| url.split_once('?')).map(|(_, query)| query);
        let shown = self.cert_pem.as_deref().and_then(|pem| read_pem(pem.as_bytes()));
        let request = Request {
            method: &method,
            headers: &headers,
            query,
            body: &body,
            slug: None,
            certificate: shown.as_ref(),
        };
        let provider = registry.find(&self.provider).map_err(|fault| fault.to_string())?;
        let made = Verifier::new(&self.provider, provider, &self.secrets(), self.settings(), None);
        let certificate = self.cert_pem.as_deref().map(str::as_bytes);
        match made {
            Ok(verifier) => {
                let verifier = verifier.enrolling(Some(i64::MAX));
                Ok(Some(ask(verifier, &request, certificate)))
            }
            Err(SchemeFault::Secret { .. }) => Ok(None),
            Err(fault) => Err(fault.to_string()),
        }
    }

    #[cfg(test)]
    pub(super) fn now(&self) -> Option<i64> {
        self.now
    }

    fn secrets(&self) -> Vec<Secret> {
        let keys = self.jwks.as_ref().or(self.jwk.as_ref()).map(Value::to_string);
        match (keys, &self.secret) {
            (Some(keys), _) => vec![Secret::new(keys)],
            (None, Some(Secrets::One(secret))) => vec![Secret::new(secret)],
            (None, Some(Secrets::Many(secrets))) => secrets.iter().map(Secret::new).collect(),
            (None, None) => Vec::new(),
        }
    }

    fn settings(&self) -> Parameters {
        let mut settings = self.parameters.clone();
        settings.extend(self.expected.clone());
        let named = [
            ("url", &self.url),
            ("public_key", &self.public_key),
            ("timestamp_header", &self.timestamp_header),
        ];
        let given = named.into_iter().filter_map(|(name, value)| {
            value.as_ref().map(|value| (name.to_owned(), value.clone()))
        });
        settings.extend(given);
        settings
    }

    /// JSON by value, headers by those recorded; a media type without parameters stands for any.
    fn compare(&self, answer: &Answer) -> Outcome {
        if let Some(recorded) = self.response_status.filter(|status| *status != answer.status) {
            return Outcome::Wrong(format!("status {}, recorded is {recorded}", answer.status));
        }
        for (name, recorded) in &self.response_headers {
            let value = answer.headers.get(name).and_then(|value| value.to_str().ok());
            let bare = value.and_then(|value| value.split(';').next());
            if value != Some(recorded) && bare != Some(recorded) {
                return Outcome::Wrong(format!("header {name} is {value:?}, not {recorded:?}"));
            }
        }
        let Some(recorded) = &self.response_body else { return Outcome::Right };
        let json = |text: &[u8]| serde_json::from_slice::<Value>(text).ok();
        let by_value = json(recorded.as_bytes()).is_some_and(|value| {
            (value.is_object() || value.is_array()) && json(&answer.body) == Some(value)
        });
        if by_value || answer.body == recorded.as_bytes() {
            return Outcome::Right;
        }
        let body = String::from_utf8_lossy(&answer.body);
        Outcome::Wrong(format!("the body is {body:?}, not {recorded:?}"))
    }
}

const NO_SECRET: super::Fault = super::Fault::NoSecret;
