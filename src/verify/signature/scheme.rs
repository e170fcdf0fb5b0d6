//! One way of signing, as data: where the signature stands, of what it is made, and how. In: rows of TOML, ours and the
//! operator's. Out: the same, checked. Judges nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use http::HeaderName;
use serde::Deserialize;

use super::fault::SchemeFault;
use super::handshake::Handshake;
use super::keys::KeysLogin;
use super::message::{Message, Part};
use super::source::{From, Source};
use super::when::When;

/// A provider, with its ways of signing.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Tried in this order; the first whose `when` holds decides alone.
    #[serde(default, rename = "scheme")]
    pub schemes: Vec<Scheme>,
    /// Nothing is signed: why, and what helps instead.
    #[serde(default)]
    pub unsigned: Option<String>,
    /// How it asks whether an address wants its events.
    #[serde(default, rename = "handshake")]
    pub handshakes: Vec<Handshake>,
    /// Where it is said how it signs; the rows that come with hookgate have it.
    #[serde(default)]
    pub source: Option<Origin>,
    /// A file of recorded requests that a row of the operator is checked by.
    #[serde(default)]
    pub cases: Option<PathBuf>,
}

impl Provider {
    /// Whether it is known by the certificate that it shows when a connection begins.
    #[must_use]
    pub fn is_certified(&self) -> bool {
        self.schemes.iter().any(|scheme| scheme.special == Some(Special::ClientCertificate))
    }
}

/// What a provider's rows were compared with, and its address.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// What the provider tells its users.
    Documentation(String),
    /// What the provider runs or gives to its users to run.
    Code(String),
    /// What others say or do: nothing of the provider's own was found.
    Hearsay(String),
}

impl Origin {
    /// What it is, in a word, and its address.
    #[must_use]
    pub fn words(&self) -> (&'static str, &str) {
        match self {
            Self::Documentation(address) => ("documentation", address),
            Self::Code(address) => ("code", address),
            Self::Hearsay(address) => ("hearsay", address),
        }
    }
}

/// One way of signing.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "each is a word of a row")]
pub struct Scheme {
    /// All must hold.
    #[serde(default)]
    pub when: Vec<When>,
    /// Whether the provider has replaced it by a stronger one.
    #[serde(default)]
    pub legacy: bool,
    /// Where the signatures are; only special ways have none.
    #[serde(default)]
    pub signature: Option<Source>,
    /// Where the signed time is.
    #[serde(default)]
    pub time: Option<Source>,
    /// What the time counts in.
    #[serde(default)]
    pub unit: Unit,
    /// Whether the time may be missing.
    #[serde(default)]
    pub time_optional: bool,
    /// Seconds the time may be off; of tokens, how old they may be.
    #[serde(default)]
    pub window: Option<u32>,
    /// Where the id is.
    #[serde(default)]
    pub id: Option<Source>,
    /// Where the names of signed headers are, a space between them.
    #[serde(default)]
    pub names: Option<Source>,
    /// Whether they may be missing: then none is signed.
    #[serde(default)]
    pub names_optional: bool,
    /// How it is signed.
    #[serde(default)]
    pub mac: Mac,
    /// What is signed.
    #[serde(default)]
    pub message: Message,
    /// What is signed by some of its senders.
    #[serde(default)]
    pub message_also: Option<Message>,
    /// How the signature is written.
    #[serde(default)]
    pub encoding: Encoding,
    /// What the secret is.
    #[serde(default)]
    pub secret: SecretForm,
    /// A digest of the body beside the signature.
    #[serde(default)]
    pub body_digest: Option<BodyDigest>,
    /// Whether the address is also tried without a port and with the usual one.
    #[serde(default)]
    pub url_ports: bool,
    /// Whose certificate signs.
    #[serde(default)]
    pub certificate: Option<Certificate>,
    /// Where its keys are fetched from, unless the setting `jwks_url` says where.
    #[serde(default)]
    pub keys_url: Option<String>,
    /// Who tells its keys one by one to whoever logs in: the secret is a login then.
    #[serde(default)]
    pub keys_login: Option<KeysLogin>,
    /// Fields of a JSON body that are what a setting says, when it is given: one of several, blanks between them. So
    /// are several fields of which at least one is there.
    #[serde(default)]
    pub agreed: BTreeMap<String, String>,
    /// Algorithms a token may name.
    #[serde(default)]
    pub algorithms: Vec<Algorithm>,
    /// Claims that must be there.
    #[serde(default)]
    pub require: Vec<String>,
    /// Whether a token that names no key is of the only one that there is for it.
    #[serde(default)]
    pub kid_optional: bool,
    /// Seconds the clocks of a token's times may differ.
    #[serde(default)]
    pub leeway: i64,
    /// Claims that must be what was agreed.
    #[serde(default)]
    pub claims: BTreeMap<String, Claim>,
    /// What no row can say.
    #[serde(default)]
    pub special: Option<Special>,
}

