//! Which secret is the word that a provider repeats in its question, and no secret that signs: `token:` stands in front
//! of it. In: secrets, a question. Out: whether it shows that word. The word stands in addresses, and so in the logs of
//! proxies: it never judges a signature, and a secret that signs is never compared with what an address shows.

use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::fault::{Fault, SchemeFault};
use super::handshake::{Asked, Handshake};
use super::scheme::Provider;
use super::source::Source;
use super::{Prepared, Verifier};
use crate::id::Secret;

/// What stands in front of the word.
const MARK: &str = "token:";

impl Provider {
    /// Whether it asks with a word that its owner gave it.
    fn shows_token(&self) -> bool {
        self.handshakes.iter().any(Handshake::wants_token)
    }
}

impl Prepared {
    /// The word for a provider's question; `None` when the secret is none of those.
    ///
    /// # Errors
    /// [`SchemeFault::Secret`]: there is only the mark.
    pub(super) fn token(
        name: &str,
        provider: &Provider,
        secret: &Secret,
    ) -> Result<Option<Self>, SchemeFault> {
        let Some(word) = secret.expose().strip_prefix(MARK).filter(|_| provider.shows_token())
        else {
            return Ok(None);
        };
        if word.trim().is_empty() {
            let form = "more than `token:`: behind it stands the word that the provider repeats";
            return Err(SchemeFault::Secret { provider: name.to_owned(), form });
        }
        let materials = provider.schemes.iter().map(|_| None).collect();
        Ok(Some(Self { text: Secret::new(word), until: None, is_token: true, materials }))
    }
}

impl Verifier {
    /// Whether one of several secrets is a word that is not told from those that sign.
    #[must_use]
    pub fn is_token_untold(&self) -> bool {
        let signs = self.provider.shows_token() && !self.provider.schemes.is_empty();
        signs && self.secrets.len() > 1 && !self.secrets.iter().any(|one| one.is_token)
    }

    /// Whether a word is shorter than so many bytes, its mark left out.
    #[must_use]
    pub fn has_token_below(&self, bytes: usize) -> bool {
        self.secrets.iter().any(|one| one.is_token && one.text.expose().len() < bytes)
    }
}

/// Whether a question shows the word. One secret alone may be both; of several, one has to be marked.
///
/// # Errors
/// [`Fault::NoSecret`]: there is no word to compare with. [`Fault::Mismatch`]: it is another.
pub(super) fn judge(asked: &Asked<'_>, source: Option<&Source>) -> Result<(), Fault> {
    let shown = source.ok_or(Fault::NoSecret)?.read_one(asked.request, asked.parameters)?;
    let is_marked = asked.secrets.iter().any(|one| one.is_token);
    let words: Vec<_> = asked.live().filter(|one| one.is_token == is_marked).collect();
    let is_untold = !is_marked && asked.signs && words.len() > 1;
    if words.is_empty() || is_untold {
        return Err(Fault::NoSecret);
    }
    let mut found = false;
    for word in words {
        found |= verify_slices_are_equal(word.text.expose().as_bytes(), &shown).is_ok();
    }
    if found { Ok(()) } else { Err(Fault::Mismatch) }
}
