//! Settings of the records' file. In: the file of keys, or what systemd gives. Out: which one to use.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Config, ConfigError};
use crate::seal::Keys;
use crate::spool::{Options, Sealing};

/// The credential that systemd gives, when no file is named.
const CREDENTIAL: &str = "hookgate.keys";

/// The folder where systemd puts the credentials of this service, if it does.
#[must_use]
pub fn credentials() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}

/// How secrets of records are kept.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// File of keys that `hookgate secrets init` made; secrets of records are sealed with the first of them. When none
    /// is named, systemd's credential `hookgate.keys` is; without both, secrets are kept as they are.
    pub key_file: Option<PathBuf>,
}

impl Store {
    /// The file of keys to use, if any.
    #[must_use]
    pub fn keys(&self) -> Option<PathBuf> {
        self.keys_in(credentials().as_deref())
    }

    /// The same, with the folder where systemd puts credentials.
    #[must_use]
    pub fn keys_in(&self, credentials: Option<&Path>) -> Option<PathBuf> {
        let given = || {
            let path = credentials?.join(CREDENTIAL);
            Some(path).filter(|path| path.exists())
        };
        self.key_file.clone().or_else(given)
    }
}

impl Config {
    /// The spool's settings, with the keys that seal and open its requests.
    ///
    /// # Errors
    /// When requests are to be sealed, and there is no key.
    pub fn sealed_spool(&self, keys: Option<&Keys>) -> Result<Options, ConfigError> {
        self.check_sealing(keys.is_some())?;
        let seals = self.spool.seal_requests;
        let sealing = keys.map(|keys| Sealing { keys: keys.clone(), seals });
        Ok(Options { sealing, ..self.spool.options() })
    }

    /// Refuses to seal without a key.
    pub(super) fn check_sealing(&self, has_keys: bool) -> Result<(), ConfigError> {
        if has_keys || !self.spool.seal_requests {
            return Ok(());
        }
        let says = "spool.seal_requests needs a key: make a file of keys with `hookgate secrets init FILE`, \
                    and name it as store.key_file";
        Err(ConfigError::Conflict(says.to_owned()))
    }
}
