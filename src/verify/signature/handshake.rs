//! Handshakes: a provider asks whether an address wants its events. In: a request of a webhook of that provider. Out:
//! the answer, as the row says. What is said back is short, printable and never HTML; what is signed back is only ever
//! a token that could not be an event. Where the provider signs its question, the signature is judged first.

use std::collections::BTreeMap;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

use super::fault::{Fault, SchemeFault};
use super::material::{Key, to_hex};
use super::request::{Parameters, Request, scalar};
use super::source::{Source, header};
use super::visit::Visit;
use super::{Prepared, Verified, listed, mark};
use crate::id::Secret;
use crate::json::Kind;

/// Longest text that is said back.
pub(super) const ECHO_MAX_BYTES: usize = 1024;
/// Shortest secret that is taken from a request.
const SECRET_MIN_BYTES: usize = 8;
/// Longest token that is signed.
const TOKEN_MAX_BYTES: usize = 128;

/// What stands in front of a setting's name between braces.
const PARAMETER: &str = "{parameter:";

/// How a provider asks, and what it waits for.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Handshake {
    /// The method it asks with; any, when none is named.
    #[serde(default)]
    method: Option<String>,
    /// Fields of the query that are there, and what they are.
    #[serde(default)]
    query: BTreeMap<String, Wanted>,
    /// Headers.
    #[serde(default)]
    header: BTreeMap<String, Wanted>,
    /// Values of a JSON body.
    #[serde(default)]
    json: BTreeMap<String, Wanted>,
    /// A value that a JSON body does not have.
    #[serde(default)]
    no_json: Option<String>,
    /// What has to be right before it is answered.
    #[serde(default)]
    proof: Proof,
    /// What has to be the secret, with proof "token", the setting, with proof "setting", or one of those it lists.
    #[serde(default)]
    token: Option<Source>,
    /// Which setting.
    #[serde(default)]
    setting: String,
    /// The status when it is not.
    #[serde(default = "unauthorized")]
    refuse: u16,
    /// Whether refusals have no body, those of events neither: the provider looks.
    #[serde(default)]
    pub(super) silent: bool,
    /// The form of what is said or signed back.
    #[serde(default)]
    allow: Allow,
    /// Where events have what is signed of them, when a token is signed without proof; the body, when nothing is said.
    #[serde(default)]
    signs: Option<Source>,
    /// The setting without which it is none.
    #[serde(default)]
    when_setting: Option<String>,
    /// What is visited, so that the provider knows that its events are wanted.
    #[serde(default)]
    visit: Option<Visit>,
    /// The secret that it brings, with proof "unclaimed".
    #[serde(default)]
    enrols: Option<Source>,
    /// Whether its owner has to tell the provider what it brings: the request is kept with it.
    #[serde(default)]
    shown: bool,
    /// The status of the answer.
    #[serde(default = "ok")]
    status: u16,
    /// The answer as text.
    #[serde(default)]
    text: Option<String>,
    /// The answer as a JSON object.
    #[serde(default)]
    object: BTreeMap<String, Said>,
    /// Headers of the answer.
    #[serde(default)]
    reply_header: BTreeMap<String, String>,
}

fn unauthorized() -> u16 {
    401
}

fn ok() -> u16 {
    200
}

/// What a value has to be.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Wanted {
    /// There: `true`. An empty list: `false`.
    There(bool),
    Number(i64),
    Text(String),
}

/// What is said in an object.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Said {
    Number(i64),
    Text(String),
}

/// What has to be right before an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Proof {
    /// The provider proves nothing here.
    #[default]
    None,
    /// The signature of the request.
    Signature,
    /// A token in the request that is the secret, or the one that is marked as a token.
    Token,
    /// A word in the request that is the setting.
    Setting,
    /// A name in the request that the setting lists, where it is given.
    Listed,
    /// That no secret is set: the request brings it.
    Unclaimed,
}

/// What may be said or signed back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Allow {
    /// Printable text.
    #[default]
    Printable,
    /// Letters, digits and `+/=_.-`, at most 128: no event whose body is that is taken.
    Token,
    /// 20 to 32 hex digits.
    Hex,
}

/// What becomes of a request that may be a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// It is none.
    None,
    /// It is one, and this is the answer.
    Answer(Answer),
    /// It is one, and is refused with that status.
    Refused(u16, Fault),
}

