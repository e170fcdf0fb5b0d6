//! Why a request is not what its provider signed, and why a way of signing cannot be used. Facts and numbers only:
//! never a secret, never the value that would have been right.

use super::fetched::Wanted;

/// Why a request does not count as verified.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No way of signing of this provider fits what the request carries.
    #[error("the request carries no signature that {provider} makes: {wanted} is missing")]
    Unsigned {
        /// Whose signature was looked for.
        provider: String,
        /// What would have said which way it was signed.
        wanted: String,
    },
    /// The provider signs nothing.
    #[error("{provider} signs nothing")]
    NothingSigned {
        /// Which provider.
        provider: String,
    },
    /// There is nothing to judge with.
    #[error("no secret is set")]
    NoSecret,
    /// What carries the signature, the time or the id is not there, or empty.
    #[error("{0} is missing")]
    Missing(String),
    /// It is there more than once.
    #[error("{0} is there more than once")]
    Repeated(String),
    /// It is there, but none of its parts has the form that is looked for.
    #[error("{place} has no part that starts with {prefix:?}")]
    Shape {
        /// Where was looked.
        place: String,
        /// How the part begins.
        prefix: String,
    },
    /// More signatures than anybody sends.
    #[error("more than {max} signatures")]
    TooMany {
        /// Most that are tried.
        max: usize,
    },
    /// More signatures of so large a body than anybody sends.
    #[error("{signatures} signatures of {bytes} bytes: of a body as large as that, two are tried")]
    Heavy {
        /// How many came.
        signatures: usize,
        /// How large the body is.
        bytes: usize,
    },
    /// What is signed one by one comes together, where it is to be taken once.
    #[error("several items come in one request, each signed by itself: taken once is one alone")]
    Several,
    /// The time is no time of its unit.
    #[error("the time in {0} cannot be read")]
    Time(String),
    /// The time is outside the window.
    #[error("the clock is off by {off_seconds} s, at most {window_seconds} s are allowed")]
    Clock {
        /// How far the signed time is from ours; positive when it is old.
        off_seconds: i64,
        /// How far it may be.
        window_seconds: u32,
    },
    /// The signature was made of something else, or with another secret.
    #[error("the signature does not match")]
    Mismatch,
    /// A digest beside the signature is of another body.
    #[error("the digest in {0} is not that of the body")]
    Digest(String),
    /// The body has to be read to find the signature, and cannot be.
    #[error("the body is not {0}")]
    Body(&'static str),
    /// The address of a certificate is none of the provider's.
    #[error("the certificate is not at an address of {0}")]
    CertificateAddress(String),
    /// The certificate is not at hand, or cannot be read.
    #[error("the certificate {0}")]
    Certificate(&'static str),
    /// The sender showed no certificate when its connection began.
    #[error("the sender showed no client certificate")]
    NoCertificate,
    /// The key is at an address, and was not brought from there.
    #[error("the key is at {}, and not at hand", .0.address)]
    Unfetched(Box<Wanted>),
    /// The query that came is not the one of the address that is signed, nor begins as it.
    #[error("the query is another than that of the setting url, so it was not signed")]
    Query,
    /// What has to be agreed before is another.
    #[error("{place} is not what the setting {setting} says")]
    Another {
        /// Where it stands.
        place: String,
        /// Which setting it should be.
        setting: String,
    },
    /// The token is none.
    #[error("the token is malformed: {0}")]
    Token(&'static str),
    /// The token names an algorithm that its provider does not use.
    #[error("the token's algorithm is none of its provider's")]
    Algorithm,
    /// No key of that name, algorithm and type.
    #[error("no key fits the token's kid and algorithm")]
    Key,
    /// A claim is missing, or not what was agreed.
    #[error("the token's claim {0} is missing or another")]
    Claim(String),
    /// The token is past its end.
    #[error("the token ended {0} s ago")]
    Expired(i64),
    /// The token has not begun.
    #[error("the token begins in {0} s")]
    Early(i64),
    /// A setting without which nothing can be judged.
    #[error("the setting {0} is missing")]
    Parameter(String),
}

impl Fault {
    /// Its stable name, for replies, metrics and scripts.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unsigned { .. } | Self::Missing(_) => "signature_missing",
            Self::NothingSigned { .. } => "nothing_signed",
            Self::NoSecret => "secret_missing",
            Self::Repeated(_) | Self::Shape { .. } | Self::TooMany { .. } => "signature_malformed",
            Self::Heavy { .. } => "signatures_heavy",
            Self::Several => "items_several",
            Self::Time(_) => "time_malformed",
            Self::Clock { .. } | Self::Expired(_) | Self::Early(_) => "time_outside_window",
            Self::Mismatch => "signature_mismatch",
            Self::Query => "query_mismatch",
            Self::Digest(_) => "body_digest_mismatch",
            Self::Body(_) => "body_unreadable",
            Self::CertificateAddress(_) | Self::Certificate(_) => "certificate_refused",
            Self::NoCertificate => "certificate_missing",
            Self::Unfetched(_) => "key_unavailable",
            Self::Another { .. } => "sender_refused",
            Self::Token(_) | Self::Algorithm | Self::Key | Self::Claim(_) => "token_refused",
            Self::Parameter(_) => "setting_missing",
        }
    }
}

/// Why a provider cannot be used with what was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemeFault {
    /// No provider of that name.
    #[error("no provider `{0}`; `hookgate verify --list` tells all")]
    Unknown(String),
    /// The rows of a provider contradict themselves or cannot be read.
    #[error("{0}")]
    Row(String),
    /// No secret, where one is needed.
    #[error("{0} needs a secret")]
    NoSecret(String),
    /// A secret that is empty or has not the form of its provider.
    #[error("a secret of {provider} must be {form}")]
    Secret {
        /// Whose.
        provider: String,
        /// What it must be.
        form: &'static str,
    },
    /// Nobody but the provider can sign so.
    #[error("requests of {provider} cannot be signed here: {why}")]
    Unsignable {
        /// Whose.
        provider: String,
        /// Why not.
        why: &'static str,
    },
    /// No way of signing of that number, or none that fits what is given.
    #[error("{provider} has no such way of signing; it has {most}, counted from 1")]
    Way {
        /// Whose.
        provider: String,
        /// How many there are.
        most: usize,
    },
    /// What is to be signed lacks something that is part of it.
    #[error("the request cannot be signed: {0}")]
    Request(#[from] Fault),
    /// A setting without which nothing can be judged.
    #[error("{provider} needs the setting `{name}`")]
    Parameter {
        /// Whose.
        provider: String,
        /// Which.
        name: String,
    },
    /// A setting that the provider has not.
    #[error("{provider} has no setting `{name}`; it has {known}")]
    NoSetting {
        /// Whose.
        provider: String,
        /// Which.
        name: String,
        /// Those there are.
        known: String,
    },
    /// A setting that says nothing, or not what it has to.
    #[error("the setting `{name}` of {provider} must be {form}")]
    Setting {
        /// Whose.
        provider: String,
        /// Which.
        name: String,
        /// What it must be.
        form: &'static str,
    },
}
