//! Where the keys of tokens are. In: what a row pins, and the settings. Out: the address of a set of them, or a
//! question for one that only somebody who logs in is told, at a host that the row pins. Asks nobody.

use std::borrow::Cow;

use aws_lc_rs::digest::{SHA256, digest};
use serde::Deserialize;
use serde_json::json;

use super::fault::{Fault, SchemeFault};
use super::fetched::{Ask, Wanted};
use super::request::Parameters;
use super::scheme::{Scheme, SecretForm};
use crate::id::Secret;

/// The setting that says where the keys of tokens are.
const KEYS_URL: &str = "jwks_url";
/// The setting that is part of a host that a row pins, and where it stands there.
const SUBDOMAIN: &str = "subdomain";
const SUBDOMAIN_PLACE: &str = "{subdomain}";
/// The setting that says which of a provider's hosts is asked: how its name begins.
const ENVIRONMENT: &str = "environment";
/// Most bytes of one part of a host's name.
const LABEL_MAX_BYTES: usize = 63;
/// Longest name of a key that is asked for, and of whoever logs in.
const NAME_MAX_BYTES: usize = 64;
/// Longest secret of a login.
const SECRET_MAX_BYTES: usize = 256;

/// Keys that are told one by one, to whoever logs in: a POST of JSON with the login and the key's name.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KeysLogin {
    /// Hosts that are asked, the first unless the setting `environment` names another.
    pub hosts: Vec<String>,
    /// The path there.
    pub path: String,
    /// What the question calls whoever logs in, the secret, and the key's name.
    pub client: String,
    pub secret: String,
    pub key_name: String,
}

/// A login, ready to ask with.
pub(super) struct Login {
    address: String,
    said: KeysLogin,
    client: String,
    secret: Secret,
}

impl KeysLogin {
    /// What only the parts together can show to be wrong.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let is_host = |host: &String| {
            host.contains('.')
                && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
        };
        if self.hosts.is_empty() || !self.hosts.iter().all(is_host) {
            return Err("`hosts` of `keys-login` are names of hosts, one at least");
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        if !(self.path.starts_with('/') && self.path.bytes().all(plain)) {
            return Err("`path` of `keys-login` is a path");
        }
        Ok(())
    }

    /// Whether a secret is a login, not a key.
    pub(super) fn is_for(secret: &Secret) -> bool {
        !secret.expose().trim_start_matches('\u{FEFF}').trim_start().starts_with(['{', '['])
    }

    /// A secret that is `client:secret`.
    ///
    /// # Errors
    /// [`SchemeFault::Secret`]: it is something else. [`SchemeFault::Setting`]: no host is called that.
    pub(super) fn login(
        &self,
        provider: &str,
        secret: &Secret,
        parameters: &Parameters,
    ) -> Result<Login, SchemeFault> {
        let form = "a JWK or a set of them as JSON, or a login to ask for them: client_id:secret";
        let bad = || SchemeFault::Secret { provider: provider.to_owned(), form };
        let (client, secret) = secret.expose().trim().split_once(':').ok_or_else(bad)?;
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        let sized = (1..=NAME_MAX_BYTES).contains(&client.len())
            && (1..=SECRET_MAX_BYTES).contains(&secret.len());
        if !(sized && plain(client) && plain(secret)) {
            return Err(bad());
        }
        let named = parameters.get(ENVIRONMENT);
        let is_meant = |host: &&String| {
            named.is_none_or(|named| host.split('.').next() == Some(named.as_str()))
        };
        let host = self.hosts.iter().find(is_meant).ok_or_else(|| SchemeFault::Setting {
            provider: provider.to_owned(),
            name: ENVIRONMENT.to_owned(),
            form: "the first part of the name of one of its hosts",
        })?;
        Ok(Login {
            address: format!("https://{host}{}", self.path),
            said: self.clone(),
            client: client.to_owned(),
            secret: Secret::new(secret),
        })
    }
}

impl Login {
    /// The question for the key of that name: a name is all of a request's that is ever asked, and only one that has
    /// the form of names.
    ///
    /// # Errors
    /// [`Fault::Key`]: no key is called that.
    pub(super) fn wanted(&self, name: Option<&str>) -> Result<Wanted, Fault> {
        let is_name = |name: &&str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            (1..=NAME_MAX_BYTES).contains(&name.len()) && name.bytes().all(plain)
        };
        let name = name.filter(is_name).ok_or(Fault::Key)?;
        let said = &self.said;
        let body = json!({
            &said.client: self.client, &said.secret: self.secret.expose(), &said.key_name: name,
        });
        let body = Secret::new(body.to_string());
        let of = digest(&SHA256, body.expose().as_bytes());
        let of = of.as_ref().first_chunk().copied().unwrap_or_default();
        Ok(Wanted::asking(self.address.clone(), Ask { body, of }))
    }
}