/// What the provider waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers, those that keep a browser from making a page of it among them.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
    /// What is to be visited before the question is kept and answered.
    pub visit: Option<String>,
    /// What is to be kept as the secret, before anything is answered.
    pub secret: Option<Secret>,
    /// Whether the owner may see what the question brought.
    pub is_shown: bool,
}

/// A question, and what is needed to answer it.
pub(super) struct Asked<'a> {
    pub(super) request: &'a Request<'a>,
    pub(super) parameters: &'a Parameters,
    pub(super) secrets: &'a [Prepared],
    /// Whether the provider signs its events.
    pub(super) signs: bool,
    pub(super) now: Option<i64>,
    /// Whether a secret that a request brings is taken now.
    pub(super) enrols: bool,
    pub(super) judged: &'a dyn Fn() -> Result<Verified, Fault>,
}

impl Asked<'_> {
    /// The secrets that count now.
    pub(super) fn live(&self) -> impl Iterator<Item = &Prepared> {
        self.secrets.iter().filter(|prepared| prepared.is_live(self.now))
    }
}

impl Handshake {
    /// Whether a request is this handshake.
    pub(super) fn is_asked(&self, request: &Request<'_>, parameters: &Parameters) -> bool {
        let method = self.method.as_deref();
        if !self.is_settled(parameters) {
            return false;
        }
        let asks = method.is_none_or(|method| method == request.method.as_str());
        asks && self
            .query
            .iter()
            .all(|(name, wanted)| request.query_field(name).is_some_and(|value| wanted.is(&value)))
            && self.header.iter().all(|(name, wanted)| {
                let value = request.headers.get(name.as_str());
                value.is_some_and(|value| wanted.is(value.as_bytes()))
            })
            && (self.json.is_empty() || self.is_in_body(request))
    }

    /// Whether the setting is given without which it is none.
    pub(super) fn is_settled(&self, parameters: &Parameters) -> bool {
        self.when_setting.as_ref().is_none_or(|name| parameters.contains_key(name))
    }

    fn is_in_body(&self, request: &Request<'_>) -> bool {
        let Ok(document) = request.document() else { return false };
        let found = |pointer: &str| {
            let mut steps = pointer.split('/').skip(1);
            steps.try_fold(document.root(), |value, step| match value.kind() {
                Kind::Array => step.parse().ok().and_then(|place: usize| value.items().nth(place)),
                _ => value.get(step),
            })
        };
        let without = self.no_json.as_ref().is_none_or(|pointer| found(pointer).is_none());
        without
            && self.json.iter().all(|(pointer, wanted)| match (found(pointer), wanted) {
                (None, _) => false,
                (Some(found), Wanted::There(false)) => {
                    found.kind() == Kind::Array && found.is_empty()
                }
                (Some(found), wanted) => {
                    scalar(found).is_some_and(|text| wanted.is(text.as_bytes()))
                }
            })
    }

    /// Whether anybody may have had this signature by asking for it: then it proves nothing.
    pub(super) fn would_sign(&self, request: &Request<'_>, parameters: &Parameters) -> bool {
        if self.proof != Proof::None || self.allow == Allow::Printable {
            return false;
        }
        let signed = match &self.signs {
            Some(source) => source.read_one(request, parameters).unwrap_or_default(),
            None => request.body.into(),
        };
        std::str::from_utf8(&signed).is_ok_and(|text| self.allow.takes(text))
    }

    /// What the provider waits for, or why it does not get it.
    pub(super) fn answer(&self, asked: &Asked<'_>) -> Greeting {
        let proven = match self.proof {
            Proof::Signature => (asked.judged)().map(|_| ()),
            Proof::Token => mark::judge(asked, self.token.as_ref()),
            Proof::Setting => self.is_setting(asked),
            Proof::Listed => listed::judge(asked, &self.setting, self.token.as_ref()),
            // Somebody who comes later must not set another secret.
            Proof::Unclaimed if !asked.secrets.is_empty() => return Greeting::None,
            // Nobody knows what it brings: it would be lost.
            Proof::Unclaimed if !(asked.enrols || self.shown) => return Greeting::None,
            Proof::None | Proof::Unclaimed => Ok(()),
        };
        if let Err(fault) = proven {
            return Greeting::Refused(self.refuse, fault);
        }
        match self.reply(asked) {
            Ok(answer) => Greeting::Answer(answer),
            Err(fault) => Greeting::Refused(400, fault),
        }
    }

