//! What a provider keeps at an address: a certificate, or keys of tokens. In: an address that a row or a setting names,
//! and bytes that somebody brought from there. Out: a key, or why it is none. Fetches nothing.

use std::sync::Arc;

use super::certificate::{self, Read};
use super::fault::Fault;
use super::token::KeySet;
use crate::id::Secret;

/// What is kept at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// A certificate, as PEM.
    Certificate,
    /// A set of keys, as JSON.
    Keys,
    /// One key, as JSON, told to whoever logs in.
    Key,
}

/// What is needed to judge, and is not at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Where it is: checked against what the row or the owner says.
    pub address: String,
    /// What it is.
    pub form: Form,
    /// Whether what is at hand has not the key that is named, and only a newer one can help.
    pub newer: bool,
    /// What is said to be told it; without it, it is there for whoever looks.
    pub asks: Option<Ask>,
}

/// A question: only what a provider's row says, the login, and the name of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// JSON, to be sent.
    pub body: Secret,
    /// What the answer is known by: a digest of the question, so that what one is told is for nobody else.
    pub of: [u8; 16],
}

impl Wanted {
    pub(super) fn new(address: impl Into<String>, form: Form) -> Self {
        Self { address: address.into(), form, newer: false, asks: None }
    }

    /// One key, asked for.
    pub(super) fn asking(address: String, ask: Ask) -> Self {
        Self { asks: Some(ask), ..Self::new(address, Form::Key) }
    }

    /// What was brought from there.
    ///
    /// # Errors
    /// It is none of that form.
    pub fn read(&self, bytes: &[u8]) -> Result<Kept, Fault> {
        Ok(Kept(match self.form {
            Form::Certificate => What::Certificate(certificate::read(bytes)?),
            Form::Keys => What::Keys(KeySet::fetched(bytes).ok_or(Fault::Key)?),
            Form::Key => What::Keys(KeySet::told(bytes).ok_or(Fault::Key)?),
        }))
    }
}

/// What was brought from an address, read.
pub struct Kept(What);

enum What {
    /// As its owner has it: doubted only when there is a moment to judge it at.
    Given(Read),
    Certificate(Read),
    Keys(KeySet),
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            What::Given(_) | What::Certificate(_) => "Kept(certificate)",
            What::Keys(_) => "Kept(keys)",
        })
    }
}

impl Kept {
    /// The public key of a certificate for one of those names, which counts at that moment.
    pub(super) fn public_key(&self, names: &[String], now: Option<i64>) -> Result<&[u8], Fault> {
        match &self.0 {
            What::Given(read) if now.is_none() => read.public_key(&[], None),
            What::Given(read) | What::Certificate(read) => read.public_key(names, now),
            What::Keys(_) => Err(Fault::Certificate("is none")),
        }
    }

    pub(super) fn keys(&self) -> Result<&KeySet, Fault> {
        match &self.0 {
            What::Keys(keys) => Ok(keys),
            What::Given(_) | What::Certificate(_) => Err(Fault::Key),
        }
    }
}

/// What is at hand of what providers keep at addresses. Answers at once.
pub trait Known {
    /// What stands at an address.
    ///
    /// # Errors
    /// [`Fault::Unfetched`]: it is not at hand.
    fn find(&self, wanted: &Wanted) -> Result<Arc<Kept>, Fault>;
}

/// A certificate that the owner has, as PEM, or nothing at all.
impl Known for Option<&[u8]> {
    fn find(&self, wanted: &Wanted) -> Result<Arc<Kept>, Fault> {
        match (self, wanted.form) {
            (Some(pem), Form::Certificate) => {
                Ok(Arc::new(Kept(What::Given(certificate::read(pem)?.or_by_subject(pem)))))
            }
            _ => Err(Fault::Unfetched(Box::new(wanted.clone()))),
        }
    }
}
