//! `hookgate secrets`: how the secrets of a data folder are kept. In: a folder, and a file of keys. Out: what is sealed
//! with which key; a new key for all of it. May run beside a gateway, which follows. Never prints a key or a secret.

use std::path::PathBuf;

use serde_json::json;

use super::Form;
use super::output::{Failure, print_line, say};
use crate::seal::{Keys, SealError};
use crate::spool;
use crate::store::{self, Seals};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a file with a new key
    #[command(after_help = "\
Settings name the file as `store.key_file`; at its next start the gateway seals every secret that is in the clear.
Keep a copy where backups of the data folder are not: without the key nothing that is sealed opens.

Example:
  hookgate secrets init /etc/hookgate/secrets.keys")]
    Init {
        /// The file; there must be none yet
        file: PathBuf,
    },
    /// Say how many secrets there are, and with which keys they are sealed
    #[command(after_help = "\
Keys are told by name: the first eight digits of their SHA-256. `requests` names the keys that kept requests may be
sealed with: those have to stay in the file. Exits 1 when a secret is in the clear.

Example:
  hookgate secrets status --data ./data -o json")]
    Status {
        #[command(flatten)]
        folder: Folder,
        #[command(flatten)]
        form: Form,
    },
    /// Put a new key in the file, seal everything with it, and end the keys before it
    #[command(after_help = "\
Keys that kept requests are sealed with (spool.seal_requests) stay, as those are not sealed anew: the first rotation
after spool.retention_seconds ends them. May run beside a gateway, which goes on without a pause. Stopped in between it
leaves a file whose keys all open; run it again then. A link to the file stays one. Keys that something else than this
command puts into the file (a mounted credential: the new key as its first line) are taken with --present; `secrets
status` says which former keys have to stay there.

Examples:
  hookgate secrets rotate --data ./data --key-file /etc/hookgate/secrets.keys
  hookgate secrets rotate --data ./data --key-file /run/credentials/hookgate.service/hookgate.keys --present")]
    Rotate {
        #[command(flatten)]
        folder: Folder,
        /// The file of keys
        #[arg(long, env = "HOOKGATE_STORE__KEY_FILE", value_name = "FILE")]
        key_file: PathBuf,
        /// Seal everything with the key that is first now; the file stays as it is
        #[arg(long)]
        present: bool,
        #[command(flatten)]
        form: Form,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Folder {
    /// Data folder
    #[arg(long, env = "HOOKGATE_SERVER__DATA", value_name = "DIR")]
    data: PathBuf,
}

impl Folder {
    /// The folder, when there is a store in it.
    fn found(&self) -> Result<&PathBuf, Failure> {
        if self.data.join(store::FILE_NAME).is_file() {
            return Ok(&self.data);
        }
        Err(Failure::NotFound(format!("{}: no records are there", self.data.display())))
    }
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Init { file } => {
            let name = Keys::make(file)?.present()?.name().to_owned();
            say(&format!("Next: set store.key_file to {} and start the gateway", file.display()));
            print_line(&format!("key  {name}"))
        }
        Command::Status { folder, form } => {
            let seals = store::seals(folder.found()?)?;
            print(&seals, &spool::keys_in_use(folder.found()?)?, *form)?;
            if seals.clear == 0 { Ok(()) } else { Err(Failure::Told) }
        }
        Command::Rotate { folder, key_file, present, form } => {
            let data = folder.found()?;
            let keys = Keys::open(key_file)?;
            let _held = keys.hold()?;
            // Keys of something else are found before the file is changed.
            store::reseal(data, &keys)?;
            if !present {
                keys.add()?;
            }
            store::reseal(data, &keys)?;
            if !present {
                store::end_former_keys(data, &keys, &|| spool::keys_in_use(data))?;
            }
            print(&store::seals(data)?, &spool::keys_in_use(data)?, *form)
        }
    }
}

fn print(seals: &Seals, requests: &[String], form: Form) -> Result<(), Failure> {
    if form.is_json() {
        let told = json!({"clear": seals.clear, "sealed": seals.sealed, "requests": requests});
        return print_line(&told.to_string());
    }
    print_line(&format!("in the clear  {}", seals.clear))?;
    for (key, number) in &seals.sealed {
        print_line(&format!("key {key}  {number}"))?;
    }
    for key in requests {
        print_line(&format!("requests  key {key}"))?;
    }
    Ok(())
}

impl From<SealError> for Failure {
    fn from(fault: SealError) -> Self {
        Self::NotLoaded(fault.to_string())
    }
}