    /// What speaks against a question that is proven by a word, or by nothing; `None` where a signature proves it.
    pub(super) fn explain(&self, fault: &Fault) -> Option<Vec<String>> {
        Some(match (self.proof, fault) {
            (Proof::Signature | Proof::Unclaimed, _) => return None,
            (Proof::Token, Fault::Mismatch) => {
                vec!["the token that it shows is not the one that is set".to_owned()]
            }
            (Proof::Token, Fault::NoSecret) => {
                let says = "no secret counts as its token: where there are several, `token:` \
                            stands in front of the one that it shows";
                vec![says.to_owned()]
            }
            (Proof::Setting, Fault::Mismatch) => {
                vec![format!("the word that it shows is not the setting `{}`", self.setting)]
            }
            _ => Vec::new(),
        })
    }

    fn is_setting(&self, asked: &Asked<'_>) -> Result<(), Fault> {
        let missing = || Fault::Parameter(self.setting.clone());
        let (Some(source), Some(setting)) = (&self.token, asked.parameters.get(&self.setting))
        else {
            return Err(missing());
        };
        let shown = source.read_one(asked.request, asked.parameters)?;
        verify_slices_are_equal(setting.as_bytes(), &shown).map_err(|_| Fault::Mismatch)
    }

    /// Refuses a list that the setting cannot be.
    pub(super) fn check(&self, name: &str, parameters: &Parameters) -> Result<(), SchemeFault> {
        match self.proof {
            Proof::Listed => listed::check(name, parameters, &self.setting),
            _ => Ok(()),
        }
    }