/// A header's name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Name(pub HeaderName);

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let name = HeaderName::try_from(&text);
        name.map(Self).map_err(|_| format!("`{text}` is no name of a header"))
    }
}

/// What a time counts in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Seconds since 1970.
    #[default]
    Seconds,
    /// Milliseconds since 1970.
    Milliseconds,
    /// A date and time.
    Rfc3339,
    /// Any of these, or a date as HTTP has it.
    Any,
}

/// How it is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mac {
    HmacSha1,
    #[default]
    HmacSha256,
    HmacSha384,
    HmacSha512,
    /// HMAC-SHA1 whose key is the SHA1 of the secret.
    HmacSha1HashedKey,
    /// Plain digests; the secret is part of the message.
    Sha1,
    Sha256,
    Sha1OrSha256,
    /// The signature is the secret.
    Equal,
    Ed25519,
    EcdsaP256,
    RsaSha1,
    RsaSha256,
    Jwt,
}

/// What a JWT may be signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Algorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    ES256,
    ES384,
    ES512,
    EdDSA,
}

impl Algorithm {
    /// As tokens write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::ES512 => "ES512",
            Self::EdDSA => "EdDSA",
        }
    }

    /// Whether tokens and keys write it so: some name the curve, as RFC 9864 has it.
    #[must_use]
    pub fn is_named(self, name: &str) -> bool {
        name == self.name() || (self == Self::EdDSA && name == "Ed25519")
    }
}

/// How a signature is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    #[default]
    Hex,
    Base64,
    HexOrBase64,
    Text,
}

/// What a secret is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretForm {
    #[default]
    Text,
    TextNfkd,
    Hex,
    Base64,
    Base64Prefixed,
    Keys,
    TextOrKeys,
    None,
}

/// A digest of the body, SHA-256, beside the signature.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BodyDigest {
    /// In the query.
    pub query: Option<String>,
    /// In a claim.
    pub claim: Option<String>,
    /// How it is written.
    #[serde(default)]
    pub encoding: Encoding,
    /// Whether it is there exactly when there is a body.
    #[serde(default)]
    pub absent_when_empty: bool,
}

/// Where a certificate is fetched from.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Where its address stands.
    pub url: Source,
    /// Hosts it may be at: `{region}` is an AWS region, `*.` any name below.
    pub hosts: Vec<String>,
    /// How its path begins.
    #[serde(default = "root")]
    pub root: String,
    /// How it ends.
    #[serde(default)]
    pub end: String,
    /// Names it is for, one of them, in the same form.
    #[serde(default)]
    pub names: Vec<String>,
}

fn root() -> String {
    "/".to_owned()
}

/// What a claim must be.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Claim {
    /// One of these texts.
    OneOf { one_of: Vec<String> },
    /// What the setting says.
    Parameter { parameter: String },
    /// The boolean, not a text.
    IsTrue { is_true: bool },
    /// The SHA-256 of the address, in hex.
    UrlHash { url_hash: bool },
}

/// Ways of signing that have a function of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Special {
    AdyenItems,
    AwsSns,
    ClientCertificate,
    ContentfulCanonical,
}

impl Scheme {
    /// Whether the address the sender knows must be known, too.
    #[must_use]
    pub fn needs_url(&self) -> bool {
        let by_claim = self.claims.values().any(|claim| matches!(claim, Claim::UrlHash { .. }));
        let canonical = self.special == Some(Special::ContentfulCanonical);
        self.message.needs_url() || by_claim || canonical
    }

