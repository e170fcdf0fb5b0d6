//! All providers there are: the rows that come with hookgate, and those the operator adds. In: names. Out: rows. An
//! operator's row with the name of one of ours stands for it.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use super::fault::SchemeFault;
use super::scheme::{self, Provider};

/// The rows that come with hookgate.
const ROWS: &str = include_str!("providers.toml");

static BUILT_IN: LazyLock<Result<Registry, SchemeFault>> = LazyLock::new(|| {
    let providers = scheme::read(ROWS)?.into_iter();
    Ok(Registry(Arc::new(providers.map(|(name, row)| (name, Arc::new(row))).collect())))
});

/// Providers by name; a copy costs nothing.
#[derive(Clone, Debug, Default)]
pub struct Registry(Arc<BTreeMap<String, Arc<Provider>>>);

impl Registry {
    /// The providers that come with hookgate.
    #[must_use]
    pub fn built_in() -> Self {
        // A test reads every row; a file that does not parse never leaves it.
        BUILT_IN.as_ref().cloned().unwrap_or_default()
    }

    /// The same with more.
    ///
    /// # Errors
    /// [`SchemeFault::Row`]: a row that does not hold together.
    pub fn with(mut self, more: &BTreeMap<String, Provider>) -> Result<Self, SchemeFault> {
        let rows = Arc::make_mut(&mut self.0);
        for (name, provider) in more {
            scheme::check(name, provider)?;
            rows.insert(name.clone(), Arc::new(provider.clone()));
        }
        Ok(self)
    }

    /// The provider of that name.
    ///
    /// # Errors
    /// [`SchemeFault::Unknown`]: there is none.
    pub fn find(&self, name: &str) -> Result<&Arc<Provider>, SchemeFault> {
        self.0.get(name).ok_or_else(|| SchemeFault::Unknown(name.to_owned()))
    }

    /// All of them by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<Provider>)> {
        self.0.iter().map(|(name, provider)| (name.as_str(), provider))
    }
}