impl Scheme {
    /// The settings that say where its keys are.
    pub(super) fn keys_settings(&self) -> impl Iterator<Item = &str> {
        let has_keys = matches!(self.secret, SecretForm::Keys | SecretForm::TextOrKeys);
        let is_part = self.keys_url.as_ref().is_some_and(|url| url.contains(SUBDOMAIN_PLACE));
        let has_hosts = self.keys_login.is_some();
        let named = [(has_keys, KEYS_URL), (is_part, SUBDOMAIN), (has_hosts, ENVIRONMENT)];
        named.into_iter().filter_map(|(has, name)| has.then_some(name))
    }

    /// Where its keys are fetched from.
    #[must_use]
    pub fn keys_address<'a>(&'a self, parameters: &'a Parameters) -> Option<Cow<'a, str>> {
        if !matches!(self.secret, SecretForm::Keys | SecretForm::TextOrKeys) {
            return None;
        }
        if let Some(named) = parameters.get(KEYS_URL) {
            return Some(Cow::Borrowed(named));
        }
        let pinned = self.keys_url.as_deref()?;
        if !pinned.contains(SUBDOMAIN_PLACE) {
            return Some(Cow::Borrowed(pinned));
        }
        // Whatever it is, the host stays one below the row's.
        let label = parameters.get(SUBDOMAIN).filter(|label| is_label(label))?;
        Some(Cow::Owned(pinned.replace(SUBDOMAIN_PLACE, label)))
    }

    /// The setting without which it cannot be said where its keys are.
    #[must_use]
    pub fn keys_setting(&self, parameters: &Parameters) -> Option<&'static str> {
        let asks = self.keys_url.as_ref().is_some_and(|url| url.contains(SUBDOMAIN_PLACE));
        (asks && self.keys_address(parameters).is_none()).then_some(SUBDOMAIN)
    }
}

/// Whether a text is one part of a host's name.
fn is_label(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let sized = (1..=LABEL_MAX_BYTES).contains(&text.len());
    sized && text.bytes().all(is_inner) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::signature::Registry;

    fn login(secret: &str, environment: Option<&str>) -> Result<Login, SchemeFault> {
        let registry = Registry::built_in();
        let plaid = registry.find("plaid").expect("a row");
        let said = plaid.schemes[0].keys_login.clone().expect("a login");
        let named = environment.map(|named| (ENVIRONMENT.to_owned(), named.to_owned()));
        said.login("plaid", &Secret::new(secret), &named.into_iter().collect())
    }

    #[test]
    fn a_login_asks_one_host_for_a_key_by_its_name() {
        let made = login("client-1:secret:1\n", None).expect("a login");
        let wanted = made.wanted(Some("6c5516e1-92dc-479e-a8ff-5a51992e0001")).expect("a name");
        assert_eq!(wanted.address, "https://production.plaid.com/webhook_verification_key/get");
        let body = wanted.asks.as_ref().expect("a question").body.expose();
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        let name = "6c5516e1-92dc-479e-a8ff-5a51992e0001";
        let said = json!({"client_id": "client-1", "secret": "secret:1", "key_id": name});
        assert_eq!(body, said);
        assert!(!format!("{wanted:?}").contains("secret:1"), "nobody sees the login");
        let other = login("client-1:secret:2", None).expect("a login").wanted(Some(name));
        assert_ne!(other.expect("a name"), wanted, "what one is told is for nobody else");
        let sandbox = login("client-1:secret:1", Some("sandbox")).expect("a login");
        let address = sandbox.wanted(Some("k")).expect("a name").address;
        assert_eq!(address, "https://sandbox.plaid.com/webhook_verification_key/get");
        for none in [None, Some(""), Some("../x"), Some("a\"b"), Some("é"), Some(&*"k".repeat(65))]
        {
            assert!(matches!(made.wanted(none), Err(Fault::Key)), "{none:?}");
        }
    }

    #[test]
    fn what_is_no_login_and_no_host_is_refused_when_it_is_saved() {
        let long = format!("a:{}", "b".repeat(SECRET_MAX_BYTES + 1));
        for bad in ["client", ":secret", "client:", "a b:c", "a:b c", "é:c", &*long] {
            assert!(matches!(login(bad, None), Err(SchemeFault::Secret { .. })), "{bad}");
        }
        for environment in ["", "evil", "production.plaid.com", "sandbox.plaid.com/"] {
            let refused = login("a:b", Some(environment));
            assert!(matches!(refused, Err(SchemeFault::Setting { .. })), "{environment}");
        }
    }
}
