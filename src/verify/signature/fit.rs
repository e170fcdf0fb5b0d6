//! Whether a verification can succeed at all here: one that was saved may have lost its provider, a setting or what it
//! is judged with since then, and refuses every request. In: what is kept of it, and what a gateway has. Out: why not.

use super::fault::SchemeFault;
use super::request::Parameters;
use super::scheme::{Scheme, SecretForm};
use super::when::When;
use super::{Registry, Verifier};
use crate::id::Secret;

/// What a gateway has to verify with.
#[derive(Clone, Copy, Debug)]
pub struct Means {
    /// Keys and certificates are fetched from where they are kept.
    pub fetches: bool,
    /// Senders are asked for certificates.
    pub certifies: bool,
}

impl Means {
    /// Everything: of what was found good before.
    pub const ALL: Self = Self { fetches: true, certifies: true };
}

/// Why no request is ever verified.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The provider is gone, or what is kept does not do for it.
    #[error(transparent)]
    Scheme(#[from] SchemeFault),
    /// Nobody is asked for a certificate.
    #[error(
        "{0} needs senders that are asked for certificates, and here nobody is (server.tls_client_ca)"
    )]
    Uncertified(String),
    /// Nothing is fetched.
    #[error("{0} needs keys that are fetched, and nothing is fetched here (fetch.enabled)")]
    Unfetched(String),
}

impl Registry {
    /// Whether requests of that provider can be verified with these secrets and settings. `waits` says that none has to
    /// be: what is not verified is taken, or the provider has yet to bring its secret.
    ///
    /// # Errors
    /// [`Unfit`]: each request is refused.
    pub fn check_fit(
        &self,
        name: &str,
        secrets: &[Secret],
        parameters: &Parameters,
        waits: bool,
        means: Means,
    ) -> Result<(), Unfit> {
        let provider = self.find(name)?;
        let verifier = Verifier::new(name, provider, secrets, parameters.clone(), None)?;
        if waits {
            return Ok(());
        }
        if verifier.is_certified() && !means.certifies {
            return Err(Unfit::Uncertified(name.to_owned()));
        }
        if !verifier.can_judge() {
            return Err(SchemeFault::NoSecret(name.to_owned()).into());
        }
        if verifier.needs_fetching() && !means.fetches {
            return Err(Unfit::Unfetched(name.to_owned()));
        }
        Ok(())
    }
}

impl Verifier {
    /// Whether the secret of that number has something around it that is hardly part of it, and would be taken for one:
    /// it came along when it was copied.
    #[must_use]
    pub fn is_padded(&self, number: usize) -> bool {
        self.secrets.get(number).is_some_and(|one| {
            let text = one.text.expose();
            let bare = text.trim_matches(is_padding);
            let mut schemes = self.provider.schemes.iter();
            bare != text && (one.is_token || schemes.any(|scheme| counts(scheme, text, bare)))
        })
    }
}

/// Nothing that a key of a keyboard, or a provider's page, puts at the end of a secret; files and clipboards do.
fn is_padding(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '\u{feff}' | '\u{200b}')
}

/// Whether what is around a secret makes it another one.
fn counts(scheme: &Scheme, text: &str, bare: &str) -> bool {
    let by_prefix = |when: &When| match when {
        When::SecretPrefix { secret_prefix } => {
            text.starts_with(secret_prefix.as_str()) != bare.starts_with(secret_prefix.as_str())
        }
        _ => false,
    };
    let as_it_is = match scheme.secret {
        SecretForm::Text | SecretForm::TextNfkd => true,
        // Keys as JSON may stand in a file of their own.
        SecretForm::Keys | SecretForm::TextOrKeys => !bare.starts_with(['{', '[']),
        _ => false,
    };
    as_it_is || scheme.when.iter().any(by_prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_never_be_verified_says_why() {
        let registry = Registry::built_in();
        let none = Means { fetches: false, certifies: false };
        for (name, secret, settings, waits, means, says) in [
            ("github", "a-secret", "", false, none, ""),
            ("github", "", "", false, none, "github needs a secret"),
            ("asana", "", "", true, none, ""),
            ("acme", "a-secret", "", false, Means::ALL, "no provider `acme`"),
            ("acme", "", "", true, Means::ALL, "no provider `acme`"),
            ("discord", "no key", "", false, none, "a secret of discord must be"),
            ("aws-sns", "", "topic", false, Means::ALL, ""),
            ("aws-sns", "", "topic", false, none, "fetch.enabled"),
            ("mtls", "", "dns", false, none, "server.tls_client_ca"),
            ("mtls", "", "dns", true, none, ""),
            ("mtls", "", "dns", false, Means::ALL, ""),
        ] {
            let secrets: Vec<_> =
                (!secret.is_empty()).then(|| Secret::new(secret)).into_iter().collect();
            let named =
                (!settings.is_empty()).then(|| (settings.to_owned(), "a.example".to_owned()));
            let found =
                registry.check_fit(name, &secrets, &named.into_iter().collect(), waits, means);
            let said = found.err().map(|fault| fault.to_string()).unwrap_or_default();
            assert!(said.contains(says) && said.is_empty() == says.is_empty(), "{name}: {said}");
        }
    }

    #[test]
    fn what_came_along_with_a_secret_is_found_where_it_would_count() {
        let registry = Registry::built_in();
        for (name, secret, is_padded) in [
            ("github", "a-secret", false),
            ("github", "a secret", false),
            ("github", "a-secret\n", true),
            ("github", "a-secret\r\n", true),
            ("github", " a-secret", true),
            ("github", "a-secret\u{0}", true),
            ("github", "\u{feff}a-secret", true),
            ("github", "a-secret\u{a0}", true),
            ("meta", "token:a-secret\n", true),
            ("gitlab", "a-secret\n", true),
            ("standard-webhooks", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", false),
            ("standard-webhooks", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", false),
        ] {
            let row = registry.find(name).expect("a provider");
            let made = Verifier::new(name, row, &[Secret::new(secret)], Parameters::new(), None);
            let found = made.expect("a secret").is_padded(0);
            assert_eq!(found, is_padded, "{name}: {secret:?}");
        }
    }
}
