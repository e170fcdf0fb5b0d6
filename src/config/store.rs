//! Settings of the records' file. In: the file of keys, or what systemd gives. Out: which one to use.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The credential that systemd gives, when no file is named.
const CREDENTIAL: &str = "hookgate.keys";

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
        let given = || {
            let folder = PathBuf::from(std::env::var_os("CREDENTIALS_DIRECTORY")?);
            Some(folder.join(CREDENTIAL)).filter(|path| path.exists())
        };
        self.key_file.clone().or_else(given)
    }
}
