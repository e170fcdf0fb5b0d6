//! How the requests of a webhook are verified, as the data plane is told. In: what a record says. Out: the same with
//! its secrets; and whether it can be kept at all. Judges no request.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::clock::Time;
use crate::id::Secret;
use crate::verify::signature::{Means, Registry, Unfit};

/// A secret of a webhook's sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// What it is told by.
    pub name: String,
    /// Itself.
    pub secret: Secret,
    /// From then on it counts no more.
    pub until: Option<Time>,
}

/// How a webhook's requests are verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// Who signs them.
    pub provider: String,
    /// What is known together with them, the newest first.
    pub secrets: Vec<Shared>,
    /// Settings of the provider.
    pub parameters: BTreeMap<String, String>,
    /// How many seconds the clocks may differ, instead of what the provider says.
    pub tolerance_seconds: Option<u32>,
    /// Whether what is not verified is refused.
    pub required: bool,
    /// Whether what was signed once is taken once.
    pub once: bool,
    /// Until then the first secret that a request brings is kept.
    pub enrol: Option<Time>,
}

impl Verification {
    /// Reads what is told of one, with its secrets by their names; `None` when nobody is said to sign.
    pub(super) fn read(
        told: &Map<String, Value>,
        secret: impl Fn(&str) -> Option<Secret>,
    ) -> Option<Self> {
        let listed = told.get("secrets").and_then(Value::as_array).into_iter().flatten();
        let secrets = listed.filter_map(|one| {
            let id = one["id"].as_str()?;
            let until = one.get("until").and_then(Value::as_str).and_then(Time::parse);
            Some(Shared { name: id.to_owned(), secret: secret(id)?, until })
        });
        let parameters = told.get("parameters").and_then(Value::as_object).into_iter().flatten();
        let parameters = parameters.filter_map(|(name, value)| {
            value.as_str().map(|value| (name.clone(), value.to_owned()))
        });
        let seconds = told.get("tolerance").and_then(Value::as_u64);
        Some(Self {
            provider: told.get("provider").and_then(Value::as_str)?.to_owned(),
            secrets: secrets.collect(),
            parameters: parameters.collect(),
            tolerance_seconds: seconds.and_then(|seconds| u32::try_from(seconds).ok()),
            required: told.get("required").and_then(Value::as_bool).unwrap_or(true),
            once: told.get("once").and_then(Value::as_bool).unwrap_or(false),
            enrol: told.get("enrol").and_then(Value::as_str).and_then(Time::parse),
        })
    }

    /// Whether any request can keep it, with those providers and means.
    ///
    /// # Errors
    /// [`Unfit`]: each one is refused.
    pub fn check_fit(&self, providers: &Registry, means: Means, now: Time) -> Result<(), Unfit> {
        let live = self.secrets.iter().filter(|one| one.until.is_none_or(|until| until > now));
        let live: Vec<_> = live.map(|one| one.secret.clone()).collect();
        let enrols = self.secrets.is_empty() && self.enrol.is_some_and(|until| until > now);
        let waits = !self.required || enrols;
        providers.check_fit(&self.provider, &live, &self.parameters, waits, means)
    }
}
