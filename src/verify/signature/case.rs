//! Recorded requests with the decision about them, one JSON object for each line. In: a line. Out: what is decided now,
//! against what was recorded. A handshake is right only when its whole reply is.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Number, Value};

use crate::id::Secret;
use crate::verify::certificate::read_pem;

use super::fault::{Fault, SchemeFault};
use super::handshake::{Answer, Greeting};
use super::request::{Parameters, Request};
use super::{Provider, Registry, Verifier};

/// A recorded request.
#[derive(Deserialize)]
pub struct Case {
    /// Its name.
    #[serde(default)]
    pub id: String,
    /// Whose it is.
    pub provider: String,
    /// What the owner typed: one secret, or several that count at once.
    #[serde(default)]
    secret: Value,
    #[serde(default)]
    method: Option<String>,
    /// The address that the sender knows.
    #[serde(default)]
    url: Option<String>,
    /// A header that comes more than once is a list.
    #[serde(default)]
    headers: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    body: Option<String>,
    /// The body, when it is not text.
    #[serde(default)]
    body_base64: Option<String>,
    /// The moment, in seconds since 1970; without it no time is judged.
    #[serde(default, deserialize_with = "seconds")]
    now: Option<i64>,
    /// What was decided.
    pub valid: bool,
    /// Whether it asks if an address wants events.
    #[serde(default)]
    handshake: bool,
    /// The certificate that a fetch would have given, or that the sender showed.
    #[serde(default)]
    cert_pem: Option<String>,
    #[serde(default)]
    jwks: Option<Value>,
    #[serde(default)]
    jwk: Option<Value>,
    /// Claims that were agreed.
    #[serde(default)]
    expected: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    public_key: Option<String>,
    #[serde(default)]
    timestamp_header: Option<String>,
    /// Other settings.
    #[serde(default)]
    parameters: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    response_status: Option<u16>,
    #[serde(default)]
    response_headers: Option<BTreeMap<String, Value>>,
    /// A text, or the JSON that it is.
    #[serde(default)]
    response_body: Option<Value>,
}

/// A moment may have a fraction, which no clock here looks at.
fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    let Some(number) = Option::<Number>::deserialize(from)? else { return Ok(None) };
    let text = number.to_string();
    let whole = text.split('.').next().and_then(|whole| whole.parse().ok());
    whole.map(Some).ok_or_else(|| D::Error::custom(format!("now is {number}, and no seconds")))
}

