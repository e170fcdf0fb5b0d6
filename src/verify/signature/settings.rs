//! Which settings a provider has: those that its rows name, and those that come with a way of signing. In: rows. Out:
//! names. A setting that it has not, or an empty one, would be passed over, and whoever gave it would believe that it
//! counts.

use std::collections::BTreeSet;

use super::fault::SchemeFault;
use super::handshake::Handshake;
use super::message::Message;
use super::request::Parameters;
use super::scheme::{Claim, Provider, Scheme};
use super::source::Source;
use super::when::When;
use super::{CERTIFICATE, Verifier, client};

/// The setting with which signatures count that the provider has replaced by stronger ones.
pub const LEGACY: &str = "legacy";

impl Provider {
    /// The names of all settings that it has.
    #[must_use]
    pub fn settings(&self) -> BTreeSet<&str> {
        let mut names: BTreeSet<&str> = self.schemes.iter().flat_map(Scheme::settings).collect();
        names.extend(self.handshakes.iter().flat_map(Handshake::settings));
        if self.is_certified() {
            names.extend(client::SETTINGS);
        }
        names
    }
}

impl Scheme {
    fn settings(&self) -> impl Iterator<Item = &str> {
        let when = self.when.iter().filter_map(|when| match when {
            When::Parameter { parameter } => Some(parameter.as_str()),
            _ => None,
        });
        let claims = self.claims.values().filter_map(|claim| match claim {
            Claim::Parameter { parameter } => Some(parameter.as_str()),
            _ => None,
        });
        let certificate = self.certificate.as_ref().map(|certificate| &certificate.url);
        let sources = [&self.signature, &self.time, &self.id, &self.names];
        let sources = sources.into_iter().flatten().chain(certificate);
        let url = self.needs_url() || self.message_also.iter().any(Message::needs_url);
        let own = [(url, "url"), (self.legacy, LEGACY), (self.certificate.is_some(), CERTIFICATE)];
        let own = own.into_iter().filter_map(|(has, name)| has.then_some(name));
        when.chain(claims)
            .chain(sources.flat_map(Source::settings))
            .chain(self.agreed.values().map(String::as_str))
            .chain(self.keys_settings())
            .chain(own)
    }
}

impl Verifier {
    /// Refuses settings that the provider has not.
    ///
    /// # Errors
    /// [`SchemeFault::NoSetting`]: the first of them, and those there are.
    pub fn check_settings(&self) -> Result<(), SchemeFault> {
        check(&self.name, &self.provider, &self.parameters)
    }
}

fn check(name: &str, provider: &Provider, parameters: &Parameters) -> Result<(), SchemeFault> {
    let known = provider.settings();
    let Some(unknown) = parameters.keys().find(|name| !known.contains(name.as_str())) else {
        // What a setting has to equal is never nothing; of the one that is a switch it counts that it is there.
        let mut said = parameters.iter().filter(|(name, _)| *name != LEGACY);
        let Some((blank, _)) = said.find(|(_, text)| text.trim().is_empty()) else { return Ok(()) };
        let (provider, name) = (name.to_owned(), blank.clone());
        return Err(SchemeFault::Setting { provider, name, form: "text that is not empty" });
    };
    let listed: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    let known = if listed.is_empty() { "none".to_owned() } else { listed.join(", ") };
    Err(SchemeFault::NoSetting { provider: name.to_owned(), name: unknown.clone(), known })
}

#[cfg(test)]
mod tests {
    use super::super::Registry;
    use super::*;

    #[test]
    fn a_setting_that_a_provider_has_not_is_refused_with_those_it_has() {
        for (provider, setting, says) in [
            ("github", "bogus", "github has no setting `bogus`; it has none"),
            ("meta", "verify_token", "meta has no setting `verify_token`; it has none"),
            ("trello", "ur1", "trello has no setting `ur1`; it has `url`"),
            ("aws-sns", "topics", "it has `certificate`, `topic`"),
            ("websub", "topics", "`left`, `legacy`, `topic`"),
            ("braintree", "key", "it has `public_key`"),
            ("plaid", "jwks", "it has `environment`, `jwks_url`"),
            ("cloudevents", "origin", "it has `origins`"),
            ("kinde", "domain", "it has `jwks_url`, `subdomain`"),
            ("grafana", "header", "it has `timestamp_header`"),
            ("oidc", "audience", "it has `aud`, `issuer`, `jwks_url`"),
        ] {
            let parameters = Parameters::from([(setting.to_owned(), "x".to_owned())]);
            let registry = Registry::built_in();
            let row = registry.find(provider).expect("a provider");
            let fault = check(provider, row, &parameters).expect_err("no such setting");
            assert!(fault.to_string().contains(says), "{fault} has not {says}");
            let named = |name: &&str| ((*name).to_owned(), "x".to_owned());
            let known: Parameters = row.settings().iter().map(named).collect();
            assert_eq!(check(provider, row, &known), Ok(()), "{provider}");
            for (name, blank) in
                row.settings().into_iter().flat_map(|name| [(name, ""), (name, " ")])
            {
                let parameters = Parameters::from([(name.to_owned(), blank.to_owned())]);
                let found = check(provider, row, &parameters).map_err(|fault| fault.to_string());
                let says =
                    format!("the setting `{name}` of {provider} must be text that is not empty");
                assert_eq!(found, if name == LEGACY { Ok(()) } else { Err(says) });
            }
        }
    }
}