    /// Whether it signs a request as a whole: a token may come with any. Items that are signed one by one are that
    /// while they come alone.
    #[must_use]
    pub fn signs_requests(&self) -> bool {
        match self.mac {
            Mac::Equal => false,
            Mac::Jwt => self.body_digest.is_some() || self.is_body(),
            _ => !matches!(self.special, Some(Special::ClientCertificate)),
        }
    }

    /// Whether the body is what is signed, a token.
    #[must_use]
    pub fn is_body(&self) -> bool {
        self.signature.as_ref().is_some_and(|source| matches!(source.from, From::Body))
    }

    /// Whether nothing it signs says when.
    #[must_use]
    pub fn is_timeless(&self) -> bool {
        self.time.is_none() && (self.mac != Mac::Jwt || self.is_body())
    }

    /// What must be given besides secrets.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        let prefix = self.signature.iter().filter_map(|source| source.prefix_parameter.as_deref());
        let claims = self.claims.values().filter_map(|claim| match claim {
            Claim::Parameter { parameter } => Some(parameter.as_str()),
            _ => None,
        });
        prefix.chain(claims)
    }

    /// What only the parts together can show to be wrong.
    fn check(&self, provider: &str) -> Result<(), SchemeFault> {
        let fault = |what: &str| Err(SchemeFault::Row(format!("{provider}: {what}")));
        let used = |part: &Part| {
            let also = self.message_also.iter().flat_map(|message| &message.0);
            self.message.0.iter().chain(also).any(|used| used == part)
        };
        if self.special == Some(Special::ClientCertificate) && self.secret != SecretForm::None {
            return fault("who shows a certificate has no secret: secret \"none\"");
        }
        if self.signature.is_none() && self.special.is_none() {
            return fault("`signature` is missing: where it stands");
        }
        if used(&Part::Time) && self.time.is_none() {
            return fault("the message has {time}, and `time` is missing");
        }
        if used(&Part::Id) && self.id.is_none() {
            return fault("the message has {id}, and `id` is missing");
        }
        if (used(&Part::Names) || used(&Part::Values)) && self.names.is_none() {
            return fault("the message has {names} or {values}, and `names` is missing");
        }
        let digest = self.body_digest.as_ref().and_then(|digest| digest.query.as_ref());
        let also = self.message_also.iter().all(Message::needs_url);
        if digest.is_some() && !(self.message.needs_url() && also) {
            return fault("a digest in the query proves nothing of a message without {url}");
        }
        if (self.mac == Mac::Jwt) == self.algorithms.is_empty() {
            return fault("`algorithms` and mac \"jwt\" go together");
        }
        let plain = matches!(self.mac, Mac::Sha1 | Mac::Sha256 | Mac::Sha1OrSha256);
        if plain && !used(&Part::Secret) {
            return fault("a digest of a message without {secret} proves nothing");
        }
        let rsa = matches!(self.mac, Mac::RsaSha1 | Mac::RsaSha256);
        if rsa && self.certificate.is_none() && self.secret != SecretForm::Base64 {
            return fault("RSA needs a `certificate`, or a key as secret \"base64\"");
        }
        let proven = matches!(self.mac, Mac::Ed25519 | Mac::EcdsaP256);
        if proven && matches!(self.secret, SecretForm::None | SecretForm::Keys) {
            return fault("the public key is given as a secret");
        }
        self.keys_login.as_ref().map_or(Ok(()), KeysLogin::check).or_else(fault)
    }
}

/// Providers by name, from their rows.
///
/// # Errors
/// [`SchemeFault::Row`]: what is wrong, and in which row.
pub(super) fn read(text: &str) -> Result<BTreeMap<String, Provider>, SchemeFault> {
    let providers: BTreeMap<String, Provider> =
        toml::from_str(text).map_err(|fault| SchemeFault::Row(fault.to_string()))?;
    for (name, provider) in &providers {
        check(name, provider)?;
    }
    Ok(providers)
}

/// Whether a provider's rows hold together.
///
/// # Errors
/// [`SchemeFault::Row`]: what is wrong.
pub(super) fn check(name: &str, provider: &Provider) -> Result<(), SchemeFault> {
    if provider.schemes.is_empty() == provider.unsigned.is_none() {
        let fault = format!("{name}: either ways of signing, or why it signs nothing");
        return Err(SchemeFault::Row(fault));
    }
    provider.schemes.iter().try_for_each(|scheme| scheme.check(name))
}
