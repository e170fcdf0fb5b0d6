//! `hookgate context`: the contexts that `hookgate login` made. In: a name. Out: what they are, or another one that
//! counts. Asks no gateway; never shows a key.

use std::path::Path;

use serde_json::{Value, json};

use super::access::{self, Context, Contexts};
use super::listing::{Listing, text};
use super::output::{Failure, say};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the contexts
    #[command(
        visible_alias = "list",
        after_help = "The current one has a `*`.\n\nExample:\n  hookgate context ls"
    )]
    Ls {
        #[command(flatten)]
        listing: Listing,
    },
    /// Make a context the current one
    #[command(after_help = "\
One call may use another: --context NAME, or HOOKGATE_CONTEXT.

Example:
  hookgate context use prod")]
    Use {
        /// Its name
        name: String,
    },
    /// Show a context, but for its key
    #[command(visible_alias = "get", after_help = "Example:\n  hookgate context show prod -o json")]
    Show {
        /// Its name; the current one when none is said
        name: Option<String>,
        #[command(flatten)]
        listing: Listing,
    },
    /// Forget a context and its key
    #[command(
        visible_alias = "delete",
        after_help = "\
The key stays valid at its gateway.

Example:
  hookgate context rm prod"
    )]
    Rm {
        /// Its name
        name: String,
    },
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    let path = access::path()?;
    let mut contexts = Contexts::read(&path)?;
    match command {
        Command::Ls { listing } => list(&contexts, *listing),
        Command::Show { name, listing } => show(&contexts, name.as_deref(), *listing, &path),
        Command::Use { name } => {
            contexts.find(name)?;
            contexts.current = Some(name.clone());
            contexts.write(&path)
        }
        Command::Rm { name } => {
            contexts.find(name)?;
            contexts.all.remove(name);
            if contexts.current.as_deref() == Some(name) {
                contexts.current = None;
                say("none is current now: `hookgate context use NAME`");
            }
            contexts.write(&path)
        }
    }
}

fn list(contexts: &Contexts, listing: Listing) -> Result<(), Failure> {
    let row = |(name, context): (&String, &Context)| told(contexts, name, context);
    let rows: Vec<Value> = contexts.all.iter().map(row).collect();
    listing.rows(&rows, &["", "NAME", "WORKSPACE", "GATEWAY"], |row| {
        let mark = if row["current"] == true { "*" } else { "" };
        vec![mark.to_owned(), text(row, "name"), text(row, "workspace"), text(row, "url")]
    })
}

fn show(
    contexts: &Contexts,
    name: Option<&str>,
    listing: Listing,
    path: &Path,
) -> Result<(), Failure> {
    let name = name.or(contexts.current.as_deref()).ok_or_else(|| {
        Failure::NotFound("no context is current: `hookgate login` makes one".to_owned())
    })?;
    let context = contexts.find(name)?;
    let record = told(contexts, name, context);
    let lines = [
        ("context", name.to_owned()),
        ("gateway", context.url.clone()),
        ("workspace", format!("{} ({})", context.place, context.workspace)),
        ("account", context.account.clone()),
        ("kept in", path.display().to_string()),
    ];
    listing.record(&record, &lines)
}

fn told(contexts: &Contexts, name: &str, context: &Context) -> Value {
    json!({
        "name": name,
        "current": contexts.current.as_deref() == Some(name),
        "url": context.url,
        "workspace": context.place,
        "account_id": context.account,
        "workspace_id": context.workspace,
    })
}
