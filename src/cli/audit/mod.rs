//! `hookgate audit`: audit events, listed by a running gateway; their chain, proven, exported, or anchored. In: a
//! gateway, or a data folder, with or without one on it, or an export. Out: who did what; each account's chain, or the
//! first break. Changes nothing.

mod line;
mod list;
mod verify;

use std::path::{Path, PathBuf};

use serde_json::json;

use super::Form;
use super::client::runtime;
use super::output::{Failure, print_line, print_text};
use crate::catalogue::chain::{Entry, Hash};
use crate::id::Uuid;
use crate::store::Audit;

/// Bytes of an export that are handed on at once.
const CHUNK_BYTES: usize = 64 << 10;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List who did what, as a running gateway tells it
    #[command(visible_alias = "list", after_help = list::EXAMPLE)]
    Ls(Box<list::Args>),
    /// Walk every account's chain, and name the first break
    #[command(after_help = "\
Prints each account's number of events, first and last moment and head. Exits 1 at the first event
that was changed, is missing, stands out of order or was put in between, and names it; 3 for an
export that cannot be read; 5 for a folder where nothing is chained.

Events cut from the end leave a shorter chain that holds: keep what `hookgate audit head` says
elsewhere, and give it with --head. A folder that is older than the chain has events from before it;
its chain begins with the first change after the update, and it is said.

Where events were ended after audit.retention_days, their last one's number and hash stand for them,
and the chain is proven from there on; from which number and when is said: events that were cut from
the beginning by somebody else show there, as a chain that begins later than it should.

Example:
  hookgate audit verify --data ./data
  hookgate audit export --data ./data | hookgate audit verify --file -")]
    Verify(Verify),
    /// Print every row of the chain, one a line
    #[command(after_help = "\
Each line is an object: account, number, id, occurred, hash, previous, event. The event stands there
byte for byte. hash is SHA-256 over: `hookgate audit chain 1`, previous, number, account, id,
occurred, event; each with its length in front; length, number and occurred (microseconds since
1970) as 8 bytes, highest first; hashes and ids as their bytes. The first row's previous is zeros.
Where older rows were ended after audit.retention_days, the account's rows follow one line with
account, ended and hash: the number and the hash of the last of them, the next row's previous.

Example:
  hookgate audit export --data ./data > audit.ndjson")]
    Export {
        #[command(flatten)]
        folder: Folder,
        /// Only this account's
        #[arg(long, value_name = "ID")]
        account: Option<Uuid>,
    },
    /// Print the end of each account's chain, to be kept elsewhere
    #[command(after_help = "\
Whoever can write the folder can make a new chain. A head that is kept elsewhere is the proof of
everything up to it: hookgate audit verify --head HASH.

Example:
  hookgate audit head --data ./data -o json")]
    Head {
        #[command(flatten)]
        folder: Folder,
        #[command(flatten)]
        form: Form,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// Data folder; its gateway may run
    #[arg(
        long,
        env = "HOOKGATE_SERVER__DATA",
        value_name = "DIR",
        required_unless_present = "file"
    )]
    data: Option<PathBuf>,
    /// An export instead of a data folder; `-` reads stdin
    #[arg(long, value_name = "EXPORT")]
    file: Option<PathBuf>,
    /// A head kept elsewhere that must be in a chain; may be given more than once
    #[arg(long = "head", value_name = "HASH")]
    heads: Vec<Hash>,
    #[command(flatten)]
    form: Form,
}

#[derive(Debug, clap::Args)]
pub(super) struct Folder {
    /// Data folder; its gateway may run
    #[arg(long, env = "HOOKGATE_SERVER__DATA", value_name = "DIR")]
    data: PathBuf,
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Ls(args) => runtime()?.block_on(list::run(args)),
        Command::Verify(args) => verify::run(args),
        Command::Export { folder, account } => export(&folder.data, *account),
        Command::Head { folder, form } => head(&folder.data, *form),
    }
}

fn export(data: &Path, account: Option<Uuid>) -> Result<(), Failure> {
    let mut chunk = String::new();
    let mut is_empty = true;
    Audit::open(data)?.each(account, |entry| {
        is_empty = false;
        let line = line::write(entry).map_err(|fault| match entry {
            Entry::Anchor(anchor) => Failure::No(format!("account {}: {fault}", anchor.account)),
            Entry::Row(row) => {
                let (account, number) = (row.link.account, row.link.number);
                Failure::No(format!("account {account}, number {number}: {fault}"))
            }
        })?;
        chunk.push_str(&line);
        if chunk.len() >= CHUNK_BYTES {
            print_text(&chunk)?;
            chunk.clear();
        }
        Ok::<_, Failure>(())
    })?;
    print_text(&chunk)?;
    match account {
        Some(account) if is_empty => {
            let what = format!("{}: nothing of the account {account} is chained", data.display());
            Err(Failure::NotFound(what))
        }
        _ => Ok(()),
    }
}

fn head(data: &Path, form: Form) -> Result<(), Failure> {
    for head in Audit::open(data)?.heads()? {
        let (account, number, hash) = (head.account, head.number, head.hash.to_string());
        print_line(&if form.is_json() {
            json!({ "account": account, "number": number, "hash": hash }).to_string()
        } else {
            format!("{account}  {number}  {hash}")
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