    fn reply(&self, asked: &Asked<'_>) -> Result<Answer, Fault> {
        let mut headers = HeaderMap::new();
        let mut body = Vec::new();
        if let Some(text) = &self.text {
            body = self.fill(text, asked)?.into_bytes();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        } else if !self.object.is_empty() {
            let mut object = serde_json::Map::new();
            for (name, said) in &self.object {
                object.insert(
                    name.clone(),
                    match said {
                        Said::Number(number) => (*number).into(),
                        Said::Text(text) => self.fill(text, asked)?.into(),
                    },
                );
            }
            body = serde_json::Value::Object(object).to_string().into_bytes();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        let nothing = HeaderValue::from_static("default-src 'none'");
        headers.insert(CONTENT_SECURITY_POLICY, nothing);
        for (name, value) in &self.reply_header {
            let value = self.fill(value, asked)?;
            let bad = |_| Fault::Missing(format!("header {name}"));
            let name = HeaderName::try_from(name).map_err(|_| Fault::Missing(name.clone()))?;
            headers.insert(name, HeaderValue::try_from(value).map_err(bad)?);
        }
        let visit = self.visit.as_ref().map(|visit| visit.address(asked)).transpose()?;
        let enrols = self.enrols.as_ref().filter(|_| asked.enrols);
        let secret = enrols.map(|source| self.secret(source, asked)).transpose()?;
        Ok(Answer { status: self.status, headers, body, visit, secret, is_shown: self.shown })
    }

    /// The secret that a request brings.
    fn secret(&self, source: &Source, asked: &Asked<'_>) -> Result<Secret, Fault> {
        let brought = source.read_one(asked.request, asked.parameters)?;
        let text = std::str::from_utf8(&brought).ok().filter(|text| self.allow.takes(text));
        let sized = text.filter(|text| text.len() >= SECRET_MIN_BYTES);
        sized.map(Secret::new).ok_or_else(|| Fault::Missing(source.place(asked.parameters)))
    }

    /// The settings that it reads.
    pub(super) fn settings(&self) -> impl Iterator<Item = &str> {
        let named = Some(self.setting.as_str()).filter(|name| !name.is_empty());
        let visit = self.visit.as_ref().map(|visit| &visit.url);
        let sources = [&self.token, &self.enrols, &self.signs].into_iter().flatten().chain(visit);
        let objects = self.object.values().filter_map(|said| match said {
            Said::Text(text) => Some(text),
            Said::Number(_) => None,
        });
        let texts = self.text.iter().chain(objects).chain(self.reply_header.values());
        let said = texts.flat_map(|text| text.split(PARAMETER).skip(1));
        named
            .into_iter()
            .chain(self.when_setting.as_deref())
            .chain(sources.flat_map(Source::settings))
            .chain(said.filter_map(|rest| rest.split_once('}').map(|(name, _)| name)))
    }

    /// Whether it shows a token.
    pub(super) fn wants_token(&self) -> bool {
        self.proof == Proof::Token
    }

    /// Whether it brings a secret.
    pub(super) fn enrols(&self) -> bool {
        self.enrols.is_some()
    }

    /// Where it shows a secret as it is, unless its owner has to see it.
    pub(super) fn secret_sources(&self) -> impl Iterator<Item = &Source> {
        let token = self.token.as_ref().filter(|_| self.proof == Proof::Token);
        self.enrols.as_ref().filter(|_| !self.shown).into_iter().chain(token)
    }

    /// A text with what stands between its braces.
    fn fill(&self, text: &str, asked: &Asked<'_>) -> Result<String, Fault> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, behind) = after.split_once('}').unwrap_or((after, ""));
            out.push_str(before);
            out.push_str(&self.part(name, asked)?);
            rest = behind;
        }
        out.push_str(rest);
        Ok(out)
    }

    fn part(&self, name: &str, asked: &Asked<'_>) -> Result<String, Fault> {
        if let Some(of) = name.strip_prefix("mac-hex:") {
            return Ok(to_hex(&sign(asked, &self.echo(of, asked)?)?));
        }
        if let Some(of) = name.strip_prefix("mac-base64:") {
            return Ok(STANDARD.encode(sign(asked, &self.echo(of, asked)?)?));
        }
        if let Some(name) = name.strip_prefix("parameter:") {
            let value = asked.parameters.get(name);
            return value.cloned().ok_or_else(|| Fault::Parameter(name.to_owned()));
        }
        self.echo(name, asked)
    }

    /// A value of the request, when it may be said back.
    fn echo(&self, name: &str, asked: &Asked<'_>) -> Result<String, Fault> {
        let (name, instead) = name.split_once('|').map_or((name, None), |(a, b)| (a, Some(b)));
        let request = asked.request;
        let missing = || Fault::Missing(name.to_owned());
        let value = match name.split_once(':') {
            Some(("query", field)) => request.query_field(field),
            Some(("json", pointer)) => request.json(pointer)?.into_iter().next().map(Into::into),
            Some(("header", field)) => {
                let field = HeaderName::try_from(field).map_err(|_| missing())?;
                header(request.headers, &field)?.map(<[u8]>::to_vec)
            }
            _ => None,
        };
        let Some(value) = value else { return instead.map(str::to_owned).ok_or_else(missing) };
        let text = String::from_utf8(value).map_err(|_| missing())?;
        if self.allow.takes(&text) { Ok(text) } else { Err(missing()) }
    }
}

impl Wanted {
    fn is(&self, value: &[u8]) -> bool {
        match self {
            Self::There(there) => *there != value.is_empty(),
            Self::Number(number) => number.to_string().as_bytes() == value,
            Self::Text(text) => text.as_bytes().eq_ignore_ascii_case(value),
        }
    }
}

impl Allow {
    fn takes(self, text: &str) -> bool {
        let token = |c: char| c.is_ascii_alphanumeric() || "+/=_.-".contains(c);
        match self {
            Self::Printable => {
                !text.is_empty() && text.len() <= ECHO_MAX_BYTES && !text.contains(char::is_control)
            }
            Self::Token => {
                !text.is_empty() && text.len() <= TOKEN_MAX_BYTES && text.chars().all(token)
            }
            Self::Hex => {
                let hex = |c: char| matches!(c, '0'..='9' | 'a'..='f');
                (20..=32).contains(&text.len()) && text.chars().all(hex)
            }
        }
    }
}

/// Signs a token with the newest secret.
fn sign(asked: &Asked<'_>, token: &str) -> Result<Vec<u8>, Fault> {
    let materials = asked.live().flat_map(|secret| secret.materials.iter().flatten());
    let key = materials.into_iter().find_map(|material| match &material.key {
        Key::Hmac(key) => Some(key),
        _ => None,
    });
    let key = key.ok_or(Fault::NoSecret)?;
    Ok(hmac::sign(key, token.as_bytes()).as_ref().to_vec())
}