/// Those of a list, or the one that stands alone. What is no text is the JSON that it is.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(values) => values.iter().map(text).collect(),
        value => vec![text(value)],
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
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
            Ok(Greeting::None) if self.valid && !self.is_handshake(registry) => Outcome::Right,
            Ok(Greeting::None) if self.valid => {
                Outcome::Wrong("no handshake was seen, and one was recorded".to_owned())
            }
            Ok(Greeting::Refused(status, fault)) => self.refused(status, &fault.to_string()),
            Ok(_) => Outcome::Wrong("it was accepted, and should have been refused".to_owned()),
            // No gateway takes such a request, or makes such a webhook.
            Err(Unfit::Refused(_)) if !self.valid => Outcome::Right,
            Err(Unfit::Refused(what) | Unfit::Case(what)) => Outcome::Wrong(what),
        }
    }

    /// Whether it is to be answered: it says so, unless the setting is missing without which none is, or has a reply.
    fn is_handshake(&self, registry: &Registry) -> bool {
        let asks = registry.find(&self.provider).is_ok_and(|row| {
            let settings = self.settings(row);
            row.handshakes.iter().all(|one| one.is_settled(&settings))
        });
        self.handshake && asks || self.response_status.is_some()
    }

    /// Whether it is refused for what it was signed with, and for nothing that stands before that.
    #[must_use]
    pub fn is_mismatch(&self, registry: &Registry) -> bool {
        let Ok(Greeting::Refused(_, fault)) = self.decide(registry) else { return false };
        matches!(fault, Fault::Mismatch | Fault::Another { .. })
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
    fn decide(&self, registry: &Registry) -> Result<Greeting, Unfit> {
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
        Ok(met.unwrap_or(Greeting::Refused(401, Fault::NoSecret)))
    }

    /// What `ask` finds of the request with the provider's rows; nothing when the secret cannot be used.
    pub(super) fn meet<R>(
        &self,
        registry: &Registry,
        ask: impl FnOnce(Verifier, &Request<'_>, Option<&[u8]>) -> R,
    ) -> Result<Option<R>, Unfit> {
        let method = self.method.as_deref().unwrap_or("POST").as_bytes();
        let method = Method::from_bytes(method).map_err(|_| Unfit::Case("no method".to_owned()))?;
        let headers = self.headers()?;
        let body = match &self.body_base64 {
            Some(text) => STANDARD
                .decode(text)
                .map_err(|_| Unfit::Case("body_base64 is no base64".to_owned()))?,
            None => self.body.clone().unwrap_or_default().into_bytes(),
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
            parsed: None,
        };
        let found = registry.find(&self.provider);
        let provider = found.map_err(|fault| Unfit::Case(fault.to_string()))?;
        let settings = self.settings(provider);
        let made = Verifier::new(&self.provider, provider, &self.secrets(), settings, None);
        let certificate = self.cert_pem.as_deref().map(str::as_bytes);
        match made {
            Ok(verifier) => {
                let verifier = verifier.enrolling(Some(i64::MAX));
                Ok(Some(ask(verifier, &request, certificate)))
            }
            Err(SchemeFault::Secret { .. }) => Ok(None),
            Err(fault @ SchemeFault::Row(_)) => Err(Unfit::Case(fault.to_string())),
            Err(fault) => Err(Unfit::Refused(fault.to_string())),
        }
    }

    fn headers(&self) -> Result<HeaderMap, Unfit> {
        let mut headers = HeaderMap::new();
        for (name, values) in self.headers.iter().flatten() {
            let bad = || Unfit::Refused(format!("no header: {name}"));
            let named = HeaderName::try_from(name).map_err(|_| bad())?;
            for value in texts(values) {
                let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| bad())?;
                headers.append(&named, value);
            }
        }
        Ok(headers)
    }

    #[cfg(test)]
    pub(super) fn now(&self) -> Option<i64> {
        self.now
    }

    fn secrets(&self) -> Vec<Secret> {
        let keys = self.jwks.as_ref().or(self.jwk.as_ref()).map(Value::to_string);
        let secrets = keys.map_or_else(|| texts(&self.secret), |keys| vec![keys]);
        secrets.iter().map(Secret::new).collect()
    }

    fn settings(&self, provider: &Provider) -> Parameters {
        let given = self.parameters.iter().chain(&self.expected).flatten();
        let mut settings: Parameters =
            given.map(|(name, value)| (name.clone(), text(value))).collect();
        // An address is recorded for its query, too.
        let url = self.url.as_ref().filter(|_| provider.settings().contains("url"));
        let named = [
            ("url", url),
            ("public_key", self.public_key.as_ref()),
            ("timestamp_header", self.timestamp_header.as_ref()),
        ];
        for (name, value) in named {
            // The setting `url` may be another than the address that was asked.
            let Some(value) = value else { continue };
            settings.entry(name.to_owned()).or_insert_with(|| value.clone());
        }
        settings
    }

    /// What a recorded reply lacks to say whether an answer is that.
    fn unrecorded(&self, answer: &Answer) -> Option<&'static str> {
        match (self.response_status, &self.response_body) {
            (None, _) => Some("response_status"),
            (_, None) if self.response_headers.is_none() && !answer.body.is_empty() => {
                Some("response_body")
            }
            _ => None,
        }
    }

    /// JSON by value, headers by those recorded; a media type without parameters stands for any, on either side.
    fn compare(&self, answer: &Answer) -> Outcome {
        if let Some(missing) = self.unrecorded(answer) {
            let says = "a handshake is right only with the reply that was recorded";
            return Outcome::Wrong(format!("{says}: {missing} is missing"));
        }
        if let Some(recorded) = self.response_status.filter(|status| *status != answer.status) {
            return Outcome::Wrong(format!("status {}, recorded is {recorded}", answer.status));
        }
        for (name, recorded) in self.response_headers.iter().flatten() {
            let recorded = text(recorded);
            let value = answer.headers.get(name).and_then(|value| value.to_str().ok());
            let is_type = name.eq_ignore_ascii_case("content-type");
            let is_same = |value| value == recorded || is_type && is_same_type(value, &recorded);
            if !value.is_some_and(is_same) {
                return Outcome::Wrong(format!("header {name} is {value:?}, not {recorded:?}"));
            }
        }
        let Some(recorded) = self.response_body.as_ref().map(text) else { return Outcome::Right };
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

/// Why a case cannot be decided.
#[derive(Debug)]
pub(super) enum Unfit {
    /// What is recorded is none of a gateway's requests, or of its webhooks.
    Refused(String),
    /// The case itself is wrong.
    Case(String),
}

fn is_same_type(one: &str, other: &str) -> bool {
    let parts = |text: &str| {
        let mut parts = text.splitn(2, ';').map(|part| part.trim().to_ascii_lowercase());
        (parts.next(), parts.next())
    };
    let ((one, its), (other, others)) = (parts(one), parts(other));
    one == other && (its.is_none() || others.is_none() || its == others)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outcome(case: &Value) -> Outcome {
        let case: Case = serde_json::from_value(case.clone()).expect("a case");
        case.run(&Registry::built_in())
    }

    #[test]
    fn a_handshake_is_right_only_with_the_reply_that_was_recorded() {
        let asked = json!({
            "provider": "dropbox", "secret": "s", "method": "GET", "valid": true,
            "url": "https://h.example/hooks/x?challenge=abc",
        });
        let with = |more: Value| {
            let mut case = asked.clone();
            case.as_object_mut().expect("a case").extend(more.as_object().expect("more").clone());
            outcome(&case)
        };
        for (more, missing) in [
            (json!({}), "response_status is missing"),
            (json!({"handshake": true}), "response_status is missing"),
            (json!({"response_body": "abc"}), "response_status is missing"),
            (json!({"response_status": 200}), "response_body is missing"),
            (json!({"response_status": 200, "response_body": "abd"}), "the body is"),
            (json!({"response_status": 201, "response_body": "abc"}), "status 200"),
        ] {
            let Outcome::Wrong(says) = with(more.clone()) else { panic!("{more} is right") };
            assert!(says.contains(missing), "{more}: {says}");
        }
        assert_eq!(with(json!({"response_status": 200, "response_body": "abc"})), Outcome::Right);
        // An event that says it is a question is none.
        let mut event = json!({
            "provider": "gitlab", "secret": "s", "valid": true, "headers": {"X-Gitlab-Token": "s"},
        });
        assert_eq!(outcome(&event), Outcome::Right);
        event["handshake"] = true.into();
        let said = outcome(&event);
        assert!(matches!(said, Outcome::Wrong(_)), "{said:?}");
    }
}
