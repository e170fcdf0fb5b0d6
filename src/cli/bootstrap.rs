//! `hookgate bootstrap`: the first account, workspace and key of a data folder. In: a folder. Out: where the API is
//! and, the first time only, the key. Run again it changes nothing and says so, unless the account has no
//! workspace any more: then it makes one.

use std::path::PathBuf;

use serde_json::json;

use super::Form;
use super::output::{Failure, print_line};
use crate::clock::Clock;
use crate::id::Secret;
use crate::spool::FolderLock;
use crate::store::{self, Bootstrap};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Data folder; made when it is not there
    #[arg(long, env = "HOOKGATE_SERVER__DATA", value_name = "DIR")]
    data: PathBuf,
    #[command(flatten)]
    form: Form,
}

pub(super) const EXAMPLE: &str = "\
The key is shown once. Run again it changes nothing, but for an account whose last workspace was ended: that one gets a
new workspace, and keeps its keys.

Example:
  hookgate bootstrap --data ./data -o json > first.json";

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let _lock = FolderLock::take(&args.data)?;
    let first = store::bootstrap(&args.data, &Clock::System)?;
    if args.form.is_json() { print_json(&first) } else { print_text(&first, args) }
}

fn print_json(first: &Bootstrap) -> Result<(), Failure> {
    let told = json!({
        "created": first.created,
        "workspace_created": first.workspace_created,
        "account_id": first.account_id,
        "account_handle": first.account_handle,
        "workspace_id": first.workspace_id,
        "workspace_handle": first.workspace_handle,
        "api_key": first.api_key.as_ref().map(Secret::expose),
        "api_path": first.api_path,
    });
    print_line(&told.to_string())
}

fn print_text(first: &Bootstrap, args: &Args) -> Result<(), Failure> {
    let data = args.data.display();
    print_line(&format!("account    {} ({})", first.account_id, first.account_handle))?;
    print_line(&format!("workspace  {} ({})", first.workspace_id, first.workspace_handle))?;
    print_line(&format!("API path   {}", first.api_path))?;
    match &first.api_key {
        Some(key) => print_line(&format!("API key    {}  (shown once: keep it)", key.expose()))?,
        None if first.workspace_created => {
            print_line(
                "API key    was shown when the account was made; only the workspace is new",
            )?;
        }
        None => print_line("API key    was shown when the account was made; nothing was changed")?,
    }
    print_line(&format!("\nNext: hookgate serve --data {data} --forward-to stdout"))
}
